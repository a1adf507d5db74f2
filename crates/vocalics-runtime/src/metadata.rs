//! What a model file says about itself, and how it is written into and read from ONNX.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vocalics_features::{Domain, Functionals, LogMel, LogMelConfig, Standardiser};

use crate::ModelError;
use crate::encoder::EncoderNote;
use crate::onnx::{Structure, inspect, read_props, replace_props};

/// Version of the file format of a model over log-mel features.
///
/// A version grows when a file of the old one would be understood wrongly: a new required key, another
/// meaning of a key, another shape of input or output.
pub const FORMAT_VERSION: u32 = 1;

/// Version of the file format of a model over the embeddings of an encoder, which a reader of version 1 would feed
/// with something else.
pub const ENCODER_FORMAT_VERSION: u32 = 2;

/// Version of the file format of a model over log-mel features with functionals behind them, which earlier readers would feed too
/// narrow frames.
pub const FUNCTIONALS_FORMAT_VERSION: u32 = 3;

/// Version of the file format of a network without its head, pretrained on recordings without labels
/// ([`Body`](crate::Body)), in which a reader of the others would look for labels. This build reads all four.
pub const BODY_FORMAT_VERSION: u32 = 4;

/// All our keys start with this.
pub(crate) const PREFIX: &str = "vocalics.";

/// Key of the graph's checksum; written by [`attach_metadata`], not part of [`ModelMetadata`].
pub(crate) const GRAPH_CRC32: &str = "graph_crc32";

/// Everything a model file carries beside its graph.
///
/// Each field is one `metadata_props` entry of the ONNX file, key `vocalics.<field>`, value JSON;
/// optional fields are left out when `None`. `docs/MODEL-FILE.md` states every key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelMetadata {
    /// [`FORMAT_VERSION`], with an encoder [`ENCODER_FORMAT_VERSION`], with functionals [`FUNCTIONALS_FORMAT_VERSION`], without a
    /// head [`BODY_FORMAT_VERSION`].
    pub format_version: u32,
    /// Name of the model, for people.
    pub name: String,
    /// What the labels are of, `emotion` for the shipped model.
    pub task: String,
    /// Class names in the order of the graph's outputs; not empty, unique. Without a head there are none.
    pub labels: Vec<String>,
    /// The front end the model was trained with. Not used and not in the file of a model with an encoder, whose
    /// description says all there is to say.
    pub front_end: LogMelConfig,
    /// Its fingerprint when the model was written; with an encoder that of the encoder.
    pub front_end_fingerprint: String,
    /// The encoder whose embeddings the model takes instead of log-mel features.
    pub encoder: Option<EncoderNote>,
    /// The sets whose functionals stand behind the bands of every frame.
    pub functionals: Option<Functionals>,
    /// Mean and standard deviation per band, and per functional, when the model standardises; already part of the graph.
    pub standardiser: Option<Standardiser>,
    /// Mean and standard deviation per functional, when these are to be moved to the speaker ([`Voice`](vocalics_features::Voice)); not part of the graph.
    pub speaker_norm: Option<Standardiser>,
    /// What the training clips sound like, to tell what is unlike all of them.
    pub domain: Option<Domain>,
    /// Divides the logits before the softmax; positive, 1 for an uncalibrated model.
    pub temperature: f32,
    /// Corpora it was trained on.
    pub corpora: Vec<CorpusNote>,
    /// Speakers it was trained on, `<corpus>-<speaker>`; an evaluation on one of them is refused.
    pub speakers: Vec<String>,
    /// How this way of training was measured.
    pub protocol_result: Option<ProtocolResult>,
    /// Hash of the manifest of the training.
    pub manifest_hash: String,
    /// Git revision of the code that trained it.
    pub git_revision: String,
    /// Seed of the training.
    pub seed: u64,
    /// When it was written, RFC 3339, UTC.
    pub created: String,
    /// A short input and its scores, recomputed at load.
    pub test_vector: TestVector,
}

/// A corpus a model was trained on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusNote {
    /// Name of the corpus.
    pub name: String,
    /// Licence of its audio, as the corpus states it.
    pub licence: String,
    /// Number of clips used.
    pub clips: u64,
    /// Number of speakers used.
    pub speakers: u64,
}

impl CorpusNote {
    /// Takes in another note of the same corpus: the larger numbers count, since which clips they share is not known.
    pub fn widen(&mut self, other: &Self) {
        self.clips = self.clips.max(other.clips);
        self.speakers = self.speakers.max(other.speakers);
    }
}

/// A measured result, with everything needed to know what was measured.
///
/// Figures are shares (0 to 1); `uar_low` and `uar_high` bound the 95 % interval by bootstrap over
/// speakers. A result is of the way of training (protocol, folds), not of the one network in the file,
/// unless `folds` is 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProtocolResult {
    /// Protocol name, for example `emobox-6fold`.
    pub protocol: String,
    /// Corpora tested and trained on.
    pub corpora: Vec<String>,
    /// Number of folds.
    pub folds: usize,
    /// Class names.
    pub labels: Vec<String>,
    /// Seed.
    pub seed: u64,
    /// Whether speakers are shared between train and test.
    pub speakers_shared: bool,
    /// Unweighted average recall.
    pub uar: f64,
    /// Lower end of its interval.
    pub uar_low: f64,
    /// Upper end of its interval.
    pub uar_high: f64,
    /// Weighted average recall, that is, accuracy.
    pub war: f64,
}

/// A short input and the scores it must give.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestVector {
    /// Features as the graph takes them, row-major `[n_frames, n_mels]`, or `[n_frames, n_mels + n_functionals]`; with an encoder an embedding, `[1, dim]`.
    pub features: Vec<f32>,
    /// Number of frames.
    pub n_frames: usize,
    /// `softmax(logits / temperature)`, in label order; without a head the embedding.
    pub scores: Vec<f32>,
}

impl ModelMetadata {
    /// Checks the metadata against itself and against this build's front end.
    ///
    /// # Errors
    ///
    /// [`ModelError::FormatVersion`], [`ModelError::InvalidMetadata`], [`ModelError::FrontEnd`] or
    /// [`ModelError::Fingerprint`].
    pub fn validate(&self) -> Result<(), ModelError> {
        self.build_front_end().map(drop)
    }

    /// Features of a frame: the bands of the front end with the functionals behind them, or the numbers of an embedding.
    #[must_use]
    pub fn n_features(&self) -> usize {
        let functionals = self.functionals.as_ref();
        let n_functionals = functionals.map_or(0, Functionals::n_functionals);
        let n_mels = self.front_end.n_mels.saturating_add(n_functionals);
        self.encoder.as_ref().map_or(n_mels, |encoder| encoder.dim)
    }

    /// Whether the file holds a network without its head.
    #[must_use]
    pub fn is_body(&self) -> bool {
        self.format_version == BODY_FORMAT_VERSION
    }

    /// As [`validate`](Self::validate), and keeps the front end that was built for the check; `None` with an encoder.
    pub(crate) fn build_front_end(&self) -> Result<Option<LogMel>, ModelError> {
        if let Some(encoder) = &self.encoder {
            encoder.validate()?;
            self.check_consistency()?;
            if encoder.fingerprint() != self.front_end_fingerprint {
                return Err(ModelError::Fingerprint {
                    expected: self.front_end_fingerprint.clone(),
                    actual: encoder.fingerprint(),
                });
            }
            return Ok(None);
        }
        self.check_consistency()?;
        let front_end = LogMel::new(self.front_end.clone())
            .map_err(|source| ModelError::FrontEnd { source })?;
        if front_end.fingerprint() != self.front_end_fingerprint {
            return Err(ModelError::Fingerprint {
                expected: self.front_end_fingerprint.clone(),
                actual: front_end.fingerprint().to_owned(),
            });
        }
        if let Some(functionals) = &self.functionals {
            functionals
                .check()
                .map_err(|source| ModelError::Functionals { source })?;
        }
        Ok(Some(front_end))
    }

    fn check_consistency(&self) -> Result<(), ModelError> {
        check_version(self.format_version)?;
        let invalid = |reason: String| Err(ModelError::InvalidMetadata { reason });
        for (version, there, what) in [
            (ENCODER_FORMAT_VERSION, self.encoder.is_some(), "an encoder"),
            (
                FUNCTIONALS_FORMAT_VERSION,
                self.functionals.is_some(),
                "functionals",
            ),
        ] {
            if there != (self.format_version == version) {
                let with = if there { "with" } else { "without" };
                return invalid(format!(
                    "format version {} {with} {what}",
                    self.format_version
                ));
            }
        }
        if self.is_body() {
            if !self.labels.is_empty() {
                return invalid(format!(
                    "{} labels without a head, expected none",
                    self.labels.len()
                ));
            }
        } else if self.labels.len() < 2 {
            return invalid(format!(
                "{} labels, at least 2 are needed",
                self.labels.len()
            ));
        }
        for (index, label) in self.labels.iter().enumerate() {
            if label.is_empty() {
                return invalid(format!("label {index} is empty"));
            }
            if self.labels[..index].contains(label) {
                return invalid(format!("label {label} appears twice"));
            }
        }
        if !(self.temperature.is_finite() && self.temperature > 0.0) {
            return invalid(format!(
                "temperature {} is not a positive number",
                self.temperature
            ));
        }
        let vector = &self.test_vector;
        let expected = self.front_end.n_mels;
        if let Some(bands) = self.domain.as_ref().map(Domain::n_bands)
            && bands != expected
        {
            return invalid(format!("domain of {bands} bands, expected {expected}"));
        }
        if let Some(norm) = &self.speaker_norm {
            let functionals = self.functionals.as_ref();
            let expected = functionals.map_or(0, Functionals::n_functionals);
            if norm.n_features() != expected {
                return invalid(format!(
                    "speaker_norm of {} functionals, the model has {expected}",
                    norm.n_features()
                ));
            }
        }
        let n_mels = self.n_features();
        if vector.n_frames == 0
            || vector.n_frames.checked_mul(n_mels) != Some(vector.features.len())
        {
            return invalid(format!(
                "test vector has {} values, expected {} frames of {n_mels} features",
                vector.features.len(),
                vector.n_frames
            ));
        }
        if self.is_body() && vector.scores.is_empty() {
            return invalid("test vector has no embedding".to_owned());
        }
        if !self.is_body() && vector.scores.len() != self.labels.len() {
            return invalid(format!(
                "test vector has {} scores for {} labels",
                vector.scores.len(),
                self.labels.len()
            ));
        }
        if !vector
            .features
            .iter()
            .chain(&vector.scores)
            .all(|value| value.is_finite())
        {
            return invalid("test vector has a value that is not finite".to_owned());
        }
        let sum: f32 = vector.scores.iter().sum();
        if !self.is_body() && (sum - 1.0).abs() > 1e-3 {
            return invalid(format!("test vector's scores sum to {sum}, expected 1"));
        }
        Ok(())
    }

    fn from_props(producer: String, props: Vec<(String, String)>) -> Result<Self, ModelError> {
        let mut values = Props::new(producer, props)?;
        // First, so that a file of another version is called that and not incomplete.
        let format_version = values.take("format_version")?;
        check_version(format_version)?;
        let encoder: Option<EncoderNote> = match format_version {
            ENCODER_FORMAT_VERSION => Some(values.take("encoder")?),
            _ => None,
        };
        Ok(Self {
            format_version,
            name: values.take("name")?,
            task: values.take("task")?,
            labels: values.take("labels")?,
            front_end: match &encoder {
                None => values.take("front_end")?,
                Some(_) => LogMelConfig::default(),
            },
            encoder,
            functionals: match format_version {
                FUNCTIONALS_FORMAT_VERSION => Some(values.take("functionals")?),
                _ => None,
            },
            front_end_fingerprint: values.take("front_end_fingerprint")?,
            standardiser: values.take_optional("standardiser")?,
            speaker_norm: values.take_optional("speaker_norm")?,
            domain: values.take_optional("domain")?,
            temperature: values.take("temperature")?,
            corpora: values.take("corpora")?,
            speakers: values.take("speakers")?,
            protocol_result: values.take_optional("protocol_result")?,
            manifest_hash: values.take("manifest_hash")?,
            git_revision: values.take("git_revision")?,
            seed: values.take("seed")?,
            created: values.take("created")?,
            test_vector: values.take("test_vector")?,
        })
    }
}

fn check_version(found: u32) -> Result<(), ModelError> {
    let known = [
        FORMAT_VERSION,
        ENCODER_FORMAT_VERSION,
        FUNCTIONALS_FORMAT_VERSION,
        BODY_FORMAT_VERSION,
    ];
    if known.contains(&found) {
        return Ok(());
    }
    Err(ModelError::FormatVersion {
        found,
        supported: BODY_FORMAT_VERSION,
    })
}

/// The `vocalics.*` entries of a file, by field name.
struct Props(BTreeMap<String, String>);

impl Props {
    fn new(producer: String, props: Vec<(String, String)>) -> Result<Self, ModelError> {
        let mut values = BTreeMap::new();
        for (key, value) in props {
            if let Some(field) = key.strip_prefix(PREFIX)
                && values.insert(field.to_owned(), value).is_some()
            {
                return Err(ModelError::DuplicateKey { key });
            }
        }
        if values.is_empty() {
            return Err(ModelError::Foreign {
                producer: if producer.is_empty() {
                    "unknown".to_owned()
                } else {
                    producer
                },
            });
        }
        Ok(Self(values))
    }

    fn take<T: DeserializeOwned>(&mut self, field: &str) -> Result<T, ModelError> {
        self.take_optional(field)?
            .ok_or_else(|| ModelError::MissingKey {
                key: format!("{PREFIX}{field}"),
            })
    }

    fn take_optional<T: DeserializeOwned>(&mut self, field: &str) -> Result<Option<T>, ModelError> {
        let Some(text) = self.0.remove(field) else {
            return Ok(None);
        };
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|source| ModelError::InvalidKey {
                key: format!("{PREFIX}{field}"),
                source,
            })
    }
}

/// Reads the metadata of a model file without loading the model.
///
/// Structure and versions are checked, and that every key is there; whether the front end and the
/// scores agree is checked by [`ModelMetadata::validate`] and by loading a
/// [`Recognizer`](crate::Recognizer).
///
/// # Errors
///
/// Any [`ModelError`] about the structure, the version or a key.
pub fn read_metadata(onnx_bytes: &[u8]) -> Result<ModelMetadata, ModelError> {
    let (producer, props) = read_props(onnx_bytes)?;
    ModelMetadata::from_props(producer, props)
}

/// Reads the structure of a model file, and of its metadata what [`read_metadata`] does, and compares the checksum of the graph, if it
/// is there.
///
/// # Errors
///
/// As [`read_metadata`], and [`ModelError::Checksum`].
pub(crate) fn open(onnx_bytes: &[u8]) -> Result<(Structure, ModelMetadata), ModelError> {
    let structure = inspect(onnx_bytes)?;
    let key = format!("{PREFIX}{GRAPH_CRC32}");
    let checksum: Option<u32> = structure
        .props
        .iter()
        .find(|(name, _)| *name == key)
        .map(|(_, text)| serde_json::from_str(text))
        .transpose()
        .map_err(|source| ModelError::InvalidKey { key, source })?;
    let metadata = ModelMetadata::from_props(structure.producer.clone(), structure.props.clone())?;
    match checksum {
        Some(expected) if expected != structure.graph_crc32 => Err(ModelError::Checksum {
            expected,
            actual: structure.graph_crc32,
        }),
        _ => Ok((structure, metadata)),
    }
}

/// The metadata as `metadata_props` entries: `(vocalics.<field>, JSON)`, in the order of the fields.
///
/// Prefer [`attach_metadata`], which also stores the graph's checksum.
///
/// # Errors
///
/// [`ModelError::InvalidMetadata`] and its like when the metadata would be refused at load (so that a
/// file nobody can read is never written), [`ModelError::Write`] when a value cannot be written as JSON.
pub fn to_props(metadata: &ModelMetadata) -> Result<Vec<(String, String)>, ModelError> {
    metadata.validate()?;
    let mut props = Vec::new();
    let mut put = |field: &str, value: Result<String, serde_json::Error>| {
        let key = format!("{PREFIX}{field}");
        match value {
            Ok(value) => {
                props.push((key, value));
                Ok(())
            }
            Err(source) => Err(ModelError::Write { key, source }),
        }
    };
    let m = metadata;
    put("format_version", serde_json::to_string(&m.format_version))?;
    put("name", serde_json::to_string(&m.name))?;
    put("task", serde_json::to_string(&m.task))?;
    put("labels", serde_json::to_string(&m.labels))?;
    match &m.encoder {
        None => put("front_end", serde_json::to_string(&m.front_end))?,
        Some(encoder) => put("encoder", serde_json::to_string(encoder))?,
    }
    put(
        "front_end_fingerprint",
        serde_json::to_string(&m.front_end_fingerprint),
    )?;
    if let Some(functionals) = &m.functionals {
        put("functionals", serde_json::to_string(functionals))?;
    }
    if let Some(standardiser) = &m.standardiser {
        put("standardiser", serde_json::to_string(standardiser))?;
    }
    if let Some(norm) = &m.speaker_norm {
        put("speaker_norm", serde_json::to_string(norm))?;
    }
    if let Some(domain) = &m.domain {
        put("domain", serde_json::to_string(domain))?;
    }
    put("temperature", serde_json::to_string(&m.temperature))?;
    put("corpora", serde_json::to_string(&m.corpora))?;
    put("speakers", serde_json::to_string(&m.speakers))?;
    if let Some(result) = &m.protocol_result {
        put("protocol_result", serde_json::to_string(result))?;
    }
    put("manifest_hash", serde_json::to_string(&m.manifest_hash))?;
    put("git_revision", serde_json::to_string(&m.git_revision))?;
    put("seed", serde_json::to_string(&m.seed))?;
    put("created", serde_json::to_string(&m.created))?;
    put("test_vector", serde_json::to_string(&m.test_vector))?;
    Ok(props)
}

/// Writes the metadata into a serialised ONNX model and returns the model file.
///
/// Earlier `vocalics.*` entries are replaced, everything else is kept byte for byte, and
/// `vocalics.graph_crc32` is added. This is the last step of an export.
///
/// # Errors
///
/// As [`to_props`], and any [`ModelError`] about the structure of `onnx_bytes`.
pub fn attach_metadata(onnx_bytes: &[u8], metadata: &ModelMetadata) -> Result<Vec<u8>, ModelError> {
    attach(onnx_bytes, metadata, None)
}

/// Key of a [`QuantisedNote`](crate::QuantisedNote); as the checksum not part of [`ModelMetadata`].
const QUANTISED: &str = "quantised";

/// As [`attach_metadata`], with a note about quantisation where it was quantised.
pub(crate) fn attach(
    onnx_bytes: &[u8],
    metadata: &ModelMetadata,
    note: Option<&crate::QuantisedNote>,
) -> Result<Vec<u8>, ModelError> {
    replace_props(onnx_bytes, PREFIX, |checksum| {
        let mut props = to_props(metadata)?;
        if let Some(note) = note {
            let key = format!("{PREFIX}{QUANTISED}");
            match serde_json::to_string(note) {
                Ok(note) => props.push((key, note)),
                Err(source) => return Err(ModelError::Write { key, source }),
            }
        }
        props.push((format!("{PREFIX}{GRAPH_CRC32}"), checksum.to_string()));
        Ok(props)
    })
}

/// Whether a file says that it is quantised.
pub(crate) fn is_quantised(onnx_bytes: &[u8]) -> Result<bool, ModelError> {
    let (_, props) = read_props(onnx_bytes)?;
    Ok(names_quantised(&props))
}

fn names_quantised(props: &[(String, String)]) -> bool {
    quantised_note(props).is_some()
}

fn quantised_note(props: &[(String, String)]) -> Option<&str> {
    props
        .iter()
        .find(|(key, _)| key.strip_prefix(PREFIX) == Some(QUANTISED))
        .map(|(_, note)| note.as_str())
}

/// Whether a file says that values are rounded within its network, and not its weights alone.
pub(crate) fn rounds_inputs(props: &[(String, String)]) -> bool {
    quantised_note(props).is_some_and(|note| {
        let note = serde_json::from_str::<crate::QuantisedNote>(note);
        note.map_or(true, |note| note.activations != crate::quantise::UNROUNDED)
    })
}
