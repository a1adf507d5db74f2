//! Fewer passes over memory: element-wise steps joined into chains, and chains into the convolution before
//! them.
//!
//! Nothing here changes what is computed. A chain may repeat a computation for a broadcast value, so only
//! steps of equal shape are joined.

use vocalics_kernels::infer::function::Function;
use vocalics_kernels::infer::pointwise::{Binary, Chain, MAX_INPUTS, Step as Link};

use super::builder::Builder;
use super::step::{Kind, Place, Step, Value, ValueId, root};

/// Most steps of a chain; each has a block of memory in the first-level cache.
const MAX_LINKS: usize = 16;

/// Joins what can be joined; `output` is the graph's.
pub(crate) fn fuse(builder: &mut Builder, output: ValueId) {
    let mut steps: Vec<Option<Step>> = std::mem::take(&mut builder.steps)
        .into_iter()
        .map(Some)
        .collect();
    let values = &builder.values;
    for index in 0..steps.len() {
        while join_chains(&mut steps, values, output, index) {}
    }
    for index in 0..steps.len() {
        into_convolution(&mut steps, values, output, index);
    }
    builder.steps = steps.into_iter().flatten().collect();
}

/// How often a tensor is read, views of it included.
fn uses(steps: &[Option<Step>], values: &[Value], output: ValueId, id: ValueId) -> usize {
    let reads = steps.iter().flatten().flat_map(|step| &step.inputs);
    reads
        .chain([&output])
        .filter(|&&read| root(values, read) == root(values, id))
        .count()
}

/// The step that makes a tensor, if nothing but one read of it is left.
fn only_source(
    steps: &[Option<Step>],
    values: &[Value],
    output: ValueId,
    id: ValueId,
) -> Option<usize> {
    let made = |step: &Option<Step>| step.as_ref().is_some_and(|step| step.outputs.contains(&id));
    let index = steps.iter().position(made)?;
    (uses(steps, values, output, id) == 1).then_some(index)
}

fn chain_of(step: Option<&Step>) -> Option<(&Chain, &Step)> {
    let step = step?;
    match &step.kind {
        Kind::Chain(chain) => Some((chain, step)),
        _ => None,
    }
}

/// Puts a chain that only this one reads in front of it.
fn join_chains(
    steps: &mut [Option<Step>],
    values: &[Value],
    output: ValueId,
    index: usize,
) -> bool {
    let Some((chain, step)) = chain_of(steps[index].as_ref()) else {
        return false;
    };
    let shape = &values[step.outputs[0]].shape;
    for (position, &input) in step.inputs.iter().enumerate() {
        if values[input].shape != *shape {
            continue;
        }
        // The same tensor may be two inputs; then it has two uses and stays.
        let Some(source) = only_source(steps, values, output, input) else {
            continue;
        };
        let Some((before, earlier)) = chain_of(steps[source].as_ref()) else {
            continue;
        };
        let Some((joined, inputs)) = joined(before, &earlier.inputs, chain, &step.inputs, position)
        else {
            continue;
        };
        let outputs = step.outputs.clone();
        steps[source] = None;
        steps[index] = Some(Step {
            kind: Kind::Chain(joined),
            inputs,
            outputs,
        });
        return true;
    }
    false
}

/// The chain `second` with its input `position` computed by `first`.
fn joined(
    first: &Chain,
    first_inputs: &[ValueId],
    second: &Chain,
    second_inputs: &[ValueId],
    position: usize,
) -> Option<(Chain, Vec<ValueId>)> {
    let mut inputs = first_inputs.to_vec();
    for (index, input) in second_inputs.iter().enumerate() {
        if index != position && !inputs.contains(input) {
            inputs.push(*input);
        }
    }
    let links = first.steps().len() + second.steps().len();
    if inputs.len() > MAX_INPUTS || links > MAX_LINKS {
        return None;
    }
    let count = inputs.len();
    // Number of an input among the new inputs.
    let renumbered = |input: ValueId| inputs.iter().position(|other| *other == input);
    let early = |value: usize| match value.checked_sub(first_inputs.len()) {
        None => renumbered(first_inputs[value]),
        Some(link) => Some(count + link),
    };
    let middle = count + first.steps().len();
    let late = |value: usize| match value.checked_sub(second_inputs.len()) {
        None if value == position => Some(middle - 1),
        None => renumbered(second_inputs[value]),
        Some(link) => Some(middle + link),
    };
    let mut chain = Vec::new();
    for link in first.steps() {
        chain.push(mapped(*link, early)?);
    }
    for link in second.steps() {
        chain.push(mapped(*link, late)?);
    }
    Some((Chain::new(count, chain), inputs))
}

fn mapped(link: Link, number: impl Fn(usize) -> Option<usize>) -> Option<Link> {
    Some(match link {
        Link::Apply(function, a) => Link::Apply(function, number(a)?),
        Link::Combine(operation, a, b) => Link::Combine(operation, number(a)?, number(b)?),
    })
}

/// Moves the chain at `index` into the convolution whose result it reads.
fn into_convolution(steps: &mut [Option<Step>], values: &[Value], output: ValueId, index: usize) {
    let Some((chain, step)) = chain_of(steps[index].as_ref()) else {
        return;
    };
    for (position, &input) in step.inputs.iter().enumerate() {
        let Some(source) = only_source(steps, values, output, input) else {
            continue;
        };
        let Some(Step {
            kind: Kind::Convolve(convolution),
            inputs,
            ..
        }) = &steps[source]
        else {
            continue;
        };
        let shape = &values[step.outputs[0]].shape;
        if values[input].shape != *shape {
            continue;
        }
        let mut links = chain.steps();
        let mut more = None;
        if let [
            Link::Combine(Binary::Add, 0, 1) | Link::Combine(Binary::Add, 1, 0),
            rest @ ..,
        ] = links
            && step.inputs.len() == 2
        {
            let other = step.inputs[1 - position];
            let ready = match values[root(values, other)].place {
                Place::Computed => steps[..source]
                    .iter()
                    .flatten()
                    .any(|step| step.outputs.contains(&root(values, other))),
                _ => true,
            };
            let free = !convolution.shortcut && convolution.function.is_none();
            if !(free && ready && values[other].shape == *shape) {
                continue;
            }
            (links, more) = (rest, Some(other));
        } else if step.inputs.len() != 1 {
            continue;
        }
        let Some(function) = one_function(convolution.function, links, step.inputs.len()) else {
            continue;
        };
        let (mut convolution, mut inputs) = (convolution.clone(), inputs.clone());
        convolution.function = function;
        convolution.shortcut |= more.is_some();
        inputs.extend(more);
        steps[source] = Some(Step {
            kind: Kind::Convolve(convolution),
            inputs,
            outputs: step.outputs.clone(),
        });
        steps[index] = None;
        return;
    }
}

/// The one function that `before` and then the links amount to, if there is one.
fn one_function(
    before: Option<Function>,
    links: &[Link],
    inputs: usize,
) -> Option<Option<Function>> {
    let mut result = before;
    for (index, link) in links.iter().enumerate() {
        let Link::Apply(function, of) = *link else {
            return None;
        };
        // Each must be of what came before it: the sum, or the input.
        let previous = match (inputs, index) {
            (1, 0) => 0,
            (inputs, index) => inputs + index - usize::from(inputs == 1),
        };
        if of != previous {
            return None;
        }
        result = Some(match (result, function) {
            (None, function) => function,
            (Some(Function::Relu), Function::Quantise { scale, low, high }) => Function::Quantise {
                scale,
                low: low.max(0.0),
                high: high.max(0.0),
            },
            _ => return None,
        });
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::native::graph::{Attribute, Constant, Data, Graph, Node};
    use crate::native::plan::Plan;

    const N_MELS: usize = 4;

    fn node(
        graph: &mut Graph,
        operator: &str,
        inputs: &[&str],
        output: &str,
        ints: &[(&str, i64)],
    ) {
        let attribute = |int| Attribute {
            int: Some(int),
            float: None,
            text: String::new(),
            texts: 0,
            ints: Vec::new(),
            tensor: None,
        };
        graph.nodes.push(Node {
            operator: operator.to_owned(),
            inputs: inputs.iter().map(|&name| name.to_owned()).collect(),
            outputs: vec![output.to_owned()],
            attributes: HashMap::from_iter(
                ints.iter()
                    .map(|&(name, int)| (name.to_owned(), attribute(int))),
            ),
        });
    }

    fn constant(graph: &mut Graph, name: &str, dims: &[usize], data: Data) {
        let dims = dims.to_vec();
        graph
            .constants
            .insert(name.to_owned(), Constant { dims, data });
    }

    fn floats(graph: &mut Graph, name: &str, dims: &[usize]) {
        let data = Data::F32(vec![0.5; dims.iter().product()]);
        constant(graph, name, dims, data);
    }

    /// A graph with `x` as `[batch, n_mels, n_frames]`, its mean over time as input `width` of the last layer.
    fn graph(middle: impl FnOnce(&mut Graph), pooled: &str, width: usize) -> Graph {
        let mut graph = Graph::default();
        let swap = [0, 2, 1];
        node(&mut graph, "Transpose", &["features"], "x", &[("perm", 0)]);
        if let Some(perm) = graph.nodes[0].attributes.get_mut("perm") {
            perm.ints.extend(swap);
        }
        constant(&mut graph, "time", &[1], Data::I64(vec![2]));
        middle(&mut graph);
        floats(&mut graph, "head", &[width, 2]);
        node(&mut graph, "MatMul", &[pooled, "head"], "logits", &[]);
        graph
    }

    /// What the steps are, in order.
    fn kinds(graph: Graph) -> Vec<&'static str> {
        let plan = Plan::compile(graph, ["features", "logits"], N_MELS, 2).expect("it compiles");
        let name = |step: &Step| match &step.kind {
            Kind::Convolve(convolution) => match (convolution.shortcut, &convolution.function) {
                (false, None) => "convolution",
                (false, Some(Function::Relu)) => "convolution and relu",
                (true, Some(Function::Relu)) => "convolution, shortcut and relu",
                _ => "another convolution",
            },
            Kind::Dense(_) => "dense",
            Kind::Chain(_) => "chain",
            Kind::Reduce { .. } => "reduce",
            Kind::Softmax { .. } => "softmax",
            Kind::Gather(_) => "gather",
            _ => "another",
        };
        plan.steps.iter().map(name).collect()
    }

    fn residual(graph: &mut Graph, sum: [&str; 2], read_again: bool) {
        floats(graph, "w", &[N_MELS, N_MELS, 1]);
        node(graph, "Conv", &["x", "w"], "a", &[]);
        node(graph, "Relu", &["a"], "b", &[]);
        node(graph, "Conv", &["b", "w"], "c", &[]);
        node(graph, "Add", &sum, "d", &[]);
        node(graph, "Relu", &["d"], "e", &[]);
        let last = if read_again {
            node(graph, "Mul", &["e", "c"], "f", &[]);
            "f"
        } else {
            "e"
        };
        node(
            graph,
            "ReduceSum",
            &[last, "time"],
            "pooled",
            &[("keepdims", 0)],
        );
    }

    #[test]
    fn functions_and_shortcuts_go_into_the_convolution() {
        for sum in [["c", "x"], ["x", "c"]] {
            let joined = kinds(graph(|graph| residual(graph, sum, false), "pooled", N_MELS));
            let want = [
                "gather",
                "convolution and relu",
                "convolution, shortcut and relu",
                "reduce",
                "dense",
            ];
            assert_eq!(joined, want);
        }
    }

    /// The sum before the shortcut is read elsewhere, so it must be there.
    #[test]
    fn what_is_read_twice_is_not_joined() {
        let kept = kinds(graph(
            |graph| residual(graph, ["c", "x"], true),
            "pooled",
            N_MELS,
        ));
        let want = [
            "gather",
            "convolution and relu",
            "convolution",
            "chain",
            "reduce",
            "dense",
        ];
        assert_eq!(kept, want);
    }

    #[test]
    fn element_wise_steps_become_one_chain() {
        let steps = kinds(graph(
            |graph| {
                floats(graph, "scale", &[1]);
                node(graph, "Mul", &["x", "scale"], "a", &[]);
                node(graph, "Tanh", &["a"], "b", &[]);
                node(graph, "Add", &["b", "x"], "c", &[]);
                node(graph, "Exp", &["c"], "d", &[]);
                node(
                    graph,
                    "ReduceSum",
                    &["d", "time"],
                    "pooled",
                    &[("keepdims", 0)],
                );
            },
            "pooled",
            N_MELS,
        ));
        assert_eq!(steps, ["gather", "chain", "reduce", "dense"]);
    }

    /// The variance that pooling with attention takes: a square is one read of what it squares.
    #[test]
    fn a_tensor_times_itself_is_joined_to_what_made_it() {
        let steps = kinds(graph(
            |graph| {
                node(graph, "Softmax", &["x"], "weights", &[("axis", 2)]);
                node(graph, "ReduceMean", &["x", "time"], "mean", &[]);
                node(graph, "Sub", &["x", "mean"], "centred", &[]);
                node(graph, "Mul", &["centred", "centred"], "square", &[]);
                node(graph, "Mul", &["square", "weights"], "weighted", &[]);
                let flat = [("keepdims", 0)];
                node(graph, "ReduceSum", &["weighted", "time"], "pooled", &flat);
            },
            "pooled",
            N_MELS,
        ));
        let want = ["gather", "softmax", "reduce", "chain", "reduce", "dense"];
        assert_eq!(steps, want);
    }

    /// The dense form of a 1x1 convolution is for images of one value, and is kept for nothing else.
    #[test]
    fn weights_of_a_convolution_are_kept_once() {
        let graph = graph(
            |graph| {
                floats(graph, "w", &[N_MELS, N_MELS, 1]);
                node(graph, "Conv", &["x", "w"], "a", &[]);
                node(graph, "GlobalAveragePool", &["a"], "b", &[]);
                node(graph, "Conv", &["b", "w"], "c", &[]);
                node(graph, "Flatten", &["c"], "pooled", &[]);
            },
            "pooled",
            N_MELS,
        );
        let plan = Plan::compile(graph, ["features", "logits"], N_MELS, 2).expect("it compiles");
        let dense: Vec<bool> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.kind {
                Kind::Convolve(convolution) => Some(convolution.dense.is_some()),
                _ => None,
            })
            .collect();
        assert_eq!(dense, [false, true]);
    }
}
