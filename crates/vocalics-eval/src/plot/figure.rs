//! A figure as a list of marks, and its SVG form.

use std::fmt::Write;
use std::path::Path;

use super::palette::{MUTED, Rgb, TEXT};
use super::raster;
use crate::{EvalError, file};

/// Space around everything.
pub(super) const MARGIN: f64 = 16.0;
const TITLE_SIZE: f64 = 16.0;
const SUBTITLE_SIZE: f64 = 12.5;
const CAPTION_SIZE: f64 = 11.0;
/// Line height by font size.
const LEADING: f64 = 1.35;
/// Verdana shares the metrics of DejaVu Sans.
const FONT_FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Which point of the words lies at their position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How words look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) anchor: Anchor,
    pub(super) bold: bool,
    pub(super) colour: Rgb,
    /// Degrees, clockwise, around the position.
    pub(super) angle: f64,
}

impl Type {
    pub(super) fn new(size: f64, anchor: Anchor) -> Self {
        Self {
            size,
            anchor,
            bold: false,
            colour: TEXT,
            angle: 0.0,
        }
    }

    pub(super) fn colour(self, colour: Rgb) -> Self {
        Self { colour, ..self }
    }

    pub(super) fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(super) fn angle(self, angle: f64) -> Self {
        Self { angle, ..self }
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stroke {
    pub(super) colour: Rgb,
    pub(super) width: f64,
    pub(super) opacity: f64,
    /// Lengths of dash and gap; none for a solid line.
    pub(super) dash: Option<(f64, f64)>,
}

impl Stroke {
    pub(super) fn new(colour: Rgb, width: f64) -> Self {
        Self {
            colour,
            width,
            opacity: 1.0,
            dash: None,
        }
    }

    pub(super) fn opacity(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }

    pub(super) fn dash(self, dash: Option<(f64, f64)>) -> Self {
        Self { dash, ..self }
    }
}

/// One mark. Positions are in units of the figure, from its top left corner.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        fill: Rgb,
    },
    Line {
        points: Vec<(f64, f64)>,
        stroke: Stroke,
    },
    Circle {
        x: f64,
        y: f64,
        radius: f64,
        fill: Rgb,
    },
    /// Cells of one colour each, row by row from the top.
    Image {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        columns: usize,
        pixels: Vec<Rgb>,
    },
    Text {
        x: f64,
        y: f64,
        words: String,
        style: Type,
    },
}

/// A drawing that can be written as SVG or PNG.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) title: String,
    pub(super) marks: Vec<Mark>,
}

impl Figure {
    /// A figure with a title, one line below it, room for a body and a caption at the foot that wraps. The
    /// figure grows wider than asked where the line needs it: its numbers and what they mean stay together.
    /// Returns the figure and the top of the body, whose left edge is [`MARGIN`].
    pub(super) fn titled(
        width: f64,
        body_height: f64,
        title: &str,
        subtitle: &str,
        caption: &str,
    ) -> (Self, f64) {
        let needed = raster::text_width(subtitle, SUBTITLE_SIZE, false) + 1.0;
        let room = (width - 2.0 * MARGIN).max(needed);
        let width = room + 2.0 * MARGIN;
        let mut figure = Self {
            width,
            height: 0.0,
            title: title.to_owned(),
            marks: Vec::new(),
        };
        let mut y = MARGIN;
        let title_style = Type::new(TITLE_SIZE, Anchor::Start).bold();
        y = figure.paragraph(y, title, title_style, room);
        y = figure.paragraph(
            y + 2.0,
            subtitle,
            Type::new(SUBTITLE_SIZE, Anchor::Start),
            room,
        );
        let top = y + 12.0;
        let foot = top + body_height + 12.0;
        let caption_style = Type::new(CAPTION_SIZE, Anchor::Start).colour(MUTED);
        figure.height = figure.paragraph(foot, caption, caption_style, room) + MARGIN * 0.75;
        (figure, top)
    }

    /// Writes wrapped lines below `y` and returns where they end.
    fn paragraph(&mut self, mut y: f64, words: &str, style: Type, room: f64) -> f64 {
        for line in wrap(words, style, room) {
            self.text(MARGIN, y + style.size, line, style);
            y += style.size * LEADING;
        }
        y
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: Rgb) {
        self.marks.push(Mark::Rect {
            x,
            y,
            width,
            height,
            fill,
        });
    }

    pub(super) fn line(&mut self, points: Vec<(f64, f64)>, stroke: Stroke) {
        self.marks.push(Mark::Line { points, stroke });
    }

    pub(super) fn segment(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        self.line(vec![from, to], stroke);
    }

    pub(super) fn circle(&mut self, x: f64, y: f64, radius: f64, fill: Rgb) {
        self.marks.push(Mark::Circle { x, y, radius, fill });
    }

    /// A grid of coloured cells, row by row from the top, stretched over a rectangle.
    pub(super) fn image(
        &mut self,
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        columns: usize,
        pixels: Vec<Rgb>,
    ) {
        self.marks.push(Mark::Image {
            x,
            y,
            width,
            height,
            columns,
            pixels,
        });
    }

    /// Words whose base line passes through `(x, y)`.
    pub(super) fn text(&mut self, x: f64, y: f64, words: impl Into<String>, style: Type) {
        self.marks.push(Mark::Text {
            x,
            y,
            words: words.into(),
            style,
        });
    }

    /// Words whose capitals are centred on `y`.
    pub(super) fn text_centred(&mut self, x: f64, y: f64, words: impl Into<String>, style: Type) {
        self.text(x, y + 0.36 * style.size, words, style);
    }

    /// The figure as an SVG document: no scripts, no references, words as words.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let (width, height) = (number(self.width), number(self.height));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" font-family=\"{FONT_FAMILY}\">\n\
             <title>{}</title>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n",
            escape(&self.title)
        );
        for mark in &self.marks {
            // Writing to a string does not fail.
            let _ = writeln!(svg, "{}", element(mark));
        }
        svg.push_str("</svg>\n");
        svg
    }

    /// The figure as a PNG file, `scale` pixels per unit, on white.
    ///
    /// # Errors
    /// A scale at which the picture is empty or larger than 16,384 pixels a side.
    pub fn to_png(&self, scale: f64) -> Result<Vec<u8>, EvalError> {
        raster::png(self, scale)
    }

    /// Writes [`Figure::to_svg`] to `path`, atomically.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_svg(&self, path: &Path) -> Result<(), EvalError> {
        file::write_atomic(path, self.to_svg().as_bytes())
    }

    /// Writes [`Figure::to_png`] to `path`, atomically.
    ///
    /// # Errors
    /// A scale that does not work, or a file that cannot be written.
    pub fn write_png(&self, path: &Path, scale: f64) -> Result<(), EvalError> {
        file::write_atomic(path, &self.to_png(scale)?)
    }
}

fn element(mark: &Mark) -> String {
    match mark {
        Mark::Rect {
            x,
            y,
            width,
            height,
            fill,
        } => format!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>",
            number(*x),
            number(*y),
            number(*width),
            number(*height),
            fill.hex()
        ),
        Mark::Line { points, stroke } => {
            let points: Vec<String> = points
                .iter()
                .map(|&(x, y)| format!("{},{}", number(x), number(y)))
                .collect();
            let opacity = if stroke.opacity < 1.0 {
                format!(" stroke-opacity=\"{}\"", number(stroke.opacity))
            } else {
                String::new()
            };
            let dash = stroke.dash.map_or_else(String::new, |(dash, gap)| {
                format!(" stroke-dasharray=\"{} {}\"", number(dash), number(gap))
            });
            format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" \
                 stroke-linejoin=\"round\"{opacity}{dash}/>",
                points.join(" "),
                stroke.colour.hex(),
                number(stroke.width)
            )
        }
        Mark::Circle { x, y, radius, fill } => format!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"/>",
            number(*x),
            number(*y),
            number(*radius),
            fill.hex()
        ),
        Mark::Image {
            x,
            y,
            width,
            height,
            columns,
            pixels,
        } => {
            // A grid that cannot be drawn leaves a gap in both forms.
            let png = raster::grid(*columns, pixels)
                .and_then(|grid| grid.encode_png().ok())
                .unwrap_or_default();
            format!(
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
                 href=\"data:image/png;base64,{}\"/>",
                number(*x),
                number(*y),
                number(*width),
                number(*height),
                base64(&png)
            )
        }
        Mark::Text { x, y, words, style } => {
            let (x, y) = (number(*x), number(*y));
            let anchor = match style.anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let bold = if style.bold {
                " font-weight=\"bold\""
            } else {
                ""
            };
            let turn = if style.angle.abs() > 0.0 {
                format!(" transform=\"rotate({} {x} {y})\"", number(style.angle))
            } else {
                String::new()
            };
            format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{}\"{anchor}{bold}{turn}>{}</text>",
                number(style.size),
                style.colour.hex(),
                escape(words)
            )
        }
    }
}

/// Source: RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| group.get(i).copied().unwrap_or(0);
        let indices = [
            byte(0) >> 2,
            (byte(0) & 3) << 4 | byte(1) >> 4,
            (byte(1) & 15) << 2 | byte(2) >> 6,
            byte(2) & 63,
        ];
        for (i, index) in indices.into_iter().enumerate() {
            text.push(if i <= group.len() {
                char::from(ALPHABET[usize::from(index)])
            } else {
                '='
            });
        }
    }
    text
}

/// At most two decimals, none when they are zero.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text safe inside elements and attributes of XML and HTML; control characters, which XML forbids, become
/// spaces.
pub(crate) fn escape(words: &str) -> String {
    let mut safe = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// Breaks words at spaces so that every line fits into `room`; a single longer word stands alone.
fn wrap(words: &str, style: Type, room: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line)
                if raster::text_width(&format!("{line} {word}"), style.size, style.bold)
                    <= room =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svg_escapes_what_users_name() {
        let (mut figure, top) = Figure::titled(300.0, 50.0, "<a & 'b'>", "", "");
        figure.text(10.0, top, "\"x\"\u{0}<", Type::new(10.0, Anchor::End));
        let svg = figure.to_svg();
        assert!(svg.contains("<title>&lt;a &amp; &#39;b&#39;&gt;</title>"));
        assert!(svg.contains(">&quot;x&quot; &lt;</text>"));
        assert!(!svg.contains('\u{0}'));
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn captions_wrap_within_the_figure() {
        let caption = "ravdess-speech emobox-6fold ".repeat(20);
        let style = Type::new(CAPTION_SIZE, Anchor::Start);
        let lines = wrap(&caption, style, 300.0);
        assert!(lines.len() > 5);
        for line in &lines {
            assert!(raster::text_width(line, style.size, false) <= 300.0);
        }
        assert_eq!(lines.join(" "), caption.trim());
    }
}
