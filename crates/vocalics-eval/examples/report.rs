//! Writes every table, figure and page of an invented test into a folder, to see what a run leaves behind:
//!
//! ```text
//! cargo run -p vocalics-eval --example report -- DIRECTORY [--shared]
//! ```

use std::path::PathBuf;

use vocalics_eval::html::{self, Page};
use vocalics_eval::{
    DEFAULT_RESAMPLES, HistoryRow, Predictions, Provenance, Report, Scored, plot, softmax_t,
    write_history,
};

const LABELS: [&str; 8] = [
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("expected a directory")?);
    let shared = arguments
        .next()
        .is_some_and(|argument| argument == "--shared");
    std::fs::create_dir_all(&directory)?;

    let predictions = invented_predictions()?;
    let history = invented_history();
    let provenance = Provenance {
        corpora: vec!["invented".to_owned()],
        protocol: if shared {
            "random-80-20"
        } else {
            "emobox-6fold"
        }
        .to_owned(),
        speakers_shared: shared,
        folds: 6,
        labels: predictions.labels.clone(),
        seed: 1,
    };
    let report = Report::new(&predictions, provenance, DEFAULT_RESAMPLES)?;
    predictions.write_csv(&directory.join("predictions.csv"))?;
    write_history(&directory.join("history.csv"), &history)?;
    report.write_json(&directory.join("metrics.json"))?;
    plot::write_all(&directory, &report, &history)?;
    let page = Page {
        title: "Invented run".to_owned(),
        facts: vec![(
            "data".to_owned(),
            "numbers from a generator, no recordings".to_owned(),
        )],
    };
    html::write(&directory.join("report.html"), &report, &history, &page)?;
    Ok(())
}

/// 24 speakers, 60 clips each, four speakers a fold; some voices and some classes are harder than others.
fn invented_predictions() -> Result<Predictions, vocalics_eval::EvalError> {
    let mut noise = Noise(1);
    let mut rows = Vec::new();
    for speaker in 1..=24_usize {
        let ease = 1.0 + noise.next();
        for clip in 0..60_usize {
            let truth = if clip < 4 { 0 } else { 1 + (clip - 4) % 7 };
            let mut logits: Vec<f32> = (0..LABELS.len()).map(|_| 2.0 * noise.next()).collect();
            logits[truth] += ease + 0.15 * [0.0, 4.0, 2.0, 1.0, 6.0, 3.0, 3.0, 5.0][truth];
            // Neighbours that are often taken for each other.
            logits[[1, 3, 7, 5, 6, 3, 4, 2][truth]] += 0.9;
            rows.push(Scored {
                id: format!("invented/{speaker:02}-{clip:02}"),
                speaker: format!("speaker-{speaker:02}"),
                sex: Some(if speaker % 2 == 0 { "female" } else { "male" }.to_owned()),
                intensity: Some(if clip % 2 == 0 { "normal" } else { "strong" }.to_owned()),
                seconds: None,
                fold: format!("fold-{}", (speaker - 1) / 4 + 1),
                truth,
                scores: softmax_t(&logits, 0.55)?,
            });
        }
    }
    Ok(Predictions {
        labels: LABELS.map(str::to_owned).to_vec(),
        rows,
    })
}

fn invented_history() -> Vec<HistoryRow> {
    let mut noise = Noise(2);
    let mut rows = Vec::new();
    for fold in 1..=6_usize {
        let epochs = 44 + fold;
        for epoch in 1..=epochs {
            let progress = epoch as f64 / 50.0;
            let mut jitter = || f64::from(noise.next());
            rows.push(HistoryRow {
                fold: format!("fold-{fold}"),
                network: 1,
                epoch,
                train_loss: 0.55 + 1.55 * (-3.0 * progress).exp() + 0.02 * jitter(),
                validation_loss: Some(1.1 + (-4.0 * progress).exp() + 0.06 * jitter()),
                train_uar: 0.95 - 0.8 * (-2.5 * progress).exp() + 0.01 * jitter(),
                validation_uar: Some(0.64 - 0.5 * (-4.0 * progress).exp() + 0.03 * jitter()),
                learning_rate: 3e-3 * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
                seconds: 9.5,
            });
        }
    }
    rows
}

/// A small generator of numbers around 0, so that the example gives the same files everywhere.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let high = u16::try_from(self.0 >> 48).unwrap_or(u16::MAX);
        f32::from(high) / 65_536.0
    }

    /// Roughly normal, standard deviation near 0.6.
    fn next(&mut self) -> f32 {
        (0..4).map(|_| self.uniform()).sum::<f32>() - 2.0
    }
}
