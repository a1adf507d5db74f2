//! Speech emotion corpora, label taxonomies, protocols and checks.
//!
//! A corpus on disk becomes a sorted list of [`Utterance`]s ([`scan`]); a [`Target`] and a
//! [`LabelMap`] turn each into a class; a [`Protocol`] turns the list into train, validation and
//! test parts. Three rules hold everywhere:
//!
//! * **Names come from the corpus, never from a guess.** A file whose name does not follow the rule
//!   its corpus documents is a [`Problem`] that names the file; it is never silently dropped.
//! * **No speaker on both sides.** Every protocol keeps the speakers of train, validation and test
//!   apart, and counts speech and song of one actor as one speaker. The exceptions say so:
//!   [`Protocol::speakers_shared`].
//! * **Nothing is merged silently.** A map between label sets is explicit and can be printed.
//!
//! ```no_run
//! use vocalics_corpora::{CorpusSpec, LabelSet, Protocol, SplitOptions, scan};
//!
//! # fn main() -> Result<(), vocalics_corpora::CorpusError> {
//! let spec: CorpusSpec = "ravdess-speech=data/ravdess-speech".parse()?;
//! let utterances = scan(&spec)?.utterances;
//! let set = LabelSet::emotions8();
//! let labels = set.indices(&utterances)?;
//! let folds = Protocol::Emobox6Fold.folds(&utterances, &labels, &SplitOptions::default())?;
//! assert_eq!(folds.len(), 6);
//! # Ok(())
//! # }
//! ```
//!
//! A new corpus is one file and one line in [`corpus`]; `docs/adding-a-corpus.md` walks through it.

mod check;
mod composition;
pub mod corpus;
mod crema_d;
mod emodb;
mod error;
mod folder;
#[cfg(feature = "get")]
pub mod get;
mod label;
mod manifest;
mod protocol;
mod ravdess;
mod savee;
mod shuffle;
mod table;
mod target;
mod tess;
mod utterance;

pub use check::{
    CheckOptions, CheckReport, Clip, Finding, FindingKind, check, check_folds, check_with,
};
pub use composition::{Composition, CorpusColumn, composition};
pub use corpus::{
    Archive, CorpusInfo, CorpusKind, CorpusSpec, Download, Problem, Scan, locate, scan, scan_all,
};
pub use error::CorpusError;
pub use label::{LabelMap, LabelSet};
pub use manifest::{ManifestColumns, manifest_hash, read_manifest, write_manifest};
pub use protocol::{Fold, Protocol, SplitOptions, UserFolds, speaker_overlap, write_folds};
pub use target::Target;
pub use utterance::{Sex, Utterance, is_unknown_speaker};
