//! Sums and their like along an axis, and softmax.
//!
//! A tensor is seen as `[outer, n, inner]`, the axis in the middle.

use super::Level;
use super::function::exp;

/// What becomes of the values along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// Their sum.
    Sum,
    /// Their mean.
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// The sum of their squares.
    SumSquare,
    /// The root of the sum of their squares.
    L2,
}

/// Partial results kept side by side, so that a sum becomes vector code.
const LANES: usize = 32;

#[inline(always)]
fn fold(
    values: &[f32],
    start: f32,
    f: impl Fn(f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut partial = [start; LANES];
    let (chunks, rest) = pulp::as_arrays::<LANES, f32>(values);
    for chunk in chunks {
        for (partial, x) in partial.iter_mut().zip(chunk) {
            *partial = f(*partial, *x);
        }
    }
    for (partial, x) in partial.iter_mut().zip(rest) {
        *partial = f(*partial, *x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            partial[i] = join(partial[i], partial[i + width]);
        }
        width /= 2;
    }
    partial[0]
}

#[inline(always)]
fn add(a: f32, b: f32) -> f32 {
    a + b
}

#[inline(always)]
fn max(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

#[inline(always)]
fn min(a: f32, b: f32) -> f32 {
    if a.is_nan() || a < b { a } else { b }
}

/// Reduces the middle axis of `x` `[outer, n, inner]` to `out` `[outer, inner]`.
///
/// # Panics
/// When a slice does not have the length of its shape.
pub fn reduce(
    level: Level,
    reduction: Reduction,
    x: &[f32],
    [n, inner]: [usize; 2],
    out: &mut [f32],
) {
    level.vectorised(
        #[inline(always)]
        || match reduction {
            Reduction::Sum | Reduction::Mean => reduce_with(x, n, inner, out, 0.0, add, add),
            Reduction::Max => reduce_with(x, n, inner, out, f32::NEG_INFINITY, max, max),
            Reduction::Min => reduce_with(x, n, inner, out, f32::INFINITY, min, min),
            Reduction::SumSquare | Reduction::L2 => {
                reduce_with(x, n, inner, out, 0.0, |sum, x| sum + x * x, add);
            }
        },
    );
    #[expect(
        clippy::cast_precision_loss,
        reason = "lengths are far below 2^24 or the loss is nothing"
    )]
    match reduction {
        Reduction::Mean => out.iter_mut().for_each(|y| *y /= n as f32),
        Reduction::L2 => out.iter_mut().for_each(|y| *y = y.sqrt()),
        _ => {}
    }
}

#[inline(always)]
fn reduce_with(
    x: &[f32],
    n: usize,
    inner: usize,
    out: &mut [f32],
    start: f32,
    f: impl Fn(f32, f32) -> f32 + Copy,
    join: impl Fn(f32, f32) -> f32,
) {
    assert_eq!(
        x.len() * inner,
        out.len() * n * inner,
        "lengths of a reduction"
    );
    if n == 0 {
        out.fill(start);
        return;
    }
    if inner == 1 {
        for (y, x) in out.iter_mut().zip(x.chunks_exact(n)) {
            *y = fold(x, start, f, &join);
        }
        return;
    }
    if inner == 0 {
        return;
    }
    for (out, x) in out.chunks_exact_mut(inner).zip(x.chunks_exact(n * inner)) {
        out.fill(start);
        for x in x.chunks_exact(inner) {
            for (y, x) in out.iter_mut().zip(x) {
                *y = f(*y, *x);
            }
        }
    }
}

/// Softmax along the middle axis of `[outer, n, inner]`, or its logarithm.
///
/// `scratch` holds `2 · inner` values.
///
/// # Panics
/// When a slice does not have the length of its shape.
pub fn softmax(
    level: Level,
    logarithm: bool,
    x: &[f32],
    [n, inner]: [usize; 2],
    scratch: &mut [f32],
    out: &mut [f32],
) {
    assert_eq!(x.len(), out.len(), "softmax keeps the shape");
    if n == 0 || inner == 0 {
        return;
    }
    level.vectorised(
        #[inline(always)]
        || {
            for (x, out) in x
                .chunks_exact(n * inner)
                .zip(out.chunks_exact_mut(n * inner))
            {
                if inner == 1 {
                    let most = fold(x, f32::NEG_INFINITY, max, max);
                    for (y, x) in out.iter_mut().zip(x) {
                        *y = exp(x - most);
                    }
                    let sum = fold(out, 0.0, add, add);
                    finish(logarithm, x, out, |_| (most, sum));
                    continue;
                }
                let (most, sum) = scratch[..2 * inner].split_at_mut(inner);
                most.fill(f32::NEG_INFINITY);
                sum.fill(0.0);
                for x in x.chunks_exact(inner) {
                    for (most, x) in most.iter_mut().zip(x) {
                        *most = max(*most, *x);
                    }
                }
                for (x, out) in x.chunks_exact(inner).zip(out.chunks_exact_mut(inner)) {
                    for (((y, x), most), sum) in out.iter_mut().zip(x).zip(&*most).zip(&mut *sum) {
                        *y = exp(x - most);
                        *sum += *y;
                    }
                }
                for (x, out) in x.chunks_exact(inner).zip(out.chunks_exact_mut(inner)) {
                    finish(logarithm, x, out, |i| (most[i], sum[i]));
                }
            }
        },
    );
}

#[inline(always)]
fn finish(logarithm: bool, x: &[f32], out: &mut [f32], of: impl Fn(usize) -> (f32, f32)) {
    for (i, (y, x)) in out.iter_mut().zip(x).enumerate() {
        let (most, sum) = of(i);
        *y = if logarithm {
            x - most - sum.ln()
        } else {
            *y / sum
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::test_numbers::numbers;

    const ALL: [Reduction; 6] = [
        Reduction::Sum,
        Reduction::Mean,
        Reduction::Max,
        Reduction::Min,
        Reduction::SumSquare,
        Reduction::L2,
    ];

    /// Around the partial results kept side by side, and below and above a vector of every width.
    const LENGTHS: [usize; 12] = [1, 2, 3, 7, 8, 15, 31, 32, 33, 63, 64, 100];

    /// The values along the axis, one list for each value of the result.
    fn along(x: &[f32], [n, inner]: [usize; 2]) -> Vec<Vec<f64>> {
        let mut lists = Vec::new();
        for x in x.chunks_exact(n * inner) {
            for i in 0..inner {
                lists.push((0..n).map(|k| f64::from(x[k * inner + i])).collect());
            }
        }
        lists
    }

    fn naive(reduction: Reduction, list: &[f64]) -> f64 {
        let broken = list.iter().any(|x| x.is_nan());
        let squares: f64 = list.iter().map(|x| x * x).sum();
        match reduction {
            Reduction::Sum => list.iter().sum(),
            Reduction::Mean => list.iter().sum::<f64>() / list.len() as f64,
            // Where one is NaN, so is the result.
            Reduction::Max | Reduction::Min if broken => f64::NAN,
            Reduction::Max => list.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            Reduction::Min => list.iter().copied().fold(f64::INFINITY, f64::min),
            Reduction::SumSquare => squares,
            Reduction::L2 => squares.sqrt(),
        }
    }

    #[track_caller]
    fn same(what: &str, got: f32, want: f64, tolerance: f64) {
        let same = (f64::from(got) - want).abs() <= tolerance || got.is_nan() && want.is_nan();
        assert!(same, "{what}: {got}, {want}");
    }

    #[test]
    fn reductions_match_the_definition_at_every_level() {
        for level in Level::here() {
            for (n, inner) in LENGTHS.into_iter().flat_map(|n| [(n, 1), (n, 2), (n, 19)]) {
                // A NaN is nowhere, in front, in the middle, at the end.
                for broken in [None, Some(0), Some(n / 2), Some(n - 1)] {
                    let mut x = numbers(3 * n * inner, n);
                    if let Some(at) = broken {
                        x[(n + at) * inner] = f32::NAN;
                    }
                    for reduction in ALL {
                        let mut out = vec![9.0; 3 * inner];
                        reduce(level, reduction, &x, [n, inner], &mut out);
                        let lists = along(&x, [n, inner]);
                        for (got, list) in out.into_iter().zip(&lists) {
                            let what = format!("{level:?} {reduction:?} {n} {inner} {broken:?}");
                            let want = naive(reduction, list);
                            same(&what, got, want, 5e-6 * want.abs().max(1.0));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn softmax_matches_the_definition_at_every_level() {
        for level in Level::here() {
            for (n, inner) in LENGTHS.into_iter().flat_map(|n| [(n, 1), (n, 2), (n, 19)]) {
                // Far from zero, so that exponentials not taken from the largest overflow.
                let x: Vec<f32> = numbers(2 * n * inner, n)
                    .iter()
                    .map(|x| 100.0 + 5.0 * x)
                    .collect();
                let lists = along(&x, [n, inner]);
                for logarithm in [false, true] {
                    let (mut out, mut scratch) = (vec![9.0; x.len()], vec![9.0; 2 * inner]);
                    softmax(level, logarithm, &x, [n, inner], &mut scratch, &mut out);
                    for (index, got) in out.into_iter().enumerate() {
                        let (outer, k) = (index / (n * inner), index / inner % n);
                        let list = &lists[outer * inner + index % inner];
                        let sum: f64 = list.iter().map(|x| (x - list[k]).exp()).sum();
                        let want = if logarithm { -sum.ln() } else { 1.0 / sum };
                        let what = format!("{level:?} {n} {inner} logarithm {logarithm}");
                        same(&what, got, want, 1e-5);
                    }
                }
            }
        }
    }
}
