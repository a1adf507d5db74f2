//! Where the functionals of one speaker lie, from recordings without labels.

use crate::error::FeatureError;
use crate::standardise::{Standardiser, expect_count};

/// Recordings of a speaker that the training's speakers count for in a [`Voice`]: how slowly it moves to the speaker.
pub const PRIOR_RECORDINGS: f64 = 4.0;

/// How many deviations from the mean a functional counts at most: as many as the networks let in
/// (`vocalics_models::input::FUNCTIONAL_REACH`).
const REACH: f64 = 4.0;

/// Smallest variance of a speaker's functional, in variances of the training's.
const LEAST_VARIANCE: f64 = 1e-3;

/// Where the functionals of one speaker's recordings lie, and how they are moved to where the training's speakers have theirs.
///
/// With `z` a functional in deviations from the training's mean, within ±4, `n` recordings heard and `κ` [`PRIOR_RECORDINGS`]:
///
/// ```text
/// m = Σ z / (κ + n)        v = (κ + Σ z²) / (κ + n) − m²        z' = (z − m) / √v
/// ```
///
/// So the estimate begins at the training's mean and deviation, where nothing changes, and moves to the speaker as recordings come.
///
/// Source: normalisation by speaker as in C. Busso, S. Mariooryad, A. Metallinou and S. Narayanan, *Iterative feature normalization
/// scheme for automatic emotion detection from speech*, IEEE Transactions on Affective Computing 4, 2013; the way from the prior to
/// the speaker as the adapted means and variances in D. A. Reynolds, T. F. Quatieri and R. B. Dunn, *Speaker verification using
/// adapted Gaussian mixture models*, Digital Signal Processing 10, 2000.
#[derive(Debug, Clone, PartialEq)]
pub struct Voice {
    prior: Standardiser,
    recordings: f64,
    sums: Vec<f64>,
    squares: Vec<f64>,
}

impl Voice {
    /// Of a speaker of whom nothing was heard. `prior`: mean and deviation of every functional in the training.
    #[must_use]
    pub fn new(prior: Standardiser) -> Self {
        let n = prior.n_features();
        Self {
            prior,
            recordings: 0.0,
            sums: vec![0.0; n],
            squares: vec![0.0; n],
        }
    }

    /// Takes in the functionals of a recording, `[n_functionals]`, as the sets give them.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if they are of another number; nothing is taken in then.
    pub fn hear(&mut self, functionals: &[f32]) -> Result<(), FeatureError> {
        self.check(functionals)?;
        self.recordings += 1.0;
        for (index, &value) in functionals.iter().enumerate() {
            let z = self.deviations(index, value);
            self.sums[index] += z;
            self.squares[index] += z * z;
        }
        Ok(())
    }

    /// Moves the functionals of a recording of the speaker, `[n_functionals]`, in place.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] if they are of another number.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a few deviations from the mean"
    )]
    pub fn place(&self, functionals: &mut [f32]) -> Result<(), FeatureError> {
        self.check(functionals)?;
        if self.recordings == 0.0 {
            return Ok(());
        }
        let weight = PRIOR_RECORDINGS + self.recordings;
        for (index, value) in functionals.iter_mut().enumerate() {
            let mean = self.sums[index] / weight;
            let variance = (PRIOR_RECORDINGS + self.squares[index]) / weight - mean * mean;
            let z = (self.deviations(index, *value) - mean) / variance.max(LEAST_VARIANCE).sqrt();
            let (mean, std) = (self.prior.mean()[index], self.prior.std()[index]);
            *value = (f64::from(mean) + f64::from(std) * z) as f32;
        }
        Ok(())
    }

    fn check(&self, functionals: &[f32]) -> Result<(), FeatureError> {
        expect_count("number of functionals", self.sums.len(), functionals.len())
    }

    fn deviations(&self, index: usize, value: f32) -> f64 {
        let (mean, std) = (self.prior.mean()[index], self.prior.std()[index]);
        let z = (f64::from(value) - f64::from(mean)) / f64::from(std);
        z.clamp(-REACH, REACH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prior() -> Standardiser {
        Standardiser::new(vec![10.0, -2.0], vec![2.0, 0.5]).unwrap()
    }

    #[test]
    fn nothing_changes_until_something_was_heard() {
        let voice = Voice::new(prior());
        // Also what lies further off than anything counts.
        let mut functionals = [1234.5, -2.25];
        voice.place(&mut functionals).unwrap();
        assert_eq!(
            functionals.map(f32::to_bits),
            [1234.5_f32, -2.25].map(f32::to_bits)
        );
    }

    #[test]
    fn a_voice_is_moved_to_the_mean_and_deviation_of_the_training() {
        let mut voice = Voice::new(prior());
        let recordings: Vec<[f32; 2]> = (0..40_000)
            .map(|i| {
                let swing = if i % 2 == 0 { 1.0 } else { -1.0 };
                [13.0 + 0.5 * swing, -2.5 - 0.25 * swing]
            })
            .collect();
        for functionals in &recordings {
            voice.hear(functionals).unwrap();
        }
        for (mut functionals, z) in [(recordings[0], [1.0, -1.0]), (recordings[1], [-1.0, 1.0])] {
            voice.place(&mut functionals).unwrap();
            for (index, (mean, std)) in [(10.0, 2.0), (-2.0, 0.5)].into_iter().enumerate() {
                // Of the four recordings of the prior nearly nothing is left.
                let found: f32 = (functionals[index] - mean) / std;
                assert!((found - z[index]).abs() < 0.01, "{index}: {found}");
            }
        }
    }

    #[test]
    fn the_estimate_is_that_of_the_definition() {
        let mut voice = Voice::new(prior());
        let heard = [[12.0, -2.0], [14.0, -1.0], [100.0, -3.0]];
        for functionals in &heard {
            voice.hear(functionals).unwrap();
        }
        let mut placed = [11.0, -1.5];
        voice.place(&mut placed).unwrap();
        for (index, zs, z) in [(0, [1.0, 2.0, 4.0], 0.5), (1, [0.0, 2.0, -2.0], 1.0)] {
            let sum: f64 = zs.iter().sum();
            let squares: f64 = zs.iter().map(|z| z * z).sum();
            let mean = sum / 7.0;
            let moved = (z - mean) / ((4.0 + squares) / 7.0 - mean * mean).sqrt();
            let (mean, std) = [(10.0, 2.0), (-2.0, 0.5)][index];
            let expected = mean + std * moved;
            assert!((f64::from(placed[index]) - expected).abs() < 1e-5);
        }
    }

    #[test]
    fn a_constant_voice_stays_finite_and_other_shapes_are_refused() {
        let mut voice = Voice::new(prior());
        for _ in 0..100_000 {
            voice.hear(&[11.0, -2.0]).unwrap();
        }
        let mut functionals = [-1e30, 1e30];
        voice.place(&mut functionals).unwrap();
        assert!(functionals.iter().all(|x| x.is_finite()));
        let before = voice.clone();
        assert!(voice.hear(&[1.0]).is_err());
        assert!(voice.place(&mut [1.0; 3]).is_err());
        assert_eq!(voice, before);
    }
}
