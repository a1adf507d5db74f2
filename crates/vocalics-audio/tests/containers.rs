//! Containers built byte by byte, for what encoders at hand do not write on request.

use vocalics_audio::{DecodeOptions, Waveform, decode_bytes};

fn decode(bytes: Vec<u8>) -> Waveform {
    decode_bytes(bytes, "clip", &DecodeOptions::default()).expect("decodes")
}

/// Half a second of a sawtooth at 16 kHz.
fn sawtooth() -> Vec<i16> {
    (0..8000).map(|n| (n % 200 - 100) * 100).collect()
}

#[test]
fn aiff_written_to_a_pipe_states_no_lengths() {
    let samples: Vec<u8> = sawtooth().into_iter().flat_map(i16::to_be_bytes).collect();
    let aiff = |form_len: u32, sound_len: u32| {
        let mut bytes = b"FORM".to_vec();
        bytes.extend(form_len.to_be_bytes());
        bytes.extend(b"AIFFCOMM\0\0\0\x12\0\x01\0\0\x1f\x40\0\x10");
        bytes.extend(b"\x40\x0c\xfa\0\0\0\0\0\0\0"); // 16 000 as an 80-bit float
        bytes.extend(b"SSND");
        bytes.extend(sound_len.to_be_bytes());
        bytes.extend([0; 8]);
        bytes.extend(&samples);
        bytes
    };
    let plain = decode(aiff(46 + 16_000, 8 + 16_000));
    assert_eq!(
        (plain.samples().len(), plain.source().codec),
        (8000, "pcm_s16be")
    );
    for (form_len, sound_len) in [
        (0, 0),
        (99_999, 16_008),
        (0x7f00_002e, 0x7f00_0008),
        (u32::MAX, u32::MAX),
    ] {
        let piped = decode(aiff(form_len, sound_len));
        assert_eq!(piped.samples(), plain.samples(), "{sound_len:#x}");
    }
    let cut = aiff(46 + 16_000, 8 + 16_000)[..10_000].to_vec();
    let error = decode_bytes(cut, "clip", &DecodeOptions::default()).expect_err("cut");
    assert_eq!(error.code(), "truncated");
}

#[test]
fn companded_caf_states_the_bits_of_the_code() {
    for (id, codec) in [(b"alaw", "pcm_alaw"), (b"ulaw", "pcm_mulaw")] {
        let mut bytes = b"caff\0\x01\0\0desc".to_vec();
        bytes.extend(32_u64.to_be_bytes());
        bytes.extend(8000_f64.to_be_bytes());
        bytes.extend(id);
        // Flags, bytes a packet, frames a packet, channels, bits.
        for field in [0_u32, 1, 1, 1, 8] {
            bytes.extend(field.to_be_bytes());
        }
        bytes.extend(b"data");
        bytes.extend((-1_i64).to_be_bytes()); // to the end of the file
        bytes.extend([0; 4]);
        bytes.extend((0..4000_u32).map(|n| n.to_le_bytes()[0]));
        let waveform = decode(bytes);
        assert_eq!(waveform.source().codec, codec);
        assert!((waveform.duration_secs() - 0.5).abs() < 1e-12);
        assert!(waveform.samples().iter().any(|sample| sample.abs() > 0.5));
    }
}

#[test]
fn mpeg_frames_that_break_the_rules_are_no_missing_end() {
    // Layer II does not allow 384 kbit/s in mono; ffmpeg writes it all the same.
    let frame = [[0xff, 0xfd, 0xe4, 0xc4].as_slice(), &[0x55; 1148]].concat();
    let error = decode_bytes(frame.repeat(20), "clip", &DecodeOptions::default());
    assert_eq!(error.expect_err("refused").code(), "damaged");
}
