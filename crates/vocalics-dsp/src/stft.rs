//! Short-time Fourier transform, planned once, without allocation per frame.

use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use crate::error::DspError;
use crate::frame::{Padding, check_length, frame_count, reflect};
use crate::real_power::RealPower;
use crate::window::hann;

/// Frames whose power spectra are computed side by side in [`Stft::power_lanes`].
pub const LANES: usize = 8;

/// Shape of a short-time Fourier transform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StftConfig {
    /// Transform length in samples; 2 to 2²⁴.
    pub n_fft: usize,
    /// Length of the Hann window in samples, centred in the transform; 1 to `n_fft`.
    pub win_length: usize,
    /// Distance between frames in samples; 1 to 2²⁴.
    pub hop_length: usize,
    /// Whether frame `i` is centred on sample `i · hop_length` (else it starts there).
    pub center: bool,
    /// What stands beyond the ends of the signal when centred.
    pub padding: Padding,
}

impl StftConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `n_fft` is 2 to 2²⁴, `win_length` 1 to `n_fft`, and `hop_length` 1
    /// to 2²⁴.
    pub fn validate(&self) -> Result<(), DspError> {
        check_length("n_fft", self.n_fft, 2)?;
        if !(1..=self.n_fft).contains(&self.win_length) {
            let expected = format!("1 to {}", self.n_fft);
            return Err(DspError::parameter("win_length", expected, self.win_length));
        }
        check_length("hop_length", self.hop_length, 1)
    }
}

impl Default for StftConfig {
    /// The front end of the default model: 64 ms transform, 40 ms window, 16 ms hop at 16 kHz.
    fn default() -> Self {
        Self {
            n_fft: 1024,
            win_length: 640,
            hop_length: 256,
            center: true,
            padding: Padding::Zero,
        }
    }
}

/// A planned short-time Fourier transform with its buffers.
///
/// # Shapes
/// `n_bins = n_fft / 2 + 1`; spectra are unnormalised, as in librosa and NumPy.
///
/// Reference: `librosa.stft(window="hann")`, within 1e-5 of the largest magnitude.
#[derive(Clone)]
pub struct Stft {
    config: StftConfig,
    window: Vec<f32>,
    window_start: usize,
    pad: usize,
    fft: Arc<dyn RealToComplex<f32>>,
    input: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    /// `None` for an odd `n_fft`: then powers are those of the spectrum.
    real_power: Option<RealPower>,
    power: Vec<f32>,
}

impl fmt::Debug for Stft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stft")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Stft {
    /// Plans the transform and allocates its buffers.
    ///
    /// # Errors
    /// As [`StftConfig::validate`].
    pub fn new(config: &StftConfig) -> Result<Self, DspError> {
        config.validate()?;
        let StftConfig {
            n_fft,
            win_length,
            center,
            ..
        } = *config;
        let fft = RealFftPlanner::<f32>::new().plan_fft_forward(n_fft);
        Ok(Self {
            config: config.clone(),
            window: hann(win_length),
            window_start: (n_fft - win_length) / 2,
            pad: if center { n_fft / 2 } else { 0 },
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            real_power: RealPower::new(n_fft),
            power: vec![0.0; n_fft / 2 + 1],
            scratch: fft.make_scratch_vec(),
            fft,
        })
    }

    /// The configuration this was made from.
    #[must_use]
    pub fn config(&self) -> &StftConfig {
        &self.config
    }

    /// Number of frequency bins, `n_fft / 2 + 1`; bin `k` lies at `k · sample_rate / n_fft`.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.spectrum.len()
    }

    /// Samples assumed beyond each end of the signal: `n_fft / 2` when centred, else 0.
    #[must_use]
    pub fn pad(&self) -> usize {
        self.pad
    }

    /// Number of frames in a signal of `n_samples`; see [`frame_count`].
    #[must_use]
    pub fn n_frames(&self, n_samples: usize) -> usize {
        frame_count(
            n_samples,
            self.config.n_fft,
            self.config.hop_length,
            self.config.center,
        )
    }

    /// Complex spectrum `[n_bins]` of frame `index` of the signal.
    ///
    /// Any index has a value: a frame beyond the signal sees its padding alone. An empty signal
    /// counts as zeros.
    pub fn spectrum_frame(&mut self, samples: &[f32], index: usize) -> &[Complex<f32>] {
        self.spectrum_at(samples, index.saturating_mul(self.config.hop_length))
    }

    /// Complex spectrum `[n_bins]` of the frame that starts at `position` of the padded signal.
    pub(crate) fn spectrum_at(&mut self, samples: &[f32], position: usize) -> &[Complex<f32>] {
        self.cut(samples, position);
        self.transform();
        &self.spectrum
    }

    /// Power spectrum `|X[k]|²` of frame `index` into `power` `[n_bins]`.
    ///
    /// # Panics
    /// If `power` does not hold [`n_bins`](Self::n_bins) values.
    pub fn power_frame(&mut self, samples: &[f32], index: usize, power: &mut [f32]) {
        let position = index.saturating_mul(self.config.hop_length);
        self.power_at(samples, position, power);
    }

    /// Power spectrum of the frame that starts at `position` of the padded signal (that is, at
    /// sample `position − pad`) into `power` `[n_bins]`.
    ///
    /// # Panics
    /// If `power` does not hold [`n_bins`](Self::n_bins) values.
    pub(crate) fn power_at(&mut self, samples: &[f32], position: usize, power: &mut [f32]) {
        assert_eq!(power.len(), self.n_bins(), "power must hold n_bins values");
        self.compute_power(samples, position);
        power.copy_from_slice(&self.power);
    }

    /// Power spectra of up to [`LANES`] consecutive frames, one per lane of `power` `[n_bins]`.
    ///
    /// The first frame starts at `position` of the padded signal (that is, at sample
    /// `position − pad`), the following ones `hop_length` later each. Lanes at and above `count`
    /// are set to zero. Each lane's value depends on its own frame alone, so results do not depend on
    /// how frames are grouped.
    ///
    /// # Panics
    /// If `power` does not hold [`n_bins`](Self::n_bins) values or `count > LANES`.
    pub fn power_lanes(
        &mut self,
        samples: &[f32],
        position: usize,
        count: usize,
        power: &mut [[f32; LANES]],
    ) {
        assert_eq!(power.len(), self.n_bins(), "power must hold n_bins values");
        assert!(count <= LANES, "at most {LANES} frames at a time");
        if count < LANES {
            power.fill([0.0; LANES]);
        }
        for lane in 0..count {
            self.compute_power(
                samples,
                position.saturating_add(lane * self.config.hop_length),
            );
            for (p, x) in power.iter_mut().zip(&self.power) {
                p[lane] = *x;
            }
        }
    }

    /// Power spectrogram, row-major `[n_frames, n_bins]`.
    ///
    /// Reference: `np.abs(librosa.stft(y)) ** 2`, transposed.
    #[must_use]
    pub fn power_spectrogram(&mut self, samples: &[f32]) -> Vec<f32> {
        let n_bins = self.n_bins();
        let mut power = vec![0.0; self.n_frames(samples.len()) * n_bins];
        for (index, row) in power.chunks_exact_mut(n_bins).enumerate() {
            self.power_frame(samples, index, row);
        }
        power
    }

    /// Power spectrum of the frame that starts at `position` of the padded signal, into `self.power`.
    fn compute_power(&mut self, samples: &[f32], position: usize) {
        self.cut(samples, position);
        if let Some(real_power) = &mut self.real_power {
            real_power.compute(&self.input, &mut self.power);
            return;
        }
        self.transform();
        for (p, x) in self.power.iter_mut().zip(&self.spectrum) {
            *p = x.norm_sqr();
        }
    }

    /// Complex spectrum of the input.
    fn transform(&mut self) {
        let done =
            self.fft
                .process_with_scratch(&mut self.input, &mut self.spectrum, &mut self.scratch);
        // realfft fails on wrong buffer lengths alone, and these were made by the plan itself.
        debug_assert!(done.is_ok(), "buffers come from the plan");
    }

    /// Cuts the frame that starts at `position` of the padded signal into the input, windowed.
    fn cut(&mut self, samples: &[f32], position: usize) {
        let length = self.window.len();
        self.input.fill(0.0);
        let target = &mut self.input[self.window_start..self.window_start + length];
        let begin = position.saturating_add(self.window_start);
        let inside = begin
            .checked_sub(self.pad)
            .and_then(|first| samples.get(first..first.checked_add(length)?));
        if let Some(inside) = inside {
            for ((y, x), w) in target.iter_mut().zip(inside).zip(&self.window) {
                *y = x * w;
            }
        } else if !samples.is_empty() {
            for (k, (y, w)) in target.iter_mut().zip(&self.window).enumerate() {
                let at = unpadded(begin.saturating_add(k), self.pad);
                let at = match self.config.padding {
                    Padding::Reflect if self.config.center => Some(reflect(at, samples.len())),
                    Padding::Reflect | Padding::Zero => usize::try_from(at).ok(),
                };
                *y = at.and_then(|at| samples.get(at)).copied().unwrap_or(0.0) * w;
            }
        }
    }
}

/// Position in the signal of a position in the padded signal; negative in the left padding.
fn unpadded(position: usize, pad: usize) -> isize {
    isize::try_from(position)
        .unwrap_or(isize::MAX)
        .saturating_sub_unsigned(pad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| ((i * i) as f32 * 0.013).sin() * 0.7 + (i as f32 * 0.9).cos() * 0.2)
            .collect()
    }

    /// Discrete Fourier transform by its definition, in f64, of an explicitly padded signal.
    fn naive_power(samples: &[f32], config: &StftConfig) -> Vec<f64> {
        let pad = if config.center { config.n_fft / 2 } else { 0 };
        let last = isize::try_from(samples.len() + pad).unwrap();
        let padded: Vec<f64> = (-isize::try_from(pad).unwrap()..last)
            .map(|at| match config.padding {
                Padding::Reflect => f64::from(samples[reflect(at, samples.len())]),
                Padding::Zero => usize::try_from(at)
                    .ok()
                    .and_then(|at| samples.get(at))
                    .map_or(0.0, |x| f64::from(*x)),
            })
            .collect();
        let window = hann(config.win_length);
        let shift = (config.n_fft - config.win_length) / 2;
        let n_frames = frame_count(
            samples.len(),
            config.n_fft,
            config.hop_length,
            config.center,
        );
        let mut out = Vec::new();
        for frame in 0..n_frames {
            for bin in 0..=config.n_fft / 2 {
                let (mut re, mut im) = (0.0, 0.0);
                for (n, w) in window.iter().enumerate() {
                    let x = padded[frame * config.hop_length + shift + n] * f64::from(*w);
                    let phase =
                        -std::f64::consts::TAU * (bin * (shift + n)) as f64 / config.n_fft as f64;
                    re += x * phase.cos();
                    im += x * phase.sin();
                }
                out.push(re * re + im * im);
            }
        }
        out
    }

    #[test]
    fn fast_transform_equals_the_definition() {
        for (n_fft, win_length, hop_length) in
            [(64, 64, 16), (64, 40, 16), (45, 31, 7), (32, 1, 40)]
        {
            for (center, padding) in [
                (true, Padding::Zero),
                (true, Padding::Reflect),
                (false, Padding::Zero),
            ] {
                for n in [1, 2, 20, 64, 201] {
                    let config = StftConfig {
                        n_fft,
                        win_length,
                        hop_length,
                        center,
                        padding,
                    };
                    let samples = signal(n);
                    let mut stft = Stft::new(&config).unwrap();
                    let fast = stft.power_spectrogram(&samples);
                    let naive = naive_power(&samples, &config);
                    assert_eq!(fast.len(), naive.len());
                    let scale = naive.iter().copied().fold(1e-9, f64::max);
                    for (a, b) in fast.iter().zip(&naive) {
                        assert!((f64::from(*a) - b).abs() < 1e-5 * scale, "{config:?} {n}");
                    }
                }
            }
        }
    }

    #[test]
    fn lanes_hold_the_same_bits_as_single_frames() {
        let samples = signal(3000);
        let mut stft = Stft::new(&StftConfig::default()).unwrap();
        let single = stft.power_spectrogram(&samples);
        let n_bins = stft.n_bins();
        let mut lanes = vec![[1.0; LANES]; n_bins];
        stft.power_lanes(&samples, 2 * 256, 5, &mut lanes);
        for (bin, lane) in lanes.iter().enumerate() {
            for (offset, value) in lane.iter().enumerate() {
                let expected = if offset < 5 {
                    single[(2 + offset) * n_bins + bin]
                } else {
                    0.0
                };
                assert_eq!(value.to_bits(), expected.to_bits());
            }
        }
    }

    #[test]
    fn odd_cases_are_defined() {
        let mut stft = Stft::new(&StftConfig::default()).unwrap();
        assert!(stft.power_spectrogram(&[]).is_empty());
        assert_eq!(stft.power_spectrogram(&[0.5]).len(), 513);
        assert!(
            stft.spectrum_frame(&[], 3)
                .iter()
                .all(|x| x.norm_sqr() < f32::MIN_POSITIVE)
        );
        assert!(
            stft.spectrum_frame(&[1.0], usize::MAX)
                .iter()
                .all(|x| x.norm_sqr() < 1e-30)
        );
        for bad in [
            StftConfig {
                n_fft: 1,
                ..StftConfig::default()
            },
            StftConfig {
                win_length: 0,
                ..StftConfig::default()
            },
            StftConfig {
                win_length: 1025,
                ..StftConfig::default()
            },
            StftConfig {
                hop_length: 0,
                ..StftConfig::default()
            },
            StftConfig {
                hop_length: usize::MAX,
                ..StftConfig::default()
            },
            StftConfig {
                n_fft: usize::MAX,
                ..StftConfig::default()
            },
        ] {
            assert!(matches!(Stft::new(&bad), Err(DspError::Parameter { .. })));
        }
    }
}
