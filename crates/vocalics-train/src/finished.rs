//! Runs of `vocalics evaluate` that are finished, read back to be compared.

use std::path::{Path, PathBuf};
use std::time::Instant;

use vocalics_audio::DecodeOptions;
use vocalics_corpora::{Protocol, Utterance};
use vocalics_eval::{Entry, Predictions, Provenance, Report, read_history};
use vocalics_features::{FeatureMatrix, LogMel};
use vocalics_runtime::Recognizer;

use crate::run::{HELD_OUT, SPEAKER_PREDICTIONS};
use crate::{FeatureCache, NetworkConfig, TrainConfig, TrainError};

/// Clips that the time of a recognition is measured on.
const TIMED: usize = 60;

/// What a run directory holds that a comparison needs.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// The directory.
    pub path: PathBuf,
    /// Kinds of the networks that answer together, or the name of the configuration where it is of another version.
    pub name: String,
    /// Whether a network looks at the bands of log-mel, and not at functionals alone.
    takes_bands: bool,
    /// Where its numbers come from.
    pub provenance: Provenance,
    /// Scores of every test clip.
    pub predictions: Predictions,
    /// The same with functionals that are moved to the speaker by the speaker's other test clips, where the models do so.
    pub with_others: Option<Predictions>,
    /// Wall seconds of every epoch of every network, by fold.
    seconds: Vec<(String, f64)>,
    /// Model files by fold.
    models: Vec<(String, PathBuf)>,
}

impl FinishedRun {
    /// Reads `metrics.json`, `predictions.csv` and, where they are there, `speaker-predictions.csv`, `history.csv`, `config.toml` and the models.
    ///
    /// # Errors
    /// [`TrainError::NoRun`] for a directory without metrics or predictions; files that cannot be read.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let (metrics, predictions) = (path.join("metrics.json"), path.join("predictions.csv"));
        for file in [&metrics, &predictions] {
            if !file.is_file() {
                return Err(TrainError::NoRun {
                    path: path.to_owned(),
                    missing: file
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into_owned(),
                });
            }
        }
        let provenance = Report::read_json(&metrics)?.provenance;
        let predictions = Predictions::read_csv(&predictions)?;
        let with_others = path.join(SPEAKER_PREDICTIONS);
        let with_others = match with_others.is_file() {
            true => Some(Predictions::read_csv(&with_others)?),
            false => None,
        };
        let history = path.join("history.csv");
        let seconds = if history.is_file() {
            let rows = read_history(&history)?.into_iter();
            rows.map(|row| (row.fold, row.seconds)).collect()
        } else {
            Vec::new()
        };
        let mut folds: Vec<String> = predictions
            .rows
            .iter()
            .map(|row| row.fold.clone())
            .collect();
        folds.sort();
        folds.dedup();
        let models = folds
            .into_iter()
            .map(|fold| {
                let model = path.join(&fold).join("model.onnx");
                (fold, model)
            })
            .filter(|(_, model)| model.is_file())
            .collect();
        let file_name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let config = TrainConfig::read(&path.join("config.toml")).ok();
        let takes_bands = config.as_ref().is_none_or(|config| {
            let mut networks = config.answering().into_iter();
            networks.any(|network| !matches!(network, NetworkConfig::FunctionalsMlp(_)))
        });
        let name = config
            .map(|config| network_names(&config))
            .or(file_name)
            .unwrap_or_else(|| path.display().to_string());
        Ok(Self {
            path: path.to_owned(),
            name,
            takes_bands,
            provenance,
            predictions,
            with_others,
            seconds,
            models,
        })
    }

    /// The folds tested, some of them more than once.
    pub(crate) fn folds(&self) -> impl Iterator<Item = &str> {
        self.predictions.rows.iter().map(|row| row.fold.as_str())
    }

    /// The model file of a fold.
    ///
    /// # Errors
    /// [`TrainError::NoRun`] where it is not there.
    pub(crate) fn model(&self, fold: &str) -> Result<&Path, TrainError> {
        let found = self.models.iter().find(|(of, _)| of == fold);
        found
            .map(|(_, path)| path.as_path())
            .ok_or_else(|| TrainError::NoRun {
                path: self.path.clone(),
                missing: format!("{fold}/model.onnx"),
            })
    }

    /// What was said of the clips that a fold's temperature was fitted on; `None` where that was done otherwise.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn held_out(&self, fold: &str) -> Result<Option<Predictions>, TrainError> {
        let file = self.path.join(fold).join(HELD_OUT);
        if !file.is_file() {
            return Ok(None);
        }
        Ok(Some(Predictions::read_csv(&file)?))
    }

    /// Refuses a run under another protocol, with other labels, with test speakers that a model file behind it had heard where the
    /// protocol shares none, or without one of the folds.
    ///
    /// # Errors
    /// [`TrainError::OtherTest`], naming the directory and what differs.
    pub fn check(
        &self,
        protocol: &Protocol,
        labels: &[String],
        folds: &[String],
    ) -> Result<(), TrainError> {
        let refuse = |what, actual: String, expected: String| {
            Err(TrainError::OtherTest {
                path: self.path.clone(),
                what,
                actual,
                expected,
            })
        };
        let own = &self.provenance;
        if own.protocol != protocol.name() {
            let expected = protocol.name().to_owned();
            return refuse("protocol", own.protocol.clone(), expected);
        }
        if own.speakers_shared && !protocol.speakers_shared() {
            let expected = vocalics_eval::SPEAKERS_DISJOINT.to_owned();
            return refuse("division of speakers", own.speakers().to_owned(), expected);
        }
        if own.labels != labels {
            return refuse("label set", own.labels.join(" "), labels.join(" "));
        }
        let has = |fold: &String| self.predictions.rows.iter().any(|row| row.fold == *fold);
        match folds.iter().find(|fold| !has(fold)) {
            Some(missing) => {
                let mut own: Vec<&str> = self
                    .predictions
                    .rows
                    .iter()
                    .map(|row| row.fold.as_str())
                    .collect();
                own.sort_unstable();
                own.dedup();
                refuse("set of folds", own.join(" "), format!("one with {missing}"))
            }
            None => Ok(()),
        }
    }

    /// The run as a row of a comparison over the given folds; inference is not timed.
    ///
    /// # Errors
    /// A model that cannot be loaded.
    pub fn entry(&self, name: String, folds: &[String]) -> Result<Entry, TrainError> {
        let mut predictions = self.predictions.clone();
        predictions.rows.retain(|row| folds.contains(&row.fold));
        let (mut parameters, mut input) = (Vec::new(), "log-mel".to_owned());
        for (_, model) in self.models.iter().filter(|(fold, _)| folds.contains(fold)) {
            let recognizer = Recognizer::from_file(model)?;
            parameters.push(recognizer.parameters());
            if let Some(encoder) = &recognizer.metadata().encoder {
                input.clone_from(&encoder.description.name);
            }
            if let Some(functionals) = &recognizer.metadata().functionals {
                let names = functionals.sets().iter().map(|set| set.name.as_str());
                let bands = self.takes_bands.then_some("log-mel");
                input = bands
                    .into_iter()
                    .chain(names)
                    .collect::<Vec<_>>()
                    .join(" + ");
            }
        }
        let seconds = self.seconds.iter().filter(|(fold, _)| folds.contains(fold));
        let train_secs: f64 = seconds.map(|(_, seconds)| seconds).sum();
        Ok(Entry {
            name,
            input,
            seed: self.provenance.seed,
            predictions,
            parameters: (!parameters.is_empty())
                .then(|| parameters.iter().sum::<usize>() / parameters.len()),
            train_secs: (train_secs > 0.0).then_some(train_secs),
            inference_ms: None,
        })
    }

    /// Milliseconds from a clip's features to its scores on one thread: mean over 60 test clips of the first
    /// fold, each twice, after one pass over them. `None` without a model, without recordings of the test clips, or with an encoder
    /// in place of log-mel.
    ///
    /// # Errors
    /// A recording or a model that cannot be read.
    pub fn inference_ms(
        &self,
        utterances: &[Utterance],
        cache: &Path,
    ) -> Result<Option<f64>, TrainError> {
        let Some((fold, model)) = self.models.first() else {
            return Ok(None);
        };
        let recognizer = Recognizer::from_file(model)?;
        if recognizer.metadata().encoder.is_some() {
            return Ok(None);
        }
        let mut front_end = LogMel::new(recognizer.metadata().front_end.clone())?;
        let decode = DecodeOptions {
            sample_rate: Some(recognizer.sample_rate()),
            ..DecodeOptions::default()
        };
        let cache = FeatureCache::new(cache);
        let tested: Vec<&Utterance> = self
            .predictions
            .rows
            .iter()
            .filter(|row| row.fold == *fold)
            .filter_map(|row| utterances.iter().find(|u| u.id == row.id))
            .collect();
        let step = tested.len().div_ceil(TIMED).max(1);
        let clips = tested
            .into_iter()
            .step_by(step)
            .map(|utterance| {
                let (sets, path) = (recognizer.metadata().functionals.as_ref(), &utterance.path);
                Ok(cache
                    .features_beside(&mut front_end, sets, path, &decode)?
                    .value)
            })
            .collect::<Result<Vec<FeatureMatrix>, TrainError>>()?;
        if clips.is_empty() {
            return Ok(None);
        }
        let pass = || {
            clips
                .iter()
                .try_for_each(|clip| recognizer.scores_from_features(clip).map(|_| ()))
        };
        pass()?;
        let started = Instant::now();
        pass()?;
        pass()?;
        let elapsed = started.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a handful of clips")]
        let runs = (2 * clips.len()) as f64;
        Ok(Some(1000.0 * elapsed / runs))
    }
}

/// The kinds of a configuration's networks, each once, with how many there are of it: `residual-cnn × 3 + lstm`.
#[must_use]
pub fn network_names(config: &TrainConfig) -> String {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for member in config.answering() {
        match kinds.iter_mut().find(|(kind, _)| *kind == member.kind()) {
            Some((_, n)) => *n += 1,
            None => kinds.push((member.kind(), 1)),
        }
    }
    let kinds: Vec<String> = kinds
        .into_iter()
        .map(|(kind, n)| match n {
            1 => kind.to_owned(),
            n => format!("{kind} × {n}"),
        })
        .collect();
    kinds.join(" + ")
}
