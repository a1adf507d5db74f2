use vocalics_dsp::delta::{DeltaKernel, delta};

use crate::error::FeatureError;

/// Features over time, row-major `[n_frames, n_features]`.
///
/// A matrix may have no frame (a stream that has not yet filled one), but always has a feature.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMatrix {
    data: Vec<f32>,
    n_features: usize,
}

impl FeatureMatrix {
    /// Wraps row-major data.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if `n_features` is 0 or does not divide the length;
    /// [`FeatureError::Value`] if a value is not finite.
    pub fn new(data: Vec<f32>, n_features: usize) -> Result<Self, FeatureError> {
        if n_features == 0 {
            return Err(FeatureError::Shape {
                what: "number of features",
                expected: "at least 1".to_owned(),
                actual: 0,
            });
        }
        if !data.len().is_multiple_of(n_features) {
            return Err(FeatureError::Shape {
                what: "number of values",
                expected: format!("a multiple of {n_features}"),
                actual: data.len(),
            });
        }
        let matrix = Self { data, n_features };
        matrix.check_finite()?;
        Ok(matrix)
    }

    /// Refuses a value that is not finite, which can have come in through
    /// [`as_mut_slice`](Self::as_mut_slice).
    pub(crate) fn check_finite(&self) -> Result<(), FeatureError> {
        let found = self.data.iter().position(|x| !x.is_finite());
        found.map_or(Ok(()), |index| {
            Err(FeatureError::Value {
                what: "feature value",
                index,
                value: self.data[index],
                expected: "a finite number",
            })
        })
    }

    /// Wraps data that is finite and of whole rows by construction.
    pub(crate) fn from_rows(data: Vec<f32>, n_features: usize) -> Self {
        debug_assert!(n_features > 0 && data.len().is_multiple_of(n_features));
        Self { data, n_features }
    }

    /// Number of frames (rows).
    #[must_use]
    pub fn n_frames(&self) -> usize {
        self.data.len() / self.n_features
    }

    /// Number of features per frame (columns).
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// All values, row-major `[n_frames, n_features]`.
    #[must_use]
    pub fn as_slice(&self) -> &[f32] {
        &self.data
    }

    /// All values for change in place; whoever writes keeps them finite.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// One frame `[n_features]`.
    ///
    /// # Panics
    /// If `frame` is not below [`n_frames`](Self::n_frames), as indexing a slice does.
    #[must_use]
    pub fn row(&self, frame: usize) -> &[f32] {
        &self.data[frame * self.n_features..(frame + 1) * self.n_features]
    }

    /// Frames in order, each `[n_features]`.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.data.chunks_exact(self.n_features)
    }

    /// The first columns alone, `[n_frames, count]`.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if there are fewer, or `count` is 0.
    pub fn first_columns(&self, count: usize) -> Result<Self, FeatureError> {
        if !(1..=self.n_features).contains(&count) {
            return Err(FeatureError::Shape {
                what: "number of columns",
                expected: format!("1 to {}", self.n_features),
                actual: count,
            });
        }
        let rows = self.rows().flat_map(|row| &row[..count]).copied();
        Ok(Self::from_rows(rows.collect(), count))
    }

    /// Gives the row-major values away.
    #[must_use]
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }

    /// Regression deltas over time, same shape.
    ///
    /// # Errors
    /// [`FeatureError::Signal`] unless `width` is odd and at least 3 and `order` is 1 or 2.
    ///
    /// Reference: `librosa.feature.delta(width=width, order=order, mode="nearest")`, within 1e-5
    /// of the largest input value.
    pub fn delta(&self, width: usize, order: usize) -> Result<Self, FeatureError> {
        let kernel = DeltaKernel::new(width, order)?;
        Ok(Self::from_rows(
            delta(&self.data, self.n_features, &kernel),
            self.n_features,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_is_checked_and_kept() {
        let matrix = FeatureMatrix::new((0..6u8).map(f32::from).collect(), 3).unwrap();
        assert_eq!((matrix.n_frames(), matrix.n_features()), (2, 3));
        assert_eq!(matrix.row(1), [3.0, 4.0, 5.0]);
        assert_eq!(matrix.rows().len(), 2);
        assert_eq!(matrix.clone().into_vec(), matrix.as_slice());
        assert_eq!(FeatureMatrix::new(vec![], 4).unwrap().n_frames(), 0);
        assert!(matches!(
            FeatureMatrix::new(vec![1.0], 0),
            Err(FeatureError::Shape { .. })
        ));
        assert!(matches!(
            FeatureMatrix::new(vec![1.0; 5], 2),
            Err(FeatureError::Shape { .. })
        ));
        assert!(matches!(
            FeatureMatrix::new(vec![1.0, f32::NAN], 1),
            Err(FeatureError::Value { index: 1, .. })
        ));
    }

    #[test]
    fn delta_of_a_ramp_is_its_slope() {
        let matrix =
            FeatureMatrix::new((0..20u8).map(|x| 2.0 * f32::from(x)).collect(), 1).unwrap();
        let delta = matrix.delta(5, 1).unwrap();
        assert!(
            delta.as_slice()[2..18]
                .iter()
                .all(|d| (d - 2.0).abs() < 1e-5)
        );
        assert!(matrix.delta(4, 1).is_err());
    }
}
