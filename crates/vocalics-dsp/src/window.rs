//! Analysis windows.

/// Periodic Hann window of `length` points.
///
/// `w[n] = 0.5 − 0.5 · cos(2πn / length)`
///
/// The periodic form (the symmetric window of `length + 1` points without its last) is the one for
/// spectral analysis: shifted copies add up to a constant. A length of 0 gives an empty vector, 1
/// gives `[1.0]`.
///
/// Reference: `scipy.signal.get_window("hann", length, fftbins=True)`, within 1e-7.
#[must_use]
pub fn hann(length: usize) -> Vec<f32> {
    cosine_window(length, 0.5)
}

/// Periodic Hamming window of `length` points.
///
/// `w[n] = 0.54 − 0.46 · cos(2πn / length)`
///
/// Reference: `scipy.signal.get_window("hamming", length, fftbins=True)`, within 1e-7.
#[must_use]
pub fn hamming(length: usize) -> Vec<f32> {
    cosine_window(length, 0.54)
}

fn cosine_window(length: usize, alpha: f64) -> Vec<f32> {
    if length == 1 {
        return vec![1.0];
    }
    (0..length)
        .map(|n| {
            let phase = std::f64::consts::TAU * n as f64 / length as f64;
            crate::narrow(alpha - (1.0 - alpha) * phase.cos())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hann_matches_known_values() {
        assert!(hann(0).is_empty());
        assert_eq!(hann(1), [1.0]);
        for (a, b) in hann(4).iter().zip([0.0, 0.5, 1.0, 0.5]) {
            assert!((a - b).abs() < 1e-7);
        }
        for (a, b) in hamming(4).iter().zip([0.08, 0.54, 1.0, 0.54]) {
            assert!((a - b).abs() < 1e-7);
        }
    }

    #[test]
    fn shifted_hann_windows_add_up_to_a_constant() {
        let window = hann(640);
        for n in 0..320 {
            assert!((window[n] + window[n + 320] - 1.0).abs() < 1e-6);
        }
    }
}
