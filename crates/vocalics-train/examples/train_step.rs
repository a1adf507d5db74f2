//! Seconds of one training step of a network: `train_step KIND THREADS STEPS`.
//!
//! Trains the network of that name, with its default sizes, on invented clips with the loop of
//! `vocalics train`: batch 32, 128 frames, 64 mel bands, no augmentation. A step is the batch, the
//! forward pass, the loss, the backward pass, AdamW and the average of the weights. Prints one line
//! of JSON; the first two steps are left out. `bench/train-step` runs this beside PyTorch.

use std::sync::Mutex;
use std::time::Instant;

use vocalics_corpora::{LabelSet, Utterance};
use vocalics_features::{FeatureMatrix, LogMelConfig};
use vocalics_train::{
    AugmentConfig, ComputeDevice, Data, EvaluationConfig, NetworkConfig, Progress, RunOptions,
    TrainConfig, TrainingConfig, train_model,
};

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: usize = 32;
const FRAMES: usize = 128;
const CLASSES: usize = 8;
/// Steps in which memory is first touched.
const WARM_UP: usize = 2;

/// When each step was done.
struct Clock(Mutex<Vec<Instant>>);

impl Progress for Clock {
    fn step(&self, _: &str, _: usize, _: usize) {
        if let Ok(mut times) = self.0.lock() {
            times.push(Instant::now());
        }
    }
}

/// Clips of one crop's length, of numbers that no class follows from.
fn data(clips: usize, n_mels: usize) -> Result<Data, Box<dyn std::error::Error>> {
    let labels = LabelSet::new((0..CLASSES).map(|class| format!("class-{class}")).collect())?;
    let (mut utterances, mut features) = (Vec::new(), Vec::new());
    for clip in 0..clips {
        let values = (0..FRAMES * n_mels).map(|i| ((i * 37 + clip * 101) % 997) as f32 / 200.0);
        features.push(FeatureMatrix::new(values.collect(), n_mels)?);
        utterances.push(Utterance {
            id: format!("invented/{clip}"),
            path: format!("{clip}").into(),
            corpus: "invented".into(),
            speaker: format!("speaker-{}", clip % 4),
            sex: None,
            emotion: format!("class-{}", clip % CLASSES),
            intensity: None,
            statement: None,
            repetition: None,
            channel: None,
        });
    }
    Ok(Data {
        classes: (0..clips).map(|clip| clip % CLASSES).collect(),
        utterances,
        labels,
        features,
        waveforms: None,
        n_functionals: 0,
        embedded: None,
        contents: Vec::new(),
    })
}

#[expect(clippy::print_stdout, reason = "an example talks to its user")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, threads, steps] = arguments.as_slice() else {
        return Err("usage: train_step KIND THREADS STEPS".into());
    };
    let (threads, steps): (usize, usize) = (threads.parse()?, steps.parse()?);
    let network = NetworkConfig::named(kind)
        .ok_or_else(|| format!("no network {kind}; there are {:?}", NetworkConfig::KINDS))?;
    let config = TrainConfig {
        corpora: vec!["invented".into()],
        network,
        front_end: LogMelConfig::default(),
        training: TrainingConfig {
            epochs: 1,
            batch_size: BATCH,
            crop_frames: FRAMES,
            warmup_epochs: 0.0,
            ..TrainingConfig::default()
        },
        augmentation: AugmentConfig {
            stretch: [1.0, 1.0],
            band_shift: 0,
            gain_db: 0.0,
            time_masks: 0,
            band_masks: 0,
            mixup: 0.0,
            ..AugmentConfig::default()
        },
        evaluation: EvaluationConfig {
            validation_speakers: 0,
            ..EvaluationConfig::default()
        },
        ..TrainConfig::default()
    };
    let data = data((steps + WARM_UP) * BATCH, config.front_end.n_mels)?;
    let scratch = tempfile::tempdir()?;
    let options = RunOptions {
        directory: scratch.path().to_owned(),
        folds: Vec::new(),
        jobs: 1,
        threads,
        device: ComputeDevice::Cpu,
    };
    let clock = Clock(Mutex::default());
    let model = train_model(&config, &data, None, &options, &clock)?;
    let times = clock.0.into_inner()?;
    let seconds: Vec<f64> = times
        .windows(2)
        .skip(WARM_UP - 1)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    let parameters = model.parameters;
    println!("{{\"parameters\": {parameters}, \"seconds\": {seconds:?}}}");
    Ok(())
}
