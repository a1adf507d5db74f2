//! Descriptors of the voice in long frames.

use vocalics_dsp::harmonicity::strength_to_hnr_db;
use vocalics_dsp::harmonics::{formant_level_db, harmonic_level_db};
use vocalics_dsp::period_match::frame_irregularity;
use vocalics_dsp::reference_formant::{ReferenceFormant, ReferenceFormants};
use vocalics_dsp::subharmonic::{SubharmonicConfig, subharmonic_pitch};
use vocalics_dsp::windowed_power::WindowedPower;
use vocalics_dsp::{dot, floor_index, narrow};

use super::{LONG_SECS, SHORT_SECS, STEP_SECS, frame_samples};
use crate::error::FeatureError;

/// Frequency of semitone 0, in hertz.
const SEMITONE_ZERO_HZ: f64 = 27.5;
/// Formant level of a frame without f0.
const NO_LEVEL: f32 = -201.0;
/// Formants described.
const N_FORMANTS: usize = 3;
/// Deviation of the Gaussian window in half-lengths of the frame: GeMAPS, section 6.
const SIGMA: f64 = 0.4;
/// How far the peak of the autocorrelation may be from the period of f0, as a share of it.
const PERIOD_SEARCH: f64 = 0.1;

/// Which frames get formants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Formants {
    OfVoicedFrames,
    OfAllFrames,
}

/// Contours `[n_frames]` before smoothing; 0 where a frame is unvoiced, if not said otherwise.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// f0 in semitones above 27.5 Hz.
    pub(super) f0_semitones: Vec<f32>,
    pub(super) jitter: Vec<f32>,
    pub(super) shimmer_db: Vec<f32>,
    pub(super) hnr_db: Vec<f32>,
    pub(super) h1_h2_db: Vec<f32>,
    pub(super) h1_a3_db: Vec<f32>,
    pub(super) formants: [FormantContours; N_FORMANTS],
}

/// Contours of one formant.
#[derive(Debug, Default)]
pub(super) struct FormantContours {
    /// Centre in hertz; also of unvoiced frames, if asked for.
    pub(super) hz: Vec<f32>,
    /// Bandwidth in hertz; as the centre.
    pub(super) bandwidth_hz: Vec<f32>,
    /// Level of its strongest harmonic above the first harmonic's, in decibels; [`NO_LEVEL`] where unvoiced.
    pub(super) level_db: Vec<f32>,
}

impl Voice {
    pub(super) fn measure(
        samples: &[f32],
        sample_rate: u32,
        which: Formants,
    ) -> Result<Self, FeatureError> {
        let rate = f64::from(sample_rate);
        let length = frame_samples(LONG_SECS, sample_rate);
        let track = subharmonic_pitch(samples, sample_rate, &SubharmonicConfig::default())?;
        let short = frame_samples(SHORT_SECS, sample_rate);
        let tract = ReferenceFormants::new(short, sample_rate)?;
        let mut spectrum = WindowedPower::gaussian(length, SIGMA)?;
        let mut power = vec![0.0; spectrum.n_bins()];
        let bin_hz = rate / spectrum.n_fft() as f64;
        let mut voice = Self::default();
        for (index, f0) in track.f0_hz.iter().enumerate() {
            let f0 = f64::from(*f0);
            let begin = frame_samples(index as f64 * STEP_SECS, sample_rate);
            let formants = if f0 > 0.0 || which == Formants::OfAllFrames {
                tract.compute(&samples[begin..begin + short])
            } else {
                Vec::new()
            };
            if f0 > 0.0 {
                spectrum.compute(&samples[begin..begin + length], &mut power);
                let semitones = narrow(12.0 * (f0 / SEMITONE_ZERO_HZ).log2());
                voice.f0_semitones.push(semitones.max(f32::MIN_POSITIVE));
                voice
                    .hnr_db
                    .push(repetition_db(spectrum.windowed(), rate / f0));
            } else {
                voice.f0_semitones.push(0.0);
                voice.hnr_db.push(0.0);
            }
            voice.push_spectral(&formants, &power, bin_hz, f0);
        }
        for frame in frame_irregularity(samples, sample_rate, &track.f0_hz, STEP_SECS) {
            let frame = frame.unwrap_or_default();
            voice.jitter.push(frame.jitter_local);
            // The reference takes the decibels of the local shimmer, not the mean of decibels.
            let shimmer = 20.0 * (1.0 + f64::from(frame.shimmer_local)).log10();
            voice.shimmer_db.push(narrow(shimmer));
        }
        Ok(voice)
    }

    /// Harmonic differences and formants of one frame.
    fn push_spectral(
        &mut self,
        resonances: &[ReferenceFormant],
        power: &[f32],
        bin_hz: f64,
        f0: f64,
    ) {
        let voiced = f0 > 0.0;
        let third = resonances.get(2).map(|f| f64::from(f.hz));
        let differences = if voiced {
            (
                second_to_third_db(power, bin_hz, f0),
                third.and_then(|hz| second_to_formant_db(power, bin_hz, f0, hz)),
            )
        } else {
            (None, None)
        };
        self.h1_h2_db.push(differences.0.unwrap_or(0.0));
        self.h1_a3_db.push(differences.1.unwrap_or(0.0));
        for (k, contours) in self.formants.iter_mut().enumerate() {
            let resonance = resonances.get(k);
            contours.hz.push(resonance.map_or(0.0, |f| f.hz));
            contours
                .bandwidth_hz
                .push(resonance.map_or(0.0, |f| f.bandwidth_hz));
            let level = resonance
                .filter(|_| voiced)
                .and_then(|f| relative_level_db(power, bin_hz, f0, f64::from(f.hz)));
            contours.level_db.push(level.unwrap_or(NO_LEVEL));
        }
    }

    /// Whether a frame has f0.
    pub(super) fn voiced(&self, index: usize) -> bool {
        self.f0_semitones.get(index).is_some_and(|f0| *f0 > 0.0)
    }

    /// All fifteen contours in the published order.
    pub(super) fn contours(&self) -> Vec<&[f32]> {
        let mut contours: Vec<&[f32]> = vec![
            &self.f0_semitones,
            &self.jitter,
            &self.shimmer_db,
            &self.hnr_db,
            &self.h1_h2_db,
            &self.h1_a3_db,
        ];
        for formant in &self.formants {
            contours.extend([
                formant.hz.as_slice(),
                &formant.bandwidth_hz,
                &formant.level_db,
            ]);
        }
        contours
    }
}

/// What the reference gives as H1-H2: the level of the second harmonic above the third. On complexes of
/// harmonics with known levels its value follows these two, whatever the first has.
fn second_to_third_db(power: &[f32], bin_hz: f64, f0: f64) -> Option<f32> {
    let level = |number| harmonic_level_db(power, bin_hz, f0, number);
    Some(level(2)? - level(3)?)
}

/// What the reference gives as H1-A3: the level of the second harmonic, not the first, above the formant's.
fn second_to_formant_db(power: &[f32], bin_hz: f64, f0: f64, formant_hz: f64) -> Option<f32> {
    let level = |number| harmonic_level_db(power, bin_hz, f0, number);
    Some(level(2)? - level(1)? - relative_level_db(power, bin_hz, f0, formant_hz)?)
}

/// Level of the strongest harmonic within 20 % of a formant above the first harmonic's, in decibels; of the
/// nearest harmonic if there is none so near.
fn relative_level_db(power: &[f32], bin_hz: f64, f0: f64, formant_hz: f64) -> Option<f32> {
    let level = |number| harmonic_level_db(power, bin_hz, f0, number);
    formant_level_db(power, bin_hz, f0, formant_hz).or_else(|| {
        let nearest = u32::try_from(floor_index(formant_hz / f0 + 0.5)).ok()?;
        Some(level(nearest.max(1))? - level(1)?)
    })
}

/// Harmonics-to-noise ratio in decibels from the highest autocorrelation within a tenth of the period, without
/// division by the window's own: it falls with the period even for a perfect voice, as in the reference.
fn repetition_db(windowed: &[f32], period: f64) -> f32 {
    let at = |lag: usize| dot(windowed.get(lag..).unwrap_or_default(), windowed);
    let zero = at(0);
    if zero <= 0.0 {
        return 0.0;
    }
    let first = floor_index((1.0 - PERIOD_SEARCH) * period);
    let last = floor_index(((1.0 + PERIOD_SEARCH) * period).ceil());
    let peak = (first..=last).map(at).fold(0.0, f32::max);
    narrow(strength_to_hnr_db(f64::from(peak / zero)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_harmonics_have_known_levels() {
        let mut power = vec![1e-9; 513];
        for (number, level) in [(1, 0.0), (2, -6.0), (3, -16.0), (4, -12.0), (5, -26.0)] {
            power[number * 13] = 10.0_f32.powf(level / 10.0);
        }
        let f0 = 13.0 * 15.625;
        let near = |found: Option<f32>, expected: f32| (found.unwrap() - expected).abs() < 1e-3;
        assert!(near(second_to_third_db(&power, 15.625, f0), 10.0));
        assert!(near(second_to_formant_db(&power, 15.625, f0, 900.0), 6.0));
        assert!(near(relative_level_db(&power, 15.625, f0, 900.0), -12.0));
        // None within 20 %: the nearest.
        assert!(near(relative_level_db(&power, 15.625, f0, 270.0), 0.0));
    }

    #[test]
    fn repetition_is_that_of_the_definition() {
        let windowed: Vec<f32> = (0..333)
            .map(|n| (n as f32 * 0.31).sin() + 0.2 * (n as f32 * 1.7).cos())
            .collect();
        let at = |lag: usize| -> f64 {
            windowed
                .iter()
                .zip(&windowed[lag..])
                .map(|(a, b)| f64::from(a * b))
                .sum()
        };
        let period = std::f64::consts::TAU / 0.31;
        let peak = (18..=23).map(at).fold(0.0, f64::max) / at(0);
        let expected = 10.0 * (peak / (1.0 - peak)).log10();
        assert!((f64::from(repetition_db(&windowed, period)) - expected).abs() < 1e-3);
        assert!(repetition_db(&[0.0; 300], 50.0).abs() < 1e-9);
    }
}
