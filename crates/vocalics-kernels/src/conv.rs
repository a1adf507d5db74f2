//! Two-dimensional convolution: forward, input gradient, weight gradient.
//!
//! `y[n, o, i, j] = Σ_{c, p, q} w[o, c, p, q] · x[n, c, i·s₀ + p·d₀ − a₀, j·s₁ + q·d₁ − a₁]`
//!
//! (cross-correlation, as all deep-learning frameworks call convolution; `a` is zero padding.)
//! The column matrix is built a few output rows at a time into a buffer that stays in the
//! second-level cache. A one-dimensional convolution is one of height 1.
//!
//! Reference: `torch.nn.functional.conv2d`.

use rayon::prelude::*;

use crate::Real;
use crate::matmul::{Into, View, matmul};

/// Bytes of the column buffer: half of a 512 KiB second-level cache.
const COLUMN_BYTES: usize = 256 * 1024;

/// The weight gradient is summed over at most this many runs of samples, in order. Fixed, so that
/// the sum does not depend on the number of threads.
const WEIGHT_RUNS: usize = 8;

/// Geometry of a two-dimensional convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dShape {
    /// Samples in the batch.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Zeros added on each side.
    pub padding: [usize; 2],
    /// Distance between kernel taps.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other; `in_channels` for a depthwise convolution.
    pub groups: usize,
}

impl Conv2dShape {
    /// Rows and columns of the output; zero where the kernel is larger than the padded input.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let reach = self.dilation[axis] * (self.kernel[axis] - 1) + 1;
            let padded = self.input[axis] + 2 * self.padding[axis];
            padded
                .checked_sub(reach)
                .map_or(0, |room| room / self.stride[axis] + 1)
        })
    }

    /// Elements of the input, `[batch, in_channels, rows, columns]`.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.batch * self.in_channels * self.input[0] * self.input[1]
    }

    /// Elements of the weight, `[out_channels, in_channels / groups, rows, columns]`.
    #[must_use]
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.taps()
    }

    /// Elements of the output, `[batch, out_channels, rows, columns]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        let [rows, columns] = self.output();
        self.batch * self.out_channels * rows * columns
    }

    /// Multiply-adds of one forward pass.
    #[must_use]
    pub fn multiply_adds(&self) -> usize {
        self.output_len() * self.taps()
    }

    /// Rows of the column matrix of one group.
    fn taps(&self) -> usize {
        self.in_channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// The column matrix of a group is the input itself.
    fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    fn assert_valid(&self) {
        assert!(
            self.groups > 0
                && self.in_channels.is_multiple_of(self.groups)
                && self.out_channels.is_multiple_of(self.groups),
            "{} input and {} output channels cannot be split into {} groups",
            self.in_channels,
            self.out_channels,
            self.groups
        );
        assert!(
            [self.kernel, self.stride, self.dilation]
                .iter()
                .flatten()
                .all(|&x| x > 0),
            "kernel, stride and dilation must be at least 1"
        );
    }

    /// Output rows per tile, at least one.
    fn tile_rows<T>(&self) -> usize {
        let row_bytes = self.taps() * self.output()[1] * size_of::<T>();
        (COLUMN_BYTES / row_bytes.max(1)).clamp(1, self.output()[0].max(1))
    }
}

/// Where the taps of one kernel column meet the input along a row: outputs `[first, end)` read
/// inside the input, the first of them at input position `start`.
struct Span {
    first: usize,
    end: usize,
    start: usize,
}

impl Span {
    /// `offset = tap · dilation`; the input position of output `j` is `j · stride + offset − padding`.
    fn new(outputs: usize, inputs: usize, stride: usize, offset: usize, padding: usize) -> Self {
        let first = padding.saturating_sub(offset).div_ceil(stride).min(outputs);
        let end = (inputs + padding)
            .saturating_sub(offset)
            .div_ceil(stride)
            .min(outputs);
        let end = end.max(first);
        Self {
            first,
            end,
            start: (first * stride + offset).saturating_sub(padding),
        }
    }
}

/// One tile of the column matrix: output rows `[row, row + rows)` of one group of one sample.
struct Tile {
    row: usize,
    rows: usize,
}

impl Conv2dShape {
    /// Calls `visit(columns, input)` for every run of elements of the tile's column matrix: `input`
    /// is the input index of the run's first element, the others lie `stride[1]` apart, or `None`
    /// where the run lies in the padding.
    fn for_each_run(
        &self,
        tile: &Tile,
        mut visit: impl FnMut(std::ops::Range<usize>, Option<usize>),
    ) {
        let [height, width] = self.input;
        let out_width = self.output()[1];
        let n = tile.rows * out_width;
        let spans: Vec<Span> = (0..self.kernel[1])
            .map(|q| {
                Span::new(
                    out_width,
                    width,
                    self.stride[1],
                    q * self.dilation[1],
                    self.padding[1],
                )
            })
            .collect();
        let mut base = 0;
        for channel in 0..self.in_channels / self.groups {
            for p in 0..self.kernel[0] {
                for span in &spans {
                    for r in 0..tile.rows {
                        let columns = base + r * out_width;
                        let y = (tile.row + r) * self.stride[0] + p * self.dilation[0];
                        let y = y.wrapping_sub(self.padding[0]);
                        if y >= height || span.first == span.end {
                            visit(columns..columns + out_width, None);
                            continue;
                        }
                        let input = (channel * height + y) * width + span.start;
                        visit(columns..columns + span.first, None);
                        visit(columns + span.first..columns + span.end, Some(input));
                        visit(columns + span.end..columns + out_width, None);
                    }
                    base += n;
                }
            }
        }
    }

    /// Fills `columns[taps, rows · out_width]` from one group of one sample.
    fn im2col<T: Real>(&self, tile: &Tile, x: &[T], columns: &mut [T]) {
        let step = self.stride[1];
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
                target
                    .iter_mut()
                    .zip(source.iter().step_by(step))
                    .for_each(|(to, &x)| *to = x);
            }
        });
    }

    /// Adds `columns[taps, rows · out_width]` back to where [`Self::im2col`] read from.
    fn col2im<T: Real>(&self, tile: &Tile, columns: &[T], dx: &mut [T]) {
        let step = self.stride[1];
        self.for_each_run(tile, |run, input| {
            let Some(start) = input else { return };
            let target = &mut dx[start..=start + (run.len() - 1) * step];
            let source = &columns[run];
            if step == 1 {
                target
                    .iter_mut()
                    .zip(source)
                    .for_each(|(to, &from)| *to += from);
            } else {
                target
                    .iter_mut()
                    .step_by(step)
                    .zip(source)
                    .for_each(|(to, &from)| *to += from);
            }
        });
    }

    /// Calls `visit(group, tile)` for the tiles of a sample.
    fn for_each_tile<T>(&self, mut visit: impl FnMut(usize, &Tile)) {
        let (step, out_height) = (self.tile_rows::<T>(), self.output()[0]);
        for group in 0..self.groups {
            for row in (0..out_height).step_by(step) {
                visit(
                    group,
                    &Tile {
                        row,
                        rows: step.min(out_height - row),
                    },
                );
            }
        }
    }

    /// Elements of one group of one input sample, and of one output sample.
    fn group_lens(&self) -> [usize; 2] {
        let [rows, columns] = self.output();
        [
            self.in_channels / self.groups * self.input[0] * self.input[1],
            self.out_channels / self.groups * rows * columns,
        ]
    }
}

/// Convolves a batch; the result is written over `y`.
///
/// # Shapes
/// `x`: `[batch, in_channels, rows, columns]`; `w`: `[out_channels, in_channels / groups,
/// kernel rows, kernel columns]`; `y`: `[batch, out_channels, output rows, output columns]`.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
pub fn forward<T: Real>(shape: &Conv2dShape, x: &[T], w: &[T], y: &mut [T]) {
    shape.assert_valid();
    assert_eq!(x.len(), shape.input_len(), "input");
    assert_eq!(w.len(), shape.weight_len(), "weight");
    assert_eq!(y.len(), shape.output_len(), "output");
    if y.is_empty() {
        return;
    }
    let [x_group, y_group] = shape.group_lens();
    let (taps, out_width) = (shape.taps(), shape.output()[1]);
    let plane = shape.output()[0] * out_width;
    let outs = shape.out_channels / shape.groups;
    y.par_chunks_mut(y_group * shape.groups)
        .zip(x.par_chunks(x_group * shape.groups))
        .for_each(|(y, x)| {
            let mut columns = Vec::new();
            shape.for_each_tile::<T>(|group, tile| {
                let x = &x[group * x_group..][..x_group];
                let w = &w[group * outs * taps..][..outs * taps];
                let y = &mut y[group * y_group..][..y_group][tile.row * out_width..];
                let n = tile.rows * out_width;
                let w = View::new(w, [outs, taps], [taps, 1]);
                let rhs = if shape.is_pointwise() {
                    View::new(&x[tile.row * out_width..], [taps, n], [plane, 1])
                } else {
                    columns.resize(taps * n, T::ZERO);
                    shape.im2col(tile, x, &mut columns);
                    View::new(&columns, [taps, n], [n, 1])
                };
                matmul(y, plane, Into::Replace, w, rhs);
            });
        });
}

/// Gradient with respect to the input, written over `dx`.
///
/// # Shapes
/// As in [`forward`]; `dy` is shaped like `y`, `dx` like `x`.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
pub fn backward_input<T: Real>(shape: &Conv2dShape, w: &[T], dy: &[T], dx: &mut [T]) {
    shape.assert_valid();
    assert_eq!(w.len(), shape.weight_len(), "weight");
    assert_eq!(dy.len(), shape.output_len(), "output gradient");
    assert_eq!(dx.len(), shape.input_len(), "input gradient");
    dx.fill(T::ZERO);
    if dy.is_empty() || dx.is_empty() {
        return;
    }
    let [x_group, y_group] = shape.group_lens();
    let (taps, out_width) = (shape.taps(), shape.output()[1]);
    let plane = shape.output()[0] * out_width;
    let outs = shape.out_channels / shape.groups;
    dx.par_chunks_mut(x_group * shape.groups)
        .zip(dy.par_chunks(y_group * shape.groups))
        .for_each(|(dx, dy)| {
            let mut columns = Vec::new();
            shape.for_each_tile::<T>(|group, tile| {
                let dx = &mut dx[group * x_group..][..x_group];
                let w = &w[group * outs * taps..][..outs * taps];
                let dy = &dy[group * y_group..][..y_group][tile.row * out_width..];
                let n = tile.rows * out_width;
                let lhs = View::new(w, [outs, taps], [taps, 1]).transposed();
                let rhs = View::new(dy, [outs, n], [plane, 1]);
                if shape.is_pointwise() {
                    matmul(
                        &mut dx[tile.row * out_width..],
                        plane,
                        Into::Replace,
                        lhs,
                        rhs,
                    );
                } else {
                    columns.resize(taps * n, T::ZERO);
                    matmul(&mut columns, n, Into::Replace, lhs, rhs);
                    shape.col2im(tile, &columns, dx);
                }
            });
        });
}

/// Gradient with respect to the weight, written over `dw`.
///
/// # Shapes
/// As in [`forward`]; `dy` is shaped like `y`, `dw` like `w`.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
pub fn backward_weight<T: Real>(shape: &Conv2dShape, x: &[T], dy: &[T], dw: &mut [T]) {
    shape.assert_valid();
    assert_eq!(x.len(), shape.input_len(), "input");
    assert_eq!(dy.len(), shape.output_len(), "output gradient");
    assert_eq!(dw.len(), shape.weight_len(), "weight gradient");
    dw.fill(T::ZERO);
    if dy.is_empty() || dw.is_empty() {
        return;
    }
    let [x_group, y_group] = shape.group_lens();
    let (taps, out_width) = (shape.taps(), shape.output()[1]);
    let plane = shape.output()[0] * out_width;
    let outs = shape.out_channels / shape.groups;
    let run = shape.batch.div_ceil(WEIGHT_RUNS);
    let partial: Vec<Vec<T>> = x
        .par_chunks(run * x_group * shape.groups)
        .zip(dy.par_chunks(run * y_group * shape.groups))
        .map(|(x, dy)| {
            let mut dw = vec![T::ZERO; shape.weight_len()];
            let mut columns = Vec::new();
            let samples = x
                .chunks(x_group * shape.groups)
                .zip(dy.chunks(y_group * shape.groups));
            for (x, dy) in samples {
                shape.for_each_tile::<T>(|group, tile| {
                    let x = &x[group * x_group..][..x_group];
                    let dw = &mut dw[group * outs * taps..][..outs * taps];
                    let dy = &dy[group * y_group..][..y_group][tile.row * out_width..];
                    let n = tile.rows * out_width;
                    let lhs = View::new(dy, [outs, n], [plane, 1]);
                    let rhs = if shape.is_pointwise() {
                        View::new(&x[tile.row * out_width..], [taps, n], [plane, 1])
                    } else {
                        columns.resize(taps * n, T::ZERO);
                        shape.im2col(tile, x, &mut columns);
                        View::new(&columns, [taps, n], [n, 1])
                    };
                    matmul(dw, taps, Into::Add, lhs, rhs.transposed());
                });
            }
            dw
        })
        .collect();
    for partial in &partial {
        dw.iter_mut()
            .zip(partial)
            .for_each(|(to, &from)| *to += from);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, one multiply-add at a time.
    fn naive(shape: &Conv2dShape, mut visit: impl FnMut(usize, usize, usize)) {
        let [out_height, out_width] = shape.output();
        let (ins, outs) = (
            shape.in_channels / shape.groups,
            shape.out_channels / shape.groups,
        );
        let [height, width] = shape.input;
        for n in 0..shape.batch {
            for o in 0..shape.out_channels {
                for i in 0..out_height {
                    for j in 0..out_width {
                        for c in 0..ins {
                            for p in 0..shape.kernel[0] {
                                for q in 0..shape.kernel[1] {
                                    let y = i * shape.stride[0] + p * shape.dilation[0];
                                    let x = j * shape.stride[1] + q * shape.dilation[1];
                                    let y = y.wrapping_sub(shape.padding[0]);
                                    let x = x.wrapping_sub(shape.padding[1]);
                                    if y >= height || x >= width {
                                        continue;
                                    }
                                    let channel = o / outs * ins + c;
                                    visit(
                                        ((n * shape.out_channels + o) * out_height + i) * out_width
                                            + j,
                                        ((n * shape.in_channels + channel) * height + y) * width
                                            + x,
                                        ((o * ins + c) * shape.kernel[0] + p) * shape.kernel[1] + q,
                                    );
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn noise(len: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                f64::from(u32::try_from(state >> 40).unwrap()) / f64::from(1 << 24) - 0.5
            })
            .collect()
    }

    fn shapes() -> impl Strategy<Value = Conv2dShape> {
        let pair = |low: usize, high: usize| [low..=high, low..=high];
        (
            (1usize..=9, 1usize..=3, 1usize..=3, 1usize..=3),
            (pair(1, 13), pair(1, 5), pair(1, 3), pair(0, 3), pair(1, 2)),
        )
            .prop_map(
                |((batch, groups, ins, outs), (input, kernel, stride, padding, dilation))| {
                    Conv2dShape {
                        batch,
                        in_channels: ins * groups,
                        input,
                        out_channels: outs * groups,
                        kernel,
                        stride,
                        padding,
                        dilation,
                        groups,
                    }
                },
            )
    }

    fn close(got: &[f64], want: &[f64]) {
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 1e-10, "{got} is not {want}");
        }
    }

    proptest! {
        #[test]
        fn all_passes_match_the_definition(shape in shapes(), seed in 1u64..1000) {
            let x = noise(shape.input_len(), seed);
            let w = noise(shape.weight_len(), seed + 1);
            let dy = noise(shape.output_len(), seed + 2);
            let (mut y, mut dx, mut dw) =
                (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
            naive(&shape, |o, i, k| {
                y[o] += w[k] * x[i];
                dx[i] += w[k] * dy[o];
                dw[k] += x[i] * dy[o];
            });
            let (mut got_y, mut got_dx, mut got_dw) =
                (vec![f64::NAN; dy.len()], vec![f64::NAN; x.len()], vec![f64::NAN; w.len()]);
            forward(&shape, &x, &w, &mut got_y);
            backward_input(&shape, &w, &dy, &mut got_dx);
            backward_weight(&shape, &x, &dy, &mut got_dw);
            close(&got_y, &y);
            close(&got_dx, &dx);
            close(&got_dw, &dw);
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let shape = Conv2dShape {
            batch: 2,
            in_channels: 4,
            input: [7, 9],
            out_channels: 6,
            kernel: [3, 5],
            stride: [2, 1],
            padding: [1, 2],
            dilation: [1, 2],
            groups: 2,
        };
        let (x, w) = (noise(shape.input_len(), 1), noise(shape.weight_len(), 2));
        let dy = noise(shape.output_len(), 3);
        let loss = |x: &[f64], w: &[f64]| {
            let mut y = vec![0.0; shape.output_len()];
            forward(&shape, x, w, &mut y);
            y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        backward_input(&shape, &w, &dy, &mut dx);
        backward_weight(&shape, &x, &dy, &mut dw);
        let step = 1e-4;
        for i in 0..x.len() {
            let (mut up, mut down) = (x.clone(), x.clone());
            up[i] += step;
            down[i] -= step;
            let want = (loss(&up, &w) - loss(&down, &w)) / (2.0 * step);
            assert!((dx[i] - want).abs() < 1e-8);
        }
        for k in 0..w.len() {
            let (mut up, mut down) = (w.clone(), w.clone());
            up[k] += step;
            down[k] -= step;
            let want = (loss(&x, &up) - loss(&x, &down)) / (2.0 * step);
            assert!((dw[k] - want).abs() < 1e-8);
        }
    }

    #[test]
    fn one_two_and_three_threads_agree_bit_for_bit() {
        let shape = Conv2dShape {
            batch: 11,
            in_channels: 5,
            input: [17, 23],
            out_channels: 7,
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            dilation: [1, 1],
            groups: 1,
        };
        let single =
            |values: Vec<f64>| values.iter().map(|&v| f32::from_f64(v)).collect::<Vec<_>>();
        let x = single(noise(shape.input_len(), 1));
        let w = single(noise(shape.weight_len(), 2));
        let dy = single(noise(shape.output_len(), 3));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let (mut y, mut dx, mut dw) = (
                    vec![0.0f32; dy.len()],
                    vec![0.0; x.len()],
                    vec![0.0; w.len()],
                );
                forward(&shape, &x, &w, &mut y);
                backward_input(&shape, &w, &dy, &mut dx);
                backward_weight(&shape, &x, &dy, &mut dw);
                [y, dx, dw].map(|v| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}
