//! The protobuf wire format, read with bounds on everything.
//!
//! ONNX is protobuf. The engine's own reader trusts lengths and nests as deep as the file asks it to,
//! which a damaged or hostile file turns into huge allocations or a stack overflow. This reader borrows,
//! allocates nothing and knows where it is, so that a refused file is refused with an offset.
//!
//! Source: Protocol Buffers documentation, *Encoding*.

use crate::ModelError;

/// A message being read: a slice of the file and where it starts in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    position: usize,
    base: usize,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The field number.
    pub(crate) number: u64,
    /// Its value.
    pub(crate) value: Value<'a>,
    /// Where the field (its tag) starts in the file.
    pub(crate) offset: usize,
    /// The whole field as it stands in the file, tag and length included.
    pub(crate) raw: &'a [u8],
}

/// A value on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64,
    Fixed32,
    /// A string, bytes, a packed array or a message.
    Bytes(Message<'a>),
}

impl<'a> Message<'a> {
    /// The whole file as one message.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            position: 0,
            base: 0,
        }
    }

    /// The content of the message.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The content as text.
    pub(crate) fn text(&self) -> Result<&'a str, ModelError> {
        std::str::from_utf8(self.bytes).map_err(|_| self.corrupt("text that is not utf-8"))
    }

    /// An error that names the start of this message.
    pub(crate) fn corrupt(&self, what: &'static str) -> ModelError {
        ModelError::Corrupt {
            offset: self.base,
            what,
        }
    }

    fn here(&self) -> usize {
        self.base + self.position
    }

    /// Reads a varint; also used for the elements of packed arrays.
    pub(crate) fn varint(&mut self) -> Result<u64, ModelError> {
        let start = self.here();
        let mut value = 0_u64;
        for shift in 0..10_u32 {
            let Some(&byte) = self.bytes.get(self.position) else {
                return Err(ModelError::Truncated {
                    offset: start,
                    needed: 1,
                });
            };
            self.position += 1;
            // The tenth byte holds one bit.
            if shift == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ModelError::Corrupt {
            offset: start,
            what: "a number of more than 64 bits",
        })
    }

    /// Whether the message has been read to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.position >= self.bytes.len()
    }

    fn take(&mut self, length: u64) -> Result<Message<'a>, ModelError> {
        let offset = self.here();
        let rest = &self.bytes[self.position..];
        match usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
        {
            Some(bytes) => {
                self.position += bytes.len();
                Ok(Message {
                    bytes,
                    position: 0,
                    base: offset,
                })
            }
            None => Err(ModelError::Truncated {
                offset,
                needed: length - rest.len() as u64,
            }),
        }
    }

    /// The next field, or `None` at the end of the message.
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, ModelError> {
        if self.is_done() {
            return Ok(None);
        }
        let start = self.position;
        let offset = self.here();
        let tag = self.varint()?;
        let number = tag >> 3;
        if number == 0 {
            return Err(ModelError::Corrupt {
                offset,
                what: "a field without number",
            });
        }
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed64
            }
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            _ => {
                return Err(ModelError::Corrupt {
                    offset,
                    what: "a field of unknown wire type",
                });
            }
        };
        Ok(Some(Field {
            number,
            value,
            offset,
            raw: &self.bytes[start..self.position],
        }))
    }
}

impl<'a> Field<'a> {
    /// The value as a message, string or bytes.
    pub(crate) fn message(&self) -> Result<Message<'a>, ModelError> {
        match self.value {
            Value::Bytes(message) => Ok(message),
            _ => Err(self.wrong_type()),
        }
    }

    /// The value as an integer.
    pub(crate) fn integer(&self) -> Result<i64, ModelError> {
        match self.value {
            Value::Varint(value) => Ok(value.cast_signed()),
            _ => Err(self.wrong_type()),
        }
    }

    /// The value as a single-precision number.
    pub(crate) fn float(&self) -> Result<f32, ModelError> {
        match (self.value, self.raw.last_chunk::<4>()) {
            (Value::Fixed32, Some(bytes)) => Ok(f32::from_le_bytes(*bytes)),
            _ => Err(self.wrong_type()),
        }
    }

    fn wrong_type(&self) -> ModelError {
        ModelError::Corrupt {
            offset: self.offset,
            what: "a field of the wrong type",
        }
    }
}

/// Appends a length-delimited field.
pub(crate) fn write_bytes(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    write_varint(out, (number << 3) | 2);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut bytes = Vec::new();
        write_bytes(&mut bytes, 14, b"hello");
        write_bytes(&mut bytes, 300, &[7; 200]);
        let mut message = Message::new(&bytes);
        let first = message.next().unwrap().unwrap();
        assert_eq!((first.number, first.offset), (14, 0));
        assert_eq!(first.message().unwrap().text().unwrap(), "hello");
        let second = message.next().unwrap().unwrap();
        assert_eq!((second.number, second.offset), (300, 7));
        assert_eq!(second.message().unwrap().bytes(), [7; 200]);
        assert!(message.next().unwrap().is_none());
    }

    #[test]
    fn refuses_lengths_beyond_the_end() {
        // Field 1, length 2^63: must neither overflow nor allocate.
        let bytes = [
            0x0a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01,
        ];
        let error = Message::new(&bytes).next().unwrap_err();
        assert!(matches!(
            error,
            ModelError::Truncated {
                offset: 11,
                needed: 9_223_372_036_854_775_808
            }
        ));
    }

    #[test]
    fn varints_at_their_limits() {
        let cases: [(&[u8], Option<u64>); 5] = [
            (&[0], Some(0)),
            (&[0xac, 0x02], Some(300)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Some(u64::MAX),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                None,
            ),
            (&[0x80], None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Message::new(bytes).varint().ok(), expected, "{bytes:x?}");
        }
    }
}
