//! Which corpora are meant.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use vocalics_corpora::{CorpusError, CorpusKind, CorpusSpec, Scan, locate, scan_all};
use vocalics_train::TrainConfig;

use crate::failure::{Failure, listed};
use crate::output::tell;

/// `NAME=DIR`, or `NAME` alone for one under the data root.
#[derive(Debug, Clone)]
enum CorpusArgument {
    Placed(CorpusSpec),
    Named(CorpusKind),
}

impl FromStr for CorpusArgument {
    type Err = CorpusError;

    fn from_str(text: &str) -> Result<Self, CorpusError> {
        if text.contains('=') {
            text.parse().map(Self::Placed)
        } else {
            text.parse().map(Self::Named)
        }
    }
}

/// Options that choose corpora.
#[derive(Debug, Args)]
pub(crate) struct CorpusOptions {
    /// A corpus and its folder, or its name alone to look for it under the data root; may be repeated
    #[arg(long = "corpus", value_name = "NAME=DIR")]
    corpora: Vec<CorpusArgument>,
    #[command(flatten)]
    data: DataRoot,
}

/// Where corpora lie.
#[derive(Debug, Args)]
pub(crate) struct DataRoot {
    /// Data root: the folder that holds the corpora
    #[arg(
        long = "data",
        value_name = "DIR",
        env = "VOCALICS_DATA",
        hide_env_values = true,
        default_value = "data"
    )]
    root: PathBuf,
}

impl DataRoot {
    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }
}

impl CorpusOptions {
    /// Whether corpora were named.
    pub(crate) fn is_named(&self) -> bool {
        !self.corpora.is_empty()
    }

    /// The corpora named, else all that lie under the data root.
    pub(crate) fn named_or_all(&self) -> Result<Vec<CorpusSpec>, Failure> {
        if self.is_named() {
            return self.named();
        }
        let found = locate(self.data.path());
        if found.is_empty() {
            return Err(Failure::new(
                format!("no corpus under {}", self.data.path().display()),
                "give one with --corpus NAME=DIR, or the data root with --data or VOCALICS_DATA; \
                 `vocalics data get` downloads some",
            ));
        }
        Ok(found)
    }

    fn named(&self) -> Result<Vec<CorpusSpec>, Failure> {
        let mut specs = Vec::new();
        for argument in &self.corpora {
            match argument {
                CorpusArgument::Placed(spec) => specs.push(spec.clone()),
                CorpusArgument::Named(kind) => specs.extend(self.under_root(*kind)?),
            }
        }
        Ok(specs)
    }

    /// Puts the corpora named into a configuration, whose own are used otherwise.
    pub(crate) fn override_names(&self, config: &mut TrainConfig) {
        if let Some(names) = self.names() {
            config.corpora = names;
        }
    }

    /// The names of the corpora named, if any were.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        self.is_named().then(|| {
            let name = |argument: &CorpusArgument| match argument {
                CorpusArgument::Placed(spec) => spec.kind.name().to_owned(),
                CorpusArgument::Named(kind) => kind.name().to_owned(),
            };
            let mut names: Vec<String> = self.corpora.iter().map(name).collect();
            names.dedup();
            names
        })
    }

    /// The corpora named, else those of the configuration, under the data root.
    pub(crate) fn of_config(&self, config: &TrainConfig) -> Result<Vec<CorpusSpec>, Failure> {
        self.of_names(&config.corpora)
    }

    /// The corpora named, else those of the given names, under the data root.
    pub(crate) fn of_names(&self, corpora: &[String]) -> Result<Vec<CorpusSpec>, Failure> {
        if self.is_named() {
            return self.named();
        }
        if corpora.is_empty() {
            return Err(Failure::new(
                "the configuration names no corpora",
                "list them under `corpora`, or give --corpus NAME=DIR",
            ));
        }
        self.named_in(corpora)
    }

    /// Corpora by name, under the data root.
    pub(crate) fn named_in(&self, names: &[String]) -> Result<Vec<CorpusSpec>, Failure> {
        let mut specs = Vec::new();
        for name in names {
            specs.extend(self.under_root(name.parse()?)?);
        }
        Ok(specs)
    }

    /// Finds a corpus under the data root: its own folder, else the folders of its parts, else the
    /// folder of a whole that it is part of.
    fn under_root(&self, kind: CorpusKind) -> Result<Vec<CorpusSpec>, Failure> {
        let found = locate(self.data.path());
        let of = |wanted: CorpusKind| -> Vec<CorpusSpec> {
            found
                .iter()
                .filter(|spec| spec.kind == wanted)
                .cloned()
                .collect()
        };
        let own = of(kind);
        if !own.is_empty() {
            return Ok(own);
        }
        let by_part: Vec<Vec<CorpusSpec>> = parts(kind).into_iter().map(of).collect();
        if !by_part.is_empty() && by_part.iter().all(|specs| !specs.is_empty()) {
            return Ok(by_part.concat());
        }
        let wholes = CorpusKind::ALL
            .iter()
            .filter(|whole| parts(**whole).contains(&kind));
        let within: Vec<CorpusSpec> = wholes
            .flat_map(|whole| of(*whole))
            .map(|spec| CorpusSpec {
                kind,
                root: spec.root,
            })
            .collect();
        if within.is_empty() {
            return Err(Failure::new(
                format!("no corpus {kind} under {}", self.data.path().display()),
                format!(
                    "give its folder with --corpus {kind}=DIR, or the data root with --data or \
                     VOCALICS_DATA; `vocalics data get {kind}` downloads it where its owners allow"
                ),
            ));
        }
        Ok(within)
    }
}

/// The kinds that together are a kind, if it has such: RAVDESS is speech and song.
fn parts(kind: CorpusKind) -> Vec<CorpusKind> {
    let names = kind.info().counts.iter().map(|(name, _)| *name);
    names
        .filter_map(|name| CorpusKind::ALL.iter().copied().find(|k| k.name() == name))
        .filter(|part| *part != kind)
        .collect()
}

/// Scans corpora; labels that are spelt differently here are told.
pub(crate) fn scan_told(specs: &[CorpusSpec]) -> Result<Scan, Failure> {
    let scan = scan_all(specs)?;
    for (theirs, ours) in &scan.renamed {
        tell(&format!("note: label {theirs} is called {ours} here"));
    }
    Ok(scan)
}

/// Tells of recordings that cannot be used. They are an error unless `keep_going`.
pub(crate) fn problems<T: std::fmt::Display>(
    found: &[T],
    total: usize,
    keep_going: bool,
) -> Result<(), Failure> {
    if found.is_empty() {
        return Ok(());
    }
    let count = found.len();
    let message = format!(
        "{count} of {total} recordings cannot be used{}",
        listed(found)
    );
    if keep_going {
        tell(&format!("warning: {message}"));
        return Ok(());
    }
    Err(Failure::new(
        message,
        "correct or remove them, or go on without them: --keep-going",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(root: &Path, corpora: &[&str]) -> CorpusOptions {
        CorpusOptions {
            corpora: corpora.iter().map(|text| text.parse().unwrap()).collect(),
            data: DataRoot {
                root: root.to_owned(),
            },
        }
    }

    #[test]
    fn a_whole_is_found_by_its_parts_and_a_part_in_its_whole() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["ravdess-speech", "ravdess-song", "tess"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        let found = options(root.path(), &["ravdess"]).named_or_all().unwrap();
        let kinds: Vec<_> = found.iter().map(|spec| spec.kind).collect();
        assert_eq!(kinds, [CorpusKind::RavdessSpeech, CorpusKind::RavdessSong]);

        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("ravdess")).unwrap();
        let found = options(root.path(), &["ravdess-song"])
            .named_or_all()
            .unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, CorpusKind::RavdessSong);
        assert!(options(root.path(), &["tess"]).named_or_all().is_err());
    }

    #[test]
    fn half_a_corpus_is_not_taken_for_the_whole() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("ravdess-speech")).unwrap();
        assert!(options(root.path(), &["ravdess"]).named_or_all().is_err());
    }

    #[test]
    fn names_override_those_of_the_configuration() {
        let mut config = TrainConfig::default();
        options(Path::new("x"), &[]).override_names(&mut config);
        assert_eq!(config, TrainConfig::default());
        options(Path::new("x"), &["tess=a", "savee"]).override_names(&mut config);
        assert_eq!(config.corpora, ["tess", "savee"]);
    }
}
