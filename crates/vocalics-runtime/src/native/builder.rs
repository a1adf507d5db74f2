//! From nodes to steps, one operator at a time.
//!
//! An operator, attribute or shape that is not known here is no error of the file: the reason is returned
//! and the other engine takes the graph.

use std::collections::HashMap;

use vocalics_kernels::infer::pointwise::{Chain, Step as ChainStep};

use super::dim::{Dim, Dims};
use super::graph::{Constant, Data, Graph, Node};
use super::step::{Kind, Place, Step, Value, ValueId, root};
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
        let mut last_read: HashMap<&str, usize> = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            last_read.extend(node.inputs.iter().map(|name| (name.as_str(), index)));
        }
        for (index, node) in graph.nodes.iter().enumerate() {
            builder
                .node(node)
                .map_err(|reason| format!("{}: {reason}", node.operator))?;
            // The steps have weights of their own: both for the whole network at once would double what loading takes.
            for name in &node.inputs {
                if last_read.get(name.as_str()) == Some(&index)
                    && let Some(constant) = builder.constants.get_mut(name)
                {
                    constant.data = Data::Other;
                }
            }
        }
        Ok(builder)
    }

    fn node(&mut self, node: &Node) -> Compiled<()> {
        let done = numeric::compile(self, node)?
            || linear::compile(self, node)?
            || reducing::compile(self, node)?
            || moving::compile(self, node)?;
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
        let of = root(&self.values, id);
        self.add(shape, Place::View(of))
    }

    /// The axes of an operator: an attribute in old versions, an input in new ones.
    pub(crate) fn axes(&self, node: &Node) -> Compiled<Option<Vec<i64>>> {
        match (node.ints("axes"), node.optional(1)) {
            (Some(list), _) => Ok(Some(list.to_vec())),
            (None, Some(name)) => self.integers(name).map(Some),
            (None, None) => Ok(None),
        }
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

/// An entry for rows and one for columns; in one dimension the image has one row.
pub(crate) fn pair(list: &[usize], missing: usize) -> [usize; 2] {
    match *list {
        [rows, columns] => [rows, columns],
        [columns] => [missing, columns],
        _ => [missing, missing],
    }
}

/// As [`axis`], for a list.
pub(crate) fn axes(list: &[i64], rank: usize) -> Compiled<Vec<usize>> {
    list.iter().map(|&index| axis(index, rank)).collect()
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
