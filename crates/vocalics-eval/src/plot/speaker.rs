//! UAR against the seconds of the speaker's own audio.

use super::axes::{Panel, ticks};
use super::figure::{Figure, MARGIN, Stroke};
use super::palette::BLUE;
use crate::report::percent;
use crate::{Report, SpeakerCalibrated};

const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 260.0;
/// Least height of the UAR axis, in points, so that noise does not look like a cliff.
const LEAST_SPAN: f64 = 10.0;

/// Draws the curve of [`SpeakerCalibrated`]: pooled UAR against the seconds of the speaker's other clips that scores were
/// adapted to.
#[must_use]
pub fn speaker_curve(report: &Report, calibrated: &SpeakerCalibrated) -> Figure {
    let (mut figure, top) = Figure::titled(
        MARGIN + 56.0 + WIDTH + 2.0 * MARGIN,
        HEIGHT + 56.0,
        "Scores adapted to the speaker",
        &format!(
            "UAR {} % with all other clips, {:.0} s on average · {}",
            percent(calibrated.uar),
            calibrated.seconds,
            report.provenance.speakers()
        ),
        &format!(
            "The other clips of the speaker are unlabelled. Measured on {}.",
            report.provenance
        ),
    );
    let values: Vec<(f64, f64)> = calibrated
        .curve
        .iter()
        .map(|point| (point.seconds, 100.0 * point.uar))
        .collect();
    let ends = |of: fn(&(f64, f64)) -> f64| {
        values
            .iter()
            .map(of)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            })
    };
    let (x, y) = (ends(|point| point.0), ends(|point| point.1));
    let spare = ((LEAST_SPAN - (y.1 - y.0)) / 2.0).max(1.0);
    let panel = Panel {
        left: MARGIN + 56.0,
        top: top + 8.0,
        width: WIDTH,
        height: HEIGHT,
        x,
        y: ((y.0 - spare).max(0.0), (y.1 + spare).min(100.0)),
    };
    let x_ticks = ticks(panel.x.0, panel.x.1, 6.0);
    let y_ticks = ticks(panel.y.0, panel.y.1, 5.0);
    let seconds = "audio of the speaker, s";
    panel.draw(&mut figure, (seconds, &x_ticks), ("UAR, %", &y_ticks));
    let points: Vec<(f64, f64)> = values
        .iter()
        .map(|&(seconds, uar)| (panel.x(seconds), panel.y(uar)))
        .collect();
    for &(x, y) in &points {
        figure.circle(x, y, 3.0, BLUE);
    }
    if points.len() > 1 {
        figure.line(points, Stroke::new(BLUE, 2.0));
    }
    figure
}
