//! Clips of samples to predictions, one at a time or many together.

use std::collections::BTreeMap;

use vocalics_features::{FeatureError, FeatureMatrix, LogMel};

use super::Recognizer;
use crate::RuntimeError;
use crate::clip::{Clip, Prediction, best};
use crate::quality::Quality;

/// Shortest clip that is recognised, in seconds.
pub const MIN_DURATION_SECS: f64 = 0.2;

/// Most values (batch × frames × bands) run at once, which bounds the memory of a batch.
const MAX_BATCH_VALUES: usize = 1 << 19;

impl Recognizer {
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
        let n_mels = self.metadata.n_features();
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
        let mut heard = Heard {
            duration_secs,
            analysed_secs: 0.0,
            quality,
            features: None,
        };
        if !quality.silent {
            (heard.features, heard.analysed_secs) = self.features(clip.samples)?;
        }
        Ok(heard)
    }

    /// What the network takes of a clip, and the seconds that it comes from.
    fn features(&self, samples: &[f32]) -> Result<(Option<FeatureMatrix>, f64), RuntimeError> {
        match (&self.encoder, &self.metadata.encoder) {
            (Some(encoder), _) => {
                let embedding = encoder.embed(samples, encoder.sample_rate())?;
                let features = FeatureMatrix::new(embedding.values, encoder.dim())?;
                Ok((Some(features), embedding.seconds))
            }
            (None, Some(note)) => Err(RuntimeError::EncoderMissing {
                name: note.description.name.clone(),
            }),
            (None, None) => {
                let functionals = self.metadata.functionals.as_ref();
                let features = self.with_front_end(|it| it.compute_beside(functionals, samples))?;
                let seconds = self.metadata.front_end.seconds(features.n_frames());
                Ok((Some(features), seconds))
            }
        }
    }

    /// Lends a front end that nobody else uses; more are built when threads ask at the same time.
    fn with_front_end<T>(
        &self,
        use_it: impl FnOnce(&mut LogMel) -> Result<T, FeatureError>,
    ) -> Result<T, RuntimeError> {
        let mut front_end = match self.front_ends.take() {
            Some(front_end) => front_end,
            None => LogMel::new(self.metadata.front_end.clone())?,
        };
        let result = use_it(&mut front_end);
        self.front_ends.put(front_end);
        Ok(result?)
    }

    fn prediction(&self, heard: Heard, logits: Option<Vec<f32>>) -> Prediction {
        let labels = self.labels();
        // Equal logits give equal scores.
        let scores = match &logits {
            Some(logits) => self.calibrated(logits),
            None => self.calibrated(&vec![0.0; labels.len()]),
        };
        let scores: Vec<(String, f32)> = labels.iter().cloned().zip(scores).collect();
        let domain = self.metadata.domain.as_ref().zip(heard.features.as_ref());
        Prediction {
            domain_distance: domain.and_then(|(domain, clip)| {
                if self.metadata.functionals.is_none() {
                    return domain.distance(clip).ok();
                }
                // It is about the bands alone.
                let bands = clip.first_columns(domain.n_bands()).ok()?;
                domain.distance(&bands).ok()
            }),
            label: logits.as_ref().and_then(|_| best(&scores)),
            scores,
            duration_secs: heard.duration_secs,
            analysed_secs: heard.analysed_secs,
            quality: heard.quality,
            logits: logits.unwrap_or_default(),
        }
    }
}

/// A clip after quality and front end; without features when there is nothing but silence.
#[derive(Debug)]
struct Heard {
    duration_secs: f64,
    analysed_secs: f64,
    quality: Quality,
    features: Option<FeatureMatrix>,
}
