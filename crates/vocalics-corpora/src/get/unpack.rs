//! Unpacks a zip file that may be damaged or hostile.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;

use zip::ZipArchive;

use super::GetError;
use super::transfer::{io, part_name};

/// Unpacks `archive` into `folder` and returns the number of files written.
///
/// Each file is written under another name and renamed when it is whole, so an interrupted run
/// leaves no half file; files that are there with the right size are kept. What macOS adds
/// (`__MACOSX`, `.DS_Store`) is passed over. The CRC of every file is checked.
///
/// # Errors
/// [`GetError::Zip`] for a damaged archive, [`GetError::UnsafePath`] for an entry that would leave
/// the folder or is a link (nothing is written then), [`GetError::TooLarge`] if the entries add up
/// to more than `max_bytes`, [`GetError::Io`].
pub fn unpack(archive: &Path, folder: &Path, max_bytes: u64) -> Result<usize, GetError> {
    let bad = |source| GetError::Zip {
        path: archive.to_path_buf(),
        source,
    };
    let file = File::open(archive).map_err(|e| io("read", archive, e))?;
    let mut zip = ZipArchive::new(file).map_err(bad)?;
    let mut sum = 0_u64;
    for index in 0..zip.len() {
        let entry = zip.by_index(index).map_err(bad)?;
        if entry.enclosed_name().is_none() || entry.is_symlink() {
            return Err(GetError::UnsafePath {
                archive: archive.display().to_string(),
                entry: entry.name().to_owned(),
            });
        }
        sum = sum.saturating_add(entry.size());
    }
    if sum > max_bytes {
        return Err(GetError::TooLarge {
            path: archive.to_path_buf(),
            limit: max_bytes,
        });
    }
    fs::create_dir_all(folder).map_err(|e| io("create", folder, e))?;
    let mut written = 0;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(bad)?;
        let Some(inside) = entry.enclosed_name() else {
            continue;
        };
        let foreign = inside.components().any(|c| {
            let name = c.as_os_str();
            name == "__MACOSX" || name == ".DS_Store"
        });
        if foreign || entry.is_dir() {
            continue;
        }
        let target = folder.join(inside);
        if target
            .metadata()
            .is_ok_and(|m| m.is_file() && m.len() == entry.size())
        {
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(|e| io("create", parent, e))?;
        }
        let part = part_name(&target);
        let mut out = File::create(&part).map_err(|e| io("write", &part, e))?;
        // The header's size is a claim: read one byte more to see whether it holds.
        let claimed = entry.size();
        let mut limited = entry.by_ref().take(claimed.saturating_add(1));
        let copied = copy(&mut limited, &mut out, &part, archive)?;
        if copied > claimed {
            fs::remove_file(&part).map_err(|e| io("remove", &part, e))?;
            return Err(GetError::TooLarge {
                path: archive.to_path_buf(),
                limit: claimed,
            });
        }
        drop(out);
        fs::rename(&part, &target).map_err(|e| io("rename", &part, e))?;
        written += 1;
    }
    Ok(written)
}

/// Copies, telling a damaged archive from a full disk.
fn copy(from: &mut impl Read, to: &mut File, part: &Path, archive: &Path) -> Result<u64, GetError> {
    let mut buffer = vec![0_u8; 64 * 1024];
    let mut copied = 0;
    loop {
        let n = from.read(&mut buffer).map_err(|source| GetError::Zip {
            path: archive.to_path_buf(),
            source: source.into(),
        })?;
        if n == 0 {
            to.sync_all().map_err(|e| io("write", part, e))?;
            return Ok(copied);
        }
        to.write_all(&buffer[..n])
            .map_err(|e| io("write", part, e))?;
        copied += n as u64;
    }
}
