//! A model file and a waveform to calibrated scores.
//!
//! One ONNX file holds everything a recognition needs: the network in its graph, and beside it, under
//! `vocalics.*` keys, the labels, the front end, the temperature, what it was trained on, how it was
//! measured and a test vector (`docs/MODEL-FILE.md`). This crate reads such a file, refuses it with
//! a typed error when anything about it is off, and runs it:
//!
//! ```text
//! bytes ──▶ structure ──▶ metadata ──▶ engine ──▶ test vector ──▶ Recognizer
//!           (onnx)        (metadata)   (engine)   (recognizer)
//!
//! samples ──▶ quality ──▶ log-mel ──▶ graph ──▶ softmax(logits / T) ──▶ Prediction
//! ```
//!
//! A model over the embeddings of an encoder from elsewhere ([`Encoder`], `docs/encoders.md`) has that encoder in the place of
//! log-mel.
//!
//! Three rules shape it.
//!
//! - **Nothing is guessed.** A file whose front end computes something else than ours, whose key is
//!   missing, whose graph was damaged or whose test vector comes out differently is an error, never a
//!   recogniser with strange scores. Damage is found before the engine sees the file: the structure is
//!   walked with bounds on every length and depth, operators are taken from a fixed list, and the
//!   graph carries a checksum.
//! - **No padding.** Clips of different length are never padded to a common one. A batch runs clips of
//!   equal frame count together, so a clip's scores do not depend on what it was recognised with.
//! - **Small.** No training code, no codecs, no clock; it builds for `wasm32-unknown-unknown`. The
//!   input is mono samples at the model's own rate; decoding and resampling are the business of
//!   `vocalics-audio`.
//!
//! # Example
//!
//! ```no_run
//! use vocalics_runtime::Recognizer;
//!
//! let recognizer = Recognizer::from_file("model.onnx")?;
//! let samples = vec![0.0_f32; 16_000]; // one second of mono audio at 16 kHz
//! let prediction = recognizer.recognize(&samples, 16_000)?;
//! match &prediction.label {
//!     Some(label) => println!("sounds {label}"),
//!     None => println!("nothing but silence"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod body;
mod clip;
mod combine;
mod encoder;
mod engine;
mod error;
mod foreign;
mod graph;
mod idle;
mod metadata;
mod native;
mod onnx;
mod quality;
mod quantise;
mod recognizer;
mod speaker;
mod temperature;
mod wire;

pub use body::Body;
pub use clip::{Clip, Prediction};
pub use combine::{Combined, MIXTURE_FLOOR, combine};
pub use encoder::{
    Embedding, Encoder, EncoderDescription, EncoderInput, EncoderNote, EncoderOutput, FramePooling,
    HEARD_NAME, Layout, LogBase, LogMelInput, LogScale, Normalisation, Standardise, WaveformInput,
    merge_encoder,
};
pub use engine::Engine;
pub use error::{ModelError, RuntimeError};
pub use metadata::{
    BODY_FORMAT_VERSION, CorpusNote, ENCODER_FORMAT_VERSION, FORMAT_VERSION,
    FUNCTIONALS_FORMAT_VERSION, ModelMetadata, ProtocolResult, TestVector, attach_metadata,
    read_metadata, to_props,
};
pub use onnx::{EMBEDDING_NAME, INPUT_NAME, MAX_MODEL_BYTES, OPERATORS, OUTPUT_NAME};
pub use quality::Quality;
pub use quantise::{
    InputRanges, Quantised, QuantisedNote, RangeRule, dequantise, quantise, quantise_weights,
};
pub use recognizer::{
    HeardClip, MAX_WINDOW_SECS, MIN_DURATION_SECS, QUANTISED_TOLERANCE, Recognizer,
    RecognizerOptions, TEST_VECTOR_TOLERANCE, read_model,
};
pub use speaker::{PRIOR_SECS, SpeakerProfile};
pub use temperature::softmax_with_temperature;
