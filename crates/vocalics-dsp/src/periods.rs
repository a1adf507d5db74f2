//! Single glottal periods: where each begins, and how large it is.

use crate::error::DspError;
use crate::frame::check_rate;
use crate::interpolate::parabola;
use crate::pitch::PitchTrack;
use crate::{check_samples, floor_index};

/// Marks, one per glottal period.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Periods {
    /// Times of the marks in seconds, rising `[n_marks]`.
    pub times_secs: Vec<f64>,
    /// Amplitude around each mark, full scale 1 `[n_marks]`.
    pub amplitudes: Vec<f64>,
}

/// Correlation below which a mark is not kept; Praat manual.
const KEEP: f64 = 0.3;
/// Correlation above which one mark beyond the edge of a voiced stretch is kept; Praat manual.
const KEEP_BEYOND: f64 = 0.7;

/// Marks the periods of voiced stretches by waveform matching.
///
/// In each voiced stretch of the f0 track the first mark is the largest extremum within half a period
/// of the middle. From there on, to the left and to the right, the next mark lies 0.8 to 1.2 periods
/// away, where the period around it correlates best with the one around the mark before (parabolic
/// interpolation); marks whose correlation is below 0.3 are dropped, and one mark beyond the stretch is
/// kept if its correlation exceeds 0.7.
///
/// The amplitude of a mark is `√(Σ (w·x)² / Σ w²)` with a Hann window `w` from a fifth of the shorter
/// neighbouring period before it to as much after. Silence and unvoiced sound have no mark. Marks go out from
/// the middle of a voiced stretch, so the whole clip is needed; there is no streaming form.
///
/// # Errors
/// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz; [`DspError::NonFinite`] or
/// [`DspError::OutOfRange`] on a bad sample.
///
/// Source: Praat manual, *Sound & Pitch: To PointProcess (cc)*. Reference: that command on the pitch of
/// `To Pitch (ac)`; agreement in `docs/voice.md`.
pub fn periods(samples: &[f32], sample_rate: u32, pitch: &PitchTrack) -> Result<Periods, DspError> {
    let rate = check_rate(sample_rate)?;
    check_samples(samples)?;
    let matcher = Matcher { samples, rate };
    let mut times: Vec<f64> = Vec::new();
    for (start, end) in voiced_stretches(pitch) {
        let middle = 0.5 * (start + end);
        let Some(f0) = pitch.at(middle) else { continue };
        let Some(first) = matcher.extremum(middle - 0.5 / f0, middle + 0.5 / f0) else {
            continue;
        };
        let mut stretch = vec![first];
        for direction in [-1.0, 1.0] {
            let mut at = first;
            while let Some(f0) = pitch.at(at) {
                let Some((next, correlation)) = matcher.next(at, direction / f0) else {
                    break;
                };
                let beyond = next < start || next > end;
                if correlation > if beyond { KEEP_BEYOND } else { KEEP } {
                    stretch.push(next);
                }
                if beyond {
                    break;
                }
                at = next;
            }
        }
        stretch.sort_by(f64::total_cmp);
        let last = times.last().copied();
        // A mark beyond one stretch may meet the first of the next.
        times.extend(
            stretch
                .iter()
                .filter(|t| last.is_none_or(|last| **t > last + 0.8 / f0)),
        );
    }
    let amplitudes = (0..times.len())
        .map(|i| {
            let left = i.checked_sub(1).map(|j| times[i] - times[j]);
            let right = times.get(i + 1).map(|t| t - times[i]);
            let period = match (left, right) {
                (Some(a), Some(b)) => a.min(b),
                (Some(a), None) | (None, Some(a)) => a,
                (None, None) => 0.01,
            };
            matcher.amplitude(times[i], period.min(0.02))
        })
        .collect();
    Ok(Periods {
        times_secs: times,
        amplitudes,
    })
}

/// Begin and end, in seconds, of the stretches without an unvoiced frame.
fn voiced_stretches(pitch: &PitchTrack) -> Vec<(f64, f64)> {
    let times = &pitch.times_secs;
    let half = match times.as_slice() {
        [first, second, ..] => 0.5 * (second - first),
        _ => 0.005,
    };
    let mut stretches = Vec::new();
    let mut begin = None;
    for (time, f0) in times.iter().zip(&pitch.f0_hz) {
        match (begin, *f0 > 0.0) {
            (None, true) => begin = Some(time - half),
            (Some(start), false) => {
                stretches.push((start, time - half));
                begin = None;
            }
            _ => {}
        }
    }
    if let (Some(start), Some(last)) = (begin, times.last()) {
        stretches.push((start, last + half));
    }
    stretches
}

struct Matcher<'a> {
    samples: &'a [f32],
    rate: f64,
}

impl Matcher<'_> {
    fn index(&self, secs: f64) -> usize {
        floor_index((secs * self.rate).max(0.0))
    }

    /// Time of the sample of largest magnitude between two times; `None` if all are 0.
    fn extremum(&self, from: f64, to: f64) -> Option<f64> {
        let end = self.index(to).min(self.samples.len());
        let begin = self.index(from).min(end);
        let part = &self.samples[begin..end];
        let at = (0..part.len())
            .max_by(|a, b| part[*a].abs().total_cmp(&part[*b].abs()))
            .filter(|at| part[*at].abs() > 0.0)?;
        Some(((begin + at) as f64 + 0.5) / self.rate)
    }

    /// The mark about one signed `period` from `at` whose surroundings match best, and how well.
    fn next(&self, at: f64, period: f64) -> Option<(f64, f64)> {
        let length = floor_index(period.abs() * self.rate);
        let here = self.index(at).checked_sub(length / 2)?;
        let reference = self.samples.get(here..here + length)?;
        let near = floor_index(0.8 * period.abs() * self.rate).max(1);
        let far = floor_index(1.2 * period.abs() * self.rate) + 1;
        let start = |lag: usize| {
            if period < 0.0 {
                here.checked_sub(lag)
            } else {
                Some(here + lag)
            }
        };
        let energy: f64 = reference.iter().map(|x| f64::from(*x).powi(2)).sum();
        let correlations: Vec<f64> = (near - 1..=far + 1)
            .map(|lag| {
                let other = start(lag).and_then(|s| self.samples.get(s..s + length));
                other.map_or(f64::NEG_INFINITY, |other| {
                    let (mut cross, mut own) = (0.0, 0.0);
                    for (x, y) in reference.iter().zip(other) {
                        cross += f64::from(*x) * f64::from(*y);
                        own += f64::from(*y).powi(2);
                    }
                    if own > 0.0 && energy > 0.0 {
                        cross / (own * energy).sqrt()
                    } else {
                        0.0
                    }
                })
            })
            .collect();
        let best = (1..correlations.len() - 1)
            .max_by(|a, b| correlations[*a].total_cmp(&correlations[*b]))?;
        let height = correlations[best];
        if !height.is_finite() {
            return None;
        }
        let (left, right) = (correlations[best - 1], correlations[best + 1]);
        let (offset, peak) = if left.is_finite() && right.is_finite() {
            parabola(left, height, right)
        } else {
            (0.0, height)
        };
        let lag = ((near - 1 + best) as f64 + offset.clamp(-0.5, 0.5)) / self.rate;
        Some((at + lag.copysign(period), peak))
    }

    /// Root of the mean square of the Hann-windowed sound from `0.2 · period` before a mark to as much after.
    fn amplitude(&self, at: f64, period: f64) -> f64 {
        let centre = at * self.rate - 0.5;
        let reach = 0.2 * period * self.rate;
        let begin = floor_index((centre - reach).max(0.0));
        let end = (floor_index((centre + reach).max(0.0)) + 1).min(self.samples.len());
        let (mut sum, mut weight) = (0.0, 0.0);
        for (i, x) in self.samples[begin.min(end)..end].iter().enumerate() {
            let x = f64::from(*x);
            let phase = ((begin + i) as f64 - centre) / reach;
            let w = 0.5 + 0.5 * (std::f64::consts::PI * phase.clamp(-1.0, 1.0)).cos();
            sum += (w * x).powi(2);
            weight += w * w;
        }
        if weight > 0.0 {
            (sum / weight).sqrt()
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow;
    use crate::pitch::{PitchConfig, pitch};
    use crate::test_signal::{any_rate, any_samples};

    #[test]
    fn every_period_of_a_pulse_train_is_marked_once() {
        for rate in [8_000, 16_000, 48_000] {
            let fs = f64::from(rate);
            let mut samples = vec![0.0_f32; floor_index(0.6 * fs)];
            for k in 0..70 {
                let at = 0.01 + f64::from(k) * 0.008;
                for (n, x) in samples.iter_mut().enumerate() {
                    let t = n as f64 / fs - at;
                    *x += narrow((-(t / 0.0006).powi(2)).exp());
                }
            }
            let track = pitch(&samples, rate, &PitchConfig::default()).unwrap();
            let marks = periods(&samples, rate, &track).unwrap();
            assert!(
                (65..=71).contains(&marks.times_secs.len()),
                "{}",
                marks.times_secs.len()
            );
            for pair in marks.times_secs.windows(2) {
                assert!((pair[1] - pair[0] - 0.008).abs() < 2e-5, "{rate}: {pair:?}");
            }
        }
    }

    #[test]
    fn odd_input_has_no_mark() {
        let silent = PitchTrack::default();
        assert!(periods(&[], 16_000, &silent).unwrap().times_secs.is_empty());
        // A track that does not belong to the samples.
        let alien = PitchTrack {
            times_secs: vec![0.1, 0.11, 0.12],
            f0_hz: vec![100.0; 3],
            strength: vec![1.0; 3],
        };
        for samples in [vec![], vec![0.0; 10_000]] {
            assert_eq!(
                periods(&samples, 16_000, &alien).unwrap(),
                Periods::default()
            );
        }
        let marks = periods(&[1.0; 1700], 16_000, &alien).unwrap();
        assert_eq!(marks.times_secs.len(), marks.amplitudes.len());
        assert!(marks.times_secs.is_sorted());
        assert!(
            marks
                .times_secs
                .iter()
                .all(|secs| (0.0..1700.0 / 16_000.0).contains(secs))
        );
        assert!(marks.amplitudes.iter().all(|a| (a - 1.0).abs() < 1e-6));
        assert!(periods(&[f32::NAN], 16_000, &silent).is_err());
        assert!(periods(&[0.0], 0, &silent).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn finite_on_any_input(
            samples in any_samples(0..2000),
            rate in any_rate(),
            usual in proptest::collection::vec(50.0_f32..600.0, 0..20),
            any in proptest::collection::vec(proptest::num::f32::ANY, 0..20),
            step_secs in 0.001..0.1,
        ) {
            for f0_hz in [usual, any] {
                let times_secs = (0..f0_hz.len()).map(|i| i as f64 * step_secs).collect();
                let track = PitchTrack { times_secs, strength: vec![1.0; f0_hz.len()], f0_hz };
                let marks = periods(&samples, rate, &track).unwrap();
                proptest::prop_assert_eq!(marks.times_secs.len(), marks.amplitudes.len());
                proptest::prop_assert!(marks.times_secs.is_sorted());
                proptest::prop_assert!(marks.times_secs.iter().all(|secs| secs.is_finite()));
                let fine = |a: &f64| a.is_finite() && *a >= 0.0;
                proptest::prop_assert!(marks.amplitudes.iter().all(fine), "{:?}", marks.amplitudes);
            }
        }
    }
}
