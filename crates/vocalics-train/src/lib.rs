//! Training, cross-validation and export.
//!
//! A run is a configuration ([`TrainConfig`]), a list of recordings with their features ([`Data`])
//! and a directory. [`cross_validate`] trains one model per fold of a protocol, side by side, and
//! measures each on the fold's test part, once; [`train_model`] trains one model on everything and
//! exports it. Both write the run directory as they go: a run that is killed goes on from its last
//! checkpoint and ends with the same numbers.
//!
//! [`classical`] fits methods that take one vector per clip, for comparison, and [`FinishedRun`] reads a run back for the same.
//!
//! What a test clip could reach: nothing. Standardisation, weights and temperature come from the
//! training and validation parts of the fold; the number of epochs is fixed in the configuration
//! and the weights used are those of the last epoch, so that nothing is selected. Augmentation
//! happens on the training clips in memory, and what it draws from are training clips of the same fold.

mod augment;
mod batch;
mod byol;
mod cache;
mod checkpoint;
pub mod classical;
mod combine;
mod config;
mod data;
mod device;
mod distillation;
mod encoder;
mod error;
mod export;
mod finished;
mod fold;
mod functionals;
mod heard;
mod jobs;
mod listed;
mod loss;
mod optimiser;
mod parameters;
mod progress;
mod run;
mod side_by_side;
mod source_file;
mod speaker;
mod start;
mod transfer;
pub mod tune;
mod unlabelled;
mod voices;
mod waveforms;

pub use augment::AugmentConfig;
pub use byol::{ByolConfig, PretrainRow};
pub use cache::{Cached, FeatureCache};
pub use combine::combine_runs;
pub use config::{
    ClassWeights, EnsembleConfig, EvaluationConfig, Sampling, TemperatureFrom, TrainConfig,
    TrainingConfig, Weighting,
};
pub use data::{Data, Embedded, LoadOptions};
pub use device::ComputeDevice;
pub use distillation::DistillationConfig;
pub use encoder::{EncoderConfig, open_encoder};
pub use error::TrainError;
pub use export::{ExportNotes, domain, export};
pub use finished::{FinishedRun, network_names};
pub use fold::{TrainedModel, infer};
pub use functionals::FunctionalsConfig;
pub use heard::Heard;
pub use listed::{Content, Listed};
pub use progress::{Progress, Silent};
pub use run::{
    CrossValidation, Pretrained, RunOptions, SPEAKER_PREDICTIONS, check_sources, cross_validate,
    cross_validate_after, pretrain, protocol_result, train_model, train_model_after,
};
pub use speaker::{Answering, Moved, with_speaker_calibrated};
pub use start::describe_init;
pub use transfer::{Freeze, NamedFreeze, Objective, PretrainConfig, TransferConfig};
pub use vocalics_models::{Ensemble, Network, NetworkConfig};
pub use waveforms::Waveforms;

/// Revision of the source this was built from, or `unknown`.
pub const GIT_REVISION: &str = env!("VOCALICS_GIT_REVISION");
