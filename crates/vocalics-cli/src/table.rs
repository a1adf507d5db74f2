//! Columns of text for a terminal.

/// Rows of cells; the first is the head. The first column is flush left, the others flush right.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    pub(crate) fn new(head: &[&str]) -> Self {
        Self {
            rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()],
            left: 1,
        }
    }

    /// Sets how many columns, from the first, are flush left.
    pub(crate) fn left(mut self, columns: usize) -> Self {
        self.left = columns;
        self
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table, every line ending in `note` (which may be empty) but the head.
    pub(crate) fn render(&self, note: &str) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                if column > 0 {
                    line.push_str("  ");
                }
                if column < self.left {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("{cell:>width$}"));
                }
            }
            if number > 0 && !note.is_empty() {
                line.push_str("  ");
                line.push_str(note);
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// A bar of `share` (0 to 1) of `width` characters, in eighths of a character.
pub(crate) fn bar(share: f32, width: u16) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and eight times a u16"
    )]
    let eighths = (share.clamp(0.0, 1.0) * f32::from(width) * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The last `width` characters of a name, marked where it is cut.
pub(crate) fn end_of(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let end: String = name.chars().skip(length + 1 - width).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_notes_follow_numbers() {
        let mut table = Table::new(&["class", "n"]);
        table.row(vec!["sad".into(), "12".into()]);
        table.row(vec!["fearful".into(), "3".into()]);
        assert_eq!(table.render(""), "class     n\nsad      12\nfearful   3\n");
        assert!(table.render("shared").ends_with("fearful   3  shared\n"));
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(0.55, 10), "█████▌");
        assert_eq!(bar(1.0, 10), "██████████");
        assert_eq!(bar(f32::NAN, 10), "");
    }
}
