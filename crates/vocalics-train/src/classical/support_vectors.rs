//! Support vector machines with many classes, one against one.

use serde::{Deserialize, Serialize};
use vocalics_features::FeatureMatrix;
use vocalics_kernels::matmul::{Into, View, matmul};

use super::sample::{Sample, single, squared_distance};
use super::smo;

/// How alike two vectors are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kernel {
    /// `aᵀb`
    Linear,
    /// `exp(−gamma ‖a − b‖²)`
    Rbf { gamma: f64 },
}

impl Kernel {
    fn of(self, a: &[f32], b: &[f32]) -> f64 {
        match self {
            Self::Linear => f64::from(a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>()),
            Self::Rbf { gamma } => (-gamma * squared_distance(a, b)).exp(),
        }
    }

    /// Of every pair of clips `[n_clips, n_clips]`.
    fn matrix(self, vectors: &FeatureMatrix) -> Vec<f32> {
        let (n, d) = (vectors.n_frames(), vectors.n_features());
        let view = View::new(vectors.as_slice(), [n, d], [d, 1]);
        let mut products = vec![0.0; n * n];
        matmul(&mut products, n, Into::Replace, view, view.transposed());
        if let Self::Rbf { gamma } = self {
            let squares: Vec<f32> = (0..n).map(|i| products[i * n + i]).collect();
            let gamma = single(gamma);
            for (i, row) in products.chunks_exact_mut(n).enumerate() {
                for (product, square) in row.iter_mut().zip(&squares) {
                    let distance = (squares[i] + square - 2.0 * *product).max(0.0);
                    *product = (-gamma * distance).exp();
                }
            }
        }
        products
    }
}

/// Hyper-parameters of the linear machine to choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SvmLinearConfig {
    /// Cost of a clip on the wrong side; default 0.001, 0.01, 0.1, 1.
    pub c: Vec<f64>,
}

impl Default for SvmLinearConfig {
    fn default() -> Self {
        Self {
            c: vec![0.001, 0.01, 0.1, 1.0],
        }
    }
}

/// Hyper-parameters of the machine with Gaussian kernel to choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SvmRbfConfig {
    /// Cost of a clip on the wrong side; default 1, 4, 16.
    pub c: Vec<f64>,
    /// Factor of the squared distance, in multiples of one over the number of features; default 0.25, 1.
    pub gamma: Vec<f64>,
}

impl Default for SvmRbfConfig {
    fn default() -> Self {
        Self {
            c: vec![1.0, 4.0, 16.0],
            gamma: vec![0.25, 1.0],
        }
    }
}

/// Two classes against each other.
#[derive(Debug, Clone, PartialEq)]
struct Pair {
    /// Wins above 0.
    first: usize,
    /// Wins otherwise.
    second: usize,
    terms: Terms,
    offset: f64,
}

/// What is summed up for a decision.
#[derive(Debug, Clone, PartialEq)]
enum Terms {
    /// One weight per feature, which is what a linear kernel comes to.
    Weights(Vec<f32>),
    /// Place of a support vector, and its coefficient.
    Vectors(Vec<(usize, f32)>),
}

/// One machine for every pair of classes; each votes.
///
/// The score of a class before calibration is its votes plus its summed decisions `s`, squeezed to
/// `s / (3 (|s| + 1))`, so that they order classes of equal votes and no others.
///
/// Source: C. Cortes and V. Vapnik, *Support-Vector Networks*, Machine Learning 20, 1995; one against one: U. Kreßel,
/// *Pairwise classification and support vector machines*, 1999.
/// Reference: `sklearn.svm.SVC(kernel, C=c, gamma=gamma, decision_function_shape="ovr", break_ties=True)`, the same
/// class for all but clips on an edge.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SupportVectors {
    kernel: Kernel,
    /// Training clips that carry a coefficient in any pair; empty with a linear kernel.
    vectors: Option<FeatureMatrix>,
    pairs: Vec<Pair>,
    n_classes: usize,
}

impl SupportVectors {
    pub(super) fn fit(sample: Sample<'_>, kernel: Kernel, c: f64) -> Self {
        let n = sample.n_clips();
        let whole = kernel.matrix(sample.vectors);
        let mut pairs = Vec::new();
        for first in 0..sample.n_classes {
            for second in first + 1..sample.n_classes {
                let clips: Vec<usize> = (0..n)
                    .filter(|&i| [first, second].contains(&sample.classes[i]))
                    .collect();
                let part: Vec<f32> = clips
                    .iter()
                    .flat_map(|&i| clips.iter().map(move |&j| (i, j)))
                    .map(|(i, j)| whole[i * n + j])
                    .collect();
                let positive: Vec<bool> =
                    clips.iter().map(|&i| sample.classes[i] == first).collect();
                let decision = smo::solve(&part, &positive, c);
                let carried: Vec<(usize, f32)> = clips
                    .iter()
                    .zip(&decision.coefficients)
                    .filter(|(_, coefficient)| coefficient.abs() > 0.0)
                    .map(|(&clip, &coefficient)| (clip, single(coefficient)))
                    .collect();
                pairs.push(Pair {
                    first,
                    second,
                    terms: Terms::Vectors(carried),
                    offset: decision.offset,
                });
            }
        }
        let machine = Self {
            kernel,
            vectors: None,
            pairs,
            n_classes: sample.n_classes,
        };
        match kernel {
            Kernel::Linear => machine.with_weights(sample.vectors),
            Kernel::Rbf { .. } => machine.with_vectors(sample.vectors),
        }
    }

    /// Sums the support vectors up.
    fn with_weights(mut self, vectors: &FeatureMatrix) -> Self {
        for pair in &mut self.pairs {
            if let Terms::Vectors(carried) = &pair.terms {
                let mut weights = vec![0.0_f64; vectors.n_features()];
                for &(clip, coefficient) in carried {
                    for (w, &x) in weights.iter_mut().zip(vectors.row(clip)) {
                        *w += f64::from(coefficient) * f64::from(x);
                    }
                }
                pair.terms = Terms::Weights(weights.into_iter().map(single).collect());
            }
        }
        self
    }

    /// Keeps the clips that carry a coefficient, and no others.
    fn with_vectors(mut self, vectors: &FeatureMatrix) -> Self {
        let mut place = vec![None; vectors.n_frames()];
        let mut kept = Vec::new();
        for pair in &mut self.pairs {
            if let Terms::Vectors(carried) = &mut pair.terms {
                for (clip, _) in carried {
                    *clip = *place[*clip].get_or_insert_with(|| {
                        kept.extend_from_slice(vectors.row(*clip));
                        kept.len() / vectors.n_features() - 1
                    });
                }
            }
        }
        self.vectors = FeatureMatrix::new(kept, vectors.n_features()).ok();
        self
    }

    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let alike: Vec<f64> = self
            .vectors
            .iter()
            .flat_map(FeatureMatrix::rows)
            .map(|row| self.kernel.of(row, vector))
            .collect();
        let mut votes = vec![0.0; self.n_classes];
        let mut sums = vec![0.0_f64; self.n_classes];
        for pair in &self.pairs {
            let sum = match &pair.terms {
                Terms::Weights(weights) => self.kernel.of(weights, vector),
                Terms::Vectors(carried) => carried
                    .iter()
                    .map(|&(place, coefficient)| f64::from(coefficient) * alike[place])
                    .sum(),
            };
            let decision = sum - pair.offset;
            votes[if decision > 0.0 {
                pair.first
            } else {
                pair.second
            }] += 1.0;
            sums[pair.first] += decision;
            sums[pair.second] -= decision;
        }
        votes
            .into_iter()
            .zip(sums)
            .map(|(votes, sum)| single(votes + sum / (3.0 * (sum.abs() + 1.0))))
            .collect()
    }

    pub(super) fn parameters(&self) -> usize {
        let vectors = self.vectors.as_ref().map_or(0, |v| v.as_slice().len());
        let pairs = self.pairs.iter().map(|pair| {
            1 + match &pair.terms {
                Terms::Weights(weights) => weights.len(),
                Terms::Vectors(carried) => carried.len(),
            }
        });
        vectors + pairs.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::{clouds, xor};
    use super::*;

    fn right(machine: &SupportVectors, sample: Sample<'_>) -> usize {
        let best =
            |logits: Vec<f32>| (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        let rows = sample.vectors.rows().zip(sample.classes);
        rows.filter(|(row, class)| best(machine.logits(row)) == Some(**class))
            .count()
    }

    #[test]
    fn far_clouds_are_told_apart_and_near_ones_as_well_as_can_be() {
        let centres: [&[f32]; 3] = [&[0.0, 0.0], &[2.0, 0.0], &[0.0, 2.0]];
        let (train, test) = (clouds(&centres, 200, 5), clouds(&centres, 1000, 6));
        for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 0.2 }] {
            let machine = SupportVectors::fit(train.sample(), kernel, 1.0);
            let share = right(&machine, test.sample()) as f64 / 3000.0;
            // Nearest centre, which no method can beat, gets 76.6 % of these.
            let nearest = test
                .vectors
                .rows()
                .zip(&test.classes)
                .filter(|(row, class)| {
                    let near = |c: &usize| squared_distance(row, centres[*c]);
                    (0..3).min_by(|a, b| near(a).total_cmp(&near(b))) == Some(**class)
                });
            let best = nearest.count() as f64 / 3000.0;
            assert!(share > best - 0.015, "{kernel:?}: {share} of {best}");
        }
    }

    #[test]
    fn opposite_corners_need_the_gaussian_kernel() {
        let (train, test) = (xor(60, 7), xor(200, 8));
        let of = |kernel| {
            let machine = SupportVectors::fit(train.sample(), kernel, 1.0);
            right(&machine, test.sample()) as f64 / 800.0
        };
        assert!(of(Kernel::Rbf { gamma: 0.2 }) > 0.98);
        assert!(of(Kernel::Linear) < 0.8);
    }

    #[test]
    fn only_support_vectors_are_kept() {
        let train = clouds(&[&[-9.0], &[9.0]], 50, 9);
        let machine = SupportVectors::fit(train.sample(), Kernel::Rbf { gamma: 0.01 }, 10.0);
        assert!(machine.parameters() < 40, "{}", machine.parameters());
        assert_eq!(right(&machine, train.sample()), 100);
    }

    #[test]
    fn the_kernel_of_all_pairs_is_that_of_each() {
        let train = clouds(&[&[0.0, 1.0, 2.0], &[3.0, 1.0, 0.0]], 9, 4);
        for kernel in [Kernel::Linear, Kernel::Rbf { gamma: 0.3 }] {
            let all = kernel.matrix(&train.vectors);
            for i in 0..18 {
                for j in 0..18 {
                    let one = kernel.of(train.vectors.row(i), train.vectors.row(j));
                    assert!((f64::from(all[i * 18 + j]) - one).abs() < 1e-4);
                }
            }
        }
    }
}
