//! Power spectra of a signal that arrives in chunks.

use crate::check_samples;
use crate::error::DspError;
use crate::frame::Padding;
use crate::stft::{Stft, StftConfig};

/// Power spectra chunk by chunk, with the same bits as [`Stft::power_spectrogram`] on the whole.
///
/// Everything in this crate that looks at one power spectrum at a time ([`spectral`](crate::spectral),
/// [`chroma`](crate::chroma), [`mel`](crate::mel)) becomes a stream through this. A frame is given
/// out as soon as its last sample has arrived: a centred frame lags its centre by `n_fft / 2` samples.
/// Memory stays within a few frames.
#[derive(Debug, Clone)]
pub struct PowerStream {
    stft: Stft,
    power: Vec<f32>,
    /// The newest samples; the first of them is number `dropped` of the stream.
    buffer: Vec<f32>,
    dropped: usize,
    next_frame: usize,
}

impl PowerStream {
    /// Plans the transform.
    ///
    /// # Errors
    /// As [`Stft::new`].
    pub fn new(config: &StftConfig) -> Result<Self, DspError> {
        let stft = Stft::new(config)?;
        Ok(Self {
            power: vec![0.0; stft.n_bins()],
            stft,
            buffer: Vec::new(),
            dropped: 0,
            next_frame: 0,
        })
    }

    /// Number of frequency bins of every spectrum.
    #[must_use]
    pub fn n_bins(&self) -> usize {
        self.power.len()
    }

    /// Takes samples in and calls `each` with every power spectrum `[n_bins]` they complete.
    ///
    /// # Errors
    /// As [`check_samples`], the index counted within this chunk; the chunk is then not taken in.
    pub fn push(&mut self, samples: &[f32], each: impl FnMut(&[f32])) -> Result<(), DspError> {
        check_samples(samples)?;
        self.buffer.extend_from_slice(samples);
        let total = self.dropped + self.buffer.len();
        let pad = self.stft.pad();
        let (n_fft, hop, padding) = {
            let config = self.stft.config();
            (config.n_fft, config.hop_length, config.padding)
        };
        // A mirrored left edge needs one sample more than the padding before any frame that
        // touches it is right.
        let complete = if padding == Padding::Reflect && total <= pad {
            0
        } else {
            (total + pad)
                .checked_sub(n_fft)
                .map_or(0, |room| 1 + room / hop)
        };
        self.emit(complete, each);
        // A mirrored right edge needs the last pad + 1 samples.
        let next_start = (self.next_frame * hop).saturating_sub(pad);
        let keep_from = next_start.min(total.saturating_sub(pad + 1));
        let surplus = keep_from
            .saturating_sub(self.dropped)
            .min(self.buffer.len());
        self.buffer.drain(..surplus);
        self.dropped += surplus;
        Ok(())
    }

    /// Ends the stream: the spectra that reach beyond its last sample. The stream starts afresh.
    pub fn finish(&mut self, each: impl FnMut(&[f32])) {
        let n_frames = self.stft.n_frames(self.dropped + self.buffer.len());
        self.emit(n_frames, each);
        self.buffer.clear();
        self.dropped = 0;
        self.next_frame = 0;
    }

    fn emit(&mut self, end: usize, mut each: impl FnMut(&[f32])) {
        let hop = self.stft.config().hop_length;
        while self.next_frame < end {
            let position = (self.next_frame * hop).saturating_sub(self.dropped);
            self.stft.power_at(&self.buffer, position, &mut self.power);
            each(&self.power);
            self.next_frame += 1;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Cuts samples into chunks of the given lengths, again and again, until they are used up.
    pub(crate) fn chunked<'a>(samples: &'a [f32], lengths: &[usize]) -> Vec<&'a [f32]> {
        let mut rest = samples;
        let mut chunks = Vec::new();
        for length in lengths.iter().cycle() {
            if rest.is_empty() || lengths.iter().all(|length| *length == 0) {
                break;
            }
            let (chunk, left) = rest.split_at((*length).min(rest.len()));
            chunks.push(chunk);
            rest = left;
        }
        if !rest.is_empty() {
            chunks.push(rest);
        }
        chunks
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        #[test]
        fn streaming_equals_batch(
            samples in proptest::collection::vec(-1.0_f32..1.0, 0..900),
            lengths in proptest::collection::vec(0_usize..200, 1..6),
            n_fft in 8_usize..80,
            hop_length in 1_usize..120,
            center in proptest::bool::ANY,
            reflect in proptest::bool::ANY,
        ) {
            let padding = if reflect { Padding::Reflect } else { Padding::Zero };
            let config = StftConfig { n_fft, win_length: n_fft, hop_length, center, padding };
            let batch = Stft::new(&config).unwrap().power_spectrogram(&samples);
            let mut stream = PowerStream::new(&config).unwrap();
            for _ in 0..2 {
                let mut streamed = Vec::new();
                for chunk in chunked(&samples, &lengths) {
                    stream.push(chunk, |power| streamed.extend_from_slice(power)).unwrap();
                }
                stream.finish(|power| streamed.extend_from_slice(power));
                proptest::prop_assert_eq!(&streamed, &batch);
            }
        }
    }

    #[test]
    fn a_bad_chunk_is_not_taken_in() {
        let mut stream = PowerStream::new(&StftConfig::default()).unwrap();
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
