//! Running a plan.

use vocalics_kernels::infer::layout::{pad, place};
use vocalics_kernels::infer::pool::pool;
use vocalics_kernels::infer::reduce::{reduce, softmax};
use vocalics_kernels::infer::tile::Finish;
use vocalics_kernels::infer::{Level, dense, recurrent};

use super::plan::{Location, Plan};
use super::step::{Convolution, Direction, Kind, Recurrent, Step, ValueId};
use super::workspace::{Shape, State, Workspace, image};

/// Where the tensors are that a step reads.
struct Sources<'a> {
    plan: &'a Plan,
    features: &'a [f32],
    buffers: &'a [Vec<f32>],
    shapes: &'a [Shape],
}

impl<'a> Sources<'a> {
    fn get(&self, id: ValueId) -> &'a [f32] {
        let size = self.shapes[id].size();
        match self.plan.tensors[id].location {
            Location::Input => &self.features[..size],
            Location::Constant(index) => &self.plan.constants[index][..size],
            Location::Buffer(index) => &self.buffers[index][..size],
            Location::Nowhere => &[],
        }
    }
}

impl Plan {
    /// Runs on features laid out as [`Workspace::prepare`] was told; returns the output.
    ///
    /// `observe` is shown every tensor that is computed. With `parts` above 1 the larger steps are shared out over the current rayon pool.
    pub(crate) fn run<'w>(
        &self,
        level: Level,
        parts: usize,
        features: &[f32],
        workspace: &'w mut Workspace,
        observe: &mut dyn FnMut(ValueId, &[f32]),
    ) -> &'w [f32] {
        // The features are the first tensor.
        observe(0, features);
        let Workspace {
            shapes,
            states,
            buffers,
            scratch,
            packed,
            ..
        } = workspace;
        for (step, state) in self.steps.iter().zip(states) {
            // What a step writes is taken out, so that it cannot be read meanwhile.
            let mut take = |index: usize| match step.outputs.get(index) {
                Some(&id) => match self.tensors[id].location {
                    Location::Buffer(buffer) => std::mem::take(&mut buffers[buffer]),
                    _ => Vec::new(),
                },
                None => Vec::new(),
            };
            let mut outputs = [take(0), take(1), take(2)];
            let sources = Sources {
                plan: self,
                features,
                buffers,
                shapes,
            };
            let [first, second, third] = &mut outputs;
            let out = |index: usize| step.outputs.get(index).map_or(0, |&id| shapes[id].size());
            let y = &mut first[..out(0)];
            match &step.kind {
                Kind::Convolve(convolution) => {
                    convolve(level, parts, convolution, step, state, &sources, scratch, y);
                }
                Kind::Dense(dense) => {
                    dense.run(level, parts, sources.get(step.inputs[0]), packed, y);
                }
                Kind::Multiply => {
                    let (a, b) = (step.inputs[0], step.inputs[1]);
                    let (left, right) = (&shapes[a], &shapes[b]);
                    let [m, k, n] = [
                        left.dims().len() - 2,
                        left.dims().len() - 1,
                        right.dims().len() - 1,
                    ];
                    let [m, k, n] = [left.dims()[m], left.dims()[k], right.dims()[n]];
                    let (a, b) = (sources.get(a), sources.get(b));
                    for (index, y) in y.chunks_exact_mut(m * n).enumerate() {
                        let a = &a[index * m * k..][..m * k];
                        let start = if b.len() == k * n { 0 } else { index * k * n };
                        let b = &b[start..][..k * n];
                        dense::multiply(level, parts, a, b, [m, k, n], packed, scratch, y);
                    }
                }
                Kind::Chain(chain) => {
                    if let State::Chain(walk) = state {
                        let input = |index: usize| sources.get(step.inputs[index]);
                        chain.run(level, walk, input, scratch, y);
                    }
                }
                Kind::Reduce { reduction, axes } => {
                    let id = step.inputs[0];
                    let shape = &shapes[id];
                    let sizes = [
                        shape.span(axes.clone()),
                        shape.span(axes.end..shape.dims().len()),
                    ];
                    reduce(level, *reduction, sources.get(id), sizes, y);
                }
                Kind::Softmax { logarithm, axis } => {
                    let id = step.inputs[0];
                    let shape = &shapes[id];
                    let sizes = [
                        shape.dims()[*axis],
                        shape.span(axis + 1..shape.dims().len()),
                    ];
                    softmax(level, *logarithm, sources.get(id), sizes, scratch, y);
                }
                Kind::Concat { axis } => {
                    let shape = &shapes[step.outputs[0]];
                    let pitch = shape.span(*axis..shape.dims().len());
                    let mut offset = 0;
                    for &id in &step.inputs {
                        let shape = &shapes[id];
                        let block = shape.span(*axis..shape.dims().len());
                        place(sources.get(id), block, offset, pitch, y);
                        offset += block;
                    }
                }
                Kind::Gather(_) => {
                    if let State::Gather(gather) = state {
                        gather.run(sources.get(step.inputs[0]), y);
                    }
                }
                Kind::Pad { before, value } => {
                    let (from, to) = (step.inputs[0], &shapes[step.outputs[0]]);
                    pad(
                        sources.get(from),
                        shapes[from].dims(),
                        before,
                        to.dims(),
                        *value,
                        y,
                    );
                }
                Kind::Pool { window, rows } => {
                    let (from, to) = (step.inputs[0], step.outputs[0]);
                    if let Some(before) = image(&shapes[from], *rows)
                        && let Some(after) = image(&shapes[to], *rows)
                    {
                        pool(window, before, after, sources.get(from), y);
                    }
                }
                Kind::Recurrent(layer) => {
                    let (h, c) = (&mut second[..out(1)], &mut third[..out(2)]);
                    let x = sources.get(step.inputs[0]);
                    let shape = &shapes[step.inputs[0]];
                    sequence(level, parts, layer, shape, x, packed, scratch, [y, h, c]);
                }
            }
            for (index, taken) in outputs.into_iter().enumerate() {
                if let Some(&id) = step.outputs.get(index)
                    && let Location::Buffer(buffer) = self.tensors[id].location
                {
                    observe(id, &taken[..shapes[id].size()]);
                    buffers[buffer] = taken;
                }
            }
        }
        let size = shapes[self.output].size();
        match self.tensors[self.output].location {
            Location::Buffer(index) => &buffers[index][..size],
            _ => &[],
        }
    }
}

/// Multiplications below which a step is not worth sharing out.
const WORTH_SHARING: usize = 1 << 20;

#[expect(
    clippy::too_many_arguments,
    reason = "a step, what it reads and where it writes"
)]
fn convolve(
    level: Level,
    parts: usize,
    convolution: &Convolution,
    step: &Step,
    state: &State,
    sources: &Sources<'_>,
    scratch: &mut [f32],
    y: &mut [f32],
) {
    let State::Convolve(geometry) = state else {
        return;
    };
    let Convolution { conv, dense, .. } = convolution;
    let (x, sizes) = (sources.get(step.inputs[0]), conv.shape());
    let shortcut = convolution.shortcut.then(|| sources.get(step.inputs[1]));
    let [rows, columns] = geometry.output();
    let (of_x, of_y) = (
        sizes.inputs * geometry.image()[0] * geometry.image()[1],
        sizes.outputs * rows * columns,
    );
    let parts = if conv.depth() * rows * columns < WORTH_SHARING {
        1
    } else {
        parts
    };
    for (sample, (x, y)) in x
        .chunks_exact(of_x)
        .zip(y.chunks_exact_mut(of_y))
        .enumerate()
    {
        let finish = Finish {
            bias: None,
            shortcut: shortcut.map(|all| &all[sample * of_y..][..of_y]),
            function: convolution.function,
        };
        match dense {
            Some((weights, bias)) => {
                dense::multiply_vector(level, weights, x, y);
                finish.apply(level, bias, y);
            }
            None => conv.run(level, parts, geometry, x, finish, scratch, y),
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a layer, what it reads and where it writes"
)]
fn sequence(
    level: Level,
    parts: usize,
    layer: &Recurrent,
    shape: &Shape,
    x: &[f32],
    packed: &mut vocalics_kernels::infer::tile::Weights,
    scratch: &mut [f32],
    [y, h, c]: [&mut [f32]; 3],
) {
    let [steps, batch, _] = *shape.dims() else {
        return;
    };
    let (hidden, gates) = (layer.hidden, layer.cell.gates() * layer.hidden);
    let state = batch * hidden;
    let width = layer.directions.len() * gates;
    let (inputs, scratch) = scratch.split_at_mut(steps * batch * width);
    layer.inputs.run(level, parts, x, packed, inputs);
    for row in inputs.chunks_exact_mut(width) {
        row.iter_mut()
            .zip(&layer.bias)
            .for_each(|(x, bias)| *x += bias);
    }
    let walk = |d: usize, direction: &Direction, [y, h, c, scratch]: [&mut [f32]; 4]| {
        let run = recurrent::Run {
            cell: layer.cell,
            hidden,
            steps,
            batch,
            reverse: direction.reverse,
            input_pitch: width,
        };
        let (weights, after) = (&direction.recurrent, &direction.after);
        let inputs = &inputs[d * gates..];
        recurrent::run(level, &run, inputs, weights, after, y, h, c, scratch);
    };
    match layer.directions.as_slice() {
        [only] => walk(0, only, [y, h, c, scratch]),
        [first, second] => {
            // Each into memory of its own, so that they can run side by side.
            let (results, scratch) = scratch.split_at_mut(2 * steps * state);
            let (forwards, backwards) = results.split_at_mut(steps * state);
            let (scratch, other) = scratch.split_at_mut(scratch.len() / 2);
            let ((h, last_h), (c, last_c)) = (h.split_at_mut(state), c.split_at_mut(state));
            let mut one = || walk(0, first, [forwards, h, c, scratch]);
            let mut two = || walk(1, second, [backwards, last_h, last_c, other]);
            if parts > 1 && steps * batch * width * hidden >= WORTH_SHARING {
                rayon::join(one, two);
            } else {
                one();
                two();
            }
            place(forwards, state, 0, 2 * state, y);
            place(backwards, state, state, 2 * state, y);
        }
        // A layer has one or two.
        _ => {}
    }
}
