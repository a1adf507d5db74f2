//! Linear prediction by Burg's method and by autocorrelation, and the resonances of the predictor.

use realfft::num_complex::Complex;

/// An all-pole model `1 / (1 − Σ a[k]·z⁻ᵏ⁻¹)` and the mean power it leaves unexplained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Predictor {
    /// Coefficients `[order]`: `x[n] ≈ Σ a[k]·x[n−1−k]`.
    pub(crate) coefficients: Vec<f64>,
    /// Mean squared prediction error.
    pub(crate) error: f64,
}

/// Fits a predictor of `order` to a frame by minimising forward and backward errors together.
///
/// A frame of zeros, or one not longer than the order, gives zero coefficients. The model is stable.
///
/// Source: J. P. Burg, *Maximum Entropy Spectral Analysis*, thesis, Stanford, 1975, chapter II.
pub(crate) fn burg(frame: &[f64], order: usize) -> Predictor {
    let mut a = vec![0.0; order];
    let power = frame.iter().map(|x| x * x).sum::<f64>() / frame.len().max(1) as f64;
    let mut model = Predictor {
        coefficients: Vec::new(),
        error: power,
    };
    if power > 0.0 && frame.len() > order {
        let mut forward = frame[1..].to_vec();
        let mut backward = frame[..frame.len() - 1].to_vec();
        let mut previous = a.clone();
        for m in 0..order {
            let (mut cross, mut energy) = (0.0, 0.0);
            for (f, b) in forward.iter().zip(&backward) {
                cross += f * b;
                energy += f * f + b * b;
            }
            if energy <= 0.0 {
                break;
            }
            let reflection = 2.0 * cross / energy;
            model.error *= 1.0 - reflection * reflection;
            previous[..m].copy_from_slice(&a[..m]);
            for k in 0..m {
                a[k] = previous[k] - reflection * previous[m - 1 - k];
            }
            a[m] = reflection;
            let n = forward.len();
            for i in 0..n - 1 {
                // The forward error moves one sample ahead of the backward one at each order.
                let f = forward[i + 1] - reflection * backward[i + 1];
                backward[i] -= reflection * forward[i];
                forward[i] = f;
            }
            forward.truncate(n - 1);
            backward.truncate(n - 1);
        }
    }
    model.coefficients = a;
    model
}

/// Fits a predictor to the autocorrelation `[order + 1]` of a frame, from lag 0 on.
///
/// Without power the coefficients are 0. The model is stable where the lags are those of a sequence.
///
/// Source: J. Durbin, "The Fitting of Time-Series Models", *Review of the International Statistical Institute* 28, 1960.
pub(crate) fn levinson(lags: &[f64]) -> Predictor {
    let order = lags.len().saturating_sub(1);
    let mut a = vec![0.0; order];
    let mut error = lags.first().copied().unwrap_or(0.0);
    for m in 0..order {
        if error <= 0.0 {
            break;
        }
        let known: f64 = (0..m).map(|k| a[k] * lags[m - k]).sum();
        let reflection = (lags[m + 1] - known) / error;
        let before = a[..m].to_vec();
        for k in 0..m {
            a[k] -= reflection * before[m - 1 - k];
        }
        a[m] = reflection;
        error *= 1.0 - reflection * reflection;
    }
    Predictor {
        coefficients: a,
        error,
    }
}

impl Predictor {
    /// Poles of the model with a positive imaginary part, by frequency rising; poles outside the unit
    /// circle are mirrored into it. Coefficients of 0 at the end add poles at 0, which are none.
    pub(crate) fn resonances(&self) -> Vec<Complex<f64>> {
        let order = self.coefficients.iter().rposition(|a| a.abs() > 0.0);
        let coefficients = &self.coefficients[..order.map_or(0, |last| last + 1)];
        let mut poles: Vec<Complex<f64>> = roots(coefficients)
            .into_iter()
            .filter(|z| z.im > 1e-9)
            .map(|z| {
                if z.norm_sqr() > 1.0 {
                    z / z.norm_sqr()
                } else {
                    z
                }
            })
            .collect();
        poles.sort_by(|a, b| a.arg().total_cmp(&b.arg()));
        poles
    }

    /// Power of the model's envelope at `omega` radians per sample.
    pub(crate) fn power(&self, omega: f64) -> f64 {
        let step = Complex::from_polar(1.0, -omega);
        let mut turn = Complex::new(1.0, 0.0);
        let mut sum = turn;
        for a in &self.coefficients {
            turn *= step;
            sum -= turn * a;
        }
        self.error / sum.norm_sqr().max(1e-300)
    }
}

/// Zeros of `zⁿ − a[0]·zⁿ⁻¹ − … − a[n−1]`, all at once.
///
/// Source: O. Aberth, "Iteration methods for finding all zeros of a polynomial simultaneously",
/// *Mathematics of Computation* 27, 1973.
fn roots(a: &[f64]) -> Vec<Complex<f64>> {
    let n = a.len();
    let mut z: Vec<Complex<f64>> = (0..n)
        .map(|k| Complex::from_polar(0.9, std::f64::consts::TAU * (k as f64 + 0.25) / n as f64))
        .collect();
    for _ in 0..100 {
        let mut moved = 0.0_f64;
        for k in 0..n {
            let at = z[k];
            let mut value = Complex::new(1.0, 0.0);
            let mut slope = Complex::new(0.0, 0.0);
            for c in a {
                slope = slope * at + value;
                value = value * at - c;
            }
            if value.norm_sqr() < 1e-28 {
                continue;
            }
            let newton = value / slope;
            let mut repulsion = Complex::new(0.0, 0.0);
            for (j, other) in z.iter().enumerate() {
                if j != k {
                    let gap = at - other;
                    if gap.norm_sqr() > 1e-24 {
                        repulsion += gap.inv();
                    }
                }
            }
            let step = newton / (Complex::new(1.0, 0.0) - newton * repulsion);
            if step.is_finite() {
                z[k] = at - step;
                moved = moved.max(step.norm_sqr());
            }
        }
        if moved < 1e-20 {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_samples, noise};

    #[test]
    fn the_poles_of_a_known_resonator_are_found() {
        let poles = [(0.97, 0.3), (0.95, 0.9), (0.98, 1.9)];
        let mut polynomial = vec![1.0];
        for (radius, angle) in poles {
            let factor: [f64; 3] = [1.0, -2.0 * radius * f64::cos(angle), radius * radius];
            let mut product = vec![0.0; polynomial.len() + 2];
            for (i, p) in polynomial.iter().enumerate() {
                for (j, q) in factor.iter().enumerate() {
                    product[i + j] += p * q;
                }
            }
            polynomial = product;
        }
        let a: Vec<f64> = polynomial[1..].iter().map(|c| -c).collect();
        let mut x: Vec<f64> = noise(20_000, 1).into_iter().map(f64::from).collect();
        for n in 0..x.len() {
            for (k, c) in a.iter().enumerate() {
                if n > k {
                    x[n] += c * x[n - 1 - k];
                }
            }
        }
        let lags: Vec<f64> = (0..=6)
            .map(|lag| x.iter().zip(&x[lag..]).map(|(a, b)| a * b).sum())
            .collect();
        for model in [burg(&x, 6), levinson(&lags)] {
            for (found, (radius, angle)) in model.resonances().iter().zip(poles) {
                assert!((found.norm() - radius).abs() < 0.01, "{found}");
                assert!((found.arg() - angle).abs() < 0.01, "{found}");
            }
            assert!(model.power(0.3) > 10.0 * model.power(0.6));
        }
    }

    #[test]
    fn lags_of_silence_and_of_a_constant_are_no_trouble() {
        for lags in [vec![], vec![0.0; 12], vec![3.0; 12]] {
            let model = levinson(&lags);
            assert_eq!(model.coefficients.len(), lags.len().saturating_sub(1));
            assert!(model.coefficients.iter().all(|a| a.is_finite()));
        }
    }

    #[test]
    fn frames_without_information_are_flat() {
        for frame in [vec![], vec![0.0; 50], vec![1.0; 3]] {
            let model = burg(&frame, 8);
            assert!(model.coefficients.iter().all(|a| a.abs() < 1e-12));
            assert!(model.resonances().is_empty());
        }
    }

    proptest::proptest! {
        #[test]
        fn finite_and_stable_on_any_input(samples in any_samples(0..300), order in 1_usize..=40) {
            let frame: Vec<f64> = samples.into_iter().map(f64::from).collect();
            let model = burg(&frame, order);
            proptest::prop_assert_eq!(model.coefficients.len(), order);
            proptest::prop_assert!(model.coefficients.iter().all(|a| a.is_finite()));
            proptest::prop_assert!(model.error.is_finite() && model.error >= 0.0, "{}", model.error);
            for pole in model.resonances() {
                proptest::prop_assert!(pole.norm() <= 1.0 + 1e-9, "{pole}");
                proptest::prop_assert!(model.power(pole.arg()).is_finite());
            }
        }
    }
}
