//! Averages of cepstra, and how far their peaks stand out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner};

use crate::cepstral_peak::CepstralPeakConfig;
use crate::logarithm::ln;
use crate::stft::StftConfig;
use crate::{floor_index, narrow};

/// Powers this far below the strongest of their frame count as this far: −100 dB.
const RANGE: f32 = 1e-10;
/// Powers of the cepstrum below this, in dB², are rounding.
const ROUNDING: f64 = 1e-6;

/// Cepstra of a row of power spectra, their averages over time and quefrency, and the peaks of those.
#[derive(Clone)]
pub(crate) struct Smoother {
    inverse: Arc<dyn ComplexToReal<f64>>,
    log_power: Vec<Complex<f64>>,
    cepstrum: Vec<f64>,
    scratch: Vec<Complex<f64>>,
    /// Frames and quefrencies on either side that are averaged.
    frames: usize,
    values: usize,
    /// Quefrencies, in samples, of the line and of the peak, ends excluded.
    line: (usize, usize),
    peak: (usize, usize),
    /// Powers of the cepstra of the newest frames, quefrencies 0 to `line.1 + values`; empty for a silent frame.
    newest: VecDeque<Vec<f64>>,
    /// Frames not yet given out.
    waiting: usize,
    mean: Vec<f64>,
}

impl fmt::Debug for Smoother {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smoother")
            .field("frames", &self.frames)
            .field("values", &self.values)
            .finish_non_exhaustive()
    }
}

impl Smoother {
    /// Plans for power spectra of a transform at a rate, by valid settings.
    pub(crate) fn new(rate: f64, stft: &StftConfig, config: &CepstralPeakConfig) -> Self {
        let inverse = RealFftPlanner::<f64>::new().plan_fft_inverse(stft.n_fft);
        let hop_secs = stft.hop_length as f64 / rate;
        let either_side = |width: f64| floor_index(width.round()) / 2;
        let line_end = stft.win_length / 2;
        Self {
            log_power: inverse.make_input_vec(),
            cepstrum: inverse.make_output_vec(),
            scratch: inverse.make_scratch_vec(),
            inverse,
            frames: either_side(config.time_smoothing_secs / hop_secs),
            values: either_side(config.quefrency_smoothing_secs * rate),
            line: (floor_index((0.001 * rate).ceil()), line_end),
            peak: (
                floor_index((rate / config.fmax).ceil()),
                (floor_index(rate / config.fmin) + 1).min(line_end),
            ),
            newest: VecDeque::new(),
            waiting: 0,
            mean: Vec::new(),
        }
    }

    /// Takes a power spectrum in and gives out the prominence it completes.
    pub(crate) fn take(&mut self, power: &[f32], mut each: impl FnMut(Option<f32>)) {
        let oldest = if self.newest.len() > 2 * self.frames {
            self.newest.pop_front()
        } else {
            None
        };
        let cepstrum = self.power_cepstrum(power, oldest.unwrap_or_default());
        self.newest.push_back(cepstrum);
        self.waiting += 1;
        if self.waiting > self.frames {
            each(self.prominence_db(self.newest.len() - self.waiting));
            self.waiting -= 1;
        }
    }

    /// Gives out the frames that wait for others which do not come.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(Option<f32>)) {
        while self.waiting > 0 {
            each(self.prominence_db(self.newest.len() - self.waiting));
            self.waiting -= 1;
        }
        self.newest.clear();
    }

    /// Squares of the cepstrum into `out`; empty for silence.
    fn power_cepstrum(&mut self, power: &[f32], mut out: Vec<f64>) -> Vec<f64> {
        out.clear();
        let largest = power.iter().copied().fold(0.0, f32::max);
        let scale = 1.0 / largest;
        if !scale.is_finite() {
            return out;
        }
        let decibel = 10.0 * std::f64::consts::LOG10_E;
        for (x, p) in self.log_power.iter_mut().zip(power) {
            *x = Complex::new(decibel * f64::from(ln((p * scale).max(RANGE))), 0.0);
        }
        let done = self.inverse.process_with_scratch(
            &mut self.log_power,
            &mut self.cepstrum,
            &mut self.scratch,
        );
        debug_assert!(done.is_ok(), "buffers come from the plan");
        let scale = 1.0 / self.cepstrum.len() as f64;
        let end = (self.line.1 + self.values).min(self.cepstrum.len() / 2 + 1);
        out.extend(self.cepstrum[..end].iter().map(|c| (c * scale).powi(2)));
        out
    }

    /// Prominence of the frame at a place among the newest, averaged with its neighbours there.
    fn prominence_db(&mut self, place: usize) -> Option<f32> {
        if self.newest[place].is_empty() {
            return None;
        }
        let first = place.saturating_sub(self.frames);
        let last = (place + self.frames).min(self.newest.len() - 1);
        self.mean.clear();
        self.mean.resize(self.newest[place].len(), 0.0);
        let mut count = 0.0;
        for cepstrum in self.newest.range(first..=last).filter(|c| !c.is_empty()) {
            count += 1.0;
            for (sum, c) in self.mean.iter_mut().zip(cepstrum) {
                *sum += c;
            }
        }
        let (begin, end) = self.line;
        // Sums up to each quefrency, so that a neighbourhood is one difference.
        let mut sum = 0.0;
        for c in &mut self.mean {
            sum += *c;
            *c = sum;
        }
        let level_db = |quefrency: usize| {
            let low = quefrency.saturating_sub(self.values + 1);
            let high = (quefrency + self.values).min(self.mean.len() - 1);
            let mean = (self.mean[high] - self.mean[low]) / (count * (high - low) as f64);
            10.0 * mean.max(ROUNDING).log10()
        };
        let levels: Vec<f64> = (begin..end).map(level_db).collect();
        let line = Line::fit(&levels);
        let peak = (self.peak.0.max(begin)..self.peak.1)
            .max_by(|a, b| levels[a - begin].total_cmp(&levels[b - begin]))?;
        Some(narrow(levels[peak - begin] - line.at(peak - begin)))
    }
}

/// A line over equally spaced values.
struct Line {
    middle: f64,
    mean: f64,
    slope: f64,
}

impl Line {
    /// Least squares.
    fn fit(values: &[f64]) -> Self {
        let n = values.len().max(1) as f64;
        let middle = (n - 1.0) / 2.0;
        let mean = values.iter().sum::<f64>() / n;
        let (mut covariance, mut variance) = (0.0, 0.0);
        for (i, y) in values.iter().enumerate() {
            let x = i as f64 - middle;
            covariance += x * (y - mean);
            variance += x * x;
        }
        let slope = if variance > 0.0 {
            covariance / variance
        } else {
            0.0
        };
        Self {
            middle,
            mean,
            slope,
        }
    }

    fn at(&self, index: usize) -> f64 {
        self.mean + self.slope * (index as f64 - self.middle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ripple_of_known_height_has_a_known_prominence() {
        let config = CepstralPeakConfig::unsmoothed();
        let stft = config.stft(16_000.0);
        let (n_fft, period, ripple_db) = (stft.n_fft, 100, 6.0);
        let power: Vec<f32> = (0..=n_fft / 2)
            .map(|k| {
                let phase = std::f64::consts::TAU * (k * period) as f64 / n_fft as f64;
                narrow(10.0_f64.powf(ripple_db * phase.cos() / 10.0))
            })
            .collect();
        let mut found = None;
        Smoother::new(16_000.0, &stft, &config).take(&power, |cpp| found = cpp);
        // Everything else lies on the floor of -60 dB; the line is lifted by what the peak weighs in it.
        let height = 20.0 * (ripple_db / 2.0_f64).log10() + 60.0;
        let (n, x) = (400.0 - 16.0, 100.0 - (16.0 + 399.0) / 2.0);
        let expected = height * (1.0 - 1.0 / n - 12.0 * x * x / (n * (n * n - 1.0)));
        assert!((f64::from(found.unwrap()) - expected).abs() < 1e-3);
    }

    #[test]
    fn a_line_is_fitted_exactly() {
        let line = Line::fit(&[1.0, 3.0, 5.0, 7.0]);
        assert!((line.at(3) - 7.0).abs() < 1e-12 && (line.at(0) - 1.0).abs() < 1e-12);
        assert!((Line::fit(&[2.0]).at(0) - 2.0).abs() < 1e-12);
        assert!(Line::fit(&[]).at(0).is_finite());
    }
}
