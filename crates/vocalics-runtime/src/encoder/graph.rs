//! The graph of an encoder on rten, from one tensor to another.

use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use crate::foreign::guarded;
use crate::idle::Idle;
use crate::onnx::registry;
use crate::{ModelError, RuntimeError};

/// Two ends of a loaded graph.
pub(super) struct Graph {
    model: Arc<Model>,
    input: NodeId,
    output: NodeId,
    threads: usize,
    /// Pools that no run uses: runs side by side would wait for each other in one.
    pools: Idle<Arc<ThreadPool>>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Graph")
            .field("parameters", &self.model.total_params())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

/// A graph with the files beside it that hold its weights, by the names in the graph.
pub(crate) fn load(
    bytes: Vec<u8>,
    beside: Vec<(String, Vec<u8>)>,
) -> Result<Arc<Model>, ModelError> {
    let model = guarded(|| {
        let mut options = ModelOptions::with_ops(registry());
        for (name, data) in beside {
            options.external_data(&name, data);
        }
        options.load(bytes)
    })
    .map_err(|reason| ModelError::EngineFailure { reason })?
    .map_err(|source| ModelError::Engine {
        source: Box::new(source),
    })?;
    Ok(Arc::new(model))
}

impl Graph {
    /// Takes `input` to `output`.
    ///
    /// # Errors
    /// [`ModelError::Graph`] when one of them is not in the graph.
    pub(super) fn new(
        model: Arc<Model>,
        input: &str,
        output: &str,
        threads: usize,
    ) -> Result<Self, ModelError> {
        let node = |name: &str| {
            model.find_node(name).ok_or_else(|| ModelError::Graph {
                reason: format!("{name} is not connected"),
            })
        };
        Ok(Self {
            input: node(input)?,
            output: node(output)?,
            threads: threads.max(1),
            pools: Idle::new(),
            model,
        })
    }

    /// Number of weights.
    pub(super) fn parameters(&self) -> usize {
        self.model.total_params()
    }

    /// Runs one input to the output's shape and values.
    ///
    /// # Errors
    /// [`RuntimeError::EncoderEngine`], [`RuntimeError::EncoderFailure`], or
    /// [`RuntimeError::EncoderOutput`] when the output is no tensor of floats.
    pub(super) fn run(
        &self,
        shape: &[usize],
        data: &[f32],
    ) -> Result<(Vec<usize>, Vec<f32>), RuntimeError> {
        let failure = |reason: String| RuntimeError::EncoderFailure { reason };
        let view = TensorView::<f32>::try_from_data(shape, data)
            .map_err(|error| failure(error.to_string()))?;
        let pool = self
            .pools
            .take()
            .unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(self.threads)));
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&pool)));
        let inputs = vec![(self.input, ValueOrView::from(view.as_dyn()))];
        let outcome = apart(|| guarded(|| self.model.run(inputs, &[self.output], Some(options))));
        self.pools.put(pool);
        let mut outputs =
            outcome
                .map_err(failure)?
                .map_err(|source| RuntimeError::EncoderEngine {
                    source: Box::new(source),
                })?;
        let none = || RuntimeError::EncoderOutput {
            expected: "single-precision numbers",
            actual: Vec::new(),
        };
        let output = outputs.pop().ok_or_else(none)?;
        let output: Tensor<f32> = output.try_into().map_err(|_| none())?;
        Ok((output.shape().to_vec(), output.to_vec()))
    }
}

/// Runs something that waits for a pool of rayon's, on a thread of its own where the caller is a worker of another: a
/// worker that waits takes up other work meanwhile, and a list of clips would pile up on its stack.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_none() {
        return work();
    }
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
