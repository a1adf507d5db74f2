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
/// What comes out equals [`best_path`] exactly, after a delay that depends on the signal; see [`Survivors`].
#[derive(Debug, Clone, Default)]
pub(crate) struct PathStream {
    survivors: Survivors<usize>,
}

impl PathStream {
    /// Adds a frame of `count` candidates and gives those frames' choices that are certain now, oldest first; `longest` as in
    /// [`Survivors::release`].
    pub(crate) fn push(
        &mut self,
        count: usize,
        strength: impl Fn(usize) -> f64,
        cost: impl Fn(usize, usize) -> f64,
        longest: Option<usize>,
        each: impl FnMut(usize),
    ) {
        self.advance(count, strength, cost);
        self.survivors.release(longest, |candidate| candidate, each);
    }

    /// Decides all frames that wait; the stream starts afresh.
    pub(crate) fn finish(&mut self, each: impl FnMut(usize)) {
        self.survivors.finish(each);
    }

    fn advance(
        &mut self,
        count: usize,
        strength: impl Fn(usize) -> f64,
        cost: impl Fn(usize, usize) -> f64,
    ) {
        let scores = self.survivors.scores();
        let mut next = Vec::with_capacity(count);
        let mut from = Vec::with_capacity(count);
        for candidate in 0..count {
            let mut best = (f64::NEG_INFINITY, 0);
            for (previous, score) in scores.iter().enumerate() {
                let value = score - cost(previous, candidate);
                if value > best.0 {
                    best = (value, previous);
                }
            }
            let arrived = if scores.is_empty() { 0.0 } else { best.0 };
            next.push(arrived + strength(candidate));
            from.push(best.1);
        }
        self.survivors.add(next, from);
    }
}

/// The best paths into all states of the newest frame, and what they agree in.
///
/// One of them is the best path of the whole, whatever comes later. So a frame in which all of them have the same outcome is decided; it
/// is given out as soon as all frames before it are decided too. Sooner or later the paths go back to one state, and then they agree in
/// all that came before it.
///
/// Source: R. Šrámek, B. Brejová, T. Vinař, *On-line Viterbi Algorithm for Analysis of Long Biological Sequences*, WABI 2007, for paths
/// that meet in one state; that states with one outcome need not be told apart follows from the same argument.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survivors<T> {
    /// Worth of the best path into each state of the newest frame.
    scores: Vec<f64>,
    /// Of every frame that is not decided, oldest first: where the best path into each state comes from.
    origins: VecDeque<Vec<T>>,
}

/// Undecided frames from which on not every new frame looks back.
const LONG: usize = 256;

impl<T: Copy + Into<usize>> Survivors<T> {
    /// Worth of the best path into each state of the newest frame, minus infinity where there is none; empty before the first frame.
    pub(crate) fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Adds a frame: the worth of the best path into each of its states, and the state of the frame before which it comes from.
    pub(crate) fn add(&mut self, scores: Vec<f64>, origins: Vec<T>) {
        self.scores = scores;
        self.origins.push_back(origins);
    }

    /// Gives the states of those frames that are certain now, oldest first; of states with one `outcome` any may be given.
    ///
    /// With `longest`, at most so many frames stay undecided: older ones are decided by what is best so far, and paths with
    /// another outcome end.
    pub(crate) fn release(
        &mut self,
        longest: Option<usize>,
        outcome: impl Fn(usize) -> usize,
        mut each: impl FnMut(usize),
    ) {
        let waiting = self.origins.len();
        if waiting <= LONG || waiting.is_multiple_of(64) {
            self.settle(&outcome, &mut each);
        }
        while longest.is_some_and(|longest| self.origins.len() > longest) {
            self.force(&outcome, &mut each);
        }
    }

    /// Decides all frames that wait; starts afresh.
    pub(crate) fn finish(&mut self, each: impl FnMut(usize)) {
        let mut at = self.best();
        let mut path = Vec::with_capacity(self.origins.len());
        for origins in self.origins.iter().rev() {
            path.push(at);
            at = origins.get(at).map_or(0, |from| (*from).into());
        }
        path.into_iter().rev().for_each(each);
        self.origins.clear();
        self.scores.clear();
    }

    /// The state of the newest frame that the best path ends in.
    fn best(&self) -> usize {
        let mut at = 0;
        let mut best = f64::NEG_INFINITY;
        for (state, score) in self.scores.iter().enumerate() {
            if *score > best {
                (best, at) = (*score, state);
            }
        }
        at
    }

    /// States of the newest frame that a path leads into.
    fn living(&self) -> Vec<usize> {
        let states = 0..self.scores.len();
        states
            .filter(|&state| self.scores[state] > f64::NEG_INFINITY)
            .collect()
    }

    /// Decides the frames up to the first in which two paths differ.
    fn settle(&mut self, outcome: &impl Fn(usize) -> usize, each: &mut impl FnMut(usize)) {
        let mut living = self.living();
        // The frames, newest first, since the last one in which two paths differ.
        let mut agreed = Vec::new();
        for origins in self.origins.iter().rev() {
            match living[..] {
                [] => return,
                [first, ref others @ ..] => {
                    if others.iter().all(|at| outcome(*at) == outcome(first)) {
                        agreed.push(first);
                    } else {
                        agreed.clear();
                    }
                }
            }
            for at in &mut living {
                *at = origins[*at].into();
            }
            if living.len() > 1 {
                living.sort_unstable();
                living.dedup();
            }
        }
        self.origins.drain(..agreed.len());
        agreed.into_iter().rev().for_each(each);
    }

    /// Decides the oldest frame by the best path so far; paths with another outcome there end.
    fn force(&mut self, outcome: &impl Fn(usize) -> usize, each: &mut impl FnMut(usize)) {
        let oldest = |mut at: usize| {
            for origins in self.origins.iter().skip(1).rev() {
                at = origins[at].into();
            }
            at
        };
        let chosen = oldest(self.best());
        let differs = |at: &usize| outcome(oldest(*at)) != outcome(chosen);
        let ends: Vec<usize> = self.living().into_iter().filter(differs).collect();
        for at in ends {
            self.scores[at] = f64::NEG_INFINITY;
        }
        each(chosen);
        self.origins.pop_front();
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

        #[test]
        fn states_of_one_outcome_need_not_be_told_apart(
            frames in proptest::collection::vec(proptest::collection::vec(0..20_u8, 4), 0..60),
            jump in 0..8_u8,
            longest in 0..6_usize,
        ) {
            let strength = |t: usize, c: usize| f64::from(frames[t][c]);
            let cost = |a: usize, b: usize| f64::from(jump) * a.abs_diff(b) as f64;
            let whole = best_path(&vec![4; frames.len()], strength, |_, a, b| cost(a, b));
            let whole: Vec<usize> = whole.iter().map(|c| c / 2).collect();
            let run = |longest: Option<usize>, outcome: fn(usize) -> usize| {
                let (mut stream, mut path, mut waited) = (PathStream::default(), Vec::new(), Vec::new());
                for t in 0..frames.len() {
                    stream.advance(4, |c| strength(t, c), cost);
                    stream.survivors.release(longest, outcome, |c| path.push(c / 2));
                    waited.push(t + 1 - path.len());
                }
                stream.finish(|c| path.push(c / 2));
                (path, waited)
            };
            let (halves, sooner) = run(None, |c| c / 2);
            let (states, later) = run(None, |c| c);
            proptest::prop_assert_eq!(&halves, &whole);
            proptest::prop_assert_eq!(&states, &whole);
            proptest::prop_assert!(sooner.iter().zip(&later).all(|(a, b)| a <= b));
            let (forced, waited) = run(Some(longest), |c| c / 2);
            proptest::prop_assert_eq!(forced.len(), whole.len());
            proptest::prop_assert!(waited.iter().all(|waited| *waited <= longest));
        }
    }
}
