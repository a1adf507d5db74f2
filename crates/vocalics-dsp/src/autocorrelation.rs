//! Short-term autocorrelation, divided by that of the window.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Autocorrelation of windowed frames, planned once.
///
/// `r(τ) = (r_xw(τ) / r_xw(0)) / (r_w(τ) / r_w(0))` for lags up to half a window, where `xw` is the
/// windowed frame without its mean and `w` the window. The division undoes the window's taper, so
/// that a periodic signal has peaks of height 1 at all multiples of its period.
///
/// Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
/// harmonics-to-noise ratio of a sampled sound", *IFA Proceedings* 17, 1993, equation 9.
pub(crate) struct Autocorrelation {
    window: Vec<f64>,
    window_r: Vec<f64>,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    time: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    forward_scratch: Vec<Complex<f64>>,
    inverse_scratch: Vec<Complex<f64>>,
    r: Vec<f64>,
}

impl fmt::Debug for Autocorrelation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Autocorrelation")
            .field("window", &self.window.len())
            .finish_non_exhaustive()
    }
}

impl Autocorrelation {
    /// Plans for frames of the window's length.
    pub(crate) fn new(window: Vec<f64>) -> Self {
        let n_lags = window.len() / 2 + 1;
        let n_fft = (window.len() + n_lags).max(2).next_power_of_two();
        let mut planner = RealFftPlanner::<f64>::new();
        let forward = planner.plan_fft_forward(n_fft);
        let inverse = planner.plan_fft_inverse(n_fft);
        let mut plan = Self {
            window_r: Vec::new(),
            time: forward.make_input_vec(),
            spectrum: forward.make_output_vec(),
            forward_scratch: forward.make_scratch_vec(),
            inverse_scratch: inverse.make_scratch_vec(),
            forward,
            inverse,
            r: vec![0.0; n_lags],
            window,
        };
        plan.time[..plan.window.len()].copy_from_slice(&plan.window);
        plan.correlate();
        let zero = plan.time[0];
        plan.window_r = plan.time[..n_lags].iter().map(|r| r / zero).collect();
        plan
    }

    /// Normalised autocorrelation `[n_window / 2 + 1]` of a frame after `mean` is taken off;
    /// 1 at lag 0, or 0 everywhere when the frame is constant.
    pub(crate) fn compute(&mut self, frame: impl Iterator<Item = f64>, mean: f64) -> &[f64] {
        self.time.fill(0.0);
        for ((y, x), w) in self.time.iter_mut().zip(frame).zip(&self.window) {
            *y = (x - mean) * w;
        }
        self.correlate();
        let zero = self.time[0];
        if zero > 0.0 {
            for ((r, x), w) in self.r.iter_mut().zip(&self.time).zip(&self.window_r) {
                *r = x / (zero * w);
            }
        } else {
            self.r.fill(0.0);
        }
        &self.r
    }

    fn correlate(&mut self) {
        let done = self.forward.process_with_scratch(
            &mut self.time,
            &mut self.spectrum,
            &mut self.forward_scratch,
        );
        debug_assert!(done.is_ok(), "buffers come from the plan");
        for x in &mut self.spectrum {
            *x = Complex::new(x.norm_sqr(), 0.0);
        }
        let done = self.inverse.process_with_scratch(
            &mut self.spectrum,
            &mut self.time,
            &mut self.inverse_scratch,
        );
        debug_assert!(done.is_ok(), "buffers come from the plan");
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
