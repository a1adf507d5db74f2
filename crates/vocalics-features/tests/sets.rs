//! What every feature set promises, and what some of them find in sounds with known answers.

use proptest::prelude::*;
use vocalics_features::{FeatureError, FeatureSet, set_by_name, sets};

/// A buzz whose pitch rises from 140 Hz, four syllables a second, with a pause from 1.5 to 2.1 s.
fn speech(rate: u32) -> Vec<f32> {
    let mut phase = 0.0_f32;
    (0..rate * 7 / 2)
        .map(|n| {
            let t = n as f32 / rate as f32;
            phase += std::f32::consts::TAU * (140.0 + 10.0 * t) / rate as f32;
            phase %= std::f32::consts::TAU;
            let inside = (0.25..1.5).contains(&t) || (2.1..3.1).contains(&t);
            let on = 0.5
                - 0.5
                    * (std::f32::consts::TAU * 4.0 * (t - if t > 2.0 { 2.1 } else { 0.25 })).cos();
            let voice: f32 = (1..20_u8)
                .map(|k| (f32::from(k) * phase).sin() / f32::from(k))
                .sum();
            let hiss = ((n.wrapping_mul(2_654_435_761) >> 16) as f32 / 32_768.0 - 1.0) * 1e-4;
            hiss + if inside { 0.1 * on * voice } else { 0.0 }
        })
        .collect()
}

fn value(set: &dyn FeatureSet, values: &[f32], name: &str) -> f32 {
    let names = set.functional_names();
    values[names
        .iter()
        .position(|n| n == name)
        .expect("a name of the set")]
}

#[test]
fn names_are_unique_and_fit_the_values() {
    let mut seen = std::collections::BTreeSet::new();
    for set in sets() {
        assert!(seen.insert(set.name()) && set.version() > 0 && !set.about().is_empty());
        assert_eq!(
            set_by_name(set.name()).map(FeatureSet::name),
            Some(set.name())
        );
        for rate in [8_000, 16_000, 44_100, 48_000] {
            let samples = speech(rate);
            let names = set.functional_names();
            let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
            assert_eq!(distinct.len(), names.len(), "{}", set.name());
            assert_eq!(set.functionals(&samples, rate).unwrap().len(), names.len());
            let found = set.descriptors(&samples, rate).unwrap();
            assert_eq!(found.matrix.n_features(), set.descriptor_names().len());
            assert_eq!(found.matrix.n_frames(), found.times_secs.len());
            assert!(found.times_secs.is_sorted() && found.step_secs > 0.0);
            assert!(
                found
                    .times_secs
                    .windows(2)
                    .all(|pair| { (pair[1] - pair[0] - found.step_secs).abs() < 1e-9 })
            );
        }
    }
    assert!(set_by_name("none").is_none());
}

#[test]
fn prosody_names_what_is_heard() {
    let set = set_by_name("prosody").unwrap();
    for rate in [16_000, 44_100] {
        let values = set.functionals(&speech(rate), rate).unwrap();
        let get = |name: &str| value(set, &values, name);
        let expected = 12.0 * (158.0_f32 / 27.5).log2();
        assert!(
            (get("pitch_median_semitones") - expected).abs() < 1.5,
            "{values:?}"
        );
        // 10 Hz a second around 158 Hz.
        let slope = 12.0 * (168.0_f32 / 158.0).log2();
        assert!(
            (get("pitch_rise_semitones_per_sec") - slope).abs() < 1.0,
            "{values:?}"
        );
        assert!((get("syllable_count") - 9.0).abs() < 1.5, "{values:?}");
        assert!((get("pause_count") - 1.0).abs() < 1e-6, "{values:?}");
        assert!((get("pause_mean_secs") - 0.6).abs() < 0.2, "{values:?}");
        assert!(
            get("hnr_mean_db") > 10.0 && get("jitter_local") < 0.02,
            "{values:?}"
        );
    }
}

/// A buzz of one level whose pitch rises by 2 semitones a second.
#[test]
fn a_steady_rise_is_nothing_but_a_rise() {
    let rate = 16_000_u32;
    let mut phase = 0.0_f64;
    let samples: Vec<f32> = (0..rate * 3)
        .map(|n| {
            let t = f64::from(n) / f64::from(rate) - 0.5;
            phase += 150.0 * (t / 6.0).exp2() / f64::from(rate);
            let voice: f64 = (1..20_u8)
                .map(|k| (std::f64::consts::TAU * f64::from(k) * phase).sin() / f64::from(k))
                .sum();
            let noise = f64::from(n.wrapping_mul(2_654_435_761) >> 16) / 32_768.0 - 1.0;
            let on = (0.0..2.0).contains(&t);
            vocalics_dsp::narrow(1e-4 * noise + if on { 0.1 * voice } else { 0.0 })
        })
        .collect();
    let set = set_by_name("prosody").unwrap();
    let values = set.functionals(&samples, rate).unwrap();
    let get = |name: &str| value(set, &values, name);
    let rise = get("pitch_rise_semitones_per_sec");
    assert!((rise - 2.0).abs() < 0.1, "{rise}");
    assert!(
        get("pitch_fall_semitones_per_sec").abs() < 1e-6,
        "{values:?}"
    );
    assert!(get("intensity_std_db") < 0.5, "{values:?}");
    assert!(get("intensity_range_db") < 1.0, "{values:?}");
    assert!(get("intensity_movement_db_per_sec") < 1e-6, "{values:?}");
    // Samples within ±0.1 of a saw: 0.1² · Σ 1/(2k²), re 20 µPa.
    let power: f32 = (1..20_u8).map(|k| 0.005 / f32::from(k).powi(2)).sum();
    let expected = 10.0 * (power / 4e-10).log10();
    assert!(
        (get("intensity_mean_db") - expected).abs() < 0.3,
        "{values:?}"
    );
}

#[test]
fn rhythm_counts_syllables_and_pauses() {
    let set = set_by_name("rhythm").unwrap();
    let values = set.functionals(&speech(16_000), 16_000).unwrap();
    let get = |name: &str| value(set, &values, name);
    assert!(
        (get("articulation_rate_per_sec") - 4.0).abs() < 0.6,
        "{values:?}"
    );
    assert!(get("speech_rate_per_sec") < get("articulation_rate_per_sec"));
    assert!((get("pause_ratio") - 0.6 / 2.85).abs() < 0.08, "{values:?}");
}

#[test]
fn odd_input_is_defined() {
    for set in sets() {
        assert!(matches!(
            set.functionals(&[], 16_000),
            Err(FeatureError::Empty)
        ));
        assert!(matches!(
            set.descriptors(&[0.0, f32::NAN], 16_000),
            Err(FeatureError::Signal(_))
        ));
        assert!(set.functionals(&[0.0; 100], 1_000).is_err());
        for samples in [&[0.0; 16_000][..], &[0.5; 16_000], &[1.0; 3], &[-1.0; 700]] {
            for rate in [8_000, 48_000] {
                let values = set.functionals(samples, rate).unwrap();
                let descriptors = set.descriptors(samples, rate).unwrap().matrix;
                assert!(
                    values
                        .iter()
                        .chain(descriptors.as_slice())
                        .all(|x| x.is_finite()),
                    "{} {values:?}",
                    set.name()
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn values_are_finite_on_any_input(
        samples in proptest::collection::vec(
            prop_oneof![-1.0_f32..1.0, Just(0.0), Just(1.0), Just(-1.0), -1e9_f32..1e9],
            1..3000,
        ),
        rate in 4_000_u32..50_000,
    ) {
        for set in sets() {
            let values = set.functionals(&samples, rate).unwrap();
            prop_assert!(values.iter().all(|x| x.is_finite()), "{}: {:?}", set.name(), values);
            let found = set.descriptors(&samples, rate).unwrap().matrix;
            prop_assert!(found.as_slice().iter().all(|x| x.is_finite()), "{}", set.name());
        }
    }
}
