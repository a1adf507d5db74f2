//! `vocalics data get`.

use std::path::PathBuf;

use clap::Args;
use vocalics_corpora::CorpusKind;
use vocalics_corpora::get::{GetOptions, get};

use crate::failure::Failure;
use crate::output::{print, tell};
use crate::progress::Download;
use crate::selection::DataRoot;

/// Download a corpus from its official address
///
/// A transfer that was cut goes on where it stopped when the command is run again. What arrives is
/// compared with the checksums its source publishes, and the clips are counted. The folders are
/// written to standard output.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The corpus; `vocalics data list` shows the names
    name: CorpusKind,
    /// Folder that gets the folder of the corpus; the data root if not given
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    #[command(flatten)]
    root: DataRoot,
    /// Keep the zip files after unpacking
    #[arg(long)]
    keep_archives: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let info = arguments.name.info();
    let to = arguments
        .to
        .as_deref()
        .unwrap_or_else(|| arguments.root.path());
    tell(&format!(
        "{}: licence {}, {}",
        info.title, info.licence, info.source
    ));
    let options = GetOptions {
        keep_archives: arguments.keep_archives,
        ..GetOptions::default()
    };
    let report = get(arguments.name, to, &options, &mut Download::default())?;
    tell(&format!(
        "{} recordings, {:.1} MB transferred; verified: {}",
        report.clips,
        megabytes(report.transferred),
        report.verified
    ));
    let folders: String = report
        .folders
        .iter()
        .map(|folder| format!("{}\n", folder.display()))
        .collect();
    print(&folders)
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
