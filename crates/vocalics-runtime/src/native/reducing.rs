//! Sums along axes, softmax and pooling.

use std::ops::Range;

use vocalics_kernels::infer::function::Function;
use vocalics_kernels::infer::pointwise::{Binary, Step};
use vocalics_kernels::infer::pool::{Kind as PoolKind, Window};
use vocalics_kernels::infer::reduce::Reduction;

use super::builder::{Builder, Compiled, axes, axis, pair};
use super::dim::Dim;
use super::graph::Node;
use super::step::{Kind, ValueId};

/// Compiles a node if it is one of these.
pub(crate) fn compile(builder: &mut Builder, node: &Node) -> Compiled<bool> {
    let reduction = match node.operator.as_str() {
        "ReduceSum" => Reduction::Sum,
        "ReduceMean" => Reduction::Mean,
        "ReduceMax" => Reduction::Max,
        "ReduceMin" => Reduction::Min,
        "ReduceSumSquare" => Reduction::SumSquare,
        "ReduceL2" => Reduction::L2,
        "GlobalAveragePool" => {
            let x = builder.value(node.input(0)?)?;
            let axes: Vec<usize> = (2..builder.shape(x).len()).collect();
            let y = reduce(builder, x, Reduction::Mean, &axes, true)?;
            builder.name(node.output(0), y)?;
            return Ok(true);
        }
        "Softmax" | "LogSoftmax" => {
            softmax(builder, node)?;
            return Ok(true);
        }
        "AveragePool" | "MaxPool" => {
            pool(builder, node)?;
            return Ok(true);
        }
        "LayerNormalization" => {
            layer_norm(builder, node)?;
            return Ok(true);
        }
        _ => return Ok(false),
    };
    let x = builder.value(node.input(0)?)?;
    let rank = builder.shape(x).len();
    let list = builder.axes(node)?.unwrap_or_default();
    if list.is_empty() && node.int("noop_with_empty_axes", 0) != 0 {
        return Err("a reduction of nothing".to_owned());
    }
    let mut axes = if list.is_empty() {
        (0..rank).collect()
    } else {
        axes(&list, rank)?
    };
    axes.sort_unstable();
    axes.dedup();
    let y = reduce(builder, x, reduction, &axes, node.int("keepdims", 1) != 0)?;
    builder.name(node.output(0), y)?;
    Ok(true)
}

/// Reduces runs of neighbouring axes, the last run first.
fn reduce(
    builder: &mut Builder,
    x: ValueId,
    reduction: Reduction,
    axes: &[usize],
    keep: bool,
) -> Compiled<ValueId> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &axis in axes {
        match runs.last_mut() {
            Some(run) if run.end == axis => run.end += 1,
            _ => runs.push(axis..axis + 1),
        }
    }
    let shape = builder.shape(x).to_vec();
    // Squares are taken once and the root at the end.
    let (first, later, root) = match reduction {
        Reduction::L2 if runs.len() > 1 => (Reduction::SumSquare, Reduction::Sum, true),
        Reduction::SumSquare => (reduction, Reduction::Sum, false),
        _ => (reduction, reduction, false),
    };
    let mut y = x;
    for (index, axes) in runs.iter().rev().enumerate() {
        let mut out = builder.shape(y).to_vec();
        out[axes.clone()].fill(Dim::of(1));
        let reduction = if index == 0 { first } else { later };
        let axes = axes.clone();
        y = builder.step(Kind::Reduce { reduction, axes }, vec![y], out);
    }
    if root {
        y = builder.chain(vec![y], vec![Step::Apply(Function::Sqrt, 0)])?;
    }
    let out: Vec<Dim> = shape
        .into_iter()
        .enumerate()
        .filter(|(index, _)| keep || !axes.contains(index))
        .map(|(index, dim)| {
            if axes.contains(&index) {
                Dim::of(1)
            } else {
                dim
            }
        })
        .collect();
    Ok(builder.view(y, out))
}

fn softmax(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let axis = axis(node.int("axis", -1), shape.len())?;
    let logarithm = node.operator == "LogSoftmax";
    let y = builder.step(Kind::Softmax { logarithm, axis }, vec![x], shape);
    builder.name(node.output(0), y)
}

/// `(x - mean) / sqrt(variance + epsilon) · scale + bias` over the last axes.
fn layer_norm(builder: &mut Builder, node: &Node) -> Compiled<()> {
    node.outputs(1)?;
    let x = builder.value(node.input(0)?)?;
    let rank = builder.shape(x).len();
    let axes: Vec<usize> = (axis(node.int("axis", -1), rank)?..rank).collect();
    let epsilon = builder.number(node.float("epsilon", 1e-5));
    let mean = reduce(builder, x, Reduction::Mean, &axes, true)?;
    let centred = builder.chain(vec![x, mean], vec![Step::Combine(Binary::Sub, 0, 1)])?;
    let square = builder.chain(vec![centred], vec![Step::Combine(Binary::Mul, 0, 0)])?;
    let variance = reduce(builder, square, Reduction::Mean, &axes, true)?;
    let deviation = builder.chain(
        vec![variance, epsilon],
        vec![
            Step::Combine(Binary::Add, 0, 1),
            Step::Apply(Function::Sqrt, 2),
        ],
    )?;
    let scale = builder.value(node.input(1)?)?;
    let mut inputs = vec![centred, deviation, scale];
    let mut steps = vec![
        Step::Combine(Binary::Div, 0, 1),
        Step::Combine(Binary::Mul, 3, 2),
    ];
    if let Some(name) = node.optional(2) {
        inputs.push(builder.value(name)?);
        steps = vec![
            Step::Combine(Binary::Div, 0, 1),
            Step::Combine(Binary::Mul, 4, 2),
            Step::Combine(Binary::Add, 5, 3),
        ];
    }
    let y = builder.chain(inputs, steps)?;
    if builder.shape(y) != builder.shape(x) {
        return Err("a scale larger than the input".to_owned());
    }
    builder.name(node.output(0), y)
}

fn pool(builder: &mut Builder, node: &Node) -> Compiled<()> {
    node.outputs(1)?;
    if node.int("ceil_mode", 0) != 0 {
        return Err("rounding up".to_owned());
    }
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let axes = node.image_axes(&shape)?;
    let kernel = node.sizes("kernel_shape", axes, 0)?;
    let stride = node.sizes("strides", axes, 1)?;
    let pads = node.sizes("pads", 2 * axes, 0)?;
    let (before, after) = pads.split_at(axes);
    let empty = |i: usize| before[i] >= kernel[i] || after[i] >= kernel[i];
    if kernel.contains(&0) || stride.contains(&0) || (0..axes).any(empty) {
        return Err("a window of nothing".to_owned());
    }
    if node
        .sizes("dilations", axes, 1)?
        .iter()
        .any(|&dilation| dilation != 1)
    {
        return Err("a dilated window".to_owned());
    }
    let mut out = shape[..2].to_vec();
    let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    for i in 0..axes {
        let add = signed(before[i] + after[i]) - signed(kernel[i]);
        let dim = builder.dims.window(&shape[2 + i], add, stride[i]);
        out.push(dim.ok_or("a window larger than the image")?);
    }
    let kind = match (node.operator.as_str(), node.int("count_include_pad", 0)) {
        ("MaxPool", _) => PoolKind::Max,
        (_, 0) => PoolKind::Mean,
        _ => PoolKind::PaddedMean,
    };
    let window = Window {
        kernel: pair(&kernel, 1),
        stride: pair(&stride, 1),
        before: pair(before, 0),
        kind,
    };
    let y = builder.step(
        Kind::Pool {
            window,
            rows: axes == 2,
        },
        vec![x],
        out,
    );
    builder.name(node.output(0), y)
}
