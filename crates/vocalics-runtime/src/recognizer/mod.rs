//! From samples to a prediction.
//!
//! [`load`] makes a recogniser of a model file, [`clips`] takes samples, [`logits`] takes features. A model over the
//! embeddings of an encoder takes these in the place of log-mel features, one frame a clip.

mod clips;
mod load;
mod logits;

use vocalics_features::LogMel;

use crate::ModelError;
use crate::encoder::{Encoder, EncoderNote};
use crate::engine::{Engine, Network};
use crate::idle::Idle;
use crate::metadata::ModelMetadata;
use crate::temperature::softmax_with_temperature;

pub use clips::{HeardClip, MIN_DURATION_SECS};
pub use load::{QUANTISED_TOLERANCE, TEST_VECTOR_TOLERANCE, read_model};
pub use logits::MAX_WINDOW_SECS;
pub(crate) use logits::windows;

/// How a recogniser runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecognizerOptions {
    /// Threads of the engine, at least 1. One is the default: a clip takes a few milliseconds, and
    /// programs that recognise many clips run several recognitions side by side. With more than one, those that a
    /// single clip leaves without work wait awake until it is done.
    pub threads: usize,
    /// The engine; `None`, the default, takes our own where it knows everything in the graph and the
    /// other elsewhere. Tests and benchmarks ask for one.
    pub engine: Option<Engine>,
}

impl Default for RecognizerOptions {
    fn default() -> Self {
        Self {
            threads: 1,
            engine: None,
        }
    }
}

impl RecognizerOptions {
    /// Sets the number of engine threads; 0 counts as 1.
    #[must_use]
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Asks for an engine.
    #[must_use]
    pub fn with_engine(mut self, engine: Engine) -> Self {
        self.engine = Some(engine);
        self
    }
}

/// A model ready to recognise.
///
/// It can be shared between threads; every call takes `&self`.
///
/// # Example
///
/// ```no_run
/// let recognizer = vocalics_runtime::Recognizer::from_file("model.onnx")?;
/// println!("{}", recognizer.labels().join(", "));
/// # Ok::<(), vocalics_runtime::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Recognizer {
    metadata: ModelMetadata,
    network: Network,
    /// What makes the features of a model over embeddings; `None` for others, and where it was not given yet.
    encoder: Option<Encoder>,
    /// Front ends not in use; each holds the plan and the buffers of its transform.
    front_ends: Idle<LogMel>,
}

impl Recognizer {
    /// Class names, in the order of every list of scores.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.metadata.labels
    }

    /// What the model file says about itself.
    #[must_use]
    pub fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    /// The rate in Hz at which samples are taken.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        match &self.metadata.encoder {
            None => self.metadata.front_end.sample_rate,
            Some(note) => note.description.input.sample_rate(),
        }
    }

    /// Number of weights of the network; without those of an encoder that is a file of its own.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.network.parameters()
    }

    /// What the model file says of the encoder that recognition waits for, if it does:
    /// [`with_encoder`](Self::with_encoder) gives it.
    #[must_use]
    pub fn missing_encoder(&self) -> Option<&EncoderNote> {
        let note = self.metadata.encoder.as_ref();
        note.filter(|_| self.encoder.is_none())
    }

    /// Gives the model its encoder.
    ///
    /// # Errors
    ///
    /// [`ModelError::EncoderUnused`] when it takes none, [`ModelError::EncoderHash`] and
    /// [`ModelError::EncoderProbe`] when it is another one.
    pub fn with_encoder(mut self, encoder: Encoder) -> Result<Self, ModelError> {
        let note = self.missing_encoder().ok_or(ModelError::EncoderUnused)?;
        encoder.check(note)?;
        self.encoder = Some(encoder);
        Ok(self)
    }

    /// What runs the network.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.network.engine()
    }

    fn calibrated(&self, logits: &[f32]) -> Vec<f32> {
        softmax_with_temperature(logits, self.metadata.temperature)
    }
}
