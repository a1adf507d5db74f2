//! Any bytes: a waveform or an error, no panic, no runaway allocation.
//!
//! `cargo +nightly fuzz run decode_bytes` (seed the corpus with small files of each format). Panics that
//! `vocalics-audio` turns into errors are reported all the same: libFuzzer aborts in the panic hook.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vocalics_audio::{DecodeOptions, decode_bytes};

fuzz_target!(|bytes: &[u8]| {
    let options = DecodeOptions {
        max_duration_secs: 60.0,
        ..DecodeOptions::default()
    };
    if let Ok(waveform) = decode_bytes(bytes.to_vec(), "fuzz", &options) {
        assert!(!waveform.samples().is_empty());
        assert!(waveform.samples().iter().all(|sample| sample.is_finite()));
    }
});
