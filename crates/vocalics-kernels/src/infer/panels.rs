//! A matrix stored in the order in which products read it.
//!
//! From a matrix stored by rows, neighbouring columns are one line of the cache out of every row, each on
//! another page: the loop waits for memory. Stored by panels of a few columns they are one after the other.

use pulp::{Simd, WithSimd};

use super::Level;
use super::tile::add_products;

/// Columns of a panel: one vector of the widest instruction set.
pub(super) const PANEL: usize = 16;

/// The columns of a panel in one row. They begin where a line of the cache does: a vector that lies in two of them is read
/// in two goes.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Line(pub(super) [f32; PANEL]);

/// Vectors of neighbouring columns for one row, enough sums that no addition waits for the one before.
const WIDE: usize = 8;
/// The same for two rows.
const NARROW: usize = 4;

/// A matrix `[depth, columns]` cut into panels of 16 columns, each stored by itself, `[depth, 16]`.
#[derive(Debug, Clone)]
pub struct Panels {
    values: Vec<Line>,
    depth: usize,
    columns: usize,
}

impl Panels {
    /// Stores a matrix given by its element at `(k, column)`.
    #[must_use]
    pub fn pack(depth: usize, columns: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut values = vec![Line([0.0; PANEL]); depth * columns.div_ceil(PANEL)];
        if depth > 0 {
            for (panel, rows) in values.chunks_exact_mut(depth).enumerate() {
                let wanted = panel * PANEL..columns.min((panel + 1) * PANEL);
                for (k, row) in rows.iter_mut().enumerate() {
                    for (value, column) in row.0.iter_mut().zip(wanted.clone()) {
                        *value = at(k, column);
                    }
                }
            }
        }
        Self {
            values,
            depth,
            columns,
        }
    }

    /// Number of columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The panels, to be read.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View {
            values: &self.values,
            depth: self.depth,
        }
    }

    /// `out = x · self` for a few rows, which are not packed first. A row does not depend on how many there
    /// are.
    ///
    /// # Shapes
    /// `x`: `[rows, depth]`; `out`: `[rows, columns]`.
    ///
    /// # Panics
    /// When a slice does not have the length of its shape.
    pub fn multiply_rows(&self, level: Level, x: &[f32], out: &mut [f32]) {
        if self.columns == 0 {
            return;
        }
        let rows = out.len() / self.columns;
        assert_eq!(x.len(), rows * self.depth, "rows of the left side");
        if self.depth == 0 {
            out.fill(0.0);
            return;
        }
        level.run(Rows {
            panels: self,
            x,
            out,
        });
    }
}

/// Panels wherever they lie.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(super) values: &'a [Line],
    pub(super) depth: usize,
}

impl<'a> View<'a> {
    /// For each of `N` vectors from column `first` on, the panel that holds it.
    #[inline(always)]
    pub(super) fn holding<S: Simd, const N: usize>(self, first: usize) -> [&'a [Line]; N] {
        let mut panels = [self.values; N];
        for (n, panel) in panels.iter_mut().enumerate() {
            let index = (first + n * S::F32_LANES) / PANEL;
            *panel = &self.values[index * self.depth..][..self.depth];
        }
        panels
    }
}

struct Rows<'a> {
    panels: &'a Panels,
    x: &'a [f32],
    out: &'a mut [f32],
}

impl WithSimd for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { panels, x, out } = self;
        let Panels { depth, columns, .. } = *panels;
        let (pairs, rest) = x.split_at(x.len() / depth / 2 * 2 * depth);
        let (out_pairs, out_rest) = out.split_at_mut(pairs.len() / depth * columns);
        for (x, out) in pairs
            .chunks_exact(2 * depth)
            .zip(out_pairs.chunks_exact_mut(2 * columns))
        {
            let (x, y) = x.split_at(depth);
            let (out, below) = out.split_at_mut(columns);
            rows::<S, 2, NARROW>(simd, panels, [x, y], [out, below]);
        }
        if !rest.is_empty() {
            rows::<S, 1, WIDE>(simd, panels, [rest], [out_rest]);
        }
    }
}

/// `M` rows, `N` vectors at a time, then one at a time.
#[inline(always)]
fn rows<S: Simd, const M: usize, const N: usize>(
    simd: S,
    panels: &Panels,
    x: [&[f32]; M],
    mut out: [&mut [f32]; M],
) {
    let (mut first, columns) = (0, panels.columns);
    while first + N * S::F32_LANES <= columns {
        let sums = sums::<S, M, N>(simd, panels, &x, first);
        for (sums, out) in sums.iter().zip(&mut out) {
            let (out, _) = S::as_mut_simd_f32s(&mut out[first..][..N * S::F32_LANES]);
            out.copy_from_slice(sums);
        }
        first += N * S::F32_LANES;
    }
    while first < columns {
        let sums = sums::<S, M, 1>(simd, panels, &x, first);
        let wanted = S::F32_LANES.min(columns - first);
        for (sums, out) in sums.iter().zip(&mut out) {
            simd.partial_store_f32s(&mut out[first..][..wanted], sums[0]);
        }
        first += wanted;
    }
}

#[inline(always)]
fn sums<S: Simd, const M: usize, const N: usize>(
    simd: S,
    panels: &Panels,
    x: &[&[f32]; M],
    first: usize,
) -> [[S::f32s; N]; M] {
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    let sources: [_; N] = panels.view().holding::<S, N>(first);
    for k in 0..panels.depth {
        let mut weights = [0.0; M];
        for (weight, x) in weights.iter_mut().zip(x) {
            *weight = x[k];
        }
        let mut vectors = [simd.splat_f32s(0.0); N];
        for (n, vector) in vectors.iter_mut().enumerate() {
            *vector = part::<S>(&sources[n][k], first, n);
        }
        add_products(simd, &weights, &vectors, &mut sums);
    }
    sums
}

/// The `n`-th vector from column `first` on, out of the row of its panel.
#[inline(always)]
pub(super) fn part<S: Simd>(row: &Line, first: usize, n: usize) -> S::f32s {
    let (vectors, _) = S::as_simd_f32s(&row.0);
    vectors[(first / S::F32_LANES + n) % (PANEL / S::F32_LANES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::test_numbers::numbers;

    #[test]
    fn rows_match_the_definition_and_do_not_depend_on_each_other() {
        for (depth, columns) in [
            (1, 1),
            (3, 5),
            (7, 16),
            (16, 33),
            (19, 64),
            (5, 129),
            (4, 300),
        ] {
            let w = numbers(depth * columns, 2);
            let panels = Panels::pack(depth, columns, |k, column| w[k * columns + column]);
            assert_eq!(panels.columns(), columns);
            for level in Level::here() {
                for rows in 0..6 {
                    let x = numbers(rows * depth, 1);
                    let mut out = vec![9.0; rows * columns];
                    panels.multiply_rows(level, &x, &mut out);
                    for (x, out) in x.chunks_exact(depth).zip(out.chunks_exact(columns)) {
                        let mut alone = vec![9.0; columns];
                        panels.multiply_rows(level, x, &mut alone);
                        assert_eq!(out, alone, "{level:?} {depth} {columns} {rows}");
                        for (column, y) in out.iter().enumerate() {
                            let want: f64 = (0..depth)
                                .map(|k| f64::from(x[k]) * f64::from(w[k * columns + column]))
                                .sum();
                            let error = (f64::from(*y) - want).abs();
                            assert!(error < 1e-5, "{level:?} {depth} {columns}: {y}, {want}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn products_of_nothing_are_zero() {
        let mut out = [9.0; 6];
        Panels::pack(0, 3, |_, _| 1.0).multiply_rows(Level::best(), &[], &mut out);
        assert!(out.iter().all(|y| y.abs() < f32::MIN_POSITIVE), "{out:?}");
        Panels::pack(3, 0, |_, _| 1.0).multiply_rows(Level::best(), &[], &mut []);
    }
}
