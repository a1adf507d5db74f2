//! `features`, `segment`, `denoise` and `plot` as a user runs them.
#![expect(clippy::unwrap_used, reason = "the helpers of a test may fail it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn clip(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples/audio")
        .join(name)
        .with_extension("wav")
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vocalics"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32, parts: &[&str]) -> String {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    for part in parts {
        assert!(err.contains(part), "no {part:?} in {err}");
    }
    out
}

/// A folder with two clips and a file that is no recording.
fn recordings() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let clips = folder.path().join("clips");
    fs::create_dir(&clips).unwrap();
    for name in ["even", "loud-fast"] {
        fs::copy(clip(name), clips.join(name).with_extension("wav")).unwrap();
    }
    fs::write(clips.join("broken.wav"), b"RIFF nothing").unwrap();
    folder
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let clip = clip("even").display().to_string();
    for set in ["egemaps", "mfcc"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vocalics"))
            .args(["features", "--set", set, "--level", "lld", &clip])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        expect(&output, 0, &[]);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{set}");
    }
}

#[test]
fn every_set_gives_a_table_on_standard_output() {
    let folder = recordings();
    for set in vocalics_features::sets() {
        let set = set.name();
        for level in ["functionals", "lld"] {
            let arguments = ["features", "--set", set, "--level", level, "clips/even.wav"];
            let out = expect(&run(folder.path(), &arguments), 0, &[]);
            let mut lines = out.lines();
            let head = lines.next().unwrap();
            assert!(head.starts_with("file,start,end,"), "{head}");
            let columns = head.split(',').count();
            let lines: Vec<&str> = lines.collect();
            assert!(if level == "lld" {
                lines.len() > 50
            } else {
                lines.len() == 1
            });
            for line in lines {
                assert!(line.starts_with("clips/even.wav,"));
                let cells: Vec<&str> = line.split(',').collect();
                assert_eq!(cells.len(), columns);
                let secs = |cell: usize| cells[cell].parse::<f64>().unwrap();
                assert!(0.0 <= secs(1) && secs(1) < secs(2) && secs(2) <= 3.638);
                assert!(
                    cells[1..]
                        .iter()
                        .all(|cell| cell.parse::<f32>().unwrap().is_finite())
                );
            }
        }
    }
}

#[test]
fn bad_recordings_are_listed_and_end_with_1_unless_told_otherwise() {
    let folder = recordings();
    let base = ["features", "--set", "prosody", "clips", "-o", "out.csv"];
    expect(
        &run(folder.path(), &base),
        1,
        &["broken.wav", "hint: ", "1 of 3 recordings failed"],
    );
    let table = fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert_eq!(table.lines().count(), 3);
    let keep = [&base[..], &["--keep-going", "--jobs", "2"]].concat();
    expect(&run(folder.path(), &keep), 0, &["broken.wav"]);
    assert_eq!(
        fs::read_to_string(folder.path().join("out.csv")).unwrap(),
        table
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn work_that_was_stopped_goes_on() {
    let folder = recordings();
    let base = [
        "features",
        "--set",
        "rhythm",
        "clips",
        "--keep-going",
        "-o",
        "out.csv",
    ];
    expect(&run(folder.path(), &base), 0, &[]);
    let whole = fs::read_to_string(folder.path().join("out.csv")).unwrap();
    let part = folder
        .path()
        .join("out.csv.rhythm-v1-functionals-16000.part");
    let list = part.with_extension("part.files");
    // The first recording, altered, and the beginning of the second.
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    lines[1] = lines[1].replacen(",0.000000,", ",9.000000,", 1);
    let cut = lines[2].len() / 2;
    lines[2].truncate(cut);
    let stop = || {
        fs::write(&part, lines.join("\n")).unwrap();
        let place = fs::canonicalize(folder.path().join("clips/even.wav")).unwrap();
        let found = fs::metadata(&place).unwrap();
        let written = found.modified().unwrap();
        let written = written.duration_since(std::time::UNIX_EPOCH).unwrap();
        let file = format!("{place:?} {} {}", found.len(), written.as_nanos());
        let line = serde_json::to_string(&("clips/even.wav", file)).unwrap();
        fs::write(&list, line + "\n").unwrap();
    };
    stop();
    expect(
        &run(folder.path(), &base),
        0,
        &["1 of 3 recordings were done before"],
    );
    let table = || fs::read_to_string(folder.path().join("out.csv")).unwrap();
    let resumed = table();
    let resumed: Vec<&str> = resumed.lines().collect();
    assert_eq!(resumed[1], lines[1]);
    assert_eq!(resumed[2], whole.lines().nth(2).unwrap());
    assert!(!part.exists() && !list.exists());
    // For other recordings it is not touched.
    let left = format!("{}\nx.wav,0,1\nclips/even.wav,0,1\n", lines[..2].join("\n"));
    fs::write(&part, &left).unwrap();
    let other = [
        "features",
        "--set",
        "rhythm",
        "clips/loud-fast.wav",
        "-o",
        "out.csv",
    ];
    for _ in 0..2 {
        expect(
            &run(folder.path(), &other),
            1,
            &["which is not asked for", "hint: "],
        );
        assert_eq!(fs::read_to_string(&part).unwrap(), left);
    }
    // A recording that changed since is not taken from it, nor one of which nobody knows, nor another of its name.
    stop();
    fs::remove_file(&list).unwrap();
    expect(&run(folder.path(), &base), 0, &["may have changed"]);
    assert_eq!(table(), whole);
    for earlier in [5, 500_000] {
        stop();
        let then = std::time::SystemTime::now() - std::time::Duration::from_secs(earlier);
        let changed = fs::File::options()
            .write(true)
            .open(folder.path().join("clips/even.wav"))
            .unwrap();
        changed.set_modified(then).unwrap();
        expect(&run(folder.path(), &base), 0, &["may have changed"]);
        assert_eq!(table(), whole);
    }
    let other = recordings();
    stop();
    let there = folder.path().join("out.csv");
    let there = ["features", "--set", "rhythm", "clips", "--keep-going", "-o"]
        .into_iter()
        .chain(there.to_str());
    let there: Vec<&str> = there.collect();
    expect(&run(other.path(), &there), 0, &["may have changed"]);
    assert_eq!(table(), whole);
}

#[test]
fn a_killed_run_goes_on_to_the_same_table() {
    let folder = recordings();
    for copy in 0..30 {
        let name = format!("clips/copy-{copy}.wav");
        fs::copy(clip("even"), folder.path().join(name)).unwrap();
    }
    let base = |out| {
        [
            "features",
            "--set",
            "prosody",
            "clips",
            "--keep-going",
            "-o",
            out,
        ]
    };
    expect(&run(folder.path(), &base("whole.csv")), 0, &[]);
    let whole = fs::read_to_string(folder.path().join("whole.csv")).unwrap();
    let part = folder
        .path()
        .join("out.csv.prosody-v1-functionals-16000.part");
    let mut child = Command::new(env!("CARGO_BIN_EXE_vocalics"))
        .args(base("out.csv"))
        .current_dir(folder.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Somewhere in the middle.
    let size = || fs::metadata(&part).map_or(0, |found| found.len());
    while size() < whole.len() as u64 / 3 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    expect(&run(folder.path(), &base("out.csv")), 0, &[]);
    assert_eq!(
        fs::read_to_string(folder.path().join("out.csv")).unwrap(),
        whole
    );
    assert!(!part.exists());
}

#[test]
fn nothing_is_written_over() {
    let folder = recordings();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    let clip = read("clips/even.wav");
    let own = "is one of the recordings";
    for arguments in [
        &[
            "features",
            "--set",
            "rhythm",
            "clips",
            "--format",
            "csv",
            "-o",
            "clips/even.wav",
        ][..],
        &["denoise", "clips/even.wav", "-o", "clips/../clips/even.wav"],
        &[
            "features", "--set", "rhythm", "clips", "--format", "csv", "-o", "clips",
        ],
        &["denoise", "clips/even.wav", "-o", "out.mp3"],
    ] {
        expect(&run(folder.path(), arguments), 2, &["error: ", "hint: "]);
        assert_eq!(read("clips/even.wav"), clip);
    }
    fs::copy(
        folder.path().join("clips/even.wav"),
        folder.path().join("even.png"),
    )
    .unwrap();
    expect(
        &run(folder.path(), &["plot", "even.png", "-o", "even.png"]),
        2,
        &[own],
    );
    // No row is no reason to lose an older table.
    fs::write(folder.path().join("old.csv"), "precious").unwrap();
    let bad = [
        "features",
        "--set",
        "chroma",
        "clips/broken.wav",
        "none.wav",
        "-o",
        "old.csv",
    ];
    expect(&run(folder.path(), &bad), 1, &["old.csv is not written"]);
    assert_eq!(read("old.csv"), b"precious");
    // Once is enough.
    let twice = [
        "features",
        "--set",
        "rhythm",
        "clips/even.wav",
        "clips/even.wav",
    ];
    let out = expect(&run(folder.path(), &twice), 0, &["1 left out"]);
    assert_eq!(out.lines().count(), 2);
}

#[test]
fn options_out_of_range_are_refused() {
    let folder = recordings();
    for arguments in [
        &["segment", "clips/even.wav", "--min-gap", "nan"][..],
        &["segment", "clips/even.wav", "--min-gap", "1e300"],
        &[
            "denoise",
            "clips/even.wav",
            "-o",
            "x.wav",
            "--max-reduction",
            "0",
        ],
    ] {
        expect(
            &run(folder.path(), arguments),
            2,
            &["expected a number from"],
        );
    }
}

#[test]
fn npy_holds_the_numbers_of_the_table() {
    let folder = recordings();
    let base = ["features", "--set", "chroma", "clips", "--keep-going", "-o"];
    expect(
        &run(folder.path(), &[&base[..], &["out.csv"]].concat()),
        0,
        &[],
    );
    expect(
        &run(folder.path(), &[&base[..], &["out.npy"]].concat()),
        0,
        &[],
    );
    let bytes = fs::read(folder.path().join("out.npy")).unwrap();
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (values, rest) = bytes[10 + length..].as_chunks::<4>();
    assert!(rest.is_empty());
    let values: Vec<f32> = values
        .iter()
        .map(|word| f32::from_le_bytes(*word))
        .collect();
    let table = fs::read_to_string(folder.path().join("out.csv")).unwrap();
    let expected: Vec<f32> = table
        .lines()
        .skip(1)
        .flat_map(|line| line.split(',').skip(3).map(|cell| cell.parse().unwrap()))
        .collect();
    assert_eq!(values, expected);
    let index = fs::read_to_string(folder.path().join("out.index.csv")).unwrap();
    assert_eq!(index.lines().next(), Some("file,start,end"));
    assert_eq!(index.lines().count(), 3);
}

#[test]
fn parquet_holds_the_columns_of_the_table() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    let folder = recordings();
    for level in ["functionals", "lld"] {
        let base = [
            "features",
            "--set",
            "prosody",
            "--level",
            level,
            "clips",
            "--keep-going",
            "-o",
        ];
        for out in ["out.csv", "out.parquet"] {
            expect(&run(folder.path(), &[&base[..], &[out]].concat()), 0, &[]);
        }
        let table = fs::read_to_string(folder.path().join("out.csv")).unwrap();
        let file = fs::File::open(folder.path().join("out.parquet")).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let mut lines = table.lines();
        let head: Vec<&str> = lines.next().unwrap().split(',').collect();
        let mut n_rows = 0;
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let names: Vec<&String> = row.get_column_iter().map(|column| column.0).collect();
            assert_eq!(names, head);
            let cells: Vec<&str> = lines.next().unwrap().split(',').collect();
            for ((_, field), cell) in row.get_column_iter().zip(cells) {
                match field {
                    Field::Str(text) => assert_eq!(text, cell),
                    Field::Double(x) => assert!((x - cell.parse::<f64>().unwrap()).abs() < 1e-9),
                    Field::Float(x) => {
                        assert_eq!(x.to_bits(), cell.parse::<f32>().unwrap().to_bits())
                    }
                    other => panic!("{other:?}"),
                }
            }
            n_rows += 1;
        }
        assert!(lines.next().is_none() && n_rows >= 2);
    }
}

#[test]
fn forms_that_are_not_written_are_refused() {
    let folder = recordings();
    for (arguments, part) in [
        (
            ["--set", "mfcc", "clips", "--format", "parquet"],
            "name a file",
        ),
        (["--set", "mfcc", "clips", "-o", "x.dat"], "is not known"),
        (["--set", "mfcc", "clips", "--format", "npy"], "name a file"),
        (["--set", "none", "clips", "-o", "x.csv"], "prosody"),
    ] {
        let arguments = [&["features"][..], &arguments].concat();
        expect(&run(folder.path(), &arguments), 2, &[part]);
    }
    expect(
        &run(folder.path(), &["plot", "clips/even.wav", "-o", "x.pdf"]),
        2,
        &[".svg or .png"],
    );
}

#[test]
fn speech_is_segmented_as_json_and_rttm() {
    let folder = recordings();
    let out = expect(&run(folder.path(), &["segment", "clips/even.wav"]), 0, &[]);
    let found: Value = serde_json::from_str(&out).unwrap();
    let segments = found["segments"].as_array().unwrap();
    assert!(!segments.is_empty());
    for segment in segments {
        assert!(segment["start_secs"].as_f64() < segment["end_secs"].as_f64());
        assert!(segment["end_secs"].as_f64() <= found["duration_secs"].as_f64());
    }
    let network = ["segment", "clips/even.wav", "--method", "rnnoise"];
    let heard: Value =
        serde_json::from_str(&expect(&run(folder.path(), &network), 0, &[])).unwrap();
    assert_eq!(heard["duration_secs"], found["duration_secs"]);
    let out = expect(
        &run(
            folder.path(),
            &["segment", "clips/even.wav", "--format", "rttm"],
        ),
        0,
        &[],
    );
    assert_eq!(out.lines().count(), segments.len());
    assert!(
        out.lines()
            .all(|line| line.starts_with("SPEAKER even 1 ") && line.split(' ').count() == 10)
    );
    expect(
        &run(folder.path(), &["segment", "clips/broken.wav"]),
        1,
        &["error: ", "hint: "],
    );
}

#[test]
fn a_denoised_recording_is_as_long_and_a_plot_is_drawn() {
    let folder = recordings();
    expect(
        &run(
            folder.path(),
            &["denoise", "clips/even.wav", "-o", "out.wav"],
        ),
        0,
        &[],
    );
    let size = |name: &str| fs::metadata(folder.path().join(name)).unwrap().len();
    assert_eq!(size("out.wav"), size("clips/even.wav"));
    let network = ["--method", "rnnoise", "-o", "network.wav"];
    let arguments = [&["denoise", "clips/even.wav"], &network[..]].concat();
    expect(&run(folder.path(), &arguments), 0, &[]);
    assert_eq!(size("network.wav"), size("clips/even.wav"));
    let both = [&arguments[..], &["--max-reduction", "9"]].concat();
    expect(&run(folder.path(), &both), 2, &["not of RNNoise", "hint: "]);
    expect(
        &run(folder.path(), &["plot", "clips/even.wav", "-o", "out.svg"]),
        0,
        &[],
    );
    let svg = fs::read_to_string(folder.path().join("out.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("even.wav"));
    expect(
        &run(folder.path(), &["plot", "clips/even.wav", "-o", "out.png"]),
        0,
        &[],
    );
    let png = fs::read(folder.path().join("out.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
}
