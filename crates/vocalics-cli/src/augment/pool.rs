//! What the examples draw from.

use std::fs;
use std::path::Path;

use vocalics_augment::{
    AugmentError, ImpulseResponse, Material, MaterialKind, Plan, Sound, read_responses, read_sounds,
};

use super::Arguments;
use crate::failure::{Failure, with_causes};
use crate::output::tell;

impl Arguments {
    /// The folder given for a kind of material.
    pub(super) fn folder(&self, kind: MaterialKind) -> Option<&Path> {
        let folder = match kind {
            MaterialKind::Babble => &self.babble,
            MaterialKind::Noise => &self.noise,
            MaterialKind::Rooms => &self.rooms,
            MaterialKind::SameClass => &self.same_class,
            MaterialKind::Neutral => &self.neutral,
        };
        folder.as_deref()
    }
}

/// The option that gives a kind of material.
fn option(kind: MaterialKind) -> &'static str {
    match kind {
        MaterialKind::Babble => "--babble",
        MaterialKind::Noise => "--noise",
        MaterialKind::Rooms => "--rooms",
        MaterialKind::SameClass => "--same-class",
        MaterialKind::Neutral => "--neutral",
    }
}

/// Refuses a plan with a step that has nothing to draw from, and says what the others do without.
pub(super) fn check_material(arguments: &Arguments, plan: &Plan) -> Result<(), Failure> {
    let given = |kind| arguments.folder(kind).is_some();
    plan.check_material(given).map_err(|error| {
        let Some(missing) = error.missing() else {
            return Failure::from(error);
        };
        let options = missing.iter().map(|kind| format!("{} DIR", option(*kind)));
        let options = options.collect::<Vec<_>>().join(" or ");
        let hint = format!("give {options}, or a plan without that step");
        Failure::new(with_causes(&error), hint)
    })?;
    let wanted = plan.absent(|_| false);
    let mut kinds = MaterialKind::ALL.into_iter();
    if let Some(unused) = kinds.find(|kind| given(*kind) && !wanted.contains(kind)) {
        let option = option(unused);
        return Err(Failure::usage(
            format!("{option}: no step of the plan draws {}", unused.name()),
            format!("leave {option} out, or give a plan with such a step"),
        ));
    }
    let absent = plan.absent(given).into_iter();
    let absent = absent.map(|kind| format!("{} ({})", kind.name(), option(kind)));
    let absent = absent.collect::<Vec<_>>().join(", ");
    if !absent.is_empty() {
        tell(&format!(
            "note: the plan would also draw from what is not given: {absent}"
        ));
    }
    Ok(())
}

/// What plans draw from, at one rate.
pub(super) struct Pool {
    babble: Vec<Sound>,
    noise: Vec<Sound>,
    rooms: Vec<ImpulseResponse>,
    same_class: Vec<Sound>,
    neutral: Vec<Sound>,
}

impl Pool {
    pub(super) fn read(arguments: &Arguments, sample_rate: u32) -> Result<Self, AugmentError> {
        let sounds = |kind| {
            let folder = arguments.folder(kind);
            folder.map_or_else(|| Ok(Vec::new()), |it| read_sounds(it, sample_rate))
        };
        let rooms = arguments.folder(MaterialKind::Rooms);
        Ok(Self {
            babble: sounds(MaterialKind::Babble)?,
            noise: sounds(MaterialKind::Noise)?,
            rooms: rooms.map_or_else(|| Ok(Vec::new()), |it| read_responses(it, sample_rate))?,
            same_class: sounds(MaterialKind::SameClass)?,
            neutral: sounds(MaterialKind::Neutral)?,
        })
    }

    /// All of it but the recording itself.
    pub(super) fn without(&self, own: Option<&Path>) -> Material<'_> {
        let own = own.and_then(|path| fs::canonicalize(path).ok());
        let is_other = |sound: &&Sound| {
            let Some(own) = &own else { return true };
            // The name first: asking the system for each of thousands takes long.
            let path = Path::new(sound.name());
            path.file_name() != own.file_name()
                || fs::canonicalize(path).map_or(true, |path| path != *own)
        };
        Material {
            babble: self.babble.iter().filter(is_other).collect(),
            noise: self.noise.iter().filter(is_other).collect(),
            rooms: self.rooms.iter().collect(),
            same_class: self.same_class.iter().filter(is_other).collect(),
            neutral: self.neutral.iter().filter(is_other).collect(),
        }
    }
}
