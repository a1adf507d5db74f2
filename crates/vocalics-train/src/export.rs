//! A trained model as one ONNX file.

use std::borrow::Cow;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rayon::prelude::*;
use vocalics_corpora::Fold;
use vocalics_eval::softmax_t;
use vocalics_features::{Compression, Domain, FeatureMatrix, LogMel, Standardiser};
use vocalics_models::onnx::Graph;
use vocalics_models::{Mode, Network};
use vocalics_runtime::{
    BODY_FORMAT_VERSION, Body, ENCODER_FORMAT_VERSION, FORMAT_VERSION, FUNCTIONALS_FORMAT_VERSION,
    ModelMetadata, ProtocolResult, Recognizer, TestVector, attach_metadata,
};

use crate::cache::write;
use crate::fold::infer;
use crate::heard::Heard;
use crate::voices::of_functionals;
use crate::waveforms::Augmenter;
use crate::{Data, GIT_REVISION, TrainConfig, TrainError, TrainedModel};

/// Frames of the test vector.
const TEST_FRAMES: usize = 48;
/// The task of a file without a head.
const PRETRAINING: &str = "pretraining";

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
    let n_features = config.n_features();
    let functionals = config.functional_sets()?;
    let encoder = data.embedded.as_ref().map(|e| e.encoder.note(false));
    let mut graph = Graph::default();
    model.ensemble.trace(&mut graph);
    graph.name_networks(&config.answering())?;
    let graph = graph.into_bytes(n_features, data.labels.len())?;
    let heard = Heard::in_clips(data, &notes.clips).and(notes.heard.clone());
    let metadata = ModelMetadata {
        format_version: match (&encoder, &functionals) {
            (None, None) => FORMAT_VERSION,
            (None, Some(_)) => FUNCTIONALS_FORMAT_VERSION,
            (Some(_), _) => ENCODER_FORMAT_VERSION,
        },
        name: config.name.clone(),
        task: config.target.clone(),
        labels: data.labels.as_slice().to_vec(),
        front_end: config.front_end.clone(),
        front_end_fingerprint: config.features_fingerprint(),
        standardiser: Some(model.standardiser.clone()),
        speaker_norm: match config.speaker_norm() {
            true => Some(of_functionals(&model.standardiser, data.n_functionals)?),
            false => None,
        },
        domain: domain(config, data, &notes.clips)?,
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
            [config.n_bands(), n_features],
            if encoder.is_some() { 1 } else { TEST_FRAMES },
        )?,
        encoder,
        functionals,
    };
    let bytes = attach_metadata(&graph, &metadata)?;
    Recognizer::from_bytes(bytes.clone())?;
    write(path, &bytes).map_err(TrainError::io("write", path))
}

/// Writes a network without its head to `path`, after loading the file again.
///
/// # Errors
/// As [`export`].
pub(crate) fn export_body(
    network: &Network,
    config: &TrainConfig,
    data: &Data,
    (standardiser, heard): (&Standardiser, Heard),
    path: &Path,
) -> Result<(), TrainError> {
    let n_mels = config.n_features();
    let mut graph = Graph::of_body();
    network.trace(&mut graph);
    graph.name_networks(&[&config.network])?;
    let graph = graph.into_bytes(n_mels, network.head().weight.dims()[0])?;
    let features = test_features(standardiser, [n_mels, n_mels], TEST_FRAMES);
    let dims = [1, TEST_FRAMES, n_mels];
    let input = Tensor::from_data(TensorData::new(features.clone(), dims), &Device::flex());
    let embedding = network.embed(input, &mut Mode::Infer).into_data();
    let metadata = ModelMetadata {
        format_version: BODY_FORMAT_VERSION,
        name: config.name.clone(),
        task: PRETRAINING.to_owned(),
        labels: Vec::new(),
        front_end: config.front_end.clone(),
        front_end_fingerprint: config.features_fingerprint(),
        functionals: None,
        standardiser: Some(standardiser.clone()),
        speaker_norm: None,
        domain: None,
        temperature: 1.0,
        corpora: heard.corpora.into_values().collect(),
        speakers: heard.speakers.into_iter().collect(),
        protocol_result: None,
        manifest_hash: data.hash(),
        git_revision: GIT_REVISION.to_owned(),
        seed: config.seed,
        created: humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string(),
        test_vector: TestVector {
            features,
            n_frames: TEST_FRAMES,
            scores: embedding.try_to_vec().unwrap_or_default(),
        },
        encoder: None,
    };
    let bytes = attach_metadata(&graph, &metadata)?;
    Body::from_bytes(bytes.clone())?;
    write(path, &bytes).map_err(TrainError::io("write", path))
}

/// What a training on these clips hears: the clips, and each once after the plan for waveforms. `None` for fewer than two, which say
/// nothing about others, and for embeddings, which have no statistics over time.
///
/// # Errors
/// [`TrainError::Plan`] when a step of the plan has nothing to draw from, and whatever keeps a clip from having features.
pub fn domain(
    config: &TrainConfig,
    data: &Data,
    clips: &[usize],
) -> Result<Option<Domain>, TrainError> {
    if clips.len() < 2 || data.embedded.is_some() {
        return Ok(None);
    }
    let mut heard: Vec<Cow<'_, FeatureMatrix>> = clips
        .iter()
        .map(|&clip| Cow::Borrowed(&data.features[clip]))
        .collect();
    heard.extend(altered(config, data, clips)?);
    let compression = config.front_end.compression;
    if data.n_functionals > 0 || compression != Compression::Log {
        for features in &mut heard {
            let n_bands = features.n_features() - data.n_functionals;
            let bands = features.first_columns(n_bands)?;
            *features = Cow::Owned(compression.logarithms(bands));
        }
    }
    Ok(Some(Domain::fit(heard.iter().map(AsRef::as_ref))?))
}

/// Those of the clips that the plan for waveforms changes when it is applied to each of them once.
fn altered<'a>(
    config: &'a TrainConfig,
    data: &'a Data,
    clips: &[usize],
) -> Result<Vec<Cow<'a, FeatureMatrix>>, TrainError> {
    let all = Fold {
        name: config.name.clone(),
        train: clips.to_vec(),
        validation: Vec::new(),
        test: Vec::new(),
    };
    let Some(augmenter) = Augmenter::new(config, data, &all)? else {
        return Ok(Vec::new());
    };
    let front_end = LogMel::new(config.front_end.clone())?;
    let changed = clips
        .par_iter()
        .map_init(
            || front_end.clone(),
            |front_end, &clip| {
                let id = &data.utterances[clip].id;
                let seed = blake3::hash(format!("{}/domain/{id}", config.seed).as_bytes());
                let mut rng = StdRng::from_seed(*seed.as_bytes());
                augmenter.features(clip, &mut rng, front_end)
            },
        )
        .collect::<Result<Vec<_>, TrainError>>()?;
    let changed = changed.into_iter();
    Ok(changed
        .filter(|features| matches!(features, Cow::Owned(_)))
        .collect())
}

/// A synthetic input, moving in every band within the training range, with functionals that stand still, and its scores.
fn test_vector(
    model: &TrainedModel,
    [n_bands, n_features]: [usize; 2],
    n_frames: usize,
) -> Result<TestVector, TrainError> {
    let features = test_features(&model.standardiser, [n_bands, n_features], n_frames);
    let matrix = FeatureMatrix::new(features.clone(), n_features)?;
    let scores = softmax_t(&infer(&model.ensemble, &matrix), model.temperature)?;
    Ok(TestVector {
        features,
        n_frames,
        scores,
    })
}

/// An input that moves in every band within the training range, with functionals that stand still, `[n_frames, n_features]`.
fn test_features(
    standardiser: &Standardiser,
    [n_bands, n_features]: [usize; 2],
    n_frames: usize,
) -> Vec<f32> {
    let (mean, std) = (standardiser.mean(), standardiser.std());
    let mut features = Vec::with_capacity(n_frames * n_features);
    for t in 0..n_frames {
        for band in 0..n_features {
            let t = if band < n_bands { t } else { 0 };
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let phase = (t as f32 * 0.7 + band as f32 * 0.3).sin();
            features.push(mean[band] + std[band] * phase);
        }
    }
    features
}
