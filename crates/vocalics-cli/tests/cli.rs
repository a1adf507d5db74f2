//! The command as a user runs it: output, messages, exit codes.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

#[path = "../../vocalics-runtime/tests/common/mod.rs"]
mod common;
mod running;
#[path = "../../vocalics-runtime/tests/common/encoder.rs"]
mod tiny;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use running::{Run, command, voice};
use serde_json::Value;
use vocalics_audio::write_wav16;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn clips() -> Vec<PathBuf> {
    let folder = workspace().join("examples/audio");
    ["even", "flat-slow", "lively-high", "loud-fast"]
        .map(|name| folder.join(name).with_extension("wav"))
        .to_vec()
}

/// A folder to work in that holds the golden model, trained on `ravdess-01` by its own account.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("model.onnx"), common::model()).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), arguments)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(
            self.command(arguments)
                .stdin(Stdio::null())
                .output()
                .unwrap(),
        )
    }

    fn predict(&self, arguments: &[&str]) -> Run {
        self.run(&[&["predict", "--model", "model.onnx"], arguments].concat())
    }

    fn feed(&self, arguments: &[&str], input: &[u8]) -> Run {
        let mut child = self
            .command(&[&["predict", "--model", "model.onnx"], arguments].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Run::of(child.wait_with_output().unwrap())
    }

    /// RAVDESS-named clips of actors 1 to `actors`: two emotions, two takes each.
    fn corpus(&self, actors: u32) -> PathBuf {
        let root = self.path("speech");
        for actor in 1..=actors {
            let folder = root.join(format!("Actor_{actor:02}"));
            fs::create_dir_all(&folder).unwrap();
            for (emotion, pitch) in [("01", 130.0), ("05", 230.0)] {
                for take in ["01", "02"] {
                    let name = format!("03-01-{emotion}-01-01-{take}-{actor:02}.wav");
                    let pitch = pitch + 3.0 * f64::from(actor) + f64::from(take == "02");
                    write_wav16(&folder.join(name), &voice(pitch, 4.0, 0.6), 16_000).unwrap();
                }
            }
        }
        root
    }
}

impl Run {
    fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[track_caller]
fn check_row(row: &Value, file: &str) {
    assert_eq!(row["file"], file);
    let scores = row["scores"].as_object().unwrap();
    assert_eq!(scores.len(), common::LABELS.len());
    let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{row}");
    let best = scores
        .values()
        .filter_map(Value::as_f64)
        .fold(0.0, f64::max);
    let label = row["label"].as_str().unwrap();
    assert!(
        (scores[label].as_f64().unwrap() - best).abs() < 1e-12,
        "{row}"
    );
    assert!(row["duration_secs"].as_f64().unwrap() > 1.0);
    for key in [
        "snr_db",
        "bandwidth_hz",
        "speech_ratio",
        "clipped",
        "silent",
    ] {
        assert!(row["quality"].get(key).is_some(), "{row}");
    }
}

#[test]
fn jsonl_has_one_object_per_file_in_order() {
    let bench = Bench::new();
    let files: Vec<String> = clips()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let arguments: Vec<&str> = files.iter().map(String::as_str).collect();
    let run = bench
        .predict(&[&["--format", "jsonl"], arguments.as_slice()].concat())
        .exits(0);
    assert_eq!(run.err, "");
    let rows = run.lines();
    assert_eq!(rows.len(), files.len());
    for (row, file) in rows.iter().zip(&files) {
        check_row(row, file);
    }
    // Scores in the order of the labels, as written.
    let places: Vec<usize> = common::LABELS
        .iter()
        .map(|label| run.out.find(&format!("\"{label}\":")).unwrap())
        .collect();
    assert!(places.is_sorted(), "{}", run.out);
    // One by one gives the same.
    for (row, file) in rows.iter().zip(&files) {
        let alone = bench.predict(&["--format", "jsonl", file]).exits(0).lines();
        assert_eq!(alone[0], *row);
    }
}

#[test]
fn json_is_an_array_of_the_same_objects() {
    let bench = Bench::new();
    let file = clips()[0].display().to_string();
    let run = bench
        .predict(&["--format", "json", &file, "nothing.wav"])
        .exits(1);
    let rows: Vec<Value> = serde_json::from_str(&run.out).unwrap();
    check_row(&rows[0], &file);
    assert_eq!(rows[1]["error"]["code"], "not_found");
}

#[test]
fn csv_has_one_row_per_file_and_a_head() {
    let bench = Bench::new();
    let file = clips()[0].display().to_string();
    let run = bench
        .predict(&["--format", "csv", &file, "nothing.wav"])
        .exits(1);
    let mut reader = csv::Reader::from_reader(run.out.as_bytes());
    let head = reader.headers().unwrap().clone();
    assert_eq!(&head[3], "score_neutral");
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2);
    let sum: f64 = (3..11).map(|i| rows[0][i].parse::<f64>().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4);
    let error = head.iter().position(|name| name == "error_code").unwrap();
    assert_eq!(&rows[0][error], "");
    assert_eq!(&rows[1][error], "not_found");
    assert_eq!(&rows[1][2], "");
}

#[test]
fn table_shows_bars_and_says_sounds() {
    let bench = Bench::new();
    let file = clips()[0].display().to_string();
    let run = bench.predict(&[&file]).exits(0);
    assert!(
        run.out.contains("sounds ") && run.out.contains('█'),
        "{}",
        run.out
    );
    for label in common::LABELS {
        assert!(run.out.contains(label), "{}", run.out);
    }
    let folder = workspace().join("examples/audio").display().to_string();
    let run = bench.predict(&[&folder]).exits(0);
    assert_eq!(run.out.lines().count(), 1 + clips().len(), "{}", run.out);
}

/// Scores of one recording in the JSON lines output.
fn scores_of(row: &Value) -> Vec<f64> {
    let scores = row["scores"].as_object().unwrap();
    scores
        .values()
        .map(|score| score.as_f64().unwrap())
        .collect()
}

#[test]
fn scores_adapt_to_the_speakers_own_recordings() {
    let bench = Bench::new();
    for (name, pitch) in [("a", 110.0), ("b", 180.0), ("c", 260.0)] {
        write_wav16(
            &bench.path(&format!("{name}.wav")),
            &voice(pitch, 4.0, 2.0),
            16_000,
        )
        .unwrap();
    }
    fs::create_dir(bench.path("own")).unwrap();
    fs::copy(bench.path("b.wav"), bench.path("own/b.wav")).unwrap();
    fs::copy(bench.path("c.wav"), bench.path("own/c.wav")).unwrap();
    let all = ["a.wav", "b.wav", "c.wav", "-f", "jsonl"];
    let plain = bench.predict(&all).exits(0).lines();
    assert!(plain[0].get("speaker_audio_secs").is_none());

    let adapted = bench
        .predict(&["a.wav", "-f", "jsonl", "--speaker-audio", "own"])
        .exits(0);
    let row = adapted.lines().remove(0);
    adapted.says(&["scores adapt to"]);
    let secs = row["speaker_audio_secs"].as_f64().unwrap();
    assert!(secs > 2.0 && secs < 4.2, "{secs}");
    assert_ne!(scores_of(&row), scores_of(&plain[0]));
    assert!((scores_of(&row).iter().sum::<f64>() - 1.0).abs() < 1e-5);

    // Of one speaker, the first has nothing to adapt to, and the last has both before it.
    let one = bench
        .predict(&[&all[..], &["--one-speaker"]].concat())
        .exits(0)
        .lines();
    assert_eq!(scores_of(&one[0]), scores_of(&plain[0]));
    assert_eq!(one[0]["speaker_audio_secs"], 0.0);
    let secs: Vec<f64> = one
        .iter()
        .map(|row| row["speaker_audio_secs"].as_f64().unwrap())
        .collect();
    assert!(secs[0] < secs[1] && secs[1] < secs[2], "{secs:?}");
    for (row, plain) in one.iter().zip(&plain).skip(1) {
        assert_ne!(scores_of(row), scores_of(plain));
    }

    let csv = bench
        .predict(&["a.wav", "-f", "csv", "--one-speaker"])
        .exits(0)
        .out;
    let cells = |line: &str| line.split(',').count();
    let mut lines = csv.lines();
    let head = lines.next().unwrap();
    assert!(head.ends_with(",speaker_audio_secs"), "{head}");
    assert_eq!(cells(lines.next().unwrap()), cells(head));

    write_wav16(&bench.path("silent.wav"), &[0.0; 16_000], 16_000).unwrap();
    bench
        .predict(&["a.wav", "--speaker-audio", "silent.wav"])
        .exits(1)
        .says(&["are silent", "hint:"]);
    bench
        .predict(&["a.wav", "--speaker-audio", "none.wav"])
        .exits(1)
        .says(&["--speaker-audio none.wav:", "hint:"]);
}

/// Steady noise got a sure answer: a network whose training heard much noise does not find it strange.
#[test]
fn an_answer_to_what_is_no_speech_is_withheld() {
    let bench = Bench::new();
    let mut state = 1_u32;
    let noise: Vec<f32> = (0..48_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1_u32 << 24) as f32 * 0.4 - 0.2
        })
        .collect();
    write_wav16(&bench.path("noise.wav"), &noise, 16_000).unwrap();
    let row = bench.run(&[
        "predict",
        "--format",
        "jsonl",
        "--abstain",
        "0",
        "noise.wav",
    ]);
    let row: Value = serde_json::from_str(&row.exits(0).out).unwrap();
    assert_eq!(row["label"], "uncertain", "{row}");
    assert!(row["quality"]["speech_ratio"].as_f64().unwrap() < 0.1);
}

#[test]
fn an_answer_below_the_least_score_is_withheld_and_its_scores_are_not() {
    let bench = Bench::new();
    let clip = clips()[0].display().to_string();
    let row = |options: &[&str]| -> Value {
        let arguments = [&["--format", "jsonl", &clip], options].concat();
        serde_json::from_str(&bench.predict(&arguments).exits(0).out).unwrap()
    };
    let (plain, kept) = (row(&[]), row(&["--abstain", "0"]));
    assert_eq!(plain, kept);
    let withheld = row(&["--abstain", "1"]);
    assert_eq!(withheld["label"], "uncertain");
    assert_eq!(withheld["scores"], plain["scores"]);
    let table = bench.predict(&["--abstain", "1", &clip]).exits(0).out;
    let best = plain["label"].as_str().unwrap();
    assert!(
        table.contains(&format!("uncertain: the best score, {best} ")),
        "{table}"
    );
    for bad in ["1.1", "-0.1", "high", "NaN"] {
        let refused = bench
            .predict(&[&format!("--abstain={bad}"), &clip])
            .exits(2);
        assert!(refused.err.contains("from 0 to 1"), "{}", refused.err);
    }
}

#[test]
fn standard_input_gives_what_the_file_gives() {
    let bench = Bench::new();
    let file = &clips()[0];
    let name = file.display().to_string();
    let from_file = bench
        .predict(&["--format", "jsonl", &name])
        .exits(0)
        .lines();
    let fed = bench
        .feed(&["--format", "jsonl", "-"], &fs::read(file).unwrap())
        .exits(0)
        .lines();
    assert_eq!(fed[0]["file"], "-");
    assert_eq!(fed[0]["scores"], from_file[0]["scores"]);

    let bytes = fs::read(file).unwrap();
    let samples = bytes.windows(4).position(|four| four == b"data").unwrap() + 8;
    let raw = ["--format", "jsonl", "--raw-rate", "16000", "-"];
    let fed = bench.feed(&raw, &bytes[samples..]).exits(0).lines();
    assert_eq!(fed[0]["scores"], from_file[0]["scores"]);
    bench.predict(&["-", "-"]).exits(2).says(&["given twice"]);
}

#[test]
fn every_bad_file_has_its_code_and_stops_no_other() {
    let bench = Bench::new();
    let good = fs::read(&clips()[0]).unwrap();
    fs::write(
        bench.path("text.wav"),
        "Dear diary, today nothing was recorded at all.",
    )
    .unwrap();
    fs::write(bench.path("empty.wav"), "").unwrap();
    fs::write(bench.path("cut.wav"), &good[..good.len() / 2]).unwrap();
    write_wav16(&bench.path("short.wav"), &[0.1; 800], 16_000).unwrap();
    write_wav16(&bench.path("silent.wav"), &[0.0; 16_000], 16_000).unwrap();
    fs::write(bench.path("good.wav"), &good).unwrap();
    fs::create_dir(bench.path("folder")).unwrap();
    let files = [
        ("missing.wav", "not_found"),
        ("text.wav", "not_audio"),
        ("empty.wav", "empty"),
        ("cut.wav", "truncated"),
        ("short.wav", "too_short"),
        ("folder", "no_recordings"),
    ];
    let names: Vec<&str> = files
        .iter()
        .map(|(name, _)| *name)
        .chain(["silent.wav", "good.wav"])
        .collect();
    let run = bench
        .predict(&[&["--format", "jsonl"], names.as_slice()].concat())
        .exits(1);
    let rows = run.lines();
    assert_eq!(rows.len(), names.len());
    for (row, (name, code)) in rows.iter().zip(files) {
        assert_eq!(row["file"], name);
        assert_eq!(row["error"]["code"], code, "{row}");
        assert!(!row["error"]["message"].as_str().unwrap().is_empty());
        assert_eq!(row.as_object().unwrap().len(), 2, "{row}");
    }
    assert_eq!(rows[6]["label"], Value::Null);
    assert_eq!(rows[6]["quality"]["silent"], true);
    check_row(&rows[7], "good.wav");

    // For people: what, where, and what to do.
    bench
        .predict(&["text.wav"])
        .exits(1)
        .says(&["error: text.wav: not an audio file\n", "hint: "]);
    let run = bench.predict(&["silent.wav"]).exits(0);
    assert!(run.out.contains("silence"), "{}", run.out);
    bench
        .predict(&["--max-duration", "1", "good.wav"])
        .exits(1)
        .says(&["too long"]);
}

#[test]
fn bad_usage_exits_2() {
    let bench = Bench::new();
    for arguments in [
        &["predict"][..],
        &["predict", "--no-such-flag", "a.wav"],
        &["predict", "--format", "xml", "a.wav"],
        &["predict", "--raw-channels", "2", "a.wav"],
        &["predict", "--max-duration", "-1", "a.wav"],
        &["evaluate", "--protocol", "all"],
        &["evaluate", "--model", "model.onnx", "--config", "c.toml"],
        &["evaluate", "--model", "model.onnx", "--protocol", "all"],
        &["evaluate", "--model", "model.onnx", "--noise", "noises"],
        &["data", "stats", "--corpus", "ravdes=x"],
        &["train", "--map", "calm"],
        &["nonsense"],
    ] {
        let run = bench.run(arguments).exits(2);
        assert!(
            run.err.starts_with("error: ") || run.err.contains("Usage"),
            "{}",
            run.err
        );
        assert_eq!(run.out, "");
    }
}

#[test]
fn a_bad_model_is_named_with_a_hint() {
    let bench = Bench::new();
    let clip = clips()[0].display().to_string();
    fs::write(bench.path("foreign.onnx"), common::graph_bytes()).unwrap();
    bench
        .run(&["predict", "--model", "foreign.onnx", &clip])
        .exits(1)
        .says(&[
            "error: model file foreign.onnx",
            "without vocalics metadata",
            "hint: ",
        ]);
    bench
        .run(&["predict", "--model", "none.onnx", &clip])
        .exits(1)
        .says(&["none.onnx", "hint: check that the path exists"]);
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let bench = Bench::new();
    let clip = clips()[0].display().to_string();
    let many: Vec<&str> = std::iter::repeat_n(clip.as_str(), 200).collect();
    for format in ["jsonl", "csv", "table", "json"] {
        let arguments = [
            &["predict", "--model", "model.onnx", "--format", format],
            &many[..],
        ]
        .concat();
        let mut child = bench
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let run = Run::of(child.wait_with_output().unwrap()).exits(0);
        assert_eq!(run.err, "", "{format}");
    }
}

#[test]
fn a_fixed_model_is_measured_on_a_corpus() {
    let bench = Bench::new();
    let root = bench.corpus(4);
    let corpus = format!("ravdess-speech={}", root.display());
    let evaluate = |more: &[&str]| {
        let base = ["evaluate", "--model", "model.onnx", "--corpus", &corpus];
        bench.run(&[&base[..], more].concat())
    };
    // The model names ravdess-01 as one of its speakers.
    let refused = evaluate(&["--protocol", "all"]).exits(1);
    assert_eq!(refused.out, "");
    refused.says(&[
        "trained on 1 of the speakers",
        "ravdess-01",
        "hint: ",
        "--allow-seen-speakers",
    ]);

    let run = evaluate(&[
        "--protocol",
        "all",
        "--allow-seen-speakers",
        "--format",
        "json",
    ])
    .exits(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["provenance"]["speakers_shared"], true);
    assert_eq!(report["provenance"]["protocol"], "all");
    assert_eq!(report["metrics"]["n"], 16);
    assert_eq!(report["metrics"]["speakers"], 4);

    let run = evaluate(&["--allow-seen-speakers"]).exits(0);
    for line in run
        .out
        .lines()
        .filter(|line| line.contains(" % ") || line.contains("UAR ("))
    {
        assert!(
            line.contains("shared")
                || line.starts_with("fold")
                || line.starts_with("class")
                || line.starts_with("group"),
            "{line}"
        );
    }

    // The test part of a speaker it has not heard.
    let loso = [
        "--protocol",
        "loso",
        "--fold",
        "ravdess-02",
        "--format",
        "json",
        "--run",
        "run",
    ];
    let run = evaluate(&loso).exits(0);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["provenance"]["speakers_shared"], false);
    assert_eq!(report["metrics"]["n"], 4);
    for file in [
        "metrics.json",
        "predictions.csv",
        "report.html",
        "confusion.svg",
    ] {
        assert!(bench.path("run").join(file).is_file(), "{file}");
    }
    fs::remove_file(bench.path("run/report.html")).unwrap();
    bench.run(&["report", "run"]).exits(0);
    assert!(bench.path("run/report.html").is_file());

    evaluate(&["--protocol", "loso", "--fold", "nobody"])
        .exits(2)
        .says(&["nobody", "ravdess-02"]);
    let run = evaluate(&[
        "--map",
        "neutral=flat",
        "--allow-seen-speakers",
        "--format",
        "json",
    ])
    .exits(0);
    assert!(run.err.contains("neutral=flat"), "{}", run.err);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["metrics"]["labels"][0], "flat");
}

#[test]
fn labels_unknown_to_the_model_are_an_error_that_names_them() {
    let bench = Bench::new();
    let folder = bench.path("own/bored");
    fs::create_dir_all(&folder).unwrap();
    write_wav16(&folder.join("a.wav"), &voice(120.0, 4.0, 0.5), 16_000).unwrap();
    fs::create_dir_all(bench.path("own/sad")).unwrap();
    write_wav16(
        &bench.path("own/sad/b.wav"),
        &voice(150.0, 4.0, 0.5),
        16_000,
    )
    .unwrap();
    let base = [
        "evaluate",
        "--model",
        "model.onnx",
        "--corpus",
        "folder=own",
        "--protocol",
        "all",
    ];
    bench
        .run(&base)
        .exits(1)
        .says(&["bored (1 clips)", "hint: ", "--map bored=drop"]);
    bench
        .run(&[&base[..], &["--map", "bored=neutral"]].concat())
        .exits(0);
}

#[test]
fn a_tiny_cross_validation_runs_and_resumes() {
    let bench = Bench::new();
    let root = bench.corpus(3);
    let corpus = format!("ravdess-speech={}", root.display());
    fs::write(
        bench.path("tiny.toml"),
        "name = \"tiny\"\n[network]\nkind = \"residual-cnn\"\nchannels = [4, 4]\nattention = 4\n\
         [training]\nepochs = 1\nbatch_size = 2\ncrop_frames = 32\n\
         [evaluation]\nprotocol = \"loso\"\nvalidation_speakers = 1\n",
    )
    .unwrap();
    let arguments = [
        "evaluate",
        "--config",
        "tiny.toml",
        "--corpus",
        &corpus,
        "--jobs",
        "2",
        "--format",
        "json",
    ];
    let first = bench.run(&arguments).exits(0);
    let report: Value = serde_json::from_str(&first.out).unwrap();
    assert_eq!(report["metrics"]["n"], 12);
    assert_eq!(report["provenance"]["folds"], 3);
    assert_eq!(report["provenance"]["protocol"], "loso");
    let run = bench.path("runs/tiny-loso");
    for file in [
        "config.toml",
        "manifest.csv",
        "history.csv",
        "metrics.json",
        "report.html",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let again = bench.run(&arguments).exits(0);
    assert_eq!(again.out, first.out);
    // Another seed is another run.
    bench
        .run(&[&arguments[..], &["--seed", "9"]].concat())
        .exits(1)
        .says(&["another configuration", "hint: "]);

    let metrics = run.join("metrics.json").display().to_string();
    let arguments = [
        "train",
        "tiny.toml",
        "--corpus",
        &corpus,
        "--result",
        &metrics,
    ];
    let trained = bench.run(&arguments).exits(0);
    let model = bench.path(trained.out.trim());
    let metadata = vocalics_runtime::read_metadata(&fs::read(&model).unwrap()).unwrap();
    assert_eq!(metadata.protocol_result.unwrap().protocol, "loso");
    assert_eq!(metadata.speakers.len(), 3);
    let clip = root
        .join("Actor_01/03-01-05-01-01-01-01.wav")
        .display()
        .to_string();
    let model = model.display().to_string();
    bench.run(&["predict", "--model", &model, &clip]).exits(0);
}

/// A small network of two actors' clips, then trainings of three actors that begin or learn from it.
#[test]
fn a_training_begins_from_a_model_that_has_not_heard_the_test_speakers() {
    let bench = Bench::new();
    let root = bench.corpus(3);
    let corpus = format!("ravdess-speech={}", root.display());
    let text = "name = \"tiny\"\n[network]\nkind = \"residual-cnn\"\nchannels = [4, 4]\nattention = 4\n\
         [training]\nepochs = 1\nbatch_size = 2\ncrop_frames = 32\n\
         [evaluation]\nprotocol = \"loso\"\nvalidation_speakers = 0\n";
    fs::write(bench.path("tiny.toml"), text).unwrap();
    let evaluate = |more: &[&str]| {
        let base = ["evaluate", "--config", "tiny.toml", "--corpus", &corpus];
        bench.run(&[&base[..], more].concat())
    };
    evaluate(&["--run", "first", "--fold", "ravdess-03"]).exits(0);
    let heard = "first/ravdess-03/model.onnx";
    // What was measured stays beside the models that it was measured with.
    let before = fs::read(bench.path("first/metrics.json")).unwrap();
    let fixed = ["evaluate", "--model", heard, "--corpus", &corpus];
    let there = ["--allow-seen-speakers", "--run", "first"];
    bench.run(&[&fixed[..], &there].concat()).exits(1).says(&[
        "first holds another run",
        "config.toml",
        "hint: ",
        "--run",
    ]);
    assert_eq!(fs::read(bench.path("first/metrics.json")).unwrap(), before);
    for option in ["--init", "--teacher"] {
        let run = option.trim_start_matches('-');
        evaluate(&[option, heard, "--run", run]).exits(1).says(&[
            "ravdess-01: the model file",
            "has heard 1 of the test speakers: ravdess-01",
            "hint: ",
            "--allow-seen-speakers",
        ]);
        let clean = evaluate(&[option, heard, "--run", run, "--fold", "ravdess-03"]).exits(0);
        assert!(!clean.out.contains("speakers shared"), "{}", clean.out);
        let shared = format!("{run}-shared");
        let shared = [option, heard, "--allow-seen-speakers", "--run", &shared];
        let shared = evaluate(&shared).exits(0);
        assert!(
            shared
                .out
                .contains("speakers shared between train and test")
        );
    }
    let config = fs::read_to_string(bench.path("init/config.toml")).unwrap();
    assert!(config.contains("init_hash = \""), "{config}");

    // Recordings of whoever it may be do not train where speakers are kept apart.
    let mine = bench.path("mine/angry");
    fs::create_dir_all(&mine).unwrap();
    write_wav16(&mine.join("0.wav"), &voice(200.0, 4.0, 0.6), 16_000).unwrap();
    evaluate(&["--corpus", "folder=mine", "--run", "anyone"])
        .exits(1)
        .says(&[
            "protocol loso keeps speakers apart",
            "folder-mine/angry/0 (1 such)",
            "hint: name the speakers",
        ]);
    assert!(!bench.path("anyone").exists());

    // Without a configuration network and front end are those of the file.
    let train = [
        "train", "--init", heard, "--corpus", &corpus, "--epochs", "1",
    ];
    let trained = bench
        .run(&[&train[..], &["--run", "again"]].concat())
        .exits(0);
    assert_eq!(trained.out.trim(), "again/model.onnx");
    let config = fs::read_to_string(bench.path("again/config.toml")).unwrap();
    assert!(config.contains("kind = \"residual-cnn\"") && config.contains("attention = 4"));

    let begin = |text: &str, more: &[&str]| {
        fs::write(bench.path("tiny.toml"), text).unwrap();
        evaluate(&[&["--run", "other", "--fold", "ravdess-03"], more].concat()).exits(1)
    };
    let from = ["--init", heard];
    begin(&text.replace("[4, 4]", "[4, 6]"), &from).says(&["[network]", "channels = [4, 4]"]);
    let floor = format!("{text}[front_end]\nlog_floor = 1e-3\n");
    begin(&floor, &from).says(&["another front end: log_floor = ", "hint: ", "[front_end]"]);
    begin(text, &["--init", heard, "--init-member", "2"])
        .says(&["has 1 network(s), and there is no 2"]);
    begin(text, &["--init", "absent.onnx"]).says(&["absent.onnx"]);
    begin(&format!("{text}[transfer]\nfreeze = 2\n"), &[]).says(&["transfer.freeze", "hint: "]);
    begin(&format!("{text}[transfer]\nfreeze = \"feet\"\n"), &[]).says(&["all-but-head"]);
    begin(&format!("{text}[transfer]\nfreeze = 9\n"), &from).says(&["stem, block 1"]);
    begin(&format!("{text}[distillation]\n"), &[]).says(&["distillation.teacher is empty"]);
    fs::write(bench.path("tiny.toml"), text).unwrap();
    evaluate(&["--allow-seen-speakers"])
        .exits(2)
        .says(&["--init or --teacher"]);
    evaluate(&["--init-member", "1"]).exits(2);
}

#[test]
fn a_search_gives_a_configuration_that_evaluate_takes() {
    let bench = Bench::new();
    let root = bench.corpus(4);
    let corpus = format!("ravdess-speech={}", root.display());
    let config = "name = \"tiny\"\n[network]\nkind = \"residual-cnn\"\nchannels = [4, 4]\nattention = 4\n\
                  [training]\nepochs = 1\nbatch_size = 2\ncrop_frames = 32\n\
                  [evaluation]\nprotocol = \"loso\"\nvalidation_speakers = 0\n";
    fs::write(bench.path("tiny.toml"), config).unwrap();
    let space = "[search]\ntrials = 3\nvalidation_speakers = 1\nstrategy = \"random\"\n\
                 [[parameter]]\nname = \"training.learning_rate\"\nrange = [1e-4, 1e-2]\nscale = \"log\"\n";
    fs::write(bench.path("space.toml"), space).unwrap();
    let arguments = [
        "tune",
        "space.toml",
        "--config",
        "tiny.toml",
        "--corpus",
        &corpus,
    ];
    let one = ["--fold", "ravdess-02"];
    let run = bench.run(&[&arguments[..], &one].concat()).exits(0);
    assert!(
        run.out.contains("winner: runs/tiny-tune/best.toml"),
        "{}",
        run.out
    );
    let run = run.says(&["no test clip was looked at", "trials.csv"]);
    assert!(!run.out.contains("WAR"), "{}", run.out);
    for file in [
        "search.toml",
        "trials.csv",
        "search.svg",
        "search.png",
        "best.toml",
    ] {
        assert!(bench.path("runs/tiny-tune").join(file).is_file(), "{file}");
    }
    let nested = [
        "--nested", "--format", "json", "--run", "nested", "--jobs", "2",
    ];
    let run = bench.run(&[&arguments[..], &nested].concat()).exits(0);
    let all: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(all["searches"].as_array().unwrap().len(), 4);
    assert_eq!(all["test"]["provenance"]["folds"], 4);
    assert_eq!(all["test"]["metrics"]["n"], 16);
    let again = bench.run(&[&arguments[..], &nested].concat()).exits(0);
    assert_eq!(again.out, run.out);
    assert!(bench.path("nested/test/report.html").is_file());
    let best = [
        "evaluate",
        "--config",
        "runs/tiny-tune/best.toml",
        "--corpus",
        &corpus,
    ];
    bench.run(&best).exits(0);

    // What cannot be searched is told before anything is read.
    for (text, part) in [
        (
            "name = \"training.epoch\"\nrange = [1, 2]",
            "unknown field `epoch`",
        ),
        ("name = \"seed\"\nrange = [1, 2]", "parameter seed"),
        ("name = \"training.epochs\"", "neither values nor a range"),
    ] {
        fs::write(bench.path("bad.toml"), format!("[[parameter]]\n{text}\n")).unwrap();
        bench
            .run(&["tune", "bad.toml"])
            .exits(1)
            .says(&["error: bad.toml: ", part, "hint: "]);
    }
    fs::write(bench.path("bad.toml"), "[search]\ntrials = 3\n").unwrap();
    bench
        .run(&["tune", "bad.toml"])
        .exits(1)
        .says(&["bad.toml", "parameter", "hint: "]);
    bench
        .run(&["tune", "none.toml"])
        .exits(1)
        .says(&["none.toml", "hint: "]);
}

#[test]
fn a_bad_configuration_is_named_with_a_hint() {
    let bench = Bench::new();
    let evaluate = |text: &str| {
        fs::write(bench.path("c.toml"), text).unwrap();
        bench.run(&["evaluate", "--config", "c.toml"]).exits(1)
    };
    evaluate("sed = 1").says(&["error: c.toml", "unknown field `sed`", "hint: "]);
    evaluate("[training]\nepochs = 0")
        .says(&["training.epochs is 0, expected at least 1", "hint: "]);
    evaluate("target = \"mood\"").says(&["mood", "expected emotion"]);
    evaluate("").says(&["no corpus ravdess-speech under data", "hint: ", "--corpus"]);
    bench
        .run(&["train", "none.toml"])
        .exits(1)
        .says(&["none.toml", "hint: check that the file"]);
    bench
        .run(&["evaluate", "--config", "c.toml", "--protocol", "five-fold"])
        .exits(1)
        .says(&["unknown protocol", "emobox-6fold"]);
    bench
        .run(&["evaluate", "--config", "c.toml", "--protocol", "all"])
        .exits(2)
        .says(&["--model"]);
}

#[test]
fn the_printed_configuration_is_complete_and_can_be_read() {
    let bench = Bench::new();
    let run = bench
        .run(&["train", "--print-config", "--seed", "7", "--epochs", "3"])
        .exits(0);
    let config: vocalics_train::TrainConfig = toml::from_str(&run.out).unwrap();
    assert_eq!((config.seed, config.training.epochs), (7, 3));
    fs::write(bench.path("c.toml"), &run.out).unwrap();
    let again = bench.run(&["train", "c.toml", "--print-config"]).exits(0);
    assert_eq!(again.out, run.out);
}

/// The first thing many do: a folder for each class, whose speakers nobody told.
#[test]
fn a_folder_of_ones_own_is_trained_on_from_the_shipped_model() {
    let bench = Bench::new();
    for (class, f0) in [("calm", 140.0), ("angry", 240.0)] {
        let folder = bench.path("mine").join(class);
        fs::create_dir_all(&folder).unwrap();
        for clip in 0..2_u8 {
            let samples = voice(f0 + 10.0 * f64::from(clip), 4.0, 0.6);
            write_wav16(&folder.join(format!("{clip}.wav")), &samples, 16_000).unwrap();
        }
    }
    let shipped = workspace().join("models/default.onnx");
    let shipped = shipped.to_str().unwrap();
    let base = ["train", "--init", shipped, "--init-member", "2"];
    let rest = [
        "--corpus",
        "folder=mine",
        "--epochs",
        "1",
        "--run",
        "mine-run",
    ];
    let train = [&base[..], &rest].concat();
    bench
        .run(&train)
        .exits(1)
        .says(&["2 of 1 speakers", "train --validation-speakers 0"]);
    let none = [&train[..], &["--validation-speakers", "0"]].concat();
    let model = bench.run(&none).exits(0).out;
    let predict = ["predict", "--model", model.trim(), "mine/angry/0.wav"];
    bench.run(&predict).exits(0);
}

/// The sets of a configuration beside log-mel: printed, trained on, searched, computed again by `predict`, and refused where nothing takes them.
#[test]
fn functionals_go_from_the_configuration_to_the_prediction() {
    let bench = Bench::new();
    let root = bench.corpus(3);
    let corpus = format!("ravdess-speech={}", root.display());
    let section = "[functionals]\nsets = [\"prosody\"]\n";
    let network = "[network]\nkind = \"two-branch\"\nhidden = [4]\n[network.first]\nkind = \"light-cnn\"\nchannels = [4]\n";
    let rest = "[training]\nepochs = 1\nbatch_size = 2\ncrop_frames = 32\n\
                [evaluation]\nprotocol = \"loso\"\nvalidation_speakers = 0\n";
    fs::write(bench.path("both.toml"), format!("{section}{network}{rest}")).unwrap();
    let printed = bench
        .run(&["train", "both.toml", "--print-config"])
        .exits(0);
    assert!(printed.out.contains("[functionals]\nsets = [\"prosody\"]"));
    assert!(
        printed
            .out
            .contains("[network.first]\nkind = \"light-cnn\"")
    );
    let measured = ["evaluate", "--config", "both.toml", "--corpus", &corpus];
    bench
        .run(&[&measured[..], &["--run", "e"]].concat())
        .exits(0);
    let trained = ["train", "both.toml", "--corpus", &corpus, "--run", "t"];
    bench.run(&trained).exits(0);
    let clip = root.join("Actor_01").join("03-01-05-01-01-01-01.wav");
    let clip = clip.display().to_string();
    bench
        .run(&["predict", "--model", "t/model.onnx", &clip])
        .exits(0);
    fs::write(bench.path("alone.toml"), format!("{section}{rest}")).unwrap();
    bench
        .run(&["train", "alone.toml", "--corpus", &corpus])
        .exits(1)
        .says(&["functionals.sets is prosody", "two-branch", "hint: "]);
    fs::write(bench.path("none.toml"), format!("{network}{rest}")).unwrap();
    bench
        .run(&["train", "none.toml", "--corpus", &corpus])
        .exits(1)
        .says(&["functionals is absent beside the network two-branch"]);
    fs::write(
        bench.path("unknown.toml"),
        format!("{}{network}{rest}", section.replace("prosody", "loudness")),
    )
    .unwrap();
    bench
        .run(&["train", "unknown.toml", "--corpus", &corpus])
        .exits(1)
        .says(&["chroma, egemaps, mfcc, prosody, rhythm"]);
}

#[test]
fn corpora_are_listed_counted_and_checked() {
    let bench = Bench::new();
    let root = bench.corpus(2);
    let corpus = format!("ravdess-speech={}", root.display());
    let run = bench.run(&["data", "list"]).exits(0);
    assert!(
        run.out.contains("ravdess-song") && run.out.contains("CC BY-NC-SA 4.0"),
        "{}",
        run.out
    );
    let run = bench.run(&["data", "list", "--format", "json"]).exits(0);
    assert!(serde_json::from_str::<Vec<Value>>(&run.out).unwrap().len() >= 9);

    let stats = ["data", "stats", "--corpus", &corpus, "--format", "json"];
    let counted: Value = serde_json::from_str(&bench.run(&stats).exits(0).out).unwrap();
    assert_eq!(counted["clips"], 8);
    assert!(counted["minutes"].as_f64().unwrap() > 0.0);

    // The counts are not those of the whole corpus.
    let check = ["data", "check", "--corpus", &corpus];
    let run = bench.run(&check).exits(1);
    assert!(run.out.contains("count-differs"), "{}", run.out);
    bench
        .run(&[&check[..], &["--keep-going"]].concat())
        .exits(0);

    fs::write(root.join("Actor_01/03-01-09-01-01-01-01.wav"), "x").unwrap();
    bench
        .run(&stats)
        .exits(1)
        .says(&["03-01-09-01-01-01-01.wav", "hint: ", "--keep-going"]);
    bench
        .run(&[&stats[..], &["--keep-going"]].concat())
        .exits(0);

    bench
        .run(&["data", "stats"])
        .exits(1)
        .says(&["no corpus under data", "hint: "]);
    bench
        .run(&["data", "stats", "--corpus", "tess=nowhere"])
        .exits(1)
        .says(&["nowhere", "hint: "]);
    bench
        .run(&["data", "get", "savee"])
        .exits(1)
        .says(&["savee cannot be downloaded", "hint: "]);
}

#[test]
fn the_5252_clips_come_out_right() {
    let root = std::env::var_os("VOCALICS_DATA")
        .map_or_else(|| workspace().join("../shared/data"), PathBuf::from);
    if !["ravdess-speech", "ravdess-song", "tess"]
        .iter()
        .all(|name| root.join(name).is_dir())
    {
        println!("skipped: no corpora");
        return;
    }
    let bench = Bench::new();
    let place = |name: &str| format!("{name}={}", root.join(name).display());
    let (speech, song, tess) = (
        place("ravdess-speech"),
        place("ravdess-song"),
        place("tess"),
    );
    let run = bench
        .run(&[
            "data", "stats", "--format", "json", "--corpus", &speech, "--corpus", &song,
            "--corpus", &tess,
        ])
        .exits(0);
    let counted: Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(counted["clips"], 5252);
    let of = |name: &str| {
        let columns = counted["corpora"].as_array().unwrap();
        let column = columns
            .iter()
            .find(|column| column["corpus"] == name)
            .unwrap();
        column["clips"].as_u64().unwrap()
    };
    assert_eq!(of("ravdess-speech"), 1440);
    assert_eq!(of("ravdess-song"), 1012);
    assert_eq!(of("tess"), 2800);
    assert_eq!(counted["speakers"], 26);
    assert!(
        (counted["minutes"].as_f64().unwrap() - 263.0).abs() < 3.0,
        "{}",
        counted["minutes"]
    );
}

#[test]
fn completions_and_manual_pages_are_generated() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let run = bench.run(&["completions", shell]).exits(0);
        assert!(run.out.contains("predict"), "{shell}");
    }
    let page = bench.run(&["man"]).exits(0).out;
    assert!(page.contains(".TH vocalics 1"), "{page}");
    bench.run(&["man", "--out", "pages"]).exits(0);
    assert!(bench.path("pages/vocalics-data-stats.1").is_file());
}

#[test]
fn export_checks_and_copies() {
    let bench = Bench::new();
    let run = bench
        .run(&["export", "model.onnx", "-o", "copy.onnx"])
        .exits(0);
    assert!(
        run.out.is_empty() && run.err.contains("copy.onnx: checked"),
        "{}",
        run.err
    );
    assert_eq!(
        fs::read(bench.path("copy.onnx")).unwrap(),
        fs::read(bench.path("model.onnx")).unwrap()
    );
    let again = bench
        .run(&["export", "model.onnx", "-o", "copy.onnx"])
        .exits(1);
    assert!(again.err.contains("exists"), "{}", again.err);
    // What does not load is not written.
    let mut broken = common::model();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    fs::write(bench.path("broken.onnx"), broken).unwrap();
    bench
        .run(&["export", "broken.onnx", "-o", "other.onnx"])
        .exits(1);
    assert!(!bench.path("other.onnx").exists());
    // Where it cannot be written, that is told first.
    let nowhere = bench
        .run(&["export", "none.onnx", "-o", "none/other.onnx"])
        .exits(1);
    let told = nowhere.err.contains("cannot write none/other.onnx");
    assert!(told, "{}", nowhere.err);
    // Recordings are for eight bits.
    bench
        .run(&[
            "export",
            "model.onnx",
            "-o",
            "other.onnx",
            "--calibrate",
            "none.wav",
        ])
        .exits(2);
    // A recording that is not there is hinted at once.
    let missing = [
        "export",
        "model.onnx",
        "--int8",
        "-o",
        "other.onnx",
        "--calibrate",
        "none.wav",
    ];
    let run = bench.run(&missing).exits(1);
    assert!(
        run.err.contains("1 of 1 recordings cannot be used"),
        "{}",
        run.err
    );
    assert_eq!(run.err.matches("hint: ").count(), 1, "{}", run.err);
}

/// It was called `.part` too, and was gone afterwards.
#[test]
fn export_leaves_a_file_beside_it_alone() {
    let bench = Bench::new();
    fs::write(bench.path("copy.onnx.part"), b"mine").unwrap();
    bench
        .run(&["export", "model.onnx", "-o", "copy.onnx"])
        .exits(0);
    assert_eq!(fs::read(bench.path("copy.onnx.part")).unwrap(), b"mine");
    // The model, the copy, the neighbour.
    assert_eq!(fs::read_dir(bench.folder.path()).unwrap().count(), 3);
}

#[test]
fn export_refuses_before_recordings_are_read() {
    let bench = Bench::new();
    for (out, reason) in [
        ("model.onnx", "model.onnx exists"),
        ("none/int8.onnx", "cannot write none/int8.onnx"),
        (".", "names no file"),
    ] {
        let run = bench.run(&[
            "export",
            "model.onnx",
            "-o",
            out,
            "--int8",
            "--calibrate",
            "no-such.wav",
        ]);
        assert_ne!(run.code, Some(0));
        assert!(run.err.contains(reason), "{}", run.err);
        assert!(!run.err.contains("no-such.wav"), "{}", run.err);
    }
}

#[test]
fn export_does_not_calibrate_on_silence() {
    let bench = Bench::new();
    write_wav16(&bench.path("silence.wav"), &[0.0; 16_000], 16_000).unwrap();
    let clips = clips();
    let run = bench
        .run(&[
            "export",
            shipped_in_single_precision(&bench).to_str().unwrap(),
            "-o",
            "int8.onnx",
            "--int8",
            "--calibrate",
            clips[0].to_str().unwrap(),
            "silence.wav",
        ])
        .exits(1);
    for part in [
        "error: silence.wav: its features are the same in every frame",
        "hint: calibrate on recordings of speech",
        "1 of 2 recordings cannot be used",
    ] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    assert!(!bench.path("int8.onnx").exists());
}

#[test]
fn export_says_when_few_recordings_calibrate() {
    let bench = Bench::new();
    let model = shipped_in_single_precision(&bench);
    let clip = clips()[0].to_str().unwrap().to_owned();
    for (count, few) in [(19, true), (20, false)] {
        let out = format!("{count}.onnx");
        let mut arguments = vec![
            "export",
            model.to_str().unwrap(),
            "-o",
            &out,
            "--int8",
            "--calibrate",
        ];
        arguments.extend(vec![clip.as_str(); count]);
        let run = bench.run(&arguments).exits(0);
        let noted = run
            .err
            .contains("note: the ranges are chosen on 19 recordings");
        assert_eq!(noted, few, "{}", run.err);
    }
}

/// The model of the program, as a training would have written it.
fn shipped_in_single_precision(bench: &Bench) -> PathBuf {
    let shipped = fs::read(workspace().join("models/default.onnx")).unwrap();
    let path = bench.path("single.onnx");
    fs::write(&path, vocalics_runtime::dequantise(&shipped).unwrap()).unwrap();
    path
}

#[test]
fn export_to_eight_bits_gives_a_model_that_predicts_the_same() {
    let bench = Bench::new();
    let model = shipped_in_single_precision(&bench);
    let clips = clips();
    let export = |out: &str, calibrate: &[&str]| {
        let arguments = ["export", model.to_str().unwrap(), "--int8", "-o", out];
        let run = bench.run(&[&arguments[..], calibrate].concat()).exits(0);
        let sizes = [model.as_path(), &bench.path(out)].map(|it| fs::metadata(it).unwrap().len());
        assert!(sizes[1] * 10 < sizes[0] * 3, "{sizes:?}");
        assert!(run.err.contains("layers in eight bits"), "{}", run.err);
        run.err
    };
    let told = export("weights.onnx", &[]);
    assert_eq!(told.lines().count(), 1, "{told}");
    let mut calibrate = vec!["--calibrate"];
    calibrate.extend(clips.iter().map(|clip| clip.to_str().unwrap()));
    let told = export("inputs.onnx", &calibrate);
    for part in ["extremes", "percentile", "squared-error", "chosen"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for clip in &clips {
        let models = [model.to_str().unwrap(), "weights.onnx", "inputs.onnx"];
        let labels = models.map(|model| {
            let clip = clip.to_str().unwrap();
            let run = bench
                .run(&["predict", "--model", model, "--format", "jsonl", clip])
                .exits(0);
            serde_json::from_str::<Value>(&run.out).unwrap()["label"].clone()
        });
        assert_eq!(labels[0], labels[1], "{}", clip.display());
        assert_eq!(labels[0], labels[2], "{}", clip.display());
    }
    let twice = ["export", "weights.onnx", "-o", "x.onnx", "--int8"];
    let run = bench.run(&twice).exits(1);
    assert!(run.err.contains("quantised already"), "{}", run.err);
}

/// Compares the help of every command with `tests/help/<command>.txt`;
/// `UPDATE_SNAPSHOTS=1 cargo test` writes them.
#[test]
fn help_is_as_committed() {
    let bench = Bench::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    for command in [
        "",
        "predict",
        "features",
        "plot",
        "segment",
        "denoise",
        "augment",
        "data",
        "data list",
        "data stats",
        "data check",
        "data get",
        "pretrain",
        "train",
        "evaluate",
        "tune",
        "combine",
        "compare",
        "report",
        "export",
        "completions",
        "man",
    ] {
        let mut arguments: Vec<&str> = command.split_whitespace().collect();
        arguments.push("--help");
        let help = bench.run(&arguments).exits(0).out;
        let name = if command.is_empty() {
            "vocalics".to_owned()
        } else {
            command.replace(' ', "-")
        };
        let file = folder.join(name).with_extension("txt");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(&file, &help).unwrap();
        }
        let committed = fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(
            help,
            committed,
            "help of `vocalics {command}` differs from {}",
            file.display()
        );
    }
}

/// A bench with a small encoder and its description.
fn with_encoder() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("tiny.onnx"), tiny::Tiny::default().bytes()).unwrap();
    fs::write(bench.path("tiny.toml"), tiny::DESCRIPTION).unwrap();
    bench
}

#[test]
fn a_head_is_trained_on_an_encoder_and_recognises_with_it() {
    let bench = with_encoder();
    let corpus = format!("ravdess-speech={}", bench.corpus(8).display());
    let shared = [
        "--corpus",
        &corpus,
        "--epochs",
        "3",
        "--encoder",
        "tiny.onnx",
    ];
    let run = bench.run(
        &[
            &["evaluate", "--protocol", "loso", "--run", "runs/e"],
            &shared[..],
        ]
        .concat(),
    );
    let run = run.exits(0);
    assert!(
        run.err.contains(
            "encoder: tiny 1 (MIT), 961 parameters, embeddings of 12 numbers, encoder-v1-"
        ),
        "{}",
        run.err
    );
    assert!(run.out.starts_with("UAR (pooled)"), "{}", run.out);
    let recorded = fs::read_to_string(bench.path("runs/e/config.toml")).unwrap();
    assert!(
        recorded.contains("[encoder.description.input]"),
        "{recorded}"
    );

    // The recorded configuration runs again, with that encoder alone.
    let again = [
        "evaluate",
        "--config",
        "runs/e/config.toml",
        "--corpus",
        &corpus,
        "--run",
        "runs/f",
    ];
    let run = bench.run(&again).exits(1);
    assert!(
        run.err
            .contains("embeddings of the encoder tiny, which was not given"),
        "{}",
        run.err
    );
    assert!(
        run.err.contains("hint: give its file with --encoder"),
        "{}",
        run.err
    );
    let louder = tiny::Tiny {
        gain: 2.0,
        ..tiny::Tiny::default()
    };
    fs::write(bench.path("louder.onnx"), louder.bytes()).unwrap();
    let with = |encoder| {
        [
            &again[..],
            &["--encoder", encoder, "--encoder-config", "tiny.toml"],
        ]
        .concat()
    };
    let run = bench.run(&with("louder.onnx")).exits(1);
    assert!(
        run.err
            .contains("this is not the encoder of the configuration: tiny is encoder-v1-"),
        "{}",
        run.err
    );
    bench.run(&with("tiny.onnx")).exits(0);

    // One file.
    bench
        .run(&[&["train", "--run", "runs/whole"], &shared[..]].concat())
        .exits(0);
    let clip = clips()[0].display().to_string();
    let predict = |arguments: &[&str]| {
        bench.run(&[&["predict", "--format", "csv", &clip], arguments].concat())
    };
    let whole = predict(&["--model", "runs/whole/model.onnx"]).exits(0);
    let run = predict(&["--model", "runs/whole/model.onnx", "--encoder", "tiny.onnx"]).exits(1);
    assert!(
        run.err.contains("takes no encoder from outside"),
        "{}",
        run.err
    );

    // Two files.
    let description =
        tiny::DESCRIPTION.replace("redistributable = true", "redistributable = false");
    fs::write(bench.path("tiny.toml"), description).unwrap();
    let run = bench
        .run(&[&["train", "--run", "runs/head"], &shared[..]].concat())
        .exits(0);
    assert!(
        run.err
            .contains("warning: the model file holds the head alone and needs --encoder"),
        "{}",
        run.err
    );
    let run = predict(&["--model", "runs/head/model.onnx"]).exits(1);
    assert!(
        run.err
            .contains("head on the embeddings of tiny, whose file is not given"),
        "{}",
        run.err
    );
    let run = predict(&[
        "--model",
        "runs/head/model.onnx",
        "--encoder",
        "louder.onnx",
    ])
    .exits(1);
    assert!(
        run.err.contains("this is not the encoder of the model"),
        "{}",
        run.err
    );
    let apart = predict(&["--model", "runs/head/model.onnx", "--encoder", "tiny.onnx"]).exits(0);
    assert_eq!(apart.out, whole.out);
    let run = bench
        .run(&[
            "export",
            "runs/head/model.onnx",
            "--encoder",
            "tiny.onnx",
            "-o",
            "one.onnx",
        ])
        .exits(1);
    assert!(
        run.err.contains("does not let it be passed on"),
        "{}",
        run.err
    );
    let test = [
        "evaluate",
        "--model",
        "runs/head/model.onnx",
        "--encoder",
        "tiny.onnx",
        "--allow-seen-speakers",
    ];
    bench
        .run(&[&test[..], &["--corpus", &corpus]].concat())
        .exits(0);
}

#[test]
fn what_is_wrong_with_an_encoder_is_said_before_anything_is_read() {
    let bench = with_encoder();
    let run = |encoder: &str| bench.run(&["train", "--encoder", encoder]).exits(1).err;
    let sorting = tiny::Tiny {
        operator: "Unique",
        ..tiny::Tiny::default()
    };
    fs::write(bench.path("sorting.onnx"), sorting.bytes()).unwrap();
    let said = run("sorting.onnx");
    assert!(
        said.contains("error: the encoder sorting.onnx is not described: there is no sorting.toml"),
        "{said}"
    );
    fs::write(bench.path("sorting.toml"), tiny::DESCRIPTION).unwrap();
    let said = run("sorting.onnx");
    assert!(
        said.contains("error: encoder sorting.onnx was refused: operator Unique is not supported"),
        "{said}"
    );
    assert!(
        said.contains("hint: export the encoder without that operator"),
        "{said}"
    );
    fs::write(
        bench.path("sorting.toml"),
        format!("{}\ndepth = 3\n", tiny::DESCRIPTION),
    )
    .unwrap();
    let said = run("sorting.onnx");
    assert!(
        said.contains("sorting.toml") && said.contains("unknown field `depth`"),
        "{said}"
    );
    let text = tiny::DESCRIPTION.replace("kind = \"frames\"", "kind = \"vector\"");
    fs::write(
        bench.path("tiny.toml"),
        text.replace("pooling = \"mean+std\"", ""),
    )
    .unwrap();
    let said = run("tiny.onnx");
    assert!(
        said.contains("output has shape [1, 199, 6], expected [1, dim]"),
        "{said}"
    );
    let said = run("nothing.onnx");
    assert!(said.contains("nothing.onnx"), "{said}");
}
