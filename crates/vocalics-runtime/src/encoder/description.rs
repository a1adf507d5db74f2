//! What a foreign encoder takes and gives, as its description file says.

use serde::{Deserialize, Serialize};
use vocalics_features::{Compression, LogMelConfig, MelNorm, MelScale, Padding};

/// What is known of an encoder besides its graph: the content of the TOML file beside it.
///
/// `docs/encoders.md` explains every field. Nothing has a default that changes a number: what an encoder was
/// trained with has to be said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderDescription {
    /// Name for people.
    pub name: String,
    /// Version, revision or training of the weights.
    pub version: String,
    /// Where the weights come from.
    pub source: String,
    /// Their licence.
    pub licence: String,
    /// Whether the licence lets the weights be passed on inside another file.
    pub redistributable: bool,
    /// What the graph takes.
    pub input: EncoderInput,
    /// What it gives.
    pub output: EncoderOutput,
}

/// What an encoder takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EncoderInput {
    /// Samples, `[batch, samples]`.
    Waveform(WaveformInput),
    /// A log-mel spectrogram.
    LogMel(LogMelInput),
}

/// Samples as an encoder takes them, `[batch, samples]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaveformInput {
    /// Name of the graph's input.
    pub name: String,
    /// Rate in hertz.
    pub sample_rate: u32,
    /// What is done to the samples of a clip.
    pub normalisation: Normalisation,
    /// Fixed length: shorter clips end in zeros, longer ones are cut. Without it any length from `min_samples` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
    /// Least length; shorter clips end in zeros.
    #[serde(default = "one")]
    pub min_samples: usize,
    /// Outer silence more than this many decibels below the clip's loudest frame is cut off first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim_db: Option<f32>,
}

fn one() -> usize {
    1
}

/// What is done to the samples of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalisation {
    /// Nothing: full scale is ±1.
    None,
    /// `(x − mean) / √(variance + 1e-7)` over the clip, before zeros are added.
    ///
    /// Reference: `Wav2Vec2FeatureExtractor(do_normalize=True)` of Hugging Face's transformers.
    ZeroMeanUnitVariance,
}

/// A log-mel spectrogram as an encoder takes it. Fields that are not explained here are those of
/// [`LogMelConfig`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogMelInput {
    /// Name of the graph's input.
    pub name: String,
    /// Rate of the samples in hertz.
    pub sample_rate: u32,
    /// Transform length in samples.
    pub n_fft: usize,
    /// Hann window in samples.
    pub win_length: usize,
    /// Distance between frames in samples.
    pub hop_length: usize,
    /// Number of mel bands.
    pub n_mels: usize,
    /// Lower edge of the lowest band in hertz.
    pub fmin: f32,
    /// Upper edge of the highest band in hertz.
    pub fmax: f32,
    /// Mel formula.
    pub mel_scale: MelScale,
    /// Scaling of the triangles.
    pub mel_norm: MelNorm,
    /// Whether frames are centred on multiples of the hop.
    pub center: bool,
    /// What stands beyond the ends of the clip when centred.
    pub padding: Padding,
    /// From band power to the logarithm.
    pub log: LogScale,
    /// What is done to the logarithms.
    pub standardise: Standardise,
    /// Order of the dimensions.
    pub layout: Layout,
    /// Fixed number of frames: shorter clips end in zero samples, longer ones are cut. Without it any number from
    /// `min_frames` on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// Least number of frames; shorter clips end in zero samples.
    #[serde(default = "one")]
    pub min_frames: usize,
    /// Outer silence more than this many decibels below the clip's loudest frame is cut off first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim_db: Option<f32>,
}

/// From band power `p` to the logarithm: `log(max(p, floor))` or `log(p + eps)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogScale {
    /// Of which base.
    pub base: LogBase,
    /// Smallest power; this or `eps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<f32>,
    /// Added to the power; this or `floor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eps: Option<f32>,
    /// What lies more than this below the largest logarithm of the spectrogram is raised to that; 8 for Whisper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<f32>,
}

/// Base of a logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogBase {
    /// e.
    Natural,
    /// 10.
    Log10,
}

/// What is done to the logarithms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Standardise {
    /// Nothing.
    None,
    /// `(x − mean) / std` with fixed numbers. Whisper's `(x + 4) / 4` is mean −4 and std 4.
    Fixed {
        /// Subtracted.
        mean: f32,
        /// Divides.
        std: f32,
    },
    /// The same with mean and deviation of the clip's own values.
    Clip,
}

/// Order of the dimensions of a spectrogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// `[batch, n_mels, frames]`
    #[serde(rename = "[batch, n_mels, frames]")]
    MelsFrames,
    /// `[batch, 1, n_mels, frames]`
    #[serde(rename = "[batch, 1, n_mels, frames]")]
    ImageMelsFrames,
    /// `[batch, frames, n_mels]`
    #[serde(rename = "[batch, frames, n_mels]")]
    FramesMels,
}

impl Layout {
    /// The input's shape with a batch of one.
    pub(super) fn shape(self, n_frames: usize, n_mels: usize) -> Vec<usize> {
        match self {
            Self::MelsFrames => vec![1, n_mels, n_frames],
            Self::ImageMelsFrames => vec![1, 1, n_mels, n_frames],
            Self::FramesMels => vec![1, n_frames, n_mels],
        }
    }
}

/// What an encoder gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum EncoderOutput {
    /// A vector for each of its frames, `[batch, time, dim]`, of which one is made.
    Frames {
        /// Name of the graph's output.
        name: String,
        /// How.
        pooling: FramePooling,
    },
    /// One vector, `[batch, dim]`.
    Vector {
        /// Name of the graph's output.
        name: String,
    },
}

impl EncoderOutput {
    /// Name of the graph's output.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Frames { name, .. } | Self::Vector { name } => name,
        }
    }
}

/// From the frames of an encoder to one vector. Frames that see nothing but added zeros do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FramePooling {
    /// The mean over time, `[dim]`.
    #[serde(rename = "mean")]
    Mean,
    /// Mean and population deviation over time, one behind the other, `[2 · dim]`.
    #[serde(rename = "mean+std")]
    MeanStd,
    /// The largest over time plus the mean, `[dim]`.
    ///
    /// Source: D. Niizumi et al., *BYOL for Audio*, IJCNN 2021.
    #[serde(rename = "max+mean")]
    MaxMean,
}

impl EncoderInput {
    /// Rate of the samples in hertz.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        match self {
            Self::Waveform(input) => input.sample_rate,
            Self::LogMel(input) => input.sample_rate,
        }
    }

    /// Name of the graph's input.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Waveform(input) => &input.name,
            Self::LogMel(input) => &input.name,
        }
    }

    pub(super) fn trim_db(&self) -> Option<f32> {
        match self {
            Self::Waveform(input) => input.trim_db,
            Self::LogMel(input) => input.trim_db,
        }
    }
}

impl LogMelInput {
    /// The front end that gives the natural logarithms: with the floor as it is, or for `eps` with next to none.
    pub(super) fn front_end(&self) -> LogMelConfig {
        LogMelConfig {
            sample_rate: self.sample_rate,
            n_fft: self.n_fft,
            win_length: self.win_length,
            hop_length: self.hop_length,
            n_mels: self.n_mels,
            fmin: self.fmin,
            fmax: self.fmax,
            mel_scale: self.mel_scale,
            mel_norm: self.mel_norm,
            log_floor: self.log.floor.unwrap_or(f32::MIN_POSITIVE * 2.0),
            compression: Compression::Log,
            // Cut before, for either kind of input.
            trim_db: None,
            trim_over_noise_db: None,
            normalise_level: false,
            center: self.center,
            padding: self.padding,
        }
    }

    /// Samples that a window of so many frames covers.
    pub(super) fn samples_of(&self, frames: usize) -> usize {
        if self.center {
            frames * self.hop_length
        } else {
            frames.saturating_sub(1) * self.hop_length + self.n_fft
        }
    }
}

impl EncoderDescription {
    /// Name of the embeddings of an encoder with this description whose file has that hash:
    /// [`Encoder::fingerprint`](crate::Encoder::fingerprint).
    #[must_use]
    pub fn fingerprint(&self, hash: &str) -> String {
        let Self { input, output, .. } = self;
        // Plain data that always can be written.
        let text = serde_json::to_string(&(input, output)).unwrap_or_default();
        let digits = blake3::hash(format!("{hash}\n{text}").as_bytes()).to_hex();
        format!("encoder-v1-{}", &digits[..16])
    }
}
