//! Protocols: named ways to split a list of utterances into train, validation and test.
//!
//! `docs/protocols.md` states each rule in full; the fold tables are from the papers named there.

mod speakers;
mod stratified;
mod user;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

pub use self::user::{UserFolds, write_folds};
use crate::{CorpusError, CorpusKind, Utterance, is_unknown_speaker};

/// One split of a list; the numbers are indices into it, ascending.
///
/// An utterance is in at most one part; some are in none (song of the test actors).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// Name of the fold within its protocol: `fold-1`, a speaker, `seed-0`.
    pub name: String,
    /// What is learnt from.
    pub train: Vec<usize>,
    /// What decides when to stop and which settings to use; empty if none was asked for.
    pub validation: Vec<usize>,
    /// What is measured, once.
    pub test: Vec<usize>,
}

/// What a split depends on besides the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitOptions {
    /// Chooses the validation speakers, and the split itself where it is random.
    pub seed: u64,
    /// Speakers cut from the training part for validation, default 2. Zero leaves no validation
    /// part. The speaker-sharing protocols cut a tenth of the training clips instead, unless zero.
    pub validation_speakers: usize,
    /// Folds of the random protocols, default 1: one for each seed from `seed` on. The others have
    /// their own number of folds.
    pub repeats: u32,
    /// Corpora whose clips train and are in no other part, by name. Where speakers are kept apart, those of
    /// a test or validation speaker are in no part.
    pub train_only: Vec<String>,
}

impl Default for SplitOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            validation_speakers: 2,
            repeats: 1,
            train_only: Vec::new(),
        }
    }
}

/// A named way to split a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Protocol {
    /// `emobox-6fold`: RAVDESS speech, six groups of four actors.
    ///
    /// Source: Z. Ma et al., *EmoBox*, Interspeech 2024.
    Emobox6Fold,
    /// `luna-5fold`: RAVDESS speech, five groups of four or five actors.
    ///
    /// Source: C. Luna-Jiménez et al., *Multimodal emotion recognition on RAVDESS dataset using
    /// transfer learning*, Sensors 21(22), 2021.
    Luna5Fold,
    /// `loso`: each speaker in turn, any corpus.
    Loso,
    /// `random-80-20`: stratified by class. Speakers are shared between train and test.
    Random8020,
    /// `seed-mix`: RAVDESS speech, song and TESS split as `random-80-20`. Speakers are shared.
    SeedMix,
    /// Folds from a file.
    User(UserFolds),
}

const EMOBOX: &[&[u32]] = &[
    &[1, 11, 20, 21],
    &[4, 10, 12, 14],
    &[8, 9, 19, 23],
    &[3, 5, 7, 24],
    &[2, 15, 16, 18],
    &[6, 13, 17, 22],
];

const LUNA: &[&[u32]] = &[
    &[2, 5, 14, 15, 16],
    &[3, 6, 7, 13, 18],
    &[10, 11, 12, 19, 20],
    &[8, 17, 21, 23, 24],
    &[1, 4, 9, 22],
];

impl Protocol {
    /// The names, in the order of the documentation.
    pub const NAMES: &'static [&'static str] = &[
        "emobox-6fold",
        "luna-5fold",
        "loso",
        "random-80-20",
        "seed-mix",
    ];

    /// Name used on the command line and beside every number.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Emobox6Fold => "emobox-6fold",
            Self::Luna5Fold => "luna-5fold",
            Self::Loso => "loso",
            Self::Random8020 => "random-80-20",
            Self::SeedMix => "seed-mix",
            Self::User(user) => &user.name,
        }
    }

    /// Whether a speaker may be in train and test at once. Every output that shows a number from
    /// such a protocol has to say so.
    #[must_use]
    pub fn speakers_shared(&self) -> bool {
        match self {
            Self::Emobox6Fold | Self::Luna5Fold | Self::Loso => false,
            Self::Random8020 | Self::SeedMix => true,
            Self::User(user) => user.speakers_shared,
        }
    }

    /// Reads a name from [`Protocol::NAMES`], or the folds of a `.csv` or `.tsv` file.
    ///
    /// # Errors
    /// [`CorpusError::UnknownProtocol`] for neither, else as [`UserFolds::read`].
    pub fn from_name_or_file(text: &str) -> Result<Self, CorpusError> {
        let path = Path::new(text.trim());
        let table = path
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("csv") || e.eq_ignore_ascii_case("tsv"));
        if table {
            UserFolds::read(path).map(Self::User)
        } else {
            text.parse()
        }
    }

    /// Splits a list. `labels` holds the class of each utterance; only the random protocols use it.
    ///
    /// Recordings that a corpus is known to hold twice stay on one side; give the groups found by
    /// content to [`Protocol::folds_with_duplicates`].
    ///
    /// # Errors
    /// [`CorpusError::LabelCount`] if the two lengths differ; [`CorpusError::TrainOnly`], [`CorpusError::MissingCorpus`],
    /// [`CorpusError::MissingSpeakers`], [`CorpusError::UnnamedSpeakers`] or [`CorpusError::UnexpectedCorpus`] if the
    /// protocol is not defined on this list; [`CorpusError::TooFewSpeakers`] and [`CorpusError::EmptyPart`] if it
    /// is too small.
    pub fn folds(
        &self,
        utterances: &[Utterance],
        labels: &[usize],
        options: &SplitOptions,
    ) -> Result<Vec<Fold>, CorpusError> {
        self.folds_with_duplicates(utterances, labels, options, &[])
    }

    /// As [`Protocol::folds`]; every group of indices in `duplicates` is one recording and stays on
    /// one side. Where speakers keep a protocol from moving clips, the copies of a test clip leave
    /// training and validation instead.
    ///
    /// # Errors
    /// As [`Protocol::folds`].
    pub fn folds_with_duplicates(
        &self,
        utterances: &[Utterance],
        labels: &[usize],
        options: &SplitOptions,
        duplicates: &[Vec<usize>],
    ) -> Result<Vec<Fold>, CorpusError> {
        if utterances.len() != labels.len() {
            return Err(CorpusError::LabelCount {
                expected: utterances.len(),
                actual: labels.len(),
            });
        }
        let from_file = matches!(self, Self::User(_));
        if !from_file {
            // Every clip takes part, and a list of nobody's clips is not one of too few speakers.
            self.refuse_unnamed(0..utterances.len(), utterances)?;
        }
        let groups = Groups::new(utterances, duplicates);
        let mut folds = if options.train_only.is_empty() {
            self.split(utterances, labels, options, &groups)?
        } else {
            self.split_beside(utterances, labels, options, duplicates)?
        };
        if from_file {
            let parts = folds
                .iter()
                .flat_map(|fold| [&fold.train, &fold.validation, &fold.test]);
            let clips: BTreeSet<usize> = parts.flatten().copied().collect();
            self.refuse_unnamed(clips.into_iter(), utterances)?;
        }
        for fold in &mut folds {
            groups.keep_on_one_side(fold);
            self.validate(fold, utterances, options)?;
        }
        Ok(folds)
    }

    fn split(
        &self,
        utterances: &[Utterance],
        labels: &[usize],
        options: &SplitOptions,
        groups: &Groups,
    ) -> Result<Vec<Fold>, CorpusError> {
        match self {
            Self::Emobox6Fold => speakers::ravdess_folds(self.name(), EMOBOX, utterances, options),
            Self::Luna5Fold => speakers::ravdess_folds(self.name(), LUNA, utterances, options),
            Self::Loso => speakers::leave_one_out(self.name(), utterances, options),
            Self::Random8020 => Ok(stratified::folds(utterances, labels, options, groups)),
            Self::SeedMix => {
                stratified::require_seed_mix(self.name(), utterances)?;
                Ok(stratified::folds(utterances, labels, options, groups))
            }
            Self::User(user) => user.folds(utterances, labels, options, groups),
        }
    }

    /// Splits what is left without [`SplitOptions::train_only`], as if there were nothing else, and lets that train.
    fn split_beside(
        &self,
        utterances: &[Utterance],
        labels: &[usize],
        options: &SplitOptions,
        duplicates: &[Vec<usize>],
    ) -> Result<Vec<Fold>, CorpusError> {
        for corpus in &options.train_only {
            require_corpus(self.name(), corpus, utterances)?;
        }
        let (beside, split): (Vec<usize>, Vec<usize>) = (0..utterances.len())
            .partition(|&i| options.train_only.contains(&utterances[i].corpus));
        if split.is_empty() {
            return Err(CorpusError::TrainOnly {
                protocol: self.name().to_owned(),
                corpus: options.train_only.join(", "),
            });
        }
        let place: BTreeMap<usize, usize> =
            split.iter().enumerate().map(|(n, &i)| (i, n)).collect();
        let duplicates: Vec<Vec<usize>> = duplicates
            .iter()
            .map(|group| group.iter().filter_map(|i| place.get(i).copied()).collect())
            .collect();
        let list: Vec<Utterance> = split.iter().map(|&i| utterances[i].clone()).collect();
        let classes: Vec<usize> = split.iter().map(|&i| labels[i]).collect();
        let groups = Groups::new(&list, &duplicates);
        let only_trains = |error| match error {
            CorpusError::MissingCorpus {
                protocol, corpus, ..
            } if options.train_only.contains(&corpus) => {
                CorpusError::TrainOnly { protocol, corpus }
            }
            error => error,
        };
        let folds = self.split(&list, &classes, options, &groups);
        let mut folds = folds.map_err(only_trains)?;
        for fold in &mut folds {
            for part in [&mut fold.train, &mut fold.validation, &mut fold.test] {
                part.iter_mut().for_each(|i| *i = split[*i]);
            }
            let held = fold.validation.iter().chain(&fold.test);
            let held: BTreeSet<&str> = held.map(|&i| utterances[i].speaker.as_str()).collect();
            let joins = |i: &usize| {
                self.speakers_shared() || !held.contains(utterances[*i].speaker.as_str())
            };
            fold.train.extend(beside.iter().copied().filter(joins));
            fold.train.sort_unstable();
        }
        Ok(folds)
    }

    /// Refuses clips whose speaker may be anyone, a test speaker too, where speakers are to be kept apart.
    fn refuse_unnamed(
        &self,
        clips: impl Iterator<Item = usize>,
        utterances: &[Utterance],
    ) -> Result<(), CorpusError> {
        if self.speakers_shared() {
            return Ok(());
        }
        let unnamed: Vec<&Utterance> = clips
            .map(|i| &utterances[i])
            .filter(|utterance| is_unknown_speaker(&utterance.speaker))
            .collect();
        match unnamed.first() {
            None => Ok(()),
            Some(first) => Err(CorpusError::UnnamedSpeakers {
                protocol: self.name().to_owned(),
                count: unnamed.len(),
                id: first.id.clone(),
            }),
        }
    }

    /// Refuses a fold with an empty part or a speaker on two sides.
    fn validate(
        &self,
        fold: &Fold,
        utterances: &[Utterance],
        options: &SplitOptions,
    ) -> Result<(), CorpusError> {
        let empty = |part| CorpusError::EmptyPart {
            protocol: self.name().to_owned(),
            fold: fold.name.clone(),
            part,
        };
        if fold.train.is_empty() {
            return Err(empty("train"));
        }
        if fold.test.is_empty() {
            return Err(empty("test"));
        }
        if fold.validation.is_empty() && options.validation_speakers > 0 {
            return Err(empty("validation"));
        }
        match speaker_overlap(fold, utterances).into_iter().next() {
            Some(speaker) if !self.speakers_shared() => Err(CorpusError::SharedSpeaker {
                protocol: self.name().to_owned(),
                fold: fold.name.clone(),
                speaker,
            }),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protocol {
    type Err = CorpusError;

    /// Reads a name from [`Protocol::NAMES`].
    ///
    /// # Errors
    /// [`CorpusError::UnknownProtocol`] with the names.
    fn from_str(text: &str) -> Result<Self, CorpusError> {
        [
            Self::Emobox6Fold,
            Self::Luna5Fold,
            Self::Loso,
            Self::Random8020,
            Self::SeedMix,
        ]
        .into_iter()
        .find(|p| p.name() == text.trim())
        .ok_or_else(|| CorpusError::UnknownProtocol {
            name: text.to_owned(),
            known: Self::NAMES.join(", "),
        })
    }
}

/// Refuses a list without a clip of `corpus`.
fn require_corpus(
    protocol: &str,
    corpus: &str,
    utterances: &[Utterance],
) -> Result<(), CorpusError> {
    let present: BTreeSet<&str> = utterances.iter().map(|u| u.corpus.as_str()).collect();
    if present.contains(corpus) {
        return Ok(());
    }
    Err(CorpusError::MissingCorpus {
        protocol: protocol.to_owned(),
        corpus: corpus.to_owned(),
        present: if present.is_empty() {
            "nothing".to_owned()
        } else {
            present.into_iter().collect::<Vec<_>>().join(", ")
        },
    })
}

/// The speakers with clips in more than one of train, validation and test of a fold, sorted.
#[must_use]
pub fn speaker_overlap(fold: &Fold, utterances: &[Utterance]) -> Vec<String> {
    let mut part_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for (number, part) in [&fold.train, &fold.validation, &fold.test]
        .into_iter()
        .enumerate()
    {
        for utterance in part.iter().filter_map(|&i| utterances.get(i)) {
            if *part_of.entry(&utterance.speaker).or_insert(number) != number {
                shared.insert(utterance.speaker.clone());
            }
        }
    }
    shared.into_iter().collect()
}

/// Which utterances are one recording.
#[derive(Debug)]
struct Groups {
    /// Groups of at least two indices, ascending.
    groups: Vec<Vec<usize>>,
    /// Group of an index, if any.
    group_of: BTreeMap<usize, usize>,
}

impl Groups {
    fn new(utterances: &[Utterance], extra: &[Vec<usize>]) -> Self {
        let index: BTreeMap<&str, usize> = utterances
            .iter()
            .enumerate()
            .map(|(i, u)| (u.id.as_str(), i))
            .collect();
        let known = CorpusKind::ALL
            .iter()
            .flat_map(|k| k.info().known_duplicates)
            .filter_map(|(a, b)| Some(vec![*index.get(a)?, *index.get(b)?]));
        let mut groups: Vec<BTreeSet<usize>> = Vec::new();
        for group in known.chain(extra.iter().cloned()) {
            let mut merged: BTreeSet<usize> = group
                .into_iter()
                .filter(|&i| i < utterances.len())
                .collect();
            groups.retain(|other| {
                let touches = !other.is_disjoint(&merged);
                if touches {
                    merged.extend(other);
                }
                !touches
            });
            if merged.len() > 1 {
                groups.push(merged);
            }
        }
        let groups: Vec<Vec<usize>> = groups
            .into_iter()
            .map(|g| g.into_iter().collect())
            .collect();
        let group_of = groups
            .iter()
            .enumerate()
            .flat_map(|(number, group)| group.iter().map(move |&i| (i, number)))
            .collect();
        Self { groups, group_of }
    }

    /// All copies of an utterance including itself.
    fn copies(&self, index: usize) -> Vec<usize> {
        self.group_of
            .get(&index)
            .map_or_else(|| vec![index], |&g| self.groups[g].clone())
    }

    /// Takes copies of test clips out of validation and training, and copies of validation clips
    /// out of training.
    fn keep_on_one_side(&self, fold: &mut Fold) {
        let groups_in = |part: &[usize]| -> BTreeSet<usize> {
            part.iter()
                .filter_map(|i| self.group_of.get(i).copied())
                .collect()
        };
        let outside = |taken: &BTreeSet<usize>, i: &usize| {
            self.group_of.get(i).is_none_or(|g| !taken.contains(g))
        };
        let test = groups_in(&fold.test);
        fold.validation.retain(|i| outside(&test, i));
        let mut taken = groups_in(&fold.validation);
        taken.extend(test);
        fold.train.retain(|i| outside(&taken, i));
    }
}
