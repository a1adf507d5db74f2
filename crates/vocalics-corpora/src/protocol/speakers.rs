//! Protocols that keep speakers apart.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fold, SplitOptions, require_corpus};
use crate::{CorpusError, Sex, Utterance, ravdess};

const SPEECH: &str = "ravdess-speech";

/// Folds by RAVDESS actor: speech of the fold's actors is tested; every other speaker's clips of
/// any corpus train; other clips of the test actors are left out.
pub(super) fn ravdess_folds(
    protocol: &str,
    table: &[&[u32]],
    utterances: &[Utterance],
    options: &SplitOptions,
) -> Result<Vec<Fold>, CorpusError> {
    require_corpus(protocol, SPEECH, utterances)?;
    let actors: BTreeMap<&str, Option<Sex>> = utterances
        .iter()
        .filter(|u| u.corpus == SPEECH)
        .map(|u| (&*u.speaker, u.sex))
        .collect();
    let name = |actor: &u32| ravdess::speaker(*actor);
    let missing: Vec<String> = table
        .iter()
        .flat_map(|f| f.iter())
        .map(name)
        .filter(|s| !actors.contains_key(&**s))
        .collect();
    if !missing.is_empty() {
        return Err(CorpusError::MissingSpeakers {
            protocol: protocol.to_owned(),
            speakers: missing.join(", "),
        });
    }
    let mut folds = Vec::with_capacity(table.len());
    for (number, test_actors) in table.iter().enumerate() {
        let test: BTreeSet<String> = test_actors.iter().map(name).collect();
        let candidates = actors
            .iter()
            .filter(|(s, _)| !test.contains(**s))
            .map(|(s, sex)| ((*s).to_owned(), *sex));
        let fold_name = format!("fold-{}", number + 1);
        let validation = choose(protocol, &fold_name, candidates, number, options)?;
        let mut fold = Fold {
            name: fold_name,
            train: vec![],
            validation: vec![],
            test: vec![],
        };
        for (i, u) in utterances.iter().enumerate() {
            match (
                test.contains(&u.speaker),
                validation.contains(&u.speaker),
                u.corpus == SPEECH,
            ) {
                (true, _, true) => fold.test.push(i),
                (_, true, true) => fold.validation.push(i),
                (false, false, _) => fold.train.push(i),
                _ => {}
            }
        }
        folds.push(fold);
    }
    Ok(folds)
}

/// Each speaker in turn is tested, with all clips of every corpus and channel.
pub(super) fn leave_one_out(
    protocol: &str,
    utterances: &[Utterance],
    options: &SplitOptions,
) -> Result<Vec<Fold>, CorpusError> {
    let speakers: BTreeMap<&str, Option<Sex>> =
        utterances.iter().map(|u| (&*u.speaker, u.sex)).collect();
    let mut folds = Vec::with_capacity(speakers.len());
    for (number, test) in speakers.keys().enumerate() {
        let candidates = speakers
            .iter()
            .filter(|(s, _)| *s != test)
            .map(|(s, sex)| ((*s).to_owned(), *sex));
        let validation = choose(protocol, test, candidates, number, options)?;
        let mut fold = Fold {
            name: (*test).to_owned(),
            train: vec![],
            validation: vec![],
            test: vec![],
        };
        for (i, u) in utterances.iter().enumerate() {
            if u.speaker == *test {
                fold.test.push(i);
            } else if validation.contains(&u.speaker) {
                fold.validation.push(i);
            } else {
                fold.train.push(i);
            }
        }
        folds.push(fold);
    }
    if folds.is_empty() {
        return Err(CorpusError::TooFewSpeakers {
            protocol: protocol.to_owned(),
            fold: "all".to_owned(),
            expected: 2,
            actual: 0,
            validation: options.validation_speakers,
        });
    }
    Ok(folds)
}

/// Chooses validation speakers among the training candidates.
///
/// The candidates are listed by name in three queues, male, female and undocumented; each queue is
/// rotated by `seed + fold` places; speakers are then taken from the queues in turn, starting with
/// the male one. With the default of two that is one man and one woman, other ones in each fold.
pub(super) fn choose(
    protocol: &str,
    fold: &str,
    candidates: impl Iterator<Item = (String, Option<Sex>)>,
    number: usize,
    options: &SplitOptions,
) -> Result<BTreeSet<String>, CorpusError> {
    let mut queues: [Vec<String>; 3] = [Vec::new(), Vec::new(), Vec::new()];
    for (speaker, sex) in candidates {
        queues[match sex {
            Some(Sex::Male) => 0,
            Some(Sex::Female) => 1,
            None => 2,
        }]
        .push(speaker);
    }
    let total: usize = queues.iter().map(Vec::len).sum();
    if total < options.validation_speakers.saturating_add(1) {
        return Err(CorpusError::TooFewSpeakers {
            protocol: protocol.to_owned(),
            fold: fold.to_owned(),
            expected: options.validation_speakers.saturating_add(1),
            actual: total,
            validation: options.validation_speakers,
        });
    }
    for queue in &mut queues {
        queue.sort();
        if !queue.is_empty() {
            let turn = (u128::from(options.seed) + number as u128) % queue.len() as u128;
            queue.rotate_left(usize::try_from(turn).unwrap_or(0));
        }
    }
    let mut turns: Vec<std::vec::IntoIter<String>> =
        queues.into_iter().map(Vec::into_iter).collect();
    let mut chosen = BTreeSet::new();
    while chosen.len() < options.validation_speakers {
        for queue in &mut turns {
            if chosen.len() < options.validation_speakers {
                chosen.extend(queue.next());
            }
        }
    }
    Ok(chosen)
}
