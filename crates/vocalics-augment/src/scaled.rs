//! Work on samples at full scale: their products and the sums of a transform could overflow otherwise.

use vocalics_dsp::level::{peak, rms};
use vocalics_dsp::narrow;

/// What `work` makes of the samples scaled to a peak of 1, scaled back. `None` for silence.
pub(crate) fn scaled(samples: &[f32], work: impl FnOnce(&[f32]) -> Vec<f32>) -> Option<Vec<f32>> {
    let (mut out, loudest) = at_full_scale(samples, work)?;
    out.iter_mut().for_each(|x| *x *= loudest);
    Some(out)
}

/// What `work` makes of the samples scaled to a peak of 1, with the RMS that they had. `None` for silence.
pub(crate) fn level_kept(
    samples: &[f32],
    work: impl FnOnce(&[f32]) -> Vec<f32>,
) -> Option<Vec<f32>> {
    let (mut out, _) = at_full_scale(samples, work)?;
    let (before, after) = (rms(samples), rms(&out));
    if after > 0.0 {
        let gain = narrow(f64::from(before) / f64::from(after));
        out.iter_mut().for_each(|x| *x *= gain);
    }
    Some(out)
}

/// The peak that the samples had, too.
fn at_full_scale(
    samples: &[f32],
    work: impl FnOnce(&[f32]) -> Vec<f32>,
) -> Option<(Vec<f32>, f32)> {
    let loudest = peak(samples);
    if loudest <= f32::MIN_POSITIVE {
        return None;
    }
    let unit: Vec<f32> = samples.iter().map(|x| x / loudest).collect();
    Some((work(&unit), loudest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_the_loudest_samples_do_not_overflow() {
        // The loudest that a clip may hold; its fifth power is beyond single precision.
        let samples = [1e9, -5e8, 0.0, 2.5e8];
        let power = |unit: &[f32]| -> Vec<f32> { unit.iter().map(|x| x.powi(5)).collect() };
        assert!(power(&samples)[0].is_infinite());
        let out = scaled(&samples, power).unwrap();
        for (found, expected) in out.iter().zip([1e9, -3.125e7, 0.0, 976_562.5]) {
            assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found}");
        }
        let out = level_kept(&samples, power).unwrap();
        assert!((rms(&out) / rms(&samples) - 1.0).abs() < 1e-6);
        assert!((out[1] / out[0] + 0.031_25).abs() < 1e-6);
    }

    #[test]
    fn silence_has_no_level() {
        for work in [scaled, level_kept] {
            assert_eq!(work(&[0.0, 0.0], <[f32]>::to_vec), None);
        }
        let silenced = level_kept(&[0.5, -0.5], |unit| vec![0.0; unit.len()]);
        assert_eq!(silenced, Some(vec![0.0, 0.0]));
    }
}
