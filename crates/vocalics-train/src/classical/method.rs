//! The methods by name, and what each is fitted with.

use std::fmt;

use rand::rngs::StdRng;

use super::ClassicalConfig;
use super::boosting::{Boosting, BoostingConfig};
use super::forest::Forest;
use super::logistic::Logistic;
use super::majority::Majority;
use super::mixture::Mixture;
use super::neighbours::Neighbours;
use super::perceptron::{Perceptron, PerceptronConfig};
use super::sample::{Sample, count};
use super::support_vectors::{Kernel, SupportVectors};

/// A classical method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Always the commonest class.
    Majority,
    /// k nearest neighbours.
    NearestNeighbours,
    /// Multinomial logistic regression.
    LogisticRegression,
    /// Support vector machine, linear.
    SvmLinear,
    /// Support vector machine, Gaussian kernel.
    SvmRbf,
    /// Random forest.
    RandomForest,
    /// Gradient boosting.
    GradientBoosting,
    /// Gaussian mixture per class.
    GaussianMixture,
    /// Multi-layer perceptron.
    Perceptron,
}

impl Method {
    /// All methods, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Majority,
        Self::NearestNeighbours,
        Self::LogisticRegression,
        Self::SvmLinear,
        Self::SvmRbf,
        Self::RandomForest,
        Self::GradientBoosting,
        Self::GaussianMixture,
        Self::Perceptron,
    ];

    /// Name on the command line and in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Majority => "majority",
            Self::NearestNeighbours => "nearest-neighbours",
            Self::LogisticRegression => "logistic-regression",
            Self::SvmLinear => "svm-linear",
            Self::SvmRbf => "svm-rbf",
            Self::RandomForest => "random-forest",
            Self::GradientBoosting => "gradient-boosting",
            Self::GaussianMixture => "gaussian-mixture",
            Self::Perceptron => "mlp",
        }
    }

    /// What the method is, in a line.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Majority => "always the commonest class of the training part",
            Self::NearestNeighbours => "votes of the k nearest training clips",
            Self::LogisticRegression => "multinomial, with a penalty on the squared weights",
            Self::SvmLinear => "support vector machine, one class against one",
            Self::SvmRbf => "the same with a Gaussian kernel",
            Self::RandomForest => "trees on bootstrap samples and drawn features",
            Self::GradientBoosting => "trees along the gradient of the likelihood",
            Self::GaussianMixture => "a mixture per class, diagonal, with a variance floor",
            Self::Perceptron => "one hidden layer with dropout",
        }
    }

    /// The method of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether the answer depends on the clip at all.
    #[must_use]
    pub fn hears(self) -> bool {
        self != Self::Majority
    }

    /// The settings to choose from for vectors of `n_features`, the simplest first; never none in a valid configuration.
    pub(super) fn settings(self, config: &ClassicalConfig, n_features: usize) -> Vec<Setting> {
        match self {
            Self::Majority => vec![Setting::Majority],
            Self::NearestNeighbours => {
                let mut k = config.neighbours.k.clone();
                // More neighbours are the smoother answer.
                k.sort_unstable_by(|a, b| b.cmp(a));
                k.into_iter().map(|k| Setting::Neighbours { k }).collect()
            }
            Self::LogisticRegression => ascending(&config.logistic.c)
                .map(|c| Setting::Logistic {
                    c,
                    iterations: config.logistic.iterations,
                })
                .collect(),
            Self::SvmLinear => ascending(&config.svm_linear.c)
                .map(|c| Setting::Svm {
                    kernel: Kernel::Linear,
                    c,
                })
                .collect(),
            Self::SvmRbf => ascending(&config.svm_rbf.gamma)
                .flat_map(|gamma| {
                    ascending(&config.svm_rbf.c).map(move |c| Setting::Svm {
                        kernel: Kernel::Rbf {
                            gamma: gamma / count(n_features),
                        },
                        c,
                    })
                })
                .collect(),
            Self::RandomForest => {
                let mut least = config.forest.least_clips.clone();
                least.sort_unstable_by(|a, b| b.cmp(a));
                let of = |least_clips| Setting::Forest {
                    trees: config.forest.trees,
                    least_clips,
                };
                least.into_iter().map(of).collect()
            }
            Self::GradientBoosting => {
                let mut rounds = config.boosting.rounds.clone();
                rounds.sort_unstable();
                let of = |rounds| Setting::Boosting {
                    config: config.boosting.clone(),
                    rounds,
                };
                rounds.into_iter().map(of).collect()
            }
            Self::GaussianMixture => {
                let mut components = config.mixture.components.clone();
                components.sort_unstable();
                components
                    .into_iter()
                    .flat_map(|components| {
                        ascending(&config.mixture.floor).map(move |floor| Setting::Mixture {
                            components,
                            floor,
                            iterations: config.mixture.iterations,
                        })
                    })
                    .collect()
            }
            Self::Perceptron => {
                let mut decays: Vec<f64> = ascending(&config.perceptron.weight_decay).collect();
                decays.reverse();
                let of = |weight_decay| Setting::Perceptron {
                    config: config.perceptron.clone(),
                    weight_decay,
                };
                decays.into_iter().map(of).collect()
            }
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn ascending(values: &[f64]) -> impl Iterator<Item = f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.into_iter()
}

/// A method with all its hyper-parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Setting {
    Majority,
    Neighbours {
        k: usize,
    },
    Logistic {
        c: f64,
        iterations: usize,
    },
    Svm {
        kernel: Kernel,
        c: f64,
    },
    Forest {
        trees: usize,
        least_clips: usize,
    },
    Boosting {
        config: BoostingConfig,
        rounds: usize,
    },
    Mixture {
        components: usize,
        floor: f64,
        iterations: usize,
    },
    Perceptron {
        config: PerceptronConfig,
        weight_decay: f64,
    },
}

impl Setting {
    /// Fits to clips, on the calling thread.
    pub(super) fn fit(&self, sample: Sample<'_>, rng: &mut StdRng) -> Classifier {
        match self {
            Self::Majority => Classifier::Majority(Majority::fit(sample)),
            Self::Neighbours { k } => Classifier::Neighbours(Neighbours::fit(sample, *k)),
            Self::Logistic { c, iterations } => {
                Classifier::Logistic(Logistic::fit(sample, *c, *iterations))
            }
            Self::Svm { kernel, c } => {
                Classifier::SupportVectors(SupportVectors::fit(sample, *kernel, *c))
            }
            Self::Forest { trees, least_clips } => {
                Classifier::Forest(Forest::fit(sample, *trees, *least_clips, rng))
            }
            Self::Boosting { config, rounds } => {
                Classifier::Boosting(Boosting::fit(sample, config, *rounds, rng))
            }
            Self::Mixture {
                components,
                floor,
                iterations,
            } => Classifier::Mixture(Mixture::fit(sample, *components, *floor, *iterations, rng)),
            Self::Perceptron {
                config,
                weight_decay,
            } => Classifier::Perceptron(Perceptron::fit(sample, config, *weight_decay, rng)),
        }
    }
}

/// What was chosen, for people.
impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Majority => f.write_str("nothing to choose"),
            Self::Neighbours { k } => write!(f, "k {k}"),
            Self::Logistic { c, .. } => write!(f, "C {c}"),
            Self::Svm { kernel, c } => match kernel {
                Kernel::Linear => write!(f, "C {c}"),
                Kernel::Rbf { gamma } => write!(f, "C {c}, gamma {gamma:.3e}"),
            },
            Self::Forest { trees, least_clips } => {
                write!(f, "{trees} trees, at least {least_clips} clips in a leaf")
            }
            Self::Boosting { rounds, .. } => write!(f, "{rounds} rounds"),
            Self::Mixture {
                components, floor, ..
            } => write!(f, "{components} components, variance at least {floor}"),
            Self::Perceptron { weight_decay, .. } => write!(f, "weight decay {weight_decay}"),
        }
    }
}

/// A fitted method.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Classifier {
    Majority(Majority),
    Neighbours(Neighbours),
    Logistic(Logistic),
    SupportVectors(SupportVectors),
    Forest(Forest),
    Boosting(Boosting),
    Mixture(Mixture),
    Perceptron(Perceptron),
}

impl Classifier {
    /// What `setting` would give with the same random numbers, where that is a part of this: fewer rounds.
    pub(super) fn part(&self, setting: &Setting) -> Option<Self> {
        match (self, setting) {
            (Self::Boosting(fitted), Setting::Boosting { rounds, .. })
                if *rounds <= fitted.n_rounds() =>
            {
                Some(Self::Boosting(fitted.first(*rounds)))
            }
            _ => None,
        }
    }

    /// Scores before calibration, finite, `[n_classes]`, of a standardised vector `[n_features]`.
    pub(super) fn logits(&self, vector: &[f32]) -> Vec<f32> {
        match self {
            Self::Majority(fitted) => fitted.logits(),
            Self::Neighbours(fitted) => fitted.logits(vector),
            Self::Logistic(fitted) => fitted.logits(vector),
            Self::SupportVectors(fitted) => fitted.logits(vector),
            Self::Forest(fitted) => fitted.logits(vector),
            Self::Boosting(fitted) => fitted.logits(vector),
            Self::Mixture(fitted) => fitted.logits(vector),
            Self::Perceptron(fitted) => fitted.logits(vector),
        }
    }

    /// Numbers stored.
    pub(super) fn parameters(&self) -> usize {
        match self {
            Self::Majority(fitted) => fitted.parameters(),
            Self::Neighbours(fitted) => fitted.parameters(),
            Self::Logistic(fitted) => fitted.parameters(),
            Self::SupportVectors(fitted) => fitted.parameters(),
            Self::Forest(fitted) => fitted.parameters(),
            Self::Boosting(fitted) => fitted.parameters(),
            Self::Mixture(fitted) => fitted.parameters(),
            Self::Perceptron(fitted) => fitted.parameters(),
        }
    }
}
