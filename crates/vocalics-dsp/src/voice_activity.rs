//! Voice activity: where somebody speaks.

mod stream;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::decibel::power_db;
use crate::error::DspError;
use crate::frame::{Padding, check_rate_from, hop_of_10_ms, short_window};
use crate::mel::{MelFilterbank, MelNorm, MelScale};
use crate::pause::Segment;
use crate::stft::{Stft, StftConfig};
use crate::{check_samples, narrow};

pub use stream::VoiceActivityStream;

/// Bands in which speech is told from noise. This and what follows is set by hand; what it gives on RAVDESS
/// mixed with noise is in `docs/signal.md`.
const BANDS: usize = 24;
/// Range of those bands in hertz: that of the telephone and a little more.
const RANGE_HZ: (f32, f32) = (100.0, 4_000.0);
/// Frames over which a band is averaged. A recursive average would ring on after loud speech.
const SMOOTHING: usize = 4;
/// Quantile of a band's power that is taken for noise in a whole clip, and the level of noise over it in
/// decibels. In white noise alone the mean lies 2.0 dB above it at 8 to 48 kHz, less where a part of the clip
/// is speech, since the quantile is then a higher one of the noise.
const NOISE_QUANTILE: f64 = 0.1;
const QUANTILE_BIAS_DB: f32 = 1.5;
/// Share of the clip's contrast, the 95th percentile of the excess, that speech has to reach as well:
/// in a loud place, what stands out a little is no speech. Set on babble at 20 dB SNR (`docs/signal.md`).
const CONTRAST: f32 = 0.3;
const CONTRAST_QUANTILE: f64 = 0.95;

/// Configuration of the voice activity detection.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VoiceActivityConfig {
    /// Mean excess over the noise, in decibels, at which speech begins.
    pub enter_db: f32,
    /// The same at which it ends; at most `enter_db`.
    pub leave_db: f32,
    /// Frames more than this many decibels below the clip's loudest are no speech.
    pub range_db: f32,
    /// Gaps shorter than this are closed, in seconds.
    pub min_gap_secs: f64,
    /// Speech shorter than this is dropped, in seconds.
    pub min_speech_secs: f64,
    /// Time added before and after speech, in seconds.
    pub padding_secs: f64,
}

impl Default for VoiceActivityConfig {
    /// Thresholds set by hand; what they give on RAVDESS mixed with noise is in `docs/signal.md`.
    fn default() -> Self {
        Self {
            enter_db: 3.0,
            leave_db: 1.5,
            range_db: 40.0,
            min_gap_secs: 0.15,
            min_speech_secs: 0.08,
            padding_secs: 0.03,
        }
    }
}

impl VoiceActivityConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless levels are finite and above 0, `leave_db` is at most `enter_db`, and
    /// times are 0 to 60 s.
    pub fn validate(&self) -> Result<(), DspError> {
        for (name, value) in [
            ("enter_db", self.enter_db),
            ("leave_db", self.leave_db),
            ("range_db", self.range_db),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(DspError::parameter(name, "a finite number above 0", value));
            }
        }
        if self.leave_db > self.enter_db {
            let expected = format!("at most enter_db ({})", self.enter_db);
            return Err(DspError::parameter("leave_db", expected, self.leave_db));
        }
        for (name, value) in [
            ("min_gap_secs", self.min_gap_secs),
            ("min_speech_secs", self.min_speech_secs),
            ("padding_secs", self.padding_secs),
        ] {
            if !(0.0..=60.0).contains(&value) {
                return Err(DspError::parameter(name, "0 to 60", value));
            }
        }
        Ok(())
    }
}

/// Windows of at least 32 ms every 10 ms, and the bands.
fn plan(sample_rate: u32) -> Result<(StftConfig, MelFilterbank), DspError> {
    // Bands from 100 Hz need room.
    let rate = check_rate_from(sample_rate, 1_000)?;
    let n_fft = short_window(sample_rate);
    let mel = MelFilterbank::new(
        sample_rate,
        n_fft,
        BANDS,
        RANGE_HZ.0,
        RANGE_HZ.1.min(narrow(rate / 2.0)),
        MelScale::Slaney,
        MelNorm::None,
    )?;
    let stft = StftConfig {
        n_fft,
        win_length: n_fft,
        hop_length: hop_of_10_ms(sample_rate),
        center: true,
        // Mirrored ends, so that the edge of a constant is no burst.
        padding: Padding::Reflect,
    };
    Ok((stft, mel))
}

/// Mean over the bands of the decibels by which they exceed the noise.
fn excess_db(bands: &[f32], noise_db: impl Iterator<Item = f32>) -> f32 {
    let sum: f32 = bands
        .iter()
        .zip(noise_db)
        .map(|(band, noise)| (power_db(*band) - noise).max(0.0))
        .sum();
    sum / bands.len() as f32
}

/// Turns excess and level into yes or no, with different thresholds for beginning and ending.
#[derive(Debug, Clone, Copy)]
struct Switch {
    config: VoiceActivityConfig,
    on: bool,
}

impl Switch {
    fn decide(&mut self, excess_db: f32, below_peak_db: f32) -> bool {
        let threshold = if self.on {
            self.config.leave_db
        } else {
            self.config.enter_db
        };
        self.on = excess_db >= threshold && below_peak_db <= self.config.range_db;
        self.on
    }
}

/// Segments of a row of decisions, one every `hop_secs`, centred on multiples of it; short gaps are
/// closed, short speech is dropped, what is left is padded, within `0..duration_secs`.
///
/// # Errors
/// [`DspError::Parameter`] for a configuration out of range.
pub fn speech_segments(
    decisions: &[bool],
    hop_secs: f64,
    duration_secs: f64,
    config: &VoiceActivityConfig,
) -> Result<Vec<Segment>, DspError> {
    config.validate()?;
    let mut segments: Vec<Segment> = Vec::new();
    for (frame, _) in decisions.iter().enumerate().filter(|(_, speech)| **speech) {
        let start = ((frame as f64 - 0.5) * hop_secs).max(0.0);
        let end = (frame as f64 + 0.5) * hop_secs;
        match segments.last_mut() {
            Some(last) if start - last.end_secs < config.min_gap_secs.max(hop_secs / 2.0) => {
                last.end_secs = end;
            }
            _ => segments.push(Segment {
                start_secs: start,
                end_secs: end,
            }),
        }
    }
    segments.retain(|segment| segment.duration_secs() >= config.min_speech_secs);
    let mut padded: Vec<Segment> = Vec::new();
    for segment in segments {
        let start = (segment.start_secs - config.padding_secs).max(0.0);
        let end = (segment.end_secs + config.padding_secs).min(duration_secs);
        match padded.last_mut() {
            Some(last) if start <= last.end_secs => last.end_secs = end,
            _ if end > start => padded.push(Segment {
                start_secs: start,
                end_secs: end,
            }),
            _ => {}
        }
    }
    Ok(padded)
}

/// Where somebody speaks in a whole clip, as segments in order.
///
/// A frame is speech when its bands from 100 Hz to 4 kHz exceed the clip's own noise by `enter_db` on
/// average (to go on, `leave_db`) and by 0.3 of the 95th percentile of that excess, and its level comes
/// within `range_db` of the clip's loudest frame: `mean over bands of max(0, B − N) ≥ threshold`, `B` the
/// level of a band over the last four frames and `N` that of its noise, in decibels. Windows are at least
/// 32 ms long, the next power of two of samples, every 10 ms. The noise of a band is a low quantile of its
/// power over the clip, so the result does not change with gain above −80 dB full scale. Silence, constants
/// and stationary noise are no speech.
///
/// # Errors
/// [`DspError::Parameter`] for a configuration out of range or a rate outside 1 to 768 kHz, else as
/// [`check_samples`].
///
/// The whole clip is needed; [`VoiceActivityStream`] is another, causal form.
///
/// Source: our own rule, after the idea of J. Sohn, N. S. Kim, W. Sung, *A statistical model-based voice
/// activity detection*, IEEE Signal Processing Letters 6(1), 1999, to average evidence over bands; their
/// likelihood ratio and hang-over are not used.
pub fn voice_activity(
    samples: &[f32],
    sample_rate: u32,
    config: &VoiceActivityConfig,
) -> Result<Vec<Segment>, DspError> {
    config.validate()?;
    let (stft, mel) = plan(sample_rate)?;
    check_samples(samples)?;
    let hop = stft.hop_length;
    let mut stft = Stft::new(&stft)?;
    let mut power = vec![0.0; stft.n_bins()];
    let mut smooth = Smooth::new();
    let mut rows: Vec<[f32; BANDS]> = Vec::with_capacity(stft.n_frames(samples.len()));
    for index in 0..stft.n_frames(samples.len()) {
        stft.power_frame(samples, index, &mut power);
        rows.push(smooth.next(&mel, &power));
    }
    let heard: Vec<&[f32; BANDS]> = rows
        .iter()
        .filter(|row| row.iter().sum::<f32>() > SILENT)
        .collect();
    if heard.is_empty() {
        return Ok(Vec::new());
    }
    let rank = crate::floor_index(NOISE_QUANTILE * heard.len() as f64);
    let noise_db: Vec<f32> = (0..BANDS)
        .map(|band| {
            let mut values: Vec<f32> = heard.iter().map(|row| row[band]).collect();
            values.sort_by(f32::total_cmp);
            power_db(values[rank]) + QUANTILE_BIAS_DB
        })
        .collect();
    let level_db = |row: &[f32; BANDS]| power_db(row.iter().sum());
    let peak_db = heard.iter().map(|row| level_db(row)).fold(-100.0, f32::max);
    let excesses: Vec<f32> = rows
        .iter()
        .map(|row| excess_db(row, noise_db.iter().copied()))
        .collect();
    let mut sorted = excesses.clone();
    sorted.sort_by(f32::total_cmp);
    let contrast = sorted[crate::floor_index(CONTRAST_QUANTILE * sorted.len() as f64)];
    let enter_db = config.enter_db.max(CONTRAST * contrast);
    let mut switch = Switch {
        config: VoiceActivityConfig {
            enter_db,
            leave_db: config.leave_db * enter_db / config.enter_db,
            ..*config
        },
        on: false,
    };
    let decisions: Vec<bool> = excesses
        .iter()
        .zip(&rows)
        .map(|(excess, row)| switch.decide(*excess, peak_db - level_db(row)))
        .collect();
    let rate = f64::from(sample_rate);
    speech_segments(
        &decisions,
        hop as f64 / rate,
        samples.len() as f64 / rate,
        config,
    )
}

/// Sum of bands up to which a frame is digital silence: it says nothing about noise.
const SILENT: f32 = 1e-9;

/// Band powers averaged over the last frames.
#[derive(Debug, Clone)]
struct Smooth {
    recent: VecDeque<[f32; BANDS]>,
}

impl Smooth {
    fn new() -> Self {
        Self {
            recent: VecDeque::with_capacity(SMOOTHING),
        }
    }

    fn next(&mut self, mel: &MelFilterbank, power: &[f32]) -> [f32; BANDS] {
        let mut bands = [0.0; BANDS];
        mel.apply(power, &mut bands);
        if self.recent.len() == SMOOTHING {
            self.recent.pop_front();
        }
        self.recent.push_back(bands);
        let mut mean = [0.0; BANDS];
        for row in &self.recent {
            for (sum, band) in mean.iter_mut().zip(row) {
                *sum += band / self.recent.len() as f32;
            }
        }
        mean
    }

    /// Whether the average is over all its frames, none of them silent.
    fn is_settled(&self) -> bool {
        let heard = |row: &[f32; BANDS]| row.iter().sum::<f32>() > SILENT;
        self.recent.len() == SMOOTHING && self.recent.iter().all(heard)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::test_signal::noise;

    /// Buzzing from 1.0 to 2.0 s and from 2.6 to 3.4 s in 4.5 s, over noise.
    pub(crate) fn clip(rate: u32, noise_level: f32) -> Vec<f32> {
        let hiss = noise(rate as usize * 9 / 2, 3);
        hiss.iter()
            .enumerate()
            .map(|(n, hiss)| {
                let t = n as f32 / rate as f32;
                let on = (1.0..2.0).contains(&t) || (2.6..3.4).contains(&t);
                let voice: f32 = (1..20_u8)
                    .map(|k| {
                        (std::f32::consts::TAU * 150.0 * f32::from(k) * t).sin() / f32::from(k)
                    })
                    .sum();
                noise_level * hiss + if on { 0.1 * voice } else { 0.0 }
            })
            .collect()
    }

    #[test]
    fn speech_is_found_at_every_rate_and_gain() {
        let config = VoiceActivityConfig::default();
        for rate in [8_000, 16_000, 44_100, 48_000] {
            for (level, gain) in [(0.001, 1.0), (0.03, 1.0), (0.01, 0.02), (0.01, 8.0)] {
                let samples: Vec<f32> = clip(rate, level).iter().map(|x| gain * x).collect();
                let found = voice_activity(&samples, rate, &config).unwrap();
                assert_eq!(found.len(), 2, "{rate} {level} {gain}: {found:?}");
                for (segment, (start, end)) in found.iter().zip([(1.0, 2.0), (2.6, 3.4)]) {
                    assert!((segment.start_secs - start).abs() < 0.08, "{found:?}");
                    assert!((segment.end_secs - end).abs() < 0.12, "{found:?}");
                }
            }
        }
    }

    #[test]
    fn noise_silence_constants_short_and_bad_input_are_defined() {
        let config = VoiceActivityConfig::default();
        let hiss: Vec<f32> = noise(48_000, 11).iter().map(|x| 0.1 * x).collect();
        for samples in [&hiss[..], &[], &[0.0; 20_000], &[0.5; 20_000], &[0.5; 10]] {
            let found = voice_activity(samples, 16_000, &config).unwrap();
            let total: f64 = found.iter().map(Segment::duration_secs).sum();
            assert!(total < 0.2, "{} samples: {found:?}", samples.len());
        }
        assert!(voice_activity(&[f32::NAN], 16_000, &config).is_err());
        assert!(voice_activity(&[0.0], 900, &config).is_err());
        let bad = VoiceActivityConfig {
            leave_db: 9.0,
            ..config
        };
        assert!(voice_activity(&[0.0], 16_000, &bad).is_err());
        let bad = VoiceActivityConfig {
            padding_secs: f64::NAN,
            ..config
        };
        assert!(voice_activity(&[0.0], 16_000, &bad).is_err());
    }

    #[test]
    fn gaps_close_and_specks_vanish() {
        let config = VoiceActivityConfig {
            min_gap_secs: 0.03,
            min_speech_secs: 0.03,
            padding_secs: 0.01,
            ..VoiceActivityConfig::default()
        };
        let row: Vec<bool> = "....#....######..#####........#####.."
            .chars()
            .map(|c| c == '#')
            .collect();
        let found = speech_segments(&row, 0.01, 0.37, &config).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!((found[0].start_secs - 0.075).abs() < 1e-9);
        assert!((found[0].end_secs - 0.225).abs() < 1e-9);
    }
}
