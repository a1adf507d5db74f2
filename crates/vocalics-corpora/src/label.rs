//! Label sets and explicit maps between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{CorpusError, Target, Utterance};

/// The order in which emotions are listed everywhere; others follow in alphabetical order.
pub(crate) const EMOTION_ORDER: &[&str] = &[
    "neutral",
    "calm",
    "happy",
    "sad",
    "angry",
    "fearful",
    "disgust",
    "surprised",
];

/// Other word forms of a label: theirs and ours. Only the same word in another form, never a
/// neighbouring emotion: joy is not happiness here, a map has to say so.
const WORD_FORMS: &[(&str, &str)] = &[
    ("anger", "angry"),
    ("boredom", "bored"),
    ("calmness", "calm"),
    ("disgusted", "disgust"),
    ("fear", "fearful"),
    ("happiness", "happy"),
    ("sadness", "sad"),
    ("surprise", "surprised"),
];

/// A label in this project's spelling: trimmed, lower case, blanks as `_`, and the word form used
/// here (`angry` for `anger`).
pub(crate) fn canonical(label: &str) -> String {
    let plain = label
        .trim()
        .to_lowercase()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join("_");
    match WORD_FORMS.iter().find(|(theirs, _)| *theirs == plain) {
        Some((_, ours)) => (*ours).to_owned(),
        None => plain,
    }
}

/// The classes in use, in order: the position of a label is its class index.
///
/// ```
/// use vocalics_corpora::LabelSet;
/// let set = LabelSet::emotions8();
/// assert_eq!(set.len(), 8);
/// assert_eq!(set.index_of("sad"), Some(3));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct LabelSet(Vec<String>);

impl LabelSet {
    /// Takes labels in the order given.
    ///
    /// # Errors
    /// [`CorpusError::BadLabelSet`] if there is none, one is empty or one occurs twice.
    pub fn new(labels: Vec<String>) -> Result<Self, CorpusError> {
        let bad = |reason: String| Err(CorpusError::BadLabelSet { reason });
        if labels.is_empty() {
            return bad("no labels".into());
        }
        let mut seen = BTreeSet::new();
        for label in &labels {
            if label.trim().is_empty() {
                return bad("an empty label".into());
            }
            if !seen.insert(label) {
                return bad(format!("\"{label}\" occurs twice"));
            }
        }
        Ok(Self(labels))
    }

    /// The eight emotions of RAVDESS: neutral, calm, happy, sad, angry, fearful, disgust, surprised.
    #[must_use]
    pub fn emotions8() -> Self {
        Self(EMOTION_ORDER.iter().map(|&l| l.to_owned()).collect())
    }

    /// The emotions that occur in a list, in the canonical order.
    ///
    /// # Errors
    /// [`CorpusError::BadLabelSet`] for an empty list.
    pub fn from_utterances(utterances: &[Utterance]) -> Result<Self, CorpusError> {
        Self::from_labels(utterances.iter().map(|u| u.emotion.clone()))
    }

    /// The values of a target that occur in a list; utterances without one are passed over.
    ///
    /// # Errors
    /// [`CorpusError::BadLabelSet`] if none has one.
    pub fn for_target(utterances: &[Utterance], target: Target) -> Result<Self, CorpusError> {
        Self::from_labels(utterances.iter().filter_map(|u| target.label_of(u)))
    }

    /// The distinct labels of an iterator: the eight emotions in the canonical order, then the
    /// others in alphabetical order.
    ///
    /// # Errors
    /// [`CorpusError::BadLabelSet`] if there is none.
    pub fn from_labels(labels: impl IntoIterator<Item = String>) -> Result<Self, CorpusError> {
        let distinct: BTreeSet<String> = labels.into_iter().collect();
        let mut ordered: Vec<String> = distinct.into_iter().collect();
        ordered.sort_by_key(|l| {
            EMOTION_ORDER
                .iter()
                .position(|o| o == l)
                .unwrap_or(usize::MAX)
        });
        Self::new(ordered)
    }

    /// Class index of a label.
    #[must_use]
    pub fn index_of(&self, label: &str) -> Option<usize> {
        self.0.iter().position(|l| l == label)
    }

    /// Class index of the emotion of each utterance.
    ///
    /// # Errors
    /// [`CorpusError::LabelNotInSet`] naming the first utterance whose emotion is not in the set.
    pub fn indices(&self, utterances: &[Utterance]) -> Result<Vec<usize>, CorpusError> {
        utterances
            .iter()
            .map(|u| {
                self.index_of(&u.emotion)
                    .ok_or_else(|| CorpusError::LabelNotInSet {
                        id: u.id.clone(),
                        label: u.emotion.clone(),
                        expected: self.to_string(),
                    })
            })
            .collect()
    }

    /// The labels, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }

    /// Number of classes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no class; never true for a set made by the constructors.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The labels, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, String> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a LabelSet {
    type Item = &'a String;
    type IntoIter = std::slice::Iter<'a, String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl TryFrom<Vec<String>> for LabelSet {
    type Error = CorpusError;

    fn try_from(labels: Vec<String>) -> Result<Self, CorpusError> {
        Self::new(labels)
    }
}

impl From<LabelSet> for Vec<String> {
    fn from(set: LabelSet) -> Self {
        set.0
    }
}

impl fmt::Display for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// An explicit map from one label set to another. `None` drops the clips of a label.
///
/// Read from text such as `calm=neutral,surprised=drop` or from a name ([`LabelMap::NAMED`]); a
/// label that is not mentioned keeps its name in a map read from text, and is an error in a closed
/// map. Printing it shows every pair, so nothing is merged unseen.
///
/// ```
/// use vocalics_corpora::LabelMap;
/// let map: LabelMap = "calm=neutral,surprised=drop".parse()?;
/// assert_eq!(map.apply("calm")?.as_deref(), Some("neutral"));
/// assert_eq!(map.apply("surprised")?, None);
/// assert_eq!(map.to_string(), "calm=neutral,surprised=drop,*=keep");
/// # Ok::<(), vocalics_corpora::CorpusError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMap {
    pairs: BTreeMap<String, Option<String>>,
    keep_others: bool,
}

impl LabelMap {
    /// Named maps: the name, and what it stands for.
    ///
    /// `ravdess-7` joins calm and neutral, which leaves the seven labels of TESS and SAVEE.
    /// `four-class` is the common set of cross-corpus work: angry, happy, neutral (with calm), sad;
    /// the rest is dropped.
    pub const NAMED: &'static [(&'static str, &'static str)] = &[
        (
            "ravdess-7",
            "neutral=neutral,calm=neutral,happy=happy,sad=sad,angry=angry,fearful=fearful,\
             disgust=disgust,surprised=surprised",
        ),
        (
            "four-class",
            "neutral=neutral,calm=neutral,happy=happy,sad=sad,angry=angry,fearful=drop,\
             disgust=drop,surprised=drop,bored=drop",
        ),
    ];

    /// The map that changes nothing.
    #[must_use]
    pub fn identity() -> Self {
        Self {
            pairs: BTreeMap::new(),
            keep_others: true,
        }
    }

    /// Where a label goes: `Some` its new name, `None` dropped.
    ///
    /// # Errors
    /// [`CorpusError::UnmappedLabel`] if the map is closed and does not mention it.
    pub fn apply(&self, label: &str) -> Result<Option<String>, CorpusError> {
        match self.pairs.get(label) {
            Some(to) => Ok(to.clone()),
            None if self.keep_others => Ok(Some(label.to_owned())),
            None => Err(CorpusError::UnmappedLabel {
                label: label.to_owned(),
                map: self.to_string(),
            }),
        }
    }

    /// Maps the emotions of a list; the utterances of dropped labels are left out.
    ///
    /// # Errors
    /// [`CorpusError::UnmappedLabel`] as [`LabelMap::apply`].
    pub fn apply_all(&self, utterances: Vec<Utterance>) -> Result<Vec<Utterance>, CorpusError> {
        let mut kept = Vec::with_capacity(utterances.len());
        for mut utterance in utterances {
            if let Some(label) = self.apply(&utterance.emotion)? {
                utterance.emotion = label;
                kept.push(utterance);
            }
        }
        Ok(kept)
    }

    /// Whether the map changes nothing.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.keep_others
            && self
                .pairs
                .iter()
                .all(|(from, to)| to.as_ref() == Some(from))
    }
}

impl Default for LabelMap {
    fn default() -> Self {
        Self::identity()
    }
}

impl FromStr for LabelMap {
    type Err = CorpusError;

    /// Reads a name from [`LabelMap::NAMED`], or pairs `from=to` separated by commas, where `to` may
    /// be `drop`. `*=error` closes the map: a label it does not mention is then an error; `*=keep`,
    /// the default, keeps such labels. Named maps are closed.
    ///
    /// # Errors
    /// [`CorpusError::BadLabelMap`] for a pair without `=`, an empty side, or a label mapped twice.
    fn from_str(text: &str) -> Result<Self, CorpusError> {
        let bad = |reason: String| CorpusError::BadLabelMap {
            text: text.to_owned(),
            reason,
        };
        let named = Self::NAMED.iter().find(|(name, _)| *name == text.trim());
        let mut map = Self {
            pairs: BTreeMap::new(),
            keep_others: named.is_none(),
        };
        for pair in named.map_or(text, |(_, pairs)| pairs).split(',') {
            let (from, to) = pair.split_once('=').ok_or_else(|| {
                let names: Vec<_> = Self::NAMED.iter().map(|(n, _)| *n).collect();
                bad(format!(
                    "\"{}\" is neither from=to nor one of {}",
                    pair.trim(),
                    names.join(", ")
                ))
            })?;
            let (from, to) = (from.trim(), to.trim());
            if from.is_empty() || to.is_empty() {
                return Err(bad(format!("\"{}\" has an empty side", pair.trim())));
            }
            if from == "*" {
                map.keep_others = match to {
                    "keep" => true,
                    "error" => false,
                    _ => return Err(bad("* can be keep or error".into())),
                };
                continue;
            }
            let to = (to != "drop").then(|| to.to_owned());
            if map.pairs.insert(from.to_owned(), to).is_some() {
                return Err(bad(format!("\"{from}\" is mapped twice")));
            }
        }
        Ok(map)
    }
}

impl fmt::Display for LabelMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (from, to) in &self.pairs {
            write!(f, "{from}={},", to.as_deref().unwrap_or("drop"))?;
        }
        f.write_str(if self.keep_others {
            "*=keep"
        } else {
            "*=error"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_in_the_canonical_order_then_by_alphabet() {
        let set =
            LabelSet::from_labels(["zeal", "sad", "bored", "neutral", "sad"].map(str::to_owned))
                .unwrap();
        assert_eq!(set.as_slice(), ["neutral", "sad", "bored", "zeal"]);
        assert!(LabelSet::new(vec!["a".into(), "a".into()]).is_err());
        assert!(LabelSet::from_labels([]).is_err());
    }

    #[test]
    fn a_printed_map_reads_back_the_same() {
        for text in ["ravdess-7", "four-class", "a=b", "a=drop,*=error"] {
            let map: LabelMap = text.parse().unwrap();
            assert_eq!(map.to_string().parse::<LabelMap>().unwrap(), map, "{text}");
        }
    }

    #[test]
    fn eight_to_seven_to_four_classes() {
        let seven: LabelMap = "ravdess-7".parse().unwrap();
        let four: LabelMap = "four-class".parse().unwrap();
        let mapped = |m: &LabelMap| -> BTreeSet<String> {
            EMOTION_ORDER
                .iter()
                .filter_map(|l| m.apply(l).unwrap())
                .collect()
        };
        assert_eq!(mapped(&seven).len(), 7);
        assert_eq!(mapped(&four).len(), 4);
        let error = seven.apply("bored").unwrap_err().to_string();
        assert!(error.contains("\"bored\""), "{error}");
    }

    #[test]
    fn malformed_maps_are_refused() {
        for text in ["", "calm", "a=", "=b", "a=b,a=c", "*=x", "seven"] {
            assert!(text.parse::<LabelMap>().is_err(), "{text}");
        }
    }
}
