//! Learning without labels: two views of a clip are to be alike, and the network that says so tells clips apart.
//!
//! An online network (body, projector, predictor) predicts what a target network (body, projector) makes of another view of the same
//! clip. The target gets no gradient: its weights are a moving average of the online ones. After the training the online body is
//! kept, projector and predictor are thrown away.
//!
//! What was changed: crops of any length that the configuration asks for; no normalisation of a batch before and after the views, the
//! network standardises at its door; AdamW instead of Adam.
//!
//! Source: J.-B. Grill et al., *Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning*, NeurIPS 2020; D. Niizumi
//! et al., *BYOL for Audio: Self-Supervised Learning for General-Purpose Audio Representation*, IJCNN 2021 (BYOL-A).

mod config;
mod history;
mod objective;
mod resize_crop;
mod training;
mod views;

pub use config::ByolConfig;
pub use history::PretrainRow;
pub(crate) use training::Pretrainer;
