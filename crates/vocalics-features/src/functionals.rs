//! The functionals of one or more sets as one vector beside the log-mel of a clip.

use serde::{Deserialize, Serialize};

use crate::error::FeatureError;
use crate::log_mel::LogMel;
use crate::matrix::FeatureMatrix;
use crate::set::{FeatureSet, set_by_name, sets};

/// A set of a certain version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetVersion {
    /// Name of the set.
    pub name: String,
    /// Its version, which says what its numbers mean.
    pub version: u32,
    /// How many functionals it has.
    pub n_functionals: usize,
}

impl SetVersion {
    fn of(set: &dyn FeatureSet) -> Self {
        Self {
            name: set.name().to_owned(),
            version: set.version(),
            n_functionals: set.functional_names().len(),
        }
    }

    fn described(&self) -> String {
        let Self {
            name,
            version,
            n_functionals,
        } = self;
        format!("{name} version {version} with {n_functionals} functionals")
    }
}

/// Named sets, whose functionals stand one behind the other in a vector.
///
/// Beside log-mel the vector is the last columns of every frame: `[n_frames, n_mels + n_functionals]`. It is of the
/// whole clip, untrimmed, and stays what it is when frames are cut out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Functionals {
    sets: Vec<SetVersion>,
}

impl Functionals {
    /// The sets of these names, in this order, as this build computes them.
    ///
    /// # Errors
    /// [`FeatureError::Config`] without a name, with one that is no set's, and with one that comes twice.
    pub fn named(names: &[String]) -> Result<Self, FeatureError> {
        let wrong = |actual: String| {
            let known: Vec<&str> = sets().iter().map(|set| set.name()).collect();
            Err(FeatureError::Config {
                field: "functionals.sets",
                expected: format!("one or more of {}, each once", known.join(", ")),
                actual,
            })
        };
        if names.is_empty() {
            return wrong("empty".to_owned());
        }
        let mut found = Vec::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            match set_by_name(name) {
                Some(set) if !names[..place].contains(name) => found.push(SetVersion::of(set)),
                _ => return wrong(format!("{names:?}")),
            }
        }
        Ok(Self { sets: found })
    }

    /// Refuses sets that this build does not compute, or of which it has another version.
    ///
    /// # Errors
    /// [`FeatureError::Config`] with both versions.
    pub fn check(&self) -> Result<(), FeatureError> {
        let names: Vec<String> = self.sets.iter().map(|set| set.name.clone()).collect();
        let ours = Self::named(&names)?;
        match self.sets.iter().zip(&ours.sets).find(|(a, b)| a != b) {
            Some((theirs, ours)) => Err(FeatureError::Config {
                field: "functionals",
                expected: ours.described(),
                actual: theirs.described(),
            }),
            None => Ok(()),
        }
    }

    /// The sets, in the order of their functionals.
    #[must_use]
    pub fn sets(&self) -> &[SetVersion] {
        &self.sets
    }

    /// Numbers of the vector.
    #[must_use]
    pub fn n_functionals(&self) -> usize {
        let counts = self.sets.iter().map(|set| set.n_functionals);
        counts.fold(0, usize::saturating_add)
    }

    /// The vector of a clip, `[n_functionals]`, finite: what does not exist is 0, as in every set.
    ///
    /// # Errors
    /// As [`FeatureSet::functionals`], and [`Self::check`].
    pub fn compute(&self, samples: &[f32], sample_rate: u32) -> Result<Vec<f32>, FeatureError> {
        self.check()?;
        let mut values = Vec::with_capacity(self.n_functionals());
        for set in self.sets.iter().filter_map(|set| set_by_name(&set.name)) {
            values.extend(set.functionals(samples, sample_rate)?);
        }
        Ok(values)
    }

    /// Log-mel `[n_frames, n_mels]` with the same values behind every frame: `[n_frames, n_mels + values]`.
    ///
    /// # Errors
    /// [`FeatureError::Value`] if a value is not finite.
    pub fn beside(log_mel: &FeatureMatrix, values: &[f32]) -> Result<FeatureMatrix, FeatureError> {
        let width = log_mel.n_features() + values.len();
        let mut rows = Vec::with_capacity(log_mel.n_frames() * width);
        for row in log_mel.rows() {
            rows.extend_from_slice(row);
            rows.extend_from_slice(values);
        }
        FeatureMatrix::new(rows, width)
    }
}

impl LogMel {
    /// What a network takes of a clip: log-mel, and behind every frame the functionals of the clip before it is trimmed, if there are sets.
    ///
    /// # Shapes
    /// `samples` at the front end's rate; result: `[n_frames, n_mels + n_functionals]`.
    ///
    /// # Errors
    /// As [`LogMel::compute`] and [`Functionals::compute`].
    pub fn compute_beside(
        &mut self,
        functionals: Option<&Functionals>,
        samples: &[f32],
    ) -> Result<FeatureMatrix, FeatureError> {
        let log_mel = self.compute(samples)?;
        let Some(functionals) = functionals else {
            return Ok(log_mel);
        };
        let values = functionals.compute(samples, self.config().sample_rate)?;
        Functionals::beside(&log_mel, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Result<Functionals, FeatureError> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Functionals::named(&names)
    }

    #[test]
    fn sets_stand_one_behind_the_other() {
        let both = named(&["prosody", "egemaps"]).unwrap();
        let samples: Vec<f32> = (0..16_000u16)
            .map(|n| (f32::from(n) * 0.06).sin() * 0.2)
            .collect();
        let values = both.compute(&samples, 16_000).unwrap();
        let [first, second] = ["prosody", "egemaps"].map(|name| {
            let set = set_by_name(name).unwrap();
            set.functionals(&samples, 16_000).unwrap()
        });
        assert_eq!(values, [first, second].concat());
        assert_eq!(values.len(), both.n_functionals());
        both.check().unwrap();
    }

    #[test]
    fn nothing_unknown_and_nothing_twice() {
        for names in [&[][..], &["opensmile"], &["mfcc", "mfcc"]] {
            let error = named(names).unwrap_err().to_string();
            assert!(error.contains("one or more of chroma, egemaps"), "{error}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        let mut sets = named(&["mfcc", "egemaps"]).unwrap();
        let ours = sets.sets[1].version;
        sets.sets[1].version += 1;
        let error = sets.check().unwrap_err().to_string();
        let expected = format!(
            "egemaps version {} with 88 functionals, expected egemaps version {ours}",
            ours + 1
        );
        assert!(error.contains(&expected), "{error}");
        assert!(sets.compute(&[0.1; 8000], 16_000).is_err());
    }

    #[test]
    fn the_vector_is_behind_every_frame_and_can_be_cut_off() {
        let log_mel = FeatureMatrix::new(vec![1.0, 2.0, 3.0, 4.0], 2).unwrap();
        let wide = Functionals::beside(&log_mel, &[7.0]).unwrap();
        assert_eq!(wide.as_slice(), [1.0, 2.0, 7.0, 3.0, 4.0, 7.0]);
        assert_eq!(wide.first_columns(2).unwrap(), log_mel);
        assert!(wide.first_columns(0).is_err() && wide.first_columns(4).is_err());
        assert!(Functionals::beside(&log_mel, &[f32::NAN]).is_err());
    }
}
