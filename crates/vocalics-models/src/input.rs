//! The door of the networks: log-mel as the front end gives it to an image of three channels.
//!
//! 1. the log-mel spectrum, standardised per band with the mean and deviation of the training part;
//! 2. the same less the clip's own mean in each band: what changes, without the voice's and the
//!    microphone's average spectrum;
//! 3. its slope over nine frames (regression deltas).
//!
//! The slope is taken of the second channel, so that zero padding at the ends means "the clip's
//! mean".

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use vocalics_kernels::extension::{self, Conv2dOptions};

use crate::ModelError;

/// Frames on each side of the one whose slope is taken.
pub const DELTA_REACH: usize = 4;

/// Channels of the image.
pub const CHANNELS: usize = 3;

/// Brings the slopes to about the deviation of the other channels.
const DELTA_GAIN: f32 = 5.0;

/// Deviations from the mean at which a functional stops. A ratio or a kurtosis of a voice that the training did not hear may lie
/// dozens away, and would alone decide the answer.
pub const FUNCTIONAL_REACH: f32 = 4.0;

/// Weights of the slope: `gain · n / Σ n²` for `n` from −4 to 4.
#[must_use]
pub fn delta_kernel() -> Vec<f32> {
    #[expect(clippy::cast_precision_loss, reason = "single-digit integers")]
    let taps: Vec<f32> = (0..=2 * DELTA_REACH)
        .map(|n| n as f32 - DELTA_REACH as f32)
        .collect();
    let energy: f32 = taps.iter().map(|n| n * n).sum();
    taps.iter().map(|n| DELTA_GAIN * n / energy).collect()
}

/// Standardisation and derived channels.
#[derive(Module, Debug)]
pub struct Door {
    /// Mean of every band over the training part, `[n_mels]`; not trained.
    #[module(skip)]
    mean: Vec<f32>,
    /// One over the deviation of every band, `[n_mels]`; not trained.
    #[module(skip)]
    inv_std: Vec<f32>,
    /// Mean of every functional, `[n_functionals]`, empty where there are none; not trained.
    #[module(skip)]
    functional_mean: Vec<f32>,
    /// One over the deviation of every functional, `[n_functionals]`; not trained.
    #[module(skip)]
    functional_inv_std: Vec<f32>,
}

impl Door {
    /// A door that standardises with the given means and deviations, `[n_mels]` each.
    ///
    /// # Errors
    /// When the lengths differ from `n_mels`, or a deviation is not positive.
    pub fn new(n_mels: usize, mean: &[f32], std: &[f32]) -> Result<Self, ModelError> {
        Self::with_functionals([n_mels, 0], mean, std)
    }

    /// A door for features whose frames are `n_mels` bands and, the same in every frame, `n_functionals` functionals of the
    /// clip, with means and deviations `[n_mels + n_functionals]` each.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_functionals(
        [n_mels, n_functionals]: [usize; 2],
        mean: &[f32],
        std: &[f32],
    ) -> Result<Self, ModelError> {
        let width = n_mels + n_functionals;
        let wrong = |actual: String, expected| ModelError::Config {
            field: "standardiser",
            actual,
            expected,
        };
        if mean.len() != width || std.len() != width {
            let actual = format!("{} means and {} deviations", mean.len(), std.len());
            return Err(wrong(
                actual,
                "one mean and one deviation for each mel band and functional",
            ));
        }
        if let Some(bad) = std.iter().find(|std| **std <= 0.0 || !std.is_finite()) {
            return Err(wrong(
                format!("a deviation of {bad}"),
                "positive deviations",
            ));
        }
        let inv_std = |std: &[f32]| std.iter().map(|std| 1.0 / std).collect();
        Ok(Self {
            mean: mean[..n_mels].to_vec(),
            inv_std: inv_std(&std[..n_mels]),
            functional_mean: mean[n_mels..].to_vec(),
            functional_inv_std: inv_std(&std[n_mels..]),
        })
    }

    /// Functionals behind the bands of every frame.
    #[must_use]
    pub fn n_functionals(&self) -> usize {
        self.functional_mean.len()
    }

    /// The mean of every functional and one over its deviation.
    #[must_use]
    pub fn functional_standardisation(&self) -> (&[f32], &[f32]) {
        (&self.functional_mean, &self.functional_inv_std)
    }

    /// The bands of every frame, `[batch, n_frames, n_mels]`.
    fn bands(&self, features: Tensor<3>) -> Tensor<3> {
        if self.functional_mean.is_empty() {
            return features;
        }
        features.narrow(2, 0, self.mean.len())
    }

    /// The standardised functionals of the clips, `[batch, n_functionals]`, none further than [`FUNCTIONAL_REACH`] from 0: those of the last
    /// frame, since they are the same in every one. No gradient passes.
    #[must_use]
    pub fn functionals(&self, features: Tensor<3>) -> Tensor<2> {
        let device = features.device();
        let last = features.dims()[1] - 1;
        let x = features.narrow(1, last, 1); // [batch, 1, n_mels + n_functionals]
        let x = x.narrow(2, self.mean.len(), self.n_functionals()); // [batch, 1, n_functionals]
        let x = (x - row(&self.functional_mean, &device)) * row(&self.functional_inv_std, &device);
        x.clamp(-FUNCTIONAL_REACH, FUNCTIONAL_REACH)
            .squeeze_dim::<2>(1)
    }

    /// The mean of every band and one over its deviation.
    #[must_use]
    pub fn standardisation(&self) -> (&[f32], &[f32]) {
        (&self.mean, &self.inv_std)
    }

    /// `[batch, n_frames, n_mels]` to `[batch, n_mels, 1, n_frames]`, less the mean of every band
    /// over the training part, not divided by its deviation. No gradient passes.
    #[must_use]
    pub fn centre(&self, features: Tensor<3>) -> Tensor<4> {
        let mean = row(&self.mean, &features.device());
        (self.bands(features) - mean)
            .swap_dims(1, 2)
            .unsqueeze_dim::<4>(2)
    }

    /// `[batch, n_frames, n_mels]` to the standardised mean of the frames, `[batch, n_mels]`. No gradient passes.
    #[must_use]
    pub fn vector(&self, features: Tensor<3>) -> Tensor<2> {
        let device = features.device();
        let row = |values: &[f32]| row(values, &device);
        let mean = self.bands(features).mean_dim(1); // [batch, 1, n_mels]
        ((mean - row(&self.mean)) * row(&self.inv_std)).squeeze_dim::<2>(1)
    }

    /// `[batch, n_frames, n_mels]` to `[batch, 3, n_mels, n_frames]`. No gradient passes.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>) -> Tensor<4> {
        let device = features.device();
        let row = |values: &[f32]| row(values, &device);
        let x = (self.bands(features) - row(&self.mean)) * row(&self.inv_std);
        let x = x.swap_dims(1, 2).unsqueeze_dim::<4>(1); // [batch, 1, n_mels, n_frames]
        let centred = x.clone() - x.clone().mean_dim(3);
        let kernel = delta_kernel();
        let width = kernel.len();
        let kernel = Tensor::from_data(TensorData::new(kernel, [1, 1, 1, width]), &device);
        let options = Conv2dOptions {
            stride: [1, 1],
            padding: [0, DELTA_REACH],
            dilation: [1, 1],
            groups: 1,
        };
        let delta = extension::conv2d(centred.clone(), kernel, &options);
        Tensor::cat(vec![x, centred, delta], 1) // [batch, 3, n_mels, n_frames]
    }
}

fn row(values: &[f32], device: &Device) -> Tensor<3> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [1, 1, values.len()]),
        device,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_standardised_centred_and_sloped() {
        let device = Device::flex();
        let (n_frames, n_mels) = (20, 2);
        let mut features = Vec::new();
        for t in 0..n_frames {
            features.extend([t as f32, 7.0]);
        }
        let features = Tensor::from_data(TensorData::new(features, [1, n_frames, n_mels]), &device);
        let door = Door::new(n_mels, &[1.0, 5.0], &[2.0, 4.0]).unwrap();
        let image = door
            .forward(features)
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        let at = |c: usize, m: usize, t: usize| image[(c * n_mels + m) * n_frames + t];
        assert!((at(0, 0, 10) - 4.5).abs() < 1e-6);
        assert!((at(0, 1, 3) - 0.5).abs() < 1e-6);
        assert!((at(1, 0, 10) - (10.0 - 9.5) / 2.0).abs() < 1e-5);
        assert!(at(1, 1, 5).abs() < 1e-6);
        // A ramp of one half per frame, times the gain.
        assert!((at(2, 0, 10) - 0.5 * DELTA_GAIN).abs() < 1e-4);
    }

    #[test]
    fn functionals_are_standardised_and_stop_at_the_reach() {
        // Two frames of one band and three functionals.
        let features = [0.5, 3.0, 1e6, -1e6, 0.7, 3.0, 1e6, -1e6];
        let features = TensorData::new(features.to_vec(), [1, 2, 4]);
        let features = Tensor::from_data(features, &Device::flex());
        let (mean, std) = ([0.0, 1.0, 0.0, 0.0], [1.0, 2.0, 1.0, 1.0]);
        let door = Door::with_functionals([1, 3], &mean, &std).unwrap();
        let values = door.functionals(features).into_data();
        let values = values.try_to_vec::<f32>().unwrap();
        assert_eq!(values, [1.0, FUNCTIONAL_REACH, -FUNCTIONAL_REACH]);
    }

    #[test]
    fn a_zero_deviation_is_refused() {
        assert!(Door::new(1, &[0.0], &[0.0]).is_err());
        assert!(Door::new(2, &[0.0], &[1.0]).is_err());
    }
}
