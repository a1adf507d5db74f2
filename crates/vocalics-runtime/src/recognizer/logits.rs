//! Features to logits and scores, long clips window by window.

use vocalics_features::FeatureMatrix;

use super::Recognizer;
use crate::RuntimeError;

/// Longest stretch of speech the network sees at once, in seconds.
///
/// A longer clip is cut into equal windows no longer than this whose logits are averaged, weighted by
/// their frames. It bounds the memory of a recognition; acted corpora and everyday utterances stay far
/// below it.
pub const MAX_WINDOW_SECS: f64 = 30.0;

impl Recognizer {
    /// Logits of clips of equal length, one row a clip.
    ///
    /// # Shapes
    ///
    /// `features`: `[batch, n_frames, n_mels]`, row-major, from the model's own front end; result:
    /// `[batch][n_classes]`. `n_frames` is run at once, so keep it within [`MAX_WINDOW_SECS`].
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureCount`] when the last clip is not whole, [`RuntimeError::Empty`], or whatever
    /// the engine reports.
    pub fn batch_logits(
        &self,
        features: &[f32],
        n_frames: usize,
    ) -> Result<Vec<Vec<f32>>, RuntimeError> {
        let sample = n_frames * self.metadata.n_features();
        if sample == 0 || features.is_empty() {
            return Err(RuntimeError::Empty);
        }
        whole_rows(features, sample)?;
        let n_classes = self.metadata.labels.len();
        let mut logits = vec![0.0; features.len() / sample * n_classes];
        self.network.run(features, n_frames, &mut logits)?;
        Ok(logits
            .chunks_exact(n_classes)
            .map(<[f32]>::to_vec)
            .collect())
    }

    /// Calibrated scores, in label order, from features computed by the model's own front end.
    ///
    /// # Shapes
    ///
    /// `features`: `[n_frames, n_mels]`, not standardised. Result: `[n_classes]`, sums to 1.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::FeatureWidth`], [`RuntimeError::Empty`], or whatever the engine reports.
    pub fn scores_from_features(&self, features: &FeatureMatrix) -> Result<Vec<f32>, RuntimeError> {
        self.logits_from_features(features)
            .map(|logits| self.calibrated(&logits))
    }

    /// As [`scores_from_features`](Self::scores_from_features), before temperature and softmax.
    ///
    /// # Errors
    ///
    /// As [`scores_from_features`](Self::scores_from_features).
    pub fn logits_from_features(&self, features: &FeatureMatrix) -> Result<Vec<f32>, RuntimeError> {
        let n_mels = self.metadata.n_features();
        if features.n_features() != n_mels {
            return Err(RuntimeError::FeatureWidth {
                expected: n_mels,
                actual: features.n_features(),
            });
        }
        let mut logits = vec![0.0; self.metadata.labels.len()];
        self.logits_into(features.as_slice(), &mut logits)?;
        Ok(logits)
    }

    /// As [`logits_from_features`](Self::logits_from_features), into memory of the caller.
    ///
    /// With our own engine on one thread nothing is allocated, once a clip of that many frames or more
    /// was run and as long as clips stay within [`MAX_WINDOW_SECS`].
    ///
    /// # Shapes
    ///
    /// `features`: `[n_frames, n_mels]`, row-major; `logits`: `[n_classes]`.
    ///
    /// # Errors
    ///
    /// As [`logits_from_features`](Self::logits_from_features); [`RuntimeError::FeatureCount`] when the last
    /// frame is not whole, [`RuntimeError::OutputShape`] when `logits` is of another length.
    pub fn logits_into(&self, features: &[f32], logits: &mut [f32]) -> Result<(), RuntimeError> {
        let n_mels = self.metadata.n_features();
        let expected = self.metadata.labels.len();
        if logits.len() != expected {
            return Err(RuntimeError::OutputShape {
                expected: [1, expected],
                actual: vec![1, logits.len()],
            });
        }
        whole_rows(features, n_mels)?;
        let n_frames = features.len() / n_mels;
        if n_frames == 0 {
            return Err(RuntimeError::Empty);
        }
        if n_frames <= self.window_frames() {
            return self.network.run(features, n_frames, logits);
        }
        let mut mean = vec![0.0_f64; expected];
        for (start, end) in windows(n_frames, self.window_frames()) {
            let rows = &features[start * n_mels..end * n_mels];
            self.network.run(rows, end - start, logits)?;
            #[expect(
                clippy::cast_precision_loss,
                reason = "frame counts are far below 2^52"
            )]
            let weight = (end - start) as f64 / n_frames as f64;
            for (mean, logit) in mean.iter_mut().zip(&*logits) {
                *mean += weight * f64::from(*logit);
            }
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a mean of f32 values lies in the range of f32"
        )]
        for (logit, mean) in logits.iter_mut().zip(mean) {
            *logit = mean as f32;
        }
        Ok(())
    }

    /// Frames of the longest stretch run at once.
    pub(crate) fn window_frames(&self) -> usize {
        if self.metadata.encoder.is_some() {
            // An embedding is of a whole clip; its encoder has windows of its own.
            return 1;
        }
        let config = &self.metadata.front_end;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "rate times 30 s is a small positive number"
        )]
        let frames =
            (MAX_WINDOW_SECS * f64::from(config.sample_rate) / config.hop_length as f64) as usize;
        frames.max(1)
    }
}

fn whole_rows(features: &[f32], per_row: usize) -> Result<(), RuntimeError> {
    let values = features.len();
    if values.is_multiple_of(per_row) {
        Ok(())
    } else {
        Err(RuntimeError::FeatureCount { values, per_row })
    }
}

/// Cuts `n_frames` into the fewest windows of at most `longest`, as equal as can be.
pub(crate) fn windows(n_frames: usize, longest: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n_frames.div_ceil(longest).max(1);
    let (length, rest) = (n_frames / count, n_frames % count);
    (0..count).map(move |index| {
        let start = index * length + index.min(rest);
        (start, start + length + usize::from(index < rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_everything_once() {
        for (n_frames, longest) in [(1, 1), (10, 100), (100, 10), (101, 10), (1875, 1874)] {
            let mut next = 0;
            let mut lengths = Vec::new();
            for (start, end) in windows(n_frames, longest) {
                assert_eq!(start, next);
                lengths.push(end - start);
                next = end;
            }
            assert_eq!(next, n_frames);
            let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
            assert!(*most <= longest && most - least <= 1, "{lengths:?}");
        }
    }
}
