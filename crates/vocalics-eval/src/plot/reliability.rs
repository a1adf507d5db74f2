//! The reliability diagram.

use super::axes::{Panel, ticks};
use super::figure::{Anchor, Figure, MARGIN, Stroke, Type};
use super::palette::{BLACK, BLUE, MUTED, SKY, VERMILLION};
use crate::Report;

/// Draws accuracy against confidence in 15 bins, and below it how many clips each bin holds.
///
/// Bars on the dashed diagonal are calibrated; the vermillion line in a bin is its gap, from accuracy (bar)
/// to mean confidence (dot). Empty bins stay empty.
#[must_use]
pub fn reliability(report: &Report) -> Figure {
    let metrics = &report.metrics;
    let side = 400.0;
    let histogram_height = 90.0;
    let left = MARGIN + 56.0;
    let subtitle = format!(
        "ECE {:.3} · Brier {:.3} · NLL {:.3} · {}",
        metrics.ece,
        metrics.brier,
        metrics.nll,
        report.provenance.speakers()
    );
    let (mut figure, top) = Figure::titled(
        left + side + 150.0 + MARGIN,
        side + histogram_height + 84.0,
        "Reliability",
        &subtitle,
        &format!("Measured on {}.", report.provenance),
    );
    let range = (0.0, 100.0);
    let panel = Panel {
        left,
        top,
        width: side,
        height: side,
        x: range,
        y: range,
    };
    let step = ticks(0.0, 100.0, 5.0);
    panel.draw(&mut figure, ("", &step), ("accuracy, %", &step));
    let bins = || metrics.reliability.iter().filter(|bin| bin.n > 0);
    for bin in bins() {
        let (x0, x1) = (panel.x(100.0 * bin.low), panel.x(100.0 * bin.high));
        let y = panel.y(100.0 * bin.accuracy);
        figure.rect(x0 + 1.0, y, x1 - x0 - 2.0, panel.bottom() - y, SKY);
        figure.segment((x0 + 1.0, y), (x1 - 1.0, y), Stroke::new(BLUE, 2.0));
    }
    let dashed = Stroke::new(MUTED, 1.4).dash(Some((6.0, 4.0)));
    figure.segment(
        (panel.x(0.0), panel.y(0.0)),
        (panel.x(100.0), panel.y(100.0)),
        dashed,
    );
    for bin in bins() {
        let x = panel.x(100.0 * bin.confidence);
        let y = panel.y(100.0 * bin.confidence);
        figure.segment(
            (x, panel.y(100.0 * bin.accuracy)),
            (x, y),
            Stroke::new(VERMILLION, 2.0),
        );
        figure.circle(x, y, 3.5, BLACK);
    }

    let most = bins().map(|bin| bin.n).max().unwrap_or(1) as f64;
    let counts = Panel {
        left,
        top: panel.bottom() + 36.0,
        width: side,
        height: histogram_height,
        x: range,
        y: (0.0, most * 1.08),
    };
    counts.draw(
        &mut figure,
        ("confidence (highest score), %", &step),
        ("clips", &ticks(0.0, most * 1.08, 3.0)),
    );
    for bin in bins() {
        let (x0, x1) = (counts.x(100.0 * bin.low), counts.x(100.0 * bin.high));
        let y = counts.y(bin.n as f64);
        figure.rect(x0 + 1.0, y, x1 - x0 - 2.0, counts.bottom() - y, MUTED);
    }
    legend(&mut figure, left + side + 16.0, top + 8.0);
    figure
}

fn legend(figure: &mut Figure, x: f64, y: f64) {
    let words = Type::new(11.0, Anchor::Start);
    let line = |index: f64| y + 22.0 * index;
    figure.rect(x, line(0.0) - 6.0, 20.0, 12.0, SKY);
    figure.segment(
        (x, line(0.0) - 6.0),
        (x + 20.0, line(0.0) - 6.0),
        Stroke::new(BLUE, 2.0),
    );
    figure.text_centred(x + 28.0, line(0.0), "accuracy", words);
    figure.circle(x + 10.0, line(1.0), 3.5, BLACK);
    figure.text_centred(x + 28.0, line(1.0), "mean confidence", words);
    let gap = Stroke::new(VERMILLION, 2.0);
    figure.segment(
        (x + 10.0, line(2.0) - 7.0),
        (x + 10.0, line(2.0) + 7.0),
        gap,
    );
    figure.text_centred(x + 28.0, line(2.0), "gap", words);
    let dashed = Stroke::new(MUTED, 1.4).dash(Some((6.0, 4.0)));
    figure.segment((x, line(3.0)), (x + 20.0, line(3.0)), dashed);
    figure.text_centred(x + 28.0, line(3.0), "calibrated", words);
}
