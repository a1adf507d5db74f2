//! From samples to a prediction.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use vocalics_features::{FeatureMatrix, LogMel};

use crate::clip::{Clip, Prediction};
use crate::engine::{Engine, Network};
use crate::metadata::{ModelMetadata, names_quantised, parse_props};
use crate::onnx::{MAX_MODEL_BYTES, inspect};
use crate::quality::Quality;
use crate::temperature::softmax_with_temperature;
use crate::{ModelError, RuntimeError};

/// Largest difference allowed between a score of the test vector and the same score recomputed here.
pub const TEST_VECTOR_TOLERANCE: f32 = 1e-4;

/// As [`TEST_VECTOR_TOLERANCE`], for a quantised model.
///
/// Its inputs are rounded in the middle of the network. A sum formed in another order may fall on the
/// other side of a step there, so that processors and engines agree less than in single precision.
pub const QUANTISED_TOLERANCE: f32 = 2e-2;

/// Shortest clip that is recognised, in seconds.
pub const MIN_DURATION_SECS: f64 = 0.2;

/// Longest stretch of speech the network sees at once, in seconds.
///
/// A longer clip is cut into equal windows no longer than this whose logits are averaged, weighted by
/// their frames. It bounds the memory of a recognition; acted corpora and everyday utterances stay far
/// below it.
pub const MAX_WINDOW_SECS: f64 = 30.0;

/// Most values (batch × frames × bands) run at once, which bounds the memory of a batch.
const MAX_BATCH_VALUES: usize = 1 << 19;

/// How a recogniser runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecognizerOptions {
    /// Threads of the engine, at least 1. One is the default: a clip takes a few milliseconds, and
    /// programs that recognise many clips run several recognitions side by side.
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
    /// Front ends not in use; each holds the plan and the buffers of its transform.
    front_ends: Mutex<Vec<LogMel>>,
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
        let io = |source| ModelError::Io {
            path: path.to_owned(),
            source,
        };
        let refused = |source| ModelError::File {
            path: path.to_owned(),
            source: Box::new(source),
        };
        // Asked before reading, so that a wrong path to something huge costs nothing.
        let size = std::fs::metadata(path).map_err(io)?.len();
        if size > MAX_MODEL_BYTES {
            return Err(refused(ModelError::TooLarge {
                bytes: size,
                limit: MAX_MODEL_BYTES,
            }));
        }
        let bytes = std::fs::read(path).map_err(io)?;
        Self::load(bytes.into(), options).map_err(refused)
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
        const MODEL: &[u8] = include_bytes!("../../../models/default.onnx");
        Self::load(Cow::Borrowed(MODEL), options)
    }

    fn load(bytes: Cow<'static, [u8]>, options: &RecognizerOptions) -> Result<Self, ModelError> {
        let structure = inspect(&bytes)?;
        let (metadata, checksum) =
            parse_props(structure.producer.clone(), structure.props.clone())?;
        if let Some(expected) = checksum
            && expected != structure.graph_crc32
        {
            return Err(ModelError::Checksum {
                expected,
                actual: structure.graph_crc32,
            });
        }
        let front_end = metadata.build_front_end()?;
        let network = Network::load(
            bytes,
            &structure,
            metadata.front_end.n_mels,
            metadata.labels.len(),
            options,
        )?;
        let recognizer = Self {
            metadata,
            network,
            front_ends: Mutex::new(vec![front_end]),
        };
        recognizer.check_test_vector(if names_quantised(&structure.props) {
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
            metadata.front_end.n_mels,
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
        self.metadata.front_end.sample_rate
    }

    /// Number of weights of the network.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.network.parameters()
    }

    /// What runs the network.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.network.engine()
    }

    /// Recognises one clip of mono samples, full scale ±1, at the model's rate.
    ///
    /// Silence (see [`Quality::silent`]) is a result without label.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::SampleRate`], [`RuntimeError::Empty`], [`RuntimeError::TooShort`],
    /// [`RuntimeError::NonFinite`]; or whatever front end or engine report.
    pub fn recognize(&self, samples: &[f32], sample_rate: u32) -> Result<Prediction, RuntimeError> {
        self.recognize_clip(&Clip::new(samples, sample_rate))
    }

    /// As [`recognize`](Self::recognize), with what else is known of the clip.
    ///
    /// # Errors
    ///
    /// As [`recognize`](Self::recognize).
    pub fn recognize_clip(&self, clip: &Clip<'_>) -> Result<Prediction, RuntimeError> {
        let heard = self.listen(clip)?;
        let logits = match &heard.features {
            Some(features) => Some(self.logits_from_features(features)?),
            None => None,
        };
        Ok(self.prediction(heard, logits))
    }

    /// Recognises many clips; one result per clip, in order, and one clip's error leaves the others be.
    ///
    /// Clips of equal frame count run together. None is padded, so every result equals that of the clip
    /// alone.
    #[must_use]
    pub fn recognize_batch(&self, clips: &[Clip<'_>]) -> Vec<Result<Prediction, RuntimeError>> {
        let mut heard: Vec<Result<Heard, RuntimeError>> =
            clips.iter().map(|clip| self.listen(clip)).collect();
        let mut logits: Vec<Option<Vec<f32>>> = vec![None; clips.len()];
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, heard) in heard.iter().enumerate() {
            if let Ok(Heard {
                features: Some(features),
                ..
            }) = heard
            {
                groups.entry(features.n_frames()).or_default().push(index);
            }
        }
        let n_mels = self.metadata.front_end.n_mels;
        for (n_frames, members) in groups {
            let together = if n_frames > self.window_frames() {
                1
            } else {
                (MAX_BATCH_VALUES / (n_frames * n_mels).max(1)).max(1)
            };
            for indices in members.chunks(together) {
                // A failing batch is run again one by one, so that each clip gets its own error.
                if indices.len() > 1
                    && let Some(rows) = self.run_together(&heard, indices, n_frames)
                {
                    for (&index, row) in indices.iter().zip(rows) {
                        logits[index] = Some(row);
                    }
                    continue;
                }
                for &index in indices {
                    let Ok(Heard {
                        features: Some(features),
                        ..
                    }) = &heard[index]
                    else {
                        continue;
                    };
                    match self.logits_from_features(features) {
                        Ok(row) => logits[index] = Some(row),
                        Err(error) => heard[index] = Err(error),
                    }
                }
            }
        }
        heard
            .into_iter()
            .zip(logits)
            .map(|(heard, logits)| heard.map(|heard| self.prediction(heard, logits)))
            .collect()
    }

    fn run_together(
        &self,
        heard: &[Result<Heard, RuntimeError>],
        indices: &[usize],
        n_frames: usize,
    ) -> Option<Vec<Vec<f32>>> {
        let mut batch = Vec::new();
        for &index in indices {
            let features = heard[index].as_ref().ok()?.features.as_ref()?;
            batch.extend_from_slice(features.as_slice());
        }
        self.batch_logits(&batch, n_frames).ok()
    }

    /// Logits of clips of equal length, one row a clip.
    ///
    /// # Shapes
    ///
    /// `features`: `[batch, n_frames, n_mels]`, row-major, from the model's own front end; result:
    /// `[batch][n_classes]`. `n_frames` is run at once, so keep it within [`MAX_WINDOW_SECS`].
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureWidth`], [`RuntimeError::Empty`], or whatever the engine reports.
    pub fn batch_logits(
        &self,
        features: &[f32],
        n_frames: usize,
    ) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let sample = n_frames * self.metadata.front_end.n_mels;
        if sample == 0 || features.is_empty() {
            return Err(RuntimeError::Empty);
        }
        let n_classes = self.metadata.labels.len();
        let mut logits = vec![0.0; features.len() / sample * n_classes];
        self.network.run(features, n_frames, &mut logits)?;
        Ok(logits
            .chunks_exact(n_classes)
            .map(<[f32]>::to_vec)
            .collect())
    }

    /// Calibrated scores, in label order, from features computed by the model's own front end.
    ///
    /// # Shapes
    ///
    /// `features`: `[n_frames, n_mels]`, not standardised. Result: `[n_classes]`, sums to 1.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureWidth`], [`RuntimeError::Empty`], or whatever the engine reports.
    pub fn scores_from_features(&self, features: &FeatureMatrix) -> Result<Vec<f32>, RuntimeError> {
        self.logits_from_features(features)
            .map(|logits| self.calibrated(&logits))
    }

    /// As [`scores_from_features`](Self::scores_from_features), before temperature and softmax.
    ///
    /// # Errors
    ///
    /// As [`scores_from_features`](Self::scores_from_features).
    pub fn logits_from_features(&self, features: &FeatureMatrix) -> Result<Vec<f32>, RuntimeError> {
        let n_mels = self.metadata.front_end.n_mels;
        if features.n_features() != n_mels {
            return Err(RuntimeError::FeatureWidth {
                expected: n_mels,
                actual: features.n_features(),
            });
        }
        let mut logits = vec![0.0; self.metadata.labels.len()];
        self.logits_into(features.as_slice(), &mut logits)?;
        Ok(logits)
    }

    /// As [`logits_from_features`](Self::logits_from_features), into memory of the caller.
    ///
    /// With our own engine on one thread nothing is allocated, once a clip of that many frames or more
    /// was run and as long as clips stay within [`MAX_WINDOW_SECS`].
    ///
    /// # Shapes
    ///
    /// `features`: `[n_frames, n_mels]`, row-major; `logits`: `[n_classes]`.
    ///
    /// # Errors
    ///
    /// As [`logits_from_features`](Self::logits_from_features); [`RuntimeError::OutputShape`] when `logits`
    /// is of another length.
    pub fn logits_into(&self, features: &[f32], logits: &mut [f32]) -> Result<(), RuntimeError> {
        let n_mels = self.metadata.front_end.n_mels;
        let expected = self.metadata.labels.len();
        if logits.len() != expected {
            return Err(RuntimeError::OutputShape {
                expected: [1, expected],
                actual: vec![1, logits.len()],
            });
        }
        let n_frames = features.len() / n_mels;
        if n_frames == 0 {
            return Err(RuntimeError::Empty);
        }
        if n_frames <= self.window_frames() {
            return self.network.run(features, n_frames, logits);
        }
        let mut mean = vec![0.0_f64; expected];
        for (start, end) in windows(n_frames, self.window_frames()) {
            let rows = &features[start * n_mels..end * n_mels];
            self.network.run(rows, end - start, logits)?;
            #[expect(
                clippy::cast_precision_loss,
                reason = "frame counts are far below 2^52"
            )]
            let weight = (end - start) as f64 / n_frames as f64;
            for (mean, logit) in mean.iter_mut().zip(&*logits) {
                *mean += weight * f64::from(*logit);
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a mean of f32 values lies in the range of f32"
        )]
        for (logit, mean) in logits.iter_mut().zip(mean) {
            *logit = mean as f32;
        }
        Ok(())
    }

    /// Frames of the longest stretch run at once.
    fn window_frames(&self) -> usize {
        let config = &self.metadata.front_end;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "rate times 30 s is a small positive number"
        )]
        let frames =
            (MAX_WINDOW_SECS * f64::from(config.sample_rate) / config.hop_length as f64) as usize;
        frames.max(1)
    }

    fn listen(&self, clip: &Clip<'_>) -> Result<Heard, RuntimeError> {
        let expected = self.sample_rate();
        if clip.sample_rate != expected {
            return Err(RuntimeError::SampleRate {
                expected,
                actual: clip.sample_rate,
            });
        }
        if clip.samples.is_empty() {
            return Err(RuntimeError::Empty);
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "sample counts are far below 2^52"
        )]
        let duration_secs = clip.samples.len() as f64 / f64::from(expected);
        if duration_secs < MIN_DURATION_SECS {
            return Err(RuntimeError::TooShort {
                secs: duration_secs,
                minimum: MIN_DURATION_SECS,
            });
        }
        if let Some(index) = clip.samples.iter().position(|sample| !sample.is_finite()) {
            return Err(RuntimeError::NonFinite { index });
        }
        let quality = Quality::measure(clip.samples, expected, clip.clipped_ratio);
        let features = if quality.silent {
            None
        } else {
            Some(self.with_front_end(|front_end| front_end.compute(clip.samples))?)
        };
        Ok(Heard {
            duration_secs,
            quality,
            features,
        })
    }

    /// Lends a front end that nobody else uses; more are built when threads ask at the same time.
    fn with_front_end<T>(
        &self,
        use_it: impl FnOnce(&mut LogMel) -> Result<T, vocalics_features::FeatureError>,
    ) -> Result<T, RuntimeError> {
        let idle = self
            .front_ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut front_end = match idle {
            Some(front_end) => front_end,
            None => LogMel::new(self.metadata.front_end.clone())?,
        };
        let result = use_it(&mut front_end);
        self.front_ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(front_end);
        Ok(result?)
    }

    fn calibrated(&self, logits: &[f32]) -> Vec<f32> {
        softmax_with_temperature(logits, self.metadata.temperature)
    }

    fn prediction(&self, heard: Heard, logits: Option<Vec<f32>>) -> Prediction {
        let labels = self.labels();
        // Equal logits give equal scores.
        let scores = match &logits {
            Some(logits) => self.calibrated(logits),
            None => self.calibrated(&vec![0.0; labels.len()]),
        };
        let best = scores
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(index, _)| index);
        Prediction {
            label: logits.as_ref().and(best).map(|index| labels[index].clone()),
            scores: labels.iter().cloned().zip(scores).collect(),
            duration_secs: heard.duration_secs,
            quality: heard.quality,
            logits: logits.unwrap_or_default(),
        }
    }
}

/// A clip after quality and front end; without features when there is nothing but silence.
#[derive(Debug)]
struct Heard {
    duration_secs: f64,
    quality: Quality,
    features: Option<FeatureMatrix>,
}

/// Cuts `n_frames` into the fewest windows of at most `longest`, as equal as can be.
fn windows(n_frames: usize, longest: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n_frames.div_ceil(longest).max(1);
    let (length, rest) = (n_frames / count, n_frames % count);
    (0..count).map(move |index| {
        let start = index * length + index.min(rest);
        (start, start + length + usize::from(index < rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_everything_once() {
        for (n_frames, longest) in [(1, 1), (10, 100), (100, 10), (101, 10), (1875, 1874)] {
            let mut next = 0;
            let mut lengths = Vec::new();
            for (start, end) in windows(n_frames, longest) {
                assert_eq!(start, next);
                lengths.push(end - start);
                next = end;
            }
            assert_eq!(next, n_frames);
            let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
            assert!(*most <= longest && most - least <= 1, "{lengths:?}");
        }
    }
}
