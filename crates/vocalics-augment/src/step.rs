//! Steps of a plan, and how they are read.

use serde::{Deserialize, Serialize};

use crate::{AugmentError, Augmentation, Operation};

/// An operation and how often it is done.
///
/// In TOML one table: `kind`, `probability` (1 if not given) and the fields of the operation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(into = "toml::Table")]
pub struct Step {
    /// Share of the clips that it is done to, 0 to 1.
    pub probability: f64,
    /// What is done.
    pub operation: Operation,
}

impl Step {
    /// The step of a table; `number` and `line` are its place, for errors.
    pub(crate) fn read(
        number: usize,
        line: Option<usize>,
        mut table: toml::Table,
    ) -> Result<Self, AugmentError> {
        let kind = table.get("kind").and_then(toml::Value::as_str);
        let kind = kind.unwrap_or("of no kind").to_owned();
        // Flattening and refusing unknown fields do not go together in serde.
        let probability = table.remove("probability");
        let probability = match &probability {
            None => Ok(1.0),
            Some(value) => f64::deserialize(value.clone())
                .map_err(|_| format!("probability is {value}, expected a number from 0 to 1")),
        };
        let operation = Operation::deserialize(toml::Value::Table(table.clone()))
            .map_err(|error| named(&error, &table));
        match (probability, operation) {
            (Ok(probability), Ok(operation)) => Ok(Self {
                probability,
                operation,
            }),
            (Err(message), _) | (_, Err(message)) => Err(AugmentError::StepSyntax {
                number,
                line,
                kind,
                message,
            }),
        }
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`AugmentError::Parameter`] naming the first that is out of range.
    pub(crate) fn validate(&self) -> Result<(), AugmentError> {
        if !(0.0..=1.0).contains(&self.probability) {
            let expected = "a number from 0 to 1";
            return Err(AugmentError::parameter(
                "probability",
                self.probability,
                expected,
            ));
        }
        self.operation.validate()
    }
}

impl From<Step> for toml::Table {
    fn from(step: Step) -> Self {
        // An operation is a table of numbers, texts and lists of those.
        let mut table = Self::try_from(step.operation).unwrap_or_default();
        table.insert("probability".to_owned(), step.probability.into());
        table
    }
}

/// What is wrong with the fields of an operation, and with which.
fn named(error: &toml::de::Error, fields: &toml::Table) -> String {
    let message = error.message();
    // The error of a value does not say whose it is; without the culprit the rest can be read.
    let culprit = fields.keys().find(|name| {
        let mut rest = fields.clone();
        rest.remove(*name);
        Operation::deserialize(toml::Value::Table(rest)).is_ok()
    });
    match culprit {
        Some(name) if !message.contains(name.as_str()) => format!("{name}: {message}"),
        _ => message.to_owned(),
    }
}
