//! Which features tell classes apart.

use serde::{Deserialize, Serialize};
use vocalics_dsp::narrow;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::standardise::expect_count;

/// Equally filled bins into which a feature is cut for the mutual information.
const BINS: usize = 10;

/// How features are ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Criterion {
    /// [`anova_f`].
    AnovaF,
    /// [`mutual_information`].
    MutualInformation,
}

/// Features chosen by their rank, fitted on training clips alone and stored with the model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", deny_unknown_fields)]
pub struct Selection {
    n_features: usize,
    /// Positions of the features kept, the best first.
    kept: Vec<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    n_features: usize,
    kept: Vec<usize>,
}

impl TryFrom<Stored> for Selection {
    type Error = FeatureError;

    fn try_from(stored: Stored) -> Result<Self, FeatureError> {
        let Stored { n_features, kept } = stored;
        check_kept(kept.len(), n_features)?;
        let mut seen = std::collections::BTreeSet::new();
        if let Some(&wrong) = kept
            .iter()
            .find(|at| **at >= n_features || !seen.insert(**at))
        {
            return Err(FeatureError::Shape {
                what: "position of a feature kept",
                expected: format!("below {n_features}, and each once"),
                actual: wrong,
            });
        }
        Ok(Self { n_features, kept })
    }
}

fn check_kept(n_kept: usize, n_features: usize) -> Result<(), FeatureError> {
    if (1..=n_features).contains(&n_kept) {
        return Ok(());
    }
    Err(FeatureError::Shape {
        what: "number of features kept",
        expected: format!("1 to {n_features}"),
        actual: n_kept,
    })
}

impl Selection {
    /// Keeps the best `n_kept` features of rows with one class each.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] as [`anova_f`], or if `n_kept` is not 1 to the number of features.
    pub fn fit(
        features: &FeatureMatrix,
        classes: &[usize],
        criterion: Criterion,
        n_kept: usize,
    ) -> Result<Self, FeatureError> {
        let n_features = features.n_features();
        check_kept(n_kept, n_features)?;
        let scores = match criterion {
            Criterion::AnovaF => anova_f(features, classes)?,
            Criterion::MutualInformation => mutual_information(features, classes)?,
        };
        let mut kept = ranking(&scores);
        kept.truncate(n_kept);
        Ok(Self { n_features, kept })
    }

    /// Positions of the features kept, the best first.
    #[must_use]
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }

    /// The features kept, `[n_rows, n_kept]`.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if the matrix has another number of features.
    pub fn apply(&self, features: &FeatureMatrix) -> Result<FeatureMatrix, FeatureError> {
        expect_count("number of features", self.n_features, features.n_features())?;
        let values = features
            .rows()
            .flat_map(|row| self.kept.iter().map(|at| row[*at]))
            .collect();
        FeatureMatrix::new(values, self.kept.len())
    }
}

/// Positions by falling score; equal scores stay in order.
#[must_use]
pub fn ranking(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// Largest score of [`anova_f`]: classes without any spread of their own.
pub const MAX_F: f32 = 1e12;

fn check(features: &FeatureMatrix, classes: &[usize]) -> Result<usize, FeatureError> {
    expect_count(
        "number of classes given",
        features.n_frames(),
        classes.len(),
    )?;
    let mut present = classes.to_vec();
    present.sort_unstable();
    present.dedup();
    if present.len() < 2 || classes.len() <= present.len() {
        return Err(FeatureError::Shape {
            what: "number of classes present",
            expected: "at least 2, and fewer than rows".to_owned(),
            actual: present.len(),
        });
    }
    Ok(present.len())
}

fn column(features: &FeatureMatrix, at: usize) -> Vec<f64> {
    features.rows().map(|row| f64::from(row[at])).collect()
}

/// F of a one-way analysis of variance of each feature over the classes, `[n_features]`.
///
/// `F = (Σ n_c (m_c − m)² / (k − 1)) / (Σ (x − m_c)² / (n − k))`, at most [`MAX_F`]; 0 for a feature
/// that does not vary.
///
/// # Errors
/// [`FeatureError::Shape`] unless there is one class for each row, at least two are present, and there
/// are more rows than classes.
///
/// Source: R. Fisher, *Statistical Methods for Research Workers*, 1925.
/// Reference: `sklearn.feature_selection.f_classif`, within 1e-4 relative.
pub fn anova_f(features: &FeatureMatrix, classes: &[usize]) -> Result<Vec<f32>, FeatureError> {
    let k = check(features, classes)?;
    let n = classes.len();
    Ok((0..features.n_features())
        .map(|at| {
            let values = column(features, at);
            let mean = values.iter().sum::<f64>() / n as f64;
            let mut groups: std::collections::BTreeMap<usize, (f64, f64)> =
                std::collections::BTreeMap::new();
            for (x, class) in values.iter().zip(classes) {
                let group = groups.entry(*class).or_default();
                group.0 += 1.0;
                group.1 += x - mean;
            }
            let between: f64 = groups.values().map(|(count, sum)| sum * sum / count).sum();
            let total: f64 = values.iter().map(|x| (x - mean) * (x - mean)).sum();
            let within = (total - between).max(0.0);
            // A feature that varies by rounding alone does not vary.
            if total <= n as f64 * (1e-7 * mean.abs()).powi(2) {
                return 0.0;
            }
            let f = (between / (k - 1) as f64) / (within / (n - k) as f64);
            narrow(f.min(f64::from(MAX_F)))
        })
        .collect())
}

/// Mutual information of each feature and the classes, in nats, 0 or more, `[n_features]`.
///
/// `Σ p(b, c) ln(p(b, c) / (p(b) p(c)))` over ten equally filled bins, less the bias
/// `(bins − 1)(classes − 1) / 2n` of that estimate.
///
/// # Errors
/// As [`anova_f`].
///
/// Source: G. Miller, *Note on the bias of information estimates*, 1955.
/// Reference: `sklearn.metrics.mutual_info_score` of the same bins, within 1e-5.
pub fn mutual_information(
    features: &FeatureMatrix,
    classes: &[usize],
) -> Result<Vec<f32>, FeatureError> {
    let k = check(features, classes)?;
    let n = classes.len() as f64;
    Ok((0..features.n_features())
        .map(|at| {
            let values = column(features, at);
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let mut edges: Vec<f64> = (1..BINS).map(|b| sorted[b * sorted.len() / BINS]).collect();
            edges.dedup_by(|a, b| a.total_cmp(b).is_eq());
            let mut joint: std::collections::BTreeMap<(usize, usize), f64> =
                std::collections::BTreeMap::new();
            let mut bins: std::collections::BTreeMap<usize, f64> =
                std::collections::BTreeMap::new();
            let mut labels = bins.clone();
            for (x, class) in values.iter().zip(classes) {
                let bin = edges.partition_point(|edge| edge <= x);
                *joint.entry((bin, *class)).or_default() += 1.0 / n;
                *bins.entry(bin).or_default() += 1.0 / n;
                *labels.entry(*class).or_default() += 1.0 / n;
            }
            let information: f64 = joint
                .iter()
                .map(|((bin, class), p)| p * (p / (bins[bin] * labels[class])).ln())
                .sum();
            let bias = ((bins.len() - 1) * (k - 1)) as f64 / (2.0 * n);
            narrow((information - bias).max(0.0))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One feature that is the class, one that is not, one that never varies.
    fn table() -> (FeatureMatrix, Vec<usize>) {
        let classes: Vec<usize> = (0..200).map(|i| i % 4).collect();
        let rows = classes
            .iter()
            .enumerate()
            .flat_map(|(i, class)| {
                let noise = ((i * 7919) % 101) as f32 / 101.0;
                [noise, *class as f32 + 0.1 * noise, 5.0]
            })
            .collect();
        (FeatureMatrix::new(rows, 3).unwrap(), classes)
    }

    #[test]
    fn the_telling_feature_comes_first() {
        let (features, classes) = table();
        for criterion in [Criterion::AnovaF, Criterion::MutualInformation] {
            let chosen = Selection::fit(&features, &classes, criterion, 1).unwrap();
            assert_eq!(chosen.kept(), [1], "{criterion:?}");
            assert_eq!(chosen.apply(&features).unwrap().n_features(), 1);
            let text = serde_json::to_string(&chosen).unwrap();
            assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), chosen);
        }
        let information = mutual_information(&features, &classes).unwrap();
        // Two of the ten bins hold two classes each, and the bias is taken off.
        assert!(
            (information[1] - 4.0_f32.ln()).abs() < 0.25,
            "{information:?}"
        );
        assert!(
            information[0] < 0.1 && information[2] < 1e-6,
            "{information:?}"
        );
        assert!(anova_f(&features, &classes).unwrap()[2].abs() < 1e-6);
    }

    #[test]
    fn what_is_stored_is_checked() {
        for text in [
            r#"{"n_features":3,"kept":[]}"#,
            r#"{"n_features":3,"kept":[3]}"#,
            r#"{"n_features":3,"kept":[1,1]}"#,
            r#"{"n_features":0,"kept":[]}"#,
        ] {
            assert!(serde_json::from_str::<Selection>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bad_input_is_refused() {
        let (features, classes) = table();
        assert!(anova_f(&features, &classes[1..]).is_err());
        assert!(anova_f(&features, &[0; 200]).is_err());
        assert!(Selection::fit(&features, &classes, Criterion::AnovaF, 0).is_err());
        assert!(Selection::fit(&features, &classes, Criterion::AnovaF, 4).is_err());
        let chosen = Selection::fit(&features, &classes, Criterion::AnovaF, 2).unwrap();
        assert!(
            chosen
                .apply(&FeatureMatrix::new(vec![0.0; 4], 2).unwrap())
                .is_err()
        );
    }
}
