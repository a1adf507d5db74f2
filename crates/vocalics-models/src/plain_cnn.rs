//! A plain CNN: pairs of 3x3 convolutions, each pair followed by 2x2 averaging.
//!
//! Nothing but convolutions, batch norms and averages: the network that others are measured
//! against. The last map is averaged over the bands and pooled over time.
//!
//! Source: K. Simonyan, A. Zisserman, *Very Deep Convolutional Networks*, ICLR 2015; Q. Kong et al.,
//! *PANNs: Large-Scale Pretrained Audio Neural Networks*, IEEE/ACM TASLP 2020 (on log-mel, with batch
//! norm and average pooling).

use burn::module::Module;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::input::{self, Door};
use crate::layers::{ConvNorm, ConvShape, Dense};
use crate::onnx::Graph;
use crate::pooling::{Classifier, Pooling, average};
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of a [`PlainCnn`]. As it stands 1.18 M parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlainCnnConfig {
    /// Channels of each pair of convolutions; behind each, bands and frames are halved.
    pub channels: Vec<usize>,
    /// How the last feature map becomes one vector.
    pub pooling: Pooling,
    /// Hidden units of the attention.
    pub attention: usize,
    /// Probability that a pooled feature is dropped in training.
    pub dropout: f64,
}

impl Default for PlainCnnConfig {
    fn default() -> Self {
        Self {
            channels: vec![32, 64, 128, 256],
            pooling: Pooling::Statistics,
            attention: 64,
            dropout: 0.5,
        }
    }
}

impl PlainCnnConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
        check::sizes("channels", &self.channels)?;
        check::size("attention", self.attention)?;
        check::probability("dropout", self.dropout)?;
        check::halvings("channels", self.channels.len(), n_mels)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(&self, init: Init<'_>) -> Result<PlainCnn, ModelError> {
        self.validate(init.n_mels)?;
        let mut width = input::CHANNELS;
        let mut blocks = Vec::new();
        for &channels in &self.channels {
            for inputs in [width, channels] {
                let shape = ConvShape::new([inputs, channels], [3, 3]);
                blocks.push(ConvNorm::new(shape, true, init.rng, init.device));
            }
            width = channels;
        }
        let sizes = [width, self.attention, init.n_classes];
        Ok(PlainCnn {
            door: init.door,
            blocks,
            classifier: Classifier::new(sizes, self.pooling, self.dropout, init.rng, init.device),
        })
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct PlainCnn {
    door: Door,
    /// Two for each stage.
    blocks: Vec<ConvNorm>,
    classifier: Classifier,
}

impl PlainCnn {
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
        for pair in self.blocks.chunks(2) {
            for block in pair {
                x = block.forward(x, mode);
            }
            x = average(x, [2, 2]); // [batch, channels, rows / 2, columns / 2]
        }
        let x = x.mean_dim(2).squeeze_dim::<3>(2); // [batch, channels, columns]
        self.classifier.embed(x) // [batch, embedding]
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let pairs = self.blocks.chunks(2).enumerate();
        let mut stages: Vec<Stage> = pairs
            .map(|(index, pair)| Stage::of(format!("block {}", index + 1), &pair.to_vec()))
            .collect();
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
        for pair in self.blocks.chunks(2) {
            for block in pair {
                x = graph.conv_norm(&x, block);
            }
            x = graph.average(&x, [2, 2]);
        }
        let x = graph.reduce_mean(&x, 2, false);
        self.classifier.trace(graph, &x);
    }
}
