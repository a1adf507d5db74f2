//! On the real recordings, where they are at hand: a short training lowers the loss, and its
//! exported model agrees across burn, rten and onnxruntime.

mod onnxruntime;

use std::path::{Path, PathBuf};

use vocalics_corpora::{CorpusKind, Protocol, locate};
use vocalics_models::ResidualCnnConfig;
use vocalics_runtime::Recognizer;
use vocalics_train::classical::{
    ClassicalConfig, ClassicalData, ClassicalOptions, Method, SummarySet, evaluate_classical,
};
use vocalics_train::{
    ComputeDevice, Data, LoadOptions, NetworkConfig, RunOptions, Silent, TrainConfig,
    TrainingConfig, infer, train_model,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn corpora() -> Option<PathBuf> {
    let named = std::env::var_os("VOCALICS_DATA").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("../shared/data"));
    folder.join("ravdess-speech").is_dir().then_some(folder)
}

#[test]
fn two_epochs_lower_the_loss_and_the_export_agrees() {
    let Some(folder) = corpora() else {
        println!("skipped: no corpora (set VOCALICS_DATA)");
        return;
    };
    let config = TrainConfig {
        corpora: vec!["ravdess-speech".into()],
        network: NetworkConfig::ResidualCnn(ResidualCnnConfig {
            channels: vec![8, 16, 24],
            ..ResidualCnnConfig::default()
        }),
        training: TrainingConfig {
            epochs: 2,
            crop_frames: 96,
            ..TrainingConfig::default()
        },
        ..TrainConfig::default()
    };
    let specs: Vec<_> = locate(&folder)
        .into_iter()
        .filter(|spec| spec.kind == CorpusKind::RavdessSpeech)
        .collect();
    let scratch = tempfile::tempdir().expect("temporary folder");
    let load = LoadOptions::new(scratch.path().join("features"));
    let data = Data::load(&config, &specs, &load, &Silent).expect("recordings");
    assert_eq!(data.utterances.len(), 1440);
    let options = RunOptions {
        directory: scratch.path().join("run"),
        folds: Vec::new(),
        jobs: 1,
        threads: 2,
        device: ComputeDevice::Cpu,
    };
    let model = train_model(&config, &data, None, &options, &Silent).expect("training");
    assert!(model.history[1].train_loss < model.history[0].train_loss);

    let file = options.directory.join("model.onnx");
    let recognizer = Recognizer::from_file(&file).expect("model file");
    let mut rows = Vec::new();
    for (i, features) in data
        .features
        .iter()
        .enumerate()
        .step_by(data.features.len() / 50)
        .take(50)
    {
        let ours = infer(&model.ensemble, features);
        let theirs = recognizer.logits_from_features(features).expect("logits");
        for (a, b) in ours.iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-4, "{}: {a} {b}", data.utterances[i].id);
        }
        let shape = [1, features.n_frames(), features.n_features()];
        rows.push(onnxruntime::row(shape, features.as_slice(), &ours));
    }
    assert_eq!(rows.len(), 50);
    onnxruntime::agrees(&file, &rows, 1e-4);
}

#[test]
fn a_linear_method_hears_new_speakers_well_above_chance() {
    let Some(folder) = corpora() else {
        println!("skipped: no corpora (set VOCALICS_DATA)");
        return;
    };
    let specs: Vec<_> = locate(&folder)
        .into_iter()
        .filter(|spec| spec.kind == CorpusKind::RavdessSpeech)
        .collect();
    let scratch = tempfile::tempdir().expect("temporary folder");
    let load = LoadOptions::new(scratch.path().join("features"));
    let mut config = ClassicalConfig {
        corpora: vec!["ravdess-speech".into()],
        ..ClassicalConfig::default()
    };
    config.logistic.c = vec![0.01];
    let set = SummarySet::from_name("mfcc").expect("a set");
    let data = ClassicalData::load(&config, &specs, &[set], &load, &Silent).expect("recordings");
    assert_eq!(data.vectors[0].matrix.n_frames(), 1440);
    let options = ClassicalOptions {
        directory: scratch.path().join("run"),
        folds: vec!["fold-5".into()],
        jobs: 1,
    };
    let methods = [Method::Majority, Method::LogisticRegression];
    let protocol = Protocol::Emobox6Fold;
    let rows = evaluate_classical(&config, &data, &protocol, &methods, &options, &Silent)
        .expect("both methods");
    let uar = |row: usize| {
        vocalics_eval::evaluate(&rows[row].predictions)
            .expect("predictions")
            .uar
    };
    assert_eq!(rows[1].predictions.rows.len(), 240);
    assert!((uar(0) - 0.125).abs() < 1e-9);
    assert!(uar(1) > 0.35 && uar(1) < 0.8, "{}", uar(1));
}
