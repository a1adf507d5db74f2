//! In a steady state a recognition by the runtime's native engine allocates nothing.
//!
//! The test is of the runtime, and here because an allocator that counts needs unsafe code, which the
//! runtime forbids in every form.

#![expect(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use vocalics_runtime::{Engine, Recognizer};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the promises of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the promises of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    work();
    COUNT.with(Cell::get) - before
}

#[test]
fn a_call_allocates_nothing_once_the_buffers_have_grown() {
    assert!(allocations(|| drop(vec![1])) > 0, "the allocator counts");
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
        let count = allocations(|| recognizer.logits_into(clip, &mut logits).unwrap());
        assert_eq!(count, 0, "{n_frames} frames");
    }
}
