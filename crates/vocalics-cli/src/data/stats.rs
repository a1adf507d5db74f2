//! `vocalics data stats`.

use clap::Args;
use vocalics_corpora::{CheckOptions, FindingKind, LabelMap, check_with, composition};

use super::Format;
use crate::failure::Failure;
use crate::output::{print, print_json, tell};
use crate::progress;
use crate::selection::{CorpusOptions, problems, scan_told};

/// Count clips, speakers and minutes by class and corpus
///
/// Counts what is on disk. For the minutes every file is decoded; --no-minutes only reads the names.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    corpora: CorpusOptions,
    /// Label map, as calm=neutral,surprised=drop, or one of ravdess-7 and four-class
    #[arg(long)]
    map: Option<LabelMap>,
    /// Leave the minutes out
    #[arg(long)]
    no_minutes: bool,
    /// Count without the recordings that cannot be used; exit 0
    #[arg(long)]
    keep_going: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scan = scan_told(&arguments.corpora.named_or_all()?)?;
    let total = scan.utterances.len() + scan.problems.len();
    let mut bad: Vec<String> = scan.problems.iter().map(ToString::to_string).collect();
    let utterances = match &arguments.map {
        Some(map) => {
            tell(&format!("label map: {map}"));
            map.apply_all(scan.utterances)?
        }
        None => scan.utterances,
    };
    let mut counted = composition(&utterances);
    if !arguments.no_minutes {
        let bar = progress::clips("clips", utterances.len());
        let report = check_with(&utterances, &CheckOptions::default(), &|clips| {
            bar.inc(clips as u64);
        });
        bar.finish_and_clear();
        counted = counted.with_durations(&utterances, &report.durations());
        let unusable = |kind| matches!(kind, FindingKind::Missing | FindingKind::Unreadable);
        bad.extend(
            report
                .findings
                .iter()
                .filter(|f| unusable(f.kind))
                .map(|f| f.message.clone()),
        );
    }
    match arguments.format {
        Format::Json => print_json(&counted)?,
        Format::Table => print(&counted.to_string())?,
    }
    problems(&bad, total, arguments.keep_going)
}
