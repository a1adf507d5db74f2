//! Ranges to draw from.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::AugmentError;

/// Two numbers, lowest and highest, or one number for both: `[10, 30]` or `20`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Range {
    /// Lowest value.
    pub low: f64,
    /// Highest value.
    pub high: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number, or two: lowest and highest")]
enum Written {
    One(f64),
    Two([f64; 2]),
}

impl From<Written> for Range {
    fn from(written: Written) -> Self {
        match written {
            Written::One(value) => Self::of(value, value),
            Written::Two([low, high]) => Self::of(low, high),
        }
    }
}

impl From<Range> for Written {
    fn from(range: Range) -> Self {
        Self::Two([range.low, range.high])
    }
}

impl Range {
    /// From `low` to `high`, checked when the augmentation is validated.
    #[must_use]
    pub const fn of(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// Uniform between the ends.
    pub fn draw(&self, rng: &mut StdRng) -> f64 {
        self.low + rng.random::<f64>() * (self.high - self.low)
    }

    /// Uniform on a logarithmic scale, for factors; the ends must be above 0.
    pub fn draw_factor(&self, rng: &mut StdRng) -> f64 {
        let (low, high) = (self.low.ln(), self.high.ln());
        (low + rng.random::<f64>() * (high - low)).exp()
    }

    /// # Errors
    /// [`AugmentError::Parameter`] unless `least ≤ low ≤ high ≤ most`.
    pub(crate) fn check(
        &self,
        field: &'static str,
        least: f64,
        most: f64,
    ) -> Result<(), AugmentError> {
        if least <= self.low && self.low <= self.high && self.high <= most {
            return Ok(());
        }
        Err(AugmentError::parameter(
            field,
            format!("[{}, {}]", self.low, self.high),
            format!("numbers from {least} to {most}, ascending"),
        ))
    }
}

/// One of a list, each with the same probability; `None` if it is empty.
pub(crate) fn choose<'a, T>(list: &'a [T], rng: &mut StdRng) -> Option<&'a T> {
    let last = list.len().checked_sub(1)?;
    list.get(rng.random_range(0..=last))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn draws_stay_between_the_ends_and_reach_them_nearly() {
        let mut rng = StdRng::seed_from_u64(1);
        let range = Range::of(0.5, 2.0);
        for draw in [Range::draw, Range::draw_factor] {
            let values: Vec<f64> = (0..2_000).map(|_| draw(&range, &mut rng)).collect();
            assert!(values.iter().all(|x| (0.5..=2.0).contains(x)));
            assert!(values.iter().any(|x| *x < 0.51) && values.iter().any(|x| *x > 1.98));
        }
        let slower = (0..2_000)
            .filter(|_| range.draw_factor(&mut rng) < 1.0)
            .count();
        assert!((900..1_100).contains(&slower), "{slower}");
    }

    #[test]
    fn one_number_or_two() {
        #[derive(Serialize, Deserialize)]
        struct Table {
            snr_db: Range,
        }
        let read = |text: &str| toml::from_str::<Table>(text).map(|table| table.snr_db);
        assert_eq!(read("snr_db = 20").unwrap(), Range::of(20.0, 20.0));
        assert_eq!(read("snr_db = [10, 30.5]").unwrap(), Range::of(10.0, 30.5));
        assert!(read("snr_db = [1, 2, 3]").is_err());
        let written = toml::to_string(&Table {
            snr_db: Range::of(1.0, 2.0),
        });
        assert_eq!(written.unwrap().trim(), "snr_db = [1.0, 2.0]");
    }

    #[test]
    fn bad_ranges_are_refused() {
        for (low, high) in [
            (2.0, 1.0),
            (f64::NAN, 1.0),
            (0.0, f64::INFINITY),
            (-1.0, 1.0),
        ] {
            let error = Range::of(low, high).check("snr_db", 0.0, 10.0).unwrap_err();
            assert!(error.to_string().starts_with("snr_db is ["), "{error}");
        }
        Range::of(0.0, 10.0).check("snr_db", 0.0, 10.0).unwrap();
    }
}
