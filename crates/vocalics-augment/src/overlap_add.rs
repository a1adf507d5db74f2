//! Cutting into windows that overlap, and adding them up again.

use vocalics_dsp::floor_index;
use vocalics_dsp::window::hann;

/// Windows over each sample.
pub(crate) const OVERLAP: usize = 4;
/// Sum of the squares of Hann windows a quarter of their length apart.
const GAIN: f32 = 1.5;

/// Hann windows a quarter of their length apart, used before and behind a transform.
pub(crate) struct OverlapAdd {
    window: Vec<f32>,
}

impl OverlapAdd {
    /// Windows of the power of two at or above `least_secs` at `rate` hertz.
    pub(crate) fn new(least_secs: f64, rate: f64) -> Self {
        let least = floor_index(rate * least_secs).max(16);
        Self {
            window: hann(least.next_power_of_two()),
        }
    }

    /// Samples of a window.
    pub(crate) fn n_fft(&self) -> usize {
        self.window.len()
    }

    /// Samples between the beginnings of two windows.
    pub(crate) fn hop(&self) -> usize {
        self.n_fft() / OVERLAP
    }

    /// Writes the window that begins where `samples` do over `frame`.
    pub(crate) fn cut(&self, samples: &[f32], frame: &mut [f32]) {
        for ((y, x), w) in frame.iter_mut().zip(samples).zip(&self.window) {
            *y = w * x;
        }
    }

    /// Adds a window to `out`. Where each is what was [`cut`](Self::cut), the sum is the signal.
    pub(crate) fn add(&self, frame: &[f32], out: &mut [f32]) {
        for ((y, x), w) in out.iter_mut().zip(frame).zip(&self.window) {
            *y += w * x / GAIN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_adds_up_to_the_signal() {
        let windows = OverlapAdd::new(0.03, 16_000.0);
        let (n_fft, hop) = (windows.n_fft(), windows.hop());
        assert_eq!((n_fft, hop), (512, 128));
        let signal: Vec<f32> = (0..4_096_u16)
            .map(|n| (f32::from(n) * 0.37).sin())
            .collect();
        let (mut out, mut frame) = (vec![0.0; signal.len()], vec![0.0; n_fft]);
        for start in (0..=signal.len() - n_fft).step_by(hop) {
            windows.cut(&signal[start..], &mut frame);
            windows.add(&frame, &mut out[start..]);
        }
        for (y, x) in out.iter().zip(&signal).skip(n_fft).take(4_096 - 2 * n_fft) {
            assert!((y - x).abs() < 1e-5, "{y} {x}");
        }
    }
}
