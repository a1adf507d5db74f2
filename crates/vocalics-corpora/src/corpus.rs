//! The corpora known, what each documents about itself, and how a folder is scanned.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use vocalics_audio::recordings;

use crate::{CorpusError, Utterance};
use crate::{crema_d, emodb, folder, manifest, ravdess, savee, tess};

/// Where a corpus can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Download {
    /// Zip files at fixed addresses.
    Archives(&'static [Archive]),
    /// All recordings of a Dataverse dataset; the server's listing gives name, size and MD5 of each.
    Dataverse {
        /// Address of the installation.
        server: &'static str,
        /// Persistent identifier of the dataset.
        doi: &'static str,
        /// Folder they are put in, under the data root.
        folder: &'static str,
    },
    /// One folder of a git repository whose files lie in Git LFS.
    GitLfs {
        /// Address of the repository in the GitHub REST API.
        api: &'static str,
        /// Address under which the contents of LFS files are served.
        media: &'static str,
        /// Branch.
        branch: &'static str,
        /// Folder within the repository.
        path: &'static str,
        /// Folder they are put in, under the data root.
        folder: &'static str,
    },
    /// Handed out by its owners only.
    Form {
        /// Where to ask.
        page: &'static str,
        /// Why it cannot be fetched.
        reason: &'static str,
    },
    /// Nothing to download: the user's own recordings.
    None,
}

/// A zip file of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive {
    /// Official address.
    pub url: &'static str,
    /// Name it is kept under while it is being fetched.
    pub file: &'static str,
    /// Folder it is unpacked in, under the data root.
    pub folder: &'static str,
    /// Size in bytes, if published.
    pub bytes: Option<u64>,
    /// MD5 in lower-case hexadecimal, if published.
    pub md5: Option<&'static str>,
}

/// What a corpus documents about itself, and how its recordings are recognised.
#[derive(Debug, Clone, Copy)]
pub struct CorpusInfo {
    /// Name used on the command line and in files.
    pub name: &'static str,
    /// Other names accepted.
    pub aliases: &'static [&'static str],
    /// Full title.
    pub title: &'static str,
    /// Licence of the audio, as its owners state it.
    pub licence: &'static str,
    /// Where it is documented: paper, record or page.
    pub source: &'static str,
    /// Folder names under which it is commonly found, lower case, used by [`locate`] and to narrow
    /// a root that holds several corpora. A trailing `*` matches any ending.
    pub folders: &'static [&'static str],
    /// Documented number of clips by emotion, per corpus name the scan yields; empty where the
    /// corpus has no fixed content.
    pub counts: &'static [(&'static str, &'static [(&'static str, usize)])],
    /// Pairs of ids documented or measured to be the same recording.
    pub known_duplicates: &'static [(&'static str, &'static str)],
    /// Where it can be had.
    pub download: Download,
    /// The name in an [`Utterance`] of a speaker whom a table of this corpus writes so; `None` for whom it does not know.
    pub(crate) speaker: fn(&str) -> Option<String>,
    /// Turns a root into utterances.
    pub(crate) scan: fn(&Path) -> Result<Scan, CorpusError>,
}

impl CorpusInfo {
    /// Documented number of clips of one corpus name, if it has a fixed content.
    #[must_use]
    pub fn documented_total(&self) -> Option<usize> {
        (!self.counts.is_empty()).then(|| {
            self.counts
                .iter()
                .flat_map(|(_, c)| c.iter())
                .map(|(_, n)| n)
                .sum()
        })
    }
}

/// Registers the corpora: the variant's name and its definition.
macro_rules! register {
    ($($(#[$doc:meta])* $variant:ident => $info:expr,)*) => {
        /// A corpus, or a way to describe one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum CorpusKind { $($(#[$doc])* $variant,)* }

        impl CorpusKind {
            /// Every kind, in the order of registration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What the corpus documents about itself.
            #[must_use]
            pub fn info(self) -> &'static CorpusInfo {
                match self { $(Self::$variant => &$info,)* }
            }
        }
    };
}

// A new corpus is one line here; see docs/adding-a-corpus.md.
register! {
    /// RAVDESS, both speech and song.
    Ravdess => ravdess::BOTH,
    /// RAVDESS, speech only.
    RavdessSpeech => ravdess::SPEECH,
    /// RAVDESS, song only.
    RavdessSong => ravdess::SONG,
    /// Toronto emotional speech set.
    Tess => tess::TESS,
    /// Surrey audio-visual expressed emotion.
    Savee => savee::SAVEE,
    /// Berlin database of emotional speech.
    EmoDb => emodb::EMODB,
    /// Crowd-sourced emotional multimodal actors dataset.
    CremaD => crema_d::CREMA_D,
    /// One folder per class.
    FolderPerClass => folder::FOLDER,
    /// A CSV or TSV table of recordings.
    Manifest => manifest::MANIFEST,
}

impl CorpusKind {
    /// Name used on the command line and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The definition that documents the corpus called `name` in an [`Utterance`].
    #[must_use]
    pub fn documenting(name: &str) -> Option<&'static CorpusInfo> {
        Self::ALL.iter().map(|k| k.info()).find(|i| i.name == name)
    }
}

/// The number that a speaker is written with: `7`, `007`, `Actor_07`.
pub(crate) fn number_of(written: &str) -> Option<u32> {
    let digits = written.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.parse().ok()
}

/// The one of the names that is written so, in any case, with or without `corpus-` before it.
pub(crate) fn one_of(names: &[&str], corpus: &str, written: &str) -> Option<String> {
    let names = names.iter().map(|name| (*name, format!("{corpus}-{name}")));
    names
        .into_iter()
        .find(|(bare, full)| {
            [bare, full.as_str()]
                .iter()
                .any(|it| written.eq_ignore_ascii_case(it))
        })
        .map(|(_, full)| full)
}

impl fmt::Display for CorpusKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CorpusKind {
    type Err = CorpusError;

    /// Reads a corpus name or alias in any case; `_` counts as `-`.
    ///
    /// # Errors
    /// [`CorpusError::UnknownCorpus`] with the known names.
    fn from_str(text: &str) -> Result<Self, CorpusError> {
        let wanted = text.trim().to_lowercase().replace('_', "-");
        Self::ALL
            .iter()
            .copied()
            .find(|k| k.name() == wanted || k.info().aliases.contains(&wanted.as_str()))
            .ok_or_else(|| CorpusError::UnknownCorpus {
                name: text.to_owned(),
                known: Self::ALL
                    .iter()
                    .map(|k| k.name())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}

/// A corpus and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CorpusSpec {
    /// Which corpus.
    pub kind: CorpusKind,
    /// Its folder, or the file for a manifest.
    pub root: PathBuf,
}

impl FromStr for CorpusSpec {
    type Err = CorpusError;

    /// Reads `NAME=PATH`, for example `ravdess=data/ravdess`.
    ///
    /// # Errors
    /// [`CorpusError::BadSpec`] without `=` or path, [`CorpusError::UnknownCorpus`] for the name.
    fn from_str(text: &str) -> Result<Self, CorpusError> {
        match text.split_once('=') {
            Some((name, root)) if !root.trim().is_empty() => Ok(Self {
                kind: name.parse()?,
                root: PathBuf::from(root.trim()),
            }),
            _ => Err(CorpusError::BadSpec {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for CorpusSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.kind, self.root.display())
    }
}

/// A recording that could not become an utterance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, lower case, without the path.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.message)
    }
}

/// The outcome of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// What was recognised, sorted by id.
    pub utterances: Vec<Utterance>,
    /// What was not, sorted by path.
    pub problems: Vec<Problem>,
    /// Labels written differently in the corpus than here: the corpus's spelling and ours.
    pub renamed: BTreeMap<String, String>,
}

/// What the rule of a corpus says about one file.
pub(crate) enum Recognised {
    /// A recording of this corpus.
    Utterance(Box<Utterance>),
    /// A well-named recording that this kind leaves to another (song, when only speech is wanted).
    NotWanted,
}

/// Scans a folder with a rule that judges each file by its path.
///
/// `recognise` gets the path and the stem; `Err` carries the reason for a [`Problem`].
pub(crate) fn scan_folder(
    info: &CorpusInfo,
    root: &Path,
    recognise: impl Fn(&Path, &str) -> Result<Recognised, String>,
) -> Result<Scan, CorpusError> {
    if !root.is_dir() {
        return Err(CorpusError::RootMissing {
            corpus: info.name.into(),
            path: root.into(),
        });
    }
    let mut found: BTreeMap<String, Utterance> = BTreeMap::new();
    let mut problems = Vec::new();
    for folder in narrowed(info, root)? {
        for path in recordings(&folder)? {
            match recognise(&path, &stem(&path)) {
                Ok(Recognised::NotWanted) => {}
                Ok(Recognised::Utterance(utterance)) => {
                    if let Some(first) = found.get(&utterance.id) {
                        let message = format!("same recording name as {}", first.path.display());
                        problems.push(Problem { path, message });
                    } else {
                        found.insert(utterance.id.clone(), *utterance);
                    }
                }
                Err(message) => problems.push(Problem { path, message }),
            }
        }
    }
    if found.is_empty() && problems.is_empty() {
        return Err(CorpusError::NoRecordings {
            corpus: info.name.into(),
            path: root.into(),
        });
    }
    problems.sort();
    Ok(Scan {
        utterances: found.into_values().collect(),
        problems,
        renamed: BTreeMap::new(),
    })
}

/// The folders to walk: those under `root` that carry the corpus's usual name, so that a root
/// holding several corpora can be given for each; else `root` itself.
fn narrowed(info: &CorpusInfo, root: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let own_name = root
        .file_name()
        .is_some_and(|n| matches_folder(info, &n.to_string_lossy()));
    let mut folders = Vec::new();
    if !own_name {
        folders = subfolders(root)?;
        folders.retain(|p| {
            p.file_name()
                .is_some_and(|n| matches_folder(info, &n.to_string_lossy()))
        });
    }
    if folders.is_empty() {
        folders.push(root.to_path_buf());
    }
    Ok(folders)
}

fn matches_folder(info: &CorpusInfo, name: &str) -> bool {
    let name = name.to_lowercase();
    info.folders
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
}

fn subfolders(root: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let io = |source| CorpusError::Io {
        action: "read",
        path: root.to_path_buf(),
        source,
    };
    let mut folders = Vec::new();
    for entry in fs::read_dir(root).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Turns a corpus on disk into utterances.
///
/// The files are recognised by name only; nothing is decoded. A file whose name does not follow the
/// corpus's rule becomes a [`Problem`] and the scan goes on.
///
/// # Errors
/// [`CorpusError::RootMissing`], [`CorpusError::NoRecordings`], [`CorpusError::Io`]; for a manifest
/// also [`CorpusError::Csv`] and [`CorpusError::MissingColumn`].
pub fn scan(spec: &CorpusSpec) -> Result<Scan, CorpusError> {
    (spec.kind.info().scan)(&spec.root)
}

/// Scans several corpora into one list, sorted by id.
///
/// # Errors
/// As [`scan`]; [`CorpusError::DuplicateId`] when two of them lead to the same utterance.
pub fn scan_all(specs: &[CorpusSpec]) -> Result<Scan, CorpusError> {
    let mut all = Scan::default();
    for spec in specs {
        let scan = scan(spec)?;
        all.utterances.extend(scan.utterances);
        all.problems.extend(scan.problems);
        all.renamed.extend(scan.renamed);
    }
    all.utterances.sort_by(|a, b| a.id.cmp(&b.id));
    all.problems.sort();
    if let Some(pair) = all.utterances.windows(2).find(|p| p[0].id == p[1].id) {
        return Err(CorpusError::DuplicateId {
            id: pair[0].id.clone(),
            first: pair[0].path.clone(),
            second: pair[1].path.clone(),
        });
    }
    Ok(all)
}

/// The corpora that lie directly under a data root, recognised by folder name. A root that is
/// missing or unreadable holds none.
///
/// Names and the officially unzipped names are recognised (`ravdess-speech`,
/// `Audio_Speech_Actors_01-24`, `TESS Toronto emotional speech set data`, ...); the most specific
/// kind wins, so a folder appears once.
#[must_use]
pub fn locate(data_root: &Path) -> Vec<CorpusSpec> {
    let mut taken = BTreeSet::new();
    let mut specs = Vec::new();
    let folders = subfolders(data_root).unwrap_or_default();
    // Parts before the whole: `ravdess` must not claim `ravdess-speech` a second time.
    let mut kinds = CorpusKind::ALL.to_vec();
    kinds.sort_by_key(|k| k.info().counts.len());
    for kind in kinds {
        for folder in &folders {
            let name = folder.file_name().map(|n| n.to_string_lossy().into_owned());
            if name.is_some_and(|n| matches_folder(kind.info(), &n)) && taken.insert(folder.clone())
            {
                specs.push(CorpusSpec {
                    kind,
                    root: folder.clone(),
                });
            }
        }
    }
    specs.sort();
    specs
}

/// The file name without its extension.
fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default()
}
