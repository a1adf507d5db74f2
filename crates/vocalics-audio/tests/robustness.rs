//! Bytes nobody meant to be audio: an error or a waveform, never a panic, never a huge allocation.

#![expect(
    clippy::print_stdout,
    reason = "a test says what it measured and what it skipped"
)]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use vocalics_audio::{DecodeOptions, Waveform, decode_bytes};

/// What must hold whatever the bytes are.
fn check(bytes: Vec<u8>) {
    let result = decode_bytes(bytes, "bytes", &DecodeOptions::default());
    if let Ok(waveform) = result.as_ref().map(Waveform::samples) {
        assert!(!waveform.is_empty() && waveform.iter().all(|sample| sample.is_finite()));
    }
}

const MAGICS: &[&[u8]] = &[
    b"",
    b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data",
    b"RIFF\x24\0\0\0WAVEfmt ",
    b"FORM\0\0\xff\xffAIFFCOMM",
    b"FORM\0\0\xff\xffAIFCFVER",
    b"caff\0\x01\0\0desc\0\0\0\0\0\0\0\x20",
    b"fLaC\0\0\0\x22",
    b"OggS\0\x02\0\0\0\0\0\0\0\0",
    b"\x1a\x45\xdf\xa3",
    b"\0\0\0\x18ftypM4A \0\0\x02\0isomiso2",
    b"\xff\xfb\x94\xc0",
    b"\xff\xf1\x4c\x80",
    b"ID3\x04\0\0\0\0\0\x10",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(
        magic in prop::sample::select(MAGICS.to_vec()),
        tail in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        check([magic, &tail].concat());
    }

    #[test]
    fn arbitrary_wave_headers_never_panic(
        header in prop::array::uniform16(any::<u8>()),
        tag in prop::sample::select(vec![1_u16, 2, 3, 6, 7, 0x11, 0x31, 0xfffe]),
        channels in 0_u16..20,
        tail in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let mut bytes = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0".to_vec();
        bytes.extend(tag.to_le_bytes());
        bytes.extend(channels.to_le_bytes());
        bytes.extend(&header[4..]);
        bytes.extend(b"data\xff\xff\xff\xff");
        bytes.extend(tail);
        check(bytes);
    }
}

fn derived_formats() -> Vec<(PathBuf, Vec<u8>)> {
    let root = std::env::var_os("VOCALICS_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let Ok(folder) = std::fs::read_dir(root.join("originals/derived-formats")) else {
        println!("skipped: no corpora");
        return Vec::new();
    };
    let paths = folder.map(|entry| entry.expect("entry").path());
    paths
        .map(|path| {
            let bytes = std::fs::read(&path).expect("read");
            (path, bytes)
        })
        .collect()
}

/// Peak address space of this process in bytes, where the system tells it.
fn peak_address_space() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmPeak:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

#[test]
fn headers_of_every_format_with_each_field_set_to_the_maximum() {
    let files = derived_formats();
    let before = peak_address_space();
    for (path, bytes) in &files {
        // A short file is enough to reach every header; the samples behind do not matter here.
        let head = if bytes.len() > 60_000 {
            &bytes[..60_000]
        } else {
            &bytes[..]
        };
        for offset in (0..head.len().min(160)).step_by(8) {
            for value in [[0xff_u8; 4], [0; 4]] {
                let mut altered = head.to_vec();
                let end = (offset + 4).min(altered.len());
                altered[offset..end].copy_from_slice(&value[..end - offset]);
                check(altered);
            }
        }
        println!("{}: survived", path.display());
    }
    if let (Some(before), Some(after)) = (before, peak_address_space()) {
        println!("peak address space grew by {} MiB", (after - before) >> 20);
        assert!(
            after - before < 1 << 30,
            "grew from {before} to {after} bytes"
        );
    }
}

#[test]
fn a_small_header_that_claims_four_gigabytes_allocates_little() {
    let before = peak_address_space();
    let mut wave = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    wave.extend(48_000_u32.to_le_bytes());
    wave.extend(96_000_u32.to_le_bytes());
    wave.extend(b"\x02\0\x10\0data\xdc\xff\xff\xff");
    assert_eq!(wave.len(), 44);
    check(wave);
    check(b"\0\0\0\x18ftypM4A \0\0\x02\0isomiso2\xff\xff\xff\xffmoov\xff\xff\xff\xfetrak".to_vec());
    check(b"FORM\xff\xff\xff\xffAIFFSSND\xff\xff\xff\xf0\0\0\0\0\0\0\0\0".to_vec());
    if let (Some(before), Some(after)) = (before, peak_address_space()) {
        assert!(
            after - before < 512 << 20,
            "grew from {before} to {after} bytes"
        );
    }
}
