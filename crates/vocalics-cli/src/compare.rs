//! `vocalics compare`: classical methods and networks on the same clips.

mod plan;

use std::path::PathBuf;

use clap::Args;
use vocalics_corpora::Utterance;
use vocalics_eval::{Comparison, Entry, Predictions, Provenance, SPEAKERS_SHARED, same_test};
use vocalics_train::classical::{
    ClassicalData, ClassicalOptions, SummarySet, evaluate_classical, planned_test, test_folds,
};
use vocalics_train::{Data, FinishedRun, TrainConfig, TrainError, cross_validate_after};

use self::plan::{Choice, NamedRun, Plan, method_parser, set_parser};
use crate::failure::Failure;
use crate::output::{print, tell};
use crate::progress::Training;
use crate::selection::CorpusOptions;
use crate::side_by_side::SideBySide;
use crate::table::Table;
use crate::train::{Loading, Overrides, tell_recordings};

/// Compare methods on the same test clips
///
/// Classical methods are fitted to a vector per clip, networks are trained with --config, and finished runs of
/// `vocalics evaluate` are taken as they are with --with. Every row is tested on the same clips of the same
/// folds, or refused. Hyper-parameters of classical methods are chosen in every fold by cross-validation over the speakers of its training part.
///
/// Each difference to the reference row comes with an interval by the paired bootstrap over speakers. Writes
/// compare.csv, compare.md, compare.svg and compare.png into the run directory; the same command goes on
/// with a comparison that was stopped.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Classical methods; all if not given
    #[arg(long = "method", value_name = "NAME", num_args = 1.., value_parser = method_parser())]
    methods: Vec<Choice>,
    /// Feature sets that classical methods are fitted to
    #[arg(long = "set", value_name = "NAME", num_args = 1.., default_value = "egemaps", value_parser = set_parser())]
    sets: Vec<SummarySet>,
    /// Hyper-parameters of the classical methods; --print-classical shows every field with its default
    #[arg(long, value_name = "CLASSICAL.toml")]
    classical: Option<PathBuf>,
    /// Configurations to train networks with, each in a folder of its name in the run directory
    #[arg(long = "config", value_name = "CONFIG.toml", num_args = 1..)]
    configs: Vec<PathBuf>,
    /// Finished runs of `vocalics evaluate`, called NAME or after their networks
    #[arg(long = "with", value_name = "[NAME=]RUN", num_args = 1..)]
    with: Vec<NamedRun>,
    /// Row that the others are compared with; the last network if not given, else logistic regression
    #[arg(long, value_name = "NAME")]
    reference: Option<String>,
    /// Protocol: emobox-6fold, luna-5fold, loso, random-80-20, seed-mix, or a .csv or .tsv file of folds
    #[arg(long, value_name = "PROTOCOL", default_value = "emobox-6fold")]
    protocol: String,
    /// Folds to run; all if not given
    #[arg(long = "fold", value_name = "NAME", num_args = 1..)]
    folds: Vec<String>,
    #[command(flatten)]
    corpora: CorpusOptions,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    loading: Loading,
    #[command(flatten)]
    side_by_side: SideBySide,
    /// Run directory, runs/compare-PROTOCOL if not given
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Write the complete hyper-parameters of the classical methods to standard output and do nothing else
    #[arg(long)]
    print_classical: bool,
}

/// Where all rows are tested: provenance, the test clips, and recordings as far as they were read.
struct Test {
    provenance: Provenance,
    clips: Predictions,
    utterances: Vec<Utterance>,
}

impl Test {
    fn folds(&self) -> Vec<String> {
        let mut folds: Vec<String> = self.clips.rows.iter().map(|row| row.fold.clone()).collect();
        folds.dedup();
        folds
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plan = Plan::new(arguments)?;
    if arguments.print_classical {
        return print(&plan.classical.to_toml());
    }
    let directory = &plan.directory;
    tell(&format!("run directory: {}", directory.display()));
    let mut entries = Vec::new();
    let mut test = None;
    if !plan.methods.is_empty() {
        let (rows, tested) = classical_rows(arguments, &plan)?;
        entries.extend(rows);
        test = Some(tested);
    }
    for config in &plan.networks {
        let (entry, tested) = network_row(arguments, &plan, config, test.as_ref())?;
        entries.push(entry);
        test.get_or_insert(tested);
    }
    let test = match test {
        Some(test) => test,
        None => test_of_runs(arguments, &plan)?,
    };
    for (name, run) in &plan.runs {
        let mut entry = run.entry(name.clone(), &test.folds())?;
        entry.inference_ms =
            run.inference_ms(&test.utterances, &arguments.loading.options().cache)?;
        entries.push(entry);
    }
    let resamples = plan.classical.resamples;
    let comparison = Comparison::new(&entries, &test.provenance, &plan.reference, resamples)?;
    std::fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, &error))?;
    comparison.write(directory)?;
    show(&comparison)?;
    tell(&format!(
        "figure: {}",
        directory.join("compare.svg").display()
    ));
    Ok(())
}

fn classical_rows(arguments: &Arguments, plan: &Plan) -> Result<(Vec<Entry>, Test), Failure> {
    let Plan {
        classical: config,
        protocol,
        ..
    } = plan;
    let progress = Training::default();
    let specs = arguments.corpora.of_names(&config.corpora)?;
    let options = arguments.loading.options();
    let data = ClassicalData::load(config, &specs, &plan.sets, &options, &progress)?;
    tell_recordings(&data.utterances, &data.labels);
    if !config.map.is_empty() {
        tell(&format!("label map: {}", config.label_map()?));
    }
    let split = config.split_options();
    let folds = test_folds(protocol, data.listed(), &split, &arguments.folds)?;
    let (provenance, clips) =
        planned_test(data.listed(), &data.labels, &folds, protocol, config.seed);
    let test = Test {
        provenance,
        clips,
        utterances: data.utterances.clone(),
    };
    check_runs(plan, &test)?;
    let options = ClassicalOptions {
        directory: plan.directory.clone(),
        folds: arguments.folds.clone(),
        jobs: arguments.side_by_side.jobs(),
    };
    let rows = evaluate_classical(config, &data, protocol, &plan.methods, &options, &progress)?;
    let entries = rows.into_iter().map(|row| row.entry(config.seed)).collect();
    Ok((entries, test))
}

/// Trains a configuration's networks, or goes on with them, unless they would be tested elsewhere than the rows before.
fn network_row(
    arguments: &Arguments,
    plan: &Plan,
    config: &TrainConfig,
    test: Option<&Test>,
) -> Result<(Entry, Test), Failure> {
    let progress = Training::default();
    let data: Data = arguments
        .loading
        .load(config, None, &arguments.corpora, &progress)?;
    let prior = arguments
        .loading
        .load_before(config, &arguments.corpora, &progress)?;
    let split = config.split_options();
    let folds = test_folds(&plan.protocol, data.listed(), &split, &arguments.folds)?;
    let (provenance, clips) = planned_test(
        data.listed(),
        &data.labels,
        &folds,
        &plan.protocol,
        config.seed,
    );
    let own = Test {
        provenance,
        clips,
        utterances: data.utterances.clone(),
    };
    match test {
        Some(test) => same_as(&config.name, &test.clips, &own.clips)?,
        None => check_runs(plan, &own)?,
    }
    let trainings = folds.len() * config.members().len();
    let directory = plan.directory.join(&config.name);
    let options = arguments
        .side_by_side
        .run(&directory, &arguments.folds, trainings);
    cross_validate_after(
        config,
        &data,
        prior.as_ref(),
        &plan.protocol,
        &options,
        &progress,
    )?;
    let run = FinishedRun::read(&directory)?;
    run.check(&plan.protocol, &own.provenance.labels, &own.folds())?;
    let mut entry = run.entry(config.name.clone(), &own.folds())?;
    entry.inference_ms = run.inference_ms(&own.utterances, &arguments.loading.options().cache)?;
    Ok((entry, own))
}

/// The test of finished runs alone: that of the first, in the folds asked for.
fn test_of_runs(arguments: &Arguments, plan: &Plan) -> Result<Test, Failure> {
    let Some((_, first)) = plan.runs.first() else {
        return Err(Failure::usage(
            "nothing to compare",
            "give finished runs with --with",
        ));
    };
    first.check(&plan.protocol, &first.provenance.labels, &arguments.folds)?;
    let mut clips = first.predictions.clone();
    if !arguments.folds.is_empty() {
        clips.rows.retain(|row| arguments.folds.contains(&row.fold));
    }
    let mut test = Test {
        provenance: first.provenance.clone(),
        clips,
        utterances: Vec::new(),
    };
    test.provenance.folds = test.folds().len();
    check_runs(plan, &test)?;
    Ok(test)
}

/// Refuses finished runs that are tested elsewhere.
fn check_runs(plan: &Plan, test: &Test) -> Result<(), Failure> {
    let folds = test.folds();
    for (name, run) in &plan.runs {
        run.check(&plan.protocol, &test.provenance.labels, &folds)?;
        let mut own = run.predictions.clone();
        own.rows.retain(|row| folds.contains(&row.fold));
        same_as(name, &test.clips, &own)?;
    }
    Ok(())
}

fn same_as(name: &str, test: &Predictions, own: &Predictions) -> Result<(), Failure> {
    same_test(test, own).map_err(|source| {
        TrainError::Eval(vocalics_eval::EvalError::Row {
            name: name.to_owned(),
            source: Box::new(source),
        })
        .into()
    })
}

fn show(comparison: &Comparison) -> Result<(), Failure> {
    let heads = comparison.heads();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut table = Table::new(&heads).left(2);
    for row in comparison.cells() {
        table.row(row);
    }
    let note = if comparison.provenance.speakers_shared {
        SPEAKERS_SHARED
    } else {
        ""
    };
    print(&format!("{}\n{}\n", table.render(note), comparison.notes()))
}
