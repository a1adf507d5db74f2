//! From bytes to a [`Waveform`]: open, check, decode packet by packet.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use symphonia::core::codecs::CodecParameters;
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, ReadBytes};
use symphonia::default::formats::{
    AdtsReader, AiffReader, CafReader, FlacReader, IsoMp4Reader, MkvReader, MpaReader, OggReader,
    WavReader,
};

use crate::container::{Container, Sniffed, sniff};
use crate::edit_list;
use crate::error::AudioError;
use crate::integrity::{self, Extent};
use crate::resample::check_rate;
use crate::sink::{Sink, check_channels};
use crate::source::{Input, Window};
use crate::track::{self, Context};
use crate::wave::{self, Fault};
use crate::waveform::{SourceFormat, Waveform};

/// Files up to this size are read in one go; larger ones are decoded from disk.
const READ_WHOLE: u64 = 32 << 20;

/// Bounds on what is accepted, and the rate to deliver.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeOptions {
    /// Sample rate of the result in hertz; `None` keeps the recording's own. Default 16 000.
    pub sample_rate: Option<u32>,
    /// Longest recording accepted, in seconds. Default 4 h.
    pub max_duration_secs: f64,
    /// Shortest recording accepted, in seconds. Default 0.2.
    pub min_duration_secs: f64,
    /// Most channels accepted. Default 16.
    pub max_channels: usize,
    /// Largest input accepted, in bytes. Default 4 GiB, the limit of the WAVE format.
    pub max_bytes: u64,
}

impl Default for DecodeOptions {
    fn default() -> Self {
        Self {
            sample_rate: Some(16_000),
            max_duration_secs: 4.0 * 3600.0,
            min_duration_secs: 0.2,
            max_channels: 16,
            max_bytes: 4 << 30,
        }
    }
}

impl DecodeOptions {
    fn validate(&self) -> Result<(), AudioError> {
        let fail = |detail: String| Err(AudioError::InvalidOptions { detail });
        if let Some(rate) = self.sample_rate
            && check_rate(rate, "").is_err()
        {
            return fail(format!(
                "sample_rate is {rate} Hz, 100 to 384000 can be had"
            ));
        }
        if self.min_duration_secs.is_nan() || self.max_duration_secs.is_nan() {
            return fail("a duration limit is not a number".to_owned());
        }
        if self.min_duration_secs > self.max_duration_secs {
            return fail(format!(
                "min_duration_secs {} is above max_duration_secs {}",
                self.min_duration_secs, self.max_duration_secs
            ));
        }
        if self.max_channels == 0 {
            return fail("max_channels is 0".to_owned());
        }
        Ok(())
    }
}

/// Decodes a file to mono at the rate of the options.
///
/// Channels are averaged. A path that is no regular file (a pipe, `/dev/stdin`) is read as a stream.
///
/// # Errors
/// Any case of [`AudioError`], each with the path.
pub fn read_file(path: &Path, options: &DecodeOptions) -> Result<Waveform, AudioError> {
    options.validate()?;
    let name = path.display().to_string();
    let wrap = |source| AudioError::Io {
        name: name.clone(),
        source,
    };
    let file = File::open(path).map_err(wrap)?;
    let metadata = file.metadata().map_err(wrap)?;
    if metadata.is_dir() {
        return Err(wrap(io::Error::from(io::ErrorKind::IsADirectory)));
    }
    if !metadata.is_file() {
        return read_stream(file, &name, options);
    }
    let len = metadata.len();
    if len > options.max_bytes {
        return Err(AudioError::TooLarge {
            name,
            max_bytes: options.max_bytes,
        });
    }
    if len <= READ_WHOLE {
        return read_stream(file, &name, options);
    }
    guarded(BufReader::new(file), len, &name, options)
}

/// Decodes bytes in memory; `name` stands for the path in errors.
///
/// ```
/// use vocalics_audio::{AudioError, DecodeOptions, decode_bytes};
///
/// let error = decode_bytes(b"hello, world".to_vec(), "greeting", &DecodeOptions::default());
/// assert!(matches!(error, Err(AudioError::NotAudio { .. })));
/// ```
///
/// # Errors
/// Any case of [`AudioError`] but [`AudioError::InvalidOptions`] concerns the bytes.
pub fn decode_bytes(
    bytes: Vec<u8>,
    name: &str,
    options: &DecodeOptions,
) -> Result<Waveform, AudioError> {
    options.validate()?;
    let len = bytes.len() as u64;
    if len > options.max_bytes {
        let max_bytes = options.max_bytes;
        return Err(AudioError::TooLarge {
            name: name.to_owned(),
            max_bytes,
        });
    }
    guarded(Cursor::new(bytes), len, name, options)
}

/// Reads a stream (standard input, a socket) to its end and decodes it.
///
/// No more than [`DecodeOptions::max_bytes`] are taken in.
///
/// # Errors
/// As [`decode_bytes`], and [`AudioError::Io`] when reading fails.
pub fn read_stream(
    reader: impl Read,
    name: &str,
    options: &DecodeOptions,
) -> Result<Waveform, AudioError> {
    options.validate()?;
    let bytes = read_limited(reader, name, options)?;
    decode_bytes(bytes, name, options)
}

fn read_limited(
    reader: impl Read,
    name: &str,
    options: &DecodeOptions,
) -> Result<Vec<u8>, AudioError> {
    let mut bytes = Vec::new();
    reader
        .take(options.max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| AudioError::Io {
            name: name.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > options.max_bytes {
        let max_bytes = options.max_bytes;
        return Err(AudioError::TooLarge {
            name: name.to_owned(),
            max_bytes,
        });
    }
    Ok(bytes)
}

/// Takes raw signed 16-bit little-endian samples, interleaved, without any header.
///
/// # Errors
/// [`AudioError::Truncated`] when the bytes are no whole number of frames; the limits of the
/// options apply as for files.
pub fn from_pcm16(
    bytes: &[u8],
    sample_rate: u32,
    channels: u16,
    options: &DecodeOptions,
) -> Result<Waveform, AudioError> {
    options.validate()?;
    let name = "raw pcm16";
    let channels = usize::from(channels);
    if bytes.len() as u64 > options.max_bytes {
        let max_bytes = options.max_bytes;
        return Err(AudioError::TooLarge {
            name: name.to_owned(),
            max_bytes,
        });
    }
    let source = SourceFormat {
        container: "raw",
        codec: "pcm_s16le",
        sample_rate,
        channels,
        bits_per_sample: Some(16),
    };
    let mut sink = Sink::new(name, options, source)?;
    if !bytes.len().is_multiple_of(2 * channels) {
        let detail = format!(
            "{} bytes are no whole number of {channels}-channel frames",
            bytes.len()
        );
        return Err(AudioError::Truncated {
            name: name.to_owned(),
            detail,
        });
    }
    let mut block = Vec::new();
    for chunk in bytes.chunks(4096 * 2 * channels) {
        block.clear();
        block.extend(
            chunk
                .chunks_exact(2)
                .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0),
        );
        sink.push(&block)?;
    }
    sink.finish()
}

/// Turns a panic inside a demuxer or decoder into an error: the bytes are not ours to trust, and
/// neither are assumptions of third-party code about them.
fn guarded<R: Input>(
    input: R,
    len: u64,
    name: &str,
    options: &DecodeOptions,
) -> Result<Waveform, AudioError> {
    catch_unwind(AssertUnwindSafe(|| decode(input, len, name, options))).unwrap_or_else(|_| {
        let detail = "the decoder gave up on malformed data".to_owned();
        Err(AudioError::Damaged {
            name: name.to_owned(),
            detail,
        })
    })
}

fn decode<R: Input>(
    mut input: R,
    len: u64,
    name: &str,
    options: &DecodeOptions,
) -> Result<Waveform, AudioError> {
    let io_error = |source| AudioError::Io {
        name: name.to_owned(),
        source,
    };
    let truncated = |detail| AudioError::Truncated {
        name: name.to_owned(),
        detail,
    };
    let unsupported = |codec| AudioError::Unsupported {
        name: name.to_owned(),
        codec,
    };
    if len == 0 {
        return Err(AudioError::Empty {
            name: name.to_owned(),
        });
    }
    let (container, start) = match sniff(&mut input, len).map_err(io_error)? {
        Sniffed::Known(container, start) => (container, start),
        Sniffed::Foreign(codec) => return Err(unsupported(codec.to_owned())),
        Sniffed::Cut(what) => {
            return Err(truncated(format!("the file ends inside its {what} header")));
        }
        Sniffed::Nothing => {
            return Err(AudioError::NotAudio {
                name: name.to_owned(),
            });
        }
    };
    let mut patches = Vec::new();
    let mut format_tag = None;
    if container == Container::Wav {
        let layout = match wave::layout(&mut input, start, len).map_err(io_error)? {
            Ok(layout) => layout,
            Err(Fault::Truncated(detail)) => return Err(truncated(detail)),
            Err(Fault::Unsupported(codec)) => return Err(unsupported(codec)),
            Err(Fault::Damaged(detail)) => {
                return Err(AudioError::Damaged {
                    name: name.to_owned(),
                    detail,
                });
            }
            Err(Fault::Empty) => {
                return Err(AudioError::Empty {
                    name: name.to_owned(),
                });
            }
        };
        check_channels(usize::from(layout.channels), name, options)?;
        patches.extend(layout.patches);
        format_tag = Some(layout.format_tag);
    }
    let corrected = integrity::length_patches(&mut input, container, start, len);
    patches.extend(corrected.map_err(io_error)?);
    let extent = integrity::extent(&mut input, container, start, len).map_err(io_error)?;
    let end = match extent {
        Extent::Ends(end) => end,
        Extent::Missing(detail) => return Err(truncated(detail)),
        Extent::Followed(by) => return Err(unsupported(by.to_owned())),
    };

    let edits = match container {
        Container::Mp4 => edit_list::all(&mut input, start, end).map_err(io_error)?,
        _ => Vec::new(),
    };
    let mut context = Context {
        name,
        options,
        container,
        format_tag,
        edit: None,
    };
    let window = Window::new(input, start, end - start, patches).map_err(io_error)?;
    let mut reader = open(window, container).map_err(|e| context.describe_opening(e))?;
    let Some(track) = reader.default_track(TrackType::Audio).cloned() else {
        let is_audio = |p: &Option<CodecParameters>| matches!(p, Some(CodecParameters::Audio(_)));
        let any_audio = reader
            .tracks()
            .iter()
            .any(|track| is_audio(&track.codec_params));
        let name = name.to_owned();
        return Err(if any_audio {
            unsupported(format!("an unknown codec in {}", container.name()))
        } else {
            AudioError::NoAudioTrack {
                name,
                container: container.name(),
            }
        });
    };
    context.edit = edits
        .into_iter()
        .find(|(id, _)| *id == track.id)
        .map(|(_, edit)| edit);
    track::decode(reader.as_mut(), &track, context)
}

/// Opens the demuxer of a container directly at its first byte.
fn open<R: Input>(window: Window<R>, container: Container) -> Result<Box<dyn FormatReader>, Error> {
    let window = match container {
        // Where it can step back, this demuxer guesses the length of an MP3 without a tag from the
        // first 16 frames, and drops what follows.
        Container::Mpeg => window.forward_only(),
        _ => window,
    };
    let mut stream = MediaSourceStream::new(Box::new(window), Default::default());
    let options = FormatOptions::default();
    Ok(match container {
        Container::Wav => Box::new(WavReader::try_new(stream, options)?),
        Container::Aiff => Box::new(AiffReader::try_new(stream, options)?),
        Container::Caf => Box::new(CafReader::try_new(stream, options)?),
        Container::Flac => Box::new(FlacReader::try_new(stream, options)?),
        Container::Ogg => Box::new(OggReader::try_new(stream, options)?),
        Container::Matroska => Box::new(MkvReader::try_new(stream, options)?),
        Container::Mpeg => Box::new(MpaReader::try_new(stream, options)?),
        Container::Adts => Box::new(AdtsReader::try_new(stream, options)?),
        Container::Mp4 => {
            // This demuxer expects to be called behind the size of the first box and steps back.
            stream.read_quad_bytes()?;
            Box::new(IsoMp4Reader::try_new(stream, options)?)
        }
    })
}
