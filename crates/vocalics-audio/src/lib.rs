//! Bytes, files and streams to mono `f32` PCM at a stated sample rate.
//!
//! This is the only crate of the project that knows codecs and resampling. Everything behind it
//! works on a [`Waveform`]: finite samples, one channel, one rate.
//!
//! ```no_run
//! use std::path::Path;
//! use vocalics_audio::{DecodeOptions, read_file};
//!
//! let waveform = read_file(Path::new("call.opus"), &DecodeOptions::default())?;
//! println!("{:.1} s from {}", waveform.duration_secs(), waveform.source().codec);
//! # Ok::<(), vocalics_audio::AudioError>(())
//! ```
//!
//! # How a recording is opened
//! 1. The container is told by its first bytes, never by its name.
//! 2. One walk over the container's structure finds out whether the file reaches as far as its
//!    headers promise. Placeholder lengths of programs that write to a pipe are legal.
//! 3. The track is decoded packet by packet. Each packet is checked, averaged over its channels and
//!    resampled at once, so memory grows with the result and never with a header's claim.
//! 4. Encoder delay and padding are removed where the container states them.
//!
//! Formats, their limits and the measured quality of the resampler: `docs/audio-formats.md`.

mod clipping;
mod codec;
mod container;
mod decode;
mod edit_list;
mod error;
mod folder;
mod integrity;
mod opus;
pub mod resample;
mod sink;
mod source;
mod track;
mod wav;
mod wave;
mod waveform;

pub use clipping::FULL_SCALE_16_BIT;
pub use decode::{DecodeOptions, decode_bytes, from_pcm16, read_file, read_stream};
pub use error::AudioError;
pub use folder::{EXTENSIONS, Found, is_recording, readable_recordings, recordings};
pub use wav::write_wav16;
pub use waveform::{SourceFormat, Waveform};
