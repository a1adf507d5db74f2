//! Frames without a container around them: FLAC, MPEG audio, ADTS.

use std::io::{self, Read, Seek};

use super::{Extent, MAX_STEPS, Walk, number, promise};
use crate::container::{MpegHeader, adts_frame_len};

/// Bytes looked through at a time, and how many more are at hand behind each: two of the longest
/// MPEG frames (2881 bytes) and a header.
const BLOCK: usize = 64 * 1024;
const AHEAD: usize = 2 * 2881 + 4;

/// What the first MPEG frame tells about the whole, where it carries a Xing, Info or VBRI tag.
#[derive(Debug, Clone, Copy)]
struct Tag {
    frames: Option<u64>,
    bytes: Option<u64>,
}

impl Tag {
    /// Source: LAME, `doc/html/detailed.html` and *Mp3 Info Tag rev 1*; G. Bouvigne.
    fn parse(head: &[u8], header: MpegHeader) -> Option<Self> {
        let side_info = match (header.version, header.mono) {
            (3, false) => 32,
            (3, true) | (_, false) => 17,
            (_, true) => 9,
        };
        let field = |offset: usize| head.get(offset..offset + 4).map(number);
        let xing = 4 + side_info;
        match head.get(xing..xing + 4)? {
            b"Xing" | b"Info" => {
                let flags = field(xing + 4)?;
                let (has_frames, has_bytes) = (flags & 1 != 0, flags & 2 != 0);
                let bytes_at = if has_frames { xing + 12 } else { xing + 8 };
                Some(Self {
                    frames: field(xing + 8).filter(|_| has_frames),
                    bytes: field(bytes_at).filter(|_| has_bytes),
                })
            }
            _ => (head.get(36..40)? == b"VBRI").then(|| Self {
                frames: field(50),
                bytes: field(46),
            }),
        }
    }
}

/// Whether three MPEG frames follow each other from here: one or two that a writer did not count
/// are no second stream, and noise does not look like three.
fn mpeg_frames(bytes: &[u8]) -> bool {
    let next = |bytes| {
        let header = MpegHeader::parse(bytes)?;
        Some((header, bytes.get(header.frame_len..).unwrap_or_default()))
    };
    let Some((first, rest)) = next(bytes) else {
        return false;
    };
    let alike = |header: MpegHeader| (header.version, header.layer) == (first.version, first.layer);
    let Some((second, rest)) = next(rest) else {
        return false;
    };
    alike(second) && MpegHeader::parse(rest).is_some_and(alike)
}

fn flac_header(bytes: &[u8]) -> bool {
    bytes.starts_with(b"fLaC") && matches!(bytes.get(4..8), Some([0 | 0x80, 0, 0, 0x22]))
}

impl<R: Read + Seek> Walk<'_, R> {
    /// Source: RFC 9639, sections 6 and 8.1: the marker, then STREAMINFO of 34 bytes.
    pub(super) fn flac(&mut self, start: u64) -> io::Result<Extent> {
        Ok(if self.find(start + 4, flac_header)? {
            Extent::Followed("a second FLAC stream behind the first")
        } else {
            Extent::Ends(self.len)
        })
    }

    /// The demuxer ends where the tag of the first frame says; so must the stream.
    pub(super) fn mpeg(&mut self, start: u64) -> io::Result<Extent> {
        let head = self.upto(start, 256)?;
        let Some(header) = MpegHeader::parse(&head) else {
            return Ok(Extent::Ends(self.len));
        };
        let Some(tag) = Tag::parse(&head, header) else {
            return Ok(Extent::Ends(self.len));
        };
        // Encoders disagree on whether the frame with the tag counts.
        let slack = 2 * header.frame_len as u64;
        if let Some(size) = tag.bytes
            && size > self.len - start + slack
        {
            let detail = promise("the Xing tag", start, size, self.len);
            return Ok(Extent::Missing(detail));
        }
        let Some(n_frames) = tag.frames else {
            return Ok(Extent::Ends(self.len));
        };
        let (mut position, mut counted) = (start, 0);
        while counted <= n_frames
            && let Some(header) = self
                .bytes::<4>(position)?
                .and_then(|b| MpegHeader::parse(&b))
        {
            position += header.frame_len as u64;
            counted += 1;
        }
        // Fewer than that: damaged on the way, and no telling where the stream ends.
        let all = counted + 1 >= n_frames;
        Ok(if all && self.find(position, mpeg_frames)? {
            Extent::Followed("MPEG frames behind those that the Xing tag counts")
        } else {
            Extent::Ends(self.len)
        })
    }

    pub(super) fn adts(&mut self, start: u64) -> io::Result<Extent> {
        let mut position = start;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<7>(position)? else {
                break;
            };
            let Some(size) = adts_frame_len(&header) else {
                break;
            };
            if size as u64 > self.len - position {
                let detail = promise("the frame", position, size as u64, self.len);
                return Ok(Extent::Missing(detail));
            }
            position += size as u64;
        }
        Ok(Extent::Ends(self.len))
    }

    /// Whether `sought` holds for the bytes at any place from `position` on.
    pub(super) fn find(
        &mut self,
        mut position: u64,
        sought: fn(&[u8]) -> bool,
    ) -> io::Result<bool> {
        while position < self.len {
            let bytes = self.upto(position, (BLOCK + AHEAD) as u64)?;
            if (0..bytes.len().min(BLOCK)).any(|at| sought(&bytes[at..])) {
                return Ok(true);
            }
            position += BLOCK as u64;
        }
        Ok(false)
    }
}
