//! Many trees, each grown on other clips and features.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::bins::Binned;
use super::sample::{Sample, count, single};
use super::tree::{Growth, Target, Tree, grow};

/// Random forest: trees by the Gini criterion on bootstrap samples, `√n_features` features drawn for every split, shares of
/// the classes in the leaves averaged. The score of a class is the logarithm of its share, mixed with one
/// hundredth of even shares so that it is finite.
///
/// Source: L. Breiman, *Random Forests*, Machine Learning 45, 2001. Features are sorted into 255 bins of equal numbers of clips,
/// as in G. Ke et al., *LightGBM*, NeurIPS 2017.
/// Reference: `sklearn.ensemble.RandomForestClassifier`, UAR within a point.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Forest {
    trees: Vec<Tree>,
    n_classes: usize,
}

/// Hyper-parameters of the random forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForestConfig {
    /// Trees; default 500.
    pub trees: usize,
    /// Fewest clips in a leaf, to choose from; default 1, 4.
    pub least_clips: Vec<usize>,
}

impl Default for ForestConfig {
    fn default() -> Self {
        Self {
            trees: 500,
            least_clips: vec![1, 4],
        }
    }
}

struct Counts<'a> {
    classes: &'a [usize],
    n_classes: usize,
}

impl Target for Counts<'_> {
    fn width(&self) -> usize {
        self.n_classes + 1
    }

    fn add(&self, clip: usize, sums: &mut [f64]) {
        sums[self.classes[clip]] += 1.0;
        sums[self.n_classes] += 1.0;
    }
}

impl Forest {
    pub(super) fn fit(
        sample: Sample<'_>,
        trees: usize,
        least_clips: usize,
        rng: &mut StdRng,
    ) -> Self {
        let (n, n_classes) = (sample.n_clips(), sample.n_classes);
        let binned = Binned::new(sample.vectors);
        let target = Counts {
            classes: sample.classes,
            n_classes,
        };
        let growth = Growth {
            depth: usize::MAX,
            least_weight: count(least_clips.max(1)),
            penalty: 0.0,
            features: sample.n_features().isqrt().max(1),
        };
        let most = u32::try_from(n).unwrap_or(u32::MAX);
        let trees = (0..trees)
            .map(|_| {
                let mut clips: Vec<u32> = (0..n).map(|_| rng.random_range(0..most)).collect();
                grow(&binned, &target, &mut clips, growth, rng, |sums| {
                    let shares = sums[..n_classes].iter();
                    shares.map(|s| single(s / sums[n_classes])).collect()
                })
            })
            .collect();
        Self { trees, n_classes }
    }

    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let mut shares = vec![0.0_f64; self.n_classes];
        for tree in &self.trees {
            for (share, &leaf) in shares.iter_mut().zip(tree.leaf(vector)) {
                *share += f64::from(leaf);
            }
        }
        let even = 1.0 / count(self.n_classes);
        shares
            .into_iter()
            .map(|sum| single((0.99 * sum / count(self.trees.len()) + 0.01 * even).ln()))
            .collect()
    }

    pub(super) fn parameters(&self) -> usize {
        self.trees.iter().map(Tree::parameters).sum()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::sample::tests::xor;
    use super::*;

    #[test]
    fn opposite_corners_are_told_apart() {
        let (train, test) = (xor(60, 7), xor(200, 8));
        let forest = Forest::fit(train.sample(), 100, 1, &mut StdRng::seed_from_u64(1));
        let mut right = 0;
        for (row, &class) in test.vectors.rows().zip(&test.classes) {
            let logits = forest.logits(row);
            assert!((logits.iter().map(|x| x.exp()).sum::<f32>() - 1.0).abs() < 1e-4);
            right += usize::from(logits[class] > logits[1 - class]);
        }
        assert!(right > 770, "{right} of 800");
    }
}
