//! Writing 16-bit PCM WAV files.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::AudioError;
use crate::resample::check_rate;

/// Size of the RIFF, `fmt ` and `data` headers in bytes.
const HEADER_LEN: usize = 44;

/// Writes mono samples as a 16-bit PCM WAV file.
///
/// Values outside [-1, 1) are clipped; `round(x · 32768)` is stored, so 16-bit audio that was read
/// by this crate is written back bit for bit. The file appears under its name only when it is
/// complete: it is written beside it first and then renamed.
///
/// # Errors
/// [`AudioError::NonFinite`] on NaN or infinity, [`AudioError::SampleRate`] for an impossible rate,
/// [`AudioError::TooLarge`] beyond the 4 GiB of the format, [`AudioError::Io`] when writing fails.
///
/// Source: Microsoft and IBM, *Multimedia Programming Interface and Data Specifications 1.0* (RIFF
/// WAVE).
pub fn write_wav16(path: &Path, samples: &[f32], sample_rate: u32) -> Result<(), AudioError> {
    let name = path.display().to_string();
    check_rate(sample_rate, &name)?;
    if let Some(index) = samples.iter().position(|sample| !sample.is_finite()) {
        return Err(AudioError::NonFinite {
            name,
            index: index as u64,
        });
    }
    let max_bytes = u64::from(u32::MAX) - HEADER_LEN as u64;
    let data_len = u32::try_from(samples.len() as u64 * 2)
        .ok()
        .filter(|&len| u64::from(len) <= max_bytes)
        .ok_or_else(|| AudioError::TooLarge {
            name: name.clone(),
            max_bytes,
        })?;

    let partial = partial_path(path);
    let result = write_all(&partial, samples, sample_rate, data_len)
        .and_then(|()| fs::rename(&partial, path));
    result.map_err(|source| {
        // The unfinished file is of no use; the first error is the one to report.
        let _ = fs::remove_file(&partial);
        AudioError::Io { name, source }
    })
}

fn partial_path(path: &Path) -> PathBuf {
    let mut file_name = path.file_name().unwrap_or_default().to_os_string();
    file_name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(file_name)
}

fn write_all(path: &Path, samples: &[f32], sample_rate: u32, data_len: u32) -> std::io::Result<()> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    let mut writer = BufWriter::new(file);
    let mut header = Vec::with_capacity(HEADER_LEN);
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&(data_len + 36).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&1_u16.to_le_bytes()); // PCM
    header.extend_from_slice(&1_u16.to_le_bytes()); // channels
    header.extend_from_slice(&sample_rate.to_le_bytes());
    header.extend_from_slice(&(sample_rate * 2).to_le_bytes()); // bytes per second
    header.extend_from_slice(&2_u16.to_le_bytes()); // bytes per frame
    header.extend_from_slice(&16_u16.to_le_bytes()); // bits per sample
    header.extend_from_slice(b"data");
    header.extend_from_slice(&data_len.to_le_bytes());
    writer.write_all(&header)?;
    for &sample in samples {
        writer.write_all(&to_i16(sample).to_le_bytes())?;
    }
    let file = writer
        .into_inner()
        .map_err(std::io::IntoInnerError::into_error)?;
    file.sync_all()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "clamped to the range of i16 just before"
)]
fn to_i16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}
