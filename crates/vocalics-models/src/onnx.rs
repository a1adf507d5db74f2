//! Networks as ONNX graphs, opset 13.
//!
//! A [`Graph`] collects nodes and initialisers while a network walks its own forward pass in
//! inference form. Input `features` `[batch, n_frames, n_mels]`, output `logits`
//! `[batch, n_classes]`; batch and frames are free. Where a network takes functionals, they are
//! the last columns of every frame.

use std::cell::RefCell;

use burn::module::Param;
use burn::tensor::Tensor;
use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto,
    TypeProtoTensor, ValueInfoProto,
};

use crate::input::{DELTA_REACH, Door, delta_kernel};
use crate::layers::{ConvNorm, Dense, Norm};
use crate::recurrent::{Cell, Direction};
use crate::restore::{NETWORKS, NORMS, Note, Origin};
use crate::stages::ids;
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

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .try_to_vec()
        .unwrap_or_default()
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

    /// The bands of every frame of `features`, `[batch, n_frames, n_mels]`.
    fn bands(&mut self, door: &Door) -> String {
        if door.n_functionals() == 0 {
            return INPUT.to_owned();
        }
        let n_mels = signed(door.standardisation().0.len());
        self.slice(INPUT, &[(2, 0, n_mels)])
    }

    /// The standardised functionals behind the bands of the last frame of `features`, `[batch, n_functionals]`.
    pub fn functionals(&mut self, door: &Door) -> String {
        let n_mels = signed(door.standardisation().0.len());
        let (mean, inv_std) = door.functional_standardisation();
        let count = mean.len();
        let mean = self.constant("door.functional_mean", mean.to_vec(), &[1, count]);
        let inv_std = self.constant("door.functional_inv_std", inv_std.to_vec(), &[1, count]);
        let columns = (2, n_mels, n_mels + signed(count));
        let x = self.slice(INPUT, &[(1, -1, i64::MAX), columns]); // [batch, 1, n_functionals]
        let x = self.squeeze(&x, 1);
        let x = self.node("Sub", &[&x, &mean]);
        self.node("Mul", &[&x, &inv_std])
    }

    /// Parts of axes, each `(axis, start, end)`.
    fn slice(&mut self, x: &str, parts: &[(i64, i64, i64)]) -> String {
        let [starts, ends, axes] = [
            parts.iter().map(|part| part.1).collect::<Vec<_>>(),
            parts.iter().map(|part| part.2).collect(),
            parts.iter().map(|part| part.0).collect(),
        ]
        .map(|list| self.indices(&list));
        self.node("Slice", &[x, &starts, &ends, &axes])
    }

    /// The networks' door: `features` to `[batch, 3, n_mels, n_frames]`.
    pub fn door(&mut self, door: &Door) -> String {
        let (mean, inv_std) = door.standardisation();
        let n_mels = mean.len();
        let mean = self.constant("door.mean", mean.to_vec(), &[1, 1, n_mels]);
        let inv_std = self.constant("door.inv_std", inv_std.to_vec(), &[1, 1, n_mels]);
        let x = self.bands(door);
        let x = self.node("Sub", &[&x, &mean]);
        let x = self.node("Mul", &[&x, &inv_std]);
        let x = self.transpose(&x, &[0, 2, 1]);
        let axis = self.indices(&[1]);
        let x = self.node("Unsqueeze", &[&x, &axis]); // [batch, 1, n_mels, n_frames]
        let mean = self.reduce_mean(&x, 3, true);
        let centred = self.node("Sub", &[&x, &mean]);
        let kernel = delta_kernel();
        let width = kernel.len();
        let kernel = self.constant("door.delta", kernel, &[1, 1, 1, width]);
        let reach = signed(DELTA_REACH);
        let delta = self.node_with(
            "Conv",
            &[&centred, &kernel],
            vec![
                ints("kernel_shape", &[1, signed(width)]),
                ints("pads", &[0, reach, 0, reach]),
                ints("strides", &[1, 1]),
            ],
        );
        self.concat(&[&x, &centred, &delta], 1)
    }

    /// The door of networks over cepstra: `features` less the mean of every band, `[batch, n_mels,
    /// n_frames]`.
    pub fn centre(&mut self, door: &Door) -> String {
        let (mean, _) = door.standardisation();
        let mean = self.constant("door.mean", mean.to_vec(), &[1, 1, mean.len()]);
        let x = self.bands(door);
        let x = self.node("Sub", &[&x, &mean]);
        self.transpose(&x, &[0, 2, 1])
    }

    /// The door of networks over one vector: the standardised mean of the frames of `features`, `[batch, n_mels]`.
    ///
    /// Of operators that mean the same in every version of the standard from 13 on, so that the graph can stand
    /// behind one of another version.
    pub fn vector(&mut self, door: &Door) -> String {
        let (mean, inv_std) = door.standardisation();
        let n_mels = mean.len();
        let x = self.bands(door);
        let x = self.transpose(&x, &[0, 2, 1]);
        let x = self.node("GlobalAveragePool", &[&x]); // [batch, n_mels, 1]
        let x = self.flatten(&x);
        let mean = self.constant("door.mean", mean.to_vec(), &[1, n_mels]);
        let inv_std = self.constant("door.inv_std", inv_std.to_vec(), &[1, n_mels]);
        let x = self.node("Sub", &[&x, &mean]);
        self.node("Mul", &[&x, &inv_std])
    }

    /// A dense layer over `[batch, in]`.
    pub fn dense(&mut self, x: &str, layer: &Dense) -> String {
        let dims = layer.weight.dims();
        let weight = self.stacked("dense.weight", std::iter::once(&layer.weight), &dims);
        let bias = self.stacked("dense.bias", std::iter::once(&layer.bias), &dims[1..]);
        self.node("Gemm", &[x, &weight, &bias])
    }

    /// A fixed linear map at every frame of `[batch, in, n_frames]`, row-major `[out, in]`, with the
    /// batch norm behind it folded in.
    pub fn linear_norm(&mut self, x: &str, map: &[f32], norm: &Norm) -> String {
        let (scale, shift) = norm.affine();
        let (scale, shift) = (values(scale), values(shift));
        let (outputs, inputs) = (scale.len(), map.len() / scale.len().max(1));
        let rows = map.chunks(inputs.max(1)).zip(&scale);
        let scaled = rows.flat_map(|(row, scale)| row.iter().map(move |x| x * scale));
        let origin = Origin::Folded {
            weight: None,
            map: map.to_vec(),
            norm: ids(norm),
        };
        self.note(|note| note.norm(norm));
        let dims = [outputs, inputs, 1];
        let weight = self.constant_of(origin, "linear.weight", scaled.collect(), &dims);
        let bias = self.constant("linear.bias", shift, &[outputs]);
        let attributes = vec![ints("kernel_shape", &[1])];
        self.node_with("Conv", &[x, &weight, &bias], attributes)
    }

    /// One recurrent layer, one way or both ways: `[n_frames, batch, in]` to `[n_frames, batch,
    /// directions · hidden]`.
    pub(crate) fn recurrent(&mut self, x: &str, cell: Cell, layer: &[Direction]) -> String {
        let [rows, inputs] = layer[0].w_input.dims();
        let hidden = layer[0].w_hidden.dims()[1];
        let ways = layer.len();
        let inner = layer.iter().map(|side| &side.w_input);
        let w_input = self.stacked("recurrent.input", inner, &[ways, rows, inputs]);
        let inner = layer.iter().map(|side| &side.w_hidden);
        let w_hidden = self.stacked("recurrent.hidden", inner, &[ways, rows, hidden]);
        let inner = layer
            .iter()
            .flat_map(|side| [&side.bias_input, &side.bias_hidden]);
        let bias = self.stacked("recurrent.bias", inner, &[ways, 2 * rows]);
        let mut attributes = vec![int("hidden_size", signed(hidden))];
        if ways == 2 {
            attributes.push(text("direction", "bidirectional"));
        }
        let operator = match cell {
            Cell::Lstm => "LSTM",
            Cell::Gru => {
                // The reset gate acts on the product, as in the kernels.
                attributes.push(int("linear_before_reset", 1));
                "GRU"
            }
        };
        let y = self.node_with(operator, &[x, &w_input, &w_hidden, &bias], attributes);
        let y = self.transpose(&y, &[0, 2, 1, 3]); // [n_frames, batch, directions, hidden]
        self.reshape(&y, &[0, 0, -1])
    }

    /// Parameters one after another as one constant.
    fn stacked<'a, const D: usize>(
        &mut self,
        name: &str,
        parts: impl Iterator<Item = &'a Param<Tensor<D>>>,
        dims: &[usize],
    ) -> String {
        let (mut origin, mut all) = (Vec::new(), Vec::new());
        for part in parts {
            let values = values(part.val());
            origin.push((part.id, values.len()));
            all.extend(values);
        }
        self.constant_of(Origin::Whole(origin), name, all, dims)
    }

    /// The same with its dimensions in another order.
    pub fn transpose(&mut self, x: &str, order: &[i64]) -> String {
        self.node_with("Transpose", &[x], vec![ints("perm", order)])
    }

    /// A convolution with its batch norm folded in, and its ReLU.
    pub fn conv_norm(&mut self, x: &str, layer: &ConvNorm) -> String {
        let (weight, bias) = layer.folded();
        let dims = weight.dims();
        let [_, _, rows, columns] = dims;
        let outputs = dims[0];
        let (scale, _) = layer.norm.affine();
        let (weight, scale) = (values(weight), values(scale));
        let unfolded = values(layer.conv.weight.val());
        self.note(|note| {
            note.norm(&layer.norm);
            note.weights(&unfolded, &weight, &scale);
        });
        let origin = Origin::Folded {
            weight: Some(layer.conv.weight.id),
            map: Vec::new(),
            norm: ids(&layer.norm),
        };
        let weight = self.constant_of(origin, "conv.weight", weight, &dims);
        let bias = self.constant("conv.bias", values(bias), &[outputs]);
        let [top, left] = layer.conv.padding.map(signed);
        let mut attributes = vec![
            ints("kernel_shape", &[signed(rows), signed(columns)]),
            ints("pads", &[top, left, top, left]),
            ints("strides", &layer.conv.stride.map(signed)),
        ];
        if layer.conv.dilation != [1, 1] {
            attributes.push(ints("dilations", &layer.conv.dilation.map(signed)));
        }
        if layer.conv.groups != 1 {
            attributes.push(int("group", signed(layer.conv.groups)));
        }
        let y = self.node_with("Conv", &[x, &weight, &bias], attributes);
        if layer.norm.relu {
            self.node("Relu", &[&y])
        } else {
            y
        }
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

    /// A dense layer over the channels of `[batch, in, 1, 1]`.
    pub fn pointwise(&mut self, x: &str, layer: &Dense) -> String {
        self.dense_as_conv(x, layer, 2)
    }

    /// A dense layer at every frame of `[batch, in, n_frames]`.
    pub fn framewise(&mut self, x: &str, layer: &Dense) -> String {
        self.dense_as_conv(x, layer, 1)
    }

    fn dense_as_conv(&mut self, x: &str, layer: &Dense, axes: usize) -> String {
        let weight = layer.weight.val().transpose();
        let [outputs, inputs] = weight.dims();
        let ones = vec![1i64; axes];
        let mut dims = vec![outputs, inputs];
        dims.resize(2 + axes, 1);
        let origin = Origin::Transposed(layer.weight.id, [inputs, outputs]);
        let weight = self.constant_of(origin, "dense.weight", values(weight), &dims);
        let bias = self.stacked("dense.bias", std::iter::once(&layer.bias), &[outputs]);
        self.node_with(
            "Conv",
            &[x, &weight, &bias],
            vec![ints("kernel_shape", &ones)],
        )
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

    /// The last layer, whose output is the graph's.
    pub fn logits(&mut self, x: &str, layer: &Dense) {
        if self.headless {
            self.output("Identity", &[x]);
            return;
        }
        let dims = layer.weight.dims();
        let weight = self.stacked("head.weight", std::iter::once(&layer.weight), &dims);
        let bias = self.stacked("head.bias", std::iter::once(&layer.bias), &dims[1..]);
        self.output("Gemm", &[x, &weight, &bias]);
    }

    fn note(&mut self, write: impl FnOnce(&mut Note)) {
        if let Some(note) = self.notes.last_mut() {
            write(note);
        }
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
