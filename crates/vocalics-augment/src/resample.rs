//! A band-limited resampler for any ratio.
//!
//! The resampler of `vocalics-audio` works in blocks of a ratio of whole numbers; a drawn factor has no such ratio, and
//! a clip of training is short. Here each output sample is a sum of the input under a windowed sinc at its own position.

use std::sync::LazyLock;

use vocalics_dsp::{dot, floor_index, narrow};

use crate::kaiser::{kaiser, sinc};

/// Zero crossings of the sinc on either side. With the window's 80 dB this puts the end of the pass band at 90 % of
/// the lower Nyquist frequency.
const CROSSINGS: f64 = 48.0;
/// Width of the transition as a share of the lower Nyquist frequency: `(A − 8) / (2.285 · 2 · 48 · π)`.
const TRANSITION: f64 = 0.104_5;
/// Filters tabulated between two samples; between them the result is interpolated. The error is below
/// `(π / 512)² / 8`, −106 dB.
const PHASES: usize = 512;
/// Taps are a multiple of this: what a product takes at once.
const LANES: usize = 8;

/// Reads `samples` at `k · step` for `k` from 0 to `n_out`, band-limited to the lower of the two Nyquist frequencies.
///
/// `step` is input samples per output sample: above 1 the result is shorter. What lies beyond the ends counts as 0.
/// Aliases and images are [`STOP_DB`](crate::kaiser::STOP_DB) down or more; the pass band is flat within 0.01 dB up to 89 % of the lower Nyquist
/// frequency.
///
/// Source: J. O. Smith, P. Gossett, *A flexible sampling-rate conversion method*, ICASSP 1984.
pub(crate) fn resample(samples: &[f32], step: f64, n_out: usize) -> Vec<f32> {
    if samples.is_empty() || n_out == 0 || !(step.is_finite() && step > 0.0) {
        return vec![0.0; n_out];
    }
    // The stop band begins where aliases would.
    let cutoff = (1.0 - TRANSITION / 2.0) * (1.0 / step).min(1.0);
    let half = floor_index(CROSSINGS * step.max(1.0)) + 1;
    let n_taps = (2 * half).next_multiple_of(LANES);
    let mut bank = FilterBank::new(cutoff, half, n_taps);
    let mut padded = vec![0.0; samples.len() + half + n_taps];
    padded[half..half + samples.len()].copy_from_slice(samples);
    (0..n_out)
        .map(|k| {
            let position = k as f64 * step;
            let whole = floor_index(position);
            let phase = (position - whole as f64) * PHASES as f64;
            let index = floor_index(phase).min(PHASES - 1);
            let share = narrow(phase - index as f64);
            // Tap j of a filter weighs sample whole + 1 − half + j.
            let Some(input) = padded.get(whole + 1..whole + 1 + n_taps) else {
                return 0.0;
            };
            let left = dot(input, bank.filter(index));
            // Ratios such as 2 fall on filters of the table alone.
            if share > 0.0 {
                left + share * (dot(input, bank.filter(index + 1)) - left)
            } else {
                left
            }
        })
        .collect()
}

/// One filter of `n_taps` for each of `PHASES + 1` positions between two samples, computed when it is first asked for.
struct FilterBank {
    cutoff: f64,
    half: usize,
    filters: Vec<Vec<f32>>,
    n_taps: usize,
}

/// Steps of the window's table.
const WINDOW_STEPS: u32 = 2_048;
/// The window from its middle to its end; it is smooth, so a table of it serves.
static WINDOW: LazyLock<Vec<f64>> = LazyLock::new(|| {
    (0..=WINDOW_STEPS + 1)
        .map(|i| kaiser((f64::from(i) / f64::from(WINDOW_STEPS)).min(1.0)))
        .collect()
});

impl FilterBank {
    fn new(cutoff: f64, half: usize, n_taps: usize) -> Self {
        Self {
            cutoff,
            half,
            filters: vec![Vec::new(); PHASES + 1],
            n_taps,
        }
    }

    fn filter(&mut self, phase: usize) -> &[f32] {
        if self.filters[phase].is_empty() {
            self.filters[phase] = self.compute(phase);
        }
        &self.filters[phase]
    }

    fn compute(&self, phase: usize) -> Vec<f32> {
        let mut taps = vec![0.0; self.n_taps];
        let fraction = phase as f64 / PHASES as f64;
        // The sinc's numerator turns by a constant angle from tap to tap.
        let first = 1.0 - self.half as f64 - fraction;
        let turn = std::f64::consts::PI * self.cutoff;
        let (mut sine, mut cosine) = (turn * first).sin_cos();
        let (turn_sine, turn_cosine) = turn.sin_cos();
        let mut sum = 0.0;
        for (j, tap) in taps.iter_mut().take(2 * self.half).enumerate() {
            let x = first + j as f64;
            let value = if x.abs() < 1e-3 {
                sinc(self.cutoff * x)
            } else {
                sine / (turn * x)
            };
            let weight = self.cutoff * value * window(x / self.half as f64);
            (sine, cosine) = (
                sine * turn_cosine + cosine * turn_sine,
                cosine * turn_cosine - sine * turn_sine,
            );
            sum += weight;
            *tap = narrow(weight);
        }
        // One gain at 0 Hz for every phase, so that a constant stays one.
        let scale = narrow(1.0 / sum);
        taps.iter_mut().for_each(|tap| *tap *= scale);
        taps
    }
}

/// The window at `x` of half its length.
fn window(x: f64) -> f64 {
    let at = x.abs().min(1.0) * f64::from(WINDOW_STEPS);
    let index = floor_index(at);
    WINDOW[index] + (at - index as f64) * (WINDOW[index + 1] - WINDOW[index])
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use proptest::prelude::*;

    use super::*;
    use crate::test_signal::{any_samples, level_db, tone};

    #[test]
    fn tones_stay_and_aliases_go() {
        let rate = 16_000.0;
        for step in [0.5, 0.8, 0.943_874, 1.059_463, 1.25, 2.0] {
            let nyquist: f64 = 8_000.0 / f64::max(step, 1.0);
            for share in [0.02, 0.3, 0.7, 0.89] {
                let hz = share * nyquist;
                let n_out = floor_index(16_000.0 / step);
                let out = resample(&tone(hz, 0.5, 16_000, 16_000), step, n_out);
                let middle = out.iter().enumerate().skip(n_out / 4).take(n_out / 2);
                for (k, found) in middle {
                    let ideal = 0.5 * (TAU * hz / rate * step * k as f64).sin();
                    let error = (f64::from(*found) - ideal).abs();
                    assert!(error < 5e-4, "{step} {share} {k}: {error}");
                }
            }
            if step > 1.0 {
                for hz in [1.01 * nyquist, 0.5 * (nyquist + 8_000.0), 7_900.0] {
                    let n_out = floor_index(16_000.0 / step);
                    let out = resample(&tone(hz.min(7_990.0), 1.0, 16_000, 16_000), step, n_out);
                    let alias = level_db(&out[n_out / 4..n_out * 3 / 4]);
                    assert!(alias < -80.0, "{step} {hz}: {alias}");
                }
            }
        }
    }

    #[test]
    fn a_constant_stays_one() {
        let out = resample(&[0.25; 4_000], 1.234, 3_000);
        assert!(out[500..2_500].iter().all(|x| (x - 0.25).abs() < 1e-5));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn finite_and_as_long_as_asked(samples in any_samples(0..500), step in 0.2_f64..5.0, n in 0_usize..2_000) {
            let out = resample(&samples, step, n);
            prop_assert_eq!(out.len(), n);
            prop_assert!(out.iter().all(|x| x.is_finite()));
        }
    }
}
