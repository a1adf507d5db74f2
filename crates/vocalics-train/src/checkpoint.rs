//! What a training needs to go on after it was stopped.
//!
//! Written whole after every epoch, with a checksum in front; a file that does not match its
//! checksum counts as absent, and the fold starts again.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vocalics_eval::HistoryRow;

use crate::TrainError;
use crate::cache::write;
use crate::optimiser::AdamW;

const HASH_LEN: usize = 32;

/// State at the end of an epoch. Everything random in the next one follows from seed, fold and
/// epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Identifies configuration, recordings and fold.
    pub(crate) key: String,
    pub(crate) epochs_done: usize,
    pub(crate) state: Vec<f32>,
    pub(crate) average: Vec<f32>,
    pub(crate) optimiser: AdamW,
    pub(crate) history: Vec<HistoryRow>,
}

impl Checkpoint {
    pub(crate) fn save(&self, path: &Path) -> Result<(), TrainError> {
        save(self, path)
    }

    /// The checkpoint at `path`; `None` if there is none, or it is damaged.
    ///
    /// # Errors
    /// [`TrainError::OtherRun`] when it is good but not of this run.
    pub(crate) fn load(path: &Path, key: &str) -> Result<Option<Self>, TrainError> {
        load(path, key, |checkpoint: &Self| &checkpoint.key)
    }
}

/// Writes a state whole, with its checksum in front.
pub(crate) fn save(state: &impl Serialize, path: &Path) -> Result<(), TrainError> {
    let body = postcard::to_stdvec(state)
        .map_err(|error| TrainError::io("write", path)(std::io::Error::other(error)))?;
    let mut bytes = blake3::hash(&body).as_bytes().to_vec();
    bytes.extend(body);
    write(path, &bytes).map_err(TrainError::io("write", path))
}

/// Reads what [`save`] wrote; `None` if there is none, or it is damaged.
///
/// # Errors
/// [`TrainError::OtherRun`] when it is good but its key, which `key_of` finds, is another.
pub(crate) fn load<T: DeserializeOwned>(
    path: &Path,
    key: &str,
    key_of: impl Fn(&T) -> &str,
) -> Result<Option<T>, TrainError> {
    let Ok(bytes) = std::fs::read(path) else {
        return Ok(None);
    };
    let Some((hash, body)) = bytes.split_at_checked(HASH_LEN) else {
        return Ok(None);
    };
    if blake3::hash(body).as_bytes() != hash {
        return Ok(None);
    }
    match postcard::from_bytes::<T>(body) {
        Ok(state) if key_of(&state) == key => Ok(Some(state)),
        Ok(_) => Err(TrainError::OtherRun {
            path: path.to_owned(),
        }),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_checkpoint_counts_as_absent_and_a_foreign_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint");
        let checkpoint = Checkpoint {
            key: "a".into(),
            epochs_done: 3,
            state: vec![1.0, f32::MIN_POSITIVE],
            average: vec![0.5, -0.0],
            optimiser: AdamW::new(2),
            history: Vec::new(),
        };
        assert_eq!(Checkpoint::load(&path, "a").unwrap(), None);
        checkpoint.save(&path).unwrap();
        assert_eq!(Checkpoint::load(&path, "a").unwrap(), Some(checkpoint));
        assert!(matches!(
            Checkpoint::load(&path, "b"),
            Err(TrainError::OtherRun { .. })
        ));
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Checkpoint::load(&path, "a").unwrap(), None);
        std::fs::write(&path, &bytes[..10]).unwrap();
        assert_eq!(Checkpoint::load(&path, "a").unwrap(), None);
    }
}
