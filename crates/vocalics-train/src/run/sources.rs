//! What trainings draw on besides the recordings: a model file to begin from, one to learn from, corpora that come first.

use std::collections::BTreeSet;

use vocalics_corpora::Fold;
use vocalics_eval::Report;

use crate::distillation::Teacher;
use crate::heard::Heard;
use crate::source_file::SourceFile;
use crate::start::Start;
use crate::{Data, Objective, Progress, TrainConfig, TrainError};

/// The model files that trainings draw on.
pub(super) struct Sources {
    pub(super) start: Option<Start>,
    pub(super) teacher: Option<Teacher>,
}

impl Sources {
    /// Opens those of the configuration, which comes back with their hashes.
    pub(super) fn open(
        config: &TrainConfig,
        data: &Data,
    ) -> Result<(TrainConfig, Self), TrainError> {
        let mut config = config.clone();
        let start = Start::of_file(&config)?.map(|(start, hash)| {
            config.transfer.init_hash = hash;
            start
        });
        let teacher = Teacher::of_file(&config, data)?;
        let teacher = teacher.map(|(teacher, hash)| {
            if let Some(distillation) = &mut config.distillation {
                distillation.teacher_hash = hash;
            }
            teacher
        });
        Ok((config, Self { start, teacher }))
    }

    /// Whom each has heard, and whether it may have heard test speakers.
    pub(super) fn heard(&self, config: &TrainConfig) -> Vec<(&Heard, bool)> {
        let allowed = config.distillation.as_ref();
        let allowed = allowed.is_some_and(|it| it.allow_seen_speakers);
        let start = self.start.iter();
        let start = start.map(|it| (&it.heard, config.transfer.allow_seen_speakers));
        let teacher = self.teacher.iter().map(|it| (&it.heard, allowed));
        start.chain(teacher).collect()
    }
}

/// Opens the model files that a configuration begins and learns from, to say what is wrong with them before recordings are read.
///
/// # Errors
/// A file that cannot be read, is no good model file, or does not fit the configuration.
pub fn check_sources(config: &TrainConfig) -> Result<(), TrainError> {
    Start::of_file(config)?;
    if let Some(it) = config.distillation.as_ref().filter(|it| it.has_file()) {
        let file = SourceFile::open(&it.teacher, &it.teacher_hash)?;
        let ours = config.functional_sets()?;
        file.check_functionals("distillation.teacher", ours.as_ref())?;
        file.check_front_end(&it.teacher, &config.front_end)?;
        file.check_head(&it.teacher)?;
    }
    Ok(())
}

/// There must be recordings for the training that comes first, and for nothing else.
pub(super) fn check_prior(config: &TrainConfig, prior: Option<&Data>) -> Result<(), TrainError> {
    if config.transfer.has_pretraining() == prior.is_some() {
        return Ok(());
    }
    Err(TrainError::Config {
        field: "transfer.pretrain.corpora",
        actual: config.transfer.pretrain.corpora.join(", "),
        expected: "recordings of these corpora, loaded with TrainConfig::before",
    })
}

/// Numbers on validation speakers whom the model file has heard are too good, which is no leak but worth knowing.
pub(super) fn tell_heard_validation(
    folds: &[Fold],
    data: &Data,
    heard: &[(&Heard, bool)],
    progress: &dyn Progress,
) {
    for fold in folds {
        let mut seen = BTreeSet::new();
        for (heard, _) in heard {
            seen.extend(heard.among(&fold.validation, &data.utterances));
        }
        if !seen.is_empty() {
            let speakers: Vec<String> = seen.into_iter().collect();
            progress.warning(&format!(
                "{}: the model file has heard the validation speakers {}; the temperature and the validation numbers \
                 of the history are too good",
                fold.name,
                speakers.join(", ")
            ));
        }
    }
}

/// Who the model learnt from, for people.
pub(super) fn taught_by(config: &TrainConfig, teacher: Option<&Report>) -> String {
    match (&config.distillation, teacher) {
        (_, Some(report)) => report.headline().into_iter().next().unwrap_or_default(),
        (Some(distillation), None) => {
            let hash: String = distillation.teacher_hash.chars().take(16).collect();
            format!("{} (BLAKE3 {hash})", distillation.teacher.display())
        }
        (None, None) => "none".to_owned(),
    }
}

/// Where the first weights come from, for people.
pub(super) fn begun_from(config: &TrainConfig) -> String {
    let transfer = &config.transfer;
    let mut text = if transfer.has_init() {
        let hash: String = transfer.init_hash.chars().take(16).collect();
        format!("{} (BLAKE3 {hash})", transfer.init.display())
    } else {
        "drawn weights".to_owned()
    };
    if transfer.has_pretraining() {
        let (epochs, corpora) = (transfer.pretrain.epochs, &transfer.pretrain.corpora);
        let how = match transfer.pretrain.objective {
            Objective::Labels => "",
            Objective::Byol => " without labels",
        };
        text += &format!(", then {epochs} epochs on {}{how}", corpora.join(" + "));
    }
    text
}
