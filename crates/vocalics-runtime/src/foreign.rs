//! The engine for graphs of any origin: rten behind the few calls we need.
//!
//! rten never hands out undefined behaviour, but on a graph that fits together badly it may panic. Where
//! the platform can unwind, such a panic becomes an error here; on wasm32 it ends the instance.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use crate::onnx::{INPUT_NAME, OUTPUT_NAME, registry};
use crate::{ModelError, RuntimeError};

/// A loaded network of fixed width, `[batch, n_frames, n_mels]` to `[batch, n_classes]`.
pub(crate) struct Foreign {
    model: Arc<Model>,
    input: NodeId,
    output: NodeId,
    n_mels: usize,
    n_classes: usize,
    pool: Arc<ThreadPool>,
}

impl std::fmt::Debug for Foreign {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Foreign")
            .field("n_mels", &self.n_mels)
            .field("n_classes", &self.n_classes)
            .field("parameters", &self.model.total_params())
            .finish_non_exhaustive()
    }
}

impl Foreign {
    /// Loads the graph.
    ///
    /// # Errors
    ///
    /// [`ModelError::Graph`], [`ModelError::Engine`] or [`ModelError::EngineFailure`].
    pub(crate) fn load(
        bytes: Cow<'static, [u8]>,
        n_mels: usize,
        n_classes: usize,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let model = guarded(|| {
            let options = ModelOptions::with_ops(registry());
            match bytes {
                Cow::Borrowed(bytes) => options.load_static_slice(bytes),
                Cow::Owned(bytes) => options.load(bytes),
            }
        })
        .map_err(|reason| ModelError::EngineFailure { reason })?
        .map_err(|source| ModelError::Engine {
            source: Box::new(source),
        })?;
        Self::of_model(Arc::new(model), n_mels, n_classes, threads)
    }

    /// Runs a part of a loaded graph, from [`INPUT_NAME`] to [`OUTPUT_NAME`].
    ///
    /// # Errors
    ///
    /// [`ModelError::Graph`].
    pub(crate) fn of_model(
        model: Arc<Model>,
        n_mels: usize,
        n_classes: usize,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let node = |name: &str| {
            model.find_node(name).ok_or_else(|| ModelError::Graph {
                reason: format!("{name} is not connected"),
            })
        };
        Ok(Self {
            input: node(INPUT_NAME)?,
            output: node(OUTPUT_NAME)?,
            model,
            n_mels,
            n_classes,
            pool: Arc::new(ThreadPool::with_num_threads(threads.max(1))),
        })
    }

    /// Number of weights.
    pub(crate) fn parameters(&self) -> usize {
        self.model.total_params()
    }

    /// Runs `[batch, n_frames, n_mels]` to `[batch, n_classes]`.
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
        let batch = out.len() / self.n_classes;
        let shape = [batch, n_frames, self.n_mels];
        let view = NdTensorView::try_from_data(shape, features).map_err(|_| {
            RuntimeError::FeatureCount {
                values: features.len(),
                per_row: n_frames * self.n_mels,
            }
        })?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.pool)));
        let inputs = vec![(self.input, ValueOrView::from(view.as_dyn()))];
        let mut outputs = guarded(|| self.model.run(inputs, &[self.output], Some(options)))
            .map_err(|reason| RuntimeError::EngineFailure { n_frames, reason })?
            .map_err(|source| RuntimeError::Engine {
                n_frames,
                source: Box::new(source),
            })?;
        let expected = [batch, self.n_classes];
        let output = outputs.pop().ok_or_else(|| RuntimeError::OutputShape {
            expected,
            actual: Vec::new(),
        })?;
        let actual = output.shape().to_vec();
        if actual != expected {
            return Err(RuntimeError::OutputShape { expected, actual });
        }
        let logits: NdTensor<f32, 2> =
            output.try_into().map_err(|_| RuntimeError::OutputShape {
                expected,
                actual: Vec::new(),
            })?;
        for (value, logit) in out.iter_mut().zip(logits.iter()) {
            *value = *logit;
        }
        Ok(())
    }
}

/// Runs `operation` and turns a panic into its message.
pub(crate) fn guarded<T>(operation: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(operation)).map_err(|payload| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no reason given".to_owned())
    })
}
