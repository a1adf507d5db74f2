//! EMO-DB: ten Germans, ten sentences in seven emotions.
//!
//! Source: F. Burkhardt et al., *A database of German emotional speech*, Interspeech 2005; file-name
//! rule from the database's own page.

use std::path::Path;

use crate::corpus::{Archive, Download, Recognised, Scan, number_of, scan_folder};
use crate::{CorpusError, CorpusInfo, Sex, Utterance};

pub(crate) const EMODB: CorpusInfo = CorpusInfo {
    name: "emodb",
    aliases: &["emo-db", "berlin"],
    title: "Berlin database of emotional speech",
    licence: "none stated by its authors; audEERING redistributes it as CC0-1.0",
    source: "http://www.emodb.bilderbar.info",
    folders: &["emodb*", "emo-db*", "berlin*"],
    counts: &[(
        "emodb",
        &[
            ("neutral", 79),
            ("happy", 71),
            ("sad", 62),
            ("angry", 127),
            ("fearful", 69),
            ("disgust", 46),
            ("bored", 81),
        ],
    )],
    known_duplicates: &[],
    download: Download::Archives(&[Archive {
        // The site serves no https. It publishes no checksum either: the zip's own CRCs, the count
        // of 535 and a decode of every file decide.
        url: "http://www.emodb.bilderbar.info/download/download.zip",
        file: "emodb.zip",
        folder: "emodb",
        bytes: None,
        md5: None,
    }]),
    speaker: |written| number_of(written).map(|number| format!("emodb-{number:02}")),
    scan: scan_root,
};

fn scan_root(root: &Path) -> Result<Scan, CorpusError> {
    scan_folder(&EMODB, root, |path, stem| {
        parse(path, stem).map(|u| Recognised::Utterance(Box::new(u)))
    })
}

/// The ten sentences by code.
const SENTENCES: &[(&str, &str)] = &[
    ("a01", "Der Lappen liegt auf dem Eisschrank."),
    ("a02", "Das will sie am Mittwoch abgeben."),
    ("a04", "Heute abend könnte ich es ihm sagen."),
    (
        "a05",
        "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    ),
    ("a07", "In sieben Stunden wird es soweit sein."),
    (
        "b01",
        "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    ),
    (
        "b02",
        "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    ),
    (
        "b03",
        "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    ),
    (
        "b09",
        "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    ),
    (
        "b10",
        "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
    ),
];

/// Reads speaker (2 digits), sentence (letter and 2 digits), emotion letter, version letter.
fn parse(path: &Path, stem: &str) -> Result<Utterance, String> {
    let expected = "expected two digits, sentence code, emotion and version, for example 03a01Fa";
    if stem.len() != 7 || !stem.is_ascii() {
        return Err(format!("not an EMO-DB file name, {expected}"));
    }
    let lower = stem.to_ascii_lowercase();
    let (speaker, sentence, emotion, version) =
        (&lower[..2], &lower[2..5], &lower[5..6], lower.as_bytes()[6]);
    let sex = match speaker {
        "03" | "10" | "11" | "12" | "15" => Sex::Male,
        "08" | "09" | "13" | "14" | "16" => Sex::Female,
        other => {
            return Err(format!(
                "speaker \"{other}\", expected 03 or 08 to 16; {expected}"
            ));
        }
    };
    let statement = SENTENCES
        .iter()
        .find(|(code, _)| *code == sentence)
        .map(|(_, text)| (*text).to_owned())
        .ok_or_else(|| format!("sentence \"{sentence}\" is not one of the ten; {expected}"))?;
    let emotion = match emotion {
        "w" => "angry",
        "l" => "bored",
        "e" => "disgust",
        "a" => "fearful",
        "f" => "happy",
        "t" => "sad",
        "n" => "neutral",
        other => {
            return Err(format!(
                "emotion \"{other}\", expected W, L, E, A, F, T or N"
            ));
        }
    };
    if !version.is_ascii_lowercase() {
        return Err(format!("version is no letter, {expected}"));
    }
    Ok(Utterance {
        id: format!("emodb/{stem}"),
        path: path.to_path_buf(),
        corpus: "emodb".into(),
        speaker: format!("emodb-{speaker}"),
        sex: Some(sex),
        emotion: emotion.into(),
        intensity: None,
        statement: Some(statement),
        repetition: Some(u32::from(version - b'a') + 1),
        channel: Some("speech".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentations_example_is_read() {
        let u = parse(Path::new("x.wav"), "03a01Fa").unwrap();
        assert_eq!(
            (u.speaker.as_str(), u.emotion.as_str()),
            ("emodb-03", "happy")
        );
        assert_eq!((u.sex, u.repetition), (Some(Sex::Male), Some(1)));
        assert_eq!(
            parse(Path::new("x.wav"), "16b10Lb").unwrap().emotion,
            "bored"
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        for stem in [
            "03a01F", "07a01Fa", "03c01Fa", "03a01Xa", "03a01F1", "03a0éFa",
        ] {
            assert!(parse(Path::new("x.wav"), stem).is_err(), "{stem}");
        }
        assert_eq!(EMODB.documented_total(), Some(535));
    }
}
