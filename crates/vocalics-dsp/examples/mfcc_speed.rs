//! The timed half of `bench/signal/mfcc_speed.py`: MFCC of clips read from standard input.
//!
//! Reads the number of clips, their length and their samples (little endian), writes the number of
//! values and the values of the first clip's coefficients, then for every byte received the seconds
//! each clip took.

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use vocalics_dsp::mfcc::{Mfcc, MfccConfig};

fn main() -> Result<(), Box<dyn Error>> {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut word = [0; 4];
    input.read_exact(&mut word)?;
    let n_clips = u32::from_le_bytes(word);
    input.read_exact(&mut word)?;
    let n_samples = usize::try_from(u32::from_le_bytes(word))?;
    let mut clips = Vec::new();
    for _ in 0..n_clips {
        let mut bytes = vec![0; 4 * n_samples];
        input.read_exact(&mut bytes)?;
        let (words, _) = bytes.as_chunks::<4>();
        clips.push(
            words
                .iter()
                .map(|word| f32::from_le_bytes(*word))
                .collect::<Vec<f32>>(),
        );
    }
    let mut mfcc = Mfcc::new(MfccConfig::librosa(16_000))?;
    if let Some(clip) = clips.first() {
        let values = mfcc.compute(clip)?;
        output.write_all(&u32::try_from(values.len())?.to_le_bytes())?;
        for value in &values {
            output.write_all(&value.to_le_bytes())?;
        }
        output.flush()?;
    }
    let mut command = [0];
    while input.read(&mut command)? == 1 {
        for clip in &clips {
            let begin = Instant::now();
            black_box(mfcc.compute(black_box(clip))?);
            output.write_all(&begin.elapsed().as_secs_f64().to_le_bytes())?;
        }
        output.flush()?;
    }
    Ok(())
}
