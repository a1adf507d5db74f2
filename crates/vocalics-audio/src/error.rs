//! Why audio could not be had, one case per cause.

use thiserror::Error;

/// A reason why audio could not be decoded, resampled or written.
///
/// Every case that concerns an input carries `name`: the path, or what the caller called the bytes.
/// [`AudioError::code`] is stable and meant for machines, [`AudioError::hint`] for the user.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The bytes are in no audio format known here.
    #[error("{name}: not an audio file")]
    NotAudio {
        /// Path or name of the input.
        name: String,
    },
    /// The container holds no audio track (a silent video, for example).
    #[error("{name}: the {container} file holds no audio track")]
    NoAudioTrack {
        /// Path or name of the input.
        name: String,
        /// The container found.
        container: &'static str,
    },
    /// The format is known, but nothing here decodes it.
    #[error("{name}: unsupported format: {codec}")]
    Unsupported {
        /// Path or name of the input.
        name: String,
        /// The codec, container or feature that is missing.
        codec: String,
    },
    /// The file ends before the point its own headers promise.
    #[error("{name}: truncated: {detail}")]
    Truncated {
        /// Path or name of the input.
        name: String,
        /// What was promised and what was found.
        detail: String,
    },
    /// The file contradicts its format.
    #[error("{name}: damaged: {detail}")]
    Damaged {
        /// Path or name of the input.
        name: String,
        /// What is wrong.
        detail: String,
    },
    /// There is not one sample.
    #[error("{name}: empty: no samples")]
    Empty {
        /// Path or name of the input.
        name: String,
    },
    /// Shorter than [`DecodeOptions::min_duration_secs`](crate::DecodeOptions::min_duration_secs).
    #[error("{name}: too short: {:.3} s, at least {min_secs} s are needed", whole_ms(*actual_secs))]
    TooShort {
        /// Path or name of the input.
        name: String,
        /// Decoded duration in seconds.
        actual_secs: f64,
        /// The least duration accepted, in seconds.
        min_secs: f64,
    },
    /// Longer than [`DecodeOptions::max_duration_secs`](crate::DecodeOptions::max_duration_secs).
    #[error("{name}: too long: more than {max_secs} s")]
    TooLong {
        /// Path or name of the input.
        name: String,
        /// The longest duration accepted, in seconds.
        max_secs: f64,
    },
    /// More bytes than [`DecodeOptions::max_bytes`](crate::DecodeOptions::max_bytes).
    #[error("{name}: too large: more than {max_bytes} bytes")]
    TooLarge {
        /// Path or name of the input.
        name: String,
        /// The largest input accepted, in bytes.
        max_bytes: u64,
    },
    /// A sample is NaN, infinite, or larger than any sound
    /// ([`MAX_MAGNITUDE`](crate::resample::MAX_MAGNITUDE)).
    #[error("{name}: sample {index} is not finite")]
    NonFinite {
        /// Path or name of the input.
        name: String,
        /// Index of the sample, counted over interleaved channels.
        index: u64,
    },
    /// More channels than [`DecodeOptions::max_channels`](crate::DecodeOptions::max_channels).
    #[error("{name}: too many channels: {actual}, at most {max} are accepted")]
    TooManyChannels {
        /// Path or name of the input.
        name: String,
        /// Channels in the input.
        actual: usize,
        /// The most accepted.
        max: usize,
    },
    /// A sample rate that no recording has.
    #[error("{name}: sample rate {actual} Hz is outside {min} to {max} Hz")]
    SampleRate {
        /// Path or name of the input.
        name: String,
        /// The rate found, in hertz.
        actual: u32,
        /// The lowest rate accepted, in hertz.
        min: u32,
        /// The highest rate accepted, in hertz.
        max: u32,
    },
    /// The caller's options contradict themselves.
    #[error("invalid option: {detail}")]
    InvalidOptions {
        /// Which option, and why.
        detail: String,
    },
    /// The resampler refused its input.
    #[error("resampling from {from} to {to} Hz failed")]
    Resample {
        /// Rate of the input in hertz.
        from: u32,
        /// Rate of the output in hertz.
        to: u32,
        /// The resampler's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Reading or writing failed.
    #[error("{name}: {source}")]
    Io {
        /// Path or name of the input or output.
        name: String,
        /// The operating system's error.
        source: std::io::Error,
    },
}

/// Rounded down to milliseconds: what is too short must not read as if it were enough.
fn whole_ms(secs: f64) -> f64 {
    (secs * 1000.0).floor() / 1000.0
}

impl AudioError {
    /// A stable identifier of the cause, in snake case; it does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAudio { .. } => "not_audio",
            Self::NoAudioTrack { .. } => "no_audio_track",
            Self::Unsupported { .. } => "unsupported_format",
            Self::Truncated { .. } => "truncated",
            Self::Damaged { .. } => "damaged",
            Self::Empty { .. } => "empty",
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::TooLarge { .. } => "too_large",
            Self::NonFinite { .. } => "non_finite",
            Self::TooManyChannels { .. } => "too_many_channels",
            Self::SampleRate { .. } => "sample_rate",
            Self::InvalidOptions { .. } => "invalid_options",
            Self::Resample { .. } => "resample",
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => "not_found",
            Self::Io { .. } => "io",
        }
    }

    /// What the user can do about it: one lower-case sentence without a full stop.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAudio { .. } => {
                "give a recording such as WAV, FLAC, MP3, M4A, Ogg or Opus; for raw samples state the sample rate"
            }
            Self::NoAudioTrack { .. } => "give a file that contains sound",
            Self::Unsupported { .. } => {
                "convert it first, for example: ffmpeg -i IN -ar 16000 -ac 1 OUT.wav"
            }
            Self::Truncated { .. } => "copy or download the file again; the end of it is missing",
            Self::Damaged { .. } => {
                "copy or download the file again, or repair it: ffmpeg -i IN OUT.wav"
            }
            Self::Empty { .. } => "record again; the file holds no samples",
            Self::TooShort { .. } => {
                "give a longer recording; one to ten seconds of speech work best"
            }
            Self::TooLong { .. } => "split the recording or raise the duration limit",
            Self::TooLarge { .. } => "split the recording or raise the size limit",
            Self::NonFinite { .. } => {
                "export the recording again; it contains NaN or infinite samples"
            }
            Self::TooManyChannels { .. } => {
                "mix it down first, for example: ffmpeg -i IN -ac 1 OUT.wav"
            }
            Self::SampleRate { .. } => "check the header; common rates are 8000 to 96000 Hz",
            Self::InvalidOptions { .. } => "correct the option",
            Self::Resample { .. } => {
                "convert it first, for example: ffmpeg -i IN -ar 16000 OUT.wav"
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                "check the path"
            }
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::IsADirectory => {
                "give one recording of it"
            }
            Self::Io { .. } => "check the path, the permissions and the free space",
        }
    }
}
