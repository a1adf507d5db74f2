//! `vocalics export`: a model file checked and written again, perhaps in eight bits.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use vocalics_audio::DecodeOptions;
use vocalics_features::{FeatureMatrix, LogMel};
use vocalics_runtime::{
    ModelError, Recognizer, merge_encoder, quantise, quantise_weights, read_model,
};

use crate::failure::{Failure, feature_hint, with_causes};
use crate::input::{self, Input};
use crate::output::{target, tell, write_beside};
use crate::recognition::{Refusal, Refusals, cores, in_order};

/// Recordings below which a note says that ranges are chosen on few.
const FEW: usize = 20;

/// Write a model file for use elsewhere
///
/// The model is loaded with every check there is, its test vector included, before anything is
/// written. Without further options the file is written as it is, so that a copy that exists is a copy that works.
/// With --int8 the weights take one byte each. With --calibrate as well, what they are multiplied with is rounded
/// too, for engines with integer kernels such as onnxruntime's: ranges are chosen on recordings like those the model is for, a
/// hundred are plenty. With --encoder a head on the embeddings of an encoder and that encoder become one file, where
/// the encoder's licence allows it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Model file
    model: PathBuf,
    /// File to write; must not exist
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Quantise to eight bits
    #[arg(long)]
    int8: bool,
    /// Encoder of the model, to put into the same file
    #[arg(long, value_name = "ENCODER.onnx", conflicts_with = "int8")]
    encoder: Option<PathBuf>,
    /// Recordings to choose the ranges of inputs on, or folders to walk
    #[arg(long, value_name = "FILE|DIR", num_args = 1.., requires = "int8")]
    calibrate: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Known before the work, not after.
    let out = target(&arguments.out, [])?;
    refuse_to_overwrite(&out)?;
    let original = read_model(&arguments.model)?;
    let recognizer =
        Recognizer::from_bytes(original.clone()).map_err(|source| ModelError::File {
            path: arguments.model.clone(),
            source: Box::new(source),
        })?;
    if let Some(encoder) = &arguments.encoder {
        let whole = merge_encoder(&read_model(encoder)?, &original);
        let whole = whole.map_err(|source| match source {
            of_both @ (ModelError::EncoderMerge { .. }
            | ModelError::EncoderUnused
            | ModelError::EncoderHash { .. }) => of_both,
            source => ModelError::EncoderFile {
                path: encoder.clone(),
                source: Box::new(source),
            },
        })?;
        Recognizer::from_bytes(whole.clone())?;
        write(&out, &whole)?;
        let bytes = whole.len();
        tell(&format!(
            "{}: checked, {bytes} bytes, encoder and head",
            arguments.out.display()
        ));
        return Ok(());
    }
    if !arguments.int8 {
        write(&out, &original)?;
        tell(&format!(
            "{}: checked, {} bytes",
            arguments.out.display(),
            original.len()
        ));
        return Ok(());
    }
    if recognizer.metadata().encoder.is_some() {
        // Said before the recordings are read.
        let reason = "it takes the embeddings of an encoder".to_owned();
        return Err(ModelError::NotQuantisable { reason }.into());
    }
    let quantised = if arguments.calibrate.is_empty() {
        quantise_weights(&original)?
    } else {
        let clips = features(&recognizer, &arguments.calibrate)?;
        if clips.len() < FEW {
            let (n, plural) = (clips.len(), if clips.len() == 1 { "" } else { "s" });
            tell(&format!(
                "note: the ranges are chosen on {n} recording{plural}; they may not fit others, a hundred are plenty"
            ));
        }
        quantise(&original, &clips)?
    };
    write(&out, &quantised.bytes)?;
    let note = &quantised.note;
    tell(&format!(
        "{}: {} bytes, {:.3} of {}; {} layers in eight bits",
        arguments.out.display(),
        quantised.bytes.len(),
        ratio(quantised.bytes.len(), original.len()),
        original.len(),
        note.layers,
    ));
    for ranges in &quantised.tried {
        let chosen = if note.ranges.as_ref() == Some(ranges) {
            ", chosen"
        } else {
            ""
        };
        tell(&format!(
            "  {}: mean difference of a score {:.5}, same label for {:.1} % of {} recordings{chosen}",
            ranges.range,
            ranges.score_error,
            100.0 * ranges.agreement,
            ranges.clips,
        ));
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "files are far below 2^52 bytes")]
fn ratio(new: usize, old: usize) -> f64 {
    new as f64 / old as f64
}

pub(crate) fn refuse_to_overwrite(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Err(Failure::new(
            format!("{} exists", path.display()),
            "give another name, or remove it first",
        ));
    }
    Ok(())
}

/// Writes a new file, whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    // It may have come to be meanwhile.
    refuse_to_overwrite(path)?;
    write_beside(path, |out| out.write_all(bytes))
}

/// Features of all recordings; one that cannot be used ends it.
fn features(recognizer: &Recognizer, paths: &[PathBuf]) -> Result<Vec<FeatureMatrix>, Failure> {
    let config = &recognizer.metadata().front_end;
    let functionals = recognizer.metadata().functionals.as_ref();
    let options = DecodeOptions {
        sample_rate: Some(config.sample_rate),
        ..DecodeOptions::default()
    };
    let inputs = input::expand(paths, false)?;
    let work = |input: &Input| {
        let waveform = input.decode(None, &options)?;
        let features = LogMel::new(config.clone())
            .and_then(|mut front_end| front_end.compute_beside(functionals, waveform.samples()))
            .map_err(|error| Refusal {
                code: "front_end",
                message: with_causes(&error),
                hint: feature_hint(&error),
            })?;
        if is_constant(&features) {
            return Err(Refusal {
                code: "constant",
                message: "its features are the same in every frame, as in silence, or it has a single one".to_owned(),
                hint: "calibrate on recordings of speech",
            });
        }
        Ok(features)
    };
    let (mut clips, mut failed) = (Vec::new(), 0);
    let mut refusals = Refusals::default();
    in_order(&inputs, cores(), work, |index, outcome| {
        match outcome {
            Ok(features) => clips.push(features),
            Err(refusal) => {
                failed += 1;
                refusals.tell(&inputs[index].shown(), &refusal);
            }
        }
        Ok(())
    })?;
    if failed > 0 {
        // Each kind of failure has its own hint above.
        let total = inputs.len();
        tell(&format!(
            "error: {failed} of {total} recordings cannot be used"
        ));
        return Err(Failure::Reported);
    }
    Ok(clips)
}

/// Whether every frame is the first again, as in silence.
fn is_constant(features: &FeatureMatrix) -> bool {
    let values = features.as_slice();
    let mut frames = values.chunks_exact(features.n_features());
    let first = frames.next().unwrap_or_default();
    frames.all(|frame| frame == first)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_exists_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("model.onnx");
        assert!(write(&path, b"one").is_ok());
        assert!(write(&path, b"two").is_err());
        assert_eq!(fs::read(&path).expect("written"), b"one");
        let entries = fs::read_dir(folder.path()).expect("folder").count();
        assert_eq!(entries, 1, "nothing else is left");
    }
}
