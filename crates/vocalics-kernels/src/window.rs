//! Sliding windows over a plane: what convolution and pooling have in common.

use crate::Real;

/// Elements of a row that are worked on together.
pub(crate) const LANES: usize = 16;

/// The first block of a slice.
#[inline(always)]
pub(crate) fn lanes<T>(values: &[T]) -> &[T; LANES] {
    values
        .first_chunk()
        .expect("a padded row has whole blocks of lanes")
}

/// Copies a block to where it belongs; the last of a row may be cut short.
#[inline(always)]
pub(crate) fn store<T: Copy>(block: [T; LANES], to: &mut [T]) {
    if let Ok(to) = <&mut [T; LANES]>::try_from(&mut *to) {
        *to = block;
    } else {
        to.iter_mut().zip(block).for_each(|(to, value)| *to = value);
    }
}

/// Outputs along one axis; zero where the window is larger than the padded input.
///
/// # Panics
/// When the kernel or the stride is zero.
pub(crate) fn outputs(
    input: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> usize {
    let reach = dilation * (kernel - 1) + 1;
    (input + 2 * padding)
        .checked_sub(reach)
        .map_or(0, |room| room / stride + 1)
}

/// Where a tap meets the input along a row: outputs `[first, end)` read inside the input, the first
/// of them at input position `start`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) first: usize,
    pub(crate) end: usize,
    pub(crate) start: usize,
}

impl Span {
    /// `offset = tap · dilation`; the input position of output `j` is `j · stride + offset − padding`.
    pub(crate) fn new(
        outputs: usize,
        inputs: usize,
        stride: usize,
        offset: usize,
        padding: usize,
    ) -> Self {
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

    /// The part of the span in outputs `[column, column + columns)`, counted from `column`.
    pub(crate) fn within(&self, column: usize, columns: usize, stride: usize) -> Self {
        let first = self.first.clamp(column, column + columns);
        let end = self.end.clamp(first, column + columns);
        Self {
            first: first - column,
            end: end - column,
            // Beyond `end` when the span is empty, which nobody reads.
            start: self.start + first.saturating_sub(self.first) * stride,
        }
    }
}

/// A plane with its padding, each row split by the stride: phase `f` holds the columns `f`, `f +
/// stride`, `f + 2 · stride`, ... So every tap of every window meets a contiguous run, whatever the
/// stride, and rows are long enough for whole blocks of [`LANES`] outputs.
#[derive(Debug, Clone)]
pub(crate) struct PaddedPlane {
    input: [usize; 2],
    output: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    rows: usize,
    phase: usize,
    /// Of each phase the position of the first column of the input, that column, and how many there
    /// are.
    phases: Vec<[usize; 3]>,
    /// Where the taps of the first window lie, row by row.
    pub(crate) taps: Vec<usize>,
}

impl PaddedPlane {
    pub(crate) fn new(
        input: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
    ) -> Self {
        let output = std::array::from_fn(|axis| {
            outputs(
                input[axis],
                kernel[axis],
                stride[axis],
                padding[axis],
                dilation[axis],
            )
        });
        let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis];
        let mut plane = Self {
            input,
            output,
            stride,
            padding,
            rows: output[0].saturating_sub(1) * stride[0] + reach(0) + 1,
            phase: output[1].next_multiple_of(LANES) + reach(1) / stride[1],
            phases: Vec::new(),
            taps: Vec::with_capacity(kernel[0] * kernel[1]),
        };
        plane.phases = (0..stride[1]).map(|f| plane.columns(f)).collect();
        for p in 0..kernel[0] {
            for q in 0..kernel[1] {
                let column = q * dilation[1];
                plane.taps.push(
                    p * dilation[0] * plane.row_len()
                        + column % stride[1] * plane.phase
                        + column / stride[1],
                );
            }
        }
        plane
    }

    fn row_len(&self) -> usize {
        self.stride[1] * self.phase
    }

    /// Elements of the padded plane.
    pub(crate) fn len(&self) -> usize {
        self.rows * self.row_len()
    }

    /// Where the first window of an output row lies.
    pub(crate) fn row(&self, output_row: usize) -> usize {
        output_row * self.stride[0] * self.row_len()
    }

    /// Rows and columns of the output.
    pub(crate) fn output(&self) -> [usize; 2] {
        self.output
    }

    /// Blocks of [`LANES`] outputs in a row.
    pub(crate) fn blocks(&self) -> usize {
        self.output[1].div_ceil(LANES)
    }

    /// See `phases`.
    fn columns(&self, f: usize) -> [usize; 3] {
        let (stride, padding) = (self.stride[1], self.padding[1]);
        let skipped = padding.saturating_sub(f).div_ceil(stride);
        let column = skipped * stride + f - padding;
        let count = self.input[1].saturating_sub(column).div_ceil(stride);
        let skipped = skipped.min(self.phase);
        [skipped, column, count.min(self.phase - skipped)]
    }

    /// Copies a plane in, with `around` for what lies outside of it.
    #[inline(always)]
    pub(crate) fn fill<T: Real>(&self, x: &[T], around: T, padded: &mut [T]) {
        let [height, width] = self.input;
        for (row, padded) in padded.chunks_exact_mut(self.row_len()).enumerate() {
            let Some(x) = row
                .checked_sub(self.padding[0])
                .filter(|&row| row < height)
                .map(|row| &x[row * width..][..width])
            else {
                padded.fill(around);
                continue;
            };
            let phases = padded.chunks_exact_mut(self.phase).zip(&self.phases);
            for (padded, &[skipped, column, count]) in phases {
                padded[..skipped].fill(around);
                padded[skipped + count..].fill(around);
                let padded = &mut padded[skipped..skipped + count];
                if self.stride[1] == 1 {
                    padded.copy_from_slice(&x[column..column + count]);
                } else if count > 0 {
                    let x = x[column..].iter().step_by(self.stride[1]);
                    padded.iter_mut().zip(x).for_each(|(to, &x)| *to = x);
                }
            }
        }
    }

    /// The reverse of [`Self::fill`]: copies the plane out of its padding. What no window reaches
    /// becomes zero.
    #[inline(always)]
    pub(crate) fn take<T: Real>(&self, padded: &[T], x: &mut [T]) {
        let [height, width] = self.input;
        for (row, x) in x.chunks_exact_mut(width).enumerate().take(height) {
            let row = row + self.padding[0];
            if row >= self.rows {
                x.fill(T::ZERO);
                continue;
            }
            let padded = &padded[row * self.row_len()..][..self.row_len()];
            let phases = padded.chunks_exact(self.phase).zip(&self.phases);
            for (padded, &[skipped, column, count]) in phases {
                let padded = &padded[skipped..skipped + count];
                if self.stride[1] == 1 {
                    x[..column].fill(T::ZERO);
                    x[column..column + count].copy_from_slice(padded);
                    x[column + count..].fill(T::ZERO);
                } else if column < width {
                    let mut x = x[column..].iter_mut().step_by(self.stride[1]);
                    x.by_ref().zip(padded).for_each(|(x, &from)| *x = from);
                    x.for_each(|x| *x = T::ZERO);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_tap_of_a_padded_plane_is_where_it_says(
            input in [1usize..=9, 1usize..=40], kernel in [1usize..=4, 1usize..=5],
            stride in [1usize..=3, 1usize..=4], padding in [0usize..=3, 0usize..=4],
            dilation in [1usize..=2, 1usize..=3],
        ) {
            let plane = PaddedPlane::new(input, kernel, stride, padding, dilation);
            let [rows, columns] = plane.output();
            prop_assume!(rows * columns > 0);
            let x: Vec<f32> = (1..=u16::try_from(input[0] * input[1]).unwrap())
                .map(f32::from)
                .collect();
            let same = |a: f32, b: f32| a.to_bits() == b.to_bits();
            let mut padded = vec![f32::NAN; plane.len()];
            plane.fill(&x, -1.0, &mut padded);
            let mut reached = vec![false; x.len()];
            for i in 0..rows {
                for j in 0..columns {
                    for (tap, &offset) in plane.taps.iter().enumerate() {
                        let (p, q) = (tap / kernel[1], tap % kernel[1]);
                        let y = (i * stride[0] + p * dilation[0]).wrapping_sub(padding[0]);
                        let c = (j * stride[1] + q * dilation[1]).wrapping_sub(padding[1]);
                        let inside = y < input[0] && c < input[1];
                        let want = if inside { x[y * input[1] + c] } else { -1.0 };
                        prop_assert!(same(padded[plane.row(i) + offset + j], want));
                        if inside {
                            reached[y * input[1] + c] = true;
                        }
                    }
                }
            }
            let mut back = vec![f32::NAN; x.len()];
            plane.take(&padded, &mut back);
            for (&got, (reached, &x)) in back.iter().zip(reached.iter().zip(&x)) {
                // What is in no window may still lie in the padded plane, with its own value.
                prop_assert!(same(got, x) || (!reached && same(got, 0.0)));
            }
        }
    }
}
