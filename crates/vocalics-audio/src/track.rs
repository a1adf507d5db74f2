//! The packet loop: one audio track of an opened container into a [`Sink`].

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_FLAC, CODEC_ID_OPUS};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track};

use crate::codec::{self, Decoded, Decoder};
use crate::container::Container;
use crate::decode::DecodeOptions;
use crate::edit_list::Edit;
use crate::error::AudioError;
use crate::sink::{Sink, check_channels};
use crate::wave::format_tag_name;
use crate::waveform::{SourceFormat, Waveform};

/// Packets without data in a row after which a stream counts as ended.
const MAX_EMPTY_PACKETS: u32 = 1000;

/// What the packet loop needs to know besides the track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) name: &'a str,
    pub(crate) options: &'a DecodeOptions,
    pub(crate) container: Container,
    /// The format tag of a WAVE file, to name what is not supported.
    pub(crate) format_tag: Option<u16>,
    /// The part of an MP4 track that is meant to be heard.
    pub(crate) edit: Option<Edit>,
}

impl Context<'_> {
    /// Puts a demuxer's or decoder's error into this crate's terms.
    pub(crate) fn describe(&self, error: Error, codec: Option<&'static str>) -> AudioError {
        let name = self.name.to_owned();
        match error {
            Error::IoError(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                let detail = "the file ends inside a structure of the format".to_owned();
                AudioError::Truncated { name, detail }
            }
            Error::IoError(source) => AudioError::Io { name, source },
            Error::Unsupported(what) => {
                let codec = match (codec, self.format_tag) {
                    (Some(codec), _) => format!("{codec} ({what})"),
                    (None, Some(tag)) if !matches!(tag, 1 | 3 | 0xfffe) => format_tag_name(tag),
                    (None, _) => what.to_owned(),
                };
                AudioError::Unsupported { name, codec }
            }
            Error::ResetRequired => {
                let codec = "a stream that changes its format midway".to_owned();
                AudioError::Unsupported { name, codec }
            }
            other => AudioError::Damaged {
                name,
                detail: other.to_string(),
            },
        }
    }

    /// As [`Context::describe`], for an error on the way to the first packet. Frames without a
    /// container are searched to the end of the file: not to find one does not mean a missing end.
    pub(crate) fn describe_opening(&self, error: Error) -> AudioError {
        match error {
            Error::IoError(source)
                if source.kind() == std::io::ErrorKind::UnexpectedEof
                    && matches!(self.container, Container::Mpeg | Container::Adts) =>
            {
                self.damaged("no frame follows the rules of the format")
            }
            other => self.describe(other, None),
        }
    }

    fn damaged(&self, detail: impl Into<String>) -> AudioError {
        AudioError::Damaged {
            name: self.name.to_owned(),
            detail: detail.into(),
        }
    }
}

/// Decodes one track to its end.
pub(crate) fn decode(
    reader: &mut dyn FormatReader,
    track: &Track,
    context: Context<'_>,
) -> Result<Waveform, AudioError> {
    let Some(CodecParameters::Audio(params)) = &track.codec_params else {
        return Err(context.damaged("the audio track has no codec parameters"));
    };
    let codec = codec::name(params.codec);
    let stated = params.channels.as_ref().map(|channels| channels.count());
    let in_head = codec::opus_head(params).map(|head| usize::from(head.channels));
    for channels in [stated, in_head].into_iter().flatten() {
        check_channels(channels, context.name, context.options)?;
    }
    let mut decoder = Decoder::new(params).map_err(|e| context.describe(e, Some(codec)))?;
    let mut sink = None;
    let (mut packets, mut failed, mut empty) = (0_u64, 0_u64, 0_u32);
    let mut last_error = None;
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            // Whether the end is missing was checked before; frames just stop here. The sample
            // tables of MP4 are different: they point at data that must be there.
            Err(Error::IoError(e))
                if e.kind() == std::io::ErrorKind::UnexpectedEof
                    && context.container != Container::Mp4 =>
            {
                break;
            }
            Err(error) => return Err(context.describe(error, None)),
        };
        if packet.track_id != track.id {
            continue;
        }
        if packet.data.is_empty() {
            empty += 1;
            if empty > MAX_EMPTY_PACKETS {
                break;
            }
            continue;
        }
        empty = 0;
        packets += 1;
        match decoder.decode(&packet) {
            Ok(decoded) => push(&mut sink, &decoded, params, context)?,
            Err(error @ (Error::DecodeError(_) | Error::IoError(_))) => {
                failed += 1;
                last_error = Some(error);
            }
            Err(error) => return Err(context.describe(error, Some(codec))),
        }
    }
    // One packet in fifty may be lost on the way; a first frame that refers to audio before the cut
    // is normal in MP3 streams.
    let allowed = if codec::tolerates_loss(params.codec) {
        1 + packets / 50
    } else {
        0
    };
    if let Some(error) = last_error
        && (failed > allowed || failed == packets)
    {
        return Err(context.damaged(format!("{failed} of {packets} packets: {error}")));
    }
    let Some(sink) = sink else {
        return Err(AudioError::Empty {
            name: context.name.to_owned(),
        });
    };
    // Only FLAC states its length beside the data and exactly; elsewhere it is derived or a guess.
    if let Some(promised) = track.num_frames
        && params.codec == CODEC_ID_FLAC
        && context.container == Container::Flac
        && sink.frames() != promised
    {
        let frames = sink.frames();
        let detail = format!("the header promises {promised} samples, {frames} follow");
        if frames > promised {
            return Err(context.damaged(detail));
        }
        return Err(AudioError::Truncated {
            name: context.name.to_owned(),
            detail,
        });
    }
    sink.finish()
}

/// Hands decoded samples on; the first ones decide rate and channels.
fn push<'a>(
    sink: &mut Option<Sink<'a>>,
    decoded: &Decoded<'_>,
    params: &AudioCodecParameters,
    context: Context<'a>,
) -> Result<(), AudioError> {
    if decoded.interleaved.is_empty() {
        return Ok(());
    }
    let sink = match sink {
        Some(sink) => sink,
        None => sink.insert(new_sink(decoded, params, context)?),
    };
    let source = sink.source();
    if (source.sample_rate, source.channels) != (decoded.sample_rate, decoded.channels) {
        let codec = format!(
            "a stream that changes from {} Hz and {} channels to {} Hz and {}",
            source.sample_rate, source.channels, decoded.sample_rate, decoded.channels
        );
        return Err(AudioError::Unsupported {
            name: context.name.to_owned(),
            codec,
        });
    }
    sink.push(decoded.interleaved)
}

fn new_sink<'a>(
    decoded: &Decoded<'_>,
    params: &AudioCodecParameters,
    context: Context<'a>,
) -> Result<Sink<'a>, AudioError> {
    let source = SourceFormat {
        container: context.container.name(),
        codec: codec::name(params.codec),
        sample_rate: decoded.sample_rate,
        channels: decoded.channels,
        bits_per_sample: codec::bits_per_sample(params),
    };
    let mut sink = Sink::new(context.name, context.options, source)?;
    let in_frames = |secs: f64| frames(secs, decoded.sample_rate);
    let mut skip = context.edit.map_or(0, |edit| in_frames(edit.start_secs));
    if params.codec == CODEC_ID_OPUS {
        skip = skip.max(codec::opus_head(params).map_or(0, |head| head.pre_skip));
    }
    sink.restrict(
        skip,
        context
            .edit
            .and_then(|edit| edit.duration_secs)
            .map(in_frames),
    );
    Ok(sink)
}

/// A time in frames, rounded; nonsense in a header gives nonsense that is at least finite.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded, not negative, and saturating"
)]
fn frames(secs: f64, sample_rate: u32) -> u64 {
    (secs.max(0.0) * f64::from(sample_rate)).round() as u64
}
