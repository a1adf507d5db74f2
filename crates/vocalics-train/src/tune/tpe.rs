//! The tree-structured Parzen estimator: draws where good trials are denser than the others.
//!
//! Source: J. Bergstra, R. Bardenet, Y. Bengio, B. Kégl, *Algorithms for Hyper-Parameter Optimization*, NeurIPS 2011,
//! section 4.

use rand::Rng;
use rand::rngs::StdRng;

use super::space::{Coordinate, Parameter, Point, Space};
use crate::TrainError;

/// Share of the trials that counts as good (γ).
const GOOD: f64 = 0.25;
/// Points drawn from the good density, of which the one with the best ratio is taken.
const CANDIDATES: usize = 24;
/// Narrowest kernel, as a share of the range.
const NARROWEST: f64 = 0.05;

/// Density of one parameter: of its trials, and of one trial more that is spread evenly over all values.
struct Density {
    /// Centre and width of a kernel each, for a range.
    kernels: Vec<(f64, f64)>,
    /// Probability of each value of a list.
    choices: Vec<f64>,
}

impl Density {
    fn fit(parameter: &Parameter, trials: &[Coordinate]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a handful of trials")]
        let n = trials.len() as f64;
        let values = parameter.choices();
        let mut choices = vec![0.0; values];
        let mut centres = Vec::new();
        for &trial in trials {
            match trial {
                Coordinate::Choice(choice) => choices[choice] += 1.0 / (n + 1.0),
                Coordinate::Share(share) => centres.push(share),
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of values")]
        for choice in &mut choices {
            *choice += 1.0 / ((n + 1.0) * values as f64);
        }
        centres.sort_by(f64::total_cmp);
        let kernels = centres
            .iter()
            .enumerate()
            .map(|(i, &centre)| {
                // As wide as the distance to the farther neighbour, the ends of the range being neighbours too.
                let below = if i == 0 { 0.0 } else { centres[i - 1] };
                let above = centres.get(i + 1).copied().unwrap_or(1.0);
                (centre, (centre - below).max(above - centre).max(NARROWEST))
            })
            .collect();
        Self { kernels, choices }
    }

    fn draw(&self, rng: &mut StdRng) -> Coordinate {
        if !self.choices.is_empty() {
            let mut left: f64 = rng.random();
            for (choice, probability) in self.choices.iter().enumerate() {
                left -= probability;
                if left < 0.0 {
                    return Coordinate::Choice(choice);
                }
            }
            return Coordinate::Choice(self.choices.len() - 1);
        }
        match self.kernels.get(rng.random_range(0..=self.kernels.len())) {
            None => Coordinate::Share(rng.random()),
            Some(&(centre, width)) => loop {
                // Box and Muller; a draw outside the range is made again.
                let (u, v): (f64, f64) = (rng.random(), rng.random());
                let normal = (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos();
                let share = centre + width * normal;
                if (0.0..=1.0).contains(&share) {
                    return Coordinate::Share(share);
                }
            },
        }
    }

    fn at(&self, coordinate: Coordinate) -> f64 {
        match coordinate {
            Coordinate::Choice(choice) => self.choices[choice],
            Coordinate::Share(share) => {
                let kernels = self.kernels.iter().map(|&(centre, width)| {
                    let z = (share - centre) / width;
                    let normal = (-0.5 * z * z).exp() / (width * std::f64::consts::TAU.sqrt());
                    normal / within(centre, width)
                });
                #[expect(clippy::cast_precision_loss, reason = "a handful of trials")]
                let n = self.kernels.len() as f64;
                (1.0 + kernels.sum::<f64>()) / (n + 1.0)
            }
        }
    }
}

/// Mass that a normal distribution has between 0 and 1.
fn within(centre: f64, width: f64) -> f64 {
    let below = |x: f64| 0.5 * (1.0 + erf((x - centre) / (width * std::f64::consts::SQRT_2)));
    (below(1.0) - below(0.0)).max(1e-12)
}

/// The error function within 2e-7.
///
/// Source: M. Abramowitz and I. Stegun, *Handbook of Mathematical Functions*, 7.1.26.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let poly = t
        * (0.254_829_592
            + t * (-0.284_496_736
                + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (1.0 - poly * (-x * x).exp()).copysign(x)
}

/// The point to try next, from trials with their scores, of which higher ones are better.
pub(super) fn suggest(
    space: &Space<'_>,
    trials: &[(Point, f64)],
    rng: &mut StdRng,
) -> Result<Point, TrainError> {
    let mut order: Vec<usize> = (0..trials.len()).collect();
    // A trial earlier in the list comes first among equals.
    order.sort_by(|&a, &b| trials[b].1.total_cmp(&trials[a].1));
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a handful of trials"
    )]
    let good = ((trials.len() as f64 * GOOD).ceil() as usize).min(trials.len());
    if good == 0 {
        return space.draw(rng);
    }
    let densities: Vec<(Density, Density)> = space
        .parameters
        .iter()
        .enumerate()
        .map(|(i, parameter)| {
            let of = |part: &[usize]| -> Vec<Coordinate> {
                part.iter().map(|&trial| trials[trial].0[i]).collect()
            };
            (
                Density::fit(parameter, &of(&order[..good])),
                Density::fit(parameter, &of(&order[good..])),
            )
        })
        .collect();
    let mut best: Option<(f64, Point)> = None;
    for _ in 0..CANDIDATES {
        let point: Point = densities.iter().map(|(good, _)| good.draw(rng)).collect();
        let ratio: f64 = densities
            .iter()
            .zip(&point)
            .map(|((good, rest), &at)| (good.at(at) / rest.at(at)).ln())
            .sum();
        if best.as_ref().is_none_or(|(so_far, _)| ratio > *so_far) {
            best = Some((ratio, point));
        }
    }
    match best {
        Some((_, point)) => Ok(point),
        None => space.draw(rng),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::TrainConfig;

    fn parameter(text: &str) -> Parameter {
        toml::from_str(text).expect("a parameter")
    }

    #[test]
    fn a_density_sums_to_one() {
        let real = parameter("name = 'training.weight_decay'\nrange = [0.0, 1.0]");
        let density = Density::fit(&real, &[0.02, 0.1, 0.9].map(Coordinate::Share));
        let steps = 2000;
        let sum: f64 = (0..steps)
            .map(|i| density.at(Coordinate::Share((f64::from(i) + 0.5) / f64::from(steps))))
            .sum();
        assert!((sum / f64::from(steps) - 1.0).abs() < 1e-4, "{sum}");
        let list = parameter("name = 'training.batch_size'\nvalues = [8, 16, 32]");
        let density = Density::fit(&list, &[0, 0, 2].map(Coordinate::Choice));
        let sum: f64 = (0..3).map(|i| density.at(Coordinate::Choice(i))).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }

    /// On a function with its best in a corner, later trials are nearer to it than random ones.
    #[test]
    fn suggestions_gather_where_scores_are_high() {
        let base = TrainConfig::default();
        let parameters = [
            parameter("name = 'training.weight_decay'\nrange = [0.0, 1.0]"),
            parameter("name = 'training.batch_size'\nvalues = [8, 16, 32, 64]"),
        ];
        let space = Space::new(&base, &parameters).expect("a space");
        let score = |point: &Point| {
            let [Coordinate::Share(x), Coordinate::Choice(c)] = point[..] else {
                panic!("coordinates of other kinds");
            };
            -(x - 0.8).abs() - if c == 2 { 0.0 } else { 0.5 }
        };
        let mut rng = StdRng::seed_from_u64(7);
        let mut trials: Vec<(Point, f64)> = Vec::new();
        for i in 0..60 {
            let point = if i < 10 {
                space.draw(&mut rng).expect("a point")
            } else {
                suggest(&space, &trials, &mut rng).expect("a point")
            };
            let score = score(&point);
            trials.push((point, score));
        }
        let late = &trials[30..];
        let chosen = late
            .iter()
            .filter(|(point, _)| point[1] == Coordinate::Choice(2))
            .count();
        // A quarter by chance.
        assert!(chosen > 18, "{chosen} of 30");
        let mean =
            |part: &[(Point, f64)]| part.iter().map(|t| t.1).sum::<f64>() / part.len() as f64;
        assert!(
            mean(late) > mean(&trials[..10]) + 0.2,
            "{} {}",
            mean(late),
            mean(&trials[..10])
        );
    }
}
