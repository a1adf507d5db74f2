//! Sums and their like along an axis, softmax, and pooling with attention.
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

/// Mean and deviation along time, weighted by the softmax of scores.
///
/// `w = softmax(scores)`, `mean = Σ w · x`, `deviation = sqrt(max(Σ w · x² - mean², 0) + epsilon)`.
///
/// # Shapes
/// `x`, `scores`: `[rows, n]`; `mean`, `deviation`: `[rows]`; `scratch`: `[n]`.
///
/// Source: K. Okabe et al., *Attentive Statistics Pooling for Deep Speaker Embedding*, 2018.
///
/// # Panics
/// When a slice does not have the length of its shape.
#[expect(
    clippy::too_many_arguments,
    reason = "two inputs, two outputs, how and where"
)]
pub fn attentive_statistics(
    level: Level,
    n: usize,
    epsilon: f32,
    x: &[f32],
    scores: &[f32],
    scratch: &mut [f32],
    mean: &mut [f32],
    deviation: &mut [f32],
) {
    assert!(
        n > 0 && x.len() == scores.len() && x.len() == mean.len() * n,
        "rows of attention"
    );
    let scratch = &mut scratch[..n];
    level.vectorised(
        #[inline(always)]
        || {
            let rows = x.chunks_exact(n).zip(scores.chunks_exact(n));
            for ((x, scores), (mean, deviation)) in
                rows.zip(mean.iter_mut().zip(deviation.iter_mut()))
            {
                let most = fold(scores, f32::NEG_INFINITY, max, max);
                for (w, score) in scratch.iter_mut().zip(scores) {
                    *w = exp(score - most);
                }
                let scale = 1.0 / fold(scratch, 0.0, add, add);
                let mut sums = [[0.0f32; LANES]; 2];
                for (w, x) in scratch.chunks(LANES).zip(x.chunks(LANES)) {
                    for (lane, (w, x)) in w.iter().zip(x).enumerate() {
                        let weighted = w * scale * x;
                        sums[0][lane] += weighted;
                        sums[1][lane] += weighted * x;
                    }
                }
                let [first, second] = sums.map(|sums| fold(&sums, 0.0, add, add));
                let variance = second - first * first;
                let variance = if variance < 0.0 { 0.0 } else { variance };
                *mean = first;
                *deviation = (variance + epsilon).sqrt();
            }
        },
    );
}
