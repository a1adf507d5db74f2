//! A graph with its products quantised, in the form that every ONNX engine knows.
//!
//! Before a convolution or a dense layer the input passes a `QuantizeLinear` and a `DequantizeLinear`;
//! the weights are int8 with a `DequantizeLinear`, the bias int32 on the grid of the product. An engine
//! that has integer kernels joins these to an integer product; one that has none computes the same in
//! single precision. Of a recurrent layer the two weights alone are quantised, a scale for each row of a
//! gate: its input, state and bias stay as they are, for no engine has integer products inside it.
//!
//! Source: ONNX, operators `QuantizeLinear` and `DequantizeLinear`; onnxruntime, *Quantize ONNX models*,
//! "QDQ format".

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, TensorProto,
};

use super::NETWORKS;
use crate::ModelError;
use crate::onnx::written;

/// Layers with fewer weights than this stay as they are: their size is nothing and their error counts.
const LEAST_WEIGHTS: usize = 1024;

/// Weights that can be quantised, and what is rounded beside them.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) node: usize,
    /// Which input of the node the weights are.
    place: usize,
    /// Name of the layer's input, where that is rounded too.
    pub(super) input: Option<String>,
    weights: String,
    /// Where nothing else reads it.
    bias: Option<String>,
    /// Axis of the weights that is the output.
    axis: usize,
}

fn graph(model: &ModelProto) -> Result<&GraphProto, ModelError> {
    model.graph.as_ref().ok_or_else(|| ModelError::Graph {
        reason: "there is none".to_owned(),
    })
}

fn attribute(node: &NodeProto, name: &str) -> i64 {
    let found = node
        .attribute
        .iter()
        .find(|a| a.name.as_deref() == Some(name));
    found.and_then(|a| a.i).unwrap_or(0)
}

/// The values of a weight, and its dimensions.
fn weight(graph: &GraphProto, name: &str) -> Option<(Vec<usize>, Vec<f32>)> {
    let tensor = graph
        .initializer
        .iter()
        .find(|t| t.name.as_deref() == Some(name))?;
    if tensor.data_type != Some(DataType::FLOAT) {
        return None;
    }
    let values = match &tensor.raw_data {
        Some(raw) => {
            let raw = raw.borrow();
            let (chunks, _) = raw.as_chunks::<4>();
            chunks
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes))
                .collect()
        }
        None => tensor.float_data.clone(),
    };
    let dims = tensor
        .dims
        .iter()
        .map(|&dim| usize::try_from(dim).ok())
        .collect::<Option<_>>()?;
    Some((dims, values))
}

/// The layers of a graph that are worth it.
pub(super) fn layers(model: &ModelProto) -> Result<Vec<Layer>, ModelError> {
    let graph = graph(model)?;
    // A weight or bias that two layers share is left alone: each would need a grid of its own for it.
    let mut seen = HashSet::new();
    let mut shared = HashSet::new();
    for input in graph.node.iter().flat_map(|node| &node.input) {
        if !seen.insert(input.as_str()) {
            shared.insert(input.as_str());
        }
    }
    let mut layers = Vec::new();
    for (index, node) in graph.node.iter().enumerate() {
        // Recurrent weights are [directions, gates, inputs].
        let (axis, places, rounds) = match node.op_type.as_deref() {
            Some("Conv") => (0, 1..2, true),
            Some("Gemm") if attribute(node, "transB") != 0 => (0, 1..2, true),
            Some("Gemm") => (1, 1..2, true),
            Some("GRU" | "LSTM") => (1, 1..3, false),
            _ => continue,
        };
        for place in places {
            let Some(weights) = node.input.get(place) else {
                continue;
            };
            let large = weight(graph, weights)
                .is_some_and(|(dims, values)| values.len() >= LEAST_WEIGHTS && dims.len() > axis);
            if large && !shared.contains(weights.as_str()) {
                let own = |name: &&String| !name.is_empty() && !shared.contains(name.as_str());
                layers.push(Layer {
                    node: index,
                    place,
                    input: node.input.first().filter(|_| rounds).cloned(),
                    weights: weights.clone(),
                    bias: node.input.get(2).filter(|_| rounds).filter(own).cloned(),
                    axis,
                });
            }
        }
    }
    Ok(layers)
}

/// Quantises the layers; `grids` holds scale and zero point for the name of every input. Without them the weights alone are rounded.
pub(super) fn rewrite(
    mut model: ModelProto,
    layers: &[Layer],
    grids: Option<&HashMap<String, (f32, u8)>>,
) -> Result<Vec<u8>, ModelError> {
    let mut old = model.graph.take().ok_or_else(|| ModelError::Graph {
        reason: "there is none".to_owned(),
    })?;
    let mut by_node: HashMap<usize, Vec<&Layer>> = HashMap::new();
    for layer in layers {
        by_node.entry(layer.node).or_default().push(layer);
    }
    let mut new = Rewriter {
        nodes: Vec::new(),
        constants: Vec::new(),
        instead: HashMap::new(),
        rounded: HashMap::new(),
    };
    for (index, mut node) in std::mem::take(&mut old.node).into_iter().enumerate() {
        for layer in by_node.get(&index).into_iter().flatten() {
            let Some((dims, values)) = weight(&old, &layer.weights) else {
                continue;
            };
            let (Some(input), Some(grids)) = (&layer.input, grids) else {
                node.input[layer.place] = new.weights(layer, &dims, &values).0;
                continue;
            };
            let Some(&grid) = grids.get(input) else {
                continue;
            };
            node.input[0] = new.input(input, grid);
            let (name, scales) = new.weights(layer, &dims, &values);
            node.input[layer.place] = name;
            if let Some(bias) = &layer.bias
                && let Some((_, values)) = weight(&old, bias)
                && values.len() == scales.len()
            {
                node.input[2] = new.bias(bias, &values, grid.0, &scales);
            }
        }
        new.nodes.push(node);
    }
    // Each in the place of what it stands for, so that the way back finds the weights in their order.
    let mut constants = Vec::with_capacity(old.initializer.len());
    for tensor in old.initializer {
        match tensor.name.as_ref().and_then(|it| new.instead.remove(it)) {
            Some(parts) => constants.extend(parts),
            None => constants.push(tensor),
        }
    }
    constants.append(&mut new.constants);
    model.graph = Some(GraphProto {
        node: new.nodes,
        initializer: constants,
        input: old.input,
        output: old.output,
        ..GraphProto::default()
    });
    // What else is said of the weights is no longer true.
    model
        .metadata_props
        .retain(|prop| prop.key.as_deref() == Some(NETWORKS));
    written(&model)
}

fn constant(name: &str, dims: &[usize], kind: DataType, raw: Vec<u8>) -> TensorProto {
    TensorProto {
        name: Some(name.to_owned()),
        dims: dims
            .iter()
            .filter_map(|&dim| i64::try_from(dim).ok())
            .collect(),
        data_type: Some(kind),
        raw_data: Some(RefCell::new(raw)),
        ..TensorProto::default()
    }
}

pub(super) fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

struct Rewriter {
    nodes: Vec<NodeProto>,
    /// Of inputs that are rounded.
    constants: Vec<TensorProto>,
    /// What stands in the place of weights and biases, by their names.
    instead: HashMap<String, Vec<TensorProto>>,
    /// Inputs that were rounded already, and the names of what they became.
    rounded: HashMap<String, String>,
}

impl Rewriter {
    fn node(&mut self, operator: &str, inputs: [&str; 3], output: &str, axis: Option<usize>) {
        let attribute = axis.map(|axis| AttributeProto {
            name: Some("axis".to_owned()),
            i: i64::try_from(axis).ok(),
            r#type: Some(AttributeType::INT),
            ..AttributeProto::default()
        });
        self.nodes.push(NodeProto {
            name: Some(output.to_owned()),
            op_type: Some(operator.to_owned()),
            input: inputs.map(str::to_owned).to_vec(),
            output: vec![output.to_owned()],
            attribute: attribute.into_iter().collect(),
            ..NodeProto::default()
        });
    }

    /// Rounds a tensor to its grid; the name of the result.
    fn input(&mut self, name: &str, (scale, zero): (f32, u8)) -> String {
        if let Some(known) = self.rounded.get(name) {
            return known.clone();
        }
        let [scale_name, zero_name, small, rounded] =
            ["scale", "zero", "quantised", "rounded"].map(|suffix| format!("{name}.{suffix}"));
        let raw = scale.to_le_bytes().to_vec();
        self.constants.extend([
            constant(&scale_name, &[], DataType::FLOAT, raw),
            constant(&zero_name, &[], DataType::UINT8, vec![zero]),
        ]);
        self.node(
            "QuantizeLinear",
            [name, &scale_name, &zero_name],
            &small,
            None,
        );
        self.node(
            "DequantizeLinear",
            [&small, &scale_name, &zero_name],
            &rounded,
            None,
        );
        self.rounded.insert(name.to_owned(), rounded.clone());
        rounded
    }

    /// Symmetric int8, a scale for each output; the name of the result and the scales.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounded and clipped to -127..=127"
    )]
    fn weights(&mut self, layer: &Layer, dims: &[usize], values: &[f32]) -> (String, Vec<f32>) {
        let outputs = dims[layer.axis];
        let inner: usize = dims[layer.axis + 1..].iter().product();
        let output = |index: usize| index / inner.max(1) % outputs.max(1);
        let mut largest = vec![0.0_f32; outputs];
        for (index, value) in values.iter().enumerate() {
            let most = &mut largest[output(index)];
            *most = most.max(value.abs());
        }
        let scales: Vec<f32> = largest
            .iter()
            .map(|&most| if most > 0.0 { most / 127.0 } else { 1.0 })
            .collect();
        let raw = values
            .iter()
            .enumerate()
            .flat_map(|(index, value)| {
                let step = (value / scales[output(index)])
                    .round_ties_even()
                    .clamp(-127.0, 127.0);
                (step as i8).to_le_bytes()
            })
            .collect();
        let name = &layer.weights;
        let [small, scale_name, zero_name, rounded] =
            ["int8", "scale", "zero", "rounded"].map(|suffix| format!("{name}.{suffix}"));
        let parts = vec![
            constant(&small, dims, DataType::INT8, raw),
            constant(&scale_name, &[outputs], DataType::FLOAT, bytes(&scales)),
            constant(&zero_name, &[outputs], DataType::INT8, vec![0; outputs]),
        ];
        self.node(
            "DequantizeLinear",
            [&small, &scale_name, &zero_name],
            &rounded,
            Some(layer.axis),
        );
        self.instead.insert(name.clone(), parts);
        (rounded, scales)
    }

    /// int32 on the grid of the sums, `scale of the input · scale of the output's weights`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of a float saturates"
    )]
    fn bias(&mut self, name: &str, values: &[f32], scale: f32, weights: &[f32]) -> String {
        let scales: Vec<f32> = weights.iter().map(|weight| scale * weight).collect();
        let raw = values
            .iter()
            .zip(&scales)
            .flat_map(|(value, scale)| ((value / scale).round_ties_even() as i32).to_le_bytes())
            .collect();
        let [small, scale_name, zero_name, rounded] =
            ["int32", "scale", "zero", "rounded"].map(|suffix| format!("{name}.{suffix}"));
        let (dims, zeros) = ([values.len()], vec![0; 4 * values.len()]);
        let parts = vec![
            constant(&small, &dims, DataType::INT32, raw),
            constant(&scale_name, &dims, DataType::FLOAT, bytes(&scales)),
            constant(&zero_name, &dims, DataType::INT32, zeros),
        ];
        self.node(
            "DequantizeLinear",
            [&small, &scale_name, &zero_name],
            &rounded,
            Some(0),
        );
        self.instead.insert(name.to_owned(), parts);
        rounded
    }
}
