//! Stretch and shift of real voices. Runs where `VOCALICS_DATA`, or `../shared/data`, holds RAVDESS speech.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the helpers of a test may fail it, and say that they skip"
)]

use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_audio::{DecodeOptions, read_file};
use vocalics_augment::{Augmentation, Clip, Material, PitchShift, Range, TimeStretch};
use vocalics_dsp::pitch::{PitchConfig, PitchTrack, pitch};

const RATE: u32 = 16_000;
/// A man and a woman, neutral, happy and angry.
const CLIPS: [&str; 6] = [
    "Actor_01/03-01-01-01-01-01-01.flac",
    "Actor_01/03-01-03-01-01-01-01.flac",
    "Actor_01/03-01-05-01-01-01-01.flac",
    "Actor_02/03-01-01-01-01-01-02.flac",
    "Actor_02/03-01-03-01-01-01-02.flac",
    "Actor_02/03-01-05-01-01-01-02.flac",
];

fn clips() -> Vec<Vec<f32>> {
    let root = std::env::var_os("VOCALICS_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let options = DecodeOptions {
        sample_rate: Some(RATE),
        ..DecodeOptions::default()
    };
    CLIPS
        .iter()
        .filter_map(|name| {
            let path = root.join("ravdess-speech").join(name);
            if !path.is_file() {
                println!("skipped: no {}", path.display());
                return None;
            }
            Some(read_file(&path, &options).unwrap().into_samples())
        })
        .collect()
}

fn track(samples: &[f32]) -> PitchTrack {
    pitch(samples, RATE, &PitchConfig::default()).unwrap()
}

/// Median over the voiced frames, in cents.
fn moved(before: &PitchTrack, after: &PitchTrack, tempo: f64) -> f64 {
    let mut cents: Vec<f64> = after
        .times_secs
        .iter()
        .zip(&after.f0_hz)
        .filter(|(_, f0)| **f0 > 0.0)
        .filter_map(|(secs, f0)| Some(1_200.0 * (f64::from(*f0) / before.at(secs * tempo)?).log2()))
        .collect();
    assert!(cents.len() > 30);
    cents.sort_by(f64::total_cmp);
    cents[cents.len() / 2]
}

#[test]
fn stretching_keeps_the_pitch() {
    for samples in clips() {
        let clip = Clip::new(&samples, RATE).unwrap();
        for tempo in [0.8, 0.9, 1.1, 1.25] {
            let stretch = TimeStretch {
                tempo: Range::of(tempo, tempo),
                ..TimeStretch::default()
            };
            let out = stretch
                .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
                .unwrap()
                .samples;
            assert!((out.len() as f64 * tempo - samples.len() as f64).abs() <= tempo);
            let off = moved(&track(&samples), &track(&out), tempo);
            assert!(off.abs() < 5.0, "{tempo}: {off} cents");
        }
    }
}

#[test]
fn shifting_moves_the_pitch_by_the_semitones() {
    for samples in clips() {
        let clip = Clip::new(&samples, RATE).unwrap();
        for semitones in [-2.0, -1.0, 1.0, 2.0] {
            let shift = PitchShift {
                shift_semitones: Range::of(semitones, semitones),
                ..PitchShift::default()
            };
            let out = shift
                .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
                .unwrap()
                .samples;
            assert_eq!(out.len(), samples.len());
            let off = moved(&track(&samples), &track(&out), 1.0) - 100.0 * semitones;
            assert!(off.abs() < 10.0, "{semitones}: {off} cents");
        }
    }
}
