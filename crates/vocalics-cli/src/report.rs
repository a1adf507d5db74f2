//! `vocalics report`: the HTML page of a run, again.

use std::path::{Path, PathBuf};

use clap::Args;
use vocalics_eval::html::{self, Page};
use vocalics_eval::{Report, read_history};
use vocalics_runtime::{ModelMetadata, read_metadata};
use vocalics_train::TrainConfig;

use crate::failure::Failure;
use crate::output::print;

/// Write report.html of a run again, from its metrics.json and history.csv
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run directory written by `vocalics evaluate`
    run: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let run = &arguments.run;
    let metrics = run.join("metrics.json");
    if !metrics.is_file() {
        return Err(Failure::new(
            format!(
                "{} is no run that was measured: it has no metrics.json",
                run.display()
            ),
            "give a directory written by `vocalics evaluate`",
        ));
    }
    let report = Report::read_json(&metrics)?;
    let history = run.join("history.csv");
    let history = if history.is_file() {
        read_history(&history)?
    } else {
        Vec::new()
    };
    let path = run.join("report.html");
    html::write(&path, &report, &history, &page(run)?)?;
    print(&format!("{}\n", path.display()))
}

fn page(run: &Path) -> Result<Page, Failure> {
    let mut facts = Vec::new();
    let config = run.join("config.toml");
    let title = if config.is_file() {
        let config = TrainConfig::read(&config)?;
        facts.push(("front end".to_owned(), config.features_fingerprint()));
        config.name
    } else {
        run.canonicalize()
            .ok()
            .and_then(|path| {
                path.file_name()
                    .map(|name| name.to_string_lossy().into_owned())
            })
            .unwrap_or_else(|| run.display().to_string())
    };
    if let Some(model) = a_model(run) {
        facts.push(("recordings".to_owned(), model.manifest_hash));
        facts.push(("git revision".to_owned(), model.git_revision));
        facts.push(("trained".to_owned(), model.created));
    }
    Ok(Page { title, facts })
}

/// What the first model of the run says about itself, if there is one.
fn a_model(run: &Path) -> Option<ModelMetadata> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(run)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    folders.sort();
    folders.insert(0, run.to_owned());
    let bytes = folders
        .iter()
        .find_map(|folder| std::fs::read(folder.join("model.onnx")).ok())?;
    read_metadata(&bytes).ok()
}
