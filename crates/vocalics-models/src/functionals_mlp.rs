//! A multilayer perceptron over the functionals of a clip, one vector whatever its length.
//!
//! The functionals of named sets stand behind the mel bands of every frame ([`crate::input`]); the bands are not looked at. Dropout on
//! the standardised vector keeps the network from resting on few of them.
//!
//! Source: D. E. Rumelhart, G. E. Hinton, R. J. Williams, *Learning representations by back-propagating errors*, Nature 323, 1986;
//! rectified units after X. Glorot, A. Bordes, Y. Bengio, *Deep Sparse Rectifier Neural Networks*, AISTATS 2011; dropout on inputs and
//! units after N. Srivastava et al., *Dropout*, JMLR 15, 2014.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use crate::input::Door;
use crate::layers::{Dense, dropout};
use crate::onnx::Graph;
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`FunctionalsMlp`]. As it stands 12,424 parameters (the 88 functionals of `egemaps`, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FunctionalsMlpConfig {
    /// Units of each hidden layer; empty for a linear layer alone.
    pub hidden: Vec<usize>,
    /// Probability that a functional is dropped in training.
    pub input_dropout: f64,
    /// Probability that a unit of a hidden layer is dropped in training.
    pub dropout: f64,
}

impl Default for FunctionalsMlpConfig {
    fn default() -> Self {
        Self {
            hidden: vec![128],
            input_dropout: 0.2,
            dropout: 0.5,
        }
    }
}

impl FunctionalsMlpConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, _n_mels: usize) -> Result<(), ModelError> {
        if !self.hidden.is_empty() {
            check::sizes("hidden", &self.hidden)?;
        }
        check::probability("input_dropout", self.input_dropout)?;
        check::probability("dropout", self.dropout)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`], and when the door knows of no functionals.
    pub fn init(&self, init: Init<'_>) -> Result<FunctionalsMlp, ModelError> {
        self.validate(init.n_mels)?;
        let mut width = init.door.n_functionals();
        if width == 0 {
            return Err(ModelError::Config {
                field: "kind",
                actual: "one over functionals, and there are none".into(),
                expected: "[functionals] with the sets that it takes",
            });
        }
        let mut hidden = Vec::with_capacity(self.hidden.len());
        for &units in &self.hidden {
            hidden.push(Dense::new([width, units], init.rng, init.device));
            width = units;
        }
        Ok(FunctionalsMlp {
            door: init.door,
            hidden,
            logits: Dense::new([width, init.n_classes], init.rng, init.device),
            input_dropout: self.input_dropout,
            dropout: self.dropout,
        })
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct FunctionalsMlp {
    door: Door,
    hidden: Vec<Dense>,
    logits: Dense,
    input_dropout: f64,
    dropout: f64,
}

impl FunctionalsMlp {
    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels + n_functionals]`; result: `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>, mut mode: Mode<'_>) -> Tensor<2> {
        let x = self.embed(features, &mut mode); // [batch, hidden]
        let last = if self.hidden.is_empty() {
            0.0
        } else {
            self.dropout
        };
        self.logits.forward(dropout(x, last, &mut mode)) // [batch, n_classes]
    }

    /// What the head classifies: the functionals behind the hidden layers, before dropout.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels + n_functionals]`; result: `[batch, hidden]`, without a hidden layer `[batch, n_functionals]`.
    #[must_use]
    pub fn embed(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Tensor<2> {
        let x = self.door.functionals(features); // [batch, n_functionals]
        let mut x = dropout(x, self.input_dropout, mode);
        for (n, hidden) in self.hidden.iter().enumerate() {
            let between = if n == 0 { 0.0 } else { self.dropout };
            x = relu(hidden.forward(dropout(x, between, mode))); // [batch, hidden]
        }
        x
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let numbered = self.hidden.iter().enumerate();
        let hidden = numbered.map(|(n, layer)| Stage::of(format!("hidden {}", n + 1), layer));
        hidden.chain([Stage::of("head", &self.logits)]).collect()
    }

    /// The dense layer of the logits.
    #[must_use]
    pub fn head(&self) -> &Dense {
        &self.logits
    }

    /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        let mut x = graph.functionals(&self.door);
        for hidden in &self.hidden {
            let y = graph.dense(&x, hidden);
            x = graph.node("Relu", &[&y]);
        }
        graph.logits(&x, &self.logits);
    }
}
