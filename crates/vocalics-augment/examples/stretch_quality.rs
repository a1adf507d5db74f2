//! Which way of stretching is the better one, measured. `stretch_quality [FILE...]`
//!
//! A synthetic voice with a known f0 contour is stretched and compared with the same voice made at that tempo: f0 in cents,
//! distance of log-mel in decibels. Real clips are stretched and stretched back. Each prints its f0 error, and by how much
//! jitter and harmonics-to-noise ratio change.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints its measurements"
)]

use std::f64::consts::TAU;
use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_audio::{DecodeOptions, read_file};
use vocalics_augment::{Augmentation, Clip, Material, Method, PitchShift, Range, TimeStretch};
use vocalics_dsp::decibel::power_db;
use vocalics_dsp::harmonicity::harmonicity;
use vocalics_dsp::mel::{MelFilterbank, MelNorm, MelScale};
use vocalics_dsp::periods::periods;
use vocalics_dsp::perturbation::jitter;
use vocalics_dsp::pitch::{PitchConfig, PitchTrack, pitch};
use vocalics_dsp::stft::{Stft, StftConfig};
use vocalics_dsp::{floor_index, narrow};

const RATE: u32 = 16_000;
const METHODS: [(&str, Method); 2] = [
    ("wsola", Method::Wsola),
    ("phase-vocoder", Method::PhaseVocoder),
];

fn stretch(samples: &[f32], tempo: f64, method: Method) -> Vec<f32> {
    let it = TimeStretch {
        tempo: Range::of(tempo, tempo),
        method,
    };
    let clip = Clip::new(samples, RATE).unwrap();
    it.apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
        .unwrap()
        .samples
}

fn shift(samples: &[f32], semitones: f64, method: Method) -> Vec<f32> {
    let it = PitchShift {
        shift_semitones: Range::of(semitones, semitones),
        method,
    };
    let clip = Clip::new(samples, RATE).unwrap();
    it.apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
        .unwrap()
        .samples
}

/// Two seconds at tempo 1: a gliding voice through formants that move, in syllables.
fn voice(f0_hz: f64, tempo: f64) -> Vec<f32> {
    let n = floor_index(2.0 * f64::from(RATE) / tempo);
    let mut phase = 0.0;
    (0..n)
        .map(|k| {
            let t = k as f64 / f64::from(RATE) * tempo;
            let f0 = f0_hz * (1.0 + 0.25 * (TAU * 0.7 * t).sin());
            phase += TAU * f0 / f64::from(RATE);
            let formants = [
                (600.0 + 250.0 * (TAU * 1.1 * t).sin(), 90.0),
                (1_500.0 + 500.0 * (TAU * 0.8 * t).cos(), 120.0),
                (2_600.0, 170.0),
                (3_600.0, 250.0),
            ];
            let mut sum = 0.0;
            let mut harmonic = 1.0;
            while harmonic * f0 < 7_000.0 {
                let hz = harmonic * f0;
                let gain: f64 = formants
                    .iter()
                    .map(|(centre, width)| 1.0 / (1.0 + ((hz - centre) / width).powi(2)))
                    .sum();
                sum += (gain + 0.01) * (harmonic * phase).cos();
                harmonic += 1.0;
            }
            let syllable = 0.05 + (TAU * 2.0 * t).sin().powi(2);
            narrow(0.1 * syllable * sum)
        })
        .collect()
}

fn track(samples: &[f32]) -> PitchTrack {
    pitch(samples, RATE, &PitchConfig::default()).unwrap()
}

fn log_mel_db(samples: &[f32]) -> Vec<f32> {
    let config = StftConfig {
        n_fft: 512,
        win_length: 400,
        hop_length: 160,
        ..StftConfig::default()
    };
    let mut stft = Stft::new(&config).unwrap();
    let mel = MelFilterbank::new(
        RATE,
        512,
        40,
        50.0,
        7_500.0,
        MelScale::Slaney,
        MelNorm::None,
    );
    let mel = mel.unwrap();
    let (mut power, mut bands) = (vec![0.0; stft.n_bins()], vec![0.0; 40]);
    let mut out = Vec::new();
    for frame in 0..stft.n_frames(samples.len()) {
        stft.power_frame(samples, frame, &mut power);
        mel.apply(&power, &mut bands);
        out.extend(bands.iter().map(|band| power_db(*band).max(-40.0)));
    }
    out
}

fn rms_of(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0), |(sum, n), x| (sum + x * x, n + 1));
    (sum / f64::from(n.max(1))).sqrt()
}

/// Median of the difference in cents, and half of the range that holds 90 %, over a grid of 10 ms of the clip.
fn f0_off(of: &PitchTrack, reference: impl Fn(f64) -> Option<f64>) -> (f64, f64) {
    let frames = of.times_secs.iter().zip(&of.f0_hz);
    let mut off: Vec<f64> = frames
        .filter(|(_, f0)| **f0 > 0.0)
        .filter_map(|(secs, f0)| Some(1_200.0 * (f64::from(*f0) / reference(*secs)?).log2()))
        .collect();
    off.sort_by(f64::total_cmp);
    let at = |share: f64| off[floor_index(share * (off.len() - 1) as f64)];
    (at(0.5), (at(0.95) - at(0.05)) / 2.0)
}

fn quality(samples: &[f32]) -> (f64, f64) {
    let pitch = track(samples);
    let marks = periods(samples, RATE, &pitch).unwrap();
    let jitter = jitter(&marks).map_or(f64::NAN, |jitter| f64::from(jitter.local));
    let hnr = harmonicity(samples, RATE, 75.0, 0.01).unwrap();
    (100.0 * jitter, f64::from(hnr.mean_db().unwrap_or(f32::NAN)))
}

fn main() {
    println!(
        "synthetic: method f0 tempo | f0 median, spread (cents) | log-mel distance (dB) | jitter %, HNR dB (ideal)"
    );
    for (name, method) in METHODS {
        for f0 in [110.0, 220.0] {
            for tempo in [0.8, 0.9, 1.1, 1.25] {
                let out = stretch(&voice(f0, 1.0), tempo, method);
                let ideal = voice(f0, tempo);
                let truth = track(&ideal);
                let (median, spread) = f0_off(&track(&out), |secs| truth.at(secs));
                let distance = rms_of(
                    log_mel_db(&out)
                        .iter()
                        .zip(log_mel_db(&ideal))
                        .map(|(a, b)| f64::from(a - b)),
                );
                let ((jitter, hnr), (jitter_ideal, hnr_ideal)) = (quality(&out), quality(&ideal));
                println!(
                    "{name} {f0} {tempo} | {median:.1} {spread:.1} | {distance:.2} | {jitter:.2} ({jitter_ideal:.2}) {hnr:.1} ({hnr_ideal:.1})"
                );
            }
        }
    }
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        return;
    }
    println!(
        "{} files: method, what | f0 off, mean of medians, largest (cents) | log-mel there and back (dB) | jitter %, HNR dB, before and after",
        files.len()
    );
    for (name, method) in METHODS {
        for tempo in [0.8, 1.25] {
            report(&files, name, &format!("tempo {tempo}"), 0.0, |x| {
                let out = stretch(x, tempo, method);
                let mut back = stretch(&out, 1.0 / tempo, method);
                back.resize(x.len(), 0.0);
                (out, back, tempo)
            });
        }
        for semitones in [-2.0, 2.0] {
            report(
                &files,
                name,
                &format!("pitch {semitones}"),
                semitones,
                |x| {
                    let out = shift(x, semitones, method);
                    let back = shift(&out, -semitones, method);
                    (out, back, 1.0)
                },
            );
        }
    }
}

fn report(
    files: &[String],
    name: &str,
    what: &str,
    semitones: f64,
    act: impl Fn(&[f32]) -> (Vec<f32>, Vec<f32>, f64),
) {
    let mut rows = Vec::new();
    for file in files {
        let options = DecodeOptions {
            sample_rate: Some(RATE),
            ..DecodeOptions::default()
        };
        let samples = read_file(Path::new(file), &options).unwrap().into_samples();
        let (out, back, tempo) = act(&samples);
        let before = track(&samples);
        let moved = 2f64.powf(semitones / 12.0);
        let (median, _) = f0_off(&track(&out), |secs| Some(before.at(secs * tempo)? * moved));
        let distance = rms_of(
            log_mel_db(&back)
                .iter()
                .zip(log_mel_db(&samples))
                .map(|(a, b)| f64::from(a - b)),
        );
        let ((j0, h0), (j1, h1)) = (quality(&samples), quality(&out));
        rows.push([median, distance, j0, j1, h0, h1]);
    }
    let mean = |k: usize| rows.iter().map(|row| row[k]).sum::<f64>() / rows.len() as f64;
    let most = rows.iter().map(|row| row[0].abs()).fold(0.0, f64::max);
    println!(
        "{name} {what} | {:.1} {most:.1} | {:.2} | {:.2} {:.2} | {:.1} {:.1}",
        mean(0),
        mean(1),
        mean(2),
        mean(3),
        mean(4),
        mean(5)
    );
}
