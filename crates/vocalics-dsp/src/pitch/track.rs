//! The f0 contour, and the path through the candidates that gives it.

use super::PitchConfig;
use super::candidates::Candidate;
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
        let (first, last) = (self.times_secs.first()?, self.times_secs.last()?);
        let step = if self.times_secs.len() > 1 {
            (last - first) / (self.times_secs.len() - 1) as f64
        } else {
            1.0
        };
        let position = (secs - first) / step;
        if !(position > -0.5 && position < self.times_secs.len() as f64 - 0.5) {
            return None;
        }
        let position = position.clamp(0.0, self.times_secs.len() as f64 - 1.0);
        let left = floor_index(position);
        let fraction = position - left as f64;
        let value = |index: usize| {
            let f0 = f64::from(*self.f0_hz.get(index)?);
            (f0 > 0.0).then_some(f0)
        };
        match (value(left), value(left + 1)) {
            (Some(a), Some(b)) => Some(a + fraction * (b - a)),
            (Some(a), None) if fraction <= 0.5 => Some(a),
            (None, Some(b)) if fraction > 0.5 => Some(b),
            _ => None,
        }
    }
}

/// Path finding over the candidates.
pub(super) fn choose(
    times_secs: Vec<f64>,
    frames: &[Vec<Candidate>],
    config: &PitchConfig,
) -> PitchTrack {
    let counts: Vec<usize> = frames.iter().map(Vec::len).collect();
    let octaves: Vec<Vec<Option<f64>>> = frames
        .iter()
        .map(|frame| {
            let octave = |c: &Candidate| (c.hz > 0.0).then(|| c.hz.log2());
            frame.iter().map(octave).collect()
        })
        .collect();
    let top = config.ceiling_hz.log2();
    let scale = 0.01 / config.time_step_secs;
    let path = best_path(
        &counts,
        |t, c| {
            let penalty = octaves[t][c].map_or(0.0, |octave| config.octave_cost * (top - octave));
            frames[t][c].strength - penalty
        },
        |t, a, b| match (octaves[t - 1][a], octaves[t][b]) {
            (None, None) => 0.0,
            (Some(a), Some(b)) => scale * config.octave_jump_cost * (a - b).abs(),
            _ => scale * config.voiced_unvoiced_cost,
        },
    );
    let mut track = PitchTrack {
        times_secs,
        ..PitchTrack::default()
    };
    for (frame, &chosen) in frames.iter().zip(&path) {
        let best = frame[1..]
            .iter()
            .fold(0.0, |best: f64, c| best.max(c.strength));
        let candidate = frame[chosen];
        track.f0_hz.push(narrow(candidate.hz));
        track.strength.push(narrow(if candidate.hz > 0.0 {
            candidate.strength
        } else {
            best
        }));
    }
    track
}
