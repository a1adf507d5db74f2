//! A run directory: cross-validation under a protocol, or one model on everything.

mod directory;
mod measure;
mod paired;
mod parts;
mod pretraining;
mod sources;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) use directory::{RunLock, key};
pub use measure::SPEAKER_PREDICTIONS;
pub(crate) use measure::{Measured, measured_together};
pub(crate) use paired::HELD_OUT;
pub(crate) use parts::{check_kept, chosen, refuse_leaks, thin};
pub use pretraining::{Pretrained, pretrain};
pub use sources::check_sources;
use vocalics_corpora::{Fold, Protocol};
use vocalics_eval::html::Page;
use vocalics_eval::{HistoryRow, Predictions, Provenance, Report, Scored, write_history};
use vocalics_features::FeatureMatrix;
use vocalics_runtime::{ProtocolResult, Recognizer};

use self::directory::{RunDirectory, manifest};
use self::measure::{export_teacher, measure, networks};
use self::paired::{fit_temperatures, pair_up};
use self::parts::whole;
use self::sources::{Sources, begun_from, check_prior, taught_by, tell_heard_validation};
use crate::encoder::merge_into;
use crate::export::{ExportNotes, export};
use crate::fold::TrainedModel;
use crate::jobs::Task;
use crate::speaker::Moved;
use crate::{
    ComputeDevice, Data, GIT_REVISION, Progress, TemperatureFrom, TrainConfig, TrainError,
};

/// Where and how a run works.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// The run directory; created if absent, resumed if it holds the same run.
    pub directory: PathBuf,
    /// Folds to run, by name; empty for all. The numbers say how many were run.
    pub folds: Vec<String>,
    /// Trainings side by side: networks of one fold or of several.
    pub jobs: usize,
    /// Threads of each training.
    pub threads: usize,
    /// Where the networks learn.
    pub device: ComputeDevice,
}

/// What a cross-validation gives.
#[derive(Debug, Clone)]
pub struct CrossValidation {
    /// The numbers, with their origin.
    pub report: Report,
    /// Scores of every test clip.
    pub predictions: Predictions,
    /// The same by models that move functionals to the speaker, with the speaker's other test clips heard.
    pub with_others: Option<Predictions>,
    /// Every epoch of every fold.
    pub history: Vec<HistoryRow>,
    /// Trained numbers of the network.
    pub parameters: usize,
    /// The same numbers of the teachers, where the models measured are their students.
    pub teacher: Option<Report>,
}

/// A measurement in the form that a model file carries.
#[must_use]
pub fn protocol_result(report: &Report) -> ProtocolResult {
    let Report {
        provenance,
        metrics,
        uar_interval,
        ..
    } = report;
    let (uar_low, uar_high) = uar_interval.map_or((metrics.uar, metrics.uar), |bounds| {
        (bounds.low, bounds.high)
    });
    ProtocolResult {
        protocol: provenance.protocol.clone(),
        corpora: provenance.corpora.clone(),
        folds: provenance.folds,
        labels: provenance.labels.clone(),
        seed: provenance.seed,
        speakers_shared: provenance.speakers_shared,
        uar: metrics.uar,
        uar_low,
        uar_high,
        war: metrics.war,
    }
}

/// Trains one model per fold of a protocol and measures it on the fold's test part.
///
/// Writes `config.toml`, `manifest.csv`, `history.csv`, `predictions.csv` and `metrics.json`, and
/// for each fold a folder with `model.onnx`, `predictions.csv`, the checkpoint and, after every
/// epoch, `history.csv`; with functionals that are moved to the speaker also [`SPEAKER_PREDICTIONS`].
///
/// # Errors
/// When the protocol is not defined on the data, a fold cannot be trained, or the directory cannot
/// be written. What was done by then stays, and the same call goes on from there.
pub fn cross_validate(
    config: &TrainConfig,
    data: &Data,
    protocol: &Protocol,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<CrossValidation, TrainError> {
    cross_validate_after(config, data, None, protocol, options, progress)
}

/// As [`cross_validate`], with the recordings of the corpora in `[transfer.pretrain]`, loaded with
/// [`TrainConfig::before`]. Each fold trains on those of them first whose speakers it neither tests nor validates on.
///
/// # Errors
/// As [`cross_validate`]; when `prior` is given and the configuration asks for none, or the reverse.
pub fn cross_validate_after(
    config: &TrainConfig,
    data: &Data,
    prior: Option<&Data>,
    protocol: &Protocol,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<CrossValidation, TrainError> {
    config.validate()?;
    check_prior(config, prior)?;
    options.device.check()?;
    let (config, sources) = Sources::open(config, data)?;
    let config = &config;
    let all = data.listed().folds(protocol, &config.split_options())?;
    let mut folds = chosen(all.clone(), &options.folds)?;
    let mut pairs = match config.evaluation.temperature {
        TemperatureFrom::PairedFolds => pair_up(&all, &folds)?,
        TemperatureFrom::Validation => Vec::new(),
    };
    let held_out = pairs.iter_mut().map(|pair| &mut pair.without);
    for fold in folds.iter_mut().chain(held_out) {
        thin(fold, config, data)?;
    }
    let held_out: Vec<Fold> = pairs.iter().map(|pair| pair.without.clone()).collect();
    if !protocol.speakers_shared() {
        refuse_leaks(&folds, &data.utterances)?;
        refuse_leaks(&held_out, &data.utterances)?;
    }
    let heard = sources.heard(config);
    let mut speakers_shared = protocol.speakers_shared();
    for &(heard, allowed) in &heard {
        for folds in [&folds, &held_out] {
            speakers_shared |= heard.test_speakers(folds, &data.utterances, allowed)?;
        }
    }
    tell_heard_validation(&folds, data, &heard, progress);
    let key = key(config, data, prior, protocol.name(), options.device);
    let directory = RunDirectory::open(&options.directory, config, &key)?;
    let manifest = manifest(data, prior, &folds, &held_out);
    directory.write("manifest.csv", manifest.as_bytes())?;
    let task = Task {
        config,
        data,
        prior,
        start: sources.start.as_ref(),
        teacher: sources.teacher.as_ref(),
        key: &key,
        device: options.device,
        progress,
    };
    let temperatures = fit_temperatures(&task, &pairs, options, &directory.path)?;
    let outcomes = task.run(
        &folds,
        options,
        |fold| directory.path.join(&fold.name),
        |fold, mut model, teacher| {
            if let Some(&temperature) = temperatures.get(&fold.name) {
                model.temperature = temperature;
            }
            let folder = directory.path.join(&fold.name);
            measure(&task, fold, model, teacher.as_ref(), &folder)
        },
    )?;
    let (mut rows, mut history, mut parameters) = (Vec::new(), Vec::new(), 0);
    let (mut shares, mut teacher_rows) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        teacher_rows.extend(outcome.teacher_rows);
        shares.push(outcome.shares);
        rows.extend(outcome.rows);
        history.extend(outcome.history);
        parameters = outcome.parameters;
    }
    let labels = data.labels.as_slice().to_vec();
    let predictions = Predictions {
        labels: labels.clone(),
        rows,
    };
    let mut tested: Vec<String> = folds
        .iter()
        .flat_map(|fold| &fold.test)
        .map(|&i| data.utterances[i].corpus.clone())
        .collect();
    tested.sort();
    tested.dedup();
    let provenance = Provenance {
        corpora: tested,
        protocol: protocol.name().to_owned(),
        speakers_shared,
        folds: folds.len(),
        labels,
        seed: config.seed,
    };
    let resamples = config.evaluation.resamples;
    let teacher = if teacher_rows.is_empty() {
        None
    } else {
        let predictions = Predictions {
            labels: predictions.labels.clone(),
            rows: teacher_rows,
        };
        predictions.write_csv(&directory.path.join("teacher-predictions.csv"))?;
        let report = Report::new(&predictions, provenance.clone(), resamples)?;
        report.write_json(&directory.path.join("teacher-metrics.json"))?;
        Some(report)
    };
    let page = Page {
        title: config.name.clone(),
        facts: [
            ("git revision", GIT_REVISION.to_owned()),
            ("front end", config.features_fingerprint()),
            ("recordings", data.hash()),
            ("parameters", parameters.to_string()),
            ("networks", networks(config)),
            ("shares of the networks", shares.join("; ")),
            ("device", options.device.to_string()),
            ("begun from", begun_from(config)),
            ("teacher", taught_by(config, teacher.as_ref())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
    };
    let models = spoken_to(config, &folds, &directory.path)?;
    let moved = match models.is_empty() {
        true => None,
        false => Some(moved(data, &predictions, &models)?),
    };
    let measured = Measured {
        predictions,
        moved,
        provenance,
        history,
        parameters,
        teacher,
        temperatures,
    };
    measured.write(&directory.path, resamples, &page)
}

/// The folds' models where they move functionals to the speaker; none where they do not.
fn spoken_to(
    config: &TrainConfig,
    folds: &[Fold],
    directory: &Path,
) -> Result<BTreeMap<String, Recognizer>, TrainError> {
    let folds = folds.iter().filter(|_| config.speaker_norm());
    let models = folds.map(|fold| {
        let path = directory.join(&fold.name).join("model.onnx");
        Ok((fold.name.clone(), Recognizer::from_file(&path)?))
    });
    models.collect()
}

/// What the folds' models say of the test clips once they heard the others of their speakers.
fn moved<'a>(
    data: &'a Data,
    predictions: &Predictions,
    models: &'a BTreeMap<String, Recognizer>,
) -> Result<Moved<'a>, TrainError> {
    let ids = data
        .utterances
        .iter()
        .map(|utterance| utterance.id.as_str());
    let features: BTreeMap<&str, &FeatureMatrix> = ids.zip(&data.features).collect();
    // Every row is of a fold and a clip of this run.
    let of_row = |row: &Scored| Some((models.get(&row.fold)?, *features.get(row.id.as_str())?));
    let (by_clip, features) = predictions.rows.iter().filter_map(of_row).unzip();
    Moved::by(predictions, by_clip, features, None)
}

/// Trains one model on all recordings but those of the validation speakers, which fit the
/// temperature, and writes `model.onnx`, `config.toml`, `manifest.csv` and `history.csv`.
///
/// `evaluation` is what the same configuration reached under a protocol; the file carries it, and with
/// [`TemperatureFrom::PairedFolds`] the geometric mean of the temperatures of its folds.
///
/// # Errors
/// As [`cross_validate`].
pub fn train_model(
    config: &TrainConfig,
    data: &Data,
    evaluation: Option<&Report>,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<TrainedModel, TrainError> {
    train_model_after(config, data, None, evaluation, options, progress)
}

/// As [`train_model`], with the recordings of the corpora in `[transfer.pretrain]`; see [`cross_validate_after`].
///
/// # Errors
/// As [`cross_validate_after`].
pub fn train_model_after(
    config: &TrainConfig,
    data: &Data,
    prior: Option<&Data>,
    evaluation: Option<&Report>,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<TrainedModel, TrainError> {
    config.validate()?;
    check_prior(config, prior)?;
    options.device.check()?;
    let (config, sources) = Sources::open(config, data)?;
    let config = &config;
    let mut fold = whole(config, data)?;
    thin(&mut fold, config, data)?;
    let key = key(config, data, prior, "all", options.device);
    let directory = RunDirectory::open(&options.directory, config, &key)?;
    directory.write(
        "manifest.csv",
        manifest(data, prior, std::slice::from_ref(&fold), &[]).as_bytes(),
    )?;
    let folds = std::slice::from_ref(&fold);
    tell_heard_validation(folds, data, &sources.heard(config), progress);
    let task = Task {
        config,
        data,
        prior,
        start: sources.start.as_ref(),
        teacher: sources.teacher.as_ref(),
        key: &key,
        device: options.device,
        progress,
    };
    let clips = fold.train.iter().chain(&fold.validation).copied().collect();
    let heard = task.heard_before(&fold);
    let notes = ExportNotes {
        clips,
        result: evaluation.map(protocol_result),
        heard,
    };
    let temperature = handed_down(config, evaluation, progress);
    let path = directory.path.join("model.onnx");
    let finish = |_: &Fold, mut model: TrainedModel, teacher: Option<TrainedModel>| {
        if let Some(temperature) = temperature {
            model.temperature = temperature;
        }
        if let Some(teacher) = &teacher {
            let notes = ExportNotes {
                result: None,
                ..notes.clone()
            };
            export_teacher(teacher, config, data, &notes, &directory.path)?;
        }
        export(&model, config, data, &notes, &path)?;
        merge_into(&path, data, progress)?;
        Ok(model)
    };
    let mut models = task.run(folds, options, |_| directory.path.clone(), finish)?;
    // One fold has one model or an error.
    let model = models.swap_remove(0);
    write_history(&directory.path.join("history.csv"), &model.history)?;
    Ok(model)
}

/// The temperature of a model without validation clips, from the folds of an evaluation.
fn handed_down(
    config: &TrainConfig,
    evaluation: Option<&Report>,
    progress: &dyn Progress,
) -> Option<f32> {
    if config.evaluation.temperature != TemperatureFrom::PairedFolds {
        return None;
    }
    let found = evaluation.and_then(Report::temperature);
    if found.is_none() {
        progress.warning(
            "nothing fits the temperature of this model, which is 1: give the metrics.json of an evaluation with \
             evaluation.temperature = \"paired-folds\"",
        );
    }
    found
}
