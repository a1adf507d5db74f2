//! From f0 to marks, one voiced stretch after another.

use std::collections::VecDeque;

use super::Mark;
use super::waveform::Waveform;
use crate::pitch::f0_at;

/// Correlation below which a mark is not kept; Praat manual.
const KEEP: f64 = 0.3;
/// Correlation above which one mark beyond the edge of a voiced stretch is kept; Praat manual.
const KEEP_BEYOND: f64 = 0.7;
/// Longest period that an amplitude is taken over, in seconds.
pub(super) const LONGEST_SECS: f64 = 0.02;

/// Frames without an unvoiced one between them.
#[derive(Debug, Clone)]
struct Stretch {
    start_secs: f64,
    end_secs: f64,
    /// Centres of its frames and of one neighbour on either side, where there is one.
    times_secs: Vec<f64>,
    /// f0 of these frames in hertz.
    f0_hz: Vec<f32>,
}

/// Marks the periods of an f0 track that comes frame by frame.
#[derive(Debug, Clone, Default)]
pub(super) struct Marker {
    /// Centre of the first frame in seconds.
    first_secs: Option<f64>,
    /// Half the distance between frames.
    half_secs: Option<f64>,
    /// Centre of the first frame of the voiced stretch that goes on.
    open_secs: Option<f64>,
    /// The frames of that stretch and the one before it.
    times_secs: Vec<f64>,
    f0_hz: Vec<f32>,
    /// Stretches without marks yet, oldest first.
    complete: VecDeque<Stretch>,
    /// Marks without amplitudes yet, oldest first.
    waiting: VecDeque<f64>,
    /// The mark before them.
    before: Option<f64>,
}

impl Marker {
    /// Adds a frame of the track.
    pub(super) fn add(&mut self, time_secs: f64, f0_hz: f32) {
        match (self.first_secs, self.half_secs) {
            (None, _) => self.first_secs = Some(time_secs),
            (Some(first), None) => self.half_secs = Some(0.5 * (time_secs - first)),
            _ => {}
        }
        self.times_secs.push(time_secs);
        self.f0_hz.push(f0_hz);
        if f0_hz > 0.0 && f0_hz.is_finite() {
            self.open_secs.get_or_insert(time_secs);
            return;
        }
        self.close(time_secs - self.half());
        // The neighbour of what comes next.
        self.times_secs.push(time_secs);
        self.f0_hz.push(f0_hz);
    }

    fn half(&self) -> f64 {
        self.half_secs.unwrap_or(0.005)
    }

    /// Ends the stretch that goes on, if one does.
    fn close(&mut self, end_secs: f64) {
        let half = self.half();
        let times_secs = std::mem::take(&mut self.times_secs);
        let f0_hz = std::mem::take(&mut self.f0_hz);
        if let Some(open) = self.open_secs.take() {
            self.complete.push_back(Stretch {
                start_secs: open - half,
                end_secs,
                times_secs,
                f0_hz,
            });
        }
    }

    /// Begin of the oldest stretch without marks, complete or not.
    pub(super) fn start_secs(&self) -> Option<f64> {
        let open = self.open_secs.map(|open| open - self.half());
        self.complete
            .front()
            .map(|stretch| stretch.start_secs)
            .or(open)
    }

    /// End of the oldest complete stretch without marks.
    pub(super) fn end_secs(&self) -> Option<f64> {
        self.complete.front().map(|stretch| stretch.end_secs)
    }

    /// The oldest mark without amplitude.
    pub(super) fn waiting_secs(&self) -> Option<f64> {
        self.waiting.front().copied()
    }

    /// Marks the oldest complete stretch and gives the marks that have one behind them.
    pub(super) fn mark(&mut self, sound: &Waveform<'_>, each: &mut impl FnMut(Mark)) {
        if let Some(stretch) = self.complete.pop_front() {
            let last = self.waiting.back().copied().or(self.before);
            self.waiting.extend(stretch.marks(sound, last));
        }
        while self.waiting.len() > 1 {
            self.give(sound, each);
        }
    }

    /// Gives the last mark too if no other can change its amplitude: if there is none before `earliest_secs`.
    pub(super) fn settle(
        &mut self,
        earliest_secs: f64,
        sound: &Waveform<'_>,
        each: &mut impl FnMut(Mark),
    ) {
        if let (1, Some(at)) = (self.waiting.len(), self.waiting_secs())
            && at + period(self.before, at, None) <= earliest_secs
        {
            self.give(sound, each);
        }
    }

    /// Ends the track and gives all marks there are. The marker starts afresh.
    pub(super) fn finish(&mut self, sound: &Waveform<'_>, each: &mut impl FnMut(Mark)) {
        if let Some(last) = self.times_secs.last() {
            self.close(last + self.half());
        }
        while !self.complete.is_empty() {
            self.mark(sound, each);
        }
        while !self.waiting.is_empty() {
            self.give(sound, each);
        }
        *self = Self::default();
    }

    /// Gives the oldest mark.
    fn give(&mut self, sound: &Waveform<'_>, each: &mut impl FnMut(Mark)) {
        if let Some(at) = self.waiting.pop_front() {
            let period = period(self.before, at, self.waiting_secs());
            each(Mark {
                time_secs: at,
                amplitude: sound.amplitude(at, period),
            });
            self.before = Some(at);
        }
    }
}

/// The shorter period beside a mark, at most [`LONGEST_SECS`].
fn period(before: Option<f64>, at: f64, after: Option<f64>) -> f64 {
    let left = before.map_or(LONGEST_SECS, |before| at - before);
    let right = after.map_or(LONGEST_SECS, |after| after - at);
    left.min(right).min(LONGEST_SECS)
}

impl Stretch {
    /// f0 in hertz at a time.
    fn f0(&self, secs: f64) -> Option<f64> {
        f0_at(&self.times_secs, &self.f0_hz, secs)
    }

    /// Marks of the stretch in seconds, rising, without those less than 0.8 periods behind the `last` one before it.
    fn marks(&self, sound: &Waveform<'_>, last: Option<f64>) -> Vec<f64> {
        let (start, end) = (self.start_secs, self.end_secs);
        let middle = 0.5 * (start + end);
        let Some(f0) = self.f0(middle) else {
            return Vec::new();
        };
        let Some(first) = sound.extremum(middle - 0.5 / f0, middle + 0.5 / f0) else {
            return Vec::new();
        };
        let mut marks = vec![first];
        for direction in [-1.0, 1.0] {
            let mut at = first;
            while let Some(f0) = self.f0(at) {
                let Some((next, correlation)) = sound.next(at, direction / f0) else {
                    break;
                };
                let beyond = next < start || next > end;
                if correlation > if beyond { KEEP_BEYOND } else { KEEP } {
                    marks.push(next);
                }
                if beyond {
                    break;
                }
                at = next;
            }
        }
        marks.sort_by(f64::total_cmp);
        // A mark beyond one stretch may meet the first of the next.
        marks.retain(|mark| last.is_none_or(|last| *mark > last + 0.8 / f0));
        marks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_waits_while_another_could_come_within_its_period() {
        let samples: Vec<f32> = (0..2_000_u16).map(f32::from).collect();
        let sound = Waveform {
            samples: &samples,
            first: 0,
            rate: 10_000.0,
        };
        // The first mark of all has no period before it, the other one of 5 ms.
        for (before, wait) in [(None, LONGEST_SECS), (Some(0.095), 0.005)] {
            let mut marker = Marker {
                before,
                waiting: VecDeque::from([0.1]),
                ..Marker::default()
            };
            let mut marks = Vec::new();
            marker.settle(0.1 + wait - 1e-6, &sound, &mut |mark| marks.push(mark));
            assert!(marks.is_empty());
            marker.settle(0.1 + wait + 1e-6, &sound, &mut |mark| marks.push(mark));
            let amplitude = sound.amplitude(0.1, wait);
            assert!(marks.len() == 1 && (marks[0].amplitude - amplitude).abs() < 1e-6);
            // What lies further than that is the same as nothing.
            assert!((period(before, 0.1, Some(0.1 + wait + 1e-6)) - wait).abs() < 1e-9);
            assert!(period(before, 0.1, Some(0.103)) < 0.0031);
        }
    }

    #[test]
    fn stretches_are_cut_where_f0_ends() {
        let mut marker = Marker::default();
        for (i, f0_hz) in [0.0, 100.0, 110.0, 0.0, f32::NAN, 120.0]
            .into_iter()
            .enumerate()
        {
            marker.add(i as f64 * 0.01, f0_hz);
        }
        let begin = marker.start_secs().unwrap();
        let end = marker.end_secs().unwrap();
        assert!((begin - 0.005).abs() < 1e-12 && (end - 0.025).abs() < 1e-12);
        assert_eq!(marker.complete[0].f0_hz, [0.0, 100.0, 110.0, 0.0]);
        marker.complete.clear();
        assert!((marker.start_secs().unwrap() - 0.045).abs() < 1e-12);
        assert!(marker.end_secs().is_none());
    }
}
