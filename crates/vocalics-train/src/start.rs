//! The weights that a training begins from: those of a model file, or of a training before.

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_features::{FeatureMatrix, Standardiser};
use vocalics_models::input::Door;
use vocalics_models::restore::{ModelWeights, with_measured_norms};
use vocalics_models::{ModelError, Network, NetworkConfig};

use crate::heard::Heard;
use crate::parameters::{gather, scatter};
use crate::source_file::SourceFile;
use crate::{TrainConfig, TrainError};

/// Most clips whose statistics a norm is given where the file lacks them.
const MEASURED_CLIPS: usize = 64;

/// Weights to begin from, with what belongs to them.
pub(crate) struct Start {
    pub(crate) standardiser: Standardiser,
    /// Whom the model file has heard.
    pub(crate) heard: Heard,
    task: String,
    labels: Vec<String>,
    source: Source,
}

enum Source {
    File {
        path: PathBuf,
        weights: ModelWeights,
        member: usize,
    },
    Network(Box<Network>),
}

impl Start {
    /// The network of a training before.
    pub(crate) fn of_network(
        network: Network,
        config: &TrainConfig,
        labels: &[String],
        standardiser: Standardiser,
    ) -> Self {
        Self {
            standardiser,
            heard: Heard::default(),
            task: config.target.clone(),
            labels: labels.to_vec(),
            source: Source::Network(Box::new(network)),
        }
    }

    /// The model file of the configuration, and its hash; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read or is no good model file ([`TrainError::ModelFile`]), was changed since the run was begun
    /// ([`TrainError::InitChanged`]), has no such member or several and none is chosen ([`TrainError::InitMember`]), has another front
    /// end ([`TrainError::InitFrontEnd`]) or is of another network ([`TrainError::InitNetwork`]).
    pub(crate) fn of_file(config: &TrainConfig) -> Result<Option<(Self, String)>, TrainError> {
        let transfer = &config.transfer;
        if !transfer.has_init() {
            return Ok(None);
        }
        let path = transfer.init.clone();
        let file = SourceFile::open(&path, &transfer.init_hash)?;
        let in_file = |source| TrainError::InitNetwork {
            path: path.clone(),
            source,
            network: String::new(),
        };
        let weights = ModelWeights::parse(&file.bytes).map_err(in_file)?;
        let members = weights.members();
        let member = match transfer.init_member {
            0 if members == 1 => 0,
            member if (1..=members).contains(&member) => member - 1,
            member => {
                return Err(TrainError::InitMember {
                    path,
                    members,
                    member,
                });
            }
        };
        file.check_functionals("transfer.init", None)?;
        file.check_front_end(&path, &config.front_end)?;
        let metadata = file.metadata().clone();
        let Some(standardiser) = metadata.standardiser.clone() else {
            return Err(in_file(ModelError::NoWayBack {
                reason: "it does not say its standardisation".into(),
            }));
        };
        let start = Self {
            standardiser,
            heard: Heard::by_model(&metadata),
            task: metadata.task,
            labels: metadata.labels,
            source: Source::File {
                path: path.clone(),
                weights,
                member,
            },
        };
        // Better said before the training than in its first epoch.
        for network in config.members() {
            let rng = &mut StdRng::seed_from_u64(0);
            start.network(network, config.front_end.n_mels, rng)?;
        }
        Ok(Some((start, file.hash)))
    }

    /// The network with the labels it was trained on.
    fn network(
        &self,
        network: &NetworkConfig,
        n_mels: usize,
        rng: &mut StdRng,
    ) -> Result<Network, TrainError> {
        let (path, weights, member) = match &self.source {
            Source::Network(network) => return Ok((**network).clone()),
            Source::File {
                path,
                weights,
                member,
            } => (path, weights, *member),
        };
        let door = self.door(n_mels)?;
        let labels = self.head_outputs();
        let fresh = network.init(n_mels, labels, door, rng, &Device::flex())?;
        weights.restore(member, fresh).map_err(|source| {
            let network = weights.network(member);
            let network = network.and_then(|it| toml::to_string(it).ok());
            TrainError::InitNetwork {
                path: path.clone(),
                source,
                network: network.unwrap_or_default().trim_end().replace('\n', ", "),
            }
        })
    }

    /// Outputs of the head that the weights come with; where they come without one, of the one drawn in its place.
    fn head_outputs(&self) -> usize {
        self.labels.len().max(1)
    }

    fn door(&self, n_mels: usize) -> Result<Door, TrainError> {
        let (mean, std) = (self.standardiser.mean(), self.standardiser.std());
        Ok(Door::new(n_mels, mean, std)?)
    }

    /// `fresh` with the weights to begin from: all of them but the rows of the head whose labels were not known.
    ///
    /// `clips` are those that norms are measured on where the file lacks their statistics.
    pub(crate) fn applied(
        &self,
        network: &NetworkConfig,
        fresh: Network,
        config: &TrainConfig,
        labels: &[String],
        clips: &[&FeatureMatrix],
    ) -> Result<Network, TrainError> {
        let n_mels = config.front_end.n_mels;
        let known = self.network(network, n_mels, &mut StdRng::seed_from_u64(0))?;
        let known = match &self.source {
            Source::File { weights, .. } if !weights.has_norms() => {
                with_measured_norms(known, sample(clips, config.training.crop_frames, n_mels))
            }
            _ => known,
        };
        let (mut state, theirs) = (gather(&fresh).1, gather(&known).1);
        let same_task = self.task == config.target;
        let place = |label: &String| {
            let mut known = self.labels.iter();
            known.position(|known| same_task && known == label)
        };
        let places: Vec<Option<usize>> = labels.iter().map(place).collect();
        // The head is what comes last in both: `[in, labels]`, then one bias for each label.
        let (ours, others) = (labels.len(), self.head_outputs());
        let head = |len: usize, classes: usize, inputs: usize| len - (inputs + 1) * classes;
        let inputs = head_inputs(&known);
        let body = head(state.len(), ours, inputs);
        let their_body = head(theirs.len(), others, inputs);
        state[..body].copy_from_slice(&theirs[..their_body]);
        for row in 0..=inputs {
            for (label, place) in places.iter().enumerate() {
                if let Some(place) = place {
                    state[body + row * ours + label] = theirs[their_body + row * others + place];
                }
            }
        }
        Ok(scatter(fresh, &state))
    }
}

/// Numbers that the head takes in.
fn head_inputs(network: &Network) -> usize {
    network.head().weight.dims()[0]
}

/// The middle of up to [`MEASURED_CLIPS`] clips, evenly taken: `[clips, frames, n_mels]`. Shorter clips are repeated.
fn sample(clips: &[&FeatureMatrix], frames: usize, n_mels: usize) -> Tensor<3> {
    let count = clips.len().min(MEASURED_CLIPS);
    let mut values = Vec::with_capacity(count * frames * n_mels);
    for index in 0..count {
        let clip = clips[index * clips.len() / count];
        let n_frames = clip.n_frames().max(1);
        let first = n_frames.saturating_sub(frames) / 2;
        for frame in 0..frames {
            let from = (first + frame) % n_frames * n_mels;
            values.extend_from_slice(&clip.as_slice()[from..from + n_mels]);
        }
    }
    Tensor::from_data(
        TensorData::new(values, [count, frames, n_mels]),
        &Device::flex(),
    )
}

/// What a model file says of itself for a configuration that begins from it: the network and the front end.
///
/// # Errors
/// When it is no good model file, or does not say which network it has (files of earlier versions).
pub fn describe_init(config: &mut TrainConfig) -> Result<(), TrainError> {
    let path = &config.transfer.init;
    let file = SourceFile::open(path, "")?;
    let weights = ModelWeights::parse(&file.bytes).map_err(|source| TrainError::InitNetwork {
        path: path.clone(),
        source,
        network: String::new(),
    })?;
    file.check_functionals("transfer.init", None)?;
    config.front_end = file.metadata().front_end.clone();
    if let Some(network) = weights.network(config.transfer.init_member.saturating_sub(1)) {
        config.network = network.clone();
    }
    Ok(())
}
