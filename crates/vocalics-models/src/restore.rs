//! The way back: from a model file to the network that it was written from.
//!
//! A traced graph ([`crate::onnx`]) says of each of its constants which parameters went into it. A network of the same
//! configuration, traced again, therefore says where the numbers of a file belong, and whether the file is of such a network
//! at all. Dense and recurrent layers lie in the file as they are. A convolution has its batch norm folded in; what that loses
//! is kept beside the graph ([`NORMS`]), so that `restore(write(network))` is the network bit for bit.
//!
//! A file without that note, written by an earlier version, still gives a network of the same answers in inference: its
//! convolutions are the folded ones and its norms pass everything on. [`with_measured_norms`] then makes them norms again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rten_onnx::onnx::{AttributeProto, DataType, ModelProto, NodeProto, TensorProto};

use crate::fold::{BitReader, BitWriter, keep, unfold};
use crate::layers::{NORM_EPSILON, Norm};
use crate::onnx::{EMBEDDING, Graph, OUTPUT};
use crate::stages::ids;
use crate::{Mode, ModelError, Network, NetworkConfig};

/// Metadata key of the networks in the file: a JSON list of [`NetworkConfig`], one for each member.
pub const NETWORKS: &str = "vocalics-training.networks";
/// Metadata key of what folding loses: a JSON list of base64, one for each member.
///
/// Of each norm in the order of the graph `γ`, `β`, running mean and running variance, little-endian single precision; then the
/// bits that the weights need ([module documentation](crate::restore)).
pub const NORMS: &str = "vocalics-training.norms";
/// Metadata key that a quantised file has.
const QUANTISED: &str = "vocalics.quantised";
/// Name of the constant that ends a member's in an ensemble.
pub(crate) const MEMBER_WEIGHT: &str = "member.weight";

/// A constant of files that `vocalics combine` writes.
const COMBINED: &str = "mean.0.share";

/// Operators whose attributes decide what a network computes with its weights.
const TELLING: [&str; 4] = ["Conv", "LSTM", "GRU", "AveragePool"];

/// Where the numbers of a constant come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// From no parameter.
    Fixed,
    /// From parameters one after another, with their lengths.
    Whole(Vec<(ParamId, usize)>),
    /// From a matrix `[in, out]` that lies transposed in the graph.
    Transposed(ParamId, [usize; 2]),
    /// From a convolution, or a fixed map, and the norm behind it; the bias is the next constant.
    Folded {
        /// `None` for a fixed map.
        weight: Option<ParamId>,
        /// The fixed map, `[channels, in]`; empty for a convolution.
        map: Vec<f32>,
        /// `γ`, `β`, running mean and variance.
        norm: Vec<ParamId>,
    },
}

/// What folding loses of one network.
#[derive(Debug, Default)]
pub(crate) struct Note {
    norms: Vec<u8>,
    bits: BitWriter,
}

impl Note {
    pub(crate) fn norm(&mut self, norm: &Norm) {
        let (mean, variance) = (norm.mean.value_sync(), norm.variance.value_sync());
        for part in [norm.gamma.val(), norm.beta.val(), mean, variance] {
            let bytes = values(part).into_iter().flat_map(f32::to_le_bytes);
            self.norms.extend(bytes);
        }
    }

    /// `weights` and `folded`: as many numbers for each channel of `scales`.
    pub(crate) fn weights(&mut self, weights: &[f32], folded: &[f32], scales: &[f32]) {
        let len = (weights.len() / scales.len().max(1)).max(1);
        let channels = weights.chunks(len).zip(folded.chunks(len)).zip(scales);
        for ((weights, folded), &scale) in channels {
            keep(weights, folded, scale, &mut self.bits);
        }
    }

    pub(crate) fn into_base64(mut self) -> String {
        self.norms.extend(self.bits.into_bytes());
        STANDARD.encode(self.norms)
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap_or_default()
}

fn changed(what: impl Into<String>) -> ModelError {
    ModelError::NoWayBack {
        reason: what.into(),
    }
}

/// A constant of a file.
struct Constant {
    /// Without the number that makes it unique.
    name: String,
    dims: Vec<usize>,
    values: Vec<f32>,
}

impl Constant {
    fn new(tensor: &TensorProto) -> Self {
        let name = tensor.name.clone().unwrap_or_default();
        let name = match name.rsplit_once('_') {
            Some((stem, _)) => stem.to_owned(),
            None => name,
        };
        let dims = tensor.dims.iter().map(|&dim| usize::try_from(dim));
        let floats = tensor.data_type == Some(DataType::FLOAT);
        let values = match &tensor.raw_data {
            Some(raw) if floats => floats_of(&RefCell::borrow(raw)),
            _ => tensor.float_data.clone(),
        };
        Self {
            name,
            dims: dims.map(Result::unwrap_or_default).collect(),
            values,
        }
    }

    /// Axes and sizes of operators are no weights, and not the same in files of all versions.
    fn counts(&self) -> bool {
        self.name != "indices"
    }

    fn described(&self) -> String {
        format!("{} {:?}", self.name, self.dims)
    }
}

fn floats_of(bytes: &[u8]) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// An operator whose attributes matter, with them.
fn telling(nodes: &[NodeProto]) -> Vec<String> {
    let attribute = |it: &AttributeProto| {
        let name = it.name.as_deref().unwrap_or_default();
        match (&it.s, it.i) {
            (Some(text), _) => format!("{name} {text}"),
            (None, Some(value)) => format!("{name} {value}"),
            (None, None) => format!("{name} {:?}", it.ints),
        }
    };
    nodes
        .iter()
        .filter_map(|node| {
            let operator = node.op_type.as_deref()?;
            let attributes: Vec<String> = node.attribute.iter().map(attribute).collect();
            TELLING
                .contains(&operator)
                .then(|| format!("{operator} of {}", attributes.join(", ")))
        })
        .collect()
}

/// The networks in a model file, with their weights.
pub struct ModelWeights {
    constants: Vec<Constant>,
    members: Vec<Member>,
    networks: Vec<NetworkConfig>,
    norms: Option<Vec<Vec<u8>>>,
    /// Whether the head is not in the file.
    headless: bool,
}

struct Member {
    constants: Range<usize>,
    /// The operators that tell networks apart.
    layers: Vec<String>,
}

impl std::fmt::Debug for ModelWeights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelWeights")
            .field("members", &self.members.len())
            .field("networks", &self.networks)
            .finish_non_exhaustive()
    }
}

impl ModelWeights {
    /// Reads the networks of a model file.
    ///
    /// # Errors
    /// [`ModelError::NoWayBack`] for a file that was not written by this project, or whose weights are quantised.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        let model = ModelProto::parse_buf(bytes).map_err(|error| changed(error.to_string()))?;
        let prop = |wanted: &str| {
            let mut props = model.metadata_props.iter();
            let found = props.find(|prop| prop.key.as_deref() == Some(wanted))?;
            found.value.as_deref()
        };
        if prop(QUANTISED).is_some() {
            return Err(changed("its weights are quantised"));
        }
        let damaged = |key: &str, error: &dyn std::fmt::Display| changed(format!("{key}: {error}"));
        let networks = prop(NETWORKS).map_or_else(|| Ok(Vec::new()), serde_json::from_str);
        let networks = networks.map_err(|error| damaged(NETWORKS, &error))?;
        let norms = match prop(NORMS) {
            None => None,
            Some(text) => {
                let coded: Vec<String> =
                    serde_json::from_str(text).map_err(|error| damaged(NORMS, &error))?;
                let notes = coded.iter().map(|note| STANDARD.decode(note));
                let notes = notes.collect::<Result<Vec<_>, _>>();
                Some(notes.map_err(|error| damaged(NORMS, &error))?)
            }
        };
        let graph = model.graph.ok_or_else(|| changed("it has no graph"))?;
        let share = |tensor: &TensorProto| tensor.name.as_deref() == Some(COMBINED);
        if graph.initializer.iter().any(share) {
            return Err(changed(
                "it was joined by `vocalics combine`, and the files it was made of are those to begin from",
            ));
        }
        let mut outputs = graph.output.iter();
        let headless = outputs.any(|port| port.name.as_deref() == Some(EMBEDDING));
        let constants = graph.initializer.iter().map(Constant::new);
        let constants: Vec<Constant> = constants.filter(Constant::counts).collect();
        let weights = constants.iter().enumerate();
        let ends: Vec<usize> = weights
            .filter(|(_, constant)| constant.name == MEMBER_WEIGHT)
            .map(|(place, _)| place)
            .collect();
        let members = if ends.is_empty() {
            let (constants, layers) = (0..constants.len(), telling(&graph.node));
            vec![Member { constants, layers }]
        } else {
            let mut members: Vec<Member> = Vec::new();
            let mut from = (0, 0);
            for (index, end) in ends.into_iter().enumerate() {
                let output = format!("member_{index}.{OUTPUT}");
                let named = |node: &NodeProto| node.output.contains(&output);
                let last = graph.node.iter().position(named);
                let last = last.ok_or_else(|| changed(format!("no output {output}")))?;
                members.push(Member {
                    constants: from.0..end,
                    layers: telling(&graph.node[from.1.min(last)..=last]),
                });
                from = (end + 1, last + 1);
            }
            members
        };
        Ok(Self {
            constants,
            members,
            networks,
            norms,
            headless,
        })
    }

    /// Networks in the file: 1, or the members of an ensemble.
    #[must_use]
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// What a member is, counted from 0, where the file says it.
    #[must_use]
    pub fn network(&self, member: usize) -> Option<&NetworkConfig> {
        self.networks.get(member)
    }

    /// Whether the batch norms come back as they were.
    #[must_use]
    pub fn has_norms(&self) -> bool {
        self.norms.is_some()
    }

    /// The network with the weights and running statistics of a member, counted from 0. Of a file without heads
    /// ([`Graph::of_body`]) the network keeps its own.
    ///
    /// # Errors
    /// [`ModelError::OtherNetwork`] when the member is not of the network's configuration, saying how they differ;
    /// [`ModelError::NoWayBack`] when the graph was changed after it was written.
    pub fn restore(&self, member: usize, network: Network) -> Result<Network, ModelError> {
        let member_of = self.members.get(member);
        let Member { constants, layers } =
            member_of.ok_or_else(|| changed(format!("it has no member {}", member + 1)))?;
        let constants = &self.constants[constants.clone()];
        let whole = |it: &&Constant| it.values.len() == it.dims.iter().product::<usize>();
        if let Some(short) = constants.iter().find(|it| it.counts() && !whole(it)) {
            let what = format!("{} has {} numbers", short.described(), short.values.len());
            return Err(changed(what));
        }
        let mut graph = if self.headless {
            Graph::of_body()
        } else {
            Graph::default()
        };
        network.trace(&mut graph);
        let ours = graph.constants().iter().map(Constant::new);
        let ours = ours.zip(graph.origins().iter().cloned());
        let ours = ours.filter(|(constant, _)| constant.counts());
        let (ours, origins): (Vec<Constant>, Vec<Origin>) = ours.unzip();
        compare(&ours, constants, &telling(graph.nodes()), layers)?;
        let note = match &self.norms {
            None => None,
            Some(norms) => {
                let missing = || changed(format!("{NORMS} has no member {}", member + 1));
                Some(norms.get(member).ok_or_else(missing)?.as_slice())
            }
        };
        let values = numbers(&origins, constants, note)?;
        Ok(network.map(&mut Assign(&values)))
    }
}

/// Whether the constants and operators of a file are those of a network.
fn compare(
    ours: &[Constant],
    theirs: &[Constant],
    our_layers: &[String],
    their_layers: &[String],
) -> Result<(), ModelError> {
    let differ = |place: String, file: String, network: String| {
        Err(ModelError::OtherNetwork {
            place,
            file,
            network,
        })
    };
    let absent = || "absent".to_owned();
    for place in 0..ours.len().max(theirs.len()) {
        let (a, b) = (theirs.get(place), ours.get(place));
        let (a, b) = (a.map(Constant::described), b.map(Constant::described));
        if a != b {
            let place = format!("constant {}", place + 1);
            return differ(place, a.unwrap_or_else(absent), b.unwrap_or_else(absent));
        }
    }
    let (theirs, ours) = (their_layers, our_layers);
    for place in 0..ours.len().max(theirs.len()) {
        let (a, b) = (theirs.get(place).cloned(), ours.get(place).cloned());
        if a != b {
            let place = format!("layer {}", place + 1);
            return differ(place, a.unwrap_or_else(absent), b.unwrap_or_else(absent));
        }
    }
    Ok(())
}

/// The numbers of every parameter.
fn numbers(
    origins: &[Origin],
    constants: &[Constant],
    note: Option<&[u8]>,
) -> Result<BTreeMap<ParamId, Vec<f32>>, ModelError> {
    let mut all = BTreeMap::new();
    let channels = |place: usize| constants.get(place + 1).map_or(0, |bias| bias.values.len());
    let folded = |place: usize| matches!(origins[place], Origin::Folded { .. });
    let len: usize = (0..origins.len())
        .filter(|&place| folded(place))
        .map(|place| 4 * 4 * channels(place))
        .sum();
    let short = || changed(format!("{NORMS} is cut short"));
    let mut kept = match note {
        None => None,
        Some(note) => {
            let (norms, bits) = note.split_at_checked(len).ok_or_else(short)?;
            Some((floats_of(norms), BitReader::new(bits)))
        }
    };
    let mut at = 0;
    for (place, (origin, constant)) in origins.iter().zip(constants).enumerate() {
        let mut rest = constant.values.as_slice();
        match origin {
            Origin::Fixed => {}
            Origin::Whole(parts) => {
                for &(id, len) in parts {
                    let (values, others) = rest.split_at_checked(len).ok_or_else(short)?;
                    all.insert(id, values.to_vec());
                    rest = others;
                }
            }
            Origin::Transposed(id, [inputs, outputs]) => {
                let turned = (0..*inputs).flat_map(|i| (0..*outputs).map(move |o| o * inputs + i));
                all.insert(*id, turned.map(|from| rest[from]).collect());
            }
            Origin::Folded { weight, map, norm } => {
                let bias = constants.get(place + 1).ok_or_else(short)?;
                let parts: [Vec<f32>; 4] = match &mut kept {
                    None => {
                        let scale = if map.is_empty() {
                            vec![1.0; bias.values.len()]
                        } else {
                            scales_of(map, rest, bias.values.len())
                        };
                        let flat = |value| vec![value; bias.values.len()];
                        if let Some(weight) = weight {
                            all.insert(*weight, rest.to_vec());
                        }
                        [scale, bias.values.clone(), flat(0.0), flat(1.0)]
                    }
                    Some((norms, bits)) => {
                        let len = bias.values.len();
                        let part =
                            |part: usize| norms[at + part * len..at + (part + 1) * len].to_vec();
                        let parts = [part(0), part(1), part(2), part(3)];
                        at += 4 * len;
                        let scales = checked_scales(&parts, &bias.values)?;
                        if let Some(weight) = weight {
                            let each = rest.len() / len.max(1);
                            let rows = rest.chunks(each.max(1)).zip(scales);
                            let rows = rows.map(|(row, scale)| unfold(row, scale, bits));
                            let rows: Option<Vec<_>> = rows.collect();
                            let differs = || {
                                changed("its weights are not those that its norms were folded into")
                            };
                            all.insert(*weight, rows.ok_or_else(differs)?.concat());
                        }
                        parts
                    }
                };
                all.extend(norm.iter().copied().zip(parts));
            }
        }
    }
    match kept {
        Some((_, bits)) if !bits.at_end() => Err(changed(format!("{NORMS} is of another network"))),
        _ => Ok(all),
    }
}

/// The scale of each channel, after the bias has shown that the norm is the one folded in.
fn checked_scales(parts: &[Vec<f32>; 4], bias: &[f32]) -> Result<Vec<f32>, ModelError> {
    let device = Device::flex();
    let mut norm = Norm::new(bias.len(), false, &device);
    let tensor = |part: &Vec<f32>| {
        Tensor::<1>::from_data(TensorData::new(part.clone(), [bias.len()]), &device)
    };
    norm.gamma = Param::from_tensor(tensor(&parts[0]));
    norm.beta = Param::from_tensor(tensor(&parts[1]));
    norm.mean = burn::module::RunningState::new(tensor(&parts[2]));
    norm.variance = burn::module::RunningState::new(tensor(&parts[3]));
    let (scale, shift) = norm.affine();
    let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
    if values(shift).iter().zip(bias).all(near) {
        Ok(values(scale))
    } else {
        Err(changed("its norms are not those that were folded in"))
    }
}

/// What each row of a fixed map was multiplied by.
fn scales_of(map: &[f32], scaled: &[f32], rows: usize) -> Vec<f32> {
    let len = (map.len() / rows.max(1)).max(1);
    map.chunks(len)
        .zip(scaled.chunks(len))
        .map(|(row, scaled)| {
            let largest = row.iter().zip(scaled);
            let largest = largest.max_by(|(a, _), (b, _)| a.abs().total_cmp(&b.abs()));
            largest.map_or(1.0, |(before, after)| after / before)
        })
        .collect()
}

/// Gives parameters other numbers.
struct Assign<'a>(&'a BTreeMap<ParamId, Vec<f32>>);

impl ModuleMapper for Assign<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = self.0.get(&param.id) else {
            return param;
        };
        param.map(|old| {
            let trained = old.is_require_grad();
            let data = TensorData::new(values.clone(), old.dims());
            let new = Tensor::from_data(data, &old.device());
            if trained { new.require_grad() } else { new }
        })
    }
}

/// A network from a file without norms ([`ModelWeights::has_norms`]), with norms again: each gets the statistics of what reaches
/// it from `features`, and the scale and shift that leave the answers of inference as they are.
///
/// `γ' = γ · √(σ² + ε)`, `β' = β + γ · μ` with the mean and variance measured.
///
/// # Shapes
/// `features`: `[batch, n_frames, n_mels]`, on the network's device.
#[must_use]
pub fn with_measured_norms(network: Network, features: Tensor<3>) -> Network {
    let mut graph = Graph::default();
    network.trace(&mut graph);
    let norms: Vec<Vec<ParamId>> = graph
        .origins()
        .iter()
        .filter_map(|origin| match origin {
            Origin::Folded { norm, .. } => Some(norm.clone()),
            _ => None,
        })
        .collect();
    let _ = network.forward(features, Mode::Measure);
    let now = collect(&network);
    let mut all = BTreeMap::new();
    for norm in norms {
        let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|part| now[&norm[part]].as_slice());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "weights are single precision"
        )]
        let root = |variance: &f32| (f64::from(*variance) + NORM_EPSILON).sqrt() as f32;
        let scaled = gamma.iter().zip(variance).map(|(g, v)| g * root(v));
        let shifted = beta.iter().zip(gamma.iter().zip(mean));
        let shifted = shifted.map(|(b, (g, m))| b + g * m);
        all.insert(norm[0], scaled.collect());
        all.insert(norm[1], shifted.collect());
    }
    network.map(&mut Assign(&all))
}

struct Collect(Vec<Vec<f32>>);

impl burn::module::ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(values(param.val()));
    }
}

fn collect(network: &Network) -> BTreeMap<ParamId, Vec<f32>> {
    let mut collect = Collect(Vec::new());
    network.visit(&mut collect);
    ids(network).into_iter().zip(collect.0).collect()
}
