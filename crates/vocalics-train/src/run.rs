//! A run directory: cross-validation under a protocol, or one model on everything.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use vocalics_corpora::{Fold, LabelSet, Protocol, Utterance, speaker_overlap};
use vocalics_eval::html::{self, Page};
use vocalics_eval::{
    HistoryRow, Predictions, Provenance, Report, Scored, plot, softmax_t, write_history,
};
use vocalics_runtime::ProtocolResult;

use crate::cache::write;
use crate::export::{ExportNotes, export};
use crate::fold::{TrainedModel, infer_all};
use crate::jobs::Task;
use crate::speaker::with_speaker_calibrated;
use crate::{ComputeDevice, Data, GIT_REVISION, Progress, TrainConfig, TrainError};

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
    /// Every epoch of every fold.
    pub history: Vec<HistoryRow>,
    /// Trained numbers of the network.
    pub parameters: usize,
}

impl CrossValidation {
    /// The result in the form that a model file carries.
    #[must_use]
    pub fn protocol_result(&self) -> ProtocolResult {
        let Report {
            provenance,
            metrics,
            uar_interval,
            ..
        } = &self.report;
        let (low, high) = uar_interval
            .as_ref()
            .map_or((metrics.uar, metrics.uar), |i| (i.low, i.high));
        ProtocolResult {
            protocol: provenance.protocol.clone(),
            corpora: provenance.corpora.clone(),
            folds: provenance.folds,
            labels: provenance.labels.clone(),
            seed: provenance.seed,
            speakers_shared: provenance.speakers_shared,
            uar: metrics.uar,
            uar_low: low,
            uar_high: high,
            war: metrics.war,
        }
    }
}

/// The directory, locked against other processes for as long as this lives.
struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

impl RunDirectory {
    fn open(path: &Path, config: &TrainConfig) -> Result<Self, TrainError> {
        std::fs::create_dir_all(path).map_err(TrainError::io("create", path))?;
        let lock = lock(path)?;
        let config_path = path.join("config.toml");
        if config_path.exists() && TrainConfig::read(&config_path)? != *config {
            return Err(TrainError::OtherRun {
                path: path.to_owned(),
            });
        }
        let directory = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        directory.write("config.toml", config.to_toml().as_bytes())?;
        Ok(directory)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let path = self.path.join(name);
        write(&path, bytes).map_err(TrainError::io("write", path))
    }
}

/// Locks a directory that exists against other processes, for as long as the file returned lives.
pub(crate) fn lock(directory: &Path) -> Result<File, TrainError> {
    let path = directory.join(".lock");
    let lock = File::create(&path).map_err(TrainError::io("create", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(TrainError::Busy {
            path: directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(TrainError::io("lock", &path)(error)),
    }
}

/// `manifest.csv`: which clip served for what in which fold.
fn manifest(data: &Data, folds: &[Fold]) -> String {
    let mut text = String::from("id,corpus,speaker,class,fold,part\n");
    for fold in folds {
        let parts = [
            ("train", &fold.train),
            ("validation", &fold.validation),
            ("test", &fold.test),
        ];
        for (part, clips) in parts {
            for &i in clips {
                let Utterance {
                    id,
                    corpus,
                    speaker,
                    ..
                } = &data.utterances[i];
                let class = &data.labels.as_slice()[data.classes[i]];
                text += &format!("{id},{corpus},{speaker},{class},{},{part}\n", fold.name);
            }
        }
    }
    text
}

/// Everything that must be equal for a checkpoint to be of this run.
fn key(config: &TrainConfig, data: &Data, protocol: &str, device: ComputeDevice) -> String {
    let (config, data) = (config.to_toml(), data.hash());
    blake3::hash(format!("{config}\n{data}\n{protocol}\n{device}").as_bytes())
        .to_hex()
        .to_string()
}

/// Trains one model per fold of a protocol and measures it on the fold's test part.
///
/// Writes `config.toml`, `manifest.csv`, `history.csv`, `predictions.csv` and `metrics.json`, and
/// for each fold a folder with `model.onnx`, `predictions.csv`, the checkpoint and, after every
/// epoch, `history.csv`.
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
    config.validate()?;
    options.device.check()?;
    let folds = protocol.folds(&data.utterances, &data.classes, &config.split_options())?;
    let mut folds = chosen(folds, &options.folds)?;
    for fold in &mut folds {
        thin(fold, config, data)?;
    }
    if !protocol.speakers_shared() {
        refuse_leaks(&folds, &data.utterances)?;
    }
    let directory = RunDirectory::open(&options.directory, config)?;
    directory.write("manifest.csv", manifest(data, &folds).as_bytes())?;
    let key = key(config, data, protocol.name(), options.device);
    let task = Task {
        config,
        data,
        key: &key,
        device: options.device,
        progress,
    };
    let outcomes = task.run(
        &folds,
        options,
        |fold| directory.path.join(&fold.name),
        |fold, model| measure(&task, fold, model, &directory.path.join(&fold.name)),
    )?;
    let (mut rows, mut history, mut parameters) = (Vec::new(), Vec::new(), 0);
    let mut shares = Vec::new();
    for outcome in outcomes {
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
        speakers_shared: protocol.speakers_shared(),
        folds: folds.len(),
        labels,
        seed: config.seed,
    };
    let resamples = config.evaluation.resamples;
    let report = Report::new(&predictions, provenance, resamples)?;
    let report = with_speaker_calibrated(report, &predictions, resamples)?;
    predictions.write_csv(&directory.path.join("predictions.csv"))?;
    write_history(&directory.path.join("history.csv"), &history)?;
    report.write_json(&directory.path.join("metrics.json"))?;
    plot::write_all(&directory.path, &report, &history)?;
    let page = Page {
        title: config.name.clone(),
        facts: [
            ("git revision", GIT_REVISION.to_owned()),
            ("front end", config.front_end.fingerprint()),
            ("recordings", data.hash()),
            ("parameters", parameters.to_string()),
            ("networks", networks(config)),
            ("shares of the networks", shares.join("; ")),
            ("device", options.device.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec(),
    };
    html::write(
        &directory.path.join("report.html"),
        &report,
        &history,
        &page,
    )?;
    Ok(CrossValidation {
        report,
        predictions,
        history,
        parameters,
    })
}

/// The folds of the given names, all for none.
pub(crate) fn chosen(folds: Vec<Fold>, names: &[String]) -> Result<Vec<Fold>, TrainError> {
    if let Some(unknown) = names
        .iter()
        .find(|name| !folds.iter().any(|f| f.name == **name))
    {
        let known: Vec<&str> = folds.iter().map(|fold| fold.name.as_str()).collect();
        return Err(TrainError::Config {
            field: "fold",
            actual: format!("{unknown} (there are {})", known.join(", ")),
            expected: "a fold of the protocol",
        });
    }
    Ok(folds
        .into_iter()
        .filter(|f| names.is_empty() || names.contains(&f.name))
        .collect())
}

/// Every class that is to be thinned must be there.
pub(crate) fn check_kept(config: &TrainConfig, labels: &LabelSet) -> Result<(), TrainError> {
    let mut named = config.training.keep.keys();
    match named.find(|class| labels.index_of(class).is_none()) {
        Some(class) => Err(TrainError::Config {
            field: "training.keep",
            actual: format!(
                "a share of {class} (there are {})",
                labels.as_slice().join(", ")
            ),
            expected: "shares of classes that the recordings have",
        }),
        None => Ok(()),
    }
}

/// Leaves out training clips of the classes that the configuration keeps only a share of; at least one of each
/// class stays. Which ones go follows from the run's seed, the fold and the clip alone.
fn thin(fold: &mut Fold, config: &TrainConfig, data: &Data) -> Result<(), TrainError> {
    check_kept(config, &data.labels)?;
    for (class, &share) in &config.training.keep {
        let Some(index) = data.labels.index_of(class) else {
            continue;
        };
        let lot = |clip: usize| {
            let id = &data.utterances[clip].id;
            *blake3::hash(format!("{}/{}/keep/{id}", config.seed, fold.name).as_bytes()).as_bytes()
        };
        let mut of_class: Vec<([u8; 32], usize)> = fold
            .train
            .iter()
            .filter(|&&clip| data.classes[clip] == index)
            .map(|&clip| (lot(clip), clip))
            .collect();
        of_class.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clip counts are small"
        )]
        let kept = ((of_class.len() as f64 * share).round() as usize).max(1);
        let gone: BTreeSet<usize> = of_class.iter().skip(kept).map(|&(_, clip)| clip).collect();
        fold.train.retain(|clip| !gone.contains(clip));
    }
    Ok(())
}

pub(crate) fn refuse_leaks(folds: &[Fold], utterances: &[Utterance]) -> Result<(), TrainError> {
    for fold in folds {
        if !speaker_overlap(fold, utterances).is_empty() {
            return Err(TrainError::Config {
                field: "evaluation.protocol",
                actual: format!("a split whose {} shares speakers", fold.name),
                expected: "disjoint speakers",
            });
        }
    }
    Ok(())
}

struct FoldOutcome {
    rows: Vec<Scored>,
    history: Vec<HistoryRow>,
    parameters: usize,
    /// Of each network in the answer, for people.
    shares: String,
}

/// The kinds of a model's networks, for people.
fn networks(config: &TrainConfig) -> String {
    let kinds: Vec<&str> = config
        .members()
        .into_iter()
        .map(vocalics_models::NetworkConfig::kind)
        .collect();
    kinds.join(", ")
}

/// Tests a fold's model on the fold's test part, and writes both.
fn measure(
    task: &Task<'_>,
    fold: &Fold,
    model: TrainedModel,
    folder: &Path,
) -> Result<FoldOutcome, TrainError> {
    let Task { config, data, .. } = *task;
    let mut rows = Vec::with_capacity(fold.test.len());
    let logits = infer_all(&model.ensemble, &data.features, &fold.test);
    for (&i, logits) in fold.test.iter().zip(logits) {
        let utterance = &data.utterances[i];
        rows.push(Scored {
            id: utterance.id.clone(),
            speaker: utterance.speaker.clone(),
            sex: utterance.sex.map(|sex| sex.to_string()),
            intensity: utterance.intensity.clone(),
            seconds: Some(config.front_end.seconds(data.features[i].n_frames())),
            fold: fold.name.clone(),
            truth: data.classes[i],
            scores: softmax_t(&logits, model.temperature)?,
        });
    }
    let predictions = Predictions {
        labels: data.labels.as_slice().to_vec(),
        rows,
    };
    predictions.write_csv(&folder.join("predictions.csv"))?;
    let clips = fold.train.iter().chain(&fold.validation).copied().collect();
    let notes = ExportNotes {
        clips,
        result: None,
    };
    export(&model, config, data, &notes, &folder.join("model.onnx"))?;
    let shares: Vec<String> = model
        .ensemble
        .weights()
        .iter()
        .map(|share| format!("{share:.2}"))
        .collect();
    let shares = format!("{} {}", fold.name, shares.join(", "));
    let TrainedModel {
        history,
        parameters,
        ..
    } = model;
    Ok(FoldOutcome {
        rows: predictions.rows,
        history,
        parameters,
        shares,
    })
}

/// Trains one model on all recordings but those of the validation speakers, which fit the
/// temperature, and writes `model.onnx`, `config.toml`, `manifest.csv` and `history.csv`.
///
/// `result` is what the same configuration reached under a protocol; the file carries it.
///
/// # Errors
/// As [`cross_validate`].
pub fn train_model(
    config: &TrainConfig,
    data: &Data,
    result: Option<ProtocolResult>,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<TrainedModel, TrainError> {
    config.validate()?;
    options.device.check()?;
    let mut fold = whole(config, data)?;
    thin(&mut fold, config, data)?;
    let directory = RunDirectory::open(&options.directory, config)?;
    directory.write(
        "manifest.csv",
        manifest(data, std::slice::from_ref(&fold)).as_bytes(),
    )?;
    let key = key(config, data, "all", options.device);
    let task = Task {
        config,
        data,
        key: &key,
        device: options.device,
        progress,
    };
    let clips = fold.train.iter().chain(&fold.validation).copied().collect();
    let notes = ExportNotes { clips, result };
    let path = directory.path.join("model.onnx");
    let finish = |_: &Fold, model: TrainedModel| {
        export(&model, config, data, &notes, &path)?;
        Ok(model)
    };
    let folds = std::slice::from_ref(&fold);
    let mut models = task.run(folds, options, |_| directory.path.clone(), finish)?;
    // One fold has one model or an error.
    let model = models.swap_remove(0);
    write_history(&directory.path.join("history.csv"), &model.history)?;
    Ok(model)
}

/// Everything as training part but `validation_speakers` speakers, taken evenly from the sorted list.
fn whole(config: &TrainConfig, data: &Data) -> Result<Fold, TrainError> {
    let mut speakers: Vec<&str> = data.utterances.iter().map(|u| u.speaker.as_str()).collect();
    speakers.sort_unstable();
    speakers.dedup();
    let wanted = config.evaluation.validation_speakers;
    if wanted >= speakers.len() {
        return Err(TrainError::Config {
            field: "evaluation.validation_speakers",
            actual: format!("{wanted} of {} speakers", speakers.len()),
            expected: "fewer than there are speakers",
        });
    }
    let held: Vec<&str> = (0..wanted)
        .map(|i| speakers[(2 * i + 1) * speakers.len() / (2 * wanted)])
        .collect();
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (i, utterance) in data.utterances.iter().enumerate() {
        let part = if held.contains(&utterance.speaker.as_str()) {
            &mut validation
        } else {
            &mut train
        };
        part.push(i);
    }
    Ok(Fold {
        name: "all".into(),
        train,
        validation,
        test: Vec::new(),
    })
}
