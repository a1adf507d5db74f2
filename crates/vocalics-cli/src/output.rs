//! Standard output for data, standard error for everything else, and files that are whole or absent.

use std::fs::{self, File};
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Standard output, buffered; [`Write::flush`] after every record that should be seen.
pub(crate) fn data() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Writes all of a text to standard output.
///
/// # Errors
/// [`Failure::ReaderGone`] when nobody reads, else what the system says.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = data();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a value to standard output as indented JSON.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut out = data();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Writes a line to standard error. That nobody hears it is no reason to stop.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// The file that an output goes into, links followed; to be asked before any work.
///
/// # Errors
/// A path that is no regular file and cannot become one, or is one of the recordings.
pub(crate) fn target<'a>(
    path: &Path,
    recordings: impl IntoIterator<Item = &'a Path>,
) -> Result<PathBuf, Failure> {
    let shown = path.display();
    let Some(name) = path.file_name() else {
        return Err(Failure::usage(format!("{shown} names no file"), "name one"));
    };
    let resolved = match fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            let message = format!("{shown} is a folder");
            return Err(Failure::usage(message, "name a file in it"));
        }
        Ok(found) if !found.is_file() => {
            let message = format!("{shown} is no regular file");
            return Err(Failure::usage(message, "name a file"));
        }
        Ok(_) => fs::canonicalize(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::symlink_metadata(path).is_ok() {
                let message = format!("{shown} is a link to nothing");
                return Err(Failure::usage(message, "name a file"));
            }
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            fs::canonicalize(folder).map(|folder| folder.join(name))
        }
        Err(error) => Err(error),
    };
    let resolved = resolved.map_err(|error| Failure::io("write", path, &error))?;
    let is_one = |recording: &Path| fs::canonicalize(recording).is_ok_and(|it| it == resolved);
    if recordings.into_iter().any(is_one) {
        return Err(Failure::usage(
            format!("{shown} is one of the recordings"),
            "name another file",
        ));
    }
    Ok(resolved)
}

/// Lets `write` fill a file beside `target` and then gives it that name, so that nobody meets half of
/// it.
///
/// # Errors
/// What the system says; the partial file is removed then, and an older `target` is untouched.
pub(crate) fn write_beside(
    target: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), Failure> {
    Unnamed::written(target, write)?.name()
}

/// Removes a file, which need not be there.
///
/// # Errors
/// What the system says, except that there is none.
pub(crate) fn remove_if_there(path: &Path) -> Result<(), Failure> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io("remove", path, &error))
        }
        _ => Ok(()),
    }
}

/// A file that is whole and has not its name yet; removed if it does not get it.
#[derive(Debug)]
pub(crate) struct Unnamed {
    partial: PathBuf,
    target: PathBuf,
}

impl Unnamed {
    /// Writes what becomes `target`, beside it.
    ///
    /// # Errors
    /// As [`write_beside`].
    pub(crate) fn written(
        target: &Path,
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<Self, Failure> {
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", std::process::id()));
        let unnamed = Self {
            partial: target.with_file_name(name),
            target: target.to_owned(),
        };
        let written = File::create(&unnamed.partial).and_then(|file| {
            let mut writer = BufWriter::new(file);
            write(&mut writer)?;
            let file = writer
                .into_inner()
                .map_err(io::IntoInnerError::into_error)?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(unnamed),
            Err(error) => Err(Failure::io("write", target, &error)),
        }
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// As [`write_beside`].
    pub(crate) fn name(self) -> Result<(), Failure> {
        fs::rename(&self.partial, &self.target)
            .map_err(|error| Failure::io("write", &self.target, &error))
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        // Once it has its name there is nothing here; and the first error is the one to report.
        let _ = fs::remove_file(&self.partial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &Path, recordings: &[&Path], part: &str) {
        let error = target(path, recordings.iter().copied()).unwrap_err();
        assert!(format!("{error:?}").contains(part), "{error:?}");
    }

    #[test]
    fn only_a_file_of_its_own_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        let clip = inside("clip.wav");
        fs::write(&clip, b"x").unwrap();
        refused(&clip, &[&clip], "one of the recordings");
        let roundabout = inside(".").join("clip.wav");
        refused(&roundabout, &[&clip], "one of the recordings");
        refused(folder.path(), &[], "is a folder");
        refused(&inside(".."), &[], "names no file");
        refused(&inside("none").join("x.csv"), &[], "cannot write");
        let fresh = target(&inside("x.csv"), [clip.as_path()]).unwrap();
        assert_eq!(fresh.file_name(), Some("x.csv".as_ref()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(&clip, inside("link.csv")).unwrap();
            refused(&inside("link.csv"), &[&clip], "one of the recordings");
            let followed = target(&inside("link.csv"), []).unwrap();
            assert_eq!(followed, fs::canonicalize(&clip).unwrap());
            symlink(inside("gone"), inside("dead.csv")).unwrap();
            refused(&inside("dead.csv"), &[], "link to nothing");
            refused(Path::new("/dev/null"), &[], "no regular file");
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        fs::write(&path, b"old").unwrap();
        let failed = write_beside(&path, |out| {
            out.write_all(b"new")?;
            Err(io::Error::other("full"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        write_beside(&path, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }
}
