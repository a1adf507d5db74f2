//! The course of a training without labels, `history.csv`.

use serde::{Deserialize, Serialize};

/// One epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainRow {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Mean loss: 0 where both predictions are the other view's projection, 8 where they point away from it.
    pub loss: f64,
    /// Deviation of the normalised embeddings of a batch, times the root of their size: 1 where they point in all directions alike,
    /// 0 where they are all the same.
    ///
    /// Source: X. Chen, K. He, *Exploring Simple Siamese Representation Learning*, CVPR 2021, section 4.1.
    pub embedding_deviation: f64,
    /// The same of the projections.
    pub projection_deviation: f64,
    /// Share of the target that stayed at the last step.
    pub tau: f64,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Wall-clock time of the epoch in seconds.
    pub seconds: f64,
}

/// The rows as CSV, one column per field of [`PretrainRow`].
pub(crate) fn history_to_csv(rows: &[PretrainRow]) -> String {
    let mut text = String::from(
        "epoch,loss,embedding_deviation,projection_deviation,tau,learning_rate,seconds\n",
    );
    for row in rows {
        let PretrainRow {
            epoch,
            loss,
            embedding_deviation,
            projection_deviation,
            tau,
            learning_rate,
            seconds,
        } = row;
        text += &format!(
            "{epoch},{loss},{embedding_deviation},{projection_deviation},{tau},{learning_rate},{seconds}\n"
        );
    }
    text
}
