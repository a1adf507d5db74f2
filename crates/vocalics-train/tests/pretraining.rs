//! Trainings without labels: they learn, go on where they were stopped, and tell whom they have heard.

mod invented;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use burn::tensor::TensorData;
use invented::{N_MELS, Stop, config, data, options, predictions};
use vocalics_corpora::{LabelSet, Protocol};
use vocalics_features::FeatureMatrix;
use vocalics_models::CnnRecurrentConfig;
use vocalics_runtime::{Body, ModelError, Recognizer, RuntimeError};
use vocalics_train::{
    ByolConfig, Data, Freeze, NamedFreeze, NetworkConfig, Objective, PretrainConfig, Progress,
    RunOptions, Silent, TrainConfig, TrainError, cross_validate, cross_validate_after,
    describe_init, infer, pretrain, train_model,
};

fn small() -> TrainConfig {
    let mut config = config();
    config.training.epochs = 4;
    config.byol = Some(ByolConfig {
        projection_hidden: 32,
        projection_size: 16,
        batch_size: 8,
        learning_rate: 3e-3,
        ..ByolConfig::default()
    });
    config
}

/// The recordings of some speakers without their labels.
fn unlabelled(speakers: &[u8]) -> Data {
    let mut data = data();
    let names: Vec<String> = speakers.iter().map(|s| format!("speaker-{s}")).collect();
    let kept: Vec<bool> = data
        .utterances
        .iter()
        .map(|u| names.contains(&u.speaker))
        .collect();
    let mut at = kept.iter();
    data.utterances.retain(|_| at.next() == Some(&true));
    let mut at = kept.iter();
    data.features.retain(|_| at.next() == Some(&true));
    data.classes = vec![0; data.utterances.len()];
    data.labels = LabelSet::new(vec!["unlabelled".into()]).expect("a label");
    data
}

/// Everything of a history but the time it took.
fn numbers(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).expect("history.csv");
    let lines = text
        .lines()
        .map(|line| line.rsplit_once(',').expect("fields").0.to_owned());
    lines.collect()
}

fn embedding(model: &Path) -> Vec<f32> {
    let body = Body::from_bytes(std::fs::read(model).expect("a file")).expect("a body");
    body.embed(&data().features[3]).expect("an embedding")
}

#[test]
fn the_loss_falls_and_the_embeddings_do_not_collapse() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for (name, network) in [
        ("residual", small().network),
        (
            "recurrent",
            NetworkConfig::CnnRecurrent(CnnRecurrentConfig {
                channels: vec![4, 8],
                hidden: 8,
                attention: 8,
                ..CnnRecurrentConfig::default()
            }),
        ),
    ] {
        let mut config = TrainConfig { network, ..small() };
        config.training.epochs = 30;
        let at = options(&folder.path().join(name));
        let trained = pretrain(&config, &unlabelled(&[0, 1, 2, 3]), &at, &Silent);
        let trained = trained.expect("a pretrained network");
        let (first, last) = (&trained.history[0], &trained.history[29]);
        assert!(last.loss < 0.7 * first.loss, "{name}: {first:?} {last:?}");
        assert!(last.embedding_deviation > 0.1, "{name}: {last:?}");
        assert!(last.projection_deviation > 0.1, "{name}: {last:?}");
        assert!(trained.parameters > 500);
        for file in ["config.toml", "manifest.csv", "history.csv", "checkpoint"] {
            assert!(at.directory.join(file).is_file(), "{name}: {file}");
        }
        let body = Body::from_bytes(std::fs::read(&trained.model).expect("a file"));
        let body = body.expect("a body");
        let heard: Vec<String> = (0..4).map(|speaker| format!("speaker-{speaker}")).collect();
        assert_eq!(body.metadata().speakers, heard);
        assert_eq!(body.metadata().corpora[0].clips, 32);
        assert_eq!(embedding(&trained.model).len(), body.dim());
    }
}

/// With nothing but the head to move, a training from the file answers with a linear map of its embedding.
#[test]
fn every_kind_with_layers_can_be_pretrained_and_begun_from() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for kind in NetworkConfig::KINDS {
        let mut config = small();
        config.network = NetworkConfig::named(kind).expect("a network");
        if config.network.takes_functionals() || *kind == "head" {
            continue;
        }
        config.training.epochs = 1;
        let at = |name: &str| options(&folder.path().join(kind).join(name));
        let init = pretrain(&config, &unlabelled(&[0, 1]), &at("first"), &Silent);
        let init = init.unwrap_or_else(|error| panic!("{kind}: {error}")).model;
        let mut described = TrainConfig::default();
        described.transfer.init.clone_from(&init);
        describe_init(&mut described).expect("the file says its network");
        assert_eq!(described.network, config.network);

        config.transfer.init.clone_from(&init);
        config.transfer.freeze = Freeze::Named(NamedFreeze::AllButHead);
        let model = train_model(&config, &data(), None, &at("probe"), &Silent).expect("a probe");
        let head = model.ensemble.members()[0].head();
        let numbers = |data: TensorData| data.try_to_vec::<f32>().expect("floats");
        let weight = numbers(head.weight.val().into_data());
        let bias = numbers(head.bias.val().into_data());
        let body = Body::from_bytes(std::fs::read(&init).expect("a file")).expect("a body");
        for features in &data().features[..4] {
            let x = body.embed(features).expect("an embedding");
            for (class, logit) in infer(&model.ensemble, features).iter().enumerate() {
                let products = x.iter().zip(weight.chunks(2)).map(|(x, w)| x * w[class]);
                let want = products.sum::<f32>() + bias[class];
                assert!((logit - want).abs() < 1e-3, "{kind}: {logit} {want}");
            }
        }
    }
}

#[test]
fn a_stopped_training_goes_on_to_the_same_bits_on_any_number_of_threads() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let attempt = |name: &str, threads: usize, seed: u64, progress: &dyn Progress| {
        let options = RunOptions {
            threads,
            ..options(&folder.path().join(name))
        };
        let config = TrainConfig { seed, ..small() };
        pretrain(&config, &unlabelled(&[0, 1, 2]), &options, progress)
    };
    let whole = attempt("whole", 1, 1, &Silent).expect("run").model;
    for epochs in [1, 2] {
        let stop = Stop(epochs.into());
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            attempt("stopped", 2, 1, &stop).map(|_| ())
        }));
        assert!(stopped.is_err(), "the test stops the run");
    }
    let stopped = attempt("stopped", 2, 1, &Silent)
        .expect("resumed run")
        .model;
    let other = attempt("other", 1, 2, &Silent).expect("run").model;
    let history = |name: &str| numbers(&folder.path().join(name).join("history.csv"));
    assert_eq!(history("whole").len(), 5);
    assert_eq!(history("whole"), history("stopped"));
    assert_ne!(history("whole"), history("other"));
    assert_eq!(embedding(&whole), embedding(&stopped));
    assert_ne!(embedding(&whole), embedding(&other));
    // Other recordings are another run.
    let at = options(&folder.path().join("whole"));
    let error = pretrain(&small(), &unlabelled(&[0, 1]), &at, &Silent);
    assert!(matches!(error, Err(TrainError::OtherRun { .. })));
}

#[test]
fn a_file_that_has_heard_a_test_speaker_without_labels_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = |name: &str| options(&folder.path().join(name));
    let of_two = pretrain(&small(), &unlabelled(&[0, 1]), &at("two"), &Silent).expect("a body");
    let mut unnamed = unlabelled(&[0, 1]);
    for utterance in &mut unnamed.utterances {
        utterance.speaker = "files-unknown".into();
    }
    let of_any = pretrain(&small(), &unnamed, &at("any"), &Silent).expect("a body");
    let attempt = |init: &Path, name: &str, folds: &[&str], allowed: bool| {
        let mut config = config();
        config.transfer.init = init.to_owned();
        config.transfer.allow_seen_speakers = allowed;
        let options = RunOptions {
            folds: folds.iter().map(|&fold| fold.to_owned()).collect(),
            ..at(name)
        };
        cross_validate(&config, &data(), &Protocol::Loso, &options, &Silent)
    };
    for fold in ["speaker-0", "speaker-1"] {
        let error = attempt(&of_two.model, "refused", &[fold], false);
        assert!(matches!(
            error,
            Err(TrainError::SeenSpeakers { unnamed: false, .. })
        ));
    }
    for fold in ["speaker-0", "speaker-2", "speaker-3"] {
        let error = attempt(&of_any.model, "refused", &[fold], false);
        assert!(matches!(
            error,
            Err(TrainError::SeenSpeakers { unnamed: true, .. })
        ));
    }
    assert!(
        !folder.path().join("refused").exists(),
        "nothing was written"
    );
    let clean = attempt(&of_two.model, "clean", &["speaker-2"], false).expect("no leak");
    assert!(!clean.report.provenance.speakers_shared);
    let shared = attempt(&of_two.model, "shared", &["speaker-0"], true).expect("allowed");
    assert!(shared.report.provenance.speakers_shared);
    // What begins from it has heard them too.
    let model = folder.path().join("clean/speaker-2/model.onnx");
    let speakers = Recognizer::from_file(model).expect("a model");
    let speakers = &speakers.metadata().speakers;
    assert!(speakers.contains(&"speaker-0".to_owned()));
    assert!(!speakers.contains(&"speaker-2".to_owned()));
}

/// The prior recordings are the same as the fold's: its training part serves, its test part must not.
#[test]
fn within_a_fold_the_test_clips_reach_nothing() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut config = small();
    config.transfer.pretrain = PretrainConfig {
        corpora: vec!["invented".into()],
        epochs: 3,
        objective: Objective::Byol,
    };
    let noise = |mut data: Data, speaker: &str| {
        for (utterance, features) in data.utterances.iter().zip(&mut data.features) {
            if utterance.speaker == speaker {
                let values = (0..features.as_slice().len()).map(|i| ((i * i) as f32).sin() * 3.0);
                *features = FeatureMatrix::new(values.collect(), N_MELS).expect("whole rows");
            }
        }
        data
    };
    let attempt = |name: &str, data: &Data, prior: Option<&Data>, progress: &dyn Progress| {
        let options = RunOptions {
            folds: vec!["speaker-3".into()],
            jobs: 1,
            ..options(&folder.path().join(name))
        };
        cross_validate_after(&config, data, prior, &Protocol::Loso, &options, progress)
    };
    let prior = unlabelled(&[0, 1, 2, 3]);
    attempt("whole", &data(), Some(&prior), &Silent).expect("run");
    let history = |name: &str| {
        let fold = folder.path().join(name).join("speaker-3");
        (
            numbers(&fold.join("before/history.csv")),
            numbers(&fold.join("history.csv")),
        )
    };
    let whole = history("whole");
    assert_eq!(whole.0.len(), 4);
    let (other, others) = (
        noise(data(), "speaker-3"),
        noise(prior.clone(), "speaker-3"),
    );
    attempt("noise", &other, Some(&others), &Silent).expect("run");
    assert_eq!(history("noise"), whole, "test clips reach nothing");
    // A training speaker's clips do reach it, or the test above could not fail.
    let validation = {
        let manifest = std::fs::read_to_string(folder.path().join("whole/manifest.csv"));
        let manifest = manifest.expect("manifest");
        let held = |part: &str| {
            let line = manifest.lines().find(|line| line.ends_with(part));
            line.expect("a clip")
                .split(',')
                .nth(2)
                .expect("a speaker")
                .to_owned()
        };
        assert!(
            manifest
                .lines()
                .filter(|line| line.ends_with(",before"))
                .count()
                == 16
        );
        assert_eq!(held(",test"), "speaker-3");
        held(",validation")
    };
    let heard = (0..3)
        .map(|s| format!("speaker-{s}"))
        .find(|s| *s != validation);
    let others = noise(prior.clone(), &heard.expect("a training speaker"));
    attempt("heard", &data(), Some(&others), &Silent).expect("run");
    assert_ne!(history("heard").0, whole.0);

    // And it resumes, from either training.
    for epochs in [1, 2] {
        let stop = Stop(epochs.into());
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            attempt("stopped", &data(), Some(&prior), &stop).map(|_| ())
        }));
        assert!(stopped.is_err(), "the test stops the run");
    }
    attempt("stopped", &data(), Some(&prior), &Silent).expect("resumed run");
    let scores = |name: &str| predictions(&folder.path().join(name));
    assert_eq!(scores("whole"), scores("stopped"));
    assert_eq!(history("stopped"), whole);
}

#[test]
fn a_pretrained_file_answers_nobody() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let at = options(&folder.path().join("first"));
    let model = pretrain(&small(), &unlabelled(&[0, 1]), &at, &Silent)
        .expect("a body")
        .model;
    let error = Recognizer::from_file(&model).expect_err("no labels");
    assert_eq!(error.code(), "model_pretrained");
    assert!(
        error.hint().contains("vocalics train --init"),
        "{}",
        error.hint()
    );
    let mut taught = config();
    let distillation = taught.distillation.get_or_insert_default();
    distillation.teacher.clone_from(&model);
    let at = options(&folder.path().join("taught"));
    let error = train_model(&taught, &data(), None, &at, &Silent).map(|_| ());
    assert!(matches!(error, Err(TrainError::ModelFile(_))), "{error:?}");
    // A file with a head is no body, and one that was changed is noticed.
    let whole = options(&folder.path().join("whole"));
    train_model(&config(), &data(), None, &whole, &Silent).expect("a model");
    let bytes = std::fs::read(folder.path().join("whole/model.onnx")).expect("a file");
    assert!(matches!(
        Body::from_bytes(bytes),
        Err(ModelError::NotPretrained { .. })
    ));
    let mut bytes = std::fs::read(&model).expect("a file");
    let body = Body::from_bytes(bytes.clone()).expect("a body");
    let narrow = FeatureMatrix::new(vec![0.0; 6], 3).expect("whole rows");
    assert!(matches!(
        body.embed(&narrow),
        Err(RuntimeError::FeatureWidth { .. })
    ));
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    assert!(Body::from_bytes(bytes).is_err());
}

#[test]
fn what_cannot_be_learnt_from_is_said() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let attempt = |config: &TrainConfig, data: &Data| {
        let at = options(&folder.path().join("bad"));
        let outcome = pretrain(config, data, &at, &Silent).map(|_| ());
        let _ = std::fs::remove_dir_all(&at.directory);
        outcome.expect_err("nothing to learn")
    };
    let mut one = unlabelled(&[0]);
    one.utterances.truncate(1);
    one.features.truncate(1);
    one.classes.truncate(1);
    let error = attempt(&small(), &one);
    assert!(
        matches!(error, TrainError::TooFewRecordings { actual: 1 }),
        "{error}"
    );

    let of = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = small();
        change(&mut config);
        attempt(&config, &unlabelled(&[0, 1])).to_string()
    };
    let error = of(&|config| config.network = NetworkConfig::named("head").expect("head"));
    assert!(error.contains("network.kind is \"head\""), "{error}");
    let error = of(&|config| config.ensemble.seeds = 2);
    assert!(error.contains("ensemble is 2 networks"), "{error}");

    // Clips and views that are all the same: nothing is left to tell apart.
    let mut same = unlabelled(&[0, 1]);
    let mut still = small();
    still.augmentation = vocalics_train::AugmentConfig::none();
    let flat =
        |_: &FeatureMatrix| FeatureMatrix::new(vec![1.0; 40 * N_MELS], N_MELS).expect("rows");
    same.features.iter_mut().for_each(|it| *it = flat(it));
    let byol = still.byol.as_mut().expect("given");
    (byol.freq_scale, byol.time_scale) = ([1.0; 2], [1.0; 2]);
    byol.virtual_crop_scale = [1.0; 2];
    let error = attempt(&still, &same);
    assert!(
        matches!(error, TrainError::Collapsed { epoch: 1, .. }),
        "{error}"
    );
}

/// Warnings, for what is said and does not stop.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn warning(&self, message: &str) {
        self.0.lock().expect("a lock").push(message.to_owned());
    }
}

/// Real clips, where they are: a body of two actors, and a probe of two others.
#[test]
fn real_clips_are_learnt_from() {
    let root = std::env::var_os("VOCALICS_DATA").map(PathBuf::from);
    let root =
        root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"));
    let speech = root.join("ravdess-speech");
    if !speech.is_dir() {
        eprintln!("no {}: nothing was tested", speech.display());
        return;
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let actors = |range: std::ops::RangeInclusive<u8>| -> Vec<PathBuf> {
        let utterances = vocalics_corpora::scan(
            &format!("ravdess-speech={}", speech.display())
                .parse()
                .expect("a corpus"),
        );
        let utterances = utterances.expect("clips").utterances;
        let names: Vec<String> = range.map(|actor| format!("ravdess-{actor:02}")).collect();
        let of = utterances
            .into_iter()
            .filter(|it| names.contains(&it.speaker));
        of.map(|it| it.path).take(60).collect()
    };
    let mut config = small();
    config.training.epochs = 2;
    let load = vocalics_train::LoadOptions::new(folder.path().join("cache"));
    let (files, heard) = (actors(1..=1), Heard::default());
    let data = Data::unlabelled(&config, &[], &files, &load, &heard).expect("recordings");
    assert_eq!(data.utterances.len(), files.len());
    let at = options(&folder.path().join("run"));
    let trained = pretrain(&config, &data, &at, &heard).expect("a body");
    assert!(trained.history[1].loss.is_finite());
    assert!(trained.history[1].embedding_deviation > 0.01);
    assert!(
        heard
            .0
            .lock()
            .expect("a lock")
            .iter()
            .all(|it| !it.contains("cannot"))
    );
}
