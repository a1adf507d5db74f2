//! Manifests: a CSV or TSV table of recordings, read from anywhere and written by us.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vocalics_audio::{is_recording, recordings};

use crate::corpus::{Download, Problem, Scan};
use crate::label::canonical;
use crate::table::{Table, to_csv, write_atomically};
use crate::utterance::UNKNOWN;
use crate::{CorpusError, CorpusInfo, CorpusKind, Sex, Utterance};

pub(crate) const MANIFEST: CorpusInfo = CorpusInfo {
    name: "manifest",
    aliases: &["csv", "tsv"],
    title: "a table of recordings",
    licence: "as the owner of the recordings states",
    source: "docs/adding-a-corpus.md",
    folders: &[],
    counts: &[],
    known_duplicates: &[],
    download: Download::None,
    speaker: |_| None,
    scan: scan_spec,
};

/// Which column of a manifest holds what; `None` looks for the usual names.
///
/// Names are compared without case, blanks and hyphens count as `_`. On the command line the same is
/// written behind the file: `manifest=clips.csv?emotion=Label_1&speaker=Who`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestColumns {
    /// Explicit columns by field: `path`, `id`, `corpus`, `speaker`, `sex`, `emotion`, `intensity`,
    /// `statement`, `repetition`, `channel`.
    pub by_field: BTreeMap<String, String>,
}

/// Each field and the column names it is looked for under.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "path",
        &[
            "path",
            "file",
            "filename",
            "file_name",
            "filepath",
            "file_path",
            "wav",
            "audio",
            "audio_path",
        ],
    ),
    (
        "id",
        &[
            "id",
            "utterance",
            "utterance_id",
            "utt_id",
            "utt",
            "clip",
            "clip_id",
            "name",
        ],
    ),
    ("corpus", &["corpus", "dataset", "database", "source"]),
    (
        "speaker",
        &[
            "speaker",
            "speaker_id",
            "speakerid",
            "spk",
            "spk_id",
            "actor",
            "actor_id",
            "actorid",
            "client_id",
        ],
    ),
    ("sex", &["sex", "gender"]),
    (
        "emotion",
        &[
            "emotion",
            "label",
            "class",
            "category",
            "emotion_label",
            "emo",
        ],
    ),
    (
        "intensity",
        &["intensity", "level", "emotion_level", "emotional_intensity"],
    ),
    (
        "statement",
        &[
            "statement",
            "sentence",
            "text",
            "transcript",
            "transcription",
        ],
    ),
    ("repetition", &["repetition", "take"]),
    ("channel", &["channel", "vocal_channel"]),
];

fn scan_spec(root: &Path) -> Result<Scan, CorpusError> {
    if root.exists() {
        return read_manifest(root, &ManifestColumns::default());
    }
    let text = root.to_string_lossy();
    let Some((file, query)) = text.rsplit_once('?') else {
        return Err(CorpusError::RootMissing {
            corpus: MANIFEST.name.into(),
            path: root.into(),
        });
    };
    let mut columns = ManifestColumns::default();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some((field, column)) if FIELDS.iter().any(|(f, _)| *f == field) => {
                columns.by_field.insert(field.to_owned(), column.to_owned());
            }
            _ => {
                return Err(CorpusError::BadSpec {
                    text: text.to_string(),
                });
            }
        }
    }
    read_manifest(Path::new(file), &columns)
}

/// Reads a manifest: one recording per row, columns found by name, extra columns passed over.
///
/// * `path` (or, without it, `id`) names the file, relative to the manifest's folder. A file with
///   another extension than the table says, or whose number is padded differently (`7` for
///   `0007.wav`), is found if only one file under that folder fits.
/// * `id` is made unique by the corpus's name; without it the path is used.
/// * `corpus` defaults to `manifest-<file stem>`. Speakers get it as a prefix unless they have it;
///   numbers lose their padding, so that `01` and `1` are one person.
/// * Without a speaker all clips count as one unknown speaker, and protocols that hold speakers out
///   refuse the list.
/// * Emotions are brought to this project's spelling; [`Scan::renamed`] tells what was changed.
///
/// A row that cannot be used is a [`Problem`] with its line.
///
/// # Errors
/// [`CorpusError::RootMissing`], [`CorpusError::Io`] and [`CorpusError::Csv`] if the file cannot be
/// read; [`CorpusError::MissingColumn`] without a column for the file or the emotion.
pub fn read_manifest(path: &Path, columns: &ManifestColumns) -> Result<Scan, CorpusError> {
    if !path.is_file() {
        return Err(CorpusError::RootMissing {
            corpus: MANIFEST.name.into(),
            path: path.into(),
        });
    }
    let table = Table::read(path)?;
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    for (field, names) in FIELDS {
        let column = match columns.by_field.get(*field) {
            Some(name) => Some(table.required(path, &[name])?),
            None => table.column(names),
        };
        if let Some(column) = column {
            at.insert(field, column);
        }
    }
    let named = |field: &str| {
        FIELDS
            .iter()
            .find(|(f, _)| *f == field)
            .map_or(&[][..], |(_, n)| n)
    };
    if !at.contains_key("path") && !at.contains_key("id") {
        table.required(path, named("path"))?;
    }
    if !at.contains_key("emotion") {
        table.required(path, named("emotion"))?;
    }
    let stem = path
        .file_stem()
        .map(|s| s.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut files = Files::new(folder);
    let mut scan = Scan::default();
    let mut found: BTreeMap<String, Utterance> = BTreeMap::new();
    for (line, fields) in &table.rows {
        let get = |field: &str| {
            at.get(field)
                .and_then(|&c| fields.get(c))
                .map(String::as_str)
                .filter(|f| !f.is_empty())
        };
        match row(&get, &format!("manifest-{stem}"), &mut files) {
            Ok((utterance, theirs)) => {
                if utterance.emotion != theirs {
                    scan.renamed.insert(theirs, utterance.emotion.clone());
                }
                if let Some(first) = found.get(&utterance.id) {
                    let message = format!(
                        "line {line}: {} appears twice, first as {}",
                        utterance.id,
                        first.path.display()
                    );
                    scan.problems.push(Problem {
                        path: path.to_path_buf(),
                        message,
                    });
                } else {
                    found.insert(utterance.id.clone(), utterance);
                }
            }
            Err(message) => scan.problems.push(Problem {
                path: path.to_path_buf(),
                message: format!("line {line}: {message}"),
            }),
        }
    }
    if found.is_empty() && scan.problems.is_empty() {
        return Err(CorpusError::NoRecordings {
            corpus: MANIFEST.name.into(),
            path: path.into(),
        });
    }
    scan.utterances = found.into_values().collect();
    Ok(scan)
}

/// One row as an utterance, and its emotion as written.
fn row<'a>(
    get: &impl Fn(&str) -> Option<&'a str>,
    default_corpus: &str,
    files: &mut Files,
) -> Result<(Utterance, String), String> {
    let written = get("path").or(get("id")).ok_or("no file named")?;
    let path = files.find(written)?;
    let theirs = get("emotion").ok_or_else(|| format!("{written} has no emotion"))?;
    let corpus = get("corpus").map_or_else(|| default_corpus.to_owned(), canonical);
    let id = match get("id") {
        Some(id) if id.starts_with(&format!("{corpus}/")) => id.to_owned(),
        Some(id) => format!("{corpus}/{id}"),
        None => format!(
            "{corpus}/{}",
            Path::new(written).with_extension("").display()
        ),
    };
    let speaker = speaker_of(&corpus, get("speaker").unwrap_or(UNKNOWN));
    let repetition = get("repetition")
        .map(|r| {
            r.parse()
                .map_err(|_| format!("repetition \"{r}\" is no number"))
        })
        .transpose()?;
    let utterance = Utterance {
        id,
        path,
        corpus,
        speaker,
        sex: get("sex")
            .map(|s| s.parse::<Sex>().map_err(|e| e.to_string()))
            .transpose()?,
        emotion: canonical(theirs),
        intensity: get("intensity").map(canonical),
        statement: get("statement").map(str::to_owned),
        repetition,
        channel: get("channel").map(canonical),
    };
    Ok((utterance, theirs.to_owned()))
}

/// The name a speaker has in every list: that of the corpus read from its own folder where it is one that we know, so that nobody is two
/// people.
fn speaker_of(corpus: &str, written: &str) -> String {
    let known = corpus.parse::<CorpusKind>().ok();
    if let Some(name) = known.and_then(|kind| (kind.info().speaker)(written)) {
        return name;
    }
    // Corpora of one family share their speakers, as `calls-phone` and `calls-office` do.
    let family = corpus.split('-').next().unwrap_or(corpus);
    if written.starts_with(&format!("{family}-")) {
        return written.to_owned();
    }
    // `01` and `1` are one person.
    let bare = written.trim_start_matches('0');
    match written.bytes().all(|b| b.is_ascii_digit()) {
        true if bare.is_empty() => format!("{corpus}-0"),
        true => format!("{corpus}-{bare}"),
        false => format!("{corpus}-{written}"),
    }
}

/// Finds the files of a manifest; the folder is walked only if a name does not fit as it is.
struct Files {
    folder: PathBuf,
    index: Option<BTreeMap<String, Vec<PathBuf>>>,
}

impl Files {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            index: None,
        }
    }

    fn find(&mut self, written: &str) -> Result<PathBuf, String> {
        let written = written.replace('\\', "/");
        let exact = self.folder.join(&written);
        if exact.is_file() {
            return Ok(exact);
        }
        let folder = &self.folder;
        let index = self.index.get_or_insert_with(|| {
            let mut index: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
            for path in recordings(folder).unwrap_or_default() {
                let inside = path.strip_prefix(folder).unwrap_or(&path);
                let inside = inside.to_string_lossy().replace('\\', "/");
                // Under every tail of its path: a/b/c, b/c, c.
                let plain = plain(&inside);
                let parts: Vec<&str> = plain.split('/').collect();
                for start in 0..parts.len() {
                    index
                        .entry(parts[start..].join("/"))
                        .or_default()
                        .push(path.clone());
                }
            }
            index
        });
        match index.get(&plain(&written)).map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            Some(many) => Err(format!(
                "{written} fits {} files, for example {} and {}",
                many.len(),
                many[0].display(),
                many[1].display()
            )),
            None => Err(format!("no file {written} under {}", self.folder.display())),
        }
    }
}

/// A path in the form files are compared in: lower case, without audio extension, numbers without
/// padding.
fn plain(path: &str) -> String {
    let path = path.trim_start_matches("./").to_lowercase();
    let bare = if is_recording(Path::new(&path)) {
        path.rsplit_once('.')
            .map_or(path.as_str(), |(start, _)| start)
    } else {
        &path
    };
    let mut out = String::with_capacity(bare.len());
    let mut chars = bare.chars().peekable();
    let mut in_number = false;
    while let Some(c) = chars.next() {
        let padding = c == '0' && !in_number && chars.peek().is_some_and(char::is_ascii_digit);
        if !padding {
            in_number = c.is_ascii_digit();
            out.push(c);
        }
    }
    out
}

/// Writes a manifest that [`read_manifest`] reads back to the same utterances.
///
/// Paths under the manifest's folder are written relative to it, others absolute.
///
/// # Errors
/// [`CorpusError::Io`] if the file cannot be written; an existing one is then left as it was.
pub fn write_manifest(path: &Path, utterances: &[Utterance]) -> Result<(), CorpusError> {
    let io = |source| CorpusError::Io {
        action: "write",
        path: path.to_path_buf(),
        source,
    };
    let folder = std::path::absolute(path).map_err(io)?;
    let folder = folder.parent().unwrap_or(Path::new("/"));
    let mut rows: Vec<Vec<Cow<'_, str>>> = vec![
        FIELDS
            .iter()
            .map(|(field, _)| Cow::Borrowed(*field))
            .collect(),
    ];
    for u in utterances {
        let full = std::path::absolute(&u.path).map_err(io)?;
        let file = full
            .strip_prefix(folder)
            .unwrap_or(&full)
            .to_string_lossy()
            .into_owned();
        let text = |field: &Option<String>| Cow::Owned(field.clone().unwrap_or_default());
        rows.push(vec![
            file.into(),
            u.id.as_str().into(),
            u.corpus.as_str().into(),
            u.speaker.as_str().into(),
            u.sex.map_or("", Sex::as_str).into(),
            u.emotion.as_str().into(),
            text(&u.intensity),
            text(&u.statement),
            u.repetition
                .map(|r| r.to_string())
                .unwrap_or_default()
                .into(),
            text(&u.channel),
        ]);
    }
    write_atomically(path, &to_csv(path, rows)?)
}

/// A hash of what a list says, not of where it lies: 64 hexadecimal digits of SHA-256 over id,
/// speaker, sex, emotion, intensity, statement, repetition and channel, sorted by id.
///
/// Two machines with the same corpora get the same hash; a changed label or a missing clip changes
/// it. The audio itself is not read: `check` does that.
#[must_use]
pub fn manifest_hash(utterances: &[Utterance]) -> String {
    let mut sorted: Vec<&Utterance> = utterances.iter().collect();
    sorted.sort_by(|a, b| a.id.cmp(&b.id));
    let mut hasher = Sha256::new();
    hasher.update(b"vocalics manifest 1\n");
    for u in sorted {
        let repetition = u.repetition.map(|r| r.to_string());
        for field in [
            Some(u.id.as_str()),
            Some(&u.speaker),
            u.sex.map(Sex::as_str),
            Some(&u.emotion),
            u.intensity.as_deref(),
            u.statement.as_deref(),
            repetition.as_deref(),
            u.channel.as_deref(),
        ] {
            // Length first, so that no two lists of fields run together to the same bytes.
            let field = field.unwrap_or_default();
            hasher.update((field.len() as u64).to_le_bytes());
            hasher.update(field);
        }
    }
    hex(&hasher.finalize())
}

/// Bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        root
    }

    #[test]
    fn a_speaker_has_the_name_of_the_corpus_read_from_its_folder() {
        for (corpus, written, name) in [
            ("ravdess-song", "7", "ravdess-07"),
            ("ravdess-speech", "007", "ravdess-07"),
            ("ravdess", "Actor_24", "ravdess-24"),
            ("ravdess-speech", "ravdess-7", "ravdess-07"),
            ("ravdess-speech", "ravdess-12", "ravdess-12"),
            ("ravdess-speech", "unknown", "ravdess-speech-unknown"),
            ("emodb", "3", "emodb-03"),
            ("tess", "yaf", "tess-YAF"),
            ("savee", "savee-DC", "savee-DC"),
            ("tess", "unknown", "tess-unknown"),
            ("crema-d", "1001", "crema-d-1001"),
            ("calls", "01", "calls-1"),
            ("calls", "0", "calls-0"),
            ("calls", "agent 01", "calls-agent 01"),
            ("calls", "calls-ann", "calls-ann"),
            ("calls-phone", "calls-ann", "calls-ann"),
            ("calls-phone", "ann", "calls-phone-ann"),
            ("tess", "tess-oaf", "tess-OAF"),
            ("crema-d", "crema-d-1001", "crema-d-1001"),
            ("manifest-m", "ann", "manifest-m-ann"),
        ] {
            assert_eq!(speaker_of(corpus, written), name, "{corpus}, {written}");
        }
    }

    #[test]
    fn what_real_manifests_have_is_coped_with() {
        let root = tree(&[
            "wav/0007.flac",
            "wav/0012.ogg",
            "wav/0013.wav",
            "other/0013.wav",
        ]);
        let file = root.path().join("Clips.csv");
        std::fs::write(
            &file,
            "\u{feff}File Name;Speaker ID;Gender;Emotion;Rating;Age\r\n\
             wav/7.wav; 01 ;F;Anger;3;20\r\n\
             12;1;female;sad;4;20\r\n\
             13.wav;2;m;happy;;\r\n\
             99.wav;2;m;happy;;\r\n\
             wav/0013.wav;2;m;;;\r\n\
             wav/0013.wav;2;?;calm;;\r\n",
        )
        .unwrap();
        let scan = read_manifest(&file, &ManifestColumns::default()).unwrap();
        assert_eq!(scan.utterances.len(), 2);
        let u = &scan.utterances[0];
        assert_eq!(u.id, "manifest-clips/12");
        assert!(u.path.ends_with("wav/0012.ogg"));
        let u = &scan.utterances[1];
        assert!(u.path.ends_with("wav/0007.flac"));
        assert_eq!(
            (u.speaker.as_str(), u.emotion.as_str()),
            ("manifest-clips-1", "angry")
        );
        assert_eq!(u.sex, Some(Sex::Female));
        assert_eq!(scan.utterances[0].speaker, u.speaker);
        assert_eq!(scan.renamed["Anger"], "angry");
        let problems: Vec<_> = scan.problems.iter().map(|p| p.message.as_str()).collect();
        for (problem, part) in problems.iter().zip([
            "line 4: 13.wav fits 2 files",
            "line 5: no file 99.wav",
            "line 6: wav/0013.wav has no emotion",
            "line 7: unknown sex \"?\"",
        ]) {
            assert!(problem.starts_with(part), "{problem}");
        }
        assert_eq!(problems.len(), 4);
    }

    #[test]
    fn columns_can_be_named() {
        let root = tree(&["a.wav"]);
        let file = root.path().join("m.tsv");
        std::fs::write(&file, "f1\tKind\tLabel\na.wav\tsad\tx\n").unwrap();
        let spec = PathBuf::from(format!("{}?path=f1&emotion=kind", file.display()));
        let scan = scan_spec(&spec).unwrap();
        assert_eq!(scan.utterances[0].emotion, "sad");
        assert_eq!(scan.utterances[0].speaker, "manifest-m-unknown");
        assert!(scan_spec(&PathBuf::from(format!("{}?colour=f1", file.display()))).is_err());
        let missing = PathBuf::from(format!("{}?emotion=nothing", file.display()));
        assert!(matches!(
            scan_spec(&missing),
            Err(CorpusError::MissingColumn { .. })
        ));
        std::fs::write(&file, "a\tb\n1\t2\n").unwrap();
        assert!(matches!(
            scan_spec(&file),
            Err(CorpusError::MissingColumn { .. })
        ));
        assert!(matches!(
            scan_spec(&root.path().join("no.csv")),
            Err(CorpusError::RootMissing { .. })
        ));
    }

    #[test]
    fn a_written_manifest_reads_back_the_same() {
        let root = tree(&["x/03-01-05-02-01-01-12.wav", "y,\"z\".wav"]);
        let file = root.path().join("m.csv");
        let base = Utterance {
            id: "ravdess-speech/03-01-05-02-01-01-12".into(),
            path: root.path().join("x/03-01-05-02-01-01-12.wav"),
            corpus: "ravdess-speech".into(),
            speaker: "ravdess-12".into(),
            sex: Some(Sex::Female),
            emotion: "angry".into(),
            intensity: Some("strong".into()),
            statement: Some("Kids are talking, by the door".into()),
            repetition: Some(1),
            channel: Some("speech".into()),
        };
        let other = Utterance {
            id: "x/y".into(),
            path: root.path().join("y,\"z\".wav"),
            corpus: "x".into(),
            speaker: "x-1".into(),
            sex: None,
            emotion: "bored".into(),
            intensity: None,
            statement: None,
            repetition: None,
            channel: None,
        };
        let written = vec![base, other];
        write_manifest(&file, &written).unwrap();
        let read = read_manifest(&file, &ManifestColumns::default()).unwrap();
        assert_eq!((read.problems.len(), read.renamed.len()), (0, 0));
        assert_eq!(read.utterances, written);
    }

    #[test]
    fn the_hash_is_of_content_not_of_place_or_order() {
        let mut list = vec![];
        for (id, speaker) in [("a", "s1"), ("b", "s2")] {
            list.push(Utterance {
                id: id.into(),
                path: PathBuf::from(id),
                corpus: "c".into(),
                speaker: speaker.into(),
                sex: None,
                emotion: "sad".into(),
                intensity: None,
                statement: None,
                repetition: None,
                channel: None,
            });
        }
        let hash = manifest_hash(&list);
        assert_eq!(hash.len(), 64);
        list.reverse();
        list[0].path = "/elsewhere".into();
        assert_eq!(manifest_hash(&list), hash);
        list[0].emotion = "calm".into();
        assert_ne!(manifest_hash(&list), hash);
    }

    #[test]
    fn padding_is_no_part_of_a_number() {
        assert_eq!(plain("A/0007.WAV"), "a/7");
        assert_eq!(plain("a10_000.flac"), "a10_0");
        assert_eq!(plain("./x.0"), "x.0");
    }
}
