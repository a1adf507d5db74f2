//! The layout of a RIFF WAVE file: what its headers promise and what is there.

use std::io::{self, Read, Seek, SeekFrom};

use crate::source::Patch;

/// Sizes from here on are placeholders of programs that wrote to a pipe and could not go back:
/// ffmpeg leaves `0xffff_ffff`, sox `0x7fff_f000`, arecord `0x7fff_ffff` or `0x8000_0000`.
const PLACEHOLDER: u32 = 0x7fff_f000;

/// Most chunks looked through before `data`.
const MAX_CHUNKS: usize = 10_000;

/// Chunks that may follow an empty `data` chunk; anything else there is samples.
const TRAILING: [&[u8; 4]; 9] = [
    b"LIST", b"id3 ", b"ID3 ", b"fact", b"bext", b"cue ", b"iXML", b"PEAK", b"smpl",
];

/// What is wrong with a layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Truncated(String),
    Damaged(String),
    /// Valid, of a kind that is not decoded here: which.
    Unsupported(String),
    Empty,
}

/// Where the samples are, and how they are coded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaveLayout {
    pub(crate) format_tag: u16,
    pub(crate) channels: u16,
    /// Corrections of the RIFF and `data` lengths, positions relative to the start of the file.
    pub(crate) patches: [Patch; 2],
}

/// Walks the chunks of a WAVE file that starts at `start` in an input of `len` bytes.
///
/// Source: Microsoft and IBM, *Multimedia Programming Interface and Data Specifications 1.0*.
pub(crate) fn layout<R: Read + Seek>(
    input: &mut R,
    start: u64,
    len: u64,
) -> io::Result<Result<WaveLayout, Fault>> {
    let mut position = start + 12;
    let mut format = None;
    for _ in 0..MAX_CHUNKS {
        if len.saturating_sub(position) < 8 {
            return Ok(Err(Fault::Truncated(
                "no data chunk before the end of the file".to_owned(),
            )));
        }
        input.seek(SeekFrom::Start(position))?;
        let (id, size) = chunk_header(input)?;
        let body = position + 8;
        let available = len - body;
        if &id == b"data" {
            let Some((format_tag, channels, block_align)) = format else {
                return Ok(Err(Fault::Damaged(
                    "no fmt chunk before the data chunk".to_owned(),
                )));
            };
            let samples = match sample_bytes(input, size, available, block_align)? {
                Ok(samples) => samples,
                Err(fault) => return Ok(Err(fault)),
            };
            // A length of u32::MAX means "to the end of the file" to the demuxer.
            let length = u32::try_from(samples).unwrap_or(u32::MAX);
            let patches = [
                Patch {
                    at: 4,
                    bytes: u32::MAX.to_le_bytes(),
                },
                Patch {
                    at: position - start + 4,
                    bytes: length.to_le_bytes(),
                },
            ];
            return Ok(Ok(WaveLayout {
                format_tag,
                channels,
                patches,
            }));
        }
        if u64::from(size) > available {
            let id = String::from_utf8_lossy(&id).into_owned();
            return Ok(Err(Fault::Truncated(format!(
                "the {id:?} chunk claims {size} bytes, {available} are left"
            ))));
        }
        if &id == b"fmt " && size >= 16 {
            let mut body = [0; 26];
            let known = body.len().min(size as usize);
            input.read_exact(&mut body[..known])?;
            let field = |offset: usize| u16::from_le_bytes([body[offset], body[offset + 1]]);
            let wide =
                |offset: usize| u32::from(field(offset)) | u32::from(field(offset + 2)) << 16;
            let (tag, channels, block_align, bits) = (field(0), field(2), field(12), field(14));
            if channels == 0 || block_align == 0 || bits == 0 && tag != 0x55 {
                return Ok(Err(Fault::Damaged(format!(
                    "fmt chunk states {channels} channels, {block_align} bytes a block, {bits} bits"
                ))));
            }
            let block_align = match plain_block(tag, channels, bits) {
                // The rate of bytes says which of the two is wrong: a careless writer's block size, or what a sample is.
                Some(plain)
                    if plain != u32::from(block_align)
                        && u64::from(wide(8)) != u64::from(wide(4)) * u64::from(plain) =>
                {
                    return Ok(Err(Fault::Damaged(format!(
                        "fmt chunk states {block_align} bytes a block where {channels} channels of {bits} bits are {plain}"
                    ))));
                }
                Some(plain) => plain,
                None => u32::from(block_align),
            };
            // The extended header names the coding at the head of its sub-format.
            let coding = if tag == 0xfffe && size >= 40 {
                field(24)
            } else {
                tag
            };
            if let Some(kind) = undecoded(coding, bits) {
                return Ok(Err(Fault::Unsupported(kind)));
            }
            format = Some((tag, channels, block_align));
        }
        position = body + u64::from(size) + u64::from(size & 1);
    }
    Ok(Err(Fault::Damaged(format!(
        "no data chunk among {MAX_CHUNKS} chunks"
    ))))
}

/// Bytes of one sample of every channel, where samples are not packed: PCM, float, A-law and mu-law, also by the extended header.
fn plain_block(tag: u16, channels: u16, bits: u16) -> Option<u32> {
    let plain = matches!(tag, 0x0001 | 0x0003 | 0x0006 | 0x0007 | 0xfffe);
    let bytes = u32::from(channels) * u32::from(bits).div_ceil(8);
    // What the header has no room for, it cannot state.
    (plain && bytes <= u32::from(u16::MAX)).then_some(bytes)
}

/// The name of a coding that is decoded here at other widths only.
fn undecoded(coding: u16, bits: u16) -> Option<String> {
    let name = match (coding, bits) {
        (0x0001, 8 | 16 | 24 | 32) | (0x0003, 32 | 64) => return None,
        (0x0001, 1..=64) => "PCM",
        (0x0003, 1..=64) => "float",
        (0x0011, 3) => "IMA ADPCM",
        _ => return None,
    };
    Some(format!("{bits}-bit {name} in wave"))
}

fn chunk_header<R: Read>(input: &mut R) -> io::Result<([u8; 4], u32)> {
    let mut header = [0; 8];
    input.read_exact(&mut header)?;
    let [a, b, c, d, s0, s1, s2, s3] = header;
    Ok(([a, b, c, d], u32::from_le_bytes([s0, s1, s2, s3])))
}

/// How many bytes of samples there are, given what the `data` chunk claims.
fn sample_bytes<R: Read>(
    input: &mut R,
    claimed: u32,
    available: u64,
    block_align: u32,
) -> io::Result<Result<u64, Fault>> {
    if claimed == 0 {
        let mut next = [0; 4];
        let followed = available >= 8 && {
            input.read_exact(&mut next)?;
            !TRAILING.contains(&&next)
        };
        return Ok(if followed {
            Ok(available)
        } else {
            Err(Fault::Empty)
        });
    }
    if u64::from(claimed) <= available {
        return Ok(Ok(u64::from(claimed)));
    }
    // A missing part of the last block is a rounding fault of the writer, not a loss.
    let short_of_one_block = u64::from(claimed) - available < u64::from(block_align);
    if available > 0 && (claimed >= PLACEHOLDER || short_of_one_block) {
        return Ok(Ok(available));
    }
    Ok(Err(Fault::Truncated(format!(
        "the header promises {claimed} bytes of samples, {available} follow"
    ))))
}

/// The usual name of a WAVE format tag that is not decoded here.
pub(crate) fn format_tag_name(tag: u16) -> String {
    let name = match tag {
        0x0031 => "GSM 6.10",
        0x0055 => "MP3 in wave",
        0x0064 | 0x0045 | 0x0014 => "G.726 ADPCM",
        0x0065 | 0x028f => "G.722 ADPCM",
        0x0022 => "TrueSpeech",
        0x00ff => "AAC in wave",
        0x0160..=0x0163 => "Windows Media Audio",
        _ => return format!("wave format tag 0x{tag:04x}"),
    };
    format!("{name} (wave format tag 0x{tag:04x})")
}
