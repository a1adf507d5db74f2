//! From arguments to recordings.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use vocalics_audio::{
    AudioError, DecodeOptions, Found, Waveform, from_pcm16, read_file, read_stream,
    readable_recordings,
};

use crate::failure::Failure;
use crate::recognition::Refusal;

/// What the decoder of raw samples calls them in its errors.
const RAW_NAME: &str = "raw pcm16";

/// How samples without a header are to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawFormat {
    pub(crate) rate: u32,
    pub(crate) channels: u16,
}

/// Something to recognise.
#[derive(Debug)]
pub(crate) enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
    /// A folder that yields nothing; the error stands in its place.
    Barren(PathBuf, AudioError),
    /// A folder without recordings.
    Empty(PathBuf),
}

impl Input {
    /// The name in the output.
    pub(crate) fn file(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) | Self::Barren(path, _) | Self::Empty(path) => {
                path.display().to_string()
            }
        }
    }

    /// Where it lies, if it is a file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) | Self::Barren(path, _) | Self::Empty(path) => Some(path),
        }
    }

    /// The name in messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Stdin => "standard input".to_owned(),
            _ => self.file(),
        }
    }

    pub(crate) fn decode(
        &self,
        raw: Option<RawFormat>,
        options: &DecodeOptions,
    ) -> Result<Waveform, Refusal> {
        let name = self.shown();
        let decoded = match (self, raw) {
            (Self::Empty(_), _) => {
                return Err(Refusal {
                    code: "no_recordings",
                    message: "no recordings in this folder".to_owned(),
                    hint: "no file in it ends in .wav, .flac, .mp3, .m4a, .ogg, .opus or the like; a file with another ending can be named itself",
                });
            }
            (Self::Barren(_, error), _) => return Err(Refusal::of_audio(error, &name)),
            (Self::Stdin, None) => read_stream(io::stdin().lock(), &name, options),
            (Self::File(path), None) => read_file(path, options),
            (Self::Stdin, Some(format)) => read_raw(io::stdin().lock(), &name, format, options),
            (Self::File(path), Some(format)) => File::open(path)
                .map_err(|source| AudioError::Io {
                    name: name.clone(),
                    source,
                })
                .and_then(|file| read_raw(file, &name, format, options)),
        };
        decoded.map_err(|error| {
            let called = if raw.is_some() && error.to_string().starts_with(RAW_NAME) {
                RAW_NAME
            } else {
                &name
            };
            Refusal::of_audio(&error, called)
        })
    }
}

fn read_raw(
    reader: impl Read,
    name: &str,
    format: RawFormat,
    options: &DecodeOptions,
) -> Result<Waveform, AudioError> {
    let mut bytes = Vec::new();
    // One more than allowed, so that the limit is noticed.
    reader
        .take(options.max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| AudioError::Io {
            name: name.to_owned(),
            source,
        })?;
    from_pcm16(&bytes, format.rate, format.channels, options)
}

/// A number of an option, within its range.
pub(crate) fn number_in<T>(text: &str, range: RangeInclusive<T>) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!(
            "expected a number from {} to {}",
            range.start(),
            range.end()
        )
    })
}

/// Decodes one recording, standard input if it is called `-`.
pub(crate) fn decode_one(path: &Path, options: &DecodeOptions) -> Result<Waveform, Failure> {
    Ok(if path.as_os_str() == "-" {
        read_stream(io::stdin().lock(), "standard input", options)?
    } else {
        read_file(path, options)?
    })
}

/// Replaces folders by the recordings in them, sorted by path.
///
/// # Errors
/// Standard input given twice; folders where raw samples are meant, since nothing tells which of
/// their files are such.
pub(crate) fn expand(arguments: &[PathBuf], raw: bool) -> Result<Vec<Input>, Failure> {
    let mut inputs = Vec::new();
    for path in arguments {
        if path.as_os_str() == "-" {
            if inputs.iter().any(|input| matches!(input, Input::Stdin)) {
                return Err(Failure::usage(
                    "- is given twice",
                    "standard input is read once",
                ));
            }
            inputs.push(Input::Stdin);
        } else if !path.is_dir() {
            inputs.push(Input::File(path.clone()));
        } else if raw {
            return Err(Failure::usage(
                format!("{} is a folder", path.display()),
                "with --raw-rate, name the files one by one",
            ));
        } else {
            let Found { files, unreadable } = readable_recordings(path);
            if files.is_empty() && unreadable.is_empty() {
                inputs.push(Input::Empty(path.clone()));
            }
            inputs.extend(files.into_iter().map(Input::File));
            let barren = unreadable.into_iter();
            inputs.extend(barren.map(|(folder, error)| Input::Barren(folder, error)));
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn folders_are_walked_in_order() {
        let root = tempfile::tempdir().unwrap();
        for name in ["b/2.WAV", "a/1.flac", ".trash/0.wav", "a/notes.txt"] {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let empty = root.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let arguments = [PathBuf::from("-"), root.path().to_owned(), empty];
        let inputs = expand(&arguments, false).unwrap();
        let names: Vec<String> = inputs.iter().map(Input::file).collect();
        assert_eq!(names.len(), 4);
        assert_eq!(names[0], "-");
        assert!(
            names[1].ends_with("1.flac") && names[2].ends_with("2.WAV"),
            "{names:?}"
        );
        assert!(matches!(inputs[3], Input::Empty(_)));
    }

    #[test]
    fn standard_input_twice_and_raw_folders_are_refused() {
        let twice = [PathBuf::from("-"), PathBuf::from("-")];
        assert!(matches!(expand(&twice, false), Err(Failure::Usage { .. })));
        let folder = [std::env::temp_dir()];
        assert!(matches!(expand(&folder, true), Err(Failure::Usage { .. })));
    }
}
