//! Slopes of a contour between its turning points.

use super::STEP_SECS;
use vocalics_dsp::narrow;

/// Share of a contour's range by which it must rise or fall for a turning point to count.
const TURN_SHARE: f64 = 0.1;

/// Mean and deviation of the slopes of a contour, and the number of its peaks.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Slopes {
    /// Mean and deviation of rising slopes, then of falling ones, per second.
    pub(super) values: [f32; 4],
    pub(super) n_peaks: usize,
}

/// A peak or a valley.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Turn {
    index: usize,
    peak: bool,
}

/// Turning points between which a contour moves by more than `least`.
///
/// A local maximum is a peak if it lies above the last valley (at first, the first value) by more than that, and
/// takes the place of the peak before if it is higher and above the last local minimum by more than that. A
/// local minimum is a valley if it lies below the last peak by more than that, and takes the place of the valley
/// before if it is lower. The last inner value is no turning point.
fn turning_points(values: &[f64], least: f64) -> Vec<Turn> {
    let mut turns: Vec<Turn> = Vec::new();
    let Some(&first) = values.first() else {
        return turns;
    };
    let (mut valley, mut peak, mut local_minimum) = (first, first, first);
    let inner = values.len().saturating_sub(1);
    for (near, index) in values[..inner].windows(3).zip(1..) {
        let (before, value, after) = (near[0], near[1], near[2]);
        let last = turns.last().map(|turn| turn.peak);
        if before < value && value > after {
            let replaces = last == Some(true) && value > peak && value - local_minimum > least;
            if replaces {
                turns.pop();
            }
            if replaces || (last != Some(true) && value - valley > least) {
                turns.push(Turn { index, peak: true });
                peak = value;
            }
        } else if before > value && value < after {
            local_minimum = value;
            let replaces = last == Some(false) && value < valley;
            if replaces {
                turns.pop();
            }
            if replaces || (last != Some(false) && peak - value > least) {
                turns.push(Turn { index, peak: false });
                valley = value;
            }
        }
    }
    turns
}

/// The slopes of the reference.
///
/// From the first value to the first turning point, and on to the next, each is counted with its own sign
/// turned to positive. The way from the last turning point to the last value counts as it is: a fall after a
/// peak is negative, and it takes part in the mean alone, not in the deviation's sum. A contour that never turns has
/// the one slope from end to end, per frame, not per second.
pub(super) fn slopes(values: &[f64]) -> Slopes {
    let (Some(&first), Some(&end)) = (values.first(), values.last()) else {
        return Slopes::default();
    };
    let (low, high) = values
        .iter()
        .fold((first, first), |(low, high), x| (low.min(*x), high.max(*x)));
    let turns = turning_points(values, TURN_SHARE * (high - low));
    let Some(last) = turns.last() else {
        let slope = narrow((end - first) / values.len().saturating_sub(1).max(1) as f64);
        return Slopes {
            values: [slope.max(0.0), 0.0, slope.min(0.0), 0.0],
            n_peaks: 0,
        };
    };
    let (mut rising, mut falling) = (Vec::new(), Vec::new());
    let mut from = 0;
    for turn in &turns {
        let secs = (turn.index - from) as f64 * STEP_SECS;
        let slope = (values[turn.index] - values[from]) / secs;
        if turn.peak {
            rising.push(slope);
        } else {
            falling.push(-slope);
        }
        from = turn.index;
    }
    let rest = (end - values[from]) / ((values.len() - 1 - from) as f64 * STEP_SECS);
    let (after_valley, after_peak) = if last.peak {
        (None, Some(rest))
    } else {
        (Some(rest), None)
    };
    let [rise, rise_deviation] = mean_and_deviation(&rising, after_valley);
    let [fall, fall_deviation] = mean_and_deviation(&falling, after_peak);
    Slopes {
        values: [rise, rise_deviation, fall, fall_deviation],
        n_peaks: turns.iter().filter(|turn| turn.peak).count(),
    }
}

/// Mean with the rest, and the deviation from it of all but the rest, over the count with it.
fn mean_and_deviation(slopes: &[f64], rest: Option<f64>) -> [f32; 2] {
    let count = (slopes.len() + usize::from(rest.is_some())).max(1) as f64;
    let mean = (slopes.iter().sum::<f64>() + rest.unwrap_or(0.0)) / count;
    let squares: f64 = slopes.iter().map(|slope| (slope - mean).powi(2)).sum();
    [narrow(mean), narrow((squares / count).sqrt())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A contour that goes straight from point to point.
    fn contour(points: &[(usize, f64)]) -> Vec<f64> {
        let mut values = vec![points[0].1];
        for pair in points.windows(2) {
            let steps = pair[1].0 - pair[0].0;
            values.extend(
                (1..=steps).map(|i| pair[0].1 + (pair[1].1 - pair[0].1) * i as f64 / steps as f64),
            );
        }
        values
    }

    #[test]
    fn slopes_are_those_of_the_reference() {
        // `bench/voice/egemaps_measure.py slopes` prints what the reference gives for loudness of these shapes.
        for (points, expected, n_peaks) in [
            (&[(0, 0.0), (400, 1.0)][..], [0.0025, 0.0, 0.0, 0.0], 0),
            (&[(0, 1.0), (400, 0.0)], [0.0, 0.0, -0.0025, 0.0], 0),
            (
                &[(0, 0.0), (200, 1.0), (400, 0.0)],
                [0.5, 0.0, -0.5, 0.0],
                1,
            ),
            (&[(0, 1.0), (200, 0.0), (400, 1.0)], [0.5, 0.0, 0.5, 0.0], 0),
            (
                &[(0, 0.0), (100, 1.0), (200, 0.0), (300, 1.0), (400, 0.0)],
                [1.0, 0.0, 0.0, 0.5_f32.sqrt()],
                2,
            ),
            // A dip of less than a tenth is no valley; the equal peak after it stays out.
            (
                &[(0, 0.0), (100, 1.0), (150, 0.95), (200, 1.0), (400, 0.0)],
                [1.0, 0.0, -1.0 / 3.0, 0.0],
                1,
            ),
            // A dip of more is one.
            (
                &[(0, 0.0), (100, 1.0), (150, 0.8), (200, 1.0), (400, 0.0)],
                [0.7, 0.3, -0.05, 0.3182],
                2,
            ),
            // The bump is too small; from the valley on the contour falls, which counts as rising.
            (
                &[
                    (0, 0.0),
                    (100, 1.0),
                    (200, 0.4),
                    (250, 0.45),
                    (300, 0.4),
                    (400, 0.0),
                ],
                [0.4, 0.4243, 0.6, 0.0],
                1,
            ),
        ] {
            let found = slopes(&contour(points));
            for (a, b) in found.values.iter().zip(expected) {
                assert!((a - b).abs() < 1e-3, "{points:?}: {found:?}");
            }
            assert_eq!(found.n_peaks, n_peaks, "{points:?}");
        }
        assert_eq!(slopes(&[]), Slopes::default());
        assert_eq!(slopes(&[3.0]), Slopes::default());
    }
}
