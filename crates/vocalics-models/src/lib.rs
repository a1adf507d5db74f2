//! Network definitions and their configurations.
//!
//! A network takes log-mel features `[batch, n_frames, n_mels]` as the front end gives them and
//! returns logits `[batch, n_classes]`. Standardisation, the transposition to image order and the
//! derived channels happen at its door ([`input`]), so the caller has nothing to remember and the
//! exported file takes what the front end gives.
//!
//! Each network is one file: its configuration, its layers, its forward pass, and the same pass
//! written as an ONNX graph with the batch norms folded into the convolutions ([`onnx`]).
//!
//! The way back from a file to a network that can be trained on is [`restore`]; what transfer learning counts in is [`stages`].
//!
//! What they share is in [`layers`], [`pooling`] and [`recurrent`]; [`network`] lists them all, and a new one is
//! registered there.
//!
//! Networks draw their initial weights and their dropout masks from a generator that the caller
//! passes in, never from global state: the same seed gives the same network on any thread.

pub mod cnn_recurrent;
pub mod depthwise;
pub mod dilated_recurrent;
pub mod ensemble;
mod fold;
pub mod functionals_mlp;
pub mod head;
pub mod input;
pub mod layers;
pub mod light_cnn;
pub mod lstm;
pub mod network;
pub mod onnx;
pub mod plain_cnn;
pub mod pooling;
pub mod projector;
pub mod recurrent;
pub mod residual;
pub mod restore;
pub mod stages;
pub mod temporal;
pub mod two_branch;

mod check;
mod error;

pub use ensemble::Ensemble;
pub use error::ModelError;
pub use network::*;
pub use pooling::Pooling;
pub use recurrent::Cell;

/// What a network is built from besides its own sizes.
#[derive(Debug)]
pub struct Init<'a> {
    /// Mel bands of the features.
    pub n_mels: usize,
    /// Classes, each with a logit.
    pub n_classes: usize,
    /// Standardises the features; for `n_mels` bands.
    pub door: input::Door,
    /// Where the weights are drawn from.
    pub rng: &'a mut rand::rngs::StdRng,
    /// Where they lie.
    pub device: &'a burn::tensor::Device,
}

/// How a forward pass treats dropout and batch norm.
#[derive(Debug)]
pub enum Mode<'a> {
    /// Batch statistics; dropout masks drawn from the generator.
    Train(&'a mut rand::rngs::StdRng),
    /// Running statistics, no dropout.
    Infer,
    /// No dropout; norms pass `γ · x + β` on and take note of the statistics of `x` ([`restore::with_measured_norms`]).
    Measure,
}

impl Mode<'_> {
    /// The same for another part of the network.
    pub(crate) fn again(&mut self) -> Mode<'_> {
        match self {
            Self::Train(rng) => Mode::Train(rng),
            Self::Infer => Mode::Infer,
            Self::Measure => Mode::Measure,
        }
    }
}
