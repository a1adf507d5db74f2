//! A frozen encoder from elsewhere: a clip to one vector.
//!
//! ```text
//! samples ──▶ prepare ──▶ graph (rten) ──▶ pool ──▶ embedding, [dim]
//! ```
//!
//! [`description`] says what the graph takes and gives. The same code makes the vectors that a head is trained on
//! and those that it is given in recognition, and [`probe`] notices when a build makes others.

mod description;
mod file;
mod merge;
mod note;
mod pool;
mod prepare;
mod probe;
mod validate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rten::Model;
use rten_tensor::TensorView;
use vocalics_features::LogMel;

pub use description::{
    EncoderDescription, EncoderInput, EncoderOutput, FramePooling, Layout, LogBase, LogMelInput,
    LogScale, Normalisation, Standardise, WaveformInput,
};

use crate::graph::{self, Graph, RunFailure};
use crate::idle::Idle;
use crate::onnx::inspect_with_files_beside;
use crate::recognizer::read_model;
use crate::{ModelError, RuntimeError};
pub use merge::{HEARD_NAME, merge_encoder};
pub use note::EncoderNote;

use file::{beside, check_ports, refused};
use prepare::Window;

/// The embedding of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedding {
    /// `[dim]`.
    pub values: Vec<f32>,
    /// Seconds it comes from: what is left when outer silence is cut, if it is.
    pub seconds: f64,
}

/// An encoder ready to run.
///
/// It can be shared between threads; every call takes `&self`, and calls side by side do not wait for each other.
#[derive(Debug)]
pub struct Encoder {
    description: EncoderDescription,
    hash: String,
    file: Option<PathBuf>,
    graph: Graph,
    probe: Vec<f32>,
    /// Front ends not in use, for encoders of spectrograms.
    front_ends: Idle<LogMel>,
}

impl Encoder {
    /// Loads an ONNX file, with the files beside it that hold its weights if it has such, and runs it once on a known
    /// sound, which tells the size of its embeddings. Each run uses `threads` threads.
    ///
    /// # Errors
    /// [`ModelError::Io`] when a file cannot be read, else [`ModelError::EncoderFile`] around the reason: the
    /// description, the structure, an operator that is not supported, or an output of another shape than described.
    pub fn from_file(
        path: impl AsRef<Path>,
        description: EncoderDescription,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let bytes = read_model(path)?;
        let mut encoder = Self::of_bytes(bytes, description, threads, |name| {
            let file = beside(path, name)?;
            std::fs::read(&file).map_err(|source| ModelError::Io { path: file, source })
        })
        .map_err(|source| refused(path, source))?;
        encoder.file = Some(path.to_owned());
        Ok(encoder)
    }

    /// As [`from_file`](Self::from_file), from memory; all weights lie in the bytes.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file), without the path.
    pub fn from_bytes(
        bytes: Vec<u8>,
        description: EncoderDescription,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let nothing = |name: &str| Err(ModelError::WeightsBeside { name: name.into() });
        Self::of_bytes(bytes, description, threads, nothing)
    }

    /// The encoder that a model file names; what it says of it is checked.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file); [`ModelError::EncoderHash`] when it is another one,
    /// [`ModelError::EncoderProbe`] when its embedding of the known sound is another one here.
    pub fn noted(
        path: impl AsRef<Path>,
        note: &EncoderNote,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let encoder = Self::from_file(path, note.description.clone(), threads)?;
        encoder
            .check(note)
            .map_err(|source| refused(path, source))?;
        Ok(encoder)
    }

    /// That this is the encoder of a model file.
    ///
    /// # Errors
    /// [`ModelError::EncoderHash`], [`ModelError::EncoderProbe`].
    pub(crate) fn check(&self, note: &EncoderNote) -> Result<(), ModelError> {
        if self.hash != note.hash || self.fingerprint() != note.fingerprint() {
            return Err(ModelError::EncoderHash {
                name: note.description.name.clone(),
                expected: note.fingerprint(),
                actual: self.fingerprint(),
            });
        }
        probe::compare(&note.probe, &self.probe)
    }

    fn of_bytes(
        bytes: Vec<u8>,
        description: EncoderDescription,
        threads: usize,
        read: impl Fn(&str) -> Result<Vec<u8>, ModelError>,
    ) -> Result<Self, ModelError> {
        description.validate()?;
        let (structure, names) = inspect_with_files_beside(&bytes)?;
        check_ports(&structure, &description)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&bytes);
        let mut files = Vec::new();
        for name in names {
            let data = read(&name)?;
            hasher.update(&data);
            files.push((name, data));
        }
        let hash = hasher.finalize().to_hex().to_string();
        let model = graph::load(bytes.into(), files)?;
        Self::of_model(model, description, hash, threads)
    }

    /// Runs the known sound through a loaded graph.
    pub(crate) fn of_model(
        model: Arc<Model>,
        description: EncoderDescription,
        hash: String,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let (input, output) = (description.input.name(), description.output.name());
        let graph = Graph::new(model, input, output, threads)?;
        let mut encoder = Self {
            graph,
            description,
            hash,
            file: None,
            probe: Vec::new(),
            front_ends: Idle::new(),
        };
        let rate = encoder.sample_rate();
        let probe = encoder.embed(&probe::sound(rate), rate);
        encoder.probe = probe
            .map_err(|source| ModelError::EncoderRun {
                source: Box::new(source),
            })?
            .values;
        Ok(encoder)
    }

    /// Where it was loaded from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// What it takes and gives.
    #[must_use]
    pub fn description(&self) -> &EncoderDescription {
        &self.description
    }

    /// BLAKE3 of its file and of those beside it that hold its weights, in the order of their names, 64 hexadecimal
    /// digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Name of its embeddings: `encoder-v1-` and 16 hexadecimal digits.
    ///
    /// Two encoders give the same embeddings when their fingerprints are equal. The digits begin the BLAKE3 hash of
    /// file hash, input and output. The version rises whenever the code would give other numbers for the same.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.description.fingerprint(&self.hash)
    }

    /// Numbers of an embedding.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.probe.len()
    }

    /// Number of weights.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.graph.parameters()
    }

    /// The rate in hertz at which samples are taken.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.description.input.sample_rate()
    }

    /// What a model file says of it.
    #[must_use]
    pub fn note(&self, within: bool) -> EncoderNote {
        EncoderNote {
            description: self.description.clone(),
            hash: self.hash.clone(),
            dim: self.dim(),
            within,
            probe: self.probe.clone(),
        }
    }

    /// The embedding of a clip of mono samples, full scale ±1.
    ///
    /// A clip that is longer than the encoder takes, or than [`MAX_WINDOW_SECS`](crate::MAX_WINDOW_SECS), is cut into
    /// equal windows whose embeddings are averaged, weighted by their samples.
    ///
    /// # Errors
    /// [`RuntimeError::SampleRate`], [`RuntimeError::Empty`], [`RuntimeError::FrontEnd`], whatever the engine
    /// reports, [`RuntimeError::EncoderOutput`] when the output is not as described,
    /// [`RuntimeError::NonFiniteOutput`].
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "sample counts are far below 2^52; a mean of f32 values lies in the range of f32"
    )]
    pub fn embed(&self, samples: &[f32], sample_rate: u32) -> Result<Embedding, RuntimeError> {
        let expected = self.sample_rate();
        if sample_rate != expected {
            return Err(RuntimeError::SampleRate {
                expected,
                actual: sample_rate,
            });
        }
        let clip = prepare::trimmed(&self.description.input, samples)?;
        let mut mean: Vec<f64> = Vec::new();
        for window in self.windows(clip)? {
            let values = self.run(&window)?;
            // The known sound has said how many; it alone has nothing to be compared with.
            if !self.probe.is_empty() && values.len() != self.probe.len() {
                return Err(RuntimeError::EncoderOutput {
                    expected: "as many numbers for every clip",
                    actual: vec![1, values.len()],
                });
            }
            let weight = window.samples as f64 / clip.len() as f64;
            mean.resize(values.len(), 0.0);
            for (mean, value) in mean.iter_mut().zip(values) {
                *mean += weight * f64::from(value);
            }
        }
        let values: Vec<f32> = mean.into_iter().map(|x| x as f32).collect();
        if !values.iter().all(|x| x.is_finite()) {
            return Err(RuntimeError::NonFiniteOutput);
        }
        Ok(Embedding {
            values,
            seconds: clip.len() as f64 / f64::from(expected),
        })
    }

    fn windows(&self, clip: &[f32]) -> Result<Vec<Window>, RuntimeError> {
        match &self.description.input {
            EncoderInput::Waveform(input) => Ok(prepare::waveform(input, clip)),
            EncoderInput::LogMel(input) => {
                let mut front_end = match self.front_ends.take() {
                    Some(front_end) => front_end,
                    None => LogMel::new(input.front_end())?,
                };
                let windows = prepare::log_mel(input, &mut front_end, clip);
                self.front_ends.put(front_end);
                windows
            }
        }
    }

    fn run(&self, window: &Window) -> Result<Vec<f32>, RuntimeError> {
        let input = TensorView::try_from_data(window.shape.as_slice(), window.data.as_slice());
        let input = input.map_err(|error| RuntimeError::EncoderFailure {
            reason: error.to_string(),
        })?;
        let (shape, values) = self.graph.run(input).map_err(|failure| match failure {
            RunFailure::Engine(source) => RuntimeError::EncoderEngine { source },
            RunFailure::Panic(reason) => RuntimeError::EncoderFailure { reason },
            RunFailure::NotFloats => RuntimeError::EncoderOutput {
                expected: "single-precision numbers",
                actual: Vec::new(),
            },
        })?;
        match (&self.description.output, shape.as_slice()) {
            (EncoderOutput::Vector { .. }, &[1, dim]) if dim > 0 => Ok(values),
            (EncoderOutput::Frames { pooling, .. }, &[1, n_frames, dim])
                if n_frames > 0 && dim > 0 =>
            {
                let heard = heard_frames(n_frames, window);
                Ok(pool::pool(*pooling, &values[..heard * dim], dim))
            }
            (output, _) => Err(RuntimeError::EncoderOutput {
                expected: match output {
                    EncoderOutput::Vector { .. } => "[1, dim]",
                    EncoderOutput::Frames { .. } => "[1, time, dim]",
                },
                actual: shape,
            }),
        }
    }
}

/// Frames that see the clip and not only the zeros behind it: their share of all, rounded up.
fn heard_frames(n_frames: usize, window: &Window) -> usize {
    let heard = (n_frames * window.samples).div_ceil(window.length.max(1));
    heard.clamp(1, n_frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_behind_the_clip_are_not_heard() {
        let heard = |n_frames, samples, length| {
            let window = Window {
                shape: Vec::new(),
                data: Vec::new(),
                samples,
                length,
            };
            heard_frames(n_frames, &window)
        };
        assert_eq!(heard(1500, 48_000, 480_000), 150);
        assert_eq!(heard(1500, 48_001, 480_000), 151);
        assert_eq!(heard(7, 10, 10), 7);
        assert_eq!(heard(7, 1, 480_000), 1);
    }
}
