//! The shape of a power spectrum: centroid, spread, skewness, kurtosis, roll-off, flatness, entropy.

use crate::decibel::{POWER_FLOOR, clean_power};
use crate::error::DspError;
use crate::narrow;

/// Share of the magnitude below the roll-off, librosa's default.
pub const ROLLOFF: f32 = 0.85;

/// The shape of one spectrum.
///
/// Moments are those of the magnitude spectrum taken as a distribution over frequency. All are 0 for
/// silence but [`flatness`](Self::flatness), which is 1 there; all are finite always.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectralShape {
    /// Mean frequency in hertz, `Σ f·m / Σ m`.
    pub centroid_hz: f32,
    /// Deviation around the centroid in hertz, `√(Σ (f − c)²·m / Σ m)`; librosa calls it bandwidth.
    pub spread_hz: f32,
    /// Third standardised moment; above 0 when the tail is towards high frequencies. 0 for a line.
    pub skewness: f32,
    /// Fourth standardised moment, 3 for a Gaussian bump. 0 for a line.
    pub kurtosis: f32,
    /// Lowest bin frequency in hertz below which the chosen share of the magnitude lies.
    pub rolloff_hz: f32,
    /// Geometric by arithmetic mean of the power (floor 1e-10), in (0, 1]; 1 for white noise.
    pub flatness: f32,
    /// Entropy of the power taken as a distribution, by its maximum `ln n_bins`; in [0, 1].
    pub entropy: f32,
}

impl SpectralShape {
    /// Names of the values of [`to_array`](Self::to_array), with their units.
    pub const NAMES: [&str; 7] = [
        "spectral_centroid_hz",
        "spectral_spread_hz",
        "spectral_skewness",
        "spectral_kurtosis",
        "spectral_rolloff_hz",
        "spectral_flatness",
        "spectral_entropy",
    ];

    /// The values in the order of [`NAMES`](Self::NAMES).
    #[must_use]
    pub fn to_array(self) -> [f32; 7] {
        [
            self.centroid_hz,
            self.spread_hz,
            self.skewness,
            self.kurtosis,
            self.rolloff_hz,
            self.flatness,
            self.entropy,
        ]
    }
}

/// The shape of a power spectrum `[n_bins]` whose bins lie `bin_hz` apart, from 0 hertz.
///
/// `rolloff` is the share of the magnitude below the roll-off frequency ([`ROLLOFF`]). Powers that
/// are negative or not finite count as 0. One frame at a time, so
/// [`PowerStream`](crate::power_stream::PowerStream) makes a stream of it.
///
/// # Errors
/// [`DspError::Parameter`] unless `bin_hz` is finite and above 0 and `rolloff` in (0, 1).
///
/// Source: G. Peeters, *A large set of audio features for sound description*, CUIDADO report, 2004.
/// Reference: `librosa.feature.spectral_centroid`, `spectral_bandwidth`, `spectral_rolloff`,
/// `spectral_flatness`, within 1e-3 relative.
pub fn spectral_shape(power: &[f32], bin_hz: f32, rolloff: f32) -> Result<SpectralShape, DspError> {
    if !(bin_hz.is_finite() && bin_hz > 0.0) {
        return Err(DspError::parameter(
            "bin_hz",
            "a finite number above 0",
            bin_hz,
        ));
    }
    if !(rolloff > 0.0 && rolloff < 1.0) {
        return Err(DspError::parameter(
            "rolloff",
            "between 0 and 1, both excluded",
            rolloff,
        ));
    }
    let bin_hz = f64::from(bin_hz);
    let (mut mass, mut first, mut energy, mut logs, mut floored) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (bin, &p) in power.iter().enumerate() {
        let p = f64::from(clean_power(p));
        let magnitude = p.sqrt();
        mass += magnitude;
        first += magnitude * bin as f64;
        energy += p;
        let above = p.max(f64::from(POWER_FLOOR));
        logs += above.ln();
        floored += above;
    }
    let count = power.len().max(1) as f64;
    let flatness = if power.is_empty() {
        1.0
    } else {
        (logs / count).exp() / (floored / count)
    };
    let mut shape = SpectralShape {
        centroid_hz: 0.0,
        spread_hz: 0.0,
        skewness: 0.0,
        kurtosis: 0.0,
        rolloff_hz: 0.0,
        flatness: narrow(flatness.min(1.0)),
        entropy: 0.0,
    };
    // Below this librosa does not normalise either.
    if mass < f64::from(f32::MIN_POSITIVE) {
        return Ok(shape);
    }
    let centre = first / mass;
    let (mut second, mut third, mut fourth, mut entropy) = (0.0, 0.0, 0.0, 0.0);
    let (mut below, mut edge) = (0.0, None);
    for (bin, &p) in power.iter().enumerate() {
        let p = f64::from(clean_power(p));
        let magnitude = p.sqrt();
        let away = bin as f64 - centre;
        let square = away * away * magnitude;
        second += square;
        third += square * away;
        fourth += square * away * away;
        below += magnitude;
        if edge.is_none() && below >= f64::from(rolloff) * mass {
            edge = Some(bin);
        }
        let share = p / energy;
        if share > 0.0 {
            entropy -= share * share.ln();
        }
    }
    let spread = (second / mass).sqrt();
    shape.centroid_hz = narrow(centre * bin_hz);
    shape.spread_hz = narrow(spread * bin_hz);
    shape.rolloff_hz = narrow(edge.unwrap_or(0) as f64 * bin_hz);
    // A single line has no width, and rounding must not become a shape.
    if spread > 1e-6 * count {
        shape.skewness = narrow(third / mass / spread.powi(3));
        shape.kurtosis = narrow(fourth / mass / spread.powi(4));
    }
    if power.len() > 1 {
        shape.entropy = narrow((entropy / count.ln()).clamp(0.0, 1.0));
    }
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stft::{Stft, StftConfig};

    #[test]
    fn a_line_has_a_place_and_no_width() {
        let mut power = vec![0.0; 257];
        power[32] = 4.0;
        let shape = spectral_shape(&power, 31.25, ROLLOFF).unwrap();
        assert!((shape.centroid_hz - 1000.0).abs() < 1e-3);
        assert!((shape.rolloff_hz - 1000.0).abs() < 1e-3);
        assert!(shape.spread_hz < 1e-3 && shape.entropy < 1e-6 && shape.flatness < 1e-3);
        assert!(shape.skewness.abs() + shape.kurtosis.abs() < 1e-6);
    }

    #[test]
    fn a_flat_spectrum_is_uniform() {
        let shape = spectral_shape(&[2.0; 101], 10.0, 0.85).unwrap();
        assert!((shape.centroid_hz - 500.0).abs() < 1e-3);
        // Deviation of a discrete uniform distribution: √((n² − 1) / 12).
        assert!((shape.spread_hz - 10.0 * (10_200.0_f32 / 12.0).sqrt()).abs() < 1e-2);
        assert!(shape.skewness.abs() < 1e-4);
        assert!((shape.kurtosis - 1.8).abs() < 1e-2);
        assert!((shape.rolloff_hz - 850.0).abs() < 1e-3);
        assert!((shape.flatness - 1.0).abs() < 1e-6);
        assert!((shape.entropy - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_gaussian_bump_has_kurtosis_3() {
        let power: Vec<f32> = (0..512)
            .map(|k| (-((k as f32 - 200.0) / 20.0).powi(2)).exp())
            .collect();
        // The magnitude is the square root: a deviation of 20 bins.
        let shape = spectral_shape(&power, 5.0, 0.5).unwrap();
        assert!((shape.centroid_hz - 1000.0).abs() < 0.1);
        assert!((shape.spread_hz - 100.0).abs() < 0.1);
        assert!(shape.skewness.abs() < 1e-3 && (shape.kurtosis - 3.0).abs() < 0.01);
    }

    #[test]
    fn a_sine_is_found_at_every_rate() {
        for rate in [8_000_u16, 16_000, 44_100, 48_000] {
            let tone: Vec<f32> = (0..rate)
                .map(|n| (std::f32::consts::TAU * 1000.0 * f32::from(n) / f32::from(rate)).sin())
                .collect();
            let mut stft = Stft::new(&StftConfig::default()).unwrap();
            let mut power = vec![0.0; stft.n_bins()];
            stft.power_frame(&tone, 10, &mut power);
            let shape = spectral_shape(&power, f32::from(rate) / 1024.0, ROLLOFF).unwrap();
            assert!(
                (shape.centroid_hz - 1000.0).abs() < 30.0,
                "{rate}: {shape:?}"
            );
        }
    }

    #[test]
    fn silence_and_faults_are_defined() {
        for power in [&[][..], &[0.0; 9], &[f32::NAN; 9], &[-1.0; 9]] {
            let shape = spectral_shape(power, 10.0, ROLLOFF).unwrap();
            assert!(shape.to_array().iter().all(|x| x.is_finite()));
            assert!((shape.flatness - 1.0).abs() < 1e-6);
            assert!(shape.centroid_hz.abs() < 1e-9);
        }
        assert!(spectral_shape(&[1.0], 0.0, 0.85).is_err());
        assert!(spectral_shape(&[1.0], 1.0, 1.0).is_err());
        assert!(spectral_shape(&[1.0], 1.0, f32::NAN).is_err());
    }

    proptest::proptest! {
        #[test]
        fn finite_and_free_of_gain(
            power in proptest::collection::vec(1e-3_f32..1e6, 2..200),
            gain in 0.1_f32..1e6,
        ) {
            let scaled: Vec<f32> = power.iter().map(|p| p * gain).collect();
            let a = spectral_shape(&power, 10.0, 0.85).unwrap().to_array();
            let b = spectral_shape(&scaled, 10.0, 0.85).unwrap().to_array();
            for (x, y) in a.iter().zip(&b).take(4) {
                proptest::prop_assert!((x - y).abs() <= 1e-3 * x.abs().max(1.0));
            }
        }

        #[test]
        fn finite_on_any_input(power in proptest::collection::vec(proptest::num::f32::ANY, 0..80)) {
            let shape = spectral_shape(&power, 10.0, 0.85).unwrap();
            proptest::prop_assert!(shape.to_array().iter().all(|x| x.is_finite()));
        }
    }
}
