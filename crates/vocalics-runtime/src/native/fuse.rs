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
        attention(&mut steps, values, output, index);
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

/// Mean and deviation weighted by a softmax over the last axis, the ten operators of attentive statistics
/// pooling, become one step at the place of the concatenation `index`.
fn attention(steps: &mut [Option<Step>], values: &[Value], output: ValueId, index: usize) {
    let found = find_attention(steps, values, output, index);
    let Some((parts, [x, scores], epsilon)) = found else {
        return;
    };
    let Some(outputs) = steps[index].as_ref().map(|step| step.outputs.clone()) else {
        return;
    };
    for part in parts {
        steps[part] = None;
    }
    steps[index] = Some(Step {
        kind: Kind::AttentiveStatistics { epsilon },
        inputs: vec![x, scores],
        outputs,
    });
}

type Attention = (Vec<usize>, [ValueId; 2], f32);

fn find_attention(
    steps: &[Option<Step>],
    values: &[Value],
    output: ValueId,
    index: usize,
) -> Option<Attention> {
    use vocalics_kernels::infer::reduce::Reduction::Sum;
    let join = steps[index].as_ref()?;
    let (Kind::Concat { axis: 1 }, &[mean, deviation]) = (&join.kind, join.inputs.as_slice())
    else {
        return None;
    };
    let source = |id: ValueId| {
        let id = root(values, id);
        let index = steps
            .iter()
            .position(|step| step.as_ref().is_some_and(|step| step.outputs.contains(&id)))?;
        Some((index, steps[index].as_ref()?))
    };
    let used = |id: ValueId| uses(steps, values, output, id);
    // deviation = sqrt(relu(second - mean · mean) + epsilon)
    let (root_index, root_step) = source(deviation)?;
    let (chain, _) = chain_of(Some(root_step))?;
    let position = |id: ValueId| {
        root_step
            .inputs
            .iter()
            .position(|&input| root(values, input) == root(values, id))
    };
    let m = position(mean)?;
    let [
        Link::Combine(Binary::Mul, m1, m2),
        Link::Combine(Binary::Sub, second, 3),
        Link::Apply(Function::Relu, 4),
        Link::Combine(Binary::Add, 5, epsilon),
        Link::Apply(Function::Sqrt, 6),
    ] = *chain.steps()
    else {
        return None;
    };
    if root_step.inputs.len() != 3 || m1 != m || m2 != m || second > 2 || epsilon > 2 {
        return None;
    }
    let Place::Constant(number) = &values[root_step.inputs[epsilon]].place else {
        return None;
    };
    let &[epsilon] = number.as_slice() else {
        return None;
    };
    let second = root_step.inputs[second];
    // mean = sum(weighted), second = sum(weighted · x), weighted = x · softmax(scores)
    let summed = |id: ValueId| {
        let (index, step) = source(id)?;
        match (&step.kind, step.inputs.as_slice()) {
            (
                Kind::Reduce {
                    reduction: Sum,
                    axes,
                },
                &[of],
            ) if *axes == (2..3) => Some((index, of)),
            _ => None,
        }
    };
    let product = |id: ValueId| {
        let (index, step) = source(id)?;
        match (chain_of(Some(step))?.0.steps(), step.inputs.as_slice()) {
            ([Link::Combine(Binary::Mul, 0, 1)], &[a, b]) => Some((index, [a, b])),
            _ => None,
        }
    };
    let (mean_index, weighted) = summed(mean)?;
    let (second_index, square) = summed(second)?;
    let (square_index, [a, b]) = product(square)?;
    let x = if a == weighted { b } else { a };
    let (weighted_index, factors) = product(weighted)?;
    let weights = if factors[0] == x {
        factors[1]
    } else {
        factors[0]
    };
    let (softmax_index, softmax) = source(weights)?;
    let Kind::Softmax {
        logarithm: false,
        axis: 2,
    } = softmax.kind
    else {
        return None;
    };
    let scores = softmax.inputs[0];
    let [batch, rows, _] = values[x].shape.as_slice() else {
        return None;
    };
    let fits = (a == weighted || b == weighted)
        && factors.contains(&x)
        && values[scores].shape == values[x].shape
        && values[weights].shape == values[x].shape
        && used(weights) == 1
        && used(weighted) == 2
        && used(square) == 1
        && used(second) == 1
        // Two of the chain's reads are one input.
        && used(mean) == 2
        && used(deviation) == 1
        && [mean, deviation].iter().all(|&id| values[id].shape == [batch.clone(), rows.clone()]);
    let parts = vec![
        root_index,
        mean_index,
        second_index,
        square_index,
        weighted_index,
        softmax_index,
    ];
    fits.then_some((parts, [x, scores], epsilon))
}
