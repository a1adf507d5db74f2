//! A measurement whose scores have adapted to each speaker. It never mixes with the plain one.

use serde::{Deserialize, Serialize};

use crate::{EvalError, Interval, Predictions, Report};

/// UAR after so much audio of the speaker.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpeakerPoint {
    /// Seconds of the speaker's other clips.
    pub seconds: f64,
    /// Pooled UAR, `[0, 1]`.
    pub uar: f64,
}

/// The numbers of a test in which every score was adapted to other, unlabelled clips of the same speaker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeakerCalibrated {
    /// Seconds of other clips that a score was adapted to, the mean over clips.
    pub seconds: f64,
    /// Pooled UAR.
    pub uar: f64,
    /// Its interval; `None` with a single speaker.
    pub uar_interval: Option<Interval>,
    /// Pooled accuracy.
    pub war: f64,
    /// Its interval; `None` with a single speaker.
    pub war_interval: Option<Interval>,
    /// Expected calibration error.
    pub ece: f64,
    /// UAR against the seconds, ascending, from none on.
    pub curve: Vec<SpeakerPoint>,
}

impl SpeakerCalibrated {
    /// What the scores were adapted to: `104 s of the speaker's other clips, unlabelled`.
    #[must_use]
    pub fn audio(&self) -> String {
        format!(
            "{:.0} s of the speaker's other clips, unlabelled",
            self.seconds
        )
    }
}

impl Report {
    /// Adds what the same test gives after adaptation to the speakers: `adapted` are the same clips with
    /// adapted scores.
    ///
    /// # Errors
    /// As [`Report::new`].
    pub fn with_speaker_calibrated(
        mut self,
        adapted: &Predictions,
        seconds: f64,
        curve: Vec<SpeakerPoint>,
        resamples: usize,
    ) -> Result<Self, EvalError> {
        let after = Self::new(adapted, self.provenance.clone(), resamples)?;
        self.speaker_calibrated = Some(SpeakerCalibrated {
            seconds,
            uar: after.metrics.uar,
            uar_interval: after.uar_interval,
            war: after.metrics.war,
            war_interval: after.war_interval,
            ece: after.metrics.ece,
            curve,
        });
        Ok(self)
    }
}
