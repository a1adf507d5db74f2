//! Irregularity from period to period: jitter and shimmer.
//!
//! Both are means over all marks of a clip; there is no streaming form.

use crate::periods::Periods;
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
    let intervals: Vec<f64> = periods.times_secs.windows(2).map(|t| t[1] - t[0]).collect();
    let valid = |p: f64| (MIN_PERIOD_SECS..=MAX_PERIOD_SECS).contains(&p);
    let runs = runs(&intervals, valid, MAX_PERIOD_FACTOR);
    let mean = mean(
        runs.iter()
            .filter(|run| run.len() > 1)
            .flat_map(|run| run.iter().copied()),
    )?;
    let local = quotient(&runs, 2, mean, difference)?;
    let rap = quotient(&runs, 3, mean, from_mean)?;
    let ppq5 = quotient(&runs, 5, mean, from_mean)?;
    Some(Jitter {
        local: narrow(local),
        rap: narrow(rap),
        ppq5: narrow(ppq5),
        ddp: narrow(3.0 * rap),
    })
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
    let times = &periods.times_secs;
    let linked: Vec<bool> = (0..times.len())
        .map(|i| {
            let interval = |i: usize| Some(times.get(i + 1)? - times.get(i)?);
            let fine =
                |p: Option<f64>| p.is_none_or(|p| (MIN_PERIOD_SECS..=MAX_PERIOD_SECS).contains(&p));
            let (left, right) = (i.checked_sub(1).and_then(interval), interval(i));
            let even = match (left, right) {
                (Some(a), Some(b)) => a.max(b) / a.min(b) <= MAX_PERIOD_FACTOR,
                _ => false,
            };
            fine(left) && fine(right) && even
        })
        .collect();
    let amplitudes: Vec<f64> = periods
        .amplitudes
        .iter()
        .zip(&linked)
        .map(|(a, linked)| if *linked { *a } else { 0.0 })
        .collect();
    let valid = |a| a > 0.0 && a <= f64::from(MAX_SAMPLE);
    let runs = runs(&amplitudes, valid, MAX_AMPLITUDE_FACTOR);
    let mean = mean(
        runs.iter()
            .filter(|run| run.len() > 1)
            .flat_map(|run| run.iter().copied()),
    )?;
    let decibels = |a: &[f64]| (20.0 * (a[0] / a[1]).log10()).abs();
    Some(Shimmer {
        local: narrow(quotient(&runs, 2, mean, difference)?),
        local_db: narrow(quotient(&runs, 2, 1.0, decibels)?),
        apq3: narrow(quotient(&runs, 3, mean, from_mean)?),
        apq5: narrow(quotient(&runs, 5, mean, from_mean)?),
        apq11: quotient(&runs, 11, mean, from_mean).map(narrow),
    })
}

/// Cuts a sequence where a value is not valid or differs from its neighbour by more than a factor.
fn runs(values: &[f64], valid: impl Fn(f64) -> bool, factor: f64) -> Vec<Vec<f64>> {
    let mut runs: Vec<Vec<f64>> = Vec::new();
    let mut run: Vec<f64> = Vec::new();
    for &value in values {
        let follows = run
            .last()
            .is_none_or(|last| value.max(*last) <= factor * value.min(*last));
        if !(valid(value) && follows) {
            runs.push(std::mem::take(&mut run));
        }
        if valid(value) {
            run.push(value);
        }
    }
    runs.push(run);
    runs
}

/// Mean of a measure over all stretches of `width` neighbours, over `scale`.
fn quotient(
    runs: &[Vec<f64>],
    width: usize,
    scale: f64,
    measure: impl Fn(&[f64]) -> f64,
) -> Option<f64> {
    Some(mean(runs.iter().flat_map(|run| run.windows(width)).map(measure))? / scale)
}

fn difference(pair: &[f64]) -> f64 {
    (pair[0] - pair[1]).abs()
}

/// Distance of the middle value from the mean of all.
fn from_mean(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values[values.len() / 2] - mean).abs()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0_u32);
    for value in values {
        sum += value;
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
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

    proptest::proptest! {
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
