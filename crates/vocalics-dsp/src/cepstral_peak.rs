//! How far the harmonics of a voice stand out: cepstral peak prominence.

use serde::{Deserialize, Serialize};

use crate::error::DspError;
use crate::frame::{Padding, check_rate_from};
use crate::power_stream::PowerStream;
use crate::prominence::Smoother;
use crate::stft::StftConfig;
use crate::{floor_index, mean_of_present};

/// Settings of [`cepstral_peak`]; the defaults smooth as Hillenbrand and Houde did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CepstralPeakConfig {
    /// Lowest f0 whose peak is looked for, in hertz.
    pub fmin: f64,
    /// Highest f0 whose peak is looked for, in hertz; at most 1000, since the line begins at 1 ms.
    pub fmax: f64,
    /// Length of the Hann window in seconds, at least two periods of `fmin`.
    pub window_secs: f64,
    /// Distance between frames in seconds, rounded to whole samples.
    pub time_step_secs: f64,
    /// Cepstra of this many seconds around a frame are averaged, an odd number of frames, fewer at the
    /// ends of the signal; 0 for none.
    pub time_smoothing_secs: f64,
    /// This many seconds of quefrency around a value are averaged, an odd number of values; 0 for none.
    pub quefrency_smoothing_secs: f64,
}

impl Default for CepstralPeakConfig {
    /// CPPS: 20 ms (10 frames, here 11) and 1 ms of quefrency, 60 to 300 Hz, a frame every 2 ms.
    fn default() -> Self {
        Self {
            fmin: 60.0,
            fmax: 300.0,
            window_secs: 0.05,
            time_step_secs: 0.002,
            time_smoothing_secs: 0.02,
            quefrency_smoothing_secs: 0.001,
        }
    }
}

impl CepstralPeakConfig {
    /// The settings without smoothing, every 10 ms: CPP rather than CPPS.
    #[must_use]
    pub fn unsmoothed() -> Self {
        Self {
            time_step_secs: 0.01,
            time_smoothing_secs: 0.0,
            quefrency_smoothing_secs: 0.0,
            ..Self::default()
        }
    }

    /// Checks every field against the sample rate.
    ///
    /// # Errors
    /// [`DspError::Parameter`] naming the first field outside its range.
    pub fn validate(&self, sample_rate: u32) -> Result<(), DspError> {
        check_rate_from(sample_rate, 4_000)?;
        let ranges = [
            ("fmin", self.fmin, 10.0, 500.0),
            ("fmax", self.fmax, self.fmin * 1.5, 1_000.0),
            ("window_secs", self.window_secs, 2.0 / self.fmin, 1.0),
            ("time_step_secs", self.time_step_secs, 5e-4, 1.0),
            ("time_smoothing_secs", self.time_smoothing_secs, 0.0, 1.0),
            (
                "quefrency_smoothing_secs",
                self.quefrency_smoothing_secs,
                0.0,
                0.002,
            ),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(DspError::parameter(name, format!("{low} to {high}"), value));
            }
        }
        Ok(())
    }

    pub(crate) fn stft(&self, rate: f64) -> StftConfig {
        let win_length = floor_index((self.window_secs * rate).round());
        StftConfig {
            n_fft: win_length.next_power_of_two(),
            win_length,
            hop_length: floor_index((self.time_step_secs * rate).round()).max(1),
            center: true,
            padding: Padding::Zero,
        }
    }
}

/// Cepstral peak prominence over time; both vectors are `[n_frames]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CepstralPeakTrack {
    /// Centre of each frame in seconds.
    pub times_secs: Vec<f64>,
    /// Prominence in decibels; `None` where the frame is silent.
    pub cpp_db: Vec<Option<f32>>,
}

impl CepstralPeakTrack {
    /// Mean over the frames that are not silent; `None` if all are.
    #[must_use]
    pub fn mean_db(&self) -> Option<f32> {
        mean_of_present(&self.cpp_db)
    }
}

/// Cepstral peak prominence.
///
/// The cepstrum of a frame is the inverse Fourier transform of its power spectrum in decibels; squares of
/// it are averaged over neighbouring frames, then over neighbouring quefrencies, and taken in
/// decibels. A line is fitted to them by least squares from 1 ms to half the window. The prominence is the
/// height of the largest value between `1 / fmax` and `1 / fmin` over the line below it.
///
/// In decibels, seldom below 0. How large it is depends on the smoothing and on the sample rate; compare
/// values of one rate. From 8 to 48 kHz white noise has 1 to 3 dB and a pulse train of 65 to 290 Hz 12 to 29;
/// unsmoothed, 14 to 16 and 26 to 50. A sine has no harmonics that could stand out and no meaningful value. The
/// result does not change with gain; powers more than 100 dB below the largest of their spectrum count
/// as 100 dB below.
///
/// Frame `i` is centred on sample `i · hop`; beyond the ends of the signal stand zeros. Digital silence has no
/// value; a constant, whose spectrum is that of the window, has 1 to 6 dB, a click 0. An empty signal has no
/// frame.
///
/// # Errors
/// [`DspError::Parameter`] as [`CepstralPeakConfig::validate`]; [`DspError::NonFinite`] or
/// [`DspError::OutOfRange`] on a bad sample.
///
/// ```
/// use vocalics_dsp::cepstral_peak::{CepstralPeakConfig, cepstral_peak};
///
/// let clicks: Vec<f32> = (0..8_000).map(|n| if n % 100 == 0 { 0.5 } else { 0.0 }).collect();
/// let track = cepstral_peak(&clicks, 16_000, &CepstralPeakConfig::default())?;
/// assert!(track.mean_db().unwrap() > 15.0);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
///
/// Source: J. Hillenbrand, R. A. Houde, "Acoustic correlates of breathy vocal quality: dysphonic voices and
/// continuous speech", *JSHR* 39, 1996, pages 311-321 (CPP and CPPS). That powers are averaged follows the
/// Praat manual, *PowerCepstrogram: Smooth*.
pub fn cepstral_peak(
    samples: &[f32],
    sample_rate: u32,
    config: &CepstralPeakConfig,
) -> Result<CepstralPeakTrack, DspError> {
    let mut stream = CepstralPeakStream::new(sample_rate, config)?;
    let mut cpp_db = Vec::new();
    stream.push(samples, |cpp| cpp_db.push(cpp))?;
    stream.finish(|cpp| cpp_db.push(cpp));
    let rate = f64::from(sample_rate);
    let hop_secs = config.stft(rate).hop_length as f64 / rate;
    Ok(CepstralPeakTrack {
        times_secs: (0..cpp_db.len()).map(|i| i as f64 * hop_secs).collect(),
        cpp_db,
    })
}

/// [`cepstral_peak`] for a signal that arrives in chunks: the same values for any chunking.
///
/// A value is given out when the last frame it is averaged over is complete: half a transform and half
/// of `time_smoothing_secs` after its centre.
#[derive(Debug, Clone)]
pub struct CepstralPeakStream {
    spectra: PowerStream,
    smoother: Smoother,
}

impl CepstralPeakStream {
    /// Plans the transforms.
    ///
    /// # Errors
    /// [`DspError::Parameter`] as [`CepstralPeakConfig::validate`].
    pub fn new(sample_rate: u32, config: &CepstralPeakConfig) -> Result<Self, DspError> {
        config.validate(sample_rate)?;
        let rate = f64::from(sample_rate);
        let stft = config.stft(rate);
        Ok(Self {
            spectra: PowerStream::new(&stft)?,
            smoother: Smoother::new(rate, &stft, config),
        })
    }

    /// Takes samples in and calls `each` with every prominence in decibels they complete, `None` for a
    /// silent frame.
    ///
    /// # Errors
    /// As [`check_samples`](crate::check_samples), the index counted within this chunk; the chunk is then
    /// not taken in.
    pub fn push(
        &mut self,
        samples: &[f32],
        mut each: impl FnMut(Option<f32>),
    ) -> Result<(), DspError> {
        let Self { spectra, smoother } = self;
        spectra.push(samples, |power| smoother.take(power, &mut each))
    }

    /// Ends the stream: the frames that reach beyond its last sample. The stream starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(Option<f32>)) {
        let Self { spectra, smoother } = self;
        spectra.finish(|power| smoother.take(power, &mut each));
        smoother.finish(each);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow;
    use crate::power_stream::tests::chunked;
    use crate::stft::Stft;
    use crate::test_signal::noise;

    const RATES: [u32; 4] = [8_000, 16_000, 44_100, 48_000];

    fn mean_db(samples: &[f32], rate: u32, config: &CepstralPeakConfig) -> f32 {
        let track = cepstral_peak(samples, rate, config).unwrap();
        track.mean_db().unwrap()
    }

    /// A band-limited pulse train, an eighth of a second.
    fn pulses(rate: u32, f0: f64) -> Vec<f32> {
        let step = std::f64::consts::TAU * f0 / f64::from(rate);
        let count = floor_index(0.45 * f64::from(rate) / f0) as f64;
        let sum = |n: u32| {
            let phase = step * (f64::from(n) + 0.3);
            ((count + 0.5) * phase).sin() / (phase / 2.0).sin() - 1.0
        };
        (0..rate / 8)
            .map(|n| narrow(sum(n) / (4.0 * count)))
            .collect()
    }

    /// Twenty partials over 140 Hz in white noise, an eighth of a second.
    fn voice(rate: u32, snr_db: f64) -> Vec<f32> {
        let step = std::f64::consts::TAU * 140.0 / f64::from(rate);
        let power: f64 = (1..=20).map(|k| 0.5 / f64::from(k * k)).sum();
        let level = (3.0 * power / 10.0_f64.powf(snr_db / 10.0)).sqrt();
        (0_u32..)
            .zip(noise((rate / 8) as usize, 1))
            .map(|(n, x)| {
                let phase = step * f64::from(n);
                let sum: f64 = (1..=20)
                    .map(|k| (f64::from(k) * phase).sin() / f64::from(k))
                    .sum();
                narrow(0.1 * (sum + level * f64::from(x)))
            })
            .collect()
    }

    #[test]
    fn equals_the_definition() {
        let rate = 4_000_u32;
        let config = CepstralPeakConfig {
            window_secs: 0.04,
            time_step_secs: 0.005,
            ..CepstralPeakConfig::default()
        };
        let stft = config.stft(4_000.0);
        let mut samples: Vec<f32> = voice(rate, 10.0).repeat(3);
        samples[600..1000].fill(0.0);
        let spectrogram = Stft::new(&stft).unwrap().power_spectrogram(&samples);
        let cepstra: Vec<Option<Vec<f64>>> = spectrogram
            .chunks(129)
            .map(|power| {
                let largest = f64::from(power.iter().copied().fold(0.0, f32::max));
                let log = |k: usize| {
                    let k = if k > 128 { 256 - k } else { k };
                    10.0 * (f64::from(power[k]) / largest).max(1e-10).log10()
                };
                let value = |q: usize| {
                    let turn = std::f64::consts::TAU * q as f64 / 256.0;
                    let sum: f64 = (0..256).map(|k| log(k) * (turn * k as f64).cos()).sum();
                    (sum / 256.0).powi(2)
                };
                (largest > 0.0).then(|| (0..=128).map(value).collect())
            })
            .collect();
        let track = cepstral_peak(&samples, rate, &config).unwrap();
        assert_eq!(track.cpp_db.len(), cepstra.len());
        for (i, cpp) in track.cpp_db.iter().enumerate() {
            let near = &cepstra[i.saturating_sub(2)..(i + 3).min(cepstra.len())];
            let near: Vec<_> = near.iter().flatten().collect();
            let levels: Vec<f64> = (4..80)
                .map(|q| {
                    let sum: f64 = near.iter().flat_map(|c| &c[q - 2..q + 3]).sum();
                    10.0 * (sum / (5 * near.len()) as f64).log10()
                })
                .collect();
            let n = levels.len() as f64;
            let (mx, my) = ((n - 1.0) / 2.0, levels.iter().sum::<f64>() / n);
            let products = levels.iter().enumerate();
            let slope = products
                .map(|(i, y)| (i as f64 - mx) * (y - my))
                .sum::<f64>()
                / (n * (n * n - 1.0) / 12.0);
            let over = |q: usize| levels[q - 4] - my - slope * ((q - 4) as f64 - mx);
            let peak = (14..67).max_by(|a, b| levels[a - 4].total_cmp(&levels[b - 4]));
            let expected = cepstra[i].as_ref().and(peak.map(over));
            match (cpp, expected) {
                (Some(a), Some(b)) => assert!((f64::from(*a) - b).abs() < 0.01, "{i}: {a} {b}"),
                (a, b) => assert_eq!(a.is_some(), b.is_some(), "{i}"),
            }
        }
        assert!(track.cpp_db[36..44].iter().all(Option::is_none));
    }

    #[test]
    fn pulses_stand_out_and_noise_does_not() {
        let (smoothed, plain) = (
            CepstralPeakConfig::default(),
            CepstralPeakConfig::unsmoothed(),
        );
        for rate in RATES {
            let hiss = noise((rate / 4) as usize, 1);
            let found = mean_db(&hiss, rate, &smoothed);
            assert!((0.0..3.0).contains(&found), "{rate}: {found} dB");
            let found = mean_db(&hiss, rate, &plain);
            assert!((13.5..16.5).contains(&found), "{rate}: {found} dB");
            for f0 in [65.0, 155.5, 290.0] {
                let train = pulses(rate, f0);
                let found = mean_db(&train, rate, &smoothed);
                assert!((12.0..30.0).contains(&found), "{rate} {f0}: {found} dB");
                let found = mean_db(&train, rate, &plain);
                assert!((25.0..55.0).contains(&found), "{rate} {f0}: {found} dB");
            }
        }
    }

    #[test]
    fn more_noise_is_less_prominence() {
        for rate in [8_000, 16_000, 44_100] {
            let mut before = 0.0;
            for snr_db in [-5.0, 2.0, 9.0, 18.0, 35.0] {
                let found = mean_db(&voice(rate, snr_db), rate, &CepstralPeakConfig::default());
                assert!(
                    found > before,
                    "{rate}, {snr_db} dB: {found} after {before}"
                );
                before = found;
            }
        }
    }

    #[test]
    fn gain_changes_nothing() {
        let samples = voice(16_000, 20.0);
        let quiet: Vec<f32> = samples.iter().map(|x| x / 4_096.0).collect();
        let config = CepstralPeakConfig::default();
        assert_eq!(
            cepstral_peak(&samples, 16_000, &config).unwrap(),
            cepstral_peak(&quiet, 16_000, &config).unwrap()
        );
    }

    #[test]
    fn clipping_leaves_a_peak() {
        let clipped: Vec<f32> = voice(16_000, 30.0)
            .iter()
            .map(|x| (20.0 * x).clamp(-1.0, 1.0))
            .collect();
        let found = mean_db(&clipped, 16_000, &CepstralPeakConfig::default());
        assert!(found > 8.0, "{found} dB");
    }

    #[test]
    fn a_chirp_keeps_its_peak() {
        let mut phase = 0.0;
        let chirp: Vec<f32> = (0..16_000_u32)
            .map(|n| {
                phase += std::f64::consts::TAU * (120.0 + f64::from(n) / 400.0) / 16_000.0;
                narrow(
                    (1..=20)
                        .map(|k| (f64::from(k) * phase).sin() / f64::from(k))
                        .sum(),
                )
            })
            .collect();
        let found = mean_db(&chirp, 16_000, &CepstralPeakConfig::default());
        assert!(found > 8.0, "{found} dB");
    }

    #[test]
    fn odd_input_is_defined() {
        let config = CepstralPeakConfig::default();
        for rate in RATES {
            assert!(cepstral_peak(&[], rate, &config).unwrap().cpp_db.is_empty());
            let silent = cepstral_peak(&[0.0; 9_000], rate, &config).unwrap();
            assert!(silent.mean_db().is_none());
            assert_eq!(silent.cpp_db.len(), silent.times_secs.len());
            let constant = mean_db(&vec![0.7; 30_000], rate, &config);
            assert!((0.0..7.0).contains(&constant), "{rate}: {constant} dB");
            let mut click = vec![0.0; 9_000];
            click[4_000] = 1.0;
            assert!(mean_db(&click, rate, &config).abs() < 1e-3);
        }
        // Shorter than a window.
        assert_eq!(
            cepstral_peak(&[0.3, -0.3], 16_000, &config)
                .unwrap()
                .cpp_db
                .len(),
            1
        );
        let loud: Vec<f32> = noise(4_000, 1)
            .iter()
            .map(|x| x * crate::MAX_SAMPLE)
            .collect();
        assert!(mean_db(&loud, 16_000, &config).is_finite());
        assert!(matches!(
            cepstral_peak(&[0.0, f32::NAN], 16_000, &config),
            Err(DspError::NonFinite { index: 1 })
        ));
    }

    #[test]
    fn bad_settings_are_named() {
        let config = CepstralPeakConfig::default();
        let bad = [
            (
                "fmin",
                CepstralPeakConfig {
                    fmin: f64::NAN,
                    ..config
                },
            ),
            (
                "fmax",
                CepstralPeakConfig {
                    fmax: 1_001.0,
                    ..config
                },
            ),
            (
                "window_secs",
                CepstralPeakConfig {
                    window_secs: 0.033,
                    ..config
                },
            ),
            (
                "time_step_secs",
                CepstralPeakConfig {
                    time_step_secs: 0.0,
                    ..config
                },
            ),
            (
                "time_smoothing_secs",
                CepstralPeakConfig {
                    time_smoothing_secs: -1.0,
                    ..config
                },
            ),
            (
                "quefrency_smoothing_secs",
                CepstralPeakConfig {
                    quefrency_smoothing_secs: 1.0,
                    ..config
                },
            ),
        ];
        for (expected, config) in bad {
            match cepstral_peak(&[0.0; 100], 16_000, &config) {
                Err(DspError::Parameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert!(cepstral_peak(&[0.0; 100], 3_999, &config).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]

        #[test]
        fn streaming_equals_batch(
            n in 0_usize..3001,
            silent in 0_usize..3000,
            lengths in proptest::collection::vec(0_usize..700, 1..6),
            time_step_secs in 0.002_f64..0.1,
            time_smoothing_secs in 0.0_f64..0.05,
        ) {
            let config = CepstralPeakConfig {
                time_step_secs,
                time_smoothing_secs,
                ..CepstralPeakConfig::default()
            };
            let mut samples = voice(8_000, 10.0).repeat(3)[..n].to_vec();
            samples.iter_mut().skip(silent).take(1000).for_each(|x| *x = 0.0);
            let batch = cepstral_peak(&samples, 8_000, &config).unwrap().cpp_db;
            let mut stream = CepstralPeakStream::new(8_000, &config).unwrap();
            for _ in 0..2 {
                let mut streamed = Vec::new();
                for chunk in chunked(&samples, &lengths) {
                    stream.push(chunk, |cpp| streamed.push(cpp)).unwrap();
                }
                stream.finish(|cpp| streamed.push(cpp));
                proptest::prop_assert_eq!(&streamed, &batch);
            }
        }
    }
}
