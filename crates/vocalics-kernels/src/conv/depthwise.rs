//! Convolution where every input channel is its own group: no sums over channels, so no matrix
//! product. The taps run over the rows of a padded copy of the plane.

use rayon::prelude::*;

use super::Conv2dShape;
use crate::Real;
use crate::simd::{Kernel, vectorised};
use crate::window::{LANES, PaddedPlane, lanes, store};

fn padded(shape: &Conv2dShape) -> PaddedPlane {
    PaddedPlane::new(
        shape.input,
        shape.kernel,
        shape.stride,
        shape.padding,
        shape.dilation,
    )
}

/// Elements of an input plane, of an output plane, and output channels of an input channel.
fn sizes(shape: &Conv2dShape) -> [usize; 3] {
    let [rows, columns] = shape.output();
    [
        shape.input[0] * shape.input[1],
        rows * columns,
        shape.out_channels / shape.in_channels,
    ]
}

pub(super) fn forward<T: Real>(shape: &Conv2dShape, x: &[T], w: &[T], y: &mut [T]) {
    let (plane, taps) = (padded(shape), shape.taps());
    let [x_plane, y_plane, multiplier] = sizes(shape);
    y.par_chunks_mut(multiplier * y_plane)
        .zip(x.par_chunks(x_plane))
        .enumerate()
        .for_each(|(index, (y, x))| {
            let channel = index % shape.in_channels;
            let w = &w[channel * multiplier * taps..][..multiplier * taps];
            T::with_scratch(plane.len(), |buffer| {
                vectorised(Correlate {
                    plane: &plane,
                    x,
                    w,
                    buffer,
                    y,
                });
            });
        });
}

/// The outputs of one input plane, each the sum of its taps.
struct Correlate<'a, T> {
    plane: &'a PaddedPlane,
    x: &'a [T],
    w: &'a [T],
    buffer: &'a mut [T],
    y: &'a mut [T],
}

impl<T: Real> Kernel for Correlate<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { plane, buffer, .. } = self;
        let [rows, columns] = plane.output();
        plane.fill(self.x, T::ZERO, buffer);
        let outputs = self.y.chunks_exact_mut(rows * columns);
        for (y, w) in outputs.zip(self.w.chunks_exact(plane.taps.len())) {
            for (i, y) in y.chunks_exact_mut(columns).enumerate() {
                for (block, y) in y.chunks_mut(LANES).enumerate() {
                    let from = &buffer[plane.row(i) + block * LANES..];
                    let mut sum = [T::ZERO; LANES];
                    for (&tap, &w) in plane.taps.iter().zip(w) {
                        let x = lanes(&from[tap..]);
                        for lane in 0..LANES {
                            sum[lane] += w * x[lane];
                        }
                    }
                    store(sum, y);
                }
            }
        }
    }
}

pub(super) fn backward_input<T: Real>(shape: &Conv2dShape, w: &[T], dy: &[T], dx: &mut [T]) {
    let (plane, taps) = (padded(shape), shape.taps());
    let [x_plane, y_plane, multiplier] = sizes(shape);
    dx.par_chunks_mut(x_plane)
        .zip(dy.par_chunks(multiplier * y_plane))
        .enumerate()
        .for_each(|(index, (dx, dy))| {
            let channel = index % shape.in_channels;
            let w = &w[channel * multiplier * taps..][..multiplier * taps];
            T::with_scratch(plane.len(), |buffer| {
                vectorised(Spread {
                    plane: &plane,
                    dy,
                    w,
                    buffer,
                    dx,
                });
            });
        });
}

/// The reverse: what one input plane gets back from its outputs.
struct Spread<'a, T> {
    plane: &'a PaddedPlane,
    dy: &'a [T],
    w: &'a [T],
    buffer: &'a mut [T],
    dx: &'a mut [T],
}

impl<T: Real> Kernel for Spread<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self { plane, buffer, .. } = self;
        let [rows, columns] = plane.output();
        buffer.fill(T::ZERO);
        let outputs = self.dy.chunks_exact(rows * columns);
        for (dy, w) in outputs.zip(self.w.chunks_exact(plane.taps.len())) {
            for (i, dy) in dy.chunks_exact(columns).enumerate() {
                for (&tap, &w) in plane.taps.iter().zip(w) {
                    let to = &mut buffer[plane.row(i) + tap..][..columns];
                    to.iter_mut().zip(dy).for_each(|(to, &dy)| *to += w * dy);
                }
            }
        }
        plane.take(buffer, self.dx);
    }
}

/// The weight gradient of a run of samples, written over `dw`.
pub(super) fn weight<T: Real>(shape: &Conv2dShape, x: &[T], dy: &[T], dw: &mut [T]) {
    let (plane, taps) = (padded(shape), shape.taps());
    let [x_plane, y_plane, multiplier] = sizes(shape);
    let wide = plane.blocks() * LANES;
    let rows = plane.output()[0];
    dw.fill(T::ZERO);
    T::with_scratch(plane.len() + rows * wide, |buffer| {
        let (buffer, wide_dy) = buffer.split_at_mut(plane.len());
        let planes = x
            .chunks_exact(x_plane)
            .zip(dy.chunks_exact(multiplier * y_plane));
        for (index, (x, dy)) in planes.enumerate() {
            let channel = index % shape.in_channels;
            let dw = &mut dw[channel * multiplier * taps..][..multiplier * taps];
            vectorised(AddProducts {
                plane: &plane,
                x,
                dy,
                buffer,
                wide: wide_dy,
                dw,
            });
        }
    });
}

/// Adds to the gradient of every weight of one input plane the sum over all outputs.
struct AddProducts<'a, T> {
    plane: &'a PaddedPlane,
    x: &'a [T],
    dy: &'a [T],
    buffer: &'a mut [T],
    /// For one output plane in rows of whole blocks.
    wide: &'a mut [T],
    dw: &'a mut [T],
}

impl<T: Real> Kernel for AddProducts<'_, T> {
    #[inline(always)]
    fn run(self) {
        let Self {
            plane,
            buffer,
            wide,
            ..
        } = self;
        let [rows, columns] = plane.output();
        plane.fill(self.x, T::ZERO, buffer);
        let outputs = self.dy.chunks_exact(rows * columns);
        for (dy, dw) in outputs.zip(self.dw.chunks_exact_mut(plane.taps.len())) {
            widen(columns, plane.blocks() * LANES, dy, wide);
            for (&tap, dw) in plane.taps.iter().zip(dw) {
                *dw += product(plane, buffer, tap, wide);
            }
        }
    }
}

/// Copies rows into rows of whole blocks, zero behind the end.
#[inline(always)]
fn widen<T: Real>(columns: usize, wide: usize, from: &[T], to: &mut [T]) {
    let rows = to.chunks_exact_mut(wide).zip(from.chunks_exact(columns));
    for (to, from) in rows {
        to[..columns].copy_from_slice(from);
        to[columns..].fill(T::ZERO);
    }
}

/// The sum over all outputs of `dy` times what one tap met.
#[inline(always)]
fn product<T: Real>(plane: &PaddedPlane, buffer: &[T], tap: usize, dy: &[T]) -> T {
    let mut sums = [T::ZERO; LANES];
    for (i, dy) in dy.chunks_exact(plane.blocks() * LANES).enumerate() {
        let x = &buffer[plane.row(i) + tap..][..dy.len()];
        for (dy, x) in dy.chunks_exact(LANES).zip(x.chunks_exact(LANES)) {
            for lane in 0..LANES {
                sums[lane] += dy[lane] * x[lane];
            }
        }
    }
    sums.into_iter().sum()
}
