//! From samples to what an encoder takes.

use vocalics_dsp::check_samples;
use vocalics_dsp::trim::trim_silence;
use vocalics_features::{FeatureError, LogMel};

use super::description::{
    EncoderInput, Layout, LogBase, LogMelInput, LogScale, Normalisation, Standardise, WaveformInput,
};
use crate::RuntimeError;
use crate::recognizer::{MAX_WINDOW_SECS, windows};

/// Added to the variance of samples before its root.
const VARIANCE_FLOOR: f64 = 1e-7;

/// One run of the encoder.
#[derive(Debug)]
pub(super) struct Window {
    /// The input's shape, the batch of one included.
    pub(super) shape: Vec<usize>,
    /// Its values.
    pub(super) data: Vec<f32>,
    /// Samples of the clip in it.
    pub(super) samples: usize,
    /// Samples in all, with the zeros added behind.
    pub(super) length: usize,
}

/// The part of a clip between its outer silence, if that is cut.
pub(super) fn trimmed<'a>(
    input: &EncoderInput,
    samples: &'a [f32],
) -> Result<&'a [f32], RuntimeError> {
    if samples.is_empty() {
        return Err(RuntimeError::Empty);
    }
    check_samples(samples).map_err(FeatureError::from)?;
    Ok(match input.trim_db() {
        Some(db) => &samples[trim_silence(samples, db).map_err(FeatureError::from)?],
        None => samples,
    })
}

/// Longest stretch run at once where the length is not fixed, in samples.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rate times 30 s is a small positive number"
)]
fn longest(sample_rate: u32) -> usize {
    (MAX_WINDOW_SECS * f64::from(sample_rate)) as usize
}

/// The runs over a clip of samples.
pub(super) fn waveform(input: &WaveformInput, clip: &[f32]) -> Vec<Window> {
    let normalised;
    let clip = match input.normalisation {
        Normalisation::None => clip,
        Normalisation::ZeroMeanUnitVariance => {
            normalised = zero_mean_unit_variance(clip);
            &normalised
        }
    };
    let most = input.samples.unwrap_or_else(|| longest(input.sample_rate));
    windows(clip.len(), most.max(1))
        .map(|(start, end)| {
            let samples = end - start;
            let length = input.samples.unwrap_or(samples.max(input.min_samples));
            let mut data = clip[start..end].to_vec();
            data.resize(length, 0.0);
            Window {
                shape: vec![1, length],
                data,
                samples,
                length,
            }
        })
        .collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "sample counts are far below 2^52, a standardised sample is of order 1"
)]
fn zero_mean_unit_variance(clip: &[f32]) -> Vec<f32> {
    let count = clip.len().max(1) as f64;
    let mean = clip.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
    let squares = clip.iter().map(|x| (f64::from(*x) - mean).powi(2));
    let deviation = (squares.sum::<f64>() / count + VARIANCE_FLOOR).sqrt();
    clip.iter()
        .map(|x| ((f64::from(*x) - mean) / deviation) as f32)
        .collect()
}

/// The runs over a clip of spectrograms.
pub(super) fn log_mel(
    input: &LogMelInput,
    front_end: &mut LogMel,
    clip: &[f32],
) -> Result<Vec<Window>, RuntimeError> {
    let fixed = input.frames.map(|frames| input.samples_of(frames));
    let most = fixed.unwrap_or_else(|| longest(input.sample_rate));
    let least = fixed.unwrap_or_else(|| input.samples_of(input.min_frames));
    windows(clip.len(), most.max(1))
        .map(|(start, end)| {
            let mut samples = clip[start..end].to_vec();
            let length = samples.len().max(least);
            samples.resize(length, 0.0);
            let mut rows = front_end.compute(&samples)?.into_vec();
            if let Some(frames) = input.frames {
                rows.truncate(frames * input.n_mels);
            }
            scale(&input.log, &mut rows);
            standardise(&input.standardise, &mut rows);
            let n_frames = rows.len() / input.n_mels;
            let shape = input.layout.shape(n_frames, input.n_mels);
            let data = if input.layout == Layout::FramesMels {
                rows
            } else {
                transposed(&rows, n_frames, input.n_mels)
            };
            Ok(Window {
                data,
                shape,
                samples: end - start,
                length,
            })
        })
        .collect()
}

/// `[n_frames, n_mels]` to `[n_mels, n_frames]`.
fn transposed(rows: &[f32], n_frames: usize, n_mels: usize) -> Vec<f32> {
    (0..n_mels)
        .flat_map(|band| (0..n_frames).map(move |frame| rows[frame * n_mels + band]))
        .collect()
}

/// Natural logarithms to those of the encoder.
#[expect(
    clippy::cast_possible_truncation,
    reason = "logarithms of powers are of order 10"
)]
fn scale(log: &LogScale, values: &mut [f32]) {
    let base = match log.base {
        LogBase::Natural => 1.0,
        LogBase::Log10 => std::f64::consts::LN_10,
    };
    for value in values.iter_mut() {
        let natural = match log.eps {
            Some(eps) => (f64::from(*value).exp() + f64::from(eps)).ln(),
            None => f64::from(*value),
        };
        *value = (natural / base) as f32;
    }
    if let Some(range) = log.range {
        let least = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - range;
        for value in values {
            *value = value.max(least);
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "far below 2^52 values of order 10"
)]
fn standardise(how: &Standardise, values: &mut [f32]) {
    let (mean, std) = match how {
        Standardise::None => return,
        Standardise::Fixed { mean, std } => (*mean, *std),
        Standardise::Clip => {
            let count = values.len().max(1) as f64;
            let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
            let squares = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
            let std = (squares.sum::<f64>() / count).sqrt();
            // Silence has no deviation, and becomes zero.
            (mean as f32, std.max(1e-6) as f32)
        }
    };
    for value in values {
        *value = (*value - mean) / std;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(samples: Option<usize>) -> WaveformInput {
        WaveformInput {
            name: "x".into(),
            sample_rate: 16_000,
            normalisation: Normalisation::None,
            samples,
            min_samples: 8,
            trim_db: None,
        }
    }

    #[test]
    fn a_fixed_length_is_filled_with_zeros_or_cut() {
        let runs = waveform(&input(Some(4)), &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let data: Vec<&[f32]> = runs.iter().map(|run| run.data.as_slice()).collect();
        assert_eq!(data, [[1.0, 2.0, 3.0, 0.0], [4.0, 5.0, 6.0, 0.0]]);
        assert_eq!((runs[0].samples, runs[0].length), (3, 4));
        let runs = waveform(&input(None), &[1.0; 5]);
        assert_eq!(
            (runs[0].shape.as_slice(), runs[0].samples),
            (&[1, 8][..], 5)
        );
    }

    #[test]
    fn samples_are_standardised_before_zeros_are_added() {
        let standardised = WaveformInput {
            normalisation: Normalisation::ZeroMeanUnitVariance,
            ..input(Some(6))
        };
        let runs = waveform(&standardised, &[3.0, 5.0, 3.0, 5.0]);
        for (x, expected) in runs[0].data.iter().zip([-1.0, 1.0, -1.0, 1.0, 0.0, 0.0]) {
            assert!((x - expected).abs() < 1e-6, "{x} {expected}");
        }
    }

    #[test]
    fn logarithms_are_those_of_the_encoder() {
        let log = |base, floor, eps, range| LogScale {
            base,
            floor,
            eps,
            range,
        };
        // Powers of 1e-3, 1 and 1e2 as natural logarithms.
        let natural = [-3.0f32, 0.0, 2.0].map(|x| x * std::f32::consts::LN_10);
        let mut values = natural;
        scale(
            &log(LogBase::Log10, Some(1e-10), None, Some(4.0)),
            &mut values,
        );
        for (x, expected) in values.iter().zip([-2.0, 0.0, 2.0]) {
            assert!((x - expected).abs() < 1e-6, "{x} {expected}");
        }
        let mut values = natural;
        scale(&log(LogBase::Natural, None, Some(1.0), None), &mut values);
        for (x, power) in values.iter().zip([1e-3f32, 1.0, 1e2]) {
            assert!((x - (power + 1.0).ln()).abs() < 1e-6, "{x} {power}");
        }
        let mut values = [1.0, 3.0];
        standardise(&Standardise::Clip, &mut values);
        assert!((values[0] + 1.0).abs() < 1e-6 && (values[1] - 1.0).abs() < 1e-6);
    }
}
