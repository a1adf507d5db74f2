//! Convolutions, products and recurrent layers.

use vocalics_kernels::infer::conv::{Conv, Shape};
use vocalics_kernels::infer::dense::Dense;
use vocalics_kernels::infer::pointwise::{Binary, Step};
use vocalics_kernels::infer::recurrent::{Cell, Weights};

use super::builder::{Builder, Compiled, broadcast, pair};
use super::dim::{Dim, Dims};
use super::graph::Node;
use super::step::{Convolution, Direction, Kind, Place, Recurrent, Step as PlanStep};

/// Compiles a node if it is one of these.
pub(crate) fn compile(builder: &mut Builder, node: &Node) -> Compiled<bool> {
    match node.operator.as_str() {
        "Conv" => convolution(builder, node)?,
        "Gemm" => gemm(builder, node)?,
        "MatMul" => matmul(builder, node)?,
        "LSTM" => recurrent(builder, node, Cell::Lstm)?,
        "GRU" if node.int("linear_before_reset", 0) != 0 => {
            recurrent(builder, node, Cell::GruAfter)?;
        }
        "GRU" => recurrent(builder, node, Cell::GruBefore)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn convolution(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let axes = node.image_axes(&shape)?;
    let (dims, weights) = builder.weights(node.input(1)?)?;
    if dims.len() != shape.len() || dims.contains(&0) {
        return Err("a kernel of another rank".to_owned());
    }
    let inputs = shape[1].fixed().ok_or("a variable number of channels")?;
    let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
    let fits = groups > 0
        && dims[1].checked_mul(groups) == Some(inputs)
        && dims[0].is_multiple_of(groups)
        && node
            .sizes("kernel_shape", axes, 0)?
            .iter()
            .zip(&dims[2..])
            .all(|(given, dim)| given == dim || !node.has("kernel_shape"));
    if !fits {
        return Err("channels, groups and kernel do not fit".to_owned());
    }
    let bias = match node.optional(2) {
        Some(name) => builder.weights(name)?.1,
        None => &[],
    };
    if !(bias.is_empty() || bias.len() == dims[0]) {
        return Err("a bias of another length".to_owned());
    }
    let (stride, dilation) = (
        node.sizes("strides", axes, 1)?,
        node.sizes("dilations", axes, 1)?,
    );
    let pads = node.sizes("pads", 2 * axes, 0)?;
    if stride.contains(&0) || dilation.contains(&0) {
        return Err("a stride or dilation of 0".to_owned());
    }
    let sizes = Shape {
        inputs,
        outputs: dims[0],
        groups,
        kernel: pair(&dims[2..], 1),
        stride: pair(&stride, 1),
        dilation: pair(&dilation, 1),
        before: pair(&pads[..axes], 0),
        after: pair(&pads[axes..], 0),
    };
    let single = shape[2..].iter().all(Dim::is_one)
        && sizes.kernel == [1, 1]
        && sizes.groups == 1
        && sizes.before == [0, 0]
        && sizes.after == [0, 0];
    let step = Convolution {
        conv: Conv::new(sizes, weights, bias),
        dense: single.then(|| (weights.to_vec(), bias.to_vec())),
        rows: axes == 2,
        shortcut: false,
        function: None,
    };
    let mut out = vec![shape[0].clone(), Dim::of(sizes.outputs)];
    for (axis, of) in (2 - axes..2).zip(&shape[2..]) {
        out.push(window(builder, of, &sizes, axis)?);
    }
    let y = builder.step(Kind::Convolve(Box::new(step)), vec![x], out);
    builder.name(node.output(0), y)
}

fn window(builder: &mut Builder, of: &Dim, sizes: &Shape, axis: usize) -> Compiled<Dim> {
    let reach = (sizes.kernel[axis] - 1) * sizes.dilation[axis] + 1;
    let padding = sizes.before[axis] + sizes.after[axis];
    let signed = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    builder
        .dims
        .window(of, signed(padding) - signed(reach), sizes.stride[axis])
        .ok_or_else(|| "a kernel larger than the image".to_owned())
}

/// `alpha · A' B' + beta · C` with constant `B`.
fn gemm(builder: &mut Builder, node: &Node) -> Compiled<()> {
    if node.int("transA", 0) != 0 {
        return Err("a transposed first factor".to_owned());
    }
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let (dims, weights) = builder.weights(node.input(1)?)?;
    let ([rows, inner], &[first, second]) = (shape.as_slice(), dims) else {
        return Err("factors that are no matrices".to_owned());
    };
    let transposed = node.int("transB", 0) != 0;
    let (inputs, outputs) = if transposed {
        (second, first)
    } else {
        (first, second)
    };
    if inner.fixed() != Some(inputs) {
        return Err("factors that do not fit".to_owned());
    }
    let dense = Dense::new(inputs, outputs, !is_batch(rows), |input, output| {
        let at = if transposed {
            output * inputs + input
        } else {
            input * outputs + output
        };
        alpha * weights[at]
    });
    let out = vec![rows.clone(), Dim::of(outputs)];
    let mut y = builder.step(Kind::Dense(dense), vec![x], out.clone());
    if let Some(name) = node.optional(2) {
        let c = builder.value(name)?;
        let (inputs, steps) = if (beta - 1.0).abs() < f32::EPSILON {
            (vec![y, c], vec![Step::Combine(Binary::Add, 0, 1)])
        } else {
            let beta = builder.number(beta);
            let steps = vec![
                Step::Combine(Binary::Mul, 1, 2),
                Step::Combine(Binary::Add, 0, 3),
            ];
            (vec![y, c, beta], steps)
        };
        y = builder.chain(inputs, steps)?;
        if builder.shape(y) != out {
            return Err("a bias larger than the product".to_owned());
        }
    }
    builder.name(node.output(0), y)
}

/// Rows that are the batch alone come one or a few at a time.
fn is_batch(rows: &Dim) -> bool {
    *rows == Dims::batch() || rows.fixed().is_some_and(|rows| rows < 4)
}

fn matmul(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let a = builder.value(node.input(0)?)?;
    let shape = builder.shape(a).to_vec();
    let constant = builder.weights(node.input(1)?).ok();
    if let (Some((&[inputs, outputs], weights)), [leading @ .., inner]) =
        (constant, shape.as_slice())
        && !leading.is_empty()
    {
        if inner.fixed() != Some(inputs) {
            return Err("factors that do not fit".to_owned());
        }
        let many = !matches!(leading, [rows] if is_batch(rows));
        let dense = Dense::new(inputs, outputs, many, |input, output| {
            weights[input * outputs + output]
        });
        let mut out = leading.to_vec();
        out.push(Dim::of(outputs));
        let y = builder.step(Kind::Dense(dense), vec![a], out);
        return builder.name(node.output(0), y);
    }
    let b = builder.value(node.input(1)?)?;
    let other = builder.shape(b).to_vec();
    let ([outer @ .., m, k], [second @ .., k2, n]) = (shape.as_slice(), other.as_slice()) else {
        return Err("a factor that is a vector".to_owned());
    };
    if k != k2 {
        return Err("factors that do not fit".to_owned());
    }
    // All matrices of the first factor, and one or as many of the second.
    let together = broadcast(outer, second)?;
    if together != outer || !(second.iter().all(Dim::is_one) || second == outer) {
        return Err("factors broadcast this way".to_owned());
    }
    let mut out = outer.to_vec();
    out.extend([m.clone(), n.clone()]);
    let y = builder.step(Kind::Multiply, vec![a, b], out);
    builder.name(node.output(0), y)
}

fn recurrent(builder: &mut Builder, node: &Node, cell: Cell) -> Compiled<()> {
    let known = node.int("layout", 0) == 0
        && node.int("input_forget", 0) == 0
        && !node.has("clip")
        && !node.has("activations");
    // Sequence lengths, first states and peepholes.
    if !known || (4..8).any(|index| node.optional(index).is_some()) {
        return Err("a recurrent layer of this form".to_owned());
    }
    let x = builder.value(node.input(0)?)?;
    let [steps, batch, width] = builder.shape(x) else {
        return Err("an input that is no sequence".to_owned());
    };
    let (steps, batch) = (steps.clone(), batch.clone());
    let inputs = width.fixed().ok_or("a variable width")?;
    let (w_dims, w) = builder.weights(node.input(1)?)?;
    let (r_dims, r) = builder.weights(node.input(2)?)?;
    let reversed: &[bool] = match node.text("direction") {
        "" | "forward" => &[false],
        "reverse" => &[true],
        "bidirectional" => &[false, true],
        _ => return Err("a direction".to_owned()),
    };
    let hidden = r_dims.last().copied().unwrap_or(0);
    let gates = cell.gates() * hidden;
    let directions = reversed.len();
    let given = node.int("hidden_size", i64::try_from(hidden).unwrap_or(0));
    if w_dims != [directions, gates, inputs]
        || r_dims != [directions, gates, hidden]
        || usize::try_from(given) != Ok(hidden)
        || hidden == 0
    {
        return Err("weights that do not fit".to_owned());
    }
    let none = vec![0.0; directions * 2 * gates];
    let bias = match node.optional(3) {
        Some(name) => builder.weights(name)?.1,
        None => &none,
    };
    if bias.len() != none.len() {
        return Err("a bias of another length".to_owned());
    }
    let mut sums = Vec::new();
    let directions: Vec<Direction> = reversed
        .iter()
        .enumerate()
        .map(|(d, &reverse)| {
            let r = &r[d * gates * hidden..][..gates * hidden];
            let (before, recurrent) = bias[d * 2 * gates..][..2 * gates].split_at(gates);
            let first = sums.len();
            sums.extend(before.iter().zip(recurrent).map(|(a, b)| a + b));
            let mut after = Vec::new();
            if cell == Cell::GruAfter {
                sums[first + 2 * hidden..].copy_from_slice(&before[2 * hidden..]);
                after.extend(&recurrent[2 * hidden..]);
            }
            Direction {
                reverse,
                recurrent: Weights::pack(cell, hidden, r),
                after,
            }
        })
        .collect();
    let layer = Recurrent {
        cell,
        hidden,
        // Those of all directions are one matrix below the other in the file.
        inputs: Dense::new(inputs, directions.len() * gates, true, |input, gate| {
            w[gate * inputs + input]
        }),
        bias: sums,
        directions,
    };
    let count = Dim::of(layer.directions.len());
    let all = vec![steps, count.clone(), batch.clone(), Dim::of(hidden)];
    let last = vec![count, batch, Dim::of(hidden)];
    let mut outputs = vec![builder.add(all, Place::Computed)];
    // The last states are computed whether wanted or not; they are small.
    outputs.push(builder.add(last.clone(), Place::Computed));
    outputs.push(builder.add(last, Place::Computed));
    builder.steps.push(PlanStep {
        kind: Kind::Recurrent(Box::new(layer)),
        inputs: vec![x],
        outputs: outputs.clone(),
    });
    let named = if cell == Cell::Lstm { 3 } else { 2 };
    node.outputs(named)?;
    for (index, &id) in outputs.iter().take(named).enumerate() {
        builder.name(node.output(index), id)?;
    }
    Ok(())
}
