//! Faster and slower at the same pitch; higher and lower at the same speed.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::clip::{Augmented, Clip, Drawn};
use crate::material::Material;
use crate::phase_vocoder::phase_vocoder;
use crate::range::Range;
use crate::resample::resample;
use crate::scaled::level_kept;
use crate::speed::stretched_len;
use crate::wsola::wsola;
use crate::{AugmentError, Augmentation};

/// How a clip is stretched. The vocoder is the better one by all that was measured, on a synthetic voice whose stretched
/// form is known and on RAVDESS: `docs/augmentation.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Phase vocoder with locked phases (Laroche and Dolson 1999).
    #[default]
    PhaseVocoder,
    /// Overlap-add of segments that fit (Verhelst and Roelands 1993): no smearing of onsets, but what happens is moved in time by up to
    /// 10 ms.
    Wsola,
}

impl Method {
    /// `n_out` samples of the clip read `tempo` times as fast.
    fn stretch(self, samples: &[f32], sample_rate: u32, tempo: f64, n_out: usize) -> Vec<f32> {
        // Where phases part, in noise and at onsets, a vocoder loses some level.
        let out = level_kept(samples, |unit| match self {
            Self::Wsola => wsola(unit, sample_rate, tempo, n_out),
            Self::PhaseVocoder => phase_vocoder(unit, sample_rate, tempo, n_out),
        });
        out.unwrap_or_else(|| vec![0.0; n_out])
    }
}

/// Changes the tempo and leaves the pitch.
///
/// # Shapes
/// `[n]` to `[round(n / tempo)]`, at least one sample. Sample `k` of the result shows what happens at `k · tempo` of
/// the clip. The RMS is kept; silence stays silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeStretch {
    /// Factor on the tempo, 0.25 to 4, drawn on a logarithmic scale.
    pub tempo: Range,
    /// How.
    pub method: Method,
}

impl Default for TimeStretch {
    /// The range that training uses on log-mel, which helped there (`docs/experiments.md`).
    fn default() -> Self {
        Self {
            tempo: Range::of(0.8, 1.25),
            method: Method::default(),
        }
    }
}

impl Augmentation for TimeStretch {
    fn name(&self) -> &'static str {
        "time-stretch"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.tempo.check("tempo", 0.25, 4.0)
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let tempo = self.tempo.draw_factor(rng);
        let n_out = stretched_len(clip, tempo);
        let samples = self
            .method
            .stretch(clip.samples(), clip.sample_rate(), tempo, n_out);
        Ok(Augmented::new(samples, Drawn::one("tempo", tempo)))
    }
}

/// Changes the pitch and leaves the tempo: a stretch, undone by a resampling. Formants move with the pitch, as on a
/// record played faster; [`VocalTract`](crate::VocalTract) moves them alone.
///
/// # Shapes
/// As long as the clip. Silence stays silence. Shifted down, the band above the clip's own is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PitchShift {
    /// Shift in semitones, −24 to 24.
    pub shift_semitones: Range,
    /// How.
    pub method: Method,
}

impl Default for PitchShift {
    /// Two semitones either way, as recipes for this task use.
    fn default() -> Self {
        Self {
            shift_semitones: Range::of(-2.0, 2.0),
            method: Method::default(),
        }
    }
}

impl Augmentation for PitchShift {
    fn name(&self) -> &'static str {
        "pitch-shift"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.shift_semitones.check("shift_semitones", -24.0, 24.0)
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let semitones = self.shift_semitones.draw(rng);
        let factor = 2f64.powf(semitones / 12.0);
        let n = clip.samples().len();
        // Longer by the factor and then faster by the factor.
        let n_long = stretched_len(clip, 1.0 / factor);
        let long = self
            .method
            .stretch(clip.samples(), clip.sample_rate(), 1.0 / factor, n_long);
        let samples = resample(&long, factor, n);
        Ok(Augmented::new(
            samples,
            Drawn::one("shift_semitones", semitones),
        ))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use vocalics_dsp::floor_index;
    use vocalics_dsp::pitch::{PitchConfig, pitch};

    use super::*;
    use crate::test_signal::{any_samples, cents, level_db, median_f0, vowel};

    const RATE: u32 = 16_000;
    const METHODS: [Method; 2] = [Method::Wsola, Method::PhaseVocoder];

    fn stretched(samples: &[f32], tempo: f64, method: Method) -> Vec<f32> {
        let stretch = TimeStretch {
            tempo: Range::of(tempo, tempo),
            method,
        };
        stretch.validate().unwrap();
        let clip = Clip::new(samples, RATE).unwrap();
        stretch
            .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
            .unwrap()
            .samples
    }

    fn shifted(samples: &[f32], semitones: f64, method: Method) -> Vec<f32> {
        let shift = PitchShift {
            shift_semitones: Range::of(semitones, semitones),
            method,
        };
        shift.validate().unwrap();
        let clip = Clip::new(samples, RATE).unwrap();
        shift
            .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
            .unwrap()
            .samples
    }

    #[test]
    fn stretching_keeps_the_pitch_of_a_voice() {
        for method in METHODS {
            for f0 in [80.0, 137.0, 250.0, 420.0] {
                let samples = vowel(|_| f0, &[600.0, 1_200.0, 2_500.0], 1.0, RATE);
                for tempo in [0.5, 0.8, 0.9, 1.1, 1.25, 2.0] {
                    let out = stretched(&samples, tempo, method);
                    assert_eq!(out.len(), floor_index(16_000.0 / tempo + 0.5));
                    let off = cents(f0, median_f0(&out, RATE));
                    assert!(off.abs() < 5.0, "{method:?} {f0} {tempo}: {off}");
                    let level = level_db(&out) - level_db(&samples);
                    assert!(level.abs() < 0.01, "{method:?} {f0} {tempo}: {level} dB");
                }
            }
        }
    }

    #[test]
    fn stretching_moves_what_happens_in_time() {
        // From 120 to 240 Hz in one second: at half the time it is 180 Hz, at any tempo.
        let samples = vowel(|t| 120.0 + 120.0 * t, &[700.0, 1_100.0], 1.0, RATE);
        for method in METHODS {
            for tempo in [0.8, 1.25] {
                let out = stretched(&samples, tempo, method);
                let track = pitch(&out, RATE, &PitchConfig::default()).unwrap();
                for share in [0.25, 0.5, 0.75] {
                    let found = track.at(share / tempo).unwrap();
                    let off = cents(120.0 + 120.0 * share, found);
                    // WSOLA may be 10 ms off, which are 1.2 Hz.
                    assert!(off.abs() < 25.0, "{method:?} {tempo} {share}: {off}");
                }
            }
        }
    }

    #[test]
    fn a_tempo_of_one_changes_nothing() {
        let samples = vowel(|t| 120.0 + 60.0 * t, &[700.0, 1_100.0], 0.5, RATE);
        for method in METHODS {
            let out = stretched(&samples, 1.0, method);
            let error: Vec<f32> = out.iter().zip(&samples).map(|(y, x)| y - x).collect();
            let snr = level_db(&samples) - level_db(&error);
            assert!(snr > 60.0, "{method:?}: {snr}");
        }
    }

    #[test]
    fn shifting_moves_the_pitch_and_not_the_time() {
        for method in METHODS {
            for f0 in [100.0, 190.0, 300.0] {
                let samples = vowel(|_| f0, &[600.0, 1_200.0, 2_500.0], 1.0, RATE);
                for semitones in [-4.0, -2.0, -0.5, 0.5, 2.0, 4.0] {
                    let out = shifted(&samples, semitones, method);
                    assert_eq!(out.len(), samples.len());
                    let moved = cents(f0, median_f0(&out, RATE));
                    let off = moved - 100.0 * semitones;
                    assert!(off.abs() < 10.0, "{method:?} {f0} {semitones}: {off}");
                }
            }
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        #[test]
        fn finite_and_as_long_as_stated(
            samples in any_samples(1..4000),
            tempo in 0.25_f64..4.0,
            semitones in -24.0_f64..24.0,
        ) {
            for method in METHODS {
                let out = stretched(&samples, tempo, method);
                let expected = floor_index(samples.len() as f64 / tempo + 0.5).max(1);
                proptest::prop_assert_eq!(out.len(), expected);
                let moved = shifted(&samples, semitones, method);
                proptest::prop_assert_eq!(moved.len(), samples.len());
                proptest::prop_assert!(out.iter().chain(&moved).all(|x| x.is_finite()));
            }
        }
    }
}
