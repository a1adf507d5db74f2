//! `vocalics evaluate`: how well a way of training, or a model, does under a protocol.

mod fixed_model;
mod summary;

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use vocalics_corpora::Protocol;
use vocalics_eval::Report;
use vocalics_train::{TrainConfig, check_sources, cross_validate_after};

use crate::failure::Failure;
use crate::output::{print, tell};
use crate::progress::Training;
use crate::selection::CorpusOptions;
use crate::side_by_side::SideBySide;
use crate::train::{Beginning, Loading, Overrides, Speakers};

pub(crate) use summary::summary;

/// Measure a configuration by cross-validation, or a finished model on a corpus
///
/// With --config, or with --encoder alone, one model is trained per fold of the protocol and tested on the fold's test part;
/// the same command goes on with an evaluation that was stopped. With --model, that model is tested
/// as it is: on the test parts of the protocol, or with `--protocol all` on every clip. A model that was
/// trained on a speaker of the test is refused, unless --allow-seen-speakers; the numbers then say so. The same
/// holds for a model that the trainings of a configuration begin or learn from (--init, --teacher).
///
/// A label map given with --model applies to the corpus and to the model's answers alike: scores of
/// labels that become one are added, those of dropped labels are left out and the rest scaled to sum to 1.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("tested").required(true).multiple(true).args(["config", "model", "encoder"])))]
pub(crate) struct Arguments {
    /// Configuration to train and test with
    #[arg(long, value_name = "CONFIG.toml", conflicts_with = "model")]
    config: Option<PathBuf>,
    /// Model file to test as it is
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["epochs", "target", "threads", "device", "cache", "noise", "rooms", "init", "teacher", "encoder_config"])]
    model: Option<PathBuf>,
    /// Protocol: emobox-6fold, luna-5fold, loso, random-80-20, seed-mix, a .csv or .tsv file of
    /// folds, or `all` with --model; that of the configuration, or `all`, if not given
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// Folds to run; all if not given
    #[arg(long = "fold", value_name = "NAME", num_args = 1..)]
    folds: Vec<String>,
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
    #[command(flatten)]
    side_by_side: SideBySide,
    /// Test a model, or what begins or learns from one, on speakers it was trained on; the numbers say that speakers are shared
    #[arg(long)]
    allow_seen_speakers: bool,
    /// Run directory; runs/NAME-PROTOCOL of a configuration (runs/NAME where the name says the protocol), and none of a model, if not given
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Table,
    /// The content of metrics.json
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.model {
        Some(_) if arguments.speakers.speaker_norm => Err(Failure::usage(
            "--speaker-norm is about a training, and --model is tested as it is",
            "leave it out: a model that moves functionals to the speaker does so by itself",
        )),
        Some(model) => fixed_model::run(arguments, model),
        None => cross_validation(arguments),
    }
}

fn cross_validation(arguments: &Arguments) -> Result<(), Failure> {
    let (mut config, encoder) = arguments.loading.configure(arguments.config.as_deref())?;
    arguments.beginning.apply(&mut config, true)?;
    if arguments.allow_seen_speakers {
        let teacher = config.distillation.as_mut().filter(|it| it.has_file());
        if !config.transfer.has_init() && teacher.is_none() {
            return Err(Failure::usage(
                "--allow-seen-speakers is about a model file, and none is tested, begun or learnt from",
                "leave it out, or give a model with --model, --init or --teacher",
            ));
        }
        if let Some(distillation) = teacher {
            distillation.allow_seen_speakers = true;
        }
        config.transfer.allow_seen_speakers = config.transfer.has_init();
    }
    arguments.overrides.apply(&mut config);
    arguments.speakers.apply(&mut config)?;
    arguments.corpora.override_names(&mut config);
    let protocol = protocol(arguments, &mut config)?;
    config.validate()?;
    check_sources(&config)?;
    let progress = Training::default();
    let data = arguments
        .loading
        .load(&config, encoder, &arguments.corpora, &progress)?;
    let prior = arguments
        .loading
        .load_before(&config, &arguments.corpora, &progress)?;
    let directory = arguments
        .run
        .clone()
        .unwrap_or_else(|| run_directory(&config.name, protocol.name()));
    tell(&format!("run directory: {}", directory.display()));

    let folds = if arguments.folds.is_empty() {
        data.listed()
            .folds(&protocol, &config.split_options())?
            .len()
    } else {
        arguments.folds.len()
    };
    let trainings = folds * config.members().len();
    let options = arguments
        .side_by_side
        .run(&directory, &arguments.folds, trainings);
    let prior = prior.as_ref();
    let result = cross_validate_after(&config, &data, prior, &protocol, &options, &progress)?;
    show(&result.report, arguments.format)?;
    let teacher = result.teacher.as_ref().map(|teacher| teacher.headline());
    if let Some(line) = teacher.iter().flatten().next() {
        tell(&format!("its teacher: {line}"));
    }
    tell(&format!(
        "report: {}",
        directory.join("report.html").display()
    ));
    Ok(())
}

/// `runs/NAME-PROTOCOL`, or `runs/NAME` where the name says the protocol already.
fn run_directory(name: &str, protocol: &str) -> PathBuf {
    let folder = if name.contains(protocol) {
        name.to_owned()
    } else {
        format!("{name}-{protocol}")
    };
    PathBuf::from("runs").join(folder)
}

/// The protocol asked for, which a named one leaves in the configuration too.
fn protocol(arguments: &Arguments, config: &mut TrainConfig) -> Result<Protocol, Failure> {
    match arguments.protocol.as_deref() {
        None => Ok(config.evaluation.protocol.parse()?),
        Some("all") => Err(Failure::usage(
            "--protocol all tests every clip, which leaves none to train on",
            format!(
                "give a protocol with folds ({}), or a model with --model",
                Protocol::NAMES.join(", ")
            ),
        )),
        Some(text) => {
            let protocol = Protocol::from_name_or_file(text)?;
            if !matches!(protocol, Protocol::User(_)) {
                config.evaluation.protocol = protocol.name().to_owned();
            }
            Ok(protocol)
        }
    }
}

fn show(report: &Report, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => print(&report.to_json()?),
        Format::Table => print(&summary(report)),
    }
}
