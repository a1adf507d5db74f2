//! What can go wrong between a folder of recordings and a list of folds.

use std::io;
use std::path::PathBuf;

use vocalics_audio::AudioError;

/// What can go wrong between a folder of recordings and a list of folds.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file or folder could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was attempted: `read`, `write`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A folder of recordings could not be read.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// The root of a corpus does not exist.
    #[error("{corpus}: no such file or folder: {path}")]
    RootMissing {
        /// Name of the corpus.
        corpus: String,
        /// The root as given.
        path: PathBuf,
    },
    /// The root holds no recording of the corpus.
    #[error("{corpus}: no recordings under {path}")]
    NoRecordings {
        /// Name of the corpus.
        corpus: String,
        /// The root as given.
        path: PathBuf,
    },
    /// The name of a corpus is not known.
    #[error("unknown corpus \"{name}\", expected one of {known}")]
    UnknownCorpus {
        /// The name as given.
        name: String,
        /// The known names.
        known: String,
    },
    /// A corpus argument is not of the form `NAME=PATH`.
    #[error("corpus \"{text}\" is not of the form NAME=PATH, for example ravdess=data/ravdess")]
    BadSpec {
        /// The argument as given.
        text: String,
    },
    /// Two corpus arguments, or two rows of a manifest, lead to the same utterance.
    #[error("utterance {id} appears twice: {first} and {second}")]
    DuplicateId {
        /// The identifier.
        id: String,
        /// Where it was first seen.
        first: PathBuf,
        /// Where it was seen again.
        second: PathBuf,
    },
    /// A word that is no sex.
    #[error("unknown sex \"{text}\", expected female or male")]
    UnknownSex {
        /// The word as given.
        text: String,
    },
    /// The name of a target is not known.
    #[error("unknown target \"{text}\", expected emotion, intensity, sex or speaker")]
    UnknownTarget {
        /// The name as given.
        text: String,
    },
    /// An utterance has no value for the target asked for.
    #[error("{id} has no {target}")]
    NoTarget {
        /// The utterance.
        id: String,
        /// The target.
        target: &'static str,
    },
    /// A label is not in the set of labels in use.
    #[error("{id} is labelled \"{label}\", which is not one of {expected}")]
    LabelNotInSet {
        /// The utterance.
        id: String,
        /// Its label.
        label: String,
        /// The labels in use.
        expected: String,
    },
    /// A list of labels holds one twice or an empty one.
    #[error("label set: {reason}")]
    BadLabelSet {
        /// What is wrong.
        reason: String,
    },
    /// The text of a label map cannot be read.
    #[error("label map \"{text}\": {reason}")]
    BadLabelMap {
        /// The text as given.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A label map says nothing about a label that occurs.
    #[error("label \"{label}\" is not in the map {map}")]
    UnmappedLabel {
        /// The label.
        label: String,
        /// The map as printed.
        map: String,
    },
    /// The name of a protocol is not known.
    #[error(
        "unknown protocol \"{name}\", expected one of {known}, or a .csv or .tsv file of folds"
    )]
    UnknownProtocol {
        /// The name as given.
        name: String,
        /// The known names.
        known: String,
    },
    /// One class per utterance is needed.
    #[error("{actual} labels for {expected} utterances")]
    LabelCount {
        /// Number of utterances.
        expected: usize,
        /// Number of labels given.
        actual: usize,
    },
    /// A protocol is defined on a corpus that the list does not hold.
    #[error("protocol {protocol} needs the corpus {corpus}, the list holds {present}")]
    MissingCorpus {
        /// The protocol.
        protocol: String,
        /// The corpus it needs.
        corpus: String,
        /// The corpora that are there.
        present: String,
    },
    /// A protocol has to test a corpus that is only to train.
    #[error("protocol {protocol} has to split {corpus}, said to train only")]
    TrainOnly {
        /// The protocol.
        protocol: String,
        /// The corpus, or all there are.
        corpus: String,
    },
    /// A protocol is defined without a corpus that the list holds.
    #[error("protocol {protocol} is not defined on {corpus}")]
    UnexpectedCorpus {
        /// The protocol.
        protocol: String,
        /// The corpus that does not belong.
        corpus: String,
    },
    /// Speakers that a protocol tests on have no clip in the list.
    #[error("protocol {protocol} needs clips of {speakers}, there are none")]
    MissingSpeakers {
        /// The protocol.
        protocol: String,
        /// The speakers without a clip.
        speakers: String,
    },
    /// The list has too few speakers to hold some out.
    #[error(
        "protocol {protocol}, fold {fold}: {actual} speakers left for training and validation, at least {expected} needed ({validation} for validation)"
    )]
    TooFewSpeakers {
        /// The protocol.
        protocol: String,
        /// The fold.
        fold: String,
        /// Speakers needed.
        expected: usize,
        /// Speakers there.
        actual: usize,
        /// Speakers wanted for validation.
        validation: usize,
    },
    /// Nobody knows who speaks in a clip, under a protocol that keeps speakers apart.
    #[error(
        "protocol {protocol} keeps speakers apart, and nobody knows who speaks in {id} ({count} such)"
    )]
    UnnamedSpeakers {
        /// The protocol.
        protocol: String,
        /// Clips without the name of a speaker that a fold has in a part.
        count: usize,
        /// The first of them.
        id: String,
    },
    /// A part that must hold clips has none.
    #[error("protocol {protocol}, fold {fold}: the {part} part is empty")]
    EmptyPart {
        /// The protocol.
        protocol: String,
        /// The fold.
        fold: String,
        /// `train`, `validation` or `test`.
        part: &'static str,
    },
    /// A fold has one speaker in two parts although its protocol does not say so.
    #[error(
        "protocol {protocol}, fold {fold}: speaker {speaker} is in more than one of train, validation and test"
    )]
    SharedSpeaker {
        /// The protocol.
        protocol: String,
        /// The fold.
        fold: String,
        /// The first such speaker.
        speaker: String,
    },
    /// A table lacks a column that is needed.
    #[error("{path}: no column for {column}, the file has {found}")]
    MissingColumn {
        /// The table.
        path: PathBuf,
        /// The column, with the names accepted.
        column: String,
        /// The columns there.
        found: String,
    },
    /// A row of a table cannot be used.
    #[error("{path}, line {line}: {reason}")]
    BadRow {
        /// The table.
        path: PathBuf,
        /// Line in the file, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// A table is no valid CSV.
    #[error("{path}: not a readable table")]
    Csv {
        /// The table.
        path: PathBuf,
        /// The parser's reason.
        source: csv::Error,
    },
}
