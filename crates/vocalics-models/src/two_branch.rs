//! Two branches with one head: a network over log-mel, and dense layers over the functionals of the clip.
//!
//! The pooled vector of the first branch, `a`, and the last hidden layer of the second, `b`, are concatenated and classified by one
//! dense layer. That layer is kept as the two halves of its weights: `[a, b] · W + c = a · W₁ + b · W₂ + c`, so that any network over
//! log-mel can be the first branch as it stands. Each half has a bias; their sum is the `c` of the layer.
//!
//! Source: the joint representation of T. Baltrušaitis, C. Ahuja, L.-P. Morency, *Multimodal Machine Learning: A Survey and
//! Taxonomy*, IEEE Transactions on Pattern Analysis and Machine Intelligence 41(2), 2019, section 3.1; the branches as in their own
//! modules.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::functionals_mlp::{FunctionalsMlp, FunctionalsMlpConfig};
use crate::layers::Dense;
use crate::network::{CnnRecurrentConfig, Network, NetworkConfig};
use crate::onnx::Graph;
use crate::stages::Stage;
use crate::{Init, Mode, ModelError};

/// Sizes of a [`TwoBranch`]. As it stands 809,584 parameters (64 mel bands, the 88 functionals of `egemaps`, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TwoBranchConfig {
    /// Units of each hidden layer over the functionals; empty for the functionals as they are.
    pub hidden: Vec<usize>,
    /// Probability that a functional is dropped in training.
    pub input_dropout: f64,
    /// Probability that a unit of a hidden layer over the functionals is dropped in training.
    pub dropout: f64,
    /// The first branch: a network over log-mel, with its `kind` and sizes.
    pub first: Box<NetworkConfig>,
}

impl Default for TwoBranchConfig {
    fn default() -> Self {
        let branch = FunctionalsMlpConfig::default();
        Self {
            hidden: vec![64],
            input_dropout: branch.input_dropout,
            dropout: branch.dropout,
            first: Box::new(NetworkConfig::CnnRecurrent(CnnRecurrentConfig::default())),
        }
    }
}

impl TwoBranchConfig {
    fn second(&self) -> FunctionalsMlpConfig {
        FunctionalsMlpConfig {
            hidden: self.hidden.clone(),
            input_dropout: self.input_dropout,
            dropout: self.dropout,
        }
    }

    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
        if self.first.takes_functionals() {
            return Err(ModelError::Config {
                field: "first.kind",
                actual: format!("{:?}", self.first.kind()),
                expected: "a network over log-mel",
            });
        }
        self.second().validate(n_mels)?;
        self.first.validate(n_mels)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`], and when the door knows of no functionals.
    pub fn init(&self, init: Init<'_>) -> Result<TwoBranch, ModelError> {
        self.validate(init.n_mels)?;
        let Init {
            n_mels,
            n_classes,
            door,
            rng,
            device,
        } = init;
        let first = self
            .first
            .init(n_mels, n_classes, door.clone(), rng, device)?;
        let second = self.second().init(Init {
            n_mels,
            n_classes,
            door,
            rng,
            device,
        })?;
        Ok(TwoBranch {
            first: vec![first],
            second,
        })
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct TwoBranch {
    /// One network; a list because a module cannot hold one of its own kind directly.
    first: Vec<Network>,
    second: FunctionalsMlp,
}

impl TwoBranch {
    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels + n_functionals]`; result: `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>, mut mode: Mode<'_>) -> Tensor<2> {
        let networks = self.first.iter();
        let first = networks.map(|network| network.forward(features.clone(), mode.again()));
        let first: Vec<Tensor<2>> = first.collect();
        let second = self.second.forward(features, mode);
        first.into_iter().fold(second, |sum, logits| sum + logits) // [batch, n_classes]
    }

    /// What the two halves of the head classify, one behind the other, before dropout.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels + n_functionals]`; result: `[batch, first + second]`.
    #[must_use]
    pub fn embed(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Tensor<2> {
        let networks = self.first.iter();
        let mut both: Vec<Tensor<2>> = networks
            .map(|network| network.embed(features.clone(), mode))
            .collect();
        both.push(self.second.embed(features, mode));
        Tensor::cat(both, 1) // [batch, first + second]
    }

    /// What it is made of: the branches side by side, as far from the head in one as in the other; last both halves of the head.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let mut all: Vec<Stage> = self.first.iter().flat_map(Network::stages).collect();
        let mut second = self.second.stages();
        // What the longer one has more comes first.
        if all.len() < second.len() {
            std::mem::swap(&mut all, &mut second);
        }
        let from = all.len() - second.len();
        for (stage, beside) in all[from..].iter_mut().zip(second) {
            if stage.name != beside.name {
                stage.name = format!("{} and {}", stage.name, beside.name);
            }
            stage.parameters.extend(beside.parameters);
        }
        all
    }

    /// The half of the head over the second branch.
    #[must_use]
    pub fn head(&self) -> &Dense {
        self.second.head()
    }

    /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        let output = graph.output_name().to_owned();
        let [first, second] = ["first", "second"].map(|branch| format!("{output}.{branch}"));
        graph.set_output(&first);
        self.first.iter().for_each(|network| network.trace(graph));
        graph.set_output(&second);
        self.second.trace(graph);
        graph.set_output(&output);
        graph.output("Add", &[&first, &second]);
    }
}
