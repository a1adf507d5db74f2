//! The top level of an ONNX file: metadata, the version of the operators, and where the graph lies.

use std::ops::Range;

use super::MAX_MODEL_BYTES;
use crate::ModelError;
use crate::wire::{Message, write_bytes};

/// The top level of the file; the graph is not looked into.
#[derive(Debug, Clone)]
pub(super) struct Outline<'a> {
    pub(super) producer: String,
    pub(super) props: Vec<(String, String)>,
    prop_ranges: Vec<Range<usize>>,
    opset: i64,
    pub(super) graph: Message<'a>,
}

/// The graph of a file that [`inspect`](super::inspect) has accepted, and the version of its standard operators (0 when
/// the file states none).
pub(crate) fn graph(bytes: &[u8]) -> Result<(i64, Message<'_>), ModelError> {
    outline(bytes).map(|outline| (outline.opset, outline.graph))
}

/// Reads the metadata without walking the graph.
pub(crate) fn read_props(bytes: &[u8]) -> Result<(String, Vec<(String, String)>), ModelError> {
    outline(bytes).map(|outline| (outline.producer, outline.props))
}

/// Rewrites the file with the given properties in place of every one whose key starts with `prefix`.
///
/// `props` is given the checksum of the graph, since it is stored beside the rest.
pub(crate) fn replace_props(
    bytes: &[u8],
    prefix: &str,
    props: impl FnOnce(u32) -> Result<Vec<(String, String)>, ModelError>,
) -> Result<Vec<u8>, ModelError> {
    let outline = outline(bytes)?;
    let props = props(crc32fast::hash(outline.graph.bytes()))?;
    let mut out = Vec::with_capacity(bytes.len());
    let mut copied = 0;
    for ((key, _), range) in outline.props.iter().zip(&outline.prop_ranges) {
        if key.starts_with(prefix) {
            out.extend_from_slice(&bytes[copied..range.start]);
            copied = range.end;
        }
    }
    out.extend_from_slice(&bytes[copied..]);
    for (key, value) in &props {
        let mut entry = Vec::with_capacity(key.len() + value.len() + 12);
        write_bytes(&mut entry, 1, key.as_bytes());
        write_bytes(&mut entry, 2, value.as_bytes());
        write_bytes(&mut out, 14, &entry);
    }
    Ok(out)
}

pub(super) fn outline(bytes: &[u8]) -> Result<Outline<'_>, ModelError> {
    if bytes.len() as u64 > MAX_MODEL_BYTES {
        return Err(ModelError::TooLarge {
            bytes: bytes.len() as u64,
            limit: MAX_MODEL_BYTES,
        });
    }
    if let Some(found) = foreign_format(bytes) {
        return Err(ModelError::NotOnnx {
            found: found.to_owned(),
        });
    }
    let mut ir_version = None;
    let mut producer = String::new();
    let mut graph = None;
    let mut props = Vec::new();
    let mut prop_ranges = Vec::new();
    let mut opset = 0;
    let mut message = Message::new(bytes);
    // Before the first field that only an ONNX file has, a parse error means "something else".
    let mut read = || -> Result<(), ModelError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => ir_version = Some(field.integer()?),
                2 => field.message()?.text()?.clone_into(&mut producer),
                3 | 4 | 6 => {
                    field.message()?.text()?;
                }
                5 => {
                    field.integer()?;
                }
                7 if graph.is_some() => return Err(field.message()?.corrupt("a second graph")),
                7 => graph = Some(field.message()?),
                8 => opset = opset.max(read_opset(field.message()?)?),
                14 => {
                    let (key, value) = entry(field.message()?)?;
                    props.push((key.to_owned(), value.to_owned()));
                    prop_ranges.push(field.offset..field.offset + field.raw.len());
                }
                20 | 25 | 26 => return Err(field.message()?.corrupt("training data or functions")),
                _ => {}
            }
        }
        Ok(())
    };
    let outcome = read();
    // IR versions are small numbers; anything else in field 1 is not ONNX.
    let looks_like_onnx = ir_version.is_some_and(|version| (1..=1000).contains(&version));
    if !looks_like_onnx {
        return Err(ModelError::NotOnnx {
            found: "no onnx header".to_owned(),
        });
    }
    outcome?;
    let graph = graph.ok_or_else(|| ModelError::Truncated {
        offset: bytes.len(),
        needed: 1,
    })?;
    Ok(Outline {
        producer,
        props,
        prop_ranges,
        opset,
        graph,
    })
}

/// Names well-known formats people mistake for a model file.
fn foreign_format(bytes: &[u8]) -> Option<&'static str> {
    const KNOWN: &[(&[u8], &str)] = &[
        (
            b"PK\x03\x04",
            "a zip archive (pytorch checkpoint or keras model)",
        ),
        (b"\x80\x02", "a python pickle"),
        (b"\x80\x04", "a python pickle"),
        (b"\x89HDF", "an hdf5 file"),
        (b"GGUF", "a gguf model"),
        (b"RTEN", "an rten model"),
        (b"RIFF", "a wav file"),
        (b"fLaC", "a flac file"),
        (b"OggS", "an ogg file"),
        (b"ID3", "an mp3 file"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"<", "a web page or xml file"),
        (b"{", "a json file"),
        (
            b"version https://git-lfs",
            "a git-lfs pointer, not the file itself",
        ),
    ];
    if bytes.is_empty() {
        return Some("an empty file");
    }
    if bytes.get(4..8) == Some(b"TFL3") {
        return Some("a tensorflow-lite model");
    }
    if bytes.get(8..10) == Some(b"{\"") {
        return Some("a safetensors file");
    }
    KNOWN
        .iter()
        .find(|(magic, _)| bytes.starts_with(magic))
        .map(|&(_, name)| name)
}

/// The version of a set of operators; 0 for one that is not the standard's.
fn read_opset(mut message: Message<'_>) -> Result<i64, ModelError> {
    let (mut standard, mut version) = (true, 0);
    while let Some(field) = message.next()? {
        match field.number {
            1 => standard = matches!(field.message()?.text()?, "" | "ai.onnx"),
            2 => version = field.integer()?,
            _ => {}
        }
    }
    Ok(if standard { version } else { 0 })
}

/// Key and value of an entry.
pub(super) fn entry(message: Message<'_>) -> Result<(&str, &str), ModelError> {
    let (mut key, mut value) = ("", "");
    let mut fields = message;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.message()?.text()?,
            2 => value = field.message()?.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}
