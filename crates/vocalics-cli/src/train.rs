//! `vocalics train`: one model from corpora.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, value_parser};
use vocalics_corpora::{
    CorpusKind, CorpusSpec, LabelMap, LabelSet, Protocol, Target, Utterance, is_unknown_speaker,
};
use vocalics_eval::Report;
use vocalics_runtime::Encoder;
use vocalics_train::{
    ComputeDevice, Data, EncoderConfig, LoadOptions, Objective, RunOptions, TrainConfig,
    TrainError, check_sources, describe_init, open_encoder, train_model_after,
};

use crate::failure::Failure;
use crate::output::{print, tell};
use crate::progress::Training;
use crate::recognition::cores;
use crate::selection::CorpusOptions;

/// Train one model on whole corpora
///
/// All recordings are trained on but those of the validation speakers, which calibrate the scores;
/// `vocalics evaluate` measures a configuration. The same command goes on with a training that was
/// stopped, and comes to the same model. The path of the model is written to standard output.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration; --print-config shows every field with its default
    config: Option<PathBuf>,
    #[command(flatten)]
    corpora: CorpusOptions,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    speakers: Speakers,
    #[command(flatten)]
    beginning: Beginning,
    #[command(flatten)]
    loading: Loading,
    /// Speakers who do not train and fit the temperature, above the configuration; 0 where there are too few
    #[arg(long, value_name = "N")]
    validation_speakers: Option<usize>,
    /// Run directory; runs/NAME, or runs/NAME-all where an evaluation goes to runs/NAME, if not given
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Threads; as many as there are cores if not given
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Where the network learns: cpu, or cuda, cuda:N, wgpu, wgpu:N in a program built for them
    #[arg(long, value_name = "DEVICE", default_value_t = ComputeDevice::Cpu)]
    device: ComputeDevice,
    /// metrics.json of an evaluation of this configuration, which the model then carries, with the temperature if the folds' came from
    /// each other
    #[arg(long, value_name = "METRICS.json")]
    result: Option<PathBuf>,
    /// Write the complete configuration to standard output and do nothing else
    #[arg(long)]
    print_config: bool,
}

/// Options that stand above the configuration.
#[derive(Debug, Args)]
pub(crate) struct Overrides {
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Passes over the training clips
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<usize>,
    /// Label map, as calm=neutral,surprised=drop, or one of ravdess-7 and four-class
    #[arg(long, value_parser = map_text)]
    pub(crate) map: Option<String>,
    /// What is recognised: emotion, intensity, sex or speaker
    #[arg(long)]
    pub(crate) target: Option<Target>,
}

/// How a training knows its speakers.
#[derive(Debug, Args)]
pub(crate) struct Speakers {
    /// Learn from functionals that are moved to the speaker by the speaker's other recordings, unlabelled; for networks that take
    /// functionals: docs/EVALUATION.md
    #[arg(long)]
    pub(crate) speaker_norm: bool,
}

impl Speakers {
    /// # Errors
    /// Without functionals, there is nothing to move.
    pub(crate) fn apply(&self, config: &mut TrainConfig) -> Result<(), Failure> {
        if !self.speaker_norm {
            return Ok(());
        }
        match &mut config.functionals {
            Some(functionals) => functionals.speaker_norm = true,
            None => {
                return Err(Failure::usage(
                    "--speaker-norm moves functionals to the speaker, and the configuration has none",
                    "give it [functionals] sets, and a network that takes them: two-branch or functionals-mlp",
                ));
            }
        }
        Ok(())
    }
}

/// What a training begins or learns from.
#[derive(Debug, Args)]
pub(crate) struct Beginning {
    /// Begin from the weights of a model file; without a configuration, network and front end are its own
    #[arg(long, value_name = "MODEL.onnx")]
    pub(crate) init: Option<PathBuf>,
    /// Network of an ensemble to begin from, from 1
    #[arg(long, value_name = "N", requires = "init", value_parser = value_parser!(u16).range(1..))]
    init_member: Option<u16>,
    /// Learn from the scores of a model file too; how much is in the section distillation of the configuration
    #[arg(long, value_name = "MODEL.onnx")]
    teacher: Option<PathBuf>,
}

impl Beginning {
    /// Puts the model file into a configuration; `own` if it was given and not made up.
    pub(crate) fn apply(&self, config: &mut TrainConfig, own: bool) -> Result<(), Failure> {
        if let Some(teacher) = &self.teacher {
            let distillation = config.distillation.get_or_insert_default();
            if distillation.teacher != *teacher {
                distillation.teacher_hash.clear();
            }
            distillation.teacher.clone_from(teacher);
        }
        let Some(init) = &self.init else {
            return Ok(());
        };
        let transfer = &mut config.transfer;
        if transfer.init != *init {
            transfer.init_hash.clear();
        }
        transfer.init.clone_from(init);
        transfer.init_member = self.init_member.map_or(transfer.init_member, usize::from);
        if !own {
            describe_init(config)?;
        }
        Ok(())
    }
}

fn map_text(text: &str) -> Result<String, vocalics_corpora::CorpusError> {
    text.parse::<LabelMap>().map(|_| text.to_owned())
}

impl Overrides {
    pub(crate) fn apply(&self, config: &mut TrainConfig) {
        if let Some(seed) = self.seed {
            config.seed = seed;
        }
        if let Some(epochs) = self.epochs {
            config.training.epochs = epochs;
        }
        if let Some(map) = &self.map {
            config.map.clone_from(map);
        }
        if let Some(target) = self.target {
            config.target = target.name().to_owned();
        }
    }
}

/// Options of reading recordings.
#[derive(Debug, Args)]
pub(crate) struct Loading {
    /// Leave out recordings that cannot be used instead of stopping
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Folder in which features are kept
    #[arg(long, value_name = "DIR", default_value = "runs/.features")]
    cache: PathBuf,
    /// Recorded noise that augmentation.waveform of the configuration draws from: a folder
    #[arg(long, value_name = "DIR")]
    noise: Option<PathBuf>,
    /// Recorded impulse responses for the same: a folder
    #[arg(long, value_name = "DIR")]
    rooms: Option<PathBuf>,
    /// A corpus of transfer.pretrain of the configuration and its folder, if it does not lie under the data root; may be repeated
    #[arg(long, value_name = "NAME=DIR")]
    pub(crate) before: Vec<CorpusSpec>,
    /// Frozen encoder on whose embeddings a head is trained, described in a TOML file beside it: docs/encoders.md
    #[arg(long, value_name = "ENCODER.onnx")]
    pub(crate) encoder: Option<PathBuf>,
    /// The encoder's description, where it does not lie beside it
    #[arg(long, value_name = "ENCODER.toml", requires = "encoder")]
    encoder_config: Option<PathBuf>,
}

impl Loading {
    /// For what has no training before.
    ///
    /// # Errors
    /// Where one is given all the same.
    pub(crate) fn refuse_before(&self, what: &str) -> Result<(), Failure> {
        if self.before.is_empty() {
            return Ok(());
        }
        Err(Failure::usage(
            format!("--before is about a training that comes first, and {what}"),
            "leave it out",
        ))
    }

    /// Reads a configuration, or takes the default, and opens the encoder if there is one, which has defaults of its own.
    pub(crate) fn configure(&self, path: Option<&Path>) -> Result<Configured, Failure> {
        let Some(encoder) = &self.encoder else {
            let config = path.map_or_else(|| Ok(TrainConfig::default()), TrainConfig::read)?;
            return Ok((config, None));
        };
        let encoder = open_encoder(encoder, self.encoder_config.as_deref())?;
        let config = match path {
            Some(path) => TrainConfig::read_for_encoder(path, &encoder)?,
            None => TrainConfig::for_encoder(EncoderConfig::of(&encoder)),
        };
        Ok((config, Some(Arc::new(encoder))))
    }

    /// Loads the recordings of a configuration, and tells what they are.
    pub(crate) fn load(
        &self,
        config: &TrainConfig,
        encoder: Option<Arc<Encoder>>,
        corpora: &CorpusOptions,
        progress: &Training,
    ) -> Result<Data, Failure> {
        let specs = corpora.of_config(config)?;
        Ok(self.load_from(config, encoder, &specs, progress)?)
    }

    /// The same from corpora whose places are known.
    pub(crate) fn load_from(
        &self,
        config: &TrainConfig,
        encoder: Option<Arc<Encoder>>,
        specs: &[CorpusSpec],
        progress: &Training,
    ) -> Result<Data, TrainError> {
        if let Some(encoder) = &encoder {
            let said = encoder.description();
            tell(&format!(
                "encoder: {} {} ({}), {} parameters, embeddings of {} numbers, {}",
                said.name,
                said.version,
                said.licence,
                encoder.parameters(),
                encoder.dim(),
                encoder.fingerprint()
            ));
        }
        let options = LoadOptions {
            encoder,
            ..self.options()
        };
        let data = Data::load(config, specs, &options, progress)?;
        tell_recordings(&data.utterances, &data.labels);
        if !config.map.is_empty() {
            tell(&format!("label map: {}", config.label_map()?));
        }
        Ok(data)
    }

    /// Loads the recordings of the training that comes before, if the configuration has one.
    pub(crate) fn load_before(
        &self,
        config: &TrainConfig,
        corpora: &CorpusOptions,
        progress: &Training,
    ) -> Result<Option<Data>, Failure> {
        let listed = &config.transfer.pretrain.corpora;
        let other = |spec: &&CorpusSpec| !listed.iter().any(|name| name == spec.kind.name());
        if let Some(spec) = self.before.iter().find(other) {
            let kind = spec.kind;
            return Err(Failure::usage(
                format!(
                    "--before {kind}: the configuration does not name it under [transfer.pretrain]"
                ),
                format!("leave it out, or add it there: corpora = [\"{kind}\"]"),
            ));
        }
        let Some(before) = config.before() else {
            return Ok(None);
        };
        let mut specs = Vec::new();
        for name in &before.corpora {
            let kind: CorpusKind = name.parse()?;
            let placed = self.before.iter().filter(|spec| spec.kind == kind);
            let placed: Vec<CorpusSpec> = placed.cloned().collect();
            if placed.is_empty() {
                let found = corpora.named_in(std::slice::from_ref(name));
                let hint = format!(
                    "give its folder with --before {kind}=DIR, or the data root with --data"
                );
                specs.extend(found.map_err(|failure| failure.hinted(&hint))?);
            } else {
                specs.extend(placed);
            }
        }
        let options = self.options();
        let data = match config.transfer.pretrain.objective {
            Objective::Labels => Data::load(&before, &specs, &options, progress)?,
            Objective::Byol => Data::unlabelled(&before, &specs, &[], &options, progress)?,
        };
        match config.transfer.pretrain.objective {
            Objective::Labels => {
                tell("before that:");
                tell_recordings(&data.utterances, &data.labels);
            }
            Objective::Byol => {
                tell("before that, without labels:");
                tell_clips(&data.utterances);
            }
        }
        Ok(Some(data))
    }

    /// The options as the library takes them, without the encoder.
    pub(crate) fn options(&self) -> LoadOptions {
        LoadOptions {
            encoder: None,
            cache: self.cache.clone(),
            keep_going: self.keep_going,
            noise: self.noise.clone(),
            rooms: self.rooms.clone(),
        }
    }
}

/// Tells what recordings there are whose labels are not used.
pub(crate) fn tell_clips(utterances: &[Utterance]) {
    let distinct = |of: fn(&Utterance) -> &str| utterances.iter().map(of).collect::<BTreeSet<_>>();
    let corpora: Vec<&str> = distinct(|u| &u.corpus).into_iter().collect();
    let speakers = distinct(|u| &u.speaker);
    let speakers = if speakers.iter().any(|it| is_unknown_speaker(it)) {
        "speakers who are not all known".to_owned()
    } else {
        format!("{} speakers", speakers.len())
    };
    let clips = utterances.len();
    tell(&format!(
        "{}: {clips} clips of {speakers}",
        corpora.join(" + ")
    ));
}

/// Tells what recordings there are.
pub(crate) fn tell_recordings(utterances: &[Utterance], labels: &LabelSet) {
    let distinct = |of: fn(&Utterance) -> &str| utterances.iter().map(of).collect::<BTreeSet<_>>();
    let corpora: Vec<&str> = distinct(|u| &u.corpus).into_iter().collect();
    tell(&format!(
        "{}: {} clips of {} speakers, {} classes ({})",
        corpora.join(" + "),
        utterances.len(),
        distinct(|u| &u.speaker).len(),
        labels.len(),
        labels.as_slice().join(" ")
    ));
}

/// A configuration, and its encoder if it has one.
type Configured = (TrainConfig, Option<Arc<Encoder>>);

/// `runs/NAME`, or `runs/NAME-all` where the name holds that of a protocol: an evaluation of the configuration goes to `runs/NAME` then.
fn run_directory(name: &str) -> PathBuf {
    let evaluated = Protocol::NAMES.iter().any(|it| name.contains(it));
    let folder = if evaluated {
        format!("{name}-all")
    } else {
        name.to_owned()
    };
    PathBuf::from("runs").join(folder)
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (mut config, encoder) = arguments.loading.configure(arguments.config.as_deref())?;
    let own = arguments.config.is_some();
    arguments.beginning.apply(&mut config, own)?;
    arguments.overrides.apply(&mut config);
    arguments.speakers.apply(&mut config)?;
    if let Some(speakers) = arguments.validation_speakers {
        config.evaluation.validation_speakers = speakers;
    }
    arguments.corpora.override_names(&mut config);
    config.validate()?;
    if arguments.print_config {
        return print(&config.to_toml());
    }
    let result = arguments
        .result
        .as_deref()
        .map(Report::read_json)
        .transpose()?;
    check_sources(&config)?;
    let progress = Training::default();
    let data = arguments
        .loading
        .load(&config, encoder, &arguments.corpora, &progress)?;
    let prior = arguments
        .loading
        .load_before(&config, &arguments.corpora, &progress)?;
    if let (Some(path), Some(report)) = (&arguments.result, &result)
        && report.provenance.labels != data.labels.as_slice()
    {
        return Err(Failure::new(
            format!(
                "{} was measured with other labels: {}",
                path.display(),
                report.provenance.labels.join(", ")
            ),
            "give the metrics.json of an evaluation of this configuration",
        ));
    }
    let directory = arguments
        .run
        .clone()
        .unwrap_or_else(|| run_directory(&config.name));
    tell(&format!("run directory: {}", directory.display()));
    let threads = arguments.threads.map_or_else(cores, usize::from);
    // The networks of an ensemble train side by side.
    let jobs = threads.min(config.members().len());
    let options = RunOptions {
        directory: directory.clone(),
        folds: Vec::new(),
        jobs,
        threads: (threads / jobs).max(1),
        device: arguments.device,
    };
    let (prior, result) = (prior.as_ref(), result.as_ref());
    train_model_after(&config, &data, prior, result, &options, &progress)?;
    print(&format!("{}\n", directory.join("model.onnx").display()))
}
