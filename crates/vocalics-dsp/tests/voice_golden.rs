//! Agreement with Praat on the vectors of `golden/voice.py`.
//!
//! Limits are two to three times what was measured; `-- --nocapture` prints the margins.

use serde::Deserialize;
use vocalics_dsp::formant::{Formant, FormantConfig, formants};
use vocalics_dsp::harmonicity::harmonicity;
use vocalics_dsp::intensity::intensity;
use vocalics_dsp::periods::periods;
use vocalics_dsp::perturbation::{jitter, shimmer};
use vocalics_dsp::pitch::{PitchConfig, pitch};

#[derive(Deserialize)]
struct Golden {
    sample_rate: u32,
    pcm16: Vec<i16>,
    f0_times: Vec<f64>,
    f0_hz: Vec<f32>,
    hnr_db: f32,
    intensity_times: Vec<f64>,
    intensity_db: Vec<f32>,
    formant_times: Vec<f64>,
    formants_hz: [Vec<Option<f32>>; 3],
    bandwidths_hz: [Vec<Option<f32>>; 3],
    jitter: GoldenJitter,
    shimmer: GoldenShimmer,
}

#[derive(Deserialize)]
struct GoldenJitter {
    local: f32,
    rap: f32,
    ppq5: f32,
    ddp: f32,
}

#[derive(Deserialize)]
struct GoldenShimmer {
    local: f32,
    #[serde(rename = "local_dB")]
    local_db: f32,
    apq3: f32,
    apq5: f32,
    apq11: f32,
}

fn golden() -> (Golden, Vec<f32>) {
    let golden: Golden = serde_json::from_str(include_str!("../../../golden/voice.json"))
        .expect("golden/voice.py writes this shape");
    let samples = golden
        .pcm16
        .iter()
        .map(|x| f32::from(*x) / 32_768.0)
        .collect();
    (golden, samples)
}

/// Checks the largest and the median of some errors, which are 0 or more.
#[expect(
    clippy::print_stdout,
    reason = "the margins are worth seeing with --nocapture"
)]
#[track_caller]
fn check(name: &str, errors: impl Iterator<Item = f32>, median_limit: f32, limit: f32) {
    let mut errors: Vec<f32> = errors.collect();
    errors.sort_by(f32::total_cmp);
    let (median, largest) = (errors[errors.len() / 2], errors[errors.len() - 1]);
    println!("{name}: median error {median:.2e}, largest {largest:.2e}");
    assert!(median <= median_limit, "{name}: median {median}");
    assert!(largest <= limit, "{name}: {largest}");
}

#[track_caller]
fn check_times(ours: &[f64], theirs: &[f64]) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() < 1e-6, "{a} s, expected {b}");
    }
}

#[test]
fn f0_is_praats() {
    let (golden, samples) = golden();
    let track = pitch(&samples, golden.sample_rate, &PitchConfig::default()).unwrap();
    check_times(&track.times_secs, &golden.f0_times);
    let pairs = || track.f0_hz.iter().zip(&golden.f0_hz);
    let disagree = pairs().filter(|(a, b)| (**a > 0.0) != (**b > 0.0)).count();
    assert_eq!(disagree, 0, "frames");
    let cents = pairs()
        .filter(|(a, b)| **a > 0.0 && **b > 0.0)
        .map(|(a, b)| 1200.0 * (a / b).log2().abs());
    check("f0, cents", cents, 0.002, 0.008);
}

#[test]
fn intensity_is_praats() {
    let (golden, samples) = golden();
    let track = intensity(&samples, golden.sample_rate, 100.0, 0.01).unwrap();
    check_times(&track.times_secs, &golden.intensity_times);
    let off = track.intensity_db.iter().zip(&golden.intensity_db);
    check("intensity, dB", off.map(|(a, b)| (a - b).abs()), 2e-5, 0.12);
}

#[test]
fn formants_are_praats() {
    let (golden, samples) = golden();
    let track = formants(&samples, golden.sample_rate, &FormantConfig::default()).unwrap();
    check_times(&track.times_secs, &golden.formant_times);
    let compare = |k: usize, value: fn(&Formant) -> f32, theirs: &[Option<f32>]| {
        let pairs = track.frames.iter().zip(theirs);
        let missing = pairs
            .clone()
            .filter(|(frame, b)| b.is_some() != frame.get(k).is_some());
        assert_eq!(missing.count(), 0, "F{}: frames with and without", k + 1);
        pairs
            .filter_map(|(frame, b)| {
                let (a, b) = (value(frame.get(k)?), (*b)?);
                Some((a - b).abs())
            })
            .collect::<Vec<f32>>()
    };
    // Median and largest; the largest are those of the noise in the pause.
    for (k, (hz_limits, bandwidth_limits)) in [
        ((0.2, 50.0), (1.0, 80.0)),
        ((0.4, 300.0), (1.2, 300.0)),
        ((2.0, 500.0), (0.4, 500.0)),
    ]
    .into_iter()
    .enumerate()
    {
        let hz = compare(k, |f| f.hz, &golden.formants_hz[k]).into_iter();
        check(&format!("F{}, Hz", k + 1), hz, hz_limits.0, hz_limits.1);
        let hz = compare(k, |f| f.bandwidth_hz, &golden.bandwidths_hz[k]).into_iter();
        check(
            &format!("B{}, Hz", k + 1),
            hz,
            bandwidth_limits.0,
            bandwidth_limits.1,
        );
    }
}

#[test]
fn voice_quality_is_praats() {
    let (golden, samples) = golden();
    let rate = golden.sample_rate;
    let hnr = harmonicity(&samples, rate, 75.0, 0.01)
        .unwrap()
        .mean_db()
        .unwrap();
    let one = |name: &str, ours: f32, theirs: f32, limit: f32| {
        check(name, std::iter::once((ours - theirs).abs()), limit, limit);
    };
    one("HNR, dB", hnr, golden.hnr_db, 0.25);
    let track = pitch(&samples, rate, &PitchConfig::default()).unwrap();
    let marks = periods(&samples, rate, &track).unwrap();
    let j = jitter(&marks).unwrap();
    one("jitter local", j.local, golden.jitter.local, 2e-4);
    one("jitter RAP", j.rap, golden.jitter.rap, 3e-5);
    one("jitter PPQ5", j.ppq5, golden.jitter.ppq5, 2.5e-4);
    one("jitter DDP", j.ddp, golden.jitter.ddp, 9e-5);
    let s = shimmer(&marks).unwrap();
    one("shimmer local", s.local, golden.shimmer.local, 2.5e-3);
    one("shimmer dB", s.local_db, golden.shimmer.local_db, 0.012);
    one("shimmer APQ3", s.apq3, golden.shimmer.apq3, 2e-3);
    one("shimmer APQ5", s.apq5, golden.shimmer.apq5, 8e-4);
    one(
        "shimmer APQ11",
        s.apq11.unwrap(),
        golden.shimmer.apq11,
        9e-4,
    );
}
