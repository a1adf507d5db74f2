//! Several recognisers on the same clips, side by side.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::paired::{Difference, paired_difference};
use crate::predictions::{into_text, same_test};
use crate::report::{bracket, percent};
use crate::{EvalError, Interval, Predictions, Provenance, Report, SPEAKERS_SHARED, file};

/// A recogniser to be compared.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name of its row.
    pub name: String,
    /// What it looks at: a feature set, `log-mel`.
    pub input: String,
    /// Seed of its training.
    pub seed: u64,
    /// Scores of every test clip.
    pub predictions: Predictions,
    /// Numbers stored in a model, mean over the folds.
    pub parameters: Option<usize>,
    /// Seconds of training, summed over the folds.
    pub train_secs: Option<f64>,
    /// Milliseconds of a clip on one thread, without features.
    pub inference_ms: Option<f64>,
}

/// A row of a comparison. Rates are fractions.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name.
    pub name: String,
    /// What it looks at.
    pub input: String,
    /// Seed of its training.
    pub seed: u64,
    /// Pooled UAR, and its interval.
    pub uar: (f64, Option<Interval>),
    /// Pooled accuracy, and its interval.
    pub war: (f64, Option<Interval>),
    /// Pooled macro-F1, and its interval.
    pub macro_f1: (f64, Option<Interval>),
    /// UAR less that of the reference; `None` for the reference itself.
    pub difference: Option<Difference>,
    /// Numbers stored.
    pub parameters: Option<usize>,
    /// Seconds of training.
    pub train_secs: Option<f64>,
    /// Milliseconds of a clip.
    pub inference_ms: Option<f64>,
}

/// Rows that were tested on the same clips.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Where the numbers come from; the seed is that of the intervals, each row has that of its training.
    pub provenance: Provenance,
    /// Name of the row that the others are compared with.
    pub reference: String,
    /// The rows, in the order given.
    pub rows: Vec<Row>,
}

impl Comparison {
    /// Measures entries and compares each with the one called `reference`.
    ///
    /// # Errors
    /// No entries, two of one name, a reference that is none of them, entries that do not test the same clips
    /// ([`EvalError::Row`] naming the first), or whatever [`Report::new`] refuses.
    pub fn new(
        entries: &[Entry],
        provenance: &Provenance,
        reference: &str,
        resamples: usize,
    ) -> Result<Self, EvalError> {
        let mut names = BTreeSet::new();
        if let Some(again) = entries.iter().find(|entry| !names.insert(&entry.name)) {
            return Err(EvalError::DuplicateName {
                name: again.name.clone(),
            });
        }
        let (Some(first), Some(standard)) = (
            entries.first(),
            entries.iter().find(|entry| entry.name == reference),
        ) else {
            return Err(EvalError::Empty {
                what: "row to compare with",
            });
        };
        let rows = entries
            .iter()
            .map(|entry| {
                same_test(&first.predictions, &entry.predictions)
                    .and_then(|()| row(entry, standard, provenance, resamples))
                    .map_err(|source| EvalError::Row {
                        name: entry.name.clone(),
                        source: Box::new(source),
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            provenance: provenance.clone(),
            reference: reference.to_owned(),
            rows,
        })
    }

    /// Heads of [`Self::cells`].
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        vec![
            "method".to_owned(),
            "input".to_owned(),
            "UAR % [95 %]".to_owned(),
            "WAR %".to_owned(),
            "macro-F1 %".to_owned(),
            format!("UAR − {} [95 %]", self.reference),
            "parameters".to_owned(),
            "training s".to_owned(),
            "ms per clip".to_owned(),
        ]
    }

    /// The rows as words, for tables that people read.
    #[must_use]
    pub fn cells(&self) -> Vec<Vec<String>> {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let rows = self.rows.iter();
        rows.map(|row| {
            let difference = row.difference.map(|difference| {
                format!(
                    "{:+.1}{}",
                    100.0 * difference.uar,
                    difference.interval.map_or_else(String::new, |bounds| {
                        format!(" [{:+.1}, {:+.1}]", 100.0 * bounds.low, 100.0 * bounds.high)
                    })
                )
            });
            vec![
                row.name.clone(),
                row.input.clone(),
                format!("{}{}", percent(row.uar.0), bracket(row.uar.1)),
                percent(row.war.0),
                percent(row.macro_f1.0),
                shown(difference),
                shown(row.parameters.map(|n| n.to_string())),
                shown(row.train_secs.map(seconds)),
                shown(row.inference_ms.map(|ms| format!("{ms:.3}"))),
            ]
        })
        .collect()
    }

    /// What the numbers are, below a table: provenance and what the times hold.
    #[must_use]
    pub fn notes(&self) -> String {
        format!(
            "Measured on {}. Intervals: 95 %, bootstrap over speakers; differences are paired by speaker. Parameters: numbers stored, mean over \
             folds. Training: seconds summed over the folds, of classical methods on one thread with the choice of hyper-parameters, of networks \
             the sum of their epochs; inference: one thread; both without the features.",
            self.provenance
        )
    }

    /// The comparison as a table in Markdown, with [`Self::notes`]. Where speakers are shared every row says so.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let shared = self.provenance.speakers_shared;
        let mut heads = self.heads();
        if shared {
            heads.push("speakers".to_owned());
        }
        let escape = |cell: String| cell.replace('|', "\\|");
        let line = |cells: Vec<String>| {
            let cells: Vec<String> = cells.into_iter().map(escape).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut rule = vec!["---"; 2];
        rule.resize(heads.len(), "---:");
        let mut text = line(heads);
        // Writing to a string does not fail.
        let _ = writeln!(text, "|{}|", rule.join("|"));
        for mut cells in self.cells() {
            if shared {
                cells.push(format!("**{SPEAKERS_SHARED}**"));
            }
            text += &line(cells);
        }
        text + "\n" + &self.notes() + "\n"
    }

    /// The comparison as CSV, fractions in full precision, every row with its provenance.
    ///
    /// # Errors
    /// None in practice: the table is written to memory.
    pub fn to_csv(&self) -> Result<String, EvalError> {
        let origin = Path::new("compare");
        let failed = |source| EvalError::Csv {
            path: origin.to_path_buf(),
            source,
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let heads = "method,input,uar,uar_low,uar_high,war,war_low,war_high,macro_f1,macro_f1_low,macro_f1_high,reference,\
                     difference,difference_low,difference_high,parameters,train_secs,inference_ms,corpora,protocol,folds,labels,\
                     seed,interval_seed,speakers";
        writer.write_record(heads.split(',')).map_err(failed)?;
        let Provenance {
            corpora,
            protocol,
            folds,
            labels,
            seed,
            ..
        } = &self.provenance;
        for row in &self.rows {
            let mut record = vec![row.name.clone(), row.input.clone()];
            for (value, interval) in [row.uar, row.war, row.macro_f1] {
                record.push(value.to_string());
                record.extend(bounds(interval));
            }
            record.push(self.reference.clone());
            record.push(optional(row.difference.map(|d| d.uar)));
            record.extend(bounds(row.difference.and_then(|d| d.interval)));
            record.extend([
                optional(row.parameters),
                optional(row.train_secs),
                optional(row.inference_ms),
                corpora.join(" + "),
                protocol.clone(),
                folds.to_string(),
                labels.join(" "),
                row.seed.to_string(),
                seed.to_string(),
                self.provenance.speakers().to_owned(),
            ]);
            writer.write_record(record).map_err(failed)?;
        }
        into_text(writer, origin)
    }

    /// Writes `compare.csv`, `compare.md`, `compare.svg` and `compare.png` into `directory`, each whole or not at all.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), EvalError> {
        let path = |extension: &str| directory.join(format!("compare.{extension}"));
        file::write_atomic(&path("csv"), self.to_csv()?.as_bytes())?;
        file::write_atomic(&path("md"), self.to_markdown().as_bytes())?;
        let figure = crate::plot::comparison(self);
        figure.write_svg(&path("svg"))?;
        figure.write_png(&path("png"), crate::plot::PNG_SCALE)
    }
}

fn row(
    entry: &Entry,
    standard: &Entry,
    provenance: &Provenance,
    resamples: usize,
) -> Result<Row, EvalError> {
    let report = Report::new(&entry.predictions, provenance.clone(), resamples)?;
    let difference = if entry.name == standard.name {
        None
    } else {
        let (a, b) = (&entry.predictions, &standard.predictions);
        Some(paired_difference(a, b, resamples, provenance.seed)?)
    };
    Ok(Row {
        name: entry.name.clone(),
        input: entry.input.clone(),
        seed: entry.seed,
        uar: (report.metrics.uar, report.uar_interval),
        war: (report.metrics.war, report.war_interval),
        macro_f1: (report.metrics.macro_f1, report.macro_f1_interval),
        difference,
        parameters: entry.parameters,
        train_secs: entry.train_secs,
        inference_ms: entry.inference_ms,
    })
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn bounds(interval: Option<Interval>) -> [String; 2] {
    [
        optional(interval.map(|bounds| bounds.low)),
        optional(interval.map(|bounds| bounds.high)),
    ]
}

/// Two digits where there are few seconds, none where there are many.
fn seconds(value: f64) -> String {
    if value < 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scored;

    pub(crate) fn entry(name: &str, right: impl Fn(usize) -> bool) -> Entry {
        let rows = (0..60).map(|clip| {
            let truth = clip % 2;
            let one = if (truth == 1) == right(clip) {
                0.8
            } else {
                0.2
            };
            Scored {
                id: format!("c{clip}"),
                speaker: format!("s{}", clip / 10),
                sex: None,
                intensity: None,
                seconds: None,
                fold: "f".to_owned(),
                truth,
                scores: vec![1.0 - one, one],
            }
        });
        Entry {
            name: name.to_owned(),
            input: "a|b".to_owned(),
            seed: 4,
            predictions: Predictions {
                labels: vec!["calm".to_owned(), "angry".to_owned()],
                rows: rows.collect(),
            },
            parameters: Some(9),
            train_secs: Some(1.25),
            inference_ms: None,
        }
    }

    pub(crate) fn provenance(speakers_shared: bool) -> Provenance {
        Provenance {
            corpora: vec!["invented".to_owned()],
            protocol: "loso".to_owned(),
            speakers_shared,
            folds: 1,
            labels: vec!["calm".to_owned(), "angry".to_owned()],
            seed: 1,
        }
    }

    fn entries() -> Vec<Entry> {
        vec![
            entry("weak", |clip| clip % 3 == 0),
            entry("good", |clip| clip % 5 != 0),
        ]
    }

    #[test]
    fn rows_carry_numbers_differences_and_provenance() {
        let comparison = Comparison::new(&entries(), &provenance(false), "good", 200).unwrap();
        let weak = &comparison.rows[0];
        assert!((weak.uar.0 - 1.0 / 3.0).abs() < 1e-12);
        let difference = weak.difference.unwrap();
        assert!((difference.uar - (1.0 / 3.0 - 0.8)).abs() < 1e-12);
        assert_eq!(comparison.rows[1].difference, None);
        let csv = comparison.to_csv().unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let heads = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        let cell = |row: usize, head: &str| {
            rows[row][heads.iter().position(|name| name == head).unwrap()].to_owned()
        };
        assert_eq!(cell(0, "reference"), "good");
        assert_eq!(cell(1, "difference"), "");
        assert_eq!(cell(0, "seed"), "4");
        assert_eq!(cell(0, "speakers"), "speakers disjoint");
        assert_eq!(cell(1, "uar"), comparison.rows[1].uar.0.to_string());
        let markdown = comparison.to_markdown();
        assert!(markdown.contains("| weak | a\\|b | 33.3 ["), "{markdown}");
        assert!(
            markdown.contains("loso, 1 fold, 2 classes (calm angry), seed 1, speakers disjoint")
        );
    }

    #[test]
    fn every_row_says_that_speakers_are_shared() {
        let comparison = Comparison::new(&entries(), &provenance(true), "good", 200).unwrap();
        let markdown = comparison.to_markdown();
        for name in ["weak", "good"] {
            let line = markdown
                .lines()
                .find(|line| line.starts_with(&format!("| {name} ")));
            assert!(line.unwrap().contains(SPEAKERS_SHARED));
        }
    }

    #[test]
    fn what_cannot_be_compared_is_named() {
        let of = |entries: &[Entry], reference: &str| {
            Comparison::new(entries, &provenance(false), reference, 200)
                .unwrap_err()
                .to_string()
        };
        let mut other = entries();
        other[1].predictions.rows[3].id = "elsewhere".to_owned();
        let text = of(&other, "weak");
        assert!(
            text.starts_with("good: not the same test") && text.contains("c3"),
            "{text}"
        );
        other[1].name = "weak".to_owned();
        assert_eq!(of(&other, "weak"), "two rows are called weak");
        assert!(of(&entries(), "none").contains("row to compare with"));
        assert!(of(&[], "none").contains("row to compare with"));
    }
}
