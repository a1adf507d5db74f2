//! The configuration of a run: everything but the recordings and the machine.

mod check;
mod ensemble;
mod evaluation;
mod file;
mod training;

use serde::{Deserialize, Serialize};
use vocalics_corpora::{LabelMap, SplitOptions, Target};
use vocalics_features::{Functionals, LogMelConfig};
use vocalics_models::{HeadConfig, NetworkConfig};

pub use self::ensemble::{EnsembleConfig, Weighting};
pub use self::evaluation::{EvaluationConfig, TemperatureFrom};
pub(crate) use self::file::read_toml;
pub use self::training::{ClassWeights, Sampling, TrainingConfig};
use crate::byol::ByolConfig;
use crate::{
    AugmentConfig, DistillationConfig, EncoderConfig, FunctionalsConfig, TrainError, TransferConfig,
};

/// A complete, re-runnable configuration, read from and written as TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainConfig {
    /// Name of the run and of the model.
    pub name: String,
    /// Seed of everything random: weights, order, augmentation, splits.
    pub seed: u64,
    /// What is recognised: `emotion`, `intensity`, `sex` or `speaker`.
    pub target: String,
    /// Corpora trained on, by name, found under the data root unless given on the command line.
    pub corpora: Vec<String>,
    /// Map applied to the labels, as `calm=neutral,surprised=drop` or by name; empty for none.
    pub map: String,
    /// The features; without use where there is an encoder.
    pub front_end: LogMelConfig,
    /// The frozen encoder whose embeddings are classified instead of log-mel features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EncoderConfig>,
    /// The functionals that stand beside log-mel, for networks that take them; none if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functionals: Option<FunctionalsConfig>,
    /// The network.
    pub network: NetworkConfig,
    /// What answers together with it.
    pub ensemble: EnsembleConfig,
    /// The loop.
    pub training: TrainingConfig,
    /// What is done to training clips.
    pub augmentation: AugmentConfig,
    /// How the model is measured.
    pub evaluation: EvaluationConfig,
    /// What a student learns from a teacher; nothing if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distillation: Option<DistillationConfig>,
    /// How a network learns from recordings without labels; the defaults if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byol: Option<ByolConfig>,
    /// What the training begins from.
    pub transfer: TransferConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            name: "residual-cnn".into(),
            seed: 1,
            target: "emotion".into(),
            corpora: vec!["ravdess-speech".into(), "ravdess-song".into()],
            map: String::new(),
            front_end: LogMelConfig {
                normalise_level: false,
                ..LogMelConfig::default()
            },
            encoder: None,
            functionals: None,
            network: NetworkConfig::default(),
            ensemble: EnsembleConfig::default(),
            training: TrainingConfig::default(),
            augmentation: AugmentConfig::default(),
            evaluation: EvaluationConfig::default(),
            distillation: None,
            byol: None,
            transfer: TransferConfig::default(),
        }
    }
}

impl TrainConfig {
    /// What a head on the embeddings of an encoder is trained with where nothing else is said.
    ///
    /// Measured in `docs/experiments.md`.
    #[must_use]
    pub fn for_encoder(encoder: EncoderConfig) -> Self {
        Self {
            name: format!(
                "{}-head",
                encoder.description.name.replace(['/', '\\'], "-")
            ),
            corpora: vec!["ravdess-speech".into()],
            encoder: Some(encoder),
            network: NetworkConfig::Head(HeadConfig::default()),
            training: TrainingConfig {
                epochs: 60,
                // An embedding is one frame.
                crop_frames: 1,
                learning_rate: 1e-3,
                ..TrainingConfig::default()
            },
            augmentation: AugmentConfig::none(),
            ..Self::default()
        }
    }

    /// The configuration as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every field is a number, a string or a table of those.
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// What a run's checkpoints depend on: the configuration as TOML, without the sections that ask for nothing, nor what there was no
    /// choice of before.
    pub(crate) fn essence(&self) -> String {
        let mut text = self.to_toml();
        if self.evaluation.temperature == TemperatureFrom::Validation {
            text = text.replace("\ntemperature = \"validation\"\n", "\n");
        }
        if self.transfer == TransferConfig::default() {
            // The last section.
            text.truncate(text.find("\n[transfer]").unwrap_or(text.len()));
        }
        text
    }

    /// The sets of `[functionals]` as this build computes them; `None` without the section.
    ///
    /// # Errors
    /// As [`FunctionalsConfig::resolve`].
    pub fn functional_sets(&self) -> Result<Option<Functionals>, TrainError> {
        let sets = self.functionals.as_ref().map(FunctionalsConfig::resolve);
        sets.transpose()
    }

    /// Functionals behind the bands of every frame; 0 without `[functionals]`, and for sets that [`Self::validate`] refuses.
    #[must_use]
    pub fn n_functionals(&self) -> usize {
        let sets = self.functional_sets().ok().flatten();
        sets.map_or(0, |sets| sets.n_functionals())
    }

    /// Whether functionals are moved to their speakers.
    #[must_use]
    pub fn speaker_norm(&self) -> bool {
        self.functionals.as_ref().is_some_and(|it| it.speaker_norm)
    }

    /// Features of a frame: bands and functionals.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_bands() + self.n_functionals()
    }

    /// The bands of the front end, or the numbers of an embedding.
    #[must_use]
    pub fn n_bands(&self) -> usize {
        self.encoder
            .as_ref()
            .map_or(self.front_end.n_mels, |encoder| encoder.dim)
    }

    /// Name of the features: the front end's fingerprint, or the encoder's.
    #[must_use]
    pub fn features_fingerprint(&self) -> String {
        match &self.encoder {
            None => self.front_end.fingerprint(),
            Some(encoder) => encoder.fingerprint(),
        }
    }

    /// The networks to train for one model, in order: each network with its first seed, then with the next.
    #[must_use]
    pub fn members(&self) -> Vec<&NetworkConfig> {
        let networks = std::iter::once(&self.network).chain(&self.ensemble.networks);
        let all = networks.clone().count() * self.ensemble.seeds;
        networks.cycle().take(all).collect()
    }

    /// The student of this run's own model, if it has one.
    #[must_use]
    pub fn student(&self) -> Option<&NetworkConfig> {
        self.distillation.as_ref()?.student.as_ref()
    }

    /// The networks of the model that a run ends with: the student, or else [`Self::members`].
    #[must_use]
    pub fn answering(&self) -> Vec<&NetworkConfig> {
        match self.student() {
            Some(student) => vec![student],
            None => self.members(),
        }
    }

    /// The configuration that the recordings of `[transfer.pretrain]` are loaded with; `None` where there are none.
    #[must_use]
    pub fn before(&self) -> Option<Self> {
        let corpora = &self.transfer.pretrain.corpora;
        if corpora.is_empty() {
            return None;
        }
        let mut before = self.clone();
        before.corpora.clone_from(corpora);
        before.training.keep.clear();
        Some(before)
    }

    /// What a protocol's split depends on besides the list.
    #[must_use]
    pub fn split_options(&self) -> SplitOptions {
        SplitOptions {
            seed: self.seed,
            validation_speakers: self.evaluation.validation_speakers,
            repeats: self.evaluation.repeats,
            train_only: self.evaluation.train_only.clone(),
        }
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
}

/// A label map as configurations name it, empty for none.
pub(crate) fn label_map(text: &str) -> Result<LabelMap, TrainError> {
    if text.is_empty() {
        Ok(LabelMap::identity())
    } else {
        Ok(text.parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Freeze, NamedFreeze};

    #[test]
    fn default_survives_toml() {
        let config = TrainConfig::default();
        config.validate().unwrap();
        assert_eq!(
            toml::from_str::<TrainConfig>(&config.to_toml()).unwrap(),
            config
        );
    }

    /// So that runs begun before there was such a section go on.
    #[test]
    fn what_asks_for_nothing_is_no_part_of_a_run() {
        let mut config = TrainConfig::default();
        assert!(config.to_toml().contains("\n[transfer]"));
        let plain = config.essence();
        assert!(!plain.contains("[transfer") && plain.ends_with("resamples = 2000\n"));
        assert!(config.to_toml().contains("temperature") && !plain.contains("temperature"));
        config.evaluation.temperature = TemperatureFrom::PairedFolds;
        assert!(
            config
                .essence()
                .contains("temperature = \"paired-folds\"\n")
        );
        config.evaluation.temperature = TemperatureFrom::Validation;
        config.evaluation.train_only = vec!["ravdess-song".into()];
        assert!(config.essence().contains("train_only") && !plain.contains("train_only"));
        assert_eq!(config.split_options().train_only, ["ravdess-song"]);
        config = TrainConfig::default();
        config.distillation = Some(DistillationConfig::default());
        let taught = config.essence();
        assert!(taught.contains("[distillation]") && !taught.contains("[transfer"));
        config.transfer.layer_decay = 0.5;
        config.evaluation.temperature = TemperatureFrom::PairedFolds;
        assert_eq!(config.essence(), config.to_toml());
    }

    #[test]
    fn unknown_fields_and_bad_values_are_refused() {
        assert!(toml::from_str::<TrainConfig>("sed = 1").is_err());
        assert!(toml::from_str::<TrainConfig>("[training]\nepoch = 1").is_err());
        let bad = |edit: fn(&mut TrainConfig)| {
            let mut config = TrainConfig::default();
            edit(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(bad(|c| c.training.epochs = 0).contains("training.epochs is 0"));
        assert!(bad(|c| c.training.crop_frames = 15).contains("from 16 to 10000"));
        assert!(bad(|c| c.training.crop_frames = 10_001).contains("from 16 to 10000"));
        assert!(bad(|c| c.augmentation.time_masks = 101).contains("at most 100"));
        assert!(bad(|c| c.augmentation.band_masks = usize::MAX).contains("at most 100"));
        assert!(bad(|c| c.augmentation.gain_db = 1e300).contains("from 0 to 60"));
        assert!(bad(|c| c.training.learning_rate = f64::NAN).contains("learning_rate is NaN"));
        assert!(bad(|c| c.training.label_smoothing = 1.0).contains("label_smoothing"));
        assert!(bad(|c| c.evaluation.protocol = "5-fold".into()).contains("5-fold"));
        assert!(bad(|c| c.target = "mood".into()).contains("mood"));
        assert!(bad(|c| c.name = "a/b".into()).contains("name"));
        assert!(bad(|c| c.ensemble.seeds = 0).contains("ensemble.seeds is 0"));
        let both = bad(|c| c.evaluation.temperature = TemperatureFrom::PairedFolds);
        assert!(both.contains("evaluation.validation_speakers 2"), "{both}");
        let beside = bad(|c| c.evaluation.train_only = vec!["tess".into()]);
        assert!(beside.contains("train_only is \"tess\""), "{beside}");
        let twice = bad(|c| c.training.logit_adjustment = 1.0);
        assert!(twice.contains("one of the two"), "{twice}");
        let second = bad(|c| {
            let text = "seeds = 1\n[[networks]]\nkind = 'lstm'\n[[networks]]\nkind = 'temporal'\ndropout = 1.0";
            c.ensemble = toml::from_str(text).unwrap();
        });
        assert!(
            second.starts_with("entry 2 of ensemble.networks: network.dropout"),
            "{second}"
        );
        assert!(bad(|c| c.front_end.log_floor = 0.0).contains("log_floor is 0"));
    }

    #[test]
    fn a_bad_value_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.toml");
        std::fs::write(&path, "[front_end]\nlog_floor = 0.0\n").unwrap();
        let error = TrainConfig::read(&path).unwrap_err();
        assert!(error.to_string().starts_with(&path.display().to_string()));
        assert!(error.to_string().contains("log_floor is 0"));
        assert!(error.hint().unwrap().contains("--print-config"));
    }

    #[test]
    fn what_is_about_labels_is_refused_without_them() {
        type Change = fn(&mut TrainConfig);
        let refused = |change: Change| {
            let mut config = TrainConfig::default();
            change(&mut config);
            config.validate_pretraining().unwrap_err().to_string()
        };
        let changes: [(&str, Change); 7] = [
            ("transfer.freeze", |c| {
                c.transfer.init = "a.onnx".into();
                c.transfer.freeze = Freeze::Named(NamedFreeze::AllButHead);
            }),
            ("transfer.layer_decay", |c| c.transfer.layer_decay = 0.7),
            ("transfer.pretrain.corpora", |c| {
                c.transfer.pretrain.corpora = vec!["tess".into()];
                c.transfer.pretrain.epochs = 5;
            }),
            ("distillation", |c| {
                c.distillation = Some(DistillationConfig {
                    teacher: "a.onnx".into(),
                    ..DistillationConfig::default()
                });
            }),
            ("training.keep", |c| {
                c.training.keep = [("angry".to_owned(), 0.5)].into();
            }),
            ("training.sampling", |c| {
                c.training.sampling = Sampling::Balanced
            }),
            ("training.focal_gamma", |c| c.training.focal_gamma = 2.0),
        ];
        for (field, change) in changes {
            let error = refused(change);
            assert!(error.starts_with(field), "{field}: {error}");
        }
    }

    #[test]
    fn without_labels_only_layers_over_log_mel_learn() {
        let mut config = TrainConfig::default();
        config.validate_pretraining().unwrap();
        config.functionals = Some(FunctionalsConfig {
            sets: vec!["prosody".into()],
            speaker_norm: false,
        });
        for kind in ["functionals-mlp", "two-branch"] {
            config.network = NetworkConfig::named(kind).unwrap();
            let error = config.validate_pretraining().unwrap_err().to_string();
            assert!(error.contains(kind), "{error}");
            assert!(error.contains("a network over log-mel"), "{error}");
        }
    }
}
