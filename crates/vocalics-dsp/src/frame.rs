//! How a signal is cut into frames.

use serde::{Deserialize, Serialize};

use crate::error::DspError;
use crate::floor_index;

/// Longest transform, window, frame or hop in samples: 22 s at 768 kHz. Products with it cannot overflow.
pub(crate) const MAX_LENGTH: usize = 1 << 24;

/// Checks a sample rate, which must lie in 100 to 768000 Hz, and gives it as a number.
///
/// Every function that takes a rate asks here, or [`check_rate_from`], before it looks at samples or plans
/// anything.
pub(crate) fn check_rate(sample_rate: u32) -> Result<f64, DspError> {
    check_rate_from(sample_rate, 100)
}

/// [`check_rate`] for what makes no sense below `least` hertz.
pub(crate) fn check_rate_from(sample_rate: u32, least: u32) -> Result<f64, DspError> {
    if (least..=768_000).contains(&sample_rate) {
        return Ok(f64::from(sample_rate));
    }
    let expected = format!("{least} to 768000 Hz");
    Err(DspError::parameter("sample_rate", expected, sample_rate))
}

/// Checks a length in samples or frames, which must lie in `least` to [`MAX_LENGTH`].
pub(crate) fn check_length(
    name: &'static str,
    length: usize,
    least: usize,
) -> Result<(), DspError> {
    if (least..=MAX_LENGTH).contains(&length) {
        return Ok(());
    }
    let expected = format!("{least} to {MAX_LENGTH}");
    Err(DspError::parameter(name, expected, length))
}

/// Length of a window of at least 32 ms: the next power of two of samples.
pub(crate) fn short_window(sample_rate: u32) -> usize {
    let samples = (u64::from(sample_rate) * 32).div_ceil(1000);
    // At most 2³² · 0.032, which fits.
    usize::try_from(samples.next_power_of_two()).unwrap_or(usize::MAX)
}

/// Samples in a hundredth of a second, at least 1.
pub(crate) fn hop_of_10_ms(sample_rate: u32) -> usize {
    usize::try_from(sample_rate / 100)
        .unwrap_or(usize::MAX)
        .max(1)
}

/// Centres, in seconds, of as many frames as fit, placed in the middle of the signal.
///
/// Reference: the *frames* of Praat's short-term analyses, exact.
pub(crate) fn frame_times(
    n_samples: usize,
    rate: f64,
    window_secs: f64,
    step_secs: f64,
) -> Vec<f64> {
    let duration = n_samples as f64 / rate;
    if n_samples == 0 || duration < window_secs {
        return Vec::new();
    }
    let n_frames = floor_index((duration - window_secs) / step_secs + 1e-9) + 1;
    let first = 0.5 * (duration - (n_frames - 1) as f64 * step_secs);
    (0..n_frames)
        .map(|i| first + i as f64 * step_secs)
        .collect()
}

/// What stands beyond the two ends of the signal in a centred analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Zeros (`pad_mode="constant"` in librosa, its default).
    #[default]
    Zero,
    /// The signal mirrored about its first and last sample (`pad_mode="reflect"`, the default of
    /// `torch.stft`). A signal shorter than the padding is mirrored repeatedly, as in `numpy.pad`.
    Reflect,
}

/// Number of frames in a signal of `n_samples`.
///
/// Centred: `1 + (n_samples + 2·⌊frame_length/2⌋ − frame_length) / hop_length`, that is
/// `1 + n_samples / hop_length` for an even length; frame `i` is centred on sample
/// `i · hop_length`. Otherwise frames lie wholly inside the signal. An empty signal has no frame, nor
/// has one shorter than a frame when not centred. `hop_length` of 0 counts as 1.
///
/// Reference: `librosa.util.frame` after the padding of `librosa.stft`, exact.
#[must_use]
pub fn frame_count(
    n_samples: usize,
    frame_length: usize,
    hop_length: usize,
    center: bool,
) -> usize {
    let padded = if center {
        n_samples.saturating_add(2 * (frame_length / 2))
    } else {
        n_samples
    };
    if n_samples == 0 || padded < frame_length {
        return 0;
    }
    1 + (padded - frame_length) / hop_length.max(1)
}

/// Maps a position relative to the signal's start, which may lie outside, to the index mirrored
/// into `0..len`; `len` must not be 0.
pub(crate) fn reflect(position: isize, len: usize) -> usize {
    if len == 1 {
        return 0;
    }
    let period = 2 * (len - 1);
    let folded = position.unsigned_abs() % period;
    if folded < len {
        folded
    } else {
        period - folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_lengths_do_not_overflow() {
        assert_eq!(frame_count(usize::MAX, 2, 1, true), usize::MAX - 1);
        assert_eq!(frame_count(9, usize::MAX, 1, true), 1);
        for rate in [0, 99, 768_001, u32::MAX] {
            assert!(check_rate(rate).is_err(), "{rate}");
            assert!(short_window(rate) as f64 >= 0.032 * f64::from(rate));
        }
        assert!(check_rate(100).is_ok() && check_rate(768_000).is_ok());
        assert!(check_length("n_fft", MAX_LENGTH + 1, 2).is_err());
        assert!(check_length("n_fft", 1, 2).is_err());
        assert!(check_length("n_fft", MAX_LENGTH, 2).is_ok());
        assert_eq!(
            [8_000, 11_025, 16_000, 48_000].map(short_window),
            [256, 512, 512, 2048]
        );
    }

    #[test]
    fn counts_match_a_walk_over_the_padded_signal() {
        for n in 0..200 {
            for (frame, hop) in [(16, 4), (15, 4), (16, 16), (7, 9), (1, 1)] {
                for center in [false, true] {
                    let padded = n + if center { 2 * (frame / 2) } else { 0 };
                    let walked = (0..)
                        .take_while(|i| n > 0 && i * hop + frame <= padded)
                        .count();
                    assert_eq!(
                        frame_count(n, frame, hop, center),
                        walked,
                        "{n} {frame} {hop}"
                    );
                }
            }
        }
    }

    #[test]
    fn reflection_is_numpys() {
        // numpy.pad(range(4), 7, mode="reflect")
        let expected = [1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2];
        for (position, want) in (-7isize..11).zip(expected) {
            assert_eq!(reflect(position, 4), want, "position {position}");
        }
        assert_eq!(reflect(-3, 1), 0);
    }
}
