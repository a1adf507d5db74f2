//! Counts and folds on the corpora themselves. Runs where `VOCALICS_DATA`, or `../shared/data`
//! beside the workspace, holds RAVDESS and TESS; says so when it does not.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use vocalics_corpora::{
    CorpusKind, CorpusSpec, FindingKind, LabelSet, Protocol, SplitOptions, Utterance, check,
    composition, locate, scan, scan_all, speaker_overlap,
};

fn data_root() -> Option<PathBuf> {
    let root = std::env::var_os("VOCALICS_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let there = root.join("ravdess-speech").is_dir() && root.join("tess").is_dir();
    if !there {
        eprintln!("skipped: no corpora");
    }
    there.then_some(root)
}

fn by_emotion(utterances: &[Utterance]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for u in utterances {
        *counts.entry(u.emotion.as_str()).or_insert(0) += 1;
    }
    counts
}

fn all(root: &std::path::Path) -> Vec<Utterance> {
    scan_all(&locate(root)).unwrap().utterances
}

#[test]
fn the_documented_counts_come_out() {
    let Some(root) = data_root() else { return };
    for (kind, folder, total) in [
        (CorpusKind::RavdessSpeech, "ravdess-speech", 1440),
        (CorpusKind::RavdessSong, "ravdess-song", 1012),
        (CorpusKind::Tess, "tess", 2800),
    ] {
        let scan = scan(&CorpusSpec {
            kind,
            root: root.join(folder),
        })
        .unwrap();
        assert_eq!(scan.problems, [], "{kind}");
        assert_eq!(scan.utterances.len(), total, "{kind}");
        assert_eq!(kind.info().documented_total(), Some(total), "{kind}");
        let documented: BTreeMap<&str, usize> = kind
            .info()
            .counts
            .iter()
            .flat_map(|(_, c)| c.iter().copied())
            .collect();
        assert_eq!(by_emotion(&scan.utterances), documented, "{kind}");
        assert!(scan.utterances.is_sorted_by(|a, b| a.id < b.id));
    }
}

#[test]
fn a_root_with_several_corpora_is_narrowed_to_each() {
    let Some(root) = data_root() else { return };
    let both = scan(&CorpusSpec {
        kind: CorpusKind::Ravdess,
        root: root.clone(),
    })
    .unwrap();
    assert_eq!((both.utterances.len(), both.problems.len()), (2452, 0));
    let tess = scan(&CorpusSpec {
        kind: CorpusKind::Tess,
        root: root.clone(),
    })
    .unwrap();
    assert_eq!((tess.utterances.len(), tess.problems.len()), (2800, 0));
    assert_eq!(all(&root).len(), 5252);
}

#[test]
fn folds_test_the_published_actors_and_only_their_speech() {
    let Some(root) = data_root() else { return };
    let utterances = all(&root);
    let labels = LabelSet::emotions8().indices(&utterances).unwrap();
    let emobox: &[&[u32]] = &[
        &[1, 11, 20, 21],
        &[4, 10, 12, 14],
        &[8, 9, 19, 23],
        &[3, 5, 7, 24],
        &[2, 15, 16, 18],
        &[6, 13, 17, 22],
    ];
    let folds = Protocol::Emobox6Fold
        .folds(&utterances, &labels, &SplitOptions::default())
        .unwrap();
    assert_eq!(folds.len(), emobox.len());
    let mut tested = BTreeSet::new();
    for (fold, actors) in folds.iter().zip(emobox) {
        let speakers: BTreeSet<&str> = fold
            .test
            .iter()
            .map(|&i| utterances[i].speaker.as_str())
            .collect();
        let expected: BTreeSet<String> = actors.iter().map(|a| format!("ravdess-{a:02}")).collect();
        assert_eq!(speakers, expected.iter().map(String::as_str).collect());
        assert_eq!(fold.test.len(), 240);
        assert_eq!(fold.validation.len(), 120);
        assert!(
            fold.test
                .iter()
                .all(|&i| utterances[i].corpus == "ravdess-speech")
        );
        assert!(
            fold.validation
                .iter()
                .all(|&i| utterances[i].corpus == "ravdess-speech")
        );
        // 18 actors' speech, all of TESS, and the song of those who sing.
        let song = fold
            .train
            .iter()
            .filter(|&&i| utterances[i].corpus == "ravdess-song")
            .count();
        assert_eq!(fold.train.len() - song, 18 * 60 + 2800);
        assert!(song == 18 * 44 || song == 17 * 44, "{song}");
        assert_eq!(speaker_overlap(fold, &utterances), Vec::<String>::new());
        tested.extend(fold.test.iter().copied());
    }
    assert_eq!(tested.len(), 1440);

    let luna = Protocol::Luna5Fold
        .folds(&utterances, &labels, &SplitOptions::default())
        .unwrap();
    let sizes: Vec<usize> = luna.iter().map(|f| f.test.len()).collect();
    assert_eq!(sizes, [300, 300, 300, 300, 240]);
}

#[test]
fn seed_mix_is_a_fifth_of_the_5252_clips_and_the_twin_stays_with_its_twin() {
    let Some(root) = data_root() else { return };
    let utterances = all(&root);
    let labels = LabelSet::emotions8().indices(&utterances).unwrap();
    let twins: Vec<usize> = ["03-01-03-01-02-01-07", "03-01-03-01-02-02-07"]
        .iter()
        .map(|s| {
            utterances
                .iter()
                .position(|u| u.id == format!("ravdess-speech/{s}"))
                .unwrap()
        })
        .collect();
    for seed in 0..20 {
        let options = SplitOptions {
            seed,
            ..SplitOptions::default()
        };
        let folds = Protocol::SeedMix
            .folds(&utterances, &labels, &options)
            .unwrap();
        let fold = &folds[0];
        assert!(
            (1049..=1050).contains(&fold.test.len()),
            "{}",
            fold.test.len()
        );
        assert_eq!(
            fold.train.len() + fold.validation.len() + fold.test.len(),
            5252
        );
        for part in [&fold.train, &fold.validation, &fold.test] {
            assert_eq!(part.contains(&twins[0]), part.contains(&twins[1]));
        }
    }
}

#[test]
fn the_composition_table_is_that_of_the_5252_clips() {
    let Some(root) = data_root() else { return };
    let table = composition(&all(&root));
    assert_eq!((table.clips, table.speakers), (5252, 26));
    assert_eq!(table.labels, LabelSet::emotions8().as_slice());
    assert_eq!(table.totals, [588, 376, 776, 776, 776, 776, 592, 592]);
    let columns: Vec<(&str, usize, usize)> = table
        .corpora
        .iter()
        .map(|c| (c.corpus.as_str(), c.clips, c.speakers))
        .collect();
    assert_eq!(
        columns,
        [
            ("ravdess-song", 1012, 23),
            ("ravdess-speech", 1440, 24),
            ("tess", 2800, 2)
        ]
    );
}

#[test]
fn the_check_finds_the_published_twin_of_actor_7_and_no_other_fault() {
    let Some(root) = data_root() else { return };
    let mut utterances = all(&root);
    // The quiet takes of actor 9 must pass as well.
    utterances.retain(|u| {
        u.corpus == "ravdess-speech" && u.speaker == "ravdess-07"
            || u.id.starts_with("ravdess-speech/03-01-02") && u.speaker == "ravdess-09"
    });
    let report = check(&utterances);
    assert_eq!((report.checked, report.clips.len()), (68, 68));
    let found: Vec<FindingKind> = report.findings.iter().map(|f| f.kind).collect();
    assert_eq!(found, [FindingKind::Duplicate, FindingKind::CountDiffers]);
    assert!(report.findings[0].known);
    assert_eq!(report.faults().count(), 1);
    assert_eq!(report.duplicate_groups(&utterances).len(), 1);
}

#[test]
fn the_check_of_everything_finds_what_is_known() {
    let Some(root) = data_root() else { return };
    let utterances = all(&root);
    let report = check(&utterances);
    let table = composition(&utterances).with_durations(&utterances, &report.durations());
    eprintln!("{table}");
    for finding in &report.findings {
        eprintln!("{finding}");
    }
    assert_eq!(report.clips.len(), 5252);
    let bad = [
        FindingKind::Missing,
        FindingKind::Unreadable,
        FindingKind::Silent,
        FindingKind::CountDiffers,
    ];
    assert!(report.findings.iter().all(|f| !bad.contains(&f.kind)));
    let minutes: Vec<f64> = table
        .corpora
        .iter()
        .map(|c| c.minutes.unwrap().round())
        .collect();
    assert!((minutes[0] - 78.0).abs() < 1.5 && (minutes[1] - 89.0).abs() < 1.5);
    assert!((minutes[2] - 96.0).abs() < 1.5, "{minutes:?}");
}
