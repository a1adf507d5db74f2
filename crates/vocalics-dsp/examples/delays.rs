//! Measures how long after its time each frame and mark of the streams comes, in raw files of little-endian 32-bit floats.
//!
//! `cargo run --release -p vocalics-dsp --example delays -- RATE FILE...`
//!
//! Chunks are of 10 ms. What the end of a file decides counts with that end. Prints one JSON object per file: delays in seconds, and how
//! many frames of pYIN differ with a bound.

mod clips;

use std::error::Error;

use serde_json::{Value, json};
use vocalics_dsp::periods::PeriodStream;
use vocalics_dsp::pitch::{PitchConfig, PitchStream};
use vocalics_dsp::pyin::{PyinConfig, PyinStream, pyin};

fn main() -> Result<(), Box<dyn Error>> {
    clips::print_each(measure)
}

/// Seconds from the time of each frame or mark of a stream until it comes.
macro_rules! delays {
    ($stream:expr, $samples:expr, $sample_rate:expr) => {{
        let rate = f64::from($sample_rate);
        let mut stream = $stream;
        let (mut delays, mut known) = (Vec::new(), 0);
        for chunk in $samples.chunks(usize::try_from($sample_rate / 100)?.max(1)) {
            known += chunk.len();
            stream.push(chunk, |one| {
                delays.push(known as f64 / rate - one.time_secs)
            })?;
        }
        stream.finish(|one| delays.push(known as f64 / rate - one.time_secs));
        delays
    }};
}

fn measure(samples: &[f32], sample_rate: u32) -> Result<Value, Box<dyn Error>> {
    let config = PitchConfig {
        reference_peak: Some(1.0),
        ..PitchConfig::default()
    };
    let probabilistic = PyinConfig::default();
    let pitch_secs = delays!(
        PitchStream::new(sample_rate, &config)?,
        samples,
        sample_rate
    );
    let pyin_secs = delays!(
        PyinStream::new(sample_rate, &probabilistic)?,
        samples,
        sample_rate
    );
    let marks_secs = delays!(
        PeriodStream::new(sample_rate, &config)?,
        samples,
        sample_rate
    );
    let whole = pyin(samples, sample_rate, &probabilistic)?;
    let mut differ = Vec::new();
    for bound_secs in [0.05, 0.1, 0.2, 0.5] {
        let mut stream = PyinStream::new(sample_rate, &probabilistic)?.within(bound_secs);
        let mut f0 = Vec::new();
        stream.push(samples, |frame| f0.push(frame.f0_hz))?;
        stream.finish(|frame| f0.push(frame.f0_hz));
        let pairs = f0.iter().zip(&whole.f0_hz);
        let n_other = pairs.filter(|(a, b)| (*a - *b).abs() > 0.0).count();
        differ.push(json!({"bound_secs": bound_secs, "frames": n_other}));
    }
    Ok(json!({
        "pitch_secs": pitch_secs,
        "pyin_secs": pyin_secs,
        "marks_secs": marks_secs,
        "pyin_bounded": differ,
    }))
}
