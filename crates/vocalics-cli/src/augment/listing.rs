//! The listing of examples.

use std::io;

use clap::ValueEnum;
use serde::Serialize;
use vocalics_augment::Record;

use super::Arguments;
use crate::failure::Failure;
use crate::output::write_beside;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A head and one row per example, the steps as text
    Csv,
    /// A list of objects, the steps with their values
    Json,
}

impl Format {
    /// Name of the listing.
    pub(super) fn listing(self) -> &'static str {
        match self {
            Self::Csv => "examples.csv",
            Self::Json => "examples.json",
        }
    }
}

/// A line of the listing.
#[derive(Debug, Serialize)]
pub(super) struct Example {
    /// Name of the file in the folder.
    pub(super) file: String,
    /// The recording.
    pub(super) source: String,
    /// Seed of its generator.
    pub(super) seed: u64,
    pub(super) duration_secs: f64,
    /// Gain that keeps it from clipping, 0 if it did not need one.
    pub(super) scaled_db: f64,
    pub(super) steps: Record,
}

/// Writes it into the folder of the examples.
pub(super) fn write_listing(arguments: &Arguments, examples: &[Example]) -> Result<(), Failure> {
    let path = arguments.output.join(arguments.format.listing());
    match arguments.format {
        Format::Json => write_beside(&path, |out| {
            serde_json::to_writer_pretty(out, examples).map_err(io::Error::from)
        }),
        Format::Csv => write_beside(&path, |out| {
            let mut table = csv::Writer::from_writer(out);
            table.write_record([
                "file",
                "source",
                "seed",
                "duration_secs",
                "scaled_db",
                "steps",
            ])?;
            for example in examples {
                table.write_record([
                    &example.file,
                    &example.source,
                    &example.seed.to_string(),
                    &format!("{:.4}", example.duration_secs),
                    &example.scaled_db.to_string(),
                    &example.steps.to_string(),
                ])?;
            }
            table.flush()
        }),
    }
}
