//! Noise power under speech, by minimum statistics.

use crate::decibel::clean_power;
use crate::error::DspError;
use crate::frame::check_length;
use crate::narrow;

/// Sub-windows the search for minima is divided into, `U`.
const SUB_WINDOWS: usize = 8;
/// Largest smoothing constant, `α_max` of equation 11.
const SMOOTHING_MAX: f64 = 0.96;
/// Smallest smoothing constant, the upper end of the range in equation 12.
const SMOOTHING_MIN: f64 = 0.3;
/// Weight of the past in the correction of the smoothing, and its least new value; equation 10.
const CORRECTION_KEEP: f64 = 0.7;
const CORRECTION_LEAST: f64 = 0.7;
/// Largest weight of the past in the moments of the smoothed power, on `β = α²`; equations 20 and 21.
const MOMENT_KEEP_MAX: f64 = 0.8;
/// Largest normalised variance, `1 / Q_eq` of equation 23: that of power that is not smoothed at all.
const INVERSE_FREEDOM_MAX: f64 = 0.5;
/// `a_v` of the correction for smoothing that follows the speech, `B_c = 1 + a_v · √(mean of 1 / Q_eq)`.
const VARIANCE_WEIGHT: f64 = 2.12;
/// Largest correction for the bias of a minimum, and least degrees of freedom it is computed with. Set by hand,
/// as a guard: for power that is not smoothed the approximation gives the number of frames in the window.
const BIAS_MAX: f64 = 8.0;
const FREEDOM_MIN: f64 = 2.0;

/// `M(D)` of the bias of the minimum of `D` correlated values.
///
/// Source: R. Martin 2001, table III.
const MEAN_OF_MINIMUM: [(f64, f64); 14] = [
    (1.0, 0.0),
    (2.0, 0.26),
    (5.0, 0.48),
    (8.0, 0.58),
    (10.0, 0.61),
    (15.0, 0.668),
    (20.0, 0.705),
    (30.0, 0.762),
    (40.0, 0.8),
    (60.0, 0.841),
    (80.0, 0.865),
    (120.0, 0.89),
    (140.0, 0.9),
    (160.0, 0.91),
];

fn mean_of_minimum(window: f64) -> f64 {
    let last = MEAN_OF_MINIMUM[MEAN_OF_MINIMUM.len() - 1];
    MEAN_OF_MINIMUM
        .windows(2)
        .find(|pair| window <= pair[1].0)
        .map_or(last.1, |pair| {
            let share = (window - pair[0].0) / (pair[1].0 - pair[0].0);
            pair[0].1 + share * (pair[1].1 - pair[0].1)
        })
}

#[derive(Debug, Clone, Copy)]
struct Bin {
    /// Smoothed power.
    smooth: f64,
    /// First and second moment of the smoothed power.
    mean: f64,
    square: f64,
    /// Minimum of the sub-window under way, and of those before.
    current: f64,
    earlier: [f64; SUB_WINDOWS - 1],
    /// `1 / Q_eq` of the newest power.
    inverse_freedom: f64,
    noise: f64,
}

impl Bin {
    const NEW: Self = Self {
        smooth: 0.0,
        mean: 0.0,
        square: 0.0,
        current: f64::INFINITY,
        earlier: [f64::INFINITY; SUB_WINDOWS - 1],
        inverse_freedom: INVERSE_FREEDOM_MAX,
        noise: 0.0,
    };
}

/// Follows the noise power of every frequency bin through speech, one power spectrum at a time.
///
/// The power is smoothed with a time constant that follows the signal, and its minimum over about
/// `window` frames, corrected for the bias of a minimum, is the noise. Speech leaves every bin now and
/// then, noise does not. The estimate needs no voice activity detection; it follows a rise of
/// the noise with a delay of up to the window.
///
/// It departs from the published method in these points: the rule for faster rises (the bias of a sub-window's
/// minimum and the search for local minima) is left out; the smallest smoothing constant is 0.3 at any SNR;
/// the correction for bias is at most 8 (9 dB); the window is rounded up to whole sub-windows; digital silence is
/// passed over; the first spectrum stands for the noise until a smaller one comes.
///
/// # Shapes
/// Power spectra `[n_bins]` in, noise powers `[n_bins]` out.
///
/// Source: R. Martin, *Noise power spectral density estimation based on optimal smoothing and
/// minimum statistics*, IEEE Trans. Speech and Audio Processing 9(5), 2001: smoothing by equations 3 and 9 to
/// 12, variance by 20 to 23, bias of the minimum by the approximation 17.
#[derive(Debug, Clone)]
pub struct NoiseEstimate {
    bins: Vec<Bin>,
    noise: Vec<f32>,
    sub_window: usize,
    filled: usize,
    /// Where the minimum of the sub-window under way will stand in `earlier`.
    slot: usize,
    correction: f64,
    started: bool,
}

impl NoiseEstimate {
    /// Starts with nothing heard; `window` is rounded up to a multiple of 8 frames. 1.5 s is usual.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `n_bins` and `window` are 1 to 2²⁴.
    pub fn new(n_bins: usize, window: usize) -> Result<Self, DspError> {
        check_length("n_bins", n_bins, 1)?;
        check_length("window", window, 1)?;
        Ok(Self {
            bins: vec![Bin::NEW; n_bins],
            noise: vec![0.0; n_bins],
            sub_window: window.div_ceil(SUB_WINDOWS),
            filled: 0,
            slot: 0,
            correction: 1.0,
            started: false,
        })
    }

    /// Forgets everything heard.
    pub fn restart(&mut self) {
        self.bins.fill(Bin::NEW);
        self.noise.fill(0.0);
        self.filled = 0;
        self.slot = 0;
        self.correction = 1.0;
        self.started = false;
    }

    /// Noise powers `[n_bins]`; zeros before the first spectrum.
    #[must_use]
    pub fn noise(&self) -> &[f32] {
        &self.noise
    }

    /// Whether a spectrum was taken in.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// Takes a power spectrum in and returns the noise powers. Digital silence is passed over: it is
    /// no noise, and its minimum would hide the noise that comes after it.
    ///
    /// # Panics
    /// If `power` does not hold `n_bins` values.
    pub fn update(&mut self, power: &[f32]) -> &[f32] {
        assert_eq!(
            power.len(),
            self.bins.len(),
            "power must hold n_bins values"
        );
        let clean = |p: &f32| f64::from(clean_power(*p));
        let total: f64 = power.iter().map(clean).sum();
        if total <= f64::from(f32::MIN_POSITIVE) {
            return &self.noise;
        }
        if !self.started {
            self.started = true;
            for (bin, p) in self.bins.iter_mut().zip(power) {
                let p = clean(p);
                (bin.smooth, bin.mean, bin.square, bin.noise) = (p, p, p * p, p);
            }
        }
        let window = (self.sub_window * SUB_WINDOWS) as f64;
        let smooth: f64 = self.bins.iter().map(|bin| bin.smooth).sum();
        let instant = 1.0 / (1.0 + (smooth / total - 1.0).powi(2));
        self.correction = CORRECTION_KEEP * self.correction
            + (1.0 - CORRECTION_KEEP) * instant.max(CORRECTION_LEAST);
        let mut spread = 0.0;
        for (bin, p) in self.bins.iter_mut().zip(power) {
            let ratio = bin.smooth / bin.noise.max(f64::MIN_POSITIVE) - 1.0;
            let smoothing = (SMOOTHING_MAX * self.correction / (1.0 + ratio * ratio))
                .clamp(SMOOTHING_MIN, SMOOTHING_MAX);
            bin.smooth = smoothing * bin.smooth + (1.0 - smoothing) * clean(p);
            let forget = (smoothing * smoothing).min(MOMENT_KEEP_MAX);
            bin.mean = forget * bin.mean + (1.0 - forget) * bin.smooth;
            bin.square = forget * bin.square + (1.0 - forget) * bin.smooth * bin.smooth;
            bin.inverse_freedom = inverse_freedom(bin);
            spread += bin.inverse_freedom;
        }
        let mean_spread = spread / self.bins.len() as f64;
        let follow = 1.0 + VARIANCE_WEIGHT * mean_spread.sqrt();
        let minimum = mean_of_minimum(window);
        self.filled += 1;
        let turn = self.filled == self.sub_window;
        if turn {
            self.filled = 0;
        }
        for (bin, noise) in self.bins.iter_mut().zip(&mut self.noise) {
            let freedom = (1.0 / bin.inverse_freedom.max(1e-12) - 2.0 * minimum) / (1.0 - minimum);
            let bias = 1.0 + (window - 1.0) * 2.0 / freedom.max(FREEDOM_MIN);
            bin.current = bin.current.min(bin.smooth * bias.min(BIAS_MAX) * follow);
            let least = bin.earlier.iter().copied().fold(bin.current, f64::min);
            bin.noise = least;
            *noise = narrow(least.min(f64::from(f32::MAX)));
            if turn {
                bin.earlier[self.slot] = bin.current;
                bin.current = f64::INFINITY;
            }
        }
        if turn {
            self.slot = (self.slot + 1) % (SUB_WINDOWS - 1);
        }
        &self.noise
    }
}

/// `1 / Q_eq`: normalised variance of the smoothed power, at most ½.
fn inverse_freedom(bin: &Bin) -> f64 {
    let variance = (bin.square - bin.mean * bin.mean).max(0.0);
    let scale = 2.0 * bin.noise * bin.noise;
    if scale > 0.0 {
        (variance / scale).min(INVERSE_FREEDOM_MAX)
    } else {
        INVERSE_FREEDOM_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::noise;

    #[test]
    fn stationary_noise_is_estimated_within_1_5_db() {
        let mut stft = crate::stft::Stft::new(&crate::stft::StftConfig {
            n_fft: 512,
            win_length: 512,
            hop_length: 128,
            ..crate::stft::StftConfig::default()
        })
        .unwrap();
        let samples = noise(80_000, 3);
        let mut estimate = NoiseEstimate::new(257, 188).unwrap();
        let mut power = vec![0.0; 257];
        let (mut truth, mut found) = (0.0, 0.0);
        for index in 0..stft.n_frames(samples.len()) {
            stft.power_frame(&samples, index, &mut power);
            let noise = estimate.update(&power);
            // The window is filled by then.
            if index >= 188 {
                truth += power[20..200].iter().sum::<f32>();
                found += noise[20..200].iter().sum::<f32>();
            }
        }
        let error_db = 10.0 * (found / truth).log10();
        assert!(error_db.abs() < 1.5, "{error_db} dB");
    }

    #[test]
    fn bursts_do_not_raise_the_estimate() {
        let mut estimate = NoiseEstimate::new(4, 96).unwrap();
        let values = noise(4000, 9);
        for (frame, x) in values.chunks(4).enumerate() {
            let gain = if frame % 50 < 30 && frame > 60 {
                1e4
            } else {
                1.0
            };
            let power: Vec<f32> = x.iter().map(|x| gain * (1.0 + 0.2 * x)).collect();
            estimate.update(&power);
        }
        assert!(
            estimate.noise().iter().all(|n| *n < 10.0),
            "{:?}",
            estimate.noise()
        );
    }

    #[test]
    fn silence_and_faults_are_passed_over() {
        let mut estimate = NoiseEstimate::new(3, 8).unwrap();
        estimate.update(&[0.0; 3]);
        estimate.update(&[f32::NAN; 3]);
        assert!(!estimate.is_started());
        for _ in 0..20 {
            estimate.update(&[1.0, 2.0, f32::NAN]);
        }
        let heard = estimate.noise().to_vec();
        estimate.update(&[0.0; 3]);
        assert_eq!(estimate.noise(), heard);
        assert!(heard.iter().all(|n| n.is_finite()));
        for (n_bins, window) in [(0, 8), (3, 0), (3, usize::MAX), (usize::MAX, 8)] {
            assert!(NoiseEstimate::new(n_bins, window).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn finite_on_any_input(
            power in proptest::collection::vec(proptest::num::f32::ANY, 0..300),
            n_bins in 1_usize..6,
            window in 1_usize..40,
        ) {
            let mut estimate = NoiseEstimate::new(n_bins, window).unwrap();
            for row in power.chunks_exact(n_bins) {
                let noise = estimate.update(row);
                proptest::prop_assert!(noise.iter().all(|n| n.is_finite() && *n >= 0.0), "{noise:?}");
            }
        }
    }
}
