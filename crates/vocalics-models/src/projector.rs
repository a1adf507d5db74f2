//! The small network behind a body in self-supervised training: projector and predictor.
//!
//! Dense, batch norm, ReLU, dense: it takes the embedding to the space where views of a clip are compared, and is thrown away
//! after the training.
//!
//! Source: J.-B. Grill et al., *Bootstrap Your Own Latent*, NeurIPS 2020, section 3.3.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;

use crate::Mode;
use crate::layers::{Dense, Norm};

/// Dense, batch norm, ReLU, dense.
#[derive(Module, Debug)]
pub struct Projector {
    hidden: Dense,
    norm: Norm,
    output: Dense,
}

impl Projector {
    /// Takes `inputs` numbers over `hidden` units to `outputs`.
    #[must_use]
    pub fn new([inputs, hidden, outputs]: [usize; 3], rng: &mut StdRng, device: &Device) -> Self {
        Self {
            hidden: Dense::new([inputs, hidden], rng, device),
            norm: Norm::new(hidden, true, device),
            output: Dense::new([hidden, outputs], rng, device),
        }
    }

    /// `[batch, inputs]` to `[batch, outputs]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>, mode: &Mode<'_>) -> Tensor<2> {
        let x = self.hidden.forward(x).unsqueeze_dims::<4>(&[2, 3]); // [batch, hidden, 1, 1]
        let x = self.norm.forward(x, mode).flatten::<2>(1, 3); // [batch, hidden]
        self.output.forward(x)
    }
}
