//! What can go wrong in a download.

use std::io;
use std::path::PathBuf;

use crate::CorpusError;

/// What can go wrong in a download.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// The owners of a corpus hand it out themselves.
    #[error("{corpus} cannot be downloaded: {reason}; ask at {page}")]
    Form {
        /// The corpus.
        corpus: &'static str,
        /// Where to ask.
        page: String,
        /// Why.
        reason: String,
    },
    /// The kind names the user's own recordings.
    #[error("{corpus} stands for your own recordings, there is nothing to download")]
    NothingToGet {
        /// The kind.
        corpus: &'static str,
    },
    /// The server answered with an error.
    #[error("{url}: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// HTTP status code.
        status: u16,
    },
    /// The transfer was cut, or the server could not be reached; what has arrived is kept.
    #[error("{url}: transfer failed after {done} bytes, run again to continue: {reason}")]
    Interrupted {
        /// The address.
        url: String,
        /// Bytes that lie in the partial file.
        done: u64,
        /// The reason of the last attempt.
        reason: String,
    },
    /// The content is not what its source publishes.
    #[error("{url}: {kind} differs, expected {expected}, found {actual}")]
    Checksum {
        /// The address.
        url: String,
        /// Which checksum.
        kind: &'static str,
        /// The published one.
        expected: String,
        /// The one of what arrived.
        actual: String,
    },
    /// The size is not what the source or the server states.
    #[error("{url}: expected {expected} bytes, found {actual}")]
    Size {
        /// The address.
        url: String,
        /// Bytes stated.
        expected: u64,
        /// Bytes there.
        actual: u64,
    },
    /// The server's listing cannot be read.
    #[error("{url}: unexpected listing: {reason}")]
    Listing {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A zip file is damaged; it was removed, so the next run fetches it anew.
    #[error("{path}: damaged zip file")]
    Zip {
        /// The file.
        path: PathBuf,
        /// The reader's reason.
        source: zip::result::ZipError,
    },
    /// An archive or listing names a place outside its folder.
    #[error("{archive}: entry \"{entry}\" would leave the folder")]
    UnsafePath {
        /// The archive or address.
        archive: String,
        /// The name.
        entry: String,
    },
    /// An archive claims to unpack to more than allowed.
    #[error("{path}: unpacks to more than {limit} bytes")]
    TooLarge {
        /// The archive.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file that arrived cannot be decoded.
    #[error("{corpus}: {path}: {reason}")]
    Damaged {
        /// The corpus.
        corpus: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The clips on disk are not those the corpus documents.
    #[error("{corpus}: expected {expected} clips, found {found}: {detail}")]
    Incomplete {
        /// The corpus.
        corpus: &'static str,
        /// Documented number.
        expected: usize,
        /// Number found.
        found: usize,
        /// The classes that differ.
        detail: String,
    },
    /// What arrived cannot be scanned.
    #[error("{corpus}: cannot scan what was downloaded")]
    Corpus {
        /// The corpus.
        corpus: &'static str,
        /// The reason.
        source: Box<CorpusError>,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}
