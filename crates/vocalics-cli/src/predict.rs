//! `vocalics predict`: what recordings sound like.

mod record;
mod sheet;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum, value_parser};
use vocalics_audio::DecodeOptions;
use vocalics_runtime::{Prediction, Recognizer, SpeakerProfile};

use self::record::{JsonRow, csv_head, csv_row};
use self::sheet::Sheet;
use crate::failure::Failure;
use crate::input::{self, Input, RawFormat};
use crate::output::{data, tell};
use crate::recognition::{Recognised, Refusal, Refusals, cores, in_order, listen, open};

/// Recognise how recordings sound
///
/// The scores are probabilities over the labels of the model and sum to 1. They say what a recording
/// sounds like to a model of acted speech, not what anybody feels. A recording that is nothing but
/// silence gets no label. A bad recording never stops the others; the exit code is 1 if there was one.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recordings, folders to walk, or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    /// Model file; the one that the program carries if not given
    #[arg(short, long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Encoder of the model, where it is a file of its own
    #[arg(long, value_name = "ENCODER.onnx", requires = "model")]
    encoder: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Take the inputs as raw 16-bit little-endian samples at this rate
    #[arg(long, value_name = "HZ", value_parser = value_parser!(u32).range(100..=384_000))]
    raw_rate: Option<u32>,
    /// Channels of raw samples, interleaved
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        requires = "raw_rate",
        value_parser = value_parser!(u16).range(1..=16)
    )]
    raw_channels: u16,
    /// Longest recording accepted, in seconds
    #[arg(long, value_name = "SECS", default_value_t = 14_400.0, value_parser = seconds)]
    max_duration: f64,
    /// Answer "uncertain" where the best score is below P, from 0 to 1, or the recording is unlike the training or holds hardly any speech
    ///
    /// The scores are calibrated: of the answers with a score of 0.7, about seven in ten are right on voices like those the
    /// model was calibrated on.
    #[arg(long, value_name = "P", value_parser = share)]
    abstain: Option<f32>,
    /// Recordings of the speaker, not labelled, that the scores adapt to; stands behind the recordings to recognise
    ///
    /// Every score is divided by its mean over these recordings, so that a voice which sounds angry all the time is
    /// not called angry all the time. They should be as varied as what is to be recognised: docs/EVALUATION.md.
    #[arg(long, value_name = "FILE|DIR", num_args = 1..)]
    speaker_audio: Vec<PathBuf>,
    /// All recordings are of one speaker: each adapts to those before it, in their order
    #[arg(long)]
    one_speaker: bool,
    /// Recordings worked on side by side; as many as there are cores if not given
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

/// What stands in the place of a label whose score is too low.
const UNCERTAIN: &str = "uncertain";

fn share(text: &str) -> Result<f32, String> {
    input::number_in(text, 0.0..=1.0)
}

/// Takes the answer back where its score is below `least` or the scores say little; the scores stay.
fn withhold(mut prediction: Prediction, least: Option<f32>) -> Prediction {
    let best = prediction
        .scores
        .iter()
        .map(|(_, score)| *score)
        .fold(0.0, f32::max);
    let doubtful = |least: f32| best < least || prediction.is_doubtful();
    if prediction.label.is_some() && least.is_some_and(doubtful) {
        prediction.label = Some(UNCERTAIN.to_owned());
    }
    prediction
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For reading
    Table,
    /// One array of objects
    Json,
    /// One object per line
    Jsonl,
    /// One row per recording, with a head
    Csv,
}

fn seconds(text: &str) -> Result<f64, String> {
    let least = DecodeOptions::default().min_duration_secs;
    match text.parse::<f64>() {
        Ok(secs) if secs.is_finite() && secs >= least => Ok(secs),
        _ => Err(format!("expected a number of seconds, at least {least}")),
    }
}

/// What is known of the speaker; `None` where scores do not adapt.
fn speaker(
    arguments: &Arguments,
    recognizer: &Recognizer,
    decode: &DecodeOptions,
    jobs: usize,
) -> Result<Option<SpeakerProfile>, Failure> {
    let mut speaker = recognizer.speaker();
    if arguments.speaker_audio.is_empty() {
        return Ok(arguments.one_speaker.then_some(speaker));
    }
    let recordings = input::expand(&arguments.speaker_audio, false)?;
    let in_recording = |index: usize| {
        let shown = recordings[index].shown();
        move |Refusal { message, hint, .. }: Refusal| {
            Failure::new(format!("--speaker-audio {shown}: {message}"), hint)
        }
    };
    let work = |input: &Input| {
        input
            .decode(None, decode)
            .and_then(|waveform| listen(recognizer, &waveform))
    };
    let mut all = Vec::new();
    in_order(&recordings, jobs, work, |index, outcome| {
        let heard = outcome.and_then(|recognised| {
            hear_voice(recognizer, &mut speaker, &recognised)?;
            Ok(recognised)
        });
        all.push(heard.map_err(in_recording(index))?);
        Ok(())
    })?;
    // Where functionals are moved to the speaker, the scores that are heard are those of moved ones.
    let voice = speaker.clone();
    for (index, recognised) in all.into_iter().enumerate() {
        let prediction = match &recognised.heard {
            None => recognised.prediction,
            Some(heard) => recognizer
                .answer(heard, Some(&voice))
                .map_err(|error| in_recording(index)(Refusal::of_runtime(&error)))?,
        };
        hear(&mut speaker, &prediction);
    }
    if speaker.seconds() == 0.0 {
        return Err(Failure::new(
            "the recordings given with --speaker-audio are silent",
            "give recordings in which the speaker speaks",
        ));
    }
    tell(&format!(
        "scores adapt to {:.1} s of the speaker",
        speaker.seconds()
    ));
    Ok(Some(speaker))
}

/// Where the speaker's functionals lie, for a model that moves them there. Silence says nothing.
fn hear_voice(
    recognizer: &Recognizer,
    speaker: &mut SpeakerProfile,
    recognised: &Recognised,
) -> Result<(), Refusal> {
    match &recognised.heard {
        Some(heard) => recognizer
            .hear_voice(heard, speaker)
            .map_err(|error| Refusal::of_runtime(&error)),
        None => Ok(()),
    }
}

/// The prediction that has adapted to what was heard of the speaker, who goes on being heard if all recordings are of one.
fn of_speaker(
    recognizer: &Recognizer,
    speaker: &mut SpeakerProfile,
    one_speaker: bool,
    recognised: Recognised,
) -> Result<Prediction, Refusal> {
    let mut plain = recognised.prediction.clone();
    if let Some(heard) = &recognised.heard {
        let moved = recognizer.answer(heard, Some(speaker));
        plain = Prediction {
            duration_secs: plain.duration_secs,
            ..moved.map_err(|error| Refusal::of_runtime(&error))?
        };
    }
    let adapted = plain.clone().adapted(speaker);
    if one_speaker {
        hear(speaker, &plain);
        hear_voice(recognizer, speaker, &recognised)?;
    }
    Ok(adapted)
}

/// Silence says nothing about a speaker.
fn hear(speaker: &mut SpeakerProfile, prediction: &Prediction) {
    if prediction.label.is_some() {
        let scores: Vec<f32> = prediction.scores.iter().map(|(_, score)| *score).collect();
        speaker.hear(&scores, prediction.analysed_secs);
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let recognizer = open(arguments.model.as_deref(), arguments.encoder.as_deref())?;
    let raw = arguments.raw_rate.map(|rate| RawFormat {
        rate,
        channels: arguments.raw_channels,
    });
    let decode = DecodeOptions {
        sample_rate: Some(recognizer.sample_rate()),
        max_duration_secs: arguments.max_duration,
        ..DecodeOptions::default()
    };
    let inputs = input::expand(&arguments.inputs, raw.is_some())?;
    let streamed = |paths: &[PathBuf]| paths.iter().any(|path| path.as_os_str() == "-");
    if streamed(&arguments.inputs) && streamed(&arguments.speaker_audio) {
        return Err(Failure::usage(
            "- is both a recording and --speaker-audio",
            "standard input is read once",
        ));
    }
    let labels = recognizer.labels();

    let mut out = data();
    let sheet = Sheet::new(&inputs, labels, arguments.abstain);
    let mut failed = 0;
    let mut refusals = Refusals::default();
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let mut speaker = speaker(arguments, &recognizer, &decode, jobs)?;
    match arguments.format {
        Format::Csv => out.write_all(&csv_head(labels, speaker.is_some())?)?,
        Format::Json => out.write_all(b"[")?,
        Format::Table => out.write_all(sheet.head().as_bytes())?,
        Format::Jsonl => {}
    }
    let work = |input: &Input| {
        input
            .decode(raw, &decode)
            .and_then(|waveform| listen(&recognizer, &waveform))
    };
    in_order(&inputs, jobs, work, |index, outcome| {
        let file = inputs[index].file();
        let heard = speaker.as_ref().map(SpeakerProfile::seconds);
        let outcome = outcome.and_then(|recognised| {
            let prediction = match &mut speaker {
                Some(speaker) => {
                    of_speaker(&recognizer, speaker, arguments.one_speaker, recognised)?
                }
                None => recognised.prediction,
            };
            Ok(withhold(prediction, arguments.abstain))
        });
        failed += usize::from(outcome.is_err());
        match (arguments.format, &outcome) {
            (Format::Json, _) => {
                out.write_all(if index == 0 { b"\n  " } else { b",\n  " })?;
                JsonRow::new(&file, &outcome, heard).write(&mut out)?;
            }
            (Format::Jsonl, _) => {
                JsonRow::new(&file, &outcome, heard).write(&mut out)?;
                out.write_all(b"\n")?;
            }
            (Format::Csv, _) => out.write_all(&csv_row(&file, &outcome, labels.len(), heard)?)?,
            (Format::Table, Ok(prediction)) => {
                out.write_all(sheet.row(&file, prediction).as_bytes())?;
            }
            (Format::Table, Err(refusal)) => {
                // In its place among the rows.
                out.flush()?;
                refusals.tell(&inputs[index].shown(), refusal);
            }
        }
        Ok(out.flush()?)
    })?;
    if arguments.format == Format::Json {
        out.write_all(b"\n]\n")?;
        out.flush()?;
    }
    if failed == 0 {
        return Ok(());
    }
    match arguments.format {
        Format::Table if inputs.len() == 1 => {}
        Format::Table => tell(&format!(
            "error: {failed} of {} recordings failed",
            inputs.len()
        )),
        _ => {
            tell(&format!(
                "error: {failed} of {} recordings failed",
                inputs.len()
            ));
            tell("hint: the output says why, under `error`");
        }
    }
    Err(Failure::Reported)
}
