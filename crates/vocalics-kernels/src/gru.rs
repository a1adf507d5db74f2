//! The gated recurrent unit: forward over a sequence, and its gradients through time.
//!
//! `z, r = σ(W·xₜ + b + R·hₜ₋₁ + b')` for each of the two gates,
//! `n = tanh(Wₙ·xₜ + bₙ + r·(Rₙ·hₜ₋₁ + b'ₙ))`, `hₜ = (1 − z)·n + z·hₜ₋₁`
//!
//! The gates stand in the order update, reset, new: that of an ONNX `GRU` node (`zrh`), whose
//! attribute `linear_before_reset` is 1. PyTorch has reset, update, new.
//!
//! Source: K. Cho et al., *Learning Phrase Representations using RNN Encoder-Decoder*, 2014; the
//! reset after the product as in cuDNN.
//! Reference: `torch.nn.GRU(batch_first=True)`, within 1e-5.

use rayon::prelude::*;

use crate::Real;
use crate::matmul::{Into, View, matmul};
use crate::recurrent::{
    Gradients, RecurrentShape, SAMPLES, Side, Weights, hidden_gradients, input_gradients,
};
use crate::simd::{Kernel, vectorised};

/// Gates of the layer, the new state counted as one.
pub const GATES: usize = 3;

/// What the backward pass needs to know of the forward pass. Its memory is used again when it is
/// passed to [`forward`] again.
#[derive(Debug, Clone, Default)]
pub struct Tape<T> {
    /// `[batch, n_frames, 3 · hidden]`.
    gates: Vec<T>,
    /// `Rₙ·h + b'ₙ`, `[batch, n_frames, hidden]`.
    recalled: Vec<T>,
}

/// The two biases, those of the first two gates added up.
struct Bias<'a, T> {
    /// `[2 · hidden]`.
    gates: Vec<T>,
    /// `[hidden]`.
    new_input: &'a [T],
    /// `[hidden]`.
    new_hidden: &'a [T],
}

/// The arithmetic of one frame of one sample, fused.
///
/// `gates` holds `W·x` and receives the gates; `product` holds `R·h`; `state` holds the state
/// before and receives that of this frame.
#[inline(always)]
fn step<T: Real>(
    gates: &mut [T],
    product: &[T],
    bias: &Bias<'_, T>,
    state: &mut [T],
    recalled: &mut [T],
    y: &mut [T],
) {
    let hidden = state.len();
    let (update, rest) = gates.split_at_mut(hidden);
    let (reset, new) = rest.split_at_mut(hidden);
    let new = &mut new[..hidden];
    let (recalled, y) = (&mut recalled[..hidden], &mut y[..hidden]);
    let product: [&[T]; 3] = std::array::from_fn(|gate| &product[gate * hidden..][..hidden]);
    let (bias_update, bias_reset) = bias.gates.split_at(hidden);
    let bias_reset = &bias_reset[..hidden];
    let (new_input, new_hidden) = (&bias.new_input[..hidden], &bias.new_hidden[..hidden]);
    for j in 0..hidden {
        let z = (update[j] + product[0][j] + bias_update[j]).sigmoid();
        let r = (reset[j] + product[1][j] + bias_reset[j]).sigmoid();
        let h = product[2][j] + new_hidden[j];
        let n = (new[j] + new_input[j] + r * h).tanh();
        (update[j], reset[j], new[j], recalled[j]) = (z, r, n, h);
        state[j] = n + z * (state[j] - n);
        y[j] = state[j];
    }
}

/// One frame of some samples.
struct Frame<'a, T> {
    shape: &'a RecurrentShape,
    frame: usize,
    /// `[samples, n_frames, 3 · hidden]`.
    gates: &'a mut [T],
    /// `[samples, n_frames, hidden]`.
    recalled: &'a mut [T],
    /// `R·h`, `[samples, 3 · hidden]`.
    product: &'a [T],
    bias: &'a Bias<'a, T>,
    /// `[samples, n_frames, hidden]`.
    y: &'a mut [T],
    /// The output before, `[samples, hidden]`.
    state: &'a mut [T],
}

impl<T: Real> Kernel for Frame<'_, T> {
    #[inline(always)]
    fn run(self) {
        let hidden = self.shape.hidden;
        let columns = GATES * hidden;
        let states = self.state.chunks_exact_mut(hidden);
        let states = states.zip(self.product.chunks_exact(columns));
        for (sample, (state, product)) in states.enumerate() {
            let row = sample * self.shape.n_frames + self.frame;
            step(
                &mut self.gates[row * columns..][..columns],
                product,
                self.bias,
                state,
                &mut self.recalled[row * hidden..],
                &mut self.y[row * hidden..],
            );
        }
    }
}

/// Runs the layer over a batch of sequences; the result is written over `y`, what [`backward`]
/// needs over `tape`.
///
/// # Shapes
/// `x`: `[batch, n_frames, inputs]`; weights: see [`Weights`], three gates; `y`: `[batch,
/// n_frames, hidden]`.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
pub fn forward<T: Real>(
    shape: &RecurrentShape,
    x: &[T],
    weights: &Weights<'_, T>,
    y: &mut [T],
    tape: &mut Tape<T>,
) {
    weights.assert_valid(shape, GATES, x, y);
    let RecurrentShape {
        n_frames,
        inputs,
        hidden,
        ..
    } = *shape;
    let columns = GATES * hidden;
    tape.gates.resize(shape.rows() * columns, T::ZERO);
    tape.recalled.resize(y.len(), T::ZERO);
    if y.is_empty() {
        return;
    }
    let recurrent = weights.hidden_transposed(hidden);
    let recurrent = View::new(&recurrent, [hidden, columns], [columns, 1]);
    let (new_input, new_hidden) = (
        &weights.bias_input[2 * hidden..],
        &weights.bias_hidden[2 * hidden..],
    );
    let biases = weights.bias_input.iter().zip(weights.bias_hidden);
    let bias = Bias {
        gates: biases.take(2 * hidden).map(|(&a, &b)| a + b).collect(),
        new_input,
        new_hidden,
    };
    let frames = SAMPLES * n_frames;
    y.par_chunks_mut(frames * hidden)
        .zip(x.par_chunks(frames * inputs))
        .zip(tape.gates.par_chunks_mut(frames * columns))
        .zip(tape.recalled.par_chunks_mut(frames * hidden))
        .with_max_len(1)
        .for_each(|(((y, x), gates), recalled)| {
            let samples = y.len() / (n_frames * hidden);
            weights.project(inputs, x, gates);
            let mut state = vec![T::ZERO; samples * hidden];
            let mut product = vec![T::ZERO; samples * columns];
            for time in 0..n_frames {
                let frame = shape.frame(time);
                if time > 0 {
                    let before = View::new(&state, [samples, hidden], [hidden, 1]);
                    matmul(&mut product, columns, Into::Replace, before, recurrent);
                }
                vectorised(Frame {
                    shape,
                    frame,
                    gates,
                    recalled,
                    product: &product,
                    bias: &bias,
                    y,
                    state: &mut state,
                });
            }
        });
}

/// Turns the gates of a frame into the gradient of what went into them: `gates` receives that of
/// the products with the input, `delta` that of the products with the state.
///
/// `dh` holds the gradient of the frame's output and receives the part that goes straight to the
/// state before.
#[inline(always)]
fn step_back<T: Real>(
    gates: &mut [T],
    delta: &mut [T],
    recalled: &[T],
    before: Option<&[T]>,
    dh: &mut [T],
) {
    let hidden = dh.len();
    let (update, rest) = gates.split_at_mut(hidden);
    let (reset, new) = rest.split_at_mut(hidden);
    let (shared, delta_new) = delta.split_at_mut(2 * hidden);
    let slope = |s: T| s * (T::ONE - s);
    // Short loops: a single one has too many operands to be vectorised.
    let operands = update.iter_mut().zip(new.iter_mut()).zip(dh);
    let element = |z: &mut T, n: &mut T, dh: &mut T, before: T| {
        let (d, update, new) = (*dh, *z, *n);
        *z = d * (before - new) * slope(update);
        *n = d * (T::ONE - update) * (T::ONE - new * new);
        *dh = d * update;
    };
    if let Some(before) = before {
        operands
            .zip(before)
            .for_each(|(((z, n), dh), &before)| element(z, n, dh, before));
    } else {
        operands.for_each(|((z, n), dh)| element(z, n, dh, T::ZERO));
    }
    let operands = recalled.iter().zip(delta_new);
    for ((r, d), (&recalled, delta)) in reset.iter_mut().zip(&*new).zip(operands) {
        *delta = *d * *r;
        *r = *d * recalled * slope(*r);
    }
    let (both, _) = gates.split_at(2 * hidden);
    shared.copy_from_slice(both);
}

/// One frame of some samples, and the one before it in time.
struct FrameBack<'a, T> {
    shape: &'a RecurrentShape,
    frame: usize,
    before: Option<usize>,
    /// `[samples, n_frames, 3 · hidden]`.
    gates: &'a mut [T],
    /// `[samples, n_frames, 3 · hidden]`.
    delta: &'a mut [T],
    /// `[samples, n_frames, hidden]`, as the ones below.
    recalled: &'a [T],
    y: &'a [T],
    dy: &'a [T],
    /// `[samples, hidden]`.
    dh: &'a mut [T],
}

impl<T: Real> Kernel for FrameBack<'_, T> {
    #[inline(always)]
    fn run(self) {
        let (n_frames, hidden) = (self.shape.n_frames, self.shape.hidden);
        let columns = GATES * hidden;
        for (sample, dh) in self.dh.chunks_exact_mut(hidden).enumerate() {
            let row = sample * n_frames + self.frame;
            let dy = &self.dy[row * hidden..][..hidden];
            dh.iter_mut().zip(dy).for_each(|(dh, &dy)| *dh += dy);
            let state = |frame: usize| &self.y[(sample * n_frames + frame) * hidden..];
            step_back(
                &mut self.gates[row * columns..][..columns],
                &mut self.delta[row * columns..][..columns],
                &self.recalled[row * hidden..],
                self.before.map(state),
                dh,
            );
        }
    }
}

/// Gradients of [`forward`], from its output `y`, its tape and the gradient `dy` of the output.
///
/// # Shapes
/// As in [`forward`]; `dy` is shaped like `y`.
///
/// # Panics
/// When a slice does not have the length that `shape` says, or the tape is of another shape.
#[must_use]
pub fn backward<T: Real>(
    shape: &RecurrentShape,
    x: &[T],
    weights: &Weights<'_, T>,
    y: &[T],
    tape: Tape<T>,
    dy: &[T],
) -> Gradients<T> {
    weights.assert_valid(shape, GATES, x, y);
    assert_eq!(dy.len(), y.len(), "output gradient");
    let RecurrentShape {
        n_frames,
        inputs,
        hidden,
        ..
    } = *shape;
    let columns = GATES * hidden;
    let Tape {
        mut gates,
        recalled,
    } = tape;
    assert_eq!(gates.len(), shape.rows() * columns, "tape");
    let mut dx = vec![T::ZERO; x.len()];
    if y.is_empty() {
        return Gradients::zero(weights);
    }
    // The gradient of the products with the state; it differs in the new state's.
    let mut delta = vec![T::ZERO; gates.len()];
    let recurrent = View::new(weights.hidden, [columns, hidden], [hidden, 1]);
    let frames = SAMPLES * n_frames;
    dx.par_chunks_mut(frames * inputs)
        .zip(gates.par_chunks_mut(frames * columns))
        .zip(delta.par_chunks_mut(frames * columns))
        .zip(recalled.par_chunks(frames * hidden))
        .zip(
            y.par_chunks(frames * hidden)
                .zip(dy.par_chunks(frames * hidden)),
        )
        .with_max_len(1)
        .for_each(|((((dx, gates), delta), recalled), (y, dy))| {
            let samples = dy.len() / (n_frames * hidden);
            let mut dh = vec![T::ZERO; samples * hidden];
            for time in (0..n_frames).rev() {
                let frame = shape.frame(time);
                let before = (time > 0).then(|| shape.frame(time - 1));
                vectorised(FrameBack {
                    shape,
                    frame,
                    before,
                    gates,
                    delta,
                    recalled,
                    y,
                    dy,
                    dh: &mut dh,
                });
                if time > 0 {
                    let delta = &delta[frame * columns..];
                    let delta = View::new(delta, [samples, columns], [n_frames * columns, 1]);
                    matmul(&mut dh, hidden, Into::Add, delta, recurrent);
                }
            }
            weights.project_back(inputs, gates, dx);
        });
    let Side { weight, bias } = input_gradients(shape, x, &gates);
    let hidden = hidden_gradients(shape, y, &delta);
    Gradients {
        x: dx,
        w_input: weight,
        w_hidden: hidden.weight,
        bias_input: bias,
        bias_hidden: hidden.bias,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::testing;

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// The definition, one number at a time.
    fn naive(shape: &RecurrentShape, x: &[f64], w: &Weights<'_, f64>) -> Vec<f64> {
        let (n, ins, hid) = (shape.n_frames, shape.inputs, shape.hidden);
        let mut y = vec![0.0; shape.output_len()];
        for b in 0..shape.batch {
            let mut h = vec![0.0; hid];
            for time in 0..n {
                let t = if shape.reverse { n - 1 - time } else { time };
                let from_input = |gate: usize, j: usize| -> f64 {
                    let row = gate * hid + j;
                    let sum: f64 = (0..ins)
                        .map(|k| w.input[row * ins + k] * x[(b * n + t) * ins + k])
                        .sum();
                    sum + w.bias_input[row]
                };
                let from_state = |gate: usize, j: usize| -> f64 {
                    let row = gate * hid + j;
                    let sum: f64 = (0..hid).map(|k| w.hidden[row * hid + k] * h[k]).sum();
                    sum + w.bias_hidden[row]
                };
                h = (0..hid)
                    .map(|j| {
                        let z = sigmoid(from_input(0, j) + from_state(0, j));
                        let r = sigmoid(from_input(1, j) + from_state(1, j));
                        let n = (from_input(2, j) + r * from_state(2, j)).tanh();
                        (1.0 - z) * n + z * h[j]
                    })
                    .collect();
                y[(b * n + t) * hid..][..hid].copy_from_slice(&h);
            }
        }
        y
    }

    fn run<T: Real>(shape: &RecurrentShape, x: &[T], weights: &Weights<'_, T>) -> Vec<T> {
        let mut y = vec![T::from_f64(f64::NAN); shape.output_len()];
        forward(shape, x, weights, &mut y, &mut Tape::default());
        y
    }

    fn differentiate<T: Real>(
        shape: &RecurrentShape,
        x: &[T],
        weights: &Weights<'_, T>,
        dy: &[T],
    ) -> Gradients<T> {
        let (mut y, mut tape) = (vec![T::ZERO; shape.output_len()], Tape::default());
        forward(shape, x, weights, &mut y, &mut tape);
        backward(shape, x, weights, &y, tape, dy)
    }

    proptest! {
        #[test]
        fn output_matches_the_definition(
            batch in 1usize..=18, n_frames in 1usize..=7, inputs in 1usize..=6,
            hidden in 1usize..=9, reverse: bool, seed in 1u64..1000,
        ) {
            let shape = RecurrentShape { batch, n_frames, inputs, hidden, reverse };
            let x = testing::noise(shape.input_len(), seed);
            let weights = testing::weights(&shape, GATES, seed + 1);
            let want = naive(&shape, &x, &weights.view());
            for (got, want) in run(&shape, &x, &weights.view()).iter().zip(&want) {
                prop_assert!((got - want).abs() < 1e-12, "{got} is not {want}");
            }
            let owned = testing::Owned(weights.0.each_ref().map(|w| testing::single(w)));
            for (got, want) in run(&shape, &testing::single(&x), &owned.view()).iter().zip(&want) {
                prop_assert!((got.to_f64() - want).abs() < 2e-6, "{got} is not {want}");
            }
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (n_frames, reverse) in [(5, false), (4, true), (1, false)] {
            let shape = RecurrentShape {
                batch: 3,
                n_frames,
                inputs: 4,
                hidden: 5,
                reverse,
            };
            let forward = |shape: &_, x: &[f64], w: &Weights<'_, f64>| naive(shape, x, w);
            testing::assert_gradients(&shape, GATES, &forward, &differentiate);
        }
    }

    #[test]
    fn one_two_and_three_threads_agree_bit_for_bit() {
        testing::assert_threads_agree(GATES, &run, &differentiate);
    }

    #[test]
    fn a_tape_is_used_again_with_other_lengths() {
        let mut tape = Tape::default();
        for n_frames in [6, 3, 5] {
            let shape = RecurrentShape {
                batch: 2,
                n_frames,
                inputs: 3,
                hidden: 4,
                reverse: false,
            };
            let x = testing::noise(shape.input_len(), 1);
            let weights = testing::weights(&shape, GATES, 2);
            let mut y = vec![f64::NAN; shape.output_len()];
            forward(&shape, &x, &weights.view(), &mut y, &mut tape);
            assert_eq!(y, run(&shape, &x, &weights.view()));
        }
    }
}
