//! Training one model on one split.

use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use vocalics_corpora::Fold;
use vocalics_eval::{HistoryRow, fit_temperature, write_history};
use vocalics_features::{FeatureMatrix, Standardiser};
use vocalics_models::input::Door;
use vocalics_models::{Mode, Network};

use crate::checkpoint::Checkpoint;
use crate::config::ClassWeights;
use crate::optimiser::{self, AdamW};
use crate::parameters::{gather, gather_gradients, scatter};
use crate::{Data, Progress, TrainConfig, TrainError};

/// A trained network and what it needs to give probabilities.
#[derive(Debug, Clone)]
pub struct TrainedModel {
    /// The network, on a device without autodiff.
    pub network: Network,
    /// Mean and deviation of every band over the training clips; also inside the network.
    pub standardiser: Standardiser,
    /// Divides the logits; fitted on the validation clips, 1 without any.
    pub temperature: f32,
    /// One row per epoch.
    pub history: Vec<HistoryRow>,
    /// Trained numbers.
    pub parameters: usize,
}

/// Logits of a clip, `[n_classes]`, from its features.
#[must_use]
pub fn infer(network: &Network, features: &FeatureMatrix) -> Vec<f32> {
    let dims = [1, features.n_frames(), features.n_features()];
    let data = TensorData::new(features.as_slice().to_vec(), dims);
    let logits = network.forward(Tensor::from_data(data, &Device::flex()), Mode::Infer);
    logits.into_data().try_to_vec().unwrap_or_default()
}

/// A generator for one purpose, independent of those for all others.
fn generator(seed: u64, fold: &str, purpose: &str, index: usize) -> StdRng {
    let text = format!("{seed}/{fold}/{purpose}/{index}");
    StdRng::from_seed(*blake3::hash(text.as_bytes()).as_bytes())
}

/// Trains a model on one split. Goes on from the checkpoint at `checkpoint` if there is one.
pub(crate) struct Trainer<'a> {
    pub(crate) config: &'a TrainConfig,
    pub(crate) data: &'a Data,
    pub(crate) fold: &'a Fold,
    /// Identifies configuration and recordings.
    pub(crate) key: &'a str,
    pub(crate) checkpoint: &'a Path,
    pub(crate) progress: &'a dyn Progress,
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
struct Recalls(Vec<[u32; 2]>);

impl Recalls {
    fn add(&mut self, class: usize, logits: &[f32]) {
        if self.0.len() < logits.len() {
            self.0.resize(logits.len(), [0, 0]);
        }
        let best = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        self.0[class][0] += 1;
        self.0[class][1] += u32::from(best == Some(class));
    }

    /// Mean recall over the classes that occurred.
    fn uar(&self) -> f64 {
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
    pub(crate) fn train(&self) -> Result<TrainedModel, TrainError> {
        let Data {
            features, labels, ..
        } = self.data;
        let standardiser = Standardiser::fit(self.fold.train.iter().map(|&i| &features[i]))?;
        let weights = self.class_weights()?;
        let device = Device::flex().autodiff();
        let n_mels = self.config.front_end.n_mels;
        let door = Door::new(n_mels, standardiser.mean(), standardiser.std())?;
        let sizes = &self.config.network;
        let mut rng = generator(self.config.seed, &self.fold.name, "weights", 0);
        let mut network = sizes.init(n_mels, labels.len(), door, &mut rng, &device)?;
        let (layout, fresh) = gather(&network);
        let key = format!("{}/{}", self.key, self.fold.name);
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
            .fold_started(&self.fold.name, at.epochs_done, epochs);
        while at.epochs_done < epochs {
            let started = Instant::now();
            let tally = self.epoch(&mut network, &layout, &weights, &mut at)?;
            at.epochs_done += 1;
            network = scatter(network, &at.average);
            let (validation_loss, validation_uar) = self.validate(&network.valid(), &weights);
            network = scatter(network, &at.state);
            let last_step = at.epochs_done * self.steps() - 1;
            #[expect(clippy::cast_precision_loss, reason = "step counts are small")]
            let row = HistoryRow {
                fold: self.fold.name.clone(),
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
        let network = scatter(network, &at.average).valid();
        let (logits, truth): (Vec<Vec<f32>>, Vec<usize>) = self
            .fold
            .validation
            .iter()
            .map(|&i| (infer(&network, &features[i]), self.data.classes[i]))
            .unzip();
        let temperature = if logits.is_empty() {
            1.0
        } else {
            fit_temperature(&logits, &truth)?
        };
        Ok(TrainedModel {
            network,
            standardiser,
            temperature,
            history: at.history,
            parameters: layout.parameters(),
        })
    }

    fn steps(&self) -> usize {
        self.fold
            .train
            .len()
            .div_ceil(self.config.training.batch_size)
    }

    /// Weight of a clip of each class.
    fn class_weights(&self) -> Result<Vec<f32>, TrainError> {
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
        #[expect(clippy::cast_precision_loss, reason = "clip counts are small")]
        let balanced =
            |count: usize| self.fold.train.len() as f32 / (counts.len() as f32 * count as f32);
        Ok(counts
            .iter()
            .map(|&count| match self.config.training.class_weights {
                ClassWeights::None => 1.0,
                ClassWeights::Balanced => balanced(count),
            })
            .collect())
    }

    /// One pass over the training clips, in an order that follows from seed, fold and epoch.
    fn epoch(
        &self,
        network: &mut Network,
        layout: &crate::parameters::Layout,
        weights: &[f32],
        at: &mut Checkpoint,
    ) -> Result<Tally, TrainError> {
        let training = &self.config.training;
        let mut rng = generator(self.config.seed, &self.fold.name, "epoch", at.epochs_done);
        *network = scatter(network.clone(), &at.state);
        let mut order = self.fold.train.clone();
        order.shuffle(&mut rng);
        // Batches of equal size, give or take one: a small rest would have poor batch statistics.
        let steps = self.steps();
        let bound = |step: usize| step * order.len() / steps;
        let batches: Vec<&[usize]> = (0..steps)
            .map(|step| &order[bound(step)..bound(step + 1)])
            .collect();
        let mut tally = Tally::default();
        for (index, clips) in batches.iter().enumerate() {
            let batch = self.batch(clips, weights, &mut rng);
            let logits = network.forward(batch.features, Mode::Train(&mut rng));
            let loss = -(log_softmax(logits.clone(), 1) * batch.targets).sum() / batch.weight;
            let value = f64::from(loss.clone().into_scalar::<f32>());
            if !value.is_finite() {
                return Err(TrainError::Diverged {
                    fold: self.fold.name.clone(),
                    epoch: at.epochs_done + 1,
                    step: index + 1,
                    loss: value,
                });
            }
            let gradient = gather_gradients(network, &loss.backward());
            let step = at.epochs_done * self.steps() + index;
            let rate = optimiser::learning_rate(training, step, self.steps());
            // Running statistics moved in the forward pass; weights move here.
            at.state = gather(network).1;
            at.optimiser
                .update(training, layout, rate, &gradient, &mut at.state);
            optimiser::average(training, step, &at.state, &mut at.average);
            *network = scatter(network.clone(), &at.state);
            let logits: Vec<f32> = logits.into_data().try_to_vec().unwrap_or_default();
            for (row, &clip) in logits.chunks(self.data.labels.len()).zip(*clips) {
                tally.confusion.add(self.data.classes[clip], row);
            }
            tally.loss += value;
            tally.steps += 1;
            self.progress
                .step(&self.fold.name, index + 1, batches.len());
        }
        Ok(tally)
    }

    fn batch(&self, clips: &[usize], weights: &[f32], rng: &mut StdRng) -> Batch {
        let (n_mels, classes) = (self.config.front_end.n_mels, self.data.labels.len());
        let augmentation = &self.config.augmentation;
        let crop = self.config.training.crop_frames * n_mels;
        let mut features = vec![0.0; clips.len() * crop];
        let mut targets = vec![0.0; clips.len() * classes];
        for ((features, targets), &clip) in features
            .chunks_mut(crop)
            .zip(targets.chunks_mut(classes))
            .zip(clips)
        {
            augmentation.crop(&self.data.features[clip], rng, features);
            let class = self.data.classes[clip];
            self.smooth(class, weights[class], targets);
        }
        if let Some(share) = augmentation.mixup_share(rng) {
            let offset = rng.random_range(1..clips.len().max(2));
            mix(&mut features, crop, offset, share);
            mix(&mut targets, classes, offset, share);
        }
        let weight = targets.iter().sum();
        let device = Device::flex().autodiff();
        let frames = self.config.training.crop_frames;
        Batch {
            features: Tensor::from_data(
                TensorData::new(features, [clips.len(), frames, n_mels]),
                &device,
            ),
            targets: Tensor::from_data(TensorData::new(targets, [clips.len(), classes]), &device),
            weight,
        }
    }

    /// The target of a clip: its class, a share of its weight spread over all classes.
    ///
    /// Source: C. Szegedy et al., *Rethinking the Inception Architecture*, CVPR 2016.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "shares between 0 and 1 of a handful of classes"
    )]
    fn smooth(&self, class: usize, weight: f32, targets: &mut [f32]) {
        let smoothing = self.config.training.label_smoothing as f32;
        targets.fill(weight * smoothing / targets.len() as f32);
        targets[class] += weight * (1.0 - smoothing);
    }

    /// Mean loss and UAR on the validation clips, whole and unaugmented.
    fn validate(&self, network: &Network, weights: &[f32]) -> (Option<f64>, Option<f64>) {
        let (mut loss, mut weight, mut recalls) = (0.0, 0.0, Recalls::default());
        for &i in &self.fold.validation {
            let logits = infer(network, &self.data.features[i]);
            let class = self.data.classes[i];
            let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = logits.iter().map(|x| (x - peak).exp()).sum();
            loss += f64::from(weights[class] * (sum.ln() + peak - logits[class]));
            weight += f64::from(weights[class]);
            recalls.add(class, &logits);
        }
        if self.fold.validation.is_empty() {
            return (None, None);
        }
        (Some(loss / weight), Some(recalls.uar()))
    }
}

struct Batch {
    /// `[batch, crop frames, n_mels]`.
    features: Tensor<3>,
    /// Weighted target distributions, `[batch, n_classes]`.
    targets: Tensor<2>,
    /// Sum of the targets.
    weight: f32,
}

/// `row[i] = share · row[i] + (1 − share) · row[i + offset]`, rows counted in a circle.
fn mix(rows: &mut [f32], len: usize, offset: usize, share: f32) {
    let original = rows.to_vec();
    let count = rows.len() / len;
    for (i, row) in rows.chunks_mut(len).enumerate() {
        let other = (i + offset) % count;
        let other = &original[other * len..(other + 1) * len];
        row.iter_mut()
            .zip(other)
            .for_each(|(x, y)| *x = share * *x + (1.0 - share) * y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_blends_each_row_with_another() {
        let mut rows = vec![0.0, 0.0, 10.0, 20.0, 40.0, 80.0];
        mix(&mut rows, 2, 1, 0.75);
        assert_eq!(rows, vec![2.5, 5.0, 17.5, 35.0, 30.0, 60.0]);
    }

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
