//! Raw clips, and what is measured of them as JSON lines.

use std::error::Error;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

/// Reads the rate and the files of little-endian 32-bit floats that the command line names, and prints what
/// `measure` finds in each, with its name.
pub(crate) fn print_each(
    measure: impl Fn(&[f32], u32) -> Result<Value, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let sample_rate: u32 = arguments.next().ok_or("usage: RATE FILE...")?.parse()?;
    let mut out = std::io::stdout().lock();
    for path in arguments {
        let bytes = std::fs::read(&path)?;
        let (words, _) = bytes.as_chunks::<4>();
        let samples: Vec<f32> = words.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let mut clip = measure(&samples, sample_rate)?;
        let name = Path::new(&path).file_stem().unwrap_or_default();
        clip["name"] = json!(name.to_string_lossy());
        writeln!(out, "{clip}")?;
    }
    Ok(())
}
