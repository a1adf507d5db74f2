//! How the power of a mel band becomes a feature.

use serde::{Deserialize, Serialize};
use vocalics_dsp::cube_root::cube_root;
use vocalics_dsp::logarithm::ln;

use crate::matrix::FeatureMatrix;

/// How the power of a mel band becomes a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// Its natural logarithm, which gives silence and what hides in it as much room as speech.
    #[default]
    Log,
    /// Its cube root, in which noise under the speech weighs little.
    ///
    /// Source: H. Hermansky, *Perceptual linear predictive (PLP) analysis of speech*, JASA 1990: loudness as the
    /// cube root of intensity.
    CubeRoot,
}

impl Compression {
    /// Replaces positive, normal, finite powers by their features.
    pub(crate) fn apply(self, powers: &mut [f32]) {
        match self {
            Self::Log => powers.iter_mut().for_each(|x| *x = ln(*x)),
            Self::CubeRoot => powers.iter_mut().for_each(|x| *x = cube_root(*x)),
        }
    }

    /// Features of bands, `[n_frames, n_mels]`, as the natural logarithms of their powers.
    #[must_use]
    pub fn logarithms(self, mut bands: FeatureMatrix) -> FeatureMatrix {
        if self == Self::CubeRoot {
            for x in bands.as_mut_slice() {
                *x = 3.0 * ln(x.max(f32::MIN_POSITIVE));
            }
        }
        bands
    }

    /// What a gain of so many decibels makes of a feature: its factor and what is added to it then.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "features are single precision"
    )]
    pub fn gain(self, db: f64) -> (f32, f32) {
        let nepers = db * std::f64::consts::LN_10 / 10.0;
        match self {
            Self::Log => (1.0, nepers as f32),
            Self::CubeRoot => ((nepers / 3.0).exp() as f32, 0.0),
        }
    }

    /// The feature of the mean of two powers, weighted `1 - share` and `share`, from their features.
    #[must_use]
    pub fn mix(self, first: f32, second: f32, share: f32) -> f32 {
        match self {
            Self::Log => {
                let peak = first.max(second);
                let sum = (1.0 - share) * (first - peak).exp() + share * (second - peak).exp();
                peak + sum.ln()
            }
            Self::CubeRoot => ((1.0 - share) * first.powi(3) + share * second.powi(3)).cbrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cube_roots_are_told_as_the_logarithms_that_they_stand_for() {
        let powers = [1e-6_f32, 0.02, 1.0, 7.0];
        for compression in [Compression::Log, Compression::CubeRoot] {
            let mut features = powers;
            compression.apply(&mut features);
            let matrix = FeatureMatrix::new(features.to_vec(), 2).unwrap();
            let found = compression.logarithms(matrix);
            for (found, power) in found.as_slice().iter().zip(powers) {
                assert!((found - power.ln()).abs() < 1e-5, "{found} {power}");
            }
        }
    }

    #[test]
    fn gain_and_mix_are_those_of_the_powers() {
        for compression in [Compression::Log, Compression::CubeRoot] {
            let of = |power: f32| {
                let mut feature = [power];
                compression.apply(&mut feature);
                feature[0]
            };
            for power in [1e-6, 0.02, 7.0] {
                let (factor, offset) = compression.gain(6.0);
                let (louder, expected) = (of(power) * factor + offset, of(power * 3.981_072));
                assert!((louder - expected).abs() < 1e-5, "{louder} {expected}");
                let (mixed, expected) = (
                    compression.mix(of(power), of(0.5), 0.25),
                    of(0.75 * power + 0.125),
                );
                assert!((mixed - expected).abs() < 1e-5, "{mixed} {expected}");
                assert!((compression.mix(of(power), of(0.5), 0.0) - of(power)).abs() < 1e-5);
            }
            let (factor, offset) = compression.gain(0.0);
            assert!((factor - 1.0).abs() < f32::EPSILON && offset.abs() < f32::EPSILON);
        }
    }
}
