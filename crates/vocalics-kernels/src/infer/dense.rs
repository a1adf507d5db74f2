//! Products with a matrix of weights.

use pulp::{Simd, WithSimd};

use super::Level;
use super::panels::Panels;
use super::tile::{self, Finish, Lines, Planes, Source, Weights, multiply_add};

/// A matrix of weights, `y = x · w`.
#[derive(Debug, Clone)]
pub struct Dense {
    inputs: usize,
    outputs: usize,
    weights: Stored,
}

/// One or the other for all inputs, so that a row does not depend on how many there are.
#[derive(Debug, Clone)]
enum Stored {
    /// `[inputs, outputs]`, for tiles.
    Panels(Panels),
    /// `[outputs, inputs]`, for dot products.
    Rows(Vec<f32>),
}

impl Dense {
    /// Stores weights given by their element at `(input, output)`.
    ///
    /// `tiled` says that the input has many rows; else one dot product after the other is faster.
    #[must_use]
    pub fn new(
        inputs: usize,
        outputs: usize,
        tiled: bool,
        at: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let weights = if tiled {
            Stored::Panels(Panels::pack(inputs, outputs, at))
        } else {
            let mut weights = Vec::with_capacity(inputs * outputs);
            for output in 0..outputs {
                weights.extend((0..inputs).map(|input| at(input, output)));
            }
            Stored::Rows(weights)
        };
        Self {
            inputs,
            outputs,
            weights,
        }
    }

    /// `out = x · w`, row by row.
    ///
    /// # Shapes
    /// `x`: `[rows, inputs]`; `out`: `[rows, outputs]`. `packed` is memory to work in.
    ///
    /// # Panics
    /// When a slice does not have the length of its shape.
    pub fn run(
        &self,
        level: Level,
        parts: usize,
        x: &[f32],
        packed: &mut Weights,
        out: &mut [f32],
    ) {
        if self.outputs == 0 {
            return;
        }
        let rows = out.len() / self.outputs;
        assert_eq!(x.len(), rows * self.inputs, "input of a dense layer");
        if self.inputs == 0 {
            out.fill(0.0);
            return;
        }
        match &self.weights {
            Stored::Rows(weights) => {
                let rows = x.chunks_exact(self.inputs);
                for (x, out) in rows.zip(out.chunks_exact_mut(self.outputs)) {
                    multiply_vector(level, weights, x, out);
                }
            }
            Stored::Panels(panels) => {
                let sizes = [rows, self.inputs, self.outputs];
                multiply_packed(
                    level,
                    parts,
                    x,
                    sizes,
                    Source::Panels(panels.view()),
                    packed,
                    out,
                );
            }
        }
    }
}

/// `out = a · b`.
fn multiply_packed(
    level: Level,
    parts: usize,
    a: &[f32],
    [m, k, n]: [usize; 3],
    b: Source<'_>,
    packed: &mut Weights,
    out: &mut [f32],
) {
    packed.repack(m, k, a);
    let lines = Lines {
        lines: 1,
        length: n,
        pitch: n,
    };
    tile::product(level, parts, packed, b, lines, Finish::default(), out);
}

/// `out = a · b`.
///
/// # Shapes
/// `a`: `[m, k]`; `b`: `[k, n]`; `out`: `[m, n]`; `scratch`: at least `k · n` + [`SLACK`](tile::SLACK).
///
/// # Panics
/// When a slice does not have the length of its shape.
#[expect(clippy::too_many_arguments, reason = "a product and memory to work in")]
pub fn multiply(
    level: Level,
    parts: usize,
    a: &[f32],
    b: &[f32],
    [m, k, n]: [usize; 3],
    packed: &mut Weights,
    scratch: &mut [f32],
    out: &mut [f32],
) {
    assert!(a.len() == m * k && b.len() == k * n, "factors of a product");
    if k == 0 {
        out.fill(0.0);
        return;
    }
    scratch[..k * n].copy_from_slice(b);
    let source = Source::Planes(Planes {
        values: scratch,
        plane: n,
        offsets: &[0],
    });
    multiply_packed(level, parts, a, [m, k, n], source, packed, out);
}

/// `out = w · x`.
///
/// # Shapes
/// `w`: `[outputs, inputs]`; `x`: `[inputs]`; `out`: `[outputs]`.
pub fn multiply_vector(level: Level, w: &[f32], x: &[f32], out: &mut [f32]) {
    level.run(VectorProduct { w, x, out });
}

struct VectorProduct<'a> {
    w: &'a [f32],
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for VectorProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { w, x, out } = self;
        let mut rows = out.chunks_exact_mut(4);
        let mut weights = w.chunks_exact(4 * x.len());
        for (out, w) in rows.by_ref().zip(weights.by_ref()) {
            out.copy_from_slice(&dots::<S, 4>(simd, w, x));
        }
        let rest = rows.into_remainder().iter_mut();
        for (out, w) in rest.zip(weights.remainder().chunks_exact(x.len())) {
            [*out] = dots::<S, 1>(simd, w, x);
        }
    }
}

/// Dot products of `x` with `N` rows.
#[inline(always)]
fn dots<S: Simd, const N: usize>(simd: S, w: &[f32], x: &[f32]) -> [f32; N] {
    let mut sums = [[simd.splat_f32s(0.0); 2]; N];
    let (heads, tail) = S::as_simd_f32s(x);
    let (pairs, single) = pulp::as_arrays::<2, S::f32s>(heads);
    let rows: [(&[S::f32s], &[f32]); N] =
        std::array::from_fn(|n| S::as_simd_f32s(&w[n * x.len()..(n + 1) * x.len()]));
    for (i, pair) in pairs.iter().enumerate() {
        for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
            sums[0] = multiply_add(simd, row[2 * i], pair[0], sums[0]);
            sums[1] = multiply_add(simd, row[2 * i + 1], pair[1], sums[1]);
        }
    }
    if let [last] = single {
        for (sums, (row, _)) in sums.iter_mut().zip(&rows) {
            sums[0] = multiply_add(simd, row[2 * pairs.len()], *last, sums[0]);
        }
    }
    if !tail.is_empty() {
        let x = simd.partial_load_f32s(tail);
        for (sums, (_, row)) in sums.iter_mut().zip(&rows) {
            sums[1] = multiply_add(simd, simd.partial_load_f32s(row), x, sums[1]);
        }
    }
    let mut dots = [0.0; N];
    // No `map`, which is a function of its own that knows nothing of the level.
    for (dot, [a, b]) in dots.iter_mut().zip(&sums) {
        *dot = simd.reduce_sum_f32s(simd.add_f32s(*a, *b));
    }
    dots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::test_numbers::numbers;

    /// `[m, k] · [k, n]` in double precision.
    fn naive(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
        let mut out = Vec::new();
        for row in 0..m {
            for column in 0..n {
                let terms =
                    (0..k).map(|i| f64::from(a[row * k + i]) * f64::from(b[i * n + column]));
                out.push(terms.sum());
            }
        }
        out
    }

    #[track_caller]
    fn same(what: &str, got: &[f32], want: &[f64]) {
        assert_eq!(got.len(), want.len(), "{what}");
        for (got, want) in got.iter().zip(want) {
            assert!(
                (f64::from(*got) - want).abs() < 1e-5,
                "{what}: {got}, {want}"
            );
        }
    }

    /// Lengths around one and two vectors of every width, and around the rows taken together.
    const SIZES: [[usize; 3]; 9] = [
        [1, 1, 1],
        [1, 3, 5],
        [2, 4, 7],
        [3, 7, 4],
        [5, 8, 17],
        [7, 15, 8],
        [4, 16, 33],
        [13, 17, 65],
        [2, 67, 9],
    ];

    #[test]
    fn products_match_the_definition_at_every_level() {
        for level in Level::here() {
            let mut packed = Weights::default();
            for sizes @ [m, k, n] in SIZES {
                let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
                let want = naive(&a, &b, sizes);
                for tiled in [false, true] {
                    let dense = Dense::new(k, n, tiled, |input, output| b[input * n + output]);
                    let mut out = vec![9.0; m * n];
                    dense.run(level, 1, &a, &mut packed, &mut out);
                    same(&format!("{level:?} {sizes:?} tiled {tiled}"), &out, &want);
                }
                let (mut out, mut scratch) = (vec![9.0; m * n], vec![9.0; k * n + tile::SLACK]);
                multiply(level, 1, &a, &b, sizes, &mut packed, &mut scratch, &mut out);
                same(&format!("{level:?} {sizes:?} two tensors"), &out, &want);
            }
        }
    }

    /// A row must not depend on how many there are: a clip alone and in a batch have the same scores.
    #[test]
    fn a_row_alone_is_that_row_of_many() {
        let (rows, k, n) = (5, 19, 21);
        let (x, w) = (numbers(rows * k, 3), numbers(k * n, 4));
        for level in Level::here() {
            let mut packed = Weights::default();
            for tiled in [false, true] {
                let dense = Dense::new(k, n, tiled, |input, output| w[input * n + output]);
                let mut all = vec![0.0; rows * n];
                dense.run(level, 1, &x, &mut packed, &mut all);
                for (x, want) in x.chunks_exact(k).zip(all.chunks_exact(n)) {
                    let mut out = vec![0.0; n];
                    dense.run(level, 1, x, &mut packed, &mut out);
                    assert_eq!(out, want, "{level:?} tiled {tiled}");
                }
            }
        }
    }

    #[test]
    fn products_of_nothing_are_zero() {
        let mut packed = Weights::default();
        for tiled in [false, true] {
            let mut out = [9.0; 6];
            Dense::new(0, 3, tiled, |_, _| 1.0).run(Level::best(), 1, &[], &mut packed, &mut out);
            assert!(out.iter().all(|y| y.abs() < f32::MIN_POSITIVE), "{out:?}");
        }
    }
}
