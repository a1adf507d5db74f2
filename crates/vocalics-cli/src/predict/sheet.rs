//! The outcome of recordings for people.

use vocalics_runtime::{Prediction, Quality};

use super::UNCERTAIN;
use crate::input::Input;
use crate::table::{bar, end_of};

/// Widest name of a file in a row; of longer ones the end is shown.
const NAME_WIDTH: usize = 48;
/// Length of a bar for the score 1.
const BAR_WIDTH: u16 = 30;
/// The same, in a row.
const SHORT_BAR_WIDTH: u16 = 10;
/// Runners-up named in a row, and the least score for which they are.
const NEXT: (usize, f32) = (2, 0.05);
/// Recordings without content above this many hertz are called narrow-band: telephone audio ends at
/// 4 kHz, and the measure's bands are 125 Hz wide.
const NARROW_HZ: f32 = 4200.0;
/// Recordings with a lower signal-to-noise ratio, in dB, are called noisy.
const NOISY_DB: f32 = 5.0;

/// A single recording with all its scores, or one row per recording.
#[derive(Debug)]
pub(super) struct Sheet {
    single: bool,
    name_width: usize,
    label_width: usize,
    /// Least score of an answer.
    abstain: Option<f32>,
}

impl Sheet {
    pub(super) fn new(inputs: &[Input], labels: &[String], abstain: Option<f32>) -> Self {
        let widest = inputs
            .iter()
            .map(|input| input.file().chars().count())
            .max()
            .unwrap_or(0);
        let label_width = labels
            .iter()
            .map(String::as_str)
            .chain(abstain.map(|_| UNCERTAIN))
            .map(|label| label.chars().count())
            .max()
            .unwrap_or(0);
        Self {
            single: inputs.len() == 1,
            name_width: widest.clamp(4, NAME_WIDTH),
            label_width,
            abstain,
        }
    }

    /// Whether there is no answer: the best score is too low, or the scores say little.
    fn abstains(&self, prediction: &Prediction, score: f32) -> bool {
        self.abstain
            .is_some_and(|least| score < least || prediction.is_doubtful())
    }

    /// The line above the rows.
    pub(super) fn head(&self) -> String {
        if self.single {
            return String::new();
        }
        let (name, label, bar) = (
            self.name_width,
            self.label_width,
            usize::from(SHORT_BAR_WIDTH),
        );
        let score = "score";
        format!(
            "{:<name$}  {:>6}  {:<label$}  {score:<width$}  next\n",
            "file",
            "secs",
            "sounds",
            width = 5 + bar
        )
    }

    pub(super) fn row(&self, file: &str, prediction: &Prediction) -> String {
        if self.single {
            self.block(file, prediction)
        } else {
            self.line(file, prediction)
        }
    }

    fn line(&self, file: &str, prediction: &Prediction) -> String {
        let (name, label) = (self.name_width, self.label_width);
        let start = format!(
            "{:<name$}  {:>6.1}",
            end_of(file, name),
            prediction.duration_secs
        );
        let Some((best, others)) = ranked(prediction) else {
            return format!("{start}  silence, nothing to recognise\n");
        };
        let bar = bar(best.1, SHORT_BAR_WIDTH);
        let width = usize::from(SHORT_BAR_WIDTH);
        let uncertain = self.abstains(prediction, best.1).then_some(best);
        let answer = uncertain.map_or(best.0, |_| UNCERTAIN);
        let mut text = format!("{start}  {answer:<label$}  {:.2} {bar:<width$}", best.1);
        let next: Vec<String> = uncertain
            .iter()
            .chain(&others)
            .take(NEXT.0)
            .filter(|(_, score)| *score >= NEXT.1)
            .map(|(label, score)| format!("{label} {score:.2}"))
            .collect();
        text += &format!("  {}", next.join(", "));
        let remarks: Vec<&str> = remarks(prediction)
            .into_iter()
            .map(|(short, _)| short)
            .collect();
        if !remarks.is_empty() {
            text += &format!("  ({})", remarks.join(", "));
        }
        text.trim_end().to_owned() + "\n"
    }

    fn block(&self, file: &str, prediction: &Prediction) -> String {
        let start = format!("{file}: {:.1} s", prediction.duration_secs);
        let Some((best, _)) = ranked(prediction) else {
            return format!("{start}, silence, nothing to recognise\n");
        };
        let mut text = match self.abstain {
            Some(_) if prediction.is_doubtful() => format!("{start}, {UNCERTAIN}\n\n"),
            Some(least) if self.abstains(prediction, best.1) => format!(
                "{start}, {UNCERTAIN}: the best score, {} {:.2}, is below {least}\n\n",
                best.0, best.1
            ),
            _ => format!("{start}, sounds {} {:.2}\n\n", best.0, best.1),
        };
        let width = self.label_width;
        for (label, score) in &prediction.scores {
            let line = format!("  {label:<width$}  {score:.2}  {}", bar(*score, BAR_WIDTH));
            text += line.trim_end();
            text.push('\n');
        }
        let quality = &prediction.quality;
        let mut facts = Vec::new();
        if let Some(snr) = quality.snr_db {
            facts.push(format!("signal-to-noise ratio {snr:.0} dB"));
        }
        if let Some(hz) = quality.bandwidth_hz {
            facts.push(format!("content up to {:.1} kHz", hz / 1000.0));
        }
        facts.push(format!(
            "speech in {:.0} % of it",
            100.0 * quality.speech_ratio
        ));
        text += &format!("\n  recording: {}\n", facts.join(", "));
        for (_, remark) in remarks(prediction) {
            text += &format!("  warning: {remark}\n");
        }
        text
    }
}

type LabelScore<'a> = (&'a str, f32);

/// The best label and the others, by score; `None` in silence.
fn ranked(prediction: &Prediction) -> Option<(LabelScore<'_>, Vec<LabelScore<'_>>)> {
    prediction.label.as_ref()?;
    let mut scores: Vec<(&str, f32)> = prediction
        .scores
        .iter()
        .map(|(label, score)| (label.as_str(), *score))
        .collect();
    // Stable: of equal scores the first label is the one named, as in the prediction.
    scores.sort_by(|a, b| b.1.total_cmp(&a.1));
    let best = *scores.first()?;
    Some((best, scores.split_off(1)))
}

/// What speaks against trusting the scores: in a word, and in a sentence.
fn remarks(prediction: &Prediction) -> Vec<(&'static str, String)> {
    let quality: &Quality = &prediction.quality;
    let mut found = Vec::new();
    if prediction.is_out_of_domain() {
        found.push((
            "unlike the training",
            "unlike all recordings that the model was trained on: the scores say little".to_owned(),
        ));
    }
    if let Some(hz) = quality.bandwidth_hz.filter(|hz| *hz < NARROW_HZ) {
        let khz = hz / 1000.0;
        found.push((
            "narrow-band",
            format!("narrow-band, as over a telephone: nothing above {khz:.1} kHz"),
        ));
    }
    if quality.clipped {
        let percent = 100.0 * quality.clipped_ratio;
        found.push((
            "clipped",
            format!("clipped: {percent:.1} % of the samples at full scale"),
        ));
    }
    if let Some(snr) = quality.snr_db.filter(|snr| *snr < NOISY_DB) {
        found.push((
            "noisy",
            format!("noisy: signal-to-noise ratio about {snr:.0} dB"),
        ));
    }
    if quality.has_little_speech() {
        let percent = 100.0 * quality.speech_ratio;
        found.push((
            "little speech",
            format!("little speech: {percent:.0} % of the recording"),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(scores: &[(&str, f32)], label: Option<&str>, bandwidth_hz: f32) -> Prediction {
        Prediction {
            label: label.map(str::to_owned),
            scores: scores
                .iter()
                .map(|(label, score)| ((*label).to_owned(), *score))
                .collect(),
            duration_secs: 2.54,
            analysed_secs: 2.0,
            domain_distance: None,
            quality: Quality {
                snr_db: Some(31.2),
                bandwidth_hz: Some(bandwidth_hz),
                speech_ratio: 0.8,
                clipped: false,
                clipped_ratio: 0.0,
                silent: label.is_none(),
            },
            logits: Vec::new(),
        }
    }

    #[test]
    fn one_recording_shows_everything() {
        let sheet = Sheet {
            single: true,
            name_width: 4,
            label_width: 5,
            abstain: None,
        };
        let text = sheet.row(
            "a.wav",
            &prediction(&[("calm", 0.25), ("angry", 0.75)], Some("angry"), 3500.0),
        );
        assert!(
            text.starts_with("a.wav: 2.5 s, sounds angry 0.75\n\n  calm   0.25  ███"),
            "{text}"
        );
        assert!(text.contains("signal-to-noise ratio 31 dB"), "{text}");
        assert!(text.contains("warning: narrow-band"), "{text}");
    }

    #[test]
    fn a_recording_unlike_the_training_is_remarked_on_and_gets_no_answer_where_one_may_be_withheld()
    {
        let scores = [("calm", 0.05), ("angry", 0.95)];
        let strange = Prediction {
            domain_distance: Some(2.5),
            ..prediction(&scores, Some("angry"), 8000.0)
        };
        let sheet = |single, abstain| Sheet {
            single,
            name_width: 5,
            label_width: 9,
            abstain,
        };
        let row = sheet(false, None).row("a.wav", &strange);
        assert!(
            row.contains("angry") && row.contains("(unlike the training)"),
            "{row}"
        );
        let row = sheet(false, Some(0.6)).row("a.wav", &strange);
        assert!(row.contains("uncertain  0.95"), "{row}");
        let block = sheet(true, Some(0.6)).row("a.wav", &strange);
        assert!(block.starts_with("a.wav: 2.5 s, uncertain\n"), "{block}");
        assert!(block.contains("warning: unlike all recordings"), "{block}");
    }

    #[test]
    fn several_recordings_are_rows() {
        let sheet = Sheet {
            single: false,
            name_width: 5,
            label_width: 5,
            abstain: None,
        };
        let text = sheet.row(
            "a.wav",
            &prediction(&[("calm", 0.25), ("angry", 0.75)], Some("angry"), 8000.0),
        );
        assert_eq!(text, "a.wav     2.5  angry  0.75 ███████▌    calm 0.25\n");
        let careful = Sheet {
            abstain: Some(0.8),
            label_width: 9,
            ..sheet
        };
        let scores = [("calm", 0.25), ("angry", 0.75)];
        assert_eq!(
            careful.row("a.wav", &prediction(&scores, Some("angry"), 8000.0)),
            "a.wav     2.5  uncertain  0.75 ███████▌    angry 0.75, calm 0.25\n"
        );
        let silent = careful.row(
            "b.wav",
            &prediction(&[("calm", 0.5), ("angry", 0.5)], None, 0.0),
        );
        assert_eq!(silent, "b.wav     2.5  silence, nothing to recognise\n");
    }
}
