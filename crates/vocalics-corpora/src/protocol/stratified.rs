//! Random splits stratified by class. They share speakers between the parts and are marked so.

use std::collections::{BTreeMap, BTreeSet};

use super::{Fold, Groups, SplitOptions, require_corpus};
use crate::shuffle::SplitMix64;
use crate::{CorpusError, Utterance};

/// The corpora of `seed-mix`.
const MIX: [&str; 3] = ["ravdess-speech", "ravdess-song", "tess"];

pub(super) fn require_seed_mix(
    protocol: &str,
    utterances: &[Utterance],
) -> Result<(), CorpusError> {
    for corpus in MIX {
        require_corpus(protocol, corpus, utterances)?;
    }
    match utterances
        .iter()
        .find(|u| !MIX.contains(&u.corpus.as_str()))
    {
        Some(other) => Err(CorpusError::UnexpectedCorpus {
            protocol: protocol.to_owned(),
            corpus: other.corpus.clone(),
        }),
        None => Ok(()),
    }
}

/// One split for each seed.
pub(super) fn folds(
    utterances: &[Utterance],
    labels: &[usize],
    options: &SplitOptions,
    groups: &Groups,
) -> Vec<Fold> {
    (0..u64::from(options.repeats.max(1)))
        .map(|repeat| {
            let seed = options.seed.wrapping_add(repeat);
            let validate = options.validation_speakers > 0;
            random_80_20(utterances, labels, seed, validate, groups)
        })
        .collect()
}

/// A fifth of the clips to test, a tenth of the rest to validation, each class in proportion.
fn random_80_20(
    utterances: &[Utterance],
    labels: &[usize],
    seed: u64,
    validate: bool,
    groups: &Groups,
) -> Fold {
    let mut rng = SplitMix64::new(seed);
    // In the order of ids, so that the order of the list does not matter.
    let mut order: Vec<usize> = (0..utterances.len()).collect();
    order.sort_by(|&a, &b| utterances[a].id.cmp(&utterances[b].id));
    let (test, rest) = cut(&order, labels, groups, 5, &mut rng);
    let (validation, train) = if validate {
        cut(&rest, labels, groups, 10, &mut rng)
    } else {
        (Vec::new(), rest)
    };
    let sorted = |mut part: Vec<usize>| {
        part.sort_unstable();
        part
    };
    Fold {
        name: format!("seed-{seed}"),
        train: sorted(train),
        validation: sorted(validation),
        test: sorted(test),
    }
}

/// Cuts one clip in `parts` out of `order`, class by class; copies of a recording go together.
///
/// The quota of each class is its share of the total, rounded by largest remainder so that the
/// total is exact. Returns the cut and the rest, the rest in the order given.
pub(super) fn cut(
    order: &[usize],
    labels: &[usize],
    groups: &Groups,
    parts: usize,
    rng: &mut SplitMix64,
) -> (Vec<usize>, Vec<usize>) {
    let available: BTreeSet<usize> = order.iter().copied().collect();
    // A unit is a recording with its copies, counted to the class of the first.
    let mut units: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
    let mut placed = BTreeSet::new();
    for &i in order {
        if placed.contains(&i) {
            continue;
        }
        let copies: Vec<usize> = groups
            .copies(i)
            .into_iter()
            .filter(|c| available.contains(c))
            .collect();
        placed.extend(copies.iter().copied());
        units.entry(labels[i]).or_default().push(copies);
    }
    let sizes: Vec<usize> = units
        .values()
        .map(|u| u.iter().map(Vec::len).sum())
        .collect();
    let quotas = quotas(&sizes, parts);
    let mut taken = BTreeSet::new();
    for (class_units, quota) in units.values_mut().zip(quotas) {
        rng.shuffle(class_units);
        let mut left = quota;
        for unit in class_units.iter() {
            if unit.len() <= left {
                left -= unit.len();
                taken.extend(unit.iter().copied());
            }
        }
    }
    order.iter().copied().partition(|i| taken.contains(i))
}

/// `size / parts` for each class, rounded so that they add up to the rounded total.
fn quotas(sizes: &[usize], parts: usize) -> Vec<usize> {
    let total = (sizes.iter().sum::<usize>() + parts / 2) / parts;
    let mut quotas: Vec<usize> = sizes.iter().map(|s| s / parts).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&c| (std::cmp::Reverse(sizes[c] % parts), c));
    let mut left = total.saturating_sub(quotas.iter().sum());
    for class in by_remainder {
        if left > 0 && quotas[class] < sizes[class] {
            quotas[class] += 1;
            left -= 1;
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_add_up() {
        let sizes = [96, 192, 192, 192, 192, 192, 192, 192];
        assert_eq!(quotas(&sizes, 5).iter().sum::<usize>(), 288);
        assert_eq!(quotas(&sizes, 5)[0], 19);
        assert_eq!(quotas(&[1, 1, 1], 5), [1, 0, 0]);
        assert_eq!(quotas(&[], 5), Vec::<usize>::new());
    }
}
