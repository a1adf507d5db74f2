//! Pooling.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;
use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};

use super::{Cpu, Place, Strategy, Tracked, contiguous, cpu, place, plain, tracked};
use crate::pool::{self, PoolShape};

/// Geometry of a pooling but for what its input says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool2dOptions {
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Step between windows.
    pub stride: [usize; 2],
    /// Positions added on each side, at most half of the kernel.
    pub padding: [usize; 2],
}

/// The sizes of one pooling.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    shape: PoolShape,
    /// Of the input.
    dims: [usize; 4],
}

impl Sizes {
    fn new(options: &Pool2dOptions, dims: [usize; 4]) -> Self {
        let [batch, channels, rows, columns] = dims;
        Self {
            shape: PoolShape {
                planes: batch * channels,
                input: [rows, columns],
                kernel: options.kernel,
                stride: options.stride,
                padding: options.padding,
            },
            dims,
        }
    }

    fn output(&self) -> [usize; 4] {
        let [rows, columns] = self.shape.output();
        [self.dims[0], self.dims[1], rows, columns]
    }

    fn max(&self, x: &Cpu) -> (Cpu, Vec<u32>) {
        let len = self.shape.output_len();
        let (mut y, mut index) = (vec![0.0; len], vec![0; len]);
        pool::max(&self.shape, x.storage::<f32>(), &mut y, &mut index);
        (cpu(y, self.output()), index)
    }

    fn average(&self, x: &Cpu) -> Cpu {
        let mut y = vec![0.0; self.shape.output_len()];
        pool::average(&self.shape, x.storage::<f32>(), &mut y);
        cpu(y, self.output())
    }
}

#[derive(Debug)]
struct MaxPool;

impl Backward<Flex, 1> for MaxPool {
    type State = (Sizes, Vec<u32>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (sizes, index) = ops.state;
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            let mut dx = vec![0.0; sizes.shape.input_len()];
            pool::max_backward(&sizes.shape, &index, dy.storage::<f32>(), &mut dx);
            grads.register::<Flex>(node.id, cpu(dx, sizes.dims));
        }
    }
}

#[derive(Debug)]
struct AveragePool;

impl Backward<Flex, 1> for AveragePool {
    type State = Sizes;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let sizes = ops.state;
        let dy = contiguous(&grads.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            let mut dx = vec![0.0; sizes.shape.input_len()];
            pool::average_backward(&sizes.shape, dy.storage::<f32>(), &mut dx);
            grads.register::<Flex>(node.id, cpu(dx, sizes.dims));
        }
    }
}

/// The largest value of each window; padding never wins.
///
/// # Shapes
/// `x`: `[batch, channels, rows, columns]`; result: `[batch, channels, output rows, output
/// columns]`, see [`PoolShape::output`].
///
/// # Panics
/// When the padding is more than half of the kernel.
#[must_use]
pub fn max_pool2d(x: Tensor<4>, options: &Pool2dOptions) -> Tensor<4> {
    let sizes = Sizes::new(options, x.dims());
    match place(&x) {
        Place::Tracked => {
            let x = tracked(x);
            let nodes = [x.node()];
            let (y, index) = sizes.max(&contiguous(&x.into_parts().0));
            let prepared = MaxPool.prepare::<Strategy>(nodes).compute_bound();
            let y = match prepared.stateful() {
                OpsKind::Tracked(prepared) => prepared.finish((sizes, index), y),
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            Tensor::from_primitive::<Tracked>(y)
        }
        Place::Plain => Tensor::from_primitive::<Flex>(sizes.max(&plain(x)).0),
        Place::Foreign => compose_max(x, options),
    }
}

fn compose_max(x: Tensor<4>, options: &Pool2dOptions) -> Tensor<4> {
    let Pool2dOptions {
        kernel,
        stride,
        padding,
    } = *options;
    let options = MaxPoolOptions::new(kernel)
        .with_stride(stride)
        .with_padding(padding);
    burn::tensor::module::max_pool2d(x, options)
}

/// The mean of each window; padding counts as zeros.
///
/// # Shapes
/// As in [`max_pool2d`].
///
/// # Panics
/// When the padding is more than half of the kernel.
#[must_use]
pub fn avg_pool2d(x: Tensor<4>, options: &Pool2dOptions) -> Tensor<4> {
    let sizes = Sizes::new(options, x.dims());
    match place(&x) {
        Place::Tracked => {
            let x = tracked(x);
            let nodes = [x.node()];
            let y = sizes.average(&contiguous(&x.into_parts().0));
            let prepared = AveragePool.prepare::<Strategy>(nodes).compute_bound();
            let y = match prepared.stateful() {
                OpsKind::Tracked(prepared) => prepared.finish(sizes, y),
                OpsKind::UnTracked(prepared) => prepared.finish(y),
            };
            Tensor::from_primitive::<Tracked>(y)
        }
        Place::Plain => Tensor::from_primitive::<Flex>(sizes.average(&plain(x))),
        Place::Foreign => compose_average(x, options),
    }
}

fn compose_average(x: Tensor<4>, options: &Pool2dOptions) -> Tensor<4> {
    let Pool2dOptions {
        kernel,
        stride,
        padding,
    } = *options;
    let options = AvgPoolOptions::new(kernel)
        .with_stride(stride)
        .with_padding(padding)
        .with_count_include_pad(true);
    burn::tensor::module::avg_pool2d(x, options)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;

    type Pool = fn(Tensor<4>, &Pool2dOptions) -> Tensor<4>;

    #[test]
    fn kernels_match_their_compositions_with_gradients() {
        let options = Pool2dOptions {
            kernel: [3, 2],
            stride: [2, 1],
            padding: [1, 1],
        };
        let device = Device::flex().autodiff();
        let noise = |dims| Tensor::<4>::random(dims, Distribution::Normal(0.0, 1.0), &device);
        let x = noise([2, 3, 7, 6]).into_data();
        let pairs: [(Pool, Pool); 2] = [(max_pool2d, compose_max), (avg_pool2d, compose_average)];
        for (kernel, composed) in pairs {
            let weights = noise([2, 3, 4, 7]);
            let run = |pool: Pool| {
                let x = Tensor::<4>::from_data(x.clone(), &device).require_grad();
                let y = pool(x.clone(), &options);
                let g = (y.clone() * weights.clone()).sum().backward();
                [y.into_data(), x.grad(&g).unwrap().into_data()]
            };
            let got = run(kernel);
            for (got, want) in got.iter().zip(&run(composed)) {
                got.assert_approx_eq::<f32>(want, Tolerance::absolute(1e-5));
            }
            let plain = kernel(Tensor::from_data(x.clone(), &Device::flex()), &options);
            plain.into_data().assert_eq(&got[0], true);
        }
    }
}
