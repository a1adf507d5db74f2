//! The `vocalics` command.
//!
//! Arguments, progress, tables and exit codes, and nothing else: whatever is worth a test of its own
//! lives in a library. One module per subcommand. What they share:
//!
//! - [`failure`]: an error, what to do about it, and the exit code. 0 is done, 1 failed, 2 bad usage.
//! - [`output`]: data goes to standard output, everything else to standard error.
//! - [`progress`]: bars, silent when standard error is no terminal.
//! - [`input`]: files, folders and standard input to recordings.
//! - [`selection`]: which corpora are meant, from `--corpus` and the data root.
//! - [`side_by_side`]: how many trainings at a time, on which device.
//! - [`recognition`]: a model and a recording to scores, several side by side in a stable order.

mod augment;
mod combine;
mod compare;
mod data;
mod denoise;
mod evaluate;
mod export;
mod failure;
mod features;
mod input;
mod manual;
mod output;
mod plot;
mod predict;
mod pretrain;
mod progress;
mod recognition;
mod report;
mod segment;
mod selection;
mod side_by_side;
mod table;
mod train;
mod tune;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Recognises how something was said: emotion from speech, on this machine alone.
#[derive(Debug, Parser)]
#[command(name = "vocalics", version, arg_required_else_help = true)]
pub(crate) struct Vocalics {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Predict(predict::Arguments),
    Features(features::Arguments),
    Plot(plot::Arguments),
    Segment(segment::Arguments),
    Denoise(denoise::Arguments),
    Augment(augment::Arguments),
    Data(data::Arguments),
    Pretrain(pretrain::Arguments),
    Train(train::Arguments),
    Evaluate(evaluate::Arguments),
    Tune(tune::Arguments),
    Compare(compare::Arguments),
    Combine(combine::Arguments),
    Report(report::Arguments),
    Export(export::Arguments),
    Completions(manual::CompletionsArguments),
    Man(manual::ManArguments),
}

fn main() -> ExitCode {
    let result = match Vocalics::parse().command {
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Features(arguments) => features::run(&arguments),
        Command::Plot(arguments) => plot::run(&arguments),
        Command::Segment(arguments) => segment::run(&arguments),
        Command::Denoise(arguments) => denoise::run(&arguments),
        Command::Augment(arguments) => augment::run(&arguments),
        Command::Data(arguments) => data::run(&arguments),
        Command::Pretrain(arguments) => pretrain::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Evaluate(arguments) => evaluate::run(&arguments),
        Command::Tune(arguments) => tune::run(&arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Combine(arguments) => combine::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::man(&arguments),
    };
    result.map_or_else(Failure::end, |()| ExitCode::SUCCESS)
}
