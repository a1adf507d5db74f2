//! Marks while samples come.

use super::Mark;
use super::marker::{LONGEST_SECS, Marker};
use super::waveform::Waveform;
use crate::error::DspError;
use crate::floor_index;
use crate::pitch::{PitchConfig, PitchStream};

/// [`periods`](super::periods()) for a signal that comes in chunks, on the f0 of a [`PitchStream`].
///
/// The marks are those of [`periods`](super::periods()) on the track of [`pitch_at`](crate::pitch::pitch_at) from 0 s on, bit for bit,
/// whatever the chunks. As they go out from the middle of a voiced stretch, they come when the stretch is over and its f0 certain: all of
/// them [`look_ahead_secs`](Self::look_ahead_secs) after its end at the latest, but for the last one, which waits for the marks of the
/// next stretch where that begins sooner.
///
/// Silence, constants and unvoiced sound have no mark. Samples are kept from two periods of the floor and 4 ms before the voiced stretch
/// that goes on, or before the oldest frame of f0 that is not certain; so memory grows with the longest of these, not
/// with the signal. [`within`](Self::within) bounds the wait for f0, nothing bounds a stretch.
///
/// ```
/// use vocalics_dsp::periods::PeriodStream;
/// use vocalics_dsp::perturbation::Perturbation;
/// use vocalics_dsp::pitch::PitchConfig;
///
/// let config = PitchConfig { reference_peak: Some(1.0), ..PitchConfig::default() };
/// let mut stream = PeriodStream::new(16_000, &config)?;
/// let mut voice = Perturbation::default();
/// let tone: Vec<f32> = (0..8_000u16).map(|n| (f32::from(n) * 0.0864).sin()).collect();
/// for chunk in tone.chunks(160) {
///     stream.push(chunk, |mark| voice.push(mark))?;
/// }
/// stream.finish(|mark| voice.push(mark));
/// assert!(voice.jitter().unwrap().local < 0.001);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
///
/// Source: as [`periods`](super::periods()).
#[derive(Debug)]
pub struct PeriodStream {
    pitch: PitchStream,
    marker: Marker,
    rate: f64,
    time_step_secs: f64,
    /// The longest period there can be.
    period_secs: f64,
    buffer: Vec<f32>,
    /// Samples that were dropped before the buffer.
    dropped: usize,
    /// Frames of f0 that are certain.
    n_frames: usize,
}

impl PeriodStream {
    /// A stream before its first sample.
    ///
    /// # Errors
    /// As [`PitchStream::new`].
    pub fn new(sample_rate: u32, config: &PitchConfig) -> Result<Self, DspError> {
        Ok(Self {
            pitch: PitchStream::new(sample_rate, config)?,
            marker: Marker::default(),
            rate: f64::from(sample_rate),
            time_step_secs: config.time_step_secs,
            // f0 is rounded to `f32`, which may bring it below the floor.
            period_secs: 1.001 / config.floor_hz,
            buffer: Vec::new(),
            dropped: 0,
            n_frames: 0,
        })
    }

    /// Bounds the wait for f0 as [`PitchStream::within`] does; the marks are then those of that f0.
    #[must_use]
    pub fn within(mut self, secs: f64) -> Self {
        self.pitch = self.pitch.within(secs);
        self
    }

    /// Seconds behind the end of a voiced stretch by which its marks have come, if f0 is certain as soon as it is known.
    #[must_use]
    pub fn look_ahead_secs(&self) -> f64 {
        let frame = 0.5 * self.time_step_secs + self.pitch.look_ahead_secs();
        2.0 * self.beyond_secs() + LONGEST_SECS + frame
    }

    /// Takes a chunk of any length and gives the marks that are known now.
    ///
    /// # Errors
    /// [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample, its index that in the chunk; nothing of the chunk is taken in.
    pub fn push(&mut self, samples: &[f32], mut each: impl FnMut(Mark)) -> Result<(), DspError> {
        let (marker, n_frames) = (&mut self.marker, &mut self.n_frames);
        self.pitch.push(samples, |frame| {
            marker.add(frame.time_secs, frame.f0_hz);
            *n_frames += 1;
        })?;
        self.buffer.extend_from_slice(samples);
        let sound = Waveform {
            samples: &self.buffer,
            first: self.dropped,
            rate: self.rate,
        };
        let known_secs = (self.dropped + self.buffer.len()) as f64 / self.rate;
        let reach_secs = self.reach_secs();
        while let Some(end) = self.marker.end_secs()
            && end + reach_secs <= known_secs
        {
            self.marker.mark(&sound, &mut each);
        }
        // No stretch without marks begins before.
        let begin = self.marker.start_secs();
        let begin = begin.unwrap_or((self.n_frames as f64 - 0.5) * self.time_step_secs);
        let earliest_secs = begin - self.beyond_secs();
        self.marker.settle(earliest_secs, &sound, &mut each);
        let kept_secs = self.marker.waiting_secs().map_or(begin, |at| at.min(begin)) - reach_secs;
        let kept = floor_index((kept_secs * self.rate).max(0.0));
        let surplus = kept.saturating_sub(self.dropped).min(self.buffer.len());
        self.buffer.drain(..surplus);
        self.dropped += surplus;
        Ok(())
    }

    /// Ends the stream: all marks that were not given. The stream starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(Mark)) {
        let marker = &mut self.marker;
        self.pitch
            .finish(|frame| marker.add(frame.time_secs, frame.f0_hz));
        let sound = Waveform {
            samples: &self.buffer,
            first: self.dropped,
            rate: self.rate,
        };
        marker.finish(&sound, &mut each);
        self.buffer.clear();
        (self.dropped, self.n_frames) = (0, 0);
    }

    /// How far outside of its stretch a mark can lie: 1.2 periods, and what is lost to whole samples.
    fn beyond_secs(&self) -> f64 {
        1.2 * self.period_secs + 3.0 / self.rate
    }

    /// How far outside of a stretch samples are looked at: half a period before a mark, another at 1.2 periods; or a fifth of
    /// [`LONGEST_SECS`] beside a mark that lies outside.
    fn reach_secs(&self) -> f64 {
        2.0 * self.period_secs + 0.2 * LONGEST_SECS + 4.0 / self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow;
    use crate::periods::{Periods, periods};
    use crate::perturbation::{Perturbation, jitter, shimmer};
    use crate::pitch::{PitchTrack, pitch_at};
    use crate::power_stream::tests::chunked;
    use crate::test_signal::{any_rate, any_samples, noise, speech};

    fn config() -> PitchConfig {
        PitchConfig {
            reference_peak: Some(0.3),
            ..PitchConfig::default()
        }
    }

    fn add(periods: &mut Periods, mark: Mark) {
        periods.times_secs.push(mark.time_secs);
        periods.amplitudes.push(mark.amplitude);
    }

    fn streamed(stream: &mut PeriodStream, samples: &[f32], lengths: &[usize]) -> Periods {
        let mut marks = Periods::default();
        for chunk in chunked(samples, lengths) {
            stream.push(chunk, |mark| add(&mut marks, mark)).unwrap();
        }
        stream.finish(|mark| add(&mut marks, mark));
        marks
    }

    /// The track that the stream has: frames from 0 s on as long as there are samples.
    fn track(samples: &[f32], rate: u32, config: &PitchConfig) -> PitchTrack {
        let end = samples.len() as f64 / f64::from(rate);
        let times = (0..).map(|i| f64::from(i) * config.time_step_secs);
        let n_frames = times.take_while(|time| *time <= end).count();
        let n_frames = if samples.is_empty() { 0 } else { n_frames };
        pitch_at(samples, rate, config, 0.0, n_frames).unwrap()
    }

    fn whole(samples: &[f32], rate: u32, config: &PitchConfig) -> Periods {
        periods(samples, rate, &track(samples, rate, config)).unwrap()
    }

    /// Bells of 0.6 ms width with periods that alternate by ±`jitter` around 8 ms and heights by ±`shimmer`.
    fn bells(rate: u32, secs: f64, jitter: f64, shimmer: f64) -> Vec<f32> {
        let fs = f64::from(rate);
        let mut samples = vec![0.0_f32; floor_index(secs * fs)];
        let (mut at, mut sign) = (0.01, 1.0);
        while at < secs {
            let height = 0.5 * (1.0 + sign * shimmer);
            let near = floor_index((at - 0.004) * fs)..floor_index((at + 0.004) * fs);
            for n in near.start..near.end.min(samples.len()) {
                let t = n as f64 / fs - at;
                samples[n] += narrow(height * (-(t / 0.0006).powi(2)).exp());
            }
            at += 0.008 * (1.0 + sign * jitter);
            sign = -sign;
        }
        samples
    }

    #[test]
    fn known_irregularity_comes_through() {
        for rate in [16_000, 48_000] {
            for (truth, depth) in [(0.0, 0.0), (0.004, 0.02), (0.01, 0.05)] {
                let samples = bells(rate, 1.0, truth, depth);
                let mut stream = PeriodStream::new(rate, &config()).unwrap();
                let mut voice = Perturbation::default();
                let mut n_marks = 0;
                let mut take = |mark| {
                    n_marks += 1;
                    voice.push(mark);
                };
                for chunk in samples.chunks(99) {
                    stream.push(chunk, &mut take).unwrap();
                }
                stream.finish(take);
                assert!((118..=125).contains(&n_marks), "{n_marks}");
                let (j, s) = (voice.jitter().unwrap(), voice.shimmer().unwrap());
                let off = (f64::from(j.local) - 2.0 * truth).abs();
                assert!(off < 0.0006, "{rate} {truth}: {j:?}");
                let off = (f64::from(s.local) - 2.0 * depth).abs();
                assert!(off < 0.006, "{rate} {depth}: {s:?}");
            }
        }
    }

    #[test]
    fn marks_come_when_a_stretch_is_over_and_samples_go() {
        // Tones of 0.15 s, one every 0.4 s, for a minute.
        let rate = 8_000;
        let samples: Vec<f32> = (0..60 * rate)
            .map(|n| {
                let t = f64::from(n) / f64::from(rate);
                let on = (t / 0.4).fract() < 0.375;
                narrow(if on { 0.3 * (1_000.0 * t).sin() } else { 0.0 })
            })
            .collect();
        let mut stream = PeriodStream::new(rate, &config()).unwrap();
        let mut marks = Periods::default();
        let mut kept = 0;
        for (n, chunk) in samples.chunks(80).enumerate() {
            stream.push(chunk, |mark| add(&mut marks, mark)).unwrap();
            kept = kept.max(stream.buffer.len());
            // By then all tones that ended have their marks, every period of them one.
            let now = (n + 1) as f64 * 0.01 - stream.look_ahead_secs() - 0.02;
            let over =
                floor_index((now - 0.15).max(0.0) / 0.4 + if now > 0.15 { 1.0 } else { 0.0 });
            let periods = 0.15 * 1_000.0 / std::f64::consts::TAU;
            let least = over as f64 * (periods - 4.0);
            assert!(
                marks.times_secs.len() as f64 >= least,
                "{now}: {}",
                marks.times_secs.len()
            );
        }
        assert!(kept < 2_600, "{kept} samples kept");
        stream.finish(|mark| add(&mut marks, mark));
        assert_eq!(marks, whole(&samples, rate, &config()));
        assert!(marks.times_secs.len() > 3_000);
    }

    #[test]
    fn silence_has_no_mark_and_keeps_no_samples() {
        for level in [0.0, 0.7] {
            let mut stream = PeriodStream::new(16_000, &config()).unwrap();
            for _ in 0..300 {
                stream
                    .push(&[level; 160], |mark| panic!("{mark:?}"))
                    .unwrap();
                assert!(stream.buffer.len() < 1_500, "{}", stream.buffer.len());
            }
            stream.finish(|mark| panic!("{mark:?}"));
        }
    }

    #[test]
    fn a_bad_chunk_is_not_taken_in() {
        let samples = speech(16_000, 1.0);
        let mut stream = PeriodStream::new(16_000, &config()).unwrap();
        let mut marks = Periods::default();
        stream
            .push(&samples[..9_000], |mark| add(&mut marks, mark))
            .unwrap();
        for bad in [f32::NAN, f32::NEG_INFINITY, 2e9] {
            let error = stream
                .push(&[0.0, bad], |mark| add(&mut marks, mark))
                .unwrap_err();
            assert!(error.to_string().starts_with("sample 1 "), "{error}");
        }
        stream
            .push(&samples[9_000..], |mark| add(&mut marks, mark))
            .unwrap();
        stream.finish(|mark| add(&mut marks, mark));
        assert!(marks.times_secs.len() > 50);
        assert_eq!(marks, whole(&samples, 16_000, &config()));
        // Finished, it is new.
        assert_eq!(streamed(&mut stream, &samples, &[777]), marks);
        assert!(PeriodStream::new(16_000, &PitchConfig::default()).is_err());
        assert!(PeriodStream::new(99, &config()).is_err());
    }

    #[test]
    fn a_bound_on_f0_gives_the_marks_of_that_f0() {
        let samples = speech(16_000, 2.0);
        let mut pitch = PitchStream::new(16_000, &config()).unwrap().within(0.05);
        let mut track = PitchTrack::default();
        pitch.push(&samples, |frame| track.push(frame)).unwrap();
        pitch.finish(|frame| track.push(frame));
        let mut stream = PeriodStream::new(16_000, &config()).unwrap().within(0.05);
        let marks = streamed(&mut stream, &samples, &[160]);
        assert_eq!(marks, periods(&samples, 16_000, &track).unwrap());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]

        #[test]
        fn any_chunks_give_what_the_whole_gives_on_voices(
            rate in proptest::sample::select(vec![8_000_u32, 11_025, 16_000, 44_100, 48_000]),
            from_secs in 0.0..0.5_f64,
            secs in 0.0..0.7_f64,
            hiss in 0.0..0.1_f32,
            gain in 1.0..20.0_f32,
            time_step_secs in 0.001..0.03_f64,
            // Voices near the floor look furthest beyond their stretches.
            floor_hz in 75.0..180.0_f64,
            voicing_threshold in 0.1..0.6_f64,
            lengths in proptest::collection::vec(0..900_usize, 1..8),
        ) {
            let voice = speech(rate, 1.3);
            let at = |secs: f64| floor_index(secs * f64::from(rate));
            let part = &voice[at(from_secs)..at(from_secs + secs)];
            let added = noise(part.len(), 9);
            let samples: Vec<f32> = part
                .iter()
                .zip(&added)
                .map(|(x, y)| (gain * (x + hiss * y)).clamp(-1.0, 1.0))
                .collect();
            let config = PitchConfig { time_step_secs, floor_hz, voicing_threshold, ..config() };
            let mut stream = PeriodStream::new(rate, &config).unwrap();
            let expected = whole(&samples, rate, &config);
            let (stretches, beyond) = (track(&samples, rate, &config).voiced_segments(), stream.beyond_secs());
            for at in &expected.times_secs {
                let near = stretches.iter().any(|s| *at > s.start_secs - beyond && *at < s.end_secs + beyond);
                proptest::prop_assert!(near, "{at}");
            }
            for _ in 0..2 {
                let marks = streamed(&mut stream, &samples, &lengths);
                proptest::prop_assert_eq!(&marks, &expected);
            }
            let mut voice = Perturbation::default();
            for chunk in chunked(&samples, &lengths) {
                stream.push(chunk, |mark| voice.push(mark)).unwrap();
            }
            stream.finish(|mark| voice.push(mark));
            proptest::prop_assert_eq!(voice.jitter(), jitter(&expected));
            proptest::prop_assert_eq!(voice.shimmer(), shimmer(&expected));
        }

        #[test]
        fn any_chunks_give_what_the_whole_gives(
            samples in any_samples(0..6000),
            rate in any_rate(),
            step in 0.1..3.0_f64,
            lengths in proptest::collection::vec(0..900_usize, 1..8),
        ) {
            let nyquist = f64::from(rate) / 2.0;
            let floor_hz = (nyquist / 16.0).clamp(10.0, 75.0);
            let config = PitchConfig {
                floor_hz,
                ceiling_hz: (8.0 * floor_hz).min(nyquist),
                time_step_secs: (step / floor_hz).min(1.0),
                // Much noise is voiced, in short stretches.
                voicing_threshold: 0.2,
                silence_threshold: 0.0,
                ..config()
            };
            let mut stream = PeriodStream::new(rate, &config).unwrap();
            let marks = streamed(&mut stream, &samples, &lengths);
            proptest::prop_assert_eq!(&marks, &whole(&samples, rate, &config));
            proptest::prop_assert!(marks.times_secs.is_sorted());
            let fine = |x: &f64| x.is_finite() && *x >= 0.0;
            proptest::prop_assert!(marks.amplitudes.iter().all(fine));
        }
    }
}
