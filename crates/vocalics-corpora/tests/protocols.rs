//! Properties every protocol has on any list, and folds from files.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use proptest::prelude::*;
use vocalics_corpora::{
    CorpusError, Fold, Protocol, Sex, SplitOptions, UserFolds, Utterance, check_folds,
    speaker_overlap, write_folds,
};

fn clip(corpus: &str, speaker: &str, sex: Option<Sex>, emotion: usize, take: usize) -> Utterance {
    let id = if corpus.starts_with("ravdess") {
        // The names of real clips, so that the known twin of actor 7 is among them.
        let channel = if corpus == "ravdess-song" { 2 } else { 1 };
        let (statement, repetition) = (1 + take / 2 % 2, 1 + take % 2);
        let actor = &speaker["ravdess-".len()..];
        format!(
            "{corpus}/03-{channel:02}-{:02}-01-{statement:02}-{repetition:02}-{actor}",
            emotion + 1
        )
    } else {
        format!("{corpus}/{speaker}-{emotion}-{take}")
    };
    Utterance {
        id,
        path: PathBuf::from("x.wav"),
        corpus: corpus.to_owned(),
        speaker: speaker.to_owned(),
        sex,
        emotion: emotion.to_string(),
        intensity: None,
        statement: None,
        repetition: None,
        channel: None,
    }
}

/// RAVDESS with gaps, TESS and a corpus of the user's, in any order.
fn lists() -> impl Strategy<Value = Vec<Utterance>> {
    let ravdess = proptest::collection::vec((1_usize..5, 0_usize..5), 24);
    let others = proptest::collection::vec((0_usize..6, 0_usize..3), 0..6);
    (ravdess, others, any::<u64>()).prop_map(|(ravdess, others, order)| {
        let mut list = Vec::new();
        for (actor, (speech, song)) in ravdess.into_iter().enumerate() {
            let speaker = format!("ravdess-{:02}", actor + 1);
            let sex = Some(if actor % 2 == 0 {
                Sex::Male
            } else {
                Sex::Female
            });
            for emotion in 0..4 {
                for take in 0..speech {
                    list.push(clip("ravdess-speech", &speaker, sex, emotion, take));
                }
                for take in 0..song.min(4) {
                    list.push(clip("ravdess-song", &speaker, sex, emotion, take));
                }
            }
        }
        for speaker in ["tess-OAF", "tess-YAF"] {
            for take in 0..12 {
                list.push(clip("tess", speaker, Some(Sex::Female), take % 4, take));
            }
        }
        for (number, (clips, sex)) in others.into_iter().enumerate() {
            let sex = [None, Some(Sex::Male), Some(Sex::Female)][sex];
            for take in 0..clips {
                list.push(clip("mine", &format!("mine-{number}"), sex, take % 4, take));
            }
        }
        let len = list.len();
        let mut state = order;
        for i in (1..len).rev() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            list.swap(i, usize::try_from(state >> 33).unwrap() % (i + 1));
        }
        list
    })
}

fn labels(list: &[Utterance]) -> Vec<usize> {
    list.iter().map(|u| u.emotion.parse().unwrap()).collect()
}

fn assert_each_clip_once(fold: &Fold) {
    let mut seen = BTreeSet::new();
    for &i in fold.train.iter().chain(&fold.validation).chain(&fold.test) {
        assert!(seen.insert(i), "clip {i} in two parts");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn speakers_clips_and_copies_are_on_one_side(
        list in lists(),
        seed in any::<u64>(),
        validation_speakers in 0_usize..5,
        copies in proptest::collection::vec((0_usize..1000, 0_usize..1000), 0..4),
    ) {
        let labels = labels(&list);
        let options = SplitOptions { seed, validation_speakers, ..SplitOptions::default() };
        let copies: Vec<Vec<usize>> =
            copies.iter().map(|(a, b)| vec![a % list.len(), b % list.len()]).collect();
        let mut protocols: Vec<Protocol> = [
            "emobox-6fold", "luna-5fold", "loso", "random-80-20",
        ].iter().map(|n| n.parse().unwrap()).collect();
        protocols.push(Protocol::SeedMix);
        for protocol in protocols {
            let mix: Vec<Utterance>;
            let (list, labels) = if protocol == Protocol::SeedMix {
                mix = list.iter().filter(|u| u.corpus != "mine").cloned().collect();
                if !mix.iter().any(|u| u.corpus == "ravdess-song") {
                    continue;
                }
                let labels = self::labels(&mix);
                (&mix, labels)
            } else {
                (&list, labels.clone())
            };
            let copies: Vec<Vec<usize>> =
                copies.iter().filter(|g| g.iter().all(|&i| i < list.len())).cloned().collect();
            let folds = match protocol.folds_with_duplicates(list, &labels, &options, &copies) {
                Ok(folds) => folds,
                // A speaker whose only clip is a copy of a test clip leaves an empty part behind.
                Err(CorpusError::EmptyPart { .. }) if !copies.is_empty() => continue,
                Err(error) => panic!("{protocol}: {error}"),
            };
            prop_assert!(!folds.is_empty());
            for fold in &folds {
                assert_each_clip_once(fold);
                prop_assert!(fold.test.is_sorted() && fold.train.is_sorted());
                prop_assert_eq!(fold.validation.is_empty(), validation_speakers == 0);
                if !protocol.speakers_shared() {
                    prop_assert_eq!(speaker_overlap(fold, list), Vec::<String>::new());
                    let held_out: BTreeSet<&str> =
                        fold.validation.iter().map(|&i| list[i].speaker.as_str()).collect();
                    prop_assert_eq!(held_out.len(), validation_speakers);
                }
            }
            prop_assert_eq!(check_folds(&folds, list, protocol.speakers_shared(), &copies), []);
        }
    }

    #[test]
    fn speech_and_song_of_an_actor_are_never_on_both_sides(list in lists(), seed in 0_u64..100) {
        let options = SplitOptions { seed, ..SplitOptions::default() };
        for protocol in [Protocol::Emobox6Fold, Protocol::Luna5Fold, Protocol::Loso] {
            for fold in protocol.folds(&list, &labels(&list), &options).unwrap() {
                for &i in fold.test.iter().chain(&fold.validation) {
                    prop_assert!(fold.train.iter().all(|&j| list[j].speaker != list[i].speaker));
                }
                if protocol != Protocol::Loso {
                    let speech = |&i: &usize| list[i].corpus == "ravdess-speech";
                    prop_assert!(fold.test.iter().all(speech) && fold.validation.iter().all(speech));
                }
            }
        }
    }

    #[test]
    fn a_random_split_depends_on_the_clips_not_on_their_order(list in lists(), seed in any::<u64>()) {
        let ids = |list: &[Utterance]| -> BTreeSet<String> {
            let options = SplitOptions { seed, ..SplitOptions::default() };
            let folds = Protocol::Random8020.folds(list, &labels(list), &options).unwrap();
            folds[0].test.iter().map(|&i| list[i].id.clone()).collect()
        };
        let mut sorted = list.clone();
        sorted.sort_by(|a, b| b.id.cmp(&a.id));
        prop_assert_eq!(ids(&list), ids(&sorted));
    }

    #[test]
    fn written_folds_read_back_the_same(list in lists(), seed in any::<u64>()) {
        let folder = tempfile::tempdir().unwrap();
        let options = SplitOptions { seed, repeats: 3, ..SplitOptions::default() };
        for protocol in [Protocol::Emobox6Fold, Protocol::Random8020] {
            let folds = protocol.folds(&list, &labels(&list), &options).unwrap();
            let path = folder.path().join("folds.csv");
            write_folds(&path, &list, &folds, protocol.speakers_shared()).unwrap();
            let read = Protocol::from_name_or_file(path.to_str().unwrap()).unwrap();
            prop_assert_eq!(read.speakers_shared(), protocol.speakers_shared());
            prop_assert_eq!(read.folds(&list, &labels(&list), &options).unwrap(), folds);
        }
    }
}

#[test]
fn repeats_are_the_splits_of_the_next_seeds() {
    let list = small();
    let folds = |seed, repeats| {
        let options = SplitOptions {
            seed,
            repeats,
            ..SplitOptions::default()
        };
        Protocol::Random8020
            .folds(&list, &labels(&list), &options)
            .unwrap()
    };
    let three = folds(7, 3);
    let names: Vec<&str> = three.iter().map(|fold| fold.name.as_str()).collect();
    assert_eq!(names, ["seed-7", "seed-8", "seed-9"]);
    assert_eq!(three[2], folds(9, 1)[0]);
    assert_ne!(three[0].test, three[1].test);
}

fn small() -> Vec<Utterance> {
    let mut list = Vec::new();
    for (speaker, sex) in [
        ("a", Sex::Male),
        ("b", Sex::Female),
        ("c", Sex::Male),
        ("d", Sex::Female),
    ] {
        for take in 0..4 {
            list.push(clip("mine", speaker, Some(sex), take % 2, take));
        }
    }
    list
}

fn user(text: &str) -> Result<UserFolds, CorpusError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.csv");
    std::fs::write(&path, text).unwrap();
    UserFolds::read(&path)
}

#[test]
fn user_folds_by_speaker_get_validation_speakers_by_the_rule() {
    let list = small();
    let folds = user("fold,speaker\n1,a\n1,b\n2,c\n2,d\n").unwrap();
    assert_eq!(
        (folds.name.as_str(), folds.len(), folds.speakers_shared),
        ("mine", 2, false)
    );
    let options = SplitOptions {
        seed: 0,
        validation_speakers: 1,
        ..SplitOptions::default()
    };
    let folds = Protocol::User(folds)
        .folds(&list, &labels(&list), &options)
        .unwrap();
    for fold in &folds {
        assert_eq!(
            (fold.train.len(), fold.validation.len(), fold.test.len()),
            (4, 4, 8)
        );
        assert_eq!(speaker_overlap(fold, &list), Vec::<String>::new());
    }
    assert_eq!(folds[0].test, (0..8).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn corpora_that_only_train_change_no_other_part(
        list in lists(), seed in any::<u64>(), validation_speakers in 0_usize..3,
    ) {
        let labels = labels(&list);
        let beside = |i: &usize| ["ravdess-song", "tess"].contains(&list[*i].corpus.as_str());
        let rest: Vec<Utterance> =
            (0..list.len()).filter(|i| !beside(i)).map(|i| list[i].clone()).collect();
        let here: Vec<String> = ["ravdess-song", "tess"]
            .iter()
            .filter(|name| list.iter().any(|u| u.corpus == **name))
            .map(|name| (*name).to_owned())
            .collect();
        let without = SplitOptions { seed, validation_speakers, ..SplitOptions::default() };
        let options = SplitOptions { train_only: here, ..without.clone() };
        for protocol in [Protocol::Emobox6Fold, Protocol::Luna5Fold, Protocol::Loso, Protocol::Random8020] {
            let folds = protocol.folds(&list, &labels, &options);
            let plain = protocol.folds(&rest, &self::labels(&rest), &without);
            let (Ok(folds), Ok(plain)) = (&folds, &plain) else {
                prop_assert!(plain.is_err(), "{folds:?}");
                continue;
            };
            prop_assert_eq!(folds.len(), plain.len());
            for (fold, plain) in folds.iter().zip(plain) {
                let ids = |list: &[Utterance], part: &[usize]| -> BTreeSet<String> {
                    part.iter().map(|&i| list[i].id.clone()).collect()
                };
                prop_assert_eq!(&fold.name, &plain.name);
                prop_assert_eq!(ids(&list, &fold.test), ids(&rest, &plain.test));
                prop_assert_eq!(ids(&list, &fold.validation), ids(&rest, &plain.validation));
                let speech: Vec<usize> = fold.train.iter().filter(|i| !beside(i)).copied().collect();
                prop_assert_eq!(ids(&list, &speech), ids(&rest, &plain.train));
                prop_assert!(fold.train.is_sorted());
                assert_each_clip_once(fold);
                let joined = fold.train.len() - speech.len();
                if protocol.speakers_shared() {
                    // But for copies of test clips, of which these corpora have none.
                    prop_assert_eq!(joined, (0..list.len()).filter(beside).count());
                } else {
                    prop_assert!(speaker_overlap(fold, &list).is_empty());
                }
            }
        }
    }
}

#[test]
fn a_corpus_that_only_trains_must_be_there_and_is_not_split() {
    let list = small();
    let options = SplitOptions {
        train_only: vec!["tess".to_owned()],
        ..SplitOptions::default()
    };
    let error = Protocol::Random8020
        .folds(&list, &labels(&list), &options)
        .unwrap_err();
    assert!(
        matches!(&error, CorpusError::MissingCorpus { corpus, .. } if corpus == "tess"),
        "{error}"
    );
    let list = [
        clip("ravdess-speech", "ravdess-01", None, 0, 0),
        clip("ravdess-song", "ravdess-01", None, 0, 0),
        clip("tess", "tess-OAF", None, 0, 0),
    ];
    let options = SplitOptions {
        train_only: ["ravdess-speech", "ravdess-song", "tess"]
            .map(str::to_owned)
            .to_vec(),
        ..SplitOptions::default()
    };
    let error = Protocol::Random8020
        .folds(&list, &[0; 3], &options)
        .unwrap_err();
    assert!(matches!(error, CorpusError::TrainOnly { .. }), "{error}");
    for protocol in [Protocol::SeedMix, Protocol::Emobox6Fold] {
        let options = SplitOptions {
            train_only: vec!["ravdess-speech".to_owned()],
            ..SplitOptions::default()
        };
        let error = protocol.folds(&list, &[0; 3], &options).unwrap_err();
        assert!(
            matches!(&error, CorpusError::TrainOnly { corpus, .. } if corpus == "ravdess-speech"),
            "{error}"
        );
    }
}

#[test]
fn user_folds_that_share_speakers_must_say_so() {
    let list = small();
    let text = "fold,id,part\n1,mine/a-0-0,test\n1,mine/b-0-0,validation\n";
    let options = SplitOptions::default();
    let error = Protocol::User(user(text).unwrap())
        .folds(&list, &labels(&list), &options)
        .unwrap_err();
    assert!(
        matches!(error, CorpusError::SharedSpeaker { .. }),
        "{error}"
    );
    let marked = user(&format!("# speakers shared\n{text}")).unwrap();
    assert!(marked.speakers_shared);
    let denied = user(&format!(
        "# no speakers shared between train and test\n{text}"
    ))
    .unwrap();
    assert!(!denied.speakers_shared);
    let folds = Protocol::User(marked)
        .folds(&list, &labels(&list), &options)
        .unwrap();
    assert_eq!((folds[0].train.len(), folds[0].test.len()), (14, 1));
}

/// Whoever nobody named may be one of the test speakers.
#[test]
fn clips_without_a_speaker_are_refused_where_speakers_are_kept_apart() {
    let mut list = small();
    for take in 0..3 {
        list.push(clip("calls", "folder-calls-unknown", None, take % 2, take));
    }
    let options = SplitOptions::default();
    let attempt =
        |protocol: &Protocol, list: &[Utterance]| protocol.folds(list, &labels(list), &options);
    let file = |text: &str| Protocol::User(user(text).unwrap());
    let ann = "fold,speaker,part\n1,a,test\n";
    for protocol in [Protocol::Loso, file(ann)] {
        let error = attempt(&protocol, &list).unwrap_err();
        assert!(
            matches!(&error, CorpusError::UnnamedSpeakers { count: 3, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("calls/folder-calls-unknown-0-0"));
    }
    let nobody = &list[list.len() - 3..];
    assert!(matches!(
        attempt(&Protocol::Loso, nobody),
        Err(CorpusError::UnnamedSpeakers { count: 3, .. })
    ));
    let without = file(&format!("{ann}1,folder-calls-unknown,none\n"));
    assert_eq!(attempt(&without, &list).unwrap()[0].test.len(), 4);
    attempt(&Protocol::Random8020, &list).unwrap();
    attempt(&file(&format!("# speakers shared\n{ann}")), &list).unwrap();

    let ravdess: Vec<Utterance> = (1..=24)
        .flat_map(|actor| {
            let speaker = format!("ravdess-{actor:02}");
            [0, 1].map(|emotion| clip("ravdess-speech", &speaker, None, emotion, 0))
        })
        .collect();
    attempt(&Protocol::Emobox6Fold, &ravdess).unwrap();
    let mut list = ravdess;
    list.extend(small().into_iter().take(1).map(|it| Utterance {
        speaker: "folder-mine-unknown".into(),
        ..it
    }));
    let beside = SplitOptions {
        train_only: vec!["mine".into()],
        ..options.clone()
    };
    for options in [options.clone(), beside] {
        let error = Protocol::Emobox6Fold
            .folds(&list, &labels(&list), &options)
            .unwrap_err();
        assert!(
            matches!(error, CorpusError::UnnamedSpeakers { count: 1, .. }),
            "{error}"
        );
    }
}

#[test]
fn user_folds_with_mistakes_are_refused_with_the_line() {
    for (text, part) in [
        ("speaker\na\n", "no column for fold"),
        ("fold\n1\n", "no column for speaker"),
        ("fold,speaker,part\n1,a,tset\n", "line 2: part \"tset\""),
        ("fold,speaker,part\n1,a,test\n1,a,train\n", "line 3: fold 1"),
        ("fold,speaker,part\n1,a,train\n", "the test part is empty"),
        ("fold,speaker\n", "the test part is empty"),
        ("fold,speaker\n,a\n", "line 2: an empty"),
    ] {
        let error = user(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    let list = small();
    let error = Protocol::User(user("fold,speaker\n1,zoe\n").unwrap())
        .folds(&list, &labels(&list), &SplitOptions::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("zoe"), "{error}");
}

#[test]
fn lists_a_protocol_is_not_defined_on_are_refused() {
    let list = small();
    let options = SplitOptions::default();
    let refuse = |protocol: Protocol, list: &[Utterance]| {
        protocol.folds(list, &labels(list), &options).unwrap_err()
    };
    assert!(matches!(
        refuse(Protocol::Emobox6Fold, &list),
        CorpusError::MissingCorpus { .. }
    ));
    assert!(matches!(
        refuse(Protocol::SeedMix, &list),
        CorpusError::MissingCorpus { .. }
    ));
    assert!(matches!(
        refuse(Protocol::Loso, &list[..8]),
        CorpusError::TooFewSpeakers { .. }
    ));
    assert!(matches!(
        refuse(Protocol::Loso, &[]),
        CorpusError::TooFewSpeakers { .. }
    ));
    assert!(matches!(
        refuse(Protocol::Random8020, &[]),
        CorpusError::EmptyPart { .. }
    ));
    let one = [clip("ravdess-speech", "ravdess-01", Some(Sex::Male), 0, 0)];
    let error = refuse(Protocol::Emobox6Fold, &one);
    assert!(error.to_string().contains("ravdess-24"), "{error}");
    assert!(matches!(
        Protocol::Loso.folds(&list, &[0], &options),
        Err(CorpusError::LabelCount {
            expected: 16,
            actual: 1
        })
    ));
    let text = "sixfold".parse::<Protocol>().unwrap_err().to_string();
    assert!(text.contains("emobox-6fold"), "{text}");
}
