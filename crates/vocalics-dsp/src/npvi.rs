//! Normalised pairwise variability of durations.

/// Normalised pairwise variability index of successive durations, in [0, 200].
///
/// `100 / (m − 1) · Σ |d[k] − d[k+1]| / ((d[k] + d[k+1]) / 2)`
///
/// Equal durations give 0; English vowels are about 57, French 43. Durations that are not finite and
/// above 0 are left out first; fewer than two give 0.
///
/// Source: E. Grabe, E. L. Low, *Durational variability in speech and the rhythm class hypothesis*,
/// Laboratory Phonology 7, 2002.
#[must_use]
pub fn npvi(durations: &[f64]) -> f64 {
    let durations: Vec<f64> = durations
        .iter()
        .copied()
        .filter(|d| d.is_normal() && *d > 0.0)
        .collect();
    if durations.len() < 2 {
        return 0.0;
    }
    let sum: f64 = durations
        .windows(2)
        // Halves before adding, so that nothing overflows.
        .map(|pair| (pair[0] - pair[1]).abs() / f64::midpoint(pair[0], pair[1]))
        .sum();
    100.0 * sum / (durations.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_series_have_known_values() {
        assert!(npvi(&[0.2; 9]).abs() < 1e-12);
        // |1 − 3| / 2 = 1 for every pair.
        assert!((npvi(&[0.1, 0.3, 0.1, 0.3]) - 100.0).abs() < 1e-9);
        assert!((npvi(&[0.1, f64::NAN, 0.3, 0.0]) - 100.0).abs() < 1e-9);
        assert!(npvi(&[]).abs() < 1e-12 && npvi(&[0.1]).abs() < 1e-12);
    }

    proptest::proptest! {
        #[test]
        fn in_range_on_any_input(values in proptest::collection::vec(proptest::num::f64::ANY, 0..40)) {
            proptest::prop_assert!((0.0..=200.001).contains(&npvi(&values)));
        }
    }
}
