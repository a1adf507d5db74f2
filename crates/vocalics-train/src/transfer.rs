//! `[transfer]`: what a training begins from, and how much of it may move.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Where the first weights come from and how they are trained on; by default they are drawn and all move alike.
///
/// The standardiser is that of what the weights come from: what the first layers expect is part of what they know, and a frozen
/// one cannot learn another scale. Rows of the head whose labels are the same are taken over, the others are drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TransferConfig {
    /// Model file to begin from; empty for none.
    pub init: PathBuf,
    /// BLAKE3 of that file, written by the run; a file of another hash is then refused. Empty until known.
    pub init_hash: String,
    /// Which network of an ensemble to take, from 1; 0 where the file has but one.
    pub init_member: usize,
    /// Begin although the model file has heard test speakers. The numbers then say that speakers are shared.
    pub allow_seen_speakers: bool,
    /// What stays as it is.
    pub freeze: Freeze,
    /// Learning rate of a stage over that of the next one towards the head: the head learns at `training.learning_rate`, the stage
    /// before at `layer_decay` times that, and so on; 1 for one rate.
    ///
    /// Source: J. Howard, S. Ruder, *Universal Language Model Fine-tuning for Text Classification*, ACL 2018, section 3.2, where it
    /// is 1/2.6.
    pub layer_decay: f64,
    /// A training on other corpora that comes first.
    pub pretrain: PretrainConfig,
}

impl Default for TransferConfig {
    fn default() -> Self {
        Self {
            init: PathBuf::new(),
            init_hash: String::new(),
            init_member: 0,
            allow_seen_speakers: false,
            freeze: Freeze::default(),
            layer_decay: 1.0,
            pretrain: PretrainConfig::default(),
        }
    }
}

/// What stays as it is: weights get no steps, and batch norms use and keep their running statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"none\", \"all-but-head\" or a number of stages"
)]
pub enum Freeze {
    /// `"none"` or `"all-but-head"`.
    Named(NamedFreeze),
    /// So many stages, counted from the features ([`vocalics_models::Network::stages`]).
    Stages(usize),
}

/// Ways of freezing that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamedFreeze {
    /// Nothing.
    None,
    /// Everything but the dense layer of the logits.
    AllButHead,
}

impl Default for Freeze {
    fn default() -> Self {
        Self::Named(NamedFreeze::None)
    }
}

/// A training on other corpora before the one on the training part, in every fold anew and without the speakers of its test and
/// validation parts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PretrainConfig {
    /// The corpora; none for no such training.
    pub corpora: Vec<String>,
    /// Passes over their clips.
    pub epochs: usize,
    /// What is learnt from them.
    #[serde(skip_serializing_if = "Objective::is_labels")]
    pub objective: Objective,
}

/// What a training that comes first learns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The labels.
    #[default]
    Labels,
    /// That two views of a clip are alike ([`ByolConfig`](crate::ByolConfig)); labels are not used.
    Byol,
}

impl Objective {
    fn is_labels(&self) -> bool {
        *self == Self::Labels
    }
}

impl TransferConfig {
    /// Whether the weights come from a model file.
    #[must_use]
    pub fn has_init(&self) -> bool {
        !self.init.as_os_str().is_empty()
    }

    /// Whether a training on other corpora comes first.
    #[must_use]
    pub fn has_pretraining(&self) -> bool {
        !self.pretrain.corpora.is_empty()
    }

    /// Rejects values that mean nothing.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the field.
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        if !(self.layer_decay > 0.0 && self.layer_decay <= 1.0) {
            let actual = self.layer_decay.to_string();
            return Err(TrainError::config(
                "transfer.layer_decay",
                actual,
                "above 0 and at most 1",
            ));
        }
        if self.has_pretraining() != (self.pretrain.epochs > 0) {
            return Err(TrainError::config(
                "transfer.pretrain",
                format!(
                    "{} epochs on {} corpora",
                    self.pretrain.epochs,
                    self.pretrain.corpora.len()
                ),
                "corpora and at least 1 epoch, or neither",
            ));
        }
        Ok(())
    }

    /// Rejects what needs something to begin from where there is nothing; a file alone need not say it, since the command line
    /// can.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the field.
    pub(crate) fn validate_source(&self) -> Result<(), TrainError> {
        let begun = self.has_init() || self.has_pretraining();
        if !begun && self.freeze != Freeze::default() && self.freeze != Freeze::Stages(0) {
            return Err(TrainError::config(
                "transfer.freeze",
                "given, and the weights would be drawn".into(),
                "a model file in transfer.init, or corpora in transfer.pretrain",
            ));
        }
        if !self.has_init() {
            for (field, given) in [
                ("transfer.init_member", self.init_member > 0),
                ("transfer.init_hash", !self.init_hash.is_empty()),
                ("transfer.allow_seen_speakers", self.allow_seen_speakers),
            ] {
                if given {
                    return Err(TrainError::config(
                        field,
                        "given".into(),
                        "a model file in transfer.init",
                    ));
                }
            }
        }
        Ok(())
    }

    /// How many of a network's stages are frozen.
    ///
    /// # Errors
    /// [`TrainError::Config`] when that would be all of them.
    pub(crate) fn frozen(
        &self,
        stages: &[vocalics_models::stages::Stage],
    ) -> Result<usize, TrainError> {
        match self.freeze {
            Freeze::Named(NamedFreeze::None) => Ok(0),
            Freeze::Named(NamedFreeze::AllButHead) => Ok(stages.len() - 1),
            Freeze::Stages(count) if count < stages.len() => Ok(count),
            Freeze::Stages(count) => {
                let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
                Err(TrainError::Config {
                    field: "transfer.freeze",
                    actual: format!("{count} of the stages {}", names.join(", ")),
                    expected: "fewer than the network has",
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<TransferConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn freezing_is_a_name_or_a_number() {
        for (text, freeze) in [
            ("", Freeze::Named(NamedFreeze::None)),
            ("freeze = 'none'", Freeze::Named(NamedFreeze::None)),
            (
                "freeze = 'all-but-head'",
                Freeze::Named(NamedFreeze::AllButHead),
            ),
            ("freeze = 3", Freeze::Stages(3)),
        ] {
            assert_eq!(read(text).unwrap().freeze, freeze, "{text}");
        }
        for text in [
            "freeze = 'head'",
            "freeze = -1",
            "freeze = true",
            "frozen = 1",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        let error = read("freeze = 'head'").unwrap_err().to_string();
        assert!(error.contains("all-but-head"), "{error}");
    }

    #[test]
    fn it_survives_toml() {
        let text = "init = 'm.onnx'\ninit_member = 2\nfreeze = 1\nlayer_decay = 0.5\n[pretrain]\ncorpora = ['tess']\nepochs = 3";
        let config = read(text).unwrap();
        config.validate().unwrap();
        let written = toml::to_string_pretty(&config).unwrap();
        assert_eq!(read(&written).unwrap(), config);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (text, wrong) in [
            ("layer_decay = 0.0", "transfer.layer_decay is 0"),
            ("layer_decay = nan", "transfer.layer_decay is NaN"),
            ("layer_decay = 1.5", "transfer.layer_decay is 1.5"),
            ("freeze = 2", "transfer.freeze"),
            ("freeze = 'all-but-head'", "transfer.freeze"),
            ("init_member = 1", "transfer.init_member"),
            ("allow_seen_speakers = true", "transfer.allow_seen_speakers"),
            ("[pretrain]\nepochs = 3", "3 epochs on 0 corpora"),
            ("[pretrain]\ncorpora = ['tess']", "0 epochs on 1 corpora"),
        ] {
            let config = read(text).unwrap();
            let error = config.validate().and_then(|()| config.validate_source());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }
}
