//! Log-mel features chunk by chunk.

use vocalics_dsp::check_samples;
use vocalics_dsp::frame::Padding;

use crate::error::FeatureError;
use crate::log_mel::{LogMelConfig, Rows};
use crate::matrix::FeatureMatrix;

/// Log-mel features of a signal that arrives in chunks, with the same bits as
/// [`LogMel`](crate::LogMel) on the whole.
///
/// A frame is given out as soon as its last sample has arrived, so a centred frame lags its centre by
/// `n_fft / 2` samples. Memory stays within a few frames, however long the stream.
///
/// ```
/// use vocalics_features::{LogMelConfig, LogMelStream};
///
/// let config = LogMelConfig { trim_db: None, normalise_level: false, ..LogMelConfig::default() };
/// let mut stream = LogMelStream::new(config)?;
/// let first = stream.push(&[0.1; 1000])?;
/// let last = stream.finish()?;
/// assert_eq!((first.n_frames(), last.n_frames()), (2, 2));
/// # Ok::<(), vocalics_features::FeatureError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LogMelStream {
    config: LogMelConfig,
    rows: Rows,
    /// The newest samples; the first of them is number `dropped` of the stream.
    buffer: Vec<f32>,
    dropped: usize,
    next_frame: usize,
    finished: bool,
}

impl LogMelStream {
    /// Plans the transform and builds the filters.
    ///
    /// # Errors
    /// [`FeatureError::NotStreamable`] if the configuration trims or normalises the level, both of
    /// which depend on the whole clip; else as [`LogMelConfig::validate`].
    pub fn new(config: LogMelConfig) -> Result<Self, FeatureError> {
        if config.trim_db.is_some() {
            return Err(FeatureError::NotStreamable { field: "trim_db" });
        }
        if config.normalise_level {
            return Err(FeatureError::NotStreamable {
                field: "normalise_level",
            });
        }
        Ok(Self {
            rows: Rows::new(&config)?,
            config,
            buffer: Vec::new(),
            dropped: 0,
            next_frame: 0,
            finished: false,
        })
    }

    /// The configuration this was made from.
    #[must_use]
    pub fn config(&self) -> &LogMelConfig {
        &self.config
    }

    /// Takes samples in and gives out the frames they complete, possibly none.
    ///
    /// # Errors
    /// [`FeatureError::Signal`] on a sample that is not finite or beyond
    /// [`MAX_SAMPLE`](vocalics_dsp::MAX_SAMPLE), its index counted within this chunk; the chunk is then
    /// not taken in. [`FeatureError::Finished`] after [`finish`](Self::finish).
    pub fn push(&mut self, samples: &[f32]) -> Result<FeatureMatrix, FeatureError> {
        if self.finished {
            return Err(FeatureError::Finished);
        }
        check_samples(samples)?;
        self.buffer.extend_from_slice(samples);
        let total = self.dropped + self.buffer.len();
        let pad = self.rows.stft.pad();
        let hop = self.config.hop_length;
        // The right end of frame i is sample i·hop + n_fft − pad; a mirrored left edge needs one
        // sample more than the padding before any frame that touches it is right.
        let complete = if self.config.padding == Padding::Reflect && total <= pad {
            0
        } else {
            (total + pad)
                .checked_sub(self.config.n_fft)
                .map_or(0, |room| 1 + room / hop)
        };
        let rows = self.emit(complete);
        // A mirrored right edge needs the last pad + 1 samples.
        let next_start = (self.next_frame * hop).saturating_sub(pad);
        let keep_from = next_start.min(total.saturating_sub(pad + 1));
        let surplus = keep_from.saturating_sub(self.dropped);
        self.buffer.drain(..surplus);
        self.dropped += surplus;
        Ok(rows)
    }

    /// Ends the stream and gives out the frames that reach beyond its last sample.
    ///
    /// # Errors
    /// [`FeatureError::Empty`] if there was no sample at all, [`FeatureError::TooShort`] if the
    /// configuration does not centre and there was less than one frame, as in the whole-clip case;
    /// [`FeatureError::Finished`] if called twice.
    pub fn finish(&mut self) -> Result<FeatureMatrix, FeatureError> {
        if self.finished {
            return Err(FeatureError::Finished);
        }
        self.finished = true;
        let total = self.dropped + self.buffer.len();
        if total == 0 {
            return Err(FeatureError::Empty);
        }
        let n_frames = self.rows.stft.n_frames(total);
        if n_frames == 0 {
            return Err(FeatureError::TooShort {
                expected: self.config.n_fft,
                actual: total,
            });
        }
        Ok(self.emit(n_frames))
    }

    /// Computes the frames from the next one up to, not including, `end`.
    fn emit(&mut self, end: usize) -> FeatureMatrix {
        let n_frames = end.saturating_sub(self.next_frame);
        let mut data = vec![0.0; n_frames * self.config.n_mels];
        let position = self.next_frame * self.config.hop_length - self.dropped;
        self.rows.compute(&self.buffer, position, &mut data);
        self.next_frame += n_frames;
        FeatureMatrix::from_rows(data, self.config.n_mels)
    }
}
