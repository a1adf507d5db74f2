//! Networks over functionals from samples to the model file and back: what is trained on is what the runtime computes of the samples.

use std::path::Path;

use rten_onnx::onnx::ModelProto;
use vocalics_corpora::{LabelSet, Protocol, Utterance};
use vocalics_features::{FeatureMatrix, Functionals, LogMel};
use vocalics_runtime::{Clip, Engine, Recognizer, RecognizerOptions, RuntimeError, quantise};
use vocalics_train::{
    AugmentConfig, ComputeDevice, Data, DistillationConfig, EvaluationConfig, FinishedRun,
    RunOptions, Silent, TrainConfig, TrainingConfig, combine_runs, cross_validate, infer,
    train_model,
};

const RATE: u32 = 16_000;
const N_MELS: usize = 64;

const TWO_BRANCH: &str = "
    [functionals]
    sets = ['prosody', 'egemaps']
    [network]
    kind = 'two-branch'
    hidden = [6]
    [network.first]
    kind = 'cnn-recurrent'
    channels = [4, 6]
    hidden = 6
    attention = 4
";

/// A voice of a speaker, low for the first class and high for the second.
fn voice(speaker: u8, clip: u8, n_samples: usize) -> Vec<f32> {
    let f0 = 110.0 + 12.0 * f32::from(speaker) + 90.0 * f32::from(clip % 2);
    (0..n_samples)
        .map(|n| {
            let t = n as f32 / RATE as f32;
            let syllable = 0.5 - 0.5 * (std::f32::consts::TAU * (3.0 + f32::from(clip)) * t).cos();
            let harmonics = (1..15u8)
                .map(|k| (std::f32::consts::TAU * f0 * f32::from(k) * t).sin() / f32::from(k));
            0.1 * syllable * harmonics.sum::<f32>()
        })
        .collect()
}

fn config(text: &str) -> TrainConfig {
    let config: TrainConfig = toml::from_str(text).expect("a configuration");
    TrainConfig {
        name: "invented".into(),
        corpora: vec!["invented".into()],
        training: TrainingConfig {
            epochs: 2,
            batch_size: 4,
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
            validation_speakers: 0,
            resamples: 200,
            ..EvaluationConfig::default()
        },
        ..config
    }
}

/// Three speakers with four clips of different length each.
fn data(config: &TrainConfig) -> Data {
    let labels = LabelSet::new(vec!["neutral".into(), "angry".into()]).expect("two labels");
    let mut front_end = LogMel::new(config.front_end.clone()).expect("a front end");
    let functionals = config.functionals.as_ref().expect("sets");
    let functionals = functionals.resolve().expect("known sets");
    let (mut utterances, mut classes, mut features) = (Vec::new(), Vec::new(), Vec::new());
    for speaker in 0..3u8 {
        for clip in 0..4u8 {
            let samples = voice(speaker, clip, 9_000 + 1_500 * usize::from(clip));
            let log_mel = front_end.compute(&samples).expect("log-mel");
            let values = functionals.compute(&samples, RATE).expect("functionals");
            features.push(Functionals::beside(&log_mel, &values).expect("finite"));
            let class = usize::from(clip % 2);
            classes.push(class);
            let id = format!("invented/{speaker}-{clip}");
            utterances.push(Utterance {
                path: id.clone().into(),
                id,
                corpus: "invented".into(),
                speaker: format!("speaker-{speaker}"),
                sex: None,
                emotion: labels.as_slice()[class].clone(),
                intensity: None,
                statement: None,
                repetition: None,
                channel: None,
            });
        }
    }
    Data {
        utterances,
        labels,
        classes,
        features,
        n_functionals: functionals.n_functionals(),
        waveforms: None,
        embedded: None,
        contents: Vec::new(),
    }
}

fn options(directory: &Path) -> RunOptions {
    RunOptions {
        directory: directory.to_owned(),
        folds: Vec::new(),
        jobs: 1,
        threads: 1,
        device: ComputeDevice::Cpu,
    }
}

#[track_caller]
fn close(a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!(a.is_finite() && (a - b).abs() < 2e-5, "{a} {b}");
    }
}

#[test]
fn the_runtime_computes_of_samples_what_was_trained_on() {
    let ensemble = format!("{TWO_BRANCH}[ensemble]\nseeds = 2");
    let alone =
        "[functionals]\nsets = ['egemaps']\n[network]\nkind = 'functionals-mlp'\nhidden = [7]";
    let mixed = "[functionals]\nsets = ['mfcc', 'rhythm', 'chroma']\n[network]\nkind = 'light-cnn'\nchannels = [6]\n\
         [[ensemble.networks]]\nkind = 'functionals-mlp'";
    for text in [TWO_BRANCH, &ensemble, alone, mixed] {
        let config = config(text);
        config.validate().expect("it goes together");
        let data = data(&config);
        let folder = tempfile::tempdir().expect("temporary folder");
        let model = train_model(&config, &data, None, &options(folder.path()), &Silent);
        let model = model.expect("a model");
        let path = folder.path().join("model.onnx");
        let recognizer = Recognizer::from_file(&path).expect("the runtime accepts the file");
        assert_eq!(recognizer.engine(), Engine::Native, "{text}");
        let metadata = recognizer.metadata();
        assert_eq!(metadata.format_version, 3);
        assert_eq!(metadata.n_features(), config.n_features());
        assert!(metadata.domain.is_some());
        let rten = RecognizerOptions::default().with_engine(Engine::Rten);
        let rten = Recognizer::from_file_with(&path, &rten).expect("rten takes it too");
        let clips: Vec<Vec<f32>> = (0..3u8)
            .flat_map(|speaker| (0..4u8).map(move |clip| (speaker, clip)))
            .map(|(speaker, clip)| voice(speaker, clip, 9_000 + 1_500 * usize::from(clip)))
            .collect();
        let together: Vec<Clip<'_>> = clips.iter().map(|it| Clip::new(it, RATE)).collect();
        let together = recognizer.recognize_batch(&together);
        for ((samples, features), batch) in clips.iter().zip(&data.features).zip(together) {
            let ours = infer(&model.ensemble, features);
            let alone = recognizer.recognize(samples, RATE).expect("a clip");
            close(&ours, &alone.logits);
            close(&ours, &batch.expect("a clip").logits);
            close(
                &ours,
                &rten.recognize(samples, RATE).expect("a clip").logits,
            );
            assert!(alone.domain_distance.is_some_and(f32::is_finite), "{text}");
        }
        // The shortest clip that is heard, one that is too short, and silence.
        let short = voice(0, 0, 3_200);
        let heard = recognizer.recognize(&short, RATE).expect("0.2 seconds");
        assert!(heard.logits.iter().all(|x| x.is_finite()));
        let too_short = recognizer.recognize(&short[..1_600], RATE);
        assert!(matches!(too_short, Err(RuntimeError::TooShort { .. })));
        let silence = recognizer.recognize(&[0.0; 16_000], RATE).expect("silence");
        assert!(silence.label.is_none());
    }
}

#[test]
fn a_file_with_another_version_of_a_set_is_refused() {
    let config = config(TWO_BRANCH);
    let folder = tempfile::tempdir().expect("temporary folder");
    let data = data(&config);
    train_model(&config, &data, None, &options(folder.path()), &Silent).expect("a model");
    let bytes = std::fs::read(folder.path().join("model.onnx")).expect("the file");
    let refused = |key: &str, from: &str, to: &str| {
        let mut model = ModelProto::parse_buf(&bytes).expect("ONNX");
        let mut changed = false;
        for prop in &mut model.metadata_props {
            if prop.key.as_deref() == Some(key) {
                let old = prop.value.clone().unwrap_or_default();
                let new = old.replacen(from, to, 1);
                changed = old != new;
                prop.value = Some(new);
            }
        }
        assert!(changed, "{key} has no {from}");
        let bytes = model.write_buf().expect("ONNX");
        Recognizer::from_bytes(bytes).expect_err("it is refused")
    };
    let key = "vocalics.functionals";
    for (from, to, code) in [
        ("\"version\":1", "\"version\":2", "model_functionals"),
        ("\"prosody\"", "\"loudness\"", "model_functionals"),
        (
            "\"n_functionals\":88",
            "\"n_functionals\":89",
            "model_invalid_metadata",
        ),
        ("\"version\":1", "\"version\":\"1\"", "model_invalid_key"),
    ] {
        let error = refused(key, from, to);
        assert_eq!(error.code(), code, "{error}");
        assert!(!error.hint().is_empty());
    }
    // Read as what it is not.
    let error = refused("vocalics.format_version", "3", "1");
    assert_eq!(error.code(), "model_invalid_metadata", "{error}");
}

#[test]
fn test_clips_do_not_reach_the_standardiser() {
    let config = config(TWO_BRANCH);
    let data = data(&config);
    let run = |data: &Data| {
        let folder = tempfile::tempdir().expect("temporary folder");
        let options = options(folder.path());
        let found = cross_validate(&config, data, &Protocol::Loso, &options, &Silent);
        let mut rows = found.expect("a run").predictions.rows;
        let fold = rows[0].fold.clone();
        rows.retain(|row| row.fold == fold);
        let tested: Vec<String> = rows.into_iter().map(|row| row.id).collect();
        let model = folder.path().join(fold).join("model.onnx");
        let recognizer = Recognizer::from_file(model).expect("a model");
        (recognizer.metadata().standardiser.clone(), tested)
    };
    let (before, tested) = run(&data);
    assert!(before.is_some() && !tested.is_empty());
    let changed = |wanted: bool| {
        let mut data = data.clone();
        for (utterance, features) in data.utterances.iter().zip(&mut data.features) {
            if tested.contains(&utterance.id) == wanted {
                let width = features.n_features();
                for row in features.as_mut_slice().chunks_exact_mut(width) {
                    row[N_MELS..].iter_mut().for_each(|x| *x = *x * 3.0 + 50.0);
                }
            }
        }
        data
    };
    assert_eq!(run(&changed(true)).0, before);
    assert_ne!(run(&changed(false)).0, before);
}

#[test]
fn a_row_of_a_comparison_names_the_sets() {
    let config = config(TWO_BRANCH);
    let folder = tempfile::tempdir().expect("temporary folder");
    let options = RunOptions {
        folds: vec!["speaker-1".into()],
        ..options(folder.path())
    };
    cross_validate(&config, &data(&config), &Protocol::Loso, &options, &Silent).expect("a run");
    let run = FinishedRun::read(folder.path()).expect("a finished run");
    let row = run.entry("two".into(), &options.folds).expect("a row");
    let sets = config.functionals.expect("sets").sets;
    assert_eq!(row.input, format!("log-mel + {}", sets.join(" + ")));
}

#[test]
fn a_student_over_log_mel_learns_from_a_teacher_over_both_and_the_other_way_round() {
    let config = config(TWO_BRANCH);
    let data = data(&config);
    let folder = tempfile::tempdir().expect("temporary folder");
    let student = TrainConfig {
        distillation: Some(DistillationConfig {
            student: Some(toml::from_str("kind = 'light-cnn'\nchannels = [6]").expect("a network")),
            ..DistillationConfig::default()
        }),
        ..config.clone()
    };
    let options_in = |name: &str| options(&folder.path().join(name));
    train_model(&student, &data, None, &options_in("student"), &Silent).expect("a student");
    let file = folder.path().join("student").join("model.onnx");
    assert!(Recognizer::from_file(file).is_ok());

    // A file over the same sets teaches; to a run over log-mel alone it is of no use.
    train_model(&config, &data, None, &options_in("teacher"), &Silent).expect("a teacher");
    let taught = |text: &str| TrainConfig {
        distillation: Some(DistillationConfig {
            teacher: folder.path().join("teacher").join("model.onnx"),
            allow_seen_speakers: true,
            ..DistillationConfig::default()
        }),
        ..self::config(text)
    };
    let both = taught(TWO_BRANCH);
    train_model(&both, &data, None, &options_in("both"), &Silent).expect("a student");
    let plain = taught("[network]\nkind = 'light-cnn'\nchannels = [6]");
    let mut bands = data.clone();
    bands.n_functionals = 0;
    for features in &mut bands.features {
        *features = features.first_columns(N_MELS).expect("bands");
    }
    let error = train_model(&plain, &bands, None, &options_in("plain"), &Silent);
    let error = error.expect_err("no functionals to teach on").to_string();
    assert!(error.contains("functionals of prosody, egemaps"), "{error}");
}

#[test]
fn eight_bits_work_with_functionals_too() {
    let text = TWO_BRANCH.replace("channels = [4, 6]", "channels = [16, 24]");
    let config = config(&text);
    let data = data(&config);
    let folder = tempfile::tempdir().expect("temporary folder");
    train_model(&config, &data, None, &options(folder.path()), &Silent).expect("a model");
    let bytes = std::fs::read(folder.path().join("model.onnx")).expect("the file");
    let quantised = quantise(&bytes, &data.features).expect("a smaller file");
    let recognizer = Recognizer::from_bytes(quantised.bytes).expect("it loads");
    assert_eq!(recognizer.metadata().n_features(), config.n_features());
    let narrow: Vec<FeatureMatrix> = data
        .features
        .iter()
        .map(|it| it.first_columns(N_MELS).expect("bands"))
        .collect();
    assert!(quantise(&bytes, &narrow).is_err());
}

/// Scores of a clip of the test voices, by the runtime, when the speaker's other clips were heard.
fn in_voice(recognizer: &Recognizer, speaker: u8, clip: u8) -> Vec<f32> {
    let listen = |clip: u8| {
        let samples = voice(speaker, clip, 9_000 + 1_500 * usize::from(clip));
        recognizer
            .listen(&Clip::new(&samples, RATE))
            .expect("a clip")
    };
    let mut profile = recognizer.speaker();
    for other in (0..4).filter(|&other| other != clip) {
        recognizer
            .hear_voice(&listen(other), &mut profile)
            .expect("its own profile");
    }
    let answer = recognizer.answer(&listen(clip), Some(&profile));
    let scores = answer.expect("a clip").scores.into_iter();
    scores.map(|(_, score)| score).collect()
}

#[test]
fn functionals_are_moved_to_the_speaker_in_training_test_and_recognition() {
    let alone = "[functionals]\nsets = ['egemaps']\nspeaker_norm = true\n[network]\nkind = 'functionals-mlp'\nhidden = [7]";
    let both = TWO_BRANCH.replace("[network]", "speaker_norm = true\n    [network]");
    for text in [alone, &both] {
        let config = config(text.replacen("    [network]", "[network]", 1).as_str());
        assert!(config.speaker_norm());
        let data = data(&config);
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = |config: &TrainConfig, name: &str| {
            let options = options(&folder.path().join(name));
            cross_validate(config, &data, &Protocol::Loso, &options, &Silent).expect("a run")
        };
        let found = run(&config, "moved");
        let with_others = found
            .with_others
            .as_ref()
            .expect("scores with others heard");
        assert_eq!(with_others.rows.len(), found.predictions.rows.len());
        let mut differ = false;
        for (plain, moved) in found.predictions.rows.iter().zip(&with_others.rows) {
            let [speaker, clip] =
                [plain.id.as_bytes()[9], plain.id.as_bytes()[11]].map(|it| it - b'0');
            let model = folder
                .path()
                .join("moved")
                .join(&plain.fold)
                .join("model.onnx");
            let recognizer = Recognizer::from_file(model).expect("a model");
            let norm = recognizer
                .metadata()
                .speaker_norm
                .as_ref()
                .expect("a prior");
            assert_eq!(norm.n_features(), config.n_functionals());
            let samples = voice(speaker, clip, 9_000 + 1_500 * usize::from(clip));
            let heard = recognizer.recognize(&samples, RATE).expect("a clip");
            let heard: Vec<f32> = heard.scores.into_iter().map(|(_, score)| score).collect();
            close(&plain.scores, &heard);
            assert_eq!(plain.id, moved.id);
            close(&moved.scores, &in_voice(&recognizer, speaker, clip));
            differ |= (plain.scores[0] - moved.scores[0]).abs() > 1e-4;
        }
        assert!(differ, "hearing the speaker changes something");
        let adapted = found
            .report
            .speaker_calibrated
            .as_ref()
            .expect("adapted scores");
        assert!((adapted.curve[0].uar - found.report.metrics.uar).abs() < 1e-12);

        // The same training is the same network, and one without this is another.
        let again = run(&config, "again");
        assert_eq!(again.predictions, found.predictions);
        assert_eq!(again.with_others, found.with_others);
        let mut plain = config.clone();
        plain.functionals.as_mut().expect("sets").speaker_norm = false;
        let plain = run(&plain, "plain");
        assert_ne!(plain.predictions, found.predictions);
        assert!(plain.with_others.is_none());

        // Together: only with what is moved alike, and the whole knows what its members do.
        let read = |name: &str| FinishedRun::read(&folder.path().join(name)).expect("a run");
        let shares = [0.25, 0.75];
        let whole = folder.path().join("whole");
        let joined = combine_runs(&[read("moved"), read("again")], &shares, "two", &whole);
        let joined = joined.expect("both are moved");
        let theirs = joined.with_others.expect("scores with others heard");
        for (row, one) in theirs.rows.iter().zip(&with_others.rows) {
            close(&row.scores, &one.scores);
        }
        let row = &theirs.rows[0];
        let [speaker, clip] = [row.id.as_bytes()[9], row.id.as_bytes()[11]].map(|it| it - b'0');
        let model = Recognizer::from_file(whole.join(&row.fold).join("model.onnx"));
        close(
            &row.scores,
            &in_voice(&model.expect("one file"), speaker, clip),
        );
        let refused = folder.path().join("refused");
        let error = combine_runs(&[read("moved"), read("plain")], &shares, "two", &refused);
        let error = error.expect_err("one is not moved").to_string();
        assert!(error.contains("not moved to the speaker"), "{error}");
        assert!(!refused.exists());
    }
}

#[test]
fn a_profile_of_another_model_is_refused() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let model = |sets: &str| {
        let text = format!(
            "[functionals]\nsets = [{sets}]\nspeaker_norm = true\n[network]\nkind = 'functionals-mlp'\nhidden = [7]"
        );
        let config = config(&text);
        let path = folder.path().join(sets.replace('\'', ""));
        train_model(&config, &data(&config), None, &options(&path), &Silent).expect("a model");
        Recognizer::from_file(path.join("model.onnx")).expect("a model")
    };
    let (one, other) = (model("'rhythm'"), model("'prosody'"));
    let samples = voice(0, 1, 12_000);
    let heard = one.listen(&Clip::new(&samples, RATE)).expect("a clip");
    let mut profile = other.speaker();
    assert!(one.hear_voice(&heard, &mut profile).is_err());
    let theirs = other.listen(&Clip::new(&samples, RATE)).expect("a clip");
    other.hear_voice(&theirs, &mut profile).expect("its own");
    assert!(one.answer(&heard, Some(&profile)).is_err());
}
