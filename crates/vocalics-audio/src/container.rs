//! Telling containers apart by their first bytes, never by the file name.

use std::io::{self, Read, Seek, SeekFrom};

/// The containers that can be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Wav,
    Aiff,
    Caf,
    Flac,
    Ogg,
    Matroska,
    Mp4,
    /// MPEG-1/2 audio layers I to III.
    Mpeg,
    /// AAC in ADTS frames.
    Adts,
}

impl Container {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Aiff => "aiff",
            Self::Caf => "caf",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Matroska => "matroska",
            Self::Mp4 => "mp4",
            Self::Mpeg => "mpeg",
            Self::Adts => "adts",
        }
    }
}

/// What the first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sniffed {
    /// A container that can be opened, and where it starts (behind any ID3v2 tags).
    Known(Container, u64),
    /// A format that is recognised but not supported, by name.
    Foreign(&'static str),
    /// The first bytes of a known container, and nothing more.
    Cut(&'static str),
    Nothing,
}

/// How many bytes are looked at behind the tags; also how far MPEG frames are searched.
const HEAD_LEN: u64 = 64 * 1024;

/// Most ID3v2 tags skipped in a row.
const MAX_TAGS: usize = 16;

/// Recognises the container of `input`, which is `len` bytes long.
pub(crate) fn sniff<R: Read + Seek>(input: &mut R, len: u64) -> io::Result<Sniffed> {
    let mut start = 0;
    let mut tagged = false;
    for _ in 0..MAX_TAGS {
        let mut tag = [0; 10];
        if len.saturating_sub(start) < 10 {
            break;
        }
        input.seek(SeekFrom::Start(start))?;
        input.read_exact(&mut tag)?;
        if !tag.starts_with(b"ID3") {
            break;
        }
        // Source: ID3v2.4.0 main structure, section 3.1: a 28-bit size, 7 bits in each byte.
        let size = tag[6..]
            .iter()
            .fold(0_u64, |sum, &byte| sum << 7 | u64::from(byte & 0x7f));
        let footer = if tag[5] & 0x10 != 0 { 10 } else { 0 };
        tagged = true;
        start += 10 + size + footer;
        if start > len {
            return Ok(Sniffed::Cut("ID3"));
        }
    }
    input.seek(SeekFrom::Start(start))?;
    let mut head = Vec::new();
    input.by_ref().take(HEAD_LEN).read_to_end(&mut head)?;
    Ok(sniff_head(&head, start, tagged))
}

fn sniff_head(head: &[u8], start: u64, tagged: bool) -> Sniffed {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|h| h.starts_with(magic));
    let known = |container| Sniffed::Known(container, start);
    if at(0, b"RIFF") && at(8, b"WAVE") {
        return known(Container::Wav);
    }
    if at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")) {
        return known(Container::Aiff);
    }
    if at(0, b"caff") {
        return known(Container::Caf);
    }
    if at(0, b"fLaC") {
        return known(Container::Flac);
    }
    if at(0, b"OggS") {
        return known(Container::Ogg);
    }
    if at(0, &[0x1a, 0x45, 0xdf, 0xa3]) {
        return known(Container::Matroska);
    }
    if at(4, b"ftyp") {
        return known(Container::Mp4);
    }
    if (4..12).contains(&head.len()) && (at(0, b"RIFF") || at(0, b"FORM")) {
        return Sniffed::Cut("RIFF");
    }
    for (offset, magic, name) in FOREIGN {
        if at(*offset, magic) {
            return Sniffed::Foreign(name);
        }
    }
    // MPEG and ADTS frames carry no magic, only a sync word that noise can imitate. Two frames in a
    // row are asked for; junk before them is forgiven only behind a tag or when it is all zeros.
    let zeros = head.iter().take_while(|&&byte| byte == 0).count();
    let last = if tagged {
        head.len()
    } else {
        zeros.saturating_add(1)
    };
    for offset in (zeros..last).take_while(|&offset| offset < head.len()) {
        if let Some(container) = frames_at(&head[offset..]) {
            return Sniffed::Known(container, start + offset as u64);
        }
    }
    Sniffed::Nothing
}

/// Formats that users do have, recognised so that the error can name them.
const FOREIGN: &[(usize, &[u8], &str)] = &[
    (0, b"RF64", "RF64 wave"),
    (0, b"BW64", "BW64 wave"),
    (0, b"RIFX", "big-endian wave (RIFX)"),
    (0, b"riff\x2e\x91\xcf\x11", "Sony Wave64"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio"),
    (0, b"DSD ", "DSD stream file"),
    (0, b"#!AMR", "AMR"),
    (0, b".snd", "Sun/NeXT au"),
    (0, b"NIST_1A", "NIST SPHERE"),
    (
        0,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "Windows Media (ASF)",
    ),
    (0, b"FLV\x01", "Flash video"),
    (0, b"#!SILK", "SILK"),
    (1, b"#!SILK", "SILK"),
    (8, b"AVI LIST", "AVI"),
];

fn frames_at(head: &[u8]) -> Option<Container> {
    let second = adts_frame_len(head).and_then(|first| head.get(first..));
    if second.and_then(adts_frame_len).is_some() {
        return Some(Container::Adts);
    }
    let first = MpegHeader::parse(head)?;
    let second = MpegHeader::parse(head.get(first.frame_len..)?)?;
    (first.version == second.version && first.layer == second.layer).then_some(Container::Mpeg)
}

/// Length of the ADTS frame that starts here, if one does.
///
/// Source: ISO/IEC 14496-3, 1.A.2 (adts_fixed_header, adts_variable_header).
pub(crate) fn adts_frame_len(bytes: &[u8]) -> Option<usize> {
    let &[sync, flags, format, b3, b4, b5, ..] = bytes else {
        return None;
    };
    let frame_len = usize::from(b3 & 3) << 11 | usize::from(b4) << 3 | usize::from(b5 >> 5);
    let valid = sync == 0xff && flags & 0xf6 == 0xf0 && format >> 2 & 0xf < 13 && frame_len >= 7;
    valid.then_some(frame_len)
}

/// The fields of an MPEG audio frame header that are needed to find the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MpegHeader {
    /// 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5.
    pub(crate) version: u8,
    /// 3 is layer I, 2 is layer II, 1 is layer III.
    pub(crate) layer: u8,
    pub(crate) mono: bool,
    pub(crate) frame_len: usize,
}

impl MpegHeader {
    /// Source: ISO/IEC 11172-3, 2.4.2.3; ISO/IEC 13818-3, 2.4.2.3.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        const LAYER_1: [usize; 15] = [
            0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
        ];
        const LAYER_2: [usize; 15] = [
            0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
        ];
        const LAYER_3: [usize; 15] = [
            0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ];
        const LOW_LAYER_1: [usize; 15] = [
            0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
        ];
        const LOW_LAYER_2_3: [usize; 15] =
            [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];

        let &[0xff, b1, b2, b3, ..] = bytes else {
            return None;
        };
        let (version, layer) = (b1 >> 3 & 3, b1 >> 1 & 3);
        let (bitrate, rate) = (usize::from(b2 >> 4), usize::from(b2 >> 2 & 3));
        if b1 & 0xe0 != 0xe0 || version == 1 || layer == 0 || bitrate == 0 || rate == 3 {
            return None;
        }
        let table = match (version, layer) {
            (3, 3) => &LAYER_1,
            (3, 2) => &LAYER_2,
            (3, _) => &LAYER_3,
            (_, 3) => &LOW_LAYER_1,
            _ => &LOW_LAYER_2_3,
        };
        let bits_per_sec = table.get(bitrate)? * 1000;
        let sample_rate = [44_100, 48_000, 32_000][rate]
            >> match version {
                3 => 0,
                2 => 1,
                _ => 2,
            };
        let padding = usize::from(b2 >> 1 & 1);
        let frame_len = match (layer, version) {
            (3, _) => (12 * bits_per_sec / sample_rate + padding) * 4,
            (1, 0 | 2) => 72 * bits_per_sec / sample_rate + padding,
            _ => 144 * bits_per_sec / sample_rate + padding,
        };
        Some(Self {
            version,
            layer,
            mono: b3 >> 6 == 3,
            frame_len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_numbers() {
        let cases: &[(&[u8], Sniffed)] = &[
            (b"RIFF\0\0\0\0WAVEfmt ", Sniffed::Known(Container::Wav, 0)),
            (b"FORM\0\0\0\0AIFCxxxx", Sniffed::Known(Container::Aiff, 0)),
            (b"caff\0\x01\0\0", Sniffed::Known(Container::Caf, 0)),
            (b"\0\0\0\x20ftypM4A ", Sniffed::Known(Container::Mp4, 0)),
            (b"RIFF\0\0", Sniffed::Cut("RIFF")),
            (b"RIFF\0\0\0\0AVI LIST", Sniffed::Foreign("AVI")),
            (b"wvpk\0\0\0\0", Sniffed::Foreign("WavPack")),
            (b"%PDF-1.7 and more", Sniffed::Nothing),
            (b"\x89PNG\r\n\x1a\n", Sniffed::Nothing),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", Sniffed::Nothing),
            (b"", Sniffed::Nothing),
        ];
        for (bytes, expected) in cases {
            assert_eq!(sniff_head(bytes, 0, false), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn mpeg_frames_need_a_successor() {
        // 128 kbit/s at 48 kHz: 384 bytes a frame.
        let mut bytes = vec![0; 400];
        bytes[..4].copy_from_slice(&[0xff, 0xfb, 0x94, 0xc0]);
        assert_eq!(MpegHeader::parse(&bytes).map(|h| h.frame_len), Some(384));
        assert_eq!(sniff_head(&bytes, 0, false), Sniffed::Nothing);
        bytes[384..388].copy_from_slice(&[0xff, 0xfb, 0x94, 0xc0]);
        assert_eq!(
            sniff_head(&bytes, 0, false),
            Sniffed::Known(Container::Mpeg, 0)
        );
    }
}
