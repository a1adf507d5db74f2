//! Scores that adapt to a speaker.

use vocalics_features::{Standardiser, Voice};

/// Seconds of speech that the even share counts for: how slowly scores adapt.
///
/// Chosen on validation speakers (`docs/experiments.md`): with less, a few recordings of a speaker do harm.
pub const PRIOR_SECS: f64 = 16.0;

/// What a model heard in unlabelled recordings of one speaker, to which further scores of the speaker adapt.
///
/// A voice that is hoarse or shrill by nature is heard as sad or angry all the time. Each score is therefore divided by the
/// mean score of its class in the speaker's own recordings:
///
/// ```text
/// q_k = (p_k / m_k) / Σ_j (p_j / m_j)        m_k = (τ / K + Σ_i d_i p_ik) / (τ + Σ_i d_i)
/// ```
///
/// with `d_i` the seconds of recording `i`, `K` classes and `τ` [`PRIOR_SECS`]. The estimate starts at the even share, where nothing
/// changes, and moves to the speaker as audio comes; recordings may be added while scores are adapted, as in a call.
///
/// It takes for granted that the recordings show every class about equally often. That is so in acted corpora. For somebody
/// who is calm in nearly all of them it makes calm the rarer answer, so give it recordings that are as varied as what will be
/// recognised.
///
/// Source: the correction of priors in M. Saerens, P. Latinne and C. Decaestecker, *Adjusting the outputs of a classifier
/// to new a priori probabilities*, Neural Computation 14, 2002, equation 2.4, from the speaker's mean scores to even ones.
///
/// ```
/// use vocalics_runtime::SpeakerProfile;
///
/// let mut speaker = SpeakerProfile::new(2);
/// assert_eq!(speaker.adapt(&[0.6, 0.4]), [0.6, 0.4]);
/// // Hours of a voice in which the first class is always heard.
/// speaker.hear(&[0.75, 0.25], 1e6);
/// let adapted = speaker.adapt(&[0.6, 0.4]);
/// assert!((adapted[0] - 1.0 / 3.0).abs() < 1e-3);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SpeakerProfile {
    seconds: f64,
    /// `Σ d_i p_i`, `[n_classes]`.
    sums: Vec<f64>,
    /// Where the speaker's functionals lie, for a model that moves them.
    voice: Option<Voice>,
}

impl SpeakerProfile {
    /// Of a speaker of whom nothing was heard.
    #[must_use]
    pub fn new(n_classes: usize) -> Self {
        Self {
            seconds: 0.0,
            sums: vec![0.0; n_classes],
            voice: None,
        }
    }

    /// The same for a model that moves functionals to the speaker.
    pub(crate) fn with_voice(self, norm: Option<Standardiser>) -> Self {
        Self {
            voice: norm.map(Voice::new),
            ..self
        }
    }

    pub(crate) fn voice(&self) -> Option<&Voice> {
        self.voice.as_ref()
    }

    pub(crate) fn voice_mut(&mut self) -> Option<&mut Voice> {
        self.voice.as_mut()
    }

    /// Seconds heard.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Takes the scores of a recording in, as the model gave them, not adapted ones.
    ///
    /// Scores that are not finite or not as many as there are classes, and durations that are not positive, are passed over.
    pub fn hear(&mut self, scores: &[f32], seconds: f64) {
        let usable = scores.len() == self.sums.len() && scores.iter().all(|x| x.is_finite());
        if !(usable && seconds.is_finite() && seconds > 0.0) {
            return;
        }
        self.seconds += seconds;
        for (sum, &score) in self.sums.iter_mut().zip(scores) {
            *sum += seconds * f64::from(score.max(0.0));
        }
    }

    /// Scores of this speaker, adapted; they sum to 1.
    ///
    /// # Shapes
    /// `[n_classes]` to `[n_classes]`; scores of another length come back as they are.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a handful of classes; a share between 0 and 1 fits f32"
    )]
    pub fn adapt(&self, scores: &[f32]) -> Vec<f32> {
        if scores.len() != self.sums.len() || self.seconds == 0.0 {
            return scores.to_vec();
        }
        let even = PRIOR_SECS / self.sums.len() as f64;
        // The common factor of all means cancels out.
        let ratios: Vec<f64> = scores
            .iter()
            .zip(&self.sums)
            .map(|(&score, sum)| f64::from(score) / (even + sum))
            .collect();
        let total: f64 = ratios.iter().sum();
        if !(total.is_finite() && total > 0.0) {
            return scores.to_vec();
        }
        ratios.iter().map(|ratio| (ratio / total) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_moves_from_even_shares_to_the_speaker() {
        let (mut speaker, scores) = (SpeakerProfile::new(3), [0.5, 0.3, 0.2]);
        assert_eq!(speaker.adapt(&scores), scores);
        let mut last = 0.5;
        for _ in 0..5 {
            speaker.hear(&[0.8, 0.1, 0.1], 8.0);
            let adapted = speaker.adapt(&scores);
            assert!(adapted[0] < last, "{adapted:?}");
            assert!((adapted.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            last = adapted[0];
        }
        assert!((speaker.seconds() - 40.0).abs() < 1e-12);
        // m = (16/3 + 40 p) / 56 by hand: 0.6667, 0.1667, 0.1667.
        let adapted = speaker.adapt(&scores);
        let expected = [0.5 / 0.666_667, 0.3 / 0.166_667, 0.2 / 0.166_667];
        let total: f64 = expected.iter().sum();
        for (actual, expected) in adapted.iter().zip(expected) {
            assert!((f64::from(*actual) - expected / total).abs() < 1e-5);
        }
    }

    #[test]
    fn what_is_no_score_changes_nothing() {
        let mut speaker = SpeakerProfile::new(2);
        speaker.hear(&[f32::NAN, 1.0], 5.0);
        speaker.hear(&[0.2, 0.3, 0.5], 5.0);
        speaker.hear(&[0.5, 0.5], f64::INFINITY);
        speaker.hear(&[0.5, 0.5], -1.0);
        assert_eq!(speaker, SpeakerProfile::new(2));
        speaker.hear(&[1.0, 0.0], 1e9);
        assert_eq!(speaker.adapt(&[0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(speaker.adapt(&[1.0]), [1.0]);
    }
}
