//! Figures, as SVG and as PNG.
//!
//! A [`Figure`] is a list of rectangles, lines, circles and words. The same list is written as SVG and drawn
//! into a PNG with glyphs that travel in this crate, so that both look alike and nothing has to be installed.
//! Colours are cividis for matrices and the Okabe-Ito set for series; series differ in dash or mark as well.
//! Every figure states its provenance.
//!
//! A new figure is one new file beside these and one line in [`write_all`].

mod axes;
mod comparison;
mod confusion;
mod figure;
mod learning;
mod palette;
mod raster;
mod recall;
mod reliability;
mod search;
mod speaker;
mod speech;

use std::path::{Path, PathBuf};

pub use comparison::comparison;
pub use confusion::confusion;
pub use figure::Figure;
pub(crate) use figure::escape;
pub use learning::learning_curves;
pub use recall::recall_bars;
pub use reliability::reliability;
pub use search::{Searched, search};
pub use speaker::speaker_curve;
pub use speech::{Spectrogram, Speech, speech};

use crate::{EvalError, HistoryRow, Report};

/// Pixels of a PNG per unit of a figure in [`write_all`].
pub const PNG_SCALE: f64 = 2.0;

/// Writes all figures of a run into `directory`, each as `<name>.svg` and `<name>.png`.
///
/// The names are `confusion`, `reliability`, `recall`, `speaker-calibration` where scores were adapted to speakers, and
/// `learning-curves` when there is a history.
/// Returns the paths written.
///
/// # Errors
/// A history no curve can be drawn of, or a file that cannot be written.
pub fn write_all(
    directory: &Path,
    report: &Report,
    history: &[HistoryRow],
) -> Result<Vec<PathBuf>, EvalError> {
    let mut figures = vec![
        ("confusion", confusion(report)),
        ("reliability", reliability(report)),
        ("recall", recall_bars(report)),
    ];
    if let Some(calibrated) = &report.speaker_calibrated {
        figures.push(("speaker-calibration", speaker_curve(report, calibrated)));
    }
    if !history.is_empty() {
        figures.push((
            "learning-curves",
            learning_curves(history, &report.provenance)?,
        ));
    }
    let mut paths = Vec::new();
    for (name, figure) in figures {
        let svg = directory.join(format!("{name}.svg"));
        let png = directory.join(format!("{name}.png"));
        figure.write_svg(&svg)?;
        figure.write_png(&png, PNG_SCALE)?;
        paths.extend([svg, png]);
    }
    Ok(paths)
}
