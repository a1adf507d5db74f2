//! Whole runs on invented features: same seed, interruption, refusal, export.

mod invented;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use invented::{Stop, config, data, options, predictions};
use vocalics_corpora::Protocol;
use vocalics_runtime::{Engine, Recognizer};
use vocalics_train::{
    ClassWeights, Data, EnsembleConfig, NetworkConfig, Progress, RunOptions, Sampling, Silent,
    TrainConfig, TrainError, TrainingConfig, Weighting, cross_validate, infer, train_model,
};

fn run(config: &TrainConfig, directory: &Path, progress: &dyn Progress) -> Result<(), TrainError> {
    cross_validate(
        config,
        &data(),
        &Protocol::Loso,
        &options(directory),
        progress,
    )
    .map(|_| ())
}

#[test]
fn the_same_seed_gives_the_same_predictions_and_another_does_not() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    run(&config(), &a, &Silent).expect("run");
    run(&config(), &b, &Silent).expect("run");
    assert_eq!(predictions(&a), predictions(&b));
    run(
        &TrainConfig {
            seed: 2,
            ..config()
        },
        &c,
        &Silent,
    )
    .expect("run");
    assert_ne!(predictions(&a), predictions(&c));
    let written = [
        "config.toml",
        "manifest.csv",
        "history.csv",
        "metrics.json",
        "report.html",
        "confusion.svg",
        "confusion.png",
        "learning-curves.svg",
    ];
    for name in written {
        assert!(a.join(name).is_file(), "{name}");
    }
}

#[test]
fn a_stopped_run_goes_on_to_the_same_numbers() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    run(&config(), &whole, &Silent).expect("run");
    for epochs in [2, 1, 4] {
        let stop = Stop(epochs.into());
        let result = catch_unwind(AssertUnwindSafe(|| {
            // One fold at a time: a fold beside the stopped one would run to its end.
            let options = RunOptions {
                jobs: 1,
                ..options(&stopped)
            };
            cross_validate(&config(), &data(), &Protocol::Loso, &options, &stop).map(|_| ())
        }));
        assert!(result.is_err(), "the test stops the run");
    }
    run(&config(), &stopped, &Silent).expect("resumed run");
    assert_eq!(predictions(&whole), predictions(&stopped));
}

#[test]
fn a_directory_of_another_run_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    run(&config(), folder.path(), &Silent).expect("run");
    let before = predictions(folder.path());
    let other = TrainConfig {
        seed: 9,
        ..config()
    };
    let refused = run(&other, folder.path(), &Silent);
    assert!(
        matches!(refused, Err(TrainError::OtherRun { .. })),
        "{refused:?}"
    );
    assert_eq!(predictions(folder.path()), before);
}

/// What the program cannot see by names, it sees by the files: a test recording under another name, said to be of somebody else.
#[test]
fn a_copy_of_a_test_recording_does_not_train() {
    let mut data = data();
    let name = |index: usize| data.utterances[index].id.clone();
    let (tested, copy) = (name(0), name(9));
    data.contents = (0..data.utterances.len())
        .map(|index| [u8::try_from(if index == 9 { 0 } else { index }).expect("few"); 32])
        .collect();
    assert_ne!(data.utterances[0].speaker, data.utterances[9].speaker);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(folder.path());
    cross_validate(&config(), &data, &Protocol::Loso, &options, &Silent).expect("run");
    let manifest = std::fs::read_to_string(folder.path().join("manifest.csv")).expect("manifest");
    let parts = |id: &str, fold: &str| -> Vec<&str> {
        let rows = manifest
            .lines()
            .map(|row| row.split(',').collect::<Vec<_>>());
        rows.filter(|row| row[0] == id && row[4] == fold)
            .map(|row| row[5])
            .collect()
    };
    assert_eq!(parts(&tested, "speaker-0"), ["test"]);
    assert!(parts(&copy, "speaker-0").is_empty());
    assert_eq!(parts(&copy, "speaker-1"), ["test"]);
    assert!(parts(&tested, "speaker-1").is_empty());
}

#[test]
fn a_run_of_other_recordings_or_of_another_kind_leaves_a_directory_as_it_is() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(folder.path());
    let mut data = data();
    data.contents = vec![[1; 32]; data.utterances.len()];
    for (place, content) in data.contents.iter_mut().enumerate() {
        content[0] = u8::try_from(place).expect("few");
    }
    let measure = |data: &Data| cross_validate(&config(), data, &Protocol::Loso, &options, &Silent);
    measure(&data).expect("run");
    let files = ["manifest.csv", "history.csv", "predictions.csv"];
    let read = || files.map(|it| std::fs::read(folder.path().join(it)).expect("a file"));
    let before = read();
    // The same names, another loudness.
    let mut louder = data.clone();
    louder.contents[5] = [9; 32];
    let refused = measure(&louder).map(|_| ());
    assert!(
        matches!(refused, Err(TrainError::OtherRun { .. })),
        "{refused:?}"
    );
    let refused = train_model(&config(), &data, None, &options, &Silent).map(|_| ());
    assert!(
        matches!(refused, Err(TrainError::OtherRun { .. })),
        "{refused:?}"
    );
    assert!(before == read());
    measure(&data).expect("the same run");
    assert_ne!(data.hash(), louder.hash());
}

#[test]
fn impossible_runs_are_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(folder.path());
    let attempt = |config: &TrainConfig, data: &Data| {
        cross_validate(config, data, &Protocol::Loso, &options, &Silent).map(|_| ())
    };
    let mut one_speaker = data();
    one_speaker
        .utterances
        .iter_mut()
        .for_each(|u| u.speaker = "only".into());
    assert!(matches!(
        attempt(&config(), &one_speaker),
        Err(TrainError::Corpus(_))
    ));

    let mut empty_class = data();
    empty_class.classes.iter_mut().for_each(|class| *class = 0);
    let error = attempt(&config(), &empty_class).expect_err("an empty class");
    assert!(
        error
            .to_string()
            .contains("no training clip of class angry"),
        "{error}"
    );

    let mut explosive = config();
    explosive.name = "explosive".into();
    let mut not_a_number = data();
    not_a_number
        .features
        .iter_mut()
        .for_each(|f| f.as_mut_slice().fill(f32::NAN));
    let folder = tempfile::tempdir().expect("temporary folder");
    let result = run_on(&explosive, &not_a_number, folder.path());
    assert!(result.is_err());

    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").expect("a file");
    let error = run(&config(), &file, &Silent).expect_err("a file where the directory would be");
    assert!(matches!(error, TrainError::Io { .. }), "{error:?}");
    assert!(error.hint().is_some());
}

fn run_on(config: &TrainConfig, data: &Data, directory: &Path) -> Result<(), TrainError> {
    cross_validate(config, data, &Protocol::Loso, &options(directory), &Silent).map(|_| ())
}

#[test]
fn the_exported_file_gives_the_networks_scores_at_any_length() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = data();
    let model = train_model(&config(), &data, None, &options(folder.path()), &Silent)
        .expect("a trained model");
    let recognizer = Recognizer::from_file(folder.path().join("model.onnx")).expect("model.onnx");
    assert_eq!(recognizer.labels(), data.labels.as_slice());
    assert!(
        recognizer
            .metadata()
            .speakers
            .iter()
            .any(|s| s == "speaker-3")
    );
    for features in &data.features {
        let ours = infer(&model.ensemble, features);
        let theirs = recognizer.logits_from_features(features).expect("logits");
        for (a, b) in ours.iter().zip(&theirs) {
            assert!(
                (a - b).abs() < 1e-4,
                "{a} {b} at {} frames",
                features.n_frames()
            );
        }
    }
    assert!(model.history.last().expect("history").train_loss < model.history[0].train_loss);
}

#[test]
fn a_class_can_be_thinned_in_the_training_part_alone() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let thinned = |keep: &[(&str, f64)]| TrainConfig {
        training: TrainingConfig {
            keep: keep
                .iter()
                .map(|(class, share)| ((*class).to_owned(), *share))
                .collect(),
            sampling: Sampling::Balanced,
            focal_gamma: 1.0,
            logit_adjustment: 0.5,
            class_weights: ClassWeights::None,
            ..config().training
        },
        ..config()
    };
    run(&thinned(&[("angry", 0.25)]), folder.path(), &Silent).expect("run");
    let manifest = std::fs::read_to_string(folder.path().join("manifest.csv")).expect("manifest");
    let count = |class: &str, part: &str| {
        let end = format!(",{class},");
        manifest
            .lines()
            .filter(|line| line.contains(&end) && line.ends_with(part))
            .count()
    };
    // Four folds, two training speakers with four clips of a class each.
    assert_eq!(count("neutral", ",train"), 4 * 8);
    assert_eq!(count("angry", ",train"), 4 * 2);
    for part in [",validation", ",test"] {
        assert_eq!(count("angry", part), count("neutral", part));
    }
    let unknown = run(
        &thinned(&[("bored", 0.5)]),
        &folder.path().join("other"),
        &Silent,
    );
    assert!(
        unknown
            .expect_err("no such class")
            .to_string()
            .contains("bored")
    );
}

/// Trainings of an ensemble of four in four folds that have not reached their last epoch.
fn trainings_left(directory: &Path) -> usize {
    let done = |folder: std::path::PathBuf| {
        std::fs::read_to_string(folder.join("history.csv"))
            .is_ok_and(|text| text.lines().count() == 4)
    };
    let folds = (0..4).map(|fold| directory.join(format!("speaker-{fold}")));
    folds
        .flat_map(|fold| {
            (1..=4).map(move |network| match network {
                1 => fold.clone(),
                network => fold.join(format!("network-{network}")),
            })
        })
        .filter(|folder| !done(folder.clone()))
        .count()
}

/// A file of folds under one name, read again after it was edited.
#[test]
fn a_checkpoint_of_another_split_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("mine.csv");
    let data = data();
    let write = |test: &str| {
        let mut text = String::from("id,fold,part\n");
        for utterance in &data.utterances {
            let part = if utterance.speaker == test {
                "test"
            } else {
                "train"
            };
            text += &format!("{},only,{part}\n", utterance.id);
        }
        std::fs::write(&file, text).expect("a file of folds");
        Protocol::from_name_or_file(file.to_str().expect("UTF-8")).expect("a protocol")
    };
    let directory = folder.path().join("run");
    let attempt = |protocol: &Protocol| {
        cross_validate(&config(), &data, protocol, &options(&directory), &Silent).map(|_| ())
    };
    attempt(&write("speaker-0")).expect("run");
    attempt(&write("speaker-0")).expect("the same run");
    let refused = attempt(&write("speaker-1"));
    assert!(
        matches!(refused, Err(TrainError::OtherRun { .. })),
        "{refused:?}"
    );
}

#[test]
fn shares_cannot_be_fitted_without_validation_clips() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut config = config();
    config.evaluation.validation_speakers = 0;
    config.ensemble.seeds = 2;
    config.ensemble.weighting = Weighting::Validation;
    let error = run(&config, folder.path(), &Silent).expect_err("nothing to fit on");
    assert!(error.to_string().contains("no validation clips"), "{error}");
}

#[test]
fn an_ensemble_is_one_model_and_resumes_like_one() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = TrainConfig {
        ensemble: EnsembleConfig {
            seeds: 2,
            weighting: Weighting::Validation,
            networks: vec![NetworkConfig::named("temporal").expect("a network of that name")],
        },
        ..config()
    };
    let data = data();
    let directory = folder.path().join("whole");
    let options = RunOptions {
        jobs: 3,
        ..options(&directory)
    };
    let model = train_model(&config, &data, None, &options, &Silent).expect("an ensemble");
    assert_eq!(model.ensemble.members().len(), 4);
    let weights = model.ensemble.weights();
    assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-4);
    assert!(
        weights.iter().any(|w| (w - 0.25).abs() > 1e-3),
        "{weights:?}"
    );
    // Each network has numbers of its own.
    let alone: Vec<Vec<f32>> = model
        .ensemble
        .members()
        .iter()
        .map(|network| infer(&network.clone().into(), &data.features[3]))
        .collect();
    for (i, a) in alone.iter().enumerate() {
        assert!(alone[..i].iter().all(|b| a != b));
    }
    let softmax = |logits: &[f32]| -> Vec<f32> {
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        logits.iter().map(|x| x.exp() / sum).collect()
    };
    let together = softmax(&infer(&model.ensemble, &data.features[3]));
    for (class, score) in together.iter().enumerate() {
        let mean: f32 = alone
            .iter()
            .zip(weights)
            .map(|(logits, weight)| weight * softmax(logits)[class])
            .sum();
        assert!((score - mean).abs() < 1e-5, "{score} {mean}");
    }
    let recognizer = Recognizer::from_file(directory.join("model.onnx")).expect("model.onnx");
    assert_eq!(recognizer.engine(), Engine::Native);
    for features in &data.features {
        let theirs = recognizer.logits_from_features(features).expect("logits");
        for (a, b) in infer(&model.ensemble, features).iter().zip(&theirs) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
    }

    let (whole, stopped) = (folder.path().join("a"), folder.path().join("b"));
    run(&config, &whole, &Silent).expect("run");
    for epochs in [7, 10] {
        let stop = Stop(epochs.into());
        let attempt = catch_unwind(AssertUnwindSafe(|| run(&config, &stopped, &stop)));
        assert!(attempt.is_err(), "the test stops the run");
        let left = trainings_left(&stopped);
        assert!(left > 4, "others went on after the stop: {left} of 16 left");
    }
    run(&config, &stopped, &Silent).expect("resumed run");
    assert_eq!(predictions(&whole), predictions(&stopped));
}
