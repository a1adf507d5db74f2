//! `[training]`: the loop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Longest crop: 160 s of the usual front end.
const MAX_CROP_FRAMES: usize = 10_000;

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

impl TrainingConfig {
    /// Rejects numbers that no training can run with. `whole`: clips are not cropped.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the field.
    pub(super) fn validate(&self, whole: bool) -> Result<(), TrainError> {
        let wrong = |field, actual, expected| Err(TrainError::config(field, actual, expected));
        if self.epochs == 0 {
            return wrong("training.epochs", "0".into(), "at least 1");
        }
        if self.batch_size < 2 {
            return wrong(
                "training.batch_size",
                self.batch_size.to_string(),
                "at least 2",
            );
        }
        if !whole && !(16..=MAX_CROP_FRAMES).contains(&self.crop_frames) {
            return wrong(
                "training.crop_frames",
                self.crop_frames.to_string(),
                "from 16 to 10000",
            );
        }
        let unit = |x: f64| (0.0..1.0).contains(&x);
        let positive = |x: f64| x.is_finite() && x > 0.0;
        for (field, value, fine, expected) in [
            (
                "training.learning_rate",
                self.learning_rate,
                positive(self.learning_rate),
                "above 0",
            ),
            (
                "training.gradient_clip",
                self.gradient_clip,
                positive(self.gradient_clip),
                "above 0",
            ),
            (
                "training.warmup_epochs",
                self.warmup_epochs,
                self.warmup_epochs >= 0.0 && self.warmup_epochs.is_finite(),
                "at least 0",
            ),
            (
                "training.weight_decay",
                self.weight_decay,
                self.weight_decay >= 0.0 && self.weight_decay.is_finite(),
                "at least 0",
            ),
            (
                "training.label_smoothing",
                self.label_smoothing,
                unit(self.label_smoothing),
                "at least 0 and below 1",
            ),
            (
                "training.weight_average",
                self.weight_average,
                unit(self.weight_average),
                "at least 0 and below 1",
            ),
        ] {
            if !fine {
                return wrong(field, value.to_string(), expected);
            }
        }
        for (field, value) in [
            ("training.focal_gamma", self.focal_gamma),
            ("training.logit_adjustment", self.logit_adjustment),
        ] {
            if !(0.0..=10.0).contains(&value) {
                return wrong(field, value.to_string(), "from 0 to 10");
            }
        }
        if let Some((class, share)) = self
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
        if self.logit_adjustment > 0.0 && self.class_weights == ClassWeights::Balanced {
            let actual = format!(
                "{} beside class_weights = \"balanced\"",
                self.logit_adjustment
            );
            return wrong(
                "training.logit_adjustment",
                actual,
                "one of the two: class_weights = \"none\"",
            );
        }
        Ok(())
    }
}
