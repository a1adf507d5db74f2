//! The classes of the nearest training clips.

use serde::{Deserialize, Serialize};
use vocalics_features::FeatureMatrix;

use super::sample::{Sample, count, single, squared_distance};

/// k nearest neighbours: Euclidean distance, every neighbour one vote.
///
/// The score of a class is `(votes + 1/K) / (k + 1)` for `K` classes, so that none is 0. Of clips at the same distance
/// the one earlier in the list counts as nearer.
///
/// Source: T. Cover and P. Hart, *Nearest neighbor pattern classification*, IEEE Trans. Inf. Theory 13(1), 1967.
/// Reference: `sklearn.neighbors.KNeighborsClassifier(n_neighbors=k)`, the same votes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Neighbours {
    vectors: FeatureMatrix,
    classes: Vec<usize>,
    n_classes: usize,
    k: usize,
}

/// Hyper-parameters of k nearest neighbours to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NeighboursConfig {
    /// Neighbours asked; default 5, 10, 20, 40.
    pub k: Vec<usize>,
}

impl Default for NeighboursConfig {
    fn default() -> Self {
        Self {
            k: vec![5, 10, 20, 40],
        }
    }
}

impl Neighbours {
    pub(super) fn fit(sample: Sample<'_>, k: usize) -> Self {
        Self {
            vectors: sample.vectors.clone(),
            classes: sample.classes.to_vec(),
            n_classes: sample.n_classes,
            k: k.clamp(1, sample.n_clips()),
        }
    }

    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let mut near: Vec<(f64, usize)> = self
            .vectors
            .rows()
            .enumerate()
            .map(|(clip, row)| (squared_distance(row, vector), clip))
            .collect();
        near.select_nth_unstable_by(self.k - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut votes = vec![1.0 / count(self.n_classes); self.n_classes];
        for (_, clip) in &near[..self.k] {
            votes[self.classes[*clip]] += 1.0;
        }
        let total = count(self.k) + 1.0;
        votes
            .into_iter()
            .map(|votes| single((votes / total).ln()))
            .collect()
    }

    /// The training clips, vector and class.
    pub(super) fn parameters(&self) -> usize {
        self.vectors.as_slice().len() + self.classes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::clouds;
    use super::*;

    #[test]
    fn votes_are_those_of_the_nearest() {
        let owned = clouds(&[&[0.0, 0.0], &[4.0, 0.0], &[0.0, 4.0]], 30, 2);
        let fitted = Neighbours::fit(owned.sample(), 7);
        for probe in [[0.5, 0.5], [2.0, 0.1], [1.9, 2.1]] {
            // Sorting everything is the naive way.
            let mut order: Vec<usize> = (0..90).collect();
            order.sort_by(|&a, &b| {
                squared_distance(owned.vectors.row(a), &probe)
                    .total_cmp(&squared_distance(owned.vectors.row(b), &probe))
            });
            let logits = fitted.logits(&probe);
            for (class, logit) in logits.iter().enumerate() {
                let votes = order[..7].iter().filter(|&&i| owned.classes[i] == class);
                let expected = (count(votes.count()) + 1.0 / 3.0) / 8.0;
                assert!((f64::from(*logit).exp() - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn more_neighbours_than_clips_are_all_clips() {
        let owned = clouds(&[&[0.0], &[9.0]], 3, 1);
        let logits = Neighbours::fit(owned.sample(), 100).logits(&[50.0]);
        assert!((logits[0] - logits[1]).abs() < 1e-6);
    }
}
