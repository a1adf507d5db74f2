//! Values of features sorted into bins, which trees split between.

use vocalics_features::FeatureMatrix;

/// Bins that the values of a feature are sorted into.
pub(super) const MAX_BINS: usize = 255;
/// Vectors as bins of equal numbers of clips, feature by feature.
#[derive(Debug)]
pub(super) struct Binned {
    /// `[n_features, n_clips]`
    bins: Vec<u8>,
    n_clips: usize,
    /// Upper edge of every bin but the last, ascending `[n_features]`.
    pub(super) edges: Vec<Vec<f32>>,
}

impl Binned {
    pub(super) fn new(vectors: &FeatureMatrix) -> Self {
        let (n_clips, n_features) = (vectors.n_frames(), vectors.n_features());
        let mut bins = Vec::with_capacity(n_clips * n_features);
        let mut edges = Vec::with_capacity(n_features);
        for feature in 0..n_features {
            let column: Vec<f32> = vectors.rows().map(|row| row[feature]).collect();
            let of_feature = bin_edges(&column);
            bins.extend(column.iter().map(|&x| bin_of(&of_feature, x)));
            edges.push(of_feature);
        }
        Self {
            bins,
            n_clips,
            edges,
        }
    }

    pub(super) fn n_features(&self) -> usize {
        self.edges.len()
    }

    pub(super) fn column(&self, feature: usize) -> &[u8] {
        &self.bins[feature * self.n_clips..(feature + 1) * self.n_clips]
    }
}

/// Middles between neighbouring values: all of them, or those at quantiles.
fn bin_edges(column: &[f32]) -> Vec<f32> {
    let mut values = column.to_vec();
    values.sort_by(f32::total_cmp);
    let n = values.len();
    let mut edges: Vec<f32> = Vec::new();
    let mut distinct = values.clone();
    distinct.dedup();
    let middle = |a: f32, b: f32| {
        let middle = f32::midpoint(a, b);
        // Rounding may reach the upper of two neighbours, which has to stay above the edge.
        if middle < b { middle } else { a }
    };
    if distinct.len() <= MAX_BINS {
        return distinct.windows(2).map(|w| middle(w[0], w[1])).collect();
    }
    for bin in 1..MAX_BINS {
        let at = bin * n / MAX_BINS;
        if values[at - 1] < values[at] {
            edges.push(middle(values[at - 1], values[at]));
        }
    }
    edges.dedup();
    edges
}

fn bin_of(edges: &[f32], x: f32) -> u8 {
    let bin = edges.partition_point(|edge| *edge < x);
    u8::try_from(bin).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_values_are_binned_by_quantiles() {
        let column: Vec<f32> = (0..5000).map(|i| (i as f32).powi(2)).collect();
        let edges = bin_edges(&column);
        assert_eq!(edges.len(), MAX_BINS - 1);
        let mut counts = vec![0; MAX_BINS];
        for &x in &column {
            counts[usize::from(bin_of(&edges, x))] += 1;
        }
        assert!(counts.iter().all(|n| (19..=20).contains(n)), "{counts:?}");
        let next = f32::from_bits(1.0_f32.to_bits() + 1);
        let two = bin_edges(&[1.0, next]);
        assert_eq!((bin_of(&two, 1.0), bin_of(&two, next)), (0, 1));
    }
}
