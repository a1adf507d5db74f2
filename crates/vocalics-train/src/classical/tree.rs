//! Trees that split on one feature at a time, for the forest and for boosting alike.

use rand::Rng;
use rand::rngs::StdRng;

use super::bins::{Binned, MAX_BINS};

/// Clips in a node from which on counting into bins is faster than sorting.
const COUNT_FROM: usize = 96;

/// What a clip adds to the sums of a node.
///
/// The sums of a node are `[S_1 ... S_K, W]`; its score is `Σ_k S_k² / (W + penalty)`, and a split is as good as it
/// raises the sum of the scores. With class counts as `S` and clips as `W` that is the Gini criterion; with gradients
/// and Hessians it is the gain of Newton boosting.
pub(super) trait Target {
    /// Length of the sums.
    fn width(&self) -> usize;
    /// Adds a clip.
    fn add(&self, clip: usize, sums: &mut [f64]);
}

/// How a tree grows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    /// Splits on the way to a leaf, at most.
    pub(super) depth: usize,
    /// Least `W` of a leaf.
    pub(super) least_weight: f64,
    /// Added to `W`.
    pub(super) penalty: f64,
    /// Features drawn for a split; more where none of these splits.
    pub(super) features: usize,
}

/// A node that splits: at most `threshold` goes left.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    feature: u32,
    threshold: f32,
    left: Place,
    right: Place,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Split(u32),
    Leaf(u32),
}

/// Splits, and what stands in the leaves.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    root: Place,
    splits: Vec<Split>,
    /// `[n_leaves, width]`
    leaves: Vec<f32>,
    width: usize,
}

impl Tree {
    /// The leaf that a vector comes to.
    pub(super) fn leaf(&self, vector: &[f32]) -> &[f32] {
        let mut place = self.root;
        loop {
            match place {
                Place::Leaf(leaf) => {
                    let start = leaf as usize * self.width;
                    return &self.leaves[start..start + self.width];
                }
                Place::Split(split) => {
                    let split = self.splits[split as usize];
                    place = if vector[split.feature as usize] <= split.threshold {
                        split.left
                    } else {
                        split.right
                    };
                }
            }
        }
    }

    /// Feature, threshold and two places of every split; the values of every leaf.
    pub(super) fn parameters(&self) -> usize {
        4 * self.splits.len() + self.leaves.len()
    }
}

/// Grows a tree over `clips`, which may name a clip more than once and come out in another order. `leaf` turns the sums
/// of a leaf into its values.
pub(super) fn grow<T: Target>(
    binned: &Binned,
    target: &T,
    clips: &mut [u32],
    growth: Growth,
    rng: &mut StdRng,
    leaf: impl Fn(&[f64]) -> Vec<f32>,
) -> Tree {
    let mut tree = Tree {
        root: Place::Leaf(0),
        splits: Vec::new(),
        leaves: Vec::new(),
        width: 0,
    };
    let mut grower = Grower::new(binned, target, growth);
    // Range of the clips, depth, and where the place is to be written: a split and its side.
    let mut open = vec![(0, clips.len(), 0, None::<(usize, bool)>)];
    while let Some((start, end, depth, parent)) = open.pop() {
        let part = &mut clips[start..end];
        let sums = grower.sums(part);
        let found = if depth < growth.depth {
            grower.best_split(part, &sums, rng)
        } else {
            None
        };
        let place = if let Some(Cut {
            feature,
            below,
            above,
        }) = found
        {
            let column = binned.column(feature);
            let middle = start + partition(part, |clip| column[clip] <= below);
            let edges = &binned.edges[feature];
            let index = tree.splits.len();
            tree.splits.push(Split {
                feature: u32_of(feature),
                threshold: f32::midpoint(edges[usize::from(below)], edges[usize::from(above) - 1]),
                left: Place::Leaf(0),
                right: Place::Leaf(0),
            });
            open.push((middle, end, depth + 1, Some((index, false))));
            open.push((start, middle, depth + 1, Some((index, true))));
            Place::Split(u32_of(index))
        } else {
            let values = leaf(&sums);
            tree.width = values.len();
            let index = tree.leaves.len() / values.len().max(1);
            tree.leaves.extend(values);
            Place::Leaf(u32_of(index))
        };
        match parent {
            None => tree.root = place,
            Some((split, true)) => tree.splits[split].left = place,
            Some((split, false)) => tree.splits[split].right = place,
        }
    }
    tree
}

fn u32_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

/// Moves the clips that `left` holds for to the front and counts them.
fn partition(clips: &mut [u32], left: impl Fn(usize) -> bool) -> usize {
    let mut front = 0;
    for i in 0..clips.len() {
        if left(clips[i] as usize) {
            clips.swap(front, i);
            front += 1;
        }
    }
    front
}

/// Where to split a node: between two bins that hold clips of it and enclose none.
#[derive(Debug, Clone, Copy)]
struct Cut {
    feature: usize,
    below: u8,
    above: u8,
}

/// Memory of a tree's growing.
struct Grower<'a, T> {
    binned: &'a Binned,
    target: &'a T,
    growth: Growth,
    features: Vec<usize>,
    histogram: Vec<f64>,
    filled: Vec<bool>,
    sorted: Vec<(u8, u32)>,
    left: Vec<f64>,
}

impl<'a, T: Target> Grower<'a, T> {
    fn new(binned: &'a Binned, target: &'a T, growth: Growth) -> Self {
        let width = target.width();
        Self {
            binned,
            target,
            growth,
            features: (0..binned.n_features()).collect(),
            histogram: vec![0.0; (MAX_BINS + 1) * width],
            filled: vec![false; MAX_BINS + 1],
            sorted: Vec::new(),
            left: vec![0.0; width],
        }
    }

    fn sums(&self, clips: &[u32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.target.width()];
        for &clip in clips {
            self.target.add(clip as usize, &mut sums);
        }
        sums
    }

    /// Where to split, if that gains anything.
    fn best_split(&mut self, clips: &[u32], total: &[f64], rng: &mut StdRng) -> Option<Cut> {
        if clips.len() < 2 {
            return None;
        }
        let parent = score(total, self.growth.penalty);
        // What rounding may feign.
        let mut best_score = parent * (1.0 + 1e-9) + 1e-9;
        let mut best = None;
        for drawn in 0..self.features.len() {
            if drawn >= self.growth.features && best.is_some() {
                break;
            }
            let other = rng.random_range(drawn..self.features.len());
            self.features.swap(drawn, other);
            let feature = self.features[drawn];
            if let Some((gained, cut)) = self.best_cut(feature, clips, total, best_score) {
                best_score = gained;
                best = Some(cut);
            }
        }
        best
    }

    /// The best place to split a feature at, where it beats `least`.
    fn best_cut(
        &mut self,
        feature: usize,
        clips: &[u32],
        total: &[f64],
        least: f64,
    ) -> Option<(f64, Cut)> {
        let column = self.binned.column(feature);
        let growth = self.growth;
        let mut best = None;
        let mut best_score = least;
        self.left.fill(0.0);
        let mut look = |left: &[f64], below: u8, above: u8| {
            let (weight, all) = (left[left.len() - 1], total[total.len() - 1]);
            if weight >= growth.least_weight && all - weight >= growth.least_weight {
                let sum = split_score(left, total, growth.penalty);
                if sum > best_score {
                    best_score = sum;
                    let cut = Cut {
                        feature,
                        below,
                        above,
                    };
                    best = Some((sum, cut));
                }
            }
        };
        if clips.len() >= COUNT_FROM {
            let width = self.target.width();
            let n_bins = self.binned.edges[feature].len() + 1;
            self.histogram[..n_bins * width].fill(0.0);
            self.filled[..n_bins].fill(false);
            for &clip in clips {
                let bin = usize::from(column[clip as usize]);
                let sums = &mut self.histogram[bin * width..(bin + 1) * width];
                self.target.add(clip as usize, sums);
                self.filled[bin] = true;
            }
            let mut below = None;
            let bins = self.histogram.chunks_exact(width).zip(&self.filled);
            for (bin, (sums, _)) in (0..=u8::MAX).zip(bins.take(n_bins)).filter(|(_, b)| *b.1) {
                if let Some(below) = below {
                    look(&self.left, below, bin);
                }
                for (l, s) in self.left.iter_mut().zip(sums) {
                    *l += s;
                }
                below = Some(bin);
            }
        } else {
            self.sorted.clear();
            self.sorted
                .extend(clips.iter().map(|&clip| (column[clip as usize], clip)));
            self.sorted.sort_unstable();
            for pair in self.sorted.windows(2) {
                let ((bin, clip), (next, _)) = (pair[0], pair[1]);
                self.target.add(clip as usize, &mut self.left);
                if bin < next {
                    look(&self.left, bin, next);
                }
            }
        }
        best
    }
}

fn score(sums: &[f64], penalty: f64) -> f64 {
    let Some((weight, targets)) = sums.split_last() else {
        return 0.0;
    };
    let squares: f64 = targets.iter().map(|s| s * s).sum();
    squares / (weight + penalty).max(f64::MIN_POSITIVE)
}

/// Sum of the scores of both sides.
fn split_score(left: &[f64], total: &[f64], penalty: f64) -> f64 {
    let last = left.len() - 1;
    let (mut a, mut b) = (0.0, 0.0);
    for (l, t) in left[..last].iter().zip(total) {
        a += l * l;
        b += (t - l) * (t - l);
    }
    let right = total[last] - left[last];
    a / (left[last] + penalty).max(f64::MIN_POSITIVE) + b / (right + penalty).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use vocalics_features::FeatureMatrix;

    use super::super::sample::single;
    use super::super::sample::tests::clouds;
    use super::*;

    struct Counts(Vec<usize>);

    impl Target for Counts {
        fn width(&self) -> usize {
            3
        }
        fn add(&self, clip: usize, sums: &mut [f64]) {
            sums[self.0[clip]] += 1.0;
            sums[2] += 1.0;
        }
    }

    const GROWTH: Growth = Growth {
        depth: 1,
        least_weight: 1.0,
        penalty: 0.0,
        features: 2,
    };

    fn stump(vectors: &FeatureMatrix, classes: &[usize], growth: Growth) -> Tree {
        let binned = Binned::new(vectors);
        let mut clips: Vec<u32> = (0..vectors.n_frames()).map(u32_of).collect();
        let mut rng = StdRng::seed_from_u64(1);
        grow(
            &binned,
            &Counts(classes.to_vec()),
            &mut clips,
            growth,
            &mut rng,
            |sums| sums.iter().map(|&x| single(x)).collect(),
        )
    }

    /// Least weighted Gini impurity of any split, by trying all.
    fn naive(vectors: &FeatureMatrix, classes: &[usize]) -> f64 {
        let impurity = |side: &[usize]| {
            let n = side.len() as f64;
            let ones = side.iter().filter(|&&i| classes[i] == 1).count() as f64;
            if side.is_empty() {
                0.0
            } else {
                2.0 * ones * (n - ones) / n
            }
        };
        let mut least = f64::INFINITY;
        for feature in 0..vectors.n_features() {
            for edge in vectors.rows().map(|row| row[feature]) {
                let (left, right): (Vec<usize>, Vec<usize>) =
                    (0..vectors.n_frames()).partition(|&i| vectors.row(i)[feature] <= edge);
                least = least.min(impurity(&left) + impurity(&right));
            }
        }
        least
    }

    #[test]
    fn the_first_split_is_the_best_of_all_whether_counted_or_sorted() {
        for each in [20, 100] {
            let owned = clouds(&[&[0.0, 0.0], &[1.0, 0.3]], each, 11);
            let tree = stump(&owned.vectors, &owned.classes, GROWTH);
            assert_eq!(tree.leaves.len(), 6);
            let gini: f64 = tree
                .leaves
                .chunks(3)
                .map(|l| 2.0 * f64::from(l[0] * l[1] / l[2]))
                .sum();
            let best = naive(&owned.vectors, &owned.classes);
            assert!((gini - best).abs() < 1e-4, "{gini} {best}");
            assert!((tree.leaves[2] + tree.leaves[5] - 2.0 * each as f32).abs() < 1e-3);
        }
    }

    #[test]
    fn a_deep_tree_knows_its_clips() {
        let owned = clouds(&[&[0.0, 0.0], &[0.2, 0.1]], 150, 12);
        let tree = stump(
            &owned.vectors,
            &owned.classes,
            Growth {
                depth: 64,
                ..GROWTH
            },
        );
        for (row, &class) in owned.vectors.rows().zip(&owned.classes) {
            assert!(tree.leaf(row)[1 - class].abs() < 1e-6);
        }
        assert!(tree.parameters() > 100);
    }

    #[test]
    fn nothing_to_split_is_one_leaf() {
        let vectors = FeatureMatrix::new(vec![1.0; 8], 2).unwrap();
        let tree = stump(&vectors, &[0, 1, 0, 1], Growth { depth: 9, ..GROWTH });
        assert_eq!(
            (tree.splits.len(), tree.leaf(&[5.0, 5.0])),
            (0, &[2.0, 2.0, 4.0][..])
        );
    }
}
