//! Batch normalisation.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;

use super::{Cpu, Place, Strategy, Tracked, contiguous, cpu, place, plain, tracked};
use crate::norm::{self, Moments, NormShape};
use crate::zeros::zeros;

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
        let mut y = zeros(self.dims.iter().product());
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
