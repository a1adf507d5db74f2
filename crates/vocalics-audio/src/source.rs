//! The bytes of a recording as the demuxers see them: a window of a file with corrected headers.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// What this crate needs of its input: a file or bytes in memory.
pub(crate) trait Input: Read + Seek + Send + Sync + 'static {}
impl<T: Read + Seek + Send + Sync + 'static> Input for T {}

/// Four bytes to be shown in place of those in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patch {
    /// Position in the window.
    pub(crate) at: u64,
    pub(crate) bytes: [u8; 4],
}

/// A window `[start, start + len)` of an input, with header fields replaced.
///
/// Recordings made through a pipe carry placeholder lengths, and damaged ones carry wrong lengths;
/// both are checked before and corrected here, so that a demuxer only sees lengths that are true.
pub(crate) struct Window<R> {
    inner: R,
    start: u64,
    len: u64,
    position: u64,
    patches: Vec<Patch>,
    seekable: bool,
}

impl<R: Input> Window<R> {
    pub(crate) fn new(mut inner: R, start: u64, len: u64, patches: Vec<Patch>) -> io::Result<Self> {
        inner.seek(SeekFrom::Start(start))?;
        Ok(Self {
            inner,
            start,
            len,
            position: 0,
            patches,
            seekable: true,
        })
    }

    /// Tells the demuxer that there is no way back.
    pub(crate) fn forward_only(mut self) -> Self {
        self.seekable = false;
        self
    }
}

impl<R: Input> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.inner.read(&mut buffer[..wanted])?;
        for patch in &self.patches {
            for (offset, byte) in (patch.at..).zip(patch.bytes) {
                let place = offset
                    .checked_sub(self.position)
                    .and_then(|n| usize::try_from(n).ok());
                if let Some(target) = place.and_then(|n| buffer[..count].get_mut(n)) {
                    *target = byte;
                }
            }
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl<R: Input> Seek for Window<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.len.checked_add_signed(delta),
        };
        let absolute = target.and_then(|offset| self.start.checked_add(offset));
        let (Some(target), Some(absolute)) = (target, absolute) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        self.inner.seek(SeekFrom::Start(absolute))?;
        self.position = target;
        Ok(target)
    }
}

impl<R: Input> MediaSource for Window<R> {
    fn is_seekable(&self) -> bool {
        self.seekable
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_show_through_any_read_size() {
        for size in 1..12 {
            let bytes: Vec<u8> = (0..20).collect();
            let patch = Patch {
                at: 3,
                bytes: [100, 101, 102, 103],
            };
            let mut window =
                Window::new(io::Cursor::new(bytes), 2, 16, vec![patch]).expect("window");
            let mut seen = Vec::new();
            let mut buffer = vec![0; size];
            loop {
                let count = window.read(&mut buffer).expect("read");
                if count == 0 {
                    break;
                }
                seen.extend_from_slice(&buffer[..count]);
            }
            let expected: Vec<u8> = [2, 3, 4, 100, 101, 102, 103]
                .into_iter()
                .chain(9..18)
                .collect();
            assert_eq!(seen, expected);
        }
    }
}
