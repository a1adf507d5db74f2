//! Named, versioned feature sets made of vocalics-dsp parts.
//!
//! One front end serves training and inference. Its configuration, [`LogMelConfig`], travels in the
//! model file beside a [fingerprint](LogMelConfig::fingerprint); a model whose fingerprint differs
//! from the one computed here was trained on other features and must be refused.
//!
//! | item | what it does |
//! |---|---|
//! | [`LogMel`] | a whole clip to log-mel features |
//! | [`LogMelStream`] | the same, chunk by chunk, with the same bits |
//! | [`FeatureMatrix`] | features, row-major `[n_frames, n_features]` |
//! | [`sets`], [`set_by_name`] | named sets: `chroma`, `egemaps`, `mfcc`, `prosody`, `rhythm` |
//! | [`Standardiser`] | zero mean and unit deviation per feature, fitted on training clips |
//! | [`GroupStandardiser`] | the same apart for each speaker or corpus |
//! | [`Voice`] | functionals of one speaker, moved to where the training's speakers have theirs |
//! | [`Selection`], [`Pca`] | fewer features: ranked by class, or along the largest variance |
//!
//! No I/O, no threads, no clock: the crate builds for `wasm32-unknown-unknown` as it is.
//!
//! ```
//! use vocalics_features::{LogMel, LogMelConfig};
//!
//! let mut front_end = LogMel::new(LogMelConfig::default())?;
//! let samples: Vec<f32> = (0..16_000u16).map(|n| (f32::from(n) * 0.3).sin() * 0.1).collect();
//! let features = front_end.compute(&samples)?;
//! assert_eq!((features.n_frames(), features.n_features()), (63, 64));
//! # Ok::<(), vocalics_features::FeatureError>(())
//! ```

mod chroma;
mod compression;
mod domain;
mod egemaps;
mod error;
mod functionals;
mod group_standardise;
mod log_mel;
mod matrix;
mod mfcc;
mod pca;
mod prosody;
mod rhythm;
mod selection;
mod set;
mod standardise;
mod statistics;
mod stream;
mod voice;

pub use compression::Compression;
pub use domain::Domain;
pub use error::FeatureError;
pub use functionals::{Functionals, SetVersion};
pub use group_standardise::GroupStandardiser;
pub use log_mel::{LogMel, LogMelConfig, NORMALISED_RMS, SILENCE_RMS};
pub use matrix::FeatureMatrix;
pub use pca::Pca;
pub use selection::{Criterion, MAX_F, Selection, anova_f, mutual_information, ranking};
pub use set::{Descriptors, FeatureSet, set_by_name, sets};
pub use standardise::{Standardiser, StandardiserFit};
pub use stream::LogMelStream;
pub use vocalics_dsp::Padding;
pub use vocalics_dsp::mel::{MelNorm, MelScale};
pub use voice::{PRIOR_RECORDINGS, Voice};
