//! The difference between two recognisers on the same clips.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Interval, SplitMix64, check_resamples, interval};
use crate::predictions::same_test;
use crate::{Confusion, EvalError, Predictions};

/// How much more UAR one recogniser has than another, a fraction from −1 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// UAR of the first less that of the second, both pooled.
    pub uar: f64,
    /// Interval of the same; `None` with a single speaker.
    pub interval: Option<Interval>,
}

/// Difference in pooled UAR, `a − b`, with its 95 % percentile interval by the paired bootstrap over speakers.
///
/// Every resample draws as many speakers as there are, with replacement, and takes the difference of both UARs over the clips of
/// the *same* speakers drawn: what makes a speaker hard for both cancels out. The speakers drawn are those that
/// [`bootstrap_intervals`](crate::bootstrap_intervals) draws with the same seed. Exchanging `a` and `b` changes the signs and
/// nothing else.
///
/// # Errors
/// What [`Predictions::validate`] refuses, [`EvalError::NotComparable`] unless both score the same clips of the same folds under one
/// label set, or fewer than 40 resamples.
///
/// Source: B. Efron and R. Tibshirani, *An Introduction to the Bootstrap*, 1993, sections 8.3 and 13.3; M. Bisani and H. Ney, *Bootstrap
/// Estimates for Confidence Intervals in ASR Performance Evaluation*, ICASSP 2004 (pairs of systems).
pub fn paired_difference(
    a: &Predictions,
    b: &Predictions,
    resamples: usize,
    seed: u64,
) -> Result<Difference, EvalError> {
    a.validate()?;
    b.validate()?;
    same_test(a, b)?;
    check_resamples(resamples)?;
    let classes = a.labels.len();
    let mut by_speaker: BTreeMap<&str, [Confusion; 2]> = BTreeMap::new();
    for (which, predictions) in [a, b].into_iter().enumerate() {
        for row in &predictions.rows {
            by_speaker
                .entry(&row.speaker)
                .or_insert_with(|| [Confusion::new(classes), Confusion::new(classes)])[which]
                .add(row.truth, row.predicted());
        }
    }
    let speakers: Vec<[Confusion; 2]> = by_speaker.into_values().collect();
    let difference = |[a, b]: &[Confusion; 2]| Some(a.uar()? - b.uar()?);
    let mut pooled = [Confusion::new(classes), Confusion::new(classes)];
    for of_speaker in &speakers {
        merge(&mut pooled, of_speaker);
    }
    let uar = difference(&pooled).ok_or(EvalError::Empty {
        what: "predictions",
    })?;
    if speakers.len() < 2 {
        return Ok(Difference {
            uar,
            interval: None,
        });
    }
    let mut random = SplitMix64(seed);
    let mut values = Vec::with_capacity(resamples);
    for _ in 0..resamples {
        pooled.iter_mut().for_each(Confusion::clear);
        for _ in 0..speakers.len() {
            merge(&mut pooled, &speakers[random.below(speakers.len())]);
        }
        values.extend(difference(&pooled));
    }
    Ok(Difference {
        uar,
        interval: interval(values),
    })
}

fn merge(pooled: &mut [Confusion; 2], other: &[Confusion; 2]) {
    for (pooled, other) in pooled.iter_mut().zip(other) {
        pooled.merge(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Scored, bootstrap_uar};

    /// Twelve speakers, two classes; whether a clip is recognised follows from `skill`.
    fn table(skill: impl Fn(usize, usize) -> bool) -> Predictions {
        let mut rows = Vec::new();
        for speaker in 0..12 {
            for clip in 0..10 {
                let truth = clip % 2;
                let one = if (truth == 1) == skill(speaker, clip) {
                    0.9
                } else {
                    0.1
                };
                rows.push(Scored {
                    id: format!("{speaker}-{clip}"),
                    speaker: format!("s{speaker:02}"),
                    sex: None,
                    intensity: None,
                    seconds: None,
                    fold: "f".to_owned(),
                    truth,
                    scores: vec![1.0 - one, one],
                });
            }
        }
        Predictions {
            labels: vec!["a".to_owned(), "b".to_owned()],
            rows,
        }
    }

    fn pair() -> (Predictions, Predictions) {
        let a = table(|speaker, clip| clip <= speaker || clip % 3 == 0);
        let b = table(|speaker, clip| clip < speaker || (speaker + clip) % 4 == 0);
        (a, b)
    }

    /// UAR from rows, the long way.
    fn uar(rows: &[&Scored]) -> f64 {
        let recalls = (0..2).filter_map(|class| {
            let of: Vec<_> = rows.iter().filter(|row| row.truth == class).collect();
            let right = of.iter().filter(|row| row.is_correct()).count();
            (!of.is_empty()).then(|| right as f64 / of.len() as f64)
        });
        let recalls: Vec<f64> = recalls.collect();
        recalls.iter().sum::<f64>() / recalls.len() as f64
    }

    #[test]
    fn it_is_what_resampling_rows_gives() {
        let (a, b) = pair();
        let found = paired_difference(&a, &b, 400, 9).unwrap();
        let mut random = SplitMix64(9);
        let mut values: Vec<f64> = (0..400)
            .map(|_| {
                let drawn: Vec<String> = (0..12)
                    .map(|_| format!("s{:02}", random.below(12)))
                    .collect();
                let of = |table: &Predictions| {
                    let rows = drawn
                        .iter()
                        .flat_map(|name| table.rows.iter().filter(move |row| row.speaker == *name));
                    uar(&rows.collect::<Vec<_>>())
                };
                of(&a) - of(&b)
            })
            .collect();
        values.sort_by(f64::total_cmp);
        // 0.025 and 0.975 of the way from the first to the last of 400.
        let between =
            |below: usize, share: f64| values[below] + share * (values[below + 1] - values[below]);
        let interval = found.interval.unwrap();
        assert!((interval.low - between(9, 0.975)).abs() < 1e-12);
        assert!((interval.high - between(389, 0.025)).abs() < 1e-12);
        let all = |table: &Predictions| uar(&table.rows.iter().collect::<Vec<_>>());
        assert!((found.uar - (all(&a) - all(&b))).abs() < 1e-12);
    }

    #[test]
    fn exchanging_both_changes_the_signs_alone() {
        let (a, mut b) = pair();
        b.rows.reverse();
        let (there, back) = (
            paired_difference(&a, &b, 500, 3).unwrap(),
            paired_difference(&b, &a, 500, 3).unwrap(),
        );
        assert!((there.uar + back.uar).abs() < 1e-12);
        let (one, other) = (there.interval.unwrap(), back.interval.unwrap());
        assert!((one.low + other.high).abs() < 1e-12);
        assert!((one.high + other.low).abs() < 1e-12);
    }

    #[test]
    fn the_same_scores_differ_by_nothing_and_pairing_narrows() {
        let (a, b) = pair();
        let same = paired_difference(&a, &a, 200, 1).unwrap();
        let interval = same.interval.unwrap();
        assert!(same.uar.abs() + interval.low.abs() + interval.high.abs() < 1e-12);
        // Both tables are good at the same speakers, so the difference is surer than either.
        let paired = paired_difference(&a, &b, 2000, 1)
            .unwrap()
            .interval
            .unwrap();
        let alone = bootstrap_uar(&a, 2000, 1).unwrap();
        assert!(paired.high - paired.low < 0.8 * (alone.high - alone.low));
    }

    #[test]
    fn other_clips_labels_and_too_few_resamples_are_refused() {
        let (a, b) = pair();
        let refused = |b: &Predictions| {
            let error = paired_difference(&a, b, 100, 1).unwrap_err();
            assert!(matches!(error, EvalError::NotComparable { .. }), "{error}");
            error.to_string()
        };
        let mut fewer = b.clone();
        fewer.rows.pop();
        assert!(refused(&fewer).contains("it lacks 1 of 120 clips"));
        let mut renamed = b.clone();
        renamed.rows[0].id = "x".to_owned();
        assert!(refused(&renamed).contains("11-9") || refused(&renamed).contains("0-0"));
        let mut relabelled = b.clone();
        relabelled.labels[1] = "c".to_owned();
        assert!(refused(&relabelled).contains("label"));
        let mut other = b.clone();
        other.rows[0].truth = 1;
        assert!(refused(&other).contains("0-0"));
        assert!(paired_difference(&a, &b, 10, 1).is_err());
    }

    #[test]
    fn one_speaker_has_a_difference_and_no_interval() {
        let (mut a, mut b) = pair();
        a.rows.retain(|row| row.speaker == "s03");
        b.rows.retain(|row| row.speaker == "s03");
        let found = paired_difference(&a, &b, 100, 1).unwrap();
        assert_eq!(found.interval, None);
    }
}
