//! What a search leaves: `trials.csv`, the figure, and the configurations that won.

use std::path::Path;

use toml::Value;
use vocalics_eval::plot::{self, Figure};

use super::importance::importance;
use super::space::Coordinate;
use super::{Objective, TuneConfig};
use crate::cache::write;
use crate::{CrossValidation, TrainConfig, TrainError};

/// One configuration of a search and how it did.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number within its search, from 1; a later round of successive halving keeps it.
    pub number: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// Its value of each parameter, in their order.
    pub values: Vec<Value>,
    /// UAR on the validation speakers, mean over the search's folds, a fraction.
    pub uar: f64,
    /// Negative log-likelihood on the same, nats.
    pub nll: f64,
    /// Seconds of training, of all folds together.
    pub seconds: f64,
    /// Which round of successive halving it was in, from 0; 0 for the other strategies.
    pub round: usize,
    pub(super) point: Vec<Coordinate>,
}

impl Trial {
    /// Higher is better.
    pub(super) fn score(&self, objective: Objective) -> f64 {
        match objective {
            Objective::Uar => self.uar,
            Objective::Nll => -self.nll,
        }
    }
}

/// One search: all folds together, or one fold of a nested one.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The fold of a nested search, `all` of a joint one.
    pub name: String,
    /// Folds that every trial was trained on.
    pub folds: Vec<String>,
    /// The trials, in the order of their numbers; in successive halving round after round.
    pub trials: Vec<Trial>,
    /// The configuration that won, with the epochs and the validation speakers of the search's own configuration.
    pub config: TrainConfig,
}

impl Found {
    /// The trials with the most epochs before the others, the better before the worse, the earlier of equals first. The first of
    /// them is the winner.
    #[must_use]
    pub fn ranked(&self, objective: Objective) -> Vec<&Trial> {
        let mut trials: Vec<&Trial> = self.trials.iter().collect();
        trials.sort_by(|a, b| {
            let by_score = b.score(objective).total_cmp(&a.score(objective));
            b.round.cmp(&a.round).then(by_score)
        });
        trials
    }

    pub(super) fn best(&self, objective: Objective) -> Option<&Trial> {
        self.ranked(objective).first().copied()
    }
}

/// What a whole search gives.
#[derive(Debug)]
pub struct TuneOutcome {
    /// The searches, one or one for each fold.
    pub found: Vec<Found>,
    /// Share of the differences between trials that each parameter explains by itself, from 0 to 1, in the order of the
    /// parameters; `None` where there are too few trials to say.
    pub importance: Vec<Option<f64>>,
    /// The test of a nested search: every fold by its own winner.
    pub test: Option<CrossValidation>,
}

/// Importance over all searches. Scores are taken from the mean of their search, and only trials of the first round count: later
/// rounds hold the better ones alone.
pub(super) fn importances(search: &TuneConfig, found: &[Found]) -> Vec<Option<f64>> {
    let objective = search.search.objective;
    (0..search.parameters.len())
        .map(|i| {
            let mut pairs = Vec::new();
            for found in found {
                let trials: Vec<&Trial> = found.trials.iter().filter(|t| t.round == 0).collect();
                let scores: Vec<f64> = trials.iter().map(|t| t.score(objective)).collect();
                #[expect(clippy::cast_precision_loss, reason = "a handful of trials")]
                let mean = scores.iter().sum::<f64>() / scores.len().max(1) as f64;
                let at = trials.iter().map(|trial| trial.point[i]);
                pairs.extend(at.zip(scores.iter().map(|score| score - mean)));
            }
            importance(&pairs)
        })
        .collect()
}

/// `trials.csv`: one row for each trial of each search.
pub(super) fn trials_csv(search: &TuneConfig, found: &[Found]) -> String {
    let mut text = String::from("search,trial,epochs,validation_uar,validation_nll,seconds");
    for parameter in &search.parameters {
        text += &format!(",{}", parameter.name);
    }
    text.push('\n');
    for found in found {
        for trial in &found.trials {
            text += &format!(
                "{},{},{},{:.6},{:.6},{:.1}",
                found.name, trial.number, trial.epochs, trial.uar, trial.nll, trial.seconds
            );
            for value in &trial.values {
                text.push(',');
                text += &cell(value);
            }
            text.push('\n');
        }
    }
    text
}

/// A value as one cell of a CSV file.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

/// The figure of a search: what each parameter explains, and every trial by its value.
fn figure(search: &TuneConfig, found: &[Found], importance: &[Option<f64>]) -> Figure {
    let parameters: Vec<plot::Searched> = search
        .parameters
        .iter()
        .enumerate()
        .map(|(i, parameter)| plot::Searched {
            name: parameter.name.clone(),
            importance: importance[i],
            logarithmic: parameter.scale == super::Scale::Log,
            values: parameter.values.iter().map(cell).collect(),
            trials: found
                .iter()
                .flat_map(|found| &found.trials)
                .map(|trial| {
                    let at = match (trial.point[i], &trial.values[i]) {
                        #[expect(clippy::cast_precision_loss, reason = "a handful of values")]
                        (Coordinate::Choice(choice), _) => choice as f64,
                        #[expect(clippy::cast_precision_loss, reason = "sizes and counts")]
                        (_, Value::Integer(whole)) => *whole as f64,
                        (_, Value::Float(real)) => *real,
                        (Coordinate::Share(share), _) => share,
                    };
                    (at, trial.uar)
                })
                .collect(),
        })
        .collect();
    let folds: Vec<&str> = found
        .iter()
        .flat_map(|found| found.folds.iter().map(String::as_str))
        .collect();
    let what = format!(
        "{}, validation speakers of {}, seed {}",
        search.config.evaluation.protocol,
        folds.join(", "),
        search.config.seed
    );
    plot::search(&parameters, &what)
}

/// Writes `trials.csv`, `search.svg`, `search.png` and the configurations that won.
pub(super) fn write_all(
    directory: &Path,
    search: &TuneConfig,
    found: &[Found],
    importance: &[Option<f64>],
) -> Result<(), TrainError> {
    let put = |name: &str, text: &str| {
        let path = directory.join(name);
        write(&path, text.as_bytes()).map_err(TrainError::io("write", path))
    };
    put("trials.csv", &trials_csv(search, found))?;
    let figure = figure(search, found, importance);
    figure.write_svg(&directory.join("search.svg"))?;
    figure.write_png(&directory.join("search.png"), plot::PNG_SCALE)?;
    for found in found {
        let Some(best) = found.best(search.search.objective) else {
            continue;
        };
        let head = format!(
            "# Trial {} of {}: the best of a search on validation speakers of {} ({}).\n\
             # UAR {:.1} %, negative log-likelihood {:.3} on those speakers: what it was chosen by, not a measurement.\n",
            best.number,
            found
                .trials
                .iter()
                .map(|trial| trial.number)
                .max()
                .unwrap_or(0),
            found.folds.join(", "),
            found.config.evaluation.protocol,
            100.0 * best.uar,
            best.nll
        );
        let name = match found.name.as_str() {
            "all" => "best.toml".to_owned(),
            fold => format!("best-{fold}.toml"),
        };
        put(&name, &(head + &found.config.to_toml()))?;
    }
    Ok(())
}
