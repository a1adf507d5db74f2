//! Onset strength: how much the spectrum rises from frame to frame.

use serde::{Deserialize, Serialize};

use crate::check_samples;
use crate::decibel::{check_range, limit_range, no_range_in_stream, power_db};
use crate::error::DspError;
use crate::frame::{Padding, check_rate, hop_of_10_ms, short_window};
use crate::mel::{MelFilterbank, MelNorm, MelScale, check_n_mels};
use crate::power_stream::PowerStream;
use crate::stft::{Stft, StftConfig};

/// Configuration of the onset strength.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnsetConfig {
    /// Rate of the samples in hertz.
    pub sample_rate: u32,
    /// Transform, which is also the window, in samples.
    pub n_fft: usize,
    /// Distance between frames in samples.
    pub hop_length: usize,
    /// Number of mel bands from 0 Hz to half the sample rate.
    pub n_mels: usize,
    /// Bands more than this many decibels below the clip's strongest are raised to that level;
    /// `None`, needed for streaming, leaves them.
    pub top_db: Option<f32>,
}

impl OnsetConfig {
    /// The defaults of `librosa.onset.onset_strength`.
    #[must_use]
    pub fn librosa(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            n_fft: 2048,
            hop_length: 512,
            n_mels: 128,
            top_db: Some(80.0),
        }
    }

    /// Times short enough for syllables: windows of at least 32 ms (the next power of two of samples) every
    /// 10 ms, 40 bands.
    #[must_use]
    pub fn speech(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            n_fft: short_window(sample_rate).max(64),
            hop_length: hop_of_10_ms(sample_rate),
            n_mels: 40,
            top_db: Some(60.0),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz, `n_mels` 1 to 16384 and `top_db`
    /// above 0 or `None`; as [`StftConfig::validate`].
    pub fn validate(&self) -> Result<(), DspError> {
        check_rate(self.sample_rate)?;
        self.stft().validate()?;
        check_n_mels(self.n_mels)?;
        check_range(self.top_db)
    }

    fn stft(&self) -> StftConfig {
        StftConfig {
            n_fft: self.n_fft,
            win_length: self.n_fft,
            hop_length: self.hop_length,
            center: true,
            padding: Padding::Zero,
        }
    }

    fn plan(&self) -> Result<(StftConfig, MelFilterbank), DspError> {
        self.validate()?;
        let mel = MelFilterbank::new(
            self.sample_rate,
            self.n_fft,
            self.n_mels,
            0.0,
            self.sample_rate as f32 / 2.0,
            MelScale::Slaney,
            MelNorm::Slaney,
        )?;
        Ok((self.stft(), mel))
    }

    /// Frames by which a rise is reported late, so that it lies where the sound begins.
    fn lag(&self) -> usize {
        self.n_fft / (2 * self.hop_length.max(1))
    }
}

/// Mean rise over the bands, in decibels.
fn rise(bands_db: &[f32], before_db: &[f32]) -> f32 {
    let sum: f32 = bands_db
        .iter()
        .zip(before_db)
        .map(|(now, before)| (now - before).max(0.0))
        .sum();
    sum / bands_db.len() as f32
}

/// Onset strength of every frame, `[n_frames]`, in decibels per frame, 0 or more.
///
/// `Σ_bands max(0, L[t] − L[t−1]) / n_mels` with `L` the log-mel spectrum in decibels, moved
/// `1 + n_fft / (2 · hop_length)` frames to the right (the first values are 0). Silence gives 0, and so does a
/// constant but for its ends, beyond which there are zeros.
///
/// # Errors
/// As [`OnsetConfig::validate`], [`MelFilterbank::new`] and [`check_samples`].
///
/// Source: S. Böck, G. Widmer, *Maximum filter vibrato suppression for onset detection*, DAFx 2013
/// (without the filter). Reference: `librosa.onset.onset_strength`, within 1e-3 of the largest value.
pub fn onset_strength(samples: &[f32], config: &OnsetConfig) -> Result<Vec<f32>, DspError> {
    let (stft, mel) = config.plan()?;
    check_samples(samples)?;
    let mut stft = Stft::new(&stft)?;
    let n_frames = stft.n_frames(samples.len());
    let mut power = vec![0.0; stft.n_bins()];
    let mut bands = vec![0.0; n_frames * config.n_mels];
    for (index, row) in bands.chunks_exact_mut(config.n_mels).enumerate() {
        stft.power_frame(samples, index, &mut power);
        mel.apply(&power, row);
        for value in row {
            *value = power_db(*value);
        }
    }
    limit_range(&mut bands, config.top_db);
    let mut strength = vec![0.0; n_frames];
    for (value, pair) in strength
        .iter_mut()
        .skip(1 + config.lag())
        .zip(bands.windows(2 * config.n_mels).step_by(config.n_mels))
    {
        let (before, now) = pair.split_at(config.n_mels);
        *value = rise(now, before);
    }
    Ok(strength)
}

/// Onset strength chunk by chunk, with the same bits as [`onset_strength`] on the whole.
///
/// The value of frame `t` needs samples up to `t · hop_length` plus the rest of `n_fft / 2` by
/// `hop_length`: less than a hop beyond the instant it stands for.
#[derive(Debug, Clone)]
pub struct OnsetStream {
    power: PowerStream,
    rises: Rises,
}

/// From power spectra to rises, each given out `lag` frames ahead of its own.
#[derive(Debug, Clone)]
struct Rises {
    mel: MelFilterbank,
    bands: Vec<f32>,
    before: Vec<f32>,
    lag: usize,
    /// Spectra taken in and values given out.
    n_frames: usize,
    n_out: usize,
}

impl OnsetStream {
    /// Plans the transform and the filters.
    ///
    /// # Errors
    /// As [`onset_strength`]; [`DspError::Parameter`] if `top_db` is set, which needs the whole clip.
    pub fn new(config: &OnsetConfig) -> Result<Self, DspError> {
        no_range_in_stream(config.top_db)?;
        let (stft, mel) = config.plan()?;
        Ok(Self {
            power: PowerStream::new(&stft)?,
            rises: Rises {
                bands: vec![0.0; mel.n_mels()],
                before: vec![0.0; mel.n_mels()],
                mel,
                lag: config.lag(),
                n_frames: 0,
                n_out: 0,
            },
        })
    }

    /// Takes samples in and gives out the values of the frames they complete.
    ///
    /// # Errors
    /// As [`check_samples`]; the chunk is then not taken in.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>, DspError> {
        let Self { power, rises } = self;
        let mut strength = Vec::new();
        // A frame that is complete now has `lag` more after it, so none of these values is too many.
        power.push(samples, |frame| rises.advance(frame, &mut strength))?;
        rises.n_out += strength.len();
        Ok(strength)
    }

    /// Ends the stream: the values still owed. The stream starts afresh.
    pub fn finish(&mut self) -> Vec<f32> {
        let Self { power, rises } = self;
        let mut strength = Vec::new();
        power.finish(|frame| rises.advance(frame, &mut strength));
        strength.truncate(rises.n_frames - rises.n_out);
        (rises.n_frames, rises.n_out) = (0, 0);
        strength
    }
}

impl Rises {
    fn advance(&mut self, power: &[f32], strength: &mut Vec<f32>) {
        self.mel.apply(power, &mut self.bands);
        for value in &mut self.bands {
            *value = power_db(*value);
        }
        if self.n_frames == 0 {
            strength.resize(1 + self.lag, 0.0);
        } else {
            strength.push(rise(&self.bands, &self.before));
        }
        std::mem::swap(&mut self.bands, &mut self.before);
        self.n_frames += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_stream::tests::chunked;

    #[test]
    fn clicks_are_where_they_are() {
        for rate in [8_000_u32, 16_000, 44_100, 48_000] {
            let mut samples = vec![0.0; rate as usize * 2];
            let click = rate as usize / 1000;
            for at in [0.5, 1.0, 1.3] {
                let start = crate::floor_index((f64::from(rate) * at).round());
                samples[start..start + click].fill(0.5);
            }
            let config = OnsetConfig::speech(rate);
            let strength = onset_strength(&samples, &config).unwrap();
            let hop = config.hop_length as f32 / rate as f32;
            let mut peaks: Vec<usize> = (1..strength.len() - 1)
                .filter(|i| {
                    strength[*i] > 5.0
                        && strength[*i] >= strength[i - 1]
                        && strength[*i] > strength[i + 1]
                })
                .collect();
            peaks.dedup_by(|a, b| *a - *b < 10);
            let times: Vec<f32> = peaks.iter().map(|i| *i as f32 * hop).collect();
            assert_eq!(times.len(), 3, "{rate}: {times:?}");
            for (time, at) in times.iter().zip([0.5, 1.0, 1.3]) {
                assert!((f64::from(*time) - at).abs() < 0.03, "{rate}: {times:?}");
            }
        }
    }

    #[test]
    fn a_value_comes_within_a_hop_of_its_instant() {
        for rate in [8_000, 16_000, 44_100] {
            let config = OnsetConfig {
                top_db: None,
                ..OnsetConfig::speech(rate)
            };
            let mut stream = OnsetStream::new(&config).unwrap();
            let hop = vec![0.1; config.hop_length];
            let mut count = 0;
            for hops in 1..50 {
                count += stream.push(&hop).unwrap().len();
                // The first spectrum needs half a window.
                let heard = 2 * hops * config.hop_length >= config.n_fft;
                assert!(!heard || count >= hops, "{rate}: {count} of {hops}");
                assert!(count <= 1 + hops, "{rate}: {count} of {hops}");
            }
        }
    }

    #[test]
    fn silence_constants_short_and_bad_input_are_defined() {
        let config = OnsetConfig::librosa(16_000);
        assert!(onset_strength(&[], &config).unwrap().is_empty());
        assert_eq!(onset_strength(&[0.5; 9], &config).unwrap(), [0.0]);
        let silence = onset_strength(&[0.0; 20_000], &config).unwrap();
        assert!(silence.iter().all(|x| x.abs() < 1e-9));
        assert!(onset_strength(&[f32::NAN], &config).is_err());
        assert!(OnsetStream::new(&config).is_err());
        for bad in [
            OnsetConfig {
                top_db: Some(-1.0),
                ..config.clone()
            },
            OnsetConfig {
                hop_length: usize::MAX,
                ..config
            },
            OnsetConfig::speech(u32::MAX),
            OnsetConfig::speech(0),
        ] {
            assert!(onset_strength(&[0.0], &bad).is_err());
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]

        #[test]
        fn streaming_equals_batch(
            samples in proptest::collection::vec(-1.0_f32..1.0, 0..4000),
            lengths in proptest::collection::vec(0_usize..900, 1..5),
        ) {
            let config = OnsetConfig { top_db: None, ..OnsetConfig::speech(16_000) };
            let batch = onset_strength(&samples, &config).unwrap();
            let mut stream = OnsetStream::new(&config).unwrap();
            for _ in 0..2 {
                let mut streamed = Vec::new();
                for chunk in chunked(&samples, &lengths) {
                    streamed.extend(stream.push(chunk).unwrap());
                }
                streamed.extend(stream.finish());
                proptest::prop_assert_eq!(&streamed, &batch);
            }
        }
    }
}
