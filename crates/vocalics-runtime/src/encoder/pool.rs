//! From the frames of an encoder to one vector.

use super::description::FramePooling;

/// Pools `[n_frames, dim]`, at least one frame.
///
/// # Shapes
/// Result: `[dim]`, for mean and deviation `[2 · dim]`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "frame counts are far below 2^52; a mean of f32 values lies in the range of f32"
)]
pub(super) fn pool(how: FramePooling, frames: &[f32], dim: usize) -> Vec<f32> {
    let count = (frames.len() / dim.max(1)).max(1) as f64;
    let mut mean = vec![0.0f64; dim];
    for frame in frames.chunks_exact(dim) {
        for (sum, x) in mean.iter_mut().zip(frame) {
            *sum += f64::from(*x);
        }
    }
    mean.iter_mut().for_each(|sum| *sum /= count);
    match how {
        FramePooling::Mean => mean.into_iter().map(|x| x as f32).collect(),
        FramePooling::MaxMean => {
            let mut most = vec![f32::NEG_INFINITY; dim];
            for frame in frames.chunks_exact(dim) {
                for (most, x) in most.iter_mut().zip(frame) {
                    *most = most.max(*x);
                }
            }
            most.iter()
                .zip(mean)
                .map(|(most, mean)| (f64::from(*most) + mean) as f32)
                .collect()
        }
        FramePooling::MeanStd => {
            let mut squares = vec![0.0f64; dim];
            for frame in frames.chunks_exact(dim) {
                for ((sum, x), mean) in squares.iter_mut().zip(frame).zip(&mean) {
                    *sum += (f64::from(*x) - mean).powi(2);
                }
            }
            let deviations = squares.iter().map(|sum| (sum / count).sqrt() as f32);
            mean.iter().map(|x| *x as f32).chain(deviations).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_become_one_vector() {
        let frames = [1.0, -2.0, 3.0, 0.0, 5.0, -4.0];
        assert_eq!(pool(FramePooling::Mean, &frames, 2), [3.0, -2.0]);
        assert_eq!(pool(FramePooling::MaxMean, &frames, 2), [8.0, -2.0]);
        let statistics = pool(FramePooling::MeanStd, &frames, 2);
        assert_eq!(statistics[..2], [3.0, -2.0]);
        for deviation in &statistics[2..] {
            assert!((deviation - (8.0f32 / 3.0).sqrt()).abs() < 1e-6);
        }
    }
}
