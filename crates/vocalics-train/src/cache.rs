//! Features on disk, so that they are computed once.
//!
//! One file per recording and front end or feature set: `<root>/<fingerprint>/<hash of the audio file>.feat`. Embeddings of an
//! encoder are kept the same way, as one frame with the seconds they come from behind it.
//! A file that is damaged, or of another shape, is computed again and replaced.

use std::io::Write;
use std::path::{Path, PathBuf};

use vocalics_audio::{DecodeOptions, Waveform};
use vocalics_features::{FeatureMatrix, FeatureSet, LogMel};
use vocalics_runtime::{Embedding, Encoder};

use crate::{Content, TrainError};

/// Begins every cache file: format and version.
const MAGIC: &[u8; 8] = b"vocfeat1";
const HASH_LEN: usize = 32;

/// What was computed of an audio file, now or before.
#[derive(Debug)]
pub struct Cached<T> {
    /// The features, good whether or not they could be kept.
    pub value: T,
    /// What the file holds.
    pub content: Content,
    /// Why the cache could not be written, if it could not.
    pub unkept: Option<std::io::Error>,
}

/// A folder of features.
#[derive(Debug, Clone)]
pub struct FeatureCache {
    root: PathBuf,
}

impl FeatureCache {
    /// A cache in `root`, which need not exist yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The features of an audio file, from the cache or computed and put there.
    ///
    /// # Errors
    /// When the file cannot be read or decoded.
    pub fn features(
        &self,
        front_end: &mut LogMel,
        path: &Path,
        decode: &DecodeOptions,
    ) -> Result<Cached<FeatureMatrix>, TrainError> {
        let name = front_end.fingerprint().to_owned();
        let n_mels = front_end.config().n_mels;
        self.kept(&name, n_mels, path, decode, |waveform| {
            Ok(front_end.compute(waveform.samples())?)
        })
    }

    /// The embedding of an audio file, from the cache or computed and put there; else as
    /// [`features`](Self::features).
    ///
    /// # Errors
    /// When the file cannot be read or decoded, or [`TrainError::Embedding`].
    pub fn embedding(
        &self,
        encoder: &Encoder,
        path: &Path,
        decode: &DecodeOptions,
    ) -> Result<Cached<Embedding>, TrainError> {
        let name = encoder.fingerprint();
        let row = self.kept(&name, encoder.dim() + 1, path, decode, |waveform| {
            let embedded = encoder.embed(waveform.samples(), waveform.sample_rate());
            let Embedding {
                mut values,
                seconds,
            } = embedded.map_err(|source| TrainError::Embedding {
                path: path.to_owned(),
                source: Box::new(source),
            })?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a length of seconds to hours"
            )]
            values.push(seconds as f32);
            let n_values = values.len();
            Ok(FeatureMatrix::new(values, n_values)?)
        })?;
        let mut values = row.value.into_vec();
        let seconds = values.pop().map_or(0.0, f64::from);
        Ok(Cached {
            value: Embedding { values, seconds },
            content: row.content,
            unkept: row.unkept,
        })
    }

    /// The functionals of a set of an audio file, one row; otherwise as [`Self::features`].
    ///
    /// # Errors
    /// As [`Self::features`], and when the set cannot be computed.
    pub fn functionals(
        &self,
        set: &dyn FeatureSet,
        path: &Path,
        decode: &DecodeOptions,
    ) -> Result<Cached<FeatureMatrix>, TrainError> {
        let rate = decode
            .sample_rate
            .map_or_else(|| "own".to_owned(), |rate| rate.to_string());
        let kind = format!("{}-v{}-functionals-{rate}", set.name(), set.version());
        let width = set.functional_names().len();
        self.kept(&kind, width, path, decode, |waveform| {
            let values = set.functionals(waveform.samples(), waveform.sample_rate())?;
            Ok(FeatureMatrix::new(values, width)?)
        })
    }

    /// Rows of `width` values under a name of theirs, computed where they are not kept.
    fn kept(
        &self,
        fingerprint: &str,
        width: usize,
        path: &Path,
        decode: &DecodeOptions,
        compute: impl FnOnce(&Waveform) -> Result<FeatureMatrix, TrainError>,
    ) -> Result<Cached<FeatureMatrix>, TrainError> {
        let bytes = std::fs::read(path).map_err(TrainError::io("read", path))?;
        let hash = blake3::hash(&bytes);
        let content = *hash.as_bytes();
        let file = self
            .root
            .join(fingerprint)
            .join(format!("{}.feat", hash.to_hex()));
        if let Some(value) = std::fs::read(&file)
            .ok()
            .and_then(|bytes| parse(&bytes, width))
        {
            return Ok(Cached {
                value,
                content,
                unkept: None,
            });
        }
        let name = path.display().to_string();
        let waveform = vocalics_audio::decode_bytes(bytes, &name, decode)?;
        let value = compute(&waveform)?;
        let unkept = write(&file, &serialise(&value)).err();
        Ok(Cached {
            value,
            content,
            unkept,
        })
    }
}

fn serialise(features: &FeatureMatrix) -> Vec<u8> {
    let data: Vec<u8> = features
        .as_slice()
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(blake3::hash(&data).as_bytes());
    bytes.extend(data);
    bytes
}

fn parse(bytes: &[u8], width: usize) -> Option<FeatureMatrix> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (hash, data) = rest.split_at_checked(HASH_LEN)?;
    if blake3::hash(data).as_bytes() != hash || data.is_empty() || data.len() % (4 * width) != 0 {
        return None;
    }
    let (values, _) = data.as_chunks::<4>();
    FeatureMatrix::new(
        values.iter().map(|x| f32::from_le_bytes(*x)).collect(),
        width,
    )
    .ok()
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        // A temporary file is the owner's alone; a result is as readable as the user's umask says.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use vocalics_features::LogMelConfig;

    use super::*;

    #[test]
    fn a_damaged_entry_is_computed_again() {
        let folder = tempfile::tempdir().unwrap();
        let audio = folder.path().join("tone.wav");
        let tone: Vec<f32> = (0..16_000u16)
            .map(|i| (f32::from(i) * 0.2).sin() * 0.3)
            .collect();
        vocalics_audio::write_wav16(&audio, &tone, 16_000).unwrap();
        let cache = FeatureCache::new(folder.path().join("cache"));
        let mut front_end = LogMel::new(LogMelConfig::default()).unwrap();
        let decode = DecodeOptions::default();
        let kept = cache.features(&mut front_end, &audio, &decode).unwrap();
        assert!(kept.unkept.is_none());
        let bytes = std::fs::read(&audio).unwrap();
        assert_eq!(kept.content, *blake3::hash(&bytes).as_bytes());
        let first = kept.value;
        let entry = std::fs::read_dir(folder.path().join("cache").join(front_end.fingerprint()))
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let good = std::fs::read(&entry).unwrap();
        for damage in [
            good[..good.len() - 3].to_vec(),
            Vec::new(),
            good.iter()
                .enumerate()
                .map(|(i, b)| if i == 99 { b ^ 1 } else { *b })
                .collect(),
        ] {
            std::fs::write(&entry, damage).unwrap();
            let again = cache.features(&mut front_end, &audio, &decode).unwrap();
            assert_eq!((again.value, again.content), (first.clone(), kept.content));
            assert_eq!(std::fs::read(&entry).unwrap(), good);
        }
    }

    #[test]
    fn functionals_are_kept_apart_by_set_and_rate() {
        let folder = tempfile::tempdir().unwrap();
        let audio = folder.path().join("tone.wav");
        vocalics_audio::write_wav16(&audio, &[0.1, 0.2, -0.1].repeat(6000), 16_000).unwrap();
        let cache = FeatureCache::new(folder.path().join("cache"));
        let at = |sample_rate| DecodeOptions {
            sample_rate,
            ..DecodeOptions::default()
        };
        for (name, rate) in [("mfcc", 16_000), ("chroma", 16_000), ("mfcc", 8_000)] {
            let set = vocalics_features::set_by_name(name).unwrap();
            let decode = at(Some(rate));
            let first = cache.functionals(set, &audio, &decode).unwrap().value;
            assert_eq!(first.n_frames(), 1);
            assert_eq!(first.n_features(), set.functional_names().len());
            let samples = vocalics_audio::read_file(&audio, &decode).unwrap();
            let plain = set.functionals(samples.samples(), rate).unwrap();
            assert_eq!(first.as_slice(), plain);
            let again = cache.functionals(set, &audio, &decode).unwrap().value;
            assert_eq!(again, first);
        }
        let folders = std::fs::read_dir(folder.path().join("cache")).unwrap();
        assert_eq!(folders.count(), 3);
    }

    #[test]
    fn an_unwritable_cache_is_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let audio = folder.path().join("tone.wav");
        vocalics_audio::write_wav16(&audio, &[0.1, -0.1].repeat(8000), 16_000).unwrap();
        // A file where the cache's folder would be.
        let cache = FeatureCache::new(&audio);
        let mut front_end = LogMel::new(LogMelConfig::default()).unwrap();
        let features = cache.features(&mut front_end, &audio, &DecodeOptions::default());
        assert!(features.unwrap().unkept.is_some());
    }
}
