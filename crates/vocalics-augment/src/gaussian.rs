//! Normally distributed numbers.

use std::f64::consts::TAU;

use rand::Rng;
use rand::rngs::StdRng;
use vocalics_dsp::narrow;

/// Two independent numbers of mean 0 and variance 1.
///
/// Source: G. E. P. Box, M. E. Muller, *Annals of Mathematical Statistics* 29(2), 1958.
pub(crate) fn pair(rng: &mut StdRng) -> [f32; 2] {
    // From (0, 1], whose logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    let (sine, cosine) = (TAU * rng.random::<f64>()).sin_cos();
    [narrow(radius * cosine), narrow(radius * sine)]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn moments_are_those_of_the_normal_distribution() {
        let mut rng = StdRng::seed_from_u64(1);
        let values: Vec<f64> = (0..100_000)
            .flat_map(|_| pair(&mut rng))
            .map(f64::from)
            .collect();
        let moment = |k: i32| values.iter().map(|x| x.powi(k)).sum::<f64>() / 200_000.0;
        // Five standard errors each.
        for (k, expected, tolerance) in [
            (1, 0.0, 0.011),
            (2, 1.0, 0.016),
            (3, 0.0, 0.043),
            (4, 3.0, 0.11),
        ] {
            assert!(
                (moment(k) - expected).abs() < tolerance,
                "{k}: {}",
                moment(k)
            );
        }
    }
}
