//! SAVEE: four English men, 120 sentences each in seven emotions.
//!
//! The published audio is `AudioData/DC/a01.wav`; copies flatten it to `DC_a01.wav`. Both are read.
//!
//! Source: S. Haq, P. J. B. Jackson, *Multimodal emotion recognition*, in Machine Audition, 2010;
//! file-name rule from the database's own page.

use std::path::Path;

use crate::corpus::{Download, Recognised, Scan, one_of, scan_folder};
use crate::{CorpusError, CorpusInfo, Sex, Utterance};

const SPEAKERS: &[&str] = &["DC", "JE", "JK", "KL"];

pub(crate) const SAVEE: CorpusInfo = CorpusInfo {
    name: "savee",
    aliases: &[],
    title: "Surrey Audio-Visual Expressed Emotion database",
    licence: "research use, after registration with the University of Surrey",
    source: "http://kahlan.eps.surrey.ac.uk/savee/",
    folders: &["savee*", "audiodata"],
    counts: &[(
        "savee",
        &[
            ("neutral", 120),
            ("happy", 60),
            ("sad", 60),
            ("angry", 60),
            ("fearful", 60),
            ("disgust", 60),
            ("surprised", 60),
        ],
    )],
    known_duplicates: &[],
    download: Download::Form {
        page: "http://kahlan.eps.surrey.ac.uk/savee/Download.html",
        reason: "the University of Surrey hands it out after a registration form",
    },
    speaker: |written| one_of(SPEAKERS, "savee", written),
    scan: scan_root,
};

fn scan_root(root: &Path) -> Result<Scan, CorpusError> {
    scan_folder(&SAVEE, root, |path, stem| {
        parse(path, stem).map(|u| Recognised::Utterance(Box::new(u)))
    })
}

fn parse(path: &Path, stem: &str) -> Result<Utterance, String> {
    let expected = "expected DC_a01.wav, or a01.wav in a folder named after the speaker";
    let upper = stem.to_uppercase();
    let parent = path
        .parent()
        .and_then(Path::file_name)
        .map(|n| n.to_string_lossy().to_uppercase());
    let (speaker, code) = match (upper.split_once('_'), parent) {
        (Some((speaker, code)), _) => (speaker.to_owned(), code.to_owned()),
        (None, Some(parent)) => (parent, upper),
        (None, None) => return Err(format!("not a SAVEE file name, {expected}")),
    };
    if !SPEAKERS.contains(&speaker.as_str()) {
        return Err(format!(
            "speaker \"{speaker}\", expected DC, JE, JK or KL; {expected}"
        ));
    }
    let digits = code.len().saturating_sub(2);
    let (letters, number) = match (code.get(..digits), code.get(digits..)) {
        (Some(l), Some(n)) if n.bytes().all(|b| b.is_ascii_digit()) => (l, n),
        _ => return Err(format!("not a SAVEE file name, {expected}")),
    };
    let (emotion, sentences) = match letters {
        "A" => ("angry", 15),
        "D" => ("disgust", 15),
        "F" => ("fearful", 15),
        "H" => ("happy", 15),
        "N" => ("neutral", 30),
        "SA" => ("sad", 15),
        "SU" => ("surprised", 15),
        other => {
            return Err(format!(
                "emotion \"{other}\", expected a, d, f, h, n, sa or su"
            ));
        }
    };
    let sentence: u32 = number
        .parse()
        .map_err(|_| format!("no sentence number, {expected}"))?;
    if !(1..=sentences).contains(&sentence) {
        return Err(format!(
            "sentence {number}, expected 01 to {sentences} for {emotion}"
        ));
    }
    let code = code.to_lowercase();
    Ok(Utterance {
        id: format!("savee/{speaker}_{code}"),
        path: path.to_path_buf(),
        corpus: "savee".into(),
        speaker: format!("savee-{speaker}"),
        sex: Some(Sex::Male),
        emotion: emotion.into(),
        intensity: None,
        // The first three sentences are common to all emotions, the others are not: the number
        // names a sentence only together with the emotion.
        statement: Some(if sentence <= 3 {
            format!("common-{sentence}")
        } else {
            code
        }),
        repetition: None,
        channel: Some("speech".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_and_nested_layouts_are_the_same_clip() {
        let nested = parse(Path::new("AudioData/DC/sa01.wav"), "sa01").unwrap();
        let flat = parse(Path::new("all/DC_sa01.wav"), "DC_sa01").unwrap();
        assert_eq!((&nested.id, &nested.emotion), (&flat.id, &flat.emotion));
        assert_eq!(
            (nested.speaker.as_str(), nested.emotion.as_str()),
            ("savee-DC", "sad")
        );
    }

    #[test]
    fn every_emotion_code_is_read() {
        for (code, emotion) in [
            ("a01", "angry"),
            ("d15", "disgust"),
            ("f02", "fearful"),
            ("h03", "happy"),
            ("n30", "neutral"),
            ("su07", "surprised"),
        ] {
            assert_eq!(
                parse(Path::new("KL/x.wav"), code).unwrap().emotion,
                emotion,
                "{code}"
            );
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        for stem in [
            "XX_a01", "DC_b01", "DC_a16", "DC_a00", "DC_a1", "DC_", "DC_é1", "a01",
        ] {
            assert!(parse(Path::new("other/x.wav"), stem).is_err(), "{stem}");
        }
    }

    #[test]
    fn the_documented_counts_are_480() {
        assert_eq!(SAVEE.documented_total(), Some(480));
    }
}
