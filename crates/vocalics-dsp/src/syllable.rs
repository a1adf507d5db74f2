//! Syllable nuclei and speech rate.

use crate::check_samples;
use crate::decibel::power_db;
use crate::error::DspError;
use crate::frame::check_rate;
use crate::narrow;
use crate::window::hann;

/// Window of the intensity contour in seconds: 3.2 periods of 50 Hz, the minimum pitch of the script.
const WINDOW_SECS: f64 = 0.064;
/// Step of the intensity contour in seconds.
const HOP_SECS: f64 = 0.01;
/// Nuclei lie within this many decibels of the loudest hundredth of the clip; de Jong and Wempe 2009.
const RANGE_DB: f32 = 25.0;
/// The intensity falls by more than this between two nuclei, in decibels; de Jong and Wempe 2009.
const DIP_DB: f32 = 2.0;
/// Least correlation of a voiced sound with itself one period later; the threshold of
/// [`PitchConfig`](crate::pitch::PitchConfig).
const VOICED: f64 = 0.45;
/// Range of the fundamental frequency in hertz, set by hand for adult speakers.
const F0_HZ: (f64, f64) = (75.0, 500.0);

/// Smoothed intensity in decibels, and the seconds between its values.
#[derive(Debug, Clone, PartialEq)]
pub struct IntensityContour {
    /// Intensity in decibels, full scale 0, at least −100, `[n_frames]`; value `i` is centred on
    /// `i · hop_secs`.
    pub values_db: Vec<f32>,
    /// Step in seconds.
    pub hop_secs: f64,
}

/// Mean square under a Hann window of 64 ms, every 10 ms, in decibels. There is no streaming form.
///
/// # Errors
/// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz, else as [`check_samples`].
pub fn smooth_intensity(samples: &[f32], sample_rate: u32) -> Result<IntensityContour, DspError> {
    let rate = check_rate(sample_rate)?;
    check_samples(samples)?;
    let window = hann(crate::floor_index(WINDOW_SECS * rate).max(1));
    let total: f32 = window.iter().sum();
    let hop = crate::floor_index(HOP_SECS * rate).max(1);
    let half = window.len() / 2;
    let n_frames = samples.len().div_ceil(hop);
    let values_db = (0..n_frames)
        .map(|frame| {
            let centre = frame * hop;
            let skipped = half.saturating_sub(centre);
            let inside = &samples[centre.saturating_sub(half)..];
            let sum: f32 = inside
                .iter()
                .zip(&window[skipped.min(window.len())..])
                .map(|(x, w)| x * x * w)
                .sum();
            power_db(sum / total)
        })
        .collect();
    Ok(IntensityContour {
        values_db,
        hop_secs: hop as f64 / rate,
    })
}

/// Times in seconds of the syllable nuclei of a clip, in order.
///
/// Peaks of the intensity within 25 dB of its 99th percentile, the intensity falling by more than
/// 2 dB before the next peak, where the sound is voiced: its normalised autocorrelation reaches 0.45
/// at a period of 75 to 500 Hz. Silence, constants and noise have none. Needs the whole clip;
/// there is no streaming form.
///
/// # Errors
/// As [`smooth_intensity`].
///
/// Source: N. de Jong, T. Wempe, *Praat script to detect syllable nuclei and measure speech rate
/// automatically*, Behavior Research Methods 41(2), 2009.
pub fn syllable_nuclei(samples: &[f32], sample_rate: u32) -> Result<Vec<f64>, DspError> {
    let contour = smooth_intensity(samples, sample_rate)?;
    let values = &contour.values_db;
    let mut sorted = values.clone();
    sorted.sort_by(f32::total_cmp);
    let Some(&loud) = sorted.get(sorted.len() * 99 / 100) else {
        return Ok(Vec::new());
    };
    let least = (loud - RANGE_DB).max(-99.0);
    let mut nuclei: Vec<usize> = Vec::new();
    // The lowest point since the last nucleus.
    let mut dip = f32::NEG_INFINITY;
    for i in 0..values.len() {
        let before = if i == 0 {
            f32::NEG_INFINITY
        } else {
            values[i - 1]
        };
        let after = values.get(i + 1).copied().unwrap_or(f32::NEG_INFINITY);
        dip = dip.min(values[i]);
        if !(values[i] > before && values[i] >= after && values[i] > least) {
            continue;
        }
        match nuclei.last().copied() {
            // Too shallow a dip: one nucleus, at the higher of both peaks.
            Some(last) if values[last].min(values[i]) - dip <= DIP_DB => {
                if values[i] > values[last] {
                    nuclei.pop();
                    nuclei.push(i);
                    dip = values[i];
                }
            }
            _ => {
                nuclei.push(i);
                dip = values[i];
            }
        }
    }
    Ok(nuclei
        .into_iter()
        .map(|i| i as f64 * contour.hop_secs)
        .filter(|secs| is_voiced(samples, f64::from(sample_rate), *secs))
        .collect())
}

/// Whether the sound around an instant repeats itself at the period of a voice.
fn is_voiced(samples: &[f32], rate: f64, secs: f64) -> bool {
    let (shortest, longest) = (
        crate::floor_index(rate / F0_HZ.1).max(2),
        crate::floor_index(rate / F0_HZ.0),
    );
    let centre = crate::floor_index(secs * rate);
    let length = 2 * longest;
    let start = centre.saturating_sub(length);
    let part = &samples[start..(start + 2 * length).min(samples.len())];
    let mean = part.iter().map(|x| f64::from(*x)).sum::<f64>() / part.len().max(1) as f64;
    let part: Vec<f64> = part.iter().map(|x| f64::from(*x) - mean).collect();
    let product = |lag: usize| -> f64 {
        let (a, b) = (&part[..part.len() - lag], &part[lag..]);
        let (mut cross, mut left, mut right) = (0.0, 0.0, 0.0);
        for (x, y) in a.iter().zip(b) {
            cross += x * y;
            left += x * x;
            right += y * y;
        }
        if left * right > 0.0 {
            cross / (left * right).sqrt()
        } else {
            0.0
        }
    };
    let last = longest.min(part.len() / 2);
    // A correlation that only falls from lag 0 is smoothness, not a period: wait for it to be low.
    let mut fell = false;
    (2..=last).any(|lag| {
        let value = product(lag);
        fell |= value < VOICED;
        fell && lag >= shortest && value >= VOICED
    })
}

/// How fast somebody speaks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SpeechRate {
    /// Syllables a second from the first to the last speech, pauses included.
    pub speech_rate: f32,
    /// Syllables a second of the time that is not pause.
    pub articulation_rate: f32,
    /// Seconds that are not pause by syllable; 0 without syllables.
    pub mean_syllable_secs: f32,
}

/// Rates from the number of nuclei, the time from the first to the last speech, and the part of it
/// that is not pause, in seconds. Times that are not above 0 give 0.
///
/// Source: de Jong and Wempe 2009.
#[must_use]
pub fn speech_rate(nuclei: usize, span_secs: f64, phonation_secs: f64) -> SpeechRate {
    let share = |a: f64, b: f64| if b > 0.0 { narrow(a / b) } else { 0.0 };
    let count = nuclei as f64;
    SpeechRate {
        speech_rate: share(count, span_secs),
        articulation_rate: share(count, phonation_secs),
        mean_syllable_secs: share(phonation_secs.max(0.0), count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_rate, any_samples, noise};

    /// A buzz of 140 Hz switched softly on and off `rate_hz` times a second.
    fn babble(rate: u32, secs: u32, rate_hz: f32) -> Vec<f32> {
        (0..rate * secs)
            .map(|n| {
                let t = n as f32 / rate as f32;
                let on = 0.5 - 0.5 * (std::f32::consts::TAU * rate_hz * t).cos();
                let voice: f32 = (1..12_u8)
                    .map(|k| {
                        (std::f32::consts::TAU * 140.0 * f32::from(k) * t).sin() / f32::from(k)
                    })
                    .sum();
                0.1 * on * voice
            })
            .collect()
    }

    #[test]
    fn syllables_are_counted_at_every_rate() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            for rate_hz in [2.0, 4.0, 6.0] {
                let nuclei = syllable_nuclei(&babble(rate, 3, rate_hz), rate).unwrap();
                let expected = crate::floor_index(f64::from(3.0 * rate_hz));
                assert_eq!(nuclei.len(), expected, "{rate} {rate_hz}: {nuclei:?}");
                let first = 0.5 / f64::from(rate_hz);
                assert!((nuclei[0] - first).abs() < 0.02, "{nuclei:?}");
            }
        }
    }

    #[test]
    fn noise_silence_and_constants_have_no_nuclei() {
        let envelope = babble(16_000, 2, 4.0);
        let hiss: Vec<f32> = noise(32_000, 4)
            .iter()
            .enumerate()
            .map(|(n, x)| {
                let t = n as f32 / 16_000.0;
                x * 0.3 * (0.5 - 0.5 * (std::f32::consts::TAU * 4.0 * t).cos())
            })
            .collect();
        assert!(!syllable_nuclei(&envelope, 16_000).unwrap().is_empty());
        for samples in [&hiss[..], &[], &[0.0; 20_000], &[0.5; 20_000], &[0.5; 10]] {
            let nuclei = syllable_nuclei(samples, 16_000).unwrap();
            assert!(nuclei.is_empty(), "{nuclei:?}");
        }
        assert!(syllable_nuclei(&[f32::NAN], 16_000).is_err());
        assert!(syllable_nuclei(&[0.0], 0).is_err());
    }

    #[test]
    fn rates_are_counts_by_time() {
        let rate = speech_rate(12, 4.0, 3.0);
        assert!((rate.speech_rate - 3.0).abs() < 1e-6);
        assert!((rate.articulation_rate - 4.0).abs() < 1e-6);
        assert!((rate.mean_syllable_secs - 0.25).abs() < 1e-6);
        assert_eq!(speech_rate(0, 0.0, 0.0), SpeechRate::default());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]

        #[test]
        fn finite_on_any_input(samples in any_samples(0..3000), rate in any_rate()) {
            let contour = smooth_intensity(&samples, rate).unwrap();
            proptest::prop_assert!(contour.values_db.iter().all(|db| (-100.1..=190.0).contains(db)));
            let nuclei = syllable_nuclei(&samples, rate).unwrap();
            proptest::prop_assert!(nuclei.is_sorted());
            let duration = samples.len() as f64 / f64::from(rate);
            proptest::prop_assert!(nuclei.iter().all(|secs| (0.0..=duration).contains(secs)));
        }
    }
}
