//! `vocalics data`: the corpora known, what is on disk, what is wrong with it, and downloads.

mod check;
mod get;
mod list;
mod stats;

use clap::{Args, Subcommand, ValueEnum};

use crate::failure::Failure;

/// List, count, check and download corpora
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Stats(stats::Arguments),
    Check(check::Arguments),
    Get(get::Arguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Table,
    /// For programs
    Json,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments),
        Command::Stats(arguments) => stats::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Get(arguments) => get::run(arguments),
    }
}
