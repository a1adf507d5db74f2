//! Convolution as a matrix product: `y = w · columns`, one tile of the column matrix at a time.

use std::ops::Range;

use rayon::prelude::*;

use super::Conv2dShape;
use crate::Real;
use crate::matmul::{Into, View, matmul};
use crate::window::Span;

/// Bytes of the column buffer: half of a 512 KiB second-level cache.
const COLUMN_BYTES: usize = 256 * 1024;

/// Columns of a tile are a multiple of this, so that a product works on whole vectors.
const COLUMN_STEP: usize = 64;

/// Output columns `[column, column + columns)` of output rows `[row, row + rows)` of one group of
/// one sample. Only a tile of one row may be narrower than the output.
struct Tile {
    group: usize,
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
}

impl Tile {
    fn len(&self) -> usize {
        self.rows * self.columns
    }
}

/// A convolution cut into tiles.
struct Tiling<'a> {
    shape: &'a Conv2dShape,
    output: [usize; 2],
    /// Where each kernel column meets a row.
    spans: Vec<Span>,
    /// Rows and columns of a tile, the last ones may be smaller.
    tile: [usize; 2],
    /// Weights of an output channel.
    taps: usize,
    /// Output channels of a group.
    outs: usize,
    /// Elements of one group of an input sample, and of an output sample.
    groups: [usize; 2],
    /// The column matrix of a group is the input itself.
    pointwise: bool,
}

impl<'a> Tiling<'a> {
    fn new<T>(shape: &'a Conv2dShape) -> Self {
        let output = shape.output();
        let taps = shape.taps();
        let pointwise = shape.kernel == [1, 1] && shape.stride == [1, 1] && shape.padding == [0, 0];
        let columns = COLUMN_BYTES / (taps * size_of::<T>());
        let tile = if pointwise {
            output
        } else if columns >= output[1] {
            [(columns / output[1]).min(output[0]), output[1]]
        } else {
            let whole_steps = columns / COLUMN_STEP * COLUMN_STEP;
            [1, whole_steps.max(COLUMN_STEP).min(output[1])]
        };
        let span = |q: usize| {
            let offset = q * shape.dilation[1];
            Span::new(
                output[1],
                shape.input[1],
                shape.stride[1],
                offset,
                shape.padding[1],
            )
        };
        let outs = shape.out_channels / shape.groups;
        Self {
            shape,
            output,
            spans: (0..shape.kernel[1]).map(span).collect(),
            tile,
            taps,
            outs,
            groups: [
                shape.in_channels / shape.groups * shape.input[0] * shape.input[1],
                outs * output[0] * output[1],
            ],
            pointwise,
        }
    }

    /// Elements of the column buffer.
    fn buffer(&self) -> usize {
        if self.pointwise {
            0
        } else {
            self.taps * self.tile[0] * self.tile[1]
        }
    }

    /// Calls `visit` for the tiles of a sample.
    fn for_each(&self, mut visit: impl FnMut(&Tile)) {
        for group in 0..self.shape.groups {
            for row in (0..self.output[0]).step_by(self.tile[0]) {
                for column in (0..self.output[1]).step_by(self.tile[1]) {
                    visit(&Tile {
                        group,
                        row,
                        rows: self.tile[0].min(self.output[0] - row),
                        column,
                        columns: self.tile[1].min(self.output[1] - column),
                    });
                }
            }
        }
    }

    /// Where the tile's outputs begin in a sample.
    fn start(&self, tile: &Tile) -> usize {
        tile.group * self.groups[1] + tile.row * self.output[1] + tile.column
    }

    /// The tile's part of a sample's output, `[outs, tile]`.
    fn outputs<'y, T: Real>(&self, tile: &Tile, y: &'y [T]) -> View<'y, T> {
        let plane = self.output[0] * self.output[1];
        View::new(&y[self.start(tile)..], [self.outs, tile.len()], [plane, 1])
    }

    /// The weights of the tile's group, `[outs, taps]`.
    fn weights<'w, T: Real>(&self, tile: &Tile, w: &'w [T]) -> View<'w, T> {
        let len = self.outs * self.taps;
        let w = &w[tile.group * len..][..len];
        View::new(w, [self.outs, self.taps], [self.taps, 1])
    }

    /// The tile's column matrix, `[taps, tile]`, built in `buffer` if it has to be.
    fn columns<'b, T: Real>(&self, tile: &Tile, x: &'b [T], buffer: &'b mut [T]) -> View<'b, T> {
        let x = &x[tile.group * self.groups[0]..][..self.groups[0]];
        let n = tile.len();
        if self.pointwise {
            return View::new(x, [self.taps, n], [n, 1]);
        }
        let buffer = &mut buffer[..self.taps * n];
        self.im2col(tile, x, buffer);
        View::new(buffer, [self.taps, n], [n, 1])
    }

    /// Calls `visit(columns, input)` for every run of elements of the tile's column matrix: `input`
    /// is the input index of the run's first element, the others lie `stride[1]` apart, or `None`
    /// where the run lies in the padding.
    fn for_each_run(&self, tile: &Tile, mut visit: impl FnMut(Range<usize>, Option<usize>)) {
        let Conv2dShape {
            in_channels,
            input: [height, width],
            kernel,
            stride,
            padding,
            dilation,
            groups,
            ..
        } = *self.shape;
        let columns = tile.columns;
        let mut run = 0;
        for channel in 0..in_channels / groups {
            for p in 0..kernel[0] {
                for span in &self.spans {
                    let span = span.within(tile.column, columns, stride[1]);
                    for r in 0..tile.rows {
                        let y = (tile.row + r) * stride[0] + p * dilation[0];
                        let y = y.wrapping_sub(padding[0]);
                        if y >= height || span.first == span.end {
                            visit(run..run + columns, None);
                        } else {
                            let input = (channel * height + y) * width + span.start;
                            visit(run..run + span.first, None);
                            visit(run + span.first..run + span.end, Some(input));
                            visit(run + span.end..run + columns, None);
                        }
                        run += columns;
                    }
                }
            }
        }
    }

    /// Fills `columns[taps, tile]` from one group of one sample.
    fn im2col<T: Real>(&self, tile: &Tile, x: &[T], columns: &mut [T]) {
        let step = self.shape.stride[1];
        self.for_each_run(tile, |run, input| {
            let Some(start) = input else {
                columns[run].fill(T::ZERO);
                return;
            };
            let source = &x[start..=start + (run.len() - 1) * step];
            let target = &mut columns[run];
            if step == 1 {
                target.copy_from_slice(source);
            } else {
                let source = source.iter().step_by(step);
                target.iter_mut().zip(source).for_each(|(to, &x)| *to = x);
            }
        });
    }

    /// Adds `columns[taps, tile]` back to where [`Self::im2col`] read from.
    fn col2im<T: Real>(&self, tile: &Tile, columns: &[T], dx: &mut [T]) {
        let step = self.shape.stride[1];
        self.for_each_run(tile, |run, input| {
            let Some(start) = input else { return };
            let target = &mut dx[start..=start + (run.len() - 1) * step];
            let source = &columns[run];
            if step == 1 {
                let target = target.iter_mut();
                target.zip(source).for_each(|(to, &from)| *to += from);
            } else {
                let target = target.iter_mut().step_by(step);
                target.zip(source).for_each(|(to, &from)| *to += from);
            }
        });
    }
}

pub(super) fn forward<T: Real>(shape: &Conv2dShape, x: &[T], w: &[T], y: &mut [T]) {
    let tiling = Tiling::new::<T>(shape);
    let [x_sample, y_sample] = shape.sample_lens();
    let plane = tiling.output[0] * tiling.output[1];
    y.par_chunks_mut(y_sample)
        .zip(x.par_chunks(x_sample))
        .with_max_len(1)
        .for_each(|(y, x)| {
            T::with_scratch(tiling.buffer(), |buffer| {
                tiling.for_each(|tile| {
                    let columns = tiling.columns(tile, x, buffer);
                    let y = &mut y[tiling.start(tile)..];
                    matmul(y, plane, Into::Replace, tiling.weights(tile, w), columns);
                });
            });
        });
}

pub(super) fn backward_input<T: Real>(shape: &Conv2dShape, w: &[T], dy: &[T], dx: &mut [T]) {
    let tiling = Tiling::new::<T>(shape);
    let [x_sample, y_sample] = shape.sample_lens();
    dx.par_chunks_mut(x_sample)
        .zip(dy.par_chunks(y_sample))
        .with_max_len(1)
        .for_each(|(dx, dy)| {
            if !tiling.pointwise {
                dx.fill(T::ZERO);
            }
            T::with_scratch(tiling.buffer(), |buffer| {
                tiling.for_each(|tile| {
                    let dx = &mut dx[tile.group * tiling.groups[0]..][..tiling.groups[0]];
                    let w = tiling.weights(tile, w).transposed();
                    let (dy, n) = (tiling.outputs(tile, dy), tile.len());
                    if tiling.pointwise {
                        matmul(dx, n, Into::Replace, w, dy);
                    } else {
                        let columns = &mut buffer[..tiling.taps * n];
                        matmul(columns, n, Into::Replace, w, dy);
                        tiling.col2im(tile, columns, dx);
                    }
                });
            });
        });
}

/// The weight gradient of a run of samples, written over `dw`.
pub(super) fn weight<T: Real>(shape: &Conv2dShape, x: &[T], dy: &[T], dw: &mut [T]) {
    let tiling = Tiling::new::<T>(shape);
    let [x_sample, y_sample] = shape.sample_lens();
    let group = tiling.outs * tiling.taps;
    let samples = x.chunks_exact(x_sample).zip(dy.chunks_exact(y_sample));
    T::with_scratch(tiling.buffer(), |buffer| {
        for (sample, (x, dy)) in samples.enumerate() {
            tiling.for_each(|tile| {
                let first = sample == 0 && tile.row == 0 && tile.column == 0;
                let into = if first { Into::Replace } else { Into::Add };
                let columns = tiling.columns(tile, x, buffer).transposed();
                let dw = &mut dw[tile.group * group..][..group];
                matmul(dw, tiling.taps, into, tiling.outputs(tile, dy), columns);
            });
        }
    });
}
