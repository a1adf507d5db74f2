//! From log bands to cepstral coefficients.

use serde::{Deserialize, Serialize};

use crate::error::DspError;
use crate::mel::check_n_mels;
use crate::narrow;

/// Whose definition of the coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CepstralConvention {
    /// Slaney mel scale, unit-area triangles on the power spectrum, decibels, orthonormal DCT-II.
    #[default]
    Librosa,
    /// HTK mel scale, unit-peak triangles on the magnitude spectrum, natural logarithm, DCT scaled by
    /// `√(2 / n_mels)` for every coefficient, the 0th included.
    Htk,
}

/// The discrete cosine transform from log bands to cepstral coefficients, lifter folded in.
///
/// `c[k] = s[k] · l[k] · Σ_j x[j] · cos(π k (j + ½) / n_mels)` with `s = √(2/n_mels)`, for librosa
/// `√(1/n_mels)` at `k = 0`. The lifter `l` is `1 + L/2 · sin(π k / L)` for HTK and
/// `1 + L/2 · sin(π (k + 1) / L)` for librosa; `L = 0` leaves it out.
///
/// # Shapes
/// Log bands `[n_mels]` to coefficients `[n_mfcc]`.
///
/// Source: S. Young et al., *The HTK Book*, sections 5.6 and 5.3; S. Davis, P. Mermelstein, *IEEE
/// Trans. ASSP* 28(4), 1980.
#[derive(Debug, Clone)]
pub struct Cepstrum {
    basis: Vec<f32>,
    n_mels: usize,
}

impl Cepstrum {
    /// Computes the basis.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `n_mels` is 1 to 16384, `1 ≤ n_mfcc ≤ n_mels` and `lifter` is finite
    /// and not negative.
    pub fn new(
        n_mels: usize,
        n_mfcc: usize,
        lifter: f32,
        convention: CepstralConvention,
    ) -> Result<Self, DspError> {
        check_coefficients(n_mels, n_mfcc, lifter)?;
        let (bands, lifter) = (n_mels as f64, f64::from(lifter));
        let mut basis = Vec::with_capacity(n_mfcc * n_mels);
        for k in 0..n_mfcc {
            let (scale, position) = match convention {
                CepstralConvention::Librosa if k == 0 => ((1.0 / bands).sqrt(), 1),
                CepstralConvention::Librosa => ((2.0 / bands).sqrt(), k + 1),
                CepstralConvention::Htk => ((2.0 / bands).sqrt(), k),
            };
            let lift = if lifter > 0.0 {
                1.0 + lifter / 2.0 * (std::f64::consts::PI * position as f64 / lifter).sin()
            } else {
                1.0
            };
            basis.extend((0..n_mels).map(|j| {
                let phase = std::f64::consts::PI * k as f64 * (j as f64 + 0.5) / bands;
                narrow(scale * lift * phase.cos())
            }));
        }
        Ok(Self { basis, n_mels })
    }

    /// Number of coefficients.
    #[must_use]
    pub fn n_mfcc(&self) -> usize {
        self.basis.len() / self.n_mels
    }

    /// The transform as a matrix, lifter included: row `k` holds the weights of the log bands in
    /// coefficient `k`. In librosa's convention and without a lifter the rows are orthonormal.
    ///
    /// # Shapes
    /// `[n_mfcc, n_mels]`, row-major.
    ///
    /// Reference: `scipy.fft.dct(numpy.eye(n_mels), norm="ortho").T[:n_mfcc]` for
    /// [`CepstralConvention::Librosa`], to single precision.
    #[must_use]
    pub fn basis(&self) -> &[f32] {
        &self.basis
    }

    /// Coefficients `[n_mfcc]` of one row of log bands `[n_mels]`.
    ///
    /// # Panics
    /// If the lengths are not `n_mels` and [`n_mfcc`](Self::n_mfcc).
    pub fn apply(&self, log_bands: &[f32], coefficients: &mut [f32]) {
        assert_eq!(log_bands.len(), self.n_mels, "log_bands must hold n_mels");
        assert_eq!(
            coefficients.len(),
            self.n_mfcc(),
            "coefficients must hold n_mfcc values"
        );
        for (c, row) in coefficients
            .iter_mut()
            .zip(self.basis.chunks_exact(self.n_mels))
        {
            // Eight independent sums, so that it vectorises.
            let (row, row_rest) = row.as_chunks::<8>();
            let (x, x_rest) = log_bands.as_chunks::<8>();
            let mut sums = [0.0_f32; 8];
            for (row, x) in row.iter().zip(x) {
                for lane in 0..8 {
                    sums[lane] += row[lane] * x[lane];
                }
            }
            let rest: f32 = row_rest.iter().zip(x_rest).map(|(a, b)| a * b).sum();
            *c = sums.iter().sum::<f32>() + rest;
        }
    }
}

/// Checks the shape of a transform.
pub(crate) fn check_coefficients(
    n_mels: usize,
    n_mfcc: usize,
    lifter: f32,
) -> Result<(), DspError> {
    check_n_mels(n_mels)?;
    if !(1..=n_mels).contains(&n_mfcc) {
        let expected = format!("1 to n_mels ({n_mels})");
        return Err(DspError::parameter("n_mfcc", expected, n_mfcc));
    }
    if !(lifter.is_finite() && lifter >= 0.0) {
        let expected = "a finite number, 0 or more";
        return Err(DspError::parameter("lifter", expected, lifter));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cosine_over_the_bands_is_one_coefficient() {
        for (convention, first) in [
            (CepstralConvention::Librosa, 6.0),
            (CepstralConvention::Htk, 6.0 * std::f32::consts::SQRT_2),
        ] {
            let cepstrum = Cepstrum::new(36, 13, 0.0, convention).unwrap();
            let mut out = vec![0.0; 13];
            for k in 1..13_u8 {
                let bands: Vec<f32> = (0..36_u8)
                    .map(|j| {
                        (std::f32::consts::PI * f32::from(k) * (f32::from(j) + 0.5) / 36.0).cos()
                    })
                    .collect();
                cepstrum.apply(&bands, &mut out);
                for (i, c) in out.iter().enumerate() {
                    let expected = if i == usize::from(k) {
                        (36.0_f32 / 2.0).sqrt()
                    } else {
                        0.0
                    };
                    assert!((c - expected).abs() < 1e-4, "{k} {i} {c}");
                }
            }
            cepstrum.apply(&[1.0; 36], &mut out);
            assert!((out[0] - first).abs() < 1e-4);
        }
    }

    /// `scipy.fft.dct([1, 2, 4, 8], norm="ortho")`.
    #[test]
    fn the_basis_is_the_orthonormal_dct() {
        let basis = |n_mels, n_mfcc| {
            let convention = CepstralConvention::Librosa;
            let cepstrum = Cepstrum::new(n_mels, n_mfcc, 0.0, convention).unwrap();
            cepstrum.basis().to_vec()
        };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let rows = basis(4, 4);
        let want = [7.5, -5.114_166_5, 1.5, -0.587_623_4];
        for (row, want) in rows.chunks(4).zip(want) {
            let got = dot(row, &[1.0, 2.0, 4.0, 8.0]);
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        let rows = basis(64, 40);
        assert_eq!(rows.len(), 40 * 64);
        for (i, a) in rows.chunks(64).enumerate() {
            for (j, b) in rows.chunks(64).enumerate() {
                let want = f32::from(u8::from(i == j));
                assert!((dot(a, b) - want).abs() < 1e-5, "{i} {j}");
            }
        }
    }

    #[test]
    fn the_lifter_scales_as_published() {
        let plain = Cepstrum::new(26, 13, 0.0, CepstralConvention::Htk).unwrap();
        let lifted = Cepstrum::new(26, 13, 22.0, CepstralConvention::Htk).unwrap();
        let bands: Vec<f32> = (0..26).map(|j| ((j * j) % 7) as f32).collect();
        let (mut a, mut b) = (vec![0.0; 13], vec![0.0; 13]);
        plain.apply(&bands, &mut a);
        lifted.apply(&bands, &mut b);
        for (k, (a, b)) in a.iter().zip(&b).enumerate() {
            let lift = 1.0 + 11.0 * (std::f32::consts::PI * k as f32 / 22.0).sin();
            assert!((a * lift - b).abs() < 1e-3, "{k}");
        }
    }
}
