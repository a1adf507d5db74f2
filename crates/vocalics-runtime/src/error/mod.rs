//! What can go wrong with a model file and with a recognition.

mod model;
mod runtime;

pub use model::ModelError;
pub use runtime::RuntimeError;
