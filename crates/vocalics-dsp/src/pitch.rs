//! Fundamental frequency by autocorrelation with path finding.

mod candidates;
mod stream;
mod track;

use serde::{Deserialize, Serialize};

use crate::check_samples;
use crate::error::DspError;
use crate::frame::{check_rate, frame_times};
use candidates::candidates;
use track::choose;

pub use stream::{PitchFrame, PitchStream};
pub use track::PitchTrack;
pub(crate) use track::f0_at;

/// Settings of [`pitch`]; the defaults are those of Praat's *To Pitch (ac)*, every 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PitchConfig {
    /// Distance between frames in seconds.
    pub time_step_secs: f64,
    /// Lowest f0 looked for, in hertz; sets the window's length.
    pub floor_hz: f64,
    /// Highest f0 looked for, in hertz.
    pub ceiling_hz: f64,
    /// Window length in periods of `floor_hz`, 3 to 20. Lags reach half a window, and a period is
    /// told from its double by 3 periods or more (Boersma 1993).
    pub periods_per_window: f64,
    /// Candidates kept per frame, the unvoiced one included.
    pub max_candidates: usize,
    /// Share of the peak below which a frame counts as silent.
    pub silence_threshold: f64,
    /// That peak; the largest distance of the clip from its mean if none, which a [`PitchStream`] cannot know. 1 is full scale.
    pub reference_peak: Option<f64>,
    /// Strength of the unvoiced candidate.
    pub voicing_threshold: f64,
    /// Preference for high f0, per octave.
    pub octave_cost: f64,
    /// Cost of a jump, per octave and 10 ms.
    pub octave_jump_cost: f64,
    /// Cost of going between voiced and unvoiced, per 10 ms.
    pub voiced_unvoiced_cost: f64,
}

impl Default for PitchConfig {
    fn default() -> Self {
        Self {
            time_step_secs: 0.01,
            floor_hz: 75.0,
            ceiling_hz: 600.0,
            periods_per_window: 3.0,
            max_candidates: 15,
            silence_threshold: 0.03,
            reference_peak: None,
            voicing_threshold: 0.45,
            octave_cost: 0.01,
            octave_jump_cost: 0.35,
            voiced_unvoiced_cost: 0.14,
        }
    }
}

impl PitchConfig {
    /// Checks every field against the sample rate.
    ///
    /// # Errors
    /// [`DspError::Parameter`] naming the first field outside its range.
    pub fn validate(&self, sample_rate: u32) -> Result<(), DspError> {
        let nyquist = check_rate(sample_rate)? / 2.0;
        let ranges = [
            ("time_step_secs", self.time_step_secs, 1e-4, 1.0),
            ("floor_hz", self.floor_hz, 10.0, nyquist / 4.0),
            ("ceiling_hz", self.ceiling_hz, self.floor_hz * 1.01, nyquist),
            ("periods_per_window", self.periods_per_window, 3.0, 20.0),
            ("silence_threshold", self.silence_threshold, 0.0, 1.0),
            ("voicing_threshold", self.voicing_threshold, 0.0, 1.0),
            ("octave_cost", self.octave_cost, 0.0, 1.0),
            ("octave_jump_cost", self.octave_jump_cost, 0.0, 100.0),
            (
                "voiced_unvoiced_cost",
                self.voiced_unvoiced_cost,
                0.0,
                100.0,
            ),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(DspError::parameter(name, format!("{low} to {high}"), value));
            }
        }
        if let Some(peak) = self.reference_peak
            && !(peak.is_finite() && peak > 0.0)
        {
            return Err(DspError::parameter("reference_peak", "above 0", peak));
        }
        if !(2..=100).contains(&self.max_candidates) {
            return Err(DspError::parameter(
                "max_candidates",
                "2 to 100",
                self.max_candidates,
            ));
        }
        Ok(())
    }
}

/// Fundamental frequency by the autocorrelation method with path finding.
///
/// Each frame, `periods_per_window` periods of the floor long and Hann-windowed, is freed of its mean;
/// peaks of its autocorrelation divided by that of the window are candidates, their places and heights
/// found by sinc interpolation. A candidate at `f` is worth `r − octave_cost · log2(ceiling / f)`, the
/// unvoiced one `voicing_threshold + max(0, 2 − (local peak / global peak) / (silence_threshold /
/// (1 + voicing_threshold)))`. The path with the largest worth minus the cost of its jumps wins.
///
/// Frames lie wholly inside the signal, in its middle. Silence, a constant, and noise are unvoiced; a
/// signal shorter than one window gives an empty track. Unless [`reference_peak`](PitchConfig::reference_peak) is given, the result does not
/// change with gain. [`PitchStream`] is the streaming form.
///
/// # Errors
/// [`DspError::Parameter`] as [`PitchConfig::validate`]; [`DspError::NonFinite`] or
/// [`DspError::OutOfRange`] on a bad sample.
///
/// ```
/// use vocalics_dsp::pitch::{PitchConfig, pitch};
///
/// let tone: Vec<f32> = (0..8_000u16).map(|n| (f32::from(n) * 0.0864).sin()).collect();
/// let track = pitch(&tone, 16_000, &PitchConfig::default())?;
/// assert!(track.f0_hz.iter().all(|f0| (f0 - 220.0).abs() < 0.1));
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
///
/// Source: P. Boersma, "Accurate short-term analysis of the fundamental frequency and the
/// harmonics-to-noise ratio of a sampled sound", *IFA Proceedings* 17, 1993, pages 97-110.
/// Reference: `parselmouth.Sound.to_pitch_ac(time_step=0.01)`; agreement in `docs/voice.md`.
pub fn pitch(
    samples: &[f32],
    sample_rate: u32,
    config: &PitchConfig,
) -> Result<PitchTrack, DspError> {
    config.validate(sample_rate)?;
    check_samples(samples)?;
    let window_secs = config.periods_per_window / config.floor_hz;
    let rate = f64::from(sample_rate);
    let times_secs = frame_times(samples.len(), rate, window_secs, config.time_step_secs);
    let frames = candidates(samples, sample_rate, config, &times_secs);
    Ok(choose(times_secs, &frames, config))
}

/// [`pitch`] with frames centred on `first_secs + i · time_step_secs`, `n_frames` of them.
///
/// What a window reaches beyond the ends of the signal counts as its local mean.
///
/// # Errors
/// As [`pitch`]; [`DspError::Parameter`] as well if `first_secs` is not finite or negative.
pub fn pitch_at(
    samples: &[f32],
    sample_rate: u32,
    config: &PitchConfig,
    first_secs: f64,
    n_frames: usize,
) -> Result<PitchTrack, DspError> {
    config.validate(sample_rate)?;
    if !(first_secs.is_finite() && first_secs >= 0.0) {
        return Err(DspError::parameter("first_secs", "at least 0", first_secs));
    }
    check_samples(samples)?;
    let times_secs: Vec<f64> = (0..n_frames)
        .map(|i| first_secs + i as f64 * config.time_step_secs)
        .collect();
    let frames = candidates(samples, sample_rate, config, &times_secs);
    Ok(choose(times_secs, &frames, config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_rate, any_samples, noise};
    use crate::{floor_index, narrow};

    fn saw(rate: u32, f0: impl Fn(f64) -> f64, secs: f64) -> Vec<f32> {
        let n = floor_index(secs * f64::from(rate));
        let mut phase = 0.0;
        (0..n)
            .map(|i| {
                let hz = f0(i as f64 / f64::from(rate));
                phase += std::f64::consts::TAU * hz / f64::from(rate);
                let top = floor_index(0.45 * f64::from(rate) / hz).clamp(1, 30);
                narrow(
                    (1..=top)
                        .map(|k| (k as f64 * phase).sin() / k as f64)
                        .sum::<f64>()
                        * 0.2,
                )
            })
            .collect()
    }

    #[test]
    fn steady_tones_are_within_a_cent_at_every_rate() {
        for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000] {
            for f0 in [80.0, 123.4, 220.0, 391.0, 550.0] {
                let track = pitch(&saw(rate, |_| f0, 0.4), rate, &PitchConfig::default()).unwrap();
                assert!(track.f0_hz.len() > 30);
                for (hz, strength) in track.f0_hz.iter().zip(&track.strength) {
                    let cents = 1200.0 * (f64::from(*hz) / f0).log2();
                    assert!(cents.abs() < 2.0, "{rate} {f0}: {hz}");
                    assert!(*strength > 0.97, "{rate} {f0}: {strength}");
                }
            }
        }
    }

    #[test]
    fn a_chirp_is_followed() {
        let f0 = |t: f64| 120.0 + 150.0 * t;
        let track = pitch(&saw(16_000, f0, 1.0), 16_000, &PitchConfig::default()).unwrap();
        for (time, hz) in track.times_secs.iter().zip(&track.f0_hz) {
            assert!(
                (f64::from(*hz) / f0(*time) - 1.0).abs() < 0.01,
                "{time}: {hz}"
            );
        }
        assert!((track.at(0.5).unwrap() - f0(0.5)).abs() < 2.0);
        assert!(track.at(-1.0).is_none() && track.at(7.0).is_none());
    }

    #[test]
    fn frames_may_be_placed_and_reach_beyond_the_ends() {
        let config = PitchConfig::default();
        let samples = saw(16_000, |_| 200.0, 0.3);
        let track = pitch_at(&samples, 16_000, &config, 0.0, 40).unwrap();
        assert_eq!(track.f0_hz.len(), 40);
        for hz in &track.f0_hz[3..27] {
            assert!((hz - 200.0).abs() < 1.0, "{hz}");
        }
        assert!(
            pitch_at(&[], 16_000, &config, 0.0, 3)
                .unwrap()
                .f0_hz
                .iter()
                .all(|f0| *f0 <= 0.0)
        );
        assert!(pitch_at(&samples, 16_000, &config, f64::NAN, 3).is_err());
    }

    #[test]
    fn frames_placed_where_the_batch_form_has_them_are_the_same() {
        let config = PitchConfig::default();
        let samples = saw(16_000, |t| 150.0 + 100.0 * t, 0.5);
        let track = pitch(&samples, 16_000, &config).unwrap();
        let first_secs = track.times_secs[0];
        let placed = pitch_at(&samples, 16_000, &config, first_secs, track.f0_hz.len()).unwrap();
        assert_eq!(placed, track);
    }

    #[test]
    fn a_frame_far_beyond_the_end_is_unvoiced() {
        let samples = saw(16_000, |_| 200.0, 0.3);
        for first_secs in [0.5, 1e15, 1e300, f64::MAX] {
            let track = pitch_at(&samples, 16_000, &PitchConfig::default(), first_secs, 1).unwrap();
            assert_eq!(track.f0_hz, [0.0], "{first_secs}");
            assert_eq!(track.strength, [0.0], "{first_secs}");
        }
    }

    #[test]
    fn what_has_no_period_is_unvoiced() {
        for samples in [vec![0.0; 8000], vec![0.7; 8000], noise(8000, 1)] {
            let track = pitch(&samples, 16_000, &PitchConfig::default()).unwrap();
            let voiced = track.f0_hz.iter().filter(|f0| **f0 > 0.0).count();
            assert!(voiced <= track.f0_hz.len() / 20, "{voiced}");
            assert!(track.strength.iter().all(|s| (0.0..=1.0).contains(s)));
        }
    }

    #[test]
    fn odd_input_is_defined() {
        let config = PitchConfig::default();
        for n in [0, 1, 10, 500] {
            assert!(
                pitch(&vec![0.1; n], 16_000, &config)
                    .unwrap()
                    .f0_hz
                    .is_empty()
            );
        }
        assert!(matches!(
            pitch(&[0.0, f32::NAN], 16_000, &config),
            Err(DspError::NonFinite { index: 1 })
        ));
        for bad in [
            PitchConfig {
                floor_hz: f64::NAN,
                ..config
            },
            PitchConfig {
                ceiling_hz: 70.0,
                ..config
            },
            PitchConfig {
                time_step_secs: 0.0,
                ..config
            },
            PitchConfig {
                max_candidates: 1,
                ..config
            },
            // The period of the floor would lie beyond the last lag.
            PitchConfig {
                periods_per_window: 1.9,
                ..config
            },
        ] {
            assert!(pitch(&[0.0; 9000], 16_000, &bad).is_err());
        }
        assert!(pitch(&[0.0; 9000], 0, &config).is_err());
    }

    #[test]
    fn gain_changes_nothing() {
        let samples = saw(16_000, |t| 150.0 + 40.0 * (9.0 * t).sin(), 0.5);
        let quiet: Vec<f32> = samples.iter().map(|x| x / 1024.0).collect();
        let config = PitchConfig::default();
        assert_eq!(
            pitch(&samples, 16_000, &config).unwrap(),
            pitch(&quiet, 16_000, &config).unwrap()
        );
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn finite_on_any_input(
            samples in any_samples(0..4000),
            rate in any_rate(),
            floor in 0.0..1.0,
            ceiling in 0.01..1.0,
            periods_per_window in 3.0..6.0,
            octave_cost in 0.0..1.0,
            voicing_threshold in 0.0..1.0,
            first_secs in 0.0..0.5,
        ) {
            let nyquist = f64::from(rate) / 2.0;
            let (lowest, highest) = ((nyquist / 16.0).clamp(10.0, 60.0), nyquist / 4.0);
            let floor_hz = lowest + floor * (highest - lowest).max(0.0);
            let config = PitchConfig {
                floor_hz,
                ceiling_hz: 1.01 * floor_hz + ceiling * (nyquist - 1.01 * floor_hz),
                periods_per_window,
                octave_cost,
                voicing_threshold,
                ..PitchConfig::default()
            };
            for track in [
                pitch(&samples, rate, &config).unwrap(),
                pitch_at(&samples, rate, &config, first_secs, 5).unwrap(),
            ] {
                for (f0, strength) in track.f0_hz.iter().zip(&track.strength) {
                    proptest::prop_assert!(
                        f0.abs() < 1e-9 || (floor_hz * 0.999..=nyquist).contains(&f64::from(*f0)),
                        "{f0}"
                    );
                    proptest::prop_assert!((0.0..=1.0).contains(strength), "{strength}");
                }
            }
        }
    }
}
