//! Downloads against a server on the loopback interface that cuts, refuses and lies as told.
#![cfg(feature = "get")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Cursor, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha1::{Digest, Sha1};
use vocalics_corpora::get::{
    Checksum, Expected, GetError, GetOptions, Progress, agent, fetch, get, get_from, unpack,
};
use vocalics_corpora::{Archive, CorpusKind, Download};
use zip::write::SimpleFileOptions;

/// How the server treats one path.
#[derive(Clone, Default)]
struct Page {
    body: Vec<u8>,
    /// Answer with this status and no body, this many times.
    refuse: (u16, usize),
    /// Close the connection after so many bytes of the body, this many times.
    cut: (usize, usize),
    /// Pretend not to know ranges.
    no_ranges: bool,
    /// Send this many bytes, then stay silent, once.
    stall: Option<usize>,
}

/// Path and `Range` of a request.
type Request = (String, Option<String>);

#[derive(Clone)]
struct Server {
    address: String,
    pages: Arc<Mutex<BTreeMap<String, Page>>>,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            address: format!("http://{}", listener.local_addr().unwrap()),
            pages: Arc::default(),
            log: Arc::default(),
        };
        let answering = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = answering.clone();
                std::thread::spawn(move || server.answer(&stream));
            }
        });
        server
    }

    fn page(&self, path: &str, page: Page) -> String {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
        format!("{}{path}", self.address)
    }

    fn body(&self, path: &str, body: &[u8]) -> String {
        self.page(
            path,
            Page {
                body: body.to_vec(),
                ..Page::default()
            },
        )
    }

    fn ranges(&self) -> Vec<Option<String>> {
        self.log
            .lock()
            .unwrap()
            .iter()
            .map(|(_, r)| r.clone())
            .collect()
    }

    fn requests(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Answers one request and closes the connection; errors mean that the client went away.
    fn answer(&self, stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream).lines();
        let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
        let mut range = None;
        for line in lines {
            let line = line.ok()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("range")
            {
                range = Some(value.trim().to_owned());
            }
        }
        self.log.lock().unwrap().push((path.clone(), range.clone()));
        let page = {
            let mut pages = self.pages.lock().unwrap();
            let Some(page) = pages.get_mut(&path) else {
                let mut out = stream;
                write!(
                    out,
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
                .ok()?;
                return None;
            };
            let now = page.clone();
            page.refuse.1 = page.refuse.1.saturating_sub(1);
            if page.refuse.1 == 0 && now.refuse.1 == 0 {
                page.cut.1 = page.cut.1.saturating_sub(1);
                page.stall = None;
            }
            now
        };
        let mut out = stream;
        if page.refuse.1 > 0 {
            let status = page.refuse.0;
            write!(out, "HTTP/1.1 {status} No\r\nContent-Length: 0\r\nRetry-After: 0\r\nConnection: close\r\n\r\n").ok()?;
            return None;
        }
        let total = page.body.len();
        let start: usize = range
            .filter(|_| !page.no_ranges)
            .and_then(|r| r.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
            .unwrap_or(0);
        if start > 0 && start >= total {
            write!(out, "HTTP/1.1 416 Range\r\nContent-Range: bytes */{total}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
            return None;
        }
        let rest = &page.body[start..];
        if start > 0 {
            let last = total - 1;
            write!(
                out,
                "HTTP/1.1 206 Partial\r\nContent-Range: bytes {start}-{last}/{total}\r\n"
            )
            .ok()?;
        } else {
            write!(out, "HTTP/1.1 200 OK\r\n").ok()?;
        }
        write!(
            out,
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            rest.len()
        )
        .ok()?;
        if let Some(bytes) = page.stall {
            out.write_all(&rest[..bytes.min(rest.len())]).ok()?;
            out.flush().ok()?;
            std::thread::sleep(Duration::from_secs(5));
            return None;
        }
        let sent = if page.cut.1 > 0 {
            page.cut.0.min(rest.len())
        } else {
            rest.len()
        };
        out.write_all(&rest[..sent]).ok()?;
        out.flush().ok()
    }
}

fn options() -> GetOptions {
    GetOptions {
        attempts: 3,
        pause: Duration::from_millis(1),
        timeout: Duration::from_millis(1500),
        ..GetOptions::default()
    }
}

fn bytes(n: u32) -> Vec<u8> {
    (0..n)
        .map(|i| u8::try_from(i.wrapping_mul(2_654_435_761) >> 24).unwrap())
        .collect()
}

fn sha1(content: &[u8]) -> Checksum {
    Checksum::Sha1(
        Sha1::digest(content)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect(),
    )
}

fn expect(content: &[u8]) -> Expected {
    Expected {
        bytes: Some(content.len() as u64),
        checksum: Some(sha1(content)),
    }
}

fn try_fetch(url: &str, file: &Path, expected: &Expected) -> Result<u64, GetError> {
    fetch(&agent(&options()), url, file, expected, &options(), &mut ()).map(|f| f.transferred)
}

#[derive(Default)]
struct Log {
    begun: Vec<(String, u64, Option<u64>)>,
    advanced: u64,
    notes: Vec<String>,
    ended: usize,
}

impl Progress for Log {
    fn begin(&mut self, name: &str, done: u64, total: Option<u64>) {
        self.begun.push((name.to_owned(), done, total));
    }
    fn advance(&mut self, bytes: u64) {
        self.advanced += bytes;
    }
    fn note(&mut self, message: &str) {
        self.notes.push(message.to_owned());
    }
    fn end(&mut self) {
        self.ended += 1;
    }
}

#[test]
fn a_file_is_fetched_verified_named_and_not_fetched_again() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let content = bytes(300_000);
    let url = server.body("/f", &content);
    let file = folder.path().join("sub/f.bin");
    let mut log = Log::default();
    let options = options();
    fetch(
        &agent(&options),
        &url,
        &file,
        &expect(&content),
        &options,
        &mut log,
    )
    .unwrap();
    assert_eq!(fs::read(&file).unwrap(), content);
    assert_eq!(log.begun, [("f.bin".to_owned(), 0, Some(300_000))]);
    assert_eq!((log.advanced, log.ended), (300_000, 1));
    assert!(!folder.path().join("sub/f.bin.part").exists());
    assert_eq!(try_fetch(&url, &file, &expect(&content)).unwrap(), 0);
    assert_eq!(server.requests(), 1);
}

#[test]
fn a_cut_connection_is_continued_where_it_stopped() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let content = bytes(200_000);
    // More cuts than attempts: those that bring bytes do not count.
    let url = server.page(
        "/f",
        Page {
            body: content.clone(),
            cut: (50_000, 3),
            ..Page::default()
        },
    );
    let file = folder.path().join("f");
    assert_eq!(try_fetch(&url, &file, &expect(&content)).unwrap(), 200_000);
    assert_eq!(fs::read(&file).unwrap(), content);
    let ranges: Vec<String> = server.ranges().into_iter().flatten().collect();
    assert_eq!(ranges, ["bytes=50000-", "bytes=100000-", "bytes=150000-"]);
}

#[test]
fn the_next_run_continues_what_an_earlier_one_left() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let content = bytes(100_000);
    let url = server.body("/f", &content);
    let file = folder.path().join("f");
    fs::write(folder.path().join("f.part"), &content[..60_000]).unwrap();
    assert_eq!(try_fetch(&url, &file, &expect(&content)).unwrap(), 40_000);
    assert_eq!(fs::read(&file).unwrap(), content);
    // A part that is whole already is only verified; without a known size the server is asked.
    fs::rename(&file, folder.path().join("f.part")).unwrap();
    let unsized_file = Expected {
        bytes: None,
        checksum: Some(sha1(&content)),
    };
    assert_eq!(try_fetch(&url, &file, &unsized_file).unwrap(), 0);
    assert_eq!(
        server.ranges().last().unwrap().as_deref(),
        Some("bytes=100000-")
    );
}

#[test]
fn a_server_without_ranges_makes_it_start_over() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let content = bytes(100_000);
    let url = server.page(
        "/f",
        Page {
            body: content.clone(),
            no_ranges: true,
            ..Page::default()
        },
    );
    let file = folder.path().join("f");
    fs::write(folder.path().join("f.part"), bytes(60_000)).unwrap();
    assert_eq!(try_fetch(&url, &file, &expect(&content)).unwrap(), 100_000);
    assert_eq!(fs::read(&file).unwrap(), content);
    // One that always cuts at the same place is given up, not asked for ever.
    let url = server.page(
        "/g",
        Page {
            body: content.clone(),
            no_ranges: true,
            cut: (70_000, 99),
            ..Page::default()
        },
    );
    let file = folder.path().join("g");
    let error = try_fetch(&url, &file, &expect(&content)).unwrap_err();
    assert!(
        matches!(error, GetError::Interrupted { done: 70_000, .. }),
        "{error}"
    );
    assert!(folder.path().join("g.part").exists());
}

#[test]
fn a_wrong_checksum_or_size_leaves_no_file() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let content = bytes(10_000);
    let url = server.body("/f", &content);
    let file = folder.path().join("f");
    let wrong = Expected {
        bytes: None,
        checksum: Some(Checksum::Md5("0".repeat(32))),
    };
    let error = try_fetch(&url, &file, &wrong).unwrap_err();
    assert!(
        matches!(error, GetError::Checksum { kind: "MD5", .. }),
        "{error}"
    );
    let wrong = Expected {
        bytes: Some(9_999),
        checksum: None,
    };
    let error = try_fetch(&url, &file, &wrong).unwrap_err();
    assert!(
        matches!(
            error,
            GetError::Size {
                expected: 9_999,
                actual: 10_000,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_page_is_an_error_at_once_and_a_busy_server_is_asked_again() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("f");
    let gone = format!("{}/gone", server.address);
    let error = try_fetch(&gone, &file, &Expected::default()).unwrap_err();
    assert!(
        matches!(error, GetError::Status { status: 404, .. }),
        "{error}"
    );
    assert_eq!(server.requests(), 1);
    let content = bytes(1000);
    let url = server.page(
        "/f",
        Page {
            body: content.clone(),
            refuse: (503, 2),
            ..Page::default()
        },
    );
    assert_eq!(try_fetch(&url, &file, &expect(&content)).unwrap(), 1000);
    let url = server.page(
        "/g",
        Page {
            body: content,
            refuse: (503, 9),
            ..Page::default()
        },
    );
    let error = try_fetch(&url, &folder.path().join("g"), &Expected::default()).unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    let error = try_fetch(
        "http://127.0.0.1:9/x",
        &file.with_extension("x"),
        &Expected::default(),
    );
    assert!(matches!(error, Err(GetError::Interrupted { done: 0, .. })));
}

#[test]
fn a_silent_connection_is_given_up_and_continued() {
    let (server, folder) = (Server::start(), tempfile::tempdir().unwrap());
    let content = bytes(20_000);
    let url = server.page(
        "/f",
        Page {
            body: content.clone(),
            stall: Some(5_000),
            ..Page::default()
        },
    );
    let file = folder.path().join("f");
    let mut log = Log::default();
    let options = GetOptions {
        timeout: Duration::from_millis(200),
        ..options()
    };
    fetch(
        &agent(&options),
        &url,
        &file,
        &expect(&content),
        &options,
        &mut log,
    )
    .unwrap();
    assert_eq!(fs::read(&file).unwrap(), content);
    assert!(
        log.notes.iter().any(|n| n.contains("no data")),
        "{:?}",
        log.notes
    );
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn a_zip_file_is_unpacked_within_its_folder_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.zip");
    let folder = root.path().join("out");
    let good = zip(&[
        ("Actor_01/a.wav", b"abc"),
        ("__MACOSX/x", b"m"),
        ("Actor_01/.DS_Store", b"d"),
    ]);
    fs::write(&file, &good).unwrap();
    assert_eq!(unpack(&file, &folder, 1 << 20).unwrap(), 1);
    assert_eq!(fs::read(folder.join("Actor_01/a.wav")).unwrap(), b"abc");
    assert_eq!(unpack(&file, &folder, 1 << 20).unwrap(), 0);
    assert!(matches!(
        unpack(&file, &folder, 2),
        Err(GetError::TooLarge { limit: 2, .. })
    ));

    for name in ["../evil.wav", "a/../../evil.wav"] {
        fs::write(&file, zip(&[("ok.wav", b"x"), (name, b"x")])).unwrap();
        let other = root.path().join("other");
        let error = unpack(&file, &other, 1 << 20).unwrap_err();
        assert!(matches!(error, GetError::UnsafePath { .. }), "{error}");
        assert!(!other.exists() && !root.path().join("evil.wav").exists());
    }

    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .add_symlink("link", "/etc", SimpleFileOptions::default())
        .unwrap();
    fs::write(&file, writer.finish().unwrap().into_inner()).unwrap();
    assert!(matches!(
        unpack(&file, &folder, 1 << 20),
        Err(GetError::UnsafePath { .. })
    ));

    let mut damaged = zip(&[("b.wav", &bytes(5000))]);
    damaged[100] ^= 0xff;
    fs::write(&file, damaged).unwrap();
    assert!(matches!(
        unpack(&file, &folder, 1 << 20),
        Err(GetError::Zip { .. })
    ));
    assert!(!folder.join("b.wav").exists());
    fs::write(&file, b"no zip").unwrap();
    assert!(matches!(
        unpack(&file, &folder, 1 << 20),
        Err(GetError::Zip { .. })
    ));
}

/// One second of a quiet tone as a WAV file, different for each number.
fn wav(number: usize) -> Vec<u8> {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("x.wav");
    let step = 0.01 + 0.0001 * f32::from(u16::try_from(number).unwrap());
    let samples: Vec<f32> = (0..4000_u16)
        .map(|i| (f32::from(i) * step).sin() * 0.1)
        .collect();
    vocalics_audio::write_wav16(&path, &samples, 16_000).unwrap();
    fs::read(path).unwrap()
}

/// File names of a whole EMO-DB: the documented number of each emotion.
fn emodb_names() -> Vec<String> {
    let mut names = Vec::new();
    for (letter, count) in [
        ('N', 79),
        ('F', 71),
        ('T', 62),
        ('W', 127),
        ('A', 69),
        ('E', 46),
        ('L', 81),
    ] {
        let mut left = count;
        for version in ['a', 'b'] {
            for speaker in ["03", "08", "09", "10", "11", "12", "13", "14", "15", "16"] {
                for text in [
                    "a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10",
                ] {
                    if left > 0 {
                        names.push(format!("{speaker}{text}{letter}{version}.wav"));
                        left -= 1;
                    }
                }
            }
        }
    }
    names
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn emodb_from(url: String) -> Download {
    Download::Archives(Box::leak(Box::new([Archive {
        url: leak(url),
        file: "emodb.zip",
        folder: "emodb",
        bytes: None,
        md5: None,
    }])))
}

#[test]
fn a_corpus_arrives_whole_and_a_second_run_has_nothing_to_do() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let content = wav(0);
    let names: Vec<String> = emodb_names().iter().map(|n| format!("wav/{n}")).collect();
    assert_eq!(names.len(), 535);
    let entries: Vec<(&str, &[u8])> = names
        .iter()
        .map(|n| (n.as_str(), content.as_slice()))
        .collect();
    let archive = zip(&entries);
    let url = server.page(
        "/e.zip",
        Page {
            cut: (archive.len() / 2, 1),
            body: archive,
            ..Page::default()
        },
    );
    let source = emodb_from(url);
    let report = get_from(CorpusKind::EmoDb, &source, root.path(), &options(), &mut ()).unwrap();
    assert_eq!(report.clips, 535);
    assert!(report.transferred > 0 && report.verified.contains("decoded"));
    assert!(!root.path().join("emodb.zip").exists());
    let again = get_from(CorpusKind::EmoDb, &source, root.path(), &options(), &mut ()).unwrap();
    assert_eq!((again.transferred, again.clips), (0, 535));

    // Fewer clips than documented are told apart from success, by class.
    let few = zip(&entries[..500]);
    let source = emodb_from(server.body("/few.zip", &few));
    let other = tempfile::tempdir().unwrap();
    let error = get_from(
        CorpusKind::EmoDb,
        &source,
        other.path(),
        &options(),
        &mut (),
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            GetError::Incomplete {
                expected: 535,
                found: 500,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("bored"), "{error}");

    // A file that is no audio is named.
    let mut damaged = entries.clone();
    damaged[7].1 = b"not audio";
    let source = emodb_from(server.body("/bad.zip", &zip(&damaged)));
    let other = tempfile::tempdir().unwrap();
    let error = get_from(
        CorpusKind::EmoDb,
        &source,
        other.path(),
        &options(),
        &mut (),
    )
    .unwrap_err();
    assert!(matches!(error, GetError::Damaged { .. }), "{error}");

    // A damaged archive is removed, so that the next run fetches it anew.
    let source = emodb_from(server.body("/broken.zip", b"PK broken"));
    let other = tempfile::tempdir().unwrap();
    let error = get_from(
        CorpusKind::EmoDb,
        &source,
        other.path(),
        &options(),
        &mut (),
    )
    .unwrap_err();
    assert!(matches!(error, GetError::Zip { .. }), "{error}");
    assert!(!other.path().join("emodb.zip").exists());
}

#[test]
fn a_dataverse_dataset_is_fetched_file_by_file_with_its_checksums() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let doi = "doi:10.5683/SP2/E8H2MF";
    let list = |entries: &str| format!("{{\"status\":\"OK\",\"data\":[{entries}]}}");
    let listing =
        format!("/api/datasets/:persistentId/versions/:latest-published/files?persistentId={doi}");
    let entry = |id: u32, folder: &str, name: &str, content: &[u8]| {
        let Checksum::Sha1(sha1) = sha1(content) else {
            panic!("sha-1")
        };
        format!(
            "{{\"label\":\"{name}\",\"directoryLabel\":\"{folder}\",\"dataFile\":{{\"id\":{id},\
             \"filesize\":{},\"checksum\":{{\"type\":\"SHA-1\",\"value\":\"{sha1}\"}}}}}}",
            content.len()
        )
    };
    let (a, b) = (wav(1), wav(2));
    server.body("/api/access/datafile/1", &a);
    server.body("/api/access/datafile/2", &b);
    let text = list(
        &[
            entry(1, "OAF_angry", "OAF_back_angry.wav", &a),
            entry(2, "OAF_sad", "OAF_back_sad.wav", &b),
            entry(3, "", "readme.txt", b"no recording"),
        ]
        .join(","),
    );
    server.body(&listing, text.as_bytes());
    let source = Download::Dataverse {
        server: leak(server.address.clone()),
        doi,
        folder: "tess",
    };
    let error = get_from(CorpusKind::Tess, &source, root.path(), &options(), &mut ()).unwrap_err();
    // Everything listed arrived; two clips are not TESS.
    assert!(
        matches!(
            error,
            GetError::Incomplete {
                expected: 2800,
                found: 2,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        fs::read(root.path().join("tess/OAF_angry/OAF_back_angry.wav")).unwrap(),
        a
    );
    assert!(!root.path().join("tess/readme.txt").exists());

    // Content that is not as listed.
    server.body("/api/access/datafile/2", &a);
    let other = tempfile::tempdir().unwrap();
    let error = get_from(CorpusKind::Tess, &source, other.path(), &options(), &mut ()).unwrap_err();
    assert!(
        matches!(error, GetError::Size { .. } | GetError::Checksum { .. }),
        "{error}"
    );

    // A listing that would write elsewhere, one that is none, and one without checksums.
    for (text, unsafe_path) in [
        (list(&entry(1, "../..", "x.wav", &a)), true),
        ("<html>".to_owned(), false),
        (list("{\"label\":\"x.wav\",\"dataFile\":{\"id\":1}}"), false),
        (list(""), false),
    ] {
        server.body(&listing, text.as_bytes());
        let error =
            get_from(CorpusKind::Tess, &source, other.path(), &options(), &mut ()).unwrap_err();
        assert_eq!(
            matches!(error, GetError::UnsafePath { .. }),
            unsafe_path,
            "{error}"
        );
        assert_eq!(
            matches!(error, GetError::Listing { .. }),
            !unsafe_path,
            "{error}"
        );
    }
}

#[test]
fn git_lfs_files_are_verified_by_the_id_of_their_pointer() {
    let (server, root) = (Server::start(), tempfile::tempdir().unwrap());
    let content = wav(3);
    let name = "1001_DFA_ANG_XX.wav";
    let sha256: String = sha2::Sha256::digest(&content)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {}\n",
        content.len()
    );
    let id: String = Sha1::digest(format!("blob {}\0{pointer}", pointer.len()))
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    server.body(
        "/repo/git/trees/master",
        br#"{"tree":[{"path":"AudioWAV","type":"tree","sha":"t1"}],"truncated":false}"#,
    );
    let tree =
        format!(r#"{{"tree":[{{"path":"{name}","type":"blob","sha":"{id}"}}],"truncated":false}}"#);
    server.body("/repo/git/trees/t1", tree.as_bytes());
    server.body(&format!("/media/AudioWAV/{name}"), &content);
    let source = Download::GitLfs {
        api: leak(format!("{}/repo", server.address)),
        media: leak(format!("{}/media", server.address)),
        branch: "master",
        path: "AudioWAV",
        folder: "crema-d",
    };
    let error = get_from(
        CorpusKind::CremaD,
        &source,
        root.path(),
        &options(),
        &mut (),
    )
    .unwrap_err();
    assert!(
        matches!(error, GetError::Incomplete { found: 1, .. }),
        "{error}"
    );
    assert_eq!(
        fs::read(root.path().join("crema-d").join(name)).unwrap(),
        content
    );

    // A pointer instead of the content: what a plain download of the repository gives.
    server.body(&format!("/media/AudioWAV/{name}"), b"something else");
    let other = tempfile::tempdir().unwrap();
    let error = get_from(
        CorpusKind::CremaD,
        &source,
        other.path(),
        &options(),
        &mut (),
    )
    .unwrap_err();
    assert!(matches!(error, GetError::Checksum { .. }), "{error}");
    server.body("/repo/git/trees/t1", br#"{"tree":[],"truncated":true}"#);
    let error = get_from(
        CorpusKind::CremaD,
        &source,
        other.path(),
        &options(),
        &mut (),
    )
    .unwrap_err();
    assert!(error.to_string().contains("cut it short"), "{error}");
}

#[test]
fn corpora_behind_a_form_say_where_to_ask() {
    let root = tempfile::tempdir().unwrap();
    let error = get(CorpusKind::Savee, root.path(), &options(), &mut ()).unwrap_err();
    assert!(
        error.to_string().contains("http://kahlan.eps.surrey.ac.uk"),
        "{error}"
    );
    let error = get(CorpusKind::Manifest, root.path(), &options(), &mut ()).unwrap_err();
    assert!(matches!(error, GetError::NothingToGet { .. }), "{error}");
}
