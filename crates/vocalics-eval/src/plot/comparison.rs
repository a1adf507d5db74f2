//! UAR of several recognisers.

use super::axes::{Panel, ticks};
use super::figure::{Anchor, Figure, MARGIN, Stroke, Type};
use super::palette::{BLACK, BLUE, GRID, MUTED, VERMILLION};
use super::raster::text_width;
use crate::report::{bracket, percent};
use crate::{Comparison, SPEAKERS_SHARED};

const BAND: f64 = 28.0;
const LABEL_SIZE: f64 = 12.0;
const NUMBER_SIZE: f64 = 11.0;
const WIDTH: f64 = 440.0;

/// Draws the UAR of every row as a dot with its 95 % interval, chance as a dashed line, the reference in another colour and
/// as a ring.
#[must_use]
pub fn comparison(comparison: &Comparison) -> Figure {
    let rows = &comparison.rows;
    let room = |of: &dyn Fn(usize) -> String, size: f64| {
        let widths = (0..rows.len()).map(|row| text_width(&of(row), size, true));
        widths.fold(0.0, f64::max)
    };
    let numbers = |row: usize| {
        let (uar, interval) = rows[row].uar;
        format!("{}{}", percent(uar), bracket(interval))
    };
    let left = MARGIN + room(&|row| rows[row].name.clone(), LABEL_SIZE) + 10.0;
    let right = room(&numbers, NUMBER_SIZE) + 12.0;
    let height = BAND * rows.len() as f64;
    let provenance = &comparison.provenance;
    let classes = provenance.labels.len().max(1) as f64;
    let shared = if provenance.speakers_shared {
        format!(" · {SPEAKERS_SHARED}")
    } else {
        format!(" · {}", provenance.speakers())
    };
    let intervals = rows.iter().any(|row| row.uar.1.is_some());
    let whiskers = if intervals {
        "Whiskers: 95 % bootstrap over speakers. "
    } else {
        ""
    };
    let (mut figure, top) = Figure::titled(
        left + WIDTH + right + MARGIN,
        height + 54.0,
        "UAR of methods tested on the same clips",
        &format!("{}{shared}", provenance.protocol),
        &format!(
            "{whiskers}Ring: {}, the row that the others are compared with. Dashed: chance. Measured on {provenance}.",
            comparison.reference
        ),
    );
    let highest = rows.iter().map(|row| {
        let (uar, interval) = row.uar;
        100.0 * interval.map_or(uar, |bounds| bounds.high)
    });
    let highest = (highest.fold(20.0, f64::max) / 10.0).ceil() * 10.0;
    let panel = Panel {
        left,
        top: top + 10.0,
        width: WIDTH,
        height,
        x: (0.0, highest.min(100.0)),
        y: (0.0, 1.0),
    };
    let x_ticks = ticks(0.0, panel.x.1, 7.0);
    for tick in &x_ticks {
        let x = panel.x(*tick);
        figure.segment((x, panel.top), (x, panel.bottom()), Stroke::new(GRID, 1.0));
    }
    panel.draw(&mut figure, ("UAR, %", &x_ticks), ("", &[]));
    let chance = panel.x(100.0 / classes);
    let dashed = Stroke::new(MUTED, 1.2).dash(Some((5.0, 4.0)));
    figure.segment((chance, panel.top), (chance, panel.bottom()), dashed);
    for (index, row) in rows.iter().enumerate() {
        let y = panel.top + (index as f64 + 0.5) * BAND;
        let is_reference = row.name == comparison.reference;
        let label = Type::new(LABEL_SIZE, Anchor::End);
        let label = if is_reference { label.bold() } else { label };
        figure.text_centred(left - 10.0, y, &row.name, label);
        let (uar, interval) = row.uar;
        let colour = if is_reference { VERMILLION } else { BLUE };
        if let Some(bounds) = interval {
            let (low, high) = (panel.x(100.0 * bounds.low), panel.x(100.0 * bounds.high));
            let pen = Stroke::new(BLACK, 1.4);
            figure.segment((low, y), (high, y), pen);
            for x in [low, high] {
                figure.segment((x, y - 4.0), (x, y + 4.0), pen);
            }
        }
        figure.circle(panel.x(100.0 * uar), y, 5.0, colour);
        if is_reference {
            figure.circle(panel.x(100.0 * uar), y, 2.5, super::palette::WHITE);
        }
        let words = Type::new(NUMBER_SIZE, Anchor::Start);
        figure.text_centred(left + WIDTH + 12.0, y, numbers(index), words);
    }
    figure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interval, Provenance, Row};

    #[test]
    fn every_row_is_named_and_numbered() {
        let row = |name: &str, uar: f64| Row {
            name: name.to_owned(),
            input: "egemaps".to_owned(),
            seed: 1,
            uar: (
                uar,
                Some(Interval {
                    low: uar - 0.05,
                    high: uar + 0.04,
                    level: 0.95,
                    resamples: 100,
                }),
            ),
            war: (uar, None),
            macro_f1: (uar, None),
            difference: None,
            parameters: None,
            train_secs: None,
            inference_ms: None,
        };
        let drawn = comparison(&Comparison {
            provenance: Provenance {
                corpora: vec!["ravdess-speech".to_owned()],
                protocol: "random-80-20".to_owned(),
                speakers_shared: true,
                folds: 1,
                labels: vec!["calm".to_owned(), "angry".to_owned()],
                seed: 1,
            },
            reference: "<b>".to_owned(),
            rows: vec![row("a", 0.5), row("<b>", 0.93)],
        });
        let svg = drawn.to_svg();
        for part in [
            "50.0 [45.0, 54.0]",
            "93.0 [88.0, 97.0]",
            "&lt;b&gt;",
            SPEAKERS_SHARED,
            "UAR, %",
        ] {
            assert!(svg.contains(part), "{part}");
        }
        assert!(drawn.to_png(1.0).unwrap().len() > 1000);
        // Both dots and the hole of the ring lie within the axis.
        assert_eq!(svg.matches("<circle").count(), 3);
    }
}
