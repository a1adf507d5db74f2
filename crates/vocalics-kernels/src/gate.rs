//! The two ends of a squeeze-excite residual block: the squeeze (mean of every channel) and the
//! tail `y = relu(x · s + shortcut)`.
//!
//! Source: J. Hu et al., *Squeeze-and-Excitation Networks*, CVPR 2018.

use rayon::prelude::*;

use crate::Real;
use crate::norm::sums;
use crate::zeros::zeros;

/// Rows handed to a worker at a time.
const ROWS: usize = 64;

#[expect(
    clippy::cast_precision_loss,
    reason = "a channel is far below 2^53 positions"
)]
fn count<T: Real>(positions: usize) -> T {
    T::from_f64(positions as f64)
}

/// Means of rows: `x` is `[rows, positions]`, the result `[rows]`.
///
/// # Panics
/// When `x` is not a whole number of rows.
#[must_use]
pub fn mean<T: Real>(positions: usize, x: &[T]) -> Vec<T> {
    assert!(
        positions > 0 && x.len().is_multiple_of(positions),
        "whole rows"
    );
    let count = count::<f64>(positions);
    x.par_chunks(positions)
        .with_min_len(ROWS)
        .map(|x| T::from_f64(sums(x.len(), |i| [x[i]])[0] / count))
        .collect()
}

/// Gradient of [`mean`]: every position of a row gets `dy / positions`.
#[must_use]
pub fn mean_backward<T: Real>(positions: usize, dy: &[T]) -> Vec<T> {
    let count = count::<T>(positions);
    let mut dx = zeros(positions * dy.len());
    dx.par_chunks_mut(positions)
        .with_min_len(ROWS)
        .zip(dy)
        .for_each(|(dx, &dy)| dx.fill(dy / count));
    dx
}

/// `y = relu(x · s + shortcut)`.
///
/// # Shapes
/// `x`, `shortcut` and the result: `[rows, positions]`; `s`: `[rows]`.
///
/// # Panics
/// When the lengths do not agree.
#[must_use]
pub fn scale_add_relu<T: Real>(positions: usize, x: &[T], s: &[T], shortcut: &[T]) -> Vec<T> {
    assert_eq!(x.len(), s.len() * positions, "one factor a row");
    assert_eq!(x.len(), shortcut.len(), "shortcut");
    let mut y = zeros(x.len());
    y.par_chunks_mut(positions)
        .with_min_len(ROWS)
        .zip(
            x.par_chunks(positions)
                .zip(shortcut.par_chunks(positions))
                .zip(s),
        )
        .for_each(|(y, ((x, shortcut), &s))| {
            y.iter_mut()
                .zip(x.iter().zip(shortcut))
                .for_each(|(y, (&x, &r))| {
                    let z = x * s + r;
                    *y = if z > T::ZERO { z } else { T::ZERO };
                });
        });
    y
}

/// Gradients of [`scale_add_relu`].
#[derive(Debug, Clone)]
pub struct Gradients<T> {
    /// `[rows, positions]`.
    pub x: Vec<T>,
    /// `[rows]`.
    pub s: Vec<T>,
    /// `[rows, positions]`.
    pub shortcut: Vec<T>,
}

/// Gradients of [`scale_add_relu`] from its inputs, its output `y` and the gradient `dy` of that.
///
/// # Panics
/// When the lengths do not agree.
#[must_use]
pub fn scale_add_relu_backward<T: Real>(
    positions: usize,
    x: &[T],
    s: &[T],
    y: &[T],
    dy: &[T],
) -> Gradients<T> {
    assert_eq!(x.len(), s.len() * positions, "one factor a row");
    assert!(x.len() == y.len() && x.len() == dy.len(), "outputs");
    let (mut dx, mut dr, mut ds) = (zeros(x.len()), zeros(x.len()), vec![T::ZERO; s.len()]);
    dx.par_chunks_mut(positions)
        .with_min_len(ROWS)
        .zip(dr.par_chunks_mut(positions))
        .zip(&mut ds)
        .enumerate()
        .for_each(|(row, ((dx, dr), ds))| {
            let run = row * positions..(row + 1) * positions;
            let (x, y, dy) = (&x[run.clone()], &y[run.clone()], &dy[run]);
            for i in 0..positions {
                let dz = if y[i] > T::ZERO { dy[i] } else { T::ZERO };
                dr[i] = dz;
                dx[i] = dz * s[row];
            }
            *ds = T::from_f64(sums(positions, |i| [dr[i] * x[i]])[0]);
        });
    Gradients {
        x: dx,
        s: ds,
        shortcut: dr,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(len: u32, seed: f64) -> Vec<f64> {
        (0..len)
            .map(|i| (f64::from(i) * 1.7 + seed).sin())
            .collect()
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (positions, step) = (5, 1e-6);
        let (x, r, s, dy) = (
            values(15, 0.1),
            values(15, 0.7),
            values(3, 0.3),
            values(15, 1.1),
        );
        let loss = |x: &[f64], s: &[f64], r: &[f64]| {
            let y = scale_add_relu(positions, x, s, r);
            y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        let y = scale_add_relu(positions, &x, &s, &r);
        let got = scale_add_relu_backward(positions, &x, &s, &y, &dy);
        let check = |got: &[f64], slot: usize| {
            for i in 0..got.len() {
                let at = |by: f64| {
                    let mut v = [x.clone(), s.clone(), r.clone()];
                    v[slot][i] += by;
                    loss(&v[0], &v[1], &v[2])
                };
                let want = (at(step) - at(-step)) / (2.0 * step);
                assert!((got[i] - want).abs() < 1e-7, "{slot} {i}");
            }
        };
        check(&got.x, 0);
        check(&got.s, 1);
        check(&got.shortcut, 2);
    }

    #[test]
    fn mean_and_its_gradient() {
        assert_eq!(mean(2, &[1.0f32, 3.0, -1.0, 1.0]), vec![2.0, 0.0]);
        assert_eq!(
            mean_backward(2, &[4.0f32, -2.0]),
            vec![2.0, 2.0, -1.0, -1.0]
        );
    }

    #[test]
    fn one_two_and_three_threads_agree_bit_for_bit() {
        let single = |seed| -> Vec<f32> {
            let wide = values(300 * 21, seed);
            wide.iter().map(|&x| f32::from_f64(x)).collect()
        };
        let (x, r, dy) = (single(0.1), single(0.7), single(1.1));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let s = mean(21, &x);
                let y = scale_add_relu(21, &x, &s, &r);
                let g = scale_add_relu_backward(21, &x, &s, &y, &dy);
                let spread = mean_backward(21, &g.s);
                [s, y, g.x, g.s, g.shortcut, spread]
                    .map(|v| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}
