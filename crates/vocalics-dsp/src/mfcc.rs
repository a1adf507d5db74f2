//! Mel-frequency cepstral coefficients, in the conventions of librosa and of HTK.

use serde::{Deserialize, Serialize};

use crate::cepstrum::check_coefficients;
use crate::check_samples;
use crate::decibel::{POWER_FLOOR, check_range, limit_range, no_range_in_stream, power_db};
use crate::error::DspError;
use crate::frame::{Padding, check_rate, hop_of_10_ms};
use crate::logarithm::ln;
use crate::mel::{MelFilterbank, MelNorm, MelScale, check_edges};
use crate::power_stream::PowerStream;
use crate::stft::{LANES, Stft, StftConfig};

pub use crate::cepstrum::{CepstralConvention, Cepstrum};

/// Configuration of [`Mfcc`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MfccConfig {
    /// Rate of the samples in hertz.
    pub sample_rate: u32,
    /// Transform, window and hop.
    pub stft: StftConfig,
    /// Number of mel bands.
    pub n_mels: usize,
    /// Lower edge of the lowest band in hertz.
    pub fmin: f32,
    /// Upper edge of the highest band in hertz.
    pub fmax: f32,
    /// Coefficients kept, the 0th included.
    pub n_mfcc: usize,
    /// Length of the sinusoidal lifter; 0 for none.
    pub lifter: f32,
    /// Log bands more than this many decibels below the clip's strongest are raised to that level; `None`,
    /// needed for streaming and for HTK's convention, leaves them.
    pub top_db: Option<f32>,
    /// Whose definition.
    pub convention: CepstralConvention,
}

impl MfccConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`DspError::Parameter`] unless `sample_rate` is 100 to 768000 Hz, `top_db` is above 0 or `None`, which
    /// it is with HTK's convention, `n_mels` 1 to 16384, `1 ≤ n_mfcc ≤ n_mels`, `lifter` finite and 0 or
    /// more, and `0 ≤ fmin < fmax ≤ sample_rate / 2`; as [`StftConfig::validate`].
    pub fn validate(&self) -> Result<(), DspError> {
        let rate = check_rate(self.sample_rate)?;
        self.stft.validate()?;
        check_coefficients(self.n_mels, self.n_mfcc, self.lifter)?;
        check_edges(rate, self.fmin, self.fmax)?;
        check_range(self.top_db)?;
        match (self.convention, self.top_db) {
            (CepstralConvention::Htk, Some(top_db)) => {
                let expected = "none with HTK's convention";
                Err(DspError::parameter("top_db", expected, top_db))
            }
            _ => Ok(()),
        }
    }

    /// The defaults of `librosa.feature.mfcc`: 20 coefficients of 128 bands up to half the sample
    /// rate, transform of 2048 samples, hop of 512, 80 dB range.
    #[must_use]
    pub fn librosa(sample_rate: u32) -> Self {
        Self {
            sample_rate,
            stft: StftConfig {
                n_fft: 2048,
                win_length: 2048,
                hop_length: 512,
                center: true,
                padding: Padding::Zero,
            },
            n_mels: 128,
            fmin: 0.0,
            fmax: sample_rate as f32 / 2.0,
            n_mfcc: 20,
            lifter: 0.0,
            top_db: Some(80.0),
            convention: CepstralConvention::Librosa,
        }
    }

    /// What is usual with HTK: 13 coefficients of 26 bands up to half the sample rate, windows of
    /// 25 ms every 10 ms, lifter 22. The window is Hann, without pre-emphasis.
    #[must_use]
    pub fn htk(sample_rate: u32) -> Self {
        let win_length = usize::try_from(sample_rate / 40)
            .unwrap_or(usize::MAX)
            .max(2);
        Self {
            sample_rate,
            stft: StftConfig {
                n_fft: win_length.next_power_of_two(),
                win_length,
                hop_length: hop_of_10_ms(sample_rate),
                center: false,
                padding: Padding::Zero,
            },
            n_mels: 26,
            fmin: 0.0,
            fmax: sample_rate as f32 / 2.0,
            n_mfcc: 13,
            lifter: 22.0,
            top_db: None,
            convention: CepstralConvention::Htk,
        }
    }
}

/// From power spectra to log bands to coefficients.
#[derive(Debug, Clone)]
struct Rows {
    mel: MelFilterbank,
    cepstrum: Cepstrum,
    convention: CepstralConvention,
}

impl Rows {
    fn new(config: &MfccConfig) -> Result<Self, DspError> {
        let (scale, norm) = match config.convention {
            CepstralConvention::Librosa => (MelScale::Slaney, MelNorm::Slaney),
            CepstralConvention::Htk => (MelScale::Htk, MelNorm::None),
        };
        Ok(Self {
            mel: MelFilterbank::new(
                config.sample_rate,
                config.stft.n_fft,
                config.n_mels,
                config.fmin,
                config.fmax,
                scale,
                norm,
            )?,
            cepstrum: Cepstrum::new(
                config.n_mels,
                config.n_mfcc,
                config.lifter,
                config.convention,
            )?,
            convention: config.convention,
        })
    }

    /// Log bands of `L` spectra side by side; `power` is used up.
    fn log_bands<const L: usize>(&self, power: &mut [[f32; L]], bands: &mut [[f32; L]]) {
        if self.convention == CepstralConvention::Htk {
            for value in power.as_flattened_mut() {
                *value = value.sqrt();
            }
        }
        self.mel.apply_lanes(power, bands);
        for value in bands.as_flattened_mut() {
            *value = match self.convention {
                CepstralConvention::Librosa => power_db(*value),
                CepstralConvention::Htk => ln(value.max(POWER_FLOOR)),
            };
        }
    }
}

/// Mel-frequency cepstral coefficients of whole clips: planned once, used for many.
///
/// On silence the 0th coefficient is that of bands all at the floor (−100 dB for librosa's
/// convention, `ln 1e-10` for HTK's), the others are 0 within rounding. A clip shorter than the window
/// is padded when centred and gives no frame otherwise.
///
/// # Shapes
/// `[n_samples]` to `[n_frames, n_mfcc]`.
///
/// Reference: `librosa.feature.mfcc` (librosa's convention; `lifter` as there), within 1e-3 of the
/// largest coefficient.
#[derive(Debug, Clone)]
pub struct Mfcc {
    config: MfccConfig,
    stft: Stft,
    rows: Rows,
    power: Vec<[f32; LANES]>,
    bands: Vec<[f32; LANES]>,
}

impl Mfcc {
    /// Plans the transform, the filters and the basis.
    ///
    /// # Errors
    /// As [`MfccConfig::validate`].
    pub fn new(config: MfccConfig) -> Result<Self, DspError> {
        config.validate()?;
        let stft = Stft::new(&config.stft)?;
        Ok(Self {
            rows: Rows::new(&config)?,
            power: vec![[0.0; LANES]; stft.n_bins()],
            bands: vec![[0.0; LANES]; config.n_mels],
            stft,
            config,
        })
    }

    /// The configuration this was made from.
    #[must_use]
    pub fn config(&self) -> &MfccConfig {
        &self.config
    }

    /// Coefficients, row-major `[n_frames, n_mfcc]`.
    ///
    /// # Errors
    /// As [`check_samples`].
    pub fn compute(&mut self, samples: &[f32]) -> Result<Vec<f32>, DspError> {
        check_samples(samples)?;
        let n_mels = self.config.n_mels;
        let n_frames = self.stft.n_frames(samples.len());
        let mut log_bands = vec![0.0; n_frames * n_mels];
        let mut position = 0;
        for block in log_bands.chunks_mut(LANES * n_mels) {
            let count = block.len() / n_mels;
            self.stft
                .power_lanes(samples, position, count, &mut self.power);
            self.rows.log_bands(&mut self.power, &mut self.bands);
            for (lane, row) in block.chunks_exact_mut(n_mels).enumerate() {
                for (value, band) in row.iter_mut().zip(&self.bands) {
                    *value = band[lane];
                }
            }
            position += LANES * self.config.stft.hop_length;
        }
        limit_range(&mut log_bands, self.config.top_db);
        let n_mfcc = self.config.n_mfcc;
        let mut coefficients = vec![0.0; n_frames * n_mfcc];
        for (row, out) in log_bands
            .chunks_exact(n_mels)
            .zip(coefficients.chunks_exact_mut(n_mfcc))
        {
            self.rows.cepstrum.apply(row, out);
        }
        Ok(coefficients)
    }
}

/// Coefficients chunk by chunk, with the same bits as [`Mfcc`] on the whole.
///
/// Look-ahead: `n_fft / 2` samples beyond a frame's centre, none beyond its end.
#[derive(Debug, Clone)]
pub struct MfccStream {
    power: PowerStream,
    rows: Rows,
    spectrum: Vec<[f32; 1]>,
    bands: Vec<[f32; 1]>,
    coefficients: Vec<f32>,
}

impl MfccStream {
    /// Plans the transform, the filters and the basis.
    ///
    /// # Errors
    /// As [`Mfcc::new`]; [`DspError::Parameter`] if `top_db` is set, which needs the whole clip.
    pub fn new(config: &MfccConfig) -> Result<Self, DspError> {
        config.validate()?;
        no_range_in_stream(config.top_db)?;
        let power = PowerStream::new(&config.stft)?;
        Ok(Self {
            rows: Rows::new(config)?,
            spectrum: vec![[0.0]; power.n_bins()],
            bands: vec![[0.0]; config.n_mels],
            coefficients: vec![0.0; config.n_mfcc],
            power,
        })
    }

    /// Takes samples in and calls `each` with every row `[n_mfcc]` they complete.
    ///
    /// # Errors
    /// As [`check_samples`]; the chunk is then not taken in.
    pub fn push(&mut self, samples: &[f32], mut each: impl FnMut(&[f32])) -> Result<(), DspError> {
        let Self {
            power,
            rows,
            spectrum,
            bands,
            coefficients,
        } = self;
        power.push(samples, |frame| {
            row(rows, frame, spectrum, bands, coefficients);
            each(coefficients);
        })
    }

    /// Ends the stream: the rows still owed. The stream starts afresh.
    pub fn finish(&mut self, mut each: impl FnMut(&[f32])) {
        let Self {
            power,
            rows,
            spectrum,
            bands,
            coefficients,
        } = self;
        power.finish(|frame| {
            row(rows, frame, spectrum, bands, coefficients);
            each(coefficients);
        });
    }
}

fn row(
    rows: &Rows,
    power: &[f32],
    spectrum: &mut [[f32; 1]],
    bands: &mut [[f32; 1]],
    coefficients: &mut [f32],
) {
    spectrum.as_flattened_mut().copy_from_slice(power);
    rows.log_bands(spectrum, bands);
    rows.cepstrum.apply(bands.as_flattened(), coefficients);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_stream::tests::chunked;

    #[test]
    fn silence_short_and_bad_input_are_defined() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            for config in [MfccConfig::librosa(rate), MfccConfig::htk(rate)] {
                let mut mfcc = Mfcc::new(config.clone()).unwrap();
                assert!(mfcc.compute(&[]).unwrap().is_empty());
                assert!(matches!(
                    mfcc.compute(&[0.0, f32::NAN]),
                    Err(DspError::NonFinite { index: 1 })
                ));
                let silence = mfcc.compute(&vec![0.0; rate as usize]).unwrap();
                let (floor, scale) = match config.convention {
                    CepstralConvention::Librosa => (-100.0, 128.0_f32.sqrt()),
                    CepstralConvention::Htk => (1e-10_f32.ln(), (2.0_f32 * 26.0).sqrt()),
                };
                for row in silence.chunks(config.n_mfcc) {
                    assert!((row[0] - floor * scale).abs() < 1e-2, "{}", row[0]);
                    assert!(row[1..].iter().all(|c| c.abs() < 1e-2));
                }
                let constant = mfcc.compute(&vec![0.7; rate as usize]).unwrap();
                assert!(constant.iter().all(|c| c.is_finite()));
                let short = mfcc.compute(&[0.1; 50]).unwrap();
                assert_eq!(
                    short.len(),
                    if config.stft.center { config.n_mfcc } else { 0 }
                );
            }
        }
    }

    #[test]
    fn senseless_parameters_are_refused() {
        let base = MfccConfig::librosa(16_000);
        for bad in [
            MfccConfig {
                n_mfcc: 0,
                ..base.clone()
            },
            MfccConfig {
                n_mfcc: 129,
                ..base.clone()
            },
            MfccConfig {
                lifter: -1.0,
                ..base.clone()
            },
            MfccConfig {
                lifter: f32::NAN,
                ..base.clone()
            },
            MfccConfig {
                top_db: Some(0.0),
                ..base.clone()
            },
            MfccConfig {
                fmax: 9_000.0,
                ..base.clone()
            },
            MfccConfig {
                stft: StftConfig {
                    hop_length: usize::MAX,
                    ..StftConfig::default()
                },
                ..base.clone()
            },
            MfccConfig {
                top_db: Some(80.0),
                ..MfccConfig::htk(16_000)
            },
            MfccConfig::htk(u32::MAX),
            MfccConfig::htk(0),
        ] {
            assert!(Mfcc::new(bad.clone()).is_err(), "{bad:?}");
            assert!(MfccStream::new(&bad).is_err(), "{bad:?}");
        }
        assert!(MfccStream::new(&base).is_err());
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(32))]

        #[test]
        fn streaming_equals_batch(
            samples in proptest::collection::vec(-1.0_f32..1.0, 0..4000),
            lengths in proptest::collection::vec(0_usize..900, 1..5),
            htk in proptest::bool::ANY,
        ) {
            let config = if htk {
                MfccConfig::htk(16_000)
            } else {
                MfccConfig { top_db: None, ..MfccConfig::librosa(16_000) }
            };
            let batch = Mfcc::new(config.clone()).unwrap().compute(&samples).unwrap();
            let mut stream = MfccStream::new(&config).unwrap();
            let mut streamed = Vec::new();
            for chunk in chunked(&samples, &lengths) {
                stream.push(chunk, |row| streamed.extend_from_slice(row)).unwrap();
            }
            stream.finish(|row| streamed.extend_from_slice(row));
            proptest::prop_assert_eq!(streamed, batch);
        }
    }
}
