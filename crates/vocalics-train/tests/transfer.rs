//! Trainings that begin from other weights: they begin where those ended, move what they should, and leak no speaker.

mod invented;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Tensor};
use invented::{N_MELS, Stop, config, data, options, predictions};
use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_corpora::{LabelSet, Protocol};
use vocalics_models::ResidualCnnConfig;
use vocalics_models::input::Door;
use vocalics_models::restore::ModelWeights;
use vocalics_models::stages::Stage;
use vocalics_runtime::{Recognizer, combine, dequantise, quantise, quantise_weights};
use vocalics_train::{
    Data, EnsembleConfig, Freeze, NamedFreeze, NetworkConfig, PretrainConfig, Progress, RunOptions,
    Silent, TrainConfig, TrainError, TransferConfig, cross_validate, cross_validate_after,
    describe_init, infer, train_model, train_model_after,
};

/// A model of the first two speakers' clips, written to `folder/first/model.onnx`.
fn first_model(config: &TrainConfig, folder: &Path) -> std::path::PathBuf {
    let directory = folder.join("first");
    train_model(
        config,
        &of_speakers(&data(), &[0, 1]),
        None,
        &options(&directory),
        &Silent,
    )
    .expect("a first model");
    directory.join("model.onnx")
}

/// The clips of some speakers.
fn of_speakers(data: &Data, speakers: &[u8]) -> Data {
    let names: Vec<String> = speakers.iter().map(|s| format!("speaker-{s}")).collect();
    let kept = |i: &usize| names.contains(&data.utterances[*i].speaker);
    let kept: Vec<usize> = (0..data.utterances.len()).filter(kept).collect();
    Data {
        utterances: kept.iter().map(|&i| data.utterances[i].clone()).collect(),
        labels: data.labels.clone(),
        classes: kept.iter().map(|&i| data.classes[i]).collect(),
        features: kept.iter().map(|&i| data.features[i].clone()).collect(),
        waveforms: None,
        n_functionals: 0,
        embedded: None,
        contents: Vec::new(),
    }
}

/// The same under other labels.
fn relabelled(mut data: Data, labels: &[&str], classes: impl Fn(usize) -> usize) -> Data {
    data.labels = LabelSet::new(labels.iter().map(|&l| l.into()).collect()).expect("labels");
    for (clip, utterance) in data.utterances.iter_mut().enumerate() {
        data.classes[clip] = classes(clip);
        utterance.emotion = labels[data.classes[clip]].into();
    }
    data
}

fn begun(config: &TrainConfig, init: &Path) -> TrainConfig {
    let mut config = config.clone();
    config.transfer.init = init.to_owned();
    config
}

/// A learning rate that moves nothing.
fn resting(mut config: TrainConfig) -> TrainConfig {
    config.training.epochs = 1;
    config.training.learning_rate = 1e-30;
    config.training.weight_decay = 0.0;
    config
}

#[test]
fn a_training_begins_where_the_file_ended() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let init = first_model(&config(), folder.path());
    let before = Recognizer::from_file(&init).expect("the first model");
    let mut still = resting(begun(&config(), &init));
    still.transfer.freeze = Freeze::Named(NamedFreeze::AllButHead);
    let other = of_speakers(&data(), &[2, 3]);
    let at = |name: &str| options(&folder.path().join(name));
    let after = train_model(&still, &other, None, &at("still"), &Silent).expect("a model");
    for features in &data().features {
        let theirs = before.logits_from_features(features).expect("logits");
        for (a, b) in infer(&after.ensemble, features).iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
    // And it is told: by whom it was heard, from what file, with what hash.
    let written = TrainConfig::read(&folder.path().join("still/config.toml")).expect("config");
    let bytes = std::fs::read(&init).expect("the file");
    assert_eq!(
        written.transfer.init_hash,
        blake3::hash(&bytes).to_hex().to_string()
    );
    let model = Recognizer::from_file(folder.path().join("still/model.onnx")).expect("model");
    let speakers = &model.metadata().speakers;
    let all: Vec<String> = (0..4).map(|speaker| format!("speaker-{speaker}")).collect();
    assert_eq!(*speakers, all);
    assert_eq!(
        model.metadata().standardiser,
        before.metadata().standardiser
    );

    // From drawn weights the same epoch ends elsewhere.
    let mut drawn = still.clone();
    drawn.transfer = TransferConfig::default();
    let drawn = train_model(&drawn, &other, None, &at("drawn"), &Silent).expect("a model");
    let features = &data().features[0];
    assert_ne!(
        infer(&after.ensemble, features),
        infer(&drawn.ensemble, features)
    );
}

#[test]
fn a_frozen_stage_does_not_move_and_the_others_do() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let init = first_model(&config(), folder.path());
    let numbers = |path: &Path| {
        let weights = ModelWeights::parse(&std::fs::read(path).expect("a file")).expect("ours");
        let door = Door::new(N_MELS, &[0.0; N_MELS], &[1.0; N_MELS]).expect("a door");
        let rng = &mut StdRng::seed_from_u64(0);
        let fresh = config().network.init(N_MELS, 2, door, rng, &Device::flex());
        let network = weights
            .restore(0, fresh.expect("a network"))
            .expect("the network");
        struct Numbers(Vec<(ParamId, Vec<u32>)>);
        impl ModuleVisitor for Numbers {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                let values = param.val().into_data().try_to_vec::<f32>().expect("floats");
                let bits = values.into_iter().map(f32::to_bits).collect();
                self.0.push((param.id, bits));
            }
        }
        let mut all = Numbers(Vec::new());
        network.visit(&mut all);
        let of = |stage: &Stage| -> Vec<u32> {
            let inside = all.0.iter().filter(|(id, _)| stage.parameters.contains(id));
            inside.flat_map(|(_, bits)| bits.clone()).collect()
        };
        network.stages().iter().map(of).collect::<Vec<_>>()
    };
    let before = numbers(&init);
    assert_eq!(before.len(), 5, "stem, two blocks, pooling, head");
    for (name, freeze, frozen) in [
        ("none", Freeze::Named(NamedFreeze::None), 0),
        ("two", Freeze::Stages(2), 2),
        ("head", Freeze::Named(NamedFreeze::AllButHead), 4),
    ] {
        let mut config = begun(&config(), &init);
        config.transfer.freeze = freeze;
        config.transfer.layer_decay = 0.5;
        let directory = folder.path().join(name);
        train_model(&config, &data(), None, &options(&directory), &Silent).expect("a model");
        let after = numbers(&directory.join("model.onnx"));
        for (stage, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(before == after, stage < frozen, "{name}: stage {stage}");
        }
    }
    let mut config = begun(&config(), &init);
    config.transfer.freeze = Freeze::Stages(5);
    let directory = folder.path().join("all");
    let error = train_model(&config, &data(), None, &options(&directory), &Silent);
    let error = error.expect_err("nothing left to train").to_string();
    assert!(
        error.contains("stem, block 1, block 2, pooling, head"),
        "{error}"
    );
}

#[test]
fn rows_of_known_labels_are_taken_over_by_name() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let init = first_model(&config(), folder.path());
    let before = Recognizer::from_file(&init).expect("the first model");
    let mut still = resting(begun(&config(), &init));
    still.transfer.freeze = Freeze::Named(NamedFreeze::AllButHead);
    let attempt = |name: &str, config: &TrainConfig, labels: &[&str]| {
        let data = relabelled(data(), labels, |clip| clip % labels.len());
        let at = options(&folder.path().join(name));
        train_model(config, &data, None, &at, &Silent).expect("a model")
    };
    // Angry was second and is first; the middle one is new.
    let three = attempt("three", &still, &["angry", "bored", "neutral"]);
    for features in &data().features {
        let theirs = before.logits_from_features(features).expect("logits");
        let ours = infer(&three.ensemble, features);
        assert!((ours[0] - theirs[1]).abs() < 1e-5 && (ours[2] - theirs[0]).abs() < 1e-5);
        assert!((ours[1] - theirs[0]).abs() > 1e-5 && (ours[1] - theirs[1]).abs() > 1e-5);
    }
    // Of another task the same words mean something else.
    let mut sex = still.clone();
    sex.target = "sex".into();
    let other = attempt("sex", &sex, &["neutral", "angry"]);
    let features = &data().features[0];
    let theirs = before.logits_from_features(features).expect("logits");
    assert!((infer(&other.ensemble, features)[0] - theirs[0]).abs() > 1e-5);
}

/// Recordings that nobody says the speaker of may be of the very people tested.
#[test]
fn a_file_that_has_heard_somebody_unnamed_may_have_heard_the_test_speakers() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut copy = of_speakers(&data(), &[0, 1]);
    for utterance in &mut copy.utterances {
        utterance.speaker = "folder-copy-unknown".into();
    }
    let mut first = config();
    first.evaluation.validation_speakers = 0;
    let options_of = |name: &str| options(&folder.path().join(name));
    train_model(&first, &copy, None, &options_of("first"), &Silent).expect("a model");
    let mut begun = begun(&config(), &folder.path().join("first/model.onnx"));
    let attempt = |config: &TrainConfig, name: &str| {
        cross_validate(config, &data(), &Protocol::Loso, &options_of(name), &Silent)
    };
    let error = attempt(&begun, "refused").expect_err("nobody knows");
    assert!(
        matches!(&error, TrainError::SeenSpeakers { unnamed: true, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("whom nobody named"), "{error}");
    begun.transfer.allow_seen_speakers = true;
    let run = attempt(&begun, "allowed").expect("allowed");
    assert!(run.report.provenance.speakers_shared);
}

#[test]
fn a_file_that_has_heard_a_test_speaker_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let init = first_model(&config(), folder.path());
    let config = begun(&config(), &init);
    let attempt = |config: &TrainConfig, name: &str, folds: &[&str]| {
        let options = RunOptions {
            folds: folds.iter().map(|&fold| fold.to_owned()).collect(),
            ..options(&folder.path().join(name))
        };
        cross_validate(config, &data(), &Protocol::Loso, &options, &Silent)
    };
    let error = attempt(&config, "all", &[]).expect_err("two of four folds leak");
    let TrainError::SeenSpeakers {
        fold,
        speakers,
        unnamed: false,
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(
        (fold.as_str(), speakers.as_slice()),
        ("speaker-0", &["speaker-0".to_owned()][..])
    );
    assert!(
        error
            .hint()
            .expect("a hint")
            .contains("--allow-seen-speakers")
    );
    assert!(!folder.path().join("all").exists(), "nothing was written");
    for fold in ["speaker-0", "speaker-1"] {
        assert!(attempt(&config, fold, &[fold]).is_err());
    }

    let unheard = attempt(&config, "clean", &["speaker-2", "speaker-3"]).expect("no leak");
    assert!(!unheard.report.provenance.speakers_shared);
    let model = folder.path().join("clean/speaker-2/model.onnx");
    let speakers = Recognizer::from_file(model).expect("a model");
    let speakers = &speakers.metadata().speakers;
    assert!(
        ["speaker-0", "speaker-1"]
            .iter()
            .all(|s| speakers.iter().any(|t| s == t))
    );
    assert!(!speakers.iter().any(|s| s == "speaker-2"));

    let mut allowed = config.clone();
    allowed.transfer.allow_seen_speakers = true;
    let shared = attempt(&allowed, "shared", &["speaker-0"]).expect("allowed");
    assert!(shared.report.provenance.speakers_shared);
    assert!(
        shared
            .report
            .headline()
            .join(" ")
            .contains("speakers shared")
    );
    // Whether it is said follows from who was heard, not from the permission.
    let clean = attempt(&allowed, "allowed", &["speaker-2"]).expect("allowed");
    assert!(!clean.report.provenance.speakers_shared);

    // What such a model was begun from is remembered: its successor has heard them too.
    let model = folder.path().join("clean/speaker-3/model.onnx");
    let successor = begun(&config, &model);
    assert!(matches!(
        attempt(&successor, "successor", &["speaker-0"]),
        Err(TrainError::SeenSpeakers { .. })
    ));
}

#[test]
fn other_corpora_come_first_without_the_speakers_of_the_fold() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut config = config();
    config.transfer.pretrain = PretrainConfig {
        corpora: vec!["sung".into()],
        epochs: 2,
        ..PretrainConfig::default()
    };
    config.transfer.layer_decay = 0.5;
    let sung = |labels: &[&str]| {
        let mut sung = relabelled(data(), labels, |clip| clip % labels.len());
        for utterance in &mut sung.utterances {
            utterance.corpus = "sung".into();
            utterance.id = format!("sung/{}", utterance.id);
        }
        sung
    };
    let prior = sung(&["angry", "merry"]);
    let attempt = |prior: Option<&Data>, name: &str, progress: &dyn Progress| {
        let options = RunOptions {
            jobs: 1,
            ..options(&folder.path().join(name))
        };
        cross_validate_after(&config, &data(), prior, &Protocol::Loso, &options, progress)
    };
    attempt(Some(&prior), "whole", &Silent).expect("run");
    let manifest = std::fs::read_to_string(folder.path().join("whole/manifest.csv"));
    let manifest = manifest.expect("manifest");
    let mut before = 0;
    for line in manifest.lines().filter(|line| line.ends_with(",before")) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[1], "sung");
        let held = |part: &str| {
            manifest.lines().any(|other| {
                let other: Vec<&str> = other.split(',').collect();
                other[2] == fields[2] && other[4] == fields[4] && other[5] == part
            })
        };
        assert!(!held("test") && !held("validation"), "{line}");
        before += 1;
    }
    assert_eq!(before, 4 * 2 * 8, "two speakers in each of four folds");
    let model = Recognizer::from_file(folder.path().join("whole/speaker-1/model.onnx"));
    let model = model.expect("a model");
    let corpora: Vec<&str> = model
        .metadata()
        .corpora
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!(corpora, ["invented", "sung"]);
    assert!(!model.metadata().speakers.iter().any(|s| s == "speaker-1"));

    // It matters what came first, and a stopped run goes on to the same numbers, from either training.
    attempt(Some(&sung(&["neutral", "angry"])), "other", &Silent).expect("run");
    let scores = |name: &str| predictions(&folder.path().join(name));
    assert_ne!(scores("whole"), scores("other"));
    for epochs in [1, 3, 2] {
        let stop = Stop(epochs.into());
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            attempt(Some(&prior), "stopped", &stop).map(|_| ())
        }));
        assert!(stopped.is_err(), "the test stops the run");
    }
    attempt(Some(&prior), "stopped", &Silent).expect("resumed run");
    assert_eq!(scores("whole"), scores("stopped"));

    // Of nobody, who may be anybody: it was an error about frames.
    let mut nobodys = prior.clone();
    for utterance in &mut nobodys.utterances {
        utterance.speaker = "sung-unknown".into();
    }
    let error = attempt(Some(&nobodys), "nobody", &Silent).expect_err("nothing is left");
    let text = error.to_string();
    assert!(
        text.contains("none of which speaker-0 may learn from"),
        "{text}"
    );
    let mut of_all = config.clone();
    of_all.evaluation.validation_speakers = 0;
    let options_of_all = options(&folder.path().join("everybody"));
    train_model_after(
        &of_all,
        &data(),
        Some(&nobodys),
        None,
        &options_of_all,
        &Silent,
    )
    .expect("nobody is held out");
    let error = attempt(None, "none", &Silent).expect_err("no recordings for it");
    assert!(error.to_string().contains("transfer.pretrain"), "{error}");
    let plain = invented::config();
    let error = cross_validate_after(
        &plain,
        &data(),
        Some(&prior),
        &Protocol::Loso,
        &options(&folder.path().join("unasked")),
        &Silent,
    );
    assert!(error.is_err(), "recordings that nothing asks for");
}

#[test]
fn a_training_from_a_file_resumes_to_the_same_numbers_and_not_from_another_file() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let init = first_model(&config(), folder.path());
    let mut config = begun(&config(), &init);
    config.transfer.freeze = Freeze::Stages(1);
    let attempt = |name: &str, progress: &dyn Progress| {
        let options = RunOptions {
            folds: vec!["speaker-3".into()],
            jobs: 1,
            ..options(&folder.path().join(name))
        };
        cross_validate(&config, &data(), &Protocol::Loso, &options, progress).map(|_| ())
    };
    attempt("whole", &Silent).expect("run");
    let stop = Stop(2.into());
    assert!(catch_unwind(AssertUnwindSafe(|| attempt("stopped", &stop))).is_err());
    attempt("stopped", &Silent).expect("resumed run");
    let scores = |name: &str| predictions(&folder.path().join(name));
    assert_eq!(scores("whole"), scores("stopped"));

    let seeded = TrainConfig {
        seed: 7,
        ..invented::config()
    };
    let other = first_model(&seeded, &folder.path().join("again"));
    std::fs::copy(other, &init).expect("another file in its place");
    assert!(matches!(
        attempt("whole", &Silent),
        Err(TrainError::OtherRun { .. })
    ));
    let recorded = TrainConfig::read(&folder.path().join("whole/config.toml")).expect("config");
    let error = cross_validate(
        &recorded,
        &data(),
        &Protocol::Loso,
        &options(&folder.path().join("whole")),
        &Silent,
    );
    assert!(matches!(error, Err(TrainError::InitChanged { .. })));
}

#[test]
fn files_that_no_training_can_begin_from_are_named() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let init = first_model(&config(), folder.path());
    let attempt = |config: &TrainConfig| {
        let options = options(&folder.path().join("attempt"));
        let result = train_model(config, &data(), None, &options, &Silent);
        let error = result.map(|_| ()).expect_err("an error");
        (error.to_string(), error.hint().unwrap_or_default(), error)
    };
    let mut wider = begun(&config(), &init);
    wider.network = NetworkConfig::ResidualCnn(ResidualCnnConfig {
        channels: vec![5, 8],
        ..ResidualCnnConfig::default()
    });
    let (text, hint, _) = attempt(&wider);
    assert!(
        text.contains("[4, 3, 5, 5]") && text.contains("[5, 3, 5, 5]"),
        "{text}"
    );
    assert!(
        text.contains("channels = [4, 8]") && hint.contains("[network]"),
        "{text} {hint}"
    );

    let mut features = begun(&config(), &init);
    features.front_end.log_floor = 1e-3;
    let (text, hint, error) = attempt(&features);
    assert!(matches!(error, TrainError::InitFrontEnd { .. }));
    let floor = format!("log_floor = {}", f64::from(config().front_end.log_floor));
    assert!(
        text.contains(&floor[..14]) && hint.contains("[front_end]"),
        "{text} {hint}"
    );

    let (text, _, _) = attempt(&begun(&config(), &folder.path().join("absent.onnx")));
    assert!(text.contains("absent.onnx"), "{text}");
    let mut second = begun(&config(), &init);
    second.transfer.init_member = 2;
    assert!(
        attempt(&second)
            .0
            .contains("has 1 network(s), and there is no 2")
    );

    let pair = TrainConfig {
        ensemble: EnsembleConfig {
            seeds: 2,
            ..EnsembleConfig::default()
        },
        ..config()
    };
    let pair = first_model(&pair, &folder.path().join("pair"));
    let (text, hint, _) = attempt(&begun(&config(), &pair));
    assert!(
        text.contains("has 2 network(s), and a training begins from one")
            && hint.contains("--init-member"),
        "{text}"
    );
    // Its networks would be one, and its standardisers are two.
    let [a, b] = [&init, &pair].map(|path| std::fs::read(path).expect("a file"));
    let joined = combine(&[&a, &b], &[0.5, 0.5], "joined", 1.0).expect("a file");
    let path = folder.path().join("joined.onnx");
    std::fs::write(&path, joined.bytes).expect("written");
    let (text, _, _) = attempt(&begun(&config(), &path));
    assert!(text.contains("joined by `vocalics combine`"), "{text}");
    let mut chosen = begun(&config(), &pair);
    chosen.transfer.init_member = 2;
    let options = options(&folder.path().join("chosen"));
    train_model(&chosen, &data(), None, &options, &Silent).expect("a member of it");
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let exp: Vec<f32> = logits.iter().map(|x| x.exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.iter().map(|x| x / sum).collect()
}

/// With all but the head at rest the networks of the model of the program answer together as before. It was refused where they were
/// in eight bits.
#[test]
fn the_shipped_model_can_be_begun_from() {
    let init = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/default.onnx");
    let before = Recognizer::from_file(&init).expect("the shipped model");
    let bytes = dequantise(&std::fs::read(&init).expect("a file")).expect("its weights");
    let members = ModelWeights::parse(&bytes).expect("networks").members();
    let labels: Vec<&str> = before.labels().iter().map(String::as_str).collect();
    let data = relabelled(data(), &labels, |clip| clip % labels.len());
    let mut still = resting(begun(&config(), &init));
    still.front_end = before.metadata().front_end.clone();
    still.network = NetworkConfig::named("cnn-recurrent").expect("its network");
    still.transfer.freeze = Freeze::Named(NamedFreeze::AllButHead);
    let folder = tempfile::tempdir().expect("temporary folder");
    let after: Vec<_> = (1..=members)
        .map(|member| {
            still.transfer.init_member = member;
            let directory = folder.path().join(member.to_string());
            let model = train_model(&still, &data, None, &options(&directory), &Silent);
            let bytes = std::fs::read(directory.join("model.onnx")).expect("a file");
            assert!(ModelWeights::parse(&bytes).expect("ours").has_norms());
            model.expect("a model")
        })
        .collect();
    for features in data.features.iter().step_by(5) {
        let theirs = softmax(&before.logits_from_features(features).expect("logits"));
        let ours = after
            .iter()
            .map(|one| softmax(&infer(&one.ensemble, features)));
        let ours: Vec<Vec<f32>> = ours.collect();
        for (label, theirs) in theirs.iter().enumerate() {
            let mean = ours.iter().map(|scores| scores[label]).sum::<f32>() / members as f32;
            assert!((mean - theirs).abs() < 1e-3, "{mean} {theirs}");
        }
    }
}

/// Weights of one byte are weights to begin from; what was rounded on the way is no part of them.
#[test]
fn a_training_begins_from_a_file_in_eight_bits() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let wide = TrainConfig {
        network: NetworkConfig::ResidualCnn(ResidualCnnConfig {
            channels: vec![16, 24],
            ..ResidualCnnConfig::default()
        }),
        ..config()
    };
    let whole = std::fs::read(first_model(&wide, folder.path())).expect("a file");
    let alone = quantise_weights(&whole).expect("smaller").bytes;
    let rounded = quantise(&whole, &data().features).expect("smaller").bytes;
    let before = Recognizer::from_bytes(alone.clone()).expect("a model");
    let other = of_speakers(&data(), &[2, 3]);
    for (name, bytes) in [("alone", alone), ("rounded", rounded)] {
        let init = folder.path().join(format!("{name}.onnx"));
        std::fs::write(&init, bytes).expect("written");
        let mut still = resting(begun(&wide, &init));
        still.transfer.freeze = Freeze::Named(NamedFreeze::AllButHead);
        let mut described = begun(&config(), &init);
        describe_init(&mut described).expect("it says its network");
        assert_eq!(described.network, wide.network);
        let options = options(&folder.path().join(name));
        let after = train_model(&still, &other, None, &options, &Silent).expect("a model");
        for features in &data().features {
            let theirs = before.logits_from_features(features).expect("logits");
            for (a, b) in infer(&after.ensemble, features).iter().zip(&theirs) {
                assert!((a - b).abs() < 1e-3, "{name}: {a} {b}");
            }
        }
    }
}
