//! What a batch's answers cost.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};

use crate::{DistillationConfig, TrainingConfig};

/// Keeps the slope of `(1 - p)^γ` finite for `γ` below 1.
const SURE: f32 = 1e-6;

/// The loss of a training with the shares of the classes it needs.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    focal_gamma: f32,
    /// `τ · ln(share)` of each class among the training clips; `None` without adjustment.
    offset: Option<Vec<f32>>,
    /// The teacher's share and its temperature, where one is learnt from.
    teacher: Option<(f32, f32)>,
}

impl Loss {
    /// `counts`: training clips of each class, none of them 0.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "clip counts are small, losses single precision"
    )]
    pub(crate) fn new(config: &TrainingConfig, counts: &[usize]) -> Self {
        let total = counts.iter().sum::<usize>() as f64;
        let offset = |count: &usize| config.logit_adjustment * (*count as f64 / total).ln();
        Self {
            focal_gamma: config.focal_gamma as f32,
            teacher: None,
            offset: (config.logit_adjustment > 0.0)
                .then(|| counts.iter().map(|count| offset(count) as f32).collect()),
        }
    }

    /// The same with a teacher beside the labels.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "losses are single precision"
    )]
    pub(crate) fn with_teacher(mut self, config: &DistillationConfig) -> Self {
        self.teacher = Some((config.weight as f32, config.temperature as f32));
        self
    }

    /// `(1 − λ) · hard + λ · T² · soft`, `hard` being [`Self::of`] and `soft = −Σ sₖ · ln softmaxₖ(logits / T) / weight`. The factor
    /// `T²` keeps the gradient's size at any temperature.
    ///
    /// # Shapes
    /// `logits`, `targets` and the teacher's scores `soft`: `[batch, n_classes]`, the latter two weighted; `weight` is the sum of either.
    ///
    /// Source: G. Hinton et al., *Distilling the Knowledge in a Neural Network*, arXiv:1503.02531, 2015, section 2.
    pub(crate) fn taught(
        &self,
        logits: Tensor<2>,
        targets: Tensor<2>,
        soft: Option<Tensor<2>>,
        weight: f32,
    ) -> Tensor<1> {
        let hard = self.of(logits.clone(), targets, weight);
        let (Some(soft), Some((share, temperature))) = (soft, self.teacher) else {
            return hard;
        };
        let log_p = log_softmax(logits / temperature, 1); // [batch, n_classes]
        let soft = (log_p * soft).sum().neg() / weight;
        hard * (1.0 - share) + soft * (share * temperature * temperature)
    }

    /// `−Σ tₖ · (1 − pₖ)^γ · ln pₖ / weight` with `p = softmax(logits + τ · ln share)`.
    ///
    /// With `γ = 0` and `τ = 0` that is cross-entropy. `γ` makes what is known already count less; `τ`
    /// asks for a lead that grows with the share of the class, so that the logits themselves are as if all classes were
    /// as frequent.
    ///
    /// # Shapes
    /// `logits`, `targets`: `[batch, n_classes]`, the targets weighted; `weight` is their sum.
    ///
    /// Source: T.-Y. Lin et al., *Focal Loss for Dense Object Detection*, ICCV 2017; A. K. Menon et al., *Long-Tail
    /// Learning via Logit Adjustment*, ICLR 2021.
    pub(crate) fn of(&self, logits: Tensor<2>, targets: Tensor<2>, weight: f32) -> Tensor<1> {
        let logits = match &self.offset {
            Some(offset) => {
                let data = TensorData::new(offset.clone(), [1, offset.len()]);
                let offset = Tensor::<2>::from_data(data, &logits.device());
                logits + offset
            }
            None => logits,
        };
        let log_p = log_softmax(logits, 1); // [batch, n_classes]
        let terms = log_p.clone() * targets;
        let terms = if self.focal_gamma > 0.0 {
            let doubt = (log_p.exp().neg() + 1.0).clamp_min(SURE);
            terms * doubt.powf_scalar(self.focal_gamma)
        } else {
            terms
        };
        terms.sum().neg() / weight
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    const LOGITS: [f32; 6] = [0.3, -1.2, 2.0, 1.0, 0.0, -0.5];
    const TARGETS: [f32; 6] = [0.9, 0.05, 0.05, 0.0, 1.0, 0.0];

    fn loss(config: &TrainingConfig, logits: &[f32]) -> f64 {
        let device = Device::flex();
        let tensor = |values: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 3]), &device)
        };
        let loss = Loss::new(config, &[6, 3, 1]).of(tensor(logits), tensor(&TARGETS), 2.0);
        f64::from(loss.into_scalar::<f32>())
    }

    /// The formula, one number at a time.
    fn naive(gamma: f64, tau: f64) -> f64 {
        let shares = [0.6, 0.3, 0.1f64];
        let mut sum = 0.0;
        for (logits, targets) in LOGITS.chunks(3).zip(TARGETS.chunks(3)) {
            let raised: Vec<f64> = logits
                .iter()
                .zip(shares)
                .map(|(&z, share)| (f64::from(z) + tau * share.ln()).exp())
                .collect();
            let total: f64 = raised.iter().sum();
            for (raised, &target) in raised.iter().zip(targets) {
                let p = raised / total;
                sum -= f64::from(target) * (1.0 - p).powf(gamma) * p.ln();
            }
        }
        sum / 2.0
    }

    #[test]
    fn each_loss_is_its_formula() {
        for (gamma, tau) in [(0.0, 0.0), (2.0, 0.0), (0.5, 0.0), (0.0, 1.0), (1.5, 0.7)] {
            let config = TrainingConfig {
                focal_gamma: gamma,
                logit_adjustment: tau,
                ..TrainingConfig::default()
            };
            let (got, want) = (loss(&config, &LOGITS), naive(gamma, tau));
            assert!((got - want).abs() < 1e-5, "{gamma} {tau}: {got} {want}");
        }
    }

    #[test]
    fn a_teacher_counts_by_its_share_at_its_temperature() {
        let device = Device::flex();
        let tensor = |values: [f32; 6]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [2, 3]), &device)
        };
        let scores = [0.5, 0.3, 0.2, 0.1, 0.8, 0.1f32];
        let config = TrainingConfig::default();
        let weight = TARGETS.iter().sum::<f32>();
        let hard = {
            let alone = Loss::new(&config, &[1, 1, 1]);
            let hard = alone.of(tensor(LOGITS), tensor(TARGETS), weight);
            f64::from(hard.into_scalar::<f32>())
        };
        for (share, temperature) in [(0.3f32, 2.0f32), (1.0, 1.0), (0.7, 5.0)] {
            let distillation = DistillationConfig {
                weight: f64::from(share),
                temperature: f64::from(temperature),
                ..DistillationConfig::default()
            };
            let mut soft = 0.0;
            for (row, scores) in LOGITS.chunks(3).zip(scores.chunks(3)) {
                let sum: f32 = row.iter().map(|x| (x / temperature).exp()).sum();
                for (x, score) in row.iter().zip(scores) {
                    soft -= score * (x / temperature - sum.ln()) / weight;
                }
            }
            let want =
                hard * f64::from(1.0 - share) + f64::from(share * temperature * temperature * soft);
            let taught = Loss::new(&config, &[1, 1, 1]).with_teacher(&distillation);
            let got = taught.taught(
                tensor(LOGITS),
                tensor(TARGETS),
                Some(tensor(scores)),
                weight,
            );
            let got = f64::from(got.into_scalar::<f32>());
            assert!(
                (got - want).abs() < 1e-4,
                "{share} {temperature}: {got} {want}"
            );
            let alone = taught.taught(tensor(LOGITS), tensor(TARGETS), None, weight);
            assert!((f64::from(alone.into_scalar::<f32>()) - hard).abs() < 1e-6);
        }
    }

    #[test]
    fn a_sure_answer_has_a_finite_focal_slope() {
        let device = Device::flex().autodiff();
        let config = TrainingConfig {
            focal_gamma: 0.5,
            ..TrainingConfig::default()
        };
        let logits = Tensor::<2>::from_data(TensorData::new(vec![60.0f32, 0.0], [1, 2]), &device);
        let logits = logits.require_grad();
        let targets = Tensor::from_data(TensorData::new(vec![1.0f32, 0.0], [1, 2]), &device);
        let gradients = Loss::new(&config, &[1, 1])
            .of(logits.clone(), targets, 1.0)
            .backward();
        let slope = logits.grad(&gradients).unwrap().into_data();
        let slope = slope.try_to_vec::<f32>().unwrap();
        assert!(slope.iter().all(|x| x.is_finite()), "{slope:?}");
    }
}
