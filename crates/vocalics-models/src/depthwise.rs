//! A depthwise-separable network: each 3x3 convolution is split into one kernel per channel and a
//! 1x1 mix of the channels.
//!
//! The split takes about a ninth of the multiplications of a full convolution. Blocks that keep the
//! shape have a shortcut; attentive statistics of the last map over time are classified.
//!
//! Source: A. Howard et al., *MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
//! Applications*, arXiv:1704.04861, 2017 (blocks); M. Sandler et al., *MobileNetV2*, CVPR 2018
//! (shortcuts).

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::input::{self, Door};
use crate::layers::{ConvNorm, ConvShape, Dense, stages};
use crate::onnx::Graph;
use crate::pooling::{Classifier, Pooling};
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`Depthwise`]. As it stands 0.62 M parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DepthwiseConfig {
    /// Channels of the first convolution, which halves the image.
    pub stem: usize,
    /// Channels of each stage; every stage after the first halves the image.
    pub channels: Vec<usize>,
    /// Separable convolutions in each stage.
    pub blocks: usize,
    /// How the last feature map becomes one vector.
    pub pooling: Pooling,
    /// Hidden units of the attention.
    pub attention: usize,
    /// Probability that a pooled feature is dropped in training.
    pub dropout: f64,
}

impl Default for DepthwiseConfig {
    fn default() -> Self {
        Self {
            stem: 32,
            channels: vec![64, 128, 256, 384],
            blocks: 2,
            pooling: Pooling::Attentive,
            attention: 64,
            dropout: 0.5,
        }
    }
}

impl DepthwiseConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
        check::size("stem", self.stem)?;
        check::sizes("channels", &self.channels)?;
        check::size("blocks", self.blocks)?;
        check::size("attention", self.attention)?;
        check::probability("dropout", self.dropout)?;
        check::halvings("channels", self.channels.len(), n_mels)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<Depthwise, ModelError> {
        self.validate(init.n_mels)?;
        let stem = ConvShape::new([input::CHANNELS, self.stem], [3, 3]).strided([2, 2]);
        let stem = ConvNorm::new(stem, true, init.rng, init.device);
        let mut blocks = Vec::new();
        let (mut width, mut rows) = (self.stem, init.n_mels.div_ceil(2));
        for (channels, stride) in stages(&self.channels, self.blocks) {
            let block = Separable::new([width, channels], stride, init.rng, init.device);
            blocks.push(block);
            (width, rows) = (channels, rows.div_ceil(stride));
        }
        let sizes = [width * rows, self.attention, init.n_classes];
        Ok(Depthwise {
            door: init.door,
            stem,
            blocks,
            classifier: Classifier::new(sizes, self.pooling, self.dropout, init.rng, init.device),
        })
    }
}

/// A depthwise convolution, a pointwise one, and the identity where the shape stays.
#[derive(Module, Debug)]
struct Separable {
    depthwise: ConvNorm,
    pointwise: ConvNorm,
    shortcut: bool,
}

impl Separable {
    fn new(
        [inputs, outputs]: [usize; 2],
        stride: usize,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        let depthwise = ConvShape::depthwise(inputs, [3, 3]).strided([stride, stride]);
        let pointwise = ConvShape::new([inputs, outputs], [1, 1]);
        let shortcut = stride == 1 && inputs == outputs;
        let depthwise = ConvNorm::new(depthwise, true, rng, device);
        let pointwise = if shortcut {
            ConvNorm::silent(pointwise, false, rng, device)
        } else {
            ConvNorm::new(pointwise, true, rng, device)
        };
        Self {
            depthwise,
            pointwise,
            shortcut,
        }
    }

    /// `[batch, in, rows, columns]` to `[batch, out, rows / stride, columns / stride]`.
    fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let y = self.depthwise.forward(x.clone(), mode);
        let y = self.pointwise.forward(y, mode);
        if self.shortcut { relu(y + x) } else { y }
    }

    fn trace(&self, graph: &mut Graph, x: &str) -> String {
        let y = graph.conv_norm(x, &self.depthwise);
        let y = graph.conv_norm(&y, &self.pointwise);
        if !self.shortcut {
            return y;
        }
        graph.add_relu(&y, x)
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct Depthwise {
    door: Door,
    stem: ConvNorm,
    blocks: Vec<Separable>,
    classifier: Classifier,
}

impl Depthwise {
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
        let mut x = self.stem.forward(x, mode); // [batch, stem, n_mels / 2, n_frames / 2]
        for block in &self.blocks {
            x = block.forward(x, mode); // [batch, channels, rows, columns]
        }
        let x = x.flatten::<3>(1, 2); // [batch, channels · rows, columns]
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
        let mut x = graph.conv_norm(&x, &self.stem);
        for block in &self.blocks {
            x = block.trace(graph, &x);
        }
        let x = graph.flatten_rows(&x, self.classifier.features());
        self.classifier.trace(graph, &x);
    }
}
