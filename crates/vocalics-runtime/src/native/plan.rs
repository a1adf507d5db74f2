//! A compiled graph: steps in order, and a place in memory for every tensor.

use std::collections::HashMap;

use super::builder::{Builder, Compiled};
use super::dim::{Dim, Dims, product};
use super::fuse::fuse;
use super::graph::Graph;
use super::step::{Kind, Place, Step, ValueId, root};

/// Most axes of a tensor.
pub(crate) const MAX_RANK: usize = vocalics_kernels::infer::pointwise::MAX_RANK;

/// Where a tensor is at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Location {
    Input,
    /// Index into the plan's constants.
    Constant(usize),
    /// Index of a buffer, which other tensors use before and after.
    Buffer(usize),
    /// Fused away.
    Nowhere,
}

/// A tensor of the plan.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<Dim>,
    pub(crate) location: Location,
}

/// A compiled graph.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) dims: Dims,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) constants: Vec<Vec<f32>>,
    pub(crate) steps: Vec<Step>,
    pub(crate) buffers: usize,
    pub(crate) output: ValueId,
    /// Samples that are best run together: more than one where weights are read again at every step.
    pub(crate) together: usize,
}

impl Plan {
    /// Compiles a graph of `[batch, n_frames, n_mels]` to `[batch, n_classes]`.
    pub(crate) fn compile(
        graph: Graph,
        [input, output]: [&str; 2],
        n_mels: usize,
        n_classes: usize,
    ) -> Compiled<Self> {
        let (mut builder, output) = Self::build(graph, [input, output], n_mels, n_classes)?;
        fuse(&mut builder, output);
        Self::place(builder, output)
    }

    /// As [`compile`](Self::compile), one step for each operator, with the tensors of all names.
    pub(crate) fn compile_as_it_is(
        graph: Graph,
        ports: [&str; 2],
        n_mels: usize,
        n_classes: usize,
    ) -> Compiled<(Self, HashMap<String, ValueId>)> {
        let (mut builder, output) = Self::build(graph, ports, n_mels, n_classes)?;
        let mut names = std::mem::take(&mut builder.names);
        names
            .values_mut()
            .for_each(|id| *id = root(&builder.values, *id));
        Ok((Self::place(builder, output)?, names))
    }

    fn build(
        graph: Graph,
        [input, output]: [&str; 2],
        n_mels: usize,
        n_classes: usize,
    ) -> Compiled<(Builder, ValueId)> {
        let mut builder = Builder::build(graph, input, n_mels)?;
        let output = builder.value(output)?;
        let wanted = [Dims::batch(), Dim::of(n_classes)];
        if *builder.shape(output) != wanted {
            return Err("an output of another shape".to_owned());
        }
        if !matches!(
            builder.values[root(&builder.values, output)].place,
            Place::Computed
        ) {
            return Err("an output that is not computed".to_owned());
        }
        Ok((builder, output))
    }

    /// Gives every tensor its place: a buffer is free again after the last read of what it holds.
    fn place(builder: Builder, output: ValueId) -> Compiled<Self> {
        let Builder {
            dims,
            mut values,
            steps,
            ..
        } = builder;
        let mut last_read = vec![0; values.len()];
        for (index, step) in steps.iter().enumerate() {
            for &id in step.inputs.iter().chain(&step.outputs) {
                last_read[root(&values, id)] = index;
            }
        }
        last_read[root(&values, output)] = steps.len();
        let mut locations = vec![Location::Nowhere; values.len()];
        let mut constants = Vec::new();
        for id in 0..values.len() {
            match &mut values[id].place {
                Place::Input => locations[id] = Location::Input,
                Place::Constant(data) => {
                    locations[id] = Location::Constant(constants.len());
                    constants.push(std::mem::take(data));
                }
                Place::Computed | Place::View(_) => {}
            }
        }
        let (mut buffers, mut free) = (0, Vec::new());
        for (index, step) in steps.iter().enumerate() {
            for &id in &step.outputs {
                let buffer = free.pop().unwrap_or_else(|| {
                    buffers += 1;
                    buffers - 1
                });
                locations[id] = Location::Buffer(buffer);
            }
            let mut released: Vec<ValueId> =
                step.inputs.iter().chain(&step.outputs).copied().collect();
            for id in &mut released {
                *id = root(&values, *id);
            }
            released.sort_unstable();
            released.dedup();
            for id in released {
                if let Location::Buffer(buffer) = locations[id]
                    && last_read[id] == index
                {
                    free.push(buffer);
                }
            }
        }
        let tensors = (0..values.len())
            .map(|id| {
                let shape = values[id].shape.clone();
                if shape.len() > MAX_RANK {
                    return Err("too many axes".to_owned());
                }
                // Every variable length is 1 at least, so that no step ever meets a tensor of nothing.
                if shape.iter().any(|dim| dim.fixed() == Some(0)) {
                    return Err("an axis of length 0".to_owned());
                }
                product(&shape).ok_or("a size out of range")?;
                Ok(Tensor {
                    shape,
                    location: locations[root(&values, id)],
                })
            })
            .collect::<Compiled<Vec<Tensor>>>()?;
        let recurrent = steps
            .iter()
            .any(|step| matches!(step.kind, Kind::Recurrent(_)));
        Ok(Self {
            dims,
            tensors,
            constants,
            steps,
            buffers,
            output,
            together: if recurrent { 16 } else { 1 },
        })
    }
}
