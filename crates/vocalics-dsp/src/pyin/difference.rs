//! The difference function of YIN: how far a frame is from itself, some lag later.

use crate::correlator::Correlator;

/// Share of the frame's power below which a difference is rounding, not sound: −120 dB.
const ROUNDING: f64 = 1e-12;

/// Difference functions of frames of one length, planned once.
///
/// `d(τ) = 1/(N − τ) · Σ_j (x[j] − x[j+τ])²` over all pairs of samples in the frame, and its
/// cumulative mean normalised form `d'(τ) = d(τ) · τ / Σ_{1≤j≤τ} d(j)`, `d'(0) = 1`. All pairs, instead
/// of the paper's first `W`, keep the comparison in the frame's middle at every lag; their mean,
/// instead of the sum, keeps long lags from looking better than they are.
///
/// The square is taken apart into powers, which are running sums, and the autocorrelation, which is
/// two transforms. The frame's mean, which changes no difference, is taken off before, so that
/// nothing large cancels. Where the mean of `d` up to a lag is rounding alone, `d'` is 1.
///
/// Source: A. de Cheveigné, H. Kawahara, "YIN, a fundamental frequency estimator for speech and
/// music", *JASA* 111(4), 2002, equations 6 and 8.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    frame_length: usize,
    correlator: Correlator,
    /// `−d` `[n_lags]`: its peaks are the troughs of `d`.
    pub(crate) likeness: Vec<f64>,
    /// `d'` `[n_lags]`.
    pub(crate) normalised: Vec<f64>,
}

impl Difference {
    /// Plans for frames of `frame_length` samples and lags from 0 to below `n_lags`, which must not
    /// exceed it.
    pub(crate) fn new(frame_length: usize, n_lags: usize) -> Self {
        let n_fft = fast_length(frame_length + n_lags);
        Self {
            frame_length,
            correlator: Correlator::new(n_fft),
            likeness: vec![0.0; n_lags],
            normalised: vec![1.0; n_lags],
        }
    }

    /// Both functions of a frame `[frame_length]`, into `likeness` and `normalised`.
    pub(crate) fn compute(&mut self, frame: &[f32]) {
        debug_assert_eq!(frame.len(), self.frame_length, "planned for this length");
        let n = frame.len();
        let mean = frame.iter().map(|x| f64::from(*x)).sum::<f64>() / n.max(1) as f64;
        let (own, padding) = self.correlator.time.split_at_mut(n);
        let mut power = 0.0;
        for (y, x) in own.iter_mut().zip(frame) {
            *y = f64::from(*x) - mean;
            power += *y * *y;
        }
        padding.fill(0.0);
        // Powers of the two ends are gathered before the transform overwrites the samples.
        let mut both = 2.0 * power;
        for (lag, likeness) in self.likeness.iter_mut().enumerate() {
            *likeness = both;
            both -= self.correlator.time[lag].powi(2) + self.correlator.time[n - 1 - lag].powi(2);
        }
        self.correlator.correlate();
        let scale = 2.0 / self.correlator.time.len() as f64;
        let floor = ROUNDING * power / n.max(1) as f64;
        let mut sum = 0.0;
        for (lag, (likeness, r)) in self
            .likeness
            .iter_mut()
            .zip(&self.correlator.time)
            .enumerate()
        {
            let d = ((*likeness - scale * r) / (n - lag) as f64).max(0.0);
            if lag == 0 {
                *likeness = 0.0;
                continue;
            }
            *likeness = -d;
            sum += d;
            let mean = sum / lag as f64;
            self.normalised[lag] = if mean > floor { d / mean } else { 1.0 };
        }
    }
}

/// A length of at least `n` whose transform is fast: 5, 6 or 8 times a power of two.
fn fast_length(n: usize) -> usize {
    let power = n.max(16).next_power_of_two();
    let lengths = [power / 8 * 5, power / 8 * 6];
    lengths.into_iter().find(|x| *x >= n).unwrap_or(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        for (n, n_lags) in [(40, 40), (101, 37), (64, 1)] {
            let frame: Vec<f32> = (0..n)
                .map(|i| (i as f32 * 0.71).sin() + (i as f32 * 0.13).cos() + 3.0)
                .collect();
            let mut plan = Difference::new(n, n_lags);
            plan.compute(&frame);
            let d = |lag: usize| {
                let pairs = frame.iter().zip(&frame[lag..]);
                let sum: f64 = pairs
                    .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                    .sum();
                sum / (n - lag) as f64
            };
            for lag in 0..n_lags {
                assert!((plan.likeness[lag] + d(lag)).abs() < 1e-12, "{n} {lag}");
                let mean = (1..=lag).map(d).sum::<f64>() / lag as f64;
                let expected = if lag == 0 { 1.0 } else { d(lag) / mean };
                assert!(
                    (plan.normalised[lag] - expected).abs() < 1e-10,
                    "{n} {lag}: {} {expected}",
                    plan.normalised[lag]
                );
            }
        }
    }

    #[test]
    fn rounding_is_not_taken_for_sound() {
        let mut plan = Difference::new(400, 100);
        for level in [0.0, 0.7, -1e9] {
            plan.compute(&[level; 400]);
            assert!(plan.normalised.iter().all(|d| (d - 1.0).abs() < 1e-12));
        }
        // Loud at both ends only: the differences at short lags are true all the same.
        let mut frame = vec![0.0; 400];
        frame[399] = 1.0;
        plan.compute(&frame);
        assert!((plan.likeness[1] + 1.0 / 399.0).abs() < 1e-12);
    }

    #[test]
    fn transforms_are_long_enough_and_even() {
        for n in 1..3000 {
            let length = fast_length(n);
            assert!(length >= n && length.is_multiple_of(2) && length <= 2 * n.max(16));
        }
    }
}
