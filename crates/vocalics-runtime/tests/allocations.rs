//! In a steady state a recognition by the native engine allocates nothing.

use allocation_counter::measure;
use vocalics_runtime::{Engine, Recognizer};

#[test]
fn a_call_allocates_nothing_once_the_buffers_have_grown() {
    assert!(
        measure(|| drop(std::hint::black_box(vec![1]))).count_total > 0,
        "the allocator counts"
    );
    let recognizer = Recognizer::embedded().unwrap();
    assert_eq!(recognizer.engine(), Engine::Native);
    let features: Vec<f32> = (0..350 * 64)
        .map(|n| (n as f32 * 0.37).sin() - 6.0)
        .collect();
    let mut logits = vec![0.0; recognizer.labels().len()];
    recognizer.logits_into(&features, &mut logits).unwrap();
    // Shorter clips and the same again: another layout in the same memory.
    for n_frames in [350, 349, 17, 1, 128, 350] {
        let clip = &features[..n_frames * 64];
        let counted = measure(|| recognizer.logits_into(clip, &mut logits).unwrap());
        assert_eq!(counted.count_total, 0, "{n_frames} frames: {counted:?}");
    }
}
