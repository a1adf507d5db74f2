//! Batch normalisation over `[batch, channels, positions]`, with an optional ReLU behind it.
//!
//! `y = γ · (x − μ) / √(σ² + ε) + β`, `μ` and `σ²` per channel over the batch and all positions.
//!
//! Source: S. Ioffe, C. Szegedy, *Batch Normalization*, ICML 2015.
//! Reference: `torch.nn.functional.batch_norm(..., training=True)`; the variance is the biased one.

use rayon::prelude::*;

use crate::Real;
use crate::simd::{Kernel, vectorised};
use crate::zeros::zeros;

/// Sizes of a normalised batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormShape {
    /// Samples in the batch.
    pub batch: usize,
    /// Channels, each with its own statistics.
    pub channels: usize,
    /// Positions per channel: rows times columns.
    pub positions: usize,
}

impl NormShape {
    fn len(&self) -> usize {
        self.batch * self.channels * self.positions
    }

    /// Values behind each statistic.
    fn count<T: Real>(&self) -> T {
        #[expect(
            clippy::cast_precision_loss,
            reason = "batches are far below 2^53 values"
        )]
        T::from_f64((self.batch * self.positions) as f64)
    }

    /// The runs of one channel, one per sample.
    fn channel<'a, T>(&self, x: &'a [T], channel: usize) -> impl Iterator<Item = &'a [T]> {
        let (positions, sample) = (self.positions, self.channels * self.positions);
        x.chunks_exact(sample)
            .map(move |x| &x[channel * positions..][..positions])
    }
}

/// Mean and variance of every channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments<T> {
    /// `[channels]`.
    pub mean: Vec<T>,
    /// Biased (divided by the count), `[channels]`.
    pub variance: Vec<T>,
}

/// Sums `N` terms of every position in eight lanes, so that the loop vectorises and the sum does not
/// depend on the machine.
#[inline(always)]
pub(crate) fn sums<T: Real, const N: usize>(
    len: usize,
    term: impl Fn(usize) -> [T; N],
) -> [f64; N] {
    let mut lanes = [[T::ZERO; 8]; N];
    let blocks = len / 8;
    for block in 0..blocks {
        for lane in 0..8 {
            let terms = term(block * 8 + lane);
            for (lanes, term) in lanes.iter_mut().zip(terms) {
                lanes[lane] += term;
            }
        }
    }
    let mut total = lanes.map(|lanes| lanes.iter().map(|x| x.to_f64()).sum::<f64>());
    for index in blocks * 8..len {
        for (total, term) in total.iter_mut().zip(term(index)) {
            *total += term.to_f64();
        }
    }
    total
}

/// Mean and variance of every channel of `x`.
///
/// # Panics
/// When `x` does not have the length that `shape` says, or is empty.
pub fn moments<T: Real>(shape: &NormShape, x: &[T]) -> Moments<T> {
    assert_eq!(x.len(), shape.len(), "input");
    assert!(!x.is_empty(), "no values to normalise");
    let count = shape.count::<f64>();
    let (mean, variance) = (0..shape.channels)
        .into_par_iter()
        .map(|channel| {
            // Sums relative to the first value: a large common offset costs no precision.
            let origin = x[channel * shape.positions];
            let (mut sum, mut square) = (0.0, 0.0);
            for run in shape.channel(x, channel) {
                let [s, q] = sums(run.len(), |i| {
                    let x = run[i] - origin;
                    [x, x * x]
                });
                sum += s;
                square += q;
            }
            let mean = sum / count;
            let variance = (square / count - mean * mean).max(0.0);
            (T::from_f64(mean + origin.to_f64()), T::from_f64(variance))
        })
        .unzip();
    Moments { mean, variance }
}

/// Per channel: `y = scale · x + shift`, then ReLU if asked for.
struct Affine<T> {
    scale: Vec<T>,
    shift: Vec<T>,
    inv_std: Vec<T>,
}

fn affine<T: Real>(moments: &Moments<T>, gamma: &[T], beta: &[T], epsilon: f64) -> Affine<T> {
    let inv_std: Vec<T> = moments
        .variance
        .iter()
        .map(|variance| T::from_f64(1.0 / (variance.to_f64() + epsilon).sqrt()))
        .collect();
    let scale: Vec<T> = gamma.iter().zip(&inv_std).map(|(&g, &i)| g * i).collect();
    let shift = (0..scale.len())
        .map(|c| beta[c] - moments.mean[c] * scale[c])
        .collect();
    Affine {
        scale,
        shift,
        inv_std,
    }
}

fn relu_if<T: Real>(relu: bool, x: T) -> T {
    if relu && x < T::ZERO { T::ZERO } else { x }
}

/// Normalises `x` with the given moments into `y`.
///
/// # Shapes
/// `x`, `y`: `[batch, channels, positions]`; `gamma`, `beta`: `[channels]`.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
#[expect(clippy::too_many_arguments, reason = "the operands of the formula")]
pub fn forward<T: Real>(
    shape: &NormShape,
    x: &[T],
    moments: &Moments<T>,
    gamma: &[T],
    beta: &[T],
    epsilon: f64,
    relu: bool,
    y: &mut [T],
) {
    assert_eq!(x.len(), shape.len(), "input");
    assert_eq!(y.len(), shape.len(), "output");
    let Affine { scale, shift, .. } = affine(moments, gamma, beta, epsilon);
    let sample = shape.channels * shape.positions;
    y.par_chunks_mut(sample)
        .zip(x.par_chunks(sample))
        .for_each(|(y, x)| {
            let runs = y
                .chunks_exact_mut(shape.positions)
                .zip(x.chunks_exact(shape.positions));
            for (channel, (y, x)) in runs.enumerate() {
                let (scale, shift) = (scale[channel], shift[channel]);
                y.iter_mut()
                    .zip(x)
                    .for_each(|(y, &x)| *y = relu_if(relu, scale * x + shift));
            }
        });
}

/// Gradients of [`forward`] when the moments are those of `x` itself.
#[derive(Debug, Clone)]
pub struct Gradients<T> {
    /// `[batch, channels, positions]`.
    pub x: Vec<T>,
    /// `[channels]`.
    pub gamma: Vec<T>,
    /// `[channels]`.
    pub beta: Vec<T>,
}

/// The gradient that reaches a run of one channel from behind the ReLU.
struct Gradient<'a, T> {
    relu: bool,
    scale: T,
    shift: T,
    x: &'a [T],
    dy: &'a [T],
}

impl<T: Real> Gradient<'_, T> {
    /// The ReLU lets a gradient through where its input was positive.
    #[inline(always)]
    fn at<const RELU: bool>(&self, x: T, dy: T) -> T {
        if RELU && self.scale * x + self.shift <= T::ZERO {
            T::ZERO
        } else {
            dy
        }
    }
}

/// Adds to `sums` the gradients of γ and β.
struct AddSums<'a, T> {
    gradient: Gradient<'a, T>,
    mean: T,
    inv_std: T,
    sums: &'a mut [f64; 2],
}

impl<T: Real> AddSums<'_, T> {
    #[inline(always)]
    fn add<const RELU: bool>(self) {
        let of = &self.gradient;
        let (x, dy) = (of.x, &of.dy[..of.x.len()]);
        let [gamma, beta] = sums(x.len(), |i| {
            let dz = of.at::<RELU>(x[i], dy[i]);
            [dz * ((x[i] - self.mean) * self.inv_std), dz]
        });
        self.sums[0] += gamma;
        self.sums[1] += beta;
    }
}

impl<T: Real> Kernel for AddSums<'_, T> {
    #[inline(always)]
    fn run(self) {
        if self.gradient.relu {
            self.add::<true>();
        } else {
            self.add::<false>();
        }
    }
}

struct InputGradient<'a, T> {
    gradient: Gradient<'a, T>,
    mean: T,
    slope: T,
    offset: T,
    dx: &'a mut [T],
}

impl<T: Real> InputGradient<'_, T> {
    #[inline(always)]
    fn write<const RELU: bool>(self) {
        let of = &self.gradient;
        for (dx, (&x, &dy)) in self.dx.iter_mut().zip(of.x.iter().zip(of.dy)) {
            let dz = of.at::<RELU>(x, dy);
            *dx = of.scale * (dz - self.offset - (x - self.mean) * self.slope);
        }
    }
}

impl<T: Real> Kernel for InputGradient<'_, T> {
    #[inline(always)]
    fn run(self) {
        if self.gradient.relu {
            self.write::<true>();
        } else {
            self.write::<false>();
        }
    }
}

/// Gradients of [`forward`] with the moments of the batch, from the gradient `dy` of its output.
///
/// # Panics
/// When a slice does not have the length that `shape` says.
#[expect(clippy::too_many_arguments, reason = "the operands of the formula")]
pub fn backward<T: Real>(
    shape: &NormShape,
    x: &[T],
    moments: &Moments<T>,
    gamma: &[T],
    beta: &[T],
    epsilon: f64,
    relu: bool,
    dy: &[T],
) -> Gradients<T> {
    assert_eq!(x.len(), shape.len(), "input");
    assert_eq!(dy.len(), shape.len(), "output gradient");
    let Affine {
        scale,
        shift,
        inv_std,
    } = affine(moments, gamma, beta, epsilon);
    let (dgamma, dbeta): (Vec<T>, Vec<T>) = (0..shape.channels)
        .into_par_iter()
        .with_max_len(1)
        .map(|channel| {
            let mut sums = [0.0; 2];
            for (x, dy) in shape.channel(x, channel).zip(shape.channel(dy, channel)) {
                vectorised(AddSums {
                    gradient: Gradient {
                        relu,
                        scale: scale[channel],
                        shift: shift[channel],
                        x,
                        dy,
                    },
                    mean: moments.mean[channel],
                    inv_std: inv_std[channel],
                    sums: &mut sums,
                });
            }
            (T::from_f64(sums[0]), T::from_f64(sums[1]))
        })
        .unzip();
    let count = shape.count::<T>();
    let mut dx = zeros(x.len());
    let sample = shape.channels * shape.positions;
    dx.par_chunks_mut(sample)
        .zip(x.par_chunks(sample).zip(dy.par_chunks(sample)))
        .for_each(|(dx, (x, dy))| {
            for channel in 0..shape.channels {
                let run = channel * shape.positions..(channel + 1) * shape.positions;
                vectorised(InputGradient {
                    gradient: Gradient {
                        relu,
                        scale: scale[channel],
                        shift: shift[channel],
                        x: &x[run.clone()],
                        dy: &dy[run.clone()],
                    },
                    mean: moments.mean[channel],
                    slope: dgamma[channel] / count * inv_std[channel],
                    offset: dbeta[channel] / count,
                    dx: &mut dx[run],
                });
            }
        });
    Gradients {
        x: dx,
        gamma: dgamma,
        beta: dbeta,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: NormShape = NormShape {
        batch: 3,
        channels: 2,
        positions: 11,
    };

    fn values(len: usize, seed: u32) -> Vec<f64> {
        (0..len)
            .map(|i| (f64::from(u32::try_from(i).unwrap() * 37 + seed) * 0.7).sin())
            .collect()
    }

    #[test]
    fn output_has_the_asked_mean_and_deviation() {
        let x: Vec<f64> = values(SHAPE.len(), 1)
            .iter()
            .map(|x| x * 3.0 + 1e4)
            .collect();
        let m = moments(&SHAPE, &x);
        let mut y = vec![0.0; x.len()];
        forward(
            &SHAPE,
            &x,
            &m,
            &[2.0, 0.5],
            &[-1.0, 4.0],
            0.0,
            false,
            &mut y,
        );
        let after = moments(&SHAPE, &y);
        for (got, want) in after.mean.iter().zip([-1.0, 4.0]) {
            assert!((got - want).abs() < 1e-9);
        }
        for (got, want) in after.variance.iter().zip([4.0, 0.25]) {
            assert!((got - want).abs() < 1e-6, "{got}");
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (x, dy) = (values(SHAPE.len(), 1), values(SHAPE.len(), 5));
        let (gamma, beta) = (vec![1.3, -0.4], vec![0.1, 0.2]);
        for relu in [false, true] {
            let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
                let mut y = vec![0.0; x.len()];
                forward(
                    &SHAPE,
                    x,
                    &moments(&SHAPE, x),
                    gamma,
                    beta,
                    1e-5,
                    relu,
                    &mut y,
                );
                y.iter().zip(&dy).map(|(y, dy)| y * dy).sum::<f64>()
            };
            let got = backward(
                &SHAPE,
                &x,
                &moments(&SHAPE, &x),
                &gamma,
                &beta,
                1e-5,
                relu,
                &dy,
            );
            let step = 1e-6;
            let nudged = |v: &[f64], i: usize, by: f64| {
                let mut v = v.to_vec();
                v[i] += by;
                v
            };
            for i in 0..x.len() {
                let up = loss(&nudged(&x, i, step), &gamma, &beta);
                let down = loss(&nudged(&x, i, -step), &gamma, &beta);
                assert!((got.x[i] - (up - down) / (2.0 * step)).abs() < 1e-6);
            }
            for c in 0..2 {
                let up = loss(&x, &nudged(&gamma, c, step), &beta);
                let down = loss(&x, &nudged(&gamma, c, -step), &beta);
                assert!((got.gamma[c] - (up - down) / (2.0 * step)).abs() < 1e-6);
                let up = loss(&x, &gamma, &nudged(&beta, c, step));
                let down = loss(&x, &gamma, &nudged(&beta, c, -step));
                assert!((got.beta[c] - (up - down) / (2.0 * step)).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_constant_channel_stays_finite() {
        let x = vec![0.25f32; SHAPE.len()];
        let m = moments(&SHAPE, &x);
        let mut y = vec![f32::NAN; x.len()];
        forward(&SHAPE, &x, &m, &[1.0, 1.0], &[0.5, 0.5], 1e-5, true, &mut y);
        assert!(y.iter().all(|y| (y - 0.5).abs() < 1e-6));
    }

    #[test]
    fn one_two_and_three_threads_agree_bit_for_bit() {
        let shape = NormShape {
            batch: 7,
            channels: 5,
            positions: 37,
        };
        let single = |seed| -> Vec<f32> {
            let wide = values(shape.len(), seed);
            wide.iter().map(|&x| f32::from_f64(x)).collect()
        };
        let (x, dy) = (single(1), single(5));
        let (gamma, beta) = ([1.5f32, -0.5, 1.0, 0.25, 2.0], [0.0, 0.1, -0.1, 1.0, 0.5]);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let m = moments(&shape, &x);
                let mut y = vec![0.0; x.len()];
                forward(&shape, &x, &m, &gamma, &beta, 1e-5, true, &mut y);
                let g = backward(&shape, &x, &m, &gamma, &beta, 1e-5, true, &dy);
                [m.mean, m.variance, y, g.x, g.gamma, g.beta]
                    .map(|v| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
            })
        };
        let one = run(1);
        assert_eq!(one, run(2));
        assert_eq!(one, run(3));
    }
}
