//! Two-dimensional pooling: the largest or the mean of each window, with gradients.
//!
//! The number of windows along an axis is rounded down (PyTorch's `ceil_mode=False`). Padding never
//! wins a maximum; in an average it counts as zeros (PyTorch's default `count_include_pad=True`), so
//! that every window is divided by the size of the kernel. A one-dimensional pooling is one of
//! height 1; the mean of a whole channel is [`crate::gate::mean`].
//!
//! Reference: `torch.nn.functional.max_pool2d`, exact, and `avg_pool2d`, within rounding.

use rayon::prelude::*;

use crate::Real;
use crate::simd::{Kernel, vectorised};
use crate::window::{LANES, PaddedPlane, lanes, outputs, store};

/// Geometry of a pooling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShape {
    /// Planes: samples times channels.
    pub planes: usize,
    /// Rows and columns of the input.
    pub input: [usize; 2],
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Positions added on each side, at most half of the kernel.
    pub padding: [usize; 2],
}

impl PoolShape {
    /// Rows and columns of the output; zero where the kernel is larger than the padded input.
    ///
    /// # Panics
    /// When the kernel or the stride is zero.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
            assert!(
                kernel > 0 && stride > 0,
                "kernel and stride must be at least 1"
            );
            outputs(self.input[axis], kernel, stride, self.padding[axis], 1)
        })
    }

    /// Elements of the input, `[planes, rows, columns]`.
    #[must_use]
    pub fn input_len(&self) -> usize {
        self.planes * self.plane()
    }

    /// Elements of the output, `[planes, output rows, output columns]`.
    #[must_use]
    pub fn output_len(&self) -> usize {
        let [rows, columns] = self.output();
        self.planes * rows * columns
    }

    fn plane(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn padded(&self) -> PaddedPlane {
        let Self {
            input,
            kernel,
            stride,
            padding,
            ..
        } = *self;
        PaddedPlane::new(input, kernel, stride, padding, [1, 1])
    }

    fn assert_valid(&self, x: usize, y: usize) {
        assert_eq!(x, self.input_len(), "input");
        assert_eq!(y, self.output_len(), "output");
        assert!(
            (0..2).all(|axis| self.padding[axis] <= self.kernel[axis] / 2),
            "padding {:?} is more than half of the kernel {:?}",
            self.padding,
            self.kernel
        );
    }
}

/// The largest value of each window, and where it is.
///
/// Of equal values the first, row by row, counts; a window with a NaN gives the first NaN.
///
/// # Shapes
/// `x`: `[planes, rows, columns]`; `y`, `index`: `[planes, output rows, output columns]`. `index`
/// receives the position in the plane of `x`.
///
/// # Panics
/// When a slice does not have the length that `shape` says, when the padding is more than half of
/// the kernel, or a plane has more than 2³² positions.
pub fn max<T: Real>(shape: &PoolShape, x: &[T], y: &mut [T], index: &mut [u32]) {
    shape.assert_valid(x.len(), y.len());
    assert_eq!(index.len(), y.len(), "index");
    if y.is_empty() {
        return;
    }
    let padded = shape.padded();
    let [rows, columns] = padded.output();
    y.par_chunks_mut(rows * columns)
        .zip(index.par_chunks_mut(rows * columns))
        .zip(x.par_chunks(shape.plane()))
        .for_each(|((y, index), x)| {
            T::with_scratch(padded.len(), |buffer| {
                vectorised(Largest {
                    shape,
                    padded: &padded,
                    x,
                    buffer,
                    y,
                    index,
                });
            });
        });
}

/// The windows of one plane.
struct Largest<'a, T> {
    shape: &'a PoolShape,
    padded: &'a PaddedPlane,
    x: &'a [T],
    buffer: &'a mut [T],
    y: &'a mut [T],
    index: &'a mut [u32],
}

impl<T: Real> Kernel for Largest<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self {
            shape,
            padded,
            buffer,
            ..
        } = self;
        padded.fill(self.x, T::from_f64(f64::NEG_INFINITY), buffer);
        let narrow =
            |position: usize| u32::try_from(position).expect("a plane below 2^32 positions");
        let (width, columns) = (shape.input[1], padded.output()[1]);
        // All positions in the plane are below 2³²; those of padding wrap around and are never chosen.
        let _ = narrow(shape.plane() + (shape.kernel[0] + 1) * width + shape.kernel[1]);
        let steps: [u32; LANES] = std::array::from_fn(|lane| narrow(lane * shape.stride[1]));
        let rows = self.y.chunks_exact_mut(columns);
        let rows = rows.zip(self.index.chunks_exact_mut(columns));
        for (i, (y, index)) in rows.enumerate() {
            let top = narrow(i * shape.stride[0] * width)
                .wrapping_sub(narrow(shape.padding[0] * width + shape.padding[1]));
            let first_row = (i * shape.stride[0]).saturating_sub(shape.padding[0]) * width;
            let blocks = y.chunks_mut(LANES).zip(index.chunks_mut(LANES));
            for (block, (y, index)) in blocks.enumerate() {
                let left = block * LANES * shape.stride[1];
                let mut best = [T::from_f64(f64::NEG_INFINITY); LANES];
                // The first position inside the plane, for windows of nothing but -∞.
                let mut place: [u32; LANES] = std::array::from_fn(|lane| {
                    let column = (left + lane * shape.stride[1]).saturating_sub(shape.padding[1]);
                    narrow(first_row + column.min(width - 1))
                });
                let start = padded.row(i) + block * LANES;
                let mut taps = padded.taps.iter();
                for p in 0..shape.kernel[0] {
                    let row = top.wrapping_add(narrow(p * width + left));
                    for (q, &tap) in taps.by_ref().take(shape.kernel[1]).enumerate() {
                        let from = row.wrapping_add(narrow(q));
                        let values = lanes(&buffer[start + tap..]);
                        for lane in 0..LANES {
                            let value = values[lane];
                            // A NaN that is there already stays: nothing is greater.
                            let wins =
                                value > best[lane] || (value.is_nan() && !best[lane].is_nan());
                            best[lane] = if wins { value } else { best[lane] };
                            let candidate = from.wrapping_add(steps[lane]);
                            place[lane] = if wins { candidate } else { place[lane] };
                        }
                    }
                }
                store(best, y);
                store(place, index);
            }
        }
    }
}

/// Gradient of [`max`], written over `dx`: the gradient of a window goes to its largest value.
///
/// # Shapes
/// As in [`max`]; `dy` is shaped like `y`, `dx` like `x`.
///
/// # Panics
/// When a slice does not have the length that `shape` says, or an index lies outside of its plane.
pub fn max_backward<T: Real>(shape: &PoolShape, index: &[u32], dy: &[T], dx: &mut [T]) {
    shape.assert_valid(dx.len(), dy.len());
    assert_eq!(index.len(), dy.len(), "index");
    if dy.is_empty() {
        dx.fill(T::ZERO);
        return;
    }
    let [rows, columns] = shape.output();
    dx.par_chunks_mut(shape.plane())
        .zip(dy.par_chunks(rows * columns))
        .zip(index.par_chunks(rows * columns))
        .for_each(|((dx, dy), index)| {
            dx.fill(T::ZERO);
            for (&dy, &index) in dy.iter().zip(index) {
                dx[index as usize] += dy;
            }
        });
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a kernel is far below 2^53 positions"
)]
fn share<T: Real>(shape: &PoolShape) -> T {
    T::from_f64(1.0 / (shape.kernel[0] * shape.kernel[1]) as f64)
}

/// The mean of each window, padding counted as zeros.
///
/// # Shapes
/// `x`: `[planes, rows, columns]`; `y`: `[planes, output rows, output columns]`.
///
/// # Panics
/// When a slice does not have the length that `shape` says, or the padding is more than half of the
/// kernel.
pub fn average<T: Real>(shape: &PoolShape, x: &[T], y: &mut [T]) {
    shape.assert_valid(x.len(), y.len());
    if y.is_empty() {
        return;
    }
    let (padded, share) = (shape.padded(), share::<T>(shape));
    let [rows, columns] = padded.output();
    y.par_chunks_mut(rows * columns)
        .zip(x.par_chunks(shape.plane()))
        .for_each(|(y, x)| {
            T::with_scratch(padded.len(), |buffer| {
                vectorised(Mean {
                    padded: &padded,
                    share,
                    x,
                    buffer,
                    y,
                });
            });
        });
}

/// The windows of one plane.
struct Mean<'a, T> {
    padded: &'a PaddedPlane,
    share: T,
    x: &'a [T],
    buffer: &'a mut [T],
    y: &'a mut [T],
}

impl<T: Real> Kernel for Mean<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self {
            padded,
            buffer,
            share,
            ..
        } = self;
        padded.fill(self.x, T::ZERO, buffer);
        for (i, y) in self.y.chunks_exact_mut(padded.output()[1]).enumerate() {
            for (block, y) in y.chunks_mut(LANES).enumerate() {
                let from = &buffer[padded.row(i) + block * LANES..];
                let mut sum = [T::ZERO; LANES];
                for &tap in &padded.taps {
                    let values = lanes(&from[tap..]);
                    for lane in 0..LANES {
                        sum[lane] += values[lane];
                    }
                }
                for sum in &mut sum {
                    *sum = *sum * share;
                }
                store(sum, y);
            }
        }
    }
}

/// Gradient of [`average`], written over `dx`: every position of a window gets an equal share.
///
/// # Shapes
/// As in [`average`]; `dy` is shaped like `y`, `dx` like `x`.
///
/// # Panics
/// When a slice does not have the length that `shape` says, or the padding is more than half of the
/// kernel.
pub fn average_backward<T: Real>(shape: &PoolShape, dy: &[T], dx: &mut [T]) {
    shape.assert_valid(dx.len(), dy.len());
    if dy.is_empty() {
        dx.fill(T::ZERO);
        return;
    }
    let (padded, share) = (shape.padded(), share::<T>(shape));
    let [rows, columns] = padded.output();
    dx.par_chunks_mut(shape.plane())
        .zip(dy.par_chunks(rows * columns))
        .for_each(|(dx, dy)| {
            T::with_scratch(padded.len(), |buffer| {
                vectorised(Spread {
                    padded: &padded,
                    share,
                    dy,
                    buffer,
                    dx,
                });
            });
        });
}

/// The reverse: what one plane gets back from its windows.
struct Spread<'a, T> {
    padded: &'a PaddedPlane,
    share: T,
    dy: &'a [T],
    buffer: &'a mut [T],
    dx: &'a mut [T],
}

impl<T: Real> Kernel for Spread<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self {
            padded,
            buffer,
            share,
            ..
        } = self;
        buffer.fill(T::ZERO);
        let columns = padded.output()[1];
        for (i, dy) in self.dy.chunks_exact(columns).enumerate() {
            for &tap in &padded.taps {
                let to = &mut buffer[padded.row(i) + tap..][..columns];
                to.iter_mut()
                    .zip(dy)
                    .for_each(|(to, &dy)| *to += dy * share);
            }
        }
        padded.take(buffer, self.dx);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recurrent::testing::{noise, single};

    /// Calls `visit(output, positions inside the input)` for every window.
    fn windows(shape: &PoolShape, mut visit: impl FnMut(usize, &[usize])) {
        let ([rows, columns], [height, width]) = (shape.output(), shape.input);
        for plane in 0..shape.planes {
            for i in 0..rows {
                for j in 0..columns {
                    let mut inside = Vec::new();
                    for p in 0..shape.kernel[0] {
                        for q in 0..shape.kernel[1] {
                            let y = (i * shape.stride[0] + p).wrapping_sub(shape.padding[0]);
                            let x = (j * shape.stride[1] + q).wrapping_sub(shape.padding[1]);
                            if y < height && x < width {
                                inside.push((plane * height + y) * width + x);
                            }
                        }
                    }
                    visit((plane * rows + i) * columns + j, &inside);
                }
            }
        }
    }

    fn shapes() -> impl Strategy<Value = PoolShape> {
        let pair = |low: usize, high: usize| [low..=high, low..=high];
        let input = [1usize..=9, 1usize..=40];
        (1usize..=5, input, pair(1, 4), pair(1, 3), pair(0, 2)).prop_map(
            |(planes, input, kernel, stride, padding)| PoolShape {
                planes,
                input,
                kernel,
                stride,
                padding: std::array::from_fn(|axis| padding[axis].min(kernel[axis] / 2)),
            },
        )
    }

    proptest! {
        #[test]
        fn all_passes_match_the_definition(shape in shapes(), seed in 1u64..1000) {
            // Few different values, so that there are ties.
            let x: Vec<f64> = noise(shape.input_len(), seed)
                .iter()
                .map(|x| (x * 6.0).round())
                .collect();
            let dy = noise(shape.output_len(), seed + 1);
            let size = f64::from(u32::try_from(shape.kernel[0] * shape.kernel[1]).unwrap());
            let (mut max_y, mut mean_y) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
            let (mut max_dx, mut mean_dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            windows(&shape, |o, inside| {
                let first = |best: usize, &i: &usize| if x[i] > x[best] { i } else { best };
                let best = inside.iter().fold(inside[0], first);
                max_y[o] = x[best];
                max_dx[best] += dy[o];
                mean_y[o] = inside.iter().map(|&i| x[i]).sum::<f64>() / size;
                inside.iter().for_each(|&i| mean_dx[i] += dy[o] / size);
            });
            let (mut y, mut dx) = (vec![f64::NAN; dy.len()], vec![f64::NAN; x.len()]);
            let mut index = vec![u32::MAX; dy.len()];
            let close = |got: &[f64], want: &[f64]| {
                got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12)
            };
            max(&shape, &x, &mut y, &mut index);
            prop_assert!(close(&y, &max_y), "max");
            max_backward(&shape, &index, &dy, &mut dx);
            prop_assert!(close(&dx, &max_dx), "max gradient");
            average(&shape, &x, &mut y);
            prop_assert!(close(&y, &mean_y), "average");
            average_backward(&shape, &dy, &mut dx);
            prop_assert!(close(&dx, &mean_dx), "average gradient");
        }
    }

    const SHAPE: PoolShape = PoolShape {
        planes: 2,
        input: [5, 7],
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 1],
    };

    #[test]
    fn gradients_match_finite_differences() {
        let (x, dy) = (noise(SHAPE.input_len(), 3), noise(SHAPE.output_len(), 4));
        let forward = |x: &[f64]| {
            let (mut y, mut index) = (vec![0.0; dy.len()], vec![0; dy.len()]);
            max(&SHAPE, x, &mut y, &mut index);
            let mut mean = vec![0.0; dy.len()];
            average(&SHAPE, x, &mut mean);
            let loss = |y: &[f64]| y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>();
            ([loss(&y), loss(&mean)], index)
        };
        let (mut max_dx, mut mean_dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        max_backward(&SHAPE, &forward(&x).1, &dy, &mut max_dx);
        average_backward(&SHAPE, &dy, &mut mean_dx);
        let step = 1e-6;
        for i in 0..x.len() {
            let at = |by: f64| {
                let mut x = x.clone();
                x[i] += by;
                forward(&x).0
            };
            let (up, down) = (at(step), at(-step));
            for (got, (up, down)) in [max_dx[i], mean_dx[i]].iter().zip(up.iter().zip(down)) {
                assert!((got - (up - down) / (2.0 * step)).abs() < 1e-8);
            }
        }
    }

    #[test]
    fn nan_wins_and_infinities_have_a_place() {
        let shape = PoolShape {
            planes: 1,
            input: [1, 6],
            kernel: [1, 3],
            stride: [1, 3],
            padding: [0, 0],
        };
        let low = f32::NEG_INFINITY;
        let (mut y, mut index) = ([0.0; 2], [9; 2]);
        max(
            &shape,
            &[1.0, f32::NAN, 2.0, low, low, low],
            &mut y,
            &mut index,
        );
        assert!(y[0].is_nan() && y[1].is_infinite());
        assert_eq!(index, [1, 3]);
    }

    #[test]
    #[should_panic(expected = "more than half")]
    fn a_window_of_padding_only_is_refused() {
        let shape = PoolShape {
            planes: 1,
            input: [4, 4],
            kernel: [2, 2],
            stride: [2, 2],
            padding: [0, 2],
        };
        max(&shape, &[0.0f32; 16], &mut [0.0; 8], &mut [0; 8]);
    }

    #[test]
    fn one_two_and_three_threads_agree_bit_for_bit() {
        let shape = PoolShape {
            planes: 23,
            ..SHAPE
        };
        let x = single(&noise(shape.input_len(), 1));
        let dy = single(&noise(shape.output_len(), 2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let mut results = [
                    vec![0.0f32; dy.len()],
                    vec![0.0; dy.len()],
                    vec![0.0; x.len()],
                    vec![0.0; x.len()],
                ];
                let [y, mean, dx, mean_dx] = &mut results;
                let mut index = vec![0; dy.len()];
                max(&shape, &x, y, &mut index);
                max_backward(&shape, &index, &dy, dx);
                average(&shape, &x, mean);
                average_backward(&shape, &dy, mean_dx);
                results.map(|v| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}
