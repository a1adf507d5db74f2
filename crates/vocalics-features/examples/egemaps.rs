//! The set `egemaps` of raw files of little-endian 32-bit floats, one JSON object per file.
//!
//! `cargo run --release -p vocalics-features --example egemaps -- [--lld] RATE FILE...`
//!
//! `secs` is the time of the functionals alone, without reading. `bench/voice/egemaps.py` reads the lines beside
//! what the reference gives.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::json;
use vocalics_features::set_by_name;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_descriptors = arguments.first().is_some_and(|first| first == "--lld");
    if with_descriptors {
        arguments.remove(0);
    }
    let (rate, files) = arguments
        .split_first()
        .ok_or("usage: egemaps [--lld] RATE FILE...")?;
    let rate: u32 = rate.parse()?;
    let set = set_by_name("egemaps").ok_or("no set egemaps")?;
    let mut out = io::stdout().lock();
    for path in files {
        let bytes = fs::read(path)?;
        let (chunks, _) = bytes.as_chunks::<4>();
        let samples: Vec<f32> = chunks.iter().map(|x| f32::from_le_bytes(*x)).collect();
        let start = Instant::now();
        let values = set.functionals(&samples, rate)?;
        let secs = start.elapsed().as_secs_f64();
        let mut line = json!({
            "name": Path::new(path).file_stem().map(|stem| stem.to_string_lossy()),
            "secs": secs,
            "audio_secs": samples.len() as f64 / f64::from(rate),
            "functionals": values,
        });
        if with_descriptors {
            let found = set.descriptors(&samples, rate)?;
            line["lld"] = json!(found.matrix.as_slice());
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
