//! Small encoders made by tests: files with their descriptions.

#![allow(dead_code, reason = "not every test program uses every part")]

use std::cell::RefCell;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor, ValueInfoProto,
};

/// Samples of a kernel, and between kernels.
pub(crate) const KERNEL: usize = 160;
pub(crate) const STRIDE: usize = 80;
/// Numbers of a frame.
pub(crate) const WIDTH: usize = 6;

/// The kernels' weights, `[WIDTH, KERNEL]`: tones of several pitches.
pub(crate) fn kernels() -> Vec<f32> {
    (0..WIDTH)
        .flat_map(|k| {
            (0..KERNEL).map(move |n| {
                let phase = (k + 1) as f32 * 0.015 * n as f32 * std::f32::consts::TAU;
                phase.cos() / KERNEL as f32
            })
        })
        .collect()
}

/// How a small encoder differs from [`Tiny::default`].
#[derive(Clone)]
pub(crate) struct Tiny {
    /// The operator behind the convolution.
    pub(crate) operator: &'static str,
    pub(crate) input: &'static str,
    pub(crate) output: &'static str,
    pub(crate) opset: i64,
    pub(crate) gain: f32,
    pub(crate) second_input: bool,
    /// All frames are one vector, longer for a longer clip.
    pub(crate) flat: bool,
    /// Weights lie in this file.
    pub(crate) beside: Option<&'static str>,
}

impl Default for Tiny {
    fn default() -> Self {
        Self {
            operator: "Abs",
            input: "audio",
            output: "frames",
            opset: 17,
            gain: 1.0,
            second_input: false,
            flat: false,
            beside: None,
        }
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

fn node(
    operator: &str,
    inputs: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: Some(format!("make {output}")),
        op_type: Some(operator.to_owned()),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

fn port(name: &str, dims: &[Option<i64>]) -> ValueInfoProto {
    let dim = dims.iter().enumerate().map(|(axis, dim)| Dimension {
        dim_value: *dim,
        dim_param: dim.is_none().then(|| format!("d{axis}")),
    });
    ValueInfoProto {
        name: Some(name.to_owned()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(DataType::FLOAT),
                shape: Some(TensorShapeProto { dim: dim.collect() }),
            }),
            ..TypeProto::default()
        }),
    }
}

impl Tiny {
    /// Bytes of the weights.
    pub(crate) fn weights(&self) -> Vec<u8> {
        let values = kernels().into_iter().map(|x| x * self.gain);
        values.flat_map(f32::to_le_bytes).collect()
    }

    /// The ONNX file: samples `[1, samples]`, a convolution, `operator`, to frames `[1, time, WIDTH]`.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut kernels = TensorProto {
            name: Some("kernels".into()),
            dims: vec![WIDTH as i64, 1, KERNEL as i64],
            data_type: Some(DataType::FLOAT),
            ..TensorProto::default()
        };
        match self.beside {
            None => kernels.raw_data = Some(RefCell::new(self.weights())),
            Some(file) => {
                kernels.data_location = Some(rten_onnx::onnx::DataLocation::EXTERNAL);
                let length = self.weights().len().to_string();
                for (key, value) in [("location", file), ("offset", "0"), ("length", &length)] {
                    kernels
                        .external_data
                        .push(rten_onnx::onnx::StringStringEntryProto {
                            key: Some(key.into()),
                            value: Some(value.into()),
                        });
                }
            }
        }
        let axis = TensorProto {
            name: Some("axis".into()),
            dims: vec![1],
            data_type: Some(DataType::INT64),
            int64_data: vec![1],
            ..TensorProto::default()
        };
        let conv = vec![
            ints("kernel_shape", &[KERNEL as i64]),
            ints("strides", &[STRIDE as i64]),
        ];
        let mut input = vec![port(self.input, &[Some(1), None])];
        if self.second_input {
            input.push(port("attention_mask", &[Some(1), None]));
        }
        ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                version: Some(self.opset),
                ..OperatorSetIdProto::default()
            }],
            graph: Some(GraphProto {
                node: vec![
                    node("Unsqueeze", &[self.input, "axis"], "channel", Vec::new()),
                    node("Conv", &["channel", "kernels"], "tones", conv),
                    node(self.operator, &["tones"], "levels", Vec::new()),
                    if self.flat {
                        node("Flatten", &["levels"], self.output, Vec::new())
                    } else {
                        let perm = vec![ints("perm", &[0, 2, 1])];
                        node("Transpose", &["levels"], self.output, perm)
                    },
                ],
                initializer: vec![kernels, axis],
                input,
                output: vec![if self.flat {
                    port(self.output, &[Some(1), None])
                } else {
                    port(self.output, &[Some(1), None, Some(WIDTH as i64)])
                }],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
        .write_buf()
        .expect("a graph is written")
    }
}

/// The description of [`Tiny::default`].
pub(crate) const DESCRIPTION: &str = r#"
name = "tiny"
version = "1"
source = "made by a test"
licence = "MIT"
redistributable = true

[input]
kind = "waveform"
name = "audio"
sample_rate = 16000
normalisation = "zero-mean-unit-variance"
min_samples = 400

[output]
kind = "frames"
name = "frames"
pooling = "mean+std"
"#;
