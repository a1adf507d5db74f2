//! What a model file says of its encoder.

use serde::{Deserialize, Serialize};

use super::description::EncoderDescription;
use crate::ModelError;

/// What a model file says of the encoder whose embeddings it takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderNote {
    /// What it takes and gives.
    pub description: EncoderDescription,
    /// [`Encoder::hash`](crate::Encoder::hash) of its file.
    pub hash: String,
    /// Numbers of an embedding.
    pub dim: usize,
    /// Whether the encoder is part of the model file; else its own file has to be given.
    pub within: bool,
    /// Its embedding of a known sound, `[dim]`, recomputed when it is loaded.
    pub probe: Vec<f32>,
}

impl EncoderNote {
    /// [`Encoder::fingerprint`](crate::Encoder::fingerprint) of the encoder.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.description.fingerprint(&self.hash)
    }

    pub(crate) fn validate(&self) -> Result<(), ModelError> {
        self.description.validate()?;
        let invalid = |reason: String| Err(ModelError::InvalidMetadata { reason });
        if self.dim == 0 || self.probe.len() != self.dim {
            return invalid(format!(
                "the encoder's probe has {} values, expected {}",
                self.probe.len(),
                self.dim
            ));
        }
        if !self.probe.iter().all(|x| x.is_finite()) {
            return invalid("the encoder's probe has a value that is not finite".to_owned());
        }
        Ok(())
    }
}
