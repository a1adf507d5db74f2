//! Sounds that augmentations draw from: other voices, noises, impulse responses, clips to join.

use std::path::Path;

use rand::Rng;
use rand::rngs::StdRng;
use vocalics_audio::{DecodeOptions, read_file, recordings};
use vocalics_dsp::{floor_index, narrow};

use crate::clip::Clip;
use crate::range::choose;
use crate::speech_level::speech_level;
use crate::{AugmentError, ImpulseResponse};

/// Most sound of one folder that is kept in memory, in seconds: 460 MB at 16 kHz.
pub const MAX_FOLDER_SECS: f64 = 7_200.0;
/// Time over which the end of a looped sound turns into its beginning, in seconds.
const SEAM_SECS: f64 = 0.01;

/// A recording to mix in or to join.
#[derive(Debug, Clone, PartialEq)]
pub struct Sound {
    name: String,
    samples: Vec<f32>,
    sample_rate: u32,
    speech_level: f32,
}

impl Sound {
    /// Wraps samples; `name` is what records say.
    ///
    /// # Errors
    /// As [`Clip::new`].
    pub fn new(
        name: impl Into<String>,
        samples: Vec<f32>,
        sample_rate: u32,
    ) -> Result<Self, AugmentError> {
        Clip::new(&samples, sample_rate)?;
        let speech_level = speech_level(&samples, sample_rate);
        Ok(Self {
            name: name.into(),
            samples,
            sample_rate,
            speech_level,
        })
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Samples a second.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// [`speech_level`] of the samples, 0 for silence.
    #[must_use]
    pub fn speech_level(&self) -> f32 {
        self.speech_level
    }

    /// # Errors
    /// [`AugmentError::RateMismatch`].
    pub(crate) fn check_rate(&self, expected: u32) -> Result<(), AugmentError> {
        if self.sample_rate == expected {
            return Ok(());
        }
        Err(AugmentError::RateMismatch {
            name: self.name.clone(),
            actual: self.sample_rate,
            expected,
        })
    }

    /// `n` samples from a drawn place on, the sound repeated as often as it takes.
    pub(crate) fn excerpt(&self, n: usize, rng: &mut StdRng) -> Vec<f32> {
        if self.samples.len() > n {
            let start = rng.random_range(0..=self.samples.len() - n);
            return self.samples[start..start + n].to_vec();
        }
        looped(&self.samples, self.sample_rate, n, rng)
    }
}

/// `n` samples of a sound that goes round and round, from a drawn place on.
///
/// Where it begins again, its end turns into its beginning over 10 ms with equal power, so that nothing clicks.
pub(crate) fn looped(samples: &[f32], sample_rate: u32, n: usize, rng: &mut StdRng) -> Vec<f32> {
    let seam = floor_index(f64::from(sample_rate) * SEAM_SECS).min(samples.len() / 4);
    let period = samples.len() - seam;
    let start = rng.random_range(0..period);
    let mut out = Vec::with_capacity(n);
    let mut from = start;
    while out.len() < n {
        let (to, written) = (period.min(from + n - out.len()), out.len());
        out.extend_from_slice(&samples[from..to]);
        for at in from..seam.min(to) {
            let share = (at as f64 + 0.5) / seam as f64;
            let (rise, fall) = (share.sqrt(), (1.0 - share).sqrt());
            let joined = rise * f64::from(samples[at]) + fall * f64::from(samples[period + at]);
            out[written + at - from] = narrow(joined);
        }
        from = 0;
    }
    out
}

/// The parts of a [`Material`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaterialKind {
    /// [`Material::babble`].
    Babble,
    /// [`Material::noise`].
    Noise,
    /// [`Material::rooms`].
    Rooms,
    /// [`Material::same_class`].
    SameClass,
    /// [`Material::neutral`].
    Neutral,
}

impl MaterialKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Babble,
        Self::Noise,
        Self::Rooms,
        Self::SameClass,
        Self::Neutral,
    ];

    /// What it is called in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Babble => "babble",
            Self::Noise => "recorded noise",
            Self::Rooms => "recorded rooms",
            Self::SameClass => "clips of the same class",
            Self::Neutral => "neutral clips",
        }
    }
}

/// What a step may be told to draw from.
pub(crate) trait Source: Copy {
    /// The material that it takes, `None` if it is made.
    fn needs(self) -> Option<MaterialKind>;
}

/// What a plan may draw from. What is left empty is not drawn.
///
/// The caller sees to it that nothing in here comes from a test speaker, nor the clip itself from its own babble.
#[derive(Debug, Clone, Default)]
pub struct Material<'a> {
    /// Clips of other speakers, for babble.
    pub babble: Vec<&'a Sound>,
    /// Recorded noise.
    pub noise: Vec<&'a Sound>,
    /// Recorded impulse responses.
    pub rooms: Vec<&'a ImpulseResponse>,
    /// Clips of the same class, to join.
    pub same_class: Vec<&'a Sound>,
    /// Neutral clips, to join.
    pub neutral: Vec<&'a Sound>,
}

impl Material<'_> {
    /// Whether there is any of that kind.
    #[must_use]
    pub fn has(&self, kind: MaterialKind) -> bool {
        !match kind {
            MaterialKind::Babble => self.babble.is_empty(),
            MaterialKind::Noise => self.noise.is_empty(),
            MaterialKind::Rooms => self.rooms.is_empty(),
            MaterialKind::SameClass => self.same_class.is_empty(),
            MaterialKind::Neutral => self.neutral.is_empty(),
        }
    }

    /// One of the sources for which there is material, each with the same probability.
    ///
    /// # Errors
    /// [`AugmentError::NoMaterial`] if there is none.
    pub(crate) fn choose<S: Source>(
        &self,
        sources: &[S],
        rng: &mut StdRng,
    ) -> Result<S, AugmentError> {
        let is_there = |source: &S| source.needs().is_none_or(|kind| self.has(kind));
        let there: Vec<S> = sources.iter().copied().filter(is_there).collect();
        let missing = || sources.iter().filter_map(|source| source.needs());
        choose(&there, rng)
            .copied()
            .ok_or_else(|| AugmentError::no_material(missing()))
    }
}

/// Reads every recording under a folder, resampled to `sample_rate` and without its mean, in the order of [`vocalics_audio::recordings`].
///
/// # Errors
/// [`AugmentError::NoRecordings`], [`AugmentError::Audio`] with the first file or folder that cannot be read,
/// [`AugmentError::TooMuch`] beyond [`MAX_FOLDER_SECS`].
pub fn read_sounds(folder: &Path, sample_rate: u32) -> Result<Vec<Sound>, AugmentError> {
    read_folder(folder, sample_rate, remove_offset)
}

/// Takes away a constant that nobody hears: it would count as power of the noise, and come into the clip. Digital silence has none
/// and stays silence.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "sample counts are far below 2^52, samples single precision"
)]
fn remove_offset(samples: &mut [f32]) {
    let sounds = |x: &f32| x.abs() > 0.0;
    let count = samples.iter().filter(|x| sounds(x)).count();
    let sum: f64 = samples.iter().map(|&x| f64::from(x)).sum();
    let mean = (sum / count.max(1) as f64) as f32;
    for sample in samples.iter_mut().filter(|x| sounds(x)) {
        *sample -= mean;
    }
}

/// `prepare` is done to the samples of each recording.
fn read_folder(
    folder: &Path,
    sample_rate: u32,
    prepare: impl Fn(&mut [f32]),
) -> Result<Vec<Sound>, AugmentError> {
    let paths = recordings(folder)?;
    if paths.is_empty() {
        return Err(AugmentError::NoRecordings {
            path: folder.to_owned(),
        });
    }
    let mut total_secs = 0.0;
    let sounds = paths.into_iter().map(|path| {
        let options = DecodeOptions {
            sample_rate: Some(sample_rate),
            ..DecodeOptions::default()
        };
        let waveform = read_file(&path, &options)?;
        total_secs += waveform.duration_secs();
        if total_secs > MAX_FOLDER_SECS {
            return Err(AugmentError::TooMuch {
                path: folder.to_owned(),
                max_secs: MAX_FOLDER_SECS,
            });
        }
        let mut samples = waveform.into_samples();
        prepare(&mut samples);
        Sound::new(path.display().to_string(), samples, sample_rate)
    });
    sounds.collect()
}

/// Reads every impulse response under a folder; see [`ImpulseResponse::recorded`].
///
/// # Errors
/// As [`read_sounds`], and [`AugmentError::SilentResponse`].
pub fn read_responses(
    folder: &Path,
    sample_rate: u32,
) -> Result<Vec<ImpulseResponse>, AugmentError> {
    read_folder(folder, sample_rate, |_| ())?
        .into_iter()
        .map(|sound| ImpulseResponse::recorded(sound.name, &sound.samples, sample_rate))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use rand::SeedableRng;
    use vocalics_audio::{AudioError, write_wav16};

    use super::*;
    use crate::test_signal::{level_db, tone};

    #[test]
    fn a_short_sound_goes_round_without_a_click() {
        let sound = Sound::new("hum", tone(50.0, 0.5, 16_000, 1_000), 16_000).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let long = sound.excerpt(9_000, &mut rng);
        assert_eq!(long.len(), 9_000);
        // The largest step of the tone itself is 2π · 50 / 16000 · 0.5 = 0.01; a cut would be one of 0.35.
        let steepest = long
            .windows(2)
            .map(|w| (w[1] - w[0]).abs())
            .fold(0.0, f32::max);
        assert!(steepest < 0.04, "{steepest}");
        assert!((level_db(&long) + 9.0).abs() < 1.0, "{}", level_db(&long));
        let one = Sound::new("one", vec![0.5], 16_000).unwrap();
        assert_eq!(one.excerpt(3, &mut rng), [0.5; 3]);
    }

    #[test]
    fn a_long_sound_is_cropped() {
        let ramp: Vec<f32> = (0..10_000_u16).map(|k| f32::from(k) / 1e4).collect();
        let sound = Sound::new("ramp", ramp, 16_000).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let starts: BTreeSet<u32> = (0..20)
            .map(|_| {
                let part = sound.excerpt(100, &mut rng);
                assert!((part[99] - part[0] - 0.0099).abs() < 1e-5);
                part[0].to_bits()
            })
            .collect();
        assert!(starts.len() > 10);
    }

    /// Padding of zeros became the constant that was taken off the rest, and was mixed in as noise; the level was that with the offset.
    #[test]
    fn an_offset_goes_digital_silence_stays_and_the_level_is_of_what_is_left() {
        let folder = tempfile::tempdir().unwrap();
        for (name, offset) in [("a.wav", 0.0), ("b.wav", 0.2)] {
            let mut hum = tone(300.0, 0.1, 16_000, 16_000);
            hum.iter_mut().for_each(|sample| *sample += offset);
            let padded = [&hum[..], &[0.0; 16_000]].concat();
            write_wav16(&folder.path().join(name), &padded, 16_000).unwrap();
        }
        let sounds = read_sounds(folder.path(), 16_000).unwrap();
        let levels = [0, 1].map(|at| sounds[at].speech_level());
        assert!(
            (20.0 * (levels[0] / levels[1]).log10()).abs() < 0.1,
            "{levels:?}"
        );
        for sound in &sounds {
            let rest = &sound.samples()[16_100..];
            assert!(rest.iter().all(|sample| sample.abs() < 1e-9));
        }
    }

    #[test]
    fn folders_are_read_at_the_rate_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("b");
        fs::create_dir(&inner).unwrap();
        // With an offset, as cheap converters have.
        let mut hum = tone(440.0, 0.5, 8_000, 4_000);
        hum.iter_mut().for_each(|sample| *sample += 0.3);
        write_wav16(&inner.join("hum.WAV"), &hum, 8_000).unwrap();
        write_wav16(&folder.path().join(".x.wav"), &[0.1; 100], 8_000).unwrap();
        let sounds = read_sounds(folder.path(), 16_000).unwrap();
        assert_eq!(sounds.len(), 1);
        assert_eq!(sounds[0].samples().len(), 8_000);
        assert!(sounds[0].name().ends_with("hum.WAV"));
        assert!((level_db(sounds[0].samples()) + 9.03).abs() < 0.1);
        assert!(matches!(
            sounds[0].check_rate(8_000),
            Err(AugmentError::RateMismatch { .. })
        ));

        fs::write(inner.join("bad.wav"), b"RIFF").unwrap();
        assert!(matches!(
            read_sounds(folder.path(), 16_000),
            Err(AugmentError::Audio(_))
        ));
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(
            read_sounds(empty.path(), 16_000),
            Err(AugmentError::NoRecordings { .. })
        ));
        assert!(matches!(
            read_sounds(&empty.path().join("none"), 16_000),
            Err(AugmentError::Audio(AudioError::Io { .. }))
        ));
    }
}
