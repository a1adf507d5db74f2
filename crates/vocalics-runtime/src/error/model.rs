//! What can go wrong with a model file.

use std::path::{Path, PathBuf};

use vocalics_features::FeatureError;

use super::RuntimeError;

/// Why a model file was refused.
///
/// Every case has a stable [`code`](ModelError::code) and a [`hint`](ModelError::hint) that says what to
/// do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file could not be read.
    #[error("cannot read model file {}", path.display())]
    Io {
        /// The file asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A named file was refused; the source says why.
    #[error("model file {} was refused: {source}", path.display())]
    File {
        /// The file asked for.
        path: PathBuf,
        /// The reason.
        source: Box<ModelError>,
    },
    /// The bytes are no ONNX model at all.
    #[error("not an onnx model: {found}")]
    NotOnnx {
        /// What they look like instead.
        found: String,
    },
    /// The file ends before its content does.
    #[error("model file is truncated: {needed} more bytes announced at offset {offset}")]
    Truncated {
        /// Where the reading stopped, in bytes from the start of the file.
        offset: usize,
        /// How many bytes are missing there.
        needed: u64,
    },
    /// The file is damaged.
    #[error("model file is damaged at offset {offset}: {what}")]
    Corrupt {
        /// Where, in bytes from the start of the file.
        offset: usize,
        /// What was found there.
        what: &'static str,
    },
    /// The graph is not the one that was written.
    #[error(
        "the model's graph was changed after it was written: crc32 {actual:08x}, expected {expected:08x}"
    )]
    Checksum {
        /// The checksum stored in the file.
        expected: u32,
        /// The checksum of the graph found.
        actual: u32,
    },
    /// The file is larger than any model this runtime accepts.
    #[error("model of {bytes} bytes is larger than the limit of {limit} bytes")]
    TooLarge {
        /// Size of the file.
        bytes: u64,
        /// The limit, [`MAX_MODEL_BYTES`](crate::MAX_MODEL_BYTES).
        limit: u64,
    },
    /// A valid ONNX model that carries none of our metadata.
    #[error("onnx model without vocalics metadata (producer: {producer})")]
    Foreign {
        /// The producer the file names, or `unknown`.
        producer: String,
    },
    /// The file was written for another version of the format.
    #[error("model format version {found} is not supported, expected 1 to {supported}")]
    FormatVersion {
        /// The version in the file.
        found: u32,
        /// The latest version this build reads, [`BODY_FORMAT_VERSION`](crate::BODY_FORMAT_VERSION).
        supported: u32,
    },
    /// The file holds a network without a head, which has no labels to answer with.
    #[error("{name} was pretrained on recordings without labels and not trained: it has no labels")]
    Pretrained {
        /// Name of the model.
        name: String,
    },
    /// A model with a head where one without is wanted.
    #[error("{name} is no pretrained network: it has labels")]
    NotPretrained {
        /// Name of the model.
        name: String,
    },
    /// A required metadata key is absent.
    #[error("metadata key {key} is missing")]
    MissingKey {
        /// The full key, `vocalics.<field>`.
        key: String,
    },
    /// A metadata key appears twice.
    #[error("metadata key {key} appears more than once")]
    DuplicateKey {
        /// The full key, `vocalics.<field>`.
        key: String,
    },
    /// The value under a metadata key is not what belongs there.
    #[error("metadata key {key} cannot be read")]
    InvalidKey {
        /// The full key, `vocalics.<field>`.
        key: String,
        /// What the JSON reader said.
        source: serde_json::Error,
    },
    /// The metadata can be read but contradicts itself.
    #[error("metadata is inconsistent: {reason}")]
    InvalidMetadata {
        /// Which rule is broken.
        reason: String,
    },
    /// The front end described in the file is not a valid one.
    #[error("the front end is not valid")]
    FrontEnd {
        /// What the front end said.
        source: FeatureError,
    },
    /// The front end computes something else than the one the model was trained with.
    #[error(
        "front-end fingerprint mismatch: the model expects {expected}, this build computes {actual}"
    )]
    Fingerprint {
        /// The fingerprint in the file.
        expected: String,
        /// The fingerprint of the front end built from the file's configuration.
        actual: String,
    },
    /// The model takes functionals that this build does not compute, or of which it has another version.
    #[error("the model's functionals cannot be computed: {source}")]
    Functionals {
        /// What differs.
        source: FeatureError,
    },
    /// The graph's input or output is not the one the format asks for.
    #[error("unexpected graph: {reason}")]
    Graph {
        /// What differs.
        reason: String,
    },
    /// The graph uses an operator this runtime does not take.
    #[error("operator {operator} is not supported")]
    Operator {
        /// The operator, with its domain when it is not the standard one.
        operator: String,
    },
    /// Label list and output disagree.
    #[error("model has {labels} labels but {outputs} outputs")]
    LabelCount {
        /// Number of labels in the metadata.
        labels: usize,
        /// Width of the graph's output.
        outputs: usize,
    },
    /// The engine could not load the graph.
    #[error("the engine cannot load the graph")]
    Engine {
        /// What the engine said.
        source: Box<rten::LoadError>,
    },
    /// The model cannot be quantised, whatever the recordings.
    #[error("cannot quantise this model: {reason}")]
    NotQuantisable {
        /// What about it.
        reason: String,
    },
    /// The model cannot be quantised with these recordings.
    #[error("cannot quantise with these recordings: {reason}")]
    Calibration {
        /// What is wrong.
        reason: String,
    },
    /// Our own engine was asked for and does not know something in the graph.
    #[error("the native engine does not take this graph: {reason}")]
    NotNative {
        /// The operator, and what about it.
        reason: String,
    },
    /// The engine broke off while loading the graph.
    #[error("the engine broke off on this graph: {reason}")]
    EngineFailure {
        /// The engine's own words.
        reason: String,
    },
    /// The model could not be run on its own test vector.
    #[error("the model fails on its own test vector")]
    TestVectorRun {
        /// Why it failed.
        source: Box<RuntimeError>,
    },
    /// The model gives other scores for its test vector than when it was written.
    #[error(
        "test vector failed: score of {label} is {actual}, expected {expected} within {tolerance}"
    )]
    TestVector {
        /// The label with the largest difference.
        label: String,
        /// The score in the file.
        expected: f32,
        /// The score computed here.
        actual: f32,
        /// The tolerance, [`TEST_VECTOR_TOLERANCE`](crate::TEST_VECTOR_TOLERANCE).
        tolerance: f32,
    },
    /// The description of an encoder holds a value that cannot be.
    #[error("{field} is {actual}, expected {expected}")]
    Description {
        /// The field as in the description file.
        field: &'static str,
        /// What it holds.
        actual: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// A named encoder was refused; the source says why.
    #[error("encoder {} was refused: {source}", path.display())]
    EncoderFile {
        /// The file asked for.
        path: PathBuf,
        /// The reason.
        source: Box<ModelError>,
    },
    /// An encoder's graph does not fit its description.
    #[error("the encoder's graph does not fit its description: {reason}")]
    EncoderPorts {
        /// What differs.
        reason: String,
    },
    /// A graph names a file with weights that cannot be taken from there.
    #[error("weights of the graph lie in {name}, expected them in the file or beside it")]
    WeightsBeside {
        /// The file as the graph names it.
        name: String,
    },
    /// An encoder could not be run on a second of sound.
    #[error("the encoder fails on a second of sound")]
    EncoderRun {
        /// Why it failed.
        source: Box<RuntimeError>,
    },
    /// The encoder is not the one the model was trained with.
    #[error("this is not the encoder of the model: {name} is {expected}, this one is {actual}")]
    EncoderHash {
        /// Name of the model's encoder.
        name: String,
        /// Its fingerprint.
        expected: String,
        /// That of the one given.
        actual: String,
    },
    /// The encoder gives other embeddings than when the model was written.
    #[error(
        "the encoder's embedding of a known sound is {difference} off, expected at most {tolerance}"
    )]
    EncoderProbe {
        /// Largest difference of a value.
        difference: f32,
        /// The largest allowed.
        tolerance: f32,
    },
    /// An encoder was given to a model that has none, or has it inside.
    #[error("the model takes no encoder from outside")]
    EncoderUnused,
    /// An encoder cannot become part of a model file.
    #[error("the encoder cannot become part of the model file: {reason}")]
    EncoderMerge {
        /// What about it.
        reason: String,
    },
    /// Models cannot answer together.
    #[error("model {place} cannot answer together with the others: {reason}")]
    Combine {
        /// Which of the models, from 1.
        place: usize,
        /// What about it.
        reason: String,
    },
    /// The metadata could not be written as JSON.
    #[error("metadata key {key} cannot be written")]
    Write {
        /// The full key, `vocalics.<field>`.
        key: String,
        /// What the JSON writer said.
        source: serde_json::Error,
    },
}

impl ModelError {
    /// Of models that cannot answer together, the one at fault by its path; any other error as it is.
    ///
    /// `paths` are those of the models, in the order in which they were given.
    #[must_use]
    pub fn naming<P: AsRef<Path>>(self, paths: &[P]) -> Self {
        match self {
            Self::Combine { place, .. } if (1..=paths.len()).contains(&place) => Self::File {
                path: paths[place - 1].as_ref().to_owned(),
                source: Box::new(self),
            },
            other => other,
        }
    }

    /// A stable name of the cause, in snake case, for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "model_unreadable",
            Self::File { source, .. } => source.code(),
            Self::NotOnnx { .. } => "model_not_onnx",
            Self::Truncated { .. } => "model_truncated",
            Self::Corrupt { .. } => "model_corrupt",
            Self::Checksum { .. } => "model_checksum",
            Self::TooLarge { .. } => "model_too_large",
            Self::Foreign { .. } => "model_foreign",
            Self::FormatVersion { .. } => "model_format_version",
            Self::Pretrained { .. } | Self::NotPretrained { .. } => "model_pretrained",
            Self::MissingKey { .. } => "model_missing_key",
            Self::DuplicateKey { .. } => "model_duplicate_key",
            Self::InvalidKey { .. } => "model_invalid_key",
            Self::InvalidMetadata { .. } => "model_invalid_metadata",
            Self::FrontEnd { .. } => "model_front_end",
            Self::Fingerprint { .. } => "model_fingerprint",
            Self::Functionals { .. } => "model_functionals",
            Self::Graph { .. } => "model_graph",
            Self::Operator { .. } => "model_operator",
            Self::LabelCount { .. } => "model_label_count",
            Self::Engine { .. } | Self::EngineFailure { .. } | Self::NotNative { .. } => {
                "model_engine"
            }
            Self::Calibration { .. } | Self::NotQuantisable { .. } => "model_calibration",
            Self::TestVectorRun { .. } | Self::TestVector { .. } => "model_test_vector",
            Self::Description { .. } => "encoder_description",
            Self::EncoderFile { source, .. } => source.code(),
            Self::EncoderPorts { .. } | Self::EncoderRun { .. } => "encoder_graph",
            Self::WeightsBeside { .. } => "encoder_weights",
            Self::EncoderHash { .. } => "encoder_hash",
            Self::EncoderProbe { .. } => "encoder_probe",
            Self::EncoderUnused => "encoder_unused",
            Self::EncoderMerge { .. } => "encoder_merge",
            Self::Combine { .. } => "model_combine",
            Self::Write { .. } => "model_write",
        }
    }

    /// What the user can do about it, in one sentence.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the path exists and can be read",
            Self::File { source, .. } => source.hint(),
            Self::NotOnnx { .. } => {
                "give a model.onnx written by `vocalics train` or `vocalics evaluate`"
            }
            Self::Truncated { .. } | Self::Corrupt { .. } => {
                "copy or download the file again and compare its size"
            }
            Self::Checksum { .. } => {
                "copy the file again; if a tool has rewritten the graph, export the model again from its run"
            }
            Self::TooLarge { .. } => "this is no speech-emotion model; check the path",
            Self::Foreign { .. } => {
                "only models written by vocalics carry the labels and the front end needed to run them; \
                 export one with `vocalics train`"
            }
            Self::FormatVersion { found, supported } => {
                if found > supported {
                    "this model is newer than this program; update vocalics"
                } else {
                    "this model is too old for this program; export it again from its run"
                }
            }
            Self::Pretrained { .. } => {
                "train it on recordings with labels first: `vocalics train --init MODEL.onnx`"
            }
            Self::NotPretrained { .. } => "give a model file written by `vocalics pretrain`",
            Self::MissingKey { .. }
            | Self::DuplicateKey { .. }
            | Self::InvalidKey { .. }
            | Self::InvalidMetadata { .. }
            | Self::FrontEnd { .. }
            | Self::LabelCount { .. }
            | Self::Write { .. } => {
                "export the model again from its run; docs/MODEL-FILE.md lists every key"
            }
            Self::Fingerprint { .. } => {
                "the model needs the front end it was trained with: use the vocalics version that wrote it, \
                 or train it again with this one"
            }
            Self::Functionals { .. } => {
                "the model needs the feature sets it was trained with: use the vocalics version that wrote it, or train it \
                 again with this one"
            }
            Self::Graph { .. } | Self::Operator { .. } => {
                "docs/MODEL-FILE.md states the graph's input, output and operators"
            }
            Self::Engine { .. } | Self::EngineFailure { .. } => {
                "check the file with onnxruntime; if it runs there, report the model to the vocalics project"
            }
            Self::NotQuantisable { .. } => {
                "give a model in single precision, as `vocalics train` writes it; docs/MODEL-FILE.md says which \
                 layers are quantised"
            }
            Self::Calibration { .. } => {
                "give recordings like those the model is meant for, a hundred are plenty"
            }
            Self::EncoderFile { source, .. } => match &**source {
                Self::Operator { .. } => {
                    "export the encoder without that operator, for example with another opset or attention \
                     implementation; docs/encoders.md says how, docs/MODEL-FILE.md lists the operators"
                }
                Self::NotOnnx { .. } => {
                    "give an encoder in ONNX; docs/encoders.md says how to export one"
                }
                Self::FrontEnd { .. } => {
                    "correct the description beside the encoder; docs/encoders.md explains every field"
                }
                source => source.hint(),
            },
            Self::Description { .. } | Self::EncoderPorts { .. } | Self::EncoderRun { .. } => {
                "correct the description beside the encoder, or export it again; docs/encoders.md explains every field"
            }
            Self::WeightsBeside { .. } => {
                "put the file into the encoder's folder, or export the encoder as one file"
            }
            Self::EncoderHash { .. } => {
                "give the very file that the model was trained with, as it was described then"
            }
            Self::EncoderProbe { .. } => {
                "do not use these scores: the encoder computes something else here than where the model was written"
            }
            Self::EncoderUnused => "leave out the encoder",
            Self::EncoderMerge { .. } => {
                "give the model and the encoder as two files; docs/encoders.md says what can be one"
            }
            Self::Combine { .. } => {
                "give two or more models in single precision with the same labels and front end, and quantise what comes out"
            }
            Self::NotNative { .. } => "leave the choice of the engine to the runtime",
            Self::TestVectorRun { .. } | Self::TestVector { .. } => {
                "do not use these scores: the file or this build is damaged; export the model again, \
                 and report it if the test vector still fails"
            }
        }
    }
}
