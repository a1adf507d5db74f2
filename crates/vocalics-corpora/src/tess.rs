//! TESS: two women saying 200 words each in seven emotions.
//!
//! Files are `<speaker>_<word>_<emotion>`; folder names vary between copies and are not read. One
//! file of the published set is misnamed `OA_bite_neutral`; `ps` is pleasant surprise.
//!
//! Source: M. K. Pichora-Fuller, K. Dupuis, *Toronto emotional speech set (TESS)*, Borealis,
//! doi:10.5683/SP2/E8H2MF.

use std::path::Path;

use crate::corpus::{Download, Recognised, Scan, one_of, scan_folder};
use crate::{CorpusError, CorpusInfo, Sex, Utterance};

const SPEAKERS: &[&str] = &["OAF", "YAF"];

pub(crate) const TESS: CorpusInfo = CorpusInfo {
    name: "tess",
    aliases: &[],
    title: "Toronto emotional speech set",
    licence: "CC BY-NC-ND 4.0",
    source: "https://doi.org/10.5683/SP2/E8H2MF",
    folders: &["tess*"],
    counts: &[(
        "tess",
        &[
            ("neutral", 400),
            ("happy", 400),
            ("sad", 400),
            ("angry", 400),
            ("fearful", 400),
            ("disgust", 400),
            ("surprised", 400),
        ],
    )],
    known_duplicates: &[],
    download: Download::Dataverse {
        server: "https://borealisdata.ca",
        doi: "doi:10.5683/SP2/E8H2MF",
        folder: "tess",
    },
    speaker: |written| one_of(SPEAKERS, "tess", written),
    scan: scan_root,
};

fn scan_root(root: &Path) -> Result<Scan, CorpusError> {
    scan_folder(&TESS, root, |path, stem| {
        parse(path, stem).map(|u| Recognised::Utterance(Box::new(u)))
    })
}

fn parse(path: &Path, stem: &str) -> Result<Utterance, String> {
    let expected = "expected speaker_word_emotion, for example OAF_bite_neutral";
    let lower = stem.to_lowercase();
    let fields: Vec<&str> = lower.split('_').collect();
    let &[speaker, word, emotion] = fields.as_slice() else {
        return Err(format!("not a TESS file name, {expected}"));
    };
    let speaker = match speaker {
        "oaf" => "OAF",
        // The one misnamed file of the published set; any other "OA_" is unknown.
        "oa" if word == "bite" && emotion == "neutral" => "OAF",
        "yaf" => "YAF",
        other => {
            return Err(format!(
                "speaker \"{other}\", expected OAF or YAF; {expected}"
            ));
        }
    };
    if word.is_empty() {
        return Err(format!("no word in the file name, {expected}"));
    }
    let emotion = match emotion {
        "neutral" => "neutral",
        "happy" => "happy",
        "sad" => "sad",
        "angry" => "angry",
        "fear" => "fearful",
        "disgust" => "disgust",
        "ps" => "surprised",
        other => {
            return Err(format!(
                "emotion \"{other}\", expected neutral, happy, sad, angry, fear, disgust or ps"
            ));
        }
    };
    Ok(Utterance {
        id: format!("tess/{stem}"),
        path: path.to_path_buf(),
        corpus: "tess".into(),
        speaker: format!("tess-{speaker}"),
        sex: Some(Sex::Female),
        emotion: emotion.into(),
        intensity: None,
        statement: Some(format!("Say the word {word}")),
        repetition: None,
        channel: Some("speech".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quirks_of_the_published_set_are_read() {
        for (stem, speaker, emotion) in [
            ("OAF_back_angry", "tess-OAF", "angry"),
            ("OA_bite_neutral", "tess-OAF", "neutral"),
            ("YAF_back_ps", "tess-YAF", "surprised"),
            ("yaf_BACK_Fear", "tess-YAF", "fearful"),
        ] {
            let u = parse(Path::new("x.wav"), stem).unwrap();
            assert_eq!(
                (u.speaker.as_str(), u.emotion.as_str()),
                (speaker, emotion),
                "{stem}"
            );
        }
    }

    #[test]
    fn unknown_names_say_which_part() {
        for (stem, part) in [
            ("OA_back_neutral", "speaker \"oa\""),
            ("OAF_back", "not a TESS"),
            ("OAF_back_bored", "emotion \"bored\""),
            ("OAF__sad", "no word"),
        ] {
            let error = parse(Path::new("x.wav"), stem).unwrap_err();
            assert!(error.contains(part), "{stem}: {error}");
        }
    }
}
