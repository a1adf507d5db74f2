//! Irregularity from period to period: jitter and shimmer.
//!
//! Both are means over all marks of a clip, or over those that have come ([`Perturbation`]).

use crate::periods::{Mark, Periods};
use crate::{MAX_SAMPLE, narrow};

/// Shortest interval that counts as a period, in seconds; like the other three, Praat's standard setting.
const MIN_PERIOD_SECS: f64 = 0.0001;
/// Longest interval that counts as a period, in seconds.
const MAX_PERIOD_SECS: f64 = 0.02;
/// Largest ratio of neighbouring periods.
const MAX_PERIOD_FACTOR: f64 = 1.3;
/// Largest ratio of neighbouring amplitudes.
const MAX_AMPLITUDE_FACTOR: f64 = 1.6;

/// Jitter: irregularity of the periods' durations, as shares of the mean period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jitter {
    /// Mean absolute difference of neighbouring periods over the mean period.
    pub local: f32,
    /// Relative average perturbation: mean distance of a period from the mean of it and its two
    /// neighbours, over the mean period.
    pub rap: f32,
    /// The same with four neighbours.
    pub ppq5: f32,
    /// Mean absolute difference of neighbouring differences, over the mean period: three times RAP.
    pub ddp: f32,
}

/// Shimmer: irregularity of the periods' amplitudes, as shares of the mean amplitude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shimmer {
    /// Mean absolute difference of neighbouring amplitudes over the mean amplitude.
    pub local: f32,
    /// Mean absolute level difference of neighbouring amplitudes, in decibels.
    pub local_db: f32,
    /// Mean distance of an amplitude from the mean of it and its two neighbours, over the mean.
    pub apq3: f32,
    /// The same with four neighbours.
    pub apq5: f32,
    /// The same with ten neighbours; `None` if no thirteen marks follow each other.
    pub apq11: Option<f32>,
}

/// Jitter of the marked periods; `None` if no five periods (six marks) follow each other.
///
/// Intervals outside 0.1 to 20 ms are no periods, and neighbours that differ by more than a factor of
/// 1.3 are not compared.
///
/// Source: Praat manual, *Voice 2. Jitter*. Reference: `Get jitter (local)` and its kin with their
/// standard settings; agreement in `docs/voice.md`.
#[must_use]
pub fn jitter(periods: &Periods) -> Option<Jitter> {
    let mut sums = JitterSums::default();
    for time_secs in &periods.times_secs {
        sums.push(*time_secs);
    }
    sums.jitter()
}

/// Shimmer of the marked periods; `None` if no seven marks follow each other.
///
/// The first and the last mark of a stretch lack a period on one side, so their amplitudes are not compared:
/// five amplitudes take seven marks. Amplitudes on either side of an interval that is no period (see [`jitter`]), and neighbours that
/// differ by more than a factor of 1.6, are not compared; amplitudes that are not above 0 or exceed
/// [`MAX_SAMPLE`] are none.
///
/// Source: Praat manual, *Voice 3. Shimmer*. Reference: `Get shimmer (local)` and its kin with their
/// standard settings; agreement in `docs/voice.md`.
#[must_use]
pub fn shimmer(periods: &Periods) -> Option<Shimmer> {
    let mut sums = ShimmerSums::default();
    for (i, time_secs) in periods.times_secs.iter().enumerate() {
        sums.push(Mark {
            time_secs: *time_secs,
            amplitude: periods.amplitudes.get(i).copied().unwrap_or(0.0),
        });
    }
    sums.shimmer()
}

/// Jitter and shimmer of marks that come one after another, as from a [`PeriodStream`](crate::periods::PeriodStream).
///
/// At any time both equal [`jitter`] and [`shimmer`] of the marks that have come, bit for bit: those are made of the same sums. The newest
/// mark has no period behind it yet, so that its amplitude counts from the next one on. Sums and the newest 11 values are all
/// that is kept. [`Default`] is one without marks.
///
/// ```
/// use vocalics_dsp::periods::Mark;
/// use vocalics_dsp::perturbation::Perturbation;
///
/// let mut voice = Perturbation::default();
/// let mut time_secs = 0.0;
/// for n in 0..100 {
///     voice.push(Mark { time_secs, amplitude: 0.5 });
///     time_secs += if n % 2 == 0 { 0.0081 } else { 0.0079 };
/// }
/// assert!((voice.jitter().unwrap().local - 0.025).abs() < 1e-4);
/// assert!(voice.shimmer().unwrap().local < 1e-6);
/// ```
///
/// Source: as [`jitter`] and [`shimmer`].
#[derive(Debug, Clone, Default)]
pub struct Perturbation {
    jitter: JitterSums,
    shimmer: ShimmerSums,
}

impl Perturbation {
    /// Takes the next mark. Marks in any other order than that of time have intervals that are no periods.
    pub fn push(&mut self, mark: Mark) {
        self.jitter.push(mark.time_secs);
        self.shimmer.push(mark);
    }

    /// [`jitter`] of the marks so far; `None` if no five periods (six marks) followed each other yet.
    #[must_use]
    pub fn jitter(&self) -> Option<Jitter> {
        self.jitter.jitter()
    }

    /// [`shimmer`] of the marks so far; `None` if no seven marks followed each other yet.
    #[must_use]
    pub fn shimmer(&self) -> Option<Shimmer> {
        self.shimmer.shimmer()
    }
}

fn is_period(interval_secs: f64) -> bool {
    (MIN_PERIOD_SECS..=MAX_PERIOD_SECS).contains(&interval_secs)
}

#[derive(Debug, Clone, Default)]
struct JitterSums {
    last_secs: Option<f64>,
    periods: Sums,
}

impl JitterSums {
    fn push(&mut self, time_secs: f64) {
        if let Some(last) = self.last_secs.replace(time_secs) {
            let interval = time_secs - last;
            self.periods
                .push(interval, is_period(interval), MAX_PERIOD_FACTOR);
        }
    }

    fn jitter(&self) -> Option<Jitter> {
        let mean = self.periods.values.mean()?;
        let rap = self.periods.of_3.mean()? / mean;
        Some(Jitter {
            local: narrow(self.periods.of_2.mean()? / mean),
            rap: narrow(rap),
            ppq5: narrow(self.periods.of_5.mean()? / mean),
            ddp: narrow(3.0 * rap),
        })
    }
}

#[derive(Debug, Clone, Default)]
struct ShimmerSums {
    /// The mark before the newest one.
    before: Option<Mark>,
    newest: Option<Mark>,
    amplitudes: Sums,
    decibels: Mean,
    of_11: Mean,
}

impl ShimmerSums {
    /// Adds the amplitude of the mark before this one, now that there are periods on both its sides.
    fn push(&mut self, mark: Mark) {
        let middle = self.newest.replace(mark);
        let before = std::mem::replace(&mut self.before, middle);
        let (Some(before), Some(middle)) = (before, middle) else {
            return;
        };
        let left = middle.time_secs - before.time_secs;
        let right = mark.time_secs - middle.time_secs;
        let even = left.max(right) / left.min(right) <= MAX_PERIOD_FACTOR;
        let a = middle.amplitude;
        let valid = is_period(left) && is_period(right) && even;
        let valid = valid && a > 0.0 && a <= f64::from(MAX_SAMPLE);
        self.amplitudes.push(a, valid, MAX_AMPLITUDE_FACTOR);
        if let Some([a, b]) = self.amplitudes.run.newest() {
            self.decibels.add((20.0 * (a / b).log10()).abs());
        }
        if let Some(values) = self.amplitudes.run.newest::<11>() {
            self.of_11.add(from_mean(values));
        }
    }

    fn shimmer(&self) -> Option<Shimmer> {
        let mean = self.amplitudes.values.mean()?;
        Some(Shimmer {
            local: narrow(self.amplitudes.of_2.mean()? / mean),
            local_db: narrow(self.decibels.mean()?),
            apq3: narrow(self.amplitudes.of_3.mean()? / mean),
            apq5: narrow(self.amplitudes.of_5.mean()? / mean),
            apq11: self.of_11.mean().map(|of_11| narrow(of_11 / mean)),
        })
    }
}

/// Means over runs of values, which are cut where a value is not valid or differs from its neighbour by more than a factor.
#[derive(Debug, Clone, Default)]
struct Sums {
    run: Run,
    /// The values of runs of two or more.
    values: Mean,
    /// Differences of two neighbours.
    of_2: Mean,
    /// Distances of a value from the mean of it and its two neighbours.
    of_3: Mean,
    /// The same with four neighbours.
    of_5: Mean,
}

impl Sums {
    fn push(&mut self, value: f64, valid: bool, factor: f64) {
        self.run.push(value, valid, factor);
        if let Some([a, b]) = self.run.newest() {
            if self.run.values.len() == 2 {
                self.values.add(*a);
            }
            self.values.add(*b);
            self.of_2.add((a - b).abs());
        }
        if let Some(values) = self.run.newest::<3>() {
            self.of_3.add(from_mean(values));
        }
        if let Some(values) = self.run.newest::<5>() {
            self.of_5.add(from_mean(values));
        }
    }
}

/// The newest values of a run, as many as any measure needs.
#[derive(Debug, Clone, Default)]
struct Run {
    values: Vec<f64>,
}

impl Run {
    const LONGEST: usize = 11;

    fn push(&mut self, value: f64, valid: bool, factor: f64) {
        let last = self.values.last();
        let follows = last.is_none_or(|last| value.max(*last) <= factor * value.min(*last));
        if !(valid && follows) {
            self.values.clear();
        }
        if self.values.len() == Self::LONGEST {
            self.values.remove(0);
        }
        if valid {
            self.values.push(value);
        }
    }

    /// The newest `N` values, oldest first; `None` if the run is shorter.
    fn newest<const N: usize>(&self) -> Option<&[f64; N]> {
        self.values.last_chunk()
    }
}

/// Distance of the middle value from the mean of all.
fn from_mean(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values[values.len() / 2] - mean).abs()
}

/// A mean of values that come one after another.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks whose periods alternate by ±`jitter` and amplitudes by ±`shimmer`.
    fn alternating(period: f64, jitter: f64, shimmer: f64, n: usize) -> Periods {
        let mut at = 0.0;
        let sign = |i: usize| if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let mut periods = Periods::default();
        for i in 0..n {
            periods.times_secs.push(at);
            periods.amplitudes.push(0.5 * (1.0 + sign(i) * shimmer));
            at += period * (1.0 + sign(i) * jitter);
        }
        periods
    }

    #[test]
    fn known_irregularity_is_measured() {
        let periods = alternating(0.008, 0.01, 0.05, 41);
        let j = jitter(&periods).unwrap();
        // Alternation by ±e: neighbours differ by 2e; means of 3, 5 and 11 are off by e/3, e/5, e/11.
        for (value, expected) in [
            (j.local, 0.02),
            (j.rap, 0.04 / 3.0),
            (j.ppq5, 0.008),
            (j.ddp, 0.04),
        ] {
            assert!((value - expected).abs() < 1e-4, "{j:?}");
        }
        let s = shimmer(&periods).unwrap();
        for (value, expected) in [
            (s.local, 0.1),
            (s.local_db, 20.0 * (1.05_f32 / 0.95).log10()),
            (s.apq3, 0.2 / 3.0),
            (s.apq5, 0.04),
            (s.apq11.unwrap(), 0.05 * 12.0 / 11.0),
        ] {
            assert!((value - expected).abs() < 1e-3, "{s:?}");
        }
        let even = alternating(0.005, 0.0, 0.0, 20);
        assert!(jitter(&even).unwrap().local < 1e-6);
        assert!(shimmer(&even).unwrap().local < 1e-6);
    }

    #[test]
    fn too_few_periods_give_none() {
        for n in 0..20 {
            let periods = alternating(0.008, 0.01, 0.05, n);
            assert_eq!(jitter(&periods).is_some(), n >= 6, "{n}");
            let shimmer = shimmer(&periods);
            assert_eq!(shimmer.is_some(), n >= 7, "{n}");
            assert_eq!(shimmer.and_then(|s| s.apq11).is_some(), n >= 13, "{n}");
        }
        // A second apart: no periods.
        assert!(jitter(&alternating(1.0, 0.0, 0.0, 30)).is_none());
        assert!(shimmer(&alternating(1.0, 0.0, 0.0, 30)).is_none());
    }

    /// Jitter and shimmer by their definitions: all runs first, then the means over them.
    fn defined(periods: &Periods) -> (Option<Jitter>, Option<Shimmer>) {
        fn runs(values: &[Option<f64>], factor: f64) -> Vec<Vec<f64>> {
            let follow = |a: &Option<f64>, b: &Option<f64>| matches!((a, b), (Some(a), Some(b)) if a.max(*b) <= factor * a.min(*b));
            let runs = values.chunk_by(follow);
            runs.map(|run| run.iter().copied().flatten().collect())
                .collect()
        }
        fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
            let values: Vec<f64> = values.collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        }
        fn over(runs: &[Vec<f64>], width: usize, measure: fn(&[f64]) -> f64) -> Option<f64> {
            mean(runs.iter().flat_map(|run| run.windows(width)).map(measure))
        }
        let level =
            |runs: &[Vec<f64>]| mean(runs.iter().filter(|r| r.len() > 1).flatten().copied());
        let step: fn(&[f64]) -> f64 = |pair| (pair[0] - pair[1]).abs();
        let times = &periods.times_secs;
        let intervals: Vec<f64> = times.windows(2).map(|t| t[1] - t[0]).collect();
        let valid: Vec<Option<f64>> = intervals
            .iter()
            .map(|p| is_period(*p).then_some(*p))
            .collect();
        let jitter = || {
            let runs = runs(&valid, 1.3);
            let (mean, rap) = (level(&runs)?, over(&runs, 3, from_mean)?);
            Some(Jitter {
                local: narrow(over(&runs, 2, step)? / mean),
                rap: narrow(rap / mean),
                ppq5: narrow(over(&runs, 5, from_mean)? / mean),
                ddp: narrow(3.0 * (rap / mean)),
            })
        };
        let linked = |i: usize| {
            let (left, right) = ((*valid.get(i.checked_sub(1)?)?)?, (*valid.get(i)?)?);
            let a = *periods.amplitudes.get(i)?;
            let fine = left.max(right) / left.min(right) <= 1.3 && a > 0.0 && a <= 1e9;
            fine.then_some(a)
        };
        let amplitudes: Vec<Option<f64>> = (0..times.len()).map(linked).collect();
        let shimmer = || {
            let runs = runs(&amplitudes, 1.6);
            let mean = level(&runs)?;
            let decibels: fn(&[f64]) -> f64 = |a| (20.0 * (a[0] / a[1]).log10()).abs();
            Some(Shimmer {
                local: narrow(over(&runs, 2, step)? / mean),
                local_db: narrow(over(&runs, 2, decibels)?),
                apq3: narrow(over(&runs, 3, from_mean)? / mean),
                apq5: narrow(over(&runs, 5, from_mean)? / mean),
                apq11: over(&runs, 11, from_mean).map(|of_11| narrow(of_11 / mean)),
            })
        };
        (jitter(), shimmer())
    }

    proptest::proptest! {
        #[test]
        fn what_has_come_has_the_measures_of_the_definition_at_any_time(
            stretches in proptest::collection::vec(
                (0.0..0.05_f64, proptest::collection::vec((0.006..0.008_f64, 0.4..0.7_f64), 0..16)),
                0..6,
            ),
            any in proptest::collection::vec((proptest::num::f64::ANY, proptest::num::f64::ANY), 0..9),
        ) {
            let mut marks = Vec::new();
            let mut at = 0.0;
            for (pause, stretch) in stretches {
                at += pause;
                for (interval, amplitude) in stretch {
                    at += interval;
                    marks.push((at, amplitude));
                }
            }
            marks.extend(any);
            let mut voice = Perturbation::default();
            let mut periods = Periods::default();
            for (time_secs, amplitude) in marks {
                voice.push(Mark { time_secs, amplitude });
                periods.times_secs.push(time_secs);
                periods.amplitudes.push(amplitude);
                let found = (voice.jitter(), voice.shimmer());
                proptest::prop_assert_eq!(&found, &defined(&periods));
                proptest::prop_assert_eq!(&found, &(jitter(&periods), shimmer(&periods)));
            }
        }

        #[test]
        fn finite_on_any_input(
            intervals in proptest::collection::vec(0.0_f64..0.03, 0..60),
            even in proptest::collection::vec(0.005_f64..0.006, 0..60),
            any in proptest::collection::vec(proptest::num::f64::ANY, 0..60),
            near in proptest::collection::vec(0.5_f64..1.0, 60..61),
        ) {
            let marks = |intervals: &[f64]| {
                let times = intervals.iter().scan(0.0, |at, interval| {
                    *at += interval;
                    Some(*at)
                });
                times.collect::<Vec<f64>>()
            };
            for times_secs in [marks(&intervals), marks(&even), any.clone()] {
                for amplitudes in [&near, &any] {
                    let amplitudes = amplitudes.clone();
                    let periods = Periods { times_secs: times_secs.clone(), amplitudes };
                    if let Some(j) = jitter(&periods) {
                        let all = [j.local, j.rap, j.ppq5, j.ddp];
                        proptest::prop_assert!(all.iter().all(|x| x.is_finite()), "{all:?}");
                    }
                    if let Some(s) = shimmer(&periods) {
                        let all = [s.local, s.local_db, s.apq3, s.apq5, s.apq11.unwrap_or(0.0)];
                        proptest::prop_assert!(all.iter().all(|x| x.is_finite()), "{all:?}");
                    }
                }
            }
        }
    }
}
