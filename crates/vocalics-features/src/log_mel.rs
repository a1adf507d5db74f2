//! Log-mel features of a whole clip.

use serde::{Deserialize, Serialize};
use vocalics_dsp::check_samples;
use vocalics_dsp::frame::Padding;
use vocalics_dsp::level::rms;
use vocalics_dsp::mel::{MelFilterbank, MelNorm, MelScale};
use vocalics_dsp::stft::{LANES, Stft, StftConfig};
use vocalics_dsp::trim::{trim_noise, trim_silence};

use crate::compression::Compression;
use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;

/// RMS that [`LogMelConfig::normalise_level`] gives a clip: 0.05, that is −26 dBFS.
///
/// Source: −26 dBov is the nominal active speech level of ITU-T P.830 and G.191.
pub const NORMALISED_RMS: f32 = 0.05;

/// A clip whose RMS is below this (−160 dBFS, far under a 24-bit step) counts as digital silence
/// and is not scaled.
pub const SILENCE_RMS: f32 = 1e-8;

/// Configuration of the log-mel front end.
///
/// Two configurations give the same features exactly when their
/// [fingerprints](Self::fingerprint) are equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogMelConfig {
    /// Rate of the samples in hertz.
    pub sample_rate: u32,
    /// Transform length in samples.
    pub n_fft: usize,
    /// Hann window in samples, centred in the transform.
    pub win_length: usize,
    /// Distance between frames in samples.
    pub hop_length: usize,
    /// Number of mel bands.
    pub n_mels: usize,
    /// Lower edge of the lowest band in hertz.
    pub fmin: f32,
    /// Upper edge of the highest band in hertz, at most half the sample rate.
    pub fmax: f32,
    /// Mel formula.
    pub mel_scale: MelScale,
    /// Scaling of the triangles.
    pub mel_norm: MelNorm,
    /// Smallest band power; anything below counts as this.
    pub log_floor: f32,
    /// How the power of a band becomes a feature.
    pub compression: Compression,
    /// Outer silence more than this many decibels below the clip's loudest frame is cut off;
    /// `None` keeps the clip whole. Written `trim_db = "off"` in TOML, which knows no null.
    #[serde(with = "optional_db")]
    pub trim_db: Option<f32>,
    /// If given, outer sound that is not this many decibels above the clip's background noise, where that
    /// is steady, is cut off as well ([`trim_noise`](vocalics_dsp::trim::trim_noise)). Needs `trim_db`.
    #[serde(with = "optional_db")]
    pub trim_over_noise_db: Option<f32>,
    /// Whether the (trimmed) clip is scaled to [`NORMALISED_RMS`] first.
    pub normalise_level: bool,
    /// Whether frame `i` is centred on sample `i · hop_length`; else frames lie inside the clip.
    pub center: bool,
    /// What stands beyond the ends of the clip when centred.
    pub padding: Padding,
}

impl Default for LogMelConfig {
    /// 16 kHz, 40 ms window in a 64 ms transform, 16 ms hop, 64 bands from 50 Hz to 8 kHz, outer
    /// silence cut at −40 dB, level normalised.
    ///
    /// 64 to 128 bands, 25 to 64 ms windows and 10 to 16 ms hops are what published networks for
    /// this task use; the level is normalised because recordings differ by 40 dB between speakers.
    fn default() -> Self {
        Self {
            sample_rate: 16_000,
            n_fft: 1024,
            win_length: 640,
            hop_length: 256,
            n_mels: 64,
            fmin: 50.0,
            fmax: 8_000.0,
            mel_scale: MelScale::Slaney,
            mel_norm: MelNorm::Slaney,
            log_floor: 1e-10,
            compression: Compression::Log,
            trim_db: Some(40.0),
            trim_over_noise_db: None,
            normalise_level: true,
            center: true,
            padding: Padding::Zero,
        }
    }
}

impl LogMelConfig {
    /// Largest transform accepted, in samples.
    pub const MAX_N_FFT: usize = 1 << 16;

    /// Checks every field.
    ///
    /// # Errors
    /// [`FeatureError::Config`] or [`FeatureError::Signal`] naming the first field that has no
    /// meaning: a window longer than the transform, a hop longer than the transform, a band edge
    /// above half the sample rate, more bands than the transform can tell apart, a floor that is not
    /// a positive normal number of at most 1, a trim level not above 0.
    pub fn validate(&self) -> Result<(), FeatureError> {
        self.plan().map(|_| ())
    }

    fn plan(&self) -> Result<(Stft, MelFilterbank), FeatureError> {
        let refuse = |field, expected: String, actual: String| {
            Err(FeatureError::Config {
                field,
                expected,
                actual,
            })
        };
        if self.n_fft > Self::MAX_N_FFT {
            let expected = format!("at most {}", Self::MAX_N_FFT);
            return refuse("n_fft", expected, self.n_fft.to_string());
        }
        if self.hop_length > self.n_fft {
            let expected = format!("at most n_fft ({})", self.n_fft);
            return refuse("hop_length", expected, self.hop_length.to_string());
        }
        if self.n_mels > self.n_fft {
            let expected = format!("at most n_fft ({})", self.n_fft);
            return refuse("n_mels", expected, self.n_mels.to_string());
        }
        if !(self.log_floor.is_normal() && self.log_floor > 0.0 && self.log_floor <= 1.0) {
            let expected = "a power above 1e-37 and at most 1".to_owned();
            return refuse("log_floor", expected, self.log_floor.to_string());
        }
        let cuts = [
            ("trim_db", self.trim_db),
            ("trim_over_noise_db", self.trim_over_noise_db),
        ];
        for (field, db) in cuts {
            if let Some(db) = db
                && !(db.is_finite() && db > 0.0)
            {
                let expected = "a finite number above 0, or off".to_owned();
                return refuse(field, expected, db.to_string());
            }
        }
        if let (None, Some(db)) = (self.trim_db, self.trim_over_noise_db) {
            let expected = "off where trim_db is off".to_owned();
            return refuse("trim_over_noise_db", expected, db.to_string());
        }
        let stft = Stft::new(&StftConfig {
            n_fft: self.n_fft,
            win_length: self.win_length,
            hop_length: self.hop_length,
            center: self.center,
            padding: self.padding,
        })?;
        let mel = MelFilterbank::new(
            self.sample_rate,
            self.n_fft,
            self.n_mels,
            self.fmin,
            self.fmax,
            self.mel_scale,
            self.mel_norm,
        )?;
        if let Some(band) = mel.first_empty_band() {
            let expected =
                format!("fewer bands or a longer n_fft (band {band} holds no frequency bin)");
            return refuse("n_mels", expected, self.n_mels.to_string());
        }
        Ok((stft, mel))
    }

    /// Seconds that so many frames stand for: `n_frames · hop_length / sample_rate`.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "frame counts are far below 2^52"
    )]
    pub fn seconds(&self, n_frames: usize) -> f64 {
        (n_frames * self.hop_length) as f64 / f64::from(self.sample_rate)
    }

    /// Name of the features this configuration gives: `logmel-v1-` and 16 hexadecimal digits.
    ///
    /// The digits are the 64-bit FNV-1a hash of a canonical text of all fields, floats by their
    /// bits, so the value is the same on every platform and in every release. The version rises
    /// whenever the code would give other numbers for the same fields.
    ///
    /// Source: G. Fowler, L. Noll, K.-P. Vo, *The FNV Non-Cryptographic Hash Algorithm*.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // Spelled out field by field, so that adding a field cannot be forgotten here.
        let Self {
            sample_rate,
            n_fft,
            win_length,
            hop_length,
            n_mels,
            fmin,
            fmax,
            mel_scale,
            mel_norm,
            log_floor,
            compression,
            trim_db,
            trim_over_noise_db,
            normalise_level,
            center,
            padding,
        } = self;
        let mel_scale = match mel_scale {
            MelScale::Slaney => "slaney",
            MelScale::Htk => "htk",
        };
        let mel_norm = match mel_norm {
            MelNorm::Slaney => "slaney",
            MelNorm::None => "none",
        };
        let padding = match padding {
            Padding::Zero => "zero",
            Padding::Reflect => "reflect",
        };
        // Adding zero turns -0.0 into 0.0, which gives the same features.
        let bits = |value: f32| format!("{:08x}", (value + 0.0).to_bits());
        let trim_db = trim_db.map_or_else(|| "off".to_owned(), bits);
        let mut text = format!(
            "sample_rate={sample_rate};n_fft={n_fft};win_length={win_length};hop_length={hop_length};\
             n_mels={n_mels};fmin={};fmax={};mel_scale={mel_scale};mel_norm={mel_norm};\
             log_floor={};trim_db={trim_db};normalise_level={normalise_level};center={center};\
             padding={padding}",
            bits(*fmin),
            bits(*fmax),
            bits(*log_floor),
        );
        // Named only where they are used: files and caches from before them keep their names.
        if *compression == Compression::CubeRoot {
            text.push_str(";compression=cube_root");
        }
        if let Some(db) = trim_over_noise_db {
            text = format!("{text};trim_over_steady_background_db={}", bits(*db));
        }
        format!("logmel-v1-{:016x}", fnv1a(text.as_bytes()))
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// `Option<f32>` as a number or the word `off`, so that absence survives formats without null.
mod optional_db {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "expected a number of decibels or \"off\"")]
    enum Written {
        Db(f32),
        Word(Off),
    }

    #[derive(Serialize, Deserialize)]
    enum Off {
        #[serde(rename = "off")]
        Off,
    }

    #[expect(clippy::ref_option, reason = "serde prescribes the signature")]
    pub(super) fn serialize<S: Serializer>(db: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
        db.map_or(Written::Word(Off::Off), Written::Db)
            .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
        Ok(match Option::<Written>::deserialize(from)? {
            Some(Written::Db(db)) => Some(db),
            Some(Written::Word(Off::Off)) | None => None,
        })
    }
}

/// The transform and filters of one configuration with their buffers: samples to rows.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) stft: Stft,
    mel: MelFilterbank,
    floor: f32,
    compression: Compression,
    power: Vec<[f32; LANES]>,
    bands: Vec<[f32; LANES]>,
}

impl Rows {
    pub(crate) fn new(config: &LogMelConfig) -> Result<Self, FeatureError> {
        let (stft, mel) = config.plan()?;
        Ok(Self {
            power: vec![[0.0; LANES]; stft.n_bins()],
            bands: vec![[0.0; LANES]; mel.n_mels()],
            floor: config.log_floor,
            compression: config.compression,
            stft,
            mel,
        })
    }

    /// Writes `rows.len() / n_mels` frames, the first starting at `position` of the padded signal.
    pub(crate) fn compute(&mut self, samples: &[f32], mut position: usize, rows: &mut [f32]) {
        let n_mels = self.mel.n_mels();
        for block in rows.chunks_mut(LANES * n_mels) {
            let count = block.len() / n_mels;
            self.stft
                .power_lanes(samples, position, count, &mut self.power);
            self.mel.apply_lanes(&self.power, &mut self.bands);
            for band in &mut self.bands {
                // Written so that it vectorises; the floor also replaces what is not a number.
                for value in band.iter_mut() {
                    *value = if *value > self.floor {
                        *value
                    } else {
                        self.floor
                    };
                }
                self.compression.apply(band);
            }
            for (lane, row) in block.chunks_exact_mut(n_mels).enumerate() {
                for (value, band) in row.iter_mut().zip(&self.bands) {
                    *value = band[lane];
                }
            }
            position += LANES * self.stft.config().hop_length;
        }
    }
}

/// Log-mel features of whole clips: planned once, used for many.
///
/// `ln(max(log_floor, mel · |STFT|²))`, or the cube root in place of the logarithm, after the clip was
/// trimmed and its level normalised as configured.
///
/// On digital silence every value is that of `log_floor`; on a constant the lowest bands alone stand
/// out. A clip shorter than the window is padded when centred, and an error otherwise.
///
/// Reference: `numpy.log(numpy.maximum(floor, librosa.feature.melspectrogram(..., power=2)))`
/// transposed; mel power within 1e-4 relative, 1e-3 for bands more than 70 dB below the frame's
/// strongest (rounding of the f32 transform).
#[derive(Debug, Clone)]
pub struct LogMel {
    config: LogMelConfig,
    fingerprint: String,
    rows: Rows,
    scaled: Vec<f32>,
}

impl LogMel {
    /// Plans the transform and builds the filters.
    ///
    /// # Errors
    /// As [`LogMelConfig::validate`].
    pub fn new(config: LogMelConfig) -> Result<Self, FeatureError> {
        let rows = Rows::new(&config)?;
        Ok(Self {
            fingerprint: config.fingerprint(),
            config,
            rows,
            scaled: Vec::new(),
        })
    }

    /// The configuration this was made from.
    #[must_use]
    pub fn config(&self) -> &LogMelConfig {
        &self.config
    }

    /// [`LogMelConfig::fingerprint`] of the configuration.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Features `[n_frames, n_mels]` of one clip at the configured sample rate.
    ///
    /// # Errors
    /// [`FeatureError::Empty`] without samples; [`FeatureError::Signal`] on a sample that is not
    /// finite or beyond [`MAX_SAMPLE`](vocalics_dsp::MAX_SAMPLE); [`FeatureError::TooShort`] if the
    /// configuration does not centre and less than one frame is left.
    pub fn compute(&mut self, samples: &[f32]) -> Result<FeatureMatrix, FeatureError> {
        if samples.is_empty() {
            return Err(FeatureError::Empty);
        }
        check_samples(samples)?;
        let clip = match (self.config.trim_db, self.config.trim_over_noise_db) {
            (Some(trim_db), Some(over_noise_db)) => {
                &samples[trim_noise(samples, trim_db, over_noise_db)?]
            }
            (Some(trim_db), None) => &samples[trim_silence(samples, trim_db)?],
            (None, _) => samples,
        };
        let n_frames = self.rows.stft.n_frames(clip.len());
        if n_frames == 0 {
            return Err(FeatureError::TooShort {
                expected: self.config.n_fft,
                actual: clip.len(),
            });
        }
        let level = if self.config.normalise_level {
            rms(clip)
        } else {
            0.0
        };
        let clip = if level >= SILENCE_RMS {
            let gain = NORMALISED_RMS / level;
            self.scaled.clear();
            self.scaled.extend(clip.iter().map(|x| x * gain));
            &self.scaled
        } else {
            clip
        };
        let mut data = vec![0.0; n_frames * self.config.n_mels];
        self.rows.compute(clip, 0, &mut data);
        Ok(FeatureMatrix::from_rows(data, self.config.n_mels))
    }
}
