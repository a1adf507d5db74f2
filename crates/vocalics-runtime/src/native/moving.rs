//! Operators that move numbers or only rename their axes.

use super::builder::{Builder, Compiled, axes, axis};
use super::dim::{Dim, product};
use super::graph::{Data, Node};
use super::step::{Kind, Pick, Start, ValueId};

/// Compiles a node if it is one of these.
pub(crate) fn compile(builder: &mut Builder, node: &Node) -> Compiled<bool> {
    match node.operator.as_str() {
        "Identity" => {
            let x = builder.value(node.input(0)?)?;
            let shape = builder.shape(x).to_vec();
            named_view(builder, node, x, shape)?;
        }
        "Reshape" => reshape(builder, node)?,
        "Flatten" => {
            let x = builder.value(node.input(0)?)?;
            let shape = builder.shape(x).to_vec();
            let at = match node.int("axis", 1) {
                index if usize::try_from(index) == Ok(shape.len()) => shape.len(),
                index => axis(index, shape.len())?,
            };
            let (front, back) = shape.split_at(at);
            let sides = [product(front), product(back)];
            let [Some(front), Some(back)] = sides else {
                return Err("a size out of range".to_owned());
            };
            named_view(builder, node, x, vec![front, back])?;
        }
        "Unsqueeze" => unsqueeze(builder, node)?,
        "Squeeze" => squeeze(builder, node)?,
        "Transpose" => transpose(builder, node)?,
        "Concat" => concat(builder, node)?,
        "Slice" => slice(builder, node)?,
        "Gather" => gather(builder, node)?,
        "Split" => split(builder, node)?,
        "Pad" => pad(builder, node)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn named_view(builder: &mut Builder, node: &Node, x: ValueId, shape: Vec<Dim>) -> Compiled<()> {
    let y = builder.view(x, shape);
    builder.name(node.output(0), y)
}

fn reshape(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let list = builder.integers(node.input(1)?)?;
    let zero_is_zero = node.int("allowzero", 0) != 0;
    let mut out = Vec::new();
    let mut open = None;
    for (index, &length) in list.iter().enumerate() {
        out.push(match length {
            0 if !zero_is_zero => shape
                .get(index)
                .cloned()
                .ok_or("an axis that is not there")?,
            -1 if open.is_none() => {
                open = Some(index);
                Dim::of(1)
            }
            length => Dim::of(usize::try_from(length).map_err(|_| "a negative length")?),
        });
    }
    let total = product(&shape).ok_or("a size out of range")?;
    let known = product(&out).ok_or("a size out of range")?;
    match open {
        Some(index) => {
            out[index] = total
                .divided_by(&known)
                .ok_or("a length that is not whole")?;
        }
        None if total == known => {}
        None => return Err("a shape of another size".to_owned()),
    }
    named_view(builder, node, x, out)
}

fn unsqueeze(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let list = builder.axes(node)?.ok_or("no axes")?;
    let mut new = axes(&list, builder.shape(x).len() + list.len())?;
    new.sort_unstable();
    let mut shape = builder.shape(x).to_vec();
    for at in new {
        if at > shape.len() {
            return Err("an axis twice".to_owned());
        }
        shape.insert(at, Dim::of(1));
    }
    named_view(builder, node, x, shape)
}

fn squeeze(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let gone = match builder.axes(node)? {
        Some(list) => axes(&list, shape.len())?,
        // Which axes that is must not depend on the input.
        None if shape.iter().all(|dim| dim.fixed().is_some()) => (0..shape.len())
            .filter(|&axis| shape[axis].is_one())
            .collect(),
        None => return Err("axes left to the input".to_owned()),
    };
    if gone.iter().any(|&axis| !shape[axis].is_one()) {
        return Err("an axis that is longer than 1".to_owned());
    }
    let kept = shape
        .into_iter()
        .enumerate()
        .filter(|(axis, _)| !gone.contains(axis));
    let shape = kept.map(|(_, dim)| dim).collect();
    named_view(builder, node, x, shape)
}

/// Every axis as it is.
fn whole(rank: usize) -> Vec<Pick> {
    (0..rank)
        .map(|axis| Pick {
            axis,
            start: Start::At(0),
            step: 1,
        })
        .collect()
}

fn transpose(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let rank = shape.len();
    let order: Vec<usize> = match node.ints("perm") {
        Some(list) => axes(list, rank)?,
        None => (0..rank).rev().collect(),
    };
    if order.len() != rank || (0..rank).any(|axis| !order.contains(&axis)) {
        return Err("an order that is no permutation".to_owned());
    }
    let picks = whole(rank);
    let picks = order.iter().map(|&axis| picks[axis]).collect();
    let out: Vec<Dim> = order.iter().map(|&axis| shape[axis].clone()).collect();
    // Where only axes of length 1 move, nothing moves.
    let long = |order: &[usize]| -> Vec<usize> {
        order
            .iter()
            .copied()
            .filter(|&axis| !shape[axis].is_one())
            .collect()
    };
    if long(&order).is_sorted() {
        return named_view(builder, node, x, out);
    }
    let y = builder.step(Kind::Gather(picks), vec![x], out);
    builder.name(node.output(0), y)
}

fn concat(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let inputs: Vec<ValueId> = (0..node.inputs.len())
        .map(|index| builder.value(node.input(index)?))
        .collect::<Compiled<_>>()?;
    let first = inputs.first().ok_or("nothing to join")?;
    let mut out = builder.shape(*first).to_vec();
    let axis = axis(node.int("axis", 0), out.len())?;
    let mut lengths = Vec::new();
    for &input in &inputs {
        let shape = builder.shape(input);
        let fits = shape.len() == out.len()
            && (0..out.len()).all(|other| other == axis || shape[other] == out[other]);
        if !fits {
            return Err("shapes that do not join".to_owned());
        }
        lengths.push(shape[axis].clone());
    }
    out[axis] = builder.dims.sum(&lengths).ok_or("a size out of range")?;
    let y = builder.step(Kind::Concat { axis }, inputs, out);
    builder.name(node.output(0), y)
}

fn slice(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let starts = builder.integers(node.input(1)?)?;
    let ends = builder.integers(node.input(2)?)?;
    let list = match node.optional(3) {
        Some(name) => builder.integers(name)?,
        None => (0..).take(starts.len()).collect(),
    };
    let steps = match node.optional(4) {
        Some(name) => builder.integers(name)?,
        None => vec![1; starts.len()],
    };
    if starts.len() != ends.len() || starts.len() != list.len() || starts.len() != steps.len() {
        return Err("lists of different lengths".to_owned());
    }
    let (mut picks, mut out) = (whole(shape.len()), shape.clone());
    for (((&index, &start), &end), &step) in list.iter().zip(&starts).zip(&ends).zip(&steps) {
        let axis = axis(index, shape.len())?;
        let step = usize::try_from(step).ok().filter(|&step| step > 0);
        let step = step.ok_or("a step backwards")?;
        if picks[axis].step != 1 || !matches!(picks[axis].start, Start::At(0)) {
            return Err("an axis sliced twice".to_owned());
        }
        let (start, length) = part(builder, &shape[axis], start, end, step)?;
        picks[axis] = Pick { axis, start, step };
        out[axis] = length;
    }
    let y = builder.step(Kind::Gather(picks), vec![x], out);
    builder.name(node.output(0), y)
}

/// Start and length of `of[start..end; step]`.
fn part(
    builder: &mut Builder,
    of: &Dim,
    start: i64,
    end: i64,
    step: usize,
) -> Compiled<(Start, Dim)> {
    if let Some(length) = of.fixed() {
        let bound = |at: i64| {
            let signed = i64::try_from(length).unwrap_or(i64::MAX);
            let at = if at < 0 {
                at.saturating_add(signed)
            } else {
                at
            };
            usize::try_from(at.clamp(0, signed)).unwrap_or(0)
        };
        let (start, end) = (bound(start), bound(end));
        let count = end.saturating_sub(start).div_ceil(step);
        return Ok((Start::At(start), Dim::of(count)));
    }
    let small = |at: i64| (at.unsigned_abs() <= 1 << 20).then_some(at);
    let to_the_end = end >= i64::from(i32::MAX);
    let from = |at: i64| usize::try_from(at.unsigned_abs()).unwrap_or(0);
    // A part of an axis of variable length must lie within every length that is let through.
    let length = match (small(start).ok_or("a start")?, small(end)) {
        (start, _) if start < 0 && to_the_end => {
            // The last few: at least that many must be there, which the window below checks.
            let count = from(start).div_ceil(step);
            builder.dims.window(of, start, 1).ok_or("a length")?;
            return Ok((Start::FromEnd(from(start)), Dim::of(count)));
        }
        (start, _) if start >= 0 && to_the_end => builder.dims.window(of, -start - 1, step),
        (start, Some(end)) if start >= 0 && end < 0 => {
            builder.dims.window(of, end - start - 1, step)
        }
        _ => None,
    };
    let length = length.ok_or("a part that depends on the length")?;
    Ok((Start::At(from(start)), length))
}

/// A single index along an axis.
fn gather(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let at = axis(node.int("axis", 0), shape.len())?;
    let indices = builder.constant(node.input(1)?)?;
    let (&[index], scalar) = (
        match &indices.data {
            Data::I64(list) => list.as_slice(),
            _ => return Err("indices of another type".to_owned()),
        },
        indices.dims.is_empty(),
    ) else {
        return Err("more than one index".to_owned());
    };
    let start = match shape[at].fixed() {
        Some(length) => {
            Start::At(axis(index, length).map_err(|_| format!("index {index} of {length}"))?)
        }
        None if index < 0 => part(builder, &shape[at], index, i64::MAX, 1)?.0,
        None => {
            // At least `index + 1` values must be there.
            let add = -index.min(1 << 20) - 1;
            builder.dims.window(&shape[at], add, 1).ok_or("a length")?;
            Start::At(usize::try_from(index).unwrap_or(0))
        }
    };
    let (mut picks, mut out) = (whole(shape.len()), shape);
    picks[at] = Pick {
        axis: at,
        start,
        step: 1,
    };
    out[at] = Dim::of(1);
    let mut y = builder.step(Kind::Gather(picks), vec![x], out.clone());
    if scalar {
        out.remove(at);
        y = builder.view(y, out);
    }
    builder.name(node.output(0), y)
}

fn split(builder: &mut Builder, node: &Node) -> Compiled<()> {
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let axis = axis(node.int("axis", 0), shape.len())?;
    let length = shape[axis].fixed().ok_or("a variable length")?;
    let count = node.outputs.len();
    let sizes: Vec<usize> = match node.optional(1) {
        Some(name) => lengths(&builder.integers(name)?)?,
        None => {
            let size = length.div_ceil(count.max(1));
            (0..count)
                .map(|i| size.min(length.saturating_sub(i * size)))
                .collect()
        }
    };
    if sizes.len() != count || sizes.iter().sum::<usize>() != length {
        return Err("parts that do not fit".to_owned());
    }
    let mut start = 0;
    for (index, &size) in sizes.iter().enumerate() {
        let (mut picks, mut out) = (whole(shape.len()), shape.clone());
        picks[axis].start = Start::At(start);
        out[axis] = Dim::of(size);
        let y = builder.step(Kind::Gather(picks), vec![x], out);
        builder.name(node.output(index), y)?;
        start += size;
    }
    Ok(())
}

fn lengths(list: &[i64]) -> Compiled<Vec<usize>> {
    list.iter()
        .map(|&n| usize::try_from(n).ok().filter(|&n| n <= 1 << 28))
        .collect::<Option<_>>()
        .ok_or_else(|| "a negative length".to_owned())
}

fn pad(builder: &mut Builder, node: &Node) -> Compiled<()> {
    if !matches!(node.text("mode"), "" | "constant") {
        return Err("a mode of padding".to_owned());
    }
    let x = builder.value(node.input(0)?)?;
    let shape = builder.shape(x).to_vec();
    let rank = shape.len();
    let list = lengths(&builder.integers(node.input(1)?)?)?;
    let on: Vec<usize> = match node.optional(3) {
        Some(name) => axes(&builder.integers(name)?, rank)?,
        None => (0..rank).collect(),
    };
    if list.len() != 2 * on.len() || list.iter().any(|&n| n > 4096) {
        return Err("padding of another rank".to_owned());
    }
    let value = match node.optional(2) {
        Some(name) => match builder.weights(name)? {
            (_, [value]) => *value,
            _ => return Err("a value that is not one number".to_owned()),
        },
        None => 0.0,
    };
    let (mut before, mut out) = (vec![0; rank], shape.clone());
    for (index, &axis) in on.iter().enumerate() {
        let (front, back) = (list[index], list[on.len() + index]);
        let more = i64::try_from(front + back).unwrap_or(0);
        before[axis] = front;
        out[axis] = builder
            .dims
            .window(&shape[axis], more - 1, 1)
            .ok_or("a length")?;
    }
    let y = builder.step(Kind::Pad { before, value }, vec![x], out);
    builder.name(node.output(0), y)
}
