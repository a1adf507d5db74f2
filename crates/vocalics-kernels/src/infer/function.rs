//! The functions of one number that networks use, on slices.
//!
//! Written without branches, so that the loops over them become vector code. `exp` has a relative error
//! below 2e-7, the others a few units in the last place of their range; a NaN stays a NaN.

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// `max(x, 0)`.
    Relu,
    /// `x` above 0, else `slope · x`.
    LeakyRelu {
        /// Slope below 0.
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `exp(x)`.
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// `|x|`.
    Abs,
    /// `-x`.
    Neg,
    /// `1 / x`.
    Reciprocal,
    /// `min(max(x, low), high)`.
    Clip {
        /// Lower bound.
        low: f32,
        /// Upper bound.
        high: f32,
    },
    /// `x` above 0, else `alpha · (exp(x) - 1)`.
    Elu {
        /// Limit below 0, with its sign changed.
        alpha: f32,
    },
    /// `clip(alpha · x + beta, 0, 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Value at 0.
        beta: f32,
    },
    /// `x · clip(x / 6 + 1/2, 0, 1)`.
    HardSwish,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// The error function.
    Erf,
    /// `x / 2 · (1 + erf(x / √2))`.
    Gelu,
    /// Rounds to a grid of integers times `scale`, clipped to `low..=high` steps: what quantising to
    /// eight bits and back does to a number.
    Quantise {
        /// Size of a step.
        scale: f32,
        /// First step, relative to zero.
        low: f32,
        /// Last step, relative to zero.
        high: f32,
    },
}

impl Function {
    /// Replaces every value by the function of it.
    #[inline(always)]
    pub(crate) fn apply(self, values: &mut [f32]) {
        #[inline(always)]
        fn each(values: &mut [f32], f: impl Fn(f32) -> f32) {
            for value in values {
                *value = f(*value);
            }
        }
        match self {
            // In this order a NaN stays one.
            Self::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
            Self::LeakyRelu { slope } => each(values, |x| if x < 0.0 { slope * x } else { x }),
            Self::Sigmoid => each(values, sigmoid),
            Self::Tanh => each(values, tanh),
            Self::Exp => each(values, exp),
            Self::Log => each(values, f32::ln),
            Self::Sqrt => each(values, f32::sqrt),
            Self::Abs => each(values, f32::abs),
            Self::Neg => each(values, |x| -x),
            Self::Reciprocal => each(values, |x| 1.0 / x),
            Self::Clip { low, high } => each(values, |x| clip(x, low, high)),
            Self::Elu { alpha } => each(values, |x| if x < 0.0 { alpha * expm1(x) } else { x }),
            Self::HardSigmoid { alpha, beta } => {
                each(values, |x| clip(alpha * x + beta, 0.0, 1.0));
            }
            Self::HardSwish => each(values, |x| x * clip(x / 6.0 + 0.5, 0.0, 1.0)),
            Self::Softplus => each(values, |x| {
                let most = if x < 0.0 { 0.0 } else { x };
                most + exp(-x.abs()).ln_1p()
            }),
            Self::Erf => each(values, erf),
            Self::Gelu => each(values, |x| {
                0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
            }),
            Self::Quantise { scale, low, high } => {
                each(values, |x| clip(round_even(x / scale), low, high) * scale);
            }
        }
    }
}

#[inline(always)]
fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}

/// Adding and taking away 1.5 · 2^23 rounds to the nearest integer, halves to even, below 2^22; what is
/// larger has no fraction worth keeping here, since its callers clip first or after.
#[inline(always)]
pub(super) fn round_even(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    let rounded = (x + SHIFT) - SHIFT;
    if x.abs() < 4_194_304.0 { rounded } else { x }
}

/// `exp(x) = 2^n · exp(r)`, `|r| <= ln 2 / 2`, with the polynomial of the Cephes library.
///
/// Source: S. L. Moshier, *Cephes Mathematical Library*, `expf`.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Beyond these the result is 0 or infinite in single precision.
    let bounded = clip(x, -104.0, 89.0);
    let n = round_even(bounded * std::f32::consts::LOG2_E);
    let r = bounded - n * LN2_HIGH - n * LN2_LOW;
    let mut y = 1.987_569_1e-4;
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        y = y * r + coefficient;
    }
    let y = y * r * r + r + 1.0;
    // Two factors, since 2^n alone would leave the range at both ends.
    let half = round_even(n * 0.5);
    y * power_of_two(half) * power_of_two(n - half)
}

/// `2^n` for an integer `n` from -126 to 127.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    // 2^23 + 127 + n holds the exponent in its lowest bits; shifting drops the rest.
    const SHIFT: f32 = 8_388_608.0 + 127.0;
    f32::from_bits((n + SHIFT).to_bits() << 23)
}

/// `exp(x) - 1` for `x <= 0`, exact near 0.
#[inline(always)]
fn expm1(x: f32) -> f32 {
    // Taylor's series up to the sixth power is exact to single precision there.
    let series =
        x * (1.0 + x * (0.5 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x / 720.0)))));
    if x.abs() < 0.3 { series } else { exp(x) - 1.0 }
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `sign(x) · (1 - 2 / (exp(2|x|) + 1))`, and its series near 0 where that cancels.
///
/// Source: S. L. Moshier, *Cephes Mathematical Library*, `tanhf`.
#[inline(always)]
pub(super) fn tanh(x: f32) -> f32 {
    let z = x * x;
    let mut series = -5.704_988_7e-3;
    for coefficient in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        series = series * z + coefficient;
    }
    let series = series * z * x + x;
    let far = (1.0 - 2.0 / (exp(2.0 * x.abs()) + 1.0)).copysign(x);
    if x.abs() < 0.625 { series } else { far }
}

/// Source: M. Abramowitz, I. Stegun, *Handbook of Mathematical Functions*, 7.1.26, evaluated where its
/// error (1.5e-7) is absolute; the series of 7.1.5 near 0.
#[inline(always)]
fn erf(x: f32) -> f32 {
    let magnitude = x.abs();
    let t = 1.0 / (1.0 + 0.327_591_1 * magnitude);
    let mut y = 1.061_405_4;
    for coefficient in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
        y = y * t + coefficient;
    }
    let far = (1.0 - y * t * exp(-magnitude * magnitude)).copysign(x);
    let z = x * x;
    let series = x
        * std::f32::consts::FRAC_2_SQRT_PI
        * (1.0 + z * (-1.0 / 3.0 + z * (0.1 + z * (-1.0 / 42.0 + z * (1.0 / 216.0 - z / 1320.0)))));
    if magnitude < 0.5 { series } else { far }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::Level;

    fn applied(level: Level, function: Function, values: &[f32]) -> Vec<f32> {
        let mut values = values.to_vec();
        level.vectorised(|| function.apply(&mut values));
        values
    }

    /// An error function in double precision, by its series.
    fn exact_erf(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn functions_match_double_precision_at_every_level() {
        type Exact = fn(f64) -> f64;
        let cases: [(Function, Exact, f64); 9] = [
            (Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 2e-7),
            (Function::Tanh, f64::tanh, 2e-7),
            (Function::Erf, exact_erf, 3e-7),
            (
                Function::Elu { alpha: 1.5 },
                |x| if x < 0.0 { 1.5 * x.exp_m1() } else { x },
                3e-7,
            ),
            (Function::Softplus, |x| x.exp().ln_1p(), 1e-6),
            (
                Function::Gelu,
                |x| 0.5 * x * (1.0 + exact_erf(x / 2.0f64.sqrt())),
                1e-6,
            ),
            (
                Function::HardSwish,
                |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
                1e-6,
            ),
            (
                Function::LeakyRelu { slope: 0.1 },
                |x| if x < 0.0 { 0.1 * x } else { x },
                1e-6,
            ),
            (Function::Relu, |x| x.max(0.0), 0.0),
        ];
        let values: Vec<f32> = (-5000..=5000_i16).map(|n| f32::from(n) * 1e-3).collect();
        for level in Level::here() {
            for (function, exact, tolerance) in cases {
                for (x, y) in values.iter().zip(applied(level, function, &values)) {
                    let want = exact(f64::from(*x));
                    let error = (f64::from(y) - want).abs();
                    assert!(
                        error <= tolerance,
                        "{level:?} {function:?}({x}) = {y}, {want}"
                    );
                }
            }
        }
    }

    #[test]
    fn exp_is_right_over_its_whole_range() {
        for level in Level::here() {
            let values: Vec<f32> = (-1030..=880_i16).map(|n| f32::from(n) * 0.1).collect();
            for (x, y) in values.iter().zip(applied(level, Function::Exp, &values)) {
                let want = f64::from(*x).exp();
                let error = (f64::from(y) - want).abs();
                // Below 1e-38 a single has fewer digits.
                assert!(error <= 3e-7 * want + 2e-45, "exp({x}) = {y}, {want}");
            }
            let ends = applied(level, Function::Exp, &[-1e30, 1e30, f32::NEG_INFINITY]);
            assert!(ends[0] == 0.0 && ends[1] == f32::INFINITY && ends[2] == 0.0);
            assert!(applied(level, Function::Exp, &[f32::NAN])[0].is_nan());
        }
    }

    #[test]
    fn a_nan_is_never_hidden() {
        let functions = [
            Function::Relu,
            Function::Sigmoid,
            Function::Tanh,
            Function::Clip {
                low: -1.0,
                high: 1.0,
            },
            Function::Erf,
            Function::Quantise {
                scale: 0.1,
                low: -128.0,
                high: 127.0,
            },
        ];
        for function in functions {
            assert!(
                applied(Level::best(), function, &[f32::NAN])[0].is_nan(),
                "{function:?}"
            );
        }
    }

    #[test]
    fn quantising_rounds_halves_to_even_and_clips() {
        let function = Function::Quantise {
            scale: 0.5,
            low: -2.0,
            high: 3.0,
        };
        let values = [0.25, 0.75, -0.25, 0.3, 9.0, -9.0, 1e30];
        let want = [0.0, 1.0, 0.0, 0.5, 1.5, -1.0, 1.5];
        assert_eq!(applied(Level::best(), function, &values), want);
    }
}
