//! Running the trials of a search.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_corpora::{Fold, Protocol};
use vocalics_eval::html::Page;
use vocalics_eval::{EvalError, HistoryRow, NLL_FLOOR, softmax_t};

use super::outcome::{Found, Trial, TuneOutcome, importances, trials_csv, write_all};
use super::space::{Point, Space};
use super::{SearchConfig, Strategy, TuneConfig, tpe};
use crate::cache::write;
use crate::fold::{Recalls, TrainedModel, infer_all};
use crate::jobs::Task;
use crate::run::{self, RunLock, chosen, measured_together, refuse_leaks, thin};
use crate::side_by_side::side_by_side;
use crate::{
    CrossValidation, Data, GIT_REVISION, Progress, RunOptions, TrainConfig, TrainError,
    cross_validate,
};

/// What a trained trial keeps.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Score {
    uar: f64,
    nll: f64,
    seconds: f64,
}

impl Score {
    /// Of a training whose loss was no number any more: no clip right, and nothing for any of them.
    fn diverged() -> Self {
        Self {
            uar: 0.0,
            nll: -NLL_FLOOR.ln(),
            seconds: 0.0,
        }
    }
}

/// A trial still to be trained on one fold.
struct Job<'a> {
    study: usize,
    /// Place in the round.
    entry: usize,
    number: usize,
    config: &'a TrainConfig,
    fold: &'a Fold,
}

/// One search with what it knows so far.
struct Study {
    name: String,
    folds: Vec<Fold>,
    trials: Vec<Trial>,
}

/// A trial that is to be run.
struct Entry {
    number: usize,
    point: Point,
    epochs: usize,
    round: usize,
}

impl Study {
    /// The trials to run next; none at the end.
    fn next(&self, search: &TuneConfig, space: &Space<'_>) -> Result<Vec<Entry>, TrainError> {
        let course = &search.search;
        let epochs = search.base().training.epochs;
        match course.strategy {
            Strategy::Random if self.trials.is_empty() => {
                random(space, course, 0..course.trials, epochs)
            }
            Strategy::Random => Ok(Vec::new()),
            Strategy::Halving => {
                let Some(last) = self.trials.last() else {
                    let first = course.first_epochs.min(epochs);
                    return random(space, course, 0..course.trials, first);
                };
                if last.epochs >= epochs {
                    return Ok(Vec::new());
                }
                let round = self.trials.iter().filter(|trial| trial.round == last.round);
                let mut kept: Vec<&Trial> = round.collect();
                // Stable: the earlier of equals stays.
                kept.sort_by(|a, b| {
                    let score = |trial: &Trial| trial.score(course.objective);
                    score(b).total_cmp(&score(a))
                });
                kept.truncate(kept.len().div_ceil(course.eta));
                // A trial alone has nothing left to win but its last epochs.
                let more = match kept.len() {
                    1 => epochs,
                    _ => (last.epochs * course.eta).min(epochs),
                };
                let entry = |trial: &Trial| Entry {
                    number: trial.number,
                    point: trial.point.clone(),
                    epochs: more,
                    round: last.round + 1,
                };
                Ok(kept.into_iter().map(entry).collect())
            }
            Strategy::Tpe => {
                let done = self.trials.len();
                if done == 0 {
                    let first = course.startup.min(course.trials);
                    return random(space, course, 0..first, epochs);
                }
                let known: Vec<(Point, f64)> = self
                    .trials
                    .iter()
                    .map(|trial| (trial.point.clone(), trial.score(course.objective)))
                    .collect();
                (done..course.trials.min(done + course.batch))
                    .map(|index| {
                        let mut rng = generator(course, index);
                        Ok(Entry {
                            number: index + 1,
                            point: tpe::suggest(space, &known, &mut rng)?,
                            epochs,
                            round: 0,
                        })
                    })
                    .collect()
            }
        }
    }
}

fn generator(course: &SearchConfig, index: usize) -> StdRng {
    StdRng::from_seed(*blake3::hash(format!("{}/trial/{index}", course.seed).as_bytes()).as_bytes())
}

fn random(
    space: &Space<'_>,
    course: &SearchConfig,
    indices: std::ops::Range<usize>,
    epochs: usize,
) -> Result<Vec<Entry>, TrainError> {
    indices
        .map(|index| {
            Ok(Entry {
                number: index + 1,
                point: space.draw(&mut generator(course, index))?,
                epochs,
                round: 0,
            })
        })
        .collect()
}

/// Runs a search and writes it into the run directory: `search.toml`, `trials.csv` (after every round), `search.svg`, and
/// `best.toml`, or `best-FOLD.toml` for each fold of a nested one, whose test goes into `test/` as a run of its own.
///
/// `load` gives the recordings of a configuration; it is called once for each front end in a round of the search.
///
/// # Errors
/// When the search is refused by [`TuneConfig::validate`], the protocol is not defined on the data, a trial cannot be trained, or the
/// directory cannot be written. What was done by then stays, and the same call goes on from there.
pub fn tune(
    search: &TuneConfig,
    protocol: &Protocol,
    nested: bool,
    options: &RunOptions,
    load: &(dyn Fn(&TrainConfig) -> Result<Data, TrainError> + Sync),
    progress: &dyn Progress,
) -> Result<TuneOutcome, TrainError> {
    search.validate()?;
    options.device.check()?;
    let base = search.base();
    let space = Space::new(&base, &search.parameters)?;
    let directory = RunLock::take(&options.directory)?;
    let text = toml::to_string_pretty(search).unwrap_or_default();
    let path = options.directory.join("search.toml");
    // Whoever has seen the test of a nested search must not search on.
    let tested = options.directory.join("test").exists();
    if tested && std::fs::read_to_string(&path).map_err(TrainError::io("read", &path))? != text {
        return Err(TrainError::Tested {
            path: options.directory.clone(),
        });
    }
    write(&path, text.as_bytes()).map_err(TrainError::io("write", path))?;
    let mut shelf = Shelf::new(load);
    let data = shelf.of(&base)?;
    let folds = data.listed().folds(protocol, &base.split_options())?;
    let folds = chosen(folds, &options.folds)?;
    if !protocol.speakers_shared() {
        refuse_leaks(&folds, &data.utterances)?;
    }
    if let Some(fold) = folds.iter().find(|fold| fold.validation.is_empty()) {
        return Err(TrainError::Config {
            field: "search.validation_speakers",
            actual: format!("without effect: {} has no validation clips", fold.name),
            expected: "a protocol whose training parts have more speakers",
        });
    }
    let study = |name: &str, folds: Vec<Fold>| Study {
        name: name.to_owned(),
        folds,
        trials: Vec::new(),
    };
    let mut studies: Vec<Study> = if nested {
        let alone = folds.iter();
        alone
            .map(|fold| study(&fold.name, vec![fold.clone()]))
            .collect()
    } else {
        vec![study("all", folds)]
    };
    loop {
        let mut rounds: Vec<Vec<(Entry, TrainConfig)>> = Vec::new();
        for study in &studies {
            let entries = study.next(search, &space)?.into_iter();
            let with_config = entries.map(|entry| {
                let mut config = space.config(&entry.point)?;
                if !search
                    .parameters
                    .iter()
                    .any(|p| p.name == "training.epochs")
                {
                    config.training.epochs = entry.epochs;
                }
                Ok((entry, config))
            });
            rounds.push(with_config.collect::<Result<_, TrainError>>()?);
        }
        if rounds.iter().all(Vec::is_empty) {
            break;
        }
        run_round(&mut studies, &rounds, &space, &mut shelf, options, progress)?;
        let so_far: Vec<Found> = found(search, &space, &studies)?;
        let path = options.directory.join("trials.csv");
        let text = trials_csv(search, &so_far);
        write(&path, text.as_bytes()).map_err(TrainError::io("write", path))?;
    }
    let found = found(search, &space, &studies)?;
    let importance = importances(search, &found);
    write_all(&options.directory, search, &found, &importance)?;
    let test = if nested {
        Some(test(&found, protocol, &mut shelf, options, progress)?)
    } else {
        None
    };
    drop(directory);
    Ok(TuneOutcome {
        found,
        importance,
        test,
    })
}

/// Recordings by what their features depend on.
struct Shelf<'a> {
    load: &'a (dyn Fn(&TrainConfig) -> Result<Data, TrainError> + Sync),
    kept: BTreeMap<String, Data>,
}

impl<'a> Shelf<'a> {
    fn new(load: &'a (dyn Fn(&TrainConfig) -> Result<Data, TrainError> + Sync)) -> Self {
        Self {
            load,
            kept: BTreeMap::new(),
        }
    }

    fn key(config: &TrainConfig) -> String {
        let waveforms = !config.augmentation.waveform.steps.is_empty();
        let sets = config.functionals.as_ref().map(|it| it.sets.join("+"));
        let sets = sets.unwrap_or_default();
        format!("{}/{waveforms}/{sets}", config.front_end.fingerprint())
    }

    fn of(&mut self, config: &TrainConfig) -> Result<&Data, TrainError> {
        let key = Self::key(config);
        if !self.kept.contains_key(&key) {
            self.kept.insert(key.clone(), (self.load)(config)?);
        }
        Ok(&self.kept[&key])
    }

    /// Loads what these need, and lets go of all else.
    fn only<'b>(
        &mut self,
        configs: impl Iterator<Item = &'b TrainConfig> + Clone,
    ) -> Result<(), TrainError> {
        let wanted: BTreeSet<String> = configs.clone().map(Self::key).collect();
        self.kept.retain(|key, _| wanted.contains(key));
        for config in configs {
            self.of(config)?;
        }
        Ok(())
    }

    fn get(&self, config: &TrainConfig) -> &Data {
        &self.kept[&Self::key(config)]
    }
}

/// Trains the round's trials side by side and adds them to their studies.
fn run_round(
    studies: &mut [Study],
    rounds: &[Vec<(Entry, TrainConfig)>],
    space: &Space<'_>,
    shelf: &mut Shelf<'_>,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<(), TrainError> {
    let mut jobs: Vec<Job<'_>> = Vec::new();
    for (study, round) in rounds.iter().enumerate() {
        for (entry, (Entry { number, .. }, config)) in round.iter().enumerate() {
            for fold in &studies[study].folds {
                jobs.push(Job {
                    study,
                    entry,
                    number: *number,
                    config,
                    fold,
                });
            }
        }
    }
    // Lists of few values are often drawn alike: equal trials are one training.
    let alike = |a: &Job<'_>, b: &Job<'_>| a.fold.name == b.fold.name && a.config == b.config;
    let first: Vec<usize> = jobs
        .iter()
        .map(|job| jobs.iter().position(|other| alike(job, other)).unwrap_or(0))
        .collect();
    let alone: Vec<usize> = (0..jobs.len()).filter(|&at| first[at] == at).collect();
    // As many sets of recordings at once as there are trainings: a search over the front end has one for each trial.
    let mut sets: Vec<(String, Vec<usize>)> = Vec::new();
    for at in alone {
        let key = Shelf::key(jobs[at].config);
        match sets.iter_mut().find(|(known, _)| *known == key) {
            Some((_, of_set)) => of_set.push(at),
            None => sets.push((key, vec![at])),
        }
    }
    let mut scores: BTreeMap<usize, Score> = BTreeMap::new();
    for sets in sets.chunks(options.jobs.max(1)) {
        let now: Vec<usize> = sets.iter().flat_map(|(_, jobs)| jobs).copied().collect();
        shelf.only(now.iter().map(|&at| jobs[at].config))?;
        let trained = side_by_side(options.jobs, now.len(), |at| {
            let job = &jobs[now[at]];
            score(job, shelf.get(job.config), options, progress)
        })?;
        scores.extend(now.into_iter().zip(trained));
    }
    let mut sums: BTreeMap<(usize, usize), Vec<Score>> = BTreeMap::new();
    for (job, first) in jobs.iter().zip(first) {
        let key = (job.study, job.entry);
        sums.entry(key).or_default().push(scores[&first]);
    }
    for ((study, entry), scores) in sums {
        let (entry, config) = &rounds[study][entry];
        #[expect(clippy::cast_precision_loss, reason = "a handful of folds")]
        let mean = |of: fn(&Score) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
        studies[study].trials.push(Trial {
            number: entry.number,
            epochs: config.training.epochs,
            values: space.values(&entry.point)?,
            uar: mean(|score| score.uar),
            nll: mean(|score| score.nll),
            seconds: scores.iter().map(|score| score.seconds).sum(),
            round: entry.round,
            point: entry.point.clone(),
        });
    }
    Ok(())
}

/// Trains a trial on one fold, or reads what an earlier run of it gave.
fn score(
    job: &Job<'_>,
    data: &Data,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<Score, TrainError> {
    let mut fold = Fold {
        // A trial has no test part to look at.
        test: Vec::new(),
        ..job.fold.clone()
    };
    thin(&mut fold, job.config, data)?;
    let parts = format!("{}/{:?}/{:?}", fold.name, fold.train, fold.validation);
    let key = run::key(job.config, data, None, &parts, options.device);
    let folder = options
        .directory
        .join("trials")
        .join(&fold.name)
        .join(&key[..16]);
    let result = folder.join("score.toml");
    if let Some(score) = std::fs::read_to_string(&result)
        .ok()
        .and_then(|text| toml::from_str(&text).ok())
    {
        return Ok(score);
    }
    let named = Named {
        inner: progress,
        trial: job.number,
    };
    let task = Task {
        config: job.config,
        data,
        prior: None,
        start: None,
        teacher: None,
        key: &key,
        device: options.device,
        progress: &named,
    };
    let alone = RunOptions {
        jobs: 1,
        ..options.clone()
    };
    let folds = std::slice::from_ref(&fold);
    let finish = |fold: &Fold, model: TrainedModel, _| validation(&model, data, fold);
    let score = match task.run(folds, &alone, |_| folder.clone(), finish) {
        Ok(scores) => scores[0],
        // A rate too high is a poor trial, not the end of the search; also where only the last step made weights infinite.
        Err(TrainError::Diverged { .. } | TrainError::Eval(EvalError::NonFiniteLogit { .. })) => {
            Score::diverged()
        }
        Err(error) => return Err(error),
    };
    let text = toml::to_string(&score).unwrap_or_default();
    write(&result, text.as_bytes()).map_err(TrainError::io("write", &result))?;
    forget_checkpoints(&folder);
    Ok(score)
}

/// The trainings are done: what they would resume from takes room for nothing. That it stays where it cannot be removed does no harm.
fn forget_checkpoints(folder: &Path) {
    let networks: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    for path in std::iter::once(folder.to_owned()).chain(networks) {
        std::fs::remove_file(path.join("checkpoint")).ok();
    }
}

/// UAR and negative log-likelihood of a model on the validation clips, before its temperature.
fn validation(model: &TrainedModel, data: &Data, fold: &Fold) -> Result<Score, TrainError> {
    let logits = infer_all(&model.ensemble, &data.features, &fold.validation);
    let (mut recalls, mut nll) = (Recalls::default(), 0.0);
    for (&clip, logits) in fold.validation.iter().zip(&logits) {
        let class = data.classes[clip];
        recalls.add(class, logits);
        let scores = softmax_t(logits, 1.0)?;
        nll -= f64::from(scores[class]).max(NLL_FLOOR).ln();
    }
    #[expect(clippy::cast_precision_loss, reason = "clip counts are small")]
    let clips = logits.len().max(1) as f64;
    Ok(Score {
        uar: recalls.uar(),
        nll: nll / clips,
        seconds: model.history.iter().map(|row| row.seconds).sum(),
    })
}

fn found(
    search: &TuneConfig,
    space: &Space<'_>,
    studies: &[Study],
) -> Result<Vec<Found>, TrainError> {
    studies
        .iter()
        .map(|study| {
            let mut found = Found {
                name: study.name.clone(),
                folds: study.folds.iter().map(|fold| fold.name.clone()).collect(),
                trials: study.trials.clone(),
                config: search.config.clone(),
            };
            if let Some(best) = found.best(search.search.objective) {
                let mut config = space.config(&best.point)?;
                config.evaluation = search.config.evaluation.clone();
                if !search
                    .parameters
                    .iter()
                    .any(|p| p.name == "training.epochs")
                {
                    config.training.epochs = search.config.training.epochs;
                }
                found.config = config;
            }
            Ok(found)
        })
        .collect()
}

/// Every fold by its own winner, trained anew with the configuration's own epochs and validation speakers, and tested once.
fn test(
    found: &[Found],
    protocol: &Protocol,
    shelf: &mut Shelf<'_>,
    options: &RunOptions,
    progress: &dyn Progress,
) -> Result<CrossValidation, TrainError> {
    shelf.only(found.iter().map(|found| &found.config))?;
    let shelf = &*shelf;
    let runs = side_by_side(options.jobs, found.len(), |at| {
        let Found { name, config, .. } = &found[at];
        let one = RunOptions {
            directory: options.directory.join("test").join(name),
            folds: vec![name.clone()],
            jobs: 1,
            ..options.clone()
        };
        cross_validate(config, shelf.get(config), protocol, &one, progress)
    })?;
    let config = &found[0].config;
    let mut facts = vec![("git revision".to_owned(), GIT_REVISION.to_owned())];
    for found in found {
        let fact = format!("{}/best-{}.toml", options.directory.display(), found.name);
        facts.push((format!("configuration of {}", found.name), fact));
    }
    let page = Page {
        title: format!("{}, searched for in every fold", config.name),
        facts,
    };
    let directory = options.directory.join("test");
    measured_together(runs, &directory, config.evaluation.resamples, &page)
}

/// News of a training with the trial's number before its name.
struct Named<'a> {
    inner: &'a dyn Progress,
    trial: usize,
}

impl Named<'_> {
    fn name(&self, training: &str) -> String {
        format!("trial {} {training}", self.trial)
    }
}

impl Progress for Named<'_> {
    fn training_started(&self, training: &str, epochs_done: usize, epochs: usize) {
        self.inner
            .training_started(&self.name(training), epochs_done, epochs);
    }

    fn step(&self, training: &str, step: usize, steps: usize) {
        self.inner.step(&self.name(training), step, steps);
    }

    fn epoch(&self, row: &HistoryRow) {
        self.inner.epoch(&HistoryRow {
            fold: self.name(&row.fold),
            ..row.clone()
        });
    }

    fn training_finished(&self, training: &str) {
        self.inner.training_finished(&self.name(training));
    }

    fn warning(&self, message: &str) {
        self.inner.warning(message);
    }
}
