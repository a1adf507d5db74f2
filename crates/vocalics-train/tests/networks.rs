//! What every network promises, over all of them: batches and lengths of any size give finite
//! logits, the same from burn, rten and onnxruntime; every weight is trained; the size is the one
//! documented.

mod onnxruntime;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rten_tensor::NdTensorView;
use rten_tensor::prelude::*;
use vocalics_corpora::LabelSet;
use vocalics_features::{FeatureMatrix, Standardiser};
use vocalics_models::input::Door;
use vocalics_models::{Mode, Network, NetworkConfig};
use vocalics_runtime::{Engine, Recognizer};
use vocalics_train::{Data, ExportNotes, TrainConfig, TrainedModel, export, infer};

const N_MELS: usize = 64;
const N_CLASSES: usize = 8;

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
        "kind = 'lstm'\nn_mfcc = 13\nhidden = 9\nlayers = 1\nbidirectional = false",
    ];
    let variants = variants.map(|text| toml::from_str(text).expect("a valid configuration"));
    defaults.chain(variants).collect()
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
    let features = FeatureMatrix::new(noise(500 * N_MELS, rng), N_MELS).expect("whole rows");
    let standardiser = Standardiser::fit([&features]).expect("a fit");
    let door = Door::new(N_MELS, standardiser.mean(), standardiser.std()).expect("a door");
    let network = config
        .init(N_MELS, N_CLASSES, door, rng, device)
        .expect("a network");
    let network = network.map(&mut Shake(StdRng::seed_from_u64(5)));
    for _ in 0..20 {
        let shape = [4, 40, N_MELS];
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
        embedded: None,
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
            ..TrainConfig::default()
        };
        export(&model, &run, &data(), &ExportNotes::default(), &path).expect("export");
        let recognizer = Recognizer::from_file(&path).expect("the runtime accepts the file");
        assert_eq!(recognizer.engine(), Engine::Native, "{config:?}");
        let engine = rten::Model::load_file(&path).expect("rten accepts the file");
        let mut rows = Vec::new();
        for n_frames in [1, 2, 3, 4, 5, 7, 16, 31, 90, 160] {
            for size in [1, 3] {
                let shape = [size, n_frames, N_MELS];
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
                    let clip = FeatureMatrix::new(features, N_MELS).expect("whole rows");
                    close(&ours, &infer(&model.ensemble, &clip), &what);
                    let theirs = recognizer.logits_from_features(&clip).expect("logits");
                    close(&ours, &theirs, &what);
                }
            }
        }
        onnxruntime::agrees(&path, &rows, 1e-5);
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
        let (mean, std) = (vec![-4.0; N_MELS], vec![3.0; N_MELS]);
        let door = Door::new(N_MELS, &mean, &std).expect("a door");
        let network = config
            .init(N_MELS, N_CLASSES, door, rng, &device)
            .expect("a network");
        let shape = [3, 33, N_MELS];
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
        let shape = [4, 29, N_MELS];
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
        let unknown = format!("{text}\nno_such_field = 1");
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
    ] {
        let config: NetworkConfig = toml::from_str(text).expect("fields of the right type");
        let error = config.validate(N_MELS).expect_err(text).to_string();
        assert!(error.contains(wrong), "{error}");
    }
}
