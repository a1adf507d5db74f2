//! What went wrong, what to do about it, and the exit code.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use vocalics_audio::AudioError;
use vocalics_augment::AugmentError;
use vocalics_corpora::CorpusError;
use vocalics_corpora::get::GetError;
use vocalics_dsp::DspError;
use vocalics_eval::EvalError;
use vocalics_features::FeatureError;
use vocalics_runtime::ModelError;
use vocalics_train::TrainError;

use crate::output::tell;

/// Unusable recordings listed before the rest is only counted.
const LISTED: usize = 20;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// To be told to the user; exit 1.
    Told {
        message: String,
        hint: Option<String>,
    },
    /// Arguments that do not go together; exit 2.
    Usage {
        message: String,
        hint: Option<String>,
    },
    /// The user has been told already; exit 1.
    Reported,
    /// Nobody reads standard output any more (`| head`); exit 0.
    ReaderGone,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Told {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            hint: Some(hint.into()),
        }
    }

    /// The same with another hint.
    pub(crate) fn hinted(mut self, other: &str) -> Self {
        if let Self::Told { hint, .. } | Self::Usage { hint, .. } = &mut self {
            *hint = Some(other.to_owned());
        }
        self
    }

    /// The same, said of a recording.
    pub(crate) fn about(mut self, recording: &Path) -> Self {
        if let Self::Told { message, .. } = &mut self {
            let name = match recording.as_os_str() == "-" {
                true => "standard input".into(),
                false => recording.to_string_lossy(),
            };
            *message = format!("{name}: {message}");
        }
        self
    }

    fn of(error: &dyn Error, hint: Option<&str>) -> Self {
        Self::Told {
            message: with_causes(error),
            hint: hint.map(str::to_owned),
        }
    }

    /// A file or folder that could not be read or written.
    pub(crate) fn io(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::new(
            format!("cannot {action} {}: {error}", path.display()),
            "check the path, the permissions and the free space",
        )
    }

    /// Tells the user and gives the exit code.
    pub(crate) fn end(self) -> ExitCode {
        let (message, hint, code) = match self {
            Self::Told { message, hint } => (message, hint, 1),
            Self::Usage { message, hint } => (message, hint, 2),
            Self::Reported => return ExitCode::from(1),
            Self::ReaderGone => return ExitCode::SUCCESS,
        };
        tell(&format!("error: {message}"));
        if let Some(hint) = hint {
            tell(&format!("hint: {hint}"));
        }
        ExitCode::from(code)
    }
}

/// The message of an error and those of its causes, without saying anything twice.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string().trim_end().to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        let message = cause.to_string();
        let message = message.trim();
        if !text.contains(message) {
            text = format!("{text}: {message}");
        }
        source = cause.source();
    }
    text
}

/// Writing to standard output failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        let message = format!("cannot write to standard output: {error}");
        Self::new(message, "check the free space where it is sent")
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::of(&error, Some(error.hint()))
    }
}

impl From<AudioError> for Failure {
    fn from(error: AudioError) -> Self {
        Self::of(&error, Some(error.hint()))
    }
}

impl From<AugmentError> for Failure {
    fn from(error: AugmentError) -> Self {
        Self::of(&error, Some(error.hint()))
    }
}

impl From<FeatureError> for Failure {
    fn from(error: FeatureError) -> Self {
        Self::of(&error, Some(feature_hint(&error)))
    }
}

impl From<DspError> for Failure {
    fn from(error: DspError) -> Self {
        Self::of(&error, Some(dsp_hint(&error)))
    }
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Self {
        Self::of(&error, eval_hint(&error))
    }
}

impl From<CorpusError> for Failure {
    fn from(error: CorpusError) -> Self {
        Self::of(&error, corpus_hint(&error))
    }
}

impl From<GetError> for Failure {
    fn from(error: GetError) -> Self {
        let hint = match &error {
            GetError::Form { .. } => {
                "unpack what you were sent and give its folder: --corpus NAME=DIR"
            }
            GetError::NothingToGet { .. } => {
                "give their place: --corpus folder=DIR or manifest=FILE"
            }
            GetError::Status { .. } | GetError::Listing { .. } => {
                "the address may have moved; fetch the corpus by hand from the source that \
                 `vocalics data list` names"
            }
            GetError::Interrupted { .. } => {
                "check the network and run the same command again; it goes on where it stopped"
            }
            GetError::Incomplete { .. } | GetError::Damaged { .. } | GetError::Corpus { .. } => {
                "remove the folder and run the same command again"
            }
            GetError::Io { .. } | GetError::TooLarge { .. } => {
                "check the free space and the permissions, then run the same command again"
            }
            _ => "run the same command again; if it stays so, the source has changed its files",
        };
        Self::of(&error, Some(hint))
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        let mut failure = Self::of(&error, train_hint(&error));
        if let (TrainError::BadRecordings { problems, total }, Self::Told { message, .. }) =
            (&error, &mut failure)
        {
            *message = format!("{} of {total} recordings cannot be used", problems.len());
            message.push_str(&listed(problems));
        }
        failure
    }
}

/// What to do about a recording that decodes and yet has no features.
pub(crate) fn feature_hint(error: &FeatureError) -> &'static str {
    match error {
        FeatureError::Empty | FeatureError::TooShort { .. } => "give a longer recording",
        FeatureError::Signal(inner) => dsp_hint(inner),
        _ => "the command's --help lists what its options may be",
    }
}

fn dsp_hint(error: &DspError) -> &'static str {
    match error {
        DspError::NonFinite { .. } | DspError::OutOfRange { .. } => {
            "the samples are damaged, or not scaled to ±1; write the recording again from its source"
        }
        _ => "the command's --help lists what its options may be",
    }
}

fn train_hint(error: &TrainError) -> Option<&'static str> {
    match error {
        TrainError::ConfigValue { source, .. } => train_hint(source).or_else(|| error.hint()),
        TrainError::Corpus(inner) => corpus_hint(inner),
        TrainError::Audio(inner) => Some(inner.hint()),
        TrainError::ModelFile(inner) => Some(inner.hint()),
        TrainError::Eval(inner) => eval_hint(inner),
        other => other.hint(),
    }
}

/// Lines under a message, at most [`LISTED`] of them.
pub(crate) fn listed<T: std::fmt::Display>(lines: &[T]) -> String {
    let mut text: String = lines
        .iter()
        .take(LISTED)
        .map(|line| format!("\n  {line}"))
        .collect();
    if lines.len() > LISTED {
        text += &format!("\n  and {} more", lines.len() - LISTED);
    }
    text
}

fn eval_hint(error: &EvalError) -> Option<&'static str> {
    Some(match error {
        EvalError::Row { source, .. } => return eval_hint(source),
        EvalError::NotComparable { .. } => {
            "take runs of one protocol, with the same corpora, labels and seed of the split"
        }
        EvalError::DuplicateName { .. } => "name finished runs apart: --with NAME=RUN",
        EvalError::Io { action: "read", .. } => "check that the file exists and may be read",
        EvalError::Io { .. } => "check the permissions and the free space",
        EvalError::Json { .. } => "give a metrics.json written by `vocalics evaluate`",
        EvalError::Csv { .. } | EvalError::MissingColumn { .. } | EvalError::Field { .. } => {
            "the file was changed after it was written; evaluate again"
        }
        _ => return None,
    })
}

fn corpus_hint(error: &CorpusError) -> Option<&'static str> {
    Some(match error {
        CorpusError::Io { .. } => "check the path and its permissions",
        CorpusError::Audio(inner) => inner.hint(),
        CorpusError::RootMissing { .. } => {
            "check the path; `vocalics data list` shows what is found under the data root"
        }
        CorpusError::NoRecordings { .. } => {
            "check that this is the folder of that corpus; `vocalics data list` shows the names"
        }
        CorpusError::DuplicateId { .. } => "give every corpus once",
        CorpusError::LabelNotInSet { .. } | CorpusError::UnmappedLabel { .. } => {
            "say what becomes of it: --map LABEL=OTHER, or --map LABEL=drop"
        }
        CorpusError::MissingCorpus { .. } => {
            "add it with --corpus NAME=DIR, or under `corpora` in the configuration"
        }
        CorpusError::TrainOnly { .. } => {
            "leave a corpus to test: take it out of evaluation.train_only"
        }
        CorpusError::UnexpectedCorpus { .. } => "leave it out, or choose another protocol",
        CorpusError::MissingSpeakers { .. } => {
            "give the whole corpus, or choose another protocol; `vocalics data check` counts it"
        }
        CorpusError::UnnamedSpeakers { .. } => {
            "name the speakers, by folders or in a manifest; or leave these clips out, or choose random-80-20, which shares speakers"
        }
        CorpusError::UnknownProtocol { .. } => {
            "`--protocol` takes one of these names, or a file: docs/protocols.md"
        }
        CorpusError::TooFewSpeakers { .. } | CorpusError::EmptyPart { .. } => {
            "give more speakers, or fewer of them to evaluation.validation_speakers"
        }
        CorpusError::BadRow { .. }
        | CorpusError::MissingColumn { .. }
        | CorpusError::Csv { .. } => "correct the table",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_named_once() {
        let missing = TrainError::Io {
            action: "read",
            path: "x.toml".into(),
            source: io::Error::other("no such file"),
        };
        assert_eq!(with_causes(&missing), "cannot read x.toml: no such file");
        let wrapped = ModelError::File {
            path: "m.onnx".into(),
            source: Box::new(ModelError::NotOnnx {
                found: "text".into(),
            }),
        };
        let text = with_causes(&wrapped);
        assert_eq!(text.matches("not an onnx model").count(), 1, "{text}");
    }

    #[test]
    fn long_lists_are_cut_and_counted() {
        let lines: Vec<usize> = (0..LISTED + 3).collect();
        let text = listed(&lines);
        assert_eq!(text.lines().count(), 1 + LISTED + 1);
        assert!(text.ends_with("and 3 more"), "{text}");
    }
}
