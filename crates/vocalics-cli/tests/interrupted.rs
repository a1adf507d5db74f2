//! A training killed with SIGKILL and started again ends with the numbers of one that was not.
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SPEAKERS: u16 = 3;
const CLIPS: u16 = 6;

/// Tones of two classes, steady and trembling, by three "speakers", and a manifest of them.
fn corpus(folder: &Path) -> PathBuf {
    let mut manifest = String::from("path,speaker,emotion\n");
    for speaker in 0..SPEAKERS {
        for clip in 0..CLIPS {
            let trembling = clip % 2 == 1;
            let pitch = 0.05 + 0.01 * f32::from(speaker);
            let samples: Vec<f32> = (0..12_000 + 800 * clip)
                .map(|i| {
                    let i = f32::from(i);
                    let level = if trembling {
                        0.2 + 0.15 * (i * 0.004).sin()
                    } else {
                        0.2
                    };
                    level * ((i * pitch).sin() + 0.3 * (i * pitch * 3.0).sin())
                })
                .collect();
            let name = format!("{speaker}-{clip}.wav");
            vocalics_audio::write_wav16(&folder.join(&name), &samples, 16_000).expect("a clip");
            let emotion = if trembling { "angry" } else { "neutral" };
            manifest += &format!("{name},s{speaker},{emotion}\n");
        }
    }
    let path = folder.join("clips.csv");
    std::fs::write(&path, manifest).expect("a manifest");
    path
}

fn config(folder: &Path) -> PathBuf {
    let path = folder.join("config.toml");
    let text = r#"
name = "interrupted"
corpora = ["manifest"]
[network]
kind = "residual-cnn"
channels = [4, 8]
attention = 8
[training]
epochs = 6
batch_size = 4
crop_frames = 32
[evaluation]
protocol = "loso"
validation_speakers = 1
resamples = 100
"#;
    std::fs::write(&path, text).expect("a configuration");
    path
}

fn evaluate(folder: &Path, run: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_vocalics"))
        .args(["evaluate", "--jobs", "1", "--protocol", "loso", "--config"])
        .arg(folder.join("config.toml"))
        .arg("--corpus")
        .arg(format!("manifest={}", folder.join("clips.csv").display()))
        .arg("--run")
        .arg(run)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn finish(child: Child) {
    let output = child.wait_with_output().expect("the binary ends");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn checkpoints(run: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(run) else {
        return 0;
    };
    entries
        .flatten()
        .filter(|entry| entry.path().join("checkpoint").is_file())
        .count()
}

#[test]
fn a_killed_training_ends_with_the_same_numbers() {
    let folder = tempfile::tempdir().expect("temporary folder");
    corpus(folder.path());
    config(folder.path());
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    finish(evaluate(folder.path(), &whole));

    let mut kills = 0;
    for wanted in 1..=usize::from(SPEAKERS) {
        let mut child = evaluate(folder.path(), &killed);
        let deadline = Instant::now() + Duration::from_secs(120);
        while checkpoints(&killed) < wanted && Instant::now() < deadline {
            if child.try_wait().expect("the state of the binary").is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        if child.try_wait().expect("the state of the binary").is_none() {
            child.kill().expect("SIGKILL");
            kills += 1;
        }
        child.wait().expect("the binary ends");
    }
    assert!(kills > 0, "the training ended before it could be killed");
    finish(evaluate(folder.path(), &killed));
    for name in ["predictions.csv", "metrics.json"] {
        let read = |run: &Path| std::fs::read_to_string(run.join(name)).expect(name);
        assert_eq!(read(&whole), read(&killed), "{name}");
    }
}
