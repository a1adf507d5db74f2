//! Does a file reach as far as its own headers say? One structural walk per container, no decoding.
//!
//! The demuxers stop quietly at the end of the bytes they are given; a recording that lost its
//! second half would pass for a shorter one. WAVE is treated in [`crate::wave`], FLAC by comparing
//! the decoded length with STREAMINFO.

use std::io::{self, Read, Seek, SeekFrom};

use crate::container::{Container, MpegHeader, adts_frame_len};
use crate::source::Patch;

/// Most boxes, chunks, pages or frames walked: 2^22 Ogg pages are some days of speech.
const MAX_STEPS: usize = 1 << 22;

/// Placeholder lengths of AIFF files written to a pipe (sox: `0x7f00_0000` and a little more).
const AIFF_PLACEHOLDER: u64 = 0x7f00_0000;

/// `Some(detail)` when the file ends before the point its structure promises.
pub(crate) fn missing_end<R: Read + Seek>(
    input: &mut R,
    container: Container,
    start: u64,
    len: u64,
) -> io::Result<Option<String>> {
    let mut walk = Walk { input, len };
    match container {
        Container::Wav | Container::Flac => Ok(None),
        Container::Aiff => walk.aiff(start),
        Container::Caf => walk.caf(start),
        Container::Ogg => walk.ogg(start),
        Container::Matroska => walk.matroska(start),
        Container::Mp4 => walk.mp4(start),
        Container::Mpeg => walk.mpeg(start),
        Container::Adts => walk.adts(start),
    }
}

/// Corrections of lengths that are legal but unknown, or that a demuxer takes too literally.
///
/// AIFF: the FORM length where it is not true, and that of `SSND` where the writer could not go back
/// (ffmpeg leaves 0, sox [`AIFF_PLACEHOLDER`]). CAF: a `data` chunk that reaches to the end (-1),
/// which the demuxer reads on as chunks.
pub(crate) fn length_patches<R: Read + Seek>(
    input: &mut R,
    container: Container,
    start: u64,
    len: u64,
) -> io::Result<Vec<Patch>> {
    let mut walk = Walk { input, len };
    match container {
        Container::Aiff => walk.aiff_patches(start),
        Container::Caf => walk.caf_patches(start),
        _ => Ok(Vec::new()),
    }
}

struct Walk<'a, R> {
    input: &'a mut R,
    len: u64,
}

fn promise(what: &str, position: u64, size: u64, len: u64) -> String {
    let left = len.saturating_sub(position);
    format!("{what} at byte {position} promises {size} bytes, {left} are left")
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

impl<R: Read + Seek> Walk<'_, R> {
    /// The bytes at `position`, or `None` past the end.
    fn bytes<const N: usize>(&mut self, position: u64) -> io::Result<Option<[u8; N]>> {
        if self.len.saturating_sub(position) < N as u64 {
            return Ok(None);
        }
        let mut bytes = [0; N];
        self.input.seek(SeekFrom::Start(position))?;
        self.input.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn aiff_patches(&mut self, start: u64) -> io::Result<Vec<Patch>> {
        let word = |size: u64| u32::try_from(size).unwrap_or(u32::MAX).to_be_bytes();
        let whole = self.len.saturating_sub(start + 8);
        let mut patches = Vec::new();
        if let Some(header) = self.bytes::<8>(start)?
            && !(4..=whole).contains(&number(&header[4..]))
        {
            patches.push(Patch {
                at: 4,
                bytes: word(whole),
            });
        }
        let mut position = start + 12;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<8>(position)? else {
                break;
            };
            let size = number(&header[4..]);
            let left = self.len - position - 8;
            if self.is_streamed_sound(&header, left) {
                patches.push(Patch {
                    at: position - start + 4,
                    bytes: word(left),
                });
                break;
            }
            position += 8 + size + (size & 1);
        }
        Ok(patches)
    }

    fn caf_patches(&mut self, start: u64) -> io::Result<Vec<Patch>> {
        let mut position = start + 8;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<12>(position)? else {
                break;
            };
            let size = number(&header[4..]);
            if size == u64::MAX {
                let at = position - start + 4;
                let [a, b, c, d, e, f, g, h] = (self.len - position - 12).to_be_bytes();
                let (high, low) = ([a, b, c, d], [e, f, g, h]);
                return Ok(vec![
                    Patch { at, bytes: high },
                    Patch {
                        at: at + 4,
                        bytes: low,
                    },
                ]);
            }
            let Some(next) = position.checked_add(12).and_then(|p| p.checked_add(size)) else {
                break;
            };
            position = next;
        }
        Ok(Vec::new())
    }

    /// Whether a chunk header is that of samples whose length was not known when it was written. Its
    /// body starts with 8 bytes of offset and block size, so 0 is no true length.
    fn is_streamed_sound(&self, header: &[u8; 8], left: u64) -> bool {
        let size = number(&header[4..]);
        header.starts_with(b"SSND") && left > 8 && (size == 0 || size >= AIFF_PLACEHOLDER.max(left))
    }

    /// Source: Apple, *Audio Interchange File Format AIFF-C*, 1991.
    fn aiff(&mut self, start: u64) -> io::Result<Option<String>> {
        let mut position = start + 12;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<8>(position)? else {
                return Ok(None);
            };
            let size = number(&header[4..]);
            let left = self.len - position - 8;
            if self.is_streamed_sound(&header, left) {
                return Ok(None);
            }
            if size > left {
                // Writers disagree on whether the pad byte of the last chunk is there.
                let fault = size - left > 1;
                return Ok(fault.then(|| promise("a chunk", position, size + 8, self.len)));
            }
            position += 8 + size + (size & 1);
        }
        Ok(None)
    }

    /// Source: Apple, *Core Audio Format Specification 1.0*; a size of -1 reaches to the end.
    fn caf(&mut self, start: u64) -> io::Result<Option<String>> {
        let mut position = start + 8;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<12>(position)? else {
                return Ok(None);
            };
            let size = number(&header[4..]);
            if size == u64::MAX {
                return Ok(None);
            }
            if size > self.len - position - 12 {
                return Ok(Some(promise("a chunk", position, size, self.len)));
            }
            position += 12 + size;
        }
        Ok(None)
    }

    /// Source: RFC 3533, section 6.
    fn ogg(&mut self, start: u64) -> io::Result<Option<String>> {
        let mut position = start;
        for _ in 0..MAX_STEPS {
            if position >= self.len {
                return Ok(None);
            }
            let Some(header) = self.bytes::<27>(position)? else {
                return Ok(Some("the last page has no complete header".to_owned()));
            };
            if !header.starts_with(b"OggS") {
                return Ok(None);
            }
            let n_segments = u64::from(header[26]);
            let mut table = [0; 255];
            let table = &mut table[..usize::from(header[26])];
            if position + 27 + n_segments > self.len {
                return Ok(Some("the last page has no complete header".to_owned()));
            }
            self.input.read_exact(table)?;
            let size = 27 + n_segments + table.iter().map(|&lace| u64::from(lace)).sum::<u64>();
            if size > self.len - position {
                return Ok(Some(promise("the page", position, size, self.len)));
            }
            position += size;
        }
        Ok(None)
    }

    /// Source: RFC 8794 (EBML), sections 4 and 6; a size of all ones is unknown.
    fn matroska(&mut self, start: u64) -> io::Result<Option<String>> {
        let mut position = start;
        // The EBML header, the segment, and what may surround them.
        for _ in 0..16 {
            let Some([id]) = self.bytes::<1>(position)? else {
                return Ok(None);
            };
            let size_at = position + u64::from(id.leading_zeros()) + 1;
            let Some([first]) = self.bytes::<1>(size_at)? else {
                return Ok(None);
            };
            let width = first.leading_zeros() + 1;
            if id == 0 || width > 8 || size_at + u64::from(width) > self.len {
                return Ok(None);
            }
            let mut field = [0; 8];
            let field = &mut field[..width as usize];
            self.input.seek(SeekFrom::Start(size_at))?;
            self.input.read_exact(field)?;
            let unknown = (1_u64 << (7 * width)) - 1;
            let size = number(field) & unknown;
            if size == unknown {
                return Ok(None);
            }
            let body = size_at + u64::from(width);
            if size > self.len - body {
                return Ok(Some(promise("an element", position, size, self.len)));
            }
            position = body + size;
        }
        Ok(None)
    }

    /// Source: ISO/IEC 14496-12, 4.2; a size of 0 reaches to the end, 1 means 64 bits follow.
    fn mp4(&mut self, start: u64) -> io::Result<Option<String>> {
        let mut position = start;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<8>(position)? else {
                return Ok(None);
            };
            let size = match number(&header[..4]) {
                0 => return Ok(None),
                1 => match self.bytes::<16>(position)? {
                    Some(long) => number(&long[8..]),
                    None => return Ok(Some(promise("a box", position, 16, self.len))),
                },
                size => size,
            };
            if size > self.len - position {
                return Ok(Some(promise("a box", position, size, self.len)));
            }
            if size < 8 {
                return Ok(None);
            }
            position += size;
        }
        Ok(None)
    }

    /// The size in a Xing, Info or VBRI tag, where the encoder left one.
    ///
    /// Source: LAME, `doc/html/detailed.html` and *Mp3 Info Tag rev 1*; G. Bouvigne.
    fn mpeg(&mut self, start: u64) -> io::Result<Option<String>> {
        let mut head = Vec::new();
        self.input.seek(SeekFrom::Start(start))?;
        self.input.by_ref().take(256).read_to_end(&mut head)?;
        let Some(header) = MpegHeader::parse(&head) else {
            return Ok(None);
        };
        let side_info = match (header.version, header.mono) {
            (3, false) => 32,
            (3, true) | (_, false) => 17,
            (_, true) => 9,
        };
        let tag = |offset: usize, len: usize| head.get(offset..offset + len);
        let xing = 4 + side_info;
        let claimed = match tag(xing, 16) {
            Some(field) if field.starts_with(b"Xing") || field.starts_with(b"Info") => {
                match number(&field[4..8]) & 3 {
                    2 => Some(number(&field[8..12])),
                    3 => Some(number(&field[12..16])),
                    _ => None,
                }
            }
            _ => tag(36, 14)
                .filter(|field| field.starts_with(b"VBRI"))
                .map(|field| number(&field[10..14])),
        };
        // Encoders disagree on whether the frame with the tag counts.
        let slack = 2 * header.frame_len as u64;
        Ok(claimed
            .filter(|&size| size > self.len - start + slack)
            .map(|size| promise("the Xing tag", start, size, self.len)))
    }

    fn adts(&mut self, start: u64) -> io::Result<Option<String>> {
        let mut position = start;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<7>(position)? else {
                return Ok(None);
            };
            let Some(size) = adts_frame_len(&header) else {
                return Ok(None);
            };
            if size as u64 > self.len - position {
                return Ok(Some(promise("the frame", position, size as u64, self.len)));
            }
            position += size as u64;
        }
        Ok(None)
    }
}
