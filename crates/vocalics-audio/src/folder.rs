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
/// Links are followed, every folder once. Hidden files and folders, `__MACOSX`, pipes and devices are passed over.
///
/// # Errors
/// [`AudioError::Io`] with the first folder that cannot be read.
pub fn recordings(folder: &Path) -> Result<Vec<PathBuf>, AudioError> {
    let Found { files, unreadable } = readable_recordings(folder);
    match unreadable.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(files),
    }
}

/// What there is in a folder.
#[derive(Debug, Default)]
pub struct Found {
    /// The recordings, sorted by path.
    pub files: Vec<PathBuf>,
    /// The folders that cannot be read, it or some in it, and why.
    pub unreadable: Vec<(PathBuf, AudioError)>,
}

/// As [`recordings`], with what can be read where some folders cannot.
#[must_use]
pub fn readable_recordings(folder: &Path) -> Found {
    let mut found = Found::default();
    walk(folder, &mut BTreeSet::new(), &mut found);
    found.files.sort();
    found
}

fn walk(folder: &Path, visited: &mut BTreeSet<PathBuf>, found: &mut Found) {
    let listed = fs::canonicalize(folder).and_then(|name| {
        if !visited.insert(name) {
            return Ok(Vec::new());
        }
        let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
        entries.collect::<Result<Vec<_>, _>>()
    });
    let mut paths = match listed {
        Ok(paths) => paths,
        Err(source) => {
            let name = folder.display().to_string();
            let error = AudioError::Io { name, source };
            found.unreadable.push((folder.to_owned(), error));
            return;
        }
    };
    // Of a folder that is reached twice, the way that is taken is the same on every machine.
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || name == MACOS_FOLDER {
            continue;
        }
        // A link that leads nowhere is a recording that cannot be read; who opens a pipe waits for somebody to write.
        match fs::metadata(&path) {
            Ok(kind) if kind.is_dir() => walk(&path, visited, found),
            Ok(kind) if !kind.is_file() => {}
            _ if is_recording(&path) => found.files.push(path),
            _ => {}
        }
    }
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
    fn what_is_no_file_is_passed_over_and_a_lost_link_is_not() {
        use std::os::unix::fs::symlink;
        let root = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("a.wav")).unwrap();
        symlink(root.path().join("none"), root.path().join("b.wav")).unwrap();
        fs::write(root.path().join("c.wav"), b"").unwrap();
        assert_eq!(names(root.path()), ["b.wav", "c.wav"]);
    }

    #[test]
    fn a_folder_that_cannot_be_read_hides_no_other() {
        let root = tempfile::tempdir().unwrap();
        let clip = root.path().join("z.wav");
        fs::write(&clip, b"").unwrap();
        let (mut visited, mut found) = (BTreeSet::new(), Found::default());
        for folder in [root.path().join("none"), root.path().to_owned()] {
            walk(&folder, &mut visited, &mut found);
        }
        assert_eq!(found.files, [clip]);
        assert_eq!(found.unreadable.len(), 1);
        assert!(found.unreadable[0].0.ends_with("none"));
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
