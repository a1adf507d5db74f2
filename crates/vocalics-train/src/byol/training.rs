//! The loop of a training without labels.

use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_features::{FeatureMatrix, Standardiser};
use vocalics_models::input::Door;
use vocalics_models::{Mode, Network, NetworkConfig};

use super::history::history_to_csv;
use super::objective::{Online, Target, deviation, follow, loss, tau};
use super::views::{Views, pieces, steps};
use super::{ByolConfig, PretrainRow};
use crate::batch::{EpochKey, Purpose, generator};
use crate::cache::write;
use crate::optimiser::{self, AdamW};
use crate::parameters::{Layout, gather, gather_gradients, scatter};
use crate::start::Start;
use crate::{ComputeDevice, Data, Progress, TrainConfig, TrainError, TrainingConfig, checkpoint};

/// Deviation below which embeddings or projections tell nothing any more.
const COLLAPSED: f64 = 0.01;
/// Deviation that is worth a warning.
const NARROW: f64 = 0.1;

/// Trains one network without labels. Goes on from the checkpoint at `checkpoint` if there is one.
pub(crate) struct Pretrainer<'a> {
    pub(crate) config: &'a TrainConfig,
    pub(crate) data: &'a Data,
    /// What the training is called; another name draws other numbers.
    pub(crate) name: String,
    /// The recordings learnt from.
    pub(crate) clips: &'a [usize],
    pub(crate) network: &'a NetworkConfig,
    pub(crate) standardiser: &'a Standardiser,
    /// The weights to begin from; drawn where there are none.
    pub(crate) start: Option<&'a Start>,
    /// Identifies configuration, recordings and device.
    pub(crate) key: &'a str,
    pub(crate) checkpoint: &'a Path,
    pub(crate) device: ComputeDevice,
    pub(crate) progress: &'a dyn Progress,
}

/// A network after its last epoch; its head was not trained.
pub(crate) struct PretrainedNetwork {
    pub(crate) network: Network,
    pub(crate) history: Vec<PretrainRow>,
    /// Trained numbers of the body.
    pub(crate) parameters: usize,
}

/// State at the end of an epoch. Everything random in the next one follows from seed, name and epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    key: String,
    epochs_done: usize,
    online: Vec<f32>,
    target: Vec<f32>,
    optimiser: AdamW,
    history: Vec<PretrainRow>,
}

/// Sums of an epoch so far.
#[derive(Default)]
struct Tally {
    loss: f64,
    embedding: f64,
    projection: f64,
}

/// The networks of a training, with what stays the same from step to step.
struct Pair {
    online: Online,
    target: Target,
    layout: Layout,
}

impl Pretrainer<'_> {
    fn key(&self) -> String {
        let clips = blake3::hash(format!("{:?}", self.clips).as_bytes()).to_hex();
        format!("{}/{}/byol/{clips}", self.key, self.name)
    }

    /// A seed for one purpose, independent of those for all others.
    fn seed(&self, purpose: &str, index: usize) -> EpochKey {
        let text = format!("{}/{}/byol {purpose}/{index}", self.config.seed, self.name);
        *blake3::hash(text.as_bytes()).as_bytes()
    }

    /// # Errors
    /// [`TrainError::TooFewRecordings`], [`TrainError::Diverged`], [`TrainError::Collapsed`], or when the checkpoint cannot be written
    /// or is of another training.
    pub(crate) fn train(&self) -> Result<PretrainedNetwork, TrainError> {
        let byol = self.config.byol.clone().unwrap_or_default();
        let training = TrainingConfig {
            batch_size: byol.batch_size,
            learning_rate: byol.learning_rate,
            ..self.config.training.clone()
        };
        let pieces = pieces(&self.data.features, self.clips, training.crop_frames)?;
        if pieces.len() < 2 {
            let actual = pieces.len();
            return Err(TrainError::TooFewRecordings { actual });
        }
        let (mut pair, resting) = self.pair(&byol)?;
        let key = self.key();
        let (found, numbers) = (gather(&pair.online).1, gather(&pair.target).1.len());
        let fresh = || State {
            key: key.clone(),
            epochs_done: 0,
            optimiser: AdamW::new(found.len()),
            target: found[..numbers].to_vec(),
            online: found.clone(),
            history: Vec::new(),
        };
        let kept = checkpoint::load(self.checkpoint, &key, |state: &State| &state.key)?;
        let kept = kept
            .filter(|state| state.optimiser.len() == found.len() && state.target.len() == numbers);
        let mut at = kept.unwrap_or_else(fresh);
        self.progress
            .training_started(&self.name, at.epochs_done, training.epochs);
        while at.epochs_done < training.epochs {
            let row = self.epoch(&mut pair, &byol, &training, &pieces, &mut at)?;
            self.check(&row, at.history.last())?;
            at.epochs_done += 1;
            at.history.push(row.clone());
            checkpoint::save(&at, self.checkpoint)?;
            let history = self.checkpoint.with_file_name("history.csv");
            write(&history, history_to_csv(&at.history).as_bytes())
                .map_err(TrainError::io("write", history))?;
            self.progress.pretrain_epoch(&self.name, &row);
        }
        self.progress.training_finished(&self.name);
        let body = gather(&resting).1.len();
        let trained = pair.layout.trained().filter(|it| it.range.end <= body);
        let head = resting.head();
        let head = head.weight.dims().iter().product::<usize>() + head.bias.dims()[0];
        Ok(PretrainedNetwork {
            parameters: trained.map(|it| it.range.len()).sum::<usize>() - head,
            network: scatter(resting, &at.online[..body]),
            history: at.history,
        })
    }

    /// Online network and target, and the network for inference, with the weights to begin from.
    fn pair(&self, byol: &ByolConfig) -> Result<(Pair, Network), TrainError> {
        let n_mels = self.config.n_features();
        let (learning, plain) = (self.device.training(), self.device.resting());
        let door = Door::new(n_mels, self.standardiser.mean(), self.standardiser.std())?;
        let mut rng = StdRng::from_seed(self.seed("weights", 0));
        // One logit, which takes no part.
        let mut network =
            |device: &Device| self.network.init(n_mels, 1, door.clone(), &mut rng, device);
        let (ours, theirs) = (network(&learning)?, network(&plain)?);
        let mut resting = network(&Device::flex())?;
        resting = scatter(resting, &gather(&ours).1);
        if let Some(start) = self.start {
            let clips: Vec<&FeatureMatrix> =
                self.clips.iter().map(|&i| &self.data.features[i]).collect();
            let labels = [UNTRAINED.to_owned()];
            resting = start.applied(self.network, resting, self.config, &labels, &clips)?;
        }
        let ours = scatter(ours, &gather(&resting).1);
        let online = Online::new(ours, byol, &mut rng, &learning);
        let target = Target::new(theirs, byol, &mut rng, &plain);
        let layout = gather(&online).0;
        let pair = Pair {
            online,
            target,
            layout,
        };
        Ok((pair, resting))
    }

    /// One pass over the clips, in an order that follows from seed, name and epoch.
    fn epoch(
        &self,
        pair: &mut Pair,
        byol: &ByolConfig,
        training: &TrainingConfig,
        pieces: &[FeatureMatrix],
        at: &mut State,
    ) -> Result<PretrainRow, TrainError> {
        let started = Instant::now();
        let epoch = at.epochs_done;
        let key = self.seed("epoch", epoch);
        let before = epoch
            .checked_sub(1)
            .map(|before| self.seed("epoch", before));
        let (frames, mean) = (training.crop_frames, self.standardiser.mean());
        let augmentation = &self.config.augmentation;
        let compression = self.config.front_end.compression;
        let views = Views::new(
            byol,
            augmentation,
            pieces,
            compression,
            frames,
            mean,
            (key, before),
        );
        let per_epoch = steps(pieces.len(), byol.batch_size);
        let all_steps = per_epoch * training.epochs;
        pair.online = scatter(pair.online.clone(), &at.online);
        pair.target = scatter(pair.target.clone(), &at.target);
        let mut tally = Tally::default();
        let (mut rate, mut stays) = (0.0, 0.0);
        for step in 0..per_epoch {
            let both = views.of_step(step)?;
            let dims = [views.clips(step), frames, mean.len()];
            let mut rng = generator(&key, Purpose::Dropout, step);
            let gradient = self.learn(pair, both, dims, &mut rng, &mut tally);
            let value = tally.loss;
            if !value.is_finite() {
                return Err(TrainError::Diverged {
                    fold: self.name.clone(),
                    epoch: epoch + 1,
                    step: step + 1,
                    loss: value,
                });
            }
            let done = epoch * per_epoch + step;
            rate = optimiser::learning_rate(training, done, per_epoch);
            stays = tau(byol.tau_base, done, all_steps);
            // Running statistics moved in the forward passes; weights move here, then those of the target.
            at.online = gather(&pair.online).1;
            at.target = gather(&pair.target).1;
            at.optimiser
                .update(training, &pair.layout, rate, &gradient, &mut at.online);
            follow(&pair.layout, stays, &at.online, &mut at.target);
            pair.online = scatter(pair.online.clone(), &at.online);
            pair.target = scatter(pair.target.clone(), &at.target);
            self.progress.step(&self.name, step + 1, per_epoch);
        }
        #[expect(clippy::cast_precision_loss, reason = "step counts are small")]
        let count = per_epoch as f64;
        Ok(PretrainRow {
            epoch: epoch + 1,
            loss: tally.loss / count,
            embedding_deviation: tally.embedding / count,
            projection_deviation: tally.projection / count,
            tau: stays,
            learning_rate: rate,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// The gradient of a step's loss: each view predicts the other.
    fn learn(
        &self,
        pair: &Pair,
        [first, second]: [Vec<f32>; 2],
        dims: [usize; 3],
        rng: &mut StdRng,
        tally: &mut Tally,
    ) -> Vec<f32> {
        let (learning, plain) = (self.device.training(), self.device.resting());
        let input = |values: &[f32], device: &Device| {
            Tensor::<3>::from_data(TensorData::new(values.to_vec(), dims), device)
        };
        let mut wanted = |values: &[f32]| {
            let input = input(values, &plain);
            let [_, projection] = pair.target.project(input, &mut Mode::Train(rng));
            Tensor::<2>::from_data(projection.into_data(), &learning)
        };
        let (of_second, of_first) = (wanted(&second), wanted(&first));
        let mut see =
            |values: &[f32]| (pair.online).see(input(values, &learning), &mut Mode::Train(rng));
        let (ours, theirs) = (see(&first), see(&second));
        let both = loss(ours.prediction, of_second) + loss(theirs.prediction, of_first);
        let spread = |x: Tensor<2>| {
            let width = x.dims()[1];
            let rows: Vec<f32> = x.into_data().try_to_vec().unwrap_or_default();
            deviation(&rows, width)
        };
        tally.embedding += spread(ours.embedding);
        tally.projection += spread(ours.projection);
        tally.loss += f64::from(both.clone().into_scalar::<f32>());
        gather_gradients(&pair.online, &both.backward())
    }

    /// Ends a training whose embeddings say nothing, and tells when they say little.
    fn check(&self, row: &PretrainRow, before: Option<&PretrainRow>) -> Result<(), TrainError> {
        let least = |row: &PretrainRow| row.embedding_deviation.min(row.projection_deviation);
        let deviation = least(row);
        if deviation < COLLAPSED {
            return Err(TrainError::Collapsed {
                training: self.name.clone(),
                epoch: row.epoch,
                deviation,
                least: COLLAPSED,
            });
        }
        if deviation < NARROW && before.is_none_or(|before| least(before) >= NARROW) {
            self.progress.warning(&format!(
                "{}: the embeddings or projections differ little in epoch {}: deviation {deviation:.3}",
                self.name, row.epoch
            ));
        }
        Ok(())
    }
}

/// Stands for the label of the logit that takes no part.
const UNTRAINED: &str = "";
