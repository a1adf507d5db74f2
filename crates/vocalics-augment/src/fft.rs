//! Fourier transforms and convolution. Plans are kept per thread: they hold twiddle factors and change no result.

use std::cell::RefCell;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

/// Shortest block of a convolution.
const MIN_BLOCK: usize = 4_096;

thread_local! {
    static PLANNER: RefCell<RealFftPlanner<f32>> = RefCell::new(RealFftPlanner::new());
}

/// A forward and an inverse transform of one length, with their buffers.
pub(crate) struct Transform {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl Transform {
    pub(crate) fn new(n_fft: usize) -> Self {
        let (forward, inverse) = PLANNER.with_borrow_mut(|planner| {
            (
                planner.plan_fft_forward(n_fft),
                planner.plan_fft_inverse(n_fft),
            )
        });
        let n_scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            forward,
            inverse,
            scratch: vec![Complex::default(); n_scratch],
        }
    }

    /// Values of a spectrum.
    pub(crate) fn n_bins(&self) -> usize {
        self.forward.len() / 2 + 1
    }

    pub(crate) fn zero_spectrum(&self) -> Vec<Complex<f32>> {
        vec![Complex::default(); self.n_bins()]
    }

    /// Spectrum of `frame`, which is destroyed.
    pub(crate) fn forward(&mut self, frame: &mut [f32], spectrum: &mut [Complex<f32>]) {
        // Lengths are right by construction.
        let done = self
            .forward
            .process_with_scratch(frame, spectrum, &mut self.scratch);
        debug_assert!(done.is_ok());
    }

    /// Frame of `spectrum`, which is destroyed; divided by the length, so that it undoes
    /// [`forward`](Self::forward).
    pub(crate) fn inverse(&mut self, spectrum: &mut [Complex<f32>], frame: &mut [f32]) {
        // The transform refuses imaginary parts where a real signal has none.
        spectrum[0].im = 0.0;
        if frame.len().is_multiple_of(2) {
            spectrum[frame.len() / 2].im = 0.0;
        }
        let done = self
            .inverse
            .process_with_scratch(spectrum, frame, &mut self.scratch);
        debug_assert!(done.is_ok());
        let scale = 1.0 / frame.len() as f32;
        frame.iter_mut().for_each(|x| *x *= scale);
    }
}

/// `y[n] = Σ h[k] · x[n + origin − k]`, `[n_samples]` as `x`: convolution by overlap-add, with tap `origin` of `h` at time 0.
///
/// `h` of no taps gives zeros.
pub(crate) fn convolve(samples: &[f32], taps: &[f32], origin: usize) -> Vec<f32> {
    let n = samples.len();
    if taps.is_empty() || n == 0 {
        return vec![0.0; n];
    }
    // About half of each transform is signal; short clips are done at once.
    let whole = (n + taps.len() - 1).next_power_of_two();
    let n_fft = (2 * taps.len())
        .next_power_of_two()
        .max(MIN_BLOCK)
        .min(whole.max(2));
    let step = n_fft - taps.len() + 1;
    let mut transform = Transform::new(n_fft);
    let mut frame = vec![0.0; n_fft];
    let mut response = transform.zero_spectrum();
    frame[..taps.len()].copy_from_slice(taps);
    transform.forward(&mut frame, &mut response);
    let mut spectrum = transform.zero_spectrum();
    let mut out = vec![0.0; n];
    for (index, block) in samples.chunks(step).enumerate() {
        frame[..block.len()].copy_from_slice(block);
        frame[block.len()..].fill(0.0);
        transform.forward(&mut frame, &mut spectrum);
        for (x, h) in spectrum.iter_mut().zip(&response) {
            *x *= h;
        }
        transform.inverse(&mut spectrum, &mut frame);
        // The block's result begins here on the output's axis, perhaps before it.
        let start = index * step;
        let skip = origin.saturating_sub(start);
        let at = start.saturating_sub(origin);
        let tail = frame.get(skip..).unwrap_or_default();
        let target = out.get_mut(at..).unwrap_or_default();
        for (y, x) in target.iter_mut().zip(tail) {
            *y += x;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_the_sum_by_definition(
            samples in vec(-1.0_f32..1.0, 1..9_000),
            taps in vec(-1.0_f32..1.0, 1..300),
            origin in 0_usize..300,
        ) {
            let fast = convolve(&samples, &taps, origin);
            prop_assert_eq!(fast.len(), samples.len());
            for n in (0..samples.len()).step_by(97) {
                let slow: f64 = (0..taps.len())
                    .filter_map(|k| {
                        let x = samples.get((n + origin).checked_sub(k)?)?;
                        Some(f64::from(taps[k]) * f64::from(*x))
                    })
                    .sum();
                prop_assert!((f64::from(fast[n]) - slow).abs() < 1e-4, "{} {}", fast[n], slow);
            }
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(convolve(&[], &[1.0], 0).is_empty());
        assert_eq!(convolve(&[1.0, 2.0], &[], 0), [0.0, 0.0]);
        assert_eq!(convolve(&[1.0], &[2.0], 0), [2.0]);
        assert_eq!(convolve(&[1.0], &[2.0], 5), [0.0]);
    }
}
