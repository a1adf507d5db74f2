//! `vocalics plot`: a recording as a phonetician looks at it.

use std::path::{Path, PathBuf};

use clap::Args;
use vocalics_audio::{DecodeOptions, Waveform};
use vocalics_dsp::Padding;
use vocalics_dsp::decibel::power_db;
use vocalics_dsp::formant::{FormantConfig, formants};
use vocalics_dsp::intensity::intensity;
use vocalics_dsp::pause::{MIN_PAUSE_SECS, Segment, pauses};
use vocalics_dsp::pitch::{PitchConfig, pitch};
use vocalics_dsp::stft::{Stft, StftConfig};
use vocalics_dsp::voice_activity::{VoiceActivityConfig, voice_activity};
use vocalics_eval::plot::{PNG_SCALE, Spectrogram, Speech, speech};

use crate::failure::Failure;
use crate::input::decode_one;
use crate::output::target;
use crate::table::end_of;

/// Highest frequency of the spectrogram in hertz.
const TOP_HZ: f32 = 5_000.0;
/// Columns of the spectrogram at most; longer recordings get longer ones.
const MAX_COLUMNS: usize = 1_200;
/// Instants of which formants are drawn at most.
const MAX_DOTS: usize = 700;
/// Instants of which the intensity is drawn at most.
const MAX_LEVELS: usize = 3_000;
/// Characters of the title at most.
const TITLE_WIDTH: usize = 72;
/// Formants drawn.
const FORMANTS: usize = 4;

/// Draw waveform, spectrogram, pitch, intensity, formants, voiced stretches and pauses of a recording
///
/// All over one time axis, as SVG or PNG.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recording, or - for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Picture to write, .svg or .png
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let extension = arguments.output.extension().and_then(|text| text.to_str());
    let extension = extension.map(str::to_ascii_lowercase);
    if !matches!(extension.as_deref(), Some("svg" | "png")) {
        return Err(Failure::usage(
            format!("the form of {} is not known", arguments.output.display()),
            "name it .svg or .png",
        ));
    }
    let picture = target(&arguments.output, [arguments.file.as_path()])?;
    let waveform = decode_one(&arguments.file, &DecodeOptions::default())?;
    let found = analyse(&arguments.file, &waveform);
    let figure = speech(&found.map_err(|failure| failure.about(&arguments.file))?)?;
    if extension.as_deref() == Some("svg") {
        figure.write_svg(&picture)?;
    } else {
        figure.write_png(&picture, PNG_SCALE)?;
    }
    Ok(())
}

fn analyse(file: &Path, waveform: &Waveform) -> Result<Speech, Failure> {
    let (samples, rate) = (waveform.samples(), waveform.sample_rate());
    let config = PitchConfig::default();
    let track = pitch(samples, rate, &config)?;
    let levels = intensity(samples, rate, config.floor_hz, config.time_step_secs)?;
    let resonances = formants(samples, rate, &FormantConfig::default())?;
    let active = voice_activity(samples, rate, &VoiceActivityConfig::default())?;
    let spans = |parts: &[Segment]| {
        parts
            .iter()
            .map(|part| (part.start_secs, part.end_secs))
            .collect()
    };
    // Formants of silence and of noise between words are of no interest.
    let voiced_at = |secs: f64| track.at(secs).is_some();
    let dot_step = resonances.times_secs.len().div_ceil(MAX_DOTS).max(1);
    let level_step = levels.times_secs.len().div_ceil(MAX_LEVELS).max(1);
    Ok(Speech {
        title: file.file_name().map_or_else(String::new, |name| {
            end_of(&name.to_string_lossy(), TITLE_WIDTH)
        }),
        duration_secs: waveform.duration_secs(),
        sample_rate: rate,
        samples: samples.to_vec(),
        spectrogram: spectrogram(samples, rate)?,
        pitch: track
            .times_secs
            .iter()
            .zip(&track.f0_hz)
            .map(|(secs, f0)| (*secs, f64::from(*f0)))
            .collect(),
        intensity: levels
            .times_secs
            .iter()
            .zip(&levels.intensity_db)
            .step_by(level_step)
            .map(|(secs, db)| (*secs, f64::from(*db)))
            .collect(),
        formants: resonances
            .times_secs
            .iter()
            .zip(&resonances.frames)
            .step_by(dot_step)
            .filter(|(secs, _)| voiced_at(**secs))
            .flat_map(|(secs, frame)| {
                frame
                    .iter()
                    .take(FORMANTS)
                    .map(|formant| (*secs, f64::from(formant.hz)))
            })
            .collect(),
        voiced: spans(&track.voiced_segments()),
        pauses: spans(&pauses(&active, MIN_PAUSE_SECS)),
        speech: spans(&active),
    })
}

/// Wide-band: windows of 8 ms every 2 ms, so that formants show and harmonics do not. Decibels re a sine of
/// full scale, raised by 6 dB an octave as the ear and the eye expect.
fn spectrogram(samples: &[f32], rate: u32) -> Result<Spectrogram, Failure> {
    let win_length = (rate as usize / 125).max(8);
    let n_fft = (4 * win_length).next_power_of_two();
    let mut stft = Stft::new(&StftConfig {
        n_fft,
        win_length,
        hop_length: (rate as usize / 500).max(1),
        center: true,
        padding: Padding::Zero,
    })?;
    let top_hz = TOP_HZ.min(rate as f32 / 2.0);
    let bin_hz = rate as f32 / n_fft as f32;
    // A sine of amplitude 1 in the middle of a bin has half the sum of a Hann window there.
    let full_scale = (win_length as f32 / 4.0).powi(2);
    let gains: Vec<f32> = (0..stft.n_bins())
        .map(|bin| bin as f32 * bin_hz)
        .take_while(|hz| *hz <= top_hz)
        .map(|hz| (hz.max(50.0) / 1_000.0).powi(2) / full_scale)
        .collect();
    let n_frames = stft.n_frames(samples.len());
    let frames_a_column = n_frames.div_ceil(MAX_COLUMNS);
    let (mut power, mut column) = (vec![0.0; stft.n_bins()], vec![0.0_f32; gains.len()]);
    let mut values_db = Vec::new();
    for frame in 0..n_frames {
        stft.power_frame(samples, frame, &mut power);
        for (most, power) in column.iter_mut().zip(&power) {
            *most = most.max(*power);
        }
        // The loudest of its frames stands for a column, so that nothing short is lost.
        if (frame + 1).is_multiple_of(frames_a_column) || frame + 1 == n_frames {
            values_db.extend(
                column
                    .iter()
                    .zip(&gains)
                    .map(|(p, gain)| power_db(p * gain)),
            );
            column.fill(0.0);
        }
    }
    Ok(Spectrogram {
        n_rows: gains.len(),
        top_hz: f64::from(top_hz),
        values_db,
    })
}
