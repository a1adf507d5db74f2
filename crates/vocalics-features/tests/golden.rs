//! Agreement with librosa on the vectors of `golden/logmel.py`.

use serde::Deserialize;
use vocalics_dsp::delta::{DeltaKernel, delta};
use vocalics_dsp::trim::trim_silence;
use vocalics_features::{FeatureMatrix, LogMel, LogMelConfig, MelNorm, MelScale, Padding};

#[derive(Deserialize)]
struct Golden {
    sample_rate: u32,
    pcm16: Vec<i16>,
    spectra: Vec<Spectrum>,
    delta_input: Vec<f32>,
    delta_features: usize,
    deltas: Vec<Delta>,
    trim_repeat: usize,
    trims: Vec<Trim>,
    scales: Vec<Scale>,
    default_mel_power: Vec<f32>,
    default_fingerprint: String,
}

#[derive(Deserialize)]
struct Spectrum {
    n_fft: usize,
    win_length: usize,
    hop_length: usize,
    n_mels: usize,
    fmin: f32,
    fmax: f32,
    mel_scale: MelScale,
    mel_norm: MelNorm,
    center: bool,
    padding: Padding,
    n_frames: usize,
    mel_power: Vec<f32>,
}

#[derive(Deserialize)]
struct Delta {
    width: usize,
    order: usize,
    values: Vec<f32>,
}

#[derive(Deserialize)]
struct Trim {
    top_db: f32,
    start: usize,
    end: usize,
}

#[derive(Deserialize)]
struct Scale {
    hz: f64,
    slaney: f64,
    htk: f64,
}

fn golden() -> (Golden, Vec<f32>) {
    let golden: Golden = serde_json::from_str(include_str!("../../../golden/logmel.json"))
        .expect("golden/logmel.py writes this shape");
    let samples = golden
        .pcm16
        .iter()
        .map(|x| f32::from(*x) / 32_768.0)
        .collect();
    (golden, samples)
}

/// Checks mel power against the reference: within 1e-4 relative where it comes within 70 dB of the
/// frame's strongest band, within 1e-3 below, where the rounding of an f32 transform shows.
#[expect(
    clippy::print_stdout,
    reason = "the margins are worth seeing with --nocapture"
)]
fn check(name: &str, log_mel: &FeatureMatrix, power: &[f32], floor: f32) {
    assert_eq!(log_mel.as_slice().len(), power.len(), "{name}");
    let (mut near, mut far) = (0.0_f64, 0.0_f64);
    for (ours, theirs) in log_mel.rows().zip(power.chunks(log_mel.n_features())) {
        let strongest = theirs.iter().copied().fold(floor, f32::max);
        for (a, b) in ours.iter().zip(theirs) {
            let error = (f64::from(*a) - f64::from(b.max(floor)).ln())
                .abs()
                .exp_m1();
            let worst = if *b >= 1e-7 * strongest {
                &mut near
            } else {
                &mut far
            };
            *worst = worst.max(error);
        }
    }
    println!("{name}: largest relative error {near:.1e} within 70 dB, {far:.1e} below");
    assert!(
        near <= 1e-4 && far <= 1e-3,
        "{name}: {near} within 70 dB, {far} below"
    );
}

#[test]
fn mel_power_is_librosas_within_1e_4_relative() {
    let (golden, samples) = golden();
    for case in &golden.spectra {
        let config = LogMelConfig {
            sample_rate: golden.sample_rate,
            n_fft: case.n_fft,
            win_length: case.win_length,
            hop_length: case.hop_length,
            n_mels: case.n_mels,
            fmin: case.fmin,
            fmax: case.fmax,
            mel_scale: case.mel_scale,
            mel_norm: case.mel_norm,
            center: case.center,
            padding: case.padding,
            trim_db: None,
            normalise_level: false,
            ..LogMelConfig::default()
        };
        let floor = config.log_floor;
        let features = LogMel::new(config).unwrap().compute(&samples).unwrap();
        assert_eq!(features.n_frames(), case.n_frames);
        check(
            &format!("n_fft {}", case.n_fft),
            &features,
            &case.mel_power,
            floor,
        );
    }
}

#[test]
fn the_default_front_end_is_librosas_within_1e_4_relative() {
    let (golden, samples) = golden();
    let mut front_end = LogMel::new(LogMelConfig::default()).unwrap();
    assert_eq!(front_end.fingerprint(), golden.default_fingerprint);
    let features = front_end.compute(&samples).unwrap();
    check("default", &features, &golden.default_mel_power, 1e-10);
}

#[test]
fn deltas_are_librosas() {
    let (golden, _) = golden();
    let scale = golden
        .delta_input
        .iter()
        .fold(0.0_f32, |max, x| max.max(x.abs()));
    for case in &golden.deltas {
        let kernel = DeltaKernel::new(case.width, case.order).unwrap();
        let ours = delta(&golden.delta_input, golden.delta_features, &kernel);
        assert_eq!(ours.len(), case.values.len());
        for (a, b) in ours.iter().zip(&case.values) {
            assert!(
                (a - b).abs() <= 1e-5 * scale,
                "{} {}: {a} {b}",
                case.width,
                case.order
            );
        }
    }
}

#[test]
fn trimming_is_librosas() {
    let (golden, samples) = golden();
    let slow: Vec<f32> = samples
        .iter()
        .flat_map(|x| std::iter::repeat_n(*x, golden.trim_repeat))
        .collect();
    for case in &golden.trims {
        let range = trim_silence(&slow, case.top_db).unwrap();
        assert_eq!(range, case.start..case.end, "{} dB", case.top_db);
    }
}

#[test]
fn mel_scales_are_librosas() {
    let (golden, _) = golden();
    for case in &golden.scales {
        for (scale, mel) in [(MelScale::Slaney, case.slaney), (MelScale::Htk, case.htk)] {
            assert!(
                (scale.hz_to_mel(case.hz) - mel).abs() <= 1e-9 * mel.max(1.0),
                "{}",
                case.hz
            );
        }
    }
}
