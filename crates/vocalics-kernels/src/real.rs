//! The element type of the kernels.

use std::cell::RefCell;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};
use std::thread::LocalKey;

/// Buffers that a thread keeps, the last one used on top.
type Buffers<T> = RefCell<Vec<Vec<T>>>;

/// Takes a buffer off the thread's stack, so that a call within `work` takes the next one.
fn with_buffer<T: Real, R>(
    buffers: &'static LocalKey<Buffers<T>>,
    len: usize,
    work: impl FnOnce(&mut [T]) -> R,
) -> R {
    let mut values = buffers.with_borrow_mut(Vec::pop).unwrap_or_default();
    if values.len() < len {
        values = vec![T::ZERO; len];
    }
    let result = work(&mut values[..len]);
    buffers.with_borrow_mut(|buffers| buffers.push(values));
    result
}

thread_local! {
    static SINGLE: Buffers<f32> = const { RefCell::new(Vec::new()) };
    static DOUBLE: Buffers<f64> = const { RefCell::new(Vec::new()) };
}

/// `f32` or `f64`.
///
/// Training runs in `f32`; gradients are checked against finite differences in `f64`.
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Default
    + std::fmt::Debug
    + std::iter::Sum
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + 'static
{
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The nearest value to `value`.
    fn from_f64(value: f64) -> Self;
    /// The value in double precision.
    fn to_f64(self) -> f64;
    /// Whether the value is not a number.
    fn is_nan(self) -> bool;
    /// Calls `work` with `len` elements of memory that belongs to the thread and is kept for the next
    /// call. What is in it is undefined; calls within `work` get other memory.
    fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R;
    /// Hyperbolic tangent. In single precision a rational function that compilers vectorise.
    fn tanh(self) -> Self;
    /// Logistic function `1 / (1 + e⁻ˣ) = (1 + tanh(x / 2)) / 2`.
    #[inline(always)]
    fn sigmoid(self) -> Self {
        let half = Self::from_f64(0.5);
        (self * half).tanh() * half + half
    }
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R {
        with_buffer(&SINGLE, len, work)
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to f32 is what is asked for"
    )]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    /// `x · p(x²) / q(x²)`, within 4e-7 of the true value anywhere; NaN stays NaN.
    ///
    /// Source: the coefficients of Eigen's `ptanh`, a minimax fit on the range that is not 1 in
    /// single precision.
    #[inline(always)]
    fn tanh(self) -> f32 {
        const LIMIT: f32 = 7.905_311;
        const P: [f32; 7] = [
            -2.760_768_5e-16,
            2.000_188e-13,
            -8.604_672e-11,
            5.122_297e-8,
            1.485_722_4e-5,
            6.372_619_4e-4,
            4.893_525e-3,
        ];
        const Q: [f32; 4] = [1.198_258_4e-6, 1.185_347e-4, 2.268_434_7e-3, 4.893_525e-3];
        // Comparisons rather than `clamp`, so that NaN goes through.
        let x = if self > LIMIT { LIMIT } else { self };
        let x = if x < -LIMIT { -LIMIT } else { x };
        let square = x * x;
        let p = P.iter().fold(0.0, |sum, c| sum * square + c);
        let q = Q.iter().fold(0.0, |sum, c| sum * square + c);
        x * p / q
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.is_nan()
    }
    fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [Self]) -> R) -> R {
        with_buffer(&DOUBLE, len, work)
    }
    fn from_f64(value: f64) -> Self {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn tanh(self) -> f64 {
        f64::tanh(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_kept_and_calls_within_get_other_memory() {
        let outer = f64::with_scratch(5, |outer| {
            outer.fill(1.0);
            let inner = f64::with_scratch(9, |inner| {
                inner.fill(2.0);
                inner.as_ptr()
            });
            assert!(outer.iter().all(|&x| (x - 1.0).abs() < f64::EPSILON));
            assert_ne!(inner, outer.as_ptr());
            assert_eq!(inner, f64::with_scratch(7, |again| again.as_ptr()));
            outer.as_ptr()
        });
        assert_eq!(outer, f64::with_scratch(4, |again| again.as_ptr()));
    }

    #[test]
    fn single_precision_tanh_and_sigmoid_are_close_everywhere() {
        let mut worst = [0.0f64; 2];
        // Every 4099th number of single precision, both signs, subnormal to infinite.
        for bits in (0..=f32::INFINITY.to_bits()).step_by(4099) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                let (tanh, sigmoid) = (Real::tanh(x), Real::sigmoid(x));
                assert!(tanh.abs() <= 1.0 && (0.0..=1.0).contains(&sigmoid), "{x}");
                let wide = f64::from(x);
                worst[0] = worst[0].max((f64::from(tanh) - wide.tanh()).abs());
                let want = 1.0 / (1.0 + (-wide).exp());
                worst[1] = worst[1].max((f64::from(sigmoid) - want).abs());
            }
        }
        assert!(worst[0] < 4e-7 && worst[1] < 2e-7, "{worst:?}");
        assert!(Real::tanh(f32::NAN).is_nan());
        let small = Real::tanh(1e-6f32);
        assert!((small - 1e-6).abs() < 1e-12, "{small}");
    }
}
