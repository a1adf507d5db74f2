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

/// A period found, and the waveform's ranges within it and the next.
#[derive(Debug, Clone, Copy)]
struct Period {
    samples: f64,
    amplitude: f64,
    next_amplitude: f64,
}

/// Jitter and shimmer of each frame, or `None` where no two periods can be compared.
///
/// `f0_hz[i]` is f0 in the frame that begins at `i · step_secs`, 0 where unvoiced. From where a voiced stretch
/// begins, the period that follows is the lag, within 10 % of `1 / f0`, at which the waveform over one mean period
/// correlates best with itself, refined by a parabola; without a maximum inside, or with a correlation under
/// 0.5, there is none, the search goes on one mean period later, and the next is
/// compared with the last one found. A frame looks for periods as long as two of the
/// longest allowed fit before the next frame begins, so it may look at what was left by the frame before.
/// A period is compared with the one before, the range of its samples with that of the following period's.
///
/// Silence has no voiced frame and so no value. Samples must be finite.
///
/// Source: P. Milenkovic, "Least mean square measures of voice perturbation", *Journal of Speech and Hearing
/// Research* 30, 1987; I. Titze, H. Liang, "Comparison of F0 extraction methods for high-precision voice
/// perturbation measurements", the same, 36, 1993 (waveform matching). Which periods a frame has was measured on
/// `opensmile` eGeMAPSv02, `jitterLocal` (`bench/voice/egemaps_measure.py period`).
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
    let mut voiced_before = false;
    let mut correlations = Vec::new();
    f0_hz
        .iter()
        .enumerate()
        .map(|(index, f0)| {
            let mean_period = rate / f64::from(*f0);
            let voiced = mean_period >= 4.0 && mean_period < samples.len() as f64;
            if !voiced {
                voiced_before = false;
                return None;
            }
            if !voiced_before {
                last = None;
                position = floor_index(index as f64 * step_secs * rate + 0.5);
                voiced_before = true;
            }
            let end = (index + 1) as f64 * step_secs * rate;
            let mut sums = [0.0; 4];
            while position as f64 + 2.0 * (1.0 + SEARCH) * mean_period <= end {
                let found = next_period(samples, position, mean_period, &mut correlations);
                if let Some(now) = found {
                    if let Some(before) = last {
                        sums[0] += (now.samples - before.samples).abs();
                        sums[1] += 0.5 * (now.samples + before.samples);
                    }
                    sums[2] += (now.next_amplitude - now.amplitude).abs();
                    sums[3] += 0.5 * (now.next_amplitude + now.amplitude);
                    last = found;
                }
                let length = found.map_or(mean_period, |period| period.samples);
                position += floor_index(length + 0.5).max(1);
            }
            let [period_change, period, amplitude_change, amplitude] = sums;
            let share = |change: f64, whole: f64| {
                if whole > 0.0 {
                    narrow(change / whole)
                } else {
                    0.0
                }
            };
            (amplitude > 0.0).then(|| FrameIrregularity {
                jitter_local: share(period_change, period),
                shimmer_local: share(amplitude_change, amplitude),
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
    let longest = floor_index((mean_period * (1.0 + SEARCH)).ceil()) + 2;
    let here = samples.get(position..position + width)?;
    let around = samples.get(position + shortest..position + longest + width)?;
    let (own, _) = products(here, here);
    correlations.clear();
    correlations.extend(around.windows(width).map(|later| {
        let (square, product) = products(later, here);
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
    let next = position + floor_index(period + 0.5);
    let after_next = (next + floor_index(period + 0.5)).min(samples.len());
    Some(Period {
        samples: period,
        amplitude: range(&samples[position..next]),
        next_amplitude: range(&samples[next..after_next]),
    })
}

/// `Σ a²` and `Σ a·b`, eight sums side by side.
fn products(a: &[f32], b: &[f32]) -> (f32, f32) {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let (mut squares, mut products) = ([0.0_f32; 8], [0.0_f32; 8]);
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            squares[lane] += a[lane] * a[lane];
            products[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        squares[lane] += a * a;
        products[lane] += a * b;
    }
    (squares.iter().sum(), products.iter().sum())
}

/// Largest less smallest sample; 0 for none.
fn range(samples: &[f32]) -> f64 {
    let Some(&first) = samples.first() else {
        return 0.0;
    };
    let (low, high) = samples
        .iter()
        .fold((first, first), |(low, high), x| (low.min(*x), high.max(*x)));
    f64::from(high) - f64::from(low)
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
            // The first has no period before to compare with.
            for frame in found.iter().skip(2).flatten() {
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
