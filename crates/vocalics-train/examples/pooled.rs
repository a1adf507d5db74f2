//! One measurement from the predictions of several runs, such as the folds of a protocol measured one by one:
//! `cargo run --release -p vocalics-train --example pooled -- PROTOCOL runs/fold-*/predictions.csv`.
//!
//! The runs must have the same labels and no fold in common. Corpora and seed are not in the files: the lines say `as given`, and 1.

use std::collections::BTreeSet;
use std::path::Path;

use vocalics_corpora::Protocol;
use vocalics_eval::{DEFAULT_RESAMPLES, Predictions, Provenance, Report};
use vocalics_train::with_speaker_calibrated;

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [protocol, first, rest @ ..] = arguments.as_slice() else {
        return Err("usage: pooled PROTOCOL PREDICTIONS.csv...".into());
    };
    let protocol: Protocol = protocol.parse()?;
    let mut all = Predictions::read_csv(Path::new(first))?;
    for path in rest {
        let more = Predictions::read_csv(Path::new(path))?;
        if more.labels != all.labels {
            return Err(format!("{path} has other labels than {first}").into());
        }
        all.rows.extend(more.rows);
    }
    let folds: BTreeSet<&str> = all.rows.iter().map(|row| row.fold.as_str()).collect();
    let provenance = Provenance {
        corpora: vec!["as given".into()],
        protocol: protocol.name().to_owned(),
        speakers_shared: protocol.speakers_shared(),
        folds: folds.len(),
        labels: all.labels.clone(),
        seed: 1,
    };
    let report = Report::new(&all, provenance, DEFAULT_RESAMPLES)?;
    let report = with_speaker_calibrated(report, &all, None, DEFAULT_RESAMPLES)?;
    for line in report.headline() {
        println!("{line}");
    }
    if let Some(after) = &report.speaker_calibrated {
        println!(
            "ECE {:.3}, speaker-calibrated {:.3}",
            report.metrics.ece, after.ece
        );
        for point in &after.curve {
            println!("{:6.1} s {:5.1} %", point.seconds, 100.0 * point.uar);
        }
    }
    Ok(())
}
