//! Several model files as one that answers with the mean of their scores.
//!
//! ```text
//!             ┌─▶ member 0 ─▶ / T₀ ─▶ softmax ─▶ · w₀ ─┐
//! features ───┤                                        ├─▶ Σ ─▶ ln ─▶ logits
//!             └─▶ member 1 ─▶ / T₁ ─▶ softmax ─▶ · w₁ ─┘
//! ```
//!
//! Members keep their own temperatures; that of the whole is one more, 1 where nothing fitted it. They may have been trained in different ways; what they hear has
//! to be the same.
//!
//! Source: B. Lakshminarayanan et al., *Simple and Scalable Predictive Uncertainty Estimation using Deep
//! Ensembles*, NeurIPS 2017.

use std::collections::{BTreeMap, BTreeSet};

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, GraphProto, NodeProto, TensorProto,
};

use vocalics_features::Functionals;

use crate::metadata::{attach_metadata, is_quantised, read_metadata};
use crate::onnx::{self, INPUT_NAME, OUTPUT_NAME, prefix_names};
use crate::{CorpusNote, ModelError, ModelMetadata, Recognizer, RecognizerOptions};

/// Keeps the logarithm of a mean score finite, as in the ensembles of a training.
pub const MIXTURE_FLOOR: f32 = 1e-12;

/// The bands of log-mel without the functionals behind them.
const BANDS: &str = "features.bands";

/// Several models in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    /// The model file.
    pub bytes: Vec<u8>,
    /// Numbers in its graph.
    pub parameters: usize,
}

/// Joins model files into one, whose scores are the mean of theirs, weighted by `shares`.
///
/// A member over log-mel alone may stand beside members over log-mel and functionals. The file names the corpora and
/// speakers of all members; name, temperature and seed are those given and of the first, and what it says a recording must
/// be like (`domain`) is the first's.
///
/// # Errors
/// [`ModelError::Combine`], with the place of the member: other labels, front end or functionals than the first's, functionals that are moved to the speaker otherwise, a member in eight bits, without
/// a head or with an encoder; fewer than two members, or shares that do not sum to 1. Any [`ModelError`] about a file.
pub fn combine(
    members: &[&[u8]],
    shares: &[f32],
    name: &str,
    temperature: f32,
) -> Result<Combined, ModelError> {
    if members.len() < 2 {
        return Err(refused(1, "there is no second one".to_owned()));
    }
    let sum: f32 = shares.iter().sum();
    let fit = shares.len() == members.len() && shares.iter().all(|&share| share > 0.0);
    if !fit || (sum - 1.0).abs() > 1e-3 {
        return Err(refused(
            1,
            format!(
                "the shares {shares:?} are not one positive number for each model, summing to 1"
            ),
        ));
    }
    let all = members
        .iter()
        .map(|bytes| read_metadata(bytes))
        .collect::<Result<Vec<ModelMetadata>, ModelError>>()?;
    for (index, (bytes, metadata)) in members.iter().zip(&all).enumerate() {
        check(metadata, &all[0], is_quantised(bytes)?)
            .map_err(|reason| refused(index + 1, reason))?;
    }
    // Whose frames are the widest.
    let widest = all
        .iter()
        .position(|one| one.functionals.is_some())
        .unwrap_or(0);
    if let Some(index) = all
        .iter()
        .position(|one| one.functionals.is_some() && one.functionals != all[widest].functionals)
    {
        let [own, theirs] = [index, widest].map(|at| sets(&all[at]));
        let reason = format!(
            "its functionals are of {own}, those of model {} of {theirs}",
            widest + 1
        );
        return Err(refused(index + 1, reason));
    }

    // All take the same functionals, moved to the speaker or not.
    if let Some(index) = all
        .iter()
        .position(|one| one.functionals.is_some() && one.speaker_norm != all[widest].speaker_norm)
    {
        let what = match [index, widest].map(|at| all[at].speaker_norm.is_some()) {
            [true, true] => {
                "its functionals are moved to the speaker from another mean and deviation, so it was trained on other clips, than those"
            }
            [true, false] => "its functionals are moved to the speaker, and not those",
            _ => "its functionals are not moved to the speaker, as are those",
        };
        return Err(refused(
            index + 1,
            format!("{what} of model {}", widest + 1),
        ));
    }

    let mut joined = Joined::new(all[widest].front_end.n_mels);
    for (index, (bytes, metadata)) in members.iter().zip(&all).enumerate() {
        let narrow = metadata.n_features() < all[widest].n_features();
        let how = (metadata.temperature, shares[index], narrow);
        joined.member(index, bytes, how)?;
    }
    let graph = joined.into_bytes(members[widest])?;
    let metadata = ModelMetadata {
        temperature,
        ..described(&all, widest, name)
    };
    let metadata = Recognizer::rescored(&graph, &metadata, &RecognizerOptions::default())?;
    let bytes = attach_metadata(&graph, &metadata)?;
    let parameters = Recognizer::from_bytes(bytes.clone())?.parameters();
    Ok(Combined { bytes, parameters })
}

fn refused(place: usize, reason: String) -> ModelError {
    ModelError::Combine { place, reason }
}

/// The feature sets of a model, with their versions.
fn sets(one: &ModelMetadata) -> String {
    let sets = one.functionals.iter().flat_map(Functionals::sets);
    let sets: Vec<String> = sets
        .map(|set| format!("{} version {}", set.name, set.version))
        .collect();
    sets.join(", ")
}

/// Whether a model can stand beside the first.
fn check(one: &ModelMetadata, first: &ModelMetadata, quantised: bool) -> Result<(), String> {
    if quantised {
        return Err("it is in eight bits".to_owned());
    }
    if one.is_body() {
        return Err("it has no head".to_owned());
    }
    if one.encoder.is_some() {
        return Err("it takes the embeddings of an encoder".to_owned());
    }
    if one.task != first.task {
        return Err(format!(
            "it recognises {}, the first {}",
            one.task, first.task
        ));
    }
    if one.labels != first.labels {
        let [own, theirs] = [&one.labels, &first.labels].map(|labels| labels.join(" "));
        return Err(format!("its labels are {own}, the first's {theirs}"));
    }
    if one.front_end_fingerprint != first.front_end_fingerprint {
        return Err("its front end is not the first's".to_owned());
    }
    Ok(())
}

/// What the whole says about itself; the test vector's scores are still those of one member.
fn described(all: &[ModelMetadata], widest: usize, name: &str) -> ModelMetadata {
    let first = &all[0];
    let mut corpora: BTreeMap<&str, CorpusNote> = BTreeMap::new();
    for note in all.iter().flat_map(|one| &one.corpora) {
        let known = corpora.entry(&note.name).or_insert_with(|| note.clone());
        known.widen(note);
    }
    let speakers: BTreeSet<&String> = all.iter().flat_map(|one| &one.speakers).collect();
    let same = |of: fn(&ModelMetadata) -> &String| {
        let values: BTreeSet<&String> = all.iter().map(of).collect();
        let values: Vec<&str> = values.into_iter().map(String::as_str).collect();
        values.join(" ")
    };
    let created = all.iter().map(|one| &one.created).max();
    ModelMetadata {
        format_version: all[widest].format_version,
        name: name.to_owned(),
        functionals: all[widest].functionals.clone(),
        // Each member has its own.
        standardiser: None,
        speaker_norm: all[widest].speaker_norm.clone(),
        temperature: 1.0,
        corpora: corpora.into_values().collect(),
        speakers: speakers.into_iter().cloned().collect(),
        protocol_result: None,
        manifest_hash: same(|one| &one.manifest_hash),
        git_revision: same(|one| &one.git_revision),
        created: created.unwrap_or(&first.created).clone(),
        test_vector: all[widest].test_vector.clone(),
        ..first.clone()
    }
}

/// The graph of the whole, as far as it is built.
struct Joined {
    graph: GraphProto,
    n_mels: usize,
    /// Whether the bands are cut out of the frames already.
    cut: bool,
    /// Name of the sum of the members so far.
    sum: Option<String>,
    /// Version of the operators of the members.
    opset: Option<i64>,
}

impl Joined {
    fn new(n_mels: usize) -> Self {
        Self {
            graph: GraphProto::default(),
            n_mels,
            cut: false,
            sum: None,
            opset: None,
        }
    }

    fn node(&mut self, operator: &str, inputs: &[&str], output: &str, axis: Option<i64>) -> String {
        let axis = axis.map(|axis| AttributeProto {
            name: Some("axis".to_owned()),
            i: Some(axis),
            r#type: Some(AttributeType::INT),
            ..AttributeProto::default()
        });
        self.graph.node.push(NodeProto {
            name: Some(output.to_owned()),
            op_type: Some(operator.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            attribute: axis.into_iter().collect(),
            ..NodeProto::default()
        });
        output.to_owned()
    }

    /// A constant of one element.
    fn constant(&mut self, name: String, one: TensorProto) -> String {
        self.graph.initializer.push(TensorProto {
            name: Some(name.clone()),
            dims: vec![1],
            ..one
        });
        name
    }

    fn number(&mut self, name: String, value: f32) -> String {
        let one = TensorProto {
            data_type: Some(DataType::FLOAT),
            float_data: vec![value],
            ..TensorProto::default()
        };
        self.constant(name, one)
    }

    /// The bands alone, for members that take no functionals.
    fn cut(&mut self) {
        if std::mem::replace(&mut self.cut, true) {
            return;
        }
        let n_mels = i64::try_from(self.n_mels).unwrap_or(i64::MAX);
        let mut names = vec![INPUT_NAME.to_owned()];
        for (part, value) in [("from", 0), ("to", n_mels), ("axis", 2)] {
            let one = TensorProto {
                data_type: Some(DataType::INT64),
                int64_data: vec![value],
                ..TensorProto::default()
            };
            names.push(self.constant(format!("{BANDS}.{part}"), one));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.node("Slice", &names, BANDS, None);
    }

    /// Adds a member: its temperature, its share, and whether it takes the bands alone.
    fn member(
        &mut self,
        index: usize,
        bytes: &[u8],
        (temperature, share, narrow): (f32, f32, bool),
    ) -> Result<(), ModelError> {
        let (opset, _) = onnx::graph(bytes)?;
        if self.opset.is_some_and(|known| known != opset) {
            let reason = format!("its operators are of version {opset}, the first's of another");
            return Err(refused(index + 1, reason));
        }
        self.opset = Some(opset);
        if narrow {
            self.cut();
        }
        let graph = onnx::parse(bytes)?.graph.unwrap_or_default();
        let prefix = format!("member_{index}.");
        let input = if narrow { BANDS } else { INPUT_NAME };
        let graph = prefix_names(graph, &prefix, &[(INPUT_NAME, input)]);
        self.graph.initializer.extend(graph.initializer);
        self.graph.node.extend(graph.node);

        let mut scores = format!("{prefix}{OUTPUT_NAME}");
        // No name of a member begins so, also where it is joined of others itself.
        let own = |name: &str| format!("mean.{index}.{name}");
        #[expect(clippy::float_cmp, reason = "exactly 1 where nothing was fitted")]
        if temperature != 1.0 {
            let by = self.number(own("temperature"), temperature);
            scores = self.node("Div", &[&scores, &by], &own("cooled"), None);
        }
        scores = self.node("Softmax", &[&scores], &own("scores"), Some(1));
        let by = self.number(own("share"), share);
        scores = self.node("Mul", &[&scores, &by], &own("part"), None);
        self.sum = Some(match self.sum.take() {
            None => scores,
            Some(sum) => self.node("Add", &[&sum, &scores], &own("sum"), None),
        });
        Ok(())
    }

    /// The file, with the ports of a member whose frames are the widest.
    fn into_bytes(mut self, like: &[u8]) -> Result<Vec<u8>, ModelError> {
        let sum = self.sum.take().unwrap_or_default();
        let floor = self.number("floor".to_owned(), MIXTURE_FLOOR);
        let sum = self.node("Add", &[&sum, &floor], "scores", None);
        self.node("Log", &[&sum], OUTPUT_NAME, None);
        let mut model = onnx::parse(like)?;
        let old = model.graph.take().unwrap_or_default();
        model.graph = Some(GraphProto {
            input: old.input,
            output: old.output,
            ..self.graph
        });
        model.metadata_props.clear();
        onnx::written(&model)
    }
}
