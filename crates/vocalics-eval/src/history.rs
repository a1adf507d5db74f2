//! The course of a training: one row per fold and epoch, `history.csv`.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{EvalError, file, predictions::into_text};

/// One epoch of one network.
///
/// Losses may be infinite or NaN in a training that went wrong; they are written and drawn as gaps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryRow {
    /// Fold the model belongs to.
    pub fold: String,
    /// Place of the network within the fold's model, from 1. Histories written before there were ensembles lack it.
    #[serde(default = "first")]
    pub network: usize,
    /// Epoch, as the trainer counts them.
    pub epoch: usize,
    /// Mean training loss.
    pub train_loss: f64,
    /// Mean loss on the validation speakers, where there are any.
    pub validation_loss: Option<f64>,
    /// UAR on the training clips, a fraction in `[0, 1]`.
    pub train_uar: f64,
    /// UAR on the validation speakers, a fraction in `[0, 1]`, where there are any.
    pub validation_uar: Option<f64>,
    /// Learning rate at the end of the epoch.
    pub learning_rate: f64,
    /// Wall-clock time of the epoch in seconds.
    pub seconds: f64,
}

fn first() -> usize {
    1
}

impl HistoryRow {
    /// What the training is called: see [`training_name`].
    #[must_use]
    pub fn training(&self) -> String {
        training_name(&self.fold, self.network)
    }
}

/// What the training of a fold's network is called: the fold, and which network of it if not the first.
#[must_use]
pub fn training_name(fold: &str, network: usize) -> String {
    match network {
        1 => fold.to_owned(),
        network => format!("{fold} network {network}"),
    }
}

/// The history as CSV, one column per field of [`HistoryRow`], absent validation figures as empty fields.
///
/// # Errors
/// An empty history.
pub fn history_to_csv(history: &[HistoryRow]) -> Result<String, EvalError> {
    if history.is_empty() {
        return Err(EvalError::Empty { what: "history" });
    }
    let origin = Path::new("history");
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in history {
        writer.serialize(row).map_err(|source| EvalError::Csv {
            path: origin.to_path_buf(),
            source,
        })?;
    }
    into_text(writer, origin)
}

/// Writes [`history_to_csv`] to `path`, atomically.
///
/// # Errors
/// An empty history, or a file that cannot be written.
pub fn write_history(path: &Path, history: &[HistoryRow]) -> Result<(), EvalError> {
    file::write_atomic(path, history_to_csv(history)?.as_bytes())
}

/// Reads a history written by [`write_history`].
///
/// # Errors
/// A file that cannot be read, lacks a column or holds something else than numbers.
pub fn read_history(path: &Path) -> Result<Vec<HistoryRow>, EvalError> {
    let text = std::fs::read_to_string(path).map_err(|source| EvalError::Io {
        action: "read",
        path: path.to_path_buf(),
        source,
    })?;
    csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes())
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|source| EvalError::Csv {
            path: path.to_path_buf(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_file_brings_back_the_same_rows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.csv");
        let row = |epoch, validation_loss| HistoryRow {
            fold: "fold-1".to_owned(),
            network: 2,
            epoch,
            train_loss: 2.1 / 3.0,
            validation_loss,
            train_uar: 0.5,
            validation_uar: None,
            learning_rate: 3e-4,
            seconds: 1.25,
        };
        let rows = vec![
            row(1, None),
            row(2, Some(1e-7)),
            row(3, Some(f64::INFINITY)),
        ];
        write_history(&path, &rows).unwrap();
        assert_eq!(read_history(&path).unwrap(), rows);
        assert!(matches!(
            write_history(&path, &[]),
            Err(EvalError::Empty { what: "history" })
        ));
        assert_eq!(rows[0].training(), "fold-1 network 2");
        let older = "fold,epoch,train_loss,validation_loss,train_uar,validation_uar,learning_rate,seconds\n\
                     fold-1,1,1.4,,0.5,,0.0003,1.25\n";
        std::fs::write(&path, older).unwrap();
        assert_eq!(read_history(&path).unwrap()[0].training(), "fold-1");
        std::fs::write(&path, "fold,epoch\na,1\n").unwrap();
        assert!(matches!(read_history(&path), Err(EvalError::Csv { .. })));
    }
}
