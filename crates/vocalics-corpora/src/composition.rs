//! The composition table: how many clips of which class from which corpus.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::{LabelSet, Utterance};

/// How many clips of which class from which corpus.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Composition {
    /// Classes in the canonical order: the rows.
    pub labels: Vec<String>,
    /// Corpora in alphabetical order: the columns.
    pub corpora: Vec<CorpusColumn>,
    /// Clips of each class over all corpora.
    pub totals: Vec<usize>,
    /// Share of each class in all clips, 0 to 1; zero where there is no clip.
    pub shares: Vec<f64>,
    /// Clips in all.
    pub clips: usize,
    /// Speakers in all; one who is in two corpora counts once.
    pub speakers: usize,
    /// Minutes in all; `None` until durations were given for every clip.
    pub minutes: Option<f64>,
}

/// One corpus of a [`Composition`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorpusColumn {
    /// Name of the corpus.
    pub corpus: String,
    /// Clips of each class, in the order of [`Composition::labels`].
    pub counts: Vec<usize>,
    /// Clips in all.
    pub clips: usize,
    /// Share of this corpus in all clips, 0 to 1.
    pub share: f64,
    /// Speakers.
    pub speakers: usize,
    /// Minutes; `None` until durations were given.
    pub minutes: Option<f64>,
}

/// Counts a list; nothing is decoded, so there are no minutes yet.
///
/// [`crate::check`] measures the durations, [`Composition::with_durations`] adds them.
#[must_use]
pub fn composition(utterances: &[Utterance]) -> Composition {
    let labels = LabelSet::from_utterances(utterances)
        .map(|s| s.as_slice().to_vec())
        .unwrap_or_default();
    let position: BTreeMap<&str, usize> = labels
        .iter()
        .enumerate()
        .map(|(i, l)| (l.as_str(), i))
        .collect();
    let mut by_corpus: BTreeMap<&str, (Vec<usize>, BTreeSet<&str>)> = BTreeMap::new();
    let mut totals = vec![0; labels.len()];
    for u in utterances {
        let (counts, speakers) = by_corpus
            .entry(&u.corpus)
            .or_insert_with(|| (vec![0; labels.len()], BTreeSet::new()));
        speakers.insert(&u.speaker);
        if let Some(&row) = position.get(u.emotion.as_str()) {
            counts[row] += 1;
            totals[row] += 1;
        }
    }
    let clips = utterances.len();
    let share = |n: usize| {
        if clips == 0 {
            0.0
        } else {
            n as f64 / clips as f64
        }
    };
    let corpora = by_corpus
        .into_iter()
        .map(|(corpus, (counts, speakers))| {
            let clips = counts.iter().sum();
            CorpusColumn {
                corpus: corpus.to_owned(),
                counts,
                clips,
                share: share(clips),
                speakers: speakers.len(),
                minutes: None,
            }
        })
        .collect();
    Composition {
        labels,
        corpora,
        shares: totals.iter().map(|&n| share(n)).collect(),
        totals,
        clips,
        speakers: utterances
            .iter()
            .map(|u| &u.speaker)
            .collect::<BTreeSet<_>>()
            .len(),
        minutes: None,
    }
}

impl Composition {
    /// Adds minutes from the duration of each utterance by id, in seconds. A corpus with a clip of
    /// unknown duration keeps `None`.
    #[must_use]
    pub fn with_durations(
        mut self,
        utterances: &[Utterance],
        durations: &BTreeMap<String, f64>,
    ) -> Self {
        let minutes = |corpus: Option<&str>| -> Option<f64> {
            utterances
                .iter()
                .filter(|u| corpus.is_none_or(|c| c == u.corpus))
                .map(|u| durations.get(&u.id).map(|d| d / 60.0))
                .sum()
        };
        for column in &mut self.corpora {
            column.minutes = minutes(Some(&column.corpus));
        }
        self.minutes = minutes(None);
        self
    }
}

impl fmt::Display for Composition {
    /// A table for people: one row per class, one column per corpus.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut head = vec!["class".to_owned()];
        head.extend(self.corpora.iter().map(|c| c.corpus.clone()));
        head.extend(["total".to_owned(), "share".to_owned()]);
        rows.push(head);
        for (row, label) in self.labels.iter().enumerate() {
            let mut line = vec![label.clone()];
            line.extend(self.corpora.iter().map(|c| c.counts[row].to_string()));
            line.push(self.totals[row].to_string());
            line.push(format!("{:.1} %", self.shares[row] * 100.0));
            rows.push(line);
        }
        let summary = |name: &str, each: &dyn Fn(&CorpusColumn) -> String, total: String| {
            let mut line = vec![name.to_owned()];
            line.extend(self.corpora.iter().map(each));
            line.extend([total, String::new()]);
            line
        };
        let minutes = |m: Option<f64>| m.map_or_else(|| "-".into(), |m| format!("{m:.1}"));
        rows.push(summary(
            "clips",
            &|c| c.clips.to_string(),
            self.clips.to_string(),
        ));
        rows.push(summary(
            "share",
            &|c| format!("{:.1} %", c.share * 100.0),
            String::new(),
        ));
        rows.push(summary(
            "speakers",
            &|c| c.speakers.to_string(),
            self.speakers.to_string(),
        ));
        rows.push(summary(
            "minutes",
            &|c| minutes(c.minutes),
            minutes(self.minutes),
        ));
        let widths: Vec<usize> = (0..rows[0].len())
            .map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0))
            .collect();
        for row in rows {
            let mut line = format!("{:<w$}", row[0], w = widths[0]);
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(corpus: &str, speaker: &str, emotion: &str) -> Utterance {
        Utterance {
            id: format!("{corpus}/{speaker}{emotion}"),
            path: "x.wav".into(),
            corpus: corpus.into(),
            speaker: speaker.into(),
            sex: None,
            emotion: emotion.into(),
            intensity: None,
            statement: None,
            repetition: None,
            channel: None,
        }
    }

    #[test]
    fn classes_corpora_speakers_and_minutes_add_up() {
        let list = [
            clip("a", "p", "sad"),
            clip("a", "q", "calm"),
            clip("b", "p", "sad"),
            clip("b", "p", "bored"),
        ];
        let table = composition(&list);
        assert_eq!(table.labels, ["calm", "sad", "bored"]);
        assert_eq!(table.totals, [1, 2, 1]);
        assert_eq!((table.clips, table.speakers), (4, 2));
        assert!((table.shares[1] - 0.5).abs() < 1e-12);
        assert_eq!(table.corpora[1].counts, [0, 1, 1]);
        let mut durations: BTreeMap<String, f64> =
            list.iter().map(|u| (u.id.clone(), 30.0)).collect();
        let timed = table.clone().with_durations(&list, &durations);
        assert_eq!(timed.minutes, Some(2.0));
        durations.remove("b/psad");
        let partly = table.with_durations(&list, &durations);
        assert_eq!(
            (partly.corpora[0].minutes, partly.minutes),
            (Some(1.0), None)
        );
        let text = partly.to_string();
        assert!(text.contains("class"), "{text}");
        assert_eq!(text.lines().count(), 8);
    }

    #[test]
    fn an_empty_list_has_an_empty_table() {
        let table = composition(&[]);
        assert_eq!((table.clips, table.labels.len()), (0, 0));
    }
}
