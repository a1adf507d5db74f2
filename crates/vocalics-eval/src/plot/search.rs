//! What the parameters of a search explain, and its trials.

use super::axes::{Panel, ticks};
use super::figure::{Anchor, Figure, MARGIN, Stroke, Type};
use super::palette::{BLUE, GRID, MUTED, SKY, TEXT};
use super::raster::text_width;

const BAND: f64 = 30.0;
const BAR_WIDTH: f64 = 240.0;
const LABEL_SIZE: f64 = 12.0;
const SMALL: f64 = 10.0;
const COLUMNS: usize = 3;
const PANEL_WIDTH: f64 = 190.0;
const PANEL_HEIGHT: f64 = 130.0;
const GAP: (f64, f64) = (66.0, 64.0);
/// Least height of the UAR axis, in points, so that noise does not look like a cliff.
const LEAST_SPAN: f64 = 5.0;

/// One parameter of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct Searched {
    /// Its name.
    pub name: String,
    /// Share of the differences between trials that it explains by itself, from 0 to 1; `None` where that cannot be said.
    pub importance: Option<f64>,
    /// Whether its axis is logarithmic.
    pub logarithmic: bool,
    /// The values to choose from, in words; empty for a range.
    pub values: Vec<String>,
    /// Of each trial its value, or the place of it in `values` from 0, and its UAR, a fraction.
    pub trials: Vec<(f64, f64)>,
}

/// Draws one bar for each parameter, as long as its importance, and below them each parameter's values against the UAR of the
/// trials. `what` says what the UAR was measured on.
#[must_use]
pub fn search(parameters: &[Searched], what: &str) -> Figure {
    let name_room = parameters
        .iter()
        .map(|parameter| text_width(&parameter.name, LABEL_SIZE, false))
        .fold(0.0, f64::max);
    let bars = BAND * parameters.len() as f64;
    let rows = parameters.len().div_ceil(COLUMNS);
    let columns = parameters.len().clamp(1, COLUMNS) as f64;
    let trials = parameters.first().map_or(0, |p| p.trials.len());
    let left = MARGIN + name_room + 8.0;
    let width = (left + BAR_WIDTH + 60.0).max(MARGIN + columns * (PANEL_WIDTH + GAP.0));
    let (mut figure, top) = Figure::titled(
        width + MARGIN,
        bars + 54.0 + rows as f64 * (PANEL_HEIGHT + GAP.1),
        "What the parameters explain",
        &format!("{trials} trials · UAR on {what}"),
        "Bars: share of the variance between trials that the parameter explains by itself (correlation ratio ε²). Dots: trials. \
         Nothing here was measured on test clips.",
    );
    let panel = Panel {
        left,
        top: top + 4.0,
        width: BAR_WIDTH,
        height: bars,
        x: (0.0, 1.0),
        y: (0.0, 1.0),
    };
    let shares = ticks(0.0, 1.0, 5.0);
    for &tick in &shares {
        let x = panel.x(tick);
        figure.segment((x, panel.top), (x, panel.bottom()), Stroke::new(GRID, 1.0));
    }
    for (index, parameter) in parameters.iter().enumerate() {
        let y = panel.top + (index as f64 + 0.5) * BAND;
        figure.text_centred(
            left - 8.0,
            y,
            &parameter.name,
            Type::new(LABEL_SIZE, Anchor::End),
        );
        let words = Type::new(11.0, Anchor::Start);
        match parameter.importance {
            Some(share) => {
                figure.rect(left, y - 9.0, panel.x(share) - left, 18.0, SKY);
                figure.text_centred(panel.x(share) + 6.0, y, format!("{share:.2}"), words);
            }
            None => figure.text_centred(left + 6.0, y, "too few trials", words.colour(MUTED)),
        }
    }
    panel.draw(&mut figure, ("share of the variance", &shares), ("", &[]));
    let scores = parameters
        .iter()
        .flat_map(|p| &p.trials)
        .map(|trial| 100.0 * trial.1);
    let (low, high) = ends(scores);
    let spare = ((LEAST_SPAN - (high - low)) / 2.0).max(0.5);
    let scores = ((low - spare).max(0.0), (high + spare).min(100.0));
    let first = panel.bottom() + 66.0;
    for (index, parameter) in parameters.iter().enumerate() {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let at = (
            MARGIN + 48.0 + column as f64 * (PANEL_WIDTH + GAP.0),
            first + row as f64 * (PANEL_HEIGHT + GAP.1),
        );
        slice(&mut figure, parameter, at, scores);
    }
    figure
}

fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let start = (f64::INFINITY, f64::NEG_INFINITY);
    let (low, high) = values.fold(start, |(low, high), x| (low.min(x), high.max(x)));
    if low <= high { (low, high) } else { (0.0, 1.0) }
}

/// The trials by one parameter.
fn slice(figure: &mut Figure, parameter: &Searched, (left, top): (f64, f64), scores: (f64, f64)) {
    // A place in a list is no quantity.
    let logarithmic = parameter.logarithmic && parameter.values.is_empty();
    let place = |value: f64| {
        if logarithmic { value.log10() } else { value }
    };
    let values = parameter.trials.iter().map(|trial| place(trial.0));
    let x = if parameter.values.is_empty() {
        let (low, high) = ends(values);
        let spare = if high > low { 0.04 * (high - low) } else { 0.5 };
        (low - spare, high + spare)
    } else {
        (-0.5, parameter.values.len() as f64 - 0.5)
    };
    let panel = Panel {
        left,
        top,
        width: PANEL_WIDTH,
        height: PANEL_HEIGHT,
        x,
        y: scores,
    };
    let linear = parameter.values.is_empty() && !logarithmic;
    let x_ticks = if linear {
        ticks(x.0, x.1, 4.0)
    } else {
        Vec::new()
    };
    panel.draw(
        figure,
        (&parameter.name, &x_ticks),
        ("UAR, %", &ticks(scores.0, scores.1, 4.0)),
    );
    let words = Type::new(SMALL, Anchor::Middle).colour(TEXT);
    for (place, value) in parameter.values.iter().enumerate() {
        figure.text(panel.x(place as f64), panel.bottom() + 16.0, value, words);
    }
    if logarithmic {
        for (power, text) in decades(x) {
            let at = panel.x(power);
            let foot = panel.bottom();
            figure.segment((at, foot), (at, foot + 4.0), Stroke::new(TEXT, 1.0));
            figure.text(at, foot + 17.0, text, words);
        }
    }
    for &(value, uar) in &parameter.trials {
        figure.circle(panel.x(place(value)), panel.y(100.0 * uar), 2.6, BLUE);
    }
}

/// Powers of ten within a logarithmic axis; where there are fewer than two, also twice and five times those.
fn decades((low, high): (f64, f64)) -> Vec<(f64, String)> {
    let of = |digits: &[f64]| -> Vec<(f64, String)> {
        let mut found = Vec::new();
        let mut power = low.floor();
        while power <= high {
            for digit in digits {
                let at = power + digit.log10();
                if (low..=high).contains(&at) {
                    found.push((at, format!("{digit}e{power}")));
                }
            }
            power += 1.0;
        }
        found
    };
    let powers = of(&[1.0]);
    if powers.len() > 1 {
        powers
    } else {
        of(&[1.0, 2.0, 5.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trial_is_a_dot_in_every_panel() {
        let parameter = |name: &str, values: &[&str], logarithmic| Searched {
            name: name.into(),
            importance: Some(0.25),
            logarithmic,
            values: values.iter().map(|&v| v.into()).collect(),
            trials: vec![(1.0, 0.5), (0.01, 0.6)],
        };
        let figure = search(
            &[
                parameter("training.learning_rate", &[], true),
                parameter("training.weight_decay", &[], false),
            ],
            "validation speakers",
        );
        assert_eq!(figure.to_svg().matches("<circle").count(), 4);
        assert_eq!(
            decades((-2.1, 0.1))
                .into_iter()
                .map(|tick| tick.1)
                .collect::<Vec<_>>(),
            ["1e-2", "1e-1", "1e0"]
        );
        // The first of a list is number 0, whatever the scale.
        let mut listed = parameter("training.batch_size", &["16", "32"], true);
        listed.trials = vec![(0.0, 0.5), (1.0, 0.6)];
        assert!(!search(&[listed], "").to_svg().contains("inf"));
        // One trial, one value, nothing to divide by.
        let mut alone = parameter("x", &[], false);
        alone.trials.truncate(1);
        alone.importance = None;
        assert!(!search(&[alone], "").to_svg().contains("NaN"));
        assert!(!search(&[], "").to_svg().contains("NaN"));
    }
}
