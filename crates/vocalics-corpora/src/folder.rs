//! Folder per class: `ROOT/<class>/<clip>` or `ROOT/<class>/<speaker>/<clip>`.
//!
//! Without speaker folders nothing says who speaks, so all clips count as one unknown speaker: a
//! protocol that holds speakers out then refuses the list instead of claiming what it cannot know.

use std::collections::BTreeMap;
use std::path::Path;

use crate::corpus::{Download, Recognised, Scan, scan_folder};
use crate::label::canonical;
use crate::utterance::UNKNOWN;
use crate::{CorpusError, CorpusInfo, Utterance};

pub(crate) const FOLDER: CorpusInfo = CorpusInfo {
    name: "folder",
    aliases: &["folder-per-class"],
    title: "one folder per class",
    licence: "as the owner of the recordings states",
    source: "docs/adding-a-corpus.md",
    folders: &[],
    counts: &[],
    known_duplicates: &[],
    download: Download::None,
    speaker: |_| None,
    scan: scan_root,
};

fn scan_root(root: &Path) -> Result<Scan, CorpusError> {
    // `.` and `..` have no name of their own.
    let full = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let full = full.canonicalize().unwrap_or(full);
    let name = full
        .file_name()
        .map_or_else(|| "root".into(), |n| n.to_string_lossy().to_lowercase());
    let corpus = format!("folder-{name}");
    let mut scan = scan_folder(&FOLDER, root, |path, _| {
        recognise(&corpus, root, path).map(boxed)
    })?;
    let mut renamed = BTreeMap::new();
    for utterance in &mut scan.utterances {
        let ours = canonical(&utterance.emotion);
        if ours != utterance.emotion {
            renamed.insert(
                std::mem::replace(&mut utterance.emotion, ours.clone()),
                ours,
            );
        }
    }
    scan.renamed = renamed;
    Ok(scan)
}

fn boxed(utterance: Utterance) -> Recognised {
    Recognised::Utterance(Box::new(utterance))
}

fn recognise(corpus: &str, root: &Path, path: &Path) -> Result<Utterance, String> {
    let inside = path
        .strip_prefix(root)
        .map_err(|_| "outside the root".to_owned())?;
    let parts: Vec<String> = inside
        .components()
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .collect();
    let (class, speaker) = match parts.as_slice() {
        [class, _] => (class, None),
        [class, speaker, _] => (class, Some(speaker)),
        [_] => {
            return Err("not in a class folder, expected CLASS/clip or CLASS/SPEAKER/clip".into());
        }
        _ => return Err("too deep, expected CLASS/clip or CLASS/SPEAKER/clip".into()),
    };
    let inside = inside.with_extension("");
    let id = inside.to_string_lossy().replace('\\', "/");
    Ok(Utterance {
        id: format!("{corpus}/{id}"),
        path: path.to_path_buf(),
        corpus: corpus.to_owned(),
        speaker: format!("{corpus}-{}", speaker.map_or(UNKNOWN, String::as_str)),
        sex: None,
        emotion: class.clone(),
        intensity: None,
        statement: None,
        repetition: None,
        channel: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join("Calls").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        root
    }

    #[test]
    fn class_and_speaker_come_from_folders_and_renames_are_told() {
        let root = tree(&["Anger/ann/1.wav", "anger/bob/1.mp3", "neutral/ann/2.flac"]);
        let scan = scan_root(&root.path().join("Calls")).unwrap();
        let found: Vec<_> = scan
            .utterances
            .iter()
            .map(|u| (u.speaker.as_str(), u.emotion.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("folder-calls-ann", "angry"),
                ("folder-calls-bob", "angry"),
                ("folder-calls-ann", "neutral")
            ]
        );
        assert_eq!(scan.renamed.len(), 2);
        assert_eq!(scan.renamed["Anger"], "angry");
    }

    #[test]
    fn without_speaker_folders_all_clips_are_one_unknown_speaker() {
        let root = tree(&["happy/1.wav", "sad/1.wav", "loose.wav", "a/b/c/d.wav"]);
        let scan = scan_root(&root.path().join("Calls")).unwrap();
        assert!(
            scan.utterances
                .iter()
                .all(|u| u.speaker == "folder-calls-unknown")
        );
        assert_eq!((scan.utterances.len(), scan.problems.len()), (2, 2));
    }
}
