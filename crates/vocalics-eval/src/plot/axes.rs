//! A rectangle with a horizontal and a vertical scale.

use super::figure::{Anchor, Figure, Stroke, Type};
use super::palette::{GRID, TEXT};

const TICK_SIZE: f64 = 11.0;
const LABEL_SIZE: f64 = 12.0;

/// Where a panel lies in its figure and what its edges stand for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    /// Values at the left and right edge.
    pub(super) x: (f64, f64),
    /// Values at the bottom and top edge.
    pub(super) y: (f64, f64),
}

impl Panel {
    pub(super) fn x(&self, value: f64) -> f64 {
        self.left + self.width * share(value, self.x)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.top + self.height * (1.0 - share(value, self.y))
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// Draws grid, ticks, axis lines and axis labels. Put it under the data.
    pub(super) fn draw(
        &self,
        figure: &mut Figure,
        (x_label, x_ticks): (&str, &[f64]),
        (y_label, y_ticks): (&str, &[f64]),
    ) {
        let right = self.left + self.width;
        for &tick in y_ticks {
            let y = self.y(tick);
            figure.segment((self.left, y), (right, y), Stroke::new(GRID, 1.0));
            let style = Type::new(TICK_SIZE, Anchor::End);
            figure.text_centred(self.left - 6.0, y, tick_text(tick), style);
        }
        for &tick in x_ticks {
            let x = self.x(tick);
            figure.segment(
                (x, self.bottom()),
                (x, self.bottom() + 4.0),
                Stroke::new(TEXT, 1.0),
            );
            let style = Type::new(TICK_SIZE, Anchor::Middle);
            figure.text(x, self.bottom() + 17.0, tick_text(tick), style);
        }
        let axis = vec![
            (self.left, self.top),
            (self.left, self.bottom()),
            (right, self.bottom()),
        ];
        figure.line(axis, Stroke::new(TEXT, 1.0));
        let style = Type::new(LABEL_SIZE, Anchor::Middle);
        let middle = (self.left + self.width / 2.0, self.top + self.height / 2.0);
        figure.text(middle.0, self.bottom() + 35.0, x_label, style);
        figure.text(self.left - 40.0, middle.1, y_label, style.angle(-90.0));
    }
}

fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    if high > low {
        (value - low) / (high - low)
    } else {
        0.5
    }
}

/// Round numbers from `low` to `high`, about `target` of them, steps of 1, 2 or 5 times a power of ten.
pub(super) fn ticks(low: f64, high: f64, target: f64) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) {
        return vec![low];
    }
    let raw = span / target;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil();
    let mut values = Vec::new();
    let mut index = 0.0;
    loop {
        let value = (first + index) * step;
        if value > high + 1e-9 * span {
            return values;
        }
        values.push(value);
        index += 1.0;
    }
}

/// As few decimals as tell ticks apart.
fn tick_text(value: f64) -> String {
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let text = |low, high, target| {
            ticks(low, high, target)
                .into_iter()
                .map(tick_text)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(text(0.0, 100.0, 5.0), "0 20 40 60 80 100");
        assert_eq!(text(0.0, 2.3, 5.0), "0 0.5 1 1.5 2");
        assert_eq!(text(1.0, 7.0, 6.0), "1 2 3 4 5 6 7");
        assert_eq!(text(-0.1, 0.1, 4.0), "-0.1 -0.05 0 0.05 0.1");
        assert_eq!(text(3.0, 3.0, 4.0), "3");
    }
}
