//! Convolution where every input channel is its own group: no sums over channels, so no matrix
//! product. The taps run over the rows of a padded copy of the plane.

use rayon::prelude::*;

use super::Conv2dShape;
use crate::Real;
use crate::simd::vectorised;
use crate::window::{LANES, PaddedPlane};

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
                vectorised(|| {
                    plane.fill(x, T::ZERO, buffer);
                    for (y, w) in y.chunks_exact_mut(y_plane).zip(w.chunks_exact(taps)) {
                        correlate(&plane, buffer, w, y);
                    }
                });
            });
        });
}

/// One plane: each output is the sum of its taps.
#[inline(always)]
fn correlate<T: Real>(plane: &PaddedPlane, buffer: &[T], w: &[T], y: &mut [T]) {
    for (i, y) in y.chunks_exact_mut(plane.output()[1]).enumerate() {
        for (block, y) in y.chunks_mut(LANES).enumerate() {
            let start = plane.row(i) + block * LANES;
            let mut sum = [T::ZERO; LANES];
            for (&tap, &w) in plane.taps.iter().zip(w) {
                let x = &buffer[start + tap..][..LANES];
                sum.iter_mut().zip(x).for_each(|(sum, &x)| *sum += w * x);
            }
            y.copy_from_slice(&sum[..y.len()]);
        }
    }
}

pub(super) fn backward_input<T: Real>(shape: &Conv2dShape, w: &[T], dy: &[T], dx: &mut [T]) {
    let (plane, taps) = (padded(shape), shape.taps());
    let [x_plane, y_plane, multiplier] = sizes(shape);
    let columns = plane.output()[1];
    dx.par_chunks_mut(x_plane)
        .zip(dy.par_chunks(multiplier * y_plane))
        .enumerate()
        .for_each(|(index, (dx, dy))| {
            let channel = index % shape.in_channels;
            let w = &w[channel * multiplier * taps..][..multiplier * taps];
            T::with_scratch(plane.len(), |buffer| {
                vectorised(|| {
                    buffer.fill(T::ZERO);
                    for (dy, w) in dy.chunks_exact(y_plane).zip(w.chunks_exact(taps)) {
                        for (i, dy) in dy.chunks_exact(columns).enumerate() {
                            for (&tap, &w) in plane.taps.iter().zip(w) {
                                let to = &mut buffer[plane.row(i) + tap..][..columns];
                                to.iter_mut().zip(dy).for_each(|(to, &dy)| *to += w * dy);
                            }
                        }
                    }
                    plane.take(buffer, dx);
                });
            });
        });
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
            vectorised(|| {
                plane.fill(x, T::ZERO, buffer);
                for (dy, dw) in dy.chunks_exact(y_plane).zip(dw.chunks_exact_mut(taps)) {
                    widen(plane.output()[1], wide, dy, wide_dy);
                    for (&tap, dw) in plane.taps.iter().zip(dw) {
                        *dw += product(&plane, buffer, tap, wide_dy);
                    }
                }
            });
        }
    });
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
    let mut lanes = [T::ZERO; LANES];
    for (i, dy) in dy.chunks_exact(plane.blocks() * LANES).enumerate() {
        let x = &buffer[plane.row(i) + tap..][..dy.len()];
        for (dy, x) in dy.chunks_exact(LANES).zip(x.chunks_exact(LANES)) {
            let products = dy.iter().zip(x);
            let sums = lanes.iter_mut().zip(products);
            sums.for_each(|(lane, (&dy, &x))| *lane += dy * x);
        }
    }
    lanes.into_iter().sum()
}
