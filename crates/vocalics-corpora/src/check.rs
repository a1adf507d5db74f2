//! Checks on what is on disk and on what a protocol makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};
use vocalics_audio::{DecodeOptions, read_file};

use crate::manifest::hex;
use crate::{CorpusKind, Fold, Utterance, speaker_overlap};

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The file is not there.
    Missing,
    /// The file cannot be decoded.
    Unreadable,
    /// The same samples as another clip.
    Duplicate,
    /// No sample rises above [`CheckOptions::silence_peak`].
    Silent,
    /// More samples at full scale than [`CheckOptions::clipped_ratio`].
    Clipped,
    /// The number of clips differs from the one the corpus documents.
    CountDiffers,
    /// A speaker, clip or recording is in two parts of a fold.
    Leaked,
}

impl FindingKind {
    /// The word written to files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Duplicate => "duplicate",
            Self::Silent => "silent",
            Self::Clipped => "clipped",
            Self::CountDiffers => "count-differs",
            Self::Leaked => "leaked",
        }
    }
}

/// Something a check found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// The utterances, corpora or folds concerned.
    pub subjects: Vec<String>,
    /// The file, where it is one.
    pub path: Option<PathBuf>,
    /// What was found, with numbers.
    pub message: String,
    /// Whether the corpus is known to be so as published: no fault of this copy.
    pub known: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}: {}",
            self.kind.as_str(),
            self.subjects.join(", "),
            self.message
        )?;
        if self.known {
            f.write_str(" (so in the published corpus)")
        } else {
            Ok(())
        }
    }
}

/// What is measured on one clip that could be decoded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Clip {
    /// The utterance.
    pub id: String,
    /// Length of the decoded audio in seconds.
    pub duration_secs: f64,
    /// Largest magnitude, full scale is 1.
    pub peak: f32,
    /// Share of samples at full scale, in runs of three or more, 0 to 1.
    pub clipped_ratio: f32,
    /// Hash of the decoded samples; equal for equal content whatever the container.
    pub content_hash: String,
}

/// What the checks found.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CheckReport {
    /// Number of utterances looked at.
    pub checked: usize,
    /// The clips that could be decoded, in the order of the list.
    pub clips: Vec<Clip>,
    /// What was found, by kind.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Findings that are not known of the published corpus.
    pub fn faults(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| !f.known)
    }

    /// Duration by id in seconds, for [`crate::Composition::with_durations`].
    #[must_use]
    pub fn durations(&self) -> BTreeMap<String, f64> {
        self.clips
            .iter()
            .map(|c| (c.id.clone(), c.duration_secs))
            .collect()
    }

    /// Groups of indices into `utterances` with the same content, for
    /// [`crate::Protocol::folds_with_duplicates`].
    #[must_use]
    pub fn duplicate_groups(&self, utterances: &[Utterance]) -> Vec<Vec<usize>> {
        let index: BTreeMap<&str, usize> = utterances
            .iter()
            .enumerate()
            .map(|(i, u)| (u.id.as_str(), i))
            .collect();
        let indices = |ids: Vec<&str>| {
            let mut group: Vec<usize> = ids
                .iter()
                .filter_map(|id| index.get(*id).copied())
                .collect();
            group.sort_unstable();
            group
        };
        self.same_content()
            .into_iter()
            .map(indices)
            .filter(|group| group.len() > 1)
            .collect()
    }

    fn same_content(&self) -> Vec<Vec<&str>> {
        let mut by_hash: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for clip in &self.clips {
            by_hash
                .entry(&clip.content_hash)
                .or_default()
                .push(&clip.id);
        }
        let mut groups: Vec<Vec<&str>> = by_hash.into_values().filter(|g| g.len() > 1).collect();
        for group in &mut groups {
            group.sort_unstable();
        }
        groups.sort();
        groups
    }
}

/// Limits of the checks.
#[derive(Debug, Clone)]
pub struct CheckOptions {
    /// How files are decoded. Very short clips are read all the same: their length is reported.
    pub decode: DecodeOptions,
    /// A clip whose largest magnitude is at or below this is silent. The default, two steps of
    /// 16-bit audio, is far below the quietest takes of RAVDESS (149 steps).
    pub silence_peak: f32,
    /// A clip with a larger share of clipped samples is reported; the default is one in a thousand.
    pub clipped_ratio: f32,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            decode: DecodeOptions {
                min_duration_secs: 0.0,
                ..DecodeOptions::default()
            },
            silence_peak: 2.0 / 32768.0,
            clipped_ratio: 0.001,
        }
    }
}

/// Checks a list with the default limits: every file is decoded, on all cores.
#[must_use]
pub fn check(utterances: &[Utterance]) -> CheckReport {
    check_with(utterances, &CheckOptions::default(), &|_| {})
}

/// Checks a list. `progress` is called with the number of clips done since the last call, from any
/// thread.
///
/// Findings: missing and unreadable files; clips with equal decoded samples; silent and clipped
/// ones; corpora whose counts differ from the documented ones. A corpus is compared only where its
/// documentation fixes the counts, and as a whole: choose the utterances afterwards.
#[must_use]
pub fn check_with(
    utterances: &[Utterance],
    options: &CheckOptions,
    progress: &(dyn Fn(usize) + Sync),
) -> CheckReport {
    let outcomes: Vec<Result<Clip, Finding>> = utterances
        .par_iter()
        .map(|u| {
            let outcome = inspect(u, options);
            progress(1);
            outcome
        })
        .collect();
    let mut report = CheckReport {
        checked: utterances.len(),
        ..CheckReport::default()
    };
    for (outcome, u) in outcomes.into_iter().zip(utterances) {
        let clip = match outcome {
            Ok(clip) => clip,
            Err(finding) => {
                report.findings.push(finding);
                continue;
            }
        };
        let mut finding = |kind, message| {
            report.findings.push(Finding {
                kind,
                subjects: vec![u.id.clone()],
                path: Some(u.path.clone()),
                message,
                known: false,
            });
        };
        if clip.peak <= options.silence_peak {
            finding(
                FindingKind::Silent,
                format!("peak {:.6} of full scale", clip.peak),
            );
        }
        if clip.clipped_ratio > options.clipped_ratio {
            let percent = clip.clipped_ratio * 100.0;
            finding(
                FindingKind::Clipped,
                format!("{percent:.2} % of samples at full scale"),
            );
        }
        report.clips.push(clip);
    }
    let known: BTreeSet<(&str, &str)> = CorpusKind::ALL
        .iter()
        .flat_map(|k| k.info().known_duplicates.iter().copied())
        .collect();
    let duplicates: Vec<Finding> = report
        .same_content()
        .into_iter()
        .map(|ids| Finding {
            kind: FindingKind::Duplicate,
            message: format!("{} clips with the same samples", ids.len()),
            known: ids.len() == 2 && known.contains(&(ids[0], ids[1])),
            subjects: ids.into_iter().map(str::to_owned).collect(),
            path: None,
        })
        .collect();
    report.findings.extend(duplicates);
    report.findings.extend(check_counts(utterances));
    report.findings.sort();
    report
}

fn inspect(u: &Utterance, options: &CheckOptions) -> Result<Clip, Finding> {
    let fail = |kind, message: String| Finding {
        kind,
        subjects: vec![u.id.clone()],
        path: Some(u.path.clone()),
        message,
        known: false,
    };
    if !u.path.exists() {
        return Err(fail(
            FindingKind::Missing,
            format!("no file {}", u.path.display()),
        ));
    }
    let waveform = read_file(&u.path, &options.decode)
        .map_err(|e| fail(FindingKind::Unreadable, e.to_string()))?;
    let mut hasher = Sha256::new();
    let mut peak = 0.0_f32;
    for sample in waveform.samples() {
        peak = peak.max(sample.abs());
        hasher.update(sample.to_le_bytes());
    }
    Ok(Clip {
        id: u.id.clone(),
        duration_secs: waveform.duration_secs(),
        peak,
        clipped_ratio: waveform.clipped_ratio(),
        content_hash: hex(&hasher.finalize()),
    })
}

/// Compares the number of clips of each class with what the corpora document.
pub(crate) fn check_counts(utterances: &[Utterance]) -> Vec<Finding> {
    let mut found: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for u in utterances {
        *found
            .entry(&u.corpus)
            .or_default()
            .entry(&u.emotion)
            .or_insert(0) += 1;
    }
    let documented: BTreeMap<&str, &[(&str, usize)]> = CorpusKind::ALL
        .iter()
        .flat_map(|k| k.info().counts.iter().copied())
        .collect();
    let mut findings = Vec::new();
    for (corpus, counts) in found {
        let Some(expected) = documented.get(corpus) else {
            continue;
        };
        let expected: BTreeMap<&str, usize> = expected.iter().copied().collect();
        let labels: BTreeSet<&str> = expected.keys().chain(counts.keys()).copied().collect();
        let differing: Vec<String> = labels
            .into_iter()
            .filter_map(|label| {
                let (want, have) = (
                    expected.get(label).unwrap_or(&0),
                    counts.get(label).unwrap_or(&0),
                );
                (want != have).then(|| format!("{label}: expected {want}, found {have}"))
            })
            .collect();
        if !differing.is_empty() {
            findings.push(Finding {
                kind: FindingKind::CountDiffers,
                subjects: vec![corpus.to_owned()],
                path: None,
                message: differing.join("; "),
                known: false,
            });
        }
    }
    findings
}

/// Looks for leaks in folds: a clip in two parts, copies of one recording in two parts, and, unless
/// the protocol says that it shares them, speakers in two parts.
///
/// `duplicates` are groups of indices, from [`CheckReport::duplicate_groups`].
#[must_use]
pub fn check_folds(
    folds: &[Fold],
    utterances: &[Utterance],
    speakers_shared: bool,
    duplicates: &[Vec<usize>],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for fold in folds {
        let mut leak = |subjects: Vec<String>, message: &str| {
            findings.push(Finding {
                kind: FindingKind::Leaked,
                subjects,
                path: None,
                message: format!("fold {}: {message}", fold.name),
                known: false,
            });
        };
        if !speakers_shared {
            for speaker in speaker_overlap(fold, utterances) {
                leak(
                    vec![speaker],
                    "speaker in more than one of train, validation and test",
                );
            }
        }
        let mut part_of: BTreeMap<usize, usize> = BTreeMap::new();
        let name = |i: usize| {
            utterances
                .get(i)
                .map_or_else(|| i.to_string(), |u| u.id.clone())
        };
        for (part, indices) in [&fold.train, &fold.validation, &fold.test]
            .into_iter()
            .enumerate()
        {
            for &i in indices {
                if part_of.insert(i, part).is_some() {
                    leak(vec![name(i)], "clip is listed twice");
                }
            }
        }
        for group in duplicates {
            let parts: BTreeSet<usize> = group
                .iter()
                .filter_map(|i| part_of.get(i).copied())
                .collect();
            if parts.len() > 1 {
                leak(
                    group.iter().map(|&i| name(i)).collect(),
                    "copies of one recording in more than one of train, validation and test",
                );
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocalics_audio::write_wav16;

    fn clip(path: PathBuf, speaker: &str) -> Utterance {
        Utterance {
            id: format!("x/{}", path.file_stem().unwrap().to_string_lossy()),
            path,
            corpus: "x".into(),
            speaker: speaker.into(),
            sex: None,
            emotion: "sad".into(),
            intensity: None,
            statement: None,
            repetition: None,
            channel: None,
        }
    }

    #[test]
    fn every_kind_of_fault_is_found() {
        let root = tempfile::tempdir().unwrap();
        let tone = |scale: f32| -> Vec<f32> {
            (0..16_000)
                .map(|i| ((i as f32) * 0.05).sin() * scale)
                .collect()
        };
        let square: Vec<f32> = (0..16_000)
            .map(|i| if i % 200 < 100 { 1.0 } else { -1.0 })
            .collect();
        for (name, samples) in [
            ("good", tone(0.5)),
            ("copy", tone(0.5)),
            ("quiet", tone(0.004)),
            ("silent", vec![0.0; 16_000]),
            ("clipped", square),
        ] {
            write_wav16(&root.path().join(format!("{name}.wav")), &samples, 16_000).unwrap();
        }
        std::fs::write(root.path().join("broken.wav"), b"no audio at all").unwrap();
        let list: Vec<Utterance> = [
            "good", "copy", "quiet", "silent", "clipped", "broken", "gone",
        ]
        .iter()
        .map(|n| clip(root.path().join(format!("{n}.wav")), "s"))
        .collect();
        let report = check(&list);
        let found: Vec<(FindingKind, Vec<&str>)> = report
            .findings
            .iter()
            .map(|f| (f.kind, f.subjects.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            found,
            [
                (FindingKind::Missing, vec!["x/gone"]),
                (FindingKind::Unreadable, vec!["x/broken"]),
                (FindingKind::Duplicate, vec!["x/copy", "x/good"]),
                (FindingKind::Silent, vec!["x/silent"]),
                (FindingKind::Clipped, vec!["x/clipped"]),
            ]
        );
        assert_eq!((report.checked, report.clips.len()), (7, 5));
        assert_eq!(report.duplicate_groups(&list), [[0, 1]]);
        assert!((report.durations()["x/good"] - 1.0).abs() < 1e-9);
        assert_eq!(report.faults().count(), 5);
    }

    #[test]
    fn counts_are_compared_where_they_are_documented() {
        let mut u = clip("a.wav".into(), "tess-OAF");
        u.corpus = "tess".into();
        let findings = check_counts(&[u, clip("b.wav".into(), "s")]);
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].message.contains("sad: expected 400, found 1"),
            "{}",
            findings[0]
        );
    }

    #[test]
    fn leaks_of_speakers_clips_and_copies_are_found() {
        let list: Vec<Utterance> = [("a", "p"), ("b", "q"), ("c", "p")]
            .iter()
            .map(|(n, s)| clip(format!("{n}.wav").into(), s))
            .collect();
        let fold = Fold {
            name: "f".into(),
            train: vec![0, 1],
            validation: vec![],
            test: vec![2, 1],
        };
        let messages: Vec<String> =
            check_folds(std::slice::from_ref(&fold), &list, false, &[vec![0, 2]])
                .iter()
                .map(|f| f.subjects.join("+"))
                .collect();
        assert_eq!(messages, ["p", "q", "x/b", "x/a+x/c"]);
        assert_eq!(check_folds(&[fold], &list, true, &[]).len(), 1);
    }
}
