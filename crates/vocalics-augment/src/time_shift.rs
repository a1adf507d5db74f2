//! Earlier and later.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_dsp::floor_index;

use crate::clip::{Augmented, Clip, Drawn};
use crate::material::Material;
use crate::range::Range;
use crate::{AugmentError, Augmentation};

/// What comes in where the clip moved away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// Silence; what goes beyond the end is lost.
    Silence,
    /// What went out at the other end.
    Wrap,
}

/// Moves the clip in time by whole samples, later for a positive shift.
///
/// As long as the clip. A shift beyond its length leaves silence, or goes round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeShift {
    /// Shift in seconds, −60 to 60.
    pub shift_secs: Range,
    /// What comes in.
    pub fill: Fill,
}

impl Default for TimeShift {
    /// Set by hand. A front end that cuts off outer silence takes it off again.
    fn default() -> Self {
        Self {
            shift_secs: Range::of(-0.2, 0.2),
            fill: Fill::Silence,
        }
    }
}

impl Augmentation for TimeShift {
    fn name(&self) -> &'static str {
        "time-shift"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.shift_secs.check("shift_secs", -60.0, 60.0)
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let shift_secs = self.shift_secs.draw(rng);
        let samples = clip.samples();
        let n = samples.len();
        let by = floor_index(shift_secs.abs() * clip.rate() + 0.5);
        let mut out = vec![0.0; n];
        match self.fill {
            Fill::Silence if by >= n => {}
            Fill::Silence if shift_secs > 0.0 => out[by..].copy_from_slice(&samples[..n - by]),
            Fill::Silence => out[..n - by].copy_from_slice(&samples[by..]),
            Fill::Wrap => {
                out.copy_from_slice(samples);
                if shift_secs > 0.0 {
                    out.rotate_right(by % n);
                } else {
                    out.rotate_left(by % n);
                }
            }
        }
        Ok(Augmented::new(out, Drawn::one("shift_secs", shift_secs)))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn samples_move_by_what_was_drawn() {
        let samples: Vec<f32> = (1..=16_u8).map(f32::from).collect();
        let clip = Clip::new(&samples, 4_000).unwrap();
        let shifted = |shift_secs: f64, fill| {
            let shift = TimeShift {
                shift_secs: Range::of(shift_secs, shift_secs),
                fill,
            };
            shift.validate().unwrap();
            shift
                .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
                .unwrap()
                .samples
        };
        let later = shifted(0.001, Fill::Silence);
        assert_eq!(later[..5], [0.0, 0.0, 0.0, 0.0, 1.0]);
        let earlier = shifted(-0.001, Fill::Silence);
        assert_eq!(earlier[10..], [15.0, 16.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(
            shifted(0.001, Fill::Wrap)[..5],
            [13.0, 14.0, 15.0, 16.0, 1.0]
        );
        assert_eq!(shifted(-0.001, Fill::Wrap)[12..], [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(shifted(5.0, Fill::Silence), [0.0; 16]);
        assert_eq!(shifted(-5.0, Fill::Silence), [0.0; 16]);
        assert_eq!(shifted(0.004, Fill::Wrap), samples);
    }
}
