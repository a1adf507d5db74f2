//! Reverberation.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_dsp::floor_index;
use vocalics_dsp::level::peak;

use crate::clip::{Augmented, Clip, Drawn};
use crate::fft::convolve;
use crate::image_source::{BoxRoom, REACH};
use crate::material::{Material, MaterialKind, Source};
use crate::range::{Range, choose};
use crate::scaled::level_kept;
use crate::{AugmentError, Augmentation};

/// Least distance of microphone and source from the walls, in metres.
const FROM_WALL_M: f64 = 0.3;
/// Places that are tried for the source before the distance is made smaller.
const TRIES: usize = 50;
/// A recorded response begins where it first comes within this much of its peak (ISO 3382-1, 5.3.3).
const ONSET: f32 = 0.1;
/// The direct sound is the largest sample within this time of the beginning, in seconds.
const DIRECT_SECS: f64 = 0.002_5;

/// The way from a mouth to a microphone: taps, and which of them is the direct sound.
#[derive(Debug, Clone, PartialEq)]
pub struct ImpulseResponse {
    name: String,
    sample_rate: u32,
    taps: Vec<f32>,
    direct: usize,
}

impl ImpulseResponse {
    /// A recorded response. It begins where it first comes within 20 dB of its peak; the direct sound is the
    /// largest sample of the 2.5 ms from there, and what lies more than those before it is dropped.
    ///
    /// # Errors
    /// As [`Clip::new`], and [`AugmentError::SilentResponse`].
    pub fn recorded(
        name: impl Into<String>,
        samples: &[f32],
        sample_rate: u32,
    ) -> Result<Self, AugmentError> {
        let name = name.into();
        let clip = Clip::new(samples, sample_rate)?;
        let loudest = peak(samples);
        let begin = samples
            .iter()
            .position(|h| h.abs() >= ONSET * loudest)
            .filter(|_| loudest > 0.0);
        let Some(begin) = begin else {
            return Err(AugmentError::SilentResponse { name });
        };
        let window = floor_index(DIRECT_SECS * clip.rate()) + 1;
        let near = &samples[begin..samples.len().min(begin + window)];
        let direct = (0..near.len())
            .max_by(|a, b| near[*a].abs().total_cmp(&near[*b].abs()))
            .unwrap_or(0);
        let from = begin.saturating_sub(window);
        Ok(Self {
            name,
            sample_rate,
            taps: samples[from..].to_vec(),
            direct: begin - from + direct,
        })
    }

    /// The response of a simulated room.
    #[must_use]
    pub fn simulated(room: &BoxRoom, sample_rate: u32) -> Self {
        Self {
            name: "simulated".to_owned(),
            sample_rate,
            taps: room.impulse_response(sample_rate),
            direct: REACH,
        }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The taps.
    #[must_use]
    pub fn taps(&self) -> &[f32] {
        &self.taps
    }

    /// The clip in that room: the direct sound stays where it was, the reverberation after the end is cut off, and
    /// the RMS is that of the clip.
    ///
    /// # Shapes
    /// As long as the clip. Silence stays silence.
    ///
    /// # Errors
    /// [`AugmentError::RateMismatch`].
    pub fn reverberate(&self, clip: &Clip<'_>) -> Result<Vec<f32>, AugmentError> {
        if self.sample_rate != clip.sample_rate() {
            return Err(AugmentError::RateMismatch {
                name: self.name.clone(),
                actual: self.sample_rate,
                expected: clip.sample_rate(),
            });
        }
        let out = level_kept(clip.samples(), |unit| {
            convolve(unit, &self.taps, self.direct)
        });
        Ok(out.unwrap_or_else(|| clip.samples().to_vec()))
    }
}

/// Where a response comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoomSource {
    /// A drawn box-shaped room: [`BoxRoom`].
    Simulated,
    /// One of [`Material::rooms`].
    Recorded,
}

impl Source for RoomSource {
    fn needs(self) -> Option<MaterialKind> {
        match self {
            Self::Simulated => None,
            Self::Recorded => Some(MaterialKind::Rooms),
        }
    }
}

/// Puts the clip into a room: [`ImpulseResponse::reverberate`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Room {
    /// What is drawn from, each with the same probability, recorded rooms left out if there are none.
    pub sources: Vec<RoomSource>,
    /// Length in metres, 1.5 to 50.
    pub length_m: Range,
    /// Width in metres, 1.5 to 50.
    pub width_m: Range,
    /// Height in metres, 1.5 to 50.
    pub height_m: Range,
    /// Reverberation time in seconds, 0.05 to 2, from which the absorption follows by [`BoxRoom::absorption_for`].
    pub rt60_secs: Range,
    /// Absorption of the walls, 0.02 to 1; if given, it counts instead of `rt60_secs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absorption: Option<Range>,
    /// From source to microphone in metres, 0.1 to 50; less if the room has no place for it.
    pub distance_m: Range,
}

impl Default for Room {
    /// Living rooms and offices, set by hand.
    fn default() -> Self {
        Self {
            sources: vec![RoomSource::Simulated, RoomSource::Recorded],
            length_m: Range::of(3.0, 8.0),
            width_m: Range::of(2.5, 6.0),
            height_m: Range::of(2.3, 3.5),
            rt60_secs: Range::of(0.2, 0.6),
            absorption: None,
            distance_m: Range::of(0.3, 2.5),
        }
    }
}

impl Room {
    /// A room with its source and microphone.
    pub fn draw(&self, rng: &mut StdRng) -> BoxRoom {
        let size_m = [&self.length_m, &self.width_m, &self.height_m].map(|range| range.draw(rng));
        let absorption = match &self.absorption {
            Some(range) => range.draw(rng),
            None => BoxRoom::absorption_for(size_m, self.rt60_secs.draw(rng)),
        };
        let microphone_m = size_m.map(|size| {
            let margin = FROM_WALL_M.min(size / 3.0);
            margin + rng.random::<f64>() * (size - 2.0 * margin)
        });
        let mut distance = self.distance_m.draw(rng);
        let source_m = loop {
            let place = (0..TRIES).find_map(|_| {
                let place = around(microphone_m, distance, rng);
                let inside = (0..3).all(|axis| {
                    let margin = FROM_WALL_M.min(size_m[axis] / 3.0);
                    (margin..=size_m[axis] - margin).contains(&place[axis])
                });
                inside.then_some(place)
            });
            match place {
                Some(place) => break place,
                None => distance /= 1.5,
            }
        };
        BoxRoom {
            size_m,
            source_m,
            microphone_m,
            absorption,
        }
    }
}

impl Augmentation for Room {
    fn name(&self) -> &'static str {
        "room"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        if self.sources.is_empty() {
            return Err(AugmentError::empty("sources", "simulated, recorded"));
        }
        self.length_m.check("length_m", 1.5, 50.0)?;
        self.width_m.check("width_m", 1.5, 50.0)?;
        self.height_m.check("height_m", 1.5, 50.0)?;
        self.rt60_secs.check("rt60_secs", 0.05, 2.0)?;
        if let Some(absorption) = &self.absorption {
            absorption.check("absorption", 0.02, 1.0)?;
        }
        self.distance_m.check("distance_m", 0.1, 50.0)
    }

    fn draws_from(&self) -> Vec<Option<MaterialKind>> {
        self.sources.iter().map(|it| it.needs()).collect()
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        material: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let source = material.choose(&self.sources, rng)?;
        let (samples, drawn) = match source {
            RoomSource::Recorded => {
                let response = choose(&material.rooms, rng)
                    .ok_or_else(|| AugmentError::no_material(source.needs()))?;
                let drawn = Drawn::one("source", "recorded").and("file", response.name());
                (response.reverberate(clip)?, drawn)
            }
            RoomSource::Simulated => {
                let room = self.draw(rng);
                let response = ImpulseResponse::simulated(&room, clip.sample_rate());
                let [length, width, height] = room.size_m;
                let drawn = Drawn::one("source", "simulated")
                    .and("length_m", length)
                    .and("width_m", width)
                    .and("height_m", height)
                    .and("rt60_secs", room.rt60_secs())
                    .and("distance_m", room.distance_m());
                (response.reverberate(clip)?, drawn)
            }
        };
        Ok(Augmented::new(samples, drawn))
    }
}

/// A place at a distance from another, in a drawn direction.
fn around(centre: [f64; 3], distance: f64, rng: &mut StdRng) -> [f64; 3] {
    let up = 2.0 * rng.random::<f64>() - 1.0;
    let (sine, cosine) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
    let flat = (1.0 - up * up).sqrt();
    [
        centre[0] + distance * flat * cosine,
        centre[1] + distance * flat * sine,
        centre[2] + distance * up,
    ]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::test_signal::{any_samples, level_db, reverberation_time_secs, vowel};

    const RATE: u32 = 16_000;

    #[test]
    fn rooms_are_as_drawn_and_the_clip_does_not_shift() {
        let room = Room::default();
        room.validate().unwrap();
        let mut impulse = vec![0.0; 12_000];
        impulse[3_000] = 1.0;
        let clip = Clip::new(&impulse, RATE).unwrap();
        for seed in 0..8 {
            let mut rng = StdRng::seed_from_u64(seed);
            let out = room.apply(&clip, &Material::default(), &mut rng).unwrap();
            let loudest = (0..out.samples.len())
                .max_by(|a, b| out.samples[*a].abs().total_cmp(&out.samples[*b].abs()))
                .unwrap();
            let direct = out.samples[3_000].abs();
            // A reflection may be louder, but the direct sound is where the impulse was.
            let before = out.samples[..2_999]
                .iter()
                .fold(0.0_f32, |m, x| m.max(x.abs()));
            assert!(before < 0.02 * direct, "{before} {direct} {loudest}");
            assert!((level_db(&out.samples) - level_db(&impulse)).abs() < 0.01);
            let rt60 = out.drawn.number("rt60_secs").unwrap();
            let found = reverberation_time_secs(&out.samples[3_000..], RATE).unwrap();
            println!("{} {found}", out.drawn);
            assert!((found / rt60 - 1.0).abs() < 0.35, "{rt60} {found}");
            let distance = out.drawn.number("distance_m").unwrap();
            assert!((0.1..=2.5).contains(&distance), "{distance}");
        }
    }

    #[test]
    fn absorption_counts_if_given() {
        let room = Room {
            absorption: Some(Range::of(0.9, 0.9)),
            ..Room::default()
        };
        room.validate().unwrap();
        let drawn = room.draw(&mut StdRng::seed_from_u64(1));
        assert!((drawn.absorption - 0.9).abs() < 1e-12);
        assert!(drawn.rt60_secs() < 0.1);
    }

    #[test]
    fn recorded_responses_are_aligned_by_their_direct_sound() {
        // 40 ms of noise 40 dB down, then the direct sound with two samples before it, then an echo that is louder.
        let mut taps: Vec<f32> = (0..640_u16).map(|n| f32::from(n % 7) * 0.001).collect();
        taps.extend([0.2, -0.5, 0.9, 0.1]);
        taps.resize(1_000, 0.0);
        taps.push(-1.0);
        let response = ImpulseResponse::recorded("hall", &taps, RATE).unwrap();
        assert!((response.taps[response.direct] - 0.9).abs() < 1e-6);
        let mut impulse = vec![0.0; 2_000];
        impulse[700] = 0.5;
        let clip = Clip::new(&impulse, RATE).unwrap();
        let out = response.reverberate(&clip).unwrap();
        let ratio = out[700] / out[700 + 1_000 - 642];
        assert!((ratio + 0.9).abs() < 1e-3, "{ratio}");
        assert!((level_db(&out) - level_db(&impulse)).abs() < 0.01);

        assert!(matches!(
            ImpulseResponse::recorded("none", &[0.0; 9], RATE),
            Err(AugmentError::SilentResponse { .. })
        ));
        let other = Clip::new(&impulse, 8_000).unwrap();
        assert!(matches!(
            response.reverberate(&other),
            Err(AugmentError::RateMismatch { .. })
        ));
    }

    #[test]
    fn recorded_rooms_are_drawn_where_there_are_some() {
        let response = ImpulseResponse::recorded("hall", &[0.0, 1.0, 0.0, 0.3], RATE).unwrap();
        let samples = vowel(|_| 150.0, &[500.0], 0.2, RATE);
        let clip = Clip::new(&samples, RATE).unwrap();
        let recorded = Room {
            sources: vec![RoomSource::Recorded],
            ..Room::default()
        };
        let mut rng = StdRng::seed_from_u64(1);
        let none = Material::default();
        assert_eq!(recorded.draws_from(), [Some(MaterialKind::Rooms)]);
        assert!(matches!(
            recorded.apply(&clip, &none, &mut rng),
            Err(AugmentError::NoMaterial { .. })
        ));
        let material = Material {
            rooms: vec![&response],
            ..Material::default()
        };
        let out = recorded.apply(&clip, &material, &mut rng).unwrap();
        assert_eq!(out.drawn.get("file"), Some(&"hall".into()));
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn finite_and_as_long(samples in any_samples(1..2000), seed in 0_u64..1000) {
            let clip = Clip::new(&samples, RATE).unwrap();
            let mut rng = StdRng::seed_from_u64(seed);
            let out = Room::default().apply(&clip, &Material::default(), &mut rng).unwrap();
            proptest::prop_assert_eq!(out.samples.len(), samples.len());
            proptest::prop_assert!(out.samples.iter().all(|x| x.is_finite()));
        }
    }
}
