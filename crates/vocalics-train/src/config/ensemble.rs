//! `[ensemble]`: what answers together.

use serde::{Deserialize, Serialize};
use vocalics_models::NetworkConfig;

use crate::TrainError;

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

impl EnsembleConfig {
    /// # Errors
    /// [`TrainError::EnsembleNetwork`] for a network that cannot be built over `n_bands` bands, [`TrainError::Config`] naming the field.
    pub(super) fn validate(&self, n_bands: usize) -> Result<(), TrainError> {
        for (index, network) in self.networks.iter().enumerate() {
            network
                .validate(n_bands)
                .map_err(|source| TrainError::EnsembleNetwork {
                    place: index + 1,
                    source,
                })?;
        }
        if !(1..=100).contains(&self.seeds) {
            let actual = self.seeds.to_string();
            return Err(TrainError::config(
                "ensemble.seeds",
                actual,
                "from 1 to 100",
            ));
        }
        Ok(())
    }
}
