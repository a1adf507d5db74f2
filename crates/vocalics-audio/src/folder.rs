//! The recordings in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::AudioError;

/// File-name extensions, in lower case, that are taken up when a directory is walked.
///
/// A file given by its own path is opened whatever it is called.
pub const EXTENSIONS: &[&str] = &[
    "wav", "wave", "flac", "mp3", "mp2", "m4a", "m4b", "mp4", "aac", "ogg", "oga", "opus", "webm",
    "weba", "mka", "mkv", "aif", "aiff", "aifc", "caf",
];

/// Folder that archives made on macOS bring along; its files have the names of recordings and hold none.
const MACOS_FOLDER: &str = "__MACOSX";

/// Whether the extension, in any case, is one of [`EXTENSIONS`].
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|text| EXTENSIONS.contains(&text.to_ascii_lowercase().as_str()))
}

/// All recordings under a folder by their extension, sorted by path; none is no error.
///
/// Links are followed, every folder once. Hidden files and folders and `__MACOSX` are passed over.
///
/// # Errors
/// [`AudioError::Io`] with the first folder that cannot be read.
pub fn recordings(folder: &Path) -> Result<Vec<PathBuf>, AudioError> {
    let mut files = Vec::new();
    walk(folder, &mut BTreeSet::new(), &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(
    folder: &Path,
    visited: &mut BTreeSet<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> Result<(), AudioError> {
    let failed = |source| AudioError::Io {
        name: folder.display().to_string(),
        source,
    };
    if !visited.insert(fs::canonicalize(folder).map_err(failed)?) {
        return Ok(());
    }
    let entries = fs::read_dir(folder).map_err(failed)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    // Of a folder that is reached twice, the way that is taken is the same on every machine.
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == MACOS_FOLDER {
            continue;
        }
        if path.is_dir() {
            walk(&path, visited, files)?;
        } else if is_recording(&path) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let found = recordings(root).unwrap();
        let inside = found.iter().map(|path| path.strip_prefix(root).unwrap());
        inside.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn a_folder_is_walked_in_order_without_hidden_and_foreign_files() {
        let root = tempfile::tempdir().unwrap();
        for name in [
            "b/2.WAV",
            "a/1.flac",
            "a.wav",
            ".hidden.wav",
            ".trash/0.wav",
            "__MACOSX/x.wav",
            "a/readme.txt",
            "wav",
        ] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let expected = ["a/1.flac", "a.wav", "b/2.WAV"]
            .map(|name| name.replace('/', std::path::MAIN_SEPARATOR_STR));
        assert_eq!(names(root.path()), expected);
        let missing = recordings(&root.path().join("none")).unwrap_err();
        assert!(matches!(missing, AudioError::Io { .. }));
        assert!(missing.to_string().contains("none"), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once() {
        use std::os::unix::fs::symlink;
        let (root, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(root.path().join("1.wav"), b"").unwrap();
        fs::write(other.path().join("2.wav"), b"").unwrap();
        symlink(root.path(), root.path().join("self")).unwrap();
        symlink(other.path(), root.path().join("a")).unwrap();
        symlink(other.path(), root.path().join("b")).unwrap();
        assert_eq!(names(root.path()), ["1.wav", "a/2.wav"]);
    }
}
