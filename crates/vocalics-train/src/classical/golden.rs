//! The methods against scikit-learn (`golden/classical.py`).

use std::path::Path;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;
use vocalics_features::FeatureMatrix;

use super::method::Setting;
use super::sample::Sample;
use super::support_vectors::Kernel;

#[derive(Deserialize)]
struct Golden {
    classes: usize,
    features: usize,
    gamma: f64,
    truth: Vec<usize>,
    train: Vec<f32>,
    probes: Vec<f32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    method: String,
    c: f64,
    expected: Vec<f64>,
}

#[test]
fn methods_agree_with_scikit_learn() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/classical.json");
    let text = std::fs::read_to_string(path).unwrap();
    let golden: Golden = serde_json::from_str(&text).unwrap();
    let k = golden.classes;
    let train = FeatureMatrix::new(golden.train, golden.features).unwrap();
    let probes = FeatureMatrix::new(golden.probes, golden.features).unwrap();
    let sample = Sample {
        vectors: &train,
        classes: &golden.truth,
        n_classes: k,
    };
    assert_eq!(golden.cases.len(), 8);
    for case in &golden.cases {
        let (name, c) = (case.method.as_str(), case.c);
        let setting = match name {
            "logistic" => Setting::Logistic {
                c,
                iterations: 1000,
            },
            "linear" => Setting::Svm {
                kernel: Kernel::Linear,
                c,
            },
            "rbf" => Setting::Svm {
                kernel: Kernel::Rbf {
                    gamma: golden.gamma,
                },
                c,
            },
            "neighbours" => Setting::Neighbours { k: 7 },
            _ => Setting::Mixture {
                components: 1,
                floor: 1e-9,
                iterations: 100,
            },
        };
        let fitted = setting.fit(sample, &mut StdRng::seed_from_u64(1));
        for (probe, expected) in probes.rows().zip(case.expected.chunks_exact(k)) {
            let logits: Vec<f64> = fitted.logits(probe).into_iter().map(f64::from).collect();
            let (found, expected, tolerance): (Vec<f64>, Vec<f64>, f64) = match name {
                // Probabilities.
                "logistic" => {
                    let total = super::sample::log_sum_exp(&logits);
                    let found = logits.iter().map(|x| (x - total).exp()).collect();
                    (found, expected.to_vec(), 1e-4)
                }
                // Votes and squeezed decisions.
                "linear" | "rbf" => (logits, expected.to_vec(), 2e-3),
                // Votes of seven, of which ours adds one spread over all classes.
                "neighbours" => {
                    let found = logits
                        .iter()
                        .map(|x| (x.exp() * 8.0 - 0.25) / 7.0)
                        .collect();
                    (found, expected.to_vec(), 1e-5)
                }
                // Densities, of which ours leaves out what all classes share.
                _ => {
                    let most = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let expected = expected.iter().map(|x| x - most).collect();
                    (logits, expected, 1e-3)
                }
            };
            for (found, expected) in found.iter().zip(&expected) {
                let near = tolerance * expected.abs().max(1.0);
                assert!(
                    (found - expected).abs() < near,
                    "{name} {c}: {found} {expected}"
                );
            }
        }
    }
}
