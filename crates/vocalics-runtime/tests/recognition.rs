//! From samples to predictions, with the golden model.

mod common;

use common::{model, voiced};
use proptest::prelude::*;
use vocalics_features::FeatureMatrix;
use vocalics_runtime::{
    Clip, Engine, Prediction, Recognizer, RecognizerOptions, RuntimeError, softmax_with_temperature,
};

const RATE: u32 = 16_000;

fn recognizer() -> Recognizer {
    Recognizer::from_bytes(model()).expect("the golden model loads")
}

fn assert_close(one: &Prediction, other: &Prediction, tolerance: f32) {
    assert_eq!(one.label, other.label);
    for ((_, a), (_, b)) in one.scores.iter().zip(&other.scores) {
        assert!((a - b).abs() <= tolerance, "{one:?}\n{other:?}");
    }
}

#[test]
fn a_clip_gets_a_label_and_scores_that_sum_to_one() {
    let recognizer = recognizer();
    let prediction = recognizer.recognize(&voiced(40_000), RATE).unwrap();
    let sum: f32 = prediction.scores.iter().map(|(_, score)| score).sum();
    assert!((sum - 1.0).abs() < 1e-5);
    let names: Vec<&str> = prediction
        .scores
        .iter()
        .map(|(label, _)| label.as_str())
        .collect();
    assert_eq!(names, common::LABELS);
    let best = prediction
        .scores
        .iter()
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(label, _)| label);
    assert_eq!(prediction.label.as_ref(), best);
    assert!((prediction.duration_secs - 2.5).abs() < 1e-9);
    assert!(!prediction.quality.silent && !prediction.quality.clipped);
    let scores = softmax_with_temperature(&prediction.logits, 1.5);
    for ((_, score), again) in prediction.scores.iter().zip(scores) {
        assert!((score - again).abs() < 1e-7);
    }
}

#[test]
fn a_clip_alone_equals_the_clip_in_a_batch() {
    let recognizer = recognizer();
    // Lengths that share frame counts and lengths that do not, in mixed order, silence between.
    let lengths = [
        40_000, 16_000, 40_010, 23_456, 16_000, 3_200, 40_000, 61_000, 16_005,
    ];
    let sources: Vec<Vec<f32>> = lengths
        .iter()
        .enumerate()
        .map(|(index, &length)| {
            if index == 4 {
                vec![0.0; length]
            } else {
                let phase = index * 37;
                voiced(length + phase)[phase..].to_vec()
            }
        })
        .collect();
    let clips: Vec<Clip<'_>> = sources
        .iter()
        .map(|samples| Clip::new(samples, RATE))
        .collect();
    let together = recognizer.recognize_batch(&clips);
    assert_eq!(together.len(), clips.len());
    for (clip, batched) in clips.iter().zip(&together) {
        let alone = recognizer.recognize_clip(clip).unwrap();
        assert_close(&alone, batched.as_ref().unwrap(), 1e-6);
    }
    assert!(together[4].as_ref().unwrap().label.is_none());
}

#[test]
fn one_bad_clip_leaves_the_batch_alone() {
    let recognizer = recognizer();
    let good = voiced(20_000);
    let mut broken = good.clone();
    broken[17] = f32::NAN;
    let clips = [
        Clip::new(&good, RATE),
        Clip::new(&broken, RATE),
        Clip::new(&[], RATE),
        Clip::new(&good, 44_100),
        Clip::new(&good[..3_199], RATE),
        Clip::new(&good, RATE),
    ];
    let results = recognizer.recognize_batch(&clips);
    assert_close(
        results[0].as_ref().unwrap(),
        results[5].as_ref().unwrap(),
        0.0,
    );
    assert!(matches!(
        results[1],
        Err(RuntimeError::NonFinite { index: 17 })
    ));
    assert!(matches!(results[2], Err(RuntimeError::Empty)));
    assert!(matches!(
        results[3],
        Err(RuntimeError::SampleRate {
            expected: 16_000,
            actual: 44_100
        })
    ));
    assert!(matches!(results[4], Err(RuntimeError::TooShort { .. })));
    for result in &results[1..5] {
        let error = result.as_ref().unwrap_err();
        assert!(!error.hint().is_empty() && !error.code().is_empty());
    }
}

#[test]
fn silence_is_a_result_without_emotion() {
    let recognizer = recognizer();
    let faint: Vec<f32> = (0..16_000_i32)
        .map(|n| if n % 2 == 0 { 3e-5 } else { -3e-5 })
        .collect();
    for samples in [vec![0.0; 16_000], faint] {
        let prediction = recognizer.recognize(&samples, RATE).unwrap();
        assert!(prediction.quality.silent);
        assert_eq!(prediction.label, None);
        assert!(prediction.logits.is_empty());
        for (_, score) in &prediction.scores {
            assert!((score - 0.125).abs() < 1e-7);
        }
    }
}

#[test]
fn a_quiet_take_is_no_silence() {
    // Real recordings peak as low as 149/32768.
    let samples: Vec<f32> = voiced(32_000).iter().map(|sample| sample * 0.02).collect();
    let prediction = recognizer().recognize(&samples, RATE).unwrap();
    assert!(!prediction.quality.silent);
    assert!(prediction.label.is_some());
}

#[test]
fn clipping_is_reported_from_the_samples_or_the_caller() {
    let recognizer = recognizer();
    let loud: Vec<f32> = voiced(32_000)
        .iter()
        .map(|sample| (sample * 20.0).clamp(-1.0, 1.0))
        .collect();
    let prediction = recognizer.recognize(&loud, RATE).unwrap();
    assert!(prediction.quality.clipped && prediction.quality.clipped_ratio > 0.01);
    let clean = voiced(32_000);
    let clip = Clip::new(&clean, RATE).with_clipped_ratio(0.05);
    assert!(recognizer.recognize_clip(&clip).unwrap().quality.clipped);
}

#[test]
fn long_features_are_scored_in_windows() {
    let recognizer = recognizer();
    // Two windows that hold the same rows: the mean of their logits is that of one.
    let rows = 1_800;
    let one: Vec<f32> = (0..rows * 64)
        .map(|n| ((n % 977) as f32 * 0.13).sin() * 3.0 - 8.0)
        .collect();
    let twice: Vec<f32> = one.iter().chain(&one).copied().collect();
    let short = FeatureMatrix::new(one, 64).unwrap();
    let long = FeatureMatrix::new(twice, 64).unwrap();
    let expected = recognizer.logits_from_features(&short).unwrap();
    let actual = recognizer.logits_from_features(&long).unwrap();
    for (a, b) in expected.iter().zip(&actual) {
        assert!((a - b).abs() < 1e-6);
    }
}

#[test]
fn features_of_another_width_are_refused() {
    let features = FeatureMatrix::new(vec![0.0; 400], 40).unwrap();
    let error = recognizer().scores_from_features(&features).unwrap_err();
    assert!(matches!(
        error,
        RuntimeError::FeatureWidth {
            expected: 64,
            actual: 40
        }
    ));
}

/// The last part of a frame was dropped in silence where the clip was long.
#[test]
fn features_that_end_within_a_frame_are_refused() {
    let recognizer = recognizer();
    let mut logits = [0.0; 8];
    for n_frames in [1, 100, 4_000] {
        let features = vec![-6.0; n_frames * 64 + 1];
        let error = recognizer.logits_into(&features, &mut logits).unwrap_err();
        assert!(
            matches!(error, RuntimeError::FeatureCount { values, per_row: 64 } if values == features.len()),
            "{error}"
        );
        assert!(recognizer.logits_into(&features[1..], &mut logits).is_ok());
    }
    assert!(matches!(
        recognizer.logits_into(&[0.0; 63], &mut logits),
        Err(RuntimeError::FeatureCount {
            values: 63,
            per_row: 64
        })
    ));
}

/// It was said to have 64 columns where 64 were needed.
#[test]
fn a_batch_that_ends_within_a_clip_is_refused() {
    let recognizer = recognizer();
    let features = vec![-6.0; 3 * 20 * 64];
    assert_eq!(recognizer.batch_logits(&features, 20).unwrap().len(), 3);
    for values in [19 * 64, 30 * 64, 20 * 64 + 1] {
        let error = recognizer
            .batch_logits(&features[..values], 20)
            .unwrap_err();
        assert!(
            matches!(error, RuntimeError::FeatureCount { values: found, per_row: 1_280 } if found == values),
            "{error}"
        );
        assert_eq!(error.code(), "feature_count");
    }
}

#[test]
fn thread_counts_and_threads_agree() {
    let samples = voiced(48_000);
    let one = recognizer();
    let two = Recognizer::from_bytes_with(model(), &RecognizerOptions::default().with_threads(2))
        .unwrap();
    let expected = one.recognize(&samples, RATE).unwrap();
    assert_close(&expected, &two.recognize(&samples, RATE).unwrap(), 0.0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    assert_close(&expected, &one.recognize(&samples, RATE).unwrap(), 0.0);
                    // Whoever waits for one clip may be given a part of another.
                    assert_close(&expected, &two.recognize(&samples, RATE).unwrap(), 0.0);
                }
            });
        }
    });
}

/// Workers of a pool that wait for the engine's must not take up one clip on top of another.
#[test]
fn engines_on_the_workers_of_a_pool_give_what_they_give_alone() {
    use rayon::prelude::*;
    let clips: Vec<Vec<f32>> = (0..600).map(|i| voiced(8_000 + 10 * i)).collect();
    for (engine, threads) in [(Engine::Rten, 1), (Engine::Rten, 2), (Engine::Native, 2)] {
        let options = RecognizerOptions::default()
            .with_engine(engine)
            .with_threads(threads);
        let recognizer = Recognizer::from_bytes_with(model(), &options).unwrap();
        let together: Vec<_> = clips
            .par_iter()
            .map(|clip| recognizer.recognize(clip, RATE).unwrap())
            .collect();
        for (clip, found) in clips.iter().zip(&together).step_by(97) {
            assert_close(found, &recognizer.recognize(clip, RATE).unwrap(), 0.0);
        }
    }
}

#[test]
fn predictions_serialise() {
    let prediction = recognizer().recognize(&voiced(20_000), RATE).unwrap();
    let value = serde_json::to_value(&prediction).unwrap();
    assert!(value["quality"]["snr_db"].is_number() || value["quality"]["snr_db"].is_null());
    assert_eq!(value["scores"][0][0], "neutral");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any finite samples give finite scores or a typed error.
    #[test]
    fn any_samples_give_finite_scores(
        samples in proptest::collection::vec(-1.0_f32..=1.0, 3_200..8_000),
        gain in prop::sample::select(vec![1e-6_f32, 1e-3, 1.0, 1e3]),
    ) {
        let samples: Vec<f32> = samples.iter().map(|sample| sample * gain).collect();
        let prediction = recognizer().recognize(&samples, RATE).unwrap();
        for (_, score) in &prediction.scores {
            prop_assert!((0.0..=1.0).contains(score));
        }
    }

    /// The level of a recording does not decide what it sounds like.
    #[test]
    fn gain_changes_nothing(gain in 0.05_f32..5.0) {
        let recognizer = recognizer();
        let samples = voiced(24_000);
        let louder: Vec<f32> = samples.iter().map(|sample| sample * gain).collect();
        let one = recognizer.recognize(&samples, RATE).unwrap();
        let other = recognizer.recognize(&louder, RATE).unwrap();
        for ((_, a), (_, b)) in one.scores.iter().zip(&other.scores) {
            prop_assert!((a - b).abs() < 1e-3);
        }
    }
}
