//! What a compiled graph consists of.

use std::ops::Range;

use vocalics_kernels::infer::conv::Conv;
use vocalics_kernels::infer::dense::Dense;
use vocalics_kernels::infer::function::Function;
use vocalics_kernels::infer::pointwise::Chain;
use vocalics_kernels::infer::pool::Window;
use vocalics_kernels::infer::recurrent::{Cell, Weights};
use vocalics_kernels::infer::reduce::Reduction;

use super::dim::Dim;

/// Index of a [`Value`].
pub(crate) type ValueId = usize;

/// A tensor of the graph.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) shape: Vec<Dim>,
    pub(crate) place: Place,
}

/// Where the numbers of a tensor are.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// The features given to a call.
    Input,
    /// The file.
    Constant(Vec<f32>),
    /// The result of a step.
    Computed,
    /// Those of another tensor, no view itself, under another shape.
    View(ValueId),
}

/// The tensor that holds the numbers of another.
pub(crate) fn root(values: &[Value], id: ValueId) -> ValueId {
    match values[id].place {
        Place::View(of) => of,
        _ => id,
    }
}

/// One pass over memory.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
}

/// What a step does; the shapes are those of its tensors.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Convolve(Box<Convolution>),
    /// Rows times a matrix of weights.
    Dense(Dense),
    /// The product of two tensors, the second perhaps one matrix for all.
    Multiply,
    Chain(Chain),
    Reduce {
        reduction: Reduction,
        axes: Range<usize>,
    },
    Softmax {
        logarithm: bool,
        axis: usize,
    },
    Concat {
        axis: usize,
    },
    /// One entry for each axis of the output.
    Gather(Vec<Pick>),
    Pad {
        before: Vec<usize>,
        value: f32,
    },
    Pool {
        window: Window,
        rows: bool,
    },
    Recurrent(Box<Recurrent>),
}

/// A convolution and what is done to its sums.
#[derive(Debug, Clone)]
pub(crate) struct Convolution {
    pub(crate) conv: Conv,
    /// `[outputs, inputs]` and the bias of a 1x1 convolution, for images of one value.
    pub(crate) dense: Option<(Vec<f32>, Vec<f32>)>,
    /// Two image axes, else one.
    pub(crate) rows: bool,
    /// Whether a second input is added.
    pub(crate) shortcut: bool,
    pub(crate) function: Option<Function>,
}

/// Where an axis of the output lies in the input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pick {
    pub(crate) axis: usize,
    pub(crate) start: Start,
    pub(crate) step: usize,
}

/// The first index picked.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start {
    At(usize),
    /// Counted back from the end of the axis.
    FromEnd(usize),
}

/// A recurrent layer of one or two directions.
#[derive(Debug, Clone)]
pub(crate) struct Recurrent {
    pub(crate) cell: Cell,
    pub(crate) hidden: usize,
    /// Weights of the inputs, `[inputs, directions · gates · hidden]`.
    pub(crate) inputs: Dense,
    /// `[directions · gates · hidden]`.
    pub(crate) bias: Vec<f32>,
    pub(crate) directions: Vec<Direction>,
}

/// One direction of a [`Recurrent`].
#[derive(Debug, Clone)]
pub(crate) struct Direction {
    pub(crate) reverse: bool,
    /// Weights of the state.
    pub(crate) recurrent: Weights,
    /// The bias inside the reset, `[hidden]` or empty.
    pub(crate) after: Vec<f32>,
}
