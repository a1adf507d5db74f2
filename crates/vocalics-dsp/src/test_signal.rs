//! Signals for tests: noise, the same on every run, and anything at all.

use proptest::collection::{SizeRange, vec};
use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
use proptest::strategy::{Strategy, Union};

use crate::{MAX_SAMPLE, floor_index, narrow};

/// Uniform white noise in ±1 by a linear congruential generator.
pub(crate) fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect()
}

/// Syllables of a gliding voice with noise and silence between them, four a second.
pub(crate) fn speech(rate: u32, secs: f64) -> Vec<f32> {
    let rate = f64::from(rate);
    let mut phase = 0.0_f64;
    let hiss = noise(floor_index(secs * rate), 4).into_iter();
    hiss.enumerate()
        .map(|(n, hiss)| {
            let t = n as f64 / rate;
            phase += std::f64::consts::TAU * (130.0 + 60.0 * (2.0 * t).sin()) / rate;
            let voice: f64 = (1..20)
                .map(|k| (f64::from(k) * phase).sin() / f64::from(k))
                .sum();
            let part = (t * 4.0).fract();
            let gain = if part < 0.55 { 0.1 } else { 0.0 };
            let noisy = if (0.55..0.75).contains(&part) {
                0.05
            } else {
                0.0
            };
            narrow(gain * voice) + noisy * hiss
        })
        .collect()
}

/// Any samples that are accepted: half of the signals loud noise, half of any magnitude from the smallest on.
pub(crate) fn any_samples(size: impl Into<SizeRange>) -> impl Strategy<Value = Vec<f32>> {
    let size = size.into();
    let any = POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO;
    let any = any.prop_map(|x| x.clamp(-MAX_SAMPLE, MAX_SAMPLE));
    Union::new([
        vec(-1.0_f32..=1.0, size.clone()).boxed(),
        vec(any, size).boxed(),
    ])
}

/// Any rate that is accepted, usual ones most of the time.
pub(crate) fn any_rate() -> impl Strategy<Value = u32> {
    Union::new_weighted(vec![
        (3, (100..=20_000_u32).boxed()),
        (1, (100..=768_000_u32).boxed()),
    ])
}
