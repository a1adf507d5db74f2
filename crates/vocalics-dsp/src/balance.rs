//! How a spectrum's energy is spread over bands, and how it changes.
//!
//! All take power spectra `[n_bins]` whose bin `k` lies at `k · bin_hz`, one at a time, so
//! [`PowerStream`](crate::power_stream::PowerStream) makes a stream of them. Powers that are negative or not
//! finite count as 0. What has no bin or no power to measure is 0.

use crate::decibel::{clean_power, power_db};
use crate::narrow;

/// Bins between two frequencies, both included, as frequency and power.
fn band(power: &[f32], bin_hz: f64, low_hz: f64, high_hz: f64) -> impl Iterator<Item = (f64, f32)> {
    power
        .iter()
        .enumerate()
        .map(move |(bin, p)| (bin as f64 * bin_hz, clean_power(*p)))
        .filter(move |(hz, _)| (low_hz..=high_hz).contains(hz))
}

/// Slope of the logarithmic power spectrum from `low_hz` to `high_hz`, in decibels per hertz.
///
/// The line of least squares through the levels of the bins, `(N·Σf·y − Σf·Σy) / (N·Σf² − (Σf)²)`, levels
/// as [`power_db`]. 0 with fewer than two bins, for silence, and where bins lie too near each other or too far
/// apart for a finite number.
///
/// Source: F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS) for Voice Research and
/// Affective Computing", *IEEE Transactions on Affective Computing* 7(2), 2016 (*Spectral Slope 0–500 Hz and
/// 500–1500 Hz*).
#[must_use]
pub fn spectral_slope(power: &[f32], bin_hz: f64, low_hz: f64, high_hz: f64) -> f32 {
    let (mut n, mut f, mut ff, mut y, mut fy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (hz, p) in band(power, bin_hz, low_hz, high_hz) {
        let level = f64::from(power_db(p));
        n += 1.0;
        f += hz;
        ff += hz * hz;
        y += level;
        fy += hz * level;
    }
    let denominator = n * ff - f * f;
    let slope = narrow((n * fy - f * y) / denominator);
    if denominator > 0.0 && slope.is_finite() {
        slope
    } else {
        0.0
    }
}

/// Ratio, in decibels, of the power above 1 kHz, up to 5 kHz, to the power from 50 Hz to 1 kHz.
///
/// Above 0 when the treble is the stronger.
///
/// Source: B. Frøkjær-Jensen, S. Prytz, "Registration of voice quality", *Brüel & Kjær Technical Review* 3,
/// 1976; the outer limits are those of Eyben et al. 2016 (*Alpha Ratio*).
#[must_use]
pub fn alpha_ratio_db(power: &[f32], bin_hz: f64) -> f32 {
    let (mut low, mut high) = (0.0, 0.0);
    for (hz, p) in band(power, bin_hz, 50.0, 5_000.0) {
        if hz <= 1_000.0 {
            low += f64::from(p);
        } else {
            high += f64::from(p);
        }
    }
    ratio_db(high, low)
}

/// Ratio, in decibels, of the strongest bin up to 2 kHz to the strongest from 2 to 5 kHz.
///
/// Source: B. Hammarberg et al., "Perceptual and acoustic correlates of abnormal voice qualities",
/// *Acta Oto-Laryngologica* 90, 1980.
#[must_use]
pub fn hammarberg_index_db(power: &[f32], bin_hz: f64) -> f32 {
    let strongest = |low_hz, high_hz| {
        let band = band(power, bin_hz, low_hz, high_hz);
        f64::from(band.fold(0.0_f32, |peak, (_, p)| peak.max(p)))
    };
    ratio_db(strongest(0.0, 2_000.0), strongest(2_000.0, 5_000.0))
}

fn ratio_db(above: f64, below: f64) -> f32 {
    if above > 0.0 && below > 0.0 {
        narrow(10.0 * (above / below).log10())
    } else {
        0.0
    }
}

/// Change of the magnitude spectrum from one frame to the next, `√(Σ (|X[k]| − |X'[k]|)²)`.
///
/// Source: E. Scheirer, M. Slaney, "Construction and evaluation of a robust multifeature speech/music
/// discriminator", *ICASSP*, 1997, section 2 (*Spectral Flux*).
#[must_use]
pub fn spectral_flux(previous: &[f32], power: &[f32]) -> f32 {
    let squares = previous.iter().zip(power).map(|(a, b)| {
        let change = f64::from(clean_power(*a)).sqrt() - f64::from(clean_power(*b)).sqrt();
        change * change
    });
    narrow(squares.fold(0.0, |sum, square| sum + square).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIN_HZ: f64 = 31.25;

    #[test]
    fn a_known_tilt_is_measured() {
        // −20 dB per kilohertz, at any level.
        for level_db in [-60.0, 0.0, 30.0] {
            let power: Vec<f32> = (0..65)
                .map(|k| 10.0_f32.powf(0.1 * (level_db - 0.02 * k as f32 * 31.25)))
                .collect();
            for (low_hz, high_hz) in [(0.0, 500.0), (500.0, 1_500.0)] {
                let slope = spectral_slope(&power, BIN_HZ, low_hz, high_hz);
                assert!((slope + 0.02).abs() < 1e-5, "{slope}");
            }
        }
        assert!(spectral_slope(&[2.0; 257], BIN_HZ, 0.0, 500.0).abs() < 1e-6);
    }

    #[test]
    fn known_bands_have_known_ratios() {
        let mut power = vec![0.0; 257];
        // Below 50 Hz and above 5 kHz nothing counts for the alpha ratio.
        power[1] = 1e6;
        power[200] = 1e6;
        power[16] = 100.0;
        power[96] = 1.0;
        assert!((alpha_ratio_db(&power, BIN_HZ) + 20.0).abs() < 1e-4);
        power[1] = 0.0;
        assert!((hammarberg_index_db(&power, BIN_HZ) - 20.0).abs() < 1e-4);
    }

    #[test]
    fn flux_is_the_distance_of_magnitudes() {
        assert!(spectral_flux(&[4.0; 257], &[4.0; 257]).abs() < 1e-9);
        assert!((spectral_flux(&[4.0; 100], &[9.0; 100]) - 10.0).abs() < 1e-5);
    }

    #[test]
    fn silence_and_faults_give_zero() {
        for power in [&[][..], &[0.0; 257], &[f32::NAN; 257], &[-1.0; 257]] {
            let found = [
                spectral_slope(power, BIN_HZ, 0.0, 500.0),
                alpha_ratio_db(power, BIN_HZ),
                hammarberg_index_db(power, BIN_HZ),
                spectral_flux(power, power),
            ];
            assert!(found.iter().all(|x| x.abs() < 1e-6), "{found:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn finite_on_any_input(
            power in proptest::collection::vec(proptest::num::f32::ANY, 0..80),
            other in proptest::collection::vec(proptest::num::f32::ANY, 0..80),
            any_bin_hz in proptest::num::f64::ANY,
            low_hz in proptest::num::f64::ANY,
            high_hz in proptest::num::f64::ANY,
        ) {
            for bin_hz in [BIN_HZ, any_bin_hz] {
                for value in [
                    spectral_slope(&power, bin_hz, low_hz, high_hz),
                    spectral_slope(&power, bin_hz, 0.0, f64::INFINITY),
                    alpha_ratio_db(&power, bin_hz),
                    hammarberg_index_db(&power, bin_hz),
                    spectral_flux(&power, &other),
                ] {
                    proptest::prop_assert!(value.is_finite(), "{value}");
                }
            }
        }
    }
}
