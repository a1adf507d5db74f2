//! Chroma: power by pitch class.

use std::f64::consts::LN_2;

use crate::check_samples;
use crate::error::DspError;
use crate::frame::{check_length, check_rate};
use crate::narrow;
use crate::stft::{Stft, StftConfig};

/// Centre of the octaves that count most, as `log2(f / 27.5 Hz)`: 880 Hz. This and what follows are the defaults
/// of `librosa.filters.chroma`, `librosa.piptrack` and `librosa.estimate_tuning`.
const CENTRE_OCTAVE: f64 = 5.0;
/// Deviation of the weight over octaves.
const OCTAVE_WIDTH: f64 = 2.0;
/// Range in hertz in which spectral peaks tell the tuning.
const PEAK_HZ: (f64, f64) = (150.0, 4000.0);
/// Peaks below this share of the frame's strongest bin are passed over.
const PEAK_SHARE: f32 = 0.1;
/// Steps into which a bin of the octave is divided to find the tuning.
const TUNING_STEPS: usize = 100;

/// Octaves above 27.5 Hz (A0) with the A4 moved by `tuning` bins of `n_chroma` an octave.
fn octaves(hz: f64, tuning: f64, n_chroma: f64) -> f64 {
    (hz / (440.0 / 16.0)).ln() / LN_2 - tuning / n_chroma
}

/// Maps power spectra to pitch classes, the first of which is C.
///
/// Each bin is spread over the classes by a Gaussian bump as wide as the bin, of unit length, and
/// weighted by `exp(−½ ((octave − 5) / 2)²)`, so that the octave around 880 Hz counts most.
///
/// # Shapes
/// `[n_bins]` to `[n_chroma]`.
///
/// Source: D. Ellis, *Chroma feature analysis and synthesis*, 2007.
/// Reference: `librosa.filters.chroma`, within 1e-5.
#[derive(Debug, Clone)]
pub struct ChromaFilterbank {
    /// `[n_bins, n_chroma]`.
    weights: Vec<f32>,
    n_chroma: usize,
}

impl ChromaFilterbank {
    /// Builds the filters; `tuning` is the deviation from A440 in bins of the octave.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz, `n_fft` 4 to 2²⁴, `n_chroma` a multiple of 12
    /// of at most 120, and `tuning` lies within ±1.
    pub fn new(
        sample_rate: u32,
        n_fft: usize,
        n_chroma: usize,
        tuning: f32,
    ) -> Result<Self, DspError> {
        let rate = check_rate(sample_rate)?;
        check_length("n_fft", n_fft, 4)?;
        if n_chroma == 0 || !n_chroma.is_multiple_of(12) || n_chroma > 120 {
            let expected = "a multiple of 12, at most 120";
            return Err(DspError::parameter("n_chroma", expected, n_chroma));
        }
        if tuning.is_nan() || tuning.abs() > 1.0 {
            return Err(DspError::parameter("tuning", "from -1 to 1", tuning));
        }
        let classes = n_chroma as f64;
        let bin_hz = rate / n_fft as f64;
        let n_bins = n_fft / 2 + 1;
        // Position of each bin on the circle of classes, unwrapped; 0 Hz lies 1.5 octaves under the
        // first bin. One bin more than needed gives the last its width.
        let mut place: Vec<f64> = (1..n_bins + 1)
            .map(|bin| classes * octaves(bin as f64 * bin_hz, f64::from(tuning), classes))
            .collect();
        place.insert(0, place[0] - 1.5 * classes);
        let mut weights = Vec::with_capacity(n_bins * n_chroma);
        for pair in place.windows(2).take(n_bins) {
            let width = (pair[1] - pair[0]).max(1.0);
            let mut row: Vec<f64> = (0..n_chroma)
                .map(|class| {
                    // The circle starts at A; C, the third semitone, is to be class 0.
                    let class = (class + n_chroma / 4) % n_chroma;
                    let half = classes / 2.0;
                    let away = (pair[0] - class as f64 + half).rem_euclid(classes) - half;
                    (-0.5 * (2.0 * away / width).powi(2)).exp()
                })
                .collect();
            let length = row.iter().map(|w| w * w).sum::<f64>().sqrt();
            let octave = (pair[0] / classes - CENTRE_OCTAVE) / OCTAVE_WIDTH;
            let gain = (-0.5 * octave * octave).exp() / length.max(f64::MIN_POSITIVE);
            for w in &mut row {
                *w *= gain;
            }
            weights.extend(row.into_iter().map(narrow));
        }
        Ok(Self { weights, n_chroma })
    }

    /// Number of classes.
    #[must_use]
    pub fn n_chroma(&self) -> usize {
        self.n_chroma
    }

    /// Chroma `[n_chroma]` of one power spectrum `[n_bins]`, the strongest class scaled to 1; silence
    /// stays 0.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn apply(&self, power: &[f32], chroma: &mut [f32]) {
        assert_eq!(
            power.len() * self.n_chroma,
            self.weights.len(),
            "power must hold n_bins values"
        );
        assert_eq!(
            chroma.len(),
            self.n_chroma,
            "chroma must hold n_chroma values"
        );
        chroma.fill(0.0);
        for (p, row) in power.iter().zip(self.weights.chunks_exact(self.n_chroma)) {
            for (c, w) in chroma.iter_mut().zip(row) {
                *c += w * p;
            }
        }
        let largest = chroma.iter().copied().fold(0.0, f32::max);
        if largest >= f32::MIN_POSITIVE {
            for c in chroma {
                *c /= largest;
            }
        }
    }
}

/// Deviation of the tuning from A440 in bins of the octave, in [−0.5, 0.5).
///
/// Spectral peaks between 150 Hz and 4 kHz, refined by a parabola, of at least the median strength,
/// fall into a histogram of their distance to the nearest bin of the octave; the fullest of 100 steps
/// is the answer. 0 when there is no peak.
///
/// # Shapes
/// `spectrogram` is `[n_frames, n_bins]`, power or magnitude.
///
/// # Panics
/// If `n_bins` is 0 or does not divide the number of values.
///
/// Reference: `librosa.estimate_tuning(S=spectrogram.T, bins_per_octave=n_chroma)`, within one step.
#[must_use]
pub fn estimate_tuning(spectrogram: &[f32], n_bins: usize, bin_hz: f32, n_chroma: usize) -> f32 {
    assert!(
        n_bins > 0 && spectrogram.len().is_multiple_of(n_bins),
        "the spectrogram must be whole rows of n_bins values"
    );
    let mut peaks = Peaks::new(bin_hz);
    for frame in spectrogram.chunks_exact(n_bins) {
        peaks.add(frame);
    }
    peaks.tuning(n_chroma)
}

/// Spectral peaks that tell the tuning: hertz and strength.
struct Peaks {
    bin_hz: f64,
    found: Vec<(f64, f32)>,
}

impl Peaks {
    fn new(bin_hz: f32) -> Self {
        Self {
            bin_hz: f64::from(bin_hz),
            found: Vec::new(),
        }
    }

    /// Those of a frame.
    fn add(&mut self, frame: &[f32]) {
        let least = PEAK_SHARE * frame.iter().copied().fold(0.0, f32::max);
        let kept = |bin: usize| if frame[bin] > least { frame[bin] } else { 0.0 };
        for bin in 1..frame.len().saturating_sub(1) {
            let hz = bin as f64 * self.bin_hz;
            let is_peak = kept(bin) > kept(bin - 1) && kept(bin) >= kept(bin + 1);
            if !is_peak || !(PEAK_HZ.0..PEAK_HZ.1).contains(&hz) {
                continue;
            }
            let (left, right) = (f64::from(frame[bin - 1]), f64::from(frame[bin + 1]));
            let (bend, slope) = (
                left + right - 2.0 * f64::from(frame[bin]),
                (right - left) / 2.0,
            );
            let shift = if slope.abs() >= bend.abs() {
                0.0
            } else {
                -slope / bend
            };
            let strength = f64::from(frame[bin]) + 0.5 * slope * shift;
            self.found
                .push(((bin as f64 + shift) * self.bin_hz, narrow(strength)));
        }
    }

    /// The fullest step of the histogram of those that are strong.
    fn tuning(&self, n_chroma: usize) -> f32 {
        let mut strengths: Vec<f32> = self.found.iter().map(|peak| peak.1).collect();
        if strengths.is_empty() {
            return 0.0;
        }
        strengths.sort_by(f32::total_cmp);
        let middle = strengths.len() / 2;
        let median = if strengths.len().is_multiple_of(2) {
            f32::midpoint(strengths[middle - 1], strengths[middle])
        } else {
            strengths[middle]
        };
        let mut histogram = [0_usize; TUNING_STEPS];
        for (hz, _) in self.found.iter().filter(|peak| peak.1 >= median) {
            let place = n_chroma as f64 * octaves(*hz, 0.0, n_chroma as f64);
            let residual = (place + 0.5).rem_euclid(1.0);
            let step = crate::floor_index(residual * TUNING_STEPS as f64).min(TUNING_STEPS - 1);
            histogram[step] += 1;
        }
        let fullest = histogram.iter().copied().max().unwrap_or(0);
        let step = histogram.iter().position(|n| *n == fullest).unwrap_or(0);
        narrow(step as f64 / TUNING_STEPS as f64 - 0.5)
    }
}

/// Chroma of a whole clip, row-major `[n_frames, n_chroma]`, each row's strongest class scaled to 1.
///
/// The tuning is estimated from the clip when `tuning` is `None`; with a tuning given, rows depend on
/// their own frame alone, and [`PowerStream`](crate::power_stream::PowerStream) with
/// [`ChromaFilterbank`] gives the same bits chunk by chunk. Silence gives zeros.
///
/// # Errors
/// As [`Stft::new`], [`ChromaFilterbank::new`] and [`check_samples`].
///
/// Reference: `librosa.feature.chroma_stft(y=y, sr=sample_rate)`, transposed, within 1e-3.
pub fn chroma(
    samples: &[f32],
    sample_rate: u32,
    stft: &StftConfig,
    n_chroma: usize,
    tuning: Option<f32>,
) -> Result<Vec<f32>, DspError> {
    check_samples(samples)?;
    let bin_hz = sample_rate as f32 / stft.n_fft as f32;
    let (n_fft, mut stft) = (stft.n_fft, Stft::new(stft)?);
    let n_frames = stft.n_frames(samples.len());
    let mut power = vec![0.0; stft.n_bins()];
    // Each frame is computed twice where that saves keeping the spectrogram, which hours have no room for.
    let tuning = tuning.unwrap_or_else(|| {
        let mut peaks = Peaks::new(bin_hz);
        for index in 0..n_frames {
            stft.power_frame(samples, index, &mut power);
            peaks.add(&power);
        }
        peaks.tuning(n_chroma)
    });
    let filters = ChromaFilterbank::new(sample_rate, n_fft, n_chroma, tuning)?;
    let mut rows = vec![0.0; n_frames * n_chroma];
    for (index, row) in rows.chunks_exact_mut(n_chroma).enumerate() {
        stft.power_frame(samples, index, &mut power);
        filters.apply(&power, row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_stream::PowerStream;
    use crate::power_stream::tests::chunked;

    fn config() -> StftConfig {
        StftConfig {
            n_fft: 4096,
            win_length: 4096,
            hop_length: 1024,
            ..StftConfig::default()
        }
    }

    fn tone(hz: f32, rate: u16) -> Vec<f32> {
        (0..rate)
            .map(|n| (std::f32::consts::TAU * hz * f32::from(n) / f32::from(rate)).sin())
            .collect()
    }

    #[test]
    fn notes_fall_into_their_class_at_every_rate() {
        for rate in [8_000_u16, 16_000, 44_100, 48_000] {
            for (hz, class) in [(440.0, 9), (523.25, 0), (880.0, 9), (1318.5, 4)] {
                let rows = chroma(&tone(hz, rate), rate.into(), &config(), 12, Some(0.0)).unwrap();
                let row = &rows[12 * 3..12 * 4];
                let best = (0..12).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
                assert_eq!(best, class, "{hz} Hz at {rate}: {row:?}");
                assert!((row[best] - 1.0).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn a_detuned_tone_tells_its_tuning() {
        for cents in [-30.0_f32, -10.0, 0.0, 20.0, 40.0] {
            let samples = tone(440.0 * (cents / 1200.0).exp2(), 22_050);
            let mut stft = Stft::new(&config()).unwrap();
            let power: Vec<f32> = stft.power_spectrogram(&samples);
            let tuning = estimate_tuning(&power, 2049, 22_050.0 / 4096.0, 12);
            assert!((tuning - cents / 100.0).abs() < 0.06, "{cents}: {tuning}");
        }
    }

    #[test]
    fn silence_short_and_bad_input_are_defined() {
        let call = |samples: &[f32]| chroma(samples, 16_000, &config(), 12, None);
        assert!(call(&[]).unwrap().is_empty());
        assert!(call(&[0.0; 9000]).unwrap().iter().all(|c| c.abs() < 1e-9));
        assert!(call(&[0.3; 9000]).unwrap().iter().all(|c| c.is_finite()));
        assert_eq!(call(&[0.5]).unwrap().len(), 12);
        assert!(call(&[f32::NAN]).is_err());
        assert!(ChromaFilterbank::new(16_000, 512, 13, 0.0).is_err());
        assert!(ChromaFilterbank::new(16_000, 512, 12, f32::NAN).is_err());
        assert!(ChromaFilterbank::new(0, 512, 12, 0.0).is_err());
        assert!(ChromaFilterbank::new(16_000, 2, 12, 0.0).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(16))]

        #[test]
        fn streaming_equals_batch(
            samples in proptest::collection::vec(-1.0_f32..1.0, 0..3000),
            lengths in proptest::collection::vec(0_usize..900, 1..5),
        ) {
            let config = StftConfig { n_fft: 512, win_length: 512, ..StftConfig::default() };
            let batch = chroma(&samples, 16_000, &config, 12, Some(0.1)).unwrap();
            let filters = ChromaFilterbank::new(16_000, 512, 12, 0.1).unwrap();
            let mut stream = PowerStream::new(&config).unwrap();
            let (mut streamed, mut row) = (Vec::new(), [0.0; 12]);
            let mut each = |power: &[f32]| {
                filters.apply(power, &mut row);
                streamed.extend_from_slice(&row);
            };
            for chunk in chunked(&samples, &lengths) {
                stream.push(chunk, &mut each).unwrap();
            }
            stream.finish(&mut each);
            proptest::prop_assert_eq!(streamed, batch);
        }
    }
}
