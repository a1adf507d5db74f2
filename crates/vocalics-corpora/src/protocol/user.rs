//! Folds that the user defines in a file.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::speakers::choose;
use super::{Fold, Groups, SplitOptions, stratified};
use crate::shuffle::SplitMix64;
use crate::table::{Table, to_csv, write_atomically};
use crate::{CorpusError, Sex, Utterance};

/// Folds that the user defines in a CSV or TSV file.
///
/// Columns: `fold`; `speaker` or `id` (also `utterance`); and, unless every row is about the test
/// part, `part` (also `split`): `train`, `validation`, `test` or `none`. A clip no row of a fold
/// mentions trains, unless the fold lists its training part itself. Without validation rows, speakers
/// are chosen by the rule of the other protocols. A comment line `# speakers shared` before the
/// header marks the protocol as one that shares speakers; without it, sharing is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFolds {
    /// Name the numbers carry: the file's stem.
    pub name: String,
    /// Whether the file says that speakers are shared.
    pub speakers_shared: bool,
    /// The folds in the order of the file.
    folds: Vec<UserFold>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct UserFold {
    name: String,
    /// Part by speaker or by id.
    parts: BTreeMap<Key, Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Speaker(String),
    Id(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Train,
    Validation,
    Test,
    None,
}

impl UserFolds {
    /// Reads the file.
    ///
    /// # Errors
    /// [`CorpusError::Io`] and [`CorpusError::Csv`]; [`CorpusError::MissingColumn`]; with the line,
    /// [`CorpusError::BadRow`] for an unknown part, an empty field, or a speaker or id that one
    /// fold puts in two parts; [`CorpusError::EmptyPart`] for a fold without test rows.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let table = Table::read(path)?;
        let fold_column = table.required(path, &["fold"])?;
        let part_column = table.column(&["part", "split"]);
        let id_column = table.column(&["id", "utterance", "utterance_id"]);
        let key_column = match id_column {
            Some(column) => column,
            None => table.required(path, &["speaker", "id", "utterance"])?,
        };
        let mut folds: Vec<UserFold> = Vec::new();
        for (line, fields) in &table.rows {
            let bad = |reason: String| CorpusError::BadRow {
                path: path.to_path_buf(),
                line: *line,
                reason,
            };
            let field = |column: usize| fields.get(column).map_or("", String::as_str);
            let (fold, key) = (field(fold_column), field(key_column));
            if fold.is_empty() || key.is_empty() {
                return Err(bad("an empty fold or name".into()));
            }
            let part = match part_column.map(field) {
                None | Some("test") => Part::Test,
                Some("train") => Part::Train,
                Some("validation" | "valid" | "val" | "dev") => Part::Validation,
                Some("none") => Part::None,
                Some(other) => {
                    return Err(bad(format!(
                        "part \"{other}\", expected train, validation, test or none"
                    )));
                }
            };
            let key = if id_column.is_some() {
                Key::Id(key.to_owned())
            } else {
                Key::Speaker(key.to_owned())
            };
            let position = folds
                .iter()
                .position(|f| f.name == fold)
                .unwrap_or_else(|| {
                    folds.push(UserFold {
                        name: fold.to_owned(),
                        parts: BTreeMap::new(),
                    });
                    folds.len() - 1
                });
            match folds[position].parts.insert(key, part) {
                Some(before) if before != part => {
                    return Err(bad(format!("fold {fold} puts it in two parts")));
                }
                _ => {}
            }
        }
        let name = path
            .file_stem()
            .map_or_else(|| "user".into(), |s| s.to_string_lossy().into_owned());
        if let Some(fold) = folds
            .iter()
            .find(|f| !f.parts.values().any(|p| *p == Part::Test))
        {
            return Err(CorpusError::EmptyPart {
                protocol: name,
                fold: fold.name.clone(),
                part: "test",
            });
        }
        if folds.is_empty() {
            return Err(CorpusError::EmptyPart {
                protocol: name,
                fold: "all".into(),
                part: "test",
            });
        }
        // A line that begins so: "no speakers shared" says the opposite.
        let speakers_shared = table.comments.iter().any(|c| {
            c.to_lowercase()
                .replace(['-', '_'], " ")
                .starts_with("speakers shared")
        });
        Ok(Self {
            name,
            speakers_shared,
            folds,
        })
    }

    /// Number of folds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.folds.len()
    }

    /// Whether there is no fold; never true for folds that were read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.folds.is_empty()
    }

    pub(super) fn folds(
        &self,
        utterances: &[Utterance],
        labels: &[usize],
        options: &SplitOptions,
        groups: &Groups,
    ) -> Result<Vec<Fold>, CorpusError> {
        self.folds
            .iter()
            .enumerate()
            .map(|(number, fold)| self.one(fold, number, utterances, labels, options, groups))
            .collect()
    }

    fn one(
        &self,
        user: &UserFold,
        number: usize,
        utterances: &[Utterance],
        labels: &[usize],
        options: &SplitOptions,
        groups: &Groups,
    ) -> Result<Fold, CorpusError> {
        let mut fold = Fold {
            name: user.name.clone(),
            train: vec![],
            validation: vec![],
            test: vec![],
        };
        let lists_train = user.parts.values().any(|p| *p == Part::Train);
        let mut used = BTreeSet::new();
        for (i, u) in utterances.iter().enumerate() {
            let keys = [Key::Speaker(u.speaker.clone()), Key::Id(u.id.clone())];
            let part = keys.iter().find_map(|k| {
                user.parts.get(k).map(|part| {
                    used.insert(k.clone());
                    *part
                })
            });
            match part {
                Some(Part::Test) => fold.test.push(i),
                Some(Part::Validation) => fold.validation.push(i),
                Some(Part::Train) => fold.train.push(i),
                None if !lists_train => fold.train.push(i),
                Some(Part::None) | None => {}
            }
        }
        let absent: Vec<&str> = user
            .parts
            .keys()
            .filter(|k| !used.contains(*k))
            .map(|k| match k {
                Key::Speaker(name) | Key::Id(name) => name.as_str(),
            })
            .collect();
        if !absent.is_empty() {
            return Err(CorpusError::MissingSpeakers {
                protocol: self.name.clone(),
                speakers: absent.join(", "),
            });
        }
        if fold.validation.is_empty() && options.validation_speakers > 0 {
            if self.speakers_shared {
                let mut rng = SplitMix64::new(options.seed.wrapping_add(number as u64));
                let (validation, train) =
                    stratified::cut(&fold.train, labels, groups, 10, &mut rng);
                (fold.validation, fold.train) = (validation, train);
            } else {
                let test: BTreeSet<&str> = fold
                    .test
                    .iter()
                    .map(|&i| utterances[i].speaker.as_str())
                    .collect();
                let candidates: BTreeMap<&str, Option<Sex>> = fold
                    .train
                    .iter()
                    .map(|&i| (utterances[i].speaker.as_str(), utterances[i].sex))
                    .filter(|(s, _)| !test.contains(s))
                    .collect();
                let candidates = candidates.into_iter().map(|(s, sex)| (s.to_owned(), sex));
                let chosen = choose(&self.name, &user.name, candidates, number, options)?;
                (fold.validation, fold.train) = fold
                    .train
                    .iter()
                    .partition(|&&i| chosen.contains(&utterances[i].speaker));
            }
        }
        Ok(fold)
    }
}

/// Writes folds as a table of `fold,id,part`, whole or not at all. [`UserFolds::read`] reads it back
/// to the same folds.
///
/// # Errors
/// [`CorpusError::Io`] if the file cannot be written.
pub fn write_folds(
    path: &Path,
    utterances: &[Utterance],
    folds: &[Fold],
    speakers_shared: bool,
) -> Result<(), CorpusError> {
    let mut rows: Vec<Vec<Cow<'_, str>>> = vec![vec!["fold".into(), "id".into(), "part".into()]];
    for fold in folds {
        for (part, indices) in [
            ("train", &fold.train),
            ("validation", &fold.validation),
            ("test", &fold.test),
        ] {
            for u in indices.iter().filter_map(|&i| utterances.get(i)) {
                rows.push(vec![
                    fold.name.as_str().into(),
                    u.id.as_str().into(),
                    part.into(),
                ]);
            }
        }
    }
    let mut bytes = Vec::new();
    if speakers_shared {
        bytes.extend_from_slice(b"# speakers shared between train and test\n");
    }
    bytes.extend(to_csv(path, rows)?);
    write_atomically(path, &bytes)
}
