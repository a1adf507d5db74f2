//! Classical methods under a protocol, each kept on disk when it is finished.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vocalics_corpora::{Fold, LabelSet, Protocol, SplitOptions, Target, Utterance};
use vocalics_eval::{Entry, Predictions, Provenance, Scored};
use vocalics_features::FeatureMatrix;

use super::nested::{Fitted, TrainingPart};
use super::sample::{count, single};
use super::{ClassicalConfig, ClassicalData, Method, Vectors};
use crate::cache::write;
use crate::run::{RunLock, chosen, refuse_leaks};
use crate::side_by_side::pool;
use crate::{Listed, Progress, TrainError};

/// Rises whenever the same configuration and recordings give other scores; kept rows of another are computed again.
const VERSION: u32 = 2;

/// Where and how the methods are run.
#[derive(Debug, Clone)]
pub struct ClassicalOptions {
    /// Directory of the comparison; a method is kept in `<set>/<method>/` of it.
    pub directory: PathBuf,
    /// Folds to run, by name; empty for all.
    pub folds: Vec<String>,
    /// Folds side by side, one thread each.
    pub jobs: usize,
}

/// A method measured on all folds.
#[derive(Debug, Clone)]
pub struct ClassicalRow {
    /// The method.
    pub method: Method,
    /// The set of its vectors; none for a method that does not look at them.
    pub set: Option<String>,
    /// Scores of every test clip.
    pub predictions: Predictions,
    /// Numbers stored, mean over the folds.
    pub parameters: usize,
    /// Seconds of fitting on one thread, choice of hyper-parameters included and features not, summed over the folds.
    pub train_secs: f64,
    /// Milliseconds from a clip's vector to its scores on one thread, mean over the test clips.
    pub inference_ms: f64,
    /// What was chosen in each fold.
    pub chosen: BTreeMap<String, String>,
}

impl ClassicalRow {
    /// Name of a method's row and of its folder.
    #[must_use]
    pub fn name(method: Method, set: Option<&str>) -> String {
        match set {
            Some(set) => format!("{set}/{method}"),
            None => method.to_string(),
        }
    }

    /// The row as one of a comparison.
    #[must_use]
    pub fn entry(self, seed: u64) -> Entry {
        Entry {
            name: Self::name(self.method, self.set.as_deref()),
            input: self.set.unwrap_or_else(|| "none".to_owned()),
            seed,
            predictions: self.predictions,
            parameters: Some(self.parameters),
            train_secs: Some(self.train_secs),
            inference_ms: Some(self.inference_ms),
        }
    }
}

/// `method.toml`: what belongs to a kept `predictions.csv`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Identifies configuration, recordings, folds and vectors.
    key: String,
    /// Of `predictions.csv`.
    predictions: String,
    parameters: usize,
    train_secs: f64,
    inference_ms: f64,
    chosen: BTreeMap<String, String>,
}

/// Measures methods on every set of the data, under a protocol. Methods that were finished by an earlier call on the same
/// directory with the same configuration and data are read back.
///
/// # Errors
/// When the protocol is not defined on the data, a method cannot be fitted, or the directory cannot be written.
pub fn evaluate_classical(
    config: &ClassicalConfig,
    data: &ClassicalData,
    protocol: &Protocol,
    methods: &[Method],
    options: &ClassicalOptions,
    progress: &dyn Progress,
) -> Result<Vec<ClassicalRow>, TrainError> {
    config.validate()?;
    let split = config.split_options();
    let folds = test_folds(protocol, data.listed(), &split, &options.folds)?;
    let path = &options.directory;
    let _lock = RunLock::take(path)?;
    let file = path.join("classical.toml");
    write(&file, config.to_toml().as_bytes()).map_err(TrainError::io("write", file))?;
    let pool = pool(options.jobs.max(1))?;
    let mut rows = Vec::new();
    for (index, vectors) in data.vectors.iter().enumerate() {
        // A method that does not look at vectors has one row.
        let methods = methods.iter().filter(|m| m.hears() || index == 0);
        for &method in methods {
            let task = Task {
                method,
                config,
                data,
                vectors,
                folds: &folds,
                protocol: protocol.name(),
                progress,
            };
            rows.push(task.row(path, &pool)?);
        }
    }
    Ok(rows)
}

/// The folds of a protocol that a comparison is run on, by name; all for no names.
///
/// # Errors
/// When the protocol is not defined on the recordings, has no fold of that name, or claims to hold speakers apart and does not.
pub fn test_folds(
    protocol: &Protocol,
    listed: Listed<'_>,
    split: &SplitOptions,
    names: &[String],
) -> Result<Vec<Fold>, TrainError> {
    let folds = chosen(listed.folds(protocol, split)?, names)?;
    if !protocol.speakers_shared() {
        refuse_leaks(&folds, listed.utterances)?;
    }
    Ok(folds)
}

/// What a comparison tests: where its numbers come from, and every test clip with its true class and even scores, which the
/// rows must be [of the same test](vocalics_eval::same_test) as.
#[must_use]
pub fn planned_test(
    listed: Listed<'_>,
    labels: &LabelSet,
    folds: &[Fold],
    protocol: &Protocol,
    seed: u64,
) -> (Provenance, Predictions) {
    let Listed {
        utterances,
        classes,
        ..
    } = listed;
    let labels = labels.as_slice().to_vec();
    let even = single(1.0 / count(labels.len()).max(1.0));
    let rows: Vec<Scored> = folds
        .iter()
        .flat_map(|fold| fold.test.iter().map(move |&clip| (fold, clip)))
        .map(|(fold, clip)| {
            scored(
                &utterances[clip],
                fold,
                classes[clip],
                vec![even; labels.len()],
            )
        })
        .collect();
    let tested = folds.iter().flat_map(|fold| &fold.test);
    let corpora: BTreeSet<&String> = tested.map(|&i| &utterances[i].corpus).collect();
    let provenance = Provenance {
        corpora: corpora.into_iter().cloned().collect(),
        protocol: protocol.name().to_owned(),
        speakers_shared: protocol.speakers_shared(),
        folds: folds.len(),
        labels: labels.clone(),
        seed,
    };
    (provenance, Predictions { labels, rows })
}

fn scored(utterance: &Utterance, fold: &Fold, truth: usize, scores: Vec<f32>) -> Scored {
    Scored {
        id: utterance.id.clone(),
        speaker: utterance.speaker.clone(),
        sex: utterance.sex.map(|sex| sex.to_string()),
        intensity: utterance.intensity.clone(),
        seconds: None,
        fold: fold.name.clone(),
        truth,
        scores,
    }
}

/// A method on a set.
struct Task<'a> {
    method: Method,
    config: &'a ClassicalConfig,
    data: &'a ClassicalData,
    vectors: &'a Vectors,
    folds: &'a [Fold],
    protocol: &'a str,
    progress: &'a dyn Progress,
}

impl Task<'_> {
    fn set(&self) -> Option<&str> {
        self.method.hears().then_some(self.vectors.set.as_str())
    }

    fn key(&self) -> String {
        let heard = self.method.hears().then_some(self.vectors);
        let n_features = self.vectors.matrix.n_features();
        // What other methods are made with does not matter.
        let text = format!(
            "{VERSION}\n{}\n{:?}\n{}\n{}\n{}\n{}\n{:?}",
            self.method,
            self.method.settings(self.config, n_features),
            self.config.seed,
            self.config.inner_folds,
            self.data.hash(heard),
            self.protocol,
            self.folds,
        );
        blake3::hash(text.as_bytes()).to_hex().to_string()
    }

    fn row(&self, directory: &Path, pool: &rayon::ThreadPool) -> Result<ClassicalRow, TrainError> {
        let name = ClassicalRow::name(self.method, self.set());
        let folder = directory.join(&name);
        let key = self.key();
        if let Some(row) = self.kept(&folder, &key) {
            return Ok(row);
        }
        let done = AtomicUsize::new(0);
        self.progress.fitted(&name, 0, self.folds.len());
        let fitted: Vec<(Fitted, f64)> = pool.install(|| {
            self.folds
                .par_iter()
                .map(|fold| {
                    let started = Instant::now();
                    let fitted = Fitted::new(self.method, self.config, &self.training_part(fold)?)?;
                    let seconds = started.elapsed().as_secs_f64();
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    self.progress.fitted(&name, done, self.folds.len());
                    Ok((fitted, seconds))
                })
                .collect::<Result<_, TrainError>>()
        })?;
        let mut rows = Vec::new();
        let started = Instant::now();
        for (fold, (fitted, _)) in self.folds.iter().zip(&fitted) {
            for &clip in &fold.test {
                let scores = fitted.scores(self.vectors.matrix.row(clip))?;
                let truth = self.data.classes[clip];
                rows.push(scored(&self.data.utterances[clip], fold, truth, scores));
            }
        }
        let inference_ms = 1000.0 * started.elapsed().as_secs_f64() / count(rows.len()).max(1.0);
        let parameters: usize = fitted.iter().map(|(fitted, _)| fitted.parameters()).sum();
        let names = self.folds.iter().map(|fold| fold.name.clone());
        let row = ClassicalRow {
            method: self.method,
            set: self.set().map(str::to_owned),
            predictions: Predictions {
                labels: self.data.labels.as_slice().to_vec(),
                rows,
            },
            parameters: parameters / fitted.len().max(1),
            train_secs: fitted.iter().map(|(_, seconds)| seconds).sum(),
            inference_ms,
            chosen: names
                .zip(fitted.into_iter().map(|(f, _)| f.setting))
                .collect(),
        };
        keep(&row, &folder, key)?;
        Ok(row)
    }

    /// What a fold lets a method see.
    fn training_part<'a>(&'a self, fold: &'a Fold) -> Result<TrainingPart<'a>, TrainError> {
        let utterances = &self.data.utterances;
        let tested = |corpus: &str| fold.test.iter().any(|&i| utterances[i].corpus == corpus);
        let corpora: BTreeMap<&str, bool> = fold
            .train
            .iter()
            .map(|&i| utterances[i].corpus.as_str())
            .map(|corpus| (corpus, tested(corpus)))
            .collect();
        // A class that is held out is not learnt: where speakers are the classes, clips are held out.
        let of_clips = self.config.target()? == Target::Speaker;
        let group = |u: &'a Utterance| {
            if of_clips {
                u.id.as_str()
            } else {
                u.speaker.as_str()
            }
        };
        let all_judged = !corpora.values().any(|tested| *tested);
        let clips = fold.train.iter();
        let matrix = &self.vectors.matrix;
        let values = clips.clone().flat_map(|&i| matrix.row(i)).copied();
        Ok(TrainingPart {
            fold: &fold.name,
            vectors: FeatureMatrix::new(values.collect(), matrix.n_features())?,
            classes: clips.clone().map(|&i| self.data.classes[i]).collect(),
            groups: clips.clone().map(|&i| group(&utterances[i])).collect(),
            judged: clips
                .map(|&i| all_judged || corpora.get(utterances[i].corpus.as_str()) == Some(&true))
                .collect(),
            labels: self.data.labels.as_slice(),
        })
    }

    /// The row of an earlier run, if it is whole and of the same key.
    fn kept(&self, folder: &Path, key: &str) -> Option<ClassicalRow> {
        let kept = std::fs::read_to_string(folder.join("method.toml")).ok()?;
        let kept: Kept = toml::from_str(&kept).ok()?;
        let path = folder.join("predictions.csv");
        let text = std::fs::read_to_string(&path).ok()?;
        if kept.key != key || kept.predictions != blake3::hash(text.as_bytes()).to_hex().as_str() {
            return None;
        }
        Some(ClassicalRow {
            method: self.method,
            set: self.set().map(str::to_owned),
            predictions: Predictions::from_csv(&text, &path).ok()?,
            parameters: kept.parameters,
            train_secs: kept.train_secs,
            inference_ms: kept.inference_ms,
            chosen: kept.chosen,
        })
    }
}

fn keep(row: &ClassicalRow, folder: &Path, key: String) -> Result<(), TrainError> {
    let text = row.predictions.to_csv()?;
    let kept = Kept {
        key,
        predictions: blake3::hash(text.as_bytes()).to_hex().to_string(),
        parameters: row.parameters,
        train_secs: row.train_secs,
        inference_ms: row.inference_ms,
        chosen: row.chosen.clone(),
    };
    // Every field is a number, a string or a table of those.
    let kept = toml::to_string_pretty(&kept).unwrap_or_default();
    for (name, text) in [("predictions.csv", text), ("method.toml", kept)] {
        let path = folder.join(name);
        write(&path, text.as_bytes()).map_err(TrainError::io("write", path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::clouds;
    use super::*;
    use crate::Silent;

    fn loso(config: &ClassicalConfig, data: &ClassicalData, names: &[String]) -> Vec<Fold> {
        let split = config.split_options();
        test_folds(&Protocol::Loso, data.listed(), &split, names).unwrap()
    }

    /// Five speakers, three classes in speech and two in song.
    fn data() -> ClassicalData {
        let owned = clouds(
            &[&[0.0, 0.0, 1.0], &[2.0, 0.0, 0.0], &[0.0, 2.0, 0.0]],
            60,
            21,
        );
        let utterance = |clip: usize| {
            let class = owned.classes[clip];
            let song = clip / 15 % 4 == 3 && class < 2;
            let corpus = if song { "song" } else { "speech" };
            let id = format!("{corpus}/{clip:03}");
            Utterance {
                path: id.clone().into(),
                id,
                corpus: corpus.into(),
                speaker: format!("speaker-{}", clip / 3 % 5),
                sex: None,
                emotion: ["calm", "happy", "sad"][class].into(),
                intensity: None,
                statement: None,
                repetition: None,
                channel: None,
            }
        };
        ClassicalData {
            utterances: (0..180).map(utterance).collect(),
            labels: LabelSet::new(vec!["calm".into(), "happy".into(), "sad".into()]).unwrap(),
            classes: owned.classes.clone(),
            vectors: vec![Vectors {
                set: "invented".into(),
                version: "invented-v1".into(),
                matrix: owned.vectors.clone(),
            }],
            contents: Vec::new(),
        }
    }

    fn config() -> ClassicalConfig {
        let mut config = ClassicalConfig {
            inner_folds: 3,
            resamples: 100,
            ..ClassicalConfig::default()
        };
        config.forest.trees = 10;
        config.boosting.rounds = vec![3, 6];
        config.perceptron.epochs = 20;
        config
    }

    fn options(directory: &Path, jobs: usize) -> ClassicalOptions {
        ClassicalOptions {
            directory: directory.to_owned(),
            folds: Vec::new(),
            jobs,
        }
    }

    fn run(
        data: &ClassicalData,
        config: &ClassicalConfig,
        directory: &Path,
        jobs: usize,
    ) -> Vec<ClassicalRow> {
        let options = options(directory, jobs);
        evaluate_classical(
            config,
            data,
            &Protocol::Loso,
            &Method::ALL,
            &options,
            &Silent,
        )
        .unwrap()
    }

    fn scores(rows: &[ClassicalRow]) -> Vec<&Predictions> {
        rows.iter().map(|row| &row.predictions).collect()
    }

    #[test]
    fn a_method_is_fitted_to_the_same_whatever_the_test_clips_are() {
        let (config, clean) = (config(), data());
        let folds = loso(&config, &clean, &[]);
        let fold = &folds[2];
        let mut other = clean.clone();
        for &clip in &fold.test {
            other.classes[clip] = 2 - other.classes[clip];
            let width = other.vectors[0].matrix.n_features();
            let row = &mut other.vectors[0].matrix.as_mut_slice()[clip * width..(clip + 1) * width];
            row.iter_mut()
                .enumerate()
                .for_each(|(i, x)| *x = 1e4 * (i as f32 + 1.0) - *x);
        }
        assert_ne!(
            clean.hash(Some(&clean.vectors[0])),
            other.hash(Some(&other.vectors[0]))
        );
        for method in Method::ALL {
            let fit = |data: &ClassicalData| {
                let task = Task {
                    method,
                    config: &config,
                    data,
                    vectors: &data.vectors[0],
                    folds: &folds,
                    protocol: "loso",
                    progress: &Silent,
                };
                Fitted::new(method, &config, &task.training_part(fold).unwrap()).unwrap()
            };
            assert_eq!(fit(&clean), fit(&other), "{method}");
        }
    }

    #[test]
    fn any_number_of_jobs_gives_the_same_scores_and_all_hear_something() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
        let (config, data) = (config(), data());
        let (one, many) = (run(&data, &config, &a, 1), run(&data, &config, &b, 3));
        assert_eq!(scores(&one), scores(&many));
        for row in &one {
            let uar = vocalics_eval::evaluate(&row.predictions).unwrap().uar;
            let chance = row.method == Method::Majority;
            assert!(
                if chance { uar < 0.34 } else { uar > 0.55 },
                "{}: {uar}",
                row.method
            );
            assert_eq!(row.predictions.rows.len(), 180);
            assert_eq!(row.chosen.len(), 5);
        }
        let again = ClassicalConfig { seed: 2, ..config };
        assert_ne!(scores(&one), scores(&run(&data, &again, &c, 1)));
    }

    #[test]
    fn finished_methods_are_read_back_unless_something_differs() {
        let folder = tempfile::tempdir().unwrap();
        let (config, data) = (config(), data());
        let first = run(&data, &config, folder.path(), 2);
        let again = run(&data, &config, folder.path(), 1);
        for (a, b) in first.iter().zip(&again) {
            assert_eq!(a.predictions, b.predictions);
            // A time measured again would differ.
            assert_eq!(a.train_secs.to_bits(), b.train_secs.to_bits());
            assert_eq!(a.chosen, b.chosen);
        }
        let kept = folder.path().join("invented/svm-rbf");
        let text = std::fs::read_to_string(kept.join("predictions.csv")).unwrap();
        std::fs::write(kept.join("predictions.csv"), &text[..text.len() / 2]).unwrap();
        let mended = run(&data, &config, folder.path(), 1);
        assert_eq!(scores(&mended), scores(&first));
        assert_eq!(
            std::fs::read_to_string(kept.join("predictions.csv")).unwrap(),
            text
        );

        let mut larger = config.clone();
        larger.forest.trees = 12;
        let rerun = run(&data, &larger, folder.path(), 1);
        for (a, b) in first.iter().zip(&rerun) {
            let same = a.train_secs.to_bits() == b.train_secs.to_bits();
            assert_eq!(
                same,
                ![Method::RandomForest, Method::SvmRbf].contains(&a.method)
            );
        }

        let mut moved = data.clone();
        moved.vectors[0].matrix.as_mut_slice()[0] += 0.5;
        let other = run(&moved, &config, folder.path(), 1);
        assert_ne!(other[1].train_secs.to_bits(), first[1].train_secs.to_bits());
        // What does not look at vectors is the same.
        assert_eq!(other[0].train_secs.to_bits(), first[0].train_secs.to_bits());
    }

    #[test]
    fn the_planned_test_is_that_of_the_rows() {
        let folder = tempfile::tempdir().unwrap();
        let (config, data) = (config(), data());
        let options = ClassicalOptions {
            folds: vec!["speaker-1".into(), "speaker-3".into()],
            ..options(folder.path(), 2)
        };
        let methods = [Method::LogisticRegression];
        let rows = evaluate_classical(&config, &data, &Protocol::Loso, &methods, &options, &Silent)
            .unwrap();
        let folds = loso(&config, &data, &options.folds);
        let (provenance, planned) =
            planned_test(data.listed(), &data.labels, &folds, &Protocol::Loso, 1);
        vocalics_eval::same_test(&planned, &rows[0].predictions).unwrap();
        assert_eq!((provenance.folds, provenance.corpora.len()), (2, 2));
        let unknown = ClassicalOptions {
            folds: vec!["speaker-9".into()],
            ..options
        };
        let error =
            evaluate_classical(&config, &data, &Protocol::Loso, &methods, &unknown, &Silent);
        assert!(error.unwrap_err().to_string().contains("speaker-9"));
    }
}
