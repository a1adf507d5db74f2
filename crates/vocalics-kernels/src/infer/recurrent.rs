//! LSTM and GRU, one direction at a time.
//!
//! What the inputs contribute to the gates is one product over all steps, made by the caller; here is
//! what depends on the step before.
//!
//! Source: S. Hochreiter, J. Schmidhuber, *Long Short-Term Memory*, 1997; K. Cho et al., *Learning
//! Phrase Representations using RNN Encoder-Decoder*, 2014; order of the gates as in ONNX, operators
//! `LSTM` and `GRU`.

use super::Level;
use super::dense::multiply_vector;
use super::function::{sigmoid, tanh};

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

/// Sizes of a run and where its results go.
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
    /// Values from one step of `y` to the next.
    pub pitch: usize,
    /// Where in a step of `y` this direction starts.
    pub offset: usize,
}

/// Values of scratch memory that [`run`] needs.
#[must_use]
pub fn scratch(hidden: usize) -> usize {
    6 * hidden
}

/// Runs one direction from a state of zeros.
///
/// # Shapes
/// `inputs`: `[steps, batch, gates · hidden]`, biases added; `recurrent`: `[gates · hidden, hidden]`;
/// `after`: `[hidden]`, the bias inside the reset of [`Cell::GruAfter`], else empty; `y`: at least
/// `steps · pitch`, of which `[batch, hidden]` from `offset` of each step is written; `h`, `c`: `[batch,
/// hidden]`, the last state (`c` of an LSTM only); `scratch`: [`scratch`] values.
///
/// # Panics
/// When a slice does not have the length of its shape.
#[expect(clippy::too_many_arguments, reason = "a recurrent layer has that many")]
pub fn run(
    level: Level,
    run: &Run,
    inputs: &[f32],
    recurrent: &[f32],
    after: &[f32],
    y: &mut [f32],
    h: &mut [f32],
    c: &mut [f32],
    scratch: &mut [f32],
) {
    let hidden = run.hidden;
    let width = run.cell.gates() * hidden;
    h.fill(0.0);
    c.fill(0.0);
    let (gates, rest) = scratch.split_at_mut(width);
    let reset = &mut rest[..hidden];
    for step in 0..run.steps {
        let at = if run.reverse {
            run.steps - 1 - step
        } else {
            step
        };
        let y = &mut y[at * run.pitch + run.offset..][..run.batch * hidden];
        let inputs = &inputs[at * run.batch * width..][..run.batch * width];
        for (sample, (x, h)) in inputs
            .chunks_exact(width)
            .zip(h.chunks_exact_mut(hidden))
            .enumerate()
        {
            match run.cell {
                Cell::Lstm => {
                    multiply_vector(level, recurrent, h, gates);
                    let c = &mut c[sample * hidden..][..hidden];
                    level.vectorised(
                        #[inline(always)]
                        || lstm(x, gates, h, c),
                    );
                }
                Cell::GruAfter => {
                    multiply_vector(level, recurrent, h, gates);
                    level.vectorised(
                        #[inline(always)]
                        || gru_after(x, gates, after, h),
                    );
                }
                Cell::GruBefore => {
                    let (first, last) = recurrent.split_at(2 * hidden * hidden);
                    multiply_vector(level, first, h, &mut gates[..2 * hidden]);
                    level.vectorised(
                        #[inline(always)]
                        || gru_gates(x, &mut gates[..2 * hidden], h, reset),
                    );
                    multiply_vector(level, last, reset, &mut gates[2 * hidden..]);
                    level.vectorised(
                        #[inline(always)]
                        || gru_before(x, gates, h),
                    );
                }
            }
            y[sample * hidden..][..hidden].copy_from_slice(h);
        }
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
fn gru_before(x: &[f32], gates: &[f32], h: &mut [f32]) {
    let n = h.len();
    let (x, gates) = (&x[..3 * n], &gates[..3 * n]);
    for i in 0..n {
        let new = tanh(x[2 * n + i] + gates[2 * n + i]);
        h[i] = (1.0 - gates[i]) * new + gates[i] * h[i];
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
                    let inputs = numbers(steps * batch * width, 1);
                    let recurrent = numbers(width * hidden, 2);
                    let after = numbers(hidden, 3);
                    let pitch = batch * hidden + 3;
                    let sizes = Run {
                        cell,
                        hidden,
                        steps,
                        batch,
                        reverse,
                        pitch,
                        offset: 2,
                    };
                    let mut y = vec![f32::NAN; steps * pitch];
                    let mut state = [
                        vec![f32::NAN; batch * hidden],
                        vec![f32::NAN; batch * hidden],
                    ];
                    let [h, c] = &mut state;
                    let mut memory = vec![f32::NAN; scratch(hidden)];
                    run(
                        level,
                        &sizes,
                        &inputs,
                        &recurrent,
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
                            let x = &inputs[(t * batch + sample) * width..][..width];
                            step(cell, x, &recurrent, &after, &mut h, &mut c);
                            let y = &y[t * pitch + 2 + sample * hidden..][..hidden];
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
