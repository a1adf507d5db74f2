//! Values between samples: parabolas and windowed sinc interpolation.

use std::f64::consts::PI;
use std::sync::LazyLock;

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
    let kernel = &KERNELS[depth - 1];
    // sin(π(x − k)) is ± the same number for every k, and the window's cosine is that of a sum of two
    // angles, one of them in a table: one evaluation of each serves all taps.
    let amplitude = (PI * fraction).sin() / PI;
    let (sine, cosine) = (kernel.step * fraction).sin_cos();
    let (step_sin, step_cos) = kernel.step_sin_cos;
    let behind = [cosine, sine];
    let ahead = [
        step_cos * cosine + step_sin * sine,
        step_sin * cosine - step_cos * sine,
    ];
    let (before, after) = values.split_at(left + 1);
    let sum = kernel
        .behind
        .sum(&before[left + 1 - depth..], fraction, behind)
        + kernel.ahead.sum(&after[..depth], 1.0 - fraction, ahead);
    amplitude * sum
}

/// What [`sinc`] needs for each number of values on either side, from 1 on.
static KERNELS: LazyLock<Vec<Kernel>> =
    LazyLock::new(|| (1..=SINC_DEPTH).map(Kernel::new).collect());

/// The window of a number of values on either side.
#[derive(Debug)]
struct Kernel {
    /// Angle of the window from one value to the next.
    step: f64,
    step_sin_cos: (f64, f64),
    behind: Taps,
    ahead: Taps,
}

impl Kernel {
    fn new(depth: usize) -> Self {
        let step = PI / (depth as f64 + 0.5);
        Self {
            step,
            step_sin_cos: step.sin_cos(),
            behind: Taps::new(step, (0..depth).rev()),
            ahead: Taps::new(step, 0..depth),
        }
    }
}

/// Sums side by side.
const LANES: usize = 2;
/// Taps that share [`LANES`] divisions.
const SHARED: usize = 2 * LANES;

/// The values on one side, in the order in which they lie in memory.
#[derive(Debug)]
struct Taps {
    chunks: Vec<[Tap; SHARED]>,
    rest: Vec<Tap>,
}

/// One value.
#[derive(Debug, Clone, Copy)]
struct Tap {
    /// Whole steps from the nearest.
    steps: f64,
    /// `±1/2`.
    flat: f64,
    /// `±1/2` times the cosine and the sine of the window's angle over these steps.
    cosine: f64,
    sine: f64,
}

impl Tap {
    /// The value with sign and window, and its distance.
    #[inline]
    fn fraction(&self, value: f64, nearest: f64, [cosine, sine]: [f64; 2]) -> (f64, f64) {
        let window = self.flat + cosine * self.cosine - sine * self.sine;
        (value * window, nearest + self.steps)
    }
}

impl Taps {
    fn new(step: f64, order: impl Iterator<Item = usize>) -> Self {
        let taps: Vec<Tap> = order
            .map(|k| {
                let flat = if k.is_multiple_of(2) { 0.5 } else { -0.5 };
                let (sine, cosine) = (step * k as f64).sin_cos();
                Tap {
                    steps: k as f64,
                    flat,
                    cosine: flat * cosine,
                    sine: flat * sine,
                }
            })
            .collect();
        let (chunks, rest) = taps.as_chunks();
        Self {
            chunks: chunks.to_vec(),
            rest: rest.to_vec(),
        }
    }

    /// `Σ ± v / x · (1/2 + 1/2 cos(step · x))` over distances `x` from `nearest` on, given cosine and sine
    /// of `step · nearest`.
    fn sum(&self, values: &[f64], nearest: f64, angle: [f64; 2]) -> f64 {
        let (chunks, rest) = values.as_chunks::<SHARED>();
        let mut sums = [0.0; LANES];
        for (values, taps) in chunks.iter().zip(&self.chunks) {
            for lane in 0..LANES {
                let other = lane + LANES;
                let (a, x) = taps[lane].fraction(values[lane], nearest, angle);
                let (b, y) = taps[other].fraction(values[other], nearest, angle);
                // Two fractions as one: a division takes as long as ten products.
                sums[lane] += (a * y + b * x) / (x * y);
            }
        }
        let rest = rest.iter().zip(&self.rest).map(|(value, tap)| {
            let (a, x) = tap.fraction(*value, nearest, angle);
            a / x
        });
        sums.iter().sum::<f64>() + rest.sum::<f64>()
    }
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
