//! The engine for the networks that this project writes.
//!
//! ```text
//! ONNX ──▶ nodes ──▶ steps ──▶ fewer steps ──▶ plan ──▶ logits
//!         (graph)  (builder)      (fuse)      (plan)   (run)
//! ```
//!
//! Compiling happens once, at load. Shapes are expressions of the batch and the number of frames
//! ([`dim`]), checked then for all inputs; weights are packed as the kernels read them; tensors share a
//! few buffers by lifetime. A call evaluates the expressions if its number of frames is new, and runs
//! the steps; in a steady state it allocates nothing.
//!
//! A graph with anything this engine does not know is no error: [`Native::compile`] returns why, and the
//! other engine runs it.

mod builder;
mod dim;
mod fuse;
mod graph;
mod linear;
mod moving;
mod numeric;
mod plan;
mod reducing;
mod run;
mod step;
mod workspace;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::{ThreadPool, ThreadPoolBuilder};
use vocalics_kernels::infer::Level;

use crate::idle::Idle;
use crate::onnx::{INPUT_NAME, OUTPUT_NAME};
use graph::Graph;
use plan::Plan;
use step::ValueId;
use workspace::Workspace;

/// Versions of the standard operators whose meaning is the one implemented here.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=22;

/// Reads the graph of a file that [`inspect`](crate::onnx::inspect) has accepted.
///
/// # Errors
/// Why this engine does not take the graph.
fn read(bytes: &[u8]) -> Result<Graph, String> {
    let (opset, graph) = crate::onnx::graph(bytes).map_err(|error| error.to_string())?;
    if !OPSETS.contains(&opset) {
        return Err(format!("version {opset} of the operators"));
    }
    Graph::read(graph).map_err(|error| error.to_string())
}

/// A compiled network.
#[derive(Debug)]
pub(crate) struct Native {
    plan: Plan,
    level: Level,
    parameters: usize,
    n_classes: usize,
    /// `None` for one thread, or where there are no threads.
    pool: Option<ThreadPool>,
    /// Workspaces not in use.
    idle: Idle<Workspace>,
}

impl Native {
    /// Compiles a file that [`inspect`](crate::onnx::inspect) has accepted.
    ///
    /// # Errors
    /// Why this engine does not take the graph.
    pub(crate) fn compile(
        bytes: &[u8],
        n_mels: usize,
        n_classes: usize,
        threads: usize,
    ) -> Result<Self, String> {
        let graph = read(bytes)?;
        let parameters = graph.parameters;
        let plan = Plan::compile(graph, [INPUT_NAME, OUTPUT_NAME], n_mels, n_classes)?;
        let pool = (threads > 1)
            .then(|| ThreadPoolBuilder::new().num_threads(threads).build().ok())
            .flatten();
        Ok(Self {
            plan,
            level: Level::best(),
            parameters,
            n_classes,
            pool,
            idle: Idle::new(),
        })
    }

    /// Numbers in the weights.
    pub(crate) fn parameters(&self) -> usize {
        self.parameters
    }

    /// Runs `[batch, n_frames, n_mels]` to `[batch, n_classes]`.
    ///
    /// # Errors
    /// Why the network cannot be run on that many frames.
    pub(crate) fn run(
        &self,
        features: &[f32],
        n_frames: usize,
        out: &mut [f32],
    ) -> Result<(), String> {
        let batch = out.len() / self.n_classes;
        match &self.pool {
            Some(pool) => {
                let threads = pool.current_num_threads();
                pool.install(|| {
                    if batch >= threads {
                        self.share(threads, features, n_frames, out)
                    } else {
                        attended(threads - 1, || {
                            self.sequence(threads, features, n_frames, out)
                        })
                    }
                })
            }
            None => self.sequence(1, features, n_frames, out),
        }
    }

    /// Splits the batch over threads.
    fn share(
        &self,
        threads: usize,
        features: &[f32],
        n_frames: usize,
        out: &mut [f32],
    ) -> Result<(), String> {
        let batch = out.len() / self.n_classes;
        if threads <= 1 || batch <= 1 {
            return self.sequence(1, features, n_frames, out);
        }
        let half = threads / 2;
        let first = batch * half / threads;
        let (x, rest) = features.split_at(features.len() / batch * first);
        let (y, others) = out.split_at_mut(first * self.n_classes);
        let (one, other) = rayon::join(
            || self.share(half, x, n_frames, y),
            || self.share(threads - half, rest, n_frames, others),
        );
        one.and(other)
    }

    /// Runs a batch a few samples at a time, so that what lies between two steps stays in the cache.
    fn sequence(
        &self,
        parts: usize,
        features: &[f32],
        n_frames: usize,
        out: &mut [f32],
    ) -> Result<(), String> {
        let batch = out.len() / self.n_classes;
        if batch == 0 {
            return Ok(());
        }
        let sample = features.len() / batch;
        let idle = self.idle.take();
        let mut workspace = idle.unwrap_or_else(|| Workspace::new(&self.plan));
        let together = self.plan.together;
        let mut result = Ok(());
        let samples = features.chunks(together * sample);
        for (x, y) in samples.zip(out.chunks_mut(together * self.n_classes)) {
            result = workspace.prepare(&self.plan, y.len() / self.n_classes, n_frames);
            if result.is_err() {
                break;
            }
            y.copy_from_slice(
                self.plan
                    .run(self.level, parts, x, &mut workspace, &mut |_, _| {}),
            );
        }
        self.idle.put(workspace);
        result
    }
}

/// Runs `work` while other threads of the pool wait awake for the parts it shares out: a step takes less time than waking one.
fn attended<T: Send>(others: usize, work: impl FnOnce() -> T + Send) -> T {
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        // After a panic too.
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let done = AtomicBool::new(false);
    let guard = Done(&done);
    let work = || {
        let _guard = guard;
        work()
    };
    rayon::join(work, || attend(others, &done)).0
}

fn attend(threads: usize, done: &AtomicBool) {
    if threads > 1 {
        rayon::join(|| attend(1, done), || attend(threads - 1, done));
        return;
    }
    while !done.load(Ordering::Acquire) {
        if rayon::yield_now() != Some(rayon::Yield::Executed) {
            std::hint::spin_loop();
        }
    }
}

/// A network whose tensors can be looked at.
#[derive(Debug)]
pub(crate) struct Observed {
    plan: Plan,
    names: HashMap<String, ValueId>,
    workspace: Workspace,
}

impl Observed {
    /// As [`Native::compile`], without joining steps.
    ///
    /// # Errors
    /// Why this engine does not take the graph.
    pub(crate) fn compile(bytes: &[u8], n_mels: usize, n_classes: usize) -> Result<Self, String> {
        let ports = [INPUT_NAME, OUTPUT_NAME];
        let (plan, names) = Plan::compile_as_it_is(read(bytes)?, ports, n_mels, n_classes)?;
        Ok(Self {
            workspace: Workspace::new(&plan),
            plan,
            names,
        })
    }

    /// Which tensor has a name.
    pub(crate) fn tensor(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// Runs one sample and shows every tensor that is computed.
    ///
    /// # Errors
    /// Why the network cannot be run on that many frames.
    pub(crate) fn run(
        &mut self,
        features: &[f32],
        n_frames: usize,
        observe: &mut dyn FnMut(ValueId, &[f32]),
    ) -> Result<(), String> {
        self.workspace.prepare(&self.plan, 1, n_frames)?;
        self.plan
            .run(Level::best(), 1, features, &mut self.workspace, observe);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instruction sets differ in the order of sums alone, and threads in nothing.
    #[test]
    fn every_level_and_number_of_threads_gives_the_same_logits() {
        let bytes = std::fs::read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../models/default.onnx"
        ))
        .expect("the default model");
        let metadata = crate::read_metadata(&bytes).expect("its metadata");
        let (n_mels, n_classes) = (metadata.front_end.n_mels, metadata.labels.len());
        for n_frames in [1, 33, 128] {
            let features: Vec<f32> = (0..n_frames * n_mels)
                .map(|n| (n as f32 * 0.37).sin() * 4.0 - 6.0)
                .collect();
            let mut results = Vec::new();
            for level in Level::here() {
                let mut native = Native::compile(&bytes, n_mels, n_classes, 1).expect("native");
                native.level = level;
                let mut logits = vec![0.0; n_classes];
                native
                    .run(&features, n_frames, &mut logits)
                    .expect("it runs");
                let mut shared = vec![0.0; n_classes];
                let mut threads = Native::compile(&bytes, n_mels, n_classes, 3).expect("native");
                threads.level = level;
                threads
                    .run(&features, n_frames, &mut shared)
                    .expect("it runs");
                assert_eq!(
                    logits, shared,
                    "{level:?}, {n_frames} frames: three threads"
                );
                results.push(logits);
            }
            for other in &results[1..] {
                for (a, b) in results[0].iter().zip(other) {
                    assert!((a - b).abs() < 1e-5, "{results:?}");
                }
            }
        }
    }
}
