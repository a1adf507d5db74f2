//! The trainings of a run: every network of every fold, side by side.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use burn::tensor::Device;
use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_corpora::Fold;
use vocalics_eval::{HistoryRow, fit_mixture_weights, fit_temperature, softmax_t, training_name};
use vocalics_features::{FeatureMatrix, Standardiser};
use vocalics_models::input::Door;
use vocalics_models::{Ensemble, NetworkConfig};

use crate::byol::Pretrainer;
use crate::distillation::{Soft, Teacher};
use crate::fold::{TrainedModel, TrainedNetwork, Trainer, infer_all};
use crate::functionals;
use crate::heard::unheard_in;
use crate::side_by_side::{pool, side_by_side};
use crate::start::Start;
use crate::waveforms::Augmenter;
use crate::{
    ComputeDevice, Data, Freeze, Heard, Objective, Progress, RunOptions, TrainConfig, TrainError,
    TransferConfig, Weighting,
};

/// What all trainings of a run have in common.
pub(crate) struct Task<'a> {
    pub(crate) config: &'a TrainConfig,
    pub(crate) data: &'a Data,
    /// Recordings that a training comes before on.
    pub(crate) prior: Option<&'a Data>,
    /// The model file that trainings begin from.
    pub(crate) start: Option<&'a Start>,
    /// The model file that trainings learn from.
    pub(crate) teacher: Option<&'a Teacher>,
    /// Identifies configuration, recordings and device.
    pub(crate) key: &'a str,
    pub(crate) device: ComputeDevice,
    pub(crate) progress: &'a dyn Progress,
}

/// What a fold's networks share, and those of them that are trained so far.
struct Slot {
    standardiser: Standardiser,
    networks: Mutex<Vec<Option<TrainedNetwork>>>,
}

impl Task<'_> {
    /// Trains a model for every fold and hands each to `finish` as soon as its last network is trained; where it is a
    /// student of the fold's own teacher, with the teacher. `folder` is where a fold keeps its checkpoints.
    ///
    /// # Errors
    /// The first error of a training or of `finish`, by the order of folds. No new training starts after one; those
    /// under way finish and keep their checkpoints.
    pub(crate) fn run<R: Send>(
        &self,
        folds: &[Fold],
        options: &RunOptions,
        folder: impl Fn(&Fold) -> PathBuf + Sync,
        finish: impl Fn(&Fold, TrainedModel, Option<TrainedModel>) -> Result<R, TrainError> + Sync,
    ) -> Result<Vec<R>, TrainError> {
        let members = self.config.members().len();
        self.check_weighting(folds)?;
        // A plan with nothing to draw from is better said before hours of training.
        for fold in folds {
            Augmenter::new(self.config, self.data, fold)?;
            if let Some(prior) = self.prior.filter(|_| self.learns_labels_first()) {
                Augmenter::new(self.config, prior, &self.before(fold, prior))?;
            }
        }
        let slots = folds
            .iter()
            .map(|fold| {
                Ok(Slot {
                    standardiser: self.standardiser(fold)?,
                    networks: Mutex::new((0..members).map(|_| None).collect()),
                })
            })
            .collect::<Result<Vec<Slot>, TrainError>>()?;
        self.check_frozen(slots.first())?;
        let soft = self.taught(folds)?;
        let one = |fold: usize, member: usize| -> Result<Option<R>, TrainError> {
            let (slot, fold) = (&slots[fold], &folds[fold]);
            let at = (member, folder(fold));
            let trained = self.train(fold, &slot.standardiser, &at, soft.as_ref())?;
            match complete(&slot.networks, member, trained) {
                Some(networks) => {
                    let model = self.together(fold, slot.standardiser.clone(), networks)?;
                    match self.config.student() {
                        None => finish(fold, model, None).map(Some),
                        Some(student) => {
                            let student = self.distil(fold, &model, student, &folder(fold))?;
                            finish(fold, student, Some(model)).map(Some)
                        }
                    }
                }
                None => Ok(None),
            }
        };
        let outcomes = side_by_side(options.jobs, folds.len() * members, |job| {
            pool(options.threads)?.install(|| one(job / members, job % members))
        })?;
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Every network must have more stages than are frozen.
    fn check_frozen(&self, slot: Option<&Slot>) -> Result<(), TrainError> {
        let Some(Slot { standardiser, .. }) = slot else {
            return Ok(());
        };
        let (n_mels, labels) = (self.config.n_bands(), self.data.labels.len());
        let sizes = [n_mels, self.config.n_functionals()];
        let door = Door::with_functionals(sizes, standardiser.mean(), standardiser.std())?;
        for network in self.config.members() {
            let rng = &mut StdRng::seed_from_u64(0);
            let network = network.init(n_mels, labels, door.clone(), rng, &Device::flex())?;
            self.config.transfer.frozen(&network.stages())?;
        }
        Ok(())
    }

    /// Shares can only be fitted on validation clips, which is better said before hours of training.
    fn check_weighting(&self, folds: &[Fold]) -> Result<(), TrainError> {
        let fitted = self.config.ensemble.weighting == Weighting::Validation
            && self.config.members().len() > 1;
        match folds.iter().find(|fold| fold.validation.is_empty()) {
            Some(fold) if fitted => Err(TrainError::Config {
                field: "ensemble.weighting",
                actual: format!("\"validation\", and {} has no validation clips", fold.name),
                expected: "\"equal\", or evaluation.validation_speakers of at least 1",
            }),
            _ => Ok(()),
        }
    }

    /// Fitted where the first weights learn: on the clips of the training that comes first, unless the weights come from a
    /// file, which brings its own.
    fn standardiser(&self, fold: &Fold) -> Result<Standardiser, TrainError> {
        if let Some(start) = self.start {
            return Ok(start.standardiser.clone());
        }
        let before = self.prior.map(|prior| (prior, self.before(fold, prior)));
        if let Some((prior, before)) = &before
            && before.train.is_empty()
        {
            let (clips, fold) = (prior.utterances.len(), &fold.name);
            return Err(TrainError::Config {
                field: "transfer.pretrain.corpora",
                actual: format!(
                    "{clips} clips, none of which {fold} may learn from: their speakers are held out of its training, or nobody knows who they are"
                ),
                expected: "recordings of other speakers, who are named",
            });
        }
        let (data, clips) = match &before {
            Some((prior, before)) => (*prior, &before.train),
            None => (self.data, &fold.train),
        };
        let clips: Vec<&FeatureMatrix> = clips.iter().map(|&i| &data.features[i]).collect();
        functionals::standardiser(&clips, data.n_functionals)
    }

    /// What comes before the training of a fold.
    fn before(&self, fold: &Fold, prior: &Data) -> Fold {
        Fold {
            name: format!("{}, before", fold.name),
            train: unheard_in(fold, self.data, prior),
            validation: Vec::new(),
            test: Vec::new(),
        }
    }

    /// Whether a training that comes first learns labels.
    fn learns_labels_first(&self) -> bool {
        self.config.transfer.pretrain.objective == Objective::Labels
    }

    /// Trains on the other corpora, if there are any; its weights are what the training begins from then.
    fn pretrain(
        &self,
        fold: &Fold,
        standardiser: &Standardiser,
        member: usize,
        folder: &Path,
    ) -> Result<Option<Start>, TrainError> {
        let Some(prior) = self.prior else {
            return Ok(None);
        };
        let mut config = self.config.clone();
        config.training.epochs = config.transfer.pretrain.epochs;
        config.transfer.freeze = Freeze::default();
        config.transfer.layer_decay = 1.0;
        let before = self.before(fold, prior);
        let checkpoint = folder.join("before").join("checkpoint");
        if !self.learns_labels_first() {
            let network = Pretrainer {
                config: &config,
                data: prior,
                name: training_name(&before.name, member + 1),
                clips: &before.train,
                network: self.config.members()[member],
                standardiser,
                start: self.start,
                key: self.key,
                checkpoint: &checkpoint,
                device: self.device,
                progress: self.progress,
            }
            .train()?
            .network;
            let labels = prior.labels.as_slice();
            let start = Start::of_network(network, &config, labels, standardiser.clone());
            return Ok(Some(start));
        }
        let trained = Trainer {
            config: &config,
            data: prior,
            fold: &before,
            network: self.config.members()[member],
            member,
            standardiser,
            start: self.start,
            soft: None,
            key: self.key,
            checkpoint: &checkpoint,
            device: self.device,
            progress: self.progress,
        }
        .train()?;
        let labels = prior.labels.as_slice();
        let standardiser = standardiser.clone();
        let start = Start::of_network(trained.network, &config, labels, standardiser);
        Ok(Some(start))
    }

    /// What the model file says of all clips that any fold trains on.
    fn taught(&self, folds: &[Fold]) -> Result<Option<Soft>, TrainError> {
        let (Some(teacher), Some(distillation)) = (self.teacher, &self.config.distillation) else {
            return Ok(None);
        };
        let mut clips: Vec<usize> = folds.iter().flat_map(|fold| fold.train.clone()).collect();
        clips.sort_unstable();
        clips.dedup();
        let soft = teacher.soft(self.data, &clips, distillation.temperature)?;
        Ok(Some(soft))
    }

    /// Trains a student on what the fold's own model says of the training clips. Its history follows the teacher's.
    fn distil(
        &self,
        fold: &Fold,
        teacher: &TrainedModel,
        network: &NetworkConfig,
        folder: &Path,
    ) -> Result<TrainedModel, TrainError> {
        let mut config = self.config.clone();
        // What the teacher began from has no place for another network.
        config.transfer = TransferConfig::default();
        let temperature = config
            .distillation
            .as_ref()
            .map_or(1.0, |it| it.temperature);
        let features = &self.data.features;
        let logits = infer_all(&teacher.ensemble, features, &fold.train);
        let soft = Soft::new(features.len(), &fold.train, &logits, temperature)?;
        let trained = Trainer {
            config: &config,
            data: self.data,
            fold,
            network,
            member: self.config.members().len(),
            standardiser: &teacher.standardiser,
            start: None,
            soft: Some(&soft),
            key: self.key,
            checkpoint: &folder.join("student").join("checkpoint"),
            device: self.device,
            progress: self.progress,
        }
        .train()?;
        let mut student = self.together(fold, teacher.standardiser.clone(), vec![trained])?;
        student.history.splice(..0, teacher.history.clone());
        Ok(student)
    }

    /// Whom the models of a fold have heard besides its own clips.
    pub(crate) fn heard_before(&self, fold: &Fold) -> Heard {
        let file = self.start.map(|start| start.heard.clone());
        let teacher = self.teacher.map(|teacher| teacher.heard.clone());
        let file = file.unwrap_or_default().and(teacher.unwrap_or_default());
        let prior = self.prior.map(|prior| {
            let before = self.before(fold, prior);
            Heard::in_clips(prior, &before.train)
        });
        file.and(prior.unwrap_or_default())
    }

    fn train(
        &self,
        fold: &Fold,
        standardiser: &Standardiser,
        (member, folder): &(usize, PathBuf),
        soft: Option<&Soft>,
    ) -> Result<TrainedNetwork, TrainError> {
        let member = *member;
        // The first network keeps its files where a single one does.
        let folder = match member {
            0 => folder.to_owned(),
            member => folder.join(format!("network-{}", member + 1)),
        };
        let pretrained = self.pretrain(fold, standardiser, member, &folder)?;
        Trainer {
            config: self.config,
            data: self.data,
            fold,
            network: self.config.members()[member],
            member,
            standardiser,
            start: pretrained.as_ref().or(self.start),
            soft,
            key: self.key,
            checkpoint: &folder.join("checkpoint"),
            device: self.device,
            progress: self.progress,
        }
        .train()
    }

    /// Weights the networks and fits the temperature, both on the validation clips.
    fn together(
        &self,
        fold: &Fold,
        standardiser: Standardiser,
        networks: Vec<TrainedNetwork>,
    ) -> Result<TrainedModel, TrainError> {
        let features = &self.data.features;
        let truth: Vec<usize> = fold
            .validation
            .iter()
            .map(|&i| self.data.classes[i])
            .collect();
        let mut history: Vec<HistoryRow> = Vec::new();
        let (mut parameters, mut members) = (0, Vec::new());
        for trained in networks {
            history.extend(trained.history);
            parameters += trained.parameters;
            members.push(trained.network);
        }
        let fitted = self.config.ensemble.weighting == Weighting::Validation;
        let weights = if fitted && members.len() > 1 {
            let scores = members.iter().map(|network| {
                infer_all(&network.clone().into(), features, &fold.validation)
                    .iter()
                    .map(|logits| softmax_t(logits, 1.0))
                    .collect::<Result<Vec<_>, _>>()
            });
            fit_mixture_weights(&scores.collect::<Result<Vec<_>, _>>()?, &truth)?
        } else {
            #[expect(clippy::cast_precision_loss, reason = "a handful of networks")]
            let share = 1.0 / members.len() as f32;
            vec![share; members.len()]
        };
        let ensemble = Ensemble::new(members, weights)?;
        let temperature = if truth.is_empty() {
            1.0
        } else {
            fit_temperature(&infer_all(&ensemble, features, &fold.validation), &truth)?
        };
        Ok(TrainedModel {
            ensemble,
            standardiser,
            temperature,
            history,
            parameters,
        })
    }
}

/// Puts a trained network in its place; all of them once none is missing.
fn complete(
    networks: &Mutex<Vec<Option<TrainedNetwork>>>,
    member: usize,
    trained: TrainedNetwork,
) -> Option<Vec<TrainedNetwork>> {
    let mut networks = networks.lock().ok()?;
    networks[member] = Some(trained);
    if networks.iter().any(Option::is_none) {
        return None;
    }
    networks.iter_mut().map(Option::take).collect()
}
