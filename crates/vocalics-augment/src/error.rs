use std::collections::BTreeSet;
use std::path::PathBuf;

use vocalics_audio::AudioError;
use vocalics_dsp::DspError;

use crate::MaterialKind;

/// Everything that can go wrong in this crate.
#[non_exhaustive]
#[derive(Debug, thiserror::Error)]
pub enum AugmentError {
    /// A clip without samples.
    #[error("the clip holds no samples")]
    Empty,
    /// A sample is not finite, or beyond any sound.
    #[error(transparent)]
    Signal(#[from] DspError),
    /// A sample rate at which nothing here works.
    #[error("sample rate is {actual} Hz, expected {min} to {max} Hz")]
    SampleRate {
        /// The rate, in hertz.
        actual: u32,
        /// Lowest accepted.
        min: u32,
        /// Highest accepted.
        max: u32,
    },
    /// A parameter is outside its range.
    #[error("{field} is {actual}, expected {expected}")]
    Parameter {
        /// Name of the field.
        field: &'static str,
        /// The value it had.
        actual: String,
        /// The values it may have.
        expected: String,
    },
    /// A step of a plan has a wrong parameter.
    #[error("step {number}, {step}")]
    Step {
        /// Its place in the plan, from 1.
        number: usize,
        /// Its kind.
        step: &'static str,
        /// What is wrong.
        source: Box<AugmentError>,
    },
    /// A step of a plan that is no step.
    #[error("step {number}{}, {kind}: {message}", line.map_or_else(String::new, |line| format!(" (line {line})")))]
    StepSyntax {
        /// Its place in the plan, from 1.
        number: usize,
        /// Where it begins in the text, from 1, where that is known.
        line: Option<usize>,
        /// Its kind, as written.
        kind: String,
        /// Which field, and why.
        message: String,
    },
    /// A plan that does nothing.
    #[error("it has no step")]
    NoStep,
    /// A step needs material that the caller did not give.
    #[error("no {} to draw from", listed(missing))]
    NoMaterial {
        /// What is missing; any of it would do.
        missing: BTreeSet<MaterialKind>,
    },
    /// Material at another rate than the clip.
    #[error("{name} is at {actual} Hz, the clip at {expected} Hz")]
    RateMismatch {
        /// Name of the sound.
        name: String,
        /// Its rate, in hertz.
        actual: u32,
        /// That of the clip.
        expected: u32,
    },
    /// An impulse response of silence.
    #[error("{name}: an impulse response of silence")]
    SilentResponse {
        /// Name of the response.
        name: String,
    },
    /// The result is louder than a number can say: the input was, or gains add up.
    #[error("the result of {step} is not finite")]
    Overflow {
        /// The step that made it.
        step: &'static str,
    },
    /// A folder of sounds that cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A folder without recordings.
    #[error("no recordings in {}", path.display())]
    NoRecordings {
        /// The folder.
        path: PathBuf,
    },
    /// A folder with more sound than is kept in memory.
    #[error("{} holds more than {max_secs} s of sound", path.display())]
    TooMuch {
        /// The folder.
        path: PathBuf,
        /// Most that is kept, in seconds.
        max_secs: f64,
    },
    /// A sound that cannot be decoded.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// A plan that is no TOML, or has fields that there are not.
    #[error("{name} is no plan")]
    Syntax {
        /// Path or name of the plan.
        name: String,
        /// What is wrong with it, and where.
        source: Box<toml::de::Error>,
    },
    /// A plan with a wrong value.
    #[error("{name} is no plan that can be done")]
    PlanValue {
        /// Path or name of the plan.
        name: String,
        /// What is wrong.
        source: Box<AugmentError>,
    },
    /// Neither a file nor the name of a plan.
    #[error("no plan {name}: neither a file nor one of {known}")]
    NoPlan {
        /// What was asked for.
        name: String,
        /// Names of the plans there are.
        known: String,
    },
}

fn listed(kinds: &BTreeSet<MaterialKind>) -> String {
    if kinds.is_empty() {
        return "sources".to_owned();
    }
    let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
    names.join(" or ")
}

impl AugmentError {
    pub(crate) fn no_material(missing: impl IntoIterator<Item = MaterialKind>) -> Self {
        let missing = missing.into_iter().collect();
        Self::NoMaterial { missing }
    }

    /// An empty list of which one is to be chosen; `names` are those it may hold.
    pub(crate) fn empty(field: &'static str, names: &str) -> Self {
        Self::parameter(field, "empty", format!("{names}, at least one"))
    }

    pub(crate) fn parameter(
        field: &'static str,
        actual: impl ToString,
        expected: impl Into<String>,
    ) -> Self {
        Self::Parameter {
            field,
            actual: actual.to_string(),
            expected: expected.into(),
        }
    }

    /// What is missing where there was nothing to draw from, also in a step.
    #[must_use]
    pub fn missing(&self) -> Option<&BTreeSet<MaterialKind>> {
        match self {
            Self::NoMaterial { missing } => Some(missing),
            Self::Step { source, .. } => source.missing(),
            _ => None,
        }
    }

    /// What the user can do about it: one lower-case sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "give a longer recording",
            Self::Signal(_) | Self::Overflow { .. } => {
                "the samples are damaged, or not scaled to ±1; write the recording again from its source"
            }
            Self::Audio(error) => error.hint(),
            Self::Step { source, .. } | Self::PlanValue { source, .. } => source.hint(),
            Self::NoMaterial { .. } => {
                "give a folder of such recordings, or a plan without that step"
            }
            Self::RateMismatch { .. } | Self::SampleRate { .. } => {
                "bring the recordings to the same usual rate first"
            }
            Self::SilentResponse { .. } => "remove it from the folder",
            Self::Io { .. } => "check the path and its permissions",
            Self::NoRecordings { .. } => {
                "give a folder with recordings; they are taken up by their extension"
            }
            Self::TooMuch { .. } => "give fewer or shorter recordings",
            Self::NoPlan { .. } => "give a TOML file or one of those names",
            Self::Parameter { .. }
            | Self::StepSyntax { .. }
            | Self::NoStep
            | Self::Syntax { .. } => "docs/augmentation.md lists the steps and their parameters",
        }
    }
}
