//! How much of a search's differences each parameter explains.

use super::space::Coordinate;

/// Most groups that a range is divided into.
const GROUPS: usize = 4;
/// Fewest trials in a group of a range.
const LEAST: usize = 3;

/// Share of the variance of the scores that the groups of one parameter's values explain, from 0 to 1: ε², the correlation ratio
/// with what chance alone explains taken off. `None` where there are too few trials to say.
///
/// `ε² = 1 − (SS_within / (n − k)) / (SS_total / (n − 1))` with `n` trials in `k` groups; below 0 it is 0. The groups are the values of
/// a list, or up to four parts of a range with equally many trials. Interactions of parameters are in none of them.
///
/// Source: T. L. Kelley, *An unbiased correlation ratio measure*, PNAS 21(9), 1935.
pub(super) fn importance(trials: &[(Coordinate, f64)]) -> Option<f64> {
    let groups = groups(trials);
    let k = groups.iter().filter(|group| !group.is_empty()).count();
    let n = trials.len();
    if k < 2 || n <= k + 1 {
        return None;
    }
    let squares = |scores: &[f64]| {
        let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
        scores.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>()
    };
    let all: Vec<f64> = trials.iter().map(|trial| trial.1).collect();
    let total = squares(&all) / (n - 1) as f64;
    let within = groups.iter().map(|group| squares(group)).sum::<f64>() / (n - k) as f64;
    (total > 0.0).then(|| (1.0 - within / total).max(0.0))
}

fn groups(trials: &[(Coordinate, f64)]) -> Vec<Vec<f64>> {
    let mut shares: Vec<(f64, f64)> = Vec::new();
    let mut lists: Vec<Vec<f64>> = Vec::new();
    for &(at, score) in trials {
        match at {
            Coordinate::Share(share) => shares.push((share, score)),
            Coordinate::Choice(choice) => {
                if lists.len() <= choice {
                    lists.resize(choice + 1, Vec::new());
                }
                lists[choice].push(score);
            }
        }
    }
    if shares.is_empty() {
        return lists;
    }
    shares.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = (shares.len() / LEAST).clamp(1, GROUPS);
    (0..count)
        .map(|i| {
            let part = i * shares.len() / count..(i + 1) * shares.len() / count;
            shares[part].iter().map(|pair| pair.1).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_explains_all_and_what_does_not_nothing() {
        let of = |score: fn(u32) -> f64, at: fn(u32) -> Coordinate| {
            let trials: Vec<(Coordinate, f64)> = (0..40).map(|i| (at(i), score(i))).collect();
            importance(&trials).expect("enough trials")
        };
        let list = |i: u32| Coordinate::Choice((i % 2) as usize);
        let range = |i: u32| Coordinate::Share(f64::from(i) / 39.0);
        assert!((of(|i| f64::from(i % 2), list) - 1.0).abs() < 1e-9);
        // A ramp cut in four equal parts: 1 − (1/16)·(corrections).
        let ramp = of(f64::from, range);
        assert!((ramp - 0.9324).abs() < 1e-3, "{ramp}");
        assert!(of(|i| f64::from((i * 7919 + 13) % 37), list) < 0.1);
        assert!(importance(&[(list(0), 1.0), (list(1), 2.0)]).is_none());
        assert!(importance(&vec![(list(0), 1.0); 9]).is_none());
    }
}
