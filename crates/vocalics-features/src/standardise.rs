use serde::{Deserialize, Serialize};
use vocalics_dsp::narrow;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;

/// Zero mean and unit deviation per feature: `(x − mean) / std`.
///
/// Fitted on training clips alone and stored with the model.
///
/// Reference: `sklearn.preprocessing.StandardScaler`, within 1e-5.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", deny_unknown_fields)]
pub struct Standardiser {
    mean: Vec<f32>,
    std: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl TryFrom<Stored> for Standardiser {
    type Error = FeatureError;

    fn try_from(stored: Stored) -> Result<Self, FeatureError> {
        Self::new(stored.mean, stored.std)
    }
}

impl Standardiser {
    /// Takes known means and deviations, one per feature.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if they are empty or differ in length; [`FeatureError::Value`] if a
    /// mean is not finite or a deviation not a finite number above 0.
    pub fn new(mean: Vec<f32>, std: Vec<f32>) -> Result<Self, FeatureError> {
        if mean.is_empty() {
            return Err(FeatureError::Shape {
                what: "number of means",
                expected: "at least 1".to_owned(),
                actual: 0,
            });
        }
        expect_count("number of standard deviations", mean.len(), std.len())?;
        if let Some(index) = mean.iter().position(|x| !x.is_finite()) {
            return Err(FeatureError::Value {
                what: "mean",
                index,
                value: mean[index],
                expected: "a finite number",
            });
        }
        if let Some(index) = std.iter().position(|x| !(x.is_normal() && *x > 0.0)) {
            return Err(FeatureError::Value {
                what: "standard deviation",
                index,
                value: std[index],
                expected: "a finite number above 0",
            });
        }
        Ok(Self { mean, std })
    }

    /// Fits over all frames of all matrices.
    ///
    /// # Errors
    /// As [`StandardiserFit::push`] and [`StandardiserFit::finish`].
    pub fn fit<'a>(
        matrices: impl IntoIterator<Item = &'a FeatureMatrix>,
    ) -> Result<Self, FeatureError> {
        let mut matrices = matrices.into_iter().peekable();
        let n_features = matrices.peek().map_or(0, |matrix| matrix.n_features());
        let mut fit = StandardiserFit::new(n_features);
        for matrix in matrices {
            fit.push(matrix)?;
        }
        fit.finish()
    }

    /// Means `[n_features]`.
    #[must_use]
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Standard deviations `[n_features]`, all above 0.
    #[must_use]
    pub fn std(&self) -> &[f32] {
        &self.std
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.mean.len()
    }

    /// Standardises in place.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if the matrix has another number of features.
    pub fn apply(&self, features: &mut FeatureMatrix) -> Result<(), FeatureError> {
        expect_count(
            "number of features",
            self.n_features(),
            features.n_features(),
        )?;
        for row in features.as_mut_slice().chunks_exact_mut(self.mean.len()) {
            for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = (*x - mean) / std;
            }
        }
        Ok(())
    }

    /// Undoes [`apply`](Self::apply) in place.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if the matrix has another number of features.
    pub fn invert(&self, features: &mut FeatureMatrix) -> Result<(), FeatureError> {
        expect_count(
            "number of features",
            self.n_features(),
            features.n_features(),
        )?;
        for row in features.as_mut_slice().chunks_exact_mut(self.mean.len()) {
            for ((x, mean), std) in row.iter_mut().zip(&self.mean).zip(&self.std) {
                *x = *x * std + mean;
            }
        }
        Ok(())
    }
}

/// Running mean and variance per feature in `f64`; parts fitted apart can be merged.
///
/// Source: B. P. Welford, *Technometrics* 4(3), 1962; merging after T. Chan, G. Golub, R. LeVeque,
/// *Updating Formulae and a Pairwise Algorithm for Computing Sample Variances*, 1979.
#[derive(Debug, Clone, PartialEq)]
pub struct StandardiserFit {
    count: u64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl StandardiserFit {
    /// Starts with nothing seen.
    #[must_use]
    pub fn new(n_features: usize) -> Self {
        Self {
            count: 0,
            mean: vec![0.0; n_features],
            squares: vec![0.0; n_features],
        }
    }

    /// Takes in every frame of a matrix.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if the matrix has another number of features;
    /// [`FeatureError::Value`] on a value that is not finite, before anything is taken in.
    pub fn push(&mut self, features: &FeatureMatrix) -> Result<(), FeatureError> {
        expect_count("number of features", self.mean.len(), features.n_features())?;
        features.check_finite()?;
        for row in features.rows() {
            self.count += 1;
            let count = self.count as f64;
            for ((mean, squares), x) in self.mean.iter_mut().zip(&mut self.squares).zip(row) {
                let x = f64::from(*x);
                let delta = x - *mean;
                *mean += delta / count;
                *squares += delta * (x - *mean);
            }
        }
        Ok(())
    }

    /// Takes in what another has seen.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if the other has another number of features.
    pub fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
        expect_count("number of features", self.mean.len(), other.mean.len())?;
        if other.count == 0 {
            return Ok(());
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let sum = a + b;
        for i in 0..self.mean.len() {
            let delta = other.mean[i] - self.mean[i];
            self.mean[i] += delta * b / sum;
            self.squares[i] += other.squares[i] + delta * delta * a * b / sum;
        }
        self.count += other.count;
        Ok(())
    }

    /// Frames seen so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Means and population deviations of what was seen.
    ///
    /// A feature that does not vary beyond rounding gets the deviation 1, so that it becomes 0.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if no frame was seen.
    pub fn finish(&self) -> Result<Standardiser, FeatureError> {
        if self.count == 0 {
            return Err(FeatureError::Shape {
                what: "number of frames",
                expected: "at least 1".to_owned(),
                actual: 0,
            });
        }
        let std = self.squares.iter().zip(&self.mean).map(|(squares, mean)| {
            let std = (squares / self.count as f64).sqrt();
            let rounding = f64::from(f32::EPSILON) * mean.abs().max(f64::from(f32::MIN_POSITIVE));
            if std > rounding { narrow(std) } else { 1.0 }
        });
        Standardiser::new(
            self.mean.iter().map(|x| narrow(*x)).collect(),
            std.collect(),
        )
    }
}

pub(crate) fn expect_count(
    what: &'static str,
    expected: usize,
    actual: usize,
) -> Result<(), FeatureError> {
    if expected == actual {
        return Ok(());
    }
    Err(FeatureError::Shape {
        what,
        expected: expected.to_string(),
        actual,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(values: &[f32]) -> FeatureMatrix {
        FeatureMatrix::new(values.to_vec(), 2).unwrap()
    }

    #[test]
    fn fit_gives_zero_mean_and_unit_deviation() {
        let (a, b) = (matrix(&[1.0, 10.0, 2.0, 30.0]), matrix(&[6.0, 20.0]));
        let fitted = Standardiser::fit([&a, &b]).unwrap();
        assert_eq!(fitted.mean(), [3.0, 20.0]);
        assert!((fitted.std()[0] - (14.0_f32 / 3.0).sqrt()).abs() < 1e-6);
        let mut applied = a.clone();
        fitted.apply(&mut applied).unwrap();
        assert!((applied.row(0)[1] + 10.0 / (200.0_f32 / 3.0).sqrt()).abs() < 1e-6);
        fitted.invert(&mut applied).unwrap();
        for (x, y) in applied.as_slice().iter().zip(a.as_slice()) {
            assert!((x - y).abs() < 1e-5);
        }
    }

    #[test]
    fn parts_fitted_apart_merge_to_the_whole() {
        let values: Vec<f32> = (0..400).map(|i| 1000.0 + ((i * 71) % 97) as f32).collect();
        let mut whole = StandardiserFit::new(2);
        whole.push(&matrix(&values)).unwrap();
        let (mut left, mut right) = (StandardiserFit::new(2), StandardiserFit::new(2));
        left.push(&matrix(&values[..34])).unwrap();
        right.push(&matrix(&values[34..])).unwrap();
        left.merge(&right).unwrap();
        left.merge(&StandardiserFit::new(2)).unwrap();
        assert_eq!(left.count(), 200);
        let (merged, whole) = (left.finish().unwrap(), whole.finish().unwrap());
        for i in 0..2 {
            assert!((merged.mean()[i] - whole.mean()[i]).abs() < 1e-3);
            assert!((merged.std()[i] - whole.std()[i]).abs() < 1e-4);
        }
    }

    #[test]
    fn a_feature_that_never_varies_becomes_zero() {
        let mut features = matrix(&[-23.025_85, 1.0, -23.025_85, 2.0, -23.025_85, 4.0]);
        let fitted = Standardiser::fit([&features]).unwrap();
        fitted.apply(&mut features).unwrap();
        assert!(features.rows().all(|row| row[0].abs() < 1e-5));
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(matches!(
            Standardiser::fit([]),
            Err(FeatureError::Shape { .. })
        ));
        assert!(Standardiser::new(vec![0.0], vec![0.0]).is_err());
        assert!(Standardiser::new(vec![0.0], vec![1.0, 1.0]).is_err());
        assert!(Standardiser::new(vec![f32::NAN], vec![1.0]).is_err());
        let fitted = Standardiser::new(vec![0.0; 3], vec![1.0; 3]).unwrap();
        assert!(fitted.apply(&mut matrix(&[1.0, 2.0])).is_err());
        let mut spoilt = matrix(&[1.0, 2.0]);
        spoilt.as_mut_slice()[1] = f32::NAN;
        assert!(matches!(
            Standardiser::fit([&spoilt]),
            Err(FeatureError::Value { index: 1, .. })
        ));
    }

    #[test]
    fn storing_keeps_the_values_and_loading_checks_them() {
        let fitted = Standardiser::new(vec![0.1, -2.0], vec![1.5, 3.0]).unwrap();
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(serde_json::from_str::<Standardiser>(&text).unwrap(), fitted);
        for bad in [
            r#"{"mean":[0.0],"std":[0.0]}"#,
            r#"{"mean":[0.0],"std":[]}"#,
            r#"{"mean":[0.0],"std":[1.0],"extra":1}"#,
        ] {
            assert!(serde_json::from_str::<Standardiser>(bad).is_err(), "{bad}");
        }
    }
}
