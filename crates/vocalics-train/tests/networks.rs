//! What every network promises, over all of them: batches and lengths of any size give finite
//! logits, the same from burn, rten and onnxruntime; every weight is trained; the size is the one
//! documented.

mod onnxruntime;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rten_onnx::onnx::ModelProto;
use rten_tensor::NdTensorView;
use rten_tensor::prelude::*;
use vocalics_corpora::LabelSet;
use vocalics_features::{FeatureMatrix, Standardiser};
use vocalics_models::input::Door;
use vocalics_models::onnx::Graph;
use vocalics_models::restore::{ModelWeights, with_measured_norms};
use vocalics_models::stages::freeze;
use vocalics_models::{Ensemble, Mode, Network, NetworkConfig};
use vocalics_runtime::{Engine, Recognizer};
use vocalics_train::{
    Data, ExportNotes, FunctionalsConfig, TrainConfig, TrainedModel, export, infer,
};

const N_MELS: usize = 64;
const N_CLASSES: usize = 8;
/// Functionals of the set `egemaps`.
const N_FUNCTIONALS: usize = 88;

/// Numbers of trained weights as the documentation has them.
const PARAMETERS: &[(&str, usize)] = &[
    ("residual-cnn", 600_582),
    ("plain-cnn", 1_177_320),
    ("light-cnn", 463_784),
    ("depthwise", 616_264),
    ("temporal", 1_102_632),
    ("cnn-recurrent", 803_368),
    ("dilated-recurrent", 596_200),
    ("lstm", 606_616),
    ("head", 520),
    ("functionals-mlp", 12_424),
    ("two-branch", 809_584),
];

/// Every network with its default sizes, and variants that take its other paths.
fn configs() -> Vec<NetworkConfig> {
    let defaults = NetworkConfig::KINDS
        .iter()
        .map(|kind| NetworkConfig::named(kind).expect("a network of each name"));
    let variants = [
        "kind = 'residual-cnn'\npooling = 'statistics'\nchannels = [6, 10]\nblocks = 2",
        "kind = 'plain-cnn'\npooling = 'attentive'\nchannels = [5, 9, 12]",
        "kind = 'light-cnn'\nparallel = 4\nchannels = [7]\nlast = 9",
        "kind = 'depthwise'\npooling = 'statistics'\nstem = 6\nchannels = [6, 10]",
        "kind = 'temporal'\npooling = 'statistics'\nchannels = 20\nkernel = 5\ndilations = [3]",
        "kind = 'cnn-recurrent'\ncell = 'lstm'\nchannels = [6, 8]\nhidden = 10\nlayers = 2",
        "kind = 'cnn-recurrent'\nbidirectional = false\nhidden = 7\nlayers = 3\nchannels = [4]",
        "kind = 'dilated-recurrent'\ncell = 'gru'\nstem = 5\nchannels = 6\ndilations = [3, 1]",
        "kind = 'head'\nhidden = 12",
        "kind = 'functionals-mlp'\nhidden = []",
        "kind = 'functionals-mlp'\nhidden = [9, 5]",
        "kind = 'two-branch'\nhidden = []\n[first]\nkind = 'lstm'\nn_mfcc = 13\nhidden = 9",
        "kind = 'two-branch'\nhidden = [7]\n[first]\nkind = 'residual-cnn'\nchannels = [6, 10]",
        "kind = 'two-branch'\nhidden = [6]\n[first]\nkind = 'head'",
        "kind = 'lstm'\nn_mfcc = 13\nhidden = 9\nlayers = 1\nbidirectional = false",
    ];
    let variants = variants.map(|text| toml::from_str(text).expect("a valid configuration"));
    defaults.chain(variants).collect()
}

/// Functionals behind the bands where a network takes them, and the width of a frame.
fn columns(config: &NetworkConfig) -> (usize, usize) {
    let n_functionals = if config.takes_functionals() {
        N_FUNCTIONALS
    } else {
        0
    };
    (n_functionals, N_MELS + n_functionals)
}

fn door_of(config: &NetworkConfig, mean: &[f32], std: &[f32]) -> Door {
    Door::with_functionals([N_MELS, columns(config).0], mean, std).expect("a door")
}

/// Log-mel of any numbers, `[batch, n_frames, n_mels]`.
fn noise(len: usize, rng: &mut StdRng) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-9.0..1.0)).collect()
}

fn batch(shape: [usize; 3], features: &[f32], device: &Device) -> Tensor<3> {
    Tensor::from_data(TensorData::new(features.to_vec(), shape), device)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("single precision")
}

/// Moves every number, so that no scale is one and no bias zero.
struct Shake(StdRng);

impl ModuleMapper for Shake {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|old| {
            let (dims, device, trained) = (old.dims(), old.device(), old.is_require_grad());
            // Scales and biases further than kernels, of which a sum has many.
            let reach = if D == 1 { 0.4 } else { 0.05f32 };
            let moved = values(old)
                .into_iter()
                .map(|value| value + self.0.random_range(-reach..reach));
            let moved = Tensor::from_data(TensorData::new(moved.collect(), dims), &device);
            if trained { moved.require_grad() } else { moved }
        })
    }
}

/// A network with moved weights and running statistics of noise.
fn network(config: &NetworkConfig, device: &Device, rng: &mut StdRng) -> (Network, Standardiser) {
    let (_, width) = columns(config);
    let features = FeatureMatrix::new(noise(500 * width, rng), width).expect("whole rows");
    let standardiser = Standardiser::fit([&features]).expect("a fit");
    let door = door_of(config, standardiser.mean(), standardiser.std());
    let network = config
        .init(N_MELS, N_CLASSES, door, rng, device)
        .expect("a network");
    let network = network.map(&mut Shake(StdRng::seed_from_u64(5)));
    for _ in 0..20 {
        let shape = [4, 40, width];
        let x = batch(shape, &noise(shape.iter().product(), rng), device);
        let _ = network.forward(x, Mode::Train(rng));
    }
    (network, standardiser)
}

fn data() -> Data {
    let labels = (0..N_CLASSES).map(|class| format!("class-{class}"));
    Data {
        utterances: Vec::new(),
        labels: LabelSet::new(labels.collect()).expect("labels"),
        classes: Vec::new(),
        features: Vec::new(),
        waveforms: None,
        n_functionals: 0,
        embedded: None,
        contents: Vec::new(),
    }
}

#[track_caller]
fn close(ours: &[f32], theirs: &[f32], what: &str) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (a, b) in ours.iter().zip(theirs) {
        assert!(a.is_finite(), "{what}: {a}");
        assert!((a - b).abs() < 1e-5, "{what}: {a} {b}");
    }
}

#[test]
fn burn_rten_and_onnxruntime_agree_at_any_length_and_batch() {
    let device = Device::flex();
    let folder = tempfile::tempdir().expect("temporary folder");
    for (index, config) in configs().iter().enumerate() {
        let rng = &mut StdRng::seed_from_u64(11);
        let (network, standardiser) = network(config, &device, rng);
        let model = TrainedModel {
            ensemble: network.into(),
            standardiser,
            temperature: 1.0,
            history: Vec::new(),
            parameters: 0,
        };
        let path = folder.path().join(format!("{index}.onnx"));
        let run = TrainConfig {
            network: config.clone(),
            functionals: config.takes_functionals().then(|| FunctionalsConfig {
                sets: vec!["egemaps".to_owned()],
                speaker_norm: false,
            }),
            ..TrainConfig::default()
        };
        export(&model, &run, &data(), &ExportNotes::default(), &path).expect("export");
        let recognizer = Recognizer::from_file(&path).expect("the runtime accepts the file");
        assert_eq!(recognizer.engine(), Engine::Native, "{config:?}");
        let engine = rten::Model::load_file(&path).expect("rten accepts the file");
        let mut rows = Vec::new();
        for n_frames in [1, 2, 3, 4, 5, 7, 16, 31, 90, 160] {
            for size in [1, 3] {
                let shape = [size, n_frames, columns(config).1];
                let what = format!("{config:?} {shape:?}");
                let features = noise(shape.iter().product(), rng);
                let ours = values(model.ensemble.forward(batch(shape, &features, &device)));
                let differ =
                    |a: &[f32], b: &[f32]| a.iter().zip(b).any(|(a, b)| (a - b).abs() > 1e-4);
                let clips: Vec<&[f32]> = ours.chunks(N_CLASSES).collect();
                assert_eq!(clips.len(), size);
                // A few frames may leave no unit of the smallest networks awake.
                let heard = clips.windows(2).all(|pair| differ(pair[0], pair[1]));
                assert!(heard || n_frames < 16, "{what}");
                let view = NdTensorView::from_data(shape, features.as_slice());
                let theirs = engine
                    .run_one(view.as_dyn().into(), None)
                    .unwrap_or_else(|error| panic!("{what}: {error}"));
                let theirs: rten_tensor::NdTensor<f32, 2> = theirs.try_into().expect("logits");
                close(&ours, &theirs.to_vec(), &what);
                rows.push(onnxruntime::row(shape, &features, &ours));
                if size == 1 {
                    let clip = FeatureMatrix::new(features, shape[2]).expect("whole rows");
                    close(&ours, &infer(&model.ensemble, &clip), &what);
                    let theirs = recognizer.logits_from_features(&clip).expect("logits");
                    close(&ours, &theirs, &what);
                }
            }
        }
        onnxruntime::agrees(&path, &rows, 1e-5);
    }
}

/// All numbers of a network, running statistics among them.
struct Numbers(Vec<u32>);

impl ModuleVisitor for Numbers {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0
            .extend(values(param.val()).into_iter().map(f32::to_bits));
    }
}

fn numbers(network: &Network) -> Vec<u32> {
    let mut numbers = Numbers(Vec::new());
    network.visit(&mut numbers);
    numbers.0
}

fn fresh(config: &NetworkConfig, seed: u64, device: &Device) -> Network {
    let (_, width) = columns(config);
    let door = door_of(config, &vec![-4.0; width], &vec![3.0; width]);
    let rng = &mut StdRng::seed_from_u64(seed);
    config
        .init(N_MELS, N_CLASSES, door, rng, device)
        .expect("a network")
}

fn written(ensemble: &Ensemble, networks: &[&NetworkConfig]) -> Vec<u8> {
    let mut graph = Graph::default();
    ensemble.trace(&mut graph);
    graph.name_networks(networks).expect("names");
    graph
        .into_bytes(columns(networks[0]).1, N_CLASSES)
        .expect("a file")
}

#[test]
fn a_network_comes_back_from_its_file_bit_for_bit() {
    let device = Device::flex();
    for config in configs() {
        let rng = &mut StdRng::seed_from_u64(23);
        let (moved, _) = network(&config, &device, rng);
        let untouched = fresh(&config, 4, &device);
        let [whole, members] = [vec![moved.clone()], vec![untouched, moved]].map(|networks| {
            let shares = vec![1.0 / networks.len() as f32; networks.len()];
            Ensemble::new(networks, shares).expect("an ensemble")
        });
        for ensemble in [whole, members] {
            let bytes = written(&ensemble, &vec![&config; ensemble.members().len()]);
            let weights = ModelWeights::parse(&bytes).expect("our file");
            assert_eq!(weights.members(), ensemble.members().len());
            for (member, network) in ensemble.members().iter().enumerate() {
                assert_eq!(weights.network(member), Some(&config));
                let back = weights.restore(member, fresh(&config, 9, &device));
                let back = numbers(&back.expect("the same network"));
                assert_eq!(numbers(network), back, "{config:?} member {member}");
            }
        }
    }
}

/// Two keys that a file of an earlier version lacks.
fn without_notes(bytes: &[u8]) -> Vec<u8> {
    let mut model = ModelProto::parse_buf(bytes).expect("ONNX");
    model.metadata_props.clear();
    model.write_buf().expect("ONNX")
}

#[test]
fn a_file_without_norms_gives_the_same_answers_and_norms_again() {
    let device = Device::flex();
    for config in configs() {
        let rng = &mut StdRng::seed_from_u64(29);
        let (network, standardiser) = network(&config, &device, rng);
        let bytes = without_notes(&written(&network.clone().into(), &[&config]));
        let weights = ModelWeights::parse(&bytes).expect("our file");
        assert!(!weights.has_norms() && weights.network(0).is_none());
        let door = door_of(&config, standardiser.mean(), standardiser.std());
        let other = config.init(N_MELS, N_CLASSES, door, rng, &device);
        let back = weights.restore(0, other.expect("a network"));
        let shape = [6, 70, columns(&config).1];
        let features = noise(shape.iter().product(), rng);
        let x = || batch(shape, &features, &device);
        let back = with_measured_norms(back.expect("the same network"), x());
        let answers = |network: &Network, mode| values(network.forward(x(), mode));
        let (want, got) = (answers(&network, Mode::Infer), answers(&back, Mode::Infer));
        for (a, b) in want.iter().zip(&got) {
            assert!(
                (a - b).abs() < 2e-3 * (1.0 + a.abs()),
                "{config:?}: {a} {b}"
            );
        }
        // With the statistics of the batch that they were measured on, training answers as inference does.
        let text = toml::to_string(&config).expect("TOML");
        let lines = text.lines().map(|line| match line.split_once(" = ") {
            Some((field, _)) if field.ends_with("dropout") => format!("{field} = 0.0"),
            _ => line.to_owned(),
        });
        let dropout: Vec<String> = lines.collect();
        let sober: NetworkConfig = toml::from_str(&dropout.join("\n")).expect("a configuration");
        let door = door_of(&config, standardiser.mean(), standardiser.std());
        let sober = sober.init(N_MELS, N_CLASSES, door, rng, &device);
        let sober = weights.restore(0, sober.expect("a network"));
        let sober = with_measured_norms(sober.expect("the same network"), x());
        let trained = answers(&sober, Mode::Train(rng));
        for (a, b) in want.iter().zip(&trained) {
            assert!(
                (a - b).abs() < 2e-3 * (1.0 + a.abs()),
                "{config:?}: {a} {b}"
            );
        }
    }
}

#[test]
fn a_file_of_another_network_says_where_it_differs() {
    let device = Device::flex();
    let configured = |text: &str| toml::from_str::<NetworkConfig>(text).expect("a configuration");
    let of = |config: &NetworkConfig| written(&fresh(config, 1, &device).into(), &[config]);
    let small = configured("kind = 'temporal'\nchannels = 8\ndilations = [1, 2]");
    let weights = ModelWeights::parse(&of(&small)).expect("our file");
    for (text, parts) in [
        (
            "kind = 'temporal'\nchannels = 9\ndilations = [1, 2]",
            ["[8, 192, 1, 5]", "[9, 192, 1, 5]"],
        ),
        (
            "kind = 'temporal'\nchannels = 8\ndilations = [2, 1]",
            ["dilations [1, 2]", "strides [1, 1]"],
        ),
        (
            "kind = 'temporal'\nchannels = 8\ndilations = [1]",
            ["conv.weight [8, 8, 1, 3]", "dense.weight"],
        ),
    ] {
        let error = weights.restore(0, fresh(&configured(text), 1, &device));
        let error = error.expect_err(text).to_string();
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    assert!(weights.restore(1, fresh(&small, 1, &device)).is_err());
    let bytes = of(&small);
    let mut model = ModelProto::parse_buf(&bytes).expect("ONNX");
    let graph = model.graph.as_mut().expect("a graph");
    let bias = graph.initializer.iter().find(|it| {
        let name = it.name.as_deref().unwrap_or_default();
        name.starts_with("conv.bias")
    });
    let raw = bias.and_then(|it| it.raw_data.as_ref()).expect("a bias");
    raw.borrow_mut()[..4].copy_from_slice(&9.0f32.to_le_bytes());
    let weights = ModelWeights::parse(&model.write_buf().expect("ONNX")).expect("our file");
    let error = weights.restore(0, fresh(&small, 1, &device));
    let error = error.expect_err("a changed bias").to_string();
    assert!(error.contains("norms"), "{error}");
    assert!(ModelWeights::parse(b"no model").is_err());
}

#[test]
fn stages_hold_every_number_once_and_the_head_comes_last() {
    let device = Device::flex().autodiff();
    for config in configs() {
        let network = fresh(&config, 2, &device);
        let stages = network.stages();
        let mut all: Vec<ParamId> = stages.iter().flat_map(|it| it.parameters.clone()).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "{config:?}");
        struct Count(usize);
        impl ModuleVisitor for Count {
            fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
                self.0 += 1;
            }
        }
        let mut tensors = Count(0);
        network.visit(&mut tensors);
        assert_eq!(tensors.0, count, "{config:?}");
        let least = match config {
            NetworkConfig::Head(_) | NetworkConfig::FunctionalsMlp(_) => 1,
            NetworkConfig::TwoBranch(_) => 2,
            _ => 3,
        };
        assert!(stages.len() >= least, "{config:?}");
        let head = stages.last().expect("a stage");
        // Both halves of that of two branches: one of them moved as slowly as the layers before it.
        let halves = usize::from(matches!(config, NetworkConfig::TwoBranch(_))) + 1;
        let held = (head.name.as_str(), head.parameters.len());
        assert_eq!(held, ("head", 2 * halves), "{config:?}");

        // All but the head frozen: nothing of them moves in a pass, and only the head has a gradient.
        let frozen = freeze(network, stages.len() - 1);
        let before = numbers(&frozen);
        let rng = &mut StdRng::seed_from_u64(2);
        let shape = [3, 33, columns(&config).1];
        let x = batch(shape, &noise(shape.iter().product(), rng), &device);
        let gradients = frozen.forward(x, Mode::Train(rng)).sum().backward();
        assert_eq!(numbers(&frozen), before, "{config:?}");
        let mut trained = Trained {
            gradients: &gradients,
            numbers: 0,
        };
        frozen.visit(&mut trained);
        assert_eq!(trained.numbers % N_CLASSES, 0);
        assert!(
            trained.numbers > 0 && trained.numbers < 30_000,
            "{}",
            trained.numbers
        );
    }
}

/// Counts trained numbers and looks at their gradients.
struct Trained<'a> {
    gradients: &'a Gradients,
    numbers: usize,
}

impl ModuleVisitor for Trained<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        if tensor.is_require_grad() {
            let gradient = tensor.grad(self.gradients).map(values).expect("a gradient");
            assert!(gradient.iter().all(|x| x.is_finite()));
            assert_eq!(gradient.len(), tensor.dims().iter().product::<usize>());
            self.numbers += gradient.len();
        }
    }
}

#[test]
fn every_weight_is_trained_and_the_sizes_are_those_documented() {
    let device = Device::flex().autodiff();
    let mut sizes = Vec::new();
    for config in configs() {
        let rng = &mut StdRng::seed_from_u64(3);
        let (_, width) = columns(&config);
        let door = door_of(&config, &vec![-4.0; width], &vec![3.0; width]);
        let network = config
            .init(N_MELS, N_CLASSES, door, rng, &device)
            .expect("a network");
        let shape = [3, 33, width];
        let x = batch(shape, &noise(shape.iter().product(), rng), &device);
        let logits = network.forward(x, Mode::Train(rng));
        assert_eq!(logits.dims(), [3, N_CLASSES]);
        let gradients = (logits.clone() * logits).sum().backward();
        let mut trained = Trained {
            gradients: &gradients,
            numbers: 0,
        };
        network.visit(&mut trained);
        if Some(&config) == NetworkConfig::named(config.kind()).as_ref() {
            sizes.push((config.kind(), trained.numbers));
        }
    }
    assert_eq!(sizes, PARAMETERS);
}

/// Moves every trained number along its gradient.
struct Along<'a> {
    gradients: &'a Gradients,
    step: f32,
}

impl ModuleMapper for Along<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let gradient = param.val().grad(self.gradients);
        let step = self.step;
        param.map(|old| {
            let (dims, device) = (old.dims(), old.device());
            let Some(gradient) = gradient else { return old };
            let (old, gradient) = (values(old), values(gradient));
            let moved = old.iter().zip(gradient).map(|(old, g)| old + step * g);
            let moved = TensorData::new(moved.collect(), dims);
            Tensor::from_data(moved, &device).require_grad()
        })
    }
}

struct Norm<'a>(&'a Gradients, f64);

impl ModuleVisitor for Norm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let gradient = param.val().grad(self.0).map(values).unwrap_or_default();
        self.1 += gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
    }
}

/// `f(w + s · g) − f(w − s · g) = 2 · s · |g|²` for small steps: forward and backward belong together.
#[test]
fn a_step_along_the_gradient_changes_the_loss_as_the_gradient_says() {
    let device = Device::flex().autodiff();
    for config in configs() {
        let rng = &mut StdRng::seed_from_u64(17);
        let (network, _) = network(&config, &device, rng);
        let shape = [4, 29, columns(&config).1];
        let features = noise(shape.iter().product(), rng);
        let weights = TensorData::new(noise(4 * N_CLASSES, rng), [4, N_CLASSES]);
        let loss = |network: &Network| {
            // The same dropout each time.
            let rng = &mut StdRng::seed_from_u64(1);
            let logits = network.forward(batch(shape, &features, &device), Mode::Train(rng));
            (logits * Tensor::from_data(weights.clone(), &device)).mean()
        };
        let gradients = loss(&network).backward();
        let mut norm = Norm(&gradients, 0.0);
        network.visit(&mut norm);
        let change = 4e-3;
        let step = change / norm.1;
        let [above, below] = [step, -step].map(|step| {
            #[expect(clippy::cast_possible_truncation, reason = "a small step")]
            let mut along = Along {
                gradients: &gradients,
                step: step as f32,
            };
            f64::from(loss(&network.clone().map(&mut along)).into_scalar::<f32>())
        });
        let ratio = (above - below) / (2.0 * change);
        assert!((ratio - 1.0).abs() < 0.05, "{config:?}: {ratio}");
    }
}

#[test]
fn configurations_are_written_and_read_and_bad_ones_named() {
    for config in configs() {
        let text = toml::to_string(&config).expect("TOML");
        assert!(
            text.contains(&format!("kind = \"{}\"", config.kind())),
            "{text}"
        );
        assert_eq!(
            toml::from_str::<NetworkConfig>(&text).expect("the same"),
            config
        );
        let unknown = text.replacen('\n', "\nno_such_field = 1\n", 1);
        let error = toml::from_str::<NetworkConfig>(&unknown).expect_err("an unknown field");
        assert!(error.to_string().contains("no_such_field"), "{error}");
    }
    assert!(toml::from_str::<NetworkConfig>("kind = 'transformer'").is_err());
    assert_eq!(NetworkConfig::named("transformer"), None);
    for (text, wrong) in [
        (
            "kind = 'residual-cnn'\nchannels = []",
            "network.channels is []",
        ),
        (
            "kind = 'residual-cnn'\nstem_kernel = 4",
            "network.stem_kernel is 4",
        ),
        (
            "kind = 'residual-cnn'\nchannels = [8, 8, 8, 8, 8, 8, 8]",
            "7 stages over 64 mel bands",
        ),
        (
            "kind = 'plain-cnn'\nchannels = [8, 0]",
            "network.channels is [8, 0]",
        ),
        (
            "kind = 'plain-cnn'\ndropout = 1.0",
            "network.dropout is 1.0",
        ),
        ("kind = 'light-cnn'\nparallel = 0", "network.parallel is 0"),
        ("kind = 'light-cnn'\nlast = 5000", "network.last is 5000"),
        ("kind = 'depthwise'\nblocks = 0", "network.blocks is 0"),
        ("kind = 'depthwise'\nstem = 0", "network.stem is 0"),
        (
            "kind = 'temporal'\ndilations = [0]",
            "network.dilations is [0]",
        ),
        ("kind = 'temporal'\nkernel = 2", "network.kernel is 2"),
        ("kind = 'cnn-recurrent'\nlayers = 0", "network.layers is 0"),
        ("kind = 'cnn-recurrent'\nhidden = 0", "network.hidden is 0"),
        (
            "kind = 'dilated-recurrent'\ndilations = [300]",
            "network.dilations is [300]",
        ),
        (
            "kind = 'lstm'\nn_mfcc = 65",
            "network.n_mfcc is 65 of 64 mel bands",
        ),
        ("kind = 'temporal'\ndropout = nan", "network.dropout is NaN"),
        (
            "kind = 'functionals-mlp'\nhidden = [0]",
            "network.hidden is [0]",
        ),
        (
            "kind = 'functionals-mlp'\ninput_dropout = 1.0",
            "network.input_dropout is 1.0",
        ),
        (
            "kind = 'two-branch'\n[first]\nkind = 'functionals-mlp'",
            "network.first.kind is \"functionals-mlp\"",
        ),
    ] {
        let config: NetworkConfig = toml::from_str(text).expect("fields of the right type");
        let error = config.validate(N_MELS).expect_err(text).to_string();
        assert!(error.contains(wrong), "{error}");
    }
}

/// Outside `[functionals]` there is no vector to take.
#[test]
fn a_network_over_functionals_needs_them() {
    for kind in ["functionals-mlp", "two-branch"] {
        let config = NetworkConfig::named(kind).expect("a network");
        let door = Door::new(N_MELS, &[0.0; N_MELS], &[1.0; N_MELS]).expect("a door");
        let rng = &mut StdRng::seed_from_u64(1);
        let error = config.init(N_MELS, N_CLASSES, door, rng, &Device::flex());
        let error = error.expect_err(kind).to_string();
        assert!(error.contains("[functionals]"), "{error}");
    }
}
