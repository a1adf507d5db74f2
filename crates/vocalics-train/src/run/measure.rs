//! The test of the folds' models, and the files that say how it went.

use std::collections::BTreeMap;
use std::path::Path;

use vocalics_corpora::Fold;
use vocalics_eval::html::{self, Page};
use vocalics_eval::{
    EvalError, HistoryRow, Predictions, Provenance, Report, Scored, plot, softmax_t, write_history,
};

use super::CrossValidation;
use crate::export::{ExportNotes, export};
use crate::fold::{TrainedModel, infer_all};
use crate::jobs::Task;
use crate::speaker::{Moved, with_speaker_calibrated};
use crate::{Data, TrainConfig, TrainError};

/// The file beside `predictions.csv` with the scores that functionals moved to the speaker give.
pub const SPEAKER_PREDICTIONS: &str = "speaker-predictions.csv";

/// What a fold gave.
pub(super) struct FoldOutcome {
    pub(super) rows: Vec<Scored>,
    /// Of the fold's own teacher, if it has one.
    pub(super) teacher_rows: Vec<Scored>,
    pub(super) history: Vec<HistoryRow>,
    pub(super) parameters: usize,
    /// Of each network in the answer, for people.
    pub(super) shares: String,
}

/// The kinds of a model's networks, for people.
pub(super) fn networks(config: &TrainConfig) -> String {
    let kinds: Vec<&str> = config
        .answering()
        .into_iter()
        .map(vocalics_models::NetworkConfig::kind)
        .collect();
    kinds.join(", ")
}

/// What a model says of the fold's test part.
fn test(task: &Task<'_>, fold: &Fold, model: &TrainedModel) -> Result<Predictions, TrainError> {
    let logits = infer_all(&model.ensemble, &task.data.features, &fold.test);
    scored(task, &fold.name, &fold.test, (&logits, model.temperature))
}

/// Scores of clips, from their logits and a temperature.
pub(super) fn scored(
    task: &Task<'_>,
    fold: &str,
    clips: &[usize],
    (logits, temperature): (&[Vec<f32>], f32),
) -> Result<Predictions, TrainError> {
    let Task { config, data, .. } = *task;
    let rows = clips.iter().zip(logits).map(|(&i, logits)| {
        let utterance = &data.utterances[i];
        Ok(Scored {
            id: utterance.id.clone(),
            speaker: utterance.speaker.clone(),
            sex: utterance.sex.map(|sex| sex.to_string()),
            intensity: utterance.intensity.clone(),
            seconds: Some(data.seconds(config, i)),
            fold: fold.to_owned(),
            truth: data.classes[i],
            scores: softmax_t(logits, temperature)?,
        })
    });
    Ok(Predictions {
        labels: data.labels.as_slice().to_vec(),
        rows: rows.collect::<Result<_, TrainError>>()?,
    })
}

/// Tests a fold's model on the fold's test part, and writes both; the same of its teacher.
pub(super) fn measure(
    task: &Task<'_>,
    fold: &Fold,
    model: TrainedModel,
    teacher: Option<&TrainedModel>,
    folder: &Path,
) -> Result<FoldOutcome, TrainError> {
    let Task { config, data, .. } = *task;
    let predictions = test(task, fold, &model)?;
    predictions.write_csv(&folder.join("predictions.csv"))?;
    let clips = fold.train.iter().chain(&fold.validation).copied().collect();
    let notes = ExportNotes {
        clips,
        result: None,
        heard: task.heard_before(fold),
    };
    export(&model, config, data, &notes, &folder.join("model.onnx"))?;
    let mut teacher_rows = Vec::new();
    if let Some(teacher) = teacher {
        let predictions = test(task, fold, teacher)?;
        predictions.write_csv(&folder.join("teacher-predictions.csv"))?;
        export_teacher(teacher, config, data, &notes, folder)?;
        teacher_rows = predictions.rows;
    }
    let shares: Vec<String> = model
        .ensemble
        .weights()
        .iter()
        .map(|share| format!("{share:.2}"))
        .collect();
    let shares = format!("{} {}", fold.name, shares.join(", "));
    let TrainedModel {
        history,
        parameters,
        ..
    } = model;
    Ok(FoldOutcome {
        rows: predictions.rows,
        teacher_rows,
        history,
        parameters,
        shares,
    })
}

/// `teacher.onnx`: the model that the student learnt from.
pub(super) fn export_teacher(
    teacher: &TrainedModel,
    config: &TrainConfig,
    data: &Data,
    notes: &ExportNotes,
    folder: &Path,
) -> Result<(), TrainError> {
    let config = TrainConfig {
        distillation: None,
        name: format!("{}-teacher", config.name),
        ..config.clone()
    };
    export(teacher, &config, data, notes, &folder.join("teacher.onnx"))
}

/// What the folds of a run gave.
pub(crate) struct Measured<'a> {
    pub(crate) predictions: Predictions,
    /// The same by models that move functionals to the speaker, with the speaker's other clips heard.
    pub(crate) moved: Option<Moved<'a>>,
    pub(crate) provenance: Provenance,
    pub(crate) history: Vec<HistoryRow>,
    pub(crate) parameters: usize,
    /// The teacher's numbers, where there was one.
    pub(crate) teacher: Option<Report>,
    /// Of every fold's model, where other folds gave it.
    pub(crate) temperatures: BTreeMap<String, f32>,
}

impl Measured<'_> {
    /// Takes the numbers and writes them: `predictions.csv`, `history.csv`, `metrics.json`, figures, `report.html`, and
    /// [`SPEAKER_PREDICTIONS`] where there are any.
    pub(crate) fn write(
        self,
        directory: &Path,
        resamples: usize,
        page: &Page,
    ) -> Result<CrossValidation, TrainError> {
        let Self {
            predictions,
            moved,
            provenance,
            history,
            parameters,
            teacher,
            temperatures,
        } = self;
        let report = Report::new(&predictions, provenance, resamples)?;
        let mut report = with_speaker_calibrated(report, &predictions, moved.as_ref(), resamples)?;
        let with_others = moved.map(|moved| moved.with_others);
        if let Some(with_others) = &with_others {
            with_others.write_csv(&directory.join(SPEAKER_PREDICTIONS))?;
        }
        report.temperatures = temperatures;
        predictions.write_csv(&directory.join("predictions.csv"))?;
        write_history(&directory.join("history.csv"), &history)?;
        report.write_json(&directory.join("metrics.json"))?;
        plot::write_all(directory, &report, &history)?;
        html::write(&directory.join("report.html"), &report, &history, page)?;
        Ok(CrossValidation {
            report,
            predictions,
            with_others,
            history,
            parameters,
            teacher,
        })
    }
}

/// One measurement from runs of one fold each, whose configurations may differ, written into `directory`.
///
/// # Errors
/// When there are no runs, or the files cannot be written.
pub(crate) fn measured_together(
    runs: Vec<CrossValidation>,
    directory: &Path,
    resamples: usize,
    page: &Page,
) -> Result<CrossValidation, TrainError> {
    let mut runs = runs.into_iter();
    let Some(first) = runs.next() else {
        return Err(EvalError::Empty { what: "runs" }.into());
    };
    let mut with_others = first.with_others;
    let mut all = Measured {
        predictions: first.predictions,
        moved: None,
        provenance: first.report.provenance,
        history: first.history,
        parameters: first.parameters,
        teacher: None,
        temperatures: first.report.temperatures,
    };
    for run in runs {
        all.temperatures.extend(run.report.temperatures);
        with_others = match (with_others, run.with_others) {
            (None, None) => None,
            // What does not depend on the speaker is the same with others heard.
            (before, found) => {
                let mut before = before.unwrap_or_else(|| all.predictions.clone());
                let found = found.unwrap_or_else(|| run.predictions.clone());
                before.rows.extend(found.rows);
                Some(before)
            }
        };
        all.predictions.rows.extend(run.predictions.rows);
        all.provenance.folds += run.report.provenance.folds;
        all.provenance.speakers_shared |= run.report.provenance.speakers_shared;
        all.provenance.corpora.extend(run.report.provenance.corpora);
        all.history.extend(run.history);
        all.parameters = all.parameters.max(run.parameters);
    }
    all.provenance.corpora.sort();
    all.provenance.corpora.dedup();
    all.moved = with_others.map(Moved::written);
    all.write(directory, resamples, page)
}
