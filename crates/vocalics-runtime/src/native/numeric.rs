//! Operators on single numbers, and quantisation.

use vocalics_kernels::infer::function::Function;
use vocalics_kernels::infer::pointwise::{Binary, Step};

use super::builder::{Builder, Compiled, Quantised, axis};
use super::dim::Dim;
use super::graph::{Constant, Data, Node};
use super::step::Place;

/// Compiles a node if it is one of these.
pub(crate) fn compile(builder: &mut Builder, node: &Node) -> Compiled<bool> {
    if let Some(function) = function(builder, node)? {
        let x = builder.value(node.input(0)?)?;
        let y = builder.chain(vec![x], vec![Step::Apply(function, 0)])?;
        builder.name(node.output(0), y)?;
        return Ok(true);
    }
    if let Some(operation) = binary(&node.operator) {
        combine(builder, node, operation)?;
        return Ok(true);
    }
    match node.operator.as_str() {
        "BatchNormalization" => batch_norm(builder, node)?,
        "QuantizeLinear" => quantise(builder, node)?,
        "DequantizeLinear" => dequantise(builder, node)?,
        "Constant" => {
            let constant = match (node.tensor("value"), node.has("value_float")) {
                (Some(constant), _) => constant.clone(),
                (None, true) => Constant {
                    dims: Vec::new(),
                    data: Data::F32(vec![node.float("value_float", 0.0)]),
                },
                (None, false) => return Err("a constant of this kind".to_owned()),
            };
            if builder
                .constants
                .insert(node.output(0).to_owned(), constant)
                .is_some()
            {
                return Err("a constant written twice".to_owned());
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn function(builder: &Builder, node: &Node) -> Compiled<Option<Function>> {
    Ok(Some(match node.operator.as_str() {
        "Relu" => Function::Relu,
        "LeakyRelu" => Function::LeakyRelu {
            slope: node.float("alpha", 0.01),
        },
        "Sigmoid" => Function::Sigmoid,
        "Tanh" => Function::Tanh,
        "Exp" => Function::Exp,
        "Log" => Function::Log,
        "Sqrt" => Function::Sqrt,
        "Abs" => Function::Abs,
        "Neg" => Function::Neg,
        "Reciprocal" => Function::Reciprocal,
        "Elu" => Function::Elu {
            alpha: node.float("alpha", 1.0),
        },
        "HardSigmoid" => Function::HardSigmoid {
            alpha: node.float("alpha", 0.2),
            beta: node.float("beta", 0.5),
        },
        "HardSwish" => Function::HardSwish,
        "Softplus" => Function::Softplus,
        "Erf" => Function::Erf,
        "Gelu" if matches!(node.text("approximate"), "" | "none") => Function::Gelu,
        "Clip" => {
            let bound = |index: usize, default: f32| match node.optional(index) {
                Some(name) => match builder.weights(name)? {
                    (_, [value]) => Ok(*value),
                    _ => Err("a bound that is not one number".to_owned()),
                },
                None => Ok(default),
            };
            let (low, high) = (bound(1, f32::NEG_INFINITY)?, bound(2, f32::INFINITY)?);
            Function::Clip { low, high }
        }
        _ => return Ok(None),
    }))
}

fn binary(operator: &str) -> Option<Binary> {
    Some(match operator {
        "Add" | "Sum" => Binary::Add,
        "Sub" => Binary::Sub,
        "Mul" => Binary::Mul,
        "Div" => Binary::Div,
        "Pow" => Binary::Pow,
        "Max" => Binary::Max,
        "Min" => Binary::Min,
        "PRelu" => Binary::PRelu,
        _ => return None,
    })
}

/// Two inputs, or any number for the operators that allow it.
fn combine(builder: &mut Builder, node: &Node, operation: Binary) -> Compiled<()> {
    let mut result = builder.value(node.input(0)?)?;
    if node.inputs.len() == 1 {
        let shape = builder.shape(result).to_vec();
        result = builder.view(result, shape);
    }
    for index in 1..node.inputs.len() {
        let other = builder.value(node.input(index)?)?;
        // A tensor with itself is one input: who joins steps counts the reads.
        let (inputs, second) = if other == result {
            (vec![result], 0)
        } else {
            (vec![result, other], 1)
        };
        result = builder.chain(inputs, vec![Step::Combine(operation, 0, second)])?;
    }
    builder.name(node.output(0), result)
}

/// `x · scale / sqrt(variance + epsilon) + (bias - mean · scale / sqrt(variance + epsilon))`.
fn batch_norm(builder: &mut Builder, node: &Node) -> Compiled<()> {
    node.outputs(1)?;
    if node.int("training_mode", 0) != 0 {
        return Err("training mode".to_owned());
    }
    let x = builder.value(node.input(0)?)?;
    let rank = builder.shape(x).len();
    let channels = builder
        .shape(x)
        .get(1)
        .and_then(Dim::fixed)
        .ok_or("channels")?;
    let of = |index: usize| -> Compiled<&[f32]> {
        let (_, values) = builder.weights(node.input(index)?)?;
        if values.len() == channels {
            Ok(values)
        } else {
            Err("a statistic of another length".to_owned())
        }
    };
    let [scale, bias, mean, variance] = [of(1)?, of(2)?, of(3)?, of(4)?];
    let epsilon = node.float("epsilon", 1e-5);
    let factor: Vec<f32> = scale
        .iter()
        .zip(variance)
        .map(|(scale, variance)| scale / (variance + epsilon).sqrt())
        .collect();
    let offset: Vec<f32> = bias
        .iter()
        .zip(mean.iter().zip(&factor))
        .map(|(bias, (mean, factor))| bias - mean * factor)
        .collect();
    let mut shape = vec![Dim::of(channels)];
    shape.resize(rank - 1, Dim::of(1));
    let factor = builder.add(shape.clone(), Place::Constant(factor));
    let offset = builder.add(shape, Place::Constant(offset));
    let steps = vec![
        Step::Combine(Binary::Mul, 0, 1),
        Step::Combine(Binary::Add, 3, 2),
    ];
    let y = builder.chain(vec![x, factor, offset], steps)?;
    builder.name(node.output(0), y)
}

/// One scale and zero point for the whole tensor, with the range of the zero point's type.
fn step_of(builder: &Builder, node: &Node) -> Compiled<(f32, f32, [f32; 2])> {
    let (_, scale) = builder.weights(node.input(1)?)?;
    let &[scale] = scale else {
        return Err("more than one scale".to_owned());
    };
    if !(scale.is_finite() && scale > 0.0) {
        return Err("a scale that is not positive".to_owned());
    }
    let zero = match node.optional(2) {
        Some(name) => &builder.constant(name)?.data,
        None => &Data::U8(vec![0]),
    };
    match zero {
        Data::U8(zero) if zero.len() == 1 => Ok((scale, zero[0].into(), [0.0, 255.0])),
        Data::I8(zero) if zero.len() == 1 => Ok((scale, zero[0].into(), [-128.0, 127.0])),
        _ => Err("a zero point of this kind".to_owned()),
    }
}

fn quantise(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let of = builder.value(node.input(0)?)?;
    let (scale, zero, range) = step_of(builder, node)?;
    let quantised = Quantised {
        of,
        scale,
        zero,
        range,
    };
    let twice = builder
        .quantised
        .insert(node.output(0).to_owned(), quantised);
    match twice {
        Some(_) => Err("a tensor quantised twice".to_owned()),
        None => Ok(()),
    }
}

/// Weights become single precision at once; a tensor is rounded to the grid it was quantised on.
fn dequantise(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let name = node.input(0)?;
    let Some(quantised) = builder.quantised.get(name).cloned() else {
        let constant = dequantised(builder, node)?;
        let twice = builder
            .constants
            .insert(node.output(0).to_owned(), constant);
        return match twice {
            Some(_) => Err("a constant written twice".to_owned()),
            None => Ok(()),
        };
    };
    let Quantised {
        of,
        scale,
        zero,
        range: [low, high],
    } = quantised;
    if step_of(builder, node)? != (scale, zero, [low, high]) {
        return Err("another scale than it was quantised with".to_owned());
    }
    let function = Function::Quantise {
        scale,
        low: low - zero,
        high: high - zero,
    };
    let y = builder.chain(vec![of], vec![Step::Apply(function, 0)])?;
    builder.name(node.output(0), y)
}

/// `(q - zero) · scale`, per tensor or along an axis.
fn dequantised(builder: &Builder, node: &Node) -> Compiled<Constant> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "what the operator is defined to do"
    )]
    fn numbers(data: &Data) -> Compiled<Vec<f32>> {
        Ok(match data {
            Data::I8(values) => values.iter().map(|&q| q.into()).collect(),
            Data::U8(values) => values.iter().map(|&q| q.into()).collect(),
            Data::I32(values) => values.iter().map(|&q| q as f32).collect(),
            _ => return Err("a weight that is not quantised".to_owned()),
        })
    }
    let constant = builder.constant(node.input(0)?)?;
    let mut values = numbers(&constant.data)?;
    let (_, scales) = builder.weights(node.input(1)?)?;
    let zeros = match node.optional(2) {
        Some(name) => numbers(&builder.constant(name)?.data)?,
        None => vec![0.0; scales.len()],
    };
    if zeros.len() != scales.len() {
        return Err("as many zero points as scales are needed".to_owned());
    }
    let inner = match scales.len() {
        1 => values.len().max(1),
        count => {
            let axis = axis(node.int("axis", 1), constant.dims.len())?;
            if constant.dims[axis] != count {
                return Err("as many scales as the axis is long are needed".to_owned());
            }
            constant.dims[axis + 1..].iter().product::<usize>().max(1)
        }
    };
    for (index, values) in values.chunks_mut(inner).enumerate() {
        let at = index % scales.len().max(1);
        let (Some(scale), Some(zero)) = (scales.get(at), zeros.get(at)) else {
            return Err("no scale".to_owned());
        };
        values.iter_mut().for_each(|q| *q = (*q - zero) * scale);
    }
    Ok(Constant {
        dims: constant.dims.clone(),
        data: Data::F32(values),
    })
}
