//! Lengths of axes as expressions of the batch and the number of frames.
//!
//! Every shape is derived once, when a graph is compiled. Two lengths are the same only if they are the
//! same expression, so that what was checked then holds for every input; at a call the expressions are
//! only evaluated.

/// A product of a number and of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dim {
    factor: usize,
    /// Indices into the table, ascending.
    variables: Vec<usize>,
}

/// What a variable stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Variable {
    Batch,
    Frames,
    /// `floor((of + add) / stride) + 1`, an error when `of + add` is negative.
    Window {
        of: Dim,
        add: i64,
        stride: usize,
    },
    Sum(Vec<Dim>),
}

/// Largest length of an axis, and largest number of values in a tensor.
pub(crate) const MAX_VALUES: usize = 1 << 28;

/// All variables of a graph, each after those it is computed from.
#[derive(Debug, Clone)]
pub(crate) struct Dims {
    variables: Vec<Variable>,
}

impl Dims {
    pub(crate) fn new() -> Self {
        Self {
            variables: vec![Variable::Batch, Variable::Frames],
        }
    }

    pub(crate) fn batch() -> Dim {
        Dim {
            factor: 1,
            variables: vec![0],
        }
    }

    pub(crate) fn frames() -> Dim {
        Dim {
            factor: 1,
            variables: vec![1],
        }
    }

    fn variable(&mut self, variable: Variable) -> Dim {
        let known = self.variables.iter().position(|other| *other == variable);
        let index = known.unwrap_or_else(|| {
            self.variables.push(variable);
            self.variables.len() - 1
        });
        Dim {
            factor: 1,
            variables: vec![index],
        }
    }

    /// `floor((of + add) / stride) + 1`; `None` when it is a known negative length or out of range.
    pub(crate) fn window(&mut self, of: &Dim, add: i64, stride: usize) -> Option<Dim> {
        if let Some(length) = of.fixed() {
            return window(length, add, stride).map(Dim::of);
        }
        if stride == 1 && add == -1 {
            return Some(of.clone());
        }
        // A window over a window of stride 1 is a window, so that lengths made in several steps can be
        // recognised as equal; that the first is not negative is still checked, it is in the table.
        if let (1, &[index]) = (of.factor, of.variables.as_slice())
            && let Variable::Window {
                of,
                add: first,
                stride: 1,
            } = &self.variables[index]
        {
            let (of, add) = (of.clone(), first.checked_add(add)?.checked_add(1)?);
            return self.window(&of, add, stride);
        }
        Some(self.variable(Variable::Window {
            of: of.clone(),
            add,
            stride,
        }))
    }

    /// The sum of lengths; `None` when it is out of range.
    pub(crate) fn sum(&mut self, of: &[Dim]) -> Option<Dim> {
        let fixed: Option<Vec<usize>> = of.iter().map(Dim::fixed).collect();
        match fixed {
            Some(fixed) => {
                let sum = fixed
                    .iter()
                    .try_fold(0usize, |sum, &dim| sum.checked_add(dim))?;
                (sum <= MAX_VALUES).then(|| Dim::of(sum))
            }
            None if of.len() == 1 => Some(of[0].clone()),
            None => Some(self.variable(Variable::Sum(of.to_vec()))),
        }
    }

    /// Values of all variables; `None` when a length would be negative or out of range.
    pub(crate) fn evaluate(
        &self,
        batch: usize,
        frames: usize,
        values: &mut Vec<usize>,
    ) -> Option<()> {
        values.clear();
        for variable in &self.variables {
            let value = match variable {
                Variable::Batch => batch,
                Variable::Frames => frames,
                Variable::Window { of, add, stride } => window(of.value(values)?, *add, *stride)?,
                Variable::Sum(of) => of
                    .iter()
                    .try_fold(0usize, |sum, dim| sum.checked_add(dim.value(values)?))?,
            };
            if value > MAX_VALUES {
                return None;
            }
            values.push(value);
        }
        Some(())
    }
}

fn window(length: usize, add: i64, stride: usize) -> Option<usize> {
    let span = i64::try_from(length).ok()?.checked_add(add)?;
    let span = usize::try_from(span).ok()?;
    Some(span.checked_div(stride)? + 1)
}

impl Dim {
    /// A fixed length.
    pub(crate) fn of(length: usize) -> Self {
        Self {
            factor: length,
            variables: Vec::new(),
        }
    }

    /// The length if it is fixed.
    pub(crate) fn fixed(&self) -> Option<usize> {
        (self.variables.is_empty() || self.factor == 0).then_some(self.factor)
    }

    pub(crate) fn is_one(&self) -> bool {
        self.fixed() == Some(1)
    }

    /// The product; `None` when it is out of range.
    pub(crate) fn times(&self, other: &Self) -> Option<Self> {
        let mut variables = self.variables.clone();
        variables.extend(&other.variables);
        variables.sort_unstable();
        // A tensor has 8 axes at most, so that a longer product is no length of an axis.
        if variables.len() > 16 {
            return None;
        }
        let factor = self
            .factor
            .checked_mul(other.factor)
            .filter(|&f| f <= MAX_VALUES)?;
        Some(Self { factor, variables })
    }

    /// The quotient, if it is exact whatever the variables are.
    pub(crate) fn divided_by(&self, other: &Self) -> Option<Self> {
        let mut variables = self.variables.clone();
        for variable in &other.variables {
            let at = variables.iter().position(|one| one == variable)?;
            variables.remove(at);
        }
        if other.factor == 0 || !self.factor.is_multiple_of(other.factor) {
            return None;
        }
        Some(Self {
            factor: self.factor / other.factor,
            variables,
        })
    }

    /// The length for evaluated variables; `None` when it is out of range.
    pub(crate) fn value(&self, values: &[usize]) -> Option<usize> {
        self.variables
            .iter()
            .try_fold(self.factor, |product, &index| {
                product
                    .checked_mul(*values.get(index)?)
                    .filter(|&p| p <= MAX_VALUES)
            })
    }
}

/// The product of lengths; `None` when it is out of range.
pub(crate) fn product(dims: &[Dim]) -> Option<Dim> {
    dims.iter()
        .try_fold(Dim::of(1), |product, dim| product.times(dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_same_only_as_expressions() {
        let mut dims = Dims::new();
        let frames = Dims::frames();
        // A 3x3 kernel with padding 1 and a 1x1 kernel without, both of stride 2, agree.
        let one = dims.window(&frames, 2 - 3, 2).unwrap();
        let other = dims.window(&frames, -1, 2).unwrap();
        assert_eq!(one, other);
        assert_eq!(dims.window(&frames, -1, 1).unwrap(), frames);
        assert_ne!(dims.window(&frames, 0, 2).unwrap(), one);
        let mut values = Vec::new();
        for n in 1..20 {
            dims.evaluate(3, n, &mut values).unwrap();
            assert_eq!(one.value(&values), Some(n.div_ceil(2)));
        }
    }

    #[test]
    fn what_is_cut_off_and_added_again_is_the_same_length() {
        let mut dims = Dims::new();
        let cut = dims.window(&Dims::frames(), -3, 1).unwrap();
        assert_eq!(dims.window(&cut, 1, 1).unwrap(), Dims::frames());
        let mut values = Vec::new();
        assert_eq!(dims.evaluate(1, 2, &mut values), None);
    }

    #[test]
    fn impossible_lengths_are_none() {
        let mut dims = Dims::new();
        let valid = dims.window(&Dims::frames(), -5, 1).unwrap();
        let mut values = Vec::new();
        assert_eq!(dims.evaluate(1, 4, &mut values), None);
        assert!(dims.evaluate(1, 5, &mut values).is_some());
        assert_eq!(valid.value(&values), Some(1));
        assert_eq!(dims.window(&Dim::of(4), -5, 1), None);
        assert_eq!(dims.evaluate(1, usize::MAX, &mut values), None);
        assert!(Dim::of(MAX_VALUES).times(&Dim::of(2)).is_none());
    }

    #[test]
    fn a_quotient_is_exact_or_none() {
        let all = product(&[Dims::batch(), Dim::of(12), Dims::frames()]).unwrap();
        let part = product(&[Dims::frames(), Dim::of(3)]).unwrap();
        let rest = all.divided_by(&part).unwrap();
        assert_eq!(rest, product(&[Dim::of(4), Dims::batch()]).unwrap());
        assert_eq!(all.divided_by(&Dim::of(5)), None);
        assert_eq!(part.divided_by(&Dims::batch()), None);
    }
}
