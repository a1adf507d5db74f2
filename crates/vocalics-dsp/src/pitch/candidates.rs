//! Possible periods of each frame, from its autocorrelation.

use super::PitchConfig;
use crate::autocorrelation::{Autocorrelation, open_hann};
use crate::floor_index;
use crate::interpolate::{parabola, sinc, sinc_peak};

/// One possible period of a frame; frequency 0 stands for unvoiced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) hz: f64,
    pub(super) strength: f64,
}

/// Candidates of each frame, the unvoiced one first.
pub(super) fn candidates(
    samples: &[f32],
    sample_rate: u32,
    config: &PitchConfig,
    times: &[f64],
) -> Vec<Vec<Candidate>> {
    let peak = config.reference_peak.unwrap_or_else(|| {
        let mean = sum(samples) / samples.len().max(1) as f64;
        largest(samples, mean)
    });
    let mut finder = Finder::new(sample_rate, config, peak);
    // From here on no window touches a sample.
    let beyond = samples.len() + 2 * finder.reach();
    times
        .iter()
        .map(|time| finder.find(samples, finder.left(*time).min(beyond)))
        .collect()
}

/// Finds the candidates of one frame after another.
#[derive(Debug)]
pub(super) struct Finder {
    config: PitchConfig,
    rate: f64,
    /// Half a window in samples.
    half: usize,
    /// A period of the floor in samples.
    period: usize,
    /// What silence is told by.
    peak: f64,
    plan: Autocorrelation,
}

impl Finder {
    pub(super) fn new(sample_rate: u32, config: &PitchConfig, peak: f64) -> Self {
        let rate = f64::from(sample_rate);
        let window_secs = config.periods_per_window / config.floor_hz;
        let half = floor_index(window_secs * rate).saturating_sub(1) / 2;
        let half = half.max(4);
        Self {
            config: *config,
            rate,
            half,
            period: floor_index(rate / config.floor_hz),
            peak,
            plan: Autocorrelation::new(open_hann(2 * half)),
        }
    }

    /// The sample just before the middle of a frame.
    pub(super) fn left(&self, time_secs: f64) -> usize {
        floor_index((time_secs * self.rate - 0.5).max(0.0))
    }

    /// That many samples in seconds.
    pub(super) fn secs(&self, samples: usize) -> f64 {
        samples as f64 / self.rate
    }

    /// Samples on either side of the middle that a frame looks at, at most.
    pub(super) fn reach(&self) -> usize {
        self.half.max(self.period + 1)
    }

    /// The candidates of the frame whose middle lies between `left` and `left + 1`; what lies beyond the ends counts as
    /// the local mean.
    pub(super) fn find(&mut self, samples: &[f32], left: usize) -> Vec<Candidate> {
        let Self {
            config,
            half,
            period,
            peak,
            ..
        } = *self;
        let local = around(samples, left, period);
        let mean = sum(local) / local.len().max(1) as f64;
        let local_peak = largest(around(samples, left, period / 2 + 1), mean);
        let intensity = if peak > 0.0 {
            (local_peak / peak).min(1.0)
        } else {
            0.0
        };
        let silence = if config.silence_threshold > 0.0 {
            2.0 - intensity * (1.0 + config.voicing_threshold) / config.silence_threshold
        } else {
            0.0
        };
        let mut found = vec![Candidate {
            hz: 0.0,
            strength: config.voicing_threshold + silence.max(0.0),
        }];
        if local_peak > 0.0 {
            let outside = half.saturating_sub(left + 1);
            let start = (left + 1).saturating_sub(half).min(samples.len());
            let r = self.plan.compute(outside, &samples[start..], mean);
            peaks(r, self.rate, &config, &mut found);
        }
        found
    }
}

/// Sums and extremes that do not wait for each other.
const LANES: usize = 8;

fn sum(samples: &[f32]) -> f64 {
    let (chunks, rest) = samples.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += f64::from(*x);
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|x| f64::from(*x)).sum::<f64>()
}

/// The largest distance from `mean`.
fn largest(samples: &[f32], mean: f64) -> f64 {
    let (chunks, rest) = samples.as_chunks::<LANES>();
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let both = |low: &mut f32, high: &mut f32, x: f32| {
        *low = if x < *low { x } else { *low };
        *high = if x > *high { x } else { *high };
    };
    for chunk in chunks {
        for lane in 0..LANES {
            both(&mut low[lane], &mut high[lane], chunk[lane]);
        }
    }
    for x in rest {
        both(&mut low[0], &mut high[0], *x);
    }
    low.iter().zip(&high).fold(0.0, |peak: f64, (low, high)| {
        peak.max(f64::from(*high) - mean)
            .max(mean - f64::from(*low))
    })
}

/// The samples up to `reach` on either side of the border between `left` and `left + 1`.
fn around(samples: &[f32], left: usize, reach: usize) -> &[f32] {
    let end = (left + 1 + reach).min(samples.len());
    &samples[(left + 1).saturating_sub(reach).min(end)..end]
}

/// Adds the strongest peaks of an autocorrelation to the candidates.
fn peaks(r: &[f64], rate: f64, config: &PitchConfig, found: &mut Vec<Candidate>) {
    let shortest = floor_index(rate / config.ceiling_hz).max(2);
    let longest = (floor_index(rate / config.floor_hz) + 2).min(r.len().saturating_sub(2));
    let worth =
        |hz: f64, height: f64| height - config.octave_cost * (config.ceiling_hz / hz).log2();
    let mut lags: Vec<usize> = (shortest.saturating_sub(1).max(2)..=longest)
        .filter(|&lag| {
            r[lag] > 0.5 * config.voicing_threshold && r[lag] > r[lag - 1] && r[lag] >= r[lag + 1]
        })
        .collect();
    let kept = config.max_candidates - 1;
    if lags.len() > kept {
        // Their worth at the tip of a parabola, which costs a seventh of finding it exactly.
        let mut places: Vec<(f64, usize)> = lags
            .iter()
            .map(|&lag| {
                let (offset, _) = parabola(r[lag - 1], r[lag], r[lag + 1]);
                let position = lag as f64 + offset;
                (worth(rate / position, fold(sinc(r, position))), lag)
            })
            .collect();
        places.sort_by(|a, b| b.0.total_cmp(&a.0));
        lags = places[..kept].iter().map(|(_, lag)| *lag).collect();
    }
    let first = found.len();
    found.extend(lags.into_iter().filter_map(|lag| {
        let (position, height) = sinc_peak(r, lag);
        let hz = rate / position;
        let inside = (config.floor_hz..=config.ceiling_hz).contains(&hz);
        inside.then(|| Candidate {
            hz,
            strength: fold(height),
        })
    }));
    // Of candidates that are worth the same the path takes the first.
    found[first..].sort_by(|a, b| worth(b.hz, b.strength).total_cmp(&worth(a.hz, a.strength)));
}

/// Interpolation can exceed 1 in short windows; such a peak is as far from perfect as one below.
fn fold(height: f64) -> f64 {
    if height > 1.0 { 1.0 / height } else { height }
}
