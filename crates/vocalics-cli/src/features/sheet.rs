//! The table of features as CSV, and the file it grows in.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Rows;
use crate::failure::Failure;
use crate::output::remove_if_there;

/// The columns before the features.
pub(super) const INDEX: [&str; 3] = ["file", "start", "end"];

/// As it came, so that a reader who leaves is told from a full disk.
fn csv_failed(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        kind => io::Error::other(format!("{kind:?}")),
    }
}

/// Writes the names of the columns.
pub(super) fn write_head(out: &mut impl Write, names: &[String]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    let columns = INDEX.into_iter().chain(names.iter().map(String::as_str));
    writer.write_record(columns).map_err(csv_failed)?;
    writer.flush()
}

/// Writes the lines of a recording. Values are as short as tells them apart from any other `f32`.
pub(super) fn write_rows(out: &mut impl Write, file: &str, rows: &Rows) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    for ((start, end), values) in rows.spans_secs.iter().zip(rows.values.rows()) {
        writer.write_field(file).map_err(csv_failed)?;
        for secs in [start, end] {
            let cell = format!("{secs:.6}");
            writer.write_field(cell).map_err(csv_failed)?;
        }
        for value in values {
            writer.write_field(value.to_string()).map_err(csv_failed)?;
        }
        writer.write_record(None::<&[u8]>).map_err(csv_failed)?;
    }
    writer.flush()
}

/// Numbers of the cells of a column.
pub(super) fn numbers<'a, T: std::str::FromStr>(
    cells: impl Iterator<Item = &'a str>,
) -> io::Result<Vec<T>> {
    let number = |cell: &str| {
        cell.parse()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    };
    cells.map(number).collect()
}

/// What tells a file from every other of its name: where it lies, its length, and when it was written. `None` if that cannot be found out.
pub(super) fn identity(path: &Path) -> Option<String> {
    let place = fs::canonicalize(path).ok()?;
    let found = fs::metadata(path).ok()?;
    let written = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(format!("{place:?} {} {}", found.len(), written.as_nanos()))
}

/// A table under way, beside the file it becomes, with what an earlier run left in it. No other run
/// writes to it at the same time. A list beside it says which files its recordings were.
#[derive(Debug)]
pub(super) struct PartialSheet {
    path: PathBuf,
    target: PathBuf,
    out: BufWriter<File>,
    head: Vec<u8>,
    /// Bytes of the file that are kept; 0 for a new table.
    kept: u64,
    done: Vec<String>,
    /// Of each recording in the table, which file it was.
    identities: BTreeMap<String, String>,
}

impl PartialSheet {
    /// Opens or creates the table that becomes `target`, and looks at what is in it. Lines of the last
    /// recording in it do not count, since nobody knows whether they are all. Nothing is changed before
    /// [`resume`](Self::resume) or [`restart`](Self::restart).
    pub(super) fn open(target: &Path, tag: &str, names: &[String]) -> Result<Self, Failure> {
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{tag}.part"));
        let path = target.with_file_name(name);
        let failed = |error: &io::Error| Failure::io("write", &path, error);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| failed(&error))?;
        match file.try_lock() {
            // Where nothing can be locked, nothing is.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => return Err(busy(&path)),
        }
        // Another run may have given it its name between opening and locking.
        if !path.exists() {
            return Err(busy(&path));
        }
        let mut head = Vec::new();
        write_head(&mut head, names)?;
        let (kept, done) = whole_recordings(&file, &head).map_err(|error| failed(&error))?;
        let list = fs::read_to_string(list_path(&path)).unwrap_or_default();
        // A line that was cut says nothing; of two about one name the later holds.
        let lines = list.lines().filter_map(|it| serde_json::from_str(it).ok());
        Ok(Self {
            out: BufWriter::new(file),
            target: target.to_owned(),
            path,
            head,
            kept,
            done,
            identities: lines.collect(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Recordings that are in the table already, in their order.
    pub(super) fn done(&self) -> &[String] {
        &self.done
    }

    /// Which file a recording of the table was.
    pub(super) fn identity(&self, file: &str) -> Option<&str> {
        self.identities.get(file).map(String::as_str)
    }

    /// Cuts off what is not whole and goes on behind the rest.
    pub(super) fn resume(&mut self) -> Result<(), Failure> {
        let (head, kept) = (&self.head, self.kept);
        let file = self.out.get_mut();
        let ready = file
            .set_len(kept)
            .and_then(|()| file.seek(SeekFrom::Start(kept)))
            .and_then(|_| {
                if kept == 0 {
                    file.write_all(head)
                } else {
                    Ok(())
                }
            });
        ready.map_err(|error| Failure::io("write", &self.path, &error))
    }

    /// Drops everything and begins the table anew.
    pub(super) fn restart(&mut self) -> Result<(), Failure> {
        self.kept = 0;
        self.done.clear();
        self.identities.clear();
        self.forget()?;
        self.resume()
    }

    /// Adds a recording, which is the file that `identity` tells.
    pub(super) fn append(
        &mut self,
        file: &str,
        identity: Option<&str>,
        rows: &Rows,
    ) -> Result<(), Failure> {
        write_rows(&mut self.out, file, rows)
            .and_then(|()| self.out.flush())
            .and_then(|()| self.list(file, identity))
            .map_err(|error| Failure::io("write", &self.path, &error))
    }

    fn list(&self, file: &str, identity: Option<&str>) -> io::Result<()> {
        let Some(identity) = identity else {
            return Ok(());
        };
        let mut list = OpenOptions::new()
            .create(true)
            .append(true)
            .open(list_path(&self.path))?;
        let line = serde_json::to_string(&(file, identity))?;
        list.write_all(format!("{line}\n").as_bytes())
    }

    /// Removes the list.
    fn forget(&self) -> Result<(), Failure> {
        remove_if_there(&list_path(&self.path))
    }

    /// Gives the table its name.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let file = self.out.get_ref();
        file.sync_all()
            .and_then(|()| fs::rename(&self.path, &self.target))
            .map_err(|error| Failure::io("write", &self.target, &error))?;
        self.forget()
    }

    /// Removes the table.
    pub(super) fn discard(self) -> Result<(), Failure> {
        fs::remove_file(&self.path).map_err(|error| Failure::io("remove", &self.path, &error))?;
        self.forget()
    }
}

/// The list beside a table under way.
fn list_path(table: &Path) -> PathBuf {
    let mut name = table.as_os_str().to_owned();
    name.push(".files");
    name.into()
}

fn busy(path: &Path) -> Failure {
    Failure::new(
        format!("another run writes to {}", path.display()),
        "wait for its end, or name another file",
    )
}

/// Length in bytes of the part of a table that holds whole recordings for sure, and their names; 0 if it
/// is no such table.
fn whole_recordings(mut file: impl Read, head: &[u8]) -> io::Result<(u64, Vec<String>)> {
    let mut begin = Vec::new();
    file.by_ref()
        .take(head.len() as u64)
        .read_to_end(&mut begin)?;
    if begin != head {
        return Ok((0, Vec::new()));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // The last line may be cut.
        .flexible(true)
        .from_reader(BufReader::new(file));
    let head_length = head.len() as u64;
    let mut done = Vec::new();
    let mut last: Option<String> = None;
    let mut kept = head_length;
    let mut record = csv::StringRecord::new();
    loop {
        let start = reader.position().byte();
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            // Not text: the rest of a cut line on a damaged disk, say.
            Err(error) if !matches!(error.kind(), csv::ErrorKind::Io(_)) => break,
            Err(error) => return Err(error.into()),
        }
        let name = record.get(0).unwrap_or_default();
        if last.as_deref() != Some(name) {
            kept = head_length + start;
            done.extend(last.replace(name.to_owned()));
        }
    }
    Ok((kept, done))
}

#[cfg(test)]
mod tests {
    use vocalics_features::FeatureMatrix;

    use super::*;

    fn rows(values: &[f32]) -> Rows {
        let spans = (0..values.len()).map(|i| (i as f64 / 100.0, (i + 1) as f64 / 100.0));
        Rows {
            spans_secs: spans.collect(),
            values: FeatureMatrix::new(values.to_vec(), 1).unwrap(),
        }
    }

    fn open(target: &Path) -> Result<PartialSheet, Failure> {
        PartialSheet::open(target, "t-v1", &["x".to_owned()])
    }

    #[test]
    fn what_was_stopped_goes_on_with_the_last_recording() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.csv");
        let mut sheet = open(&target).unwrap();
        sheet.resume().unwrap();
        for file in ["a, \"1\".wav", "b.wav", "c.wav"] {
            sheet.append(file, Some("1"), &rows(&[1.5, 0.1])).unwrap();
        }
        // Cut in the middle of a line.
        let length = sheet.out.get_ref().metadata().unwrap().len();
        sheet.out.get_ref().set_len(length - 3).unwrap();
        let part = sheet.path().to_owned();
        drop(sheet);
        // Looking changes nothing.
        drop(open(&target).unwrap());
        assert_eq!(fs::metadata(&part).unwrap().len(), length - 3);
        let mut sheet = open(&target).unwrap();
        assert_eq!(sheet.done(), ["a, \"1\".wav", "b.wav"]);
        assert_eq!(sheet.identity("a, \"1\".wav"), Some("1"));
        assert_eq!(sheet.identity("d.wav"), None);
        sheet.resume().unwrap();
        sheet.append("c.wav", None, &rows(&[2.5])).unwrap();
        sheet.finish().unwrap();
        let text = fs::read_to_string(&target).unwrap();
        let expected = "file,start,end,x\n\
            \"a, \"\"1\"\".wav\",0.000000,0.010000,1.5\n\
            \"a, \"\"1\"\".wav\",0.010000,0.020000,0.1\n\
            b.wav,0.000000,0.010000,1.5\nb.wav,0.010000,0.020000,0.1\n\
            c.wav,0.000000,0.010000,2.5\n";
        assert_eq!(text, expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_runs_do_not_write_to_one_table() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.csv");
        let first = open(&target).unwrap();
        let error = open(&target).unwrap_err();
        assert!(format!("{error:?}").contains("another run"), "{error:?}");
        drop(first);
        assert!(open(&target).is_ok());
    }

    #[test]
    fn a_table_of_something_else_is_started_anew() {
        let found = whole_recordings(&b"file,start,end,y\na,0,1,2\n"[..], b"file,start,end,x\n");
        assert_eq!(found.unwrap(), (0, Vec::new()));
    }
}
