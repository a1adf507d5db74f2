//! Test scores adapted to their speakers.

use std::collections::BTreeMap;

use rayon::prelude::*;
use vocalics_corpora::is_unknown_speaker;
use vocalics_eval::{Predictions, Report, Scored, SpeakerPoint, evaluate};
use vocalics_features::{FeatureMatrix, Voice};
use vocalics_runtime::{Recognizer, SpeakerProfile};

use crate::TrainError;
use crate::voices::functionals;

/// Seconds at which the curve is measured, besides all that there are.
const CURVE_SECS: [f64; 6] = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0];
/// Orders of a speaker's other clips that a point of the curve is the mean over.
const DRAWS: usize = 5;

/// The scores of a test by models that move functionals to the speaker ([`Voice`]).
#[derive(Debug)]
pub struct Moved<'a> {
    /// In the order of the plain ones: the functionals of each clip are moved by all other clips of its speaker.
    pub with_others: Predictions,
    models: Option<Models<'a>>,
}

/// What a model's scores become before they are compared with labels.
pub type Answering<'a> = &'a (dyn Fn(&[f32]) -> Vec<f32> + Sync);

/// What the scores are computed from.
struct Models<'a> {
    /// The model of each clip.
    by_clip: Vec<&'a Recognizer>,
    features: Vec<&'a FeatureMatrix>,
    answers: Option<Answering<'a>>,
}

impl std::fmt::Debug for Models<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "models of {} clips", self.by_clip.len())
    }
}

impl Models<'_> {
    /// The scores of a clip when others of its speaker were heard.
    fn scores(&self, clip: usize, heard: &[usize]) -> Result<Vec<f32>, TrainError> {
        let scores = self.of_model(clip, heard)?;
        Ok(match self.answers {
            Some(answers) => answers(&scores),
            None => scores,
        })
    }

    fn of_model(&self, clip: usize, heard: &[usize]) -> Result<Vec<f32>, TrainError> {
        let (model, features) = (self.by_clip[clip], self.features[clip]);
        let Some(norm) = &model.metadata().speaker_norm else {
            return Ok(model.scores_from_features(features)?);
        };
        let mut voice = Voice::new(norm.clone());
        for &other in heard {
            let of = functionals(self.features[other], norm.n_features());
            if !of.is_empty() {
                voice.hear(of)?;
            }
        }
        Ok(model.scores_in_voice(features, &voice)?)
    }
}

impl<'a> Moved<'a> {
    /// Of the clips of `plain`, whose models and features are given in their order; `answers` makes scores of the labels of `plain` of those of the
    /// models where these are others.
    ///
    /// # Errors
    /// A clip that its model does not take.
    pub fn by(
        plain: &Predictions,
        by_clip: Vec<&'a Recognizer>,
        features: Vec<&'a FeatureMatrix>,
        answers: Option<Answering<'a>>,
    ) -> Result<Self, TrainError> {
        let models = Models {
            by_clip,
            features,
            answers,
        };
        let speakers = speakers(&plain.rows);
        let mut rows = plain.rows.clone();
        for clips in speakers.values() {
            let scores = clips
                .par_iter()
                .map(|&clip| models.scores(clip, &others(clip, clips)))
                .collect::<Result<Vec<_>, TrainError>>()?;
            for (&clip, scores) in clips.iter().zip(scores) {
                rows[clip].scores = scores;
            }
        }
        let labels = plain.labels.clone();
        Ok(Self {
            with_others: Predictions { labels, rows },
            models: Some(models),
        })
    }

    /// As another evaluation wrote them; nothing can be said about fewer clips of the speaker.
    #[must_use]
    pub fn written(with_others: Predictions) -> Self {
        Self {
            with_others,
            models: None,
        }
    }
}

/// The clips of each speaker of each fold; each clip of a speaker who is not known alone.
fn speakers(rows: &[Scored]) -> BTreeMap<(&str, &str, Option<usize>), Vec<usize>> {
    let mut speakers: BTreeMap<(&str, &str, Option<usize>), Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let alone = is_unknown_speaker(&row.speaker).then_some(index);
        let speaker = (row.fold.as_str(), row.speaker.as_str(), alone);
        speakers.entry(speaker).or_default().push(index);
    }
    speakers
}

fn others(clip: usize, clips: &[usize]) -> Vec<usize> {
    clips.iter().copied().filter(|&it| it != clip).collect()
}

/// Adds to a report what its predictions give when each clip's scores adapt to the other clips of the same speaker, by the
/// same model and without their labels ([`SpeakerProfile`]). Where the models move functionals to the speaker, `moved` has what they say then, and these
/// scores adapt.
///
/// The report comes back as it is where the duration of a clip is not known, or no speaker has a second clip. A clip whose
/// speaker has no other keeps its scores.
///
/// # Errors
/// As [`Report::new`]; a clip that its model does not take.
pub fn with_speaker_calibrated(
    report: Report,
    predictions: &Predictions,
    moved: Option<&Moved<'_>>,
    resamples: usize,
) -> Result<Report, TrainError> {
    let rows = &predictions.rows;
    let speakers = speakers(rows);
    let known = rows.iter().all(|row| row.seconds.is_some());
    if !known || speakers.values().all(|clips| clips.len() < 2) {
        return Ok(report);
    }
    let seed = report.provenance.seed;
    let test = Adapting {
        rows: moved.map_or(rows, |moved| &moved.with_others.rows),
        models: moved.and_then(|moved| moved.models.as_ref()),
    };
    let adapted = |least_secs: f64, draw: usize| -> Result<(Predictions, f64), TrainError> {
        let (mut scores, mut heard) = (vec![Vec::new(); rows.len()], 0.0);
        for clips in speakers.values() {
            let found = clips
                .par_iter()
                .map(|&clip| test.adapted(clip, clips, least_secs, (seed, draw)))
                .collect::<Result<Vec<_>, TrainError>>()?;
            for (&clip, (found, seconds)) in clips.iter().zip(found) {
                heard += seconds;
                scores[clip] = found;
            }
        }
        let rows = rows.iter().zip(scores).map(|(row, scores)| Scored {
            scores,
            ..row.clone()
        });
        #[expect(clippy::cast_precision_loss, reason = "clip counts are small")]
        let seconds = heard / predictions.rows.len() as f64;
        let after = Predictions {
            labels: predictions.labels.clone(),
            rows: rows.collect(),
        };
        Ok((after, seconds))
    };
    let (all, seconds) = adapted(f64::INFINITY, 0)?;
    let mut curve = vec![SpeakerPoint {
        seconds: 0.0,
        uar: report.metrics.uar,
    }];
    // Networks that are asked anew for every clip heard take their time, and scores that were written are of all clips.
    let draws = match moved {
        None => DRAWS,
        Some(Moved {
            models: Some(_), ..
        }) => 1,
        Some(_) => 0,
    };
    for least_secs in CURVE_SECS.into_iter().filter(|secs| *secs < seconds) {
        let (mut uar, mut heard) = (0.0, 0.0);
        for draw in 0..draws {
            let (after, seconds) = adapted(least_secs, draw)?;
            uar += evaluate(&after)?.uar;
            heard += seconds;
        }
        if draws > 0 {
            #[expect(clippy::cast_precision_loss, reason = "five at most")]
            let draws = draws as f64;
            curve.push(SpeakerPoint {
                seconds: heard / draws,
                uar: uar / draws,
            });
        }
    }
    curve.push(SpeakerPoint {
        seconds,
        uar: evaluate(&all)?.uar,
    });
    Ok(report.with_speaker_calibrated(&all, seconds, curve, resamples)?)
}

/// A test whose scores adapt.
struct Adapting<'a> {
    /// Scores with all other clips of the speaker heard, which are the plain ones where nothing is moved.
    rows: &'a [Scored],
    models: Option<&'a Models<'a>>,
}

impl Adapting<'_> {
    /// The scores of a clip after others of its speaker, in a drawn order until there are `least_secs`, and how long these are.
    fn adapted(
        &self,
        clip: usize,
        clips: &[usize],
        least_secs: f64,
        lot: (u64, usize),
    ) -> Result<(Vec<f32>, f64), TrainError> {
        let heard = heard(self.rows, clip, clips, least_secs, lot);
        let scores = |of: usize| match self.models {
            // The scores at hand are those after all others.
            Some(models) if least_secs.is_finite() => models.scores(of, &others(of, &heard)),
            _ => Ok(self.rows[of].scores.clone()),
        };
        let own = scores(clip)?;
        let mut profile = SpeakerProfile::new(own.len());
        for &other in &heard {
            let seconds = self.rows[other].seconds.unwrap_or_default();
            profile.hear(&scores(other)?, seconds);
        }
        Ok((profile.adapt(&own), profile.seconds()))
    }
}

/// The other clips of a clip's speaker, in a drawn order until there are `least_secs`.
fn heard(
    rows: &[Scored],
    clip: usize,
    clips: &[usize],
    least_secs: f64,
    (seed, draw): (u64, usize),
) -> Vec<usize> {
    let mut others = others(clip, clips);
    if least_secs.is_finite() {
        let id = &rows[clip].id;
        others.sort_by_cached_key(|&other| {
            let lot = format!("{seed}/{draw}/{id}/{}", rows[other].id);
            *blake3::hash(lot.as_bytes()).as_bytes()
        });
    }
    let mut seconds = 0.0;
    others.retain(|&other| {
        let wanted = seconds < least_secs;
        if wanted {
            seconds += rows[other].seconds.unwrap_or_default();
        }
        wanted
    });
    others
}

#[cfg(test)]
mod tests {
    use vocalics_eval::Provenance;

    use super::*;

    /// Two speakers; the second sounds angry whatever it says, so that only the difference between its clips tells.
    fn predictions() -> Predictions {
        let mut rows = Vec::new();
        for (speaker, lean) in [("ann", 0.0), ("bob", 0.3)] {
            for clip in 0..20 {
                let truth = clip % 2;
                let angry = if truth == 1 { 0.6 } else { 0.4 } + lean;
                rows.push(Scored {
                    id: format!("{speaker}-{clip}"),
                    speaker: speaker.into(),
                    sex: None,
                    intensity: None,
                    seconds: Some(3.0),
                    fold: "fold-1".into(),
                    truth,
                    scores: vec![1.0 - angry, angry],
                });
            }
        }
        Predictions {
            labels: vec!["calm".into(), "angry".into()],
            rows,
        }
    }

    fn report(predictions: &Predictions) -> Report {
        let provenance = Provenance {
            corpora: vec!["invented".into()],
            protocol: "emobox-6fold".into(),
            speakers_shared: false,
            folds: 1,
            labels: predictions.labels.clone(),
            seed: 1,
        };
        Report::new(predictions, provenance, 100).unwrap()
    }

    /// Nobody's clips are everybody's.
    #[test]
    fn clips_of_speakers_whom_nobody_named_are_not_those_of_one() {
        let mut predictions = predictions();
        for row in &mut predictions.rows {
            row.speaker = "folder-calls-unknown".into();
        }
        let plain = report(&predictions);
        let report = with_speaker_calibrated(plain, &predictions, None, 100).unwrap();
        assert!(report.speaker_calibrated.is_none());
    }

    #[test]
    fn a_speaker_who_always_sounds_angry_is_understood() {
        let predictions = predictions();
        let plain = report(&predictions);
        assert!((plain.metrics.uar - 0.75).abs() < 1e-9);
        let report = with_speaker_calibrated(plain.clone(), &predictions, None, 100).unwrap();
        assert_eq!(report.metrics, plain.metrics, "the plain numbers stay");
        let after = report.speaker_calibrated.unwrap();
        assert!(after.uar > 0.99, "{after:?}");
        assert!((after.seconds - 57.0).abs() < 1e-9);
        // 0, 5, 10, 20, 40 seconds, which whole clips of 3 s fill, and all.
        let seconds: Vec<f64> = after.curve.iter().map(|point| point.seconds).collect();
        for (actual, expected) in seconds.iter().zip([0.0, 6.0, 12.0, 21.0, 42.0, 57.0]) {
            assert!((actual - expected).abs() < 1e-9, "{seconds:?}");
        }
        assert!((after.curve[0].uar - 0.75).abs() < 1e-9);
        assert!((after.curve[5].uar - after.uar).abs() < 1e-9);
    }

    #[test]
    fn a_clip_does_not_adapt_to_itself() {
        let predictions = predictions();
        let clips: Vec<usize> = (0..20).collect();
        let test = Adapting {
            rows: &predictions.rows,
            models: None,
        };
        let (all, seconds) = test.adapted(7, &clips, f64::INFINITY, (1, 0)).unwrap();
        assert!((seconds - 57.0).abs() < 1e-9);
        let mut by_hand = SpeakerProfile::new(2);
        for clip in (0..20).filter(|&clip| clip != 7) {
            by_hand.hear(&predictions.rows[clip].scores, 3.0);
        }
        assert_eq!(all, by_hand.adapt(&predictions.rows[7].scores));
    }

    #[test]
    fn without_durations_or_other_clips_there_is_no_such_number() {
        let mut predictions = predictions();
        let single = Predictions {
            rows: vec![predictions.rows[0].clone(), predictions.rows[21].clone()],
            ..predictions.clone()
        };
        let same = with_speaker_calibrated(report(&single), &single, None, 100).unwrap();
        assert!(same.speaker_calibrated.is_none());
        predictions.rows[3].seconds = None;
        let same = with_speaker_calibrated(report(&predictions), &predictions, None, 100).unwrap();
        assert!(same.speaker_calibrated.is_none());
    }
}
