//! What can go wrong with a recognition.

use vocalics_features::FeatureError;

use super::ModelError;

/// Why a recognition gave no scores.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The model file was refused.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The samples are at another rate than the model's.
    #[error("samples are at {actual} Hz, the model needs {expected} Hz")]
    SampleRate {
        /// The model's rate in Hz.
        expected: u32,
        /// The rate given, in Hz.
        actual: u32,
    },
    /// There are no samples.
    #[error("the clip is empty")]
    Empty,
    /// The clip is too short to say anything about.
    #[error("the clip lasts {:.3} s, at least {minimum:.3} s are needed", (secs * 1e3).floor() / 1e3)]
    TooShort {
        /// Its duration in seconds.
        secs: f64,
        /// The least duration in seconds.
        minimum: f64,
    },
    /// A sample is NaN or infinite.
    #[error("sample {index} is not a finite number")]
    NonFinite {
        /// Position of the first such sample.
        index: usize,
    },
    /// The front end refused the samples.
    #[error("the front end failed")]
    FrontEnd {
        /// What the front end said.
        #[from]
        source: FeatureError,
    },
    /// A feature matrix does not have the model's number of bands.
    #[error("features have {actual} columns, the model needs {expected}")]
    FeatureWidth {
        /// Columns the model needs.
        expected: usize,
        /// Columns given.
        actual: usize,
    },
    /// Features given as one slice do not end with a whole row.
    #[error("{values} feature values are no whole number of rows of {per_row}")]
    FeatureCount {
        /// Values given.
        values: usize,
        /// Values of a row: the model's bands, times the frames where clips are given.
        per_row: usize,
    },
    /// The engine failed on this input.
    #[error("the engine failed on {n_frames} frames")]
    Engine {
        /// Number of frames of the input.
        n_frames: usize,
        /// What the engine said.
        source: Box<rten::RunError>,
    },
    /// The engine broke off on this input.
    #[error("the engine broke off on {n_frames} frames: {reason}")]
    EngineFailure {
        /// Number of frames of the input.
        n_frames: usize,
        /// The engine's own words.
        reason: String,
    },
    /// The model takes embeddings, and the encoder that makes them was not given.
    #[error("the model needs its encoder {name}, which is a file of its own")]
    EncoderMissing {
        /// Name of the encoder.
        name: String,
    },
    /// The engine failed in the encoder.
    #[error("the engine failed in the encoder")]
    EncoderEngine {
        /// What the engine said.
        source: Box<rten::RunError>,
    },
    /// The engine broke off in the encoder.
    #[error("the engine broke off in the encoder: {reason}")]
    EncoderFailure {
        /// The engine's own words.
        reason: String,
    },
    /// The encoder's output does not have the described shape.
    #[error("the encoder's output has shape {actual:?}, expected {expected}")]
    EncoderOutput {
        /// The shape described.
        expected: &'static str,
        /// The shape found; empty when the output is no float tensor.
        actual: Vec<usize>,
    },
    /// The graph's output does not have the announced shape.
    #[error("the model's output has shape {actual:?}, expected {expected:?}")]
    OutputShape {
        /// `[batch, n_classes]`.
        expected: [usize; 2],
        /// The shape found; empty when the output is no float tensor.
        actual: Vec<usize>,
    },
    /// The network gave a NaN or an infinity.
    #[error("the model's output is not finite")]
    NonFiniteOutput,
}

impl RuntimeError {
    /// A stable name of the cause, in snake case, for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Model(error) => error.code(),
            Self::SampleRate { .. } => "sample_rate",
            Self::Empty => "empty",
            Self::TooShort { .. } => "too_short",
            Self::NonFinite { .. } => "non_finite",
            Self::FrontEnd { .. } => "front_end",
            Self::FeatureWidth { .. } => "feature_width",
            Self::FeatureCount { .. } => "feature_count",
            Self::Engine { .. }
            | Self::EngineFailure { .. }
            | Self::EncoderEngine { .. }
            | Self::EncoderFailure { .. } => "engine",
            Self::EncoderMissing { .. } => "encoder_missing",
            Self::EncoderOutput { .. } => "encoder_output",
            Self::OutputShape { .. } => "output_shape",
            Self::NonFiniteOutput => "non_finite_output",
        }
    }

    /// What the user can do about it, in one sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Model(error) => error.hint(),
            Self::SampleRate { .. } => "resample the audio to the model's rate first",
            Self::Empty | Self::TooShort { .. } => "give at least a fifth of a second of speech",
            Self::NonFinite { .. } => "the recording is damaged; decode it again from its source",
            Self::FrontEnd { .. } => "check the recording with `vocalics features`",
            Self::FeatureWidth { .. } | Self::FeatureCount { .. } => {
                "compute the features with the model's own front end"
            }
            Self::EncoderMissing { .. } => "give the encoder's file with --encoder",
            Self::EncoderEngine { .. } | Self::EncoderFailure { .. } => {
                "if the clip is very short, say the encoder's least length in its description; else check that it \
                 runs in onnxruntime"
            }
            Self::EncoderOutput { .. } => {
                "correct the output in the encoder's description; docs/encoders.md explains it"
            }
            Self::Engine { .. } | Self::EngineFailure { .. } => {
                "if the clip is very short, give a longer one; otherwise report it with the model's name"
            }
            Self::OutputShape { .. } | Self::NonFiniteOutput => {
                "the model cannot be used for this clip; report it with the model's name"
            }
        }
    }
}
