//! What the recurrent layers share: sizes, weights, gradients of the weights.
//!
//! All sequences are batch-first, `[batch, n_frames, features]`, so that the inputs of all frames
//! go through one matrix product, and the rows of one frame are a matrix with a stride. The state
//! before the first frame is zero. A layer can run from the last frame to the first; the output of
//! a frame stays in that frame's place, as in the backward half of a bidirectional layer.
//!
//! # Weights
//! The order of gates and the split into two biases are those of ONNX, so that the weights of a
//! node are `W = [w_input]`, `R = [w_hidden]`, `B = [bias_input ++ bias_hidden]`, each with a
//! leading axis of directions. The order is stated in [`crate::lstm`] and [`crate::gru`].

use rayon::prelude::*;

use crate::Real;
use crate::matmul::{Into, View, matmul};
use crate::simd::{Kernel, vectorised};

/// Samples that go through time together: enough rows for a product, few enough that a batch keeps
/// all threads busy. Fixed, so that a result does not depend on the number of threads.
pub(crate) const SAMPLES: usize = 8;

/// Rows of the weights whose gradient one task computes.
const GRADIENT_ROWS: usize = 64;

/// Sizes and direction of a recurrent layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrentShape {
    /// Sequences in the batch.
    pub batch: usize,
    /// Frames of every sequence.
    pub n_frames: usize,
    /// Features of an input frame.
    pub inputs: usize,
    /// Features of the state, which is also the output.
    pub hidden: usize,
    /// From the last frame to the first.
    pub reverse: bool,
}

impl RecurrentShape {
    /// Elements of the input, `[batch, n_frames, inputs]`.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.rows() * self.inputs
    }

    /// Elements of the output, `[batch, n_frames, hidden]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.rows() * self.hidden
    }

    /// Frames of all sequences.
    pub(crate) fn rows(&self) -> usize {
        self.batch * self.n_frames
    }

    /// The frame that the `step`-th step works on.
    pub(crate) fn frame(&self, step: usize) -> usize {
        if self.reverse {
            self.n_frames - 1 - step
        } else {
            step
        }
    }
}

/// The weights of a layer with `gates` gates.
#[derive(Debug, Clone, Copy)]
pub struct Weights<'a, T> {
    /// From the input, `[gates · hidden, inputs]`.
    pub input: &'a [T],
    /// From the state before, `[gates · hidden, hidden]`.
    pub hidden: &'a [T],
    /// Added to the products with the input, `[gates · hidden]`.
    pub bias_input: &'a [T],
    /// Added to the products with the state, `[gates · hidden]`.
    pub bias_hidden: &'a [T],
}

impl<T: Real> Weights<'_, T> {
    pub(crate) fn assert_valid(&self, shape: &RecurrentShape, gates: usize, x: &[T], y: &[T]) {
        let rows = gates * shape.hidden;
        assert!(
            shape.inputs > 0 && shape.hidden > 0,
            "a recurrent layer has inputs and a state"
        );
        assert_eq!(self.input.len(), rows * shape.inputs, "input weights");
        assert_eq!(self.hidden.len(), rows * shape.hidden, "hidden weights");
        assert_eq!(self.bias_input.len(), rows, "input bias");
        assert_eq!(self.bias_hidden.len(), rows, "hidden bias");
        assert_eq!(x.len(), shape.input_len(), "input");
        assert_eq!(y.len(), shape.output_len(), "output");
    }

    /// The hidden weights as `[hidden, gates · hidden]`: with the gates side by side a product needs
    /// no packing.
    pub(crate) fn hidden_transposed(&self, hidden: usize) -> Vec<T> {
        let rows = self.hidden.len() / hidden;
        let mut to = vec![T::ZERO; self.hidden.len()];
        for (row, from) in self.hidden.chunks_exact(hidden).enumerate() {
            for (column, &value) in from.iter().enumerate() {
                to[column * rows + row] = value;
            }
        }
        to
    }

    /// `gates = x · wᵀ`, all frames at once. `x`: `[rows, inputs]`; `gates`: `[rows, gates · hidden]`.
    pub(crate) fn project(&self, inputs: usize, x: &[T], gates: &mut [T]) {
        let (rows, columns) = (x.len() / inputs, self.bias_input.len());
        let w = View::new(self.input, [columns, inputs], [inputs, 1]);
        let x = View::new(x, [rows, inputs], [inputs, 1]);
        matmul(gates, columns, Into::Replace, x, w.transposed());
    }

    /// `dx = delta · w`, all frames at once.
    pub(crate) fn project_back(&self, inputs: usize, delta: &[T], dx: &mut [T]) {
        let (rows, columns) = (dx.len() / inputs, self.bias_input.len());
        let w = View::new(self.input, [columns, inputs], [inputs, 1]);
        let delta = View::new(delta, [rows, columns], [columns, 1]);
        matmul(dx, inputs, Into::Replace, delta, w);
    }
}

/// Gradients of a recurrent layer, each shaped like what it is the gradient of.
#[derive(Debug, Clone)]
pub struct Gradients<T> {
    /// `[batch, n_frames, inputs]`.
    pub x: Vec<T>,
    /// `[gates · hidden, inputs]`.
    pub w_input: Vec<T>,
    /// `[gates · hidden, hidden]`.
    pub w_hidden: Vec<T>,
    /// `[gates · hidden]`.
    pub bias_input: Vec<T>,
    /// `[gates · hidden]`.
    pub bias_hidden: Vec<T>,
}

impl<T: Real> Gradients<T> {
    /// The gradients of a layer that saw nothing.
    pub(crate) fn zero(weights: &Weights<'_, T>) -> Self {
        let zeros = |like: &[T]| vec![T::ZERO; like.len()];
        Self {
            x: Vec::new(),
            w_input: zeros(weights.input),
            w_hidden: zeros(weights.hidden),
            bias_input: zeros(weights.bias_input),
            bias_hidden: zeros(weights.bias_hidden),
        }
    }
}

/// Gradients of one weight matrix and its bias.
pub(crate) struct Side<T> {
    pub(crate) weight: Vec<T>,
    pub(crate) bias: Vec<T>,
}

/// Sums `delta`, `[rows, gates · hidden]`, over all rows, for the gates `[first, first + sum.len())`.
/// Sequence by sequence, so that a long batch costs no precision.
fn bias_gradient<T: Real>(n_frames: usize, gates: usize, first: usize, delta: &[T], sum: &mut [T]) {
    let mut sequence = vec![T::ZERO; sum.len()];
    for delta in delta.chunks_exact(n_frames * gates) {
        vectorised(AddRows {
            gates,
            delta: &delta[first..],
            sequence: &mut sequence,
            sum,
        });
    }
}

/// Adds the sum of all rows to `sum`, by way of `sequence`.
struct AddRows<'a, T> {
    gates: usize,
    delta: &'a [T],
    sequence: &'a mut [T],
    sum: &'a mut [T],
}

impl<T: Real> Kernel for AddRows<'_, T> {
    #[inline(always)]
    fn run(self) {
        self.sequence.fill(T::ZERO);
        for delta in self.delta.chunks(self.gates) {
            let pairs = self.sequence.iter_mut().zip(delta);
            pairs.for_each(|(s, &d)| *s += d);
        }
        let pairs = self.sum.iter_mut().zip(&*self.sequence);
        pairs.for_each(|(t, &s)| *t += s);
    }
}

/// Gradients of the input weights and bias from the gradient `delta` of their products,
/// `[rows, gates · hidden]`.
pub(crate) fn input_gradients<T: Real>(shape: &RecurrentShape, x: &[T], delta: &[T]) -> Side<T> {
    let (rows, inputs) = (shape.rows(), shape.inputs);
    let gates = delta.len() / rows;
    let (mut weight, mut bias) = (vec![T::ZERO; gates * inputs], vec![T::ZERO; gates]);
    let all = View::new(x, [rows, inputs], [inputs, 1]);
    weight
        .par_chunks_mut(GRADIENT_ROWS * inputs)
        .zip(bias.par_chunks_mut(GRADIENT_ROWS))
        .with_max_len(1)
        .enumerate()
        .for_each(|(block, (weight, bias))| {
            let first = block * GRADIENT_ROWS;
            let own = View::new(&delta[first..], [rows, bias.len()], [gates, 1]);
            matmul(weight, inputs, Into::Replace, own.transposed(), all);
            bias_gradient(shape.n_frames, gates, first, delta, bias);
        });
    Side { weight, bias }
}

/// Gradients of the hidden weights and bias from the gradient `delta` of their products,
/// `[rows, gates · hidden]`, and the layer's output `y`.
pub(crate) fn hidden_gradients<T: Real>(shape: &RecurrentShape, y: &[T], delta: &[T]) -> Side<T> {
    let (n_frames, hidden) = (shape.n_frames, shape.hidden);
    let gates = delta.len() / shape.rows();
    let (mut weight, mut bias) = (vec![T::ZERO; gates * hidden], vec![T::ZERO; gates]);
    // Every frame but the first in time saw the state of the one before.
    let steps = n_frames - 1;
    let (now, before) = if shape.reverse { (0, 1) } else { (1, 0) };
    weight
        .par_chunks_mut(GRADIENT_ROWS * hidden)
        .zip(bias.par_chunks_mut(GRADIENT_ROWS))
        .with_max_len(1)
        .enumerate()
        .for_each(|(block, (weight, bias))| {
            let first = block * GRADIENT_ROWS;
            if steps > 0 {
                for sample in 0..shape.batch {
                    let delta = &delta[(sample * n_frames + now) * gates + first..];
                    let state = &y[(sample * n_frames + before) * hidden..];
                    let delta = View::new(delta, [steps, bias.len()], [gates, 1]);
                    let state = View::new(state, [steps, hidden], [hidden, 1]);
                    matmul(weight, hidden, Into::Add, delta.transposed(), state);
                }
            }
            bias_gradient(n_frames, gates, first, delta, bias);
        });
    Side { weight, bias }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A layer's tests, written once for both.

    use super::*;

    /// Weights that own their values.
    #[derive(Debug, Clone)]
    pub(crate) struct Owned<T>(pub(crate) [Vec<T>; 4]);

    impl<T> Owned<T> {
        pub(crate) fn view(&self) -> Weights<'_, T> {
            let [input, hidden, bias_input, bias_hidden] = &self.0;
            Weights {
                input,
                hidden,
                bias_input,
                bias_hidden,
            }
        }
    }

    pub(crate) fn noise(len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1 << 24) - 0.5
            })
            .collect()
    }

    pub(crate) fn weights(shape: &RecurrentShape, gates: usize, seed: u64) -> Owned<f64> {
        let rows = gates * shape.hidden;
        Owned([
            noise(rows * shape.inputs, seed),
            noise(rows * shape.hidden, seed + 1),
            noise(rows, seed + 2),
            noise(rows, seed + 3),
        ])
    }

    pub(crate) fn single(values: &[f64]) -> Vec<f32> {
        values.iter().map(|&v| f32::from_f64(v)).collect()
    }

    pub(crate) type Forward<T> = dyn Fn(&RecurrentShape, &[T], &Weights<'_, T>) -> Vec<T> + Sync;
    pub(crate) type Backward<T> =
        dyn Fn(&RecurrentShape, &[T], &Weights<'_, T>, &[T]) -> Gradients<T> + Sync;

    fn parts<T: Clone>(g: &Gradients<T>) -> [Vec<T>; 5] {
        [
            g.x.clone(),
            g.w_input.clone(),
            g.w_hidden.clone(),
            g.bias_input.clone(),
            g.bias_hidden.clone(),
        ]
    }

    /// Every gradient against central differences of the loss `Σ y · dy`.
    pub(crate) fn assert_gradients(
        shape: &RecurrentShape,
        gates: usize,
        forward: &Forward<f64>,
        backward: &Backward<f64>,
    ) {
        let x = noise(shape.input_len(), 1);
        let weights = weights(shape, gates, 2);
        let dy = noise(shape.output_len(), 9);
        let got = parts(&backward(shape, &x, &weights.view(), &dy));
        let step = 1e-5;
        for (slot, got) in got.iter().enumerate() {
            for i in 0..got.len() {
                let at = |by: f64| {
                    let (mut x, mut weights) = (x.clone(), weights.clone());
                    if slot == 0 {
                        x[i] += by;
                    } else {
                        weights.0[slot - 1][i] += by;
                    }
                    let y = forward(shape, &x, &weights.view());
                    y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
                };
                let want = (at(step) - at(-step)) / (2.0 * step);
                assert!(
                    (got[i] - want).abs() < 1e-8,
                    "{shape:?}: gradient {slot}, {i}: {} is not {want}",
                    got[i]
                );
            }
        }
    }

    /// Output and gradients, bit for bit, with one, two and three threads.
    pub(crate) fn assert_threads_agree(
        gates: usize,
        forward: &Forward<f32>,
        backward: &Backward<f32>,
    ) {
        let shape = RecurrentShape {
            batch: 19,
            n_frames: 13,
            inputs: 11,
            hidden: 33,
            reverse: true,
        };
        let x = single(&noise(shape.input_len(), 1));
        let weights = Owned(weights(&shape, gates, 2).0.map(|w| single(&w)));
        let dy = single(&noise(shape.output_len(), 9));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let y = forward(&shape, &x, &weights.view());
                let gradients = backward(&shape, &x, &weights.view(), &dy);
                let bits = |v: &Vec<f32>| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                (bits(&y), parts(&gradients).each_ref().map(bits))
            })
        };
        let one = run(1);
        assert!(one == run(2), "two threads differ");
        assert!(one == run(3), "three threads differ");
    }
}
