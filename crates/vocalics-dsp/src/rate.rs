//! A lower sampling rate for analyses of a narrower band.

use std::f64::consts::PI;

use crate::floor_index;

/// Zero crossings of the low-pass filter on either side. Set by hand: the formants of 240 clips agree with the
/// reference (`docs/voice.md`).
const CROSSINGS: f64 = 50.0;
/// Most filters that are kept: at 48 to 11 kHz one has 437 taps, so 1000 are 3.5 MB.
const KEPT_FILTERS: usize = 1_000;

/// Resamples to a lower `to` hertz by a Hann-windowed sinc whose cut-off is the new Nyquist frequency.
///
/// The new samples lie in the middle of the signal's duration, `n · to / from` of them, rounded.
/// What lies beyond the ends counts as 0. `to` at or above `from` gives the samples as they are.
pub(crate) fn lower_rate(samples: &[f32], from: u32, to: u32) -> Vec<f64> {
    if to >= from || to == 0 {
        return samples.iter().map(|x| f64::from(*x)).collect();
    }
    let ratio = f64::from(to) / f64::from(from);
    let n = floor_index(samples.len() as f64 * ratio + 0.5);
    if n == 0 {
        return Vec::new();
    }
    let first = 0.5 * (samples.len() as f64 - (n - 1) as f64 / ratio) - 0.5;
    let mut filters = Filters::new(from, to, first);
    (0..n).map(|i| filters.sample(i, samples, 0)).collect()
}

/// The filters of new samples, the first of which lies at `first`, in old samples.
#[derive(Debug)]
struct Filters {
    ratio: f64,
    reach: f64,
    first: f64,
    /// After so many new samples the fractional positions return, so that their filters are made once each.
    phases: usize,
    /// By phase; empty where there are too many.
    kept: Vec<Option<(isize, Vec<f64>)>>,
    once: Vec<f64>,
}

impl Filters {
    fn new(from: u32, to: u32, first: f64) -> Self {
        let ratio = f64::from(to) / f64::from(from);
        let phases = usize::try_from(to / gcd(from, to)).unwrap_or(usize::MAX);
        let kept = if phases <= KEPT_FILTERS { phases } else { 0 };
        Self {
            ratio,
            reach: CROSSINGS / ratio,
            first,
            phases,
            kept: vec![None; kept],
            once: Vec::new(),
        }
    }

    fn position(&self, i: usize) -> f64 {
        self.first + i as f64 / self.ratio
    }

    /// The new sample `i`, from samples of which `dropped` are gone; what lies beyond them counts as 0.
    fn sample(&mut self, i: usize, samples: &[f32], dropped: usize) -> f64 {
        let (position, reach, ratio) = (self.position(i), self.reach, self.ratio);
        let (start, taps) = if self.kept.is_empty() {
            let start = filter(position, reach, ratio, &mut self.once);
            (start, &self.once)
        } else {
            let base = (i - i % self.phases) as f64 / ratio;
            let (start, taps) = self.kept[i % self.phases].get_or_insert_with(|| {
                let mut taps = Vec::new();
                (filter(position - base, reach, ratio, &mut taps), taps)
            });
            (*start + isize_of(base.round()), &*taps)
        };
        let start = start - isize_of(dropped as f64);
        let skip = usize::try_from(-start).unwrap_or(0);
        let begin = usize::try_from(start).unwrap_or(0);
        samples[begin.min(samples.len())..]
            .iter()
            .zip(&taps[skip.min(taps.len())..])
            .map(|(x, w)| f64::from(*x) * w)
            .sum()
    }
}

/// [`lower_rate`] for samples that come in chunks: the new samples lie at the first old one and every `from / to` from there.
#[derive(Debug)]
pub(crate) struct RateStream {
    filters: Filters,
    buffer: Vec<f32>,
    dropped: usize,
    /// New samples given.
    given: usize,
}

impl RateStream {
    /// A stream before its first sample; `to` is at most `from`.
    pub(crate) fn new(from: u32, to: u32) -> Self {
        Self {
            filters: Filters::new(from, to, 0.0),
            buffer: Vec::new(),
            dropped: 0,
            given: 0,
        }
    }

    /// Old samples behind a new one's place that it needs.
    pub(crate) fn reach(&self) -> f64 {
        // At the same rate samples stay as they are.
        if self.filters.ratio < 1.0 {
            self.filters.reach
        } else {
            0.0
        }
    }

    /// Old samples so far.
    pub(crate) fn known(&self) -> usize {
        self.dropped + self.buffer.len()
    }

    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<f64>) {
        self.buffer.extend_from_slice(samples);
        let known = self.known() as f64;
        while self.filters.position(self.given) + self.reach() + 1.0 <= known {
            self.give(out);
        }
        let kept = self.filters.position(self.given) - self.reach() - 1.0;
        let surplus = floor_index(kept.max(0.0)).saturating_sub(self.dropped);
        let surplus = surplus.min(self.buffer.len());
        self.buffer.drain(..surplus);
        self.dropped += surplus;
    }

    /// The new samples that lie before the end of the old ones. The stream starts afresh.
    pub(crate) fn finish(&mut self, out: &mut Vec<f64>) {
        while self.filters.position(self.given) + 1.0 <= self.known() as f64 {
            self.give(out);
        }
        self.buffer.clear();
        (self.dropped, self.given) = (0, 0);
    }

    fn give(&mut self, out: &mut Vec<f64>) {
        out.push(if self.filters.ratio < 1.0 {
            self.filters.sample(self.given, &self.buffer, self.dropped)
        } else {
            f64::from(self.buffer[self.given - self.dropped])
        });
        self.given += 1;
    }
}

/// Puts the weights of the filter centred on a fractional position into `taps` and gives its first sample.
fn filter(position: f64, reach: f64, ratio: f64, taps: &mut Vec<f64>) -> isize {
    let start = (position - reach).ceil();
    let count = floor_index((position + reach - start).max(0.0)) + 1;
    taps.clear();
    taps.extend((0..count).map(|k| {
        let x = start + k as f64 - position;
        let phase = PI * x * ratio;
        let sinc = if phase.abs() < 1e-9 {
            1.0
        } else {
            phase.sin() / phase
        };
        ratio * sinc * (0.5 + 0.5 * (PI * x / reach).cos())
    }));
    // One gain at 0 Hz for every phase, so that a constant stays one.
    let gain: f64 = taps.iter().sum();
    for tap in taps {
        *tap /= gain;
    }
    isize_of(start)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "positions in a signal, and the cast saturates"
)]
fn isize_of(position: f64) -> isize {
    position as isize
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow;
    use crate::test_signal::{any_rate, any_samples};

    #[test]
    fn a_stream_lies_at_the_first_sample() {
        let w = std::f64::consts::TAU * 440.0 / 16_000.0;
        let x: Vec<f32> = (0..8_000)
            .map(|n| narrow((w * f64::from(n)).sin()))
            .collect();
        let mut stream = RateStream::new(16_000, 11_000);
        let mut y = Vec::new();
        stream.push(&x, &mut y);
        // Half of a filter is waited for.
        assert!((5_448..5_451).contains(&y.len()), "{}", y.len());
        stream.finish(&mut y);
        assert_eq!(y.len(), 5_500);
        for (i, y) in y.iter().enumerate().skip(100).take(5_300) {
            let tone = (w * i as f64 * 16.0 / 11.0).sin();
            assert!((y - tone).abs() < 5e-3, "{i}");
        }
    }

    #[test]
    fn tones_below_the_new_nyquist_stay_and_others_go() {
        for (from, to) in [
            (16_000, 11_000),
            (48_000, 11_000),
            (44_100, 11_000),
            (22_050, 10_000),
            (16_001, 11_000),
        ] {
            for (hz, kept) in [(440.0, true), (4_500.0, true), (6_500.0, false)] {
                let w = std::f64::consts::TAU * hz / f64::from(from);
                let x: Vec<f32> = (0..from / 2)
                    .map(|n| narrow((w * f64::from(n)).sin()))
                    .collect();
                let y = lower_rate(&x, from, to);
                let ratio = f64::from(to) / f64::from(from);
                let first = 0.5 * (x.len() as f64 - (y.len() - 1) as f64 / ratio) - 0.5;
                let middle = y.len() / 4..y.len() * 3 / 4;
                for i in middle {
                    let tone = (w * (first + i as f64 / ratio)).sin();
                    let expected = if kept { tone } else { 0.0 };
                    assert!((y[i] - expected).abs() < 5e-3, "{from} {to} {hz} {i}");
                }
            }
        }
        assert!(lower_rate(&[], 16_000, 11_000).is_empty());
        assert_eq!(lower_rate(&[0.5; 3], 8_000, 11_000).len(), 3);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        #[test]
        fn any_chunks_give_the_same(
            samples in any_samples(0..3000),
            from in any_rate(),
            to in any_rate(),
            sizes in proptest::collection::vec(1..500_usize, 1..6),
        ) {
            let to = to.min(from);
            let mut whole = Vec::new();
            let mut stream = RateStream::new(from, to);
            stream.push(&samples, &mut whole);
            stream.finish(&mut whole);
            let (mut parts, mut at) = (Vec::new(), 0);
            for size in sizes.iter().cycle() {
                if at == samples.len() {
                    break;
                }
                let end = (at + size).min(samples.len());
                stream.push(&samples[at..end], &mut parts);
                at = end;
            }
            stream.finish(&mut parts);
            proptest::prop_assert_eq!(&parts, &whole);
            if to == from {
                proptest::prop_assert_eq!(whole, lower_rate(&samples, from, to));
            }
        }

        #[test]
        fn finite_on_any_input(samples in any_samples(0..2000), from in any_rate(), to in any_rate()) {
            let out = lower_rate(&samples, from, to);
            let peak = samples.iter().fold(0.0, |peak: f64, x| peak.max(f64::from(*x).abs()));
            // Taps of both signs: no more than a few times the peak.
            proptest::prop_assert!(out.iter().all(|x| x.abs() <= 8.0 * peak));
            let expected = samples.len() as f64 * (f64::from(to) / f64::from(from)).min(1.0);
            proptest::prop_assert!((out.len() as f64 - expected).abs() <= 1.0);
        }
    }
}
