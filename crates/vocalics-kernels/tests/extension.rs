//! The burn operations against burn's own, forward and backward.
#![cfg(feature = "burn")]

use burn::tensor::{Device, Distribution, Tensor, Tolerance};
use vocalics_kernels::extension::{
    Conv2dOptions, batch_norm, channel_mean, conv2d, scale_add_relu,
};

const TOLERANCE: f32 = 1e-4;

fn device() -> Device {
    Device::flex().autodiff()
}

fn noise<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device()).require_grad()
}

/// A twin of `x` with its own gradient.
fn twin<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    Tensor::from_data(x.to_data(), &device()).require_grad()
}

fn assert_close<const D: usize>(got: &Tensor<D>, want: &Tensor<D>) {
    let tolerance = Tolerance::<f32>::absolute(TOLERANCE);
    got.to_data()
        .assert_approx_eq::<f32>(&want.to_data(), tolerance);
}

#[test]
fn convolution_matches_burn() {
    for (stride, groups) in [([1, 1], 1), ([2, 1], 2)] {
        let options = Conv2dOptions {
            stride,
            padding: [1, 2],
            dilation: [1, 2],
            groups,
        };
        let (x, w) = (noise([3, 4, 9, 11]), noise([6, 4 / groups, 3, 3]));
        let (x2, w2) = (twin(&x), twin(&w));
        let y = conv2d(x.clone(), w.clone(), &options);
        let burn_options = burn::tensor::ops::ConvOptions::new(stride, [1, 2], [1, 2], groups);
        let y2 = burn::tensor::module::conv2d(x2.clone(), w2.clone(), None, burn_options);
        assert_close(&y, &y2);
        let (g, g2) = (
            y.powi_scalar(2).sum().backward(),
            y2.powi_scalar(2).sum().backward(),
        );
        let relative = Tolerance::<f32>::rel_abs(1e-3, 1e-2);
        for (got, want) in [(x.grad(&g), x2.grad(&g2)), (w.grad(&g), w2.grad(&g2))] {
            let (got, want) = (got.expect("gradient"), want.expect("gradient"));
            got.to_data()
                .assert_approx_eq::<f32>(&want.to_data(), relative);
        }
    }
}

#[test]
fn batch_norm_matches_burn() {
    for relu in [false, true] {
        let (x, gamma, beta) = (noise([4, 3, 5, 7]), noise([3]), noise([3]));
        let (x2, gamma2, beta2) = (twin(&x), twin(&gamma), twin(&beta));
        let weights = noise([4, 3, 5, 7]).detach();
        let y = batch_norm(x.clone(), gamma.clone(), beta.clone(), 1e-5, relu);
        let y2 =
            burn::tensor::module::batch_norm_train(x2.clone(), gamma2.clone(), beta2.clone(), 1e-5);
        assert_close(&y.mean, &y2.mean);
        assert_close(&y.variance, &y2.variance);
        let out2 = if relu {
            burn::tensor::activation::relu(y2.output)
        } else {
            y2.output
        };
        assert_close(&y.output, &out2);
        let g = (y.output * weights.clone()).sum().backward();
        let g2 = (out2 * weights).sum().backward();
        assert_close(
            &x.grad(&g).expect("gradient"),
            &x2.grad(&g2).expect("gradient"),
        );
        assert_close(
            &gamma.grad(&g).expect("gradient"),
            &gamma2.grad(&g2).expect("gradient"),
        );
        assert_close(
            &beta.grad(&g).expect("gradient"),
            &beta2.grad(&g2).expect("gradient"),
        );
    }
}

#[test]
fn gate_matches_burn() {
    let (x, r) = (noise([2, 3, 4, 5]), noise([2, 3, 4, 5]));
    let (x2, r2) = (twin(&x), twin(&r));
    let y = scale_add_relu(x.clone(), channel_mean(x.clone()), r.clone());
    let mean = x2
        .clone()
        .flatten::<3>(2, 3)
        .mean_dim(2)
        .unsqueeze_dim::<4>(3);
    let y2 = burn::tensor::activation::relu(x2.clone() * mean + r2.clone());
    assert_close(&y, &y2);
    let (g, g2) = (
        y.powi_scalar(2).sum().backward(),
        y2.powi_scalar(2).sum().backward(),
    );
    assert_close(
        &x.grad(&g).expect("gradient"),
        &x2.grad(&g2).expect("gradient"),
    );
    assert_close(
        &r.grad(&g).expect("gradient"),
        &r2.grad(&g2).expect("gradient"),
    );
}

#[test]
fn an_input_without_gradient_gets_none() {
    let x = Tensor::<4>::random([1, 1, 4, 4], Distribution::Normal(0.0, 1.0), &device());
    let w = noise([1, 1, 3, 3]);
    let options = Conv2dOptions {
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 1,
    };
    let grads = conv2d(x.clone(), w.clone(), &options).sum().backward();
    assert!(x.grad(&grads).is_none());
    assert!(w.grad(&grads).is_some());
}
