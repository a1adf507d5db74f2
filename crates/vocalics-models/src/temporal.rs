//! A dilated temporal network: residual convolutions over frames, wider and wider apart.
//!
//! The bands are channels, so that every layer is a convolution along time. Blocks of two dilated
//! convolutions around a shortcut see twice as far as the block before; attentive statistics of the
//! last map are classified. The convolutions look both ways, since the clip is at hand as a whole.
//!
//! Source: S. Bai et al., *An Empirical Evaluation of Generic Convolutional and Recurrent Networks
//! for Sequence Modeling*, arXiv:1803.01271, 2018 (blocks; there causal, with weight norm); J. Ye et
//! al., *Temporal Modeling Matters: A Novel Temporal Emotional Modeling Approach for Speech Emotion
//! Recognition* (TIM-Net), ICASSP 2023 (dilated, in both directions, for emotion).

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use serde::{Deserialize, Serialize};

use crate::input::{self, Door};
use crate::layers::{ConvNorm, ConvShape, Dense};
use crate::onnx::Graph;
use crate::pooling::{Classifier, Pooling};
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`Temporal`]. As it stands 1.10 M parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TemporalConfig {
    /// Channels of every layer.
    pub channels: usize,
    /// Frames of the first kernel, odd.
    pub stem_kernel: usize,
    /// Frames of the blocks' kernels, odd.
    pub kernel: usize,
    /// Frames between the kernel's taps, for each block.
    pub dilations: Vec<usize>,
    /// How the last feature map becomes one vector.
    pub pooling: Pooling,
    /// Hidden units of the attention.
    pub attention: usize,
    /// Probability that a pooled feature is dropped in training.
    pub dropout: f64,
}

impl Default for TemporalConfig {
    fn default() -> Self {
        Self {
            channels: 160,
            stem_kernel: 5,
            kernel: 3,
            dilations: vec![1, 2, 4, 8, 16, 32],
            pooling: Pooling::Attentive,
            attention: 64,
            dropout: 0.5,
        }
    }
}

impl TemporalConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, _n_mels: usize) -> Result<(), ModelError> {
        check::size("channels", self.channels)?;
        check::odd("stem_kernel", self.stem_kernel)?;
        check::odd("kernel", self.kernel)?;
        check::dilations("dilations", &self.dilations)?;
        check::size("attention", self.attention)?;
        check::probability("dropout", self.dropout)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<Temporal, ModelError> {
        self.validate(init.n_mels)?;
        let width = self.channels;
        let inputs = input::CHANNELS * init.n_mels;
        let stem = ConvShape::new([inputs, width], [1, self.stem_kernel]);
        let stem = ConvNorm::new(stem, true, init.rng, init.device);
        let blocks = self.dilations.iter().map(|&dilation| {
            let shape = ConvShape::new([width, width], [1, self.kernel]).dilated([1, dilation]);
            Block {
                first: ConvNorm::new(shape, true, init.rng, init.device),
                second: ConvNorm::silent(shape, false, init.rng, init.device),
            }
        });
        let blocks = blocks.collect();
        let sizes = [width, self.attention, init.n_classes];
        Ok(Temporal {
            door: init.door,
            stem,
            blocks,
            classifier: Classifier::new(sizes, self.pooling, self.dropout, init.rng, init.device),
        })
    }
}

/// Two dilated convolutions and the identity.
#[derive(Module, Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct Temporal {
    door: Door,
    stem: ConvNorm,
    blocks: Vec<Block>,
    classifier: Classifier,
}

impl Temporal {
    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result:
    /// `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>, mut mode: Mode<'_>) -> Tensor<2> {
        let x = self.embed(features, &mut mode); // [batch, embedding]
        self.classifier.classify(x, &mut mode)
    }

    /// What the head classifies: a clip as one vector, before dropout.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result: `[batch, embedding]`.
    #[must_use]
    pub fn embed(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Tensor<2> {
        let x = self.door.forward(features); // [batch, 3, n_mels, n_frames]
        let [batch, channels, n_mels, n_frames] = x.dims();
        let x = x.reshape([batch, channels * n_mels, 1, n_frames]); // [batch, 3 · n_mels, 1, n_frames]
        let mut x = self.stem.forward(x, mode); // [batch, channels, 1, n_frames]
        for block in &self.blocks {
            let y = block.first.forward(x.clone(), mode);
            x = relu(block.second.forward(y, mode) + x);
        }
        let x = x.squeeze_dim::<3>(2); // [batch, channels, n_frames]
        self.classifier.embed(x) // [batch, embedding]
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::of("stem", &self.stem)];
        stages.extend(Stage::blocks(&self.blocks));
        stages.extend(self.classifier.stages());
        stages
    }

    /// The dense layer of the logits.
    #[must_use]
    pub fn head(&self) -> &Dense {
        self.classifier.head()
    }

    /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        let x = graph.door(&self.door);
        let x = graph.stack_rows(&x, self.stem.conv.weight.dims()[1]);
        let mut x = graph.conv_norm(&x, &self.stem);
        for block in &self.blocks {
            let y = graph.conv_norm(&x, &block.first);
            let y = graph.conv_norm(&y, &block.second);
            x = graph.add_relu(&y, &x);
        }
        let x = graph.squeeze(&x, 2);
        self.classifier.trace(graph, &x);
    }
}
