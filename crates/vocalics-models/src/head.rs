//! A head: a linear layer, or one hidden layer and a linear one, over one vector.
//!
//! It is what is trained on the embeddings of a frozen encoder, one frame a clip. Over features of several frames it
//! takes their mean. The vector is standardised first, so that the scale of an encoder's numbers has no say in how
//! fast they are learnt from.
//!
//! Source: the linear probe of G. Alain, Y. Bengio, *Understanding intermediate layers using linear classifier
//! probes*, ICLR 2017 workshop; with dropout and a hidden layer as the downstream head of S. Yang et al., *SUPERB*,
//! Interspeech 2021.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use crate::input::Door;
use crate::layers::{Dense, dropout};
use crate::onnx::Graph;
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`Head`]. As it stands 520 parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadConfig {
    /// Units of the hidden layer; 0 for none.
    pub hidden: usize,
    /// Probability that a number of the vector, and of the hidden layer, is dropped in training.
    pub dropout: f64,
}

impl Default for HeadConfig {
    fn default() -> Self {
        Self {
            hidden: 0,
            dropout: 0.5,
        }
    }
}

impl HeadConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, _n_features: usize) -> Result<(), ModelError> {
        if self.hidden > 0 {
            check::size("hidden", self.hidden)?;
        }
        check::probability("dropout", self.dropout)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<Head, ModelError> {
        self.validate(init.n_mels)?;
        let hidden = (self.hidden > 0)
            .then(|| Dense::new([init.n_mels, self.hidden], init.rng, init.device));
        let width = if self.hidden > 0 {
            self.hidden
        } else {
            init.n_mels
        };
        Ok(Head {
            door: init.door,
            hidden,
            logits: Dense::new([width, init.n_classes], init.rng, init.device),
            dropout: self.dropout,
        })
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct Head {
    door: Door,
    hidden: Option<Dense>,
    logits: Dense,
    dropout: f64,
}

impl Head {
    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_features]`, one frame for embeddings; result: `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>, mut mode: Mode<'_>) -> Tensor<2> {
        let x = self.embed(features, &mut mode); // [batch, embedding]
        self.logits.forward(dropout(x, self.dropout, &mut mode)) // [batch, n_classes]
    }

    /// What the head classifies: a clip as one vector, before dropout.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result: `[batch, embedding]`.
    #[must_use]
    pub fn embed(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Tensor<2> {
        let x = self.door.vector(features); // [batch, n_features]
        match &self.hidden {
            Some(hidden) => relu(hidden.forward(dropout(x, self.dropout, mode))), // [batch, hidden]
            None => x,
        }
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let hidden = self.hidden.iter().map(|hidden| Stage::of("hidden", hidden));
        hidden.chain([Stage::of("head", &self.logits)]).collect()
    }

    /// The dense layer of the logits.
    #[must_use]
    pub fn head(&self) -> &Dense {
        &self.logits
    }

    /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        let mut x = graph.vector(&self.door);
        if let Some(hidden) = &self.hidden {
            let y = graph.dense(&x, hidden);
            x = graph.node("Relu", &[&y]);
        }
        graph.logits(&x, &self.logits);
    }
}
