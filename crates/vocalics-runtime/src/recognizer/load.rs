//! A model file to a recogniser, with everything that is checked on the way.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use super::{Recognizer, RecognizerOptions};
use crate::encoder::{Encoder, EncoderNote};
use crate::engine::{Engine, Network};
use crate::graph;
use crate::idle::Idle;
use crate::metadata::{self, ModelMetadata, rounds_inputs};
use crate::onnx::{MAX_MODEL_BYTES, inspect};
use crate::temperature::softmax_with_temperature;
use crate::{ModelError, RuntimeError};

/// Largest difference allowed between a score of the test vector and the same score recomputed here.
pub const TEST_VECTOR_TOLERANCE: f32 = 1e-4;

/// As [`TEST_VECTOR_TOLERANCE`], for a quantised model whose inputs are rounded as well as its weights.
///
/// Its inputs are rounded in the middle of the network. A sum formed in another order may fall on the
/// other side of a step there, so that processors and engines agree less than in single precision.
pub const QUANTISED_TOLERANCE: f32 = 2e-2;

/// Reads a model file and checks nothing but its size.
///
/// For callers that need the bytes too; else use [`Recognizer::from_file`].
///
/// # Errors
///
/// [`ModelError::Io`] when it cannot be read, [`ModelError::File`] around [`ModelError::TooLarge`].
pub fn read_model(path: impl AsRef<Path>) -> Result<Vec<u8>, ModelError> {
    let path = path.as_ref();
    let io = |source| ModelError::Io {
        path: path.to_owned(),
        source,
    };
    // Asked before reading, so that a wrong path to something huge costs nothing.
    let size = std::fs::metadata(path).map_err(io)?.len();
    if size > MAX_MODEL_BYTES {
        return Err(ModelError::File {
            path: path.to_owned(),
            source: Box::new(ModelError::TooLarge {
                bytes: size,
                limit: MAX_MODEL_BYTES,
            }),
        });
    }
    std::fs::read(path).map_err(io)
}

/// The two halves of a file that holds an encoder and the head on its embeddings, on one engine.
fn within(
    bytes: Cow<'static, [u8]>,
    note: &EncoderNote,
    n_classes: usize,
    options: &RecognizerOptions,
) -> Result<(Network, Option<Encoder>), ModelError> {
    if options.engine == Some(Engine::Native) {
        let reason = "it holds an encoder from elsewhere".to_owned();
        return Err(ModelError::NotNative { reason });
    }
    let model = graph::load(bytes, Vec::new())?;
    let network = Network::of_model(Arc::clone(&model), note.dim, n_classes, options.threads)?;
    let (description, hash) = (note.description.clone(), note.hash.clone());
    let encoder = Encoder::of_model(model, description, hash, options.threads)?;
    encoder.check(note)?;
    Ok((network, Some(encoder)))
}

impl Recognizer {
    /// Loads a model file.
    ///
    /// # Errors
    ///
    /// [`ModelError::Io`] when it cannot be read, else [`ModelError::File`] around the reason for which
    /// [`from_bytes`](Self::from_bytes) refused it.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        Self::from_file_with(path, &RecognizerOptions::default())
    }

    /// As [`from_file`](Self::from_file), with options.
    ///
    /// # Errors
    ///
    /// As [`from_file`](Self::from_file).
    pub fn from_file_with(
        path: impl AsRef<Path>,
        options: &RecognizerOptions,
    ) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let bytes = read_model(path)?;
        Self::load(bytes.into(), options).map_err(|source| ModelError::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    /// Loads a model file from memory.
    ///
    /// Everything is checked, in this order: structure, metadata, checksum, front end, graph, and last
    /// that the test vector gives the scores it gave when the file was written.
    ///
    /// # Errors
    ///
    /// Any [`ModelError`]; never a panic, whatever the bytes are.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ModelError> {
        Self::load(bytes.into(), &RecognizerOptions::default())
    }

    /// As [`from_bytes`](Self::from_bytes), with options.
    ///
    /// # Errors
    ///
    /// As [`from_bytes`](Self::from_bytes).
    pub fn from_bytes_with(
        bytes: Vec<u8>,
        options: &RecognizerOptions,
    ) -> Result<Self, ModelError> {
        Self::load(bytes.into(), options)
    }

    /// The model compiled into this library.
    ///
    /// # Errors
    ///
    /// Any [`ModelError`], if the build was given a broken model.
    #[cfg(feature = "embedded")]
    pub fn embedded() -> Result<Self, ModelError> {
        Self::embedded_with(&RecognizerOptions::default())
    }

    /// As [`embedded`](Self::embedded), with options.
    ///
    /// # Errors
    ///
    /// As [`embedded`](Self::embedded).
    #[cfg(feature = "embedded")]
    pub fn embedded_with(options: &RecognizerOptions) -> Result<Self, ModelError> {
        const MODEL: &[u8] = include_bytes!("../../../../models/default.onnx");
        Self::load(Cow::Borrowed(MODEL), options)
    }

    fn load(bytes: Cow<'static, [u8]>, options: &RecognizerOptions) -> Result<Self, ModelError> {
        let (structure, metadata) = metadata::open(&bytes)?;
        if metadata.is_body() {
            return Err(ModelError::Pretrained {
                name: metadata.name,
            });
        }
        let front_end = metadata.build_front_end()?;
        let (n_features, n_classes) = (metadata.n_features(), metadata.labels.len());
        let (network, encoder) = match &metadata.encoder {
            Some(note) if note.within => within(bytes, note, n_classes, options)?,
            _ => {
                let network = Network::load(bytes, &structure, n_features, n_classes, options)?;
                (network, None)
            }
        };
        let recognizer = Self {
            metadata,
            network,
            encoder,
            front_ends: Idle::new(),
        };
        if let Some(front_end) = front_end {
            recognizer.front_ends.put(front_end);
        }
        recognizer.check_test_vector(if rounds_inputs(&structure.props) {
            QUANTISED_TOLERANCE
        } else {
            TEST_VECTOR_TOLERANCE
        })?;
        Ok(recognizer)
    }

    /// Metadata whose test vector has the scores that a graph gives, for a graph that was rewritten.
    ///
    /// Nothing is compared: what the graph computes is taken as right. The result is for
    /// [`attach_metadata`](crate::attach_metadata).
    ///
    /// # Errors
    ///
    /// Any [`ModelError`] about the graph or the metadata.
    pub fn rescored(
        onnx_bytes: &[u8],
        metadata: &ModelMetadata,
        options: &RecognizerOptions,
    ) -> Result<ModelMetadata, ModelError> {
        let structure = inspect(onnx_bytes)?;
        metadata.validate()?;
        let network = Network::load(
            onnx_bytes.to_vec().into(),
            &structure,
            metadata.n_features(),
            metadata.labels.len(),
            options,
        )?;
        let mut metadata = metadata.clone();
        let vector = &mut metadata.test_vector;
        let logits = network
            .run_one(&vector.features, vector.n_frames)
            .map_err(|source| ModelError::TestVectorRun {
                source: Box::new(source),
            })?;
        vector.scores = softmax_with_temperature(&logits, metadata.temperature);
        Ok(metadata)
    }

    fn check_test_vector(&self, tolerance: f32) -> Result<(), ModelError> {
        let vector = &self.metadata.test_vector;
        let scores = self
            .network
            .run_one(&vector.features, vector.n_frames)
            .map(|logits| self.calibrated(&logits))
            .map_err(|source| match source {
                RuntimeError::OutputShape {
                    expected: [1, labels],
                    actual,
                } if matches!(actual[..], [1, _]) => ModelError::LabelCount {
                    labels,
                    outputs: actual[1],
                },
                source => ModelError::TestVectorRun {
                    source: Box::new(source),
                },
            })?;
        let worst = self
            .metadata
            .labels
            .iter()
            .zip(vector.scores.iter().zip(&scores))
            .max_by(|(_, (a, b)), (_, (c, d))| (*a - *b).abs().total_cmp(&(*c - *d).abs()));
        match worst {
            Some((label, (&expected, &actual))) if (expected - actual).abs() > tolerance => {
                Err(ModelError::TestVector {
                    label: label.clone(),
                    expected,
                    actual,
                    tolerance,
                })
            }
            _ => Ok(()),
        }
    }
}
