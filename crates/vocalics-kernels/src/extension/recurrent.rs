//! Recurrent layers.

use std::fmt::Debug;
use std::marker::PhantomData;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::{Cpu, Place, Strategy, Tracked, contiguous, cpu, place, plain, tracked};
use crate::recurrent::{self, RecurrentShape, Weights};
use crate::{gru, lstm};

/// What the two layers differ in.
trait Layer: Debug + Send + 'static {
    /// Gates, which is rows of the weights by features of the state.
    const GATES: usize;
    /// What the backward pass needs of the forward pass.
    type Tape: Clone + Send + Debug + 'static;

    /// Output and tape.
    fn forward(
        shape: &RecurrentShape,
        x: &[f32],
        weights: &Weights<'_, f32>,
    ) -> (Vec<f32>, Self::Tape);

    fn backward(
        shape: &RecurrentShape,
        x: &[f32],
        weights: &Weights<'_, f32>,
        y: &[f32],
        tape: Self::Tape,
        dy: &[f32],
    ) -> recurrent::Gradients<f32>;

    /// The state after a frame, composed of burn's operations: `input` is `W·x + b`, `recalled` is
    /// `R·h + b'`, both `[batch, gates · hidden]`; `state` is the output before and, for a layer
    /// that has one, the cell before, both `[batch, hidden]`.
    fn compose(input: Tensor<2>, recalled: Tensor<2>, state: [Tensor<2>; 2]) -> [Tensor<2>; 2];
}

/// Columns of one gate.
fn gate(gates: &Tensor<2>, index: usize, hidden: usize) -> Tensor<2> {
    gates.clone().narrow(1, index * hidden, hidden)
}

#[derive(Debug)]
struct Lstm;

impl Layer for Lstm {
    const GATES: usize = lstm::GATES;
    type Tape = lstm::Tape<f32>;

    fn forward(
        shape: &RecurrentShape,
        x: &[f32],
        weights: &Weights<'_, f32>,
    ) -> (Vec<f32>, Self::Tape) {
        let (mut y, mut tape) = (vec![0.0; shape.output_len()], lstm::Tape::default());
        lstm::forward(shape, x, weights, &mut y, &mut tape);
        (y, tape)
    }

    fn backward(
        shape: &RecurrentShape,
        x: &[f32],
        weights: &Weights<'_, f32>,
        y: &[f32],
        tape: Self::Tape,
        dy: &[f32],
    ) -> recurrent::Gradients<f32> {
        lstm::backward(shape, x, weights, y, tape, dy)
    }

    fn compose(input: Tensor<2>, recalled: Tensor<2>, state: [Tensor<2>; 2]) -> [Tensor<2>; 2] {
        let [_, cell] = state;
        let hidden = cell.dims()[1];
        let gates = input + recalled;
        let gate = |index| gate(&gates, index, hidden);
        let cell = sigmoid(gate(2)) * cell + sigmoid(gate(0)) * gate(3).tanh();
        [sigmoid(gate(1)) * cell.clone().tanh(), cell]
    }
}

#[derive(Debug)]
struct Gru;

impl Layer for Gru {
    const GATES: usize = gru::GATES;
    type Tape = gru::Tape<f32>;

    fn forward(
        shape: &RecurrentShape,
        x: &[f32],
        weights: &Weights<'_, f32>,
    ) -> (Vec<f32>, Self::Tape) {
        let (mut y, mut tape) = (vec![0.0; shape.output_len()], gru::Tape::default());
        gru::forward(shape, x, weights, &mut y, &mut tape);
        (y, tape)
    }

    fn backward(
        shape: &RecurrentShape,
        x: &[f32],
        weights: &Weights<'_, f32>,
        y: &[f32],
        tape: Self::Tape,
        dy: &[f32],
    ) -> recurrent::Gradients<f32> {
        gru::backward(shape, x, weights, y, tape, dy)
    }

    fn compose(input: Tensor<2>, recalled: Tensor<2>, state: [Tensor<2>; 2]) -> [Tensor<2>; 2] {
        let [before, unused] = state;
        let hidden = before.dims()[1];
        let gate = |of: &Tensor<2>, index| gate(of, index, hidden);
        let update = sigmoid(gate(&input, 0) + gate(&recalled, 0));
        let reset = sigmoid(gate(&input, 1) + gate(&recalled, 1));
        let new = (gate(&input, 2) + reset * gate(&recalled, 2)).tanh();
        [new.clone() + update * (before - new), unused]
    }
}

/// Input, weights and biases of a layer, in the order of the arguments of [`lstm()`].
#[derive(Debug, Clone)]
struct Operands([Cpu; 5]);

impl Operands {
    fn x(&self) -> &[f32] {
        self.0[0].storage::<f32>()
    }

    fn weights(&self) -> Weights<'_, f32> {
        let [_, input, hidden, bias_input, bias_hidden] =
            self.0.each_ref().map(|tensor| tensor.storage::<f32>());
        Weights {
            input,
            hidden,
            bias_input,
            bias_hidden,
        }
    }
}

fn output_dims(shape: &RecurrentShape) -> [usize; 3] {
    [shape.batch, shape.n_frames, shape.hidden]
}

#[derive(Debug)]
struct Recurrent<L>(PhantomData<L>);

impl<L: Layer> Backward<Flex, 5> for Recurrent<L> {
    type State = (RecurrentShape, Operands, Cpu, L::Tape);

    fn backward(self, ops: Ops<Self::State, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (shape, operands, y, tape) = ops.state;
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let (y, dy) = (y.storage::<f32>(), dy.storage::<f32>());
        let gradients = L::backward(&shape, operands.x(), &operands.weights(), y, tape, dy);
        let rows = L::GATES * shape.hidden;
        let [x, input, hidden, bias_input, bias_hidden] = ops.parents;
        if let Some(node) = x {
            let dims = [shape.batch, shape.n_frames, shape.inputs];
            grads.register::<Flex>(node.id, cpu(gradients.x, dims));
        }
        if let Some(node) = input {
            let gradient = cpu(gradients.w_input, [rows, shape.inputs]);
            grads.register::<Flex>(node.id, gradient);
        }
        if let Some(node) = hidden {
            let gradient = cpu(gradients.w_hidden, [rows, shape.hidden]);
            grads.register::<Flex>(node.id, gradient);
        }
        if let Some(node) = bias_input {
            grads.register::<Flex>(node.id, cpu(gradients.bias_input, [rows]));
        }
        if let Some(node) = bias_hidden {
            grads.register::<Flex>(node.id, cpu(gradients.bias_hidden, [rows]));
        }
    }
}

/// A layer composed of burn's operations, for devices other than the CPU.
fn compose<L: Layer>(
    shape: &RecurrentShape,
    x: Tensor<3>,
    w_input: Tensor<2>,
    w_hidden: Tensor<2>,
    bias_input: Tensor<1>,
    bias_hidden: Tensor<1>,
) -> Tensor<3> {
    let [batch, n_frames, hidden] = output_dims(shape);
    let columns = L::GATES * hidden;
    let device = x.device();
    let x = x.reshape([batch * n_frames, shape.inputs]);
    let input = x.matmul(w_input.transpose()) + bias_input.unsqueeze_dim::<2>(0);
    let input = input.reshape([batch, n_frames, columns]);
    let (w_hidden, bias_hidden) = (w_hidden.transpose(), bias_hidden.unsqueeze_dim::<2>(0));
    let zero = Tensor::<2>::zeros([batch, hidden], &device);
    let mut state = [zero.clone(), zero];
    let mut outputs = Vec::with_capacity(n_frames);
    for time in 0..n_frames {
        let frame = shape.frame(time);
        let input = input.clone().narrow(1, frame, 1).squeeze_dim::<2>(1);
        let recalled = state[0].clone().matmul(w_hidden.clone()) + bias_hidden.clone();
        state = L::compose(input, recalled, state);
        outputs.push(state[0].clone().unsqueeze_dim::<3>(1));
    }
    if shape.reverse {
        outputs.reverse();
    }
    Tensor::cat(outputs, 1)
}

fn run<L: Layer>(
    x: Tensor<3>,
    w_input: Tensor<2>,
    w_hidden: Tensor<2>,
    bias_input: Tensor<1>,
    bias_hidden: Tensor<1>,
    reverse: bool,
) -> Tensor<3> {
    let [batch, n_frames, inputs] = x.dims();
    let [rows, hidden] = w_hidden.dims();
    assert_eq!(rows, L::GATES * hidden, "rows of the hidden weights");
    assert_eq!(w_input.dims(), [rows, inputs], "input weights");
    assert_eq!(bias_input.dims(), [rows], "input bias");
    assert_eq!(bias_hidden.dims(), [rows], "hidden bias");
    let shape = RecurrentShape {
        batch,
        n_frames,
        inputs,
        hidden,
        reverse,
    };
    match place(&x) {
        Place::Tracked => {
            let operands = [
                tracked(x),
                tracked(w_input),
                tracked(w_hidden),
                tracked(bias_input),
                tracked(bias_hidden),
            ];
            let nodes = operands.each_ref().map(|tensor| tensor.node());
            let operands = operands.map(|tensor| contiguous(&tensor.into_parts().0));
            let operands = Operands(operands);
            let (y, tape) = L::forward(&shape, operands.x(), &operands.weights());
            let y = cpu(y, output_dims(&shape));
            let op = Recurrent::<L>(PhantomData);
            let y = match op.prepare::<Strategy>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => {
                    prepared.finish((shape, operands, y.clone(), tape), y)
                }
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            Tensor::from_primitive::<Tracked>(y)
        }
        Place::Plain => {
            let operands = Operands([
                plain(x),
                plain(w_input),
                plain(w_hidden),
                plain(bias_input),
                plain(bias_hidden),
            ]);
            let (y, _) = L::forward(&shape, operands.x(), &operands.weights());
            Tensor::from_primitive::<Flex>(cpu(y, output_dims(&shape)))
        }
        Place::Foreign => compose::<L>(&shape, x, w_input, w_hidden, bias_input, bias_hidden),
    }
}

/// A long short-term memory layer over whole sequences; the state before them is zero.
///
/// With `reverse` the layer runs from the last frame to the first; outputs stay in their frames'
/// places. The order of gates and the way to ONNX are those of [`crate::lstm`].
///
/// # Shapes
/// `x`: `[batch, n_frames, inputs]`; `w_input`: `[4 · hidden, inputs]`; `w_hidden`: `[4 · hidden,
/// hidden]`; `bias_input`, `bias_hidden`: `[4 · hidden]`; result: `[batch, n_frames, hidden]`.
///
/// # Panics
/// When the shapes do not fit, or the operands are on different devices.
#[must_use]
pub fn lstm(
    x: Tensor<3>,
    w_input: Tensor<2>,
    w_hidden: Tensor<2>,
    bias_input: Tensor<1>,
    bias_hidden: Tensor<1>,
    reverse: bool,
) -> Tensor<3> {
    run::<Lstm>(x, w_input, w_hidden, bias_input, bias_hidden, reverse)
}

/// A gated recurrent unit over whole sequences; the state before them is zero.
///
/// With `reverse` the layer runs from the last frame to the first; outputs stay in their frames'
/// places. The order of gates and the way to ONNX are those of [`crate::gru`].
///
/// # Shapes
/// `x`: `[batch, n_frames, inputs]`; `w_input`: `[3 · hidden, inputs]`; `w_hidden`: `[3 · hidden,
/// hidden]`; `bias_input`, `bias_hidden`: `[3 · hidden]`; result: `[batch, n_frames, hidden]`.
///
/// # Panics
/// When the shapes do not fit, or the operands are on different devices.
#[must_use]
pub fn gru(
    x: Tensor<3>,
    w_input: Tensor<2>,
    w_hidden: Tensor<2>,
    bias_input: Tensor<1>,
    bias_hidden: Tensor<1>,
    reverse: bool,
) -> Tensor<3> {
    run::<Gru>(x, w_input, w_hidden, bias_input, bias_hidden, reverse)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, TensorData, Tolerance};

    use super::*;

    type Kernel = fn(Tensor<3>, Tensor<2>, Tensor<2>, Tensor<1>, Tensor<1>, bool) -> Tensor<3>;

    fn noise<const D: usize>(shape: [usize; D]) -> TensorData {
        let device = Device::flex();
        Tensor::<D>::random(shape, Distribution::Normal(0.0, 0.7), &device).into_data()
    }

    /// The kernel's output and gradients are those of the composition, which runs on the CPU here.
    fn assert_same_as_composed<L: Layer>(kernel: Kernel, reverse: bool) {
        let shape = RecurrentShape {
            batch: 3,
            n_frames: 5,
            inputs: 4,
            hidden: 6,
            reverse,
        };
        let rows = L::GATES * shape.hidden;
        let data = [
            noise([shape.batch, shape.n_frames, shape.inputs]),
            noise([rows, shape.inputs]),
            noise([rows, shape.hidden]),
            noise([rows]),
            noise([rows]),
        ];
        let weights = noise(output_dims(&shape));
        let run = |composed: bool| {
            let device = Device::flex().autodiff();
            let x = Tensor::<3>::from_data(data[0].clone(), &device).require_grad();
            let [wi, wh] =
                [1, 2].map(|i| Tensor::<2>::from_data(data[i].clone(), &device).require_grad());
            let [bi, bh] =
                [3, 4].map(|i| Tensor::<1>::from_data(data[i].clone(), &device).require_grad());
            let (x2, wi2, wh2, bi2, bh2) =
                (x.clone(), wi.clone(), wh.clone(), bi.clone(), bh.clone());
            let y = if composed {
                compose::<L>(&shape, x2, wi2, wh2, bi2, bh2)
            } else {
                kernel(x2, wi2, wh2, bi2, bh2, reverse)
            };
            let loss = y.clone() * Tensor::from_data(weights.clone(), &device);
            let g = loss.sum().backward();
            [
                y.into_data(),
                x.grad(&g).unwrap().into_data(),
                wi.grad(&g).unwrap().into_data(),
                wh.grad(&g).unwrap().into_data(),
                bi.grad(&g).unwrap().into_data(),
                bh.grad(&g).unwrap().into_data(),
            ]
        };
        for (got, want) in run(false).iter().zip(&run(true)) {
            got.assert_approx_eq::<f32>(want, Tolerance::rel_abs(1e-4, 2e-5));
        }
        let device = Device::flex();
        let on = |i: usize| Tensor::<2>::from_data(data[i].clone(), &device);
        let bias = |i: usize| Tensor::<1>::from_data(data[i].clone(), &device);
        let x = Tensor::from_data(data[0].clone(), &device);
        let y = kernel(x, on(1), on(2), bias(3), bias(4), reverse);
        y.into_data().assert_eq(&run(false)[0], true);
    }

    #[test]
    fn kernels_match_their_compositions_with_gradients() {
        for reverse in [false, true] {
            assert_same_as_composed::<Lstm>(lstm, reverse);
            assert_same_as_composed::<Gru>(gru, reverse);
        }
    }
}
