//! What is to be recognised: the emotion, or another property the corpus documents.

use std::fmt;
use std::str::FromStr;

use crate::{CorpusError, Utterance};

/// What is to be recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Target {
    /// The emotion portrayed.
    #[default]
    Emotion,
    /// The strength of the portrayal.
    Intensity,
    /// The sex of the speaker.
    Sex,
    /// The speaker.
    Speaker,
}

impl Target {
    /// Name used on the command line and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Emotion => "emotion",
            Self::Intensity => "intensity",
            Self::Sex => "sex",
            Self::Speaker => "speaker",
        }
    }

    /// The value of one utterance, `None` where its corpus does not document it.
    #[must_use]
    pub fn label_of(self, utterance: &Utterance) -> Option<String> {
        match self {
            Self::Emotion => Some(utterance.emotion.clone()),
            Self::Intensity => utterance.intensity.clone(),
            Self::Sex => utterance.sex.map(|s| s.to_string()),
            Self::Speaker => Some(utterance.speaker.clone()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Target {
    type Err = CorpusError;

    /// Reads `emotion`, `intensity`, `sex` or `speaker`.
    ///
    /// # Errors
    /// [`CorpusError::UnknownTarget`] for anything else.
    fn from_str(text: &str) -> Result<Self, CorpusError> {
        [Self::Emotion, Self::Intensity, Self::Sex, Self::Speaker]
            .into_iter()
            .find(|t| t.name() == text.trim().to_lowercase())
            .ok_or_else(|| CorpusError::UnknownTarget {
                text: text.to_owned(),
            })
    }
}
