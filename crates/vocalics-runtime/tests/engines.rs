//! Both engines give the same logits, for the models that are shipped and for networks made here of
//! every operator that the native engine knows.

mod common;
#[path = "common/graph.rs"]
mod graph;

use std::path::PathBuf;

use graph::{Graph, N_MELS, Numbers, Set, with_metadata};
use vocalics_audio::{DecodeOptions, read_file};
use vocalics_runtime::{Engine, ModelError, Recognizer, RecognizerOptions, dequantise};

const TOLERANCE: f32 = 1e-5;

fn load(bytes: &[u8], engine: Engine, threads: usize) -> Result<Recognizer, ModelError> {
    let options = RecognizerOptions::default()
        .with_threads(threads)
        .with_engine(engine);
    Recognizer::from_bytes_with(bytes.to_vec(), &options)
}

/// Runs both on random features; `least` frames are what the network needs.
fn agree(name: &str, bytes: &[u8], least: usize) {
    let native = load(bytes, Engine::Native, 1).unwrap_or_else(|error| panic!("{name}: {error}"));
    let shared = load(bytes, Engine::Native, 3).expect("threads change nothing");
    let rten = load(bytes, Engine::Rten, 1).expect("rten runs it");
    let n_mels = native.metadata().n_features();
    assert_eq!(
        (native.engine(), rten.engine()),
        (Engine::Native, Engine::Rten)
    );
    // rten counts weights in eight bits once more, as the numbers that they stand for.
    let single = dequantise(bytes).expect("its weights") == bytes;
    assert!(
        !single || native.parameters() == rten.parameters(),
        "{name}"
    );
    let mut numbers = Numbers::new(name.len() as u64);
    for n_frames in [1, 2, 3, 8, 31, 64, 101, 350, 7] {
        if n_frames < least {
            continue;
        }
        for batch in [1, 4] {
            let mut features = numbers.take(batch * n_frames * n_mels, 4.0);
            features.iter_mut().for_each(|x| *x -= 6.0);
            let want = rten.batch_logits(&features, n_frames).expect("rten runs");
            let got = native
                .batch_logits(&features, n_frames)
                .expect("native runs");
            let again = shared
                .batch_logits(&features, n_frames)
                .expect("native runs");
            assert_eq!(got, again, "{name}: three threads, {batch} x {n_frames}");
            for (got, want) in got.iter().flatten().zip(want.iter().flatten()) {
                let tolerance = TOLERANCE * want.abs().max(1.0);
                assert!(
                    (got - want).abs() <= tolerance,
                    "{name}, {batch} x {n_frames}: {got}, rten {want}"
                );
            }
        }
    }
}

#[test]
fn shipped_models() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "onnx")
        {
            agree(
                &path.display().to_string(),
                &std::fs::read(&path).unwrap(),
                1,
            );
            found += 1;
        }
    }
    assert!(found > 0, "there is at least the default model");
}

#[test]
fn the_golden_model() {
    agree("golden", &common::model(), 1);
}

#[test]
fn shipped_models_run_natively_unless_told_otherwise() {
    assert_eq!(Recognizer::embedded().unwrap().engine(), Engine::Native);
}

fn check(name: &str, least: usize, build: impl Fn(&mut Graph)) {
    let mut graph = Graph::new(name.len() as u64);
    build(&mut graph);
    agree(name, &with_metadata(&graph.bytes()), least);
}

/// Mean over everything but batch and channels, then the last layer.
fn finish(graph: &mut Graph, x: &str, channels: usize) {
    let x = graph.node("GlobalAveragePool", &[x], &[]);
    let x = graph.node("Flatten", &[&x], &[]);
    graph.head(&x, channels);
}

#[test]
fn convolutions_in_two_dimensions() {
    check("strides, dilations, padding, groups", 1, |g| {
        let x = g.image();
        let x = g.conv(
            &x,
            &[7, 1, 3, 5],
            &[
                Set::Ints("strides", &[2, 3]),
                Set::Ints("pads", &[1, 4, 0, 2]),
                Set::Ints("dilations", &[2, 1]),
            ],
        );
        let x = g.node("LeakyRelu", &[&x], &[Set::Float("alpha", 0.2)]);
        let x = g.conv(&x, &[14, 7, 2, 2], &[Set::Ints("pads", &[1, 1, 1, 1])]);
        let x = g.node("Sigmoid", &[&x], &[]);
        let x = g.conv(
            &x,
            &[8, 7, 3, 3],
            &[
                Set::Ints("pads", &[2, 2, 2, 2]),
                Set::Ints("dilations", &[1, 2]),
                Set::Int("group", 2),
            ],
        );
        let y = g.conv(
            &x,
            &[8, 1, 5, 3],
            &[Set::Ints("pads", &[2, 1, 2, 1]), Set::Int("group", 8)],
        );
        let y = g.node("Add", &[&y, &x], &[]);
        let y = g.node("Tanh", &[&y], &[]);
        finish(g, &y, 8);
    });
}

#[test]
fn residual_blocks_with_gates() {
    check("residual", 1, |g| {
        let x = g.image();
        let x = g.conv(&x, &[12, 1, 3, 3], &[Set::Ints("pads", &[1, 1, 1, 1])]);
        let x = g.node("Relu", &[&x], &[]);
        let y = g.conv(&x, &[12, 12, 3, 3], &[Set::Ints("pads", &[1, 1, 1, 1])]);
        // The shortcut before, then after, then on the other side of the sum.
        let y = g.node("Add", &[&x, &y], &[]);
        let y = g.node("Relu", &[&y], &[]);
        let z = g.conv(&y, &[12, 12, 3, 3], &[Set::Ints("pads", &[1, 1, 1, 1])]);
        let s = g.conv(&y, &[12, 12, 1, 1], &[]);
        let gate = g.node("GlobalAveragePool", &[&z], &[]);
        let gate = g.conv(&gate, &[3, 12, 1, 1], &[]);
        let gate = g.node("Relu", &[&gate], &[]);
        let gate = g.conv(&gate, &[12, 3, 1, 1], &[]);
        let gate = g.node("Sigmoid", &[&gate], &[]);
        let z = g.node("Mul", &[&z, &gate], &[]);
        let z = g.node("Add", &[&z, &s], &[]);
        let z = g.node("Relu", &[&z], &[]);
        let z = g.node("Add", &[&z, &z], &[]);
        finish(g, &z, 12);
    });
}

#[test]
fn convolutions_in_one_dimension() {
    check("temporal", 1, |g| {
        let mut x = g.sequence();
        let mut width = N_MELS;
        for dilation in [1, 2, 4] {
            let y = g.conv(
                &x,
                &[width, 1, 3],
                &[
                    Set::Ints("pads", &[dilation, dilation]),
                    Set::Ints("dilations", &[dilation]),
                    Set::Int("group", width as i64),
                ],
            );
            let y = g.node("HardSwish", &[&y], &[]);
            x = g.conv(&y, &[17, width, 1], &[]);
            x = g.node("Elu", &[&x], &[]);
            width = 17;
        }
        let x = g.conv(
            &x,
            &[9, 17, 5],
            &[Set::Ints("strides", &[2]), Set::Ints("pads", &[4, 0])],
        );
        finish(g, &x, 9);
    });
}

#[test]
fn pooling() {
    check("pools", 8, |g| {
        let x = g.image();
        let x = g.conv(&x, &[5, 1, 3, 3], &[]);
        let x = g.node(
            "MaxPool",
            &[&x],
            &[
                Set::Ints("kernel_shape", &[3, 2]),
                Set::Ints("strides", &[2, 1]),
                Set::Ints("pads", &[1, 1, 1, 0]),
            ],
        );
        let x = g.node(
            "AveragePool",
            &[&x],
            &[
                Set::Ints("kernel_shape", &[2, 3]),
                Set::Ints("strides", &[1, 2]),
                Set::Ints("pads", &[1, 1, 0, 1]),
            ],
        );
        finish(g, &x, 5);
    });
    check("pools of one axis", 8, |g| {
        let x = g.sequence();
        let x = g.conv(&x, &[6, N_MELS, 3], &[]);
        let x = g.node(
            "AveragePool",
            &[&x],
            &[
                Set::Ints("kernel_shape", &[3]),
                Set::Ints("strides", &[2]),
                Set::Ints("pads", &[1, 1]),
                Set::Int("count_include_pad", 1),
            ],
        );
        let x = g.node(
            "ReduceMax",
            &[&x],
            &[Set::Ints("axes", &[2]), Set::Int("keepdims", 0)],
        );
        g.head(&x, 6);
    });
}

#[test]
fn attentive_pooling() {
    check("attention over time", 1, |g| {
        let x = g.sequence();
        let e = g.conv(&x, &[10, N_MELS, 1], &[]);
        let e = g.node("Tanh", &[&e], &[]);
        let e = g.conv(&e, &[N_MELS, 10, 1], &[]);
        let w = g.node("Softmax", &[&e], &[Set::Int("axis", 2)]);
        let weighted = g.node("Mul", &[&x, &w], &[]);
        let square = g.node("Mul", &[&weighted, &x], &[]);
        let axes = g.integers(&[2]);
        let mean = g.node("ReduceSum", &[&weighted, &axes], &[Set::Int("keepdims", 0)]);
        let second = g.node("ReduceSum", &[&square, &axes], &[Set::Int("keepdims", 0)]);
        let squared = g.node("Mul", &[&mean, &mean], &[]);
        let variance = g.node("Sub", &[&second, &squared], &[]);
        let variance = g.node("Relu", &[&variance], &[]);
        let epsilon = g.floats(&[1], vec![1e-3]);
        let variance = g.node("Add", &[&variance, &epsilon], &[]);
        let deviation = g.node("Sqrt", &[&variance], &[]);
        let x = g.node("Concat", &[&mean, &deviation], &[Set::Int("axis", 1)]);
        g.head(&x, 2 * N_MELS);
    });
}

/// rten has no `linear_before_reset=0`; a test of the kernel stands for it.
#[test]
fn recurrent_layers() {
    for (operator, gates, before, direction) in [
        ("LSTM", 4, 0, "forward"),
        ("LSTM", 4, 0, "bidirectional"),
        ("LSTM", 4, 0, "reverse"),
        ("GRU", 3, 1, "bidirectional"),
        ("GRU", 3, 1, "forward"),
    ] {
        check(&format!("{operator} {before} {direction}"), 1, |g| {
            let (hidden, directions) = (11, if direction == "bidirectional" { 2 } else { 1 });
            let x = g.sequence();
            let x = g.node("Transpose", &[&x], &[Set::Ints("perm", &[2, 0, 1])]);
            let w = g.weights(&[directions, gates * hidden, N_MELS]);
            let r = g.weights(&[directions, gates * hidden, hidden]);
            let b = g.weights(&[directions, 2 * gates * hidden]);
            let mut set = vec![
                Set::Int("hidden_size", hidden as i64),
                Set::Text("direction", direction),
            ];
            if before == 1 {
                set.push(Set::Int("linear_before_reset", 1));
            }
            let y = g.node(operator, &[&x, &w, &r, &b], &set);
            let y = g.node("Transpose", &[&y], &[Set::Ints("perm", &[0, 2, 1, 3])]);
            let shape = g.integers(&[0, 0, -1]);
            let y = g.node("Reshape", &[&y, &shape], &[]); // [n_frames, batch, width]
            let mean = g.node(
                "ReduceMean",
                &[&y],
                &[Set::Ints("axes", &[0]), Set::Int("keepdims", 0)],
            );
            let last = g.integers(&[-1]);
            let last = g.node("Gather", &[&y, &last], &[Set::Int("axis", 0)]);
            let axes = g.integers(&[0]);
            let last = g.node("Squeeze", &[&last, &axes], &[]);
            let x = g.node("Concat", &[&mean, &last], &[Set::Int("axis", -1)]);
            g.head(&x, 2 * directions * hidden);
        });
    }
}

#[test]
fn self_attention() {
    check("transformer block", 1, |g| {
        let x = g.sequence();
        let x = g.node("Transpose", &[&x], &[Set::Ints("perm", &[0, 2, 1])]);
        let [q, k, v] = [0; 3].map(|_| {
            let w = g.weights(&[N_MELS, 24]);
            let x = g.node("MatMul", &[&x, &w], &[]);
            let shape = g.integers(&[0, 0, 3, 8]);
            let x = g.node("Reshape", &[&x, &shape], &[]);
            g.node("Transpose", &[&x], &[Set::Ints("perm", &[0, 2, 1, 3])])
        });
        let k = g.node("Transpose", &[&k], &[Set::Ints("perm", &[0, 1, 3, 2])]);
        let a = g.node("MatMul", &[&q, &k], &[]);
        let root = g.floats(&[], vec![8.0f32.sqrt()]);
        let a = g.node("Div", &[&a, &root], &[]);
        let a = g.node("Softmax", &[&a], &[Set::Int("axis", -1)]);
        let y = g.node("MatMul", &[&a, &v], &[]);
        let y = g.node("Transpose", &[&y], &[Set::Ints("perm", &[0, 2, 1, 3])]);
        let shape = g.integers(&[0, 0, 24]);
        let y = g.node("Reshape", &[&y, &shape], &[]);
        let (scale, bias) = (g.weights(&[24]), g.weights(&[24]));
        let y = g.node(
            "LayerNormalization",
            &[&y, &scale, &bias],
            &[Set::Int("axis", -1)],
        );
        let y = g.node("Erf", &[&y], &[]);
        let y = g.node("Softplus", &[&y], &[]);
        let y = g.node(
            "ReduceMean",
            &[&y],
            &[Set::Ints("axes", &[1]), Set::Int("keepdims", 0)],
        );
        g.head(&y, 24);
    });
}

#[test]
fn parts_padding_and_joining() {
    check("moving", 3, |g| {
        let x = g.sequence();
        let [starts, ends, axes, steps] =
            [&[1_i64, 0][..], &[-1, 40], &[2, 1], &[1, 3]].map(|list| g.integers(list));
        let a = g.node("Slice", &[&x, &starts, &ends, &axes, &steps], &[]); // [b, 14, f - 2]
        let pads = g.integers(&[0, 0, 1, 0, 2, 1]);
        let value = g.floats(&[], vec![0.5]);
        let a = g.node("Pad", &[&a, &pads, &value], &[]); // [b, 16, f]
        let a = g.node("Concat", &[&a, &x, &a], &[Set::Int("axis", 1)]); // [b, 96, f]
        let names = ["s0", "s1", "s2"];
        let sizes = g.integers(&[32, 40, 24]);
        g.node_to("Split", &[&a, &sizes], &names, &[Set::Int("axis", 1)]);
        let joined = g.node("Concat", &["s1", "s1"], &[Set::Int("axis", 2)]); // [b, 40, 2f]
        let low = g.node(
            "ReduceMin",
            &[&joined],
            &[Set::Ints("axes", &[2]), Set::Int("keepdims", 0)],
        );
        let norm = g.node(
            "ReduceL2",
            &["s0"],
            &[Set::Ints("axes", &[2]), Set::Int("keepdims", 0)],
        );
        let squares = g.node(
            "ReduceSumSquare",
            &["s2"],
            &[Set::Ints("axes", &[-1]), Set::Int("keepdims", 1)],
        );
        let axes = g.integers(&[2]);
        let squares = g.node("Squeeze", &[&squares, &axes], &[]);
        // The last two frames, then the second of all: counted from either end of a length that varies.
        let [start, end, axis] = [-2, i64::MAX, 2].map(|n| g.integers(&[n]));
        let last = g.node("Slice", &[&x, &start, &end, &axis], &[]); // [b, 64, 2]
        let shape = g.integers(&[0, -1]);
        let last = g.node("Reshape", &[&last, &shape], &[]);
        let one = g.integers(&[1]);
        let early = g.node("Gather", &[&x, &one], &[Set::Int("axis", 2)]);
        let early = g.node("Squeeze", &[&early, &axes], &[]);
        let parts = [&low, &norm, &squares, &last, &early].map(String::as_str);
        let all = g.node("Concat", &parts, &[Set::Int("axis", 1)]);
        g.head(&all, 96 + 3 * N_MELS);
    });
}

#[test]
fn numbers() {
    check("functions and operations", 1, |g| {
        let x = g.sequence();
        let scale = g.weights(&[N_MELS]);
        let bias = g.weights(&[N_MELS]);
        let mean = g.weights(&[N_MELS]);
        let variance = g.floats(&[N_MELS], vec![0.7; N_MELS]);
        let x = g.node(
            "BatchNormalization",
            &[&x, &scale, &bias, &mean, &variance],
            &[],
        );
        let a = g.node("Abs", &[&x], &[]);
        let small = g.floats(&[], vec![0.1]);
        let a = g.node("Add", &[&a, &small], &[]);
        let log = g.node("Log", &[&a], &[]);
        let inverse = g.node("Reciprocal", &[&a], &[]);
        let power = g.floats(&[1], vec![1.5]);
        let power = g.node("Pow", &[&a, &power], &[]);
        let (low, high) = (g.floats(&[], vec![-0.5]), g.floats(&[], vec![2.0]));
        let log = g.node("Clip", &[&log, &low, &high], &[]);
        let most = g.node("Max", &[&log, &inverse], &[]);
        let least = g.node("Min", &[&most, &power, &a], &[]);
        let e = g.node("Neg", &[&least], &[]);
        let e = g.node("Exp", &[&e], &[]);
        let slope = g.weights(&[N_MELS, 1]);
        let e = g.node("Sub", &[&e, &small], &[]);
        let e = g.node("PRelu", &[&e, &slope], &[]);
        let e = g.node("HardSigmoid", &[&e], &[]);
        let e = g.node("Gelu", &[&e], &[]);
        let held = g.constant(&[N_MELS, 1], &[0.25; N_MELS]);
        let e = g.node("Sum", &[&e, &held, &x], &[]);
        let s = g.node("LogSoftmax", &[&e], &[Set::Int("axis", 1)]);
        let s = g.node("Identity", &[&s], &[]);
        finish(g, &s, N_MELS);
    });
}

/// Operators that nobody here writes go to rten, and asking for the native engine says why.
#[test]
fn what_is_not_known_runs_on_rten() {
    let mut graph = Graph::new(1);
    let x = graph.sequence();
    let x = graph.node(
        "ReduceMean",
        &[&x],
        &[Set::Ints("axes", &[2]), Set::Int("keepdims", 0)],
    );
    let floor = graph.node("Floor", &[&x], &[]);
    let x = graph.node("Sub", &[&x, &floor], &[]);
    graph.head(&x, N_MELS);
    let bytes = with_metadata(&graph.bytes());
    assert_eq!(
        Recognizer::from_bytes(bytes.clone()).unwrap().engine(),
        Engine::Rten
    );
    let error = load(&bytes, Engine::Native, 1).unwrap_err();
    assert!(matches!(error, ModelError::NotNative { .. }), "{error}");
    assert!(error.to_string().contains("Floor"), "{error}");
    assert_eq!(error.code(), "model_engine");
}

/// Why the native engine does not take a graph; loading it without that wish must not panic either.
fn refused(graph: Graph) -> String {
    let bytes = graph.bytes();
    let metadata = common::metadata();
    let _ = Recognizer::rescored(&bytes, &metadata, &RecognizerOptions::default());
    let options = RecognizerOptions::default().with_engine(Engine::Native);
    match Recognizer::rescored(&bytes, &metadata, &options) {
        Err(ModelError::NotNative { reason }) => reason,
        other => panic!("{other:?}"),
    }
}

/// An axis of nothing once reached the kernels, which trust their caller with shapes.
#[test]
fn axes_of_length_zero_are_refused_when_compiling() {
    type Build = fn(&mut Graph, &str) -> String;
    let cases: [(&str, Build); 3] = [
        ("a part of a split", |g, x| {
            let sizes = g.integers(&[0, 64]);
            g.node_to(
                "Split",
                &[x, &sizes],
                &["none", "all"],
                &[Set::Int("axis", 1)],
            );
            g.node("Concat", &["none", "all"], &[Set::Int("axis", 1)])
        }),
        ("a slice", |g, x| {
            let [start, end, axis] = [3, 3, 1].map(|n| g.integers(&[n]));
            let none = g.node("Slice", &[x, &start, &end, &axis], &[]);
            let none = g.node("Relu", &[&none], &[]);
            g.node("Concat", &[&none, x], &[Set::Int("axis", 1)])
        }),
        ("a weight", |g, x| {
            let turned = g.node("Transpose", &[x], &[Set::Ints("perm", &[0, 2, 1])]);
            let none = g.floats(&[N_MELS, 0], Vec::new());
            let none = g.node("MatMul", &[&turned, &none], &[]);
            let none = g.node("Transpose", &[&none], &[Set::Ints("perm", &[0, 2, 1])]);
            g.node("Concat", &[&none, x], &[Set::Int("axis", 1)])
        }),
    ];
    for (what, build) in cases {
        let mut graph = Graph::new(4);
        let x = graph.sequence();
        let x = build(&mut graph, &x);
        finish(&mut graph, &x, N_MELS);
        let reason = refused(graph);
        assert!(reason.contains("length 0"), "{what}: {reason}");
    }
}

/// The largest index once overflowed, and one far below zero counted as the first.
#[test]
fn an_index_outside_its_axis_is_refused() {
    for index in [64, i64::MAX, -65, -100, i64::MIN] {
        let mut graph = Graph::new(5);
        let x = graph.sequence();
        let index = graph.integers(&[index]);
        let x = graph.node("Gather", &[&x, &index], &[Set::Int("axis", 1)]);
        finish(&mut graph, &x, 1);
        let reason = refused(graph);
        assert!(reason.contains("of 64"), "{reason}");
    }
}

/// It was called "no constant", of a name that the graph computes.
#[test]
fn a_weight_that_is_computed_is_called_that() {
    let mut graph = Graph::new(6);
    let x = graph.sequence();
    let x = graph.node("GlobalAveragePool", &[&x], &[]);
    let x = graph.node("Flatten", &[&x], &[]);
    let weights = graph.weights(&[N_MELS, 8]);
    let weights = graph.node("Neg", &[&weights], &[]);
    graph.node_to("Gemm", &[&x, &weights], &["logits"], &[]);
    let reason = refused(graph);
    assert!(reason.contains("is computed"), "{reason}");
}

/// Too few frames for a kernel without padding: an error at the call, and the next call works.
#[test]
fn too_few_frames_are_an_error() {
    let mut graph = Graph::new(2);
    let x = graph.sequence();
    let x = graph.conv(&x, &[4, N_MELS, 9], &[]);
    finish(&mut graph, &x, 4);
    let recognizer = load(&with_metadata(&graph.bytes()), Engine::Native, 1).unwrap();
    for n_frames in [8, 9, 8, 20] {
        let result = recognizer.batch_logits(&vec![0.1; n_frames * N_MELS], n_frames);
        assert_eq!(
            result.is_ok(),
            n_frames >= 9,
            "{n_frames} frames: {result:?}"
        );
    }
}

/// Recordings: the synthetic clips of the repository, and every 60th of RAVDESS where it is at hand.
#[test]
fn recordings_give_the_same_scores() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut clips: Vec<PathBuf> = recordings(&root.join("examples/audio"));
    assert!(!clips.is_empty());
    let named = std::env::var_os("VOCALICS_DATA").map(PathBuf::from);
    let corpus = named
        .unwrap_or_else(|| root.join("../shared/data"))
        .join("ravdess-speech");
    let recorded: Vec<PathBuf> = recordings(&corpus).into_iter().step_by(60).collect();
    if recorded.is_empty() {
        println!("skipped: recordings of RAVDESS (set VOCALICS_DATA)");
    }
    clips.extend(recorded);
    let options = RecognizerOptions::default();
    let native = Recognizer::embedded_with(&options.clone().with_engine(Engine::Native)).unwrap();
    let rten = Recognizer::embedded_with(&options.with_engine(Engine::Rten)).unwrap();
    let decode = DecodeOptions {
        sample_rate: Some(native.sample_rate()),
        ..DecodeOptions::default()
    };
    for clip in clips {
        let waveform = read_file(&clip, &decode).unwrap();
        let [one, other] = [&native, &rten].map(|one| {
            one.recognize(waveform.samples(), waveform.sample_rate())
                .unwrap()
        });
        assert_eq!(one.label, other.label, "{}", clip.display());
        for (a, b) in one.logits.iter().zip(&other.logits) {
            assert!(
                (a - b).abs() <= TOLERANCE * b.abs().max(1.0),
                "{}: {a} {b}",
                clip.display()
            );
        }
    }
}

/// All recordings under a folder, in order; none where it does not exist.
fn recordings(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(recordings(&path));
        } else if path.extension().is_some_and(|e| e == "wav" || e == "flac") {
            found.push(path);
        }
    }
    found.sort();
    found
}
