//! A known sound, by whose embedding an encoder is known again.

use crate::ModelError;

/// Largest difference of a value of the known sound's embedding, as a share of its largest value.
///
/// Engines and processors add in different order; over the dozens of layers of a large encoder that is far below
/// this, and another front end or another graph is far above.
const TOLERANCE: f32 = 1e-3;

/// One second of a rising tone whose loudness swings, full scale ±1.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a second of samples; values within ±1"
)]
pub(super) fn sound(sample_rate: u32) -> Vec<f32> {
    let rate = f64::from(sample_rate);
    (0..sample_rate as usize)
        .map(|n| {
            let t = n as f64 / rate;
            let tone = (std::f64::consts::TAU * (120.0 + 300.0 * t) * t).sin();
            let level = 0.6 - 0.4 * (std::f64::consts::TAU * 3.0 * t).cos();
            (0.3 * level * tone) as f32
        })
        .collect()
}

/// That two embeddings of the known sound are of the same encoder.
pub(super) fn compare(expected: &[f32], actual: &[f32]) -> Result<(), ModelError> {
    let largest = expected.iter().fold(0.0f32, |most, x| most.max(x.abs()));
    let difference = if expected.len() == actual.len() {
        expected
            .iter()
            .zip(actual)
            .fold(0.0f32, |most, (a, b)| most.max((a - b).abs()))
    } else {
        f32::INFINITY
    };
    let tolerance = TOLERANCE * largest.max(f32::MIN_POSITIVE);
    if difference <= tolerance {
        return Ok(());
    }
    Err(ModelError::EncoderProbe {
        difference,
        tolerance,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_embedding_is_noticed() {
        assert!(compare(&[10.0, 1.0], &[10.0, 1.005]).is_ok());
        assert!(compare(&[10.0, 1.0], &[10.0, 1.02]).is_err());
        assert!(compare(&[10.0, 1.0], &[10.0]).is_err());
        assert!(compare(&[0.0], &[0.0]).is_ok());
    }
}
