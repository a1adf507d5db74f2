//! Recordings that were never made, and a training small enough to run in a test.

use std::path::Path;

use vocalics_corpora::{LabelSet, Sex, Utterance};
use vocalics_eval::HistoryRow;
use vocalics_features::FeatureMatrix;
use vocalics_models::ResidualCnnConfig;
use vocalics_train::{
    AugmentConfig, ComputeDevice, Data, EvaluationConfig, NetworkConfig, PretrainRow, Progress,
    RunOptions, TrainConfig, TrainingConfig,
};

/// Bands of the invented features.
pub(crate) const N_MELS: usize = 64;

/// Four speakers and two classes that differ in the slope of their spectrum.
pub(crate) fn data() -> Data {
    let labels = LabelSet::new(vec!["neutral".into(), "angry".into()]).expect("two labels");
    let (mut utterances, mut classes, mut features) = (Vec::new(), Vec::new(), Vec::new());
    for speaker in 0..4u8 {
        for clip in 0..8u8 {
            let class = usize::from(clip % 2);
            let n_frames = 30 + usize::from(clip) * 9;
            let slope = if class == 0 { -0.05 } else { 0.02 };
            let mut values = Vec::new();
            for t in 0..n_frames {
                for band in 0..N_MELS {
                    let wave = (t as f32 * 0.4 + band as f32 + f32::from(speaker)).sin();
                    values.push(slope * band as f32 + 0.3 * wave - f32::from(speaker) * 0.1);
                }
            }
            let id = format!("invented/{speaker}-{clip}");
            utterances.push(Utterance {
                path: id.clone().into(),
                id,
                corpus: "invented".into(),
                speaker: format!("speaker-{speaker}"),
                sex: Some(if speaker % 2 == 0 {
                    Sex::Female
                } else {
                    Sex::Male
                }),
                emotion: labels.as_slice()[class].clone(),
                intensity: None,
                statement: None,
                repetition: None,
                channel: None,
            });
            classes.push(class);
            features.push(FeatureMatrix::new(values, N_MELS).expect("whole rows"));
        }
    }
    Data {
        utterances,
        labels,
        classes,
        features,
        waveforms: None,
        n_functionals: 0,
        embedded: None,
        contents: Vec::new(),
    }
}

pub(crate) fn config() -> TrainConfig {
    TrainConfig {
        name: "invented".into(),
        corpora: vec!["invented".into()],
        network: NetworkConfig::ResidualCnn(ResidualCnnConfig {
            channels: vec![4, 8],
            attention: 8,
            ..ResidualCnnConfig::default()
        }),
        training: TrainingConfig {
            epochs: 3,
            batch_size: 8,
            crop_frames: 32,
            ..TrainingConfig::default()
        },
        augmentation: AugmentConfig {
            mixup: 0.3,
            ..AugmentConfig::default()
        },
        evaluation: EvaluationConfig {
            repeats: 1,
            protocol: "loso".into(),
            validation_speakers: 1,
            resamples: 200,
            ..EvaluationConfig::default()
        },
        ..TrainConfig::default()
    }
}

pub(crate) fn options(directory: &Path) -> RunOptions {
    RunOptions {
        directory: directory.to_owned(),
        folds: Vec::new(),
        jobs: 2,
        threads: 1,
        device: ComputeDevice::Cpu,
    }
}

pub(crate) fn predictions(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("predictions.csv")).expect("predictions.csv")
}

/// Stops a run from inside, after so many epochs of any fold, with or without labels.
pub(crate) struct Stop(pub(crate) std::sync::atomic::AtomicUsize);

impl Stop {
    fn count(&self) {
        let left = self.0.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        assert!(left != 1, "stopped by the test");
    }
}

impl Progress for Stop {
    fn epoch(&self, _: &HistoryRow) {
        self.count();
    }

    fn pretrain_epoch(&self, _: &str, _: &PretrainRow) {
        self.count();
    }
}
