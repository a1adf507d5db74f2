//! Plans: lists of steps, written down.

use std::collections::BTreeSet;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use vocalics_dsp::check_samples;

use crate::clip::Clip;
use crate::material::{Material, MaterialKind};
use crate::record::{Done, Outcome, Record};
use crate::step::Step;
use crate::{AugmentError, Augmentation};

/// The plans that there are by name.
const BUILT_IN: [(&str, &str); 7] = [
    ("noise", include_str!("../plans/noise.toml")),
    ("room", include_str!("../plans/room.toml")),
    ("telephone", include_str!("../plans/telephone.toml")),
    ("voice", include_str!("../plans/voice.toml")),
    ("tempo", include_str!("../plans/tempo.toml")),
    ("copy-paste", include_str!("../plans/copy-paste.toml")),
    ("everything", include_str!("../plans/everything.toml")),
];

/// A list of steps, done in order.
///
/// ```
/// use rand::SeedableRng;
/// use vocalics_augment::{Clip, Material, Plan};
///
/// let plan = Plan::parse("mine", r#"
///     [[step]]
///     kind = "pitch-shift"
///     shift_semitones = [1, 2]
///     [[step]]
///     kind = "noise"
///     probability = 0.5
///     sources = ["pink"]
///     snr_db = [10, 20]
/// "#)?;
/// let samples: Vec<f32> = (0..16_000u16).map(|n| (f32::from(n) * 0.06).sin() * 0.3).collect();
/// let mut rng = rand::rngs::StdRng::seed_from_u64(1);
/// let done = plan.apply(&Clip::new(&samples, 16_000)?, &Material::default(), &mut rng)?;
/// println!("{}", done.record);
/// assert_eq!(done.record.0[0].step, "pitch-shift");
/// # Ok::<(), vocalics_augment::AugmentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(try_from = "Written<toml::Table>")]
pub struct Plan {
    /// The steps.
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// A plan as it stands in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<T> {
    #[serde(default = "Vec::new")]
    step: Vec<T>,
}

impl TryFrom<Written<toml::Table>> for Plan {
    type Error = AugmentError;

    fn try_from(written: Written<toml::Table>) -> Result<Self, Self::Error> {
        let steps = written.step.into_iter().zip(1..);
        let steps = steps.map(|(table, number)| Step::read(number, None, table));
        Ok(Self {
            steps: steps.collect::<Result<_, _>>()?,
        })
    }
}

impl Plan {
    /// Names of the plans that [`named`](Self::named) knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// A built-in plan; `None` if there is none of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        // Read by a test.
        Self::parse(name, text).ok()
    }

    /// A built-in plan by its name, else a plan from a file.
    ///
    /// # Errors
    /// [`AugmentError::NoPlan`], [`AugmentError::Io`], or as [`parse`](Self::parse).
    pub fn open(name_or_path: &str) -> Result<Self, AugmentError> {
        if let Some(plan) = Self::named(name_or_path) {
            return Ok(plan);
        }
        let path = Path::new(name_or_path);
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(name_or_path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(AugmentError::NoPlan {
                    name: name_or_path.to_owned(),
                    known: Self::names().collect::<Vec<_>>().join(", "),
                })
            }
            Err(source) => Err(AugmentError::Io {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads and validates a plan in TOML; `name` is what errors call it.
    ///
    /// # Errors
    /// [`AugmentError::Syntax`]; [`AugmentError::PlanValue`] around what is wrong with the first bad step, or
    /// [`AugmentError::NoStep`].
    pub fn parse(name: &str, text: &str) -> Result<Self, AugmentError> {
        type Spanned = Written<toml::Spanned<toml::Table>>;
        let written: Spanned = toml::from_str(text).map_err(|source| AugmentError::Syntax {
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        let line = |at: usize| {
            text.get(..at)
                .map(|before| before.matches('\n').count() + 1)
        };
        let steps = written.step.into_iter().zip(1..);
        let plan = steps
            .map(|(table, number)| Step::read(number, line(table.span().start), table.into_inner()))
            .collect::<Result<Vec<Step>, _>>()
            .and_then(|steps| {
                let plan = Self { steps };
                plan.validate()?;
                if plan.steps.is_empty() {
                    return Err(AugmentError::NoStep);
                }
                Ok(plan)
            });
        plan.map_err(|source| AugmentError::PlanValue {
            name: name.to_owned(),
            source: Box::new(source),
        })
    }

    /// Checks every step. A plan may be without one; one that is read from a text may not.
    ///
    /// # Errors
    /// [`AugmentError::Step`] around what is wrong with the first bad one.
    pub fn validate(&self) -> Result<(), AugmentError> {
        for (index, step) in self.steps.iter().enumerate() {
            step.validate().map_err(|source| AugmentError::Step {
                number: index + 1,
                step: step.operation.name(),
                source: Box::new(source),
            })?;
        }
        Ok(())
    }

    /// What the steps would draw from and is not there by `has`: they draw from the rest, and fail if there is none.
    pub fn absent(&self, has: impl Fn(MaterialKind) -> bool) -> BTreeSet<MaterialKind> {
        let steps = self.steps.iter();
        let wanted = steps.flat_map(|step| step.operation.draws_from());
        wanted.flatten().filter(|kind| !has(*kind)).collect()
    }

    /// Fails where [`apply`](Self::apply) would for want of material, before any work. `has` says what will be there:
    /// [`Material::has`], or what is going to be read.
    ///
    /// # Errors
    /// [`AugmentError::Step`] around [`AugmentError::NoMaterial`] of the first step for which there is none at all.
    pub fn check_material(&self, has: impl Fn(MaterialKind) -> bool) -> Result<(), AugmentError> {
        let steps = self.steps.iter().enumerate();
        for (index, step) in steps.filter(|(_, step)| step.probability > 0.0) {
            let sources = step.operation.draws_from();
            let there = sources.iter().any(|source| source.is_none_or(&has));
            if !there && !sources.is_empty() {
                return Err(AugmentError::Step {
                    number: index + 1,
                    step: step.operation.name(),
                    source: Box::new(AugmentError::no_material(sources.into_iter().flatten())),
                });
            }
        }
        Ok(())
    }

    /// Does the steps in order, each with its probability.
    ///
    /// What comes out follows from the plan, the clip, the material in its order, and the generator's state alone. Every step
    /// has a generator of its own, seeded from `rng`, so that what one draws does not change the next.
    ///
    /// # Errors
    /// As [`Augmentation::apply`]; [`AugmentError::Overflow`] if gains add up beyond what a number can say.
    pub fn apply(
        &self,
        clip: &Clip<'_>,
        material: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Outcome, AugmentError> {
        let mut samples = clip.samples().to_vec();
        let mut record = Vec::new();
        for step in &self.steps {
            let mut own = StdRng::seed_from_u64(rng.random());
            if own.random::<f64>() >= step.probability {
                continue;
            }
            let name = step.operation.name();
            let done = step
                .operation
                .apply(&clip.with(&samples), material, &mut own)?;
            if check_samples(&done.samples).is_err() {
                return Err(AugmentError::Overflow { step: name });
            }
            samples = done.samples;
            record.push(Done {
                step: name,
                drawn: done.drawn,
            });
        }
        Ok(Outcome {
            samples,
            record: Record(record),
        })
    }
}
