//! The configuration of a run: everything but the recordings and the machine.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vocalics_corpora::{LabelMap, Protocol, SplitOptions, Target};
use vocalics_eval::MIN_RESAMPLES;
use vocalics_features::{Functionals, LogMelConfig};
use vocalics_models::{HeadConfig, NetworkConfig};
use vocalics_runtime::Encoder;

use crate::byol::ByolConfig;
use crate::{
    AugmentConfig, DistillationConfig, EncoderConfig, FunctionalsConfig, Objective, TrainError,
    TransferConfig,
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

/// Several networks that answer together; by default one answers alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EnsembleConfig {
    /// Trainings of each network, with weights, order and crops of their own.
    pub seeds: usize,
    /// How the answers are weighted.
    pub weighting: Weighting,
    /// Networks besides that of `[network]`.
    pub networks: Vec<NetworkConfig>,
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        Self {
            seeds: 1,
            weighting: Weighting::Equal,
            networks: Vec::new(),
        }
    }
}

/// How the answers of an ensemble's members are weighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// Each the same.
    Equal,
    /// So that the validation clips are likeliest; the same without validation clips.
    Validation,
}

/// How classes of unequal size count in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Every clip counts the same.
    None,
    /// Every class counts the same: a clip weighs `clips / (classes · clips of its class)`.
    Balanced,
}

/// How often clips come in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each once.
    Shuffled,
    /// Each class as often as any other: clips of small classes several times, not all of a large one. Class weights and logit
    /// adjustment then find nothing to balance.
    Balanced,
}

/// The training loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainingConfig {
    /// Passes over the training clips. The weights of the last one are used.
    pub epochs: usize,
    /// Clips per step.
    pub batch_size: usize,
    /// Frames of a training crop. Shorter clips are repeated to this length.
    pub crop_frames: usize,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Epochs of linear warm-up before the cosine decay to zero.
    pub warmup_epochs: f64,
    /// Decoupled weight decay of AdamW, on weights but not on biases and norms.
    pub weight_decay: f64,
    /// Probability mass of the target spread over all classes.
    pub label_smoothing: f64,
    /// Largest global norm of the gradient; larger ones are scaled down.
    pub gradient_clip: f64,
    /// Decay per step of the running average of the weights, which is what is used; 0 for none.
    pub weight_average: f64,
    /// How classes of unequal size count.
    pub class_weights: ClassWeights,
    /// Exponent of the focal loss, which lets clips that are known already count less; 0 for cross-entropy.
    pub focal_gamma: f64,
    /// Strength of the logit adjustment for classes of unequal size; 0 for none, 1 for what balances them. It takes the place
    /// of balanced class weights.
    pub logit_adjustment: f64,
    /// How often clips come in an epoch.
    pub sampling: Sampling,
    /// Share of a class's training clips that is kept, for studies of unequal classes; classes not named are kept whole.
    /// Test and validation clips are left as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, f64>,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 30,
            batch_size: 32,
            crop_frames: 160,
            learning_rate: 3e-3,
            warmup_epochs: 2.0,
            weight_decay: 0.02,
            label_smoothing: 0.1,
            gradient_clip: 5.0,
            weight_average: 0.995,
            class_weights: ClassWeights::Balanced,
            focal_gamma: 0.0,
            logit_adjustment: 0.0,
            sampling: Sampling::Shuffled,
            keep: BTreeMap::new(),
        }
    }
}

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

    /// Reads and validates a configuration file for an encoder: what it does not say is as in [`Self::for_encoder`], and
    /// an encoder that it names must be this one.
    ///
    /// # Errors
    /// As [`Self::read`], and [`TrainError::OtherEncoder`].
    pub fn read_for_encoder(path: &Path, encoder: &Encoder) -> Result<Self, TrainError> {
        let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
        let syntax = |source| TrainError::ConfigSyntax {
            path: path.to_owned(),
            source: Box::new(source),
        };
        // Said of the file as it is written, with the line.
        let plain: Self = toml::from_str(&text).map_err(syntax)?;
        if let Some(named) = &plain.encoder {
            named.check(encoder)?;
        }
        let defaults = Self::for_encoder(EncoderConfig::of(encoder));
        let said: toml::Table = toml::from_str(&text).map_err(syntax)?;
        let mut whole: toml::Table = toml::from_str(&defaults.to_toml()).map_err(syntax)?;
        overlay(&mut whole, said);
        let config: Self = whole.try_into().map_err(syntax)?;
        config
            .validate()
            .map_err(|source| TrainError::ConfigValue {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
        Ok(config)
    }

    /// Reads a configuration file and validates its values. Whether it says all that its sections need is for
    /// [`Self::validate`], after the command line has had its say.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::ConfigSyntax`], or [`TrainError::ConfigValue`] around what
    /// [`Self::validate`] says of values.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        read_toml(path, Self::validate_values)
    }

    /// The configuration as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // Every field is a number, a string or a table of those.
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// What a run's checkpoints depend on: the configuration as TOML, without the sections that ask for nothing.
    pub(crate) fn essence(&self) -> String {
        let mut text = self.to_toml();
        if self.transfer == TransferConfig::default() {
            // The last section.
            text.truncate(text.find("\n[transfer]").unwrap_or(text.len()));
        }
        text
    }

    /// Rejects values that no training can run with, and sections that lack what they need.
    ///
    /// # Errors
    /// [`TrainError::Config`] and its like, naming the field.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.validate_values()?;
        self.transfer.validate_source()?;
        self.distillation
            .iter()
            .try_for_each(DistillationConfig::validate_source)
    }

    fn validate_values(&self) -> Result<(), TrainError> {
        let wrong = |field, actual, expected| Err(TrainError::config(field, actual, expected));
        self.front_end.validate()?;
        crate::functionals::check(self)?;
        self.check_encoder()?;
        self.network.validate(self.n_bands())?;
        for (index, network) in self.ensemble.networks.iter().enumerate() {
            network
                .validate(self.n_bands())
                .map_err(|source| TrainError::EnsembleNetwork {
                    place: index + 1,
                    source,
                })?;
        }
        if !(1..=100).contains(&self.ensemble.seeds) {
            let actual = self.ensemble.seeds.to_string();
            return wrong("ensemble.seeds", actual, "from 1 to 100");
        }
        self.target()?;
        self.label_map()?;
        self.evaluation.protocol.parse::<Protocol>()?;
        let t = &self.training;
        if self.name.is_empty() || self.name.contains(['/', '\\']) {
            return wrong("name", format!("{:?}", self.name), "a name without slashes");
        }
        if t.epochs == 0 {
            return wrong("training.epochs", "0".into(), "at least 1");
        }
        if t.batch_size < 2 {
            return wrong(
                "training.batch_size",
                t.batch_size.to_string(),
                "at least 2",
            );
        }
        if t.crop_frames < 16 && self.encoder.is_none() {
            return wrong(
                "training.crop_frames",
                t.crop_frames.to_string(),
                "at least 16",
            );
        }
        let unit = |x: f64| (0.0..1.0).contains(&x);
        let positive = |x: f64| x.is_finite() && x > 0.0;
        for (field, value, fine, expected) in [
            (
                "training.learning_rate",
                t.learning_rate,
                positive(t.learning_rate),
                "above 0",
            ),
            (
                "training.gradient_clip",
                t.gradient_clip,
                positive(t.gradient_clip),
                "above 0",
            ),
            (
                "training.warmup_epochs",
                t.warmup_epochs,
                t.warmup_epochs >= 0.0 && t.warmup_epochs.is_finite(),
                "at least 0",
            ),
            (
                "training.weight_decay",
                t.weight_decay,
                t.weight_decay >= 0.0 && t.weight_decay.is_finite(),
                "at least 0",
            ),
            (
                "training.label_smoothing",
                t.label_smoothing,
                unit(t.label_smoothing),
                "at least 0 and below 1",
            ),
            (
                "training.weight_average",
                t.weight_average,
                unit(t.weight_average),
                "at least 0 and below 1",
            ),
        ] {
            if !fine {
                return wrong(field, value.to_string(), expected);
            }
        }
        for (field, value) in [
            ("training.focal_gamma", t.focal_gamma),
            ("training.logit_adjustment", t.logit_adjustment),
        ] {
            if !(0.0..=10.0).contains(&value) {
                return wrong(field, value.to_string(), "from 0 to 10");
            }
        }
        if let Some((class, share)) = t
            .keep
            .iter()
            .find(|(_, share)| !(**share > 0.0 && **share <= 1.0))
        {
            return wrong(
                "training.keep",
                format!("{share} for {class}"),
                "shares above 0, at most 1",
            );
        }
        if t.logit_adjustment > 0.0 && t.class_weights == ClassWeights::Balanced {
            let actual = format!("{} beside class_weights = \"balanced\"", t.logit_adjustment);
            return wrong(
                "training.logit_adjustment",
                actual,
                "one of the two: class_weights = \"none\"",
            );
        }
        if self.evaluation.resamples < MIN_RESAMPLES {
            let actual = self.evaluation.resamples.to_string();
            return wrong("evaluation.resamples", actual, "at least 40");
        }
        if self.evaluation.repeats == 0 {
            return wrong("evaluation.repeats", "0".into(), "at least 1");
        }
        self.transfer.validate()?;
        if let Some(byol) = &self.byol {
            byol.validate()?;
        }
        if self.transfer.pretrain.objective == Objective::Byol {
            self.check_body(&self.members())?;
        }
        if let Some(distillation) = &self.distillation {
            distillation.validate(self.n_bands())?;
        }
        self.augmentation.validate(self.n_bands())
    }

    /// As [`Self::validate`], and rejects what has no meaning in a training without labels.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn validate_pretraining(&self) -> Result<(), TrainError> {
        self.validate()?;
        let wrong = |field, actual, expected| Err(TrainError::config(field, actual, expected));
        if let Some(encoder) = &self.encoder {
            let expected = "none: the network is pretrained on log-mel features";
            return wrong("encoder", encoder.description.name.clone(), expected);
        }
        let networks = self.members().len();
        if networks > 1 {
            return wrong("ensemble", format!("{networks} networks"), "one network");
        }
        let steps = self.augmentation.waveform.steps.len();
        if steps > 0 {
            let actual = format!("a plan of {steps} steps");
            let expected = "none without labels: views are made of log-mel features";
            return wrong("augmentation.waveform", actual, expected);
        }
        self.check_body(&[&self.network])
    }

    /// Only a network with layers before the head has something to learn without labels.
    pub(crate) fn check_body(&self, networks: &[&NetworkConfig]) -> Result<(), TrainError> {
        let head =
            |it: &&&NetworkConfig| matches!(it, NetworkConfig::Head(_)) || it.takes_functionals();
        match networks.iter().find(head) {
            Some(network) => Err(TrainError::config(
                "network.kind",
                format!("{:?}", network.kind()),
                "a network over log-mel with layers before the head, to pretrain without labels",
            )),
            None => Ok(()),
        }
    }

    /// What applies to log-mel features alone must not be asked for beside an encoder.
    fn check_encoder(&self) -> Result<(), TrainError> {
        let wrong = |field, actual, expected| Err(TrainError::config(field, actual, expected));
        let Some(encoder) = &self.encoder else {
            return Ok(());
        };
        encoder.description.validate()?;
        if self.front_end != Self::default().front_end {
            let expected = "left out with an encoder, whose description says what it takes";
            return wrong("front_end", "given".to_owned(), expected);
        }
        if self.transfer.has_init()
            || self.transfer.has_pretraining()
            || self.distillation.is_some()
        {
            let expected = "neither transfer nor distillation with an encoder: its head is small enough to learn from the start";
            return wrong("encoder", encoder.description.name.clone(), expected);
        }
        let mut networks = self.members().into_iter();
        if let Some(other) = networks.find(|n| !matches!(n, NetworkConfig::Head(_))) {
            let expected = "\"head\", the one network over the embeddings of an encoder";
            return wrong("network.kind", format!("{:?}", other.kind()), expected);
        }
        if self.training.crop_frames != 1 {
            return wrong(
                "training.crop_frames",
                self.training.crop_frames.to_string(),
                "1 with an encoder: an embedding is of a whole clip, there is nothing to crop",
            );
        }
        if let Some((field, actual)) = self.augmentation.of_log_mel() {
            let expected = "none with an encoder: its embeddings are computed once, of the clips as they are; mixup works";
            return wrong(field, actual, expected);
        }
        Ok(())
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

/// Puts what a file says over defaults, table by table. A network comes whole: fields of another kind are none of its.
fn overlay(defaults: &mut toml::Table, said: toml::Table) {
    for (key, value) in said {
        match (defaults.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(said)) if key != "network" => {
                overlay(inner, said);
            }
            (_, value) => {
                defaults.insert(key, value);
            }
        }
    }
}

/// Reads a file of typed TOML and checks its values.
///
/// # Errors
/// [`TrainError::Io`], [`TrainError::ConfigSyntax`], or [`TrainError::ConfigValue`] around what `check` says.
pub(crate) fn read_toml<T: DeserializeOwned>(
    path: &Path,
    check: impl FnOnce(&T) -> Result<(), TrainError>,
) -> Result<T, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
    let value: T = toml::from_str(&text).map_err(|source| TrainError::ConfigSyntax {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    check(&value).map_err(|source| TrainError::ConfigValue {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    Ok(value)
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
        config.distillation = Some(DistillationConfig::default());
        let taught = config.essence();
        assert!(taught.contains("[distillation]") && !taught.contains("[transfer"));
        config.transfer.layer_decay = 0.5;
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
        assert!(bad(|c| c.training.learning_rate = f64::NAN).contains("learning_rate is NaN"));
        assert!(bad(|c| c.training.label_smoothing = 1.0).contains("label_smoothing"));
        assert!(bad(|c| c.evaluation.protocol = "5-fold".into()).contains("5-fold"));
        assert!(bad(|c| c.target = "mood".into()).contains("mood"));
        assert!(bad(|c| c.name = "a/b".into()).contains("name"));
        assert!(bad(|c| c.ensemble.seeds = 0).contains("ensemble.seeds is 0"));
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
    fn without_labels_only_layers_over_log_mel_learn() {
        let mut config = TrainConfig::default();
        config.validate_pretraining().unwrap();
        config.functionals = Some(FunctionalsConfig {
            sets: vec!["prosody".into()],
        });
        for kind in ["functionals-mlp", "two-branch"] {
            config.network = NetworkConfig::named(kind).unwrap();
            let error = config.validate_pretraining().unwrap_err().to_string();
            assert!(error.contains(kind), "{error}");
            assert!(error.contains("a network over log-mel"), "{error}");
        }
    }
}
