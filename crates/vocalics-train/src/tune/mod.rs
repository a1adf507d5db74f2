//! The search for a configuration: which network, which rates, how much augmentation.
//!
//! A trial is one configuration, trained on the training part of each fold and scored on the fold's validation speakers, whom
//! the training did not hear. **No trial sees a test clip.** A search is one of two:
//!
//! - joint ([`tune`] with `nested = false`): every trial is scored on all folds asked for, and the best mean wins. There is no test
//!   number: the winner is measured afterwards like any configuration. Validation speakers of one fold are test speakers of
//!   another, so that such a number is slightly too good when the same protocol gives both.
//! - nested (`nested = true`): every fold has a search of its own, which knows nothing of the others. The fold's winner is
//!   trained and tested on that fold, once. The pooled number measures the whole way of working, search included.
//!
//! Trials come at random, by successive halving or from a Parzen estimator. They follow from the seed and the scores alone,
//! whatever the number of jobs, and a trial that was trained before is not trained again.

mod importance;
mod outcome;
mod space;
mod study;
mod tpe;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use outcome::{Found, Trial, TuneOutcome};
pub use space::{Parameter, Scale};
pub use study::tune;

use crate::config::read_toml;
use crate::{TemperatureFrom, TrainConfig, TrainError, Weighting};

/// How trials are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Each anywhere in the space.
    ///
    /// Source: J. Bergstra and Y. Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 13, 2012.
    Random,
    /// Many at random with few epochs; the better part of them again with more, and so on. Each training runs through its whole
    /// schedule: one stopped half-way has a high rate, and ranks by that.
    ///
    /// Source: K. Jamieson and A. Talwalkar, *Non-stochastic Best Arm Identification and Hyperparameter Optimization*, AISTATS 2016.
    Halving,
    /// The first at random, then where good trials are denser than the others.
    ///
    /// Source: J. Bergstra et al., *Algorithms for Hyper-Parameter Optimization*, NeurIPS 2011.
    #[default]
    Tpe,
}

/// What makes a trial better than another, on the validation speakers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Unweighted average recall, the higher the better.
    #[default]
    Uar,
    /// Negative log-likelihood, the lower the better: smoother than recall where there are few clips.
    Nll,
}

/// The course of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// How trials are chosen.
    pub strategy: Strategy,
    /// Configurations tried; the first round of successive halving.
    pub trials: usize,
    /// Seed of the draws. Trainings have the configuration's.
    pub seed: u64,
    /// What makes a trial better.
    pub objective: Objective,
    /// Speakers cut out of the training part of every fold to score the trials on.
    pub validation_speakers: usize,
    /// Epochs of a trial; 0 for the configuration's. Of the last round, in successive halving.
    pub epochs: usize,
    /// Trials of the Parzen estimator that are drawn at random before it begins.
    pub startup: usize,
    /// Trials that the Parzen estimator suggests at a time, so that as many can run side by side.
    pub batch: usize,
    /// Epochs of the first round of successive halving.
    pub first_epochs: usize,
    /// Factor on the epochs from round to round of successive halving, by which the trials are divided.
    pub eta: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            trials: 24,
            seed: 1,
            objective: Objective::default(),
            validation_speakers: 6,
            epochs: 0,
            startup: 8,
            batch: 2,
            first_epochs: 6,
            eta: 3,
        }
    }
}

/// A search: its course, and the parameters that it varies over a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TuneConfig {
    /// The course.
    #[serde(default)]
    pub search: SearchConfig,
    /// What is varied.
    #[serde(rename = "parameter")]
    pub parameters: Vec<Parameter>,
    /// What is kept: everything the parameters do not name. In a file it may be left out; then the defaults hold.
    #[serde(default)]
    pub config: TrainConfig,
}

impl TuneConfig {
    /// Reads and validates a search, over `config` in place of the file's own configuration if one is given.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::ConfigSyntax`], or [`TrainError::ConfigValue`] around what [`Self::validate`] says.
    pub fn read(path: &Path, config: Option<TrainConfig>) -> Result<Self, TrainError> {
        // Checked when the configuration is there that the parameters vary.
        let mut search: Self = read_toml(path, |_| Ok(()))?;
        if let Some(config) = config {
            search.config = config;
        }
        search
            .validate()
            .map_err(|source| TrainError::ConfigValue {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        Ok(search)
    }

    /// Rejects a search that cannot run, and a parameter with a value that the configuration does not take.
    ///
    /// # Errors
    /// [`TrainError::Config`], [`TrainError::Space`] and [`TrainError::SpaceValue`], naming the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        let wrong = |field, actual: usize, expected| {
            Err(TrainError::Config {
                field,
                actual: actual.to_string(),
                expected,
            })
        };
        let SearchConfig {
            trials,
            validation_speakers,
            startup,
            batch,
            first_epochs,
            eta,
            ..
        } = self.search;
        for (field, value) in [
            ("search.trials", trials),
            ("search.validation_speakers", validation_speakers),
            ("search.startup", startup),
            ("search.batch", batch),
            ("search.first_epochs", first_epochs),
        ] {
            if value == 0 {
                return wrong(field, value, "at least 1");
            }
        }
        if eta < 2 {
            return wrong("search.eta", eta, "at least 2");
        }
        if self.parameters.is_empty() {
            return wrong("parameter", 0, "at least one [[parameter]]");
        }
        let epochs = self.parameters.iter().any(|p| p.name == "training.epochs");
        if epochs && (self.search.epochs > 0 || self.search.strategy == Strategy::Halving) {
            return Err(TrainError::Space {
                name: "training.epochs".into(),
                actual: "set by the search as well".into(),
                expected: "one of the two: no search.epochs, and another strategy than halving",
            });
        }
        // What is found is tested as the configuration says, and said before its trials.
        self.config.validate()?;
        let TrainConfig {
            ensemble,
            evaluation,
            ..
        } = &self.config;
        if ensemble.weighting == Weighting::Validation && evaluation.validation_speakers == 0 {
            return wrong(
                "config.evaluation.validation_speakers",
                0,
                "at least 1 beside ensemble.weighting = \"validation\"",
            );
        }
        let base = self.base();
        base.validate()?;
        if base.transfer.has_init()
            || base.transfer.has_pretraining()
            || base.distillation.is_some()
        {
            return Err(TrainError::Config {
                field: "config.transfer",
                actual: "a training that begins or learns from another".into(),
                expected: "neither transfer nor distillation in a search: they cost a training more for each trial, and a model file may have heard \
                           the validation speakers",
            });
        }
        space::Space::new(&self.base(), &self.parameters).map(|_| ())
    }

    /// The configuration of a trial before its parameters are set.
    #[must_use]
    pub fn base(&self) -> TrainConfig {
        let mut base = self.config.clone();
        base.evaluation.validation_speakers = self.search.validation_speakers;
        base.evaluation.temperature = TemperatureFrom::Validation;
        if self.search.epochs > 0 {
            base.training.epochs = self.search.epochs;
        }
        base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_cannot_run_is_refused() {
        let one = "[[parameter]]\nname = 'training.batch_size'\nvalues = [16, 32]\n";
        let error = |text: &str| {
            let search: TuneConfig = toml::from_str(text).expect("TOML");
            search.validate().expect_err("refused").to_string()
        };
        for (head, expected) in [
            ("[search]\ntrials = 0\n", "search.trials is 0"),
            (
                "[search]\nvalidation_speakers = 0\n",
                "search.validation_speakers is 0",
            ),
            ("[search]\neta = 1\n", "search.eta is 1"),
            ("[config.training]\nepochs = 0\n", "training.epochs is 0"),
        ] {
            let said = error(&format!("{head}{one}"));
            assert!(said.contains(expected), "{head}: {said}");
        }
        assert!(error("parameter = []").contains("at least one [[parameter]]"));
        let epochs = "[search]\nstrategy = 'halving'\n[[parameter]]\nname = 'training.epochs'\nrange = [2, 9]\n";
        assert!(error(epochs).contains("set by the search as well"));
        assert!(toml::from_str::<TuneConfig>("[serach]").is_err());
    }
}
