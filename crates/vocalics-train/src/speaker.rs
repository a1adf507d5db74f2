//! Test scores adapted to their speakers.

use std::collections::BTreeMap;

use vocalics_eval::{Predictions, Report, Scored, SpeakerPoint, evaluate};
use vocalics_runtime::SpeakerProfile;

use crate::TrainError;

/// Seconds at which the curve is measured, besides all that there are.
const CURVE_SECS: [f64; 6] = [5.0, 10.0, 20.0, 40.0, 80.0, 160.0];
/// Orders of a speaker's other clips that a point of the curve is the mean over.
const DRAWS: usize = 5;

/// Adds to a report what its predictions give when each clip's scores adapt to the other clips of the same speaker, by the
/// same model and without their labels ([`SpeakerProfile`]).
///
/// The report comes back as it is where the duration of a clip is not known, or no speaker has a second clip. A clip whose
/// speaker has no other keeps its scores.
///
/// # Errors
/// As [`Report::new`].
pub fn with_speaker_calibrated(
    report: Report,
    predictions: &Predictions,
    resamples: usize,
) -> Result<Report, TrainError> {
    let rows = &predictions.rows;
    let mut speakers: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        let speaker = (row.fold.as_str(), row.speaker.as_str());
        speakers.entry(speaker).or_default().push(index);
    }
    let known = rows.iter().all(|row| row.seconds.is_some());
    if !known || speakers.values().all(|clips| clips.len() < 2) {
        return Ok(report);
    }
    let seed = report.provenance.seed;
    let adapted = |least_secs: f64, draw: usize| {
        let (mut scores, mut heard) = (vec![Vec::new(); rows.len()], 0.0);
        for clips in speakers.values() {
            for &clip in clips {
                let profile = profile(rows, clip, clips, least_secs, (seed, draw));
                heard += profile.seconds();
                scores[clip] = profile.adapt(&rows[clip].scores);
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
        (after, seconds)
    };
    let (all, seconds) = adapted(f64::INFINITY, 0);
    let mut curve = vec![SpeakerPoint {
        seconds: 0.0,
        uar: report.metrics.uar,
    }];
    for least_secs in CURVE_SECS.into_iter().filter(|secs| *secs < seconds) {
        let (mut uar, mut heard) = (0.0, 0.0);
        for draw in 0..DRAWS {
            let (after, seconds) = adapted(least_secs, draw);
            uar += evaluate(&after)?.uar;
            heard += seconds;
        }
        #[expect(clippy::cast_precision_loss, reason = "five")]
        let draws = DRAWS as f64;
        curve.push(SpeakerPoint {
            seconds: heard / draws,
            uar: uar / draws,
        });
    }
    curve.push(SpeakerPoint {
        seconds,
        uar: evaluate(&all)?.uar,
    });
    Ok(report.with_speaker_calibrated(&all, seconds, curve, resamples)?)
}

/// What is heard of a clip's speaker in other clips, in a drawn order until there are `least_secs`.
fn profile(
    rows: &[Scored],
    clip: usize,
    clips: &[usize],
    least_secs: f64,
    (seed, draw): (u64, usize),
) -> SpeakerProfile {
    let mut others: Vec<usize> = clips.iter().copied().filter(|&it| it != clip).collect();
    if least_secs.is_finite() {
        let id = &rows[clip].id;
        others.sort_by_cached_key(|&other| {
            let lot = format!("{seed}/{draw}/{id}/{}", rows[other].id);
            *blake3::hash(lot.as_bytes()).as_bytes()
        });
    }
    let mut profile = SpeakerProfile::new(rows[clip].scores.len());
    for other in others {
        if profile.seconds() >= least_secs {
            break;
        }
        profile.hear(&rows[other].scores, rows[other].seconds.unwrap_or_default());
    }
    profile
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

    #[test]
    fn a_speaker_who_always_sounds_angry_is_understood() {
        let predictions = predictions();
        let plain = report(&predictions);
        assert!((plain.metrics.uar - 0.75).abs() < 1e-9);
        let report = with_speaker_calibrated(plain.clone(), &predictions, 100).unwrap();
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
        let all = profile(&predictions.rows, 7, &clips, f64::INFINITY, (1, 0));
        assert!((all.seconds() - 57.0).abs() < 1e-9);
        let mut by_hand = SpeakerProfile::new(2);
        for clip in (0..20).filter(|&clip| clip != 7) {
            by_hand.hear(&predictions.rows[clip].scores, 3.0);
        }
        assert_eq!(all, by_hand);
    }

    #[test]
    fn without_durations_or_other_clips_there_is_no_such_number() {
        let mut predictions = predictions();
        let single = Predictions {
            rows: vec![predictions.rows[0].clone(), predictions.rows[21].clone()],
            ..predictions.clone()
        };
        let same = with_speaker_calibrated(report(&single), &single, 100).unwrap();
        assert!(same.speaker_calibrated.is_none());
        predictions.rows[3].seconds = None;
        let same = with_speaker_calibrated(report(&predictions), &predictions, 100).unwrap();
        assert!(same.speaker_calibrated.is_none());
    }
}
