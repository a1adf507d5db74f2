//! Inputs and outputs of a graph.

use super::MAX_RANK;
use crate::ModelError;
use crate::wire::Message;

/// A graph input or output.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port {
    pub(crate) name: String,
    /// ONNX element type; 1 is f32.
    pub(crate) element_type: i64,
    /// Dimensions: `Some` when fixed.
    pub(crate) shape: Vec<Option<i64>>,
}

/// Reads an input or output.
pub(crate) fn port(value_info: Message<'_>) -> Result<Port, ModelError> {
    let mut port = Port {
        name: String::new(),
        element_type: 0,
        shape: Vec::new(),
    };
    let mut fields = value_info;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => field.message()?.text()?.clone_into(&mut port.name),
            2 => {
                let mut kind = field.message()?;
                while let Some(field) = kind.next()? {
                    match field.number {
                        1 => tensor_type(field.message()?, &mut port)?,
                        4 | 5 | 7 | 8 | 9 => {
                            return Err(value_info.corrupt("a value that is no tensor"));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(port)
}

fn tensor_type(message: Message<'_>, port: &mut Port) -> Result<(), ModelError> {
    let mut fields = message;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => port.element_type = field.integer()?,
            2 => {
                let mut shape = field.message()?;
                while let Some(field) = shape.next()? {
                    if field.number == 1 {
                        port.shape.push(dimension(field.message()?)?);
                    }
                }
            }
            _ => {}
        }
    }
    if port.shape.len() > MAX_RANK {
        return Err(message.corrupt("a value of too many dimensions"));
    }
    Ok(())
}

fn dimension(message: Message<'_>) -> Result<Option<i64>, ModelError> {
    let mut fixed = None;
    let mut fields = message;
    while let Some(field) = fields.next()? {
        match field.number {
            1 => fixed = Some(field.integer()?),
            2 | 3 => {
                field.message()?.text()?;
            }
            _ => {}
        }
    }
    Ok(fixed)
}
