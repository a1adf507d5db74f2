//! `compare` and `combine` as a user runs them.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod running;

use std::fs;
use std::path::Path;

use running::{Run, command, voice};
use vocalics_audio::write_wav16;

struct Bench {
    folder: tempfile::TempDir,
    corpus: String,
}

impl Bench {
    /// RAVDESS-named clips of four actors: calm and angry, three takes of each, which pitch and rate tell apart.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("speech");
        for actor in 1..=4_u32 {
            let place = root.join(format!("Actor_{actor:02}"));
            fs::create_dir_all(&place).unwrap();
            for (emotion, pitch, rate) in [("02", 120.0, 3.0), ("05", 240.0, 6.0)] {
                for (statement, take) in [("01", "01"), ("01", "02"), ("02", "01")] {
                    let name = format!("03-01-{emotion}-01-{statement}-{take}-{actor:02}.wav");
                    let more = u8::from(take == "02") + 2 * u8::from(statement == "02");
                    let pitch = pitch + 4.0 * f64::from(actor) + f64::from(more);
                    write_wav16(&place.join(name), &voice(pitch, rate, 0.6), 16_000).unwrap();
                }
            }
        }
        let bench = Self {
            corpus: format!("ravdess-speech={}", root.display()),
            folder,
        };
        fs::write(
            bench.path("tiny.toml"),
            "name = \"tiny\"\n[network]\nkind = \"residual-cnn\"\nchannels = [4, 4]\nattention = 4\n\
             [training]\nepochs = 1\nbatch_size = 2\ncrop_frames = 32\n\
             [evaluation]\nprotocol = \"loso\"\nvalidation_speakers = 1\nresamples = 200\n",
        )
        .unwrap();
        fs::write(
            bench.path("small.toml"),
            "resamples = 200\n[forest]\ntrees = 10\n[boosting]\nrounds = [5]\n[perceptron]\nepochs = 5\n",
        )
        .unwrap();
        bench
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// `vocalics compare --protocol loso` with quick hyper-parameters on the corpus, and these arguments.
    fn compare(&self, arguments: &[&str]) -> Run {
        let base = [
            "compare",
            "--protocol",
            "loso",
            "--classical",
            "small.toml",
            "--corpus",
            &self.corpus,
        ];
        self.run(&[&base[..], arguments].concat())
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(command(self.folder.path(), arguments).output().unwrap())
    }
}

/// Cells of `compare.csv` under a head, by row.
fn column(folder: &Path, head: &str) -> Vec<String> {
    let text = fs::read_to_string(folder.join("compare.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let at = reader
        .headers()
        .unwrap()
        .iter()
        .position(|name| name == head)
        .unwrap();
    reader
        .records()
        .map(|row| row.unwrap()[at].to_owned())
        .collect()
}

#[test]
fn methods_networks_and_finished_runs_stand_in_one_table() {
    let bench = Bench::new();
    let evaluate = [
        "evaluate",
        "--config",
        "tiny.toml",
        "--corpus",
        &bench.corpus,
        "--run",
        "done",
    ];
    bench.run(&evaluate).exits(0);
    let arguments = [
        "--set",
        "prosody",
        "logmel",
        "--config",
        "tiny.toml",
        "--with",
        "older=done",
        "--run",
        "c",
    ];
    let first = bench.compare(&arguments).exits(0);
    let folder = bench.path("c");
    let names = column(&folder, "method");
    assert_eq!(names.len(), 9 + 8 + 2, "{names:?}");
    assert_eq!(names[0], "majority");
    assert!(names.contains(&"logmel/svm-rbf".to_owned()));
    assert_eq!(names[17..], ["tiny", "older"]);
    assert!(
        column(&folder, "reference")
            .iter()
            .all(|name| name == "older")
    );
    let uar: Vec<f64> = column(&folder, "uar")
        .iter()
        .map(|x| x.parse().unwrap())
        .collect();
    assert!((uar[0] - 0.5).abs() < 1e-9);
    let of = |name: &str| uar[names.iter().position(|n| n == name).unwrap()];
    assert!(
        of("prosody/logistic-regression") > 0.99,
        "{names:?} {uar:?}"
    );
    // The same network on the same folds, once trained here and once before.
    assert_eq!(column(&folder, "difference")[17], "0");
    for head in ["parameters", "train_secs", "inference_ms"] {
        let cells = column(&folder, head);
        assert!(
            cells.iter().all(|cell| cell.parse::<f64>().unwrap() >= 0.0),
            "{head}: {cells:?}"
        );
    }
    assert!(first.out.contains(
        "ravdess-speech, loso, 4 folds, 2 classes (calm angry), seed 1, speakers disjoint"
    ));
    for file in [
        "compare.md",
        "compare.svg",
        "compare.png",
        "classical.toml",
        "prosody/mlp/predictions.csv",
        "tiny/metrics.json",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    // Nothing is computed again: times are those of the first run.
    let again = bench.compare(&arguments).exits(0);
    let classical = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| !line.contains("log-mel") && line.contains('/'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(classical(&again.out), classical(&first.out));

    // Finished runs alone need no recordings.
    let alone = [
        "compare",
        "--protocol",
        "loso",
        "--method",
        "none",
        "--with",
        "a=done",
        "b=c/tiny",
        "--run",
        "d",
    ];
    bench.run(&alone).exits(0);
    assert_eq!(column(&bench.path("d"), "method"), ["a", "b"]);
    assert_eq!(column(&bench.path("d"), "inference_ms"), ["", ""]);
}

#[test]
fn one_fold_is_one_speaker_without_an_interval() {
    let bench = Bench::new();
    let run = bench
        .compare(&[
            "--method",
            "nearest-neighbours",
            "majority",
            "--fold",
            "ravdess-02",
            "--run",
            "c",
        ])
        .exits(0);
    let folder = bench.path("c");
    assert_eq!(
        column(&folder, "method"),
        ["majority", "egemaps/nearest-neighbours"]
    );
    assert_eq!(column(&folder, "reference")[0], "majority");
    assert_eq!(column(&folder, "folds"), ["1", "1"]);
    assert_eq!(column(&folder, "uar_low"), ["", ""]);
    assert!(run.out.contains("1 fold"), "{}", run.out);
    bench
        .compare(&["--method", "majority", "--fold", "fold-1"])
        .exits(1)
        .says(&["no fold fold-1", "ravdess-02"]);
}

#[test]
fn every_row_says_where_speakers_are_shared() {
    let bench = Bench::new();
    let base = [
        "compare",
        "--protocol",
        "random-80-20",
        "--classical",
        "small.toml",
        "--corpus",
        &bench.corpus,
    ];
    let methods = [
        "--method",
        "majority",
        "svm-linear",
        "--set",
        "mfcc",
        "--run",
        "c",
    ];
    let run = bench.run(&[&base[..], &methods].concat()).exits(0);
    for name in ["majority", "mfcc/svm-linear"] {
        let line = run.out.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(
            line.contains("speakers shared between train and test"),
            "{line}"
        );
    }
}

#[test]
fn what_cannot_be_compared_is_refused_before_any_work() {
    let bench = Bench::new();
    let evaluate = |protocol: &str, more: &[&str], run: &str| {
        let base = [
            "evaluate",
            "--config",
            "tiny.toml",
            "--corpus",
            &bench.corpus,
            "--protocol",
            protocol,
            "--run",
            run,
        ];
        bench.run(&[&base[..], more].concat()).exits(0);
    };
    evaluate("random-80-20", &[], "random");
    evaluate("loso", &["--map", "calm=neutral"], "mapped");
    evaluate("loso", &["--fold", "ravdess-01", "ravdess-02"], "half");
    let with = |run: &str| {
        bench
            .compare(&["--method", "majority", "--with", run])
            .exits(1)
    };
    with("random").says(&[
        "random: its protocol is random-80-20, expected loso",
        "hint: ",
    ]);
    with("mapped").says(&["mapped: its label set is neutral angry, expected calm angry"]);
    with("half")
        .says(&["half: its set of folds is ravdess-01 ravdess-02, expected one with ravdess-03"]);
    with("speech").says(&[
        "speech is no finished run: it has no metrics.json",
        "vocalics evaluate",
    ]);
    bench
        .compare(&[
            "--method",
            "majority",
            "--with",
            "half",
            "--fold",
            "ravdess-02",
        ])
        .exits(0);

    // A run whose first weights had heard the test speakers.
    let metrics = bench.path("half/metrics.json");
    let disjoint = fs::read_to_string(&metrics).unwrap();
    let shared = disjoint.replace("\"speakers_shared\": false", "\"speakers_shared\": true");
    assert_ne!(shared, disjoint);
    fs::write(&metrics, shared).unwrap();
    let half = [
        "--method",
        "majority",
        "--with",
        "half",
        "--fold",
        "ravdess-02",
    ];
    bench.compare(&half).exits(1).says(&[
        "its division of speakers is speakers shared",
        "expected speakers disjoint",
    ]);
    fs::write(&metrics, disjoint).unwrap();

    // A table in which one clip has another name.
    let table = bench.path("half/predictions.csv");
    let text = fs::read_to_string(&table)
        .unwrap()
        .replace("-01-01-01-02,", "-01-01-09-02,");
    fs::write(&table, text).unwrap();
    bench
        .compare(&[
            "--method",
            "majority",
            "--with",
            "half",
            "--fold",
            "ravdess-02",
        ])
        .exits(1)
        .says(&["not the same test", "03-01-02-01-01-01-02", "hint: "]);
}

#[test]
fn bad_arguments_exit_2_and_bad_hyper_parameters_are_named() {
    let bench = Bench::new();
    bench
        .compare(&["--method", "svm"])
        .exits(2)
        .says(&["invalid value 'svm'", "svm-rbf"]);
    bench
        .compare(&["--set", "mfc"])
        .exits(2)
        .says(&["invalid value 'mfc'", "egemaps", "logmel"]);
    bench
        .compare(&["--method", "none"])
        .exits(2)
        .says(&["nothing to compare", "hint: "]);
    bench
        .compare(&["--method", "majority", "--reference", "best"])
        .exits(2)
        .says(&["no row is called best", "the rows are majority"]);
    bench
        .compare(&["--config", "tiny.toml", "tiny.toml"])
        .exits(2)
        .says(&["would be called tiny", "hint: "]);
    bench
        .run(&["compare", "--protocol", "five-fold"])
        .exits(1)
        .says(&["unknown protocol", "emobox-6fold"]);
    bench
        .compare(&["--method", "majority", "--epochs", "3"])
        .exits(2)
        .says(&["--epochs without a network", "hint: "]);
    bench
        .compare(&["--method", "majority", "--fold", "ravdess-09"])
        .exits(1)
        .says(&[
            "no fold ravdess-09, there are ravdess-01",
            "hint: give --fold",
        ]);
    let allowed = fs::read_to_string(bench.path("tiny.toml")).unwrap()
        + "[transfer]\ninit = \"m.onnx\"\nallow_seen_speakers = true\n";
    fs::write(bench.path("allowed.toml"), allowed).unwrap();
    bench
        .compare(&["--config", "allowed.toml"])
        .exits(2)
        .says(&[
            "has heard test speakers",
            "hint: take allow_seen_speakers out",
        ]);
    for (text, part) in [
        ("[svm_rbf]\nc = []\n", "svm_rbf.c is []"),
        ("resamples = 10\n", "resamples is 10, expected at least 40"),
    ] {
        fs::write(bench.path("small.toml"), text).unwrap();
        bench.compare(&["--method", "majority"]).exits(1).says(&[
            "small.toml: ",
            part,
            "hint: ",
            "--print-classical",
        ]);
    }
    let printed = bench
        .run(&["compare", "--print-classical", "--seed", "7"])
        .exits(0);
    let config: vocalics_train::classical::ClassicalConfig = toml::from_str(&printed.out).unwrap();
    assert_eq!(config.seed, 7);
}

/// Scores of every clip in a `predictions.csv`, by its id.
fn scores(path: &Path) -> std::collections::BTreeMap<String, Vec<f64>> {
    let text = fs::read_to_string(path).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heads = reader.headers().unwrap().clone();
    let columns: Vec<usize> = (0..heads.len())
        .filter(|&at| heads[at].starts_with("score_"))
        .collect();
    let id = heads.iter().position(|head| head == "id").unwrap();
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            let scores = columns.iter().map(|&at| row[at].parse().unwrap());
            (row[id].to_owned(), scores.collect())
        })
        .collect()
}

impl Bench {
    /// Two finished runs, of a network over log-mel and of one that takes functionals too.
    fn two_runs(&self) {
        let text = fs::read_to_string(self.path("tiny.toml")).unwrap();
        let network = "[functionals]\nsets = [\"prosody\"]\n[network]\nkind = \"two-branch\"\nhidden = [4]\n[network.first]\n";
        fs::write(
            self.path("both.toml"),
            text.replace("[network]\n", network)
                .replace("\"tiny\"", "\"both\""),
        )
        .unwrap();
        for config in ["tiny.toml", "both.toml"] {
            let run = config.trim_end_matches(".toml");
            let evaluate = [
                "evaluate",
                "--config",
                config,
                "--corpus",
                &self.corpus,
                "--run",
                run,
            ];
            self.run(&evaluate).exits(0);
        }
    }
}

#[test]
fn finished_runs_answer_together() {
    let bench = Bench::new();
    bench.two_runs();
    let combine = [
        "combine", "tiny", "both", "--shares", "3", "1", "-o", "mean",
    ];
    let run = bench.run(&combine).exits(0);
    assert!(
        run.out
            .contains("ravdess-speech, loso, 4 folds, 2 classes (calm angry)"),
        "{}",
        run.out
    );
    let [first, second, mean] =
        ["tiny", "both", "mean"].map(|run| scores(&bench.path(run).join("predictions.csv")));
    assert_eq!(mean.len(), 24);
    for (id, mean) in &mean {
        for (at, mean) in mean.iter().enumerate() {
            let wanted = 0.75 * first[id][at] + 0.25 * second[id][at];
            assert!((mean - wanted).abs() < 1e-5, "{id}: {mean} {wanted}");
        }
    }
    for file in [
        "metrics.json",
        "history.csv",
        "report.html",
        "member-1.toml",
        "member-2.toml",
        "manifest.csv",
        "ravdess-04/predictions.csv",
    ] {
        assert!(bench.path("mean").join(file).is_file(), "{file}");
    }

    // The model of a fold gives these scores, from the recordings.
    let model = ["--model", "mean/ravdess-03/model.onnx"];
    let rest = [
        "--protocol",
        "loso",
        "--fold",
        "ravdess-03",
        "--corpus",
        &bench.corpus,
        "--run",
        "measured",
    ];
    bench
        .run(&[&["evaluate"][..], &model, &rest].concat())
        .exits(0);
    let measured = scores(&bench.path("measured/predictions.csv"));
    assert_eq!(measured.len(), 6);
    for (id, found) in &measured {
        for (found, wanted) in found.iter().zip(&mean[id]) {
            assert!((found - wanted).abs() < 1e-4, "{id}: {found} {wanted}");
        }
    }

    // The whole is a run like others.
    let with = [
        "--method", "majority", "--with", "mean", "tiny", "--run", "c",
    ];
    bench.compare(&with).exits(0);
    assert_eq!(
        column(&bench.path("c"), "method")[1..],
        ["mean", "residual-cnn"]
    );

    assert_eq!(
        column(&bench.path("c"), "input")[1..],
        ["log-mel + prosody", "log-mel"]
    );

    // And its models are models like others: two of them in one, twice as much of the first.
    let fold = |run: &str| format!("{run}/ravdess-03/model.onnx");
    let files = [fold("tiny"), fold("both"), fold("tiny")];
    let files = files.each_ref().map(String::as_str);
    let join = [&["combine"][..], &files, &["-o", "three.onnx"]].concat();
    bench.run(&join).exits(0).says(&["3 models"]);
    let again = bench.run(&join).exits(1);
    assert!(again.err.contains("three.onnx exists"), "{}", again.err);
    let clip = "speech/Actor_03/03-01-05-01-01-01-03.wav";
    let predict = ["predict", "--model", "three.onnx", "--format", "json", clip];
    let out = bench.run(&predict).exits(0).out;
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    let found = found[0]["scores"]["angry"].as_f64().unwrap();
    let id = first
        .keys()
        .find(|id| id.ends_with("03-01-05-01-01-01-03"))
        .unwrap();
    let wanted = (2.0 * first[id][1] + second[id][1]) / 3.0;
    assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
}

#[test]
fn a_whole_has_a_temperature_of_its_own_where_its_members_have_held_out_clips() {
    let bench = Bench::new();
    let text = fs::read_to_string(bench.path("tiny.toml")).unwrap();
    let paired = "validation_speakers = 0\ntemperature = \"paired-folds\"\n";
    fs::write(
        bench.path("tiny.toml"),
        text.replace("validation_speakers = 1\n", paired),
    )
    .unwrap();
    bench.two_runs();
    let combine = ["combine", "tiny", "both", "-o", "mean"];
    bench.run(&combine).exits(0);
    let temperatures = |run: &str| {
        let text = fs::read_to_string(bench.path(run).join("metrics.json")).unwrap();
        let metrics: serde_json::Value = serde_json::from_str(&text).unwrap();
        let found = metrics["temperatures"].as_object().unwrap().clone();
        assert_eq!(found.len(), 4, "{run}");
        found
    };
    temperatures("tiny");
    let of_mean = temperatures("mean");
    let [first, second, mean] =
        ["tiny", "both", "mean"].map(|run| scores(&bench.path(run).join("predictions.csv")));
    for (id, scores) in &mean {
        let fold = format!("ravdess-{}", &id[id.len() - 2..]);
        let temperature = of_mean[&fold].as_f64().unwrap();
        // Two classes: the odds of the mean, to the power of one over the temperature.
        let mean = |class: usize| 0.5 * (first[id][class] + second[id][class]);
        let wanted = 1.0 / (1.0 + (mean(0) / mean(1)).powf(1.0 / temperature));
        assert!(
            (scores[1] - wanted).abs() < 1e-4,
            "{id}: {scores:?} {wanted}"
        );
    }
    // The file of a fold gives the same.
    let clip = "speech/Actor_03/03-01-05-01-01-01-03.wav";
    let model = ["--model", "mean/ravdess-03/model.onnx", "--format", "json"];
    let predict = [&["predict"][..], &model, &[clip]].concat();
    let out = bench.run(&predict).exits(0).out;
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    let found = found[0]["scores"]["angry"].as_f64().unwrap();
    let same_clip = |id: &&String| id.ends_with("03-01-05-01-01-01-03");
    let wanted = mean[mean.keys().find(same_clip).unwrap()][1];
    assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
    // And what it says of the held-out clips is there for the next whole.
    let again = ["combine", "tiny", "mean", "-o", "nested"];
    bench.run(&again).exits(0);
    temperatures("nested");

    // Nothing is fitted on what a fold tests, whoever wrote it there.
    for run in ["tiny", "both"] {
        let fold = bench.path(run).join("ravdess-01");
        fs::copy(fold.join("predictions.csv"), fold.join("held-out.csv")).unwrap();
    }
    bench
        .run(&["combine", "tiny", "both", "-o", "leaky"])
        .exits(1)
        .says(&["tiny: its list of held-out clips", "ravdess-01 tests"]);
    assert!(!bench.path("leaky").exists());
}

#[test]
fn a_run_on_functionals_alone_is_not_called_one_on_log_mel() {
    let bench = Bench::new();
    fs::write(
        bench.path("alone.toml"),
        "name = \"alone\"\n[functionals]\nsets = [\"prosody\"]\n[network]\nkind = \"functionals-mlp\"\nhidden = [4]\n\
         [training]\nepochs = 1\nbatch_size = 2\ncrop_frames = 16\n\
         [evaluation]\nprotocol = \"loso\"\nvalidation_speakers = 1\nresamples = 200\n",
    )
    .unwrap();
    let base = ["evaluate", "--config", "alone.toml", "--run", "alone"];
    bench
        .run(&[&base[..], &["--corpus", &bench.corpus]].concat())
        .exits(0);
    let alone = ["--method", "majority", "--with", "alone", "--run", "c"];
    bench.compare(&alone).exits(0);
    assert_eq!(column(&bench.path("c"), "input")[1], "prosody");
}

#[test]
fn what_cannot_answer_together_is_refused_and_nothing_is_written() {
    let bench = Bench::new();
    bench.two_runs();
    let combine = |members: &[&str]| {
        let arguments = [&["combine"][..], members, &["-o", "new"]].concat();
        let run = bench.run(&arguments);
        assert!(!bench.path("new").exists(), "{members:?}");
        run
    };
    combine(&["tiny", "tiny/ravdess-01/model.onnx"])
        .exits(2)
        .says(&["cannot be joined with each other", "hint: "]);
    combine(&["tiny", "both", "--shares", "1"])
        .exits(2)
        .says(&["1 numbers for 2 members"]);
    combine(&["tiny", "both", "--shares", "1", "0"])
        .exits(2)
        .says(&["--shares has 0", "one number above 0 for each"]);
    combine(&["tiny", "speech"])
        .exits(1)
        .says(&["speech is no finished run"]);
    combine(&["tiny/ravdess-01/model.onnx", "tiny.toml"])
        .exits(1)
        .says(&["tiny.toml"]);

    // Other labels.
    let base = [
        "evaluate",
        "--config",
        "tiny.toml",
        "--corpus",
        &bench.corpus,
    ];
    let mapped = ["--map", "calm=neutral", "--run", "mapped"];
    bench.run(&[&base[..], &mapped].concat()).exits(0);
    combine(&["tiny", "mapped"])
        .exits(1)
        .says(&["mapped: its label set is neutral angry, expected calm angry"]);
    combine(&["tiny/ravdess-01/model.onnx", "mapped/ravdess-01/model.onnx"])
        .exits(1)
        .says(&[
            "mapped/ravdess-01/model.onnx was refused: model 2 cannot answer together",
            "its labels are neutral angry",
        ]);
    // Other clips.
    let half = ["--fold", "ravdess-01", "--run", "half"];
    bench.run(&[&base[..], &half].concat()).exits(0);
    combine(&["tiny", "half"])
        .exits(1)
        .says(&["half: its test is 6 clips", "expected the 24 clips of tiny"]);
    // A folder that holds something.
    let taken = ["combine", "tiny", "both", "-o", "mapped"];
    let before = fs::read(bench.path("mapped/metrics.json")).unwrap();
    bench
        .run(&taken)
        .exits(1)
        .says(&["mapped", "hint: choose another"]);
    assert_eq!(fs::read(bench.path("mapped/metrics.json")).unwrap(), before);
    // The model of another fold has heard whom this one tests.
    let [here, there] =
        ["ravdess-01", "ravdess-02"].map(|fold| bench.path("both").join(fold).join("model.onnx"));
    fs::copy(there, here).unwrap();
    combine(&["tiny", "both"])
        .exits(1)
        .says(&["both: its list of speakers heard", "ravdess-01"]);
}
