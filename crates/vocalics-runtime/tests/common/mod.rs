//! The golden model with metadata attached, shared by the tests.

#![allow(dead_code, reason = "not every test program uses every part")]

use std::path::PathBuf;

use serde::Deserialize;
use vocalics_features::{LogMel, LogMelConfig};
use vocalics_runtime::{
    CorpusNote, FORMAT_VERSION, ModelMetadata, ProtocolResult, TestVector, attach_metadata,
    softmax_with_temperature,
};

pub(crate) const LABELS: [&str; 8] = [
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
];

#[derive(Deserialize)]
pub(crate) struct Golden {
    pub(crate) cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) n_frames: usize,
    pub(crate) features: Vec<f32>,
    pub(crate) logits: Vec<f32>,
}

fn golden_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../golden")
        .join(name)
}

pub(crate) fn golden() -> Golden {
    let text = std::fs::read_to_string(golden_path("runtime.json")).expect("golden/runtime.json");
    serde_json::from_str(&text).expect("golden/runtime.json is JSON")
}

/// The ONNX file as onnx wrote it, without our metadata.
pub(crate) fn graph_bytes() -> Vec<u8> {
    std::fs::read(golden_path("runtime.onnx")).expect("golden/runtime.onnx")
}

pub(crate) fn metadata() -> ModelMetadata {
    let front_end = LogMelConfig::default();
    let fingerprint = LogMel::new(front_end.clone())
        .expect("default front end")
        .fingerprint()
        .to_owned();
    let temperature = 1.5;
    let case = golden().cases.swap_remove(1);
    ModelMetadata {
        format_version: FORMAT_VERSION,
        name: "golden".to_owned(),
        task: "emotion".to_owned(),
        labels: LABELS.map(str::to_owned).to_vec(),
        front_end,
        front_end_fingerprint: fingerprint,
        encoder: None,
        functionals: None,
        standardiser: None,
        speaker_norm: None,
        domain: None,
        temperature,
        corpora: vec![CorpusNote {
            name: "random weights".to_owned(),
            licence: "none".to_owned(),
            clips: 0,
            speakers: 0,
        }],
        speakers: vec!["ravdess-01".to_owned()],
        protocol_result: Some(ProtocolResult {
            protocol: "emobox-6fold".to_owned(),
            corpora: vec!["ravdess-speech".to_owned()],
            folds: 6,
            labels: LABELS.map(str::to_owned).to_vec(),
            seed: 7,
            speakers_shared: false,
            uar: 0.125,
            uar_low: 0.1,
            uar_high: 0.15,
            war: 0.13,
        }),
        manifest_hash: "0".to_owned(),
        git_revision: "0".to_owned(),
        seed: u64::MAX,
        created: "2026-01-01T00:00:00Z".to_owned(),
        test_vector: TestVector {
            scores: softmax_with_temperature(&case.logits, temperature),
            features: case.features,
            n_frames: case.n_frames,
        },
    }
}

pub(crate) fn model() -> Vec<u8> {
    attach_metadata(&graph_bytes(), &metadata()).expect("metadata fits the golden graph")
}

/// A voiced sound with syllables: harmonics of 140 Hz, switched on and off four times a second.
pub(crate) fn voiced(n_samples: usize) -> Vec<f32> {
    (0..n_samples)
        .map(|n| {
            let t = n as f32 / 16_000.0;
            let syllable = 0.5 - 0.5 * (std::f32::consts::TAU * 4.0 * t).cos();
            let tone: f32 = (1..20_u8)
                .map(|k| (std::f32::consts::TAU * 140.0 * f32::from(k) * t).sin() / f32::from(k))
                .sum();
            0.1 * syllable * tone
        })
        .collect()
}
