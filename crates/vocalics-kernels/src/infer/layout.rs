//! Values moved, not changed: axes in another order, parts of axes, padding, joining.

use super::pointwise::MAX_RANK;

/// Side of the squares in which a matrix is transposed.
const SQUARE: usize = 16;

/// Where each value of the output comes from: a walk over `dims` with a stride in the input for each axis.
///
/// Transposing, slicing and reversing are all of this form.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gather {
    /// Number of axes.
    pub rank: usize,
    /// Lengths in the output.
    pub dims: [usize; MAX_RANK],
    /// Steps in the input.
    pub strides: [usize; MAX_RANK],
    /// Start in the input.
    pub start: usize,
}

impl Gather {
    /// Copies.
    ///
    /// # Panics
    /// When a slice does not have the length of its shape.
    pub fn run(&self, x: &[f32], out: &mut [f32]) {
        if out.is_empty() {
            return;
        }
        match self.rank {
            0 => out.copy_from_slice(&x[self.start..=self.start]),
            1 => line(&x[self.start..], self.strides[0], out),
            rank => {
                let inner: usize = self.dims[rank - 2] * self.dims[rank - 1];
                let mut index = [0; MAX_RANK];
                for out in out.chunks_exact_mut(inner) {
                    let offset: usize = index.iter().zip(&self.strides).map(|(i, s)| i * s).sum();
                    self.plane(&x[self.start + offset..], out);
                    for axis in (0..rank - 2).rev() {
                        index[axis] += 1;
                        if index[axis] < self.dims[axis] {
                            break;
                        }
                        index[axis] = 0;
                    }
                }
            }
        }
    }

    /// The last two axes.
    fn plane(&self, x: &[f32], out: &mut [f32]) {
        let (rows, columns) = (self.dims[self.rank - 2], self.dims[self.rank - 1]);
        let [down, across] = [self.strides[self.rank - 2], self.strides[self.rank - 1]];
        if across == 1 || down != 1 {
            for (row, out) in out.chunks_exact_mut(columns).enumerate() {
                line(&x[row * down..], across, out);
            }
            return;
        }
        // A transposition: square by square, so that both sides stay in the cache.
        for top in (0..rows).step_by(SQUARE) {
            for left in (0..columns).step_by(SQUARE) {
                let end = columns.min(left + SQUARE);
                for row in top..rows.min(top + SQUARE) {
                    let x = &x[left * across + row..];
                    let values = x.iter().step_by(across);
                    for (y, x) in out[row * columns + left..row * columns + end]
                        .iter_mut()
                        .zip(values)
                    {
                        *y = *x;
                    }
                }
            }
        }
    }
}

fn line(x: &[f32], stride: usize, out: &mut [f32]) {
    match stride {
        0 => out.fill(x[0]),
        1 => out.copy_from_slice(&x[..out.len()]),
        _ => {
            for (y, x) in out.iter_mut().zip(x.iter().step_by(stride)) {
                *y = *x;
            }
        }
    }
}

/// Copies `x` into the middle of `out`, whose other values become `value`.
///
/// # Shapes
/// `x`: `dims`; `out`: `dims` with `before` more in front of each axis and whatever is left behind.
pub fn pad(
    x: &[f32],
    dims: &[usize],
    before: &[usize],
    padded: &[usize],
    value: f32,
    out: &mut [f32],
) {
    out.fill(value);
    if x.is_empty() {
        return;
    }
    let rank = dims.len();
    let Some(&columns) = dims.last() else {
        out.copy_from_slice(x);
        return;
    };
    let mut index = [0; MAX_RANK];
    for x in x.chunks_exact(columns) {
        let mut at = 0;
        for axis in 0..rank {
            at = at * padded[axis] + index[axis] + before[axis];
        }
        out[at..at + columns].copy_from_slice(x);
        for axis in (0..rank - 1).rev() {
            index[axis] += 1;
            if index[axis] < dims[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

/// Copies the blocks of one input of a concatenation to their places: `[outer, block]` into
/// `[outer, pitch]`, `offset` values from the start of each row.
pub fn place(x: &[f32], block: usize, offset: usize, pitch: usize, out: &mut [f32]) {
    if block == 0 {
        return;
    }
    for (x, out) in x.chunks_exact(block).zip(out.chunks_exact_mut(pitch)) {
        out[offset..offset + block].copy_from_slice(x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|n| n as f32).collect()
    }

    /// The walk of the picked axes, one value after the other.
    fn naive(gather: &Gather, x: &[f32]) -> Vec<f32> {
        let dims = &gather.dims[..gather.rank];
        let count: usize = dims.iter().product();
        (0..count)
            .map(|flat| {
                let (mut rest, mut at) = (flat, gather.start);
                for axis in (0..gather.rank).rev() {
                    at += rest % dims[axis] * gather.strides[axis];
                    rest /= dims[axis];
                }
                x[at]
            })
            .collect()
    }

    fn gather<const N: usize>(dims: [usize; N], strides: [usize; N], start: usize) -> Gather {
        let mut gather = Gather {
            rank: N,
            start,
            ..Gather::default()
        };
        gather.dims[..N].copy_from_slice(&dims);
        gather.strides[..N].copy_from_slice(&strides);
        gather
    }

    #[test]
    fn gathering_is_the_walk_one_value_at_a_time() {
        let x = numbers(4000);
        let cases = [
            gather([], [], 7),
            gather([9], [1], 3),
            gather([9], [4], 3),
            gather([5], [0], 2),
            // Rows as they are, with a step, and repeated.
            gather([3, 40], [40, 1], 0),
            gather([3, 13], [40, 3], 1),
            gather([4, 6], [0, 1], 5),
            // Transposed: within a square, at its edge and beyond.
            gather([7, 5], [1, 7], 0),
            gather([16, 16], [1, 16], 0),
            gather([17, 33], [1, 17], 0),
            gather([40, 50], [1, 41], 2),
            gather([2, 3, 17, 19], [1200, 400, 1, 17], 0),
            // The axes of attention, [a, b, c, d] to [a, c, b, d].
            gather([2, 5, 3, 8], [120, 8, 40, 1], 0),
            gather([3, 2, 4], [1, 12, 3], 0),
        ];
        for case in cases {
            let want = naive(&case, &x);
            let mut out = vec![-1.0; want.len()];
            case.run(&x, &mut out);
            assert_eq!(out, want, "{case:?}");
        }
    }

    #[test]
    fn padding_surrounds_what_is_there() {
        let mut out = [0.0; 20];
        pad(
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
            &[2, 3],
            &[1, 1],
            &[4, 5],
            9.0,
            &mut out,
        );
        #[rustfmt::skip]
        let want = [
            9.0, 9.0, 9.0, 9.0, 9.0,
            9.0, 1.0, 2.0, 3.0, 9.0,
            9.0, 4.0, 5.0, 6.0, 9.0,
            9.0, 9.0, 9.0, 9.0, 9.0,
        ];
        assert_eq!(out[..], want[..]);
        // Three axes, nothing in front of the second.
        let mut out = [0.0; 12];
        pad(
            &[1.0, 2.0, 3.0, 4.0],
            &[2, 2, 1],
            &[0, 0, 1],
            &[2, 3, 2],
            0.5,
            &mut out,
        );
        let want = [0.5, 1.0, 0.5, 2.0, 0.5, 0.5, 0.5, 3.0, 0.5, 4.0, 0.5, 0.5];
        assert_eq!(out[..], want[..]);
    }

    #[test]
    fn blocks_are_placed_side_by_side() {
        let mut out = [0.0; 10];
        place(&[1.0, 2.0, 3.0, 4.0], 2, 0, 5, &mut out);
        place(&[5.0, 6.0, 7.0, 8.0, 9.0, 10.0], 3, 2, 5, &mut out);
        assert_eq!(out[..], [1.0, 2.0, 5.0, 6.0, 7.0, 3.0, 4.0, 8.0, 9.0, 10.0]);
    }
}
