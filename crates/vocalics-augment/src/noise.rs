//! Noise at a stated signal-to-noise ratio.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::index;
use realfft::num_complex::Complex;
use serde::{Deserialize, Serialize};
use vocalics_dsp::level::rms;
use vocalics_dsp::{floor_index, narrow};

use crate::clip::{Augmented, Clip, Drawn};
use crate::fft::Transform;
use crate::gaussian;
use crate::material::{Material, MaterialKind, Source, looped};
use crate::range::{Range, choose};
use crate::speech_level::speech_level;
use crate::{AugmentError, Augmentation};

/// Frequency below which pink noise has nothing, in hertz: the lowest that is heard.
const PINK_FROM_HZ: f64 = 20.0;
/// Longest pink noise that is not repeated, in samples: a minute at 16 kHz.
const MAX_PINK: usize = 1 << 20;
/// Most voices of a babble.
const MAX_VOICES: usize = 100;

/// Where noise comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoiseSource {
    /// Gaussian, the same power in every hertz.
    White,
    /// Gaussian, the same power in every octave, from 20 Hz.
    Pink,
    /// Several of [`Material::babble`] at once, each at the same active speech level.
    Babble,
    /// One of [`Material::noise`].
    Recorded,
}

impl NoiseSource {
    /// Its name in plans and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::White => "white",
            Self::Pink => "pink",
            Self::Babble => "babble",
            Self::Recorded => "recorded",
        }
    }
}

impl Source for NoiseSource {
    fn needs(self) -> Option<MaterialKind> {
        match self {
            Self::White | Self::Pink => None,
            Self::Babble => Some(MaterialKind::Babble),
            Self::Recorded => Some(MaterialKind::Noise),
        }
    }
}

/// What the "signal" of the signal-to-noise ratio is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignalLevel {
    /// [`speech_level`]: the RMS over the time in which somebody speaks (ITU-T P.56). Silence around speech does not
    /// change the noise then.
    ActiveSpeech,
    /// The RMS of the whole clip.
    Rms,
}

/// Adds noise.
///
/// `y = x + g · v`, `g` such that `20 · log10(L(x) / rms(g · v))` is the drawn ratio; `L` is `level`.
///
/// # Shapes
/// As long as the clip. A clip of silence has no level: it comes back as it is, and the record says `skipped`; so
/// also where the excerpt of a recorded noise is silent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// What is drawn from, each with the same probability, those without material left out.
    pub sources: Vec<NoiseSource>,
    /// Signal-to-noise ratio in decibels, −40 to 100.
    pub snr_db: Range,
    /// What the signal's level is.
    pub level: SignalLevel,
    /// Fewest and most voices of a babble, 1 to 100.
    pub voices: [usize; 2],
}

impl Default for Noise {
    /// 10 to 30 dB, which is what recipes for this task use; voices set by hand.
    fn default() -> Self {
        Self {
            sources: vec![NoiseSource::White, NoiseSource::Pink],
            snr_db: Range::of(10.0, 30.0),
            level: SignalLevel::ActiveSpeech,
            voices: [4, 8],
        }
    }
}

impl Augmentation for Noise {
    fn name(&self) -> &'static str {
        "noise"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        if self.sources.is_empty() {
            return Err(AugmentError::empty(
                "sources",
                "white, pink, babble, recorded",
            ));
        }
        self.snr_db.check("snr_db", -40.0, 100.0)?;
        let [fewest, most] = self.voices;
        if !(1 <= fewest && fewest <= most && most <= MAX_VOICES) {
            let expected = format!("numbers from 1 to {MAX_VOICES}, ascending");
            let actual = format!("{:?}", self.voices);
            return Err(AugmentError::parameter("voices", actual, expected));
        }
        Ok(())
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
        let snr_db = self.snr_db.draw(rng);
        let n = clip.samples().len();
        let mut drawn = Drawn::one("source", source.name());
        let noise = match source {
            NoiseSource::White => white(n, rng),
            NoiseSource::Pink => pink(n, clip.sample_rate(), rng),
            NoiseSource::Babble => {
                let [fewest, most] = self.voices;
                let voices = rng.random_range(fewest..=most);
                drawn = drawn.and("voices", voices as f64);
                babble(clip, material, voices, rng)?
            }
            NoiseSource::Recorded => {
                let sound = choose(&material.noise, rng)
                    .ok_or_else(|| AugmentError::no_material(source.needs()))?;
                sound.check_rate(clip.sample_rate())?;
                drawn = drawn.and("file", sound.name());
                sound.excerpt(n, rng)
            }
        };
        let level = match self.level {
            SignalLevel::ActiveSpeech => speech_level(clip.samples(), clip.sample_rate()),
            SignalLevel::Rms => rms(clip.samples()),
        };
        let drawn = drawn.and("snr_db", snr_db);
        Ok(match add_at(clip.samples(), &noise, level, snr_db) {
            Some(samples) => Augmented::new(samples, drawn),
            None => Augmented::new(clip.samples().to_vec(), drawn.and("skipped", "silence")),
        })
    }
}

/// `samples` with `noise` scaled to `snr_db` below `level`; `None` if either has no level.
fn add_at(samples: &[f32], noise: &[f32], level: f32, snr_db: f64) -> Option<Vec<f32>> {
    let of_noise = rms(noise);
    if !(level > 0.0 && of_noise > 0.0) {
        return None;
    }
    let gain = narrow(f64::from(level) / f64::from(of_noise) * 10f64.powf(-snr_db / 20.0));
    let mixed = samples.iter().zip(noise).map(|(x, v)| x + gain * v);
    Some(mixed.collect())
}

/// Gaussian white noise of RMS 1.
pub(crate) fn white(n: usize, rng: &mut StdRng) -> Vec<f32> {
    let mut noise = Vec::with_capacity(n + 1);
    while noise.len() < n {
        noise.extend(gaussian::pair(rng));
    }
    noise.truncate(n);
    noise
}

/// Gaussian noise whose power falls by 3 dB an octave from 20 Hz on, made in the frequency domain.
pub(crate) fn pink(n: usize, sample_rate: u32, rng: &mut StdRng) -> Vec<f32> {
    // At least a second, or the lowest octaves of a short clip would be missing.
    let wanted = n.max(sample_rate as usize);
    let n_fft = wanted.next_power_of_two().min(MAX_PINK);
    let mut transform = Transform::new(n_fft);
    let mut spectrum = transform.zero_spectrum();
    let first = floor_index(PINK_FROM_HZ * n_fft as f64 / f64::from(sample_rate)).max(1);
    for (k, value) in spectrum.iter_mut().enumerate().skip(first) {
        let amplitude = 1.0 / (k as f32).sqrt();
        let [re, im] = gaussian::pair(rng);
        *value = Complex::new(amplitude * re, amplitude * im);
    }
    let mut noise = vec![0.0; n_fft];
    transform.inverse(&mut spectrum, &mut noise);
    if n <= n_fft {
        noise.truncate(n);
        return noise;
    }
    looped(&noise, sample_rate, n, rng)
}

/// Voices at once, each at the same active speech level. No clip twice before all were used.
fn babble(
    clip: &Clip<'_>,
    material: &Material<'_>,
    voices: usize,
    rng: &mut StdRng,
) -> Result<Vec<f32>, AugmentError> {
    let n = clip.samples().len();
    let mut sum = vec![0.0; n];
    let all = material.babble.len();
    let mut left = voices;
    while left > 0 {
        let picked = left.min(all);
        for index in index::sample(rng, all, picked) {
            let sound = material.babble[index];
            sound.check_rate(clip.sample_rate())?;
            let part = looped(sound.samples(), sound.sample_rate(), n, rng);
            if sound.speech_level() > 0.0 {
                let gain = 1.0 / sound.speech_level();
                sum.iter_mut().zip(part).for_each(|(y, x)| *y += gain * x);
            }
        }
        left -= picked;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::Sound;
    use crate::test_signal::{any_samples, level_db, tone, vowel};

    const RATE: u32 = 16_000;

    fn speech() -> Vec<f32> {
        let voice = vowel(|t| 140.0 + 20.0 * t, &[500.0, 1_500.0], 1.5, RATE);
        [vec![0.0; 12_000], voice, vec![0.0; 12_000]].concat()
    }

    fn sounds() -> Vec<Sound> {
        (0..6_u32)
            .map(|k| {
                let f0 = 110.0 + 25.0 * f64::from(k);
                let voice = vowel(|_| f0, &[600.0, 1_300.0], 0.7 + 0.2 * f64::from(k), RATE);
                let gain = 0.1 + 0.1 * k as f32;
                let voice = voice.iter().map(|x| gain * x).collect();
                Sound::new(format!("voice-{k}"), voice, RATE).unwrap()
            })
            .collect()
    }

    #[test]
    fn the_ratio_is_the_one_stated() {
        let (clip, sounds) = (speech(), sounds());
        let material = Material {
            babble: sounds.iter().collect(),
            noise: sounds.iter().take(2).collect(),
            ..Material::default()
        };
        for source in [
            NoiseSource::White,
            NoiseSource::Pink,
            NoiseSource::Babble,
            NoiseSource::Recorded,
        ] {
            for level in [SignalLevel::ActiveSpeech, SignalLevel::Rms] {
                for snr_db in [-5.0, 10.0, 40.0] {
                    let noise = Noise {
                        sources: vec![source],
                        snr_db: Range::of(snr_db, snr_db),
                        level,
                        ..Noise::default()
                    };
                    noise.validate().unwrap();
                    let mut rng = StdRng::seed_from_u64(7);
                    let input = Clip::new(&clip, RATE).unwrap();
                    let noisy = noise.apply(&input, &material, &mut rng).unwrap();
                    let added: Vec<f32> = noisy
                        .samples
                        .iter()
                        .zip(&clip)
                        .map(|(y, x)| y - x)
                        .collect();
                    let signal_db = match level {
                        SignalLevel::ActiveSpeech => {
                            20.0 * f64::from(speech_level(&clip, RATE)).log10()
                        }
                        SignalLevel::Rms => level_db(&clip),
                    };
                    let measured = signal_db - level_db(&added);
                    assert!((measured - snr_db).abs() < 0.1, "{source:?} {measured}");
                    assert_eq!(noisy.drawn.number("snr_db"), Some(snr_db));
                }
            }
        }
        // Pauses make the two differ: 1.5 s of 3 s are speech.
        let active = 20.0 * f64::from(speech_level(&clip, RATE)).log10();
        assert!((2.0..3.1).contains(&(active - level_db(&clip))), "{active}");
    }

    /// Power in each octave from 125 Hz, in decibels.
    fn octaves_db(noise: &[f32]) -> Vec<f64> {
        let n_fft = 1 << 16;
        let mut transform = Transform::new(n_fft);
        let mut spectrum = transform.zero_spectrum();
        let mut frame = noise[..n_fft].to_vec();
        transform.forward(&mut frame, &mut spectrum);
        let bin = |hz: f64| floor_index(hz / f64::from(RATE) * n_fft as f64);
        (0..6)
            .map(|octave| {
                let low = 125.0 * f64::from(1 << octave);
                let powers = spectrum[bin(low)..bin(2.0 * low)].iter();
                10.0 * powers.map(|x| f64::from(x.norm_sqr())).sum::<f64>().log10()
            })
            .collect()
    }

    #[test]
    fn white_rises_by_3_db_an_octave_and_pink_is_level() {
        let mut rng = StdRng::seed_from_u64(3);
        let (white, pink) = (white(1 << 16, &mut rng), pink(1 << 16, RATE, &mut rng));
        for (noise, slope) in [(&white, 3.01), (&pink, 0.0)] {
            let octaves = octaves_db(noise);
            for pair in octaves.windows(2) {
                // The lowest octave holds 512 bins: 0.2 dB of deviation.
                assert!((pair[1] - pair[0] - slope).abs() < 0.7, "{octaves:?}");
            }
            assert!((octaves[5] - octaves[0] - 5.0 * slope).abs() < 0.8);
        }
        assert!((level_db(&white)).abs() < 0.05);
        let excess = white.iter().map(|x| f64::from(*x).powi(4)).sum::<f64>() / 65_536.0;
        assert!((excess - 3.0).abs() < 0.15, "{excess}");
    }

    #[test]
    fn pink_noise_of_a_long_clip_is_as_long() {
        let mut rng = StdRng::seed_from_u64(3);
        assert_eq!(
            pink(MAX_PINK + 5_000, RATE, &mut rng).len(),
            MAX_PINK + 5_000
        );
        assert_eq!(pink(1, 384_000, &mut rng).len(), 1);
    }

    #[test]
    fn babble_holds_as_many_voices_at_one_level() {
        let sounds = sounds();
        let material = Material {
            babble: sounds.iter().collect(),
            ..Material::default()
        };
        let samples = vec![0.1; 48_000];
        let clip = Clip::new(&samples, RATE).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        for voices in [1, 3, 6, 12] {
            let sum = babble(&clip, &material, voices, &mut rng).unwrap();
            // Independent voices of RMS 1.
            let expected = 10.0 * (voices as f64).log10();
            let found = level_db(&sum);
            assert!(
                (found - expected).abs() < 1.5,
                "{voices}: {found} {expected}"
            );
        }
    }

    #[test]
    fn missing_material_and_silence() {
        let both = Noise {
            sources: vec![NoiseSource::Babble, NoiseSource::White],
            ..Noise::default()
        };
        let none = Material::default();
        assert_eq!(both.draws_from(), [Some(MaterialKind::Babble), None]);
        let samples = speech();
        let clip = Clip::new(&samples, RATE).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..20 {
            let noisy = both.apply(&clip, &none, &mut rng).unwrap();
            assert_eq!(noisy.drawn.get("source"), Some(&"white".into()));
        }
        let recorded = Noise {
            sources: vec![NoiseSource::Recorded],
            ..Noise::default()
        };
        assert!(matches!(
            recorded.apply(&clip, &none, &mut rng),
            Err(AugmentError::NoMaterial { .. })
        ));
        let wrong = Sound::new("slow", tone(100.0, 0.1, 8_000, 800), 8_000).unwrap();
        let material = Material {
            noise: vec![&wrong],
            ..Material::default()
        };
        assert!(matches!(
            recorded.apply(&clip, &material, &mut rng),
            Err(AugmentError::RateMismatch { .. })
        ));
        let silence = [0.0; 500];
        let clip = Clip::new(&silence, RATE).unwrap();
        let out = both.apply(&clip, &none, &mut rng).unwrap();
        assert_eq!(out.samples, silence);
        assert_eq!(out.drawn.get("skipped"), Some(&"silence".into()));
    }

    proptest::proptest! {
        #[test]
        fn finite_and_as_long(samples in any_samples(1..2000), seed in 0_u64..1000) {
            let clip = Clip::new(&samples, RATE).unwrap();
            let sound = Sound::new("x", samples.clone(), RATE).unwrap();
            let material = Material { babble: vec![&sound], noise: vec![&sound], ..Material::default() };
            let noise = Noise {
                sources: vec![NoiseSource::White, NoiseSource::Pink, NoiseSource::Babble, NoiseSource::Recorded],
                ..Noise::default()
            };
            let out = noise.apply(&clip, &material, &mut StdRng::seed_from_u64(seed)).unwrap();
            proptest::prop_assert_eq!(out.samples.len(), samples.len());
            proptest::prop_assert!(out.samples.iter().all(|x| x.is_finite()));
        }
    }
}
