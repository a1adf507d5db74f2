//! Agreement with scikit-learn on the vectors of `golden/reduction.py`.

use serde::Deserialize;
use vocalics_features::{FeatureMatrix, Pca, anova_f, mutual_information};

#[derive(Deserialize)]
struct Golden {
    n_features: usize,
    values: Vec<f32>,
    classes: Vec<usize>,
    f_classif: Vec<f32>,
    mutual_information: Vec<f32>,
    explained_variance: Vec<f32>,
    explained_variance_ratio: Vec<f32>,
    components: Vec<f32>,
    scores: Vec<f32>,
}

fn golden() -> (Golden, FeatureMatrix) {
    let golden: Golden = serde_json::from_str(include_str!("../../../golden/reduction.json"))
        .expect("golden/reduction.py writes this shape");
    let matrix = FeatureMatrix::new(golden.values.clone(), golden.n_features).expect("finite rows");
    (golden, matrix)
}

#[track_caller]
fn close(ours: &[f32], theirs: &[f32], relative: f32, absolute: f32) {
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(theirs) {
        assert!((a - b).abs() <= relative * b.abs() + absolute, "{a} {b}");
    }
}

#[test]
fn f_is_scikit_learns_within_1e_4_relative() {
    let (golden, matrix) = golden();
    let ours = anova_f(&matrix, &golden.classes).unwrap();
    close(&ours, &golden.f_classif, 1e-4, 1e-6);
}

#[test]
fn information_is_scikit_learns_over_the_same_bins() {
    let (golden, matrix) = golden();
    let ours = mutual_information(&matrix, &golden.classes).unwrap();
    close(&ours, &golden.mutual_information, 1e-5, 1e-6);
    assert!(golden.mutual_information.iter().any(|x| *x > 0.1));
}

#[test]
fn components_are_scikit_learns_up_to_sign() {
    let (golden, matrix) = golden();
    let pca = Pca::fit(&matrix, golden.n_features).unwrap();
    close(
        pca.explained_variance(),
        &golden.explained_variance,
        1e-4,
        1e-6,
    );
    close(
        pca.explained_ratio(),
        &golden.explained_variance_ratio,
        1e-4,
        1e-7,
    );
    let flat: Vec<f32> = pca.components().iter().flatten().map(|x| x.abs()).collect();
    close(&flat, &golden.components, 0.0, 1e-3);
    let scores: Vec<f32> = pca
        .apply(&matrix)
        .unwrap()
        .as_slice()
        .iter()
        .map(|x| x.abs())
        .collect();
    close(&scores, &golden.scores, 0.0, 1e-3);
}
