//! A bounds-checked door to the `gemm` crate; the only unsafe code of the project.

use crate::Real;

/// A matrix inside a slice: `data[row · row_stride + column · column_stride]`.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> View<'a, T> {
    /// A matrix of `rows` by `columns` elements with the given strides, in elements.
    ///
    /// # Panics
    /// When the last element lies outside `data`.
    #[must_use]
    pub fn new(
        data: &'a [T],
        [rows, columns]: [usize; 2],
        [row_stride, column_stride]: [usize; 2],
    ) -> Self {
        assert_inside(data.len(), [rows, columns], [row_stride, column_stride]);
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride,
        }
    }

    /// The transposed matrix, without moving anything.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Whether a product replaces what the destination holds or is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// The destination is overwritten and need not be initialised.
    Replace,
    /// The product is added to the destination.
    Add,
}

fn assert_inside(len: usize, [rows, columns]: [usize; 2], strides: [usize; 2]) {
    if rows == 0 || columns == 0 {
        return;
    }
    let last = (rows - 1)
        .checked_mul(strides[0])
        .zip((columns - 1).checked_mul(strides[1]))
        .and_then(|(row, column)| row.checked_add(column));
    assert!(
        last.is_some_and(|last| last < len && isize::try_from(len).is_ok()),
        "a {rows} x {columns} matrix with strides {strides:?} does not fit {len} elements"
    );
}

/// `dst = lhs · rhs`, or `dst += lhs · rhs`, on the calling thread.
///
/// # Shapes
/// `lhs` is `[m, k]`, `rhs` is `[k, n]`, `dst` is row-major `[m, n]` with `dst_row_stride`
/// elements from one row to the next.
///
/// # Panics
/// When the shapes do not match, the rows of `dst` overlap or `dst` is too short.
pub fn matmul<T: Real>(
    dst: &mut [T],
    dst_row_stride: usize,
    into: Into,
    lhs: View<'_, T>,
    rhs: View<'_, T>,
) {
    let (m, k, n) = (lhs.rows, lhs.columns, rhs.columns);
    assert_eq!(k, rhs.rows, "the inner dimensions of a product must agree");
    assert!(
        m <= 1 || dst_row_stride >= n,
        "rows of the destination overlap"
    );
    assert_inside(dst.len(), [m, n], [dst_row_stride, 1]);
    if m == 0 || n == 0 {
        return;
    }
    // Strides of checked views are below the slice length, which fits isize.
    let signed = |stride: usize| isize::try_from(stride).unwrap_or(isize::MAX);
    #[expect(unsafe_code, reason = "the gemm crate takes raw pointers")]
    // SAFETY: every element that gemm reads or writes was checked above or in `View::new` to lie
    // inside its slice; `dst` is borrowed mutably, so it overlaps neither operand; T is f32 or f64,
    // types that the gemm crate has kernels for.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            dst.as_mut_ptr(),
            1,
            signed(dst_row_stride),
            into == Into::Add,
            lhs.data.as_ptr(),
            signed(lhs.column_stride),
            signed(lhs.row_stride),
            rhs.data.as_ptr(),
            signed(rhs.column_stride),
            signed(rhs.row_stride),
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn product_matches_the_definition_for_any_strides() {
        let a: Vec<f64> = (0..6).map(f64::from).collect(); // [2, 3]
        let b: Vec<f64> = (0..12).map(|x| f64::from(x) - 4.0).collect(); // [3, 4]
        let mut c = vec![1.0; 2 * 5];
        matmul(
            &mut c,
            5,
            Into::Add,
            View::new(&a, [2, 3], [3, 1]),
            View::new(&b, [3, 4], [4, 1]),
        );
        for i in 0..2 {
            for j in 0..4 {
                let want: f64 = 1.0 + (0..3).map(|k| a[i * 3 + k] * b[k * 4 + j]).sum::<f64>();
                assert!((c[i * 5 + j] - want).abs() < 1e-12);
            }
        }
        let mut d = vec![f64::NAN; 9]; // aᵀ · a, replacing
        let view = View::new(&a, [2, 3], [3, 1]);
        matmul(&mut d, 3, Into::Replace, view.transposed(), view);
        assert!((d[3 + 2] - (1.0 * 2.0 + 4.0 * 5.0)).abs() < 1e-12);
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_view_outside_its_slice_is_refused() {
        let _ = View::new(&[0.0f32; 5], [2, 3], [3, 1]);
    }

    #[test]
    fn an_empty_inner_dimension_gives_zeros() {
        let mut c = vec![f32::NAN; 4];
        let (lhs, rhs) = (
            View::new(&[], [2, 0], [1, 1]),
            View::new(&[], [0, 2], [1, 1]),
        );
        matmul(&mut c, 2, Into::Replace, lhs, rhs);
        assert_eq!(c, vec![0.0; 4]);
    }
}
