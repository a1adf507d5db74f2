//! Segments of speech and the pauses between them.

use serde::{Deserialize, Serialize};

/// Shortest gap in speech that counts as a pause, in seconds.
///
/// Source: N. de Jong, T. Wempe 2009; shorter gaps are mostly closures of stops.
pub const MIN_PAUSE_SECS: f64 = 0.3;

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Begin in seconds.
    pub start_secs: f64,
    /// End in seconds, not below the begin.
    pub end_secs: f64,
}

impl Segment {
    /// Length in seconds.
    #[must_use]
    pub fn duration_secs(&self) -> f64 {
        self.end_secs - self.start_secs
    }
}

/// Pauses of a clip.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PauseStatistics {
    /// Pauses between the first and the last speech.
    pub count: usize,
    /// Their sum in seconds.
    pub total_secs: f64,
    /// Their mean in seconds; 0 without pauses.
    pub mean_secs: f64,
    /// The longest in seconds; 0 without pauses.
    pub longest_secs: f64,
    /// Their sum by the time from the first to the last speech, in [0, 1].
    pub ratio: f64,
    /// Time that is not pause between the first and the last speech, in seconds.
    pub phonation_secs: f64,
}

/// The gaps of at least `min_secs` between segments of speech, which are in order. Silence before the
/// first and after the last is no pause.
#[must_use]
pub fn pauses(speech: &[Segment], min_secs: f64) -> Vec<Segment> {
    speech
        .windows(2)
        .map(|pair| Segment {
            start_secs: pair[0].end_secs,
            end_secs: pair[1].start_secs,
        })
        .filter(|gap| gap.duration_secs() >= min_secs)
        .collect()
}

/// Counts and measures the [`pauses`]. Without speech everything is 0.
#[must_use]
pub fn pause_statistics(speech: &[Segment], min_secs: f64) -> PauseStatistics {
    let (Some(first), Some(last)) = (speech.first(), speech.last()) else {
        return PauseStatistics::default();
    };
    let gaps = pauses(speech, min_secs);
    // Not `sum`, which makes -0 of nothing.
    let total: f64 = gaps
        .iter()
        .map(Segment::duration_secs)
        .fold(0.0, |sum, secs| sum + secs);
    let span = last.end_secs - first.start_secs;
    PauseStatistics {
        count: gaps.len(),
        total_secs: total,
        mean_secs: total / gaps.len().max(1) as f64,
        longest_secs: gaps.iter().map(Segment::duration_secs).fold(0.0, f64::max),
        ratio: if span > 0.0 { total / span } else { 0.0 },
        phonation_secs: (span - total).max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start_secs: f64, end_secs: f64) -> Segment {
        Segment {
            start_secs,
            end_secs,
        }
    }

    #[test]
    fn inner_gaps_alone_are_pauses() {
        let speech = [segment(1.0, 2.0), segment(2.1, 3.0), segment(4.0, 5.0)];
        assert_eq!(pauses(&speech, 0.3), [segment(3.0, 4.0)]);
        let found = pause_statistics(&speech, 0.3);
        assert_eq!(found.count, 1);
        assert!((found.total_secs - 1.0).abs() < 1e-12 && (found.ratio - 0.25).abs() < 1e-12);
        assert!((found.phonation_secs - 3.0).abs() < 1e-12);
        let all = pause_statistics(&speech, 0.05);
        assert_eq!(all.count, 2);
        assert!((all.longest_secs - 1.0).abs() < 1e-12 && (all.mean_secs - 0.55).abs() < 1e-12);
        assert!(
            pause_statistics(&speech[..1], 0.3)
                .total_secs
                .is_sign_positive()
        );
        assert_eq!(pause_statistics(&[], 0.3), PauseStatistics::default());
        assert_eq!(pause_statistics(&speech[..1], 0.3).count, 0);
    }
}
