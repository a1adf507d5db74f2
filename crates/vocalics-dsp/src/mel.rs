//! Mel scales and the triangular filterbank.

use serde::{Deserialize, Serialize};

use crate::error::DspError;
use crate::frame::{check_length, check_rate};
use crate::narrow;

/// Checks a number of mel bands.
pub(crate) fn check_n_mels(n_mels: usize) -> Result<(), DspError> {
    if (1..=16_384).contains(&n_mels) {
        return Ok(());
    }
    Err(DspError::parameter("n_mels", "1 to 16384", n_mels))
}

/// Checks the edges of a bank of filters, in hertz.
pub(crate) fn check_edges(rate: f64, fmin: f32, fmax: f32) -> Result<(f64, f64), DspError> {
    let (low, high) = (f64::from(fmin), f64::from(fmax));
    if !(low >= 0.0 && low < high) {
        let expected = format!("0 to below fmax ({fmax})");
        return Err(DspError::parameter("fmin", expected, fmin));
    }
    if high > rate / 2.0 {
        let expected = format!("at most {} Hz", rate / 2.0);
        return Err(DspError::parameter("fmax", expected, fmax));
    }
    Ok((low, high))
}

/// Which formula relates hertz and mels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above (M. Slaney, *Auditory Toolbox*; librosa's default).
    #[default]
    Slaney,
    /// `2595 · log10(1 + f / 700)` (*The HTK Book*).
    Htk,
}

/// How a triangle is scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelNorm {
    /// Unit area: each triangle is divided by half its width in hertz (`norm="slaney"`).
    #[default]
    Slaney,
    /// Unit peak (`norm=None`).
    None,
}

const SLANEY_HZ_PER_MEL: f64 = 200.0 / 3.0;
const SLANEY_BREAK_HZ: f64 = 1000.0;
const SLANEY_BREAK_MEL: f64 = 15.0;

fn slaney_log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

impl MelScale {
    /// Converts a frequency in hertz to mels.
    ///
    /// HTK: `m = 2595 · log10(1 + f / 700)`. Slaney: `m = 3f / 200` below 1 kHz, then
    /// `15 + 27 · ln(f / 1000) / ln(6.4)`.
    ///
    /// Source: S. Young et al., *The HTK Book*, filterbank analysis; M. Slaney, *Auditory Toolbox*
    /// (1998). Reference: `librosa.hz_to_mel`, within 1e-9 relative.
    #[must_use]
    pub fn hz_to_mel(self, hz: f64) -> f64 {
        match self {
            Self::Htk => 2595.0 * (1.0 + hz / 700.0).log10(),
            Self::Slaney if hz < SLANEY_BREAK_HZ => hz / SLANEY_HZ_PER_MEL,
            Self::Slaney => SLANEY_BREAK_MEL + (hz / SLANEY_BREAK_HZ).ln() / slaney_log_step(),
        }
    }

    /// Converts mels to a frequency in hertz; the inverse of [`hz_to_mel`](Self::hz_to_mel).
    ///
    /// Reference: `librosa.mel_to_hz`, within 1e-9 relative.
    #[must_use]
    pub fn mel_to_hz(self, mel: f64) -> f64 {
        match self {
            Self::Htk => 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0),
            Self::Slaney if mel < SLANEY_BREAK_MEL => mel * SLANEY_HZ_PER_MEL,
            Self::Slaney => SLANEY_BREAK_HZ * ((mel - SLANEY_BREAK_MEL) * slaney_log_step()).exp(),
        }
    }
}

#[derive(Debug, Clone)]
struct Band {
    first_bin: usize,
    weights: Vec<f32>,
}

/// Triangular mel filters, stored as their non-zero weights alone.
///
/// # Shapes
/// Maps power spectra `[n_bins]` to bands `[n_mels]`.
///
/// Reference: `librosa.filters.mel`, within 1e-6 of each band's peak.
#[derive(Debug, Clone)]
pub struct MelFilterbank {
    bands: Vec<Band>,
    n_bins: usize,
    edges_hz: Vec<f64>,
}

impl MelFilterbank {
    /// Builds `n_mels` triangles, equally spaced in mels from `fmin` to `fmax` hertz.
    ///
    /// A band too narrow to hold an FFT bin stays empty and always gives 0; see
    /// [`first_empty_band`](Self::first_empty_band).
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz, `n_fft` 2 to 2²⁴, `n_mels` 1 to
    /// 16384 and `0 ≤ fmin < fmax ≤ sample_rate / 2`.
    pub fn new(
        sample_rate: u32,
        n_fft: usize,
        n_mels: usize,
        fmin: f32,
        fmax: f32,
        scale: MelScale,
        norm: MelNorm,
    ) -> Result<Self, DspError> {
        let rate = check_rate(sample_rate)?;
        check_length("n_fft", n_fft, 2)?;
        check_n_mels(n_mels)?;
        let (low, high) = check_edges(rate, fmin, fmax)?;
        let (first, last) = (scale.hz_to_mel(low), scale.hz_to_mel(high));
        let step = (last - first) / (n_mels + 1) as f64;
        let edges_hz: Vec<f64> = (0..n_mels + 2)
            .map(|i| scale.mel_to_hz(first + step * i as f64))
            .collect();
        let n_bins = n_fft / 2 + 1;
        let bands = edges_hz
            .windows(3)
            .map(|edges| triangle(edges, norm, n_bins, rate / n_fft as f64))
            .collect();
        Ok(Self {
            bands,
            n_bins,
            edges_hz,
        })
    }

    /// Number of bands.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// Number of frequency bins a spectrum must have.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.n_bins
    }

    /// Centre frequency of each band in hertz `[n_mels]`.
    #[must_use]
    pub fn centers_hz(&self) -> Vec<f32> {
        self.edges_hz[1..=self.bands.len()]
            .iter()
            .map(|hz| narrow(*hz))
            .collect()
    }

    /// The first band that holds no FFT bin, if any: too many bands for this transform length.
    #[must_use]
    pub fn first_empty_band(&self) -> Option<usize> {
        self.bands.iter().position(|band| band.weights.is_empty())
    }

    /// First bin and weights of a band.
    #[must_use]
    pub fn band(&self, index: usize) -> Option<(usize, &[f32])> {
        self.bands
            .get(index)
            .map(|band| (band.first_bin, band.weights.as_slice()))
    }

    /// Band powers `[n_mels]` of one power spectrum `[n_bins]`.
    ///
    /// # Panics
    /// If the lengths are not [`n_bins`](Self::n_bins) and [`n_mels`](Self::n_mels).
    pub fn apply(&self, power: &[f32], bands: &mut [f32]) {
        let (power, _) = power.as_chunks::<1>();
        let (bands, _) = bands.as_chunks_mut::<1>();
        self.apply_lanes(power, bands);
    }

    /// Band powers of `L` power spectra side by side: `[n_bins][L]` to `[n_mels][L]`.
    ///
    /// Each lane holds the same bits as [`apply`](Self::apply) on that spectrum alone.
    ///
    /// # Panics
    /// If the lengths are not [`n_bins`](Self::n_bins) and [`n_mels`](Self::n_mels).
    pub fn apply_lanes<const L: usize>(&self, power: &[[f32; L]], bands: &mut [[f32; L]]) {
        assert_eq!(power.len(), self.n_bins, "power must hold n_bins values");
        assert_eq!(
            bands.len(),
            self.bands.len(),
            "bands must hold n_mels values"
        );
        for (out, band) in bands.iter_mut().zip(&self.bands) {
            let mut sum = [0.0; L];
            for (p, &w) in power[band.first_bin..].iter().zip(&band.weights) {
                for lane in 0..L {
                    sum[lane] += w * p[lane];
                }
            }
            *out = sum;
        }
    }
}

/// Weights of the triangle over three edges in hertz, with bins `bin_hz` apart.
fn triangle(edges: &[f64], norm: MelNorm, n_bins: usize, bin_hz: f64) -> Band {
    let (left, peak, right) = (edges[0], edges[1], edges[2]);
    let gain = match norm {
        MelNorm::Slaney => 2.0 / (right - left),
        MelNorm::None => 1.0,
    };
    let mut band = Band {
        first_bin: 0,
        weights: Vec::new(),
    };
    for bin in 0..n_bins {
        let hz = bin as f64 * bin_hz;
        let height = ((hz - left) / (peak - left)).min((right - hz) / (right - peak));
        if height > 0.0 {
            if band.weights.is_empty() {
                band.first_bin = bin;
            }
            band.weights.push(narrow(height * gain));
        } else if !band.weights.is_empty() {
            break;
        }
    }
    band
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_match_published_values() {
        // librosa.hz_to_mel(f, htk=...)
        for (scale, hz, mel) in [
            (MelScale::Htk, 1000.0, 999.985_5),
            (MelScale::Htk, 0.0, 0.0),
            (MelScale::Slaney, 60.0, 0.9),
            (MelScale::Slaney, 1000.0, 15.0),
            (MelScale::Slaney, 6400.0, 42.0),
        ] {
            assert!((scale.hz_to_mel(hz) - mel).abs() < 1e-3, "{scale:?} {hz}");
            assert!((scale.mel_to_hz(scale.hz_to_mel(hz)) - hz).abs() < 1e-9 * hz.max(1.0));
        }
    }

    #[test]
    fn a_tone_lands_in_the_band_around_it() {
        let mel = MelFilterbank::new(
            16_000,
            1024,
            64,
            50.0,
            8_000.0,
            MelScale::Slaney,
            MelNorm::Slaney,
        )
        .unwrap();
        assert_eq!(mel.first_empty_band(), None);
        let mut bands = vec![0.0; 64];
        for bin in [8, 40, 200, 400] {
            let mut power = vec![0.0; 513];
            power[bin] = 1.0;
            mel.apply(&power, &mut bands);
            let best = (0..64)
                .max_by(|a, b| bands[*a].total_cmp(&bands[*b]))
                .unwrap();
            let hz = bin as f32 * 15.625;
            let centers = mel.centers_hz();
            let spacing = centers[(best + 1).min(63)] - centers[best.max(1) - 1];
            assert!((centers[best] - hz).abs() < spacing, "bin {bin}");
        }
    }

    #[test]
    fn sparse_rows_equal_the_dense_product() {
        let mel =
            MelFilterbank::new(8_000, 255, 20, 0.0, 4_000.0, MelScale::Htk, MelNorm::None).unwrap();
        let power: Vec<f32> = (0..128).map(|k| ((k * 37 % 101) as f32).sqrt()).collect();
        let mut bands = vec![0.0; 20];
        mel.apply(&power, &mut bands);
        for (m, value) in bands.iter().enumerate() {
            let edges = &mel.edges_hz[m..m + 3];
            let dense: f64 = power
                .iter()
                .enumerate()
                .map(|(k, p)| {
                    let hz = k as f64 * 8_000.0 / 255.0;
                    let up = (hz - edges[0]) / (edges[1] - edges[0]);
                    let down = (edges[2] - hz) / (edges[2] - edges[1]);
                    up.min(down).max(0.0) * f64::from(*p)
                })
                .sum();
            assert!(
                (f64::from(*value) - dense).abs() < 1e-5 * dense.max(1.0),
                "band {m}"
            );
        }
    }

    #[test]
    fn bands_without_a_bin_are_reported() {
        let mel = MelFilterbank::new(
            16_000,
            256,
            128,
            0.0,
            8_000.0,
            MelScale::Slaney,
            MelNorm::Slaney,
        )
        .unwrap();
        assert!(mel.first_empty_band().is_some());
    }

    #[test]
    fn senseless_parameters_are_refused() {
        let make = |rate, n_fft, n_mels, fmin, fmax| {
            MelFilterbank::new(
                rate,
                n_fft,
                n_mels,
                fmin,
                fmax,
                MelScale::Htk,
                MelNorm::None,
            )
        };
        assert!(make(0, 512, 40, 0.0, 100.0).is_err());
        assert!(make(16_000, 1, 40, 0.0, 100.0).is_err());
        assert!(make(16_000, 512, 0, 0.0, 100.0).is_err());
        assert!(make(u32::MAX, 512, 40, 0.0, 100.0).is_err());
        assert!(make(16_000, usize::MAX, 40, 0.0, 100.0).is_err());
        assert!(make(16_000, 512, usize::MAX, 0.0, 100.0).is_err());
        assert!(make(16_000, 512, 40, 200.0, 100.0).is_err());
        assert!(make(16_000, 512, 40, f32::NAN, 100.0).is_err());
        assert!(make(16_000, 512, 40, -1.0, 100.0).is_err());
        assert!(make(16_000, 512, 40, 0.0, f32::NAN).is_err());
        assert!(make(16_000, 512, 40, 0.0, 8_001.0).is_err());
    }
}
