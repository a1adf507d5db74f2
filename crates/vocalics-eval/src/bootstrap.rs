//! Confidence intervals by resampling speakers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Confusion, EvalError, Predictions};

/// Probability mass of every interval.
pub const LEVEL: f64 = 0.95;
/// Resamples drawn where nothing else is asked for.
pub const DEFAULT_RESAMPLES: usize = 2000;
/// Fewer resamples than this leave nothing beyond the 2.5th percentile.
pub const MIN_RESAMPLES: usize = 40;

/// A percentile interval of a rate, whose bounds are fractions in `[0, 1]`, or of a difference of two, in `[-1, 1]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound, the `(1 - level) / 2` quantile of the resamples.
    pub low: f64,
    /// Upper bound, the `(1 + level) / 2` quantile of the resamples.
    pub high: f64,
    /// Probability mass, 0.95.
    pub level: f64,
    /// Resamples the quantiles come from (those in which the rate exists).
    pub resamples: usize,
}

/// Intervals of the pooled rates, all from the same resamples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Of the unweighted average recall.
    pub uar: Interval,
    /// Of the accuracy.
    pub war: Interval,
    /// Of the macro-F1.
    pub macro_f1: Interval,
    /// Of every class's recall, in label order; `None` for a class without clips.
    pub recall: Vec<Option<Interval>>,
}

/// 95 % percentile intervals by the bootstrap over speakers.
///
/// Every resample draws as many speakers as there are, with replacement, pools all clips of the speakers
/// drawn (a speaker drawn twice counts twice) and computes the rates. Quantiles interpolate linearly between
/// order statistics. A resample that holds no clip of some class has its UAR and macro-F1 taken over the
/// classes it holds (or predicts), as in [`crate::evaluate`], and is skipped in that class's recall.
///
/// Deterministic: the same table and seed give the same bits on every machine, whatever the order of rows.
/// The intervals describe how the rates vary over speakers given the trained models; they do not include the
/// variation from training again with another seed.
///
/// # Errors
/// What [`Predictions::validate`] refuses, fewer than 2 speakers, or fewer than 40 resamples.
///
/// Source: B. Efron and R. Tibshirani, *An Introduction to the Bootstrap*, 1993, section 13.3; clusters as
/// in A. C. Davison and D. V. Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8.
pub fn bootstrap_intervals(
    predictions: &Predictions,
    resamples: usize,
    seed: u64,
) -> Result<Intervals, EvalError> {
    predictions.validate()?;
    check_resamples(resamples)?;
    let classes = predictions.labels.len();
    let mut by_speaker: BTreeMap<&str, Confusion> = BTreeMap::new();
    for row in &predictions.rows {
        by_speaker
            .entry(&row.speaker)
            .or_insert_with(|| Confusion::new(classes))
            .add(row.truth, row.predicted());
    }
    let speakers: Vec<Confusion> = by_speaker.into_values().collect();
    if speakers.len() < 2 {
        return Err(EvalError::TooFewSpeakers {
            speakers: speakers.len(),
        });
    }

    let mut random = SplitMix64(seed);
    let mut uar = Vec::with_capacity(resamples);
    let mut war = Vec::with_capacity(resamples);
    let mut macro_f1 = Vec::with_capacity(resamples);
    let mut recall = vec![Vec::with_capacity(resamples); classes];
    let mut pooled = Confusion::new(classes);
    for _ in 0..resamples {
        pooled.clear();
        for _ in 0..speakers.len() {
            pooled.merge(&speakers[random.below(speakers.len())]);
        }
        uar.extend(pooled.uar());
        war.extend(pooled.war());
        macro_f1.extend(pooled.macro_f1());
        for (class, values) in recall.iter_mut().enumerate() {
            values.extend(pooled.recall(class));
        }
    }
    let need = |values| {
        interval(values).ok_or(EvalError::Empty {
            what: "predictions",
        })
    };
    Ok(Intervals {
        uar: need(uar)?,
        war: need(war)?,
        macro_f1: need(macro_f1)?,
        recall: recall.into_iter().map(interval).collect(),
    })
}

/// The interval of the pooled UAR; see [`bootstrap_intervals`].
///
/// # Errors
/// As [`bootstrap_intervals`].
pub fn bootstrap_uar(
    predictions: &Predictions,
    resamples: usize,
    seed: u64,
) -> Result<Interval, EvalError> {
    bootstrap_intervals(predictions, resamples, seed).map(|intervals| intervals.uar)
}

/// The interval of the pooled accuracy; see [`bootstrap_intervals`].
///
/// # Errors
/// As [`bootstrap_intervals`].
pub fn bootstrap_war(
    predictions: &Predictions,
    resamples: usize,
    seed: u64,
) -> Result<Interval, EvalError> {
    bootstrap_intervals(predictions, resamples, seed).map(|intervals| intervals.war)
}

/// Refuses fewer resamples than percentiles need.
pub(crate) fn check_resamples(resamples: usize) -> Result<(), EvalError> {
    if resamples < MIN_RESAMPLES {
        return Err(EvalError::TooFewResamples {
            resamples,
            minimum: MIN_RESAMPLES,
        });
    }
    Ok(())
}

/// The percentile interval of resampled values; `None` of nothing.
pub(crate) fn interval(mut values: Vec<f64>) -> Option<Interval> {
    values.sort_by(f64::total_cmp);
    Some(Interval {
        low: quantile(&values, (1.0 - LEVEL) / 2.0)?,
        high: quantile(&values, f64::midpoint(1.0, LEVEL))?,
        level: LEVEL,
        resamples: values.len(),
    })
}

/// Quantile of sorted values, linear between order statistics.
///
/// Reference: `numpy.quantile(values, q)` (method "linear"), within 1e-12.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "q lies in [0, 1] and the number of values far below 2^53"
)]
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q * sorted.len().checked_sub(1)? as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    let share = position - below as f64;
    Some(sorted[below] + share * (sorted[above] - sorted[below]))
}

/// The splitmix64 generator: written out here so that an interval never changes with a dependency.
///
/// Source: G. L. Steele, D. Lea, C. H. Flood, *Fast Splittable Pseudorandom Number Generators*, 2014.
pub(crate) struct SplitMix64(pub(crate) u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`: the high half of a 128-bit product (bias below `n / 2^64`).
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the result is below n, a usize"
    )]
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scored;

    /// `speakers` speakers; speaker `i` gets `i + 1` of `speakers` clips right per class.
    fn table(speakers: usize) -> Predictions {
        let mut rows = Vec::new();
        for speaker in 0..speakers {
            for truth in 0..2 {
                for clip in 0..speakers {
                    let right = clip <= speaker;
                    let one = if (truth == 1) == right { 1.0 } else { 0.0 };
                    rows.push(Scored {
                        id: format!("{speaker}-{truth}-{clip}"),
                        speaker: format!("s{speaker}"),
                        sex: None,
                        intensity: None,
                        seconds: None,
                        fold: "f".to_owned(),
                        truth,
                        scores: vec![1.0 - one, one],
                    });
                }
            }
        }
        Predictions {
            labels: vec!["a".to_owned(), "b".to_owned()],
            rows,
        }
    }

    #[test]
    fn splitmix_matches_the_published_sequence() {
        let mut random = SplitMix64(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn same_seed_same_interval_in_any_order() {
        let mut predictions = table(8);
        let first = bootstrap_intervals(&predictions, 500, 7).unwrap();
        predictions.rows.reverse();
        assert_eq!(first, bootstrap_intervals(&predictions, 500, 7).unwrap());
        assert_ne!(first.uar, bootstrap_uar(&predictions, 500, 8).unwrap());
    }

    #[test]
    fn width_is_that_of_the_mean_over_speakers() {
        // Accuracies 1/20 ... 20/20: standard deviation 0.2883, of the mean 0.0645, times 1.96.
        let interval = bootstrap_war(&table(20), 4000, 1).unwrap();
        let half = (interval.high - interval.low) / 2.0;
        assert!((half - 1.96 * 0.0645).abs() < 0.01, "{half}");
        assert!((f64::midpoint(interval.low, interval.high) - 0.525).abs() < 0.01);
    }

    #[test]
    fn a_class_of_one_speaker_is_skipped_where_absent() {
        let mut predictions = table(4);
        predictions.labels.push("rare".to_owned());
        predictions.labels.push("never".to_owned());
        for row in &mut predictions.rows {
            row.scores.extend([0.0, 0.0]);
        }
        let mut rare = predictions.rows[0].clone();
        rare.id = "rare".to_owned();
        rare.truth = 2;
        rare.scores = vec![0.0, 0.0, 1.0, 0.0];
        predictions.rows.push(rare);
        let intervals = bootstrap_intervals(&predictions, 1000, 3).unwrap();
        let recall = intervals.recall[2].unwrap();
        // One of four speakers is absent from a resample with probability (3/4)^4 = 0.316.
        assert!(
            (600..770).contains(&recall.resamples),
            "{}",
            recall.resamples
        );
        assert!((recall.low - 1.0).abs() < 1e-12);
        assert_eq!(intervals.recall[3], None);
        assert_eq!(intervals.uar.resamples, 1000);
    }

    #[test]
    fn one_speaker_has_no_interval() {
        let predictions = table(1);
        let error = bootstrap_uar(&predictions, 100, 1).unwrap_err();
        assert!(matches!(error, EvalError::TooFewSpeakers { speakers: 1 }));
        let error = bootstrap_uar(&table(3), 10, 1).unwrap_err();
        assert!(matches!(error, EvalError::TooFewResamples { .. }));
    }
}
