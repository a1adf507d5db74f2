//! How a run tells what it is doing.

use vocalics_eval::HistoryRow;

/// Receives news of a run, from several threads at once.
pub trait Progress: Sync {
    /// `done` of `total` recordings have their features.
    fn features(&self, done: usize, total: usize) {
        let _ = (done, total);
    }
    /// A fold starts, or goes on, after `epochs_done` of `epochs`.
    fn fold_started(&self, fold: &str, epochs_done: usize, epochs: usize) {
        let _ = (fold, epochs_done, epochs);
    }
    /// A step of an epoch is done.
    fn step(&self, fold: &str, step: usize, steps: usize) {
        let _ = (fold, step, steps);
    }
    /// An epoch is done and in the checkpoint.
    fn epoch(&self, row: &HistoryRow) {
        let _ = row;
    }
    /// A fold is measured.
    fn fold_finished(&self, fold: &str) {
        let _ = fold;
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
