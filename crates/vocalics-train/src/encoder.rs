//! Networks over the embeddings of a frozen encoder: which encoder, and where it is described.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vocalics_runtime::{Encoder, EncoderDescription, Recognizer, merge_encoder, read_model};

use crate::cache::write;
use crate::{Data, Progress, TrainError};

/// The encoder of a configuration: in its file the table `[encoder]`, written by the command that was given the
/// encoder. Where the encoder lies is not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// [`Encoder::hash`].
    pub hash: String,
    /// Numbers of an embedding.
    pub dim: usize,
    /// What the encoder takes and gives.
    pub description: EncoderDescription,
}

impl EncoderConfig {
    /// Of an encoder.
    #[must_use]
    pub fn of(encoder: &Encoder) -> Self {
        Self {
            hash: encoder.hash().to_owned(),
            dim: encoder.dim(),
            description: encoder.description().clone(),
        }
    }

    /// [`Encoder::fingerprint`].
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.description.fingerprint(&self.hash)
    }

    /// That a configuration was written for embeddings that this encoder gives. Name and source may be said in other words.
    ///
    /// # Errors
    /// [`TrainError::OtherEncoder`].
    pub fn check(&self, encoder: &Encoder) -> Result<(), TrainError> {
        let given = Self::of(encoder);
        let may = |it: &Self| it.description.redistributable;
        if (self.fingerprint(), self.dim, may(self))
            == (given.fingerprint(), given.dim, may(&given))
        {
            return Ok(());
        }
        Err(TrainError::OtherEncoder {
            name: self.description.name.clone(),
            expected: self.named(),
            actual: given.named(),
        })
    }

    /// Everything that two have to have in common, for people.
    fn named(&self) -> String {
        let may = if self.description.redistributable {
            "may be passed on"
        } else {
            "may not be passed on"
        };
        format!("{}, {} numbers, {may}", self.fingerprint(), self.dim)
    }
}

/// Loads an encoder with its description: that in `description`, else the TOML file of the encoder's name beside it.
///
/// # Errors
/// [`TrainError::NoDescription`], [`TrainError::Io`], [`TrainError::DescriptionSyntax`], or
/// [`TrainError::ModelFile`] around what [`Encoder::from_file`] says.
pub fn open_encoder(path: &Path, description: Option<&Path>) -> Result<Encoder, TrainError> {
    let beside = path.with_extension("toml");
    let file = description.unwrap_or(&beside);
    let text = std::fs::read_to_string(file).map_err(|source| match source.kind() {
        ErrorKind::NotFound if path.exists() => TrainError::NoDescription {
            encoder: path.to_owned(),
            path: file.to_owned(),
        },
        // The encoder itself is said to be missing where it is.
        ErrorKind::NotFound => TrainError::io("read", path)(source),
        _ => TrainError::io("read", file)(source),
    })?;
    let description = read_description(&text).map_err(|source| TrainError::DescriptionSyntax {
        path: file.to_owned(),
        source: Box::new(source),
    })?;
    // Clips are embedded side by side.
    Ok(Encoder::from_file(path, description, 1)?)
}

/// Puts the encoder into a model file that was written for it, where its licence allows it and its form lets it; says
/// so where not, since such a model needs the encoder beside it.
pub(crate) fn merge_into(
    model: &Path,
    data: &Data,
    progress: &dyn Progress,
) -> Result<(), TrainError> {
    let Some(encoder) = data.embedded.as_ref().map(|embedded| &embedded.encoder) else {
        return Ok(());
    };
    let Some(file) = encoder.file() else {
        return Ok(());
    };
    let head = read_model(model)?;
    let whole = merge_encoder(&read_model(file)?, &head)
        .and_then(|whole| Recognizer::from_bytes(whole.clone()).map(|_| whole));
    match whole {
        Ok(whole) => write(model, &whole).map_err(TrainError::io("write", model)),
        // The head has been trained, written and checked: that stays.
        Err(error) => {
            progress.warning(&format!(
                "the model file holds the head alone and needs --encoder: {error}"
            ));
            Ok(())
        }
    }
}

fn read_description(text: &str) -> Result<EncoderDescription, toml::de::Error> {
    toml::from_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHISPER: &str = r#"
        name = "whisper-tiny"
        version = "main"
        source = "https://huggingface.co/openai/whisper-tiny"
        licence = "MIT"
        redistributable = true
        [input]
        kind = "log-mel"
        name = "input_features"
        sample_rate = 16000
        n_fft = 400
        win_length = 400
        hop_length = 160
        n_mels = 80
        fmin = 0.0
        fmax = 8000.0
        mel_scale = "slaney"
        mel_norm = "slaney"
        center = true
        padding = "reflect"
        log = { base = "log10", floor = 1e-10, range = 8.0 }
        standardise = { kind = "fixed", mean = -4.0, std = 4.0 }
        layout = "[batch, n_mels, frames]"
        frames = 3000
        [output]
        kind = "frames"
        name = "last_hidden_state"
        pooling = "mean+std"
    "#;

    #[test]
    fn a_description_survives_toml() {
        let description = read_description(WHISPER).unwrap();
        description.validate().unwrap();
        let again = toml::to_string_pretty(&description).unwrap();
        assert_eq!(read_description(&again).unwrap(), description);
    }

    #[test]
    fn unknown_and_missing_fields_are_named() {
        for (from, to, said) in [
            ("hop_length = 160", "hop = 160", "unknown field `hop`"),
            ("fmin = 0.0", "", "missing field `fmin`"),
            ("range = 8.0", "rang = 8.0", "unknown field `rang`"),
            (
                "kind = \"log-mel\"",
                "kind = \"mfcc\"",
                "unknown variant `mfcc`",
            ),
            ("mean+std", "median", "unknown variant `median`"),
            (
                "licence = \"MIT\"",
                "license = \"MIT\"",
                "unknown field `license`",
            ),
        ] {
            let text = WHISPER.replace(from, to);
            assert_ne!(text, WHISPER, "{from}");
            let error = read_description(&text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn values_that_no_encoder_has_are_refused() {
        for (from, to, said) in [
            (
                "floor = 1e-10",
                "floor = 1e-10, eps = 1e-10",
                "input.log is floor and eps",
            ),
            ("floor = 1e-10, ", "", "neither floor nor eps"),
            ("std = 4.0", "std = 0.0", "input.standardise"),
            ("frames = 3000", "frames = 0", "input.frames is 0"),
            ("range = 8.0", "range = -1.0", "input.log.range"),
            (
                "kind = \"fixed\", mean = -4.0, std = 4.0",
                "kind = \"clip\"",
                "added zeros",
            ),
            ("\"last_hidden_state\"", "\"\"", "output.name is empty"),
            (
                "sample_rate = 16000",
                "sample_rate = 16",
                "input.sample_rate is 16",
            ),
        ] {
            let text = WHISPER.replace(from, to);
            assert_ne!(text, WHISPER, "{from}");
            let error = read_description(&text).unwrap().validate().unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        let text = WHISPER.replace("fmax = 8000.0", "fmax = 9000.0");
        let error = read_description(&text).unwrap().validate().unwrap_err();
        assert_eq!(error.code(), "model_front_end");
    }
}
