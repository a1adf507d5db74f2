//! Downloads a corpus from its official address, verified and resumable.
//!
//! A file is fetched into `<name>.part`, continued there with an HTTP range request after a cut or
//! on the next run, checked against the size and checksum its source publishes, and only then given
//! its name. Zip files are unpacked file by file the same way. In the end the corpus is scanned and
//! its clips are counted; where the source publishes no checksum every file is decoded as well.

mod dataverse;
mod error;
mod git_lfs;
mod transfer;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::error::GetError;
pub use self::transfer::{Checksum, Expected, Fetched, agent, fetch};
pub use self::unpack::unpack;
use crate::check::{FindingKind, check_counts};
use crate::corpus::{Archive, CorpusInfo, CorpusKind, CorpusSpec, Download};
use crate::{check, scan};

/// Is told how a download proceeds; `()` ignores it.
pub trait Progress {
    /// A file begins; `total` is its size in bytes if known, `done` what an earlier run left.
    fn begin(&mut self, name: &str, done: u64, total: Option<u64>);
    /// More bytes have arrived.
    fn advance(&mut self, bytes: u64);
    /// The transfer starts over, or pauses before another attempt.
    fn note(&mut self, message: &str);
    /// The file is complete and verified.
    fn end(&mut self);
}

impl Progress for () {
    fn begin(&mut self, _: &str, _: u64, _: Option<u64>) {}
    fn advance(&mut self, _: u64) {}
    fn note(&mut self, _: &str) {}
    fn end(&mut self) {}
}

/// How a download behaves.
#[derive(Debug, Clone)]
pub struct GetOptions {
    /// Attempts per file after which a cut connection or a busy server is an error, default 8. An
    /// attempt that brought bytes does not count.
    pub attempts: u32,
    /// Pause before the second attempt; it doubles with each, up to a minute. Default one second. A
    /// server's `Retry-After` is honoured up to the same minute.
    pub pause: Duration,
    /// Longest silence of a connection, default 60 seconds.
    pub timeout: Duration,
    /// Whether zip files are kept after unpacking, default no.
    pub keep_archives: bool,
    /// Largest sum of unpacked sizes a zip file may hold, default 16 GiB.
    pub max_unpacked_bytes: u64,
}

impl Default for GetOptions {
    fn default() -> Self {
        Self {
            attempts: 8,
            pause: Duration::from_secs(1),
            timeout: Duration::from_secs(60),
            keep_archives: false,
            max_unpacked_bytes: 16 << 30,
        }
    }
}

/// What a download came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetReport {
    /// The folders that now hold the corpus.
    pub folders: Vec<PathBuf>,
    /// Recordings in them.
    pub clips: usize,
    /// Bytes that were transferred; zero if everything was there.
    pub transferred: u64,
    /// How the content was verified, for people.
    pub verified: String,
}

/// Downloads a corpus into folders under `data_root`.
///
/// What is complete already is not fetched again. The licence is the user's affair; it is in
/// [`CorpusInfo::licence`], and callers are expected to show it before they start.
///
/// # Errors
/// [`GetError::Form`] and [`GetError::NothingToGet`] where there is nothing to fetch;
/// [`GetError::Status`], [`GetError::Interrupted`], [`GetError::Checksum`], [`GetError::Size`] for
/// the transfer; [`GetError::Zip`], [`GetError::UnsafePath`] and [`GetError::TooLarge`] for the
/// archive; [`GetError::Incomplete`] if clips are missing in the end; [`GetError::Io`].
pub fn get(
    kind: CorpusKind,
    data_root: &Path,
    options: &GetOptions,
    progress: &mut dyn Progress,
) -> Result<GetReport, GetError> {
    get_from(kind, &kind.info().download, data_root, options, progress)
}

/// As [`get`], from another address: a mirror.
///
/// # Errors
/// As [`get`].
pub fn get_from(
    kind: CorpusKind,
    download: &Download,
    data_root: &Path,
    options: &GetOptions,
    progress: &mut dyn Progress,
) -> Result<GetReport, GetError> {
    let info = kind.info();
    let agent = transfer::agent(options);
    let mut transferred = 0;
    let mut folders = Vec::new();
    let verified = match download {
        Download::Form { page, reason } => {
            return Err(GetError::Form {
                corpus: info.name,
                page: (*page).to_owned(),
                reason: (*reason).to_owned(),
            });
        }
        Download::None => return Err(GetError::NothingToGet { corpus: info.name }),
        Download::Archives(archives) => {
            for archive in *archives {
                let folder = data_root.join(archive.folder);
                if !complete(archive_kind(kind, archive), &folder) {
                    transferred +=
                        get_archive(&agent, archive, data_root, &folder, options, progress)?;
                }
                folders.push(folder);
            }
            if archives.iter().all(|a| a.md5.is_some()) {
                "MD5 of each archive, CRC of each file, number of clips".to_owned()
            } else {
                decode_all(kind, &folders)?;
                "CRC of each file, every file decoded, number of clips".to_owned()
            }
        }
        Download::Dataverse {
            server,
            doi,
            folder,
        } => {
            let folder = data_root.join(folder);
            if !complete(kind, &folder) {
                transferred += dataverse::get(&agent, server, doi, &folder, options, progress)?;
            }
            folders.push(folder);
            "checksum of each file as the server lists it, number of clips".to_owned()
        }
        Download::GitLfs {
            api,
            media,
            branch,
            path,
            folder,
        } => {
            let folder = data_root.join(folder);
            if !complete(kind, &folder) {
                let place = git_lfs::Place {
                    api,
                    media,
                    branch,
                    path,
                };
                transferred += git_lfs::get(&agent, &place, &folder, options, progress)?;
            }
            folders.push(folder);
            "git object id of each file, number of clips".to_owned()
        }
    };
    let mut clips = 0;
    let mut utterances = Vec::new();
    for folder in &folders {
        let found = scan(&CorpusSpec {
            kind,
            root: folder.clone(),
        })
        .map_err(|source| GetError::Corpus {
            corpus: info.name,
            source: Box::new(source),
        })?;
        clips += found.utterances.len();
        utterances.extend(found.utterances);
    }
    let differing = check_counts(&utterances);
    let expected = info.documented_total();
    if !differing.is_empty() || expected.is_some_and(|n| n != clips) {
        return Err(GetError::Incomplete {
            corpus: info.name,
            expected: expected.unwrap_or(0),
            found: clips,
            detail: differing
                .iter()
                .map(|f| f.message.clone())
                .collect::<Vec<_>>()
                .join("; "),
        });
    }
    Ok(GetReport {
        folders,
        clips,
        transferred,
        verified,
    })
}

/// The most specific kind that documents what one archive of a corpus holds.
fn archive_kind(kind: CorpusKind, archive: &Archive) -> CorpusKind {
    CorpusKind::ALL
        .iter()
        .copied()
        .find(|k| k.name() == archive.folder)
        .unwrap_or(kind)
}

/// Whether a folder holds the documented clips of a corpus.
fn complete(kind: CorpusKind, folder: &Path) -> bool {
    let info: &CorpusInfo = kind.info();
    if !folder.is_dir() || info.counts.is_empty() {
        return false;
    }
    scan(&CorpusSpec {
        kind,
        root: folder.to_path_buf(),
    })
    .is_ok_and(|found| {
        Some(found.utterances.len()) == info.documented_total()
            && check_counts(&found.utterances).is_empty()
    })
}

fn get_archive(
    agent: &ureq::Agent,
    archive: &Archive,
    data_root: &Path,
    folder: &Path,
    options: &GetOptions,
    progress: &mut dyn Progress,
) -> Result<u64, GetError> {
    let file = data_root.join(archive.file);
    let expected = Expected {
        bytes: archive.bytes,
        checksum: archive.md5.map(|md5| Checksum::Md5(md5.to_owned())),
    };
    let fetched = fetch(agent, archive.url, &file, &expected, options, progress)?;
    match unpack(&file, folder, options.max_unpacked_bytes) {
        Ok(_) => {}
        Err(error) => {
            if matches!(error, GetError::Zip { .. }) {
                // A damaged archive would fail again on every run.
                remove(&file)?;
            }
            return Err(error);
        }
    }
    if !options.keep_archives {
        remove(&file)?;
    }
    Ok(fetched.transferred)
}

fn remove(file: &Path) -> Result<(), GetError> {
    fs::remove_file(file).map_err(|source| GetError::Io {
        action: "remove",
        path: file.to_path_buf(),
        source,
    })
}

/// Decodes every recording: what stands in for a checksum where the source publishes none.
fn decode_all(kind: CorpusKind, folders: &[PathBuf]) -> Result<(), GetError> {
    for folder in folders {
        let found = scan(&CorpusSpec {
            kind,
            root: folder.clone(),
        })
        .map_err(|source| GetError::Corpus {
            corpus: kind.name(),
            source: Box::new(source),
        })?;
        let report = check(&found.utterances);
        if let Some(bad) = report
            .findings
            .iter()
            .find(|f| matches!(f.kind, FindingKind::Unreadable | FindingKind::Missing))
        {
            return Err(GetError::Damaged {
                corpus: kind.name(),
                path: bad.path.clone().unwrap_or_default(),
                reason: bad.message.clone(),
            });
        }
        let too_short = |secs: f64| secs < 0.2;
        if let Some(clip) = report.clips.iter().find(|c| too_short(c.duration_secs)) {
            return Err(GetError::Damaged {
                corpus: kind.name(),
                path: folder.join(&clip.id),
                reason: format!("lasts {:.3} s, expected at least 0.2 s", clip.duration_secs),
            });
        }
    }
    Ok(())
}
