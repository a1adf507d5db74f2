//! The two ends of a squeeze-excite residual block.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;

use super::{Cpu, Place, Strategy, Tracked, contiguous, cpu, place, plain, tracked};
use crate::gate;

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
