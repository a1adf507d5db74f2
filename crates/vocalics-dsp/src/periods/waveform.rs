//! How the waveform repeats from one mark to the next.

use crate::floor_index;
use crate::interpolate::parabola;

/// The part of a signal that is at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waveform<'a> {
    pub(super) samples: &'a [f32],
    /// Number of the first of them in the signal.
    pub(super) first: usize,
    pub(super) rate: f64,
}

impl Waveform<'_> {
    /// Number of the sample at a time.
    fn index(&self, secs: f64) -> usize {
        floor_index((secs * self.rate).max(0.0))
    }

    /// Samples number `begin` to below `end`, as far as they are at hand, and the number of the first.
    fn between(&self, begin: usize, end: usize) -> (&[f32], usize) {
        let end = end.saturating_sub(self.first).min(self.samples.len());
        let begin = begin.saturating_sub(self.first).min(end);
        (&self.samples[begin..end], self.first + begin)
    }

    /// `length` samples from number `begin` on; `None` unless all are at hand.
    fn part(&self, begin: usize, length: usize) -> Option<&[f32]> {
        let begin = begin.checked_sub(self.first)?;
        self.samples.get(begin..begin.checked_add(length)?)
    }

    /// Time of the sample of largest magnitude between two times; `None` if all are 0.
    pub(super) fn extremum(&self, from: f64, to: f64) -> Option<f64> {
        let (part, begin) = self.between(self.index(from), self.index(to));
        let at = (0..part.len())
            .max_by(|a, b| part[*a].abs().total_cmp(&part[*b].abs()))
            .filter(|at| part[*at].abs() > 0.0)?;
        Some(((begin + at) as f64 + 0.5) / self.rate)
    }

    /// The mark about one signed `period` from `at` whose surroundings match best, and how well.
    pub(super) fn next(&self, at: f64, period: f64) -> Option<(f64, f64)> {
        let length = floor_index(period.abs() * self.rate);
        let here = self.index(at).checked_sub(length / 2)?;
        let reference = self.part(here, length)?;
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
                let other = start(lag).and_then(|begin| self.part(begin, length));
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
    pub(super) fn amplitude(&self, at: f64, period: f64) -> f64 {
        let centre = at * self.rate - 0.5;
        let reach = 0.2 * period * self.rate;
        let begin = floor_index((centre - reach).max(0.0));
        let end = floor_index((centre + reach).max(0.0)) + 1;
        let (part, begin) = self.between(begin, end);
        let (mut sum, mut weight) = (0.0, 0.0);
        for (i, x) in part.iter().enumerate() {
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
