//! What a call works in: buffers and what depends on the number of frames.
//!
//! A workspace is made once and used again and again. Its buffers only grow, and what depends on the
//! number of frames is computed again only when that changes, so that a call allocates nothing.

use std::ops::Range;

use vocalics_kernels::infer::conv::Geometry;
use vocalics_kernels::infer::layout::Gather;
use vocalics_kernels::infer::pointwise::Walk;
use vocalics_kernels::infer::recurrent;
use vocalics_kernels::infer::tile::{SLACK, Weights};

use super::dim::MAX_VALUES;
use super::plan::{Location, MAX_RANK, Plan};
use super::step::{Kind, Pick, Start, Step};

/// A shape in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    rank: usize,
    dims: [usize; MAX_RANK],
}

impl Shape {
    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims[..self.rank]
    }

    pub(crate) fn size(&self) -> usize {
        self.dims().iter().product()
    }

    /// Values in the axes of a range.
    pub(crate) fn span(&self, axes: Range<usize>) -> usize {
        self.dims()[axes].iter().product()
    }
}

/// What a step has worked out for the current shapes.
#[derive(Debug, Default)]
pub(crate) enum State {
    #[default]
    Nothing,
    Convolve(Geometry),
    Chain(Walk),
    Gather(Gather),
}

/// Memory of one call at a time.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Batch and frames that everything here is laid out for.
    prepared: Option<[usize; 2]>,
    variables: Vec<usize>,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) states: Vec<State>,
    pub(crate) buffers: Vec<Vec<f32>>,
    pub(crate) scratch: Vec<f32>,
    pub(crate) packed: Weights,
}

impl Workspace {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            prepared: None,
            variables: Vec::new(),
            shapes: vec![Shape::default(); plan.tensors.len()],
            states: plan
                .steps
                .iter()
                .map(|step| State::of(&step.kind))
                .collect(),
            buffers: vec![Vec::new(); plan.buffers],
            scratch: Vec::new(),
            packed: Weights::default(),
        }
    }

    /// Lays everything out for a batch and a number of frames.
    ///
    /// # Errors
    /// Why the graph cannot be run on them.
    pub(crate) fn prepare(
        &mut self,
        plan: &Plan,
        batch: usize,
        frames: usize,
    ) -> Result<(), String> {
        if self.prepared == Some([batch, frames]) {
            return Ok(());
        }
        self.prepared = None;
        let out_of_range = || "the network cannot be run on so few or so many frames".to_owned();
        plan.dims
            .evaluate(batch, frames, &mut self.variables)
            .ok_or_else(out_of_range)?;
        for (tensor, shape) in plan.tensors.iter().zip(&mut self.shapes) {
            shape.rank = tensor.shape.len();
            let mut size = 1_usize;
            for (dim, length) in tensor.shape.iter().zip(&mut shape.dims) {
                *length = dim.value(&self.variables).ok_or_else(out_of_range)?;
                size = size
                    .checked_mul(*length)
                    .filter(|&size| size <= MAX_VALUES)
                    .ok_or_else(out_of_range)?;
            }
            if let Location::Buffer(buffer) = tensor.location {
                grow(&mut self.buffers[buffer], size);
            }
        }
        for (step, state) in plan.steps.iter().zip(&mut self.states) {
            let scratch = state
                .prepare(step, &self.shapes)
                .filter(|&scratch| scratch <= MAX_VALUES)
                .ok_or_else(out_of_range)?;
            grow(&mut self.scratch, scratch);
        }
        self.prepared = Some([batch, frames]);
        Ok(())
    }
}

fn grow(buffer: &mut Vec<f32>, size: usize) {
    if buffer.len() < size {
        // Nothing in it is worth copying.
        buffer.clear();
        buffer.resize(size, 0.0);
    }
}

impl State {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Convolve(_) => Self::Convolve(Geometry::default()),
            Kind::Chain(_) => Self::Chain(Walk::default()),
            Kind::Gather(_) => Self::Gather(Gather::default()),
            _ => Self::Nothing,
        }
    }

    /// Works out what the shapes decide; the values of scratch memory that the step needs, or `None` when
    /// it cannot be run.
    fn prepare(&mut self, step: &Step, shapes: &[Shape]) -> Option<usize> {
        let input = |index: usize| step.inputs.get(index).map(|&id| shapes[id]);
        let output = step.outputs.first().map(|&id| shapes[id])?;
        match (&step.kind, self) {
            (Kind::Convolve(convolution), Self::Convolve(geometry)) => {
                let shape = input(0)?;
                let image = image(&shape, convolution.rows)?;
                let fits = convolution.conv.prepare(geometry, image);
                fits.then(|| convolution.conv.scratch(geometry))
            }
            (Kind::Chain(chain), Self::Chain(walk)) => {
                let inputs = step.inputs.iter().map(|&id| shapes[id].dims());
                walk.prepare(output.dims(), inputs).then(|| chain.scratch())
            }
            (Kind::Gather(picks), Self::Gather(gather)) => {
                *gather = gathered(picks, &input(0)?, &output)?;
                Some(0)
            }
            (Kind::Multiply, _) => {
                let factor = input(1)?;
                let rank = factor.dims().len();
                Some(factor.span(rank.checked_sub(2)?..rank) + SLACK)
            }
            (Kind::Softmax { axis, .. }, _) => Some(2 * output.span(axis + 1..output.dims().len())),
            (Kind::Recurrent(layer), _) => {
                let shape = input(0)?;
                let [steps, batch, _] = *shape.dims() else {
                    return None;
                };
                let inputs = steps.checked_mul(batch)?.checked_mul(layer.bias.len())?;
                // Each direction has memory of its own, its results included.
                let results = steps.checked_mul(batch)?.checked_mul(layer.hidden)?;
                let own =
                    recurrent::scratch(layer.cell, layer.hidden, batch)?.checked_add(results)?;
                inputs.checked_add(own.checked_mul(layer.directions.len())?)
            }
            _ => Some(0),
        }
    }
}

/// Rows and columns of `[batch, channels, (rows,) columns]`.
pub(crate) fn image(shape: &Shape, rows: bool) -> Option<[usize; 2]> {
    match (shape.dims(), rows) {
        (&[_, _, rows, columns], true) => Some([rows, columns]),
        (&[_, _, columns], false) => Some([1, columns]),
        _ => None,
    }
}

/// The walk of a transposition or a slice.
fn gathered(picks: &[Pick], input: &Shape, output: &Shape) -> Option<Gather> {
    let mut strides = [1; MAX_RANK];
    for axis in (0..input.rank.saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * input.dims[axis + 1];
    }
    let mut gather = Gather {
        rank: output.rank,
        ..Gather::default()
    };
    for (index, pick) in picks.iter().enumerate() {
        let (length, stride) = (*input.dims().get(pick.axis)?, strides[pick.axis]);
        let start = match pick.start {
            Start::At(start) => start,
            Start::FromEnd(back) => length.checked_sub(back)?,
        };
        let count = *output.dims().get(index)?;
        // The last one read must be there.
        let last = count
            .checked_sub(1)
            .map_or(Some(0), |n| n.checked_mul(pick.step));
        if count > 0 && start.checked_add(last?)? >= length {
            return None;
        }
        gather.dims[index] = count;
        gather.strides[index] = stride * pick.step;
        gather.start += start * stride;
    }
    Some(gather)
}
