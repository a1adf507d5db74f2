//! Short-term autocorrelation, divided by that of the window.

use crate::correlator::Correlator;

/// Autocorrelation of windowed frames, planned once.
///
/// `r(τ) = (r_xw(τ) / r_xw(0)) / (r_w(τ) / r_w(0))` for lags up to half a window, where `xw` is the
/// windowed frame without its mean and `w` the window. The division undoes the window's taper, so
/// that a periodic signal has peaks of height 1 at all multiples of its period.
///
/// Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
/// harmonics-to-noise ratio of a sampled sound", *IFA Proceedings* 17, 1993, equation 9.
#[derive(Debug)]
pub(crate) struct Autocorrelation {
    window: Vec<f64>,
    /// `r_w(0) / r_w(τ)`.
    over_window_r: Vec<f64>,
    correlator: Correlator,
    r: Vec<f64>,
}

impl Autocorrelation {
    /// Plans for frames of the window's length.
    pub(crate) fn new(window: Vec<f64>) -> Self {
        let n_lags = window.len() / 2 + 1;
        let n_fft = (window.len() + n_lags).max(2).next_power_of_two();
        let mut plan = Self {
            over_window_r: Vec::new(),
            correlator: Correlator::new(n_fft),
            r: vec![0.0; n_lags],
            window,
        };
        plan.correlator.time[..plan.window.len()].copy_from_slice(&plan.window);
        plan.correlator.correlate();
        let zero = plan.correlator.time[0];
        plan.over_window_r = plan.correlator.time[..n_lags]
            .iter()
            .map(|r| zero / r)
            .collect();
        plan
    }

    /// Normalised autocorrelation `[n_window / 2 + 1]` of a frame after `mean` is taken off;
    /// 1 at lag 0, or 0 everywhere when the frame is constant.
    ///
    /// The frame is `frame` behind `before` values of `mean`, and as many after it as are missing.
    pub(crate) fn compute(&mut self, before: usize, frame: &[f32], mean: f64) -> &[f64] {
        let time = &mut self.correlator.time;
        let before = before.min(self.window.len());
        let (outside, inside) = time.split_at_mut(before);
        outside.fill(0.0);
        let window = &self.window[before..];
        let n = window.len().min(frame.len());
        let (inside, rest) = inside.split_at_mut(n);
        for ((y, x), w) in inside.iter_mut().zip(frame).zip(window) {
            *y = (f64::from(*x) - mean) * w;
        }
        rest.fill(0.0);
        self.correlator.correlate();
        let zero = self.correlator.time[0];
        if zero > 0.0 {
            let over_zero = 1.0 / zero;
            for ((r, x), over_window) in self
                .r
                .iter_mut()
                .zip(&self.correlator.time)
                .zip(&self.over_window_r)
            {
                *r = x * over_zero * over_window;
            }
        } else {
            self.r.fill(0.0);
        }
        &self.r
    }
}

/// Hann window of `length` points without its two zeros.
pub(crate) fn open_hann(length: usize) -> Vec<f64> {
    (1..=length)
        .map(|n| 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / (length + 1) as f64).cos())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        let window = open_hann(50);
        let frame: Vec<f32> = (0..50_u8)
            .map(|n| (f32::from(n) * 0.7).sin() + 0.1)
            .collect();
        let x: Vec<f64> = frame.iter().map(|x| f64::from(*x)).collect();
        let mean = x.iter().sum::<f64>() / 50.0;
        let mut plan = Autocorrelation::new(window.clone());
        let r = plan.compute(0, &frame, mean).to_vec();
        let xw: Vec<f64> = x.iter().zip(&window).map(|(x, w)| (x - mean) * w).collect();
        let at = |v: &[f64], lag: usize| -> f64 {
            (0..50 - lag).map(|n| v[n] * v[n + lag]).sum::<f64>()
        };
        assert_eq!(r.len(), 26);
        for (lag, r) in r.iter().enumerate() {
            let expected = at(&xw, lag) / at(&xw, 0) / (at(&window, lag) / at(&window, 0));
            assert!((r - expected).abs() < 1e-9, "lag {lag}");
        }
    }

    #[test]
    fn what_is_not_there_is_the_mean() {
        let mut plan = Autocorrelation::new(open_hann(20));
        let part = [0.5, -0.25, 0.75, 0.125, -0.5];
        let whole = [[0.25; 6].as_slice(), &part, &[0.25; 9]].concat();
        let expected = plan.compute(0, &whole, 0.25).to_vec();
        assert_eq!(plan.compute(6, &part, 0.25), expected);
        // More than a window.
        assert_eq!(plan.compute(30, &part, 0.25), [0.0; 11]);
    }

    #[test]
    fn silence_has_no_correlation() {
        let mut plan = Autocorrelation::new(open_hann(64));
        assert!(
            plan.compute(0, &[0.0; 64], 0.0)
                .iter()
                .all(|r| r.abs() < 1e-12)
        );
    }
}
