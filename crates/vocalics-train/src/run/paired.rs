//! Temperatures of models that train on everybody: each fitted by a model that has heard two folds' tests less, on the other fold's.
//!
//! ```text
//!             fold 1   fold 2   fold 3   fold 4 ...
//! extra run   held     held     train    train        answers fold 1 and fold 2
//! model 1     test     train    train    train        temperature from what the extra run says of fold 2
//! model 2     train    test     train    train        temperature from what the extra run says of fold 1
//! ```
//!
//! What a fold tests has no part in its own temperature: neither as a clip it is fitted on nor in the training of the model that
//! answers these.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vocalics_corpora::Fold;
use vocalics_eval::fit_temperature;

use super::measure::scored;
use crate::fold::{TrainedModel, infer_all};
use crate::jobs::Task;
use crate::{RunOptions, TrainError};

/// What the model that fits a fold's temperature says of the clips it is fitted on, at that temperature.
pub(crate) const HELD_OUT: &str = "held-out.csv";

/// Two folds and the training that leaves out what both test.
#[derive(Debug)]
pub(super) struct Pair {
    /// Trains on what both train on, and tests what either does.
    pub(super) without: Fold,
    /// The folds whose temperatures it gives, each with the clips that they are fitted on.
    takers: Vec<(String, Vec<usize>)>,
}

/// The pairs that give the wanted folds their temperatures: neighbours in the protocol's order, the last of an odd number with
/// the first.
///
/// # Errors
/// When there is one fold only, or a fold trains on nothing that its partner tests.
pub(super) fn pair_up(all: &[Fold], wanted: &[Fold]) -> Result<Vec<Pair>, TrainError> {
    let wrong = |actual, expected| TrainError::Config {
        field: "evaluation.temperature",
        actual,
        expected,
    };
    if all.len() < 2 {
        return Err(wrong(
            "\"paired-folds\" under a protocol with one fold".to_owned(),
            "a protocol with two folds or more (evaluation.repeats, where it splits at random), or \"validation\"",
        ));
    }
    let mut pairs: BTreeMap<[usize; 2], Pair> = BTreeMap::new();
    for (place, fold) in all.iter().enumerate() {
        if !wanted.iter().any(|it| it.name == fold.name) {
            continue;
        }
        let neighbour = place ^ 1;
        let partner = if neighbour < all.len() { neighbour } else { 0 };
        let clips = both(&all[partner].test, &fold.train);
        if clips.is_empty() {
            return Err(wrong(
                format!(
                    "\"paired-folds\", and {} trains on nothing that {} tests",
                    fold.name, all[partner].name
                ),
                "folds that test different clips, or \"validation\"",
            ));
        }
        let at = [place.min(partner), place.max(partner)];
        let [first, second] = at.map(|place| &all[place]);
        let pair = pairs.entry(at).or_insert_with(|| Pair {
            without: Fold {
                name: format!("{}+{}", first.name, second.name),
                train: both(&first.train, &second.train),
                validation: Vec::new(),
                test: either(&first.test, &second.test),
            },
            takers: Vec::new(),
        });
        pair.takers.push((fold.name.clone(), clips));
    }
    Ok(pairs.into_values().collect())
}

/// What is in both ascending lists.
fn both(one: &[usize], other: &[usize]) -> Vec<usize> {
    let other: BTreeSet<&usize> = other.iter().collect();
    let shared = one.iter().filter(|clip| other.contains(clip));
    shared.copied().collect()
}

/// What is in one of the lists or in both, ascending.
fn either(one: &[usize], other: &[usize]) -> Vec<usize> {
    let all: BTreeSet<usize> = one.iter().chain(other).copied().collect();
    all.into_iter().collect()
}

/// Trains a model for every pair and fits the temperatures of its folds, by name; writes [`HELD_OUT`] into the folder of each.
///
/// # Errors
/// As [`Task::run`]; files that cannot be written.
pub(super) fn fit_temperatures(
    task: &Task<'_>,
    pairs: &[Pair],
    options: &RunOptions,
    directory: &Path,
) -> Result<BTreeMap<String, f32>, TrainError> {
    let folds: Vec<Fold> = pairs.iter().map(|pair| pair.without.clone()).collect();
    let fitted = task.run(
        &folds,
        options,
        |fold| directory.join("held-out").join(&fold.name),
        |fold, model, _| {
            let pair = pairs.iter().find(|pair| pair.without.name == fold.name);
            let takers = pair.map_or(&[][..], |pair| &pair.takers);
            let fitted = takers.iter().map(|(name, clips)| {
                let temperature = fit(task, &model, name, clips, &directory.join(name))?;
                Ok((name.clone(), temperature))
            });
            fitted.collect::<Result<Vec<_>, TrainError>>()
        },
    )?;
    Ok(fitted.into_iter().flatten().collect())
}

fn fit(
    task: &Task<'_>,
    model: &TrainedModel,
    fold: &str,
    clips: &[usize],
    folder: &Path,
) -> Result<f32, TrainError> {
    let logits = infer_all(&model.ensemble, &task.data.features, clips);
    let truth: Vec<usize> = clips.iter().map(|&clip| task.data.classes[clip]).collect();
    let temperature = fit_temperature(&logits, &truth)?;
    let answers = (logits.as_slice(), temperature);
    std::fs::create_dir_all(folder).map_err(TrainError::io("create", folder))?;
    scored(task, fold, clips, answers)?.write_csv(&folder.join(HELD_OUT))?;
    Ok(temperature)
}
