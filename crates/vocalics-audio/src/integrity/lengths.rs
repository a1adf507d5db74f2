//! Lengths that the writers of AIFF and CAF files did not know.

use std::io::{self, Read, Seek};

use super::{MAX_STEPS, Walk, number};
use crate::container::Container;
use crate::source::Patch;

/// Placeholder lengths of AIFF files written to a pipe (sox: `0x7f00_0000` and a little more).
const AIFF_PLACEHOLDER: u64 = 0x7f00_0000;

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

impl<R: Read + Seek> Walk<'_, R> {
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
    pub(super) fn is_streamed_sound(&self, header: &[u8; 8], left: u64) -> bool {
        let size = number(&header[4..]);
        header.starts_with(b"SSND") && left > 8 && (size == 0 || size >= AIFF_PLACEHOLDER.max(left))
    }
}
