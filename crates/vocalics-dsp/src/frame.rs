//! How a signal is cut into frames.

use serde::{Deserialize, Serialize};

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
        n_samples + 2 * (frame_length / 2)
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
