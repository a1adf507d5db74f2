//! CREMA-D: 91 American actors, twelve sentences in six emotions.
//!
//! Source: H. Cao et al., *CREMA-D: Crowd-sourced emotional multimodal actors dataset*, IEEE
//! Transactions on Affective Computing 5(4), 2014; file-name rule and `VideoDemographics.csv` from
//! the repository CheyneyComputerScience/CREMA-D.

use std::path::Path;

use crate::corpus::{Download, Recognised, Scan, number_of, scan_folder};
use crate::{CorpusError, CorpusInfo, Sex, Utterance};

pub(crate) const CREMA_D: CorpusInfo = CorpusInfo {
    name: "crema-d",
    aliases: &["cremad", "crema"],
    title: "Crowd-sourced Emotional Multimodal Actors Dataset",
    licence: "ODbL 1.0, contents DbCL 1.0",
    source: "https://github.com/CheyneyComputerScience/CREMA-D",
    folders: &["crema*", "audiowav"],
    counts: &[(
        "crema-d",
        &[
            ("neutral", 1087),
            ("happy", 1271),
            ("sad", 1271),
            ("angry", 1271),
            ("fearful", 1271),
            ("disgust", 1271),
        ],
    )],
    known_duplicates: &[],
    download: Download::GitLfs {
        api: "https://api.github.com/repos/CheyneyComputerScience/CREMA-D",
        media: "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master",
        branch: "master",
        path: "AudioWAV",
        folder: "crema-d",
    },
    speaker: |written| number_of(written).map(|number| format!("crema-d-{number}")),
    scan: scan_root,
};

/// The women among the actors 1001 to 1091, from `VideoDemographics.csv`.
const WOMEN: [u32; 43] = [
    1002, 1003, 1004, 1006, 1007, 1008, 1009, 1010, 1012, 1013, 1018, 1020, 1021, 1024, 1025, 1028,
    1029, 1030, 1037, 1043, 1046, 1047, 1049, 1052, 1053, 1054, 1055, 1056, 1058, 1060, 1061, 1063,
    1072, 1073, 1074, 1075, 1076, 1078, 1079, 1082, 1084, 1089, 1091,
];

/// The twelve sentences by code.
const SENTENCES: [(&str, &str); 12] = [
    ("IEO", "It's eleven o'clock"),
    ("TIE", "That is exactly what happened"),
    ("IOM", "I'm on my way to the meeting"),
    ("IWW", "I wonder what this is about"),
    ("TAI", "The airplane is almost full"),
    ("MTI", "Maybe tomorrow it will be cold"),
    ("IWL", "I would like a new alarm clock"),
    ("ITH", "I think I have a doctor's appointment"),
    ("DFA", "Don't forget a jacket"),
    ("ITS", "I think I've seen this before"),
    ("TSI", "The surface is slick"),
    ("WSI", "We'll stop in a couple of minutes"),
];

fn scan_root(root: &Path) -> Result<Scan, CorpusError> {
    scan_folder(&CREMA_D, root, |path, stem| {
        // The repository holds each clip as wav, as mp3 and as the sound of a video.
        if path.components().any(|c| {
            let name = c.as_os_str().to_string_lossy().to_ascii_lowercase();
            name == "audiomp3" || name == "videoflash"
        }) {
            return Ok(Recognised::NotWanted);
        }
        parse(path, stem).map(|u| Recognised::Utterance(Box::new(u)))
    })
}

/// Reads `actor_sentence_emotion_level`.
fn parse(path: &Path, stem: &str) -> Result<Utterance, String> {
    let expected = "expected actor_sentence_emotion_level, for example 1001_DFA_ANG_XX";
    let upper = stem.to_uppercase();
    let fields: Vec<&str> = upper.split('_').collect();
    let &[actor, sentence, emotion, level] = fields.as_slice() else {
        return Err(format!("not a CREMA-D file name, {expected}"));
    };
    let number: u32 = actor
        .parse()
        .ok()
        .filter(|n| (1001..=1091).contains(n) && actor.len() == 4)
        .ok_or_else(|| format!("actor \"{actor}\", expected 1001 to 1091; {expected}"))?;
    let statement = SENTENCES
        .iter()
        .find(|(code, _)| *code == sentence)
        .map(|(_, text)| (*text).to_owned())
        .ok_or_else(|| format!("sentence \"{sentence}\" is not one of the twelve; {expected}"))?;
    let emotion = match emotion {
        "ANG" => "angry",
        "DIS" => "disgust",
        "FEA" => "fearful",
        "HAP" => "happy",
        "NEU" => "neutral",
        "SAD" => "sad",
        other => {
            return Err(format!(
                "emotion \"{other}\", expected ANG, DIS, FEA, HAP, NEU or SAD"
            ));
        }
    };
    let intensity = match level {
        "LO" => Some("low"),
        "MD" => Some("medium"),
        "HI" => Some("high"),
        // One published file is misnamed 1040_ITH_SAD_X.
        "XX" | "X" => None,
        other => return Err(format!("level \"{other}\", expected LO, MD, HI or XX")),
    };
    Ok(Utterance {
        id: format!("crema-d/{stem}"),
        path: path.to_path_buf(),
        corpus: "crema-d".into(),
        speaker: format!("crema-d-{actor}"),
        sex: Some(if WOMEN.contains(&number) {
            Sex::Female
        } else {
            Sex::Male
        }),
        emotion: emotion.into(),
        intensity: intensity.map(str::to_owned),
        statement: Some(statement),
        repetition: None,
        channel: Some("speech".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_the_misnamed_file() {
        let u = parse(Path::new("x.wav"), "1001_DFA_ANG_XX").unwrap();
        assert_eq!(
            (u.speaker.as_str(), u.sex),
            ("crema-d-1001", Some(Sex::Male))
        );
        assert_eq!((u.emotion.as_str(), u.intensity), ("angry", None));
        let u = parse(Path::new("x.wav"), "1040_ITH_SAD_X").unwrap();
        assert_eq!((u.emotion.as_str(), u.intensity), ("sad", None));
        let u = parse(Path::new("x.wav"), "1091_IEO_FEA_HI").unwrap();
        assert_eq!(
            (u.sex, u.intensity.as_deref()),
            (Some(Sex::Female), Some("high"))
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        for stem in [
            "1001_DFA_ANG",
            "1000_DFA_ANG_XX",
            "1092_DFA_ANG_XX",
            "1001_ABC_ANG_XX",
            "1001_DFA_SUR_XX",
            "1001_DFA_ANG_YY",
        ] {
            assert!(parse(Path::new("x.wav"), stem).is_err(), "{stem}");
        }
        assert_eq!(CREMA_D.documented_total(), Some(7442));
    }
}
