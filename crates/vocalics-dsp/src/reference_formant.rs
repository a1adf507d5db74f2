//! Formants as eGeMAPS's reference implementation gives them.
//!
//! They hardly follow the resonances of the sound; [`crate::formant`] has those. They are here because features under the published
//! names are compared with, and fed to models made for, the reference's. Everything below was found on its output for trains of single
//! impulses, by sampling rate and by place in the frame, which it repeats within a hertz or two (`docs/egemaps.md`).

use std::f64::consts::{PI, TAU};

use crate::error::DspError;
use crate::lpc::levinson;
use crate::windowed_power::WindowedPower;
use crate::{dot, floor_index, narrow};

/// The rate that frames are brought to, in hertz.
const RATE_HZ: f64 = 11_000.0;
/// Order of the linear prediction.
const ORDER: usize = 11;

/// One of the reference's formants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceFormant {
    /// Frequency in hertz.
    pub hz: f32,
    /// Bandwidth in hertz.
    pub bandwidth_hz: f32,
}

/// Plans the reference's formants for frames of one length.
///
/// A frame of `L` samples under a symmetric Hamming window lies in the middle of zeros up to the next power of two, `M`. Of its transform
/// `X`, the first `K = N / 2` bins make `N = ⌊L · 11000 / sample_rate⌋` samples at 11 kHz:
///
/// `y[i] = Re Σ X[k] · exp(2πi · k · i · sample_rate / (11000 · M))`, `k` from 0 to `K − 1`,
///
/// so that 0 Hz counts twice as much as it should, nothing above `K · sample_rate / M` is left (3.4 kHz of a signal at 16 kHz), and the frame
/// is late by the zeros before it, its end cut off. Linear prediction of order 11 by autocorrelation follows, `x[n] ≈ Σ a[k] · x[n − k]`;
/// formants are the zeros of `1 + Σ a[k] · z⁻ᵏ`, where the resonances would be those of `1 − Σ a[k] · z⁻ᵏ`.
///
/// # Shapes
/// Frames `[L]` to formants by rising frequency, at most five.
#[derive(Debug, Clone)]
pub struct ReferenceFormants {
    /// What turns a frame into `y`, window included, `[N, L]`.
    kernel: Vec<f32>,
    length: usize,
}

impl ReferenceFormants {
    /// Plans for frames of `length` samples at `sample_rate` hertz.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `length` is 2 to 2²⁴ and `sample_rate` above 0.
    pub fn new(length: usize, sample_rate: u32) -> Result<Self, DspError> {
        let plan = WindowedPower::hamming(length)?;
        if sample_rate == 0 {
            return Err(DspError::parameter("sample_rate", "above 0", 0.0));
        }
        let step = f64::from(sample_rate) / RATE_HZ;
        // The sum keeps a whole number whole.
        let n_samples = floor_index(length as f64 / step + 1e-9);
        let n_fft = plan.n_fft();
        let n_bins = (n_samples / 2).min(n_fft / 2 + 1);
        let before = (n_fft - length) / 2;
        let kernel = (0..n_samples)
            .flat_map(|i| plan.window().iter().enumerate().map(move |it| (i, it)))
            .map(|(i, (n, weight))| {
                let turn = (i as f64 * step - (n + before) as f64) / n_fft as f64;
                weight * narrow(cosines(n_bins, TAU * turn))
            })
            .collect();
        Ok(Self { kernel, length })
    }

    /// The formants of a frame `[L]`; none of a silent one, nor of one of another length.
    #[must_use]
    pub fn compute(&self, frame: &[f32]) -> Vec<ReferenceFormant> {
        if frame.len() != self.length {
            return Vec::new();
        }
        let rows = self.kernel.chunks_exact(self.length);
        let y: Vec<f64> = rows.map(|row| f64::from(dot(row, frame))).collect();
        let lags: Vec<f64> = (0..=ORDER)
            .map(|lag| {
                let later = y.get(lag..).unwrap_or_default();
                y.iter().zip(later).map(|(a, b)| a * b).sum()
            })
            .collect();
        let mut predictor = levinson(&lags);
        predictor.coefficients.iter_mut().for_each(|a| *a = -*a);
        let zeros = predictor.resonances().into_iter();
        zeros
            .map(|z| ReferenceFormant {
                hz: narrow(z.arg() * RATE_HZ / TAU),
                bandwidth_hz: narrow(-z.norm().ln() * RATE_HZ / PI),
            })
            .collect()
    }
}

/// `Σ cos(k · angle)`, `k` from 0 to `n − 1`.
fn cosines(n: usize, angle: f64) -> f64 {
    let half = (angle / 2.0).sin();
    if half.abs() < 1e-12 {
        return n as f64;
    }
    let n = n as f64;
    (n * angle / 2.0).sin() / half * ((n - 1.0) * angle / 2.0).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_rate, any_samples};

    /// A frame of 20 ms with an impulse at `place` and one 10 ms later.
    fn impulses(place: usize, sample_rate: u32) -> Vec<f32> {
        let period = (sample_rate / 100) as usize;
        let mut frame = vec![0.0; 2 * period];
        frame[place] = 0.5;
        frame[place + period] = 0.5;
        frame
    }

    /// F1, its bandwidth, F2, its, F3, its, as opensmile 2.6.0 gives them for trains of impulses every 10 ms, which are such frames.
    #[test]
    fn trains_of_impulses_have_the_formants_of_the_reference() {
        for (sample_rate, place, expected) in [
            (16_000, 1, [893.1, 1197.6, 1793.9, 1119.1, 2660.0, 956.1]),
            (16_000, 55, [495.0, 1274.0, 1436.0, 1274.0, 2354.0, 1171.0]),
            (16_000, 64, [693.0, 1109.0, 1796.0, 1195.0, 2844.0, 1063.0]),
            (16_000, 80, [846.4, 1380.3, 1762.1, 1261.8, 2637.4, 1080.3]),
            (12_000, 1, [535.6, 844.8, 1478.0, 909.9, 2427.2, 876.7]),
            (11_000, 1, [504.9, 776.3, 1448.0, 792.3, 2395.5, 748.9]),
            (48_000, 1, [535.1, 844.6, 1477.6, 907.8, 2427.6, 875.0]),
        ] {
            let frame = impulses(place, sample_rate);
            let plan = ReferenceFormants::new(frame.len(), sample_rate).unwrap();
            let formants = plan.compute(&frame);
            for (formant, expected) in formants.iter().zip(expected.chunks(2)) {
                let found = [formant.hz, formant.bandwidth_hz];
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found - expected).abs() < 5.0,
                        "{sample_rate} {place}: {formants:?}"
                    );
                }
            }
            assert!(formants.len() >= 3);
        }
    }

    #[test]
    fn a_sum_of_cosines_is_that_of_its_terms() {
        for n in [1_u32, 2, 110] {
            for angle in [0.0, 1e-13, 0.3, 2.0, TAU, -1.7] {
                let terms: f64 = (0..n).map(|k| (f64::from(k) * angle).cos()).sum();
                assert!((cosines(n as usize, angle) - terms).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn silence_and_other_lengths_have_none() {
        let plan = ReferenceFormants::new(320, 16_000).unwrap();
        assert!(plan.compute(&[0.0; 320]).is_empty());
        assert!(plan.compute(&[0.1; 319]).is_empty());
        assert!(ReferenceFormants::new(1, 16_000).is_err());
        assert!(ReferenceFormants::new(320, 0).is_err());
    }

    proptest::proptest! {
        #[test]
        fn formants_are_finite_and_in_order(samples in any_samples(2..700), rate in any_rate()) {
            let plan = ReferenceFormants::new(samples.len(), rate).unwrap();
            let formants = plan.compute(&samples);
            proptest::prop_assert!(formants.iter().all(|it| it.hz.is_finite() && it.bandwidth_hz.is_finite()));
            proptest::prop_assert!(formants.iter().all(|it| (0.0..=5_500.0).contains(&it.hz)));
            proptest::prop_assert!(formants.windows(2).all(|two| two[0].hz <= two[1].hz));
        }
    }
}
