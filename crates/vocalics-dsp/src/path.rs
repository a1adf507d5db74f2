//! The cheapest way through candidates that change from frame to frame.

/// Index of the chosen candidate in each frame: the path with the largest sum of strengths minus
/// transition costs (Viterbi). Ties go to the earlier candidate. Every frame must have a candidate.
///
/// `strength(frame, candidate)`; `cost(frame, previous, candidate)` between candidate `previous` of
/// the frame before and `candidate` of this frame.
pub(crate) fn best_path(
    n_candidates: &[usize],
    strength: impl Fn(usize, usize) -> f64,
    cost: impl Fn(usize, usize, usize) -> f64,
) -> Vec<usize> {
    let Some(&first) = n_candidates.first() else {
        return Vec::new();
    };
    let mut scores: Vec<f64> = (0..first).map(|c| strength(0, c)).collect();
    let mut origins: Vec<Vec<usize>> = vec![Vec::new()];
    for (frame, &count) in n_candidates.iter().enumerate().skip(1) {
        let mut next = Vec::with_capacity(count);
        let mut from = Vec::with_capacity(count);
        for candidate in 0..count {
            let mut best = (f64::NEG_INFINITY, 0);
            for (previous, score) in scores.iter().enumerate() {
                let value = score - cost(frame, previous, candidate);
                if value > best.0 {
                    best = (value, previous);
                }
            }
            next.push(best.0 + strength(frame, candidate));
            from.push(best.1);
        }
        scores = next;
        origins.push(from);
    }
    let mut at = 0;
    for (candidate, score) in scores.iter().enumerate() {
        if *score > scores[at] {
            at = candidate;
        }
    }
    let mut path = vec![at; n_candidates.len()];
    for frame in (1..n_candidates.len()).rev() {
        at = origins[frame].get(at).copied().unwrap_or(0);
        path[frame - 1] = at;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_trying_every_path() {
        let counts = [2, 3, 1, 3, 2];
        let strength = |t: usize, c: usize| ((t * 7 + c * 13) % 11) as f64;
        let cost = |t: usize, a: usize, b: usize| ((t * 5 + a * 3 + b * 8) % 9) as f64;
        let total = |path: &[usize]| -> f64 {
            (0..5).map(|t| strength(t, path[t])).sum::<f64>()
                - (1..5).map(|t| cost(t, path[t - 1], path[t])).sum::<f64>()
        };
        let mut best = f64::NEG_INFINITY;
        for index in 0..counts.iter().product::<usize>() {
            let mut rest = index;
            let path: Vec<usize> = counts
                .iter()
                .map(|n| {
                    let c = rest % n;
                    rest /= n;
                    c
                })
                .collect();
            best = best.max(total(&path));
        }
        let found = best_path(&counts, strength, cost);
        assert!((total(&found) - best).abs() < 1e-12);
        assert!(best_path(&[], strength, cost).is_empty());
    }
}
