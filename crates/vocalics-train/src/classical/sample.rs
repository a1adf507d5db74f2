//! Clips to learn from.

use vocalics_features::FeatureMatrix;

/// Vectors with their classes: all that a method sees of the clips it learns from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample<'a> {
    /// Standardised vectors `[n_clips, n_features]`.
    pub(super) vectors: &'a FeatureMatrix,
    /// Class of each clip `[n_clips]`.
    pub(super) classes: &'a [usize],
    /// Classes there are, seen or not.
    pub(super) n_classes: usize,
}

impl Sample<'_> {
    pub(super) fn n_clips(&self) -> usize {
        self.classes.len()
    }

    pub(super) fn n_features(&self) -> usize {
        self.vectors.n_features()
    }

    /// The clips of a class, in order.
    pub(super) fn of_class(&self, class: usize) -> Vec<usize> {
        (0..self.n_clips())
            .filter(|&clip| self.classes[clip] == class)
            .collect()
    }

    /// Clips of each class `[n_classes]`.
    pub(super) fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.n_classes];
        for &class in self.classes {
            counts[class] += 1;
        }
        counts
    }

    /// Logarithm of each class's share of the clips, one clip in all being added to every class evenly, so that a
    /// class without clips has a finite one.
    pub(super) fn log_shares(&self) -> Vec<f64> {
        let even = 1.0 / count(self.n_classes);
        let total = count(self.n_clips()) + 1.0;
        self.counts()
            .into_iter()
            .map(|clips| ((count(clips) + even) / total).ln())
            .collect()
    }
}

/// A count as a number.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub(super) fn count(n: usize) -> f64 {
    n as f64
}

/// A number to single precision.
#[expect(
    clippy::cast_possible_truncation,
    reason = "single precision is what is stored"
)]
pub(super) fn single(x: f64) -> f32 {
    x as f32
}

/// `ln Σ exp(x)`, without overflow; minus infinity for nothing.
pub(super) fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most.is_infinite() {
        return most;
    }
    most + values.iter().map(|x| (x - most).exp()).sum::<f64>().ln()
}

/// Squared Euclidean distance of two vectors of one length.
pub(super) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let sum =
        |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum() };
    // In pieces, so that rounding does not grow with the number of features.
    a.chunks(16)
        .zip(b.chunks(16))
        .map(|(a, b)| f64::from(sum(a, b)))
        .sum()
}

#[cfg(test)]
pub(super) mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    /// A sample that owns what it holds.
    #[derive(Debug, Clone)]
    pub(in crate::classical) struct Owned {
        pub(in crate::classical) vectors: FeatureMatrix,
        pub(in crate::classical) classes: Vec<usize>,
        pub(in crate::classical) n_classes: usize,
    }

    impl Owned {
        pub(in crate::classical) fn sample(&self) -> Sample<'_> {
            Sample {
                vectors: &self.vectors,
                classes: &self.classes,
                n_classes: self.n_classes,
            }
        }
    }

    /// About normal, mean 0, deviation 1 (sum of twelve even numbers).
    pub(in crate::classical) fn noise(rng: &mut StdRng) -> f32 {
        (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0
    }

    /// Round clouds of deviation 1 around the given centres, `each` clips in each class.
    pub(in crate::classical) fn clouds(centres: &[&[f32]], each: usize, seed: u64) -> Owned {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut values, mut classes) = (Vec::new(), Vec::new());
        for clip in 0..each * centres.len() {
            let class = clip % centres.len();
            values.extend(centres[class].iter().map(|x| x + noise(&mut rng)));
            classes.push(class);
        }
        Owned {
            vectors: FeatureMatrix::new(values, centres[0].len()).unwrap(),
            classes,
            n_classes: centres.len(),
        }
    }

    /// Four clouds at the corners of a square, those across from each other of one class.
    pub(in crate::classical) fn xor(each: usize, seed: u64) -> Owned {
        let corners: [&[f32]; 4] = [&[3.0, 3.0], &[3.0, -3.0], &[-3.0, -3.0], &[-3.0, 3.0]];
        let mut square = clouds(&corners, each, seed);
        square.classes.iter_mut().for_each(|class| *class %= 2);
        square.n_classes = 2;
        square
    }

    #[test]
    fn shares_are_finite_and_sum_to_one() {
        let mut owned = clouds(&[&[0.0], &[1.0]], 3, 1);
        owned.n_classes = 3;
        let shares = owned.sample().log_shares();
        assert!(shares.iter().all(|share| share.is_finite()));
        assert!((shares.iter().map(|x| x.exp()).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(owned.sample().counts(), [3, 3, 0]);
    }

    #[test]
    fn sums_of_exponentials_do_not_overflow() {
        assert!((log_sum_exp(&[1000.0, 1000.0]) - (1000.0 + 2f64.ln())).abs() < 1e-9);
        assert!(log_sum_exp(&[]).is_infinite());
    }
}
