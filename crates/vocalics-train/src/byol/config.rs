//! `[byol]`: the numbers of a training without labels.

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// How a network learns from recordings without labels. `[training]` has the rest: the length of a crop, warm-up, weight decay,
/// gradient clipping, and where it is the whole training the epochs. Its running average of the weights is not used here.
///
/// Defaults are those of BYOL-A unless it is said: D. Niizumi et al., *BYOL for Audio*, IJCNN 2021, sections III and IV.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ByolConfig {
    /// `τ` of the first step: share of the target that stays at a step. It grows to 1 along half a cosine, as in J.-B. Grill et al.,
    /// *Bootstrap Your Own Latent*, NeurIPS 2020, section 3.3.
    pub tau_base: f64,
    /// Units of the hidden layer of projector and predictor. 4096 in the paper, for a network with an embedding of 2048; those
    /// here have some hundreds.
    pub projection_hidden: usize,
    /// Numbers of a projection.
    pub projection_size: usize,
    /// `α`: mixup draws the share of the other clip from 0 to this; 0 for none.
    pub mixup_alpha: f64,
    /// Past clips that mixup draws from, at most those since the begin of the epoch before.
    pub memory_bank: usize,
    /// Canvas that a view is cropped from, times the bands and the frames of the clip; what the clip does not cover holds the mean.
    pub virtual_crop_scale: [f64; 2],
    /// `h₁`, `h₂`: height of the crop over the bands of the clip, least and most.
    pub freq_scale: [f64; 2],
    /// `w₁`, `w₂`: width of the crop over the frames of the clip, least and most.
    pub time_scale: [f64; 2],
    /// Clips per step. 256 in the paper; smaller so that a step fits a machine without a card.
    pub batch_size: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
}

impl Default for ByolConfig {
    fn default() -> Self {
        Self {
            tau_base: 0.99,
            projection_hidden: 1024,
            projection_size: 256,
            mixup_alpha: 0.4,
            memory_bank: 2048,
            virtual_crop_scale: [1.0, 1.5],
            freq_scale: [0.6, 1.5],
            time_scale: [0.6, 1.5],
            batch_size: 64,
            learning_rate: 3e-4,
        }
    }
}

impl ByolConfig {
    /// # Errors
    /// [`TrainError::Config`] naming the field.
    pub(crate) fn validate(&self) -> Result<(), TrainError> {
        let share = |x: f64| (0.0..1.0).contains(&x);
        let size = |x: usize| (1..=65_536).contains(&x);
        let scale = |[low, high]: [f64; 2]| 0.1 <= low && low <= high && high <= 4.0;
        let canvas = |[bands, frames]: [f64; 2]| {
            (1.0..=4.0).contains(&bands) && (1.0..=4.0).contains(&frames)
        };
        let rate = self.learning_rate;
        let scales = "two factors from 0.1 to 4, ascending";
        for (field, fine, actual, expected) in [
            (
                "byol.tau_base",
                share(self.tau_base),
                self.tau_base.to_string(),
                "at least 0 and below 1",
            ),
            (
                "byol.projection_hidden",
                size(self.projection_hidden),
                self.projection_hidden.to_string(),
                "from 1 to 65536",
            ),
            (
                "byol.projection_size",
                size(self.projection_size),
                self.projection_size.to_string(),
                "from 1 to 65536",
            ),
            (
                "byol.mixup_alpha",
                share(self.mixup_alpha),
                self.mixup_alpha.to_string(),
                "at least 0 and below 1",
            ),
            (
                "byol.virtual_crop_scale",
                canvas(self.virtual_crop_scale),
                format!("{:?}", self.virtual_crop_scale),
                "two factors from 1 to 4",
            ),
            (
                "byol.freq_scale",
                scale(self.freq_scale),
                format!("{:?}", self.freq_scale),
                scales,
            ),
            (
                "byol.time_scale",
                scale(self.time_scale),
                format!("{:?}", self.time_scale),
                scales,
            ),
            (
                "byol.batch_size",
                self.batch_size >= 2,
                self.batch_size.to_string(),
                "at least 2",
            ),
            (
                "byol.learning_rate",
                rate.is_finite() && rate > 0.0,
                rate.to_string(),
                "above 0",
            ),
        ] {
            if !fine {
                return Err(TrainError::config(field, actual, expected));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_mean_nothing_are_refused_by_name() {
        ByolConfig::default().validate().unwrap();
        for (text, field) in [
            ("tau_base = 1.0", "byol.tau_base"),
            ("projection_hidden = 0", "byol.projection_hidden"),
            ("projection_size = 0", "byol.projection_size"),
            ("mixup_alpha = nan", "byol.mixup_alpha"),
            ("virtual_crop_scale = [0.5, 1.5]", "byol.virtual_crop_scale"),
            ("freq_scale = [1.5, 0.6]", "byol.freq_scale"),
            ("time_scale = [0.0, 1.0]", "byol.time_scale"),
            ("batch_size = 1", "byol.batch_size"),
            ("learning_rate = 0.0", "byol.learning_rate"),
        ] {
            let config: ByolConfig = toml::from_str(text).unwrap();
            let error = config.validate().unwrap_err().to_string();
            assert!(error.starts_with(field), "{text}: {error}");
        }
        assert!(toml::from_str::<ByolConfig>("ema_decay = 0.9").is_err());
    }
}
