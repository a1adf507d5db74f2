//! `vocalics combine`: several models, or finished evaluations, as one.

use std::path::{Path, PathBuf};

use clap::Args;
use vocalics_runtime::{ModelError, Recognizer, combine, read_model};
use vocalics_train::{FinishedRun, combine_runs};

use crate::evaluate::summary;
use crate::export::{refuse_to_overwrite, write};
use crate::failure::Failure;
use crate::output::{print, target, tell};

/// Join models that answer together
///
/// Given model files, writes one whose scores are the mean of theirs. Given run directories of `vocalics evaluate` under one protocol, does so
/// fold by fold and measures the whole on the same test clips, as a run of its own. Nothing is trained: the models may differ in network and
/// training, and must have the same labels and front end.
///
/// Shares, like everything else, are not to be chosen by the numbers of a test.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Model files, or run directories
    #[arg(required = true, num_args = 2.., value_name = "MODEL|RUN")]
    members: Vec<PathBuf>,
    /// File, or run directory, to write; must not exist
    #[arg(short, long, value_name = "PATH")]
    out: PathBuf,
    /// Weight of each, in the same order; equal if not given
    #[arg(long, num_args = 1.., value_name = "SHARE")]
    shares: Vec<f32>,
    /// Name of the model; that of the file or directory if not given
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let shares = shares(arguments)?;
    let stem = arguments.out.file_stem();
    let stem = stem.map(|stem| stem.to_string_lossy().into_owned());
    let name = arguments.name.clone().or(stem).unwrap_or_default();
    let folders = arguments
        .members
        .iter()
        .filter(|path| path.is_dir())
        .count();
    if folders == 0 {
        models(arguments, &shares, &name)
    } else if folders == arguments.members.len() {
        runs(arguments, &shares, &name)
    } else {
        Err(Failure::usage(
            "model files and run directories cannot be joined with each other",
            "give files alone, or directories alone",
        ))
    }
}

/// Shares of one, from weights of any size.
fn shares(arguments: &Arguments) -> Result<Vec<f32>, Failure> {
    let members = arguments.members.len();
    let mut shares = arguments.shares.clone();
    if shares.is_empty() {
        shares = vec![1.0; members];
    }
    let wrong =
        |what: String| Failure::usage(what, "give one number above 0 for each, in their order");
    if shares.len() != members {
        let given = shares.len();
        return Err(wrong(format!(
            "--shares has {given} numbers for {members} members"
        )));
    }
    if let Some(bad) = shares
        .iter()
        .find(|share| !(**share > 0.0 && share.is_finite()))
    {
        return Err(wrong(format!("--shares has {bad}")));
    }
    let sum: f32 = shares.iter().sum();
    Ok(shares.into_iter().map(|share| share / sum).collect())
}

fn models(arguments: &Arguments, shares: &[f32], name: &str) -> Result<(), Failure> {
    let out = target(&arguments.out, [])?;
    refuse_to_overwrite(&out)?;
    let mut files = Vec::with_capacity(arguments.members.len());
    for path in &arguments.members {
        let bytes = read_model(path)?;
        Recognizer::from_bytes(bytes.clone()).map_err(|source| ModelError::File {
            path: path.clone(),
            source: Box::new(source),
        })?;
        files.push(bytes);
    }
    let files: Vec<&[u8]> = files.iter().map(Vec::as_slice).collect();
    let whole = combine(&files, shares, name, 1.0);
    let whole = whole.map_err(|error| error.naming(&arguments.members))?;
    write(&out, &whole.bytes)?;
    tell(&format!(
        "{}: checked, {} bytes, {} models, {} parameters",
        arguments.out.display(),
        whole.bytes.len(),
        files.len(),
        whole.parameters,
    ));
    Ok(())
}

fn runs(arguments: &Arguments, shares: &[f32], name: &str) -> Result<(), Failure> {
    let members = arguments.members.iter();
    let members = members
        .map(|path| FinishedRun::read(path))
        .collect::<Result<Vec<FinishedRun>, _>>()?;
    let directory: &Path = &arguments.out;
    let measured = combine_runs(&members, shares, name, directory)?;
    print(&summary(&measured.report))?;
    tell(&format!(
        "report: {}",
        directory.join("report.html").display()
    ));
    Ok(())
}
