//! Counts of true against predicted classes, and the rates made of them.

use crate::Predictions;

/// A confusion matrix: `counts[truth][predicted]`.
///
/// All rates are fractions in `[0, 1]`. They are `None` where they would divide by zero, so that a class
/// nobody was tested on never looks like a class that was always missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// An empty matrix for `classes` classes.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self {
            counts: vec![vec![0; classes]; classes],
        }
    }

    /// Counts all rows of a table.
    #[must_use]
    pub fn of(predictions: &Predictions) -> Self {
        let mut confusion = Self::new(predictions.labels.len());
        for row in &predictions.rows {
            confusion.add(row.truth, row.predicted());
        }
        confusion
    }

    /// Counts one clip. Classes outside the matrix are ignored.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        if let Some(cell) = self
            .counts
            .get_mut(truth)
            .and_then(|row| row.get_mut(predicted))
        {
            *cell += 1;
        }
    }

    /// Adds another matrix of the same size.
    pub fn merge(&mut self, other: &Self) {
        for (row, other_row) in self.counts.iter_mut().zip(&other.counts) {
            for (cell, other_cell) in row.iter_mut().zip(other_row) {
                *cell += other_cell;
            }
        }
    }

    /// Sets every count to zero.
    pub fn clear(&mut self) {
        for row in &mut self.counts {
            row.fill(0);
        }
    }

    /// The counts, `[truth][predicted]`.
    #[must_use]
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// The counts, `[truth][predicted]`.
    #[must_use]
    pub fn into_counts(self) -> Vec<Vec<u64>> {
        self.counts
    }

    /// Clips counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Clips of a class.
    #[must_use]
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    /// Clips predicted as a class.
    #[must_use]
    pub fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    /// `TP / (TP + FN)`; `None` for a class without clips.
    #[must_use]
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.counts[class][class], self.support(class))
    }

    /// `TP / (TP + FP)`; `None` for a class never predicted.
    #[must_use]
    pub fn precision(&self, class: usize) -> Option<f64> {
        ratio(self.counts[class][class], self.predicted(class))
    }

    /// `2 TP / (2 TP + FP + FN)`; `None` for a class neither present nor predicted.
    #[must_use]
    pub fn f1(&self, class: usize) -> Option<f64> {
        ratio(
            2 * self.counts[class][class],
            self.support(class) + self.predicted(class),
        )
    }

    /// Unweighted average recall: the mean recall of the classes that have clips.
    ///
    /// Reference: `sklearn.metrics.balanced_accuracy_score`, within 1e-12.
    #[must_use]
    pub fn uar(&self) -> Option<f64> {
        mean((0..self.counts.len()).filter_map(|class| self.recall(class)))
    }

    /// Weighted average recall: the share of clips predicted right, i.e. accuracy.
    ///
    /// Reference: `sklearn.metrics.accuracy_score`, within 1e-12.
    #[must_use]
    pub fn war(&self) -> Option<f64> {
        let right = (0..self.counts.len())
            .map(|class| self.counts[class][class])
            .sum();
        ratio(right, self.total())
    }

    /// Mean F1 of the classes that are present or predicted.
    ///
    /// Reference: `sklearn.metrics.f1_score(average="macro", zero_division=0)`, within 1e-12.
    #[must_use]
    pub fn macro_f1(&self) -> Option<f64> {
        mean((0..self.counts.len()).filter_map(|class| self.f1(class)))
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Arithmetic mean; `None` of nothing.
pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0.0), |(sum, n), value| (sum + value, n + 1.0));
    (n > 0.0).then(|| sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_a_small_matrix() {
        let mut confusion = Confusion::new(3);
        for (truth, predicted) in [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0)] {
            confusion.add(truth, predicted);
        }
        assert_eq!(confusion.counts(), [[2, 1, 0], [1, 1, 0], [0, 0, 0]]);
        assert_eq!(confusion.recall(0), Some(2.0 / 3.0));
        assert_eq!(confusion.precision(1), Some(0.5));
        assert_eq!(
            (confusion.recall(2), confusion.precision(2), confusion.f1(2)),
            (None, None, None)
        );
        assert_eq!(confusion.uar(), Some((2.0 / 3.0 + 0.5) / 2.0));
        assert_eq!(confusion.war(), Some(0.6));
        assert_eq!(Confusion::new(2).uar(), None);
    }
}
