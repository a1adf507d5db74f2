//! Quality of the resampler in decibels, and equality of its streaming and whole forms.

#![expect(
    clippy::cast_possible_truncation,
    reason = "test signals are made in f64 and used in f32"
)]

use std::f64::consts::TAU;

use proptest::prelude::*;
use vocalics_audio::resample::{StreamResampler, resample};

fn tone(frequency_hz: f64, sample_rate: u32, n: usize) -> Vec<f32> {
    let step = TAU * frequency_hz / f64::from(sample_rate);
    (0..n)
        .map(|k| (0.5 * (step * k as f64).sin()) as f32)
        .collect()
}

fn rms_db(samples: &[f32]) -> f64 {
    let power = samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / samples.len() as f64;
    10.0 * power.max(1e-30).log10()
}

/// Samples enough for the filter to settle: its length depends on the common divisor of the rates.
fn length(from: u32) -> usize {
    if from == 24_414 {
        3 * 24_414
    } else {
        (from / 5) as usize
    }
}

/// The inner part of a signal, away from the onset and the end of a tone.
fn inner(samples: &[f32]) -> &[f32] {
    &samples[samples.len() / 4..samples.len() * 3 / 4]
}

#[test]
fn tones_above_the_new_nyquist_are_rejected_by_90_db() {
    for (from, to, first) in [
        (48_000, 16_000, 8_010),
        (44_100, 16_000, 8_010),
        (96_000, 16_000, 8_050),
        (16_000, 8_000, 4_010),
        (24_414, 16_000, 8_010),
    ] {
        let mut worst = f64::INFINITY;
        for frequency in (first..from / 2).step_by(997) {
            let input = tone(f64::from(frequency), from, length(from));
            let output = resample(&input, from, to).expect("resampled");
            worst = worst.min(rms_db(inner(&input)) - rms_db(inner(&output)));
        }
        println!("{from} -> {to} Hz: tones from {first} Hz on are rejected by {worst:.1} dB");
        assert!(worst >= 90.0, "{from} -> {to}: {worst} dB");
    }
}

#[test]
fn the_pass_band_is_flat_to_7_khz() {
    for (from, to, last) in [
        (48_000, 16_000, 7_000),
        (44_100, 16_000, 7_000),
        (24_414, 16_000, 7_000),
        (8_000, 16_000, 3_400),
        (96_000, 16_000, 7_000),
    ] {
        let mut ripple = 0.0_f64;
        for frequency in (50..=last).step_by(431).chain([last]) {
            let input = tone(f64::from(frequency), from, length(from));
            let output = resample(&input, from, to).expect("resampled");
            ripple = ripple.max((rms_db(inner(&output)) - rms_db(inner(&input))).abs());
        }
        println!("{from} -> {to} Hz: ripple to {last} Hz {ripple:.5} dB");
        assert!(ripple <= 0.1, "{from} -> {to}: {ripple} dB");
    }
}

#[test]
fn nothing_is_shifted() {
    for (from, to) in [
        (48_000, 16_000),
        (8_000, 16_000),
        (44_100, 16_000),
        (11_025, 16_000),
        (24_414, 16_000),
        (22_050, 48_000),
    ] {
        let input = tone(440.0, from, from as usize);
        let output = resample(&input, from, to).expect("resampled");
        let expected = tone(440.0, to, to as usize);
        assert_eq!(output.len(), to as usize);
        let worst = inner(&output)
            .iter()
            .zip(inner(&expected))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!("{from} -> {to} Hz: 440 Hz differs from the ideal by at most {worst:.2e}");
        assert!(worst < 1e-4, "{from} -> {to}: {worst}");
    }
}

#[test]
fn lengths_are_exact() {
    for (from, to) in [
        (48_000, 16_000),
        (44_100, 16_000),
        (8_000, 16_000),
        (16_000, 16_000),
        (24_414, 16_000),
        (16_000, 22_050),
    ] {
        let mut stream = StreamResampler::new(from, to).expect("planned");
        for n in [0_usize, 1, 2, 500, 1536, 1537, 5000] {
            let mut output = Vec::new();
            stream.push(&vec![0.1; n], &mut output).expect("pushed");
            stream.finish(&mut output).expect("finished");
            let expected = (n * to as usize).div_ceil(from as usize);
            assert_eq!(output.len(), expected, "{n}: {from} -> {to}");
        }
    }
}

#[test]
fn agrees_with_soxr() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/audio.json");
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden).expect("golden file")).expect("json");
    let number = |value: &serde_json::Value| value.as_f64().expect("number");
    for case in golden["cases"].as_array().expect("cases") {
        let rate = |key: &str| u32::try_from(case[key].as_u64().expect("rate")).expect("rate");
        let (from, to) = (rate("from"), rate("to"));
        let tones: Vec<(f64, f64, f64)> = case["tones"]
            .as_array()
            .expect("tones")
            .iter()
            .map(|t| {
                (
                    number(&t["hz"]),
                    number(&t["amplitude"]),
                    number(&t["phase"]),
                )
            })
            .collect();
        let input: Vec<f32> = (0..from)
            .map(|k| {
                let time = f64::from(k) / f64::from(from);
                tones
                    .iter()
                    .map(|(hz, a, phase)| a * (TAU * hz * time + phase).sin())
                    .sum::<f64>() as f32
            })
            .collect();
        let output = resample(&input, from, to).expect("resampled");
        assert_eq!(
            output.len() as u64,
            case["n_output"].as_u64().expect("length")
        );
        let first = usize::try_from(case["first"].as_u64().expect("first")).expect("first");
        let expected = case["samples"].as_array().expect("samples");
        let worst = expected
            .iter()
            .zip(&output[first..])
            .map(|(a, &b)| (number(a) - f64::from(b)).abs())
            .fold(0.0, f64::max);
        println!("{from} -> {to} Hz: differs from soxr by at most {worst:.2e} of full scale");
        assert!(worst < 1e-3, "{from} -> {to}: {worst}");
    }
}

#[test]
fn non_finite_input_is_an_error() {
    let mut input = vec![0.1; 5000];
    input[2500] = f32::NAN;
    assert_eq!(
        resample(&input, 48_000, 16_000).expect_err("NaN").code(),
        "non_finite"
    );
    assert_eq!(
        resample(&input, 16_000, 16_000).expect_err("NaN").code(),
        "non_finite"
    );
    assert_eq!(
        resample(&input, 0, 16_000).expect_err("rate").code(),
        "sample_rate"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn streaming_equals_whole_under_any_chunking(
        rates in prop::sample::select(vec![
            (48_000, 16_000), (44_100, 16_000), (8_000, 16_000), (16_000, 16_000), (96_000, 16_000),
            (11_025, 16_000), (16_000, 44_100), (22_050, 16_000),
        ]),
        input in prop::collection::vec(-1.0_f32..1.0, 0..9000),
        cuts in prop::collection::vec(0_usize..3000, 0..12),
    ) {
        let (from, to) = rates;
        let whole = resample(&input, from, to).expect("resampled");
        let mut stream = StreamResampler::new(from, to).expect("planned");
        // Twice: a finished stream starts afresh.
        for _ in 0..2 {
            let mut output = Vec::new();
            let mut rest = &input[..];
            for &cut in &cuts {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                stream.push(now, &mut output).expect("pushed");
                rest = later;
            }
            stream.push(rest, &mut output).expect("pushed");
            stream.finish(&mut output).expect("finished");
            prop_assert_eq!(&output, &whole);
        }
    }
}
