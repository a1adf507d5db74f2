//! Loss and UAR over the epochs.

use std::collections::{BTreeMap, BTreeSet};

use super::axes::{Panel, ticks};
use super::figure::{Anchor, Figure, MARGIN, Stroke, Type};
use super::palette::{BLUE, Rgb, VERMILLION};
use crate::confusion::mean;
use crate::metrics::natural;
use crate::{EvalError, HistoryRow, Provenance};

const PANEL_WIDTH: f64 = 340.0;
const PANEL_HEIGHT: f64 = 260.0;

/// One kind of curve: how a row gives its value and how it is drawn.
struct Series {
    name: &'static str,
    colour: Rgb,
    dash: Option<(f64, f64)>,
    value: fn(&HistoryRow) -> Option<f64>,
}

/// Draws loss (left) and UAR (right) by epoch: training dashed blue, validation solid vermillion, each training
/// as a thin line and the mean over them as a thick one.
///
/// The mean covers the epochs that all trainings reached. Values that are not finite leave gaps.
///
/// # Errors
/// An empty history, or one without a single finite loss.
pub fn learning_curves(
    history: &[HistoryRow],
    provenance: &Provenance,
) -> Result<Figure, EvalError> {
    if history.is_empty() {
        return Err(EvalError::Empty { what: "history" });
    }
    let mut trainings: BTreeMap<(&str, usize), Vec<&HistoryRow>> = BTreeMap::new();
    for row in history {
        let training = (row.fold.as_str(), row.network);
        trainings.entry(training).or_default().push(row);
    }
    let folds: BTreeSet<&str> = trainings.keys().map(|(fold, _)| *fold).collect();
    let mut trainings: Vec<((&str, usize), Vec<&HistoryRow>)> = trainings.into_iter().collect();
    trainings.sort_by(|(a, _), (b, _)| natural(a.0, b.0).then(a.1.cmp(&b.1)));
    for (_, rows) in &mut trainings {
        rows.sort_by_key(|row| row.epoch);
    }
    let trainings: Vec<Vec<&HistoryRow>> = trainings.into_iter().map(|(_, rows)| rows).collect();

    let dash = Some((6.0, 3.0));
    let series = |name, colour, dash, value| Series {
        name,
        colour,
        dash,
        value,
    };
    let losses = [
        series("training", BLUE, dash, |row| Some(row.train_loss)),
        series("validation", VERMILLION, None, |row| row.validation_loss),
    ];
    let rates = [
        series("training", BLUE, dash, |row| Some(100.0 * row.train_uar)),
        series("validation", VERMILLION, None, |row| {
            row.validation_uar.map(|uar| 100.0 * uar)
        }),
    ];
    let highest = losses
        .iter()
        .flat_map(|series| history.iter().filter_map(series.value))
        .filter(|loss| loss.is_finite())
        .reduce(f64::max)
        .ok_or_else(|| EvalError::Plot {
            figure: "learning curves",
            reason: "no loss of the history is finite".to_owned(),
        })?;
    let lowest = losses
        .iter()
        .flat_map(|series| history.iter().filter_map(series.value))
        .filter(|loss| loss.is_finite())
        .fold(0.0, f64::min);
    let epochs = history
        .iter()
        .map(|row| row.epoch)
        .fold((usize::MAX, 0), |(low, high), epoch| {
            (low.min(epoch), high.max(epoch))
        });

    let thin = match (folds.len(), trainings.len()) {
        (_, 1) => String::new(),
        (folds, trainings) if folds == trainings => format!("{folds} folds"),
        (1, trainings) => format!("{trainings} networks"),
        (folds, trainings) => format!("{trainings} networks of {folds} folds"),
    };
    let thick = if thin.is_empty() {
        thin
    } else {
        format!("Thin lines: {thin}; thick: their mean. ")
    };
    let (mut figure, top) = Figure::titled(
        2.0 * (MARGIN + 56.0 + PANEL_WIDTH) + 2.0 * MARGIN,
        PANEL_HEIGHT + 72.0,
        "Learning curves",
        &format!("{}, {}", provenance.protocol, provenance.speakers()),
        &format!("{thick}Measured on {provenance}."),
    );
    let x = (epochs.0 as f64, epochs.1 as f64);
    // Losses that are all zero still get an axis whose ticks differ.
    let margin = (0.04 * (highest - lowest)).max(0.01);
    let loss = Panel {
        left: MARGIN + 56.0,
        top: top + 24.0,
        width: PANEL_WIDTH,
        height: PANEL_HEIGHT,
        x,
        y: (lowest, highest + margin),
    };
    let uar = Panel {
        left: loss.left + PANEL_WIDTH + MARGIN + 56.0,
        y: (0.0, 100.0),
        ..loss
    };
    let x_ticks: Vec<f64> = ticks(x.0, x.1, 6.0)
        .into_iter()
        .filter(|tick| tick.fract().abs() < 1e-9)
        .collect();
    for (panel, label, series) in [(loss, "loss", &losses), (uar, "UAR, %", &rates)] {
        let y_ticks = ticks(panel.y.0, panel.y.1, 5.0);
        panel.draw(&mut figure, ("epoch", &x_ticks), (label, &y_ticks));
        let shown: Vec<&Series> = series
            .iter()
            .filter(|series| history.iter().any(|row| (series.value)(row).is_some()))
            .collect();
        for series in &shown {
            curves(&mut figure, &panel, series, &trainings);
        }
        legend(&mut figure, &panel, &shown);
    }
    Ok(figure)
}

fn curves(figure: &mut Figure, panel: &Panel, series: &Series, trainings: &[Vec<&HistoryRow>]) {
    let thick = Stroke::new(series.colour, 2.4).dash(series.dash);
    let thin = Stroke::new(series.colour, 0.9)
        .dash(series.dash)
        .opacity(0.45);
    let single = trainings.len() == 1;
    for rows in trainings {
        let values = rows.iter().map(|row| (row.epoch, (series.value)(row)));
        broken_line(figure, panel, values, if single { thick } else { thin });
    }
    if single {
        return;
    }
    let mut by_epoch: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for row in trainings.iter().flatten() {
        if let Some(value) = (series.value)(row) {
            by_epoch.entry(row.epoch).or_default().push(value);
        }
    }
    let means = by_epoch.into_iter().map(|(epoch, values)| {
        let all = values.len() == trainings.len();
        (epoch, if all { mean(values.into_iter()) } else { None })
    });
    broken_line(figure, panel, means, thick);
}

/// A line that leaves out what is absent or not finite; a lone point becomes a dot.
fn broken_line(
    figure: &mut Figure,
    panel: &Panel,
    values: impl Iterator<Item = (usize, Option<f64>)>,
    stroke: Stroke,
) {
    let mut run = Vec::new();
    let mut finish = |run: &mut Vec<(f64, f64)>| match run[..] {
        [] => {}
        [(x, y)] => {
            figure.circle(x, y, stroke.width + 1.0, stroke.colour);
            run.clear();
        }
        _ => figure.line(std::mem::take(run), stroke),
    };
    for (epoch, value) in values {
        match value {
            Some(value) if value.is_finite() => {
                run.push((panel.x(epoch as f64), panel.y(value)));
            }
            _ => finish(&mut run),
        }
    }
    finish(&mut run);
}

/// Names above the panel, clear of the curves.
fn legend(figure: &mut Figure, panel: &Panel, shown: &[&Series]) {
    for (index, series) in shown.iter().enumerate() {
        let x = panel.left + 4.0 + 120.0 * index as f64;
        let y = panel.top - 14.0;
        let stroke = Stroke::new(series.colour, 2.4).dash(series.dash);
        figure.segment((x, y), (x + 26.0, y), stroke);
        figure.text_centred(x + 33.0, y, series.name, Type::new(11.5, Anchor::Start));
    }
}
