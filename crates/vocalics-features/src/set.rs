//! The registry of named, versioned feature sets.

use std::fmt;

use crate::chroma::Chroma;
use crate::egemaps::Egemaps;
use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::mfcc::MfccStatistics;
use crate::prosody::Prosody;
use crate::rhythm::Rhythm;
use crate::statistics::{summary, summary_names};

/// Descriptors over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Descriptors {
    /// Centre of each frame in seconds `[n_frames]`.
    pub times_secs: Vec<f64>,
    /// From one frame to the next in seconds.
    pub step_secs: f64,
    /// Values `[n_frames, n_descriptors]`.
    pub matrix: FeatureMatrix,
}

/// A named set of features of a whole clip (functionals) and over time (descriptors).
///
/// Values are always finite. What does not exist (the pitch of a clip without voice) is 0, and another
/// feature tells: the share of voiced frames, the number of syllables.
pub trait FeatureSet: fmt::Debug + Send + Sync {
    /// Name on the command line, in files and in models.
    fn name(&self) -> &'static str;

    /// Rises whenever the same sound gives other numbers, or the columns change.
    fn version(&self) -> u32;

    /// What the set holds, in a line.
    fn about(&self) -> &'static str;

    /// Names of the functionals, with their units.
    ///
    /// If not said otherwise, mean, deviation, 10th and 90th percentile of every descriptor.
    fn functional_names(&self) -> Vec<String> {
        let columns = self.descriptor_names();
        columns.iter().flat_map(|c| summary_names(c)).collect()
    }

    /// Names of the descriptors, with their units.
    fn descriptor_names(&self) -> Vec<String>;

    /// Functionals of a clip, as many as there are names.
    ///
    /// # Errors
    /// [`FeatureError::Empty`] without samples; [`FeatureError::Signal`] on samples that are not
    /// finite or beyond [`MAX_SAMPLE`](vocalics_dsp::MAX_SAMPLE), and for rates below 4 kHz.
    fn functionals(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<f32>, FeatureError> {
        let rows = self.descriptors(samples, sample_rate)?.matrix;
        Ok(summary(rows.as_slice(), rows.n_features()))
    }

    /// Descriptors of a clip; a clip shorter than a window may have no frame.
    ///
    /// # Errors
    /// As [`functionals`](Self::functionals).
    fn descriptors(&self, samples: &[f32], sample_rate: u32) -> Result<Descriptors, FeatureError>;
}

/// All sets, by name. A new one is a file and a line here: `docs/adding-a-feature.md`.
static SETS: [&dyn FeatureSet; 5] = [&Chroma, &Egemaps, &MfccStatistics, &Prosody, &Rhythm];

/// All sets there are, in the order of their names.
#[must_use]
pub fn sets() -> &'static [&'static dyn FeatureSet] {
    &SETS
}

/// The set of a name.
///
/// ```
/// let set = vocalics_features::set_by_name("prosody").expect("a set of that name");
/// let tone: Vec<f32> = (0..16_000u16).map(|n| (f32::from(n) * 0.08).sin() * 0.1).collect();
/// let values = set.functionals(&tone, 16_000)?;
/// assert_eq!(values.len(), set.functional_names().len());
/// # Ok::<(), vocalics_features::FeatureError>(())
/// ```
#[must_use]
pub fn set_by_name(name: &str) -> Option<&'static dyn FeatureSet> {
    SETS.iter().copied().find(|set| set.name() == name)
}

/// Lowest rate at which the sets are computed.
const MIN_RATE: u32 = 4_000;

/// What every set asks of its input.
pub(crate) fn check(samples: &[f32], sample_rate: u32) -> Result<(), FeatureError> {
    if samples.is_empty() {
        return Err(FeatureError::Empty);
    }
    if sample_rate < MIN_RATE {
        return Err(FeatureError::Config {
            field: "sample_rate",
            expected: format!("at least {MIN_RATE} Hz"),
            actual: sample_rate.to_string(),
        });
    }
    Ok(vocalics_dsp::check_samples(samples)?)
}

/// Transform length of at least `ms` milliseconds, a power of two.
pub(crate) fn transform_length(sample_rate: u32, ms: usize) -> usize {
    (sample_rate as usize * ms / 1000)
        .max(16)
        .next_power_of_two()
}

/// Times of frames `hop` samples apart, the first at 0.
pub(crate) fn frame_times(n_frames: usize, hop: usize, sample_rate: u32) -> Vec<f64> {
    (0..n_frames)
        .map(|frame| (frame * hop) as f64 / f64::from(sample_rate))
        .collect()
}
