//! RAVDESS: 24 actors speaking, 23 of them also singing, two sentences in up to eight emotions.
//!
//! Source: S. R. Livingstone, F. A. Russo, *The Ryerson Audio-Visual Database of Emotional Speech
//! and Song (RAVDESS)*, PLoS ONE 13(5), 2018; file-name rule from Zenodo record 1188976.

use std::path::Path;

use crate::corpus::{Archive, Download, Recognised, Scan, number_of, scan_folder};
use crate::{CorpusError, CorpusInfo, Sex, Utterance};

const LICENCE: &str = "CC BY-NC-SA 4.0";
const SOURCE: &str = "https://zenodo.org/records/1188976";

const SPEECH_COUNTS: &[(&str, usize)] = &[
    ("neutral", 96),
    ("calm", 192),
    ("happy", 192),
    ("sad", 192),
    ("angry", 192),
    ("fearful", 192),
    ("disgust", 192),
    ("surprised", 192),
];
const SONG_COUNTS: &[(&str, usize)] = &[
    ("neutral", 92),
    ("calm", 184),
    ("happy", 184),
    ("sad", 184),
    ("angry", 184),
    ("fearful", 184),
];

/// Sample-identical in the published corpus.
const DUPLICATES: &[(&str, &str)] = &[(
    "ravdess-speech/03-01-03-01-02-01-07",
    "ravdess-speech/03-01-03-01-02-02-07",
)];

// Sizes and MD5 are those the Zenodo record shows for its files; PaddleSpeech (paddleaudio's RAVDESS
// dataset) carries the same two MD5s.
const SPEECH_ZIP: Archive = Archive {
    url: "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
    file: "Audio_Speech_Actors_01-24.zip",
    folder: "ravdess-speech",
    bytes: Some(208_468_073),
    md5: Some("bc696df654c87fed845eb13823edef8a"),
};
const SONG_ZIP: Archive = Archive {
    url: "https://zenodo.org/records/1188976/files/Audio_Song_Actors_01-24.zip",
    file: "Audio_Song_Actors_01-24.zip",
    folder: "ravdess-song",
    bytes: Some(225_505_317),
    md5: Some("5411230427d67a21e18aa4d466e6d1b9"),
};

pub(crate) const BOTH: CorpusInfo = CorpusInfo {
    name: "ravdess",
    aliases: &["ravdess-both"],
    title: "Ryerson Audio-Visual Database of Emotional Speech and Song",
    licence: LICENCE,
    source: SOURCE,
    folders: &["ravdess*", "audio_speech_actors*", "audio_song_actors*"],
    counts: &[
        ("ravdess-speech", SPEECH_COUNTS),
        ("ravdess-song", SONG_COUNTS),
    ],
    known_duplicates: DUPLICATES,
    download: Download::Archives(&[SPEECH_ZIP, SONG_ZIP]),
    speaker: |written| number_of(written).map(speaker),
    scan: |root| scan_channels(&BOTH, root, true, true),
};

pub(crate) const SPEECH: CorpusInfo = CorpusInfo {
    name: "ravdess-speech",
    aliases: &[],
    title: "RAVDESS, speech",
    folders: &["ravdess-speech", "ravdess_speech", "audio_speech_actors*"],
    counts: &[("ravdess-speech", SPEECH_COUNTS)],
    download: Download::Archives(&[SPEECH_ZIP]),
    scan: |root| scan_channels(&SPEECH, root, true, false),
    ..BOTH
};

pub(crate) const SONG: CorpusInfo = CorpusInfo {
    name: "ravdess-song",
    aliases: &[],
    title: "RAVDESS, song",
    folders: &["ravdess-song", "ravdess_song", "audio_song_actors*"],
    counts: &[("ravdess-song", SONG_COUNTS)],
    known_duplicates: &[],
    download: Download::Archives(&[SONG_ZIP]),
    scan: |root| scan_channels(&SONG, root, false, true),
    ..BOTH
};

/// The name of an actor, the same in speech and in song.
pub(crate) fn speaker(actor: u32) -> String {
    format!("ravdess-{actor:02}")
}

fn scan_channels(
    info: &CorpusInfo,
    root: &Path,
    speech: bool,
    song: bool,
) -> Result<Scan, CorpusError> {
    scan_folder(info, root, |path, stem| {
        let utterance = parse(path, stem)?;
        let wanted = if utterance.corpus == "ravdess-song" {
            song
        } else {
            speech
        };
        Ok(if wanted {
            Recognised::Utterance(Box::new(utterance))
        } else {
            Recognised::NotWanted
        })
    })
}

/// Reads `modality-channel-emotion-intensity-statement-repetition-actor`.
fn parse(path: &Path, stem: &str) -> Result<Utterance, String> {
    let expected = "expected modality-channel-emotion-intensity-statement-repetition-actor, \
                    for example 03-01-05-02-01-01-12";
    let fields: Vec<u32> = stem
        .split('-')
        .map(|f| {
            let two_digits = f.len() == 2 && f.bytes().all(|b| b.is_ascii_digit());
            if two_digits { f.parse().ok() } else { None }
        })
        .collect::<Option<_>>()
        .ok_or_else(|| format!("not a RAVDESS file name, {expected}"))?;
    let &[
        modality,
        channel,
        emotion,
        intensity,
        statement,
        repetition,
        actor,
    ] = fields.as_slice()
    else {
        return Err(format!(
            "{} fields in a RAVDESS file name, {expected}",
            fields.len()
        ));
    };
    if modality != 3 {
        return Err(format!(
            "modality {modality:02}, expected 03 (audio only): the sound of a video is the same \
             recording as its audio file"
        ));
    }
    let (corpus, channel) = match channel {
        1 => ("ravdess-speech", "speech"),
        2 => ("ravdess-song", "song"),
        _ => {
            return Err(format!(
                "channel {channel:02}, expected 01 (speech) or 02 (song)"
            ));
        }
    };
    let emotion = match emotion {
        1 => "neutral",
        2 => "calm",
        3 => "happy",
        4 => "sad",
        5 => "angry",
        6 => "fearful",
        7 => "disgust",
        8 => "surprised",
        _ => return Err(format!("emotion {emotion:02}, expected 01 to 08")),
    };
    let intensity = match intensity {
        1 => "normal",
        2 => "strong",
        _ => return Err(format!("intensity {intensity:02}, expected 01 or 02")),
    };
    let statement = match statement {
        1 => "Kids are talking by the door",
        2 => "Dogs are sitting by the door",
        _ => return Err(format!("statement {statement:02}, expected 01 or 02")),
    };
    if !(1..=2).contains(&repetition) {
        return Err(format!("repetition {repetition:02}, expected 01 or 02"));
    }
    if !(1..=24).contains(&actor) {
        return Err(format!("actor {actor:02}, expected 01 to 24"));
    }
    Ok(Utterance {
        id: format!("{corpus}/{stem}"),
        path: path.to_path_buf(),
        corpus: corpus.into(),
        speaker: speaker(actor),
        sex: Some(if actor % 2 == 1 {
            Sex::Male
        } else {
            Sex::Female
        }),
        emotion: emotion.into(),
        intensity: Some(intensity.into()),
        statement: Some(statement.into()),
        repetition: Some(repetition),
        channel: Some(channel.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_and_song_of_one_actor_are_one_speaker() {
        let speech = parse(Path::new("x.wav"), "03-01-05-02-01-01-12").unwrap();
        assert_eq!(speech.id, "ravdess-speech/03-01-05-02-01-01-12");
        assert_eq!(
            (speech.emotion.as_str(), speech.sex),
            ("angry", Some(Sex::Female))
        );
        assert_eq!(speech.intensity.as_deref(), Some("strong"));
        assert_eq!(
            speech.statement.as_deref(),
            Some("Kids are talking by the door")
        );
        let song = parse(Path::new("x.wav"), "03-02-05-02-01-01-12").unwrap();
        assert_eq!(song.speaker, speech.speaker);
        assert_eq!(song.channel.as_deref(), Some("song"));
    }

    #[test]
    fn names_outside_the_rule_are_refused_with_the_field() {
        for (stem, part) in [
            ("take1", "not a RAVDESS"),
            ("03-01-05-02-01-01", "6 fields"),
            ("03-01-05-02-01-01-12-1", "not a RAVDESS"),
            ("01-01-05-02-01-01-12", "modality 01"),
            ("03-03-05-02-01-01-12", "channel 03"),
            ("03-01-09-02-01-01-12", "emotion 09"),
            ("03-01-05-03-01-01-12", "intensity 03"),
            ("03-01-05-02-03-01-12", "statement 03"),
            ("03-01-05-02-01-00-12", "repetition 00"),
            ("03-01-05-02-01-01-25", "actor 25"),
            ("03-01-05-02-01-01-+1", "not a RAVDESS"),
        ] {
            let error = parse(Path::new("x.wav"), stem).unwrap_err();
            assert!(error.contains(part), "{stem}: {error}");
        }
    }
}
