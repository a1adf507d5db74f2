//! What can go wrong between a configuration and a model file.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration is not TOML, or has unknown or missing fields.
    #[error("{path}: {source}", path = path.display())]
    ConfigSyntax {
        /// The configuration file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A configuration file holds a value that no training can run with.
    #[error("{path}: {source}", path = path.display())]
    ConfigValue {
        /// The configuration file.
        path: PathBuf,
        /// Which value, and why.
        source: Box<TrainError>,
    },
    /// A value that no training can run with.
    #[error("{field} is {actual}, expected {expected}")]
    Config {
        /// The field as written in the file.
        field: &'static str,
        /// What it holds.
        actual: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// There is no description of an encoder.
    #[error("the encoder {} is not described: there is no {}", encoder.display(), path.display())]
    NoDescription {
        /// The encoder.
        encoder: PathBuf,
        /// Where its description was looked for.
        path: PathBuf,
    },
    /// The description of an encoder is not TOML, or has unknown or missing fields.
    #[error("{path}: {source}", path = path.display())]
    DescriptionSyntax {
        /// The description file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// A configuration names an encoder, and none was given.
    #[error("the configuration is for embeddings of the encoder {name}, which was not given")]
    EncoderMissing {
        /// Name of the encoder.
        name: String,
    },
    /// The encoder given is not the one that the configuration was written for.
    #[error(
        "this is not the encoder of the configuration: {name} is {expected}, this one is {actual}"
    )]
    OtherEncoder {
        /// Name of the configuration's encoder.
        name: String,
        /// Its fingerprint.
        expected: String,
        /// That of the one given.
        actual: String,
    },
    /// A clip has no embedding.
    #[error("{path}: {source}", path = path.display())]
    Embedding {
        /// The recording.
        path: PathBuf,
        /// Why.
        source: Box<vocalics_runtime::RuntimeError>,
    },
    /// A network of the ensemble that none can be built from.
    #[error("entry {place} of ensemble.networks: {source}")]
    EnsembleNetwork {
        /// Its place in the list, from 1.
        place: usize,
        /// Which field, and why.
        source: vocalics_models::ModelError,
    },
    /// A parameter that a search cannot vary.
    #[error("parameter {name}: {actual}, expected {expected}")]
    Space {
        /// The parameter.
        name: String,
        /// What is given for it.
        actual: String,
        /// What may be given.
        expected: &'static str,
    },
    /// A search with values that the configuration does not take.
    #[error("{values}: {reason}")]
    SpaceValue {
        /// Parameters and values.
        values: String,
        /// What the configuration says.
        reason: String,
    },
    /// A plan for the waveforms of training clips cannot be carried out.
    #[error("augmentation.waveform, {place}: {source}")]
    Plan {
        /// The fold or the recording.
        place: String,
        /// Which step, and why.
        source: Box<vocalics_augment::AugmentError>,
    },
    /// Sounds to draw from cannot be read.
    #[error(transparent)]
    Sounds(vocalics_augment::AugmentError),
    /// A file could not be read or written.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The run directory belongs to another configuration, other recordings, another protocol (a training on everything is one) or device.
    #[error(
        "{path} holds a run of another configuration, other recordings, another protocol or device",
        path = path.display()
    )]
    OtherRun {
        /// The run directory.
        path: PathBuf,
    },
    /// A directory to be compared with holds no finished run.
    #[error("{path} is no finished run: it has no {missing}", path = path.display())]
    NoRun {
        /// The directory.
        path: PathBuf,
        /// The file that is not there.
        missing: String,
    },
    /// A finished run that does not test what the comparison tests.
    #[error("{path}: its {what} is {actual}, expected {expected}", path = path.display())]
    OtherTest {
        /// The run directory.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the run has.
        actual: String,
        /// What the comparison has.
        expected: String,
    },
    /// A model could not be run.
    #[error(transparent)]
    Runtime(#[from] vocalics_runtime::RuntimeError),
    /// The protocol has no such fold.
    #[error("no fold {name}, there are {}", known.join(", "))]
    NoFold {
        /// As given.
        name: String,
        /// Those of the protocol.
        known: Vec<String>,
    },
    /// A nested search that has been tested is over.
    #[error("{path} holds the test of another search", path = path.display())]
    Tested {
        /// The run directory.
        path: PathBuf,
    },
    /// Another process is writing the run directory.
    #[error("{path} is in use by another process", path = path.display())]
    Busy {
        /// The run directory.
        path: PathBuf,
    },
    /// A class without a training clip.
    #[error("{fold}: no training clip of class {label}")]
    EmptyClass {
        /// Fold.
        fold: String,
        /// Class.
        label: String,
    },
    /// A training part whose speakers cannot be parted to choose hyper-parameters.
    #[error("{fold}: {actual} training speaker(s), expected at least 2 to choose hyper-parameters")]
    TooFewSpeakers {
        /// Fold.
        fold: String,
        /// Speakers of the training part.
        actual: usize,
    },
    /// Fewer than two classes.
    #[error("the recordings have {actual} class(es), expected at least 2")]
    TooFewClasses {
        /// Classes found.
        actual: usize,
    },
    /// The loss or a weight is no longer a finite number.
    #[error("{fold}: the training diverged in epoch {epoch}, step {step} (loss {loss})")]
    Diverged {
        /// Fold.
        fold: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// A recording in which nothing is to be heard.
    #[error("{path}: every frame is the same, it holds nothing but silence", path = path.display())]
    Silent {
        /// The recording.
        path: PathBuf,
    },
    /// There is nothing to learn from without labels.
    #[error("{actual} recording(s) to pretrain on, expected at least 2")]
    TooFewRecordings {
        /// How many there are.
        actual: usize,
    },
    /// A training without labels that tells no clip from another any more.
    #[error(
        "{training}: the embeddings have collapsed in epoch {epoch}: their deviation is {deviation:.4}, expected at least {least}"
    )]
    Collapsed {
        /// The training.
        training: String,
        /// Epoch, from 1.
        epoch: usize,
        /// Deviation of the normalised embeddings or projections, 1 where they point in all directions alike.
        deviation: f64,
        /// The least that goes on.
        least: f64,
    },
    /// Some recordings could not be used.
    #[error("{} of {total} recordings cannot be used; the first: {}", problems.len(), problems[0])]
    BadRecordings {
        /// One line each: file and reason. Never empty.
        problems: Vec<String>,
        /// Recordings in all.
        total: usize,
    },
    /// A recording could not be decoded.
    #[error(transparent)]
    Audio(#[from] vocalics_audio::AudioError),
    /// Corpora, labels or protocol.
    #[error(transparent)]
    Corpus(#[from] vocalics_corpora::CorpusError),
    /// Features.
    #[error(transparent)]
    Feature(#[from] vocalics_features::FeatureError),
    /// Metrics.
    #[error(transparent)]
    Eval(#[from] vocalics_eval::EvalError),
    /// Network.
    #[error(transparent)]
    Model(#[from] vocalics_models::ModelError),
    /// Model file.
    #[error(transparent)]
    ModelFile(#[from] vocalics_runtime::ModelError),
    /// The device asked for is not there, or this build cannot use it.
    #[error("cannot train on {asked}: {reason}")]
    Device {
        /// As given.
        asked: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model file to begin or learn from has heard people whom the model would be tested on.
    #[error(
        "{fold}: the model file that the training would begin or learn from {} the test speakers: {}",
        if *unnamed { "has heard somebody whom nobody named, maybe one of".to_owned() } else { format!("has heard {} of", speakers.len()) },
        speakers.join(", ")
    )]
    SeenSpeakers {
        /// Fold.
        fold: String,
        /// Whether the file has heard a speaker without a name, who may be any of them.
        unnamed: bool,
        /// Their names.
        speakers: Vec<String>,
    },
    /// The model file to begin from is not the one that the run began from.
    #[error("{path} has changed since the run was begun", path = path.display())]
    InitChanged {
        /// The model file.
        path: PathBuf,
    },
    /// The network to begin from is not chosen, or not in the model file.
    #[error("{path} has {members} network(s){}", if *member == 0 { ", and a training begins from one".to_owned() } else { format!(", and there is no {member}") }, path = path.display())]
    InitMember {
        /// The model file.
        path: PathBuf,
        /// Networks in it.
        members: usize,
        /// The one asked for, from 1; 0 for none.
        member: usize,
    },
    /// The model file answers to embeddings, not to log-mel.
    #[error("{path} is a head on the embeddings of {encoder}", path = path.display())]
    InitEncoder {
        /// The model file.
        path: PathBuf,
        /// Its encoder.
        encoder: String,
    },
    /// The model file to begin from was trained on other features.
    #[error("{path} was trained with another front end: {differences}", path = path.display())]
    InitFrontEnd {
        /// The model file.
        path: PathBuf,
        /// Fields of `[front_end]` as the file has them.
        differences: String,
    },
    /// The model file to begin from has no network of the configuration.
    #[error("{path}: {source}{}", if network.is_empty() { String::new() } else { format!("; its network is {network}") }, path = path.display())]
    InitNetwork {
        /// The model file.
        path: PathBuf,
        /// What differs.
        source: vocalics_models::ModelError,
        /// Fields of `[network]` as the file has them, where it says so.
        network: String,
    },
    /// The teacher answers with other labels.
    #[error("the teacher {path} knows {teacher}; the recordings have {ours}", path = path.display())]
    TeacherLabels {
        /// The model file.
        path: PathBuf,
        /// Its target and labels.
        teacher: String,
        /// Those of the recordings.
        ours: String,
    },
    /// The teacher has no answer to a training clip.
    #[error("the teacher cannot answer to {id}")]
    TeacherAnswer {
        /// The clip.
        id: String,
        /// Why.
        source: Box<vocalics_runtime::RuntimeError>,
    },
    /// The thread pool of a training could not be started.
    #[error("cannot start {threads} threads for training")]
    Threads {
        /// Threads asked for.
        threads: usize,
        /// The system's reason.
        source: rayon::ThreadPoolBuildError,
    },
}

impl TrainError {
    /// What to do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::ConfigSyntax { .. }
            | Self::ConfigValue { .. }
            | Self::Config { .. }
            | Self::EnsembleNetwork { .. }
            | Self::Model(_) => {
                "correct the configuration; `vocalics train --print-config` shows every field"
            }
            Self::Space { .. } | Self::SpaceValue { .. } => {
                "correct the [[parameter]]; docs/tuning.md describes searches, `vocalics train --print-config` shows every field"
            }
            Self::NoDescription { .. } => {
                "describe the encoder in a TOML file beside it, or give one with --encoder-config; docs/encoders.md \
                 explains every field, examples/encoders/export.py writes it for common encoders"
            }
            Self::DescriptionSyntax { .. } => {
                "correct the description; docs/encoders.md explains every field"
            }
            Self::EncoderMissing { .. } => "give its file with --encoder",
            Self::OtherEncoder { .. } => {
                "give the encoder that the configuration names, or take the table [encoder] out of it"
            }
            Self::Embedding { source, .. } => source.hint(),
            Self::Io { action: "read", .. } => "check that the file exists and may be read",
            Self::Io { .. } => "check free space and permissions; the run resumes from where it is",
            Self::OtherRun { .. } => "choose another run directory (--run), or remove this one",
            Self::NoFold { .. } => "give --fold one or more of these",
            Self::Tested { .. } => {
                "a search that goes on after its test was seen would be chosen by it: give another run directory (--run)"
            }
            Self::Busy { .. } => "wait for the other process, or choose another run directory",
            Self::EmptyClass { .. } => "map or drop the class (--map), or use a larger corpus",
            Self::NoRun { .. } => "give a directory written by `vocalics evaluate`",
            Self::OtherTest { .. } => {
                "take runs of one protocol, with the same corpora, labels and seed of the split"
            }
            Self::TooFewSpeakers { .. } => "give more speakers, or choose another protocol",
            Self::TooFewClasses { .. } => "give more corpora, or map fewer labels away",
            Self::Diverged { .. } => "lower training.learning_rate or training.gradient_clip",
            Self::TooFewRecordings { .. } => {
                "give more recordings: files, folders, or corpora with --corpus"
            }
            Self::Collapsed { .. } => {
                "lower byol.learning_rate, raise byol.batch_size or give recordings that differ more; docs/transfer.md says what \
                 the number means"
            }
            Self::BadRecordings { .. } => {
                "mend these files or leave them out, or let --keep-going train without them; `vocalics data check` looks through a whole corpus"
            }
            Self::Plan { source, .. } if source.missing().is_some() => {
                "give recorded noise with --noise DIR, rooms with --rooms DIR, or a plan without that step; babble and clips to \
                 join are training clips"
            }
            Self::Plan { source, .. } => source.hint(),
            Self::Sounds(source) => source.hint(),
            Self::SeenSpeakers { .. } => {
                "take a model of other speakers (train it on corpora or folds without them), or allow it with \
                 --allow-seen-speakers, which says so beside every number"
            }
            Self::InitChanged { .. } => {
                "give the file that the run began from, or begin another run (--run)"
            }
            Self::TeacherLabels { .. } => {
                "map the labels to those of the teacher (--map), or take a teacher of the same labels"
            }
            Self::InitMember { .. } => "choose one with --init-member N, from 1",
            Self::InitEncoder { .. } => {
                "give a model over log-mel features: a head is small enough to learn from the start"
            }
            Self::InitFrontEnd { .. } => {
                "set these fields under [front_end] of the configuration; what the network has learnt is about such features"
            }
            Self::InitNetwork {
                source: vocalics_models::ModelError::NoWayBack { .. },
                ..
            } => "give a model file as `vocalics train` writes it",
            Self::InitNetwork { .. } => {
                "set [network] of the configuration to the network of the file"
            }
            Self::Device { .. } => "train on the CPU with --device cpu",
            _ => return None,
        })
    }

    /// A value of the configuration that no training can run with.
    pub(crate) fn config(field: &'static str, actual: String, expected: &'static str) -> Self {
        Self::Config {
            field,
            actual,
            expected,
        }
    }

    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
