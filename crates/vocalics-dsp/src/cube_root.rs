//! A cube root with the same bits on every platform, as [`logarithm`](crate::logarithm) has a logarithm.

/// Cube root of a positive, normal, finite number.
///
/// Relative error below 2e-7. The value for zero, subnormal, negative, infinite or NaN input is
/// unspecified; callers apply a floor first.
///
/// A third of the bits is about a third of the logarithm, which is right within 3.3 %; three steps of Newton's
/// method square that error each.
///
/// Source: FreeBSD's `cbrtf` (W. Kahan's first guess, and the constant that evens out its error).
#[must_use]
#[inline]
pub fn cube_root(x: f32) -> f32 {
    /// Two thirds of the exponent's bias, less what evens out the error of the first guess.
    const TWO_THIRDS: u32 = 0x2a51_19f2;
    let mut y = f32::from_bits(x.to_bits() / 3 + TWO_THIRDS);
    for _ in 0..3 {
        y = (2.0 * y + x / (y * y)) * (1.0 / 3.0);
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_double_precision() {
        let mut x = f32::MIN_POSITIVE;
        while x < 1e38 {
            let expected = f64::from(x).cbrt();
            let error = (f64::from(cube_root(x)) / expected - 1.0).abs();
            assert!(error <= 2e-7, "cube_root({x}): error {error}");
            x *= 1.000_37;
        }
    }
}
