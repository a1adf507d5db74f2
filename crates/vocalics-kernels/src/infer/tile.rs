//! The inner loop: a product whose right side is read through a table of offsets, or in panels.
//!
//! `y[m, p] = Σ_c Σ_j w[m, c, j] · x[c · plane + offset[j] + p]`
//!
//! A tile is up to [`ROWS`] rows of `y` by up to [`VECTORS`] vectors of neighbouring positions `p`, all
//! of it in registers: every vector of `x` that is loaded is used for all rows, every weight for all
//! vectors. Rows of the weights are stored tile by tile, `[c, j, m]`, in the order in which they are
//! read.
//!
//! A convolution of stride 1 over an image stored with its padding is this product exactly: `p` runs
//! over the padded image as one line, `offset[j]` is where the kernel's element `j` looks, and the
//! positions in the padding between two rows are computed and thrown away. Source of the idea: M.
//! Dukhan, *The Indirect Convolution Algorithm*, 2019; here the indirection is one table for all
//! positions, because the padding is stored.
//!
//! A matrix that is known beforehand is stored in [`Panels`](super::panels::Panels) instead, in the order in which it is read.

mod registers;
mod weights;

use std::cell::Cell;
use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::Level;
use super::function::Function;
use super::level::Loops;
use super::panels::{Line, PANEL, View};
use registers::{sums, vectors};

pub use registers::VECTORS;
pub use weights::{ROWS, Weights};

pub(super) use registers::{add_products, multiply_add};

/// Positions that may be read past the last one asked for: one tile of the widest vectors.
pub const SLACK: usize = VECTORS * 16;

/// The right side.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// An image, looked at by a kernel.
    Planes(Planes<'a>),
    /// A matrix.
    Panels(View<'a>),
}

/// An image.
#[derive(Debug, Clone, Copy)]
pub struct Planes<'a> {
    /// Planes one after the other, then [`SLACK`] values of any content.
    pub values: &'a [f32],
    /// From one plane to the next.
    pub plane: usize,
    /// Where in a plane each element of the kernel looks, for position 0.
    pub offsets: &'a [usize],
}

/// Which positions are wanted and where they go: `lines` of `length`, `pitch` apart in the source and
/// without gaps in the destination.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// Number of lines.
    pub lines: usize,
    /// Wanted positions of a line.
    pub length: usize,
    /// Positions from one line to the next, at least `length`.
    pub pitch: usize,
}

impl Lines {
    fn positions(&self) -> usize {
        match (self.lines, self.length) {
            (0, _) | (_, 0) => 0,
            (lines, length) => (lines - 1) * self.pitch + length,
        }
    }
}

/// What happens to a sum before it is stored: `y = f(sum + bias + shortcut)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Finish<'a> {
    /// One number a row.
    pub bias: Option<&'a [f32]>,
    /// Shaped as the destination.
    pub shortcut: Option<&'a [f32]>,
    /// Applied last.
    pub function: Option<Function>,
}

impl Finish<'_> {
    /// Does the same to sums that are stored already: one for each number of `bias`, which may be empty.
    pub fn apply(&self, level: Level, bias: &[f32], sums: &mut [f32]) {
        level.vectorised(
            #[inline(always)]
            || {
                for (y, bias) in sums.iter_mut().zip(bias) {
                    *y += bias;
                }
                if let Some(shortcut) = self.shortcut {
                    for (y, more) in sums.iter_mut().zip(shortcut) {
                        *y += more;
                    }
                }
                if let Some(function) = self.function {
                    function.apply(sums);
                }
            },
        );
    }
}

/// Computes all rows.
///
/// # Shapes
/// `out`: `[weights.rows(), lines · length]`. `weights.depth()` is planes times offsets.
///
/// With `parts` above 1 the rows are shared out over that many jobs of the current rayon pool; the
/// result does not depend on it.
///
/// # Panics
/// When a slice is shorter than the shapes ask for.
pub fn product(
    level: Level,
    parts: usize,
    weights: &Weights,
    source: Source<'_>,
    lines: Lines,
    finish: Finish<'_>,
    out: &mut [f32],
) {
    let length = lines.lines * lines.length;
    assert_eq!(out.len(), weights.rows * length, "rows of the destination");
    if length == 0 {
        return;
    }
    split(
        level,
        parts,
        weights,
        0..weights.tiles.len(),
        source,
        lines,
        finish,
        out,
    );
}

#[expect(
    clippy::too_many_arguments,
    reason = "the arguments of `product` and a range"
)]
fn split(
    level: Level,
    parts: usize,
    weights: &Weights,
    range: Range<usize>,
    source: Source<'_>,
    lines: Lines,
    finish: Finish<'_>,
    out: &mut [f32],
) {
    if parts <= 1 || range.len() <= 1 {
        let job = Job {
            weights,
            range,
            source,
            lines,
            finish,
            out,
        };
        level.run(job);
        return;
    }
    let half = parts / 2;
    let middle = range.start + range.len() * half / parts;
    let row = |index: usize| {
        weights
            .tiles
            .get(index)
            .map_or(weights.rows, |t| t.first_row)
    };
    let (low, high) =
        out.split_at_mut((row(middle) - row(range.start)) * lines.lines * lines.length);
    rayon::join(
        || {
            split(
                level,
                half,
                weights,
                range.start..middle,
                source,
                lines,
                finish,
                low,
            )
        },
        || {
            split(
                level,
                parts - half,
                weights,
                middle..range.end,
                source,
                lines,
                finish,
                high,
            )
        },
    );
}

/// Weights up to this many bytes stay in the second-level cache beside the source.
const RESIDENT: usize = 192 << 10;
/// Lines of the longest column that is gathered: 160 KiB.
const LONGEST: usize = 2560;

/// Tiles of one column that repay gathering it: more of them where a tile is wide.
#[inline(always)]
const fn repays<S: Simd>() -> usize {
    if S::F32_LANES < PANEL { 4 } else { 8 }
}

thread_local! {
    /// The column of tiles that is at work, between two uses.
    static COLUMN: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

struct Job<'a> {
    weights: &'a Weights,
    range: Range<usize>,
    source: Source<'a>,
    lines: Lines,
    finish: Finish<'a>,
    out: &'a mut [f32],
}

impl WithSimd for Job<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let positions = self.lines.positions();
        let across = positions.div_ceil(vectors::<S>() * S::F32_LANES);
        let down = self.range.len();
        let mut buffer = [[0.0f32; SLACK]; ROWS];
        // Whichever side is the smaller is walked again and again; a panel always is.
        let heavy = matches!(self.source, Source::Planes(_))
            && self.weights.depth * self.weights.rows * size_of::<f32>() > RESIDENT;
        let out = self.out;
        let job = Job {
            out: &mut [],
            ..self
        };
        let size = job.weights.depth * (vectors::<S>() * S::F32_LANES).div_ceil(PANEL);
        if down >= repays::<S>()
            && (1..=LONGEST).contains(&size)
            && let Source::Planes(planes) = job.source
        {
            let mut column = COLUMN.take();
            column.resize(size.max(column.len()), Line([0.0; PANEL]));
            job.by_columns(simd, planes, across, &mut column[..size], &mut buffer, out);
            COLUMN.set(column);
            return;
        }
        for step in 0..across * down {
            let (index, column) = if heavy {
                (step / across, step % across)
            } else {
                (step % down, step / down)
            };
            let from = column * vectors::<S>() * S::F32_LANES;
            job.tile(simd, index, column, (job.source, from), &mut buffer, out);
        }
    }
}

impl Job<'_> {
    /// All tiles, with what a column of them reads gathered into panels first: read where it lies, it
    /// comes from the second-level cache once for every row of tiles, and a vector from two lines of it.
    #[inline(always)]
    fn by_columns<S: Simd>(
        &self,
        simd: S,
        planes: Planes<'_>,
        across: usize,
        panels: &mut [Line],
        buffer: &mut [[f32; SLACK]; ROWS],
        out: &mut [f32],
    ) {
        let width = vectors::<S>() * S::F32_LANES;
        let (depth, wanted) = (self.weights.depth, width.min(PANEL));
        for column in 0..across {
            for (n, panel) in panels.chunks_exact_mut(depth).enumerate() {
                let mut start = column * width + n * PANEL;
                for steps in panel.chunks_exact_mut(planes.offsets.len()) {
                    for (step, &offset) in steps.iter_mut().zip(planes.offsets) {
                        let values = &planes.values[start + offset..][..wanted];
                        step.0[..wanted].copy_from_slice(values);
                    }
                    start += planes.plane;
                }
            }
            let source = Source::Panels(View {
                values: panels,
                depth,
            });
            for index in 0..self.range.len() {
                self.tile(simd, index, column, (source, 0), buffer, out);
            }
        }
    }

    /// One tile, the `index`-th of this job's rows and the `column`-th of the positions, which begin at
    /// `from` in `source`.
    #[inline(always)]
    fn tile<S: Simd>(
        &self,
        simd: S,
        index: usize,
        column: usize,
        (source, from): (Source<'_>, usize),
        buffer: &mut [[f32; SLACK]; ROWS],
        out: &mut [f32],
    ) {
        let width = vectors::<S>() * S::F32_LANES;
        let first = column * width;
        let wanted = (self.lines.positions() - first).min(width);
        let Weights {
            values,
            tiles,
            depth,
            ..
        } = self.weights;
        let tile = tiles[self.range.start + index];
        let values = &values[tile.first_row * depth..][..tile.rows * depth];
        let count = wanted.div_ceil(S::F32_LANES);
        sums(simd, tile.rows, count, values, source, from, buffer);
        let size = self.lines.lines * self.lines.length;
        let place = [first / self.lines.pitch, first % self.lines.pitch];
        let start = tile.first_row - tiles[self.range.start].first_row;
        let rows = out[start * size..].chunks_exact_mut(size);
        for (m, (row, buffer)) in rows.zip(buffer.iter()).take(tile.rows).enumerate() {
            let at = tile.first_row + m;
            let bias = match self.finish.bias {
                Some(bias) => bias[at],
                None => 0.0,
            };
            let shortcut = self.finish.shortcut.map(
                #[inline(always)]
                |shortcut| &shortcut[at * size..][..size],
            );
            store(
                simd,
                &buffer[..wanted],
                place,
                self.lines,
                bias,
                shortcut,
                self.finish.function,
                row,
            );
        }
    }
}

/// Kept out of the product's loop, whose registers its constants would take.
#[inline(never)]
fn apply<S: Simd>(simd: S, function: Function, values: &mut [f32]) {
    simd.vectorize(Loops(
        #[inline(always)]
        || function.apply(values),
    ));
}

/// Sends the wanted ones of neighbouring positions, the first of which is at a line and a column, to their row.
#[inline(always)]
#[expect(
    clippy::too_many_arguments,
    reason = "where from, where to, and what on the way"
)]
fn store<S: Simd>(
    simd: S,
    sums: &[f32],
    [mut line, mut column]: [usize; 2],
    lines: Lines,
    bias: f32,
    shortcut: Option<&[f32]>,
    function: Option<Function>,
    row: &mut [f32],
) {
    let mut sums = sums;
    // Nothing is below it where there is no rectifier. Applied in place afterwards, a rectifier becomes
    // a masked store, which some processors take slowly.
    let (floor, function) = match function {
        Some(Function::Relu) => (0.0, None),
        function => (f32::NEG_INFINITY, function),
    };
    // In this order a NaN stays one.
    let above = |sum: f32| if sum < floor { floor } else { sum };
    while !sums.is_empty() && line < lines.lines {
        let (now, rest) = sums.split_at(sums.len().min(lines.pitch - column));
        if column < lines.length {
            let wanted = now.len().min(lines.length - column);
            let at = line * lines.length + column;
            let out = &mut row[at..][..wanted];
            match shortcut {
                Some(shortcut) => {
                    let shortcut = &shortcut[at..][..wanted];
                    for ((y, x), more) in out.iter_mut().zip(now).zip(shortcut) {
                        *y = above(x + bias + more);
                    }
                }
                None => {
                    for (y, x) in out.iter_mut().zip(now) {
                        *y = above(x + bias);
                    }
                }
            }
            if let Some(function) = function {
                apply(simd, function, out);
            }
        }
        (line, column, sums) = (line + 1, 0, rest);
    }
}
