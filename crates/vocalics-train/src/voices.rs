//! Functionals moved to their speakers ([`Voice`]), for trainings and tests.

use std::collections::BTreeMap;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::index::sample;
use vocalics_corpora::{Utterance, is_unknown_speaker};
use vocalics_features::{FeatureMatrix, Standardiser, Voice};

use crate::{Data, TrainError};

/// Which clips have one speaker, of those that are looked at. A speaker of two corpora is two: what speaks in one may sing in the other.
pub(crate) struct SpeakerClips {
    /// Of each clip that is looked at, those of its speaker, itself among them.
    of: BTreeMap<usize, usize>,
    groups: Vec<Vec<usize>>,
}

impl SpeakerClips {
    /// The clips at `places` among `utterances`. A speaker who is not known is nobody else's.
    pub(crate) fn new(utterances: &[Utterance], places: &[usize]) -> Self {
        let mut found: BTreeMap<(&str, &str, Option<usize>), Vec<usize>> = BTreeMap::new();
        for &place in places {
            let Utterance {
                corpus, speaker, ..
            } = &utterances[place];
            let alone = is_unknown_speaker(speaker).then_some(place);
            found
                .entry((corpus, speaker, alone))
                .or_default()
                .push(place);
        }
        let groups: Vec<Vec<usize>> = found.into_values().collect();
        let of = groups.iter().enumerate();
        let of = of.flat_map(|(group, clips)| clips.iter().map(move |&clip| (clip, group)));
        Self {
            of: of.collect(),
            groups,
        }
    }

    /// The other clips of a clip's speaker, in order.
    pub(crate) fn others(&self, clip: usize) -> Vec<usize> {
        let group = self
            .of
            .get(&clip)
            .map_or(&[][..], |&group| &self.groups[group]);
        group.iter().copied().filter(|&it| it != clip).collect()
    }
}

/// Mean and deviation of the functionals alone, which stand behind the bands.
pub(crate) fn of_functionals(
    standardiser: &Standardiser,
    n_functionals: usize,
) -> Result<Standardiser, TrainError> {
    let bands = standardiser.n_features() - n_functionals;
    let [mean, std] =
        [standardiser.mean(), standardiser.std()].map(|values| values[bands..].to_vec());
    Ok(Standardiser::new(mean, std)?)
}

/// The functionals of a clip, `[n_functionals]`; none of a clip without frames.
pub(crate) fn functionals(features: &FeatureMatrix, n_functionals: usize) -> &[f32] {
    if features.n_frames() == 0 {
        return &[];
    }
    let row = features.row(0);
    &row[row.len() - n_functionals..]
}

/// The functionals of training clips, each moved by what is drawn of its speaker's other clips.
pub(crate) struct Voices<'a> {
    data: &'a Data,
    prior: Standardiser,
    speakers: SpeakerClips,
}

impl<'a> Voices<'a> {
    /// Of the training clips `clips`; `standardiser` is that of the network.
    pub(crate) fn new(
        data: &'a Data,
        clips: &[usize],
        standardiser: &Standardiser,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            data,
            prior: of_functionals(standardiser, data.n_functionals)?,
            speakers: SpeakerClips::new(&data.utterances, clips),
        })
    }

    /// The functionals of a clip as they are when none, 1, 2, 4 and so on, or all of the speaker's other clips were heard: each of these
    /// numbers as often as the other, so that the network knows speakers of whom little was heard.
    pub(crate) fn drawn(&self, clip: usize, rng: &mut StdRng) -> Result<Vec<f32>, TrainError> {
        let n_functionals = self.data.n_functionals;
        let of = |clip: usize| functionals(&self.data.features[clip], n_functionals);
        let mut own = of(clip).to_vec();
        let others = self.speakers.others(clip);
        let count = amount(others.len(), rng);
        if count == 0 || own.is_empty() {
            return Ok(own);
        }
        let mut voice = Voice::new(self.prior.clone());
        for place in sample(rng, others.len(), count) {
            let heard = of(others[place]);
            if !heard.is_empty() {
                voice.hear(heard)?;
            }
        }
        voice.place(&mut own)?;
        Ok(own)
    }
}

/// Draws 0, a power of two below `most`, or `most`.
fn amount(most: usize, rng: &mut impl Rng) -> usize {
    // 0, then 2^0, 2^1 … below `most`, then `most`.
    let powers = most.next_power_of_two().trailing_zeros();
    match rng.random_range(0..=powers + u32::from(most > 0)) {
        0 => 0,
        step if step > powers => most,
        step => 1 << (step - 1),
    }
}

/// Puts functionals behind the bands of every frame of `features`, `[n_frames, n_features]`.
pub(crate) fn put(functionals: &[f32], n_features: usize, features: &mut [f32]) {
    for row in features.chunks_exact_mut(n_features) {
        let bands = row.len() - functionals.len();
        row[bands..].copy_from_slice(functionals);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn none_all_and_the_powers_between_are_drawn() {
        for (most, expected) in [
            (0, vec![0]),
            (1, vec![0, 1]),
            (2, vec![0, 1, 2]),
            (4, vec![0, 1, 2, 4]),
            (59, vec![0, 1, 2, 4, 8, 16, 32, 59]),
        ] {
            let mut rng = StdRng::seed_from_u64(3);
            let drawn: BTreeSet<usize> = (0..300).map(|_| amount(most, &mut rng)).collect();
            assert_eq!(drawn.into_iter().collect::<Vec<_>>(), expected, "{most}");
        }
    }

    #[test]
    fn functionals_are_put_behind_the_bands_of_every_frame() {
        let mut features = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        put(&[8.0, 9.0], 3, &mut features);
        let expected = [1.0_f32, 8.0, 9.0, 4.0, 8.0, 9.0];
        assert_eq!(features.map(f32::to_bits), expected.map(f32::to_bits));
    }
}
