//! Regression deltas, whole matrix and streaming.

use std::collections::VecDeque;

use crate::error::DspError;
use crate::narrow;

/// Weights of a regression delta.
///
/// Order 1 is the slope of the least-squares line over `width` frames,
/// `Σ n·x[t+n] / Σ n²`; order 2 the second derivative of the least-squares parabola.
///
/// Source: A. Savitzky, M. Golay, *Analytical Chemistry* 36(8), 1964.
#[derive(Debug, Clone, PartialEq)]
pub struct DeltaKernel {
    weights: Vec<f32>,
}

impl DeltaKernel {
    /// Computes the weights.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `width` is odd and 3 to 1023 and `order` is 1 or 2.
    pub fn new(width: usize, order: usize) -> Result<Self, DspError> {
        if !(3..1024).contains(&width) || width.is_multiple_of(2) {
            return Err(DspError::parameter(
                "width",
                "an odd number from 3 to 1023",
                width,
            ));
        }
        let offset = |k: usize| k as f64 - (width / 2) as f64;
        let moment = |power: i32| (0..width).map(|k| offset(k).powi(power)).sum::<f64>();
        let (count, second) = (width as f64, moment(2));
        let weight: Box<dyn Fn(f64) -> f64> = match order {
            1 => Box::new(|n| n / second),
            2 => {
                let scale = 2.0 / (moment(4) - second * second / count);
                Box::new(move |n| scale * (n * n - second / count))
            }
            _ => return Err(DspError::parameter("order", "1 or 2", order)),
        };
        Ok(Self {
            weights: (0..width).map(|k| narrow(weight(offset(k)))).collect(),
        })
    }

    /// Frames the delta looks over.
    #[must_use]
    pub fn width(&self) -> usize {
        self.weights.len()
    }

    /// Frames the delta looks ahead (and back): `width / 2`.
    #[must_use]
    pub fn look_ahead(&self) -> usize {
        self.weights.len() / 2
    }
}

/// Deltas over time of a row-major matrix `[n_frames, n_features]`, same shape.
///
/// The first and last frames stand for what lies beyond the ends.
///
/// # Panics
/// If `n_features` is 0 or does not divide the number of values.
///
/// Reference: `librosa.feature.delta(x.T, width=width, order=order, mode="nearest").T`, within
/// 1e-5 of the largest input value.
#[must_use]
pub fn delta(features: &[f32], n_features: usize, kernel: &DeltaKernel) -> Vec<f32> {
    assert!(
        n_features > 0 && features.len().is_multiple_of(n_features),
        "features must be whole rows of n_features values"
    );
    let n_frames = features.len() / n_features;
    let half = kernel.look_ahead();
    let mut out = vec![0.0; features.len()];
    for (frame, row) in out.chunks_exact_mut(n_features).enumerate() {
        for (k, &weight) in kernel.weights.iter().enumerate() {
            let source = (frame + k).saturating_sub(half).min(n_frames - 1);
            let source = &features[source * n_features..(source + 1) * n_features];
            for (y, x) in row.iter_mut().zip(source) {
                *y += weight * x;
            }
        }
    }
    out
}

/// Deltas of rows that arrive one by one, with the same bits as [`delta`] on the whole.
///
/// Each row comes out [`look_ahead`](DeltaKernel::look_ahead) rows late.
#[derive(Debug, Clone)]
pub struct DeltaStream {
    kernel: DeltaKernel,
    n_features: usize,
    history: VecDeque<Vec<f32>>,
}

impl DeltaStream {
    /// Starts a stream of rows of `n_features` values.
    ///
    /// # Errors
    /// [`DspError::Parameter`] if `n_features` is 0.
    pub fn new(kernel: DeltaKernel, n_features: usize) -> Result<Self, DspError> {
        if n_features == 0 {
            return Err(DspError::parameter("n_features", "at least 1", n_features));
        }
        Ok(Self {
            history: VecDeque::with_capacity(kernel.width()),
            kernel,
            n_features,
        })
    }

    /// Takes one row `[n_features]` in; writes the delta of the row `look_ahead` rows earlier into
    /// `out` and returns `true`, or returns `false` while there is none.
    ///
    /// # Errors
    /// [`DspError::Parameter`] if a length is not `n_features`; nothing is taken in then.
    pub fn push(&mut self, row: &[f32], out: &mut [f32]) -> Result<bool, DspError> {
        for (name, length) in [("row length", row.len()), ("output length", out.len())] {
            if length != self.n_features {
                return Err(DspError::parameter(
                    name,
                    self.n_features.to_string(),
                    length,
                ));
            }
        }
        let (width, half) = (self.kernel.width(), self.kernel.look_ahead());
        if self.history.is_empty() {
            // The first row also stands for everything before it.
            self.history
                .extend(std::iter::repeat_n(row.to_vec(), half + 1));
            return Ok(false);
        }
        self.advance(row);
        Ok(if self.history.len() < width {
            false
        } else {
            self.write(out);
            true
        })
    }

    /// Ends the stream: the deltas still owed, row-major, possibly none. The stream starts afresh.
    pub fn finish(&mut self) -> Vec<f32> {
        let (width, half) = (self.kernel.width(), self.kernel.look_ahead());
        let Some(last) = self.history.back().cloned() else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let mut row = vec![0.0; self.n_features];
        for _ in 0..half {
            self.advance(&last);
            if self.history.len() == width {
                self.write(&mut row);
                out.extend_from_slice(&row);
            }
        }
        self.history.clear();
        out
    }

    fn advance(&mut self, row: &[f32]) {
        let recycled = if self.history.len() == self.kernel.width() {
            self.history.pop_front()
        } else {
            None
        };
        let mut next = recycled.unwrap_or_else(|| vec![0.0; self.n_features]);
        next.copy_from_slice(row);
        self.history.push_back(next);
    }

    fn write(&self, out: &mut [f32]) {
        out.fill(0.0);
        for (&weight, row) in self.kernel.weights.iter().zip(&self.history) {
            for (y, x) in out.iter_mut().zip(row) {
                *y += weight * x;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_polynomials_have_known_derivatives() {
        let parabola: Vec<f32> = (0..30u8).map(|t| 0.5 * f32::from(t).powi(2)).collect();
        let first = delta(&parabola, 1, &DeltaKernel::new(9, 1).unwrap());
        let second = delta(&parabola, 1, &DeltaKernel::new(9, 2).unwrap());
        for t in 4..26u8 {
            assert!((first[usize::from(t)] - f32::from(t)).abs() < 1e-3, "{t}");
            assert!((second[usize::from(t)] - 1.0).abs() < 1e-3, "{t}");
        }
        assert!(
            delta(&[3.0; 7], 1, &DeltaKernel::new(9, 1).unwrap())
                .iter()
                .all(|d| *d < 1e-6)
        );
        assert!(delta(&[], 4, &DeltaKernel::new(9, 1).unwrap()).is_empty());
    }

    #[test]
    fn senseless_parameters_are_refused() {
        for (width, order) in [(0, 1), (1, 1), (4, 1), (1025, 1), (9, 0), (9, 3)] {
            assert!(DeltaKernel::new(width, order).is_err(), "{width} {order}");
        }
        let kernel = DeltaKernel::new(3, 1).unwrap();
        assert!(DeltaStream::new(kernel.clone(), 0).is_err());
        let mut stream = DeltaStream::new(kernel, 2).unwrap();
        assert!(stream.push(&[0.0], &mut [0.0; 2]).is_err());
        assert!(stream.push(&[0.0; 2], &mut [0.0; 1]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn streaming_equals_batch(
            values in proptest::collection::vec(-50.0_f32..50.0, 0..120),
            n_features in 1_usize..4,
            half in 1_usize..6,
            order in 1_usize..3,
        ) {
            let values = &values[..values.len() / n_features * n_features];
            let kernel = DeltaKernel::new(2 * half + 1, order).unwrap();
            let batch = delta(values, n_features, &kernel);
            let mut stream = DeltaStream::new(kernel, n_features).unwrap();
            let mut streamed = Vec::new();
            let mut out = vec![0.0; n_features];
            for row in values.chunks_exact(n_features) {
                if stream.push(row, &mut out).unwrap() {
                    streamed.extend_from_slice(&out);
                }
            }
            streamed.extend(stream.finish());
            proptest::prop_assert_eq!(streamed, batch);
        }
    }
}
