//! Periods by matching the waveform with itself, frame after frame.

use crate::interpolate::parabola;
use crate::{floor_index, narrow};

/// How far a period may be from that of f0, as a share of it.
const SEARCH: f64 = 0.1;
/// Least correlation of a period with the next.
const LEAST_CORRELATION: f64 = 0.5;

/// Irregularity of the periods of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FrameIrregularity {
    /// Mean difference of neighbouring periods over the mean period.
    pub jitter_local: f32,
    /// Mean difference of neighbouring amplitudes over the mean amplitude.
    pub shimmer_local: f32,
}

/// A period found.
#[derive(Debug, Clone, Copy)]
struct Period {
    samples: f64,
    amplitude: f64,
}

/// Jitter and shimmer of each frame from the periods that end in it, or `None` without two in a row.
///
/// `f0_hz[i]` is f0 in the frame that begins at `i · step_secs`, 0 where unvoiced. From where a voiced stretch
/// begins, the period that follows is the lag, within 10 % of `1 / f0`, at which the waveform over one mean period
/// correlates best with itself, refined by a parabola; without a maximum inside, or with a correlation under
/// 0.5, there is none and the search goes on one mean period later. Amplitude is the range of the samples
/// within a period. A pair of neighbouring periods counts in the frame in which the later one ends.
///
/// Silence has no voiced frame and so no value. Samples must be finite.
///
/// Source: P. Milenkovic, "Least mean square measures of voice perturbation", *Journal of Speech and Hearing
/// Research* 30, 1987; I. Titze, H. Liang, "Comparison of F0 extraction methods for high-precision voice
/// perturbation measurements", the same, 36, 1993 (waveform matching).
#[must_use]
pub fn frame_irregularity(
    samples: &[f32],
    sample_rate: u32,
    f0_hz: &[f32],
    step_secs: f64,
) -> Vec<Option<FrameIrregularity>> {
    let rate = f64::from(sample_rate);
    let mut position = 0;
    let mut last: Option<Period> = None;
    let mut lags = Vec::new();
    f0_hz
        .iter()
        .enumerate()
        .map(|(index, f0)| {
            let f0 = f64::from(*f0);
            let begin = floor_index(index as f64 * step_secs * rate + 0.5);
            let end = floor_index((index + 1) as f64 * step_secs * rate + 0.5);
            let mean_period = rate / f0;
            if !(f0 > 0.0 && mean_period >= 4.0 && mean_period < samples.len() as f64) {
                last = None;
                position = end;
                return None;
            }
            position = position.max(begin.saturating_sub(floor_index(mean_period)));
            let mut sums = [0.0; 4];
            while position + floor_index(mean_period) <= end {
                let found = next_period(samples, position, mean_period, &mut lags);
                if let (Some(now), Some(before)) = (found, last) {
                    sums[0] += (now.samples - before.samples).abs();
                    sums[1] += 0.5 * (now.samples + before.samples);
                    sums[2] += (now.amplitude - before.amplitude).abs();
                    sums[3] += 0.5 * (now.amplitude + before.amplitude);
                }
                last = found;
                let length = found.map_or(mean_period, |period| period.samples);
                position += floor_index(length + 0.5).max(1);
            }
            let [period_change, period, amplitude_change, amplitude] = sums;
            (period > 0.0 && amplitude > 0.0).then(|| FrameIrregularity {
                jitter_local: narrow(period_change / period),
                shimmer_local: narrow(amplitude_change / amplitude),
            })
        })
        .collect()
}

/// The period that begins at a sample, if the waveform repeats after about `mean_period` samples.
fn next_period(
    samples: &[f32],
    position: usize,
    mean_period: f64,
    correlations: &mut Vec<f64>,
) -> Option<Period> {
    let width = floor_index(mean_period + 0.5);
    let shortest = floor_index(mean_period * (1.0 - SEARCH)).max(2) - 1;
    let longest = floor_index(mean_period * (1.0 + SEARCH)) + 2;
    let here = samples.get(position..position + width)?;
    let around = samples.get(position + shortest..position + longest + width)?;
    let own: f32 = here.iter().map(|x| x * x).sum();
    correlations.clear();
    correlations.extend(around.windows(width).map(|later| {
        let (mut product, mut square) = (0.0_f32, 0.0_f32);
        for (a, b) in here.iter().zip(later) {
            product += a * b;
            square += b * b;
        }
        let scale = (f64::from(own) * f64::from(square)).sqrt();
        if scale > 0.0 {
            f64::from(product) / scale
        } else {
            0.0
        }
    }));
    let inner = &correlations[1..correlations.len().checked_sub(1)?];
    let (best, height) = inner.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
    let (before, after) = (correlations[best], correlations[best + 2]);
    if *height < LEAST_CORRELATION || before > *height || after > *height {
        return None;
    }
    let (offset, _) = parabola(before, *height, after);
    let period = (shortest + best + 1) as f64 + offset;
    let cycle = &samples[position..(position + floor_index(period + 0.5)).min(samples.len())];
    let (low, high) = cycle
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| {
            (low.min(*x), high.max(*x))
        });
    Some(Period {
        samples: period,
        amplitude: f64::from(high) - f64::from(low),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::any_samples;

    /// Pulses whose periods and amplitudes alternate by these shares.
    fn train(jitter: f64, shimmer: f64) -> Vec<f32> {
        let mut samples = vec![0.0_f32; 16_000];
        let (mut at, mut sign) = (40.0, 1.0);
        while at < 15_900.0 {
            let centre = floor_index(at);
            for (k, y) in samples
                .iter_mut()
                .enumerate()
                .take(centre + 30)
                .skip(centre - 30)
            {
                let x = (k as f64 - at) / 3.0;
                *y += narrow((1.0 + 0.5 * shimmer * sign) * (-0.5 * x * x).exp());
            }
            at += 100.0 * (1.0 + 0.5 * jitter * sign);
            sign = -sign;
        }
        samples
    }

    #[test]
    fn known_irregularity_is_measured() {
        for (jitter, shimmer) in [
            (0.0, 0.0),
            (0.01, 0.0),
            (0.04, 0.0),
            (0.0, 0.1),
            (0.0, 0.25),
        ] {
            let found = frame_irregularity(&train(jitter, shimmer), 16_000, &[160.0; 90], 0.01);
            assert!(found.iter().flatten().count() > 80);
            for frame in found.iter().flatten() {
                assert!(
                    (f64::from(frame.jitter_local) - jitter).abs() < 2e-3,
                    "{frame:?}"
                );
                assert!(
                    (f64::from(frame.shimmer_local) - shimmer).abs() < 0.02,
                    "{frame:?}"
                );
            }
        }
    }

    #[test]
    fn nothing_repeats_in_silence_or_far_from_f0() {
        assert!(
            frame_irregularity(&[0.0; 9_000], 16_000, &[160.0; 50], 0.01)
                .iter()
                .all(Option::is_none)
        );
        assert!(
            frame_irregularity(&train(0.0, 0.0), 16_000, &[0.0; 50], 0.01)
                .iter()
                .all(Option::is_none)
        );
        assert!(
            frame_irregularity(&train(0.0, 0.0), 16_000, &[130.0; 50], 0.01)
                .iter()
                .all(Option::is_none)
        );
        assert!(
            frame_irregularity(&[], 16_000, &[f32::NAN, f32::MIN_POSITIVE, 1e9], 0.01)
                .iter()
                .all(Option::is_none)
        );
    }

    proptest::proptest! {
        #[test]
        fn finite_on_any_input(samples in any_samples(0..3000), f0 in proptest::num::f32::ANY) {
            for frame in frame_irregularity(&samples, 16_000, &[f0, 100.0, 200.0, f0], 0.01).iter().flatten() {
                proptest::prop_assert!(frame.jitter_local.is_finite() && frame.shimmer_local.is_finite());
            }
        }
    }
}
