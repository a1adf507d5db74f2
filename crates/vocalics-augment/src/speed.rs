//! Faster and higher, slower and lower.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_dsp::floor_index;

use crate::clip::{Augmented, Clip, Drawn};
use crate::material::Material;
use crate::range::Range;
use crate::resample::resample;
use crate::{AugmentError, Augmentation};

/// Plays the clip faster or slower, tempo and pitch together, through a band-limited resampler (aliases 80 dB down).
///
/// # Shapes
/// `[n]` to `[round(n / speed)]`, at least one sample. Frequencies are multiplied by `speed`.
///
/// Source: T. Ko et al., *Audio augmentation for speech recognition*, Interspeech 2015.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Speed {
    /// Factor on the speed, 0.25 to 4, drawn on a logarithmic scale.
    pub speed: Range,
}

impl Default for Speed {
    /// The range of Ko et al.
    fn default() -> Self {
        Self {
            speed: Range::of(0.9, 1.1),
        }
    }
}

impl Augmentation for Speed {
    fn name(&self) -> &'static str {
        "speed"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.speed.check("speed", 0.25, 4.0)
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let speed = self.speed.draw_factor(rng);
        let samples = resample(clip.samples(), speed, stretched_len(clip, speed));
        Ok(Augmented::new(samples, Drawn::one("speed", speed)))
    }
}

/// Samples of a clip played `tempo` times as fast: rounded, and at least one.
pub(crate) fn stretched_len(clip: &Clip<'_>, tempo: f64) -> usize {
    floor_index(clip.samples().len() as f64 / tempo + 0.5).max(1)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::test_signal::{cents, level_db, median_f0, tone, vowel};

    #[test]
    fn pitch_and_duration_move_together() {
        let samples = vowel(|_| 150.0, &[600.0, 1_200.0], 1.0, 16_000);
        let clip = Clip::new(&samples, 16_000).unwrap();
        for seed in 0..6 {
            let out = Speed::default()
                .apply(
                    &clip,
                    &Material::default(),
                    &mut StdRng::seed_from_u64(seed),
                )
                .unwrap();
            let speed = out.drawn.number("speed").unwrap();
            assert!((out.samples.len() as f64 * speed - 16_000.0).abs() < 1.0);
            let moved = cents(150.0 * speed, median_f0(&out.samples, 16_000));
            assert!(moved.abs() < 2.0, "{speed}: {moved} cents off");
        }
    }

    #[test]
    fn what_would_alias_is_gone() {
        // At twice the speed 6 kHz would be 12 kHz, and fold to 4 kHz.
        let samples = tone(6_000.0, 0.9, 16_000, 16_000);
        let clip = Clip::new(&samples, 16_000).unwrap();
        let twice = Speed {
            speed: Range::of(2.0, 2.0),
        };
        let out = twice
            .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
            .unwrap();
        assert_eq!(out.samples.len(), 8_000);
        assert!(level_db(&out.samples[200..7_800]) < -80.0);
    }
}
