//! The likeliest way through pitch bins that are voiced or not.

use crate::floor_index;
use crate::path::Survivors;

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

/// Scores of the best paths that leave the states of a frame, `totals` taken off already.
#[derive(Debug, Clone)]
struct Departures {
    /// By bin, between `reach` impossible bins on either side.
    unvoiced: Vec<f64>,
    /// By entry of the observation: its bin and the score.
    voiced: Vec<(usize, f64)>,
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

    /// Observes a frame: from the scores of the best paths into its states those with what is seen, less the likeliest one's.
    fn observe(&self, scores: &mut [f64], observation: &Observation) {
        let (unvoiced, voiced) = scores.split_at_mut(self.totals.len());
        let even = observation.unvoiced.ln();
        for score in unvoiced {
            *score += even;
        }
        for (score, (_, probability)) in voiced.iter_mut().zip(&observation.voiced) {
            *score += probability.ln();
        }
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for score in scores {
            *score -= best;
        }
    }

    /// The best paths into the states of the next frame, before that frame is observed, and the states they come from: unvoiced bins
    /// first, then `n_bins` plus the place of a voiced state in its observation.
    fn advance(&self, from: &Departures, next: &Observation) -> (Vec<f64>, Vec<u16>) {
        let n_bins = self.totals.len();
        let mut scores = vec![f64::NEG_INFINITY; n_bins];
        let mut origins = vec![0; n_bins];
        self.spread(&from.unvoiced, &mut scores, &mut origins);
        for (place, &(bin, score)) in from.voiced.iter().enumerate() {
            let low = bin.saturating_sub(self.reach);
            let high = (bin + self.reach + 1).min(n_bins);
            let steps = &self.steps[low + self.reach - bin..];
            for ((target, step), origin) in (low..high).zip(steps).zip(&mut origins[low..high]) {
                let value = score + step + self.switch;
                if value > scores[target] {
                    scores[target] = value;
                    *origin = stored(n_bins + place);
                }
            }
        }
        for &(bin, _) in &next.voiced {
            let (score, origin) = self.best_into(from, bin);
            scores.push(score);
            origins.push(origin);
        }
        (scores, origins)
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
    fn best_into(&self, from: &Departures, bin: usize) -> (f64, u16) {
        let mut best = (f64::NEG_INFINITY, 0);
        for (k, (score, step)) in from.unvoiced[bin..].iter().zip(&self.steps).enumerate() {
            let value = score + step + self.switch;
            if value > best.0 {
                best = (value, bin + k - self.reach);
            }
        }
        for (place, &(before, score)) in from.voiced.iter().enumerate() {
            if before.abs_diff(bin) <= self.reach {
                let value = score + self.steps[bin + self.reach - before] + self.stay;
                if value > best.0 {
                    best = (value, self.totals.len() + place);
                }
            }
        }
        (best.0, stored(best.1))
    }
}

/// The likeliest path (Viterbi), frame by frame.
///
/// What comes out of a frame is the place of its voiced state in the observation, `None` where it is unvoiced. Whatever its unvoiced
/// bin, an unvoiced frame is unvoiced: all of them are one outcome, so that silence is decided at once.
#[derive(Debug, Clone)]
pub(crate) struct VoicingStream {
    model: VoicingPath,
    survivors: Survivors<u16>,
    /// Bins of the voiced states of the newest frame.
    bins: Vec<usize>,
    departures: Departures,
}

impl VoicingStream {
    /// A path before its first frame.
    pub(crate) fn new(model: VoicingPath) -> Self {
        let padded = model.totals.len() + 2 * model.reach;
        Self {
            model,
            survivors: Survivors::default(),
            bins: Vec::new(),
            departures: Departures {
                unvoiced: vec![f64::NEG_INFINITY; padded],
                voiced: Vec::new(),
            },
        }
    }

    /// Adds a frame without asking what is certain.
    pub(crate) fn add(&mut self, observation: &Observation) {
        let (mut scores, origins) = if self.survivors.scores().is_empty() {
            let n_states = self.model.totals.len() + observation.voiced.len();
            (vec![0.0; n_states], vec![0; n_states])
        } else {
            self.depart();
            self.model.advance(&self.departures, observation)
        };
        self.model.observe(&mut scores, observation);
        self.survivors.add(scores, origins);
        self.bins.clear();
        self.bins
            .extend(observation.voiced.iter().map(|(bin, _)| *bin));
    }

    /// Gives the frames that are certain now, oldest first; `longest` as in [`Survivors::release`].
    pub(crate) fn release(&mut self, longest: Option<usize>, mut each: impl FnMut(Option<usize>)) {
        let n_bins = self.model.totals.len();
        let outcome = |state: usize| if state < n_bins { 0 } else { state };
        self.survivors
            .release(longest, outcome, |state| each(state.checked_sub(n_bins)));
    }

    /// Decides all frames that wait; starts afresh.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Option<usize>)) {
        let n_bins = self.model.totals.len();
        self.survivors
            .finish(|state| each(state.checked_sub(n_bins)));
    }

    /// Prepares for the next frame.
    fn depart(&mut self) {
        let totals = &self.model.totals;
        let (unvoiced, voiced) = self.survivors.scores().split_at(totals.len());
        let inside = &mut self.departures.unvoiced[self.model.reach..];
        for ((to, score), total) in inside.iter_mut().zip(unvoiced).zip(totals) {
            *to = score - total;
        }
        let voiced = self.bins.iter().zip(voiced);
        self.departures.voiced.clear();
        self.departures
            .voiced
            .extend(voiced.map(|(bin, score)| (*bin, score - totals[*bin])));
    }
}

/// A state as it is stored. Bins, and as many voiced states, fit by [`VoicingPath::MAX_BINS`].
fn stored(state: usize) -> u16 {
    u16::try_from(state).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bin of each frame of the likeliest path, `None` where it is unvoiced; online if asked for, and how many frames waited.
    fn decode(
        model: &VoicingPath,
        observations: &[Observation],
        online: Option<Option<usize>>,
    ) -> (Vec<Option<usize>>, usize) {
        let mut stream = VoicingStream::new(model.clone());
        let (mut path, mut waited) = (Vec::new(), 0);
        for (t, observation) in observations.iter().enumerate() {
            stream.add(observation);
            if let Some(longest) = online {
                stream.release(longest, |place| path.push(place));
                waited = waited.max(t + 1 - path.len());
            }
        }
        stream.finish(|place| path.push(place));
        let bins = path.iter().zip(observations);
        let bins = bins.map(|(place, seen)| place.map(|place| seen.voiced[place].0));
        (bins.collect(), waited)
    }

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
            let model = VoicingPath::new(21, reach, switch_prob);
            let (whole, _) = decode(&model, &observations, None);
            proptest::prop_assert_eq!(&whole, &dense(&observations, 21, reach, switch_prob));
            proptest::prop_assert_eq!(&decode(&model, &observations, Some(None)).0, &whole);
            let n_frames = observations.len();
            proptest::prop_assert_eq!(&decode(&model, &observations, Some(Some(n_frames))).0, &whole);
            for longest in 0..4 {
                let (forced, waited) = decode(&model, &observations, Some(Some(longest)));
                proptest::prop_assert_eq!(forced.len(), whole.len());
                proptest::prop_assert!(waited <= longest);
            }
        }
    }

    #[test]
    fn what_no_candidate_disturbs_is_decided_at_once() {
        let silent = Observation {
            voiced: Vec::new(),
            unvoiced: 1.0 / 50.0,
        };
        let model = VoicingPath::new(50, 4, 0.01);
        let (path, waited) = decode(&model, &vec![silent; 300], Some(None));
        assert_eq!((path, waited), (vec![None; 300], 0));
    }

    #[test]
    fn no_frame_has_no_path() {
        let model = VoicingPath::new(3, 1, 0.01);
        assert!(decode(&model, &[], Some(None)).0.is_empty());
    }
}
