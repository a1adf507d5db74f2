//! What is to be compared, from the arguments.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use vocalics_corpora::Protocol;
use vocalics_train::classical::{ClassicalConfig, ClassicalRow, Method, SummarySet};
use vocalics_train::{FinishedRun, TrainConfig};

use super::Arguments;
use crate::failure::Failure;

/// A method, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice(Option<Method>);

pub(super) fn method_parser() -> impl TypedValueParser<Value = Choice> {
    let methods = Method::ALL.map(|method| PossibleValue::new(method.name()).help(method.about()));
    let none = PossibleValue::new("none").help("no classical method");
    PossibleValuesParser::new(methods.into_iter().chain([none]))
        .map(|name| Choice(Method::from_name(&name)))
}

pub(super) fn set_parser() -> impl TypedValueParser<Value = SummarySet> {
    let names = SummarySet::all()
        .into_iter()
        .map(|set| PossibleValue::new(set.name()).help(set.about()));
    PossibleValuesParser::new(names)
        .try_map(|name| SummarySet::from_name(&name).ok_or("no such set"))
}

/// `NAME=DIR` or `DIR`.
#[derive(Debug, Clone)]
pub(super) struct NamedRun {
    name: Option<String>,
    path: PathBuf,
}

impl FromStr for NamedRun {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !Path::new(text).exists() => Self {
                name: Some(name.to_owned()),
                path: path.into(),
            },
            _ => Self {
                name: None,
                path: text.into(),
            },
        })
    }
}

/// What is compared.
pub(super) struct Plan {
    pub(super) classical: ClassicalConfig,
    pub(super) methods: Vec<Method>,
    pub(super) sets: Vec<SummarySet>,
    pub(super) networks: Vec<TrainConfig>,
    /// Finished runs, by the names of their rows.
    pub(super) runs: Vec<(String, FinishedRun)>,
    pub(super) protocol: Protocol,
    pub(super) reference: String,
    pub(super) directory: PathBuf,
}

impl Plan {
    /// Everything that can be wrong with the arguments is found here, before any work.
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let mut classical = match &arguments.classical {
            Some(path) => ClassicalConfig::read(path).map_err(|error| {
                let hint =
                    "correct the file; `vocalics compare --print-classical` shows every field";
                Failure::from(error).hinted(hint)
            })?,
            None => ClassicalConfig::default(),
        };
        let overrides = &arguments.overrides;
        if let Some(seed) = overrides.seed {
            classical.seed = seed;
        }
        if let Some(map) = &overrides.map {
            classical.map.clone_from(map);
        }
        if let Some(target) = overrides.target {
            classical.target = target.name().to_owned();
        }
        if let Some(names) = arguments.corpora.names() {
            classical.corpora = names;
        }
        classical.validate()?;
        if arguments.loading.encoder.is_some() {
            return Err(Failure::usage(
                "--encoder in a comparison",
                "run `vocalics evaluate --encoder` first, and give its run directory with --with",
            ));
        }
        if overrides.epochs.is_some() && arguments.configs.is_empty() {
            return Err(Failure::usage(
                "--epochs without a network to train",
                "it is about --config; the epochs of the mlp are in the file of --classical",
            ));
        }
        let protocol = Protocol::from_name_or_file(&arguments.protocol)?;
        let mut networks = Vec::new();
        for path in &arguments.configs {
            let mut config = TrainConfig::read(path)?;
            overrides.apply(&mut config);
            arguments.corpora.override_names(&mut config);
            if !matches!(protocol, Protocol::User(_)) {
                config.evaluation.protocol = protocol.name().to_owned();
            }
            config.validate()?;
            let learnt = config.distillation.as_ref();
            let allowed = config.transfer.allow_seen_speakers
                || learnt.is_some_and(|it| it.allow_seen_speakers);
            if allowed && !protocol.speakers_shared() {
                return Err(Failure::usage(
                    format!(
                        "{} may begin or learn from a model that has heard test speakers",
                        config.name
                    ),
                    "take allow_seen_speakers out of it, or choose a protocol that shares speakers",
                ));
            }
            networks.push(config);
        }
        let mut runs = Vec::new();
        for NamedRun { name, path } in &arguments.with {
            let run = FinishedRun::read(path)?;
            runs.push((name.clone().unwrap_or_else(|| run.name.clone()), run));
        }
        let methods: Vec<Method> = if arguments.methods.is_empty() {
            Method::ALL.to_vec()
        } else {
            // In the order of tables, each once.
            let asked = |method: &Method| arguments.methods.contains(&Choice(Some(*method)));
            Method::ALL.into_iter().filter(asked).collect()
        };
        let mut sets: Vec<SummarySet> = Vec::new();
        for set in &arguments.sets {
            if !sets.contains(set) {
                sets.push(*set);
            }
        }
        let mut plan = Self {
            classical,
            methods,
            sets,
            networks,
            runs,
            directory: arguments.run.clone().unwrap_or_else(|| {
                PathBuf::from("runs").join(format!("compare-{}", protocol.name()))
            }),
            protocol,
            reference: String::new(),
        };
        plan.reference = reference(arguments, &plan)?;
        Ok(plan)
    }
}

/// The reference row: the one asked for, the last network, logistic regression, or the first row.
fn reference(arguments: &Arguments, plan: &Plan) -> Result<String, Failure> {
    let mut names: Vec<String> = Vec::new();
    for (index, set) in plan.sets.iter().enumerate() {
        let methods = plan.methods.iter().filter(|m| m.hears() || index == 0);
        names.extend(methods.map(|method| row_name(*method, *set)));
    }
    let logistic = plan
        .sets
        .first()
        .map(|set| row_name(Method::LogisticRegression, *set));
    let networks = plan.networks.iter().map(|config| config.name.clone());
    let networks: Vec<String> = networks
        .chain(plan.runs.iter().map(|(name, _)| name.clone()))
        .collect();
    names.extend(networks.iter().cloned());
    for (index, name) in names.iter().enumerate() {
        let folder_of_a_set = plan.sets.iter().any(|set| set.name() == name);
        if names[..index].contains(name) || folder_of_a_set {
            return Err(Failure::usage(
                format!("two rows or folders would be called {name}"),
                "name finished runs apart with --with NAME=RUN, configurations by their field `name`",
            ));
        }
    }
    let Some(first) = names.first() else {
        return Err(Failure::usage(
            "nothing to compare",
            "give methods with --method, configurations with --config, or finished runs with --with",
        ));
    };
    match &arguments.reference {
        Some(name) if names.contains(name) => Ok(name.clone()),
        Some(name) => Err(Failure::usage(
            format!("no row is called {name}"),
            format!("the rows are {}", names.join(", ")),
        )),
        None => Ok(networks
            .last()
            .cloned()
            .or_else(|| logistic.filter(|name| names.contains(name)))
            .unwrap_or_else(|| first.clone())),
    }
}

fn row_name(method: Method, set: SummarySet) -> String {
    ClassicalRow::name(method, method.hears().then(|| set.name()))
}
