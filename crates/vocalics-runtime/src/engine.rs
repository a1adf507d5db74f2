//! The network: one of two engines behind the few calls we need.

use std::borrow::Cow;
use std::sync::Arc;

use rten::Model;

use crate::foreign::Foreign;
use crate::native::Native;
use crate::onnx::{INPUT_NAME, OUTPUT_NAME, Port, Structure};
use crate::{ModelError, RecognizerOptions, RuntimeError};

/// What runs a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// Our own, for the operators that networks written by this project use; the faster one.
    Native,
    /// rten, for every graph on the list of [`OPERATORS`](crate::OPERATORS).
    Rten,
}

/// A loaded network of fixed width, `[batch, n_frames, n_mels]` to `[batch, n_classes]`.
#[derive(Debug)]
pub(crate) struct Network {
    kind: Kind,
    n_mels: usize,
    n_classes: usize,
}

#[derive(Debug)]
enum Kind {
    Native(Box<Native>),
    Rten(Box<Foreign>),
}

impl Network {
    /// Loads the graph, by our own engine if it knows everything in it.
    ///
    /// # Errors
    ///
    /// [`ModelError::Graph`], [`ModelError::LabelCount`], [`ModelError::Engine`],
    /// [`ModelError::EngineFailure`]; [`ModelError::NotNative`] when our own engine is asked for and does
    /// not know the graph.
    pub(crate) fn load(
        bytes: Cow<'static, [u8]>,
        structure: &Structure,
        n_mels: usize,
        n_classes: usize,
        options: &RecognizerOptions,
    ) -> Result<Self, ModelError> {
        let output = (OUTPUT_NAME, n_classes);
        check_ports(structure, n_mels, output)?;
        let threads = options.threads.max(1);
        let native = match options.engine {
            Some(Engine::Rten) => None,
            _ => Some(Native::compile(&bytes, n_mels, n_classes, threads)),
        };
        let kind = match native {
            Some(Ok(native)) => Kind::Native(Box::new(native)),
            Some(Err(reason)) if options.engine == Some(Engine::Native) => {
                return Err(ModelError::NotNative { reason });
            }
            _ => Kind::Rten(Box::new(Foreign::load(bytes, n_mels, output, threads)?)),
        };
        Ok(Self {
            kind,
            n_mels,
            n_classes,
        })
    }

    /// The part of a loaded graph from the features on, as [`load`](Self::load) would give it.
    ///
    /// # Errors
    ///
    /// [`ModelError::Graph`] when there is no such part.
    pub(crate) fn of_model(
        model: Arc<Model>,
        n_mels: usize,
        n_classes: usize,
        threads: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            kind: Kind::Rten(Box::new(Foreign::of_model(
                model,
                n_mels,
                (OUTPUT_NAME, n_classes),
                threads,
            )?)),
            n_mels,
            n_classes,
        })
    }

    /// Which engine it is.
    pub(crate) fn engine(&self) -> Engine {
        match self.kind {
            Kind::Native(_) => Engine::Native,
            Kind::Rten(_) => Engine::Rten,
        }
    }

    /// Number of weights.
    pub(crate) fn parameters(&self) -> usize {
        match &self.kind {
            Kind::Native(native) => native.parameters(),
            Kind::Rten(foreign) => foreign.parameters(),
        }
    }

    /// Runs a batch of equal frame count, row-major `[batch, n_frames, n_mels]`, to
    /// `[batch, n_classes]`.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureCount`], [`RuntimeError::Engine`], [`RuntimeError::EngineFailure`],
    /// [`RuntimeError::OutputShape`] or [`RuntimeError::NonFiniteOutput`].
    pub(crate) fn run(
        &self,
        features: &[f32],
        n_frames: usize,
        out: &mut [f32],
    ) -> Result<(), RuntimeError> {
        let batch = out.len() / self.n_classes;
        if features.len() != batch * n_frames * self.n_mels || n_frames == 0 {
            return Err(RuntimeError::FeatureCount {
                values: features.len(),
                per_row: n_frames * self.n_mels,
            });
        }
        match &self.kind {
            Kind::Native(native) => native
                .run(features, n_frames, out)
                .map_err(|reason| RuntimeError::EngineFailure { n_frames, reason })?,
            Kind::Rten(foreign) => foreign.run(features, n_frames, out)?,
        }
        if out.iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(RuntimeError::NonFiniteOutput)
        }
    }

    /// As [`run`](Self::run), for one sample.
    pub(crate) fn run_one(
        &self,
        features: &[f32],
        n_frames: usize,
    ) -> Result<Vec<f32>, RuntimeError> {
        let mut out = vec![0.0; self.n_classes];
        self.run(features, n_frames, &mut out)?;
        Ok(out)
    }
}

/// The graph must have one input and one output, of the given name and width.
pub(crate) fn check_ports(
    structure: &Structure,
    n_mels: usize,
    (output_name, n_classes): (&str, usize),
) -> Result<(), ModelError> {
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
    let output = single(&structure.outputs, "output", output_name)?;
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
