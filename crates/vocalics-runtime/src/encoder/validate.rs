//! What no encoder can be described as.

use super::description::{EncoderDescription, EncoderInput, LogMelInput, Standardise};
use crate::ModelError;

/// Longest fixed input, in seconds; Whisper's is 30.
const MAX_FIXED_SECS: f64 = 120.0;

impl EncoderDescription {
    /// Rejects what no encoder can be run with.
    ///
    /// # Errors
    /// [`ModelError::Description`] naming the field, [`ModelError::FrontEnd`] about the spectrogram.
    pub fn validate(&self) -> Result<(), ModelError> {
        let wrong = |field, actual: String, expected| {
            Err(ModelError::Description {
                field,
                actual,
                expected,
            })
        };
        for (field, text) in [
            ("name", &self.name),
            ("licence", &self.licence),
            ("source", &self.source),
        ] {
            if text.trim().is_empty() {
                return wrong(field, "empty".into(), "a text");
            }
        }
        if self.input.name().is_empty() {
            return wrong(
                "input.name",
                "empty".into(),
                "the name of the graph's input",
            );
        }
        if self.output.name().is_empty() {
            let expected = "the name of one of the graph's outputs";
            return wrong("output.name", "empty".into(), expected);
        }
        let rate = self.input.sample_rate();
        if !(1000..=384_000).contains(&rate) {
            return wrong("input.sample_rate", rate.to_string(), "from 1000 to 384000");
        }
        if let Some(db) = self.input.trim_db()
            && !(db.is_finite() && db > 0.0)
        {
            return wrong("input.trim_db", db.to_string(), "a number above 0");
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "two minutes of samples"
        )]
        let most = (MAX_FIXED_SECS * f64::from(rate)) as usize;
        match &self.input {
            EncoderInput::Waveform(input) => {
                if input.samples.is_some_and(|n| n == 0 || n > most) {
                    let actual = input.samples.unwrap_or(0).to_string();
                    return wrong("input.samples", actual, "from 1 to two minutes of samples");
                }
                if input.min_samples == 0 || input.min_samples > most {
                    let actual = input.min_samples.to_string();
                    return wrong(
                        "input.min_samples",
                        actual,
                        "from 1 to two minutes of samples",
                    );
                }
            }
            EncoderInput::LogMel(input) => return input.validate(most),
        }
        Ok(())
    }
}

impl LogMelInput {
    fn validate(&self, most: usize) -> Result<(), ModelError> {
        let wrong = |field, actual: String, expected| {
            Err(ModelError::Description {
                field,
                actual,
                expected,
            })
        };
        let log = &self.log;
        match (log.floor, log.eps) {
            (Some(_), None) => {}
            (None, Some(eps)) if eps.is_finite() && eps > 0.0 => {}
            (None, Some(eps)) => {
                return wrong("input.log.eps", eps.to_string(), "a power above 0");
            }
            (Some(_), Some(_)) => {
                return wrong("input.log", "floor and eps".into(), "one of the two");
            }
            (None, None) => {
                return wrong(
                    "input.log",
                    "neither floor nor eps".into(),
                    "one of the two",
                );
            }
        }
        if let Some(range) = log.range
            && !(range.is_finite() && range > 0.0)
        {
            return wrong("input.log.range", range.to_string(), "a number above 0");
        }
        if let Standardise::Fixed { mean, std } = &self.standardise
            && !(mean.is_finite() && std.is_finite() && *std > 0.0)
        {
            let actual = format!("mean {mean}, std {std}");
            return wrong("input.standardise", actual, "numbers, std above 0");
        }
        if self.standardise == Standardise::Clip && self.frames.is_some() {
            let expected = "fixed numbers or none, where frames is fixed: added zeros would count";
            return wrong("input.standardise", "clip".into(), expected);
        }
        let most = most / self.hop_length.max(1);
        if self.frames.is_some_and(|n| n == 0 || n > most) {
            let actual = self.frames.unwrap_or(0).to_string();
            return wrong("input.frames", actual, "from 1 to two minutes of frames");
        }
        if self.min_frames == 0 || self.min_frames > most {
            let actual = self.min_frames.to_string();
            return wrong(
                "input.min_frames",
                actual,
                "from 1 to two minutes of frames",
            );
        }
        let front_end = self.front_end();
        front_end
            .validate()
            .map_err(|source| ModelError::FrontEnd { source })
    }
}
