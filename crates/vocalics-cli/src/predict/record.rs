//! The outcome of one recording for machines: JSON and CSV.

use std::io::{self, Write};

use serde::{Serialize, Serializer};
use vocalics_runtime::{Prediction, Quality};

use crate::recognition::Refusal;

/// One object of the JSON output.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum JsonRow<'a> {
    Recognised {
        file: &'a str,
        duration_secs: f64,
        label: Option<&'a str>,
        #[serde(serialize_with = "in_label_order")]
        scores: &'a [(String, f32)],
        quality: &'a Quality,
        /// How far the recording is from those trained on, where the model says.
        #[serde(skip_serializing_if = "Option::is_none")]
        domain_distance: Option<f32>,
        /// Seconds of the speaker that the scores are adapted to, where they are.
        #[serde(skip_serializing_if = "Option::is_none")]
        speaker_audio_secs: Option<f64>,
    },
    Refused {
        file: &'a str,
        error: JsonError<'a>,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct JsonError<'a> {
    code: &'a str,
    message: &'a str,
}

fn in_label_order<S: Serializer>(
    scores: &[(String, f32)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(scores.iter().map(|(label, score)| (label, score)))
}

impl<'a> JsonRow<'a> {
    pub(super) fn new(
        file: &'a str,
        outcome: &'a Result<Prediction, Refusal>,
        speaker_audio_secs: Option<f64>,
    ) -> Self {
        match outcome {
            Ok(prediction) => Self::Recognised {
                file,
                duration_secs: prediction.duration_secs,
                label: prediction.label.as_deref(),
                scores: &prediction.scores,
                quality: &prediction.quality,
                domain_distance: prediction.domain_distance,
                speaker_audio_secs,
            },
            Err(Refusal { code, message, .. }) => Self::Refused {
                file,
                error: JsonError { code, message },
            },
        }
    }

    /// Writes the object on one line, without the end of the line.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(out, self).map_err(io::Error::from)
    }
}

/// Columns after the scores.
const QUALITY_AND_ERROR: [&str; 9] = [
    "snr_db",
    "bandwidth_hz",
    "speech_ratio",
    "clipped",
    "clipped_ratio",
    "silent",
    "domain_distance",
    "error_code",
    "error_message",
];

/// The last column where scores are adapted.
const SPEAKER_AUDIO: &str = "speaker_audio_secs";

/// The head of the CSV output: file, duration, label, one column per score, quality, error, and the seconds of the
/// speaker that scores are adapted to, if they are.
pub(super) fn csv_head(labels: &[String], adapted: bool) -> io::Result<Vec<u8>> {
    let mut cells: Vec<String> = ["file", "duration_secs", "label"].map(str::to_owned).into();
    cells.extend(labels.iter().map(|label| format!("score_{label}")));
    cells.extend(QUALITY_AND_ERROR.map(str::to_owned));
    cells.extend(adapted.then(|| SPEAKER_AUDIO.to_owned()));
    line(&cells)
}

/// One row of the CSV output; what is not known is an empty field.
pub(super) fn csv_row(
    file: &str,
    outcome: &Result<Prediction, Refusal>,
    n_labels: usize,
    speaker_audio_secs: Option<f64>,
) -> io::Result<Vec<u8>> {
    let number = |value: Option<f32>| value.map_or_else(String::new, |v| v.to_string());
    let mut cells = vec![file.to_owned()];
    match outcome {
        Ok(prediction) => {
            cells.push(prediction.duration_secs.to_string());
            cells.push(prediction.label.clone().unwrap_or_default());
            cells.extend(prediction.scores.iter().map(|(_, score)| score.to_string()));
            let quality = &prediction.quality;
            cells.extend([
                number(quality.snr_db),
                number(quality.bandwidth_hz),
                quality.speech_ratio.to_string(),
                quality.clipped.to_string(),
                quality.clipped_ratio.to_string(),
                quality.silent.to_string(),
                number(prediction.domain_distance),
                String::new(),
                String::new(),
            ]);
        }
        Err(refusal) => {
            // Duration, label, scores and the measures of quality.
            let unknown = 2 + n_labels + QUALITY_AND_ERROR.len() - 2;
            cells.extend(std::iter::repeat_n(String::new(), unknown));
            cells.extend([refusal.code.to_owned(), refusal.message.clone()]);
        }
    }
    cells.extend(speaker_audio_secs.map(|secs| secs.to_string()));
    line(&cells)
}

fn line(cells: &[String]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells)?;
    writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))
}
