//! Finished evaluations whose models answer together, fold by fold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use vocalics_eval::html::Page;
use vocalics_eval::{
    DEFAULT_RESAMPLES, HistoryRow, Predictions, Provenance, fit_temperature, read_history,
    softmax_t,
};
use vocalics_runtime::{MIXTURE_FLOOR, combine, read_metadata, read_model};

use crate::cache::write;
use crate::run::{HELD_OUT, Measured, RunLock};
use crate::speaker::Moved;
use crate::{CrossValidation, FinishedRun, GIT_REVISION, Heard, TrainError};

/// Joins runs of one protocol: every fold's models become one file whose scores are the mean of theirs, weighted by `shares`,
/// and the numbers of the whole are those of these scores. Nothing is trained. Where all runs took their temperatures from paired folds
/// ([`TemperatureFrom::PairedFolds`](crate::TemperatureFrom::PairedFolds)), the whole gets one more, fitted on the same clips.
///
/// Writes into `directory`, which must be empty or absent, what [`cross_validate`](crate::cross_validate) writes, but for checkpoints and, where the
/// runs' differ, the manifest, and the configuration of each run as `member-<n>.toml`. The networks of the second run follow those of the
/// first in `history.csv`.
///
/// # Errors
/// [`TrainError::OtherTest`], naming the directory and what differs, when the runs do not test the same clips in the same folds under one
/// protocol, or a model has heard a speaker whom its fold tests, though the protocol shares none; [`TrainError::NoRun`] without a
/// model file; models that cannot answer together; files that cannot be read or written.
pub fn combine_runs(
    runs: &[FinishedRun],
    shares: &[f32],
    name: &str,
    directory: &Path,
) -> Result<CrossValidation, TrainError> {
    let Some(first) = runs.first() else {
        return Err(vocalics_eval::EvalError::Empty { what: "runs" }.into());
    };
    for run in runs {
        check_same_test(run, first)?;
    }
    let tested: Vec<&Predictions> = runs.iter().map(|run| &run.predictions).collect();
    let mut predictions = mean_scores(&tested, shares);
    let folds: BTreeSet<&str> = first.folds().collect();
    let held_out = held_out(runs, shares, &folds)?;
    let mut with_others = with_others(runs, shares)?;
    let rows = with_others.iter_mut().flat_map(|it| &mut it.rows);
    for row in predictions.rows.iter_mut().chain(rows) {
        if let Some((temperature, _)) = held_out.get(row.fold.as_str()) {
            row.scores = at_temperature(&row.scores, *temperature)?;
        }
    }
    // Everything that can be refused is refused before anything is written.
    let mut files = Vec::new();
    for fold in folds {
        let mut paths = Vec::with_capacity(runs.len());
        let mut models = Vec::with_capacity(runs.len());
        for run in runs {
            let path = run.model(fold)?;
            let model = read_model(path)?;
            if !run.provenance.speakers_shared {
                refuse_heard(run, fold, &model)?;
            }
            paths.push(path);
            models.push(model);
        }
        let models: Vec<&[u8]> = models.iter().map(Vec::as_slice).collect();
        let temperature = held_out
            .get(fold)
            .map_or(1.0, |(temperature, _)| *temperature);
        let whole = combine(&models, shares, name, temperature);
        let whole = whole.map_err(|error| error.naming(&paths))?;
        files.push((fold, whole));
    }
    refuse_used(directory)?;
    let _lock = RunLock::take(directory)?;
    let put =
        |path: PathBuf, bytes: &[u8]| write(&path, bytes).map_err(TrainError::io("write", &path));
    let mut parameters = 0;
    for (fold, model) in files {
        let folder = directory.join(fold);
        put(folder.join("model.onnx"), &model.bytes)?;
        let mut rows = predictions.clone();
        rows.rows.retain(|row| row.fold == fold);
        rows.write_csv(&folder.join("predictions.csv"))?;
        if let Some((_, answers)) = held_out.get(fold) {
            answers.write_csv(&folder.join(HELD_OUT))?;
        }
        parameters = model.parameters;
    }
    let mut history: Vec<HistoryRow> = Vec::new();
    let mut facts = vec![("git revision".to_owned(), GIT_REVISION.to_owned())];
    for (index, (run, share)) in runs.iter().zip(shares).enumerate() {
        let config = run.path.join("config.toml");
        if config.is_file() {
            let text = std::fs::read(&config).map_err(TrainError::io("read", &config))?;
            put(directory.join(format!("member-{}.toml", index + 1)), &text)?;
        }
        let file = run.path.join("history.csv");
        if file.is_file() {
            let before = history.iter().map(|row| row.network).max().unwrap_or(0);
            history.extend(read_history(&file)?.into_iter().map(|row| HistoryRow {
                network: row.network + before,
                ..row
            }));
        }
        let what = format!("{}, share {share:.3}", run.name);
        facts.push((format!("member {}", index + 1), what));
    }
    facts.push(("parameters".to_owned(), parameters.to_string()));
    if let Some(manifest) = common_manifest(runs)? {
        put(directory.join("manifest.csv"), &manifest)?;
    }
    let corpora: BTreeSet<&String> = runs
        .iter()
        .flat_map(|run| &run.provenance.corpora)
        .collect();
    let provenance = Provenance {
        corpora: corpora.into_iter().cloned().collect(),
        ..first.provenance.clone()
    };
    let page = Page {
        title: name.to_owned(),
        facts,
    };
    Measured {
        predictions,
        moved: with_others.map(Moved::written),
        provenance,
        history,
        parameters,
        teacher: None,
        temperatures: held_out
            .into_iter()
            .map(|(fold, (temperature, _))| (fold, temperature))
            .collect(),
    }
    .write(directory, DEFAULT_RESAMPLES, &page)
}

/// Refuses a run that does not test the clips of the first, or under other labels.
fn check_same_test(run: &FinishedRun, first: &FinishedRun) -> Result<(), TrainError> {
    let refuse = |what, actual: String, expected: String| {
        Err(TrainError::OtherTest {
            path: run.path.clone(),
            what,
            actual,
            expected,
        })
    };
    let (own, theirs) = (&run.provenance, &first.provenance);
    if own.protocol != theirs.protocol {
        return refuse("protocol", own.protocol.clone(), theirs.protocol.clone());
    }
    if own.labels != theirs.labels {
        return refuse("label set", own.labels.join(" "), theirs.labels.join(" "));
    }
    if own.speakers_shared != theirs.speakers_shared {
        let [own, theirs] = [own, theirs].map(|one| one.speakers().to_owned());
        return refuse("division of speakers", own, theirs);
    }
    check_same_clips(run, &run.predictions, first, &first.predictions)
}

/// Refuses answers to other clips than those that the first run answered.
fn check_same_clips(
    run: &FinishedRun,
    answers: &Predictions,
    first: &FinishedRun,
    expected: &Predictions,
) -> Result<(), TrainError> {
    let clips = |answers: &Predictions| -> BTreeMap<(String, String), usize> {
        let rows = answers.rows.iter();
        rows.map(|row| ((row.fold.clone(), row.id.clone()), row.truth))
            .collect()
    };
    let (own, theirs) = (clips(answers), clips(expected));
    let other = own
        .iter()
        .find(|(clip, truth)| theirs.get(*clip) != Some(*truth));
    let other = other.or_else(|| theirs.iter().find(|(clip, _)| !own.contains_key(*clip)));
    match other {
        None => Ok(()),
        Some(((fold, id), _)) => Err(TrainError::OtherTest {
            path: run.path.clone(),
            what: "test",
            actual: format!("{} clips, and {id} of {fold} differs", own.len()),
            expected: format!("the {} clips of {}", theirs.len(), first.path.display()),
        }),
    }
}

/// The scores of the whole once the speakers' other clips were heard, where that makes a difference to a run.
fn with_others(runs: &[FinishedRun], shares: &[f32]) -> Result<Option<Predictions>, TrainError> {
    if runs.iter().all(|run| run.with_others.is_none()) {
        return Ok(None);
    }
    let all: Vec<&Predictions> = runs
        .iter()
        .map(|run| run.with_others.as_ref().unwrap_or(&run.predictions))
        .collect();
    for (run, one) in runs.iter().zip(&all) {
        check_same_clips(run, one, &runs[0], &runs[0].predictions)?;
    }
    let mean = mean_scores(&all, shares);
    // In the order of the plain ones.
    let places = runs[0].predictions.rows.iter().enumerate();
    let places: BTreeMap<(&str, &str), usize> = places
        .map(|(place, row)| ((row.fold.as_str(), row.id.as_str()), place))
        .collect();
    let mut rows = mean.rows;
    rows.sort_by_key(|row| places.get(&(row.fold.as_str(), row.id.as_str())).copied());
    let labels = mean.labels;
    Ok(Some(Predictions { labels, rows }))
}

/// The weighted mean of the scores, in the order of the first.
fn mean_scores(all: &[&Predictions], shares: &[f32]) -> Predictions {
    let mut sums: BTreeMap<(&str, &str), Vec<f32>> = BTreeMap::new();
    for (one, share) in all.iter().zip(shares) {
        for row in &one.rows {
            let sums = sums
                .entry((row.fold.as_str(), row.id.as_str()))
                .or_insert_with(|| vec![0.0; row.scores.len()]);
            for (sum, score) in sums.iter_mut().zip(&row.scores) {
                *sum += share * score;
            }
        }
    }
    let mut mean = all[0].clone();
    for row in &mut mean.rows {
        if let Some(scores) = sums.remove(&(row.fold.as_str(), row.id.as_str())) {
            row.scores = scores;
        }
    }
    mean
}

/// The temperature of the whole in each fold, and its scores of the clips that it was fitted on, at that temperature; nothing where a run
/// has no such clips.
fn held_out(
    runs: &[FinishedRun],
    shares: &[f32],
    folds: &BTreeSet<&str>,
) -> Result<BTreeMap<String, (f32, Predictions)>, TrainError> {
    let mut found = BTreeMap::new();
    for &fold in folds {
        let answers = runs.iter().map(|run| run.held_out(fold));
        let answers: Option<Vec<Predictions>> = answers.collect::<Result<_, _>>()?;
        let Some(answers) = answers else {
            return Ok(BTreeMap::new());
        };
        for (run, one) in runs.iter().zip(&answers) {
            check_same_clips(run, one, &runs[0], &answers[0])?;
            refuse_tested(run, fold, one)?;
        }
        let mut mean = mean_scores(&answers.iter().collect::<Vec<_>>(), shares);
        let truth: Vec<usize> = mean.rows.iter().map(|row| row.truth).collect();
        let logits: Vec<Vec<f32>> = mean.rows.iter().map(|row| logits(&row.scores)).collect();
        let temperature = fit_temperature(&logits, &truth)?;
        for row in &mut mean.rows {
            row.scores = at_temperature(&row.scores, temperature)?;
        }
        found.insert(fold.to_owned(), (temperature, mean));
    }
    Ok(found)
}

/// Scores as the joined file computes them, whose logits are the logarithms of the mean.
fn at_temperature(scores: &[f32], temperature: f32) -> Result<Vec<f32>, TrainError> {
    Ok(softmax_t(&logits(scores), temperature)?)
}

fn logits(scores: &[f32]) -> Vec<f32> {
    scores
        .iter()
        .map(|score| (score + MIXTURE_FLOOR).ln())
        .collect()
}

/// Refuses clips to fit a temperature on that the fold tests.
fn refuse_tested(run: &FinishedRun, fold: &str, held_out: &Predictions) -> Result<(), TrainError> {
    let rows = run.predictions.rows.iter().filter(|row| row.fold == fold);
    let tested: BTreeSet<&str> = rows.map(|row| row.id.as_str()).collect();
    let mut ids = held_out.rows.iter().map(|row| row.id.as_str());
    match ids.find(|id| tested.contains(id)) {
        None => Ok(()),
        Some(id) => Err(TrainError::OtherTest {
            path: run.path.clone(),
            what: "list of held-out clips",
            actual: format!("one with {id}, which {fold} tests"),
            expected: "one without the clips that the fold tests".to_owned(),
        }),
    }
}

/// Refuses a model that has heard a speaker of its fold's test, or may have.
fn refuse_heard(run: &FinishedRun, fold: &str, model: &[u8]) -> Result<(), TrainError> {
    let rows = run.predictions.rows.iter().filter(|row| row.fold == fold);
    let heard = Heard::by_model(&read_metadata(model)?);
    let seen: Vec<String> = heard.of(rows.map(|row| &row.speaker)).into_iter().collect();
    if seen.is_empty() {
        return Ok(());
    }
    Err(TrainError::OtherTest {
        path: run.path.clone(),
        what: "list of speakers heard",
        actual: format!("one with {} in the model of {fold}", seen.join(", ")),
        expected: "one without the speakers that the fold tests".to_owned(),
    })
}

/// Which clip served for what, where that is the same in all runs.
fn common_manifest(runs: &[FinishedRun]) -> Result<Option<Vec<u8>>, TrainError> {
    let mut common: Option<Vec<u8>> = None;
    for run in runs {
        let file = run.path.join("manifest.csv");
        if !file.is_file() {
            return Ok(None);
        }
        let manifest = std::fs::read(&file).map_err(TrainError::io("read", &file))?;
        if common.as_ref().is_some_and(|known| *known != manifest) {
            return Ok(None);
        }
        common = Some(manifest);
    }
    Ok(common)
}

fn refuse_used(directory: &Path) -> Result<(), TrainError> {
    let mut entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(TrainError::io("read", directory)(error)),
    };
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(TrainError::OtherRun {
            path: directory.to_owned(),
        }),
    }
}
