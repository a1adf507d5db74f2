//! Metrics, calibration, intervals, plots and reports for speech emotion recognition.
//!
//! A recogniser that was tested leaves [`Predictions`]: one row per clip with its speaker, its fold, the true
//! class and a probability for every class. Everything in this crate is a pure function of such a table:
//!
//! - [`evaluate`] turns it into [`Metrics`]: unweighted average recall (UAR, the headline), accuracy (WAR),
//!   macro-F1, the confusion matrix, calibration (ECE, Brier, NLL), selective accuracy, and the same two
//!   rates per fold, sex, intensity and speaker.
//! - [`bootstrap_intervals`] says how sure those numbers are. It resamples *speakers*, never clips: the clips
//!   of one speaker are not independent of each other, and an interval over clips is several times too narrow.
//! - [`paired_difference`] says how sure the difference between two of them is, and [`Comparison`] sets several side by side.
//! - [`fit_temperature`] calibrates logits on held-out speakers before any of this is measured.
//! - [`Report`] joins the numbers with their [`Provenance`], without which no number is printed, and goes to
//!   `metrics.json`, to a self-contained HTML page ([`html`]) and to figures in SVG and PNG ([`plot`]).
//!
//! The definitions, with what happens for absent classes, ties and degenerate input, are in
//! `docs/EVALUATION.md` and on the items themselves; they are compared with scikit-learn in a golden test.
//!
//! ```
//! use vocalics_eval::{Predictions, Scored, evaluate};
//!
//! let row = |id: &str, speaker: &str, truth, scores: [f32; 2]| Scored {
//!     id: id.into(), speaker: speaker.into(), sex: None, intensity: None, seconds: None,
//!     fold: "fold-1".into(), truth, scores: scores.to_vec(),
//! };
//! let predictions = Predictions {
//!     labels: vec!["calm".into(), "angry".into()],
//!     rows: vec![
//!         row("a", "s1", 0, [0.9, 0.1]),
//!         row("b", "s1", 1, [0.2, 0.8]),
//!         row("c", "s2", 1, [0.6, 0.4]),
//!     ],
//! };
//! let metrics = evaluate(&predictions)?;
//! assert!((metrics.uar - 0.75).abs() < 1e-12); // (1/1 + 1/2) / 2
//! # Ok::<(), vocalics_eval::EvalError>(())
//! ```

mod bootstrap;
mod calibration;
mod comparison;
mod confusion;
mod error;
mod file;
mod history;
pub mod html;
mod metrics;
mod mixture;
mod paired;
pub mod plot;
mod predictions;
mod report;
mod speaker;

pub use bootstrap::{
    DEFAULT_RESAMPLES, Interval, Intervals, LEVEL, MIN_RESAMPLES, bootstrap_intervals,
    bootstrap_uar, bootstrap_war,
};
pub use calibration::{
    ECE_BINS, MAX_TEMPERATURE, MIN_TEMPERATURE, NLL_FLOOR, ReliabilityBin, fit_temperature,
    softmax_t,
};
pub use comparison::{Comparison, Entry, Row};
pub use confusion::Confusion;
pub use error::EvalError;
pub use history::{HistoryRow, history_to_csv, read_history, training_name, write_history};
pub use metrics::{ClassMetrics, FoldMetrics, GroupMetrics, Metrics, evaluate};
pub use mixture::fit_mixture_weights;
pub use paired::{Difference, paired_difference};
pub use predictions::{Predictions, Scored, same_test};
pub use report::{Provenance, Report, SPEAKERS_DISJOINT, SPEAKERS_SHARED};
pub use speaker::{SpeakerCalibrated, SpeakerPoint};
