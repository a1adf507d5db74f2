//! How much of a voice is periodic: harmonics-to-noise ratio.

use crate::error::DspError;
use crate::pitch::{PitchConfig, PitchFrame, PitchStream, pitch};
use crate::{mean_of_present, narrow};

/// Harmonics-to-noise ratio over time; both vectors are `[n_frames]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HarmonicityTrack {
    /// Centre of each frame in seconds.
    pub times_secs: Vec<f64>,
    /// Harmonics-to-noise ratio in decibels; `None` where the frame is silent or has no period.
    pub hnr_db: Vec<Option<f32>>,
}

impl HarmonicityTrack {
    /// Mean over the frames that have a value; `None` if there is none.
    #[must_use]
    pub fn mean_db(&self) -> Option<f32> {
        mean_of_present(&self.hnr_db)
    }
}

/// Ratio, in decibels, of the power that repeats to the power that does not, from the height `r` of the
/// normalised autocorrelation at the period: `10 · log10(r / (1 − r))`, within ±90 dB.
///
/// Source: Boersma 1993, equation 4.
#[must_use]
pub fn strength_to_hnr_db(strength: f64) -> f64 {
    let r = strength.clamp(1e-9, 1.0 - 1e-9);
    10.0 * (r / (1.0 - r)).log10()
}

/// Harmonics-to-noise ratio by autocorrelation.
///
/// [`pitch`] with windows of 4.5 periods, no threshold of voicing and no costs; in each frame with a value it
/// is [`strength_to_hnr_db`] of the height `r` of the highest peak. A frame has one if
/// `r > max(0, 2 − 10·p)`, `p` its peak over the clip's: never up to a tenth of the clip's peak, from a fifth
/// on with any peak at all. Lags down to two samples count, as no ceiling of f0 is set.
///
/// White noise has about −5 to 0 dB, a hoarse voice 5 to 10, a clear one 15 to 25. Silence and constants
/// give `None`; a signal shorter than a window has no frame. [`HarmonicityStream`] is the streaming form.
///
/// # Errors
/// As [`pitch`], for `floor_hz` as well.
///
/// Source: Boersma 1993. Reference: `parselmouth.Sound.to_harmonicity_ac(time_step=0.01, periods_per_window=4.5)`;
/// agreement in `docs/voice.md`.
pub fn harmonicity(
    samples: &[f32],
    sample_rate: u32,
    floor_hz: f64,
    time_step_secs: f64,
) -> Result<HarmonicityTrack, DspError> {
    let config = config(sample_rate, floor_hz, time_step_secs);
    let track = pitch(samples, sample_rate, &config)?;
    let hnr_db = track
        .f0_hz
        .iter()
        .zip(&track.strength)
        .map(|(f0, strength)| hnr(*f0, *strength))
        .collect();
    Ok(HarmonicityTrack {
        times_secs: track.times_secs,
        hnr_db,
    })
}

fn config(sample_rate: u32, floor_hz: f64, time_step_secs: f64) -> PitchConfig {
    PitchConfig {
        time_step_secs,
        floor_hz,
        ceiling_hz: f64::from(sample_rate) / 2.0,
        periods_per_window: 4.5,
        silence_threshold: 0.1,
        voicing_threshold: 0.0,
        octave_cost: 0.0,
        octave_jump_cost: 0.0,
        voiced_unvoiced_cost: 0.0,
        ..PitchConfig::default()
    }
}

fn hnr(f0_hz: f32, strength: f32) -> Option<f32> {
    (f0_hz > 0.0).then(|| narrow(strength_to_hnr_db(f64::from(strength))))
}

/// [`harmonicity`] for a signal that comes in chunks, with frames from 0 s on for as long as there are samples, and a peak that is
/// stated instead of the clip's own.
///
/// No step between frames costs anything, so that a frame comes as soon as its window is full.
#[derive(Debug)]
pub struct HarmonicityStream {
    pitch: PitchStream,
}

impl HarmonicityStream {
    /// A stream before its first sample; `reference_peak` is 1 for full scale.
    ///
    /// # Errors
    /// As [`harmonicity`]; [`DspError::Parameter`] unless `reference_peak` is above 0.
    pub fn new(
        sample_rate: u32,
        floor_hz: f64,
        time_step_secs: f64,
        reference_peak: f64,
    ) -> Result<Self, DspError> {
        let config = PitchConfig {
            reference_peak: Some(reference_peak),
            ..config(sample_rate, floor_hz, time_step_secs)
        };
        let pitch = PitchStream::new(sample_rate, &config)?.within(0.0);
        Ok(Self { pitch })
    }

    /// Seconds of samples behind its centre that a frame needs.
    #[must_use]
    pub fn look_ahead_secs(&self) -> f64 {
        self.pitch.look_ahead_secs()
    }

    /// Takes a chunk of any length and gives the frames that are known now: centre in seconds, ratio in decibels.
    ///
    /// # Errors
    /// [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample; nothing of the chunk is taken in.
    pub fn push(
        &mut self,
        samples: &[f32],
        mut each: impl FnMut(f64, Option<f32>),
    ) -> Result<(), DspError> {
        self.pitch.push(samples, |frame| emit(frame, &mut each))
    }

    /// Ends the stream, which starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(f64, Option<f32>)) {
        self.pitch.finish(|frame| emit(frame, &mut each));
    }
}

fn emit(frame: PitchFrame, each: &mut impl FnMut(f64, Option<f32>)) {
    each(frame.time_secs, hnr(frame.f0_hz, frame.strength));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_rate, any_samples, noise};

    /// A sine with white noise at a known ratio of powers.
    fn noisy(hnr_db: f64) -> Vec<f32> {
        let level = (0.5 / 10.0_f64.powf(hnr_db / 10.0) * 3.0).sqrt();
        noise(32_000, 1)
            .iter()
            .enumerate()
            .map(|(n, white)| narrow((n as f64 * 0.0641).sin() + level * f64::from(*white)))
            .collect()
    }

    #[test]
    fn noise_at_a_known_ratio_is_measured() {
        for truth in [10.0, 20.0, 30.0] {
            let mean = harmonicity(&noisy(truth), 16_000, 75.0, 0.01)
                .unwrap()
                .mean_db()
                .unwrap();
            assert!((f64::from(mean) - truth).abs() < 1.5, "{truth}: {mean}");
        }
    }

    #[test]
    fn silence_has_none() {
        for samples in [vec![0.0; 9000], vec![0.4; 9000], vec![]] {
            assert!(
                harmonicity(&samples, 16_000, 75.0, 0.01)
                    .unwrap()
                    .mean_db()
                    .is_none()
            );
        }
        assert!(harmonicity(&[f32::NAN; 9], 16_000, 75.0, 0.01).is_err());
        assert!(harmonicity(&[0.0; 9], 16_000, f64::NAN, 0.01).is_err());
        assert!(strength_to_hnr_db(0.5).abs() < 1e-12);
        assert!(strength_to_hnr_db(2.0) < 91.0 && strength_to_hnr_db(-1.0) > -91.0);
    }

    #[test]
    fn a_stream_gives_what_frames_of_the_whole_give() {
        let samples = noisy(12.0);
        let mut stream = HarmonicityStream::new(16_000, 75.0, 0.01, 0.8).unwrap();
        let mut found = Vec::new();
        for chunk in samples.chunks(333) {
            stream.push(chunk, |_, hnr| found.push(hnr)).unwrap();
        }
        let behind = 2.0 - 0.01 * found.len() as f64;
        assert!(behind <= stream.look_ahead_secs(), "{behind} s");
        stream.finish(|_, hnr| found.push(hnr));
        let config = PitchConfig {
            reference_peak: Some(0.8),
            ..config(16_000, 75.0, 0.01)
        };
        let track = crate::pitch::pitch_at(&samples, 16_000, &config, 0.0, found.len()).unwrap();
        let wanted: Vec<Option<f32>> = track
            .f0_hz
            .iter()
            .zip(&track.strength)
            .map(|(f0, strength)| hnr(*f0, *strength))
            .collect();
        assert_eq!(found, wanted);
        let mean = mean_of_present(&found).unwrap();
        assert!((mean - 12.0).abs() < 1.0, "{mean}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn finite_on_any_input(
            samples in any_samples(0..3000),
            rate in any_rate(),
            floor in 0.0..1.0,
        ) {
            let highest = f64::from(rate) / 8.0;
            let floor_hz = 10.0_f64.max(highest / 4.0) + floor * (highest - 10.0_f64.max(highest / 4.0));
            let track = harmonicity(&samples, rate, floor_hz, 0.003).unwrap();
            let in_range = |db: &f32| (-90.1..=90.1).contains(db);
            proptest::prop_assert!(track.hnr_db.iter().flatten().all(in_range));
            proptest::prop_assert!(track.mean_db().is_none_or(f32::is_finite));
        }
    }
}
