//! The likeliest way through pitch bins that are voiced or not.

use crate::floor_index;

/// What one frame says about the states.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Observation {
    /// Voiced states that are possible, by rising bin, with their probabilities, above 0.
    pub(crate) voiced: Vec<(usize, f64)>,
    /// Probability of each unvoiced state, above 0.
    pub(crate) unvoiced: f64,
}

/// A hidden Markov model over `n_bins` voiced and as many unvoiced states.
///
/// From one frame to the next the bin moves by at most `reach`, with weights that fall linearly from
/// `reach + 1` at rest to 1 and sum to 1 inside the range of bins; independently of that, voiced
/// becomes unvoiced or the reverse with probability `switch_prob`. All states are equally likely at
/// the beginning.
///
/// Source: M. Mauch, S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold
/// distributions", *ICASSP* 2014, section 2.2.
#[derive(Debug, Clone)]
pub(crate) struct VoicingPath {
    reach: usize,
    /// Logarithm of the weight of each step, `−reach` first `[2 · reach + 1]`.
    steps: Vec<f64>,
    /// Logarithm of the sum of the weights that stay inside, by the bin left `[n_bins]`.
    totals: Vec<f64>,
    stay: f64,
    switch: f64,
}

/// Bins worked on side by side.
const BLOCK: usize = 8;

/// Scores of the states of one frame, less the likeliest one's.
struct Scores {
    /// By bin, between `reach` impossible bins on either side; `totals` are taken off already.
    unvoiced: Vec<f64>,
    /// By entry of the observation; `totals` are taken off already.
    voiced: Vec<(usize, f64)>,
}

/// Where the best path into each state of one frame comes from: an unvoiced bin, or `n_bins` plus
/// the place of a voiced state in the observation before.
struct Origins {
    unvoiced: Vec<u16>,
    voiced: Vec<u16>,
}

impl VoicingPath {
    /// The largest number of bins: origins are stored in 16 bits, with room for voiced ones.
    pub(crate) const MAX_BINS: usize = 20_000;

    /// A model of 1 to [`MAX_BINS`](Self::MAX_BINS) bins; `switch_prob` between 0 and 1.
    pub(crate) fn new(n_bins: usize, reach: usize, switch_prob: f64) -> Self {
        // Weights fall as far as asked; what lies beyond the bins is never stepped to.
        let peak = reach.saturating_add(1) as f64;
        let reach = reach.min(n_bins.saturating_sub(1));
        let weight = |step: usize| peak - step.abs_diff(reach) as f64;
        let totals = (0..n_bins)
            .map(|bin| {
                let first = reach.saturating_sub(bin);
                let last = (reach + n_bins - 1 - bin).min(2 * reach);
                (first..=last).map(weight).sum::<f64>().ln()
            })
            .collect();
        Self {
            reach,
            steps: (0..=2 * reach).map(|step| weight(step).ln()).collect(),
            totals,
            stay: (1.0 - switch_prob).ln(),
            switch: switch_prob.ln(),
        }
    }

    /// The bin of each frame of the likeliest path (Viterbi), `None` where it is unvoiced.
    pub(crate) fn decode(&self, observations: &[Observation]) -> Vec<Option<usize>> {
        let Some(first) = observations.first() else {
            return Vec::new();
        };
        let n_bins = self.totals.len();
        let mut scores = Scores {
            unvoiced: vec![f64::NEG_INFINITY; n_bins + 2 * self.reach],
            voiced: Vec::new(),
        };
        let start = Arrivals {
            unvoiced: vec![0.0; n_bins],
            voiced: vec![0.0; first.voiced.len()],
        };
        self.settle(&mut scores, &start, first);
        let mut origins = Vec::with_capacity(observations.len());
        for observation in &observations[1..] {
            let (arrivals, from) = self.advance(&scores, observation);
            self.settle(&mut scores, &arrivals, observation);
            origins.push(from);
        }
        self.trace(observations, &scores, &origins)
    }

    /// Observes a frame: scores from those of the best paths into its states.
    fn settle(&self, scores: &mut Scores, arrivals: &Arrivals, observation: &Observation) {
        let unvoiced = observation.unvoiced.ln();
        let mut best = f64::NEG_INFINITY;
        scores.voiced.clear();
        for (&(bin, probability), arrival) in observation.voiced.iter().zip(&arrivals.voiced) {
            let score = arrival + probability.ln();
            best = best.max(score);
            scores.voiced.push((bin, score));
        }
        for arrival in &arrivals.unvoiced {
            best = best.max(arrival + unvoiced);
        }
        let inside = self.reach..self.reach + self.totals.len();
        for ((score, arrival), total) in scores.unvoiced[inside]
            .iter_mut()
            .zip(&arrivals.unvoiced)
            .zip(&self.totals)
        {
            *score = arrival + unvoiced - best - total;
        }
        for (bin, score) in &mut scores.voiced {
            *score -= best + self.totals[*bin];
        }
    }

    /// The best paths into the states of the next frame, before that frame is observed.
    fn advance(&self, scores: &Scores, next: &Observation) -> (Arrivals, Origins) {
        let n_bins = self.totals.len();
        let mut unvoiced = vec![f64::NEG_INFINITY; n_bins];
        let mut origins = vec![0; n_bins];
        self.spread(&scores.unvoiced, &mut unvoiced, &mut origins);
        for (place, &(bin, score)) in scores.voiced.iter().enumerate() {
            let low = bin.saturating_sub(self.reach);
            let high = (bin + self.reach + 1).min(n_bins);
            let steps = &self.steps[low + self.reach - bin..];
            for ((target, step), origin) in (low..high).zip(steps).zip(&mut origins[low..high]) {
                let value = score + step + self.switch;
                if value > unvoiced[target] {
                    unvoiced[target] = value;
                    *origin = stored(n_bins + place);
                }
            }
        }
        let (voiced, voiced_origins) = next
            .voiced
            .iter()
            .map(|&(bin, _)| self.best_into(scores, bin))
            .unzip();
        let arrivals = Arrivals { unvoiced, voiced };
        let origins = Origins {
            unvoiced: origins,
            voiced: voiced_origins,
        };
        (arrivals, origins)
    }

    /// The best unvoiced path into every unvoiced bin, and its origin.
    fn spread(&self, from: &[f64], best: &mut [f64], origins: &mut [u16]) {
        let whole = best.len() - best.len() % BLOCK;
        for block in (0..whole).step_by(BLOCK) {
            let (values, steps) = self.spread_block::<BLOCK>(&from[block..]);
            for lane in 0..BLOCK {
                best[block + lane] = values[lane];
                origins[block + lane] =
                    stored(block + lane + floor_index(steps[lane]) - self.reach);
            }
        }
        for bin in whole..best.len() {
            let ([value], [step]) = self.spread_block::<1>(&from[bin..]);
            best[bin] = value;
            origins[bin] = stored(bin + floor_index(step) - self.reach);
        }
    }

    /// The same for `N` bins; the step is counted in `f64`, so that its lanes are those of the scores.
    fn spread_block<const N: usize>(&self, from: &[f64]) -> ([f64; N], [f64; N]) {
        let mut best = [f64::NEG_INFINITY; N];
        let mut taken = [self.reach as f64; N];
        let mut number = 0.0;
        for (window, step) in from.windows(N).zip(&self.steps) {
            let weight = step + self.stay;
            for lane in 0..N {
                let value = window[lane] + weight;
                let better = value > best[lane];
                best[lane] = if better { value } else { best[lane] };
                taken[lane] = if better { number } else { taken[lane] };
            }
            number += 1.0;
        }
        (best, taken)
    }

    /// The best path into a voiced state, and its origin.
    fn best_into(&self, scores: &Scores, bin: usize) -> (f64, u16) {
        let mut best = (f64::NEG_INFINITY, 0);
        for (k, (score, step)) in scores.unvoiced[bin..].iter().zip(&self.steps).enumerate() {
            let value = score + step + self.switch;
            if value > best.0 {
                best = (value, bin + k - self.reach);
            }
        }
        for (place, &(from, score)) in scores.voiced.iter().enumerate() {
            if from.abs_diff(bin) <= self.reach {
                let value = score + self.steps[bin + self.reach - from] + self.stay;
                if value > best.0 {
                    best = (value, self.totals.len() + place);
                }
            }
        }
        (best.0, stored(best.1))
    }

    /// The path that ends in the likeliest state.
    fn trace(
        &self,
        observations: &[Observation],
        scores: &Scores,
        origins: &[Origins],
    ) -> Vec<Option<usize>> {
        let n_bins = self.totals.len();
        let mut at = 0;
        let mut best = f64::NEG_INFINITY;
        let unvoiced = scores.unvoiced[self.reach..self.reach + n_bins].iter();
        let unvoiced = unvoiced
            .zip(&self.totals)
            .map(|(score, total)| score + total);
        let voiced = scores.voiced.iter();
        let voiced = voiced.map(|(bin, score)| score + self.totals[*bin]);
        for (state, score) in unvoiced.chain(voiced).enumerate() {
            if score > best {
                best = score;
                at = state;
            }
        }
        let mut path = Vec::with_capacity(observations.len());
        for (frame, observation) in observations.iter().enumerate().rev() {
            let place = at.checked_sub(n_bins);
            path.push(place.map(|place| observation.voiced[place].0));
            if let Some(from) = frame.checked_sub(1).map(|before| &origins[before]) {
                at = usize::from(match place {
                    Some(place) => from.voiced[place],
                    None => from.unvoiced[at],
                });
            }
        }
        path.reverse();
        path
    }
}

/// Scores of the best paths into the states of a frame that is not yet observed.
struct Arrivals {
    unvoiced: Vec<f64>,
    voiced: Vec<f64>,
}

/// A state as it is stored. Bins, and as many voiced states, fit by [`VoicingPath::MAX_BINS`].
fn stored(state: usize) -> u16 {
    u16::try_from(state).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Viterbi over every pair of states.
    fn dense(
        observations: &[Observation],
        n_bins: usize,
        reach: usize,
        p: f64,
    ) -> Vec<Option<usize>> {
        let weight = |a: usize, b: usize| (reach + 1).saturating_sub(a.abs_diff(b)) as f64;
        let step = |a: usize, b: usize| {
            let total: f64 = (0..n_bins).map(|c| weight(a % n_bins, c)).sum();
            let switched = (a < n_bins) != (b < n_bins);
            let voicing = if switched { p } else { 1.0 - p };
            (weight(a % n_bins, b % n_bins) / total * voicing).ln()
        };
        let steps: Vec<Vec<f64>> = (0..2 * n_bins)
            .map(|b| (0..2 * n_bins).map(|a| step(a, b)).collect())
            .collect();
        let seen = |observation: &Observation, state: usize| match state.checked_sub(n_bins) {
            None => observation.unvoiced.ln(),
            Some(bin) => {
                let found = observation.voiced.iter().find(|(b, _)| *b == bin);
                found.map_or(f64::NEG_INFINITY, |(_, p)| p.ln())
            }
        };
        let mut scores = vec![0.0; 2 * n_bins];
        let mut origins = Vec::new();
        for (t, observation) in observations.iter().enumerate() {
            let arrive = |b: usize| {
                let from = (0..2 * n_bins).map(|a| (scores[a] + steps[b][a], a));
                let best = from.max_by(|x, y| x.0.total_cmp(&y.0)).unwrap();
                if t == 0 { (0.0, 0) } else { best }
            };
            let arrivals: Vec<(f64, usize)> = (0..2 * n_bins).map(arrive).collect();
            origins.push(arrivals.iter().map(|arrival| arrival.1).collect::<Vec<_>>());
            scores = (0..2 * n_bins)
                .map(|b| arrivals[b].0 + seen(observation, b))
                .collect();
        }
        let mut at = (0..2 * n_bins)
            .max_by(|a, b| scores[*a].total_cmp(&scores[*b]))
            .unwrap();
        let mut path = Vec::new();
        for from in origins.iter().rev() {
            path.push(at.checked_sub(n_bins));
            at = from[at];
        }
        path.reverse();
        path
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn equals_viterbi_over_every_pair_of_states(
            frames in proptest::collection::vec(
                proptest::collection::btree_map(0_usize..21, 0.001_f64..0.16, 0..6),
                1..12,
            ),
            reach in 0_usize..30,
            switch_prob in 0.01_f64..0.5,
        ) {
            let observations: Vec<Observation> = frames
                .iter()
                .map(|voiced| Observation {
                    voiced: voiced.iter().map(|(bin, p)| (*bin, *p)).collect(),
                    unvoiced: (1.0 - voiced.values().sum::<f64>()) / 21.0,
                })
                .collect();
            proptest::prop_assert_eq!(
                VoicingPath::new(21, reach, switch_prob).decode(&observations),
                dense(&observations, 21, reach, switch_prob)
            );
        }
    }

    #[test]
    fn no_frame_has_no_path() {
        assert!(VoicingPath::new(3, 1, 0.01).decode(&[]).is_empty());
    }
}
