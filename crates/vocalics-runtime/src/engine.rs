//! The network: rten behind the few calls we need.
//!
//! rten never hands out undefined behaviour, but on a graph that fits together badly it may panic. Where
//! the platform can unwind, such a panic becomes an error here; on wasm32 it ends the instance.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensor, NdTensorView};

use crate::onnx::{INPUT_NAME, OUTPUT_NAME, Port, Structure, registry};
use crate::{ModelError, RuntimeError};

/// A loaded network of fixed width, `[batch, n_frames, n_mels]` to `[batch, n_classes]`.
pub(crate) struct Network {
    model: Model,
    input: NodeId,
    output: NodeId,
    n_mels: usize,
    n_classes: usize,
    pool: Arc<ThreadPool>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Network")
            .field("n_mels", &self.n_mels)
            .field("n_classes", &self.n_classes)
            .field("parameters", &self.model.total_params())
            .finish_non_exhaustive()
    }
}

impl Network {
    /// Loads the graph.
    ///
    /// # Errors
    ///
    /// [`ModelError::Graph`], [`ModelError::LabelCount`], [`ModelError::Engine`] or
    /// [`ModelError::EngineFailure`].
    pub(crate) fn load(
        bytes: Cow<'static, [u8]>,
        structure: &Structure,
        n_mels: usize,
        n_classes: usize,
        threads: usize,
    ) -> Result<Self, ModelError> {
        check_ports(structure, n_mels, n_classes)?;
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

    /// Runs a batch of equal frame count, row-major `[batch, n_frames, n_mels]`, to `[batch][n_classes]`.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureWidth`], [`RuntimeError::Engine`], [`RuntimeError::EngineFailure`],
    /// [`RuntimeError::OutputShape`] or [`RuntimeError::NonFiniteOutput`].
    pub(crate) fn run(
        &self,
        features: &[f32],
        batch: usize,
        n_frames: usize,
    ) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let shape = [batch, n_frames, self.n_mels];
        let view = NdTensorView::try_from_data(shape, features).map_err(|_| {
            RuntimeError::FeatureWidth {
                expected: self.n_mels,
                actual: features.len().checked_div(batch * n_frames).unwrap_or(0),
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
        let logits = logits.to_vec();
        if !logits.iter().all(|value| value.is_finite()) {
            return Err(RuntimeError::NonFiniteOutput);
        }
        Ok(logits
            .chunks_exact(self.n_classes)
            .map(<[f32]>::to_vec)
            .collect())
    }
}

/// Runs `operation` and turns a panic into its message.
fn guarded<T>(operation: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(operation)).map_err(|payload| {
        payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no reason given".to_owned())
    })
}

fn check_ports(structure: &Structure, n_mels: usize, n_classes: usize) -> Result<(), ModelError> {
    let graph = |reason: String| ModelError::Graph { reason };
    let single = |ports: &[Port], kind: &str, name: &str| match ports {
        [port] if port.name == name => Ok(port.clone()),
        _ => {
            let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
            Err(graph(format!(
                "{kind}s are [{}], expected [{name}]",
                names.join(", ")
            )))
        }
    };
    let input = single(&structure.inputs, "input", INPUT_NAME)?;
    let output = single(&structure.outputs, "output", OUTPUT_NAME)?;
    for (port, rank, layout) in [
        (&input, 3, "[batch, n_frames, n_mels]"),
        (&output, 2, "[batch, n_classes]"),
    ] {
        if port.element_type != 1 || port.shape.len() != rank {
            return Err(graph(format!("{} must be f32 {layout}", port.name)));
        }
        if let Some(fixed) = port.shape[0] {
            return Err(graph(format!(
                "{} has a fixed batch of {fixed}, it must be variable",
                port.name
            )));
        }
    }
    if let Some(fixed) = input.shape[1] {
        return Err(graph(format!(
            "{INPUT_NAME} has a fixed length of {fixed} frames, it must be variable"
        )));
    }
    let width = |size: i64| usize::try_from(size).unwrap_or(0);
    if let Some(bands) = input.shape[2].map(width)
        && bands != n_mels
    {
        return Err(graph(format!(
            "{INPUT_NAME} has {bands} bands, the front end computes {n_mels}"
        )));
    }
    match output.shape[1].map(width) {
        Some(outputs) if outputs != n_classes => Err(ModelError::LabelCount {
            labels: n_classes,
            outputs,
        }),
        _ => Ok(()),
    }
}
