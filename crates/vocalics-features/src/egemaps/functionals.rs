//! Functionals over a clip.

use vocalics_dsp::narrow;

use super::contour::{is_zero, mask, smooth, smooth_nonzero};
use super::turns::slopes;
use super::{Raw, STEP_SECS};
use crate::statistics::quantile;

/// A segment of fewer frames is not counted.
const SHORTEST_SEGMENT: usize = 3;
/// Lowest level given, in decibels.
const LOWEST_DB: f64 = -200.0;

/// The 88 functionals in the published order.
pub(super) fn functionals(raw: &Raw, samples: &[f32]) -> Vec<f32> {
    let (voice, spectral) = (&raw.voice, &raw.spectral.columns);
    let n_frames = voice.f0_semitones.len();
    let voiced = |i: usize| voice.voiced(i);
    let unvoiced = |i: usize| i < n_frames && !voice.voiced(i);
    let mut out = Vec::with_capacity(super::FUNCTIONALS.len());

    let f0 = nonzero(&smooth_nonzero(&voice.f0_semitones));
    out.extend(level_and_movement(&f0).0);
    let loudness = smooth(&spectral[0]);
    let (values, n_peaks) = level_and_movement(&loudness);
    out.extend(values);
    for contour in &spectral[5..10] {
        out.extend(mean_and_variation(&smooth(contour)));
    }
    for contour in [
        &voice.jitter,
        &voice.shimmer_db,
        &voice.hnr_db,
        &voice.h1_h2_db,
        &voice.h1_a3_db,
    ] {
        out.extend(mean_and_variation(&nonzero(&smooth_nonzero(contour))));
    }
    let among = |contour: &[f32], keep: &dyn Fn(usize) -> bool| {
        mean_and_variation(&nonzero(&smooth_nonzero(&mask(contour, keep))))
    };
    for formant in &voice.formants {
        out.extend(among(&formant.hz, &voiced));
        out.extend(among(&formant.bandwidth_hz, &voiced));
        // Unvoiced frames count, with the level that says so.
        out.extend(mean_and_variation(&nonzero(&smooth_nonzero(
            &formant.level_db,
        ))));
    }
    for contour in &spectral[1..10] {
        out.extend(among(contour, &voiced));
    }
    for contour in &spectral[1..6] {
        out.push(among(contour, &unvoiced)[0]);
    }
    out.push(narrow(
        n_peaks as f64 / (loudness.len().max(1) as f64 * STEP_SECS),
    ));
    out.extend(segments(n_frames, voiced));
    out.push(level_db(samples));
    out
}

/// Equivalent sound level: the mean power in decibels re full scale, not below −200.
fn level_db(samples: &[f32]) -> f32 {
    let power: f64 = samples.iter().map(|x| f64::from(*x).powi(2)).sum();
    let level = 10.0 * (power / samples.len().max(1) as f64).log10();
    narrow(level.max(LOWEST_DB))
}

fn nonzero(contour: &[f32]) -> Vec<f32> {
    contour.iter().copied().filter(|x| !is_zero(*x)).collect()
}

/// Mean, and standard deviation over the mean; 0 and 0 without values or with a mean of 0.
fn mean_and_variation(values: &[f32]) -> [f32; 2] {
    let (mean, deviation) = mean_and_deviation(values.iter().map(|x| f64::from(*x)));
    let variation = narrow(deviation / mean);
    if mean.abs() < 1e-12 || !variation.is_finite() {
        return [narrow(mean), 0.0];
    }
    [narrow(mean), variation]
}

/// Mean and population deviation; 0 and 0 for nothing.
fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let (sum, count) = values
        .clone()
        .fold((0.0, 0_u32), |(sum, count), x| (sum + x, count + 1));
    let count = f64::from(count.max(1));
    let mean = sum / count;
    let squares = values.fold(0.0, |squares, x| squares + (x - mean).powi(2));
    (mean, (squares / count).sqrt())
}

/// The ten functionals of f0 and loudness, and the number of peaks: mean, variation, 20th, 50th and 80th
/// percentile, range between the outer two, mean and deviation of rising and of falling slopes per second.
fn level_and_movement(contour: &[f32]) -> ([f32; 10], usize) {
    let [mean, variation] = mean_and_variation(contour);
    let [low, middle, high] = [0.2, 0.5, 0.8].map(|share| quantile(contour, share));
    let values: Vec<f64> = contour.iter().map(|x| f64::from(*x)).collect();
    let found = slopes(&values);
    let [rise, rise_deviation, fall, fall_deviation] = found.values;
    let functionals = [
        mean,
        variation,
        low,
        middle,
        high,
        high - low,
        rise,
        rise_deviation,
        fall,
        fall_deviation,
    ];
    (functionals, found.n_peaks)
}

/// Voiced segments per second; mean and deviation of the lengths of voiced segments, then of unvoiced ones,
/// in seconds.
///
/// As measured on the reference: the last frame is left out; a change of one frame between two segments belongs to
/// what was before; a segment is as long as its frames less one; those of fewer than three frames part their
/// neighbours and are not counted.
fn segments(n_frames: usize, voiced: impl Fn(usize) -> bool) -> [f32; 5] {
    let end = n_frames.saturating_sub(1);
    let mut runs: Vec<(bool, usize)> = Vec::new();
    let mut start = 0;
    for i in 1..=end {
        if i < end && voiced(i) == voiced(start) {
            continue;
        }
        let length = i - start;
        match runs.last_mut() {
            Some(last) if length == 1 || last.0 == voiced(start) => last.1 += length,
            _ => runs.push((voiced(start), length)),
        }
        start = i;
    }
    let lengths = |of: bool| {
        runs.iter()
            .filter(move |(kind, frames)| *kind == of && *frames >= SHORTEST_SEGMENT)
            .map(|(_, frames)| (frames - 1) as f64 * STEP_SECS)
    };
    let total = end.max(1) as f64 * STEP_SECS;
    let (voiced_mean, voiced_deviation) = mean_and_deviation(lengths(true));
    let (unvoiced_mean, unvoiced_deviation) = mean_and_deviation(lengths(false));
    [
        narrow(lengths(true).count() as f64 / total),
        narrow(voiced_mean),
        narrow(voiced_deviation),
        narrow(unvoiced_mean),
        narrow(unvoiced_deviation),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values_have_known_functionals() {
        let triangle: Vec<f32> = (0..41).map(|i| 20.0 - (i as f32 - 20.0).abs()).collect();
        let (values, n_peaks) = level_and_movement(&triangle);
        assert_eq!(n_peaks, 1);
        assert!((values[6] - 100.0).abs() < 1e-3, "{values:?}");
        assert!((values[3] - 10.0).abs() < 1e-3);
        assert!(level_and_movement(&[]).0.iter().all(|x| x.abs() < 1e-9));
        assert!((level_db(&[0.1; 100]) + 20.0).abs() < 1e-4);
        assert!((level_db(&[]) + 200.0).abs() < 1e-4);
    }

    #[test]
    fn segments_are_counted() {
        let [rate, length, deviation, pause, _] =
            segments(102, |i| (20..31).contains(&i) || (50..61).contains(&i));
        assert!((rate - 2.0 / 1.01).abs() < 1e-4, "{rate}");
        assert!((length - 0.1).abs() < 1e-6 && deviation < 1e-6);
        assert!((pause - (0.19 + 0.18 + 0.39) / 3.0).abs() < 1e-4, "{pause}");
        // A gap of one frame joins, one of two parts, a voiced frame alone is none.
        let [rate, length, ..] = segments(101, |i| {
            (20..31).contains(&i) || (32..40).contains(&i) || (42..50).contains(&i) || i == 70
        });
        assert!((rate - 2.0).abs() < 1e-4, "{rate}");
        assert!((length - (0.19 + 0.07) / 2.0).abs() < 1e-6, "{length}");
        assert!(segments(0, |_| true).iter().all(|x| x.abs() < 1e-9));
    }
}
