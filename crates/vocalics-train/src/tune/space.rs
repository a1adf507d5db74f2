//! The space that a search draws configurations from.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use toml::Value;

use crate::{TrainConfig, TrainError};

/// Parts of a configuration that a search may change. The others say what is measured, and on what.
const SECTIONS: [&str; 6] = [
    "front_end",
    "functionals",
    "network",
    "ensemble",
    "training",
    "augmentation",
];
/// Significant digits of a drawn number: enough for any training, and readable.
const DIGITS: i32 = 4;

/// How a range is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Equal differences are equally likely.
    #[default]
    Linear,
    /// Equal ratios are equally likely; for rates and the like.
    Log,
}

/// One field of the configuration and the values it may take: either a list, or a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The field with its sections, as `training.learning_rate`; an entry of a list by its place from 0, as
    /// `augmentation.stretch.1`.
    pub name: String,
    /// The values to choose from; empty if there is a range.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Value>,
    /// Lowest and highest value, both included; whole numbers give whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[Value; 2]>,
    /// How the range is divided.
    #[serde(default)]
    pub scale: Scale,
}

/// Where in its parameter's values a configuration lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Coordinate {
    /// Which of the listed values.
    Choice(usize),
    /// From 0, the lowest of the range, to 1, the highest, on its scale.
    Share(f64),
}

/// One coordinate for each parameter.
pub(super) type Point = Vec<Coordinate>;

/// What a parameter's values are.
enum Kind<'a> {
    List(&'a [Value]),
    Whole(i64, i64),
    Real(f64, f64),
}

impl Parameter {
    fn kind(&self) -> Result<Kind<'_>, TrainError> {
        let wrong = |actual: String, expected: &'static str| TrainError::Space {
            name: self.name.clone(),
            actual,
            expected,
        };
        match (&self.range, self.values.as_slice()) {
            (None, []) => Err(wrong("neither values nor a range".into(), "one of the two")),
            (Some(_), [_, ..]) => Err(wrong("values and a range".into(), "one of the two")),
            (None, [_]) => Err(wrong(
                "one value".into(),
                "at least two, else set it in the configuration",
            )),
            (None, values) => Ok(Kind::List(values)),
            (Some([low, high]), []) => {
                let text = || format!("the range {low} to {high}");
                let least = match self.scale {
                    Scale::Linear => f64::NEG_INFINITY,
                    Scale::Log => 0.0,
                };
                let ordered = |low: f64, high: f64| {
                    low.is_finite() && high.is_finite() && low < high && low > least
                };
                let (kind, fine) = match (low, high) {
                    (Value::Integer(low), Value::Integer(high)) => {
                        (Kind::Whole(*low, *high), ordered(*low as f64, *high as f64))
                    }
                    (Value::Float(low), Value::Float(high)) => {
                        (Kind::Real(*low, *high), ordered(*low, *high))
                    }
                    _ => {
                        return Err(wrong(
                            text(),
                            "two whole numbers, or two with a decimal point",
                        ));
                    }
                };
                if fine {
                    Ok(kind)
                } else {
                    Err(wrong(
                        text(),
                        "ascending numbers, above 0 on a logarithmic scale",
                    ))
                }
            }
        }
    }

    fn draw(&self, rng: &mut StdRng) -> Result<Coordinate, TrainError> {
        Ok(match self.kind()? {
            Kind::List(values) => Coordinate::Choice(rng.random_range(0..values.len())),
            Kind::Whole(..) | Kind::Real(..) => Coordinate::Share(rng.random()),
        })
    }

    fn value(&self, coordinate: Coordinate) -> Result<Value, TrainError> {
        let share = match coordinate {
            Coordinate::Share(share) => share,
            Coordinate::Choice(_) => 0.0,
        };
        let between = |low: f64, high: f64| match self.scale {
            Scale::Linear => low + share * (high - low),
            Scale::Log => low * (high / low).powf(share),
        };
        Ok(match self.kind()? {
            Kind::List(values) => match coordinate {
                Coordinate::Choice(choice) => values[choice].clone(),
                Coordinate::Share(_) => values[0].clone(),
            },
            Kind::Real(low, high) => Value::Float(rounded(between(low, high)).clamp(low, high)),
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "sizes and counts"
            )]
            Kind::Whole(low, high) => {
                // Every whole number of a linear range is as likely as any other.
                let drawn = match self.scale {
                    Scale::Linear => (low as f64 + share * (high - low + 1) as f64).floor(),
                    Scale::Log => between(low as f64, high as f64).round(),
                };
                Value::Integer((drawn as i64).clamp(low, high))
            }
        })
    }

    /// How many values there are to choose from, 0 for a range.
    pub(super) fn choices(&self) -> usize {
        self.values.len()
    }
}

/// To [`DIGITS`] significant digits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the magnitude of a finite number is below 400"
)]
fn rounded(value: f64) -> f64 {
    if value == 0.0 {
        return value;
    }
    let magnitude = value.abs().log10().floor() as i32;
    let text = format!("{value:.*e}", usize::try_from(DIGITS - 1).unwrap_or(0));
    text.parse().unwrap_or_else(|_| {
        let unit = 10f64.powi(magnitude + 1 - DIGITS);
        (value / unit).round() * unit
    })
}

/// The parameters of a search, over the configuration that they change.
#[derive(Debug, Clone)]
pub(super) struct Space<'a> {
    base: &'a TrainConfig,
    pub(super) parameters: &'a [Parameter],
}

impl<'a> Space<'a> {
    /// Checks every parameter by itself: its name, its values, and that the configuration takes each end of a range and each
    /// value of a list.
    pub(super) fn new(
        base: &'a TrainConfig,
        parameters: &'a [Parameter],
    ) -> Result<Self, TrainError> {
        let space = Self { base, parameters };
        for (place, parameter) in parameters.iter().enumerate() {
            let wrong = |actual: String, expected| TrainError::Space {
                name: parameter.name.clone(),
                actual,
                expected,
            };
            let section = parameter.name.split('.').next().unwrap_or_default();
            if !SECTIONS.contains(&section) || section.len() == parameter.name.len() {
                return Err(wrong(
                    "no field of a section that can be searched".into(),
                    "a field of front_end, functionals, network, ensemble, training or augmentation",
                ));
            }
            if parameters[..place]
                .iter()
                .any(|other| other.name == parameter.name)
            {
                return Err(wrong("given twice".into(), "each field once"));
            }
            let ends: Vec<Coordinate> = match parameter.kind()? {
                Kind::List(values) => (0..values.len()).map(Coordinate::Choice).collect(),
                Kind::Whole(..) | Kind::Real(..) => [0.0, 1.0].map(Coordinate::Share).to_vec(),
            };
            for end in ends {
                let value = parameter.value(end)?;
                space.with(&[(parameter, value)])?;
            }
        }
        Ok(space)
    }

    /// A point anywhere in the space.
    pub(super) fn draw(&self, rng: &mut StdRng) -> Result<Point, TrainError> {
        self.parameters.iter().map(|p| p.draw(rng)).collect()
    }

    /// The values at a point.
    pub(super) fn values(&self, point: &[Coordinate]) -> Result<Vec<Value>, TrainError> {
        let pairs = self.parameters.iter().zip(point);
        pairs.map(|(parameter, &at)| parameter.value(at)).collect()
    }

    /// The configuration at a point.
    pub(super) fn config(&self, point: &[Coordinate]) -> Result<TrainConfig, TrainError> {
        let values = self.values(point)?;
        let pairs: Vec<(&Parameter, Value)> = self.parameters.iter().zip(values).collect();
        self.with(&pairs)
    }

    fn with(&self, values: &[(&Parameter, Value)]) -> Result<TrainConfig, TrainError> {
        let unwritable = |source: toml::ser::Error| TrainError::Space {
            name: "the configuration".into(),
            actual: source.to_string(),
            expected: "one that can be written as TOML",
        };
        let mut table = Value::try_from(self.base).map_err(unwritable)?;
        // The kind first: the other fields of the section are that network's.
        let (kinds, fields): (Vec<_>, Vec<_>) = values
            .iter()
            .partition(|(parameter, _)| parameter.name.ends_with(".kind"));
        for (parameter, value) in kinds.into_iter().chain(fields) {
            set(&mut table, &parameter.name, value.clone())?;
        }
        let names = || {
            let names: Vec<String> = values
                .iter()
                .map(|(parameter, value)| format!("{} = {value}", parameter.name))
                .collect();
            names.join(", ")
        };
        let config: TrainConfig = table.try_into().map_err(|source| TrainError::SpaceValue {
            values: names(),
            reason: toml::de::Error::message(&source).to_owned(),
        })?;
        config.validate().map_err(|source| TrainError::SpaceValue {
            values: names(),
            reason: source.to_string(),
        })?;
        Ok(config)
    }
}

/// Puts a value where the dotted name says.
fn set(root: &mut Value, name: &str, value: Value) -> Result<(), TrainError> {
    let absent = |part: &str| TrainError::Space {
        name: name.to_owned(),
        actual: format!("without {part:?} in the configuration"),
        expected: "fields and places that it has",
    };
    let (path, last) = name.rsplit_once('.').ok_or_else(|| absent(name))?;
    let mut at = root;
    for part in path.split('.') {
        at = match at {
            Value::Table(table) => table.get_mut(part),
            Value::Array(list) => part
                .parse()
                .ok()
                .and_then(|place: usize| list.get_mut(place)),
            _ => None,
        }
        .ok_or_else(|| absent(part))?;
    }
    match at {
        Value::Table(table) if last == "kind" => {
            // Another kind has fields of its own, with their defaults.
            if table.get(last) != Some(&value) {
                table.clear();
            }
            table.insert(last.to_owned(), value);
        }
        Value::Table(table) => {
            table.insert(last.to_owned(), value);
        }
        Value::Array(list) => {
            let place = last
                .parse()
                .ok()
                .and_then(|place: usize| list.get_mut(place));
            *place.ok_or_else(|| absent(last))? = value;
        }
        _ => return Err(absent(last)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn parameters(text: &str) -> Vec<Parameter> {
        #[derive(Deserialize)]
        struct File {
            parameter: Vec<Parameter>,
        }
        toml::from_str::<File>(text).expect("parameters").parameter
    }

    fn error(text: &str) -> String {
        let base = TrainConfig::default();
        let parameters = parameters(text);
        Space::new(&base, &parameters)
            .expect_err("refused")
            .to_string()
    }

    #[test]
    fn draws_stay_in_their_range_and_reach_it_all() {
        let base = TrainConfig::default();
        let parameters = parameters(
            "[[parameter]]\nname = 'training.learning_rate'\nrange = [1e-4, 1e-2]\nscale = 'log'\n\
             [[parameter]]\nname = 'training.batch_size'\nvalues = [16, 32]\n\
             [[parameter]]\nname = 'augmentation.time_masks'\nrange = [0, 3]\n\
             [[parameter]]\nname = 'augmentation.stretch.1'\nrange = [1.0, 1.5]",
        );
        let space = Space::new(&base, &parameters).expect("a space");
        let mut rng = StdRng::seed_from_u64(1);
        let (mut low, mut masks) = (0, [0; 4]);
        for _ in 0..400 {
            let config = space
                .config(&space.draw(&mut rng).expect("a point"))
                .expect("a configuration");
            assert!((1e-4..=1e-2).contains(&config.training.learning_rate));
            low += u32::from(config.training.learning_rate < 1e-3);
            assert!([16, 32].contains(&config.training.batch_size));
            masks[config.augmentation.time_masks] += 1;
            assert!((1.0..=1.5).contains(&config.augmentation.stretch[1]));
            assert!((config.augmentation.stretch[0] - 0.8).abs() < 1e-12);
        }
        // Half of the ratios lie below the geometric mean; a quarter of the draws fall on each whole number.
        assert!((150..250).contains(&low), "{low}");
        assert!(masks.iter().all(|&n| (60..140).contains(&n)), "{masks:?}");
    }

    #[test]
    fn another_kind_of_network_has_its_own_fields() {
        let base = TrainConfig::default();
        let parameters = parameters(
            "[[parameter]]\nname = 'network.dropout'\nrange = [0.1, 0.6]\n\
             [[parameter]]\nname = 'network.kind'\nvalues = ['residual-cnn', 'cnn-recurrent']",
        );
        let space = Space::new(&base, &parameters).expect("a space");
        let config = space
            .config(&[Coordinate::Share(0.5), Coordinate::Choice(1)])
            .expect("a configuration");
        assert_eq!(config.network.kind(), "cnn-recurrent");
        assert!(config.to_toml().contains("dropout = 0.35"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(rounded(0.001_234_567).to_string(), "0.001235");
        assert_eq!(rounded(123_456.0).to_string(), "123500");
        assert_eq!(rounded(0.0).to_string(), "0");
    }

    #[test]
    fn what_cannot_be_searched_is_told() {
        for (text, expected) in [
            ("name = 'seed'\nrange = [1, 9]", "seed"),
            (
                "name = 'evaluation.validation_speakers'\nrange = [1, 9]",
                "front_end, functionals, network",
            ),
            ("name = 'training.epochs'", "neither values nor a range"),
            ("name = 'training.epochs'\nvalues = [1]", "at least two"),
            (
                "name = 'training.epochs'\nvalues = [1, 2]\nrange = [1, 2]",
                "values and a range",
            ),
            ("name = 'training.epochs'\nrange = [5, 2]", "ascending"),
            (
                "name = 'training.epochs'\nrange = [1, 2.5]",
                "decimal point",
            ),
            (
                "name = 'training.weight_decay'\nrange = [0.0, 0.1]\nscale = 'log'",
                "above 0",
            ),
            (
                "name = 'training.epoch'\nrange = [5, 9]",
                "unknown field `epoch`",
            ),
            (
                "name = 'training.batch_size'\nrange = [1, 9]",
                "training.batch_size is 1",
            ),
            (
                "name = 'augmentation.stretch.2'\nrange = [1.0, 1.5]",
                "\"2\"",
            ),
            (
                "name = 'training.sampling'\nvalues = ['shuffled', 'sorted']",
                "sorted",
            ),
        ] {
            let said = error(&format!("[[parameter]]\n{text}"));
            assert!(said.contains(expected), "{text}: {said}");
        }
        let twice = error(
            "[[parameter]]\nname = 'training.epochs'\nvalues = [1, 2]\n[[parameter]]\nname = 'training.epochs'\nvalues = [1, 2]",
        );
        assert!(twice.contains("given twice"), "{twice}");
    }
}
