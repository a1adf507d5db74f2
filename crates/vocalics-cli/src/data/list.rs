//! `vocalics data list`.

use clap::Args;
use serde::Serialize;
use vocalics_corpora::corpus::Download;
use vocalics_corpora::{CorpusKind, locate};

use super::Format;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::selection::DataRoot;
use crate::table::Table;

/// List the corpora known, and which of them lie under the data root
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    root: DataRoot,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    title: &'static str,
    licence: &'static str,
    source: &'static str,
    /// Documented number of clips, where it is fixed.
    clips: Option<usize>,
    /// `yes`, `on request`, or empty for the user's own recordings.
    download: &'static str,
    found: Vec<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let located = locate(arguments.root.path());
    let rows: Vec<Row> = CorpusKind::ALL
        .iter()
        .map(|kind| {
            let info = kind.info();
            let found = located.iter().filter(|spec| spec.kind == *kind);
            Row {
                name: info.name,
                title: info.title,
                licence: info.licence,
                source: info.source,
                clips: info.documented_total(),
                download: match info.download {
                    Download::None => "",
                    Download::Form { .. } => "on request",
                    _ => "yes",
                },
                found: found.map(|spec| spec.root.display().to_string()).collect(),
            }
        })
        .collect();
    if arguments.format == Format::Json {
        return print_json(&rows);
    }
    let mut table = Table::new(&["name", "clips", "download", "found", "licence", "title"]).left(6);
    for row in rows {
        table.row(vec![
            row.name.to_owned(),
            row.clips
                .map_or_else(|| "-".to_owned(), |clips| clips.to_string()),
            if row.download.is_empty() {
                "-"
            } else {
                row.download
            }
            .to_owned(),
            if row.found.is_empty() {
                "-".to_owned()
            } else {
                row.found.join(" ")
            },
            row.licence.to_owned(),
            row.title.to_owned(),
        ]);
    }
    print(&table.render(""))
}
