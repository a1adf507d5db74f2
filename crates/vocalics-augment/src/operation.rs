//! The augmentations that there are.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::clip::{Augmented, Clip};
use crate::material::{Material, MaterialKind};
use crate::{
    AugmentError, Augmentation, Codec, CopyPaste, Gain, LowPass, Noise, PitchShift, Room, Speed,
    Telephone, TimeShift, TimeStretch, VocalTract,
};

/// One thing that is done to a waveform. A new one is one file, and here one variant and its line in `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Operation {
    /// [`Noise`].
    Noise(Noise),
    /// [`Room`].
    Room(Room),
    /// [`Gain`].
    Gain(Gain),
    /// [`TimeShift`].
    TimeShift(TimeShift),
    /// [`Speed`].
    Speed(Speed),
    /// [`TimeStretch`].
    TimeStretch(TimeStretch),
    /// [`PitchShift`].
    PitchShift(PitchShift),
    /// [`VocalTract`].
    VocalTract(VocalTract),
    /// [`Telephone`].
    Telephone(Telephone),
    /// [`Codec`].
    Codec(Codec),
    /// [`LowPass`].
    LowPass(LowPass),
    /// [`CopyPaste`].
    CopyPaste(CopyPaste),
}

impl Operation {
    fn kind(&self) -> &dyn Augmentation {
        match self {
            Self::Noise(it) => it,
            Self::Room(it) => it,
            Self::Gain(it) => it,
            Self::TimeShift(it) => it,
            Self::Speed(it) => it,
            Self::TimeStretch(it) => it,
            Self::PitchShift(it) => it,
            Self::VocalTract(it) => it,
            Self::Telephone(it) => it,
            Self::Codec(it) => it,
            Self::LowPass(it) => it,
            Self::CopyPaste(it) => it,
        }
    }
}

impl Augmentation for Operation {
    fn name(&self) -> &'static str {
        self.kind().name()
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.kind().validate()
    }

    fn draws_from(&self) -> Vec<Option<MaterialKind>> {
        self.kind().draws_from()
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        material: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        self.kind().apply(clip, material, rng)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_in_plans() {
        let kinds = [
            "noise",
            "room",
            "gain",
            "time-shift",
            "speed",
            "time-stretch",
            "pitch-shift",
            "vocal-tract",
            "telephone",
            "codec",
            "low-pass",
            "copy-paste",
        ];
        for kind in kinds {
            let operation: Operation = toml::from_str(&format!("kind = \"{kind}\"")).unwrap();
            assert_eq!(operation.name(), kind);
            operation.validate().unwrap();
        }
    }
}
