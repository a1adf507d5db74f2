//! `vocalics augment`: what a plan makes of recordings, to listen to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Args, ValueEnum, value_parser};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use vocalics_audio::{AudioError, DecodeOptions, FULL_SCALE_16_BIT, write_wav16};
use vocalics_augment::{
    AugmentError, Clip, ImpulseResponse, Material, MaterialKind, Plan, Record, Sound,
    read_responses, read_sounds,
};
use vocalics_dsp::level::peak;

use crate::failure::{Failure, with_causes};
use crate::features::once_each;
use crate::input::{self, Input};
use crate::output::{tell, write_beside};
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

impl Arguments {
    /// The folder given for a kind of material.
    fn folder(&self, kind: MaterialKind) -> Option<&Path> {
        let folder = match kind {
            MaterialKind::Babble => &self.babble,
            MaterialKind::Noise => &self.noise,
            MaterialKind::Rooms => &self.rooms,
            MaterialKind::SameClass => &self.same_class,
            MaterialKind::Neutral => &self.neutral,
        };
        folder.as_deref()
    }
}

/// The option that gives a kind of material.
fn option(kind: MaterialKind) -> &'static str {
    match kind {
        MaterialKind::Babble => "--babble",
        MaterialKind::Noise => "--noise",
        MaterialKind::Rooms => "--rooms",
        MaterialKind::SameClass => "--same-class",
        MaterialKind::Neutral => "--neutral",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A head and one row per example, the steps as text
    Csv,
    /// A list of objects, the steps with their values
    Json,
}

impl Format {
    /// Name of the listing.
    fn listing(self) -> &'static str {
        match self {
            Self::Csv => "examples.csv",
            Self::Json => "examples.json",
        }
    }
}

/// A line of the listing.
#[derive(Debug, Serialize)]
struct Example {
    /// Name of the file in the folder.
    file: String,
    /// The recording.
    source: String,
    /// Seed of its generator.
    seed: u64,
    duration_secs: f64,
    /// Gain that keeps it from clipping, 0 if it did not need one.
    scaled_db: f64,
    steps: Record,
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

/// What plans draw from, at one rate.
#[derive(Default)]
struct Pool {
    babble: Vec<Sound>,
    noise: Vec<Sound>,
    rooms: Vec<ImpulseResponse>,
    same_class: Vec<Sound>,
    neutral: Vec<Sound>,
}

impl Pool {
    fn read(arguments: &Arguments, sample_rate: u32) -> Result<Self, AugmentError> {
        let sounds = |kind| {
            let folder = arguments.folder(kind);
            folder.map_or_else(|| Ok(Vec::new()), |it| read_sounds(it, sample_rate))
        };
        let rooms = arguments.folder(MaterialKind::Rooms);
        Ok(Self {
            babble: sounds(MaterialKind::Babble)?,
            noise: sounds(MaterialKind::Noise)?,
            rooms: rooms.map_or_else(|| Ok(Vec::new()), |it| read_responses(it, sample_rate))?,
            same_class: sounds(MaterialKind::SameClass)?,
            neutral: sounds(MaterialKind::Neutral)?,
        })
    }

    /// All of it but the recording itself.
    fn without(&self, own: Option<&Path>) -> Material<'_> {
        let own = own.and_then(|path| fs::canonicalize(path).ok());
        let is_other = |sound: &&Sound| {
            let Some(own) = &own else { return true };
            // The name first: asking the system for each of thousands takes long.
            let path = Path::new(sound.name());
            path.file_name() != own.file_name()
                || fs::canonicalize(path).map_or(true, |path| path != *own)
        };
        Material {
            babble: self.babble.iter().filter(is_other).collect(),
            noise: self.noise.iter().filter(is_other).collect(),
            rooms: self.rooms.iter().collect(),
            same_class: self.same_class.iter().filter(is_other).collect(),
            neutral: self.neutral.iter().filter(is_other).collect(),
        }
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

/// Refuses a plan with a step that has nothing to draw from, and says what the others do without.
fn check_material(arguments: &Arguments, plan: &Plan) -> Result<(), Failure> {
    let given = |kind| arguments.folder(kind).is_some();
    plan.check_material(given).map_err(|error| {
        let Some(missing) = error.missing() else {
            return Failure::from(error);
        };
        let options = missing.iter().map(|kind| format!("{} DIR", option(*kind)));
        let options = options.collect::<Vec<_>>().join(" or ");
        let hint = format!("give {options}, or a plan without that step");
        Failure::new(with_causes(&error), hint)
    })?;
    let absent = plan.absent(given).into_iter();
    let absent = absent.map(|kind| format!("{} ({})", kind.name(), option(kind)));
    let absent = absent.collect::<Vec<_>>().join(", ");
    if !absent.is_empty() {
        tell(&format!(
            "note: the plan would also draw from what is not given: {absent}"
        ));
    }
    Ok(())
}

/// The beginning of the names of each recording's examples; a number is added where two would be the same.
fn stems(inputs: &[Input]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut own = |input: &Input| {
        let stem = input.path().and_then(Path::file_stem);
        let stem = stem.map_or_else(|| "stdin".into(), |stem| stem.to_string_lossy());
        let numbered = (2..).map(|number| format!("{stem}.{number}"));
        let mut names = std::iter::once(stem.to_string()).chain(numbered);
        // The numbers never end.
        names
            .find(|name| taken.insert(name.clone()))
            .unwrap_or_default()
    };
    inputs.iter().map(&mut own).collect()
}

/// Makes the folder, once nothing speaks against writing into it.
fn prepare(arguments: &Arguments, inputs: &[Input], stems: &[String]) -> Result<(), Failure> {
    let output = &arguments.output;
    let folder = resolved(output).map_err(|error| Failure::io("make", output, &error))?;
    let lies_in = |source: &Path, hint: &'static str| {
        let inside = fs::canonicalize(source).is_ok_and(|source| folder.starts_with(source));
        if !inside {
            return Ok(());
        }
        let message = format!("{} lies in {}", output.display(), source.display());
        Err(Failure::usage(message, hint))
    };
    let drawn_from = MaterialKind::ALL.into_iter();
    for source in drawn_from.filter_map(|kind| arguments.folder(kind)) {
        fs::read_dir(source).map_err(|error| Failure::io("read", source, &error))?;
        lies_in(
            source,
            "write elsewhere, or the next run would draw from these examples",
        )?;
    }
    for source in arguments.inputs.iter().filter(|path| path.is_dir()) {
        lies_in(
            source,
            "write elsewhere, or the next run would take these examples for recordings",
        )?;
    }
    let recordings: BTreeSet<PathBuf> = inputs
        .iter()
        .filter_map(|input| fs::canonicalize(input.path()?).ok())
        .collect();
    let examples = stems
        .iter()
        .flat_map(|stem| (1..=arguments.count).map(move |number| format!("{stem}-{number}.wav")));
    for name in examples.chain([arguments.format.listing().to_owned()]) {
        let (shown, target) = (output.join(&name), folder.join(&name));
        if recordings.contains(&target) {
            let message = format!("{} is one of the recordings", shown.display());
            return Err(Failure::usage(message, "write into another folder"));
        }
        if !arguments.overwrite && target.exists() {
            return Err(Failure::new(
                format!("{} exists", shown.display()),
                "give an empty folder, or --overwrite",
            ));
        }
    }
    fs::create_dir_all(output).map_err(|error| Failure::io("make", output, &error))
}

/// The path without links and detours, as far as it exists.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let (mut known, mut rest) = (path, Vec::new());
    loop {
        let asked = if known.as_os_str().is_empty() {
            Path::new(".")
        } else {
            known
        };
        match (fs::canonicalize(asked), known.file_name(), known.parent()) {
            (Ok(folder), ..) => {
                let parts = rest.iter().rev();
                return Ok(parts.fold(folder, |folder, part| folder.join(part)));
            }
            (Err(error), Some(name), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                rest.push(name);
                known = parent;
            }
            (Err(error), ..) => return Err(error),
        }
    }
}

fn write_listing(arguments: &Arguments, examples: &[Example]) -> Result<(), Failure> {
    let path = arguments.output.join(arguments.format.listing());
    match arguments.format {
        Format::Json => write_beside(&path, |out| {
            serde_json::to_writer_pretty(out, examples).map_err(io::Error::from)
        }),
        Format::Csv => write_beside(&path, |out| {
            let mut table = csv::Writer::from_writer(out);
            table.write_record([
                "file",
                "source",
                "seed",
                "duration_secs",
                "scaled_db",
                "steps",
            ])?;
            for example in examples {
                table.write_record([
                    &example.file,
                    &example.source,
                    &example.seed.to_string(),
                    &format!("{:.4}", example.duration_secs),
                    &example.scaled_db.to_string(),
                    &example.steps.to_string(),
                ])?;
            }
            table.flush()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_of_one_name_get_names_of_their_own() {
        let inputs: Vec<Input> = ["a/x.wav", "b/x.flac", "x.2.wav", "c/x.wav"]
            .iter()
            .map(|path| Input::File(PathBuf::from(path)))
            .chain([Input::Stdin])
            .collect();
        assert_eq!(stems(&inputs), ["x", "x.2", "x.2.2", "x.3", "stdin"]);
    }

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
