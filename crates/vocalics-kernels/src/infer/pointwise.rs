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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::test_numbers::numbers;

    /// The value of a broadcast input at a flat index of the output.
    fn at(x: &[f32], shape: &[usize], out: &[usize], flat: usize) -> f32 {
        let (mut rest, mut index, mut stride) = (flat, 0, 1);
        for axis in (0..out.len()).rev() {
            let place = rest % out[axis];
            rest /= out[axis];
            if let Some(axis) = (axis + shape.len()).checked_sub(out.len()) {
                if shape[axis] > 1 {
                    index += place * stride;
                }
                stride *= shape[axis];
            }
        }
        x[index]
    }

    fn operation(binary: Binary, a: f64, b: f64) -> f64 {
        match binary {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Pow => a.powf(b),
            Binary::Max | Binary::Min if a.is_nan() || b.is_nan() => f64::NAN,
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
            Binary::PRelu => {
                if a < 0.0 {
                    a * b
                } else {
                    a
                }
            }
        }
    }

    #[track_caller]
    fn same(what: &str, got: f32, want: f64) {
        let tolerance = 1e-5 * want.abs().max(1.0);
        let same = (f64::from(got) - want).abs() <= tolerance || got.is_nan() && want.is_nan();
        assert!(same, "{what}: {got}, {want}");
    }

    /// Shapes of the output and of two inputs: equal, broadcast at either side, shorter, and longer than
    /// a block.
    const SHAPES: [[&[usize]; 3]; 9] = [
        [&[], &[], &[]],
        [&[1], &[1], &[]],
        [&[7], &[7], &[1]],
        [&[3, 5], &[3, 1], &[5]],
        [&[2, 3, 17], &[3, 1], &[2, 1, 17]],
        [&[2, 3, 4, 5], &[1, 3, 1, 5], &[2, 1, 4, 1]],
        [&[3, 255], &[3, 255], &[3, 1]],
        [&[2, 256], &[1, 256], &[2, 256]],
        [&[2, 3, 300], &[2, 3, 300], &[300]],
    ];

    #[test]
    fn operations_broadcast_as_defined_at_every_level() {
        let all = [
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Div,
            Binary::Pow,
            Binary::Max,
            Binary::Min,
            Binary::PRelu,
        ];
        for level in Level::here() {
            for [out, left, right] in SHAPES {
                for binary in all {
                    let mut a = numbers(left.iter().product(), 1);
                    let mut b = numbers(right.iter().product(), 2);
                    match binary {
                        Binary::Pow => a.iter_mut().for_each(|x| *x = x.abs() + 0.1),
                        Binary::Div => b.iter_mut().for_each(|x| *x = x.abs() + 0.1),
                        // Either side may hold a NaN.
                        Binary::Max => a[0] = f32::NAN,
                        Binary::Min => b[0] = f32::NAN,
                        _ => {}
                    }
                    let chain = Chain::new(2, vec![Step::Combine(binary, 0, 1)]);
                    let mut walk = Walk::default();
                    assert!(walk.prepare(out, [left, right].into_iter()));
                    let mut y = vec![9.0; out.iter().product()];
                    chain.run(
                        level,
                        &walk,
                        |index| [&a[..], &b[..]][index],
                        &mut [],
                        &mut y,
                    );
                    for (flat, got) in y.into_iter().enumerate() {
                        let [a, b] = [at(&a, left, out, flat), at(&b, right, out, flat)];
                        let want = operation(binary, f64::from(a), f64::from(b));
                        same(&format!("{level:?} {binary:?} {out:?}"), got, want);
                    }
                }
            }
        }
    }

    /// `relu(a · b - c) + a · b`: a step is read twice, the inputs are of three shapes.
    #[test]
    fn a_chain_is_its_steps_one_after_the_other() {
        let chain = Chain::new(
            3,
            vec![
                Step::Combine(Binary::Mul, 0, 1),
                Step::Combine(Binary::Sub, 3, 2),
                Step::Apply(Function::Relu, 4),
                Step::Combine(Binary::Add, 5, 3),
            ],
        );
        let out = [4, 300];
        let shapes: [&[usize]; 3] = [&[4, 300], &[4, 1], &[]];
        let inputs = [numbers(1200, 1), numbers(4, 2), numbers(1, 3)];
        let mut walk = Walk::default();
        assert!(walk.prepare(&out, shapes.into_iter()));
        for level in Level::here() {
            let (mut y, mut scratch) = (vec![9.0; 1200], vec![9.0; chain.scratch()]);
            chain.run(level, &walk, |index| &inputs[index], &mut scratch, &mut y);
            for (flat, got) in y.into_iter().enumerate() {
                let [a, b, c] =
                    std::array::from_fn(|i| f64::from(at(&inputs[i], shapes[i], &out, flat)));
                same(&format!("{level:?}"), got, (a * b - c).max(0.0) + a * b);
            }
        }
    }

    #[test]
    fn shapes_that_do_not_broadcast_are_refused() {
        let mut walk = Walk::default();
        for (out, shape) in [
            (&[3, 4][..], &[3][..]),
            (&[4], &[2, 4]),
            (&[1; MAX_RANK + 1], &[]),
        ] {
            assert!(
                !walk.prepare(out, std::iter::once(shape)),
                "{out:?} {shape:?}"
            );
        }
    }
}
