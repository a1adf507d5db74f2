//! Files that are either complete or absent.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::EvalError;

/// Writes `bytes` beside `path`, flushes them to disk and renames them into place, so that a reader (or a
/// crash) never meets half a file. On failure the partial file is removed and an older `path` is untouched.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    let io = |source| EvalError::Io {
        action: "write",
        path: path.to_path_buf(),
        source,
    };
    let mut name = path
        .file_name()
        .ok_or_else(|| io(std::io::Error::from(std::io::ErrorKind::InvalidFilename)))?
        .to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let partial = path.with_file_name(name);
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    });
    written.map_err(|source| {
        // The partial file may not exist; the error worth reporting is the first one.
        let _ = std::fs::remove_file(&partial);
        io(source)
    })
}
