//! Powers and decibels.

use crate::error::DspError;
use crate::logarithm::ln;

/// Powers below this count as this: −100 dB.
pub const POWER_FLOOR: f32 = 1e-10;

/// Decibels of a power, reference 1.
///
/// `10 · log10(max(power, 1e-10))`; NaN gives −100 dB.
///
/// Reference: `librosa.power_to_db(x, top_db=None)`, within 1e-4 dB.
#[must_use]
#[inline]
pub fn power_db(power: f32) -> f32 {
    std::f32::consts::LOG10_E * 10.0 * ln(power.max(POWER_FLOOR))
}

/// A power that counts: 0 for what is negative or not finite.
pub(crate) fn clean_power(power: f32) -> f32 {
    if power.is_finite() {
        power.max(0.0)
    } else {
        0.0
    }
}

/// Raises what lies more than `top_db` below the largest value to that level; no change for `None`.
///
/// Reference: the `top_db` of `librosa.power_to_db`, exact.
pub fn limit_range(values_db: &mut [f32], top_db: Option<f32>) {
    let Some(top_db) = top_db else { return };
    let floor = values_db.iter().copied().fold(f32::NEG_INFINITY, f32::max) - top_db;
    for value in values_db {
        *value = value.max(floor);
    }
}

/// Checks a `top_db`, which must be finite and above 0 or absent.
pub(crate) fn check_range(top_db: Option<f32>) -> Result<(), DspError> {
    match top_db {
        Some(top_db) if !(top_db.is_finite() && top_db > 0.0) => {
            let expected = "a finite number above 0";
            Err(DspError::parameter("top_db", expected, top_db))
        }
        _ => Ok(()),
    }
}

/// Refuses a `top_db` where samples arrive in chunks: it depends on the whole clip.
pub(crate) fn no_range_in_stream(top_db: Option<f32>) -> Result<(), DspError> {
    top_db.map_or(Ok(()), |top_db| {
        Err(DspError::parameter(
            "top_db",
            "none for streaming, since it depends on the whole clip",
            top_db,
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_ten_are_tens_of_decibels() {
        for (power, db) in [
            (1.0, 0.0),
            (100.0, 20.0),
            (1e-3, -30.0),
            (0.0, -100.0),
            (-1.0, -100.0),
            (f32::NAN, -100.0),
        ] {
            assert!((power_db(power) - db).abs() < 1e-4, "{power}");
        }
    }

    #[test]
    fn the_range_is_limited_from_below() {
        let mut values = [0.0, -90.0, -30.0];
        for (top_db, lowest) in [(None, -90.0), (Some(80.0), -80.0)] {
            limit_range(&mut values, top_db);
            for (value, expected) in values.iter().zip([0.0, lowest, -30.0]) {
                assert!((value - expected).abs() < 1e-6, "{values:?}");
            }
        }
        limit_range(&mut [], Some(80.0));
    }
}
