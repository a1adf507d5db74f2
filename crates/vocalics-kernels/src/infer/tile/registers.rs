//! What happens in registers: the sums of one tile.

use pulp::Simd;

use super::{Planes, ROWS, SLACK, Source};
use crate::infer::panels::{View, part};

/// Most vectors of a tile.
pub const VECTORS: usize = 4;
/// Vectors of a tile: two where there are 16 registers, which four would spill.
#[inline(always)]
pub(super) const fn vectors<S: Simd>() -> usize {
    if S::REGISTER_COUNT < 32 { 2 } else { VECTORS }
}

/// Fills `buffer[m][..count · lanes]` with the sums of a tile.
#[inline(always)]
pub(super) fn sums<S: Simd>(
    simd: S,
    rows: usize,
    count: usize,
    weights: &[f32],
    source: Source<'_>,
    first: usize,
    buffer: &mut [[f32; SLACK]; ROWS],
) {
    macro_rules! kernels {
        ($kernel:ident, $source:expr, $($rows:literal)*) => {
            match (rows, count) {
                $(
                    ($rows, 1) => $kernel::<S, $rows, 1>(simd, weights, $source, first, buffer),
                    ($rows, 2) => $kernel::<S, $rows, 2>(simd, weights, $source, first, buffer),
                    ($rows, 3) if vectors::<S>() > 2 => {
                        $kernel::<S, $rows, 3>(simd, weights, $source, first, buffer);
                    }
                    ($rows, 4) if vectors::<S>() > 2 => {
                        $kernel::<S, $rows, 4>(simd, weights, $source, first, buffer);
                    }
                )*
                _ => {}
            }
        };
    }
    match source {
        Source::Planes(planes) => kernels!(over_planes, planes, 1 2 3 4 5 6),
        Source::Panels(panels) => kernels!(over_panels, panels, 1 2 3 4 5 6),
    }
}

#[inline(always)]
fn over_planes<S: Simd, const M: usize, const N: usize>(
    simd: S,
    weights: &[f32],
    source: Planes<'_>,
    first: usize,
    buffer: &mut [[f32; SLACK]; ROWS],
) {
    let lanes = S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    let (steps, _) = pulp::as_arrays::<M, f32>(weights);
    let mut start = first;
    for steps in steps.chunks_exact(source.offsets.len()) {
        for (weights, &offset) in steps.iter().zip(source.offsets) {
            let (x, _) = S::as_simd_f32s(&source.values[start + offset..][..N * lanes]);
            add_products(simd, weights, x, &mut sums);
        }
        start += source.plane;
    }
    keep::<S, M, N>(&sums, buffer);
}

#[inline(always)]
fn over_panels<S: Simd, const M: usize, const N: usize>(
    simd: S,
    weights: &[f32],
    source: View<'_>,
    first: usize,
    buffer: &mut [[f32; SLACK]; ROWS],
) {
    let mut sums = [[simd.splat_f32s(0.0); N]; M];
    let (steps, _) = pulp::as_arrays::<M, f32>(weights);
    let panels: [_; N] = source.holding::<S, N>(first);
    for (k, weights) in steps.iter().enumerate().take(source.depth) {
        let mut x = [simd.splat_f32s(0.0); N];
        for (n, x) in x.iter_mut().enumerate() {
            *x = part::<S>(&panels[n][k], first, n);
        }
        add_products(simd, weights, &x, &mut sums);
    }
    keep::<S, M, N>(&sums, buffer);
}

/// Adds every weight times every vector.
#[inline(always)]
pub(in crate::infer) fn add_products<S: Simd, const M: usize, const N: usize>(
    simd: S,
    weights: &[f32; M],
    x: &[S::f32s],
    sums: &mut [[S::f32s; N]; M],
) {
    for (weight, sums) in weights.iter().zip(sums) {
        let weight = simd.splat_f32s(*weight);
        for (n, sum) in sums.iter_mut().enumerate() {
            *sum = multiply_add(simd, weight, x[n], *sum);
        }
    }
}

#[inline(always)]
fn keep<S: Simd, const M: usize, const N: usize>(
    sums: &[[S::f32s; N]; M],
    buffer: &mut [[f32; SLACK]; ROWS],
) {
    for (sums, buffer) in sums.iter().zip(buffer) {
        let (buffer, _) = S::as_mut_simd_f32s(&mut buffer[..N * S::F32_LANES]);
        buffer.copy_from_slice(sums);
    }
}

/// `a · b + c`; fused only where that is one instruction and not a call.
#[inline(always)]
pub(in crate::infer) fn multiply_add<S: Simd>(
    simd: S,
    a: S::f32s,
    b: S::f32s,
    c: S::f32s,
) -> S::f32s {
    use std::any::TypeId;
    let called =
        cfg!(target_arch = "wasm32") || TypeId::of::<S>() == TypeId::of::<pulp::Scalar128b>();
    if called {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_e_f32s(a, b, c)
    }
}
