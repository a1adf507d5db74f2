//! All metrics of one test, as plain numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calibration::{self, ReliabilityBin};
use crate::confusion::mean;
use crate::{Confusion, EvalError, Predictions, Scored};

/// Rates of one class. Fractions in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassMetrics {
    /// The class.
    pub label: String,
    /// Its clips.
    pub support: u64,
    /// Share of its clips that were recognised; `None` without clips.
    pub recall: Option<f64>,
    /// Share of the clips given this label that deserve it; `None` when the label was never given.
    pub precision: Option<f64>,
    /// Harmonic mean of both, `2 TP / (2 TP + FP + FN)`; `None` when neither exists.
    pub f1: Option<f64>,
}

/// Rates of one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldMetrics {
    /// The fold.
    pub fold: String,
    /// Its test clips.
    pub n: u64,
    /// Unweighted average recall over the classes the fold holds.
    pub uar: f64,
    /// Accuracy.
    pub war: f64,
}

/// Rates of one group of clips (a sex, an intensity, a speaker).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupMetrics {
    /// The group.
    pub group: String,
    /// Its clips.
    pub n: u64,
    /// Unweighted average recall over the classes the group holds.
    pub uar: f64,
    /// Accuracy.
    pub war: f64,
    /// Classes the group holds: UARs of groups with different classes do not compare.
    pub classes: usize,
}

/// Everything [`evaluate`] measures. Rates are fractions in `[0, 1]`, not percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Class names, in the order of `per_class` and `confusion`.
    pub labels: Vec<String>,
    /// Clips measured.
    pub n: u64,
    /// Speakers measured.
    pub speakers: usize,
    /// Unweighted average recall (macro recall, UA) over the predictions of all folds pooled: the headline.
    pub uar: f64,
    /// Weighted average recall, i.e. accuracy (WA), pooled.
    pub war: f64,
    /// Mean F1 of the classes present or predicted, pooled.
    pub macro_f1: f64,
    /// Mean of the folds' UARs (the convention of EmoBox).
    pub mean_fold_uar: f64,
    /// Mean of the folds' accuracies.
    pub mean_fold_war: f64,
    /// Sample standard deviation (`n - 1`) of the folds' UARs; `None` for a single fold.
    pub std_fold_uar: Option<f64>,
    /// Sample standard deviation (`n - 1`) of the folds' accuracies; `None` for a single fold.
    pub std_fold_war: Option<f64>,
    /// Expected calibration error, 15 equal-width bins of the top score.
    pub ece: f64,
    /// Brier score of many classes, `mean_i sum_k (p_ik - y_ik)^2`, in `[0, 2]`.
    pub brier: f64,
    /// Negative log-likelihood in nats.
    pub nll: f64,
    /// Accuracy on the half of the clips the model is surest of.
    pub accuracy_at_50: f64,
    /// Accuracy on the 80 % of the clips the model is surest of.
    pub accuracy_at_80: f64,
    /// Recall, precision and F1 of every class.
    pub per_class: Vec<ClassMetrics>,
    /// Clips by true class (outer) and predicted class (inner).
    pub confusion: Vec<Vec<u64>>,
    /// Rates by fold, in natural order of the names.
    pub per_fold: Vec<FoldMetrics>,
    /// Rates by sex of the speaker; empty when no clip states it.
    pub per_sex: Vec<GroupMetrics>,
    /// Rates by intensity; empty when no clip states it.
    pub per_intensity: Vec<GroupMetrics>,
    /// Rates by speaker.
    pub per_speaker: Vec<GroupMetrics>,
    /// The bars of the reliability diagram.
    pub reliability: Vec<ReliabilityBin>,
}

/// Measures a table of predictions.
///
/// The predicted class is the one with the highest score (the first, if several are equal). A class without
/// clips does not enter the UAR, in groups and folds too; it is reported with `recall: None`. Clips that do
/// not state a sex or an intensity are left out of that breakdown.
///
/// # Errors
/// What [`Predictions::validate`] refuses.
pub fn evaluate(predictions: &Predictions) -> Result<Metrics, EvalError> {
    predictions.validate()?;
    let rows = &predictions.rows;
    let labels = &predictions.labels;
    let confusion = Confusion::of(predictions);
    let rate = |value: Option<f64>| {
        value.ok_or(EvalError::Empty {
            what: "predictions",
        })
    };

    let by = |key: &dyn Fn(&Scored) -> Option<&str>| -> Result<Vec<GroupMetrics>, EvalError> {
        let mut groups: BTreeMap<&str, Confusion> = BTreeMap::new();
        for row in rows {
            if let Some(group) = key(row) {
                groups
                    .entry(group)
                    .or_insert_with(|| Confusion::new(labels.len()))
                    .add(row.truth, row.predicted());
            }
        }
        let mut groups = groups
            .into_iter()
            .map(|(group, counts)| {
                Ok(GroupMetrics {
                    group: group.to_owned(),
                    n: counts.total(),
                    uar: rate(counts.uar())?,
                    war: rate(counts.war())?,
                    classes: (0..labels.len()).filter(|&c| counts.support(c) > 0).count(),
                })
            })
            .collect::<Result<Vec<_>, EvalError>>()?;
        groups.sort_by(|a, b| natural(&a.group, &b.group));
        Ok(groups)
    };

    let per_fold: Vec<FoldMetrics> = by(&|row| Some(&row.fold))?
        .into_iter()
        .map(
            |GroupMetrics {
                 group, n, uar, war, ..
             }| FoldMetrics {
                fold: group,
                n,
                uar,
                war,
            },
        )
        .collect();
    let per_speaker = by(&|row| Some(&row.speaker))?;
    let per_class = labels
        .iter()
        .enumerate()
        .map(|(class, label)| ClassMetrics {
            label: label.clone(),
            support: confusion.support(class),
            recall: confusion.recall(class),
            precision: confusion.precision(class),
            f1: confusion.f1(class),
        })
        .collect();
    let reliability = calibration::reliability(rows);
    let fold_uar: Vec<f64> = per_fold.iter().map(|fold| fold.uar).collect();
    let fold_war: Vec<f64> = per_fold.iter().map(|fold| fold.war).collect();

    Ok(Metrics {
        labels: labels.clone(),
        n: confusion.total(),
        speakers: per_speaker.len(),
        uar: rate(confusion.uar())?,
        war: rate(confusion.war())?,
        macro_f1: rate(confusion.macro_f1())?,
        mean_fold_uar: rate(mean(fold_uar.iter().copied()))?,
        mean_fold_war: rate(mean(fold_war.iter().copied()))?,
        std_fold_uar: sample_std(&fold_uar),
        std_fold_war: sample_std(&fold_war),
        ece: calibration::ece(&reliability),
        brier: calibration::brier(rows),
        nll: calibration::nll(rows),
        accuracy_at_50: calibration::accuracy_at(rows, 0.5),
        accuracy_at_80: calibration::accuracy_at(rows, 0.8),
        per_class,
        confusion: confusion.into_counts(),
        per_fold,
        per_sex: by(&|row| row.sex.as_deref())?,
        per_intensity: by(&|row| row.intensity.as_deref())?,
        per_speaker,
        reliability,
    })
}

fn sample_std(values: &[f64]) -> Option<f64> {
    let centre = mean(values.iter().copied())?;
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// Orders names so that `fold-2` comes before `fold-10`.
pub(crate) fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    let key = |name: &str| {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (stem, number) = name.split_at(name.len() - digits);
        (stem.to_owned(), number.parse::<u64>().ok())
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_come_in_natural_order() {
        let mut names = ["fold-10", "fold-2", "all", "fold-1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["all", "fold-1", "fold-2", "fold-10"]);
    }

    #[test]
    fn groups_without_a_statement_are_left_out() {
        let row = |id: &str, sex: Option<&str>, fold: &str, truth, scores: [f32; 2]| Scored {
            id: id.to_owned(),
            speaker: format!("s-{id}"),
            sex: sex.map(str::to_owned),
            intensity: None,
            seconds: None,
            fold: fold.to_owned(),
            truth,
            scores: scores.to_vec(),
        };
        let metrics = evaluate(&Predictions {
            labels: vec!["a".to_owned(), "b".to_owned()],
            rows: vec![
                row("1", Some("female"), "fold-1", 0, [0.9, 0.1]),
                row("2", Some("female"), "fold-1", 1, [0.9, 0.1]),
                row("3", None, "fold-2", 1, [0.1, 0.9]),
            ],
        })
        .unwrap();
        assert_eq!(metrics.per_sex.len(), 1);
        assert_eq!((metrics.per_sex[0].n, metrics.per_sex[0].classes), (2, 2));
        assert!(metrics.per_intensity.is_empty());
        assert_eq!(metrics.per_speaker.len(), 3);
        // Pooled (1 + 1/2) / 2; by folds (1/2 + 1) / 2 with one class in the second.
        assert!((metrics.uar - 0.75).abs() < 1e-12);
        assert!((metrics.mean_fold_uar - 0.75).abs() < 1e-12);
        assert!((metrics.std_fold_uar.unwrap() - 0.125_f64.sqrt()).abs() < 1e-12);
    }
}
