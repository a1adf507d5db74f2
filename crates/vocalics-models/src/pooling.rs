//! From a feature map to a smaller one, and from frames of any number to one vector and its logits.

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_kernels::extension::{self, Pool2dOptions};

use crate::Mode;
use crate::layers::{Dense, dropout};
use crate::onnx::Graph;
use crate::stages::Stage;

/// Added to a variance over time before its root.
const EPSILON: f32 = 1e-5;

/// How the frames of the last feature map become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Mean and deviation over time, weighted by attention.
    Attentive,
    /// Mean and deviation over time.
    Statistics,
}

/// One weight per feature and frame.
#[derive(Module, Debug)]
struct Attention {
    hidden: Dense,
    weights: Dense,
}

/// Mean and deviation over time, weighted by a small attention network or not.
///
/// `a = softmax_t(V · tanh(W · x + b) + c)`, `μ = Σ_t a · x`, `σ = √(Σ_t a · (x − μ)² + 1e-5)`;
/// without attention `a` is one over the number of frames. A single frame has `σ = √1e-5`. (Sources
/// have `Σ_t a · x² − μ²`, which is the same but for the rounding: where frames hardly differ nothing
/// but rounding is left of it, and engines disagree.)
///
/// Source: K. Okabe et al., *Attentive Statistics Pooling for Deep Speaker Embedding*, Interspeech
/// 2018; with a weight for each feature as in B. Desplanques et al., *ECAPA-TDNN*, Interspeech 2020.
#[derive(Module, Debug)]
pub struct TimePool {
    attention: Option<Attention>,
}

impl TimePool {
    /// Pools `features`; the attention, if any, has `hidden` units.
    #[must_use]
    pub fn new(
        pooling: Pooling,
        features: usize,
        hidden: usize,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        let attention = match pooling {
            Pooling::Attentive => Some(Attention {
                hidden: Dense::new([features, hidden], rng, device),
                weights: Dense::new([hidden, features], rng, device),
            }),
            Pooling::Statistics => None,
        };
        Self { attention }
    }

    /// `[batch, features, n_frames]` to `[batch, 2 · features]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<2> {
        let (mean, variance) = match &self.attention {
            Some(attention) => {
                let hidden = attention.hidden.forward_frames(x.clone()).tanh();
                let weights = softmax(attention.weights.forward_frames(hidden), 2);
                let mean = (x.clone() * weights.clone()).sum_dim(2); // [batch, features, 1]
                let centred = x - mean.clone();
                let variance = (centred.clone() * centred * weights).sum_dim(2);
                (mean, variance)
            }
            None => {
                let mean = x.clone().mean_dim(2);
                let centred = x - mean.clone();
                (mean, (centred.clone() * centred).mean_dim(2))
            }
        };
        let deviation = (variance + EPSILON).sqrt();
        Tensor::cat(vec![mean, deviation], 1).squeeze_dim::<2>(2) // [batch, 2 · features]
    }

    /// Writes the same into an ONNX graph.
    pub fn trace(&self, graph: &mut Graph, x: &str) -> String {
        let (mean, variance) = match &self.attention {
            Some(attention) => {
                let hidden = graph.framewise(x, &attention.hidden);
                let hidden = graph.node("Tanh", &[&hidden]);
                let weights = graph.framewise(&hidden, &attention.weights);
                let weights = graph.softmax(&weights, 2);
                let weighted = graph.node("Mul", &[x, &weights]);
                let mean = graph.reduce_sum(&weighted, 2, true);
                let centred = graph.node("Sub", &[x, &mean]);
                let square = graph.node("Mul", &[&centred, &centred]);
                let square = graph.node("Mul", &[&square, &weights]);
                (mean, graph.reduce_sum(&square, 2, true))
            }
            None => {
                let mean = graph.reduce_mean(x, 2, true);
                let centred = graph.node("Sub", &[x, &mean]);
                let square = graph.node("Mul", &[&centred, &centred]);
                (mean, graph.reduce_mean(&square, 2, true))
            }
        };
        let epsilon = graph.constant("pool.epsilon", vec![EPSILON], &[1]);
        let variance = graph.node("Add", &[&variance, &epsilon]);
        let deviation = graph.node("Sqrt", &[&variance]);
        let pooled = graph.concat(&[&mean, &deviation], 1);
        graph.squeeze(&pooled, 2)
    }
}

/// The end of a network over frames: a pool over time, dropout and the dense layer of the logits.
#[derive(Module, Debug)]
pub struct Classifier {
    pool: TimePool,
    head: Dense,
    dropout: f64,
}

impl Classifier {
    /// Pools `features`, with an attention, if any, of `hidden` units, and gives `n_classes` logits;
    /// `dropout` is the probability that a pooled feature is dropped in training.
    #[must_use]
    pub fn new(
        [features, hidden, n_classes]: [usize; 3],
        pooling: Pooling,
        dropout: f64,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        Self {
            pool: TimePool::new(pooling, features, hidden, rng, device),
            head: Dense::new([2 * features, n_classes], rng, device),
            dropout,
        }
    }

    /// Features of a frame.
    #[must_use]
    pub fn features(&self) -> usize {
        self.head.weight.dims()[0] / 2
    }

    /// `[batch, features, n_frames]` to what the head classifies, `[batch, 2 · features]`.
    #[must_use]
    pub fn embed(&self, x: Tensor<3>) -> Tensor<2> {
        self.pool.forward(x)
    }

    /// `[batch, 2 · features]` to logits, `[batch, n_classes]`.
    #[must_use]
    pub fn classify(&self, x: Tensor<2>, mode: &mut Mode<'_>) -> Tensor<2> {
        self.head.forward(dropout(x, self.dropout, mode))
    }

    /// The dense layer of the logits.
    #[must_use]
    pub fn head(&self) -> &Dense {
        &self.head
    }

    /// The attention, if there is one, and the head.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let pool = Stage::of("pooling", &self.pool);
        let head = Stage::of("head", &self.head);
        let all = [pool, head].into_iter();
        all.filter(|stage| !stage.parameters.is_empty()).collect()
    }

    /// Writes the same in inference into an ONNX graph, as its output.
    pub fn trace(&self, graph: &mut Graph, x: &str) {
        let x = self.pool.trace(graph, x);
        graph.logits(&x, &self.head);
    }
}

/// Mean over windows of `size` rows and columns, each 1 or 2, that do not overlap. A window that
/// reaches over the end is the mean of what lies inside, so that one frame stays one frame.
///
/// # Shapes
/// `[batch, channels, rows, columns]` to `[batch, channels, rows / size, columns / size]`, rounded
/// up.
///
/// Reference: `AveragePool` of ONNX with padding at the end and `count_include_pad = 0`;
/// `torch.nn.functional.avg_pool2d(..., ceil_mode=True, count_include_pad=False)`.
#[must_use]
pub fn average(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let x = even(even(x, 2, size[0]), 3, size[1]);
    let options = Pool2dOptions {
        kernel: size,
        stride: size,
        padding: [0, 0],
    };
    extension::avg_pool2d(x, &options)
}

/// Repeats the last element along a dimension where windows of `size` leave one over: the mean of a
/// number and itself is the number.
fn even(x: Tensor<4>, dim: usize, size: usize) -> Tensor<4> {
    let len = x.dims()[dim];
    if len.is_multiple_of(size) {
        return x;
    }
    let last = x.clone().narrow(dim, len - 1, 1);
    Tensor::cat(vec![x, last], dim)
}
