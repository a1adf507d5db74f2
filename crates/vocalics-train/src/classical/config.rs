//! What the classical methods are made with.

use std::path::Path;
use vocalics_eval::MIN_RESAMPLES;

use serde::{Deserialize, Serialize};
use vocalics_corpora::{LabelMap, SplitOptions, Target};
use vocalics_eval::DEFAULT_RESAMPLES;
use vocalics_features::LogMelConfig;

use super::boosting::BoostingConfig;
use super::forest::ForestConfig;
use super::logistic::LogisticConfig;
use super::mixture::MixtureConfig;
use super::neighbours::NeighboursConfig;
use super::perceptron::PerceptronConfig;
use super::support_vectors::{SvmLinearConfig, SvmRbfConfig};
use crate::TrainError;
use crate::config::{label_map, read_toml};

/// Everything that a row of a classical method depends on, apart from the recordings.
///
/// Where a hyper-parameter is a list, one is chosen in every fold by cross-validation over the speakers of the training
/// part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassicalConfig {
    /// Seed of everything random.
    pub seed: u64,
    /// What is recognised: `emotion`, `intensity`, `sex` or `speaker`.
    pub target: String,
    /// Corpora to train on, found under the data root; default RAVDESS speech and song.
    pub corpora: Vec<String>,
    /// Map applied to the labels; empty for none.
    pub map: String,
    /// Rate to which recordings are brought for the named sets, in hertz; default 16,000.
    pub sample_rate: u32,
    /// Groups of training speakers that are held out in turn to choose hyper-parameters and temperature; default 4, fewer where
    /// there are fewer speakers.
    pub inner_folds: usize,
    /// Folds of the protocols that split at random; default 1.
    pub repeats: u32,
    /// Resamples of the bootstrap over speakers.
    pub resamples: usize,
    /// Front end that the set `logmel` summarises; default that of `configs/emobox-6fold.toml`.
    pub front_end: LogMelConfig,
    /// k nearest neighbours.
    pub neighbours: NeighboursConfig,
    /// Logistic regression.
    pub logistic: LogisticConfig,
    /// Linear support vector machine.
    pub svm_linear: SvmLinearConfig,
    /// Support vector machine with Gaussian kernel.
    pub svm_rbf: SvmRbfConfig,
    /// Random forest.
    pub forest: ForestConfig,
    /// Gradient boosting.
    pub boosting: BoostingConfig,
    /// Gaussian mixtures.
    pub mixture: MixtureConfig,
    /// Multi-layer perceptron.
    pub perceptron: PerceptronConfig,
}

impl Default for ClassicalConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            target: "emotion".into(),
            corpora: vec!["ravdess-speech".into(), "ravdess-song".into()],
            map: String::new(),
            sample_rate: 16_000,
            inner_folds: 4,
            repeats: 1,
            resamples: DEFAULT_RESAMPLES,
            front_end: LogMelConfig {
                log_floor: 1e-6,
                ..LogMelConfig::default()
            },
            neighbours: NeighboursConfig::default(),
            logistic: LogisticConfig::default(),
            svm_linear: SvmLinearConfig::default(),
            svm_rbf: SvmRbfConfig::default(),
            forest: ForestConfig::default(),
            boosting: BoostingConfig::default(),
            mixture: MixtureConfig::default(),
            perceptron: PerceptronConfig::default(),
        }
    }
}

impl ClassicalConfig {
    /// Reads and validates a configuration file.
    ///
    /// # Errors
    /// As [`TrainConfig::read`](crate::TrainConfig::read).
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        read_toml(path, Self::validate)
    }

    /// The configuration as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every field is a number, a string or a table of those.
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// Rejects values that no method can be fitted with.
    ///
    /// # Errors
    /// [`TrainError::Config`] and its like, naming the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.target()?;
        self.label_map()?;
        self.front_end.validate()?;
        at_least("inner_folds", self.inner_folds, 2)?;
        at_least("repeats", self.repeats as usize, 1)?;
        if self.resamples < MIN_RESAMPLES {
            return wrong("resamples", self.resamples, "at least 40");
        }
        if !(4_000..=192_000).contains(&self.sample_rate) {
            return wrong("sample_rate", self.sample_rate, "from 4000 to 192000");
        }
        counts("neighbours.k", &self.neighbours.k)?;
        positive("logistic.c", &self.logistic.c)?;
        at_least("logistic.iterations", self.logistic.iterations, 1)?;
        positive("svm_linear.c", &self.svm_linear.c)?;
        positive("svm_rbf.c", &self.svm_rbf.c)?;
        positive("svm_rbf.gamma", &self.svm_rbf.gamma)?;
        at_least("forest.trees", self.forest.trees, 1)?;
        counts("forest.least_clips", &self.forest.least_clips)?;
        let boosting = &self.boosting;
        counts("boosting.rounds", &boosting.rounds)?;
        share("boosting.learning_rate", boosting.learning_rate)?;
        at_least("boosting.depth", boosting.depth, 1)?;
        share("boosting.clips", boosting.clips)?;
        share("boosting.features", boosting.features)?;
        counts("mixture.components", &self.mixture.components)?;
        positive("mixture.floor", &self.mixture.floor)?;
        at_least("mixture.iterations", self.mixture.iterations, 1)?;
        let perceptron = &self.perceptron;
        at_least("perceptron.hidden", perceptron.hidden, 1)?;
        at_least("perceptron.batch_size", perceptron.batch_size, 1)?;
        at_least("perceptron.epochs", perceptron.epochs, 1)?;
        share("perceptron.learning_rate", perceptron.learning_rate)?;
        if !(0.0..1.0).contains(&perceptron.dropout) {
            return wrong(
                "perceptron.dropout",
                perceptron.dropout,
                "at least 0 and below 1",
            );
        }
        let decays = &perceptron.weight_decay;
        if decays.is_empty() || decays.iter().any(|x| !(x.is_finite() && *x >= 0.0)) {
            return wrong(
                "perceptron.weight_decay",
                shown(decays),
                "numbers from 0 on, at least one",
            );
        }
        Ok(())
    }

    /// The target, parsed.
    ///
    /// # Errors
    /// When there is no target of that name.
    pub fn target(&self) -> Result<Target, TrainError> {
        Ok(self.target.parse()?)
    }

    /// The label map, parsed.
    ///
    /// # Errors
    /// When it is neither a name nor a list of pairs.
    pub fn label_map(&self) -> Result<LabelMap, TrainError> {
        label_map(&self.map)
    }

    /// What a protocol's split depends on. No validation part is cut: hyper-parameters are chosen within the training part.
    #[must_use]
    pub fn split_options(&self) -> SplitOptions {
        SplitOptions {
            seed: self.seed,
            validation_speakers: 0,
            repeats: self.repeats,
            ..SplitOptions::default()
        }
    }
}

fn wrong(
    field: &'static str,
    actual: impl std::fmt::Display,
    expected: &'static str,
) -> Result<(), TrainError> {
    Err(TrainError::Config {
        field,
        actual: actual.to_string(),
        expected,
    })
}

fn shown<T: std::fmt::Display>(values: &[T]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("[{}]", values.join(", "))
}

fn at_least(field: &'static str, value: usize, least: usize) -> Result<(), TrainError> {
    if value >= least {
        return Ok(());
    }
    wrong(
        field,
        value,
        if least == 1 {
            "at least 1"
        } else {
            "at least 2"
        },
    )
}

fn counts(field: &'static str, values: &[usize]) -> Result<(), TrainError> {
    if values.is_empty() || values.contains(&0) {
        return wrong(
            field,
            shown(values),
            "whole numbers from 1 on, at least one",
        );
    }
    Ok(())
}

fn positive(field: &'static str, values: &[f64]) -> Result<(), TrainError> {
    if values.is_empty() || values.iter().any(|x| !(x.is_finite() && *x > 0.0)) {
        return wrong(field, shown(values), "numbers above 0, at least one");
    }
    Ok(())
}

fn share(field: &'static str, value: f64) -> Result<(), TrainError> {
    if value > 0.0 && value <= 1.0 {
        return Ok(());
    }
    wrong(field, value, "above 0, at most 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_survives_toml() {
        let config = ClassicalConfig::default();
        config.validate().unwrap();
        let read: ClassicalConfig = toml::from_str(&config.to_toml()).unwrap();
        assert_eq!(read, config);
    }

    #[test]
    fn bad_values_are_named() {
        assert!(toml::from_str::<ClassicalConfig>("[forest]\ntree = 5").is_err());
        for (text, part) in [
            ("inner_folds = 1", "inner_folds is 1, expected at least 2"),
            ("[neighbours]\nk = []", "neighbours.k is []"),
            ("[neighbours]\nk = [0]", "neighbours.k is [0]"),
            ("[svm_rbf]\ngamma = [-1.0]", "svm_rbf.gamma is [-1]"),
            ("[logistic]\nc = [nan]", "logistic.c is [NaN]"),
            ("[boosting]\nclips = 1.5", "boosting.clips is 1.5"),
            ("[perceptron]\ndropout = 1.0", "perceptron.dropout is 1"),
            ("target = 'mood'", "mood"),
            ("[front_end]\nlog_floor = 0.0", "log_floor is 0"),
        ] {
            let config: ClassicalConfig = toml::from_str(text).unwrap();
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
