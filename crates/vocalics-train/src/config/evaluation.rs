//! `[evaluation]`: how a model is measured.

use serde::{Deserialize, Serialize};
use vocalics_corpora::Protocol;
use vocalics_eval::MIN_RESAMPLES;

use crate::TrainError;

/// Where the temperature of a model comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TemperatureFrom {
    /// The clips of the validation speakers; it is 1 without any.
    #[default]
    Validation,
    /// For every two folds one more training, without what either tests: what it says of one fold's test gives the other fold's
    /// temperature. So the models train on everybody, and what a fold tests has no part in its temperature. A model that is
    /// trained on all recordings takes it from such an evaluation.
    PairedFolds,
}

/// How the model is measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluationConfig {
    /// Protocol of `vocalics evaluate` when none is given there.
    pub protocol: String,
    /// Speakers cut out of every training part to fit the temperature and to watch the training.
    pub validation_speakers: usize,
    /// Where the temperature comes from; `"validation"` if not given.
    pub temperature: TemperatureFrom,
    /// Corpora whose clips train and are in no other part; none if not given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train_only: Vec<String>,
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
            temperature: TemperatureFrom::Validation,
            train_only: Vec::new(),
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
        if self.temperature == TemperatureFrom::PairedFolds && self.validation_speakers > 0 {
            let actual = format!(
                "\"paired-folds\", and evaluation.validation_speakers {}",
                self.validation_speakers
            );
            let expected = "0 validation speakers with it, as they would fit the temperature too";
            return wrong("evaluation.temperature", actual, expected);
        }
        Ok(())
    }
}
