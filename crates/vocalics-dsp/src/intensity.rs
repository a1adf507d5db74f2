//! Sound pressure level over time.

use crate::error::DspError;
use crate::frame::{check_rate, frame_times};
use crate::window::bessel_i0;
use crate::{check_samples, floor_index, narrow};

/// Pressure of 0 dB, in pascal, when a sample of 1 counts as 1 Pa.
const REFERENCE_PASCAL: f64 = 2e-5;

/// Shape of the Kaiser window.
const BETA: f64 = 2.0 * std::f64::consts::PI * std::f64::consts::PI + 0.5;

/// Lowest intensity reported, in decibels.
pub const MIN_INTENSITY_DB: f32 = -300.0;

/// Intensity over time; both vectors are `[n_frames]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IntensityTrack {
    /// Centre of each frame in seconds.
    pub times_secs: Vec<f64>,
    /// Intensity in decibels re 20 µPa, a sample of 1 taken for 1 Pa: a full-scale sine has 90.97 dB.
    pub intensity_db: Vec<f32>,
}

/// Length of the window of [`intensity`] in seconds, `6.4 / minimum_pitch_hz`.
#[must_use]
pub fn window_secs(minimum_pitch_hz: f64) -> f64 {
    6.4 / minimum_pitch_hz
}

/// Intensity in decibels re 20 µPa.
///
/// `10 · log10(Σ w·(x − m)² / Σ w / 4·10⁻¹⁰)` over a Kaiser window (`β = 2π² + ½`, side lobes below
/// −190 dB) `6.4 / minimum_pitch_hz` seconds long, `m` the frame's mean. The window is
/// long enough for a voice at `minimum_pitch_hz` to have no ripple at its own period.
///
/// Silence and constants give [`MIN_INTENSITY_DB`]; a signal shorter than a window has no frame.
/// Frames lie in the middle of the clip; [`IntensityStream`] has them from the beginning on.
///
/// # Errors
/// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000, `minimum_pitch_hz` 10 to 1000 and
/// `time_step_secs` 0.0001 to 1; [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample.
///
/// Source: Praat manual, *Sound: To Intensity...*. Reference:
/// `parselmouth.Sound.to_intensity(minimum_pitch, time_step)`; agreement in `docs/voice.md`.
pub fn intensity(
    samples: &[f32],
    sample_rate: u32,
    minimum_pitch_hz: f64,
    time_step_secs: f64,
) -> Result<IntensityTrack, DspError> {
    let meter = Meter::new(sample_rate, minimum_pitch_hz, time_step_secs)?;
    check_samples(samples)?;
    let window_secs = window_secs(minimum_pitch_hz);
    let times_secs = frame_times(samples.len(), meter.rate, window_secs, time_step_secs);
    Ok(meter.track(samples, times_secs))
}

/// [`intensity`] with frames centred on `first_secs + i · time_step_secs`, `n_frames` of them.
///
/// A window that reaches beyond the ends of the signal measures what of it lies inside, with the weights there; one that lies
/// beyond altogether has [`MIN_INTENSITY_DB`].
///
/// # Errors
/// As [`intensity`]; [`DspError::Parameter`] as well if `first_secs` is not finite or negative.
pub fn intensity_at(
    samples: &[f32],
    sample_rate: u32,
    minimum_pitch_hz: f64,
    time_step_secs: f64,
    first_secs: f64,
    n_frames: usize,
) -> Result<IntensityTrack, DspError> {
    let meter = Meter::new(sample_rate, minimum_pitch_hz, time_step_secs)?;
    if !(first_secs.is_finite() && first_secs >= 0.0) {
        return Err(DspError::parameter("first_secs", "at least 0", first_secs));
    }
    check_samples(samples)?;
    let times = (0..n_frames).map(|i| first_secs + i as f64 * time_step_secs);
    Ok(meter.track(samples, times.collect()))
}

/// Measures one frame after another.
#[derive(Debug, Clone)]
struct Meter {
    rate: f64,
    /// Samples of a window on either side of its middle.
    half: usize,
    /// `[2 · half + 1]`
    window: Vec<f64>,
}

impl Meter {
    fn new(sample_rate: u32, minimum_pitch_hz: f64, time_step_secs: f64) -> Result<Self, DspError> {
        let rate = check_rate(sample_rate)?;
        if !(10.0..=1_000.0).contains(&minimum_pitch_hz) {
            return Err(DspError::parameter(
                "minimum_pitch_hz",
                "10 to 1000",
                minimum_pitch_hz,
            ));
        }
        if !(1e-4..=1.0).contains(&time_step_secs) {
            return Err(DspError::parameter(
                "time_step_secs",
                "0.0001 to 1",
                time_step_secs,
            ));
        }
        let reach = 0.5 * window_secs(minimum_pitch_hz) * rate;
        let half = floor_index(reach);
        let weight = |n: usize| {
            let x = (n as f64 - half as f64) / reach;
            bessel_i0(BETA * (1.0 - x * x).max(0.0).sqrt())
        };
        Ok(Self {
            rate,
            half,
            window: (0..=2 * half).map(weight).collect(),
        })
    }

    /// The sample in the middle of a frame.
    fn middle(&self, time_secs: f64) -> usize {
        floor_index((time_secs * self.rate).max(0.0))
    }

    fn track(&self, samples: &[f32], times_secs: Vec<f64>) -> IntensityTrack {
        // From here on no window touches a sample.
        let beyond = samples.len() + self.half;
        let level = |time: &f64| self.level_db(samples, self.middle(*time).min(beyond));
        IntensityTrack {
            intensity_db: times_secs.iter().map(level).collect(),
            times_secs,
        }
    }

    /// Intensity of the frame around sample `middle`, in decibels.
    fn level_db(&self, samples: &[f32], middle: usize) -> f32 {
        let half = self.half;
        let skip = half.saturating_sub(middle);
        let begin = middle.saturating_sub(half).min(samples.len());
        let frame = &samples[begin..(middle + half + 1).clamp(begin, samples.len())];
        let mean = frame.iter().map(|x| f64::from(*x)).sum::<f64>() / frame.len().max(1) as f64;
        let (mut weight, mut sum) = (0.0, 0.0);
        for (x, w) in frame.iter().zip(&self.window[skip..]) {
            weight += w;
            sum += w * (f64::from(*x) - mean).powi(2);
        }
        let power = if weight > 0.0 { sum / weight } else { 0.0 };
        // What cancellation leaves of a constant is not sound.
        if power <= 1e-13 * mean * mean {
            return MIN_INTENSITY_DB;
        }
        narrow(10.0 * (power / REFERENCE_PASCAL.powi(2)).log10()).max(MIN_INTENSITY_DB)
    }
}

/// [`intensity`] for a signal that comes in chunks, with frames from 0 s on for as long as there are samples.
///
/// The frames are those of [`intensity_at`] from 0 s on, bit for bit, whatever the chunks: half of the first window lies before
/// the signal. A frame comes [`look_ahead_secs`](Self::look_ahead_secs) after its centre, half a window; no more than a window of
/// samples and the newest chunk is kept. Silence, constants and samples as in [`intensity`]; without samples there is no frame.
///
/// ```
/// use vocalics_dsp::intensity::IntensityStream;
///
/// let mut stream = IntensityStream::new(16_000, 100.0, 0.01)?;
/// let tone: Vec<f32> = (0..8_000u16).map(|n| (f32::from(n) * 0.0864).sin()).collect();
/// let mut levels = Vec::new();
/// for chunk in tone.chunks(160) {
///     stream.push(chunk, |_, db| levels.push(db))?;
/// }
/// stream.finish(|_, db| levels.push(db));
/// assert_eq!(levels.len(), 51);
/// assert!((levels[25] - 90.97).abs() < 0.01);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
#[derive(Debug, Clone)]
pub struct IntensityStream {
    meter: Meter,
    time_step_secs: f64,
    buffer: Vec<f32>,
    /// Samples that were dropped before the buffer.
    dropped: usize,
    n_frames: usize,
}

impl IntensityStream {
    /// A stream before its first sample.
    ///
    /// # Errors
    /// [`DspError::Parameter`] as [`intensity`].
    pub fn new(
        sample_rate: u32,
        minimum_pitch_hz: f64,
        time_step_secs: f64,
    ) -> Result<Self, DspError> {
        Ok(Self {
            meter: Meter::new(sample_rate, minimum_pitch_hz, time_step_secs)?,
            time_step_secs,
            buffer: Vec::new(),
            dropped: 0,
            n_frames: 0,
        })
    }

    /// Seconds of samples behind its centre that a frame needs.
    #[must_use]
    pub fn look_ahead_secs(&self) -> f64 {
        (self.meter.half + 1) as f64 / self.meter.rate
    }

    /// Takes a chunk of any length and gives the frames that are known now: centre in seconds, intensity in decibels.
    ///
    /// # Errors
    /// [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample, its index that in the chunk; nothing of the chunk is taken in.
    pub fn push(
        &mut self,
        samples: &[f32],
        mut each: impl FnMut(f64, f32),
    ) -> Result<(), DspError> {
        check_samples(samples)?;
        self.buffer.extend_from_slice(samples);
        let known = self.dropped + self.buffer.len();
        while self.middle() + self.meter.half < known {
            self.frame(&mut each);
        }
        let kept = self.middle().saturating_sub(self.meter.half);
        let surplus = kept.saturating_sub(self.dropped).min(self.buffer.len());
        self.buffer.drain(..surplus);
        self.dropped += surplus;
        Ok(())
    }

    /// Ends the stream: all frames whose centres lie within the signal. The stream starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(f64, f32)) {
        let known = self.dropped + self.buffer.len();
        while known > 0 && self.time_secs() <= known as f64 / self.meter.rate {
            self.frame(&mut each);
        }
        self.buffer.clear();
        (self.dropped, self.n_frames) = (0, 0);
    }

    /// Centre of the next frame.
    fn time_secs(&self) -> f64 {
        self.n_frames as f64 * self.time_step_secs
    }

    fn middle(&self) -> usize {
        self.meter.middle(self.time_secs())
    }

    fn frame(&mut self, each: &mut impl FnMut(f64, f32)) {
        // Nothing before the buffer lies within the reach of a frame.
        let middle = self.middle() - self.dropped;
        each(self.time_secs(), self.meter.level_db(&self.buffer, middle));
        self.n_frames += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_stream::tests::chunked;
    use crate::test_signal::{any_rate, any_samples, noise};

    fn streamed(
        stream: &mut IntensityStream,
        samples: &[f32],
        lengths: &[usize],
    ) -> IntensityTrack {
        let mut track = IntensityTrack::default();
        let mut add = |time_secs: f64, db: f32| {
            track.times_secs.push(time_secs);
            track.intensity_db.push(db);
        };
        for chunk in chunked(samples, lengths) {
            stream.push(chunk, &mut add).unwrap();
        }
        stream.finish(add);
        track
    }

    #[test]
    fn a_sine_has_its_level_at_every_rate() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            let w = std::f64::consts::TAU * 200.0 / f64::from(rate);
            let tone: Vec<f32> = (0..rate / 2)
                .map(|n| narrow((w * f64::from(n)).sin() + 0.3))
                .collect();
            let track = intensity(&tone, rate, 100.0, 0.01).unwrap();
            let expected = 10.0 * (0.5_f32 / 4e-10).log10();
            assert!(track.intensity_db.len() > 40);
            assert!(
                track
                    .intensity_db
                    .iter()
                    .all(|db| (db - expected).abs() < 0.01),
                "{rate}"
            );
        }
    }

    #[test]
    fn odd_input_is_defined() {
        for samples in [vec![0.0; 4000], vec![0.3; 4000]] {
            let track = intensity(&samples, 16_000, 100.0, 0.01).unwrap();
            assert!(track.intensity_db.iter().all(|db| *db <= MIN_INTENSITY_DB));
        }
        assert!(
            intensity(&[0.1; 100], 16_000, 100.0, 0.01)
                .unwrap()
                .times_secs
                .is_empty()
        );
        assert!(intensity(&[f32::NAN], 16_000, 100.0, 0.01).is_err());
        assert!(intensity(&[0.0], 16_000, f64::NAN, 0.01).is_err());
        assert!(intensity(&[0.0], 16_000, 100.0, 0.0).is_err());
        assert!(intensity(&[0.0], 0, 100.0, 0.01).is_err());
    }

    #[test]
    fn frames_placed_where_the_batch_form_has_them_are_the_same() {
        let samples = noise(8_000, 3);
        let track = intensity(&samples, 16_000, 100.0, 0.01).unwrap();
        let (first_secs, n_frames) = (track.times_secs[0], track.times_secs.len());
        let placed = intensity_at(&samples, 16_000, 100.0, 0.01, first_secs, n_frames).unwrap();
        assert_eq!(placed, track);
        for first_secs in [0.6, 1e15, f64::MAX] {
            let track = intensity_at(&samples, 16_000, 100.0, 0.01, first_secs, 1).unwrap();
            assert_eq!(track.intensity_db, [MIN_INTENSITY_DB], "{first_secs}");
        }
        for bad in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(intensity_at(&samples, 16_000, 100.0, 0.01, bad, 1).is_err());
        }
    }

    #[test]
    fn a_stream_gives_a_frame_half_a_window_later_and_keeps_a_window() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            let samples = noise(20_000, 5);
            let mut stream = IntensityStream::new(rate, 100.0, 0.01).unwrap();
            assert!((stream.look_ahead_secs() - 0.032).abs() < 2e-4);
            let mut track = IntensityTrack::default();
            for (n, sample) in samples.iter().enumerate() {
                let mut add = |time_secs, db| {
                    track.times_secs.push(time_secs);
                    track.intensity_db.push(db);
                };
                stream.push(&[*sample], &mut add).unwrap();
                let due = (n + 1) as f64 / f64::from(rate) - stream.look_ahead_secs();
                let come = track.times_secs.len() as f64 * 0.01;
                assert!(come > due - 1e-9, "{come} of {due} s");
                assert!(stream.buffer.len() <= stream.meter.window.len());
            }
            let whole = intensity_at(&samples, rate, 100.0, 0.01, 0.0, track.times_secs.len());
            assert_eq!(track, whole.unwrap());
        }
    }

    #[test]
    fn a_bad_chunk_is_not_taken_in() {
        let samples = noise(3_000, 6);
        let mut stream = IntensityStream::new(16_000, 100.0, 0.01).unwrap();
        let mut levels = Vec::new();
        stream
            .push(&samples[..1_000], |_, db| levels.push(db))
            .unwrap();
        for (bad, index) in [(f32::NAN, 1), (2e9, 1)] {
            let error = stream
                .push(&[0.0, bad], |_, db| levels.push(db))
                .unwrap_err();
            assert!(
                error.to_string().contains(&format!("sample {index}")),
                "{error}"
            );
        }
        stream
            .push(&samples[1_000..], |_, db| levels.push(db))
            .unwrap();
        stream.finish(|_, db| levels.push(db));
        let whole = streamed(&mut stream, &samples, &[3_000]);
        assert_eq!(levels, whole.intensity_db);
        assert!(IntensityStream::new(99, 100.0, 0.01).is_err());
        assert!(IntensityStream::new(16_000, f64::NAN, 0.01).is_err());
        assert!(IntensityStream::new(16_000, 100.0, 2.0).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        #[test]
        fn any_chunks_give_what_the_whole_gives(
            samples in any_samples(0..4000),
            rate in any_rate(),
            minimum_pitch_hz in 10.0..1000.0,
            time_step_secs in 0.001..0.1,
            lengths in proptest::collection::vec(0..900_usize, 1..8),
        ) {
            let mut stream = IntensityStream::new(rate, minimum_pitch_hz, time_step_secs).unwrap();
            for _ in 0..2 {
                let track = streamed(&mut stream, &samples, &lengths);
                let n_frames = track.times_secs.len();
                proptest::prop_assert_eq!(n_frames == 0, samples.is_empty());
                let whole = intensity_at(&samples, rate, minimum_pitch_hz, time_step_secs, 0.0, n_frames);
                proptest::prop_assert_eq!(&track, &whole.unwrap());
                let in_range = |db: &f32| (MIN_INTENSITY_DB..=300.0).contains(db);
                proptest::prop_assert!(track.intensity_db.iter().all(in_range));
            }
        }

        #[test]
        fn finite_on_any_input(
            samples in any_samples(0..3000),
            rate in any_rate(),
            minimum_pitch_hz in 10.0..1000.0,
            time_step_secs in 0.001..0.1,
        ) {
            let track = intensity(&samples, rate, minimum_pitch_hz, time_step_secs).unwrap();
            proptest::prop_assert_eq!(track.times_secs.len(), track.intensity_db.len());
            let in_range = |db: &f32| (MIN_INTENSITY_DB..=300.0).contains(db);
            proptest::prop_assert!(track.intensity_db.iter().all(in_range));
        }
    }
}
