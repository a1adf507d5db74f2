//! `vocalics denoise`: a recording with less noise.

use std::path::PathBuf;

use clap::Args;
use vocalics_audio::{DecodeOptions, write_wav16};
use vocalics_dsp::noise_reduction::{NoiseReductionConfig, reduce_noise};

use crate::failure::Failure;
use crate::input::{decode_one, number_in};
use crate::output::{target, tell};

/// Reduce the noise of a recording
///
/// A Wiener filter over the noise found by minimum statistics. Steady noise goes down; voices of others
/// and music stay. In steady noise recognition gets better on the result, on clean recordings a little
/// worse: `docs/signal.md` has the numbers. Writes 16-bit PCM at the rate of the recording, mono.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recording, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// WAV file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Most that a frequency is turned down, in decibels
    #[arg(long, value_name = "DB", default_value_t = NoiseReductionConfig::default().max_reduction_db,
        value_parser = |text: &str| number_in(text, 1.0_f32..=100.0))]
    max_reduction: f32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let extension = arguments.output.extension();
    if !extension.is_some_and(|text| text.eq_ignore_ascii_case("wav")) {
        return Err(Failure::usage(
            format!("{} is not called .wav", arguments.output.display()),
            "a WAV file is written; name it so",
        ));
    }
    let output = target(&arguments.output, [arguments.file.as_path()])?;
    let config = NoiseReductionConfig {
        max_reduction_db: arguments.max_reduction,
        ..NoiseReductionConfig::default()
    };
    let options = DecodeOptions {
        sample_rate: None,
        ..DecodeOptions::default()
    };
    let waveform = decode_one(&arguments.file, &options)?;
    let quiet = reduce_noise(waveform.samples(), waveform.sample_rate(), &config)?;
    let n_beyond = quiet.iter().filter(|sample| sample.abs() > 1.0).count();
    if n_beyond > 0 {
        tell(&format!(
            "warning: {n_beyond} of {} samples are beyond full scale and clipped",
            quiet.len()
        ));
    }
    Ok(write_wav16(&output, &quiet, waveform.sample_rate())?)
}
