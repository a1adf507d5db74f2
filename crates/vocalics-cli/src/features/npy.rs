//! The table as a NumPy array and an index.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::sheet::{INDEX, PartialSheet, numbers};
use crate::failure::Failure;
use crate::output::Unnamed;

/// Where the index of an array lies: `<name>.index.csv`, with the extension only if it is not `.npy`.
pub(super) fn index_path(array: &Path) -> PathBuf {
    let is_npy = array
        .extension()
        .is_some_and(|text| text.eq_ignore_ascii_case("npy"));
    let stem = if is_npy {
        array.file_stem()
    } else {
        array.file_name()
    };
    let mut name = stem.unwrap_or(OsStr::new("")).to_os_string();
    name.push(".index.csv");
    array.with_file_name(name)
}

/// Writes the values of a finished table as float32 `[n_rows, n_features]`, and its first columns beside
/// them; the table is removed.
///
/// Source: *NPY format*, version 1.0, NumPy Enhancement Proposal 1.
pub(super) fn write(array: &Path, index: &Path, sheet: PartialSheet) -> Result<(), Failure> {
    let failed = |error: csv::Error| Failure::io("read", sheet.path(), &error.into());
    let mut reader = csv::Reader::from_path(sheet.path()).map_err(failed)?;
    let head = reader.headers().map_err(failed)?.clone();
    let n_features = head.len() - INDEX.len();
    let mut n_rows = 0;
    let written_index = Unnamed::written(index, |out| {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(head.iter().take(INDEX.len()))?;
        for record in reader.records() {
            writer.write_record(record?.iter().take(INDEX.len()))?;
            n_rows += 1;
        }
        writer.flush()
    })?;
    let mut reader = csv::Reader::from_path(sheet.path()).map_err(failed)?;
    let written_array = Unnamed::written(array, |out| {
        out.write_all(&header(n_rows, n_features))?;
        for record in reader.records() {
            let values: Vec<f32> = numbers(record?.iter().skip(INDEX.len()))?;
            for value in values {
                out.write_all(&value.to_le_bytes())?;
            }
        }
        Ok(())
    })?;
    // Both are whole before either replaces an older one.
    written_array.name()?;
    written_index.name()?;
    sheet.discard()
}

/// Magic, version, and a description padded so that the values begin at a multiple of 64 bytes.
fn header(n_rows: usize, n_features: usize) -> Vec<u8> {
    const BEFORE: usize = 10;
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({n_rows}, {n_features}), }}");
    let length = (BEFORE + text.len() + 1).next_multiple_of(64) - BEFORE;
    text.push_str(&" ".repeat(length - 1 - text.len()));
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    // A description of two numbers is far below 64 KiB.
    bytes.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_aligned_and_says_the_shape() {
        for (rows, features) in [(0, 1), (7, 88), (1_000_000, 156)] {
            let bytes = header(rows, features);
            assert_eq!(bytes.len() % 64, 0);
            let text = String::from_utf8_lossy(&bytes[10..]);
            assert!(text.contains(&format!("({rows}, {features})")) && text.ends_with('\n'));
        }
    }

    #[test]
    fn every_array_has_an_index_of_its_own() {
        for (array, index) in [
            ("d/x.npy", "d/x.index.csv"),
            ("x.NPY", "x.index.csv"),
            ("run.1", "run.1.index.csv"),
            ("run.2", "run.2.index.csv"),
        ] {
            assert_eq!(index_path(Path::new(array)), Path::new(index));
        }
    }
}
