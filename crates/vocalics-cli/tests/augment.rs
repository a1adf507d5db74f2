//! `augment` as a user runs it.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use vocalics_audio::{DecodeOptions, read_file, write_wav16};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/audio")
}

/// A folder with two clips, one of them at another rate and loud, and a file that is no recording.
fn bench() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let clips = folder.path().join("clips");
    fs::create_dir(&clips).unwrap();
    fs::copy(examples().join("even.wav"), clips.join("even.wav")).unwrap();
    let loud: Vec<f32> = (0..22_050_u16)
        .map(|n| 0.99 * (f32::from(n) * 0.06).sin())
        .collect();
    write_wav16(&clips.join("loud.wav"), &loud, 22_050).unwrap();
    fs::write(folder.path().join("broken.wav"), b"RIFF nothing").unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vocalics"))
        .arg("augment")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) {
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(output.stdout.is_empty());
    for part in parts {
        assert!(err.contains(part), "no {part:?} in {err}");
    }
}

fn read(path: &Path) -> (Vec<f32>, u32) {
    let options = DecodeOptions {
        sample_rate: None,
        ..DecodeOptions::default()
    };
    let waveform = read_file(path, &options).unwrap();
    let rate = waveform.sample_rate();
    (waveform.into_samples(), rate)
}

#[test]
fn examples_keep_rate_and_come_with_a_listing() {
    let folder = bench();
    let base = ["clips", "--plan", "everything", "-n", "3", "-o"];
    let (a, b) = (
        [&base[..], &["a"]].concat(),
        [&base[..], &["b", "--jobs", "1"]].concat(),
    );
    let out = run(folder.path(), &a);
    expect(
        &out,
        0,
        &["not given: babble (--babble), recorded noise (--noise), recorded rooms (--rooms)\n"],
    );
    expect(&run(folder.path(), &b), 0, &[]);
    for (stem, rate) in [("even", 16_000), ("loud", 22_050)] {
        for number in 1..=3 {
            let name = format!("{stem}-{number}.wav");
            assert_eq!(read(&folder.path().join("a").join(&name)).1, rate);
            let bytes = |run: &str| fs::read(folder.path().join(run).join(&name)).unwrap();
            assert_eq!(bytes("a"), bytes("b"), "{name}");
        }
    }
    let listing = |run: &str| fs::read_to_string(folder.path().join(run).join("examples.csv"));
    assert_eq!(listing("a").unwrap(), listing("b").unwrap());
    assert_eq!(listing("a").unwrap().lines().count(), 7);
    assert_eq!(fs::read_dir(folder.path().join("a")).unwrap().count(), 7);

    let other = [&base[..], &["c", "--seed", "2", "--format", "json"]].concat();
    expect(&run(folder.path(), &other), 0, &[]);
    let json = fs::read(folder.path().join("c/examples.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&json).unwrap();
    assert_eq!(rows.len(), 6);
    for row in &rows {
        let file = folder.path().join("c").join(row["file"].as_str().unwrap());
        let (samples, rate) = read(&file);
        let secs = samples.len() as f64 / f64::from(rate);
        assert!((row["duration_secs"].as_f64().unwrap() - secs).abs() < 1e-9);
        assert!(row["seed"].is_u64());
        assert!(
            row["steps"]
                .as_array()
                .unwrap()
                .iter()
                .all(|step| step["step"].is_string())
        );
    }
}

#[test]
fn nothing_clips_unsaid() {
    let folder = bench();
    fs::write(
        folder.path().join("louder.toml"),
        "[[step]]\nkind = \"gain\"\ngain_db = 6\n",
    )
    .unwrap();
    let out = run(
        folder.path(),
        &[
            "clips/loud.wav",
            "-p",
            "louder.toml",
            "-o",
            "out",
            "-f",
            "json",
        ],
    );
    expect(&out, 0, &["1 of 1 examples are scaled down"]);
    let (samples, _) = read(&folder.path().join("out/loud-1.wav"));
    let loudest = samples.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    assert!((loudest - 32_767.0 / 32_768.0).abs() < 1e-4);
    let at_full = samples.iter().filter(|x| x.abs() > 0.9999).count();
    // A sine touches full scale now and then; a clipped one stays there.
    assert!(at_full < samples.len() / 50, "{at_full}");
    let json = fs::read(folder.path().join("out/examples.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&json).unwrap();
    // 0.99 · 1.995 is 5.91 dB over full scale.
    assert!((rows[0]["scaled_db"].as_f64().unwrap() + 5.91).abs() < 0.02);
}

#[test]
fn folders_are_drawn_from_but_not_the_recording_itself() {
    let folder = bench();
    for name in ["flat-slow", "loud-fast"] {
        let file = Path::new(name).with_extension("wav");
        fs::copy(
            examples().join(&file),
            folder.path().join("clips").join(file),
        )
        .unwrap();
    }
    fs::write(
        folder.path().join("mine.toml"),
        "[[step]]\nkind = \"noise\"\nsources = [\"recorded\"]\nsnr_db = 5\n\
         [[step]]\nkind = \"copy-paste\"\npartners = [\"neutral\"]\n",
    )
    .unwrap();
    let base = ["clips/even.wav", "-p", "mine.toml", "-n", "9", "-o", "out"];
    let drawn = ["-f", "json", "--noise", "clips", "--neutral", "clips"];
    expect(&run(folder.path(), &[&base[..], &drawn].concat()), 0, &[]);
    let json = fs::read_to_string(folder.path().join("out/examples.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    for row in rows {
        for step in row["steps"].as_array().unwrap() {
            let file = step["file"].as_str().unwrap();
            assert!(!file.contains("even.wav"), "{file}");
        }
    }
    let base = ["clips/even.wav", "-p", "mine.toml", "-o", "bare"];
    expect(
        &run(folder.path(), &base),
        1,
        &[
            "step 1, noise: no recorded noise to draw from",
            "hint: give --noise DIR, or a plan without that step",
        ],
    );
    assert!(!folder.path().join("bare").exists(), "refused before");
    let neutral = ["clips", "-p", "copy-paste", "-o", "bare"];
    expect(
        &run(folder.path(), &neutral),
        1,
        &["step 1, copy-paste", "--same-class DIR or --neutral DIR"],
    );
    let unused = ["clips", "-p", "telephone", "--rooms", "clips", "-o", "bare"];
    expect(
        &run(folder.path(), &unused),
        2,
        &[
            "--rooms: no step of the plan draws recorded rooms",
            "hint: ",
        ],
    );
    let none = [&base[..], &["--neutral", "clips", "--noise", "none"]].concat();
    expect(
        &run(folder.path(), &none),
        1,
        &["cannot read none", "hint: "],
    );
}

#[test]
fn bad_recordings_and_bad_usage_are_told() {
    let folder = bench();
    let base = [
        "broken.wav",
        "clips/even.wav",
        "-p",
        "telephone",
        "-o",
        "out",
    ];
    expect(
        &run(folder.path(), &base),
        1,
        &["error: broken.wav: ", "hint: ", "1 of 2 recordings failed"],
    );
    assert!(folder.path().join("out/even-1.wav").is_file());
    expect(
        &run(folder.path(), &base),
        1,
        &["even-1.wav exists", "--overwrite"],
    );
    let keep = [&base[..], &["--keep-going", "--overwrite"]].concat();
    expect(&run(folder.path(), &keep), 0, &["broken.wav"]);
    let only = ["broken.wav", "-p", "telephone", "-o", "empty"];
    expect(&run(folder.path(), &only), 1, &[]);
    assert_eq!(
        fs::read_dir(folder.path().join("empty")).unwrap().count(),
        0
    );

    let with = |plan: &str| run(folder.path(), &["clips", "-p", plan, "-o", "x"]);
    expect(
        &with("noises"),
        1,
        &["no plan noises", "everything", "hint: "],
    );
    fs::write(
        folder.path().join("bad.toml"),
        "[[step]]\nkind = \"gain\"\ngain = 3\n",
    )
    .unwrap();
    expect(
        &with("bad.toml"),
        1,
        &["bad.toml is no plan", "step 1 (line 1), gain: ", "gain_db"],
    );
    fs::write(
        folder.path().join("bad.toml"),
        "[[step]]\nkind = \"speed\"\nspeed = 9\n",
    )
    .unwrap();
    expect(
        &with("bad.toml"),
        1,
        &["step 1, speed", "speed is [9, 9]", "hint: "],
    );
    let into = [
        "clips",
        "-p",
        "noise",
        "--noise",
        "clips",
        "-o",
        "clips/out",
    ];
    expect(&run(folder.path(), &into), 2, &["lies in clips"]);
    assert!(!folder.path().join("clips/out").exists(), "refused before");
    for output in ["clips", "clips/new/deep"] {
        let inside = ["clips", "-p", "room", "-o", output];
        expect(
            &run(folder.path(), &inside),
            2,
            &["lies in clips", "for recordings"],
        );
    }
    assert!(!folder.path().join("clips/new").exists(), "refused before");
    fs::copy(
        folder.path().join("clips/even.wav"),
        folder.path().join("loud-1.wav"),
    )
    .unwrap();
    let over = ["loud-1.wav", "clips/loud.wav", "-p", "room", "-o", "."];
    expect(
        &run(folder.path(), &over),
        2,
        &["loud-1.wav is one of the recordings"],
    );
    let gone = ["clips", "-p", "room", "--rooms", "nowhere", "-o", "y"];
    expect(&run(folder.path(), &gone), 1, &["cannot read nowhere"]);
    assert!(!folder.path().join("y").exists(), "refused before");
    let file = ["clips", "-p", "room", "-o", "broken.wav"];
    expect(
        &run(folder.path(), &file),
        1,
        &["cannot make broken.wav", "hint: "],
    );
}
