//! Zero-crossing rate.

use crate::check_samples;
use crate::error::DspError;
use crate::frame::{check_length, frame_count};
use crate::narrow;

/// Samples of at most this magnitude count as zero, and zero counts as positive.
pub const ZERO: f32 = 1e-10;

fn is_negative(sample: f32) -> bool {
    sample < -ZERO
}

/// Share of samples in each frame whose sign differs from the sample before it, in [0, 1].
///
/// Frames of `frame_length` samples every `hop_length`; centred frames (`center`) repeat the first
/// and last sample beyond the ends, where there is no crossing. Times `sample_rate / 2` it is the
/// frequency of a sine in hertz. Silence and constants give 0.
///
/// # Errors
/// [`DspError::Parameter`] unless `frame_length` and `hop_length` are 1 to 2²⁴, else as [`check_samples`].
///
/// Reference: `librosa.feature.zero_crossing_rate`, within 1e-6.
pub fn zero_crossing_rate(
    samples: &[f32],
    frame_length: usize,
    hop_length: usize,
    center: bool,
) -> Result<Vec<f32>, DspError> {
    check_lengths(frame_length, hop_length)?;
    check_samples(samples)?;
    // crossings[i] counts those up to and including sample i.
    let mut count = 0_usize;
    let crossings: Vec<usize> = samples
        .iter()
        .enumerate()
        .map(|(i, x)| {
            count += usize::from(i > 0 && is_negative(*x) != is_negative(samples[i - 1]));
            count
        })
        .collect();
    let pad = if center { frame_length / 2 } else { 0 };
    let n_frames = frame_count(samples.len(), frame_length, hop_length, center);
    let last = samples.len().saturating_sub(1);
    Ok((0..n_frames)
        .map(|frame| {
            let start = (frame * hop_length).saturating_sub(pad).min(last);
            let end = (frame * hop_length + frame_length - 1)
                .saturating_sub(pad)
                .min(last);
            rate(crossings[end] - crossings[start], frame_length)
        })
        .collect())
}

fn rate(crossings: usize, frame_length: usize) -> f32 {
    narrow(crossings as f64 / frame_length as f64)
}

fn check_lengths(frame_length: usize, hop_length: usize) -> Result<(), DspError> {
    check_length("frame_length", frame_length, 1)?;
    check_length("hop_length", hop_length, 1)
}

/// Zero-crossing rate chunk by chunk, with the same bits as [`zero_crossing_rate`] on the whole.
///
/// Look-ahead: the rest of the frame, `frame_length / 2` samples beyond the centre of a centred one.
#[derive(Debug, Clone)]
pub struct ZeroCrossingStream {
    frame_length: usize,
    hop_length: usize,
    center: bool,
    /// Positions of crossings that a frame to come may hold.
    crossings: std::collections::VecDeque<usize>,
    n_samples: usize,
    last_negative: bool,
    next_frame: usize,
}

impl ZeroCrossingStream {
    /// Starts a stream.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless the lengths are 1 to 2²⁴.
    pub fn new(frame_length: usize, hop_length: usize, center: bool) -> Result<Self, DspError> {
        check_lengths(frame_length, hop_length)?;
        Ok(Self {
            frame_length,
            hop_length,
            center,
            crossings: std::collections::VecDeque::new(),
            n_samples: 0,
            last_negative: false,
            next_frame: 0,
        })
    }

    /// Takes samples in and gives out the rates of the frames they complete.
    ///
    /// # Errors
    /// As [`check_samples`]; the chunk is then not taken in.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<f32>, DspError> {
        check_samples(samples)?;
        let mut rates = Vec::new();
        for &x in samples {
            let negative = is_negative(x);
            if self.n_samples > 0 && negative != self.last_negative {
                self.crossings.push_back(self.n_samples);
            }
            self.last_negative = negative;
            self.n_samples += 1;
            while self.n_samples + self.pad()
                >= self.next_frame * self.hop_length + self.frame_length
            {
                rates.push(self.next_rate());
            }
        }
        Ok(rates)
    }

    /// Ends the stream: the rates still owed. The stream starts afresh.
    pub fn finish(&mut self) -> Vec<f32> {
        let n_frames = frame_count(
            self.n_samples,
            self.frame_length,
            self.hop_length,
            self.center,
        );
        let mut rates = Vec::new();
        while self.next_frame < n_frames {
            rates.push(self.next_rate());
        }
        self.crossings.clear();
        self.n_samples = 0;
        self.next_frame = 0;
        rates
    }

    fn pad(&self) -> usize {
        if self.center {
            self.frame_length / 2
        } else {
            0
        }
    }

    fn next_rate(&mut self) -> f32 {
        let start = (self.next_frame * self.hop_length).saturating_sub(self.pad());
        let end =
            (self.next_frame * self.hop_length + self.frame_length).saturating_sub(self.pad());
        while self.crossings.front().is_some_and(|at| *at <= start) {
            self.crossings.pop_front();
        }
        self.next_frame += 1;
        let inside = self.crossings.iter().take_while(|at| **at < end).count();
        rate(inside, self.frame_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_stream::tests::chunked;

    #[test]
    fn a_sine_crosses_twice_a_period() {
        for rate in [8_000_u16, 16_000, 44_100, 48_000] {
            let tone: Vec<f32> = (0..rate)
                .map(|n| (std::f32::consts::TAU * 440.0 * f32::from(n) / f32::from(rate)).sin())
                .collect();
            let length = usize::from(rate / 10);
            for zcr in zero_crossing_rate(&tone, length, length, false).unwrap() {
                let hz = zcr * f32::from(rate) / 2.0;
                assert!((hz - 440.0).abs() < 11.0, "{rate}: {hz}");
            }
        }
    }

    #[test]
    fn odd_input_is_defined() {
        let call = |samples: &[f32]| zero_crossing_rate(samples, 16, 4, true);
        assert!(call(&[]).unwrap().is_empty());
        for level in [0.0, 0.5, -0.5, 1e-11, -1e-11] {
            assert!(call(&[level; 40]).unwrap().iter().all(|x| x.abs() < 1e-9));
        }
        assert_eq!(call(&[1.0]).unwrap(), [0.0]);
        assert_eq!(call(&[1.0, -1.0]).unwrap(), [1.0 / 16.0]);
        assert!(call(&[f32::INFINITY]).is_err());
        assert!(zero_crossing_rate(&[1.0], 0, 1, true).is_err());
        assert!(ZeroCrossingStream::new(1, 0, true).is_err());
        assert!(zero_crossing_rate(&[1.0], usize::MAX, 1, true).is_err());
        assert!(ZeroCrossingStream::new(4, usize::MAX, false).is_err());
    }

    proptest::proptest! {
        #[test]
        fn streaming_equals_batch(
            samples in proptest::collection::vec(-1.0_f32..1.0, 0..300),
            lengths in proptest::collection::vec(0_usize..60, 1..5),
            frame_length in 1_usize..50,
            hop_length in 1_usize..70,
            center in proptest::bool::ANY,
        ) {
            let batch = zero_crossing_rate(&samples, frame_length, hop_length, center).unwrap();
            let mut stream = ZeroCrossingStream::new(frame_length, hop_length, center).unwrap();
            for _ in 0..2 {
                let mut streamed = Vec::new();
                for chunk in chunked(&samples, &lengths) {
                    streamed.extend(stream.push(chunk).unwrap());
                }
                streamed.extend(stream.finish());
                proptest::prop_assert_eq!(&streamed, &batch);
            }
        }
    }
}
