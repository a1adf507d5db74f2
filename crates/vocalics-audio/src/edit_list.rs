//! Encoder delay in MP4: the edit list says which part of a track is meant to be heard.
//!
//! The demuxer reads edit lists but does not apply them. An AAC track starts with 1024 or 2112
//! samples of encoder delay, 20 to 50 ms that are not in the recording.

use std::io::{self, Read, Seek, SeekFrom};

/// Largest `moov` box looked at, in bytes.
const MAX_MOOV: u64 = 64 << 20;

/// The part of a track to be heard, in seconds on the track's own clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Edit {
    pub(crate) start_secs: f64,
    /// `None` when the list leaves the end open.
    pub(crate) duration_secs: Option<f64>,
}

/// The edits of the tracks that have just one, by track id.
pub(crate) fn all<R: Read + Seek>(
    input: &mut R,
    start: u64,
    len: u64,
) -> io::Result<Vec<(u32, Edit)>> {
    let mut position = start;
    while len.saturating_sub(position) >= 8 {
        input.seek(SeekFrom::Start(position))?;
        let mut header = [0; 16];
        input.read_exact(&mut header[..8])?;
        let mut header_len = 8;
        let mut size = number(&header[..4]);
        if size == 1 && len - position >= 16 {
            input.read_exact(&mut header[8..])?;
            header_len = 16;
            size = number(&header[8..]);
        }
        if size == 0 {
            size = len - position;
        }
        if size < header_len || size > len - position {
            return Ok(Vec::new());
        }
        if &header[4..8] == b"moov" {
            if size > MAX_MOOV {
                return Ok(Vec::new());
            }
            let mut moov = Vec::new();
            input
                .by_ref()
                .take(size - header_len)
                .read_to_end(&mut moov)?;
            return Ok(in_moov(&moov).unwrap_or_default());
        }
        position += size;
    }
    Ok(Vec::new())
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// The boxes directly inside a box's body.
fn boxes(mut body: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let size = usize::try_from(number(body.get(..4)?)).ok()?;
        let whole = if size == 0 { body } else { body.get(..size)? };
        let (id, inner) = (whole.get(4..8)?, whole.get(8..)?);
        body = &body[whole.len()..];
        Some((id, inner))
    })
}

fn child<'a>(body: &'a [u8], id: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(body)
        .find(|(found, _)| found == id)
        .map(|(_, inner)| inner)
}

/// A field whose place depends on the version in the box's first byte.
fn versioned(body: &[u8], version_0: usize, version_1: usize) -> Option<u64> {
    let at = if *body.first()? == 0 {
        version_0
    } else {
        version_1
    };
    body.get(at..at + 4).map(number)
}

/// Source: ISO/IEC 14496-12, 8.2.2 (mvhd).
fn in_moov(moov: &[u8]) -> Option<Vec<(u32, Edit)>> {
    let movie_scale = versioned(child(moov, b"mvhd")?, 12, 20).filter(|&scale| scale > 0)?;
    let tracks = boxes(moov).filter(|(id, _)| id == b"trak");
    Some(
        tracks
            .filter_map(|(_, trak)| in_trak(trak, movie_scale))
            .collect(),
    )
}

/// Source: ISO/IEC 14496-12, 8.3.2 (tkhd), 8.4.2 (mdhd), 8.6.6 (elst).
fn in_trak(trak: &[u8], movie_scale: u64) -> Option<(u32, Edit)> {
    let track_id = u32::try_from(versioned(child(trak, b"tkhd")?, 12, 20)?).ok()?;
    let mdhd = child(child(trak, b"mdia")?, b"mdhd")?;
    let media_scale = versioned(mdhd, 12, 20).filter(|&scale| scale > 0)?;
    let list = child(child(trak, b"edts")?, b"elst")?;
    if number(list.get(4..8)?) != 1 {
        return None;
    }
    let (duration, media_time) = match list.first()? {
        0 => (number(list.get(8..12)?), number(list.get(12..16)?)),
        _ => (number(list.get(8..16)?), number(list.get(16..24)?)),
    };
    // All ones mark an empty edit: a pause before the track, of no interest here.
    if media_time == u64::from(u32::MAX) || media_time == u64::MAX {
        return None;
    }
    let edit = Edit {
        start_secs: media_time as f64 / media_scale as f64,
        duration_secs: (duration > 0).then_some(duration as f64 / movie_scale as f64),
    };
    Some((track_id, edit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 8).expect("small");
        [&size.to_be_bytes(), id.as_slice(), body].concat()
    }

    #[test]
    fn one_edit_is_found_and_two_are_not() {
        let field = |at: usize, value: u32, len: usize| {
            let mut body = vec![0; len];
            body[at..at + 4].copy_from_slice(&value.to_be_bytes());
            body
        };
        let moov = |n_edits: u32| {
            let mut elst = field(4, n_edits, 8);
            for value in [3404_u32, 1024, 0x1_0000] {
                elst.extend_from_slice(&value.to_be_bytes());
            }
            let trak = [
                boxed(b"tkhd", &field(12, 7, 84)),
                boxed(b"edts", &boxed(b"elst", &elst)),
                boxed(b"mdia", &boxed(b"mdhd", &field(12, 48_000, 24))),
            ]
            .concat();
            let body = [boxed(b"mvhd", &field(12, 1000, 100)), boxed(b"trak", &trak)].concat();
            [boxed(b"ftyp", b"M4A "), boxed(b"moov", &body)].concat()
        };
        let find = |bytes: Vec<u8>| {
            let len = bytes.len() as u64;
            all(&mut io::Cursor::new(bytes), 0, len).expect("in memory")
        };
        let edit = Edit {
            start_secs: 1024.0 / 48_000.0,
            duration_secs: Some(3.404),
        };
        assert_eq!(find(moov(1)), [(7, edit)]);
        assert_eq!(find(moov(2)), []);
        for cut in 0..moov(1).len() {
            find(moov(1)[..cut].to_vec());
        }
    }
}
