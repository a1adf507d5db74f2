//! LSTM and GRU, one direction at a time.
//!
//! What the inputs contribute to the gates is one product over all steps, made by the caller; here is
//! what depends on the step before.
//!
//! Source: S. Hochreiter, J. Schmidhuber, *Long Short-Term Memory*, 1997; K. Cho et al., *Learning
//! Phrase Representations using RNN Encoder-Decoder*, 2014; order of the gates as in ONNX, operators
//! `LSTM` and `GRU`.

use super::Level;
use super::function::{sigmoid, tanh};
use super::panels::Panels;

/// Which cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// Gates `i, o, f, c`.
    Lstm,
    /// Gates `z, r, h`; `h = tanh(x + r ⊙ (R h + b))`, ONNX's `linear_before_reset`.
    GruAfter,
    /// Gates `z, r, h`; `h = tanh(x + R (r ⊙ h) + b)`, with `b` part of `x`.
    GruBefore,
}

impl Cell {
    /// Gates.
    #[must_use]
    pub fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::GruAfter | Self::GruBefore => 3,
        }
    }
}

/// Sizes of a run.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// The cell.
    pub cell: Cell,
    /// Units.
    pub hidden: usize,
    /// Steps.
    pub steps: usize,
    /// Samples.
    pub batch: usize,
    /// From the last step to the first.
    pub reverse: bool,
    /// Values from one sample of the inputs to the next, at least `gates · hidden`.
    pub input_pitch: usize,
}

/// Weights of what the step before contributes.
#[derive(Debug, Clone)]
pub struct Weights {
    gates: Panels,
    /// Those of the last gate of [`Cell::GruBefore`], which are multiplied with another vector.
    last: Option<Panels>,
}

impl Weights {
    /// Stores a matrix `[gates · hidden, hidden]`.
    ///
    /// # Panics
    /// When the slice does not have the length of its shape.
    #[must_use]
    pub fn pack(cell: Cell, hidden: usize, matrix: &[f32]) -> Self {
        let gates = cell.gates() * hidden;
        assert_eq!(matrix.len(), gates * hidden, "recurrent weights");
        let part = |from: usize, rows: usize| {
            Panels::pack(hidden, rows, |k, row| matrix[(from + row) * hidden + k])
        };
        let (first, last) = match cell {
            Cell::Lstm | Cell::GruAfter => (gates, None),
            Cell::GruBefore => (2 * hidden, Some(part(2 * hidden, hidden))),
        };
        Self {
            gates: part(0, first),
            last,
        }
    }
}

/// Values of scratch memory that [`run`] needs, or `None` when there are too many to count.
#[must_use]
pub fn scratch(cell: Cell, hidden: usize, batch: usize) -> Option<usize> {
    let sample = cell.gates().checked_add(1)?.checked_mul(hidden)?;
    sample.checked_mul(batch)
}

/// Runs one direction from a state of zeros.
///
/// # Shapes
/// `inputs`: `[steps, batch, gates · hidden]` with `input_pitch` between samples, biases added; `after`: `[hidden]`, the bias inside the
/// reset of [`Cell::GruAfter`], else empty; `y`: `[steps, batch, hidden]`; `h`, `c`: `[batch, hidden]`, the last state (`c` of an LSTM only);
/// `scratch`: at least [`scratch`] values.
///
/// # Panics
/// When a slice does not have the length of its shape.
#[expect(clippy::too_many_arguments, reason = "a recurrent layer has that many")]
pub fn run(
    level: Level,
    run: &Run,
    inputs: &[f32],
    weights: &Weights,
    after: &[f32],
    y: &mut [f32],
    h: &mut [f32],
    c: &mut [f32],
    scratch: &mut [f32],
) {
    let hidden = run.hidden;
    h.fill(0.0);
    c.fill(0.0);
    let state = run.batch * hidden;
    let first = weights.gates.columns();
    let (gates, rest) = scratch.split_at_mut(run.batch * first);
    let (reset, rest) = rest.split_at_mut(state);
    for step in 0..run.steps {
        let at = if run.reverse {
            run.steps - 1 - step
        } else {
            step
        };
        let y = &mut y[at * state..][..state];
        let inputs = inputs.chunks(run.input_pitch).skip(at * run.batch);
        weights.gates.multiply_rows(level, h, gates);
        level.vectorised(
            #[inline(always)]
            || {
                let samples = inputs.clone().zip(h.chunks_exact_mut(hidden));
                let samples = samples.zip(gates.chunks_exact_mut(first));
                match run.cell {
                    Cell::Lstm => {
                        for (((x, h), gates), c) in samples.zip(c.chunks_exact_mut(hidden)) {
                            lstm(x, gates, h, c);
                        }
                    }
                    Cell::GruAfter => {
                        for ((x, h), gates) in samples {
                            gru_after(x, gates, after, h);
                        }
                    }
                    Cell::GruBefore => {
                        for (((x, h), gates), reset) in samples.zip(reset.chunks_exact_mut(hidden))
                        {
                            gru_gates(x, gates, h, reset);
                        }
                    }
                }
            },
        );
        if let Some(last) = &weights.last {
            let new = &mut rest[..state];
            last.multiply_rows(level, reset, new);
            level.vectorised(
                #[inline(always)]
                || {
                    let states = new.chunks_exact(hidden).zip(h.chunks_exact_mut(hidden));
                    let samples = inputs.clone().zip(gates.chunks_exact(first));
                    for ((x, gates), (new, h)) in samples.zip(states) {
                        gru_before(x, gates, new, h);
                    }
                },
            );
        }
        y.copy_from_slice(h);
    }
}

#[inline(always)]
fn lstm(x: &[f32], gates: &[f32], h: &mut [f32], c: &mut [f32]) {
    let n = h.len();
    let (x, gates, c) = (&x[..4 * n], &gates[..4 * n], &mut c[..n]);
    for i in 0..n {
        let gate = |k: usize| x[k * n + i] + gates[k * n + i];
        let cell = sigmoid(gate(2)) * c[i] + sigmoid(gate(0)) * tanh(gate(3));
        c[i] = cell;
        h[i] = sigmoid(gate(1)) * tanh(cell);
    }
}

#[inline(always)]
fn gru_after(x: &[f32], gates: &[f32], after: &[f32], h: &mut [f32]) {
    let n = h.len();
    let (x, gates, after) = (&x[..3 * n], &gates[..3 * n], &after[..n]);
    for i in 0..n {
        let update = sigmoid(x[i] + gates[i]);
        let reset = sigmoid(x[n + i] + gates[n + i]);
        let new = tanh(x[2 * n + i] + reset * (gates[2 * n + i] + after[i]));
        h[i] = (1.0 - update) * new + update * h[i];
    }
}

/// Update and reset gates; the update stays in `gates`, `reset` becomes `r ⊙ h`.
#[inline(always)]
fn gru_gates(x: &[f32], gates: &mut [f32], h: &[f32], reset: &mut [f32]) {
    let n = h.len();
    let (x, gates, reset) = (&x[..2 * n], &mut gates[..2 * n], &mut reset[..n]);
    for i in 0..n {
        gates[i] = sigmoid(x[i] + gates[i]);
        reset[i] = sigmoid(x[n + i] + gates[n + i]) * h[i];
    }
}

#[inline(always)]
fn gru_before(x: &[f32], gates: &[f32], new: &[f32], h: &mut [f32]) {
    let n = h.len();
    let (x, gates, new) = (&x[2 * n..3 * n], &gates[..n], &new[..n]);
    for i in 0..n {
        h[i] = (1.0 - gates[i]) * tanh(x[i] + new[i]) + gates[i] * h[i];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|n| ((n * 37 + seed * 101) as f32 * 0.61).sin() * 0.6)
            .collect()
    }

    fn logistic(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    /// One step as the definitions have it, in double precision.
    fn step(cell: Cell, x: &[f32], r: &[f32], after: &[f32], h: &mut [f64], c: &mut [f64]) {
        let n = h.len();
        let dot = |row: usize, h: &[f64]| -> f64 {
            (0..n).map(|k| f64::from(r[row * n + k]) * h[k]).sum()
        };
        let x = |row: usize| f64::from(x[row]);
        let old = h.to_vec();
        for i in 0..n {
            if cell == Cell::Lstm {
                let gate = |k: usize| x(k * n + i) + dot(k * n + i, &old);
                c[i] = logistic(gate(2)) * c[i] + logistic(gate(0)) * gate(3).tanh();
                h[i] = logistic(gate(1)) * c[i].tanh();
                continue;
            }
            let update = logistic(x(i) + dot(i, &old));
            let reset = |i: usize| logistic(x(n + i) + dot(n + i, &old));
            let new = if cell == Cell::GruAfter {
                let inner = dot(2 * n + i, &old) + f64::from(after[i]);
                x(2 * n + i) + reset(i) * inner
            } else {
                let gated: Vec<f64> = (0..n).map(|k| reset(k) * old[k]).collect();
                x(2 * n + i) + dot(2 * n + i, &gated)
            };
            h[i] = (1.0 - update) * new.tanh() + update * old[i];
        }
    }

    #[test]
    fn cells_match_their_definitions() {
        let (hidden, steps, batch) = (13, 7, 2);
        for level in Level::here() {
            for cell in [Cell::Lstm, Cell::GruAfter, Cell::GruBefore] {
                for reverse in [false, true] {
                    let width = cell.gates() * hidden;
                    let input_pitch = width + 5;
                    let inputs = numbers(steps * batch * input_pitch, 1);
                    let recurrent = numbers(width * hidden, 2);
                    let after = numbers(hidden, 3);
                    let sizes = Run {
                        cell,
                        hidden,
                        steps,
                        batch,
                        reverse,
                        input_pitch,
                    };
                    let mut y = vec![f32::NAN; steps * batch * hidden];
                    let mut state = [
                        vec![f32::NAN; batch * hidden],
                        vec![f32::NAN; batch * hidden],
                    ];
                    let [h, c] = &mut state;
                    let count = scratch(cell, hidden, batch).expect("a size in range");
                    let mut memory = vec![f32::NAN; count];
                    run(
                        level,
                        &sizes,
                        &inputs,
                        &Weights::pack(cell, hidden, &recurrent),
                        &after,
                        &mut y,
                        h,
                        c,
                        &mut memory,
                    );
                    for sample in 0..batch {
                        let (mut h, mut c) = (vec![0.0; hidden], vec![0.0; hidden]);
                        for n in 0..steps {
                            let t = if reverse { steps - 1 - n } else { n };
                            let x = &inputs[(t * batch + sample) * input_pitch..][..width];
                            step(cell, x, &recurrent, &after, &mut h, &mut c);
                            let y = &y[(t * batch + sample) * hidden..][..hidden];
                            for (y, want) in y.iter().zip(&h) {
                                assert!((f64::from(*y) - want).abs() < 1e-5, "{cell:?} {y} {want}");
                            }
                        }
                    }
                }
            }
        }
    }
}
