//! Chains of element-wise operations with broadcasting.
//!
//! A chain runs over a block of a few hundred values at a time, all of its steps one after the other, so
//! that what lies between the steps never leaves the first-level cache.

use super::Level;
use super::function::Function;

/// Values of a block.
const BLOCK: usize = 256;
/// Most inputs of a chain.
pub const MAX_INPUTS: usize = 8;
/// Most dimensions.
pub const MAX_RANK: usize = 8;

/// An operation on two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
    /// `a` to the power of `b`.
    Pow,
    /// The larger; NaN if either is.
    Max,
    /// The smaller; NaN if either is.
    Min,
    /// `a` above 0, else `a · b`.
    PRelu,
}

/// One step of a chain. Values are numbered: first the inputs, then the results of the steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// A function of one value.
    Apply(Function, usize),
    /// An operation on two.
    Combine(Binary, usize, usize),
}

/// A chain; the result of the last step is its output.
#[derive(Debug, Clone)]
pub struct Chain {
    inputs: usize,
    steps: Vec<Step>,
}

/// How the inputs are walked for one shape.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    rank: usize,
    dims: [usize; MAX_RANK],
    /// Of each input, 0 where it is repeated.
    strides: Vec<[usize; MAX_RANK]>,
}

impl Chain {
    /// A chain of at least one step.
    ///
    /// # Panics
    /// When there is no step, one refers to a value that comes after it, or there are more than
    /// [`MAX_INPUTS`].
    #[must_use]
    pub fn new(inputs: usize, steps: Vec<Step>) -> Self {
        assert!(!steps.is_empty(), "a chain without steps");
        assert!(inputs <= MAX_INPUTS, "a chain of too many inputs");
        for (index, step) in steps.iter().enumerate() {
            let known = inputs + index;
            let fits = match *step {
                Step::Apply(_, a) => a < known,
                Step::Combine(_, a, b) => a < known && b < known,
            };
            assert!(fits, "a step that uses what is not there yet");
        }
        Self { inputs, steps }
    }

    /// Values of scratch memory needed.
    #[must_use]
    pub fn scratch(&self) -> usize {
        (self.steps.len() - 1) * BLOCK
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Runs the chain; `input` gives each input by its number.
    ///
    /// # Shapes
    /// Inputs and `out` are as in `walk`; `scratch` holds [`scratch`](Self::scratch) values.
    pub fn run<'a>(
        &self,
        level: Level,
        walk: &Walk,
        input: impl Fn(usize) -> &'a [f32],
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        let mut inputs: [&[f32]; MAX_INPUTS] = [&[]; MAX_INPUTS];
        for (number, values) in inputs.iter_mut().enumerate().take(self.inputs) {
            *values = input(number);
        }
        level.vectorised(
            #[inline(always)]
            || self.walk(walk, &inputs, scratch, out),
        );
    }

    #[inline(always)]
    fn walk(
        &self,
        walk: &Walk,
        inputs: &[&[f32]; MAX_INPUTS],
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        let inner = walk.dims[walk.rank - 1];
        if inner == 0 {
            return;
        }
        let mut index = [0; MAX_RANK];
        for line in out.chunks_exact_mut(inner) {
            for (number, block) in line.chunks_mut(BLOCK).enumerate() {
                let at = number * BLOCK;
                let length = block.len();
                let operand = |value: usize| {
                    let strides = &walk.strides[value];
                    let start: usize = index.iter().zip(strides).map(|(i, s)| i * s).sum();
                    let all = inputs[value];
                    if strides[walk.rank - 1] == 0 {
                        Operand::Same(all[start])
                    } else {
                        Operand::Each(&all[start + at..][..length])
                    }
                };
                self.block(operand, scratch, block);
            }
            // The next line, as a counter of several digits.
            for axis in (0..walk.rank - 1).rev() {
                index[axis] += 1;
                if index[axis] < walk.dims[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }

    #[inline(always)]
    fn block<'a>(
        &self,
        operand: impl Fn(usize) -> Operand<'a>,
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        let last = self.steps.len() - 1;
        for (index, step) in self.steps.iter().enumerate() {
            let (done, rest) = scratch.split_at_mut(index * BLOCK);
            let length = out.len();
            let to = if index == last {
                &mut *out
            } else {
                &mut rest[..length]
            };
            let get = |value: usize| match value.checked_sub(self.inputs) {
                None => operand(value),
                Some(step) => Operand::Each(&done[step * BLOCK..][..length]),
            };
            match *step {
                Step::Apply(function, a) => {
                    match get(a) {
                        Operand::Each(a) => to.copy_from_slice(a),
                        Operand::Same(a) => to.fill(a),
                    }
                    function.apply(to);
                }
                Step::Combine(operation, a, b) => operation.apply(get(a), get(b), to),
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Operand<'a> {
    Each(&'a [f32]),
    Same(f32),
}

impl Binary {
    #[inline(always)]
    fn apply(self, a: Operand<'_>, b: Operand<'_>, out: &mut [f32]) {
        #[inline(always)]
        fn each(a: Operand<'_>, b: Operand<'_>, out: &mut [f32], f: impl Fn(f32, f32) -> f32) {
            match (a, b) {
                (Operand::Each(a), Operand::Each(b)) => {
                    for ((y, a), b) in out.iter_mut().zip(a).zip(b) {
                        *y = f(*a, *b);
                    }
                }
                (Operand::Each(a), Operand::Same(b)) => {
                    for (y, a) in out.iter_mut().zip(a) {
                        *y = f(*a, b);
                    }
                }
                (Operand::Same(a), Operand::Each(b)) => {
                    for (y, b) in out.iter_mut().zip(b) {
                        *y = f(a, *b);
                    }
                }
                (Operand::Same(a), Operand::Same(b)) => out.fill(f(a, b)),
            }
        }
        match self {
            Self::Add => each(a, b, out, |a, b| a + b),
            Self::Sub => each(a, b, out, |a, b| a - b),
            Self::Mul => each(a, b, out, |a, b| a * b),
            Self::Div => each(a, b, out, |a, b| a / b),
            Self::Pow => each(a, b, out, f32::powf),
            Self::Max => each(a, b, out, |a, b| if a.is_nan() || a > b { a } else { b }),
            Self::Min => each(a, b, out, |a, b| if a.is_nan() || a < b { a } else { b }),
            Self::PRelu => each(a, b, out, |a, b| if a < 0.0 { a * b } else { a }),
        }
    }
}

impl Walk {
    /// Plans the walk over an output of shape `out` for inputs of the given shapes, each aligned with
    /// it at the right; `false` when a shape cannot be broadcast to it.
    pub fn prepare<'a>(
        &mut self,
        out: &[usize],
        inputs: impl Iterator<Item = &'a [usize]>,
    ) -> bool {
        self.strides.clear();
        self.rank = out.len();
        if out.len() > MAX_RANK {
            return false;
        }
        self.dims = [1; MAX_RANK];
        self.dims[..out.len()].copy_from_slice(out);
        for shape in inputs {
            let Some(missing) = out.len().checked_sub(shape.len()) else {
                return false;
            };
            let mut strides = [0; MAX_RANK];
            let mut stride = 1;
            for axis in (missing..out.len()).rev() {
                let dim = shape[axis - missing];
                if dim != out[axis] && dim != 1 {
                    return false;
                }
                strides[axis] = if dim == 1 { 0 } else { stride };
                stride *= dim;
            }
            self.strides.push(strides);
        }
        self.merge();
        true
    }

    /// Drops axes of length 1 and joins neighbours that every input walks as one.
    fn merge(&mut self) {
        let mut kept = 0;
        for axis in 0..self.rank {
            let dim = self.dims[axis];
            if dim == 1 {
                continue;
            }
            let joins = kept > 0
                && self
                    .strides
                    .iter()
                    .all(|strides| strides[kept - 1] == strides[axis] * dim);
            if joins {
                self.dims[kept - 1] *= dim;
                for strides in &mut self.strides {
                    strides[kept - 1] = strides[axis];
                }
            } else {
                self.dims[kept] = dim;
                for strides in &mut self.strides {
                    strides[kept] = strides[axis];
                }
                kept += 1;
            }
        }
        for axis in kept.max(1)..MAX_RANK {
            self.dims[axis] = 1;
            for strides in &mut self.strides {
                strides[axis] = 0;
            }
        }
        if kept == 0 {
            self.dims[0] = 1;
            for strides in &mut self.strides {
                strides[0] = 0;
            }
        }
        self.rank = kept.max(1);
    }
}
