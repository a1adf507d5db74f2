//! Does a file reach as far as its own headers say, and no farther? One structural walk per
//! container, no decoding.
//!
//! The demuxers stop quietly at the end of the bytes they are given; a recording that lost its
//! second half would pass for a shorter one. Some take what follows the end for a damaged part, or
//! drop a second recording there without a word. WAVE is treated in [`crate::wave`], the end of FLAC
//! by comparing the decoded length with STREAMINFO.

mod frames;
mod lengths;

use std::io::{self, Read, Seek, SeekFrom};

use crate::container::Container;

pub(crate) use lengths::length_patches;

/// Most boxes, chunks, pages or frames walked: 2^22 Ogg pages are some days of speech.
const MAX_STEPS: usize = 1 << 22;

/// The first bytes of the two elements that a Matroska file consists of.
const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];
const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

/// Where a recording ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// At this byte; what follows (padding, a tag) is not for the demuxer.
    Ends(u64),
    /// Behind the end of the file: what is missing.
    Missing(String),
    /// Where another recording begins, named here: one waveform holds one.
    Followed(&'static str),
}

/// How far the recording reaches that starts at `start` in an input of `len` bytes.
pub(crate) fn extent<R: Read + Seek>(
    input: &mut R,
    container: Container,
    start: u64,
    len: u64,
) -> io::Result<Extent> {
    let mut walk = Walk { input, len };
    if let Some(tag) = walk.id3v1(start)? {
        // Nothing states where the last frame of FLAC ends. Elsewhere the tag counts only where it
        // is in the way: samples may look like one by chance.
        let in_the_way = container == Container::Flac
            || matches!(walk.extent(container, start)?, Extent::Missing(_));
        if in_the_way {
            walk.len = tag;
        }
    }
    walk.extent(container, start)
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
    fn extent(&mut self, container: Container, start: u64) -> io::Result<Extent> {
        match container {
            Container::Wav => Ok(Extent::Ends(self.len)),
            Container::Aiff => self.aiff(start),
            Container::Caf => self.caf(start),
            Container::Ogg => self.ogg(start),
            Container::Matroska => self.matroska(start),
            Container::Mp4 => self.mp4(start),
            Container::Flac => self.flac(start),
            Container::Mpeg => self.mpeg(start),
            Container::Adts => self.adts(start),
        }
    }

    /// Where an ID3v1 tag begins, if the file ends in one.
    ///
    /// Source: ID3v1, <https://id3.org/ID3v1>: 128 bytes, the first three `TAG`.
    fn id3v1(&mut self, start: u64) -> io::Result<Option<u64>> {
        let Some(at) = self.len.checked_sub(128).filter(|&at| at > start) else {
            return Ok(None);
        };
        Ok((self.bytes(at)? == Some(*b"TAG")).then_some(at))
    }

    /// What is left at `position`, at most `most` bytes of it.
    fn upto(&mut self, position: u64, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.seek(SeekFrom::Start(position))?;
        let left = self.len.saturating_sub(position);
        self.input
            .by_ref()
            .take(most.min(left))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

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

    /// Source: Apple, *Audio Interchange File Format AIFF-C*, 1991.
    fn aiff(&mut self, start: u64) -> io::Result<Extent> {
        let mut position = start + 12;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<8>(position)? else {
                return Ok(Extent::Ends(self.len));
            };
            let size = number(&header[4..]);
            let left = self.len - position - 8;
            if self.is_streamed_sound(&header, left) {
                return Ok(Extent::Ends(self.len));
            }
            if size > left {
                // Writers disagree on whether the pad byte of the last chunk is there.
                if size - left > 1 {
                    let detail = promise("a chunk", position, size + 8, self.len);
                    return Ok(Extent::Missing(detail));
                }
                break;
            }
            position += 8 + size + (size & 1);
        }
        Ok(Extent::Ends(self.len))
    }

    /// What follows the samples and is neither whole nor named like a chunk is none.
    ///
    /// Source: Apple, *Core Audio Format Specification 1.0*; a size of -1 reaches to the end, and
    /// the names of its own chunks are lower-case letters.
    fn caf(&mut self, start: u64) -> io::Result<Extent> {
        let mut position = start + 8;
        let mut samples = false;
        for _ in 0..MAX_STEPS {
            let left = self.len.saturating_sub(position);
            if left == 0 {
                break;
            }
            let header = self.bytes::<12>(position)?;
            match header.map(|header| number(&header[4..])) {
                Some(u64::MAX) => break,
                Some(size) if size <= left - 12 => position += 12 + size,
                size => {
                    let name = self.upto(position, 4)?;
                    if samples && !name.iter().all(u8::is_ascii_lowercase) {
                        return Ok(Extent::Ends(position));
                    }
                    let size = size.unwrap_or(12);
                    let detail = promise("a chunk", position, size, self.len);
                    return Ok(Extent::Missing(detail));
                }
            }
            samples |= header.is_some_and(|header| header.starts_with(b"data"));
        }
        Ok(Extent::Ends(self.len))
    }

    /// Source: RFC 3533, section 6.
    fn ogg(&mut self, start: u64) -> io::Result<Extent> {
        let no_header = "the last page has no complete header".to_owned();
        let mut position = start;
        for _ in 0..MAX_STEPS {
            let magic = self.upto(position, 4)?;
            if magic.is_empty() || !b"OggS".starts_with(&magic) {
                break;
            }
            let Some(header) = self.bytes::<27>(position)? else {
                return Ok(Extent::Missing(no_header));
            };
            let n_segments = u64::from(header[26]);
            let mut table = [0; 255];
            let table = &mut table[..usize::from(header[26])];
            if position + 27 + n_segments > self.len {
                return Ok(Extent::Missing(no_header));
            }
            self.input.read_exact(table)?;
            let size = 27 + n_segments + table.iter().map(|&lace| u64::from(lace)).sum::<u64>();
            if size > self.len - position {
                return Ok(Extent::Missing(promise(
                    "the page", position, size, self.len,
                )));
            }
            position += size;
        }
        Ok(Extent::Ends(self.len))
    }

    /// Source: RFC 8794 (EBML), sections 4 and 6; a size of all ones is unknown, as live recordings
    /// have it: there the elements inside are walked, and zeros behind the last are padding. What
    /// follows a segment of known size is no part of the recording.
    fn matroska(&mut self, start: u64) -> io::Result<Extent> {
        let mut position = start;
        let (mut live, mut segment_read) = (false, false);
        for _ in 0..MAX_STEPS {
            let name = self.bytes::<4>(position)?;
            if name == Some(EBML) && position > start {
                let by = "a second Matroska recording behind the first";
                return Ok(Extent::Followed(by));
            }
            if segment_read {
                return Ok(Extent::Ends(position));
            }
            let Some([id]) = self.bytes::<1>(position)? else {
                break;
            };
            if id == 0 {
                let padding = live && !self.find(position, |bytes| bytes[0] != 0)?;
                return Ok(Extent::Ends(if padding { position } else { self.len }));
            }
            let size_at = position + u64::from(id.leading_zeros()) + 1;
            let Some([first]) = self.bytes::<1>(size_at)? else {
                break;
            };
            let width = first.leading_zeros() + 1;
            if width > 8 || size_at + u64::from(width) > self.len {
                break;
            }
            let body = size_at + u64::from(width);
            let unknown = (1_u64 << (7 * width)) - 1;
            let size = number(&self.upto(size_at, u64::from(width))?) & unknown;
            if size == unknown {
                live = true;
                position = body;
                continue;
            }
            if size > self.len - body {
                if live {
                    break;
                }
                let detail = promise("an element", position, size, self.len);
                return Ok(Extent::Missing(detail));
            }
            position = body + size;
            segment_read = name == Some(SEGMENT);
        }
        Ok(Extent::Ends(self.len))
    }

    /// Source: ISO/IEC 14496-12, 4.2; a size of 0 reaches to the end, 1 means 64 bits follow.
    fn mp4(&mut self, start: u64) -> io::Result<Extent> {
        let mut position = start;
        for _ in 0..MAX_STEPS {
            let Some(header) = self.bytes::<8>(position)? else {
                return Ok(Extent::Ends(self.len));
            };
            let size = match number(&header[..4]) {
                0 => break,
                1 => match self.bytes::<16>(position)? {
                    Some(long) => number(&long[8..]),
                    None => return Ok(Extent::Missing(promise("a box", position, 16, self.len))),
                },
                size => size,
            };
            if size > self.len - position {
                return Ok(Extent::Missing(promise("a box", position, size, self.len)));
            }
            if size < 8 {
                return Ok(Extent::Ends(self.len));
            }
            position += size;
        }
        Ok(Extent::Ends(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(container: Container, bytes: &[u8]) -> Extent {
        let mut input = io::Cursor::new(bytes);
        extent(&mut input, container, 0, bytes.len() as u64).expect("in memory")
    }

    #[test]
    fn a_rest_that_is_no_ogg_page_is_no_missing_one() {
        let mut page = b"OggS".to_vec();
        page.resize(26, 0);
        page.extend(b"\x01\x05hello");
        let pages = page.repeat(2);
        for len in 0..60 {
            let with_zeros = [pages.clone(), vec![0; len]].concat();
            let end = with_zeros.len() as u64;
            assert_eq!(ends(Container::Ogg, &with_zeros), Extent::Ends(end));
        }
        for cut in 1..page.len() {
            let extent = ends(Container::Ogg, &pages[..page.len() + cut]);
            assert!(matches!(extent, Extent::Missing(_)), "{cut}: {extent:?}");
        }
    }

    #[test]
    fn matroska_ends_with_its_segment() {
        let header = [EBML.as_slice(), b"\x82hi"].concat();
        // A cluster of three bytes.
        let cluster = b"\x1f\x43\xb6\x75\x83abc".as_slice();
        let sized = [&header, SEGMENT.as_slice(), b"\x88", cluster].concat();
        let live = [&header, SEGMENT.as_slice(), b"\xff", cluster, cluster].concat();
        let tag = [b"TAG".as_slice(), &[b' '; 125]].concat();
        for (whole, tails) in [
            (&sized, [&[0; 1000][..], b"\r\n", &tag]),
            (&live, [&[0], &[0; 2], &[0; 1000]]),
        ] {
            let end = whole.len() as u64;
            assert_eq!(ends(Container::Matroska, whole), Extent::Ends(end));
            for tail in tails {
                let with_tail = [whole, tail].concat();
                assert_eq!(ends(Container::Matroska, &with_tail), Extent::Ends(end));
            }
            let twice = ends(Container::Matroska, &whole.repeat(2));
            assert!(matches!(twice, Extent::Followed(_)), "{twice:?}");
        }
        for cut in header.len() + 5..sized.len() {
            let extent = ends(Container::Matroska, &sized[..cut]);
            assert!(matches!(extent, Extent::Missing(_)), "{cut}: {extent:?}");
        }
        // Zeros with something behind them are a hole, and that is for the demuxer to judge.
        let hole = [&live, [0; 9].as_slice(), cluster].concat();
        let end = hole.len() as u64;
        assert_eq!(ends(Container::Matroska, &hole), Extent::Ends(end));
    }
}
