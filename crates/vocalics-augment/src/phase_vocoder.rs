//! Time-stretching by a phase vocoder with locked phases.

use realfft::num_complex::Complex;
use vocalics_dsp::floor_index;

use crate::fft::Transform;
use crate::overlap_add::{OVERLAP, OverlapAdd};

/// Least length of a window in seconds; the power of two at or above it is taken.
const WINDOW_SECS: f64 = 0.04;

/// Reads `samples` `tempo` times as fast without moving its frequencies, `n_out` samples of it.
///
/// Each window of the result has the magnitudes of the window at the place the tempo asks for. Its peaks go on in phase
/// from the window before by what they turn in the clip in the same time, found from a second transform one hop
/// earlier, which needs no unwrapping; the bins around a peak keep their phases relative to it.
///
/// Source: J. Laroche, M. Dolson, *Improved phase vocoder time-scale modification of audio*, IEEE Trans. Speech and
/// Audio Processing 7(3), 1999, identity phase locking.
pub(crate) fn phase_vocoder(
    samples: &[f32],
    sample_rate: u32,
    tempo: f64,
    n_out: usize,
) -> Vec<f32> {
    let windows = OverlapAdd::new(WINDOW_SECS, f64::from(sample_rate));
    let (n_fft, hop) = (windows.n_fft(), windows.hop());
    let mut transform = Transform::new(n_fft);
    // Silence around, so that every window that is looked at is there.
    let before = n_fft + hop;
    let mut padded = vec![0.0; samples.len() + 2 * before + n_fft];
    padded[before..before + samples.len()].copy_from_slice(samples);
    let last_start = padded.len() - n_fft;

    let mut frame = vec![0.0; n_fft];
    let mut spectrum_at =
        |start: usize, spectrum: &mut Vec<Complex<f32>>, transform: &mut Transform| {
            windows.cut(&padded[start..], &mut frame);
            transform.forward(&mut frame, spectrum);
        };
    let [mut now, mut earlier, mut last, mut synthesis] =
        std::array::from_fn(|_| transform.zero_spectrum());
    let mut magnitude = vec![0.0; transform.n_bins()];
    let mut peaks = Vec::new();
    let mut output = vec![0.0; n_fft];
    let n_frames = n_out.div_ceil(hop) + OVERLAP;
    let mut out = vec![0.0; n_frames * hop + n_fft];
    for k in 0..n_frames {
        // Window k is centred on sample (k − 1) · hop of the result.
        let centre = (k as f64 - 1.0) * hop as f64 * tempo;
        let start = floor_index((before - n_fft / 2) as f64 + centre + 0.5).min(last_start);
        spectrum_at(start, &mut now, &mut transform);
        if k == 0 {
            last.copy_from_slice(&now);
        } else {
            spectrum_at(start.saturating_sub(hop), &mut earlier, &mut transform);
            for (m, x) in magnitude.iter_mut().zip(&now) {
                *m = x.norm_sqr();
            }
            find_peaks(&magnitude, &mut peaks);
            let mut from = 0;
            for (index, peak) in peaks.iter().enumerate() {
                let peak = *peak;
                // Up to the middle between this peak and the next.
                let to = peaks
                    .get(index + 1)
                    .map_or(now.len(), |next| (peak + next) / 2 + 1);
                let turned = last[peak] * now[peak] * earlier[peak].conj();
                let rotation = unit(turned) * unit(now[peak]).conj();
                for (y, x) in synthesis[from..to].iter_mut().zip(&now[from..to]) {
                    *y = x * rotation;
                }
                from = to;
            }
            if peaks.is_empty() {
                synthesis.copy_from_slice(&now);
            }
            last.copy_from_slice(&synthesis);
        }
        synthesis.copy_from_slice(&last);
        transform.inverse(&mut synthesis, &mut output);
        windows.add(&output, &mut out[k * hop..]);
    }
    out.drain(..n_fft / 2 + hop);
    out.truncate(n_out);
    out
}

/// Bins that are larger than the two on either side.
fn find_peaks(magnitude: &[f32], peaks: &mut Vec<usize>) {
    peaks.clear();
    let inner = magnitude.windows(5).enumerate().filter(|(_, around)| {
        let [a, b, middle, c, d] = around else {
            return false;
        };
        middle > a && middle > b && middle > c && middle > d
    });
    peaks.extend(inner.map(|(start, _)| start + 2));
}

fn unit(x: Complex<f32>) -> Complex<f32> {
    let length = x.norm();
    if length > 0.0 && length.is_finite() {
        x / length
    } else {
        Complex::new(1.0, 0.0)
    }
}
