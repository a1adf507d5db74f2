//! How long each augmentation takes on a clip of 3.5 s at 16 kHz, one thread: median of 40, the first left out.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints its measurements"
)]

use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::StdRng;
use vocalics_augment::{
    Augmentation, Clip, Codec, CopyPaste, Gain, ImpulseResponse, LowPass, Material, Method, Noise,
    NoiseSource, Operation, PitchShift, Plan, Range, Room, RoomSource, Sound, Speed, Telephone,
    TimeShift, TimeStretch, VocalTract,
};

const RATE: u32 = 16_000;
const SECS: f64 = 3.5;
const RUNS: u64 = 40;

fn clip(pitch: f32) -> Vec<f32> {
    (0..56_000_u16)
        .map(|n| {
            let n = f32::from(n);
            let tone: f32 = (1..9_u8).map(|k| (n * pitch * f32::from(k)).sin()).sum();
            0.05 * tone * (0.6 + 0.4 * (n * 0.001).sin())
        })
        .collect()
}

fn time(name: &str, mut act: impl FnMut(u64)) {
    act(RUNS);
    let mut millis: Vec<f64> = (0..RUNS)
        .map(|run| {
            let started = Instant::now();
            act(run);
            1e3 * started.elapsed().as_secs_f64()
        })
        .collect();
    millis.sort_by(f64::total_cmp);
    let (median, slowest) = (millis[millis.len() / 2], millis[millis.len() - 1]);
    println!(
        "{name:<28} {median:>7.2} ms {slowest:>7.2} ms  {:>8.0} x real time",
        1e3 * SECS / median
    );
}

fn main() {
    let samples = clip(0.05);
    let input = Clip::new(&samples, RATE).unwrap();
    let sounds: Vec<Sound> = [0.04, 0.06, 0.07]
        .iter()
        .map(|pitch| Sound::new("other", clip(*pitch), RATE).unwrap())
        .collect();
    let taps: Vec<f32> = (0..8_000_u16)
        .map(|n| (f32::from(n) * 12.9).sin() * (-f32::from(n) / 1_200.0).exp())
        .collect();
    let response = ImpulseResponse::recorded("hall", &taps, RATE).unwrap();
    let material = Material {
        babble: sounds.iter().collect(),
        noise: sounds.iter().collect(),
        rooms: vec![&response],
        same_class: sounds.iter().collect(),
        neutral: sounds.iter().collect(),
    };
    println!("{:<28} {:>10} {:>10}", "", "median", "slowest");
    let noise = |source| {
        Operation::Noise(Noise {
            sources: vec![source],
            ..Noise::default()
        })
    };
    let room = |source, rt60_secs: f64| {
        Operation::Room(Room {
            sources: vec![source],
            rt60_secs: Range::of(rt60_secs, rt60_secs),
            ..Room::default()
        })
    };
    let stretch = |method| {
        Operation::TimeStretch(TimeStretch {
            method,
            ..TimeStretch::default()
        })
    };
    let pitch = |method| {
        Operation::PitchShift(PitchShift {
            method,
            ..PitchShift::default()
        })
    };
    for (name, operation) in [
        ("noise, white", noise(NoiseSource::White)),
        ("noise, pink", noise(NoiseSource::Pink)),
        ("noise, babble", noise(NoiseSource::Babble)),
        ("noise, recorded", noise(NoiseSource::Recorded)),
        ("room, simulated, 0.2 s", room(RoomSource::Simulated, 0.2)),
        ("room, simulated, 0.4 s", room(RoomSource::Simulated, 0.4)),
        ("room, simulated, 0.6 s", room(RoomSource::Simulated, 0.6)),
        ("room, recorded, 0.5 s", room(RoomSource::Recorded, 0.5)),
        ("gain", Operation::Gain(Gain::default())),
        ("time-shift", Operation::TimeShift(TimeShift::default())),
        ("speed", Operation::Speed(Speed::default())),
        ("time-stretch, wsola", stretch(Method::Wsola)),
        ("time-stretch, phase vocoder", stretch(Method::PhaseVocoder)),
        ("pitch-shift, wsola", pitch(Method::Wsola)),
        ("pitch-shift, phase vocoder", pitch(Method::PhaseVocoder)),
        ("vocal-tract", Operation::VocalTract(VocalTract::default())),
        ("telephone", Operation::Telephone(Telephone::default())),
        ("codec", Operation::Codec(Codec::default())),
        ("low-pass", Operation::LowPass(LowPass::default())),
        ("copy-paste", Operation::CopyPaste(CopyPaste::default())),
    ] {
        time(name, |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            std::hint::black_box(operation.apply(&input, &material, &mut rng).unwrap());
        });
    }
    for name in ["noise", "room", "telephone", "voice", "everything"] {
        let plan = Plan::named(name).unwrap();
        time(&format!("plan {name}"), |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            std::hint::black_box(plan.apply(&input, &material, &mut rng).unwrap());
        });
    }
}
