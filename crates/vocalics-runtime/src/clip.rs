//! What goes into a recogniser and what comes out.

use serde::Serialize;

use crate::quality::Quality;
use crate::speaker::SpeakerProfile;

/// A recording to recognise: mono samples at a stated rate, full scale ±1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip<'a> {
    /// Mono samples.
    pub samples: &'a [f32],
    /// Their rate in Hz; must be the model's.
    pub sample_rate: u32,
    /// Share of clipped samples (0 to 1) in the original recording, when the caller measured it.
    ///
    /// Resampling and down-mixing hide clipping, so the decoder knows better; without it the samples
    /// at hand are looked at.
    pub clipped_ratio: Option<f32>,
}

impl<'a> Clip<'a> {
    /// A clip of which nothing else is known.
    #[must_use]
    pub fn new(samples: &'a [f32], sample_rate: u32) -> Self {
        Self {
            samples,
            sample_rate,
            clipped_ratio: None,
        }
    }

    /// States the share of clipped samples measured on the original recording.
    #[must_use]
    pub fn with_clipped_ratio(mut self, clipped_ratio: f32) -> Self {
        self.clipped_ratio = Some(clipped_ratio);
        self
    }
}

/// What was heard in one clip.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// The label with the highest score; `None` when the clip holds nothing but silence.
    pub label: Option<String>,
    /// Score of every label, in label order. They sum to 1; in silence all are equal, because nothing
    /// was heard that would speak for one of them.
    pub scores: Vec<(String, f32)>,
    /// Duration of the clip in seconds, silence included.
    pub duration_secs: f64,
    /// Seconds that the scores come from: what the front end leaves when it cuts outer silence; 0 in silence.
    pub analysed_secs: f64,
    /// How far the clip is from those the model was trained on, where the model says: above 1 it is unlike all but one in two
    /// hundred of them, and the scores say little ([`vocalics_features::Domain`]).
    pub domain_distance: Option<f32>,
    /// How far the recording itself can be trusted.
    pub quality: Quality,
    /// The network's output before temperature and softmax, in label order; empty in silence.
    pub logits: Vec<f32>,
}

impl Prediction {
    /// Whether the clip is unlike those the model was trained on; `false` where the model does not say.
    #[must_use]
    pub fn is_out_of_domain(&self) -> bool {
        self.domain_distance.is_some_and(|distance| distance > 1.0)
    }

    /// Whether the scores say little, however high they are: of a clip unlike those the model was trained on, or in which hardly
    /// anything stands out as speech does.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.is_out_of_domain() || self.quality.has_little_speech()
    }

    /// The same with scores that adapt to a speaker, and the label that they speak for. Silence stays without label.
    #[must_use]
    pub fn adapted(mut self, speaker: &SpeakerProfile) -> Self {
        if self.label.is_none() {
            return self;
        }
        let plain: Vec<f32> = self.scores.iter().map(|(_, score)| *score).collect();
        for ((_, score), adapted) in self.scores.iter_mut().zip(speaker.adapt(&plain)) {
            *score = adapted;
        }
        self.label = best(&self.scores);
        self
    }
}

/// The label with the highest score, of equal ones the first; `None` without labels.
pub(crate) fn best(scores: &[(String, f32)]) -> Option<String> {
    // Of equal elements `max_by` takes the last.
    let best = scores.iter().rev().max_by(|(_, a), (_, b)| a.total_cmp(b));
    best.map(|(label, _)| label.clone())
}
