//! The kernels as operations on burn tensors, with their gradients.
//!
//! On burn's CPU backend (`Flex`), with or without autodiff, the functions here run the kernels of
//! this crate. On any other device they are composed of burn's own operations, so that a network
//! written with them trains on CUDA or wgpu as well.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData};

use crate::conv::{self, Conv2dShape};
use crate::gate;
use crate::norm::{self, Moments, NormShape};

type Cpu = FloatTensor<Flex>;
type Tracked = Autodiff<Flex>;

fn cpu<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Cpu {
    Flex::float_from_data(TensorData::new(values, shape), &Default::default())
}

/// The values of a tensor in row-major order. (A view is copied.)
fn contiguous(tensor: &Cpu) -> Cpu {
    tensor.to_contiguous()
}

/// A tensor on the device that its operands are on.
enum Place {
    /// On the CPU, gradients tracked.
    Tracked,
    /// On the CPU.
    Plain,
    /// Anywhere else.
    Foreign,
}

fn place<const D: usize>(x: &Tensor<D>) -> Place {
    if x.clone().try_into_primitive::<Tracked>().is_ok() {
        Place::Tracked
    } else if x.clone().try_into_primitive::<Flex>().is_ok() {
        Place::Plain
    } else {
        Place::Foreign
    }
}

fn tracked<const D: usize>(x: Tensor<D>) -> FloatTensor<Tracked> {
    x.try_into_primitive::<Tracked>()
        .expect("operands are on one device")
}

fn plain<const D: usize>(x: Tensor<D>) -> Cpu {
    contiguous(
        &x.try_into_primitive::<Flex>()
            .expect("operands are on one device"),
    )
}

/// Geometry of a convolution but for what its operands say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Zeros added on each side.
    pub padding: [usize; 2],
    /// Distance between kernel taps.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Conv2dOptions {
    fn shape(&self, x: [usize; 4], w: [usize; 4]) -> Conv2dShape {
        assert_eq!(
            x[1],
            w[1] * self.groups,
            "channels of the input and of the kernel"
        );
        Conv2dShape {
            batch: x[0],
            in_channels: x[1],
            input: [x[2], x[3]],
            out_channels: w[0],
            kernel: [w[2], w[3]],
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        }
    }
}

fn conv_output(shape: &Conv2dShape) -> [usize; 4] {
    let [rows, columns] = shape.output();
    [shape.batch, shape.out_channels, rows, columns]
}

fn conv_forward(shape: &Conv2dShape, x: &Cpu, w: &Cpu) -> Cpu {
    let mut y = vec![0.0; shape.output_len()];
    conv::forward(shape, x.storage::<f32>(), w.storage::<f32>(), &mut y);
    cpu(y, conv_output(shape))
}

#[derive(Debug)]
struct Conv2d;

impl Backward<Flex, 2> for Conv2d {
    type State = (Conv2dShape, Cpu, Cpu);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (shape, x, w) = ops.state;
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let [x_node, w_node] = ops.parents;
        if let Some(node) = x_node {
            let mut dx = vec![0.0; shape.input_len()];
            conv::backward_input(&shape, w.storage::<f32>(), dy.storage::<f32>(), &mut dx);
            let [rows, columns] = shape.input;
            let dx = cpu(dx, [shape.batch, shape.in_channels, rows, columns]);
            grads.register::<Flex>(node.id, dx);
        }
        if let Some(node) = w_node {
            let mut dw = vec![0.0; shape.weight_len()];
            conv::backward_weight(&shape, x.storage::<f32>(), dy.storage::<f32>(), &mut dw);
            let per_group = shape.in_channels / shape.groups;
            let [rows, columns] = shape.kernel;
            let dw = cpu(dw, [shape.out_channels, per_group, rows, columns]);
            grads.register::<Flex>(node.id, dw);
        }
    }
}

/// Two-dimensional convolution without a bias.
///
/// # Shapes
/// `x`: `[batch, channels, rows, columns]`; `w`: `[out, channels / groups, kernel rows, kernel
/// columns]`; result: `[batch, out, output rows, output columns]`.
///
/// # Panics
/// When the shapes do not fit, or the operands are on different devices.
#[must_use]
pub fn conv2d(x: Tensor<4>, w: Tensor<4>, options: &Conv2dOptions) -> Tensor<4> {
    let shape = options.shape(x.dims(), w.dims());
    match place(&x) {
        Place::Tracked => {
            let (x, w) = (tracked(x), tracked(w));
            let nodes = [x.node(), w.node()];
            let ((x, _x), (w, _w)) = (x.into_parts(), w.into_parts());
            let (x, w) = (contiguous(&x), contiguous(&w));
            let y = conv_forward(&shape, &x, &w);
            let y = match Conv2d.prepare::<Strategy>(nodes).compute_bound().stateful() {
                OpsKind::Tracked(prepared) => prepared.finish((shape, x, w), y),
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            Tensor::from_primitive::<Tracked>(y)
        }
        Place::Plain => Tensor::from_primitive::<Flex>(conv_forward(&shape, &plain(x), &plain(w))),
        Place::Foreign => {
            let Conv2dOptions {
                stride,
                padding,
                dilation,
                groups,
            } = *options;
            let options = ConvOptions::new(stride, padding, dilation, groups);
            burn::tensor::module::conv2d(x, w, None, options)
        }
    }
}

type Strategy = burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;

/// What batch normalisation in training gives.
#[derive(Debug)]
pub struct BatchNorm {
    /// The normalised batch, shaped like the input.
    pub output: Tensor<4>,
    /// Mean of every channel, `[channels]`, outside the gradient.
    pub mean: Tensor<1>,
    /// Biased variance of every channel, `[channels]`, outside the gradient.
    pub variance: Tensor<1>,
}

#[derive(Debug)]
struct BatchNormOp;

#[derive(Debug, Clone)]
struct BatchNormState {
    shape: NormShape,
    dims: [usize; 4],
    x: Cpu,
    gamma: Cpu,
    beta: Cpu,
    moments: Moments<f32>,
    epsilon: f64,
    relu: bool,
}

impl BatchNormState {
    fn output(&self) -> Cpu {
        let mut y = vec![0.0; self.dims.iter().product()];
        norm::forward(
            &self.shape,
            self.x.storage::<f32>(),
            &self.moments,
            self.gamma.storage::<f32>(),
            self.beta.storage::<f32>(),
            self.epsilon,
            self.relu,
            &mut y,
        );
        cpu(y, self.dims)
    }
}

impl Backward<Flex, 3> for BatchNormOp {
    type State = BatchNormState;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let gradients = norm::backward(
            &state.shape,
            state.x.storage::<f32>(),
            &state.moments,
            state.gamma.storage::<f32>(),
            state.beta.storage::<f32>(),
            state.epsilon,
            state.relu,
            dy.storage::<f32>(),
        );
        let channels = [state.shape.channels];
        let [x, gamma, beta] = ops.parents;
        if let Some(node) = x {
            grads.register::<Flex>(node.id, cpu(gradients.x, state.dims));
        }
        if let Some(node) = gamma {
            grads.register::<Flex>(node.id, cpu(gradients.gamma, channels));
        }
        if let Some(node) = beta {
            grads.register::<Flex>(node.id, cpu(gradients.beta, channels));
        }
    }
}

/// Batch normalisation with the statistics of the batch, and a ReLU behind it if asked for.
///
/// # Shapes
/// `x`: `[batch, channels, rows, columns]`; `gamma`, `beta`: `[channels]`.
///
/// # Panics
/// When the shapes do not fit, or the operands are on different devices.
#[must_use]
pub fn batch_norm(
    x: Tensor<4>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    relu: bool,
) -> BatchNorm {
    let dims = x.dims();
    let [batch, channels, rows, columns] = dims;
    let shape = NormShape {
        batch,
        channels,
        positions: rows * columns,
    };
    let state = |x: Cpu, gamma: Cpu, beta: Cpu| {
        let moments = norm::moments(&shape, x.storage::<f32>());
        BatchNormState {
            shape,
            dims,
            x,
            gamma,
            beta,
            moments,
            epsilon,
            relu,
        }
    };
    match place(&x) {
        Place::Tracked => {
            let (x, gamma, beta) = (tracked(x), tracked(gamma), tracked(beta));
            let nodes = [x.node(), gamma.node(), beta.node()];
            let [x, gamma, beta] =
                [x, gamma, beta].map(|tensor| contiguous(&tensor.into_parts().0));
            let state = state(x, gamma, beta);
            let y = state.output();
            let [mean, variance] = [&state.moments.mean, &state.moments.variance]
                .map(|values| Tensor::from_primitive::<Flex>(cpu(values.clone(), [channels])))
                .map(Tensor::from_inner);
            let y = match BatchNormOp
                .prepare::<Strategy>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prepared) => prepared.finish(state, y),
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            BatchNorm {
                output: Tensor::from_primitive::<Tracked>(y),
                mean,
                variance,
            }
        }
        Place::Plain => {
            let state = state(plain(x), plain(gamma), plain(beta));
            let output = Tensor::from_primitive::<Flex>(state.output());
            let [mean, variance] = [state.moments.mean, state.moments.variance]
                .map(|values| Tensor::from_primitive::<Flex>(cpu(values, [channels])));
            BatchNorm {
                output,
                mean,
                variance,
            }
        }
        Place::Foreign => {
            let result = burn::tensor::module::batch_norm_train(x, gamma, beta, epsilon);
            let output = if relu {
                burn::tensor::activation::relu(result.output)
            } else {
                result.output
            };
            BatchNorm {
                output,
                mean: result.mean.detach(),
                variance: result.variance.detach(),
            }
        }
    }
}

#[derive(Debug)]
struct ChannelMean;

impl Backward<Flex, 1> for ChannelMean {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let [.., rows, columns] = ops.state;
        if let [Some(node)] = ops.parents {
            let dx = gate::mean_backward(rows * columns, dy.storage::<f32>());
            grads.register::<Flex>(node.id, cpu(dx, ops.state));
        }
    }
}

/// Mean of every channel over all positions.
///
/// # Shapes
/// `x`: `[batch, channels, rows, columns]`; result: `[batch, channels]`.
#[must_use]
pub fn channel_mean(x: Tensor<4>) -> Tensor<2> {
    let dims = x.dims();
    let [batch, channels, rows, columns] = dims;
    let mean = |x: &Cpu| {
        cpu(
            gate::mean(rows * columns, x.storage::<f32>()),
            [batch, channels],
        )
    };
    match place(&x) {
        Place::Tracked => {
            let x = tracked(x);
            let nodes = [x.node()];
            let y = mean(&contiguous(&x.into_parts().0));
            let y = match ChannelMean
                .prepare::<Strategy>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prepared) => prepared.finish(dims, y),
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            Tensor::from_primitive::<Tracked>(y)
        }
        Place::Plain => Tensor::from_primitive::<Flex>(mean(&plain(x))),
        Place::Foreign => x.flatten::<3>(2, 3).mean_dim(2).squeeze_dim::<2>(2),
    }
}

#[derive(Debug)]
struct ScaleAddRelu;

impl Backward<Flex, 3> for ScaleAddRelu {
    type State = ([usize; 4], Cpu, Cpu, Cpu);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dims, x, s, y) = ops.state;
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        let gradients = gate::scale_add_relu_backward(
            dims[2] * dims[3],
            x.storage::<f32>(),
            s.storage::<f32>(),
            y.storage::<f32>(),
            dy.storage::<f32>(),
        );
        let [x, s, shortcut] = ops.parents;
        if let Some(node) = x {
            grads.register::<Flex>(node.id, cpu(gradients.x, dims));
        }
        if let Some(node) = s {
            grads.register::<Flex>(node.id, cpu(gradients.s, [dims[0], dims[1]]));
        }
        if let Some(node) = shortcut {
            grads.register::<Flex>(node.id, cpu(gradients.shortcut, dims));
        }
    }
}

/// The tail of a squeeze-excite residual block, `relu(x · s + shortcut)`.
///
/// # Shapes
/// `x`, `shortcut` and the result: `[batch, channels, rows, columns]`; `s`: `[batch, channels]`.
///
/// # Panics
/// When the shapes do not fit, or the operands are on different devices.
#[must_use]
pub fn scale_add_relu(x: Tensor<4>, s: Tensor<2>, shortcut: Tensor<4>) -> Tensor<4> {
    let dims = x.dims();
    let positions = dims[2] * dims[3];
    let forward = |x: &Cpu, s: &Cpu, shortcut: &Cpu| {
        let shortcut = shortcut.storage::<f32>();
        cpu(
            gate::scale_add_relu(positions, x.storage::<f32>(), s.storage::<f32>(), shortcut),
            dims,
        )
    };
    match place(&x) {
        Place::Tracked => {
            let (x, s, shortcut) = (tracked(x), tracked(s), tracked(shortcut));
            let nodes = [x.node(), s.node(), shortcut.node()];
            let [x, s, shortcut] =
                [x, s, shortcut].map(|tensor| contiguous(&tensor.into_parts().0));
            let y = forward(&x, &s, &shortcut);
            let y = match ScaleAddRelu
                .prepare::<Strategy>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(prepared) => prepared.finish((dims, x, s, y.clone()), y),
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            Tensor::from_primitive::<Tracked>(y)
        }
        Place::Plain => {
            Tensor::from_primitive::<Flex>(forward(&plain(x), &plain(s), &plain(shortcut)))
        }
        Place::Foreign => {
            let s = s.unsqueeze_dims::<4>(&[2, 3]);
            burn::tensor::activation::relu(x * s + shortcut)
        }
    }
}
