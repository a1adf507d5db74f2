//! The walk through a graph: nodes, their attributes, and the weights.

use std::collections::BTreeSet;

use super::MAX_RANK;
use super::operators::OPERATORS;
use super::outline::entry;
use super::port::{Port, port};
use crate::ModelError;
use crate::wire::{Field, Message, Value};

/// Largest magnitude of an integer attribute; strides, pads and the like are far below.
const MAX_ATTRIBUTE: u64 = 65_536;

/// Largest element of an integer-list attribute (kernel shapes, strides, pads, dilations, axes).
const MAX_LIST_ATTRIBUTE: u64 = 4_096;

/// Names of the files beside the model that hold weights; `None` where all have to lie in it.
pub(super) type Beside<'a> = Option<&'a mut BTreeSet<String>>;

/// Inputs that are no weights, and outputs.
pub(super) fn check_graph(
    graph: Message<'_>,
    mut beside: Beside<'_>,
) -> Result<(Vec<Port>, Vec<Port>), ModelError> {
    let mut initializers = Vec::new();
    let mut inputs = Vec::new();
    let mut outputs = Vec::new();
    let mut fields = graph;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => check_node(field.message()?)?,
            2 | 10 => {
                field.message()?.text()?;
            }
            5 => initializers.push(check_tensor(field.message()?, beside.as_deref_mut())?),
            11 => inputs.push(port(field.message()?)?),
            12 => outputs.push(port(field.message()?)?),
            13 => {
                port(field.message()?)?;
            }
            15 => return Err(field.message()?.corrupt("sparse weights")),
            _ => {}
        }
    }
    // Old IR versions list the weights among the inputs.
    inputs.retain(|port| !initializers.contains(&port.name.as_str()));
    Ok((inputs, outputs))
}

fn check_node(node: Message<'_>) -> Result<(), ModelError> {
    let mut operator = "";
    let mut domain = "";
    let mut fields = node;
    while let Some(field) = fields.next()? {
        match field.number {
            1..=3 | 6 | 8 => {
                field.message()?.text()?;
            }
            4 => operator = field.message()?.text()?,
            5 => check_attribute(field.message()?)?,
            7 => domain = field.message()?.text()?,
            _ => {}
        }
    }
    let standard = matches!(domain, "" | "ai.onnx");
    if standard && (operator == "Constant" || OPERATORS.contains(&operator)) {
        return Ok(());
    }
    Err(ModelError::Operator {
        operator: if standard {
            operator.to_owned()
        } else {
            format!("{domain}.{operator}")
        },
    })
}

fn check_attribute(attribute: Message<'_>) -> Result<(), ModelError> {
    let bounded = |value: i64, limit: u64| {
        if value.unsigned_abs() > limit {
            Err(attribute.corrupt("an attribute out of range"))
        } else {
            Ok(())
        }
    };
    let mut fields = attribute;
    while let Some(field) = fields.next()? {
        match field.number {
            1 | 4 | 9 | 13 => {
                field.message()?;
            }
            3 => bounded(field.integer()?, MAX_ATTRIBUTE)?,
            5 => {
                check_tensor(field.message()?, None)?;
            }
            6 | 10 | 11 | 14 | 15 | 22 | 23 => {
                return Err(attribute.corrupt("an operator with a graph of its own"));
            }
            8 => {
                for value in integers(&field)? {
                    bounded(value, MAX_LIST_ATTRIBUTE)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// A repeated integer field, packed or not.
pub(crate) fn integers(field: &Field<'_>) -> Result<Vec<i64>, ModelError> {
    match field.value {
        Value::Varint(value) => Ok(vec![value.cast_signed()]),
        Value::Bytes(mut packed) => {
            let mut values = Vec::new();
            while !packed.is_done() {
                values.push(packed.varint()?.cast_signed());
            }
            Ok(values)
        }
        _ => field.integer().map(|value| vec![value]),
    }
}

/// Bytes of one element in `raw_data`, by ONNX element type.
fn element_bytes(element_type: i64) -> Option<usize> {
    match element_type {
        2 | 3 | 9 => Some(1), // u8, i8, bool
        10 => Some(2),        // f16
        1 | 6 => Some(4),     // f32, i32
        7 | 11 => Some(8),    // i64, f64
        _ => None,
    }
}

/// Values of a repeated field of fixed width, packed or not.
fn packed_len(field: &Field<'_>, width: usize) -> usize {
    match field.value {
        Value::Bytes(packed) => packed.bytes().len() / width,
        _ => 1,
    }
}

/// Checks a weight and returns its name.
fn check_tensor<'a>(tensor: Message<'a>, mut beside: Beside<'_>) -> Result<&'a str, ModelError> {
    let mut name = "";
    let mut dims = Vec::new();
    let mut element_type = 0;
    let mut raw_bytes = None;
    let mut outside = false;
    let (mut floats, mut narrow, mut wide, mut doubles) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut fields = tensor;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => dims.extend(integers(&field)?),
            2 => element_type = field.integer()?,
            4 => floats += packed_len(&field, 4),
            5 => narrow += integers(&field)?.len(),
            7 => wide += integers(&field)?.len(),
            10 => doubles += packed_len(&field, 8),
            8 => name = field.message()?.text()?,
            9 => raw_bytes = Some(field.message()?.bytes().len()),
            13 => {
                let file = weights_beside(field.message()?)?;
                let Some(names) = &mut beside else {
                    return Err(tensor.corrupt("weights outside the file"));
                };
                names.extend(file);
            }
            14 if field.integer()? != 0 => {
                if beside.is_none() {
                    return Err(tensor.corrupt("weights outside the file"));
                }
                outside = true;
            }
            3 | 6 | 11 => return Err(tensor.corrupt("a weight of unsupported type")),
            _ => {}
        }
    }
    let width = element_bytes(element_type)
        .ok_or_else(|| tensor.corrupt("a weight of unsupported type"))?;
    if dims.len() > MAX_RANK {
        return Err(tensor.corrupt("a weight of too many dimensions"));
    }
    let elements = dims
        .iter()
        .try_fold(1_usize, |product, &dim| {
            usize::try_from(dim).ok()?.checked_mul(product)
        })
        .ok_or_else(|| tensor.corrupt("a weight of impossible shape"))?;
    let listed = match element_type {
        1 => floats,
        7 => wide,
        11 => doubles,
        _ => narrow,
    };
    // An engine reads the list of the type; what stands in another would be no value.
    if listed != floats + narrow + wide + doubles {
        return Err(tensor.corrupt("a weight whose values are not of its type"));
    }
    let stored = match raw_bytes {
        Some(bytes) if bytes % width == 0 => bytes / width,
        Some(_) => return Err(tensor.corrupt("a weight cut within a value")),
        None => listed,
    };
    if stored != if outside { 0 } else { elements } {
        return Err(tensor.corrupt("a weight whose values do not fill its shape"));
    }
    Ok(name)
}

/// The file that an entry about outside weights names, if it is the one that does.
fn weights_beside(entry_of: Message<'_>) -> Result<Option<String>, ModelError> {
    let (key, value) = entry(entry_of)?;
    Ok((key == "location").then(|| value.to_owned()))
}
