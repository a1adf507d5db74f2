//! Logits to probabilities.

/// Probabilities of logits divided by a temperature.
///
/// `p_i = exp(z_i / T) / Σ_j exp(z_j / T)`, computed in f64 after subtracting the largest logit.
///
/// # Shapes
///
/// `[n_classes]` to `[n_classes]`.
///
/// Source: C. Guo et al., *On Calibration of Modern Neural Networks*, 2017, section 4.2.
///
/// ```
/// let scores = vocalics_runtime::softmax_with_temperature(&[1.0, 1.0], 2.0);
/// assert_eq!(scores, [0.5, 0.5]);
/// ```
#[must_use]
pub fn softmax_with_temperature(logits: &[f32], temperature: f32) -> Vec<f32> {
    let temperature = f64::from(temperature);
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials: Vec<f64> = logits
        .iter()
        .map(|&logit| ((f64::from(logit) - f64::from(largest)) / temperature).exp())
        .collect();
    let sum: f64 = exponentials.iter().sum();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share between 0 and 1 fits f32"
    )]
    let shares = exponentials
        .iter()
        .map(|value| (value / sum) as f32)
        .collect();
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temperature_flattens_and_large_logits_do_not_overflow() {
        let sharp = softmax_with_temperature(&[2.0, 0.0, -1.0], 1.0);
        let flat = softmax_with_temperature(&[2.0, 0.0, -1.0], 3.0);
        assert!(sharp[0] > flat[0] && flat[0] > flat[1] && flat[1] > flat[2]);
        let huge = softmax_with_temperature(&[3e38, -3e38], 0.1);
        assert!((huge[0] - 1.0).abs() < 1e-6 && huge[1].abs() < 1e-6);
        // exp(2) / (exp(2) + exp(0) + exp(-1))
        assert!((sharp[0] - 0.843_794_7).abs() < 1e-6, "{sharp:?}");
    }
}
