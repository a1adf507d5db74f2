//! A model that moves functionals to the speaker, from the command that trains it to the one that recognises with it.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

mod running;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use running::{Run, command, voice};
use serde_json::Value;

fn run(folder: &Path, arguments: &[&str]) -> Run {
    let mut command = command(folder, arguments);
    Run::of(command.stdin(Stdio::null()).output().unwrap())
}

/// A folder with a configuration over functionals, one over log-mel alone, and RAVDESS speech of three actors.
fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let of = |name: &str, network: &str| {
        let text = format!(
            "name = '{name}'\ncorpora = ['ravdess-speech']\n{network}\n[training]\nepochs = 2\ncrop_frames = 16\n\
             [evaluation]\nprotocol = 'loso'\nvalidation_speakers = 0\nresamples = 100\n"
        );
        fs::write(at.join(format!("{name}.toml")), text).unwrap();
    };
    of("bands", "[network]\nkind = 'light-cnn'\nchannels = [4]");
    of(
        "tiny",
        "[functionals]\nsets = ['prosody']\n[network]\nkind = 'functionals-mlp'\nhidden = [8]",
    );
    for actor in 1..=3u8 {
        let actors = at.join(format!("data/ravdess-speech/Actor_{actor:02}"));
        fs::create_dir_all(&actors).unwrap();
        for (emotion, pitch) in [("01", 130.0), ("05", 230.0)] {
            for take in ["01", "02"] {
                let name = format!("03-01-{emotion}-01-01-{take}-{actor:02}.wav");
                let pitch = pitch + 20.0 * f64::from(actor) + f64::from(u8::from(take == "02"));
                let samples = voice(pitch, 4.0, 0.8);
                vocalics_audio::write_wav16(&actors.join(name), &samples, 16_000).unwrap();
            }
        }
    }
    folder
}

/// The scores of every recording in JSON lines.
fn scores(run: &Run) -> Vec<Value> {
    let rows = run.out.lines();
    rows.map(|line| serde_json::from_str::<Value>(line).unwrap()["scores"].clone())
        .collect()
}

#[test]
fn a_model_hears_its_speaker() {
    let folder = bench();
    let at = folder.path();
    let train = ["train", "tiny.toml", "--data", "data", "--threads", "1"];
    run(at, &[&train[..], &["--speaker-norm"]].concat()).exits(0);
    let config = fs::read_to_string(at.join("runs/tiny/config.toml")).unwrap();
    assert!(config.contains("speaker_norm = true"), "{config}");
    run(at, &[&train[..], &["--run", "runs/plain"]].concat()).exits(0);

    let predict = |model: &str, more: &[&str]| {
        let actor = "data/ravdess-speech/Actor_03";
        let base = ["predict", "-f", "jsonl", "--model", model, actor];
        scores(&run(at, &[&base[..], more].concat()).exits(0))
    };
    let moved = "runs/tiny/model.onnx";
    let alone = predict(moved, &[]);
    let own = ["--speaker-audio", "data/ravdess-speech/Actor_02"];
    assert_eq!(alone.len(), 4);
    assert_ne!(predict(moved, &own), alone);
    let one = predict(moved, &["--one-speaker"]);
    assert_eq!(one[0], alone[0], "nothing was heard before the first");
    assert_ne!(one[3], alone[3]);
    // One at a time or many side by side, the speaker is the same.
    assert_eq!(predict(moved, &["--one-speaker", "--jobs", "1"]), one);
    assert_eq!(
        predict(moved, &[&own[..], &["--jobs", "1"]].concat()),
        predict(moved, &own)
    );
    // It is the functionals, not the scores alone, that move.
    assert_ne!(predict("runs/plain/model.onnx", &own), predict(moved, &own));

    let measured = run(
        at,
        &[
            "evaluate",
            "--model",
            moved,
            "--corpus",
            "ravdess-speech=data/ravdess-speech",
            "--protocol",
            "loso",
            "--allow-seen-speakers",
            "--map",
            "angry=neutral,neutral=calm",
            "--run",
            "measured",
        ],
    );
    assert!(measured.exits(0).out.contains("speaker-calibrated"));
    for file in ["predictions.csv", "speaker-predictions.csv"] {
        let rows = fs::read_to_string(at.join("measured").join(file)).unwrap();
        assert_eq!(rows.lines().count(), 13, "{rows}");
        assert!(rows.lines().next().unwrap().contains("calm"), "{rows}");
    }
}

#[test]
fn it_is_measured_on_a_line_of_its_own_and_refused_where_nothing_moves() {
    let folder = bench();
    let at = folder.path();
    let evaluate = |more: &[&str]| {
        let base = [
            "evaluate",
            "--data",
            "data",
            "--jobs",
            "1",
            "--threads",
            "1",
        ];
        run(at, &[&base[..], more].concat())
    };
    let done = evaluate(&["--config", "tiny.toml", "--speaker-norm"]).exits(0);
    assert!(done.out.contains("speaker-calibrated"), "{}", done.out);
    let written = at.join("runs/tiny-loso/speaker-predictions.csv");
    assert_eq!(fs::read_to_string(written).unwrap().lines().count(), 13);

    let refused = ["--config", "bands.toml", "--speaker-norm"];
    evaluate(&refused).exits(2).says(&[
        "--speaker-norm moves functionals",
        "has none",
        "hint: give it [functionals] sets",
    ]);
    run(
        at,
        &["train", "bands.toml", "--data", "data", "--speaker-norm"],
    )
    .exits(2)
    .says(&["has none", "hint: "]);
    assert!(!at.join("runs/bands-loso").exists() && !at.join("runs/bands").exists());
    let model = at.join("runs/tiny-loso/ravdess-01/model.onnx");
    let model = model.to_str().unwrap();
    let corpus = "ravdess-speech=data/ravdess-speech";
    let fixed = ["evaluate", "--model", model, "--corpus", corpus];
    run(at, &[&fixed[..], &["--speaker-norm"]].concat())
        .exits(2)
        .says(&["is tested as it is", "hint: leave it out"]);
}
