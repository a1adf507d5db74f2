//! Trees one after the other, each mending what those before got wrong.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::bins::Binned;
use super::sample::{Sample, count, log_sum_exp, single};
use super::tree::{Growth, Target, Tree, grow};

/// Penalty on the squared values of leaves.
const PENALTY: f64 = 1.0;
/// Least sum of Hessians in a leaf.
const LEAST_WEIGHT: f64 = 1.0;

/// Gradient boosting of the multinomial likelihood: in every round one tree per class, its leaves by a Newton step.
///
/// Source: J. Friedman, *Greedy Function Approximation: A Gradient Boosting Machine*, Annals of Statistics 29(5), 2001, and *Stochastic
/// Gradient Boosting*, 2002; leaves and gain as in T. Chen and C. Guestrin, *XGBoost*, KDD 2016, equations 5 to 7.
/// Reference: `sklearn.ensemble.HistGradientBoostingClassifier`, UAR in docs/comparison.md.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Boosting {
    start: Vec<f32>,
    /// `[rounds][n_classes]`
    rounds: Vec<Vec<Tree>>,
}

/// Hyper-parameters of gradient boosting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoostingConfig {
    /// Rounds, to choose from; default 50, 100, 200.
    pub rounds: Vec<usize>,
    /// Share of each tree's step that is taken; default 0.1.
    pub learning_rate: f64,
    /// Splits on the way to a leaf, at most; default 4.
    pub depth: usize,
    /// Share of the clips drawn for every round; default 0.7.
    pub clips: f64,
    /// Share of the features drawn for every split; default 0.3.
    pub features: f64,
}

impl Default for BoostingConfig {
    fn default() -> Self {
        Self {
            rounds: vec![50, 100, 200],
            learning_rate: 0.1,
            depth: 4,
            clips: 0.7,
            features: 0.3,
        }
    }
}

struct Slopes<'a> {
    /// Minus gradient and Hessian of each clip.
    of_clips: &'a [(f64, f64)],
}

impl Target for Slopes<'_> {
    fn width(&self) -> usize {
        2
    }

    fn add(&self, clip: usize, sums: &mut [f64]) {
        let (gradient, hessian) = self.of_clips[clip];
        sums[0] += gradient;
        sums[1] += hessian;
    }
}

impl Boosting {
    pub(super) fn fit(
        sample: Sample<'_>,
        config: &BoostingConfig,
        rounds: usize,
        rng: &mut StdRng,
    ) -> Self {
        let (n, k) = (sample.n_clips(), sample.n_classes);
        let binned = Binned::new(sample.vectors);
        let growth = Growth {
            depth: config.depth,
            least_weight: LEAST_WEIGHT,
            penalty: PENALTY,
            features: share_of(sample.n_features(), config.features),
        };
        let start = sample.log_shares();
        let mut scores: Vec<f64> = (0..n).flat_map(|_| start.iter().copied()).collect();
        let mut order: Vec<u32> = (0..u32::try_from(n).unwrap_or(u32::MAX)).collect();
        let drawn = share_of(n, config.clips);
        let mut grown = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            for i in 0..drawn {
                let other = rng.random_range(i..n);
                order.swap(i, other);
            }
            let probabilities: Vec<f64> = scores
                .chunks_exact(k)
                .flat_map(|row| {
                    let total = log_sum_exp(row);
                    row.iter().map(move |x| (x - total).exp())
                })
                .collect();
            let mut trees = Vec::with_capacity(k);
            for class in 0..k {
                let of_clips: Vec<(f64, f64)> = (0..n)
                    .map(|clip| {
                        let p = probabilities[clip * k + class];
                        let truth = f64::from(u8::from(sample.classes[clip] == class));
                        (truth - p, p * (1.0 - p))
                    })
                    .collect();
                let mut clips = order[..drawn].to_vec();
                let target = Slopes {
                    of_clips: &of_clips,
                };
                let tree = grow(&binned, &target, &mut clips, growth, rng, |sums| {
                    vec![single(config.learning_rate * sums[0] / (sums[1] + PENALTY))]
                });
                for (clip, row) in sample.vectors.rows().enumerate() {
                    scores[clip * k + class] += f64::from(tree.leaf(row)[0]);
                }
                trees.push(tree);
            }
            grown.push(trees);
        }
        Self {
            start: start.into_iter().map(single).collect(),
            rounds: grown,
        }
    }

    /// The first of the rounds: what the same fit gives that ends with them.
    pub(super) fn first(&self, rounds: usize) -> Self {
        Self {
            start: self.start.clone(),
            rounds: self.rounds[..rounds.min(self.rounds.len())].to_vec(),
        }
    }

    pub(super) fn n_rounds(&self) -> usize {
        self.rounds.len()
    }

    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let mut scores = self.start.clone();
        for trees in &self.rounds {
            for (score, tree) in scores.iter_mut().zip(trees) {
                *score += tree.leaf(vector)[0];
            }
        }
        scores
    }

    pub(super) fn parameters(&self) -> usize {
        let trees = self.rounds.iter().flatten().map(Tree::parameters);
        self.start.len() + trees.sum::<usize>()
    }
}

/// A share of a number, at least 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count"
)]
fn share_of(n: usize, share: f64) -> usize {
    ((count(n) * share).ceil() as usize).clamp(1, n)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::sample::tests::{clouds, xor};
    use super::*;

    fn fit(sample: Sample<'_>, rounds: usize) -> Boosting {
        let mut rng = StdRng::seed_from_u64(1);
        Boosting::fit(sample, &BoostingConfig::default(), rounds, &mut rng)
    }

    #[test]
    fn opposite_corners_are_told_apart() {
        let (train, test) = (xor(60, 7), xor(200, 8));
        let boosting = fit(train.sample(), 60);
        let right = test
            .vectors
            .rows()
            .zip(&test.classes)
            .filter(|(row, class)| {
                let logits = boosting.logits(row);
                logits[**class] > logits[1 - **class]
            });
        let right = right.count();
        assert!(right > 780, "{right} of 800");
    }

    #[test]
    fn the_first_rounds_are_those_of_a_shorter_fit() {
        let train = xor(20, 7);
        let long = fit(train.sample(), 12);
        assert_eq!(long.first(5), fit(train.sample(), 5));
        assert_eq!(long.first(99), long);
    }

    #[test]
    fn every_round_lowers_the_loss_on_its_own_clips() {
        let train = clouds(&[&[0.0, 0.0], &[1.5, 0.0], &[0.0, 1.5]], 60, 3);
        let loss = |rounds| {
            let fitted = fit(train.sample(), rounds);
            let rows = train.vectors.rows().zip(&train.classes);
            rows.map(|(row, &class)| {
                let logits: Vec<f64> = fitted.logits(row).into_iter().map(f64::from).collect();
                log_sum_exp(&logits) - logits[class]
            })
            .sum::<f64>()
        };
        let losses = [loss(0), loss(5), loss(20), loss(60)];
        assert!(losses.windows(2).all(|w| w[1] < w[0]), "{losses:?}");
        assert!((losses[0] / 180.0 - 3f64.ln()).abs() < 1e-6);
    }
}
