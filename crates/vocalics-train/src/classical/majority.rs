//! The class that most training clips have, whatever the clip: what every other method has to beat.

use super::sample::{Sample, single};

/// How often each class came in training.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Majority {
    log_shares: Vec<f32>,
}

impl Majority {
    pub(super) fn fit(sample: Sample<'_>) -> Self {
        let log_shares = sample.log_shares().into_iter().map(single).collect();
        Self { log_shares }
    }

    pub(super) fn logits(&self) -> Vec<f32> {
        self.log_shares.clone()
    }

    pub(super) fn parameters(&self) -> usize {
        self.log_shares.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::clouds;
    use super::*;

    #[test]
    fn the_commonest_class_wins() {
        let mut owned = clouds(&[&[0.0], &[9.0]], 5, 1);
        owned.classes[0] = 1;
        let majority = Majority::fit(owned.sample());
        let logits = majority.logits();
        assert!(logits[1] > logits[0]);
        assert!((logits[1].exp() - 6.5 / 11.0).abs() < 1e-6);
    }
}
