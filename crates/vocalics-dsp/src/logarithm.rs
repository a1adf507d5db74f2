//! A natural logarithm with the same bits on every platform.
//!
//! `f32::ln` is whatever the system's mathematics library gives: it differs in the last bit between
//! Linux, macOS, Windows and wasm32, and it does not vectorise. Features that travel between machines
//! are better served by one written out in plain arithmetic.

/// Natural logarithm of a positive, normal, finite number.
///
/// Relative error below 3e-7 (absolute below 1e-7 near 1). The value for zero, subnormal, negative,
/// infinite or NaN input is unspecified; callers apply a floor first.
///
/// Source: S. Moshier, *Cephes Mathematical Library*, `logf` (polynomial on
/// `[√½, √2)`); range reduction on the bits of the exponent.
#[must_use]
#[inline]
pub fn ln(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    let bits = x.to_bits();
    let exponent = bits.wrapping_sub(SQRT_HALF).cast_signed() >> 23;
    let mantissa = f32::from_bits(bits.wrapping_sub((exponent << 23).cast_unsigned())) - 1.0;
    let e = exponent as f32;
    let square = mantissa * mantissa;
    let mut y = 7.037_683_6e-2;
    for coefficient in [
        -1.151_461e-1,
        1.167_699_87e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        y = y * mantissa + coefficient;
    }
    y = y * mantissa * square;
    y += e * -2.121_944_4e-4;
    y -= 0.5 * square;
    (mantissa + y) + e * (355.0 / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_double_precision() {
        let mut x = f32::MIN_POSITIVE;
        while x < 1e38 {
            let expected = f64::from(x).ln();
            let error = (f64::from(ln(x)) - expected).abs();
            assert!(
                error <= 3e-7 * expected.abs().max(0.3),
                "ln({x}): error {error}"
            );
            x *= 1.000_37;
        }
        assert!(ln(1.0).abs() < f32::MIN_POSITIVE);
        assert!((ln(f32::MAX) - 88.722_84).abs() < 1e-4);
    }
}
