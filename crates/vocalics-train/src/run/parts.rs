//! The parts of a run: which folds, which clips of them, and that no speaker is in two.

use std::collections::BTreeSet;

use vocalics_corpora::{Fold, LabelSet, Utterance, speaker_overlap};

use crate::{Data, TrainConfig, TrainError};

/// The folds of the given names, all for none.
pub(crate) fn chosen(folds: Vec<Fold>, names: &[String]) -> Result<Vec<Fold>, TrainError> {
    if let Some(unknown) = names
        .iter()
        .find(|name| !folds.iter().any(|f| f.name == **name))
    {
        return Err(TrainError::NoFold {
            name: unknown.clone(),
            known: folds.iter().map(|fold| fold.name.clone()).collect(),
        });
    }
    Ok(folds
        .into_iter()
        .filter(|f| names.is_empty() || names.contains(&f.name))
        .collect())
}

/// Every class that is to be thinned must be there.
pub(crate) fn check_kept(config: &TrainConfig, labels: &LabelSet) -> Result<(), TrainError> {
    let mut named = config.training.keep.keys();
    match named.find(|class| labels.index_of(class).is_none()) {
        Some(class) => Err(TrainError::Config {
            field: "training.keep",
            actual: format!(
                "a share of {class} (there are {})",
                labels.as_slice().join(", ")
            ),
            expected: "shares of classes that the recordings have",
        }),
        None => Ok(()),
    }
}

/// Leaves out training clips of the classes that the configuration keeps only a share of; at least one of each
/// class stays. Which ones go follows from the run's seed, the fold and the clip alone.
pub(crate) fn thin(fold: &mut Fold, config: &TrainConfig, data: &Data) -> Result<(), TrainError> {
    check_kept(config, &data.labels)?;
    for (class, &share) in &config.training.keep {
        let Some(index) = data.labels.index_of(class) else {
            continue;
        };
        let lot = |clip: usize| {
            let id = &data.utterances[clip].id;
            *blake3::hash(format!("{}/{}/keep/{id}", config.seed, fold.name).as_bytes()).as_bytes()
        };
        let mut of_class: Vec<([u8; 32], usize)> = fold
            .train
            .iter()
            .filter(|&&clip| data.classes[clip] == index)
            .map(|&clip| (lot(clip), clip))
            .collect();
        of_class.sort_unstable();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clip counts are small"
        )]
        let kept = ((of_class.len() as f64 * share).round() as usize).max(1);
        let gone: BTreeSet<usize> = of_class.iter().skip(kept).map(|&(_, clip)| clip).collect();
        fold.train.retain(|clip| !gone.contains(clip));
    }
    Ok(())
}

/// Refuses folds that a speaker is in train and test of.
pub(crate) fn refuse_leaks(folds: &[Fold], utterances: &[Utterance]) -> Result<(), TrainError> {
    for fold in folds {
        if !speaker_overlap(fold, utterances).is_empty() {
            return Err(TrainError::Config {
                field: "evaluation.protocol",
                actual: format!("a split whose {} shares speakers", fold.name),
                expected: "disjoint speakers",
            });
        }
    }
    Ok(())
}

/// Everything as training part but `validation_speakers` speakers, taken evenly from the sorted list.
pub(super) fn whole(config: &TrainConfig, data: &Data) -> Result<Fold, TrainError> {
    let mut speakers: Vec<&str> = data.utterances.iter().map(|u| u.speaker.as_str()).collect();
    speakers.sort_unstable();
    speakers.dedup();
    let wanted = config.evaluation.validation_speakers;
    if wanted >= speakers.len() {
        return Err(TrainError::Config {
            field: "evaluation.validation_speakers",
            actual: format!("{wanted} of {} speakers", speakers.len()),
            expected: "fewer than there are speakers; 0 holds nobody out (train --validation-speakers 0), and the temperature is 1",
        });
    }
    let held: Vec<&str> = (0..wanted)
        .map(|i| speakers[(2 * i + 1) * speakers.len() / (2 * wanted)])
        .collect();
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (i, utterance) in data.utterances.iter().enumerate() {
        let part = if held.contains(&utterance.speaker.as_str()) {
            &mut validation
        } else {
            &mut train
        };
        part.push(i);
    }
    Ok(Fold {
        name: "all".into(),
        train,
        validation,
        test: Vec::new(),
    })
}
