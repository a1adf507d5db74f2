//! Recordings whose labels are not used, of corpora or of any folder.

use std::path::PathBuf;

use vocalics_corpora::{CorpusSpec, LabelSet, Utterance, scan_all};
use vocalics_features::FeatureMatrix;

use crate::data::{Loaded, load_features, usable};
use crate::{Data, LoadOptions, Progress, TrainConfig, TrainError};

/// What the one class of recordings without labels is called.
const CLASS: &str = "unlabelled";
/// The corpus of files that belong to none.
const FILES: &str = "files";

impl Data {
    /// Loads the features of corpora and of files that belong to none, without their labels. Who speaks in such a file is not known: a
    /// model that has heard it may have heard anyone.
    ///
    /// # Errors
    /// When a corpus cannot be scanned, or a recording cannot be used or is silent and `keep_going` is off.
    pub fn unlabelled(
        config: &TrainConfig,
        corpora: &[CorpusSpec],
        files: &[PathBuf],
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, TrainError> {
        let scan = scan_all(corpora)?;
        let problems = scan.problems.iter().map(ToString::to_string).collect();
        let mut utterances = scan.utterances;
        let mut files = files.to_vec();
        files.sort();
        files.dedup();
        utterances.extend(files.into_iter().map(of_file));
        let mut config = config.clone();
        config.augmentation.waveform.steps.clear();
        let results = load_features(&config, &utterances, options, progress)?;
        let results = utterances.iter().zip(results).map(|(utterance, loaded)| {
            let Loaded {
                features, content, ..
            } = loaded?;
            if is_silent(&features) {
                let path = utterance.path.clone();
                return Err(TrainError::Silent { path });
            }
            Ok((features, content))
        });
        let results = results.collect();
        let (utterances, read) = usable(utterances, results, problems, options, progress)?;
        let (features, contents) = read.into_iter().unzip();
        Ok(Self {
            labels: LabelSet::new(vec![CLASS.to_owned()])?,
            classes: vec![0; utterances.len()],
            utterances,
            features,
            n_functionals: 0,
            waveforms: None,
            embedded: None,
            contents,
        })
    }
}

fn of_file(path: PathBuf) -> Utterance {
    Utterance {
        id: format!("{FILES}/{}", path.display()),
        path,
        corpus: FILES.to_owned(),
        // What `is_unknown_speaker` knows.
        speaker: format!("{FILES}-unknown"),
        sex: None,
        emotion: CLASS.to_owned(),
        intensity: None,
        statement: None,
        repetition: None,
        channel: None,
    }
}

/// Whether every frame is like the first.
fn is_silent(features: &FeatureMatrix) -> bool {
    let first = features.row(0);
    let mut frames = features.as_slice().chunks_exact(first.len());
    frames.all(|frame| frame.iter().zip(first).all(|(a, b)| (a - b).abs() < 1e-6))
}

#[cfg(test)]
mod tests {
    use vocalics_corpora::is_unknown_speaker;

    use super::*;

    #[test]
    fn nobody_is_named_in_a_file() {
        assert!(is_unknown_speaker(&of_file("a/b.wav".into()).speaker));
        let silent = FeatureMatrix::new(vec![1.0, 2.0, 1.0, 2.0], 2).unwrap();
        let speech = FeatureMatrix::new(vec![1.0, 2.0, 1.0, 2.1], 2).unwrap();
        assert!(is_silent(&silent) && !is_silent(&speech));
    }
}
