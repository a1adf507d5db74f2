//! Metrics, intervals and temperature against scikit-learn, SciPy and NumPy (`golden/metrics.py`).

use std::path::Path;

use serde::Deserialize;
use vocalics_eval::{Metrics, Predictions, Scored, bootstrap_intervals, evaluate, fit_temperature};

#[derive(Deserialize)]
struct Golden {
    resamples: usize,
    seed: u64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    classes: usize,
    truth: Vec<usize>,
    speaker: Vec<String>,
    logits: Vec<Vec<f32>>,
    scores: Vec<Vec<f32>>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    uar: f64,
    war: f64,
    macro_f1: f64,
    confusion: Vec<Vec<u64>>,
    support: Vec<u64>,
    recall: Vec<Option<f64>>,
    precision: Vec<Option<f64>>,
    f1: Vec<Option<f64>>,
    nll: f64,
    brier: f64,
    ece: f64,
    accuracy_at_50: f64,
    accuracy_at_80: f64,
    temperature: f64,
    intervals: Bounds,
}

#[derive(Deserialize)]
struct Bounds {
    uar: [f64; 2],
    war: [f64; 2],
    macro_f1: [f64; 2],
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/metrics.json");
    let text = std::fs::read_to_string(path).expect("golden/metrics.json is there");
    serde_json::from_str(&text).expect("golden/metrics.json is what metrics.py writes")
}

fn predictions(case: &Case) -> Predictions {
    let rows = case
        .truth
        .iter()
        .zip(&case.speaker)
        .zip(&case.scores)
        .enumerate();
    Predictions {
        labels: (0..case.classes)
            .map(|class| format!("class-{class}"))
            .collect(),
        rows: rows
            .map(|(index, ((&truth, speaker), scores))| Scored {
                id: format!("clip-{index}"),
                speaker: speaker.clone(),
                sex: None,
                intensity: None,
                seconds: None,
                fold: "fold-1".to_owned(),
                truth,
                scores: scores.clone(),
            })
            .collect(),
    }
}

#[track_caller]
fn close(case: &str, what: &str, actual: f64, expected: f64, tolerance: f64) {
    let distance = (actual - expected).abs();
    assert!(
        distance <= tolerance,
        "{case}: {what}: {actual}, expected {expected}"
    );
}

/// Rates and losses agree within 1e-12 (absolute; all are of the order of 1).
#[test]
fn metrics_equal_scikit_learn() {
    for case in golden().cases {
        let Metrics {
            uar,
            war,
            macro_f1,
            nll,
            brier,
            ece,
            accuracy_at_50,
            accuracy_at_80,
            ..
        } = evaluate(&predictions(&case)).unwrap();
        let expected = &case.expected;
        for (what, actual, expected) in [
            ("uar", uar, expected.uar),
            ("war", war, expected.war),
            ("macro_f1", macro_f1, expected.macro_f1),
            ("nll", nll, expected.nll),
            ("brier", brier, expected.brier),
            ("ece", ece, expected.ece),
            ("accuracy_at_50", accuracy_at_50, expected.accuracy_at_50),
            ("accuracy_at_80", accuracy_at_80, expected.accuracy_at_80),
        ] {
            close(&case.name, what, actual, expected, 1e-12);
        }
    }
}

#[test]
fn classes_equal_scikit_learn() {
    for case in golden().cases {
        let metrics = evaluate(&predictions(&case)).unwrap();
        let expected = &case.expected;
        assert_eq!(metrics.confusion, expected.confusion, "{}", case.name);
        for (index, class) in metrics.per_class.iter().enumerate() {
            assert_eq!(class.support, expected.support[index], "{}", case.name);
            for (what, actual, expected) in [
                ("recall", class.recall, expected.recall[index]),
                ("precision", class.precision, expected.precision[index]),
                ("f1", class.f1, expected.f1[index]),
            ] {
                let what = format!("{what} of class {index}");
                assert_eq!(
                    actual.is_some(),
                    expected.is_some(),
                    "{}: {what}",
                    case.name
                );
                if let (Some(actual), Some(expected)) = (actual, expected) {
                    close(&case.name, &what, actual, expected, 1e-12);
                }
            }
        }
    }
}

/// The bounds agree within 1e-12: same generator, scikit-learn's rates, NumPy's quantiles.
#[test]
fn intervals_equal_a_bootstrap_with_scikit_learn() {
    let golden = golden();
    for case in &golden.cases {
        let intervals =
            bootstrap_intervals(&predictions(case), golden.resamples, golden.seed).unwrap();
        let expected = &case.expected.intervals;
        for (what, actual, expected) in [
            ("uar", intervals.uar, expected.uar),
            ("war", intervals.war, expected.war),
            ("macro_f1", intervals.macro_f1, expected.macro_f1),
        ] {
            close(&case.name, what, actual.low, expected[0], 1e-12);
            close(&case.name, what, actual.high, expected[1], 1e-12);
        }
    }
}

/// Within 1e-5 relative of SciPy's bounded minimiser on the loss itself.
#[test]
fn temperature_equals_scipy() {
    for case in golden().cases {
        let actual = f64::from(fit_temperature(&case.logits, &case.truth).unwrap());
        let expected = case.expected.temperature;
        close(&case.name, "temperature", actual / expected, 1.0, 1e-5);
    }
}
