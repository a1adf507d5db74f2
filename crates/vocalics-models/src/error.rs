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
    /// A model file that no network can be rebuilt from.
    #[error("no network can be trained on from the model file: {reason}")]
    NoWayBack {
        /// What is wrong with it.
        reason: String,
    },
    /// A model file of another network than the one it was to be.
    #[error("{place} is {file} in the model file, {network} in the network of the configuration")]
    OtherNetwork {
        /// The first constant or layer that differs.
        place: String,
        /// What the file has there.
        file: String,
        /// What the network has there.
        network: String,
    },
}
