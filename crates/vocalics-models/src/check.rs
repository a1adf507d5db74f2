//! Checks of configuration values, each with the one wording for what is wrong.

use crate::ModelError;

/// Largest width or count accepted. Far above any network that fits a model file.
pub(crate) const LARGEST: usize = 4096;

fn require(
    fine: bool,
    field: &'static str,
    actual: impl std::fmt::Debug,
    expected: &'static str,
) -> Result<(), ModelError> {
    if fine {
        return Ok(());
    }
    Err(ModelError::Config {
        field,
        actual: format!("{actual:?}"),
        expected,
    })
}

/// A number of channels, units, blocks and the like.
pub(crate) fn size(field: &'static str, value: usize) -> Result<(), ModelError> {
    let fine = (1..=LARGEST).contains(&value);
    require(fine, field, value, "a number from 1 to 4096")
}

/// A number of stacked recurrent layers.
pub(crate) fn depth(field: &'static str, value: usize) -> Result<(), ModelError> {
    let fine = (1..=16).contains(&value);
    require(fine, field, value, "a number from 1 to 16")
}

/// A list of numbers of channels, not empty.
pub(crate) fn sizes(field: &'static str, values: &[usize]) -> Result<(), ModelError> {
    let fine = !values.is_empty() && values.iter().all(|value| (1..=LARGEST).contains(value));
    let expected = "a list of at least one number, each from 1 to 4096";
    require(fine, field, values, expected)
}

/// Distances between kernel taps.
pub(crate) fn dilations(field: &'static str, values: &[usize]) -> Result<(), ModelError> {
    let fine = !values.is_empty() && values.iter().all(|value| (1..=256).contains(value));
    let expected = "a list of at least one number, each from 1 to 256";
    require(fine, field, values, expected)
}

/// The side of a kernel that is centred on its output.
pub(crate) fn odd(field: &'static str, value: usize) -> Result<(), ModelError> {
    let fine = value % 2 == 1 && value <= 31;
    require(fine, field, value, "an odd number from 1 to 31")
}

/// The share that dropout zeroes.
pub(crate) fn probability(field: &'static str, value: f64) -> Result<(), ModelError> {
    let fine = (0.0..1.0).contains(&value);
    require(fine, field, value, "at least 0 and below 1")
}

/// As many stages as halve the mel bands at most down to one.
pub(crate) fn halvings(
    field: &'static str,
    stages: usize,
    n_mels: usize,
) -> Result<(), ModelError> {
    if n_mels >> stages.min(63) > 0 {
        return Ok(());
    }
    Err(ModelError::Config {
        field,
        actual: format!("{stages} stages over {n_mels} mel bands"),
        expected: "at most log2(n_mels) stages",
    })
}
