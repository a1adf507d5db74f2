//! The f0 contour, and the path through the candidates that gives it.

use super::candidates::Candidate;
use super::{PitchConfig, PitchFrame};
use crate::path::best_path;
use crate::pause::Segment;
use crate::{floor_index, narrow};

/// An f0 contour; all vectors are `[n_frames]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PitchTrack {
    /// Centre of each frame in seconds.
    pub times_secs: Vec<f64>,
    /// f0 in hertz; 0 where unvoiced.
    pub f0_hz: Vec<f32>,
    /// Of [`pitch`](super::pitch()): height of the autocorrelation peak at that period, 0 to 1; where
    /// unvoiced, the height of the best peak there was, 0 for none. Of [`pyin`](crate::pyin::pyin()): the
    /// probability that the frame is voiced.
    pub strength: Vec<f32>,
}

impl PitchTrack {
    /// Adds a frame.
    pub(crate) fn push(&mut self, frame: PitchFrame) {
        self.times_secs.push(frame.time_secs);
        self.f0_hz.push(frame.f0_hz);
        self.strength.push(frame.strength);
    }

    /// Stretches of voiced frames, from half a step before the first to half a step after the last.
    #[must_use]
    pub fn voiced_segments(&self) -> Vec<Segment> {
        let half = match self.times_secs[..] {
            [first, second, ..] => (second - first) / 2.0,
            _ => 0.0,
        };
        let frames: Vec<(&f64, &f32)> = self.times_secs.iter().zip(&self.f0_hz).collect();
        frames
            .chunk_by(|a, b| (*a.1 > 0.0) == (*b.1 > 0.0))
            .filter(|run| *run[0].1 > 0.0)
            .map(|run| Segment {
                start_secs: run[0].0 - half,
                end_secs: run[run.len() - 1].0 + half,
            })
            .collect()
    }

    /// f0 in hertz at a time in seconds, linear between voiced frames; `None` where the nearest frame
    /// is unvoiced or there is no frame.
    #[must_use]
    pub fn at(&self, secs: f64) -> Option<f64> {
        f0_at(&self.times_secs, &self.f0_hz, secs)
    }
}

/// [`PitchTrack::at`] of frames with these centres and f0.
pub(crate) fn f0_at(times_secs: &[f64], f0_hz: &[f32], secs: f64) -> Option<f64> {
    let (first, last) = (times_secs.first()?, times_secs.last()?);
    let step = if times_secs.len() > 1 {
        (last - first) / (times_secs.len() - 1) as f64
    } else {
        1.0
    };
    let position = (secs - first) / step;
    if !(position > -0.5 && position < times_secs.len() as f64 - 0.5) {
        return None;
    }
    let position = position.clamp(0.0, times_secs.len() as f64 - 1.0);
    let left = floor_index(position);
    let fraction = position - left as f64;
    let value = |index: usize| {
        let f0 = f64::from(*f0_hz.get(index)?);
        (f0 > 0.0 && f0.is_finite()).then_some(f0)
    };
    match (value(left), value(left + 1)) {
        (Some(a), Some(b)) => Some(a + fraction * (b - a)),
        (Some(a), None) if fraction <= 0.5 => Some(a),
        (None, Some(b)) if fraction > 0.5 => Some(b),
        _ => None,
    }
}

/// What candidates are worth and what steps between them cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Costs {
    octave: f64,
    jump: f64,
    voicing: f64,
    /// Logarithm of the ceiling.
    top: f64,
}

impl Costs {
    pub(super) fn new(config: &PitchConfig) -> Self {
        let scale = 0.01 / config.time_step_secs;
        Self {
            octave: config.octave_cost,
            jump: scale * config.octave_jump_cost,
            voicing: scale * config.voiced_unvoiced_cost,
            top: config.ceiling_hz.log2(),
        }
    }

    pub(super) fn worth(&self, candidate: &Candidate, octave: Option<f64>) -> f64 {
        candidate.strength - octave.map_or(0.0, |octave| self.octave * (self.top - octave))
    }

    pub(super) fn step(&self, from: Option<f64>, to: Option<f64>) -> f64 {
        match (from, to) {
            (None, None) => 0.0,
            (Some(a), Some(b)) => self.jump * (a - b).abs(),
            _ => self.voicing,
        }
    }
}

/// Logarithms of the frequencies of a frame's candidates; `None` for the unvoiced one.
pub(super) fn octaves(frame: &[Candidate]) -> Vec<Option<f64>> {
    let octave = |c: &Candidate| (c.hz > 0.0).then(|| c.hz.log2());
    frame.iter().map(octave).collect()
}

/// f0 and strength of a frame in which a candidate was chosen.
pub(super) fn value(frame: &[Candidate], chosen: usize) -> (f32, f32) {
    let candidate = frame[chosen];
    let strength = if candidate.hz > 0.0 {
        candidate.strength
    } else {
        let voiced = frame[1..].iter();
        voiced.fold(0.0, |best: f64, c| best.max(c.strength))
    };
    (narrow(candidate.hz), narrow(strength))
}

/// Path finding over the candidates.
pub(super) fn choose(
    times_secs: Vec<f64>,
    frames: &[Vec<Candidate>],
    config: &PitchConfig,
) -> PitchTrack {
    let counts: Vec<usize> = frames.iter().map(Vec::len).collect();
    let octaves: Vec<Vec<Option<f64>>> = frames.iter().map(|frame| octaves(frame)).collect();
    let costs = Costs::new(config);
    let path = best_path(
        &counts,
        |t, c| costs.worth(&frames[t][c], octaves[t][c]),
        |t, a, b| costs.step(octaves[t - 1][a], octaves[t][b]),
    );
    let mut track = PitchTrack::default();
    for ((time_secs, frame), &chosen) in times_secs.into_iter().zip(frames).zip(&path) {
        let (f0_hz, strength) = value(frame, chosen);
        track.push(PitchFrame {
            time_secs,
            f0_hz,
            strength,
        });
    }
    track
}
