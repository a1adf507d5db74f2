use super::*;
use vocalics_dsp::narrow;

/// A voice of 18 harmonics at 150 to 210 Hz that swells and fades.
fn voice(rate: u32, secs: f64) -> Vec<f32> {
    let mut phase = 0.0;
    (0..frame_samples(secs, rate))
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
    values[FUNCTIONALS.iter().position(|n| *n == name).unwrap()]
}

#[test]
fn a_known_voice_has_its_pitch_at_every_rate() {
    for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000] {
        let samples = voice(rate, 1.5);
        let values = Egemaps.functionals(&samples, rate).unwrap();
        assert!(values.iter().all(|x| x.is_finite()), "{rate}");
        let semitones = value(&values, "F0semitoneFrom27.5Hz_sma3nz_amean");
        let expected = 12.0 * (180.0_f32 / 27.5).log2();
        assert!((semitones - expected).abs() < 0.7, "{rate}: {semitones}");
        let found = Egemaps.descriptors(&samples, rate).unwrap();
        assert_eq!(found.matrix.n_features(), DESCRIPTORS.len());
        assert!((140..=145).contains(&found.matrix.n_frames()));
    }
}

#[test]
fn levels_are_those_put_in() {
    let rate = 16_000;
    let tone: Vec<f32> = (0..rate)
        .map(|n| {
            narrow(0.1 * (std::f64::consts::TAU * 1_000.0 * f64::from(n) / f64::from(rate)).sin())
        })
        .collect();
    let values = Egemaps.functionals(&tone, rate).unwrap();
    let level = value(&values, "equivalentSoundLevel_dBp");
    assert!((level + 23.01).abs() < 0.01, "{level}");
    // Ten times the amplitude is 100^0.33 times as loud, and nothing else moves with the level.
    let loud: Vec<f32> = tone.iter().map(|x| 10.0 * x).collect();
    let louder = Egemaps.functionals(&loud, rate).unwrap();
    let ratio = value(&louder, "loudness_sma3_amean") / value(&values, "loudness_sma3_amean");
    assert!((ratio - 100.0_f32.powf(0.33)).abs() < 0.05, "{ratio}");
    for name in [
        "F0semitoneFrom27.5Hz_sma3nz_amean",
        "HNRdBACF_sma3nz_amean",
        "alphaRatioV_sma3nz_amean",
    ] {
        let (a, b) = (value(&values, name), value(&louder, name));
        assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{name}: {a} {b}");
    }
}

#[test]
fn silence_constants_noise_and_clipping_are_finite() {
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
        vec![0.1; 959],
        vec![0.1],
    ] {
        let values = Egemaps.functionals(&samples, 16_000).unwrap();
        assert_eq!(values.len(), 88);
        assert!(values.iter().all(|x| x.is_finite()));
        let found = Egemaps.descriptors(&samples, 16_000).unwrap();
        assert!(found.matrix.as_slice().iter().all(|x| x.is_finite()));
    }
    let silent = Egemaps.functionals(&[0.0; 16_000], 16_000).unwrap();
    assert!(value(&silent, "VoicedSegmentsPerSec").abs() < 1e-9);
    // The floor of a 16-bit step, as in the reference.
    let loudness = value(&silent, "loudness_sma3_amean");
    assert!((loudness - 1.03e-3).abs() < 1e-4, "{loudness}");
    assert!((value(&silent, "equivalentSoundLevel_dBp") + 200.0).abs() < 1e-3);
}

#[test]
fn what_cannot_be_described_is_refused() {
    assert_eq!(Egemaps.functionals(&[], 16_000), Err(FeatureError::Empty));
    assert!(matches!(
        Egemaps.functionals(&[f32::NAN; 2000], 16_000),
        Err(FeatureError::Signal(_))
    ));
    assert!(matches!(
        Egemaps.descriptors(&[0.0; 2000], 3_999),
        Err(FeatureError::Config { .. })
    ));
}
