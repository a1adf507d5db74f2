//! The set `mfcc`.

use vocalics_dsp::frame::Padding;
use vocalics_dsp::mfcc::{CepstralConvention, Mfcc, MfccConfig};
use vocalics_dsp::stft::StftConfig;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::set::{Descriptors, FeatureSet, check, frame_times, transform_length};

const N_MFCC: usize = 13;
/// Frames a delta looks over.
const DELTA_WIDTH: usize = 9;

/// 13 cepstral coefficients, their first and second deltas, and statistics of each.
///
/// librosa's convention with windows of at least 25 ms (a power of two) every 10 ms, 40 bands up to
/// 8 kHz or half the sample rate, 80 dB range; the delta over 9 frames. Functionals: mean, deviation,
/// 10th and 90th percentile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MfccStatistics;

impl FeatureSet for MfccStatistics {
    fn name(&self) -> &'static str {
        "mfcc"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static str {
        "13 cepstral coefficients with two deltas, and their statistics"
    }

    fn descriptor_names(&self) -> Vec<String> {
        ["mfcc", "mfcc_delta", "mfcc_delta2"]
            .into_iter()
            .flat_map(|kind| (0..N_MFCC).map(move |k| format!("{kind}_{k}")))
            .collect()
    }

    fn descriptors(&self, samples: &[f32], sample_rate: u32) -> Result<Descriptors, FeatureError> {
        check(samples, sample_rate)?;
        let n_fft = transform_length(sample_rate, 25);
        let hop_length = sample_rate as usize / 100;
        let config = MfccConfig {
            sample_rate,
            stft: StftConfig {
                n_fft,
                win_length: n_fft,
                hop_length,
                center: true,
                padding: Padding::Zero,
            },
            n_mels: 40,
            fmin: 0.0,
            fmax: 8_000.0_f32.min(sample_rate as f32 / 2.0),
            n_mfcc: N_MFCC,
            lifter: 0.0,
            top_db: Some(80.0),
            convention: CepstralConvention::Librosa,
        };
        let base = FeatureMatrix::new(Mfcc::new(config)?.compute(samples)?, N_MFCC)?;
        let (first, second) = (base.delta(DELTA_WIDTH, 1)?, base.delta(DELTA_WIDTH, 2)?);
        let rows = base
            .rows()
            .zip(first.rows())
            .zip(second.rows())
            .flat_map(|((a, b), c)| a.iter().chain(b).chain(c).copied())
            .collect();
        Ok(Descriptors {
            times_secs: frame_times(base.n_frames(), hop_length, sample_rate),
            step_secs: hop_length as f64 / f64::from(sample_rate),
            matrix: FeatureMatrix::new(rows, 3 * N_MFCC)?,
        })
    }
}
