//! The Kaiser window and low-pass filters made with it.

use std::f64::consts::PI;

use vocalics_dsp::window::bessel_i0;
use vocalics_dsp::{floor_index, narrow};

/// Attenuation of the stop band in decibels.
pub(crate) const STOP_DB: f64 = 80.0;
/// `β` of the window for [`STOP_DB`]: `0.1102 · (A − 8.7)`.
pub(crate) const BETA: f64 = 0.1102 * (STOP_DB - 8.7);

/// Value of the window at `position` from −1 to 1.
///
/// `w = I₀(β · √(1 − x²)) / I₀(β)`
pub(crate) fn kaiser(position: f64) -> f64 {
    bessel_i0(BETA * (1.0 - position * position).max(0.0).sqrt()) / bessel_i0(BETA)
}

/// `sin(πx) / (πx)`.
pub(crate) fn sinc(x: f64) -> f64 {
    let phase = PI * x;
    if phase.abs() < 1e-9 {
        1.0
    } else {
        phase.sin() / phase
    }
}

/// Taps of a linear-phase band-pass, an odd number, the middle one at time 0.
///
/// Gain is 1/2 at `low_hz` (0 for a low-pass) and `high_hz`, and [`STOP_DB`] down `transition_hz / 2` beyond them.
///
/// Source: J. F. Kaiser, *Nonrecursive digital filter design using the I₀-sinh window function*, ISCAS 1974:
/// `n = (A − 8) / (2.285 · Δω) + 1` taps.
pub(crate) fn band_pass(low_hz: f64, high_hz: f64, transition_hz: f64, rate: f64) -> Vec<f32> {
    let width = 2.0 * PI * transition_hz / rate;
    let half = floor_index((STOP_DB - 8.0) / (2.285 * width) / 2.0) + 1;
    let low_pass = |hz: f64, x: f64| 2.0 * hz / rate * sinc(2.0 * hz / rate * x);
    (0..=2 * half)
        .map(|k| {
            let x = k as f64 - half as f64;
            let window = kaiser(x / (half + 1) as f64);
            narrow(window * (low_pass(high_hz, x) - low_pass(low_hz, x)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gain_db(taps: &[f32], hz: f64, rate: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, tap) in taps.iter().enumerate() {
            let phase = 2.0 * PI * hz / rate * n as f64;
            re += f64::from(*tap) * phase.cos();
            im += f64::from(*tap) * phase.sin();
        }
        10.0 * (re * re + im * im).log10()
    }

    #[test]
    fn the_window_has_its_known_values() {
        // scipy.signal.windows.kaiser(5, 0.1102 * (80 - 8.7)).
        for (position, value) in [(0.0, 1.0), (0.5, 0.376_120), (1.0, 0.002_673)] {
            assert!(
                (kaiser(position) - value).abs() < 1e-5,
                "{}",
                kaiser(position)
            );
        }
    }

    #[test]
    fn bands_pass_and_stop_as_designed() {
        for rate in [8_000.0, 16_000.0, 48_000.0] {
            let taps = band_pass(300.0, 3_400.0, 200.0, rate);
            for hz in [400.0, 1_000.0, 3_300.0] {
                assert!(gain_db(&taps, hz, rate).abs() < 0.01, "{hz}");
            }
            for hz in [300.0, 3_400.0] {
                assert!((gain_db(&taps, hz, rate) + 6.02).abs() < 0.1, "{hz}");
            }
            for hz in [0.0, 100.0, 195.0, 3_505.0, 3_900.0] {
                assert!(gain_db(&taps, hz, rate) < -STOP_DB + 2.0, "{hz}");
            }
        }
    }
}
