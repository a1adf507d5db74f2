//! Students: they learn from the teacher of their own fold or of a file, fit a small file, and leak no speaker.

mod invented;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use invented::{Stop, config, data, options, predictions};
use vocalics_corpora::Protocol;
use vocalics_models::{LightCnnConfig, ResidualCnnConfig};
use vocalics_runtime::Recognizer;
use vocalics_train::{
    DistillationConfig, EnsembleConfig, NetworkConfig, Progress, RunOptions, Silent, TrainConfig,
    TrainError, cross_validate, infer, train_model,
};

fn student() -> NetworkConfig {
    NetworkConfig::LightCnn(LightCnnConfig {
        parallel: 3,
        channels: vec![6],
        last: 8,
        ..LightCnnConfig::default()
    })
}

/// Two networks teach a small one.
fn taught(distillation: DistillationConfig) -> TrainConfig {
    TrainConfig {
        ensemble: EnsembleConfig {
            seeds: 2,
            ..EnsembleConfig::default()
        },
        distillation: Some(DistillationConfig {
            student: Some(student()),
            ..distillation
        }),
        ..config()
    }
}

fn run(config: &TrainConfig, directory: &Path, progress: &dyn Progress) -> Result<(), TrainError> {
    let options = RunOptions {
        folds: vec!["speaker-1".into()],
        jobs: 1,
        ..options(directory)
    };
    cross_validate(config, &data(), &Protocol::Loso, &options, progress).map(|_| ())
}

#[test]
fn the_student_answers_and_the_teacher_is_measured_beside_it() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = options(folder.path());
    let config = taught(DistillationConfig::default());
    let outcome = cross_validate(&config, &data(), &Protocol::Loso, &options, &Silent);
    let outcome = outcome.expect("run");
    let teacher = outcome.teacher.expect("the teacher's numbers");
    assert_eq!(teacher.metrics.n, outcome.report.metrics.n);
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    let (ours, theirs) = (read("predictions.csv"), read("teacher-predictions.csv"));
    assert_eq!(ours.lines().count(), theirs.lines().count());
    assert_ne!(ours, theirs);
    assert!(folder.path().join("teacher-metrics.json").is_file());
    assert!(read("report.html").contains("teacher"));

    let load = |name: &str| Recognizer::from_file(folder.path().join("speaker-1").join(name));
    let (model, teacher) = (load("model.onnx"), load("teacher.onnx"));
    let size = |name: &str| {
        let path = folder.path().join("speaker-1").join(name);
        std::fs::metadata(path).expect("a file").len()
    };
    assert!(size("model.onnx") < size("teacher.onnx"));
    let (model, teacher) = (model.expect("the student"), teacher.expect("the teacher"));
    assert_eq!(model.metadata().speakers, teacher.metadata().speakers);
    // Two networks of the teacher and the student, three epochs each, in every fold.
    assert_eq!(outcome.history.len(), 4 * 3 * 3);
    assert!(outcome.history.iter().any(|row| row.network == 3));
}

#[test]
fn what_the_teacher_says_makes_the_student() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let attempt = |name: &str, config: &TrainConfig| {
        run(config, &folder.path().join(name), &Silent).expect("run");
        predictions(&folder.path().join(name))
    };
    let half = DistillationConfig::default();
    let whole = DistillationConfig {
        weight: 1.0,
        ..half.clone()
    };
    let hot = DistillationConfig {
        temperature: 6.0,
        ..half.clone()
    };
    let first = attempt("half", &taught(half.clone()));
    assert_eq!(first, attempt("again", &taught(half.clone())));
    assert_ne!(first, attempt("whole", &taught(whole)));
    assert_ne!(first, attempt("hot", &taught(hot)));
    // All else equal, another teacher makes another student.
    let mut other = taught(half);
    other.network = NetworkConfig::ResidualCnn(ResidualCnnConfig {
        channels: vec![5, 8],
        attention: 8,
        ..ResidualCnnConfig::default()
    });
    assert_ne!(first, attempt("other", &other));
}

/// A student that hears nothing but its teacher comes to answer like it.
#[test]
fn a_student_comes_near_its_teacher() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let teacher = TrainConfig {
        training: vocalics_train::TrainingConfig {
            epochs: 12,
            ..config().training
        },
        ..config()
    };
    let data = data();
    let model = train_model(
        &teacher,
        &data,
        None,
        &options(&folder.path().join("t")),
        &Silent,
    );
    let model = model.expect("a teacher");
    let distance = |epochs: usize| {
        let mut config = teacher.clone();
        config.network = student();
        config.training.epochs = epochs;
        config.training.learning_rate = 1e-2;
        config.distillation = Some(DistillationConfig {
            weight: 1.0,
            temperature: 1.0,
            teacher: folder.path().join("t/model.onnx"),
            ..DistillationConfig::default()
        });
        let at = options(&folder.path().join(format!("s{epochs}")));
        let student = train_model(&config, &data, None, &at, &Silent).expect("a student");
        let mut sum = 0.0;
        for features in &data.features {
            let scores = |logits: Vec<f32>| 1.0 / (1.0 + (logits[0] - logits[1]).exp());
            let (ours, theirs) = (
                scores(infer(&student.ensemble, features)),
                scores(infer(&model.ensemble, features)),
            );
            sum += (ours - theirs).abs();
        }
        sum / data.features.len() as f32
    };
    let (early, late) = (distance(1), distance(30));
    assert!(late < 0.5 * early, "{early} {late}");
}

#[test]
fn a_stopped_student_goes_on_to_the_same_numbers() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let config = taught(DistillationConfig::default());
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    run(&config, &whole, &Silent).expect("run");
    for epochs in [5, 3] {
        let stop = Stop(epochs.into());
        let attempt = catch_unwind(AssertUnwindSafe(|| run(&config, &stopped, &stop)));
        assert!(attempt.is_err(), "the test stops the run");
    }
    run(&config, &stopped, &Silent).expect("resumed run");
    assert_eq!(predictions(&whole), predictions(&stopped));
}

#[test]
fn a_teacher_file_that_has_heard_a_test_speaker_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let first = folder.path().join("first");
    run(&config(), &first, &Silent).expect("a run without speaker-1");
    let config = TrainConfig {
        network: student(),
        distillation: Some(DistillationConfig {
            teacher: first.join("speaker-1/model.onnx"),
            ..DistillationConfig::default()
        }),
        ..config()
    };
    let attempt = |config: &TrainConfig, name: &str, fold: &str| {
        let options = RunOptions {
            folds: vec![fold.into()],
            ..options(&folder.path().join(name))
        };
        cross_validate(config, &data(), &Protocol::Loso, &options, &Silent)
    };
    let clean = attempt(&config, "clean", "speaker-1").expect("it has not heard speaker-1");
    assert!(!clean.report.provenance.speakers_shared);
    assert!(matches!(
        attempt(&config, "leak", "speaker-2"),
        Err(TrainError::SeenSpeakers { .. })
    ));
    let mut allowed = config.clone();
    if let Some(distillation) = &mut allowed.distillation {
        distillation.allow_seen_speakers = true;
    }
    let shared = attempt(&allowed, "shared", "speaker-2").expect("allowed");
    assert!(shared.report.provenance.speakers_shared);
    let model = Recognizer::from_file(folder.path().join("shared/speaker-2/model.onnx"));
    let model = model.expect("a model");
    assert!(model.metadata().speakers.iter().any(|s| s == "speaker-2"));

    let mut relabelled = data();
    let labels = vec!["neutral".into(), "sad".into()];
    relabelled.labels = vocalics_corpora::LabelSet::new(labels).expect("labels");
    let at = options(&folder.path().join("labels"));
    let error = train_model(&config, &relabelled, None, &at, &Silent).map(|_| ());
    let error = error.expect_err("other labels").to_string();
    assert!(
        error.contains("neutral, angry") && error.contains("neutral, sad"),
        "{error}"
    );
}

/// `docs/transfer.md` promises a student of one megabyte with eight labels.
#[test]
fn the_documented_student_fits_a_megabyte() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/transfer.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, rest) = page
        .split_once("[distillation.student]\n")
        .expect("an example");
    let (table, _) = rest.split_once("```").expect("its end");
    let network: NetworkConfig = toml::from_str(table).expect("a network");
    let labels: Vec<String> = (0..8).map(|label| format!("label-{label}")).collect();
    let mut data = data();
    data.labels = vocalics_corpora::LabelSet::new(labels).expect("labels");
    for clip in 0..data.classes.len() {
        data.classes[clip] = clip % 8;
    }
    let mut config = config();
    config.network = network;
    config.training.epochs = 1;
    let folder = tempfile::tempdir().expect("temporary folder");
    train_model(&config, &data, None, &options(folder.path()), &Silent).expect("a model");
    let file = std::fs::metadata(folder.path().join("model.onnx")).expect("a file");
    assert!(file.len() < 1_000_000, "{} bytes", file.len());
}
