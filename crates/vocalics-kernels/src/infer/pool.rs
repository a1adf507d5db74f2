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
