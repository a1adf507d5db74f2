//! Networks as ONNX graphs, opset 13.
//!
//! A [`Graph`] collects nodes and initialisers while a network walks its own forward pass in
//! inference form. Input `features` `[batch, n_frames, n_mels]`, output `logits`
//! `[batch, n_classes]`; batch and frames are free. Where a network takes functionals, they are
//! the last columns of every frame.

mod door;
mod layers;

use std::cell::RefCell;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto,
    TypeProtoTensor, ValueInfoProto,
};

use crate::restore::{NETWORKS, NORMS, Note, Origin};
use crate::{ModelError, NetworkConfig};

/// Name of the input.
pub const INPUT: &str = "features";
/// Name of the output.
pub const OUTPUT: &str = "logits";
/// Name of the output of a graph without the head ([`Graph::of_body`]).
pub const EMBEDDING: &str = "embedding";

const OPSET: i64 = 13;
/// The format version that came with opset 13.
const IR_VERSION: i64 = 7;

/// A graph under construction.
pub struct Graph {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Of each constant.
    origins: Vec<Origin>,
    /// Of each network traced.
    notes: Vec<Note>,
    /// The networks, as JSON, where they were named.
    networks: Option<String>,
    /// What the last layer of a network is called.
    output: String,
    /// Whether the head is left out.
    headless: bool,
}

impl Default for Graph {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            constants: Vec::new(),
            origins: Vec::new(),
            notes: vec![Note::default()],
            networks: None,
            output: OUTPUT.to_owned(),
            headless: false,
        }
    }
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (nodes, constants) = (self.nodes.len(), self.constants.len());
        write!(f, "Graph {{ {nodes} nodes, {constants} constants }}")
    }
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        i: Some(value),
        r#type: Some(AttributeType::INT),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        ints: values.to_vec(),
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        s: Some(value.into()),
        r#type: Some(AttributeType::STRING),
        ..AttributeProto::default()
    }
}

impl Graph {
    /// A graph of a network without its head: `features` to [`EMBEDDING`], `[batch, embedding]`.
    #[must_use]
    pub fn of_body() -> Self {
        Self {
            output: EMBEDDING.to_owned(),
            headless: true,
            ..Self::default()
        }
    }

    /// An operator with one output and no attributes; returns the output's name.
    pub fn node(&mut self, operator: &str, inputs: &[&str]) -> String {
        self.node_with(operator, inputs, Vec::new())
    }

    /// The sum of two maps and a ReLU: the end of a block with a shortcut.
    pub fn add_relu(&mut self, x: &str, shortcut: &str) -> String {
        let sum = self.node("Add", &[x, shortcut]);
        self.node("Relu", &[&sum])
    }

    fn node_with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> String {
        let output = format!("{}_{}", operator.to_lowercase(), self.nodes.len());
        self.push(operator, inputs, &output, attributes);
        output
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) {
        self.nodes.push(NodeProto {
            name: Some(output.to_owned()),
            op_type: Some(operator.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
    }

    /// Adds an initialiser of single-precision values; returns its unique name.
    pub fn constant(&mut self, name: &str, values: Vec<f32>, dims: &[usize]) -> String {
        self.constant_of(Origin::Fixed, name, values, dims)
    }

    /// The same with where the values come from.
    fn constant_of(
        &mut self,
        origin: Origin,
        name: &str,
        values: Vec<f32>,
        dims: &[usize],
    ) -> String {
        self.origins.push(origin);
        let name = format!("{name}_{}", self.constants.len());
        self.constants.push(TensorProto {
            name: Some(name.clone()),
            dims: dims.iter().map(|&dim| signed(dim)).collect(),
            data_type: Some(DataType::FLOAT),
            raw_data: Some(RefCell::new(
                values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            )),
            ..TensorProto::default()
        });
        name
    }

    fn indices(&mut self, values: &[i64]) -> String {
        self.origins.push(Origin::Fixed);
        let name = format!("indices_{}", self.constants.len());
        self.constants.push(TensorProto {
            name: Some(name.clone()),
            dims: vec![signed(values.len())],
            data_type: Some(DataType::INT64),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        name
    }

    /// The same with its dimensions in another order.
    pub fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.node_with("Transpose", &[x], vec![ints("perm", order)])
    }

    /// Mean over windows of `size`, as [`crate::pooling::average`].
    pub fn average(&mut self, x: &str, size: [usize; 2]) -> String {
        let [rows, columns] = size.map(signed);
        let attributes = vec![
            ints("kernel_shape", &[rows, columns]),
            ints("strides", &[rows, columns]),
            // Windows at the end may be cut short; what lies outside does not count.
            ints("pads", &[0, 0, rows - 1, columns - 1]),
        ];
        self.node_with("AveragePool", &[x], attributes)
    }

    /// Reshape; 0 keeps a dimension, -1 is inferred.
    pub fn reshape(&mut self, x: &str, dims: &[i64]) -> String {
        let dims = self.indices(dims);
        self.node("Reshape", &[x, &dims])
    }

    /// `[batch, channels, 1, 1]` to `[batch, channels]`.
    pub fn flatten(&mut self, x: &str) -> String {
        self.node_with("Flatten", &[x], vec![int("axis", 1)])
    }

    /// `[batch, channels, rows, columns]` to `[batch, features, columns]`, `features` being
    /// channels times rows.
    pub fn flatten_rows(&mut self, x: &str, features: usize) -> String {
        self.reshape(x, &[0, signed(features), -1])
    }

    /// `[batch, channels, rows, columns]` to `[batch, features, 1, columns]`, `features` being
    /// channels times rows.
    pub fn stack_rows(&mut self, x: &str, features: usize) -> String {
        self.reshape(x, &[0, signed(features), 1, -1])
    }

    /// The same without the dimension `axis`, which is 1.
    pub fn squeeze(&mut self, x: &str, axis: i64) -> String {
        let axes = self.indices(&[axis]);
        self.node("Squeeze", &[x, &axes])
    }

    /// Softmax along an axis.
    pub fn softmax(&mut self, x: &str, axis: i64) -> String {
        self.node_with("Softmax", &[x], vec![int("axis", axis)])
    }

    /// Concatenation along an axis.
    pub fn concat(&mut self, inputs: &[&str], axis: i64) -> String {
        self.node_with("Concat", inputs, vec![int("axis", axis)])
    }

    /// Sum along an axis, which stays with size 1 if `keep`.
    pub fn reduce_sum(&mut self, x: &str, axis: i64, keep: bool) -> String {
        let axes = self.indices(&[axis]);
        let attributes = vec![int("keepdims", i64::from(keep))];
        self.node_with("ReduceSum", &[x, &axes], attributes)
    }

    /// Mean along an axis, which stays with size 1 if `keep`.
    pub fn reduce_mean(&mut self, x: &str, axis: i64, keep: bool) -> String {
        let attributes = vec![ints("axes", &[axis]), int("keepdims", i64::from(keep))];
        self.node_with("ReduceMean", &[x], attributes)
    }

    /// What follows is traced from the next network of an ensemble.
    pub(crate) fn next_member(&mut self) {
        self.notes.push(Note::default());
    }

    pub(crate) fn constants(&self) -> &[TensorProto] {
        &self.constants
    }

    pub(crate) fn nodes(&self) -> &[NodeProto] {
        &self.nodes
    }

    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Names the networks that were traced, in their order, so that the file says what it can be trained on as.
    ///
    /// # Errors
    /// [`ModelError::Encode`].
    pub fn name_networks(&mut self, networks: &[&NetworkConfig]) -> Result<(), ModelError> {
        let text = serde_json::to_string(networks);
        self.networks = Some(text.map_err(|error| ModelError::Encode(error.to_string()))?);
        Ok(())
    }

    /// Names the output of the networks traced from now on; the graph's own is [`OUTPUT`].
    pub(crate) fn set_output(&mut self, name: &str) {
        name.clone_into(&mut self.output);
    }

    /// What the output of the network that is traced is called.
    pub(crate) fn output_name(&self) -> &str {
        &self.output
    }

    /// An operator without attributes that gives the output.
    pub(crate) fn output(&mut self, operator: &str, inputs: &[&str]) {
        let output = self.output.clone();
        self.push(operator, inputs, &output, Vec::new());
    }

    /// The graph as the bytes of an ONNX file over frames of `n_features` numbers, with what a training needs to go on from it
    /// ([`crate::restore`]) and no other metadata.
    ///
    /// # Errors
    /// [`ModelError::Encode`].
    pub fn into_bytes(self, n_features: usize, n_classes: usize) -> Result<Vec<u8>, ModelError> {
        let name = if self.headless { EMBEDDING } else { OUTPUT };
        let notes: Vec<String> = self.notes.into_iter().map(Note::into_base64).collect();
        let notes = serde_json::to_string(&notes);
        let notes = notes.map_err(|error| ModelError::Encode(error.to_string()))?;
        let entry = |key: &str, value| StringStringEntryProto {
            key: Some(key.to_owned()),
            value: Some(value),
        };
        let mut metadata_props = vec![entry(NORMS, notes)];
        metadata_props.extend(self.networks.map(|text| entry(NETWORKS, text)));
        let model = ModelProto {
            metadata_props,
            ir_version: Some(IR_VERSION),
            producer_name: Some("vocalics".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            opset_import: vec![OperatorSetIdProto {
                version: Some(OPSET),
                ..OperatorSetIdProto::default()
            }],
            graph: Some(GraphProto {
                node: self.nodes,
                initializer: self.constants,
                input: vec![value(INPUT, &[None, None, Some(n_features)])],
                output: vec![value(name, &[None, Some(n_classes)])],
                ..GraphProto::default()
            }),
        };
        model
            .write_buf()
            .map_err(|error| ModelError::Encode(error.to_string()))
    }
}

/// A single-precision input or output; `None` is a free dimension.
fn value(name: &str, dims: &[Option<usize>]) -> ValueInfoProto {
    let dim = dims
        .iter()
        .enumerate()
        .map(|(axis, dim)| Dimension {
            dim_value: dim.map(signed),
            dim_param: dim
                .is_none()
                .then(|| ["batch", "n_frames"][axis.min(1)].to_owned()),
        })
        .collect();
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(DataType::FLOAT),
                shape: Some(TensorShapeProto { dim }),
            }),
            ..TypeProto::default()
        }),
    }
}
