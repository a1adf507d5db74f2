//! f0 while samples come, and the path through the candidates that gives it.

use std::collections::VecDeque;

use super::candidates::{PyinCandidateStream, PyinFrame};
use super::voicing_path::{Observation, VoicingPath, VoicingStream};
use crate::error::DspError;
use crate::pitch::PitchFrame;
use crate::pyin::PyinConfig;
use crate::{floor_index, narrow};

/// [`pyin`](super::pyin()) for a signal that comes in chunks: the same frames, whatever the chunks.
///
/// A frame needs the samples up to [`look_ahead_secs`](Self::look_ahead_secs) behind its centre. Then it waits until it is certain, that
/// is, until the likeliest paths to all states of the newest frame agree in it and in all frames before it: on one voiced bin, or that it
/// is unvoiced. The same f0 and strength come out as of the whole clip, bit for bit. Silence is certain at once and a steady voice
/// within a few frames; its beginning and noise take longer, on speech up to a second or two (`docs/voice.md`), and nothing
/// rules out that two paths go on side by side until the next clear voice. [`within`](Self::within) sets a bound, at the price
/// of exactness.
///
/// Silence, a constant, and no samples as in [`pyin`](super::pyin()). Samples are kept for a few frames, and about 1 kB for each frame
/// that waits.
///
/// ```
/// use vocalics_dsp::pyin::{PyinConfig, PyinStream};
///
/// let mut stream = PyinStream::new(16_000, &PyinConfig::default())?;
/// let tone: Vec<f32> = (0..8_000u16).map(|n| (f32::from(n) * 0.0864).sin()).collect();
/// let mut f0 = Vec::new();
/// for chunk in tone.chunks(160) {
///     stream.push(chunk, |frame| f0.push(frame.f0_hz))?;
/// }
/// stream.finish(|frame| f0.push(frame.f0_hz));
/// assert_eq!(f0.len(), 51);
/// assert!((f0[25] - 220.0).abs() < 0.2);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
///
/// Source: as [`pyin`](super::pyin()); the certain part of a path after R. Šrámek, B. Brejová, T. Vinař, *On-line Viterbi Algorithm for
/// Analysis of Long Biological Sequences*, WABI 2007.
#[derive(Debug, Clone)]
pub struct PyinStream {
    candidates: PyinCandidateStream,
    decoder: Decoder,
    /// Most frames that wait for a decision.
    longest: Option<usize>,
}

impl PyinStream {
    /// A stream before its first sample.
    ///
    /// # Errors
    /// [`DspError::Parameter`] as [`PyinConfig::validate`].
    pub fn new(sample_rate: u32, config: &PyinConfig) -> Result<Self, DspError> {
        Ok(Self {
            candidates: PyinCandidateStream::new(sample_rate, config)?,
            decoder: Decoder::new(sample_rate, config)?,
            longest: None,
        })
    }

    /// Decides a frame at the latest when `secs` of frames behind it are known, by what is likeliest by then; 0 decides each at once.
    #[must_use]
    pub fn within(mut self, secs: f64) -> Self {
        self.longest = Some(floor_index(
            (secs / self.decoder.undecided.hop_secs).max(0.0),
        ));
        self
    }

    /// Seconds of samples behind its centre that a frame needs before anything is known of it: half a frame.
    #[must_use]
    pub fn look_ahead_secs(&self) -> f64 {
        self.candidates.look_ahead_secs()
    }

    /// Takes a chunk of any length and gives the frames that are certain now.
    ///
    /// # Errors
    /// [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample, its index that in the chunk; nothing of the chunk is taken in.
    pub fn push(
        &mut self,
        samples: &[f32],
        mut each: impl FnMut(PitchFrame),
    ) -> Result<(), DspError> {
        let (decoder, longest) = (&mut self.decoder, self.longest);
        self.candidates.push(samples, |frame| {
            decoder.add(frame);
            decoder.release(longest, &mut each);
        })
    }

    /// Ends the stream: the frames that reach beyond its last sample, and all that wait. The stream starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(PitchFrame)) {
        let (decoder, longest) = (&mut self.decoder, self.longest);
        self.candidates.finish(|frame| {
            decoder.add(frame);
            decoder.release(longest, &mut each);
        });
        self.decoder.finish(each);
    }
}

/// From candidates to f0, frame by frame.
#[derive(Debug, Clone)]
pub(super) struct Decoder {
    config: PyinConfig,
    n_bins: usize,
    path: VoicingStream,
    undecided: Undecided,
}

/// Frames without a decision.
#[derive(Debug, Clone)]
struct Undecided {
    hop_secs: f64,
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    n_decided: usize,
}

/// What is known of a frame before it is decided.
#[derive(Debug, Clone)]
struct Waiting {
    strength: f32,
    /// f0 of each voiced state, in hertz.
    f0_hz: Vec<f32>,
}

impl Undecided {
    /// Gives the oldest frame, whose path goes through the voiced state at `place`, or through an unvoiced one.
    fn give(&mut self, place: Option<usize>, each: &mut impl FnMut(PitchFrame)) {
        if let Some(frame) = self.waiting.pop_front() {
            let f0_hz = place.and_then(|place| frame.f0_hz.get(place));
            each(PitchFrame {
                time_secs: self.n_decided as f64 * self.hop_secs,
                f0_hz: f0_hz.copied().unwrap_or(0.0),
                strength: frame.strength,
            });
            self.n_decided += 1;
        }
    }
}

impl Decoder {
    /// # Errors
    /// [`DspError::Parameter`] as [`PyinConfig::validate`].
    pub(super) fn new(sample_rate: u32, config: &PyinConfig) -> Result<Self, DspError> {
        config.validate(sample_rate)?;
        let rate = f64::from(sample_rate);
        let hop_secs = config.hop_length(rate) as f64 / rate;
        let n_bins = config.n_bins();
        let per_frame = config.max_transition_rate * 12.0 / config.resolution_semitones * hop_secs;
        let model = VoicingPath::new(n_bins, floor_index(per_frame.round()), config.switch_prob);
        Ok(Self {
            config: *config,
            n_bins,
            path: VoicingStream::new(model),
            undecided: Undecided {
                hop_secs,
                waiting: VecDeque::new(),
                n_decided: 0,
            },
        })
    }

    /// Adds a frame without asking what is certain.
    pub(super) fn add(&mut self, frame: &PyinFrame) {
        let (observation, f0_hz) = observe(frame, &self.config, self.n_bins);
        self.path.add(&observation);
        self.undecided.waiting.push_back(Waiting {
            strength: narrow(frame.voiced_probability()),
            f0_hz,
        });
    }

    /// Gives the frames that are certain now and, with `longest`, all but that many.
    fn release(&mut self, longest: Option<usize>, each: &mut impl FnMut(PitchFrame)) {
        let undecided = &mut self.undecided;
        self.path
            .release(longest, |place| undecided.give(place, each));
    }

    /// Gives all frames that wait. The path starts afresh.
    pub(super) fn finish(&mut self, mut each: impl FnMut(PitchFrame)) {
        let undecided = &mut self.undecided;
        self.path.finish(|place| undecided.give(place, &mut each));
        undecided.n_decided = 0;
    }
}

/// Least probability of all unvoiced states together, so that there is always a path.
const LEAST_UNVOICED: f64 = 1e-9;

/// What a frame says about the states, and f0 of each voiced one: that of the likeliest candidate in its bin.
fn observe(frame: &PyinFrame, config: &PyinConfig, n_bins: usize) -> (Observation, Vec<f32>) {
    let mut inside: Vec<(usize, f64, f64)> = frame
        .candidates
        .iter()
        .filter_map(|c| Some((config.bin(c.hz)?, c.probability, c.hz)))
        .collect();
    inside.sort_by_key(|(bin, ..)| *bin);
    let bins = inside.chunk_by(|a, b| a.0 == b.0);
    let (voiced, f0_hz) = bins
        .map(|bin| {
            let sum: f64 = bin.iter().map(|(_, probability, _)| probability).sum();
            let likeliest = bin.iter().max_by(|a, b| a.1.total_cmp(&b.1));
            let hz = likeliest.map_or(0.0, |(.., hz)| *hz);
            ((bin[0].0, sum), narrow(hz))
        })
        .unzip();
    let rest = (1.0 - frame.voiced_probability()).max(LEAST_UNVOICED);
    let observation = Observation {
        voiced,
        unvoiced: rest / n_bins as f64,
    };
    (observation, f0_hz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pitch::PitchTrack;
    use crate::power_stream::tests::chunked;
    use crate::pyin::pyin;
    use crate::test_signal::{any_samples, noise, speech};

    fn streamed(stream: &mut PyinStream, samples: &[f32], lengths: &[usize]) -> PitchTrack {
        let mut track = PitchTrack::default();
        for chunk in chunked(samples, lengths) {
            stream.push(chunk, |frame| track.push(frame)).unwrap();
        }
        stream.finish(|frame| track.push(frame));
        track
    }

    /// What comes of a signal in chunks of 10 ms at 16 kHz, and how many seconds after its centre each frame came.
    fn timed(mut stream: PyinStream, samples: &[f32]) -> (PitchTrack, Vec<f64>) {
        let (mut track, mut delays) = (PitchTrack::default(), Vec::new());
        for (n, chunk) in samples.chunks(160).enumerate() {
            let now = (n + 1) as f64 * 0.01;
            let each = |frame: PitchFrame| {
                delays.push(now - frame.time_secs);
                track.push(frame);
            };
            stream.push(chunk, each).unwrap();
        }
        stream.finish(|frame| track.push(frame));
        (track, delays)
    }

    #[test]
    fn a_path_is_certain_soon_and_that_of_the_whole() {
        let samples = speech(16_000, 3.0);
        let config = PyinConfig::default();
        let stream = PyinStream::new(16_000, &config).unwrap();
        assert!(stream.look_ahead_secs() < 0.0235);
        let (track, delays) = timed(stream, &samples);
        assert_eq!(track, pyin(&samples, 16_000, &config).unwrap());
        assert_eq!(track.f0_hz.len(), 301);
        let longest = delays.iter().copied().fold(0.0, f64::max);
        assert!(longest < 0.6, "{longest} s behind");
    }

    #[test]
    fn silence_is_certain_at_once_and_a_steady_voice_soon() {
        let config = PyinConfig::default();
        let stream = PyinStream::new(16_000, &config).unwrap();
        let at_once = stream.look_ahead_secs() + 0.0101;
        let (track, delays) = timed(stream.clone(), &[0.0; 16_000]);
        assert!(track.f0_hz.iter().all(|f0| *f0 <= 0.0));
        assert!(delays.len() > 95 && delays.iter().all(|delay| *delay < at_once));
        let tone: Vec<f32> = (0..16_000_u16)
            .map(|n| (f32::from(n) * 0.0864).sin())
            .collect();
        let (track, delays) = timed(stream, &tone);
        assert!(track.f0_hz[3..97].iter().all(|f0| (f0 - 220.0).abs() < 0.2));
        assert!(delays[0] < 0.45, "{delays:?}");
        // Once it goes on.
        let longest = delays[40..].iter().copied().fold(0.0, f64::max);
        assert!(longest < at_once + 0.07, "{longest}");
    }

    #[test]
    fn a_bound_is_kept_and_costs_few_frames() {
        let samples = speech(16_000, 3.0);
        let stream = PyinStream::new(16_000, &PyinConfig::default()).unwrap();
        let (free, _) = timed(stream.clone(), &samples);
        for bound in [0.0, 0.05] {
            let stream = stream.clone().within(bound);
            let most = stream.look_ahead_secs() + bound + 0.0101;
            let (track, delays) = timed(stream, &samples);
            assert!(delays.iter().all(|delay| *delay < most), "{bound}");
            assert_eq!(track.times_secs, free.times_secs);
            let pairs = track.f0_hz.iter().zip(&free.f0_hz);
            let other = pairs.filter(|(a, b)| (*a - *b).abs() > 0.0).count();
            assert!(other * 8 < free.f0_hz.len(), "{bound}: {other}");
        }
    }

    #[test]
    fn noise_keeps_frames_waiting_and_is_that_of_the_whole() {
        let samples = noise(32_000, 7);
        let config = PyinConfig::default();
        let (track, delays) = timed(PyinStream::new(16_000, &config).unwrap(), &samples);
        assert_eq!(track, pyin(&samples, 16_000, &config).unwrap());
        assert!(delays.iter().any(|delay| *delay > 0.1));
    }

    #[test]
    fn a_bad_chunk_is_not_taken_in() {
        let samples = speech(8_000, 0.5);
        let mut stream = PyinStream::new(8_000, &PyinConfig::default()).unwrap();
        let mut track = PitchTrack::default();
        let mut add = |frame: PitchFrame| track.push(frame);
        stream.push(&samples[..1_000], &mut add).unwrap();
        for bad in [f32::NAN, f32::INFINITY, 2e9] {
            let error = stream.push(&[0.0, bad], &mut add).unwrap_err();
            assert!(error.to_string().starts_with("sample 1 "), "{error}");
        }
        stream.push(&samples[1_000..], &mut add).unwrap();
        stream.finish(add);
        assert_eq!(track, streamed(&mut stream, &samples, &[4_000]));
        let bad = PyinConfig {
            fmax: 10.0,
            ..PyinConfig::default()
        };
        assert!(PyinStream::new(8_000, &bad).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn any_chunks_give_what_the_whole_gives(
            any in any_samples(0..3000),
            rate in proptest::sample::select(vec![8_000_u32, 11_025, 16_000, 44_100, 48_000]),
            from in 0_usize..4000,
            lengths in proptest::collection::vec(0..900_usize, 1..8),
            time_step_secs in 0.002..0.02,
            no_trough_prob in 0.0..1.0,
            bound_secs in 0.0..0.1,
        ) {
            let config = PyinConfig { time_step_secs, no_trough_prob, ..PyinConfig::default() };
            let voice = speech(rate, 1.0);
            let mixed: Vec<f32> = voice[from..].iter().zip(&any).map(|(x, y)| x + 0.02 * y.clamp(-1.0, 1.0)).collect();
            let clipped: Vec<f32> = voice[from..from + 2000].iter().map(|x| (20.0 * x).clamp(-1.0, 1.0)).collect();
            for samples in [any, mixed, clipped] {
                let whole = pyin(&samples, rate, &config).unwrap();
                let mut stream = PyinStream::new(rate, &config).unwrap();
                // Finished, it is new.
                for _ in 0..2 {
                    proptest::prop_assert_eq!(&streamed(&mut stream, &samples, &lengths), &whole);
                }
                let bounded = streamed(&mut stream.within(bound_secs), &samples, &lengths);
                proptest::prop_assert_eq!(&bounded.times_secs, &whole.times_secs);
                proptest::prop_assert_eq!(&bounded.strength, &whole.strength);
                let usual = |f0: &f32| *f0 >= 0.0 && *f0 < 900.0;
                proptest::prop_assert!(bounded.f0_hz.iter().all(usual));
            }
        }
    }
}
