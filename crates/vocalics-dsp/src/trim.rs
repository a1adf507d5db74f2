//! Outer silence, relative to the clip's own level.

use std::ops::Range;

use crate::error::DspError;

/// Frame length of [`trim_silence`] in samples (128 ms at 16 kHz), as in librosa.
pub const FRAME_LENGTH: usize = 2048;
/// Hop of [`trim_silence`] in samples (32 ms at 16 kHz), as in librosa.
pub const HOP_LENGTH: usize = 512;

/// Of ten frames in [`trim_noise`], those that are taken to be background alone, and those whose level says whether it is steady.
/// Set by hand, as what follows.
const BACKGROUND: [usize; 2] = [1, 3];
/// The background of a clip is steady where the two levels are at most this many decibels apart.
const STEADY_DB: f64 = 7.0;
/// What comes within this many decibels of the loudest frame is never background.
const HEADROOM_DB: f64 = 6.0;
/// What lies this many decibels below the loudest frame was put there, for no microphone is as quiet.
const NOTHING_DB: f64 = 120.0;

/// Finds the part between the first and the last frame that comes within `top_db` of the loudest.
///
/// Levels are RMS over centred, zero-padded frames of [`FRAME_LENGTH`] samples every
/// [`HOP_LENGTH`]. The rule knows the clip's own loudest frame alone, never an absolute level, so the
/// result does not change with gain. Digital silence and empty input are kept whole.
///
/// # Errors
/// [`DspError::Parameter`] unless `top_db` is finite and positive.
///
/// Reference: `librosa.effects.trim(y, top_db=top_db)`, exact for clips whose quiet parts lie above
/// −100 dBFS (below that librosa applies an absolute floor).
pub fn trim_silence(samples: &[f32], top_db: f32) -> Result<Range<usize>, DspError> {
    let top_db = checked("top_db", top_db)?;
    let levels = Levels::of(samples);
    Ok(levels.above(levels.loudest * power(-top_db), samples.len()))
}

/// As [`trim_silence`], but a frame must also lie `over_noise_db` above the clip's background, the
/// level that a tenth of its frames do not exceed, where that is steady: three tenths do not exceed it by
/// more than 7 dB.
///
/// In noise that is louder than `top_db` below the speech, the speech would else reach to the ends of
/// the clip. With a quiet background the result is that of [`trim_silence`], and nearly so in a clip that was
/// cut to its speech before, where the quietest frames are those of speech, which is not steady. What comes
/// within 6 dB of the loudest frame is never cut, so a steady sound stays whole. Digital silence (120 dB below the
/// loudest frame), put around a recording or into it, is no background.
///
/// # Errors
/// [`DspError::Parameter`] unless both are finite and positive.
pub fn trim_noise(
    samples: &[f32],
    top_db: f32,
    over_noise_db: f32,
) -> Result<Range<usize>, DspError> {
    let top_db = checked("top_db", top_db)?;
    let over_noise_db = checked("over_noise_db", over_noise_db)?;
    let levels = Levels::of(samples);
    let silence = levels.loudest * power(-top_db);
    let most = levels.loudest * power(-HEADROOM_DB);
    let threshold = levels.steady_background().map_or(silence, |noise| {
        silence.max((noise * power(over_noise_db)).min(most))
    });
    Ok(levels.above(threshold, samples.len()))
}

fn checked(name: &'static str, db: f32) -> Result<f64, DspError> {
    if !(db.is_finite() && db > 0.0) {
        return Err(DspError::parameter(name, "a finite number above 0", db));
    }
    Ok(f64::from(db))
}

/// Ratio of powers that is `db` decibels.
fn power(db: f64) -> f64 {
    10.0_f64.powf(db / 10.0)
}

/// Energies of a clip.
struct Levels {
    /// Of [`HOP_LENGTH`] samples.
    blocks: Vec<f64>,
    /// Of the blocks around the beginning of each, and around the end of the last.
    frames: Vec<f64>,
    loudest: f64,
}

impl Levels {
    fn of(samples: &[f32]) -> Self {
        let blocks: Vec<f64> = samples.chunks(HOP_LENGTH).map(energy).collect();
        let n_frames = 1 + samples.len() / HOP_LENGTH;
        let frames: Vec<f64> = (0..n_frames)
            .map(|frame| blocks[around(frame, blocks.len())].iter().sum())
            .collect();
        let loudest = frames.iter().copied().fold(0.0, f64::max);
        Self {
            blocks,
            frames,
            loudest,
        }
    }

    /// Energy of the frames that hold background alone, where there is one and it is steady.
    fn steady_background(&self) -> Option<f64> {
        let nothing = self.loudest * power(-NOTHING_DB);
        let sounds = |frame: &usize| {
            let blocks = &self.blocks[around(*frame, self.blocks.len())];
            blocks.iter().all(|block| *block > nothing)
        };
        let frames = (0..self.frames.len()).filter(sounds);
        let mut frames: Vec<f64> = frames.map(|frame| self.frames[frame]).collect();
        let last = frames.len().checked_sub(1)?;
        let [background, more] = BACKGROUND.map(|tenths| {
            let rank = last * tenths / 10;
            *frames.select_nth_unstable_by(rank, f64::total_cmp).1
        });
        (more <= background * power(STEADY_DB)).then_some(background)
    }

    /// From the first to the last frame whose energy exceeds a threshold, of a clip of so many samples.
    fn above(&self, threshold: f64, n_samples: usize) -> Range<usize> {
        if self.loudest <= 0.0 {
            return 0..n_samples;
        }
        let first = self.frames.iter().position(|frame| *frame > threshold);
        let last = self.frames.iter().rposition(|frame| *frame > threshold);
        let end = ((last.unwrap_or(0) + 1) * HOP_LENGTH).min(n_samples);
        (first.unwrap_or(0) * HOP_LENGTH).min(end)..end
    }
}

/// The blocks of a frame: half of them before, half behind; the last may lie half beyond the end.
fn around(frame: usize, n_blocks: usize) -> Range<usize> {
    let half = FRAME_LENGTH / 2 / HOP_LENGTH;
    let end = (frame + half).min(n_blocks);
    frame.saturating_sub(half).min(end)..end
}

/// Sum of squares, in eight independent partial sums so that it vectorises.
pub(crate) fn energy(samples: &[f32]) -> f64 {
    samples
        .chunks(1024)
        .map(|part| {
            let (blocks, rest) = part.as_chunks::<8>();
            let mut sums = [0.0_f32; 8];
            for block in blocks {
                for (sum, x) in sums.iter_mut().zip(block) {
                    *sum += x * x;
                }
            }
            let rest: f32 = rest.iter().map(|x| x * x).sum();
            sums.iter().map(|sum| f64::from(*sum)).sum::<f64>() + f64::from(rest)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naive(samples: &[f32], top_db: f32, over_noise_db: Option<f32>) -> Range<usize> {
        let mut levels = Vec::new();
        for i in 0..=samples.len() / HOP_LENGTH {
            let start = (i * HOP_LENGTH).saturating_sub(FRAME_LENGTH / 2);
            let end = (i * HOP_LENGTH + FRAME_LENGTH / 2).min(samples.len());
            let sum: f64 = samples[start..end]
                .iter()
                .map(|x| f64::from(*x).powi(2))
                .sum();
            levels.push(10.0 * (sum / FRAME_LENGTH as f64).max(1e-30).log10());
        }
        let top = levels.iter().copied().fold(f64::MIN, f64::max);
        let mut least = top - f64::from(top_db);
        if let Some(db) = over_noise_db {
            let energy = |part: &[f32]| part.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
            let nothing = FRAME_LENGTH as f64 * 10.0_f64.powf((top - 120.0) / 10.0);
            let sounds = |i: &usize| {
                let start = (i * HOP_LENGTH).saturating_sub(FRAME_LENGTH / 2);
                let end = (i * HOP_LENGTH + FRAME_LENGTH / 2).min(samples.len());
                let mut blocks = samples[start..end].chunks(HOP_LENGTH);
                blocks.all(|block| energy(block) > nothing)
            };
            let kept = (0..levels.len()).filter(sounds);
            let mut sorted: Vec<f64> = kept.map(|i| levels[i]).collect();
            sorted.sort_by(f64::total_cmp);
            let tenths = |n: usize| sorted[(sorted.len() - 1) * n / 10];
            if !sorted.is_empty() && tenths(3) - tenths(1) <= 7.0 {
                least = least.max((tenths(1) + f64::from(db)).min(top - 6.0));
            }
        }
        let loud: Vec<usize> = (0..levels.len()).filter(|i| levels[*i] > least).collect();
        let end = ((loud[loud.len() - 1] + 1) * HOP_LENGTH).min(samples.len());
        loud[0] * HOP_LENGTH..end
    }

    /// A swell at 40 % of the clip over a steady hum of this amplitude.
    fn swell(n: usize, hum: f32) -> Vec<f32> {
        (0..n)
            .map(|i| {
                let t = i as f32 / n as f32;
                (i as f32 * 0.3).sin() * (-60.0 * (t - 0.4).powi(2)).exp()
                    + hum * (i as f32 * 1.1).sin()
            })
            .collect()
    }

    #[test]
    fn equals_the_definition_at_any_gain() {
        for n in [1, 511, 512, 2048, 9000, 40_003] {
            for hum in [0.0, 0.02, 0.2] {
                let clip = swell(n, hum);
                let quiet: Vec<f32> = clip.iter().map(|x| x / 1024.0).collect();
                for top_db in [6.0, 20.0, 40.0, 60.0] {
                    let expected = naive(&clip, top_db, None);
                    assert_eq!(
                        trim_silence(&clip, top_db).unwrap(),
                        expected,
                        "{n} {top_db}"
                    );
                    assert_eq!(
                        trim_silence(&quiet, top_db).unwrap(),
                        expected,
                        "{n} {top_db}"
                    );
                    for over in [3.0, 10.0, 30.0] {
                        let expected = naive(&clip, top_db, Some(over));
                        let found = trim_noise(&clip, top_db, over).unwrap();
                        assert_eq!(found, expected, "{n} {hum} {top_db} {over}");
                        assert_eq!(trim_noise(&quiet, top_db, over).unwrap(), expected);
                    }
                }
            }
        }
    }

    #[test]
    fn noise_before_and_behind_is_cut_and_a_quiet_background_changes_nothing() {
        let clip = swell(64_000, 0.05);
        assert_eq!(trim_silence(&clip, 40.0).unwrap(), 0..64_000);
        let cut = trim_noise(&clip, 40.0, 10.0).unwrap();
        assert!(cut.start > 8_000 && cut.end < 48_000, "{cut:?}");
        let clean = swell(64_000, 1e-4);
        let expected = trim_silence(&clean, 40.0).unwrap();
        assert!(expected.len() < 56_000);
        assert_eq!(trim_noise(&clean, 40.0, 10.0).unwrap(), expected);
    }

    /// It was taken for the background, over which all noise stayed in.
    #[test]
    fn zeros_around_or_within_a_noisy_clip_change_nothing() {
        let clip = swell(64_000, 0.05);
        let bare = trim_noise(&clip, 40.0, 10.0).unwrap();
        for zeros in [1_000, 8_000, 40_000] {
            let around = [&vec![0.0; zeros], &clip[..], &vec![0.0; zeros]].concat();
            let found = trim_noise(&around, 40.0, 10.0).unwrap();
            // Frames begin elsewhere.
            for (bare, found) in [(bare.start, found.start), (bare.end, found.end)] {
                assert!(
                    found.abs_diff(bare + zeros) <= 2 * HOP_LENGTH,
                    "{zeros}: {bare} {found}"
                );
            }
        }
        let mut gated = clip.clone();
        gated[4_000..14_000].fill(0.0);
        let found = trim_noise(&gated, 40.0, 10.0).unwrap();
        assert!(
            found.start.abs_diff(bare.start) <= HOP_LENGTH,
            "{bare:?} {found:?}"
        );
    }

    #[test]
    fn a_clip_cut_to_its_speech_keeps_what_is_soft_in_it() {
        let whole = swell(64_000, 1e-4);
        let speech = &whole[trim_silence(&whole, 40.0).unwrap()];
        let again = trim_silence(speech, 40.0).unwrap();
        assert!(again.len() + 2 * HOP_LENGTH >= speech.len());
        assert_eq!(trim_noise(speech, 40.0, 10.0).unwrap(), again);
    }

    #[test]
    fn silence_and_constants_are_kept_whole() {
        assert_eq!(trim_silence(&[], 40.0).unwrap(), 0..0);
        assert_eq!(trim_silence(&[0.0; 5000], 40.0).unwrap(), 0..5000);
        assert_eq!(trim_silence(&[0.3; 5000], 40.0).unwrap(), 0..5000);
        assert_eq!(trim_noise(&[], 40.0, 10.0).unwrap(), 0..0);
        assert_eq!(trim_noise(&[0.0; 5000], 40.0, 10.0).unwrap(), 0..5000);
        assert_eq!(trim_noise(&[0.3; 5000], 40.0, 10.0).unwrap(), 0..5000);
        for wrong in [0.0, -3.0, f32::NAN, f32::INFINITY] {
            assert!(trim_silence(&[0.3; 5], wrong).is_err());
            assert!(trim_noise(&[0.3; 5], wrong, 10.0).is_err());
            assert!(trim_noise(&[0.3; 5], 40.0, wrong).is_err());
        }
    }

    #[test]
    fn a_burst_is_found_where_it_is() {
        let mut clip = vec![0.0; 48_000];
        for (i, x) in clip[16_000..32_000].iter_mut().enumerate() {
            *x = (i as f32 * 0.2).sin() * 0.004;
        }
        let range = trim_silence(&clip, 40.0).unwrap();
        assert!(range.start.abs_diff(16_000) <= FRAME_LENGTH);
        assert!(range.end.abs_diff(32_000) <= FRAME_LENGTH);
    }
}
