//! Noise reduction: a Wiener filter over noise followed by minimum statistics.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner};
use serde::{Deserialize, Serialize};

use crate::check_samples;
use crate::error::DspError;
use crate::frame::{Padding, check_rate, short_window};
use crate::noise_estimate::NoiseEstimate;
use crate::stft::{Stft, StftConfig};

/// Weight of the frame before in the a-priori SNR; Ephraim and Malah 1984.
const DECISION_WEIGHT: f32 = 0.98;
/// Window over which noise is sought, in seconds; about that of Martin 2001.
const WINDOW_SECS: f32 = 1.5;
/// Overlapping windows at each sample.
const OVERLAP: usize = 4;
/// Sum of the squares of Hann windows a quarter of their length apart.
const OVERLAP_GAIN: f32 = 1.5;

/// Configuration of the noise reduction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoiseReductionConfig {
    /// Most that a frequency is turned down, in decibels, above 0. What is left hides the artefacts of
    /// the filter.
    pub max_reduction_db: f32,
    /// Sound heard before the first output, from which the noise at the beginning is known, in
    /// seconds; 0 for real time, when the filter learns the noise as it goes.
    pub look_ahead_secs: f32,
}

impl Default for NoiseReductionConfig {
    /// 15 dB, set by hand; 1.5 s, the window of the noise estimate.
    fn default() -> Self {
        Self {
            max_reduction_db: 15.0,
            look_ahead_secs: WINDOW_SECS,
        }
    }
}

impl NoiseReductionConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`DspError::Parameter`] if `max_reduction_db` is not a finite number above 0, or
    /// `look_ahead_secs` not in 0 to 60.
    pub fn validate(&self) -> Result<(), DspError> {
        if !(self.max_reduction_db.is_finite() && self.max_reduction_db > 0.0) {
            let (name, expected) = ("max_reduction_db", "a finite number above 0");
            return Err(DspError::parameter(name, expected, self.max_reduction_db));
        }
        if !(0.0..=60.0).contains(&self.look_ahead_secs) {
            let (name, expected) = ("look_ahead_secs", "0 to 60");
            return Err(DspError::parameter(name, expected, self.look_ahead_secs));
        }
        Ok(())
    }
}

/// Noise reduction chunk by chunk: as many samples come out as went in.
///
/// Hann windows of at least 32 ms (the next power of two of samples), four to each sample, are weighted bin
/// by bin with the Wiener gain
/// `G = ξ / (1 + ξ)`, at least `−max_reduction_db`, and added up again. The a-priori SNR is
/// `ξ = 0.98 · G'²·|Y'|² / N + 0.02 · max(|Y|² / N − 1, 0)`, primes for the frame before and `N` the
/// [`NoiseEstimate`] over 1.5 s.
///
/// Look-ahead: one window ([`look_ahead`](Self::look_ahead)), and before the first output `look_ahead_secs`. Silence stays
/// silence. A signal that never pauses for 1.5 s in some bin loses part of it there.
///
/// Source: Y. Ephraim, D. Malah, *IEEE Trans. ASSP* 32(6), 1984 (decision-directed SNR); P. Scalart,
/// J. Vieira Filho, *Speech enhancement based on a priori signal to noise estimation*, ICASSP 1996;
/// R. Martin 2001 as in [`noise_estimate`](crate::noise_estimate).
#[derive(Clone)]
pub struct NoiseReducer {
    stft: Stft,
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
    estimate: NoiseEstimate,
    floor: f32,
    look_ahead: usize,
    hop: usize,
    /// Samples not yet dropped; the first `n_fft − hop` of a stream are zeros before its beginning.
    buffer: Vec<f32>,
    /// Sums of windowed output that start where `buffer` does.
    sums: Vec<f32>,
    gain: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    power: Vec<f32>,
    time: Vec<f32>,
    scratch: Vec<Complex<f32>>,
    /// Power of the frame before after the filter, `G'²·|Y'|²`; the noise is divided out when it is used.
    clean: Vec<f32>,
    n_in: usize,
    n_out: usize,
    /// Windows filtered.
    frame: usize,
    /// Samples of the beginning still to be left out.
    skip: usize,
    primed: bool,
}

impl fmt::Debug for NoiseReducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoiseReducer")
            .field("floor", &self.floor)
            .field("look_ahead", &self.look_ahead)
            .finish_non_exhaustive()
    }
}

impl NoiseReducer {
    /// Plans the transforms.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz, and as
    /// [`NoiseReductionConfig::validate`].
    pub fn new(sample_rate: u32, config: &NoiseReductionConfig) -> Result<Self, DspError> {
        let rate = check_rate(sample_rate)?;
        config.validate()?;
        let n_fft = short_window(sample_rate).max(16);
        let hop = n_fft / OVERLAP;
        let stft = Stft::new(&StftConfig {
            n_fft,
            win_length: n_fft,
            hop_length: hop,
            center: false,
            padding: Padding::Zero,
        })?;
        let samples = |secs: f32| crate::floor_index(f64::from(secs) * rate);
        let noise_window = samples(WINDOW_SECS).div_ceil(hop).max(1);
        let n_bins = stft.n_bins();
        let inverse = RealFftPlanner::<f32>::new().plan_fft_inverse(n_fft);
        let mut reducer = Self {
            spectrum: inverse.make_input_vec(),
            power: vec![0.0; n_bins],
            time: inverse.make_output_vec(),
            scratch: inverse.make_scratch_vec(),
            inverse,
            window: crate::window::hann(n_fft),
            estimate: NoiseEstimate::new(n_bins, noise_window)?,
            floor: 10.0_f32.powf(-config.max_reduction_db / 20.0),
            look_ahead: samples(config.look_ahead_secs),
            hop,
            buffer: Vec::new(),
            sums: Vec::new(),
            gain: vec![1.0; n_bins],
            clean: vec![0.0; n_bins],
            n_in: 0,
            n_out: 0,
            frame: 0,
            skip: 0,
            primed: false,
            stft,
        };
        reducer.restart();
        Ok(reducer)
    }

    fn restart(&mut self) {
        let before = self.n_fft() - self.hop;
        self.estimate.restart();
        self.buffer.clear();
        self.buffer.resize(before, 0.0);
        self.sums.clear();
        self.clean.fill(0.0);
        self.gain.fill(1.0);
        (self.n_in, self.n_out, self.frame, self.skip) = (0, 0, 0, before);
        self.primed = false;
    }

    /// Samples that have to arrive after a sample before it is sure to be given out: one window of at least
    /// 32 ms (512 at 16 kHz). The first needs `look_ahead_secs` as well.
    #[must_use]
    pub fn look_ahead(&self) -> usize {
        self.n_fft()
    }

    fn n_fft(&self) -> usize {
        self.window.len()
    }

    /// Takes samples in and gives out those that are ready, in order.
    ///
    /// # Errors
    /// As [`check_samples`]; the chunk is then not taken in.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>, DspError> {
        check_samples(samples)?;
        self.buffer.extend_from_slice(samples);
        self.n_in += samples.len();
        if !self.primed {
            if self.n_in < self.look_ahead {
                return Ok(Vec::new());
            }
            self.prime();
        }
        Ok(self.advance())
    }

    /// Ends the stream: the samples still owed. The stream starts afresh.
    pub fn finish(&mut self) -> Vec<f32> {
        if !self.primed {
            self.prime();
        }
        let owed = self.n_in - self.n_out;
        let padded = self.buffer.len() + self.n_fft();
        self.buffer.resize(padded, 0.0);
        let mut out = self.advance();
        out.truncate(owed);
        self.restart();
        out
    }

    /// Listens to the beginning backwards, so that the noise is known when it is played.
    fn prime(&mut self) {
        self.primed = true;
        let first = self.skip;
        let end = (first + self.look_ahead).min(self.buffer.len());
        let whole = (end - first)
            .checked_sub(self.n_fft())
            .map_or(0, |room| 1 + room / self.hop);
        for frame in (0..whole).rev() {
            let position = first + frame * self.hop;
            self.stft.power_at(&self.buffer, position, &mut self.power);
            self.estimate.update(&self.power);
        }
    }

    /// Filters every whole window in the buffer.
    fn advance(&mut self) -> Vec<f32> {
        let (n_fft, hop) = (self.n_fft(), self.hop);
        let mut out = Vec::new();
        let mut start = 0;
        while start + n_fft <= self.buffer.len() {
            // Windows that reach beyond the ends say too little about the noise.
            let end = self.frame * hop + hop;
            let inside = end >= n_fft && end <= self.n_in;
            self.frame += 1;
            self.filter(start, inside);
            self.sums.resize(n_fft, 0.0);
            for ((sum, x), w) in self.sums.iter_mut().zip(&self.time).zip(&self.window) {
                *sum += x * w;
            }
            let ready = self.sums.drain(..hop);
            let left_out = self.skip.min(hop);
            out.extend(ready.skip(left_out));
            self.skip -= left_out;
            self.n_out += hop - left_out;
            start += hop;
        }
        self.buffer.drain(..start);
        out
    }

    /// Filters the window at `start` of the buffer into `time`.
    fn filter(&mut self, start: usize, inside: bool) {
        let spectrum = self.stft.spectrum_at(&self.buffer, start);
        self.spectrum.copy_from_slice(spectrum);
        for (p, y) in self.power.iter_mut().zip(&self.spectrum) {
            *p = y.norm_sqr();
        }
        if inside {
            self.estimate.update(&self.power);
        }
        if self.estimate.is_started() {
            let noise = self.estimate.noise();
            for (((g, clean), p), n) in self
                .gain
                .iter_mut()
                .zip(&mut self.clean)
                .zip(&self.power)
                .zip(noise)
            {
                let n = n.max(f32::MIN_POSITIVE);
                let now = (p / n - 1.0).max(0.0);
                let snr = DECISION_WEIGHT * (*clean / n) + (1.0 - DECISION_WEIGHT) * now;
                let snr = snr.min(1e9);
                *g = (snr / (1.0 + snr)).max(self.floor);
                *clean = *g * *g * p;
            }
        }
        let scale = 1.0 / (self.n_fft() as f32 * OVERLAP_GAIN);
        for (y, g) in self.spectrum.iter_mut().zip(&self.gain) {
            *y *= *g * scale;
        }
        // The first and last bin of a real signal's spectrum are real.
        let last = self.spectrum.len() - 1;
        self.spectrum[0].im = 0.0;
        self.spectrum[last].im = 0.0;
        let done = self.inverse.process_with_scratch(
            &mut self.spectrum,
            &mut self.time,
            &mut self.scratch,
        );
        debug_assert!(done.is_ok(), "buffers have the planned lengths");
    }
}

/// Reduces the noise of a whole clip; as many samples come out as went in.
///
/// The same bits as [`NoiseReducer`] under any chunking.
///
/// # Errors
/// As [`NoiseReducer::new`] and [`check_samples`].
pub fn reduce_noise(
    samples: &[f32],
    sample_rate: u32,
    config: &NoiseReductionConfig,
) -> Result<Vec<f32>, DspError> {
    let mut reducer = NoiseReducer::new(sample_rate, config)?;
    let mut out = reducer.push(samples)?;
    out.extend(reducer.finish());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_stream::tests::chunked;
    use crate::test_signal::noise;

    fn energy(samples: impl Iterator<Item = f32>) -> f64 {
        samples.map(|x| f64::from(x).powi(2)).sum()
    }

    /// Syllables of a tone with harmonics, four a second, silent half of the time.
    fn syllables(rate: u32, secs: u32) -> Vec<f32> {
        (0..rate * secs)
            .map(|n| {
                let t = n as f32 / rate as f32;
                let on = (std::f32::consts::TAU * 2.0 * t).sin().max(0.0);
                let voice: f32 = (1..8_u8)
                    .map(|k| {
                        (std::f32::consts::TAU * 150.0 * f32::from(k) * t).sin() / f32::from(k)
                    })
                    .sum();
                0.2 * on * voice
            })
            .collect()
    }

    #[test]
    fn noise_goes_down_and_the_voice_stays() {
        for rate in [8_000_u32, 16_000, 48_000] {
            let clean = syllables(rate, 4);
            let hiss = noise(clean.len(), 5);
            let level = (energy(clean.iter().copied()) / energy(hiss.iter().copied())).sqrt();
            let level = crate::narrow(level) * 10.0_f32.powf(-5.0 / 20.0);
            let noisy: Vec<f32> = clean
                .iter()
                .zip(&hiss)
                .map(|(s, n)| s + level * n)
                .collect();
            let out = reduce_noise(&noisy, rate, &NoiseReductionConfig::default()).unwrap();
            assert_eq!(out.len(), noisy.len());
            let signal = energy(clean.iter().copied());
            let error = energy(out.iter().zip(&clean).map(|(a, b)| a - b));
            let snr_db = 10.0 * (signal / error).log10();
            assert!(snr_db > 9.0, "{rate}: from 5 to {snr_db} dB");
        }
    }

    #[test]
    fn noise_alone_is_turned_down_by_most_of_what_is_allowed() {
        let hiss = noise(64_000, 8);
        let out = reduce_noise(&hiss, 16_000, &NoiseReductionConfig::default()).unwrap();
        let db = 10.0 * (energy(hiss.into_iter()) / energy(out.into_iter())).log10();
        assert!(db > 10.0, "{db} dB");
    }

    #[test]
    fn a_clean_voice_passes() {
        let clean = syllables(16_000, 3);
        let out = reduce_noise(&clean, 16_000, &NoiseReductionConfig::default()).unwrap();
        let error = energy(out.iter().zip(&clean).map(|(a, b)| a - b));
        let snr_db = 10.0 * (energy(clean.iter().copied()) / error).log10();
        assert!(snr_db > 20.0, "{snr_db} dB");
    }

    #[test]
    fn silence_short_and_bad_input_are_defined() {
        let config = NoiseReductionConfig::default();
        for rate in [100, 8_000, 48_000] {
            assert!(reduce_noise(&[], rate, &config).unwrap().is_empty());
            assert_eq!(reduce_noise(&[0.5; 3], rate, &config).unwrap().len(), 3);
            let silence = reduce_noise(&[0.0; 5000], rate, &config).unwrap();
            assert_eq!(silence.len(), 5000);
            assert!(silence.iter().all(|x| x.abs() < 1e-12));
            let constant = reduce_noise(&[0.5; 5000], rate, &config).unwrap();
            assert!(constant.iter().all(|x| x.is_finite() && x.abs() <= 0.51));
        }
        assert!(reduce_noise(&[f32::NAN], 8_000, &config).is_err());
        assert!(NoiseReducer::new(0, &config).is_err());
        for bad in [0.0, -1.0, f32::NAN] {
            let config = NoiseReductionConfig {
                max_reduction_db: bad,
                ..config
            };
            assert!(NoiseReducer::new(8_000, &config).is_err());
        }
        let config = NoiseReductionConfig {
            look_ahead_secs: -1.0,
            ..config
        };
        assert!(NoiseReducer::new(8_000, &config).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn streaming_equals_batch(
            samples in proptest::collection::vec(-1.0_f32..1.0, 0..6000),
            lengths in proptest::collection::vec(0_usize..900, 1..5),
            look_ahead_secs in 0.0_f32..0.6,
        ) {
            let config = NoiseReductionConfig { look_ahead_secs, ..NoiseReductionConfig::default() };
            let batch = reduce_noise(&samples, 8_000, &config).unwrap();
            proptest::prop_assert_eq!(batch.len(), samples.len());
            let mut reducer = NoiseReducer::new(8_000, &config).unwrap();
            for _ in 0..2 {
                let mut streamed = Vec::new();
                for chunk in chunked(&samples, &lengths) {
                    streamed.extend(reducer.push(chunk).unwrap());
                }
                streamed.extend(reducer.finish());
                proptest::prop_assert_eq!(&streamed, &batch);
            }
        }
    }
}
