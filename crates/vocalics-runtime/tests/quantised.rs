//! Quantised models: smaller, close to the original, and the same in other engines.

mod common;
#[path = "common/graph.rs"]
mod graph;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use graph::{Graph, N_MELS, Numbers, Set, with_metadata};
use vocalics_features::FeatureMatrix;
use vocalics_runtime::{
    Engine, ModelError, QUANTISED_TOLERANCE, Quantised, Recognizer, RecognizerOptions,
    TEST_VECTOR_TOLERANCE, dequantise, quantise, quantise_weights, read_metadata,
};

/// In single precision.
fn default_model() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/default.onnx");
    dequantise(&std::fs::read(path).expect("the default model")).expect("its weights")
}

/// Features that move around the test vector's, so that they lie where the model was trained.
fn clips(model: &[u8], count: usize, seed: u64) -> Vec<FeatureMatrix> {
    let metadata = read_metadata(model).expect("a model file");
    let n_mels = metadata.front_end.n_mels;
    let deviations = metadata.standardiser.expect("a model that standardises");
    let mut numbers = Numbers::new(seed);
    (0..count)
        .map(|_| {
            let mut values = metadata.test_vector.features.clone();
            // Slow movement in time and over the bands, as speech has.
            let (rate, phase, tilt) = (numbers.next(), numbers.next(), numbers.next());
            for (index, value) in values.iter_mut().enumerate() {
                let (frame, band) = ((index / n_mels) as f32, (index % n_mels) as f32);
                let slow = (frame * (0.3 + 0.2 * rate) + band * 0.05 * tilt + 6.0 * phase).sin();
                let deviation = deviations.std()[index % n_mels];
                *value += deviation * (0.5 * slow + 0.1 * numbers.next());
            }
            FeatureMatrix::new(values, n_mels).expect("whole frames")
        })
        .collect()
}

fn score_error(quantised: &Quantised) -> f64 {
    let ranges = quantised.note.ranges.as_ref();
    ranges.expect("rounded inputs").score_error
}

#[test]
fn the_default_model_becomes_small_and_stays_close() {
    let model = default_model();
    let quantised = quantise(&model, &clips(&model, 24, 1)).unwrap();
    assert!(
        quantised.bytes.len() * 10 < model.len() * 3,
        "{}",
        quantised.bytes.len()
    );
    assert_eq!(quantised.tried.len(), 3);
    let errors = quantised.tried.iter().map(|ranges| ranges.score_error);
    assert!(score_error(&quantised) <= errors.fold(f64::MAX, f64::min));

    // What the file says is kept, but for the scores of the test vector.
    let (old, mut new) = (
        read_metadata(&model).unwrap(),
        read_metadata(&quantised.bytes).unwrap(),
    );
    assert_ne!(old.test_vector.scores, new.test_vector.scores);
    new.test_vector.scores.clone_from(&old.test_vector.scores);
    assert_eq!(old, new);

    let original = Recognizer::from_bytes(model.clone()).unwrap();
    let native = Recognizer::from_bytes(quantised.bytes.clone()).unwrap();
    assert_eq!(native.engine(), Engine::Native);
    let options = RecognizerOptions::default().with_engine(Engine::Rten);
    let rten = Recognizer::from_bytes_with(quantised.bytes.clone(), &options).unwrap();
    let temperature = old.temperature;
    let mut rows = Vec::new();
    // Others than those that the ranges were chosen on.
    for clip in clips(&model, 12, 2) {
        let [want, got, other] =
            [&original, &native, &rten].map(|one| one.scores_from_features(&clip).unwrap());
        for ((want, got), other) in want.iter().zip(&got).zip(&other) {
            assert!((want - got).abs() < 0.1, "{want} {got}");
            assert!(
                (got - other).abs() < QUANTISED_TOLERANCE,
                "native {got}, rten {other}"
            );
        }
        rows.push(row(&clip, &got, temperature));
    }
    agree_with_onnxruntime(&quantised.bytes, &rows, QUANTISED_TOLERANCE);
}

/// Nothing is rounded on the way, so that engines agree as on a file that is not quantised. Weights that are rounded already stay
/// as they are.
#[test]
fn weights_alone_are_rounded_without_recordings() {
    let model = default_model();
    let quantised = quantise_weights(&model).unwrap();
    let (old, new) = (model.len(), quantised.bytes.len());
    assert!(new * 10 < old * 3, "{old} to {new} bytes");
    assert!(quantised.note.ranges.is_none() && quantised.tried.is_empty());
    let back = dequantise(&quantised.bytes).unwrap();
    assert_eq!(dequantise(&back).unwrap(), back, "it is not quantised");

    let original = Recognizer::from_bytes(model.clone()).unwrap();
    let native = Recognizer::from_bytes(quantised.bytes.clone()).unwrap();
    assert_eq!(native.engine(), Engine::Native);
    let single = Recognizer::from_bytes(back).unwrap();
    assert_eq!(single.parameters(), original.parameters());
    let options = RecognizerOptions::default().with_engine(Engine::Rten);
    let rten = Recognizer::from_bytes_with(quantised.bytes.clone(), &options).unwrap();
    let mut rows = Vec::new();
    for clip in clips(&model, 12, 2) {
        let [want, got, back, other] = [&original, &native, &single, &rten]
            .map(|one| one.scores_from_features(&clip).unwrap());
        assert_eq!(got, back);
        for ((want, got), other) in want.iter().zip(&got).zip(&other) {
            for (name, score) in [("before", want), ("rten", other)] {
                assert!(
                    (score - got).abs() < TEST_VECTOR_TOLERANCE,
                    "{name} {score}, {got}"
                );
            }
        }
        rows.push(row(&clip, &got, original.metadata().temperature));
    }
    agree_with_onnxruntime(&quantised.bytes, &rows, TEST_VECTOR_TOLERANCE);
}

/// What was rounded on the way is not, afterwards; the weights are those of the file.
#[test]
fn the_way_back_is_open_to_a_file_with_rounded_inputs() {
    let model = default_model();
    let clips = clips(&model, 4, 5);
    let rounded = quantise(&model, &clips).unwrap().bytes;
    let [alone, back] = [quantise_weights(&model).unwrap().bytes, rounded]
        .map(|bytes| Recognizer::from_bytes(dequantise(&bytes).unwrap()).unwrap());
    for clip in &clips {
        let [alone, back] = [&alone, &back].map(|one| one.scores_from_features(clip).unwrap());
        for (a, b) in alone.iter().zip(&back) {
            // Biases are rounded there too, to steps far smaller than those of weights.
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
    }
}

#[test]
fn what_cannot_be_quantised_is_named() {
    let model = default_model();
    let error = quantise(&model, &[]).err().unwrap();
    assert!(matches!(error, ModelError::Calibration { .. }), "{error}");
    let empty = FeatureMatrix::new(Vec::new(), 64).unwrap();
    let error = quantise(&model, &[empty]).err().unwrap();
    assert!(matches!(error, ModelError::Calibration { .. }), "{error}");
    assert!(error.hint().contains("recordings"), "{}", error.hint());
    let clips = clips(&model, 1, 3);
    let once = quantise(&model, &clips).unwrap().bytes;
    let error = quantise(&once, &clips).err().unwrap();
    assert!(error.to_string().contains("already"), "{error}");
    assert!(!error.hint().contains("recordings"), "{}", error.hint());
    let error = quantise_weights(&once).err().unwrap();
    assert!(error.to_string().contains("already"), "{error}");
    // A last layer of 512 weights is not worth it.
    let mut graph = Graph::new(1);
    let x = graph.sequence();
    let x = graph.node("GlobalAveragePool", &[&x], &[]);
    let x = graph.node("Flatten", &[&x], &[]);
    graph.head(&x, 64);
    let small = with_metadata(&graph.bytes());
    for error in [quantise(&small, &clips), quantise_weights(&small)] {
        assert_eq!(error.err().unwrap().code(), "model_calibration");
    }
}

/// Features as the graphs made here take them, between -4 and 4.
fn noise(n_frames: usize, seed: u64) -> FeatureMatrix {
    FeatureMatrix::new(Numbers::new(seed).take(n_frames * N_MELS, 4.0), N_MELS)
        .expect("whole frames")
}

/// `[batch, 64]`, the mean over time.
fn mean_over_time(graph: &mut Graph) -> String {
    let x = graph.sequence();
    let x = graph.node("GlobalAveragePool", &[&x], &[]);
    graph.node("Flatten", &[&x], &[])
}

/// A dense layer large enough.
fn layer(graph: &mut Graph, x: &str, bias: &str) -> String {
    let weights = graph.weights(&[N_MELS, N_MELS]);
    graph.node("Gemm", &[x, &weights, bias], &[Set::Int("transB", 1)])
}

/// A node's own number was left out of the quantised file.
#[test]
fn the_value_of_a_constant_node_is_kept() {
    let mut graph = Graph::new(1);
    let x = mean_over_time(&mut graph);
    let bias = graph.weights(&[N_MELS]);
    let x = layer(&mut graph, &x, &bias);
    let number = graph.constant(&[N_MELS], &[0.75; N_MELS]);
    let x = graph.node("Add", &[&x, &number], &[]);
    graph.head(&x, N_MELS);
    let clips: Vec<_> = (0..8).map(|seed| noise(40, seed)).collect();
    let quantised = quantise(&with_metadata(&graph.bytes()), &clips).unwrap();
    assert_eq!(quantised.note.layers, 1);
    assert!(score_error(&quantised) < 1e-3, "{:?}", quantised.note);
}

/// Each of the layers wrote it under the same name, which no engine takes.
#[test]
fn a_bias_that_two_layers_share_stays_as_it_is() {
    let mut graph = Graph::new(2);
    let x = mean_over_time(&mut graph);
    let bias = graph.weights(&[N_MELS]);
    let x = layer(&mut graph, &x, &bias);
    let x = graph.node("Relu", &[&x], &[]);
    let x = layer(&mut graph, &x, &bias);
    graph.head(&x, N_MELS);
    let clips: Vec<_> = (0..8).map(|seed| noise(40, seed)).collect();
    let quantised = quantise(&with_metadata(&graph.bytes()), &clips).unwrap();
    let recognizer = Recognizer::from_bytes(quantised.bytes.clone()).unwrap();
    assert_eq!(recognizer.engine(), Engine::Native);
    assert_eq!(quantised.note.layers, 2);
    assert!(score_error(&quantised) < 1e-3, "{:?}", quantised.note);
}

/// Only the weights of a recurrent layer are rounded; they were left as they are, and so were nine tenths of
/// a recurrent network's file.
#[test]
fn recurrent_weights_become_small_in_every_engine() {
    for (operator, gates) in [("GRU", 3), ("LSTM", 4)] {
        let hidden = 48;
        let mut graph = Graph::new(7);
        let x = graph.sequence();
        let x = graph.node("Transpose", &[&x], &[Set::Ints("perm", &[2, 0, 1])]);
        let w = graph.weights(&[2, gates * hidden, N_MELS]);
        let r = graph.weights(&[2, gates * hidden, hidden]);
        let b = graph.weights(&[2, 2 * gates * hidden]);
        let mut set = vec![
            Set::Int("hidden_size", hidden as i64),
            Set::Text("direction", "bidirectional"),
        ];
        if operator == "GRU" {
            set.push(Set::Int("linear_before_reset", 1));
        }
        let y = graph.node(operator, &[&x, &w, &r, &b], &set);
        let y = graph.node("Transpose", &[&y], &[Set::Ints("perm", &[0, 2, 1, 3])]);
        let shape = graph.integers(&[0, 0, -1]);
        let y = graph.node("Reshape", &[&y, &shape], &[]);
        let mean = [Set::Ints("axes", &[0]), Set::Int("keepdims", 0)];
        let y = graph.node("ReduceMean", &[&y], &mean);
        graph.head(&y, 2 * hidden);
        let model = with_metadata(&graph.bytes());

        let clips: Vec<_> = (0..8).map(|seed| noise(40, seed)).collect();
        let alone = quantise_weights(&model).unwrap();
        let alone = Recognizer::from_bytes(alone.bytes).unwrap();
        let quantised = quantise(&model, &clips).unwrap();
        let (old, new) = (model.len(), quantised.bytes.len());
        assert!(new * 2 < old, "{operator}: {old} to {new} bytes");
        assert_eq!(quantised.note.layers, 1, "{operator}");
        let original = Recognizer::from_bytes(model).unwrap();
        let native = Recognizer::from_bytes(quantised.bytes.clone()).unwrap();
        assert_eq!(native.engine(), Engine::Native);
        let options = RecognizerOptions::default().with_engine(Engine::Rten);
        let rten = Recognizer::from_bytes_with(quantised.bytes.clone(), &options).unwrap();
        let temperature = native.metadata().temperature;
        let mut rows = Vec::new();
        for clip in (20..26).map(|seed| noise(60, seed)) {
            let [want, got, other] =
                [&original, &native, &rten].map(|one| one.scores_from_features(&clip).unwrap());
            assert_ne!(want, got, "{operator}: nothing was rounded");
            // Nothing else is, in this graph.
            assert_eq!(got, alone.scores_from_features(&clip).unwrap());
            for ((want, got), other) in want.iter().zip(&got).zip(&other) {
                assert!((want - got).abs() < 2e-2, "{operator}: {want} {got}");
                assert!((got - other).abs() < 1e-5, "{operator}: {got} {other}");
            }
            rows.push(row(&clip, &got, temperature));
        }
        agree_with_onnxruntime(&quantised.bytes, &rows, QUANTISED_TOLERANCE);
    }
}

/// The network sees half a minute at most, so that the mean over a longer clip is none that it computes.
#[test]
fn long_recordings_are_observed_in_the_windows_they_are_recognised_in() {
    let mut graph = Graph::new(3);
    let x = mean_over_time(&mut graph);
    let bias = graph.weights(&[N_MELS]);
    let x = layer(&mut graph, &x, &bias);
    graph.head(&x, N_MELS);
    let model = with_metadata(&graph.bytes());
    // Quiet and loud by turns: the mean over both windows is within that of either.
    let [low, high] = [-4.0, 2.0].map(|value| vec![value; 1_800 * N_MELS]);
    let matrix = |values: Vec<f32>| FeatureMatrix::new(values, N_MELS).expect("whole frames");
    let long = matrix([low.clone(), high.clone()].concat());
    let quantised = quantise(&model, &[long]).unwrap();
    let recognizers = [&model, &quantised.bytes]
        .map(|bytes| Recognizer::from_bytes(bytes.clone()).expect("it loads"));
    for part in [low, high].map(matrix) {
        let [wanted, found] = recognizers
            .each_ref()
            .map(|one| one.scores_from_features(&part).expect("scores"));
        for (a, b) in wanted.iter().zip(&found) {
            assert!((a - b).abs() < 5e-3, "{wanted:?} {found:?}");
        }
    }
}

/// It compiled what recognition refuses, and what it could not compile it called a choice of the engine.
#[test]
fn a_graph_of_another_engine_is_refused_with_a_hint_about_the_model() {
    let build = |opset: i64, rounded: bool| {
        let mut graph = Graph::new(4);
        graph.opset = opset;
        let mut x = mean_over_time(&mut graph);
        let bias = graph.weights(&[N_MELS]);
        x = layer(&mut graph, &x, &bias);
        if rounded {
            x = graph.node("Floor", &[&x], &[]);
        }
        graph.head(&x, N_MELS);
        with_metadata(&graph.bytes())
    };
    for (model, reason) in [(build(23, false), "version 23"), (build(17, true), "Floor")] {
        let error = quantise(&model, &[noise(40, 1)]).err().unwrap();
        assert!(
            matches!(error, ModelError::NotQuantisable { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.hint().contains("engine"), "{}", error.hint());
    }
    assert!(quantise(&build(17, false), &[noise(40, 1)]).is_ok());
}

/// A clip and its scores as `onnxruntime_quantised.py` reads them.
fn row(clip: &FeatureMatrix, scores: &[f32], temperature: f32) -> String {
    let (features, n_mels) = (clip.as_slice(), clip.n_features());
    format!(
        "{{\"features\":{features:?},\"n_mels\":{n_mels},\"scores\":{scores:?},\"temperature\":{temperature}}}"
    )
}

/// Runs `onnxruntime_quantised.py` with the interpreter of `VOCALICS_PYTHON`.
#[expect(clippy::print_stdout, reason = "a skipped check says so")]
fn agree_with_onnxruntime(model: &[u8], rows: &[String], tolerance: f32) {
    let Some(python) = std::env::var_os("VOCALICS_PYTHON") else {
        println!("skipped: onnxruntime (set VOCALICS_PYTHON to a Python that has it)");
        return;
    };
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, model).expect("written");
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnxruntime_quantised.py"))
        .arg(path)
        .arg(tolerance.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(rows.join("\n").as_bytes())
        .expect("rows are read");
    drop(stdin);
    assert!(
        child.wait().expect("python ends").success(),
        "onnxruntime disagrees"
    );
}
