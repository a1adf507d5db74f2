//! Statistics of a column, which turn descriptors into functionals.

use vocalics_dsp::{floor_index, narrow};

/// Mean; 0 for nothing.
pub(crate) fn mean(values: &[f32]) -> f32 {
    narrow(mean_of(values))
}

fn mean_of(values: &[f32]) -> f64 {
    // Not `sum`, which makes -0 of nothing.
    let sum = values.iter().fold(0.0, |sum, x| sum + f64::from(*x));
    sum / values.len().max(1) as f64
}

/// Population deviation; 0 for nothing.
pub(crate) fn deviation(values: &[f32]) -> f32 {
    let mean = mean_of(values);
    let squares = values
        .iter()
        .fold(0.0, |sum, x| sum + (f64::from(*x) - mean).powi(2));
    narrow((squares / values.len().max(1) as f64).sqrt())
}

/// Quantile with linear interpolation, as `numpy.quantile`; 0 for nothing.
pub(crate) fn quantile(values: &[f32], share: f64) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let position = share.clamp(0.0, 1.0) * last as f64;
    let left = floor_index(position);
    let (a, b) = (
        f64::from(sorted[left]),
        f64::from(sorted[(left + 1).min(last)]),
    );
    narrow(a + (position - left as f64) * (b - a))
}

/// A contour's way from one turning point to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Movement {
    /// Last value less the first.
    pub(crate) change: f32,
    /// Frames from the one to the other.
    pub(crate) steps: usize,
}

/// The movements of a contour of frame numbers and values. It turns where it goes back by `least` from
/// its extreme; a contour that never goes so far has none.
pub(crate) fn movements(contour: &[(usize, f32)], least: f32) -> Vec<Movement> {
    let mut found = Vec::new();
    let between = |from: usize, to: usize| Movement {
        change: contour[to].1 - contour[from].1,
        steps: contour[to].0 - contour[from].0,
    };
    // Where the last movement ended, and the extremes since.
    let (mut from, mut low, mut high) = (None, 0, 0);
    let mut rising = None;
    for (i, &(_, value)) in contour.iter().enumerate() {
        if value < contour[low].1 {
            low = i;
        }
        if value > contour[high].1 {
            high = i;
        }
        let falls = contour[high].1 - value >= least;
        let rises = value - contour[low].1 >= least;
        match rising {
            Some(true) if falls => {
                found.push(between(from.unwrap_or(0), high));
                (from, low, rising) = (Some(high), i, Some(false));
            }
            Some(false) if rises => {
                found.push(between(from.unwrap_or(0), low));
                (from, high, rising) = (Some(low), i, Some(true));
            }
            None if rises => (from, high, rising) = (Some(low), i, Some(true)),
            None if falls => (from, low, rising) = (Some(high), i, Some(false)),
            _ => {}
        }
    }
    if let (Some(from), Some(rising)) = (from, rising) {
        found.push(between(from, if rising { high } else { low }));
    }
    found
}

/// Names of [`summary`] for one column.
pub(crate) fn summary_names(column: &str) -> [String; 4] {
    ["mean", "std", "p10", "p90"].map(|what| format!("{column}_{what}"))
}

/// Mean, deviation, 10th and 90th percentile of every column of rows of `n_columns` values.
pub(crate) fn summary(rows: &[f32], n_columns: usize) -> Vec<f32> {
    (0..n_columns)
        .flat_map(|column| {
            let values: Vec<f32> = rows
                .iter()
                .skip(column)
                .step_by(n_columns)
                .copied()
                .collect();
            [
                mean(&values),
                deviation(&values),
                quantile(&values, 0.1),
                quantile(&values, 0.9),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_columns_have_known_statistics() {
        let rows = [1.0, 10.0, 2.0, 10.0, 3.0, 10.0, 4.0, 10.0, 5.0, 10.0];
        let found = summary(&rows, 2);
        let expected = [3.0, 2.0_f32.sqrt(), 1.4, 4.6, 10.0, 0.0, 10.0, 10.0];
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?}");
        }
        assert_eq!(summary(&[], 1), [0.0; 4]);
        assert!(summary(&[], 1).iter().all(|x| x.is_sign_positive()));
        assert_eq!(summary_names("x")[2], "x_p10");
    }

    #[test]
    fn movements_run_from_turn_to_turn() {
        let way = |contour: &[f32]| -> Vec<(f32, usize)> {
            let contour: Vec<(usize, f32)> = contour.iter().copied().enumerate().collect();
            let found = movements(&contour, 1.0);
            found.iter().map(|m| (m.change, m.steps)).collect()
        };
        assert_eq!(way(&[]), []);
        assert_eq!(way(&[1.0, 1.4, 0.9, 1.3]), []);
        assert_eq!(way(&[0.0, 0.4, 0.8, 1.2, 1.6]), [(1.6, 4)]);
        // The small step back is no turn.
        assert_eq!(way(&[0.0, 1.0, 0.5, 2.0]), [(2.0, 3)]);
        assert_eq!(
            way(&[1.0, 3.0, 2.5, 0.0, 0.5, 2.0]),
            [(2.0, 1), (-3.0, 2), (2.0, 2)]
        );
        assert_eq!(way(&[3.0, 2.5, 1.0, 1.5]), [(-2.0, 2)]);
        let gap = movements(&[(4, 0.0), (9, 2.0)], 1.0);
        assert_eq!(
            gap,
            [Movement {
                change: 2.0,
                steps: 5
            }]
        );
    }
}
