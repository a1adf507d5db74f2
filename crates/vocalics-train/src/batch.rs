//! Training batches, made ahead on a thread of their own while the network learns from the one before.
//!
//! Everything random about a clip follows from the epoch's key and the clip's place in the epoch, so a
//! batch is the same whenever and by whomever it is made. The buffers go round: a batch that was
//! learnt from comes back and is filled again.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use vocalics_features::LogMel;

use crate::augment::Columns;
use crate::distillation::Soft;
use crate::voices::{Voices, put};
use crate::waveforms::Augmenter;
use crate::{AugmentConfig, Data, Sampling, TrainConfig, TrainError};

/// Batches in circulation: one with the network, one ready, one in the making.
const BUFFERS: usize = 3;

/// Seeds everything random in one epoch.
pub(crate) type EpochKey = [u8; 32];

/// What a clip's generator is for, so that the streams of one place are independent.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Order,
    Clip,
    Mixup,
    Waveform,
    Dropout,
    View,
    Voice,
}

/// A generator of the epoch for one purpose and place.
pub(crate) fn generator(key: &EpochKey, purpose: Purpose, index: usize) -> StdRng {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&[purpose as u8]);
    hasher.update(&(index as u64).to_le_bytes());
    StdRng::from_seed(*hasher.finalize().as_bytes())
}

/// Crops and targets of one step.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The step within the epoch, from 0.
    pub(crate) step: usize,
    /// `[batch, crop frames, n_features]`.
    pub(crate) features: Vec<f32>,
    /// Weighted target distributions, `[batch, n_classes]`.
    pub(crate) targets: Vec<f32>,
    /// Sum of the targets.
    pub(crate) weight: f32,
    /// Weighted scores of the teacher, `[batch, n_classes]`; empty without one.
    pub(crate) soft: Vec<f32>,
}

/// What the maker of batches keeps from one to the next.
struct Scratch {
    row: Vec<f32>,
    front_end: LogMel,
}

impl Scratch {
    fn new(config: &TrainConfig) -> Result<Self, TrainError> {
        Ok(Self {
            row: Vec::new(),
            front_end: LogMel::new(config.front_end.clone())?,
        })
    }
}

/// The batches of one epoch.
pub(crate) struct Batches<'a> {
    config: &'a TrainConfig,
    data: &'a Data,
    augmenter: Option<&'a Augmenter<'a>>,
    /// Weight of a clip of each class.
    weights: &'a [f32],
    /// What a teacher says.
    soft: Option<&'a Soft>,
    /// What moves functionals to their speakers.
    voices: Option<&'a Voices<'a>>,
    key: EpochKey,
    order: Vec<usize>,
    steps: usize,
}

impl<'a> Batches<'a> {
    /// `clips` in an order that follows from `key`.
    pub(crate) fn new(
        config: &'a TrainConfig,
        data: &'a Data,
        augmenter: Option<&'a Augmenter<'a>>,
        weights: &'a [f32],
        clips: &[usize],
        key: EpochKey,
    ) -> Self {
        let mut rng = generator(&key, Purpose::Order, 0);
        let mut order = match config.training.sampling {
            Sampling::Shuffled => clips.to_vec(),
            Sampling::Balanced => balanced(clips, &data.classes, &mut rng),
        };
        order.shuffle(&mut rng);
        Self {
            config,
            data,
            augmenter,
            weights,
            soft: None,
            voices: None,
            key,
            steps: steps(clips.len(), config.training.batch_size),
            order,
        }
    }

    /// The same with what a teacher says of each clip.
    pub(crate) fn with_soft(self, soft: Option<&'a Soft>) -> Self {
        Self { soft, ..self }
    }

    /// The same with functionals that are moved to their speakers.
    pub(crate) fn with_voices(self, voices: Option<&'a Voices<'a>>) -> Self {
        Self { voices, ..self }
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Place of a step's first clip in the epoch. The batches are of equal size, give or take one: a
    /// small rest would have poor batch statistics.
    fn start(&self, step: usize) -> usize {
        step * self.order.len() / self.steps
    }

    /// The clips of a step.
    pub(crate) fn clips(&self, step: usize) -> &[usize] {
        &self.order[self.start(step)..self.start(step + 1)]
    }

    /// Makes a step's batch in the buffers of an old one.
    fn fill(
        &self,
        step: usize,
        batch: &mut Batch,
        scratch: &mut Scratch,
    ) -> Result<(), TrainError> {
        let clips = self.clips(step);
        let n_functionals = self.data.n_functionals;
        let n_features = self.config.n_bands() + n_functionals;
        let classes = self.data.labels.len();
        let augmentation = &self.config.augmentation;
        let columns = Columns {
            n_functionals,
            compression: self.config.front_end.compression,
        };
        let crop = self.config.training.crop_frames * n_features;
        batch.step = step;
        batch.features.resize(clips.len() * crop, 0.0);
        batch.targets.resize(clips.len() * classes, 0.0);
        let rows = batch
            .features
            .chunks_exact_mut(crop)
            .zip(batch.targets.chunks_exact_mut(classes));
        for ((place, &clip), (features, targets)) in (self.start(step)..).zip(clips).zip(rows) {
            let clean = &self.data.features[clip];
            let source = match self.augmenter {
                None => Cow::Borrowed(clean),
                Some(augmenter) => {
                    let mut rng = generator(&self.key, Purpose::Waveform, place);
                    augmenter.features(clip, &mut rng, &mut scratch.front_end)?
                }
            };
            let mut rng = generator(&self.key, Purpose::Clip, place);
            let row = &mut scratch.row;
            augmentation.crop(columns, &source, &mut rng, features, row);
            if let Some(voices) = self.voices {
                let mut rng = generator(&self.key, Purpose::Voice, place);
                put(&voices.drawn(clip, &mut rng)?, n_features, features);
            }
            let class = self.data.classes[clip];
            self.smooth(class, self.weights[class], targets);
        }
        batch.soft.clear();
        if let Some(soft) = self.soft {
            for &clip in clips {
                let weight = self.weights[self.data.classes[clip]];
                let scores = soft.of(clip).iter().map(|score| weight * score);
                batch.soft.extend(scores);
            }
        }
        self.mixup(augmentation, step, clips.len(), batch, &mut scratch.row);
        batch.weight = batch.targets.iter().sum();
        Ok(())
    }

    fn mixup(
        &self,
        augmentation: &AugmentConfig,
        step: usize,
        count: usize,
        batch: &mut Batch,
        original: &mut Vec<f32>,
    ) {
        let mut rng = generator(&self.key, Purpose::Mixup, step);
        let Some(share) = augmentation.mixup_share(&mut rng) else {
            return;
        };
        let offset = rng.random_range(1..count.max(2));
        for rows in [&mut batch.features, &mut batch.targets, &mut batch.soft] {
            mix(rows, count, offset, share, original);
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

    /// Calls `learn` with every batch in turn, while the next ones are made on another thread.
    ///
    /// # Errors
    /// The first error of making a batch or of `learn`; no further batch is made.
    pub(crate) fn for_each(
        &self,
        mut learn: impl FnMut(&Batch) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        let (give_back, empty) = sync_channel::<Batch>(BUFFERS);
        let (hand_over, full) = sync_channel::<Result<Batch, TrainError>>(BUFFERS);
        for _ in 0..BUFFERS {
            // The channel holds all of them.
            let _ = give_back.send(Batch::default());
        }
        // Moved in, so that both ends hang up before the scope waits for the maker.
        std::thread::scope(move |scope| {
            scope.spawn(move || self.make(&empty, &hand_over));
            // Ends when all are made; leaving early hangs up on the maker, which then stops.
            for batch in full {
                let batch = batch?;
                learn(&batch)?;
                let _ = give_back.send(batch);
            }
            Ok(())
        })
    }

    fn make(&self, empty: &Receiver<Batch>, full: &SyncSender<Result<Batch, TrainError>>) {
        let mut scratch = match Scratch::new(self.config) {
            Ok(scratch) => scratch,
            Err(error) => {
                // Nobody listens any more when the training has ended.
                let _ = full.send(Err(error));
                return;
            }
        };
        for step in 0..self.steps {
            let Ok(mut batch) = empty.recv() else { return };
            let made = self.fill(step, &mut batch, &mut scratch);
            let failed = made.is_err();
            if full.send(made.map(|()| batch)).is_err() || failed {
                return;
            }
        }
    }
}

/// As many clips as given, each class in turn: a small class starts again when all of its clips have come.
fn balanced(clips: &[usize], classes: &[usize], rng: &mut StdRng) -> Vec<usize> {
    let mut of_class: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &clip in clips {
        of_class.entry(classes[clip]).or_default().push(clip);
    }
    let mut of_class: Vec<Vec<usize>> = of_class.into_values().collect();
    of_class.iter_mut().for_each(|clips| clips.shuffle(rng));
    // Which classes are one clip ahead where the number does not divide is drawn as well.
    of_class.shuffle(rng);
    (0..clips.len())
        .map(|i| {
            let of = &of_class[i % of_class.len()];
            of[i / of_class.len() % of.len()]
        })
        .collect()
}

/// Steps of an epoch.
pub(crate) fn steps(clips: usize, batch_size: usize) -> usize {
    clips.div_ceil(batch_size)
}

/// `row[i] = share · row[i] + (1 − share) · row[i + offset]`, rows counted in a circle.
fn mix(rows: &mut [f32], count: usize, offset: usize, share: f32, original: &mut Vec<f32>) {
    original.clear();
    original.extend_from_slice(rows);
    let len = rows.len() / count;
    if len == 0 {
        return;
    }
    for (i, row) in rows.chunks_exact_mut(len).enumerate() {
        let other = (i + offset) % count;
        let other = &original[other * len..(other + 1) * len];
        row.iter_mut()
            .zip(other)
            .for_each(|(x, y)| *x = share * *x + (1.0 - share) * y);
    }
}

#[cfg(test)]
mod tests {
    use vocalics_corpora::{LabelSet, Utterance};
    use vocalics_features::FeatureMatrix;

    use super::*;
    use crate::TrainingConfig;

    const CLIPS: usize = 21;

    fn config() -> TrainConfig {
        TrainConfig {
            training: TrainingConfig {
                batch_size: 4,
                crop_frames: 32,
                ..TrainingConfig::default()
            },
            augmentation: AugmentConfig {
                mixup: 0.3,
                ..AugmentConfig::default()
            },
            ..TrainConfig::default()
        }
    }

    fn data() -> Data {
        let matrix = |clip: usize| {
            let values = (0..(20 + clip) * 64).map(|i| ((i * (clip + 3)) as f32).sin());
            FeatureMatrix::new(values.collect(), 64).unwrap()
        };
        Data {
            utterances: Vec::<Utterance>::new(),
            labels: LabelSet::new(vec!["neutral".into(), "angry".into()]).unwrap(),
            classes: (0..CLIPS).map(|clip| clip % 2).collect(),
            features: (0..CLIPS).map(matrix).collect(),
            waveforms: None,
            n_functionals: 0,
            embedded: None,
            contents: Vec::new(),
        }
    }

    #[test]
    fn mixing_blends_each_row_with_another() {
        let mut rows = vec![0.0, 0.0, 10.0, 20.0, 40.0, 80.0];
        mix(&mut rows, 3, 1, 0.75, &mut Vec::new());
        assert_eq!(rows, vec![2.5, 5.0, 17.5, 35.0, 30.0, 60.0]);
    }

    #[test]
    fn every_clip_comes_once_in_batches_of_equal_size() {
        let (config, data) = (config(), data());
        let clips: Vec<usize> = (0..CLIPS).collect();
        let batches = Batches::new(&config, &data, None, &[1.0, 1.0], &clips, [7; 32]);
        let sizes: Vec<usize> = (0..batches.steps())
            .map(|step| batches.clips(step).len())
            .collect();
        assert_eq!(sizes, [3, 4, 3, 4, 3, 4]);
        let mut seen: Vec<usize> = (0..batches.steps())
            .flat_map(|step| batches.clips(step).to_vec())
            .collect();
        assert_ne!(seen, clips, "shuffled");
        seen.sort_unstable();
        assert_eq!(seen, clips);
    }

    #[test]
    fn balanced_sampling_takes_every_class_as_often() {
        let classes: Vec<usize> = (0..60).map(|i| usize::from(i % 10 == 0)).collect();
        let clips: Vec<usize> = (0..60).collect();
        let order = balanced(
            &clips,
            &classes,
            &mut generator(&[1; 32], Purpose::Order, 0),
        );
        assert_eq!(order.len(), 60);
        let rare: Vec<usize> = order.iter().copied().filter(|&i| classes[i] == 1).collect();
        assert_eq!(rare.len(), 30);
        // Six clips five times each; none of the large class twice.
        for (clip, &class) in classes.iter().enumerate() {
            let times = order.iter().filter(|&&i| i == clip).count();
            assert!(
                if class == 1 { times == 5 } else { times <= 1 },
                "{clip}: {times}"
            );
        }
    }

    #[test]
    fn batches_made_ahead_are_those_made_alone() {
        let (config, data) = (config(), data());
        let clips: Vec<usize> = (0..CLIPS).collect();
        let batches = Batches::new(&config, &data, None, &[1.0, 2.0], &clips, [7; 32]);
        let mut steps = Vec::new();
        let done = batches.for_each(|batch| {
            let mut alone = Batch::default();
            let mut scratch = Scratch::new(&config).unwrap();
            batches.fill(batch.step, &mut alone, &mut scratch).unwrap();
            assert_eq!(alone.features, batch.features);
            assert_eq!(alone.targets, batch.targets);
            assert!((batch.weight - batch.targets.iter().sum::<f32>()).abs() < 1e-6);
            steps.push(batch.step);
            Ok(())
        });
        assert!(done.is_ok());
        assert_eq!(steps, (0..batches.steps()).collect::<Vec<_>>());
        let other = Batches::new(&config, &data, None, &[1.0, 2.0], &clips, [8; 32]);
        assert_ne!(other.order, batches.order);
    }

    #[test]
    fn what_the_teacher_says_is_weighted_and_mixed_like_the_targets() {
        let (config, data) = (config(), data());
        let clips: Vec<usize> = (0..CLIPS).collect();
        // A teacher that knows all labels: what it says is what the labels say, without smoothing.
        let logits: Vec<Vec<f32>> = (0..CLIPS)
            .map(|clip| vec![0.0, if clip % 2 == 1 { 90.0 } else { -90.0 }])
            .collect();
        let soft = Soft::new(CLIPS, &clips, &logits, 1.0).unwrap();
        let batches = Batches::new(&config, &data, None, &[1.0, 2.0], &clips, [7; 32]);
        let batches = batches.with_soft(Some(&soft));
        let (mut batch, mut scratch) = (Batch::default(), Scratch::new(&config).unwrap());
        for step in 0..batches.steps() {
            batches.fill(step, &mut batch, &mut scratch).unwrap();
            assert_eq!(batch.soft.len(), batch.targets.len());
            #[expect(clippy::cast_possible_truncation, reason = "a share")]
            let share = config.training.label_smoothing as f32;
            let rows = batch.soft.chunks(2).zip(batch.targets.chunks(2));
            for (soft, targets) in rows {
                let weight: f32 = soft.iter().sum();
                for (soft, target) in soft.iter().zip(targets) {
                    let smooth = soft * (1.0 - share) + weight * share / 2.0;
                    assert!((smooth - target).abs() < 1e-5, "{smooth} {target}");
                }
            }
        }
    }

    #[test]
    fn an_error_ends_the_epoch() {
        let (config, data) = (config(), data());
        let clips: Vec<usize> = (0..CLIPS).collect();
        let batches = Batches::new(&config, &data, None, &[1.0, 1.0], &clips, [7; 32]);
        let mut calls = 0;
        let result = batches.for_each(|batch| {
            calls += 1;
            if batch.step == 1 {
                Err(TrainError::TooFewClasses { actual: 1 })
            } else {
                Ok(())
            }
        });
        assert!(matches!(result, Err(TrainError::TooFewClasses { .. })));
        assert_eq!(calls, 2);
    }

    #[test]
    fn a_buffer_that_went_round_is_filled_without_allocating() {
        let (config, data) = (config(), data());
        let clips: Vec<usize> = (0..CLIPS).collect();
        let batches = Batches::new(&config, &data, None, &[1.0, 1.0], &clips, [7; 32]);
        let (mut batch, mut scratch) = (Batch::default(), Scratch::new(&config).unwrap());
        for step in 0..batches.steps() {
            batches.fill(step, &mut batch, &mut scratch).unwrap();
        }
        let one = allocation_counter::measure(|| drop(std::hint::black_box(vec![1])));
        assert_eq!(one.count_total, 1, "the allocator counts");
        let counted = allocation_counter::measure(|| {
            for step in 0..batches.steps() {
                batches.fill(step, &mut batch, &mut scratch).unwrap();
            }
        });
        assert_eq!(counted.count_total, 0, "{counted:?}");
    }
}
