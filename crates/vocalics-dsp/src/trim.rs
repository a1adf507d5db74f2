//! Outer silence, relative to the clip's own level.

use std::ops::Range;

use crate::error::DspError;

/// Frame length of [`trim_silence`] in samples (128 ms at 16 kHz), as in librosa.
pub const FRAME_LENGTH: usize = 2048;
/// Hop of [`trim_silence`] in samples (32 ms at 16 kHz), as in librosa.
pub const HOP_LENGTH: usize = 512;

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
    if !(top_db.is_finite() && top_db > 0.0) {
        return Err(DspError::parameter(
            "top_db",
            "a finite number above 0",
            top_db,
        ));
    }
    let blocks: Vec<f64> = samples.chunks(HOP_LENGTH).map(energy).collect();
    let half = FRAME_LENGTH / 2 / HOP_LENGTH;
    // Frame i covers the blocks i-half .. i+half; the last one may lie half beyond the end.
    let n_frames = 1 + samples.len() / HOP_LENGTH;
    let frames = (0..n_frames).map(|i| {
        let end = (i + half).min(blocks.len());
        blocks[i.saturating_sub(half).min(end)..end]
            .iter()
            .sum::<f64>()
    });
    let loudest = frames.clone().fold(0.0, f64::max);
    if loudest <= 0.0 {
        return Ok(0..samples.len());
    }
    let threshold = loudest * 10.0_f64.powf(-f64::from(top_db) / 10.0);
    let mut first = None;
    let mut last = 0;
    for (index, frame) in frames.enumerate() {
        if frame > threshold {
            first.get_or_insert(index);
            last = index;
        }
    }
    let end = ((last + 1) * HOP_LENGTH).min(samples.len());
    Ok((first.unwrap_or(0) * HOP_LENGTH).min(end)..end)
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

    fn naive(samples: &[f32], top_db: f32) -> Range<usize> {
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
        let loud: Vec<usize> = (0..levels.len())
            .filter(|i| levels[*i] > top - f64::from(top_db))
            .collect();
        let end = ((loud[loud.len() - 1] + 1) * HOP_LENGTH).min(samples.len());
        loud[0] * HOP_LENGTH..end
    }

    #[test]
    fn equals_the_definition_at_any_gain() {
        for n in [1, 511, 512, 2048, 9000, 40_003] {
            let clip: Vec<f32> = (0..n)
                .map(|i| {
                    let t = i as f32 / n as f32;
                    (i as f32 * 0.3).sin() * (-60.0 * (t - 0.4).powi(2)).exp()
                })
                .collect();
            for top_db in [6.0, 20.0, 40.0, 60.0] {
                let expected = naive(&clip, top_db);
                assert_eq!(
                    trim_silence(&clip, top_db).unwrap(),
                    expected,
                    "{n} {top_db}"
                );
                let quiet: Vec<f32> = clip.iter().map(|x| x / 1024.0).collect();
                assert_eq!(
                    trim_silence(&quiet, top_db).unwrap(),
                    expected,
                    "{n} {top_db}"
                );
            }
        }
    }

    #[test]
    fn silence_and_constants_are_kept_whole() {
        assert_eq!(trim_silence(&[], 40.0).unwrap(), 0..0);
        assert_eq!(trim_silence(&[0.0; 5000], 40.0).unwrap(), 0..5000);
        assert_eq!(trim_silence(&[0.3; 5000], 40.0).unwrap(), 0..5000);
        assert!(trim_silence(&[0.3; 5], 0.0).is_err());
        assert!(trim_silence(&[0.3; 5], f32::NAN).is_err());
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
