//! Mixing clips of any classes, with their targets.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_dsp::narrow;

use crate::AugmentError;

/// Draws after which a share is given up: never reached but for concentrations near 0.
const TRIES: usize = 1_000;

/// `share · x + (1 − share) · y` of values and of targets alike.
///
/// Works on feature matrices and targets of one shape. On log-mel it is a mean of levels, not of sounds: which of the two helps is
/// a matter of trying.
///
/// Source: H. Zhang et al., *mixup: beyond empirical risk minimization*, ICLR 2018.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mixup {
    /// Concentration of the Beta distribution that shares are drawn from, above 0 and at most 2.
    pub concentration: f64,
}

impl Default for Mixup {
    /// Within the 0.1 to 0.4 of Zhang et al.
    fn default() -> Self {
        Self { concentration: 0.3 }
    }
}

impl Mixup {
    /// Checks every field.
    ///
    /// # Errors
    /// [`AugmentError::Parameter`].
    pub fn validate(&self) -> Result<(), AugmentError> {
        if self.concentration > 0.0 && self.concentration <= 2.0 {
            return Ok(());
        }
        let expected = "above 0 and at most 2";
        Err(AugmentError::parameter(
            "concentration",
            self.concentration,
            expected,
        ))
    }

    /// The share of the first: the larger of the two, 0.5 to 1, from a symmetric Beta distribution.
    ///
    /// By Jöhnk's method, which is exact for every concentration and slow for large ones.
    pub fn draw(&self, rng: &mut StdRng) -> f32 {
        let power = 1.0 / self.concentration;
        let share = (0..TRIES).find_map(|_| {
            let x = rng.random::<f64>().powf(power);
            let y = rng.random::<f64>().powf(power);
            (x + y > 0.0 && x + y <= 1.0).then(|| x / (x + y))
        });
        let share = share.unwrap_or(1.0);
        narrow(share.max(1.0 - share))
    }
}

/// Mixes `other` into `values`.
///
/// # Errors
/// [`AugmentError::Shape`] unless both are of one length.
pub fn mix(values: &mut [f32], other: &[f32], share: f32) -> Result<(), AugmentError> {
    if values.len() != other.len() {
        return Err(AugmentError::Shape {
            expected: values.len(),
            actual: other.len(),
        });
    }
    for (x, y) in values.iter_mut().zip(other) {
        *x = share * *x + (1.0 - share) * y;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn shares_have_the_spread_of_the_beta_distribution() {
        let mut rng = StdRng::seed_from_u64(1);
        for concentration in [0.1, 0.3, 1.0, 2.0] {
            let mixup = Mixup { concentration };
            mixup.validate().unwrap();
            let shares: Vec<f64> = (0..20_000)
                .map(|_| f64::from(mixup.draw(&mut rng)))
                .collect();
            assert!(shares.iter().all(|share| (0.5..=1.0).contains(share)));
            // Var Beta(a, a) = 1 / (4 (2a + 1)), about 1/2.
            let variance = shares.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 0.25 / (2.0 * concentration + 1.0);
            assert!(
                (variance / expected - 1.0).abs() < 0.03,
                "{concentration}: {variance}"
            );
        }
    }

    #[test]
    fn values_are_mixed_by_the_share() {
        let mut values = [1.0, 2.0];
        mix(&mut values, &[3.0, 10.0], 0.75).unwrap();
        assert!((values[0] - 1.5).abs() < 1e-6 && (values[1] - 4.0).abs() < 1e-6);
        assert!(mix(&mut values, &[1.0], 0.5).is_err());
        assert!(Mixup { concentration: 0.0 }.validate().is_err());
        assert!(
            Mixup {
                concentration: f64::NAN
            }
            .validate()
            .is_err()
        );
    }
}
