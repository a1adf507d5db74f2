//! Agreement with librosa on the vectors of `golden/timbre.py`.

use serde::Deserialize;
use vocalics_dsp::Padding;
use vocalics_dsp::chroma::{chroma, estimate_tuning};
use vocalics_dsp::mfcc::{Mfcc, MfccConfig};
use vocalics_dsp::onset::{OnsetConfig, onset_strength};
use vocalics_dsp::spectral::{ROLLOFF, SpectralShape, spectral_shape};
use vocalics_dsp::stft::{Stft, StftConfig};
use vocalics_dsp::zero_crossing::zero_crossing_rate;

#[derive(Deserialize)]
struct Golden {
    sample_rate: u32,
    pcm16: Vec<i16>,
    mfcc: Vec<Coefficients>,
    mfcc_htk: Vec<f32>,
    tuning: f32,
    chroma: Vec<f32>,
    centroid: Vec<f32>,
    bandwidth: Vec<f32>,
    rolloff: Vec<f32>,
    flatness: Vec<f32>,
    zero_crossings: Vec<f32>,
    onset_strength: Vec<f32>,
}

#[derive(Deserialize)]
struct Coefficients {
    n_mfcc: usize,
    lifter: f32,
    values: Vec<f32>,
}

fn golden() -> (Golden, Vec<f32>) {
    let golden: Golden = serde_json::from_str(include_str!("../../../golden/timbre.json"))
        .expect("golden/timbre.py writes this shape");
    let samples = golden
        .pcm16
        .iter()
        .map(|x| f32::from(*x) / 32_768.0)
        .collect();
    (golden, samples)
}

/// librosa's default transform.
fn transform() -> StftConfig {
    StftConfig {
        n_fft: 2048,
        win_length: 2048,
        hop_length: 512,
        center: true,
        padding: Padding::Zero,
    }
}

/// Checks values against the reference: within 1e-3 of each value, or of `floor` where it is smaller.
#[expect(
    clippy::print_stdout,
    reason = "the margins are worth seeing with --nocapture"
)]
#[track_caller]
fn check(name: &str, ours: &[f32], theirs: &[f32], floor: f32) {
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let worst = ours
        .iter()
        .zip(theirs)
        .map(|(a, b)| (a - b).abs() / b.abs().max(floor))
        .fold(0.0, f32::max);
    println!("{name}: largest relative error {worst:.1e}");
    assert!(worst <= 1e-3, "{name}: {worst}");
}

#[test]
fn mfcc_is_librosas() {
    let (golden, samples) = golden();
    for case in &golden.mfcc {
        let config = MfccConfig {
            n_mfcc: case.n_mfcc,
            lifter: case.lifter,
            ..MfccConfig::librosa(golden.sample_rate)
        };
        let ours = Mfcc::new(config).unwrap().compute(&samples).unwrap();
        // A coefficient near 0 is a difference of large bands: 1 dB is the scale that matters.
        check(
            &format!("mfcc, lifter {}", case.lifter),
            &ours,
            &case.values,
            1.0,
        );
    }
}

#[test]
fn htk_mfcc_is_the_definition() {
    let (golden, samples) = golden();
    let config = MfccConfig::htk(golden.sample_rate);
    let ours = Mfcc::new(config).unwrap().compute(&samples).unwrap();
    check("mfcc, htk", &ours, &golden.mfcc_htk, 1.0);
}

#[test]
fn chroma_is_librosas() {
    let (golden, samples) = golden();
    let power = Stft::new(&transform()).unwrap().power_spectrogram(&samples);
    let bin_hz = golden.sample_rate as f32 / 2048.0;
    let tuning = estimate_tuning(&power, 1025, bin_hz, 12);
    assert!((tuning - golden.tuning).abs() < 1e-6, "{tuning}");
    let ours = chroma(&samples, golden.sample_rate, &transform(), 12, None).unwrap();
    check("chroma", &ours, &golden.chroma, 1e-2);
}

#[test]
fn spectral_shape_is_librosas() {
    let (golden, samples) = golden();
    let bin_hz = golden.sample_rate as f32 / 2048.0;
    let shapes: Vec<SpectralShape> = Stft::new(&transform())
        .unwrap()
        .power_spectrogram(&samples)
        .chunks(1025)
        .map(|power| spectral_shape(power, bin_hz, ROLLOFF).unwrap())
        .collect();
    let column = |value: fn(&SpectralShape) -> f32| shapes.iter().map(value).collect::<Vec<_>>();
    check(
        "centroid",
        &column(|s| s.centroid_hz),
        &golden.centroid,
        1.0,
    );
    check(
        "bandwidth",
        &column(|s| s.spread_hz),
        &golden.bandwidth,
        1.0,
    );
    check("rolloff", &column(|s| s.rolloff_hz), &golden.rolloff, 1.0);
    check("flatness", &column(|s| s.flatness), &golden.flatness, 0.0);
}

#[test]
fn zero_crossings_are_librosas() {
    let (golden, samples) = golden();
    let ours = zero_crossing_rate(&samples, 2048, 512, true).unwrap();
    check("zero crossings", &ours, &golden.zero_crossings, 1e-3);
}

#[test]
fn onset_strength_is_librosas() {
    let (golden, samples) = golden();
    let ours = onset_strength(&samples, &OnsetConfig::librosa(golden.sample_rate)).unwrap();
    check("onset strength", &ours, &golden.onset_strength, 0.1);
}
