//! A lower sampling rate for analyses of a narrower band.

use std::f64::consts::PI;

use crate::floor_index;

/// Zero crossings of the low-pass filter on either side. Set by hand: the formants of 240 clips agree with the
/// reference (`docs/voice.md`).
const CROSSINGS: f64 = 50.0;
/// Most filters that are kept: at 48 to 11 kHz one has 437 taps, so 1000 are 3.5 MB.
const KEPT_FILTERS: usize = 1_000;

/// Resamples to a lower `to` hertz by a Hann-windowed sinc whose cut-off is the new Nyquist frequency.
///
/// The new samples lie in the middle of the signal's duration, `n · to / from` of them, rounded.
/// What lies beyond the ends counts as 0. `to` at or above `from` gives the samples as they are.
pub(crate) fn lower_rate(samples: &[f32], from: u32, to: u32) -> Vec<f64> {
    if to >= from || to == 0 {
        return samples.iter().map(|x| f64::from(*x)).collect();
    }
    let ratio = f64::from(to) / f64::from(from);
    let n = floor_index(samples.len() as f64 * ratio + 0.5);
    if n == 0 {
        return Vec::new();
    }
    let first = 0.5 * (samples.len() as f64 - (n - 1) as f64 / ratio) - 0.5;
    let reach = CROSSINGS / ratio;
    // The same few fractional positions return, so their filters are made once each.
    let phases = usize::try_from(to / gcd(from, to)).unwrap_or(usize::MAX);
    let mut kept: Vec<Option<(isize, Vec<f64>)>> = Vec::new();
    if phases <= KEPT_FILTERS {
        kept.resize(phases.min(n), None);
    }
    let mut once = (0, Vec::new());
    let mut out = Vec::with_capacity(n);
    for i in 0..n {
        let position = first + i as f64 / ratio;
        let (start, taps) = if kept.is_empty() {
            once.0 = filter(position, reach, ratio, &mut once.1);
            (once.0, &once.1)
        } else {
            let base = (i - i % phases) as f64 / ratio;
            let (start, taps) = kept[i % phases].get_or_insert_with(|| {
                let mut taps = Vec::new();
                (filter(position - base, reach, ratio, &mut taps), taps)
            });
            (*start + isize_of(base.round()), &*taps)
        };
        let skip = usize::try_from(-start).unwrap_or(0);
        let begin = usize::try_from(start).unwrap_or(0);
        out.push(
            samples[begin.min(samples.len())..]
                .iter()
                .zip(&taps[skip.min(taps.len())..])
                .map(|(x, w)| f64::from(*x) * w)
                .sum(),
        );
    }
    out
}

/// Puts the weights of the filter centred on a fractional position into `taps` and gives its first sample.
fn filter(position: f64, reach: f64, ratio: f64, taps: &mut Vec<f64>) -> isize {
    let start = (position - reach).ceil();
    let count = floor_index((position + reach - start).max(0.0)) + 1;
    taps.clear();
    taps.extend((0..count).map(|k| {
        let x = start + k as f64 - position;
        let phase = PI * x * ratio;
        let sinc = if phase.abs() < 1e-9 {
            1.0
        } else {
            phase.sin() / phase
        };
        ratio * sinc * (0.5 + 0.5 * (PI * x / reach).cos())
    }));
    // One gain at 0 Hz for every phase, so that a constant stays one.
    let gain: f64 = taps.iter().sum();
    for tap in taps {
        *tap /= gain;
    }
    isize_of(start)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "positions in a signal, and the cast saturates"
)]
fn isize_of(position: f64) -> isize {
    position as isize
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow;
    use crate::test_signal::{any_rate, any_samples};

    #[test]
    fn tones_below_the_new_nyquist_stay_and_others_go() {
        for (from, to) in [
            (16_000, 11_000),
            (48_000, 11_000),
            (44_100, 11_000),
            (22_050, 10_000),
            (16_001, 11_000),
        ] {
            for (hz, kept) in [(440.0, true), (4_500.0, true), (6_500.0, false)] {
                let w = std::f64::consts::TAU * hz / f64::from(from);
                let x: Vec<f32> = (0..from / 2)
                    .map(|n| narrow((w * f64::from(n)).sin()))
                    .collect();
                let y = lower_rate(&x, from, to);
                let ratio = f64::from(to) / f64::from(from);
                let first = 0.5 * (x.len() as f64 - (y.len() - 1) as f64 / ratio) - 0.5;
                let middle = y.len() / 4..y.len() * 3 / 4;
                for i in middle {
                    let tone = (w * (first + i as f64 / ratio)).sin();
                    let expected = if kept { tone } else { 0.0 };
                    assert!((y[i] - expected).abs() < 5e-3, "{from} {to} {hz} {i}");
                }
            }
        }
        assert!(lower_rate(&[], 16_000, 11_000).is_empty());
        assert_eq!(lower_rate(&[0.5; 3], 8_000, 11_000).len(), 3);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        #[test]
        fn finite_on_any_input(samples in any_samples(0..2000), from in any_rate(), to in any_rate()) {
            let out = lower_rate(&samples, from, to);
            let peak = samples.iter().fold(0.0, |peak: f64, x| peak.max(f64::from(*x).abs()));
            // Taps of both signs: no more than a few times the peak.
            proptest::prop_assert!(out.iter().all(|x| x.abs() <= 8.0 * peak));
            let expected = samples.len() as f64 * (f64::from(to) / f64::from(from)).min(1.0);
            proptest::prop_assert!((out.len() as f64 - expected).abs() <= 1.0);
        }
    }
}
