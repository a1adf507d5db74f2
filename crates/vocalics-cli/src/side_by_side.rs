//! How much of the machine a command takes.

use std::path::Path;

use clap::{Args, value_parser};
use vocalics_train::{ComputeDevice, RunOptions};

use crate::recognition::cores;

/// Options of what runs side by side, and where.
#[derive(Debug, Args)]
pub(crate) struct SideBySide {
    /// Trainings, folds or clips side by side; as many as there are cores if not given
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Threads of each training; what the trainings side by side leave if not given
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Where the networks learn: cpu, or cuda, cuda:N, wgpu, wgpu:N in a program built for them
    #[arg(long, value_name = "DEVICE", default_value_t = ComputeDevice::Cpu)]
    device: ComputeDevice,
}

impl SideBySide {
    /// How many at a time.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.map_or_else(cores, usize::from)
    }

    /// The options of a run of so many trainings.
    pub(crate) fn run(&self, directory: &Path, folds: &[String], trainings: usize) -> RunOptions {
        let jobs = self.jobs().min(trainings).max(1);
        RunOptions {
            directory: directory.to_owned(),
            folds: folds.to_owned(),
            jobs,
            threads: self
                .threads
                .map_or_else(|| (cores() / jobs).max(1), usize::from),
            device: self.device,
        }
    }
}
