//! Changing the sample rate, anti-aliased, with the filter delay compensated.
//!
//! There is one resampler in the product: the synchronous FFT resampler of `rubato` with a squared
//! Blackman-Harris window. Its block is at least [`MIN_BLOCK`] samples at the lower of the two
//! rates, which puts the edge of the pass band at about 97 % of the lower Nyquist frequency.
//! The same signal gives the same samples whether it comes whole or in pieces, because the whole
//! case is the streaming case with one piece.
//!
//! Measured for 48 to 16 kHz by the tests of this crate: see `docs/audio-formats.md`.

use rubato::audioadapter_buffers::direct::SequentialSlice;
use rubato::{Fft, FixedSync, Resampler, WindowFunction};

use crate::error::AudioError;

/// Lowest sample rate accepted, in hertz.
pub const MIN_SAMPLE_RATE: u32 = 100;

/// Highest sample rate accepted, in hertz.
pub const MAX_SAMPLE_RATE: u32 = 384_000;

/// Least block of the resampler in samples at the lower rate; the filter is as long as a block.
pub const MIN_BLOCK: usize = 512;

/// Largest magnitude accepted of a sample. Audio lives in [-1, 1]; beyond this the sums inside the
/// filter could overflow, and a sample counts as not finite.
pub const MAX_MAGNITUDE: f32 = 1e30;

/// Samples looked at together.
const BLOCK: usize = 256;

/// Position of the first sample that is NaN, infinite or beyond [`MAX_MAGNITUDE`].
pub(crate) fn find_unusable(samples: &[f32]) -> Option<usize> {
    let unusable = |sample: &f32| sample.is_nan() || sample.abs() > MAX_MAGNITUDE;
    // Whole blocks without a branch: nearly all are fine, and such a loop runs several samples at a time.
    let fine = samples
        .chunks(BLOCK)
        .take_while(|block| {
            !block
                .iter()
                .fold(false, |bad, sample| bad | unusable(sample))
        })
        .count();
    let start = (fine * BLOCK).min(samples.len());
    let found = samples[start..].iter().position(unusable);
    found.map(|index| start + index)
}

pub(crate) fn check_rate(sample_rate: u32, name: &str) -> Result<(), AudioError> {
    if (MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&sample_rate) {
        return Ok(());
    }
    Err(AudioError::SampleRate {
        name: name.to_owned(),
        actual: sample_rate,
        min: MIN_SAMPLE_RATE,
        max: MAX_SAMPLE_RATE,
    })
}

/// Resamples a whole mono signal.
///
/// # Shapes
/// `[n]` to `[ceil(n · to / from)]`; sample `k` of the output lies at time `k / to` of the input, so
/// nothing is shifted. An empty input gives an empty output; `from == to` gives a copy.
///
/// # Errors
/// [`AudioError::SampleRate`] for a rate outside 100 Hz to 384 kHz, [`AudioError::NonFinite`] when
/// the input holds NaN, infinity or magnitudes above [`MAX_MAGNITUDE`].
///
/// ```
/// let low = vocalics_audio::resample::resample(&vec![0.25; 4800], 48_000, 16_000)?;
/// assert_eq!(low.len(), 1600);
/// assert!((low[800] - 0.25).abs() < 1e-5);
/// # Ok::<(), vocalics_audio::AudioError>(())
/// ```
///
/// Reference: `soxr.resample(x, 48000, 16000, quality="VHQ")`, within 1e-3 of full scale away from
/// the ends for signals below 7 kHz.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>, AudioError> {
    let mut stream = StreamResampler::new(from, to)?;
    let mut output = Vec::with_capacity(stream.output_len(samples.len() as u64));
    stream.push(samples, &mut output)?;
    stream.finish(&mut output)?;
    Ok(output)
}

/// Resamples a mono signal that arrives in pieces; equal, sample for sample, to [`resample`].
///
/// Output lags input by up to one and a half blocks (48 ms for 48 to 16 kHz); [`StreamResampler::finish`] gives the
/// rest.
pub struct StreamResampler {
    from: u32,
    to: u32,
    engine: Option<Engine>,
    received: u64,
    emitted: u64,
}

/// The block resampler and its buffers; absent when the rates are equal.
struct Engine {
    fft: Box<Fft<f32>>,
    input: Vec<f32>,
    filled: usize,
    output: Vec<f32>,
    /// Output samples of filter delay still to be dropped.
    skip: usize,
}

impl std::fmt::Debug for StreamResampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamResampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("received", &self.received)
            .field("emitted", &self.emitted)
            .finish_non_exhaustive()
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl StreamResampler {
    /// Plans the conversion from one rate to another, both in hertz.
    ///
    /// # Errors
    /// [`AudioError::SampleRate`] for a rate outside 100 Hz to 384 kHz, [`AudioError::Resample`] if
    /// the engine refuses the pair.
    pub fn new(from: u32, to: u32) -> Result<Self, AudioError> {
        check_rate(from, "resampler input")?;
        check_rate(to, "resampler output")?;
        let engine = if from == to {
            None
        } else {
            Some(Engine::new(from, to)?)
        };
        Ok(Self {
            from,
            to,
            engine,
            received: 0,
            emitted: 0,
        })
    }

    /// Length of the whole output for `n_input` samples of input: `ceil(n · to / from)`.
    #[must_use]
    pub fn output_len(&self, n_input: u64) -> usize {
        usize::try_from(self.output_len_u64(n_input)).unwrap_or(usize::MAX)
    }

    fn output_len_u64(&self, n_input: u64) -> u64 {
        let exact = (u128::from(n_input) * u128::from(self.to)).div_ceil(u128::from(self.from));
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// Takes the next samples and appends whatever output is ready to `output`.
    ///
    /// # Errors
    /// [`AudioError::NonFinite`] when the input holds NaN, infinity or magnitudes above
    /// [`MAX_MAGNITUDE`] (nothing of the piece is taken then), [`AudioError::Resample`] if the
    /// engine fails.
    pub fn push(&mut self, samples: &[f32], output: &mut Vec<f32>) -> Result<(), AudioError> {
        if let Some(position) = find_unusable(samples) {
            let index = self.received + position as u64;
            return Err(AudioError::NonFinite {
                name: "resampler input".to_owned(),
                index,
            });
        }
        let first_new = output.len();
        self.received += samples.len() as u64;
        match &mut self.engine {
            None => output.extend_from_slice(samples),
            Some(engine) => {
                engine
                    .push(samples, output)
                    .map_err(|source| AudioError::Resample {
                        from: self.from,
                        to: self.to,
                        source,
                    })?
            }
        }
        self.account(first_new, output);
        Ok(())
    }

    /// Ends the signal and appends the rest of the output, so that [`StreamResampler::output_len`]
    /// samples have come out in total. The resampler is then ready for a new signal.
    ///
    /// # Errors
    /// As [`StreamResampler::push`].
    pub fn finish(&mut self, output: &mut Vec<f32>) -> Result<(), AudioError> {
        let total = self.output_len_u64(self.received);
        if let Some(engine) = &mut self.engine {
            while self.emitted < total {
                let first_new = output.len();
                engine
                    .flush_block(output)
                    .map_err(|source| AudioError::Resample {
                        from: self.from,
                        to: self.to,
                        source,
                    })?;
                let fresh = output.len() - first_new;
                let wanted = usize::try_from(total - self.emitted)
                    .unwrap_or(usize::MAX)
                    .min(fresh);
                output.truncate(first_new + wanted);
                self.emitted += wanted as u64;
            }
            engine.reset();
        }
        self.received = 0;
        self.emitted = 0;
        Ok(())
    }

    /// Drops output beyond the exact length and counts what came out.
    fn account(&mut self, first_new: usize, output: &mut Vec<f32>) {
        let fresh = output.len() - first_new;
        let room = self
            .output_len_u64(self.received)
            .saturating_sub(self.emitted);
        let kept = usize::try_from(room).unwrap_or(usize::MAX).min(fresh);
        output.truncate(first_new + kept);
        self.emitted += kept as u64;
    }
}

type EngineError = Box<dyn std::error::Error + Send + Sync>;

impl Engine {
    fn new(from: u32, to: u32) -> Result<Self, AudioError> {
        let divisor = gcd(from, to);
        let unit_in = (from / divisor) as usize;
        let unit_low = (from.min(to) / divisor) as usize;
        // An even number of units makes half a block, which is the filter's delay, a whole number
        // of samples at both rates.
        let units = MIN_BLOCK.div_ceil(unit_low).div_ceil(2) * 2;
        let fft = Fft::<f32>::new_custom(
            from as usize,
            to as usize,
            unit_in * units,
            1,
            1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .map_err(|source| AudioError::Resample {
            from,
            to,
            source: Box::new(source),
        })?;
        let input = vec![0.0; fft.input_frames_next()];
        let output = vec![0.0; fft.output_frames_max()];
        let skip = fft.output_delay();
        Ok(Self {
            fft: Box::new(fft),
            input,
            filled: 0,
            output,
            skip,
        })
    }

    fn push(&mut self, mut samples: &[f32], output: &mut Vec<f32>) -> Result<(), EngineError> {
        while !samples.is_empty() {
            let take = (self.input.len() - self.filled).min(samples.len());
            let (now, later) = samples.split_at(take);
            self.input[self.filled..self.filled + take].copy_from_slice(now);
            self.filled += take;
            samples = later;
            if self.filled == self.input.len() {
                self.process_block(output)?;
            }
        }
        Ok(())
    }

    /// Fills the block up with silence and processes it.
    fn flush_block(&mut self, output: &mut Vec<f32>) -> Result<(), EngineError> {
        self.input[self.filled..].fill(0.0);
        self.process_block(output)
    }

    fn process_block(&mut self, output: &mut Vec<f32>) -> Result<(), EngineError> {
        let frames_in = self.input.len();
        let frames_out = self.output.len();
        let input = SequentialSlice::new(&self.input[..], 1, frames_in)?;
        let mut target = SequentialSlice::new_mut(&mut self.output[..], 1, frames_out)?;
        let (_, written) = self.fft.process_into_buffer(&input, &mut target, None)?;
        self.filled = 0;
        let dropped = self.skip.min(written);
        self.skip -= dropped;
        output.extend_from_slice(&self.output[dropped..written]);
        Ok(())
    }

    fn reset(&mut self) {
        self.fft.reset();
        self.filled = 0;
        self.skip = self.fft.output_delay();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unusable_sample_is_found_in_any_block() {
        let mut samples = vec![0.5; 3 * BLOCK + 7];
        assert_eq!(find_unusable(&samples), None);
        assert_eq!(find_unusable(&[]), None);
        for place in [3 * BLOCK + 6, 2 * BLOCK, BLOCK + 5, 0] {
            for bad in [f32::NAN, f32::NEG_INFINITY, 2.0 * MAX_MAGNITUDE] {
                samples[place] = bad;
                assert_eq!(find_unusable(&samples), Some(place));
            }
        }
    }
}
