//! What a plan did.

use serde::Serialize;

use crate::clip::Drawn;

/// A step that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Done {
    /// Name of the operation.
    pub step: &'static str,
    /// What was drawn for it.
    #[serde(flatten)]
    pub drawn: Drawn,
}

/// The steps that were done, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
#[serde(transparent)]
pub struct Record(pub Vec<Done>);

impl std::fmt::Display for Record {
    /// `pitch-shift(shift_semitones=1.2); noise(source=pink snr_db=14.1)`, or `nothing`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        for (index, done) in self.0.iter().enumerate() {
            let joint = if index == 0 { "" } else { "; " };
            write!(f, "{joint}{}({})", done.step, done.drawn)?;
        }
        Ok(())
    }
}

/// A clip after a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The samples, finite; they may be beyond full scale.
    pub samples: Vec<f32>,
    /// What was done.
    pub record: Record,
}
