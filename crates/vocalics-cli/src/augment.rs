//! `vocalics augment`: what a plan makes of recordings, to listen to.

mod listing;
mod place;
mod pool;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, value_parser};
use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_audio::{AudioError, DecodeOptions, FULL_SCALE_16_BIT, write_wav16};
use vocalics_augment::{AugmentError, Clip, Plan};
use vocalics_dsp::level::peak;

use self::listing::{Example, Format, write_listing};
use self::place::{prepare, stems};
use self::pool::{Pool, check_material};
use crate::failure::{Failure, with_causes};
use crate::features::once_each;
use crate::input::{self, Input};
use crate::output::tell;
use crate::progress::clips;
use crate::recognition::{Refusal, Refusals, cores, in_order};

/// Write examples of what an augmentation plan makes of recordings
///
/// Noise, rooms, speed, pitch, telephone and the like, to listen to. Examples are WAV files
/// of 16 bits, mono, at the rate of the recording, with a listing of what was drawn for each. What would clip is scaled
/// down, and the listing says by how much. The same seed gives the same examples. A bad recording never stops the others; the exit
/// code is 1 if there was one, unless --keep-going is given. Steps and plans: `docs/augmentation.md`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Recordings, folders to walk, or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    inputs: Vec<PathBuf>,
    /// Plan: a TOML file, or noise, room, telephone, voice, tempo, copy-paste, everything
    #[arg(short, long, value_name = "NAME|FILE")]
    plan: String,
    /// Folder to write into; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Examples of each recording
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u16).range(1..=1_000))]
    count: u16,
    /// Seed of all that is drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Voices for babble: a folder of recordings of others
    #[arg(long, value_name = "DIR")]
    babble: Option<PathBuf>,
    /// Recorded noise: a folder
    #[arg(long, value_name = "DIR")]
    noise: Option<PathBuf>,
    /// Recorded impulse responses: a folder
    #[arg(long, value_name = "DIR")]
    rooms: Option<PathBuf>,
    /// Recordings of the same class, for copy-paste: a folder
    #[arg(long, value_name = "DIR")]
    same_class: Option<PathBuf>,
    /// Neutral recordings, for copy-paste: a folder
    #[arg(long, value_name = "DIR")]
    neutral: Option<PathBuf>,
    /// Write over examples of before; others in the folder stay
    #[arg(long)]
    overwrite: bool,
    /// Form of the listing, examples.csv or examples.json
    #[arg(short, long, value_enum, default_value_t = Format::Csv)]
    format: Format,
    /// Recordings worked on side by side; as many as there are cores if not given
    #[arg(short, long, value_name = "N", value_parser = value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// End with exit code 0 even if there were bad recordings
    #[arg(long)]
    keep_going: bool,
}

/// Why a recording has no examples.
enum Trouble {
    /// It alone.
    Refused(Refusal),
    /// All of them.
    Ended(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Ended(failure)
    }
}

/// The work on all recordings.
struct Work<'a> {
    arguments: &'a Arguments,
    plan: Plan,
    /// One for each rate of the recordings; read when the first of that rate comes.
    pools: Mutex<BTreeMap<u32, Arc<Pool>>>,
}

impl Work<'_> {
    fn pool(&self, sample_rate: u32) -> Result<Arc<Pool>, Failure> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&sample_rate) {
            return Ok(Arc::clone(pool));
        }
        let pool = Arc::new(Pool::read(self.arguments, sample_rate)?);
        pools.insert(sample_rate, Arc::clone(&pool));
        Ok(pool)
    }

    /// Writes the examples of a recording: those written, and what ended it if they are not all.
    fn examples(&self, input: &Input, stem: &str) -> (Vec<Example>, Result<(), Trouble>) {
        let mut written = Vec::new();
        let result = self.write(input, stem, &mut written);
        (written, result)
    }

    fn write(&self, input: &Input, stem: &str, written: &mut Vec<Example>) -> Result<(), Trouble> {
        let options = DecodeOptions {
            sample_rate: None,
            ..DecodeOptions::default()
        };
        let waveform = input.decode(None, &options).map_err(Trouble::Refused)?;
        let refuse = |error: &AugmentError| {
            Trouble::Refused(Refusal {
                code: "not_augmented",
                message: with_causes(error),
                hint: error.hint(),
            })
        };
        let rate = waveform.sample_rate();
        let clip = Clip::new(waveform.samples(), rate).map_err(|error| refuse(&error))?;
        let pool = self.pool(rate)?;
        let material = pool.without(input.path());
        let name = input.path().and_then(Path::file_name).unwrap_or_default();
        for number in 1..=self.arguments.count {
            let seed = seed_of(self.arguments.seed, &name.to_string_lossy(), number);
            let mut rng = StdRng::seed_from_u64(seed);
            let mut outcome = self
                .plan
                .apply(&clip, &material, &mut rng)
                .map_err(|error| refuse(&error))?;
            let loudest = peak(&outcome.samples);
            let gain = if loudest > FULL_SCALE_16_BIT {
                FULL_SCALE_16_BIT / loudest
            } else {
                1.0
            };
            if gain < 1.0 {
                outcome.samples.iter_mut().for_each(|x| *x *= gain);
            }
            let file = format!("{stem}-{number}.wav");
            let path = self.arguments.output.join(&file);
            write_wav16(&path, &outcome.samples, rate).map_err(|error| match error {
                AudioError::Io { source, .. } => Failure::io("write", &path, &source),
                error => Failure::from(error),
            })?;
            written.push(Example {
                file,
                source: input.file(),
                seed,
                duration_secs: outcome.samples.len() as f64 / f64::from(rate),
                scaled_db: (f64::from(gain).log10() * 2e3).round() / 100.0,
                steps: outcome.record,
            });
        }
        Ok(())
    }
}

/// The seed of one example: of its own, whatever else is worked on.
fn seed_of(seed: u64, name: &str, number: u16) -> u64 {
    // FNV-1a, which spreads well enough for a generator that hashes its seed.
    let text = format!("{seed}/{name}/{number}");
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let plan = Plan::open(&arguments.plan)?;
    check_material(arguments, &plan)?;
    let inputs = once_each(input::expand(&arguments.inputs, false)?);
    let stems = stems(&inputs);
    prepare(arguments, &inputs, &stems)?;
    let work = Work {
        arguments,
        plan,
        pools: Mutex::default(),
    };
    let items: Vec<(&Input, &String)> = inputs.iter().zip(&stems).collect();
    let jobs = arguments.jobs.map_or_else(cores, usize::from);
    let bar = clips("augment", inputs.len());
    let mut refusals = Refusals::default();
    let (mut failed, mut examples) = (0, Vec::new());
    let result = in_order(
        &items,
        jobs,
        |(input, stem)| work.examples(input, stem),
        |index, (written, outcome)| {
            examples.extend(written);
            match outcome {
                Ok(()) => {}
                Err(Trouble::Ended(failure)) => return Err(failure),
                Err(Trouble::Refused(refusal)) => {
                    failed += 1;
                    bar.suspend(|| refusals.tell(&inputs[index].shown(), &refusal));
                }
            }
            bar.inc(1);
            Ok(())
        },
    );
    bar.finish_and_clear();
    // Whatever ended it: what was written is listed.
    let listed = if examples.is_empty() {
        Ok(())
    } else {
        write_listing(arguments, &examples)
    };
    result?;
    listed?;
    let n_scaled = examples.iter().filter(|it| it.scaled_db < 0.0).count();
    if n_scaled > 0 {
        tell(&format!(
            "note: {n_scaled} of {} examples are scaled down so that they do not clip; the listing says by how much",
            examples.len()
        ));
    }
    if failed == 0 {
        return Ok(());
    }
    tell(&format!(
        "error: {failed} of {} recordings failed",
        inputs.len()
    ));
    if arguments.keep_going {
        Ok(())
    } else {
        Err(Failure::Reported)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn seeds_differ_by_each_of_their_parts() {
        let seeds = BTreeSet::from([
            seed_of(1, "a.wav", 1),
            seed_of(2, "a.wav", 1),
            seed_of(1, "b.wav", 1),
            seed_of(1, "a.wav", 2),
        ]);
        assert_eq!(seeds.len(), 4);
    }
}
