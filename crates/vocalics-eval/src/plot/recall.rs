//! Recall of every class.

use super::axes::{Panel, ticks};
use super::figure::{Anchor, Figure, MARGIN, Stroke, Type};
use super::palette::{BLACK, BLUE, MUTED, SKY};
use super::raster::text_width;
use crate::Report;
use crate::report::{bracket, headline_uar, percent};

const BAND: f64 = 34.0;
const LABEL_SIZE: f64 = 12.0;

/// Draws the recall of every class as a bar with its 95 % interval, and the UAR as a dashed line.
///
/// A class without clips has no bar.
#[must_use]
pub fn recall_bars(report: &Report) -> Figure {
    let metrics = &report.metrics;
    let names: Vec<String> = metrics
        .per_class
        .iter()
        .map(|class| format!("{} ({})", class.label, class.support))
        .collect();
    let name_room = names
        .iter()
        .map(|name| text_width(name, LABEL_SIZE, false))
        .fold(0.0, f64::max);
    let height = BAND * names.len() as f64;
    let panel_width = 420.0;
    let left = MARGIN + name_room + 8.0;
    let intervals = report.recall_intervals.iter().any(Option::is_some);
    let whiskers = if intervals {
        "Whiskers: 95 % bootstrap over speakers. "
    } else {
        ""
    };
    let (mut figure, top) = Figure::titled(
        left + panel_width + 128.0 + MARGIN,
        height + 54.0,
        "Recall by class",
        &headline_uar(report),
        &format!("Dashed: UAR. {whiskers}Measured on {}.", report.provenance),
    );
    let panel = Panel {
        left,
        top: top + 10.0,
        width: panel_width,
        height,
        x: (0.0, 100.0),
        y: (0.0, 1.0),
    };
    for tick in ticks(0.0, 100.0, 5.0) {
        let x = panel.x(tick);
        figure.segment(
            (x, panel.top),
            (x, panel.bottom()),
            Stroke::new(super::palette::GRID, 1.0),
        );
    }
    for (index, class) in metrics.per_class.iter().enumerate() {
        let y = panel.top + (index as f64 + 0.5) * BAND;
        figure.text_centred(
            left - 8.0,
            y,
            &names[index],
            Type::new(LABEL_SIZE, Anchor::End),
        );
        let words = Type::new(11.0, Anchor::Start);
        let Some(recall) = class.recall else {
            figure.text_centred(left + 6.0, y, "no clips", words.colour(MUTED));
            continue;
        };
        figure.rect(left, y - 11.0, panel.x(100.0 * recall) - left, 22.0, SKY);
        let interval = report.recall_intervals.get(index).copied().flatten();
        if let Some(bounds) = interval {
            let (low, high) = (panel.x(100.0 * bounds.low), panel.x(100.0 * bounds.high));
            let pen = Stroke::new(BLACK, 1.4);
            figure.segment((low, y), (high, y), pen);
            for x in [low, high] {
                figure.segment((x, y - 4.0), (x, y + 4.0), pen);
            }
        }
        let text = format!("{}{}", percent(recall), bracket(interval));
        figure.text_centred(left + panel_width + 12.0, y, text, words);
    }
    panel.draw(
        &mut figure,
        ("recall, %", &ticks(0.0, 100.0, 5.0)),
        ("", &[]),
    );
    let x = panel.x(100.0 * metrics.uar);
    let dashed = Stroke::new(BLUE, 1.6).dash(Some((6.0, 4.0)));
    figure.segment((x, panel.top - 6.0), (x, panel.bottom()), dashed);
    figure
}
