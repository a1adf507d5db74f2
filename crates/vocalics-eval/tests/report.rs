//! What a run writes: words that must stand beside numbers, files that must be whole, extremes that must draw.

use proptest::prelude::*;
use vocalics_eval::html::{self, Page};
use vocalics_eval::{
    EvalError, HistoryRow, Predictions, Provenance, Report, SPEAKERS_SHARED, Scored,
    bootstrap_intervals, evaluate, fit_temperature, plot, softmax_t,
};

/// `speakers` speakers with one clip per class each; every third clip is taken for the next class.
fn predictions(labels: &[&str], speakers: usize) -> Predictions {
    let classes = labels.len();
    let mut rows = Vec::new();
    for speaker in 0..speakers {
        for truth in 0..classes {
            let hit = if (speaker + truth) % 3 == 0 {
                (truth + 1) % classes
            } else {
                truth
            };
            let mut scores = vec![0.0; classes];
            scores[hit] = 1.0;
            rows.push(Scored {
                id: format!("{speaker}-{truth}"),
                speaker: format!("speaker-{speaker}"),
                sex: Some("female".to_owned()),
                intensity: None,
                seconds: None,
                fold: format!("fold-{}", speaker % 2),
                truth,
                scores,
            });
        }
    }
    Predictions {
        labels: labels.iter().map(ToString::to_string).collect(),
        rows,
    }
}

fn report(predictions: &Predictions, speakers_shared: bool) -> Report {
    let provenance = Provenance {
        corpora: vec!["ravdess-speech".to_owned(), "tess".to_owned()],
        protocol: "random-80-20".to_owned(),
        speakers_shared,
        folds: evaluate(predictions).expect("a valid table").per_fold.len(),
        labels: predictions.labels.clone(),
        seed: 7,
    };
    Report::new(predictions, provenance, 100).expect("a fitting provenance")
}

fn history(fold: &str, losses: &[f64]) -> Vec<HistoryRow> {
    let row = |(index, &loss): (usize, &f64)| HistoryRow {
        fold: fold.to_owned(),
        network: 1,
        epoch: index + 1,
        train_loss: loss,
        validation_loss: None,
        train_uar: 0.5,
        validation_uar: None,
        learning_rate: 1e-3,
        seconds: 1.0,
    };
    losses.iter().enumerate().map(row).collect()
}

#[test]
fn shared_speakers_stand_in_the_line_of_every_number() {
    let report = report(&predictions(&["calm", "angry", "sad"], 6), true);
    for line in report.headline() {
        assert!(line.contains(SPEAKERS_SHARED), "{line}");
        assert!(
            line.contains("random-80-20") && line.contains("seed 7"),
            "{line}"
        );
    }
    let page = html::render(&report, &[], &Page::default()).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("<tr"))
        .collect();
    assert!(rows.len() > 15, "{}", rows.len());
    for row in rows {
        assert!(row.contains(SPEAKERS_SHARED), "{row}");
    }
    for figure in [
        plot::confusion(&report),
        plot::recall_bars(&report),
        plot::reliability(&report),
    ] {
        let svg = figure.to_svg();
        let numbers = svg
            .lines()
            .find(|line| line.contains("UAR") || line.contains("ECE"));
        assert!(numbers.unwrap().contains(SPEAKERS_SHARED), "{numbers:?}");
    }
}

#[test]
fn disjoint_speakers_are_not_called_shared() {
    let report = report(&predictions(&["calm", "angry"], 4), false);
    let page = html::render(&report, &history("f", &[1.0, 0.5]), &Page::default()).unwrap();
    assert!(
        !page.contains("shared between"),
        "the page warns of nothing"
    );
    assert!(page.contains("speakers disjoint"));
}

#[test]
fn page_loads_nothing_and_escapes_what_users_name() {
    let predictions = predictions(&["<script>alert(1)</script>", "b&b", "\"c\""], 4);
    let page = Page {
        title: "<run>".to_owned(),
        facts: vec![("config".to_owned(), "a<b".to_owned())],
    };
    let html = html::render(&report(&predictions, false), &history("f", &[1.0]), &page).unwrap();
    for forbidden in [
        "<script", "<link", "<img", "src=", "url(", "@import", "<run>", "a<b",
    ] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    let namespace = "http://www.w3.org/2000/svg";
    assert!(
        !html.replace(namespace, "").contains("http://"),
        "no address but the SVG namespace"
    );
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn run_directory_is_complete_and_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let report = report(&predictions(&["calm", "angry", "sad"], 6), true);
    let mut curves = history("fold-1", &[2.0, 1.0, f64::NAN, 0.7]);
    curves.extend(history("fold-2", &[2.1, f64::INFINITY]));
    let written = plot::write_all(dir.path(), &report, &curves).unwrap();
    assert_eq!(written.len(), 8);
    for path in &written {
        let bytes = std::fs::read(path).unwrap();
        let start: &[u8] = if path.extension().unwrap() == "png" {
            b"\x89PNG\r\n"
        } else {
            b"<svg xmlns"
        };
        assert!(bytes.starts_with(start), "{}", path.display());
    }
    let json = dir.path().join("metrics.json");
    report.write_json(&json).unwrap();
    assert_eq!(Report::read_json(&json).unwrap(), report);
    std::fs::write(&json, "{}").unwrap();
    assert!(matches!(
        Report::read_json(&json),
        Err(EvalError::Json { .. })
    ));
}

#[test]
fn extremes_draw() {
    let many: Vec<String> = (1..=24)
        .map(|n| format!("ravdess-speaker-{n:02}"))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (labels, speakers) in [(&many[..], 5), (&["no", "yes"][..], 1), (&["only"][..], 2)] {
        let report = report(&predictions(labels, speakers), true);
        let curves = plot::learning_curves(&history("fold-1", &[0.0]), &report.provenance).unwrap();
        for figure in [
            plot::confusion(&report),
            plot::recall_bars(&report),
            plot::reliability(&report),
            curves,
        ] {
            let svg = figure.to_svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(figure.to_png(0.25).unwrap().starts_with(b"\x89PNG"));
        }
        assert_eq!(report.uar_interval.is_some(), speakers > 1);
    }
}

#[test]
fn hopeless_histories_are_refused() {
    let report = report(&predictions(&["a", "b"], 2), false);
    let refused =
        |rows: &[HistoryRow]| plot::learning_curves(rows, &report.provenance).unwrap_err();
    assert!(matches!(refused(&[]), EvalError::Empty { what: "history" }));
    assert!(matches!(
        refused(&history("f", &[f64::NAN])),
        EvalError::Plot { .. }
    ));
}

#[test]
fn provenance_must_fit() {
    let predictions = predictions(&["a", "b"], 4);
    let good = report(&predictions, false).provenance;
    let refused = |provenance| {
        Report::new(&predictions, provenance, 100)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(Provenance {
            folds: 6,
            ..good.clone()
        }),
        "provenance does not match the predictions: folds: expected 6, found 2"
    );
    let labels = vec!["b".to_owned(), "a".to_owned()];
    assert!(refused(Provenance { labels, ..good }).contains("labels: expected b, a, found a, b"));
}

/// Tables of one to six classes and up to forty clips with arbitrary scores.
fn tables() -> impl Strategy<Value = Predictions> {
    (1_usize..6, 1_usize..40).prop_flat_map(|(classes, clips)| {
        let row = (
            0..classes,
            0..6_usize,
            0..3_usize,
            prop::collection::vec(-8.0_f32..8.0, classes),
        );
        prop::collection::vec(row, clips).prop_map(move |rows| Predictions {
            labels: (0..classes).map(|class| format!("class-{class}")).collect(),
            rows: rows
                .into_iter()
                .enumerate()
                .map(|(id, (truth, speaker, fold, logits))| Scored {
                    id: id.to_string(),
                    speaker: format!("s{speaker}"),
                    sex: None,
                    intensity: None,
                    seconds: None,
                    fold: format!("f{fold}"),
                    truth,
                    scores: softmax_t(&logits, 1.0).expect("finite logits"),
                })
                .collect(),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rates_stay_in_range_and_ignore_the_order_of_rows(table in tables()) {
        let metrics = evaluate(&table).unwrap();
        for rate in [metrics.uar, metrics.war, metrics.macro_f1, metrics.ece, metrics.mean_fold_uar,
            metrics.accuracy_at_50, metrics.accuracy_at_80]
        {
            prop_assert!((0.0..=1.0).contains(&rate), "{rate}");
        }
        prop_assert!((0.0..=2.0).contains(&metrics.brier));
        prop_assert!(metrics.nll.is_finite() && metrics.nll >= 0.0);
        prop_assert_eq!(metrics.confusion.iter().flatten().sum::<u64>(), metrics.n);
        let mut turned = table;
        turned.rows.reverse();
        let again = evaluate(&turned).unwrap();
        prop_assert_eq!(&again.confusion, &metrics.confusion);
        prop_assert_eq!(&again.per_speaker, &metrics.per_speaker);
        prop_assert!((again.accuracy_at_50 - metrics.accuracy_at_50).abs() < 1e-12);
        prop_assert!((again.nll - metrics.nll).abs() < 1e-9);
    }

    #[test]
    fn intervals_are_ordered(table in tables(), seed in any::<u64>()) {
        match bootstrap_intervals(&table, 50, seed) {
            Ok(intervals) => {
                for bounds in [intervals.uar, intervals.war, intervals.macro_f1] {
                    prop_assert!(0.0 <= bounds.low && bounds.low <= bounds.high && bounds.high <= 1.0);
                }
            }
            Err(error) => {
                let alone = matches!(error, EvalError::TooFewSpeakers { .. });
                prop_assert!(alone, "{error}");
            }
        }
    }

    #[test]
    fn temperature_never_raises_the_loss(
        logits in prop::collection::vec(prop::collection::vec(-30.0_f32..30.0, 4), 1..40),
        pick in any::<u64>(),
    ) {
        let truth: Vec<usize> =
            (0..logits.len()).map(|i| usize::try_from((pick >> (i % 60)) & 3).unwrap()).collect();
        let fitted = fit_temperature(&logits, &truth).unwrap();
        let loss = |t: f32| -> f64 {
            let t = f64::from(t);
            logits.iter().zip(&truth).map(|(row, &class)| {
                let z: Vec<f64> = row.iter().map(|&z| f64::from(z) / t).collect();
                let peak = z.iter().copied().fold(f64::MIN, f64::max);
                peak + z.iter().map(|z| (z - peak).exp()).sum::<f64>().ln() - z[class]
            }).sum()
        };
        let best = loss(fitted);
        for other in [0.05, 0.3, 0.9, 1.0, 1.1, 3.0, 20.0, fitted * 0.99, fitted * 1.01] {
            if (0.05..=20.0).contains(&other) {
                prop_assert!(best <= loss(other) * (1.0 + 1e-7) + 1e-6, "T {fitted} against {other}");
            }
        }
    }
}
