//! Levels of single harmonics, for measures of voice quality.
//!
//! The definitions are those of F. Eyben et al., "The Geneva Minimalistic Acoustic Parameter Set (GeMAPS)
//! for Voice Research and Affective Computing", *IEEE Transactions on Affective Computing* 7(2), 2016,
//! section 3.1; how near its nominal frequency a harmonic is looked for is said below.

use crate::decibel::clean_power;
use crate::floor_index;

/// Level, in decibels, of the strongest bin within a quarter of f0 of harmonic `number`; `None` if the
/// harmonic lies above the spectrum, there is no power, or `f0_hz` is not positive.
///
/// `power` is a power spectrum `[n_bins]` whose bin `k` lies at `k · bin_hz`; the window must tell
/// harmonics apart, so be three periods long or more. Powers that are negative or not finite count as 0.
#[must_use]
pub fn harmonic_level_db(power: &[f32], bin_hz: f64, f0_hz: f64, number: u32) -> Option<f32> {
    if !(f0_hz > 0.0 && bin_hz > 0.0 && number > 0) {
        return None;
    }
    let centre = f64::from(number) * f0_hz;
    let reach = (0.25 * f0_hz).max(bin_hz);
    if centre + reach > bin_hz * power.len() as f64 {
        return None;
    }
    let near = |bin: usize| (bin as f64 * bin_hz - centre).abs() <= reach;
    let first = floor_index(((centre - reach) / bin_hz).max(0.0)).min(power.len());
    let peak = power[first..]
        .iter()
        .enumerate()
        .skip_while(|(k, _)| !near(first + k))
        .take_while(|(k, _)| near(first + k))
        .fold(0.0_f32, |peak, (_, p)| peak.max(clean_power(*p)));
    (peak > 0.0).then(|| 10.0 * peak.log10())
}

/// H1-H2: level of the first harmonic minus that of the second, in decibels; `None` as
/// [`harmonic_level_db`]. Breathy voices have more of the first.
///
/// Source: Eyben et al. 2016 (*Harmonic difference H1–H2*).
#[must_use]
pub fn h1_h2_db(power: &[f32], bin_hz: f64, f0_hz: f64) -> Option<f32> {
    let level = |number| harmonic_level_db(power, bin_hz, f0_hz, number);
    Some(level(1)? - level(2)?)
}

/// H1-A3: level of the first harmonic minus that of the strongest harmonic within 20 % of the third
/// formant, in decibels; `None` as [`harmonic_level_db`], if no harmonic is there, if `f3_hz` is not
/// finite, or if f0 lies below the first bin.
///
/// Source: Eyben et al. 2016 (*Harmonic difference H1–A3*).
#[must_use]
pub fn h1_a3_db(power: &[f32], bin_hz: f64, f0_hz: f64, f3_hz: f64) -> Option<f32> {
    let first = harmonic_level_db(power, bin_hz, f0_hz, 1)?;
    Some(first - strongest_near(power, bin_hz, f0_hz, f3_hz)?)
}

/// Level of the strongest harmonic within 20 % of a formant minus that of the first, in decibels; `None`
/// as [`harmonic_level_db`], if no harmonic is there, if `formant_hz` is not finite, or if f0 lies below
/// the first bin.
///
/// Source: Eyben et al. 2016 (*Formant relative energy*).
#[must_use]
pub fn formant_level_db(power: &[f32], bin_hz: f64, f0_hz: f64, formant_hz: f64) -> Option<f32> {
    let first = harmonic_level_db(power, bin_hz, f0_hz, 1)?;
    Some(strongest_near(power, bin_hz, f0_hz, formant_hz)? - first)
}

/// Harmonics above the spectrum are not tried, and bins that do not tell harmonics apart give `None`, so
/// no more harmonics are tried than there are bins.
fn strongest_near(power: &[f32], bin_hz: f64, f0_hz: f64, formant_hz: f64) -> Option<f32> {
    if !(formant_hz.is_finite() && f0_hz >= bin_hz) {
        return None;
    }
    let top_hz = (1.2 * formant_hz).min(bin_hz * power.len() as f64);
    let number = |ratio: f64| u32::try_from(floor_index(ratio)).ok();
    let first = number((0.8 * formant_hz / f0_hz).ceil())?.max(1);
    (first..=number(top_hz / f0_hz)?)
        .filter_map(|k| harmonic_level_db(power, bin_hz, f0_hz, k))
        .max_by(f32::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_harmonics_have_known_differences() {
        let mut power = vec![1e-9; 513];
        for (hz, level) in [
            (156.25, 0.0),
            (312.5, -6.0),
            (2_500.0, -30.0),
            (2_656.25, -34.0),
        ] {
            power[floor_index(hz / 15.625)] = 10.0_f32.powf(level / 10.0);
        }
        assert!((h1_h2_db(&power, 15.625, 156.25).unwrap() - 6.0).abs() < 1e-3);
        assert!((h1_a3_db(&power, 15.625, 156.25, 2_600.0).unwrap() - 30.0).abs() < 1e-3);
        assert!((formant_level_db(&power, 15.625, 156.25, 300.0).unwrap() + 6.0).abs() < 1e-3);
    }

    #[test]
    fn nothing_to_measure_gives_none() {
        assert!(h1_h2_db(&[0.0; 513], 15.625, 100.0).is_none());
        assert!(h1_h2_db(&[1.0; 513], 15.625, 0.0).is_none());
        assert!(h1_h2_db(&[1.0; 513], 15.625, f64::NAN).is_none());
        assert!(h1_h2_db(&[], 15.625, 100.0).is_none());
        assert!(h1_a3_db(&[1.0; 513], 15.625, 100.0, 20_000.0).is_none());
    }

    #[test]
    fn a_formant_at_infinity_or_a_tiny_f0_ends() {
        for (f0_hz, formant_hz) in [
            (100.0, f64::INFINITY),
            (100.0, 1e300),
            (1e-300, 500.0),
            (1e-6, 500.0),
        ] {
            assert!(h1_a3_db(&[1.0; 513], 15.625, f0_hz, formant_hz).is_none());
            assert!(formant_level_db(&[1.0; 513], 15.625, f0_hz, formant_hz).is_none());
        }
        assert!(harmonic_level_db(&[f32::INFINITY; 513], 15.625, 100.0, 1).is_none());
    }

    proptest::proptest! {
        #[test]
        fn finite_on_any_input(
            power in proptest::collection::vec(proptest::num::f32::ANY, 0..80),
            bin_hz in proptest::num::f64::ANY,
            f0_hz in proptest::num::f64::ANY,
            formant_hz in proptest::num::f64::ANY,
            number in proptest::num::u32::ANY,
        ) {
            for (bin_hz, f0_hz, formant_hz) in
                [(bin_hz, f0_hz, formant_hz), (31.25, f0_hz, formant_hz), (31.25, 100.0, formant_hz)]
            {
                for level in [
                    harmonic_level_db(&power, bin_hz, f0_hz, number),
                    h1_h2_db(&power, bin_hz, f0_hz),
                    h1_a3_db(&power, bin_hz, f0_hz, formant_hz),
                    formant_level_db(&power, bin_hz, f0_hz, formant_hz),
                ] {
                    proptest::prop_assert!(level.is_none_or(f32::is_finite));
                }
            }
        }
    }
}
