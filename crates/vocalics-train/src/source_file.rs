//! A model file that trainings begin from or learn from.

use std::path::Path;

use vocalics_features::{Functionals, LogMelConfig};
use vocalics_runtime::{Body, ModelError, ModelMetadata, Recognizer, dequantise, read_model};

use crate::TrainError;

/// An opened model file, with its hash.
pub(crate) struct SourceFile {
    /// In single precision also where the file is in eight bits.
    pub(crate) bytes: Vec<u8>,
    /// BLAKE3, as hexadecimal digits.
    pub(crate) hash: String,
    model: Model,
}

enum Model {
    Whole(Box<Recognizer>),
    /// Without a head, as `vocalics pretrain` writes it.
    Body(Box<Body>),
}

impl SourceFile {
    /// Opens a model file, with a head or without. `known_hash` is that of the file a run began with, empty if none did.
    ///
    /// # Errors
    /// When it cannot be read or is no good model file ([`TrainError::ModelFile`]), was changed since the run was begun
    /// ([`TrainError::InitChanged`]) or hears no log-mel ([`TrainError::InitEncoder`]).
    pub(crate) fn open(path: &Path, known_hash: &str) -> Result<Self, TrainError> {
        let bytes = read_model(path)?;
        let hash = blake3::hash(&bytes).to_hex().to_string();
        if !known_hash.is_empty() && known_hash != hash {
            return Err(TrainError::InitChanged {
                path: path.to_owned(),
            });
        }
        let model = match Recognizer::from_bytes(bytes.clone()) {
            Ok(recognizer) => Ok(Model::Whole(Box::new(recognizer))),
            Err(ModelError::Pretrained { .. }) => {
                Body::from_bytes(bytes.clone()).map(|body| Model::Body(Box::new(body)))
            }
            Err(error) => Err(error),
        };
        let model = model.map_err(|source| in_file(path, source))?;
        let bytes = dequantise(&bytes).map_err(|source| in_file(path, source))?;
        let file = Self { bytes, hash, model };
        if let Some(encoder) = &file.metadata().encoder {
            return Err(TrainError::InitEncoder {
                path: path.to_owned(),
                encoder: encoder.description.name.clone(),
            });
        }
        Ok(file)
    }

    pub(crate) fn metadata(&self) -> &ModelMetadata {
        match &self.model {
            Model::Whole(recognizer) => recognizer.metadata(),
            Model::Body(body) => body.metadata(),
        }
    }

    /// Refuses a file without a head, which has no answers.
    ///
    /// # Errors
    /// [`TrainError::ModelFile`].
    pub(crate) fn check_head(&self, path: &Path) -> Result<(), TrainError> {
        match &self.model {
            Model::Whole(_) => Ok(()),
            Model::Body(body) => Err(pretrained(path, body)),
        }
    }

    /// The model to ask for scores.
    ///
    /// # Errors
    /// As [`Self::check_head`].
    pub(crate) fn into_recognizer(self, path: &Path) -> Result<Recognizer, TrainError> {
        match self.model {
            Model::Whole(recognizer) => Ok(*recognizer),
            Model::Body(body) => Err(pretrained(path, &body)),
        }
    }

    /// Refuses a file over functionals, unless they are these.
    ///
    /// # Errors
    /// [`TrainError::Config`].
    pub(crate) fn check_functionals(
        &self,
        field: &'static str,
        ours: Option<&Functionals>,
    ) -> Result<(), TrainError> {
        let theirs = self.metadata().functionals.as_ref();
        match theirs {
            Some(sets) if theirs != ours => {
                let sets: Vec<&str> = sets.sets().iter().map(|set| set.name.as_str()).collect();
                let actual = format!("a model over the functionals of {}", sets.join(", "));
                let expected = "a model over log-mel alone, or over the sets of [functionals]";
                Err(TrainError::config(field, actual, expected))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a file whose features are not those of the configuration.
    ///
    /// # Errors
    /// [`TrainError::InitFrontEnd`].
    pub(crate) fn check_front_end(
        &self,
        path: &Path,
        front_end: &LogMelConfig,
    ) -> Result<(), TrainError> {
        let metadata = self.metadata();
        if metadata.front_end_fingerprint == front_end.fingerprint() {
            return Ok(());
        }
        Err(TrainError::InitFrontEnd {
            path: path.to_owned(),
            differences: differences(&metadata.front_end, front_end),
        })
    }
}

fn in_file(path: &Path, source: ModelError) -> ModelError {
    ModelError::File {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

fn pretrained(path: &Path, body: &Body) -> TrainError {
    let name = body.metadata().name.clone();
    in_file(path, ModelError::Pretrained { name }).into()
}

/// The fields of a model file's front end that a configuration has otherwise, as its TOML would have them.
fn differences(file: &LogMelConfig, config: &LogMelConfig) -> String {
    let table = |front_end: &LogMelConfig| toml::Table::try_from(front_end).unwrap_or_default();
    let (file, config) = (table(file), table(config));
    let differences: Vec<String> = file
        .iter()
        .filter(|(field, value)| config.get(*field) != Some(value))
        .map(|(field, value)| format!("{field} = {value}"))
        .collect();
    differences.join(", ")
}
