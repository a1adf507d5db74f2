//! Any samples at any rate: finite features or an error, no panic.
//!
//! `cargo +nightly fuzz run feature_sets`. The first four bytes are the rate, the others samples.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vocalics_features::sets;

fuzz_target!(|bytes: &[u8]| {
    let (words, _) = bytes.as_chunks::<4>();
    let Some((rate, words)) = words.split_first() else {
        return;
    };
    let rate = u32::from_le_bytes(*rate);
    let samples: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
    for set in sets() {
        if let Ok(values) = set.functionals(&samples, rate) {
            assert!(values.iter().all(|x| x.is_finite()), "{}", set.name());
        }
        if let Ok(found) = set.descriptors(&samples, rate) {
            assert!(found.matrix.as_slice().iter().all(|x| x.is_finite()), "{}", set.name());
        }
    }
});
