//! The long short-term memory layer: forward over a sequence, and its gradients through time.
//!
//! With `a = W·xₜ + b + R·hₜ₋₁ + b'` for each gate:
//!
//! `i, o, f = σ(aᵢ), σ(aₒ), σ(a_f)`, `g = tanh(a_g)`, `cₜ = f·cₜ₋₁ + i·g`, `hₜ = o·tanh(cₜ)`
//!
//! The gates stand in the order input, output, forget, cell: that of an ONNX `LSTM` node (`iofc`).
//! PyTorch has input, forget, cell, output.
//!
//! Source: S. Hochreiter, J. Schmidhuber, *Long Short-Term Memory*, 1997; F. Gers et al., *Learning
//! to Forget*, 2000.
//! Reference: `torch.nn.LSTM(batch_first=True)`, within 1e-5.

use rayon::prelude::*;

use crate::Real;
use crate::matmul::{Into, View, matmul};
use crate::recurrent::{
    Gradients, RecurrentShape, SAMPLES, Side, Weights, hidden_gradients, input_gradients,
};
use crate::simd::{Kernel, vectorised};

/// Gates of the layer.
pub const GATES: usize = 4;

/// What the backward pass needs to know of the forward pass. Its memory is used again when it is
/// passed to [`forward`] again.
#[derive(Debug, Clone, Default)]
pub struct Tape<T> {
    /// `[batch, n_frames, 4 · hidden]`.
    gates: Vec<T>,
    /// `[batch, n_frames, hidden]`.
    cells: Vec<T>,
}

/// The arithmetic of one frame of one sample, fused.
///
/// `gates` holds `W·x + R·h` and receives the gates; `state` holds the cell before and receives
/// that of this frame.
#[inline(always)]
fn step<T: Real>(gates: &mut [T], bias: &[T], state: &mut [T], cells: &mut [T], y: &mut [T]) {
    let hidden = state.len();
    // One short loop after the other: a single one has too many operands to be vectorised.
    let (sigmoids, tanhs) = gates.split_at_mut(3 * hidden);
    let (bias_sigmoids, bias_tanhs) = bias.split_at(3 * hidden);
    for (gate, &bias) in sigmoids.iter_mut().zip(bias_sigmoids) {
        *gate = (*gate + bias).sigmoid();
    }
    for (gate, &bias) in tanhs.iter_mut().zip(bias_tanhs) {
        *gate = (*gate + bias).tanh();
    }
    let (input, rest) = sigmoids.split_at(hidden);
    let (output, forget) = rest.split_at(hidden);
    let gates = input.iter().zip(forget).zip(&*tanhs);
    for (state, ((&i, &f), &g)) in state.iter_mut().zip(gates) {
        *state = f * *state + i * g;
    }
    cells[..hidden].copy_from_slice(state);
    for (y, (&o, &c)) in y.iter_mut().zip(output.iter().zip(&*state)) {
        *y = o * c.tanh();
    }
}

/// One frame of some samples.
struct Frame<'a, T> {
    shape: &'a RecurrentShape,
    frame: usize,
    /// `[samples, n_frames, 4 · hidden]`.
    gates: &'a mut [T],
    /// `[samples, n_frames, hidden]`.
    cells: &'a mut [T],
    /// `[samples, n_frames, hidden]`.
    y: &'a mut [T],
    /// The cells before, `[samples, hidden]`.
    state: &'a mut [T],
    bias: &'a [T],
}

impl<T: Real> Kernel for Frame<'_, T> {
    #[inline(always)]
    fn run(self) {
        let hidden = self.shape.hidden;
        let columns = GATES * hidden;
        for (sample, state) in self.state.chunks_exact_mut(hidden).enumerate() {
            let row = sample * self.shape.n_frames + self.frame;
            step(
                &mut self.gates[row * columns..][..columns],
                self.bias,
                state,
                &mut self.cells[row * hidden..],
                &mut self.y[row * hidden..],
            );
        }
    }
}

/// Runs the layer over a batch of sequences; the result is written over `y`, what [`backward`]
/// needs over `tape`.
///
/// # Shapes
/// `x`: `[batch, n_frames, inputs]`; weights: see [`Weights`], four gates; `y`: `[batch, n_frames,
/// hidden]`.
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
    tape.cells.resize(y.len(), T::ZERO);
    if y.is_empty() {
        return;
    }
    let recurrent = weights.hidden_transposed(hidden);
    let recurrent = View::new(&recurrent, [hidden, columns], [columns, 1]);
    let biases = weights.bias_input.iter().zip(weights.bias_hidden);
    let bias: Vec<T> = biases.map(|(&a, &b)| a + b).collect();
    let frames = SAMPLES * n_frames;
    y.par_chunks_mut(frames * hidden)
        .zip(x.par_chunks(frames * inputs))
        .zip(tape.gates.par_chunks_mut(frames * columns))
        .zip(tape.cells.par_chunks_mut(frames * hidden))
        .with_max_len(1)
        .for_each(|(((y, x), gates), cells)| {
            let samples = y.len() / (n_frames * hidden);
            weights.project(inputs, x, gates);
            let mut state = vec![T::ZERO; samples * hidden];
            for time in 0..n_frames {
                let frame = shape.frame(time);
                if time > 0 {
                    let before = &y[shape.frame(time - 1) * hidden..];
                    let before = View::new(before, [samples, hidden], [n_frames * hidden, 1]);
                    let gates = &mut gates[frame * columns..];
                    matmul(gates, n_frames * columns, Into::Add, before, recurrent);
                }
                vectorised(Frame {
                    shape,
                    frame,
                    gates,
                    cells,
                    y,
                    state: &mut state,
                    bias: &bias,
                });
            }
        });
}

/// Turns the gates of a frame into the gradient of what went into them.
///
/// `dh` is the gradient of the frame's output; `dc` holds the gradient that the next frame left for
/// the cell and receives that for the frame before.
#[inline(always)]
fn step_back<T: Real>(gates: &mut [T], cells: &[T], before: Option<&[T]>, dh: &[T], dc: &mut [T]) {
    let hidden = dc.len();
    let (input, rest) = gates.split_at_mut(hidden);
    let (output, rest) = rest.split_at_mut(hidden);
    let (forget, cell) = rest.split_at_mut(hidden);
    let slope = |s: T| s * (T::ONE - s);
    // Short loops, as in `step`. First the gradient of the cell.
    let operands = output.iter_mut().zip(cells.iter().zip(dh));
    for (dc, (o, (&c, &dh))) in dc.iter_mut().zip(operands) {
        let squashed = c.tanh();
        *dc += dh * *o * (T::ONE - squashed * squashed);
        *o = dh * squashed * slope(*o);
    }
    let operands = input.iter_mut().zip(cell.iter_mut());
    for (&d, (i, g)) in dc.iter().zip(operands) {
        (*i, *g) = (d * *g * slope(*i), d * *i * (T::ONE - *g * *g));
    }
    if let Some(before) = before {
        for (dc, (f, &before)) in dc.iter_mut().zip(forget.iter_mut().zip(before)) {
            (*dc, *f) = (*dc * *f, *dc * before * slope(*f));
        }
    } else {
        forget.fill(T::ZERO);
    }
}

/// One frame of some samples, and the one before it in time.
struct FrameBack<'a, T> {
    shape: &'a RecurrentShape,
    frame: usize,
    before: Option<usize>,
    /// `[samples, n_frames, 4 · hidden]`.
    gates: &'a mut [T],
    /// `[samples, n_frames, hidden]`.
    cells: &'a [T],
    /// `[samples, n_frames, hidden]`.
    dy: &'a [T],
    /// `[samples, hidden]`, as the one below.
    dh: &'a mut [T],
    dc: &'a mut [T],
}

impl<T: Real> Kernel for FrameBack<'_, T> {
    #[inline(always)]
    fn run(self) {
        let (n_frames, hidden) = (self.shape.n_frames, self.shape.hidden);
        let columns = GATES * hidden;
        let states = self.dh.chunks_exact_mut(hidden);
        let states = states.zip(self.dc.chunks_exact_mut(hidden));
        for (sample, (dh, dc)) in states.enumerate() {
            let row = sample * n_frames + self.frame;
            let cell = |frame: usize| &self.cells[(sample * n_frames + frame) * hidden..][..hidden];
            let dy = &self.dy[row * hidden..][..hidden];
            dh.iter_mut().zip(dy).for_each(|(dh, &dy)| *dh += dy);
            let gates = &mut self.gates[row * columns..][..columns];
            step_back(gates, cell(self.frame), self.before.map(cell), dh, dc);
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
    let Tape { mut gates, cells } = tape;
    assert_eq!(gates.len(), shape.rows() * columns, "tape");
    let mut dx = vec![T::ZERO; x.len()];
    if y.is_empty() {
        return Gradients::zero(weights);
    }
    let recurrent = View::new(weights.hidden, [columns, hidden], [hidden, 1]);
    let frames = SAMPLES * n_frames;
    dx.par_chunks_mut(frames * inputs)
        .zip(gates.par_chunks_mut(frames * columns))
        .zip(cells.par_chunks(frames * hidden))
        .zip(dy.par_chunks(frames * hidden))
        .with_max_len(1)
        .for_each(|(((dx, gates), cells), dy)| {
            let samples = dy.len() / (n_frames * hidden);
            let mut dc = vec![T::ZERO; samples * hidden];
            let mut dh = vec![T::ZERO; samples * hidden];
            for time in (0..n_frames).rev() {
                let frame = shape.frame(time);
                let before = (time > 0).then(|| shape.frame(time - 1));
                vectorised(FrameBack {
                    shape,
                    frame,
                    before,
                    gates,
                    cells,
                    dy,
                    dh: &mut dh,
                    dc: &mut dc,
                });
                if time > 0 {
                    let delta = &gates[frame * columns..];
                    let delta = View::new(delta, [samples, columns], [n_frames * columns, 1]);
                    matmul(&mut dh, hidden, Into::Replace, delta, recurrent);
                }
            }
            weights.project_back(inputs, gates, dx);
        });
    let Side { weight, bias } = input_gradients(shape, x, &gates);
    let hidden = hidden_gradients(shape, y, &gates);
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
            let (mut h, mut c) = (vec![0.0; hid], vec![0.0; hid]);
            for time in 0..n {
                let t = if shape.reverse { n - 1 - time } else { time };
                let a = |gate: usize, j: usize| -> f64 {
                    let row = gate * hid + j;
                    let from_input: f64 = (0..ins)
                        .map(|k| w.input[row * ins + k] * x[(b * n + t) * ins + k])
                        .sum();
                    let from_state: f64 = (0..hid).map(|k| w.hidden[row * hid + k] * h[k]).sum();
                    from_input + w.bias_input[row] + from_state + w.bias_hidden[row]
                };
                let next: Vec<[f64; 2]> = (0..hid)
                    .map(|j| {
                        let c = sigmoid(a(2, j)) * c[j] + sigmoid(a(0, j)) * a(3, j).tanh();
                        [sigmoid(a(1, j)) * c.tanh(), c]
                    })
                    .collect();
                h = next.iter().map(|n| n[0]).collect();
                c = next.iter().map(|n| n[1]).collect();
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
    fn a_tape_is_used_again() {
        let mut shape = RecurrentShape {
            batch: 2,
            n_frames: 6,
            inputs: 3,
            hidden: 4,
            reverse: false,
        };
        let mut tape = Tape::default();
        for n_frames in [6, 3, 5] {
            shape.n_frames = n_frames;
            let x = testing::noise(shape.input_len(), 1);
            let weights = testing::weights(&shape, GATES, 2);
            let mut y = vec![f64::NAN; shape.output_len()];
            forward(&shape, &x, &weights.view(), &mut y, &mut tape);
            assert_eq!(y, run(&shape, &x, &weights.view()));
        }
    }

    #[test]
    fn an_empty_batch_has_zero_gradients() {
        let shape = RecurrentShape {
            batch: 0,
            n_frames: 6,
            inputs: 3,
            hidden: 4,
            reverse: false,
        };
        let weights = testing::weights(&shape, GATES, 2);
        let got = differentiate(&shape, &[], &weights.view(), &[]);
        assert!(got.x.is_empty() && got.w_hidden.iter().all(|&w| w.abs() < f64::EPSILON));
    }
}
