//! Colours that stay apart for every kind of colour vision.

/// An opaque colour, sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rgb(pub(super) u8, pub(super) u8, pub(super) u8);

impl Rgb {
    /// `#rrggbb`.
    pub(super) fn hex(self) -> String {
        format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2)
    }

    /// Black or white, whichever contrasts more with this colour.
    pub(super) fn ink(self) -> Self {
        // Relative luminance as in WCAG 2.1; at 0.179 both contrasts are equal.
        let linear = |v: u8| {
            let v = f64::from(v) / 255.0;
            if v <= 0.04045 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        };
        let luminance = 0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2);
        if luminance > 0.179 { BLACK } else { WHITE }
    }
}

pub(super) const BLACK: Rgb = Rgb(0, 0, 0);
pub(super) const WHITE: Rgb = Rgb(255, 255, 255);
/// Axes and titles.
pub(super) const TEXT: Rgb = Rgb(34, 34, 34);
/// Captions and secondary words (contrast 5.7 : 1 on white).
pub(super) const MUTED: Rgb = Rgb(102, 102, 102);
/// Grid lines.
pub(super) const GRID: Rgb = Rgb(224, 224, 224);

/// Okabe-Ito blue.
///
/// Source: M. Okabe and K. Ito, *Color Universal Design*, 2008.
pub(super) const BLUE: Rgb = Rgb(0, 114, 178);
/// Okabe-Ito vermillion.
pub(super) const VERMILLION: Rgb = Rgb(213, 94, 0);
/// Okabe-Ito sky blue.
pub(super) const SKY: Rgb = Rgb(86, 180, 233);

/// Cividis at 17 equal steps.
///
/// Source: J. R. Nuñez, C. R. Anderton, R. S. Renslow, *Optimizing colormaps with consideration for color
/// vision deficiency*, PLOS ONE 2018.
const CIVIDIS: [Rgb; 17] = [
    Rgb(0, 34, 78),
    Rgb(0, 46, 106),
    Rgb(26, 56, 111),
    Rgb(50, 67, 109),
    Rgb(67, 78, 108),
    Rgb(83, 90, 109),
    Rgb(97, 101, 111),
    Rgb(111, 112, 115),
    Rgb(125, 124, 120),
    Rgb(140, 136, 120),
    Rgb(155, 148, 118),
    Rgb(171, 160, 114),
    Rgb(188, 174, 108),
    Rgb(205, 187, 99),
    Rgb(222, 201, 88),
    Rgb(240, 216, 70),
    Rgb(254, 232, 56),
];

/// The cividis colour of a value in `[0, 1]` (clamped; NaN is 0).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is clamped to the table and mixed colours stay within 0 to 255"
)]
pub(super) fn cividis(value: f64) -> Rgb {
    let value = if value.is_nan() {
        0.0
    } else {
        value.clamp(0.0, 1.0)
    };
    let position = value * (CIVIDIS.len() - 1) as f64;
    let below = (position as usize).min(CIVIDIS.len() - 2);
    let share = position - below as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
    let (a, b) = (CIVIDIS[below], CIVIDIS[below + 1]);
    Rgb(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cividis_spans_its_table() {
        assert_eq!(cividis(-1.0), CIVIDIS[0]);
        assert_eq!(cividis(f64::NAN), CIVIDIS[0]);
        assert_eq!(cividis(0.5), CIVIDIS[8]);
        assert_eq!(cividis(2.0), CIVIDIS[16]);
        assert_eq!((cividis(0.0).ink(), cividis(1.0).ink()), (WHITE, BLACK));
    }
}
