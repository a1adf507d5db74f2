//! Multinomial logistic regression.

use serde::{Deserialize, Serialize};
use vocalics_kernels::matmul::{Into, View, matmul};

use super::lbfgs::minimise;
use super::sample::{Sample, log_sum_exp, single};

/// Largest component of the gradient at which the weights count as found.
const TOLERANCE: f64 = 1e-3;

/// Multinomial logistic regression with a penalty on the squared weights, but not on the intercepts.
///
/// Minimises `Σ_i −ln p(class_i | x_i) + ‖W‖² / (2 C)`.
///
/// # Shapes
/// Weights `[n_classes, n_features + 1]`, the intercept last.
///
/// Source: C. Bishop, *Pattern Recognition and Machine Learning*, 2006, section 4.3.4.
/// Reference: `sklearn.linear_model.LogisticRegression(C=c)`, probabilities within 1e-4.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Logistic {
    weights: Vec<f32>,
    n_features: usize,
}

/// Hyper-parameters of logistic regression to choose from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogisticConfig {
    /// Reciprocal strength of the penalty; default 0.001, 0.01, 0.1, 1.
    pub c: Vec<f64>,
    /// Most steps of the minimisation; default 300.
    pub iterations: usize,
}

impl Default for LogisticConfig {
    fn default() -> Self {
        Self {
            c: vec![0.001, 0.01, 0.1, 1.0],
            iterations: 300,
        }
    }
}

impl Logistic {
    pub(super) fn fit(sample: Sample<'_>, c: f64, iterations: usize) -> Self {
        let (n, d, k) = (sample.n_clips(), sample.n_features(), sample.n_classes);
        let width = d + 1;
        let mut inputs = Vec::with_capacity(n * width);
        for row in sample.vectors.rows() {
            inputs.extend(row.iter().map(|&x| f64::from(x)));
            inputs.push(1.0);
        }
        let inputs = View::new(&inputs, [n, width], [width, 1]);
        let mut weights = vec![0.0; k * width];
        let mut scores = vec![0.0; n * k];
        minimise(&mut weights, iterations, TOLERANCE, |weights, gradient| {
            let view = View::new(weights, [k, width], [width, 1]);
            matmul(&mut scores, k, Into::Replace, inputs, view.transposed());
            let mut loss = 0.0;
            for (row, &class) in scores.chunks_exact_mut(k).zip(sample.classes) {
                let total = log_sum_exp(row);
                loss += total - row[class];
                // The gradient of the loss by the scores takes their place.
                row.iter_mut().for_each(|x| *x = (*x - total).exp());
                row[class] -= 1.0;
            }
            let slopes = View::new(&scores, [n, k], [k, 1]);
            matmul(gradient, width, Into::Replace, slopes.transposed(), inputs);
            for (gradient, weights) in gradient
                .chunks_exact_mut(width)
                .zip(weights.chunks_exact(width))
            {
                for (g, w) in gradient.iter_mut().zip(weights).take(d) {
                    *g += w / c;
                    loss += w * w / (2.0 * c);
                }
            }
            loss
        });
        Self {
            weights: weights.into_iter().map(single).collect(),
            n_features: d,
        }
    }

    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        self.weights
            .chunks_exact(self.n_features + 1)
            .map(|row| {
                let (weights, intercept) = row.split_at(self.n_features);
                let product: f32 = weights.iter().zip(vector).map(|(w, x)| w * x).sum();
                product + intercept[0]
            })
            .collect()
    }

    pub(super) fn parameters(&self) -> usize {
        self.weights.len()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::clouds;
    use super::*;

    #[test]
    fn two_equal_clouds_give_the_known_slope() {
        // The log odds of two unit normals at -1 and 1 are 2 x.
        let owned = clouds(&[&[-1.0], &[1.0]], 5000, 3);
        let fitted = Logistic::fit(owned.sample(), 1e6, 300);
        let odds = |x: f32| {
            let logits = fitted.logits(&[x]);
            logits[1] - logits[0]
        };
        assert!((odds(1.0) - odds(0.0) - 2.0).abs() < 0.15, "{}", odds(1.0));
        assert!(odds(0.0).abs() < 0.1, "{}", odds(0.0));
    }

    #[test]
    fn a_small_c_leaves_the_shares() {
        let mut owned = clouds(&[&[-1.0], &[1.0]], 50, 3);
        for class in &mut owned.classes[..20] {
            *class = 0;
        }
        let fitted = Logistic::fit(owned.sample(), 1e-9, 300);
        let logits = fitted.logits(&[3.0]);
        // 60 clips against 40.
        assert!(
            (logits[0] - logits[1] - 1.5_f32.ln()).abs() < 1e-2,
            "{logits:?}"
        );
    }
}
