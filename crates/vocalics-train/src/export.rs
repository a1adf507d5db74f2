//! A trained model as one ONNX file.

use std::path::Path;

use vocalics_eval::softmax_t;
use vocalics_features::{Domain, FeatureMatrix};
use vocalics_models::onnx::Graph;
use vocalics_runtime::{
    ENCODER_FORMAT_VERSION, FORMAT_VERSION, ModelMetadata, ProtocolResult, Recognizer, TestVector,
    attach_metadata,
};

use crate::cache::write;
use crate::fold::infer;
use crate::heard::Heard;
use crate::{Data, GIT_REVISION, TrainConfig, TrainError, TrainedModel};

/// Frames of the test vector.
const TEST_FRAMES: usize = 48;

/// What a model file says about its origin besides what the model itself knows.
#[derive(Debug, Clone, Default)]
pub struct ExportNotes {
    /// Recordings the model was trained on, as indices into the data; their corpora and speakers
    /// are named in the file.
    pub clips: Vec<usize>,
    /// What the configuration reached under a protocol.
    pub result: Option<ProtocolResult>,
    /// Whom the model has heard besides, by what it began from or learnt from.
    pub heard: Heard,
}

/// Writes the model to `path`, after loading the file again through the runtime, which recomputes
/// its test vector.
///
/// # Errors
/// When the graph cannot be encoded, the file cannot be written, or the runtime refuses it.
pub fn export(
    model: &TrainedModel,
    config: &TrainConfig,
    data: &Data,
    notes: &ExportNotes,
    path: &Path,
) -> Result<(), TrainError> {
    let n_mels = config.n_features();
    let encoder = data.embedded.as_ref().map(|e| e.encoder.note(false));
    let mut graph = Graph::default();
    model.ensemble.trace(&mut graph);
    graph.name_networks(&config.answering())?;
    let graph = graph.into_bytes(n_mels, data.labels.len())?;
    let heard = Heard::in_clips(data, &notes.clips).and(notes.heard.clone());
    let metadata = ModelMetadata {
        format_version: match encoder {
            None => FORMAT_VERSION,
            Some(_) => ENCODER_FORMAT_VERSION,
        },
        name: config.name.clone(),
        task: config.target.clone(),
        labels: data.labels.as_slice().to_vec(),
        front_end: config.front_end.clone(),
        front_end_fingerprint: config.features_fingerprint(),
        standardiser: Some(model.standardiser.clone()),
        domain: domain(data, &notes.clips)?,
        temperature: model.temperature,
        corpora: heard.corpora.into_values().collect(),
        speakers: heard.speakers.into_iter().collect(),
        protocol_result: notes.result.clone(),
        manifest_hash: data.hash(),
        git_revision: GIT_REVISION.to_owned(),
        seed: config.seed,
        created: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        // An embedding is one frame.
        test_vector: test_vector(
            model,
            n_mels,
            if encoder.is_some() { 1 } else { TEST_FRAMES },
        )?,
        encoder,
    };
    let bytes = attach_metadata(&graph, &metadata)?;
    Recognizer::from_bytes(bytes.clone())?;
    write(path, &bytes).map_err(TrainError::io("write", path))
}

/// What the clips sound like; `None` for fewer than two, which say nothing about others, and for embeddings, which
/// have no statistics over time.
fn domain(data: &Data, clips: &[usize]) -> Result<Option<Domain>, TrainError> {
    if clips.len() < 2 || data.embedded.is_some() {
        return Ok(None);
    }
    let features = clips.iter().map(|&clip| &data.features[clip]);
    Ok(Some(Domain::fit(features)?))
}

/// A synthetic input, moving in every band within the training range, and its scores.
fn test_vector(
    model: &TrainedModel,
    n_mels: usize,
    n_frames: usize,
) -> Result<TestVector, TrainError> {
    let (mean, std) = (model.standardiser.mean(), model.standardiser.std());
    let mut features = Vec::with_capacity(n_frames * n_mels);
    for t in 0..n_frames {
        for band in 0..n_mels {
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let phase = (t as f32 * 0.7 + band as f32 * 0.3).sin();
            features.push(mean[band] + std[band] * phase);
        }
    }
    let matrix = FeatureMatrix::new(features.clone(), n_mels)?;
    let scores = softmax_t(&infer(&model.ensemble, &matrix), model.temperature)?;
    Ok(TestVector {
        features,
        n_frames,
        scores,
    })
}
