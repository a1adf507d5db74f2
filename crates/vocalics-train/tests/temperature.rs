//! Temperatures of models that train on everybody: from clips of another fold, and never from what the fold tests.

#[expect(dead_code, reason = "other tests need the rest")]
mod invented;

use std::collections::BTreeMap;
use std::path::Path;

use invented::{config, data, options};
use vocalics_corpora::Protocol;
use vocalics_eval::{Predictions, Report};
use vocalics_runtime::Recognizer;
use vocalics_train::{
    CrossValidation, Data, EvaluationConfig, Progress, RunOptions, Silent, TemperatureFrom,
    TrainConfig, TrainError, cross_validate, train_model,
};

fn paired() -> TrainConfig {
    let config = config();
    TrainConfig {
        evaluation: EvaluationConfig {
            validation_speakers: 0,
            temperature: TemperatureFrom::PairedFolds,
            ..config.evaluation
        },
        ..config
    }
}

fn run(
    config: &TrainConfig,
    data: &Data,
    options: &RunOptions,
) -> Result<CrossValidation, TrainError> {
    cross_validate(config, data, &Protocol::Loso, options, &Silent)
}

fn temperature_in(model: &Path) -> f32 {
    let recognizer = Recognizer::from_file(model).expect("a model");
    recognizer.metadata().temperature
}

#[test]
fn every_fold_has_its_temperature_from_clips_of_another() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = data();
    let measured = run(&paired(), &data, &options(folder.path())).expect("a run");
    let report = Report::read_json(&folder.path().join("metrics.json")).expect("metrics");
    assert_eq!(report, measured.report);
    assert_eq!(report.temperatures.len(), 4);
    let partner = [1, 0, 3, 2];
    for (speaker, other) in partner.into_iter().enumerate() {
        let fold = folder.path().join(format!("speaker-{speaker}"));
        let temperature = report.temperatures[&format!("speaker-{speaker}")];
        assert!(temperature.is_finite() && temperature > 0.0);
        let model = temperature_in(&fold.join("model.onnx"));
        assert!((model - temperature).abs() < 1e-6);
        let held_out = Predictions::read_csv(&fold.join("held-out.csv")).expect("held-out.csv");
        assert_eq!(held_out.rows.len(), 8);
        for row in &held_out.rows {
            assert_eq!(row.speaker, format!("speaker-{other}"));
        }
    }
    let manifest = std::fs::read_to_string(folder.path().join("manifest.csv")).expect("manifest");
    let part = |speaker: u8, fold: &str, part: &str| {
        let row = format!("invented/{speaker}-0,invented,speaker-{speaker},neutral,{fold},{part}");
        manifest.lines().any(|line| line == row)
    };
    for speaker in 0..4 {
        let left_out = speaker < 2;
        assert_eq!(part(speaker, "speaker-0+speaker-1", "held-out"), left_out);
        assert_eq!(part(speaker, "speaker-0+speaker-1", "train"), !left_out);
        assert!(!part(speaker, "speaker-0+speaker-1", "test"));
    }

    // One fold alone has the same.
    let alone = tempfile::tempdir().expect("temporary folder");
    let options = RunOptions {
        folds: vec!["speaker-2".into()],
        ..options(alone.path())
    };
    let one = run(&paired(), &data, &options).expect("a run").report;
    let expected = report.temperatures["speaker-2"];
    assert_eq!(
        one.temperatures,
        BTreeMap::from([("speaker-2".to_owned(), expected)])
    );
}

/// The rule that everything else stands on: what a fold tests could say anything, its temperature is the same.
#[test]
fn what_a_fold_tests_has_no_part_in_its_temperature() {
    let honest = data();
    let mut lying = honest.clone();
    for (class, utterance) in lying.classes.iter_mut().zip(&honest.utterances) {
        if utterance.speaker == "speaker-1" {
            *class = 1 - *class;
        }
    }
    for features in lying.features.iter_mut().skip(8).take(8) {
        features.as_mut_slice().iter_mut().for_each(|x| *x *= 1.5);
    }
    let temperatures = [&honest, &lying].map(|data| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let measured = run(&paired(), data, &options(folder.path())).expect("a run");
        measured.report.temperatures
    });
    let of = |fold: &str| temperatures.each_ref().map(|all| all[fold].to_bits());
    let [before, after] = of("speaker-1");
    assert_eq!(before, after);
    for fold in ["speaker-0", "speaker-2", "speaker-3"] {
        let [before, after] = of(fold);
        assert_ne!(before, after, "{fold} hears speaker-1");
    }
}

#[test]
fn an_odd_fold_takes_the_first_for_its_partner_and_one_alone_has_none() {
    let mut three = data();
    for utterance in &mut three.utterances {
        if utterance.speaker == "speaker-3" {
            utterance.speaker = "speaker-2".into();
        }
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let measured = run(&paired(), &three, &options(folder.path())).expect("a run");
    assert_eq!(measured.report.temperatures.len(), 3);
    let held_out = folder.path().join("speaker-2/held-out.csv");
    let held_out = Predictions::read_csv(&held_out).expect("held-out.csv");
    assert!(held_out.rows.iter().all(|row| row.speaker == "speaker-0"));

    let alone = tempfile::tempdir().expect("temporary folder");
    let protocol = Protocol::Random8020;
    let options = options(alone.path());
    let error = cross_validate(&paired(), &data(), &protocol, &options, &Silent);
    let error = error.expect_err("one fold").to_string();
    assert!(error.contains("under a protocol with one fold"), "{error}");
    assert!(!alone.path().join("config.toml").exists());
    let mut twice = paired();
    twice.evaluation.repeats = 2;
    let measured = cross_validate(&twice, &data(), &protocol, &options, &Silent);
    assert_eq!(measured.expect("a run").report.temperatures.len(), 2);
}

/// Keeps what it is warned of.
#[derive(Default)]
struct Warned(std::sync::Mutex<Vec<String>>);

impl Progress for Warned {
    fn warning(&self, text: &str) {
        self.0.lock().expect("no panic").push(text.to_owned());
    }
}

#[test]
fn a_model_of_everybody_takes_its_temperature_from_an_evaluation() {
    let [run_folder, with, without] =
        [(); 3].map(|()| tempfile::tempdir().expect("temporary folder"));
    let data = data();
    let report = run(&paired(), &data, &options(run_folder.path()));
    let report = report.expect("a run").report;
    let product: f32 = report.temperatures.values().product();
    let told = Warned::default();
    let trained = |report: Option<&Report>, folder: &Path| {
        train_model(&paired(), &data, report, &options(folder), &told).expect("a model");
        temperature_in(&folder.join("model.onnx"))
    };
    let found = trained(Some(&report), with.path());
    assert!((found - product.powf(0.25)).abs() < 1e-4, "{found}");
    assert!(told.0.lock().expect("no panic").is_empty());
    let found = trained(None, without.path());
    assert!((found - 1.0).abs() < 1e-6, "{found}");
    let said = told.0.lock().expect("no panic").join(" ");
    assert!(said.contains("nothing fits the temperature"), "{said}");
}
