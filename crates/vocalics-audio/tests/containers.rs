//! Containers built byte by byte, for what encoders at hand do not write on request.

use vocalics_audio::{AudioError, DecodeOptions, Waveform, decode_bytes};

fn decode(bytes: Vec<u8>) -> Waveform {
    decode_bytes(bytes, "clip", &DecodeOptions::default()).expect("decodes")
}

/// The error that the bytes are refused with.
fn refusal(bytes: Vec<u8>) -> AudioError {
    let result = decode_bytes(bytes, "clip", &DecodeOptions::default());
    result.map(drop).expect_err("an error")
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

/// A 16-bit CAF file of half a second whose `data` chunk states its length.
fn caf() -> Vec<u8> {
    let mut bytes = b"caff\0\x01\0\0desc".to_vec();
    bytes.extend(32_u64.to_be_bytes());
    bytes.extend(16_000_f64.to_be_bytes());
    bytes.extend(b"lpcm");
    for field in [0_u32, 2, 1, 1, 16] {
        bytes.extend(field.to_be_bytes());
    }
    bytes.extend(b"data");
    bytes.extend((4 + 16_000_u64).to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(sawtooth().into_iter().flat_map(i16::to_be_bytes));
    bytes
}

#[test]
fn what_follows_the_chunks_of_a_caf_file_is_no_chunk() {
    let plain = decode(caf());
    assert_eq!(plain.samples().len(), 8000);
    for tail in [
        vec![0],
        vec![0; 11],
        vec![0; 12],
        vec![0; 100],
        b"\r\n".to_vec(),
        id3v1(),
    ] {
        let decoded = decode([caf(), tail].concat());
        assert_eq!(decoded.samples(), plain.samples());
    }
    // A chunk that began is a missing end; so is one that breaks off before the samples.
    let table = [caf(), b"pakt\0\0\0\0\0\0\0\x18\0\0".to_vec()].concat();
    for cut in [&table[..], &table[..caf().len() + 5], &caf()[..30]] {
        assert_eq!(refusal(cut.to_vec()).code(), "truncated");
    }
}

fn id3v1() -> Vec<u8> {
    let mut tag = b"TAG".to_vec();
    tag.resize(128, b' ');
    tag
}

/// A checksum of FLAC: most significant bit first, from 0.
fn crc(bytes: &[u8], bits: u32, polynomial: u32) -> u32 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u32::from(byte) << (bits - 8)), |crc, _| {
            let carry = (crc >> (bits - 1)) & 1;
            ((crc << 1) ^ (carry * polynomial)) & ((1 << bits) - 1)
        })
    })
}

/// The sawtooth in two FLAC frames of 4000 samples that are stored as they are.
///
/// Source: RFC 9639, sections 8.2 and 9.
fn flac(promised: u32) -> Vec<u8> {
    let mut bytes = b"fLaC\x80\0\0\x22\x0f\xa0\x0f\xa0\0\0\0\0\0\0".to_vec();
    bytes.extend([0x03, 0xe8, 0x00, 0xf0]); // 16 kHz, one channel, 16 bits
    bytes.extend(promised.to_be_bytes());
    bytes.extend([0; 16]); // no MD5
    for (number, samples) in (0_u8..).zip(sawtooth().chunks(4000)) {
        // A fixed block size stated in 16 bits; 16 kHz; mono; 16 bits.
        let mut frame = vec![0xff, 0xf8, 0x75, 0x08, number, 0x0f, 0x9f];
        frame.extend(crc(&frame, 8, 0x07).to_be_bytes().last());
        frame.push(0x02); // verbatim
        frame.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
        frame.extend(&crc(&frame, 16, 0x8005).to_be_bytes()[2..]);
        bytes.extend(frame);
    }
    bytes
}

#[test]
fn flac_ends_before_an_id3v1_tag() {
    let plain = decode(flac(8000));
    let expected: Vec<f32> = sawtooth()
        .iter()
        .map(|&s| f32::from(s) / 32_768.0)
        .collect();
    assert_eq!(plain.samples(), expected);
    let tagged = decode([flac(8000), id3v1()].concat());
    assert_eq!(tagged.samples(), plain.samples());
}

#[test]
fn flac_holds_as_many_samples_as_it_states() {
    assert_eq!(decode(flac(0)).samples().len(), 8000, "0 states nothing");
    assert_eq!(refusal(flac(8001)).code(), "truncated");
    assert_eq!(refusal(flac(7999)).code(), "damaged");
    for promised in [0, 8000] {
        let twice = [flac(promised), flac(promised)].concat();
        assert_eq!(refusal(twice).code(), "unsupported_format");
    }
}

/// One second in silent MPEG-1 layer III frames at 48 kHz, mono.
fn mp3() -> Vec<u8> {
    mp3_frame(5).repeat(42)
}

/// 24 ms of silence; `bitrate` 5 is 64 kbit/s, 9 is 128.
fn mp3_frame(bitrate: u8) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, bitrate << 4 | 4, 0xc4];
    frame.resize(if bitrate == 5 { 192 } else { 384 }, 0);
    frame
}

/// A frame with a Xing tag.
fn xing(n_frames: u32) -> Vec<u8> {
    let mut frame = mp3_frame(5);
    frame[21..29].copy_from_slice(b"Xing\0\0\0\x01");
    frame[29..33].copy_from_slice(&n_frames.to_be_bytes());
    frame
}

#[test]
fn mpeg_frames_behind_those_of_the_xing_tag_are_not_dropped() {
    let once = [xing(42), mp3()].concat();
    let plain = decode(once.clone());
    assert!((plain.duration_secs() - 42.0 * 0.024).abs() < 1e-9);
    // Padding and tags are no frames; nor do writers agree whether the tag's own counts.
    for behind in [vec![0; 5000], vec![0xff; 5000], id3v1(), mp3_frame(5)] {
        let decoded = decode([once.clone(), behind].concat());
        assert_eq!(decoded.samples().len(), plain.samples().len());
    }
    let id3v2 = b"ID3\x04\0\0\0\x06\x0d\x20".to_vec(); // 100 000 bytes follow
    let picture = [id3v2, vec![0; 100_000]].concat();
    for between in [Vec::new(), id3v1(), picture] {
        let joined = [once.clone(), between, once.clone()].concat();
        let error = refusal(joined);
        assert_eq!(error.code(), "unsupported_format", "{error}");
        assert!(error.hint().contains("ffmpeg"), "{}", error.hint());
    }
    let longer = [xing(21), mp3()].concat();
    let error = refusal(longer);
    assert_eq!(error.code(), "unsupported_format", "{error}");
}

#[test]
fn an_mp3_without_a_tag_is_decoded_to_its_end() {
    // The length is guessed from the first frames where the demuxer may, and these are large.
    let bytes = [mp3_frame(9).repeat(20), mp3_frame(5).repeat(100)].concat();
    assert!((decode(bytes).duration_secs() - 120.0 * 0.024).abs() < 1e-9);
}

#[test]
fn mpeg_frames_that_break_the_rules_are_no_missing_end() {
    // Layer II does not allow 384 kbit/s in mono; ffmpeg writes it all the same.
    let frame = [[0xff, 0xfd, 0xe4, 0xc4].as_slice(), &[0x55; 1148]].concat();
    let error = decode_bytes(frame.repeat(20), "clip", &DecodeOptions::default());
    assert_eq!(error.expect_err("refused").code(), "damaged");
}
