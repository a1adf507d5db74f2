//! `vocalics pretrain`: a network without a head, from recordings without labels.

use std::path::{Path, PathBuf};

use clap::{Args, value_parser};
use vocalics_corpora::CorpusSpec;
use vocalics_train::{ComputeDevice, Data, LoadOptions, RunOptions, TrainConfig, pretrain};

use crate::failure::Failure;
use crate::input::{Input, expand};
use crate::output::{print, tell};
use crate::progress::Training;
use crate::recognition::cores;
use crate::selection::CorpusOptions;
use crate::train::tell_clips;

/// Train a network without labels, to begin trainings from
///
/// The network of the configuration learns to find two altered views of a recording alike (BYOL); labels are not used. It
/// learns from the files and folders given, from the corpora named with --corpus, or from those of the configuration. The file that
/// comes out has no labels to answer with: `vocalics train --init` and `vocalics evaluate --init` begin from it.
///
/// The file says whom it has heard. `vocalics evaluate --init` refuses test speakers among them; after plain files and folders, which
/// do not say who speaks, it refuses everybody. The same command goes on with a training that was stopped. The path of the file is
/// written to standard output.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration: network, front end, and the sections training, augmentation and byol
    config: PathBuf,
    /// Recordings, and folders of such
    #[arg(value_name = "FILE|DIR")]
    inputs: Vec<PathBuf>,
    #[command(flatten)]
    corpora: CorpusOptions,
    /// Seed of everything random
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Passes over the recordings
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Leave out recordings that cannot be used instead of stopping
    #[arg(long)]
    keep_going: bool,
    /// Folder in which features are kept
    #[arg(long, value_name = "DIR", default_value = "runs/.features")]
    cache: PathBuf,
    /// Run directory, runs/NAME-pretraining if not given
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Threads; as many as there are cores if not given
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Where the network learns: cpu, or cuda, cuda:N, wgpu, wgpu:N in a program built for them
    #[arg(long, value_name = "DEVICE", default_value_t = ComputeDevice::Cpu)]
    device: ComputeDevice,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut config = TrainConfig::read(&arguments.config)?;
    if let Some(seed) = arguments.seed {
        config.seed = seed;
    }
    if let Some(epochs) = arguments.epochs {
        config.training.epochs = epochs;
    }
    let files = files(&arguments.inputs)?;
    let specs = corpora(arguments, &mut config)?;
    config.validate_pretraining()?;
    let progress = Training::default();
    let options = LoadOptions {
        keep_going: arguments.keep_going,
        ..LoadOptions::new(&arguments.cache)
    };
    let data = Data::unlabelled(&config, &specs, &files, &options, &progress)?;
    if !data.utterances.is_empty() {
        tell_clips(&data.utterances);
    }
    let directory = arguments
        .run
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{}-pretraining", config.name)));
    tell(&format!("run directory: {}", directory.display()));
    let options = RunOptions {
        directory,
        folds: Vec::new(),
        jobs: 1,
        threads: arguments.threads.map_or_else(cores, usize::from),
        device: arguments.device,
    };
    let trained = pretrain(&config, &data, &options, &progress)?;
    if let Some(last) = trained.history.last() {
        tell(&format!(
            "{} parameters, {} epochs, loss {:.3}, deviation of the embeddings {:.2}",
            trained.parameters, last.epoch, last.loss, last.embedding_deviation
        ));
    }
    print(&format!("{}\n", trained.model.display()))
}

/// The recordings given, by their own names or by those of their folders.
fn files(inputs: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for input in expand(inputs, false)? {
        match input {
            Input::File(path) => files.push(path),
            Input::Stdin => {
                return Err(Failure::usage(
                    "- is standard input, and a training needs several recordings",
                    "give files or folders",
                ));
            }
            Input::Empty(path) => {
                return Err(Failure::new(
                    format!("no recordings in {}", path.display()),
                    "no file in it ends in .wav, .flac, .mp3, .m4a, .ogg, .opus or the like; a file with another ending can be named itself",
                ));
            }
            Input::Barren(_, error) => return Err(error.into()),
        }
    }
    Ok(files)
}

/// The corpora named; those of the configuration where nothing is given at all. The configuration comes back with those used.
fn corpora(arguments: &Arguments, config: &mut TrainConfig) -> Result<Vec<CorpusSpec>, Failure> {
    if !arguments.inputs.is_empty() && !arguments.corpora.is_named() {
        config.corpora.clear();
        return Ok(Vec::new());
    }
    arguments.corpora.override_names(config);
    arguments.corpora.of_config(config)
}
