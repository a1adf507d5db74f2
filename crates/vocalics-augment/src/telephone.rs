//! The telephone, codecs, and less bandwidth.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::clip::{Augmented, Clip, Drawn};
use crate::fft::convolve;
use crate::g711::Law;
use crate::kaiser::band_pass;
use crate::material::Material;
use crate::range::{Range, choose};
use crate::resample::resample;
use crate::scaled::scaled;
use crate::{AugmentError, Augmentation};

/// The band of the telephone in hertz, after that of ITU-T G.712; here the gain is one half at both ends.
const BAND_HZ: (f64, f64) = (300.0, 3_400.0);
/// Sample rate of the telephone.
const TELEPHONE_RATE: u32 = 8_000;
/// The low-pass on the way back up, which ends at half that rate: frequency of −6 dB and width of the transition.
const BACK_UP_HZ: (f64, f64) = (3_800.0, 400.0);
/// Width of the filters' transition in hertz.
const TRANSITION_HZ: f64 = 200.0;

/// Names of the lines, and of the laws.
const LINES: &str = "linear, mu-law, a-law";
const LAWS: &str = "mu-law, a-law";

/// What a telephone call does to the samples on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Nothing.
    Linear,
    /// [`Law::MuLaw`].
    MuLaw,
    /// [`Law::ALaw`].
    ALaw,
}

impl Line {
    fn law(self) -> Option<Law> {
        match self {
            Self::Linear => None,
            Self::MuLaw => Some(Law::MuLaw),
            Self::ALaw => Some(Law::ALaw),
        }
    }
}

/// Band-limits to 300 to 3400 Hz, goes down to 8 kHz, through a line, and back up.
///
/// Filters are of linear phase with their delay taken out: the clip does not shift. A clip at 8 kHz or less keeps its rate.
/// The laws clip beyond full scale, as a telephone does; a quiet clip comes out with the laws' noise, not louder.
///
/// # Shapes
/// As long as the clip.
///
/// Source: ITU-T Recommendations G.712 (band) and G.711 (laws).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telephone {
    /// What is drawn from, each with the same probability.
    pub lines: Vec<Line>,
}

impl Default for Telephone {
    fn default() -> Self {
        Self {
            lines: vec![Line::Linear, Line::MuLaw, Line::ALaw],
        }
    }
}

impl Augmentation for Telephone {
    fn name(&self) -> &'static str {
        "telephone"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        if self.lines.is_empty() {
            return Err(AugmentError::empty("lines", LINES));
        }
        Ok(())
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let line = choose(&self.lines, rng).ok_or_else(|| AugmentError::empty("lines", LINES))?;
        let drawn = Drawn::one("line", line.law().map_or("linear", Law::name));
        Ok(Augmented::new(telephone(clip, line.law()), drawn))
    }
}

fn telephone(clip: &Clip<'_>, law: Option<Law>) -> Vec<f32> {
    let n = clip.samples().len();
    let rate = clip.rate();
    let (low, high) = BAND_HZ;
    let band = band_pass(low, high.min(0.45 * rate), TRANSITION_HZ, rate);
    let mut samples = filter(clip.samples(), &band);
    let through = |samples: &mut Vec<f32>| {
        if let Some(law) = law {
            samples
                .iter_mut()
                .for_each(|x| *x = law.decode(law.encode(*x)));
        }
    };
    if clip.sample_rate() <= TELEPHONE_RATE {
        through(&mut samples);
        return samples;
    }
    if clip.sample_rate().is_multiple_of(TELEPHONE_RATE) {
        let step = (clip.sample_rate() / TELEPHONE_RATE) as usize;
        // The band ends below half the telephone's rate, so that nothing folds back.
        let mut narrow: Vec<f32> = samples.into_iter().step_by(step).collect();
        through(&mut narrow);
        let mut spread = vec![0.0; n];
        for (y, x) in spread.iter_mut().step_by(step).zip(narrow) {
            *y = step as f32 * x;
        }
        let (end, transition) = BACK_UP_HZ;
        return filter(&spread, &band_pass(0.0, end, transition, rate));
    }
    let step = rate / f64::from(TELEPHONE_RATE);
    // One more, so that the way back does not end early.
    let n_low = vocalics_dsp::floor_index(n as f64 / step) + 2;
    let mut narrow = resample(&samples, step, n_low);
    through(&mut narrow);
    resample(&narrow, 1.0 / step, n)
}

/// Convolves with a filter of linear phase, its delay taken out.
fn filter(samples: &[f32], taps: &[f32]) -> Vec<f32> {
    let out = scaled(samples, |unit| convolve(unit, taps, taps.len() / 2));
    out.unwrap_or_else(|| samples.to_vec())
}

/// Sends every sample through a law of G.711 at the clip's own rate: quantisation noise that goes with the signal.
///
/// As long as the clip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Codec {
    /// What is drawn from, each with the same probability.
    pub laws: Vec<Law>,
}

impl Default for Codec {
    fn default() -> Self {
        Self {
            laws: vec![Law::MuLaw, Law::ALaw],
        }
    }
}

impl Augmentation for Codec {
    fn name(&self) -> &'static str {
        "codec"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        if self.laws.is_empty() {
            return Err(AugmentError::empty("laws", LAWS));
        }
        Ok(())
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let law = choose(&self.laws, rng).ok_or_else(|| AugmentError::empty("laws", LAWS))?;
        let samples = clip.samples().iter();
        let samples = samples.map(|x| law.decode(law.encode(*x))).collect();
        Ok(Augmented::new(samples, Drawn::one("law", law.name())))
    }
}

/// Takes off what lies above a frequency, 80 dB down from 100 Hz above it. Linear phase, no shift.
///
/// As long as the clip. A cut-off at or above half the sample rate leaves the clip as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LowPass {
    /// Frequency of −6 dB in hertz, 200 to 192000, drawn on a logarithmic scale.
    pub cutoff_hz: Range,
}

impl Default for LowPass {
    /// From the telephone's band to that of 16 kHz audio.
    fn default() -> Self {
        Self {
            cutoff_hz: Range::of(3_000.0, 7_500.0),
        }
    }
}

impl Augmentation for LowPass {
    fn name(&self) -> &'static str {
        "low-pass"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.cutoff_hz.check("cutoff_hz", 200.0, 192_000.0)
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let cutoff_hz = self.cutoff_hz.draw_factor(rng);
        let drawn = Drawn::one("cutoff_hz", cutoff_hz);
        if cutoff_hz >= clip.rate() / 2.0 {
            return Ok(Augmented::new(clip.samples().to_vec(), drawn));
        }
        let taps = band_pass(0.0, cutoff_hz, TRANSITION_HZ, clip.rate());
        Ok(Augmented::new(filter(clip.samples(), &taps), drawn))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::test_signal::{any_samples, level_db, tone};

    /// Gain of a tone in the middle of the clip.
    fn gain_db(hz: f64, rate: u32, through: impl Fn(&Clip<'_>) -> Vec<f32>) -> f64 {
        let samples = tone(hz, 0.4, rate, rate as usize);
        let out = through(&Clip::new(&samples, rate).unwrap());
        assert_eq!(out.len(), samples.len());
        let middle = samples.len() / 4..samples.len() * 3 / 4;
        level_db(&out[middle.clone()]) - level_db(&samples[middle])
    }

    #[test]
    fn the_telephone_passes_its_band_alone() {
        for rate in [8_000, 11_025, 16_000, 44_100, 48_000] {
            for hz in [410.0, 1_000.0, 3_290.0] {
                let gain = gain_db(hz, rate, |clip| telephone(clip, None));
                assert!(gain.abs() < 0.05, "{rate} {hz}: {gain}");
            }
            for hz in [60.0, 190.0, 3_550.0, 3_900.0, 4_400.0, 5_900.0, 9_700.0] {
                if hz < f64::from(rate) / 2.0 {
                    let gain = gain_db(hz, rate, |clip| telephone(clip, None));
                    assert!(gain < -75.0, "{rate} {hz}: {gain}");
                }
            }
        }
    }

    #[test]
    fn the_telephone_does_not_shift() {
        let mut pulse = vec![0.0; 4_000];
        pulse[1_999] = 1.0;
        let out = telephone(&Clip::new(&pulse, 16_000).unwrap(), None);
        let loudest = (0..4_000).max_by(|a, b| out[*a].total_cmp(&out[*b]));
        assert_eq!(loudest, Some(1_999));
        for k in 1..100 {
            assert!((out[1_999 - k] - out[1_999 + k]).abs() < 1e-3);
        }
    }

    #[test]
    fn laws_add_the_noise_they_are_known_for() {
        // 38 dB is what G.711 gives a sine over 30 dB of levels.
        for law in [Law::MuLaw, Law::ALaw] {
            for amplitude in [0.02, 0.1, 0.7] {
                let samples = tone(997.0, amplitude, 16_000, 16_000);
                let clip = Clip::new(&samples, 16_000).unwrap();
                let codec = Codec { laws: vec![law] };
                let out = codec
                    .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
                    .unwrap();
                let noise: Vec<f32> = out
                    .samples
                    .iter()
                    .zip(&samples)
                    .map(|(y, x)| y - x)
                    .collect();
                let snr = level_db(&samples) - level_db(&noise);
                assert!((35.0..42.0).contains(&snr), "{law:?} {amplitude}: {snr}");
                let lined = telephone(&clip, Some(law));
                let clean = telephone(&clip, None);
                let noise: Vec<f32> = lined.iter().zip(&clean).map(|(y, x)| y - x).collect();
                let snr = level_db(&clean) - level_db(&noise);
                assert!((34.0..43.0).contains(&snr), "{law:?} {amplitude}: {snr}");
            }
        }
    }

    #[test]
    fn the_low_pass_cuts_where_it_says() {
        let low_pass = |cutoff_hz: f64| LowPass {
            cutoff_hz: Range::of(cutoff_hz, cutoff_hz),
        };
        let through = |clip: &Clip<'_>| {
            low_pass(2_000.0)
                .apply(clip, &Material::default(), &mut StdRng::seed_from_u64(1))
                .unwrap()
                .samples
        };
        for (hz, gain) in [(1_000.0, 0.0), (1_890.0, 0.0), (2_000.0, -6.02)] {
            assert!((gain_db(hz, 16_000, through) - gain).abs() < 0.1, "{hz}");
        }
        assert!(gain_db(2_110.0, 16_000, through) < -75.0);
        let samples = tone(3_000.0, 0.5, 16_000, 100);
        let clip = Clip::new(&samples, 16_000).unwrap();
        let out = low_pass(9_000.0)
            .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
            .unwrap();
        assert_eq!(out.samples, samples);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        #[test]
        fn finite_and_as_long(samples in any_samples(1..2000), seed in 0_u64..1000) {
            for rate in [4_000, 8_000, 16_000, 22_050] {
                let clip = Clip::new(&samples, rate).unwrap();
                let mut rng = StdRng::seed_from_u64(seed);
                for out in [
                    Telephone::default().apply(&clip, &Material::default(), &mut rng).unwrap(),
                    Codec::default().apply(&clip, &Material::default(), &mut rng).unwrap(),
                    LowPass { cutoff_hz: Range::of(200.0, 9_000.0) }.apply(&clip, &Material::default(), &mut rng).unwrap(),
                ] {
                    proptest::prop_assert_eq!(out.samples.len(), samples.len());
                    proptest::prop_assert!(out.samples.iter().all(|x| x.is_finite()));
                }
            }
        }
    }
}
