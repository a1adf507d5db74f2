//! The dual problem of a support vector machine with two classes.

/// Largest violation of the optimality conditions that is left.
const TOLERANCE: f64 = 1e-3;
/// Stands for a curvature that is not above 0.
const TAU: f64 = 1e-12;
/// Steps per training clip after which the search ends wherever it is.
const STEPS_PER_CLIP: usize = 1000;

/// What decides: `f(x) = Σ_i coefficient_i · k(x_i, x) − offset`, above 0 for the positive class.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decision {
    /// `α_i y_i` of every training clip; 0 for those that are no support vectors.
    pub(super) coefficients: Vec<f64>,
    pub(super) offset: f64,
}

/// Sequential minimal optimisation: `min ½ αᵀQα − Σα`, `0 ≤ α ≤ c`, `yᵀα = 0`, with `Q_ij = y_i y_j K_ij`.
///
/// # Shapes
/// `kernel`: `[n, n]`; `positive`: `[n]`, whether a clip is of the positive class.
///
/// Source: R.-E. Fan, P.-H. Chen, C.-J. Lin, *Working Set Selection Using Second Order Information for Training Support
/// Vector Machines*, JMLR 6, 2005 (WSS 2); offset as in C.-C. Chang and C.-J. Lin, *LIBSVM*, ACM TIST 2(3), 2011.
pub(super) fn solve(kernel: &[f32], positive: &[bool], c: f64) -> Decision {
    let n = positive.len();
    let k = |i: usize, j: usize| f64::from(kernel[i * n + j]);
    let y: Vec<f64> = positive
        .iter()
        .map(|&p| if p { 1.0 } else { -1.0 })
        .collect();
    let mut alpha = vec![0.0; n];
    let mut gradient = vec![-1.0; n];
    for _ in 0..STEPS_PER_CLIP * n {
        let Some((i, j)) = working_set(kernel, &y, &alpha, &gradient, c) else {
            break;
        };
        let curvature = {
            let value = k(i, i) + k(j, j) - 2.0 * k(i, j);
            if value > 0.0 { value } else { TAU }
        };
        let (old_i, old_j) = (alpha[i], alpha[j]);
        // Along y_i α_i + y_j α_j = constant, `rise` is how much y_i α_i grows; the box bounds it.
        let best = (y[j] * gradient[j] - y[i] * gradient[i]) / curvature;
        let room = |of: usize, rises: bool| {
            if (y[of] > 0.0) == rises {
                c - alpha[of]
            } else {
                alpha[of]
            }
        };
        let rise = best.min(room(i, true)).min(room(j, false));
        alpha[i] = within(old_i + y[i] * rise, c);
        alpha[j] = within(old_j - y[j] * rise, c);
        let (change_i, change_j) = (y[i] * (alpha[i] - old_i), y[j] * (alpha[j] - old_j));
        for (t, g) in gradient.iter_mut().enumerate() {
            *g += y[t] * (k(i, t) * change_i + k(j, t) * change_j);
        }
    }
    let offset = offset(&y, &alpha, &gradient, c);
    let coefficients = alpha.iter().zip(&y).map(|(alpha, y)| alpha * y).collect();
    Decision {
        coefficients,
        offset,
    }
}

/// Into the box, with what rounding leaves beside an edge put on it.
fn within(alpha: f64, c: f64) -> f64 {
    if alpha < 1e-12 * c {
        0.0
    } else if alpha > c * (1.0 - 1e-12) {
        c
    } else {
        alpha
    }
}

/// Whether `y α` of a clip may still grow, and whether it may shrink.
fn may_rise(y: f64, alpha: f64, c: f64) -> bool {
    if y > 0.0 { alpha < c } else { alpha > 0.0 }
}

fn may_fall(y: f64, alpha: f64, c: f64) -> bool {
    may_rise(-y, alpha, c)
}

/// The pair to change: the clip that violates optimality most, and that with which most is gained by second-order
/// estimate. `None` when the violation is within tolerance.
fn working_set(
    kernel: &[f32],
    y: &[f64],
    alpha: &[f64],
    gradient: &[f64],
    c: f64,
) -> Option<(usize, usize)> {
    let n = y.len();
    let (mut i, mut most) = (None, f64::NEG_INFINITY);
    for t in 0..n {
        let slope = -y[t] * gradient[t];
        if may_rise(y[t], alpha[t], c) && slope > most {
            (i, most) = (Some(t), slope);
        }
    }
    let i = i?;
    let row = &kernel[i * n..(i + 1) * n];
    let own = f64::from(row[i]);
    let (mut j, mut gain, mut least) = (None, 0.0, f64::INFINITY);
    for t in 0..n {
        if !may_fall(y[t], alpha[t], c) {
            continue;
        }
        let slope = -y[t] * gradient[t];
        least = least.min(slope);
        let difference = most - slope;
        if difference > 0.0 {
            let curvature = own + f64::from(kernel[t * n + t]) - 2.0 * f64::from(row[t]);
            let curvature = if curvature > 0.0 { curvature } else { TAU };
            let estimate = difference * difference / curvature;
            if estimate > gain {
                (j, gain) = (Some(t), estimate);
            }
        }
    }
    if most - least <= TOLERANCE {
        return None;
    }
    Some((i, j?))
}

/// Mean over the clips strictly inside the box, else the middle between what the others allow.
fn offset(y: &[f64], alpha: &[f64], gradient: &[f64], c: f64) -> f64 {
    let (mut sum, mut free) = (0.0, 0.0);
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for ((&y, &alpha), &g) in y.iter().zip(alpha).zip(gradient) {
        let slope = y * g;
        match (may_rise(y, alpha, c), may_fall(y, alpha, c)) {
            (true, true) => {
                sum += slope;
                free += 1.0;
            }
            (true, false) => high = high.min(slope),
            _ => low = low.max(slope),
        }
    }
    if free > 0.0 {
        sum / free
    } else {
        // One class alone leaves one bound open: it then wins against the absent one.
        match (low.is_finite(), high.is_finite()) {
            (true, true) => f64::midpoint(low, high),
            (true, false) => low,
            (false, true) => high,
            (false, false) => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(points: &[[f32; 2]]) -> Vec<f32> {
        points
            .iter()
            .flat_map(|a| points.iter().map(move |b| a[0] * b[0] + a[1] * b[1]))
            .collect()
    }

    #[test]
    fn the_widest_margin_is_found() {
        // Between (1, 0) and (-1, 0) the widest margin is f(x) = x; the other points do not matter.
        let points = [[1.0, 0.0], [-1.0, 0.0], [3.0, 1.0], [-2.0, -1.0]];
        let found = solve(&linear(&points), &[true, false, true, false], 100.0);
        let f = |x: [f32; 2]| {
            let terms = points.iter().zip(&found.coefficients);
            terms
                .map(|(p, a)| a * f64::from(p[0] * x[0] + p[1] * x[1]))
                .sum::<f64>()
                - found.offset
        };
        assert!((f([1.0, 0.0]) - 1.0).abs() < 1e-3);
        assert!((f([-1.0, 0.0]) + 1.0).abs() < 1e-3);
        assert!(f([0.0, 5.0]).abs() < 1e-3);
        assert!(found.coefficients[2].abs() < 1e-9 && found.coefficients[3].abs() < 1e-9);
    }

    #[test]
    fn the_box_and_the_balance_hold() {
        let points: Vec<[f32; 2]> = (0..40u8)
            .map(|i| [f32::from(i * 37 % 41) / 10.0, f32::from(i * 23 % 29) / 10.0])
            .collect();
        let positive: Vec<bool> = (0..40).map(|i| (i * 7) % 3 == 0).collect();
        let found = solve(&linear(&points), &positive, 0.7);
        assert!(found.coefficients.iter().sum::<f64>().abs() < 1e-9);
        for (a, &p) in found.coefficients.iter().zip(&positive) {
            let alpha = if p { *a } else { -a };
            assert!((-1e-12..=0.7 + 1e-12).contains(&alpha));
        }
        assert!(found.coefficients.iter().any(|a| a.abs() > 0.69));
    }

    #[test]
    fn one_class_alone_wins_against_the_absent_one() {
        for present in [true, false] {
            let found = solve(&linear(&[[1.0, 0.0], [2.0, 0.0]]), &[present; 2], 1.0);
            assert!(found.coefficients.iter().all(|a| a.abs() < 1e-12));
            assert_eq!(-found.offset > 0.0, present);
        }
    }
}
