//! A training without labels as a run of its own.

use std::path::PathBuf;

use vocalics_features::Standardiser;

use super::directory::{RunDirectory, field, key};
use crate::byol::Pretrainer;
use crate::export::export_body;
use crate::heard::Heard;
use crate::side_by_side::pool;
use crate::start::Start;
use crate::{Data, PretrainRow, Progress, RunOptions, TrainConfig, TrainError};

/// What the training is called in progress and seeds.
const NAME: &str = "pretraining";

/// What a training without labels gives.
#[derive(Debug, Clone)]
pub struct Pretrained {
    /// The model file, which has no head: for `vocalics train --init`.
    pub model: PathBuf,
    /// Every epoch.
    pub history: Vec<PretrainRow>,
    /// Trained numbers of the network without its head.
    pub parameters: usize,
}

/// Trains the network of a configuration without labels on all recordings, loaded with [`Data::unlabelled`], and writes
/// `config.toml`, `manifest.csv`, `history.csv` and `model.onnx`.
///
/// The options' folds and jobs have no use here.
///
/// # Errors
/// When the configuration asks for what has no meaning without labels, there are fewer than two recordings, the training diverges or
/// collapses, or the directory cannot be written. What was done by then stays, and the same call goes on from there.
pub fn pretrain(
    config: &TrainConfig,
    data: &Data,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<Pretrained, TrainError> {
    config.validate_pretraining()?;
    options.device.check()?;
    if data.utterances.len() < 2 {
        let actual = data.utterances.len();
        return Err(TrainError::TooFewRecordings { actual });
    }
    let mut config = config.clone();
    let start = Start::of_file(&config)?.map(|(start, hash)| {
        config.transfer.init_hash = hash;
        start
    });
    let config = &config;
    let standardiser = match &start {
        Some(start) => start.standardiser.clone(),
        None => Standardiser::fit(&data.features)?,
    };
    let key = key(config, data, None, NAME, options.device);
    let directory = RunDirectory::open(&options.directory, config, &key)?;
    directory.write("manifest.csv", manifest(data).as_bytes())?;
    let clips: Vec<usize> = (0..data.utterances.len()).collect();
    let pretrainer = Pretrainer {
        config,
        data,
        name: NAME.to_owned(),
        clips: &clips,
        network: &config.network,
        standardiser: &standardiser,
        start: start.as_ref(),
        key: &key,
        checkpoint: &directory.path.join("checkpoint"),
        device: options.device,
        progress,
    };
    let trained = pool(options.threads)?.install(|| pretrainer.train())?;
    let before = start.map(|start| start.heard).unwrap_or_default();
    let heard = Heard::in_clips(data, &clips).and(before);
    let model = directory.path.join("model.onnx");
    export_body(
        &trained.network,
        config,
        data,
        (&standardiser, heard),
        &model,
    )?;
    Ok(Pretrained {
        model,
        history: trained.history,
        parameters: trained.parameters,
    })
}

/// `manifest.csv`: whom it heard.
fn manifest(data: &Data) -> String {
    let mut text = String::from("id,corpus,speaker,n_frames\n");
    for (utterance, features) in data.utterances.iter().zip(&data.features) {
        let fields = [&utterance.id, &utterance.corpus, &utterance.speaker];
        let fields = fields.map(|it| field(it)).join(",");
        text += &format!("{fields},{}\n", features.n_frames());
    }
    text
}
