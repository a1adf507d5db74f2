//! A compact residual CNN with squeeze-excite and attentive statistics pooling.
//!
//! A strided stem, then stages of residual blocks that halve the image and widen the channels,
//! then statistics of the last feature map over time, weighted by a small attention network, and
//! one dense layer.
//!
//! Source: K. He et al., *Deep Residual Learning*, CVPR 2016 (blocks); J. Hu et al.,
//! *Squeeze-and-Excitation Networks*, CVPR 2018 (channel gate); K. Okabe et al., *Attentive
//! Statistics Pooling for Deep Speaker Embedding*, Interspeech 2018 (pooling).

use burn::module::Module;
use burn::tensor::activation::{relu, sigmoid, softmax};
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_kernels::extension;

use crate::input::{self, Door};
use crate::layers::{ConvNorm, Dense, dropout};
use crate::onnx::Graph;
use crate::{Mode, ModelError};

/// Added to a variance over time before its root.
const POOL_EPSILON: f32 = 1e-5;

/// How the last feature map becomes one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Mean and deviation over time, weighted by attention.
    Attentive,
    /// Mean and deviation over time.
    Statistics,
}

/// Sizes of a [`ResidualCnn`].
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
        let wrong = |field, actual: String, expected| ModelError::Config {
            field,
            actual,
            expected,
        };
        if self.channels.is_empty() || self.channels.contains(&0) {
            let actual = format!("{:?}", self.channels);
            return Err(wrong(
                "channels",
                actual,
                "at least one stage of at least one channel",
            ));
        }
        if self.blocks == 0 {
            return Err(wrong("blocks", "0".into(), "at least 1"));
        }
        if self.stem_kernel.is_multiple_of(2) {
            return Err(wrong(
                "stem_kernel",
                self.stem_kernel.to_string(),
                "an odd number",
            ));
        }
        if self.squeeze == 0 {
            return Err(wrong("squeeze", "0".into(), "at least 1"));
        }
        if self.attention == 0 {
            return Err(wrong("attention", "0".into(), "at least 1"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(wrong(
                "dropout",
                self.dropout.to_string(),
                "at least 0 and below 1",
            ));
        }
        if self.channels.len() >= usize::BITS as usize || n_mels < 1 << self.channels.len() {
            let actual = format!("{} stages over {n_mels} mel bands", self.channels.len());
            return Err(wrong("channels", actual, "at most log2(n_mels) stages"));
        }
        Ok(())
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`].
    pub fn init(
        &self,
        n_mels: usize,
        n_classes: usize,
        door: Door,
        rng: &mut StdRng,
        device: &Device,
    ) -> Result<ResidualCnn, ModelError> {
        self.validate(n_mels)?;
        let (first, kernel) = (self.channels[0], self.stem_kernel);
        let stem = ConvNorm::new(
            [input::CHANNELS, first],
            [kernel, kernel],
            [2, 2],
            true,
            rng,
            device,
        );
        let mut blocks = Vec::new();
        let (mut width, mut rows) = (first, n_mels.div_ceil(2));
        for (stage, &channels) in self.channels.iter().enumerate() {
            for block in 0..self.blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                blocks.push(Block::new(
                    [width, channels],
                    stride,
                    self.squeeze,
                    rng,
                    device,
                ));
                width = channels;
                rows = rows.div_ceil(stride);
            }
        }
        let pooled = width * rows;
        let attention = match self.pooling {
            Pooling::Attentive => Some(Attention {
                hidden: Dense::new([pooled, self.attention], rng, device),
                weights: Dense::new([self.attention, pooled], rng, device),
            }),
            Pooling::Statistics => None,
        };
        let head = Dense::new([2 * pooled, n_classes], rng, device);
        Ok(ResidualCnn {
            door,
            stem,
            blocks,
            attention,
            head,
            dropout: self.dropout,
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
        let stride = [stride, stride];
        let hidden = (outputs / squeeze).max(1);
        Self {
            first: ConvNorm::new([inputs, outputs], [3, 3], stride, true, rng, device),
            second: ConvNorm::new([outputs, outputs], [3, 3], [1, 1], false, rng, device),
            shortcut: (inputs != outputs || stride != [1, 1])
                .then(|| ConvNorm::new([inputs, outputs], [1, 1], stride, false, rng, device)),
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
        let y = graph.node("Add", &[&y, &shortcut]);
        graph.node("Relu", &[&y])
    }
}

/// One weight per feature and frame.
#[derive(Module, Debug)]
struct Attention {
    hidden: Dense,
    weights: Dense,
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct ResidualCnn {
    door: Door,
    stem: ConvNorm,
    blocks: Vec<Block>,
    attention: Option<Attention>,
    head: Dense,
    dropout: f64,
}

impl ResidualCnn {
    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result:
    /// `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>, mut mode: Mode<'_>) -> Tensor<2> {
        let x = self.door.forward(features); // [batch, 3, n_mels, n_frames]
        let mut x = self.stem.forward(x, &mode); // [batch, channels, n_mels / 2, n_frames / 2]
        for block in &self.blocks {
            x = block.forward(x, &mode);
        }
        let [batch, channels, rows, n_frames] = x.dims();
        let x = x.reshape([batch, channels * rows, n_frames]); // [batch, pooled, n_frames]
        let pooled = self.pool(x);
        self.head.forward(dropout(pooled, self.dropout, &mut mode))
    }

    /// Mean and deviation over time: `[batch, pooled, n_frames]` to `[batch, 2 · pooled]`.
    fn pool(&self, x: Tensor<3>) -> Tensor<2> {
        let (mean, square) = match &self.attention {
            Some(attention) => {
                let hidden = attention.hidden.forward_frames(x.clone()).tanh();
                let weights = softmax(attention.weights.forward_frames(hidden), 2);
                let weighted = x.clone() * weights;
                ((weighted.clone()).sum_dim(2), (weighted * x).sum_dim(2))
            }
            None => (x.clone().mean_dim(2), (x.clone() * x).mean_dim(2)),
        };
        let variance = (square - mean.clone() * mean.clone()).clamp_min(0.0);
        let deviation = (variance + POOL_EPSILON).sqrt();
        Tensor::cat(vec![mean, deviation], 1).squeeze_dim::<2>(2) // [batch, 2 · pooled]
    }

    /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        let x = graph.door(&self.door);
        let mut x = graph.conv_norm(&x, &self.stem);
        for block in &self.blocks {
            x = block.trace(graph, &x);
        }
        let [two_pooled, _] = self.head.weight.val().dims();
        let x = graph.reshape(&x, &[0, (two_pooled / 2).cast_signed() as i64, -1]);
        let (mean, square) = match &self.attention {
            Some(attention) => {
                let hidden = graph.framewise(&x, &attention.hidden);
                let hidden = graph.node("Tanh", &[&hidden]);
                let weights = graph.framewise(&hidden, &attention.weights);
                let weights = graph.softmax(&weights, 2);
                let weighted = graph.node("Mul", &[&x, &weights]);
                let square = graph.node("Mul", &[&weighted, &x]);
                (graph.reduce_sum(&weighted, 2), graph.reduce_sum(&square, 2))
            }
            None => {
                let square = graph.node("Mul", &[&x, &x]);
                (
                    graph.reduce_mean(&x, 2, false),
                    graph.reduce_mean(&square, 2, false),
                )
            }
        };
        let mean_square = graph.node("Mul", &[&mean, &mean]);
        let variance = graph.node("Sub", &[&square, &mean_square]);
        let variance = graph.node("Relu", &[&variance]);
        let epsilon = graph.constant("pool.epsilon", vec![POOL_EPSILON], &[1]);
        let variance = graph.node("Add", &[&variance, &epsilon]);
        let deviation = graph.node("Sqrt", &[&variance]);
        let pooled = graph.concat(&[&mean, &deviation], 1);
        graph.logits(&pooled, &self.head);
    }
}
