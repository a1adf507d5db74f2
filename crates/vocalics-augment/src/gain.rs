//! Louder and softer.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_dsp::narrow;

use crate::clip::{Augmented, Clip, Drawn};
use crate::material::Material;
use crate::range::Range;
use crate::{AugmentError, Augmentation};

/// Multiplies by `10^(gain_db / 20)`. The result may go beyond full scale; nothing is clipped.
///
/// As long as the clip; silence stays silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gain {
    /// Gain in decibels, −60 to 60.
    pub gain_db: Range,
}

impl Default for Gain {
    /// Set by hand. A front end that normalises the level takes it off again.
    fn default() -> Self {
        Self {
            gain_db: Range::of(-10.0, 10.0),
        }
    }
}

impl Augmentation for Gain {
    fn name(&self) -> &'static str {
        "gain"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.gain_db.check("gain_db", -60.0, 60.0)
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let gain_db = self.gain_db.draw(rng);
        let gain = narrow(10f64.powf(gain_db / 20.0));
        let samples = clip.samples().iter().map(|x| gain * x).collect();
        Ok(Augmented::new(samples, Drawn::one("gain_db", gain_db)))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::test_signal::{level_db, tone};

    #[test]
    fn the_level_moves_by_what_was_drawn() {
        let samples = tone(440.0, 0.5, 16_000, 4_000);
        let clip = Clip::new(&samples, 16_000).unwrap();
        for seed in 0..10 {
            let out = Gain::default()
                .apply(
                    &clip,
                    &Material::default(),
                    &mut StdRng::seed_from_u64(seed),
                )
                .unwrap();
            let moved = level_db(&out.samples) - level_db(&samples);
            let drawn = out.drawn.number("gain_db").unwrap();
            assert!((moved - drawn).abs() < 1e-3 && drawn.abs() <= 10.0);
            assert_eq!(out.samples.len(), samples.len());
        }
        let wrong = Gain {
            gain_db: Range::of(0.0, 61.0),
        };
        assert!(
            wrong
                .validate()
                .unwrap_err()
                .to_string()
                .contains("gain_db")
        );
    }
}
