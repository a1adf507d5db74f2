//! Where decoded samples go: checked, mixed to mono, resampled, counted against the limits.

use crate::clipping::{ClipCounter, full_scale};
use crate::decode::DecodeOptions;
use crate::error::AudioError;
use crate::resample::{StreamResampler, check_rate, find_unusable};
use crate::waveform::{SourceFormat, Waveform};

/// Takes interleaved samples in any chunking and ends as a [`Waveform`].
///
/// Memory grows with what was decoded, never with what a header claims.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    name: &'a str,
    options: &'a DecodeOptions,
    source: SourceFormat,
    /// Rate of the result in hertz.
    sample_rate: u32,
    resampler: StreamResampler,
    clipping: ClipCounter,
    mono: Vec<f32>,
    output: Vec<f32>,
    /// Frames still to be dropped from the start (encoder delay).
    skip: u64,
    frames: u64,
    max_frames: f64,
    /// Frames after which the recording ends (encoder padding), if known.
    end: Option<u64>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(
        name: &'a str,
        options: &'a DecodeOptions,
        source: SourceFormat,
    ) -> Result<Self, AudioError> {
        check_rate(source.sample_rate, name)?;
        check_channels(source.channels, name, options)?;
        let sample_rate = options.sample_rate.unwrap_or(source.sample_rate);
        let resampler = StreamResampler::new(source.sample_rate, sample_rate)?;
        let threshold = full_scale(source.codec, source.bits_per_sample);
        let clipping = ClipCounter::new(source.channels, threshold);
        let max_frames = options.max_duration_secs * f64::from(source.sample_rate);
        Ok(Self {
            name,
            options,
            source,
            sample_rate,
            resampler,
            clipping,
            mono: Vec::new(),
            output: Vec::new(),
            skip: 0,
            frames: 0,
            max_frames,
            end: None,
        })
    }

    /// Restricts the recording to `[skip, skip + length)` of the decoded frames.
    pub(crate) fn restrict(&mut self, skip: u64, length: Option<u64>) {
        self.skip = skip;
        self.end = length;
    }

    pub(crate) fn source(&self) -> &SourceFormat {
        &self.source
    }

    /// Frames kept so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    pub(crate) fn push(&mut self, interleaved: &[f32]) -> Result<(), AudioError> {
        let channels = self.source.channels;
        let n_frames = interleaved.len() / channels;
        let dropped = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(n_frames);
        self.skip -= dropped as u64;
        let room = self
            .end
            .map_or(u64::MAX, |end| end.saturating_sub(self.frames));
        let kept = usize::try_from(room)
            .unwrap_or(usize::MAX)
            .min(n_frames - dropped);
        let samples = &interleaved[dropped * channels..(dropped + kept) * channels];
        if let Some(index) = find_unusable(samples) {
            let index = self.frames * channels as u64 + index as u64;
            return Err(AudioError::NonFinite {
                name: self.name.to_owned(),
                index,
            });
        }
        self.frames += kept as u64;
        if self.frames as f64 > self.max_frames {
            return Err(AudioError::TooLong {
                name: self.name.to_owned(),
                max_secs: self.options.max_duration_secs,
            });
        }
        self.clipping.push(samples);
        if channels == 1 {
            return self.resampler.push(samples, &mut self.output);
        }
        self.mono.clear();
        let scale = 1.0 / channels as f32;
        self.mono.extend(
            samples
                .chunks_exact(channels)
                .map(|f| f.iter().sum::<f32>() * scale),
        );
        self.resampler.push(&self.mono, &mut self.output)
    }

    pub(crate) fn finish(mut self) -> Result<Waveform, AudioError> {
        if self.frames == 0 {
            return Err(AudioError::Empty {
                name: self.name.to_owned(),
            });
        }
        let duration_secs = self.frames as f64 / f64::from(self.source.sample_rate);
        if duration_secs < self.options.min_duration_secs {
            return Err(AudioError::TooShort {
                name: self.name.to_owned(),
                actual_secs: duration_secs,
                min_secs: self.options.min_duration_secs,
            });
        }
        self.resampler.finish(&mut self.output)?;
        Ok(Waveform::from_parts(
            self.output,
            self.sample_rate,
            duration_secs,
            self.source,
            self.clipping.ratio(),
        ))
    }
}

pub(crate) fn check_channels(
    channels: usize,
    name: &str,
    options: &DecodeOptions,
) -> Result<(), AudioError> {
    if channels == 0 {
        let detail = "the header states no channels".to_owned();
        return Err(AudioError::Damaged {
            name: name.to_owned(),
            detail,
        });
    }
    if channels > options.max_channels {
        return Err(AudioError::TooManyChannels {
            name: name.to_owned(),
            actual: channels,
            max: options.max_channels,
        });
    }
    Ok(())
}
