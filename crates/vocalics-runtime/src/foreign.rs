//! The engine for networks of any origin: a graph on rten from features to logits or an embedding.

use std::borrow::Cow;
use std::sync::Arc;

use rten::Model;
use rten_tensor::NdTensorView;

use crate::graph::{self, Graph, RunFailure};
use crate::onnx::INPUT_NAME;
use crate::{ModelError, RuntimeError};

/// A loaded network of fixed width, `[batch, n_frames, n_mels]` to `[batch, width]`.
#[derive(Debug)]
pub(crate) struct Foreign {
    graph: Graph,
    n_mels: usize,
    width: usize,
}

impl Foreign {
    /// Loads the graph, from [`INPUT_NAME`] to an output of the name and width.
    ///
    /// # Errors
    ///
    /// [`ModelError::Graph`], [`ModelError::Engine`] or [`ModelError::EngineFailure`].
    pub(crate) fn load(
        bytes: Cow<'static, [u8]>,
        n_mels: usize,
        output: (&str, usize),
        threads: usize,
    ) -> Result<Self, ModelError> {
        Self::of_model(graph::load(bytes, Vec::new())?, n_mels, output, threads)
    }

    /// Runs a part of a loaded graph, from [`INPUT_NAME`] to the output.
    ///
    /// # Errors
    ///
    /// [`ModelError::Graph`].
    pub(crate) fn of_model(
        model: Arc<Model>,
        n_mels: usize,
        (output, width): (&str, usize),
        threads: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            graph: Graph::new(model, INPUT_NAME, output, threads)?,
            n_mels,
            width,
        })
    }

    /// Number of weights.
    pub(crate) fn parameters(&self) -> usize {
        self.graph.parameters()
    }

    /// Runs `[batch, n_frames, n_mels]` to `[batch, width]`.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureCount`], [`RuntimeError::Engine`], [`RuntimeError::EngineFailure`] or
    /// [`RuntimeError::OutputShape`].
    pub(crate) fn run(
        &self,
        features: &[f32],
        n_frames: usize,
        out: &mut [f32],
    ) -> Result<(), RuntimeError> {
        let batch = out.len() / self.width;
        let shape = [batch, n_frames, self.n_mels];
        let view = NdTensorView::try_from_data(shape, features).map_err(|_| {
            RuntimeError::FeatureCount {
                values: features.len(),
                per_row: n_frames * self.n_mels,
            }
        })?;
        let outcome = self.graph.run(view.as_dyn());
        let expected = [batch, self.width];
        let other = |actual| RuntimeError::OutputShape { expected, actual };
        let (shape, logits) = outcome.map_err(|failure| match failure {
            RunFailure::Engine(source) => RuntimeError::Engine { n_frames, source },
            RunFailure::Panic(reason) => RuntimeError::EngineFailure { n_frames, reason },
            RunFailure::NotFloats => other(Vec::new()),
        })?;
        if shape != expected {
            return Err(other(shape));
        }
        out.copy_from_slice(&logits);
        Ok(())
    }
}
