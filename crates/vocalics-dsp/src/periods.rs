//! Single glottal periods: where each begins, and how large it is.

mod marker;
mod stream;
mod waveform;

use crate::check_samples;
use crate::error::DspError;
use crate::frame::check_rate;
use crate::pitch::PitchTrack;
use marker::Marker;
use waveform::Waveform;

pub use stream::PeriodStream;

/// Where one glottal period lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Time in seconds.
    pub time_secs: f64,
    /// Amplitude around it, full scale 1.
    pub amplitude: f64,
}

/// Marks, one per glottal period.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Periods {
    /// Times of the marks in seconds, rising `[n_marks]`.
    pub times_secs: Vec<f64>,
    /// Amplitude around each mark, full scale 1 `[n_marks]`.
    pub amplitudes: Vec<f64>,
}

/// Marks the periods of voiced stretches by waveform matching.
///
/// In each voiced stretch of the f0 track the first mark is the largest extremum within half a period
/// of the middle. From there on, to the left and to the right, the next mark lies 0.8 to 1.2 periods
/// away, where the period around it correlates best with the one around the mark before (parabolic
/// interpolation); marks whose correlation is below 0.3 are dropped, and one mark beyond the stretch is
/// kept if its correlation exceeds 0.7. A mark where the stretch has no f0 is followed no further. An f0 that is not finite is none.
///
/// The amplitude of a mark is `√(Σ (w·x)² / Σ w²)` with a Hann window `w` from a fifth of the shorter
/// neighbouring period, 20 ms at most, before it to as much after. Silence and unvoiced sound have no mark. Marks go out from
/// the middle of a voiced stretch; [`PeriodStream`] gives them when the stretch is over.
///
/// # Errors
/// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz; [`DspError::NonFinite`] or
/// [`DspError::OutOfRange`] on a bad sample.
///
/// Source: Praat manual, *Sound & Pitch: To PointProcess (cc)*. Reference: that command on the pitch of
/// `To Pitch (ac)`; agreement in `docs/voice.md`.
pub fn periods(samples: &[f32], sample_rate: u32, pitch: &PitchTrack) -> Result<Periods, DspError> {
    let rate = check_rate(sample_rate)?;
    check_samples(samples)?;
    let mut marker = Marker::default();
    for (time_secs, f0_hz) in pitch.times_secs.iter().zip(&pitch.f0_hz) {
        marker.add(*time_secs, *f0_hz);
    }
    let sound = Waveform {
        samples,
        first: 0,
        rate,
    };
    let mut periods = Periods::default();
    marker.finish(&sound, &mut |mark| {
        periods.times_secs.push(mark.time_secs);
        periods.amplitudes.push(mark.amplitude);
    });
    Ok(periods)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pitch::{PitchConfig, pitch};
    use crate::test_signal::{any_rate, any_samples};
    use crate::{floor_index, narrow};

    #[test]
    fn every_period_of_a_pulse_train_is_marked_once() {
        for rate in [8_000, 16_000, 48_000] {
            let fs = f64::from(rate);
            let mut samples = vec![0.0_f32; floor_index(0.6 * fs)];
            for k in 0..70 {
                let at = 0.01 + f64::from(k) * 0.008;
                for (n, x) in samples.iter_mut().enumerate() {
                    let t = n as f64 / fs - at;
                    *x += narrow((-(t / 0.0006).powi(2)).exp());
                }
            }
            let track = pitch(&samples, rate, &PitchConfig::default()).unwrap();
            let marks = periods(&samples, rate, &track).unwrap();
            assert!(
                (65..=71).contains(&marks.times_secs.len()),
                "{}",
                marks.times_secs.len()
            );
            for pair in marks.times_secs.windows(2) {
                assert!((pair[1] - pair[0] - 0.008).abs() < 2e-5, "{rate}: {pair:?}");
            }
        }
    }

    #[test]
    fn odd_input_has_no_mark() {
        let silent = PitchTrack::default();
        assert!(periods(&[], 16_000, &silent).unwrap().times_secs.is_empty());
        // A track that does not belong to the samples.
        let alien = PitchTrack {
            times_secs: vec![0.1, 0.11, 0.12],
            f0_hz: vec![100.0; 3],
            strength: vec![1.0; 3],
        };
        for samples in [vec![], vec![0.0; 10_000]] {
            assert_eq!(
                periods(&samples, 16_000, &alien).unwrap(),
                Periods::default()
            );
        }
        let marks = periods(&[1.0; 1700], 16_000, &alien).unwrap();
        assert_eq!(marks.times_secs.len(), marks.amplitudes.len());
        assert!(marks.times_secs.is_sorted());
        assert!(
            marks
                .times_secs
                .iter()
                .all(|secs| (0.0..1700.0 / 16_000.0).contains(secs))
        );
        assert!(marks.amplitudes.iter().all(|a| (a - 1.0).abs() < 1e-6));
        assert!(periods(&[f32::NAN], 16_000, &silent).is_err());
        assert!(periods(&[0.0], 0, &silent).is_err());
    }

    #[test]
    fn an_infinite_f0_is_no_voice() {
        let samples: Vec<f32> = (0..4000_u16).map(|i| (f32::from(i) * 0.04).sin()).collect();
        let track = |f0_hz| PitchTrack {
            times_secs: (0..20).map(|i| f64::from(i) * 0.01).collect(),
            strength: vec![1.0; 20],
            f0_hz,
        };
        for begin in 0..20 {
            for end in begin + 1..=20 {
                let with = |f0| {
                    let mut f0_hz = vec![100.0; 20];
                    f0_hz[begin..end].fill(f0);
                    periods(&samples, 16_000, &track(f0_hz)).unwrap()
                };
                assert_eq!(with(f32::INFINITY), with(0.0), "{begin}..{end}");
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn finite_on_any_input(
            samples in any_samples(0..2000),
            rate in any_rate(),
            usual in proptest::collection::vec(50.0_f32..600.0, 0..20),
            any in proptest::collection::vec(proptest::num::f32::ANY, 0..20),
            step_secs in 0.001..0.1,
        ) {
            for f0_hz in [usual, any] {
                let times_secs = (0..f0_hz.len()).map(|i| i as f64 * step_secs).collect();
                let track = PitchTrack { times_secs, strength: vec![1.0; f0_hz.len()], f0_hz };
                let marks = periods(&samples, rate, &track).unwrap();
                proptest::prop_assert_eq!(marks.times_secs.len(), marks.amplitudes.len());
                proptest::prop_assert!(marks.times_secs.is_sorted());
                proptest::prop_assert!(marks.times_secs.iter().all(|secs| secs.is_finite()));
                let fine = |a: &f64| a.is_finite() && *a >= 0.0;
                proptest::prop_assert!(marks.amplitudes.iter().all(fine), "{:?}", marks.amplitudes);
            }
        }
    }
}
