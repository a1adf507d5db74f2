//! Searches on invented features: what they choose, that they go on, and that no test clip counts.

mod invented;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use invented::{N_MELS, Stop, config, data, options, predictions};
use vocalics_corpora::Protocol;
use vocalics_eval::HistoryRow;
use vocalics_features::FeatureMatrix;
use vocalics_train::tune::{Objective, TuneConfig, TuneOutcome, tune};
use vocalics_train::{Data, Progress, RunOptions, Silent, TrainConfig, TrainError, TrainingConfig};

fn search(course: &str) -> TuneConfig {
    let text = format!(
        "[search]\nvalidation_speakers = 1\n{course}
        [[parameter]]\nname = 'training.learning_rate'\nrange = [1e-6, 1e-2]\nscale = 'log'
        [[parameter]]\nname = 'network.attention'\nvalues = [4, 8]"
    );
    TuneConfig {
        config: TrainConfig {
            corpora: vec!["ravdess-speech".into()],
            training: TrainingConfig {
                epochs: 4,
                ..config().training
            },
            ..config()
        },
        ..toml::from_str(&text).expect("a search")
    }
}

fn run_with(
    search: &TuneConfig,
    nested: bool,
    folder: &Path,
    jobs: usize,
    data: &Data,
    progress: &dyn Progress,
) -> Result<TuneOutcome, TrainError> {
    let options = RunOptions {
        folds: vec!["speaker-1".into(), "speaker-3".into()],
        jobs,
        ..options(folder)
    };
    let load = |_: &TrainConfig| Ok(data.clone());
    tune(search, &Protocol::Loso, nested, &options, &load, progress)
}

fn trials(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("trials.csv")).expect("trials.csv");
    // Without the seconds.
    let line = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        [&cells[..5], &cells[6..]].concat().join(",")
    };
    text.lines().map(line).collect()
}

/// Counts the epochs that are trained.
#[derive(Default)]
struct Epochs(AtomicUsize);

impl Progress for Epochs {
    fn epoch(&self, _: &HistoryRow) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_search_goes_on_where_it_was_and_does_not_depend_on_the_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data();
    let at = |name: &str| folder.path().join(name);
    let few = search("strategy = 'tpe'\ntrials = 4\nstartup = 3\nbatch = 2");
    let more = search("strategy = 'tpe'\ntrials = 6\nstartup = 3\nbatch = 2");
    let epochs = Epochs::default();
    run_with(&few, false, &at("steps"), 2, &data, &epochs).expect("a search");
    assert_eq!(epochs.0.swap(0, Ordering::Relaxed), 4 * 2 * 4);
    let outcome = run_with(&more, false, &at("steps"), 1, &data, &epochs).expect("the same");
    // Four trials are known, two are new.
    assert_eq!(epochs.0.load(Ordering::Relaxed), 2 * 2 * 4);
    run_with(&more, false, &at("whole"), 3, &data, &Silent).expect("a search");
    assert_eq!(trials(&at("steps")), trials(&at("whole")));
    assert_eq!(trials(&at("whole")).len(), 1 + 6);
    let best = TrainConfig::read(&at("steps").join("best.toml")).expect("best.toml");
    assert_eq!(best, outcome.found[0].config);
    let winner = outcome.found[0].ranked(Objective::Uar)[0];
    assert!(
        outcome.found[0]
            .trials
            .iter()
            .all(|trial| trial.uar <= winner.uar)
    );
    assert!(outcome.test.is_none() && !at("steps").join("test").exists());
    assert!(at("steps").join("search.png").exists());
}

#[test]
fn a_nested_search_that_was_stopped_gives_the_same_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data();
    let search = search("strategy = 'random'\ntrials = 2");
    let (whole, stopped) = (folder.path().join("whole"), folder.path().join("stopped"));
    run_with(&search, true, &whole, 2, &data, &Silent).expect("a search");
    // In the first trial, in the third, and in a test: each trial has four epochs.
    for epochs in [3, 6, 9] {
        let stop = Stop(epochs.into());
        let attempt = AssertUnwindSafe(|| run_with(&search, true, &stopped, 1, &data, &stop));
        assert!(catch_unwind(attempt).is_err(), "the test stops the search");
    }
    run_with(&search, true, &stopped, 1, &data, &Silent).expect("resumed");
    assert_eq!(trials(&whole), trials(&stopped));
    assert_eq!(
        predictions(&whole.join("test")),
        predictions(&stopped.join("test"))
    );
}

/// One that has seen the test would choose by it.
#[test]
fn a_nested_search_that_was_tested_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data();
    let few = search("strategy = 'random'\ntrials = 1");
    let more = search("strategy = 'random'\ntrials = 2");
    let attempt = |search: &TuneConfig| run_with(search, true, folder.path(), 2, &data, &Silent);
    attempt(&few).expect("a search");
    let before = trials(folder.path());
    let error = attempt(&more).expect_err("over");
    assert!(matches!(error, TrainError::Tested { .. }), "{error}");
    assert_eq!(trials(folder.path()), before);
    attempt(&few).expect("the same search");
}

#[test]
fn a_trial_that_diverges_is_a_poor_one_and_equal_trials_are_one_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut search = search("strategy = 'random'\ntrials = 6");
    search.parameters.truncate(1);
    search.parameters[0].range = None;
    search.parameters[0].values = [1e-3, 1e30].map(Into::into).to_vec();
    let epochs = Epochs::default();
    let outcome = run_with(&search, false, folder.path(), 2, &data(), &epochs).expect("a search");
    let trials = &outcome.found[0].trials;
    let [poor, good]: [Vec<_>; 2] =
        [true, false].map(|poor| trials.iter().filter(|t| (t.uar < 1e-9) == poor).collect());
    assert!(
        !poor.is_empty() && good.len() > 1,
        "{} {}",
        poor.len(),
        good.len()
    );
    assert!(poor.iter().all(|trial| trial.nll > 30.0));
    assert!(
        good.iter()
            .all(|trial| trial.uar.to_bits() == good[0].uar.to_bits())
    );
    assert_eq!(
        outcome.found[0].config.training.learning_rate.to_string(),
        "0.001"
    );
    // The good configuration once on two folds, and what the other did before its loss was no number.
    let trained = epochs.0.into_inner();
    assert!((8..16).contains(&trained), "{trained} epochs");
}

#[test]
fn halving_keeps_the_better_part_and_gives_it_more_epochs() {
    let folder = tempfile::tempdir().expect("a folder");
    let search =
        search("strategy = 'halving'\ntrials = 6\nfirst_epochs = 1\neta = 2\nobjective = 'nll'");
    let outcome = run_with(&search, false, folder.path(), 2, &data(), &Silent).expect("a search");
    let found = &outcome.found[0];
    let of = |round: usize| -> Vec<_> {
        found
            .trials
            .iter()
            .filter(|trial| trial.round == round)
            .collect()
    };
    let shape: Vec<(usize, usize)> = (0..3).map(|r| (of(r).len(), of(r)[0].epochs)).collect();
    assert_eq!(shape, [(6, 1), (3, 2), (2, 4)]);
    let worst_kept = of(1).iter().map(|t| t.number).collect::<Vec<_>>();
    for dropped in of(0)
        .iter()
        .filter(|trial| !worst_kept.contains(&trial.number))
    {
        for kept in of(0)
            .iter()
            .filter(|trial| worst_kept.contains(&trial.number))
        {
            assert!(kept.nll <= dropped.nll);
        }
    }
    assert_eq!(found.ranked(Objective::Nll)[0].round, 2);
}

/// The validation speakers decide, the test speaker has no say: with his clips exchanged for noise the searches are the same.
#[test]
fn a_nested_search_does_not_see_its_test_clips() {
    let folder = tempfile::tempdir().expect("a folder");
    let search = search("strategy = 'tpe'\ntrials = 4\nstartup = 2\nbatch = 1");
    let run = |name: &str, data: &Data| {
        run_with(&search, true, &folder.path().join(name), 2, data, &Silent).expect("a search")
    };
    let honest = run("honest", &data());
    let test = honest.test.as_ref().expect("a test");
    assert_eq!(test.report.provenance.folds, 2);
    assert_eq!(test.predictions.rows.len(), 16);
    assert_eq!(honest.found.len(), 2);
    for found in &honest.found {
        let mut changed = data();
        for (utterance, features) in changed.utterances.iter().zip(&mut changed.features) {
            if utterance.speaker == found.name {
                let noise = features
                    .as_slice()
                    .iter()
                    .map(|x| (x * 1e4).sin())
                    .collect();
                *features = FeatureMatrix::new(noise, N_MELS).expect("whole rows");
            }
        }
        let other = run(&format!("without-{}", found.name), &changed);
        let of = |outcome: &TuneOutcome| {
            let found = outcome.found.iter().find(|other| other.name == found.name);
            let found = found.expect("the fold's search").clone();
            let scores: Vec<(f64, f64)> = found.trials.iter().map(|t| (t.uar, t.nll)).collect();
            (scores, found.config)
        };
        assert_eq!(of(&honest), of(&other));
        let scores = |outcome: &TuneOutcome| {
            let rows = outcome
                .test
                .as_ref()
                .expect("a test")
                .predictions
                .rows
                .clone();
            rows.into_iter()
                .filter(|row| row.fold == found.name)
                .map(|row| row.scores)
                .collect::<Vec<_>>()
        };
        assert_ne!(scores(&honest), scores(&other));
    }
}

#[test]
fn a_search_without_validation_speakers_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut search = search("trials = 2");
    search.search.validation_speakers = 3;
    let error = run_with(&search, false, folder.path(), 1, &data(), &Silent).expect_err("refused");
    assert!(error.to_string().contains("speaker"), "{error}");
}
