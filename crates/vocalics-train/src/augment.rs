//! What is done to training clips; here on their log-mel features: crop, time stretch, band shift,
//! gain, masks, mixing.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use vocalics_augment::Plan;
use vocalics_features::{Compression, FeatureMatrix};

use crate::TrainError;

/// Most masks of a kind on one clip.
const MAX_MASKS: usize = 100;

/// What the columns of a clip's features are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    /// How many at the end are functionals, of the whole clip and the same in every frame.
    pub(crate) n_functionals: usize,
    /// What the bands before them are of their power.
    pub(crate) compression: Compression,
}

/// Ranges the augmentations draw from. Every clip gets its own draw in every epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Factors on the speed, slowest and fastest; `[1, 1]` for none.
    pub stretch: [f64; 2],
    /// Largest shift along the mel axis, up or down, in bands: another length of the vocal tract.
    pub band_shift: usize,
    /// Largest gain or attenuation, in decibels.
    pub gain_db: f64,
    /// Time masks per crop.
    pub time_masks: usize,
    /// Largest length of a time mask, in frames.
    pub time_mask_frames: usize,
    /// Frequency masks per crop.
    pub band_masks: usize,
    /// Largest height of a frequency mask, in bands.
    pub mask_bands: usize,
    /// Concentration of the Beta distribution that mixup draws its shares from, at most 2; 0 for no mixup.
    pub mixup: f64,
    /// What is done to the waveforms of training clips before all of that; no steps for nothing.
    #[serde(skip_serializing_if = "has_no_steps")]
    pub waveform: Plan,
}

fn has_no_steps(plan: &Plan) -> bool {
    plan.steps.is_empty()
}

impl Default for AugmentConfig {
    fn default() -> Self {
        Self {
            stretch: [0.8, 1.25],
            band_shift: 4,
            gain_db: 3.0,
            time_masks: 1,
            time_mask_frames: 20,
            band_masks: 1,
            mask_bands: 8,
            mixup: 0.0,
            waveform: Plan::default(),
        }
    }
}

impl AugmentConfig {
    /// Clips as they are.
    #[must_use]
    pub fn none() -> Self {
        Self {
            stretch: [1.0, 1.0],
            band_shift: 0,
            gain_db: 0.0,
            time_masks: 0,
            band_masks: 0,
            mixup: 0.0,
            ..Self::default()
        }
    }

    /// The first field, with its value, that changes waveforms or log-mel features; mixup mixes features of any kind.
    #[expect(clippy::float_cmp, reason = "exactly these values do nothing")]
    pub(crate) fn of_log_mel(&self) -> Option<(&'static str, String)> {
        let none = Self::none();
        if self.stretch != none.stretch {
            return Some(("augmentation.stretch", format!("{:?}", self.stretch)));
        }
        if self.gain_db != none.gain_db {
            return Some(("augmentation.gain_db", self.gain_db.to_string()));
        }
        let counts = [
            ("augmentation.band_shift", self.band_shift),
            ("augmentation.time_masks", self.time_masks),
            ("augmentation.band_masks", self.band_masks),
        ];
        if let Some((field, count)) = counts.into_iter().find(|(_, count)| *count > 0) {
            return Some((field, count.to_string()));
        }
        let steps = self.waveform.steps.len();
        (steps > 0).then(|| ("augmentation.waveform", format!("a plan of {steps} steps")))
    }

    pub(crate) fn validate(&self, n_mels: usize) -> Result<(), TrainError> {
        let wrong = |field, actual, expected| Err(TrainError::config(field, actual, expected));
        let [slow, fast] = self.stretch;
        if !(slow.is_finite() && fast.is_finite() && 0.25 <= slow && slow <= fast && fast <= 4.0) {
            let actual = format!("{:?}", self.stretch);
            return wrong(
                "augmentation.stretch",
                actual,
                "two factors from 0.25 to 4, ascending",
            );
        }
        if self.band_shift >= n_mels {
            return wrong(
                "augmentation.band_shift",
                self.band_shift.to_string(),
                "below n_mels",
            );
        }
        if self.mask_bands >= n_mels && self.band_masks > 0 {
            return wrong(
                "augmentation.mask_bands",
                self.mask_bands.to_string(),
                "below n_mels",
            );
        }
        if !(0.0..=60.0).contains(&self.gain_db) {
            return wrong(
                "augmentation.gain_db",
                self.gain_db.to_string(),
                "from 0 to 60",
            );
        }
        for (field, count) in [
            ("augmentation.time_masks", self.time_masks),
            ("augmentation.band_masks", self.band_masks),
        ] {
            if count > MAX_MASKS {
                return wrong(field, count.to_string(), "at most 100");
            }
        }
        if !(0.0..=2.0).contains(&self.mixup) {
            return wrong("augmentation.mixup", self.mixup.to_string(), "from 0 to 2");
        }
        self.waveform.validate().map_err(|source| TrainError::Plan {
            place: "as it is written".into(),
            source: Box::new(source),
        })
    }

    /// Writes an augmented crop of `features` over `out`, `[frames, n_features]`. `scratch` is overwritten.
    ///
    /// A clip shorter than the crop lies in it whole, with repetitions before and behind: silence
    /// there would be something the network never meets in recognition. Functionals stay as they are.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "frame and band positions are small and kept inside the clip"
    )]
    pub(crate) fn crop(
        &self,
        columns: Columns,
        features: &FeatureMatrix,
        rng: &mut StdRng,
        out: &mut [f32],
        scratch: &mut Vec<f32>,
    ) {
        let (n_frames, width) = (features.n_frames(), features.n_features());
        let n_mels = width - columns.n_functionals;
        let frames = out.len() / width;
        let [slow, fast] = self.stretch;
        let rate = (slow.ln() + rng.random::<f64>() * (fast.ln() - slow.ln())).exp();
        let span = frames as f64 * rate;
        let length = n_frames as f64;
        let draw = rng.random::<f64>();
        let start = if span < length {
            draw * (length - span)
        } else {
            // Anywhere in the copy before the one that lies in the crop whole.
            let earliest = (2.0 * length - span).max(0.0);
            earliest + draw * (length - earliest)
        };
        let shift =
            rng.random_range(0..=2 * self.band_shift).cast_signed() - self.band_shift.cast_signed();
        let gain_db = (rng.random::<f64>() * 2.0 - 1.0) * self.gain_db;
        let (factor, offset) = columns.compression.gain(gain_db);
        let last_band = n_mels - 1;
        for (t, out) in out.chunks_exact_mut(width).enumerate() {
            let position = start + t as f64 * rate;
            let frame = position as usize;
            let share = (position - frame as f64) as f32;
            let (from, to) = (
                features.row(frame % n_frames),
                features.row((frame + 1) % n_frames),
            );
            let (bands, functionals) = out.split_at_mut(n_mels);
            functionals.copy_from_slice(&from[n_mels..]);
            for (band, out) in bands.iter_mut().enumerate() {
                let source = band.saturating_add_signed(-shift).min(last_band);
                let x = from[source] + share * (to[source] - from[source]);
                *out = x * factor + offset;
            }
        }
        self.mask([n_mels, width], rng, out, scratch);
    }

    /// Source: D. S. Park et al., *SpecAugment*, Interspeech 2019. Masks hold the crop's own mean in
    /// each band, so that they are silent in the standardised and in the centred channel.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a crop is far below 2^24 values"
    )]
    fn mask(
        &self,
        [n_mels, width]: [usize; 2],
        rng: &mut StdRng,
        out: &mut [f32],
        mean: &mut Vec<f32>,
    ) {
        let frames = out.len() / width;
        mean.clear();
        mean.resize(n_mels, 0.0);
        for frame in out.chunks_exact(width) {
            mean.iter_mut().zip(frame).for_each(|(sum, x)| *sum += x);
        }
        mean.iter_mut().for_each(|sum| *sum /= frames as f32);
        for _ in 0..self.time_masks {
            let length = rng.random_range(0..=self.time_mask_frames.min(frames));
            let start = rng.random_range(0..=frames - length);
            for frame in out[start * width..(start + length) * width].chunks_exact_mut(width) {
                frame[..n_mels].copy_from_slice(mean);
            }
        }
        for _ in 0..self.band_masks {
            let height = rng.random_range(0..=self.mask_bands);
            let start = rng.random_range(0..=n_mels - height);
            for frame in out.chunks_exact_mut(width) {
                frame[start..start + height].copy_from_slice(&mean[start..start + height]);
            }
        }
    }

    /// A share from a symmetric Beta distribution, at least one half; `None` without mixup.
    ///
    /// Source: H. Zhang et al., *mixup*, ICLR 2018.
    pub(crate) fn mixup_share(&self, rng: &mut StdRng) -> Option<f32> {
        if self.mixup <= 0.0 {
            return None;
        }
        // Jöhnk's method, exact for every concentration; bounded for those near zero.
        for _ in 0..1000 {
            let x = rng.random::<f64>().powf(1.0 / self.mixup);
            let y = rng.random::<f64>().powf(1.0 / self.mixup);
            if x + y > 0.0 && x + y <= 1.0 {
                let share = x / (x + y);
                #[expect(clippy::cast_possible_truncation, reason = "a share from 0 to 1")]
                return Some(share.max(1.0 - share) as f32);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const BANDS: Columns = Columns {
        n_functionals: 0,
        compression: Compression::Log,
    };

    fn still() -> AugmentConfig {
        AugmentConfig::none()
    }

    fn ramp(n_frames: u16, n_mels: u16) -> FeatureMatrix {
        let data = (0..n_frames)
            .flat_map(|t| (0..n_mels).map(move |m| f32::from(t) * 100.0 + f32::from(m)))
            .collect();
        FeatureMatrix::new(data, usize::from(n_mels)).unwrap()
    }

    #[test]
    fn a_still_crop_is_a_piece_of_the_clip() {
        let (clip, mut out) = (ramp(50, 4), vec![0.0; 10 * 4]);
        still().crop(
            BANDS,
            &clip,
            &mut StdRng::seed_from_u64(3),
            &mut out,
            &mut Vec::new(),
        );
        for frame in out.chunks(4) {
            assert!((frame[1] - frame[0] - 1.0).abs() < 1e-3);
        }
        for pair in out.chunks(4).collect::<Vec<_>>().windows(2) {
            assert!((pair[1][0] - pair[0][0] - 100.0).abs() < 0.1);
        }
    }

    #[test]
    fn a_short_clip_is_repeated() {
        let (clip, mut out) = (ramp(3, 2), vec![-1.0; 30 * 2]);
        still().crop(
            BANDS,
            &clip,
            &mut StdRng::seed_from_u64(1),
            &mut out,
            &mut Vec::new(),
        );
        assert!(out.iter().all(|x| (0.0..=201.0).contains(x)));
    }

    #[test]
    fn a_clip_little_shorter_than_the_crop_is_whole_in_it() {
        let (clip, mut out) = (ramp(20, 1), vec![0.0; 28]);
        for seed in 0..40 {
            still().crop(
                BANDS,
                &clip,
                &mut StdRng::seed_from_u64(seed),
                &mut out,
                &mut Vec::new(),
            );
            // A fraction of a frame off the grid, the clip's own rise is somewhere unbroken.
            let rising = out.windows(19).any(|w| w.windows(2).all(|p| p[1] > p[0]));
            assert!(rising, "{out:?}");
        }
    }

    #[test]
    fn each_augmentation_does_what_it_says() {
        let clip = FeatureMatrix::new(vec![0.0; 40 * 8], 8).unwrap();
        let mut out = vec![f32::NAN; 20 * 8];
        let gain = AugmentConfig {
            gain_db: 6.0,
            ..still()
        };
        gain.crop(
            BANDS,
            &clip,
            &mut StdRng::seed_from_u64(5),
            &mut out,
            &mut Vec::new(),
        );
        let db = out[0] * 10.0 / 10f32.ln();
        assert!(out.iter().all(|x| (x - out[0]).abs() < 1e-6) && db.abs() <= 6.0 && db != 0.0);

        // A cube root of power is 20 dB louder when it is 100^(1/3) times as large.
        let (clip, mut roots) = (
            FeatureMatrix::new(vec![2.0; 40 * 8], 8).unwrap(),
            out.clone(),
        );
        let columns = Columns {
            compression: Compression::CubeRoot,
            ..BANDS
        };
        let mut rng = StdRng::seed_from_u64(5);
        gain.crop(columns, &clip, &mut rng, &mut roots, &mut Vec::new());
        let root_db = 30.0 * (roots[0] / 2.0).log10();
        assert!((root_db - db).abs() < 1e-4, "{root_db} {db}");

        let clip = ramp(40, 8);
        let shift = AugmentConfig {
            band_shift: 3,
            ..still()
        };
        let mut shifts = std::collections::BTreeSet::new();
        for seed in 0..50 {
            shift.crop(
                BANDS,
                &clip,
                &mut StdRng::seed_from_u64(seed),
                &mut out,
                &mut Vec::new(),
            );
            let by = (out[4] - out[0] % 100.0).rem_euclid(100.0).round();
            shifts.insert(format!("{by}"));
        }
        assert!(shifts.len() >= 3, "{shifts:?}");

        let stretch = AugmentConfig {
            stretch: [0.5, 0.5],
            ..still()
        };
        stretch.crop(
            BANDS,
            &clip,
            &mut StdRng::seed_from_u64(2),
            &mut out,
            &mut Vec::new(),
        );
        assert!((out[8] - out[0] - 50.0).abs() < 0.1);
    }

    #[test]
    fn functionals_pass_and_the_bands_are_as_without_them() {
        let clip = ramp(40, 8);
        let wide = vocalics_features::Functionals::beside(&clip, &[7.0, -3.0]).unwrap();
        let all = AugmentConfig {
            mask_bands: 3,
            ..AugmentConfig::default()
        };
        let and_two_functionals = Columns {
            n_functionals: 2,
            ..BANDS
        };
        for seed in 0..20 {
            let (mut narrow, mut out) = (vec![0.0; 20 * 8], vec![0.0; 20 * 10]);
            let rng = || StdRng::seed_from_u64(seed);
            all.crop(BANDS, &clip, &mut rng(), &mut narrow, &mut Vec::new());
            all.crop(
                and_two_functionals,
                &wide,
                &mut rng(),
                &mut out,
                &mut Vec::new(),
            );
            for (frame, narrow) in out.chunks(10).zip(narrow.chunks(8)) {
                assert_eq!(frame[..8], *narrow);
                assert_eq!(frame[8..], [7.0, -3.0]);
            }
        }
    }

    #[test]
    fn masks_hold_the_mean_of_each_band() {
        let clip = ramp(40, 8);
        let masks = AugmentConfig {
            time_masks: 1,
            band_masks: 1,
            mask_bands: 3,
            ..still()
        };
        let (mut in_time, mut in_band) = (0, 0);
        for seed in 0..50 {
            let (mut plain, mut out) = (vec![0.0; 20 * 8], vec![0.0; 20 * 8]);
            still().crop(
                BANDS,
                &clip,
                &mut StdRng::seed_from_u64(seed),
                &mut plain,
                &mut Vec::new(),
            );
            masks.crop(
                BANDS,
                &clip,
                &mut StdRng::seed_from_u64(seed),
                &mut out,
                &mut Vec::new(),
            );
            for band in 0..8 {
                let of = |x: &[f32]| {
                    x.iter()
                        .skip(band)
                        .step_by(8)
                        .copied()
                        .collect::<Vec<f32>>()
                };
                let (plain, out) = (of(&plain), of(&out));
                let mean = plain.iter().sum::<f32>() / 20.0;
                let masked = |x: &f32| (x - mean).abs() < 0.1;
                for (x, y) in plain.iter().zip(&out) {
                    assert!(
                        (x - y).abs() < 1e-3 || masked(y),
                        "{y} is neither {x} nor the mean {mean}"
                    );
                }
                in_band += usize::from(out.iter().all(masked));
                in_time += usize::from(out.iter().any(masked));
            }
        }
        assert!(in_band > 0);
        assert!(in_time > in_band);
    }

    #[test]
    fn mixup_shares_lie_between_one_half_and_one() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(still().mixup_share(&mut rng), None);
        let mixup = AugmentConfig {
            mixup: 0.3,
            ..still()
        };
        for _ in 0..100 {
            let share = mixup.mixup_share(&mut rng).unwrap();
            assert!((0.5..=1.0).contains(&share));
        }
    }
}
