//! Fitting a method to a fold: choice of hyper-parameters within the training part, then all of it.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_eval::{Confusion, fit_temperature, softmax_t};
use vocalics_features::{FeatureMatrix, Standardiser};

use super::ClassicalConfig;
use super::method::{Classifier, Method, Setting};
use super::sample::Sample;
use crate::TrainError;

/// The training part of a fold: all that a method ever sees.
#[derive(Debug, Clone)]
pub(super) struct TrainingPart<'a> {
    /// Name of the fold.
    pub(super) fold: &'a str,
    /// Vectors `[n_clips, n_features]`, as computed.
    pub(super) vectors: FeatureMatrix,
    pub(super) classes: Vec<usize>,
    /// What is held out together: speakers, or clips where speakers are the classes.
    pub(super) groups: Vec<&'a str>,
    /// Whether a clip is of a kind that the protocol tests. Others, such as song, are learnt from and not judged by.
    pub(super) judged: Vec<bool>,
    pub(super) labels: &'a [String],
}

impl TrainingPart<'_> {
    /// Vectors and classes of some clips.
    fn rows(&self, clips: &[usize]) -> Result<(FeatureMatrix, Vec<usize>), TrainError> {
        let values = clips
            .iter()
            .flat_map(|&clip| self.vectors.row(clip).iter().copied());
        let vectors = FeatureMatrix::new(values.collect(), self.vectors.n_features())?;
        Ok((
            vectors,
            clips.iter().map(|&clip| self.classes[clip]).collect(),
        ))
    }

    /// The clips of training and of judgement of every inner fold.
    fn inner_folds(&self, config: &ClassicalConfig) -> Result<Vec<[Vec<usize>; 2]>, TrainError> {
        let lot = |group: &str| {
            let text = format!("{}/{}/inner/{group}", config.seed, self.fold);
            *blake3::hash(text.as_bytes()).as_bytes()
        };
        let mut groups: Vec<([u8; 32], &str)> = self
            .groups
            .iter()
            .map(|group| (lot(group), *group))
            .collect();
        groups.sort_unstable();
        groups.dedup();
        if groups.len() < 2 {
            return Err(TrainError::TooFewSpeakers {
                fold: self.fold.to_owned(),
                actual: groups.len(),
            });
        }
        let folds = config.inner_folds.min(groups.len());
        let place: BTreeMap<&str, usize> = groups
            .into_iter()
            .enumerate()
            .map(|(place, (_, group))| (group, place % folds))
            .collect();
        let held = |clip: usize, fold: usize| place.get(self.groups[clip]) == Some(&fold);
        let clips = 0..self.classes.len();
        Ok((0..folds)
            .map(|fold| {
                let train = clips.clone().filter(|&clip| !held(clip, fold)).collect();
                let judged = clips
                    .clone()
                    .filter(|&clip| held(clip, fold) && self.judged[clip]);
                [train, judged.collect()]
            })
            .collect())
    }
}

/// A method fitted to the training part of a fold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fitted {
    /// Of the training part.
    standardiser: Standardiser,
    classifier: Classifier,
    /// Divides the logits; fitted on the training speakers held out in turn.
    temperature: f32,
    /// What was chosen.
    pub(super) setting: String,
}

impl Fitted {
    /// Chooses among the method's settings by the UAR over the training speakers held out in turn, of several equal
    /// ones the simplest, and fits the best to the whole training part.
    ///
    /// # Errors
    /// A class without a training clip, fewer than two speakers, or features that are not finite.
    pub(super) fn new(
        method: Method,
        config: &ClassicalConfig,
        part: &TrainingPart<'_>,
    ) -> Result<Self, TrainError> {
        for (class, label) in part.labels.iter().enumerate() {
            if !part.classes.contains(&class) {
                return Err(TrainError::EmptyClass {
                    fold: part.fold.to_owned(),
                    label: label.clone(),
                });
            }
        }
        let rng = |purpose: String| {
            let text = format!("{}/{}/{method}/{purpose}", config.seed, part.fold);
            StdRng::from_seed(*blake3::hash(text.as_bytes()).as_bytes())
        };
        let settings = method.settings(config, part.vectors.n_features());
        let mut logits: Vec<Vec<Vec<f32>>> = vec![Vec::new(); settings.len()];
        let mut truth = Vec::new();
        for (index, [train, judged]) in part.inner_folds(config)?.into_iter().enumerate() {
            let (vectors, classes) = part.rows(&train)?;
            let (mut held, held_classes) = part.rows(&judged)?;
            let (standardiser, vectors) = standardised(vectors)?;
            standardiser.apply(&mut held)?;
            truth.extend(held_classes);
            let sample = Sample {
                vectors: &vectors,
                classes: &classes,
                n_classes: part.labels.len(),
            };
            // From the richest on, of which simpler ones may be a part.
            let mut richer: Option<Classifier> = None;
            for (setting, logits) in settings.iter().zip(&mut logits).rev() {
                let fitted = richer
                    .and_then(|richer| richer.part(setting))
                    .unwrap_or_else(|| setting.fit(sample, &mut rng(format!("inner {index}"))));
                logits.extend(held.rows().map(|row| fitted.logits(row)));
                richer = Some(fitted);
            }
        }
        let best = best(&logits, &truth, part.labels.len());
        let temperature = fit_temperature(&logits[best], &truth)?;
        let (standardiser, vectors) = standardised(part.vectors.clone())?;
        let sample = Sample {
            vectors: &vectors,
            classes: &part.classes,
            n_classes: part.labels.len(),
        };
        let setting: &Setting = &settings[best];
        Ok(Self {
            classifier: setting.fit(sample, &mut rng("whole".into())),
            standardiser,
            temperature,
            setting: setting.to_string(),
        })
    }

    /// Probability of every class, of a vector as computed.
    pub(super) fn scores(&self, vector: &[f32]) -> Result<Vec<f32>, TrainError> {
        let mut row = FeatureMatrix::new(vector.to_vec(), vector.len())?;
        self.standardiser.apply(&mut row)?;
        let logits = self.classifier.logits(row.as_slice());
        Ok(softmax_t(&logits, self.temperature)?)
    }

    /// Numbers stored: mean and deviation of every feature, the method's own, the temperature.
    pub(super) fn parameters(&self) -> usize {
        let features = match self.classifier {
            Classifier::Majority(_) => 0,
            _ => 2 * self.standardiser.n_features(),
        };
        features + self.classifier.parameters() + 1
    }
}

fn standardised(mut vectors: FeatureMatrix) -> Result<(Standardiser, FeatureMatrix), TrainError> {
    let standardiser = Standardiser::fit([&vectors])?;
    standardiser.apply(&mut vectors)?;
    Ok((standardiser, vectors))
}

/// The setting with the highest UAR, the first of equal ones.
fn best(logits: &[Vec<Vec<f32>>], truth: &[usize], n_classes: usize) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (index, logits) in logits.iter().enumerate() {
        let mut confusion = Confusion::new(n_classes);
        for (row, &class) in logits.iter().zip(truth) {
            let likeliest = (0..row.len())
                .rev()
                .max_by(|&a, &b| row[a].total_cmp(&row[b]));
            confusion.add(class, likeliest.unwrap_or(0));
        }
        let uar = confusion.uar().unwrap_or(0.0);
        if uar > best.1 {
            best = (index, uar);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::clouds;
    use super::*;

    fn part<'a>(labels: &'a [String], speakers: &'a [String]) -> TrainingPart<'a> {
        let owned = clouds(&[&[0.0, 0.0], &[2.0, 1.0]], 40, 4);
        TrainingPart {
            fold: "fold-1",
            judged: (0..80).map(|clip| clip % 5 != 0).collect(),
            groups: (0..80)
                .map(|clip| speakers[clip / 2 % speakers.len()].as_str())
                .collect(),
            vectors: owned.vectors,
            classes: owned.classes,
            labels,
        }
    }

    fn names(prefix: &str, n: usize) -> Vec<String> {
        (0..n).map(|i| format!("{prefix}{i}")).collect()
    }

    #[test]
    fn inner_folds_part_speakers_and_judge_what_is_tested() {
        let (labels, speakers) = (names("l", 2), names("s", 7));
        let part = part(&labels, &speakers);
        let folds = part.inner_folds(&ClassicalConfig::default()).unwrap();
        assert_eq!(folds.len(), 4);
        let mut judged_in_all = Vec::new();
        for [train, judged] in &folds {
            for clip in judged {
                assert!(part.judged[*clip]);
                assert!(train.iter().all(|&t| part.groups[t] != part.groups[*clip]));
            }
            assert!(train.iter().any(|&clip| !part.judged[clip]));
            judged_in_all.extend(judged.iter().copied());
        }
        judged_in_all.sort_unstable();
        let expected: Vec<usize> = (0..80).filter(|&clip| part.judged[clip]).collect();
        assert_eq!(judged_in_all, expected);
    }

    /// With every class in a group of its own nothing held out was learnt, and any choice is blind.
    #[test]
    fn classes_that_are_groups_are_held_out_clip_by_clip() {
        let (labels, speakers) = (names("l", 2), names("s", 7));
        let mut part = part(&labels, &speakers);
        let clips = names("clip", 80);
        part.groups = clips.iter().map(String::as_str).collect();
        for [train, judged] in part.inner_folds(&ClassicalConfig::default()).unwrap() {
            for class in [0, 1] {
                assert!(train.iter().any(|&clip| part.classes[clip] == class));
                assert!(judged.iter().any(|&clip| part.classes[clip] == class));
            }
        }
    }

    #[test]
    fn one_speaker_and_an_absent_class_are_refused() {
        let config = ClassicalConfig::default();
        let (labels, alone) = (names("l", 2), names("s", 1));
        let error = Fitted::new(Method::LogisticRegression, &config, &part(&labels, &alone));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("1 training speaker(s)")
        );
        let (labels, speakers) = (names("l", 3), names("s", 4));
        let error = Fitted::new(
            Method::LogisticRegression,
            &config,
            &part(&labels, &speakers),
        );
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("no training clip of class l2")
        );
    }

    #[test]
    fn scores_of_every_method_are_probabilities_and_the_same_again() {
        let (labels, speakers) = (names("l", 2), names("s", 6));
        let part = part(&labels, &speakers);
        let mut config = ClassicalConfig::default();
        config.forest.trees = 20;
        config.boosting.rounds = vec![5, 10];
        config.perceptron.epochs = 5;
        for method in Method::ALL {
            let fitted = Fitted::new(method, &config, &part).unwrap();
            assert_eq!(
                fitted,
                Fitted::new(method, &config, &part).unwrap(),
                "{method}"
            );
            for probe in [[0.0, 0.0], [2.0, 1.0], [-1e6, 1e6]] {
                let scores = fitted.scores(&probe).unwrap();
                assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{method}");
                assert!(
                    scores.iter().all(|s| (0.0..=1.0).contains(s)),
                    "{method}: {scores:?}"
                );
            }
            assert!(fitted.parameters() > 1);
        }
    }
}
