//! A dilated residual CNN that feeds a recurrent layer, pooled by attention.
//!
//! Convolutions whose taps lie further and further apart along time see long stretches at the full
//! frame rate of the stem, a bidirectional LSTM runs through what they give, and attentive
//! statistics over time are classified.
//!
//! Source: H. Meng et al., *Speech Emotion Recognition From 3D Log-Mel Spectrograms With Deep
//! Learning Network* (ADRNN), IEEE Access 2019: dilated CNN with residual blocks, BiLSTM, attention.

use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::input::{self, Door};
use crate::layers::{ConvNorm, ConvShape, Dense};
use crate::onnx::Graph;
use crate::pooling::{Classifier, Pooling};
use crate::recurrent::{Cell, Recurrent};
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`DilatedRecurrent`]. As it stands 0.60 M parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DilatedRecurrentConfig {
    /// Channels of the first convolution, 5x5, which halves the image.
    pub stem: usize,
    /// Channels of the residual blocks.
    pub channels: usize,
    /// Frames between the kernel's taps, for each block; each block halves the bands.
    pub dilations: Vec<usize>,
    /// `lstm` or `gru`.
    pub cell: Cell,
    /// Units of each recurrent layer in each direction.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// Whether the layers also run from the last frame to the first.
    pub bidirectional: bool,
    /// How the frames become one vector.
    pub pooling: Pooling,
    /// Hidden units of the attention.
    pub attention: usize,
    /// Probability that a pooled feature is dropped in training.
    pub dropout: f64,
}

impl Default for DilatedRecurrentConfig {
    fn default() -> Self {
        Self {
            stem: 32,
            channels: 64,
            dilations: vec![1, 2, 4, 8],
            cell: Cell::Lstm,
            hidden: 128,
            layers: 1,
            bidirectional: true,
            pooling: Pooling::Attentive,
            attention: 64,
            dropout: 0.5,
        }
    }
}

impl DilatedRecurrentConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
        check::size("stem", self.stem)?;
        check::size("channels", self.channels)?;
        check::dilations("dilations", &self.dilations)?;
        check::size("hidden", self.hidden)?;
        check::depth("layers", self.layers)?;
        check::size("attention", self.attention)?;
        check::probability("dropout", self.dropout)?;
        check::halvings("dilations", 1 + self.dilations.len(), n_mels)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<DilatedRecurrent, ModelError> {
        self.validate(init.n_mels)?;
        let stem = ConvShape::new([input::CHANNELS, self.stem], [5, 5]).strided([2, 2]);
        let stem = ConvNorm::new(stem, true, init.rng, init.device);
        let (mut width, mut rows) = (self.stem, init.n_mels.div_ceil(2));
        let mut blocks = Vec::new();
        for &dilation in &self.dilations {
            let channels = [width, self.channels];
            blocks.push(Block::new(channels, dilation, init.rng, init.device));
            (width, rows) = (self.channels, rows.div_ceil(2));
        }
        let sizes = [width * rows, self.hidden];
        let recurrent = Recurrent::new(
            self.cell,
            sizes,
            self.layers,
            self.bidirectional,
            init.rng,
            init.device,
        );
        let sizes = [recurrent.outputs(), self.attention, init.n_classes];
        Ok(DilatedRecurrent {
            door: init.door,
            stem,
            blocks,
            recurrent,
            classifier: Classifier::new(sizes, self.pooling, self.dropout, init.rng, init.device),
        })
    }
}

/// Two convolutions dilated along time, the first of which halves the bands, and a shortcut.
#[derive(Module, Debug)]
struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: ConvNorm,
}

impl Block {
    fn new(
        [inputs, outputs]: [usize; 2],
        dilation: usize,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        let first = ConvShape::new([inputs, outputs], [3, 3]).dilated([1, dilation]);
        let second = ConvShape::new([outputs, outputs], [3, 3]).dilated([1, dilation]);
        let shortcut = ConvShape::new([inputs, outputs], [1, 1]).strided([2, 1]);
        Self {
            first: ConvNorm::new(first.strided([2, 1]), true, rng, device),
            second: ConvNorm::new(second, false, rng, device),
            shortcut: ConvNorm::new(shortcut, false, rng, device),
        }
    }

    /// `[batch, in, rows, columns]` to `[batch, out, rows / 2, columns]`.
    fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        let y = self.first.forward(x.clone(), mode);
        relu(self.second.forward(y, mode) + self.shortcut.forward(x, mode))
    }

    fn trace(&self, graph: &mut Graph, x: &str) -> String {
        let y = graph.conv_norm(x, &self.first);
        let y = graph.conv_norm(&y, &self.second);
        let shortcut = graph.conv_norm(x, &self.shortcut);
        graph.add_relu(&y, &shortcut)
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct DilatedRecurrent {
    door: Door,
    stem: ConvNorm,
    blocks: Vec<Block>,
    recurrent: Recurrent,
    classifier: Classifier,
}

impl DilatedRecurrent {
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
            x = block.forward(x, mode); // [batch, channels, rows, n_frames / 2]
        }
        let x = self.recurrent.forward(x.flatten::<3>(1, 2)); // [batch, outputs, n_frames / 2]
        self.classifier.embed(x) // [batch, embedding]
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::of("stem", &self.stem)];
        stages.extend(Stage::blocks(&self.blocks));
        stages.push(Stage::of("recurrent", &self.recurrent));
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
        let x = graph.flatten_rows(&x, self.recurrent.inputs());
        let x = self.recurrent.trace(graph, &x);
        self.classifier.trace(graph, &x);
    }
}
