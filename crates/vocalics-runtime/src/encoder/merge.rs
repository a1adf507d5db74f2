//! One file of an encoder and the head on its embeddings.
//!
//! ```text
//! input ──▶ the encoder's own graph ──▶ frames ──▶ pool ──▶ features, [batch, 1, dim] ──▶ head ──▶ logits
//! ```
//!
//! The encoder's nodes and weights stay byte for byte; what follows is appended to them, which protocol buffers allow, and outputs that
//! are not described go. `frames` and
//! `features` stay outputs beside `logits`, so that an engine can stop and start there: the runtime pools in its own
//! code, as it does with an encoder in a file of its own. For other engines the pool is in the graph as well; where
//! the input has a fixed length they say with a second input, [`HEARD_NAME`], how many of the frames see the clip.

use std::collections::BTreeSet;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

use super::description::{EncoderInput, EncoderOutput, FramePooling};
use super::file::check_ports;
use super::note::EncoderNote;
use crate::ModelError;
use crate::metadata::{attach_metadata, read_metadata};
use crate::onnx::{
    self, INPUT_NAME, MAX_MODEL_BYTES, OUTPUT_NAME, inspect_with_files_beside, port, prefix_names,
};
use crate::wire::{Message, write_bytes};

/// Name of a second input, i64 `[1]`, of files whose encoder takes clips of a fixed length: the frames of the encoder that
/// see the clip and not only the zeros behind it.
pub const HEARD_NAME: &str = "heard_frames";

/// Begins the names of what is appended.
const PREFIX: &str = "vocalics.";

/// From this version of the standard operators on, axes of reductions are an input.
const AXES_AS_INPUT: i64 = 18;

/// Puts an encoder and a model over its embeddings into one model file.
///
/// `encoder` is the content of the encoder's file, `head` that of the model file.
///
/// # Errors
/// [`ModelError::EncoderMerge`] when the licence forbids it, the weights lie outside the file, the operators are older
/// than version 13 or a name is taken; [`ModelError::EncoderUnused`] when the model has no encoder outside,
/// [`ModelError::EncoderHash`] when it has another one; any [`ModelError`] about either file.
pub fn merge_encoder(encoder: &[u8], head: &[u8]) -> Result<Vec<u8>, ModelError> {
    let mut metadata = read_metadata(head)?;
    let note = metadata.encoder.as_mut().filter(|note| !note.within);
    let note = note.ok_or(ModelError::EncoderUnused)?;
    let impossible = |reason: String| Err(ModelError::EncoderMerge { reason });
    let said = &note.description;
    if !said.redistributable {
        return impossible(format!(
            "its description says that the licence ({}) does not let it be passed on",
            said.licence
        ));
    }
    let (structure, beside) = inspect_with_files_beside(encoder)?;
    if let Some(name) = beside.first() {
        return impossible(format!("its weights lie in {name}"));
    }
    check_ports(&structure, said)?;
    let hash = blake3::hash(encoder).to_hex().to_string();
    if hash != note.hash {
        return Err(ModelError::EncoderHash {
            name: said.name.clone(),
            expected: note.fingerprint(),
            actual: said.fingerprint(&hash),
        });
    }
    if (encoder.len() + head.len()) as u64 > MAX_MODEL_BYTES {
        return impossible("both together are larger than an ONNX file may be".to_owned());
    }
    let (opset, graph) = onnx::graph(encoder)?;
    if opset < 13 {
        return impossible(format!(
            "its operators are of version {opset}, from 13 on it can"
        ));
    }
    let taken = names(graph)?;
    for name in [INPUT_NAME, OUTPUT_NAME, HEARD_NAME] {
        if taken.contains(name) {
            return impossible(format!(
                "it has a value called {name}; give that another name when it is exported"
            ));
        }
    }
    let mut tail = Tail::new(opset);
    tail.embedding(note);
    tail.head(head, note.dim, metadata.labels.len())?;
    note.within = true;
    let merged = append(encoder, graph, said.output.name(), tail.graph)?;
    attach_metadata(&merged, &metadata)
}

/// Names of all values in a graph.
fn names(graph: Message<'_>) -> Result<BTreeSet<&str>, ModelError> {
    let mut names = BTreeSet::new();
    let mut fields = graph;
    while let Some(field) = fields.next()? {
        // Outputs of nodes, names of weights, inputs.
        let number = match field.number {
            1 => 2,
            5 => 8,
            11 => 1,
            _ => continue,
        };
        let mut inner = field.message()?;
        while let Some(field) = inner.next()? {
            if field.number == number {
                names.insert(field.message()?.text()?);
            }
        }
    }
    Ok(names)
}

/// What is appended to the encoder's graph.
struct Tail {
    graph: GraphProto,
    opset: i64,
}

fn tensor_type(kind: DataType, dims: &[Option<usize>]) -> TypeProto {
    let dim = dims.iter().map(|dim| Dimension {
        dim_value: dim.and_then(|dim| i64::try_from(dim).ok()),
        dim_param: dim.is_none().then(|| "batch".to_owned()),
    });
    TypeProto {
        tensor_type: Some(TypeProtoTensor {
            elem_type: Some(kind),
            shape: Some(TensorShapeProto { dim: dim.collect() }),
        }),
        ..TypeProto::default()
    }
}

impl Tail {
    fn new(opset: i64) -> Self {
        Self {
            graph: GraphProto::default(),
            opset,
        }
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let name = format!("{PREFIX}{name}");
        self.graph.initializer.push(TensorProto {
            name: Some(name.clone()),
            dims: vec![i64::try_from(values.len()).unwrap_or(i64::MAX)],
            data_type: Some(DataType::INT64),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        name
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: &str) -> String {
        self.node_with(operator, inputs, output, Vec::new())
    }

    fn node_with(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attribute: Vec<AttributeProto>,
    ) -> String {
        self.graph.node.push(NodeProto {
            name: Some(format!("{PREFIX}{operator}_{}", self.graph.node.len())),
            op_type: Some(operator.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute,
            ..NodeProto::default()
        });
        output.to_owned()
    }

    /// A reduction over time, `[batch, time, dim]` to `[batch, dim]`, or with `keep` to `[batch, 1, dim]`.
    fn over_time(&mut self, operator: &str, x: &str, output: &str, keep: bool) -> String {
        let mut attributes = vec![AttributeProto {
            name: Some("keepdims".into()),
            i: Some(i64::from(keep)),
            r#type: Some(AttributeType::INT),
            ..AttributeProto::default()
        }];
        let axes;
        let mut inputs = vec![x];
        if self.opset >= AXES_AS_INPUT {
            axes = self.integers(&format!("axes_{}", self.graph.initializer.len()), &[1]);
            inputs.push(&axes);
        } else {
            attributes.push(AttributeProto {
                name: Some("axes".into()),
                ints: vec![1],
                r#type: Some(AttributeType::INTS),
                ..AttributeProto::default()
            });
        }
        self.node_with(operator, &inputs, output, attributes)
    }

    /// The encoder's output to `features`, `[batch, 1, dim]`.
    fn embedding(&mut self, note: &EncoderNote) {
        let name = |part: &str| format!("{PREFIX}{part}");
        let vector = match &note.description.output {
            EncoderOutput::Vector { name } => name.clone(),
            EncoderOutput::Frames {
                name: output,
                pooling,
            } => {
                let frames = self.heard(&note.description.input, output);
                let mean = self.over_time("ReduceMean", &frames, &name("mean"), false);
                match pooling {
                    FramePooling::Mean => mean,
                    FramePooling::MaxMean => {
                        let most = self.over_time("ReduceMax", &frames, &name("max"), false);
                        self.node("Add", &[&most, &mean], &name("embedding"))
                    }
                    FramePooling::MeanStd => {
                        let kept = self.over_time("ReduceMean", &frames, &name("mean_kept"), true);
                        let centred = self.node("Sub", &[&frames, &kept], &name("centred"));
                        let square = self.node("Mul", &[&centred, &centred], &name("square"));
                        let variance =
                            self.over_time("ReduceMean", &square, &name("variance"), false);
                        let deviation = self.node("Sqrt", &[&variance], &name("deviation"));
                        let axis = AttributeProto {
                            name: Some("axis".into()),
                            i: Some(1),
                            r#type: Some(AttributeType::INT),
                            ..AttributeProto::default()
                        };
                        let both = [mean.as_str(), deviation.as_str()];
                        self.node_with("Concat", &both, &name("embedding"), vec![axis])
                    }
                }
            }
        };
        let axis = self.integers("frame_axis", &[1]);
        self.node("Unsqueeze", &[&vector, &axis], INPUT_NAME);
    }

    /// The frames that see the clip, where there may be others.
    fn heard(&mut self, input: &EncoderInput, frames: &str) -> String {
        let fixed = match input {
            EncoderInput::Waveform(input) => input.samples.is_some(),
            EncoderInput::LogMel(input) => input.frames.is_some(),
        };
        if !fixed {
            return frames.to_owned();
        }
        self.graph.input.push(ValueInfoProto {
            name: Some(HEARD_NAME.to_owned()),
            r#type: Some(tensor_type(DataType::INT64, &[Some(1)])),
        });
        let start = self.integers("start", &[0]);
        let axis = self.integers("time_axis", &[1]);
        let inputs = [frames, &start, HEARD_NAME, &axis];
        self.node("Slice", &inputs, &format!("{PREFIX}heard"))
    }

    /// The head's graph, `features` to `logits`, under names of its own.
    fn head(&mut self, head: &[u8], dim: usize, n_classes: usize) -> Result<(), ModelError> {
        let model = ModelProto::parse_buf(head).map_err(|error| ModelError::EncoderMerge {
            reason: format!("the model cannot be read: {error}"),
        })?;
        let kept = [(INPUT_NAME, INPUT_NAME), (OUTPUT_NAME, OUTPUT_NAME)];
        let prefix = format!("{PREFIX}head.");
        let graph = prefix_names(model.graph.unwrap_or_default(), &prefix, &kept);
        self.graph.initializer.extend(graph.initializer);
        self.graph.node.extend(graph.node);
        for (name, dims) in [
            (OUTPUT_NAME, &[None, Some(n_classes)][..]),
            (INPUT_NAME, &[None, Some(1), Some(dim)]),
        ] {
            self.graph.output.push(ValueInfoProto {
                name: Some(name.to_owned()),
                r#type: Some(tensor_type(DataType::FLOAT, dims)),
            });
        }
        Ok(())
    }
}

/// The encoder's file with more at the end of its graph, whose outputs are now the tail's and `kept` alone.
fn append(
    encoder: &[u8],
    graph: Message<'_>,
    kept: &str,
    tail: GraphProto,
) -> Result<Vec<u8>, ModelError> {
    let tail = ModelProto {
        ir_version: Some(8),
        graph: Some(tail),
        ..ModelProto::default()
    };
    let tail = tail.write_buf().map_err(|error| ModelError::EncoderMerge {
        reason: format!("the head cannot be written: {error}"),
    })?;
    let (_, tail) = onnx::graph(&tail)?;
    let mut outputs = Vec::new();
    let mut whole = Vec::with_capacity(graph.bytes().len() + tail.bytes().len());
    let mut fields = graph;
    while let Some(field) = fields.next()? {
        if field.number != 12 {
            whole.extend_from_slice(field.raw);
        } else if port(field.message()?)?.name == kept {
            outputs.extend_from_slice(field.raw);
        }
    }
    // The tail's outputs first: engines that take the first take the logits.
    whole.extend_from_slice(tail.bytes());
    whole.extend_from_slice(&outputs);
    let mut file = Vec::with_capacity(encoder.len() + tail.bytes().len());
    let mut fields = Message::new(encoder);
    while let Some(field) = fields.next()? {
        if field.number == 7 {
            write_bytes(&mut file, 7, &whole);
        } else {
            file.extend_from_slice(field.raw);
        }
    }
    Ok(file)
}
