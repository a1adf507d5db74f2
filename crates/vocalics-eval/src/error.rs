//! What can go wrong while measuring and reporting.

use std::path::PathBuf;

/// Why a table of predictions could not be measured, read, written or drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// There is nothing to measure.
    #[error("no {what} to evaluate")]
    Empty {
        /// What was missing: `"predictions"`, `"labels"`, `"logits"` or `"history"`.
        what: &'static str,
    },
    /// Scores of several models that do not belong to the same clips.
    #[error(
        "the scores of {models} models do not fit {clips} clips, expected probabilities of every clip from each"
    )]
    Mixture {
        /// Models given.
        models: usize,
        /// Clips with a true class.
        clips: usize,
    },
    /// The label set names a class twice.
    #[error("label '{label}' appears twice in the label set")]
    DuplicateLabel {
        /// The repeated label.
        label: String,
    },
    /// The same clip was scored twice within one fold.
    #[error("clip '{id}' appears twice in fold '{fold}'")]
    DuplicateRow {
        /// The clip.
        id: String,
        /// The fold it is repeated in.
        fold: String,
    },
    /// A class index lies outside the label set.
    #[error("clip '{id}': true class {truth} is outside the label set of {classes} classes")]
    TruthOutOfRange {
        /// The clip (or the row number, for logits).
        id: String,
        /// The index found.
        truth: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A row has more or fewer scores than there are classes.
    #[error("clip '{id}': expected {expected} scores, found {actual}")]
    ScoreCount {
        /// The clip (or the row number, for logits).
        id: String,
        /// The number of classes.
        expected: usize,
        /// The number of scores.
        actual: usize,
    },
    /// A score is not a probability.
    #[error("clip '{id}': score {value} of class {class} is not a probability")]
    NotAProbability {
        /// The clip.
        id: String,
        /// Index of the class.
        class: usize,
        /// The score found.
        value: f32,
    },
    /// The scores of a row do not sum to one.
    #[error("clip '{id}': scores sum to {sum}, expected 1 within {tolerance}")]
    NotNormalised {
        /// The clip.
        id: String,
        /// The sum found.
        sum: f64,
        /// The largest deviation accepted.
        tolerance: f64,
    },
    /// A logit is NaN or infinite.
    #[error("row {row}: logit of class {class} is not finite")]
    NonFiniteLogit {
        /// Row, counted from 0.
        row: usize,
        /// Index of the class.
        class: usize,
    },
    /// Logits and true classes differ in number.
    #[error("expected one true class per row of logits: {logits} rows, {truth} classes")]
    LengthMismatch {
        /// Rows of logits.
        logits: usize,
        /// True classes.
        truth: usize,
    },
    /// A softmax temperature is not a positive finite number.
    #[error("temperature {value} is not a positive finite number")]
    Temperature {
        /// The value found.
        value: f32,
    },
    /// A bootstrap over speakers needs at least two of them.
    #[error("an interval over speakers needs at least 2 speakers, found {speakers}")]
    TooFewSpeakers {
        /// The number of speakers.
        speakers: usize,
    },
    /// A bootstrap needs enough resamples for its percentiles.
    #[error("an interval needs at least {minimum} resamples, asked for {resamples}")]
    TooFewResamples {
        /// The number asked for.
        resamples: usize,
        /// The smallest number accepted.
        minimum: usize,
    },
    /// Two tables that do not test the same.
    #[error("not the same test: {reason}")]
    NotComparable {
        /// What differs first.
        reason: String,
    },
    /// A row of a comparison cannot stand beside the others.
    #[error("{name}: {source}")]
    Row {
        /// The row.
        name: String,
        /// Why.
        source: Box<EvalError>,
    },
    /// Two rows of a comparison have one name.
    #[error("two rows are called {name}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// The provenance of a report does not fit its predictions.
    #[error(
        "provenance does not match the predictions: {what}: expected {expected}, found {actual}"
    )]
    ProvenanceMismatch {
        /// What differs.
        what: &'static str,
        /// What the provenance states.
        expected: String,
        /// What the predictions hold.
        actual: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// `"read"` or `"write"`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A file is not CSV, or a row of it does not fit its columns.
    #[error("{}: not a readable table", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: csv::Error,
    },
    /// A table lacks a column.
    #[error("{}: column '{column}' is missing", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A field of a table is not what its column holds.
    #[error("{}:{line}: column '{column}': expected {expected}, found '{actual}'", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Line of the file, counted from 1.
        line: u64,
        /// The column.
        column: String,
        /// What was expected.
        expected: String,
        /// What was found.
        actual: String,
    },
    /// A file is not the JSON expected.
    #[error("{}: not a readable report", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A figure could not be drawn.
    #[error("cannot draw {figure}: {reason}")]
    Plot {
        /// Which figure.
        figure: &'static str,
        /// What stood in the way.
        reason: String,
    },
}
