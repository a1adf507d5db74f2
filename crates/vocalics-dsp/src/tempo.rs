//! Tempo: the rate at which onsets recur.

use crate::error::DspError;
use crate::interpolate::parabola;
use crate::narrow;

/// Tempo that is believed most before anything is heard, in beats per minute; librosa's `start_bpm`.
const PRIOR_BPM: f64 = 120.0;
/// Deviation of the belief, in octaves; librosa's `std_bpm`.
const PRIOR_OCTAVES: f64 = 1.0;
/// Slowest and fastest tempo found, in beats per minute. Set by hand for speech: 480 is eight syllables a second.
const RANGE_BPM: (f64, f64) = (30.0, 480.0);

/// The rate at which a clip's onsets recur.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tempo {
    /// Beats per minute, 30 to 480; 0 when nothing recurs.
    pub bpm: f32,
    /// Autocorrelation of the onset strength at that period, in [0, 1]: how regular it is.
    pub regularity: f32,
}

/// Tempo of an onset strength `[n_frames]` with `frame_rate` frames a second.
///
/// The lag with the largest product of the normalised autocorrelation and a log-normal prior (median
/// 120 beats per minute, deviation one octave), refined by a parabola, within 30 to 480 beats per minute: a
/// regular beat above 170 a minute is therefore given as half of it. Silence, constants and clips with less
/// than two periods of 480 beats per minute give 0. Values that are not finite count as 0.
/// Needs the whole clip; there is no streaming form.
///
/// # Errors
/// [`DspError::Parameter`] unless `frame_rate` is finite and above 0.
///
/// Source: D. Ellis, *Beat tracking by dynamic programming*, J. New Music Research 36(1), 2007,
/// section 3.2; the idea of `librosa.feature.tempo`, with its prior.
pub fn tempo(strength: &[f32], frame_rate: f32) -> Result<Tempo, DspError> {
    if !(frame_rate.is_finite() && frame_rate > 0.0) {
        return Err(DspError::parameter(
            "frame_rate",
            "a finite number above 0",
            frame_rate,
        ));
    }
    let none = Tempo {
        bpm: 0.0,
        regularity: 0.0,
    };
    let clean = |x: &f32| if x.is_finite() { f64::from(*x) } else { 0.0 };
    let count = strength.len();
    let mean = strength.iter().map(clean).sum::<f64>() / count.max(1) as f64;
    let centred: Vec<f64> = strength.iter().map(|x| clean(x) - mean).collect();
    let energy: f64 = centred.iter().map(|x| x * x).sum();
    if energy <= 1e-9 * count as f64 {
        return Ok(none);
    }
    let frame_rate = f64::from(frame_rate);
    let bpm_of = |lag: f64| 60.0 * frame_rate / lag;
    let first = crate::floor_index((60.0 * frame_rate / RANGE_BPM.1).ceil()).max(1);
    let last = crate::floor_index(60.0 * frame_rate / RANGE_BPM.0).min(count / 2);
    // Unbiased, so that long periods are not held down by the shrinking overlap.
    let correlation = |lag: usize| {
        let sum: f64 = centred
            .iter()
            .zip(&centred[lag..])
            .map(|(a, b)| a * b)
            .sum();
        sum / energy * count as f64 / (count - lag) as f64
    };
    let belief = |lag: usize| {
        let octaves = (bpm_of(lag as f64) / PRIOR_BPM).log2() / PRIOR_OCTAVES;
        (-0.5 * octaves * octaves).exp()
    };
    if last <= first {
        return Ok(none);
    }
    let values: Vec<f64> = (first..=last).map(correlation).collect();
    let score = |i: usize| values[i] * belief(first + i);
    let best = (0..values.len())
        .filter(|&i| {
            (i == 0 || values[i] >= values[i - 1])
                && values.get(i + 1).is_none_or(|next| values[i] >= *next)
        })
        .max_by(|a, b| score(*a).total_cmp(&score(*b)));
    let Some(best) = best.filter(|i| values[*i] > 0.0) else {
        return Ok(none);
    };
    let shift = match (best.checked_sub(1), values.get(best + 1)) {
        (Some(before), Some(after)) => parabola(values[before], values[best], *after).0,
        _ => 0.0,
    };
    Ok(Tempo {
        bpm: narrow(bpm_of((first + best) as f64 + shift.clamp(-0.5, 0.5))),
        regularity: narrow(values[best].clamp(0.0, 1.0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onset::{OnsetConfig, onset_strength};

    #[test]
    fn clicks_have_their_tempo() {
        for rate in [8_000_u32, 16_000, 48_000] {
            for bpm in [60.0_f32, 90.0, 120.0, 150.0] {
                let mut samples = vec![0.0; rate as usize * 10];
                let period = crate::floor_index((60.0 / f64::from(bpm) * f64::from(rate)).round());
                for start in (period / 2..samples.len() - 50).step_by(period) {
                    samples[start..start + rate as usize / 1000].fill(0.5);
                }
                let config = OnsetConfig::speech(rate);
                let strength = onset_strength(&samples, &config).unwrap();
                let frame_rate = rate as f32 / config.hop_length as f32;
                let found = tempo(&strength, frame_rate).unwrap();
                assert!(
                    (found.bpm - bpm).abs() < 0.02 * bpm,
                    "{rate} {bpm}: {found:?}"
                );
                assert!(found.regularity > 0.5, "{found:?}");
            }
        }
    }

    #[test]
    fn what_does_not_recur_has_no_tempo() {
        for strength in [
            &[][..],
            &[0.0; 500],
            &[3.0; 500],
            &[1.0, 2.0],
            &[f32::NAN; 99],
        ] {
            let found = tempo(strength, 100.0).unwrap();
            assert!(found.bpm.abs() < 1e-9 && found.regularity.abs() < 1e-9);
        }
        assert!(tempo(&[1.0; 9], 0.0).is_err());
        assert!(tempo(&[1.0; 9], f32::NAN).is_err());
    }

    proptest::proptest! {
        #[test]
        fn in_range_on_any_input(
            strength in proptest::collection::vec(proptest::num::f32::ANY, 0..400),
            frame_rate in 0.01_f32..1e5,
        ) {
            let found = tempo(&strength, frame_rate).unwrap();
            proptest::prop_assert!((0.0..=1.0).contains(&found.regularity));
            let in_range = (30.0 - 1e-3..=480.0 + 1e-3).contains(&found.bpm);
            proptest::prop_assert!(in_range || found.bpm.abs() < 1e-9, "{}", found.bpm);
        }
    }
}
