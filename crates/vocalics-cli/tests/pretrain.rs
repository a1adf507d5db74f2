//! `vocalics pretrain` as a user runs it: what it writes, who may begin from that, and what it refuses.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod running;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use running::{Run, command, voice};

fn run(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = command(folder, arguments);
    Run::of(command.stdin(Stdio::null()).output().unwrap())
}

fn wav(path: &Path, samples: &[f32]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    vocalics_audio::write_wav16(path, samples, 16_000).unwrap();
}

/// A folder with a configuration, unlabelled voices in `calls`, and RAVDESS speech of so many actors in `data/ravdess-speech`.
fn bench(actors: u8) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = r#"
name = "tiny"
corpora = ["ravdess-speech"]
[network]
kind = "cnn-recurrent"
channels = [4, 8]
hidden = 8
attention = 8
[training]
epochs = 2
crop_frames = 32
[evaluation]
protocol = "loso"
validation_speakers = 0
resamples = 100
[byol]
projection_hidden = 16
projection_size = 8
batch_size = 4
"#;
    fs::write(at.join("tiny.toml"), text).unwrap();
    for clip in 0..6u8 {
        let pitch = 110.0 + 20.0 * f64::from(clip);
        let samples = voice(pitch, 3.0 + 0.4 * f64::from(clip), 0.9);
        wav(
            &at.join(format!("calls/day {}/{clip}, a.wav", clip % 2)),
            &samples,
        );
    }
    for actor in 1..=actors {
        for (emotion, pitch) in [("01", 130.0), ("05", 230.0)] {
            for take in ["01", "02"] {
                let name = format!("03-01-{emotion}-01-01-{take}-{actor:02}.wav");
                let pitch = pitch + 3.0 * f64::from(actor) + f64::from(u8::from(take == "02"));
                let path = format!("data/ravdess-speech/Actor_{actor:02}/{name}");
                wav(&at.join(path), &voice(pitch, 4.0, 0.6));
            }
        }
    }
    folder
}

#[test]
fn a_folder_becomes_a_file_that_trainings_begin_from_and_nobody_is_tested_on() {
    let folder = bench(3);
    let at = folder.path();
    let done = run(at, &["pretrain", "tiny.toml", "calls", "--threads", "1"]);
    let done = done.exits(0).says(&[
        "files: 6 clips of speakers who are not all known",
        "run directory: runs/tiny-pretraining",
        "2 epochs, loss",
    ]);
    assert_eq!(done.out, "runs/tiny-pretraining/model.onnx\n");
    let model = "runs/tiny-pretraining/model.onnx";
    let history = fs::read_to_string(at.join("runs/tiny-pretraining/history.csv")).unwrap();
    assert_eq!(history.lines().count(), 3, "{history}");
    assert!(history.starts_with("epoch,loss,embedding_deviation,projection_deviation,"));
    let manifest = fs::read_to_string(at.join("runs/tiny-pretraining/manifest.csv")).unwrap();
    assert!(
        manifest.contains("\"files/calls/day 0/0, a.wav\",files,files-unknown,"),
        "{manifest}"
    );

    // It has no answers of its own.
    run(at, &["predict", "--model", model, "calls"])
        .exits(1)
        .says(&[
            "was pretrained on recordings without labels",
            "hint:",
            "vocalics train --init",
        ]);
    // A training begins from it, and what comes out answers.
    let probe = [
        "train",
        "--init",
        model,
        "--corpus",
        "ravdess-speech",
        "--epochs",
        "1",
        "--run",
        "probe",
    ];
    run(at, &probe).exits(0);
    run(at, &["predict", "--model", "probe/model.onnx", "calls"]).exits(0);
    // Nobody said who speaks in the calls.
    let evaluate = [
        "evaluate",
        "--config",
        "tiny.toml",
        "--init",
        model,
        "--run",
        "eval",
    ];
    run(at, &evaluate).exits(1).says(&[
        "has heard somebody whom nobody named",
        "--allow-seen-speakers",
    ]);
    assert!(!at.join("eval").exists());
}

#[test]
fn speakers_of_corpora_are_known_and_refused_by_name() {
    let folder = bench(4);
    let at = folder.path();
    fs::create_dir_all(at.join("heard/Actor_01")).unwrap();
    for entry in fs::read_dir(at.join("data/ravdess-speech/Actor_01")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        fs::copy(&path, at.join("heard/Actor_01").join(name)).unwrap();
    }
    run(
        at,
        &[
            "pretrain",
            "tiny.toml",
            "--corpus",
            "ravdess-speech=heard",
            "--run",
            "one",
        ],
    )
    .exits(0)
    .says(&["ravdess-speech: 4 clips of 1 speakers"]);
    let evaluate = |fold: &str| {
        let arguments = [
            "evaluate",
            "--config",
            "tiny.toml",
            "--init",
            "one/model.onnx",
            "--fold",
            fold,
            "--epochs",
            "1",
            "--run",
            fold,
        ];
        run(at, &arguments)
    };
    evaluate("ravdess-01")
        .exits(1)
        .says(&["has heard 1 of the test speakers: ravdess-01"]);
    evaluate("ravdess-02").exits(0);
}

#[test]
fn within_a_fold_labels_of_what_comes_first_need_not_be_used() {
    let folder = bench(3);
    let at = folder.path();
    let text = fs::read_to_string(at.join("tiny.toml")).unwrap();
    let text = text
        + "[transfer.pretrain]\ncorpora = ['ravdess-speech']\nepochs = 2\nobjective = 'byol'\n";
    fs::write(at.join("first.toml"), text).unwrap();
    run(
        at,
        &[
            "evaluate",
            "--config",
            "first.toml",
            "--run",
            "first",
            "--jobs",
            "1",
        ],
    )
    .exits(0)
    .says(&[
        "before that, without labels:",
        "ravdess-speech: 12 clips of 3 speakers",
    ]);
    let history = fs::read_to_string(at.join("first/ravdess-02/before/history.csv")).unwrap();
    assert_eq!(history.lines().count(), 3);
    let manifest = fs::read_to_string(at.join("first/manifest.csv")).unwrap();
    let leaked = |line: &&str| {
        line.ends_with(",ravdess-02,before") && line.split(',').nth(2) == Some("ravdess-02")
    };
    assert_eq!(manifest.lines().find(leaked), None);
    assert!(manifest.contains(",unlabelled,ravdess-02,before"));
}

#[test]
fn what_cannot_be_learnt_from_is_said_with_what_to_do() {
    let folder = bench(0);
    let at = folder.path();
    fs::create_dir_all(at.join("empty")).unwrap();
    fs::create_dir_all(at.join("bad")).unwrap();
    fs::write(at.join("bad/1.wav"), b"no sound").unwrap();
    for clip in 0..3 {
        wav(&at.join(format!("silence/{clip}.wav")), &[0.0; 16_000]);
    }
    let text = fs::read_to_string(at.join("tiny.toml")).unwrap();
    fs::write(
        at.join("kind.toml"),
        text.replace("cnn-recurrent", "transformer"),
    )
    .unwrap();
    fs::write(at.join("head.toml"), "[network]\nkind = 'head'\n").unwrap();
    fs::write(at.join("tau.toml"), "[byol]\ntau_base = 1.5\n").unwrap();
    for (arguments, parts) in [
        (&["tiny.toml", "empty"][..], &["no recordings in empty"][..]),
        (
            &["tiny.toml", "missing.wav"],
            &["1 of 1 recordings cannot be used", "missing.wav"],
        ),
        (
            &["tiny.toml", "bad"],
            &["1 of 1 recordings cannot be used", "bad/1.wav"],
        ),
        (
            &["tiny.toml", "bad", "--keep-going"],
            &["0 recording(s) to pretrain on"],
        ),
        (
            &["tiny.toml", "silence"],
            &["3 of 3 recordings cannot be used"],
        ),
        (
            &["tiny.toml", "silence", "--keep-going"],
            &["0 recording(s) to pretrain on"],
        ),
        (
            &["tiny.toml", "calls/day 0/0, a.wav"],
            &["1 recording(s) to pretrain on"],
        ),
        (&["tiny.toml"], &["no corpus ravdess-speech under data"]),
        (&["kind.toml", "calls"], &["unknown variant `transformer`"]),
        (&["head.toml", "calls"], &["network.kind is \"head\""]),
        (&["tau.toml", "calls"], &["byol.tau_base is 1.5"]),
        (&["none.toml", "calls"], &["cannot read none.toml"]),
    ] {
        let arguments: Vec<&str> = ["pretrain"].iter().chain(arguments).copied().collect();
        run(at, &arguments).exits(1).says(parts).says(&["hint: "]);
        assert!(!at.join("runs/tiny-pretraining").exists(), "{arguments:?}");
    }
    run(at, &["pretrain", "tiny.toml", "-"]).exits(2);
    run(at, &["pretrain"]).exits(2);
}
