//! `vocalics data check`.

use clap::Args;
use serde::Serialize;
use vocalics_corpora::{
    CheckOptions, CheckReport, CorpusError, Finding, FindingKind, LabelSet, Problem, Protocol,
    SplitOptions, Utterance, check_folds, check_with,
};

use super::Format;
use crate::failure::Failure;
use crate::output::{print, print_json, tell};
use crate::progress;
use crate::selection::{CorpusOptions, scan_told};

/// Look for missing, unreadable, duplicate, silent and clipped recordings, wrong counts and leaks
///
/// Every file is decoded. Duplicates are found by content. The folds of every protocol that is
/// defined on the corpora are checked for speakers and recordings on two sides. What a corpus is
/// known to be like as published is told and is no fault. Exit 1 if there are faults.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    corpora: CorpusOptions,
    /// Exit 0 in spite of faults
    #[arg(long)]
    keep_going: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    /// Clips looked at.
    checked: usize,
    /// Files whose names are not those of their corpus.
    problems: &'a [Problem],
    findings: &'a [Finding],
    /// Protocols whose folds were checked.
    protocols: Vec<&'static str>,
    /// Problems, and findings that are not known of the published corpora.
    faults: usize,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scan = scan_told(&arguments.corpora.named_or_all()?)?;
    let utterances = &scan.utterances;
    let bar = progress::clips("clips", utterances.len());
    let mut report = check_with(utterances, &CheckOptions::default(), &|clips| {
        bar.inc(clips as u64);
    });
    bar.finish_and_clear();
    let protocols = check_protocols(utterances, &mut report)?;
    let outcome = Outcome {
        checked: report.checked,
        problems: &scan.problems,
        findings: &report.findings,
        protocols,
        faults: scan.problems.len() + report.faults().count(),
    };
    match arguments.format {
        Format::Json => print_json(&outcome)?,
        Format::Table => print(&in_words(&outcome))?,
    }
    if outcome.faults == 0 {
        return Ok(());
    }
    let found = format!(
        "{} faults in {} recordings",
        outcome.faults, outcome.checked
    );
    if arguments.keep_going {
        tell(&format!("warning: {found}"));
        return Ok(());
    }
    Err(Failure::new(
        found,
        "correct or remove the files; --keep-going makes nothing of it",
    ))
}

/// Adds the leaks of every protocol that is defined on the list, and names those protocols.
fn check_protocols(
    utterances: &[Utterance],
    report: &mut CheckReport,
) -> Result<Vec<&'static str>, Failure> {
    let duplicates = report.duplicate_groups(utterances);
    let classes = LabelSet::from_utterances(utterances)?.indices(utterances)?;
    let mut checked = Vec::new();
    for name in Protocol::NAMES {
        let protocol: Protocol = name.parse()?;
        match protocol.folds(utterances, &classes, &SplitOptions::default()) {
            Ok(folds) => {
                let shared = protocol.speakers_shared();
                report
                    .findings
                    .extend(check_folds(&folds, utterances, shared, &duplicates));
            }
            Err(error @ CorpusError::SharedSpeaker { .. }) => report.findings.push(Finding {
                kind: FindingKind::Leaked,
                subjects: vec![(*name).to_owned()],
                path: None,
                message: error.to_string(),
                known: false,
            }),
            // Not defined on these corpora.
            Err(_) => continue,
        }
        checked.push(*name);
    }
    Ok(checked)
}

fn in_words(outcome: &Outcome<'_>) -> String {
    let mut text = String::new();
    for problem in outcome.problems {
        text += &format!("unknown name: {problem}\n");
    }
    for finding in outcome.findings {
        text += &format!("{finding}\n");
    }
    text += &format!(
        "{} recordings checked, {} faults; folds checked: {}\n",
        outcome.checked,
        outcome.faults,
        if outcome.protocols.is_empty() {
            "none".to_owned()
        } else {
            outcome.protocols.join(", ")
        }
    );
    text
}
