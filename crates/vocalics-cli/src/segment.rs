//! `vocalics segment`: where somebody speaks.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;
use vocalics_audio::resample::resample;
use vocalics_audio::{DecodeOptions, Waveform};
use vocalics_dsp::check_samples;
use vocalics_dsp::pause::Segment;
use vocalics_dsp::rnnoise::{RNNOISE_SAMPLE_RATE, rnnoise, rnnoise_segments};
use vocalics_dsp::voice_activity::{VoiceActivityConfig, voice_activity};

use crate::failure::Failure;
use crate::input::{decode_one, number_in};
use crate::output::{data, print_json};

/// Find the stretches of a recording in which somebody speaks
///
/// By energy and spectrum, against the recording's own noise: speech is anything that stands out like
/// speech does, music and other sounds are not told apart from it. Or by the network of RNNoise, trained
/// on speech and noise. What was measured: `docs/signal.md`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recording, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// How
    #[arg(short, long, value_enum, default_value_t = Method::Energy)]
    method: Method,
    /// Gaps in speech shorter than this are closed, in seconds, before speech is widened by 30 ms at both ends
    #[arg(long, value_name = "SECS", default_value_t = VoiceActivityConfig::default().min_gap_secs,
        value_parser = |text: &str| number_in(text, 0.0..=60.0))]
    min_gap: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// An object with the segments
    Json,
    /// Rich Transcription Time Marked, one line per segment
    Rttm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Method {
    /// Energy and spectrum against the recording's own noise
    Energy,
    /// The network of RNNoise
    Rnnoise,
}

#[derive(Debug, Serialize)]
struct Found {
    file: String,
    duration_secs: f64,
    segments: Vec<Segment>,
}

fn by_rnnoise(waveform: &Waveform, config: &VoiceActivityConfig) -> Result<Vec<Segment>, Failure> {
    check_samples(waveform.samples())?;
    let samples = resample(
        waveform.samples(),
        waveform.sample_rate(),
        RNNOISE_SAMPLE_RATE,
    )?;
    let heard = rnnoise(&samples)?;
    Ok(rnnoise_segments(
        &heard.speech,
        waveform.duration_secs(),
        config,
    )?)
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let waveform = decode_one(&arguments.file, &DecodeOptions::default())?;
    let config = VoiceActivityConfig {
        min_gap_secs: arguments.min_gap,
        ..VoiceActivityConfig::default()
    };
    let (samples, rate) = (waveform.samples(), waveform.sample_rate());
    let mut segments = match arguments.method {
        Method::Energy => voice_activity(samples, rate, &config).map_err(Failure::from),
        Method::Rnnoise => by_rnnoise(&waveform, &config),
    }
    .map_err(|failure| failure.about(&arguments.file))?;
    for segment in &mut segments {
        // Frames are 10 ms long: milliseconds say all there is.
        segment.start_secs = (segment.start_secs * 1e3).round() / 1e3;
        segment.end_secs = (segment.end_secs * 1e3).round() / 1e3;
    }
    match arguments.format {
        Format::Json => print_json(&Found {
            file: arguments.file.display().to_string(),
            duration_secs: waveform.duration_secs(),
            segments,
        }),
        Format::Rttm => {
            let stem = arguments.file.file_stem().unwrap_or_default();
            // Fields are separated by blanks.
            let name = stem.to_string_lossy().replace(char::is_whitespace, "_");
            let mut out = data();
            for segment in &segments {
                writeln!(
                    out,
                    "SPEAKER {name} 1 {:.3} {:.3} <NA> <NA> speech <NA> <NA>",
                    segment.start_secs,
                    segment.duration_secs()
                )?;
            }
            Ok(out.flush()?)
        }
    }
}
