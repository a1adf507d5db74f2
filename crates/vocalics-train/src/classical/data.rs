//! The recordings of a comparison, a vector of each.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use vocalics_audio::DecodeOptions;
use vocalics_corpora::{CorpusSpec, LabelSet, Utterance};
use vocalics_features::{FeatureMatrix, FeatureSet, LogMel, set_by_name, sets};

use super::ClassicalConfig;
use super::sample::{count, single};
use crate::data::{Unkept, classes, labelled, usable};
use crate::listed::{Content, Listed};
use crate::{Cached, FeatureCache, LoadOptions, Progress, TrainError};

/// Name of the set that is no [`FeatureSet`].
const LOG_MEL: &str = "logmel";

/// What a clip is summarised to: the functionals of a named set, or mean and deviation of every log-mel band.
#[derive(Debug, Clone, Copy)]
pub struct SummarySet(Option<&'static dyn FeatureSet>);

impl SummarySet {
    /// All there are, by name.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = sets().iter().map(|set| Self(Some(*set))).collect();
        all.push(Self(None));
        all.sort_by_key(|set| set.name());
        all
    }

    /// The set of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == LOG_MEL {
            return Some(Self(None));
        }
        set_by_name(name).map(|set| Self(Some(set)))
    }

    /// Name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.map_or(LOG_MEL, FeatureSet::name)
    }

    /// What it holds, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        self.0.map_or(
            "mean and deviation of every log-mel band over time",
            FeatureSet::about,
        )
    }

    /// Identifies the numbers: another version or front end gives others.
    fn version(self, config: &ClassicalConfig) -> String {
        match self.0 {
            Some(set) => format!("{}-v{}-{}", set.name(), set.version(), config.sample_rate),
            None => config.front_end.fingerprint(),
        }
    }
}

impl PartialEq for SummarySet {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Display for SummarySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set computed of every recording.
#[derive(Debug, Clone)]
pub struct Vectors {
    /// Name of the set.
    pub set: String,
    /// Identifies what the numbers are computed with.
    pub version: String,
    /// `[n_clips, n_features]`, finite: what does not exist (the pitch of a clip without voice) is 0, as in every
    /// set, and another feature of the set tells.
    pub matrix: FeatureMatrix,
}

/// Recordings, their classes and a vector of each per set, in one order.
#[derive(Debug, Clone)]
pub struct ClassicalData {
    /// The recordings, sorted by id.
    pub utterances: Vec<Utterance>,
    /// The label set.
    pub labels: LabelSet,
    /// Class of each recording, an index into the label set.
    pub classes: Vec<usize>,
    /// The sets.
    pub vectors: Vec<Vectors>,
    /// What the file of each recording holds; empty where they come from no files.
    pub contents: Vec<Content>,
}

impl ClassicalData {
    /// Scans the corpora, maps the labels, and computes the sets of what is left, side by side; what was computed before
    /// comes from the cache.
    ///
    /// # Errors
    /// As [`Data::load`](crate::Data::load).
    pub fn load(
        config: &ClassicalConfig,
        corpora: &[CorpusSpec],
        sets: &[SummarySet],
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, TrainError> {
        // Fails here, once, rather than in every worker.
        LogMel::new(config.front_end.clone())?;
        let target = config.target()?;
        let (utterances, problems) = labelled(corpora, &config.label_map()?, target)?;
        let (done, unkept) = (AtomicUsize::new(0), Unkept::default());
        let cache = FeatureCache::new(&options.cache);
        let results: Vec<Result<Vec<Cached<FeatureMatrix>>, TrainError>> = utterances
            .par_iter()
            .map(|utterance| {
                let of_set = |set: &SummarySet| {
                    let mut row = summarise(*set, config, &cache, utterance)?;
                    unkept.warn(row.unkept.take(), options, progress);
                    Ok(row)
                };
                let rows = sets.iter().map(of_set).collect();
                progress.features(done.fetch_add(1, Ordering::Relaxed) + 1, utterances.len());
                rows
            })
            .collect();
        let (utterances, rows) = usable(utterances, results, problems, options, progress)?;
        let (labels, classes) = classes(&utterances, target)?;
        let vectors = sets
            .iter()
            .enumerate()
            .map(|(index, set)| {
                let width = rows.first().map_or(1, |row| row[index].value.n_features());
                let values = rows.iter().flat_map(|row| row[index].value.as_slice());
                Ok(Vectors {
                    set: set.name().to_owned(),
                    version: set.version(config),
                    matrix: FeatureMatrix::new(values.copied().collect(), width)?,
                })
            })
            .collect::<Result<_, TrainError>>()?;
        Ok(Self {
            utterances,
            labels,
            classes,
            vectors,
            contents: rows
                .iter()
                .filter_map(|row| Some(row.first()?.content))
                .collect(),
        })
    }

    /// The list that protocols split.
    #[must_use]
    pub fn listed(&self) -> Listed<'_> {
        Listed {
            utterances: &self.utterances,
            classes: &self.classes,
            contents: &self.contents,
        }
    }

    /// Identifies recordings, classes and the numbers of a set.
    pub(super) fn hash(&self, vectors: Option<&Vectors>) -> String {
        let mut hasher = blake3::Hasher::new();
        for label in self.labels.iter() {
            hasher.update(label.as_bytes()).update(b"\n");
        }
        for (utterance, class) in self.utterances.iter().zip(&self.classes) {
            let line = format!("{},{},{class}\n", utterance.id, utterance.speaker);
            hasher.update(line.as_bytes());
        }
        if let Some(vectors) = vectors {
            hasher.update(vectors.version.as_bytes());
            let values = vectors.matrix.as_slice().iter();
            let bytes: Vec<u8> = values.flat_map(|x| x.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

/// One row of a set.
fn summarise(
    set: SummarySet,
    config: &ClassicalConfig,
    cache: &FeatureCache,
    utterance: &Utterance,
) -> Result<Cached<FeatureMatrix>, TrainError> {
    let rate = match set.0 {
        Some(_) => config.sample_rate,
        None => config.front_end.sample_rate,
    };
    let decode = DecodeOptions {
        sample_rate: Some(rate),
        ..DecodeOptions::default()
    };
    match set.0 {
        Some(set) => cache.functionals(set, &utterance.path, &decode),
        None => {
            let mut front_end = LogMel::new(config.front_end.clone())?;
            let mut cached = cache.features(&mut front_end, &utterance.path, &decode)?;
            cached.value = mean_and_deviation(&cached.value)?;
            Ok(cached)
        }
    }
}

/// Mean and population deviation of every column, first all means `[1, 2 · n_features]`.
fn mean_and_deviation(frames: &FeatureMatrix) -> Result<FeatureMatrix, TrainError> {
    let n = count(frames.n_frames()).max(1.0);
    let width = frames.n_features();
    let mut means = vec![0.0_f64; width];
    let mut squares = vec![0.0_f64; width];
    for row in frames.rows() {
        for (mean, &x) in means.iter_mut().zip(row) {
            *mean += f64::from(x) / n;
        }
    }
    for row in frames.rows() {
        for ((square, mean), &x) in squares.iter_mut().zip(&means).zip(row) {
            *square += (f64::from(x) - mean).powi(2) / n;
        }
    }
    let deviations = squares.into_iter().map(f64::sqrt);
    let values = means.into_iter().chain(deviations).map(single).collect();
    Ok(FeatureMatrix::new(values, 2 * width)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_come_first_then_deviations() {
        let frames = FeatureMatrix::new(vec![1.0, 5.0, 3.0, 5.0], 2).unwrap();
        let row = mean_and_deviation(&frames).unwrap();
        assert_eq!(row.as_slice(), [2.0, 5.0, 1.0, 0.0]);
        let none = FeatureMatrix::new(vec![], 2).unwrap();
        assert_eq!(mean_and_deviation(&none).unwrap().as_slice(), [0.0; 4]);
    }

    #[test]
    fn sets_are_found_by_name() {
        let names: Vec<&str> = SummarySet::all()
            .into_iter()
            .map(SummarySet::name)
            .collect();
        assert!(names.contains(&"logmel") && names.contains(&"egemaps"));
        assert!(names.is_sorted());
        for name in names {
            assert_eq!(SummarySet::from_name(name).unwrap().name(), name);
        }
        assert!(SummarySet::from_name("mfc").is_none());
    }
}
