//! Opus packets to samples: the header of RFC 7845 around the `ropus` decoder.

use ropus::OpusMSDecoder;
use thiserror::Error;

/// Opus always decodes at this rate here, whatever the encoder's input rate was.
pub(crate) const SAMPLE_RATE: u32 = 48_000;

/// The longest packet: 120 ms at 48 kHz (RFC 6716, section 3.1).
const MAX_FRAMES: u16 = 5760;

/// The identification header.
///
/// Source: RFC 7845, section 5.1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpusHead {
    pub(crate) channels: u8,
    /// Samples at 48 kHz to drop from the start.
    pub(crate) pre_skip: u64,
    gain: f32,
    streams: u8,
    coupled: u8,
    mapping: Vec<u8>,
}

impl OpusHead {
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let body = bytes.strip_prefix(b"OpusHead")?;
        let &[
            version,
            channels,
            s0,
            s1,
            _,
            _,
            _,
            _,
            g0,
            g1,
            family,
            ref rest @ ..,
        ] = body
        else {
            return None;
        };
        if version > 0x0f || channels == 0 {
            return None;
        }
        // Mapping family 0 is mono or one coupled pair; the others carry a table.
        let (streams, coupled, mapping) = if family == 0 {
            (1, channels - 1, (0..channels).collect::<Vec<u8>>())
        } else {
            let &[streams, coupled, ref table @ ..] = rest else {
                return None;
            };
            (
                streams,
                coupled,
                table.get(..usize::from(channels))?.to_vec(),
            )
        };
        if family == 0 && channels > 2 || streams == 0 || coupled > streams {
            return None;
        }
        // Version 0 is the `dOps` box of MP4 behind a magic that the demuxer put there: the same
        // fields in big-endian order (Encapsulation of Opus in ISO Base Media File Format, 4.3.2).
        let (gain, pre_skip) = match version {
            0 => (i16::from_be_bytes([g0, g1]), u16::from_be_bytes([s0, s1])),
            _ => (i16::from_le_bytes([g0, g1]), u16::from_le_bytes([s0, s1])),
        };
        // Q7.8 decibels.
        let gain_db = f32::from(gain) / 256.0;
        Some(Self {
            channels,
            pre_skip: u64::from(pre_skip),
            gain: 10_f32.powf(gain_db / 20.0),
            streams,
            coupled,
            mapping,
        })
    }
}

/// The decoder refused its configuration or a packet; the number is libopus's error code.
#[derive(Debug, Error)]
#[error("opus error {0}")]
pub(crate) struct OpusError(i32);

/// Decodes the packets of one Opus stream to interleaved samples at 48 kHz.
pub(crate) struct OpusStream {
    decoder: OpusMSDecoder,
    head: OpusHead,
    pcm: Vec<i16>,
    samples: Vec<f32>,
}

impl OpusStream {
    pub(crate) fn new(head: OpusHead) -> Result<Self, OpusError> {
        let decoder = OpusMSDecoder::new(
            SAMPLE_RATE.cast_signed(),
            head.channels.into(),
            head.streams.into(),
            head.coupled.into(),
            &head.mapping,
        )
        .map_err(OpusError)?;
        let pcm = vec![0; usize::from(MAX_FRAMES) * usize::from(head.channels)];
        Ok(Self {
            decoder,
            head,
            pcm,
            samples: Vec::new(),
        })
    }

    /// The samples of one packet, interleaved.
    pub(crate) fn decode(&mut self, packet: &[u8]) -> Result<&[f32], OpusError> {
        let len = i32::try_from(packet.len()).map_err(|_| OpusError(i32::MIN))?;
        let frames = self
            .decoder
            .decode(Some(packet), len, &mut self.pcm, MAX_FRAMES.into(), false)
            .map_err(OpusError)?;
        let frames = usize::try_from(frames).map_err(|_| OpusError(frames))?;
        let count = (frames * usize::from(self.head.channels)).min(self.pcm.len());
        let scale = self.head.gain / 32_768.0;
        self.samples.clear();
        self.samples.extend(
            self.pcm[..count]
                .iter()
                .map(|&sample| f32::from(sample) * scale),
        );
        Ok(&self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(rest: &[u8]) -> Option<OpusHead> {
        OpusHead::parse(&[b"OpusHead".as_slice(), rest].concat())
    }

    #[test]
    fn headers() {
        let mono = head(&[1, 1, 0x38, 1, 0x80, 0xbb, 0, 0, 0, 0, 0]).expect("mono");
        assert_eq!(
            (mono.channels, mono.pre_skip, mono.streams, mono.coupled),
            (1, 312, 1, 0)
        );
        let stereo = head(&[1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]).expect("stereo");
        assert_eq!(
            (stereo.streams, stereo.coupled, stereo.mapping),
            (1, 1, vec![0, 1])
        );
        let surround = head(&[1, 6, 0, 0, 0, 0, 0, 0, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5]);
        assert_eq!(surround.expect("surround").mapping, [0, 4, 1, 2, 3, 5]);
        assert_eq!(
            head(&[1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            None,
            "three channels, no table"
        );
        let in_mp4 = head(&[0, 1, 1, 0x38, 0, 0, 0xbb, 0x80, 0, 0, 0]).expect("dOps");
        assert_eq!(in_mp4.pre_skip, 312);
        assert_eq!(head(&[1, 1]), None);
    }
}
