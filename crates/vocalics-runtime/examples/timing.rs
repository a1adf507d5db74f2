//! Prints how long loading a model file and recognising a 3.5 s clip take, one engine thread.
//!
//! ```text
//! cargo run --release -p vocalics-runtime --example timing -- model.onnx
//! /usr/bin/time -v target/release/examples/timing model.onnx   # peak memory of the process
//! ```

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::time::Instant;

use vocalics_runtime::Recognizer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: timing MODEL.onnx")?;
    let start = Instant::now();
    let recognizer = Recognizer::from_file(&path)?;
    let loaded = start.elapsed();
    let rate = recognizer.sample_rate();
    // A buzz in four syllables a second.
    let mut phase = 0.0_f32;
    let samples: Vec<f32> = (0..rate * 7 / 2)
        .map(|n| {
            phase = (phase + 140.0 / 16_000.0).fract();
            let loud = if n % (rate / 4) < rate / 6 {
                0.2
            } else {
                0.002
            };
            loud * (phase - 0.5)
        })
        .collect();
    let start = Instant::now();
    let prediction = recognizer.recognize(&samples, rate)?;
    let first = start.elapsed();
    let mut times = Vec::new();
    for _ in 0..20 {
        let start = Instant::now();
        recognizer.recognize(&samples, rate)?;
        times.push(start.elapsed());
    }
    times.sort();
    println!(
        "{} parameters; load and check {:.1} ms, first clip {:.1} ms, median of 20 {:.1} ms; {:?}",
        recognizer.parameters(),
        loaded.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3,
        times[10].as_secs_f64() * 1e3,
        prediction.label,
    );
    Ok(())
}
