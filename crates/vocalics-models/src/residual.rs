//! A compact residual CNN with squeeze-excite and attentive statistics pooling.
//!
//! A strided stem, then stages of residual blocks that halve the image and widen the channels,
//! then statistics of the last feature map over time, weighted by a small attention network, and
//! one dense layer.
//!
//! Source: K. He et al., *Deep Residual Learning*, CVPR 2016 (blocks); J. Hu et al.,
//! *Squeeze-and-Excitation Networks*, CVPR 2018 (channel gate).

use burn::module::Module;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_kernels::extension;

use crate::input::{self, Door};
use crate::layers::{ConvNorm, ConvShape, Dense, stages};
use crate::onnx::Graph;
use crate::pooling::{Classifier, Pooling};
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`ResidualCnn`]. As it stands 0.60 M parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResidualCnnConfig {
    /// Channels of each stage; every stage after the first halves the image.
    pub channels: Vec<usize>,
    /// Residual blocks in each stage.
    pub blocks: usize,
    /// Rows and columns of the stem's kernel, odd.
    pub stem_kernel: usize,
    /// Channels per hidden unit of the channel gate.
    pub squeeze: usize,
    /// How the last feature map becomes one vector.
    pub pooling: Pooling,
    /// Hidden units of the attention.
    pub attention: usize,
    /// Probability that a pooled feature is dropped in training.
    pub dropout: f64,
}

impl Default for ResidualCnnConfig {
    fn default() -> Self {
        Self {
            channels: vec![24, 48, 96, 144],
            blocks: 1,
            stem_kernel: 5,
            squeeze: 4,
            pooling: Pooling::Attentive,
            attention: 64,
            dropout: 0.5,
        }
    }
}

impl ResidualCnnConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
        let Self { channels, .. } = self;
        check::sizes("channels", channels)?;
        check::size("blocks", self.blocks)?;
        check::odd("stem_kernel", self.stem_kernel)?;
        check::size("squeeze", self.squeeze)?;
        check::size("attention", self.attention)?;
        check::probability("dropout", self.dropout)?;
        check::halvings("channels", channels.len(), n_mels)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<ResidualCnn, ModelError> {
        self.validate(init.n_mels)?;
        let (first, kernel) = (self.channels[0], self.stem_kernel);
        let stem = ConvShape::new([input::CHANNELS, first], [kernel, kernel]).strided([2, 2]);
        let stem = ConvNorm::new(stem, true, init.rng, init.device);
        let mut blocks = Vec::new();
        let (mut width, mut rows) = (first, init.n_mels.div_ceil(2));
        for (channels, stride) in stages(&self.channels, self.blocks) {
            let block = Block::new(
                [width, channels],
                stride,
                self.squeeze,
                init.rng,
                init.device,
            );
            blocks.push(block);
            (width, rows) = (channels, rows.div_ceil(stride));
        }
        let sizes = [width * rows, self.attention, init.n_classes];
        Ok(ResidualCnn {
            door: init.door,
            stem,
            blocks,
            classifier: Classifier::new(sizes, self.pooling, self.dropout, init.rng, init.device),
        })
    }
}

/// Two 3x3 convolutions, a channel gate and a shortcut.
#[derive(Module, Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    /// `None` where the shortcut is the identity.
    shortcut: Option<ConvNorm>,
    squeeze: Dense,
    excite: Dense,
}

impl Block {
    fn new(
        [inputs, outputs]: [usize; 2],
        stride: usize,
        squeeze: usize,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        let strided = |kernel| ConvShape::new([inputs, outputs], kernel).strided([stride, stride]);
        let second = ConvShape::new([outputs, outputs], [3, 3]);
        let hidden = (outputs / squeeze).max(1);
        Self {
            first: ConvNorm::new(strided([3, 3]), true, rng, device),
            second: ConvNorm::new(second, false, rng, device),
            shortcut: (inputs != outputs || stride != 1)
                .then(|| ConvNorm::new(strided([1, 1]), false, rng, device)),
            squeeze: Dense::new([outputs, hidden], rng, device),
            excite: Dense::new([hidden, outputs], rng, device),
        }
    }

    /// `[batch, in, rows, columns]` to `[batch, out, rows / stride, columns / stride]`.
    fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let y = self.first.forward(x.clone(), mode);
        let y = self.second.forward(y, mode);
        let shortcut = match &self.shortcut {
            Some(shortcut) => shortcut.forward(x, mode),
            None => x,
        };
        let gate = self.squeeze.forward(extension::channel_mean(y.clone())); // [batch, hidden]
        let gate = sigmoid(self.excite.forward(relu(gate))); // [batch, out]
        extension::scale_add_relu(y, gate, shortcut)
    }

    fn trace(&self, graph: &mut Graph, x: &str) -> String {
        let y = graph.conv_norm(x, &self.first);
        let y = graph.conv_norm(&y, &self.second);
        let shortcut = match &self.shortcut {
            Some(shortcut) => graph.conv_norm(x, shortcut),
            None => x.to_owned(),
        };
        let gate = graph.node("GlobalAveragePool", &[&y]); // [batch, out, 1, 1]
        let gate = graph.pointwise(&gate, &self.squeeze);
        let gate = graph.node("Relu", &[&gate]);
        let gate = graph.pointwise(&gate, &self.excite);
        let gate = graph.node("Sigmoid", &[&gate]);
        let y = graph.node("Mul", &[&y, &gate]);
        graph.add_relu(&y, &shortcut)
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct ResidualCnn {
    door: Door,
    stem: ConvNorm,
    blocks: Vec<Block>,
    classifier: Classifier,
}

impl ResidualCnn {
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
        let mut x = self.stem.forward(x, mode); // [batch, channels, n_mels / 2, n_frames / 2]
        for block in &self.blocks {
            x = block.forward(x, mode);
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
