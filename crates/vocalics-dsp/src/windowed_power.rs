//! Power spectra of single frames under a symmetric window.

use std::fmt;

use crate::error::DspError;
use crate::frame::check_length;
use crate::narrow;
use crate::real_power::RealPower;

/// Power spectra of frames one at a time, planned once.
///
/// The window is symmetric, as measures defined on single frames have it; the [`Stft`](crate::stft::Stft)
/// has the periodic one. A frame is followed by zeros up to the next power of two.
///
/// # Shapes
/// Frames `[length]` to powers `[n_bins]`, `n_bins = n_fft / 2 + 1`; bin `k` lies at `k · sample_rate / n_fft`.
#[derive(Clone)]
pub struct WindowedPower {
    window: Vec<f32>,
    transform: RealPower,
    n_fft: usize,
    input: Vec<f32>,
}

impl fmt::Debug for WindowedPower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WindowedPower")
            .field("length", &self.window.len())
            .field("n_fft", &self.n_fft)
            .finish_non_exhaustive()
    }
}

impl WindowedPower {
    /// Plans for frames of `length` samples under a Hamming window, `0.54 − 0.46·cos(2πn / (length − 1))`.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `length` is 2 to 2²⁴.
    pub fn hamming(length: usize) -> Result<Self, DspError> {
        Self::new(length, |x| {
            0.54 - 0.46 * (std::f64::consts::PI * (x + 1.0)).cos()
        })
    }

    /// Plans for frames of `length` samples under a Gaussian window, `exp(−½·(x / sigma)²)` with `x` from −1
    /// to 1.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `length` is 2 to 2²⁴ and `sigma` positive and finite.
    pub fn gaussian(length: usize, sigma: f64) -> Result<Self, DspError> {
        if !(sigma > 0.0 && sigma.is_finite()) {
            return Err(DspError::parameter("sigma", "above 0", sigma));
        }
        Self::new(length, |x| (-0.5 * (x / sigma).powi(2)).exp())
    }

    /// The window is `shape` from −1 to 1.
    fn new(length: usize, shape: impl Fn(f64) -> f64) -> Result<Self, DspError> {
        check_length("length", length, 2)?;
        let n_fft = length.next_power_of_two();
        let transform = RealPower::new(n_fft)
            .ok_or_else(|| DspError::parameter("length", "at least 2", length))?;
        let last = (length - 1) as f64;
        Ok(Self {
            window: (0..length)
                .map(|n| narrow(shape(2.0 * n as f64 / last - 1.0)))
                .collect(),
            transform,
            n_fft,
            input: vec![0.0; n_fft],
        })
    }

    /// Number of bins, `n_fft / 2 + 1`.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    /// Length of the transform.
    #[must_use]
    pub fn n_fft(&self) -> usize {
        self.n_fft
    }

    /// The window `[length]`.
    #[must_use]
    pub fn window(&self) -> &[f32] {
        &self.window
    }

    /// The frame last given to [`compute`](Self::compute), windowed `[length]`.
    #[must_use]
    pub fn windowed(&self) -> &[f32] {
        &self.input[..self.window.len()]
    }

    /// `|X[k]|²` of a frame into `power` `[n_bins]`; a shorter frame is followed by zeros.
    ///
    /// # Panics
    /// If `power` does not hold [`n_bins`](Self::n_bins) values.
    pub fn compute(&mut self, frame: &[f32], power: &mut [f32]) {
        assert_eq!(power.len(), self.n_bins(), "power must hold n_bins values");
        self.input.fill(0.0);
        for ((y, x), w) in self.input.iter_mut().zip(frame).zip(&self.window) {
            *y = x * w;
        }
        self.transform.compute(&self.input, power);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition() {
        let frame: Vec<f32> = (0..50).map(|n| (n as f32 * 0.37).sin() + 0.2).collect();
        for mut plan in [
            WindowedPower::hamming(50).unwrap(),
            WindowedPower::gaussian(50, 0.4).unwrap(),
        ] {
            assert_eq!((plan.n_fft(), plan.n_bins()), (64, 33));
            let mut power = vec![0.0; 33];
            plan.compute(&frame, &mut power);
            for (k, found) in power.iter().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, (x, w)) in frame.iter().zip(plan.window()).enumerate() {
                    let phase = std::f64::consts::TAU * (k * n) as f64 / 64.0;
                    re += f64::from(x * w) * phase.cos();
                    im += f64::from(x * w) * phase.sin();
                }
                assert!((f64::from(*found) - re * re - im * im).abs() < 1e-3);
            }
            let window = plan.window();
            assert!((window[3] - window[46]).abs() < 1e-6);
            assert!((plan.windowed()[7] - frame[7] * window[7]).abs() < 1e-7);
        }
        assert!((WindowedPower::hamming(50).unwrap().window()[0] - 0.08).abs() < 1e-6);
    }

    #[test]
    fn senseless_parameters_are_refused() {
        assert!(WindowedPower::hamming(1).is_err());
        assert!(WindowedPower::gaussian(usize::MAX, 0.4).is_err());
        assert!(WindowedPower::gaussian(50, 0.0).is_err());
        assert!(WindowedPower::gaussian(50, f64::NAN).is_err());
    }
}
