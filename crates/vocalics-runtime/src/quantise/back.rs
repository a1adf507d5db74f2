//! The way back: a quantised graph in single precision, as the one it was made from but for what rounding took.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use rten_onnx::onnx::{DataType, ModelProto, NodeProto, TensorProto};

use super::rewrite::bytes;
use crate::ModelError;
use crate::onnx::written;

fn damaged(name: &str) -> ModelError {
    ModelError::Graph {
        reason: format!(
            "the weights {name} in eight bits are not as `vocalics export` writes them"
        ),
    }
}

/// What a graph's `DequantizeLinear` nodes say.
#[derive(Default)]
struct Found {
    /// Weights in single precision, by the name of their integers.
    weights: HashMap<String, TensorProto>,
    /// Names that stand for others: rounded weights and inputs.
    renamed: HashMap<String, String>,
    /// Scales and zero points.
    gone: HashSet<String>,
    /// Outputs of the nodes that fall away.
    outputs: HashSet<String>,
}

/// The graph without its `QuantizeLinear` and `DequantizeLinear`, the weights where their integers were.
pub(super) fn back(mut model: ModelProto) -> Result<Vec<u8>, ModelError> {
    let graph = model.graph.as_mut().ok_or_else(|| ModelError::Graph {
        reason: "there is none".to_owned(),
    })?;
    let constants: HashMap<&str, &TensorProto> = graph
        .initializer
        .iter()
        .filter_map(|tensor| Some((tensor.name.as_deref()?, tensor)))
        .collect();
    let mut found = Found::default();
    let mut rounded: HashMap<&str, &str> = HashMap::new();
    for node in &graph.node {
        let ([input, scale, zero], [output]) = (&node.input[..], &node.output[..]) else {
            continue;
        };
        match node.op_type.as_deref() {
            Some("QuantizeLinear") => {
                rounded.insert(output, input);
            }
            Some("DequantizeLinear") => match constants.get(input.as_str()) {
                Some(integers) => {
                    let of = |name: &String| constants.get(name.as_str()).copied();
                    let weights =
                        weights(node, integers, of(scale)).ok_or_else(|| damaged(input))?;
                    let name = weights.name.clone().unwrap_or_default();
                    found.renamed.insert(output.clone(), name);
                    found.weights.insert(input.clone(), weights);
                }
                None => {
                    let before = rounded.get(input.as_str()).ok_or_else(|| damaged(input))?;
                    found.renamed.insert(output.clone(), (*before).to_owned());
                }
            },
            _ => continue,
        }
        found.gone.extend([scale.clone(), zero.clone()]);
        found.outputs.insert(output.clone());
    }
    let nodes = std::mem::take(&mut graph.node);
    let kept = |node: &NodeProto| !node.output.iter().any(|it| found.outputs.contains(it));
    graph.node = nodes.into_iter().filter(kept).collect();
    for name in graph.node.iter_mut().flat_map(|node| &mut node.input) {
        if let Some(other) = found.renamed.get(name) {
            name.clone_from(other);
        }
    }
    let constants = std::mem::take(&mut graph.initializer).into_iter();
    graph.initializer = constants
        .filter_map(|tensor| match tensor.name.as_ref() {
            Some(name) if found.gone.contains(name) => None,
            Some(name) => Some(found.weights.remove(name).unwrap_or(tensor)),
            None => Some(tensor),
        })
        .collect();
    written(&model)
}

/// `scale · integer` under the name that the weights had; `None` where that is not what was written.
#[expect(
    clippy::cast_precision_loss,
    reason = "an integer engine multiplies the same rounded number"
)]
fn weights(
    node: &NodeProto,
    integers: &TensorProto,
    scale: Option<&TensorProto>,
) -> Option<TensorProto> {
    let name = integers.name.as_ref()?;
    let raw = RefCell::borrow(integers.raw_data.as_ref()?);
    let (name, values): (&str, Vec<f32>) = match integers.data_type? {
        DataType::INT8 => (
            name.strip_suffix(".int8")?,
            raw.iter()
                .map(|&byte| f32::from(byte.cast_signed()))
                .collect(),
        ),
        DataType::INT32 => {
            let (words, _) = raw.as_chunks::<4>();
            let words = words.iter().map(|&word| i32::from_le_bytes(word) as f32);
            (name.strip_suffix(".int32")?, words.collect())
        }
        _ => return None,
    };
    let axis = node
        .attribute
        .iter()
        .find(|it| it.name.as_deref() == Some("axis"))?;
    let axis = usize::try_from(axis.i?).ok()?;
    let dims: Option<Vec<usize>> = integers
        .dims
        .iter()
        .map(|&dim| usize::try_from(dim).ok())
        .collect();
    let dims = dims?;
    let inner: usize = dims.get(axis + 1..)?.iter().product();
    let scales = RefCell::borrow(scale?.raw_data.as_ref()?);
    let (scales, _) = scales.as_chunks::<4>();
    if scales.len() != *dims.get(axis)? || values.len() != dims.iter().product::<usize>() {
        return None;
    }
    let values: Vec<f32> = values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            value * f32::from_le_bytes(scales[index / inner.max(1) % scales.len()])
        })
        .collect();
    Some(TensorProto {
        name: Some(name.to_owned()),
        dims: integers.dims.clone(),
        data_type: Some(DataType::FLOAT),
        raw_data: Some(RefCell::new(bytes(&values))),
        ..TensorProto::default()
    })
}
