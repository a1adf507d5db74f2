//! One recording and what its corpus says about it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::CorpusError;

/// Sex of a speaker as the corpus documents it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sex {
    /// Documented as female.
    Female,
    /// Documented as male.
    Male,
}

impl Sex {
    /// The word written to files: `"female"` or `"male"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Female => "female",
            Self::Male => "male",
        }
    }
}

impl fmt::Display for Sex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Sex {
    type Err = CorpusError;

    /// Reads `female`, `f`, `woman`, `male`, `m` or `man` in any case.
    ///
    /// # Errors
    /// [`CorpusError::UnknownSex`] for anything else.
    fn from_str(text: &str) -> Result<Self, CorpusError> {
        match text.trim().to_lowercase().as_str() {
            "female" | "f" | "woman" => Ok(Self::Female),
            "male" | "m" | "man" => Ok(Self::Male),
            _ => Err(CorpusError::UnknownSex {
                text: text.to_owned(),
            }),
        }
    }
}

/// One recording and what its corpus says about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Utterance {
    /// Unique over all corpora: `<corpus>/<file stem>`, for example
    /// `ravdess-speech/03-01-05-02-01-01-12`.
    pub id: String,
    /// Where the audio lies.
    pub path: PathBuf,
    /// Name of the corpus: `ravdess-speech`, `ravdess-song`, `tess`, ...
    pub corpus: String,
    /// Unique over all corpora; one person has one name, so speech and song of RAVDESS actor 12
    /// are both `ravdess-12`.
    pub speaker: String,
    /// Sex of the speaker where the corpus documents it.
    pub sex: Option<Sex>,
    /// Emotion the speaker was asked to portray, in this project's spelling (`fearful`, not `fear`).
    pub emotion: String,
    /// Strength of the portrayal (`normal`, `strong`, ...) where the corpus has it.
    pub intensity: Option<String>,
    /// What was said: a sentence or word, or the corpus's code for it.
    pub statement: Option<String>,
    /// Which take of the same statement, from 1.
    pub repetition: Option<u32>,
    /// `speech` or `song` where the corpus has both.
    pub channel: Option<String>,
}

/// What stands for the name of a speaker whom a corpus does not name, behind the name of the corpus.
pub(crate) const UNKNOWN: &str = "unknown";

/// Whether this is the speaker of recordings that do not say who speaks, and so may be anyone.
#[must_use]
pub fn is_unknown_speaker(speaker: &str) -> bool {
    speaker
        .strip_suffix(UNKNOWN)
        .is_some_and(|corpus| corpus.ends_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sex_reads_its_own_words_and_refuses_others() {
        for sex in [Sex::Female, Sex::Male] {
            assert_eq!(sex.to_string().parse::<Sex>().unwrap(), sex);
        }
        assert_eq!(" F ".parse::<Sex>().unwrap(), Sex::Female);
        assert!("x".parse::<Sex>().is_err());
    }

    #[test]
    fn only_the_unnamed_are_unknown() {
        for (speaker, unknown) in [
            ("folder-calls-unknown", true),
            ("manifest-m-unknown", true),
            ("ravdess-07", false),
            ("unknown", false),
            ("folder-calls-notunknown", false),
        ] {
            assert_eq!(is_unknown_speaker(speaker), unknown, "{speaker}");
        }
    }
}
