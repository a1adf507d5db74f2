/// Everything that can go wrong in this crate.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DspError {
    /// A sample is NaN or infinite.
    #[error("sample {index} is not a finite number")]
    NonFinite {
        /// Position of the first such sample.
        index: usize,
    },
    /// A sample is finite but absurdly large ([`MAX_SAMPLE`](crate::MAX_SAMPLE)).
    #[error("sample {index} is {value:e}, expected a magnitude of at most 1e9 (full scale is 1)")]
    OutOfRange {
        /// Position of the first such sample.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// A parameter is outside the range in which it has a meaning.
    #[error("{name} is {actual}, expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// The values it may take.
        expected: String,
        /// The value it had.
        actual: String,
    },
}

impl DspError {
    pub(crate) fn parameter(
        name: &'static str,
        expected: impl Into<String>,
        actual: impl ToString,
    ) -> Self {
        Self::Parameter {
            name,
            expected: expected.into(),
            actual: actual.to_string(),
        }
    }
}
