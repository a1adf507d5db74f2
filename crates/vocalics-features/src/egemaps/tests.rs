use super::*;

fn voice(rate: u32, secs: f64) -> Vec<f32> {
    let n = frame_samples(secs, rate);
    let mut phase = 0.0;
    (0..n)
        .map(|i| {
            let t = i as f64 / f64::from(rate);
            phase += std::f64::consts::TAU * (180.0 + 30.0 * (5.0 * t).sin()) / f64::from(rate);
            let tone: f64 = (1..18)
                .map(|k| (f64::from(k) * phase).sin() / f64::from(k))
                .sum();
            narrow(0.2 * tone * (2.0 * t).sin().abs())
        })
        .collect()
}

fn value(values: &[f32], name: &str) -> f32 {
    values[EGEMAPS_FUNCTIONALS.iter().position(|n| *n == name).unwrap()]
}

#[test]
fn a_known_voice_has_its_pitch_at_every_rate() {
    for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000] {
        let mut egemaps = Egemaps::new(rate).unwrap();
        assert_eq!(egemaps.sample_rate(), rate);
        let samples = voice(rate, 1.5);
        let values = egemaps.functionals(&samples).unwrap();
        assert!(values.iter().all(|x| x.is_finite()), "{rate}");
        let semitones = value(&values, "F0semitoneFrom27.5Hz_sma3nz_amean");
        let expected = 12.0 * (180.0_f32 / 27.5).log2();
        assert!((semitones - expected).abs() < 0.7, "{rate}: {semitones}");
        let descriptors = egemaps.descriptors(&samples).unwrap();
        assert_eq!(descriptors.n_features(), EGEMAPS_DESCRIPTORS.len());
        assert!((140..=145).contains(&descriptors.n_frames()));
    }
}

#[test]
fn silence_constants_and_noise_are_finite() {
    let noise: Vec<f32> = (0..16_000_u32)
        .scan(7_u32, |state, _| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 8) as f32 / 8_388_608.0 - 1.0)
        })
        .collect();
    let clipped: Vec<f32> = voice(16_000, 1.0)
        .iter()
        .map(|x| (50.0 * x).clamp(-1.0, 1.0))
        .collect();
    for samples in [
        vec![0.0; 16_000],
        vec![0.5; 16_000],
        noise,
        clipped,
        vec![1e9; 2_000],
    ] {
        let mut egemaps = Egemaps::new(16_000).unwrap();
        let values = egemaps.functionals(&samples).unwrap();
        assert_eq!(values.len(), 88);
        assert!(values.iter().all(|x| x.is_finite()));
        egemaps.descriptors(&samples).unwrap();
    }
    let silent = Egemaps::new(16_000)
        .unwrap()
        .functionals(&[0.0; 16_000])
        .unwrap();
    assert!(value(&silent, "VoicedSegmentsPerSec").abs() < 1e-9);
    assert!(value(&silent, "loudness_sma3_amean").abs() < 1e-9);
}

#[test]
fn what_cannot_be_described_is_refused() {
    assert!(matches!(
        Egemaps::new(7_999),
        Err(FeatureError::Config { .. })
    ));
    assert!(matches!(
        Egemaps::new(96_000),
        Err(FeatureError::Config { .. })
    ));
    let mut egemaps = Egemaps::new(16_000).unwrap();
    assert_eq!(egemaps.functionals(&[]), Err(FeatureError::Empty));
    assert!(matches!(
        egemaps.functionals(&[0.0; 959]),
        Err(FeatureError::TooShort {
            expected: 960,
            actual: 959
        })
    ));
    assert!(matches!(
        egemaps.functionals(&[f32::NAN; 2000]),
        Err(FeatureError::Signal(_))
    ));
    assert_eq!(egemaps.functionals(&[0.0; 960]).unwrap().len(), 88);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]
    #[test]
    fn any_samples_give_finite_values(
        samples in proptest::collection::vec(-1.5_f32..1.5, 960..4_000),
        gain in -9_i32..9,
    ) {
        let samples: Vec<f32> = samples.iter().map(|x| x * 10.0_f32.powi(gain)).collect();
        let mut egemaps = Egemaps::new(16_000).unwrap();
        if let Ok(values) = egemaps.functionals(&samples) {
            proptest::prop_assert!(values.iter().all(|x| x.is_finite()));
            proptest::prop_assert!(egemaps.descriptors(&samples).is_ok());
        } else {
            proptest::prop_assert!(samples.iter().any(|x| x.abs() > vocalics_dsp::MAX_SAMPLE));
        }
    }
}
