//! Measures timbre in raw files of little-endian 32-bit floats and prints one JSON object per file.
//!
//! `cargo run --release -p vocalics-dsp --example timbre -- RATE FILE...`
//!
//! `bench/signal/librosa_agreement.py` reads the lines beside what librosa gives.

mod clips;

use std::error::Error;

use serde_json::{Value, json};
use vocalics_dsp::Padding;
use vocalics_dsp::chroma::chroma;
use vocalics_dsp::mfcc::{Mfcc, MfccConfig};
use vocalics_dsp::onset::{OnsetConfig, onset_strength};
use vocalics_dsp::spectral::{ROLLOFF, SpectralShape, spectral_shape};
use vocalics_dsp::stft::{Stft, StftConfig};
use vocalics_dsp::zero_crossing::zero_crossing_rate;

fn main() -> Result<(), Box<dyn Error>> {
    clips::print_each(measure)
}

/// Every measure with librosa's own defaults, frame by frame.
fn measure(samples: &[f32], sample_rate: u32) -> Result<Value, Box<dyn Error>> {
    let config = StftConfig {
        n_fft: 2048,
        win_length: 2048,
        hop_length: 512,
        center: true,
        padding: Padding::Zero,
    };
    let mut stft = Stft::new(&config)?;
    let bin_hz = sample_rate as f32 / config.n_fft as f32;
    let shapes: Vec<SpectralShape> = stft
        .power_spectrogram(samples)
        .chunks_exact(stft.n_bins())
        .map(|power| spectral_shape(power, bin_hz, ROLLOFF))
        .collect::<Result<_, _>>()?;
    let column = |value: fn(&SpectralShape) -> f32| shapes.iter().map(value).collect::<Vec<_>>();
    Ok(json!({
        "mfcc": Mfcc::new(MfccConfig::librosa(sample_rate))?.compute(samples)?,
        "chroma": chroma(samples, sample_rate, &config, 12, None)?,
        "chroma_untuned": chroma(samples, sample_rate, &config, 12, Some(0.0))?,
        "centroid": column(|shape| shape.centroid_hz),
        "bandwidth": column(|shape| shape.spread_hz),
        "rolloff": column(|shape| shape.rolloff_hz),
        "flatness": column(|shape| shape.flatness),
        "zero_crossings": zero_crossing_rate(samples, config.n_fft, config.hop_length, true)?,
        "onset_strength": onset_strength(samples, &OnsetConfig::librosa(sample_rate))?,
    }))
}
