//! Values between samples: parabolas and windowed sinc interpolation.

use std::f64::consts::PI;

use crate::floor_index;

/// Samples on either side that take part in [`sinc`].
pub(crate) const SINC_DEPTH: usize = 30;

/// Offset of the vertex from the middle one of three equally spaced values, −0.5 to 0.5 at a local
/// maximum, and the value there.
pub(crate) fn parabola(left: f64, middle: f64, right: f64) -> (f64, f64) {
    let slope = 0.5 * (right - left);
    let curvature = 2.0 * middle - left - right;
    if curvature <= 0.0 {
        return (0.0, middle);
    }
    let offset = (slope / curvature).clamp(-1.0, 1.0);
    (offset, middle + 0.5 * slope * offset)
}

/// Value of a band-limited sequence at a fractional position, by a Hann-windowed sinc over
/// [`SINC_DEPTH`] values on either side, fewer at the ends.
pub(crate) fn sinc(values: &[f64], position: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    let position = position.clamp(0.0, last as f64);
    let left = floor_index(position);
    let fraction = position - left as f64;
    if fraction < 1e-9 || left == last {
        return values[left];
    }
    let depth = SINC_DEPTH.min(left + 1).min(last - left);
    // sin(π(x − k)) is ± the same number for every k, and the window's cosine turns by a fixed
    // angle, so one evaluation of each serves all taps.
    let amplitude = (PI * fraction).sin() / PI;
    let step = PI / (depth as f64 + 0.5);
    let (step_sin, step_cos) = step.sin_cos();
    let mut sum = 0.0;
    for (first, distance, forward) in [(left, fraction, false), (left + 1, 1.0 - fraction, true)] {
        let (mut sine, mut cosine) = (step * distance).sin_cos();
        let mut sign = amplitude;
        let mut x = distance;
        for k in 0..depth {
            let value = if forward {
                values[first + k]
            } else {
                values[first - k]
            };
            sum += value * sign / x * (0.5 + 0.5 * cosine);
            sign = -sign;
            x += 1.0;
            let turned = cosine * step_cos - sine * step_sin;
            sine = sine * step_cos + cosine * step_sin;
            cosine = turned;
        }
    }
    sum
}

/// Position and height of the maximum of the sinc-interpolated sequence near index `peak`, which
/// must be a local maximum with a neighbour on either side.
pub(crate) fn sinc_peak(values: &[f64], peak: usize) -> (f64, f64) {
    let (offset, _) = parabola(values[peak - 1], values[peak], values[peak + 1]);
    let mut position = peak as f64 + offset;
    let mut height = sinc(values, position);
    for reach in [0.2, 0.02] {
        let (offset, _) = parabola(
            sinc(values, position - reach),
            height,
            sinc(values, position + reach),
        );
        let moved = position + offset * reach;
        let higher = sinc(values, moved);
        if higher > height {
            position = moved;
            height = higher;
        }
    }
    (position, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_is_found_exactly() {
        let y = |x: f64| 3.0 - 0.7 * (x - 0.3).powi(2);
        let (offset, height) = parabola(y(-1.0), y(0.0), y(1.0));
        assert!((offset - 0.3).abs() < 1e-12 && (height - 3.0).abs() < 1e-12);
        assert!(parabola(1.0, 1.0, 1.0).0.abs() < 1e-12);
    }

    #[test]
    fn sinc_follows_a_tone_between_its_samples() {
        let tone = |x: f64| (0.4 * x + 0.2).cos();
        let values: Vec<f64> = (0..200).map(|n| tone(f64::from(n))).collect();
        for position in [60.0, 80.25, 99.9, 120.5] {
            assert!((sinc(&values, position) - tone(position)).abs() < 1e-4);
        }
        let (position, height) = sinc_peak(&values, 94);
        // The crest nearest to sample 94: 0.4 x + 0.2 = 12π.
        assert!(
            (position - (12.0 * PI - 0.2) / 0.4).abs() < 1e-2,
            "{position}"
        );
        assert!((height - 1.0).abs() < 1e-4);
        assert!(sinc(&[], 3.0).abs() < 1e-12);
        assert!((sinc(&[2.0], 3.0) - 2.0).abs() < 1e-12);
    }
}
