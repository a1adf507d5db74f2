//! `[evaluation]`: how a model is measured.

use serde::{Deserialize, Serialize};
use vocalics_corpora::Protocol;
use vocalics_eval::MIN_RESAMPLES;

use crate::TrainError;

/// How the model is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Protocol of `vocalics evaluate` when none is given there.
    pub protocol: String,
    /// Speakers cut out of every training part to fit the temperature and to watch the training.
    pub validation_speakers: usize,
    /// Folds of the protocols that split at random: one for each seed from the run's on.
    pub repeats: u32,
    /// Resamples of the bootstrap over speakers.
    pub resamples: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            protocol: "emobox-6fold".into(),
            validation_speakers: 2,
            repeats: 1,
            resamples: 2000,
        }
    }
}

impl EvaluationConfig {
    /// # Errors
    /// When there is no protocol of that name, and [`TrainError::Config`] naming the field.
    pub(super) fn validate(&self) -> Result<(), TrainError> {
        let wrong = |field, actual, expected| Err(TrainError::config(field, actual, expected));
        self.protocol.parse::<Protocol>()?;
        if self.resamples < MIN_RESAMPLES {
            let actual = self.resamples.to_string();
            return wrong("evaluation.resamples", actual, "at least 40");
        }
        if self.repeats == 0 {
            return wrong("evaluation.repeats", "0".into(), "at least 1");
        }
        Ok(())
    }
}
