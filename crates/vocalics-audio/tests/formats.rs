//! One clip in 24 formats, the originals, and edge cases: all must decode to what they hold.

#![expect(
    clippy::print_stdout,
    reason = "a test says what it measured and what it skipped"
)]

use std::path::{Path, PathBuf};

use vocalics_audio::{DecodeOptions, EXTENSIONS, Waveform, decode_bytes, read_file};

/// `originals/` of the corpora root, or `None` with a note when there is none.
fn originals() -> Option<PathBuf> {
    let root = std::env::var_os("VOCALICS_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let originals = root.join("originals");
    if originals.is_dir() {
        return Some(originals);
    }
    println!("skipped: no corpora");
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("folder")
        .map(|entry| entry.expect("entry").path())
        .collect();
    files.sort();
    files
}

fn decode(path: &Path) -> Waveform {
    read_file(path, &DecodeOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Pearson correlation of `a` with `b` moved earlier by `lag` samples, over their common part.
fn correlation_at(a: &[f32], b: &[f32], lag: isize) -> f64 {
    let a = &a[(-lag).max(0).unsigned_abs()..];
    let b = &b[lag.max(0).unsigned_abs()..];
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let mean = |x: &[f32]| x.iter().sum::<f32>() / n as f32;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut cross, mut power_a, mut power_b) = (0.0_f64, 0.0_f64, 0.0_f64);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x - mean_a), f64::from(y - mean_b));
        cross += x * y;
        power_a += x * x;
        power_b += y * y;
    }
    cross / (power_a * power_b).sqrt()
}

/// The best correlation with `b` up to 70 ms late, and how late it is in samples at 16 kHz.
fn best_correlation(a: &[f32], b: &[f32]) -> (f64, isize) {
    // One second in the middle finds the place.
    let start = a.len() / 3;
    let lag = (-4..1120)
        .map(|lag: isize| {
            let from = start.saturating_add_signed(lag);
            (
                correlation_at(&a[start..start + 16_000], &b[from..], 0),
                lag,
            )
        })
        .max_by(|x, y| x.0.total_cmp(&y.0))
        .map_or(0, |(_, lag)| lag);
    (correlation_at(a, b, lag), lag)
}

#[test]
fn one_clip_in_24_formats_matches_its_source() {
    let Some(originals) = originals() else { return };
    let folder = originals.join("derived-formats");
    let source = decode(&folder.join("source.wav"));
    let paths = files(&folder);
    let derived = paths.iter().filter(|path| !path.ends_with("source.wav"));
    let mut count = 0;
    for path in derived {
        let file = path
            .file_name()
            .expect("name")
            .to_string_lossy()
            .into_owned();
        let extension = path
            .extension()
            .expect("extension")
            .to_string_lossy()
            .into_owned();
        assert!(
            EXTENSIONS.contains(&extension.as_str()),
            "{file}: extension not listed"
        );
        let decoded = decode(path);
        let direct = correlation_at(source.samples(), decoded.samples(), 0);
        let (best, lag) = if direct > 0.95 {
            (direct, 0)
        } else {
            best_correlation(source.samples(), decoded.samples())
        };
        let format = decoded.source();
        println!(
            "{file:20} {:9} {:14} {:6} Hz x{} {:.4} s  r {direct:.5}, best {best:.5} at {lag}",
            format.container,
            format.codec,
            format.sample_rate,
            format.channels,
            decoded.duration_secs(),
        );
        let lossless = ["pcm_", "flac", "alac"]
            .iter()
            .any(|codec| format.codec.starts_with(codec))
            && !["pcm_alaw", "pcm_mulaw", "pcm_u8"].contains(&format.codec);
        let same_band = format.sample_rate >= 16_000;
        let least = if lossless && same_band { 0.99 } else { 0.95 };
        assert!(
            best > least,
            "{file}: correlation {best} at lag {lag}, expected above {least}"
        );
        // Nothing in ADTS states the encoder's delay. In its speech modes the reference Opus decoder
        // is early by less than a sample at 16 kHz.
        let expected = if file == "aac.aac" { 341..=342 } else { -1..=0 };
        assert!(expected.contains(&lag), "{file}: late by {lag} samples");
        assert!(
            (decoded.duration_secs() - 3.4034).abs() < 0.08,
            "{file}: duration"
        );
        assert!(
            decoded.samples().iter().all(|sample| sample.is_finite()),
            "{file}"
        );
        count += 1;
    }
    assert_eq!(
        count + 1,
        paths.len(),
        "every file of the folder was decoded"
    );
    assert!(count >= 24, "only {count} formats");
}

#[test]
fn originals_with_filler_chunks_and_two_channels_decode() {
    let Some(originals) = originals() else { return };
    for folder in ["ravdess-speech-48k", "ravdess-song-48k", "tess-24414"] {
        for path in files(&originals.join(folder)) {
            let decoded = decode(&path);
            let format = decoded.source();
            println!(
                "{}: {format:?}, {:.3} s",
                path.display(),
                decoded.duration_secs()
            );
            assert_eq!(decoded.sample_rate(), 16_000);
            let expected = (decoded.duration_secs() * 16_000.0).ceil();
            assert!(
                (decoded.samples().len() as f64 - expected).abs() <= 1.0,
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn edge_cases_decode_or_say_why_not() {
    let Some(originals) = originals() else { return };
    for path in files(&originals.join("edge-cases")) {
        match read_file(&path, &DecodeOptions::default()) {
            Ok(decoded) => println!("{}: {:.3} s", path.display(), decoded.duration_secs()),
            Err(error) => {
                println!("{error} [{}]", error.code());
                assert!(["too_short", "empty"].contains(&error.code()), "{error}");
            }
        }
    }
}

/// An ID3v1 tag: 128 bytes.
fn id3v1() -> Vec<u8> {
    let mut tag = b"TAG".to_vec();
    tag.resize(128, b' ');
    tag
}

/// Good files were called truncated or damaged for padding or a tag behind their end.
#[test]
fn bytes_behind_the_end_change_nothing() {
    let Some(originals) = originals() else { return };
    let options = DecodeOptions {
        sample_rate: None,
        ..DecodeOptions::default()
    };
    let tails = [
        vec![0],
        vec![0; 2],
        vec![0; 10],
        vec![0; 26],
        vec![0; 1000],
        id3v1(),
    ];
    for path in files(&originals.join("derived-formats")) {
        let bytes = std::fs::read(&path).expect("read");
        let name = path.file_name().expect("name").to_string_lossy();
        let plain = decode_bytes(bytes.clone(), &name, &options).expect("decodes");
        for tail in &tails {
            let with_tail = [bytes.as_slice(), tail].concat();
            let decoded = decode_bytes(with_tail, &name, &options)
                .unwrap_or_else(|error| panic!("{} bytes: {error}", tail.len()));
            assert!(
                decoded.samples() == plain.samples(),
                "{name}: {} bytes behind the end are heard",
                tail.len()
            );
        }
    }
}

/// It was dropped without a word, or joined to the first less a frame.
#[test]
fn a_second_stream_behind_the_first_is_heard_or_refused() {
    let Some(originals) = originals() else { return };
    let folder = originals.join("derived-formats");
    let options = DecodeOptions::default();
    for (name, between) in [
        ("flac16.flac", Vec::new()),
        ("flac16.flac", id3v1()),
        ("mp3-128k.mp3", Vec::new()),
        ("mp3-128k.mp3", id3v1()),
        ("mp3-vbr-22k05.mp3", Vec::new()),
        ("vorbis.ogg", Vec::new()),
        ("opus.opus", Vec::new()),
        ("opus.webm", Vec::new()),
    ] {
        let bytes = std::fs::read(folder.join(name)).expect("read");
        let twice = [bytes.as_slice(), &between, &bytes].concat();
        let result = decode_bytes(twice, name, &options);
        let error = result.err().unwrap_or_else(|| panic!("{name}: accepted"));
        assert_eq!(error.code(), "unsupported_format", "{error}");
    }
    let bytes = std::fs::read(folder.join("aac.aac")).expect("read");
    let once = decode(&folder.join("aac.aac")).duration_secs();
    let twice = decode_bytes(bytes.repeat(2), "aac.aac", &options).expect("decodes");
    assert!((twice.duration_secs() - 2.0 * once).abs() < 0.001);
}

#[test]
fn every_format_cut_in_half_is_an_error() {
    let Some(originals) = originals() else { return };
    for path in files(&originals.join("derived-formats")) {
        let mut bytes = std::fs::read(&path).expect("read");
        bytes.truncate(bytes.len() / 2 + 3);
        let name = path.file_name().expect("name").to_string_lossy();
        let error = decode_bytes(bytes, &name, &DecodeOptions::default())
            .err()
            .unwrap_or_else(|| panic!("{name}: half a file passed for a whole one"));
        println!("{error} [{}]", error.code());
        assert_eq!(error.code(), "truncated", "{error}");
    }
}
