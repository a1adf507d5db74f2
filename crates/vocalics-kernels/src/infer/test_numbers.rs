//! Numbers for tests, from -1 to 1 and without a pattern.

pub(crate) fn numbers(count: usize, seed: usize) -> Vec<f32> {
    (0..count)
        .map(|n| ((n * 37 + seed * 101) as f32 * 0.61).sin())
        .collect()
}
