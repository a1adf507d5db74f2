//! Standardisation apart for each speaker or corpus.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::standardise::{Standardiser, StandardiserFit, expect_count};

/// One [`Standardiser`] for each group (a speaker, a corpus), and one over all for those not known.
///
/// Fitted on training clips alone. Per-speaker statistics of a test speaker need clips of that speaker:
/// [`with_group`](Self::with_group) adds them, without their labels, where a protocol allows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", deny_unknown_fields)]
pub struct GroupStandardiser {
    all: Standardiser,
    groups: BTreeMap<String, Standardiser>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    all: Standardiser,
    groups: BTreeMap<String, Standardiser>,
}

impl TryFrom<Stored> for GroupStandardiser {
    type Error = FeatureError;

    fn try_from(stored: Stored) -> Result<Self, FeatureError> {
        let bare = Self {
            all: stored.all,
            groups: BTreeMap::new(),
        };
        let mut groups = stored.groups.into_iter();
        groups.try_fold(bare, |known, (name, of)| known.with_group(&name, of))
    }
}

impl GroupStandardiser {
    /// Fits over matrices, each of a named group.
    ///
    /// # Errors
    /// As [`Standardiser::fit`].
    pub fn fit<'a>(
        matrices: impl IntoIterator<Item = (&'a str, &'a FeatureMatrix)>,
    ) -> Result<Self, FeatureError> {
        let mut fits: BTreeMap<String, StandardiserFit> = BTreeMap::new();
        let mut all: Option<StandardiserFit> = None;
        for (group, matrix) in matrices {
            let new = || StandardiserFit::new(matrix.n_features());
            fits.entry(group.to_owned())
                .or_insert_with(new)
                .push(matrix)?;
            all.get_or_insert_with(new).push(matrix)?;
        }
        let groups = fits
            .into_iter()
            .map(|(group, fit)| Ok((group, fit.finish()?)))
            .collect::<Result<_, FeatureError>>()?;
        let all = all.unwrap_or_else(|| StandardiserFit::new(0)).finish()?;
        Ok(Self { all, groups })
    }

    /// Adds or replaces the statistics of a group.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if they are of another number of features.
    pub fn with_group(mut self, group: &str, of: Standardiser) -> Result<Self, FeatureError> {
        expect_count("number of features", self.all.n_features(), of.n_features())?;
        self.groups.insert(group.to_owned(), of);
        Ok(self)
    }

    /// The statistics used for a group: its own, or those over all.
    #[must_use]
    pub fn of(&self, group: &str) -> &Standardiser {
        self.groups.get(group).unwrap_or(&self.all)
    }

    /// Standardises the features of a group in place.
    ///
    /// # Errors
    /// As [`Standardiser::apply`].
    pub fn apply(&self, group: &str, features: &mut FeatureMatrix) -> Result<(), FeatureError> {
        self.of(group).apply(features)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_gets_zero_mean_and_strangers_that_of_all() {
        let matrix = |values: &[f32]| FeatureMatrix::new(values.to_vec(), 1).unwrap();
        let (ann, bob) = (matrix(&[1.0, 3.0]), matrix(&[10.0, 30.0]));
        let fitted = GroupStandardiser::fit([("ann", &ann), ("bob", &bob)]).unwrap();
        for (group, mut features) in [("ann", ann.clone()), ("bob", bob.clone())] {
            fitted.apply(group, &mut features).unwrap();
            assert!((features.as_slice()[0] + 1.0).abs() < 1e-6);
            assert!((features.as_slice()[1] - 1.0).abs() < 1e-6);
        }
        assert_eq!(fitted.of("eve").mean(), [11.0]);
        let eve = Standardiser::fit([&bob]).unwrap();
        let fitted = fitted.with_group("eve", eve).unwrap();
        assert_eq!(fitted.of("eve").mean(), [20.0]);
        let text = serde_json::to_string(&fitted).unwrap();
        assert_eq!(
            serde_json::from_str::<GroupStandardiser>(&text).unwrap(),
            fitted
        );
        let wide = FeatureMatrix::new(vec![1.0, 2.0, 3.0, 4.0], 2).unwrap();
        let wide = Standardiser::fit([&wide]).unwrap();
        assert!(fitted.clone().with_group("eve", wide.clone()).is_err());
        let mut stored = serde_json::to_value(&fitted).unwrap();
        stored["groups"]["eve"] = serde_json::to_value(&wide).unwrap();
        assert!(serde_json::from_value::<GroupStandardiser>(stored).is_err());
        assert!(GroupStandardiser::fit([]).is_err());
    }
}
