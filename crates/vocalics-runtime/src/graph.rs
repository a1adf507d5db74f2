//! A graph of any origin on rten, from one tensor to another.
//!
//! rten never hands out undefined behaviour, but on a graph that fits together badly it may panic. Where
//! the platform can unwind, such a panic becomes an error here; on wasm32 it ends the instance.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, ValueOrView};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor, TensorView};

use crate::ModelError;
use crate::idle::Idle;
use crate::onnx::registry;

/// Two ends of a loaded graph.
pub(crate) struct Graph {
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

/// Why a run gave nothing.
#[derive(Debug)]
pub(crate) enum RunFailure {
    /// What the engine said.
    Engine(Box<rten::RunError>),
    /// The words of its panic.
    Panic(String),
    /// The output is no tensor of floats.
    NotFloats,
}

/// A graph with the files beside it that hold its weights, by the names in the graph.
///
/// # Errors
/// [`ModelError::Engine`] or [`ModelError::EngineFailure`].
pub(crate) fn load(
    bytes: Cow<'static, [u8]>,
    beside: Vec<(String, Vec<u8>)>,
) -> Result<Arc<Model>, ModelError> {
    let model = guarded(|| {
        let mut options = ModelOptions::with_ops(registry());
        for (name, data) in beside {
            options.external_data(&name, data);
        }
        match bytes {
            Cow::Borrowed(bytes) => options.load_static_slice(bytes),
            Cow::Owned(bytes) => options.load(bytes),
        }
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
    pub(crate) fn new(
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
    pub(crate) fn parameters(&self) -> usize {
        self.model.total_params()
    }

    /// Runs one input to the output's shape and values.
    pub(crate) fn run(
        &self,
        input: TensorView<'_, f32>,
    ) -> Result<(Vec<usize>, Vec<f32>), RunFailure> {
        let pool = self
            .pools
            .take()
            .unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(self.threads)));
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&pool)));
        let inputs = vec![(self.input, ValueOrView::from(input))];
        let outcome = apart(|| guarded(|| self.model.run(inputs, &[self.output], Some(options))));
        self.pools.put(pool);
        let outputs = outcome
            .map_err(RunFailure::Panic)?
            .map_err(|source| RunFailure::Engine(Box::new(source)))?;
        let output: Option<Tensor<f32>> =
            outputs.into_iter().next().and_then(|it| it.try_into().ok());
        let output = output.ok_or(RunFailure::NotFloats)?;
        Ok((output.shape().to_vec(), output.to_vec()))
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
