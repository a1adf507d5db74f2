//! Finds the recordings under a folder, in the same order on every machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::CorpusError;

/// Whether the file's extension, in any case, is one of audio.
pub(crate) fn is_audio(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| vocalics_audio::EXTENSIONS.contains(&e.to_ascii_lowercase().as_str()))
}

/// All recordings under `root`, sorted by path. Links are followed, each folder once; hidden files
/// and the `__MACOSX` folder that zip files made on macOS contain are passed over.
pub(crate) fn audio_files(root: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let mut files = Vec::new();
    let mut visited = BTreeSet::new();
    walk(root, &mut visited, &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(
    folder: &Path,
    visited: &mut BTreeSet<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> Result<(), CorpusError> {
    let io = |source| CorpusError::Io {
        action: "read",
        path: folder.to_path_buf(),
        source,
    };
    if !visited.insert(fs::canonicalize(folder).map_err(io)?) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        entries.push(entry.map_err(io)?.path());
    }
    entries.sort();
    for path in entries {
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        if path.is_dir() {
            walk(&path, visited, files)?;
        } else if is_audio(&path) {
            files.push(path);
        }
    }
    Ok(())
}

/// The file name without its extension.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walk_is_sorted_and_passes_over_hidden_and_foreign_files() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "b/2.WAV",
            "a/1.flac",
            ".hidden.wav",
            "__MACOSX/x.wav",
            "a/readme.txt",
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let found: Vec<_> = audio_files(root.path())
            .unwrap()
            .iter()
            .map(|p| stem(p))
            .collect();
        assert_eq!(found, ["1", "2"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_back_to_the_parent_does_not_loop() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("1.wav"), b"").unwrap();
        std::os::unix::fs::symlink(root.path(), root.path().join("self")).unwrap();
        assert_eq!(audio_files(root.path()).unwrap().len(), 1);
    }
}
