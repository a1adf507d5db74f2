//! One folder of a GitHub repository whose files lie in Git LFS.
//!
//! The tree lists the object id of each pointer; a pointer is made of the content's SHA-256 and
//! size, so the id verifies the content without fetching the pointer.
//!
//! Source: GitHub REST API, *Get a tree*; Git LFS specification, *The Pointer*.

use std::path::Path;

use serde_json::Value;
use vocalics_audio::is_recording;

use super::transfer::{Checksum, Expected, fetch, listing};
use super::{GetError, GetOptions, Progress};

/// Where the files are.
pub(super) struct Place<'a> {
    pub(super) api: &'a str,
    pub(super) media: &'a str,
    pub(super) branch: &'a str,
    pub(super) path: &'a str,
}

pub(super) fn get(
    agent: &ureq::Agent,
    place: &Place<'_>,
    folder: &Path,
    options: &GetOptions,
    progress: &mut dyn Progress,
) -> Result<u64, GetError> {
    let root = tree(agent, place, place.branch, options)?;
    let id = root
        .iter()
        .find(|(path, kind, _)| path == place.path && kind == "tree")
        .map(|(_, _, id)| id.clone())
        .ok_or_else(|| GetError::Listing {
            url: place.api.to_owned(),
            reason: format!("no folder {}", place.path),
        })?;
    let mut transferred = 0;
    for (name, kind, id) in tree(agent, place, &id, options)? {
        if kind != "blob" || !is_recording(Path::new(&name)) {
            continue;
        }
        if name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(GetError::UnsafePath {
                archive: place.api.to_owned(),
                entry: name,
            });
        }
        let url = format!("{}/{}/{name}", place.media, place.path);
        let expected = Expected {
            bytes: None,
            checksum: Some(Checksum::GitObject(id)),
        };
        let fetched = fetch(
            agent,
            &url,
            &folder.join(&name),
            &expected,
            options,
            progress,
        )?;
        transferred += fetched.transferred;
    }
    Ok(transferred)
}

/// Path, type and id of the entries of a tree.
fn tree(
    agent: &ureq::Agent,
    place: &Place<'_>,
    name: &str,
    options: &GetOptions,
) -> Result<Vec<(String, String, String)>, GetError> {
    let url = format!("{}/git/trees/{name}", place.api);
    let answer = listing(agent, &url, options)?;
    let bad = |reason: &str| GetError::Listing {
        url: url.clone(),
        reason: reason.to_owned(),
    };
    if answer["truncated"].as_bool() == Some(true) {
        return Err(bad("the server cut it short"));
    }
    let entries = answer["tree"]
        .as_array()
        .ok_or_else(|| bad("no entries under \"tree\""))?;
    let text = |entry: &Value, key: &str| {
        entry[key]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| bad("an entry lacks a field"))
    };
    entries
        .iter()
        .map(|e| Ok((text(e, "path")?, text(e, "type")?, text(e, "sha")?)))
        .collect()
}
