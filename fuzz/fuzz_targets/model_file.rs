//! Any bytes as a model file: a recogniser or an error, no panic, whichever engine takes the graph.
//!
//! `cargo +nightly fuzz run model_file` (seed the corpus with `models/default.onnx` and the models of
//! `golden/`). The bytes are tried as they are and, with the metadata of the shipped model, as a graph:
//! without that nearly every input would end at a missing key, and the compiler of plans would never be
//! reached.

#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vocalics_runtime::{Engine, ModelMetadata, Recognizer, RecognizerOptions, read_metadata};

fn metadata() -> &'static ModelMetadata {
    static METADATA: OnceLock<ModelMetadata> = OnceLock::new();
    METADATA.get_or_init(|| {
        read_metadata(include_bytes!("../../models/default.onnx")).expect("the shipped model")
    })
}

fuzz_target!(|bytes: &[u8]| {
    let _ = Recognizer::from_bytes(bytes.to_vec());
    let options = RecognizerOptions::default().with_engine(Engine::Native);
    // Runs the test vector's features through whatever the graph is.
    if let Ok(rescored) = Recognizer::rescored(bytes, metadata(), &options) {
        assert!(rescored.test_vector.scores.iter().all(|score| score.is_finite()));
    }
});
