//! How the values of a tensor are distributed, and the range that eight bits are spent on.

/// Bins of a histogram.
const BINS: usize = 2048;

/// How the range of a tensor is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RangeRule {
    /// From the smallest value to the largest.
    Extremes,
    /// Without the outer 0.005 % of the values on either side.
    Percentile,
    /// The part of that range which gives the least mean squared error.
    SquaredError,
}

/// As it stands in a model file.
impl std::fmt::Display for RangeRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Extremes => "extremes",
            Self::Percentile => "percentile",
            Self::SquaredError => "squared-error",
        })
    }
}

/// Values of one tensor over all clips.
#[derive(Debug, Clone)]
pub(super) struct Distribution {
    low: f32,
    high: f32,
    bins: Vec<u64>,
}

impl Distribution {
    pub(super) fn new() -> Self {
        Self {
            low: 0.0,
            high: 0.0,
            bins: Vec::new(),
        }
    }

    /// First pass: extremes, with 0 always within them.
    pub(super) fn widen(&mut self, values: &[f32]) {
        for &value in values {
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }

    /// Second pass: counts.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a position between the extremes lies between 0 and the number of bins"
    )]
    pub(super) fn count(&mut self, values: &[f32]) {
        self.bins.resize(BINS, 0);
        let scale = BINS as f32 / (self.high - self.low).max(f32::MIN_POSITIVE);
        for &value in values {
            let bin = ((value - self.low) * scale).max(0.0) as usize;
            self.bins[bin.min(BINS - 1)] += 1;
        }
    }

    /// The range that a rule chooses, 0 within it.
    pub(super) fn range(&self, rule: RangeRule) -> [f32; 2] {
        match rule {
            RangeRule::Extremes => [self.low, self.high],
            RangeRule::Percentile => self.percentile(),
            RangeRule::SquaredError => self.least_error(),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "bins and counts far below 2^52")]
    fn middle(&self, bin: usize) -> f64 {
        let width = f64::from(self.high - self.low) / BINS as f64;
        f64::from(self.low) + (bin as f64 + 0.5) * width
    }

    /// The middle of the first bin beyond so many values.
    fn beyond(&self, outside: u64, mut bins: impl Iterator<Item = usize>) -> Option<f64> {
        let mut seen = 0;
        let found = bins.find(|&bin| {
            seen += self.bins[bin];
            seen > outside
        });
        found.map(|bin| self.middle(bin))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "between two singles lies what a single can hold"
    )]
    fn percentile(&self) -> [f32; 2] {
        let total: u64 = self.bins.iter().sum();
        let outside = total / 20_000;
        let low = self
            .beyond(outside, 0..self.bins.len())
            .map_or(self.low, |x| x as f32);
        let high = self.beyond(outside, (0..self.bins.len()).rev());
        let high = high.map_or(self.high, |x| x as f32);
        [low.min(0.0), high.max(0.0)]
    }

    /// Tries parts of the range, each end on its own.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn least_error(&self) -> [f32; 2] {
        const STEPS: u8 = 32;
        let mut best = ([self.low, self.high], f64::INFINITY);
        for low in 0..STEPS {
            for high in 0..STEPS {
                let part = |end: f32, cut: u8| end * (1.0 - f32::from(cut) / 40.0);
                let range = [part(self.low, low), part(self.high, high)];
                let step = f64::from(range[1] - range[0]) / 255.0;
                let mut error = 0.0;
                for (bin, &count) in self
                    .bins
                    .iter()
                    .enumerate()
                    .filter(|&(_, &count)| count > 0)
                {
                    let value = self.middle(bin);
                    let outside = (f64::from(range[0]) - value)
                        .max(value - f64::from(range[1]))
                        .max(0.0);
                    // Within the range the error is spread evenly over a step.
                    error += count as f64 * (outside * outside + step * step / 12.0);
                }
                if error < best.1 {
                    best = (range, error);
                }
                // Where there is nothing below 0 there is nothing to try.
                if self.high <= 0.0 {
                    break;
                }
            }
            if self.low >= 0.0 {
                break;
            }
        }
        best.0
    }
}

/// Scale and zero point of unsigned eight bits for a range that has 0 in it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounded and clipped to 0..=255"
)]
pub(super) fn grid([low, high]: [f32; 2]) -> (f32, u8) {
    let scale = (high - low) / 255.0;
    if !(scale.is_finite() && scale > f32::MIN_POSITIVE) {
        return (1.0, 0);
    }
    (scale, (-low / scale).round().clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(values: &[f32]) -> Distribution {
        let mut distribution = Distribution::new();
        distribution.widen(values);
        distribution.count(values);
        distribution
    }

    #[test]
    fn an_outlier_is_cut_off_where_that_pays() {
        let mut values: Vec<f32> = (0..100_000_i32).map(|n| (n % 1000) as f32 * 1e-3).collect();
        values.push(40.0);
        let distribution = distribution(&values);
        let [low, high] = distribution.range(RangeRule::Extremes);
        assert!(
            low.abs() < 1e-6 && (high - 40.0).abs() < 1e-6,
            "{low} {high}"
        );
        let [low, high] = distribution.range(RangeRule::Percentile);
        assert!(
            low.abs() < 0.02 && (high - 1.0).abs() < 0.04,
            "{low} {high}"
        );
        let [low, high] = distribution.range(RangeRule::SquaredError);
        // (40 - h)² / 100 001 + h² / (12 · 255²) is least at h = 35.5.
        assert!(
            low.abs() < 1e-6 && (high - 35.5).abs() < 1.0,
            "{low} {high}"
        );
    }

    #[test]
    fn a_rule_is_shown_as_it_is_written() {
        for rule in [
            RangeRule::Extremes,
            RangeRule::Percentile,
            RangeRule::SquaredError,
        ] {
            let written = serde_json::to_string(&rule).expect("a name");
            assert_eq!(written, format!("\"{rule}\""));
        }
    }

    #[test]
    fn the_grid_has_zero_on_it() {
        assert_eq!(grid([0.0, 255.0]), (1.0, 0));
        assert_eq!(grid([-51.0, 204.0]), (1.0, 51));
        assert_eq!(grid([0.0, 0.0]), (1.0, 0));
        assert_eq!(grid([-5.1, 0.0]).1, 255);
    }
}
