//! Noise reduction and voice activity by RNNoise, a small recurrent network that came trained.
//!
//! The network and its weights are those of the crate `nnnoiseless` (BSD-3-Clause), a port of Xiph's RNNoise. It hears 48 kHz,
//! 22 bands up to 20 kHz, in frames of 10 ms, and gives every band a gain and every frame a probability of speech.
//!
//! Source: J.-M. Valin, *A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech Enhancement*, IEEE MMSP 2018.

use nnnoiseless::DenoiseState;

use crate::check_samples;
use crate::error::DspError;
use crate::pause::Segment;
use crate::voice_activity::{VoiceActivityConfig, speech_segments};

/// The sample rate that the network was trained at, in hertz.
pub const RNNOISE_SAMPLE_RATE: u32 = 48_000;

/// Samples of a frame: 10 ms.
pub const RNNOISE_FRAME: usize = DenoiseState::FRAME_SIZE;

/// Full scale of the 16-bit samples that the network was trained on.
const FULL_SCALE: f32 = 32_768.0;

/// A recording, or a piece of one, as RNNoise gives it back.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rnnoised {
    /// Samples with less noise, in step with the input.
    pub samples: Vec<f32>,
    /// Probability of speech in each frame of [`RNNOISE_FRAME`] samples from the beginning, in `[0, 1]`.
    pub speech: Vec<f32>,
}

/// RNNoise on a stream at 48 kHz.
///
/// Any division into pieces gives the same samples as the whole. An output sample needs the input up to 20 ms after it.
pub struct Rnnoise {
    state: Box<DenoiseState<'static>>,
    /// Input that does not fill a frame yet.
    waiting: Vec<f32>,
    received: usize,
    /// The first frame given back is of the time before the beginning.
    begun: bool,
}

impl std::fmt::Debug for Rnnoise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("Rnnoise");
        text.field("received", &self.received)
            .finish_non_exhaustive()
    }
}

impl Default for Rnnoise {
    fn default() -> Self {
        Self::new()
    }
}

impl Rnnoise {
    /// A stream that has not begun.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: DenoiseState::new(),
            waiting: Vec::with_capacity(RNNOISE_FRAME),
            received: 0,
            begun: false,
        }
    }

    /// Takes the next samples and gives what is ready.
    ///
    /// # Errors
    /// As [`check_samples`]; nothing of the piece is taken then.
    pub fn push(&mut self, samples: &[f32]) -> Result<Rnnoised, DspError> {
        check_samples(samples)?;
        let mut ready = Rnnoised::default();
        self.take(samples, &mut ready);
        self.received += samples.len();
        Ok(ready)
    }

    fn take(&mut self, mut samples: &[f32], ready: &mut Rnnoised) {
        while !samples.is_empty() {
            let room = (RNNOISE_FRAME - self.waiting.len()).min(samples.len());
            let (now, later) = samples.split_at(room);
            self.waiting.extend(now.iter().map(|x| x * FULL_SCALE));
            samples = later;
            if self.waiting.len() < RNNOISE_FRAME {
                return;
            }
            let mut frame = [0.0; RNNOISE_FRAME];
            let speech = self.state.process_frame(&mut frame, &self.waiting);
            self.waiting.clear();
            if self.begun {
                ready.samples.extend(frame.iter().map(|x| x / FULL_SCALE));
                ready.speech.push(speech.clamp(0.0, 1.0));
            }
            self.begun = true;
        }
    }

    /// Ends the stream and gives the rest, so that as many samples have come out as went in. The next piece begins another stream.
    #[must_use]
    pub fn finish(&mut self) -> Rnnoised {
        let mut rest = Rnnoised::default();
        let left = self.received.saturating_sub(self.given());
        let silence = vec![0.0; left.div_ceil(RNNOISE_FRAME) * RNNOISE_FRAME + RNNOISE_FRAME];
        if self.received > 0 {
            self.take(&silence, &mut rest);
            rest.samples.truncate(left);
            rest.speech.truncate(left.div_ceil(RNNOISE_FRAME));
        }
        *self = Self::new();
        rest
    }

    /// Samples given back so far.
    fn given(&self) -> usize {
        let frames = self.received / RNNOISE_FRAME;
        frames.saturating_sub(1) * RNNOISE_FRAME
    }
}

/// RNNoise over a whole recording at [`RNNOISE_SAMPLE_RATE`].
///
/// # Errors
/// As [`check_samples`].
pub fn rnnoise(samples: &[f32]) -> Result<Rnnoised, DspError> {
    let mut stream = Rnnoise::new();
    let mut all = stream.push(samples)?;
    let rest = stream.finish();
    all.samples.extend(rest.samples);
    all.speech.extend(rest.speech);
    Ok(all)
}

/// Probability from which a frame is speech. The middle; not tuned.
const SPEECH: f32 = 0.5;

/// Where somebody speaks, from the probabilities of [`rnnoise`] for a recording of `duration_secs`. Of the configuration the times
/// count, the levels do not.
///
/// # Errors
/// [`DspError::Parameter`] for a configuration out of range.
pub fn rnnoise_segments(
    speech: &[f32],
    duration_secs: f64,
    config: &VoiceActivityConfig,
) -> Result<Vec<Segment>, DspError> {
    // The window of a frame reaches as far into the next one: its middle is the end of the frame.
    let first = speech.first().copied().unwrap_or(0.0);
    let middles = std::iter::once(first).chain(speech.iter().copied());
    let decisions: Vec<bool> = middles.map(|p| p >= SPEECH).collect();
    let hop_secs = RNNOISE_FRAME as f64 / f64::from(RNNOISE_SAMPLE_RATE);
    speech_segments(&decisions, hop_secs, duration_secs, config)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_signal::noise;

    /// Half a second of noise, a second of a voice-like buzz over it, half a second of noise.
    fn clip() -> Vec<f32> {
        let rate = RNNOISE_SAMPLE_RATE as usize;
        let hiss = noise(2 * rate, 3);
        (0..2 * rate)
            .map(|n| {
                let t = n as f32 / rate as f32;
                let pitch = 140.0 + 20.0 * (t * 9.0).sin();
                let voice: f32 = (1..25u8)
                    .map(|k| {
                        (std::f32::consts::TAU * pitch * f32::from(k) * t).sin() / f32::from(k)
                    })
                    .sum();
                let on = (rate / 2..3 * rate / 2).contains(&n) && (t * 8.0).sin() > -0.6;
                0.02 * hiss[n] + if on { 0.15 * voice } else { 0.0 }
            })
            .collect()
    }

    fn power(samples: &[f32]) -> f32 {
        samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32
    }

    #[test]
    fn noise_goes_down_and_the_voice_stays_where_it_was() {
        let clip = clip();
        let out = rnnoise(&clip).unwrap();
        assert_eq!(out.samples.len(), clip.len());
        assert_eq!(out.speech.len(), clip.len() / RNNOISE_FRAME);
        let quiet = 80_000..95_000;
        let kept = power(&out.samples[quiet.clone()]) / power(&clip[quiet]);
        assert!(kept < 0.25, "{kept} of the noise");
        // In step: of all shifts up to two frames none fits better than none.
        let fit = |shift: usize| -> f32 {
            let voiced = 30_000..60_000;
            let pairs = clip[voiced.clone()]
                .iter()
                .zip(&out.samples[voiced.start + shift..]);
            pairs.map(|(a, b)| a * b).sum()
        };
        let best = (0..960).max_by(|&a, &b| fit(a).total_cmp(&fit(b))).unwrap();
        assert_eq!(best, 0);
    }

    #[test]
    fn silence_stays_silence_and_is_no_speech() {
        for len in [
            0,
            1,
            RNNOISE_FRAME - 1,
            RNNOISE_FRAME,
            5 * RNNOISE_FRAME + 7,
        ] {
            let out = rnnoise(&vec![0.0; len]).unwrap();
            assert_eq!(out.samples, vec![0.0; len]);
            assert_eq!(out.speech, vec![0.0; len.div_ceil(RNNOISE_FRAME)]);
        }
        assert!(rnnoise(&[0.0, f32::NAN]).is_err());
    }

    #[test]
    fn probable_frames_are_segments() {
        let config = VoiceActivityConfig {
            padding_secs: 0.0,
            ..VoiceActivityConfig::default()
        };
        let mut speech = vec![0.1; 100];
        speech[20..50].fill(0.9);
        let found = rnnoise_segments(&speech, 1.0, &config).unwrap();
        assert_eq!(found.len(), 1);
        assert!((found[0].start_secs - 0.205).abs() < 1e-9, "{found:?}");
        assert!((found[0].end_secs - 0.505).abs() < 1e-9, "{found:?}");
        assert!(rnnoise_segments(&[], 0.0, &config).unwrap().is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn any_pieces_give_what_the_whole_gives(sizes in prop::collection::vec(0usize..2000, 1..20)) {
            let clip = clip();
            let mut stream = Rnnoise::new();
            let mut pieces = Rnnoised::default();
            let mut at = 0;
            for size in sizes {
                let end = (at + size).min(clip.len());
                let ready = stream.push(&clip[at..end]).unwrap();
                at = end;
                pieces.samples.extend(ready.samples);
                pieces.speech.extend(ready.speech);
            }
            let rest = stream.finish();
            pieces.samples.extend(rest.samples);
            pieces.speech.extend(rest.speech);
            prop_assert_eq!(pieces, rnnoise(&clip[..at]).unwrap());
        }

        #[test]
        fn what_comes_out_is_finite(samples in prop::collection::vec(-1e9f32..1e9, 0..3000)) {
            let out = rnnoise(&samples).unwrap();
            prop_assert!(out.samples.iter().chain(&out.speech).all(|x| x.is_finite()));
            prop_assert_eq!(out.samples.len(), samples.len());
        }
    }
}
