//! What can be wrong with a network's configuration.

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A configuration value that no network can be built from.
    #[error("network.{field} is {actual}, expected {expected}")]
    Config {
        /// The field, as written in the configuration file.
        field: &'static str,
        /// What it holds.
        actual: String,
        /// What it may hold.
        expected: &'static str,
    },
    /// A cepstral transform that cannot be computed.
    #[error(transparent)]
    Cepstrum(#[from] vocalics_dsp::DspError),
    /// The ONNX file could not be written.
    #[error("cannot encode the ONNX graph: {0}")]
    Encode(String),
}
