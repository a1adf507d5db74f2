//! Configurations in files, and rates nobody has.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vocalics_dsp::DspError;
use vocalics_dsp::chroma::ChromaFilterbank;
use vocalics_dsp::formant::{FormantConfig, formants};
use vocalics_dsp::harmonicity::harmonicity;
use vocalics_dsp::intensity::intensity;
use vocalics_dsp::mel::{MelFilterbank, MelNorm, MelScale};
use vocalics_dsp::mfcc::{Mfcc, MfccConfig};
use vocalics_dsp::noise_reduction::{NoiseReductionConfig, reduce_noise};
use vocalics_dsp::onset::{OnsetConfig, onset_strength};
use vocalics_dsp::periods::periods;
use vocalics_dsp::pitch::{PitchConfig, PitchTrack, pitch};
use vocalics_dsp::stft::StftConfig;
use vocalics_dsp::syllable::{smooth_intensity, syllable_nuclei};
use vocalics_dsp::voice_activity::{VoiceActivityConfig, VoiceActivityStream, voice_activity};

#[track_caller]
fn survives_a_file<C: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(config: &C) {
    let mut value = serde_json::to_value(config).expect("a struct of numbers");
    let again: C = serde_json::from_value(value.clone()).expect("what was just written");
    assert_eq!(&again, config);
    value["hop_lenght"] = json!(1);
    assert!(serde_json::from_value::<C>(value).is_err());
}

#[test]
fn configurations_survive_a_file_and_misspelt_fields_do_not() {
    survives_a_file(&StftConfig::default());
    survives_a_file(&PitchConfig::default());
    survives_a_file(&FormantConfig::default());
    survives_a_file(&VoiceActivityConfig::default());
    survives_a_file(&NoiseReductionConfig::default());
    survives_a_file(&OnsetConfig::librosa(16_000));
    survives_a_file(&MfccConfig::librosa(16_000));
    survives_a_file(&MfccConfig::htk(16_000));
    let empty = || Value::Object(serde_json::Map::new());
    assert_eq!(
        serde_json::from_value::<StftConfig>(empty()).unwrap(),
        StftConfig::default()
    );
    assert!(serde_json::from_value::<MfccConfig>(empty()).is_err());
}

#[test]
fn a_rate_out_of_range_is_refused_before_anything_is_planned() {
    let refused = |result: Result<(), DspError>, what: &str| {
        let named = matches!(
            result,
            Err(DspError::Parameter {
                name: "sample_rate",
                ..
            })
        );
        assert!(named, "{what}: {result:?}");
    };
    // A sample that is refused as well, to show what is looked at first.
    let x = [f32::NAN; 4];
    for rate in [0, 99, 768_001, u32::MAX] {
        let track = PitchTrack::default();
        refused(pitch(&x, rate, &PitchConfig::default()).map(drop), "pitch");
        refused(harmonicity(&x, rate, 75.0, 0.01).map(drop), "harmonicity");
        refused(periods(&x, rate, &track).map(drop), "periods");
        refused(
            formants(&x, rate, &FormantConfig::default()).map(drop),
            "formants",
        );
        refused(intensity(&x, rate, 100.0, 0.01).map(drop), "intensity");
        refused(smooth_intensity(&x, rate).map(drop), "smooth_intensity");
        refused(syllable_nuclei(&x, rate).map(drop), "syllable_nuclei");
        refused(
            reduce_noise(&x, rate, &NoiseReductionConfig::default()).map(drop),
            "reduce_noise",
        );
        let config = VoiceActivityConfig::default();
        refused(
            voice_activity(&x, rate, &config).map(drop),
            "voice_activity",
        );
        refused(
            VoiceActivityStream::new(rate, &config).map(drop),
            "VoiceActivityStream",
        );
        refused(
            onset_strength(&x, &OnsetConfig::speech(rate)).map(drop),
            "onset_strength",
        );
        refused(Mfcc::new(MfccConfig::htk(rate)).map(drop), "Mfcc");
        refused(
            ChromaFilterbank::new(rate, 512, 12, 0.0).map(drop),
            "ChromaFilterbank",
        );
        let mel = MelFilterbank::new(rate, 512, 40, 0.0, 40.0, MelScale::Htk, MelNorm::None);
        refused(mel.map(drop), "MelFilterbank");
    }
}
