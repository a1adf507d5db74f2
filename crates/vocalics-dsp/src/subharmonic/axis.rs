//! A spectrum on a logarithmic frequency axis, by cubic splines.

use std::f64::consts::PI;

use crate::floor_index;

/// Where a point of the axis lies between two bins.
#[derive(Debug, Clone, Copy)]
struct Point {
    /// The bin below.
    bin: usize,
    /// Weights of the values at the two bins, then of the curvatures there.
    weights: [f64; 4],
    /// How much is heard at this frequency.
    heard: f64,
}

/// Natural cubic splines through bins at `log2(k)`, `k` from 1, evaluated at equally spaced points.
///
/// # Shapes
/// Magnitudes `[n_bins]` to values `[n_points]`.
#[derive(Debug, Clone)]
pub(super) struct OctaveAxis {
    points: Vec<Point>,
    /// Distances of the bins from 1, in octaves.
    steps: Vec<f64>,
    /// Forward elimination of the tridiagonal system, which is the same for every spectrum.
    pivots: Vec<f64>,
    curvature: Vec<f64>,
    lowest: f64,
    per_octave: f64,
}

impl OctaveAxis {
    /// As many points as bins, from `lowest_hz` to the last bin.
    pub(super) fn new(n_bins: usize, bin_hz: f64, lowest_hz: f64) -> Self {
        let last = n_bins.saturating_sub(1).max(2);
        let highest_hz = last as f64 * bin_hz;
        let octaves = (highest_hz / lowest_hz).log2().max(0.0);
        let per_octave = (n_bins - 1) as f64 / octaves.max(1e-9);
        let at = |bin: usize| (bin as f64).log2();
        let steps: Vec<f64> = (1..last).map(|k| at(k + 1) - at(k)).collect();
        let mut pivots: Vec<f64> = Vec::with_capacity(steps.len());
        for pair in steps.windows(2) {
            let before = pivots.last().map_or(0.0, |pivot| pair[0] * pair[0] / pivot);
            pivots.push(2.0 * (pair[0] + pair[1]) - before);
        }
        let points = (0..n_bins)
            .map(|i| {
                let hz = lowest_hz * (i as f64 / per_octave).exp2();
                let bin = floor_index(hz / bin_hz).clamp(1, last - 1);
                let step = at(bin + 1) - at(bin);
                let b = (((hz / bin_hz).max(1.0).log2() - at(bin)) / step).clamp(0.0, 1.0);
                let a = 1.0 - b;
                let bend = |x: f64| (x * x * x - x) * step * step / 6.0;
                Point {
                    bin,
                    weights: [a, b, bend(a), bend(b)],
                    heard: 0.5
                        + (super::HEARING_SLOPE * (hz / super::HEARING_HZ).log2()).atan() / PI,
                }
            })
            .collect();
        Self {
            points,
            curvature: vec![0.0; last + 1],
            steps,
            pivots,
            lowest: lowest_hz.log2(),
            per_octave,
        }
    }

    /// Points per octave.
    pub(super) fn per_octave(&self) -> f64 {
        self.per_octave
    }

    /// Binary logarithm of the frequency of a point in hertz.
    pub(super) fn octaves(&self, point: f64) -> f64 {
        self.lowest + point / self.per_octave
    }

    /// Values on the axis, weighted by how much is heard there, none below 0.
    pub(super) fn lay(&mut self, magnitudes: &[f64], values: &mut [f64]) {
        // Thomas' algorithm for the curvatures at the inner bins; those at the ends are 0.
        let h = &self.steps;
        let mut carried = 0.0;
        let mut eliminated = 0.0;
        let near = magnitudes[1..].windows(3).zip(h.windows(2));
        for ((m, h), (pivot, curvature)) in
            near.zip(self.pivots.iter().zip(&mut self.curvature[2..]))
        {
            let bent = 6.0 * ((m[2] - m[1]) / h[1] - (m[1] - m[0]) / h[0]);
            carried = bent - h[0] * eliminated * carried;
            eliminated = 1.0 / pivot;
            *curvature = carried;
        }
        let mut after = 0.0;
        for (i, pivot) in self.pivots.iter().enumerate().rev() {
            after = (self.curvature[i + 2] - h[i + 1] * after) / pivot;
            self.curvature[i + 2] = after;
        }
        for (value, point) in values.iter_mut().zip(&self.points) {
            let [a, b, c, d] = point.weights;
            let (m, s) = (&magnitudes[point.bin..], &self.curvature[point.bin..]);
            *value = point.heard * (a * m[0] + b * m[1] + c * s[0] + d * s[1]).max(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spline_goes_through_the_bins_and_follows_a_smooth_curve() {
        let magnitudes: Vec<f64> = (0..513)
            .map(|k| 2.0 + (f64::from(k).max(1.0).log2() * 1.3).sin())
            .collect();
        let mut axis = OctaveAxis::new(513, 15.625, 25.0);
        let mut values = vec![0.0; 513];
        axis.lay(&magnitudes, &mut values);
        for (i, value) in values.iter().enumerate().skip(200) {
            let bin = (axis.octaves(i as f64).exp2() / 15.625).log2();
            let expected = (2.0 + (bin * 1.3).sin()) * axis.points[i].heard;
            assert!((value - expected).abs() < 2e-3, "{i}: {value} {expected}");
        }
        assert!((axis.octaves(512.0).exp2() - 8_000.0).abs() < 1e-6);
        assert!(axis.per_octave() > 61.0);
    }
}
