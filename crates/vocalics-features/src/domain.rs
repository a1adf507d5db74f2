//! What the clips of a training sound like, to tell what is unlike all of them.

use serde::{Deserialize, Serialize};
use vocalics_dsp::narrow;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::pca::Pca;
use crate::standardise::{Standardiser, expect_count};
use crate::statistics::quantile;

/// Principal components kept at most; what is left over counts as one more, isotropic.
const N_COMPONENTS: usize = 16;
/// Share of the training clips within the limit.
const WITHIN: f64 = 0.995;
/// Least variance of a component of standardised statistics, so that few training clips do not make everything
/// else infinitely far.
const LEAST_VARIANCE: f64 = 1e-2;
/// Added to deviations and to changes from frame to frame before the logarithm, in nats.
const DEVIATION_FLOOR: f64 = 0.05;
const CHANGE_FLOOR: f64 = 0.02;
/// Statistics of each band.
const PER_BAND: usize = 3;

/// Training clips as a Gaussian cloud, and how far from its middle they reach.
///
/// A clip is described by three statistics of each band of its log-mel: the mean, the logarithm of the deviation over time, and
/// the logarithm of the mean change from frame to frame. Standardised, they have the distance of probabilistic
/// principal components,
///
/// ```text
/// d² = (Σ_k c_k² / λ_k + r² / ρ) / n
/// ```
///
/// with `c_k` the first 16 components and `λ_k` their variances, `r²` what they leave of the `n` statistics and `ρ` its
/// mean variance. The limit is the distance within which 99.5 % of the training clips lie.
///
/// Source: M. Tipping, C. Bishop, *Probabilistic principal component analysis*, Journal of the Royal Statistical Society
/// B 61, 1999; as a detector of novelty, M. Pimentel et al., *A review of novelty detection*, Signal Processing 99, 2014,
/// section 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Domain {
    standardiser: Standardiser,
    pca: Pca,
    /// `ρ`.
    residual_variance: f32,
    /// Largest distance of clips like those of the training.
    limit: f32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    standardiser: Standardiser,
    pca: Pca,
    residual_variance: f32,
    limit: f32,
}

impl TryFrom<Stored> for Domain {
    type Error = FeatureError;

    fn try_from(stored: Stored) -> Result<Self, FeatureError> {
        let n_statistics = stored.standardiser.n_features();
        if n_statistics == 0 || !n_statistics.is_multiple_of(PER_BAND) {
            return Err(FeatureError::Shape {
                what: "number of statistics",
                expected: format!("{PER_BAND} for each band"),
                actual: n_statistics,
            });
        }
        expect_count(
            "weights of a component",
            n_statistics,
            stored.pca.n_features(),
        )?;
        for (index, value) in [stored.residual_variance, stored.limit]
            .into_iter()
            .enumerate()
        {
            if !(value.is_finite() && value > 0.0) {
                return Err(FeatureError::Value {
                    what: "residual variance or limit",
                    index,
                    value,
                    expected: "a finite number above 0",
                });
            }
        }
        Ok(Self {
            standardiser: stored.standardiser,
            pca: stored.pca,
            residual_variance: stored.residual_variance,
            limit: stored.limit,
        })
    }
}

impl Domain {
    /// Fits the cloud to log-mel matrices of training clips.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] with fewer than two clips or clips of different numbers of bands;
    /// [`FeatureError::Value`] on a value that is not finite.
    pub fn fit<'a>(
        clips: impl IntoIterator<Item = &'a FeatureMatrix>,
    ) -> Result<Self, FeatureError> {
        let (mut rows, mut width) = (Vec::new(), 0);
        for clip in clips {
            let row = statistics(clip);
            width = row.len();
            rows.extend(row);
        }
        let rows = FeatureMatrix::new(rows, width.max(1))?;
        let standardiser = Standardiser::fit([&rows])?;
        let mut z = rows.clone();
        standardiser.apply(&mut z)?;
        let pca = Pca::fit(&z, N_COMPONENTS.min(width))?;
        let kept: f64 = variances(&pca).sum();
        let left = width - pca.components().len();
        // Every standardised statistic has a variance of 1, or of 0 if it never changes.
        let total: f64 = z.as_slice().iter().map(|x| f64::from(*x).powi(2)).sum();
        let total = total / z.n_frames() as f64;
        let residual = ((total - kept) / left.max(1) as f64).max(LEAST_VARIANCE);
        let mut domain = Self {
            standardiser,
            pca,
            residual_variance: narrow(residual),
            limit: 1.0,
        };
        let distances: Vec<f32> = (0..rows.n_frames())
            .map(|index| domain.of_row(rows.row(index)))
            .collect::<Result<_, _>>()?;
        domain.limit = quantile(&distances, WITHIN).max(f32::MIN_POSITIVE);
        Ok(domain)
    }

    /// How far a clip is from the training clips, over the limit: above 1 it is unlike all but one in two hundred
    /// of them.
    ///
    /// # Shapes
    /// `clip` is `[n_frames, n_bands]` with the bands of the training.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] on another number of bands.
    pub fn distance(&self, clip: &FeatureMatrix) -> Result<f32, FeatureError> {
        Ok(self.of_row(&statistics(clip))? / self.limit)
    }

    /// Bands of the clips.
    #[must_use]
    pub fn n_bands(&self) -> usize {
        self.standardiser.n_features() / PER_BAND
    }

    fn of_row(&self, row: &[f32]) -> Result<f32, FeatureError> {
        let mut z = FeatureMatrix::new(row.to_vec(), row.len().max(1))?;
        self.standardiser.apply(&mut z)?;
        let components = self.pca.apply(&z)?;
        let square = |values: &[f32]| -> f64 { values.iter().map(|x| f64::from(*x).powi(2)).sum() };
        let inside: f64 = components
            .as_slice()
            .iter()
            .zip(variances(&self.pca))
            .map(|(c, variance)| f64::from(*c).powi(2) / variance)
            .sum();
        let rest = (square(z.as_slice()) - square(components.as_slice())).max(0.0);
        let total = inside + rest / f64::from(self.residual_variance);
        Ok(narrow((total / z.n_features() as f64).sqrt()))
    }
}

fn variances(pca: &Pca) -> impl Iterator<Item = f64> {
    let variances = pca.explained_variance().iter();
    variances.map(|variance| f64::from(*variance).max(LEAST_VARIANCE))
}

/// Mean, log deviation and log change of every band, `[3 · n_bands]`.
fn statistics(clip: &FeatureMatrix) -> Vec<f32> {
    let (n_frames, n_bands) = (clip.n_frames(), clip.n_features());
    let count = n_frames.max(1) as f64;
    let steps = n_frames.saturating_sub(1).max(1) as f64;
    let (mut sums, mut squares, mut changes) =
        (vec![0.0; n_bands], vec![0.0; n_bands], vec![0.0; n_bands]);
    for frame in 0..n_frames {
        let row = clip.row(frame);
        for (band, &x) in row.iter().enumerate() {
            let x = f64::from(x);
            sums[band] += x;
            squares[band] += x * x;
            if frame > 0 {
                changes[band] += (x - f64::from(clip.row(frame - 1)[band])).abs();
            }
        }
    }
    let mean = |band: usize| sums[band] / count;
    let deviation = |band: usize| (squares[band] / count - mean(band).powi(2)).max(0.0).sqrt();
    let means = (0..n_bands).map(mean);
    let deviations = (0..n_bands).map(|band| (deviation(band) + DEVIATION_FLOOR).ln());
    let changes = changes.iter().map(|sum| (sum / steps + CHANGE_FLOOR).ln());
    means.chain(deviations).chain(changes).map(narrow).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bands that move together, each clip with a level and a tilt of its own.
    fn clip(seed: u16, wildness: f32) -> FeatureMatrix {
        let noise = |n: u32| (f32::from(seed) * 12.9 + n as f32 * 78.2).sin();
        let (level, tilt) = (noise(1), 0.1 * noise(2));
        let values = (0..40_u32).flat_map(|frame| {
            let swing = (frame as f32 * 0.5 + level).sin();
            (0..8_u32).map(move |band| {
                let jitter = 0.1 * noise(frame * 8 + band + 3);
                level + tilt * band as f32 + swing + jitter * wildness
            })
        });
        FeatureMatrix::new(values.collect(), 8).unwrap()
    }

    #[test]
    fn clips_like_those_of_the_training_are_near_and_others_far() {
        let training: Vec<FeatureMatrix> = (0..200).map(|seed| clip(seed, 1.0)).collect();
        let domain = Domain::fit(&training).unwrap();
        assert_eq!(domain.n_bands(), 8);
        let beyond = (0..200)
            .filter(|&seed| domain.distance(&training[seed]).unwrap() > 1.0)
            .count();
        assert!((1..=2).contains(&beyond), "{beyond}");
        for seed in 300..320 {
            assert!(domain.distance(&clip(seed, 1.0)).unwrap() < 1.3);
            assert!(domain.distance(&clip(seed, 30.0)).unwrap() > 2.0);
        }
        let still = FeatureMatrix::new(vec![0.0; 80], 8).unwrap();
        assert!(domain.distance(&still).unwrap() > 2.0);
        let one = FeatureMatrix::new(vec![0.0; 8], 8).unwrap();
        assert!(domain.distance(&one).unwrap().is_finite());
        assert!(
            domain
                .distance(&FeatureMatrix::new(vec![0.0; 9], 9).unwrap())
                .is_err()
        );
    }

    #[test]
    fn the_distance_survives_storage_and_few_clips() {
        let training: Vec<FeatureMatrix> = (0..3).map(|seed| clip(seed, 1.0)).collect();
        let domain = Domain::fit(&training).unwrap();
        let text = serde_json::to_string(&domain).unwrap();
        let again: Domain = serde_json::from_str(&text).unwrap();
        assert_eq!(again, domain);
        assert!(domain.distance(&clip(9, 1.0)).unwrap().is_finite());
        for (good, bad) in [
            ("\"limit\":", "\"limit\":-"),
            ("\"residual_variance\":", "\"residual_variance\":-"),
            ("\"mean\":[", "\"mean\":[0.5,"),
        ] {
            let damaged = text.replacen(good, bad, 1);
            assert_ne!(damaged, text);
            assert!(serde_json::from_str::<Domain>(&damaged).is_err(), "{bad}");
        }
        assert!(Domain::fit(&training[..1]).is_err());
        assert!(Domain::fit([]).is_err());
    }
}
