//! Masks over feature matrices.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::AugmentError;
use crate::clip::Drawn;

/// Covers stretches of time and of the feature axis: SpecAugment without its time warp.
///
/// Masked values are each band's own mean over the matrix, so that a mask is silent once bands are centred. Lengths are uniform
/// from 0 to the largest, places uniform.
///
/// Source: D. S. Park et al., *SpecAugment: a simple data augmentation method for automatic speech recognition*,
/// Interspeech 2019; the bound by a share of the frames is that of its `p`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Masks {
    /// Masks over time.
    pub time_masks: usize,
    /// Largest length of one, in frames.
    pub time_mask_frames: usize,
    /// Largest length of one as a share of the frames there are, 0 to 1.
    pub time_mask_share: f64,
    /// Masks over bands.
    pub band_masks: usize,
    /// Largest height of one, in bands.
    pub mask_bands: usize,
}

impl Default for Masks {
    /// One of each: more underfits on a corpus of this size (`docs/experiments.md`).
    fn default() -> Self {
        Self {
            time_masks: 1,
            time_mask_frames: 20,
            time_mask_share: 0.25,
            band_masks: 1,
            mask_bands: 8,
        }
    }
}

impl Masks {
    /// Checks every field.
    ///
    /// # Errors
    /// [`AugmentError::Parameter`].
    pub fn validate(&self) -> Result<(), AugmentError> {
        if !(0.0..=1.0).contains(&self.time_mask_share) {
            let (field, expected) = ("time_mask_share", "a number from 0 to 1");
            return Err(AugmentError::parameter(
                field,
                self.time_mask_share,
                expected,
            ));
        }
        Ok(())
    }

    /// Masks `values`, `[n_frames, n_features]`.
    ///
    /// # Errors
    /// [`AugmentError::Shape`] unless `n_features` divides the number of values.
    pub fn apply(
        &self,
        values: &mut [f32],
        n_features: usize,
        rng: &mut StdRng,
    ) -> Result<Drawn, AugmentError> {
        if n_features == 0 || !values.len().is_multiple_of(n_features) {
            return Err(AugmentError::Shape {
                expected: n_features,
                actual: values.len(),
            });
        }
        let n_frames = values.len() / n_features;
        let mut mean = vec![0.0; n_features];
        for frame in values.chunks_exact(n_features) {
            mean.iter_mut().zip(frame).for_each(|(sum, x)| *sum += x);
        }
        mean.iter_mut()
            .for_each(|sum| *sum /= n_frames.max(1) as f32);
        let most = vocalics_dsp::floor_index(n_frames as f64 * self.time_mask_share)
            .min(self.time_mask_frames);
        let (mut frames, mut bands) = (0, 0);
        for _ in 0..self.time_masks {
            let length = rng.random_range(0..=most);
            let start = rng.random_range(0..=n_frames - length);
            let masked = &mut values[start * n_features..(start + length) * n_features];
            for frame in masked.chunks_exact_mut(n_features) {
                frame.copy_from_slice(&mean);
            }
            frames += length;
        }
        for _ in 0..self.band_masks {
            let height = rng.random_range(0..=self.mask_bands.min(n_features));
            let start = rng.random_range(0..=n_features - height);
            for frame in values.chunks_exact_mut(n_features) {
                frame[start..start + height].copy_from_slice(&mean[start..start + height]);
            }
            bands += height;
        }
        Ok(Drawn::one("masked_frames", frames as f64).and("masked_bands", bands as f64))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn masks_hold_the_mean_and_no_more_than_they_say() {
        let masks = Masks {
            time_mask_frames: 10,
            mask_bands: 3,
            ..Masks::default()
        };
        masks.validate().unwrap();
        let (mut most_frames, mut most_bands) = (0, 0);
        for seed in 0..60 {
            // Frame and band make every value its own; the mean of band b is 1950 + b.
            let plain: Vec<f32> = (0..40_u16)
                .flat_map(|t| (0..8_u16).map(move |b| f32::from(t) * 100.0 + f32::from(b)))
                .collect();
            let mut values = plain.clone();
            let drawn = masks
                .apply(&mut values, 8, &mut StdRng::seed_from_u64(seed))
                .unwrap();
            let is_mean = |index: usize| {
                let band = u16::try_from(index % 8).unwrap();
                (values[index] - 1_950.0 - f32::from(band)).abs() < 0.01
            };
            for (index, (new, old)) in values.iter().zip(&plain).enumerate() {
                assert!((new - old).abs() < 1e-3 || is_mean(index));
            }
            let frames = (0..40)
                .filter(|t| (0..8).all(|b| is_mean(t * 8 + b)))
                .count();
            let bands = (0..8)
                .filter(|b| (0..40).all(|t| is_mean(t * 8 + b)))
                .count();
            assert_eq!(drawn.number("masked_frames"), Some(frames as f64));
            assert_eq!(drawn.number("masked_bands"), Some(bands as f64));
            most_frames = most_frames.max(frames);
            most_bands = most_bands.max(bands);
        }
        assert_eq!((most_frames, most_bands), (10, 3));
    }

    #[test]
    fn small_and_empty_matrices() {
        let mut rng = StdRng::seed_from_u64(1);
        let masks = Masks {
            mask_bands: 99,
            time_mask_share: 1.0,
            ..Masks::default()
        };
        masks.apply(&mut [], 4, &mut rng).unwrap();
        masks.apply(&mut [1.0], 1, &mut rng).unwrap();
        assert!(masks.apply(&mut [1.0; 3], 2, &mut rng).is_err());
        assert!(masks.apply(&mut [], 0, &mut rng).is_err());
    }
}
