//! A CNN that feeds a recurrent layer, pooled by attention.
//!
//! A few strided convolutions turn the image into a sequence of feature vectors, four times as slow;
//! a GRU or LSTM runs through it both ways; attentive statistics over time are classified.
//!
//! Source: M. Chen et al., *3-D Convolutional Recurrent Neural Networks with Attention Model for
//! Speech Emotion Recognition*, IEEE Signal Processing Letters 2018 (there the LSTM, and attention
//! without the deviation); K. Cho et al., *Learning Phrase Representations using RNN
//! Encoder-Decoder*, EMNLP 2014 (GRU).

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::input::{self, Door};
use crate::layers::{ConvNorm, ConvShape, Dense};
use crate::onnx::Graph;
use crate::pooling::{Classifier, Pooling};
use crate::recurrent::{Cell, Recurrent};
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`CnnRecurrent`]. As it stands 0.80 M parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CnnRecurrentConfig {
    /// Channels of each convolution. Each halves the bands, the first two also the frames.
    pub channels: Vec<usize>,
    /// Rows and columns of the first kernel, odd; the others are 3x3.
    pub stem_kernel: usize,
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

impl Default for CnnRecurrentConfig {
    fn default() -> Self {
        Self {
            channels: vec![32, 64, 96],
            stem_kernel: 5,
            cell: Cell::Gru,
            hidden: 128,
            layers: 1,
            bidirectional: true,
            pooling: Pooling::Attentive,
            attention: 64,
            dropout: 0.5,
        }
    }
}

impl CnnRecurrentConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
        check::sizes("channels", &self.channels)?;
        check::odd("stem_kernel", self.stem_kernel)?;
        check::size("hidden", self.hidden)?;
        check::depth("layers", self.layers)?;
        check::size("attention", self.attention)?;
        check::probability("dropout", self.dropout)?;
        check::halvings("channels", self.channels.len(), n_mels)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<CnnRecurrent, ModelError> {
        self.validate(init.n_mels)?;
        let (mut width, mut rows) = (input::CHANNELS, init.n_mels);
        let mut blocks = Vec::new();
        for (index, &channels) in self.channels.iter().enumerate() {
            let kernel = if index == 0 { self.stem_kernel } else { 3 };
            let stride = if index < 2 { [2, 2] } else { [2, 1] };
            let shape = ConvShape::new([width, channels], [kernel, kernel]).strided(stride);
            blocks.push(ConvNorm::new(shape, true, init.rng, init.device));
            (width, rows) = (channels, rows.div_ceil(2));
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
        Ok(CnnRecurrent {
            door: init.door,
            blocks,
            recurrent,
            classifier: Classifier::new(sizes, self.pooling, self.dropout, init.rng, init.device),
        })
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct CnnRecurrent {
    door: Door,
    blocks: Vec<ConvNorm>,
    recurrent: Recurrent,
    classifier: Classifier,
}

impl CnnRecurrent {
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
        let mut x = self.door.forward(features); // [batch, 3, n_mels, n_frames]
        for block in &self.blocks {
            x = block.forward(x, mode); // [batch, channels, rows, columns]
        }
        let x = self.recurrent.forward(x.flatten::<3>(1, 2)); // [batch, outputs, columns]
        self.classifier.embed(x) // [batch, embedding]
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages: Vec<Stage> = Stage::blocks(&self.blocks).collect();
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
        let mut x = graph.door(&self.door);
        for block in &self.blocks {
            x = graph.conv_norm(&x, block);
        }
        let x = graph.flatten_rows(&x, self.recurrent.inputs());
        let x = self.recurrent.trace(graph, &x);
        self.classifier.trace(graph, &x);
    }
}
