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
    window_r: Vec<f64>,
    correlator: Correlator,
    r: Vec<f64>,
}

impl Autocorrelation {
    /// Plans for frames of the window's length.
    pub(crate) fn new(window: Vec<f64>) -> Self {
        let n_lags = window.len() / 2 + 1;
        let n_fft = (window.len() + n_lags).max(2).next_power_of_two();
        let mut plan = Self {
            window_r: Vec::new(),
            correlator: Correlator::new(n_fft),
            r: vec![0.0; n_lags],
            window,
        };
        plan.correlator.time[..plan.window.len()].copy_from_slice(&plan.window);
        plan.correlator.correlate();
        let zero = plan.correlator.time[0];
        plan.window_r = plan.correlator.time[..n_lags]
            .iter()
            .map(|r| r / zero)
            .collect();
        plan
    }

    /// Normalised autocorrelation `[n_window / 2 + 1]` of a frame after `mean` is taken off;
    /// 1 at lag 0, or 0 everywhere when the frame is constant.
    pub(crate) fn compute(&mut self, frame: impl Iterator<Item = f64>, mean: f64) -> &[f64] {
        self.correlator.time.fill(0.0);
        for ((y, x), w) in self.correlator.time.iter_mut().zip(frame).zip(&self.window) {
            *y = (x - mean) * w;
        }
        self.correlator.correlate();
        let zero = self.correlator.time[0];
        if zero > 0.0 {
            for ((r, x), w) in self
                .r
                .iter_mut()
                .zip(&self.correlator.time)
                .zip(&self.window_r)
            {
                *r = x / (zero * w);
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
        let x: Vec<f64> = (0..50).map(|n| (f64::from(n) * 0.7).sin() + 0.1).collect();
        let mean = x.iter().sum::<f64>() / 50.0;
        let mut plan = Autocorrelation::new(window.clone());
        let r = plan.compute(x.iter().copied(), mean).to_vec();
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
    fn silence_has_no_correlation() {
        let mut plan = Autocorrelation::new(open_hann(64));
        assert!(
            plan.compute([0.0; 64].into_iter(), 0.0)
                .iter()
                .all(|r| r.abs() < 1e-12)
        );
    }
}
