//! Voice activity of a signal that arrives in chunks.

use super::{BANDS, Smooth, Switch, VoiceActivityConfig, excess_db, plan};
use crate::decibel::power_db;
use crate::error::DspError;
use crate::mel::MelFilterbank;
use crate::noise_estimate::NoiseEstimate;
use crate::power_stream::PowerStream;

/// Window in which the stream seeks noise, in seconds; about that of Martin 2001.
const STREAM_WINDOW_SECS: f64 = 1.5;
/// Fall of the remembered peak of a stream, in decibels a second. Set by hand.
const PEAK_FALL_DB: f32 = 2.0;
/// Level of what counts as noise over its estimate, in decibels.
///
/// The mean of smoothed white noise lies 0.4 dB above the estimate at 8 to 48 kHz. With 1 dB the excess of
/// 6 s of it stayed below 1 dB in 8 of 8 runs, so noise never goes on as speech; with 1.5 dB, 5 of 30 buzzes
/// at 8 kHz were lost.
const STREAM_BIAS_DB: f32 = 1.0;

/// Voice activity chunk by chunk, for sound without an end: a decision per frame of 10 ms.
///
/// As [`voice_activity`](super::voice_activity), but the noise is 1 dB above the [`NoiseEstimate`] over the
/// last 1.5 s, the loudest frame is the loudest so far, falling by 2 dB a second, and the rule that speech must
/// reach 0.3 of the clip's contrast is not applied, so that in a loud place more passes for speech. It knows
/// nothing of what comes: speech in the very beginning is missed until the first pause, and a sound that goes
/// on for more than 1.5 s passes for noise. The first three frames, and those before any sound, are no speech.
/// Decisions do not depend on how the samples are cut. Look-ahead: [`look_ahead`](Self::look_ahead), half a
/// window.
#[derive(Debug, Clone)]
pub struct VoiceActivityStream {
    power: PowerStream,
    state: State,
    hop_secs: f64,
}

#[derive(Debug, Clone)]
struct State {
    mel: MelFilterbank,
    smooth: Smooth,
    noise: NoiseEstimate,
    peak_db: f32,
    fall_db: f32,
    switch: Switch,
}

impl VoiceActivityStream {
    /// Plans the transform and the bands.
    ///
    /// # Errors
    /// As [`voice_activity`](super::voice_activity).
    pub fn new(sample_rate: u32, config: &VoiceActivityConfig) -> Result<Self, DspError> {
        config.validate()?;
        let (stft, mel) = plan(sample_rate)?;
        let hop_secs = stft.hop_length as f64 / f64::from(sample_rate);
        let window = crate::floor_index(STREAM_WINDOW_SECS / hop_secs).max(1);
        Ok(Self {
            power: PowerStream::new(&stft)?,
            state: State {
                mel,
                smooth: Smooth::new(),
                noise: NoiseEstimate::new(BANDS, window)?,
                peak_db: -100.0,
                fall_db: PEAK_FALL_DB * crate::narrow(hop_secs),
                switch: Switch {
                    config: *config,
                    on: false,
                },
            },
            hop_secs,
        })
    }

    /// Seconds from one decision to the next; decision `i` stands for the time around `i · hop_secs`.
    #[must_use]
    pub fn hop_secs(&self) -> f64 {
        self.hop_secs
    }

    /// Samples beyond the instant of a decision that have to arrive before it is given out: half a window
    /// of at least 32 ms, the next power of two (256 at 16 kHz).
    #[must_use]
    pub fn look_ahead(&self) -> usize {
        self.power.n_bins() - 1
    }

    /// Takes samples in and gives out the decisions they complete.
    ///
    /// # Errors
    /// As [`check_samples`](crate::check_samples); the chunk is then not taken in.
    pub fn push(&mut self, samples: &[f32]) -> Result<Vec<bool>, DspError> {
        let Self { power, state, .. } = self;
        let mut decisions = Vec::new();
        power.push(samples, |frame| decisions.push(state.decide(frame)))?;
        Ok(decisions)
    }

    /// Ends the stream: the decisions still owed. The stream starts afresh.
    pub fn finish(&mut self) -> Vec<bool> {
        let Self { power, state, .. } = self;
        let mut decisions = Vec::new();
        power.finish(|frame| decisions.push(state.decide(frame)));
        state.smooth = Smooth::new();
        state.noise.restart();
        state.peak_db = -100.0;
        state.switch.on = false;
        decisions
    }
}

impl State {
    fn decide(&mut self, power: &[f32]) -> bool {
        let bands = self.smooth.next(&self.mel, power);
        let level_db = power_db(bands.iter().sum());
        self.peak_db = level_db.max(self.peak_db - self.fall_db);
        // Means over fewer frames, or with silence in them, are too low for noise, and as minima they
        // would stand for it until they leave the window.
        if self.smooth.is_settled() {
            self.noise.update(&bands);
        }
        if !self.noise.is_started() {
            return false;
        }
        let noise_db = self
            .noise
            .noise()
            .iter()
            .map(|n| power_db(*n) + STREAM_BIAS_DB);
        let excess = excess_db(&bands, noise_db);
        self.switch.decide(excess, self.peak_db - level_db)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_stream::tests::chunked;
    use crate::test_signal::noise;
    use crate::voice_activity::speech_segments;
    use crate::voice_activity::tests::clip;

    /// Buzzing from 2 to 3 s in 8 s of noise.
    fn buzz(rate: u32, seed: u32) -> Vec<f32> {
        let fs = rate as f32;
        noise(8 * rate as usize, seed)
            .iter()
            .enumerate()
            .map(|(n, hiss)| {
                let t = n as f32 / fs;
                let on = (2.0..3.0).contains(&t);
                let voice: f32 = (1..20_u8)
                    .map(|k| {
                        (std::f32::consts::TAU * 150.0 * f32::from(k) * t).sin() / f32::from(k)
                    })
                    .sum();
                0.03 * hiss + if on { 0.1 * voice } else { 0.0 }
            })
            .collect()
    }

    #[test]
    fn stationary_noise_is_no_speech_before_or_after_a_voice() {
        let config = VoiceActivityConfig::default();
        for rate in [8_000, 16_000, 48_000] {
            for seed in [5, 1005, 2005] {
                let mut stream = VoiceActivityStream::new(rate, &config).unwrap();
                let mut decisions = stream.push(&buzz(rate, seed)).unwrap();
                decisions.extend(stream.finish());
                let voiced = |from: usize, to: usize| {
                    decisions[from..to].iter().filter(|speech| **speech).count()
                };
                // Windows are up to 43 ms long.
                assert_eq!(voiced(0, 197), 0, "{rate} {seed}");
                assert!(voiced(200, 300) >= 90, "{rate} {seed}");
                assert_eq!(voiced(330, decisions.len()), 0, "{rate} {seed}");
            }
        }
    }

    #[test]
    fn noise_after_digital_silence_is_no_speech() {
        for silent in [1_000, 8_000, 40_000] {
            let mut samples = vec![0.0; silent];
            samples.extend(noise(80_000, 3).iter().map(|x| 0.03 * x));
            let mut stream =
                VoiceActivityStream::new(16_000, &VoiceActivityConfig::default()).unwrap();
            let decisions = stream.push(&samples).unwrap();
            assert!(decisions.iter().all(|speech| !speech), "{silent}");
        }
    }

    #[test]
    fn the_stream_finds_it_too() {
        let config = VoiceActivityConfig::default();
        let mut stream = VoiceActivityStream::new(16_000, &config).unwrap();
        let mut decisions = stream.push(&clip(16_000, 0.005)).unwrap();
        decisions.extend(stream.finish());
        let found = speech_segments(&decisions, stream.hop_secs(), 4.5, &config).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!((found[0].start_secs - 1.0).abs() < 0.1 && (found[1].end_secs - 3.4).abs() < 0.2);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn the_stream_does_not_depend_on_chunks(
            samples in proptest::collection::vec(-1.0_f32..1.0, 0..6000),
            lengths in proptest::collection::vec(0_usize..900, 1..5),
        ) {
            let config = VoiceActivityConfig::default();
            let mut stream = VoiceActivityStream::new(8_000, &config).unwrap();
            let mut whole = stream.push(&samples).unwrap();
            whole.extend(stream.finish());
            let mut streamed = Vec::new();
            for chunk in chunked(&samples, &lengths) {
                streamed.extend(stream.push(chunk).unwrap());
            }
            streamed.extend(stream.finish());
            proptest::prop_assert_eq!(streamed, whole);
        }
    }
}
