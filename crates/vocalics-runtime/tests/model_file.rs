//! Model files: written, read back, and refused for every reason there is.

mod common;
#[path = "common/graph.rs"]
mod graph;

use std::error::Error;

use common::{LABELS, golden, graph_bytes, metadata, model};
use graph::{Graph, Set};
use proptest::prelude::*;
use rten_onnx::onnx::{DataType, TensorProto};
use vocalics_features::FeatureMatrix;
use vocalics_runtime::{
    BODY_FORMAT_VERSION, ModelError, ModelMetadata, Recognizer, attach_metadata, read_metadata,
    to_props,
};

/// Loads and returns the error's code.
fn refusal(bytes: Vec<u8>) -> &'static str {
    let error = Recognizer::from_bytes(bytes).expect_err("must be refused");
    assert!(!error.hint().is_empty());
    let text = error.to_string();
    assert!(!text.ends_with('.') && !text.is_empty(), "{text}");
    error.code()
}

/// Appends one `metadata_props` entry by hand.
fn with_entry(mut bytes: Vec<u8>, key: &str, value: &str) -> Vec<u8> {
    fn varint(mut value: usize) -> Vec<u8> {
        let mut out = Vec::new();
        loop {
            let low = u8::try_from(value & 0x7f).expect("seven bits");
            value >>= 7;
            if value == 0 {
                out.push(low);
                return out;
            }
            out.push(low | 0x80);
        }
    }
    let mut entry = vec![0x0a];
    entry.extend(varint(key.len()));
    entry.extend_from_slice(key.as_bytes());
    entry.push(0x12);
    entry.extend(varint(value.len()));
    entry.extend_from_slice(value.as_bytes());
    bytes.push(0x72);
    bytes.extend(varint(entry.len()));
    bytes.extend(entry);
    bytes
}

/// The graph with all entries of `to_props`, as changed by `edit`, and no checksum.
fn with_props(edit: impl Fn(&str, String) -> Option<String>) -> Vec<u8> {
    to_props(&metadata())
        .expect("valid metadata")
        .into_iter()
        .fold(graph_bytes(), |bytes, (key, value)| {
            match edit(&key, value) {
                Some(value) => with_entry(bytes, &key, &value),
                None => bytes,
            }
        })
}

#[test]
fn metadata_survives_the_file() {
    let bytes = model();
    assert_eq!(read_metadata(&bytes).unwrap(), metadata());
    let recognizer = Recognizer::from_bytes(bytes).unwrap();
    assert_eq!(recognizer.metadata(), &metadata());
    assert_eq!(recognizer.labels(), LABELS);
    assert_eq!(recognizer.parameters(), 1_786);
}

#[test]
fn attaching_replaces_and_keeps_the_rest() {
    let foreign = with_entry(graph_bytes(), "author", "someone");
    let first = attach_metadata(&foreign, &metadata()).unwrap();
    let renamed = ModelMetadata {
        name: "renamed".to_owned(),
        protocol_result: None,
        ..metadata()
    };
    let second = attach_metadata(&first, &renamed).unwrap();
    assert_eq!(read_metadata(&second).unwrap(), renamed);
    assert!(second.starts_with(&graph_bytes()));
    assert!(second.windows(7).any(|window| window == b"someone"));
    assert_eq!(attach_metadata(&second, &renamed).unwrap(), second);
}

#[test]
fn scores_agree_with_onnxruntime() {
    let recognizer = Recognizer::from_bytes(model()).unwrap();
    for case in golden().cases {
        let features = FeatureMatrix::new(case.features, 64).unwrap();
        let logits = recognizer.logits_from_features(&features).unwrap();
        for (ours, theirs) in logits.iter().zip(&case.logits) {
            assert!(
                (ours - theirs).abs() <= 1e-5,
                "{} frames: {logits:?} against {:?}",
                case.n_frames,
                case.logits
            );
        }
    }
}

#[test]
fn foreign_files_are_called_foreign() {
    assert_eq!(refusal(Vec::new()), "model_not_onnx");
    assert_eq!(refusal(b"RIFF....WAVEfmt ".to_vec()), "model_not_onnx");
    assert_eq!(refusal(b"hello".to_vec()), "model_not_onnx");
    let error = Recognizer::from_bytes(graph_bytes()).unwrap_err();
    assert!(
        matches!(&error, ModelError::Foreign { producer } if producer == "vocalics-golden"),
        "{error}"
    );
}

#[test]
fn every_truncation_is_refused() {
    let bytes = model();
    for length in (0..bytes.len()).step_by(61).chain([bytes.len() - 1]) {
        let error = Recognizer::from_bytes(bytes[..length].to_vec()).unwrap_err();
        assert!(
            matches!(
                error,
                ModelError::Truncated { .. }
                    | ModelError::NotOnnx { .. }
                    // A cut between two entries leaves a well-formed file with entries missing.
                    | ModelError::MissingKey { .. }
                    | ModelError::Foreign { .. }
            ),
            "cut at {length}: {error}"
        );
    }
}

#[test]
fn every_missing_key_is_named() {
    let optional = [
        "vocalics.standardiser",
        "vocalics.domain",
        "vocalics.protocol_result",
    ];
    for (missing, _) in to_props(&metadata()).unwrap() {
        let bytes = with_props(|key, value| (key != missing).then_some(value));
        match Recognizer::from_bytes(bytes) {
            Ok(_) => assert!(optional.contains(&missing.as_str()), "{missing}"),
            Err(ModelError::MissingKey { key }) => assert_eq!(key, missing),
            Err(error) => panic!("{missing}: {error}"),
        }
    }
}

#[test]
fn broken_values_are_named() {
    for (broken, _) in to_props(&metadata()).unwrap() {
        for wrong in ["", "{", "[1, 2", "{\"a\": 1}", "\u{1F600}"] {
            let bytes = with_props(|key, value| {
                Some(if key == broken {
                    wrong.to_owned()
                } else {
                    value
                })
            });
            match Recognizer::from_bytes(bytes) {
                Err(ModelError::InvalidKey { key, source }) => {
                    assert_eq!(key, broken);
                    assert!(!source.to_string().is_empty());
                }
                other => panic!("{broken} = {wrong:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn duplicate_keys_are_refused() {
    let bytes = with_entry(model(), "vocalics.temperature", "2.0");
    assert_eq!(refusal(bytes), "model_duplicate_key");
}

#[test]
fn other_versions_are_refused_before_their_keys() {
    for (version, word) in [(0, "too old"), (BODY_FORMAT_VERSION + 1, "newer")] {
        let bytes = with_entry(
            graph_bytes(),
            "vocalics.format_version",
            &version.to_string(),
        );
        let error = read_metadata(&bytes).unwrap_err();
        assert_eq!(error.code(), "model_format_version");
        assert!(error.hint().contains(word), "{}", error.hint());
    }
}

#[test]
fn another_front_end_is_refused() {
    let changed = with_props(|key, value| {
        Some(if key == "vocalics.front_end" {
            value.replace("\"n_fft\":1024", "\"n_fft\":2048")
        } else {
            value
        })
    });
    assert_eq!(refusal(changed), "model_fingerprint");
    let unknown = with_props(|key, value| {
        Some(if key == "vocalics.front_end" {
            value.replacen('{', "{\"preemphasis\":0.97,", 1)
        } else {
            value
        })
    });
    assert_eq!(refusal(unknown), "model_invalid_key");
    let impossible = with_props(|key, value| {
        Some(if key == "vocalics.front_end" {
            value.replace("\"hop_length\":256", "\"hop_length\":0")
        } else {
            value
        })
    });
    assert_eq!(refusal(impossible), "model_front_end");
}

#[test]
fn inconsistent_metadata_is_neither_written_nor_read() {
    type Edit = fn(&mut ModelMetadata);
    let cases: [(&str, Edit); 7] = [
        ("no labels", |m| m.labels.clear()),
        ("a label twice", |m| m.labels[1] = "neutral".to_owned()),
        ("an empty label", |m| m.labels[1].clear()),
        ("temperature 0", |m| m.temperature = 0.0),
        ("temperature NaN", |m| m.temperature = f32::NAN),
        ("a short test vector", |m| {
            m.test_vector.features.pop();
        }),
        ("scores that sum to 2", |m| {
            for score in &mut m.test_vector.scores {
                *score *= 2.0;
            }
        }),
    ];
    for (what, edit) in cases {
        let mut metadata = metadata();
        edit(&mut metadata);
        let error = attach_metadata(&graph_bytes(), &metadata).unwrap_err();
        assert_eq!(error.code(), "model_invalid_metadata", "{what}");
    }
    let bytes = with_props(|key, value| {
        Some(if key == "vocalics.temperature" {
            "-1.0".to_owned()
        } else {
            value
        })
    });
    assert_eq!(refusal(bytes), "model_invalid_metadata");
}

#[test]
fn label_count_must_equal_the_output_width() {
    let mut metadata = metadata();
    metadata.labels.pop();
    metadata.test_vector.scores = vec![1.0 / 7.0; 7];
    let bytes = attach_metadata(&graph_bytes(), &metadata).unwrap();
    let error = Recognizer::from_bytes(bytes).unwrap_err();
    assert!(
        matches!(
            error,
            ModelError::LabelCount {
                labels: 7,
                outputs: 8
            }
        ),
        "{error}"
    );
}

#[test]
fn other_scores_for_the_test_vector_are_refused() {
    let mut metadata = metadata();
    metadata.test_vector.scores[2] += 3e-4;
    metadata.test_vector.scores[3] -= 3e-4;
    let bytes = attach_metadata(&graph_bytes(), &metadata).unwrap();
    let error = Recognizer::from_bytes(bytes).unwrap_err();
    assert!(
        matches!(&error, ModelError::TestVector { label, .. } if label == "happy" || label == "sad"),
        "{error}"
    );
    // A tenth of that lies within the tolerance.
    let mut metadata = common::metadata();
    metadata.test_vector.scores[2] += 3e-5;
    let bytes = attach_metadata(&graph_bytes(), &metadata).unwrap();
    assert!(Recognizer::from_bytes(bytes).is_ok());
}

#[test]
fn a_changed_weight_is_refused() {
    let bytes = model();
    let weights = bytes
        .windows(7)
        .rposition(|window| window == b"conv2_w")
        .unwrap();
    let mut changed = bytes;
    changed[weights + 60] ^= 0x01;
    assert_eq!(refusal(changed), "model_checksum");
}

#[test]
fn unknown_operators_are_named() {
    let mut bytes = model();
    let sqrt = bytes
        .windows(6)
        .position(|window| window == b"\x22\x04Sqrt")
        .unwrap();
    bytes[sqrt + 2..sqrt + 6].copy_from_slice(b"Loop");
    let error = Recognizer::from_bytes(bytes).unwrap_err();
    assert!(
        matches!(&error, ModelError::Operator { operator } if operator == "Loop"),
        "{error}"
    );
}

/// Its values were counted whatever list they stood in, and then read from the list of its type: a weight
/// without values reached the kernels.
#[test]
fn a_weight_whose_values_are_not_of_its_type_is_refused() {
    let listed = |floats: usize, integers: usize| {
        let mut graph = Graph::new(1);
        let x = graph.image();
        let weights = graph.tensor(TensorProto {
            dims: vec![4, 1, 3, 3],
            data_type: Some(DataType::FLOAT),
            float_data: vec![0.5; floats],
            int32_data: vec![1; integers],
            ..TensorProto::default()
        });
        let x = graph.node(
            "Conv",
            &[&x, &weights],
            &[Set::Ints("kernel_shape", &[3, 3])],
        );
        let x = graph.node("GlobalAveragePool", &[&x], &[]);
        let x = graph.node("Flatten", &[&x], &[]);
        graph.head(&x, 4);
        attach_metadata(&graph.bytes(), &metadata()).unwrap()
    };
    for (floats, integers) in [(0, 36), (35, 1), (36, 36)] {
        let error = Recognizer::from_bytes(listed(floats, integers)).unwrap_err();
        assert!(
            matches!(error, ModelError::Corrupt { what, .. } if what.contains("not of its type")),
            "{error}"
        );
    }
    // The list of its own type is what a weight may come in.
    assert_eq!(refusal(listed(36, 0)), "model_test_vector");
}

#[test]
fn another_input_name_is_refused() {
    let mut bytes = with_props(|_, value| Some(value));
    while let Some(at) = bytes.windows(10).position(|w| w == b"\x0a\x08features") {
        bytes[at + 2..at + 10].copy_from_slice(b"waveform");
    }
    assert_eq!(refusal(bytes), "model_graph");
}

#[test]
fn a_path_is_named_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.onnx");
    let error = Recognizer::from_file(&missing).unwrap_err();
    assert_eq!(error.code(), "model_unreadable");
    assert!(error.to_string().contains("missing.onnx") && error.source().is_some());
    // Any file name will do: what counts is the content.
    let path = folder.path().join("model.bin");
    std::fs::write(&path, b"nothing").unwrap();
    let error = Recognizer::from_file(&path).unwrap_err();
    assert_eq!(error.code(), "model_not_onnx");
    assert!(error.to_string().contains("model.bin"));
    std::fs::write(&path, model()).unwrap();
    assert!(Recognizer::from_file(&path).is_ok());
    assert_eq!(
        Recognizer::from_file(folder.path()).unwrap_err().code(),
        "model_unreadable"
    );
}

/// Loads bytes of any origin; nothing may panic, and what loads must work.
fn must_not_panic(bytes: Vec<u8>) {
    let _ = read_metadata(&bytes);
    if let Ok(recognizer) = Recognizer::from_bytes(bytes) {
        let samples = common::voiced(8_000);
        let prediction = recognizer.recognize(&samples, recognizer.sample_rate());
        if let Ok(prediction) = prediction {
            let sum: f32 = prediction.scores.iter().map(|(_, score)| score).sum();
            assert!((sum - 1.0).abs() < 1e-4);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        must_not_panic(bytes);
    }

    #[test]
    fn any_onnx_like_bytes_are_survived(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = vec![0x08, 0x08, 0x3a];
        bytes.extend(tail);
        must_not_panic(bytes);
    }

    /// With the checksum in place nearly every change is found by it.
    #[test]
    fn any_damage_is_survived(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = model();
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        must_not_panic(bytes);
    }

    /// Without it the graph itself reaches the engine.
    #[test]
    fn any_damage_without_checksum_is_survived(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = with_props(|_, value| Some(value));
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        must_not_panic(bytes);
    }

    /// Changes among operators and attributes, the part of the file where they hurt most.
    #[test]
    fn any_damage_of_the_operators_is_survived(
        changes in proptest::collection::vec((0_usize..1_500, any::<u8>()), 1..4),
    ) {
        let mut bytes = with_props(|_, value| Some(value));
        for (at, value) in changes {
            bytes[at] = value;
        }
        must_not_panic(bytes);
    }
}
