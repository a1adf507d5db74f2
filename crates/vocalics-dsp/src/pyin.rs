//! Fundamental frequency by probabilistic YIN.

use serde::{Deserialize, Serialize};

mod candidates;
mod difference;
mod stream;
mod threshold;
mod voicing_path;

pub use self::candidates::{PyinCandidate, PyinCandidateStream, PyinFrame};
use self::stream::Decoder;
pub use self::stream::PyinStream;
use self::voicing_path::VoicingPath;
use crate::error::DspError;
use crate::floor_index;
use crate::frame::check_rate_from;
use crate::pitch::PitchTrack;

/// Settings of [`pyin`].
///
/// The defaults are those documented for `librosa.pyin`, but for the range of f0 and the length of the
/// frame, which are the paper's (librosa has none and 93 ms), and a frame every 10 ms, as
/// [`PitchConfig`](crate::pitch::PitchConfig) has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PyinConfig {
    /// Lowest f0 looked for, in hertz.
    pub fmin: f64,
    /// Highest f0 looked for, in hertz; at most a quarter of the sample rate.
    pub fmax: f64,
    /// Length of a frame in seconds, at least two periods of `fmin`; rounded to an even number of
    /// samples. The paper's: 2048 samples at 44.1 kHz.
    pub frame_secs: f64,
    /// Distance between frames in seconds, rounded to whole samples.
    pub time_step_secs: f64,
    /// Number of YIN thresholds, evenly spaced up to 1.
    pub n_thresholds: usize,
    /// Shapes of the beta distribution of the thresholds, each 1 to 100. The mean of (2, 18) is 0.1.
    pub beta: (f64, f64),
    /// How fast the weight of the troughs below a threshold falls with their rank, shortest period
    /// first: each has `exp(−boltzmann)` of the one before. From 42 on all weight is on the first, as in
    /// the paper; 0 weighs all alike. 2 is librosa's.
    pub boltzmann: f64,
    /// Width of a pitch bin in semitones.
    pub resolution_semitones: f64,
    /// Fastest change of f0 in octaves per second. The paper's: 2.5 semitones in 256 samples at
    /// 44.1 kHz.
    pub max_transition_rate: f64,
    /// Probability of going between voiced and unvoiced, per frame.
    pub switch_prob: f64,
    /// Share of a threshold's probability that the lowest trough gets where none is below it.
    pub no_trough_prob: f64,
}

impl Default for PyinConfig {
    fn default() -> Self {
        Self {
            fmin: 55.0,
            fmax: 880.0,
            frame_secs: 2048.0 / 44_100.0,
            time_step_secs: 0.01,
            n_thresholds: 100,
            beta: (2.0, 18.0),
            boltzmann: 2.0,
            resolution_semitones: 0.1,
            max_transition_rate: 35.92,
            switch_prob: 0.01,
            no_trough_prob: 0.01,
        }
    }
}

impl PyinConfig {
    /// Checks every field against the sample rate.
    ///
    /// # Errors
    /// [`DspError::Parameter`] naming the first field outside its range.
    pub fn validate(&self, sample_rate: u32) -> Result<(), DspError> {
        let rate = check_rate_from(sample_rate, 1_000)?;
        let ranges = [
            ("fmin", self.fmin, 10.0, rate / 8.0),
            ("fmax", self.fmax, self.fmin * 1.01, rate / 4.0),
            ("frame_secs", self.frame_secs, 2.0 / self.fmin, 1.0),
            ("time_step_secs", self.time_step_secs, 1.0 / rate, 1.0),
            ("beta", self.beta.0, 1.0, 100.0),
            ("beta", self.beta.1, 1.0, 100.0),
            ("boltzmann", self.boltzmann, 0.0, 1_000.0),
            ("resolution_semitones", self.resolution_semitones, 0.01, 1.0),
            ("max_transition_rate", self.max_transition_rate, 0.0, 1e4),
            ("switch_prob", self.switch_prob, 1e-9, 1.0 - 1e-9),
            ("no_trough_prob", self.no_trough_prob, 0.0, 1.0),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(DspError::parameter(name, format!("{low} to {high}"), value));
            }
        }
        if !(1..=1_000).contains(&self.n_thresholds) {
            let expected = "1 to 1000";
            return Err(DspError::parameter(
                "n_thresholds",
                expected,
                self.n_thresholds,
            ));
        }
        if self.n_bins() > VoicingPath::MAX_BINS {
            let expected = format!(
                "wide enough for at most {} bins from fmin to fmax",
                VoicingPath::MAX_BINS
            );
            let actual = self.resolution_semitones;
            return Err(DspError::parameter(
                "resolution_semitones",
                expected,
                actual,
            ));
        }
        Ok(())
    }

    pub(crate) fn frame_length(&self, rate: f64) -> usize {
        2 * floor_index((self.frame_secs * rate / 2.0).round())
    }

    pub(crate) fn hop_length(&self, rate: f64) -> usize {
        floor_index((self.time_step_secs * rate).round()).max(1)
    }

    /// Pitch in bins above that of `fmin`.
    fn position(&self, hz: f64) -> f64 {
        12.0 * (hz / self.fmin).log2() / self.resolution_semitones
    }

    /// Bins from `fmin` to `fmax`, both included.
    fn n_bins(&self) -> usize {
        floor_index(self.position(self.fmax) + 1e-9) + 1
    }

    /// The bin whose centre is nearest; `None` outside the bins.
    pub(crate) fn bin(&self, hz: f64) -> Option<usize> {
        let rounded = (self.position(hz) + 0.5).floor();
        (rounded >= 0.0)
            .then(|| floor_index(rounded))
            .filter(|bin| *bin < self.n_bins())
    }
}

/// Fundamental frequency by probabilistic YIN.
///
/// Troughs of the cumulative mean normalised difference function `d'` of each frame are candidates. YIN
/// takes the first below a threshold; here every threshold `s` has a probability (beta distribution) and
/// gives it to the troughs below `s`, weighted by [`boltzmann`](PyinConfig::boltzmann), or if there is
/// none `no_trough_prob` of it to the lowest. Depths of troughs are those of a parabola through `d'`,
/// periods of one through `d`, which is not biased. Troughs below 0.7 are found by sinc interpolation of
/// `d`: parabolas through pulses that fall between the samples make them shallower than those of
/// twice their period. A hidden Markov model over pitch bins, each voiced and unvoiced, chooses: a
/// voiced bin is seen with the probability of its candidates, every unvoiced one with an even share of
/// what no candidate has. The likeliest path is found by Viterbi's algorithm. [`PyinStream`] is the streaming form.
///
/// The f0 of a voiced frame is that of the likeliest candidate in the bin chosen, not the bin's centre.
/// `strength` of the track is the probability that the frame is voiced. It does not decide alone: with
/// hundreds of unvoiced bins to share the rest, frames of small probability are voiced where a path leads
/// through them, now and then in noise as well. A smaller `no_trough_prob` is stricter.
///
/// Frame `i` is centred on sample `i · hop`; beyond the ends of the signal stand zeros. Silence and a
/// constant are unvoiced, and no frame at all comes of an empty signal. The result does not change with
/// gain. About 1 kB of memory is taken for each frame.
///
/// # Errors
/// [`DspError::Parameter`] as [`PyinConfig::validate`]; [`DspError::NonFinite`] or
/// [`DspError::OutOfRange`] on a bad sample.
///
/// ```
/// use vocalics_dsp::pyin::{PyinConfig, pyin};
///
/// let tone: Vec<f32> = (0..8_000u16).map(|n| (f32::from(n) * 0.0864).sin()).collect();
/// let track = pyin(&tone, 16_000, &PyinConfig::default())?;
/// assert!((track.at(0.25).unwrap() - 220.0).abs() < 0.2);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
///
/// Source: M. Mauch, S. Dixon, "pYIN: a fundamental frequency estimator using probabilistic threshold
/// distributions", *ICASSP* 2014, pages 659-663; A. de Cheveigné, H. Kawahara, "YIN, a fundamental
/// frequency estimator for speech and music", *JASA* 111(4), 2002, pages 1917-1930.
/// Reference: `librosa.pyin`: on the vectors of `golden/pyin.py` the same voicing on 98 % of frames and f0
/// within a median of 5 cents (half its bin); on recordings less, see `docs/voice.md`.
pub fn pyin(
    samples: &[f32],
    sample_rate: u32,
    config: &PyinConfig,
) -> Result<PitchTrack, DspError> {
    let mut candidates = PyinCandidateStream::new(sample_rate, config)?;
    let mut decoder = Decoder::new(sample_rate, config)?;
    candidates.push(samples, |frame| decoder.add(frame))?;
    candidates.finish(|frame| decoder.add(frame));
    Ok(decided(&mut decoder))
}

/// The likeliest path through the frames of a [`PyinCandidateStream`]: the second half of [`pyin`].
///
/// # Errors
/// [`DspError::Parameter`] as [`PyinConfig::validate`].
pub fn decode(
    frames: &[PyinFrame],
    sample_rate: u32,
    config: &PyinConfig,
) -> Result<PitchTrack, DspError> {
    let mut decoder = Decoder::new(sample_rate, config)?;
    for frame in frames {
        decoder.add(frame);
    }
    Ok(decided(&mut decoder))
}

/// All frames that a decoder was given.
fn decided(decoder: &mut Decoder) -> PitchTrack {
    let mut track = PitchTrack::default();
    decoder.finish(|frame| track.push(frame));
    track
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow;
    use crate::test_signal::noise;

    /// Phase of an f0 that follows `f0(secs)`, and the number of partials below 0.45 of the rate.
    fn phases(rate: u32, f0: impl Fn(f64) -> f64, secs: f64) -> Vec<(f64, usize)> {
        let rate = f64::from(rate);
        let mut phase = 0.0;
        (0..floor_index(secs * rate))
            .map(|i| {
                let hz = f0(i as f64 / rate);
                phase += std::f64::consts::TAU * hz / rate;
                (phase, floor_index(0.45 * rate / hz))
            })
            .collect()
    }

    /// A band-limited pulse train: equal cosines, summed by Dirichlet's formula.
    fn pulses(rate: u32, f0: f64, secs: f64) -> Vec<f32> {
        let sum = |(phase, count): (f64, usize)| {
            let half = (phase / 2.0).sin();
            let count = count as f64;
            if half.abs() < 1e-9 {
                return 0.5;
            }
            (((count + 0.5) * phase).sin() / half - 1.0) / (4.0 * count)
        };
        let phases = phases(rate, |_| f0, secs).into_iter();
        phases.map(|x| narrow(sum(x))).collect()
    }

    /// A voice-like slope: up to 30 partials, partial `k` of amplitude `1 / k`.
    fn saw(rate: u32, f0: impl Fn(f64) -> f64, secs: f64) -> Vec<f32> {
        let sum = |(phase, count): (f64, usize)| {
            (1..=count.min(30))
                .map(|k| (k as f64 * phase).sin() / k as f64)
                .sum::<f64>()
        };
        let phases = phases(rate, f0, secs).into_iter();
        phases.map(|x| narrow(0.2 * sum(x))).collect()
    }

    /// Frames of a clip that lie inside it.
    fn inside(track: &PitchTrack, config: &PyinConfig) -> Vec<(f64, f64)> {
        let half = config.frame_secs / 2.0 + 0.001;
        let end = track.times_secs.last().unwrap() - half;
        let all = track.times_secs.iter().zip(&track.f0_hz);
        all.filter(|(time, _)| (half..end).contains(*time))
            .map(|(time, f0)| (*time, f64::from(*f0)))
            .collect()
    }

    const F0: [f64; 6] = [55.0, 123.4, 220.0, 391.0, 761.9, 800.0];

    #[test]
    fn steady_tones_are_found_at_every_rate() {
        let config = PyinConfig::default();
        for rate in [8_000, 16_000, 44_100, 48_000] {
            for f0 in F0 {
                let step = std::f64::consts::TAU * f0 / f64::from(rate);
                let sine = |n: u32| narrow((f64::from(n) * step).sin());
                let sine: Vec<f32> = (0..rate / 4).map(sine).collect();
                for samples in [sine, pulses(rate, f0, 0.25)] {
                    let track = pyin(&samples, rate, &config).unwrap();
                    let frames = inside(&track, &config);
                    assert!(frames.len() > 15);
                    // Few periods of few samples: sums over them are not quite band-limited.
                    let tolerance = if rate == 8_000 { 4.0 } else { 0.5 };
                    for (time, hz) in frames {
                        let cents = 1200.0 * (hz / f0).log2();
                        assert!(cents.abs() < tolerance, "{rate} {f0} at {time}: {hz}");
                    }
                }
            }
        }
    }

    #[test]
    fn clear_tones_are_surely_voiced() {
        let track = pyin(&saw(16_000, |_| 172.3, 0.3), 16_000, &PyinConfig::default()).unwrap();
        assert!(track.strength[5..25].iter().all(|p| *p > 0.999));
    }

    #[test]
    fn a_chirp_is_followed() {
        let config = PyinConfig::default();
        let f0 = |t: f64| 150.0 + 100.0 * t;
        for rate in [8_000, 16_000, 48_000] {
            let track = pyin(&saw(rate, f0, 0.6), rate, &config).unwrap();
            for (time, hz) in inside(&track, &config) {
                let cents = 1200.0 * (hz / f0(time)).log2();
                assert!(cents.abs() < 10.0, "{rate} at {time}: {hz}");
            }
        }
    }

    #[test]
    fn clipping_leaves_f0() {
        let config = PyinConfig::default();
        let clean = saw(16_000, |t| 140.0 + 20.0 * t, 0.5);
        let clipped: Vec<f32> = clean.iter().map(|x| (10.0 * x).clamp(-1.0, 1.0)).collect();
        let track = pyin(&clipped, 16_000, &config).unwrap();
        for (time, hz) in inside(&track, &config) {
            assert!(
                (hz / (140.0 + 20.0 * time) - 1.0).abs() < 0.01,
                "{time}: {hz}"
            );
        }
    }

    #[test]
    fn what_has_no_period_is_unvoiced() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            for samples in [vec![0.0; 20_000], vec![0.7; 20_000], noise(20_000, 1)] {
                let track = pyin(&samples, rate, &PyinConfig::default()).unwrap();
                let voiced = track.f0_hz.iter().filter(|f0| **f0 > 0.0).count();
                assert!(voiced <= track.f0_hz.len() / 20, "{rate}: {voiced}");
                let expected = if samples[0] >= 0.0 && samples[0] < f32::MIN_POSITIVE {
                    0.0
                } else {
                    0.011
                };
                assert!(
                    track.strength[5..30].iter().all(|s| *s <= expected),
                    "{rate}"
                );
            }
        }
    }

    #[test]
    fn a_voice_in_a_pause_is_found_where_it_is() {
        let mut samples: Vec<f32> = noise(32_000, 1).iter().map(|x| 0.01 * x).collect();
        for (x, y) in samples[12_800..19_200]
            .iter_mut()
            .zip(saw(16_000, |_| 180.0, 0.4))
        {
            *x += y;
        }
        let track = pyin(&samples, 16_000, &PyinConfig::default()).unwrap();
        let voiced: Vec<usize> = (0..201).filter(|i| track.f0_hz[*i] > 0.0).collect();
        let (first, last) = (voiced[0], voiced[voiced.len() - 1]);
        assert_eq!(voiced.len(), last - first + 1, "one stretch");
        assert!((77..=82).contains(&first), "{first}");
        assert!((118..=123).contains(&last), "{last}");
    }

    #[test]
    fn odd_input_is_defined() {
        let config = PyinConfig::default();
        assert!(pyin(&[], 16_000, &config).unwrap().f0_hz.is_empty());
        for n in [1, 10, 160, 500] {
            let track = pyin(&vec![0.1; n], 16_000, &config).unwrap();
            assert_eq!(track.f0_hz.len(), 1 + n / 160);
            assert!(track.strength.iter().all(|s| (0.0..=1.0).contains(s)));
        }
        assert!(matches!(
            pyin(&[0.0, f32::NAN], 16_000, &config),
            Err(DspError::NonFinite { index: 1 })
        ));
        assert!(pyin(&[0.0, 2e9], 16_000, &config).is_err());
        let loud: Vec<f32> = noise(4_000, 1)
            .iter()
            .map(|x| x * crate::MAX_SAMPLE)
            .collect();
        let track = pyin(&loud, 16_000, &config).unwrap();
        assert!(track.strength.iter().all(|s| (0.0..=1.0).contains(s)));
    }

    #[test]
    fn bad_settings_are_named() {
        let config = PyinConfig::default();
        let bad = [
            (
                "fmin",
                PyinConfig {
                    fmin: f64::NAN,
                    ..config
                },
            ),
            (
                "fmax",
                PyinConfig {
                    fmax: 50.0,
                    ..config
                },
            ),
            (
                "fmax",
                PyinConfig {
                    fmax: 4_001.0,
                    ..config
                },
            ),
            (
                "frame_secs",
                PyinConfig {
                    frame_secs: 0.036,
                    ..config
                },
            ),
            (
                "time_step_secs",
                PyinConfig {
                    time_step_secs: 0.0,
                    ..config
                },
            ),
            (
                "n_thresholds",
                PyinConfig {
                    n_thresholds: 0,
                    ..config
                },
            ),
            (
                "beta",
                PyinConfig {
                    beta: (2.0, 0.5),
                    ..config
                },
            ),
            (
                "boltzmann",
                PyinConfig {
                    boltzmann: -1.0,
                    ..config
                },
            ),
            (
                "resolution_semitones",
                PyinConfig {
                    resolution_semitones: 0.0,
                    ..config
                },
            ),
            (
                "max_transition_rate",
                PyinConfig {
                    max_transition_rate: f64::NAN,
                    ..config
                },
            ),
            (
                "switch_prob",
                PyinConfig {
                    switch_prob: 0.0,
                    ..config
                },
            ),
            (
                "no_trough_prob",
                PyinConfig {
                    no_trough_prob: 1.1,
                    ..config
                },
            ),
        ];
        for (expected, config) in bad {
            match pyin(&[0.0; 100], 16_000, &config) {
                Err(DspError::Parameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
        assert!(pyin(&[0.0; 100], 0, &config).is_err());
        assert!(
            decode(
                &[],
                16_000,
                &PyinConfig {
                    fmin: 0.0,
                    ..config
                }
            )
            .is_err()
        );
    }

    #[test]
    fn frames_made_by_hand_are_decoded_whatever_they_hold() {
        let frame = |hz: f64, probability: f64| PyinFrame {
            candidates: vec![PyinCandidate { hz, probability }; 3],
        };
        let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 200.0];
        let frames: Vec<PyinFrame> = odd
            .iter()
            .flat_map(|hz| odd.map(|probability| frame(*hz, probability)))
            .collect();
        let track = decode(&frames, 16_000, &PyinConfig::default()).unwrap();
        assert_eq!(track.f0_hz.len(), 25);
        assert!(track.f0_hz.iter().all(|f0| (0.0..881.0).contains(f0)));
    }

    #[test]
    fn gain_changes_nothing() {
        let samples = saw(16_000, |t| 150.0 + 40.0 * (9.0 * t).sin(), 0.5);
        let quiet: Vec<f32> = samples.iter().map(|x| x / 1024.0).collect();
        let config = PyinConfig::default();
        assert_eq!(
            pyin(&samples, 16_000, &config).unwrap(),
            pyin(&quiet, 16_000, &config).unwrap()
        );
    }

    #[test]
    fn a_frame_is_centred_and_zeros_stand_beyond_the_ends() {
        let config = PyinConfig::default();
        let samples = saw(16_000, |_| 210.0, 0.2);
        let padded: Vec<f32> = [vec![0.0; 1600], samples.clone(), vec![0.0; 1600]].concat();
        let (alone, within) = (
            pyin(&samples, 16_000, &config).unwrap(),
            pyin(&padded, 16_000, &config).unwrap(),
        );
        assert_eq!(alone.strength, within.strength[10..31]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]

        #[test]
        fn candidates_of_any_chunks_are_decoded_alike(
            seed in 0_usize..1000,
            n in 0_usize..2000,
            lengths in proptest::collection::vec(0_usize..700, 1..6),
            time_step_secs in 0.002_f64..0.1,
        ) {
            let config = PyinConfig { time_step_secs, ..PyinConfig::default() };
            let samples: Vec<f32> = saw(8_000, |_| 190.0, 0.4)[..n]
                .iter()
                .zip(&noise(seed + n, 1)[seed..])
                .map(|(x, y)| x + 0.1 * y)
                .collect();
            let batch = pyin(&samples, 8_000, &config).unwrap();
            let mut stream = PyinCandidateStream::new(8_000, &config).unwrap();
            for _ in 0..2 {
                let mut frames = Vec::new();
                for chunk in crate::power_stream::tests::chunked(&samples, &lengths) {
                    stream.push(chunk, |frame| frames.push(frame.clone())).unwrap();
                }
                stream.finish(|frame| frames.push(frame.clone()));
                proptest::prop_assert_eq!(&decode(&frames, 8_000, &config).unwrap(), &batch);
            }
        }
    }
}
