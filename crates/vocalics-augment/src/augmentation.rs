//! What every augmentation can do.

use rand::rngs::StdRng;

use crate::AugmentError;
use crate::clip::{Augmented, Clip};
use crate::material::{Material, MaterialKind};

/// Something that is done to a clip, with ranges to draw from.
pub trait Augmentation {
    /// Its name in plans and records.
    fn name(&self) -> &'static str;

    /// Checks every field.
    ///
    /// # Errors
    /// [`AugmentError::Parameter`] naming the first that is out of range.
    fn validate(&self) -> Result<(), AugmentError>;

    /// What it draws from, one of these each time; `None` stands for what it makes itself. Empty if it needs no material.
    fn draws_from(&self) -> Vec<Option<MaterialKind>> {
        Vec::new()
    }

    /// Draws and does it.
    ///
    /// # Errors
    /// [`AugmentError::NoMaterial`] if nothing it draws from is there, [`AugmentError::RateMismatch`] of the material,
    /// [`AugmentError::Parameter`] where a list to choose from is empty.
    fn apply(
        &self,
        clip: &Clip<'_>,
        material: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError>;
}
