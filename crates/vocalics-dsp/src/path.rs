//! The cheapest way through candidates that change from frame to frame.

use std::collections::VecDeque;

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
    let mut path = Vec::with_capacity(n_candidates.len());
    let mut stream = PathStream::default();
    for (frame, &count) in n_candidates.iter().enumerate() {
        stream.advance(count, |c| strength(frame, c), |a, b| cost(frame, a, b));
    }
    stream.finish(|chosen| path.push(chosen));
    path
}

/// The same path, as far as it is certain, while frames come.
///
/// The best paths into the candidates of the newest frame go back to one candidate sooner or later; up to there no later frame can change
/// anything. So what comes out equals [`best_path`] exactly, after a delay that depends on the signal.
///
/// Source: R. Šrámek, B. Brejová, T. Vinař, *On-line Viterbi Algorithm for Analysis of Long Biological Sequences*, WABI 2007.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathStream {
    /// Worth of the best path into each candidate of the newest frame.
    scores: Vec<f64>,
    /// Of every frame that is not decided, oldest first: where the best path into each candidate comes from.
    origins: VecDeque<Vec<usize>>,
}

/// Undecided frames from which on not every new frame looks back.
const LONG: usize = 256;

impl PathStream {
    /// Adds a frame of `count` candidates and gives those frames' choices that are certain now, oldest first.
    ///
    /// With `longest`, at most so many frames stay undecided: older ones are decided by what is best so far, and paths that would choose
    /// otherwise end.
    pub(crate) fn push(
        &mut self,
        count: usize,
        strength: impl Fn(usize) -> f64,
        cost: impl Fn(usize, usize) -> f64,
        longest: Option<usize>,
        mut each: impl FnMut(usize),
    ) {
        self.advance(count, strength, cost);
        let waiting = self.origins.len();
        if waiting <= LONG || waiting.is_multiple_of(64) {
            self.settle(&mut each);
        }
        while longest.is_some_and(|longest| self.origins.len() > longest) {
            self.force(&mut each);
        }
    }

    /// Decides all frames that wait; the stream starts afresh.
    pub(crate) fn finish(&mut self, each: impl FnMut(usize)) {
        if let Some(last) = self.origins.len().checked_sub(1) {
            self.decide(last, self.best(), each);
        }
        self.scores.clear();
    }

    fn advance(
        &mut self,
        count: usize,
        strength: impl Fn(usize) -> f64,
        cost: impl Fn(usize, usize) -> f64,
    ) {
        let mut next = Vec::with_capacity(count);
        let mut from = Vec::with_capacity(count);
        for candidate in 0..count {
            let mut best = (f64::NEG_INFINITY, 0);
            for (previous, score) in self.scores.iter().enumerate() {
                let value = score - cost(previous, candidate);
                if value > best.0 {
                    best = (value, previous);
                }
            }
            let arrived = if self.scores.is_empty() { 0.0 } else { best.0 };
            next.push(arrived + strength(candidate));
            from.push(best.1);
        }
        self.scores = next;
        self.origins.push_back(from);
    }

    /// The candidate of the newest frame that the best path ends in.
    fn best(&self) -> usize {
        let mut at = 0;
        for (candidate, score) in self.scores.iter().enumerate() {
            if *score > self.scores[at] {
                at = candidate;
            }
        }
        at
    }

    /// Decides up to the newest frame in which all paths meet, if there is one.
    fn settle(&mut self, each: impl FnMut(usize)) {
        let mut living: Vec<usize> = (0..self.scores.len())
            .filter(|&at| self.scores[at] > f64::NEG_INFINITY)
            .collect();
        for frame in (0..self.origins.len()).rev() {
            if let [only] = living[..] {
                self.decide(frame, only, each);
                return;
            }
            for at in &mut living {
                *at = self.origins[frame][*at];
            }
            living.sort_unstable();
            living.dedup();
        }
    }

    /// Decides the oldest frame by the best path so far; paths through another candidate of it end.
    fn force(&mut self, mut each: impl FnMut(usize)) {
        let oldest = |mut at: usize| {
            for origins in self.origins.iter().skip(1).rev() {
                at = origins[at];
            }
            at
        };
        let chosen = oldest(self.best());
        let ends: Vec<bool> = (0..self.scores.len())
            .map(|at| oldest(at) != chosen)
            .collect();
        for (score, ends) in self.scores.iter_mut().zip(ends) {
            if ends {
                *score = f64::NEG_INFINITY;
            }
        }
        each(chosen);
        self.origins.pop_front();
    }

    /// Gives the choices up to `frame` of those that wait, in which `at` is chosen.
    fn decide(&mut self, frame: usize, mut at: usize, each: impl FnMut(usize)) {
        let mut path = vec![at; frame + 1];
        for earlier in (1..=frame).rev() {
            at = self.origins[earlier].get(at).copied().unwrap_or(0);
            path[earlier - 1] = at;
        }
        self.origins.drain(..=frame);
        path.into_iter().for_each(each);
    }
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

    proptest::proptest! {
        #[test]
        fn what_is_certain_early_is_what_the_whole_gives(
            frames in proptest::collection::vec(proptest::collection::vec(0..20_u8, 1..5), 0..60),
            jump in 0..8_u8,
            longest in 0..6_usize,
        ) {
            let counts: Vec<usize> = frames.iter().map(Vec::len).collect();
            let strength = |t: usize, c: usize| f64::from(frames[t][c]);
            let cost = |_: usize, a: usize, b: usize| f64::from(jump) * a.abs_diff(b) as f64;
            let whole = best_path(&counts, strength, cost);
            let run = |longest: Option<usize>| {
                let (mut stream, mut path, mut waited) = (PathStream::default(), Vec::new(), 0);
                for (t, &count) in counts.iter().enumerate() {
                    stream.push(count, |c| strength(t, c), |a, b| cost(t, a, b), longest, |c| path.push(c));
                    waited = waited.max(t + 1 - path.len());
                }
                stream.finish(|c| path.push(c));
                (path, waited)
            };
            proptest::prop_assert_eq!(&run(None).0, &whole);
            let (forced, waited) = run(Some(longest));
            proptest::prop_assert_eq!(forced.len(), whole.len());
            proptest::prop_assert!(waited <= longest);
            proptest::prop_assert_eq!(run(Some(frames.len())).0, whole);
        }
    }
}
