//! Signals for tests, and measures of signals.

use std::f64::consts::TAU;

use proptest::collection::{SizeRange, vec};
use proptest::strategy::{Strategy, Union};
use vocalics_dsp::level::rms;
use vocalics_dsp::narrow;
use vocalics_dsp::pitch::{PitchConfig, pitch};

/// Any samples that a clip may hold.
pub(crate) fn any_samples(size: impl Into<SizeRange>) -> impl Strategy<Value = Vec<f32>> {
    let size = size.into();
    Union::new([
        vec(-1.0_f32..=1.0, size.clone()).boxed(),
        vec(-1e9_f32..=1e9, size.clone()).boxed(),
        vec(-1e-30_f32..=1e-30, size.clone()).boxed(),
        size_of_zeros(size).boxed(),
    ])
}

fn size_of_zeros(size: SizeRange) -> impl Strategy<Value = Vec<f32>> {
    vec(proptest::strategy::Just(0.0), size)
}

pub(crate) fn tone(hz: f64, amplitude: f64, sample_rate: u32, n: usize) -> Vec<f32> {
    let step = TAU * hz / f64::from(sample_rate);
    (0..n)
        .map(|k| narrow(amplitude * (step * k as f64).sin()))
        .collect()
}

pub(crate) fn level_db(samples: &[f32]) -> f64 {
    20.0 * f64::from(rms(samples)).max(1e-30).log10()
}

/// A vowel: a train of pulses with the given f0 over time in seconds, through resonators at `formants` (hertz, with
/// a bandwidth of a tenth, at least 60 Hz), peak 0.5. The pulses are band-limited: harmonics up to 0.45 of the rate.
pub(crate) fn vowel(
    f0_hz: impl Fn(f64) -> f64,
    formants: &[f64],
    secs: f64,
    sample_rate: u32,
) -> Vec<f32> {
    let rate = f64::from(sample_rate);
    let n = vocalics_dsp::floor_index(secs * rate);
    let mut phase = 0.0;
    let mut samples: Vec<f64> = (0..n)
        .map(|k| {
            let f0 = f0_hz(k as f64 / rate);
            phase += TAU * f0 / rate;
            let n_harmonics = (0.45 * rate / f0).floor();
            // Sum of cosines in closed form.
            let half = phase / 2.0;
            let kernel = if half.sin().abs() < 1e-6 {
                2.0 * n_harmonics + 1.0
            } else {
                ((2.0 * n_harmonics + 1.0) * half).sin() / half.sin()
            };
            kernel - 1.0
        })
        .collect();
    for hz in formants {
        let radius = (-std::f64::consts::PI * (hz / 10.0).max(60.0) / rate).exp();
        let (a1, a2) = (2.0 * radius * (TAU * hz / rate).cos(), -radius * radius);
        let (mut y1, mut y2) = (0.0, 0.0);
        for x in &mut samples {
            let y = *x + a1 * y1 + a2 * y2;
            (y2, y1) = (y1, y);
            *x = y;
        }
    }
    let peak = samples.iter().fold(0.0_f64, |peak, x| peak.max(x.abs()));
    samples.iter().map(|x| narrow(0.5 * x / peak)).collect()
}

/// Median f0 in hertz over the middle of a clip.
pub(crate) fn median_f0(samples: &[f32], sample_rate: u32) -> f64 {
    let track = pitch(samples, sample_rate, &PitchConfig::default()).unwrap();
    let mut voiced: Vec<f32> = track.f0_hz.into_iter().filter(|f0| *f0 > 0.0).collect();
    assert!(!voiced.is_empty(), "no voice");
    voiced.sort_by(f32::total_cmp);
    f64::from(voiced[voiced.len() / 2])
}

pub(crate) fn cents(from_hz: f64, to_hz: f64) -> f64 {
    1_200.0 * (to_hz / from_hz).log2()
}

/// Reverberation time of an impulse response in seconds, T20: three times the time in which the backward-integrated
/// energy falls from −5 to −25 dB, by regression. `None` if it never falls so far.
///
/// Source: M. R. Schroeder, *New method of measuring reverberation time*, JASA 37, 1965; ISO 3382-1.
pub(crate) fn reverberation_time_secs(response: &[f32], sample_rate: u32) -> Option<f64> {
    let mut left = 0.0;
    let mut decay: Vec<f64> = response
        .iter()
        .rev()
        .map(|h| {
            left += f64::from(*h).powi(2);
            left
        })
        .collect();
    decay.reverse();
    let total = *decay.first().filter(|total| **total > 0.0)?;
    let level = |energy: &f64| 10.0 * (energy / total).log10();
    let points: Vec<(f64, f64)> = decay
        .iter()
        .map(level)
        .enumerate()
        .filter(|(_, db)| (-25.0..=-5.0).contains(db))
        .map(|(n, db)| (n as f64 / f64::from(sample_rate), db))
        .collect();
    decay.iter().map(level).find(|db| *db < -25.0)?;
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (t0, db0) = (mean(|p| p.0), mean(|p| p.1));
    let (cross, square) = points.iter().fold((0.0, 0.0), |(cross, square), (t, db)| {
        (cross + (t - t0) * (db - db0), square + (t - t0).powi(2))
    });
    let slope = cross / square;
    (slope < 0.0).then(|| -60.0 / slope)
}
