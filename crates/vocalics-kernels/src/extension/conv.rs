//! Convolution.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::ops::ConvOptions;

use super::{Cpu, Place, Strategy, Tracked, contiguous, cpu, place, plain, tracked};
use crate::conv::{self, Conv2dShape};
use crate::zeros::zeros;

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
    let mut y = zeros(shape.output_len());
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
            let mut dx = zeros(shape.input_len());
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
