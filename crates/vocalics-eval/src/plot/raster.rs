//! A figure as pixels, with glyphs from the fonts in this crate.

use std::sync::OnceLock;

use tiny_skia::{
    FillRule, FilterQuality, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint, Rect,
    Stroke as Pen, StrokeDash, Transform,
};
use ttf_parser::{Face, OutlineBuilder};

use super::figure::{Anchor, Figure, Mark, Stroke, Type};
use super::palette::Rgb;
use crate::EvalError;

/// Pixels a side above which a picture is refused rather than allocated.
const MAX_SIDE: f64 = 16_384.0;

/// The regular or the bold face; `None` if the embedded file were damaged.
fn face(bold: bool) -> Option<&'static Face<'static>> {
    static REGULAR: OnceLock<Option<Face<'static>>> = OnceLock::new();
    static BOLD: OnceLock<Option<Face<'static>>> = OnceLock::new();
    let (cell, bytes): (_, &'static [u8]) = if bold {
        (
            &BOLD,
            include_bytes!("../../fonts/DejaVuSans-Bold-subset.ttf"),
        )
    } else {
        (
            &REGULAR,
            include_bytes!("../../fonts/DejaVuSans-subset.ttf"),
        )
    };
    cell.get_or_init(|| Face::parse(bytes, 0).ok()).as_ref()
}

/// Width of words at a font size, in the same unit.
pub(super) fn text_width(words: &str, size: f64, bold: bool) -> f64 {
    let Some(face) = face(bold) else {
        return 0.6 * size * words.chars().count() as f64;
    };
    let units: f64 = words
        .chars()
        .map(|c| {
            let glyph = face.glyph_index(c).unwrap_or_default();
            f64::from(face.glyph_hor_advance(glyph).unwrap_or_default())
        })
        .sum();
    units * size / f64::from(face.units_per_em())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides are checked against MAX_SIDE; pixels need no more than single precision"
)]
pub(super) fn png(figure: &Figure, scale: f64) -> Result<Vec<u8>, EvalError> {
    let failed = |reason: String| EvalError::Plot {
        figure: "png",
        reason,
    };
    let (width, height) = (
        (figure.width * scale).ceil(),
        (figure.height * scale).ceil(),
    );
    if !(width >= 1.0 && height >= 1.0 && width <= MAX_SIDE && height <= MAX_SIDE) {
        return Err(failed(format!(
            "{width} x {height} pixels, expected 1 to {MAX_SIDE} a side"
        )));
    }
    let mut pixels = Pixmap::new(width as u32, height as u32)
        .ok_or_else(|| failed(format!("no memory for {width} x {height} pixels")))?;
    pixels.fill(tiny_skia::Color::WHITE);
    let scale = scale as f32;
    for mark in &figure.marks {
        draw(&mut pixels, mark, Transform::from_scale(scale, scale))
            .ok_or_else(|| failed(format!("{mark:?} has no outline")))?;
    }
    pixels
        .encode_png()
        .map_err(|error| failed(error.to_string()))
}

/// A grid of cells as a picture of one pixel each; `None` if it has no cell or too many.
pub(super) fn grid(columns: usize, cells: &[Rgb]) -> Option<Pixmap> {
    let rows = cells.len().checked_div(columns)?;
    let mut grid = Pixmap::new(u32::try_from(columns).ok()?, u32::try_from(rows).ok()?)?;
    for (pixel, cell) in grid.pixels_mut().iter_mut().zip(cells) {
        *pixel = tiny_skia::ColorU8::from_rgba(cell.0, cell.1, cell.2, 255).premultiply();
    }
    Some(grid)
}

/// Draws one mark. `None` if a position is not finite or a font is damaged.
#[expect(
    clippy::cast_possible_truncation,
    reason = "pixels need no more than single precision"
)]
fn draw(pixels: &mut Pixmap, mark: &Mark, transform: Transform) -> Option<()> {
    match mark {
        Mark::Rect {
            x,
            y,
            width,
            height,
            fill,
        } => {
            if *width > 0.0 && *height > 0.0 {
                let rect = Rect::from_xywh(*x as f32, *y as f32, *width as f32, *height as f32)?;
                // As a path: unlike fill_rect it is smoothed at fractional edges.
                let path = PathBuilder::from_rect(rect);
                pixels.fill_path(
                    &path,
                    &paint(*fill, 1.0),
                    FillRule::Winding,
                    transform,
                    None,
                );
            }
        }
        Mark::Line { points, stroke } => line(pixels, points, *stroke, transform)?,
        Mark::Circle { x, y, radius, fill } => {
            let path = PathBuilder::from_circle(*x as f32, *y as f32, *radius as f32)?;
            pixels.fill_path(
                &path,
                &paint(*fill, 1.0),
                FillRule::Winding,
                transform,
                None,
            );
        }
        Mark::Image {
            x,
            y,
            width,
            height,
            columns,
            pixels: cells,
        } => {
            if let Some(grid) = grid(*columns, cells) {
                let transform = transform.pre_translate(*x as f32, *y as f32).pre_scale(
                    *width as f32 / grid.width() as f32,
                    *height as f32 / grid.height() as f32,
                );
                let paint = PixmapPaint {
                    quality: FilterQuality::Bilinear,
                    ..PixmapPaint::default()
                };
                pixels.draw_pixmap(0, 0, grid.as_ref(), &paint, transform, None);
            }
        }
        Mark::Text { x, y, words, style } => {
            let transform = transform
                .pre_translate(*x as f32, *y as f32)
                .pre_concat(Transform::from_rotate(style.angle as f32));
            if let Some(path) = outline(words, *style)? {
                let paint = paint(style.colour, 1.0);
                pixels.fill_path(&path, &paint, FillRule::Winding, transform, None);
            }
        }
    }
    Some(())
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "pixels need no more than single precision"
)]
fn line(
    pixels: &mut Pixmap,
    points: &[(f64, f64)],
    stroke: Stroke,
    transform: Transform,
) -> Option<()> {
    if points.len() < 2 {
        return Some(());
    }
    let mut builder = PathBuilder::new();
    for (index, &(x, y)) in points.iter().enumerate() {
        if index == 0 {
            builder.move_to(x as f32, y as f32);
        } else {
            builder.line_to(x as f32, y as f32);
        }
    }
    let pen = Pen {
        width: stroke.width as f32,
        line_join: LineJoin::Round,
        dash: stroke
            .dash
            .and_then(|(dash, gap)| StrokeDash::new(vec![dash as f32, gap as f32], 0.0)),
        ..Pen::default()
    };
    let paint = paint(stroke.colour, stroke.opacity);
    pixels.stroke_path(&builder.finish()?, &paint, &pen, transform, None);
    Some(())
}

/// The outline of words with their anchor at the origin; an inner `None` when nothing is visible.
#[expect(
    clippy::cast_possible_truncation,
    reason = "pixels need no more than single precision"
)]
fn outline(words: &str, style: Type) -> Option<Option<Path>> {
    let face = face(style.bold)?;
    let width = text_width(words, style.size, style.bold);
    let start = match style.anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -width / 2.0,
        Anchor::End => -width,
    };
    let scale = (style.size / f64::from(face.units_per_em())) as f32;
    let mut pen = Glyphs {
        path: PathBuilder::new(),
        scale,
        x: start as f32,
    };
    for c in words.chars() {
        let glyph = face.glyph_index(c).unwrap_or_default();
        // A space has no outline.
        let _ = face.outline_glyph(glyph, &mut pen);
        pen.x += f32::from(face.glyph_hor_advance(glyph).unwrap_or_default()) * scale;
    }
    Some(pen.path.finish())
}

/// Moves glyph outlines, whose y axis points up, to their place.
struct Glyphs {
    path: PathBuilder,
    scale: f32,
    x: f32,
}

impl Glyphs {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Glyphs {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2)) = (self.place(x1, y1), self.place(x2, y2));
        let (x, y) = self.place(x, y);
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "opacity lies in [0, 1]"
)]
fn paint(colour: Rgb, opacity: f64) -> Paint<'static> {
    let mut paint = Paint {
        anti_alias: true,
        ..Paint::default()
    };
    paint.set_color_rgba8(
        colour.0,
        colour.1,
        colour.2,
        (255.0 * opacity).round() as u8,
    );
    paint
}

#[cfg(test)]
mod tests {
    use super::super::figure::Figure;
    use super::*;

    #[test]
    fn both_faces_are_embedded() {
        for bold in [false, true] {
            let face = face(bold).unwrap();
            for c in "aZ09äßéñŠжΩ%±–—≤·…".chars() {
                assert!(face.glyph_index(c).is_some(), "{c}");
            }
        }
        assert!(text_width("iii", 10.0, false) < text_width("WWW", 10.0, false));
    }

    #[test]
    fn words_leave_ink() {
        let (mut figure, top) = Figure::titled(120.0, 40.0, "", "", "");
        let blank = figure.to_png(1.0).unwrap();
        figure.text(
            60.0,
            top + 20.0,
            "angry 语",
            Type::new(14.0, Anchor::Middle),
        );
        let bytes = figure.to_png(1.0).unwrap();
        assert_ne!(blank, bytes);
        let dark = Pixmap::decode_png(&bytes)
            .unwrap()
            .pixels()
            .iter()
            .filter(|pixel| pixel.red() < 100)
            .count();
        assert!((40..400).contains(&dark), "{dark}");
    }

    #[test]
    fn absurd_scales_are_refused() {
        let (figure, _) = Figure::titled(120.0, 40.0, "t", "", "");
        for scale in [0.0, -1.0, f64::NAN, 1e9] {
            assert!(
                matches!(figure.to_png(scale), Err(EvalError::Plot { .. })),
                "{scale}"
            );
        }
    }
}
