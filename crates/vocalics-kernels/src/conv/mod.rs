//! Two-dimensional convolution: forward, input gradient, weight gradient.
//!
//! `y[n, o, i, j] = Σ_{c, p, q} w[o, c, p, q] · x[n, c, i·s₀ + p·d₀ − a₀, j·s₁ + q·d₁ − a₁]`
//!
//! (cross-correlation, as all deep-learning frameworks call convolution; `a` is zero padding.)
//! A one-dimensional convolution is one of height 1.
//!
//! There are two ways. Where every channel is its own group, the taps run directly over the rows.
//! Everywhere else a column matrix is built a tile at a time, so that it stays in the second-level
//! cache, and handed to a matrix product.
//!
//! Reference: `torch.nn.functional.conv2d`.

mod columns;
mod depthwise;

use rayon::prelude::*;

use crate::Real;
use crate::window;

/// The weight gradient is summed over at most this many runs of samples, in order. Fixed, so that
/// the sum does not depend on the number of threads.
const WEIGHT_RUNS: usize = 8;

/// Elements of the weight gradient that one task sums over the runs.
const SUM_CHUNK: usize = 4096;

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
            window::outputs(
                self.input[axis],
                self.kernel[axis],
                self.stride[axis],
                self.padding[axis],
                self.dilation[axis],
            )
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

    /// Weights of one output channel; rows of the column matrix of its group.
    fn taps(&self) -> usize {
        self.in_channels / self.groups * self.kernel[0] * self.kernel[1]
    }

    /// Every input channel is its own group.
    fn is_depthwise(&self) -> bool {
        self.groups == self.in_channels
    }

    /// Elements of one input sample, and of one output sample.
    fn sample_lens(&self) -> [usize; 2] {
        let [rows, columns] = self.output();
        [
            self.in_channels * self.input[0] * self.input[1],
            self.out_channels * rows * columns,
        ]
    }

    fn assert_valid(&self, x: usize, w: usize, y: usize) {
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
        assert_eq!(x, self.input_len(), "input");
        assert_eq!(w, self.weight_len(), "weight");
        assert_eq!(y, self.output_len(), "output");
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
    shape.assert_valid(x.len(), w.len(), y.len());
    if y.is_empty() {
        return;
    }
    if x.is_empty() {
        y.fill(T::ZERO);
    } else if shape.is_depthwise() {
        depthwise::forward(shape, x, w, y);
    } else {
        columns::forward(shape, x, w, y);
    }
}

/// Gradient with respect to the input, written over `dx`.
///
/// # Shapes
/// As in [`forward`]; `dy` is shaped like `y`, `dx` like `x`.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
pub fn backward_input<T: Real>(shape: &Conv2dShape, w: &[T], dy: &[T], dx: &mut [T]) {
    shape.assert_valid(dx.len(), w.len(), dy.len());
    if dy.is_empty() || dx.is_empty() {
        dx.fill(T::ZERO);
    } else if shape.is_depthwise() {
        depthwise::backward_input(shape, w, dy, dx);
    } else {
        columns::backward_input(shape, w, dy, dx);
    }
}

/// Gradient with respect to the weight, written over `dw`.
///
/// # Shapes
/// As in [`forward`]; `dy` is shaped like `y`, `dw` like `w`.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
pub fn backward_weight<T: Real>(shape: &Conv2dShape, x: &[T], dy: &[T], dw: &mut [T]) {
    shape.assert_valid(x.len(), dw.len(), dy.len());
    if x.is_empty() || dy.is_empty() || dw.is_empty() {
        dw.fill(T::ZERO);
        return;
    }
    let [x_sample, y_sample] = shape.sample_lens();
    let run = shape.batch.div_ceil(WEIGHT_RUNS);
    let runs = shape.batch.div_ceil(run);
    T::with_scratch(runs * dw.len(), |partial| {
        let work = x
            .par_chunks(run * x_sample)
            .zip(dy.par_chunks(run * y_sample));
        partial
            .par_chunks_mut(dw.len())
            .zip(work)
            .with_max_len(1)
            .for_each(|(dw, (x, dy))| {
                if shape.is_depthwise() {
                    depthwise::weight(shape, x, dy, dw);
                } else {
                    columns::weight(shape, x, dy, dw);
                }
            });
        let len = dw.len();
        let partial = &*partial;
        dw.par_chunks_mut(SUM_CHUNK)
            .enumerate()
            .for_each(|(chunk, dw)| {
                let first = chunk * SUM_CHUNK;
                dw.copy_from_slice(&partial[first..first + dw.len()]);
                for run in 1..runs {
                    let partial = &partial[run * len + first..][..dw.len()];
                    dw.iter_mut()
                        .zip(partial)
                        .for_each(|(to, &from)| *to += from);
                }
            });
    });
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
        fn depthwise_passes_match_the_definition(
            shape in shapes(), channels in 1usize..=4, multiplier in 1usize..=3, width in 1usize..=70,
            seed in 1u64..1000,
        ) {
            let shape = Conv2dShape {
                in_channels: channels,
                out_channels: channels * multiplier,
                groups: channels,
                input: [shape.input[0], width],
                ..shape
            };
            assert_definition(&shape, seed);
        }

        #[test]
        fn one_dimensional_passes_match_the_definition(
            shape in shapes(), width in 1usize..=150, taps in 1usize..=11, seed in 1u64..1000,
        ) {
            let shape = Conv2dShape {
                input: [1, width],
                kernel: [1, taps],
                padding: [0, shape.padding[1]],
                ..shape
            };
            assert_definition(&shape, seed);
        }

        #[test]
        fn all_passes_match_the_definition(shape in shapes(), seed in 1u64..1000) {
            assert_definition(&shape, seed);
        }
    }

    fn assert_definition(shape: &Conv2dShape, seed: u64) {
        let x = noise(shape.input_len(), seed);
        let w = noise(shape.weight_len(), seed + 1);
        let dy = noise(shape.output_len(), seed + 2);
        let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]);
        naive(shape, |o, i, k| {
            y[o] += w[k] * x[i];
            dx[i] += w[k] * dy[o];
            dw[k] += x[i] * dy[o];
        });
        let mut got_y = vec![f64::NAN; dy.len()];
        let (mut got_dx, mut got_dw) = (vec![f64::NAN; x.len()], vec![f64::NAN; w.len()]);
        forward(shape, &x, &w, &mut got_y);
        backward_input(shape, &w, &dy, &mut got_dx);
        backward_weight(shape, &x, &dy, &mut got_dw);
        close(&got_y, &y);
        close(&got_dx, &dx);
        close(&got_dw, &dw);
    }

    /// Rows so long that a tile is a part of one, with an odd rest.
    #[test]
    fn a_long_row_is_cut_into_tiles() {
        for (stride, padding, dilation) in [(1, 4, 1), (2, 0, 3), (3, 70, 1)] {
            let shape = Conv2dShape {
                batch: 2,
                in_channels: 80,
                input: [1, 333],
                out_channels: 3,
                kernel: [1, 9],
                stride: [1, stride],
                padding: [0, padding],
                dilation: [1, dilation],
                groups: 1,
            };
            assert_definition(&shape, 5);
        }
    }

    /// Grouped, depthwise with two outputs a channel, one-dimensional.
    const SHAPES: [Conv2dShape; 3] = [
        Conv2dShape {
            batch: 2,
            in_channels: 4,
            input: [7, 9],
            out_channels: 6,
            kernel: [3, 5],
            stride: [2, 1],
            padding: [1, 2],
            dilation: [1, 2],
            groups: 2,
        },
        Conv2dShape {
            batch: 2,
            in_channels: 3,
            input: [5, 19],
            out_channels: 6,
            kernel: [3, 3],
            stride: [1, 2],
            padding: [1, 1],
            dilation: [2, 1],
            groups: 3,
        },
        Conv2dShape {
            batch: 2,
            in_channels: 3,
            input: [1, 37],
            out_channels: 4,
            kernel: [1, 5],
            stride: [1, 2],
            padding: [0, 2],
            dilation: [1, 1],
            groups: 1,
        },
    ];

    #[test]
    fn gradients_match_finite_differences() {
        SHAPES.iter().for_each(assert_finite_differences);
    }

    fn assert_finite_differences(shape: &Conv2dShape) {
        let (x, w) = (noise(shape.input_len(), 1), noise(shape.weight_len(), 2));
        let dy = noise(shape.output_len(), 3);
        let loss = |x: &[f64], w: &[f64]| {
            let mut y = vec![0.0; shape.output_len()];
            forward(shape, x, w, &mut y);
            y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
        };
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        backward_input(shape, &w, &dy, &mut dx);
        backward_weight(shape, &x, &dy, &mut dw);
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
        let dense = Conv2dShape {
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
        assert_threads_agree(&dense);
        for shape in SHAPES {
            assert_threads_agree(&Conv2dShape { batch: 11, ..shape });
        }
    }

    fn assert_threads_agree(shape: &Conv2dShape) {
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
                forward(shape, &x, &w, &mut y);
                backward_input(shape, &w, &dy, &mut dx);
                backward_weight(shape, &x, &dy, &mut dw);
                [y, dx, dw].map(|v| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}
