//! Several networks that answer together.
//!
//! `logits = ln(Σ wₖ · softmax(logitsₖ))`: the weighted mean of the members' probabilities, as logits, so that a
//! temperature, the runtime and onnxruntime treat an ensemble like any network. One member alone keeps its own
//! logits.
//!
//! Source: B. Lakshminarayanan et al., *Simple and Scalable Predictive Uncertainty Estimation using Deep
//! Ensembles*, NeurIPS 2017.

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};

use crate::onnx::{Graph, OUTPUT};
use crate::restore::MEMBER_WEIGHT;
use crate::{Mode, ModelError, Network};

/// Keeps the logarithm of a probability finite.
const FLOOR: f32 = 1e-12;

/// One or several networks with their weights, in inference.
#[derive(Debug, Clone)]
pub struct Ensemble {
    members: Vec<Network>,
    weights: Vec<f32>,
}

impl From<Network> for Ensemble {
    fn from(network: Network) -> Self {
        Self {
            members: vec![network],
            weights: vec![1.0],
        }
    }
}

impl Ensemble {
    /// Networks that count as their weights say.
    ///
    /// # Errors
    /// [`ModelError::Config`] without a network, with another number of weights, or with weights that are not shares
    /// of one.
    pub fn new(members: Vec<Network>, weights: Vec<f32>) -> Result<Self, ModelError> {
        let sum: f32 = weights.iter().sum();
        let shares = weights.iter().all(|weight| *weight >= 0.0) && (sum - 1.0).abs() < 1e-3;
        if members.is_empty() || members.len() != weights.len() || !shares {
            return Err(ModelError::Config {
                field: "ensemble",
                actual: format!("{} networks with the weights {weights:?}", members.len()),
                expected: "one share for each network, summing to 1",
            });
        }
        Ok(Self { members, weights })
    }

    /// The networks.
    #[must_use]
    pub fn members(&self) -> &[Network] {
        &self.members
    }

    /// The share of each network.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`; result: `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>) -> Tensor<2> {
        if let [network] = self.members.as_slice() {
            return network.forward(features, Mode::Infer);
        }
        let mean = self
            .members
            .iter()
            .zip(&self.weights)
            .map(|(network, weight)| {
                softmax(network.forward(features.clone(), Mode::Infer), 1) * *weight
            })
            .reduce(|sum, next| sum + next);
        match mean {
            Some(mean) => (mean + FLOOR).log(),
            // There is a member by construction.
            None => Tensor::from_data(TensorData::new(Vec::<f32>::new(), [0, 0]), &Device::flex()),
        }
    }

    /// Writes the forward pass into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        if let [network] = self.members.as_slice() {
            network.trace(graph);
            return;
        }
        let mut sum: Option<String> = None;
        for (index, (network, &weight)) in self.members.iter().zip(&self.weights).enumerate() {
            if index > 0 {
                graph.next_member();
            }
            let logits = format!("member_{index}.{OUTPUT}");
            graph.set_output(&logits);
            network.trace(graph);
            let scores = graph.softmax(&logits, 1);
            let weight = graph.constant(MEMBER_WEIGHT, vec![weight], &[1]);
            let scores = graph.node("Mul", &[&scores, &weight]);
            sum = Some(match sum {
                Some(sum) => graph.node("Add", &[&sum, &scores]),
                None => scores,
            });
        }
        graph.set_output(OUTPUT);
        if let Some(sum) = sum {
            let floor = graph.constant("member.floor", vec![FLOOR], &[1]);
            let sum = graph.node("Add", &[&sum, &floor]);
            graph.output("Log", &[&sum]);
        }
    }
}
