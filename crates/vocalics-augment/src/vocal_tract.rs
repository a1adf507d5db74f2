//! Another length of the vocal tract: formants move, the pitch stays.

use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_dsp::level::peak;
use vocalics_dsp::{floor_index, narrow};

use crate::clip::{Augmented, Clip, Drawn};
use crate::fft::Transform;
use crate::material::Material;
use crate::overlap_add::OverlapAdd;
use crate::range::Range;
use crate::scaled::level_kept;
use crate::{AugmentError, Augmentation};

/// Least length of a window in seconds; the power of two at or above it is taken.
const WINDOW_SECS: f64 = 0.03;
/// Poles of the envelope: two for each kilohertz of bandwidth, where a formant is, and these for the rest of the spectrum's
/// shape; at most `MAX_POLES`.
const MORE_POLES: usize = 2;
const MAX_POLES: usize = 60;
/// Width of the lag window in hertz and noise floor as a share of the power, which keep the envelope from following single harmonics
/// (as speech codecs do).
const LAG_WINDOW_HZ: f64 = 20.0;
const NOISE_FLOOR: f64 = 1e-5;
/// Most by which a frequency is turned up or down, as a natural logarithm of the amplitude: 26 dB.
const MAX_LOG_GAIN: f32 = 3.0;
/// Stretches the spectral envelope along the frequency axis: vocal-tract-length perturbation.
///
/// The envelope at `f` moves to `G(f)`: `w · f` up to `F · min(w, 1) / w`, and linear from there to half the sample rate,
/// which stays. `w` above 1 is a shorter tract, formants higher.
///
/// The envelope is that of linear prediction in each window, and the spectrum multiplied by the ratio of moved to own envelope, so
/// that f0, harmonics and time stay. The source warps a filter bank instead, which moves resolved harmonics too.
///
/// # Shapes
/// As long as the clip, with its RMS. Silence stays silence.
///
/// Source: N. Jaitly, G. E. Hinton, *Vocal tract length perturbation (VTLP) improves speech recognition*, ICML workshop
/// 2013.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VocalTract {
    /// Factor `w` on the formants, 0.5 to 2.
    pub warp: Range,
    /// Frequency `F` in hertz up to which formants are expected, 1000 to 20000; at most 90 % of half the sample rate counts.
    pub high_hz: f64,
}

impl Default for VocalTract {
    /// Factors and frequency of Jaitly and Hinton.
    fn default() -> Self {
        Self {
            warp: Range::of(0.9, 1.1),
            high_hz: 4_800.0,
        }
    }
}

/// The frequency whose envelope comes to `hz`: `G⁻¹`.
fn source_hz(hz: f64, warp: f64, high_hz: f64, nyquist_hz: f64) -> f64 {
    let moved_to = high_hz.min(0.9 * nyquist_hz) * warp.min(1.0);
    let moved_from = moved_to / warp;
    if hz <= moved_to {
        hz / warp
    } else {
        nyquist_hz - (nyquist_hz - moved_from) / (nyquist_hz - moved_to) * (nyquist_hz - hz)
    }
}

impl Augmentation for VocalTract {
    fn name(&self) -> &'static str {
        "vocal-tract"
    }

    fn validate(&self) -> Result<(), AugmentError> {
        self.warp.check("warp", 0.5, 2.0)?;
        if !(1_000.0..=20_000.0).contains(&self.high_hz) {
            let expected = "a number from 1000 to 20000";
            return Err(AugmentError::parameter("high_hz", self.high_hz, expected));
        }
        Ok(())
    }

    fn apply(
        &self,
        clip: &Clip<'_>,
        _: &Material<'_>,
        rng: &mut StdRng,
    ) -> Result<Augmented, AugmentError> {
        let warp = self.warp.draw_factor(rng);
        let samples = level_kept(clip.samples(), |unit| {
            warp_envelope(unit, clip.rate(), warp, self.high_hz)
        });
        let samples = samples.unwrap_or_else(|| clip.samples().to_vec());
        Ok(Augmented::new(samples, Drawn::one("warp", warp)))
    }
}

fn warp_envelope(samples: &[f32], rate: f64, warp: f64, high_hz: f64) -> Vec<f32> {
    let windows = OverlapAdd::new(WINDOW_SECS, rate);
    let (n_fft, hop) = (windows.n_fft(), windows.hop());
    let mut transform = Transform::new(n_fft);
    let n_bins = transform.n_bins();
    let bin_hz = rate / n_fft as f64;
    let sources: Vec<(usize, f32)> = (0..n_bins)
        .map(|bin| {
            let hz = source_hz(bin as f64 * bin_hz, warp, high_hz, rate / 2.0);
            let position = (hz / bin_hz).clamp(0.0, (n_bins - 1) as f64);
            let whole = floor_index(position).min(n_bins - 2);
            (whole, narrow(position - whole as f64))
        })
        .collect();
    let n_poles = floor_index(rate / 1_000.0) + MORE_POLES;
    let lags = lag_window(n_poles.min(MAX_POLES).min(n_fft / 2 - 1), rate);

    let mut padded = vec![0.0; samples.len() + 2 * n_fft];
    padded[n_fft..n_fft + samples.len()].copy_from_slice(samples);
    let mut out = vec![0.0; padded.len() + n_fft];
    let mut frame = vec![0.0; n_fft];
    let [mut spectrum, mut power] = std::array::from_fn(|_| transform.zero_spectrum());
    let mut envelope = vec![0.0; n_bins];
    for start in (0..=padded.len() - n_fft).step_by(hop) {
        windows.cut(&padded[start..], &mut frame);
        if peak(&frame) <= f32::MIN_POSITIVE {
            continue;
        }
        transform.forward(&mut frame, &mut spectrum);
        for (p, x) in power.iter_mut().zip(&spectrum) {
            p.re = x.norm_sqr();
            p.im = 0.0;
        }
        transform.inverse(&mut power, &mut frame);
        let correlation: Vec<f64> = frame
            .iter()
            .zip(&lags)
            .map(|(r, w)| f64::from(*r) * w)
            .collect();
        let predictor = levinson(&correlation);
        frame.fill(0.0);
        for (y, a) in frame.iter_mut().zip(&predictor) {
            *y = narrow(*a);
        }
        transform.forward(&mut frame, &mut power);
        for (e, a) in envelope.iter_mut().zip(&power) {
            *e = -0.5 * a.norm_sqr().max(f32::MIN_POSITIVE).ln();
        }
        for ((x, own), (bin, share)) in spectrum.iter_mut().zip(&envelope).zip(&sources) {
            let moved = envelope[*bin] + share * (envelope[bin + 1] - envelope[*bin]);
            *x *= (moved - own).clamp(-MAX_LOG_GAIN, MAX_LOG_GAIN).exp();
        }
        transform.inverse(&mut spectrum, &mut frame);
        windows.add(&frame, &mut out[start..]);
    }
    out.drain(..n_fft);
    out.truncate(samples.len());
    out
}

/// Weights of the autocorrelation at lags 0 to `n_poles`.
fn lag_window(n_poles: usize, rate: f64) -> Vec<f64> {
    (0..=n_poles)
        .map(|lag| {
            let phase = std::f64::consts::TAU * LAG_WINDOW_HZ * lag as f64 / rate;
            let floor = if lag == 0 { 1.0 + NOISE_FLOOR } else { 1.0 };
            floor * (-0.5 * phase * phase).exp()
        })
        .collect()
}

/// The prediction error filter `1, a₁, …` of an autocorrelation, by Levinson's and Durbin's recursion.
fn levinson(correlation: &[f64]) -> Vec<f64> {
    let mut filter = vec![0.0; correlation.len()];
    filter[0] = 1.0;
    let mut error = correlation[0];
    let mut before = filter.clone();
    for order in 1..correlation.len() {
        if error.is_nan() || error <= 0.0 {
            break;
        }
        let sum: f64 = (0..order).map(|k| filter[k] * correlation[order - k]).sum();
        let reflection = -sum / error;
        before.copy_from_slice(&filter);
        for k in 1..=order {
            filter[k] = before[k] + reflection * before[order - k];
        }
        error *= 1.0 - reflection * reflection;
    }
    filter
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use vocalics_dsp::formant::{FormantConfig, formants};

    use super::*;
    use crate::test_signal::{any_samples, cents, level_db, median_f0, vowel};

    const RATE: u32 = 16_000;

    fn of(warp: f64) -> VocalTract {
        VocalTract {
            warp: Range::of(warp, warp),
            ..VocalTract::default()
        }
    }

    fn median_formants(samples: &[f32]) -> [f64; 3] {
        let track = formants(samples, RATE, &FormantConfig::default()).unwrap();
        std::array::from_fn(|index| {
            let mut found: Vec<f64> = track
                .frames
                .iter()
                .filter_map(|frame| frame.get(index).map(|formant| f64::from(formant.hz)))
                .collect();
            found.sort_by(f64::total_cmp);
            found[found.len() / 2]
        })
    }

    #[test]
    fn formants_move_and_the_pitch_stays() {
        for f0 in [110.0, 210.0] {
            let tract = [650.0, 1_450.0, 2_550.0, 3_550.0, 4_500.0];
            let vowel = vowel(|t| f0 * (1.0 + 0.1 * t), &tract, 1.0, RATE);
            let clip = Clip::new(&vowel, RATE).unwrap();
            let before = median_formants(&vowel);
            for warp in [0.85, 0.9, 1.1, 1.15] {
                let out = of(warp)
                    .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
                    .unwrap();
                assert_eq!(out.samples.len(), vowel.len());
                let off = cents(median_f0(&vowel, RATE), median_f0(&out.samples, RATE));
                assert!(off.abs() < 3.0, "{f0} {warp}: {off} cents");
                let after = median_formants(&out.samples);
                let off = before
                    .iter()
                    .zip(after)
                    .map(|(from, to)| to / from / warp - 1.0);
                let off: Vec<f64> = off.collect();
                println!("{f0} {warp}: {off:.3?}");
                // With harmonics 210 Hz apart linear prediction sees the first formant at one of them wherever it is.
                let seen = if f0 < 150.0 { &off[..] } else { &off[1..] };
                assert!(
                    seen.iter().all(|off| off.abs() < 0.04),
                    "{f0} {warp}: {off:?}"
                );
                assert!((level_db(&out.samples) - level_db(&vowel)).abs() < 0.01);
            }
        }
    }

    #[test]
    fn the_predictor_finds_a_resonance_again() {
        // Autocorrelation of a damped cosine, whose filter is known.
        let (radius, angle) = (0.95_f64, 0.7_f64);
        let mut x = vec![0.0; 2_000];
        for n in 0..x.len() {
            let past = |k: usize| if n >= k { x[n - k] } else { 0.0 };
            let input = if n == 0 { 1.0 } else { 0.0 };
            x[n] = input + 2.0 * radius * angle.cos() * past(1) - radius * radius * past(2);
        }
        let correlation: Vec<f64> = (0..5)
            .map(|lag| x[lag..].iter().zip(&x).map(|(a, b)| a * b).sum())
            .collect();
        let expected = [1.0, -2.0 * radius * angle.cos(), radius * radius, 0.0, 0.0];
        for (found, expected) in levinson(&correlation).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6);
        }
        assert_eq!(levinson(&[0.0, 0.0]), [1.0, 0.0]);
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let vowel = vowel(|_| 130.0, &[650.0, 1_450.0], 0.4, RATE);
        let clip = Clip::new(&vowel, RATE).unwrap();
        let out = of(1.0)
            .apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1))
            .unwrap()
            .samples;
        let error: Vec<f32> = out.iter().zip(&vowel).map(|(y, x)| y - x).collect();
        assert!(level_db(&vowel) - level_db(&error) > 80.0);
    }

    #[test]
    fn the_axis_is_warped_as_in_the_source() {
        for warp in [0.9, 1.1] {
            for (hz, expected) in [(0.0, 0.0), (1_000.0, 1_000.0 / warp), (8_000.0, 8_000.0)] {
                assert!((source_hz(hz, warp, 4_800.0, 8_000.0) - expected).abs() < 1e-6);
            }
            let axis: Vec<f64> = (0..=800)
                .map(|k| source_hz(f64::from(k) * 10.0, warp, 4_800.0, 8_000.0))
                .collect();
            // Ascending and without a jump.
            assert!(axis.windows(2).all(|w| w[1] > w[0] && w[1] - w[0] < 15.0));
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        #[test]
        fn finite_and_as_long(samples in any_samples(1..3000), warp in 0.5_f64..2.0, rate in 4_000_u32..50_000) {
            let clip = Clip::new(&samples, rate).unwrap();
            let out = of(warp).apply(&clip, &Material::default(), &mut StdRng::seed_from_u64(1)).unwrap().samples;
            proptest::prop_assert_eq!(out.len(), samples.len());
            proptest::prop_assert!(out.iter().all(|x| x.is_finite()));
        }
    }
}
