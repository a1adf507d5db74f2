//! Training one model on one split.

use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;
use vocalics_corpora::Fold;
use vocalics_eval::{HistoryRow, training_name, write_history};
use vocalics_features::{FeatureMatrix, Standardiser};
use vocalics_models::input::Door;
use vocalics_models::stages::freeze;
use vocalics_models::{Ensemble, Mode, Network, NetworkConfig};

use crate::batch::{self, Batch, Batches, EpochKey, Purpose};
use crate::checkpoint::Checkpoint;
use crate::config::ClassWeights;
use crate::distillation::Soft;
use crate::loss::Loss;
use crate::optimiser::{self, AdamW};
use crate::parameters::{gather, gather_gradients, scatter};
use crate::start::Start;
use crate::voices::Voices;
use crate::waveforms::Augmenter;
use crate::{ComputeDevice, Data, Progress, Sampling, TrainConfig, TrainError};

/// A trained model and what it needs to give probabilities.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    /// The networks that answer together, mostly one.
    pub ensemble: Ensemble,
    /// Mean and deviation of every band, and of every functional, over the training clips; also inside the networks.
    pub standardiser: Standardiser,
    /// Divides the logits; fitted on the validation clips, 1 without any.
    pub temperature: f32,
    /// One row per epoch of each network.
    pub history: Vec<HistoryRow>,
    /// Trained numbers.
    pub parameters: usize,
}

/// Logits of a clip, `[n_classes]`, from its features.
#[must_use]
pub fn infer(ensemble: &Ensemble, features: &FeatureMatrix) -> Vec<f32> {
    let dims = [1, features.n_frames(), features.n_features()];
    let data = TensorData::new(features.as_slice().to_vec(), dims);
    let logits = ensemble.forward(Tensor::from_data(data, &Device::flex()));
    logits.into_data().try_to_vec().unwrap_or_default()
}

/// Logits of many clips, in their order, computed side by side.
pub(crate) fn infer_all(
    ensemble: &Ensemble,
    features: &[FeatureMatrix],
    clips: &[usize],
) -> Vec<Vec<f32>> {
    clips
        .par_iter()
        .map(|&clip| infer(ensemble, &features[clip]))
        .collect()
}

/// Trains one network on one split. Goes on from the checkpoint at `checkpoint` if there is one.
pub(crate) struct Trainer<'a> {
    pub(crate) config: &'a TrainConfig,
    pub(crate) data: &'a Data,
    pub(crate) fold: &'a Fold,
    pub(crate) network: &'a NetworkConfig,
    /// Place of the network in the ensemble, from 0.
    pub(crate) member: usize,
    pub(crate) standardiser: &'a Standardiser,
    /// The weights to begin from; drawn where there are none.
    pub(crate) start: Option<&'a Start>,
    /// What a teacher says of the training clips.
    pub(crate) soft: Option<&'a Soft>,
    /// Identifies configuration, recordings and device.
    pub(crate) key: &'a str,
    pub(crate) checkpoint: &'a Path,
    pub(crate) device: ComputeDevice,
    pub(crate) progress: &'a dyn Progress,
}

/// A network after its last epoch.
pub(crate) struct TrainedNetwork {
    pub(crate) network: Network,
    pub(crate) history: Vec<HistoryRow>,
    pub(crate) parameters: usize,
}

/// Losses and hits of an epoch so far.
#[derive(Default)]
struct Tally {
    loss: f64,
    steps: usize,
    confusion: Recalls,
}

/// Clips and hits of each class.
#[derive(Default)]
pub(crate) struct Recalls(Vec<[u32; 2]>);

impl Recalls {
    pub(crate) fn add(&mut self, class: usize, logits: &[f32]) {
        if self.0.len() < logits.len() {
            self.0.resize(logits.len(), [0, 0]);
        }
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        self.0[class][0] += 1;
        self.0[class][1] += u32::from(best == Some(class));
    }

    /// Mean recall over the classes that occurred.
    pub(crate) fn uar(&self) -> f64 {
        let seen: Vec<f64> = self
            .0
            .iter()
            .filter(|[clips, _]| *clips > 0)
            .map(|[clips, hits]| f64::from(*hits) / f64::from(*clips))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a handful of classes")]
        let classes = seen.len().max(1) as f64;
        seen.iter().sum::<f64>() / classes
    }
}

impl Trainer<'_> {
    fn name(&self) -> String {
        training_name(&self.fold.name, self.member + 1)
    }

    /// Identifies the training: whatever else is equal, a checkpoint of other parts is of another one.
    fn key(&self) -> String {
        let Fold {
            name,
            train,
            validation,
            test,
        } = self.fold;
        let parts = blake3::hash(format!("{train:?}{validation:?}{test:?}").as_bytes()).to_hex();
        format!("{}/{name}/{}/{parts}", self.key, self.member)
    }

    /// A seed for one purpose, independent of those for all others.
    fn seed(&self, purpose: &str, index: usize) -> EpochKey {
        let mut text = format!("{}/{}/{purpose}/{index}", self.config.seed, self.fold.name);
        if self.member > 0 {
            text += &format!("/network {}", self.member);
        }
        *blake3::hash(text.as_bytes()).as_bytes()
    }

    pub(crate) fn train(&self) -> Result<TrainedNetwork, TrainError> {
        let labels = &self.data.labels;
        let standardiser = self.standardiser;
        let counts = self.class_counts()?;
        let weights = self.class_weights(&counts);
        let loss = Loss::new(&self.config.training, &counts);
        let loss = match &self.config.distillation {
            Some(distillation) => loss.with_teacher(distillation),
            None => loss,
        };
        let (n_bands, n_functionals) = (self.config.n_bands(), self.config.n_functionals());
        let augmenter = Augmenter::new(self.config, self.data, self.fold)?;
        let voices = match self.config.speaker_norm() {
            true => Some(Voices::new(self.data, &self.fold.train, standardiser)?),
            false => None,
        };
        let sizes = [n_bands, n_functionals];
        let door = Door::with_functionals(sizes, standardiser.mean(), standardiser.std())?;
        let mut rng = StdRng::from_seed(self.seed("weights", 0));
        let mut network = |device| {
            self.network
                .init(n_bands, labels.len(), door.clone(), &mut rng, device)
        };
        let (network, resting) = (network(&self.device.training())?, network(&Device::flex())?);
        let (network, resting) = self.begin(network, resting)?;
        let parameters = gather(&network).0.parameters();
        let transfer = &self.config.transfer;
        let stages = network.stages();
        let frozen = transfer.frozen(&stages)?;
        let mut network = freeze(network, frozen);
        let (layout, fresh) = gather(&network);
        let layout = layout.staged(&stages, frozen, transfer.layer_decay);
        let (name, key) = (self.name(), self.key());
        let found = Checkpoint::load(self.checkpoint, &key)?;
        let mut at = found
            .filter(|found| found.optimiser.len() == layout.len())
            .unwrap_or_else(|| Checkpoint {
                key,
                epochs_done: 0,
                average: fresh.clone(),
                optimiser: AdamW::new(fresh.len()),
                state: fresh,
                history: Vec::new(),
            });
        let epochs = self.config.training.epochs;
        self.progress
            .training_started(&name, at.epochs_done, epochs);
        while at.epochs_done < epochs {
            let started = Instant::now();
            let tally = self.epoch(
                &mut network,
                &layout,
                (augmenter.as_ref(), voices.as_ref()),
                &weights,
                &loss,
                &mut at,
            )?;
            at.epochs_done += 1;
            let averaged = scatter(resting.clone(), &at.average).into();
            let (validation_loss, validation_uar) = self.validate(&averaged, &weights);
            let last_step = at.epochs_done * self.steps() - 1;
            #[expect(clippy::cast_precision_loss, reason = "step counts are small")]
            let row = HistoryRow {
                fold: self.fold.name.clone(),
                network: self.member + 1,
                epoch: at.epochs_done,
                train_loss: tally.loss / tally.steps.max(1) as f64,
                validation_loss,
                train_uar: tally.confusion.uar(),
                validation_uar,
                learning_rate: optimiser::learning_rate(
                    &self.config.training,
                    last_step,
                    self.steps(),
                ),
                seconds: started.elapsed().as_secs_f64(),
            };
            at.history.push(row.clone());
            at.save(self.checkpoint)?;
            write_history(&self.checkpoint.with_file_name("history.csv"), &at.history)?;
            self.progress.epoch(&row);
        }
        self.progress.training_finished(&name);
        Ok(TrainedNetwork {
            network: scatter(resting, &at.average),
            history: at.history,
            parameters,
        })
    }

    /// The network to train and the one that rests, with the weights to begin from.
    fn begin(&self, network: Network, resting: Network) -> Result<(Network, Network), TrainError> {
        let Some(start) = self.start else {
            return Ok((network, resting));
        };
        // The rows of the head that are drawn are those that a training from nothing would draw.
        let drawn = scatter(resting, &gather(&network).1);
        let clips: Vec<&FeatureMatrix> = self
            .fold
            .train
            .iter()
            .map(|&i| &self.data.features[i])
            .collect();
        let labels = self.data.labels.as_slice();
        let resting = start.applied(self.network, drawn, self.config, labels, &clips)?;
        Ok((scatter(network, &gather(&resting).1), resting))
    }

    fn steps(&self) -> usize {
        batch::steps(self.fold.train.len(), self.config.training.batch_size)
    }

    /// Training clips of each class, as often as an epoch shows them relative to each other.
    fn class_counts(&self) -> Result<Vec<usize>, TrainError> {
        let mut counts = vec![0usize; self.data.labels.len()];
        for &i in &self.fold.train {
            counts[self.data.classes[i]] += 1;
        }
        if let Some(empty) = counts.iter().position(|count| *count == 0) {
            return Err(TrainError::EmptyClass {
                fold: self.fold.name.clone(),
                label: self.data.labels.as_slice()[empty].clone(),
            });
        }
        Ok(match self.config.training.sampling {
            Sampling::Shuffled => counts,
            // Every class comes as often as any other: nothing is left for weights and loss to balance.
            Sampling::Balanced => vec![1; counts.len()],
        })
    }

    /// Weight of a clip of each class.
    fn class_weights(&self, counts: &[usize]) -> Vec<f32> {
        #[expect(clippy::cast_precision_loss, reason = "clip counts are small")]
        let balanced = |count: usize| {
            counts.iter().sum::<usize>() as f32 / (counts.len() as f32 * count as f32)
        };
        counts
            .iter()
            .map(|&count| match self.config.training.class_weights {
                ClassWeights::None => 1.0,
                ClassWeights::Balanced => balanced(count),
            })
            .collect()
    }

    /// One pass over the training clips, in an order that follows from seed, fold and epoch.
    fn epoch(
        &self,
        network: &mut Network,
        layout: &crate::parameters::Layout,
        (augmenter, voices): (Option<&Augmenter<'_>>, Option<&Voices<'_>>),
        weights: &[f32],
        loss: &Loss,
        at: &mut Checkpoint,
    ) -> Result<Tally, TrainError> {
        let training = &self.config.training;
        let classes = self.data.labels.len();
        let key = self.seed("epoch", at.epochs_done);
        let batches = Batches::new(
            self.config,
            self.data,
            augmenter,
            weights,
            &self.fold.train,
            key,
        )
        .with_soft(self.soft)
        .with_voices(voices);
        let steps = batches.steps();
        let name = self.name();
        *network = scatter(network.clone(), &at.state);
        let mut tally = Tally::default();
        batches.for_each(|batch| {
            let clips = batches.clips(batch.step);
            let (features, targets, soft) = self.tensors(batch, clips.len());
            let mut rng = batch::generator(&key, Purpose::Dropout, batch.step);
            let logits = network.forward(features, Mode::Train(&mut rng));
            let loss = loss.taught(logits.clone(), targets, soft, batch.weight);
            let value = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                return Err(TrainError::Diverged {
                    fold: name.clone(),
                    epoch: at.epochs_done + 1,
                    step: batch.step + 1,
                    loss: value,
                });
            }
            let gradient = gather_gradients(network, &loss.backward());
            let step = at.epochs_done * steps + batch.step;
            let rate = optimiser::learning_rate(training, step, steps);
            // Running statistics moved in the forward pass; weights move here.
            at.state = gather(network).1;
            at.optimiser
                .update(training, layout, rate, &gradient, &mut at.state);
            optimiser::average(training, layout, step, &at.state, &mut at.average);
            if !at.state.iter().all(|x| x.is_finite()) {
                return Err(TrainError::Diverged {
                    fold: name.clone(),
                    epoch: at.epochs_done + 1,
                    step: batch.step + 1,
                    loss: value,
                });
            }
            *network = scatter(network.clone(), &at.state);
            let logits: Vec<f32> = logits.into_data().try_to_vec().unwrap_or_default();
            for (row, &clip) in logits.chunks(classes).zip(clips) {
                tally.confusion.add(self.data.classes[clip], row);
            }
            tally.loss += value;
            tally.steps += 1;
            self.progress.step(&name, batch.step + 1, steps);
            Ok(())
        })?;
        Ok(tally)
    }

    /// Features `[batch, crop frames, n_features]`, targets `[batch, n_classes]` and what a teacher says, of the same shape, on the
    /// device.
    fn tensors(&self, batch: &Batch, clips: usize) -> (Tensor<3>, Tensor<2>, Option<Tensor<2>>) {
        let frames = self.config.training.crop_frames;
        let features = [clips, frames, self.config.n_features()];
        let targets = [clips, self.data.labels.len()];
        let device = self.device.training();
        (
            Tensor::from_data(TensorData::new(batch.features.clone(), features), &device),
            Tensor::from_data(TensorData::new(batch.targets.clone(), targets), &device),
            self.soft
                .map(|_| Tensor::from_data(TensorData::new(batch.soft.clone(), targets), &device)),
        )
    }

    /// Mean loss and UAR on the validation clips, whole and unaugmented.
    fn validate(&self, network: &Ensemble, weights: &[f32]) -> (Option<f64>, Option<f64>) {
        let (mut loss, mut weight, mut recalls) = (0.0, 0.0, Recalls::default());
        let validation = &self.fold.validation;
        let all = infer_all(network, &self.data.features, validation);
        for (&i, logits) in validation.iter().zip(all) {
            let class = self.data.classes[i];
            let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = logits.iter().map(|x| (x - peak).exp()).sum();
            loss += f64::from(weights[class] * (sum.ln() + peak - logits[class]));
            weight += f64::from(weights[class]);
            recalls.add(class, &logits);
        }
        if validation.is_empty() {
            return (None, None);
        }
        (Some(loss / weight), Some(recalls.uar()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uar_is_the_mean_recall_of_the_classes_seen() {
        let mut recalls = Recalls::default();
        for (class, logits) in [
            (0, [1.0, 0.0, 0.0]),
            (0, [0.0, 1.0, 0.0]),
            (1, [0.0, 1.0, 0.0]),
        ] {
            recalls.add(class, &logits);
        }
        assert!((recalls.uar() - 0.75).abs() < 1e-12);
    }
}
