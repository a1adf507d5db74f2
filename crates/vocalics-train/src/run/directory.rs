//! The directory of a run: its lock, its configuration, its manifest, and what its checkpoints depend on.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use vocalics_corpora::{Fold, Utterance};

use crate::cache::write;
use crate::heard::unheard_in;
use crate::{ComputeDevice, Data, TrainConfig, TrainError};

/// What its run depends on, [`key`].
const KEY_FILE: &str = ".key";

/// Keeps other processes out of a run directory for as long as it lives.
pub(crate) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Creates the directory if it is absent, and takes its lock.
    pub(crate) fn take(path: &Path) -> Result<Self, TrainError> {
        std::fs::create_dir_all(path).map_err(TrainError::io("create", path))?;
        let lock_path = path.join(".lock");
        let lock = File::create(&lock_path).map_err(TrainError::io("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(TrainError::Busy {
                path: path.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(TrainError::io("lock", &lock_path)(error)),
        }
    }
}

/// The directory of one configuration, locked.
pub(super) struct RunDirectory {
    pub(super) path: PathBuf,
    _lock: RunLock,
}

impl RunDirectory {
    /// Opens the directory for the run that `key` identifies, and leaves it as it is where it holds another.
    pub(super) fn open(path: &Path, config: &TrainConfig, key: &str) -> Result<Self, TrainError> {
        let lock = RunLock::take(path)?;
        let config_path = path.join("config.toml");
        let other = config_path.exists() && TrainConfig::read(&config_path)? != *config;
        // An evaluation and a training of one configuration have different keys.
        let known = std::fs::read_to_string(path.join(KEY_FILE)).ok();
        if other || (known.is_some_and(|known| known != key) && holds_work(path)) {
            return Err(TrainError::OtherRun {
                path: path.to_owned(),
            });
        }
        let directory = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        directory.write("config.toml", config.to_toml().as_bytes())?;
        directory.write(KEY_FILE, key.as_bytes())?;
        Ok(directory)
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let path = self.path.join(name);
        write(&path, bytes).map_err(TrainError::io("write", path))
    }
}

/// Whether anything was trained or measured there that another run would spoil.
fn holds_work(path: &Path) -> bool {
    let folders = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.path());
    std::iter::once(path.to_owned())
        .chain(folders)
        .flat_map(|folder| ["checkpoint", "model.onnx", "metrics.json"].map(|it| folder.join(it)))
        .any(|file| file.exists())
}

/// A field of a table: names of files and folders may hold anything, so that it is quoted where it must be.
pub(super) fn field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// `manifest.csv`: which clip served for what in which fold. What `held_out` tests is called so, as no number comes of it.
pub(super) fn manifest(
    data: &Data,
    prior: Option<&Data>,
    folds: &[Fold],
    held_out: &[Fold],
) -> String {
    let mut text = String::from("id,corpus,speaker,class,fold,part\n");
    let folds = folds.iter().map(|fold| (fold, "test"));
    let held_out = held_out.iter().map(|fold| (fold, "held-out"));
    for (fold, test) in folds.chain(held_out) {
        let before = prior.map(|prior| (prior, unheard_in(fold, data, prior)));
        let before = before.as_ref();
        let parts = [
            ("train", data, &fold.train),
            ("validation", data, &fold.validation),
            (test, data, &fold.test),
        ];
        let before = before.map(|(prior, clips)| ("before", *prior, clips));
        for (part, data, clips) in before.into_iter().chain(parts) {
            for &i in clips {
                let Utterance {
                    id,
                    corpus,
                    speaker,
                    ..
                } = &data.utterances[i];
                let class = &data.labels.as_slice()[data.classes[i]];
                let fields = [id, corpus, speaker, class, &fold.name].map(|it| field(it));
                text += &format!("{},{part}\n", fields.join(","));
            }
        }
    }
    text
}

/// Everything that must be equal for a checkpoint to be of this run.
pub(crate) fn key(
    config: &TrainConfig,
    data: &Data,
    prior: Option<&Data>,
    protocol: &str,
    device: ComputeDevice,
) -> String {
    let features = config.features_fingerprint();
    let (config, data) = (config.essence(), data.hash());
    let mut text = format!("{config}\n{features}\n{data}\n{protocol}\n{device}");
    if let Some(prior) = prior {
        text += &format!("\n{}", prior.hash());
    }
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
