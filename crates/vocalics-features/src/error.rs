use vocalics_dsp::DspError;

/// Everything that can go wrong in this crate.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FeatureError {
    /// There are no samples.
    #[error("the signal is empty, expected at least 1 sample")]
    Empty,
    /// The signal has no whole frame, and the configuration does not pad it.
    #[error("the signal has {actual} samples, expected at least {expected} without centring")]
    TooShort {
        /// Samples of one frame.
        expected: usize,
        /// Samples there are.
        actual: usize,
    },
    /// The samples or parameters were refused by the signal processing below.
    #[error(transparent)]
    Signal(#[from] DspError),
    /// A field of a configuration has no meaning.
    #[error("{field} is {actual}, expected {expected}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// The values it may take.
        expected: String,
        /// The value it had.
        actual: String,
    },
    /// The configuration needs the whole clip, so it cannot run as a stream.
    #[error(
        "{field} is on, but it depends on the whole clip; expected a configuration without it for streaming"
    )]
    NotStreamable {
        /// Name of the field.
        field: &'static str,
    },
    /// The stream was already finished.
    #[error("the stream is finished, expected a new one for more samples")]
    Finished,
    /// Data does not fit the number of features.
    #[error("{what} is {actual}, expected {expected}")]
    Shape {
        /// What was counted.
        what: &'static str,
        /// The count needed.
        expected: String,
        /// The count found.
        actual: usize,
    },
    /// A value is NaN or infinite, or a deviation is not positive.
    #[error("{what} {index} is {value}, expected {expected}")]
    Value {
        /// What the value belongs to.
        what: &'static str,
        /// Its position.
        index: usize,
        /// The value.
        value: f32,
        /// The values it may take.
        expected: &'static str,
    },
}
