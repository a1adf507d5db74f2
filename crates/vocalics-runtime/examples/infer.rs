//! Prints how long a network takes on a clip of random features, without front end and loading.
//!
//! ```text
//! infer MODEL.onnx ENGINE THREADS BATCH FRAMES REPETITIONS
//! ```
//!
//! ENGINE is `native` or `rten`. One line per repetition, milliseconds per call; the first call is not
//! counted. `bench/infer/run.py` runs it beside onnxruntime.

#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::time::Instant;

use vocalics_runtime::{Engine, Recognizer, RecognizerOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, engine, threads, batch, frames, repetitions] = arguments.as_slice() else {
        return Err("usage: infer MODEL.onnx native|rten THREADS BATCH FRAMES REPETITIONS".into());
    };
    let engine = match engine.as_str() {
        "native" => Engine::Native,
        "rten" => Engine::Rten,
        _ => return Err("the engine is native or rten".into()),
    };
    let options = RecognizerOptions::default()
        .with_threads(threads.parse()?)
        .with_engine(engine);
    let recognizer = Recognizer::from_file_with(path, &options)?;
    let (batch, frames): (usize, usize) = (batch.parse()?, frames.parse()?);
    let mut state = 1_u32;
    let features: Vec<f32> = (0..batch * frames * recognizer.metadata().n_features())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f32::from(u16::try_from(state >> 16).unwrap_or(0)) / 8192.0 - 12.0
        })
        .collect();
    recognizer.batch_logits(&features, frames)?;
    for _ in 0..repetitions.parse()? {
        let start = Instant::now();
        std::hint::black_box(recognizer.batch_logits(&features, frames)?);
        println!("{:.4}", start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(())
}
