//! AdamW, its schedule, and the running average of the weights, on flat vectors.
//!
//! The whole state of a network is one vector ([`crate::parameters`]): that is what a checkpoint
//! holds, and why a resumed training goes on bit for bit.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::config::TrainingConfig;
use crate::parameters::Layout;

const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Learning rate of a step: linear warm-up, over half of the training at most, then half a cosine down to zero.
///
/// Source: I. Loshchilov, F. Hutter, *SGDR*, ICLR 2017 (without restarts).
#[expect(clippy::cast_precision_loss, reason = "step counts are far below 2^53")]
pub(crate) fn learning_rate(config: &TrainingConfig, step: usize, steps_per_epoch: usize) -> f64 {
    let total = (config.epochs * steps_per_epoch) as f64;
    let warmup = (config.warmup_epochs * steps_per_epoch as f64).min(total / 2.0);
    let at = step as f64 + 1.0;
    if at < warmup {
        return config.learning_rate * at / warmup;
    }
    let progress = ((at - warmup) / (total - warmup).max(1.0)).clamp(0.0, 1.0);
    config.learning_rate * 0.5 * (1.0 + (PI * progress).cos())
}

/// AdamW with decoupled weight decay and a clipped gradient norm.
///
/// Source: I. Loshchilov, F. Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019.
/// Reference: `torch.optim.AdamW` behind `torch.nn.utils.clip_grad_norm_`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct AdamW {
    step: u32,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl AdamW {
    pub(crate) fn new(len: usize) -> Self {
        Self {
            step: 0,
            first: vec![0.0; len],
            second: vec![0.0; len],
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.first.len()
    }

    /// One step; each segment of the layout moves at its own share of `rate`. `gradient` is zero where the state is not trained.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "weights are single precision"
    )]
    pub(crate) fn update(
        &mut self,
        config: &TrainingConfig,
        layout: &Layout,
        rate: f64,
        gradient: &[f32],
        state: &mut [f32],
    ) {
        self.step += 1;
        let norm = gradient
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        let clip = (config.gradient_clip / (norm + 1e-6)).min(1.0) as f32;
        let exponent = i32::try_from(self.step).unwrap_or(i32::MAX);
        let correction = 1.0 - BETA_1.powi(exponent);
        let root = (1.0 / (1.0 - BETA_2.powi(exponent)).sqrt()) as f32;
        let (b1, b2, epsilon) = (BETA_1 as f32, BETA_2 as f32, EPSILON as f32);
        for segment in layout.trained() {
            let rate = rate * segment.rate;
            let step_size = (rate / correction) as f32;
            let keep = if segment.decays {
                (1.0 - rate * config.weight_decay) as f32
            } else {
                1.0
            };
            let range = segment.range.clone();
            let moments = self.first[range.clone()]
                .iter_mut()
                .zip(&mut self.second[range.clone()]);
            let weights = state[range.clone()].iter_mut().zip(&gradient[range]);
            for ((first, second), (weight, gradient)) in moments.zip(weights) {
                let gradient = gradient * clip;
                *first = b1 * *first + (1.0 - b1) * gradient;
                *second = b2 * *second + (1.0 - b2) * gradient * gradient;
                *weight = *weight * keep - step_size * *first / (second.sqrt() * root + epsilon);
            }
        }
    }
}

/// Moves the running average of the state towards it, where the state moves at all. Early steps count more, so that the first
/// weights are soon forgotten.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "step counts are small, weights single precision"
)]
pub(crate) fn average(
    config: &TrainingConfig,
    layout: &Layout,
    step: usize,
    state: &[f32],
    average: &mut [f32],
) {
    let warm = (1.0 + step as f64) / (10.0 + step as f64);
    let decay = config.weight_average.min(warm) as f32;
    for segment in layout.moving() {
        let range = segment.range.clone();
        let pairs = average[range.clone()].iter_mut().zip(&state[range]);
        for (average, state) in pairs {
            *average = decay * *average + (1.0 - decay) * state;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Segment;

    #[test]
    fn schedule_warms_up_peaks_and_ends_at_zero() {
        let config = TrainingConfig {
            epochs: 10,
            warmup_epochs: 2.0,
            ..Default::default()
        };
        let rate = |step| learning_rate(&config, step, 50);
        assert!(rate(0) < config.learning_rate * 0.02);
        assert!((rate(99) - config.learning_rate).abs() < 1e-9);
        assert!(rate(499).abs() < 1e-12);
        assert!((100..499).all(|step| rate(step) <= rate(step - 1)));
    }

    #[test]
    fn the_warm_up_ends_by_half_of_the_training() {
        for warmup_epochs in [2.0, 1e300] {
            let config = TrainingConfig {
                epochs: 2,
                warmup_epochs,
                ..Default::default()
            };
            let rate = |step| learning_rate(&config, step, 50);
            assert!((rate(49) - config.learning_rate).abs() < 1e-9);
            assert!(rate(99).abs() < 1e-12);
        }
    }

    /// Under a constant gradient both moments are the gradient's own, so a step is
    /// `w · (1 − rate · decay) − rate · sign(gradient)`.
    #[test]
    fn update_decays_and_steps_by_the_rate() {
        let config = TrainingConfig {
            weight_decay: 0.5,
            gradient_clip: 100.0,
            ..TrainingConfig::default()
        };
        let layout = Layout::from_segments(vec![Segment {
            range: 0..2,
            trained: true,
            decays: true,
            frozen: false,
            rate: 1.0,
        }]);
        let mut state = vec![1.0, -2.0];
        let mut adam = AdamW::new(2);
        for want in [[0.85, -1.8], [0.7075, -1.61]] {
            adam.update(&config, &layout, 0.1, &[0.3, -0.1], &mut state);
            for (got, want) in state.iter().zip(want) {
                assert!((got - want).abs() < 1e-5, "{got} {want}");
            }
        }
    }

    #[test]
    fn a_segment_moves_at_its_share_and_a_frozen_one_not_at_all() {
        let config = TrainingConfig {
            weight_decay: 0.5,
            gradient_clip: 100.0,
            ..TrainingConfig::default()
        };
        let segment = |place: usize, rate, frozen| Segment {
            range: place..place + 1,
            trained: true,
            decays: true,
            frozen,
            rate,
        };
        let segments = vec![
            segment(0, 1.0, false),
            segment(1, 0.1, false),
            segment(2, 1.0, true),
        ];
        let layout = Layout::from_segments(segments);
        let (mut state, mut mean) = (vec![1.0; 3], vec![0.1; 3]);
        AdamW::new(3).update(&config, &layout, 0.1, &[0.2; 3], &mut state);
        average(&config, &layout, 0, &state, &mut mean);
        for (got, want) in state.iter().zip([0.85, 0.985]) {
            assert!((got - want).abs() < 1e-5, "{got} {want}");
        }
        assert_eq!(
            (state[2].to_bits(), mean[2].to_bits()),
            (1.0f32.to_bits(), 0.1f32.to_bits())
        );
        assert!((mean[1] - (0.1 * 0.1 + 0.9 * 0.985)).abs() < 1e-6);
    }
}
