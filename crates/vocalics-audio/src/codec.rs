//! One decoder per track, chosen directly: no registry is built and nothing is probed.

use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions,
};
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::Packet;
use symphonia::default::codecs::{
    AacDecoder, AdpcmDecoder, AlacDecoder, FlacDecoder, MpaDecoder, PcmDecoder, VorbisDecoder,
};

use crate::opus::{self, OpusHead, OpusStream};

/// A codec as this crate names it (the names are those of ffmpeg).
pub(crate) fn name(codec: AudioCodecId) -> &'static str {
    match codec {
        CODEC_ID_PCM_S32LE => "pcm_s32le",
        CODEC_ID_PCM_S32BE => "pcm_s32be",
        CODEC_ID_PCM_S24LE => "pcm_s24le",
        CODEC_ID_PCM_S24BE => "pcm_s24be",
        CODEC_ID_PCM_S16LE => "pcm_s16le",
        CODEC_ID_PCM_S16BE => "pcm_s16be",
        CODEC_ID_PCM_S8 => "pcm_s8",
        CODEC_ID_PCM_U8 => "pcm_u8",
        CODEC_ID_PCM_F32LE => "pcm_f32le",
        CODEC_ID_PCM_F32BE => "pcm_f32be",
        CODEC_ID_PCM_F64LE => "pcm_f64le",
        CODEC_ID_PCM_F64BE => "pcm_f64be",
        CODEC_ID_PCM_ALAW => "pcm_alaw",
        CODEC_ID_PCM_MULAW => "pcm_mulaw",
        CODEC_ID_ADPCM_MS => "adpcm_ms",
        CODEC_ID_ADPCM_IMA_WAV => "adpcm_ima_wav",
        CODEC_ID_ADPCM_IMA_QT => "adpcm_ima_qt",
        CODEC_ID_ADPCM_G722 => "adpcm_g722",
        CODEC_ID_ADPCM_G726 | CODEC_ID_ADPCM_G726LE => "adpcm_g726",
        CODEC_ID_VORBIS => "vorbis",
        CODEC_ID_OPUS => "opus",
        CODEC_ID_SPEEX => "speex",
        CODEC_ID_MP1 => "mp1",
        CODEC_ID_MP2 => "mp2",
        CODEC_ID_MP3 => "mp3",
        CODEC_ID_AAC => "aac",
        CODEC_ID_AC3 => "ac3",
        CODEC_ID_EAC3 => "eac3",
        CODEC_ID_DCA => "dts",
        CODEC_ID_WMA => "wma",
        CODEC_ID_FLAC => "flac",
        CODEC_ID_WAVPACK => "wavpack",
        CODEC_ID_ALAC => "alac",
        CODEC_ID_TTA => "tta",
        CODEC_ID_TRUEHD => "truehd",
        _ => "unknown codec",
    }
}

/// Bits per sample as coded, where the codec has such a number.
pub(crate) fn bits_per_sample(params: &AudioCodecParameters) -> Option<u32> {
    params.bits_per_coded_sample.or(params.bits_per_sample)
}

/// Whether a damaged packet may be passed over: streams over lossy links have them, files of
/// samples do not.
pub(crate) fn tolerates_loss(codec: AudioCodecId) -> bool {
    matches!(
        codec,
        CODEC_ID_MP1 | CODEC_ID_MP2 | CODEC_ID_MP3 | CODEC_ID_AAC | CODEC_ID_OPUS | CODEC_ID_VORBIS
    )
}

/// Samples of one packet.
pub(crate) struct Decoded<'a> {
    pub(crate) interleaved: &'a [f32],
    pub(crate) sample_rate: u32,
    pub(crate) channels: usize,
}

pub(crate) enum Decoder {
    Symphonia {
        decoder: Box<dyn AudioDecoder>,
        buffer: Vec<f32>,
    },
    Opus {
        stream: Box<OpusStream>,
        channels: usize,
        buffer: Vec<f32>,
    },
}

impl Decoder {
    pub(crate) fn new(params: &AudioCodecParameters) -> Result<Self> {
        let options = AudioDecoderOptions::default();
        let decoder: Box<dyn AudioDecoder> = match params.codec {
            CODEC_ID_OPUS => {
                let head = opus_head(params)
                    .ok_or(Error::DecodeError("opus: invalid identification header"))?;
                let channels = usize::from(head.channels);
                let stream = OpusStream::new(head)
                    .map_err(|_| Error::DecodeError("opus: invalid channel mapping"))?;
                return Ok(Self::Opus {
                    stream: Box::new(stream),
                    channels,
                    buffer: Vec::new(),
                });
            }
            CODEC_ID_FLAC => Box::new(FlacDecoder::try_new(params, &options)?),
            CODEC_ID_MP1 | CODEC_ID_MP2 | CODEC_ID_MP3 => {
                Box::new(MpaDecoder::try_new(params, &options)?)
            }
            CODEC_ID_AAC => Box::new(AacDecoder::try_new(params, &options)?),
            CODEC_ID_ALAC => Box::new(AlacDecoder::try_new(params, &options)?),
            CODEC_ID_VORBIS => Box::new(VorbisDecoder::try_new(params, &options)?),
            CODEC_ID_ADPCM_MS | CODEC_ID_ADPCM_IMA_WAV | CODEC_ID_ADPCM_IMA_QT => {
                Box::new(AdpcmDecoder::try_new(params, &options)?)
            }
            CODEC_ID_PCM_ALAW | CODEC_ID_PCM_MULAW => {
                // CAF states the 8 bits of the code, where the decoder asks for the 16 it yields.
                let mut params = params.clone();
                params.bits_per_sample = None;
                params.bits_per_coded_sample = None;
                Box::new(PcmDecoder::try_new(&params, &options)?)
            }
            codec if name(codec).starts_with("pcm") => {
                Box::new(PcmDecoder::try_new(params, &options)?)
            }
            _ => return Err(Error::Unsupported("no decoder for this codec")),
        };
        Ok(Self::Symphonia {
            decoder,
            buffer: Vec::new(),
        })
    }

    pub(crate) fn decode(&mut self, packet: &Packet) -> Result<Decoded<'_>> {
        match self {
            Self::Symphonia { decoder, buffer } => {
                let decoded = decoder.decode(packet)?;
                let spec = decoded.spec();
                let (sample_rate, channels) = (spec.rate(), spec.channels().count());
                decoded.copy_to_vec_interleaved(buffer);
                Ok(Decoded {
                    interleaved: buffer,
                    sample_rate,
                    channels,
                })
            }
            Self::Opus {
                stream,
                channels,
                buffer,
            } => {
                let samples = stream
                    .decode(&packet.data)
                    .map_err(|_| Error::DecodeError("opus: invalid packet"))?;
                // The start is cut by the pre-skip of the header; the end is known per packet.
                let frames = samples.len() / *channels;
                let end = usize::try_from(packet.trim_end.get())
                    .unwrap_or(usize::MAX)
                    .min(frames);
                buffer.clear();
                buffer.extend_from_slice(&samples[..(frames - end) * *channels]);
                Ok(Decoded {
                    interleaved: buffer,
                    sample_rate: opus::SAMPLE_RATE,
                    channels: *channels,
                })
            }
        }
    }
}

pub(crate) fn opus_head(params: &AudioCodecParameters) -> Option<OpusHead> {
    params.extra_data.as_deref().and_then(OpusHead::parse)
}
