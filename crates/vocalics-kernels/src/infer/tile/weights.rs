//! The left side of the product.

/// Most rows of a tile.
pub const ROWS: usize = 6;
/// The left side, cut into tiles of nearly equal height.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    pub(super) values: Vec<f32>,
    pub(super) tiles: Vec<Tile>,
    pub(super) rows: usize,
    pub(super) depth: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tile {
    pub(super) first_row: usize,
    pub(super) rows: usize,
}

/// Rows of every tile: as few tiles as there can be, as equal as they can be.
fn tiles(rows: usize) -> impl Iterator<Item = Tile> {
    let count = rows.div_ceil(ROWS);
    let mut first_row = 0;
    (0..count).map(move |index| {
        let height = rows / count + usize::from(index < rows % count);
        let tile = Tile {
            first_row,
            rows: height,
        };
        first_row += height;
        tile
    })
}

impl Weights {
    /// Packs a matrix given by its element at `(row, k)`, `[rows, depth]`.
    #[must_use]
    pub fn pack(rows: usize, depth: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let mut weights = Self::default();
        weights.lay_out(rows, depth);
        for tile in &weights.tiles {
            for k in 0..depth {
                let column = (0..tile.rows).map(|m| at(tile.first_row + m, k));
                weights.values.extend(column);
            }
        }
        weights
    }

    /// As [`pack`](Self::pack), into the memory that is there, of a matrix `[rows, depth]`.
    ///
    /// # Panics
    /// When the slice does not have the length of its shape.
    pub fn repack(&mut self, rows: usize, depth: usize, matrix: &[f32]) {
        assert_eq!(matrix.len(), rows * depth, "rows of the left side");
        self.lay_out(rows, depth);
        let mut left = matrix;
        for tile in &self.tiles {
            let (rows, rest) = left.split_at(tile.rows * depth);
            left = rest;
            let mut row = [&rows[..0]; ROWS];
            for (row, values) in row.iter_mut().zip(rows.chunks_exact(depth.max(1))) {
                *row = values;
            }
            for k in 0..depth {
                self.values
                    .extend(row[..tile.rows].iter().map(|row| row[k]));
            }
        }
    }

    fn lay_out(&mut self, rows: usize, depth: usize) {
        self.tiles.clear();
        self.tiles.extend(tiles(rows));
        self.values.clear();
        self.rows = rows;
        self.depth = depth;
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Weights in a row.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.depth
    }
}
