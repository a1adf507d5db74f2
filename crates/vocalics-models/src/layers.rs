//! Layers that the networks share: convolution with batch norm, dense, dropout.

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use rand::Rng;
use rand::rngs::StdRng;
use vocalics_kernels::extension::{self, Conv2dOptions};

use crate::Mode;

/// Added to the variance before its root, as in PyTorch.
pub const NORM_EPSILON: f64 = 1e-5;

/// Share of the batch's statistics in the running ones, as in PyTorch.
const NORM_MOMENTUM: f64 = 0.1;

/// Normal noise from the generator, `[len]`, by the Box-Muller transform.
pub(crate) fn normal(len: usize, deviation: f64, rng: &mut StdRng) -> Vec<f32> {
    (0..len)
        .map(|_| {
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            let z = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "weights are single precision"
            )]
            {
                (z * deviation) as f32
            }
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "fan-in is far below 2^53")]
fn inverse_root(fan: usize, gain: f64) -> f64 {
    (gain / fan.max(1) as f64).sqrt()
}

/// Geometry of a convolution whose padding keeps the size at stride 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// Channels in and out.
    pub channels: [usize; 2],
    /// Rows and columns of the kernel, odd.
    pub kernel: [usize; 2],
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Distance between kernel taps.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl ConvShape {
    /// Stride 1, no dilation, one group.
    #[must_use]
    pub const fn new(channels: [usize; 2], kernel: [usize; 2]) -> Self {
        Self {
            channels,
            kernel,
            stride: [1, 1],
            dilation: [1, 1],
            groups: 1,
        }
    }

    /// The same with another step between outputs.
    #[must_use]
    pub const fn strided(self, stride: [usize; 2]) -> Self {
        Self { stride, ..self }
    }

    /// The same with another distance between kernel taps.
    #[must_use]
    pub const fn dilated(self, dilation: [usize; 2]) -> Self {
        Self { dilation, ..self }
    }

    /// One kernel for each channel.
    #[must_use]
    pub const fn depthwise(channels: usize, kernel: [usize; 2]) -> Self {
        Self {
            groups: channels,
            ..Self::new([channels, channels], kernel)
        }
    }
}

/// Channels and stride of every block of a network with `blocks` blocks in each stage, where every
/// stage after the first halves the image.
pub(crate) fn stages(channels: &[usize], blocks: usize) -> impl Iterator<Item = (usize, usize)> {
    let stages = channels.iter().enumerate();
    stages.flat_map(move |(stage, &channels)| {
        let stride = move |block| if stage > 0 && block == 0 { 2 } else { 1 };
        (0..blocks).map(move |block| (channels, stride(block)))
    })
}

/// A two-dimensional convolution without a bias.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[out, in / groups, rows, columns]`.
    pub weight: Param<Tensor<4>>,
    /// Step between outputs.
    pub stride: [usize; 2],
    /// Zeros on each side.
    pub padding: [usize; 2],
    /// Distance between kernel taps.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
}

impl Conv {
    /// A convolution with fresh weights, normal with variance `1 / (3 · fan-in)`.
    ///
    /// A batch norm follows, so the scale of the weights decides only how far a step of the
    /// optimiser turns them. This one, that of PyTorch's default, learns faster here than He's
    /// (variance `2 / fan-in`; K. He et al., *Delving Deep into Rectifiers*, ICCV 2015); measured
    /// in `docs/experiments.md`.
    #[must_use]
    pub fn new(shape: ConvShape, rng: &mut StdRng, device: &Device) -> Self {
        let ConvShape {
            channels: [inputs, outputs],
            kernel: [rows, columns],
            stride,
            dilation,
            groups,
        } = shape;
        let inputs = inputs / groups;
        let fan = inputs * rows * columns;
        let weight = normal(outputs * fan, inverse_root(fan, 1.0 / 3.0), rng);
        let weight = TensorData::new(weight, [outputs, inputs, rows, columns]);
        Self {
            weight: Param::from_data(weight, device),
            stride,
            padding: [rows / 2 * dilation[0], columns / 2 * dilation[1]],
            dilation,
            groups,
        }
    }

    /// `[batch, in, rows, columns]` to `[batch, out, rows / stride, columns / stride]`, rounded up.
    #[must_use]
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let options = Conv2dOptions {
            stride: self.stride,
            padding: self.padding,
            dilation: self.dilation,
            groups: self.groups,
        };
        extension::conv2d(x, self.weight.val(), &options)
    }
}

/// Batch normalisation over `[batch, channels, rows, columns]`, with an optional ReLU behind it.
///
/// Source: S. Ioffe, C. Szegedy, *Batch Normalization*, ICML 2015.
#[derive(Module, Debug)]
pub struct Norm {
    /// `[channels]`.
    pub gamma: Param<Tensor<1>>,
    /// `[channels]`.
    pub beta: Param<Tensor<1>>,
    /// Running mean, `[channels]`.
    pub mean: RunningState<Tensor<1>>,
    /// Running variance, unbiased, `[channels]`.
    pub variance: RunningState<Tensor<1>>,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl Norm {
    /// Unit scale, no shift.
    #[must_use]
    pub fn new(channels: usize, relu: bool, device: &Device) -> Self {
        let constant = |value: f32| TensorData::new(vec![value; channels], [channels]);
        let state = |value| RunningState::new(Tensor::from_data(constant(value), device));
        Self {
            gamma: Param::from_data(constant(1.0), device),
            beta: Param::from_data(constant(0.0), device),
            mean: state(0.0),
            variance: state(1.0),
            relu,
        }
    }

    /// Batch statistics in training, which also move the running ones; those in inference, and in a frozen norm
    /// ([`crate::stages::freeze`]).
    #[must_use]
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        match mode {
            Mode::Infer => return self.infer(x),
            Mode::Measure => return self.measure(x),
            Mode::Train(_) if self.is_frozen() => return self.infer(x),
            Mode::Train(_) => {}
        }
        let [batch, _, rows, columns] = x.dims();
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        let norm = extension::batch_norm(x, gamma, beta, NORM_EPSILON, self.relu);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53 values")]
        let count = (batch * rows * columns) as f64;
        let unbiased = norm.variance * (count / (count - 1.0).max(1.0));
        for (state, new) in [(&self.mean, norm.mean), (&self.variance, unbiased)] {
            let old = state.value_sync();
            let new = new.to_device(&old.device());
            state.update((old * (1.0 - NORM_MOMENTUM) + new * NORM_MOMENTUM).detach());
            // An update waits per thread until it is asked for; a checkpoint reads without asking.
            let _ = state.value_sync();
        }
        norm.output
    }

    fn is_frozen(&self) -> bool {
        let gamma = self.gamma.val();
        gamma.is_autodiff() && !gamma.is_require_grad()
    }

    /// `γ · x + β`; the running statistics become those of `x`.
    fn measure(&self, x: Tensor<4>) -> Tensor<4> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        let norm = extension::batch_norm(
            x.clone(),
            gamma.clone(),
            beta.clone(),
            NORM_EPSILON,
            self.relu,
        );
        for (state, new) in [(&self.mean, norm.mean), (&self.variance, norm.variance)] {
            state.update(new.detach());
            let _ = state.value_sync();
        }
        self.scaled(x, gamma, beta)
    }

    fn infer(&self, x: Tensor<4>) -> Tensor<4> {
        let (scale, shift) = self.affine();
        self.scaled(x, scale, shift)
    }

    fn scaled(&self, x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>) -> Tensor<4> {
        let y = x * scale.unsqueeze_dims::<4>(&[0, 2, 3]) + shift.unsqueeze_dims::<4>(&[0, 2, 3]);
        if self.relu {
            burn::tensor::activation::relu(y)
        } else {
            y
        }
    }

    /// The layer in inference is `scale · x + shift`, each `[channels]`.
    #[must_use]
    pub fn affine(&self) -> (Tensor<1>, Tensor<1>) {
        let scale = self.gamma.val() / (self.variance.value_sync() + NORM_EPSILON).sqrt();
        let shift = self.beta.val() - self.mean.value_sync() * scale.clone();
        (scale, shift)
    }
}

/// A convolution, batch norm and, if asked for, a ReLU.
#[derive(Module, Debug)]
pub struct ConvNorm {
    /// The convolution.
    pub conv: Conv,
    /// The norm behind it.
    pub norm: Norm,
}

impl ConvNorm {
    /// See [`Conv::new`].
    #[must_use]
    pub fn new(shape: ConvShape, relu: bool, rng: &mut StdRng, device: &Device) -> Self {
        Self {
            conv: Conv::new(shape, rng, device),
            norm: Norm::new(shape.channels[1], relu, device),
        }
    }

    /// The same with a norm of scale zero: the last layer of a branch beside an identity, so that a
    /// block starts as the identity and a stack of blocks does not pile up.
    ///
    /// Source: P. Goyal et al., *Accurate, Large Minibatch SGD*, arXiv:1706.02677, 2017, section 5.1.
    #[must_use]
    pub fn silent(shape: ConvShape, relu: bool, rng: &mut StdRng, device: &Device) -> Self {
        let outputs = shape.channels[1];
        let mut layer = Self::new(shape, relu, rng, device);
        let zero = TensorData::new(vec![0.0f32; outputs], [outputs]);
        layer.norm.gamma = Param::from_data(zero, device);
        layer
    }

    /// `[batch, in, rows, columns]` to `[batch, out, rows / stride, columns / stride]`, rounded up.
    #[must_use]
    pub fn forward(&self, x: Tensor<4>, mode: &Mode<'_>) -> Tensor<4> {
        self.norm.forward(self.conv.forward(x), mode)
    }

    /// The weight and bias of the convolution that does both in inference:
    /// `w · γ / √(σ² + ε)` and `β − μ · γ / √(σ² + ε)`.
    #[must_use]
    pub fn folded(&self) -> (Tensor<4>, Tensor<1>) {
        let (scale, shift) = self.norm.affine();
        (
            self.conv.weight.val() * scale.unsqueeze_dims::<4>(&[1, 2, 3]),
            shift,
        )
    }
}

/// `y = x · w + b`.
#[derive(Module, Debug)]
pub struct Dense {
    /// `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// `[out]`.
    pub bias: Param<Tensor<1>>,
}

impl Dense {
    /// Normal weights of variance `1 / in`, no bias (Glorot's rule for square layers).
    #[must_use]
    pub fn new([inputs, outputs]: [usize; 2], rng: &mut StdRng, device: &Device) -> Self {
        let weight = normal(inputs * outputs, inverse_root(inputs, 1.0), rng);
        Self {
            weight: Param::from_data(TensorData::new(weight, [inputs, outputs]), device),
            bias: Param::from_data(TensorData::new(vec![0.0f32; outputs], [outputs]), device),
        }
    }

    /// `[batch, in]` to `[batch, out]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight.val()) + self.bias.val().unsqueeze_dim::<2>(0)
    }

    /// `[batch, in, n_frames]` to `[batch, out, n_frames]`: the same map at every frame.
    #[must_use]
    pub fn forward_frames(&self, x: Tensor<3>) -> Tensor<3> {
        // A convolution of one tap: its weight gradient is summed over the batch as it is computed, that of a matrix product
        // broadcast over the batch afterwards, from one matrix a clip.
        let weight = self.weight.val().transpose().unsqueeze_dims::<4>(&[2, 3]); // [out, in, 1, 1]
        let options = Conv2dOptions {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        };
        let x = x.unsqueeze_dim::<4>(2); // [batch, in, 1, n_frames]
        let y = extension::conv2d(x, weight, &options).squeeze_dim::<3>(2); // [batch, out, n_frames]
        y + self.bias.val().unsqueeze_dims::<3>(&[0, 2])
    }
}

/// Zeroes each element with the given probability in training and scales the others up.
///
/// Source: N. Srivastava et al., *Dropout*, JMLR 2014.
#[must_use]
pub fn dropout(x: Tensor<2>, probability: f64, mode: &mut Mode<'_>) -> Tensor<2> {
    let Mode::Train(rng) = mode else { return x };
    if probability <= 0.0 {
        return x;
    }
    #[expect(clippy::cast_possible_truncation, reason = "a factor near 1")]
    let kept = (1.0 / (1.0 - probability)) as f32;
    let dims = x.dims();
    let mask: Vec<f32> = (0..dims[0] * dims[1])
        .map(|_| {
            if rng.random::<f64>() < probability {
                0.0
            } else {
                kept
            }
        })
        .collect();
    let mask = Tensor::from_data(TensorData::new(mask, dims), &x.device());
    x * mask
}
