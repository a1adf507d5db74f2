//! How far a recording can be trusted.

use serde::Serialize;
use vocalics_dsp::level;

/// Measurements of the recording itself, made on the whole clip before anything is trimmed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Estimated ratio of speech to background noise in dB; `None` when it cannot be told, as in silence
    /// or in a clip without pauses to hear the background in.
    pub snr_db: Option<f32>,
    /// Highest frequency in Hz up to which the recording has content; below 4 kHz for telephone audio,
    /// `None` in silence.
    pub bandwidth_hz: Option<f32>,
    /// Share of the clip (0 to 1) that stands out from its background as speech does.
    pub speech_ratio: f32,
    /// Whether the recording is clipped.
    pub clipped: bool,
    /// Share of clipped samples, 0 to 1.
    pub clipped_ratio: f32,
    /// Whether there is nothing but silence: no sample farther from the middle than
    /// [`SILENCE_PEAK`](vocalics_dsp::level::SILENCE_PEAK). The quietest takes of RAVDESS lie well above.
    pub silent: bool,
}

/// Share of a recording below which it holds little speech: of 48 clips of RAVDESS in white or pink noise at 5 dB the least is 0.12.
const LITTLE_SPEECH: f32 = 0.1;

/// Share of clipped samples from which a recording counts as clipped: a thousandth.
const CLIPPED_SHARE: f32 = 1e-3;

impl Quality {
    /// Whether hardly anything stands out as speech does, as in noise, hum or a held tone.
    #[must_use]
    pub fn has_little_speech(&self) -> bool {
        self.speech_ratio < LITTLE_SPEECH
    }

    /// Measures a clip; `clipped_ratio` replaces the look at the samples.
    pub(crate) fn measure(samples: &[f32], sample_rate: u32, clipped_ratio: Option<f32>) -> Self {
        let clipped_ratio = clipped_ratio.unwrap_or_else(|| level::clipped_ratio(samples));
        let silent = level::is_silent(samples);
        Self {
            snr_db: level::snr_db(samples, sample_rate).filter(|_| !silent),
            bandwidth_hz: (!silent).then(|| level::bandwidth_hz(samples, sample_rate)),
            speech_ratio: if silent {
                0.0
            } else {
                level::speech_ratio(samples, sample_rate)
            },
            clipped: clipped_ratio >= CLIPPED_SHARE,
            clipped_ratio,
            silent,
        }
    }
}
