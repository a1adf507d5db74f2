//! The recordings of a run with their classes and features.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::prelude::*;
use vocalics_audio::{DecodeOptions, read_file};
use vocalics_augment::{ImpulseResponse, MaterialKind, Sound, read_responses, read_sounds};
use vocalics_corpora::{CorpusSpec, LabelMap, LabelSet, Target, Utterance, scan_all};
use vocalics_features::{FeatureMatrix, LogMel};
use vocalics_runtime::Encoder;

use crate::listed::{Content, Listed};
use crate::run::check_kept;
use crate::waveforms::Waveforms;
use crate::{FeatureCache, Progress, TrainConfig, TrainError};

/// Where features are kept and what happens to bad recordings.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Folder of the feature cache.
    pub cache: PathBuf,
    /// Leave unusable recordings out instead of stopping.
    pub keep_going: bool,
    /// Folder of recorded noise that a plan for waveforms may draw from.
    pub noise: Option<PathBuf>,
    /// Folder of recorded impulse responses for the same.
    pub rooms: Option<PathBuf>,
    /// The encoder that the configuration names, if it names one.
    pub encoder: Option<Arc<Encoder>>,
}

impl LoadOptions {
    /// Features kept in `cache`, bad recordings an error, no recorded sounds, no encoder.
    #[must_use]
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self {
            cache: cache.into(),
            keep_going: false,
            noise: None,
            rooms: None,
            encoder: None,
        }
    }
}

/// Recordings, their classes and features, in one order.
#[derive(Debug, Clone)]
pub struct Data {
    /// The recordings, sorted by id.
    pub utterances: Vec<Utterance>,
    /// The label set.
    pub labels: LabelSet,
    /// Class of each recording, an index into the label set.
    pub classes: Vec<usize>,
    /// Log-mel of each recording, `[n_frames, n_mels]`, with functionals `[n_frames, n_mels + n_functionals]`; with an encoder its
    /// embedding, `[1, dim]`.
    pub features: Vec<FeatureMatrix>,
    /// How many of the last columns are functionals, the same in every frame.
    pub n_functionals: usize,
    /// Their waveforms, where the configuration has a plan for them.
    pub waveforms: Option<Waveforms>,
    /// Where the features are embeddings: of which encoder.
    pub embedded: Option<Embedded>,
    /// What the file of each recording holds; empty where they come from no files.
    pub contents: Vec<Content>,
}

/// The encoder whose embeddings are the features.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// The encoder.
    pub encoder: Arc<Encoder>,
    /// Seconds that each embedding comes from.
    pub seconds: Vec<f64>,
}

impl Data {
    /// Scans the corpora, maps the labels, and loads the features of what is left.
    ///
    /// # Errors
    /// When a corpus cannot be scanned, a label is not mapped, or a recording cannot be used and
    /// `keep_going` is off.
    pub fn load(
        config: &TrainConfig,
        corpora: &[CorpusSpec],
        options: &LoadOptions,
        progress: &dyn Progress,
    ) -> Result<Self, TrainError> {
        let target = config.target()?;
        let (utterances, problems) = labelled(corpora, &config.label_map()?, target)?;
        // Said before the recordings are read.
        if !config.training.keep.is_empty() {
            check_kept(config, &LabelSet::for_target(&utterances, target)?)?;
        }
        let sounds = recorded_sounds(config, options)?;
        let without = without(config, options);
        if !without.is_empty() {
            progress.warning(&format!(
                "the plan would also draw from what is not given: {}",
                without.join(", ")
            ));
        }
        let encoder = encoder(config, options)?;
        let results = match &encoder {
            Some(encoder) => load_embeddings(encoder, &utterances, options, progress),
            None => load_features(config, &utterances, options, progress)?,
        };
        let (kept, loaded) = usable(utterances, results, problems, options, progress)?;
        let mut features = Vec::with_capacity(loaded.len());
        let mut seconds = Vec::with_capacity(loaded.len());
        let (mut clips, mut contents) = (Vec::new(), Vec::new());
        for clip in loaded {
            features.push(clip.features);
            seconds.push(clip.seconds);
            contents.push(clip.content);
            clips.extend(clip.waveform);
        }
        let (labels, classes) = classes(&kept, target)?;
        Ok(Self {
            utterances: kept,
            labels,
            classes,
            features,
            n_functionals: config.n_functionals(),
            waveforms: sounds.map(|(noise, rooms)| Waveforms {
                clips,
                noise,
                rooms,
            }),
            embedded: encoder.map(|encoder| Embedded { encoder, seconds }),
            contents,
        })
    }

    /// The list that protocols split.
    #[must_use]
    pub fn listed(&self) -> Listed<'_> {
        Listed {
            utterances: &self.utterances,
            classes: &self.classes,
            contents: &self.contents,
        }
    }

    /// Seconds that the features of a recording come from.
    pub(crate) fn seconds(&self, config: &TrainConfig, clip: usize) -> f64 {
        match &self.embedded {
            Some(embedded) => embedded.seconds.get(clip).copied().unwrap_or(0.0),
            None => config.front_end.seconds(self.features[clip].n_frames()),
        }
    }

    /// Names of the corpora, each once, in order.
    #[must_use]
    pub fn corpora(&self) -> Vec<String> {
        let mut names: Vec<String> = self.utterances.iter().map(|u| u.corpus.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Identifies the recordings: ids, speakers, classes, labels and what the files hold, and the sounds that a plan draws from, but
    /// not where the files lie.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for label in self.labels.iter() {
            hasher.update(label.as_bytes()).update(b"\n");
        }
        for ((utterance, class), features) in self
            .utterances
            .iter()
            .zip(&self.classes)
            .zip(&self.features)
        {
            let line = format!(
                "{},{},{class},{}\n",
                utterance.id,
                utterance.speaker,
                features.n_frames()
            );
            hasher.update(line.as_bytes());
        }
        hasher.update(self.contents.as_flattened());
        if self.embedded.is_some() {
            // An embedding has one frame, whatever the recording: its numbers tell recordings apart.
            let numbers = self.features.iter().flat_map(FeatureMatrix::as_slice);
            let bytes: Vec<u8> = numbers.flat_map(|x| x.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
        if self.n_functionals > 0 {
            let rows = self.features.iter().filter(|it| it.n_frames() > 0);
            for row in rows.map(|it| it.row(0)) {
                let functionals = row.iter().rev().take(self.n_functionals);
                let bytes: Vec<u8> = functionals.flat_map(|x| x.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
        }
        if let Some(Waveforms { noise, rooms, .. }) = &self.waveforms {
            let noise = noise.iter().map(Sound::samples);
            let rooms = rooms.iter().map(ImpulseResponse::taps);
            for sound in noise.chain(rooms) {
                let bytes: Vec<u8> = sound.iter().flat_map(|x| x.to_le_bytes()).collect();
                hasher.update(&bytes);
            }
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

/// The recordings of the corpora that have a class after mapping, and what is wrong with others.
pub(crate) fn labelled(
    corpora: &[CorpusSpec],
    map: &LabelMap,
    target: Target,
) -> Result<(Vec<Utterance>, Vec<String>), TrainError> {
    let scan = scan_all(corpora)?;
    let problems = scan.problems.iter().map(ToString::to_string).collect();
    let utterances = map.apply_all(scan.utterances)?;
    // Recordings whose corpus does not document the target have no class.
    let utterances = utterances
        .into_iter()
        .filter(|u| target.label_of(u).is_some())
        .collect();
    Ok((utterances, problems))
}

/// The recordings that could be read, with what was read of them; the others are an error unless `keep_going`.
pub(crate) fn usable<T>(
    utterances: Vec<Utterance>,
    results: Vec<Result<T, TrainError>>,
    mut problems: Vec<String>,
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<(Vec<Utterance>, Vec<T>), TrainError> {
    let total = utterances.len() + problems.len();
    let mut kept = Vec::with_capacity(utterances.len());
    let mut read = Vec::with_capacity(utterances.len());
    for (utterance, result) in utterances.into_iter().zip(results) {
        match result {
            Ok(found) => {
                kept.push(utterance);
                read.push(found);
            }
            Err(error) => problems.push(with_sources(&error)),
        }
    }
    if !problems.is_empty() {
        if !options.keep_going {
            return Err(TrainError::BadRecordings { problems, total });
        }
        for problem in &problems {
            progress.warning(problem);
        }
    }
    Ok((kept, read))
}

/// The label set of recordings, and the class of each.
pub(crate) fn classes(
    utterances: &[Utterance],
    target: Target,
) -> Result<(LabelSet, Vec<usize>), TrainError> {
    let labels = LabelSet::for_target(utterances, target)?;
    if labels.len() < 2 {
        return Err(TrainError::TooFewClasses {
            actual: labels.len(),
        });
    }
    let classes = utterances
        .iter()
        .filter_map(|u| target.label_of(u).and_then(|label| labels.index_of(&label)))
        .collect();
    Ok((labels, classes))
}

/// Says once that features cannot be kept, whoever finds out first.
#[derive(Debug, Default)]
pub(crate) struct Unkept(AtomicBool);

impl Unkept {
    pub(crate) fn warn(
        &self,
        warning: Option<std::io::Error>,
        options: &LoadOptions,
        progress: &dyn Progress,
    ) {
        if let Some(warning) = warning
            && !self.0.swap(true, Ordering::Relaxed)
        {
            let folder = options.cache.display();
            progress.warning(&format!("features are not kept in {folder}: {warning}"));
        }
    }
}

fn with_sources(error: &TrainError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What a plan draws from and no folder was given for.
fn without(config: &TrainConfig, options: &LoadOptions) -> Vec<&'static str> {
    let given = |kind| match kind {
        MaterialKind::Noise => options.noise.is_some(),
        MaterialKind::Rooms => options.rooms.is_some(),
        _ => true,
    };
    let absent = config.augmentation.waveform.absent(given).into_iter();
    absent.map(MaterialKind::name).collect()
}

/// Recorded noise and recorded rooms.
type Sounds = (Vec<Sound>, Vec<ImpulseResponse>);

/// What a plan may draw from besides the clips, where there is a plan.
fn recorded_sounds(
    config: &TrainConfig,
    options: &LoadOptions,
) -> Result<Option<Sounds>, TrainError> {
    if config.augmentation.waveform.steps.is_empty() {
        return match options.noise.as_ref().or(options.rooms.as_ref()) {
            Some(folder) => Err(TrainError::Config {
                field: "augmentation.waveform",
                actual: format!(
                    "empty, and nothing would be drawn from {}",
                    folder.display()
                ),
                expected: "a plan with such a step",
            }),
            None => Ok(None),
        };
    }
    let wanted = config.augmentation.waveform.absent(|_| false);
    for (kind, folder) in [
        (MaterialKind::Noise, &options.noise),
        (MaterialKind::Rooms, &options.rooms),
    ] {
        if let Some(folder) = folder
            && !wanted.contains(&kind)
        {
            return Err(TrainError::Config {
                field: "augmentation.waveform",
                actual: format!(
                    "a plan that draws no {}, and nothing would be drawn from {}",
                    kind.name(),
                    folder.display()
                ),
                expected: "a plan with such a step, or no such folder",
            });
        }
    }
    let rate = config.front_end.sample_rate;
    let noise = options
        .noise
        .as_deref()
        .map(|folder| read_sounds(folder, rate));
    let rooms = options
        .rooms
        .as_deref()
        .map(|folder| read_responses(folder, rate));
    let noise = noise.transpose().map_err(TrainError::Sounds)?;
    let rooms = rooms.transpose().map_err(TrainError::Sounds)?;
    Ok(Some((noise.unwrap_or_default(), rooms.unwrap_or_default())))
}

/// The encoder of a configuration, if it has one.
fn encoder(
    config: &TrainConfig,
    options: &LoadOptions,
) -> Result<Option<Arc<Encoder>>, TrainError> {
    match (&config.encoder, &options.encoder) {
        (None, None) => Ok(None),
        (Some(named), None) => Err(TrainError::EncoderMissing {
            name: named.description.name.clone(),
        }),
        (None, Some(given)) => Err(TrainError::Config {
            field: "encoder",
            actual: format!("absent beside the encoder {}", given.description().name),
            expected: "the table that says which it is",
        }),
        (Some(named), Some(given)) => named.check(given).map(|()| Some(Arc::clone(given))),
    }
}

/// What a recording gives.
pub(crate) struct Loaded {
    pub(crate) features: FeatureMatrix,
    seconds: f64,
    pub(crate) content: Content,
    /// Where there is a plan for it.
    waveform: Option<Sound>,
}

/// Embeddings, of several clips side by side.
fn load_embeddings(
    encoder: &Encoder,
    utterances: &[Utterance],
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Vec<Result<Loaded, TrainError>> {
    let cache = FeatureCache::new(&options.cache);
    let decode = DecodeOptions {
        sample_rate: Some(encoder.sample_rate()),
        ..DecodeOptions::default()
    };
    let (done, unkept) = (AtomicUsize::new(0), Unkept::default());
    utterances
        .par_iter()
        .map(|utterance| {
            let cached = cache.embedding(encoder, &utterance.path, &decode)?;
            unkept.warn(cached.unkept, options, progress);
            progress.features(done.fetch_add(1, Ordering::Relaxed) + 1, utterances.len());
            Ok(Loaded {
                features: FeatureMatrix::new(cached.value.values, encoder.dim())?,
                seconds: cached.value.seconds,
                content: cached.content,
                waveform: None,
            })
        })
        .collect()
}

pub(crate) fn load_features(
    config: &TrainConfig,
    utterances: &[Utterance],
    options: &LoadOptions,
    progress: &dyn Progress,
) -> Result<Vec<Result<Loaded, TrainError>>, TrainError> {
    let cache = FeatureCache::new(&options.cache);
    let decode = DecodeOptions {
        sample_rate: Some(config.front_end.sample_rate),
        ..DecodeOptions::default()
    };
    // Fails here, once, rather than in every worker.
    LogMel::new(config.front_end.clone())?;
    let functionals = config.functional_sets()?;
    let waveforms = !config.augmentation.waveform.steps.is_empty();
    let (done, unkept) = (AtomicUsize::new(0), Unkept::default());
    let results = utterances
        .par_iter()
        .map_init(
            || LogMel::new(config.front_end.clone()),
            |front_end, utterance| {
                let front_end = match front_end {
                    Ok(front_end) => front_end,
                    Err(error) => {
                        return Err(TrainError::Config {
                            field: "front_end",
                            actual: error.to_string(),
                            expected: "a valid front end",
                        });
                    }
                };
                let (sets, path) = (functionals.as_ref(), &utterance.path);
                let cached = cache.features_beside(front_end, sets, path, &decode)?;
                unkept.warn(cached.unkept, options, progress);
                let waveform = if waveforms {
                    let samples = read_file(&utterance.path, &decode)?.into_samples();
                    let rate = config.front_end.sample_rate;
                    Some(
                        Sound::new(utterance.id.clone(), samples, rate)
                            .map_err(TrainError::Sounds)?,
                    )
                } else {
                    None
                };
                progress.features(done.fetch_add(1, Ordering::Relaxed) + 1, utterances.len());
                Ok(Loaded {
                    seconds: config.front_end.seconds(cached.value.n_frames()),
                    features: cached.value,
                    content: cached.content,
                    waveform,
                })
            },
        )
        .collect();
    Ok(results)
}
