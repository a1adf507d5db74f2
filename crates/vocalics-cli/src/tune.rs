//! `vocalics tune`: the search for a configuration.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;
use vocalics_corpora::Protocol;
use vocalics_train::tune::{Found, Trial, TuneConfig, TuneOutcome, tune};
use vocalics_train::{TrainConfig, TrainError};

use crate::evaluate::summary;
use crate::failure::Failure;
use crate::output::{print, tell};
use crate::progress::Training;
use crate::selection::CorpusOptions;
use crate::side_by_side::SideBySide;
use crate::table::Table;
use crate::train::{Loading, Overrides};

/// Trials in the table on the terminal; `trials.csv` has all.
const SHOWN: usize = 10;

/// Search for a configuration on validation speakers
///
/// Every trial is trained on the training part of a fold and scored on speakers cut out of it; no trial sees a
/// test clip. The winner is written to best.toml in the run directory, to be measured by `vocalics evaluate`.
/// With --nested every fold has a search of its own, whose winner is tested on that fold: the number then
/// measures the search as well. The same command goes on with a search that was stopped.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The search: its course, the parameters and the configuration they vary (docs/tuning.md)
    #[arg(value_name = "SEARCH.toml")]
    search: PathBuf,
    /// Configuration that the parameters vary, in place of the one in the search
    #[arg(long, value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// Search in every fold by itself, and test each fold's winner on it
    #[arg(long)]
    nested: bool,
    /// Protocol whose training parts are searched; that of the configuration if not given
    #[arg(long, value_name = "PROTOCOL")]
    protocol: Option<String>,
    /// Folds to search in; all if not given
    #[arg(long = "fold", value_name = "NAME", num_args = 1..)]
    folds: Vec<String>,
    #[command(flatten)]
    corpora: CorpusOptions,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    loading: Loading,
    /// Trials in all, in place of those of the search
    #[arg(long, value_name = "N")]
    trials: Option<usize>,
    #[command(flatten)]
    side_by_side: SideBySide,
    /// Run directory; runs/NAME-tune if not given
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Table,
    /// For programs: trials, importances and, with --nested, the content of metrics.json
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (config, encoder) = match (&arguments.config, &arguments.loading.encoder) {
        (Some(path), _) => {
            let (config, encoder) = arguments.loading.configure(Some(path))?;
            (Some(config), encoder)
        }
        (None, None) => (None, None),
        (None, Some(_)) => {
            return Err(Failure::usage(
                "--encoder without a configuration for the head",
                "give one with --config; `vocalics train --encoder E.onnx --print-config` writes it",
            ));
        }
    };
    arguments.loading.refuse_before("a search has none")?;
    let mut search = TuneConfig::read(&arguments.search, config)?;
    arguments.overrides.apply(&mut search.config);
    if let Some(trials) = arguments.trials {
        search.search.trials = trials;
    }
    arguments.corpora.override_names(&mut search.config);
    let text = arguments.protocol.as_deref();
    let protocol = Protocol::from_name_or_file(text.unwrap_or(&search.config.evaluation.protocol))?;
    if !matches!(protocol, Protocol::User(_)) {
        search.config.evaluation.protocol = protocol.name().to_owned();
    }
    search.validate()?;
    let directory = arguments
        .run
        .clone()
        .unwrap_or_else(|| PathBuf::from("runs").join(format!("{}-tune", search.config.name)));
    tell(&format!("run directory: {}", directory.display()));
    let options = arguments
        .side_by_side
        .run(&directory, &arguments.folds, usize::MAX);
    let progress = Training::default();
    let specs = arguments.corpora.of_config(&search.config)?;
    let load = |config: &TrainConfig| -> Result<_, TrainError> {
        arguments
            .loading
            .load_from(config, encoder.clone(), &specs, &progress)
    };
    let outcome = tune(
        &search,
        &protocol,
        arguments.nested,
        &options,
        &load,
        &progress,
    )?;
    match arguments.format {
        Format::Table => print(&table(&search, &outcome, &directory))?,
        Format::Json => print(&json(&search, &outcome))?,
    }
    tell(&format!(
        "all trials: {}; figure: {}",
        directory.join("trials.csv").display(),
        directory.join("search.svg").display()
    ));
    if outcome.test.is_none() {
        let best = directory.join("best.toml");
        tell(&format!(
            "no test clip was looked at; measure the winner with `vocalics evaluate --config {}`",
            best.display()
        ));
    }
    Ok(())
}

/// A value as a person would write it.
fn words(value: &toml::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn table(search: &TuneConfig, outcome: &TuneOutcome, directory: &Path) -> String {
    let mut text = String::new();
    for found in &outcome.found {
        text += &trials(search, found);
        let name = match found.name.as_str() {
            "all" => "best.toml".to_owned(),
            fold => format!("best-{fold}.toml"),
        };
        text += &format!("winner: {}\n\n", directory.join(name).display());
    }
    let mut table = Table::new(&["parameter", "share of the variance between trials"]);
    for (parameter, share) in search.parameters.iter().zip(&outcome.importance) {
        let share = share.map_or_else(|| "too few trials".into(), |share| format!("{share:.2}"));
        table.row(vec![parameter.name.clone(), share]);
    }
    text += &table.render("");
    if let Some(test) = &outcome.test {
        text += "\ntest of the search: each fold by its own winner\n";
        text += &summary(&test.report);
    }
    text
}

fn trials(search: &TuneConfig, found: &Found) -> String {
    let objective = search.search.objective;
    let most = found.trials.iter().map(|trial| trial.epochs).max();
    let mut head = vec!["trial", "epochs", "validation UAR %", "validation NLL"];
    head.extend(search.parameters.iter().map(|p| p.name.as_str()));
    let mut table = Table::new(&head);
    for trial in found.ranked(objective).into_iter().take(SHOWN) {
        let mut row = vec![
            trial.number.to_string(),
            trial.epochs.to_string(),
            format!("{:.1}", 100.0 * trial.uar),
            format!("{:.3}", trial.nll),
        ];
        row.extend(trial.values.iter().map(words));
        table.row(row);
    }
    let protocol = &search.config.evaluation.protocol;
    format!(
        "{} trials, {} epochs at most — {protocol}, validation speakers of {}, seed {}\n{}",
        found.trials.len(),
        most.unwrap_or(0),
        found.folds.join(", "),
        search.config.seed,
        table.render("")
    )
}

fn json(search: &TuneConfig, outcome: &TuneOutcome) -> String {
    let names: Vec<&str> = search.parameters.iter().map(|p| p.name.as_str()).collect();
    let of = |trial: &Trial| {
        let values: serde_json::Map<String, serde_json::Value> = names
            .iter()
            .zip(&trial.values)
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        json!({
            "trial": trial.number, "epochs": trial.epochs, "validation_uar": trial.uar,
            "validation_nll": trial.nll, "seconds": trial.seconds, "values": values,
        })
    };
    let searches: Vec<serde_json::Value> = outcome
        .found
        .iter()
        .map(|found| {
            json!({
                "search": found.name, "folds": found.folds,
                "best": found.ranked(search.search.objective).first().map(|trial| of(trial)),
                "trials": found.trials.iter().map(of).collect::<Vec<_>>(),
            })
        })
        .collect();
    let importance: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .zip(&outcome.importance)
        .map(|(name, share)| ((*name).to_owned(), json!(share)))
        .collect();
    let test = outcome.test.as_ref().map(|test| &test.report);
    let all = json!({
        "protocol": search.config.evaluation.protocol, "searches": searches,
        "importance": importance, "test": test,
    });
    format!("{all:#}\n")
}
