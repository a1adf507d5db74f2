//! Random resize crop: a piece of a log-mel spectrum, stretched or squeezed to the size of the whole.
//!
//! Source: D. Niizumi et al., *BYOL for Audio*, IJCNN 2021, section III-C.

use rand::Rng;
use rand::rngs::StdRng;

/// Parameter of the cubic convolution, that of PyTorch.
const A: f64 = -0.75;

/// A crop of a canvas that the spectrum lies in the middle of: `[bands, frames]` each, in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResizeCrop {
    canvas: [usize; 2],
    first: [usize; 2],
    size: [usize; 2],
}

impl ResizeCrop {
    /// Draws a crop for a spectrum of `dims` bands and frames.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes of a crop are small and positive"
    )]
    pub(super) fn draw(
        dims: [usize; 2],
        virtual_crop_scale: [f64; 2],
        scales: [[f64; 2]; 2],
        rng: &mut StdRng,
    ) -> Self {
        let mut crop = Self {
            canvas: dims,
            first: [0; 2],
            size: dims,
        };
        for axis in 0..2 {
            let whole = dims[axis] as f64;
            let canvas = (whole * virtual_crop_scale[axis]) as usize;
            let [low, high] = scales[axis];
            let size = (whole * (low + rng.random::<f64>() * (high - low))) as usize;
            let size = size.clamp(1, canvas);
            crop.canvas[axis] = canvas;
            crop.size[axis] = size;
            crop.first[axis] = rng.random_range(0..=canvas - size);
        }
        crop
    }

    /// Replaces the spectrum `[frames, bands]` by its crop, resized bicubically to the same shape. What lies on the canvas beside the
    /// spectrum is `mean`, `[bands]`.
    pub(super) fn apply(&self, spectrum: &mut [f32], mean: &[f32]) {
        let bands = mean.len();
        let frames = spectrum.len() / bands;
        let [rows, columns] = self.size;
        // Bands first, which are those of a frame.
        let taps = taps(rows, bands);
        let margin = [(self.canvas[0] - bands) / 2, (self.canvas[1] - frames) / 2];
        let mut squeezed = vec![0.0f32; columns * bands];
        for (column, out) in squeezed.chunks_exact_mut(bands).enumerate() {
            let frame = (self.first[1] + column)
                .checked_sub(margin[1])
                .filter(|frame| *frame < frames);
            let at = |row: usize| {
                let row = self.first[0] + row;
                let inside = row.checked_sub(margin[0]).filter(|band| *band < bands);
                match (frame, inside) {
                    (Some(frame), Some(band)) => spectrum[frame * bands + band],
                    _ => mean[row.saturating_sub(margin[0]).min(bands - 1)],
                }
            };
            for (out, taps) in out.iter_mut().zip(&taps) {
                *out = taps.iter().map(|&(row, weight)| weight * at(row)).sum();
            }
        }
        for (out, taps) in spectrum
            .chunks_exact_mut(bands)
            .zip(self::taps(columns, frames))
        {
            for (band, out) in out.iter_mut().enumerate() {
                let taps = taps.iter();
                *out = taps
                    .map(|&(column, weight)| weight * squeezed[column * bands + band])
                    .sum();
            }
        }
    }
}

/// Which of `from` points, and with what weights, each of `to` points is made of; ends fall on ends.
///
/// Source: R. Keys, *Cubic Convolution Interpolation for Digital Image Processing*, IEEE TASSP 1981.
/// Reference: `torch.nn.functional.interpolate(..., mode="bicubic", align_corners=True)`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places within a crop are small and positive, weights single precision"
)]
fn taps(from: usize, to: usize) -> Vec<[(usize, f32); 4]> {
    let step = if to > 1 {
        (from - 1) as f64 / (to - 1) as f64
    } else {
        0.0
    };
    let near = |d: f64| ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0;
    let far = |d: f64| ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A;
    let of = |out: usize| {
        let place = out as f64 * step;
        let left = (place as usize).min(from - 1);
        let share = place - left as f64;
        let weights = [
            far(share + 1.0),
            near(share),
            near(1.0 - share),
            far(2.0 - share),
        ];
        let mut taps = [(0, 0.0); 4];
        for (index, (tap, weight)) in taps.iter_mut().zip(weights).enumerate() {
            let source = (left + index).saturating_sub(1).min(from - 1);
            *tap = (source, weight as f32);
        }
        taps
    };
    (0..to).map(of).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn spectrum(frames: usize, bands: usize) -> Vec<f32> {
        (0..frames * bands)
            .map(|i| (i as f32 * 0.37).sin())
            .collect()
    }

    #[test]
    fn the_whole_comes_back_as_it_is() {
        let crop = ResizeCrop {
            canvas: [6, 15],
            first: [0, 2],
            size: [6, 10],
        };
        let mut values = spectrum(10, 6);
        crop.apply(&mut values, &[9.0; 6]);
        for (got, want) in values.iter().zip(spectrum(10, 6)) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }

    /// By hand: `torch.nn.functional.interpolate` of 0, 1, 4, 9 to seven points has the points themselves at even places, and between
    /// them the four neighbours by -0.09375, 0.59375, 0.59375, -0.09375.
    #[test]
    fn resizing_is_cubic() {
        let points = [0.0f32, 1.0, 4.0, 9.0];
        let between = |a: f32, b: f32, c: f32, d: f32| 0.59375 * (b + c) - 0.09375 * (a + d);
        let want = [
            0.0,
            between(0.0, 0.0, 1.0, 4.0),
            1.0,
            between(0.0, 1.0, 4.0, 9.0),
            4.0,
            between(1.0, 4.0, 9.0, 9.0),
            9.0,
        ];
        for (taps, want) in taps(4, 7).iter().zip(want) {
            let got: f32 = taps.iter().map(|&(at, weight)| weight * points[at]).sum();
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        assert_eq!(taps(1, 1)[0].map(|(at, _)| at), [0; 4]);
    }

    #[test]
    fn beside_the_spectrum_lies_the_mean() {
        let crop = ResizeCrop {
            canvas: [4, 30],
            first: [0, 0],
            size: [4, 10],
        };
        let mut values = vec![5.0f32; 10 * 4];
        crop.apply(&mut values, &[1.0, 2.0, 3.0, 4.0]);
        for frame in values.chunks(4) {
            for (got, want) in frame.iter().zip([1.0, 2.0, 3.0, 4.0]) {
                // Cubic weights overshoot between bands that differ, not on them.
                assert!((got - want).abs() < 1e-5, "{got} {want}");
            }
        }
    }

    #[test]
    fn crops_stay_on_the_canvas() {
        let rng = &mut StdRng::seed_from_u64(1);
        let mut sizes = std::collections::BTreeSet::new();
        for _ in 0..500 {
            let crop = ResizeCrop::draw([64, 128], [1.0, 1.5], [[0.6, 1.5]; 2], rng);
            for axis in 0..2 {
                assert!(crop.first[axis] + crop.size[axis] <= crop.canvas[axis]);
            }
            assert_eq!(crop.canvas, [64, 192]);
            assert!((38..=64).contains(&crop.size[0]) && (76..=192).contains(&crop.size[1]));
            sizes.insert(crop.size[1]);
        }
        assert!(sizes.len() > 80, "{}", sizes.len());
    }
}
