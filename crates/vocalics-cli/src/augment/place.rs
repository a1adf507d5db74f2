//! Where examples are written, and what speaks against it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use vocalics_augment::MaterialKind;

use super::Arguments;
use crate::failure::Failure;
use crate::input::Input;

/// The beginning of the names of each recording's examples; a number is added where two would be the same.
pub(super) fn stems(inputs: &[Input]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut own = |input: &Input| {
        let stem = input.path().and_then(Path::file_stem);
        let stem = stem.map_or_else(|| "stdin".into(), |stem| stem.to_string_lossy());
        let numbered = (2..).map(|number| format!("{stem}.{number}"));
        let mut names = std::iter::once(stem.to_string()).chain(numbered);
        // The numbers never end.
        names
            .find(|name| taken.insert(name.clone()))
            .unwrap_or_default()
    };
    inputs.iter().map(&mut own).collect()
}

/// Makes the folder, once nothing speaks against writing into it.
pub(super) fn prepare(
    arguments: &Arguments,
    inputs: &[Input],
    stems: &[String],
) -> Result<(), Failure> {
    let output = &arguments.output;
    let folder = resolved(output).map_err(|error| Failure::io("make", output, &error))?;
    let lies_in = |source: &Path, hint: &'static str| {
        let inside = fs::canonicalize(source).is_ok_and(|source| folder.starts_with(source));
        if !inside {
            return Ok(());
        }
        let message = format!("{} lies in {}", output.display(), source.display());
        Err(Failure::usage(message, hint))
    };
    let drawn_from = MaterialKind::ALL.into_iter();
    for source in drawn_from.filter_map(|kind| arguments.folder(kind)) {
        fs::read_dir(source).map_err(|error| Failure::io("read", source, &error))?;
        lies_in(
            source,
            "write elsewhere, or the next run would draw from these examples",
        )?;
    }
    for source in arguments.inputs.iter().filter(|path| path.is_dir()) {
        lies_in(
            source,
            "write elsewhere, or the next run would take these examples for recordings",
        )?;
    }
    let recordings: BTreeSet<PathBuf> = inputs
        .iter()
        .filter_map(|input| fs::canonicalize(input.path()?).ok())
        .collect();
    let examples = stems
        .iter()
        .flat_map(|stem| (1..=arguments.count).map(move |number| format!("{stem}-{number}.wav")));
    for name in examples.chain([arguments.format.listing().to_owned()]) {
        let (shown, target) = (output.join(&name), folder.join(&name));
        if recordings.contains(&target) {
            let message = format!("{} is one of the recordings", shown.display());
            return Err(Failure::usage(message, "write into another folder"));
        }
        if !arguments.overwrite && target.exists() {
            return Err(Failure::new(
                format!("{} exists", shown.display()),
                "give an empty folder, or --overwrite",
            ));
        }
    }
    fs::create_dir_all(output).map_err(|error| Failure::io("make", output, &error))
}

/// The path without links and detours, as far as it exists.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let (mut known, mut rest) = (path, Vec::new());
    loop {
        let asked = if known.as_os_str().is_empty() {
            Path::new(".")
        } else {
            known
        };
        match (fs::canonicalize(asked), known.file_name(), known.parent()) {
            (Ok(folder), ..) => {
                let parts = rest.iter().rev();
                return Ok(parts.fold(folder, |folder, part| folder.join(part)));
            }
            (Err(error), Some(name), Some(parent)) if error.kind() == io::ErrorKind::NotFound => {
                rest.push(name);
                known = parent;
            }
            (Err(error), ..) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_of_one_name_get_names_of_their_own() {
        let inputs: Vec<Input> = ["a/x.wav", "b/x.flac", "x.2.wav", "c/x.wav"]
            .iter()
            .map(|path| Input::File(PathBuf::from(path)))
            .chain([Input::Stdin])
            .collect();
        assert_eq!(stems(&inputs), ["x", "x.2", "x.2.2", "x.3", "stdin"]);
    }
}
