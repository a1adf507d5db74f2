//! `vocalics denoise`: a recording with less noise.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vocalics_audio::resample::resample;
use vocalics_audio::{DecodeOptions, Waveform, write_wav16};
use vocalics_dsp::check_samples;
use vocalics_dsp::noise_reduction::{NoiseReductionConfig, reduce_noise};
use vocalics_dsp::rnnoise::{RNNOISE_SAMPLE_RATE, rnnoise};

use crate::failure::Failure;
use crate::input::{decode_one, number_in};
use crate::output::{target, tell};

/// Reduce the noise of a recording
///
/// Either a Wiener filter over the noise found by minimum statistics: steady noise goes down, voices of
/// others and music stay. Or RNNoise, a small network that came trained on speech and noise. A model that
/// was trained on clean recordings alone recognises better in steady noise after it, and a little worse
/// where there is none: `docs/signal.md` has the numbers. Writes 16-bit PCM at the rate of the recording, mono.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recording, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// WAV file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// How
    #[arg(short, long, value_enum, default_value_t = Method::Wiener)]
    method: Method,
    /// Most that a frequency is turned down by the Wiener filter, in decibels; 15 if not given
    #[arg(long, value_name = "DB", value_parser = |text: &str| number_in(text, 1.0_f32..=100.0))]
    max_reduction: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Wiener filter over minimum statistics
    Wiener,
    /// The network of RNNoise
    Rnnoise,
}

/// The recording with less noise, as long as it is and at its rate.
fn reduced(waveform: &Waveform, arguments: &Arguments) -> Result<Vec<f32>, Failure> {
    let (samples, rate) = (waveform.samples(), waveform.sample_rate());
    match arguments.method {
        Method::Wiener => {
            let default = NoiseReductionConfig::default();
            let config = NoiseReductionConfig {
                max_reduction_db: arguments.max_reduction.unwrap_or(default.max_reduction_db),
                ..default
            };
            Ok(reduce_noise(samples, rate, &config)?)
        }
        Method::Rnnoise => {
            check_samples(samples)?;
            let quiet = rnnoise(&resample(samples, rate, RNNOISE_SAMPLE_RATE)?)?;
            let mut quiet = resample(&quiet.samples, RNNOISE_SAMPLE_RATE, rate)?;
            quiet.resize(samples.len(), 0.0);
            Ok(quiet)
        }
    }
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
    if arguments.method == Method::Rnnoise && arguments.max_reduction.is_some() {
        return Err(Failure::usage(
            "--max-reduction is of the Wiener filter, not of RNNoise",
            "leave it out, or give --method wiener",
        ));
    }
    let options = DecodeOptions {
        sample_rate: None,
        ..DecodeOptions::default()
    };
    let waveform = decode_one(&arguments.file, &options)?;
    let quiet = reduced(&waveform, arguments).map_err(|failure| failure.about(&arguments.file))?;
    let n_beyond = quiet.iter().filter(|sample| sample.abs() > 1.0).count();
    if n_beyond > 0 {
        tell(&format!(
            "warning: {n_beyond} of {} samples are beyond full scale and clipped",
            quiet.len()
        ));
    }
    Ok(write_wav16(&output, &quiet, waveform.sample_rate())?)
}
