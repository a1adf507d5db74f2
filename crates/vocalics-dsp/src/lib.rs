//! Pure signal processing on slices: spectra, cepstra, chroma, pitch, formants, voice quality, rhythm,
//! voice activity, noise, level.
//!
//! Everything here is a function of the samples it is given: no files, no threads, no clock, no
//! hidden random numbers, so the crate builds for `wasm32-unknown-unknown` as it is. Samples are
//! mono `f32` with full scale at ±1.0; matrices are row-major `[n_frames, n_values]`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`window`] | analysis windows |
//! | [`frame`] | how a signal is cut into frames: counting, padding |
//! | [`stft`] | the short-time Fourier transform, planned once, no allocation per frame |
//! | [`power_stream`] | the same for a signal that arrives in chunks |
//! | [`windowed_power`] | power spectra of single frames under a symmetric window |
//! | [`mel`] | mel scales and the sparse triangular filterbank |
//! | [`cepstrum`] | from log bands to cepstral coefficients |
//! | [`mfcc`] | cepstral coefficients of clips and streams, conventions of librosa and HTK |
//! | [`chroma`] | power by pitch class |
//! | [`spectral`] | centroid, spread, skewness, kurtosis, roll-off, flatness, entropy |
//! | [`balance`] | slope, alpha ratio, Hammarberg index, flux of a spectrum |
//! | [`harmonics`] | levels of harmonics: H1-H2, H1-A3, formant levels |
//! | [`zero_crossing`] | zero-crossing rate |
//! | [`onset`], [`tempo`] | how much the spectrum rises, and how often |
//! | [`syllable`], [`pause`], [`npvi`] | nuclei and rates, pauses, variability of durations |
//! | [`voice_activity`] | where somebody speaks |
//! | [`noise_estimate`], [`noise_reduction`] | minimum statistics, Wiener filter |
//! | `rnnoise` (with the feature of that name) | noise reduction and voice activity by a small trained network |
//! | [`cube_root`] | a cube root with the same bits on every platform |
//! | [`decibel`] | powers and decibels |
//! | [`logarithm`] | a natural logarithm with the same bits on every platform |
//! | [`delta`] | regression deltas, whole matrix and streaming |
//! | [`trim`] | outer silence, relative to the clip's own level |
//! | [`pitch`] | f0 by autocorrelation with path finding |
//! | [`pyin`] | f0 by probabilistic YIN |
//! | [`cepstral_peak`] | cepstral peak prominence |
//! | [`harmonicity`] | harmonics-to-noise ratio |
//! | [`subharmonic`] | f0 by subharmonic summation with path finding |
//! | [`periods`] | marks, one per glottal period |
//! | [`perturbation`] | jitter and shimmer of the marked periods |
//! | [`period_match`] | jitter and shimmer of each frame by matching the waveform |
//! | [`formant`] | formants by linear prediction |
//! | [`reference_formant`] | what the reference of eGeMAPS calls formants |
//! | [`loudness`] | loudness from an auditory spectrum |
//! | [`intensity`] | sound pressure level |
//! | [`level`] | RMS, peak, clipping, silence, SNR, speech ratio, bandwidth |
//!
//! ```
//! use vocalics_dsp::{mel::{MelFilterbank, MelNorm, MelScale}, stft::{Stft, StftConfig}};
//!
//! let mut stft = Stft::new(&StftConfig { n_fft: 512, win_length: 400, hop_length: 160, ..StftConfig::default() })?;
//! let mel = MelFilterbank::new(16_000, 512, 40, 50.0, 8_000.0, MelScale::Slaney, MelNorm::Slaney)?;
//! let samples: Vec<f32> = (0..16_000u16).map(|n| (f32::from(n) * 0.2).sin()).collect();
//! let mut power = vec![0.0; stft.n_bins()];
//! let mut bands = vec![0.0; mel.n_mels()];
//! for index in 0..stft.n_frames(samples.len()) {
//!     stft.power_frame(&samples, index, &mut power);
//!     mel.apply(&power, &mut bands);
//! }
//! # Ok::<(), vocalics_dsp::DspError>(())
//! ```

mod autocorrelation;
pub mod balance;
pub mod cepstral_peak;
pub mod cepstrum;
pub mod chroma;
mod correlator;
pub mod cube_root;
pub mod decibel;
pub mod delta;
mod error;
pub mod formant;
pub mod frame;
pub mod harmonicity;
pub mod harmonics;
pub mod intensity;
mod interpolate;
pub mod level;
pub mod logarithm;
pub mod loudness;
mod lpc;
pub mod mel;
pub mod mfcc;
pub mod noise_estimate;
pub mod noise_reduction;
pub mod npvi;
pub mod onset;
mod path;
pub mod pause;
pub mod period_match;
pub mod periods;
pub mod perturbation;
pub mod pitch;
pub mod power_stream;
mod prominence;
pub mod pyin;
mod rate;
mod real_power;
pub mod reference_formant;
#[cfg(feature = "rnnoise")]
pub mod rnnoise;
pub mod spectral;
pub mod stft;
pub mod subharmonic;
pub mod syllable;
pub mod tempo;
#[cfg(test)]
mod test_signal;
pub mod trim;
pub mod voice_activity;
pub mod window;
pub mod windowed_power;
pub mod zero_crossing;

pub use error::DspError;
pub use frame::Padding;

/// Largest sample magnitude accepted: 180 dB above full scale.
///
/// Up to here no power spectrum overflows `f32`; anything larger is a decoding fault, not sound.
pub const MAX_SAMPLE: f32 = 1e9;

/// Checks that every sample is finite and within [`MAX_SAMPLE`].
///
/// # Errors
/// [`DspError::NonFinite`] or [`DspError::OutOfRange`] with the first offending index.
pub fn check_samples(samples: &[f32]) -> Result<(), DspError> {
    // One branch per block lets the comparison vectorise; the slow search runs on failure alone.
    let fine = samples.chunks(256).all(|chunk| {
        chunk
            .iter()
            .fold(true, |fine, x| fine & (x.abs() <= MAX_SAMPLE))
    });
    if fine {
        return Ok(());
    }
    for (index, &value) in samples.iter().enumerate() {
        if !value.is_finite() {
            return Err(DspError::NonFinite { index });
        }
        if value.abs() > MAX_SAMPLE {
            return Err(DspError::OutOfRange { index, value });
        }
    }
    Ok(())
}

/// `Σ a[i] · b[i]` over the shorter length, in single precision, eight sums side by side so that it vectorises.
#[must_use]
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, a_rest) = a[..n].as_chunks::<8>();
    let (b, b_rest) = b[..n].as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// Rounds to `f32`: the one place where signal processing and features give up `f64` precision.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to f32 is what is asked for"
)]
pub fn narrow(value: f64) -> f32 {
    value as f32
}

/// The whole number at or below a value, as an index; 0 for what is negative or NaN.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and callers bound the index"
)]
pub fn floor_index(value: f64) -> usize {
    value as usize
}

/// Mean of the values there are; `None` if there is none.
pub(crate) fn mean_of_present(values: &[Option<f32>]) -> Option<f32> {
    let present = values.iter().flatten();
    let (sum, count) = present.fold((0.0, 0_u32), |(sum, count), x| {
        (sum + f64::from(*x), count + 1)
    });
    (count > 0).then(|| narrow(sum / f64::from(count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_out_of_bounds_are_named_by_index() {
        assert!(check_samples(&[]).is_ok());
        assert!(check_samples(&[0.0, -1.0, MAX_SAMPLE]).is_ok());
        let mut samples = vec![0.0; 1000];
        samples[700] = f32::NAN;
        assert!(matches!(
            check_samples(&samples),
            Err(DspError::NonFinite { index: 700 })
        ));
        samples[300] = f32::NEG_INFINITY;
        assert!(matches!(
            check_samples(&samples),
            Err(DspError::NonFinite { index: 300 })
        ));
        samples[2] = -2e9;
        assert!(matches!(
            check_samples(&samples),
            Err(DspError::OutOfRange { index: 2, .. })
        ));
    }
}
