//! A measurement together with where it comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{Interval, bootstrap_intervals};
use crate::{EvalError, Metrics, Predictions, SpeakerCalibrated, evaluate, file};

/// What stands in the same line as every number of a protocol that shares speakers.
pub const SPEAKERS_SHARED: &str = "speakers shared between train and test";
/// What stands beside every number of a protocol that does not.
pub const SPEAKERS_DISJOINT: &str = "speakers disjoint";

/// Where a number comes from; printed with every one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Corpora the clips tested come from.
    pub corpora: Vec<String>,
    /// Protocol, by name (`emobox-6fold`, ...).
    pub protocol: String,
    /// Whether a speaker of the test part may also be in the training part.
    pub speakers_shared: bool,
    /// Folds (or repetitions) tested.
    pub folds: usize,
    /// Label set, in order.
    pub labels: Vec<String>,
    /// Seed of the training and of the intervals.
    pub seed: u64,
}

impl Provenance {
    /// [`SPEAKERS_SHARED`] or [`SPEAKERS_DISJOINT`].
    #[must_use]
    pub fn speakers(&self) -> &'static str {
        if self.speakers_shared {
            SPEAKERS_SHARED
        } else {
            SPEAKERS_DISJOINT
        }
    }
}

/// One line: `ravdess-speech, emobox-6fold, 6 folds, 8 classes (neutral calm ...), seed 1, speakers disjoint`.
impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folds = if self.folds == 1 { "fold" } else { "folds" };
        let classes = if self.labels.len() == 1 {
            "class"
        } else {
            "classes"
        };
        write!(
            f,
            "{}, {}, {} {folds}, {} {classes} ({}), seed {}, {}",
            self.corpora.join(" + "),
            self.protocol,
            self.folds,
            self.labels.len(),
            self.labels.join(" "),
            self.seed,
            self.speakers(),
        )
    }
}

/// The content of `metrics.json`: numbers, their intervals and their provenance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Where the numbers come from.
    pub provenance: Provenance,
    /// The numbers.
    pub metrics: Metrics,
    /// Interval of the pooled UAR; `None` with a single speaker.
    pub uar_interval: Option<Interval>,
    /// Interval of the pooled accuracy; `None` with a single speaker.
    pub war_interval: Option<Interval>,
    /// Interval of the pooled macro-F1; `None` with a single speaker.
    pub macro_f1_interval: Option<Interval>,
    /// Intervals of every class's recall, in label order; `None` for a class without clips or with a single
    /// speaker.
    pub recall_intervals: Vec<Option<Interval>>,
    /// The same test with scores adapted to each speaker, where that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker_calibrated: Option<SpeakerCalibrated>,
    /// Temperature of each fold's model, by the fold's name, where clips of other folds gave it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub temperatures: BTreeMap<String, f32>,
}

impl Report {
    /// Measures predictions: [`evaluate`], and [`bootstrap_intervals`] with the provenance's seed.
    ///
    /// With a single speaker the intervals are `None`: nothing can be said about others from one.
    ///
    /// # Errors
    /// What [`Predictions::validate`] refuses, too few resamples, or a provenance whose labels or number of
    /// folds are not those of the predictions.
    pub fn new(
        predictions: &Predictions,
        provenance: Provenance,
        resamples: usize,
    ) -> Result<Self, EvalError> {
        let metrics = evaluate(predictions)?;
        let mismatch = |what, expected, actual| EvalError::ProvenanceMismatch {
            what,
            expected,
            actual,
        };
        if provenance.labels != metrics.labels {
            return Err(mismatch(
                "labels",
                provenance.labels.join(", "),
                metrics.labels.join(", "),
            ));
        }
        if provenance.folds != metrics.per_fold.len() {
            return Err(mismatch(
                "folds",
                provenance.folds.to_string(),
                metrics.per_fold.len().to_string(),
            ));
        }
        let intervals = match bootstrap_intervals(predictions, resamples, provenance.seed) {
            Ok(intervals) => Some(intervals),
            Err(EvalError::TooFewSpeakers { .. }) => None,
            Err(error) => return Err(error),
        };
        let classes = metrics.labels.len();
        Ok(Self {
            provenance,
            metrics,
            uar_interval: intervals.as_ref().map(|all| all.uar),
            war_interval: intervals.as_ref().map(|all| all.war),
            macro_f1_interval: intervals.as_ref().map(|all| all.macro_f1),
            recall_intervals: intervals.map_or_else(|| vec![None; classes], |all| all.recall),
            speaker_calibrated: None,
            temperatures: BTreeMap::new(),
        })
    }

    /// Geometric mean of the folds' temperatures; `None` where there are none.
    #[must_use]
    pub fn temperature(&self) -> Option<f32> {
        if self.temperatures.is_empty() {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of folds")]
        let folds = self.temperatures.len() as f32;
        let sum: f32 = self.temperatures.values().map(|it| it.ln()).sum();
        Some((sum / folds).exp())
    }

    /// The headline for a terminal: one line per number, each with its whole provenance.
    #[must_use]
    pub fn headline(&self) -> Vec<String> {
        let metrics = &self.metrics;
        let provenance = &self.provenance;
        let spread = |std: Option<f64>| match std {
            Some(std) => format!(" ± {}", percent(std)),
            None => String::new(),
        };
        let line = |name: &str, value: f64, rest: String| {
            format!("{name} {} %{rest} — {provenance}", percent(value))
        };
        let mut lines = vec![
            line("UAR (pooled)", metrics.uar, bracket(self.uar_interval)),
            line(
                "UAR (mean of folds)",
                metrics.mean_fold_uar,
                spread(metrics.std_fold_uar),
            ),
            line("WAR (pooled)", metrics.war, bracket(self.war_interval)),
            line(
                "WAR (mean of folds)",
                metrics.mean_fold_war,
                spread(metrics.std_fold_war),
            ),
            line(
                "macro-F1 (pooled)",
                metrics.macro_f1,
                bracket(self.macro_f1_interval),
            ),
        ];
        if let Some(after) = &self.speaker_calibrated {
            lines.push(line(
                "UAR (pooled), speaker-calibrated",
                after.uar,
                format!("{}, with {}", bracket(after.uar_interval), after.audio()),
            ));
        }
        lines
    }

    /// The report as indented JSON.
    ///
    /// # Errors
    /// A number that JSON cannot hold; [`Report::new`] makes none.
    pub fn to_json(&self) -> Result<String, EvalError> {
        serde_json::to_string_pretty(self)
            .map(|text| text + "\n")
            .map_err(|source| EvalError::Json {
                path: "metrics.json".into(),
                source,
            })
    }

    /// Writes [`Report::to_json`] to `path`, atomically.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_json(&self, path: &Path) -> Result<(), EvalError> {
        file::write_atomic(path, self.to_json()?.as_bytes())
    }

    /// Reads a report written by [`Report::write_json`].
    ///
    /// # Errors
    /// A file that cannot be read or is no report.
    pub fn read_json(path: &Path) -> Result<Self, EvalError> {
        let text = std::fs::read_to_string(path).map_err(|source| EvalError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| EvalError::Json {
            path: path.to_path_buf(),
            source,
        })
    }
}

/// A fraction as percent with one decimal, without the sign.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.1}", 100.0 * fraction)
}

/// ` [59.1, 67.3]`, or nothing.
pub(crate) fn bracket(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |bounds| {
        format!(" [{}, {}]", percent(bounds.low), percent(bounds.high))
    })
}

/// `UAR 63.8 % [60.1, 67.0] · WAR 64.5 % [60.9, 68.0] · speakers disjoint`, for figures.
pub(crate) fn headline_uar(report: &Report) -> String {
    let metrics = &report.metrics;
    format!(
        "UAR {} %{} · WAR {} %{} · {}",
        percent(metrics.uar),
        bracket(report.uar_interval),
        percent(metrics.war),
        bracket(report.war_interval),
        report.provenance.speakers()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provenance_is_one_line() {
        let mut provenance = Provenance {
            corpora: vec!["ravdess-speech".to_owned(), "tess".to_owned()],
            protocol: "seed-mix".to_owned(),
            speakers_shared: true,
            folds: 1,
            labels: vec!["calm".to_owned(), "angry".to_owned()],
            seed: 3,
        };
        assert_eq!(
            provenance.to_string(),
            "ravdess-speech + tess, seed-mix, 1 fold, 2 classes (calm angry), seed 3, speakers shared \
             between train and test"
        );
        provenance.speakers_shared = false;
        provenance.folds = 6;
        assert_eq!(
            provenance.to_string(),
            "ravdess-speech + tess, seed-mix, 6 folds, 2 classes (calm angry), seed 3, speakers disjoint"
        );
    }
}
