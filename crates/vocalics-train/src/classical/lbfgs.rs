//! Minimising a smooth convex function of many variables.

use std::collections::VecDeque;

/// Steps whose curvature is remembered.
const MEMORY: usize = 10;
/// Share of the descent that the slope promises, that a step must bring (Armijo).
const SUFFICIENT: f64 = 1e-4;
/// Halvings of a step before the search gives up at the precision of the numbers.
const HALVINGS: usize = 40;

/// Minimises a function by limited-memory BFGS with backtracking, from `start`, in place.
///
/// `function` returns the value and writes the gradient. Ends when no component of the gradient is above `tolerance`,
/// after `iterations` steps, or where no step brings descent any more.
///
/// Source: J. Nocedal and S. Wright, *Numerical Optimization*, 2nd ed., 2006, algorithms 3.1, 7.4 and 7.5.
pub(super) fn minimise(
    at: &mut Vec<f64>,
    iterations: usize,
    tolerance: f64,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) {
    let n = at.len();
    let mut gradient = vec![0.0; n];
    let mut value = function(at, &mut gradient);
    // Step, change of the gradient, and the reciprocal of their product.
    let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
    for _ in 0..iterations {
        if gradient.iter().all(|g| g.abs() <= tolerance) {
            return;
        }
        let mut direction = descent(&gradient, &memory);
        let mut slope = dot(&gradient, &direction);
        if slope >= 0.0 {
            // What is remembered misleads; begin again with the gradient.
            memory.clear();
            direction = descent(&gradient, &memory);
            slope = dot(&gradient, &direction);
        }
        let mut step = if memory.is_empty() {
            1.0 / dot(&gradient, &gradient).sqrt().max(1.0)
        } else {
            1.0
        };
        let mut next_gradient = vec![0.0; n];
        let accepted = (0..HALVINGS).find_map(|_| {
            let next: Vec<f64> = at
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + step * d)
                .collect();
            let next_value = function(&next, &mut next_gradient);
            if next_value <= value + SUFFICIENT * step * slope {
                return Some((next, next_value));
            }
            step /= 2.0;
            None
        });
        let Some((next, next_value)) = accepted else {
            return;
        };
        let moved: Vec<f64> = next.iter().zip(&*at).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_gradient
            .iter()
            .zip(&gradient)
            .map(|(a, b)| a - b)
            .collect();
        let curvature = dot(&moved, &turned);
        if curvature > f64::EPSILON * dot(&turned, &turned) {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back((moved, turned, 1.0 / curvature));
        }
        *at = next;
        gradient = next_gradient;
        value = next_value;
    }
}

/// The two-loop recursion: minus the inverse Hessian, as remembered, times the gradient.
fn descent(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (moved, turned, reciprocal) in memory.iter().rev() {
        let share = reciprocal * dot(moved, &q);
        add(&mut q, turned, -share);
        shares.push(share);
    }
    if let Some((moved, turned, _)) = memory.back() {
        let scale = dot(moved, turned) / dot(turned, turned);
        q.iter_mut().for_each(|x| *x *= scale);
    }
    for ((moved, turned, reciprocal), share) in memory.iter().zip(shares.iter().rev()) {
        let back = reciprocal * dot(turned, &q);
        add(&mut q, moved, share - back);
    }
    q
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn add(a: &mut [f64], b: &[f64], times: f64) {
    for (x, y) in a.iter_mut().zip(b) {
        *x += times * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_stretched_bowl() {
        // (x - 1)² + 1000 (y + 2)² + (z - x)⁴
        let mut at = vec![10.0, 10.0, -5.0];
        minimise(&mut at, 500, 1e-9, |x, g| {
            let (a, b, c) = (x[0] - 1.0, x[1] + 2.0, x[2] - x[0]);
            g.copy_from_slice(&[2.0 * a - 4.0 * c.powi(3), 2000.0 * b, 4.0 * c.powi(3)]);
            a * a + 1000.0 * b * b + c.powi(4)
        });
        assert!((at[0] - 1.0).abs() < 1e-3, "{at:?}");
        assert!((at[1] + 2.0).abs() < 1e-6, "{at:?}");
        assert!((at[2] - 1.0).abs() < 1e-2, "{at:?}");
    }
}
