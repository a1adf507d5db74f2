//! Spectral descriptors of short frames.

use vocalics_dsp::balance::{hammarberg_index_db, spectral_flux};
use vocalics_dsp::cepstrum::{CepstralConvention, Cepstrum};
use vocalics_dsp::logarithm::ln;
use vocalics_dsp::loudness::AuditoryBands;
use vocalics_dsp::narrow;
use vocalics_dsp::windowed_power::WindowedPower;

use super::{SHORT_SECS, STEP_SECS, frame_samples};
use crate::error::FeatureError;

/// Bands of the auditory and cepstral spectrum, and their limits in hertz: GeMAPS, section 3.1.
const N_BANDS: usize = 26;
const LOWEST_HZ: f64 = 20.0;
const HIGHEST_HZ: f64 = 8_000.0;
/// Cepstral coefficients, from the first.
const N_MFCC: usize = 4;
/// Cepstral lifter: *The HTK Book*.
const LIFTER: f32 = 22.0;
/// From the summed bands to the scale of the reference, measured.
const LOUDNESS_SCALE: f32 = 0.0688;
/// Least power of a band, measured: the power of a 16-bit step.
const BAND_FLOOR: f32 = 1.0 / (32_768.0 * 32_768.0);
/// Power below which a bin counts as this for the slope, measured: −140 dB.
const SLOPE_FLOOR: f32 = 1e-14;
/// Upper end of alpha ratio and flux, in hertz.
const BALANCE_HZ: f64 = 5_000.0;

/// Ten contours before smoothing, each `[n_frames]`.
#[derive(Debug, Default)]
pub(super) struct SpectralContours {
    /// Loudness, alpha ratio, Hammarberg index, slopes 0-500 and 500-1500 Hz, flux, MFCC 1-4.
    pub(super) columns: [Vec<f32>; 6 + N_MFCC],
}

/// Plans for the spectral descriptors at one sampling rate.
#[derive(Debug)]
pub(super) struct Spectra {
    transform: WindowedPower,
    bands: AuditoryBands,
    cepstrum: Cepstrum,
    bin_hz: f64,
    sample_rate: u32,
}

impl Spectra {
    pub(super) fn new(sample_rate: u32) -> Result<Self, FeatureError> {
        let rate = f64::from(sample_rate);
        let transform = WindowedPower::hamming(frame_samples(SHORT_SECS, sample_rate))?;
        let highest_hz = (rate / 2.0).min(HIGHEST_HZ);
        let n_fft = transform.n_fft();
        Ok(Self {
            bands: AuditoryBands::new(sample_rate, n_fft, N_BANDS, LOWEST_HZ, highest_hz)?,
            cepstrum: Cepstrum::new(N_BANDS, N_MFCC + 1, LIFTER, CepstralConvention::Htk)?,
            bin_hz: rate / n_fft as f64,
            transform,
            sample_rate,
        })
    }

    pub(super) fn contours(&mut self, samples: &[f32]) -> SpectralContours {
        let mut contours = SpectralContours::default();
        let length = self.transform.window().len();
        let mut power = vec![0.0; self.transform.n_bins()];
        let mut previous: Vec<f32> = Vec::new();
        let mut bands = [0.0; N_BANDS];
        let mut cepstrum = [0.0; N_MFCC + 1];
        for index in 0_u32.. {
            let begin = frame_samples(f64::from(index) * STEP_SECS, self.sample_rate);
            let Some(frame) = samples.get(begin..begin + length) else {
                break;
            };
            self.transform.compute(frame, &mut power);
            self.bands.apply(&power, &mut bands);
            for band in &mut bands {
                *band = band.max(BAND_FLOOR);
            }
            let loudness = LOUDNESS_SCALE * self.bands.loudness(&bands);
            for band in &mut bands {
                *band = ln(*band);
            }
            self.cepstrum.apply(&bands, &mut cepstrum);
            let balance = [
                loudness,
                alpha_ratio_db(&power, self.bin_hz),
                hammarberg_index_db(&power, self.bin_hz),
                slope(&power, self.bin_hz, 0.0, 500.0),
                slope(&power, self.bin_hz, 500.0, 1_500.0),
                flux(&previous, &power, self.bin_hz),
            ];
            let values = balance.iter().chain(&cepstrum[1..]);
            for (column, value) in contours.columns.iter_mut().zip(values) {
                column.push(*value);
            }
            previous.clone_from(&power);
        }
        contours
    }
}

/// Alpha ratio whose lower band begins at 0 Hz, as measured on the reference; the paper has 50 Hz.
fn alpha_ratio_db(power: &[f32], bin_hz: f64) -> f32 {
    let (mut low, mut high) = (0.0, 0.0);
    for (bin, p) in power.iter().enumerate() {
        let hz = bin as f64 * bin_hz;
        if hz < 1_000.0 {
            low += f64::from(*p);
        } else if hz <= BALANCE_HZ {
            high += f64::from(*p);
        }
    }
    if low > 0.0 && high > 0.0 {
        narrow(10.0 * (high / low).log10())
    } else {
        0.0
    }
}

/// Slope of the levels of the bins from `low_hz` to `high_hz`, both included, in decibels per hertz.
///
/// `(N·Σf·y − Σf·Σy) / (N·Σf² − (Σf)²)` where `N` is the width of the band in bins, one less than there are
/// points, as measured on the reference: steeper than least squares, and dependent on the level.
fn slope(power: &[f32], bin_hz: f64, low_hz: f64, high_hz: f64) -> f32 {
    let count = ((high_hz - low_hz) / bin_hz).round();
    let (mut f, mut ff, mut y, mut fy) = (0.0, 0.0, 0.0, 0.0);
    let first = vocalics_dsp::floor_index((low_hz / bin_hz).ceil());
    let last = vocalics_dsp::floor_index(high_hz / bin_hz).min(power.len() - 1);
    for (bin, p) in power.iter().enumerate().take(last + 1).skip(first) {
        let hz = bin as f64 * bin_hz;
        let level = f64::from(10.0 * std::f32::consts::LOG10_E * ln(p.max(SLOPE_FLOOR)));
        f += hz;
        ff += hz * hz;
        y += level;
        fy += hz * level;
    }
    let denominator = count * ff - f * f;
    if denominator > 0.0 {
        narrow((count * fy - f * y) / denominator)
    } else {
        0.0
    }
}

/// Flux of the bins below 5 kHz, over the root of their number; 0 for the first frame.
fn flux(previous: &[f32], power: &[f32], bin_hz: f64) -> f32 {
    let count = vocalics_dsp::floor_index((BALANCE_HZ / bin_hz).ceil()).min(power.len());
    let Some(previous) = previous.get(..count) else {
        return 0.0;
    };
    spectral_flux(previous, &power[..count]) / (count as f32).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_spectra_have_known_values() {
        let mut power = vec![0.0; 257];
        power[1] = 50.0;
        power[16] = 50.0;
        power[96] = 1.0;
        power[200] = 1e6;
        assert!((alpha_ratio_db(&power, 31.25) + 20.0).abs() < 1e-4);
        assert!(alpha_ratio_db(&[0.0; 257], 31.25).abs() < 1e-9);
        // What the reference gives for digital silence.
        assert!((slope(&[0.0; 257], 31.25, 0.0, 500.0) - 0.112).abs() < 1e-4);
        assert!((slope(&[0.0; 257], 31.25, 500.0, 1_500.0) - 0.076_364).abs() < 1e-4);
        assert!((flux(&[4.0; 257], &[9.0; 257], 31.25) - 1.0).abs() < 1e-5);
        assert!(flux(&[], &[9.0; 257], 31.25).abs() < 1e-9);
    }
}
