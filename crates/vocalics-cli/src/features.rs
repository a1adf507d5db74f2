//! `vocalics features`: a feature set of recordings, as a table.

mod npy;
mod parquet;
mod sheet;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum, value_parser};
use vocalics_audio::{DecodeOptions, Waveform};
use vocalics_features::{FeatureMatrix, FeatureSet, set_by_name, sets};

use self::npy::index_path;
use self::sheet::{PartialSheet, identity, write_head, write_rows};
use crate::failure::{Failure, feature_hint, with_causes};
use crate::input::{self, Input};
use crate::output::{data, target, tell};
use crate::progress::clips;
use crate::recognition::{Refusal, Refusals, cores, in_order};

/// Compute a set of features of recordings
///
/// One row per recording (functionals) or per frame (lld), with the columns file, start and end (in
/// seconds) and the features. Written into a file, work that was stopped goes on where it was when the
/// same command is given again; if a recording changed meanwhile, it begins anew. A bad recording never
/// stops the others; the exit code is 1 if there was one, unless --keep-going is given.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recordings, folders to walk, or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    /// Feature set
    #[arg(long, value_name = "NAME", value_parser = set_parser())]
    set: &'static dyn FeatureSet,
    /// File to write, .csv, .parquet or .npy (the index then lies beside it as .index.csv); standard
    /// output if not given
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Form of the output; by the name of the file if not given
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// One row per recording or one per frame
    #[arg(long, value_enum, default_value_t = Level::Functionals)]
    level: Level,
    /// Rate to which recordings are brought, in hertz
    #[arg(long, value_name = "HZ", default_value_t = 16_000, value_parser = value_parser!(u32).range(4_000..=192_000))]
    sample_rate: u32,
    /// Recordings worked on side by side; as many as there are cores if not given
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// End with exit code 0 even if there were bad recordings
    #[arg(long)]
    keep_going: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A head and one row per line
    Csv,
    /// NumPy array of float32, with the index in a CSV file
    Npy,
    /// Apache Parquet, one column for each of the table's
    Parquet,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Statistics over the recording
    Functionals,
    /// Low-level descriptors over time
    Lld,
}

/// The names of the sets, each with what it holds.
fn set_parser() -> impl TypedValueParser<Value = &'static dyn FeatureSet> {
    let names = sets()
        .iter()
        .map(|set| PossibleValue::new(set.name()).help(set.about()));
    PossibleValuesParser::new(names).try_map(|name| set_by_name(&name).ok_or("no such set"))
}

/// What is computed of each recording.
#[derive(Debug, Clone, Copy)]
struct Task {
    set: &'static dyn FeatureSet,
    level: Level,
    sample_rate: u32,
}

/// What a recording has in the table: begin and end of each row in seconds, and its values.
#[derive(Debug, Clone, PartialEq)]
struct Rows {
    spans_secs: Vec<(f64, f64)>,
    values: FeatureMatrix,
}

impl Task {
    fn names(&self) -> Vec<String> {
        match self.level {
            Level::Functionals => self.set.functional_names(),
            Level::Lld => self.set.descriptor_names(),
        }
    }

    /// Says what a partial file holds; a row of another kind cannot get into it.
    fn tag(&self) -> String {
        let level = match self.level {
            Level::Functionals => "functionals",
            Level::Lld => "lld",
        };
        format!(
            "{}-v{}-{level}-{}",
            self.set.name(),
            self.set.version(),
            self.sample_rate
        )
    }

    fn compute(&self, waveform: &Waveform) -> Result<Rows, Refusal> {
        let (samples, rate) = (waveform.samples(), waveform.sample_rate());
        let clip_secs = waveform.duration_secs();
        let found = match self.level {
            Level::Functionals => self.set.functionals(samples, rate).and_then(|values| {
                let n_features = values.len();
                Ok(Rows {
                    spans_secs: vec![(0.0, clip_secs)],
                    values: FeatureMatrix::new(values, n_features)?,
                })
            }),
            Level::Lld => self.set.descriptors(samples, rate).map(|found| {
                let half = found.step_secs / 2.0;
                let span = |centre: &f64| {
                    let (start, end) = (centre - half, centre + half);
                    (start.clamp(0.0, clip_secs), end.clamp(0.0, clip_secs))
                };
                Rows {
                    spans_secs: found.times_secs.iter().map(span).collect(),
                    values: found.matrix,
                }
            }),
        };
        found.map_err(|error| Refusal {
            code: "no_features",
            message: with_causes(&error),
            hint: feature_hint(&error),
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let format = format_of(arguments)?;
    let task = Task {
        set: arguments.set,
        level: arguments.level,
        sample_rate: arguments.sample_rate,
    };
    let inputs = once_each(input::expand(&arguments.inputs, false)?);
    let failed = match &arguments.output {
        None => to_standard_output(arguments, task, &inputs)?,
        Some(path) => to_file(arguments, task, &inputs, path, format)?,
    };
    if failed == 0 {
        return Ok(());
    }
    tell(&format!(
        "error: {failed} of {} recordings failed",
        inputs.len()
    ));
    if arguments.keep_going {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

/// Leaves out what is named again; what is written would not tell the two apart.
pub(crate) fn once_each(mut inputs: Vec<Input>) -> Vec<Input> {
    let n_named = inputs.len();
    let mut seen = BTreeSet::new();
    inputs.retain(|input| match input.path() {
        Some(path) => seen.insert(path.to_owned()),
        None => true,
    });
    if inputs.len() < n_named {
        let n_again = n_named - inputs.len();
        tell(&format!(
            "note: recordings named more than once count once ({n_again} left out)"
        ));
    }
    inputs
}

fn format_of(arguments: &Arguments) -> Result<Format, Failure> {
    let Some(path) = &arguments.output else {
        return match arguments.format {
            Some(Format::Npy) => Err(Failure::usage(
                "npy on standard output has nowhere to put its index",
                "name a file: -o features.npy",
            )),
            Some(Format::Parquet) => Err(Failure::usage(
                "parquet is not written to standard output",
                "name a file: -o features.parquet",
            )),
            Some(Format::Csv) | None => Ok(Format::Csv),
        };
    };
    if let Some(format) = arguments.format {
        return Ok(format);
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Ok(Format::Csv),
        Some("npy") => Ok(Format::Npy),
        Some("parquet") => Ok(Format::Parquet),
        _ => Err(Failure::usage(
            format!("the form of {} is not known", path.display()),
            "name it .csv, .parquet or .npy, or say --format",
        )),
    }
}

/// The rows of a recording, and which file it was.
struct Computed {
    identity: Option<String>,
    rows: Rows,
}

/// Computes the inputs and hands the rows of each good one to `write`; returns how many were bad.
fn compute(
    arguments: &Arguments,
    task: Task,
    inputs: &[&Input],
    n_done: usize,
    mut write: impl FnMut(&str, &Computed) -> Result<(), Failure>,
) -> Result<usize, Failure> {
    let decode = DecodeOptions {
        sample_rate: Some(task.sample_rate),
        ..DecodeOptions::default()
    };
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let bar = clips("features", inputs.len() + n_done);
    bar.set_position(n_done as u64);
    bar.reset_eta();
    let work = |input: &&Input| {
        // Found out before it is read: who changes it after that is found out when the work goes on.
        let identity = input.path().and_then(identity);
        let waveform = input.decode(None, &decode)?;
        let rows = task.compute(&waveform)?;
        Ok(Computed { identity, rows })
    };
    let mut failed = 0;
    let mut refusals = Refusals::default();
    let result = in_order(inputs, jobs, work, |index, outcome| {
        match outcome {
            Ok(computed) => write(&inputs[index].file(), &computed)?,
            Err(refusal) => {
                failed += 1;
                bar.suspend(|| refusals.tell(&inputs[index].shown(), &refusal));
            }
        }
        bar.inc(1);
        Ok(())
    });
    bar.finish_and_clear();
    result.map(|()| failed)
}

fn to_standard_output(
    arguments: &Arguments,
    task: Task,
    inputs: &[Input],
) -> Result<usize, Failure> {
    let mut out = data();
    write_head(&mut out, &task.names())?;
    let inputs: Vec<&Input> = inputs.iter().collect();
    compute(arguments, task, &inputs, 0, |file, computed| {
        write_rows(&mut out, file, &computed.rows)?;
        Ok(out.flush()?)
    })
}

fn to_file(
    arguments: &Arguments,
    task: Task,
    inputs: &[Input],
    path: &Path,
    format: Format,
) -> Result<usize, Failure> {
    let recordings = || inputs.iter().filter_map(Input::path);
    let table = target(path, recordings())?;
    let index = match format {
        Format::Csv | Format::Parquet => None,
        Format::Npy => Some(target(&index_path(path), recordings())?),
    };
    let mut sheet = PartialSheet::open(&table, &task.tag(), &task.names())?;
    take_up(&mut sheet, inputs)?;
    let done: BTreeSet<&String> = sheet.done().iter().collect();
    let left: Vec<&Input> = inputs
        .iter()
        .filter(|input| !done.contains(&input.file()))
        .collect();
    let n_done = done.len();
    let failed = compute(arguments, task, &left, n_done, |file, computed| {
        sheet.append(file, computed.identity.as_deref(), &computed.rows)
    })?;
    if failed == inputs.len() {
        // An older table is worth more than one without rows.
        tell(&format!("note: {} is not written", path.display()));
        sheet.discard()?;
        return Ok(failed);
    }
    match (format, index) {
        (_, Some(index)) => npy::write(&table, &index, sheet)?,
        (Format::Parquet, None) => parquet::write(&table, sheet)?,
        (_, None) => sheet.finish()?,
    }
    Ok(failed)
}

/// Goes on with what an earlier run left, or begins anew where that is of no use.
fn take_up(sheet: &mut PartialSheet, inputs: &[Input]) -> Result<(), Failure> {
    let names: BTreeSet<String> = inputs.iter().map(Input::file).collect();
    if let Some(stranger) = sheet.done().iter().find(|file| !names.contains(*file)) {
        return Err(Failure::new(
            format!(
                "{} holds features of {stranger}, which is not asked for",
                sheet.path().display()
            ),
            "give the command that was stopped, or remove that file",
        ));
    }
    if sheet.done().is_empty() {
        return sheet.restart();
    }
    // Nobody knows what standard input was.
    let unlike = |input: &Input| {
        let now = input.path().and_then(identity);
        now.is_none() || now.as_deref() != sheet.identity(&input.file())
    };
    let done: BTreeSet<&String> = sheet.done().iter().collect();
    let changed = inputs
        .iter()
        .find(|input| done.contains(&input.file()) && unlike(input));
    if let Some(changed) = changed {
        let shown = changed.shown();
        tell(&format!(
            "note: {shown} may have changed or be another file since the work was stopped; all is computed again"
        ));
        return sheet.restart();
    }
    if names.len() < inputs.len() {
        tell("note: some names look the same in the table; all is computed again");
        return sheet.restart();
    }
    tell(&format!(
        "note: {} of {} recordings were done before",
        done.len(),
        inputs.len()
    ));
    sheet.resume()
}
