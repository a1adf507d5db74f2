//! Static quantisation: a model file of a quarter the size.
//!
//! Weights become int8, symmetric, one scale for each output; the inputs of convolutions and dense
//! layers become uint8 with one scale each, chosen on recordings. Three rules for that choice are tried
//! and the one whose scores lie closest to those of the original is taken. Recurrent layers keep inputs
//! and states in single precision; their weights become int8 as the others do.
//!
//! Our own engine turns the weights back into single precision when it loads and rounds the inputs to
//! their grid, so that it gives what an integer engine gives but for the rounding of sums. It is not
//! faster on such a file than on the original.

mod range;
mod rewrite;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use vocalics_features::FeatureMatrix;

pub use range::RangeRule;

use crate::metadata::attach;
use crate::native::Observed;
use crate::onnx::parse;
use crate::recognizer::windows;
use crate::{ModelError, Recognizer, RecognizerOptions};
use range::{Distribution, grid};

/// What a quantised file says about how it was made; key `vocalics.quantised`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantisedNote {
    /// Type of the weights.
    pub weights: String,
    /// Type of the inputs of quantised layers.
    pub activations: String,
    /// Layers quantised.
    pub layers: usize,
    /// How ranges were chosen.
    pub range: RangeRule,
    /// Recordings they were chosen on.
    pub clips: usize,
    /// Mean difference of a score from the original's on these recordings.
    pub score_error: f64,
    /// Share of these recordings that get the same label.
    pub agreement: f64,
}

/// A quantised model.
#[derive(Debug, Clone)]
pub struct Quantised {
    /// The model file.
    pub bytes: Vec<u8>,
    /// What it says about itself.
    pub note: QuantisedNote,
    /// What every rule gave: mean difference of a score, share of equal labels.
    pub tried: Vec<(RangeRule, f64, f64)>,
}

/// Quantises a model file, with ranges chosen on the features of recordings.
///
/// The test vector's scores are computed anew; everything else the file says is kept. A result under a
/// protocol stays that of the original.
///
/// # Errors
///
/// [`ModelError::NotQuantisable`] for a model that is quantised already, has no layer large enough or a
/// graph that our own engine does not know; [`ModelError::Calibration`] without recordings, or with ones
/// it cannot be run on; any [`ModelError`] about the file.
pub fn quantise(model: &[u8], clips: &[FeatureMatrix]) -> Result<Quantised, ModelError> {
    let refused = |reason: &str| ModelError::NotQuantisable {
        reason: reason.to_owned(),
    };
    if clips.is_empty() {
        return Err(calibration("there are none"));
    }
    let original = Recognizer::from_bytes(model.to_vec())?;
    if crate::metadata::is_quantised(model)? {
        return Err(refused("it is quantised already"));
    }
    let metadata = original.metadata();
    if metadata.encoder.is_some() {
        return Err(refused("it takes the embeddings of an encoder"));
    }
    let layers = rewrite::layers(&parse(model)?)?;
    if layers.is_empty() {
        return Err(refused("no layer is large enough"));
    }
    let (n_mels, n_classes) = (metadata.n_features(), metadata.labels.len());
    let mut observed = Observed::compile(model, n_mels, n_classes)
        .map_err(|reason| refused(&format!("our own engine does not take its graph: {reason}")))?;
    let inputs: Vec<&str> = layers.iter().filter_map(|it| it.input.as_deref()).collect();
    let nodes: HashSet<usize> = layers.iter().map(|layer| layer.node).collect();
    let longest = original.window_frames();
    let distributions = distributions(&mut observed, &inputs, clips, n_mels, longest)?;
    let wanted = scores(&original, clips)?;
    let options = RecognizerOptions::default();
    let mut best: Option<Quantised> = None;
    let mut tried = Vec::new();
    for range in [
        RangeRule::Extremes,
        RangeRule::Percentile,
        RangeRule::SquaredError,
    ] {
        let grids = distributions
            .iter()
            .map(|(name, distribution)| (name.clone(), grid(distribution.range(range))))
            .collect();
        let graph = rewrite::rewrite(parse(model)?, &layers, &grids)?;
        let metadata = Recognizer::rescored(&graph, metadata, &options)?;
        let mut note = QuantisedNote {
            weights: "int8 per output".to_owned(),
            activations: "uint8".to_owned(),
            layers: nodes.len(),
            range,
            clips: clips.len(),
            score_error: 0.0,
            agreement: 0.0,
        };
        let unmeasured = attach(&graph, &metadata, Some(&note))?;
        let quantised = Recognizer::from_bytes(unmeasured)?;
        let found = scores(&quantised, clips)?;
        (note.score_error, note.agreement) = compare(&wanted, &found);
        tried.push((range, note.score_error, note.agreement));
        if best
            .as_ref()
            .is_none_or(|best| note.score_error < best.note.score_error)
        {
            best = Some(Quantised {
                bytes: attach(&graph, &metadata, Some(&note))?,
                note,
                tried: Vec::new(),
            });
        }
    }
    let mut best = best.ok_or_else(|| refused("nothing was tried"))?;
    best.tried = tried;
    Ok(best)
}

fn calibration(reason: impl Into<String>) -> ModelError {
    ModelError::Calibration {
        reason: reason.into(),
    }
}

fn scores(recognizer: &Recognizer, clips: &[FeatureMatrix]) -> Result<Vec<Vec<f32>>, ModelError> {
    clips
        .iter()
        .map(|clip| recognizer.scores_from_features(clip))
        .collect::<Result<_, _>>()
        .map_err(|error| calibration(error.to_string()))
}

/// Mean difference of a score and share of equal labels.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn compare(wanted: &[Vec<f32>], found: &[Vec<f32>]) -> (f64, f64) {
    let best = |scores: &[f32]| {
        let scores = scores.iter().enumerate();
        scores
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .map(|(index, _)| index)
    };
    let (mut difference, mut count, mut same) = (0.0, 0, 0);
    for (wanted, found) in wanted.iter().zip(found) {
        for (a, b) in wanted.iter().zip(found) {
            difference += f64::from((a - b).abs());
            count += 1;
        }
        same += usize::from(best(wanted) == best(found));
    }
    (
        difference / f64::from(count.max(1)),
        same as f64 / wanted.len().max(1) as f64,
    )
}

/// Looks at the named tensors over all clips, cut into windows as a recognition cuts them.
fn distributions(
    observed: &mut Observed,
    names: &[&str],
    clips: &[FeatureMatrix],
    n_mels: usize,
    longest: usize,
) -> Result<HashMap<String, Distribution>, ModelError> {
    let mut ids = HashMap::new();
    for &name in names {
        let id = observed
            .tensor(name)
            .ok_or_else(|| ModelError::NotQuantisable {
                reason: format!("{name} is not computed"),
            })?;
        ids.insert(name.to_owned(), id);
    }
    let mut by_id: HashMap<usize, Distribution> =
        ids.values().map(|&id| (id, Distribution::new())).collect();
    let passes: [fn(&mut Distribution, &[f32]); 2] = [Distribution::widen, Distribution::count];
    for pass in passes {
        for clip in clips {
            if clip.n_features() != n_mels {
                let bands = clip.n_features();
                return Err(calibration(format!(
                    "features of {bands} bands, expected {n_mels}"
                )));
            }
            if clip.n_frames() == 0 {
                return Err(calibration("one has no frames"));
            }
            for (start, end) in windows(clip.n_frames(), longest) {
                let rows = &clip.as_slice()[start * n_mels..end * n_mels];
                observed
                    .run(rows, end - start, &mut |id, values| {
                        if let Some(distribution) = by_id.get_mut(&id) {
                            pass(distribution, values);
                        }
                    })
                    .map_err(calibration)?;
            }
        }
    }
    let found = |(name, id): (String, usize)| Some((name, by_id.get(&id)?.clone()));
    Ok(ids.into_iter().filter_map(found).collect())
}
