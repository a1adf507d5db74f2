//! The table a test leaves behind: one row per clip, one probability per class.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{EvalError, file};

/// Largest deviation from 1 accepted in the sum of a row's scores (single precision, many classes).
const SUM_TOLERANCE: f64 = 1e-3;
/// Columns before the scores, in the order they are written.
const COLUMNS: [&str; 8] = [
    "id",
    "speaker",
    "sex",
    "intensity",
    "seconds",
    "fold",
    "truth",
    "predicted",
];
/// What a score's column begins with; the label follows.
const SCORE_PREFIX: &str = "score_";

/// The scores of one clip.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// Clip, unique within a fold.
    pub id: String,
    /// Speaker, unique over corpora: the unit the bootstrap resamples.
    pub speaker: String,
    /// Sex of the speaker, where the corpus states it.
    pub sex: Option<String>,
    /// Intensity of the acted emotion, where the corpus states it.
    pub intensity: Option<String>,
    /// Seconds of the clip that the scores come from, where known.
    pub seconds: Option<f64>,
    /// Fold (or repetition) whose model gave the scores.
    pub fold: String,
    /// Index of the true class in [`Predictions::labels`].
    pub truth: usize,
    /// Probability of every class, in label order; sums to 1.
    pub scores: Vec<f32>,
}

impl Scored {
    /// Index of the class with the highest score; of several equal ones, the first. `0` without scores.
    #[must_use]
    pub fn predicted(&self) -> usize {
        let mut best = 0;
        for (class, &score) in self.scores.iter().enumerate() {
            if score > self.scores[best] {
                best = class;
            }
        }
        best
    }

    /// The highest score: the probability the model gave to what it predicted. `0` without scores.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.scores.get(self.predicted()).copied().unwrap_or(0.0)
    }

    /// Whether the prediction is right.
    #[must_use]
    pub fn is_correct(&self) -> bool {
        self.predicted() == self.truth
    }
}

/// The scores of all tested clips under one label set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predictions {
    /// Class names; `truth` and `scores` of every row follow this order.
    pub labels: Vec<String>,
    /// One row per tested clip.
    pub rows: Vec<Scored>,
}

impl Predictions {
    /// Checks that the table can be measured.
    ///
    /// # Errors
    /// No labels or rows, a repeated label, a clip that is twice in a fold, a true class outside the label
    /// set, a wrong number of scores, a score outside `[0, 1]` (or NaN), or scores that do not sum to 1
    /// within 1e-3.
    pub fn validate(&self) -> Result<(), EvalError> {
        if self.labels.is_empty() {
            return Err(EvalError::Empty { what: "labels" });
        }
        if self.rows.is_empty() {
            return Err(EvalError::Empty {
                what: "predictions",
            });
        }
        let mut names = BTreeSet::new();
        for label in &self.labels {
            if !names.insert(label) {
                return Err(EvalError::DuplicateLabel {
                    label: label.clone(),
                });
            }
        }
        let mut clips = BTreeSet::new();
        for row in &self.rows {
            self.validate_row(row)?;
            if !clips.insert((&row.fold, &row.id)) {
                return Err(EvalError::DuplicateRow {
                    id: row.id.clone(),
                    fold: row.fold.clone(),
                });
            }
        }
        Ok(())
    }

    fn validate_row(&self, row: &Scored) -> Result<(), EvalError> {
        let classes = self.labels.len();
        if row.truth >= classes {
            return Err(EvalError::TruthOutOfRange {
                id: row.id.clone(),
                truth: row.truth,
                classes,
            });
        }
        if row.scores.len() != classes {
            return Err(EvalError::ScoreCount {
                id: row.id.clone(),
                expected: classes,
                actual: row.scores.len(),
            });
        }
        let tolerance = SUM_TOLERANCE;
        for (class, &value) in row.scores.iter().enumerate() {
            // Single-precision softmax may exceed 1 by a rounding error.
            if !(value >= 0.0 && f64::from(value) <= 1.0 + tolerance) {
                return Err(EvalError::NotAProbability {
                    id: row.id.clone(),
                    class,
                    value,
                });
            }
        }
        let sum: f64 = row.scores.iter().map(|&score| f64::from(score)).sum();
        if (sum - 1.0).abs() > tolerance {
            return Err(EvalError::NotNormalised {
                id: row.id.clone(),
                sum,
                tolerance,
            });
        }
        Ok(())
    }

    /// The table as CSV: `id,speaker,sex,intensity,seconds,fold,truth,predicted,score_<label>...`.
    ///
    /// Classes are written by name, absent `sex`, `intensity` and `seconds` as empty fields, scores with as many digits
    /// as bring back the same number.
    ///
    /// # Errors
    /// What [`Predictions::validate`] refuses.
    pub fn to_csv(&self) -> Result<String, EvalError> {
        self.validate()?;
        let origin = Path::new("predictions");
        let failed = |source| EvalError::Csv {
            path: origin.to_path_buf(),
            source,
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = COLUMNS.iter().map(ToString::to_string).chain(
            self.labels
                .iter()
                .map(|label| format!("{SCORE_PREFIX}{label}")),
        );
        writer.write_record(header).map_err(failed)?;
        for row in &self.rows {
            let seconds = row
                .seconds
                .map_or_else(String::new, |secs| secs.to_string());
            let fixed = [
                row.id.as_str(),
                row.speaker.as_str(),
                row.sex.as_deref().unwrap_or_default(),
                row.intensity.as_deref().unwrap_or_default(),
                &seconds,
                row.fold.as_str(),
                self.labels[row.truth].as_str(),
                self.labels[row.predicted()].as_str(),
            ];
            let scores = row.scores.iter().map(ToString::to_string);
            let record = fixed.into_iter().map(str::to_owned).chain(scores);
            writer.write_record(record).map_err(failed)?;
        }
        into_text(writer, origin)
    }

    /// Writes [`Predictions::to_csv`] to `path`, atomically.
    ///
    /// # Errors
    /// What [`Predictions::validate`] refuses, or a file that cannot be written.
    pub fn write_csv(&self, path: &Path) -> Result<(), EvalError> {
        file::write_atomic(path, self.to_csv()?.as_bytes())
    }

    /// Reads a table written by [`Predictions::to_csv`].
    ///
    /// Columns are found by name, so their order is free and others are ignored; the label set is the
    /// `score_` columns in their order. `sex`, `intensity`, `seconds` and
    /// `predicted` may be missing.
    ///
    /// # Errors
    /// A file that cannot be read, is no CSV, lacks a column, names an unknown class, holds a `predicted`
    /// that is not the class with the highest score, or fails [`Predictions::validate`].
    pub fn read_csv(path: &Path) -> Result<Self, EvalError> {
        let text = std::fs::read_to_string(path).map_err(|source| EvalError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_csv(&text, path)
    }

    /// Parses CSV text; `origin` names it in errors. See [`Predictions::read_csv`].
    ///
    /// # Errors
    /// As [`Predictions::read_csv`], without those of the file system.
    pub fn from_csv(text: &str, origin: &Path) -> Result<Self, EvalError> {
        let failed = |source| EvalError::Csv {
            path: origin.to_path_buf(),
            source,
        };
        let text = text.trim_start_matches('\u{feff}');
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let header = reader.headers().map_err(failed)?.clone();
        let find = |column: &str| header.iter().position(|name| name == column);
        let need = |column: &str| {
            find(column).ok_or_else(|| EvalError::MissingColumn {
                path: origin.to_path_buf(),
                column: column.to_owned(),
            })
        };
        let (id, speaker, fold, truth) =
            (need("id")?, need("speaker")?, need("fold")?, need("truth")?);
        let (sex, intensity, predicted) = (find("sex"), find("intensity"), find("predicted"));
        let seconds = find("seconds");
        let (score_columns, labels): (Vec<usize>, Vec<String>) = header
            .iter()
            .enumerate()
            .filter_map(|(index, name)| {
                name.strip_prefix(SCORE_PREFIX)
                    .map(|label| (index, label.to_owned()))
            })
            .unzip();
        if labels.is_empty() {
            return Err(EvalError::MissingColumn {
                path: origin.to_path_buf(),
                column: format!("{SCORE_PREFIX}<label>"),
            });
        }

        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(failed)?;
            let line = record.position().map_or(0, csv::Position::line);
            let bad = |column: &str, expected: String, actual: &str| EvalError::Field {
                path: origin.to_path_buf(),
                line,
                column: column.to_owned(),
                expected,
                actual: actual.to_owned(),
            };
            let optional = |index: Option<usize>| {
                index
                    .map(|i| &record[i])
                    .filter(|text| !text.is_empty())
                    .map(str::to_owned)
            };
            let name = &record[truth];
            let class = labels
                .iter()
                .position(|label| label == name)
                .ok_or_else(|| bad("truth", format!("one of {}", labels.join(", ")), name))?;
            let scores = score_columns
                .iter()
                .map(|&index| {
                    let field = &record[index];
                    field
                        .trim()
                        .parse::<f32>()
                        .map_err(|_| bad(&header[index], "a number".to_owned(), field))
                })
                .collect::<Result<Vec<f32>, _>>()?;
            let row = Scored {
                id: record[id].to_owned(),
                speaker: record[speaker].to_owned(),
                sex: optional(sex),
                intensity: optional(intensity),
                seconds: optional(seconds)
                    .map(|text| {
                        let secs = text.trim().parse::<f64>().ok();
                        secs.filter(|secs| secs.is_finite() && *secs >= 0.0)
                            .ok_or_else(|| bad("seconds", "a number, at least 0".to_owned(), &text))
                    })
                    .transpose()?,
                fold: record[fold].to_owned(),
                truth: class,
                scores,
            };
            if let Some(stated) = predicted.map(|index| &record[index]) {
                let best = &labels[row.predicted()];
                if stated != best {
                    let expected = format!("'{best}', the class with the highest score");
                    return Err(bad("predicted", expected, stated));
                }
            }
            rows.push(row);
        }
        let predictions = Self { labels, rows };
        predictions.validate()?;
        Ok(predictions)
    }
}

/// Whether two tables score the same clips of the same folds, with the same true classes, under one label set.
///
/// # Errors
/// [`EvalError::NotComparable`] with the first difference.
pub fn same_test(a: &Predictions, b: &Predictions) -> Result<(), EvalError> {
    let refuse = |reason: String| Err(EvalError::NotComparable { reason });
    if a.labels != b.labels {
        return refuse(format!(
            "the label sets differ: {} and {}",
            a.labels.join(" "),
            b.labels.join(" ")
        ));
    }
    let clips = |table: &Predictions| -> BTreeMap<(String, String), (usize, String)> {
        let rows = table.rows.iter();
        rows.map(|row| {
            let clip = (row.fold.clone(), row.id.clone());
            (clip, (row.truth, row.speaker.clone()))
        })
        .collect()
    };
    let (a_clips, b_clips) = (clips(a), clips(b));
    let sides = [
        (&a_clips, &b_clips, "lacks"),
        (&b_clips, &a_clips, "also tests"),
    ];
    for (one, other, verb) in sides {
        let mut missing = one.keys().filter(|clip| !other.contains_key(clip));
        if let Some((fold, id)) = missing.next() {
            return refuse(format!(
                "it {verb} {} of {} clips, the first: {id} in {fold}",
                missing.count() + 1,
                one.len()
            ));
        }
    }
    for ((fold, id), (truth, speaker)) in &a_clips {
        let Some((other, other_speaker)) = b_clips.get(&(fold.clone(), id.clone())) else {
            continue;
        };
        if truth != other || speaker != other_speaker {
            return refuse(format!(
                "clip {id} in {fold} is {} of {speaker} in the rows before and {} of {other_speaker} in it",
                a.labels[*truth], a.labels[*other]
            ));
        }
    }
    Ok(())
}

/// The text a CSV writer gathered in memory.
pub(crate) fn into_text(writer: csv::Writer<Vec<u8>>, origin: &Path) -> Result<String, EvalError> {
    let io = |source| EvalError::Io {
        action: "write",
        path: origin.to_path_buf(),
        source,
    };
    let bytes = writer
        .into_inner()
        .map_err(|error| io(error.into_error()))?;
    String::from_utf8(bytes).map_err(|error| io(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Predictions {
        let row = |id: &str, truth, scores: [f32; 3]| Scored {
            id: id.to_owned(),
            speaker: "ravdess-01".to_owned(),
            sex: Some("male".to_owned()),
            intensity: None,
            seconds: Some(1.936),
            fold: "fold-1".to_owned(),
            truth,
            scores: scores.to_vec(),
        };
        Predictions {
            labels: ["neutral", "calm, quiet", "wütend"]
                .map(str::to_owned)
                .to_vec(),
            rows: vec![
                row("a", 0, [0.7, 0.2, 0.1]),
                row("b \"quoted\"", 2, [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]),
                row("c", 1, [1e-30, 1.0, 0.0]),
            ],
        }
    }

    #[test]
    fn csv_brings_back_the_same_table() {
        let table = table();
        let text = table.to_csv().unwrap();
        assert!(
            text.starts_with(
                "id,speaker,sex,intensity,seconds,fold,truth,predicted,score_neutral,"
            )
        );
        assert_eq!(
            Predictions::from_csv(&text, Path::new("x.csv")).unwrap(),
            table
        );
        let marked = format!("\u{feff}{text}");
        assert_eq!(
            Predictions::from_csv(&marked, Path::new("x.csv")).unwrap(),
            table
        );
    }

    #[test]
    fn csv_file_is_written_whole_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("predictions.csv");
        table().write_csv(&path).unwrap();
        assert_eq!(Predictions::read_csv(&path).unwrap(), table());
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "no partial file stays"
        );
        let missing = dir.path().join("no/such/dir/predictions.csv");
        assert!(matches!(
            table().write_csv(&missing),
            Err(EvalError::Io {
                action: "write",
                ..
            })
        ));
    }

    #[test]
    fn broken_tables_are_named() {
        let check = |text: &str, expected: &str| {
            let error = Predictions::from_csv(text, Path::new("p.csv")).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("id,speaker,fold\n", "p.csv: column 'truth' is missing");
        check(
            "id,speaker,fold,truth\n",
            "p.csv: column 'score_<label>' is missing",
        );
        let head = "id,speaker,fold,truth,predicted,score_a,score_b";
        check(&format!("{head}\n"), "no predictions to evaluate");
        check(
            &format!("{head}\nx,s,f,c,a,1,0\n"),
            "p.csv:2: column 'truth': expected one of a, b, found 'c'",
        );
        check(
            &format!("{head}\nx,s,f,a,a,1,zero\n"),
            "p.csv:2: column 'score_b': expected a number, found 'zero'",
        );
        check(
            &format!("{head}\nx,s,f,a,b,1,0\n"),
            "p.csv:2: column 'predicted': expected 'a', the class with the highest score, found 'b'",
        );
        check(
            &format!("{head}\nx,s,f,a,a,0.5,0.25\n"),
            "clip 'x': scores sum to 0.75, expected 1 within 0.001",
        );
        check(
            &format!("{head}\nx,s,f,a,a,NaN,0.4\n"),
            "clip 'x': score NaN of class 0 is not a probability",
        );
        check(
            &format!("{head}\nx,s,f,a,a,1,0\nx,s,f,a,a,1,0\n"),
            "clip 'x' appears twice in fold 'f'",
        );
    }

    #[test]
    fn ties_go_to_the_first_class() {
        assert_eq!(table().rows[1].predicted(), 0);
    }
}
