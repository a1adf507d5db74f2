//! How a run tells what it is doing.

use vocalics_eval::HistoryRow;

use crate::PretrainRow;

/// Receives news of a run, from several threads at once.
pub trait Progress: Sync {
    /// `done` of `total` recordings have their features.
    fn features(&self, done: usize, total: usize) {
        let _ = (done, total);
    }
    /// A training, named as in [`HistoryRow::training`], starts or goes on after `epochs_done` of `epochs`.
    fn training_started(&self, training: &str, epochs_done: usize, epochs: usize) {
        let _ = (training, epochs_done, epochs);
    }
    /// A step of an epoch is done.
    fn step(&self, training: &str, step: usize, steps: usize) {
        let _ = (training, step, steps);
    }
    /// An epoch is done and in the checkpoint.
    fn epoch(&self, row: &HistoryRow) {
        let _ = row;
    }
    /// An epoch of a training without labels is done and in the checkpoint.
    fn pretrain_epoch(&self, training: &str, row: &PretrainRow) {
        let _ = (training, row);
    }
    /// The last epoch of a training is done.
    fn training_finished(&self, training: &str) {
        let _ = training;
    }
    /// `done` of `folds` folds of a classical method, named as its row, are fitted.
    fn fitted(&self, row: &str, done: usize, folds: usize) {
        let _ = (row, done, folds);
    }
    /// Something that the user should know and that does not stop the run.
    fn warning(&self, message: &str) {
        let _ = message;
    }
}

/// Says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
