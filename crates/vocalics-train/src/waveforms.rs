//! The waveforms of training clips, and what a plan makes of them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rand::rngs::StdRng;
use vocalics_augment::{Clip, ImpulseResponse, Material, MaterialKind, Sound};
use vocalics_corpora::{Fold, Target};
use vocalics_features::{FeatureMatrix, Functionals, LogMel};

use crate::{Data, TrainConfig, TrainError};

/// The class that a copy-paste step may join with any other.
const NEUTRAL: &str = "neutral";

/// Waveforms of all recordings, and what else a plan may draw from. All of it is kept in memory, in single
/// precision: 3.8 MB for a minute at 16 kHz.
#[derive(Debug, Clone)]
pub struct Waveforms {
    /// One for each recording, in their order.
    pub clips: Vec<Sound>,
    /// Recorded noise.
    pub noise: Vec<Sound>,
    /// Recorded impulse responses.
    pub rooms: Vec<ImpulseResponse>,
}

/// A plan and what it draws from in one fold: babble from training clips of other speakers, clips to join from training
/// clips of the same class (the clip itself among them) and of the neutral one, and the recorded sounds.
pub(crate) struct Augmenter<'a> {
    config: &'a TrainConfig,
    data: &'a Data,
    waveforms: &'a Waveforms,
    /// By speaker and class.
    materials: BTreeMap<(&'a str, usize), Material<'a>>,
    functionals: Option<Functionals>,
}

impl<'a> Augmenter<'a> {
    /// `None` where there is no plan.
    ///
    /// # Errors
    /// [`TrainError::Plan`] when a step has nothing to draw from; [`TrainError::Config`] when a clip could be cropped away from the neutral
    /// one that it is joined with.
    pub(crate) fn new(
        config: &'a TrainConfig,
        data: &'a Data,
        fold: &Fold,
    ) -> Result<Option<Self>, TrainError> {
        let plan = &config.augmentation.waveform;
        let waveforms = match &data.waveforms {
            Some(waveforms) if !plan.steps.is_empty() => waveforms,
            None if !plan.steps.is_empty() => {
                return Err(TrainError::Config {
                    field: "augmentation.waveform",
                    actual: "a plan, and the recordings were loaded without their waveforms".into(),
                    expected: "data loaded with the same configuration",
                });
            }
            _ => return Ok(None),
        };
        let sounds = |wanted: &dyn Fn(usize) -> bool| -> Vec<&'a Sound> {
            let clips = fold.train.iter().filter(|&&clip| wanted(clip));
            clips.map(|&clip| &waveforms.clips[clip]).collect()
        };
        let neutral = match config.target()? {
            Target::Emotion => data.labels.index_of(NEUTRAL),
            // Half of a recording decides about an emotion, not about who speaks.
            _ => None,
        };
        let mut materials = BTreeMap::new();
        for &clip in &fold.train {
            let (speaker, class) = (data.utterances[clip].speaker.as_str(), data.classes[clip]);
            materials
                .entry((speaker, class))
                .or_insert_with(|| Material {
                    babble: sounds(&|other| data.utterances[other].speaker != speaker),
                    noise: waveforms.noise.iter().collect(),
                    rooms: waveforms.rooms.iter().collect(),
                    same_class: sounds(&|other| data.classes[other] == class),
                    neutral: sounds(&|other| Some(data.classes[other]) == neutral),
                });
        }
        check_crops(config, data, &fold.train, neutral)?;
        for material in materials.values() {
            plan.check_material(|kind| material.has(kind))
                .map_err(|source| TrainError::Plan {
                    place: fold.name.clone(),
                    source: Box::new(source),
                })?;
        }
        Ok(Some(Self {
            config,
            data,
            waveforms,
            materials,
            functionals: config.functional_sets()?,
        }))
    }

    /// Features of a training clip after the plan; those of the clip as it is where no step was drawn.
    ///
    /// # Errors
    /// [`TrainError::Plan`]; [`TrainError::Feature`] when what comes out has no features.
    pub(crate) fn features(
        &self,
        clip: usize,
        rng: &mut StdRng,
        front_end: &mut LogMel,
    ) -> Result<Cow<'a, FeatureMatrix>, TrainError> {
        let sound = &self.waveforms.clips[clip];
        let speaker = self.data.utterances[clip].speaker.as_str();
        let material = &self.materials[&(speaker, self.data.classes[clip])];
        let outcome = Clip::new(sound.samples(), sound.sample_rate())
            .and_then(|it| self.config.augmentation.waveform.apply(&it, material, rng))
            .map_err(|source| TrainError::Plan {
                place: sound.name().to_owned(),
                source: Box::new(source),
            })?;
        if outcome.record.0.is_empty() {
            return Ok(Cow::Borrowed(&self.data.features[clip]));
        }
        let functionals = self.functionals.as_ref();
        let features = front_end.compute_beside(functionals, &outcome.samples)?;
        Ok(Cow::Owned(features))
    }
}

/// A crop of a clip joined with a neutral one must hold some of the clip, whose class it has.
fn check_crops(
    config: &TrainConfig,
    data: &Data,
    clips: &[usize],
    neutral: Option<usize>,
) -> Result<(), TrainError> {
    let wanted = config.augmentation.waveform.absent(|_| false);
    if !wanted.contains(&MaterialKind::Neutral) {
        return Ok(());
    }
    let longest = |of_neutral: bool| {
        let of = clips
            .iter()
            .filter(|&&clip| of_neutral == (Some(data.classes[clip]) == neutral));
        of.map(|&clip| data.features[clip].n_frames()).max()
    };
    let (Some(own), Some(joined)) = (longest(false), longest(true)) else {
        return Ok(());
    };
    let crop_frames = config.training.crop_frames;
    // Stretched the most, a crop holds the least.
    if crop_frames as f64 * config.augmentation.stretch[0] >= (own + joined) as f64 {
        return Ok(());
    }
    Err(TrainError::Config {
        field: "augmentation.waveform",
        actual: format!(
            "a copy-paste step with neutral clips, and crops of {crop_frames} frames, in which nothing of the clip itself may be left"
        ),
        expected: "partners = [\"same-class\"], or training.crop_frames as long as two clips",
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use vocalics_augment::Plan;
    use vocalics_corpora::{LabelSet, Utterance};

    use super::*;

    const SPEAKERS: [&str; 3] = ["ann", "bob", "cem"];

    /// Two clips of each speaker, the first neutral, the second angry; `cem` is tested.
    fn data(config: &TrainConfig) -> (Data, Fold) {
        let mut front_end = LogMel::new(config.front_end.clone()).unwrap();
        let (mut utterances, mut classes) = (Vec::new(), Vec::new());
        let (mut features, mut clips) = (Vec::new(), Vec::new());
        let labels = LabelSet::new(vec!["neutral".into(), "angry".into()]).unwrap();
        for (place, speaker) in SPEAKERS.into_iter().enumerate() {
            for (class, emotion) in labels.iter().enumerate() {
                let pitch = 0.05 + 0.02 * place as f32 + 0.01 * class as f32;
                let samples: Vec<f32> = (0..16_000u16)
                    .map(|n| (f32::from(n) * pitch).sin() * 0.3)
                    .collect();
                let id = format!("{speaker}-{emotion}");
                features.push(front_end.compute(&samples).unwrap());
                clips.push(Sound::new(id.clone(), samples, 16_000).unwrap());
                classes.push(class);
                utterances.push(Utterance {
                    path: id.clone().into(),
                    id,
                    corpus: "invented".into(),
                    speaker: speaker.into(),
                    sex: None,
                    emotion: emotion.to_owned(),
                    intensity: None,
                    statement: None,
                    repetition: None,
                    channel: None,
                });
            }
        }
        let waveforms = Some(Waveforms {
            clips,
            noise: Vec::new(),
            rooms: Vec::new(),
        });
        let data = Data {
            utterances,
            labels,
            classes,
            features,
            waveforms,
            n_functionals: 0,
            embedded: None,
            contents: Vec::new(),
        };
        let fold = Fold {
            name: "fold-1".into(),
            train: vec![0, 1, 2, 3],
            validation: Vec::new(),
            test: vec![4, 5],
        };
        (data, fold)
    }

    /// With crops longer than two clips.
    fn config(plan: &str) -> TrainConfig {
        let mut config = TrainConfig::default();
        config.training.crop_frames = 200;
        config.augmentation.waveform = Plan::parse("test", plan).unwrap();
        config
    }

    #[test]
    fn only_training_clips_are_drawn_from() {
        let config = config("[[step]]\nkind = 'copy-paste'");
        let (data, fold) = data(&config);
        let augmenter = Augmenter::new(&config, &data, &fold).unwrap().unwrap();
        let names = |sounds: &[&Sound]| -> Vec<String> {
            sounds.iter().map(|sound| sound.name().to_owned()).collect()
        };
        assert_eq!(augmenter.materials.len(), 4);
        let of_ann = &augmenter.materials[&("ann", 1)];
        assert_eq!(names(&of_ann.babble), ["bob-neutral", "bob-angry"]);
        assert_eq!(names(&of_ann.same_class), ["ann-angry", "bob-angry"]);
        assert_eq!(names(&of_ann.neutral), ["ann-neutral", "bob-neutral"]);
        for material in augmenter.materials.values() {
            for sound in [&material.babble, &material.same_class, &material.neutral] {
                assert!(names(sound).iter().all(|name| !name.starts_with("cem")));
            }
        }
    }

    /// A crop may else hold the neutral clip alone, under the class of the other.
    #[test]
    fn neutral_clips_are_joined_only_where_crops_hold_both() {
        let mut config = config("[[step]]\nkind = 'copy-paste'\npartners = ['neutral']");
        let (data, fold) = data(&config);
        config.training.crop_frames = 128;
        let error = Augmenter::new(&config, &data, &fold).err().unwrap();
        let error = error.to_string();
        assert!(
            error.contains("crops of 128 frames") && error.contains("same-class"),
            "{error}"
        );
        config.augmentation.waveform = Plan::parse(
            "test",
            "[[step]]\nkind = 'copy-paste'\npartners = ['same-class']",
        )
        .unwrap();
        Augmenter::new(&config, &data, &fold).unwrap().unwrap();
    }

    #[test]
    fn neutral_clips_are_joined_for_emotions_alone() {
        let mut config = config("[[step]]\nkind = 'copy-paste'");
        config.target = "sex".into();
        let (data, fold) = data(&config);
        let augmenter = Augmenter::new(&config, &data, &fold).unwrap().unwrap();
        assert!(augmenter.materials.values().all(|it| it.neutral.is_empty()));
    }

    #[test]
    fn what_a_plan_does_reaches_the_functionals() {
        let mut config = config("[[step]]\nkind = 'noise'\nsources = ['babble']\nsnr_db = 0");
        let sets = vec!["mfcc".to_owned()];
        config.functionals = Some(crate::FunctionalsConfig {
            sets,
            speaker_norm: false,
        });
        let (data, fold) = data(&config);
        let augmenter = Augmenter::new(&config, &data, &fold).unwrap().unwrap();
        let mut front_end = LogMel::new(config.front_end.clone()).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let made = augmenter.features(0, &mut rng, &mut front_end).unwrap();
        let functionals = Functionals::named(&["mfcc".to_owned()]).unwrap();
        let clean = data.waveforms.as_ref().unwrap().clips[0].samples();
        let clean = functionals.compute(clean, 16_000).unwrap();
        let n_mels = config.front_end.n_mels;
        assert_eq!(made.n_features(), n_mels + clean.len());
        let noisy = &made.row(0)[n_mels..];
        assert!(made.rows().all(|row| row[n_mels..] == *noisy));
        assert_ne!(noisy, clean);
    }

    #[test]
    fn what_a_plan_does_reaches_the_features() {
        let config = config("[[step]]\nkind = 'noise'\nsources = ['babble']\nsnr_db = 0");
        let (data, fold) = data(&config);
        let augmenter = Augmenter::new(&config, &data, &fold).unwrap().unwrap();
        let mut front_end = LogMel::new(config.front_end.clone()).unwrap();
        let mut made = |seed| {
            let mut rng = StdRng::seed_from_u64(seed);
            augmenter
                .features(0, &mut rng, &mut front_end)
                .unwrap()
                .into_owned()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert_ne!(made(1), data.features[0]);
    }

    /// Recordings over lines that the training heard were called unlike it.
    #[test]
    fn what_a_plan_does_is_within_the_domain() {
        let noisy = config("[[step]]\nkind = 'noise'\nsources = ['white']\nsnr_db = 5");
        let (data, fold) = data(&noisy);
        let augmenter = Augmenter::new(&noisy, &data, &fold).unwrap().unwrap();
        let mut front_end = LogMel::new(noisy.front_end.clone()).unwrap();
        let mut rng = StdRng::seed_from_u64(9);
        let other = augmenter.features(1, &mut rng, &mut front_end).unwrap();
        let plain = TrainConfig::default();
        let distance = |config: &TrainConfig| {
            let domain = crate::domain(config, &data, &fold.train).unwrap().unwrap();
            domain.distance(&other).unwrap()
        };
        let (with, without) = (distance(&noisy), distance(&plain));
        assert!(without > 3.0 * with, "{without} {with}");
        assert_eq!(crate::domain(&noisy, &data, &[0]).unwrap(), None);
    }

    #[test]
    fn where_nothing_is_drawn_the_clip_is_as_it_was() {
        let config = config("[[step]]\nkind = 'gain'\nprobability = 0");
        let (data, fold) = data(&config);
        let augmenter = Augmenter::new(&config, &data, &fold).unwrap().unwrap();
        let mut front_end = LogMel::new(config.front_end.clone()).unwrap();
        let mut rng = StdRng::seed_from_u64(1);
        let features = augmenter.features(3, &mut rng, &mut front_end).unwrap();
        assert!(matches!(features, Cow::Borrowed(_)));
        assert_eq!(*features, data.features[3]);
    }

    #[test]
    fn nothing_to_draw_from_is_said_before_training() {
        let config = config("[[step]]\nkind = 'room'\nsources = ['recorded']");
        let (mut data, fold) = data(&config);
        let error = Augmenter::new(&config, &data, &fold).err().unwrap();
        assert!(
            error
                .to_string()
                .starts_with("augmentation.waveform, fold-1")
        );
        assert!(error.hint().unwrap().contains("--rooms DIR"));
        data.waveforms = None;
        let error = Augmenter::new(&config, &data, &fold).err().unwrap();
        assert!(matches!(error, TrainError::Config { .. }), "{error}");
        let plain = TrainConfig::default();
        assert!(Augmenter::new(&plain, &data, &fold).unwrap().is_none());
    }
}
