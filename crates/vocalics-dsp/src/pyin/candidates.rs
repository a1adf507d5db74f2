//! Candidates for the period of a frame, and how likely each is.

use super::difference::Difference;
use super::threshold::{Thresholds, Trough};
use crate::error::DspError;
use crate::frame::frame_count;
use crate::interpolate::{SINC_DEPTH, parabola, sinc_peak};
use crate::pyin::PyinConfig;
use crate::{check_samples, floor_index};

/// A period that a frame may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PyinCandidate {
    /// Its f0 in hertz.
    pub hz: f64,
    /// Its probability, above 0.
    pub probability: f64,
}

/// What YIN finds in one frame, over the distribution of its threshold.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PyinFrame {
    /// Candidates by falling f0; none in silence.
    pub candidates: Vec<PyinCandidate>,
}

impl PyinFrame {
    /// Probability that the frame is voiced: the sum over its candidates, 0 to 1.
    #[must_use]
    pub fn voiced_probability(&self) -> f64 {
        let sum: f64 = self.candidates.iter().map(|c| c.probability).sum();
        sum.min(1.0)
    }
}

/// Troughs below this are looked at between the samples: pulses whose period ends half-way between two
/// come down to 0.36 only. Few troughs of noise come so far.
const REFINED: f64 = 0.7;

/// Candidates of [`pyin`](crate::pyin::pyin), chunk by chunk: the same for any chunking. [`PyinStream`](crate::pyin::PyinStream) chooses
/// among them as well.
///
/// A frame is given out as soon as its last sample has arrived, half a frame after its centre. Memory
/// stays within a few frames.
///
/// ```
/// use vocalics_dsp::pyin::{PyinConfig, PyinCandidateStream, decode};
///
/// let config = PyinConfig::default();
/// let mut stream = PyinCandidateStream::new(16_000, &config)?;
/// let mut frames = Vec::new();
/// for chunk in [[0.0; 1600], [0.1; 1600]] {
///     stream.push(&chunk, |frame| frames.push(frame.clone()))?;
/// }
/// stream.finish(|frame| frames.push(frame.clone()));
/// assert_eq!(decode(&frames, 16_000, &config)?.f0_hz.len(), 21);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
#[derive(Debug, Clone)]
pub struct PyinCandidateStream {
    config: PyinConfig,
    rate: f64,
    frame_length: usize,
    hop_length: usize,
    difference: Difference,
    thresholds: Thresholds,
    troughs: Vec<Trough>,
    frame: PyinFrame,
    /// The newest samples, after half a frame of zeros; the first of them is number `dropped`.
    buffer: Vec<f32>,
    dropped: usize,
    next_frame: usize,
    n_samples: usize,
}

impl PyinCandidateStream {
    /// Plans the transforms.
    ///
    /// # Errors
    /// [`DspError::Parameter`] as [`PyinConfig::validate`].
    pub fn new(sample_rate: u32, config: &PyinConfig) -> Result<Self, DspError> {
        config.validate(sample_rate)?;
        let rate = f64::from(sample_rate);
        let frame_length = config.frame_length(rate);
        // The lowest bin reaches half a bin below fmin, and a trough needs a neighbour.
        let lowest = config.fmin * (-config.resolution_semitones / 24.0).exp2();
        let n_lags = (floor_index(rate / lowest) + 3 + SINC_DEPTH).min(frame_length);
        Ok(Self {
            config: *config,
            rate,
            frame_length,
            hop_length: config.hop_length(rate),
            difference: Difference::new(frame_length, n_lags),
            thresholds: Thresholds::new(
                config.n_thresholds,
                config.beta,
                config.boltzmann,
                config.no_trough_prob,
            ),
            troughs: Vec::new(),
            frame: PyinFrame::default(),
            buffer: vec![0.0; frame_length / 2],
            dropped: 0,
            next_frame: 0,
            n_samples: 0,
        })
    }

    /// Seconds of samples behind its centre that a frame needs.
    #[must_use]
    pub fn look_ahead_secs(&self) -> f64 {
        (self.frame_length / 2) as f64 / self.rate
    }

    /// Takes samples in and calls `each` with every frame they complete.
    ///
    /// # Errors
    /// As [`check_samples`], the index counted within this chunk; the chunk is then not taken in.
    pub fn push(&mut self, samples: &[f32], each: impl FnMut(&PyinFrame)) -> Result<(), DspError> {
        check_samples(samples)?;
        self.buffer.extend_from_slice(samples);
        self.n_samples += samples.len();
        let total = self.dropped + self.buffer.len();
        let complete = total
            .checked_sub(self.frame_length)
            .map_or(0, |room| 1 + room / self.hop_length);
        self.emit(complete, each);
        let surplus = (self.next_frame * self.hop_length)
            .saturating_sub(self.dropped)
            .min(self.buffer.len());
        self.buffer.drain(..surplus);
        self.dropped += surplus;
        Ok(())
    }

    /// Ends the stream: the frames that reach beyond its last sample. The stream starts afresh.
    pub fn finish(&mut self, each: impl FnMut(&PyinFrame)) {
        let half = self.frame_length / 2;
        let n_frames = frame_count(self.n_samples, self.frame_length, self.hop_length, true);
        self.buffer.resize(self.buffer.len() + half, 0.0);
        self.emit(n_frames, each);
        self.buffer.clear();
        self.buffer.resize(half, 0.0);
        self.dropped = 0;
        self.next_frame = 0;
        self.n_samples = 0;
    }

    fn emit(&mut self, end: usize, mut each: impl FnMut(&PyinFrame)) {
        while self.next_frame < end {
            let start = self.next_frame * self.hop_length - self.dropped;
            self.difference
                .compute(&self.buffer[start..start + self.frame_length]);
            self.analyse();
            each(&self.frame);
            self.next_frame += 1;
        }
    }

    /// Candidates from the difference functions.
    fn analyse(&mut self) {
        let Difference {
            likeness,
            normalised,
            ..
        } = &self.difference;
        self.troughs.clear();
        let shortest = floor_index(self.rate / self.config.fmax)
            .saturating_sub(1)
            .max(2);
        for (lag, d) in (shortest..).zip(normalised[shortest - 1..].windows(3)) {
            if !(d[1] < d[0] && d[1] <= d[2]) {
                continue;
            }
            let (mut offset, depth) = parabola(-d[0], -d[1], -d[2]);
            let mut depth = -depth;
            let (left, here, right) = (likeness[lag - 1], likeness[lag], likeness[lag + 1]);
            // A slope of d can hide a trough of d'; then the period is where d' has it.
            if here > left && here >= right {
                (offset, _) = parabola(left, here, right);
                if d[1] < REFINED && here < 0.0 {
                    let (position, height) = sinc_peak(likeness, lag);
                    offset = position - lag as f64;
                    depth = (height / here * d[1]).max(0.0);
                }
            }
            let hz = self.rate / (lag as f64 + offset);
            if self.config.bin(hz).is_some() {
                self.troughs.push(Trough {
                    hz,
                    depth,
                    probability: 0.0,
                });
            }
        }
        self.thresholds.share(&mut self.troughs);
        let possible = self
            .troughs
            .iter()
            .filter(|trough| trough.probability > 0.0);
        self.frame.candidates.clear();
        self.frame
            .candidates
            .extend(possible.map(|trough| PyinCandidate {
                hz: trough.hz,
                probability: trough.probability,
            }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a stream gives for one clip.
    fn frames(samples: &[f32], sample_rate: u32) -> Vec<PyinFrame> {
        let mut stream = PyinCandidateStream::new(sample_rate, &PyinConfig::default()).unwrap();
        let mut frames = Vec::new();
        stream
            .push(samples, |frame| frames.push(frame.clone()))
            .unwrap();
        stream.finish(|frame| frames.push(frame.clone()));
        frames
    }

    #[test]
    fn all_multiples_of_a_period_are_candidates_the_shortest_likeliest() {
        let tone: Vec<f32> = (0..4_000_u16)
            .map(|n| (f32::from(n) * 0.157).sin())
            .collect();
        let frame = &frames(&tone, 16_000)[12];
        let f0 = 16_000.0 * 0.157 / std::f64::consts::TAU;
        assert_eq!(frame.candidates.len(), 7, "{frame:?}");
        for (k, candidate) in (1_u32..).zip(&frame.candidates) {
            assert!((candidate.hz * f64::from(k) / f0 - 1.0).abs() < 1e-3);
        }
        let pairs = frame.candidates.windows(2);
        assert!(
            pairs
                .into_iter()
                .all(|p| p[0].probability > 5.0 * p[1].probability)
        );
        assert!((frame.voiced_probability() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn silence_has_no_candidate() {
        for samples in [[0.0; 4_000], [0.7; 4_000]] {
            let frames = frames(&samples, 16_000);
            assert_eq!(frames.len(), 26);
            assert!(
                frames[5..20]
                    .iter()
                    .all(|frame| frame.candidates.is_empty())
            );
        }
    }

    #[test]
    fn a_bad_chunk_is_not_taken_in() {
        let mut stream = PyinCandidateStream::new(16_000, &PyinConfig::default()).unwrap();
        let mut frames = 0;
        stream.push(&[0.5; 100], |_| frames += 1).unwrap();
        assert!(matches!(
            stream.push(&[0.0, f32::NAN], |_| frames += 1),
            Err(DspError::NonFinite { index: 1 })
        ));
        stream.finish(|_| frames += 1);
        assert_eq!(frames, 1);
    }
}
