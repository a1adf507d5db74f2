//! Whom a model has heard on the way to its weights, and whom it must not have heard.

use std::collections::{BTreeMap, BTreeSet};

use vocalics_corpora::{CorpusKind, Fold, Utterance, is_unknown_speaker};
use vocalics_runtime::{CorpusNote, ModelMetadata};

use crate::{Content, Data, TrainError};

/// Speakers and corpora that a model was trained on, itself or what it began from or learnt from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Speakers, as [`Utterance::speaker`].
    pub speakers: BTreeSet<String>,
    /// Corpora, by name.
    pub corpora: BTreeMap<String, CorpusNote>,
}

impl Heard {
    /// What a model file says.
    #[must_use]
    pub fn by_model(metadata: &ModelMetadata) -> Self {
        let corpora = metadata.corpora.iter();
        Self {
            speakers: metadata.speakers.iter().cloned().collect(),
            corpora: corpora
                .map(|note| (note.name.clone(), note.clone()))
                .collect(),
        }
    }

    /// What these clips let hear.
    pub(crate) fn in_clips(data: &Data, clips: &[usize]) -> Self {
        let mut heard = Self::default();
        let mut by_corpus: BTreeMap<&str, (u64, BTreeSet<&str>)> = BTreeMap::new();
        for &clip in clips {
            let Utterance {
                speaker, corpus, ..
            } = &data.utterances[clip];
            heard.speakers.insert(speaker.clone());
            let (clips, speakers) = by_corpus.entry(corpus).or_default();
            *clips += 1;
            speakers.insert(speaker);
        }
        for (name, (clips, speakers)) in by_corpus {
            let licence = CorpusKind::documenting(name).map_or("unknown", |info| info.licence);
            let note = CorpusNote {
                name: name.to_owned(),
                licence: licence.to_owned(),
                clips,
                speakers: speakers.len() as u64,
            };
            heard.corpora.insert(name.to_owned(), note);
        }
        heard
    }

    /// Both ([`CorpusNote::widen`]).
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.speakers.extend(other.speakers);
        for (name, theirs) in other.corpora {
            let ours = self.corpora.entry(name).or_insert_with(|| theirs.clone());
            ours.widen(&theirs);
        }
        self
    }

    /// Whether it has heard somebody whom nobody named, who may be anyone.
    fn anyone(&self) -> bool {
        self.speakers
            .iter()
            .any(|speaker| is_unknown_speaker(speaker))
    }

    /// The speakers among these clips that were heard, or may have been: all of them, where somebody unknown was.
    #[must_use]
    pub fn among(&self, clips: &[usize], utterances: &[Utterance]) -> BTreeSet<String> {
        self.of(clips.iter().map(|&clip| &utterances[clip].speaker))
    }

    /// Those of the speakers that were heard, or may have been.
    pub(crate) fn of<'a>(&self, speakers: impl Iterator<Item = &'a String>) -> BTreeSet<String> {
        let anyone = self.anyone();
        speakers
            .filter(|speaker| anyone || self.speakers.contains(*speaker))
            .cloned()
            .collect()
    }

    /// Whether the speakers of a test part were heard, in any of the folds.
    ///
    /// # Errors
    /// [`TrainError::SeenSpeakers`] if so and it is not `allowed`.
    pub(crate) fn test_speakers(
        &self,
        folds: &[Fold],
        utterances: &[Utterance],
        allowed: bool,
    ) -> Result<bool, TrainError> {
        let mut any = false;
        for fold in folds {
            let seen = self.among(&fold.test, utterances);
            if !seen.is_empty() && !allowed {
                return Err(TrainError::SeenSpeakers {
                    fold: fold.name.clone(),
                    unnamed: self.anyone(),
                    speakers: seen.into_iter().collect(),
                });
            }
            any |= !seen.is_empty();
        }
        Ok(any)
    }
}

/// The clips of other corpora that may be trained on before a fold: those of no speaker whom the fold tests or validates on,
/// and, where it holds anybody out, of none whom nobody named; and no file that the fold tests or validates on, whoever is said to
/// speak in it.
pub(crate) fn unheard_in(fold: &Fold, data: &Data, prior: &Data) -> Vec<usize> {
    let held = fold.test.iter().chain(&fold.validation);
    let files: BTreeSet<&Content> = held
        .clone()
        .filter_map(|&clip| data.contents.get(clip))
        .collect();
    let held: BTreeSet<&str> = held
        .map(|&clip| data.utterances[clip].speaker.as_str())
        .collect();
    (0..prior.utterances.len())
        .filter(|&clip| {
            let speaker = prior.utterances[clip].speaker.as_str();
            let file = prior.contents.get(clip);
            !held.contains(speaker)
                && (held.is_empty() || !is_unknown_speaker(speaker))
                && file.is_none_or(|file| !files.contains(file))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use vocalics_corpora::LabelSet;

    use super::*;

    fn data(clips: &[(&str, u8)]) -> Data {
        let utterance = |(place, (speaker, _)): (usize, &(&str, u8))| Utterance {
            id: place.to_string(),
            path: place.to_string().into(),
            corpus: "invented".into(),
            speaker: (*speaker).into(),
            sex: None,
            emotion: "calm".into(),
            intensity: None,
            statement: None,
            repetition: None,
            channel: None,
        };
        Data {
            utterances: clips.iter().enumerate().map(utterance).collect(),
            labels: LabelSet::new(vec!["calm".into(), "sad".into()]).unwrap(),
            classes: vec![0; clips.len()],
            features: Vec::new(),
            n_functionals: 0,
            waveforms: None,
            embedded: None,
            contents: clips.iter().map(|&(_, file)| [file; 32]).collect(),
        }
    }

    #[test]
    fn what_comes_first_holds_no_speaker_and_no_file_that_is_tested() {
        let own = data(&[("ann", 1), ("bob", 2), ("cat", 3)]);
        let prior = data(&[
            ("ann", 4),
            ("dan", 5),
            ("dan", 1),
            ("prior-unknown", 6),
            ("dan", 2),
            ("cat", 3),
            ("bob", 7),
        ]);
        let fold = Fold {
            name: "ann".into(),
            train: vec![2],
            validation: vec![1],
            test: vec![0],
        };
        assert_eq!(unheard_in(&fold, &own, &prior), [1, 5]);
        // A model of everybody holds nobody out.
        let all = Fold {
            train: vec![0, 1, 2],
            validation: Vec::new(),
            test: Vec::new(),
            ..fold
        };
        assert_eq!(unheard_in(&all, &own, &prior), [0, 1, 2, 3, 4, 5, 6]);
    }
}
