//! The threshold of YIN as a random quantity.

/// A trough of a difference function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trough {
    pub(crate) hz: f64,
    /// Normalised difference at the bottom, 0 for a perfect period.
    pub(crate) depth: f64,
    pub(crate) probability: f64,
}

/// The distribution of the threshold, and how a threshold is shared out.
#[derive(Debug, Clone)]
pub(crate) struct Thresholds {
    /// Probability of threshold `(i + 1) / n_thresholds`.
    masses: Vec<f64>,
    /// `exp(−boltzmann · rank)`, up to where it does not count any more.
    ranks: Vec<f64>,
    no_trough_prob: f64,
}

impl Thresholds {
    /// `n` thresholds up to 1, at least one, with a beta distribution of two shapes of at least 1.
    pub(crate) fn new(n: usize, (a, b): (f64, f64), boltzmann: f64, no_trough_prob: f64) -> Self {
        let density = |x: f64| x.powf(a - 1.0) * (1.0 - x).powf(b - 1.0);
        // Simpson's rule, 16 parts to a threshold.
        let h = 1.0 / (n * 16) as f64;
        let mut masses: Vec<f64> = (0..n)
            .map(|i| {
                (0..8)
                    .map(|k| {
                        let x = (i * 16 + 2 * k) as f64 * h;
                        density(x) + 4.0 * density(x + h) + density((x + 2.0 * h).min(1.0))
                    })
                    .sum()
            })
            .collect();
        let total: f64 = masses.iter().sum();
        masses.iter_mut().for_each(|mass| *mass /= total);
        let ranks = (0..1_000_u32)
            .map(|rank| (-boltzmann * f64::from(rank)).exp())
            .take_while(|weight| *weight > 1e-18)
            .collect();
        Self {
            masses,
            ranks,
            no_trough_prob,
        }
    }

    /// Gives every threshold's probability to troughs, which are sorted by rising period.
    pub(crate) fn share(&self, troughs: &mut [Trough]) {
        let Some(lowest) =
            (0..troughs.len()).min_by(|a, b| troughs[*a].depth.total_cmp(&troughs[*b].depth))
        else {
            return;
        };
        let n = self.masses.len() as f64;
        for (i, mass) in self.masses.iter().enumerate() {
            let threshold = (i + 1) as f64 / n;
            let below = troughs.iter_mut().filter(|trough| trough.depth < threshold);
            let total: f64 = below.zip(&self.ranks).map(|(_, weight)| weight).sum();
            if total > 0.0 {
                let below = troughs.iter_mut().filter(|trough| trough.depth < threshold);
                for (trough, weight) in below.zip(&self.ranks) {
                    trough.probability += mass * weight / total;
                }
            } else {
                troughs[lowest].probability += mass * self.no_trough_prob;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(depths: &[f64], thresholds: &Thresholds) -> Vec<f64> {
        let mut troughs: Vec<Trough> = depths
            .iter()
            .map(|&depth| Trough {
                hz: 100.0,
                depth,
                probability: 0.0,
            })
            .collect();
        thresholds.share(&mut troughs);
        troughs.iter().map(|trough| trough.probability).collect()
    }

    /// Probability of a threshold above `x` under the beta distribution of shapes 2 and 18.
    fn above(x: f64) -> f64 {
        (1.0 - x).powi(19) + 19.0 * x * (1.0 - x).powi(18)
    }

    #[test]
    fn masses_are_those_of_the_beta_distribution() {
        let thresholds = Thresholds::new(100, (2.0, 18.0), 2.0, 0.01);
        for (i, mass) in thresholds.masses.iter().enumerate() {
            let expected = above(i as f64 / 100.0) - above((i + 1) as f64 / 100.0);
            assert!((mass - expected).abs() < 1e-9, "{i}: {mass} {expected}");
        }
        // Uniform.
        let thresholds = Thresholds::new(4, (1.0, 1.0), 2.0, 0.01);
        assert!(thresholds.masses.iter().all(|m| (m - 0.25).abs() < 1e-12));
    }

    #[test]
    fn the_papers_thresholds_take_the_first_trough_below() {
        let thresholds = Thresholds::new(100, (2.0, 18.0), 1_000.0, 0.01);
        let found = shared(&[0.295, 0.095, 0.035], &thresholds);
        let expected = [
            above(0.29),
            above(0.09) - above(0.29),
            above(0.03) - above(0.09) + 0.01 * (1.0 - above(0.03)),
        ];
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-8, "{found:?} {expected:?}");
        }
    }

    #[test]
    fn a_boltzmann_distribution_prefers_short_periods() {
        let thresholds = Thresholds::new(100, (2.0, 18.0), 2.0, 0.01);
        let found = shared(&[0.0, 0.0, 0.0], &thresholds);
        assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for pair in found.windows(2) {
            assert!((pair[1] / pair[0] - (-2.0_f64).exp()).abs() < 1e-12);
        }
        let alike = shared(&[0.0; 4], &Thresholds::new(100, (2.0, 18.0), 0.0, 0.01));
        assert!(alike.iter().all(|p| (p - 0.25).abs() < 1e-12), "{alike:?}");
    }

    #[test]
    fn what_nothing_explains_stays_unassigned() {
        let thresholds = Thresholds::new(100, (2.0, 18.0), 2.0, 0.01);
        assert!(shared(&[], &thresholds).is_empty());
        let found = shared(&[1.3, 1.1], &thresholds);
        assert!(found[0].abs() < 1e-12 && (found[1] - 0.01).abs() < 1e-12);
    }
}
