//! Testing a model as it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use vocalics_audio::{DecodeOptions, read_file};
use vocalics_corpora::{LabelMap, LabelSet, Protocol, SplitOptions, Target, Utterance};
use vocalics_eval::html::{self, Page};
use vocalics_eval::{DEFAULT_RESAMPLES, Predictions, Provenance, Report, Scored, plot};
use vocalics_features::FeatureMatrix;
use vocalics_runtime::{HeardClip, ModelMetadata, Recognizer};
use vocalics_train::{Answering, Heard, Moved, SPEAKER_PREDICTIONS, with_speaker_calibrated};

use super::{Arguments, show};
use crate::failure::{Failure, listed};
use crate::output::{remove_if_there, tell};
use crate::progress;
use crate::recognition::{Recognised, Refusal, in_order, listen, open};
use crate::selection::{problems, scan_told};

/// Name of the protocol that tests every clip.
const ALL: &str = "all";

pub(super) fn run(arguments: &Arguments, model: &Path) -> Result<(), Failure> {
    if !arguments.corpora.is_named() {
        return Err(Failure::usage(
            "--model needs the corpora to test on",
            "give them with --corpus NAME=DIR, or --corpus NAME for one under the data root",
        ));
    }
    arguments
        .loading
        .refuse_before("--model is tested as it is")?;
    let recognizer = open(Some(model), arguments.loading.encoder.as_deref())?;
    let metadata = recognizer.metadata();
    let target: Target = metadata.task.parse()?;
    let map: LabelMap = arguments
        .overrides
        .map
        .as_deref()
        .unwrap_or("*=keep")
        .parse()?;
    if target != Target::Emotion && !map.is_identity() {
        return Err(Failure::usage(
            format!("--map maps emotions, and the model recognises {target}"),
            "leave out --map",
        ));
    }
    let keep_going = arguments.loading.keep_going;

    let scan = scan_told(&arguments.corpora.named_or_all()?)?;
    let total = scan.utterances.len() + scan.problems.len();
    problems(&scan.problems, total, keep_going)?;
    let utterances = map.apply_all(scan.utterances)?;
    let answers = Answers::new(&metadata.labels, &map)?;
    tell(&if map.is_identity() {
        "label map: none, corpus and model keep their labels".to_owned()
    } else {
        format!("label map, for the corpus and the model alike: {map}")
    });
    let (utterances, classes) = classed(utterances, target, &answers)?;

    let seed = arguments.overrides.seed.unwrap_or(metadata.seed);
    let protocol = arguments.protocol.as_deref().unwrap_or(ALL);
    let parts = Parts::new(protocol, &utterances, &classes, seed, &arguments.folds)?;
    let tested: Vec<usize> = parts.indices().collect();
    let seen = Heard::by_model(metadata).among(&tested, &utterances);
    if !seen.is_empty() {
        if !arguments.allow_seen_speakers {
            let names: Vec<&str> = seen.iter().map(String::as_str).collect();
            return Err(Failure::new(
                format!(
                    "the model was trained on {} of the speakers it would be tested on, or may have been: {}",
                    seen.len(),
                    names.join(", ")
                ),
                "test it on other speakers (--corpus, --protocol, --fold), or with \
                 --allow-seen-speakers, which says so beside every number",
            ));
        }
        tell(&format!(
            "warning: the model was trained on {} of the speakers tested, maybe on the very clips",
            seen.len()
        ));
    }

    if let Some(directory) = &arguments.run {
        refuse_other_run(directory)?;
    }
    let scores = recognise_all(arguments, &recognizer, &utterances, &parts, &answers)?;
    let predictions = Predictions {
        labels: answers.labels.clone(),
        rows: rows(&parts, &utterances, &classes, &scores),
    };
    let tested: BTreeSet<&str> = parts
        .indices()
        .map(|i| utterances[i].corpus.as_str())
        .collect();
    let provenance = Provenance {
        corpora: tested.into_iter().map(str::to_owned).collect(),
        protocol: parts.protocol.clone(),
        speakers_shared: !seen.is_empty(),
        folds: predictions
            .rows
            .iter()
            .map(|row| &row.fold)
            .collect::<BTreeSet<_>>()
            .len(),
        labels: answers.labels.clone(),
        seed,
    };
    let report = Report::new(&predictions, provenance, DEFAULT_RESAMPLES)?;
    let answer = |scores: &[f32]| answers.scores(scores);
    let moved = match recognizer.metadata().speaker_norm {
        Some(_) => Some(moved(
            &recognizer,
            &predictions,
            (&parts, &scores),
            &answer,
        )?),
        None => None,
    };
    let report = with_speaker_calibrated(report, &predictions, moved.as_ref(), DEFAULT_RESAMPLES)?;
    if let Some(directory) = &arguments.run {
        write_run(directory, &report, &predictions, metadata, &map)?;
        let path = directory.join(SPEAKER_PREDICTIONS);
        match &moved {
            Some(moved) => moved.with_others.write_csv(&path)?,
            // That of another model that was measured here before.
            None => remove_if_there(&path)?,
        }
        tell(&format!(
            "report: {}",
            directory.join("report.html").display()
        ));
    }
    show(&report, arguments.format)
}

/// What the model says of the clips once it heard the others of their speakers.
fn moved<'a>(
    recognizer: &'a Recognizer,
    predictions: &Predictions,
    (parts, scores): (&Parts, &'a BTreeMap<usize, Answer>),
    answer: Answering<'a>,
) -> Result<Moved<'a>, Failure> {
    // As in `rows`.
    let clips = parts.parts.iter().flat_map(|(_, clips)| clips);
    let clips = clips.filter_map(|index| scores.get(index));
    let features: Vec<&FeatureMatrix> = clips
        .filter_map(|answer| answer.heard.as_ref()?.features())
        .collect();
    let models = vec![recognizer; features.len()];
    Ok(Moved::by(predictions, models, features, Some(answer))?)
}

/// What the model can answer once the label map is applied.
#[derive(Debug, PartialEq)]
struct Answers {
    labels: Vec<String>,
    /// For each label of the model its place in `labels`; `None` where the map drops it.
    places: Vec<Option<usize>>,
}

impl Answers {
    fn new(model_labels: &[String], map: &LabelMap) -> Result<Self, Failure> {
        let mut labels: Vec<String> = Vec::new();
        let mut places = Vec::with_capacity(model_labels.len());
        for label in model_labels {
            places.push(map.apply(label)?.map(|mapped| {
                labels
                    .iter()
                    .position(|known| *known == mapped)
                    .unwrap_or_else(|| {
                        labels.push(mapped);
                        labels.len() - 1
                    })
            }));
        }
        if labels.len() < 2 {
            return Err(Failure::usage(
                format!("the map {map} leaves the model {} labels", labels.len()),
                "leave it at least two",
            ));
        }
        Ok(Self { labels, places })
    }

    /// Scores of the model's labels to scores of these, summing to 1.
    fn scores(&self, of_model: &[f32]) -> Vec<f32> {
        let mut scores = vec![0.0; self.labels.len()];
        for (score, place) in of_model.iter().zip(&self.places) {
            if let Some(place) = place {
                scores[*place] += score;
            }
        }
        if self.places.contains(&None) {
            let sum: f32 = scores.iter().sum();
            #[expect(clippy::cast_precision_loss, reason = "a handful of labels")]
            let even = 1.0 / scores.len() as f32;
            for score in &mut scores {
                *score = if sum > 0.0 { *score / sum } else { even };
            }
        }
        scores
    }
}

/// Keeps the clips that have a value of the target, with its class. A label that the model does not
/// know is an error.
fn classed(
    utterances: Vec<Utterance>,
    target: Target,
    answers: &Answers,
) -> Result<(Vec<Utterance>, Vec<usize>), Failure> {
    let known = LabelSet::new(answers.labels.clone())?;
    let (mut kept, mut classes) = (Vec::new(), Vec::new());
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut without = 0_usize;
    for utterance in utterances {
        match target.label_of(&utterance) {
            None => without += 1,
            Some(label) => match known.index_of(&label) {
                Some(class) => {
                    kept.push(utterance);
                    classes.push(class);
                }
                None => *unknown.entry(label).or_default() += 1,
            },
        }
    }
    if without > 0 {
        tell(&format!(
            "note: {without} clips are left out, their corpus does not state {target}"
        ));
    }
    if !unknown.is_empty() {
        let names: Vec<&str> = unknown.keys().map(String::as_str).collect();
        let counted: Vec<String> = unknown
            .iter()
            .map(|(label, clips)| format!("{label} ({clips} clips)"))
            .collect();
        return Err(Failure::new(
            format!(
                "the model does not know {}; its labels are {known}",
                counted.join(", ")
            ),
            format!(
                "say what becomes of them: --map {}, with a label of the model in place of drop",
                names
                    .iter()
                    .map(|name| format!("{name}=drop"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
        ));
    }
    Ok((kept, classes))
}

/// The test parts of a protocol.
#[derive(Debug)]
struct Parts {
    protocol: String,
    /// Name and clips of each.
    parts: Vec<(String, Vec<usize>)>,
}

impl Parts {
    fn new(
        protocol: &str,
        utterances: &[Utterance],
        classes: &[usize],
        seed: u64,
        wanted: &[String],
    ) -> Result<Self, Failure> {
        let (name, mut parts) = if protocol == ALL {
            (
                ALL.to_owned(),
                vec![(ALL.to_owned(), (0..utterances.len()).collect())],
            )
        } else {
            let protocol = Protocol::from_name_or_file(protocol)?;
            // Nothing is trained, so nobody has to be held out for validation.
            let split = SplitOptions {
                seed,
                validation_speakers: 0,
                ..SplitOptions::default()
            };
            let folds = protocol.folds(utterances, classes, &split)?;
            (
                protocol.name().to_owned(),
                folds
                    .into_iter()
                    .map(|fold| (fold.name, fold.test))
                    .collect::<Vec<_>>(),
            )
        };
        if let Some(unknown) = wanted
            .iter()
            .find(|w| !parts.iter().any(|(name, _)| name == *w))
        {
            let known: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Failure::usage(
                format!("{name} has no fold {unknown}"),
                format!("its folds are {}", known.join(", ")),
            ));
        }
        parts.retain(|(name, _)| wanted.is_empty() || wanted.contains(name));
        Ok(Self {
            protocol: name,
            parts,
        })
    }

    /// The clips tested, each once.
    fn indices(&self) -> impl Iterator<Item = usize> {
        let all: BTreeSet<usize> = self
            .parts
            .iter()
            .flat_map(|(_, part)| part)
            .copied()
            .collect();
        all.into_iter()
    }
}

/// Scores of a clip, and the seconds that they come from.
struct Answer {
    scores: Vec<f32>,
    seconds: f64,
    /// Where functionals are moved to the speaker.
    heard: Option<HeardClip>,
}

/// Scores by index of the clip. Silence and undecodable clips have none and are errors, unless the
/// user wants to go on without them.
fn recognise_all(
    arguments: &Arguments,
    recognizer: &Recognizer,
    utterances: &[Utterance],
    parts: &Parts,
    answers: &Answers,
) -> Result<BTreeMap<usize, Answer>, Failure> {
    let decode = DecodeOptions {
        sample_rate: Some(recognizer.sample_rate()),
        ..DecodeOptions::default()
    };
    let indices: Vec<usize> = parts.indices().collect();
    let bar = progress::clips("clips", indices.len());
    let work = |&index: &usize| {
        let path = &utterances[index].path;
        let name = path.display().to_string();
        read_file(path, &decode)
            .map_err(|error| Refusal::of_audio(&error, &name))
            .and_then(|waveform| listen(recognizer, &waveform))
            .map_err(|refusal| format!("{name}: {}", refusal.message))
            .and_then(|Recognised { heard, prediction }| match prediction.label {
                Some(_) => {
                    let scores = prediction.scores.into_iter().map(|(_, score)| score);
                    Ok(Answer {
                        scores: answers.scores(&scores.collect::<Vec<_>>()),
                        seconds: prediction.analysed_secs,
                        heard,
                    })
                }
                None => Err(format!("{name}: nothing but silence")),
            })
    };
    let (mut scores, mut bad) = (BTreeMap::new(), Vec::new());
    in_order(
        &indices,
        arguments.side_by_side.jobs(),
        work,
        |position, outcome| {
            bar.inc(1);
            match outcome {
                Ok(row) => {
                    scores.insert(indices[position], row);
                }
                Err(message) => bad.push(message),
            }
            Ok(())
        },
    )?;
    bar.finish_and_clear();
    problems(&bad, indices.len(), arguments.loading.keep_going)?;
    if scores.is_empty() {
        return Err(Failure::new(
            format!("no clip could be recognised{}", listed(&bad)),
            "check the corpus with `vocalics data check`",
        ));
    }
    Ok(scores)
}

fn rows(
    parts: &Parts,
    utterances: &[Utterance],
    classes: &[usize],
    scored: &BTreeMap<usize, Answer>,
) -> Vec<Scored> {
    let mut rows = Vec::new();
    for (fold, clips) in &parts.parts {
        for index in clips {
            let Some(answer) = scored.get(index) else {
                continue;
            };
            let utterance = &utterances[*index];
            rows.push(Scored {
                id: utterance.id.clone(),
                speaker: utterance.speaker.clone(),
                sex: utterance.sex.map(|sex| sex.to_string()),
                intensity: utterance.intensity.clone(),
                seconds: Some(answer.seconds),
                fold: fold.clone(),
                truth: classes[*index],
                scores: answer.scores.clone(),
            });
        }
    }
    rows
}

/// A directory in which something was trained or combined keeps its numbers.
fn refuse_other_run(directory: &Path) -> Result<(), Failure> {
    let files = ["config.toml", "member-1.toml"];
    match files.into_iter().find(|it| directory.join(it).exists()) {
        None => Ok(()),
        Some(file) => Err(Failure::new(
            format!("{} holds another run: it has a {file}", directory.display()),
            "choose another directory with --run; the model's numbers would stand beside its models",
        )),
    }
}

fn write_run(
    directory: &Path,
    report: &Report,
    predictions: &Predictions,
    metadata: &ModelMetadata,
    map: &LabelMap,
) -> Result<(), Failure> {
    std::fs::create_dir_all(directory).map_err(|error| Failure::io("create", directory, &error))?;
    predictions.write_csv(&directory.join("predictions.csv"))?;
    report.write_json(&directory.join("metrics.json"))?;
    plot::write_all(directory, report, &[])?;
    let trained: Vec<&str> = metadata
        .corpora
        .iter()
        .map(|note| note.name.as_str())
        .collect();
    let facts = [
        ("model", metadata.name.clone()),
        ("trained on", trained.join(" + ")),
        ("trained", metadata.created.clone()),
        ("git revision", metadata.git_revision.clone()),
        ("front end", metadata.front_end_fingerprint.clone()),
        ("label map", map.to_string()),
    ];
    let page = Page {
        title: metadata.name.clone(),
        facts: facts.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    };
    Ok(html::write(
        &directory.join("report.html"),
        report,
        &[],
        &page,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(map: &str) -> Answers {
        let labels = ["neutral", "calm", "sad", "surprised"].map(str::to_owned);
        Answers::new(&labels, &map.parse().unwrap()).unwrap()
    }

    fn scores(answers: &Answers) -> Vec<f32> {
        let of_model = [
            ("neutral", 0.1),
            ("calm", 0.3),
            ("sad", 0.4),
            ("surprised", 0.2),
        ];
        answers.scores(&of_model.map(|(_, score)| score))
    }

    #[test]
    fn merged_answers_add_up() {
        let merged = answers("calm=neutral");
        assert_eq!(merged.labels, ["neutral", "sad", "surprised"]);
        for (actual, expected) in scores(&merged).iter().zip([0.4, 0.4, 0.2]) {
            assert!((actual - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn dropped_answers_leave_the_rest_in_proportion() {
        let dropped = answers("surprised=drop");
        assert_eq!(dropped.labels, ["neutral", "calm", "sad"]);
        for (actual, expected) in scores(&dropped).iter().zip([0.125, 0.375, 0.5]) {
            assert!((actual - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn a_map_that_leaves_one_label_is_refused() {
        let labels = ["neutral", "calm"].map(str::to_owned);
        assert!(Answers::new(&labels, &"calm=neutral".parse().unwrap()).is_err());
    }
}
