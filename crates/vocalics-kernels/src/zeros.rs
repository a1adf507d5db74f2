//! Room for the results of a training step.

use rayon::prelude::*;

use crate::Real;

/// Values that one task writes.
const BLOCK: usize = 1024;
/// Fewer values than this are not worth a second thread.
const PARALLEL: usize = 64 * BLOCK;

/// A vector of zeros.
///
/// A training reuses its memory, which has to be cleared again for every result; that took one thread a twentieth of a step. Here
/// all threads do it.
pub(crate) fn zeros<T: Real>(len: usize) -> Vec<T> {
    if len < PARALLEL {
        return vec![T::ZERO; len];
    }
    let blocks: Vec<[T; BLOCK]> = (0..len.div_ceil(BLOCK))
        .into_par_iter()
        .map(|_| [T::ZERO; BLOCK])
        .collect();
    let mut values = blocks.into_flattened();
    values.truncate(len);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_asked_for() {
        for len in [
            0,
            1,
            PARALLEL - 1,
            PARALLEL,
            PARALLEL + 1,
            3 * PARALLEL + 517,
        ] {
            let values: Vec<f32> = zeros(len);
            assert_eq!(values.len(), len);
            assert!(values.iter().all(|x| x.to_bits() == 0));
        }
    }
}
