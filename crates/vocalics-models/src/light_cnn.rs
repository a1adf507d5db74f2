//! A light CNN whose first layer looks along time, along frequency and at both, side by side.
//!
//! Three parallel convolutions: 1x11 sees how one band moves, 9x1 sees the spectrum of one frame,
//! 3x3 sees both. Their maps are stacked, then convolved and averaged down in a few blocks, then
//! averaged over everything that is left.
//!
//! Source: A. Aftab et al., *LIGHT-SERNET: A Lightweight Fully Convolutional Neural Network for
//! Speech Emotion Recognition*, ICASSP 2022. Here the input is log-mel with its derived channels
//! ([`crate::input`]) instead of MFCC.

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use vocalics_kernels::extension;

use crate::input::{self, Door};
use crate::layers::{ConvNorm, ConvShape, Dense, dropout};
use crate::onnx::Graph;
use crate::pooling::average;
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Kernels of the parallel convolutions, rows (mel bands) and columns (frames).
const PARALLEL: [[usize; 2]; 3] = [[9, 1], [1, 11], [3, 3]];

/// Sizes of a [`LightCnn`]. As it stands 0.46 M parameters (64 mel bands, 8 classes), those of the
/// source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightCnnConfig {
    /// Channels of each of the three parallel convolutions.
    pub parallel: usize,
    /// Channels of each block. The first two halve bands and frames, the others frames only.
    pub channels: Vec<usize>,
    /// Channels of the last, 1x1 convolution.
    pub last: usize,
    /// Probability that a pooled feature is dropped in training.
    pub dropout: f64,
}

impl Default for LightCnnConfig {
    fn default() -> Self {
        Self {
            parallel: 32,
            channels: vec![64, 96, 128, 160],
            last: 320,
            dropout: 0.3,
        }
    }
}

impl LightCnnConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, _n_mels: usize) -> Result<(), ModelError> {
        check::size("parallel", self.parallel)?;
        check::sizes("channels", &self.channels)?;
        check::size("last", self.last)?;
        check::probability("dropout", self.dropout)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<LightCnn, ModelError> {
        self.validate(init.n_mels)?;
        let parallel = PARALLEL
            .map(|kernel| ConvShape::new([input::CHANNELS, self.parallel], kernel))
            .map(|shape| ConvNorm::new(shape, true, init.rng, init.device))
            .into();
        let mut width = PARALLEL.len() * self.parallel;
        let mut blocks = Vec::new();
        for &channels in &self.channels {
            let shape = ConvShape::new([width, channels], [3, 3]);
            blocks.push(ConvNorm::new(shape, true, init.rng, init.device));
            width = channels;
        }
        let last = ConvShape::new([width, self.last], [1, 1]);
        Ok(LightCnn {
            door: init.door,
            parallel,
            blocks,
            last: ConvNorm::new(last, true, init.rng, init.device),
            head: Dense::new([self.last, init.n_classes], init.rng, init.device),
            dropout: self.dropout,
        })
    }
}

/// Rows and columns that become one behind a block.
fn window(block: usize) -> [usize; 2] {
    if block < 2 { [2, 2] } else { [1, 2] }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct LightCnn {
    door: Door,
    parallel: Vec<ConvNorm>,
    blocks: Vec<ConvNorm>,
    last: ConvNorm,
    head: Dense,
    dropout: f64,
}

impl LightCnn {
    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result:
    /// `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>, mut mode: Mode<'_>) -> Tensor<2> {
        let x = self.embed(features, &mut mode); // [batch, last]
        self.head.forward(dropout(x, self.dropout, &mut mode))
    }

    /// What the head classifies: a clip as one vector, before dropout.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result: `[batch, embedding]`.
    #[must_use]
    pub fn embed(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Tensor<2> {
        let x = self.door.forward(features); // [batch, 3, n_mels, n_frames]
        let maps = self
            .parallel
            .iter()
            .map(|path| path.forward(x.clone(), &*mode));
        let x = Tensor::cat(maps.collect(), 1); // [batch, 3 · parallel, n_mels, n_frames]
        let mut x = average(x, [2, 2]); // [batch, 3 · parallel, n_mels / 2, n_frames / 2]
        for (index, block) in self.blocks.iter().enumerate() {
            x = average(block.forward(x, mode), window(index)); // [batch, channels, rows, columns]
        }
        let x = self.last.forward(x, mode); // [batch, last, rows, columns]
        extension::channel_mean(x) // [batch, last]
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::of("parallel convolutions", &self.parallel)];
        stages.extend(Stage::blocks(&self.blocks));
        stages.push(Stage::of("last convolution", &self.last));
        stages.push(Stage::of("head", &self.head));
        stages
    }

    /// The dense layer of the logits.
    #[must_use]
    pub fn head(&self) -> &Dense {
        &self.head
    }

    /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        let x = graph.door(&self.door);
        let maps: Vec<String> = self
            .parallel
            .iter()
            .map(|path| graph.conv_norm(&x, path))
            .collect();
        let maps: Vec<&str> = maps.iter().map(String::as_str).collect();
        let x = graph.concat(&maps, 1);
        let mut x = graph.average(&x, [2, 2]);
        for (index, block) in self.blocks.iter().enumerate() {
            x = graph.conv_norm(&x, block);
            x = graph.average(&x, window(index));
        }
        let x = graph.conv_norm(&x, &self.last);
        let x = graph.node("GlobalAveragePool", &[&x]);
        let x = graph.flatten(&x);
        graph.logits(&x, &self.head);
    }
}
