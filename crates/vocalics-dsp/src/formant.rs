//! Resonances of the vocal tract by linear prediction.

use std::f64::consts::{PI, TAU};

use serde::{Deserialize, Serialize};

use crate::error::DspError;
use crate::frame::{check_rate, frame_times};
use crate::lpc::burg;
use crate::rate::{RateStream, lower_rate};
use crate::{check_samples, floor_index, narrow};

/// Settings of [`formants`]; the defaults are those of Praat's *To Formant (burg)*, every 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FormantConfig {
    /// Distance between frames in seconds.
    pub time_step_secs: f64,
    /// Formants the model has room for below the ceiling; the prediction order is twice that.
    pub n_formants: usize,
    /// Upper end of the band modelled, in hertz: 5500 suits women, 5000 men.
    pub ceiling_hz: f64,
    /// Effective length of the Gaussian window in seconds; the frame is twice as long.
    pub window_secs: f64,
    /// Frequency above which the spectrum is raised by 6 dB per octave, in hertz.
    pub pre_emphasis_hz: f64,
}

impl Default for FormantConfig {
    fn default() -> Self {
        Self {
            time_step_secs: 0.01,
            n_formants: 5,
            ceiling_hz: 5_500.0,
            window_secs: 0.025,
            pre_emphasis_hz: 50.0,
        }
    }
}

impl FormantConfig {
    /// Checks the sample rate and every field.
    ///
    /// # Errors
    /// [`DspError::Parameter`] naming the first that is outside its range: `sample_rate` 100 to 768000 Hz,
    /// `time_step_secs` 0.0001 to 1, `ceiling_hz` 500 to 20000, `window_secs` 0.005 to 0.5,
    /// `pre_emphasis_hz` 0 to 20000, `n_formants` 1 to 20.
    pub fn validate(&self, sample_rate: u32) -> Result<(), DspError> {
        check_rate(sample_rate)?;
        for (name, value, low, high) in [
            ("time_step_secs", self.time_step_secs, 1e-4, 1.0),
            ("ceiling_hz", self.ceiling_hz, 500.0, 20_000.0),
            ("window_secs", self.window_secs, 0.005, 0.5),
            ("pre_emphasis_hz", self.pre_emphasis_hz, 0.0, 20_000.0),
        ] {
            if !(low..=high).contains(&value) {
                return Err(DspError::parameter(name, format!("{low} to {high}"), value));
            }
        }
        if !(1..=20).contains(&self.n_formants) {
            let expected = "1 to 20";
            return Err(DspError::parameter("n_formants", expected, self.n_formants));
        }
        Ok(())
    }
}

/// One resonance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Formant {
    /// Centre frequency in hertz.
    pub hz: f32,
    /// Bandwidth at −3 dB in hertz.
    pub bandwidth_hz: f32,
    /// Level of the prediction envelope at the centre, `10 · log10(E / |A|²)` in decibels, `E` the mean
    /// squared error of the frame as windowed and pre-emphasised, full scale 1, and `A` the predictor's
    /// error filter there: power per cycle per sample of the signal at twice the ceiling. Differences
    /// between formants of a frame are what it is good for.
    pub level_db: f32,
}

/// Formants over time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FormantTrack {
    /// Centre of each frame in seconds `[n_frames]`.
    pub times_secs: Vec<f64>,
    /// Formants of each frame `[n_frames]`, by frequency rising, at most `n_formants`; F1 is the first.
    pub frames: Vec<Vec<Formant>>,
}

/// Formants by linear prediction (Burg).
///
/// The signal is brought to twice the ceiling, differentiated above `pre_emphasis_hz`
/// (`x[n] − exp(−2π·F/rate)·x[n−1]`), cut into Gaussian-windowed frames, and predicted with twice
/// `n_formants` coefficients. A pole at angle `θ` and radius `ρ` is a formant at `θ·rate/2π` with
/// bandwidth `−ln ρ·rate/π`; poles within 50 Hz of 0 or of the ceiling are none.
///
/// A sampling rate too low for the ceiling lowers the ceiling to its half. Silent and constant frames
/// have no formant; a signal shorter than a frame has no frame. Frames lie in the middle of the clip;
/// [`FormantStream`] has them from the beginning on.
///
/// # Errors
/// [`DspError::Parameter`] as [`FormantConfig::validate`]; [`DspError::NonFinite`] or
/// [`DspError::OutOfRange`] on a bad sample.
///
/// Source: J. D. Markel, A. H. Gray, *Linear Prediction of Speech*, Springer, 1976, chapter 7.
/// Reference: `parselmouth.Sound.to_formant_burg(time_step=0.01)`; agreement in `docs/voice.md`.
pub fn formants(
    samples: &[f32],
    sample_rate: u32,
    config: &FormantConfig,
) -> Result<FormantTrack, DspError> {
    config.validate(sample_rate)?;
    check_samples(samples)?;
    let (signal, rate) = prepare(samples, sample_rate, config);
    let window_secs = 2.0 * config.window_secs;
    let times = frame_times(signal.len(), rate, window_secs, config.time_step_secs);
    Ok(track(&signal, rate, config, times))
}

/// [`formants`] with frames centred on `first_secs + i · time_step_secs`, `n_frames` of them.
///
/// What a frame reaches beyond the ends of the signal counts as 0.
///
/// # Errors
/// As [`formants`]; [`DspError::Parameter`] as well if `first_secs` is not finite or negative.
pub fn formants_at(
    samples: &[f32],
    sample_rate: u32,
    config: &FormantConfig,
    first_secs: f64,
    n_frames: usize,
) -> Result<FormantTrack, DspError> {
    config.validate(sample_rate)?;
    if !(first_secs.is_finite() && first_secs >= 0.0) {
        return Err(DspError::parameter("first_secs", "at least 0", first_secs));
    }
    check_samples(samples)?;
    let (signal, rate) = prepare(samples, sample_rate, config);
    let times = (0..n_frames).map(|i| first_secs + i as f64 * config.time_step_secs);
    Ok(track(&signal, rate, config, times.collect()))
}

/// The rate that is analysed.
fn lowered(sample_rate: u32, config: &FormantConfig) -> u32 {
    let wanted = floor_index(2.0 * config.ceiling_hz + 0.5);
    u32::try_from(wanted)
        .unwrap_or(sample_rate)
        .min(sample_rate)
}

/// What of the sample before is taken off each.
fn pre_emphasis(rate: f64, config: &FormantConfig) -> f64 {
    (-TAU * config.pre_emphasis_hz / rate).exp()
}

/// The signal at twice the ceiling with its treble raised, and its rate in hertz.
fn prepare(samples: &[f32], sample_rate: u32, config: &FormantConfig) -> (Vec<f64>, f64) {
    let to = lowered(sample_rate, config);
    let mut signal = lower_rate(samples, sample_rate, to);
    let rate = f64::from(to);
    let factor = pre_emphasis(rate, config);
    for i in (1..signal.len()).rev() {
        signal[i] -= factor * signal[i - 1];
    }
    (signal, rate)
}

fn track(signal: &[f64], rate: f64, config: &FormantConfig, times_secs: Vec<f64>) -> FormantTrack {
    let mut frames = Frames::new(rate, config);
    let found = times_secs.iter().map(|time| {
        let (outside, start) = frames.place(*time);
        frames.analyse(outside, &signal[start.min(signal.len())..])
    });
    let found = found.collect();
    FormantTrack {
        times_secs,
        frames: found,
    }
}

/// Analyses one frame after another.
#[derive(Debug)]
struct Frames {
    rate: f64,
    n_formants: usize,
    window: Vec<f64>,
    frame: Vec<f64>,
}

impl Frames {
    fn new(rate: f64, config: &FormantConfig) -> Self {
        let length = floor_index(2.0 * config.window_secs * rate).max(1);
        Self {
            rate,
            n_formants: config.n_formants,
            window: gaussian(length),
            frame: vec![0.0; length],
        }
    }

    /// How many samples of a frame lie before the signal, and where in it the others begin.
    fn place(&self, time_secs: f64) -> (usize, usize) {
        let length = self.frame.len();
        let start = time_secs * self.rate - 0.5 - (length - 1) as f64 / 2.0;
        let outside = floor_index((0.5 - start).max(0.0)).min(length);
        (outside, floor_index((start + 0.5).max(0.0)))
    }

    /// Formants of the frame that begins with `outside` zeros and goes on with `signal`.
    fn analyse(&mut self, outside: usize, signal: &[f64]) -> Vec<Formant> {
        self.frame.fill(0.0);
        for (y, x) in self.frame[outside..].iter_mut().zip(signal) {
            *y = *x;
        }
        if is_constant(&self.frame) {
            return Vec::new();
        }
        for (y, w) in self.frame.iter_mut().zip(&self.window) {
            *y *= w;
        }
        resonances(&self.frame, self.rate, self.n_formants)
    }
}

/// [`formants`] for a signal that comes in chunks, with frames from 0 s on for as long as there are samples.
///
/// Each frame is that of the whole clip, whatever the chunks, except that the clip's new samples lie in its middle and these at its
/// beginning, less than one of them apart. A frame comes [`look_ahead_secs`](Self::look_ahead_secs) after its centre.
///
/// ```
/// use vocalics_dsp::formant::{FormantConfig, FormantStream};
///
/// let mut stream = FormantStream::new(16_000, &FormantConfig::default())?;
/// let tone: Vec<f32> = (0..8_000u16).map(|n| (f32::from(n) * 0.4).sin()).collect();
/// let mut n_frames = 0;
/// for chunk in tone.chunks(160) {
///     stream.push(chunk, |_, formants| n_frames += usize::from(!formants.is_empty()))?;
/// }
/// assert!(n_frames > 40);
/// # Ok::<(), vocalics_dsp::DspError>(())
/// ```
#[derive(Debug)]
pub struct FormantStream {
    time_step_secs: f64,
    sample_rate: f64,
    factor: f64,
    source: RateStream,
    frames: Frames,
    /// The newest sample before its treble is raised.
    last: f64,
    lowered: Vec<f64>,
    /// The signal as it is analysed, without what no frame needs any more.
    signal: Vec<f64>,
    dropped: usize,
    n_frames: usize,
}

impl FormantStream {
    /// A stream before its first sample.
    ///
    /// # Errors
    /// [`DspError::Parameter`] as [`FormantConfig::validate`].
    pub fn new(sample_rate: u32, config: &FormantConfig) -> Result<Self, DspError> {
        config.validate(sample_rate)?;
        let to = lowered(sample_rate, config);
        let rate = f64::from(to);
        Ok(Self {
            time_step_secs: config.time_step_secs,
            sample_rate: f64::from(sample_rate),
            factor: pre_emphasis(rate, config),
            source: RateStream::new(sample_rate, to),
            frames: Frames::new(rate, config),
            last: 0.0,
            lowered: Vec::new(),
            signal: Vec::new(),
            dropped: 0,
            n_frames: 0,
        })
    }

    /// Seconds of samples behind its centre that a frame needs, at most.
    #[must_use]
    pub fn look_ahead_secs(&self) -> f64 {
        let half = (self.frames.frame.len() as f64 / 2.0 + 1.0) / self.frames.rate;
        half + (self.source.reach() + 1.0) / self.sample_rate
    }

    /// Takes a chunk of any length and gives the frames that are known now: centre in seconds, formants by frequency rising.
    ///
    /// # Errors
    /// [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample, its index that in the chunk; nothing of the chunk is taken in.
    pub fn push(
        &mut self,
        samples: &[f32],
        mut each: impl FnMut(f64, Vec<Formant>),
    ) -> Result<(), DspError> {
        check_samples(samples)?;
        self.source.push(samples, &mut self.lowered);
        self.raise();
        loop {
            let (outside, start) = self.frames.place(self.time_secs());
            let end = start + self.frames.frame.len() - outside;
            if end > self.dropped + self.signal.len() {
                let surplus = start.saturating_sub(self.dropped).min(self.signal.len());
                self.signal.drain(..surplus);
                self.dropped += surplus;
                return Ok(());
            }
            self.frame(&mut each);
        }
    }

    /// Ends the stream: all frames whose centres lie within the signal; what they reach beyond it counts as 0. The stream starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(f64, Vec<Formant>)) {
        let end = self.source.known() as f64 / self.sample_rate;
        self.source.finish(&mut self.lowered);
        self.raise();
        while end > 0.0 && self.time_secs() <= end {
            self.frame(&mut each);
        }
        self.signal.clear();
        (self.last, self.dropped, self.n_frames) = (0.0, 0, 0);
    }

    /// Centre of the next frame.
    fn time_secs(&self) -> f64 {
        self.n_frames as f64 * self.time_step_secs
    }

    /// Raises the treble of the samples at the lower rate.
    fn raise(&mut self) {
        for x in self.lowered.drain(..) {
            self.signal.push(x - self.factor * self.last);
            self.last = x;
        }
    }

    fn frame(&mut self, each: &mut impl FnMut(f64, Vec<Formant>)) {
        let time_secs = self.time_secs();
        let (outside, start) = self.frames.place(time_secs);
        // Frames before this one needed what is left.
        let start = start.saturating_sub(self.dropped).min(self.signal.len());
        each(
            time_secs,
            self.frames.analyse(outside, &self.signal[start..]),
        );
        self.n_frames += 1;
    }
}

/// Whether a frame holds one value, within what the low-pass filter's rounding leaves of it: the poles of
/// such a frame are those of the window.
fn is_constant(frame: &[f64]) -> bool {
    let low = frame.iter().copied().fold(f64::INFINITY, f64::min);
    let high = frame.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    high - low <= 1e-12 * high.max(-low)
}

/// Formants of one windowed frame sampled at `rate` hertz.
pub(crate) fn resonances(frame: &[f64], rate: f64, n_formants: usize) -> Vec<Formant> {
    let model = burg(frame, 2 * n_formants);
    if model.error <= 0.0 {
        return Vec::new();
    }
    let margin = 50.0;
    model
        .resonances()
        .iter()
        .map(|pole| (pole, pole.arg() * rate / TAU))
        .filter(|(_, hz)| (margin..=rate / 2.0 - margin).contains(hz))
        .map(|(pole, hz)| Formant {
            hz: narrow(hz),
            bandwidth_hz: narrow(-pole.norm().ln() * rate / PI),
            level_db: narrow(10.0 * model.power(pole.arg()).max(1e-30).log10()),
        })
        .take(n_formants)
        .collect()
}

/// Gaussian window that reaches 0 just outside its `length` points.
///
/// Source: Boersma 1993, postscript.
fn gaussian(length: usize) -> Vec<f64> {
    let edge = (-12.0_f64).exp();
    let middle = (length + 1) as f64 / 2.0;
    (1..=length)
        .map(|n| {
            let x = (n as f64 - middle) / (length + 1) as f64;
            ((-48.0 * x * x).exp() - edge) / (1.0 - edge)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_rate, any_samples};

    /// Pulses at `f0` through resonators in series: a vowel with known formants.
    fn vowel(rate: u32, f0: f64, formants: &[(f64, f64)], secs: f64) -> Vec<f32> {
        let fs = f64::from(rate);
        let n = floor_index(secs * fs);
        let mut x = vec![0.0; n];
        let mut next = 0.0;
        while floor_index(next) < n {
            x[floor_index(next)] = 1.0;
            next += fs / f0;
        }
        // A voice falls by about 6 dB per octave, which pre-emphasis makes up for.
        for i in 1..n {
            x[i] += (-TAU * 50.0 / fs).exp() * x[i - 1];
        }
        for (hz, bandwidth) in formants {
            let radius = (-PI * bandwidth / fs).exp();
            let (b, c) = (2.0 * radius * (TAU * hz / fs).cos(), -radius * radius);
            for i in 0..n {
                let one = if i > 0 { x[i - 1] } else { 0.0 };
                let two = if i > 1 { x[i - 2] } else { 0.0 };
                x[i] = (1.0 - b - c) * x[i] + b * one + c * two;
            }
        }
        let peak = x.iter().fold(0.0, |p: f64, v| p.max(v.abs()));
        x.iter().map(|v| narrow(0.5 * v / peak)).collect()
    }

    #[test]
    fn a_synthetic_vowel_gives_its_formants_back() {
        let truth = [
            (700.0, 80.0),
            (1220.0, 90.0),
            (2600.0, 120.0),
            (3300.0, 200.0),
            (4200.0, 250.0),
        ];
        // At a higher rate the synthesis lacks the poles of its upper band, and F3 is not what was put in.
        for (rate, known) in [(11_025, 4), (16_000, 3), (44_100, 2), (48_000, 2)] {
            let samples = vowel(rate, 100.0, &truth, 0.5);
            let track = formants(&samples, rate, &FormantConfig::default()).unwrap();
            assert!(track.frames.len() >= 40);
            for (k, (hz, _)) in truth.iter().enumerate().take(known) {
                let formants = track.frames.iter().filter_map(|f| f.get(k));
                let mut values: Vec<f64> = formants.map(|f| f64::from(f.hz)).collect();
                values.sort_by(f64::total_cmp);
                let median = values[values.len() / 2];
                assert!(
                    (median / hz - 1.0).abs() < 0.02,
                    "{rate} F{}: {median}",
                    k + 1
                );
            }
        }
    }

    #[test]
    fn a_constant_has_no_formant() {
        let config = FormantConfig::default();
        for rate in [1_000, 8_000, 11_025, 16_000, 44_100, 48_000] {
            for level in [0.5, -1e-4, 1e9] {
                let samples = vec![level; rate as usize / 2];
                let track = formants(&samples, rate, &config).unwrap();
                // Frames near the ends see the filter's own step from silence.
                let inner = 8..track.frames.len() - 8;
                assert!(inner.len() > 20, "{rate}");
                assert!(
                    track.frames[inner].iter().all(Vec::is_empty),
                    "{rate} {level}"
                );
            }
        }
    }

    #[test]
    fn odd_input_is_defined() {
        let config = FormantConfig::default();
        for samples in [vec![0.0; 8000], vec![]] {
            let track = formants(&samples, 16_000, &config).unwrap();
            assert!(track.frames.iter().all(Vec::is_empty));
        }
        assert!(
            formants(&[0.1; 100], 16_000, &config)
                .unwrap()
                .frames
                .is_empty()
        );
        let track = formants(&vowel(8_000, 120.0, &[(500.0, 60.0)], 0.3), 8_000, &config).unwrap();
        assert!(
            track
                .frames
                .iter()
                .flatten()
                .all(|f| f.hz.is_finite() && f.bandwidth_hz >= 0.0)
        );
        assert!(formants(&[f32::INFINITY; 8000], 16_000, &config).is_err());
        assert!(
            formants(
                &[],
                16_000,
                &FormantConfig {
                    n_formants: 0,
                    ..config
                }
            )
            .is_err()
        );
        assert!(
            formants(
                &[],
                16_000,
                &FormantConfig {
                    window_secs: f64::NAN,
                    ..config
                }
            )
            .is_err()
        );
    }

    fn streamed(
        stream: &mut FormantStream,
        samples: &[f32],
        sizes: &[usize],
    ) -> Vec<(f64, Vec<Formant>)> {
        let (mut frames, mut at) = (Vec::new(), 0);
        for size in sizes.iter().cycle() {
            if at == samples.len() {
                break;
            }
            let end = (at + size).min(samples.len());
            let each = |time, formants| frames.push((time, formants));
            stream.push(&samples[at..end], each).unwrap();
            at = end;
        }
        stream.finish(|time, formants| frames.push((time, formants)));
        frames
    }

    #[test]
    fn a_stream_gives_the_formants_of_the_whole_soon() {
        let truth = [(700.0, 80.0), (1220.0, 90.0), (2600.0, 120.0)];
        let samples = vowel(16_000, 100.0, &truth, 0.5);
        let config = FormantConfig::default();
        let mut stream = FormantStream::new(16_000, &config).unwrap();
        let mut latest = 0.0_f64;
        for (n, chunk) in samples.chunks(80).enumerate() {
            let now = (n + 1) as f64 * 0.005;
            let each = |time: f64, _| latest = latest.max(now - time);
            stream.push(chunk, each).unwrap();
        }
        assert!(latest <= stream.look_ahead_secs() + 0.005, "{latest} s");
        assert!(
            stream.look_ahead_secs() < 0.031,
            "{}",
            stream.look_ahead_secs()
        );
        stream.finish(|_, _| {});
        let frames = streamed(&mut stream, &samples, &[160]);
        assert_eq!(frames.len(), 51);
        // The whole clip's new samples lie a part of one beside these.
        let whole = formants_at(&samples, 16_000, &config, 0.0, 51).unwrap();
        for ((_, a), b) in frames.iter().zip(&whole.frames).skip(4).take(43) {
            for (a, b) in a.iter().zip(b).take(3) {
                assert!((a.hz / b.hz - 1.0).abs() < 0.02, "{a:?} {b:?}");
            }
        }
        // At a rate that is not lowered they are the same.
        let config = FormantConfig {
            ceiling_hz: 8_000.0,
            ..config
        };
        let mut stream = FormantStream::new(16_000, &config).unwrap();
        let frames = streamed(&mut stream, &samples, &[333]);
        let whole = formants_at(&samples, 16_000, &config, 0.0, 51).unwrap();
        let frames: Vec<_> = frames.into_iter().map(|(_, formants)| formants).collect();
        assert_eq!(frames, whole.frames);
        assert!(stream.push(&[0.0, f32::NAN], |_, _| {}).is_err());
    }

    #[test]
    fn frames_placed_where_the_batch_form_has_them_are_the_same() {
        let config = FormantConfig::default();
        let samples = vowel(16_000, 120.0, &[(500.0, 60.0), (1500.0, 90.0)], 0.4);
        let track = formants(&samples, 16_000, &config).unwrap();
        let (first_secs, n_frames) = (track.times_secs[0], track.frames.len());
        let placed = formants_at(&samples, 16_000, &config, first_secs, n_frames).unwrap();
        assert_eq!(placed, track);
        let beyond = formants_at(&samples, 16_000, &config, f64::MAX, 2).unwrap();
        assert_eq!(beyond.frames, [vec![], vec![]]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(24))]

        #[test]
        fn any_chunks_give_the_same(
            samples in any_samples(0..4000),
            rate in any_rate(),
            sizes in proptest::collection::vec(1..700_usize, 1..6),
        ) {
            let mut stream = FormantStream::new(rate, &FormantConfig::default()).unwrap();
            let whole = streamed(&mut stream, &samples, &[samples.len().max(1)]);
            let parts = streamed(&mut stream, &samples, &sizes);
            proptest::prop_assert_eq!(parts, whole);
        }

        #[test]
        fn finite_on_any_input(
            samples in any_samples(0..4000),
            rate in any_rate(),
            n_formants in 1_usize..=20,
            ceiling_hz in 500.0..20_000.0,
            window_secs in 0.005..0.03,
            pre_emphasis_hz in 0.0..20_000.0,
            first_secs in 0.0..0.2,
        ) {
            let config = FormantConfig {
                n_formants,
                ceiling_hz,
                window_secs,
                pre_emphasis_hz,
                time_step_secs: 0.03,
            };
            for track in [
                formants(&samples, rate, &config).unwrap(),
                formants_at(&samples, rate, &config, first_secs, 3).unwrap(),
            ] {
                for frame in &track.frames {
                    proptest::prop_assert!(frame.len() <= n_formants);
                    for f in frame {
                        let fine = f.hz > 0.0
                            && f64::from(f.hz) < ceiling_hz
                            && f.bandwidth_hz >= 0.0
                            && f.bandwidth_hz.is_finite()
                            && f.level_db.is_finite();
                        proptest::prop_assert!(fine, "{f:?}");
                    }
                }
            }
        }
    }
}
