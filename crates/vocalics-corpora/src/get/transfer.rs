//! One file over HTTP: continued where it stopped, verified before it gets its name.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{GetError, GetOptions, Progress};
use crate::manifest::hex;

/// A published checksum, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checksum {
    /// MD5 of the content.
    Md5(String),
    /// SHA-1 of the content.
    Sha1(String),
    /// SHA-256 of the content.
    Sha256(String),
    /// Object id of the content in git, or of the Git LFS pointer that stands for it.
    GitObject(String),
}

/// What is known of a file before it is fetched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Size in bytes.
    pub bytes: Option<u64>,
    /// Checksum.
    pub checksum: Option<Checksum>,
}

/// What a fetch came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Bytes transferred now; zero if the file was there.
    pub transferred: u64,
}

/// The HTTP client of a download.
#[must_use]
pub fn agent(options: &GetOptions) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .user_agent(concat!("vocalics/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(options.timeout))
        .timeout_recv_response(Some(options.timeout))
        .build()
        .into()
}

/// How one attempt ended.
enum Attempt {
    Complete,
    /// Worth another attempt: the reason and the server's wish for a pause.
    Again(String, Option<Duration>),
}

/// Fetches `url` into `file`.
///
/// A file that is there and verifies is left alone; one that does not is fetched anew. Redirections
/// are followed.
///
/// # Errors
/// [`GetError::Status`] at once for an answer that another attempt cannot change (404, 403, ...);
/// [`GetError::Interrupted`] when the attempts are used up, the partial file is kept;
/// [`GetError::Checksum`] and [`GetError::Size`] if the content is not the published one, the
/// partial file is then removed; [`GetError::Io`].
pub fn fetch(
    agent: &ureq::Agent,
    url: &str,
    file: &Path,
    expected: &Expected,
    options: &GetOptions,
    progress: &mut dyn Progress,
) -> Result<Fetched, GetError> {
    if file.is_file() && verify(url, file, expected).is_ok() {
        return Ok(Fetched { transferred: 0 });
    }
    let part = part_name(file);
    if let Some(parent) = file.parent() {
        fs::create_dir_all(parent).map_err(|e| io("create", parent, e))?;
    }
    let mut transferred = 0;
    let mut failures = 0;
    let mut pause = options.pause;
    // How far the file has come in any attempt: a server that starts over each time must not pass
    // for progress.
    let mut furthest = size(&part);
    loop {
        let outcome = attempt(
            agent,
            url,
            &part,
            expected,
            options,
            progress,
            &mut transferred,
        )?;
        let (reason, wish) = match outcome {
            Attempt::Complete => break,
            Attempt::Again(reason, wish) => (reason, wish),
        };
        if size(&part) > furthest {
            furthest = size(&part);
            failures = 1;
            pause = options.pause;
        } else {
            failures += 1;
        }
        if failures >= options.attempts.max(1) {
            return Err(GetError::Interrupted {
                url: url.to_owned(),
                done: size(&part),
                reason,
            });
        }
        let wait = wish.unwrap_or(pause).min(Duration::from_secs(60));
        progress.note(&format!("{reason}; continuing"));
        std::thread::sleep(wait);
        pause = pause.saturating_mul(2);
    }
    if let Err(error) = verify(url, &part, expected) {
        // A wrong file must not be continued.
        fs::remove_file(&part).map_err(|e| io("remove", &part, e))?;
        return Err(error);
    }
    fs::rename(&part, file).map_err(|e| io("rename", &part, e))?;
    progress.end();
    Ok(Fetched { transferred })
}

fn attempt(
    agent: &ureq::Agent,
    url: &str,
    part: &Path,
    expected: &Expected,
    options: &GetOptions,
    progress: &mut dyn Progress,
    transferred: &mut u64,
) -> Result<Attempt, GetError> {
    let mut have = size(part);
    if have > 0 && expected.bytes == Some(have) {
        return Ok(Attempt::Complete);
    }
    if expected.bytes.is_some_and(|total| have > total) {
        fs::remove_file(part).map_err(|e| io("remove", part, e))?;
        have = 0;
    }
    let mut request = agent.get(url).header("Accept-Encoding", "identity");
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = match request.call() {
        Ok(response) => response,
        Err(error) => return Ok(Attempt::Again(error.to_string(), None)),
    };
    let status = response.status().as_u16();
    let header = |name: &str| {
        response
            .headers()
            .get(name)
            .and_then(|v| v.to_str().ok())
            .map(str::to_owned)
    };
    let range = header("content-range").and_then(|r| ContentRange::parse(&r));
    let length: Option<u64> = header("content-length").and_then(|l| l.parse().ok());
    let retry_after = header("retry-after")
        .and_then(|s| s.parse().ok())
        .map(Duration::from_secs);
    let total = match status {
        200 => {
            if have > 0 {
                progress.note("the server does not continue files, starting over");
                have = 0;
            }
            length
        }
        206 => match range {
            Some(ContentRange {
                start: Some(start),
                total,
            }) if start == have => total.or_else(|| length.map(|l| have + l)),
            _ => {
                // Not the range that was asked for: do not mix two files.
                fs::remove_file(part).map_err(|e| io("remove", part, e))?;
                return Ok(Attempt::Again(
                    "the server sent another range".to_owned(),
                    None,
                ));
            }
        },
        // Nothing is left to send: complete, if the sizes agree.
        416 if have > 0 && range.is_some_and(|r| r.total == Some(have)) => {
            return Ok(Attempt::Complete);
        }
        416 if have > 0 => {
            fs::remove_file(part).map_err(|e| io("remove", part, e))?;
            return Ok(Attempt::Again(
                "the partial file does not fit, starting over".into(),
                None,
            ));
        }
        408 | 425 | 429 | 500..=599 => {
            return Ok(Attempt::Again(
                format!("the server answered {status}"),
                retry_after,
            ));
        }
        _ => {
            return Err(GetError::Status {
                url: url.to_owned(),
                status,
            });
        }
    };
    if let (Some(stated), Some(published)) = (total, expected.bytes)
        && stated != published
    {
        return Err(GetError::Size {
            url: url.to_owned(),
            expected: published,
            actual: stated,
        });
    }
    let name = part
        .file_stem()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    progress.begin(&name, have, total.or(expected.bytes));
    let mut out = OpenOptions::new()
        .create(true)
        .append(have > 0)
        .write(true)
        .truncate(have == 0)
        .open(part)
        .map_err(|e| io("write", part, e))?;
    // No more than stated, and no more than published: a server cannot fill the disk.
    let limit = total
        .or(expected.bytes)
        .map_or(u64::MAX, |t| t.saturating_sub(have));
    let chunks = read_aside(response.into_body(), limit);
    let mut reason = None;
    loop {
        match chunks.recv_timeout(options.timeout) {
            Ok(Ok(bytes)) => {
                out.write_all(&bytes).map_err(|e| io("write", part, e))?;
                have += bytes.len() as u64;
                *transferred += bytes.len() as u64;
                progress.advance(bytes.len() as u64);
            }
            Ok(Err(error)) => {
                reason = Some(error.to_string());
                break;
            }
            Err(RecvTimeoutError::Timeout) => {
                reason = Some(format!("no data for {} s", options.timeout.as_secs_f32()));
                break;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    out.sync_all().map_err(|e| io("write", part, e))?;
    match (reason, total.or(expected.bytes)) {
        (Some(reason), _) => Ok(Attempt::Again(reason, None)),
        (None, Some(total)) if have < total => Ok(Attempt::Again(
            format!("connection closed at {have} of {total} bytes"),
            None,
        )),
        _ => Ok(Attempt::Complete),
    }
}

/// Reads a body on a thread of its own, so that a connection that falls silent can be given up: the
/// client limits the time of a whole body only, which a large file on a slow line exceeds rightly.
/// The thread ends with the body, or at its next chunk once nobody listens.
fn read_aside(body: ureq::Body, limit: u64) -> Receiver<std::io::Result<Vec<u8>>> {
    let (sender, receiver) = sync_channel(16);
    std::thread::spawn(move || {
        let mut body = body.into_with_config().limit(u64::MAX).reader().take(limit);
        let mut buffer = vec![0_u8; 64 * 1024];
        loop {
            let chunk = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => Ok(buffer[..n].to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if sender.send(chunk).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

/// `Content-Range: bytes 5-9/10` or `bytes */10`.
struct ContentRange {
    start: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes")?.trim().split_once('/')?;
        let start = range
            .split_once('-')
            .and_then(|(start, _)| start.trim().parse().ok());
        Some(Self {
            start,
            total: total.trim().parse().ok(),
        })
    }
}

/// Checks size and checksum of a file.
pub(super) fn verify(url: &str, file: &Path, expected: &Expected) -> Result<(), GetError> {
    let actual = size(file);
    if let Some(bytes) = expected.bytes
        && bytes != actual
    {
        return Err(GetError::Size {
            url: url.to_owned(),
            expected: bytes,
            actual,
        });
    }
    let Some(checksum) = &expected.checksum else {
        return Ok(());
    };
    let compare = |kind, expected: &String, actual: String| {
        if expected.eq_ignore_ascii_case(&actual) {
            Ok(())
        } else {
            Err(GetError::Checksum {
                url: url.to_owned(),
                kind,
                expected: expected.clone(),
                actual,
            })
        }
    };
    match checksum {
        Checksum::Md5(md5) => compare("MD5", md5, digest(file, Md5::new())?),
        Checksum::Sha1(sha1) => compare("SHA-1", sha1, digest(file, Sha1::new())?),
        Checksum::Sha256(sha256) => compare("SHA-256", sha256, digest(file, Sha256::new())?),
        Checksum::GitObject(id) => {
            let plain = digest(
                file,
                Sha1::new_with_prefix(format!("blob {actual}\0").as_bytes()),
            )?;
            if plain.eq_ignore_ascii_case(id) {
                return Ok(());
            }
            let sha256 = digest(file, Sha256::new())?;
            compare("git object id", id, pointer_id(&sha256, actual))
        }
    }
}

/// Object id of the Git LFS pointer to a content.
///
/// Source: Git LFS specification, *The Pointer*; Pro Git, *Git Objects*.
pub(super) fn pointer_id(sha256: &str, bytes: u64) -> String {
    let pointer =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {bytes}\n");
    let blob = format!("blob {}\0{pointer}", pointer.len());
    hex(&Sha1::digest(blob.as_bytes()))
}

fn digest<D: Digest>(file: &Path, mut hasher: D) -> Result<String, GetError> {
    let mut input = File::open(file).map_err(|e| io("read", file, e))?;
    let mut buffer = vec![0_u8; 64 * 1024];
    loop {
        let n = input.read(&mut buffer).map_err(|e| io("read", file, e))?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..n]);
    }
}

/// Reads a JSON listing, with the same attempts as a file.
pub(super) fn listing(
    agent: &ureq::Agent,
    url: &str,
    options: &GetOptions,
) -> Result<serde_json::Value, GetError> {
    /// A listing of ten thousand files has a few megabytes.
    const LIMIT: u64 = 64 << 20;
    let mut pause = options.pause;
    let mut failures = 0;
    loop {
        let request = agent
            .get(url)
            .config()
            .timeout_global(Some(options.timeout.saturating_mul(5)))
            .build()
            .header("Accept", "application/json");
        let reason = match request.call() {
            Ok(mut response) => match response.status().as_u16() {
                200 => match response.body_mut().with_config().limit(LIMIT).read_to_vec() {
                    Ok(bytes) => {
                        return serde_json::from_slice(&bytes).map_err(|e| GetError::Listing {
                            url: url.to_owned(),
                            reason: e.to_string(),
                        });
                    }
                    Err(error) => error.to_string(),
                },
                status @ (408 | 425 | 429 | 500..=599) => format!("the server answered {status}"),
                status => {
                    return Err(GetError::Status {
                        url: url.to_owned(),
                        status,
                    });
                }
            },
            Err(error) => error.to_string(),
        };
        failures += 1;
        if failures >= options.attempts.max(1) {
            return Err(GetError::Interrupted {
                url: url.to_owned(),
                done: 0,
                reason,
            });
        }
        std::thread::sleep(pause.min(Duration::from_secs(60)));
        pause = pause.saturating_mul(2);
    }
}

pub(super) fn part_name(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn size(file: &Path) -> u64 {
    fs::metadata(file).map(|m| m.len()).unwrap_or(0)
}

pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> GetError {
    GetError::Io {
        action,
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let range = ContentRange::parse("bytes 5-9/10").unwrap();
        assert_eq!((range.start, range.total), (Some(5), Some(10)));
        let range = ContentRange::parse("bytes */10").unwrap();
        assert_eq!((range.start, range.total), (None, Some(10)));
        assert!(ContentRange::parse("lines 5-9/10").is_none());
    }

    #[test]
    fn checksums_are_those_of_the_standards() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("f");
        fs::write(&file, b"abc").unwrap();
        let ok = |checksum| {
            verify(
                "u",
                &file,
                &Expected {
                    bytes: Some(3),
                    checksum: Some(checksum),
                },
            )
            .is_ok()
        };
        // RFC 1321 and FIPS 180-4 test vectors; `printf abc | git hash-object --stdin`.
        assert!(ok(Checksum::Md5("900150983cd24fb0d6963f7d28e17f72".into())));
        assert!(ok(Checksum::Sha1(
            "A9993E364706816ABA3E25717850C26C9CD0D89D".into()
        )));
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(ok(Checksum::Sha256(sha256.into())));
        assert!(ok(Checksum::GitObject(
            "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f".into()
        )));
        assert!(ok(Checksum::GitObject(pointer_id(sha256, 3))));
        assert!(!ok(Checksum::GitObject(pointer_id(sha256, 4))));
        assert!(!ok(Checksum::Md5("0".repeat(32))));
    }
}
