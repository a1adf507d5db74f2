//! A network without its head: what `vocalics pretrain` writes and trainings begin from.

use vocalics_features::FeatureMatrix;

use crate::engine::check_ports;
use crate::foreign::Foreign;
use crate::metadata::{self, ModelMetadata};
use crate::onnx::EMBEDDING_NAME;
use crate::{ModelError, RuntimeError, TEST_VECTOR_TOLERANCE};

/// A pretrained network: log-mel features to an embedding, and no labels.
#[derive(Debug)]
pub struct Body {
    metadata: ModelMetadata,
    network: Foreign,
    dim: usize,
}

impl Body {
    /// Loads a model file of format version [`BODY_FORMAT_VERSION`](crate::BODY_FORMAT_VERSION) from memory.
    ///
    /// All is checked that [`Recognizer::from_bytes`](crate::Recognizer::from_bytes) checks, in the same order. A number of the
    /// test vector's embedding may differ by [`TEST_VECTOR_TOLERANCE`] of the largest one.
    ///
    /// # Errors
    ///
    /// Any [`ModelError`]; [`ModelError::NotPretrained`] for a model with a head.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, ModelError> {
        let (structure, metadata) = metadata::open(&bytes)?;
        if !metadata.is_body() {
            return Err(ModelError::NotPretrained {
                name: metadata.name,
            });
        }
        metadata.validate()?;
        let (n_mels, dim) = (metadata.n_features(), metadata.test_vector.scores.len());
        let output = (EMBEDDING_NAME, dim);
        check_ports(&structure, n_mels, output)?;
        let body = Self {
            network: Foreign::load(bytes.into(), n_mels, output, 1)?,
            metadata,
            dim,
        };
        body.check_test_vector()?;
        Ok(body)
    }

    /// What the file says about itself.
    #[must_use]
    pub fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    /// Numbers of an embedding.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The embedding of a clip, from features computed by the model's own front end.
    ///
    /// # Shapes
    ///
    /// `features`: `[n_frames, n_mels]`, not standardised; result: `[dim]`.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureWidth`], or whatever the engine reports.
    pub fn embed(&self, features: &FeatureMatrix) -> Result<Vec<f32>, RuntimeError> {
        let n_mels = self.metadata.n_features();
        if features.n_features() != n_mels {
            return Err(RuntimeError::FeatureWidth {
                expected: n_mels,
                actual: features.n_features(),
            });
        }
        self.run(features.as_slice(), features.n_frames())
    }

    fn run(&self, features: &[f32], n_frames: usize) -> Result<Vec<f32>, RuntimeError> {
        let mut embedding = vec![0.0; self.dim];
        self.network.run(features, n_frames, &mut embedding)?;
        if embedding.iter().all(|value| value.is_finite()) {
            Ok(embedding)
        } else {
            Err(RuntimeError::NonFiniteOutput)
        }
    }

    fn check_test_vector(&self) -> Result<(), ModelError> {
        let vector = &self.metadata.test_vector;
        let embedding = self
            .run(&vector.features, vector.n_frames)
            .map_err(|source| ModelError::TestVectorRun {
                source: Box::new(source),
            })?;
        let largest = vector
            .scores
            .iter()
            .fold(1.0f32, |most, x| most.max(x.abs()));
        let tolerance = TEST_VECTOR_TOLERANCE * largest;
        let pairs = vector.scores.iter().zip(&embedding).enumerate();
        for (place, (&expected, &actual)) in pairs {
            if (expected - actual).abs() > tolerance {
                return Err(ModelError::TestVector {
                    label: format!("number {} of the embedding", place + 1),
                    expected,
                    actual,
                    tolerance,
                });
            }
        }
        Ok(())
    }
}
