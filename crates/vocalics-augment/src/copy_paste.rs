//! Joining clips of one class, or with a neutral one.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_dsp::floor_index;

use crate::clip::{Augmented, Clip, Drawn};
use crate::material::{Material, MaterialKind, Sound, Source};
use crate::range::{Range, choose};
use crate::{AugmentError, Augmentation};

/// Time over which the edges at the joint rise and fall, in seconds, so that nothing clicks.
const EDGE_SECS: f64 = 0.005;

/// What a clip is joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partner {
    /// One of [`Material::same_class`]: the whole has the class of both.
    SameClass,
    /// One of [`Material::neutral`]: the whole has the class of the clip, since whoever sounds angry for half of a recording
    /// sounds angry in it.
    Neutral,
}

impl Partner {
    fn name(self) -> &'static str {
        match self {
            Self::SameClass => "same-class",
            Self::Neutral => "neutral",
        }
    }

    fn of<'a, 'b>(self, material: &'b Material<'a>) -> &'b [&'a Sound] {
        match self {
            Self::SameClass => &material.same_class,
            Self::Neutral => &material.neutral,
        }
    }
}

impl Source for Partner {
    fn needs(self) -> Option<MaterialKind> {
        Some(match self {
            Self::SameClass => MaterialKind::SameClass,
            Self::Neutral => MaterialKind::Neutral,
        })
    }
}

/// Joins the clip with another one, before or behind it, each with the same probability. Both keep their level.
///
/// # Shapes
/// As long as both and the gap. The class stays that of the clip; a neutral clip must not be joined with anything but
/// neutral ones, which is the caller's to see to.
///
/// Source: R. Pappagari et al., *CopyPaste: an augmentation method for speech emotion recognition*, ICASSP 2021: same-emotion
/// and neutral CopyPaste.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CopyPaste {
    /// What is drawn from, each with the same probability, those without material left out.
    pub partners: Vec<Partner>,
    /// Silence between the two in seconds, 0 to 10.
    pub gap_secs: Range,
}

impl Default for CopyPaste {
    /// Both schemes of the source, which leaves no gap.
    fn default() -> Self {
        Self {
            partners: vec![Partner::SameClass, Partner::Neutral],
            gap_secs: Range::of(0.0, 0.0),
        }
    }
}

impl Augmentation for CopyPaste {
    fn name(&self) -> &'static str {
        "copy-paste"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        if self.partners.is_empty() {
            return Err(AugmentError::empty("partners", "same-class, neutral"));
        }
        self.gap_secs.check("gap_secs", 0.0, 10.0)
    }

    fn draws_from(&self) -> Vec<Option<MaterialKind>> {
        self.partners.iter().map(|it| it.needs()).collect()
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        material: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let partner = material.choose(&self.partners, rng)?;
        let sound = choose(partner.of(material), rng)
            .ok_or_else(|| AugmentError::no_material(partner.needs()))?;
        sound.check_rate(clip.sample_rate())?;
        let first = rng.random_bool(0.5);
        let gap_secs = self.gap_secs.draw(rng);
        let (before, behind) = if first {
            (clip.samples(), sound.samples())
        } else {
            (sound.samples(), clip.samples())
        };
        let gap = floor_index(gap_secs * clip.rate() + 0.5);
        let mut samples = Vec::with_capacity(before.len() + gap + behind.len());
        samples.extend_from_slice(before);
        samples.resize(before.len() + gap, 0.0);
        samples.extend_from_slice(behind);
        let edge = floor_index(EDGE_SECS * clip.rate());
        for k in 0..edge {
            let weight = (k as f32 + 0.5) / edge as f32;
            if k < before.len() {
                samples[before.len() - 1 - k] *= weight;
            }
            if k < behind.len() {
                samples[before.len() + gap + k] *= weight;
            }
        }
        let drawn = Drawn::one("partner", partner.name())
            .and("file", sound.name())
            .and("clip", if first { "first" } else { "second" })
            .and("gap_secs", gap_secs);
        Ok(Augmented::new(samples, drawn))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::test_signal::{any_samples, tone};

    const RATE: u32 = 16_000;

    #[test]
    fn both_clips_are_there_in_either_order() {
        let (own, other) = (tone(200.0, 0.5, RATE, 4_000), tone(900.0, 0.1, RATE, 3_000));
        let sound = Sound::new("other", other.clone(), RATE).unwrap();
        let material = Material {
            neutral: vec![&sound],
            ..Material::default()
        };
        let join = CopyPaste {
            gap_secs: Range::of(0.1, 0.1),
            ..CopyPaste::default()
        };
        join.validate().unwrap();
        let kinds = [MaterialKind::SameClass, MaterialKind::Neutral].map(Some);
        assert_eq!(join.draws_from(), kinds);
        let clip = Clip::new(&own, RATE).unwrap();
        let mut orders = [0, 0];
        for seed in 0..20 {
            let out = join
                .apply(&clip, &material, &mut StdRng::seed_from_u64(seed))
                .unwrap();
            assert_eq!(out.samples.len(), 4_000 + 1_600 + 3_000);
            assert_eq!(out.drawn.get("partner"), Some(&"neutral".into()));
            let first = out.drawn.get("clip") == Some(&"first".into());
            orders[usize::from(first)] += 1;
            let (before, behind) = if first {
                (&own, &other)
            } else {
                (&other, &own)
            };
            // Edges of 80 samples apart.
            assert_eq!(
                out.samples[..before.len() - 80],
                before[..before.len() - 80]
            );
            assert_eq!(
                out.samples[before.len()..before.len() + 1_600],
                [0.0; 1_600]
            );
            assert_eq!(out.samples[before.len() + 1_680..], behind[80..]);
        }
        assert!(orders[0] > 3 && orders[1] > 3, "{orders:?}");
        let nobody = join.apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1));
        assert!(matches!(nobody, Err(AugmentError::NoMaterial { .. })));
    }

    proptest::proptest! {
        #[test]
        fn finite_and_as_long_as_both(samples in any_samples(1..500), other in any_samples(1..500), seed in 0_u64..99) {
            let sound = Sound::new("x", other.clone(), RATE).unwrap();
            let material = Material { same_class: vec![&sound], ..Material::default() };
            let clip = Clip::new(&samples, RATE).unwrap();
            let out = CopyPaste::default().apply(&clip, &material, &mut StdRng::seed_from_u64(seed)).unwrap();
            proptest::prop_assert_eq!(out.samples.len(), samples.len() + other.len());
            proptest::prop_assert!(out.samples.iter().all(|x| x.is_finite()));
        }
    }
}
