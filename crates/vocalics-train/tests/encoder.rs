//! Heads on the embeddings of an encoder: from recordings to a model file, and what is refused on the way.

#[path = "../../vocalics-runtime/tests/common/encoder.rs"]
mod tiny;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tiny::{DESCRIPTION, Tiny};
use vocalics_audio::write_wav16;
use vocalics_corpora::{CorpusKind, CorpusSpec};
use vocalics_runtime::{Encoder, Recognizer, read_metadata, read_model};
use vocalics_train::{
    AugmentConfig, ComputeDevice, Data, EncoderConfig, EvaluationConfig, LoadOptions,
    NetworkConfig, Progress, RunOptions, Silent, TrainConfig, TrainError, cross_validate,
    open_encoder, train_model,
};

/// A folder with an encoder, its description and a corpus of eight actors with low and high voices.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(tiny: &Tiny, description: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::write(folder.path().join("tiny.onnx"), tiny.bytes()).expect("written");
        std::fs::write(folder.path().join("tiny.toml"), description).expect("written");
        for actor in 1..=8u8 {
            let root = folder.path().join(format!("speech/Actor_{actor:02}"));
            std::fs::create_dir_all(&root).expect("a folder");
            for (emotion, pitch) in [("01", 240.0), ("05", 720.0)] {
                for take in ["01", "02"] {
                    let pitch = pitch + f32::from(actor) + if take == "01" { 0.0 } else { 9.0 };
                    let samples: Vec<f32> = (0..9_600u16)
                        .map(|n| {
                            let phase = f32::from(n) / 16_000.0 * std::f32::consts::TAU;
                            0.3 * (phase * pitch).sin() + 0.02 * (phase * 3.0 * pitch).sin()
                        })
                        .collect();
                    let name = format!("03-01-{emotion}-01-01-{take}-{actor:02}.wav");
                    write_wav16(&root.join(name), &samples, 16_000).expect("written");
                }
            }
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn encoder(&self) -> Arc<Encoder> {
        Arc::new(open_encoder(&self.path("tiny.onnx"), None).expect("an encoder"))
    }

    fn load(&self, config: &TrainConfig, encoder: Arc<Encoder>) -> Result<Data, TrainError> {
        let options = LoadOptions {
            encoder: Some(encoder),
            ..LoadOptions::new(self.path("cache"))
        };
        let corpus = CorpusSpec {
            kind: CorpusKind::RavdessSpeech,
            root: self.path("speech"),
        };
        Data::load(config, &[corpus], &options, &Silent)
    }

    fn options(&self, run: &str) -> RunOptions {
        RunOptions {
            directory: self.path(run),
            folds: Vec::new(),
            jobs: 1,
            threads: 1,
            device: ComputeDevice::Cpu,
        }
    }
}

fn config(encoder: &Encoder) -> TrainConfig {
    let mut config = TrainConfig::for_encoder(EncoderConfig::of(encoder));
    config.training.epochs = 25;
    config.training.batch_size = 8;
    config.training.learning_rate = 0.02;
    config.training.weight_average = 0.9;
    config.evaluation = EvaluationConfig {
        protocol: "loso".into(),
        validation_speakers: 2,
        resamples: 50,
        ..EvaluationConfig::default()
    };
    config
}

/// Keeps what is told.
#[derive(Default)]
struct Told(std::sync::Mutex<Vec<String>>);

impl Progress for Told {
    fn warning(&self, text: &str) {
        self.0.lock().expect("not poisoned").push(text.to_owned());
    }
}

#[test]
fn a_head_learns_on_embeddings_and_is_one_file_with_the_encoder() {
    let bench = Bench::new(&Tiny::default(), DESCRIPTION);
    let encoder = bench.encoder();
    let config = config(&encoder);
    let data = bench.load(&config, encoder.clone()).expect("embeddings");
    assert!(
        data.features
            .iter()
            .all(|x| x.n_frames() == 1 && x.n_features() == encoder.dim())
    );

    let protocol = "loso".parse().expect("a protocol");
    let measured = cross_validate(&config, &data, &protocol, &bench.options("run"), &Silent);
    let measured = measured.expect("a run");
    assert!(
        measured.report.metrics.uar > 0.95,
        "{}",
        measured.report.metrics.uar
    );
    assert!(measured.report.speaker_calibrated.is_some());
    for row in &measured.predictions.rows {
        assert!((row.seconds.expect("seconds") - 0.6).abs() < 1e-6);
    }
    // Models of folds are heads alone, each with a number per embedding value and class.
    assert_eq!(measured.parameters, (encoder.dim() + 1) * data.labels.len());
    let fold = bench.path("run").join(&measured.predictions.rows[0].fold);
    let fold = Recognizer::from_file(fold.join("model.onnx")).expect("a model");
    assert_eq!(
        fold.missing_encoder().map(|note| note.dim),
        Some(encoder.dim())
    );

    // The written configuration names the encoder and runs again.
    let written = TrainConfig::read(&bench.path("run/config.toml")).expect("a configuration");
    assert_eq!(written, config);
    assert_eq!(written.features_fingerprint(), encoder.fingerprint());

    let told = Told::default();
    let model = train_model(&config, &data, None, &bench.options("whole"), &told);
    let model = model.expect("a model");
    assert!(told.0.lock().expect("not poisoned").is_empty());
    let whole = Recognizer::from_file(bench.path("whole/model.onnx")).expect("a model");
    assert!(whole.missing_encoder().is_none());
    let clip = &data.utterances[3];
    let samples = vocalics_audio::read_file(&clip.path, &vocalics_audio::DecodeOptions::default())
        .expect("a clip")
        .into_samples();
    let heard = whole.recognize(&samples, 16_000).expect("a prediction");
    assert_eq!(heard.label.as_deref(), Some(clip.emotion.as_str()));
    let expected = vocalics_train::infer(&model.ensemble, &data.features[3]);
    for (a, b) in heard.logits.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-4, "{a} {b}");
    }
}

#[test]
fn embeddings_are_kept_by_encoder_description_and_audio() {
    /// Files in the cache with the times they were written.
    fn entries(cache: &Path) -> Vec<(PathBuf, std::time::SystemTime)> {
        let mut entries = Vec::new();
        for folder in std::fs::read_dir(cache).expect("a cache").flatten() {
            for file in std::fs::read_dir(folder.path())
                .expect("a folder")
                .flatten()
            {
                let written = file.metadata().and_then(|data| data.modified());
                entries.push((file.path(), written.expect("a time")));
            }
        }
        entries.sort();
        entries
    }
    let bench = Bench::new(&Tiny::default(), DESCRIPTION);
    let encoder = bench.encoder();
    let config = config(&encoder);
    let first = bench.load(&config, encoder.clone()).expect("embeddings");
    let kept = entries(&bench.path("cache"));
    assert_eq!(kept.len(), 32);
    // As after an interruption: what is there is read, what is missing is computed.
    std::fs::remove_file(&kept[5].0).expect("removed");
    let again = bench.load(&config, encoder.clone()).expect("embeddings");
    assert_eq!(again.features, first.features);
    let now = entries(&bench.path("cache"));
    let same = kept.iter().zip(&now).filter(|(a, b)| a == b).count();
    assert_eq!((now.len(), same), (32, 31));
    let folder = bench.path("cache").join(encoder.fingerprint());
    assert!(folder.is_dir());
    // Another pooling is another embedding, kept apart.
    let text = DESCRIPTION.replace("mean+std", "mean");
    std::fs::write(bench.path("tiny.toml"), text).expect("written");
    let other = bench.encoder();
    assert_ne!(other.fingerprint(), encoder.fingerprint());
    let config = self::config(&other);
    bench.load(&config, other).expect("embeddings");
    assert_eq!(entries(&bench.path("cache")).len(), 64);
    // Another licence text is the same embedding.
    let text = DESCRIPTION.replace("MIT", "BSD-3-Clause");
    std::fs::write(bench.path("tiny.toml"), text).expect("written");
    assert_eq!(bench.encoder().fingerprint(), encoder.fingerprint());
}

#[test]
fn a_licence_that_forbids_it_leaves_two_files_and_says_so() {
    let description = DESCRIPTION
        .replace("redistributable = true", "redistributable = false")
        .replace("\"MIT\"", "\"CC BY-NC 4.0\"");
    let bench = Bench::new(&Tiny::default(), &description);
    let encoder = bench.encoder();
    let mut config = config(&encoder);
    config.training.epochs = 1;
    let data = bench.load(&config, encoder).expect("embeddings");
    let told = Told::default();
    train_model(&config, &data, None, &bench.options("whole"), &told).expect("a model");
    let told = told.0.into_inner().expect("not poisoned");
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains("needs --encoder") && told[0].contains("CC BY-NC 4.0"),
        "{told:?}"
    );
    let file = read_model(bench.path("whole/model.onnx")).expect("a file");
    let note = read_metadata(&file)
        .expect("metadata")
        .encoder
        .expect("a note");
    assert!(!note.within);
    let encoder = Encoder::noted(bench.path("tiny.onnx"), &note, 1).expect("the encoder");
    let whole = Recognizer::from_bytes(file)
        .expect("a head")
        .with_encoder(encoder);
    assert!(
        whole
            .expect("a model")
            .recognize(&[0.1; 16_000], 16_000)
            .is_ok()
    );
}

#[test]
fn what_embeddings_have_not_is_refused() {
    let bench = Bench::new(&Tiny::default(), DESCRIPTION);
    let encoder = bench.encoder();
    let refused = |edit: fn(&mut TrainConfig)| {
        let mut config = config(&encoder);
        edit(&mut config);
        config.validate().expect_err("must be refused").to_string()
    };
    assert!(refused(|c| c.training.crop_frames = 160).contains("training.crop_frames is 160"));
    let masks = refused(|c| c.augmentation.time_masks = 1);
    assert!(
        masks.contains("augmentation.time_masks is 1, expected none with an encoder"),
        "{masks}"
    );
    assert!(
        refused(|c| c.augmentation = AugmentConfig::default()).contains("augmentation.stretch")
    );
    let network = refused(|c| c.network = NetworkConfig::default());
    assert!(
        network.contains("network.kind is \"residual-cnn\", expected \"head\""),
        "{network}"
    );
    config(&encoder).validate().expect("a configuration");

    // A configuration for one encoder with another, or with none.
    let config = config(&encoder);
    let louder = Bench::new(
        &Tiny {
            gain: 2.0,
            ..Tiny::default()
        },
        DESCRIPTION,
    );
    let error = bench.load(&config, louder.encoder()).unwrap_err();
    assert!(matches!(error, TrainError::OtherEncoder { .. }), "{error}");
    let options = LoadOptions::new(bench.path("cache"));
    let error = Data::load(&config, &[], &options, &Silent);
    assert!(error.is_err());
}

#[test]
fn an_edited_description_is_of_another_encoder() {
    let bench = Bench::new(&Tiny::default(), DESCRIPTION);
    let encoder = bench.encoder();
    let config = config(&encoder);
    for (from, to) in [
        ("redistributable = true", "redistributable = false"),
        ("min_samples = 400", "min_samples = 800"),
    ] {
        let edited = config.to_toml().replace(from, to);
        assert_ne!(edited, config.to_toml(), "{from}");
        let edited: TrainConfig = toml::from_str(&edited).expect("TOML");
        let error = bench.load(&edited, encoder.clone()).unwrap_err();
        assert!(
            matches!(error, TrainError::OtherEncoder { .. }),
            "{to}: {error}"
        );
    }
    let mut config = config;
    config.front_end.n_mels = 80;
    let error = config.validate().unwrap_err().to_string();
    assert!(
        error.contains("front_end") && error.contains("left out"),
        "{error}"
    );
}

/// Every embedding has one frame, so that frames do not tell recordings apart.
#[test]
fn another_recording_of_the_same_name_is_another_run() {
    let bench = Bench::new(&Tiny::default(), DESCRIPTION);
    let encoder = bench.encoder();
    let config = config(&encoder);
    let before = bench
        .load(&config, encoder.clone())
        .expect("embeddings")
        .hash();
    assert_eq!(
        bench
            .load(&config, encoder.clone())
            .expect("embeddings")
            .hash(),
        before
    );
    let clip = bench.path("speech/Actor_03/03-01-05-01-01-02-03.wav");
    std::fs::copy(bench.path("speech/Actor_04/03-01-05-01-01-02-04.wav"), clip).expect("copied");
    assert_ne!(
        bench.load(&config, encoder).expect("embeddings").hash(),
        before
    );
}

#[test]
fn a_file_says_only_what_differs_from_the_defaults_for_encoders() {
    let bench = Bench::new(&Tiny::default(), DESCRIPTION);
    let encoder = bench.encoder();
    let read = |text: &str| {
        let path = bench.path("c.toml");
        std::fs::write(&path, text).expect("written");
        TrainConfig::read_for_encoder(&path, &encoder)
    };
    let defaults = TrainConfig::for_encoder(EncoderConfig::of(&encoder));
    assert_eq!(read("").expect("defaults"), defaults);
    let config =
        read("seed = 7\n[network]\nkind = 'head'\nhidden = 9\n[augmentation]\nmixup = 0.2")
            .expect("a configuration");
    assert_eq!((config.seed, config.training.crop_frames), (7, 1));
    assert!((config.augmentation.mixup - 0.2).abs() < 1e-12);
    assert_eq!(config.network.kind(), "head");
    let error = read("[training]\nepoch = 3").unwrap_err().to_string();
    assert!(error.contains("unknown field `epoch`"), "{error}");
    let error = read("[augmentation]\ngain_db = 3.0")
        .unwrap_err()
        .to_string();
    assert!(error.contains("augmentation.gain_db is 3"), "{error}");
    let error = read("[network]\nkind = 'lstm'").unwrap_err().to_string();
    assert!(error.contains("network.kind"), "{error}");
}

#[test]
fn a_description_that_is_missing_or_wrong_is_named() {
    let bench = Bench::new(&Tiny::default(), DESCRIPTION);
    let path = bench.path("tiny.onnx");
    std::fs::remove_file(bench.path("tiny.toml")).expect("removed");
    let error = open_encoder(&path, None).unwrap_err();
    assert!(matches!(error, TrainError::NoDescription { .. }));
    assert!(error.to_string().contains("tiny.toml"), "{error}");
    assert!(error.hint().expect("a hint").contains("docs/encoders.md"));
    let error = open_encoder(&bench.path("none.onnx"), None).unwrap_err();
    assert!(error.to_string().contains("none.onnx"), "{error}");
    let elsewhere = bench.path("other.toml");
    std::fs::write(&elsewhere, DESCRIPTION.replace("min_samples", "minimum")).expect("written");
    let error = open_encoder(&path, Some(&elsewhere)).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `minimum`"),
        "{error}"
    );
    std::fs::write(&elsewhere, DESCRIPTION).expect("written");
    assert!(open_encoder(&path, Some(&elsewhere)).is_ok());
}
