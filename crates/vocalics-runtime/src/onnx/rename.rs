//! Names of a graph that becomes part of another.

use rten_onnx::onnx::GraphProto;

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
