//! Two views of each clip of a step.
//!
//! A view is the clip's crop mixed with that of a past clip, cropped and resized at random, then shifted along the bands, made louder
//! or softer, and masked as `[augmentation]` says. Everything random follows from the epoch's key and the clip's place in the epoch; a
//! past clip's crop is made again from its own place, so that nothing has to be kept for a training to go on.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use vocalics_features::{Compression, FeatureError, FeatureMatrix};

use super::ByolConfig;
use super::resize_crop::ResizeCrop;
use crate::AugmentConfig;
use crate::augment::Columns;
use crate::batch::{EpochKey, Purpose, generator};

/// A recording longer than so many crops counts as several clips.
const CROPS_OF_A_CLIP: usize = 8;

/// The clips of a training, none much longer than the others.
pub(super) fn pieces(
    features: &[FeatureMatrix],
    clips: &[usize],
    crop_frames: usize,
) -> Result<Vec<FeatureMatrix>, FeatureError> {
    let mut pieces = Vec::new();
    for &clip in clips {
        let (whole, n_mels) = (&features[clip], features[clip].n_features());
        let n_frames = whole.n_frames();
        let count = n_frames.div_ceil(CROPS_OF_A_CLIP * crop_frames).max(1);
        for piece in 0..count {
            let (from, to) = (piece * n_frames / count, (piece + 1) * n_frames / count);
            let values = whole.as_slice()[from * n_mels..to * n_mels].to_vec();
            pieces.push(FeatureMatrix::new(values, n_mels)?);
        }
    }
    Ok(pieces)
}

/// Steps of an epoch: batches of about the size asked for, none of a single clip, which has no statistics.
pub(super) fn steps(pieces: usize, batch_size: usize) -> usize {
    pieces.div_ceil(batch_size).min(pieces / 2).max(1)
}

/// The order of an epoch, with its key.
struct Epoch {
    key: EpochKey,
    order: Vec<usize>,
}

impl Epoch {
    fn new(key: EpochKey, pieces: usize) -> Self {
        let mut order: Vec<usize> = (0..pieces).collect();
        order.shuffle(&mut generator(&key, Purpose::Order, 0));
        Self { key, order }
    }
}

/// The views of one epoch.
pub(super) struct Views<'a> {
    byol: &'a ByolConfig,
    /// What is done to a view besides.
    augmentation: AugmentConfig,
    pieces: &'a [FeatureMatrix],
    columns: Columns,
    crop_frames: usize,
    /// Of each band over the training, `[n_mels]`.
    mean: &'a [f32],
    epoch: Epoch,
    /// The epoch before, whose clips are past at the begin of this one.
    before: Option<Epoch>,
}

impl<'a> Views<'a> {
    /// `keys`: of the epoch, and of the one before, if there was one.
    pub(super) fn new(
        byol: &'a ByolConfig,
        augmentation: &AugmentConfig,
        pieces: &'a [FeatureMatrix],
        compression: Compression,
        crop_frames: usize,
        mean: &'a [f32],
        (key, before): (EpochKey, Option<EpochKey>),
    ) -> Self {
        let augmentation = AugmentConfig {
            // Resizing stretches already.
            stretch: [1.0, 1.0],
            ..augmentation.clone()
        };
        Self {
            byol,
            augmentation,
            pieces,
            columns: Columns {
                n_functionals: 0,
                compression,
            },
            crop_frames,
            mean,
            epoch: Epoch::new(key, pieces.len()),
            before: before.map(|key| Epoch::new(key, pieces.len())),
        }
    }

    /// Clips of a step.
    pub(super) fn clips(&self, step: usize) -> usize {
        self.start(step + 1) - self.start(step)
    }

    fn start(&self, step: usize) -> usize {
        let count = self.pieces.len();
        step * count / steps(count, self.byol.batch_size)
    }

    /// Both views of a step's clips, `[clips, crop frames, n_mels]` each.
    ///
    /// # Errors
    /// [`FeatureError`] for a view that is no matrix, which no valid configuration has.
    pub(super) fn of_step(&self, step: usize) -> Result<[Vec<f32>; 2], FeatureError> {
        let len = self.crop_frames * self.mean.len();
        let view = |side: usize| -> Result<Vec<f32>, FeatureError> {
            let mut rows = vec![0.0f32; self.clips(step) * len];
            rows.par_chunks_exact_mut(len)
                .enumerate()
                .try_for_each(|(row, out)| self.view(self.start(step) + row, side, out))?;
            Ok(rows)
        };
        Ok([view(0)?, view(1)?])
    }

    /// The crop of the clip at a place of an epoch: the same for both views and for whom it is mixed into.
    fn crop(&self, epoch: &Epoch, place: usize, out: &mut [f32]) {
        let mut rng = generator(&epoch.key, Purpose::Clip, place);
        let piece = &self.pieces[epoch.order[place]];
        AugmentConfig::none().crop(self.columns, piece, &mut rng, out, &mut Vec::new());
    }

    fn view(&self, place: usize, side: usize, out: &mut [f32]) -> Result<(), FeatureError> {
        let rng = &mut generator(&self.epoch.key, Purpose::View, 2 * place + side);
        self.crop(&self.epoch, place, out);
        self.mixup(place, rng, out);
        let n_mels = self.mean.len();
        let scales = [self.byol.freq_scale, self.byol.time_scale];
        let dims = [n_mels, self.crop_frames];
        ResizeCrop::draw(dims, self.byol.virtual_crop_scale, scales, rng).apply(out, self.mean);
        let view = FeatureMatrix::new(out.to_vec(), n_mels)?;
        self.augmentation
            .crop(self.columns, &view, rng, out, &mut Vec::new());
        Ok(())
    }

    /// `ln((1 − λ) · exp(x) + λ · exp(past))` for logarithms, `λ` from 0 to `α`: the powers are mixed, as two sounds in a room would be.
    ///
    /// Source: D. Niizumi et al., *BYOL for Audio*, IJCNN 2021, section III-B.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "shares are single precision"
    )]
    fn mixup(&self, place: usize, rng: &mut StdRng, out: &mut [f32]) {
        let before = self.before.as_ref().map_or(0, |epoch| epoch.order.len());
        let past = self.byol.memory_bank.min(place + before);
        if past == 0 || self.byol.mixup_alpha <= 0.0 {
            return;
        }
        let back = rng.random_range(1..=past);
        let share = (rng.random::<f64>() * self.byol.mixup_alpha) as f32;
        let mut other = vec![0.0f32; out.len()];
        match (place.checked_sub(back), &self.before) {
            (Some(place), _) => self.crop(&self.epoch, place, &mut other),
            (None, Some(epoch)) => self.crop(epoch, before + place - back, &mut other),
            (None, None) => return,
        }
        for (x, other) in out.iter_mut().zip(other) {
            *x = self.columns.compression.mix(*x, other, share);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N_MELS: usize = 16;
    const FRAMES: usize = 20;

    fn clips() -> Vec<FeatureMatrix> {
        let clip = |clip: usize| {
            let values = (0..(15 + 6 * clip) * N_MELS).map(|i| ((i * (clip + 2)) as f32).sin());
            FeatureMatrix::new(values.collect(), N_MELS).unwrap()
        };
        (0..7).map(clip).collect()
    }

    fn augmentation() -> AugmentConfig {
        AugmentConfig {
            band_shift: 2,
            mask_bands: 3,
            time_mask_frames: 5,
            ..AugmentConfig::default()
        }
    }

    fn byol() -> ByolConfig {
        ByolConfig {
            batch_size: 3,
            ..ByolConfig::default()
        }
    }

    /// All views of an epoch.
    fn views(byol: &ByolConfig, keys: (EpochKey, Option<EpochKey>)) -> Vec<[Vec<f32>; 2]> {
        let (pieces, augmentation) = (clips(), augmentation());
        let views = Views::new(
            byol,
            &augmentation,
            &pieces,
            Compression::Log,
            FRAMES,
            &[0.0; N_MELS],
            keys,
        );
        let steps = 0..steps(pieces.len(), byol.batch_size);
        steps.map(|step| views.of_step(step).unwrap()).collect()
    }

    #[test]
    fn views_of_a_clip_differ_and_follow_from_the_seed() {
        let all = views(&byol(), ([1; 32], None));
        assert_eq!(all.len(), 3);
        let len = FRAMES * N_MELS;
        let sizes: Vec<usize> = all.iter().map(|[view, _]| view.len() / len).collect();
        assert_eq!(sizes, [2, 2, 3]);
        for [first, second] in &all {
            for (a, b) in first.chunks(len).zip(second.chunks(len)) {
                assert_ne!(a, b);
                assert!(a.iter().chain(b).all(|x| x.is_finite()));
            }
        }
        assert_eq!(all, views(&byol(), ([1; 32], None)));
        assert_ne!(all, views(&byol(), ([2; 32], None)));
        let few = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(all, few.install(|| views(&byol(), ([1; 32], None))));
    }

    /// With nothing but mixup in the way, a view is its crop mixed with one of an earlier place: the formula, and only those.
    #[test]
    fn mixup_blends_powers_with_past_clips_alone() {
        let pieces = clips();
        let byol = ByolConfig {
            freq_scale: [1.0, 1.0],
            time_scale: [1.0, 1.0],
            virtual_crop_scale: [1.0, 1.0],
            ..byol()
        };
        let mean = [0.0; N_MELS];
        for before in [None, Some([3; 32])] {
            let keys = ([1; 32], before);
            let none = AugmentConfig::none();
            let views = Views::new(&byol, &none, &pieces, Compression::Log, FRAMES, &mean, keys);
            let crop = |epoch: &Epoch, place| {
                let mut out = vec![0.0; FRAMES * N_MELS];
                views.crop(epoch, place, &mut out);
                out
            };
            for place in 0..pieces.len() {
                let own = crop(&views.epoch, place);
                let mut view = vec![0.0; FRAMES * N_MELS];
                views.view(place, 0, &mut view).unwrap();
                let mut past: Vec<Vec<f32>> = (0..place).map(|at| crop(&views.epoch, at)).collect();
                if let Some(before) = &views.before {
                    past.extend((0..pieces.len()).map(|at| crop(before, at)));
                }
                if past.is_empty() {
                    let close = own.iter().zip(&view).all(|(a, b)| (a - b).abs() < 1e-5);
                    assert!(close, "nothing to mix with");
                    continue;
                }
                let mixed = |other: &Vec<f32>| {
                    // The share that the first number says must hold for all.
                    let shares = own.iter().zip(other).zip(&view).filter_map(|((x, y), v)| {
                        let span = y.exp() - x.exp();
                        (span.abs() > 0.2).then(|| (v.exp() - x.exp()) / span)
                    });
                    let shares: Vec<f32> = shares.collect();
                    let first = shares[0];
                    (-1e-3..0.401).contains(&first)
                        && shares.iter().all(|share| (share - first).abs() < 1e-3)
                };
                assert!(past.iter().any(mixed), "place {place}");
            }
        }
    }

    #[test]
    fn long_recordings_count_as_several_clips_and_none_is_lost() {
        let long = FeatureMatrix::new(vec![0.5; 100 * N_MELS], N_MELS).unwrap();
        let features = [clips()[0].clone(), long];
        let pieces = pieces(&features, &[0, 1], 4).unwrap();
        let frames: Vec<usize> = pieces.iter().map(FeatureMatrix::n_frames).collect();
        assert_eq!(frames, [15, 25, 25, 25, 25]);
        assert_eq!(
            [steps(5, 2), steps(3, 2), steps(2, 64), steps(130, 64)],
            [2, 1, 1, 3]
        );
    }
}
