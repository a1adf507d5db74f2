//! The confusion matrix.

use super::figure::{Anchor, Figure, MARGIN, Stroke, Type};
use super::palette::{MUTED, TEXT, cividis};
use super::raster::text_width;
use crate::Report;
use crate::report::headline_uar;

const LABEL_SIZE: f64 = 12.0;
const SCALE_WIDTH: f64 = 14.0;

/// Draws the confusion matrix: rows are true classes, columns predicted ones.
///
/// Colour and the large figure of a cell are its share of the row in percent, the small figure counts clips.
/// The row of a class without clips stays empty.
#[must_use]
pub fn confusion(report: &Report) -> Figure {
    let metrics = &report.metrics;
    let classes = metrics.labels.len();
    let cell = (560.0 / classes as f64).clamp(40.0, 66.0);
    let side = cell * classes as f64;
    let rows: Vec<String> = metrics
        .per_class
        .iter()
        .map(|class| format!("{} ({})", class.label, class.support))
        .collect();
    let widest = |words: &mut dyn Iterator<Item = &String>| {
        words
            .map(|word| text_width(word, LABEL_SIZE, false))
            .fold(0.0, f64::max)
    };
    let row_room = widest(&mut rows.iter());
    let column_room = widest(&mut metrics.labels.iter());
    let turned = column_room > cell - 4.0;
    let below = if turned {
        0.72 * column_room + 14.0
    } else {
        20.0
    };

    let left = MARGIN + 22.0 + row_room + 8.0;
    let width = (left + side + 74.0 + MARGIN).max(520.0);
    let (mut figure, top) = Figure::titled(
        width,
        side + below + 24.0,
        "Confusion matrix",
        &headline_uar(report),
        &format!(
            "Row shares in percent, clips below. Measured on {}.",
            report.provenance
        ),
    );
    let bottom = top + side;

    for (truth, counts) in metrics.confusion.iter().enumerate() {
        let support = metrics.per_class[truth].support;
        let y = top + truth as f64 * cell;
        figure.text_centred(
            left - 8.0,
            y + cell / 2.0,
            &rows[truth],
            Type::new(LABEL_SIZE, Anchor::End),
        );
        for (predicted, &count) in counts.iter().enumerate() {
            if support == 0 {
                continue;
            }
            let x = left + predicted as f64 * cell;
            let share = count as f64 / support as f64;
            let fill = cividis(share);
            // A hair of overlap hides seams between cells.
            figure.rect(x, y, cell + 0.3, cell + 0.3, fill);
            let middle = x + cell / 2.0;
            let large = Type::new(cell * 0.24, Anchor::Middle).colour(fill.ink());
            let large = if truth == predicted {
                large.bold()
            } else {
                large
            };
            figure.text(
                middle,
                y + cell * 0.50,
                format!("{:.1}", 100.0 * share),
                large,
            );
            let small = Type::new(cell * 0.18, Anchor::Middle).colour(fill.ink());
            figure.text(middle, y + cell * 0.77, count.to_string(), small);
        }
    }
    let frame = [
        (0.0, 0.0),
        (side, 0.0),
        (side, side),
        (0.0, side),
        (0.0, 0.0),
    ];
    let frame = frame.iter().map(|&(x, y)| (left + x, top + y)).collect();
    figure.line(frame, Stroke::new(MUTED, 1.0));

    for (predicted, label) in metrics.labels.iter().enumerate() {
        let x = left + (predicted as f64 + 0.5) * cell;
        if turned {
            let style = Type::new(LABEL_SIZE, Anchor::End).angle(-45.0);
            figure.text(x + 4.0, bottom + 14.0, label, style);
        } else {
            figure.text(
                x,
                bottom + 16.0,
                label,
                Type::new(LABEL_SIZE, Anchor::Middle),
            );
        }
    }
    let axis = Type::new(LABEL_SIZE, Anchor::Middle).bold();
    figure.text(
        left + side / 2.0,
        bottom + below + 18.0,
        "predicted class",
        axis,
    );
    figure.text(
        MARGIN + 12.0,
        top + side / 2.0,
        "true class (clips)",
        axis.angle(-90.0),
    );
    scale(&mut figure, left + side + 20.0, top, side);
    figure
}

/// The colour scale at the right.
fn scale(figure: &mut Figure, x: f64, top: f64, height: f64) {
    let steps = 100;
    let step = height / f64::from(steps);
    for index in 0..steps {
        let share = 1.0 - (f64::from(index) + 0.5) / f64::from(steps);
        // Each step reaches to the foot and the next covers it: no seam shows at any zoom.
        let above = f64::from(index) * step;
        figure.rect(x, top + above, SCALE_WIDTH, height - above, cividis(share));
    }
    for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
        let y = top + height * (1.0 - percent / 100.0);
        let right = x + SCALE_WIDTH;
        figure.segment((right, y), (right + 3.0, y), Stroke::new(TEXT, 1.0));
        let style = Type::new(11.0, Anchor::Start);
        figure.text_centred(right + 6.0, y, format!("{percent} %"), style);
    }
}
