//! Each way in which a recording can be unusable, and what the user is told.

use vocalics_audio::{
    AudioError, DecodeOptions, Waveform, decode_bytes, from_pcm16, read_file, read_stream,
    write_wav16,
};

/// Half a second of a sawtooth, 16 bit.
fn samples() -> Vec<u8> {
    (0..8000_i16)
        .flat_map(|n| ((n % 200 - 100) * 100).to_le_bytes())
        .collect()
}

struct Wav {
    tag: u16,
    channels: u16,
    sample_rate: u32,
    bits: u16,
    data_len: Option<u32>,
    data: Vec<u8>,
}

impl Default for Wav {
    fn default() -> Self {
        Self {
            tag: 1,
            channels: 1,
            sample_rate: 16_000,
            bits: 16,
            data_len: None,
            data: samples(),
        }
    }
}

impl Wav {
    fn bytes(&self) -> Vec<u8> {
        let data_len = self
            .data_len
            .unwrap_or_else(|| self.data.len().try_into().expect("small"));
        let block = self.channels.wrapping_mul(self.bits.div_ceil(8));
        let mut bytes = b"RIFF".to_vec();
        bytes.extend(data_len.saturating_add(36).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0");
        bytes.extend(self.tag.to_le_bytes());
        bytes.extend(self.channels.to_le_bytes());
        bytes.extend(self.sample_rate.to_le_bytes());
        bytes.extend(
            self.sample_rate
                .wrapping_mul(u32::from(block))
                .to_le_bytes(),
        );
        bytes.extend(block.to_le_bytes());
        bytes.extend(self.bits.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend(data_len.to_le_bytes());
        bytes.extend(&self.data);
        bytes
    }
}

fn decode(bytes: Vec<u8>) -> Result<Waveform, AudioError> {
    decode_bytes(bytes, "clip.wav", &DecodeOptions::default())
}

/// The error's code, after checking what every error must have.
fn code(result: Result<Waveform, AudioError>) -> &'static str {
    let error = result.expect_err("an error");
    let message = error.to_string();
    assert!(message.starts_with("clip.wav: "), "no name in {message:?}");
    assert!(!message.ends_with('.') && !error.hint().is_empty() && !error.hint().ends_with('.'));
    error.code()
}

#[test]
fn a_plain_wave_file_decodes_exactly() {
    let waveform = decode(Wav::default().bytes()).expect("decodes");
    assert_eq!(waveform.samples().len(), 8000);
    assert!((waveform.duration_secs() - 0.5).abs() < 1e-12);
    let expected = from_pcm16(&samples(), 16_000, 1, &DecodeOptions::default()).expect("raw");
    assert_eq!(waveform.samples(), expected.samples());
    assert_eq!(waveform.source().codec, "pcm_s16le");
    assert_eq!(
        (
            waveform.source().container,
            waveform.source().bits_per_sample
        ),
        ("wav", Some(16))
    );
}

/// Samples that are read at another width than they have are noise, and noise has an emotion too.
#[test]
fn a_header_that_contradicts_itself() {
    const BYTE_RATE: usize = 28;
    const BLOCK: usize = 32;
    const BITS: usize = 34;
    let set = |bytes: &mut Vec<u8>, at: usize, value: u16| {
        bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    };
    let plain = Wav::default().bytes();
    // 24 bits in slots of four bytes; samples of 16 bits said to have 8; two channels said to be one.
    for (bits, block) in [(24, 4), (8, 2), (16, 4), (32, 65_535)] {
        let mut bytes = plain.clone();
        set(&mut bytes, BITS, bits);
        set(&mut bytes, BLOCK, block);
        let rate = 16_000_u32.wrapping_mul(u32::from(block));
        bytes[BYTE_RATE..BYTE_RATE + 4].copy_from_slice(&rate.to_le_bytes());
        assert_eq!(code(decode(bytes)), "damaged", "{bits} bits, {block} bytes");
    }
    // A wrong size of a block alone, where the rate of bytes agrees with the rest, is a careless writer's.
    let mut bytes = plain.clone();
    set(&mut bytes, BLOCK, 4);
    let careless = decode(bytes).expect("decodes");
    assert_eq!(
        careless.samples(),
        decode(plain).expect("decodes").samples()
    );
}

#[test]
fn not_audio() {
    assert_eq!(
        code(decode(b"This is a letter, not a recording.".to_vec())),
        "not_audio"
    );
    assert_eq!(code(decode(vec![0; 50_000])), "not_audio");
    assert_eq!(
        code(decode(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3".repeat(500))),
        "not_audio"
    );
}

#[test]
fn known_but_unsupported_formats_are_named() {
    for (magic, name) in [
        (b"wvpk", "WavPack"),
        (b"MAC ", "Monkey's Audio"),
        (b"RF64", "RF64"),
    ] {
        let mut bytes = magic.to_vec();
        bytes.resize(4000, 0);
        let error = decode(bytes).expect_err("unsupported");
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(error.code(), "unsupported_format");
    }
    let gsm = Wav {
        tag: 0x31,
        bits: 8,
        ..Wav::default()
    };
    let error = decode(gsm.bytes()).expect_err("GSM");
    assert!(
        matches!(&error, AudioError::Unsupported { codec, .. } if codec.contains("GSM")),
        "{error}"
    );
}

/// They were called damaged, with the advice to download them again.
#[test]
fn wave_files_of_other_widths_are_unsupported() {
    for (tag, bits, name) in [
        (1, 12, "12-bit PCM"),
        (1, 20, "20-bit PCM"),
        (1, 64, "64-bit PCM"),
        (3, 16, "16-bit float"),
    ] {
        let plain = Wav {
            tag,
            bits,
            ..Wav::default()
        }
        .bytes();
        // The same by the extended header, which names the coding in its sub-format.
        let mut extended = plain[..36].to_vec();
        extended[16] = 40;
        extended[20..22].copy_from_slice(&0xfffe_u16.to_le_bytes());
        extended.extend(22_u16.to_le_bytes());
        extended.extend(bits.to_le_bytes());
        extended.extend(4_u32.to_le_bytes());
        extended.extend(tag.to_le_bytes());
        extended.extend(b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71");
        extended.extend(&plain[36..]);
        for bytes in [plain, extended] {
            let error = decode(bytes).expect_err(name);
            assert_eq!(error.code(), "unsupported_format", "{error}");
            assert!(error.to_string().contains(name), "{error}");
            assert!(error.hint().contains("ffmpeg"), "{}", error.hint());
        }
    }
}

#[test]
fn empty() {
    assert_eq!(code(decode(Vec::new())), "empty");
    assert_eq!(
        code(decode(
            Wav {
                data: Vec::new(),
                ..Wav::default()
            }
            .bytes()
        )),
        "empty"
    );
    assert!(matches!(
        Waveform::new(Vec::new(), 16_000),
        Err(AudioError::Empty { .. })
    ));
}

#[test]
fn truncated() {
    let whole = Wav::default().bytes();
    for len in [6, 20, 40, 43, 44, 1000, whole.len() - 2] {
        assert_eq!(
            code(decode(whole[..len].to_vec())),
            "truncated",
            "cut to {len} bytes"
        );
    }
    let odd = from_pcm16(&samples()[..7999], 16_000, 1, &DecodeOptions::default());
    assert_eq!(odd.expect_err("odd").code(), "truncated");
}

#[test]
fn too_short_and_too_long() {
    let short = Wav {
        data: samples()[..2 * 3199].to_vec(),
        ..Wav::default()
    };
    assert_eq!(code(decode(short.bytes())), "too_short");
    // 0.1999375 s, which must not read as the 0.2 s that are asked for.
    let message = decode(short.bytes()).expect_err("short").to_string();
    assert!(message.contains("0.199 s, at least 0.2 s"), "{message}");
    let just = Wav {
        data: samples()[..2 * 3200].to_vec(),
        ..Wav::default()
    };
    assert!(decode(just.bytes()).is_ok(), "0.2 s is enough");
    let options = DecodeOptions {
        max_duration_secs: 0.4,
        ..DecodeOptions::default()
    };
    assert_eq!(
        code(decode_bytes(Wav::default().bytes(), "clip.wav", &options)),
        "too_long"
    );
    let options = DecodeOptions {
        max_duration_secs: 0.5,
        ..DecodeOptions::default()
    };
    assert!(
        decode_bytes(Wav::default().bytes(), "clip.wav", &options).is_ok(),
        "just 0.5 s"
    );
}

#[test]
fn too_large() {
    let options = DecodeOptions {
        max_bytes: 1000,
        ..DecodeOptions::default()
    };
    assert_eq!(
        code(decode_bytes(Wav::default().bytes(), "clip.wav", &options)),
        "too_large"
    );
    assert_eq!(
        code(read_stream(std::io::repeat(1), "clip.wav", &options)),
        "too_large"
    );
}

#[test]
fn non_finite_samples() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut floats = vec![0.1_f32; 8000];
        floats[1234] = bad;
        let data = floats
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        let result = decode(
            Wav {
                tag: 3,
                bits: 32,
                data,
                ..Wav::default()
            }
            .bytes(),
        );
        assert!(
            matches!(result, Err(AudioError::NonFinite { index: 1234, .. })),
            "{result:?}"
        );
        assert!(matches!(
            Waveform::new(floats, 16_000),
            Err(AudioError::NonFinite { index: 1234, .. })
        ));
    }
    // Finite, but the filter's sum would not be.
    let data = [0.0, f32::MAX, -f32::MAX]
        .repeat(8000)
        .iter()
        .flat_map(|s| s.to_le_bytes())
        .collect();
    let huge = Wav {
        tag: 3,
        bits: 32,
        sample_rate: 44_100,
        data,
        ..Wav::default()
    };
    let result = decode(huge.bytes());
    assert!(
        matches!(result, Err(AudioError::NonFinite { index: 1, .. })),
        "{result:?}"
    );
}

#[test]
fn too_many_channels_and_none() {
    let many = Wav {
        channels: 17,
        data: samples().repeat(17),
        ..Wav::default()
    };
    let result = decode(many.bytes());
    assert!(matches!(
        result,
        Err(AudioError::TooManyChannels {
            actual: 17,
            max: 16,
            ..
        })
    ));
    assert_eq!(
        code(decode(
            Wav {
                channels: u16::MAX,
                ..Wav::default()
            }
            .bytes()
        )),
        "too_many_channels"
    );
    assert_eq!(
        code(decode(
            Wav {
                channels: 0,
                ..Wav::default()
            }
            .bytes()
        )),
        "damaged"
    );
    let many = DecodeOptions {
        max_channels: 2,
        ..DecodeOptions::default()
    };
    let result = from_pcm16(&samples(), 16_000, 4, &many);
    assert!(matches!(
        result,
        Err(AudioError::TooManyChannels {
            actual: 4,
            max: 2,
            ..
        })
    ));
}

#[test]
fn impossible_sample_rates() {
    for sample_rate in [0, 1, 99, 384_001, u32::MAX] {
        let result = decode(
            Wav {
                sample_rate,
                ..Wav::default()
            }
            .bytes(),
        );
        assert!(
            matches!(&result, Err(AudioError::SampleRate { actual, .. }) if *actual == sample_rate)
                || matches!(&result, Err(AudioError::Damaged { .. })),
            "{sample_rate}: {result:?}"
        );
        assert!(from_pcm16(&samples(), sample_rate, 1, &DecodeOptions::default()).is_err());
        assert!(Waveform::new(vec![0.0; 10], sample_rate).is_err());
    }
}

#[test]
fn lengths_written_by_pipes_are_legal() {
    let whole = decode(Wav::default().bytes()).expect("decodes");
    for placeholder in [
        0,
        0x7fff_f000,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX - 36,
        u32::MAX,
    ] {
        let piped = Wav {
            data_len: Some(placeholder),
            ..Wav::default()
        };
        let decoded = decode(piped.bytes()).unwrap_or_else(|e| panic!("{placeholder:#x}: {e}"));
        assert_eq!(decoded.samples(), whole.samples(), "{placeholder:#x}");
    }
}

#[test]
fn a_header_alone_that_claims_four_gigabytes_is_an_error() {
    for claim in [0x7fff_f000, u32::MAX - 36, u32::MAX] {
        let bytes = Wav {
            data_len: Some(claim),
            data: Vec::new(),
            ..Wav::default()
        }
        .bytes();
        assert_eq!(bytes.len(), 44);
        assert_eq!(code(decode(bytes)), "truncated");
    }
}

#[test]
fn chunks_around_the_samples_are_no_samples() {
    let whole = decode(Wav::default().bytes()).expect("decodes");
    let plain = Wav::default().bytes();
    let mut padded = plain[..36].to_vec();
    padded.extend(b"FLLR\x05\0\0\0hello\0"); // odd length: one pad byte
    padded.extend(&plain[36..]);
    padded.extend(b"LIST\x04\0\0\0INFO");
    assert_eq!(decode(padded).expect("decodes").samples(), whole.samples());
    let mut empty = Wav {
        data: Vec::new(),
        ..Wav::default()
    }
    .bytes();
    empty.extend(b"LIST\x04\0\0\0INFO");
    assert_eq!(code(decode(empty)), "empty");
}

#[test]
fn an_id3_tag_in_front_does_not_hide_the_format() {
    let mut bytes = b"ID3\x04\0\0\0\0\x01\x00".to_vec();
    bytes.extend([0; 128]);
    bytes.extend(Wav::default().bytes());
    assert_eq!(decode(bytes).expect("decodes").samples().len(), 8000);
}

#[test]
fn channels_are_averaged_and_silence_is_no_error() {
    let stereo: Vec<u8> = (0..8000)
        .flat_map(|_| [16_384_i16, -8192])
        .flat_map(i16::to_le_bytes)
        .collect();
    let waveform = decode(
        Wav {
            channels: 2,
            data: stereo,
            ..Wav::default()
        }
        .bytes(),
    )
    .expect("stereo");
    assert_eq!(waveform.samples().len(), 8000);
    assert!(
        waveform
            .samples()
            .iter()
            .all(|sample| (sample - 0.125).abs() < 1e-6)
    );
    let silent = decode(
        Wav {
            data: vec![0; 16_000],
            ..Wav::default()
        }
        .bytes(),
    )
    .expect("silence");
    assert!(silent.samples().iter().all(|&sample| sample.abs() < 1e-9));
    assert!(silent.clipped_ratio().abs() < 1e-9);
}

#[test]
fn clipping_is_measured_before_resampling() {
    let data = (0..24_000)
        .map(|n| if n % 8 < 4 { i16::MAX } else { 0 })
        .flat_map(i16::to_le_bytes);
    let loud = Wav {
        sample_rate: 48_000,
        data: data.collect(),
        ..Wav::default()
    };
    let waveform = decode(loud.bytes()).expect("decodes");
    assert!(
        (waveform.clipped_ratio() - 0.5).abs() < 1e-3,
        "{}",
        waveform.clipped_ratio()
    );
}

#[test]
fn the_own_rate_can_be_kept() {
    let data = (0..24_000_i16).flat_map(i16::to_le_bytes);
    let wav = Wav {
        sample_rate: 48_000,
        data: data.collect(),
        ..Wav::default()
    };
    let options = DecodeOptions {
        sample_rate: None,
        ..DecodeOptions::default()
    };
    let waveform = decode_bytes(wav.bytes(), "own", &options).expect("decodes");
    assert_eq!(waveform.sample_rate(), 48_000);
    let expected: Vec<f32> = (0..24_000_i16).map(|n| f32::from(n) / 32_768.0).collect();
    assert_eq!(waveform.samples(), expected);
}

#[test]
fn missing_files_and_folders() {
    let folder = tempfile::tempdir().expect("folder");
    let missing = read_file(&folder.path().join("none.wav"), &DecodeOptions::default());
    assert_eq!(missing.expect_err("missing").code(), "not_found");
    let error = read_file(folder.path(), &DecodeOptions::default()).expect_err("folder");
    assert_eq!(error.code(), "io");
    assert!(std::error::Error::source(&error).is_some());
}

#[test]
fn contradictory_options_are_refused() {
    let options = [
        DecodeOptions {
            sample_rate: Some(0),
            ..DecodeOptions::default()
        },
        DecodeOptions {
            min_duration_secs: 9.0,
            max_duration_secs: 1.0,
            ..DecodeOptions::default()
        },
        DecodeOptions {
            max_duration_secs: f64::NAN,
            ..DecodeOptions::default()
        },
        DecodeOptions {
            max_channels: 0,
            ..DecodeOptions::default()
        },
    ];
    for options in options {
        let error =
            decode_bytes(Wav::default().bytes(), "clip.wav", &options).expect_err("refused");
        assert_eq!(error.code(), "invalid_options");
    }
}

#[test]
fn written_files_come_back_bit_for_bit() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("clip.wav");
    let waveform = decode(Wav::default().bytes()).expect("decodes");
    write_wav16(&path, waveform.samples(), 16_000).expect("written");
    let again = read_file(&path, &DecodeOptions::default()).expect("read");
    assert_eq!(again.samples(), waveform.samples());
    assert_eq!(std::fs::read(&path).expect("bytes"), Wav::default().bytes());
    write_wav16(&path, &[2.0, -2.0, 0.5].repeat(2000), 16_000).expect("overwritten");
    let clipped = read_file(&path, &DecodeOptions::default()).expect("read");
    assert!((clipped.samples()[0] - 32_767.0 / 32_768.0).abs() < 1e-9);
    assert!((clipped.samples()[1] + 1.0).abs() < 1e-9);
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").collect();
    assert_eq!(names.len(), 1, "no partial file is left");
    assert!(matches!(
        write_wav16(&path, &[f32::NAN], 16_000),
        Err(AudioError::NonFinite { .. })
    ));
    let nowhere = folder.path().join("none/clip.wav");
    assert_eq!(
        write_wav16(&nowhere, &[0.0], 16_000)
            .expect_err("no folder")
            .code(),
        "not_found"
    );
}
