//! Any samples at any rate in any chunks: level, f0, marks, jitter and shimmer of the whole, finite, or an error, no panic.
//!
//! `cargo +nightly fuzz run voice_streams`. The first four bytes are the rate, the next four the lengths of the chunks in turn, the
//! others samples.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vocalics_dsp::DspError;
use vocalics_dsp::intensity::{IntensityStream, intensity_at};
use vocalics_dsp::periods::{PeriodStream, Periods, periods};
use vocalics_dsp::perturbation::{Perturbation, jitter, shimmer};
use vocalics_dsp::pitch::{PitchConfig, pitch_at};
use vocalics_dsp::pyin::{PyinConfig, PyinStream, pyin};

/// The samples in chunks of the lengths in turn, 0 for one of 256.
fn chunks<'a>(samples: &'a [f32], lengths: [u8; 4]) -> impl Iterator<Item = &'a [f32]> {
    let mut rest = samples;
    let mut lengths = lengths.into_iter().cycle();
    std::iter::from_fn(move || {
        let length = lengths.next().map_or(256, |length| if length == 0 { 256 } else { usize::from(length) });
        let (chunk, left) = rest.split_at(length.min(rest.len()));
        rest = left;
        (!chunk.is_empty()).then_some(chunk)
    })
}

fn levels(samples: &[f32], rate: u32, lengths: [u8; 4]) -> Result<(), DspError> {
    let mut stream = IntensityStream::new(rate, 100.0, 0.01)?;
    let mut levels = Vec::new();
    for chunk in chunks(samples, lengths) {
        stream.push(chunk, |_, db| levels.push(db))?;
    }
    stream.finish(|_, db| levels.push(db));
    assert!(levels.iter().all(|db| db.is_finite()));
    let whole = intensity_at(samples, rate, 100.0, 0.01, 0.0, levels.len())?;
    assert_eq!(levels, whole.intensity_db);
    Ok(())
}

fn likeliest_f0(samples: &[f32], rate: u32, lengths: [u8; 4]) -> Result<(), DspError> {
    let config = PyinConfig::default();
    let mut stream = PyinStream::new(rate, &config)?;
    let mut f0 = Vec::new();
    for chunk in chunks(samples, lengths) {
        stream.push(chunk, |frame| f0.push(frame.f0_hz))?;
    }
    stream.finish(|frame| f0.push(frame.f0_hz));
    assert!(f0.iter().all(|hz| hz.is_finite()));
    assert_eq!(f0, pyin(samples, rate, &config)?.f0_hz);
    Ok(())
}

fn marks(samples: &[f32], rate: u32, lengths: [u8; 4]) -> Result<(), DspError> {
    let config = PitchConfig { reference_peak: Some(1.0), ..PitchConfig::default() };
    let mut stream = PeriodStream::new(rate, &config)?;
    let (mut marks, mut voice) = (Periods::default(), Perturbation::default());
    let mut take = |mark: vocalics_dsp::periods::Mark| {
        marks.times_secs.push(mark.time_secs);
        marks.amplitudes.push(mark.amplitude);
        voice.push(mark);
    };
    for chunk in chunks(samples, lengths) {
        stream.push(chunk, &mut take)?;
    }
    stream.finish(take);
    assert!(marks.amplitudes.iter().all(|amplitude| amplitude.is_finite()));
    assert_eq!((voice.jitter(), voice.shimmer()), (jitter(&marks), shimmer(&marks)));
    let end = samples.len() as f64 / f64::from(rate);
    let n_frames = (0..).take_while(|i| !samples.is_empty() && f64::from(*i) * config.time_step_secs <= end).count();
    let track = pitch_at(samples, rate, &config, 0.0, n_frames)?;
    assert_eq!(marks, periods(samples, rate, &track)?);
    Ok(())
}

fuzz_target!(|bytes: &[u8]| {
    let (words, _) = bytes.as_chunks::<4>();
    let [rate, lengths, words @ ..] = words else {
        return;
    };
    let rate = u32::from_le_bytes(*rate);
    let samples: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    // A rate or a sample that is refused is an answer.
    let _ = levels(&samples, rate, *lengths);
    let _ = likeliest_f0(&samples, rate, *lengths);
    let _ = marks(&samples, rate, *lengths);
});
