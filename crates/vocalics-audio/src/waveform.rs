//! Mono samples at a known rate, with a note of where they came from.

use crate::error::AudioError;
use crate::resample;

/// What a [`Waveform`] was decoded from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceFormat {
    /// Container, for example `"wav"`, `"mp4"`, `"ogg"`; `"memory"` for samples handed over by the caller.
    pub container: &'static str,
    /// Codec, for example `"pcm_s16le"`, `"aac"`, `"opus"`.
    pub codec: &'static str,
    /// Sample rate before resampling, in hertz.
    pub sample_rate: u32,
    /// Channels before the mix to mono.
    pub channels: usize,
    /// Bits per sample as coded, where the format states them.
    pub bits_per_sample: Option<u32>,
}

/// A mono recording: finite `f32` samples, nominally in [-1, 1], at one sample rate.
///
/// It is never empty and never holds NaN or infinity. Silence is a valid waveform.
#[derive(Debug, Clone)]
pub struct Waveform {
    samples: Vec<f32>,
    sample_rate: u32,
    duration_secs: f64,
    source: SourceFormat,
    clipped_ratio: f32,
}

impl Waveform {
    /// Wraps mono samples.
    ///
    /// ```
    /// let tone: Vec<f32> = (0..16_000).map(|n| (n as f32 * 0.1).sin() * 0.5).collect();
    /// let waveform = vocalics_audio::Waveform::new(tone, 16_000)?;
    /// assert_eq!(waveform.duration_secs(), 1.0);
    /// # Ok::<(), vocalics_audio::AudioError>(())
    /// ```
    ///
    /// # Errors
    /// [`AudioError::Empty`] without samples, [`AudioError::NonFinite`] on NaN, infinity or magnitudes
    /// above [`resample::MAX_MAGNITUDE`],
    /// [`AudioError::SampleRate`] for a rate outside 100 Hz to 384 kHz.
    pub fn new(samples: Vec<f32>, sample_rate: u32) -> Result<Self, AudioError> {
        let name = "samples";
        resample::check_rate(sample_rate, name)?;
        if samples.is_empty() {
            return Err(AudioError::Empty {
                name: name.to_owned(),
            });
        }
        if let Some(index) = resample::find_unusable(&samples) {
            return Err(AudioError::NonFinite {
                name: name.to_owned(),
                index: index as u64,
            });
        }
        let mut clipping = crate::clipping::ClipCounter::new(1, crate::clipping::FULL_SCALE_16_BIT);
        clipping.push(&samples);
        let source = SourceFormat {
            container: "memory",
            codec: "pcm_f32",
            sample_rate,
            channels: 1,
            bits_per_sample: Some(32),
        };
        let duration_secs = samples.len() as f64 / f64::from(sample_rate);
        let clipped_ratio = clipping.ratio();
        Ok(Self {
            samples,
            sample_rate,
            duration_secs,
            source,
            clipped_ratio,
        })
    }

    pub(crate) fn from_parts(
        samples: Vec<f32>,
        sample_rate: u32,
        duration_secs: f64,
        source: SourceFormat,
        clipped_ratio: f32,
    ) -> Self {
        Self {
            samples,
            sample_rate,
            duration_secs,
            source,
            clipped_ratio,
        }
    }

    /// The samples, `[n_samples]`.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Samples per second of [`Waveform::samples`].
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Duration in seconds, counted on the decoded audio before resampling, never taken from a header.
    #[must_use]
    pub fn duration_secs(&self) -> f64 {
        self.duration_secs
    }

    /// Container, codec, rate and channels this was decoded from.
    #[must_use]
    pub fn source(&self) -> &SourceFormat {
        &self.source
    }

    /// Share of samples at full scale in runs of at least three, in [0, 1].
    ///
    /// Measured on the decoded channels before the mix to mono and before resampling, since both
    /// hide clipping.
    #[must_use]
    pub fn clipped_ratio(&self) -> f32 {
        self.clipped_ratio
    }

    /// The same recording at another rate; see [`resample::resample`].
    ///
    /// Source format, duration and clipping stay those of the original.
    ///
    /// # Errors
    /// As [`resample::resample`].
    pub fn resampled(&self, sample_rate: u32) -> Result<Self, AudioError> {
        let samples = resample::resample(&self.samples, self.sample_rate, sample_rate)?;
        Ok(Self {
            samples,
            sample_rate,
            source: self.source.clone(),
            ..*self
        })
    }

    /// Takes the samples out.
    #[must_use]
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }
}
