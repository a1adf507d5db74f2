//! What goes into an augmentation and what comes out.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use vocalics_dsp::check_samples;

use crate::AugmentError;

/// Lowest sample rate accepted, in hertz.
pub const MIN_SAMPLE_RATE: u32 = 4_000;
/// Highest sample rate accepted, in hertz.
pub const MAX_SAMPLE_RATE: u32 = 384_000;

/// A mono clip to be augmented: at least one sample, all finite, full scale at ±1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clip<'a> {
    samples: &'a [f32],
    sample_rate: u32,
}

impl<'a> Clip<'a> {
    /// Checks the samples once, so that no augmentation has to.
    ///
    /// # Errors
    /// [`AugmentError::Empty`]; [`AugmentError::Signal`] on NaN, infinity and magnitudes beyond
    /// [`vocalics_dsp::MAX_SAMPLE`]; [`AugmentError::SampleRate`] outside 4 to 384 kHz.
    pub fn new(samples: &'a [f32], sample_rate: u32) -> Result<Self, AugmentError> {
        if samples.is_empty() {
            return Err(AugmentError::Empty);
        }
        if !(MIN_SAMPLE_RATE..=MAX_SAMPLE_RATE).contains(&sample_rate) {
            return Err(AugmentError::SampleRate {
                actual: sample_rate,
                min: MIN_SAMPLE_RATE,
                max: MAX_SAMPLE_RATE,
            });
        }
        check_samples(samples)?;
        Ok(Self {
            samples,
            sample_rate,
        })
    }

    /// The samples, `[n_samples]`.
    #[must_use]
    pub fn samples(&self) -> &'a [f32] {
        self.samples
    }

    /// Samples a second.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// The rate as a factor.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.sample_rate)
    }

    /// The same clip with other samples: those of a step before, which are checked when all is done.
    pub(crate) fn with<'b>(&self, samples: &'b [f32]) -> Clip<'b> {
        Clip {
            samples,
            sample_rate: self.sample_rate,
        }
    }
}

/// A value that was drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// A number, in the unit that its name carries.
    Number(f64),
    /// A choice, or the name of a sound.
    Text(String),
}

impl From<f64> for Value {
    /// Rounded to six digits, which is more than anybody hears and less than a table is wide.
    fn from(value: f64) -> Self {
        if value == 0.0 || !value.is_finite() {
            return Self::Number(value);
        }
        let digits = 10f64.powf(5.0 - value.abs().log10().floor());
        if digits.is_finite() && digits > 0.0 {
            Self::Number((value * digits).round() / digits)
        } else {
            Self::Number(value)
        }
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// What was drawn, by name and in order. Serialises as a map.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Drawn(pub Vec<(&'static str, Value)>);

impl Drawn {
    pub(crate) fn one(name: &'static str, value: impl Into<Value>) -> Self {
        Self::default().and(name, value)
    }

    pub(crate) fn and(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// The number of a name, if it is one.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Value::Number(number) => Some(*number),
            Value::Text(_) => None,
        }
    }
}

impl Serialize for Drawn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl fmt::Display for Drawn {
    /// `name=value` with blanks between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{name}={value}")?;
        }
        Ok(())
    }
}

/// The samples after one augmentation, and what was drawn for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Augmented {
    /// The samples; full scale is at ±1, and they may be beyond it.
    pub samples: Vec<f32>,
    /// Drawn values.
    pub drawn: Drawn,
}

impl Augmented {
    pub(crate) fn new(samples: Vec<f32>, drawn: Drawn) -> Self {
        Self { samples, drawn }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_clips_are_refused() {
        assert!(matches!(Clip::new(&[], 16_000), Err(AugmentError::Empty)));
        for bad in [f32::NAN, f32::INFINITY, 2e9] {
            let error = Clip::new(&[0.0, bad], 16_000).unwrap_err();
            assert!(error.to_string().contains("sample 1"), "{error}");
        }
        for rate in [0, 3_999, 384_001] {
            assert!(matches!(
                Clip::new(&[0.0], rate),
                Err(AugmentError::SampleRate { .. })
            ));
        }
        assert_eq!(Clip::new(&[0.5], 16_000).unwrap().samples(), [0.5]);
    }

    #[test]
    fn drawn_values_are_a_map_in_order() {
        let drawn = Drawn::one("snr_db", 12.345_678_9).and("colour", "pink");
        assert_eq!(
            serde_json::to_string(&drawn).unwrap(),
            r#"{"snr_db":12.3457,"colour":"pink"}"#
        );
        assert_eq!(drawn.to_string(), "snr_db=12.3457 colour=pink");
        assert_eq!(drawn.number("snr_db"), Some(12.3457));
        assert_eq!(drawn.number("colour"), None);
        for value in [0.0, -3.0, 1e-300, 1e300, f64::NAN] {
            let Value::Number(rounded) = Value::from(value) else {
                panic!("a number")
            };
            let same = rounded.is_nan() && value.is_nan();
            assert!(same || (rounded - value).abs() <= 1e-5 * value.abs());
        }
    }
}
