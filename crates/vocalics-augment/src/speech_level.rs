//! The level of speech, pauses left out.

use std::collections::VecDeque;

use vocalics_dsp::level::{peak, rms};
use vocalics_dsp::{floor_index, narrow};

/// Time constant of the envelope in seconds; this and what follows is P.56.
const SMOOTHING_SECS: f64 = 0.03;
/// Time for which speech counts as going on after the envelope fell below a threshold, in seconds.
const HANGOVER_SECS: f64 = 0.2;
/// Decibels by which the active level lies above the threshold that it is measured with.
const MARGIN_DB: f64 = 15.9;
/// Thresholds, each half of the one before.
const THRESHOLDS: usize = 15;
/// The lowest of them, as a share of the peak: `2⁻¹⁵`.
const LOWEST: f64 = 1.0 / 32_768.0;

/// Active speech level as an amplitude: the RMS over the time in which somebody speaks.
///
/// Method B of P.56: the envelope is compared with thresholds 6 dB apart; for each, the level over the time above it (and
/// 200 ms after) is known; the active level is that of the threshold which lies 15.9 dB below it, linear
/// between two thresholds. The thresholds go down from the clip's peak rather than from full scale, so that a gain
/// of the clip is a gain of the result, also for recordings 50 dB below full scale.
///
/// 0 for silence and for no samples. Where no threshold lies so far below, the RMS.
///
/// Source: ITU-T Recommendation P.56 (2011), *Objective measurement of active speech level*.
#[must_use]
pub fn speech_level(samples: &[f32], sample_rate: u32) -> f32 {
    let loudest = f64::from(peak(samples));
    if loudest <= 0.0 {
        return 0.0;
    }
    let (active, energy) = activity(samples, sample_rate, loudest);
    let mut before: Option<(f64, f64)> = None;
    for (index, count) in active.iter().enumerate() {
        if *count == 0 {
            break;
        }
        let threshold_db = 20.0 * LOWEST.log10() + 6.020_6 * index as f64;
        let level_db = 10.0 * (energy / f64::from(*count)).log10();
        let margin_db = level_db - threshold_db;
        if margin_db <= MARGIN_DB {
            let found_db = before.map_or(level_db, |(earlier_db, earlier_margin_db)| {
                let share = (earlier_margin_db - MARGIN_DB) / (earlier_margin_db - margin_db);
                earlier_db + share * (level_db - earlier_db)
            });
            return narrow(loudest * 10f64.powf(found_db / 20.0));
        }
        before = Some((level_db, margin_db));
    }
    rms(samples)
}

/// For how many samples each threshold is met, from the lowest on, and the energy, both of the samples over `loudest`.
fn activity(samples: &[f32], sample_rate: u32, loudest: f64) -> ([u32; THRESHOLDS], f64) {
    let rate = f64::from(sample_rate);
    let keep = (-1.0 / (rate * SMOOTHING_SECS)).exp();
    let hangover = floor_index(rate * HANGOVER_SECS) + 1;
    let (mut first, mut second) = (0.0, 0.0);
    let mut active = [0_u32; THRESHOLDS];
    // How many thresholds were met, and when: only what a later sample may still take from, the highest first.
    let mut met: VecDeque<(usize, usize)> = VecDeque::new();
    let mut energy = 0.0;
    for (n, x) in samples.iter().enumerate() {
        let x = f64::from(*x).abs() / loudest;
        energy += x * x;
        first = keep * first + (1.0 - keep) * x;
        second = keep * second + (1.0 - keep) * first;
        let now = thresholds_below(second / LOWEST);
        while met.back().is_some_and(|&(earlier, _)| earlier <= now) {
            met.pop_back();
        }
        met.push_back((now, n));
        while met.front().is_some_and(|&(_, at)| n - at > hangover) {
            met.pop_front();
        }
        // A threshold counts for as long as a sample of the hangover meets it.
        let most = met.front().map_or(0, |&(most, _)| most);
        if let Some(last) = most.checked_sub(1) {
            active[last] += 1;
        }
    }
    // Whoever meets a threshold meets those below it.
    for index in (1..THRESHOLDS).rev() {
        active[index - 1] += active[index];
    }
    (active, energy)
}

/// How many of 1, 2, 4, … `2¹⁴` a number of at least 0 is not below.
fn thresholds_below(of_lowest: f64) -> usize {
    // The exponent says which power of two it is not below, 1023 for 1.
    let exponent = usize::try_from(of_lowest.to_bits() >> 52).unwrap_or(0);
    (exponent + 1).saturating_sub(1_023).min(THRESHOLDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_samples, level_db, tone};

    fn speech_level_db(samples: &[f32]) -> f64 {
        20.0 * f64::from(speech_level(samples, 16_000)).log10()
    }

    #[test]
    fn pauses_do_not_count() {
        let burst = tone(300.0, 0.3, 16_000, 64_000);
        let own = level_db(&burst);
        assert!((speech_level_db(&burst) - own).abs() < 0.05);
        // 4 s of tone and 8 s of silence: the RMS falls by 4.8 dB, the active level by the hangover.
        let with_pause = [vec![0.0; 64_000], burst.clone(), vec![0.0; 64_000]].concat();
        assert!((level_db(&with_pause) - own + 4.77).abs() < 0.05);
        let hangover = 10.0 * (4.2_f64 / 4.0).log10();
        let found = speech_level_db(&with_pause);
        assert!((found - own + hangover).abs() < 0.1, "{found} {own}");
    }

    #[test]
    fn gain_is_gain() {
        let clip: Vec<f32> = tone(300.0, 0.5, 16_000, 32_000)
            .iter()
            .zip(tone(2.0, 1.0, 16_000, 32_000))
            .map(|(x, envelope)| x * envelope)
            .collect();
        let reference = speech_level_db(&clip);
        for gain in [1e-3_f32, 0.1, 7.0] {
            let scaled: Vec<f32> = clip.iter().map(|x| x * gain).collect();
            let gain_db = 20.0 * f64::from(gain).log10();
            assert!((speech_level_db(&scaled) - reference - gain_db).abs() < 1e-3);
        }
    }

    #[test]
    fn silence_and_short_clips() {
        for samples in [&[][..], &[0.0; 100]] {
            assert!(speech_level(samples, 16_000).abs() < f32::MIN_POSITIVE);
        }
        assert!((speech_level(&[0.5], 16_000) - 0.5).abs() < 1e-6);
    }

    /// Every threshold looked at for every sample.
    fn active_by_definition(samples: &[f32], sample_rate: u32) -> [u32; THRESHOLDS] {
        let keep = (-1.0 / (f64::from(sample_rate) * SMOOTHING_SECS)).exp();
        let hangover = floor_index(f64::from(sample_rate) * HANGOVER_SECS) + 1;
        let loudest = f64::from(peak(samples));
        let mut active = [0; THRESHOLDS];
        for (index, count) in active.iter_mut().enumerate() {
            let threshold = LOWEST * 2_f64.powi(i32::try_from(index).unwrap());
            let (mut first, mut second, mut last) = (0.0, 0.0, None);
            for (n, x) in samples.iter().enumerate() {
                first = keep * first + (1.0 - keep) * f64::from(*x).abs() / loudest;
                second = keep * second + (1.0 - keep) * first;
                if second >= threshold {
                    last = Some(n);
                }
                *count += u32::from(last.is_some_and(|last| n - last <= hangover));
            }
        }
        active
    }

    proptest::proptest! {
        #[test]
        fn as_if_every_threshold_were_looked_at(
            samples in any_samples(1..3000),
            rate in 1_000_u32..16_000,
        ) {
            let loudest = f64::from(peak(&samples));
            proptest::prop_assume!(loudest > 0.0);
            let (active, _) = activity(&samples, rate, loudest);
            proptest::prop_assert_eq!(active, active_by_definition(&samples, rate));
        }

        #[test]
        fn finite_and_at_most_the_peak(samples in any_samples(1..3000)) {
            let level = speech_level(&samples, 16_000);
            // A clip shorter than the envelope's rise is never above a threshold for long.
            proptest::prop_assert!(level.is_finite() && level >= 0.0);
        }
    }
}
