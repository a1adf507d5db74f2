//! Smoothing over three frames.

use vocalics_dsp::narrow;

/// Mean of each value and its two neighbours; the first and last stand for what lies beyond.
pub(super) fn smooth(contour: &[f32]) -> Vec<f32> {
    let last = contour.len().saturating_sub(1);
    let at = |i: usize| f64::from(contour[i]);
    (0..contour.len())
        .map(|i| narrow((at(i.saturating_sub(1)) + at(i) + at((i + 1).min(last))) / 3.0))
        .collect()
}

/// Mean of each non-zero value and those of its two neighbours that are not zero; zeros stay.
pub(super) fn smooth_nonzero(contour: &[f32]) -> Vec<f32> {
    (0..contour.len())
        .map(|i| {
            if is_zero(contour[i]) {
                return 0.0;
            }
            let near = &contour[i.saturating_sub(1)..(i + 2).min(contour.len())];
            let (mut sum, mut count) = (0.0, 0_u8);
            for value in near.iter().filter(|value| !is_zero(**value)) {
                sum += f64::from(*value);
                count += 1;
            }
            narrow(sum / f64::from(count))
        })
        .collect()
}

/// Whether a descriptor has no value in a frame.
pub(super) fn is_zero(value: f32) -> bool {
    value.abs() < f32::MIN_POSITIVE
}

/// `contour` where `keep` says so for the frame, else 0.
pub(super) fn mask(contour: &[f32], keep: &dyn Fn(usize) -> bool) -> Vec<f32> {
    let kept = |(i, value): (usize, &f32)| if keep(i) { *value } else { 0.0 };
    contour.iter().enumerate().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_no_values() {
        assert_eq!(smooth(&[0.0, 3.0, 6.0]), [1.0, 3.0, 5.0]);
        assert_eq!(smooth_nonzero(&[0.0, 3.0, 6.0, 0.0]), [0.0, 4.5, 4.5, 0.0]);
        assert_eq!(mask(&[1.0, 2.0], &|i| i == 1), [0.0, 2.0]);
        assert!(smooth(&[]).is_empty() && smooth_nonzero(&[]).is_empty());
    }
}
