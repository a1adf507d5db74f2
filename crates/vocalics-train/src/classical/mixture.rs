//! A mixture of Gaussians for every class.

use std::f64::consts::TAU;

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::sample::{Sample, count, log_sum_exp, squared_distance};

/// Gain in mean log-likelihood per clip below which the mixture counts as found.
const TOLERANCE: f64 = 1e-3;

/// Gaussian mixtures with diagonal covariances, one per class, and Bayes' rule.
///
/// The score of a class is the logarithm of its share of the training clips plus that of its mixture's density. Centres begin at clips
/// drawn as in k-means++. No variance is below `floor`.
///
/// Source: D. Reynolds and R. Rose, *Robust text-independent speaker identification using Gaussian mixture speaker models*, IEEE Trans. Speech
/// and Audio Processing 3(1), 1995 (with its variance floor); start: D. Arthur and S. Vassilvitskii, *k-means++*, SODA 2007.
/// Reference: `sklearn.mixture.GaussianMixture(covariance_type="diag")`; with one component the densities agree within 1e-3.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mixture {
    classes: Vec<Density>,
}

/// Hyper-parameters of Gaussian mixtures to choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MixtureConfig {
    /// Gaussians of a class; default 1, 2, 4, 8.
    pub components: Vec<usize>,
    /// Least variance, of features that have variance 1 over all training clips; default 0.05, 0.3.
    pub floor: Vec<f64>,
    /// Most steps of expectation maximisation; default 100.
    pub iterations: usize,
}

impl Default for MixtureConfig {
    fn default() -> Self {
        Self {
            components: vec![1, 2, 4, 8],
            floor: vec![0.05, 0.3],
            iterations: 100,
        }
    }
}

/// A class: its share, and the mixture of its vectors.
#[derive(Debug, Clone, PartialEq)]
struct Density {
    log_share: f64,
    components: Vec<Component>,
}

#[derive(Debug, Clone, PartialEq)]
struct Component {
    log_weight: f64,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Component {
    /// Logarithm of weight times density.
    fn log_density(&self, vector: &[f32]) -> f64 {
        let terms = self.mean.iter().zip(&self.variance).zip(vector);
        let sum: f64 = terms
            .map(|((mean, variance), &x)| {
                (f64::from(x) - mean).powi(2) / variance + (TAU * variance).ln()
            })
            .sum();
        self.log_weight - sum / 2.0
    }
}

impl Mixture {
    pub(super) fn fit(
        sample: Sample<'_>,
        components: usize,
        floor: f64,
        iterations: usize,
        rng: &mut StdRng,
    ) -> Self {
        let classes = sample
            .log_shares()
            .into_iter()
            .enumerate()
            .map(|(class, log_share)| {
                let rows: Vec<&[f32]> = sample
                    .of_class(class)
                    .into_iter()
                    .map(|clip| sample.vectors.row(clip))
                    .collect();
                Density {
                    log_share,
                    components: expectation_maximisation(&rows, components, floor, iterations, rng),
                }
            })
            .collect();
        Self { classes }
    }

    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let scores: Vec<f64> = self
            .classes
            .iter()
            .map(|class| {
                let densities = class.components.iter().map(|c| c.log_density(vector));
                class.log_share + log_sum_exp(&densities.collect::<Vec<f64>>())
            })
            .collect();
        // Densities of many features leave the range of single precision; their ratios matter alone. A class
        // without clips has no density, and the least score that stays finite.
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        scores
            .into_iter()
            .map(|score| super::sample::single((score - most).max(-1e6)))
            .collect()
    }

    pub(super) fn parameters(&self) -> usize {
        let of_class = |class: &Density| {
            let components = class.components.iter();
            1 + components.map(|c| 1 + 2 * c.mean.len()).sum::<usize>()
        };
        self.classes.iter().map(of_class).sum()
    }
}

fn expectation_maximisation(
    rows: &[&[f32]],
    components: usize,
    floor: f64,
    iterations: usize,
    rng: &mut StdRng,
) -> Vec<Component> {
    if rows.is_empty() {
        return Vec::new();
    }
    let components = components.clamp(1, rows.len());
    let mut shares = first_shares(rows, components, rng);
    let mut last = f64::NEG_INFINITY;
    let mut found = maximise(rows, &shares, components, floor);
    for _ in 0..iterations {
        let mut likelihood = 0.0;
        for (row, shares) in rows.iter().zip(shares.chunks_exact_mut(components)) {
            let densities: Vec<f64> = found.iter().map(|c| c.log_density(row)).collect();
            let total = log_sum_exp(&densities);
            likelihood += total;
            for (share, density) in shares.iter_mut().zip(densities) {
                *share = (density - total).exp();
            }
        }
        likelihood /= count(rows.len());
        if likelihood - last < TOLERANCE {
            break;
        }
        last = likelihood;
        found = maximise(rows, &shares, components, floor);
    }
    found
}

/// Every clip to the nearest of some clips drawn far from each other.
fn first_shares(rows: &[&[f32]], components: usize, rng: &mut StdRng) -> Vec<f64> {
    let mut centres = vec![rng.random_range(0..rows.len())];
    let mut nearest: Vec<(f64, usize)> = rows
        .iter()
        .map(|row| (squared_distance(row, rows[centres[0]]), 0))
        .collect();
    while centres.len() < components {
        let total: f64 = nearest.iter().map(|(distance, _)| distance).sum();
        let mut left = rng.random::<f64>() * total;
        let drawn = nearest.iter().position(|(distance, _)| {
            left -= distance;
            left < 0.0
        });
        let drawn = drawn.unwrap_or(rows.len() - 1);
        for (at, row) in nearest.iter_mut().zip(rows) {
            let distance = squared_distance(row, rows[drawn]);
            if distance < at.0 {
                *at = (distance, centres.len());
            }
        }
        centres.push(drawn);
    }
    let mut shares = vec![0.0; rows.len() * components];
    for (clip, (_, centre)) in nearest.into_iter().enumerate() {
        shares[clip * components + centre] = 1.0;
    }
    shares
}

/// The likeliest mixture when each clip belongs to the components by the given shares `[n_clips, components]`.
fn maximise(rows: &[&[f32]], shares: &[f64], components: usize, floor: f64) -> Vec<Component> {
    let d = rows[0].len();
    (0..components)
        .map(|component| {
            let of = |clip: usize| shares[clip * components + component];
            let total = (0..rows.len()).map(of).sum::<f64>().max(f64::MIN_POSITIVE);
            let mut mean = vec![0.0; d];
            for (clip, row) in rows.iter().enumerate() {
                for (m, &x) in mean.iter_mut().zip(*row) {
                    *m += of(clip) / total * f64::from(x);
                }
            }
            let mut variance = vec![0.0; d];
            for (clip, row) in rows.iter().enumerate() {
                for ((v, m), &x) in variance.iter_mut().zip(&mean).zip(*row) {
                    *v += of(clip) / total * (f64::from(x) - m).powi(2);
                }
            }
            variance.iter_mut().for_each(|v| *v = v.max(floor));
            Component {
                log_weight: (total / count(rows.len())).ln(),
                mean,
                variance,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::sample::tests::{clouds, xor};
    use super::*;

    fn fit(sample: Sample<'_>, components: usize, floor: f64) -> Mixture {
        let mut rng = StdRng::seed_from_u64(1);
        Mixture::fit(sample, components, floor, 100, &mut rng)
    }

    #[test]
    fn two_clouds_in_a_class_are_found() {
        let mut owned = clouds(&[&[-4.0, 0.0], &[4.0, 1.0], &[0.0, 9.0]], 400, 5);
        owned.classes.iter_mut().for_each(|class| *class /= 2);
        owned.n_classes = 2;
        let mixture = fit(owned.sample(), 2, 0.01);
        let mut means: Vec<&[f64]> = mixture.classes[0]
            .components
            .iter()
            .map(|c| &c.mean[..])
            .collect();
        means.sort_by(|a, b| a[0].total_cmp(&b[0]));
        for (mean, truth) in means.iter().zip([[-4.0, 0.0], [4.0, 1.0]]) {
            assert!(
                (mean[0] - truth[0]).abs() < 0.2 && (mean[1] - truth[1]).abs() < 0.2,
                "{mean:?}"
            );
        }
        for component in &mixture.classes[0].components {
            assert!((component.log_weight.exp() - 0.5).abs() < 0.01);
            assert!(component.variance.iter().all(|v| (v - 1.0).abs() < 0.3));
        }
    }

    #[test]
    fn opposite_corners_need_two_components() {
        let (train, test) = (xor(60, 7), xor(200, 8));
        let of = |components| {
            let mixture = fit(train.sample(), components, 0.01);
            let rows = test.vectors.rows().zip(&test.classes);
            rows.filter(|(row, class)| {
                let logits = mixture.logits(row);
                logits[**class] > logits[1 - **class]
            })
            .count()
        };
        assert!(of(2) > 780 && of(1) < 600, "{} {}", of(2), of(1));
    }

    #[test]
    fn no_variance_is_below_the_floor_and_an_absent_class_stays_finite() {
        let mut owned = clouds(&[&[0.0], &[5.0]], 4, 2);
        owned.vectors.as_mut_slice().fill(2.0);
        owned.n_classes = 3;
        let mixture = fit(owned.sample(), 3, 0.25);
        for component in mixture.classes.iter().flat_map(|class| &class.components) {
            assert!((component.variance[0] - 0.25).abs() < 1e-12);
        }
        let logits = mixture.logits(&[1e9]);
        assert!(logits.iter().all(|x| x.is_finite()), "{logits:?}");
        assert!(logits[2] < -1e5);
    }
}
