//! The set `chroma`.

use vocalics_dsp::chroma::chroma;
use vocalics_dsp::frame::Padding;
use vocalics_dsp::stft::StftConfig;

use crate::error::FeatureError;
use crate::matrix::FeatureMatrix;
use crate::set::{Descriptors, FeatureSet, check, frame_times, transform_length};

const CLASSES: [&str; 12] = [
    "c", "cs", "d", "ds", "e", "f", "fs", "g", "gs", "a", "as", "b",
];

/// Power by pitch class, the strongest of each frame 1, and statistics over the clip.
///
/// librosa's convention with windows of at least 80 ms (a power of two) every 20 ms; the tuning is
/// estimated from the clip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chroma;

impl FeatureSet for Chroma {
    fn name(&self) -> &'static str {
        "chroma"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static str {
        "power by pitch class, and its statistics"
    }

    fn descriptor_names(&self) -> Vec<String> {
        CLASSES
            .iter()
            .map(|class| format!("chroma_{class}"))
            .collect()
    }

    fn descriptors(&self, samples: &[f32], sample_rate: u32) -> Result<Descriptors, FeatureError> {
        check(samples, sample_rate)?;
        let n_fft = transform_length(sample_rate, 80);
        let hop_length = sample_rate as usize / 50;
        let stft = StftConfig {
            n_fft,
            win_length: n_fft,
            hop_length,
            center: true,
            padding: Padding::Zero,
        };
        let rows = chroma(samples, sample_rate, &stft, CLASSES.len(), None)?;
        let matrix = FeatureMatrix::new(rows, CLASSES.len())?;
        Ok(Descriptors {
            times_secs: frame_times(matrix.n_frames(), hop_length, sample_rate),
            step_secs: hop_length as f64 / f64::from(sample_rate),
            matrix,
        })
    }
}
