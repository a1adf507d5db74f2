//! A file as messages that can be changed.

use rten_onnx::onnx::{GraphProto, ModelProto};

use crate::ModelError;

pub(crate) fn parse(bytes: &[u8]) -> Result<ModelProto, ModelError> {
    ModelProto::parse_buf(bytes).map_err(|error| ModelError::Graph {
        reason: error.to_string(),
    })
}

pub(crate) fn written(model: &ModelProto) -> Result<Vec<u8>, ModelError> {
    model.write_buf().map_err(|error| ModelError::Graph {
        reason: error.to_string(),
    })
}

/// Begins every name of a graph's weights, nodes and values with `prefix`; those in `kept` get the name beside them.
pub(crate) fn prefix_names(
    mut graph: GraphProto,
    prefix: &str,
    kept: &[(&str, &str)],
) -> GraphProto {
    let renamed = |name: &mut String| match kept.iter().find(|(old, _)| old == name) {
        _ if name.is_empty() => {}
        Some((_, new)) => (*new).clone_into(name),
        None => name.insert_str(0, prefix),
    };
    for tensor in &mut graph.initializer {
        tensor.name.iter_mut().for_each(renamed);
    }
    for node in &mut graph.node {
        node.name.iter_mut().for_each(renamed);
        node.input.iter_mut().for_each(renamed);
        node.output.iter_mut().for_each(renamed);
    }
    graph
}
