//! Measures the voice in raw files of little-endian 32-bit floats and prints one JSON object per file.
//!
//! `cargo run --release -p vocalics-dsp --example voice -- RATE FILE...`
//!
//! `bench/voice/compare.py` reads the lines beside what the reference tools give.

mod clips;

use std::error::Error;
use std::time::Instant;

use serde_json::{Value, json};
use vocalics_dsp::cepstral_peak::{CepstralPeakConfig, cepstral_peak};
use vocalics_dsp::formant::{FormantConfig, FormantTrack, formants};
use vocalics_dsp::harmonicity::harmonicity;
use vocalics_dsp::intensity::intensity;
use vocalics_dsp::periods::periods;
use vocalics_dsp::perturbation::{jitter, shimmer};
use vocalics_dsp::pitch::{PitchConfig, pitch};
use vocalics_dsp::pyin::{PyinConfig, pyin};

fn main() -> Result<(), Box<dyn Error>> {
    clips::print_each(measure)
}

fn measure(samples: &[f32], sample_rate: u32) -> Result<Value, Box<dyn Error>> {
    let start = Instant::now();
    let track = pitch(samples, sample_rate, &PitchConfig::default())?;
    let pitch_secs = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let probabilistic = pyin(samples, sample_rate, &PyinConfig::default())?;
    let pyin_secs = start.elapsed().as_secs_f64();
    let strict = PyinConfig {
        no_trough_prob: 0.001,
        ..PyinConfig::default()
    };
    let strict = pyin(samples, sample_rate, &strict)?;
    let peaks = cepstral_peak(samples, sample_rate, &CepstralPeakConfig::default())?;
    let n_silent = peaks.cpp_db.iter().filter(|cpp| cpp.is_none()).count();
    let marks = periods(samples, sample_rate, &track)?;
    let (jitter, shimmer) = (jitter(&marks), shimmer(&marks));
    let level = intensity(samples, sample_rate, 100.0, 0.01)?;
    let tract = formants(samples, sample_rate, &FormantConfig::default())?;
    Ok(json!({
        "pitch_secs": pitch_secs,
        "f0_times": track.times_secs,
        "f0": track.f0_hz,
        "pyin_secs": pyin_secs,
        "pyin_times": probabilistic.times_secs,
        "pyin_f0": probabilistic.f0_hz,
        "pyin_strict_f0": strict.f0_hz,
        "hnr_db": harmonicity(samples, sample_rate, 75.0, 0.01)?.mean_db(),
        "cpps": peaks.mean_db(),
        "silent": n_silent,
        "n_points": marks.times_secs.len(),
        "jitter_local": jitter.map(|j| j.local),
        "jitter_rap": jitter.map(|j| j.rap),
        "jitter_ppq5": jitter.map(|j| j.ppq5),
        "jitter_ddp": jitter.map(|j| j.ddp),
        "shimmer_local": shimmer.map(|s| s.local),
        "shimmer_local_dB": shimmer.map(|s| s.local_db),
        "shimmer_apq3": shimmer.map(|s| s.apq3),
        "shimmer_apq5": shimmer.map(|s| s.apq5),
        "shimmer_apq11": shimmer.and_then(|s| s.apq11),
        "intensity_times": level.times_secs,
        "intensity": level.intensity_db,
        "formant_times": tract.times_secs,
        "f1": nth(&tract, 0),
        "f2": nth(&tract, 1),
        "f3": nth(&tract, 2),
    }))
}

fn nth(track: &FormantTrack, index: usize) -> Vec<Option<f32>> {
    let frames = track.frames.iter();
    frames
        .map(|frame| frame.get(index).map(|formant| formant.hz))
        .collect()
}
