//! Sound pressure level over time.

use crate::error::DspError;
use crate::frame::{check_rate, frame_times};
use crate::window::bessel_i0;
use crate::{check_samples, floor_index, narrow};

/// Pressure of 0 dB, in pascal, when a sample of 1 counts as 1 Pa.
const REFERENCE_PASCAL: f64 = 2e-5;

/// Shape of the Kaiser window.
const BETA: f64 = 2.0 * std::f64::consts::PI * std::f64::consts::PI + 0.5;

/// Lowest intensity reported, in decibels.
pub const MIN_INTENSITY_DB: f32 = -300.0;

/// Intensity over time; both vectors are `[n_frames]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IntensityTrack {
    /// Centre of each frame in seconds.
    pub times_secs: Vec<f64>,
    /// Intensity in decibels re 20 µPa, a sample of 1 taken for 1 Pa: a full-scale sine has 90.97 dB.
    pub intensity_db: Vec<f32>,
}

/// Length of the window of [`intensity`] in seconds, `6.4 / minimum_pitch_hz`.
#[must_use]
pub fn window_secs(minimum_pitch_hz: f64) -> f64 {
    6.4 / minimum_pitch_hz
}

/// Intensity in decibels re 20 µPa.
///
/// `10 · log10(Σ w·(x − m)² / Σ w / 4·10⁻¹⁰)` over a Kaiser window (`β = 2π² + ½`, side lobes below
/// −190 dB) `6.4 / minimum_pitch_hz` seconds long, `m` the frame's mean. The window is
/// long enough for a voice at `minimum_pitch_hz` to have no ripple at its own period.
///
/// Silence and constants give [`MIN_INTENSITY_DB`]; a signal shorter than a window has no frame.
/// Frames lie in the middle of the clip, so its length has to be known; there is no streaming form.
///
/// # Errors
/// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000, `minimum_pitch_hz` 10 to 1000 and
/// `time_step_secs` 0.0001 to 1; [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample.
///
/// Source: Praat manual, *Sound: To Intensity...*. Reference:
/// `parselmouth.Sound.to_intensity(minimum_pitch, time_step)`; agreement in `docs/voice.md`.
pub fn intensity(
    samples: &[f32],
    sample_rate: u32,
    minimum_pitch_hz: f64,
    time_step_secs: f64,
) -> Result<IntensityTrack, DspError> {
    let rate = check_rate(sample_rate)?;
    if !(10.0..=1_000.0).contains(&minimum_pitch_hz) {
        return Err(DspError::parameter(
            "minimum_pitch_hz",
            "10 to 1000",
            minimum_pitch_hz,
        ));
    }
    if !(1e-4..=1.0).contains(&time_step_secs) {
        return Err(DspError::parameter(
            "time_step_secs",
            "0.0001 to 1",
            time_step_secs,
        ));
    }
    check_samples(samples)?;
    let window_secs = window_secs(minimum_pitch_hz);
    let half = floor_index(0.5 * window_secs * rate);
    let window: Vec<f64> = (0..=2 * half)
        .map(|n| {
            let x = (n as f64 - half as f64) / (0.5 * window_secs * rate);
            bessel_i0(BETA * (1.0 - x * x).max(0.0).sqrt())
        })
        .collect();
    let times_secs = frame_times(samples.len(), rate, window_secs, time_step_secs);
    let intensity_db = times_secs
        .iter()
        .map(|time| {
            let middle = floor_index((time * rate).max(0.0));
            let skip = half.saturating_sub(middle);
            let begin = middle.saturating_sub(half).min(samples.len());
            let frame = &samples[begin..(middle + half + 1).clamp(begin, samples.len())];
            let mean = frame.iter().map(|x| f64::from(*x)).sum::<f64>() / frame.len().max(1) as f64;
            let (mut weight, mut sum) = (0.0, 0.0);
            for (x, w) in frame.iter().zip(&window[skip..]) {
                weight += w;
                sum += w * (f64::from(*x) - mean).powi(2);
            }
            let power = sum / weight;
            // What cancellation leaves of a constant is not sound.
            if power <= 1e-13 * mean * mean {
                return MIN_INTENSITY_DB;
            }
            narrow(10.0 * (power / REFERENCE_PASCAL.powi(2)).log10()).max(MIN_INTENSITY_DB)
        })
        .collect();
    Ok(IntensityTrack {
        times_secs,
        intensity_db,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_rate, any_samples};

    #[test]
    fn a_sine_has_its_level_at_every_rate() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            let w = std::f64::consts::TAU * 200.0 / f64::from(rate);
            let tone: Vec<f32> = (0..rate / 2)
                .map(|n| narrow((w * f64::from(n)).sin() + 0.3))
                .collect();
            let track = intensity(&tone, rate, 100.0, 0.01).unwrap();
            let expected = 10.0 * (0.5_f32 / 4e-10).log10();
            assert!(track.intensity_db.len() > 40);
            assert!(
                track
                    .intensity_db
                    .iter()
                    .all(|db| (db - expected).abs() < 0.01),
                "{rate}"
            );
        }
    }

    #[test]
    fn odd_input_is_defined() {
        for samples in [vec![0.0; 4000], vec![0.3; 4000]] {
            let track = intensity(&samples, 16_000, 100.0, 0.01).unwrap();
            assert!(track.intensity_db.iter().all(|db| *db <= MIN_INTENSITY_DB));
        }
        assert!(
            intensity(&[0.1; 100], 16_000, 100.0, 0.01)
                .unwrap()
                .times_secs
                .is_empty()
        );
        assert!(intensity(&[f32::NAN], 16_000, 100.0, 0.01).is_err());
        assert!(intensity(&[0.0], 16_000, f64::NAN, 0.01).is_err());
        assert!(intensity(&[0.0], 16_000, 100.0, 0.0).is_err());
        assert!(intensity(&[0.0], 0, 100.0, 0.01).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        #[test]
        fn finite_on_any_input(
            samples in any_samples(0..3000),
            rate in any_rate(),
            minimum_pitch_hz in 10.0..1000.0,
            time_step_secs in 0.001..0.1,
        ) {
            let track = intensity(&samples, rate, minimum_pitch_hz, time_step_secs).unwrap();
            proptest::prop_assert_eq!(track.times_secs.len(), track.intensity_db.len());
            let in_range = |db: &f32| (MIN_INTENSITY_DB..=300.0).contains(db);
            proptest::prop_assert!(track.intensity_db.iter().all(in_range));
        }
    }
}
