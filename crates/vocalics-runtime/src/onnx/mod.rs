//! The structure of an ONNX file, checked before the engine sees it.
//!
//! The walk covers every message the engine decodes: lengths lie within their parents, nothing nests
//! deeper than the format needs, tensors hold as many values as their shape says, no weights are kept
//! outside the file, no operator carries a graph of its own, and every operator is on the list the engine
//! is built with. What it finds on the way (metadata, producer, input and output) is returned.
//!
//! These checks tell a damaged or foreign file from a good one. They are no sandbox against a model made
//! to consume memory or time.
//!
//! Source: ONNX 1.19, `onnx.proto` (messages and field numbers), `docs/IR.md`.

mod check;
mod operators;
mod outline;
mod port;
mod proto;

use std::collections::BTreeSet;

pub(crate) use check::integers;
pub use operators::OPERATORS;
pub(crate) use operators::registry;
pub(crate) use outline::{graph, read_props, replace_props};
pub(crate) use port::{Port, port};
pub(crate) use proto::{parse, prefix_names, written};

use self::check::{Beside, check_graph};
use self::outline::outline;
use crate::ModelError;

/// Name of the graph's input, f32 `[batch, n_frames, n_mels]`.
pub const INPUT_NAME: &str = "features";

/// Name of the graph's output, f32 `[batch, n_classes]`.
pub const OUTPUT_NAME: &str = "logits";

/// Name of the output of a graph without a head, f32 `[batch, dim]`.
pub const EMBEDDING_NAME: &str = "embedding";

/// Largest model file accepted, in bytes: what one protocol buffer may hold (2 GiB less a byte).
///
/// Our own networks have a few megabytes; a file with an encoder of 300 million weights in it has 1.2 GB.
pub const MAX_MODEL_BYTES: u64 = (2 << 30) - 1;

/// Largest number of dimensions of a tensor.
const MAX_RANK: usize = 8;

/// What a look at the file's structure tells.
#[derive(Debug, Clone)]
pub(crate) struct Structure {
    /// Producer name, empty when the file names none.
    pub(crate) producer: String,
    /// `metadata_props` in file order.
    pub(crate) props: Vec<(String, String)>,
    /// CRC-32 of the serialised graph.
    pub(crate) graph_crc32: u32,
    /// Inputs that are no weights.
    pub(crate) inputs: Vec<Port>,
    /// Outputs.
    pub(crate) outputs: Vec<Port>,
}

/// Walks the file.
///
/// # Errors
///
/// [`ModelError::NotOnnx`], [`ModelError::TooLarge`], [`ModelError::Truncated`], [`ModelError::Corrupt`],
/// [`ModelError::Operator`] or [`ModelError::Graph`].
pub(crate) fn inspect(bytes: &[u8]) -> Result<Structure, ModelError> {
    inspect_with(bytes, None)
}

/// As [`inspect`], for a file whose weights may lie in files beside it; also gives the names of these.
///
/// # Errors
///
/// As [`inspect`].
pub(crate) fn inspect_with_files_beside(
    bytes: &[u8],
) -> Result<(Structure, BTreeSet<String>), ModelError> {
    let mut names = BTreeSet::new();
    let structure = inspect_with(bytes, Some(&mut names))?;
    Ok((structure, names))
}

fn inspect_with(bytes: &[u8], beside: Beside<'_>) -> Result<Structure, ModelError> {
    let outline = outline(bytes)?;
    let (inputs, outputs) = check_graph(outline.graph, beside)?;
    Ok(Structure {
        producer: outline.producer,
        props: outline.props,
        graph_crc32: crc32fast::hash(outline.graph.bytes()),
        inputs,
        outputs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_a_foreign_file_is() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "empty"),
            (b"PK\x03\x04....", "zip"),
            (b"RIFF\0\0\0\0WAVE", "wav"),
            (b"\x10\0\0\0\0\0\0\0{\"a\":1}", "safetensors"),
            (b"version https://git-lfs.github.com/spec/v1", "git-lfs"),
            (b"just some text", "no onnx header"),
        ];
        for (bytes, expected) in cases {
            let error = inspect(bytes).unwrap_err();
            assert_eq!(error.code(), "model_not_onnx");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
