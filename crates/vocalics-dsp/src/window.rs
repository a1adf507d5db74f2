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

/// Modified Bessel function of the first kind, order 0, by its power series: a Kaiser window is
/// `I₀(β · √(1 − x²)) / I₀(β)` at `x` from −1 to 1.
///
/// `I₀(x) = Σ ((x² / 4)ᵏ / (k!)²)`; infinite beyond `|x|` of about 713.
///
/// Source: J. F. Kaiser, *Nonrecursive digital filter design using the I₀-sinh window function*, ISCAS 1974.
/// Reference: `scipy.special.i0`, within 1e-14 relative.
#[must_use]
pub fn bessel_i0(x: f64) -> f64 {
    let quarter = 0.25 * x * x;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-17 * sum {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
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
    fn the_bessel_function_is_that_of_scipy() {
        // scipy 1.17.1, scipy.special.i0.
        for (x, expected) in [
            (0.0, 1.0),
            (1.0, 1.266_065_877_752_008_2),
            (-7.857, 374.073_710_869_965_2),
            (30.0, 781_672_297_823.977_5),
            (700.0, 1.529_593_347_671_873_5e302),
        ] {
            assert!((bessel_i0(x) / expected - 1.0).abs() < 1e-14, "{x}");
        }
        assert!(bessel_i0(800.0).is_infinite() && bessel_i0(f64::NAN).is_nan());
    }

    #[test]
    fn shifted_hann_windows_add_up_to_a_constant() {
        let window = hann(640);
        for n in 0..320 {
            assert!((window[n] + window[n + 320] - 1.0).abs() < 1e-6);
        }
    }
}
