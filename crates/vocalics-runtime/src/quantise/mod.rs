//! Quantisation: a model file of a quarter the size.
//!
//! Weights become int8, symmetric, one scale for each output. For engines with integer kernels the inputs of
//! convolutions and dense layers become uint8 as well, with one scale each, chosen on recordings ([`quantise`]): three
//! rules for that choice are tried and the one whose scores lie closest to those of the original is taken. Recurrent
//! layers keep inputs and states in single precision. Without recordings the weights alone are rounded
//! ([`quantise_weights`]): as small, and the same in every engine that computes in single precision.
//!
//! Our own engine turns the weights back into single precision when it loads. Inputs it rounds to their grid, so that it
//! gives what an integer engine gives but for the rounding of sums. It is not faster on either than on the original.

mod back;
mod range;
mod rewrite;

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};
use vocalics_features::FeatureMatrix;

pub use range::RangeRule;

use crate::metadata::{attach, attach_metadata, is_quantised, read_metadata};
use crate::native::Observed;
use crate::onnx::{inspect, parse};
use crate::recognizer::windows;
use crate::{ModelError, ModelMetadata, Recognizer, RecognizerOptions};
use range::{Distribution, grid};

/// Key under which a training names its networks, of which rounding changes nothing.
const NETWORKS: &str = "vocalics-training.networks";
/// Type of inputs that are not rounded.
pub(crate) const UNROUNDED: &str = "float32";

/// What a quantised file says about how it was made; key `vocalics.quantised`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QuantisedNote {
    /// Type of the weights.
    pub weights: String,
    /// Type of the inputs of quantised layers: `uint8`, or `float32` where they are not rounded.
    pub activations: String,
    /// Layers quantised.
    pub layers: usize,
    /// Where inputs are rounded.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<InputRanges>,
}

/// How the ranges of inputs were chosen, and what the result is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputRanges {
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
    /// What every rule gave; empty where inputs are not rounded.
    pub tried: Vec<InputRanges>,
}

/// Quantises the weights of a model file and the inputs they are multiplied with, the latter with ranges chosen on the
/// features of recordings.
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
    if clips.is_empty() {
        return Err(calibration("there are none"));
    }
    let (original, layers) = quantisable(model)?;
    let metadata = original.metadata();
    let (n_mels, n_classes) = (metadata.n_features(), metadata.labels.len());
    let mut observed = Observed::compile(model, n_mels, n_classes)
        .map_err(|reason| refused(&format!("our own engine does not take its graph: {reason}")))?;
    let inputs: Vec<&str> = layers.iter().filter_map(|it| it.input.as_deref()).collect();
    let longest = original.window_frames();
    let distributions = distributions(&mut observed, &inputs, clips, n_mels, longest)?;
    let wanted = scores(&original, clips)?;
    let mut best: Option<(Rounded, InputRanges)> = None;
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
        let rounded = Rounded::new(model, &layers, Some(&grids), metadata)?;
        let found = scores(
            &Recognizer::from_bytes(rounded.file("uint8", None)?.bytes)?,
            clips,
        )?;
        let (score_error, agreement) = compare(&wanted, &found);
        let ranges = InputRanges {
            range,
            clips: clips.len(),
            score_error,
            agreement,
        };
        tried.push(ranges.clone());
        let better = |(_, best): &(Rounded, InputRanges)| score_error < best.score_error;
        if best.as_ref().is_none_or(better) {
            best = Some((rounded, ranges));
        }
    }
    let (rounded, ranges) = best.ok_or_else(|| refused("nothing was tried"))?;
    Ok(Quantised {
        tried,
        ..rounded.file("uint8", Some(ranges))?
    })
}

/// Quantises the weights of a model file alone.
///
/// What the file says is kept as by [`quantise`]. It gives the same scores in every engine that computes in single
/// precision, within the tolerance of a file that is not quantised.
///
/// # Errors
///
/// [`ModelError::NotQuantisable`] for a model that is quantised already or has no layer large enough; any
/// [`ModelError`] about the file.
pub fn quantise_weights(model: &[u8]) -> Result<Quantised, ModelError> {
    let (original, layers) = quantisable(model)?;
    let rounded = Rounded::new(model, &layers, None, original.metadata())?;
    let quantised = rounded.file(UNROUNDED, None)?;
    Recognizer::from_bytes(quantised.bytes.clone())?;
    Ok(quantised)
}

/// The model of a quantised file in single precision, for what reads weights: the same scores where inputs are not rounded, else
/// those of the weights alone. A file that is not quantised is given back as it is.
///
/// # Errors
///
/// [`ModelError::Graph`] where the weights are not as [`quantise`] writes them; any [`ModelError`] about the file.
pub fn dequantise(model: &[u8]) -> Result<Vec<u8>, ModelError> {
    if !is_quantised(model)? {
        return Ok(model.to_vec());
    }
    inspect(model)?;
    let graph = back::back(parse(model)?)?;
    let metadata = Recognizer::rescored(
        &graph,
        &read_metadata(model)?,
        &RecognizerOptions::default(),
    )?;
    attach_metadata(&graph, &metadata)
}

fn refused(reason: &str) -> ModelError {
    ModelError::NotQuantisable {
        reason: reason.to_owned(),
    }
}

/// The model, with the layers that are worth it.
fn quantisable(model: &[u8]) -> Result<(Recognizer, Vec<rewrite::Layer>), ModelError> {
    let original = Recognizer::from_bytes(model.to_vec())?;
    if is_quantised(model)? {
        return Err(refused("it is quantised already"));
    }
    if original.metadata().encoder.is_some() {
        return Err(refused("it takes the embeddings of an encoder"));
    }
    let layers = rewrite::layers(&parse(model)?)?;
    if layers.is_empty() {
        return Err(refused("no layer is large enough"));
    }
    Ok((original, layers))
}

/// A quantised graph and what its file will say.
struct Rounded {
    graph: Vec<u8>,
    metadata: ModelMetadata,
    layers: usize,
}

impl Rounded {
    fn new(
        model: &[u8],
        layers: &[rewrite::Layer],
        grids: Option<&HashMap<String, (f32, u8)>>,
        metadata: &ModelMetadata,
    ) -> Result<Self, ModelError> {
        let graph = rewrite::rewrite(parse(model)?, layers, grids)?;
        let metadata = Recognizer::rescored(&graph, metadata, &RecognizerOptions::default())?;
        let nodes: HashSet<usize> = layers.iter().map(|layer| layer.node).collect();
        Ok(Self {
            graph,
            metadata,
            layers: nodes.len(),
        })
    }

    fn file(
        &self,
        activations: &str,
        ranges: Option<InputRanges>,
    ) -> Result<Quantised, ModelError> {
        let note = QuantisedNote {
            weights: "int8 per output".to_owned(),
            activations: activations.to_owned(),
            layers: self.layers,
            ranges,
        };
        Ok(Quantised {
            bytes: attach(&self.graph, &self.metadata, Some(&note))?,
            note,
            tried: Vec::new(),
        })
    }
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
