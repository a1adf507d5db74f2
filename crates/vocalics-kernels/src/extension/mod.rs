//! The kernels as operations on burn tensors, with their gradients.
//!
//! On burn's CPU backend (`Flex`), with or without autodiff, the functions here run the kernels of
//! this crate. On any other device they are composed of burn's own operations, so that a network
//! written with them trains on CUDA or wgpu as well.

mod conv;
mod gate;
mod norm;
mod pool;
mod recurrent;

use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};

pub use conv::{Conv2dOptions, conv2d};
pub use gate::{channel_mean, scale_add_relu};
pub use norm::{BatchNorm, batch_norm};
pub use pool::{Pool2dOptions, avg_pool2d, max_pool2d};
pub use recurrent::{gru, lstm};

type Cpu = FloatTensor<Flex>;
type Tracked = Autodiff<Flex>;
type Strategy = burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;

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
