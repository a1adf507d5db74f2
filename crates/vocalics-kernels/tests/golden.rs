//! The kernels against PyTorch in double precision (`golden/kernels.json`), within 1e-5.

use serde_json::Value;
use vocalics_kernels::conv::{self, Conv2dShape};
use vocalics_kernels::norm::{self, NormShape};
use vocalics_kernels::pool::{self, PoolShape};
use vocalics_kernels::recurrent::{Gradients, RecurrentShape, Weights};
use vocalics_kernels::{Real, gru, lstm};

/// Of the larger of a value and 1.
const DOUBLE: f64 = 1e-6;
/// The same for the kernels in single precision.
const SINGLE: f64 = 1e-5;

fn golden(section: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../golden/kernels.json"))
        .expect("golden/kernels.json is JSON");
    let cases = file[section].as_array().expect("a list of cases").clone();
    assert!(!cases.is_empty());
    cases
}

/// The generator of `golden/kernels.py`: steps of 2⁻¹⁰ in [-1, 1), exact in single precision.
fn noise<T: Real>(seed: u32, len: usize) -> Vec<T> {
    let mut state = seed;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            T::from_f64(f64::from(state >> 21) / 1024.0 - 1.0)
        })
        .collect()
}

fn number(case: &Value, key: &str) -> usize {
    let value = case[key].as_u64().expect("a count");
    usize::try_from(value).expect("a small count")
}

fn pair(case: &Value, key: &str) -> [usize; 2] {
    [0, 1].map(|i| usize::try_from(case[key][i].as_u64().expect("a count")).expect("small"))
}

fn assert_close<T: Real>(case: &Value, key: &str, got: &[T], tolerance: f64) {
    let want = case[key].as_array().expect("a list of numbers");
    let what = format!("{} {}: {key}", case["name"], case["kind"]);
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let (got, want) = (got.to_f64(), want.as_f64().expect("a number"));
        assert!(
            (got - want).abs() <= tolerance * want.abs().max(1.0),
            "{what}[{i}]: {got} is not {want}"
        );
    }
}

fn convolution<T: Real>(case: &Value, tolerance: f64) {
    let shape = Conv2dShape {
        batch: number(case, "batch"),
        in_channels: number(case, "in_channels"),
        input: pair(case, "input"),
        out_channels: number(case, "out_channels"),
        kernel: pair(case, "kernel"),
        stride: pair(case, "stride"),
        padding: pair(case, "padding"),
        dilation: pair(case, "dilation"),
        groups: number(case, "groups"),
    };
    let x = noise::<T>(1, shape.input_len());
    let w = noise::<T>(2, shape.weight_len());
    let dy = noise::<T>(9, shape.output_len());
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
    conv::forward(&shape, &x, &w, &mut y);
    conv::backward_input(&shape, &w, &dy, &mut dx);
    conv::backward_weight(&shape, &x, &dy, &mut dw);
    assert_close(case, "y", &y, tolerance);
    assert_close(case, "dx", &dx, tolerance);
    assert_close(case, "dw", &dw, tolerance);
}

#[test]
fn convolutions() {
    for case in &golden("convolutions") {
        convolution::<f64>(case, DOUBLE);
        convolution::<f32>(case, SINGLE);
    }
}

fn pooling<T: Real>(case: &Value, tolerance: f64) {
    let shape = PoolShape {
        planes: number(case, "planes"),
        input: pair(case, "input"),
        kernel: pair(case, "kernel"),
        stride: pair(case, "stride"),
        padding: pair(case, "padding"),
    };
    let x = noise::<T>(1, shape.input_len());
    // Rounded to quarters, to the even one, as `torch.round` does.
    let quarters = |x: &T| T::from_f64((x.to_f64() * 4.0).round_ties_even());
    let coarse: Vec<T> = x.iter().map(quarters).collect();
    let dy = noise::<T>(9, shape.output_len());
    let (mut y, mut dx) = (dy.clone(), x.clone());
    let mut index = vec![0; y.len()];
    pool::max(&shape, &coarse, &mut y, &mut index);
    pool::max_backward(&shape, &index, &dy, &mut dx);
    assert_close(case, "max", &y, tolerance);
    assert_close(case, "max_dx", &dx, tolerance);
    pool::average(&shape, &x, &mut y);
    pool::average_backward(&shape, &dy, &mut dx);
    assert_close(case, "average", &y, tolerance);
    assert_close(case, "average_dx", &dx, tolerance);
}

#[test]
fn poolings() {
    for case in &golden("poolings") {
        pooling::<f64>(case, DOUBLE);
        pooling::<f32>(case, SINGLE);
    }
}

fn normalisation<T: Real>(case: &Value, tolerance: f64) {
    let shape = NormShape {
        batch: number(case, "batch"),
        channels: number(case, "channels"),
        positions: number(case, "positions"),
    };
    let len = shape.batch * shape.channels * shape.positions;
    let (x, dy) = (noise::<T>(1, len), noise::<T>(9, len));
    let (gamma, beta) = (noise::<T>(2, shape.channels), noise::<T>(3, shape.channels));
    let epsilon = case["epsilon"].as_f64().expect("a number");
    let relu = case["relu"].as_bool().expect("a flag");
    let moments = norm::moments(&shape, &x);
    let mut y = dy.clone();
    norm::forward(&shape, &x, &moments, &gamma, &beta, epsilon, relu, &mut y);
    let got = norm::backward(&shape, &x, &moments, &gamma, &beta, epsilon, relu, &dy);
    assert_close(case, "mean", &moments.mean, tolerance);
    assert_close(case, "variance", &moments.variance, tolerance);
    assert_close(case, "y", &y, tolerance);
    assert_close(case, "dx", &got.x, tolerance);
    assert_close(case, "dgamma", &got.gamma, tolerance);
    assert_close(case, "dbeta", &got.beta, tolerance);
}

#[test]
fn norms() {
    for case in &golden("norms") {
        normalisation::<f64>(case, DOUBLE);
        normalisation::<f32>(case, SINGLE);
    }
}

fn recurrent<T: Real>(case: &Value, tolerance: f64) {
    let shape = RecurrentShape {
        batch: number(case, "batch"),
        n_frames: number(case, "n_frames"),
        inputs: number(case, "inputs"),
        hidden: number(case, "hidden"),
        reverse: case["reverse"].as_bool().expect("a flag"),
    };
    let is_lstm = case["kind"] == "lstm";
    let gates = if is_lstm { lstm::GATES } else { gru::GATES };
    let rows = gates * shape.hidden;
    let x = noise::<T>(1, shape.input_len());
    let (input, hidden) = (
        noise::<T>(2, rows * shape.inputs),
        noise::<T>(3, rows * shape.hidden),
    );
    let (bias_input, bias_hidden) = (noise::<T>(4, rows), noise::<T>(5, rows));
    let weights = Weights {
        input: &input,
        hidden: &hidden,
        bias_input: &bias_input,
        bias_hidden: &bias_hidden,
    };
    let dy = noise::<T>(9, shape.output_len());
    let mut y = dy.clone();
    let got: Gradients<T> = if is_lstm {
        let mut tape = lstm::Tape::default();
        lstm::forward(&shape, &x, &weights, &mut y, &mut tape);
        lstm::backward(&shape, &x, &weights, &y, tape, &dy)
    } else {
        let mut tape = gru::Tape::default();
        gru::forward(&shape, &x, &weights, &mut y, &mut tape);
        gru::backward(&shape, &x, &weights, &y, tape, &dy)
    };
    assert_close(case, "y", &y, tolerance);
    assert_close(case, "dx", &got.x, tolerance);
    assert_close(case, "dw_input", &got.w_input, tolerance);
    assert_close(case, "dw_hidden", &got.w_hidden, tolerance);
    assert_close(case, "dbias_input", &got.bias_input, tolerance);
    assert_close(case, "dbias_hidden", &got.bias_hidden, tolerance);
}

#[test]
fn recurrent_layers() {
    for case in &golden("recurrent") {
        recurrent::<f64>(case, DOUBLE);
        recurrent::<f32>(case, SINGLE);
    }
}
