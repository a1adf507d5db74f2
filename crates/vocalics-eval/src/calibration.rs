//! Do the scores deserve to be called probabilities? Measures of calibration, and temperature scaling.

use serde::{Deserialize, Serialize};

use crate::{EvalError, Scored};

/// Equal-width confidence bins of the expected calibration error and the reliability diagram.
pub const ECE_BINS: usize = 15;
/// Smallest probability whose logarithm is taken: one clip can cost at most `-ln(2.2e-16) = 36` nats.
///
/// scikit-learn's `log_loss` clips double-precision input at the same value.
pub const NLL_FLOOR: f64 = f64::EPSILON;
/// Lower bound of a fitted temperature.
pub const MIN_TEMPERATURE: f32 = 0.05;
/// Upper bound of a fitted temperature.
pub const MAX_TEMPERATURE: f32 = 20.0;

/// One bar of the reliability diagram: the clips whose confidence lies in `(low, high]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge, exclusive (but 0 belongs to the first bin).
    pub low: f64,
    /// Upper edge, inclusive.
    pub high: f64,
    /// Clips in the bin.
    pub n: u64,
    /// Their mean confidence; 0 in an empty bin.
    pub confidence: f64,
    /// Their accuracy; 0 in an empty bin.
    pub accuracy: f64,
}

/// Sorts clips into [`ECE_BINS`] equal-width bins of confidence.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bin numbers are small and the confidence is clamped to [0, 1]"
)]
pub(crate) fn reliability(rows: &[Scored]) -> Vec<ReliabilityBin> {
    let mut sums = [(0_u64, 0.0_f64, 0_u64); ECE_BINS];
    for row in rows {
        let confidence = f64::from(row.confidence()).clamp(0.0, 1.0);
        let bin = ((confidence * ECE_BINS as f64).ceil() as usize).clamp(1, ECE_BINS) - 1;
        let (n, total, right) = &mut sums[bin];
        *n += 1;
        *total += confidence;
        *right += u64::from(row.is_correct());
    }
    let edge = |bin: usize| bin as f64 / ECE_BINS as f64;
    sums.iter()
        .enumerate()
        .map(|(bin, &(n, total, right))| {
            let whole = n.max(1) as f64;
            ReliabilityBin {
                low: edge(bin),
                high: edge(bin + 1),
                n,
                confidence: total / whole,
                accuracy: right as f64 / whole,
            }
        })
        .collect()
}

/// Expected calibration error: `sum_b n_b / N * |accuracy_b - confidence_b|`.
///
/// Source: C. Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, eq. 3 (top-label, bins
/// closed on the right).
pub(crate) fn ece(bins: &[ReliabilityBin]) -> f64 {
    let total: u64 = bins.iter().map(|bin| bin.n).sum();
    let weighted: f64 = bins
        .iter()
        .map(|bin| bin.n as f64 * (bin.accuracy - bin.confidence).abs())
        .sum();
    // Rounding may carry a sum of certain mistakes past 1.
    (weighted / total.max(1) as f64).min(1.0)
}

/// Brier score of many classes, in `[0, 2]`: the mean over clips of `sum_k (p_k - y_k)^2`.
///
/// Source: G. W. Brier, *Verification of forecasts expressed in terms of probability*, 1950, eq. 2.
/// Reference: `sklearn.metrics.brier_score_loss(..., scale_by_half=False)`, within 1e-12.
pub(crate) fn brier(rows: &[Scored]) -> f64 {
    let square = |row: &Scored| -> f64 {
        row.scores
            .iter()
            .enumerate()
            .map(|(class, &score)| {
                let target = if class == row.truth { 1.0 } else { 0.0 };
                (f64::from(score) - target).powi(2)
            })
            .sum()
    };
    rows.iter().map(square).sum::<f64>() / rows.len().max(1) as f64
}

/// Negative log-likelihood in nats: the mean over clips of `-ln p_truth`, with `p` at least [`NLL_FLOOR`].
///
/// Reference: `sklearn.metrics.log_loss`, within 1e-12.
pub(crate) fn nll(rows: &[Scored]) -> f64 {
    let cost = |row: &Scored| -f64::from(row.scores[row.truth]).clamp(NLL_FLOOR, 1.0).ln();
    rows.iter().map(cost).sum::<f64>() / rows.len().max(1) as f64
}

/// Accuracy on the share `coverage` of clips the model is surest of.
///
/// The `ceil(coverage * N)` clips of highest confidence count. Where clips of equal confidence straddle the
/// cut they count with their mean, so the result does not depend on the order of the rows.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of clips lie far below 2^53 and coverage lies in [0, 1]"
)]
pub(crate) fn accuracy_at(rows: &[Scored], coverage: f64) -> f64 {
    let mut order: Vec<(f32, bool)> = rows
        .iter()
        .map(|row| (row.confidence(), row.is_correct()))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    // The small slack keeps 0.8 * 10 at 8 although the product may round up.
    let keep = ((coverage * rows.len() as f64 - 1e-9).ceil() as usize).clamp(1, rows.len().max(1));
    let Some(&(cut, _)) = order.get(keep - 1) else {
        return 0.0;
    };
    let count = |clips: &[(f32, bool)]| clips.iter().filter(|clip| clip.1).count() as f64;
    let above = order.partition_point(|clip| clip.0 > cut);
    let tied = order.partition_point(|clip| clip.0 >= cut);
    // Multiplied before it is divided: the share of clips that are all right stays exactly 1.
    let part = (keep - above) as f64 * count(&order[above..tied]) / (tied - above) as f64;
    (count(&order[..above]) + part) / keep as f64
}

/// Softmax of logits divided by a temperature, computed in double precision.
///
/// `p_k = exp(z_k / T) / sum_j exp(z_j / T)`
///
/// # Errors
/// No logits, a NaN or infinite logit, or a temperature that is not positive and finite.
pub fn softmax_t(logits: &[f32], temperature: f32) -> Result<Vec<f32>, EvalError> {
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(EvalError::Temperature { value: temperature });
    }
    if logits.is_empty() {
        return Err(EvalError::Empty { what: "logits" });
    }
    check_finite(0, logits)?;
    let mut weights = Vec::with_capacity(logits.len());
    let sum = exponentials(logits, f64::from(temperature).recip(), &mut weights);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "probabilities are stored as f32"
    )]
    Ok(weights.iter().map(|weight| (weight / sum) as f32).collect())
}

/// The temperature that minimises the negative log-likelihood of `truth` under `softmax(logits / T)`.
///
/// The loss is convex in `1 / T`, so its slope `mean(E_p[z] - z_truth)` has one sign change; it is bisected
/// on a logarithmic scale within [`MIN_TEMPERATURE`] and [`MAX_TEMPERATURE`]. Where there is no minimum
/// inside (separable logits want `T = 0`, logits worse than chance want `T = inf`) the bound is returned;
/// where the loss does not depend on `T` (all logits of each row equal) 1 is.
///
/// Fit it on speakers that are neither trained on nor tested.
///
/// # Shapes
/// `logits`: `[n_clips][n_classes]`; `truth`: `[n_clips]`.
///
/// # Errors
/// No rows, rows of different lengths, a different number of true classes, a class outside the rows, or a
/// logit that is not finite.
///
/// Source: C. Guo et al., *On Calibration of Modern Neural Networks*, ICML 2017, section 4.2.
/// Reference: `scipy.optimize.minimize_scalar` on the loss, within 1e-4 relative.
pub fn fit_temperature(logits: &[Vec<f32>], truth: &[usize]) -> Result<f32, EvalError> {
    let Some(first) = logits.first() else {
        return Err(EvalError::Empty { what: "logits" });
    };
    if logits.len() != truth.len() {
        return Err(EvalError::LengthMismatch {
            logits: logits.len(),
            truth: truth.len(),
        });
    }
    let classes = first.len();
    for (row, (scores, &class)) in logits.iter().zip(truth).enumerate() {
        let id = || format!("row {row}");
        if scores.len() != classes {
            return Err(EvalError::ScoreCount {
                id: id(),
                expected: classes,
                actual: scores.len(),
            });
        }
        if class >= classes {
            return Err(EvalError::TruthOutOfRange {
                id: id(),
                truth: class,
                classes,
            });
        }
        check_finite(row, scores)?;
    }
    if logits
        .iter()
        .all(|row| row.iter().all(|z| (z - row[0]).abs() <= 0.0))
    {
        return Ok(1.0);
    }

    let mut weights = Vec::with_capacity(classes);
    // Slope of the summed loss by beta = 1 / T; it never falls as beta grows.
    let mut slope = |log_beta: f64| -> f64 {
        let beta = log_beta.exp();
        let mut total = 0.0;
        for (row, &class) in logits.iter().zip(truth) {
            let sum = exponentials(row, beta, &mut weights);
            let expected: f64 = row
                .iter()
                .zip(&weights)
                .map(|(&z, weight)| (f64::from(z) - f64::from(row[class])) * weight / sum)
                .sum();
            total += expected;
        }
        total
    };
    let mut low = f64::from(MAX_TEMPERATURE).recip().ln();
    let mut high = f64::from(MIN_TEMPERATURE).recip().ln();
    if slope(low) >= 0.0 {
        return Ok(MAX_TEMPERATURE);
    }
    if slope(high) <= 0.0 {
        return Ok(MIN_TEMPERATURE);
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a temperature is stored as f32"
    )]
    let temperature = (-0.5 * (low + high)).exp() as f32;
    Ok(temperature.clamp(MIN_TEMPERATURE, MAX_TEMPERATURE))
}

/// Fills `weights` with `exp(beta * (z - max z))` and returns their sum, which is at least 1.
fn exponentials(logits: &[f32], beta: f64, weights: &mut Vec<f64>) -> f64 {
    let peak = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    weights.clear();
    weights.extend(
        logits
            .iter()
            .map(|&z| (beta * (f64::from(z) - f64::from(peak))).exp()),
    );
    weights.iter().sum()
}

fn check_finite(row: usize, logits: &[f32]) -> Result<(), EvalError> {
    match logits.iter().position(|z| !z.is_finite()) {
        Some(class) => Err(EvalError::NonFiniteLogit { row, class }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    fn clip(truth: usize, scores: &[f32]) -> Scored {
        Scored {
            id: String::new(),
            speaker: "s".to_owned(),
            sex: None,
            intensity: None,
            seconds: None,
            fold: "f".to_owned(),
            truth,
            scores: scores.to_vec(),
        }
    }

    #[test]
    fn bins_are_closed_on_the_right() {
        let rows = [
            clip(0, &[0.6, 0.4]),
            clip(0, &[1.0, 0.0]),
            clip(0, &[0.0, 1.0]),
        ];
        let bins = reliability(&rows);
        assert_eq!(bins.len(), ECE_BINS);
        // 0.6_f32 is a little above 9/15.
        assert_eq!(bins[9].n, 1);
        assert_eq!(bins[14].n, 2);
        assert!((bins[14].accuracy - 0.5).abs() < 1e-12);
        assert!((ece(&bins) - (0.4 + 2.0 * 0.5) / 3.0).abs() < 1e-7);
    }

    #[test]
    fn coverage_is_independent_of_order() {
        let mut rows: Vec<Scored> = (0..10)
            .map(|i| clip(usize::from(i % 2 == 0), &[0.25, 0.75]))
            .collect();
        rows.push(clip(0, &[0.9, 0.1]));
        let forward = accuracy_at(&rows, 0.5);
        rows.reverse();
        assert!((forward - accuracy_at(&rows, 0.5)).abs() < 1e-12);
        // 6 of 11 clips: the sure one is right, of the ten tied ones half are.
        assert!((forward - (1.0 + 2.5) / 6.0).abs() < 1e-12);
        assert!((accuracy_at(&rows, 1.0) - 6.0 / 11.0).abs() < 1e-12);
    }

    #[test]
    fn nll_of_a_certain_mistake_is_finite() {
        assert!((nll(&[clip(0, &[0.0, 1.0])]) - 36.04365338911715).abs() < 1e-9);
        assert!((brier(&[clip(0, &[0.0, 1.0])]) - 2.0).abs() < 1e-12);
    }

    #[test]
    fn softmax_sums_to_one_for_extreme_logits() {
        let p = softmax_t(&[1e30, -1e30, 0.0], 1.0).unwrap();
        assert_eq!(p, [1.0, 0.0, 0.0]);
        let flat = softmax_t(&[3.0, 1.0], f32::MAX).unwrap();
        assert!((flat[0] - 0.5).abs() < 1e-6);
        assert!(softmax_t(&[1.0], 0.0).is_err());
        assert!(softmax_t(&[f32::NAN], 1.0).is_err());
        assert!(softmax_t(&[], 1.0).is_err());
    }

    #[test]
    fn temperature_undoes_a_known_scale() {
        // 731 of 1000 clips right at a logit margin of 1 is exactly calibrated at T = 1, so margins of 3
        // ask for T = 3.
        let share = 1.0 / (1.0 + (-1.0_f64).exp());
        let right = 1000.0 * share;
        let (logits, truth): (Vec<_>, Vec<_>) = (0..1000)
            .map(|i| {
                (
                    vec![3.0_f32, 0.0],
                    usize::from(f64::from(i) >= right.round()),
                )
            })
            .unzip();
        let t = fit_temperature(&logits, &truth).unwrap();
        assert!((t - 3.0).abs() < 0.01, "{t}");
    }

    #[test]
    fn temperature_stays_bounded() {
        let separable = vec![vec![5.0, 0.0], vec![0.0, 5.0]];
        let fit = |truth: &[usize]| fit_temperature(&separable, truth).unwrap();
        assert!((fit(&[0, 1]) - MIN_TEMPERATURE).abs() < 1e-9);
        assert!((fit(&[1, 0]) - MAX_TEMPERATURE).abs() < 1e-9);
        let flat = fit_temperature(&[vec![2.0, 2.0]], &[0]).unwrap();
        assert!((flat - 1.0).abs() < 1e-9);
    }

    #[test]
    fn temperature_refuses_bad_input() {
        assert!(matches!(
            fit_temperature(&[], &[]),
            Err(EvalError::Empty { .. })
        ));
        let ok = vec![0.0, 1.0];
        let fit =
            |logits: &[Vec<f32>], truth: &[usize]| fit_temperature(logits, truth).unwrap_err();
        assert!(matches!(
            fit(slice::from_ref(&ok), &[0, 1]),
            EvalError::LengthMismatch { .. }
        ));
        assert!(matches!(
            fit(slice::from_ref(&ok), &[2]),
            EvalError::TruthOutOfRange { .. }
        ));
        assert!(matches!(
            fit(&[ok.clone(), vec![1.0]], &[0, 0]),
            EvalError::ScoreCount { .. }
        ));
        assert!(matches!(
            fit(&[vec![0.0, f32::INFINITY]], &[0]),
            EvalError::NonFiniteLogit { .. }
        ));
    }
}
