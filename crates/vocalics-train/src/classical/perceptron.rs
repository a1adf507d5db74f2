//! A multi-layer perceptron with one hidden layer.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_kernels::matmul::{Into, View, matmul};

use super::sample::{Sample, count, single};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// One hidden layer of rectified units with dropout, softmax, cross-entropy; Adam with decoupled weight decay, the learning
/// rate falling to 0 along a half cosine. The weights of the last epoch are used.
///
/// `logits = B · max(0, A x + a) + b`
///
/// Source: D. Rumelhart, G. Hinton, R. Williams, *Learning representations by back-propagating errors*, Nature 323, 1986; optimiser: I. Loshchilov and
/// F. Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019; first weights: K. He et al., *Delving Deep into Rectifiers*, ICCV 2015.
/// Reference: gradients by finite differences; `sklearn.neural_network.MLPClassifier`, UAR within a few points (it has no dropout).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Perceptron {
    /// `A`, `[hidden, n_features]`
    inner: Layer,
    /// `B`, `[n_classes, hidden]`
    outer: Layer,
}

/// Hyper-parameters of the multi-layer perceptron.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PerceptronConfig {
    /// Hidden units; default 128.
    pub hidden: usize,
    /// Share of the hidden units that are silent in a step; default 0.5.
    pub dropout: f64,
    /// Decoupled weight decay, to choose from; default 0.1, 1, 3.
    pub weight_decay: Vec<f64>,
    /// Learning rate at the start; default 0.002.
    pub learning_rate: f64,
    /// Clips of a step; default 64.
    pub batch_size: usize,
    /// Passes over the training clips; default 60.
    pub epochs: usize,
}

impl Default for PerceptronConfig {
    fn default() -> Self {
        Self {
            hidden: 128,
            dropout: 0.5,
            weight_decay: vec![0.1, 1.0, 3.0],
            learning_rate: 2e-3,
            batch_size: 64,
            epochs: 60,
        }
    }
}

/// Weights `[outputs, inputs]` and offsets `[outputs]`.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    weights: Vec<f32>,
    offsets: Vec<f32>,
    inputs: usize,
}

impl Layer {
    fn new(inputs: usize, outputs: usize, rng: &mut StdRng) -> Self {
        // Even in ±√(6 / inputs), which has variance 2 / inputs.
        let bound = single((6.0 / count(inputs)).sqrt());
        Self {
            weights: (0..inputs * outputs)
                .map(|_| (2.0 * rng.random::<f32>() - 1.0) * bound)
                .collect(),
            offsets: vec![0.0; outputs],
            inputs,
        }
    }

    fn outputs(&self) -> usize {
        self.offsets.len()
    }

    fn view(&self) -> View<'_, f32> {
        View::new(
            &self.weights,
            [self.outputs(), self.inputs],
            [self.inputs, 1],
        )
    }

    /// `[batch, inputs]` to `[batch, outputs]`.
    fn forward(&self, input: &[f32]) -> Vec<f32> {
        let (batch, n) = (input.len() / self.inputs, self.outputs());
        let mut output: Vec<f32> = (0..batch)
            .flat_map(|_| self.offsets.iter().copied())
            .collect();
        let input = View::new(input, [batch, self.inputs], [self.inputs, 1]);
        matmul(&mut output, n, Into::Add, input, self.view().transposed());
        output
    }

    /// Gradient of weights and offsets, from the input and the gradient of the output.
    fn gradient(&self, input: &[f32], slopes: &[f32]) -> Gradient {
        let (batch, n) = (input.len() / self.inputs, self.outputs());
        let mut weights = vec![0.0; self.weights.len()];
        let input = View::new(input, [batch, self.inputs], [self.inputs, 1]);
        let view = View::new(slopes, [batch, n], [n, 1]);
        matmul(
            &mut weights,
            self.inputs,
            Into::Replace,
            view.transposed(),
            input,
        );
        let mut offsets = vec![0.0; n];
        for row in slopes.chunks_exact(n) {
            for (sum, slope) in offsets.iter_mut().zip(row) {
                *sum += slope;
            }
        }
        Gradient { weights, offsets }
    }

    /// Gradient of the input, from that of the output.
    fn back(&self, slopes: &[f32]) -> Vec<f32> {
        let (batch, n) = (slopes.len() / self.outputs(), self.outputs());
        let mut input = vec![0.0; batch * self.inputs];
        let slopes = View::new(slopes, [batch, n], [n, 1]);
        matmul(&mut input, self.inputs, Into::Replace, slopes, self.view());
        input
    }
}

struct Gradient {
    weights: Vec<f32>,
    offsets: Vec<f32>,
}

/// Running means of the gradient and its square, of one set of numbers.
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Moments {
    fn new(n: usize) -> Self {
        Self {
            first: vec![0.0; n],
            second: vec![0.0; n],
        }
    }

    fn update(&mut self, values: &mut [f32], gradient: &[f32], rate: f32, decay: f32, step: i32) {
        let corrected = rate / (1.0 - BETA_1.powi(step));
        let root = 1.0 / (1.0 - BETA_2.powi(step)).sqrt();
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((value, g), (first, second)) in values.iter_mut().zip(gradient).zip(moments) {
            *first = BETA_1 * *first + (1.0 - BETA_1) * g;
            *second = BETA_2 * *second + (1.0 - BETA_2) * g * g;
            *value -= rate * decay * *value + corrected * *first / (second.sqrt() * root + EPSILON);
        }
    }
}

impl Perceptron {
    pub(super) fn fit(
        sample: Sample<'_>,
        config: &PerceptronConfig,
        weight_decay: f64,
        rng: &mut StdRng,
    ) -> Self {
        let (n, d, k) = (sample.n_clips(), sample.n_features(), sample.n_classes);
        let mut network = Self {
            inner: Layer::new(d, config.hidden, rng),
            outer: Layer::new(config.hidden, k, rng),
        };
        let mut moments = [
            network.inner.weights.len(),
            config.hidden,
            network.outer.weights.len(),
            k,
        ]
        .map(Moments::new);
        let batch_size = config.batch_size.clamp(1, n);
        let steps = n.div_ceil(batch_size) * config.epochs;
        let mut order: Vec<usize> = (0..n).collect();
        let mut step = 0;
        for _ in 0..config.epochs {
            for i in 0..n {
                let other = rng.random_range(i..n);
                order.swap(i, other);
            }
            for clips in order.chunks(batch_size) {
                let done = std::f64::consts::PI * count(step) / count(steps);
                let rate = single(config.learning_rate * f64::midpoint(1.0, done.cos()));
                step += 1;
                let input: Vec<f32> = clips
                    .iter()
                    .flat_map(|&clip| sample.vectors.row(clip).iter().copied())
                    .collect();
                let truth: Vec<usize> = clips.iter().map(|&clip| sample.classes[clip]).collect();
                let kept = single(1.0 - config.dropout);
                let mask: Vec<f32> = (0..clips.len() * config.hidden)
                    .map(|_| {
                        if rng.random::<f32>() < kept {
                            1.0 / kept
                        } else {
                            0.0
                        }
                    })
                    .collect();
                let (_, inner, outer) = network.slopes(&input, &truth, &mask);
                let at = i32::try_from(step).unwrap_or(i32::MAX);
                let decay = single(weight_decay);
                let [a, b, c, e] = &mut moments;
                a.update(&mut network.inner.weights, &inner.weights, rate, decay, at);
                b.update(&mut network.inner.offsets, &inner.offsets, rate, 0.0, at);
                c.update(&mut network.outer.weights, &outer.weights, rate, decay, at);
                e.update(&mut network.outer.offsets, &outer.offsets, rate, 0.0, at);
            }
        }
        network
    }

    /// Mean loss of a batch, and the gradients of both layers. `mask` multiplies the hidden units.
    fn slopes(&self, input: &[f32], truth: &[usize], mask: &[f32]) -> (f64, Gradient, Gradient) {
        let mut hidden = self.inner.forward(input);
        for (unit, mask) in hidden.iter_mut().zip(mask) {
            *unit = unit.max(0.0) * mask;
        }
        let mut slopes = self.outer.forward(&hidden);
        let batch = single(count(truth.len()));
        let mut loss = 0.0;
        for (row, &class) in slopes.chunks_exact_mut(self.outer.outputs()).zip(truth) {
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let total = row.iter().map(|x| (x - most).exp()).sum::<f32>().ln() + most;
            loss += f64::from(total - row[class]);
            row.iter_mut().for_each(|x| *x = (*x - total).exp() / batch);
            row[class] -= 1.0 / batch;
        }
        let outer = self.outer.gradient(&hidden, &slopes);
        let mut back = self.outer.back(&slopes);
        for ((slope, unit), mask) in back.iter_mut().zip(&hidden).zip(mask) {
            *slope *= if *unit > 0.0 { *mask } else { 0.0 };
        }
        let inner = self.inner.gradient(input, &back);
        (loss / count(truth.len()), inner, outer)
    }

    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        let mut hidden = self.inner.forward(vector);
        hidden.iter_mut().for_each(|unit| *unit = unit.max(0.0));
        self.outer.forward(&hidden)
    }

    pub(super) fn parameters(&self) -> usize {
        let of = |layer: &Layer| layer.weights.len() + layer.offsets.len();
        of(&self.inner) + of(&self.outer)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::sample::tests::{clouds, xor};
    use super::*;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let owned = clouds(
            &[&[0.0, 0.5, 1.0], &[1.0, 0.0, -1.0], &[0.3, 0.3, 0.3]],
            4,
            3,
        );
        let mut rng = StdRng::seed_from_u64(2);
        let mut network = Perceptron {
            inner: Layer::new(3, 5, &mut rng),
            outer: Layer::new(5, 3, &mut rng),
        };
        let mask: Vec<f32> = (0..60)
            .map(|i| if i % 4 == 0 { 0.0 } else { 2.0 })
            .collect();
        let (input, truth) = (owned.vectors.as_slice().to_vec(), owned.classes.clone());
        let (_, inner, outer) = network.slopes(&input, &truth, &mask);
        let h = 1e-2;
        let mut check = |of: fn(&mut Perceptron) -> &mut Vec<f32>, gradient: &[f32]| {
            for (i, expected) in gradient.iter().enumerate() {
                let mut loss = |by: f32| {
                    of(&mut network)[i] += by;
                    let loss = network.slopes(&input, &truth, &mask).0;
                    of(&mut network)[i] -= by;
                    loss
                };
                let slope = (loss(h) - loss(-h)) / (2.0 * f64::from(h));
                assert!(
                    (slope - f64::from(*expected)).abs() < 3e-3,
                    "{i}: {slope} {expected}"
                );
            }
        };
        check(|n| &mut n.inner.weights, &inner.weights);
        check(|n| &mut n.inner.offsets, &inner.offsets);
        check(|n| &mut n.outer.weights, &outer.weights);
        check(|n| &mut n.outer.offsets, &outer.offsets);
    }

    #[test]
    fn opposite_corners_are_told_apart() {
        let (train, test) = (xor(60, 7), xor(200, 8));
        let mut rng = StdRng::seed_from_u64(1);
        let config = PerceptronConfig::default();
        let network = Perceptron::fit(train.sample(), &config, 0.1, &mut rng);
        let right = test
            .vectors
            .rows()
            .zip(&test.classes)
            .filter(|(row, class)| {
                let logits = network.logits(row);
                logits[**class] > logits[1 - **class]
            });
        let right = right.count();
        assert!(right > 780, "{right} of 800");
    }
}
