//! The timed half of the scripts in `bench/frontend`: log-mel or MFCC of clips read from standard input.
//!
//! `front_end_speed logmel|mfcc`. Reads the number of clips, their length and their samples (little endian), writes the number of
//! values and the values of the first clip's features, then for every byte received the seconds each
//! clip took.

use std::error::Error;
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use vocalics_dsp::mfcc::{Mfcc, MfccConfig};
use vocalics_features::{LogMel, LogMelConfig};

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
    let mut compute = method(&std::env::args().nth(1).unwrap_or_default())?;
    if let Some(clip) = clips.first() {
        let values = compute(clip)?;
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
            black_box(compute(black_box(clip))?);
            output.write_all(&begin.elapsed().as_secs_f64().to_le_bytes())?;
        }
        output.flush()?;
    }
    Ok(())
}

type Compute = Box<dyn FnMut(&[f32]) -> Result<Vec<f32>, Box<dyn Error>>>;

/// What is timed, planned beforehand, with the settings that the others have as well.
fn method(name: &str) -> Result<Compute, Box<dyn Error>> {
    match name {
        "logmel" => {
            let mut front_end = LogMel::new(LogMelConfig {
                trim_db: None,
                normalise_level: false,
                ..LogMelConfig::default()
            })?;
            Ok(Box::new(move |clip| {
                Ok(front_end.compute(clip)?.into_vec())
            }))
        }
        "mfcc" => {
            let mut mfcc = Mfcc::new(MfccConfig::librosa(16_000))?;
            Ok(Box::new(move |clip| Ok(mfcc.compute(clip)?)))
        }
        _ => Err("usage: front_end_speed logmel|mfcc".into()),
    }
}
