//! The power spectrum of a real frame by a complex transform of half its length.

use std::f64::consts::TAU;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlanner};

/// Bins computed side by side.
const BLOCK: usize = 8;

/// A planned power spectrum of frames of an even length.
///
/// Even samples become real parts and odd ones imaginary parts; the transform `Z` of that sequence
/// holds the spectra `E` of the even and `O` of the odd samples, and `X[k] = E[k] + W^k O[k]`. Only
/// powers are computed, for bins `k` and `n / 2 − k` at once, in a loop without branches.
///
/// Source: W. H. Press et al., *Numerical Recipes*, 3rd ed., section 12.3 ("FFT of single real
/// function").
#[derive(Clone)]
pub(crate) struct RealPower {
    fft: Arc<dyn Fft<f32>>,
    packed: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    /// `exp(−2πi k / n)` for `k` from 1.
    twiddles: Vec<Complex<f32>>,
}

impl RealPower {
    /// A plan for frames of `n_fft` samples; `None` for an odd number.
    pub(crate) fn new(n_fft: usize) -> Option<Self> {
        if !n_fft.is_multiple_of(2) {
            return None;
        }
        let half = n_fft / 2;
        let fft = FftPlanner::new().plan_fft_forward(half);
        let twiddle = |k: usize| {
            let angle = -TAU * k as f64 / n_fft as f64;
            Complex::new(crate::narrow(angle.cos()), crate::narrow(angle.sin()))
        };
        Some(Self {
            packed: vec![Complex::default(); half],
            scratch: vec![Complex::default(); fft.get_inplace_scratch_len()],
            twiddles: (1..half.div_ceil(2)).map(twiddle).collect(),
            fft,
        })
    }

    /// `|X[k]|²` of `frame` `[n_fft]` into `power` `[n_fft / 2 + 1]`.
    pub(crate) fn compute(&mut self, frame: &[f32], power: &mut [f32]) {
        let (pairs, _) = frame.as_chunks::<2>();
        for (z, &[even, odd]) in self.packed.iter_mut().zip(pairs) {
            *z = Complex::new(even, odd);
        }
        self.fft
            .process_with_scratch(&mut self.packed, &mut self.scratch);
        let half = self.packed.len();
        let first = self.packed[0];
        power[0] = (first.re + first.im).powi(2);
        power[half] = (first.re - first.im).powi(2);
        if half.is_multiple_of(2) {
            power[half / 2] = self.packed[half / 2].norm_sqr();
        }
        // Pairs of bins: low ones ascending, high ones mirrored. Whole blocks first, then the rest.
        let count = self.twiddles.len();
        let whole = count - count % BLOCK;
        let (low, high) = power[1..half].split_at_mut(half - 1 - count);
        let (low, low_rest) = low[..count].split_at_mut(whole);
        let (high_rest, high) = high.split_at_mut(count - whole);
        let (z, z_rest) = self.packed[1..=count].split_at(whole);
        let (mirrored_rest, mirrored) = self.packed[half - count..].split_at(count - whole);
        let (w, w_rest) = self.twiddles.split_at(whole);
        combine::<BLOCK>(z, mirrored, w, low, high);
        combine::<1>(z_rest, mirrored_rest, w_rest, low_rest, high_rest);
    }
}

/// Powers of bins from `z`, and of their mirror images from `mirrored`, `N` at a time. All slices
/// have one length, a multiple of `N`; bin `i` of `low` belongs to bin `length − 1 − i` of `high`.
fn combine<const N: usize>(
    z: &[Complex<f32>],
    mirrored: &[Complex<f32>],
    twiddles: &[Complex<f32>],
    low: &mut [f32],
    high: &mut [f32],
) {
    let (z, mirrored) = (z.as_chunks::<N>().0, mirrored.as_chunks::<N>().0);
    let (low, high) = (low.as_chunks_mut::<N>().0, high.as_chunks_mut::<N>().0);
    let inputs = z.iter().zip(mirrored.iter().rev());
    let inputs = inputs.zip(twiddles.as_chunks::<N>().0);
    for ((low, high), ((a, b), w)) in low.iter_mut().zip(high.iter_mut().rev()).zip(inputs) {
        // Real and imaginary parts apart, so that the loop vectorises.
        let (a_re, a_im) = (a.map(|a| a.re), a.map(|a| a.im));
        let (mut b_re, mut b_im) = (b.map(|b| b.re), b.map(|b| b.im));
        b_re.reverse();
        b_im.reverse();
        let (w_re, w_im) = (w.map(|w| w.re), w.map(|w| w.im));
        for i in 0..N {
            // Twice E and twice O; the factor leaves with the quarter, which is exact.
            let (e_re, e_im) = (a_re[i] + b_re[i], a_im[i] - b_im[i]);
            let (o_re, o_im) = (a_im[i] + b_im[i], b_re[i] - a_re[i]);
            let t_re = w_re[i] * o_re - w_im[i] * o_im;
            let t_im = w_re[i] * o_im + w_im[i] * o_re;
            let (sum_re, sum_im) = (e_re + t_re, e_im + t_im);
            let (less_re, less_im) = (e_re - t_re, e_im - t_im);
            low[i] = 0.25 * (sum_re * sum_re + sum_im * sum_im);
            high[i] = 0.25 * (less_re * less_re + less_im * less_im);
        }
        high.reverse();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_the_definition_for_every_even_length() {
        for n in (2usize..=40).step_by(2).chain([400, 1024]) {
            let frame: Vec<f32> = (0..n)
                .map(|i| ((i * i) as f32 * 0.37).sin() + 0.3 * (i as f32 * 1.1).cos())
                .collect();
            let mut power = vec![f32::NAN; n / 2 + 1];
            RealPower::new(n).unwrap().compute(&frame, &mut power);
            for (k, &actual) in power.iter().enumerate() {
                let (mut re, mut im) = (0.0, 0.0);
                for (i, &x) in frame.iter().enumerate() {
                    let angle = TAU * (k * i % n) as f64 / n as f64;
                    re += f64::from(x) * angle.cos();
                    im -= f64::from(x) * angle.sin();
                }
                let expected = re * re + im * im;
                let error = (f64::from(actual) - expected).abs();
                let most = n as f64 * n as f64;
                assert!(error < 1e-6 * most, "n {n}, bin {k}: {actual}, {expected}");
            }
        }
    }

    #[test]
    fn odd_lengths_have_no_plan() {
        assert!(RealPower::new(401).is_none());
    }
}
