//! `[distillation]`: a student that learns from a teacher's scores as well as from the labels.

use std::path::PathBuf;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vocalics_eval::softmax_t;
use vocalics_models::NetworkConfig;
use vocalics_runtime::Recognizer;

use crate::heard::Heard;
use crate::source_file::SourceFile;
use crate::{Data, TrainConfig, TrainError};

/// How a student learns from a teacher.
///
/// The loss is `(1 − weight) · hard + weight · T² · soft`: `hard` is that of a training without a teacher, `soft` the cross-entropy of
/// the student's `softmax(logits / T)` with the teacher's. The teacher hears each training clip whole and as it is, once; the student
/// its own crops. Mixed clips have mixed soft targets.
///
/// Either a model file is the teacher, and `[network]` the student; or `student` is given, and the model of `[network]` and
/// `[ensemble]`, trained in the same run on the same training part, is its teacher.
///
/// Source: G. Hinton, O. Vinyals, J. Dean, *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531, 2015.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// `T`, which softens both scores so that the small ones count.
    pub temperature: f64,
    /// Share of the teacher's scores in the loss, above 0 and at most 1.
    pub weight: f64,
    /// Model file of the teacher; empty where `student` is given.
    pub teacher: PathBuf,
    /// BLAKE3 of that file, written by the run; a file of another hash is then refused. Empty until known.
    pub teacher_hash: String,
    /// Learn from the file although it has heard test speakers. The numbers then say that speakers are shared.
    pub allow_seen_speakers: bool,
    /// The student of this run's own model, which is then the teacher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub student: Option<NetworkConfig>,
}

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            temperature: 2.0,
            weight: 0.5,
            teacher: PathBuf::new(),
            teacher_hash: String::new(),
            allow_seen_speakers: false,
            student: None,
        }
    }
}

impl DistillationConfig {
    /// Whether the teacher is a model file.
    #[must_use]
    pub fn has_file(&self) -> bool {
        !self.teacher.as_os_str().is_empty()
    }

    /// # Errors
    /// [`TrainError::Config`] naming the field; [`TrainError::Model`] for sizes that no student can have.
    pub(crate) fn validate(&self, n_mels: usize) -> Result<(), TrainError> {
        if !(self.temperature > 0.0 && self.temperature <= 100.0) {
            let actual = self.temperature.to_string();
            return Err(TrainError::config(
                "distillation.temperature",
                actual,
                "above 0 and at most 100",
            ));
        }
        if !(self.weight > 0.0 && self.weight <= 1.0) {
            let actual = self.weight.to_string();
            return Err(TrainError::config(
                "distillation.weight",
                actual,
                "above 0 and at most 1",
            ));
        }
        match &self.student {
            Some(student) => Ok(student.validate(n_mels)?),
            None => Ok(()),
        }
    }

    /// Rejects no teacher and two; a file alone need not name one, since the command line can.
    ///
    /// # Errors
    /// [`TrainError::Config`] naming the field.
    pub(crate) fn validate_source(&self) -> Result<(), TrainError> {
        if self.has_file() == self.student.is_some() {
            let actual = if self.has_file() {
                "given beside distillation.student"
            } else {
                "empty, and there is no distillation.student"
            };
            return Err(TrainError::config(
                "distillation.teacher",
                actual.into(),
                "one of the two",
            ));
        }
        if !self.has_file() && (self.allow_seen_speakers || !self.teacher_hash.is_empty()) {
            let field = "distillation.allow_seen_speakers or teacher_hash";
            return Err(TrainError::config(
                field,
                "given".into(),
                "a model file as the teacher",
            ));
        }
        Ok(())
    }
}

/// A teacher's softened scores of clips.
pub(crate) struct Soft {
    /// By clip; empty for those that nobody learns from.
    scores: Vec<Vec<f32>>,
}

impl Soft {
    /// From the logits of `clips` among `count`.
    pub(crate) fn new(
        count: usize,
        clips: &[usize],
        logits: &[Vec<f32>],
        temperature: f64,
    ) -> Result<Self, TrainError> {
        let mut scores = vec![Vec::new(); count];
        #[expect(clippy::cast_possible_truncation, reason = "a number up to 100")]
        let temperature = temperature as f32;
        for (&clip, logits) in clips.iter().zip(logits) {
            scores[clip] = softmax_t(logits, temperature)?;
        }
        Ok(Self { scores })
    }

    /// Scores of a clip, `[n_classes]`.
    pub(crate) fn of(&self, clip: usize) -> &[f32] {
        &self.scores[clip]
    }
}

/// A model file whose scores are learnt from.
pub(crate) struct Teacher {
    recognizer: Recognizer,
    /// Whom it has heard.
    pub(crate) heard: Heard,
    /// Of each of our labels the place among its own.
    places: Vec<usize>,
}

impl Teacher {
    /// The model file of the configuration, and its hash; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read or is no good model file ([`TrainError::ModelFile`]), was changed since the run was begun
    /// ([`TrainError::InitChanged`]), has another front end ([`TrainError::InitFrontEnd`]) or other labels
    /// ([`TrainError::TeacherLabels`]).
    pub(crate) fn of_file(
        config: &TrainConfig,
        data: &Data,
    ) -> Result<Option<(Self, String)>, TrainError> {
        let Some(distillation) = config.distillation.as_ref().filter(|it| it.has_file()) else {
            return Ok(None);
        };
        let path = distillation.teacher.clone();
        let file = SourceFile::open(&path, &distillation.teacher_hash)?;
        let ours = config.functional_sets()?;
        file.check_functionals("distillation.teacher", ours.as_ref())?;
        file.check_front_end(&path, &config.front_end)?;
        file.check_head(&path)?;
        let metadata = file.metadata();
        let place = |label: &String| metadata.labels.iter().position(|it| it == label);
        let places: Option<Vec<usize>> = data.labels.as_slice().iter().map(place).collect();
        let same = metadata.labels.len() == data.labels.len() && metadata.task == config.target;
        let places = places
            .filter(|_| same)
            .ok_or_else(|| TrainError::TeacherLabels {
                path: path.clone(),
                teacher: format!("{}: {}", metadata.task, metadata.labels.join(", ")),
                ours: format!("{}: {}", config.target, data.labels.as_slice().join(", ")),
            })?;
        let heard = Heard::by_model(metadata);
        let hash = file.hash.clone();
        let teacher = Self {
            recognizer: file.into_recognizer(&path)?,
            heard,
            places,
        };
        Ok(Some((teacher, hash)))
    }

    /// Its scores of clips.
    pub(crate) fn soft(
        &self,
        data: &Data,
        clips: &[usize],
        temperature: f64,
    ) -> Result<Soft, TrainError> {
        let answer = |&clip: &usize| -> Result<Vec<f32>, TrainError> {
            let features = &data.features[clip];
            let width = self.recognizer.metadata().n_features();
            let theirs = if features.n_features() > width {
                // A teacher over log-mel alone.
                let bands = features.first_columns(width)?;
                self.recognizer.logits_from_features(&bands)
            } else {
                self.recognizer.logits_from_features(features)
            };
            let theirs = theirs.map_err(|source| TrainError::TeacherAnswer {
                id: data.utterances[clip].id.clone(),
                source: Box::new(source),
            })?;
            Ok(self.places.iter().map(|&place| theirs[place]).collect())
        };
        let logits: Vec<Vec<f32>> = clips.par_iter().map(answer).collect::<Result<_, _>>()?;
        Soft::new(data.features.len(), clips, &logits, temperature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_teacher_is_a_file_or_the_runs_own_model() {
        let check = |text: &str| {
            let config: DistillationConfig = toml::from_str(text).unwrap();
            let checked = config.validate(64).and_then(|()| config.validate_source());
            checked.map_err(|error| error.to_string())
        };
        check("teacher = 'm.onnx'").unwrap();
        check("[student]\nkind = 'light-cnn'").unwrap();
        for (text, wrong) in [
            ("", "distillation.teacher is empty"),
            (
                "teacher = 'm.onnx'\n[student]\nkind = 'lstm'",
                "one of the two",
            ),
            (
                "teacher = 'm.onnx'\nweight = 0.0",
                "distillation.weight is 0",
            ),
            (
                "teacher = 'm.onnx'\nweight = 1.1",
                "distillation.weight is 1.1",
            ),
            (
                "teacher = 'm.onnx'\ntemperature = nan",
                "distillation.temperature is NaN",
            ),
            (
                "allow_seen_speakers = true\n[student]\nkind = 'lstm'",
                "allow_seen_speakers",
            ),
            (
                "[student]\nkind = 'light-cnn'\nlast = 0",
                "network.last is 0",
            ),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
        assert!(toml::from_str::<DistillationConfig>("alpha = 1").is_err());
    }

    #[test]
    fn scores_are_softened_and_kept_by_clip() {
        let soft = Soft::new(3, &[2, 0], &[vec![0.0, 2.0], vec![0.0, 0.0]], 2.0).unwrap();
        let one = 1.0f32.exp();
        assert!((soft.of(2)[1] - one / (1.0 + one)).abs() < 1e-6);
        assert!((soft.of(0)[0] - 0.5).abs() < 1e-6);
        assert!(soft.of(1).is_empty());
    }
}
