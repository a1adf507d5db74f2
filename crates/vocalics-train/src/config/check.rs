//! What a configuration must say, and what does not go together.

use vocalics_models::NetworkConfig;

use super::TrainConfig;
use crate::{DistillationConfig, Objective, TrainError, Weighting};

impl TrainConfig {
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

    /// As [`Self::validate`], of values alone.
    pub(super) fn validate_values(&self) -> Result<(), TrainError> {
        let wrong = |field, actual, expected| Err(TrainError::config(field, actual, expected));
        self.front_end.validate()?;
        crate::functionals::check(self)?;
        self.check_encoder()?;
        self.network.validate(self.n_bands())?;
        self.ensemble.validate(self.n_bands())?;
        self.target()?;
        self.label_map()?;
        if self.name.is_empty() || self.name.contains(['/', '\\']) {
            return wrong("name", format!("{:?}", self.name), "a name without slashes");
        }
        self.training.validate(self.encoder.is_some())?;
        self.evaluation.validate()?;
        let mut beside = self.evaluation.train_only.iter();
        if let Some(other) = beside.find(|name| !self.corpora.contains(name)) {
            let actual = format!("{other:?}, and corpora {:?}", self.corpora);
            let expected = "names that are also in corpora (or given with --corpus)";
            return wrong("evaluation.train_only", actual, expected);
        }
        self.transfer.validate()?;
        if let Some(byol) = &self.byol {
            byol.validate()?;
        }
        if self.transfer.pretrain.objective == Objective::Byol {
            self.check_body()?;
        }
        if let Some(distillation) = &self.distillation {
            distillation.validate(self.n_bands())?;
            // The student learns from the scores, and is measured on the clips.
            if distillation.student.is_some() && self.ensemble.weighting == Weighting::Validation {
                return Err(TrainError::config(
                    "ensemble.weighting",
                    "\"validation\" beside distillation.student".into(),
                    "\"equal\": shares fitted on validation clips would reach the student's training",
                ));
            }
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
        self.check_unlabelled()?;
        self.check_body()
    }

    /// What says how labels are learned, or from what, does nothing where there are none.
    fn check_unlabelled(&self) -> Result<(), TrainError> {
        let default = Self::default();
        let (ours, theirs) = (&self.training, &default.training);
        let expected = "left out: it has no meaning in a training without labels";
        let given = [
            (
                "transfer.freeze",
                self.transfer.freeze != default.transfer.freeze,
            ),
            (
                "transfer.layer_decay",
                (self.transfer.layer_decay - default.transfer.layer_decay).abs() > 0.0,
            ),
            ("transfer.pretrain.corpora", self.transfer.has_pretraining()),
            ("distillation", self.distillation.is_some()),
            ("training.keep", !ours.keep.is_empty()),
            ("training.sampling", ours.sampling != theirs.sampling),
            ("training.focal_gamma", ours.focal_gamma > 0.0),
            ("training.logit_adjustment", ours.logit_adjustment > 0.0),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => Err(TrainError::config(field, "given".to_owned(), expected)),
            None => Ok(()),
        }
    }

    /// Only a network with layers before the head has something to learn without labels.
    fn check_body(&self) -> Result<(), TrainError> {
        let other =
            |it: &&NetworkConfig| matches!(it, NetworkConfig::Head(_)) || it.takes_functionals();
        match self.members().into_iter().find(other) {
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
}
