//! ONNX graphs made by tests.

#![allow(dead_code, reason = "not every test program uses every part")]

use std::cell::RefCell;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};
use vocalics_runtime::{
    Engine, ModelMetadata, Recognizer, RecognizerOptions, TestVector, attach_metadata,
};

pub(crate) const N_MELS: usize = 64;
pub(crate) const N_CLASSES: usize = 8;

/// Numbers between -1 and 1 that are the same in every run.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1)
    }

    pub(crate) fn next(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn take(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| scale * self.next()).collect()
    }
}

/// A graph under construction; every weight is random.
pub(crate) struct Graph {
    numbers: Numbers,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// Version of the operators.
    pub(crate) opset: i64,
}

/// Attributes as tests write them.
#[derive(Clone, Copy)]
pub(crate) enum Set<'a> {
    Int(&'a str, i64),
    Ints(&'a str, &'a [i64]),
    Text(&'a str, &'a str),
    Float(&'a str, f32),
}

impl Graph {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            numbers: Numbers::new(seed),
            nodes: Vec::new(),
            constants: Vec::new(),
            opset: 17,
        }
    }

    pub(crate) fn floats(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        self.tensor(floats(dims, &values))
    }

    /// A tensor under a name of its own.
    pub(crate) fn tensor(&mut self, tensor: TensorProto) -> String {
        let name = format!("c{}", self.constants.len());
        self.constants.push(TensorProto {
            name: Some(name.clone()),
            ..tensor
        });
        name
    }

    /// Numbers held by a node, not by the list of weights.
    pub(crate) fn constant(&mut self, dims: &[usize], values: &[f32]) -> String {
        let output = self.node("Constant", &[], &[]);
        if let Some(node) = self.nodes.last_mut() {
            node.attribute.push(AttributeProto {
                name: Some("value".into()),
                t: Some(floats(dims, values)),
                r#type: Some(AttributeType::TENSOR),
                ..AttributeProto::default()
            });
        }
        output
    }

    /// Random weights, scaled so that sums keep their size.
    pub(crate) fn weights(&mut self, dims: &[usize]) -> String {
        let fan_in: usize = dims.iter().skip(1).product::<usize>().max(1);
        let values = self
            .numbers
            .take(dims.iter().product(), (3.0 / fan_in as f32).sqrt());
        self.floats(dims, values)
    }

    pub(crate) fn integers(&mut self, values: &[i64]) -> String {
        self.tensor(TensorProto {
            dims: vec![values.len() as i64],
            data_type: Some(DataType::INT64),
            int64_data: values.to_vec(),
            ..TensorProto::default()
        })
    }

    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], set: &[Set<'_>]) -> String {
        let output = format!("v{}", self.nodes.len());
        self.node_to(operator, inputs, &[&output], set);
        output
    }

    pub(crate) fn node_to(
        &mut self,
        operator: &str,
        inputs: &[&str],
        outputs: &[&str],
        set: &[Set<'_>],
    ) {
        let attribute = set
            .iter()
            .map(|set| match *set {
                Set::Int(name, value) => AttributeProto {
                    name: Some(name.into()),
                    i: Some(value),
                    r#type: Some(AttributeType::INT),
                    ..AttributeProto::default()
                },
                Set::Ints(name, values) => AttributeProto {
                    name: Some(name.into()),
                    ints: values.to_vec(),
                    r#type: Some(AttributeType::INTS),
                    ..AttributeProto::default()
                },
                Set::Text(name, value) => AttributeProto {
                    name: Some(name.into()),
                    s: Some(value.as_bytes().to_vec().try_into().expect("text")),
                    r#type: Some(AttributeType::STRING),
                    ..AttributeProto::default()
                },
                Set::Float(name, value) => AttributeProto {
                    name: Some(name.into()),
                    f: Some(value),
                    r#type: Some(AttributeType::FLOAT),
                    ..AttributeProto::default()
                },
            })
            .collect();
        self.nodes.push(NodeProto {
            name: Some(format!("n{}", self.nodes.len())),
            op_type: Some(operator.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: outputs.iter().map(|&name| name.to_owned()).collect(),
            attribute,
            ..NodeProto::default()
        });
    }

    /// The features as `[batch, 1, n_mels, n_frames]`, scaled to about ±1.
    pub(crate) fn image(&mut self) -> String {
        let x = self.sequence();
        let axes = self.integers(&[1]);
        self.node("Unsqueeze", &[&x, &axes], &[])
    }

    /// The features as `[batch, n_mels, n_frames]`, scaled to about ±1.
    pub(crate) fn sequence(&mut self) -> String {
        let scale = self.floats(&[1, 1, N_MELS], vec![0.25; N_MELS]);
        let x = self.node("Mul", &["features", &scale], &[]);
        self.node("Transpose", &[&x], &[Set::Ints("perm", &[0, 2, 1])])
    }

    /// A convolution over one or two image axes, with bias.
    pub(crate) fn conv(&mut self, x: &str, dims: &[usize], set: &[Set<'_>]) -> String {
        let (weights, bias) = (self.weights(dims), self.weights(&[dims[0]]));
        let kernel: Vec<i64> = dims[2..].iter().map(|&dim| dim as i64).collect();
        let mut all = vec![Set::Ints("kernel_shape", &kernel)];
        all.extend_from_slice(set);
        self.node("Conv", &[x, &weights, &bias], &all)
    }

    /// Logits from `[batch, features]`.
    pub(crate) fn head(&mut self, x: &str, features: usize) {
        let (weights, bias) = (
            self.weights(&[N_CLASSES, features]),
            self.weights(&[N_CLASSES]),
        );
        self.node_to(
            "Gemm",
            &[x, &weights, &bias],
            &["logits"],
            &[Set::Int("transB", 1)],
        );
    }

    /// The file without metadata.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let features = ("features", &[None, None, Some(N_MELS as i64)][..]);
        self.bytes_between(&[features], &[("logits", &[None, Some(N_CLASSES as i64)])])
    }

    /// A file of single-precision inputs and outputs with these names and dimensions.
    pub(crate) fn bytes_between(
        self,
        inputs: &[(&str, &[Option<i64>])],
        outputs: &[(&str, &[Option<i64>])],
    ) -> Vec<u8> {
        let port = |name: &str, dims: &[Option<i64>]| ValueInfoProto {
            name: Some(name.to_owned()),
            r#type: Some(TypeProto {
                tensor_type: Some(TypeProtoTensor {
                    elem_type: Some(DataType::FLOAT),
                    shape: Some(TensorShapeProto {
                        dim: dims
                            .iter()
                            .enumerate()
                            .map(|(axis, dim)| Dimension {
                                dim_value: *dim,
                                dim_param: dim.is_none().then(|| format!("d{axis}")),
                            })
                            .collect(),
                    }),
                }),
                ..TypeProto::default()
            }),
        };
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                version: Some(self.opset),
                ..OperatorSetIdProto::default()
            }],
            graph: Some(GraphProto {
                node: self.nodes,
                initializer: self.constants,
                input: inputs.iter().map(|(name, dims)| port(name, dims)).collect(),
                output: outputs
                    .iter()
                    .map(|(name, dims)| port(name, dims))
                    .collect(),
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
        .write_buf()
        .expect("a graph is written")
    }
}

fn floats(dims: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: Some(DataType::FLOAT),
        raw_data: Some(RefCell::new(
            values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        )),
        ..TensorProto::default()
    }
}

/// The golden metadata with a test vector that fits the graph, computed by rten.
pub(crate) fn with_metadata(graph: &[u8]) -> Vec<u8> {
    let n_frames = 40;
    let mut numbers = Numbers::new(3);
    let metadata = ModelMetadata {
        test_vector: TestVector {
            features: numbers.take(n_frames * N_MELS, 4.0),
            n_frames,
            scores: vec![1.0 / N_CLASSES as f32; N_CLASSES],
        },
        ..crate::common::metadata()
    };
    let options = RecognizerOptions::default().with_engine(Engine::Rten);
    let metadata = Recognizer::rescored(graph, &metadata, &options).expect("rten runs the graph");
    attach_metadata(graph, &metadata).expect("metadata fits")
}
