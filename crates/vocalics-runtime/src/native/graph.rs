//! The graph of an ONNX file as nodes, constants and names.

use std::collections::HashMap;

use super::builder::Compiled;
use super::dim::Dim;
use crate::ModelError;
use crate::onnx::integers;
use crate::wire::{Field, Message, Value};

/// A weight, or a constant of another kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub(crate) dims: Vec<usize>,
    pub(crate) data: Data,
}

impl Constant {
    fn count(&self) -> usize {
        self.dims.iter().product()
    }
}

/// The values of a [`Constant`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    F32(Vec<f32>),
    I64(Vec<i64>),
    I32(Vec<i32>),
    I8(Vec<i8>),
    U8(Vec<u8>),
    /// An element type that only the other engine takes.
    Other,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    pub(crate) int: Option<i64>,
    pub(crate) float: Option<f32>,
    pub(crate) text: String,
    pub(crate) texts: usize,
    pub(crate) ints: Vec<i64>,
    pub(crate) tensor: Option<Constant>,
}

/// An operator and the names it connects.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) operator: String,
    pub(crate) inputs: Vec<String>,
    pub(crate) outputs: Vec<String>,
    pub(crate) attributes: HashMap<String, Attribute>,
}

/// Nodes in file order, which ONNX requires to be an order of execution.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Vec<Node>,
    pub(crate) constants: HashMap<String, Constant>,
    /// Numbers in the weights, of any type, those of `Constant` nodes among them.
    pub(crate) parameters: usize,
}

impl Graph {
    /// Reads a graph that [`inspect`](crate::onnx::inspect) has accepted.
    pub(crate) fn read(mut graph: Message<'_>) -> Result<Self, ModelError> {
        let mut result = Self::default();
        while let Some(field) = graph.next()? {
            match field.number {
                1 => {
                    let node = node(field.message()?)?;
                    result.parameters += node.tensor("value").map_or(0, Constant::count);
                    result.nodes.push(node);
                }
                5 => {
                    let (name, constant) = tensor(field.message()?)?;
                    result.parameters += constant.count();
                    result.constants.insert(name, constant);
                }
                _ => {}
            }
        }
        Ok(result)
    }
}

impl Node {
    /// The name of an input that must be there.
    pub(crate) fn input(&self, index: usize) -> Compiled<&str> {
        self.optional(index)
            .ok_or_else(|| format!("input {index} is missing"))
    }

    /// The name of an input that may be absent.
    pub(crate) fn optional(&self, index: usize) -> Option<&str> {
        let name = self.inputs.get(index)?;
        (!name.is_empty()).then_some(name)
    }

    /// The name of an output, empty when nobody wants it.
    pub(crate) fn output(&self, index: usize) -> &str {
        self.outputs.get(index).map_or("", String::as_str)
    }

    /// Refuses outputs from `count` on.
    pub(crate) fn outputs(&self, count: usize) -> Compiled<()> {
        match self.outputs.iter().skip(count).any(|name| !name.is_empty()) {
            true => Err(format!("more than {count} outputs")),
            false => Ok(()),
        }
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.get(name)
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).and_then(|a| a.int).unwrap_or(default)
    }

    pub(crate) fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name)
            .and_then(|a| a.float)
            .unwrap_or(default)
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.attribute(name).map_or("", |a| a.text.as_str())
    }

    /// A list of integers, `None` when the attribute is absent.
    pub(crate) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|a| a.ints.as_slice())
    }

    pub(crate) fn tensor(&self, name: &str) -> Option<&Constant> {
        self.attribute(name).and_then(|a| a.tensor.as_ref())
    }

    /// Whether an attribute is given at all.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }

    /// The number of image axes, for `[batch, channels, (rows,) columns]` with padding that is given.
    pub(crate) fn image_axes(&self, shape: &[Dim]) -> Compiled<usize> {
        if !matches!(self.text("auto_pad"), "" | "NOTSET") {
            return Err("automatic padding".to_owned());
        }
        match shape.len() {
            3 => Ok(1),
            4 => Ok(2),
            _ => Err("image axes, one or two are known".to_owned()),
        }
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

fn node(mut message: Message<'_>) -> Result<Node, ModelError> {
    let mut node = Node {
        operator: String::new(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        attributes: HashMap::new(),
    };
    while let Some(field) = message.next()? {
        match field.number {
            1 => node.inputs.push(field.message()?.text()?.to_owned()),
            2 => node.outputs.push(field.message()?.text()?.to_owned()),
            4 => field.message()?.text()?.clone_into(&mut node.operator),
            5 => {
                let (name, value) = attribute(field.message()?)?;
                node.attributes.insert(name, value);
            }
            _ => {}
        }
    }
    Ok(node)
}

fn attribute(mut message: Message<'_>) -> Result<(String, Attribute), ModelError> {
    let mut name = String::new();
    let mut value = Attribute {
        int: None,
        float: None,
        text: String::new(),
        texts: 0,
        ints: Vec::new(),
        tensor: None,
    };
    while let Some(field) = message.next()? {
        match field.number {
            1 => field.message()?.text()?.clone_into(&mut name),
            2 => value.float = Some(field.float()?),
            3 => value.int = Some(field.integer()?),
            4 => {
                // Bytes, not text, by the format; no operator here needs others.
                value.text = String::from_utf8_lossy(field.message()?.bytes()).into_owned();
            }
            5 => value.tensor = Some(tensor(field.message()?)?.1),
            8 => value.ints.extend(integers(&field)?),
            9 => value.texts += 1,
            _ => {}
        }
    }
    Ok((name, value))
}

fn tensor(mut message: Message<'_>) -> Result<(String, Constant), ModelError> {
    let whole = message;
    let mut name = String::new();
    let (mut dims, mut kind, mut raw) = (Vec::new(), 0, None);
    let (mut floats, mut ints): (Vec<f32>, Vec<i64>) = (Vec::new(), Vec::new());
    while let Some(field) = message.next()? {
        match field.number {
            1 => dims.extend(integers(&field)?),
            2 => kind = field.integer()?,
            4 => floats.extend(packed_floats(&field)?),
            5 | 7 => ints.extend(integers(&field)?),
            8 => field.message()?.text()?.clone_into(&mut name),
            9 => raw = Some(field.message()?.bytes()),
            _ => {}
        }
    }
    let narrow = || whole.corrupt("a weight out of the range of its type");
    let data = match (kind, raw) {
        (1, Some(raw)) => Data::F32(elements(raw, f32::from_le_bytes)),
        (1, None) => Data::F32(floats),
        (7, Some(raw)) => Data::I64(elements(raw, i64::from_le_bytes)),
        (7, None) => Data::I64(ints),
        (6, Some(raw)) => Data::I32(elements(raw, i32::from_le_bytes)),
        (6, None) => Data::I32(narrowed(&ints).ok_or_else(narrow)?),
        (3, Some(raw)) => Data::I8(elements(raw, i8::from_le_bytes)),
        (3, None) => Data::I8(narrowed(&ints).ok_or_else(narrow)?),
        (2, Some(raw)) => Data::U8(raw.to_vec()),
        (2, None) => Data::U8(narrowed(&ints).ok_or_else(narrow)?),
        _ => Data::Other,
    };
    let dims = dims
        .iter()
        .map(|&dim| usize::try_from(dim).unwrap_or(0))
        .collect();
    Ok((name, Constant { dims, data }))
}

fn elements<const N: usize, T>(raw: &[u8], from: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = raw.as_chunks::<N>();
    chunks.iter().map(|&bytes| from(bytes)).collect()
}

fn narrowed<T: TryFrom<i64>>(values: &[i64]) -> Option<Vec<T>> {
    values
        .iter()
        .map(|&value| T::try_from(value).ok())
        .collect()
}

fn packed_floats(field: &Field<'_>) -> Result<Vec<f32>, ModelError> {
    match field.value {
        Value::Bytes(packed) => Ok(elements(packed.bytes(), f32::from_le_bytes)),
        _ => field.float().map(|value| vec![value]),
    }
}
