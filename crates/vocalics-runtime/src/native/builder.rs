//! From nodes to steps, one operator at a time.
//!
//! An operator, attribute or shape that is not known here is no error of the file: the reason is returned
//! and the other engine takes the graph.

use std::collections::HashMap;

use vocalics_kernels::infer::pointwise::{Chain, Step as ChainStep};

use super::dim::{Dim, Dims};
use super::graph::{Attribute, Constant, Data, Graph, Node};
use super::step::{Kind, Place, Step, Value, ValueId};
use super::{linear, moving, numeric, reducing};

/// A result, or why this engine does not take the graph.
pub(crate) type Compiled<T> = Result<T, String>;

/// A tensor that was quantised and waits to be dequantised.
#[derive(Debug, Clone)]
pub(crate) struct Quantised {
    pub(crate) of: ValueId,
    pub(crate) scale: f32,
    pub(crate) zero: f32,
    /// Range of the integer type.
    pub(crate) range: [f32; 2],
}

/// A graph being compiled.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) dims: Dims,
    pub(crate) values: Vec<Value>,
    pub(crate) steps: Vec<Step>,
    pub(crate) constants: HashMap<String, Constant>,
    pub(crate) quantised: HashMap<String, Quantised>,
    pub(crate) names: HashMap<String, ValueId>,
}

/// A node with the checks that every operator needs.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node,
}

impl Builder {
    /// Compiles all nodes; `input` is the name of `[batch, n_frames, n_mels]`.
    pub(crate) fn build(graph: Graph, input: &str, n_mels: usize) -> Compiled<Self> {
        let mut builder = Self {
            dims: Dims::new(),
            values: Vec::new(),
            steps: Vec::new(),
            constants: graph.constants,
            quantised: HashMap::new(),
            names: HashMap::new(),
        };
        let features = builder.add(
            vec![Dims::batch(), Dims::frames(), Dim::of(n_mels)],
            Place::Input,
        );
        builder.names.insert(input.to_owned(), features);
        for node in &graph.nodes {
            builder
                .node(&Call { node })
                .map_err(|reason| format!("{}: {reason}", node.operator))?;
        }
        Ok(builder)
    }

    fn node(&mut self, call: &Call<'_>) -> Compiled<()> {
        let done = numeric::compile(self, call)?
            || linear::compile(self, call)?
            || reducing::compile(self, call)?
            || moving::compile(self, call)?;
        if done {
            Ok(())
        } else {
            Err("not known".to_owned())
        }
    }

    /// Adds a tensor.
    pub(crate) fn add(&mut self, shape: Vec<Dim>, place: Place) -> ValueId {
        self.values.push(Value { shape, place });
        self.values.len() - 1
    }

    /// A constant that is no weight of the file.
    pub(crate) fn number(&mut self, value: f32) -> ValueId {
        self.add(Vec::new(), Place::Constant(vec![value]))
    }

    /// The tensor of a name.
    pub(crate) fn value(&mut self, name: &str) -> Compiled<ValueId> {
        if let Some(&id) = self.names.get(name) {
            return Ok(id);
        }
        let constant = self.constant(name)?;
        let Data::F32(data) = &constant.data else {
            return Err(format!("{name} is a constant that is not f32"));
        };
        let (dims, data) = (constant.dims.clone(), data.clone());
        let shape = dims.into_iter().map(Dim::of).collect();
        let id = self.add(shape, Place::Constant(data));
        self.names.insert(name.to_owned(), id);
        Ok(id)
    }

    /// The constant of a name.
    pub(crate) fn constant(&self, name: &str) -> Compiled<&Constant> {
        self.constants.get(name).ok_or_else(|| {
            if self.names.contains_key(name) {
                format!("{name} is computed, a constant is needed here")
            } else {
                format!("{name} is not there")
            }
        })
    }

    /// The weights of a name, with their shape.
    pub(crate) fn weights(&self, name: &str) -> Compiled<(&[usize], &[f32])> {
        match self.constant(name)? {
            Constant {
                dims,
                data: Data::F32(data),
            } => Ok((dims, data)),
            _ => Err(format!("{name} is not f32")),
        }
    }

    /// The integers of a name.
    pub(crate) fn integers(&self, name: &str) -> Compiled<Vec<i64>> {
        match &self.constant(name)?.data {
            Data::I64(values) => Ok(values.clone()),
            Data::I32(values) => Ok(values.iter().map(|&value| value.into()).collect()),
            _ => Err(format!("{name} holds no integers")),
        }
    }

    /// Gives the result of a node its name.
    pub(crate) fn name(&mut self, name: &str, id: ValueId) -> Compiled<()> {
        if name.is_empty() {
            return Ok(());
        }
        let twice = self.constants.contains_key(name);
        if twice || self.names.insert(name.to_owned(), id).is_some() {
            return Err(format!("{name} is written twice"));
        }
        Ok(())
    }

    /// Adds a step with one result and returns that.
    pub(crate) fn step(&mut self, kind: Kind, inputs: Vec<ValueId>, shape: Vec<Dim>) -> ValueId {
        let output = self.add(shape, Place::Computed);
        self.steps.push(Step {
            kind,
            inputs,
            outputs: vec![output],
        });
        output
    }

    /// Adds a chain over broadcast inputs.
    pub(crate) fn chain(
        &mut self,
        inputs: Vec<ValueId>,
        steps: Vec<ChainStep>,
    ) -> Compiled<ValueId> {
        let mut shape = Vec::new();
        for &input in &inputs {
            shape = broadcast(&shape, &self.values[input].shape)?;
        }
        let chain = Chain::new(inputs.len(), steps);
        Ok(self.step(Kind::Chain(chain), inputs, shape))
    }

    pub(crate) fn shape(&self, id: ValueId) -> &[Dim] {
        &self.values[id].shape
    }

    /// The same numbers under another shape.
    pub(crate) fn view(&mut self, id: ValueId, shape: Vec<Dim>) -> ValueId {
        self.add(shape, Place::View(id))
    }
}

/// The shape of two tensors combined.
pub(crate) fn broadcast(a: &[Dim], b: &[Dim]) -> Compiled<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let of = |shape: &[Dim], axis: usize| -> Option<Dim> {
        (axis + shape.len())
            .checked_sub(rank)
            .map(|axis| shape[axis].clone())
    };
    (0..rank)
        .map(|axis| match (of(a, axis), of(b, axis)) {
            (Some(a), Some(b)) if a == b || b.is_one() => Ok(a),
            (Some(a), Some(b)) if a.is_one() => Ok(b),
            (Some(_), Some(_)) => Err("shapes that do not broadcast".to_owned()),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => Err("an axis of nothing".to_owned()),
        })
        .collect()
}

impl<'a> Call<'a> {
    pub(crate) fn operator(&self) -> &'a str {
        &self.node.operator
    }

    /// The name of an input that must be there.
    pub(crate) fn input(&self, index: usize) -> Compiled<&'a str> {
        self.optional(index)
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// The name of an input that may be absent.
    pub(crate) fn optional(&self, index: usize) -> Option<&'a str> {
        let name = self.node.inputs.get(index)?;
        (!name.is_empty()).then_some(name)
    }

    /// The name of an output, empty when nobody wants it.
    pub(crate) fn output(&self, index: usize) -> &'a str {
        self.node.outputs.get(index).map_or("", String::as_str)
    }

    /// Refuses outputs from `count` on.
    pub(crate) fn outputs(&self, count: usize) -> Compiled<()> {
        match self
            .node
            .outputs
            .iter()
            .skip(count)
            .any(|name| !name.is_empty())
        {
            true => Err(format!("more than {count} outputs")),
            false => Ok(()),
        }
    }

    fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.node.attributes.get(name)
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.int).unwrap_or(default)
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name)
            .and_then(|a| a.float)
            .unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str) -> &'a str {
        self.attribute(name).map_or("", |a| a.text.as_str())
    }

    /// A list of integers, `None` when the attribute is absent.
    pub(crate) fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&'a Constant> {
        self.attribute(name).and_then(|a| a.tensor.as_ref())
    }

    /// Whether an attribute is given at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// Positive sizes, one for each of `axes`; `default` when the attribute is absent.
    pub(crate) fn sizes(&self, name: &str, axes: usize, default: usize) -> Compiled<Vec<usize>> {
        let Some(list) = self.ints(name) else {
            return Ok(vec![default; axes]);
        };
        let sizes: Vec<usize> = list
            .iter()
            .filter_map(|&n| usize::try_from(n).ok())
            .collect();
        if sizes.len() != axes || list.len() != axes {
            return Err(format!("{name} does not fit {axes} axes"));
        }
        Ok(sizes)
    }
}

/// An axis counted from the front, or from the back when negative.
pub(crate) fn axis(index: i64, rank: usize) -> Compiled<usize> {
    let signed = i64::try_from(rank).unwrap_or(0);
    let from_front = if index < 0 { index + signed } else { index };
    usize::try_from(from_front)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("axis {index} of {rank}"))
}
