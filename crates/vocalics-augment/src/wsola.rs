//! Time-stretching by overlap-add of segments that fit: WSOLA.

use vocalics_dsp::floor_index;
use vocalics_dsp::window::hann;

/// Length of a segment in seconds: two periods of the lowest voice, 66 Hz.
const SEGMENT_SECS: f64 = 0.03;
/// How far from its place a segment may be taken, in seconds: half a period of 50 Hz, so that every voice finds its phase.
const TOLERANCE_SECS: f64 = 0.01;

/// Reads `samples` `tempo` times as fast without moving its frequencies, `n_out` samples of it.
///
/// Segments are laid down half their length apart. Each is taken near the place that the tempo asks for, where it is
/// most like what followed the segment before: the largest normalised cross-correlation over the half that overlaps.
///
/// Source: W. Verhelst, M. Roelands, *An overlap-add technique based on waveform similarity (WSOLA) for high quality
/// time-scale modification of speech*, ICASSP 1993.
pub(crate) fn wsola(samples: &[f32], sample_rate: u32, tempo: f64, n_out: usize) -> Vec<f32> {
    let rate = f64::from(sample_rate);
    let hop = (floor_index(rate * SEGMENT_SECS / 2.0)).max(2);
    let tolerance = floor_index(rate * TOLERANCE_SECS).max(1);
    let window = hann(2 * hop);
    // Silence around, so that every segment that is looked at is there.
    let before = hop + tolerance;
    let mut padded = vec![0.0; samples.len() + 2 * before + 4 * hop];
    padded[before..before + samples.len()].copy_from_slice(samples);
    let last_start = padded.len() - 3 * hop;

    let n_segments = n_out.div_ceil(hop) + 1;
    let mut out = vec![0.0; (n_segments + 1) * hop];
    // Segment k lies `hop` before its place, so that two overlap at each sample of the result.
    let mut taken = before - hop;
    let mut likeness = vec![0.0; 2 * tolerance + 1];
    for k in 0..n_segments {
        if k > 0 {
            let wanted = before as f64 + (k as f64 - 1.0) * hop as f64 * tempo;
            let wanted = floor_index(wanted + 0.5).min(last_start - tolerance);
            let first = wanted.saturating_sub(tolerance);
            let follows = taken + hop;
            taken = first
                + best_offset(
                    &padded[follows.min(last_start)..][..hop],
                    &padded[first..first + 2 * tolerance + hop],
                    wanted - first,
                    &mut likeness,
                );
        }
        let segment = &padded[taken..taken + 2 * hop];
        let target = &mut out[k * hop..(k + 2) * hop];
        for ((y, x), w) in target.iter_mut().zip(segment).zip(&window) {
            *y += w * x;
        }
    }
    out.drain(..hop);
    out.truncate(n_out);
    out
}

/// Where in `region` a piece most like `pattern` begins; `natural` where all are alike.
fn best_offset(pattern: &[f32], region: &[f32], natural: usize, likeness: &mut [f32]) -> usize {
    let n = pattern.len();
    let n_offsets = likeness.len();
    // Offsets innermost: sums side by side.
    likeness.fill(0.0);
    for (k, p) in pattern.iter().enumerate() {
        for (sum, x) in likeness.iter_mut().zip(&region[k..k + n_offsets]) {
            *sum += p * x;
        }
    }
    let mut energy: f64 = region[..n].iter().map(|x| f64::from(*x).powi(2)).sum();
    let (mut best, mut highest) = (natural, f64::NEG_INFINITY);
    let loudest = region.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    let floor = f64::from(loudest).powi(2) * 1e-6 * n as f64;
    for (offset, sum) in likeness.iter().enumerate() {
        let value = f64::from(*sum) / (energy.max(0.0) + floor).sqrt();
        if value > highest && value != 0.0 {
            (best, highest) = (offset, value);
        }
        if offset + 1 < n_offsets {
            energy += f64::from(region[offset + n]).powi(2) - f64::from(region[offset]).powi(2);
        }
    }
    if highest > 0.0 { best } else { natural }
}
