//! Windows over rows and columns: their maximum or mean.

/// Sizes of a pooling window; in one dimension the rows are 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Steps between windows.
    pub stride: [usize; 2],
    /// Rows and columns of padding before the first.
    pub before: [usize; 2],
    /// What a window holds.
    pub kind: Kind,
}

/// What becomes of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The largest value; padding does not count.
    Max,
    /// The mean of the values inside the image.
    Mean,
    /// The sum over the size of the window, padding counted as zeros.
    PaddedMean,
}

/// Pools every plane of `x`.
///
/// # Shapes
/// `x`: `[planes, image]`; `out`: `[planes, output]`.
///
/// # Panics
/// When a slice does not have the length of its shape.
#[expect(clippy::cast_precision_loss, reason = "windows are small")]
pub fn pool(window: &Window, image: [usize; 2], output: [usize; 2], x: &[f32], out: &mut [f32]) {
    let (size, pooled) = (image[0] * image[1], output[0] * output[1]);
    if size == 0 || pooled == 0 {
        return;
    }
    let range = |axis: usize, at: usize| {
        let first = at * window.stride[axis];
        let end = (first + window.kernel[axis]).saturating_sub(window.before[axis]);
        let first = first.saturating_sub(window.before[axis]);
        first.min(image[axis])..end.min(image[axis])
    };
    let full = (window.kernel[0] * window.kernel[1]) as f32;
    for (x, out) in x.chunks_exact(size).zip(out.chunks_exact_mut(pooled)) {
        for (i, line) in out.chunks_exact_mut(output[1]).enumerate() {
            let rows = range(0, i);
            for (j, y) in line.iter_mut().enumerate() {
                let columns = range(1, j);
                let (mut largest, mut sum, mut count) = (f32::NEG_INFINITY, 0.0, 0);
                for row in rows.clone() {
                    for &x in &x[row * image[1]..][columns.clone()] {
                        if x > largest || x.is_nan() {
                            largest = x;
                        }
                        sum += x;
                        count += 1;
                    }
                }
                *y = match window.kind {
                    Kind::Max => largest,
                    Kind::Mean => sum / count as f32,
                    Kind::PaddedMean => sum / full,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: every position of the kernel, those outside the image left out.
    fn naive(window: &Window, image: [usize; 2], output: [usize; 2], x: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        for x in x.chunks_exact(image[0] * image[1]) {
            for i in 0..output[0] {
                for j in 0..output[1] {
                    let mut inside = Vec::new();
                    for u in 0..window.kernel[0] {
                        for v in 0..window.kernel[1] {
                            let row = (i * window.stride[0] + u).checked_sub(window.before[0]);
                            let column = (j * window.stride[1] + v).checked_sub(window.before[1]);
                            if let (Some(row), Some(column)) = (row, column)
                                && row < image[0]
                                && column < image[1]
                            {
                                inside.push(x[row * image[1] + column]);
                            }
                        }
                    }
                    let sum: f32 = inside.iter().sum();
                    let most = inside.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    out.push(match window.kind {
                        Kind::Max if inside.iter().any(|x| x.is_nan()) => f32::NAN,
                        Kind::Max => most,
                        Kind::Mean => sum / inside.len() as f32,
                        Kind::PaddedMean => sum / (window.kernel[0] * window.kernel[1]) as f32,
                    });
                }
            }
        }
        out
    }

    #[test]
    fn windows_match_the_definition() {
        let sizes = [
            ([1, 9], [1, 3], [1, 2], [0, 1], [0, 1]),
            ([5, 7], [2, 3], [1, 1], [0, 0], [0, 0]),
            ([5, 7], [3, 2], [2, 1], [1, 1], [1, 0]),
            ([4, 4], [4, 4], [3, 3], [3, 2], [0, 3]),
        ];
        for (image, kernel, stride, before, after) in sizes {
            let output: [usize; 2] = std::array::from_fn(|axis| {
                (image[axis] + before[axis] + after[axis] - kernel[axis]) / stride[axis] + 1
            });
            for kind in [Kind::Max, Kind::Mean, Kind::PaddedMean] {
                let window = Window {
                    kernel,
                    stride,
                    before,
                    kind,
                };
                for broken in [false, true] {
                    let mut x: Vec<f32> = (0..3 * image[0] * image[1])
                        .map(|n| (n as f32 * 0.61).sin() - 2.0)
                        .collect();
                    if broken {
                        x[4] = f32::NAN;
                    }
                    let want = naive(&window, image, output, &x);
                    let mut out = vec![9.0; want.len()];
                    pool(&window, image, output, &x, &mut out);
                    assert_eq!(broken, want.iter().any(|y| y.is_nan()), "{window:?}");
                    for (y, want) in out.iter().zip(&want) {
                        let same = (y - want).abs() < 1e-6 || y.is_nan() && want.is_nan();
                        assert!(same, "{window:?} of {image:?}: {y}, {want}");
                    }
                }
            }
        }
    }
}
