//! Classical methods: one vector per clip in, a score for every class out.
//!
//! What networks have to be compared with, and what is fitted in seconds. [`evaluate_classical`] runs methods under a
//! protocol on vectors of named feature sets ([`SummarySet`]). One file per method, each with its source:
//!
//! | method | file |
//! |---|---|
//! | commonest class | `majority.rs` |
//! | k nearest neighbours | `neighbours.rs` |
//! | multinomial logistic regression | `logistic.rs`, its minimiser `lbfgs.rs` |
//! | support vector machine, linear and Gaussian | `support_vectors.rs`, its solver `smo.rs` |
//! | random forest | `forest.rs`, its trees `tree.rs` and `bins.rs` |
//! | gradient boosting | `boosting.rs`, the same trees |
//! | Gaussian mixture per class | `mixture.rs` |
//! | multi-layer perceptron | `perceptron.rs` |
//!
//! A method sees the training part of a fold and nothing else (`nested.rs`): vectors are standardised on it, hyper-parameters and the
//! temperature are chosen by cross-validation over its speakers, and then all of it is fitted to. Each fit runs on one thread, so
//! that its result does not depend on how many folds run side by side.

mod bins;
mod boosting;
mod config;
mod data;
mod forest;
#[cfg(test)]
mod golden;
mod lbfgs;
mod logistic;
mod majority;
mod method;
mod mixture;
mod neighbours;
mod nested;
mod perceptron;
mod run;
mod sample;
mod smo;
mod support_vectors;
mod tree;

pub use boosting::BoostingConfig;
pub use config::ClassicalConfig;
pub use data::{ClassicalData, SummarySet, Vectors};
pub use forest::ForestConfig;
pub use logistic::LogisticConfig;
pub use method::Method;
pub use mixture::MixtureConfig;
pub use neighbours::NeighboursConfig;
pub use perceptron::PerceptronConfig;
pub use run::{ClassicalOptions, ClassicalRow, evaluate_classical, planned_test, test_folds};
pub use support_vectors::{SvmLinearConfig, SvmRbfConfig};
