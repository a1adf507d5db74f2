//! The structure of an ONNX file, checked before the engine sees it.
//!
//! The walk covers every message the engine decodes: lengths lie within their parents, nothing nests
//! deeper than the format needs, tensors hold as many values as their shape says, no weights are kept
//! outside the file, no operator carries a graph of its own, and every operator is on the list the engine
//! is built with. What it finds on the way (metadata, producer, input and output) is returned.
//!
//! These checks tell a damaged or foreign file from a good one. They are no sandbox against a model made
//! to consume memory or time.
//!
//! Source: ONNX 1.19, `onnx.proto` (messages and field numbers), `docs/IR.md`.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::ModelError;
use crate::wire::{Field, Message, Value, write_bytes};

/// Name of the graph's input, f32 `[batch, n_frames, n_mels]`.
pub const INPUT_NAME: &str = "features";

/// Name of the graph's output, f32 `[batch, n_classes]`.
pub const OUTPUT_NAME: &str = "logits";

/// Largest model file accepted, in bytes: what one protocol buffer may hold (2 GiB less a byte).
///
/// Our own networks have a few megabytes; a file with an encoder of 300 million weights in it has 1.2 GB.
pub const MAX_MODEL_BYTES: u64 = (2 << 30) - 1;

/// Largest magnitude of an integer attribute; strides, pads and the like are far below.
const MAX_ATTRIBUTE: u64 = 65_536;

/// Largest element of an integer-list attribute (kernel shapes, strides, pads, dilations, axes).
const MAX_LIST_ATTRIBUTE: u64 = 4_096;

/// Largest number of dimensions of a tensor.
const MAX_RANK: usize = 8;

macro_rules! operators {
    ($($operator:ident),* $(,)?) => {
        /// The operators a model may use, all of the standard ONNX domain.
        ///
        /// Enough for convolutional, recurrent and attention networks, for the shape arithmetic that exporters of such
        /// write, and for int8 weights. The list is fixed so that the engine links nothing else. `Constant` is always
        /// accepted.
        pub const OPERATORS: &[&str] = &[$(stringify!($operator)),*];

        /// The engine's registry of exactly [`OPERATORS`].
        pub(crate) fn registry() -> rten::OpRegistry {
            rten::op_registry!($($operator),*)
        }
    };
}

operators!(
    Abs,
    Add,
    And,
    AveragePool,
    BatchNormalization,
    Cast,
    Ceil,
    Clip,
    Concat,
    ConstantOfShape,
    Conv,
    ConvInteger,
    Cos,
    CumSum,
    DequantizeLinear,
    Div,
    DynamicQuantizeLinear,
    Einsum,
    Elu,
    Equal,
    Erf,
    Exp,
    Expand,
    Flatten,
    Floor,
    GRU,
    Gather,
    GatherElements,
    GatherND,
    Gelu,
    Gemm,
    GlobalAveragePool,
    Greater,
    GreaterOrEqual,
    HardSigmoid,
    HardSwish,
    Identity,
    InstanceNormalization,
    IsNaN,
    LSTM,
    LayerNormalization,
    LeakyRelu,
    Less,
    LessOrEqual,
    Log,
    LogSoftmax,
    MatMul,
    MatMulInteger,
    Max,
    MaxPool,
    Mean,
    Min,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    PRelu,
    Pad,
    Pow,
    QuantizeLinear,
    Range,
    Reciprocal,
    ReduceL2,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    ReduceSumSquare,
    Relu,
    Reshape,
    Round,
    ScatterElements,
    ScatterND,
    Shape,
    Sigmoid,
    Sign,
    Sin,
    Size,
    Slice,
    Softmax,
    Softplus,
    Softsign,
    Split,
    Sqrt,
    Squeeze,
    Sub,
    Sum,
    Tanh,
    Tile,
    Transpose,
    Trilu,
    Unsqueeze,
    Where,
);

/// What a look at the file's structure tells.
#[derive(Debug, Clone)]
pub(crate) struct Structure {
    /// Producer name, empty when the file names none.
    pub(crate) producer: String,
    /// `metadata_props` in file order.
    pub(crate) props: Vec<(String, String)>,
    /// CRC-32 of the serialised graph.
    pub(crate) graph_crc32: u32,
    /// Inputs that are no weights.
    pub(crate) inputs: Vec<Port>,
    /// Outputs.
    pub(crate) outputs: Vec<Port>,
}

/// A graph input or output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port {
    pub(crate) name: String,
    /// ONNX element type; 1 is f32.
    pub(crate) element_type: i64,
    /// Dimensions: `Some` when fixed.
    pub(crate) shape: Vec<Option<i64>>,
}

/// Walks the file.
///
/// # Errors
///
/// [`ModelError::NotOnnx`], [`ModelError::TooLarge`], [`ModelError::Truncated`], [`ModelError::Corrupt`],
/// [`ModelError::Operator`] or [`ModelError::Graph`].
pub(crate) fn inspect(bytes: &[u8]) -> Result<Structure, ModelError> {
    inspect_with(bytes, &mut Weights::Inside)
}

/// As [`inspect`], for a file whose weights may lie in files beside it; also gives the names of these.
///
/// # Errors
///
/// As [`inspect`].
pub(crate) fn inspect_with_files_beside(
    bytes: &[u8],
) -> Result<(Structure, BTreeSet<String>), ModelError> {
    let mut weights = Weights::Beside(BTreeSet::new());
    let structure = inspect_with(bytes, &mut weights)?;
    Ok(match weights {
        Weights::Inside => (structure, BTreeSet::new()),
        Weights::Beside(names) => (structure, names),
    })
}

/// Where weights may lie.
enum Weights {
    /// In the file.
    Inside,
    /// Also in files beside it, with these names.
    Beside(BTreeSet<String>),
}

fn inspect_with(bytes: &[u8], weights: &mut Weights) -> Result<Structure, ModelError> {
    let outline = outline(bytes)?;
    let (inputs, outputs) = check_graph(outline.graph, weights)?;
    Ok(Structure {
        producer: outline.producer,
        props: outline.props,
        graph_crc32: crc32fast::hash(outline.graph.bytes()),
        inputs,
        outputs,
    })
}

/// The top level of the file; the graph is not looked into.
#[derive(Debug, Clone)]
struct Outline<'a> {
    producer: String,
    props: Vec<(String, String)>,
    prop_ranges: Vec<Range<usize>>,
    opset: i64,
    graph: Message<'a>,
}

/// The graph of a file that [`inspect`] has accepted, and the version of its standard operators (0 when
/// the file states none).
pub(crate) fn graph(bytes: &[u8]) -> Result<(i64, Message<'_>), ModelError> {
    outline(bytes).map(|outline| (outline.opset, outline.graph))
}

/// Reads the metadata without walking the graph.
pub(crate) fn read_props(bytes: &[u8]) -> Result<(String, Vec<(String, String)>), ModelError> {
    outline(bytes).map(|outline| (outline.producer, outline.props))
}

/// Rewrites the file with the given properties in place of every one whose key starts with `prefix`.
///
/// `props` is given the checksum of the graph, since it is stored beside the rest.
pub(crate) fn replace_props(
    bytes: &[u8],
    prefix: &str,
    props: impl FnOnce(u32) -> Result<Vec<(String, String)>, ModelError>,
) -> Result<Vec<u8>, ModelError> {
    let outline = outline(bytes)?;
    let props = props(crc32fast::hash(outline.graph.bytes()))?;
    let mut out = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for ((key, _), range) in outline.props.iter().zip(&outline.prop_ranges) {
        if key.starts_with(prefix) {
            out.extend_from_slice(&bytes[copied..range.start]);
            copied = range.end;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    for (key, value) in &props {
        let mut entry = Vec::with_capacity(key.len() + value.len() + 12);
        write_bytes(&mut entry, 1, key.as_bytes());
        write_bytes(&mut entry, 2, value.as_bytes());
        write_bytes(&mut out, 14, &entry);
    }
    Ok(out)
}

fn outline(bytes: &[u8]) -> Result<Outline<'_>, ModelError> {
    if bytes.len() as u64 > MAX_MODEL_BYTES {
        return Err(ModelError::TooLarge {
            bytes: bytes.len() as u64,
            limit: MAX_MODEL_BYTES,
        });
    }
    if let Some(found) = foreign_format(bytes) {
        return Err(ModelError::NotOnnx {
            found: found.to_owned(),
        });
    }
    let mut ir_version = None;
    let mut producer = String::new();
    let mut graph = None;
    let mut props = Vec::new();
    let mut prop_ranges = Vec::new();
    let mut opset = 0;
    let mut message = Message::new(bytes);
    // Before the first field that only an ONNX file has, a parse error means "something else".
    let mut read = || -> Result<(), ModelError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => ir_version = Some(field.integer()?),
                2 => field.message()?.text()?.clone_into(&mut producer),
                3 | 4 | 6 => {
                    field.message()?.text()?;
                }
                5 => {
                    field.integer()?;
                }
                7 if graph.is_some() => return Err(field.message()?.corrupt("a second graph")),
                7 => graph = Some(field.message()?),
                8 => opset = opset.max(read_opset(field.message()?)?),
                14 => {
                    let (key, value) = entry(field.message()?)?;
                    props.push((key.to_owned(), value.to_owned()));
                    prop_ranges.push(field.offset..field.offset + field.raw.len());
                }
                20 | 25 | 26 => return Err(field.message()?.corrupt("training data or functions")),
                _ => {}
            }
        }
        Ok(())
    };
    let outcome = read();
    // IR versions are small numbers; anything else in field 1 is not ONNX.
    let looks_like_onnx = ir_version.is_some_and(|version| (1..=1000).contains(&version));
    if !looks_like_onnx {
        return Err(ModelError::NotOnnx {
            found: "no onnx header".to_owned(),
        });
    }
    outcome?;
    let graph = graph.ok_or_else(|| ModelError::Truncated {
        offset: bytes.len(),
        needed: 1,
    })?;
    Ok(Outline {
        producer,
        props,
        prop_ranges,
        opset,
        graph,
    })
}

/// Names well-known formats people mistake for a model file.
fn foreign_format(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: &[(&[u8], &str)] = &[
        (
            b"PK\x03\x04",
            "a zip archive (pytorch checkpoint or keras model)",
        ),
        (b"\x80\x02", "a python pickle"),
        (b"\x80\x04", "a python pickle"),
        (b"\x89HDF", "an hdf5 file"),
        (b"GGUF", "a gguf model"),
        (b"RTEN", "an rten model"),
        (b"RIFF", "a wav file"),
        (b"fLaC", "a flac file"),
        (b"OggS", "an ogg file"),
        (b"ID3", "an mp3 file"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"<", "a web page or xml file"),
        (b"{", "a json file"),
        (
            b"version https://git-lfs",
            "a git-lfs pointer, not the file itself",
        ),
    ];
    if bytes.is_empty() {
        return Some("an empty file");
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("a tensorflow-lite model");
    }
    if bytes.get(8..10) == Some(b"{\"") {
        return Some("a safetensors file");
    }
    KNOWN
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|&(_, name)| name)
}

/// The version of a set of operators; 0 for one that is not the standard's.
fn read_opset(mut message: Message<'_>) -> Result<i64, ModelError> {
    let (mut standard, mut version) = (true, 0);
    while let Some(field) = message.next()? {
        match field.number {
            1 => standard = matches!(field.message()?.text()?, "" | "ai.onnx"),
            2 => version = field.integer()?,
            _ => {}
        }
    }
    Ok(if standard { version } else { 0 })
}

fn entry(message: Message<'_>) -> Result<(&str, &str), ModelError> {
    let (mut key, mut value) = ("", "");
    let mut fields = message;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.message()?.text()?,
            2 => value = field.message()?.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}

fn check_graph(
    graph: Message<'_>,
    weights: &mut Weights,
) -> Result<(Vec<Port>, Vec<Port>), ModelError> {
    let mut initializers = Vec::new();
    let mut inputs = Vec::new();
    let mut outputs = Vec::new();
    let mut fields = graph;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => check_node(field.message()?)?,
            2 | 10 => {
                field.message()?.text()?;
            }
            5 => initializers.push(check_tensor(field.message()?, weights)?),
            11 => inputs.push(port(field.message()?)?),
            12 => outputs.push(port(field.message()?)?),
            13 => {
                port(field.message()?)?;
            }
            15 => return Err(field.message()?.corrupt("sparse weights")),
            _ => {}
        }
    }
    // Old IR versions list the weights among the inputs.
    inputs.retain(|port| !initializers.contains(&port.name.as_str()));
    Ok((inputs, outputs))
}

fn check_node(node: Message<'_>) -> Result<(), ModelError> {
    let mut operator = "";
    let mut domain = "";
    let mut fields = node;
    while let Some(field) = fields.next()? {
        match field.number {
            1..=3 | 6 | 8 => {
                field.message()?.text()?;
            }
            4 => operator = field.message()?.text()?,
            5 => check_attribute(field.message()?)?,
            7 => domain = field.message()?.text()?,
            _ => {}
        }
    }
    let standard = matches!(domain, "" | "ai.onnx");
    if standard && (operator == "Constant" || OPERATORS.contains(&operator)) {
        return Ok(());
    }
    Err(ModelError::Operator {
        operator: if standard {
            operator.to_owned()
        } else {
            format!("{domain}.{operator}")
        },
    })
}

fn check_attribute(attribute: Message<'_>) -> Result<(), ModelError> {
    let bounded = |value: i64, limit: u64| {
        if value.unsigned_abs() > limit {
            Err(attribute.corrupt("an attribute out of range"))
        } else {
            Ok(())
        }
    };
    let mut fields = attribute;
    while let Some(field) = fields.next()? {
        match field.number {
            1 | 4 | 9 | 13 => {
                field.message()?;
            }
            3 => bounded(field.integer()?, MAX_ATTRIBUTE)?,
            5 => {
                check_tensor(field.message()?, &mut Weights::Inside)?;
            }
            6 | 10 | 11 | 14 | 15 | 22 | 23 => {
                return Err(attribute.corrupt("an operator with a graph of its own"));
            }
            8 => {
                for value in integers(&field)? {
                    bounded(value, MAX_LIST_ATTRIBUTE)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A repeated integer field, packed or not.
pub(crate) fn integers(field: &Field<'_>) -> Result<Vec<i64>, ModelError> {
    match field.value {
        Value::Varint(value) => Ok(vec![value.cast_signed()]),
        Value::Bytes(mut packed) => {
            let mut values = Vec::new();
            while !packed.is_done() {
                values.push(packed.varint()?.cast_signed());
            }
            Ok(values)
        }
        _ => field.integer().map(|value| vec![value]),
    }
}

/// Bytes of one element in `raw_data`, by ONNX element type.
fn element_bytes(element_type: i64) -> Option<usize> {
    match element_type {
        2 | 3 | 9 => Some(1), // u8, i8, bool
        10 => Some(2),        // f16
        1 | 6 => Some(4),     // f32, i32
        7 | 11 => Some(8),    // i64, f64
        _ => None,
    }
}

/// Values of a repeated field of fixed width, packed or not.
fn packed_len(field: &Field<'_>, width: usize) -> usize {
    match field.value {
        Value::Bytes(packed) => packed.bytes().len() / width,
        _ => 1,
    }
}

/// Checks a weight and returns its name.
fn check_tensor<'a>(tensor: Message<'a>, weights: &mut Weights) -> Result<&'a str, ModelError> {
    let mut name = "";
    let mut dims = Vec::new();
    let mut element_type = 0;
    let mut raw_bytes = None;
    let mut outside = false;
    let (mut floats, mut narrow, mut wide, mut doubles) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut fields = tensor;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => dims.extend(integers(&field)?),
            2 => element_type = field.integer()?,
            4 => floats += packed_len(&field, 4),
            5 => narrow += integers(&field)?.len(),
            7 => wide += integers(&field)?.len(),
            10 => doubles += packed_len(&field, 8),
            8 => name = field.message()?.text()?,
            9 => raw_bytes = Some(field.message()?.bytes().len()),
            13 => match (weights_beside(field.message()?)?, &mut *weights) {
                (_, Weights::Inside) => return Err(tensor.corrupt("weights outside the file")),
                (Some(file), Weights::Beside(names)) => {
                    names.insert(file);
                }
                (None, Weights::Beside(_)) => {}
            },
            14 if field.integer()? != 0 => {
                if matches!(weights, Weights::Inside) {
                    return Err(tensor.corrupt("weights outside the file"));
                }
                outside = true;
            }
            3 | 6 | 11 => return Err(tensor.corrupt("a weight of unsupported type")),
            _ => {}
        }
    }
    let width = element_bytes(element_type)
        .ok_or_else(|| tensor.corrupt("a weight of unsupported type"))?;
    if dims.len() > MAX_RANK {
        return Err(tensor.corrupt("a weight of too many dimensions"));
    }
    let elements = dims
        .iter()
        .try_fold(1_usize, |product, &dim| {
            usize::try_from(dim).ok()?.checked_mul(product)
        })
        .ok_or_else(|| tensor.corrupt("a weight of impossible shape"))?;
    let listed = match element_type {
        1 => floats,
        7 => wide,
        11 => doubles,
        _ => narrow,
    };
    // An engine reads the list of the type; what stands in another would be no value.
    if listed != floats + narrow + wide + doubles {
        return Err(tensor.corrupt("a weight whose values are not of its type"));
    }
    let stored = match raw_bytes {
        Some(bytes) if bytes % width == 0 => bytes / width,
        Some(_) => return Err(tensor.corrupt("a weight cut within a value")),
        None => listed,
    };
    if stored != if outside { 0 } else { elements } {
        return Err(tensor.corrupt("a weight whose values do not fill its shape"));
    }
    Ok(name)
}

/// The file that an entry about outside weights names, if it is the one that does.
fn weights_beside(entry_of: Message<'_>) -> Result<Option<String>, ModelError> {
    let (key, value) = entry(entry_of)?;
    Ok((key == "location").then(|| value.to_owned()))
}

fn port(value_info: Message<'_>) -> Result<Port, ModelError> {
    let mut port = Port {
        name: String::new(),
        element_type: 0,
        shape: Vec::new(),
    };
    let mut fields = value_info;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => field.message()?.text()?.clone_into(&mut port.name),
            2 => {
                let mut kind = field.message()?;
                while let Some(field) = kind.next()? {
                    match field.number {
                        1 => tensor_type(field.message()?, &mut port)?,
                        4 | 5 | 7 | 8 | 9 => {
                            return Err(value_info.corrupt("a value that is no tensor"));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

fn tensor_type(message: Message<'_>, port: &mut Port) -> Result<(), ModelError> {
    let mut fields = message;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => port.element_type = field.integer()?,
            2 => {
                let mut shape = field.message()?;
                while let Some(field) = shape.next()? {
                    if field.number == 1 {
                        port.shape.push(dimension(field.message()?)?);
                    }
                }
            }
            _ => {}
        }
    }
    if port.shape.len() > MAX_RANK {
        return Err(message.corrupt("a value of too many dimensions"));
    }
    Ok(())
}

fn dimension(message: Message<'_>) -> Result<Option<i64>, ModelError> {
    let mut fixed = None;
    let mut fields = message;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => fixed = Some(field.integer()?),
            2 | 3 => {
                field.message()?.text()?;
            }
            _ => {}
        }
    }
    Ok(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_a_foreign_file_is() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"PK\x03\x04....", "zip"),
            (b"RIFF\0\0\0\0WAVE", "wav"),
            (b"\x10\0\0\0\0\0\0\0{\"a\":1}", "safetensors"),
            (b"version https://git-lfs.github.com/spec/v1", "git-lfs"),
            (b"just some text", "no onnx header"),
        ];
        for (bytes, expected) in cases {
            let error = inspect(bytes).unwrap_err();
            assert_eq!(error.code(), "model_not_onnx");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn operators_are_sorted_and_unique() {
        assert!(OPERATORS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
