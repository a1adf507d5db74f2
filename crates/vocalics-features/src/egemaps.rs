//! The set `egemaps`: the extended Geneva minimalistic acoustic parameter set, version 2.
//!
//! Source: F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and
//! Affective Computing", *IEEE Transactions on Affective Computing* 7(2), 2016, pages 190-202. What it leaves open
//! was measured on the output of the reference for synthetic signals: `bench/voice/egemaps_measure.py`.

mod contour;
mod functionals;
mod names;
mod spectrum;
mod turns;
mod voice;

use vocalics_dsp::floor_index;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::set::{Descriptors, FeatureSet, check};

use contour::{smooth, smooth_nonzero};
use names::{DESCRIPTORS, FUNCTIONALS};
use spectrum::{Spectra, SpectralContours};
use voice::{Formants, Voice};

/// Distance between frames in seconds.
const STEP_SECS: f64 = 0.01;
/// Length of the frames of spectral descriptors, in seconds.
const SHORT_SECS: f64 = 0.02;
/// Length of the frames of voice descriptors, in seconds.
const LONG_SECS: f64 = 0.06;

/// The 25 descriptors and 88 functionals of eGeMAPSv02, with the published names and order.
///
/// Spectral descriptors come from Hamming-windowed frames of 20 ms every 10 ms, voice descriptors from frames of
/// 60 ms that begin with them. All are smoothed over three frames; those named `sma3nz` among voiced
/// (non-zero) frames alone. How each is computed, and how far each agrees with the reference, stands in
/// `docs/egemaps.md`.
///
/// Silence gives 0 for most descriptors, −201 for formant levels. A clip without a voiced frame has 0 for every
/// functional of voiced frames; one shorter than 60 ms has no frame, and 0 for all but its level.
///
/// Reference: `opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02)`; agreement in `docs/egemaps.md`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Egemaps;

/// Descriptors before smoothing.
#[derive(Debug, Default)]
struct Raw {
    spectral: SpectralContours,
    voice: Voice,
}

impl Raw {
    fn measure(
        samples: &[f32],
        sample_rate: u32,
        formants: Formants,
    ) -> Result<Self, FeatureError> {
        check(samples, sample_rate)?;
        if samples.len() < frame_samples(LONG_SECS, sample_rate) {
            return Ok(Self::default());
        }
        Ok(Self {
            spectral: Spectra::new(sample_rate)?.contours(samples),
            voice: Voice::measure(samples, sample_rate, formants)?,
        })
    }
}

impl FeatureSet for Egemaps {
    fn name(&self) -> &'static str {
        "egemaps"
    }

    fn version(&self) -> u32 {
        2
    }

    fn about(&self) -> &'static str {
        "eGeMAPSv02: 25 descriptors, 88 functionals, written from the publications"
    }

    fn functional_names(&self) -> Vec<String> {
        FUNCTIONALS.map(str::to_owned).to_vec()
    }

    fn descriptor_names(&self) -> Vec<String> {
        DESCRIPTORS.map(str::to_owned).to_vec()
    }

    fn functionals(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<f32>, FeatureError> {
        let raw = Raw::measure(samples, sample_rate, Formants::OfVoicedFrames)?;
        Ok(functionals::functionals(&raw, samples))
    }

    fn descriptors(&self, samples: &[f32], sample_rate: u32) -> Result<Descriptors, FeatureError> {
        let raw = Raw::measure(samples, sample_rate, Formants::OfAllFrames)?;
        let n_frames = raw.voice.f0_semitones.len();
        let spectral = raw.spectral.columns.iter().map(|column| smooth(column));
        let voice = raw.voice.contours();
        let columns: Vec<Vec<f32>> = spectral
            .chain(voice.into_iter().map(smooth_nonzero))
            .collect();
        let rows = (0..n_frames)
            .flat_map(|frame| columns.iter().map(move |column| column[frame]))
            .collect();
        Ok(Descriptors {
            times_secs: (0..n_frames)
                .map(|frame| frame as f64 * STEP_SECS + 0.5 * SHORT_SECS)
                .collect(),
            step_secs: STEP_SECS,
            matrix: FeatureMatrix::new(rows, DESCRIPTORS.len())?,
        })
    }
}

/// Samples in a stretch of time, rounded.
fn frame_samples(secs: f64, sample_rate: u32) -> usize {
    floor_index(secs * f64::from(sample_rate) + 0.5)
}

#[cfg(test)]
mod tests;
