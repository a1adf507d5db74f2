//! Clips of samples to predictions, one at a time or many together.

use std::collections::BTreeMap;

use vocalics_features::{Compression, FeatureError, FeatureMatrix, LogMel, Voice};

use super::Recognizer;
use crate::RuntimeError;
use crate::clip::{Clip, Prediction, best};
use crate::quality::Quality;
use crate::speaker::SpeakerProfile;

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
        self.answer(&heard, None)
    }

    /// A speaker of whom this model has heard nothing.
    #[must_use]
    pub fn speaker(&self) -> SpeakerProfile {
        SpeakerProfile::new(self.labels().len()).with_voice(self.metadata.speaker_norm.clone())
    }

    /// What a model that moves functionals to the speaker learns of a speaker in a recording; others learn nothing here. The scores of
    /// the recording are another matter: [`SpeakerProfile::hear`].
    ///
    /// # Errors
    /// [`RuntimeError::FrontEnd`] when the profile is of another model.
    pub fn hear_voice(
        &self,
        heard: &HeardClip,
        speaker: &mut SpeakerProfile,
    ) -> Result<(), RuntimeError> {
        if let (Some(voice), Some(features)) = (speaker.voice_mut(), &heard.features) {
            voice.hear(&features.row(0)[self.metadata.front_end.n_mels..])?;
        }
        Ok(())
    }

    /// The scores of a clip that was listened to, of the speaker where one is given: functionals are moved to the speaker if the model is one
    /// that does so. Scores that adapt to the speaker as well: [`Prediction::adapted`].
    ///
    /// # Errors
    /// As [`recognize`](Self::recognize) from the network on; [`RuntimeError::FrontEnd`] when the profile is of another model.
    pub fn answer(
        &self,
        heard: &HeardClip,
        speaker: Option<&SpeakerProfile>,
    ) -> Result<Prediction, RuntimeError> {
        let voice = speaker.and_then(SpeakerProfile::voice);
        let logits = match (&heard.features, voice) {
            (None, _) => None,
            (Some(features), None) => Some(self.logits_from_features(features)?),
            (Some(features), Some(voice)) => Some(self.logits_in_voice(features, voice)?),
        };
        Ok(self.prediction(heard, logits))
    }

    /// Calibrated scores from features whose functionals are moved to a speaker.
    ///
    /// # Shapes
    /// As [`scores_from_features`](Self::scores_from_features); `[n_mels + n_functionals]` columns.
    ///
    /// # Errors
    /// As [`scores_from_features`](Self::scores_from_features); [`RuntimeError::FrontEnd`] when the voice is of other functionals.
    pub fn scores_in_voice(
        &self,
        features: &FeatureMatrix,
        voice: &Voice,
    ) -> Result<Vec<f32>, RuntimeError> {
        let logits = self.logits_in_voice(features, voice)?;
        Ok(self.calibrated(&logits))
    }

    fn logits_in_voice(
        &self,
        features: &FeatureMatrix,
        voice: &Voice,
    ) -> Result<Vec<f32>, RuntimeError> {
        let mut features = features.clone();
        let (width, n_mels) = (features.n_features(), self.metadata.front_end.n_mels);
        if width == self.metadata.n_features() && features.n_frames() > 0 {
            let mut functionals = features.row(0)[n_mels..].to_vec();
            voice.place(&mut functionals)?;
            for row in features.as_mut_slice().chunks_exact_mut(width) {
                row[n_mels..].copy_from_slice(&functionals);
            }
        }
        self.logits_from_features(&features)
    }

    /// Recognises many clips; one result per clip, in order, and one clip's error leaves the others be.
    ///
    /// Clips of equal frame count run together. None is padded, so every result equals that of the clip
    /// alone.
    #[must_use]
    pub fn recognize_batch(&self, clips: &[Clip<'_>]) -> Vec<Result<Prediction, RuntimeError>> {
        let mut heard: Vec<Result<HeardClip, RuntimeError>> =
            clips.iter().map(|clip| self.listen(clip)).collect();
        let mut logits: Vec<Option<Vec<f32>>> = vec![None; clips.len()];
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, heard) in heard.iter().enumerate() {
            if let Ok(HeardClip {
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
                    let Ok(HeardClip {
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
            .map(|(heard, logits)| heard.map(|heard| self.prediction(&heard, logits)))
            .collect()
    }

    fn run_together(
        &self,
        heard: &[Result<HeardClip, RuntimeError>],
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

    /// Everything about a clip that comes before the network.
    ///
    /// # Errors
    /// As [`recognize`](Self::recognize) up to the network.
    pub fn listen(&self, clip: &Clip<'_>) -> Result<HeardClip, RuntimeError> {
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
        let mut heard = HeardClip {
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

    fn prediction(&self, heard: &HeardClip, logits: Option<Vec<f32>>) -> Prediction {
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
                let compression = self.metadata.front_end.compression;
                if self.metadata.functionals.is_none() && compression == Compression::Log {
                    return domain.distance(clip).ok();
                }
                // It is about the logarithms of the bands alone.
                let bands = clip.first_columns(domain.n_bands()).ok()?;
                domain.distance(&compression.logarithms(bands)).ok()
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

/// A clip after quality and front end ([`Recognizer::listen`]); without features when there is nothing but silence.
#[derive(Debug, Clone)]
pub struct HeardClip {
    duration_secs: f64,
    analysed_secs: f64,
    quality: Quality,
    features: Option<FeatureMatrix>,
}

impl HeardClip {
    /// What the network takes of the clip; `None` in silence.
    #[must_use]
    pub fn features(&self) -> Option<&FeatureMatrix> {
        self.features.as_ref()
    }
}
