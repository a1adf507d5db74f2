//! Stacked recurrent layers, one way or both ways through the clip.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_kernels::{extension, gru, lstm};

use crate::layers::normal;
use crate::onnx::Graph;

/// What passes from frame to frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cell {
    /// Long short-term memory ([`vocalics_kernels::lstm`]).
    Lstm,
    /// Gated recurrent unit ([`vocalics_kernels::gru`]).
    Gru,
}

impl Cell {
    /// Gates, which is rows of the weights by features of the state.
    const fn gates(self) -> usize {
        match self {
            Self::Lstm => lstm::GATES,
            Self::Gru => gru::GATES,
        }
    }
}

/// The weights of one layer in one direction, gates in the order of ONNX.
#[derive(Module, Debug)]
pub(crate) struct Direction {
    /// `[gates · hidden, in]`.
    pub(crate) w_input: Param<Tensor<2>>,
    /// `[gates · hidden, hidden]`.
    pub(crate) w_hidden: Param<Tensor<2>>,
    /// `[gates · hidden]`.
    pub(crate) bias_input: Param<Tensor<1>>,
    /// `[gates · hidden]`.
    pub(crate) bias_hidden: Param<Tensor<1>>,
}

impl Direction {
    /// Normal weights of variance `1 / (3 · hidden)`, that of PyTorch's default. No bias, but for
    /// the forget gate of an LSTM, which starts open (R. Jozefowicz et al., *An Empirical
    /// Exploration of Recurrent Network Architectures*, ICML 2015).
    fn new(cell: Cell, [inputs, hidden]: [usize; 2], rng: &mut StdRng, device: &Device) -> Self {
        let rows = cell.gates() * hidden;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 units")]
        let deviation = (3.0 * hidden as f64).sqrt().recip();
        let mut weight = |columns| {
            let values = normal(rows * columns, deviation, rng);
            Param::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let (w_input, w_hidden) = (weight(inputs), weight(hidden));
        let bias = |values| Param::from_data(TensorData::new::<f32, _>(values, [rows]), device);
        let mut open = vec![0.0; rows];
        if let Cell::Lstm = cell {
            open[2 * hidden..3 * hidden].fill(1.0);
        }
        Self {
            w_input,
            w_hidden,
            bias_input: bias(open),
            bias_hidden: bias(vec![0.0; rows]),
        }
    }
}

/// Stacked layers; each layer's input is the output of the layer before.
#[derive(Module, Debug)]
pub struct Recurrent {
    /// Of each layer: forward, and backward if it runs both ways.
    layers: Vec<Vec<Direction>>,
    #[module(skip)]
    cell: Cell,
}

impl Recurrent {
    /// `layers` layers of `hidden` units, twice as many outputs if `bidirectional`.
    #[must_use]
    pub fn new(
        cell: Cell,
        [inputs, hidden]: [usize; 2],
        layers: usize,
        bidirectional: bool,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        let directions = 1 + usize::from(bidirectional);
        let layers = (0..layers).map(|layer| {
            let inputs = if layer == 0 {
                inputs
            } else {
                directions * hidden
            };
            (0..directions)
                .map(|_| Direction::new(cell, [inputs, hidden], rng, device))
                .collect()
        });
        Self {
            layers: layers.collect(),
            cell,
        }
    }

    /// Features of the input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        let first = self.layers.first().and_then(|layer| layer.first());
        first.map_or(0, |side| side.w_input.dims()[1])
    }

    /// Features of the output.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |layer| {
            layer.iter().map(|side| side.w_hidden.dims()[1]).sum()
        })
    }

    /// `[batch, in, n_frames]` to `[batch, outputs, n_frames]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let run = match self.cell {
            Cell::Lstm => extension::lstm,
            Cell::Gru => extension::gru,
        };
        let mut x = x.swap_dims(1, 2); // [batch, n_frames, in]
        for layer in &self.layers {
            let sides = layer.iter().enumerate().map(|(side, weights)| {
                let Direction {
                    w_input,
                    w_hidden,
                    bias_input,
                    bias_hidden,
                } = weights;
                let (w_input, w_hidden) = (w_input.val(), w_hidden.val());
                let (bias_input, bias_hidden) = (bias_input.val(), bias_hidden.val());
                let reverse = side == 1;
                run(
                    x.clone(),
                    w_input,
                    w_hidden,
                    bias_input,
                    bias_hidden,
                    reverse,
                )
            });
            x = Tensor::cat(sides.collect(), 2); // [batch, n_frames, outputs]
        }
        x.swap_dims(1, 2) // [batch, outputs, n_frames]
    }

    /// Writes the same into an ONNX graph.
    pub fn trace(&self, graph: &mut Graph, x: &str) -> String {
        let mut x = graph.transpose(x, &[2, 0, 1]); // [n_frames, batch, in]
        for layer in &self.layers {
            x = graph.recurrent(&x, self.cell, layer); // [n_frames, batch, outputs]
        }
        graph.transpose(&x, &[1, 2, 0]) // [batch, outputs, n_frames]
    }
}
