//! Agreement with librosa on the vectors of `golden/pyin.py`.

use serde::Deserialize;
use vocalics_dsp::pyin::{PyinConfig, pyin};

#[derive(Deserialize)]
struct Golden {
    sample_rate: u32,
    fmin: f64,
    fmax: f64,
    frame_length: u32,
    hop_length: u32,
    pcm16: Vec<i16>,
    f0_hz: Vec<Option<f32>>,
    voiced_probability: Vec<f32>,
}

#[test]
fn f0_is_librosas() {
    let golden: Golden = serde_json::from_str(include_str!("../../../golden/pyin.json"))
        .expect("golden/pyin.py writes this shape");
    let samples: Vec<f32> = golden
        .pcm16
        .iter()
        .map(|x| f32::from(*x) / 32_768.0)
        .collect();
    let rate = f64::from(golden.sample_rate);
    let config = PyinConfig {
        fmin: golden.fmin,
        fmax: golden.fmax,
        frame_secs: f64::from(golden.frame_length) / rate,
        time_step_secs: f64::from(golden.hop_length) / rate,
        ..PyinConfig::default()
    };
    let track = pyin(&samples, golden.sample_rate, &config).unwrap();
    assert_eq!(track.f0_hz.len(), golden.f0_hz.len());
    assert_eq!(track.strength.len(), golden.voiced_probability.len());
    let pairs = || track.f0_hz.iter().zip(&golden.f0_hz);
    let agree = pairs().filter(|(a, b)| (**a > 0.0) == b.is_some()).count();
    let agree = agree as f64 / track.f0_hz.len() as f64;
    let mut cents: Vec<f32> = pairs()
        .filter_map(|(a, b)| (*a > 0.0).then_some(1200.0 * (a / (*b)?).log2().abs()))
        .collect();
    cents.sort_by(f32::total_cmp);
    let median = cents[cents.len() / 2];
    println!(
        "voicing agrees on {agree:.4}, median difference {median:.2} cents, largest {:?}",
        cents.last()
    );
    assert!(agree >= 0.98, "{agree}");
    assert!(median <= 5.0, "{median}");
}
