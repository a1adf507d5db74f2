//! The command, run in a folder as a user runs it.

use std::path::Path;
use std::process::{Command, Output};

/// What a run left.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        let Self { out, err, .. } = &self;
        assert_eq!(self.code, Some(code), "stdout: {out}\nstderr: {err}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "no {part:?} in {}", self.err);
        }
        self
    }
}

/// The command with these arguments, in that folder, without what the tester's shell has set for it.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vocalics"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove("VOCALICS_DATA")
        .env_remove("COLUMNS");
    command
}

/// Harmonics of `pitch` hertz at 16 kHz, switched on and off like syllables.
#[expect(clippy::cast_possible_truncation, reason = "samples")]
pub(crate) fn voice(pitch: f64, syllables_hz: f64, secs: f64) -> Vec<f32> {
    let tau = std::f64::consts::TAU;
    let mut time = 0.0;
    let mut samples = Vec::new();
    while time < secs {
        let tone: f64 = (1..12)
            .map(|k| (tau * pitch * f64::from(k) * time).sin() / f64::from(k))
            .sum();
        samples.push((0.1 * (0.5 - 0.5 * (tau * syllables_hz * time).cos()) * tone) as f32);
        time += 1.0 / 16_000.0;
    }
    samples
}
