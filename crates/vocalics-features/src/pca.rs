//! Principal components.

use serde::{Deserialize, Serialize};
use vocalics_dsp::narrow;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::standardise::expect_count;

/// Sweeps after which the rotation of the covariance matrix ends at the latest.
const MAX_SWEEPS: usize = 60;

/// Directions of largest variance: `y = C · (x − mean)`.
///
/// Fitted on training clips alone and stored with the model. Features on different scales are to be
/// standardised first ([`Standardiser`](crate::Standardiser)).
///
/// # Shapes
/// `[n_rows, n_features]` to `[n_rows, n_components]`.
///
/// Source: I. Jolliffe, *Principal Component Analysis*, Springer, 2002; eigenvectors by cyclic Jacobi
/// rotations, G. Golub, C. Van Loan, *Matrix Computations*, section 8.5.
/// Reference: `sklearn.decomposition.PCA`, within 1e-3 of the largest value, up to the sign of a
/// component; here the largest weight of each component is positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", deny_unknown_fields)]
pub struct Pca {
    mean: Vec<f32>,
    components: Vec<Vec<f32>>,
    explained_variance: Vec<f32>,
    explained_ratio: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    mean: Vec<f32>,
    components: Vec<Vec<f32>>,
    explained_variance: Vec<f32>,
    explained_ratio: Vec<f32>,
}

impl TryFrom<Stored> for Pca {
    type Error = FeatureError;

    fn try_from(stored: Stored) -> Result<Self, FeatureError> {
        let n_features = stored.mean.len();
        let n_components = stored.components.len();
        for row in &stored.components {
            expect_count("weights of a component", n_features, row.len())?;
        }
        expect_count(
            "explained variances",
            n_components,
            stored.explained_variance.len(),
        )?;
        expect_count(
            "explained ratios",
            n_components,
            stored.explained_ratio.len(),
        )?;
        let all = stored
            .components
            .iter()
            .flatten()
            .chain(&stored.mean)
            .chain(&stored.explained_variance)
            .chain(&stored.explained_ratio);
        for (index, &value) in all.enumerate() {
            if !value.is_finite() {
                return Err(FeatureError::Value {
                    what: "stored value",
                    index,
                    value,
                    expected: "a finite number",
                });
            }
        }
        Ok(Self {
            mean: stored.mean,
            components: stored.components,
            explained_variance: stored.explained_variance,
            explained_ratio: stored.explained_ratio,
        })
    }
}

impl Pca {
    /// Fits the first `n_components` components to the rows of a matrix.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] unless there are at least 2 rows and `n_components` is 1 to the number of
    /// features; [`FeatureError::Value`] on a value that is not finite.
    pub fn fit(features: &FeatureMatrix, n_components: usize) -> Result<Self, FeatureError> {
        let (n_rows, n) = (features.n_frames(), features.n_features());
        if n_rows < 2 {
            return Err(FeatureError::Shape {
                what: "number of rows",
                expected: "at least 2".to_owned(),
                actual: n_rows,
            });
        }
        if n_components == 0 || n_components > n {
            return Err(FeatureError::Shape {
                what: "number of components",
                expected: format!("1 to {n}"),
                actual: n_components,
            });
        }
        features.check_finite()?;
        let mut mean = vec![0.0_f64; n];
        for row in features.rows() {
            for (mean, x) in mean.iter_mut().zip(row) {
                *mean += f64::from(*x) / n_rows as f64;
            }
        }
        let mut covariance = vec![0.0; n * n];
        let mut away = vec![0.0; n];
        for row in features.rows() {
            for ((d, x), mean) in away.iter_mut().zip(row).zip(&mean) {
                *d = f64::from(*x) - mean;
            }
            for (i, a) in away.iter().enumerate() {
                for (sum, b) in covariance[i * n..][..n].iter_mut().zip(&away) {
                    *sum += a * b / (n_rows - 1) as f64;
                }
            }
        }
        let total: f64 = (0..n).map(|i| covariance[i * n + i]).sum();
        let vectors = diagonalise(&mut covariance, n);
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|a, b| covariance[b * n + b].total_cmp(&covariance[a * n + a]));
        order.truncate(n_components);
        let variance = |i: &usize| covariance[i * n + i].max(0.0);
        let components =
            order
                .iter()
                .map(|&i| {
                    let vector: Vec<f64> = (0..n).map(|row| vectors[row * n + i]).collect();
                    let largest = vector.iter().copied().fold(0.0, |best: f64, x| {
                        if x.abs() > best.abs() { x } else { best }
                    });
                    vector
                        .iter()
                        .map(|x| narrow(x * largest.signum()))
                        .collect()
                })
                .collect();
        Ok(Self {
            mean: mean.iter().map(|x| narrow(*x)).collect(),
            components,
            explained_variance: order.iter().map(|i| narrow(variance(i))).collect(),
            explained_ratio: order
                .iter()
                .map(|i| {
                    if total > 0.0 {
                        narrow(variance(i) / total)
                    } else {
                        0.0
                    }
                })
                .collect(),
        })
    }

    /// Weights of each component `[n_components][n_features]`, of unit length.
    #[must_use]
    pub fn components(&self) -> &[Vec<f32>] {
        &self.components
    }

    /// Variance along each component, falling.
    #[must_use]
    pub fn explained_variance(&self) -> &[f32] {
        &self.explained_variance
    }

    /// The same by the total variance, in [0, 1]; 0 when nothing varies.
    #[must_use]
    pub fn explained_ratio(&self) -> &[f32] {
        &self.explained_ratio
    }

    /// Features of a row.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.mean.len()
    }

    /// Scores `[n_rows, n_components]` of rows `[n_rows, n_features]`.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if the matrix has another number of features.
    pub fn apply(&self, features: &FeatureMatrix) -> Result<FeatureMatrix, FeatureError> {
        if features.n_features() != self.mean.len() {
            return Err(FeatureError::Shape {
                what: "number of features",
                expected: self.mean.len().to_string(),
                actual: features.n_features(),
            });
        }
        let scores = features
            .rows()
            .flat_map(|row| {
                self.components.iter().map(move |weights| {
                    let sum: f64 = weights
                        .iter()
                        .zip(row.iter().zip(&self.mean))
                        .map(|(w, (x, mean))| f64::from(*w) * (f64::from(*x) - f64::from(*mean)))
                        .sum();
                    narrow(sum)
                })
            })
            .collect();
        FeatureMatrix::new(scores, self.components.len())
    }
}

/// Rotates a symmetric matrix `[n, n]` until it is diagonal; returns the eigenvectors as columns.
fn diagonalise(matrix: &mut [f64], n: usize) -> Vec<f64> {
    let mut vectors = vec![0.0; n * n];
    for i in 0..n {
        vectors[i * n + i] = 1.0;
    }
    let scale: f64 = matrix.iter().map(|x| x * x).sum();
    for _ in 0..MAX_SWEEPS {
        let off: f64 = (0..n)
            .flat_map(|p| (p + 1..n).map(move |q| p * n + q))
            .map(|at| matrix[at] * matrix[at])
            .sum();
        if off <= 1e-24 * scale {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                let across = matrix[p * n + q];
                if across.abs() < f64::MIN_POSITIVE {
                    continue;
                }
                let theta = (matrix[q * n + q] - matrix[p * n + p]) / (2.0 * across);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for k in 0..n {
                    let (a, b) = (matrix[k * n + p], matrix[k * n + q]);
                    matrix[k * n + p] = c * a - s * b;
                    matrix[k * n + q] = s * a + c * b;
                }
                for k in 0..n {
                    let (a, b) = (matrix[p * n + k], matrix[q * n + k]);
                    matrix[p * n + k] = c * a - s * b;
                    matrix[q * n + k] = s * a + c * b;
                }
                for k in 0..n {
                    let (a, b) = (vectors[k * n + p], vectors[k * n + q]);
                    vectors[k * n + p] = c * a - s * b;
                    vectors[k * n + q] = s * a + c * b;
                }
            }
        }
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_have_one_component() {
        let rows: Vec<f32> = (0..20_u8)
            .flat_map(|t| [f32::from(t), 2.0 * f32::from(t) + 1.0])
            .collect();
        let pca = Pca::fit(&FeatureMatrix::new(rows.clone(), 2).unwrap(), 2).unwrap();
        assert!((pca.explained_ratio()[0] - 1.0).abs() < 1e-6);
        assert!((pca.components()[0][1] / pca.components()[0][0] - 2.0).abs() < 1e-5);
        let scores = pca.apply(&FeatureMatrix::new(rows, 2).unwrap()).unwrap();
        assert!(scores.rows().all(|row| row[1].abs() < 1e-5));
    }

    #[test]
    fn bad_input_is_refused_and_storing_keeps_the_values() {
        let flat = FeatureMatrix::new(vec![2.0; 12], 3).unwrap();
        let pca = Pca::fit(&flat, 2).unwrap();
        assert_eq!(pca.explained_ratio(), [0.0, 0.0]);
        assert!(Pca::fit(&flat, 0).is_err() && Pca::fit(&flat, 4).is_err());
        assert!(Pca::fit(&FeatureMatrix::new(vec![1.0], 1).unwrap(), 1).is_err());
        assert!(
            pca.apply(&FeatureMatrix::new(vec![1.0], 1).unwrap())
                .is_err()
        );
        let text = serde_json::to_string(&pca).unwrap();
        assert_eq!(serde_json::from_str::<Pca>(&text).unwrap(), pca);
        let bad = r#"{"mean":[0.0],"components":[[1.0,2.0]],"explained_variance":[1.0],"explained_ratio":[1.0]}"#;
        assert!(serde_json::from_str::<Pca>(bad).is_err());
    }
}
