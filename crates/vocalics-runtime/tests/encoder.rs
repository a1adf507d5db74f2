//! Encoders from elsewhere: what they give, the models over what they give, and why either is refused.

mod common;
#[path = "common/encoder.rs"]
mod tiny;

use std::path::Path;

use common::{LABELS, metadata, voiced};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;
use tiny::{KERNEL, STRIDE, Tiny, WIDTH, kernels};
use vocalics_runtime::{
    ENCODER_FORMAT_VERSION, Encoder, EncoderDescription, EncoderInput, EncoderOutput, Engine,
    FramePooling, HEARD_NAME, ModelError, ModelMetadata, Normalisation, Recognizer, TestVector,
    WaveformInput, attach_metadata, merge_encoder, read_metadata, softmax_with_temperature,
};

const RATE: u32 = 16_000;

fn waveform() -> WaveformInput {
    WaveformInput {
        name: "audio".into(),
        sample_rate: RATE,
        normalisation: Normalisation::None,
        samples: None,
        min_samples: 400,
        trim_db: None,
    }
}

fn described(input: WaveformInput, pooling: FramePooling) -> EncoderDescription {
    EncoderDescription {
        name: "tiny".into(),
        version: "1".into(),
        source: "made by a test".into(),
        licence: "MIT".into(),
        redistributable: true,
        input: EncoderInput::Waveform(input),
        output: EncoderOutput::Frames {
            name: "frames".into(),
            pooling,
        },
    }
}

fn load(tiny: &Tiny, description: EncoderDescription) -> Result<Encoder, ModelError> {
    Encoder::from_bytes(tiny.bytes(), description, 1)
}

fn encoder(pooling: FramePooling) -> Encoder {
    load(&Tiny::default(), described(waveform(), pooling)).expect("an encoder")
}

/// Frames of the encoder, one by one.
fn naive(samples: &[f32]) -> Vec<Vec<f32>> {
    let kernels = kernels();
    let last = samples.len() - KERNEL;
    (0..=last / STRIDE)
        .map(|t| {
            (0..WIDTH)
                .map(|k| {
                    let window = &samples[t * STRIDE..t * STRIDE + KERNEL];
                    let tone: f32 = window
                        .iter()
                        .zip(&kernels[k * KERNEL..])
                        .map(|(x, w)| x * w)
                        .sum();
                    tone.abs()
                })
                .collect()
        })
        .collect()
}

#[track_caller]
fn close(a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= tolerance, "{a} {b}");
    }
}

#[test]
fn an_embedding_is_the_pooled_frames() {
    let samples = voiced(20_000);
    let frames = naive(&samples);
    let n = frames.len() as f32;
    let mean: Vec<f32> = (0..WIDTH)
        .map(|k| frames.iter().map(|f| f[k]).sum::<f32>() / n)
        .collect();
    let embedding = encoder(FramePooling::Mean).embed(&samples, RATE).unwrap();
    close(&embedding.values, &mean, 1e-6);
    assert!((embedding.seconds - 1.25).abs() < 1e-9);
    let largest = |k: usize| frames.iter().map(|f| f[k]).fold(0.0, f32::max);
    let expected: Vec<f32> = (0..WIDTH).map(|k| largest(k) + mean[k]).collect();
    let embedding = encoder(FramePooling::MaxMean)
        .embed(&samples, RATE)
        .unwrap();
    close(&embedding.values, &expected, 1e-6);
    assert_eq!(encoder(FramePooling::MeanStd).dim(), 2 * WIDTH);
}

#[test]
fn zeros_behind_a_short_clip_are_not_pooled() {
    let fixed = WaveformInput {
        samples: Some(40_000),
        ..waveform()
    };
    let encoder = load(&Tiny::default(), described(fixed, FramePooling::Mean)).unwrap();
    let samples = voiced(10_000);
    let mut padded = samples.clone();
    padded.resize(40_000, 0.0);
    let frames = naive(&padded);
    let heard = frames.len().div_ceil(4);
    let mean: Vec<f32> = (0..WIDTH)
        .map(|k| frames[..heard].iter().map(|f| f[k]).sum::<f32>() / heard as f32)
        .collect();
    close(&encoder.embed(&samples, RATE).unwrap().values, &mean, 1e-6);
    // Two windows of a clip that is too long, each with its own share.
    let long = voiced(50_000);
    let halves = [&long[..25_000], &long[25_000..]].map(|half| encoder.embed(half, RATE).unwrap());
    let mean: Vec<f32> = (0..WIDTH)
        .map(|k| f32::midpoint(halves[0].values[k], halves[1].values[k]))
        .collect();
    close(&encoder.embed(&long, RATE).unwrap().values, &mean, 1e-6);
}

#[test]
fn an_embedding_whose_length_follows_the_clip_is_refused() {
    let tiny = Tiny {
        flat: true,
        ..Tiny::default()
    };
    let mut description = described(waveform(), FramePooling::Mean);
    description.output = EncoderOutput::Vector {
        name: "frames".into(),
    };
    let encoder = load(&tiny, description).expect("one length is as good as another");
    let error = encoder.embed(&voiced(20_000), RATE).unwrap_err();
    assert_eq!(error.code(), "encoder_output");
    assert!(
        error.to_string().contains("as many numbers for every clip"),
        "{error}"
    );
}

#[test]
fn embeddings_made_side_by_side_are_those_made_alone() {
    use rayon::prelude::*;
    let encoder = encoder(FramePooling::MeanStd);
    let clips: Vec<Vec<f32>> = (0..300).map(|i| voiced(4_000 + 10 * i)).collect();
    // On the workers of a pool, of which each waits for the engine's.
    let together: Vec<Vec<f32>> = clips
        .par_iter()
        .map(|clip| encoder.embed(clip, RATE).unwrap().values)
        .collect();
    for (clip, values) in clips.iter().zip(&together).step_by(37) {
        assert_eq!(encoder.embed(clip, RATE).unwrap().values, *values);
    }
}

#[track_caller]
fn refusal(tiny: &Tiny, description: EncoderDescription, code: &str, said: &str) {
    let error = load(tiny, description).expect_err("must be refused");
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    assert!(text.contains(said), "{text}");
    assert_eq!(error.code(), code, "{text}");
    assert!(!error.hint().is_empty());
}

#[test]
fn an_encoder_that_is_not_as_described_is_refused() {
    let said = || described(waveform(), FramePooling::Mean);
    let tiny = Tiny::default();
    let other = |input| Tiny {
        input,
        ..Tiny::default()
    };
    let reason = "its input is samples, the description says audio";
    refusal(&other("samples"), said(), "encoder_graph", reason);
    let masked = Tiny {
        second_input: true,
        ..Tiny::default()
    };
    refusal(
        &masked,
        said(),
        "encoder_graph",
        "[audio, attention_mask], expected audio alone",
    );
    let mut vector = said();
    vector.output = EncoderOutput::Vector {
        name: "frames".into(),
    };
    refusal(
        &tiny,
        vector,
        "encoder_graph",
        "output has shape [1, 199, 6], expected [1, dim]",
    );
    let mut missing = said();
    missing.output = EncoderOutput::Vector {
        name: "pooled".into(),
    };
    refusal(
        &tiny,
        missing,
        "encoder_graph",
        "the description says pooled",
    );
    let sorting = Tiny {
        operator: "Unique",
        ..Tiny::default()
    };
    refusal(&sorting, said(), "model_operator", "operator Unique");
    let mut short = said();
    short.input = EncoderInput::Waveform(WaveformInput {
        samples: Some(KERNEL - 1),
        ..waveform()
    });
    refusal(&tiny, short, "encoder_graph", "fails on a second of sound");
}

#[test]
fn the_operator_that_is_missing_is_named_with_the_file_and_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sorting.onnx");
    let sorting = Tiny {
        operator: "Unique",
        ..Tiny::default()
    };
    std::fs::write(&path, sorting.bytes()).unwrap();
    let error = Encoder::from_file(&path, described(waveform(), FramePooling::Mean), 1)
        .expect_err("must be refused");
    assert!(error.to_string().contains("sorting.onnx"), "{error}");
    assert!(error.to_string().contains("Unique"), "{error}");
    assert!(error.hint().contains("without that operator"));
}

#[test]
fn weights_beside_the_file_are_taken_and_hashed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.onnx");
    let tiny = Tiny {
        beside: Some("e.onnx.data"),
        ..Tiny::default()
    };
    std::fs::write(&path, tiny.bytes()).unwrap();
    let said = described(waveform(), FramePooling::Mean);
    let open = || Encoder::from_file(&path, said.clone(), 1);
    assert_eq!(open().unwrap_err().code(), "model_unreadable");
    std::fs::write(folder.path().join("e.onnx.data"), tiny.weights()).unwrap();
    let beside = open().unwrap();
    assert_eq!(
        beside.note(false).probe,
        encoder(FramePooling::Mean).note(false).probe
    );
    let louder = Tiny { gain: 2.0, ..tiny };
    std::fs::write(folder.path().join("e.onnx.data"), louder.weights()).unwrap();
    assert_ne!(open().unwrap().hash(), beside.hash());
    refusal(&louder, said, "encoder_weights", "e.onnx.data");
}

/// A head on embeddings, `[batch, n_frames, dim]` to logits, as bytes without metadata; dim to 8 classes.
fn head_graph(dim: usize) -> Vec<u8> {
    use rten_onnx::onnx::{
        AttributeProto, AttributeType, DataType, Dimension, GraphProto, ModelProto, NodeProto,
        OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, TypeProtoTensor,
        ValueInfoProto,
    };
    let port = |name: &str, dims: &[Option<usize>]| ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TypeProtoTensor {
                elem_type: Some(DataType::FLOAT),
                shape: Some(TensorShapeProto {
                    dim: dims
                        .iter()
                        .map(|dim| Dimension {
                            dim_value: dim.map(|dim| dim as i64),
                            dim_param: dim.is_none().then(|| "any".into()),
                        })
                        .collect(),
                }),
            }),
            ..TypeProto::default()
        }),
    };
    let node =
        |operator: &str, inputs: &[&str], output: &str, set: Vec<AttributeProto>| NodeProto {
            op_type: Some(operator.into()),
            input: inputs.iter().map(|&name| name.into()).collect(),
            output: vec![output.into()],
            attribute: set,
            ..NodeProto::default()
        };
    let perm = AttributeProto {
        name: Some("perm".into()),
        ints: vec![0, 2, 1],
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    };
    ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(13),
            ..OperatorSetIdProto::default()
        }],
        graph: Some(GraphProto {
            node: vec![
                node("Transpose", &["features"], "columns", vec![perm]),
                node("GlobalAveragePool", &["columns"], "mean", Vec::new()),
                node("Flatten", &["mean"], "vector", Vec::new()),
                node("MatMul", &["vector", "weights"], "logits", Vec::new()),
            ],
            // The encoder of the tests has a value of this name too.
            initializer: vec![TensorProto {
                name: Some("weights".into()),
                dims: vec![dim as i64, 8],
                data_type: Some(DataType::FLOAT),
                float_data: head_weights(dim),
                ..TensorProto::default()
            }],
            input: vec![port("features", &[None, None, Some(dim)])],
            output: vec![port("logits", &[None, Some(8)])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
    .write_buf()
    .expect("a graph is written")
}

fn head_weights(dim: usize) -> Vec<f32> {
    (0..dim * 8).map(|i| (i as f32 * 0.7).sin()).collect()
}

fn head_logits(embedding: &[f32]) -> Vec<f32> {
    let weights = head_weights(embedding.len());
    (0..8)
        .map(|class| {
            let products = embedding.iter().zip(weights.chunks(8));
            products.map(|(x, row)| x * row[class]).sum()
        })
        .collect()
}

fn head_metadata(encoder: &Encoder) -> ModelMetadata {
    let features: Vec<f32> = (0..encoder.dim()).map(|i| (i as f32).cos()).collect();
    ModelMetadata {
        format_version: ENCODER_FORMAT_VERSION,
        front_end_fingerprint: encoder.fingerprint(),
        encoder: Some(encoder.note(false)),
        test_vector: TestVector {
            scores: softmax_with_temperature(&head_logits(&features), 1.5),
            features,
            n_frames: 1,
        },
        ..metadata()
    }
}

fn head(encoder: &Encoder) -> Vec<u8> {
    attach_metadata(&head_graph(encoder.dim()), &head_metadata(encoder)).expect("metadata fits")
}

#[test]
fn a_head_needs_its_encoder_and_takes_no_other() {
    let encoder = encoder(FramePooling::MeanStd);
    let file = head(&encoder);
    assert_eq!(read_metadata(&file).unwrap(), head_metadata(&encoder));
    let open = || Recognizer::from_bytes(file.clone()).expect("a head");
    let (alone, samples) = (open(), voiced(16_000));
    assert_eq!(alone.missing_encoder(), Some(&encoder.note(false)));
    assert_eq!(alone.sample_rate(), RATE);
    let error = alone.recognize(&samples, RATE).unwrap_err();
    assert_eq!(error.code(), "encoder_missing");

    let expected = encoder.embed(&samples, RATE).unwrap();
    let louder = Tiny {
        gain: 2.0,
        ..Tiny::default()
    };
    let other = load(&louder, encoder.description().clone()).unwrap();
    assert_eq!(
        open().with_encoder(other).unwrap_err().code(),
        "encoder_hash"
    );
    let pooled = load(&Tiny::default(), described(waveform(), FramePooling::Mean)).unwrap();
    assert_eq!(
        open().with_encoder(pooled).unwrap_err().code(),
        "encoder_hash"
    );

    let whole = open().with_encoder(encoder).unwrap();
    assert!(whole.missing_encoder().is_none());
    let heard = whole.recognize(&samples, RATE).unwrap();
    close(&heard.logits, &head_logits(&expected.values), 1e-5);
    assert!((heard.analysed_secs - 1.0).abs() < 1e-9);
    assert!(heard.domain_distance.is_none());
    let together = whole.recognize_batch(&[
        vocalics_runtime::Clip::new(&samples, RATE),
        vocalics_runtime::Clip::new(&samples[..9_000], RATE),
    ]);
    close(&together[0].as_ref().unwrap().logits, &heard.logits, 1e-6);
    let again = Encoder::from_bytes(
        Tiny::default().bytes(),
        read_metadata(&file).unwrap().encoder.unwrap().description,
        1,
    );
    assert_eq!(
        whole.with_encoder(again.unwrap()).unwrap_err().code(),
        "encoder_unused"
    );
}

#[test]
fn an_encoder_that_computes_something_else_here_is_noticed() {
    let encoder = encoder(FramePooling::Mean);
    let mut metadata = head_metadata(&encoder);
    if let Some(note) = &mut metadata.encoder {
        note.probe[3] += 0.01;
    }
    let file = attach_metadata(&head_graph(encoder.dim()), &metadata).unwrap();
    let error = Recognizer::from_bytes(file).unwrap().with_encoder(encoder);
    assert_eq!(error.unwrap_err().code(), "encoder_probe");
}

#[test]
fn metadata_that_contradicts_itself_is_not_written() {
    let encoder = encoder(FramePooling::Mean);
    let graph = head_graph(encoder.dim());
    let refused = |edit: fn(&mut ModelMetadata)| {
        let mut metadata = head_metadata(&encoder);
        edit(&mut metadata);
        attach_metadata(&graph, &metadata).unwrap_err().code()
    };
    assert_eq!(refused(|m| m.format_version = 1), "model_invalid_metadata");
    assert_eq!(refused(|m| m.encoder = None), "model_invalid_metadata");
    assert_eq!(
        refused(|m| m.front_end_fingerprint = "encoder-v1-0".into()),
        "model_fingerprint"
    );
    let probe = |m: &mut ModelMetadata| m.encoder.as_mut().unwrap().probe.truncate(1);
    assert_eq!(refused(probe), "model_invalid_metadata");
}

/// The whole graph of a file on rten.
fn run_whole(file: &[u8], samples: &[f32], heard: Option<i32>) -> Vec<f32> {
    let model = rten::Model::load(file.to_vec()).expect("rten loads the file");
    let input = NdTensor::from_data([1, samples.len()], samples.to_vec());
    let mut inputs = vec![(model.node_id("audio").expect("an input"), input.into())];
    if let Some(heard) = heard {
        let heard = NdTensor::from_data([1], vec![heard]);
        inputs.push((
            model.node_id(HEARD_NAME).expect("a second input"),
            heard.into(),
        ));
    }
    let logits = model.node_id("logits").expect("an output");
    let mut outputs = model.run(inputs, &[logits], None).expect("it runs");
    let logits: NdTensor<f32, 2> = outputs.remove(0).try_into().expect("logits");
    logits.to_vec()
}

#[test]
fn one_file_of_both_answers_as_two() {
    let samples = voiced(12_345);
    for opset in [13, 17, 18, 21] {
        for pooling in [
            FramePooling::Mean,
            FramePooling::MeanStd,
            FramePooling::MaxMean,
        ] {
            for fixed in [None, Some(20_000)] {
                let tiny = Tiny {
                    opset,
                    ..Tiny::default()
                };
                let input = WaveformInput {
                    samples: fixed,
                    ..waveform()
                };
                let encoder = load(&tiny, described(input, pooling)).unwrap();
                let head = head(&encoder);
                let merged = merge_encoder(&tiny.bytes(), &head).expect("they merge");
                let one = Recognizer::from_bytes(merged.clone()).expect("it loads");
                assert_eq!(one.engine(), Engine::Rten);
                let two = Recognizer::from_bytes(head).unwrap();
                let two = two.with_encoder(encoder).unwrap();
                let expected = two.recognize(&samples, RATE).unwrap();
                let actual = one.recognize(&samples, RATE).unwrap();
                close(&actual.logits, &expected.logits, 1e-6);
                assert_eq!(actual.label, expected.label);
                // As another engine runs it, pool and all.
                let mut padded = samples.clone();
                padded.resize(fixed.unwrap_or(samples.len()), 0.0);
                let n_frames = (padded.len() - KERNEL) / STRIDE + 1;
                let heard = fixed.map(|length| {
                    let heard = (n_frames * samples.len()).div_ceil(length);
                    i32::try_from(heard).expect("few frames")
                });
                close(&run_whole(&merged, &padded, heard), &expected.logits, 1e-5);
            }
        }
    }
    let labels = LABELS.map(str::to_owned);
    assert_eq!(metadata().labels, labels);
}

#[test]
fn what_must_or_can_not_be_one_file_stays_two() {
    let code = |tiny: &Tiny, edit: fn(&mut EncoderDescription)| {
        let mut said = described(waveform(), FramePooling::Mean);
        if let EncoderInput::Waveform(input) = &mut said.input {
            input.name = tiny.input.into();
        }
        said.output = EncoderOutput::Frames {
            name: tiny.output.into(),
            pooling: FramePooling::Mean,
        };
        edit(&mut said);
        let head = head(&load(tiny, said).unwrap());
        let error = merge_encoder(&tiny.bytes(), &head).unwrap_err();
        (error.code(), error.to_string())
    };
    let tiny = Tiny::default();
    let (_, text) = code(&tiny, |said| said.redistributable = false);
    assert!(text.contains("licence (MIT)"), "{text}");
    let named = Tiny {
        output: "logits",
        ..Tiny::default()
    };
    let (kind, text) = code(&named, |_| {});
    assert!(text.contains("a value called logits"), "{text}");
    assert_eq!(kind, "encoder_merge");
    let louder = Tiny {
        gain: 2.0,
        ..Tiny::default()
    };
    let file = head(&encoder(FramePooling::Mean));
    let error = merge_encoder(&louder.bytes(), &file).unwrap_err();
    assert_eq!(error.code(), "encoder_hash");
    let error = merge_encoder(&tiny.bytes(), &common::model()).unwrap_err();
    assert_eq!(error.code(), "encoder_unused");
}

#[test]
fn a_file_of_both_that_was_damaged_is_refused() {
    let encoder = encoder(FramePooling::Mean);
    let merged = merge_encoder(&Tiny::default().bytes(), &head(&encoder)).unwrap();
    let place = merged.len() / 3;
    let mut damaged = merged;
    damaged[place] ^= 1;
    assert!(Recognizer::from_bytes(damaged).is_err());
    assert!(Encoder::noted(Path::new("nowhere.onnx"), &encoder.note(false), 1).is_err());
}
