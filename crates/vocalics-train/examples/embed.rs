//! Embeddings of recordings, to compare an exported encoder with the original: one JSON object with a list of numbers
//! for each file.
//!
//! `cargo run --release -p vocalics-train --example embed -- ENCODER.onnx FILE...`

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use vocalics_audio::{DecodeOptions, read_file};
use vocalics_train::open_encoder;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints"
)]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let encoder = arguments.next().ok_or("give an encoder and recordings")?;
    let encoder = open_encoder(Path::new(&encoder), None)?;
    let decode = DecodeOptions {
        sample_rate: Some(encoder.sample_rate()),
        ..DecodeOptions::default()
    };
    let mut rows = Vec::new();
    for file in arguments {
        let clip = read_file(Path::new(&file), &decode)?;
        let started = Instant::now();
        let embedding = encoder.embed(clip.samples(), clip.sample_rate())?;
        eprintln!(
            "{file}: {:.2} s of sound in {:.3} s",
            embedding.seconds,
            started.elapsed().as_secs_f64()
        );
        rows.push(format!("{file:?}: {:?}", embedding.values));
    }
    println!("{{{}}}", rows.join(",\n"));
    Ok(())
}
