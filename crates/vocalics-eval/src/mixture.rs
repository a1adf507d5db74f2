//! Weights for averaging the probabilities of several models.

use crate::EvalError;

/// Passes of the fit; it gains nothing that matters after a few dozen.
const PASSES: usize = 200;

/// Shares of several models, summing to 1, under which the weighted mean of their probabilities gives the truth the
/// highest likelihood.
///
/// `scores[model][clip][class]` are probabilities. Each pass sets `wₖ` to the mean over clips of
/// `wₖ · pₖ / Σⱼ wⱼ · pⱼ`, where `pₖ` is what model `k` gives the true class: expectation maximisation, which never
/// lowers the likelihood and, since that is concave in `w`, finds its maximum. A clip to whose class every model gives
/// nothing counts for none of them.
///
/// # Errors
/// No models, no clips, or models with different numbers of clips than there are true classes; a class outside the scores.
///
/// Source: A. Dempster et al., *Maximum Likelihood from Incomplete Data via the EM Algorithm*, 1977, section 4.3.
pub fn fit_mixture_weights(
    scores: &[Vec<Vec<f32>>],
    truth: &[usize],
) -> Result<Vec<f32>, EvalError> {
    let given: Vec<Vec<f64>> = scores
        .iter()
        .map(|model| {
            let pairs = model.iter().zip(truth);
            pairs
                .map(|(row, &class)| row.get(class).map_or(f64::NAN, |&p| f64::from(p)))
                .collect()
        })
        .collect();
    let fits = |given: &Vec<f64>| {
        given.len() == truth.len() && given.iter().all(|p| (0.0..=1.0 + 1e-6).contains(p))
    };
    let lengths = scores.iter().all(|model| model.len() == truth.len());
    if truth.is_empty() || given.is_empty() || !lengths || !given.iter().all(fits) {
        return Err(EvalError::Mixture {
            models: scores.len(),
            clips: truth.len(),
        });
    }
    #[expect(clippy::cast_precision_loss, reason = "a handful of models")]
    let mut weights = vec![1.0 / given.len() as f64; given.len()];
    for _ in 0..PASSES {
        let mut next = vec![0.0; weights.len()];
        for clip in 0..truth.len() {
            let total: f64 = weights.iter().zip(&given).map(|(w, p)| w * p[clip]).sum();
            if total > 0.0 {
                for ((next, weight), given) in next.iter_mut().zip(&weights).zip(&given) {
                    *next += weight * given[clip] / total;
                }
            }
        }
        let sum: f64 = next.iter().sum();
        if sum <= 0.0 {
            break;
        }
        next.iter_mut().for_each(|weight| *weight /= sum);
        weights = next;
    }
    #[expect(clippy::cast_possible_truncation, reason = "shares between 0 and 1")]
    Ok(weights.into_iter().map(|weight| weight as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likelihood(weights: &[f32], scores: &[Vec<Vec<f32>>], truth: &[usize]) -> f64 {
        (0..truth.len())
            .map(|clip| {
                let mean: f32 = weights
                    .iter()
                    .zip(scores)
                    .map(|(w, model)| w * model[clip][truth[clip]])
                    .sum();
                f64::from(mean).ln()
            })
            .sum()
    }

    /// Three models: good, weak, and right exactly where the first is wrong.
    fn models() -> (Vec<Vec<Vec<f32>>>, Vec<usize>) {
        let truth: Vec<usize> = (0..40).map(|clip| clip % 2).collect();
        let model = |sure: &dyn Fn(usize) -> f32| -> Vec<Vec<f32>> {
            truth
                .iter()
                .enumerate()
                .map(|(clip, &class)| {
                    let right = sure(clip);
                    if class == 0 {
                        vec![right, 1.0 - right]
                    } else {
                        vec![1.0 - right, right]
                    }
                })
                .collect()
        };
        let scores = vec![
            model(&|clip| if clip % 5 == 0 { 0.1 } else { 0.9 }),
            model(&|_| 0.5),
            model(&|clip| if clip % 5 == 0 { 0.95 } else { 0.2 }),
        ];
        (scores, truth)
    }

    #[test]
    fn no_other_shares_are_likelier() {
        let (scores, truth) = models();
        let weights = fit_mixture_weights(&scores, &truth).unwrap();
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let best = likelihood(&weights, &scores, &truth);
        for a in 0..=20u8 {
            for b in 0..=(20 - a) {
                let (a, b) = (f32::from(a) / 20.0, f32::from(b) / 20.0);
                let other = likelihood(&[a, b, 1.0 - a - b], &scores, &truth);
                assert!(other <= best + 1e-6, "{a} {b} {other} {best} {weights:?}");
            }
        }
        assert!(weights[0] > weights[1]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let (scores, truth) = models();
        assert!(fit_mixture_weights(&[], &truth).is_err());
        assert!(fit_mixture_weights(&scores, &[]).is_err());
        assert!(fit_mixture_weights(&scores, &truth[1..]).is_err());
        assert!(fit_mixture_weights(&scores, &vec![2; truth.len()]).is_err());
    }
}
