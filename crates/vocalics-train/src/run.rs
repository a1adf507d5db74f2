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
use crate::distillation::Teacher;
use crate::export::{ExportNotes, export};
use crate::fold::{TrainedModel, infer_all};
use crate::heard::{Heard, unheard_in};
use crate::jobs::Task;
use crate::speaker::with_speaker_calibrated;
use crate::start::Start;
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
    /// The same numbers of the teachers, where the models measured are their students.
    pub teacher: Option<Report>,
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
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(TrainError::io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TrainError::Busy {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(TrainError::io("lock", &lock_path)(error));
            }
        }
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

/// `manifest.csv`: which clip served for what in which fold.
fn manifest(data: &Data, prior: Option<&Data>, folds: &[Fold]) -> String {
    let mut text = String::from("id,corpus,speaker,class,fold,part\n");
    for fold in folds {
        let before = prior.map(|prior| (prior, unheard_in(fold, data, prior)));
        let before = before.as_ref();
        let parts = [
            ("train", data, &fold.train),
            ("validation", data, &fold.validation),
            ("test", data, &fold.test),
        ];
        let before = before.map(|(prior, clips)| ("before", *prior, clips));
        for (part, data, clips) in before.into_iter().chain(parts) {
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
fn key(
    config: &TrainConfig,
    data: &Data,
    prior: Option<&Data>,
    protocol: &str,
    device: ComputeDevice,
) -> String {
    let (config, data) = (config.essence(), data.hash());
    let mut text = format!("{config}\n{data}\n{protocol}\n{device}");
    if let Some(prior) = prior {
        text += &format!("\n{}", prior.hash());
    }
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// The model files that trainings draw on.
struct Sources {
    start: Option<Start>,
    teacher: Option<Teacher>,
}

impl Sources {
    /// Opens those of the configuration, which comes back with their hashes.
    fn open(config: &TrainConfig, data: &Data) -> Result<(TrainConfig, Self), TrainError> {
        let mut config = config.clone();
        let start = Start::of_file(&config)?.map(|(start, hash)| {
            config.transfer.init_hash = hash;
            start
        });
        let teacher = Teacher::of_file(&config, data)?;
        let teacher = teacher.map(|(teacher, hash)| {
            if let Some(distillation) = &mut config.distillation {
                distillation.teacher_hash = hash;
            }
            teacher
        });
        Ok((config, Self { start, teacher }))
    }

    /// Whom each has heard, and whether it may have heard test speakers.
    fn heard(&self, config: &TrainConfig) -> Vec<(&Heard, bool)> {
        let allowed = config.distillation.as_ref();
        let allowed = allowed.is_some_and(|it| it.allow_seen_speakers);
        let start = self.start.iter();
        let start = start.map(|it| (&it.heard, config.transfer.allow_seen_speakers));
        let teacher = self.teacher.iter().map(|it| (&it.heard, allowed));
        start.chain(teacher).collect()
    }
}

/// There must be recordings for the training that comes first, and for nothing else.
fn check_prior(config: &TrainConfig, prior: Option<&Data>) -> Result<(), TrainError> {
    if config.transfer.has_pretraining() == prior.is_some() {
        return Ok(());
    }
    Err(TrainError::Config {
        field: "transfer.pretrain.corpora",
        actual: config.transfer.pretrain.corpora.join(", "),
        expected: "recordings of these corpora, loaded with TrainConfig::before",
    })
}

/// Numbers on validation speakers whom the model file has heard are too good, which is no leak but worth knowing.
fn tell_heard_validation(
    folds: &[Fold],
    data: &Data,
    heard: &[(&Heard, bool)],
    progress: &dyn Progress,
) {
    for fold in folds {
        let mut seen = BTreeSet::new();
        for (heard, _) in heard {
            seen.extend(heard.among(&fold.validation, &data.utterances));
        }
        if !seen.is_empty() {
            let speakers: Vec<String> = seen.into_iter().collect();
            progress.warning(&format!(
                "{}: the model file has heard the validation speakers {}; the temperature and the validation numbers \
                 of the history are too good",
                fold.name,
                speakers.join(", ")
            ));
        }
    }
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
    let folds = protocol.folds(&data.utterances, &data.classes, &config.split_options())?;
    let mut folds = chosen(folds, &options.folds)?;
    for fold in &mut folds {
        thin(fold, config, data)?;
    }
    if !protocol.speakers_shared() {
        refuse_leaks(&folds, &data.utterances)?;
    }
    let heard = sources.heard(config);
    let mut speakers_shared = protocol.speakers_shared();
    for &(heard, allowed) in &heard {
        speakers_shared |= heard.test_speakers(&folds, &data.utterances, allowed)?;
    }
    tell_heard_validation(&folds, data, &heard, progress);
    let directory = RunDirectory::open(&options.directory, config)?;
    directory.write("manifest.csv", manifest(data, prior, &folds).as_bytes())?;
    let key = key(config, data, prior, protocol.name(), options.device);
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
    let outcomes = task.run(
        &folds,
        options,
        |fold| directory.path.join(&fold.name),
        |fold, model, teacher| {
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
            ("begun from", begun_from(config)),
            ("teacher", taught_by(config, teacher.as_ref())),
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
        teacher,
    })
}

/// Who the model learnt from, for people.
fn taught_by(config: &TrainConfig, teacher: Option<&Report>) -> String {
    match (&config.distillation, teacher) {
        (_, Some(report)) => report.headline().into_iter().next().unwrap_or_default(),
        (Some(distillation), None) => {
            let hash: String = distillation.teacher_hash.chars().take(16).collect();
            format!("{} (BLAKE3 {hash})", distillation.teacher.display())
        }
        (None, None) => "none".to_owned(),
    }
}

/// Where the first weights come from, for people.
fn begun_from(config: &TrainConfig) -> String {
    let transfer = &config.transfer;
    let mut text = if transfer.has_init() {
        let hash: String = transfer.init_hash.chars().take(16).collect();
        format!("{} (BLAKE3 {hash})", transfer.init.display())
    } else {
        "drawn weights".to_owned()
    };
    if transfer.has_pretraining() {
        let (epochs, corpora) = (transfer.pretrain.epochs, &transfer.pretrain.corpora);
        text += &format!(", then {epochs} epochs on {}", corpora.join(" + "));
    }
    text
}

fn chosen(folds: Vec<Fold>, names: &[String]) -> Result<Vec<Fold>, TrainError> {
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

fn refuse_leaks(folds: &[Fold], utterances: &[Utterance]) -> Result<(), TrainError> {
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
    /// Of the fold's own teacher, if it has one.
    teacher_rows: Vec<Scored>,
    history: Vec<HistoryRow>,
    parameters: usize,
    /// Of each network in the answer, for people.
    shares: String,
}

/// The kinds of a model's networks, for people.
fn networks(config: &TrainConfig) -> String {
    let kinds: Vec<&str> = config
        .answering()
        .into_iter()
        .map(vocalics_models::NetworkConfig::kind)
        .collect();
    kinds.join(", ")
}

/// What a model says of the fold's test part.
fn test(task: &Task<'_>, fold: &Fold, model: &TrainedModel) -> Result<Predictions, TrainError> {
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
    Ok(Predictions {
        labels: data.labels.as_slice().to_vec(),
        rows,
    })
}

/// Tests a fold's model on the fold's test part, and writes both; the same of its teacher.
fn measure(
    task: &Task<'_>,
    fold: &Fold,
    model: TrainedModel,
    teacher: Option<&TrainedModel>,
    folder: &Path,
) -> Result<FoldOutcome, TrainError> {
    let Task { config, data, .. } = *task;
    let predictions = test(task, fold, &model)?;
    predictions.write_csv(&folder.join("predictions.csv"))?;
    let clips = fold.train.iter().chain(&fold.validation).copied().collect();
    let notes = ExportNotes {
        clips,
        result: None,
        heard: task.heard_before(fold),
    };
    export(&model, config, data, &notes, &folder.join("model.onnx"))?;
    let mut teacher_rows = Vec::new();
    if let Some(teacher) = teacher {
        let predictions = test(task, fold, teacher)?;
        predictions.write_csv(&folder.join("teacher-predictions.csv"))?;
        export_teacher(teacher, config, data, &notes, folder)?;
        teacher_rows = predictions.rows;
    }
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
        teacher_rows,
        history,
        parameters,
        shares,
    })
}

/// `teacher.onnx`: the model that the student learnt from.
fn export_teacher(
    teacher: &TrainedModel,
    config: &TrainConfig,
    data: &Data,
    notes: &ExportNotes,
    folder: &Path,
) -> Result<(), TrainError> {
    let config = TrainConfig {
        distillation: None,
        name: format!("{}-teacher", config.name),
        ..config.clone()
    };
    export(teacher, &config, data, notes, &folder.join("teacher.onnx"))
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
    train_model_after(config, data, None, result, options, progress)
}

/// As [`train_model`], with the recordings of the corpora in `[transfer.pretrain]`; see [`cross_validate_after`].
///
/// # Errors
/// As [`cross_validate_after`].
pub fn train_model_after(
    config: &TrainConfig,
    data: &Data,
    prior: Option<&Data>,
    result: Option<ProtocolResult>,
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
    let directory = RunDirectory::open(&options.directory, config)?;
    directory.write(
        "manifest.csv",
        manifest(data, prior, std::slice::from_ref(&fold)).as_bytes(),
    )?;
    let folds = std::slice::from_ref(&fold);
    tell_heard_validation(folds, data, &sources.heard(config), progress);
    let key = key(config, data, prior, "all", options.device);
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
        result,
        heard,
    };
    let path = directory.path.join("model.onnx");
    let finish = |_: &Fold, model: TrainedModel, teacher: Option<TrainedModel>| {
        if let Some(teacher) = &teacher {
            let notes = ExportNotes {
                result: None,
                ..notes.clone()
            };
            export_teacher(teacher, config, data, &notes, &directory.path)?;
        }
        export(&model, config, data, &notes, &path)?;
        Ok(model)
    };
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
