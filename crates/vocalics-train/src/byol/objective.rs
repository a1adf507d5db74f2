//! The two networks, what they are to agree in, and how the target follows.

use std::f64::consts::PI;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;
use vocalics_models::projector::Projector;
use vocalics_models::{Mode, Network};

use super::ByolConfig;
use crate::parameters::Layout;

/// Keeps the length of a vector above 0.
const EPSILON: f32 = 1e-12;

/// A body with a projector behind it. The head of the network takes no part. By itself it is the target, which is predicted and lies
/// on a device without gradients.
#[derive(Module, Debug)]
pub(super) struct Target {
    network: Network,
    projector: Projector,
}

/// What learns: body, projector and predictor.
#[derive(Module, Debug)]
pub(super) struct Online {
    body: Target,
    predictor: Projector,
}

/// What the online network makes of a view.
pub(super) struct Seen {
    /// `[batch, embedding]`.
    pub(super) embedding: Tensor<2>,
    /// `[batch, projection]`.
    pub(super) projection: Tensor<2>,
    /// `[batch, projection]`.
    pub(super) prediction: Tensor<2>,
}

fn projector(inputs: usize, config: &ByolConfig, rng: &mut StdRng, device: &Device) -> Projector {
    let sizes = [inputs, config.projection_hidden, config.projection_size];
    Projector::new(sizes, rng, device)
}

impl Target {
    /// A fresh projector behind a network. As a target it then takes the numbers of the online network's begin.
    pub(super) fn new(
        network: Network,
        config: &ByolConfig,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        let embedding = network.head().weight.dims()[0];
        Self {
            network,
            projector: projector(embedding, config, rng, device),
        }
    }

    /// `[batch, n_frames, n_mels]` to embeddings, `[batch, embedding]`, and projections, `[batch, projection]`.
    pub(super) fn project(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> [Tensor<2>; 2] {
        let embedding = self.network.embed(features, mode);
        let projection = self.projector.forward(embedding.clone(), mode);
        [embedding, projection]
    }
}

impl Online {
    /// Fresh projector and predictor behind a network.
    pub(super) fn new(
        network: Network,
        config: &ByolConfig,
        rng: &mut StdRng,
        device: &Device,
    ) -> Self {
        Self {
            body: Target::new(network, config, rng, device),
            predictor: projector(config.projection_size, config, rng, device),
        }
    }

    /// `features`: `[batch, n_frames, n_mels]`.
    pub(super) fn see(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Seen {
        let [embedding, projection] = self.body.project(features, mode);
        let prediction = self.predictor.forward(projection.clone(), mode);
        Seen {
            embedding,
            projection,
            prediction,
        }
    }
}

fn normalised(x: Tensor<2>) -> Tensor<2> {
    let length = ((x.clone() * x.clone()).sum_dim(1) + EPSILON).sqrt(); // [batch, 1]
    x / length
}

/// Mean squared difference of the normalised vectors, `2 − 2 · cos`, over the batch.
///
/// # Shapes
/// `prediction`, `target`: `[batch, projection]`.
///
/// Source: J.-B. Grill et al., *Bootstrap Your Own Latent*, NeurIPS 2020, equation 2.
pub(super) fn loss(prediction: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let cosine = (normalised(prediction) * normalised(target)).sum_dim(1); // [batch, 1]
    (cosine * -2.0 + 2.0).mean()
}

/// `τ = 1 − (1 − τ_base) · (cos(π · k / K) + 1) / 2` at step `k` of `K`.
///
/// Source: J.-B. Grill et al., *Bootstrap Your Own Latent*, NeurIPS 2020, section 3.3.
#[expect(clippy::cast_precision_loss, reason = "step counts are far below 2^53")]
pub(super) fn tau(base: f64, step: usize, steps: usize) -> f64 {
    let progress = step as f64 / steps.max(1) as f64;
    1.0 - (1.0 - base) * ((PI * progress).cos() + 1.0) / 2.0
}

/// `ξ ← τ · ξ + (1 − τ) · θ` for the weights `ξ` of the target, which are the first of the online network's. Running statistics are
/// the target's own.
#[expect(
    clippy::cast_possible_truncation,
    reason = "weights are single precision"
)]
pub(super) fn follow(layout: &Layout, tau: f64, online: &[f32], target: &mut [f32]) {
    let (stays, comes) = (tau as f32, (1.0 - tau) as f32);
    let within = layout.trained().filter(|it| it.range.end <= target.len());
    let ranges: Vec<_> = within.map(|segment| segment.range.clone()).collect();
    for range in ranges {
        let pairs = target[range.clone()].iter_mut().zip(&online[range]);
        for (target, online) in pairs {
            *target = stays * *target + comes * online;
        }
    }
}

/// Deviation of normalised rows of `width` numbers in each place, meant over the places, times `√width`: 1 where the rows point in
/// all directions alike, 0 where they are the same.
#[expect(clippy::cast_precision_loss, reason = "a batch is small")]
pub(super) fn deviation(rows: &[f32], width: usize) -> f64 {
    let count = (rows.len() / width.max(1)).max(1) as f64;
    let mut sums = vec![[0.0f64; 2]; width];
    for row in rows.chunks_exact(width) {
        let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let length = (length + f64::from(EPSILON)).sqrt();
        for ([sum, squares], x) in sums.iter_mut().zip(row) {
            let x = f64::from(*x) / length;
            *sum += x;
            *squares += x * x;
        }
    }
    let deviation = |&[sum, squares]: &[f64; 2]| {
        let mean = sum / count;
        (squares / count - mean * mean).max(0.0).sqrt()
    };
    let mean = sums.iter().map(deviation).sum::<f64>() / width.max(1) as f64;
    mean * (width as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;
    use rand::{Rng, SeedableRng};
    use vocalics_models::input::Door;
    use vocalics_models::{CnnRecurrentConfig, NetworkConfig};

    use super::*;
    use crate::parameters::{gather, gather_gradients, scatter};

    fn matrix(values: &[f32], device: &Device) -> Tensor<2> {
        let width = values.len() / 2;
        Tensor::from_data(TensorData::new(values.to_vec(), [2, width]), device)
    }

    #[test]
    fn the_loss_is_two_minus_two_cosines() {
        let device = Device::flex();
        let (a, b) = (
            [3.0, 4.0, 0.0, 1.0, 0.0, 0.0],
            [0.6, 0.8, 0.0, 0.0, -2.0, 0.0],
        );
        let value = loss(matrix(&a, &device), matrix(&b, &device)).into_scalar::<f32>();
        // Cosines 1 and 0.
        assert!((value - 1.0).abs() < 1e-6, "{value}");
        let value = loss(matrix(&a, &device), matrix(&a.map(|x| -x), &device));
        assert!((value.into_scalar::<f32>() - 4.0).abs() < 1e-6);
    }

    #[test]
    fn the_target_stays_more_and_more() {
        assert!((tau(0.99, 0, 100) - 0.99).abs() < 1e-12);
        assert!((tau(0.99, 50, 100) - 0.995).abs() < 1e-12);
        assert!((tau(0.99, 100, 100) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_collapse_shows_in_the_deviation() {
        let rng = &mut StdRng::seed_from_u64(1);
        let same: Vec<f32> = [0.3f32, -2.0, 1.0].repeat(50);
        assert!(deviation(&same, 3) < 1e-6);
        // Of one direction and another length they are the same too.
        let scaled = same.chunks(3).zip(1u8..).flat_map(|(row, k)| {
            let scaled: Vec<f32> = row.iter().map(|x| x * f32::from(k)).collect();
            scaled
        });
        assert!(deviation(&scaled.collect::<Vec<_>>(), 3) < 1e-6);
        let mut all = Vec::new();
        for _ in 0..20_000 {
            // A normal number, near enough.
            all.push((0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0);
        }
        assert!((deviation(&all, 20) - 1.0).abs() < 0.02);
    }

    fn small() -> (NetworkConfig, ByolConfig) {
        let network = NetworkConfig::CnnRecurrent(CnnRecurrentConfig {
            channels: vec![3, 4],
            hidden: 5,
            attention: 4,
            ..CnnRecurrentConfig::default()
        });
        let byol = ByolConfig {
            projection_hidden: 8,
            projection_size: 6,
            ..ByolConfig::default()
        };
        (network, byol)
    }

    #[test]
    fn the_target_gets_no_gradient_and_moves_by_the_formula() {
        let (config, byol) = small();
        let rng = &mut StdRng::seed_from_u64(1);
        let mut network = |device: &Device| {
            let door = Door::new(16, &[0.0; 16], &[1.0; 16]).unwrap();
            config.init(16, 1, door, rng, device).unwrap()
        };
        let (plain, learning) = (Device::flex(), Device::flex().autodiff());
        let (ours, theirs) = (network(&learning), network(&plain));
        let online = Online::new(ours, &byol, &mut StdRng::seed_from_u64(2), &learning);
        let target = Target::new(theirs, &byol, &mut StdRng::seed_from_u64(3), &plain);
        let (layout, state) = gather(&online);
        let old = gather(&target).1;
        let target = scatter(target, &old);

        let features: Vec<f32> = (0..4 * 10 * 16).map(|i| (i as f32).sin()).collect();
        let input = |device: &Device| {
            Tensor::<3>::from_data(TensorData::new(features.clone(), [4, 10, 16]), device)
        };
        let drop = &mut StdRng::seed_from_u64(4);
        let [_, projection] = target.project(input(&plain), &mut Mode::Train(drop));
        // What is not recorded has no gradient.
        assert!(!projection.is_autodiff());
        let projection = Tensor::from_data(projection.into_data(), &learning);
        let seen = online.see(input(&learning), &mut Mode::Train(drop));
        let gradients = loss(seen.prediction, projection).backward();
        let gradient = gather_gradients(&online, &gradients);
        assert!(gradient.iter().any(|x| x.abs() > 0.0));

        let mut new = old.clone();
        follow(&layout, 0.9, &state, &mut new);
        let mut moved = 0;
        for segment in layout.trained().filter(|it| it.range.end <= old.len()) {
            for at in segment.range.clone() {
                let want = 0.9 * f64::from(old[at]) + 0.1 * f64::from(state[at]);
                assert!((f64::from(new[at]) - want).abs() < 1e-6);
                moved += 1;
            }
        }
        let resting = (0..old.len()).filter(|&at| new[at].to_bits() == old[at].to_bits());
        assert!(
            moved > 300 && resting.count() > 0,
            "running statistics stay"
        );
    }
}
