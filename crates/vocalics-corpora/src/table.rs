//! Tables as people have them: a byte-order mark, commas, semicolons or tabs, padded fields.

use std::fs;
use std::io::Write;
use std::path::Path;

use crate::CorpusError;

/// A table with its header.
#[derive(Debug)]
pub(crate) struct Table {
    /// Column names as written, trimmed.
    pub(crate) header: Vec<String>,
    /// Line in the file, from 1, and the trimmed fields.
    pub(crate) rows: Vec<(u64, Vec<String>)>,
    /// Lines before the header that start with `#`, without it, trimmed.
    pub(crate) comments: Vec<String>,
}

impl Table {
    /// Reads a table; the delimiter is the one of tab, semicolon and comma that the header has most
    /// of. Fields are trimmed, short rows are filled with empty fields, empty lines passed over.
    pub(crate) fn read(path: &Path) -> Result<Self, CorpusError> {
        let bytes = fs::read(path).map_err(|source| CorpusError::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        })?;
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes));
        let mut comments = Vec::new();
        let mut start = 0;
        let mut first_line = 1_u64;
        for line in text.split_inclusive('\n') {
            let Some(comment) = line.trim().strip_prefix('#') else {
                break;
            };
            comments.push(comment.trim().to_owned());
            start += line.len();
            first_line += 1;
        }
        let body = &text[start..];
        let head = body.lines().next().unwrap_or_default();
        let count = |c: char| head.matches(c).count();
        let delimiter = [('\t', b'\t'), (';', b';'), (',', b',')]
            .into_iter()
            .max_by_key(|(c, _)| count(*c))
            .map_or(b',', |(_, d)| d);
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(body.as_bytes());
        let bad = |source| CorpusError::Csv {
            path: path.to_path_buf(),
            source,
        };
        let header: Vec<String> = reader
            .headers()
            .map_err(bad)?
            .iter()
            .map(str::to_owned)
            .collect();
        let mut rows = Vec::new();
        let (mut line, mut counted) = (first_line, 0);
        for record in reader.records() {
            let record = record.map_err(bad)?;
            // The parser's own line number is one short after CRLF and after empty lines.
            let at = record
                .position()
                .map_or(0, |p| usize::try_from(p.byte()).unwrap_or(0));
            let at = at.min(body.len());
            let at = at
                + body.as_bytes()[at..]
                    .iter()
                    .take_while(|b| b"\r\n".contains(b))
                    .count();
            line += body.as_bytes()[counted..at]
                .iter()
                .filter(|b| **b == b'\n')
                .count() as u64;
            counted = at;
            if record.iter().any(|f| !f.is_empty()) {
                let mut fields: Vec<String> = record.iter().map(str::to_owned).collect();
                fields.resize(fields.len().max(header.len()), String::new());
                rows.push((line, fields));
            }
        }
        Ok(Self {
            header,
            rows,
            comments,
        })
    }

    /// Index of the first column with one of the names, compared without case, and with blanks and
    /// hyphens as `_`.
    pub(crate) fn column(&self, names: &[&str]) -> Option<usize> {
        let plain = |s: &str| s.trim().to_lowercase().replace([' ', '-'], "_");
        names
            .iter()
            .find_map(|n| self.header.iter().position(|h| plain(h) == plain(n)))
    }

    /// As [`Table::column`], but it has to be there.
    pub(crate) fn required(&self, path: &Path, names: &[&str]) -> Result<usize, CorpusError> {
        self.column(names)
            .ok_or_else(|| CorpusError::MissingColumn {
                path: path.to_path_buf(),
                column: names.join(", "),
                found: self.header.join(", "),
            })
    }
}

/// Writes a file whole or not at all.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), CorpusError> {
    let io = |source| CorpusError::Io {
        action: "write",
        path: path.to_path_buf(),
        source,
    };
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = std::path::PathBuf::from(part);
    let mut file = fs::File::create(&part).map_err(io)?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(io)?;
    fs::rename(&part, path).map_err(io)
}

/// Rows as CSV.
pub(crate) fn to_csv<'a>(
    path: &Path,
    rows: impl IntoIterator<Item = Vec<std::borrow::Cow<'a, str>>>,
) -> Result<Vec<u8>, CorpusError> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let bad = |source| CorpusError::Csv {
        path: path.to_path_buf(),
        source,
    };
    for row in rows {
        writer
            .write_record(row.iter().map(|f| f.as_bytes()))
            .map_err(bad)?;
    }
    writer.into_inner().map_err(|e| CorpusError::Io {
        action: "write",
        path: path.to_path_buf(),
        source: e.into_error(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_delimiters_comments_and_short_rows_are_coped_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        for (text, line) in [
            (
                "\u{feff}File Name; Emotion\r\n a.wav ; sad \r\n\r\nb.wav\r\n",
                2,
            ),
            ("File Name\tEmotion\na.wav\tsad\nb.wav\n", 2),
            (
                "# a note\n# another\nFile Name,Emotion\na.wav,sad\nb.wav\n",
                4,
            ),
        ] {
            fs::write(&path, text).unwrap();
            let table = Table::read(&path).unwrap();
            assert_eq!(table.column(&["file_name"]), Some(0));
            assert_eq!(
                table.rows[0],
                (line, vec!["a.wav".into(), "sad".into()]),
                "{text}"
            );
            assert_eq!(table.rows[1].1, ["b.wav", ""]);
        }
    }
}
