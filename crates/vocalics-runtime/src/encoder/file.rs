//! The file of an encoder against its description.

use std::path::{Component, Path, PathBuf};

use super::description::{EncoderDescription, EncoderInput};
use crate::ModelError;
use crate::onnx::{Port, Structure};

/// Names the file that was refused.
pub(super) fn refused(path: &Path, source: ModelError) -> ModelError {
    match source {
        io @ ModelError::Io { .. } => io,
        source => ModelError::EncoderFile {
            path: path.to_owned(),
            source: Box::new(source),
        },
    }
}

/// A file named in a graph, which has to lie in the graph's folder.
pub(super) fn beside(path: &Path, name: &str) -> Result<PathBuf, ModelError> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(file)), None) => Ok(path.with_file_name(file)),
        _ => Err(ModelError::WeightsBeside { name: name.into() }),
    }
}

/// That the graph has the input and the output that are described.
pub(super) fn check_ports(
    structure: &Structure,
    description: &EncoderDescription,
) -> Result<(), ModelError> {
    let graph = |reason: String| Err(ModelError::EncoderPorts { reason });
    let names = |ports: &[Port]| {
        let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        names.join(", ")
    };
    let (name, rank) = match &description.input {
        EncoderInput::Waveform(input) => (&input.name, 2),
        EncoderInput::LogMel(input) => (&input.name, input.layout.shape(1, 1).len()),
    };
    let [input] = structure.inputs.as_slice() else {
        return graph(format!(
            "it has the inputs [{}], expected {name} alone",
            names(&structure.inputs)
        ));
    };
    if input.name != *name {
        return graph(format!(
            "its input is {}, the description says {name}",
            input.name
        ));
    }
    if input.element_type != 1 || input.shape.len() != rank {
        return graph(format!(
            "its input has {} dimensions, expected {rank} of single-precision numbers",
            input.shape.len()
        ));
    }
    if let Some(fixed) = input.shape[0].filter(|batch| *batch != 1) {
        return graph(format!(
            "its input has a fixed batch of {fixed}, expected 1 or any"
        ));
    }
    let output = description.output.name();
    if !structure.outputs.iter().any(|port| port.name == output) {
        return graph(format!(
            "it has the outputs [{}], the description says {output}",
            names(&structure.outputs)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_outside_the_folder_are_refused() {
        let path = Path::new("models/e.onnx");
        assert_eq!(
            beside(path, "e.onnx.data").unwrap(),
            Path::new("models/e.onnx.data")
        );
        for name in ["../secret", "/etc/passwd", "a/b", "..", "."] {
            assert!(beside(path, name).is_err(), "{name}");
        }
    }
}
