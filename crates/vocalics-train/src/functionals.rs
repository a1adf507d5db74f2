//! `[functionals]`: named sets of the whole clip beside its log-mel.

use std::path::Path;

use serde::{Deserialize, Serialize};
use vocalics_audio::DecodeOptions;
use vocalics_features::{FeatureMatrix, Functionals, LogMel, Standardiser, set_by_name};

use crate::{Cached, FeatureCache, TrainConfig, TrainError};

/// The sets whose functionals a network takes (`kind = "two-branch"` or `"functionals-mlp"`).
///
/// They are computed of the whole recording at the front end's rate, untrimmed, and stand behind the mel bands of every frame, so that a
/// crop keeps them and mixup mixes them. Band shift, gain and masks leave them alone; a plan for waveforms computes them anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionalsConfig {
    /// Names of the sets, as in `vocalics features --set`.
    pub sets: Vec<String>,
    /// Whether the network learns from functionals that are moved to the speaker ([`Voice`](vocalics_features::Voice)), each clip by between none and all of
    /// the speaker's other clips, and the model file does the same with what it is given of a speaker.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub speaker_norm: bool,
}

impl FunctionalsConfig {
    /// The sets as this build computes them.
    ///
    /// # Errors
    /// [`TrainError::Feature`] without a set, with an unknown one, and with one that comes twice.
    pub fn resolve(&self) -> Result<Functionals, TrainError> {
        Ok(Functionals::named(&self.sets)?)
    }
}

/// A section without a network that takes it, a network without the section, and what does not go together with it.
///
/// # Errors
/// [`TrainError::Config`] naming the field.
pub(crate) fn check(config: &TrainConfig) -> Result<(), TrainError> {
    let wrong = |field, actual: String, expected| Err(TrainError::config(field, actual, expected));
    let mut networks = config.members().into_iter().chain(config.student());
    let taker = networks.find(|network| network.takes_functionals());
    let section = match (&config.functionals, taker) {
        (None, None) => return Ok(()),
        (None, Some(network)) => {
            let actual = format!("absent beside the network {}", network.kind());
            return wrong("functionals", actual, "sets, as [\"egemaps\"]");
        }
        (Some(section), taker) => {
            section.resolve()?;
            let given = section.sets.join(", ");
            if taker.is_none() {
                let expected =
                    "left out, or a network that takes them: two-branch or functionals-mlp";
                return wrong("functionals.sets", given, expected);
            }
            given
        }
    };
    if config.speaker_norm() && !config.augmentation.waveform.steps.is_empty() {
        let expected = "false beside a plan for waveforms, which alters the voice";
        return wrong("functionals.speaker_norm", "true".to_owned(), expected);
    }
    if config.encoder.is_some() {
        return wrong("functionals.sets", section, "left out with an encoder");
    }
    if config.transfer.has_init() || config.transfer.has_pretraining() {
        let expected = "left out with a transfer: what a model file learnt is about log-mel alone";
        return wrong("functionals.sets", section, expected);
    }
    Ok(())
}

/// Mean and deviation of every column over the training part: of a band over all frames, of a functional over all clips, each once
/// whatever its length.
pub(crate) fn standardiser(
    clips: &[&FeatureMatrix],
    n_functionals: usize,
) -> Result<Standardiser, TrainError> {
    let frames = Standardiser::fit(clips.iter().copied())?;
    if n_functionals == 0 {
        return Ok(frames);
    }
    let width = frames.n_features();
    let firsts = clips.iter().filter(|clip| clip.n_frames() > 0);
    let rows: Vec<f32> = firsts.flat_map(|clip| clip.row(0)).copied().collect();
    let clips = Standardiser::fit([&FeatureMatrix::new(rows, width)?])?;
    let bands = width - n_functionals;
    let joined = |frames: &[f32], clips: &[f32]| [&frames[..bands], &clips[bands..]].concat();
    Ok(Standardiser::new(
        joined(frames.mean(), clips.mean()),
        joined(frames.std(), clips.std()),
    )?)
}

impl FeatureCache {
    /// What a network takes of an audio file: as [`LogMel::compute_beside`], each part kept by itself.
    ///
    /// # Errors
    /// As [`Self::features`] and [`Self::functionals`], and [`TrainError::Feature`] for a set that this build does not compute.
    pub fn features_beside(
        &self,
        front_end: &mut LogMel,
        functionals: Option<&Functionals>,
        path: &Path,
        decode: &DecodeOptions,
    ) -> Result<Cached<FeatureMatrix>, TrainError> {
        let mut cached = self.features(front_end, path, decode)?;
        let Some(functionals) = functionals else {
            return Ok(cached);
        };
        functionals.check()?;
        let mut values = Vec::new();
        let known = functionals.sets().iter();
        for set in known.filter_map(|set| set_by_name(&set.name)) {
            let row = self.functionals(set, path, decode)?;
            values.extend(row.value.into_vec());
            cached.unkept = cached.unkept.or(row.unkept);
        }
        cached.value = Functionals::beside(&cached.value, &values)?;
        Ok(cached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_functional_counts_once_a_clip_whatever_its_length() {
        let clip = |n_frames: usize, band: f32, functional: f32| {
            FeatureMatrix::new([band, functional].repeat(n_frames), 2).unwrap()
        };
        let (long, short) = (clip(30, 1.0, 10.0), clip(10, 5.0, 20.0));
        let fit = standardiser(&[&long, &short], 1).unwrap();
        assert!((fit.mean()[0] - 2.0).abs() < 1e-5, "{:?}", fit.mean());
        assert!((fit.mean()[1] - 15.0).abs() < 1e-5, "{:?}", fit.mean());
        assert!((fit.std()[1] - 5.0).abs() < 1e-4, "{:?}", fit.std());
        let bands = standardiser(&[&long, &short], 0).unwrap();
        assert_eq!(bands, Standardiser::fit([&long, &short]).unwrap());
    }

    #[test]
    fn section_and_network_belong_together() {
        let error = |text: &str| {
            let config: TrainConfig = toml::from_str(text).unwrap();
            config.validate().unwrap_err().to_string()
        };
        let read = |text: &str| {
            let config: TrainConfig = toml::from_str(text).unwrap();
            config.validate().unwrap();
            config
        };
        let two = "[functionals]\nsets = ['egemaps', 'mfcc']\n[network]\nkind = 'two-branch'\n";
        let config = read(&format!("{two}[network.first]\nkind = 'light-cnn'"));
        let written: TrainConfig = toml::from_str(&config.to_toml()).unwrap();
        assert_eq!(written, config);
        assert_eq!(config.n_features(), 64 + config.n_functionals());
        assert!(config.n_functionals() > 88);
        assert!(!TrainConfig::default().to_toml().contains("functionals"));
        assert!(!config.to_toml().contains("speaker_norm") && !config.speaker_norm());
        let by_speaker = two.replace("'mfcc']", "'mfcc']\nspeaker_norm = true");
        let by_speaker = read(&format!("{by_speaker}[network.first]\nkind = 'light-cnn'"));
        assert!(by_speaker.speaker_norm() && by_speaker.to_toml().contains("speaker_norm = true"));
        read("[functionals]\nsets = ['egemaps']\n[[ensemble.networks]]\nkind = 'functionals-mlp'");
        for (text, wrong) in [
            ("[network]\nkind = 'two-branch'", "functionals is absent"),
            (
                "[functionals]\nsets = ['egemaps']",
                "two-branch or functionals-mlp",
            ),
            (
                "[functionals]\nsets = ['loudness']\n[network]\nkind = 'two-branch'",
                "one or more of chroma, egemaps",
            ),
            (
                "[functionals]\nsets = []\n[network]\nkind = 'functionals-mlp'",
                "functionals.sets is empty",
            ),
            (
                &format!("{two}[network.first]\nkind = 'two-branch'"),
                "network.first.kind is \"two-branch\", expected a network over log-mel",
            ),
            (
                &format!("{two}[transfer]\ninit = 'm.onnx'"),
                "left out with a transfer",
            ),
            (
                "[functionals]\nsets = ['egemaps']\nspeaker_norm = true\n[network]\nkind = 'functionals-mlp'\n\
                 [[augmentation.waveform.step]]\nkind = 'telephone'",
                "functionals.speaker_norm is true, expected false beside a plan",
            ),
        ] {
            let said = error(text);
            assert!(said.contains(wrong), "{text}: {said}");
        }
    }
}
