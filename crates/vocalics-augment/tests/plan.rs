//! Plans as a caller uses them: reading, order, records, the same result everywhere.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_augment::{
    AugmentError, Augmentation, Clip, ImpulseResponse, Material, MaterialKind, Operation, Plan,
    Sound,
};

const RATE: u32 = 16_000;

/// A tone that comes and goes.
fn clip(n: u16, pitch: f32) -> Vec<f32> {
    (0..n)
        .map(|k| {
            let k = f32::from(k);
            0.4 * (k * pitch).sin() * (k * 0.000_8).sin()
        })
        .collect()
}

fn sounds() -> Vec<Sound> {
    (0..3_u8)
        .map(|k| {
            Sound::new(
                format!("s{k}"),
                clip(9_000, 0.03 + 0.01 * f32::from(k)),
                RATE,
            )
            .unwrap()
        })
        .collect()
}

fn response() -> ImpulseResponse {
    ImpulseResponse::recorded("hall", &[0.0, 1.0, 0.2, -0.1], RATE).unwrap()
}

fn material<'a>(sounds: &'a [Sound], response: &'a ImpulseResponse) -> Material<'a> {
    Material {
        babble: sounds.iter().collect(),
        noise: sounds.iter().collect(),
        rooms: vec![response],
        same_class: sounds.iter().collect(),
        neutral: sounds.iter().collect(),
    }
}

#[test]
fn built_in_plans_are_valid_and_come_back_from_toml() {
    let names: Vec<_> = Plan::names().collect();
    for name in [
        "noise",
        "room",
        "telephone",
        "voice",
        "copy-paste",
        "everything",
    ] {
        assert!(names.contains(&name));
    }
    for name in names {
        let plan = Plan::named(name).unwrap();
        assert!(!plan.steps.is_empty());
        let written = toml::to_string(&plan).unwrap();
        assert_eq!(Plan::parse(name, &written).unwrap(), plan, "{written}");
    }
    assert_eq!(Plan::named("nothing"), None);
}

#[test]
fn bad_plans_are_refused_by_what_is_wrong() {
    let refused = |text: &str, parts: &[&str]| {
        let error = Plan::parse("p.toml", text).unwrap_err();
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            message = format!("{message}: {inner}");
            source = inner.source();
        }
        assert!(!error.hint().is_empty());
        for part in parts {
            assert!(message.contains(part), "{message}");
        }
    };
    refused("[[steps]]", &["p.toml is no plan", "steps"]);
    refused("[[step]]\nkind = \"echo\"", &["echo", "time-shift"]);
    refused("[[step]]\nsnr_db = 3", &["kind"]);
    refused("[[step]]\nkind = \"noise\"\nsnr = 3", &["snr", "snr_db"]);
    refused(
        "[[step]]\nkind = \"noise\"\nsources = [\"brown\"]",
        &["brown", "pink"],
    );
    refused(
        "[[step]]\nkind = \"gain\"\nprobability = \"often\"",
        &["often"],
    );
    refused(
        "[[step]]\nkind = \"gain\"\n[[step]]\nkind = \"gain\"\nprobability = 1.5",
        &[
            "no plan that can be done",
            "step 2, gain",
            "probability is 1.5",
        ],
    );
    for (step, field) in [
        ("noise\"\nsnr_db = [30, 10]", "snr_db"),
        ("noise\"\nsources = []", "sources"),
        ("noise\"\nvoices = [0, 3]", "voices"),
        ("room\"\nrt60_secs = [0, 1]", "rt60_secs"),
        ("room\"\nsources = []", "sources"),
        ("room\"\nabsorption = 2", "absorption"),
        ("room\"\nlength_m = 1", "length_m"),
        ("gain\"\ngain_db = 100", "gain_db"),
        ("time-shift\"\nshift_secs = 100", "shift_secs"),
        ("speed\"\nspeed = 0", "speed"),
        ("time-stretch\"\ntempo = [0.1, 1]", "tempo"),
        ("pitch-shift\"\nshift_semitones = 30", "shift_semitones"),
        ("vocal-tract\"\nwarp = nan", "warp"),
        ("vocal-tract\"\nhigh_hz = 100", "high_hz"),
        ("telephone\"\nlines = []", "lines"),
        ("codec\"\nlaws = []", "laws"),
        ("low-pass\"\ncutoff_hz = 10", "cutoff_hz"),
        ("copy-paste\"\npartners = []", "partners"),
        ("copy-paste\"\ngap_secs = -1", "gap_secs"),
    ] {
        refused(
            &format!("[[step]]\nkind = \"{step}"),
            &["step 1", field, "expected"],
        );
    }
    assert!(matches!(
        Plan::open("no such plan"),
        Err(AugmentError::NoPlan { .. })
    ));
    assert!(Plan::open("voice").is_ok());
}

#[test]
fn steps_are_done_in_order_and_recorded() {
    let text = r#"
        [[step]]
        kind = "gain"
        gain_db = 6
        [[step]]
        kind = "codec"
        probability = 0
        [[step]]
        kind = "time-shift"
        shift_secs = 0.01
    "#;
    let plan = Plan::parse("p", text).unwrap();
    let samples = clip(4_000, 0.05);
    let input = Clip::new(&samples, RATE).unwrap();
    let out = plan
        .apply(&input, &Material::default(), &mut StdRng::seed_from_u64(1))
        .unwrap();
    assert_eq!(
        out.record.to_string(),
        "gain(gain_db=6); time-shift(shift_secs=0.01)"
    );
    assert_eq!(
        serde_json::to_string(&out.record).unwrap(),
        r#"[{"step":"gain","gain_db":6.0},{"step":"time-shift","shift_secs":0.01}]"#
    );
    for (y, x) in out.samples[160..].iter().zip(&samples) {
        assert!((y - 1.995_262_3 * x).abs() < 1e-5);
    }
    let nothing = Plan::default()
        .apply(&input, &Material::default(), &mut StdRng::seed_from_u64(1))
        .unwrap();
    assert_eq!(nothing.samples, samples);
    assert_eq!(nothing.record.to_string(), "nothing");
}

#[test]
fn probabilities_are_kept() {
    let plan = Plan::parse("p", "[[step]]\nkind = \"gain\"\nprobability = 0.3").unwrap();
    let samples = clip(10, 0.05);
    let input = Clip::new(&samples, RATE).unwrap();
    let mut rng = StdRng::seed_from_u64(1);
    let done = (0..2_000)
        .filter(|_| {
            let out = plan.apply(&input, &Material::default(), &mut rng).unwrap();
            !out.record.0.is_empty()
        })
        .count();
    // Four standard errors.
    assert!((520..=680).contains(&done), "{done}");
}

#[test]
fn the_same_seed_gives_the_same_samples_on_any_thread() {
    let plan = Plan::named("everything").unwrap();
    let (sounds, response) = (sounds(), response());
    let samples = clip(12_000, 0.05);
    let run = |seed: u64| {
        let material = material(&sounds, &response);
        let input = Clip::new(&samples, RATE).unwrap();
        let out = plan.apply(&input, &material, &mut StdRng::seed_from_u64(seed));
        let out = out.unwrap();
        let bits: Vec<u32> = out.samples.iter().map(|x| x.to_bits()).collect();
        (bits, out.record)
    };
    let here: Vec<_> = (0..8).map(run).collect();
    let there: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..8)
            .rev()
            .map(|seed| scope.spawn(move || run(seed)))
            .collect();
        let mut results: Vec<_> = handles.into_iter().map(|it| it.join().unwrap()).collect();
        results.reverse();
        results
    });
    assert_eq!(here, there);
    assert_ne!(here[0].1, here[1].1);
}

#[test]
fn what_is_absent_is_said() {
    let everything = Plan::named("everything").unwrap();
    let (sounds, response) = (sounds(), response());
    let (all, none) = (material(&sounds, &response), Material::default());
    let kinds = [
        MaterialKind::Babble,
        MaterialKind::Noise,
        MaterialKind::Rooms,
    ];
    assert!(everything.absent(|kind| none.has(kind)).iter().eq(&kinds));
    assert!(everything.absent(|kind| all.has(kind)).is_empty());
    assert!(MaterialKind::ALL.iter().all(|kind| all.has(*kind)));
    let samples = clip(100, 0.05);
    let input = Clip::new(&samples, RATE).unwrap();
    let alone = Plan::named("copy-paste").unwrap();
    let error = alone
        .apply(&input, &none, &mut StdRng::seed_from_u64(1))
        .unwrap_err();
    let early = alone.check_material(|kind| none.has(kind)).unwrap_err();
    assert!(early.to_string().contains("step 1, copy-paste"), "{early}");
    let to_join = [MaterialKind::SameClass, MaterialKind::Neutral];
    for error in [error, early] {
        assert!(error.missing().unwrap().iter().eq(&to_join), "{error:?}");
    }
    everything.check_material(|kind| none.has(kind)).unwrap();
    alone.check_material(|kind| all.has(kind)).unwrap();
}

#[test]
fn a_source_given_twice_is_absent_once() {
    let text = "[[step]]\nkind = \"noise\"\nsources = [\"babble\", \"babble\", \"recorded\"]";
    let plan = Plan::parse("p", text).unwrap();
    let (sounds, none) = (sounds(), Material::default());
    let error = plan.check_material(|kind| none.has(kind)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(
        source.to_string(),
        "no babble or recorded noise to draw from"
    );
    let noise = Material {
        noise: sounds.iter().collect(),
        ..Material::default()
    };
    plan.check_material(|kind| noise.has(kind)).unwrap();
    assert_eq!(
        plan.absent(|kind| noise.has(kind)),
        [MaterialKind::Babble].into()
    );
}

#[test]
fn gains_that_add_up_beyond_all_measure_are_an_error() {
    let plan = Plan::parse("p", &"[[step]]\nkind = \"gain\"\ngain_db = 60\n".repeat(4)).unwrap();
    let input = Clip::new(&[1.0], RATE).unwrap();
    let error = plan
        .apply(&input, &Material::default(), &mut StdRng::seed_from_u64(1))
        .unwrap_err();
    assert!(matches!(error, AugmentError::Overflow { step: "gain" }));
}

#[test]
fn silence_stays_silence_but_for_the_codec() {
    let (sounds, response) = (sounds(), response());
    let material = material(&sounds, &response);
    for n in [1, 7, 500, 20_000] {
        let samples = vec![0.0; n];
        let input = Clip::new(&samples, RATE).unwrap();
        for step in &Plan::named("everything").unwrap().steps {
            let mut rng = StdRng::seed_from_u64(3);
            let out = step.operation.apply(&input, &material, &mut rng).unwrap();
            // The smallest step of A-law.
            let most = match step.operation {
                Operation::Codec(_) | Operation::Telephone(_) => 3.0 / 4_096.0,
                _ => 0.0,
            };
            let loudest = out
                .samples
                .iter()
                .fold(0.0_f32, |most, x| most.max(x.abs()));
            assert!(loudest <= most, "{}: {loudest}", step.operation.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_plan_gives_finite_samples(samples in vec(-1.0_f32..1.0, 1..6_000), seed in 0_u64..10_000) {
        let (sounds, response) = (sounds(), response());
        let material = material(&sounds, &response);
        let input = Clip::new(&samples, RATE).unwrap();
        for name in Plan::names() {
            let plan = Plan::named(name).unwrap();
            let out = plan.apply(&input, &material, &mut StdRng::seed_from_u64(seed)).unwrap();
            prop_assert!(!out.samples.is_empty());
            prop_assert!(out.samples.iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn a_bad_step_is_named_with_its_line() {
    let said = |text: &str| {
        let error = Plan::parse("mine", text).unwrap_err();
        assert!(!error.hint().is_empty());
        std::error::Error::source(&error).unwrap().to_string()
    };
    let first = "# a plan\n[[step]]\nkind = \"gain\"\n\n";
    let unknown = said(&format!("{first}[[step]]\nkind = \"noise\"\nsnr = 3\n"));
    assert!(
        unknown.starts_with("step 2 (line 5), noise: unknown field `snr`"),
        "{unknown}"
    );
    let kind = said(&format!("{first}[[step]]\nkind = \"noises\"\n"));
    assert!(
        kind.starts_with("step 2 (line 5), noises: unknown variant"),
        "{kind}"
    );
    let missing = said("[[step]]\nsnr_db = 3\n");
    assert!(
        missing.starts_with("step 1 (line 1), of no kind: missing field `kind`"),
        "{missing}"
    );
    let range = said("[[step]]\nkind = \"noise\"\nsnr_db = \"loud\"\n");
    assert!(
        range.contains("a number, or two: lowest and highest") && range.contains("snr_db"),
        "{range}"
    );
    let share = said("[[step]]\nkind = \"gain\"\nprobability = \"half\"\n");
    assert!(
        share.contains("probability is \"half\", expected a number from 0 to 1"),
        "{share}"
    );
    assert_eq!(said("# nothing\n"), "it has no step");
}
