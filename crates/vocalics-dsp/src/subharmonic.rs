//! Fundamental frequency by subharmonic summation.

mod axis;

use crate::error::DspError;
use crate::interpolate::parabola;
use crate::path::best_path;
use crate::pitch::PitchTrack;
use crate::windowed_power::WindowedPower;
use crate::{check_samples, floor_index, narrow};

use axis::OctaveAxis;

/// Lowest frequency of the logarithmic axis, in hertz.
const LOWEST_HZ: f64 = 25.0;
/// Where half is heard, in hertz, and how fast that rises.
const HEARING_HZ: f64 = 30.0;
const HEARING_SLOPE: f64 = 3.0;
/// Harmonics summed.
const N_HARMONICS: usize = 15;
/// Weight of a harmonic against the one below it.
const COMPRESSION: f64 = 0.85;
/// Bins kept on either side of a peak.
const PEAK_REACH: usize = 2;
/// Candidates kept per frame.
const N_CANDIDATES: usize = 6;
/// Length of a frame and distance between frames, in seconds.
const FRAME_SECS: f64 = 0.06;
const STEP_SECS: f64 = 0.01;
/// Deviation of the Gaussian window in half-lengths of the frame.
const SIGMA: f64 = 0.4;

/// Settings of [`subharmonic_pitch`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SubharmonicConfig {
    /// Lowest f0 looked for, in hertz.
    pub floor_hz: f64,
    /// Highest f0 looked for, in hertz.
    pub ceiling_hz: f64,
    /// Strength, 0 to 1, from which a frame speaks for a voice.
    pub voicing_threshold: f64,
    /// Root mean square of the windowed frame below which it is unvoiced; full scale is 1.
    pub silence_rms: f64,
    /// How much the path loses with a candidate weaker than the frame's best, per unit of strength.
    pub strength_weight: f64,
    /// Cost of a jump, per octave.
    pub octave_jump_cost: f64,
    /// Cost of going between voiced and unvoiced, where deciding against a frame's threshold costs 1.
    pub voiced_unvoiced_cost: f64,
}

impl Default for SubharmonicConfig {
    /// 55 to 1000 Hz; thresholds and costs as measured on the reference (`docs/egemaps.md`).
    fn default() -> Self {
        Self {
            floor_hz: 55.0,
            ceiling_hz: 1_000.0,
            voicing_threshold: 0.7,
            silence_rms: 1e-3,
            strength_weight: 80.0,
            octave_jump_cost: 2.2,
            voiced_unvoiced_cost: 1.25,
        }
    }
}

/// f0 by subharmonic summation with path finding.
///
/// The magnitude spectrum of each frame (60 ms every 10 ms, Gaussian window) keeps what lies within two bins of
/// a peak, is smoothed by (¼, ½, ¼), laid on a logarithmic axis from 25 Hz by splines, and weighted by an
/// arctangent of the octaves above 30 Hz; then `H(f) = Σ 0.85ⁿ⁻¹ · P(n·f) / 15` over 15 harmonics. A
/// candidate is a peak of `H` between floor and ceiling, its strength `1 − mean(H) / H`. Of all paths the one wins
/// that costs least: for what its candidates lack of each frame's best, for jumps, for changes between voiced and
/// unvoiced, and 1 for each frame that it calls voiced or unvoiced against `voicing_threshold`.
///
/// Frame `i` begins at `i · 10` ms and lies wholly inside the signal. The track's strength is that of the
/// frame's best candidate. Silence and constants are unvoiced; below 60 ms there is no frame. Unlike
/// [`pitch`](crate::pitch::pitch) it knows an absolute gate, `silence_rms`. Viterbi's choice at one frame can
/// depend on any later one, so there is no streaming form.
///
/// # Errors
/// [`DspError::Parameter`] unless `sample_rate` is 4000 to 768000 and `30 ≤ floor_hz < ceiling_hz ≤
/// sample_rate / 2`; [`DspError::NonFinite`] or [`DspError::OutOfRange`] on a bad sample.
///
/// Source: D. J. Hermes, "Measurement of pitch by subharmonic summation", *Journal of the Acoustical Society
/// of America* 83, 1988; F. Eyben, *Real-time Speech and Music Classification by Large Audio Feature Space
/// Extraction*, Springer, 2016, section 2.2.11 (15 harmonics, 0.85, the strength of voicing).
/// Reference: `opensmile` eGeMAPSv02, `F0semitoneFrom27.5Hz`; agreement in `docs/egemaps.md`.
pub fn subharmonic_pitch(
    samples: &[f32],
    sample_rate: u32,
    config: &SubharmonicConfig,
) -> Result<PitchTrack, DspError> {
    if !(4_000..=768_000).contains(&sample_rate) {
        let expected = "4000 to 768000 Hz";
        return Err(DspError::parameter("sample_rate", expected, sample_rate));
    }
    let rate = f64::from(sample_rate);
    let range = config.floor_hz >= 30.0 && config.floor_hz < config.ceiling_hz;
    if !(range && config.ceiling_hz <= rate / 2.0) {
        let expected = format!(
            "above floor_hz ({}, at least 30), at most {}",
            config.floor_hz,
            rate / 2.0
        );
        return Err(DspError::parameter(
            "ceiling_hz",
            expected,
            config.ceiling_hz,
        ));
    }
    check_samples(samples)?;
    let length = floor_index(FRAME_SECS * rate + 0.5);
    let mut summation = Summation::new(length, rate)?;
    let mut track = PitchTrack::default();
    let mut frames = Vec::new();
    for index in 0_u32.. {
        let begin = floor_index(f64::from(index) * STEP_SECS * rate + 0.5);
        let Some(frame) = samples.get(begin..begin + length) else {
            break;
        };
        track
            .times_secs
            .push(f64::from(index) * STEP_SECS + 0.5 * FRAME_SECS);
        frames.push(summation.candidates(frame, config));
    }
    let path = choose(&frames, config);
    for (frame, chosen) in frames.iter().zip(path) {
        let best = frame.first().map_or(0.0, |candidate| candidate.strength);
        track.strength.push(narrow(best.max(0.0)));
        let f0 = frame
            .get(chosen)
            .map_or(0.0, |candidate| candidate.octaves.exp2());
        track.f0_hz.push(narrow(f0));
    }
    Ok(track)
}

/// A peak of the summed spectrum.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Binary logarithm of the frequency in hertz.
    octaves: f64,
    strength: f64,
}

/// The winning path; the unvoiced state comes after the candidates.
fn choose(frames: &[Vec<Candidate>], config: &SubharmonicConfig) -> Vec<usize> {
    let counts: Vec<usize> = frames.iter().map(|frame| frame.len() + 1).collect();
    let threshold = config.voicing_threshold;
    best_path(
        &counts,
        |t, c| {
            let Some(best) = frames[t].first() else {
                return 0.0;
            };
            match frames[t].get(c) {
                Some(candidate) => {
                    let behind = candidate.strength - best.strength;
                    let against = best.strength < threshold;
                    config.strength_weight * behind - f64::from(u8::from(against))
                }
                None => -f64::from(u8::from(best.strength >= threshold)),
            }
        },
        |t, a, b| match (frames[t - 1].get(a), frames[t].get(b)) {
            (None, None) => 0.0,
            (Some(a), Some(b)) => config.octave_jump_cost * (a.octaves - b.octaves).abs(),
            _ => config.voiced_unvoiced_cost,
        },
    )
}

struct Summation {
    spectrum: WindowedPower,
    axis: OctaveAxis,
    power: Vec<f32>,
    magnitude: Vec<f64>,
    kept: Vec<f64>,
    laid: Vec<f64>,
    summed: Vec<f64>,
    length: f64,
}

impl Summation {
    fn new(length: usize, rate: f64) -> Result<Self, DspError> {
        let spectrum = WindowedPower::gaussian(length, SIGMA)?;
        let n_bins = spectrum.n_bins();
        let bin_hz = rate / spectrum.n_fft() as f64;
        Ok(Self {
            axis: OctaveAxis::new(n_bins, bin_hz, LOWEST_HZ),
            power: vec![0.0; n_bins],
            magnitude: vec![0.0; n_bins],
            kept: vec![0.0; n_bins],
            laid: vec![0.0; n_bins],
            summed: vec![0.0; n_bins],
            length: length as f64,
            spectrum,
        })
    }

    /// Peaks of the summed spectrum, the strongest first; none for a silent frame.
    fn candidates(&mut self, frame: &[f32], config: &SubharmonicConfig) -> Vec<Candidate> {
        self.spectrum.compute(frame, &mut self.power);
        let squares: f64 = self
            .spectrum
            .windowed()
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum();
        if (squares / self.length).sqrt() < config.silence_rms {
            return Vec::new();
        }
        for (m, p) in self.magnitude.iter_mut().zip(&self.power) {
            *m = f64::from(p.sqrt());
        }
        self.enhance();
        self.axis.lay(&self.magnitude, &mut self.laid);
        self.sum();
        let mean = self.summed.iter().sum::<f64>() / self.summed.len() as f64;
        let (floor, ceiling) = (config.floor_hz.log2(), config.ceiling_hz.log2());
        let mut found: Vec<Candidate> = self
            .summed
            .windows(3)
            .zip(1_u32..)
            .filter(|(near, _)| near[1] > near[0] && near[1] >= near[2])
            .filter_map(|(near, point)| {
                let (offset, height) = parabola(near[0], near[1], near[2]);
                let octaves = self.axis.octaves(f64::from(point) + offset);
                (floor..=ceiling).contains(&octaves).then(|| Candidate {
                    octaves,
                    strength: 1.0 - mean / height,
                })
            })
            .collect();
        found.sort_by(|a, b| b.strength.total_cmp(&a.strength));
        found.truncate(N_CANDIDATES);
        found
    }

    /// Keeps what lies within two bins of a peak of the magnitude, then smooths over three bins.
    fn enhance(&mut self) {
        let m = &self.magnitude;
        self.kept.fill(0.0);
        for k in 1..m.len() - 1 {
            if m[k] > m[k - 1] && m[k] >= m[k + 1] {
                let near = k.saturating_sub(PEAK_REACH)..(k + PEAK_REACH + 1).min(m.len());
                self.kept[near.clone()].copy_from_slice(&m[near]);
            }
        }
        self.magnitude.copy_from_slice(&self.kept);
        for (m, near) in self.magnitude[1..].iter_mut().zip(self.kept.windows(3)) {
            *m = 0.25 * near[0] + 0.5 * near[1] + 0.25 * near[2];
        }
    }

    /// Adds up the harmonics, linear between the points of the axis.
    fn sum(&mut self) {
        self.summed.fill(0.0);
        let mut weight = 1.0 / N_HARMONICS as f64;
        for n in 1..=N_HARMONICS {
            let shift = (n as f64).log2() * self.axis.per_octave();
            let whole = floor_index(shift);
            let above = weight * (shift - whole as f64);
            let below = weight - above;
            let laid = self.laid.get(whole..).unwrap_or_default();
            for (sum, pair) in self.summed.iter_mut().zip(laid.windows(2)) {
                *sum += below * pair[0] + above * pair[1];
            }
            weight *= COMPRESSION;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::{any_rate, any_samples, noise};

    fn voice(rate: u32, f0: f64, secs: f64) -> Vec<f32> {
        let w = std::f64::consts::TAU * f0 / f64::from(rate);
        (0..floor_index(secs * f64::from(rate)))
            .map(|n| {
                let tone = |k: i32| (f64::from(k) * w * n as f64).sin() / f64::from(k);
                narrow((1..16).map(tone).sum::<f64>() * 0.1)
            })
            .collect()
    }

    #[test]
    fn known_voices_are_found_at_every_rate() {
        for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000] {
            for f0 in [80.0, 110.0, 180.0, 240.0, 400.0] {
                let config = SubharmonicConfig::default();
                let track = subharmonic_pitch(&voice(rate, f0, 0.4), rate, &config).unwrap();
                assert!((34..=35).contains(&track.f0_hz.len()));
                for hz in &track.f0_hz {
                    let cents = 1200.0 * (f64::from(*hz) / f0).log2();
                    assert!(cents.abs() < 15.0, "{rate} {f0}: {hz}");
                }
            }
        }
    }

    #[test]
    fn noise_silence_and_constants_are_unvoiced() {
        let config = SubharmonicConfig::default();
        for samples in [
            vec![],
            vec![0.1; 959],
            vec![0.0; 9_000],
            vec![0.5; 9_000],
            noise(16_000, 7),
        ] {
            let track = subharmonic_pitch(&samples, 16_000, &config).unwrap();
            assert!(track.f0_hz.iter().all(|f0| *f0 <= 0.0));
            assert_eq!(track.f0_hz.len(), track.strength.len());
        }
        // A voice under the gate.
        let quiet: Vec<f32> = voice(16_000, 150.0, 0.3).iter().map(|x| x * 0.01).collect();
        let track = subharmonic_pitch(&quiet, 16_000, &config).unwrap();
        assert!(track.f0_hz.iter().all(|f0| *f0 <= 0.0));
    }

    #[test]
    fn gaps_of_one_frame_are_filled_and_lone_frames_dropped() {
        let config = SubharmonicConfig::default();
        let frame = |strength| {
            vec![Candidate {
                octaves: 7.0,
                strength,
            }]
        };
        let voiced = |strengths: &[f64]| -> Vec<bool> {
            let frames: Vec<_> = strengths.iter().map(|s| frame(*s)).collect();
            choose(&frames, &config).iter().map(|c| *c == 0).collect()
        };
        let mut strengths = vec![0.8; 9];
        strengths[4] = 0.65;
        assert!(voiced(&strengths).iter().all(|v| *v));
        strengths[4..8].fill(0.65);
        assert!(!voiced(&strengths)[5]);
        let mut strengths = vec![0.5; 9];
        strengths[4] = 0.72;
        assert!(voiced(&strengths).iter().all(|v| !v));
        strengths[4..8].fill(0.72);
        assert!(voiced(&strengths)[5]);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let config = SubharmonicConfig::default();
        assert!(subharmonic_pitch(&[f32::NAN; 9], 16_000, &config).is_err());
        assert!(subharmonic_pitch(&[], 0, &config).is_err());
        for (floor_hz, ceiling_hz) in [(f64::NAN, 500.0), (55.0, 9_000.0), (10.0, 500.0)] {
            let config = SubharmonicConfig {
                floor_hz,
                ceiling_hz,
                ..config
            };
            assert!(subharmonic_pitch(&[], 16_000, &config).is_err());
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]

        #[test]
        fn finite_on_any_input(samples in any_samples(0..4000), rate in any_rate()) {
            if let Ok(track) = subharmonic_pitch(&samples, rate, &SubharmonicConfig::default()) {
                proptest::prop_assert!(track.f0_hz.iter().chain(&track.strength).all(|x| x.is_finite()));
            }
        }
    }
}
