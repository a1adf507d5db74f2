//! f0 while samples come.

use std::collections::VecDeque;

use super::PitchConfig;
use super::candidates::{Candidate, Finder};
use super::track::{Costs, octaves, value};
use crate::check_samples;
use crate::error::DspError;
use crate::path::PathStream;

/// One frame of a [`PitchStream`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PitchFrame {
    /// Centre in seconds.
    pub time_secs: f64,
    /// f0 in hertz; 0 where unvoiced.
    pub f0_hz: f32,
    /// As [`PitchTrack::strength`](super::PitchTrack::strength).
    pub strength: f32,
}

/// [`pitch_at`](super::pitch_at()) for a signal that comes in chunks, with frames from 0 s on for as long as there are samples.
///
/// A frame needs the samples up to [`look_ahead_secs`](Self::look_ahead_secs) behind its centre. Then it waits until the path through
/// it is certain, that is, until the best paths to all candidates of the newest frame lead through one of its own: the
/// same path comes out as of the whole clip, sample for sample, whatever the chunks. On speech that is mostly at the next
/// silence or strong period; [`within`](Self::within) bounds it, at the price of exactness.
///
/// ```
/// use vocalics_dsp::pitch::{PitchConfig, PitchStream};
///
/// let config = PitchConfig { reference_peak: Some(1.0), ..PitchConfig::default() };
/// let mut stream = PitchStream::new(16_000, &config)?;
/// let tone: Vec<f32> = (0..8_000u16).map(|n| (f32::from(n) * 0.0864).sin()).collect();
/// let mut f0 = Vec::new();
/// for chunk in tone.chunks(160) {
///     stream.push(chunk, |frame| f0.push(frame.f0_hz))?;
/// }
/// stream.finish(|frame| f0.push(frame.f0_hz));
/// assert_eq!(f0.len(), 51);
/// assert!((f0[25] - 220.0).abs() < 0.1);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
///
/// Source: as [`pitch`](super::pitch()); the certain part of a path after R. Šrámek, B. Brejová, T. Vinař, *On-line Viterbi Algorithm for
/// Analysis of Long Biological Sequences*, WABI 2007.
#[derive(Debug)]
pub struct PitchStream {
    config: PitchConfig,
    finder: Finder,
    costs: Costs,
    path: PathStream,
    /// Most frames that wait for a decision.
    longest: Option<usize>,
    buffer: Vec<f32>,
    /// Samples that were dropped before the buffer.
    dropped: usize,
    /// Frames whose candidates were found.
    n_frames: usize,
    /// Frames without a decision, oldest first, with their times.
    waiting: VecDeque<(f64, Vec<Candidate>)>,
    /// Of the newest frame.
    octaves: Vec<Option<f64>>,
}

impl PitchStream {
    /// A stream before its first sample.
    ///
    /// # Errors
    /// [`DspError::Parameter`] as [`PitchConfig::validate`], and without a
    /// [`reference_peak`](PitchConfig::reference_peak): the clip's own is not known before its end.
    pub fn new(sample_rate: u32, config: &PitchConfig) -> Result<Self, DspError> {
        config.validate(sample_rate)?;
        let Some(peak) = config.reference_peak else {
            return Err(DspError::parameter(
                "reference_peak",
                "a peak, 1 for full scale, since that of the clip is not known before its end",
                "none",
            ));
        };
        Ok(Self {
            config: *config,
            finder: Finder::new(sample_rate, config, peak),
            costs: Costs::new(config),
            path: PathStream::default(),
            longest: None,
            buffer: Vec::new(),
            dropped: 0,
            n_frames: 0,
            waiting: VecDeque::new(),
            octaves: Vec::new(),
        })
    }

    /// Decides a frame at the latest when `secs` of frames behind it are known, by what is best by then; 0 decides each at once.
    #[must_use]
    pub fn within(mut self, secs: f64) -> Self {
        self.longest = Some(crate::floor_index(
            (secs / self.config.time_step_secs).max(0.0),
        ));
        self
    }

    /// Seconds of samples behind its centre that a frame needs before anything is known of it.
    #[must_use]
    pub fn look_ahead_secs(&self) -> f64 {
        self.finder.secs(self.finder.reach() + 1)
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
        check_samples(samples)?;
        self.buffer.extend_from_slice(samples);
        let known = self.dropped + self.buffer.len();
        while self.left() + 1 + self.finder.reach() <= known {
            self.frame(&mut each);
        }
        let kept = (self.left() + 1).saturating_sub(self.finder.reach());
        let surplus = kept.saturating_sub(self.dropped).min(self.buffer.len());
        self.buffer.drain(..surplus);
        self.dropped += surplus;
        Ok(())
    }

    /// Ends the stream: all frames whose centres lie within the signal. The stream starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(PitchFrame)) {
        let known = self.dropped + self.buffer.len();
        while known > 0 && self.time_secs() <= self.finder.secs(known) {
            self.frame(&mut each);
        }
        let waiting = &mut self.waiting;
        self.path.finish(|chosen| emit(waiting, chosen, &mut each));
        self.buffer.clear();
        self.dropped = 0;
        self.n_frames = 0;
        self.octaves.clear();
    }

    /// Centre of the next frame.
    fn time_secs(&self) -> f64 {
        self.n_frames as f64 * self.config.time_step_secs
    }

    /// The sample just before it.
    fn left(&self) -> usize {
        self.finder.left(self.time_secs())
    }

    /// Finds the next frame's candidates and decides what can be decided.
    fn frame(&mut self, each: &mut impl FnMut(PitchFrame)) {
        // Nothing before the buffer lies within the reach of a frame.
        let left = self.left() - self.dropped;
        let found = self.finder.find(&self.buffer, left);
        let before = std::mem::replace(&mut self.octaves, octaves(&found));
        let (costs, octaves) = (&self.costs, &self.octaves);
        let worth: Vec<f64> = found
            .iter()
            .zip(octaves)
            .map(|(candidate, octave)| costs.worth(candidate, *octave))
            .collect();
        self.waiting.push_back((self.time_secs(), found));
        self.n_frames += 1;
        let waiting = &mut self.waiting;
        self.path.push(
            worth.len(),
            |c| worth[c],
            |a, b| costs.step(before[a], octaves[b]),
            self.longest,
            |chosen| emit(waiting, chosen, each),
        );
    }
}

fn emit(
    waiting: &mut VecDeque<(f64, Vec<Candidate>)>,
    chosen: usize,
    each: &mut impl FnMut(PitchFrame),
) {
    if let Some((time_secs, frame)) = waiting.pop_front() {
        let (f0_hz, strength) = value(&frame, chosen);
        each(PitchFrame {
            time_secs,
            f0_hz,
            strength,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pitch::pitch_at;
    use crate::test_signal::{any_rate, any_samples, speech};

    fn config() -> PitchConfig {
        PitchConfig {
            reference_peak: Some(0.3),
            ..PitchConfig::default()
        }
    }

    fn streamed(
        mut stream: PitchStream,
        samples: &[f32],
        chunks: impl Fn(usize) -> usize,
    ) -> Vec<PitchFrame> {
        let mut frames = Vec::new();
        let (mut at, mut n) = (0, 0);
        while at < samples.len() {
            let end = (at + chunks(n).max(1)).min(samples.len());
            stream
                .push(&samples[at..end], |frame| frames.push(frame))
                .unwrap();
            (at, n) = (end, n + 1);
        }
        stream.finish(|frame| frames.push(frame));
        frames
    }

    #[test]
    fn a_path_is_certain_soon_and_that_of_the_whole() {
        let samples = speech(16_000, 3.0);
        let mut stream = PitchStream::new(16_000, &config()).unwrap();
        let (mut frames, mut longest) = (Vec::new(), 0.0_f64);
        for (n, chunk) in samples.chunks(160).enumerate() {
            let before = frames.len();
            stream.push(chunk, |frame| frames.push(frame)).unwrap();
            let now = (n + 1) as f64 * 0.01;
            for frame in &frames[before..] {
                longest = longest.max(now - frame.time_secs);
            }
        }
        assert!(longest < 0.6, "{longest} s behind");
        assert!(stream.look_ahead_secs() < 0.021);
        stream.finish(|frame| frames.push(frame));
        let track = pitch_at(&samples, 16_000, &config(), 0.0, frames.len()).unwrap();
        let f0: Vec<f32> = frames.iter().map(|frame| frame.f0_hz).collect();
        let strength: Vec<f32> = frames.iter().map(|frame| frame.strength).collect();
        assert_eq!((f0, strength), (track.f0_hz, track.strength));
        assert_eq!(frames.len(), 301);
    }

    #[test]
    fn a_bound_is_kept_and_costs_few_frames() {
        let samples = speech(16_000, 3.0);
        let free = streamed(
            PitchStream::new(16_000, &config()).unwrap(),
            &samples,
            |_| 160,
        );
        let mut stream = PitchStream::new(16_000, &config()).unwrap().within(0.05);
        let mut frames = Vec::new();
        for (n, chunk) in samples.chunks(160).enumerate() {
            stream.push(chunk, |frame| frames.push(frame)).unwrap();
            let now = (n + 1) as f64 * 0.01;
            if let Some(last) = frames.last() {
                assert!(now - last.time_secs < 0.05 + 0.01 + 0.021, "{now}");
            }
        }
        stream.finish(|frame| frames.push(frame));
        assert_eq!(frames.len(), free.len());
        let other = frames.iter().zip(&free).filter(|(a, b)| a != b).count();
        assert!(other * 20 < free.len(), "{other} of {}", free.len());
    }

    #[test]
    fn a_peak_is_needed_and_a_bad_chunk_not_taken_in() {
        let error = PitchStream::new(16_000, &PitchConfig::default())
            .err()
            .unwrap();
        assert!(error.to_string().contains("reference_peak"), "{error}");
        for peak in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let config = PitchConfig {
                reference_peak: Some(peak),
                ..PitchConfig::default()
            };
            assert!(PitchStream::new(16_000, &config).is_err(), "{peak}");
        }
        let samples = speech(16_000, 3.0);
        let mut stream = PitchStream::new(16_000, &config()).unwrap();
        let mut frames = Vec::new();
        stream
            .push(&samples[..9_000], |frame| frames.push(frame))
            .unwrap();
        let bad = stream.push(&[0.0, f32::NAN], |frame| frames.push(frame));
        assert!(matches!(bad, Err(DspError::NonFinite { index: 1 })));
        stream
            .push(&samples[9_000..], |frame| frames.push(frame))
            .unwrap();
        stream.finish(|frame| frames.push(frame));
        let whole = streamed(
            PitchStream::new(16_000, &config()).unwrap(),
            &samples,
            |_| 50_000,
        );
        assert_eq!(frames, whole);
        // Finished, it is new.
        assert_eq!(streamed(stream, &samples, |_| 777), whole);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn any_chunks_give_what_the_whole_gives(
            samples in any_samples(0..6000),
            rate in any_rate(),
            sizes in proptest::collection::vec(1..900_usize, 1..8),
        ) {
            let nyquist = f64::from(rate) / 2.0;
            let floor_hz = (nyquist / 16.0).clamp(10.0, 75.0);
            let config = PitchConfig {
                floor_hz,
                ceiling_hz: (8.0 * floor_hz).min(nyquist),
                ..config()
            };
            let stream = PitchStream::new(rate, &config).unwrap();
            let frames = streamed(stream, &samples, |n| sizes[n % sizes.len()]);
            let track = pitch_at(&samples, rate, &config, 0.0, frames.len()).unwrap();
            let f0: Vec<f32> = frames.iter().map(|frame| frame.f0_hz).collect();
            let strength: Vec<f32> = frames.iter().map(|frame| frame.strength).collect();
            proptest::prop_assert_eq!((f0, strength), (track.f0_hz, track.strength));
            let times: Vec<f64> = frames.iter().map(|frame| frame.time_secs).collect();
            proptest::prop_assert_eq!(times, track.times_secs);
        }
    }
}
